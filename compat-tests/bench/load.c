/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-load: one load on one bus
 *
 * Usage: bench-load SCENARIO SOCKET [OPTION...] [-- COMMAND...]
 *
 * Prints one line of KEY=VALUE pairs. The scenarios are in the table at the end; which daemon, how
 * often and what it means is bench's affair.
 */

#include "compat-tests/bench/client.h"
#include "compat-tests/bench/harness.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTERFACE "org.example.Bench"
#define EVENTS    256

static struct {
        const char *socket;
        char **command;
        double warm_up, seconds;
        pid_t pid;
        unsigned window, body, pairs, subscribers, flooders, rules, idle, names, connections, count;
        bool fds, single;
} options = {
        .warm_up = 0.2,
        .seconds = 1,
        .window = 64,
        .body = 8,
        .pairs = 1,
        .subscribers = 16,
        .connections = 100,
        .count = 20,
};

/* --- an endpoint: a client in an event loop -------------------------------------------------- */

struct endpoint {
        struct client client;
        bool blocked; /* waits for room in its socket */
        void (*got)(struct endpoint *e, const struct seen *s);
        void (*turn)(struct endpoint *e); /* after all that came in one read */
        void *user;
};

static void watch(int epoll, struct endpoint *e, int operation)
{
        struct epoll_event event = {
                .events = EPOLLIN | (e->blocked ? EPOLLOUT : 0),
                .data.ptr = e,
        };

        if (epoll_ctl(epoll, operation, e->client.fd, &event) < 0)
                die("epoll_ctl: %s", strerror(errno));
}

static void flush(int epoll, struct endpoint *e)
{
        bool blocked = !client_flush(&e->client);

        if (blocked != e->blocked) {
                e->blocked = blocked;
                watch(epoll, e, EPOLL_CTL_MOD);
        }
}

static void dispatch(int epoll, struct endpoint *e, uint32_t events)
{
        struct seen s;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                client_fill(&e->client, MSG_DONTWAIT);
                while (client_next(&e->client, &s)) {
                        if (s.type == TYPE_ERROR)
                                die("%s: an error came back", e->client.name);
                        e->got(e, &s);
                }
                if (e->turn)
                        e->turn(e);
        }
        flush(epoll, e);
}

/* One wait and what it brings. */
static void loop_once(int epoll, int timeout)
{
        struct epoll_event events[EVENTS];
        int i, n;

        n = epoll_wait(epoll, events, EVENTS, timeout);
        if (n < 0 && errno != EINTR)
                die("epoll_wait: %s", strerror(errno));
        for (i = 0; i < n; i++)
                dispatch(epoll, events[i].data.ptr, events[i].events);
}

static int loop_new(void)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        if (epoll < 0)
                die("epoll_create: %s", strerror(errno));
        return epoll;
}

/* --- a pair: a caller with a window of calls, and who answers -------------------------------- */

struct pair {
        struct endpoint caller, callee;
        struct template call, reply;
        unsigned answered;     /* in this turn */
        uint64_t total, limit; /* replies; calls to make, 0: no end */
        uint64_t made;
};

static void callee_got(struct endpoint *e, const struct seen *s)
{
        struct pair *p = e->user;

        if (s->type == TYPE_CALL)
                client_queue_reply(&e->client, &p->reply, s->serial);
}

static void caller_got(struct endpoint *e, const struct seen *s)
{
        struct pair *p = e->user;

        if (s->type == TYPE_RETURN)
                p->answered++;
}

static void caller_turn(struct endpoint *e)
{
        struct pair *p = e->user;
        unsigned n = p->answered;

        p->total += n;
        p->answered = 0;
        if (p->limit && p->made + n > p->limit)
                n = (unsigned)(p->limit - p->made);
        if (!n)
                return;
        p->made += n;
        client_queue(&e->client, &p->call, n);
}

