/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl switch
 *
 * Makes lambus the machine's bus from the next boot on, if nothing speaks against it, and takes it
 * back. Going back asks and checks nothing: it is for a rescue shell, too.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig.h"
#include "tools/migration.h"
#include "tools/reach.h"
#include "tools/sandbox.h"
#include "tools/switch.h"
#include "tools/verb.h"

enum mode {
        MODE_ON,
        MODE_CHECK,
        MODE_BACK,
        MODE_STATUS,
};

struct switching {
        enum mode mode;
        const char *root; /* "/" is this machine */
        bool wanted[SWITCH_SCOPE_N];
        bool no_trial;
        struct switch_place place[SWITCH_SCOPE_N];
        unsigned int n_stops; /* what speaks against it */
};

static const char *const scope_names[SWITCH_SCOPE_N] = {
        [SWITCH_SYSTEM] = "system bus",
        [SWITCH_USERS] = "users' buses",
};

static const char help[] =
        "Usage: lambusctl switch [OPTION...]\n\n"
        "Makes lambus the system bus from the next boot on, and the bus of users from their next\n"
        "login on; --back undoes it. Links below /etc/systemd are all that is changed. No bus\n"
        "that runs is stopped. First it is checked that lambus can serve here.\n\n"
        "      --back            as it was before; needs neither systemd nor a bus to run\n"
        "      --check           check only, change nothing\n"
        "      --status          which bus will be started; changes nothing\n"
        "      --system          the system bus only (default: both)\n"
        "      --user            the users' buses only\n"
        "      --root=DIR        of the system that is installed in DIR\n"
        "      --no-trial        do not start a bus aside as a check\n\n"
        "Exit status: 0 done; 1 something speaks against it, and nothing was changed; 2 it could\n"
        "not be done.\n";

/* --- what was found --------------------------------------------------------------------------- */

static void say(const char *what, const char *format, va_list args)
{
        printf("  %-6s ", what);
        vprintf(format, args);
        putchar('\n');
}

static _printf_(1, 2) void say_ok(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say("ok", format, args);
        va_end(args);
}

static _printf_(1, 2) void say_note(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say("note", format, args);
        va_end(args);
}

static _printf_(2, 3) void say_stop(struct switching *s, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say("STOPS", format, args);
        va_end(args);
        s->n_stops++;
}

/* --- units ------------------------------------------------------------------------------------ */

/* The program that a unit starts; false if it names none. */
static bool program_of(const struct switch_place *place, const char *unit,
                       char program[SWITCH_PATH_MAX])
{
        int fd = switch_look(place, unit, O_RDONLY);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
        char line[SWITCH_PATH_MAX];
        bool found = false;

        while (f && !found && fgets(line, sizeof(line), f)) {
                const char *path;

                if (strncmp(line, "ExecStart=", 10))
                        continue;
                path = line + 10 + strspn(line + 10, "-@:+!");
                snprintf(program, SWITCH_PATH_MAX, "%.*s", (int)strcspn(path, " \t\n"), path);
                found = *program == '/';
        }
        if (f)
                fclose(f);
        else
                closep(&fd);
        return found;
}

static bool is_program(const struct switch_place *place, const char *path)
{
        _cleanup_(closep) int fd = switch_look(place, path, O_PATH);
        struct stat st;

        return fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_mode & 0111;
}

static void check_units(struct switching *s, enum switch_scope scope, char program[SWITCH_PATH_MAX])
{
        const struct switch_place *place = &s->place[scope];
        char unit[SWITCH_PATH_MAX], path[SWITCH_PATH_MAX], target[SWITCH_PATH_MAX];

        *program = 0;
        if (!switch_find(place, SWITCH_UNIT, unit))
                say_stop(s, "there is no unit " SWITCH_UNIT ", or it is masked: install lambus");
        else if (!program_of(place, unit, program))
                say_stop(s, "%s names no program to start", unit);
        else if (!is_program(place, program))
                say_stop(s, "%s starts %s, which is no program here", unit, program);
        else
                say_ok("%s starts %s", unit, program);
        if (!switch_find(place, "dbus.socket", path))
                say_stop(s, "there is no unit dbus.socket, where clients connect, or it is masked: "
                            "install %s", scope == SWITCH_SYSTEM ? "dbus" : "dbus-user-session");
        switch (switch_state(place, target)) {
        case SWITCH_MASKED:
                say_stop(s, SWITCH_NAME " is masked here: somebody wants no bus; 'systemctl %sunmask "
                            SWITCH_NAME "' if that is over",
                         scope == SWITCH_SYSTEM ? "" : "--global ");
                break;
        case SWITCH_OTHER:
                say_note(SWITCH_NAME " is %s now; --back will put it back",
                         *target ? target : "a file of this machine's own");
                break;
        default:
                break;
        }
}

