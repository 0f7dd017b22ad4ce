/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configure and apply: which configuration holds, what it makes of a running bus, and what the log
 * says of it.
 */

#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "shim/bus/activate.h"
#include "shim/bus/log.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/console.h"
#include "shim/daemon/daemon.h"

/* A file that has its place by itself may break, and the bus must come up all the same. */
static bool is_lenient(const struct daemon *d)
{
        return d->options.bus != OPTIONS_BUS_OTHER;
}

int daemon_read_config(struct daemon *d, struct busconfig **configp, struct busconfig_note *note)
{
        unsigned int flags = is_lenient(d) ? BUSCONFIG_LENIENT | BUSCONFIG_KEEP : 0;

        return error_fold(busconfig_read_again(configp, d->config, d->options.config_file, flags,
                                               note));
}

/* what is wrong with a configuration as a whole, for people */
void daemon_describe_note(const struct daemon *d, const struct busconfig_note *note, int r,
                          char *buf, size_t size)
{
        const char *file = note->file ? note->file : d->options.config_file;
        const char *text = note->text ? note->text : strerror(-r);

        if (note->line)
                snprintf(buf, size, "%s line %u: %s", file, note->line, text);
        else
                snprintf(buf, size, "%s: %s", file, text);
}

/* The root file is broken: what is built in is enough for a login. */
static int fall_back(struct daemon *d, const char *why)
{
        bool system = d->options.bus == OPTIONS_BUS_SYSTEM;
        const char *text = busconfig_builtin(system);
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        int r;

        fprintf(stderr, "%s: going on with the built-in configuration\n", why);
        r = busconfig_parse(&d->config, "(built in)", text, strlen(text),
                            BUSCONFIG_LENIENT | BUSCONFIG_KEEP, &note);
        busconfig_note_deinit(&note);
        d->fell_back = !r;
        return r;
}

int daemon_configure(struct daemon *d)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        char why[1024];
        int r;

        r = daemon_read_config(d, &d->config, &note);
        if (r) {
                daemon_describe_note(d, &note, r, why, sizeof(why));
                busconfig_note_deinit(&note);
                if (r > 0 && is_lenient(d))
                        r = fall_back(d, why);
        }
        if (r) {
                return daemon_fail(d, -EINVAL, "%s", why);
        }
        d->told.read = now_usec();
        if (d->config->type) {
                d->bus.type = strdup(d->config->type);
                if (!d->bus.type)
                        return error_origin(-ENOMEM);
        }
        return 0;
}

static void report(const struct daemon *d, const struct busconfig *config)
{
        if (d->fell_back)
                log_line(LOG_ERR, "%s cannot be used: the built-in configuration holds",
                         d->options.config_file);
        for (size_t i = 0; i < config->n_skipped; i++)
                log_line(LOG_WARNING, "%s line %u: %s: the file is left out",
                         config->skipped[i].file, config->skipped[i].line, config->skipped[i].text);
        for (size_t i = 0; i < config->n_warnings; i++)
                log_line(LOG_WARNING, "%s line %u: %s", config->warnings[i].file,
                         config->warnings[i].line, config->warnings[i].text);
}

/* How often to look for calls whose time is up: late by an eighth of it at most. */
static uint64_t expire_usec(const struct daemon *d)
{
        uint64_t eighth = limit_get(&d->bus.limits.reply_timeout) / 8 * 1000;

        return MAX((uint64_t)5000, MIN(eighth, (uint64_t)1000000));
}

static void expire(struct timer *timer, struct turn *turn)
{
        struct daemon *d = container_of(timer, struct daemon, expire);

        turn_write(turn);
        bus_expire_replies(turn, now_usec());
        turn_commit(turn);
        turn_release(turn);
        timer_set(&d->expire, &d->workers[0].poller, expire_usec(d));
}

static void report_service(void *arg, const struct service_problem *problem)
{
        if (problem->line)
                log_line(LOG_WARNING, "%s line %u: %s%s", problem->file, problem->line,
                         problem->text, problem->skipped ? ": the file is left out" : "");
        else
                log_line(LOG_WARNING, "%s: %s%s", problem->file, problem->text,
                         problem->skipped ? ": it is left out" : "");
}

