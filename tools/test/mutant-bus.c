/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mutant-bus MUTATION [DBUS-DAEMON OPTION...]
 *
 * A dbus-daemon with a fault, to see whether the kit finds it. The real daemon runs behind this
 * proxy, which takes its place and does one thing wrong on the way. Takes the options that the
 * sandbox gives: --config-file, --print-address, --nofork.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "shim/wire/bytes.h"
#include "shim/wire/header.h"
#include "tools/buf.h"
#include "tools/message.h"

#define LANES_MAX 1024
#define READ_SIZE 65536
#define HIT 7 /* which of the messages that a mutation looks for it spoils */

/* one connection: the client's socket and ours to the daemon */
struct lane {
        int fds[2]; /* 0: client, 1: daemon */
        struct buf in[2], out[2]; /* by the side they come from, or go to */
        bool begun[2]; /* that side is past authentication */
        char name[64];
        struct buf held; /* a message that is to come later */
        bool told;       /* is told by others what it has seen */
};

static struct lane *lanes[LANES_MAX];
static size_t n_lanes;
static const char *mutation;
static unsigned int n_seen;

static bool is(const char *name)
{
        return !strcmp(mutation, name);
}

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "mutant-bus: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

/* ---- the faults ---- */

static bool member_is(const uint8_t *msg, const struct header *h, const char *member)
{
        return message_field_is(msg, h->member, member);
}

/* true for the message that the mutation is to spoil: the HIT-th of this member */
static bool hit(const uint8_t *msg, const struct header *h, const char *member)
{
        return member_is(msg, h, member) && ++n_seen == HIT;
}

static void replace_text(uint8_t *msg, size_t n, const char *old, const char *new)
{
        uint8_t *p = memmem(msg, n, old, strlen(old));

        if (p)
                memcpy(p, new, strlen(new));
}

static struct lane *another_lane(const struct lane *lane)
{
        for (size_t i = n_lanes; i-- > 0;)
                if (lanes[i] != lane && lanes[i]->name[0])
                        return lanes[i];
        return NULL;
}

/* a client's message on its way to the bus */
static void mutate_request(uint8_t *msg, size_t n, const struct header *h)
{
        if (is("rule-ignored") && member_is(msg, h, "AddMatch"))
                replace_text(msg, n, "member='Tock'", "member='Tuck'");
        if (is("queue-order") && member_is(msg, h, "RequestName"))
                msg[n - 4] |= 2; /* REPLACE_EXISTING: to the front of the queue */
}

/* what lets a message that was held back go */
static const char *release_of(void)
{
        return is("causality") ? "Seen" : is("total-order") ? "Tack" : "Tick";
}

/* the tick which the peer of this lane is about to get word of, by another sender, is to come
 * behind that; synth.c sends such at numbers that end in 0 or 5 */
static bool holds_back(const struct lane *lane, const uint8_t *msg, size_t n,
                       const struct header *h)
{
        uint32_t number = bytes_load32(msg + n - 4, h->swap);

        if (!lane->told || n_seen == HIT || !member_is(msg, h, "Tick"))
                return false;
        return (is("causality") && number % 10 == 0) || (is("total-order") && number % 10 == 5);
}

/* a message on its way to a client; false: it is not passed on */
static bool mutate_delivery(struct lane *lane, uint8_t *msg, size_t n, const struct header *h)
{
        bool from_bus = message_field_is(msg, h->sender, DRIVER_NAME);
        struct lane *other = another_lane(lane);

        if (is("drop-signal") && hit(msg, h, "Tick"))
                return false;
        if (is("drop-call") && hit(msg, h, "Echo"))
                return false;
        if (is("drop-answer") && from_bus && h->type == HEADER_RETURN && h->body_size > 4 &&
            h->reply_serial > 100 && h->reply_serial < UINT32_MAX / 2 && ++n_seen == HIT)
                return false;
        if (is("drop-pong") && from_bus && h->reply_serial > UINT32_MAX / 2 && ++n_seen == HIT)
                return false;
        if (is("drop-owner-change") && member_is(msg, h, "NameOwnerChanged") &&
            memmem(msg, n, "org.test.Queued", 15) && ++n_seen == 3)
                return false;
        if (is("swap") && hit(msg, h, "Tick")) {
                buf_put(&lane->held, msg, n);
                return false;
        }
        if (holds_back(lane, msg, n, h)) {
                buf_put(&lane->held, msg, n);
                n_seen = HIT;
                return false;
        }
        if (is("wrong-error"))
                replace_text(msg, n, "Error.ServiceUnknown", "Error.NameHasNoOwner");
        if (is("forge-sender") && hit(msg, h, "Tick"))
                msg[h->sender.off + h->sender.len - 1] ^= 1;
        if (is("wrong-receiver") && !from_bus && h->type == HEADER_RETURN && other &&
            ++n_seen == HIT) {
                buf_put(&other->out[0], msg, n);
                return false;
        }
        if (is("duplicate") && hit(msg, h, "Tick"))
                buf_put(&lane->out[0], msg, n);
        if (is("unasked") && hit(msg, h, "Tick") && other)
                buf_put(&other->out[0], msg, n);
        if (is("change-body") && hit(msg, h, "Tick"))
                msg[h->size + 4] ^= 1;
        if (is("change-flags") && hit(msg, h, "Echo"))
                msg[2] ^= HEADER_NO_AUTO_START;
        if (is("disconnect") && hit(msg, h, "Tick"))
                shutdown(lane->fds[0], SHUT_RDWR);
        return true;
}

