/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Hooks
 *
 * What it is     The library calls of the program that may concern kdbus. Each first does what it
 *                always did; only what fails, or turns out to be a node or a handle, is ours.
 */

#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/kdbus/client/channel.h"
#include "shim/kdbus/client/forward.h"
#include "shim/kdbus/client/paths.h"
#include "shim/kdbus/client/ring.h"
#include "shim/kdbus/kdbus-abi.h"

#define EXPORT __attribute__((__visibility__("default")))

/* the next definition of a function; found once */
#define NEXT(ret, name, ...)                                                                       \
        static ret (*next_##name)(__VA_ARGS__);                                                    \
        static ret (*find_##name(void))(__VA_ARGS__)                                               \
        {                                                                                          \
                if (!next_##name)                                                                  \
                        next_##name = (ret(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);                \
                return next_##name;                                                                \
        }

NEXT(int, close, int)
NEXT(int, dup2, int, int)
NEXT(int, dup3, int, int, int)
NEXT(int, close_range, unsigned, unsigned, int)
NEXT(void, closefrom, int)

__attribute__((__constructor__)) static void setup(void)
{
        int saved = errno;

        (void)find_close(); /* a signal handler may close */
        (void)find_dup2();
        (void)find_dup3();
        paths_setup();
        channel_setup();
        errno = saved;
}

static int result(int r)
{
        if (r >= 0)
                return r;
        errno = -r;
        return -1;
}

/* --- open --- */

/* a node's file becomes a handle; anything else stays what it is */
static int convert(int fd, const char *path, int flags)
{
        int saved = errno, r;

        if (fd < 0 || (flags & (O_DIRECTORY | O_PATH)) || !paths_may_be_node(path) ||
            !paths_is_node(fd)) {
                errno = saved;
                return fd;
        }
        r = forward_open(fd, flags);
        if (r >= 0)
                errno = saved;
        return result(r);
}

#define OPEN_BODY(call)                                                                            \
        char buf_[PATH_MAX];                                                                       \
        const char *at = path, *mapped_;                                                           \
        mode_t mode = 0;                                                                           \
        int fd_;                                                                                   \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                                                       \
                va_list ap_;                                                                       \
                va_start(ap_, flags);                                                              \
                mode = va_arg(ap_, mode_t);                                                        \
                va_end(ap_);                                                                       \
        }                                                                                          \
        fd_ = call;                                                                                \
        if (fd_ < 0 && errno == ENOENT && (mapped_ = paths_map(path, buf_))) {                     \
                at = mapped_;                                                                      \
                fd_ = call;                                                                        \
        }                                                                                          \
        return convert(fd_, at, flags)

NEXT(int, open, const char *, int, ...)
NEXT(int, open64, const char *, int, ...)
NEXT(int, openat, int, const char *, int, ...)
NEXT(int, openat64, int, const char *, int, ...)

EXPORT int open(const char *path, int flags, ...)
{
        OPEN_BODY(find_open()(at, flags, mode));
}

EXPORT int open64(const char *path, int flags, ...)
{
        OPEN_BODY(find_open64()(at, flags, mode));
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
        OPEN_BODY(find_openat()(dir, at, flags, mode));
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
        OPEN_BODY(find_openat64()(dir, at, flags, mode));
}

/* what a program compiled with _FORTIFY_SOURCE calls when it passes no mode */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __openat_2(int dir, const char *path, int flags);
EXPORT int __openat64_2(int dir, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
        return open(path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
        return open64(path, flags, 0);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
        return openat(dir, path, flags, 0);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
        return openat64(dir, path, flags, 0);
}

/* stdio opens by itself: a node is opened here, and given to it */
static FILE *open_stream(FILE *f, const char *path, const char *mode)
{
        char buf[PATH_MAX];
        const char *at = paths_map(path, buf);
        int flags = mode[0] == 'r' && !__builtin_strchr(mode, '+') ? O_RDONLY : O_RDWR;
        int fd;

        if (f || errno != ENOENT || !at)
                return f;
        fd = open(at, flags | (__builtin_strchr(mode, 'e') ? O_CLOEXEC : 0));
        return fd < 0 ? NULL : fdopen(fd, mode);
}

NEXT(FILE *, fopen, const char *, const char *)
NEXT(FILE *, fopen64, const char *, const char *)

EXPORT FILE *fopen(const char *path, const char *mode)
{
        return open_stream(find_fopen()(path, mode), path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
        return open_stream(find_fopen64()(path, mode), path, mode);
}

/* --- looking --- */

#define PATH_BODY(failed, call)                                                                    \
        char buf_[PATH_MAX];                                                                       \
        const char *at = path;                                                                     \
        __typeof__(call) r_ = call;                                                                \
        if (r_ == (failed) && errno == ENOENT && (at = paths_map(path, buf_)))                     \
                r_ = call;                                                                         \
        else if (!at)                                                                              \
                errno = ENOENT;                                                                    \
        return r_

NEXT(int, access, const char *, int)
NEXT(int, eaccess, const char *, int)
NEXT(int, euidaccess, const char *, int)
NEXT(int, faccessat, int, const char *, int, int)
NEXT(int, stat, const char *, struct stat *)
NEXT(int, lstat, const char *, struct stat *)
NEXT(int, stat64, const char *, struct stat64 *)
NEXT(int, lstat64, const char *, struct stat64 *)
NEXT(int, fstatat, int, const char *, struct stat *, int)
NEXT(int, fstatat64, int, const char *, struct stat64 *, int)
NEXT(int, statx, int, const char *, int, unsigned, struct statx *)
NEXT(int, fstat, int, struct stat *)
NEXT(int, fstat64, int, struct stat64 *)
NEXT(int, __xstat, int, const char *, struct stat *)
NEXT(int, __lxstat, int, const char *, struct stat *)
NEXT(int, __fxstat, int, int, struct stat *)
NEXT(int, __xstat64, int, const char *, struct stat64 *)
NEXT(int, __lxstat64, int, const char *, struct stat64 *)
NEXT(int, __fxstat64, int, int, struct stat64 *)
NEXT(DIR *, opendir, const char *)

EXPORT int access(const char *path, int mode)
{
        PATH_BODY(-1, find_access()(at, mode));
}

EXPORT int eaccess(const char *path, int mode)
{
        PATH_BODY(-1, find_eaccess()(at, mode));
}

EXPORT int euidaccess(const char *path, int mode)
{
        PATH_BODY(-1, find_euidaccess()(at, mode));
}

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
        PATH_BODY(-1, find_faccessat()(dir, at, mode, flags));
}

EXPORT int stat(const char *path, struct stat *st)
{
        PATH_BODY(-1, find_stat()(at, st));
}

EXPORT int lstat(const char *path, struct stat *st)
{
        PATH_BODY(-1, find_lstat()(at, st));
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
        PATH_BODY(-1, find_stat64()(at, st));
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
        PATH_BODY(-1, find_lstat64()(at, st));
}

EXPORT DIR *opendir(const char *path)
{
        PATH_BODY(NULL, find_opendir()(at));
}

/* programs compiled for an older C library */
EXPORT int __xstat(int version, const char *path, struct stat *st);
EXPORT int __lxstat(int version, const char *path, struct stat *st);
EXPORT int __xstat64(int version, const char *path, struct stat64 *st);
EXPORT int __lxstat64(int version, const char *path, struct stat64 *st);
EXPORT int __fxstat(int version, int fd, struct stat *st);
EXPORT int __fxstat64(int version, int fd, struct stat64 *st);

EXPORT int __xstat(int version, const char *path, struct stat *st)
{
        PATH_BODY(-1, find___xstat()(version, at, st));
}

EXPORT int __lxstat(int version, const char *path, struct stat *st)
{
        PATH_BODY(-1, find___lxstat()(version, at, st));
}

EXPORT int __xstat64(int version, const char *path, struct stat64 *st)
{
        PATH_BODY(-1, find___xstat64()(version, at, st));
}

EXPORT int __lxstat64(int version, const char *path, struct stat64 *st)
{
        PATH_BODY(-1, find___lxstat64()(version, at, st));
}

/* a handle looks like its node, not like the socket it is */
#define HANDLE_STAT_BODY(call)                                                                     \
        int at = fd, r_ = call, saved_ = errno;                                                    \
        if (r_ < 0 || !S_ISSOCK(st->st_mode) || !forward_is_handle(fd))                            \
                return r_;                                                                         \
        at = forward_stat(fd);                                                                     \
        if (at >= 0) {                                                                             \
                r_ = call;                                                                         \
                syscall(SYS_close, at);                                                            \
        }                                                                                          \
        errno = saved_;                                                                            \
        return r_

EXPORT int fstat(int fd, struct stat *st)
{
        HANDLE_STAT_BODY(find_fstat()(at, st));
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
        HANDLE_STAT_BODY(find_fstat64()(at, st));
}

EXPORT int __fxstat(int version, int fd, struct stat *st)
{
        HANDLE_STAT_BODY(find___fxstat()(version, at, st));
}

EXPORT int __fxstat64(int version, int fd, struct stat64 *st)
{
        HANDLE_STAT_BODY(find___fxstat64()(version, at, st));
}

EXPORT int fstatat(int dir, const char *path, struct stat *st, int flags)
{
        if ((flags & AT_EMPTY_PATH) && !path[0])
                return fstat(dir, st);
        PATH_BODY(-1, find_fstatat()(dir, at, st, flags));
}

EXPORT int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
        if ((flags & AT_EMPTY_PATH) && !path[0])
                return fstat64(dir, st);
        PATH_BODY(-1, find_fstatat64()(dir, at, st, flags));
}

EXPORT int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
        int fd, r;

        if ((flags & AT_EMPTY_PATH) && !path[0] && forward_is_handle(dir)) {
                fd = forward_stat(dir);
                r = find_statx()(fd >= 0 ? fd : dir, path, flags, mask, st);
                if (fd >= 0)
                        syscall(SYS_close, fd);
                return r;
        }
        PATH_BODY(-1, find_statx()(dir, at, flags, mask, st));
}

/* --- commands and the pool --- */

NEXT(int, ioctl, int, unsigned long, ...)

EXPORT int ioctl(int fd, unsigned long request, ...)
{
        int saved = errno, r;
        va_list ap;
        void *arg;

        va_start(ap, request);
        arg = va_arg(ap, void *);
        va_end(ap);
        if (_IOC_TYPE(request) != KDBUS_IOCTL_MAGIC)
                return find_ioctl()(fd, request, arg);
        r = forward_ioctl(fd, request, arg);
        if (r >= 0)
                errno = saved;
        return r == FORWARD_E_ALIEN ? find_ioctl()(fd, request, arg) : result(r);
}

/* --- numbers that change their meaning --- */

static int not_known(void)
{
        errno = ENOSYS;
        return -1;
}

EXPORT int close(int fd)
{
        int r;

        if (fd < 0)
                return find_close()(fd);
        ring_forget(fd, fd); /* another thread may get the number before this one hears of it */
        r = find_close()(fd);
        forward_closed(fd, fd);
        return r;
}

EXPORT int dup2(int fd, int as)
{
        int r = find_dup2()(fd, as);

        if (r >= 0)
                forward_closed(r, r);
        return r;
}

EXPORT int dup3(int fd, int as, int flags)
{
        int r = find_dup3()(fd, as, flags);

        if (r >= 0)
                forward_closed(r, r);
        return r;
}

/* not in every C library */
EXPORT int close_range(unsigned first, unsigned last, int flags);
EXPORT void closefrom(int first);

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
        int r = find_close_range() ? find_close_range()(first, last, flags) : not_known();

        forward_closed(first, last);
        return r;
}