static void make_call(struct template *call, const char *destination)
{
        static const int null_index = 0;
        uint8_t *body = calloc(1, options.body + 8);
        uint32_t len = options.body;

        if (!body)
                die("no memory");
        /* 8 bytes are a number, anything larger an array of bytes */
        if (len > 8)
                memcpy(body, &len, 4);
        template_make(call, &(struct template_fields){
                                    .type = TYPE_CALL,
                                    .destination = destination,
                                    .path = "/bench",
                                    .interface = INTERFACE,
                                    .member = "Call",
                                    .signature = options.fds ? "h"
                                                 : len > 8   ? "ay"
                                                             : "t",
                                    .body = options.fds ? (const void *)&null_index : body,
                                    .body_len = options.fds ? 4
                                                : len > 8   ? len + 4
                                                            : 8,
                                    .fd = options.fds ? open("/dev/null", O_RDONLY | O_CLOEXEC) : 0,
                            });
        free(body);
}

static void make_reply(struct template *reply, const char *destination)
{
        template_make(reply,
                      &(struct template_fields){ .type = TYPE_RETURN, .destination = destination });
}

static void pair_prepare(void *arg)
{
        struct pair *p = arg;

        p->caller = (struct endpoint){ .got = caller_got, .turn = caller_turn, .user = p };
        p->callee = (struct endpoint){ .got = callee_got, .user = p };
        client_open(&p->callee.client, options.socket);
        client_open(&p->caller.client, options.socket);
        p->callee.client.single = p->caller.client.single = options.single;
        p->callee.client.takes_fds = options.fds;
        make_call(&p->call, p->callee.client.name);
        make_reply(&p->reply, p->caller.client.name);
}

static void pair_start(struct pair *p, int epoll)
{
        watch(epoll, &p->caller, EPOLL_CTL_ADD);
        watch(epoll, &p->callee, EPOLL_CTL_ADD);
        p->made = options.window;
        client_queue(&p->caller.client, &p->call, options.window);
        flush(epoll, &p->caller);
}

static void pair_run(void *arg, const struct phase *phase, struct report *report)
{
        struct pair *p = arg;
        int epoll = loop_new();
        uint64_t at_start;

        pair_start(p, epoll);
        while (now() < phase->count_from)
                loop_once(epoll, 100);
        at_start = p->total;
        while (now() < phase->end)
                loop_once(epoll, 100);
        report->count = p->total - at_start;
}

/* --- background: what a bus holds while others talk ------------------------------------------ */

static void park(struct client *c)
{
        free(c->in);
        free(c->out);
        c->in = c->out = NULL;
}

/* Rules nobody's signal matches: half name another interface, half the right one and another arg0.
 */
static void add_rules(struct client *c, unsigned first, unsigned n)
{
        char rule[160];
        unsigned i;

        for (i = first; i < first + n; i++) {
                if (i % 2)
                        snprintf(rule, sizeof(rule),
                                 "type='signal',interface='org.example.Other%u'", i);
                else
                        snprintf(rule, sizeof(rule),
                                 "type='signal',interface='" INTERFACE
                                 "',member='Tick',arg0='other%u'",
                                 i);
                client_ask(c, "AddMatch", rule);
        }
}

static void populate(void)
{
        struct client c;
        char name[64];
        unsigned i;

        for (i = 0; i < options.idle; i++) {
                client_open(&c, options.socket);
                park(&c);
        }
        if (options.names) {
                client_open(&c, options.socket);
                for (i = 0; i < options.names; i++) {
                        snprintf(name, sizeof(name), "org.example.name%u", i);
                        client_request_name(&c, name);
                }
                park(&c);
        }
        /* ten holders: a bus must not profit from all rules being one client's */
        for (i = 0; options.rules && i < 10; i++) {
                unsigned from = options.rules * i / 10, to = options.rules * (i + 1) / 10;

                client_open(&c, options.socket);
                add_rules(&c, from, to - from);
                park(&c);
        }
}

