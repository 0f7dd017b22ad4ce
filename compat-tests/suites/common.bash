# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared by the suite scripts in this directory; sourced, never run on its own.
#
# Every suite script takes the daemon's path as its first argument (default
# /usr/bin/dbus-daemon), prints one line per failing program with its failing
# subtests, and ends with "NAME: X passed, Y failed, Z skipped".
#
# As root (the normal case) each test program runs in its own mount and pid
# namespace in which the daemon is bind-mounted over /usr/bin/dbus-daemon, so
# that nothing can fall back to the installed one and nothing outlives the
# test.  Without root, or without namespaces, PATH and the suites' own
# variables point at the daemon instead (weaker).
#
# Environment:
#   SUITE_LIMIT     seconds allowed to one test program (default 120)
#   SUITE_VERBOSE   non-empty: one line per program that passed, too
#   SUITE_KEEP      a directory that gets each program's output
#   SUITE_RECORD    a file that gets a line "program<TAB>subtest<TAB>ok|bad|skip" for each
#   SUITE_HELPER    a program to put over dbus-daemon-launch-helper
set -u
PASS=0 FAIL=0 SKIP=0
declare -A SEEN=()
LIMIT=${SUITE_LIMIT:-120}
EXTRA=()

finish() {
    echo "$NAME: $PASS passed, $FAIL failed, $SKIP skipped"
    [ "$FAIL" = 0 ]
    exit
}