EXPORT void closefrom(int first)
{
        if (find_closefrom())
                find_closefrom()(first);
        forward_closed(first < 0 ? 0 : first, ~0U);
}

/* called before anything is set up, even by dlsym itself: the system call needs no looking up */
static void *map(void *address, size_t n, int prot, int flags, int fd, off64_t offset)
{
        long r = syscall(SYS_mmap, address, n, prot, flags, fd, offset);

        return r == -1 ? MAP_FAILED : (void *)r;
}

static void *map_any(void *address, size_t n, int prot, int flags, int fd, off64_t offset)
{
        int saved = errno, pool_fd;
        void *p;

        if (fd < 0 || (flags & MAP_ANONYMOUS) || !forward_is_handle(fd))
                return map(address, n, prot, flags, fd, offset);
        pool_fd = forward_mmap(fd, n, prot, flags, offset);
        if (pool_fd < 0) {
                errno = -pool_fd;
                return MAP_FAILED;
        }
        p = map(address, n, prot, flags, pool_fd, offset);
        if (p != MAP_FAILED)
                errno = saved;
        syscall(SYS_close, pool_fd);
        return p;
}

EXPORT void *mmap(void *address, size_t n, int prot, int flags, int fd, off_t offset)
{
        return map_any(address, n, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *address, size_t n, int prot, int flags, int fd, off64_t offset)
{
        return map_any(address, n, prot, flags, fd, offset);
}