/* --- scenarios: calls ------------------------------------------------------------------------ */

static void print_rate(const struct result *r)
{
        double count = r->sum.count ? (double)r->sum.count : 1;

        printf("rate=%.1f cpu_ns=%.0f\n", (double)r->sum.count / r->seconds,
               (double)r->bus_cpu / count);
}

static void calls(void)
{
        struct role roles[ROLES_MAX];
        struct pair *pairs = calloc(options.pairs, sizeof(*pairs));
        struct result result;
        unsigned i;

        if (!pairs || options.pairs > ROLES_MAX)
                die("%u pairs: too many", options.pairs);
        populate();
        for (i = 0; i < options.pairs; i++)
                roles[i] = (struct role){ pair_prepare, pair_run, &pairs[i] };
        harness_run(&result, roles, options.pairs, options.warm_up, options.seconds, options.pid);
        print_rate(&result);
}

/* --- scenarios: ping, each side a process of its own ----------------------------------------- */

#define SAMPLES_MAX 4000000

static struct client ping_callee; /* opened before the fork: its name is known to both */

static void no_prepare(void *arg)
{
        (void)arg;
}

static void answer_run(void *arg, const struct phase *phase, struct report *report)
{
        struct template reply;
        struct seen s;

        (void)report;
        make_reply(&reply, arg);
        while (now() < phase->end) {
                client_fill(&ping_callee, 0);
                while (client_next(&ping_callee, &s))
                        if (s.type == TYPE_CALL)
                                client_queue_reply(&ping_callee, &reply, s.serial);
                client_flush(&ping_callee);
        }
}

