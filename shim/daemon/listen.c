/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "shim/bus/log.h"
#include "shim/daemon/listen.h"
#include "shim/wire/address.h"
#include "shim/wire/error.h"

#define VALUE_MAX 1024      /* bytes of an unescaped value; paths are shorter anyhow */
#define ACCEPT_BATCH 16     /* sockets accepted in one turn: each takes as long as some 50 messages */
#define RESUME_USEC 50000   /* how soon to look again after nothing was accepted */
#define SPARE_FDS 253       /* kept for messages of those who are here: as many as one may bring */

void random_id(char out[static 33])
{
        uint8_t bytes[16];

        while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                ;
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void listeners_init(struct listeners *all, struct bus *bus, const struct conn_config *config)
{
        *all = (struct listeners){ .bus = bus, .config = *config };
        CDS_INIT_LIST_HEAD(&all->list);
        pthread_mutex_init(&all->lock, NULL);
}

/* It listens no more. */
static void listener_shut(struct listener *l, bool keep_files)
{
        watch_stop(&l->watch);
        closep(&l->fd);
        l->fd = -1;
        if (l->unlink && !keep_files)
                unlink(l->unlink);
        if (l->nonce_file && !keep_files)
                unlink(l->nonce_file);
}

static void listener_free(struct listener *l)
{
        free(l->unlink);
        free(l->nonce_file);
        free(l->address);
        free(l);
}

void listeners_deinit(struct listeners *all)
{
        struct listener *l, *next;

        cds_list_for_each_entry_safe(l, next, &all->list, link) {
                cds_list_del(&l->link);
                listener_shut(l, all->keep_files);
                if (l->config.container)
                        container_unref(l->config.container); /* which frees it */
                else
                        listener_free(l);
        }
        pthread_mutex_destroy(&all->lock);
}

static int listener_add(struct listener **out, struct listeners *all, int fd, char *address)
{
        struct listener *l;

        l = calloc(1, sizeof(*l));
        if (!l) {
                close(fd);
                free(address);
                return error_origin(-ENOMEM);
        }
        l->config = all->config;
        random_id(l->config.guid);
        l->all = all;
        l->fd = fd;
        l->watch.fd = -1;
        l->address = address;
        pthread_mutex_lock(&all->lock);
        cds_list_add_tail(&l->link, &all->list);
        pthread_mutex_unlock(&all->lock);
        *out = l;
        return 0;
}

/* "transport:key=<value, escaped>" */
static char *format_address(const char *head, const char *value, size_t n)
{
        size_t head_n = strlen(head), size = head_n + 3 * n + 1;
        char *text = malloc(size);

        if (text) {
                memcpy(text, head, head_n);
                address_escape(text + head_n, size - head_n, value, n);
        }
        return text;
}

static int fail(char *why, int r, const char *what, const char *detail)
{
        snprintf(why, LISTEN_WHY_MAX, "%.100s%s%.300s%s%.90s", what, detail ? " \"" : "", detail ? detail : "",
                 detail ? "\": " : ": ", strerror(-r));
        return error_origin(r);
}

/* --- unix: ----------------------------------------------------------------------------------- */

static int bind_unix(struct listeners *all, const char *path, bool abstract, char *why)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        size_t n = strlen(path);
        struct listener *l;
        struct stat st;
        int fd, r;

        if (n + 1 > sizeof(sa.sun_path))
                return fail(why, -ENAMETOOLONG, "Socket name too long", path);
        memcpy(sa.sun_path + abstract, path, n);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return fail(why, -errno, "Failed to make a socket", NULL);
        if (!abstract && stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
                unlink(path);
        if (bind(fd, (struct sockaddr *)&sa, offsetof(struct sockaddr_un, sun_path) + n + 1) < 0 ||
            listen(fd, SOMAXCONN) < 0) {
                r = -errno;
                close(fd);
                return fail(why, r, "Failed to bind socket", path);
        }
        if (!abstract && chmod(path, 0777) < 0)
                log_line(LOG_WARNING, "could not make %s open to all: %m", path);
        r = listener_add(&l, all, fd,
                         format_address(abstract ? "unix:abstract=" : "unix:path=", path, n));
        if (r)
                return fail(why, r, "Failed to listen at", path);
        l->config.can_pass_fds = true;
        l->unlink = abstract ? NULL : strdup(path);
        return 0;
}

static int bind_dir(struct listeners *all, const char *dir, char *why)
{
        static const char letters[] =
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        char path[VALUE_MAX + 32], name[11] = "";
        uint8_t bytes[10];

        while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                ;
        for (size_t i = 0; i < sizeof(bytes); i++)
                name[i] = letters[bytes[i] % (sizeof(letters) - 1)];
        snprintf(path, sizeof(path), "%s/dbus-%s", dir, name);
        return error_fold(bind_unix(all, path, false, why));
}

static int bad_address(char *why, const char *text)
{
        snprintf(why, LISTEN_WHY_MAX, "%s", text);
        return error_origin(-EINVAL);
}

static int listen_unix(struct listeners *all, const struct address *a, char *why)
{
        static const char *const keys[] = { "path", "dir", "tmpdir", "abstract", "runtime" };
        char value[VALUE_MAX], path[VALUE_MAX + 8];
        const char *key = NULL, *dir;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                int r = address_value(a, keys[i], value, sizeof(value));

                if (r == WIRE_E_ADDRESS_ABSENT)
                        continue;
                if (r)
                        return bad_address(why, wire_strerror(r));
                if (key)
                        return bad_address(why, "cannot specify two of \"path\", \"dir\", \"tmpdir\", "
                                                "\"abstract\" and \"runtime\" at the same time");
                key = keys[i];
        }
        if (!key)
                return bad_address(why, "no \"path\", \"dir\", \"tmpdir\", \"abstract\" or \"runtime\" "
                                        "in a unix: address");
        address_value(a, key, value, sizeof(value));
        if (key[0] == 'p')
                return error_fold(bind_unix(all, value, false, why));
        if (key[0] == 'a')
                return error_fold(bind_unix(all, value, true, why));
        if (key[0] != 'r')
                return error_fold(bind_dir(all, value, why));
        if (strcmp(value, "yes") != 0)
                return bad_address(why, "the only value of \"runtime\" is \"yes\"");
        dir = getenv("XDG_RUNTIME_DIR");
        if (!dir)
                return bad_address(why, "\"XDG_RUNTIME_DIR\" is not set");
        snprintf(path, sizeof(path), "%s/bus", dir);
        return error_fold(bind_unix(all, path, false, why));
}

