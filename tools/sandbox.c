/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <wordexp.h>

#include "bus-core/util/error.h"
#include "tools/recording.h"
#include "tools/sandbox.h"

#define START_TIMEOUT_MS 15000
#define STOP_TIMEOUT_MS 5000
#define PATH_SIZE 256

DEFINE_FREEP(FILE, fclose);

static int path_in(const struct sandbox *s, char *to, const char *name)
{
        int n = snprintf(to, PATH_SIZE, "%s/%s", s->dir, name);

        return n < PATH_SIZE ? 0 : error_origin(-ENAMETOOLONG);
}

static int open_in(const struct sandbox *s, const char *name, FILE **out)
{
        char path[PATH_SIZE];
        int r = path_in(s, path, name);

        if (r)
                return r;
        *out = fopen(path, "we");
        return *out ? 0 : error_origin(-errno);
}

static int write_config(const struct sandbox *s)
{
        static const char *const unlimited[] = {
                "max_incoming_bytes", "max_outgoing_bytes", "max_completed_connections",
                "max_incomplete_connections", "max_connections_per_user",
                "max_pending_service_starts", "max_names_per_connection",
                "max_match_rules_per_connection", "max_replies_per_connection",
        };
        _cleanup_(fclosep) FILE *f = NULL;
        int r = open_in(s, "bus.conf", &f);

        if (r)
                return r;
        fprintf(f,
                "<busconfig>\n"
                "  <type>session</type>\n"
                "  <listen>unix:path=%s/bus</listen>\n"
                "  <servicedir>%s/services</servicedir>\n"
                "  <policy context=\"default\">\n"
                "    <allow user=\"*\"/>\n"
                "    <allow send_destination=\"*\" eavesdrop=\"true\"/>\n"
                "    <allow eavesdrop=\"true\"/>\n"
                "    <allow own=\"*\"/>\n"
                "  </policy>\n",
                s->dir, s->dir);
        for (size_t i = 0; i < ARRAY_SIZE(unlimited); i++)
                fprintf(f, "  <limit name=\"%s\">1000000000</limit>\n", unlimited[i]);
        fprintf(f, "</busconfig>\n");
        return ferror(f) ? error_origin(-EIO) : 0;
}

static int write_services(const struct sandbox *s, const struct recording *rec)
{
        const struct recorded_name *name;
        char path[PATH_SIZE];
        int r = path_in(s, path, "services");

        if (r)
                return r;
        if (mkdir(path, 0755) < 0)
                return error_origin(-errno);
        for (name = rec ? rec->names : NULL; name; name = name->hh.next) {
                _cleanup_(fclosep) FILE *f = NULL;
                char file[PATH_SIZE];

                if (!name->activatable)
                        continue;
                snprintf(file, sizeof(file), "services/%.200s.service", name->name);
                r = open_in(s, file, &f);
                if (r)
                        return r;
                fprintf(f, "[D-BUS Service]\nName=%s\nExec=/bin/%s %s\n", name->name,
                        name->ever_owned ? "true" : "false", name->name);
        }
        return 0;
}

/* ---- the process ---- */

static int listen_in(const struct sandbox *s)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return error_origin(-errno);
        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/bus", s->dir);
        if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(sa.sun_path, 0777) < 0 ||
            listen(fd, SOMAXCONN) < 0)
                return error_origin(-errno);
        return steal_fd(&fd);
}

static bool is_broker(const char *program)
{
        const char *slash = strrchr(program, '/');

        return !strcmp(slash ? slash + 1 : program, "dbus-broker");
}

/* the child: what it says goes into a file; it dies with us */
static void become_child(const struct sandbox *s)
{
        char path[PATH_SIZE];
        int fd;

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (path_in(s, path, "log"))
                _exit(1);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (fd < 0)
                _exit(1);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        close(fd);
}