static int compare_samples(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

static void percentiles(struct report *report, uint32_t *samples, size_t n)
{
        qsort(samples, n, sizeof(*samples), compare_samples);
        report->count = n;
        report->p50 = n ? samples[n / 2] : 0;
        report->p99 = n ? samples[n - 1 - n / 100] : 0;
}

static bool round_trip(struct client *c, struct template *call)
{
        struct seen s;

        client_queue(c, call, 1);
        client_flush(c);
        for (;;) {
                client_fill(c, 0);
                while (client_next(c, &s)) {
                        if (s.type == TYPE_RETURN)
                                return true;
                        if (s.type == TYPE_ERROR)
                                die("ping: an error came back");
                }
        }
}

static void ping_run(void *arg, const struct phase *phase, struct report *report)
{
        uint32_t *samples = malloc(SAMPLES_MAX * sizeof(*samples));
        struct client *c = arg;
        struct template call;
        uint64_t t0, t1;
        size_t n = 0;

        if (!samples)
                die("no memory");
        make_call(&call, ping_callee.name);
        t0 = now();
        while (t0 < phase->end && n < SAMPLES_MAX) {
                round_trip(c, &call);
                t1 = now();
                if (t0 >= phase->count_from)
                        samples[n++] = (uint32_t)(t1 - t0);
                t0 = t1;
        }
        percentiles(report, samples, n);
        /* who answers waits for one more message before it looks at the time */
        client_queue(c, &call, 1);
        client_flush(c);
}

static void make_tick(struct template *signal);

static void flood_prepare(void *arg)
{
        client_open(arg, options.socket);
}

/* Signals nobody subscribed to, as fast as the bus takes them. Returns how many it took from
 * phase->count_from on. */
static uint64_t flood(struct client *c, const struct phase *phase)
{
        struct template tick;
        uint64_t count = 0;
        size_t i;

        make_tick(&tick);
        while (now() < phase->end) {
                client_queue(c, &tick, 64);
                for (i = c->out_start; i < c->out_end;) {
                        ssize_t n = send(c->fd, c->out + i, c->out_end - i, MSG_NOSIGNAL);

                        if (n < 0)
                                die("flood: %s", strerror(errno));
                        i += (size_t)n;
                }
                c->out_start = c->out_end = 0;
                if (now() >= phase->count_from)
                        count += 64;
        }
        return count;
}

static void flood_run(void *arg, const struct phase *phase, struct report *report)
{
        (void)report; /* others are measured */
        flood(arg, phase);
}

static void unheard_run(void *arg, const struct phase *phase, struct report *report)
{
        report->count = flood(arg, phase);
}

static void ping(void)
{
        struct client caller, floods[8];
        struct result result;
        struct role roles[2 + 8];
        unsigned i;

        if (options.flooders > 8)
                die("too many flooders");
        populate();
        client_open(&ping_callee, options.socket);
        client_open(&caller, options.socket);
        for (i = 0; i < options.flooders; i++)
                roles[i] = (struct role){ flood_prepare, flood_run, &floods[i] };
        roles[i++] = (struct role){ no_prepare, answer_run, caller.name };
        roles[i++] = (struct role){ no_prepare, ping_run, &caller };
        harness_run(&result, roles, i, options.warm_up, options.seconds, options.pid);
        printf("p50=%" PRIu64 " p99=%" PRIu64 " ", result.sum.p50, result.sum.p99);
        print_rate(&result);
}

/* Nobody wants the signals of --flooders: a load that costs the bus much more than its clients. */
static void unheard(void)
{
        struct role roles[ROLES_MAX];
        struct client *clients = calloc(options.flooders, sizeof(*clients));
        struct result result;
        unsigned i;

        if (!clients || !options.flooders || options.flooders > ROLES_MAX)
                die("%u flooders: too many or too few", options.flooders);
        populate();
        for (i = 0; i < options.flooders; i++)
                roles[i] = (struct role){ flood_prepare, unheard_run, &clients[i] };
        harness_run(&result, roles, options.flooders, options.warm_up, options.seconds, options.pid);
        print_rate(&result);
}

/* Exactly --count calls, for who counts something else than time. */
static void exact_calls(void)
{
        struct pair *p = calloc(1, sizeof(*p));
        int epoll = loop_new();

        if (!p || options.count < options.window)
                die("fewer calls than the window holds");
        populate();
        pair_prepare(p);
        p->limit = options.count;
        pair_start(p, epoll);
        while (p->total < p->limit)
                loop_once(epoll, 1000);
        printf("count=%" PRIu64 "\n", p->total);
}

/* --- scenarios: signals ---------------------------------------------------------------------- */

/*
 * The sender is at most two chunks ahead of the slowest subscriber: the next chunk leaves when all
 * have all of the one before the last.
 */
struct fanout {
        struct endpoint sender, *subscribers;
        struct template tick;
        unsigned n, chunk;
        uint64_t missing[2];   /* deliveries of an odd and of an even chunk still to come */
        unsigned due;          /* chunks that may leave */
        uint64_t total, limit; /* deliveries; chunks to send, 0: no end */
        uint64_t sent;
};

struct subscriber {
        struct fanout *fanout;
        uint64_t received;
};

static void make_tick(struct template *signal)
{
        uint8_t body[64] = { 0 };
        uint32_t len = sizeof(body) - 5;

        memcpy(body, &len, 4);
        memset(body + 4, 'x', len);
        template_make(signal, &(struct template_fields){
                                      .type = TYPE_SIGNAL,
                                      .path = "/bench",
                                      .interface = INTERFACE,
                                      .member = "Tick",
                                      .signature = "s",
                                      .body = body,
                                      .body_len = sizeof(body),
                              });
}

static void subscriber_got(struct endpoint *e, const struct seen *s)
{
        struct subscriber *subscriber = e->user;
        struct fanout *f = subscriber->fanout;
        unsigned chunk;

        if (s->type != TYPE_SIGNAL)
                return;
        chunk = subscriber->received++ / f->chunk % 2;
        f->total++;
        if (!--f->missing[chunk]) {
                f->missing[chunk] = (uint64_t)f->n * f->chunk;
                f->due++;
        }
}

static void sender_got(struct endpoint *e, const struct seen *s)
{
        (void)e;
        (void)s;
}

static void fanout_prepare(void *arg)
{
        struct fanout *f = arg;
        struct subscriber *subscribers;
        unsigned i;

        f->n = options.subscribers;
        f->chunk = options.window / 2;
        f->subscribers = calloc(f->n, sizeof(*f->subscribers));
        subscribers = calloc(f->n, sizeof(*subscribers));
        if (!f->subscribers || !subscribers)
                die("no memory");
        make_tick(&f->tick);

        f->sender = (struct endpoint){ .got = sender_got };
        client_open(&f->sender.client, options.socket);
        for (i = 0; i < f->n; i++) {
                struct endpoint *e = &f->subscribers[i];

                subscribers[i].fanout = f;
                *e = (struct endpoint){ .got = subscriber_got, .user = &subscribers[i] };
                client_open(&e->client, options.socket);
                client_ask(&e->client, "AddMatch",
                           "type='signal',interface='" INTERFACE "',member='Tick'");
        }
        f->missing[0] = f->missing[1] = (uint64_t)f->n * f->chunk;
        f->due = 2;
}

static void fanout_turn(struct fanout *f, int epoll)
{
        while (f->due) {
                f->due--;
                if (f->limit && f->sent == f->limit)
                        continue;
                f->sent++;
                client_queue(&f->sender.client, &f->tick, f->chunk);
        }
        flush(epoll, &f->sender);
        loop_once(epoll, 100);
}

static int fanout_loop(struct fanout *f)
{
        int epoll = loop_new();
        unsigned i;

        watch(epoll, &f->sender, EPOLL_CTL_ADD);
        for (i = 0; i < f->n; i++)
                watch(epoll, &f->subscribers[i], EPOLL_CTL_ADD);
        return epoll;
}

static void fanout_run(void *arg, const struct phase *phase, struct report *report)
{
        struct fanout *f = arg;
        int epoll = fanout_loop(f);
        uint64_t at_start;

        while (now() < phase->count_from)
                fanout_turn(f, epoll);
        at_start = f->total;
        while (now() < phase->end)
                fanout_turn(f, epoll);
        report->count = f->total - at_start;
}

static void fanout(void)
{
        struct fanout f = {};
        struct result result;

        populate();
        harness_run(&result, &(struct role){ fanout_prepare, fanout_run, &f }, 1, options.warm_up,
                    options.seconds, options.pid);
        print_rate(&result);
}

static void exact_fanout(void)
{
        struct fanout f = {};
        int epoll;

        populate();
        fanout_prepare(&f);
        f.limit = options.count / f.chunk;
        epoll = fanout_loop(&f);
        while (f.total < f.limit * f.chunk * f.n)
                fanout_turn(&f, epoll);
        printf("count=%" PRIu64 "\n", f.total);
}

/* --- scenarios: connections ------------------------------------------------------------------ */

struct visit {
        int fd;
        size_t len;
        uint8_t data[4096];
};

static void visit_begin(struct visit *v, int epoll, const uint8_t *greeting, size_t len)
{
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = v };

        v->fd = client_connect(options.socket, true);
        v->len = 0;
        if (send(v->fd, greeting, len, MSG_NOSIGNAL) != (ssize_t)len)
                die("connect: cannot send");
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, v->fd, &event) < 0)
                die("epoll_ctl: %s", strerror(errno));
}