/*
 * The directory for transient services is made, as others expect to find it: @path is
 * <runtime directory>/dbus-1/services. Without a runtime directory of ours there is none.
 */
static void make_transient_dir(const char *path)
{
        _cleanup_(freep) char *copy = strdup(path);
        struct stat st;
        char *last, *middle;

        last = copy ? strrchr(copy, '/') : NULL;
        middle = last ? memrchr(copy, '/', last - copy) : NULL;
        if (!middle)
                return;
        *middle = 0;
        if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
                return;
        *middle = '/';
        *last = 0;
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
                return;
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                log_line(LOG_WARNING, "%s cannot be made: %m", path);
}

static int find_services(struct service_table **tablep, const struct busconfig *config)
{
        _cleanup_(service_table_freep) struct service_table *table = NULL;
        const struct busconfig_servicedir *dir;
        int r;

        r = service_table_new(&table, report_service, NULL);
        for (size_t i = 0; !r && i < config->n_servicedirs; i++) {
                dir = &config->servicedirs[i];
                if (dir->flags & SERVICE_DIR_UNWATCHED)
                        make_transient_dir(dir->path);
                r = service_table_add_dir(table, dir->path, dir->flags);
        }
        if (!r)
                r = service_table_scan(table);
        if (r)
                return error_fold(r);
        *tablep = steal(&table);
        return 0;
}

static int find_limits(struct limit_table **tablep, const struct busconfig *config)
{
        _cleanup_(limit_table_unrefp) struct limit_table *table = NULL;
        int r;

        r = limit_table_new(&table, &config->limits, config->limit_origin);
        for (size_t i = 0; !r && i < config->n_overrides; i++)
                r = limit_table_append(table, &config->overrides[i]);
        if (r)
                return error_fold(r);
        *tablep = steal(&table);
        return 0;
}

static void say_change(void *arg, const char *text)
{
        size_t *n = arg;

        log_line(LOG_NOTICE, "Reloaded configuration: %s", text);
        ++*n;
}

/* one line for each kind of thing that is different now; a failure costs the lines only */
static void report_services(const struct service_table *from, const struct service_table *to,
                            size_t *n)
{
        size_t n_from = service_table_n(from), n_to = service_table_n(to);
        _cleanup_(freep) const char **names = calloc(n_from + n_to + 1, sizeof(*names));

        if (!names)
                return;
        for (size_t i = 0; i < n_from; i++)
                names[i] = service_table_at(from, i)->name;
        for (size_t i = 0; i < n_to; i++)
                names[n_from + i] = service_table_at(to, i)->name;
        busconfig_diff_texts("services", (char **)names, n_from, (char **)names + n_from, n_to,
                             say_change, n);
}

static void report_changes(struct daemon *d, const struct busconfig *config,
                           const struct service_table *table)
{
        const struct service_table *before = activator_services(d->bus.activator);
        size_t n = 0;

        if (!before || config == d->config)
                return; /* the first time */
        busconfig_diff(d->config, config, say_change, &n);
        report_services(before, table, &n);
        if (!n)
                say_change(&n, "nothing has changed");
}

int daemon_apply(struct daemon *d, struct turn *turn, struct busconfig *config)
{
        _cleanup_(service_table_freep) struct service_table *services = NULL;
        _cleanup_(limit_table_unrefp) struct limit_table *limits = NULL;
        struct bus *bus = &d->bus;
        int r;

        r = find_limits(&limits, config);
        if (!r)
                r = find_services(&services, config);
        if (!r)
                r = bus_set_policy(bus, config->policy);
        if (!r)
                r = daemon_associate(d, config);
        if (!r)
                r = daemon_watch_console(d);
        if (!r)
                r = bus_set_limits(bus, limits);
        if (r)
                return error_fold(r);
        report_changes(d, config, services);
        r = activator_configure(bus->activator, services, config->servicehelper);
        if (r)
                return error_fold(r);
        services = NULL;
        d->expire.fn = expire;
        if (config->limits.reply_timeout != LIMIT_NEVER)
                timer_set(&d->expire, &d->workers[0].poller, expire_usec(d));
        else
                timer_clear(&d->expire);
        report(d, config);
        return 0;
}
