/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "shim/bus/activate.h"
#include "shim/bus/log.h"
#include "shim/daemon/console.h"
#include "shim/daemon/daemon.h"
#include "shim/daemon/service.h"
#include "shim/daemon/userdb.h"
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

static void bus_describe(struct bus *bus, struct writer *w)
{
        daemon_describe_config(container_of(bus, struct daemon, bus), w);
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

static int bus_open_container(struct bus *bus, struct container *container, char **address,
                              char *why)
{
        struct daemon *d = container_of(bus, struct daemon, bus);

        return listeners_open_container(&d->listeners, container, address, why);
}

static void bus_close_container(struct bus *bus, void *listener)
{
        listener_close_container(listener);
}

static void bus_free_container(struct bus *bus, void *listener)
{
        listener_free_container(listener);
}

static const struct bus_keeper keeper = {
        .open_container = bus_open_container,
        .close_container = bus_close_container,
        .free_container = bus_free_container,
        .at_console = bus_at_console,
        .describe = bus_describe,
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
                .places.fd = -1,
                .changes.fd = -1,
                .policy_events.fd = -1,
                .seats.watch.fd = -1,
                .tell = -1,
        };
        d->n_workers = options->workers ? options->workers : crew_default();
        d->workers = calloc(d->n_workers, sizeof(*d->workers));
        if (!d->workers)
                return error_origin(-ENOMEM);
        r = bus_init(&d->bus, 1, &driver_local);
        if (r)
                return error_fold(r);
        d->bus_is_up = true;
        d->bus.keeper = &keeper;
        d->bus.systemd_activation = options->systemd_activation;
        d->bus.service_unit = options->service_unit;
        random_id(d->bus.id);
        read_machine_id(d->bus.machine_id);
        return 0;
}

void daemon_deinit(struct daemon *d)
{
        if (d->listeners_are_up)
                listeners_deinit(&d->listeners);
        metrics_deinit(&d->metrics);
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

int daemon_fail(struct daemon *d, int error, const char *format, ...)
{
        va_list ap;

        if (!d->failure[0]) {
                va_start(ap, format);
                vsnprintf(d->failure, sizeof(d->failure), format, ap);
                va_end(ap);
        }
        return error_fold(error);
}

void daemon_tell_failure(const struct daemon *d, int error)
{
        const char *why = d->failure[0] ? d->failure : strerror(-error);

        if (d->logs)
                log_line(LOG_ERR, "Failed to start message bus: %s", why);
        else
                fprintf(stderr, "lambus-daemon[%d]: Failed to start message bus: %s\n", (int)getpid(),
                        why);
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
        metrics_init(&d->metrics, &d->bus);
        if (!r && d->options.metrics)
                r = metrics_listen(&d->metrics, d->options.metrics, why);
        if (r)
                return daemon_fail(d, r, "%s", why);
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
                        worker_ask_to_stop(&d->workers[0]);
                } else if (info.ssi_signo == SIGHUP) {
                        turn_write(turn);
                        daemon_reload(d, turn, why, sizeof(why));
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

        r = crew_init(&d->crew, &d->bus, d->workers, d->n_workers, d->options.spread);
        if (!r)
                r = take_signals(d);
        if (!r)
                r = crew_start(&d->crew);
        if (r)
                return error_fold(r);
        r = metrics_start(&d->metrics, &d->workers[0].poller);
        if (r)
                return error_fold(r);
        return error_fold(listeners_start(&d->listeners, &d->crew));
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
        metrics_stop(&d->metrics);
        d->kdbus = bridge_free(d->kdbus, &d->workers[0].turn);
        stop_services(d);
        daemon_unwatch_files(d);
        daemon_unwatch_mediation(d);
        daemon_unwatch_console(d);
        crew_stop(&d->crew);
        timer_clear(&d->expire);
        service_log_by(NULL);
        spawner_deinit(&d->spawner);
        watch_stop(&d->signals);
        closep(&d->signal_fd);
        crew_deinit(&d->crew);
}

static void keep_files(struct daemon *d, bool keep)
{
        d->listeners.keep_files = keep;
        d->metrics.listeners.keep_files = keep;
}

/* What the reference does between the sockets and the first message, in its order. */
static int settle_in(struct daemon *d)
{
        const struct busconfig *config = d->config;
        bool fork_it = d->options.fork >= 0 ? d->options.fork : config->fork;
        enum options_log log = d->options.log;
        char why[256], pid[32];
        uid_t uid;
        gid_t gid;
        int r;

        if (config->pidfile && !d->options.nopidfile && access(config->pidfile, F_OK) == 0)
                return daemon_fail(d, -EEXIST,
                                   "The pid file \"%s\" exists, if the message bus is not running, "
                                   "remove this file",
                                   config->pidfile);
        if (d->options.print_address >= 0 &&
            service_print(d->options.print_address, d->bus.address)) {
                return daemon_fail(d, -EBADF, "Printing message bus address: %m");
        }
        if (fork_it) {
                keep_files(d, true); /* if this process ends here, the child has them */
                r = service_fork(&d->tell, config->keep_umask);
                if (r)
                        return error_fold(r);
                keep_files(d, false);
                creds_unref(d->bus.creds);
                r = creds_of_self(&d->bus.creds);
                if (r)
                        return error_fold(r);
        }
        if (config->pidfile && !d->options.nopidfile) {
                r = service_pidfile(config->pidfile);
                if (r)
                        return daemon_fail(d, r, "Failed to write \"%s\": %s", config->pidfile,
                                           strerror(-r));
                d->pidfile = strdup(config->pidfile); /* a reload replaces the configuration */
                if (!d->pidfile)
                        return error_origin(-ENOMEM);
        }
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (d->options.print_pid >= 0 && service_print(d->options.print_pid, pid))
                return daemon_fail(d, -EBADF, "Printing message bus PID: %m");
        r = daemon_mediate(d);
        if (r)
                return r;
        service_raise_fds();
        if (config->user) {
                if (userdb_user(&uid, &gid, config->user) == 0)
                        listeners_make_dir(config->type, uid, gid);
                r = service_change_user(config->user, why, sizeof(why));
                if (r)
                        return daemon_fail(d, r, "%s", why);
                creds_unref(d->bus.creds);
                r = creds_of_self(&d->bus.creds);
                if (r)
                        return error_fold(r);
        }
        if (log == OPTIONS_LOG_AS_CONFIGURED)
                log = config->syslog ? OPTIONS_LOG_BOTH : OPTIONS_LOG_STDERR;
        service_log(log, config->type);
        d->logs = true;
        return 0;
}

/* Who has read our address may ask for a reload; until we listen to signals, it waits. */
static void hold_reloads(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

int daemon_serve(struct daemon *d)
{
        int r;

        hold_reloads();
        r = settle_in(d);
        if (r)
                return r;
        r = start_workers(d);
        if (r)
                return daemon_fail(d, r, "It cannot wait for clients: %s", strerror(-r));
        service_log_by(&d->workers[0].poller);
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
        if (!r && d->options.kdbus) {
                r = bridge_new(&d->kdbus, &d->bus, &d->workers[0].poller, d->options.kdbus);
                if (r)
                        daemon_fail(d, r, "No kdbus domain can be at \"%s\": %s", d->options.kdbus,
                                    strerror(-r));
        }
        if (!r) {
                if (d->tell >= 0)
                        service_leave_terminal();
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