/* True when the reply to Hello is there, whole. */
static bool visit_read(struct visit *v)
{
        ssize_t n = recv(v->fd, v->data + v->len, sizeof(v->data) - v->len, 0);
        uint32_t body, fields;
        size_t at;

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n <= 0)
                die("connect: the bus hung up");
        v->len += (size_t)n;
        at = client_greeted(v->data, v->len);
        if (!at || v->len < at + 16)
                return false;
        if (v->data[at + 1] != TYPE_RETURN)
                die("connect: Hello was answered by a message of type %u", v->data[at + 1]);
        memcpy(&body, v->data + at + 4, 4);
        memcpy(&fields, v->data + at + 12, 4);
        return v->len >= at + ((16 + (size_t)fields + 7) & ~(size_t)7) + body;
}

static void connect_run(void *arg, const struct phase *phase, struct report *report)
{
        struct epoll_event events[8];
        struct visit visits[8];
        uint8_t greeting[512];
        size_t len = client_greeting(greeting, sizeof(greeting));
        int epoll = loop_new(), i, n;

        (void)arg;
        for (i = 0; i < 8; i++)
                visit_begin(&visits[i], epoll, greeting, len);
        while (now() < phase->end) {
                n = epoll_wait(epoll, events, 8, 1000);
                for (i = 0; i < n; i++) {
                        struct visit *v = events[i].data.ptr;

                        if (!visit_read(v))
                                continue;
                        close(v->fd);
                        if (now() >= phase->count_from)
                                report->count++;
                        visit_begin(v, epoll, greeting, len);
                }
        }
}