/* --- systemd: -------------------------------------------------------------------------------- */

static char *address_of_socket(int fd, bool *is_unix)
{
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
                struct sockaddr_storage storage;
        } addr = {};
        socklen_t len = sizeof(addr);
        char host[NI_MAXHOST], port[NI_MAXSERV], *text = NULL;
        size_t n;

        if (getsockname(fd, &addr.sa, &len) < 0)
                return NULL;
        *is_unix = addr.sa.sa_family == AF_UNIX;
        if (*is_unix) {
                n = len - offsetof(struct sockaddr_un, sun_path);
                if (n && !addr.un.sun_path[0])
                        return format_address("unix:abstract=", addr.un.sun_path + 1, n - 1);
                return format_address("unix:path=", addr.un.sun_path,
                                      strnlen(addr.un.sun_path, n));
        }
        if (getnameinfo(&addr.sa, len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) ||
            asprintf(&text, "tcp:host=%s,port=%s,family=%s", host, port,
                     addr.sa.sa_family == AF_INET6 ? "ipv6" : "ipv4") < 0)
                return NULL;
        return text;
}

static int listen_systemd(struct listeners *all, char *why)
{
        int n = sd_listen_fds(1), r;
        struct listener *l;
        bool is_unix;

        if (n < 0)
                return fail(why, n, "The sockets passed cannot be used", NULL);
        if (!n)
                return bad_address(why, "no socket was passed (LISTEN_FDS)");
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                        return bad_address(why, "a socket that was passed is no listening stream "
                                                "socket");
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
                r = listener_add(&l, all, fd, address_of_socket(fd, &is_unix));
                if (r)
                        return fail(why, r, "Failed to listen at a socket that was passed", NULL);
                l->config.can_pass_fds = is_unix;
        }
        return 0;
}

/* --- tcp: ------------------------------------------------------------------------------------ */

struct tcp {
        char host[VALUE_MAX], bind[VALUE_MAX], port[32], family[8];
};