/* ---- the proxy ---- */

static void learn_name(struct lane *lane, const uint8_t *msg, const struct header *h)
{
        if (!lane->name[0] && h->destination.off)
                snprintf(lane->name, sizeof(lane->name), "%s", header_text(msg, h->destination));
}

static void pass(struct lane *lane, int from, uint8_t *msg, size_t n)
{
        struct header h;

        if (header_parse(&h, msg, n)) {
                buf_put(&lane->out[!from], msg, n);
                return;
        }
        if (from == 0) {
                mutate_request(msg, n, &h);
                buf_put(&lane->out[1], msg, n);
                return;
        }
        learn_name(lane, msg, &h);
        if (!mutate_delivery(lane, msg, n, &h))
                return;
        buf_put(&lane->out[0], msg, n);
        lane->told = lane->told || member_is(msg, &h, "Seen");
        if (buf_n(&lane->held) && member_is(msg, &h, release_of())) {
                buf_put(&lane->out[0], buf_head(&lane->held), buf_n(&lane->held));
                buf_reset(&lane->held);
        }
}

/* the lines before the first message; true when they are over */
static bool pass_lines(struct lane *lane, int from)
{
        struct buf *in = &lane->in[from];
        const uint8_t *end;
        size_t n;

        while (!lane->begun[from] && buf_n(in)) {
                if (from == 1 && *buf_head(in) == bytes_native()) {
                        lane->begun[1] = true;
                        break;
                }
                end = memmem(buf_head(in), buf_n(in), "\r\n", 2);
                if (!end)
                        return false;
                n = (size_t)(end - buf_head(in)) + 2;
                lane->begun[from] = from == 0 && n == 7 && !memcmp(buf_head(in), "BEGIN", 5);
                buf_put(&lane->out[!from], buf_head(in), n);
                buf_take(in, n);
        }
        return lane->begun[from];
}

static void pass_all(struct lane *lane, int from)
{
        struct buf *in = &lane->in[from];
        uint32_t header, total;

        if (!pass_lines(lane, from))
                return;
        while (buf_n(in) >= HEADER_FIXED &&
               !header_frame(buf_head(in), UINT32_MAX, &header, &total) && buf_n(in) >= total) {
                pass(lane, from, (uint8_t *)buf_head(in), total);
                buf_take(in, total);
        }
}

static void close_lane(struct lane *lane)
{
        for (int i = 0; i < 2; i++) {
                closep(&lane->fds[i]);
                lane->fds[i] = -1;
                buf_deinit(&lane->in[i]);
                buf_deinit(&lane->out[i]);
        }
        buf_deinit(&lane->held);
        lane->name[0] = 0;
}

static bool flush(struct lane *lane, int to)
{
        while (buf_n(&lane->out[to])) {
                ssize_t n = send(lane->fds[to], buf_head(&lane->out[to]), buf_n(&lane->out[to]),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EAGAIN)
                        return true;
                if (n < 0)
                        return false;
                buf_take(&lane->out[to], (size_t)n);
        }
        return true;
}

static bool read_side(struct lane *lane, int from)
{
        uint8_t *p = buf_room(&lane->in[from], READ_SIZE);
        ssize_t n = p ? recv(lane->fds[from], p, READ_SIZE, MSG_DONTWAIT) : 0;

        if (n < 0 && errno == EAGAIN)
                return true;
        if (n <= 0)
                return false;
        buf_grown(&lane->in[from], (size_t)n);
        pass_all(lane, from);
        return true;
}

/* -1 if it cannot be */
static int unix_socket(const char *path, bool listening)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
        r = listening ? bind(fd, (struct sockaddr *)&sa, sizeof(sa))
                      : connect(fd, (struct sockaddr *)&sa, sizeof(sa));
        if (!r && listening)
                r = chmod(path, 0777) < 0 ? -1 : listen(fd, 100);
        if (!r)
                return fd;
        close(fd);
        return -1;
}