static _Noreturn void exec_daemon(const struct sandbox *s, const wordexp_t *words,
                                  const char *config, int ready_fd)
{
        char config_arg[PATH_SIZE + 16], address_arg[PATH_SIZE], print_arg[32];
        char **argv = calloc(words->we_wordc + 8, sizeof(*argv));
        size_t n = words->we_wordc;

        if (!argv)
                _exit(1);
        memcpy(argv, words->we_wordv, n * sizeof(*argv));
        if (config)
                snprintf(config_arg, sizeof(config_arg), "--config-file=%s", config);
        else
                snprintf(config_arg, sizeof(config_arg), "--config-file=%s/bus.conf", s->dir);
        snprintf(address_arg, sizeof(address_arg), "--address=unix:path=%s/bus", s->dir);
        snprintf(print_arg, sizeof(print_arg), "--print-address=%d", ready_fd);
        argv[n++] = config_arg;
        if (config)
                argv[n++] = address_arg;
        argv[n++] = print_arg;
        argv[n++] = (char *)"--nofork";
        if (config)
                argv[n++] = (char *)"--nopidfile";
        fcntl(ready_fd, F_SETFD, 0);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

static int spawn(struct sandbox *s, const wordexp_t *words, const char *config,
                 const struct recording *rec, int ready_fd)
{
        _cleanup_(closep) int listen_fd = -1;
        pid_t pid;

        if (is_broker(words->we_wordv[0])) {
                listen_fd = listen_in(s);
                if (listen_fd < 0)
                        return listen_fd;
        }
        pid = fork();
        if (pid < 0)
                return error_origin(-errno);
        if (!pid) {
                become_child(s);
                if (listen_fd >= 0)
                        broker_run(words->we_wordv, listen_fd, ready_fd, rec);
                exec_daemon(s, words, config, ready_fd);
        }
        s->pid = pid;
        return 0;
}

/* the end of what the daemon wrote */
static void keep_last_words(struct sandbox *s, const char *what)
{
        char path[PATH_SIZE], text[512] = "";
        _cleanup_(fclosep) FILE *f = NULL;
        size_t n = 0;

        if (!path_in(s, path, "log"))
                f = fopen(path, "re");
        if (f) {
                if (fseek(f, -(long)sizeof(text) + 1, SEEK_END) < 0)
                        rewind(f);
                n = fread(text, 1, sizeof(text) - 1, f);
        }
        while (n && text[n - 1] == '\n')
                n--;
        text[n] = 0;
        snprintf(s->error, sizeof(s->error), "%s %s%s%s", s->command, what, n ? ": " : "", text);
}

/* waits for the address that is printed, or for the byte that broker_run() writes */
static int wait_ready(struct sandbox *s, int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char text[1024];
        ssize_t n = 0;
        int r;

        r = poll(&p, 1, START_TIMEOUT_MS);
        if (r > 0)
                n = read(fd, text, sizeof(text));
        if (n <= 0) {
                keep_last_words(s, r ? "did not start" : "did not come up in 15 seconds");
                return 1;
        }
        return 0;
}

static int start(struct sandbox *s, const wordexp_t *words, const char *config,
                 const struct recording *rec)
{
        _cleanup_(closep) int ready_in = -1, ready_out = -1;
        int fds[2], r;

        snprintf(s->dir, sizeof(s->dir), "%s", "/tmp/lambus-kit-XXXXXX");
        if (!mkdtemp(s->dir)) {
                s->dir[0] = 0;
                return error_origin(-errno);
        }
        if (chmod(s->dir, 0755) < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return error_origin(-errno);
        ready_in = fds[0];
        ready_out = fds[1];
        r = write_config(s);
        if (!r)
                r = write_services(s, rec);
        if (!r)
                r = spawn(s, words, config, rec, ready_out);
        if (r)
                return r;
        closep(&ready_out);
        ready_out = -1;
        return wait_ready(s, ready_in);
}

int sandbox_start(struct sandbox **out, const char *command, const char *config,
                  const struct recording *rec)
{
        struct sandbox *s = calloc(1, sizeof(*s));
        wordexp_t words;
        int r;

        if (!s)
                return error_origin(-ENOMEM);
        *out = s;
        s->command = strdup(command);
        if (!s->command)
                return error_origin(-ENOMEM);
        if (strchr(command, ':') && strchr(command, '=') && !strchr(command, ' ')) {
                s->address = strdup(command);
                return s->address ? 0 : error_origin(-ENOMEM);
        }
        if (wordexp(command, &words, WRDE_NOCMD | WRDE_UNDEF) || !words.we_wordc) {
                snprintf(s->error, sizeof(s->error), "not a command: %s", command);
                return 1;
        }
        r = start(s, &words, config, rec);
        wordfree(&words);
        if (!r && asprintf(&s->address, "unix:path=%s/bus", s->dir) < 0)
                r = error_origin(-ENOMEM);
        return r;
}

/* ---- the end ---- */

bool sandbox_running(struct sandbox *s)
{
        char what[64];
        int status;

        if (!s->pid)
                return !s->error[0];
        if (waitpid(s->pid, &status, WNOHANG) != s->pid)
                return true;
        s->pid = 0;
        if (WIFSIGNALED(status))
                snprintf(what, sizeof(what), "was killed by signal %d", WTERMSIG(status));
        else
                snprintf(what, sizeof(what), "ended with status %d", WEXITSTATUS(status));
        keep_last_words(s, what);
        return false;
}

static void stop(struct sandbox *s)
{
        if (!s->pid)
                return;
        kill(s->pid, SIGTERM);
        for (int waited = 0; waited < STOP_TIMEOUT_MS; waited += 5) {
                if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
                        return;
                poll(NULL, 0, 5);
        }
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

struct sandbox *sandbox_free(struct sandbox *s)
{
        if (!s)
                return NULL;
        stop(s);
        if (s->dir[0])
                nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        free(s->address);
        free(s->command);
        free(s);
        return NULL;
}