static int parse_tcp(struct tcp *tcp, const struct address *a, char *why)
{
        if (address_value(a, "host", tcp->host, sizeof(tcp->host)))
                strcpy(tcp->host, "localhost");
        if (address_value(a, "bind", tcp->bind, sizeof(tcp->bind)))
                strcpy(tcp->bind, tcp->host);
        if (address_value(a, "port", tcp->port, sizeof(tcp->port)))
                strcpy(tcp->port, "0");
        if (address_value(a, "family", tcp->family, sizeof(tcp->family)))
                tcp->family[0] = 0;
        if (tcp->family[0] && strcmp(tcp->family, "ipv4") && strcmp(tcp->family, "ipv6"))
                return bad_address(why, "the family of a tcp: address is neither ipv4 nor ipv6");
        return 0;
}

static int bind_tcp(struct addrinfo *ai, const char *port_seen)
{
        int fd, one = 1;

        fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
        if (fd < 0)
                return -errno;
        if (port_seen) { /* the second family listens at the port that the first one got */
                if (ai->ai_family == AF_INET6)
                        ((struct sockaddr_in6 *)ai->ai_addr)->sin6_port = htons(atoi(port_seen));
                else
                        ((struct sockaddr_in *)ai->ai_addr)->sin_port = htons(atoi(port_seen));
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (ai->ai_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 30) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

/* Writes the nonce where a client with access to our files finds it. */
static int make_nonce(struct listener *l)
{
        const char *dir = getenv("TMPDIR");
        char path[VALUE_MAX], id[33];
        int fd;

        random_id(id);
        snprintf(path, sizeof(path), "%s/dbus_nonce-%s", dir ? dir : "/tmp", id);
        while (getrandom(l->nonce, sizeof(l->nonce), 0) != sizeof(l->nonce))
                ;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_origin(-errno);
        if (write(fd, l->nonce, sizeof(l->nonce)) != sizeof(l->nonce)) {
                close(fd);
                return error_origin(-EIO);
        }
        close(fd);
        l->nonce_file = strdup(path);
        l->config.nonce = l->nonce;
        return l->nonce_file ? 0 : error_origin(-ENOMEM);
}

static char *tcp_address(const struct listener *l, const struct tcp *tcp, const char *port, int family)
{
        char *text, *file = NULL, *head;

        if (asprintf(&head, "%s:host=%s,port=%s,family=%s%s", l->nonce_file ? "nonce-tcp" : "tcp",
                     tcp->host, port, family == AF_INET6 ? "ipv6" : "ipv4",
                     l->nonce_file ? ",noncefile=" : "") < 0)
                return NULL;
        if (!l->nonce_file)
                return head;
        file = format_address("", l->nonce_file, strlen(l->nonce_file));
        if (!file || asprintf(&text, "%s%s", head, file) < 0)
                text = NULL;
        free(head);
        free(file);
        return text;
}

static int listen_tcp(struct listeners *all, const struct address *a, bool nonce, char *why)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list, *ai;
        char port[NI_MAXSERV] = "", where[VALUE_MAX + 40];
        struct sockaddr_storage sa;
        socklen_t len;
        struct tcp tcp;
        struct listener *l;
        int r, fd, n = 0;

        r = parse_tcp(&tcp, a, why);
        if (r)
                return error_fold(r);
        hints.ai_family = !tcp.family[0]         ? AF_UNSPEC
                          : tcp.family[3] == '4' ? AF_INET
                                                 : AF_INET6;
        r = getaddrinfo(strcmp(tcp.bind, "*") ? tcp.bind : NULL, tcp.port, &hints, &list);
        if (r) {
                snprintf(why, LISTEN_WHY_MAX, "Failed to look up host/port: \"%.200s:%s\": %s", tcp.bind,
                         tcp.port, gai_strerror(r));
                return error_origin(-EINVAL);
        }
        r = 0;
        for (ai = list; ai && !r; ai = ai->ai_next) {
                fd = bind_tcp(ai, n ? port : NULL);
                if (fd < 0) {
                        if (!n && !ai->ai_next)
                                r = fd;
                        continue;
                }
                len = sizeof(sa);
                getsockname(fd, (struct sockaddr *)&sa, &len);
                getnameinfo((struct sockaddr *)&sa, len, NULL, 0, port, sizeof(port),
                            NI_NUMERICSERV);
                r = listener_add(&l, all, fd, NULL);
                if (!r && nonce)
                        r = make_nonce(l);
                if (!r)
                        l->address = tcp_address(l, &tcp, port, ai->ai_family);
                n++;
        }
        freeaddrinfo(list);
        snprintf(where, sizeof(where), "%s:%s", tcp.bind, tcp.port);
        return r ? fail(why, r, "Failed to listen at tcp", where) : 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int unknown_transport(const struct address *a, char *why)
{
        snprintf(why, LISTEN_WHY_MAX,
                 "Unknown address type \"%.*s\" (examples of valid types are \"tcp\" and \"unix\")",
                 (int)MIN(a->transport_n, (size_t)64), a->transport);
        return error_origin(-EINVAL);
}

/* A mistake in an address stands where the address was written: which one was it? */
static int blame(char *why, const char *addresses, int error)
{
        size_t n = strlen(why);

        if (error == -EINVAL)
                snprintf(why + n, LISTEN_WHY_MAX - n, ", in the address \"%.150s\"", addresses);
        return error_fold(error);
}

int listeners_add(struct listeners *all, const char *addresses, char *why)
{
        const char *given = addresses;
        struct address a;
        int r;

        while (*addresses) {
                r = address_next(&a, &addresses);
                if (r)
                        return blame(why, given, bad_address(why, wire_strerror(r)));
                if (address_is(&a, "unix"))
                        r = listen_unix(all, &a, why);
                else if (address_is(&a, "systemd"))
                        r = listen_systemd(all, why);
                else if (address_is(&a, "tcp") || address_is(&a, "nonce-tcp"))
                        r = listen_tcp(all, &a, address_is(&a, "nonce-tcp"), why);
                else
                        r = unknown_transport(&a, why);
                if (r)
                        return blame(why, given, r);
        }
        return 0;
}

char *listeners_print(const struct listeners *all)
{
        const struct listener *l;
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        cds_list_for_each_entry_reverse(l, &all->list, link)
                fprintf(f, "%s%s,guid=%s", l->link.next == &all->list ? "" : ";",
                        l->address ? l->address : "", l->config.guid);
        if (fclose(f)) {
                free(text);
                return NULL;
        }
        return text;
}

static void pause_all(struct listeners *all)
{
        struct listener *l;

        pthread_mutex_lock(&all->lock);
        cds_list_for_each_entry(l, &all->list, link)
                watch_change(&l->watch, EPOLLIN, 0);
        pthread_mutex_unlock(&all->lock);
        timer_set(&all->resume, &all->crew->workers[0].poller, RESUME_USEC);
}

static void resume_all(struct timer *timer, struct turn *turn)
{
        struct listeners *all = container_of(timer, struct listeners, resume);
        struct listener *l;

        pthread_mutex_lock(&all->lock);
        cds_list_for_each_entry(l, &all->list, link)
                watch_change(&l->watch, 0, EPOLLIN);
        pthread_mutex_unlock(&all->lock);
}

/*
 * Whoever passes descriptors while there are none left is disconnected: so newcomers get none of
 * the last ones. The next descriptor is the lowest that is free; a quarter is kept if there are few.
 */
static bool spares_fds(int any_fd)
{
        struct rlimit limit;
        int fd;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return true;
        fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
                return false;
        close(fd);
        return (rlim_t)fd + MIN(limit.rlim_cur / 4, (rlim_t)SPARE_FDS) < limit.rlim_cur;
}

static bool may_accept(struct listeners *all, const struct listener *l)
{
        uint64_t max = limit_get(&all->bus->limits.max_incomplete_connections);

        if (!spares_fds(l->fd)) {
                log_limited(LOG_ERR, "accept", 0, "cannot accept: too few descriptors are left");
                return false;
        }
        if (atomic_load(&all->bus->n_incomplete) < max)
                return true;
        log_limited(LOG_WARNING, "incomplete", 0,
                    "too many connections have not said Hello yet: waiting with new ones "
                    "(max_incomplete_connections=%llu)",
                    (unsigned long long)max);
        return false;
}

/* Returns whether another may be waiting. */
static bool accept_one(struct listeners *all, struct listener *l)
{
        int fd;

        if (!may_accept(all, l)) {
                pause_all(all);
                return false;
        }
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                        log_limited(LOG_ERR, "accept", 0, "cannot accept: %m");
                        pause_all(all); /* out of descriptors: not at full speed */
                }
                return false;
        }
        if (l->config.container && !container_may_join(l->config.container)) {
                close(fd);
                log_limited(LOG_WARNING, "container", l->config.container->id,
                            "a connection was refused: max_connections_per_container is reached for %s",
                            l->config.container->path);
                return true;
        }
        container_ref(l->config.container);
        bus_expect_client(all->bus); /* now: a worker may take its time to see it */
        if (crew_adopt(all->crew, &l->config, fd))
                log_limited(LOG_ERR, "accept", 0, "a connection could not be served");
        return true;
}

