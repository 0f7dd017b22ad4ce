/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
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

static pid_t start_server(const char *const *server, const char *dir)
{
        static char words[WORDS_MAX][512];
        char *argv[WORDS_MAX + 1];
        size_t n = 0;
        pid_t pid;

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
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                execv(argv[0], argv);
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

static pid_t start_self(char **argv, const char *dir, pid_t server)
{
        pid_t pid = fork();
        char number[16];

        if (pid == 0) {
                snprintf(number, sizeof(number), "%d", server);
                setenv("KDBUS_SERVER_PID", number, 1);
                setenv("LAMBUS_KDBUS", dir, 1);
                setenv("LD_PRELOAD", KDBUS_PRELOAD, 1);
                execv("/proc/self/exe", argv);
                _exit(127);
        }
        return pid;
}

void harness_enter(char **argv, const char *const *server)
{
        char dir[] = "/tmp/lambus-kdbus-XXXXXX";
        pid_t daemon, self;
        int status = 1;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        puts("skipped: a preloaded library cannot bring a sanitizer's runtime into its program");
        exit(77);
#endif
        if (getenv("LAMBUS_KDBUS"))
                return;
        if (!mkdtemp(dir)) {
                perror(dir);
                exit(1);
        }
        daemon = start_server(server, dir);
        wait_for_socket(dir);
        self = start_self(argv, dir, daemon);
        while (waitpid(self, &status, 0) < 0 && errno == EINTR)
                ;
        kill(daemon, SIGTERM);
        waitpid(daemon, NULL, 0);
        remove_tree(dir);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int harness_run(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
