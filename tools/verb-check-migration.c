/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl check-migration
 *
 * Looks at a machine, changes nothing, and says what its owner should know before lambus becomes
 * its bus: what will behave otherwise, what is broken already although nobody noticed, and what
 * was looked at. Configuration and service files are read by the daemon's own parsers.
 */

#include "config.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "bus-core/util/error.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/busconfig.h"
#include "tools/configured.h"
#include "tools/migration.h"
#include "tools/verb.h"

#define PATH_SIZE 4096

enum severity {
        BLOCKS,  /* lambus would not be the bus, or not a safe one */
        DIFFERS, /* something will behave otherwise */
        BROKEN,  /* something does not work today, either */
        LOOKED,  /* what was looked at, and is fine */
};

static const char *const severity_names[] = { "blocks", "differs", "broken", "looked" };
static const char *const severity_titles[] = {
        "Do not switch before this is mended",
        "Will behave differently under lambus",
        "Broken already",
        "Looked at",
};

struct migration {
        json_t *findings;
        const char *bus;  /* "system" or "session", what is being looked at */
        unsigned int n[4];
        bool system, session, json;
        const char *config; /* instead of the installed one; NULL: that */
};

/* ---- findings ---- */

static _printf_(5, 6) void find(struct migration *m, enum severity severity, const char *where,
                                const char *advice, const char *format, ...)
{
        char text[1024];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        m->n[severity]++;
        json_array_append_new(m->findings,
                              json_pack("{s:s, s:s, s:s, s:s, s:s?}", "severity",
                                        severity_names[severity], "bus", m->bus, "where", where,
                                        "text", text, "advice", advice));
}

/* ---- configuration ---- */

struct habit {
        const char *needle; /* in one element of a configuration file */
        const char *also;   /* and this; NULL: nothing more */
        const char *text, *advice;
};

static const struct habit habits[] = {
        { "<allow", "send_requested_reply=\"false\"",
          "allows replies that no call waits for; lambus drops these",
          "make the program send a signal, or a call, instead" },
        { "<allow", "receive_requested_reply=\"false\"",
          "allows replies that no call waits for; lambus drops these",
          "make the program send a signal, or a call, instead" },
        { "<listen>nonce-tcp:", NULL, "listens on TCP with a nonce", "prefer a unix socket" },
        { "<listen>tcp:", NULL, "listens on TCP, where nothing is encrypted",
          "prefer a unix socket, or a tunnel to one" },
};

static void check_habits(struct migration *m, const char *path)
{
        FILE *f = fopen(path, "re");
        char line[4096], where[PATH_SIZE + 16];
        unsigned int n = 0;

        while (f && fgets(line, sizeof(line), f)) {
                n++;
                for (size_t i = 0; i < ARRAY_SIZE(habits); i++) {
                        if (!strstr(line, habits[i].needle) ||
                            (habits[i].also && !strstr(line, habits[i].also)))
                                continue;
                        snprintf(where, sizeof(where), "%s:%u", path, n);
                        find(m, DIFFERS, where, habits[i].advice, "%s", habits[i].text);
                }
        }
        if (f)
                fclose(f);
}

static void note_place(const struct busconfig_note *note, char where[static PATH_SIZE])
{
        if (note->line)
                snprintf(where, PATH_SIZE, "%s:%u", note->file, note->line);
        else
                snprintf(where, PATH_SIZE, "%s", note->file);
}

static void check_notes(struct migration *m, const struct busconfig *config)
{
        char where[PATH_SIZE];

        for (size_t i = 0; i < config->n_skipped; i++) {
                note_place(&config->skipped[i], where);
                find(m, BROKEN, where, "mend or remove the file; its rules do not apply today",
                     "the file is left out: %s", config->skipped[i].text);
        }
        for (size_t i = 0; i < config->n_warnings; i++) {
                note_place(&config->warnings[i], where);
                find(m, BROKEN, where, "mend or remove the rule; it does not apply today", "%s",
                     config->warnings[i].text);
        }
}

/* ---- services ---- */

