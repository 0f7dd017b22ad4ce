/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#ifdef HAVE_CAP_NG
#include <cap-ng.h>
#endif

#include "bus-core/core.h"
#include "shim/bus/log.h"
#include "shim/bus/poller.h"
#include "shim/daemon/outlet.h"
#include "shim/daemon/service.h"

#define FDS_WANTED 65536
#define LOG_AGAIN_USEC 1000000 /* until a log that took no more is tried again */

static struct rlimit fds_before;
static bool fds_raised;

void service_std_fds(void)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return;
        dup2(null, 0);
        for (int fd = 1; fd <= 2; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        dup2(null, fd);
        if (null > 2)
                close(null);
}

void service_leave_terminal(void)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return;
        for (int fd = 0; fd <= 2; fd++)
                dup2(null, fd);
        close(null);
}

void service_lonely_nss(void)
{
        setenv("SYSTEMD_NSS_BYPASS_BUS", "1", 1);     /* systemd before 246 */
        setenv("SYSTEMD_NSS_DYNAMIC_BYPASS", "1", 1); /* and later */
}

void service_raise_fds(void)
{
        struct rlimit want;

        if (getrlimit(RLIMIT_NOFILE, &fds_before) < 0)
                return;
        want = fds_before;
        want.rlim_cur = MAX(fds_before.rlim_max, (rlim_t)FDS_WANTED);
        if (want.rlim_cur > fds_before.rlim_max) {
                want.rlim_max = want.rlim_cur;
                if (setrlimit(RLIMIT_NOFILE, &want) == 0)
                        goto raised;
                want = fds_before;
                want.rlim_cur = want.rlim_max;
        }
        if (setrlimit(RLIMIT_NOFILE, &want) < 0) {
                log_line(LOG_WARNING, "cannot raise the number of descriptors to %llu: %m",
                         (unsigned long long)want.rlim_cur);
                return;
        }
raised:
        fds_raised = true;
}

void service_restore_fds(void)
{
        if (fds_raised)
                setrlimit(RLIMIT_NOFILE, &fds_before);
}

int service_fork(int *tell, bool keep_umask)
{
        int fds[2];
        pid_t pid;
        char byte;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_origin(-errno);
        pid = fork();
        if (pid < 0)
                return error_origin(-errno);
        if (pid > 0) {
                close(fds[1]);
                _exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
        }
        close(fds[0]);
        *tell = fds[1];
        setsid();
        if (chdir("/") < 0)
                return error_origin(-errno);
        if (!keep_umask)
                umask(022);
        return 0;
}

int service_pidfile(const char *path)
{
        char text[32];
        int fd, n;

        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return error_origin(-errno);
        n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
        if (write(fd, text, n) != n) {
                close(fd);
                unlink(path);
                return error_origin(-EIO);
        }
        close(fd);
        return 0;
}

static int drop_to(uid_t uid, gid_t gid)
{
#ifdef HAVE_CAP_NG
        capng_clear(CAPNG_SELECT_BOTH);
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_AUDIT_WRITE);
        if (capng_change_id(uid, gid, 0) == 0)
                return 0;
        /* a container may not have that capability to give */
        capng_clear(CAPNG_SELECT_BOTH);
        return capng_change_id(uid, gid, 0) ? -EPERM : 0;
#else
        return setgid(gid) < 0 || setuid(uid) < 0 ? -errno : 0;
#endif
}

int service_change_user(const char *user, char *why, size_t size)
{
        char buf[16384], *end;
        struct passwd pw, *found = NULL;
        uid_t uid;
        int r;

        uid = strtoul(user, &end, 10);
        r = *user && !*end ? getpwuid_r(uid, &pw, buf, sizeof(buf), &found)
                           : getpwnam_r(user, &pw, buf, sizeof(buf), &found);
        if (r || !found) {
                snprintf(why, size, "Could not get UID and GID for username \"%s\"", user);
                return error_origin(-ENOENT);
        }
        if (found->pw_uid == geteuid())
                return 0;
        if (geteuid()) {
                log_line(LOG_WARNING, "not started by root: it cannot become user \"%s\", and stays who it is",
                         user);
                return 0;
        }
        if (initgroups(found->pw_name, found->pw_gid) < 0)
                r = -errno;
        else
                r = drop_to(found->pw_uid, found->pw_gid);
        if (r) {
                snprintf(why, size, "Failed to change to user \"%s\": %s", user, strerror(-r));
                return error_origin(r);
        }
        prctl(PR_SET_DUMPABLE, 1);
        return 0;
}

static struct {
        bool to_stderr, to_syslog;
        char prefix[64];
        struct outlet errors, syslog;
        struct poller *_Atomic poller;
        struct timer again;
} target;

static void log_again(struct timer *timer, struct turn *turn)
{
        bool waits = target.to_syslog && outlet_retry(&target.syslog);

        waits |= target.to_stderr && outlet_retry(&target.errors);
        if (waits)
                timer_set(timer, timer->poller, LOG_AGAIN_USEC);
}

static void sink(int priority, const char *line)
{
        struct poller *poller = target.poller;
        bool waits = target.to_syslog && outlet_put(&target.syslog, priority, line);

        waits |= target.to_stderr && outlet_put(&target.errors, priority, line);
        if (waits && poller)
                timer_set(&target.again, poller, LOG_AGAIN_USEC);
}

void service_log(enum options_log log, const char *type)
{
        char *prefix = target.prefix;
        const size_t size = sizeof(target.prefix);

        target.to_syslog = log == OPTIONS_LOG_BOTH || log == OPTIONS_LOG_SYSLOG;
        target.to_stderr = log != OPTIONS_LOG_SYSLOG;
        target.syslog = OUTLET_SYSLOG("lambus-daemon", prefix, _PATH_LOG);
        target.errors = OUTLET_FD("lambus-daemon", prefix, STDERR_FILENO);
        target.again.fn = log_again;
        if (type && strcmp(type, "system") == 0)
                snprintf(prefix, size, "[system] ");
        else
                snprintf(prefix, size, "[%s uid=%u pid=%d] ", type ? type : "bus",
                         (unsigned)getuid(), (int)getpid());
        log_set_sink(sink, prefix);
}

void service_log_by(struct poller *poller)
{
        if (!poller)
                timer_clear(&target.again);
        target.poller = poller;
}

bool service_logs_to_syslog(void)
{
        return target.to_syslog;
}

void service_notify(const char *state)
{
        sd_notify(0, state);
}

void service_notify_reloading(void)
{
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec());
}

int service_print(int fd, const char *line)
{
        size_t n = strlen(line);
        char *text;
        int r = 0;

        text = malloc(n + 2);
        if (!text)
                return error_origin(-ENOMEM);
        memcpy(text, line, n);
        text[n] = '\n';
        if (write(fd, text, n + 1) != (ssize_t)n + 1)
                r = error_origin(errno ? -errno : -EIO);
        free(text);
        if (fd > 2)
                close(fd);
        return r;
}