/* --- configuration ---------------------------------------------------------------------------- */

static void count_findings(struct switching *s, const json_t *findings)
{
        unsigned int n_differs = 0, n_broken = 0;
        const char *severity, *where, *text, *advice;
        json_t *finding;
        size_t i;

        json_array_foreach((json_t *)findings, i, finding) {
                advice = NULL;
                if (json_unpack(finding, "{s:s,s:s,s:s,s?s}", "severity", &severity, "where",
                                &where, "text", &text, "advice", &advice))
                        continue;
                n_differs += !strcmp(severity, "differs");
                n_broken += !strcmp(severity, "broken");
                if (!strcmp(severity, "blocks"))
                        say_stop(s, "%s: %s%s%s", where, text, advice ? "; " : "",
                                 advice ? advice : "");
        }
        if (n_differs)
                say_note("%u thing%s will behave differently: see lambusctl check-migration",
                         n_differs, n_differs == 1 ? "" : "s");
        if (n_broken)
                say_note("%u thing%s broken today already: see lambusctl check-migration", n_broken,
                         n_broken == 1 ? " is" : "s are");
}

/* By the daemon's parser and with its leniency. */
static void check_configuration(struct switching *s, bool system)
{
        const char *path = system ? DBUS_DATADIR "/dbus-1/system.conf"
                                  : DBUS_DATADIR "/dbus-1/session.conf";
        _cleanup_(busconfig_freep) struct busconfig *config = NULL;
        struct busconfig_note error = BUSCONFIG_NOTE_NULL;
        json_auto_t *findings = NULL;
        int r;

        r = busconfig_read(&config, path, BUSCONFIG_LENIENT, &error);
        if (r)
                say_stop(s, "the configuration cannot be used: %s line %u: %s",
                         error.file ? error.file : path, error.line,
                         error.text ? error.text : strerror(r < 0 ? -r : ENOENT));
        else
                say_ok("%s can be used%s", path,
                       config->n_skipped ? ", but not all that it includes" : "");
        busconfig_note_deinit(&error);
        if (r)
                return;
        findings = migration_look(system);
        if (findings)
                count_findings(s, findings);
        else
                say_stop(s, "it cannot be checked: not enough memory");
}

/* In a process of its own, for which the root is the root. */
static bool go_below(const char *root)
{
        if (!strcmp(root, "/"))
                return true;
        if (chroot(root) < 0 && (unshare(CLONE_NEWUSER) < 0 || chroot(root) < 0))
                return false;
        return chdir("/") == 0;
}