static bool exists(const char *dir, const char *name)
{
        char path[PATH_SIZE];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return !access(path, F_OK);
}

static bool unit_exists(const struct migration *m, const char *unit)
{
        static const char *const system_dirs[] = {
                "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
                "/usr/lib/systemd/system", "/lib/systemd/system",
        };
        static const char *const user_dirs[] = {
                "/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
                "/usr/lib/systemd/user", "/lib/systemd/user",
        };
        bool system = !strcmp(m->bus, "system");

        for (size_t i = 0; i < ARRAY_SIZE(system_dirs); i++)
                if (exists(system ? system_dirs[i] : user_dirs[i], unit))
                        return true;
        return false;
}

static void check_service(struct migration *m, const struct service *service)
{
        bool by_unit = service->systemd_service && unit_exists(m, service->systemd_service);

        if (service->systemd_service && !by_unit && exists("/run/systemd", "system"))
                find(m, BROKEN, service->file,
                     "remove the file, or install or enable what brings the unit",
                     "%s is to be started by %s, which does not exist", service->name,
                     service->systemd_service);
        if (!by_unit && service->argc && *service->argv[0] == '/' &&
            !exists("", service->argv[0] + 1))
                find(m, BROKEN, service->file, "remove the file, or install the program",
                     "%s is to be started by %s, which does not exist", service->name,
                     service->argv[0]);
}

static void on_service_problem(void *arg, const struct service_problem *problem)
{
        char where[PATH_SIZE];

        if (problem->line)
                snprintf(where, sizeof(where), "%s:%u", problem->file, problem->line);
        else
                snprintf(where, sizeof(where), "%s", problem->file);
        find(arg, BROKEN, where, "mend or remove the file", "%s%s", problem->text,
             problem->skipped ? "; the file is left out" : "");
}

static int check_services(struct migration *m, const struct busconfig *config)
{
        _cleanup_(service_table_freep) struct service_table *table = NULL;
        int r = service_table_new(&table, on_service_problem, m);

        for (size_t i = 0; i < config->n_servicedirs && !r; i++)
                r = service_table_add_dir(table, config->servicedirs[i].path,
                                          config->servicedirs[i].flags);
        if (!r)
                r = service_table_scan(table);
        if (r)
                return r;
        for (size_t i = 0; i < service_table_n(table); i++)
                check_service(m, service_table_at(table, i));
        find(m, LOOKED, "services", NULL, "%zu services that can be started by name",
             service_table_n(table));
        return 0;
}

static int check_config(struct migration *m, const char *path)
{
        _cleanup_(busconfig_freep) struct busconfig *config = NULL;
        struct busconfig_note error = BUSCONFIG_NOTE_NULL;
        char where[PATH_SIZE];
        int r;

        r = busconfig_read(&config, path, BUSCONFIG_LENIENT, &error);
        if (r > 0) {
                snprintf(where, sizeof(where), "%s", path);
                if (error.file)
                        note_place(&error, where);
                find(m, BROKEN, where, "mend the file; no bus starts with it", "%s",
                     error.text ? error.text : "the file is missing");
                busconfig_note_deinit(&error);
                return 0;
        }
        if (r)
                return r;
        find(m, LOOKED, path, NULL, "%zu configuration files in force", config->n_files);
        check_notes(m, config);
        for (size_t i = 0; i < config->n_files; i++)
                check_habits(m, config->files[i]);
        return check_services(m, config);
}

/* ---- units ---- */

/* Does a drop-in say which program to start? What comes by an alias has the drop-ins of both. */
static bool sets_program(const char *path)
{
        FILE *f = fopen(path, "re");
        char line[4096];
        bool found = false;

        while (f && !found && fgets(line, sizeof(line), f))
                found = !strncmp(line, "ExecStart=/", 11) || !strncmp(line, "ExecStart=-/", 12) ||
                        !strncmp(line, "ExecStart=@/", 12);
        if (f)
                fclose(f);
        return found;
}

