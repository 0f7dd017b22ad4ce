/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/daemon/outlet.h"

_Static_assert(OUTLET_LINE_MAX <= PIPE_BUF, "a pipe would cut lines");

/* --- writing without waiting: the number of bytes, or a negative errno ------------------------- */

static ssize_t write_as_it_is(int fd, const char *data, size_t n)
{
        ssize_t r = write(fd, data, n);

        return r < 0 ? -errno : r;
}

/* The same file with flags that are ours; where that is not allowed, a look before the leap. */
static ssize_t write_reopened(int fd, const char *data, size_t n)
{
        struct pollfd room = { .fd = fd, .events = POLLOUT };
        char path[32];
        ssize_t r;
        int again;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (again >= 0) {
                r = write_as_it_is(again, data, n);
                close(again);
                return r;
        }
        if (errno == ENXIO)
                return -EPIPE;
        if (poll(&room, 1, 0) <= 0)
                return -EAGAIN;
        return write_as_it_is(fd, data, n);
}

static ssize_t write_pipe(int fd, const char *data, size_t n)
{
#ifdef RWF_NOWAIT
        struct iovec iov = { (char *)data, n };
        ssize_t r = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);

        if (r >= 0 || errno == EAGAIN || errno == EPIPE)
                return r < 0 ? -errno : r;
#endif
        return write_reopened(fd, data, n);
}

static ssize_t write_now(int fd, const char *data, size_t n)
{
        struct stat st;
        ssize_t r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISSOCK(st.st_mode)) {
                r = send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                return r < 0 ? -errno : r;
        }
        if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))
                return write_pipe(fd, data, n);
        return write_as_it_is(fd, data, n);
}

/* --- syslog ------------------------------------------------------------------------------------ */

static int open_syslog(struct outlet *o)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int r;

        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", o->syslog);
        o->stream = false;
again:
        o->fd = socket(AF_UNIX, (o->stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (o->fd < 0)
                return -errno;
        if (connect(o->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
                return 0;
        r = -errno;
        closep(&o->fd);
        o->fd = -1;
        if (r == -EPROTOTYPE && !o->stream) {
                o->stream = true;
                goto again;
        }
        return r;
}

static void close_syslog(struct outlet *o)
{
        closep(&o->fd);
        o->fd = -1;
        o->n_rest = 0;
}

/* --- lines ------------------------------------------------------------------------------------- */

/* A line as it is written; returns its length. */
static size_t make_record(const struct outlet *o, char *out, int priority, const char *line)
{
        char when[32] = "";
        struct tm tm;
        time_t now;
        int n;

        if (o->syslog) {
                time(&now);
                strftime(when, sizeof(when), "%b %e %T", localtime_r(&now, &tm));
                n = snprintf(out, OUTLET_LINE_MAX, "<%d>%s %s[%d]: %s", LOG_DAEMON | priority, when,
                             o->name, (int)getpid(), line);
                return MIN(n, OUTLET_LINE_MAX - 1) + o->stream;
        }
        n = snprintf(out, OUTLET_LINE_MAX, "%s[%d]: %s\n", o->name, (int)getpid(), line);
        if (n < OUTLET_LINE_MAX)
                return n;
        out[OUTLET_LINE_MAX - 2] = '\n';
        return OUTLET_LINE_MAX - 1;
}

/* True if all of it is on its way: written, or begun and the rest kept. */
static bool emit(struct outlet *o, const char *record, size_t n)
{
        ssize_t r = write_now(o->fd, record, n);

        if (o->syslog && r < 0 && r != -EAGAIN) { /* it was started anew */
                close_syslog(o);
                if (!open_syslog(o))
                        r = write_now(o->fd, record, n);
        }
        o->full = r == -EAGAIN || (r >= 0 && (size_t)r < n);
        if (r < 0)
                return false;
        o->n_rest = n - r;
        memmove(o->rest, record + r, o->n_rest);
        return true;
}

/* What comes before the next line: true if that may be written. */
static bool catch_up(struct outlet *o)
{
        char line[256], record[OUTLET_LINE_MAX];

        if (o->n_rest && (!emit(o, o->rest, o->n_rest) || o->n_rest))
                return false;
        if (!o->lost)
                return true;
        snprintf(line, sizeof(line), "%s%" PRIu64 " line%s lost: nobody took more", o->prefix, o->lost,
                 o->lost == 1 ? "" : "s");
        if (!emit(o, record, make_record(o, record, LOG_WARNING, line)))
                return false;
        o->lost = 0;
        return !o->n_rest;
}

bool outlet_put(struct outlet *o, int priority, const char *line)
{
        char record[OUTLET_LINE_MAX];
        bool full;

        pthread_mutex_lock(&o->lock);
        if (o->syslog && o->fd < 0)
                open_syslog(o);
        if (!catch_up(o) || !emit(o, record, make_record(o, record, priority, line)))
                o->lost++;
        full = o->full;
        pthread_mutex_unlock(&o->lock);
        return full;
}

bool outlet_retry(struct outlet *o)
{
        bool full;

        pthread_mutex_lock(&o->lock);
        catch_up(o);
        full = o->full;
        pthread_mutex_unlock(&o->lock);
        return full;
}

void outlet_deinit(struct outlet *o)
{
        if (o->syslog)
                close_syslog(o);
}