static void connects(void)
{
        struct result result;

        populate();
        harness_run(&result, &(struct role){ no_prepare, connect_run, NULL }, 1, options.warm_up,
                    options.seconds, options.pid);
        print_rate(&result);
}

/* --- scenarios: memory ----------------------------------------------------------------------- */

static void idle(void)
{
        struct client c;
        uint64_t before, after;
        unsigned i;

        client_open(&c, options.socket);
        sleep_until(now() + 200000000);
        before = bus_resident(options.pid);
        for (i = 0; i < options.connections; i++) {
                client_open(&c, options.socket);
                park(&c);
        }
        sleep_until(now() + 500000000);
        after = bus_resident(options.pid);
        printf("bytes=%.1f before=%" PRIu64 " after=%" PRIu64 "\n",
               ((double)after - (double)before) / options.connections, before, after);
}

static uint64_t replies(const struct pair *pairs, unsigned n)
{
        uint64_t sum = 0;
        unsigned i;

        for (i = 0; i < n; i++)
                sum += pairs[i].total;
        return sum;
}

/* @count MiB in bodies of @body bytes, through half as many pairs as there are connections */
static void burst(void)
{
        unsigned i, n = options.connections / 2;
        struct pair *pairs = calloc(n, sizeof(*pairs));
        uint64_t each = ((uint64_t)options.count << 20) / options.body / n, before, peak, after;
        int epoll = loop_new();

        if (!pairs)
                die("no memory");
        for (i = 0; i < n; i++)
                pair_prepare(&pairs[i]);
        sleep_until(now() + 500000000);
        before = bus_resident(options.pid);
        for (i = 0; i < n; i++) {
                pairs[i].limit = each;
                pair_start(&pairs[i], epoll);
        }
        while (replies(pairs, n) < each * n)
                loop_once(epoll, 1000);
        peak = bus_resident(options.pid);
        sleep_until(now() + (uint64_t)(options.seconds * 1e9));
        after = bus_resident(options.pid);
        printf("ratio=%.3f before=%" PRIu64 " at_end=%" PRIu64 " after=%" PRIu64 "\n",
               (double)after / (double)before, before, peak, after);
}

/* --- scenarios: start ------------------------------------------------------------------------ */

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (strlen(path) >= sizeof(address.sun_path))
                die("%s: too long for a socket", path);
        strcpy(address.sun_path, path);
        unlink(path);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, 4096) < 0)
                die("%s: %s", path, strerror(errno));
        return fd;
}

/* Starts the command with the socket as an init system passes it. */
static pid_t start_with(int listener)
{
        char pid[16], address[200];
        pid_t child = fork();

        if (child) {
                setpgid(child, child);
                return child;
        }
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(listener, 3) < 0 || fcntl(3, F_SETFD, 0) < 0)
                _exit(126);
        snprintf(pid, sizeof(pid), "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        /* dbus-broker's launcher is a client of the bus, too */
        snprintf(address, sizeof(address), "unix:path=%s", options.socket);
        setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
        execvp(options.command[0], options.command);
        _exit(127);
}

