/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/fixture.h"
#include "compat-tests/scenario.h"

#define ARGUMENTS_MAX 64
#define ADDRESS_FD    60        /* where the daemon finds the pipe for its address */

static const char *const alarming[] = {
        "AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
        "ERROR SUMMARY: 1", "ERROR SUMMARY: 2", "ERROR SUMMARY: 3", "Assertion", "assertion failed",
};

const char *bus_program(void)
{
        return getenv("BUS_UNDER_TEST") ?: "/usr/bin/dbus-daemon";
}

void sleep_ms(unsigned int ms)
{
        struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

        nanosleep(&ts, NULL);
}

/* --- texts and files --- */

/* expand_number() - a number, and for hexuid its digits in hex, as EXTERNAL wants them */
static const char *expand_number(const struct bus *bus, const char *key, char *number)
{
        char *hex = number + 32;
        size_t i;

        sprintf(number, "%d", !strcmp(key, "pid") ? bus->pid
                              : !strcmp(key, "gid") ? (int)getegid() : (int)geteuid());
        for (i = 0; number[i]; i++)
                sprintf(hex + 2 * i, "%02x", number[i]);
        return strcmp(key, "hexuid") ? number : hex;
}

static const char *expand_one(const struct bus *bus, const char *key, char *number)
{
        const char *guid = bus->address ? strstr(bus->address, "guid=") : NULL;

        if (!strcmp(key, "dir"))
                return bus->dir;
        if (!strcmp(key, "service"))
                return getenv("BUS_TEST_SERVICE") ?: scenario_service();
        if (!strcmp(key, "address"))
                return bus->address ?: "";
        if (!strcmp(key, "guid"))
                return guid ? guid + 5 : "";
        if (!strncmp(key, "env:", 4))
                return getenv(key + 4) ?: "";
        return expand_number(bus, key, number);
}

/**
 * bus_expand() - replace every ${...}
 *
 * Return:      the text, owned by the caller.
 */
char *bus_expand(const struct bus *bus, const char *text)
{
        char *out = NULL, number[96] = {}, key[128];
        size_t n_out, n;
        FILE *f = open_memstream(&out, &n_out);

        while (*text) {
                if (sscanf(text, "${%127[^}]}", key) != 1) {
                        fputc(*text++, f);
                        continue;
                }
                n = key[0] && key[1] == '*' ? strtoul(key + 2, NULL, 10) : 0;
                if (n)
                        while (n--)
                                fputc(*key, f);
                else
                        fputs(expand_one(bus, key, number), f);
                text = strchr(text, '}') + 1;
                memset(number, 0, sizeof(number));
        }
        fclose(f);
        return out;
}

char *bus_path(const struct bus *bus, const char *name)
{
        char *path;

        if (asprintf(&path, "%s/%s", bus->dir, name) < 0)
                abort();
        return path;
}

/**
 * bus_write() - write a file below the bus's directory, by rename, as package managers do
 */