static void accept_lane(int listen_fd, const char *behind)
{
        struct lane *lane = calloc(1, sizeof(*lane));

        if (!lane || n_lanes == LANES_MAX)
                die("too many connections");
        lane->fds[0] = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        lane->fds[1] = unix_socket(behind, false);
        if (lane->fds[0] < 0 || lane->fds[1] < 0)
                die("accept");
        lanes[n_lanes++] = lane;
}

static void serve(int listen_fd, const char *behind)
{
        struct pollfd polls[1 + 2 * LANES_MAX];

        for (;;) {
                size_t n = n_lanes;

                polls[0] = (struct pollfd){ listen_fd, POLLIN, 0 };
                for (size_t i = 0; i < 2 * n; i++)
                        polls[1 + i] = (struct pollfd){ lanes[i / 2]->fds[i % 2], POLLIN, 0 };
                if (poll(polls, 1 + 2 * n, -1) < 0 && errno != EINTR)
                        die("poll");
                for (size_t i = 0; i < 2 * n; i++)
                        if (polls[1 + i].revents && lanes[i / 2]->fds[0] >= 0 &&
                            !read_side(lanes[i / 2], (int)(i % 2))) {
                                flush(lanes[i / 2], 0);
                                close_lane(lanes[i / 2]);
                        }
                for (size_t i = 0; i < n; i++)
                        if (lanes[i]->fds[0] >= 0 &&
                            (!flush(lanes[i], 0) || !flush(lanes[i], 1)))
                                close_lane(lanes[i]);
                if (polls[0].revents)
                        accept_lane(listen_fd, behind);
        }
}

/* ---- the daemon behind ---- */

/* a copy of the configuration without its denials */
static const char *without_denials(const char *config)
{
        static char path[300];
        char line[1024];
        FILE *from = fopen(config, "re"), *to;

        snprintf(path, sizeof(path), "%s.mutant", config);
        to = fopen(path, "we");
        if (!from || !to)
                die(config);
        while (fgets(line, sizeof(line), from))
                if (!strstr(line, "<deny"))
                        fputs(line, to);
        fclose(from);
        fclose(to);
        return path;
}

static void start_daemon(const char *config, const char *behind)
{
        char config_arg[320], address_arg[320];

        snprintf(config_arg, sizeof(config_arg), "--config-file=%s",
                 is("denied-delivered") ? without_denials(config) : config);
        snprintf(address_arg, sizeof(address_arg), "--address=unix:path=%s", behind);
        if (!fork()) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                execlp("dbus-daemon", "dbus-daemon", config_arg, address_arg, "--nofork",
                       "--nopidfile", NULL);
                _exit(127);
        }
        for (int i = 0; i < 500; i++) {
                int fd = unix_socket(behind, false);

                if (fd >= 0) {
                        close(fd);
                        return;
                }
                poll(NULL, 0, 10);
        }
        die("dbus-daemon did not start");
}

static const char *option(int argc, char **argv, const char *name)
{
        size_t n = strlen(name);

        for (int i = 2; i < argc; i++)
                if (!strncmp(argv[i], name, n) && argv[i][n] == '=')
                        return argv[i] + n + 1;
        return NULL;
}

/* the path of the socket that clients are to find: in --address, or in the configuration */
static void find_path(int argc, char **argv, const char *config, char path[static 256])
{
        const char *address = option(argc, argv, "--address");
        char line[1024];
        FILE *f;

        path[0] = 0;
        if (address) {
                sscanf(address, "unix:path=%255[^,]", path);
                return;
        }
        f = fopen(config, "re");
        while (f && fgets(line, sizeof(line), f) && !path[0])
                sscanf(line, " <listen>unix:path=%255[^<]", path);
        if (f)
                fclose(f);
}

int main(int argc, char **argv)
{
        const char *config = option(argc, argv, "--config-file");
        const char *print = option(argc, argv, "--print-address");
        char path[256], behind[300];
        int listen_fd;

        if (argc < 2 || !config || !print) {
                fprintf(stderr, "Usage: mutant-bus MUTATION --config-file=FILE "
                                "--print-address=FD\n");
                return EXIT_FAILURE;
        }
        mutation = argv[1];
        find_path(argc, argv, config, path);
        snprintf(behind, sizeof(behind), "%s.behind", path);
        fcntl(atoi(print), F_SETFD, FD_CLOEXEC);
        start_daemon(config, behind);
        listen_fd = unix_socket(path, true);
        if (listen_fd < 0)
                die(path);
        dprintf(atoi(print), "unix:path=%s\n", path);
        close(atoi(print));
        serve(listen_fd, behind);
        return EXIT_SUCCESS;
}