/* A storm of connections is busy like any other client that says much. */
static void acceptable(struct watch *watch, uint32_t events, struct turn *turn)
{
        struct listener *l = container_of(watch, struct listener, watch);
        bool more = true;

        for (int i = 0; more && i < ACCEPT_BATCH; i++)
                more = accept_one(l->all, l);
        watch_more(watch, more);
}

int listeners_start(struct listeners *all, struct crew *crew)
{
        struct listener *l;
        int r;

        all->crew = crew;
        all->resume.fn = resume_all;
        cds_list_for_each_entry(l, &all->list, link) {
                r = watch_start(&l->watch, &crew->workers[0].poller, l->fd, EPOLLIN, acceptable);
                if (r)
                        return error_fold(r);
        }
        return 0;
}

void listeners_stop(struct listeners *all)
{
        struct listener *l;

        timer_clear(&all->resume);
        pthread_mutex_lock(&all->lock);
        all->stopped = true;
        cds_list_for_each_entry(l, &all->list, link) {
                timer_clear(&l->close);
                watch_stop(&l->watch);
        }
        pthread_mutex_unlock(&all->lock);
}

/* --- for programs of containers -------------------------------------------------------------- */

static bool containers_dir(char *path, size_t size, const char *type)
{
        const char *dir = getenv("XDG_RUNTIME_DIR");

        if (type && strcmp(type, "system") == 0)
                return snprintf(path, size, "/run/dbus/containers") > 0;
        return dir && (size_t)snprintf(path, size, "%s/dbus-1/containers", dir) < size;
}

