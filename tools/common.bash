# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the scripts of this directory share; sourced, never run on its own.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2)

# quietly LABEL COMMAND...: a line while it runs; its output only if it fails
quietly() {
    local label=$1 log status=0
    shift
    log=$(mktemp)
    echo "$label" >&2
    "$@" > "$log" 2>&1 || status=$?
    [ $status = 0 ] || { tail -n 60 "$log" >&2; echo "failed: $*" >&2; }
    rm -f "$log"
    return $status
}

# configured DIR [OPTION...]: DIR is a build tree with these configure options. Only what is missing
# or asked for differently is done again, so that a second call costs nothing.
configured() {
    local dir=$1 asked=
    shift
    if ! [ -e "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
        (cd "$top" && quietly 'autoreconf' autoreconf -fi) || return
    fi
    asked="$*"
    mkdir -p "$dir"
    if ! [ -e "$dir/Makefile" ] || [ "$asked" != "$(cat "$dir/.asked" 2> /dev/null)" ]; then
        (cd "$dir" && quietly 'configure' "$top/configure" -q "$@") || return
        printf '%s\n' "$asked" > "$dir/.asked"
    fi
}

# built DIR [TARGET...]: what make has to do there is done
built() {
    local dir=$1
    shift
    make -s -C "$dir" -q "$@" > /dev/null 2>&1 || quietly "make ${*:-all}" make -s -C "$dir" -j "$jobs" "$@"
}

# --- counting: PASSED and FAILED over all that ran

passed=0 failed=0 wrap=()

# tally N M LABEL: adds and says so
tally() {
    passed=$((passed + $1)) failed=$((failed + $2))
    printf '%-24s %5d passed, %d failed\n' "$3" "$1" "$2"
}

# checked DIR LABEL TARGET...: make's check targets, under the command in the array "wrap", if any.
# Single checks count where a program reports them, any other program as one.
checked() {
    local dir=$1 label=$2 status=0 good bad
    shift 2
    find "$dir" -path "$dir/build-*" -prune -o '(' -name '*.trs' -o -name 'test-suite.log' ')' -exec rm -f {} +
    ${wrap[@]+"${wrap[@]}"} make -s -C "$dir" -k -j "$jobs" "$@" > "$dir/check.out" 2>&1 || status=$?
    read -r good bad < <(totals "$dir")
    if [ $status != 0 ]; then
        complaints "$dir"
        [ "$bad" != 0 ] || { tail -n 20 "$dir/check.out"; bad=1; }
    fi
    tally "$good" "$bad" "$label"
}

# complaints DIR: what went wrong in the last make check below DIR
complaints() {
    local trs
    grep -hE ':[EF]:|^(FAIL|ERROR):? |ERROR: |SUMMARY: |error:' "$1/check.out" | head -n 40 || true
    find "$1" -path "$1/build-*" -prune -o -name '*.trs' -print | while IFS= read -r trs; do
        grep -qE '^:test-result: (FAIL|ERROR)' "$trs" || continue
        grep -hE ':[EF]:|ERROR: |SUMMARY: |error:' "${trs%.trs}.log" | head -n 10 || true
    done
}

# single_checks: "GOOD BAD" of each of Check's "N%: Checks: a, Failures: b, Errors: c" in what comes in
single_checks() {
    sed -nE 's/.*[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+).*/\1 \2 \3/p' |
        awk '{ print $1 - $2 - $3, $2 + $3 }'
}

# totals DIR: "GOOD BAD" of the last make check below DIR, sub builds not counted
totals() {
    local trs result checks
    {
        # compat-tests run outside the harness: by daemon, not by program
        single_checks < "$1/check.out"
        find "$1" -path "$1/build-*" -prune -o -name '*.trs' -print | while IFS= read -r trs; do
            result=$(sed -n 's/^:test-result: \([A-Z]*\).*/\1/p' "$trs")
            checks=$(single_checks < "${trs%.trs}.log")
            case $result in
                PASS) echo "${checks:-1 0}" ;;
                # a program may die with no single check at fault
                FAIL | ERROR) echo "${checks:-0 0}" | awk '{ b += $2; print } END { if (!b) print 0, 1 }' ;;
            esac
        done
    } | awk '{ g += $1; b += $2 } END { print g + 0, b + 0 }'
}

# last_line COMMAND...: shows what it prints; adds what its last line, "N passed, N failed", says
last_line() {
    local label=$1 out
    shift
    out=$(mktemp)
    "$@" 2>&1 | tee "$out" || true
    tally $(tail -n 1 "$out" | sed -n 's/^\(.*: \)\{0,1\}\([0-9]*\) passed, \([0-9]*\) failed$/\2 \3/p' |
        grep . || echo 0 1) "$label"
    rm -f "$out"
}

# counted LABEL COMMAND...: one thing that passes or fails
counted() {
    local label=$1 status=0
    shift
    quietly "$label" "$@" || status=$?
    [ $status = 0 ] && tally 1 0 "$label" || tally 0 1 "$label"
}

# verdict: the last line and the exit status
verdict() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
