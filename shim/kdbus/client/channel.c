/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/client/channel.h"

#define CHANNEL_FD_MIN 900 /* out of the way of programs that count on low numbers */

static __thread struct channel own = {.fd = -1, .daemon_fd = -1};
static pthread_key_t at_exit;
static bool have_key;
static volatile uint64_t *epoch_page; /* zero in a child that was just forked */
static uint64_t epoch_count;

static void thread_exit(void *p)
{
        channel_drop(&own);
}

/**
 * channel_setup() - once, before main()
 */
void channel_setup(void)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        have_key = pthread_key_create(&at_exit, thread_exit) == 0;
        if (p == MAP_FAILED)
                return;
        if (madvise(p, 4096, MADV_WIPEONFORK) < 0)
                munmap(p, 4096);
        else
                epoch_page = p;
}

/* a number that no ancestor of this process used */
static uint64_t epoch(void)
{
        if (!epoch_page)
                return (uint64_t)getpid();
        if (!*epoch_page)
                *epoch_page = __atomic_add_fetch(&epoch_count, 1, __ATOMIC_RELAXED);
        return *epoch_page;
}

/**
 * channel_cookie() - what tells one socket from all others, whatever its number; 0 if it is none
 */
uint64_t channel_cookie(int fd)
{
        uint64_t cookie = 0;
        socklen_t n = sizeof(cookie);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
                return 0;
        return cookie;
}

static int move_up(int fd)
{
        int high = fcntl(fd, F_DUPFD_CLOEXEC, CHANNEL_FD_MIN);

        if (high < 0)
                return fd;
        syscall(SYS_close, fd);
        return high;
}

static int channel_open(struct channel *ch)
{
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        *ch = (struct channel){
                .fd = move_up(fds[0]), .daemon_fd = move_up(fds[1]), .epoch = epoch()};
        ch->cookie = channel_cookie(ch->fd);
        ch->tid = syscall(SYS_gettid);
        return 0;
}

/**
 * channel_drop() - close a channel, if its number is still its own
 */
void channel_drop(struct channel *ch)
{
        if (ch->cookie && channel_cookie(ch->fd) == ch->cookie)
                syscall(SYS_close, ch->fd);
        if (ch->daemon_fd >= 0)
                syscall(SYS_close, ch->daemon_fd);
        *ch = (struct channel){.fd = -1, .daemon_fd = -1};
}

/**
 * channel_get() - the channel to use for one command
 * @spare:      used if the thread's own is taken by the command that a signal interrupted
 *
 * Return: 0 or a negative errno.
 */
int channel_get(struct channel **chp, struct channel *spare)
{
        struct channel *ch = &own;
        int r;

        *spare = (struct channel){.fd = -1, .daemon_fd = -1};
        if (own.busy && own.epoch == epoch()) {
                ch = spare;
        } else if (own.fd >= 0 && (own.epoch != epoch() || channel_cookie(own.fd) != own.cookie)) {
                channel_drop(&own);
        }
        if (ch->fd < 0) {
                r = channel_open(ch);
                if (r)
                        return r;
                if (ch == &own && have_key)
                        pthread_setspecific(at_exit, &own);
        }
        ch->busy = true;
        *chp = ch;
        return 0;
}

void channel_put(struct channel *ch, const struct channel *spare)
{
        if (ch == spare)
                channel_drop(ch);
        else
                ch->busy = false;
}