static void check_below(struct switching *s, enum switch_scope scope)
{
        int status;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (!pid) {
                s->n_stops = 0;
                if (go_below(s->root))
                        check_configuration(s, scope == SWITCH_SYSTEM);
                else
                        say_stop(s, "the configuration below %s can be checked by root only",
                                 s->root);
                fflush(stdout);
                _exit(MIN(s->n_stops, 100U));
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                say_stop(s, "the configuration cannot be checked");
        else
                s->n_stops += WEXITSTATUS(status);
}

/* --- a trial ---------------------------------------------------------------------------------- */

/* Starts the daemon with this machine's configuration at an address of its own, and says Hello. */
static void try_daemon(struct switching *s, enum switch_scope scope, const char *program)
{
        const char *config = scope == SWITCH_SYSTEM ? DBUS_DATADIR "/dbus-1/system.conf"
                                                    : DBUS_DATADIR "/dbus-1/session.conf";
        _cleanup_(sandbox_freep) struct sandbox *sandbox = NULL;
        char command[SWITCH_PATH_MAX + 16];
        struct reach reach;
        sd_bus *bus = NULL;

        if (s->no_trial || strcmp(s->root, "/") || geteuid()) {
                say_note("no trial: %s", s->no_trial ? "as you wish"
                                            : geteuid() ? "only root can start the system's bus"
                                                        : "it is not the system that runs");
                return;
        }
        snprintf(command, sizeof(command), "%s --nosyslog", program);
        if (sandbox_start(&sandbox, command, config, NULL)) {
                say_stop(s, "a trial failed: %s",
                         sandbox && *sandbox->error ? sandbox->error : strerror(errno));
                return;
        }
        reach = (struct reach){ .address = sandbox->address };
        if (reach_open(&bus, &reach))
                say_stop(s, "a trial failed: %s was started and did not answer", program);
        else
                say_ok("a trial: %s was started aside, and answered", program);
        sd_bus_close_unref(bus);
}

static void check(struct switching *s, enum switch_scope scope)
{
        char program[SWITCH_PATH_MAX];
        unsigned int before = s->n_stops;

        printf("%s\n", scope_names[scope]);
        check_units(s, scope, program);
        check_below(s, scope);
        if (s->n_stops == before)
                try_daemon(s, scope, program);
}

/* --- doing it --------------------------------------------------------------------------------- */

static int fail(const struct switching *s, enum switch_scope scope, int r)
{
        const char *what = scope_names[scope];

        switch (r) {
        case SWITCH_E_NO_SYSTEMD:
                return verb_fail("%s: there is no /etc/systemd below %s: no systemd starts a bus "
                                 "there", what, s->root);
        case SWITCH_E_NO_UNIT:
                return verb_fail("%s: there is no unit " SWITCH_UNIT, what);
        case SWITCH_E_MASKED:
                return verb_fail("%s: " SWITCH_NAME " is masked", what);
        case SWITCH_E_ODD:
                return verb_fail("%s: /etc/systemd has a " SWITCH_NAME " that is neither link nor "
                                 "file", what);
        case SWITCH_E_NOTHING_LEFT:
                return verb_fail("%s: there is no other " SWITCH_NAME " to go back to; install "
                                 "dbus or dbus-broker first", what);
        case -EACCES:
        case -EPERM:
                return verb_fail("%s: %s: run it as root", what, strerror(-r));
        case -EROFS:
                return verb_fail("%s: %s: 'mount -o remount,rw /' first", what, strerror(-r));
        default:
                return verb_fail("%s: %s", what, strerror(-r));
        }
}

static void tell_state(const struct switching *s, enum switch_scope scope)
{
        const struct switch_place *place = &s->place[scope];
        char target[SWITCH_PATH_MAX], path[SWITCH_PATH_MAX];
        enum switch_state state = switch_state(place, target);

        printf("%s: from the next %s on ", scope_names[scope],
               scope == SWITCH_SYSTEM ? "boot" : "login");
        if (state == SWITCH_LAMBUS)
                printf("lambus (%s)\n", target);
        else if (state == SWITCH_MASKED)
                printf("none: " SWITCH_NAME " is masked\n");
        else if (state == SWITCH_OTHER)
                printf("that of %s\n", *target ? target : "a " SWITCH_NAME " in /etc/systemd");
        else if (switch_find(place, SWITCH_NAME, path))
                printf("that of %s\n", path);
        else
                printf("none: there is no " SWITCH_NAME "\n");
}

/* Both can be opened before anything is done to one. */
static int open_places(struct switching *s)
{
        int r;

        for (int i = 0; i < SWITCH_SCOPE_N; i++) {
                r = s->wanted[i] ? switch_open(&s->place[i], s->root, i) : 0;
                if (r == -ENOENT || r == -ENOTDIR)
                        return verb_fail("there is no directory %s", s->root);
                if (r)
                        return fail(s, i, r);
        }
        return VERB_OK;
}

static int check_all(struct switching *s)
{
        for (int i = 0; i < SWITCH_SCOPE_N; i++)
                if (s->wanted[i])
                        check(s, i);
        if (!s->n_stops) {
                if (s->mode == MODE_CHECK)
                        puts("Nothing speaks against it. Nothing was changed.");
                return VERB_OK;
        }
        printf("Nothing was changed: %u thing%s to be mended first.\n", s->n_stops,
               s->n_stops == 1 ? " has" : "s have");
        return VERB_FOUND;
}

static int change(struct switching *s)
{
        int r;

        for (int i = 0; i < SWITCH_SCOPE_N; i++) {
                if (!s->wanted[i])
                        continue;
                r = s->mode == MODE_ON ? switch_on(&s->place[i]) : switch_back(&s->place[i]);
                if (r)
                        return fail(s, i, r);
        }
        return VERB_OK;
}

static int run(struct switching *s)
{
        int r;

        r = open_places(s);
        if (!r && (s->mode == MODE_ON || s->mode == MODE_CHECK))
                r = check_all(s);
        if (r || s->mode == MODE_CHECK)
                return r;
        if (s->mode != MODE_STATUS)
                r = change(s);
        for (int i = 0; i < SWITCH_SCOPE_N; i++)
                if (s->wanted[i])
                        tell_state(s, i);
        if (!r && s->mode == MODE_ON)
                puts("To undo it, also from a rescue shell: lambusctl switch --back");
        return r;
}

/* --- options ---------------------------------------------------------------------------------- */

enum { OPT_BACK = OPT_OWN, OPT_CHECK, OPT_STATUS, OPT_USER, OPT_ROOT, OPT_NO_TRIAL };

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        { "back", no_argument, NULL, OPT_BACK },
        { "check", no_argument, NULL, OPT_CHECK },
        { "dry-run", no_argument, NULL, OPT_CHECK },
        { "status", no_argument, NULL, OPT_STATUS },
        { "system", no_argument, NULL, OPT_SYSTEM },
        { "user", no_argument, NULL, OPT_USER },
        { "root", required_argument, NULL, OPT_ROOT },
        { "no-trial", no_argument, NULL, OPT_NO_TRIAL },
        { NULL, 0, NULL, 0 },
};

