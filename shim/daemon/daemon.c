/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "shim/bus/activate.h"
#include "shim/bus/log.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/console.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/service.h"
#include "shim/dbus/driver.h"

static void read_machine_id(char out[static 33])
{
        static const char *const files[] = { "/var/lib/dbus/machine-id", "/etc/machine-id" };
        char text[33];

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_(closep) int fd = open(files[i], O_RDONLY | O_CLOEXEC);

                if (fd < 0 || read(fd, text, 32) != 32)
                        continue;
                text[32] = 0;
                if (strspn(text, "0123456789abcdef") == 32) {
                        memcpy(out, text, 33);
                        return;
                }
        }
}

static int bus_reload(struct bus *bus, struct turn *turn, char *why, size_t size)
{
        struct daemon *d = container_of(bus, struct daemon, bus);

        return error_fold(daemon_reload(d, turn, why, size));
}

static int bus_launch(struct bus *bus, struct launch **out, struct activation *activation,
                      const char *name, char *const *argv, char *const *envp)
{
        struct daemon *d = container_of(bus, struct daemon, bus);

        return error_fold(spawn_launch(&d->spawner, out, activation, name, argv, envp));
}

static void bus_abandon(struct bus *bus, struct launch *launch, bool kill)
{
        spawn_abandon(launch, kill);
}

static bool bus_at_console(struct bus *bus, uid_t uid)
{
        const struct daemon *d = container_of(bus, struct daemon, bus);
        const char *dir = d->options.console_dir;

        return console_has(uid, dir ? dir : CONSOLE_DIR);
}

static const struct bus_keeper keeper = {
        .at_console = bus_at_console,
        .reload = bus_reload,
        .launch = bus_launch,
        .abandon = bus_abandon,
};

int daemon_init(struct daemon *d, const struct options *options)
{
        int r;

        *d = (struct daemon){
                .options = *options,
                .signal_fd = -1,
                .signals.fd = -1,
                .inotify_fd = -1,
                .changes.fd = -1,
                .policy_events.fd = -1,
                .seats.watch.fd = -1,
                .tell = -1,
        };
        d->n_workers = options->workers ? options->workers : 1;
        d->workers = calloc(d->n_workers, sizeof(*d->workers));
        if (!d->workers)
                return error_origin(-ENOMEM);
        r = bus_init(&d->bus, d->n_workers, &driver_local);
        if (r)
                return error_fold(r);
        d->bus_is_up = true;
        d->bus.keeper = &keeper;
        d->bus.systemd_activation = options->systemd_activation;
        random_id(d->bus.id);
        read_machine_id(d->bus.machine_id);
        return 0;
}

void daemon_deinit(struct daemon *d)
{
        if (d->listeners_are_up)
                listeners_deinit(&d->listeners);
        cookie_ring_deinit(&d->cookies);
        if (d->bus_is_up)
                bus_deinit(&d->bus);
        d->config = busconfig_free(d->config);
        if (d->pidfile)
                unlink(d->pidfile);
        free(d->pidfile);
        free(d->workers);
        closep(&d->tell);
}