static void start(void)
{
        uint32_t *samples = calloc(options.count, sizeof(*samples));
        struct report report = {};
        unsigned i;

        if (!samples || !options.command || !options.command[0])
                die("start: which command?");
        for (i = 0; i < options.count; i++) {
                int listener = listen_at(options.socket);
                uint64_t t0 = now();
                pid_t child = start_with(listener);
                struct client c;

                client_open(&c, options.socket);
                samples[i] = (uint32_t)(now() - t0);
                client_close(&c);
                kill(child, SIGTERM);
                waitpid(child, NULL, 0);
                kill(-child, SIGKILL); /* what it started */
                close(listener);
        }
        percentiles(&report, samples, options.count);
        printf("p50=%" PRIu64 "\n", report.p50);
}

/* --- scenarios: floors, without a bus -------------------------------------------------------- */

static int floor_sockets[2];

static void floor_answer_run(void *arg, const struct phase *phase, struct report *report)
{
        char buffer[512];
        ssize_t n;

        (void)arg;
        (void)report;
        while (now() < phase->end) {
                n = recv(floor_sockets[1], buffer, sizeof(buffer), 0);
                if (n <= 0 || send(floor_sockets[1], buffer, (size_t)n, MSG_NOSIGNAL) != n)
                        die("floor: %s", strerror(errno));
        }
}

static void floor_ping_run(void *arg, const struct phase *phase, struct report *report)
{
        uint32_t *samples = malloc(SAMPLES_MAX * sizeof(*samples));
        char buffer[136] = ""; /* about what a small call is */
        uint64_t t0, t1;
        size_t n = 0;

        (void)arg;
        if (!samples)
                die("no memory");
        for (t0 = now(); t0 < phase->end && n < SAMPLES_MAX; t0 = t1) {
                if (send(floor_sockets[0], buffer, sizeof(buffer), MSG_NOSIGNAL) < 0 ||
                    recv(floor_sockets[0], buffer, sizeof(buffer), 0) < 0)
                        die("floor: %s", strerror(errno));
                t1 = now();
                if (t0 >= phase->count_from)
                        samples[n++] = (uint32_t)(t1 - t0);
        }
        percentiles(report, samples, n);
        /* as in ping_run() */
        if (send(floor_sockets[0], buffer, sizeof(buffer), MSG_NOSIGNAL) < 0)
                die("floor: %s", strerror(errno));
}

static void socketpair_ping(void)
{
        struct role roles[] = {
                { no_prepare, floor_answer_run, NULL },
                { no_prepare, floor_ping_run, NULL },
        };
        struct result result;

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, floor_sockets) < 0)
                die("socketpair: %s", strerror(errno));
        harness_run(&result, roles, 2, options.warm_up, options.seconds, getpid());
        printf("p50=%" PRIu64 " p99=%" PRIu64 "\n", result.sum.p50, result.sum.p99);
}

/* --- the table, the command line ------------------------------------------------------------- */

static const struct {
        const char *name;
        void (*run)(void);
        const char *help;
} scenarios[] = {
        { "ping", ping, "one call outstanding, each side a process; --flooders beside it" },
        { "calls", calls,
          "--pairs with --window calls of --body bytes outstanding, --fds with one each" },
        { "fanout", fanout, "64-byte signals to --subscribers" },
        { "unheard", unheard, "64-byte signals of --flooders to nobody" },
        { "exact-calls", exact_calls, "--count calls of one pair" },
        { "exact-fanout", exact_fanout, "--count signals" },
        { "connect", connects, "connect, Hello, close" },
        { "idle", idle, "resident memory of --pid per connection, of --connections" },
        { "burst", burst, "resident memory of --pid before, and --seconds after --count MiB" },
        { "start", start, "from exec to the first Hello, of COMMAND, --count times" },
        { "socketpair", socketpair_ping, "no bus: a ping over a socket pair (SOCKET is not used)" },
};