static int take_mode(struct switching *s, enum mode mode)
{
        if (s->mode != MODE_ON && s->mode != mode)
                return verb_fail("--back, --check and --status exclude each other");
        s->mode = mode;
        return VERB_OK;
}

static int take_option(void *verb, int opt)
{
        struct switching *s = verb;

        switch (opt) {
        case OPT_BACK:
                return take_mode(s, MODE_BACK);
        case OPT_CHECK:
                return take_mode(s, MODE_CHECK);
        case OPT_STATUS:
                return take_mode(s, MODE_STATUS);
        case OPT_SYSTEM:
                s->wanted[SWITCH_SYSTEM] = true;
                return VERB_OK;
        case OPT_USER:
                s->wanted[SWITCH_USERS] = true;
                return VERB_OK;
        case OPT_ROOT:
                s->root = optarg;
                return VERB_OK;
        case OPT_NO_TRIAL:
                s->no_trial = true;
                return VERB_OK;
        default:
                return VERB_FAILED;
        }
}

static const struct verb_options verb = {
        .options = options,
        .letters = "",
        .help = help,
        .take = take_option,
};

int verb_switch(int argc, char **argv)
{
        struct switching s = {
                .root = "/",
                .place = { SWITCH_PLACE_NULL, SWITCH_PLACE_NULL },
        };
        int r;

        r = verb_read_options(&verb, &s, argc, argv);
        if (r)
                return MAX(r, 0);
        if (!s.wanted[SWITCH_SYSTEM] && !s.wanted[SWITCH_USERS])
                s.wanted[SWITCH_SYSTEM] = s.wanted[SWITCH_USERS] = true;
        r = run(&s);
        for (int i = 0; i < SWITCH_SCOPE_N; i++)
                switch_close(&s.place[i]);
        return r;
}
