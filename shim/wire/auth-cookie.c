/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cookie ring: see auth-cookie.h. */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <inttypes.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/wire/auth-cookie.h"

#define CONTEXT      "org_freedesktop_general"
#define DIRECTORY    ".dbus-keyrings"
#define SECRET_BYTES 24
#define NONCE_BYTES  16

struct cookie {
        uint32_t id; /* 1..INT32_MAX, for clients read it as a signed number */
        int64_t created;
        char secret[sizeof(((struct auth_challenge *)NULL)->secret)];
};

/* The living cookies of a file. */
struct jar {
        size_t n;
        struct cookie cookies[COOKIE_MAX];
};

static void fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

static void hex_encode(char *out, const uint8_t *in, size_t n)
{
        for (size_t i = 0; i < n; i++)
                sprintf(out + 2 * i, "%02x", in[i]);
}

static int random_hex(char *out, size_t n)
{
        uint8_t buf[SECRET_BYTES];

        if (getrandom(buf, n, 0) != (ssize_t)n)
                return error_origin(-errno);
        hex_encode(out, buf, n);
        return 0;
}

/* --- the file ----------------------------------------------------------------------------- */

/* open_dir() - the keyring directory, made if missing; others must have no business there */
static int open_dir(const struct cookie_ring *ring, int *out_fd)
{
        _cleanup_(closep) int fd = -1;
        struct stat st;

        if (mkdir(ring->dir, 0700) < 0 && errno != EEXIST)
                return COOKIE_E_DIRECTORY;
        fd = open(ring->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return COOKIE_E_DIRECTORY;
        if (st.st_uid != ring->uid || (st.st_mode & 077))
                return COOKIE_E_DIRECTORY;
        *out_fd = steal_fd(&fd);
        return 0;
}

static bool cookie_alive(const struct cookie *c, int64_t now)
{
        return c->id && c->id <= INT32_MAX && c->created > now - COOKIE_EXPIRE_S &&
               c->created <= now + COOKIE_FUTURE_S;
}

/* read_jar() - living cookies only; lines that make no sense are left out */
static int read_jar(struct jar *jar, int dir, int64_t now)
{
        _cleanup_(fclosep) FILE *f = NULL;
        char line[256];
        int fd;

        jar->n = 0;
        fd = openat(dir, CONTEXT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return 0; /* none yet */
        f = fdopen(fd, "r");
        if (!f) {
                close(fd);
                return error_origin(-ENOMEM);
        }
        while (jar->n < COOKIE_MAX && fgets(line, sizeof(line), f)) {
                struct cookie *c = jar->cookies + jar->n;

                if (sscanf(line, "%" SCNu32 " %" SCNd64 " %64[0-9a-fA-F]", &c->id, &c->created,
                           c->secret) == 3 &&
                    cookie_alive(c, now))
                        jar->n++;
        }
        return 0;
}

/* freshest() - the youngest cookie that may still be handed out, or NULL */
static const struct cookie *freshest(const struct jar *jar, int64_t now)
{
        const struct cookie *best = NULL;

        for (size_t i = 0; i < jar->n; i++) {
                const struct cookie *c = jar->cookies + i;

                if (c->created > now - COOKIE_FRESH_S && (!best || c->created > best->created))
                        best = c;
        }
        return best;
}

static int write_jar(const struct jar *jar, int dir)
{
        static const char name[] = CONTEXT ".new";
        _cleanup_(fclosep) FILE *f = NULL;
        int fd;

        unlinkat(dir, name, 0); /* the lock is ours, so this is from one who died */
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_origin(-errno);
        f = fdopen(fd, "w");
        if (!f) {
                close(fd);
                return error_origin(-ENOMEM);
        }
        for (size_t i = 0; i < jar->n; i++)
                fprintf(f, "%" PRIu32 " %" PRId64 " %s\n", jar->cookies[i].id,
                        jar->cookies[i].created, jar->cookies[i].secret);
        if (fflush(f) || ferror(f) || renameat(dir, name, dir, CONTEXT) < 0)
                return error_origin(errno ? -errno : -EIO);
        return 0;
}

/* --- a new cookie ------------------------------------------------------------------------- */

static void break_stale_lock(int dir)
{
        struct stat st;

        if (fstatat(dir, CONTEXT ".lock", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        if (st.st_mtime < time(NULL) - COOKIE_LOCK_STALE_S)
                unlinkat(dir, CONTEXT ".lock", 0);
}

static int lock(int dir)
{
        static const struct timespec wait = {.tv_nsec = COOKIE_LOCK_WAIT_MS * 1000000L};
        int fd;

        for (int i = 0; i < COOKIE_LOCK_TRIES; i++) {
                fd = openat(dir, CONTEXT ".lock", O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600);
                if (fd >= 0)
                        return close(fd);
                if (errno != EEXIST)
                        return error_origin(-errno);
                break_stale_lock(dir);
                nanosleep(&wait, NULL);
        }
        return COOKIE_E_LOCKED;
}

static bool has_id(const struct jar *jar, uint32_t id)
{
        for (size_t i = 0; i < jar->n; i++)
                if (jar->cookies[i].id == id)
                        return true;
        return false;
}

static int new_cookie(struct jar *jar, int64_t now)
{
        struct cookie *c;

        if (jar->n == COOKIE_MAX) /* all alive, none fresh: the first is the oldest */
                memmove(jar->cookies, jar->cookies + 1, --jar->n * sizeof(*jar->cookies));
        c = jar->cookies + jar->n;
        do {
                if (getrandom(&c->id, sizeof(c->id), 0) != sizeof(c->id))
                        return error_origin(-errno);
                c->id &= INT32_MAX;
        } while (!c->id || has_id(jar, c->id));
        c->created = now;
        jar->n++;
        return random_hex(c->secret, SECRET_BYTES);
}

/* add_cookie() - under the lock: look again, for another server may have been faster */
static int add_cookie(struct jar *jar, int dir, int64_t now)
{
        int r = lock(dir);

        if (r)
                return r;
        r = read_jar(jar, dir, now);
        if (!r && !freshest(jar, now)) {
                r = new_cookie(jar, now);
                if (!r)
                        r = write_jar(jar, dir);
        }
        unlinkat(dir, CONTEXT ".lock", 0);
        return r;
}

/* --- public ------------------------------------------------------------------------------- */

int cookie_ring_init(struct cookie_ring *out, const char *home)
{
        struct cookie_ring ring = {.uid = geteuid()};
        struct passwd pw, *found = NULL;
        char buf[4096];

        getpwuid_r(ring.uid, &pw, buf, sizeof(buf), &found);
        if (!home)
                home = getenv("HOME");
        if (!home && found)
                home = pw.pw_dir;
        if (!home)
                return error_origin(-ENOENT);
        if (asprintf(&ring.dir, "%s/" DIRECTORY, home) < 0)
                return error_origin(-ENOMEM);
        if (found && !(ring.user = strdup(pw.pw_name))) {
                free(ring.dir);
                return error_origin(-ENOMEM);
        }
        *out = ring;
        return 0;
}

void cookie_ring_deinit(struct cookie_ring *ring)
{
        free(ring->dir);
        free(ring->user);
        *ring = COOKIE_RING_NULL;
}

/* is_own_user() - only the bus's own user shares its keyring with it */
static bool is_own_user(const struct cookie_ring *ring, const char *user, size_t n)
{
        char buf[64], *end;
        long long v;

        if (!n || n >= sizeof(buf) || memchr(user, 0, n))
                return false;
        memcpy(buf, user, n);
        buf[n] = 0;
        if (ring->user && !strcmp(ring->user, buf))
                return true;
        v = strtoll(buf, &end, 0);
        return end != buf && !*end && v == (long long)ring->uid;
}

int cookie_ring_challenge(struct auth_challenge *out, void *ctx, const char *user, size_t n)
{
        const struct cookie_ring *ring = ctx;
        _cleanup_(freep) struct jar *jar = NULL;
        _cleanup_(closep) int dir = -1;
        int64_t now = time(NULL);
        const struct cookie *c;
        int r;

        if (!is_own_user(ring, user, n))
                return COOKIE_E_USER;
        jar = malloc(sizeof(*jar));
        if (!jar)
                return error_origin(-ENOMEM);
        r = open_dir(ring, &dir);
        if (!r)
                r = read_jar(jar, dir, now);
        if (!r && !freshest(jar, now))
                r = add_cookie(jar, dir, now);
        if (r)
                return error_fold(r);
        c = freshest(jar, now);
        if (!c)
                return error_origin(-EIO);

        *out = (struct auth_challenge){.uid = ring->uid, .id = c->id, .context = CONTEXT};
        memcpy(out->secret, c->secret, sizeof(out->secret));
        return error_fold(random_hex(out->nonce, NONCE_BYTES));
}

static void gcrypt_setup(void)
{
        if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
                return;
        gcry_check_version(NULL);
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

int cookie_digest(char out[static 41], const char *nonce, const char *client, size_t client_len,
                  const char *secret)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        gcry_md_hd_t md;
        const uint8_t *sha1;

        pthread_once(&once, gcrypt_setup);
        if (gcry_md_open(&md, GCRY_MD_SHA1, 0))
                return error_origin(-ENOMEM);
        gcry_md_write(md, nonce, strlen(nonce));
        gcry_md_write(md, ":", 1);
        gcry_md_write(md, client, client_len);
        gcry_md_write(md, ":", 1);
        gcry_md_write(md, secret, strlen(secret));
        sha1 = gcry_md_read(md, GCRY_MD_SHA1);
        hex_encode(out, sha1, 20);
        gcry_md_close(md);
        return 0;
}