enum { OPT_FDS = 'f', OPT_HELP = 'h', OPT_SINGLE = 'o' };

static const struct {
        const char *name;
        unsigned *value;
        const char *help;
} numbers[] = {
        { "window", &options.window, "messages outstanding (64)" },
        { "body", &options.body, "bytes of body of a call (8)" },
        { "pairs", &options.pairs, "callers, each with its callee, a process each (1)" },
        { "subscribers", &options.subscribers, "receivers of each signal (16)" },
        { "flooders", &options.flooders, "clients that flood signals (0)" },
        { "rules", &options.rules, "other clients' match rules, not matching (0)" },
        { "idle", &options.idle, "other connections (0)" },
        { "names", &options.names, "other names (0)" },
        { "connections", &options.connections, "(100)" },
        { "count", &options.count, "(20)" },
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void usage(FILE *to)
{
        size_t i;

        fprintf(to,
                "Usage: bench-load SCENARIO SOCKET [OPTION...] [-- COMMAND...]\n\nScenarios:\n");
        for (i = 0; i < N(scenarios); i++)
                fprintf(to, "  %-14s %s\n", scenarios[i].name, scenarios[i].help);
        fprintf(to, "Options:\n");
        for (i = 0; i < N(numbers); i++)
                fprintf(to, "  --%-11s N %s\n", numbers[i].name, numbers[i].help);
        fprintf(to, "  --fds         one file descriptor with each call\n"
                    "  --single      each call and reply by a write of its own\n"
                    "  --seconds S   to measure (1)\n"
                    "  --warm-up S   before that (0.2)\n"
                    "  --pid PID     of the bus\n");
}

static void parse(int argc, char **argv)
{
        struct option list[N(numbers) + 7];
        size_t i;
        int c;

        for (i = 0; i < N(numbers); i++)
                list[i] = (struct option){ numbers[i].name, required_argument, NULL, 256 + (int)i };
        list[i++] = (struct option){ "fds", no_argument, NULL, OPT_FDS };
        list[i++] = (struct option){ "single", no_argument, NULL, OPT_SINGLE };
        list[i++] = (struct option){ "seconds", required_argument, NULL, 's' };
        list[i++] = (struct option){ "warm-up", required_argument, NULL, 'w' };
        list[i++] = (struct option){ "pid", required_argument, NULL, 'p' };
        list[i++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
        list[i] = (struct option){};

        while ((c = getopt_long(argc, argv, "+h", list, NULL)) >= 0) {
                if (c >= 256)
                        *numbers[c - 256].value = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == OPT_FDS)
                        options.fds = true;
                else if (c == OPT_SINGLE)
                        options.single = true;
                else if (c == 's')
                        options.seconds = strtod(optarg, NULL);
                else if (c == 'w')
                        options.warm_up = strtod(optarg, NULL);
                else if (c == 'p')
                        options.pid = (pid_t)strtol(optarg, NULL, 10);
                else {
                        usage(c == OPT_HELP ? stdout : stderr);
                        exit(c == OPT_HELP ? 0 : 2);
                }
        }
        options.command = argv + optind;
}

static void raise_fd_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

int main(int argc, char **argv)
{
        size_t i;

        if (argc < 3) {
                usage(argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
                return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
        }
        options.socket = argv[2];
        parse(argc - 2, argv + 2);
        raise_fd_limit();
        signal(SIGPIPE, SIG_IGN);

        for (i = 0; i < N(scenarios); i++) {
                if (strcmp(argv[1], scenarios[i].name))
                        continue;
                scenarios[i].run();
                return 0;
        }
        usage(stderr);
        return 2;
}