static void check_programs(struct migration *m, const char *dir)
{
        char pattern[PATH_SIZE + 8];
        glob_t files;

        snprintf(pattern, sizeof(pattern), "%s/*.conf", dir);
        if (glob(pattern, 0, NULL, &files))
                return;
        for (size_t i = 0; i < files.gl_pathc; i++)
                if (sets_program(files.gl_pathv[i]))
                        find(m, BLOCKS, files.gl_pathv[i], "remove ExecStart= from it",
                             "starts a program of its own as dbus.service, whatever that is");
        globfree(&files);
}

static void check_dropins(struct migration *m)
{
        static const char *const names[] = {
                "dbus.service.d", "dbus-broker.service.d", "dbus.socket.d",
        };
        const char *scope = !strcmp(m->bus, "system") ? "system" : "user";
        char dir[128];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                snprintf(dir, sizeof(dir), "/etc/systemd/%s/%s", scope, names[i]);
                if (!exists(dir, "."))
                        continue;
                find(m, DIFFERS, dir, "see that they still make sense",
                     "the bus's unit has settings of this machine's own");
                if (!i)
                        check_programs(m, dir);
        }
}

/* ---- the bus that runs ---- */

static const char *program_of(sd_bus *bus, char path[static PATH_SIZE])
{
        struct ucred creds;
        socklen_t n = sizeof(creds);
        char link[64];
        ssize_t len = -1;

        if (!getsockopt(sd_bus_get_fd(bus), SOL_SOCKET, SO_PEERCRED, &creds, &n)) {
                snprintf(link, sizeof(link), "/proc/%d/exe", creds.pid);
                len = readlink(link, path, PATH_SIZE - 1);
        }
        path[MAX(len, (ssize_t)0)] = 0;
        return len > 0 ? path : "a program that is not ours to see";
}

static void check_running(struct migration *m, bool system)
{
        sd_bus *bus = NULL;
        char path[PATH_SIZE];
        char **names = NULL;
        unsigned int n_peers = 0, n_names = 0;
        int r = system ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);

        if (r < 0) {
                find(m, LOOKED, "running bus", NULL, "none to be reached: %s", strerror(-r));
                return;
        }
        r = sd_bus_list_names(bus, &names, NULL);
        for (char **name = r < 0 ? NULL : names; name && *name; name++) {
                n_peers += **name == ':';
                n_names += **name != ':';
                free(*name);
        }
        free(names);
        find(m, LOOKED, "running bus", NULL, "%s, connections: %u, names: %u",
             program_of(bus, path), n_peers, n_names);
        if (strstr(path, "dbus-broker"))
                find(m, DIFFERS, path, "see the list of differences in the documentation",
                     "the bus of today is dbus-broker; lambus follows dbus-daemon where they differ");
        sd_bus_unref(bus);
}

/* ---- mediation ---- */

static void check_mediation(struct migration *m)
{
        bool selinux = !access("/sys/fs/selinux/enforce", F_OK);
        bool apparmor = !access("/sys/kernel/security/apparmor/features/dbus", F_OK);

#ifndef HAVE_SELINUX
        if (selinux)
                find(m, BLOCKS, "/sys/fs/selinux", "build lambus --with-selinux",
                     "SELinux is on, and this lambus cannot ask it");
#endif
#ifndef HAVE_APPARMOR
        if (apparmor)
                find(m, DIFFERS, "/sys/kernel/security/apparmor", "build lambus --with-apparmor",
                     "AppArmor mediates D-Bus, and this lambus cannot ask it");
#endif
        find(m, LOOKED, "mediation", NULL, "SELinux %s, AppArmor for D-Bus %s",
             selinux ? "on" : "off", apparmor ? "on" : "off");
}

/* ---- telling ---- */

static const char *text_of(const json_t *finding, const char *key)
{
        const char *text = json_string_value(json_object_get(finding, key));

        return text ? text : "";
}

static void tell_severity(const struct migration *m, enum severity severity)
{
        const json_t *finding;
        size_t i;

        if (!m->n[severity])
                return;
        printf("%s (%u):\n", severity_titles[severity], m->n[severity]);
        json_array_foreach (m->findings, i, finding) {
                if (strcmp(text_of(finding, "severity"), severity_names[severity]))
                        continue;
                printf("  [%s] %s\n      %s\n", text_of(finding, "bus"), text_of(finding, "where"),
                       text_of(finding, "text"));
                if (*text_of(finding, "advice"))
                        printf("      -> %s\n", text_of(finding, "advice"));
        }
        putchar('\n');
}