static void make_dirs(char *path)
{
        char *slash = strrchr(path, '/');

        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
        mkdir(path, 0755);
}

void listeners_make_dir(const char *type, uid_t uid, gid_t gid)
{
        char path[VALUE_MAX];

        if (!containers_dir(path, sizeof(path), type))
                return;
        make_dirs(path);
        if (chown(path, uid, gid) < 0)
                log_line(LOG_INFO, "containers cannot be served: %s: %m", path);
}

static void close_now(struct timer *timer, struct turn *turn)
{
        struct listener *l = container_of(timer, struct listener, close);

        pthread_mutex_lock(&l->all->lock);
        cds_list_del(&l->link);
        pthread_mutex_unlock(&l->all->lock);
        listener_shut(l, false);
        container_unref(l->config.container); /* may free it */
}

int listeners_open_container(struct listeners *all, struct container *container, char **address,
                             char *why)
{
        struct listener *l;
        char dir[VALUE_MAX];
        int r;

        if (!containers_dir(dir, sizeof(dir), all->bus->type)) {
                snprintf(why, LISTEN_WHY_MAX, "\"XDG_RUNTIME_DIR\" is not set");
                return ENOENT;
        }
        make_dirs(dir);
        r = bind_dir(all, dir, why);
        if (r)
                return -r; /* foreseen: it is told */
        l = cds_list_entry(all->list.prev, struct listener, link);
        l->config.container = container_ref(container);
        l->close.fn = close_now;
        container->listener = l;
        if (!l->unlink || asprintf(address, "%s,guid=%s", l->address, l->config.guid) < 0)
                r = -ENOMEM;
        if (!r)
                r = watch_start(&l->watch, &all->crew->workers[0].poller, l->fd, EPOLLIN, acceptable);
        if (r) {
                listener_close_container(l);
                return error_fold(r);
        }
        return 0;
}

void listener_close_container(struct listener *l)
{
        watch_change(&l->watch, EPOLLIN, 0);
        if (l->unlink)
                unlink(l->unlink); /* at once; the rest is for the thread that accepts */
        if (!l->all->stopped)
                timer_set(&l->close, &l->all->crew->workers[0].poller, 0);
}

void listener_free_container(struct listener *l)
{
        listener_free(l);
}