void bus_write(const struct bus *bus, const char *name, const char *content)
{
        char *path = bus_path(bus, name), *text = bus_expand(bus, content), *p, *tmp;
        FILE *f;

        for (p = strchr(path + strlen(bus->dir) + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = 0;
                mkdir(path, 0755);
                *p = '/';
        }
        /* not in that directory: the bus may be watching it */
        if (asprintf(&tmp, "%s/.new", bus->dir) < 0)
                abort();
        f = fopen(tmp, "w");
        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
        ck_assert_int_eq(rename(tmp, path), 0);
        free(tmp);
        free(path);
        free(text);
}

/**
 * bus_read() - a file below the bus's directory, "" if there is none; owned by the caller
 */
char *bus_read(const struct bus *bus, const char *name)
{
        char *path = bus_path(bus, name), *text = calloc(1, 65537);
        FILE *f = fopen(path, "r");

        if (f) {
                text[fread(text, 1, 65536, f)] = 0;
                fclose(f);
        }
        free(path);
        return text;
}

char *bus_log(const struct bus *bus)
{
        return bus_read(bus, "log");
}

bool bus_log_has(const struct bus *bus, const char *text)
{
        char *log = bus_log(bus), *path = bus_path(bus, "log");
        bool has = strstr(log, text);

        free(log);
        free(path);
        return has;
}

/**
 * bus_fail() - fail the scenario, and show what the daemon said
 */
void bus_fail(const struct bus *bus, const char *format, ...)
{
        char *log = bus_log(bus), *text;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                abort();
        va_end(ap);
        ck_abort_msg("%.1000s%s%.2500s", text, /* Check takes 4096 bytes */
                     *log ? "\n   the daemon's output:\n" : "", log);
        abort();
}

/* --- the configuration file --- */

static void write_elements(FILE *f, const char *element, const char *list, const char *cut)
{
        char *copy = strdup(list), *save, *p;

        for (p = strtok_r(copy, cut, &save); p; p = strtok_r(NULL, cut, &save))
                fprintf(f, "  <%s>%s</%s>\n", element, p, element);
        free(copy);
}

static void write_limits(FILE *f, const char *list)
{
        char *copy = strdup(list), *save, *p;

        for (p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
                fprintf(f, "  <limit name=\"%.*s\">%s</limit>\n", (int)strcspn(p, "="), p,
                        strchr(p, '=') + 1);
        free(copy);
}

static char *make_config(const struct bus_options *o)
{
        char *text = NULL;
        size_t n;
        FILE *f;

        if (o->config)
                return strdup(o->config);
        f = open_memstream(&text, &n);
        fprintf(f, "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration "
                   "1.0//EN\"\n \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                   "<busconfig>\n  <type>%s</type>\n  <keep_umask/>\n", o->type ?: "session");
        write_elements(f, "listen", o->listen ?: "unix:path=${dir}/bus", ";");
        write_elements(f, "auth", o->auth ?: "EXTERNAL", " ");
        fprintf(f, "  <servicedir>${dir}/services</servicedir>\n");
        fprintf(f, "  <policy context=\"default\">\n    %s\n  </policy>\n",
                o->policy ?: "<allow send_destination=\"*\" eavesdrop=\"true\"/>"
                             "<allow eavesdrop=\"true\"/><allow own=\"*\"/>");
        write_limits(f, o->limits ?: "");
        fprintf(f, "  %s\n</busconfig>\n", o->extra ?: "");
        fclose(f);
        return text;
}

/* --- the process --- */

/* What a thread waits with: lambus starts some when it is busy, and ends them when it is not. */
static bool belongs_to_thread(int dir, const char *name)
{
        char target[64] = "";

        return readlinkat(dir, name, target, sizeof(target) - 1) > 0 &&
               (!strcmp(target, "anon_inode:[eventpoll]") || !strcmp(target, "anon_inode:[eventfd]"));
}

static unsigned int count_fds(const struct bus *bus, bool all)
{
        char path[64];
        unsigned int n = 0;
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "/proc/%d/fd", bus->pid);
        d = opendir(path);
        while (d && (e = readdir(d)))
                n += all || !belongs_to_thread(dirfd(d), e->d_name);
        if (d)
                closedir(d);
        return n;
}

unsigned int bus_count_fds(const struct bus *bus)
{
        return count_fds(bus, true);
}

static void clean_environment(const struct bus *bus)
{
        static const char *const unset[] = {
                "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_STARTER_ADDRESS",
                "DBUS_STARTER_BUS_TYPE", "DBUS_VERBOSE",
        };
        const char *const *e;
        char *text;
        size_t i;

        for (i = 0; i < sizeof(unset) / sizeof(*unset); i++)
                unsetenv(unset[i]);
        setenv("XDG_RUNTIME_DIR", bus->dir, 1);
        setenv("XDG_DATA_HOME", bus->dir, 1);
        setenv("XDG_DATA_DIRS", bus->dir, 1);
        setenv("HOME", bus->dir, 1);
        setenv("TMPDIR", bus->dir, 1);
        for (e = bus->options->environment; e && *e; e++) {
                text = bus_expand(bus, *e);
                *strchr(text, '=') = 0;
                setenv(text, text + strlen(text) + 1, 1);
                free(text);
        }
}

static void collect_workers(char **argv, int *n)
{
        if (!getenv("BUS_WORKERS"))
                return;
        if (asprintf(&argv[(*n)++], "--workers=%s", getenv("BUS_WORKERS")) < 0 ||
            asprintf(&argv[(*n)++], "--spread=%s", getenv("BUS_SPREAD") ?: "always") < 0)
                abort();
}

static void collect_arguments(struct bus *bus, char **argv, int address_fd)
{
        char *wrapper = strdup(getenv("BUS_WRAPPER") ?: ""), *save, *p;
        const char *const *a;
        int n = 0;

        for (p = strtok_r(wrapper, " ", &save); p; p = strtok_r(NULL, " ", &save))
                argv[n++] = p;
        argv[n++] = (char *)bus_program();
        if (!bus->options->own_arguments) {
                argv[n++] = bus_expand(bus, "--config-file=${dir}/bus.conf");
                argv[n++] = strdup("--nofork");
        }
        collect_workers(argv, &n);
        if (address_fd >= 0 && asprintf(&argv[n++], "--print-address=%d", address_fd) < 0)
                abort();
        for (a = bus->options->arguments; a && *a; a++)
                argv[n++] = bus_expand(bus, *a);
        argv[n] = NULL;
}

/* pass_sockets() - as systemd does: from descriptor 3 on */
static void pass_sockets(const struct bus *bus)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        unsigned int i;
        char number[16];

        for (i = 0; i < bus->options->sockets; i++) {
                snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket%u", bus->dir, i);
                if (socket(AF_UNIX, SOCK_STREAM, 0) != (int)(3 + i) ||
                    bind(3 + i, (struct sockaddr *)&sa, sizeof(sa)) || listen(3 + i, 16))
                        _exit(126);
        }
        if (!i)
                return;
        snprintf(number, sizeof(number), "%u", i);
        setenv("LISTEN_FDS", number, 1);
        snprintf(number, sizeof(number), "%d", getpid());
        setenv("LISTEN_PID", number, 1);
}

static void redirect(const struct bus *bus, const char *name, int fd)
{
        char *path = bus_path(bus, name);
        int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(file, fd);
        free(path);
}

static _Noreturn void become_daemon(struct bus *bus, int address_fd)
{
        char *argv[ARGUMENTS_MAX];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        clean_environment(bus);
        collect_arguments(bus, argv, address_fd < 0 ? -1 : ADDRESS_FD);
        dup2(open("/dev/null", O_RDONLY), 0);
        redirect(bus, "out", 1);
        redirect(bus, "log", 2);
        if (address_fd >= 0)
                dup2(address_fd, ADDRESS_FD);
        close_range(3, ADDRESS_FD - 1, 0);
        close_range(address_fd < 0 ? ADDRESS_FD : ADDRESS_FD + 1, ~0U, 0);
        pass_sockets(bus);
        execvp(argv[0], argv);
        dprintf(2, "cannot execute %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

static char *read_address(int fd)
{
        char text[4096];
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        size_t n = 0;
        ssize_t l;

        while (n < sizeof(text) - 1 && poll(&pfd, 1, client_timeout() * 2) > 0) {
                l = read(fd, text + n, sizeof(text) - 1 - n);
                if (l <= 0)
                        break;
                n += l;
                if (text[n - 1] == '\n')
                        return strndup(text, n - 1);
        }
        return NULL;
}

/* count_idle_fds() - what is open when nobody is connected, but somebody has been */
static unsigned int count_idle_fds(const struct bus *bus)
{
        struct client *c = client_connect(bus->address);
        unsigned int n = count_fds(bus, false) - (c ? 1 : 0);

        client_free(c);
        return n;
}

/**
 * bus_prepare() - make the directory with its files
 */
void bus_prepare(struct bus *bus, const struct bus_options *options)
{
        static const struct bus_options defaults;
        const char *const *f;
        char *config;

        *bus = (struct bus){ .options = options ?: &defaults };
        if (asprintf(&bus->dir, "%s/XXXXXX", scenario_dir()) < 0 || !mkdtemp(bus->dir))
                ck_abort_msg("cannot make a directory: %s", strerror(errno));
        chmod(bus->dir, 0755);
        config = make_config(bus->options);
        bus_write(bus, "bus.conf", config);
        free(config);
        bus_write(bus, "services/.keep", "");
        for (f = bus->options->files; f && *f; f += 2)
                bus_write(bus, f[0], f[1]);
}

/**
 * bus_spawn() - start the daemon in the directory that is there, and wait for its address
 */
void bus_spawn(struct bus *bus)
{
        int p[2] = { -1, -1 };

        free(bus->address);
        bus->address = NULL;
        bus->ended = false;
        if (!bus->options->no_address)
                ck_assert_int_eq(pipe(p), 0);
        bus->pid = fork();
        if (!bus->pid)
                become_daemon(bus, p[1]);
        if (p[1] < 0)
                return;
        close(p[1]);
        bus->address = read_address(p[0]);
        close(p[0]);
        if (!bus->address)
                bus_fail(bus, "the bus printed no address");
        bus->n_fds = bus->options->no_fd_check ? 0 : count_idle_fds(bus);
}

void bus_start(struct bus *bus, const struct bus_options *options)
{
        bus_prepare(bus, options);
        bus_spawn(bus);
}

/**
 * bus_wait() - wait for the end of the daemon
 *
 * Return:      its status as waitpid() tells it, or -1 if it does not end.
 */
int bus_wait(struct bus *bus)
{
        int i, status, limit = client_timeout() / 5;

        for (i = 0; i < limit; i++) {
                if (waitpid(bus->pid, &status, WNOHANG) == bus->pid) {
                        bus->ended = true;
                        return status;
                }
                sleep_ms(i < 20 ? 1 : 5);
        }
        return -1;
}

static void check_fds(struct bus *bus)
{
        int i;

        if (bus->options->no_fd_check || bus->options->no_address)
                return;
        for (i = 0; i < 200 && count_fds(bus, false) > bus->n_fds; i++)
                sleep_ms(i < 50 ? 1 : 10);
        if (count_fds(bus, false) > bus->n_fds)
                bus_fail(bus, "the bus had %u descriptors before the scenario and has %u after it",
                         bus->n_fds, count_fds(bus, false));
}

static void check_log(struct bus *bus)
{
        size_t i;

        for (i = 0; i < sizeof(alarming) / sizeof(*alarming); i++)
                if (bus_log_has(bus, alarming[i]))
                        bus_fail(bus, "the bus printed `%s'", alarming[i]);
}

/**
 * bus_stop() - end the daemon and judge it; all connections are closed by now
 */
void bus_stop(struct bus *bus)
{
        int status;

        if (!bus->ended) {
                if (!bus->told_to_end && waitpid(bus->pid, &status, WNOHANG))
                        bus_fail(bus, "the bus ended by itself, status %#x", status);
                if (!bus->told_to_end)
                        check_fds(bus);
                kill(bus->pid, SIGTERM);
                status = bus_wait(bus);
                if (status)
                        bus_fail(bus, "the bus ended with status %#x", status);
        }
        check_log(bus);
        bus_forget(bus);
}

/**
 * bus_forget() - free what bus_prepare() and bus_spawn() made
 */
void bus_forget(struct bus *bus)
{
        free(bus->dir);
        free(bus->address);
        *bus = (struct bus){};
}