static void report(const struct busconfig *config)
{
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
                log_line(LOG_WARNING, "%s %s%s", problem->file, problem->text,
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

static int apply_services(struct daemon *d, const struct busconfig *config)
{
        _cleanup_(service_table_freep) struct service_table *table = NULL;
        int r;

        for (size_t i = 0; i < config->n_servicedirs; i++)
                if (config->servicedirs[i].flags & SERVICE_DIR_UNWATCHED)
                        make_transient_dir(config->servicedirs[i].path);
        r = service_table_new(&table, report_service, NULL);
        for (size_t i = 0; !r && i < config->n_servicedirs; i++)
                r = service_table_add_dir(table, config->servicedirs[i].path,
                                          config->servicedirs[i].flags);
        if (!r)
                r = service_table_scan(table);
        if (!r)
                r = activator_configure(d->bus.activator, table, config->servicehelper);
        if (r)
                return error_fold(r);
        table = NULL;
        return 0;
}

static int apply_limits(struct daemon *d, const struct busconfig *config)
{
        _cleanup_(limit_table_unrefp) struct limit_table *table = NULL;
        int r;

        r = limit_table_new(&table, &config->limits, config->limit_origin);
        for (size_t i = 0; !r && i < config->n_overrides; i++)
                r = limit_table_append(table, &config->overrides[i]);
        if (!r)
                bus_set_limits(&d->bus, table);
        return error_fold(r);
}

int daemon_apply(struct daemon *d, struct turn *turn, struct busconfig *config)
{
        struct bus *bus = &d->bus;
        int r;

        r = bus_set_policy(bus, config->policy);
        if (!r)
                r = daemon_associate(d, config);
        if (!r)
                r = daemon_watch_console(d);
        if (!r)
                r = apply_limits(d, config);
        if (!r)
                r = apply_services(d, config);
        if (r)
                return error_fold(r);
        d->expire.fn = expire;
        if (config->limits.reply_timeout != LIMIT_NEVER)
                timer_set(&d->expire, &d->workers[0].poller, expire_usec(d));
        else
                timer_clear(&d->expire);
        report(config);
        return 0;
}

int daemon_configure(struct daemon *d)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        int r;

        r = busconfig_read(&d->config, d->options.config_file, 0, &note);
        if (r) {
                fprintf(stderr, "Failed to start message bus: %s%s%s",
                        note.file ? note.file : d->options.config_file, note.line ? " line " : "",
                        note.line ? "" : ": ");
                if (note.line)
                        fprintf(stderr, "%u: ", note.line);
                fprintf(stderr, "%s\n", note.text ? note.text : strerror(-r));
                busconfig_note_deinit(&note);
                return -EINVAL;
        }
        if (d->config->type) {
                d->bus.type = strdup(d->config->type);
                if (!d->bus.type)
                        return error_origin(-ENOMEM);
        }
        return 0;
}

static unsigned int mechanisms(const struct busconfig *config)
{
        unsigned int all = 0;

        for (size_t i = 0; i < config->n_auth; i++)
                all |= auth_mechanism_from_name(config->auth[i], strlen(config->auth[i]));
        return config->n_auth ? all : AUTH_ALL;
}

int daemon_listen(struct daemon *d)
{
        const struct conn_config common = {
                .mechanisms = mechanisms(d->config),
                .allow_anonymous = d->config->allow_anonymous,
                .challenge = cookie_ring_init(&d->cookies, NULL) ? NULL : cookie_ring_challenge,
                .challenge_ctx = &d->cookies,
        };
        char why[LISTEN_WHY_MAX];
        int r = 0;

        listeners_init(&d->listeners, &d->bus, &common);
        d->listeners_are_up = true;
        if (d->options.address)
                r = listeners_add(&d->listeners, d->options.address, why);
        for (size_t i = 0; !r && !d->options.address && i < d->config->n_listen; i++)
                r = listeners_add(&d->listeners, d->config->listen[i], why);
        if (r) {
                fprintf(stderr, "Failed to start message bus: %s\n", why);
                return error_fold(r);
        }
        d->bus.address = listeners_print(&d->listeners);
        return d->bus.address ? 0 : error_origin(-ENOMEM);
}

static void on_signal(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct daemon *d = container_of(watch, struct daemon, signals);
        struct signalfd_siginfo info;
        char why[1024];

        while (read(d->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGTERM) {
                        atomic_store(&d->workers[0].stop, true);
                } else if (info.ssi_signo == SIGHUP) {
                        turn_write(turn);
                        if (daemon_reload(d, turn, why, sizeof(why)))
                                log_line(LOG_ERR, "the old configuration is kept: %s", why);
                        turn_commit(turn);
                        turn_release(turn);
                }
        }
}

static int take_signals(struct daemon *d)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        signal(SIGPIPE, SIG_IGN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (d->signal_fd < 0)
                return error_origin(-errno);
        return error_fold(watch_start(&d->signals, &d->workers[0].poller, d->signal_fd, EPOLLIN,
                                      on_signal));
}

static int start_workers(struct daemon *d)
{
        int r;

        for (unsigned int i = 0; i < d->n_workers; i++) {
                r = worker_init(&d->workers[i], &d->bus, i);
                if (r)
                        return error_fold(r);
        }
        r = take_signals(d);
        if (r)
                return error_fold(r);
        for (unsigned int i = 1; i < d->n_workers; i++) {
                r = worker_start(&d->workers[i]);
                if (r)
                        return error_fold(r);
        }
        return error_fold(listeners_start(&d->listeners, d->workers, d->n_workers));
}

/* Whoever waits for a service is told that none will come. */
static void stop_services(struct daemon *d)
{
        struct turn *turn = &d->workers[0].turn;

        turn_write(turn);
        activator_stop(d->bus.activator, turn);
        turn_commit(turn);
        turn_release(turn);
        turn_drain(turn);
}

static void stop_workers(struct daemon *d)
{
        listeners_stop(&d->listeners);
        d->kdbus = bridge_free(d->kdbus, &d->workers[0].turn);
        stop_services(d);
        daemon_unwatch_files(d);
        daemon_unwatch_mediation(d);
        daemon_unwatch_console(d);
        for (unsigned int i = 1; i < d->n_workers; i++)
                worker_stop(&d->workers[i]);
        timer_clear(&d->expire);
        spawner_deinit(&d->spawner);
        watch_stop(&d->signals);
        closep(&d->signal_fd);
        for (unsigned int i = d->n_workers; i > 0; i--)
                worker_deinit(&d->workers[i - 1]);
}

/* What the reference does between the sockets and the first message, in its order. */
static int settle_in(struct daemon *d)
{
        const struct busconfig *config = d->config;
        bool fork_it = d->options.fork >= 0 ? d->options.fork : config->fork;
        enum options_log log = d->options.log;
        char why[256], pid[32];
        int r;

        if (config->pidfile && !d->options.nopidfile && access(config->pidfile, F_OK) == 0) {
                fprintf(stderr,
                        "Failed to start message bus: The pid file \"%s\" exists, if the message "
                        "bus is not running, remove this file\n",
                        config->pidfile);
                return -EEXIST;
        }
        if (d->options.print_address >= 0 &&
            service_print(d->options.print_address, d->bus.address)) {
                fprintf(stderr, "Failed to start message bus: Printing message bus address: %s\n",
                        strerror(errno));
                return -EBADF;
        }
        if (fork_it) {
                d->listeners.keep_files = true; /* if this process ends here, the child has them */
                r = service_fork(&d->tell, config->keep_umask);
                if (r)
                        return error_fold(r);
                d->listeners.keep_files = false;
                creds_unref(d->bus.creds);
                r = creds_of_self(&d->bus.creds);
                if (r)
                        return error_fold(r);
        }
        if (config->pidfile && !d->options.nopidfile) {
                r = service_pidfile(config->pidfile);
                if (r) {
                        fprintf(stderr, "Failed to start message bus: Failed to write \"%s\": %s\n",
                                config->pidfile, strerror(-r));
                        return r;
                }
                d->pidfile = strdup(config->pidfile); /* a reload replaces the configuration */
                if (!d->pidfile)
                        return error_origin(-ENOMEM);
        }
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (d->options.print_pid >= 0 && service_print(d->options.print_pid, pid)) {
                fprintf(stderr, "Failed to start message bus: Printing message bus PID: %s\n",
                        strerror(errno));
                return -EBADF;
        }
        r = daemon_mediate(d);
        if (r)
                return r;
        service_raise_fds();
        if (config->user) {
                r = service_change_user(config->user, why, sizeof(why));
                if (r) {
                        fprintf(stderr, "Failed to start message bus: %s\n", why);
                        return r;
                }
                creds_unref(d->bus.creds);
                r = creds_of_self(&d->bus.creds);
                if (r)
                        return error_fold(r);
        }
        if (log == OPTIONS_LOG_AS_CONFIGURED)
                log = config->syslog ? OPTIONS_LOG_BOTH : OPTIONS_LOG_STDERR;
        service_log(log, config->type);
        if (fork_it)
                service_leave_terminal();
        return 0;
}

int daemon_serve(struct daemon *d)
{
        int r;

        r = settle_in(d);
        if (r)
                return r;
        r = start_workers(d);
        if (r)
                return error_fold(r);
        spawner_init(&d->spawner, &d->workers[0].poller, service_logs_to_syslog());
        r = activator_new(&d->bus.activator, &d->bus, &d->workers[0].poller);
        if (!r) {
                turn_write(&d->workers[0].turn);
                r = daemon_apply(d, &d->workers[0].turn, d->config);
                turn_release(&d->workers[0].turn);
        }
        if (!r)
                r = daemon_watch_files(d);
        if (!r)
                r = daemon_watch_mediation(d);
        if (!r && d->options.kdbus)
                r = bridge_new(&d->kdbus, &d->bus, &d->workers[0].poller, d->options.kdbus);
        if (!r) {
                if (d->tell >= 0 && write(d->tell, "", 1) == 1)
                        closep(&d->tell);
                d->tell = -1;
                service_notify("READY=1");
                r = worker_run(&d->workers[0]);
                service_notify("STOPPING=1");
        }
        stop_workers(d);
        return error_fold(r);
}
