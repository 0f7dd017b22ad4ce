/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/kdbus/harness.h"

#define WORDS_MAX 16

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        if (type == FTW_D || type == FTW_DP)
                chmod(path, 0700);
        return remove(path);
}

static int unlock_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return type == FTW_D ? chmod(path, 0700) : 0;
}

static void remove_tree(const char *dir)
{
        nftw(dir, unlock_one, 8, FTW_PHYS);
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* what is preloaded: a sanitizer's runtime wants to be first */
static char preload[8192] = KDBUS_PRELOAD;

static void find_preload(void)
{
        static const char *const inits[] = {"__asan_init", "__tsan_init"};
        struct link_map *program = NULL;
        Dl_info info;

        for (size_t i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
                void *init = dlsym(RTLD_DEFAULT, inits[i]);

                if (!init || !dladdr1(init, &info, (void **)&program, RTLD_DL_LINKMAP))
                        continue;
                if (!program->l_name[0]) {
                        puts("skipped: the sanitizer's runtime is part of the program");
                        exit(77);
                }
                snprintf(preload, sizeof(preload), "%s:%s", info.dli_fname, KDBUS_PRELOAD);
        }
}

/* BUS_WRAPPER: words before the server's own, a checker for instance */
static size_t add_wrapper(char **argv)
{
        static char words[2048];
        const char *wrapper = getenv("BUS_WRAPPER");
        size_t n = 0;

        snprintf(words, sizeof(words), "%s", wrapper ?: "");
        for (char *word = strtok(words, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
                argv[n++] = word;
        return n;
}

static void add_server(char **argv, const char *const *server, const char *dir)
{
        static char words[WORDS_MAX][512];
        size_t n = 0;

        for (; server[n] && n < WORDS_MAX; n++) {
                char *at = strstr(server[n], "@DIR@");

                if (at)
                        snprintf(words[n], sizeof(words[n]), "%.*s%s%s", (int)(at - server[n]),
                                 server[n], dir, at + 5);
                else
                        snprintf(words[n], sizeof(words[n]), "%s", server[n]);
                argv[n] = words[n];
        }
        argv[n] = NULL;
}

static pid_t start_server(const char *const *server, const char *dir)
{
        char *argv[2 * WORDS_MAX + 1];
        pid_t pid;

        add_server(argv + add_wrapper(argv), server, dir);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                execvp(argv[0], argv);
                perror(argv[0]);
                _exit(127);
        }
        return pid;
}

static void wait_for_socket(const char *dir)
{
        char path[600];

        snprintf(path, sizeof(path), "%s/socket", dir);
        for (int i = 0; i < 500 && access(path, F_OK) < 0; i++)
                usleep(10000);
}

/* a program under the supervisor */
_Noreturn static void be_supervised(const char *via, const char *dir, const char *program,
                                    char **argv)
{
        char *words[WORDS_MAX + 8] = {(char *)KDBUS_LAMBUSCTL, (char *)"kdbus-run", (char *)"--via",
                                      (char *)via, (char *)"--state", (char *)dir, (char *)"--",
                                      (char *)program};

        for (size_t i = 0; i < WORDS_MAX - 1 && argv[i]; i++)
                words[8 + i] = argv[i];
        execv(words[0], words);
        _exit(127);
}

static pid_t start_self(char **argv, const char *dir, pid_t server)
{
        const char *via = getenv("KDBUS_VIA");
        char number[16], self[512] = "";
        pid_t pid = fork();

        if (pid == 0) {
                snprintf(number, sizeof(number), "%d", server);
                setenv("KDBUS_SERVER_PID", number, 1);
                if (via && readlink("/proc/self/exe", self, sizeof(self) - 1) > 0)
                        be_supervised(via, dir, self, argv + 1);
                setenv("LAMBUS_KDBUS", dir, 1);
                setenv("LD_PRELOAD", preload, 1);
                execv("/proc/self/exe", argv);
                _exit(127);
        }
        return pid;
}

/* whether this machine lets anything be supervised; if not, it has said why */
static bool can_supervise(const char *dir)
{
        pid_t pid = fork();
        int status = 1;

        if (pid == 0)
                be_supervised(getenv("KDBUS_VIA"), dir, "/bin/true", (char *[]){NULL});
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status == 0;
}

void harness_enter(char **argv, const char *const *server)
{
        char dir[] = "/tmp/lambus-kdbus-XXXXXX";
        pid_t daemon, self;
        int status = 1, server_status = 0;
        bool skip;

        if (getenv("LAMBUS_KDBUS"))
                return;
        if (!getenv("KDBUS_VIA"))
                find_preload();
        if (!mkdtemp(dir)) {
                perror(dir);
                exit(1);
        }
        daemon = start_server(server, dir);
        wait_for_socket(dir);
        skip = getenv("KDBUS_VIA") && !can_supervise(dir);
        self = skip ? -1 : start_self(argv, dir, daemon);
        while (self > 0 && waitpid(self, &status, 0) < 0 && errno == EINTR)
                ;
        kill(daemon, SIGTERM);
        waitpid(daemon, &server_status, 0);
        remove_tree(dir);
        if (server_status)
                fprintf(stderr, "the server ended with status %#x\n", server_status);
        if (skip) {
                puts("skipped: no program can be supervised here");
                exit(77);
        }
        exit(!WIFEXITED(status) ? 1 : WEXITSTATUS(status) ?: server_status ? 1 : 0);
}