static void tell_number(const char *what, unsigned int n, bool first)
{
        const char *is = first ? "" : n == 1 ? "is " : "are ";

        if (n)
                printf("%u %s %s%s", n, n == 1 ? "thing" : "things", is, what);
        else
                printf("%s %s%s", first ? "Nothing here" : "nothing", first ? "" : "is ", what);
}

static int tell(const struct migration *m)
{
        if (m->json) {
                json_t *root = json_pack("{s:i, s:i, s:i, s:i, s:O}", "version", 1, "blocks",
                                         m->n[BLOCKS], "differs", m->n[DIFFERS], "broken", m->n[BROKEN], "findings",
                                         m->findings);

                if (!root || json_dumpf(root, stdout, JSON_INDENT(2)))
                        return verb_fail("cannot write the result");
                putchar('\n');
                json_decref(root);
        } else {
                for (int i = BLOCKS; i <= LOOKED; i++)
                        tell_severity(m, (enum severity)i);
                tell_number("would behave differently", m->n[DIFFERS], true);
                printf("; ");
                tell_number("broken today", m->n[BROKEN], false);
                printf(".\n%s", m->n[DIFFERS] ? "" : "What your programs would notice: lambusctl "
                                                     "record, then compare.\n");
        }
        return m->n[DIFFERS] || m->n[BLOCKS] ? VERB_FOUND : VERB_OK;
}

/* ---- the verb ---- */

static const char help[] =
        "Usage: lambusctl check-migration [OPTION...]\n\n"
        "Looks at this machine, changes nothing, and says what would be different with lambus,\n"
        "and what is broken already. Exit status 1: something would be different.\n\n"
        "      --system, --session   only this bus (default: both)\n"
        "      --config=FILE         with this configuration instead of the installed one\n"
        "      --json                for programs\n";

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        CONFIGURED_OPTIONS,
        { "json", no_argument, NULL, OPT_JSON },
        { NULL, 0, NULL, 0 },
};

static int check_bus(struct migration *m, bool system)
{
        m->bus = system ? "system" : "session";
        check_dropins(m);
        if (m->config)
                return check_config(m, m->config);
        return check_config(m, system ? DBUS_DATADIR "/dbus-1/system.conf"
                                      : DBUS_DATADIR "/dbus-1/session.conf");
}

json_t *migration_look(bool system)
{
        struct migration m = { .findings = json_array() };

        if (!m.findings || check_bus(&m, system)) {
                json_decref(m.findings);
                return NULL;
        }
        m.bus = "both";
        check_mediation(&m);
        return m.findings;
}

static int run(struct migration *m)
{
        bool system = m->system || !m->session, session = m->session || !m->system;
        int r = 0;

        if (!m->findings)
                return verb_fail("%s", strerror(ENOMEM));
        if (system) {
                r = check_bus(m, true);
                check_running(m, true);
        }
        if (!r && session) {
                r = check_bus(m, false);
                check_running(m, false);
        }
        m->bus = "both";
        check_mediation(m);
        return r ? verb_fail("%s", strerror(-r)) : tell(m);
}

static int take_option(void *verb, int opt)
{
        struct migration *m = verb;

        m->system |= opt == OPT_SYSTEM;
        m->session |= opt == OPT_SESSION;
        m->json |= opt == OPT_JSON;
        if (opt == OPT_CONFIG)
                m->config = optarg;
        return 0;
}

static const struct verb_options verb = {
        .options = options,
        .letters = "",
        .help = help,
        .take = take_option,
};

int verb_check_migration(int argc, char **argv)
{
        struct migration m = { .findings = json_array() };
        int r;

        r = verb_read_options(&verb, &m, argc, argv);
        if (!r)
                r = run(&m);
        json_decref(m.findings);
        return MAX(r, 0);
}