suite_init() { # NAME [DAEMON]
    NAME=$1
    DAEMON=$(readlink -f -- "${2:-/usr/bin/dbus-daemon}")
    if ! [ -f "$DAEMON" ] || ! [ -x "$DAEMON" ]; then
        echo "$NAME: not an executable: ${2:-/usr/bin/dbus-daemon}"
        FAIL=1
        finish
    fi
    ulimit -c 0
    umask 022
    local base
    for base in "${TMPDIR:-/tmp}" /tmp; do # sockets go below it: keep it short
        [ ${#base} -le 40 ] && W=$(mktemp -d "$base/suite.XXXXXX") && break
    done
    W=$(readlink -f -- "$W")
    chmod 755 "$W"
    trap 'rm -rf -- "$W"' EXIT
    trap 'exit 130' INT TERM
    NS=
    U=$(id -un)
    if [ "$(id -u)" = 0 ]; then
        U=nobody
        runuser -u nobody -- test -x "$W" || W=$(mktemp -d /tmp/suite.XXXXXX)
        chmod 755 "$W"
        unshare -m -p -f --mount-proc --kill-child mount --bind /bin/true /usr/bin/dbus-daemon \
            2> /dev/null && NS=1
    fi
    mkdir "$W/bin"
    if [ -n "$NS" ]; then
        DUT=/usr/bin/dbus-daemon
    else
        DUT=$W/bin/dbus-daemon
        if [ "$U" = "$(id -un)" ] || runuser -u "$U" -- test -x "$DAEMON"; then
            ln -s "$DAEMON" "$DUT"
        else
            install -m 755 "$DAEMON" "$DUT"
        fi
    fi
    cat > "$W/enter" <<'IN'
# pid 1 of the namespace: bash, because it reaps what is left to it
[ "$1" -ef /usr/bin/dbus-daemon ] || mount --bind "$1" /usr/bin/dbus-daemon || exit 99
[ -z "$2" ] || mount --bind "$2" /usr/lib/dbus-1.0/dbus-daemon-launch-helper || exit 99
shift 2
"$@"
exit $?
IN
    # a daemon that does not even start would cost every test its time limit
    in_ns 10 "$U" sh -c '"$1" --session --nofork --print-address=3 3> address > /dev/null &
        i=0; while [ $i -lt 80 ] && ! [ -s address ] && kill -0 $! 2> /dev/null; do i=$((i + 1)); sleep 0.1; done
        kill $! 2> /dev/null; [ -s address ]' sh "$DUT"
    if [ "$RC" != 0 ]; then
        echo "$NAME: the daemon does not start: $(tail -n 1 "$W/err" | cut -c 1-160)"
        FAIL=1
        finish
    fi
}

need() { # PATH PACKAGE...: ends the suite, as skipped, where PATH is missing
    local path=$1
    shift
    [ -e "$path" ] && return
    echo "$NAME: $path is missing (package $*; tools/install-deps test)"
    SKIP=$((SKIP + 1))
    finish
}

have() { command -v -- "$1" > /dev/null; }

# in_ns SECONDS USER COMMAND...: stdout in $W/out, stderr in $W/err, status in RC.
# The command gets a fresh home, temporary and runtime directory.
in_ns() {
    local limit=$1 user=$2 home
    shift 2
    home=$(mktemp -d "$W/h.XXXX")
    local run=(env -i PATH="$W/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        HOME="$home" TMPDIR="$home" XDG_RUNTIME_DIR="$home" USER="$user" LOGNAME="$user"
        LANG=C.UTF-8 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
        ${EXTRA[@]+"${EXTRA[@]}"} timeout -k 5 "$limit" "$@")
    if [ "$user" != "$(id -un)" ]; then
        chown "$user" "$home"
        run=(runuser -u "$user" -- "${run[@]}")
    fi
    [ -z "$NS" ] || run=(unshare -m -p -f --mount-proc --kill-child
        bash "$W/enter" "$DAEMON" "${SUITE_HELPER:-}" "${run[@]}")
    (cd "$home" && exec "${run[@]}") > "$W/out" 2> "$W/err" < /dev/null
    RC=$?
    rm -rf -- "$home"
}

keep() { # LABEL
    [ -n "${SUITE_KEEP:-}" ] || return 0
    mkdir -p "$SUITE_KEEP"
    cat "$W/out" > "$SUITE_KEEP/${1//[\/ ]/_}.out"
    cat "$W/err" > "$SUITE_KEEP/${1//[\/ ]/_}.err"
}

why() { # the most telling line of a program that died
    case $RC in
        124 | 137) echo "time limit" ; return ;;
    esac
    grep -hE 'ERROR|Bail out|Assertion|assert|Error|panic' "$W/err" "$W/out" | tail -n 1 |
        tr -d '\000-\010\013-\037' | cut -c 1-160 | grep . || echo "status $RC"
}

record() { # LABEL SUBTEST ok|bad|skip
    [ -z "${SUITE_RECORD:-}" ] || printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$SUITE_RECORD"
}

record_seen() { # LABEL: what parse_tap found
    local name
    for name in "${!SEEN[@]}"; do record "$1" "$name" "${SEEN[$name]}"; done
}

# report LABEL PASSED SKIPPED FAILING...
report() {
    local label=$1 p=$2 s=$3 sep='' line=
    shift 3
    for f in "$@"; do [ -n "${SEEN[${f:-?}]:-}" ] || record "$label" "${f%% \[*}" bad; done
    PASS=$((PASS + p)) SKIP=$((SKIP + s)) FAIL=$((FAIL + $#))
    if [ $# -gt 0 ]; then
        for f in "$@"; do line+="$sep$f" sep='; '; done
        echo "FAIL $label ($p passed, $# failed, $s skipped): $line"
    elif [ -n "${SUITE_VERBOSE:-}" ]; then
        echo "ok   $label ($p passed, $s skipped)"
    fi
}

# parse_tap: fills SEEN (name -> ok, skip or bad), and P, S, BAD, PLAN, BAIL
parse_tap() {
    local line neg name
    declare -gA SEEN=()
    P=0 S=0 BAD=() PLAN= BAIL= NSEEN=0
    while IFS= read -r line; do
        if [[ $line =~ ^(not\ )?ok(\ +[0-9]+)?(\ +-)?(\ +(.*))?$ ]]; then
            neg=${BASH_REMATCH[1]} name=${BASH_REMATCH[5]}
            NSEEN=$((NSEEN + 1))
            if [[ ${name,,} =~ ^(.*[^\ ])?\ *\#\ *(skip|todo) ]]; then
                S=$((S + 1))
                name=${name%%#*} name=${name%% }
                SEEN[${name:-$NSEEN}]=skip
            elif [ -n "$neg" ]; then
                BAD+=("${name:-$NSEEN}")
                SEEN[${name:-$NSEEN}]=bad
            else
                P=$((P + 1))
                SEEN[${name:-$NSEEN}]=ok
            fi
        elif [[ $line =~ ^1\.\.([0-9]+) ]]; then
            PLAN=${BASH_REMATCH[1]}
        elif [[ $line == 'Bail out'* ]]; then
            BAIL=1
        fi
    done < <(tr -d '\000' < "$W/out")
}

# run_tap LABEL USER COMMAND...: counts TAP subtests
run_tap() {
    local label=$1 user=$2
    shift 2
    in_ns "$LIMIT" "$user" "$@"
    keep "$label"
    parse_tap
    record_seen "$label"
    if [ "$PLAN" = 0 ] || [ "$RC" = 77 ]; then
        report "$label" 0 1
        return
    fi
    if [ -z "$PLAN" ] || [ "$NSEEN" -lt "$PLAN" ]; then
        local missing=$((${PLAN:-$((NSEEN + 1))} - NSEEN))
        BAD+=("[$missing not reported: $(why)]")
    elif [ "$RC" != 0 ] && [ ${#BAD[@]} = 0 ]; then
        BAD+=("[status $RC: $(why)]")
    fi
    report "$label" "$P" "$S" ${BAD[@]+"${BAD[@]}"}
}

# run_gtest LABEL USER PROGRAM [ARG...]: the same for a GTest program.  One
# that dies half way is run again for each subtest it did not get to.
run_gtest() {
    local label=$1 user=$2 p s bad=() path todo=() died
    shift 2
    in_ns "$LIMIT" "$user" "$@" --tap
    keep "$label"
    parse_tap
    record_seen "$label"
    if [ "$RC" = 77 ] || [ "$PLAN" = 0 ]; then
        report "$label" 0 1
        return
    fi
    p=$P s=$S
    bad=(${BAD[@]+"${BAD[@]}"})
    if [ -z "$PLAN" ] || [ "$NSEEN" -lt "$PLAN" ]; then
        died=$(why)
        declare -A before=()
        for path in "${!SEEN[@]}"; do before[$path]=1; done
        in_ns 20 "$user" "$@" -l
        while IFS= read -r path; do
            [[ $path == /* ]] && [ -z "${before[$path]:-}" ] && todo+=("$path")
        done < "$W/out"
        if [ ${#todo[@]} = 0 ]; then
            bad+=("[died: $died]")
        else
            bad+=("${todo[0]} [$died]")
            local slow=0
            for path in "${todo[@]:1}"; do
                if [ $slow -ge 4 ]; then
                    bad+=("$path [not run]")
                    continue
                fi
                in_ns "$((LIMIT < 15 ? LIMIT : 15))" "$user" "$@" --tap -p "$path"
                parse_tap
                record_seen "$label"
                case ${SEEN[$path]:-} in
                    ok) p=$((p + 1)) ;;
                    skip) s=$((s + 1)) ;;
                    *)
                        bad+=("$path [$(why)]")
                        [ "$RC" != 124 ] || slow=$((slow + 1))
                        ;;
                esac
            done
        fi
    elif [ "$RC" != 0 ] && [ ${#bad[@]} = 0 ]; then
        bad+=("[status $RC: $(why)]")
    fi
    report "$label" "$p" "$s" ${bad[@]+"${bad[@]}"}
}

# run_prog LABEL USER COMMAND...: counts the program; 77 is a skip, and so is
# output that matches SKIP_IF
run_prog() {
    local label=$1 user=$2
    shift 2
    in_ns "$LIMIT" "$user" "$@"
    keep "$label"
    if [ "$RC" = 77 ] || { [ -n "${SKIP_IF:-}" ] && grep -qE "$SKIP_IF" "$W/out" "$W/err"; }; then
        report "$label" 0 1
    elif [ "$RC" = 0 ]; then
        report "$label" 1 0
    else
        report "$label" 0 0 "[$(why)]"
    fi
}

# run_pytest LABEL USER COMMAND...: the command runs pytest -v (or -rA)
run_pytest() {
    local label=$1 user=$2 p s bad
    shift 2
    in_ns "$LIMIT" "$user" "$@"
    keep "$label"
    p=$(grep -cE '::.* (PASSED|XFAIL)' "$W/out")
    s=$(grep -cE '::.* SKIPPED' "$W/out")
    mapfile -t bad < <(sed -nE 's/^(.*\/)?([^ ]*::[^ ]*) (FAILED|ERROR).*/\2/p' "$W/out" | sort -u)
    if [ ${#bad[@]} = 0 ] && [ "$RC" != 0 ] && [ "$RC" != 5 ]; then
        bad=("[status $RC: $(why)]")
    fi
    report "$label" "$p" "$s" ${bad[@]+"${bad[@]}"}
}
