/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <check.h>
#include <getopt.h>
#include <grp.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/misbehave/limits.h"
#include "compat-tests/misbehave/misbehave.h"
#include "compat-tests/scenario.h"

#define CULPRITS_MAX 16
#define QUIET        1.2   /* seconds: reports speak of what happened in the last one or two */
#define LOOK_MS      20    /* between two looks at the memory */
#define ASK_EVERY    10    /* looks between two reports */
#define WORSE        10    /* so much longer may a ping take beside them, at its 99th percentile */
#define NICE         5     /* of culprits: not who gets the processor is asked, but what the bus does */
#define FLOOR_US     100.0 /* a quiet ping cannot be quicker than this, for that comparison */

/* --- length ---------------------------------------------------------------------------------- */

double seconds(double preset)
{
        const char *text = getenv("MISBEHAVE_SECONDS");

        return text ? atof(text) : preset;
}

static double now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* --- processes ------------------------------------------------------------------------------- */

/* So much nicer than the crowd, who is as nice as the test. */
static void be_nice(void)
{
        const char *text = getenv("MISBEHAVE_NICE");

        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + (text ? atoi(text) : NICE));
}

void become(uid_t uid)
{
        if (uid == SAME_USER)
                return;
        if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
                _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten with the user */
}

pid_t run_child(void (*run)(const char *address), const char *address, uid_t uid)
{
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (!pid) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                signal(SIGPIPE, SIG_IGN);
                be_nice();
                become(uid);
                run(address);
                _exit(1);
        }
        return pid;
}

void end_child(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

/* --- what is printed ------------------------------------------------------------------------- */

void show(const char *who, const struct crowd *crowd, const char *format, ...)
{
        struct latency quiet = crowd_latency(crowd, CROWD_QUIET);
        struct latency beside = crowd_latency(crowd, CROWD_BESIDE);
        va_list ap;

        printf("%-27s %6zu pings, p99 %7.0f us, quiet %6.0f us (x %5.1f), worst %7.0f us; "
               "%6u signals; ",
               who, beside.n, beside.p99, quiet.p99, quiet.p99 > 0 ? beside.p99 / quiet.p99 : 0,
               beside.max, crowd_signals(crowd));
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        fflush(stdout);
}

/* --- beside culprits ------------------------------------------------------------------------- */

struct trial {
        struct bus *bus;
        struct crowd crowd;
        struct bus other; /* in long runs: nobody misbehaves on it, but on the same machine */
        struct crowd others;
        struct witness witness;
        const struct culprit *who[CULPRITS_MAX];
        pid_t pid[CULPRITS_MAX];
        size_t n;
        unsigned int n_asked, n_right; /* reports, and those that name a culprit first */
        unsigned int n_ahead;          /* of the crowd's processes, most ever, before a culprit */
        char wrong[128];
};

static bool is_culprit(const struct trial *t, pid_t pid)
{
        for (size_t i = 0; i < t->n; i++)
                if (t->pid[i] == pid)
                        return true;
        return false;
}

static void ask(struct trial *t)
{
        witness_ask(&t->witness);
        t->n_asked++;
        if (is_culprit(t, t->witness.first[0]))
                t->n_right++;
        else
                snprintf(t->wrong, sizeof(t->wrong), "%d with %.3f, then %d with %.3f",
                         t->witness.first[0], t->witness.pressure[0], t->witness.first[1],
                         t->witness.pressure[1]);
}

/* Looks at the bus for a while; reports are judged, or only asked for, since they look back. */
static void observe(struct trial *t, double length, bool judged)
{
        double end = now() + length;

        for (unsigned int i = 0; now() < end; i++) {
                if (crowd_failed(&t->crowd))
                        bus_fail(t->bus, "the crowd: %s", crowd_failed(&t->crowd));
                witness_look(&t->witness);
                if (i % ASK_EVERY == 0 && judged)
                        ask(t);
                else if (i % ASK_EVERY == 0)
                        witness_ask(&t->witness);
                sleep_ms(LOOK_MS);
        }
}

/* Until they have really begun, and a report, which speaks of the last one or two seconds, shows it. */
static void await_trouble(struct trial *t)
{
        for (int i = 0; i < client_timeout() / 50; i++) {
                observe(t, 0.1, false);
                if (is_culprit(t, t->witness.first[0]))
                        return;
        }
        bus_fail(t->bus, "no report names a culprit first");
}

static bool is_timed(void)
{
        return seconds(0) >= TIMED_SECONDS && witness_memory_counts();
}

/*
 * A ping may take so much longer than when all is quiet; or than one on the other bus at the same
 * time, which tells what the bus has to answer for, and what the machine has.
 */
static void judge_pings(struct trial *t)
{
        double quiet = crowd_latency(&t->crowd, CROWD_QUIET).p99;
        double beside = crowd_latency(&t->crowd, CROWD_BESIDE).p99;
        struct latency others = crowd_latency(&t->others, CROWD_BESIDE);
        double other = others.p99;

        printf("%-27s on another bus at the same time: p99 %7.0f us, worst %7.0f us\n", "", other,
               others.max);
        if (beside > WORSE * fmax(fmax(quiet, other), FLOOR_US))
                bus_fail(t->bus, "a ping takes %.0f us, when it is quiet %.0f us, on another bus %.0f us",
                         beside, quiet, other);
}

static void judge(struct trial *t)
{
        uint64_t bound = witness_bound(&t->witness, t->who, t->n);
        pid_t other = witness_disconnected(&t->witness, t->pid, t->n);

        show(t->n == 1 ? t->who[0]->name : "all at once", &t->crowd,
             "memory %5.1f MiB of %5.1f; named first in %u of %u reports",
             t->witness.peak / 1048576.0, bound / 1048576.0, t->n_right, t->n_asked);
        if (other)
                bus_fail(t->bus, "process %d was disconnected, who did nothing", other);
        if (t->n_right < (is_timed() ? t->n_asked : t->n_asked / 2))
                bus_fail(t->bus, "a report names somebody else first: %s", t->wrong);
        if (witness_memory_counts() && t->witness.peak > bound)
                bus_fail(t->bus, "the bus had %llu bytes of memory, of %llu",
                         (unsigned long long)t->witness.peak, (unsigned long long)bound);
        if (is_timed())
                judge_pings(t);
}

/* Which user each is: the culprit with that number, and the crowd. */
struct users {
        uid_t first_culprit; /* SAME_USER: all are who runs the test */
        bool each;           /* the next culprit has the next number */
        uid_t crowd;
};

static const struct users one_user = { SAME_USER, false, SAME_USER };

static uid_t user_of(const struct users *users, size_t culprit)
{
        return users->first_culprit + (users->each ? culprit : 0);
}

static void beside(struct bus *bus, const struct culprit *who, size_t n, const struct users *users)
{
        struct trial t = { .bus = bus, .n = n };

        if (is_timed()) {
                bus_start(&t.other, bus->options);
                crowd_start(&t.others, &t.other, users->crowd);
                crowd_enter(&t.others, CROWD_BESIDE);
        }
        crowd_start(&t.crowd, bus, users->crowd);
        witness_start(&t.witness, bus);
        observe(&t, QUIET, false);
        for (size_t i = 0; i < n; i++) {
                t.who[i] = &who[i];
                t.pid[i] = run_child(who[i].run, bus->address, user_of(users, i));
        }
        crowd_enter(&t.crowd, CROWD_BESIDE);
        await_trouble(&t);
        observe(&t, seconds(n == 1 ? 1.5 : 3), true);
        crowd_enter(&t.crowd, CROWD_AFTER);
        for (size_t i = 0; i < n; i++)
                end_child(t.pid[i]);
        crowd_stop(&t.crowd, bus);
        if (is_timed())
                crowd_stop(&t.others, &t.other);
        witness_look(&t.witness);
        witness_stop(&t.witness);
        judge(&t);
        crowd_free(&t.crowd);
        if (is_timed()) {
                crowd_free(&t.others);
                bus_stop(&t.other);
        }
}

#define BESIDE(i)                                                                                  \
        static void beside_##i(struct bus *bus)                                                    \
        {                                                                                          \
                beside(bus, &culprits[i], 1, &one_user);                                           \
        }

BESIDE(0)
BESIDE(1)
BESIDE(2)
BESIDE(3)
BESIDE(4)
BESIDE(5)
BESIDE(6)
BESIDE(7)
BESIDE(8)
BESIDE(9)

static void beside_all(struct bus *bus)
{
        beside(bus, culprits, n_culprits, &one_user);
}

/* What one user may is not the other's: not the bystanders', nor root's, who runs the bus. */
static void beside_another_user(struct bus *bus)
{
        static const struct users users = { 60001, false, 60000 };

        beside(bus, culprits, n_culprits, &users);
}

static void beside_ten_users(struct bus *bus)
{
        static const struct users users = { 60001, true, 60000 };

        beside(bus, culprits, n_culprits, &users);
}

/* --- the table ------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PRELOAD "LD_PRELOAD=" /* has allocations of its own */
#else
#define PRELOAD "LD_PRELOAD=" FAMINE
#endif

#define OTHER_USERS                                                                                \
        .needs_root = true, .options = { .limits = LIMITS_TEXT,                                    \
                                         .policy = "<allow user=\"*\"/>"                           \
                                                   "<allow send_destination=\"*\" eavesdrop=\"true\"/>" \
                                                   "<allow eavesdrop=\"true\"/><allow own=\"*\"/>" }

static const struct scenario scenarios[] = {
        { "beside a flood", .run = beside_0, .options.limits = LIMITS_TEXT },
        { "beside one who does not read", .run = beside_1, .options.limits = LIMITS_TEXT },
        { "beside a hoard of descriptors", .run = beside_2, .options.limits = LIMITS_TEXT },
        { "beside a hoard of match rules", .run = beside_3, .options.limits = LIMITS_TEXT },
        { "beside a hoard of names", .run = beside_4, .options.limits = LIMITS_TEXT },
        { "beside half messages", .run = beside_5, .options.limits = LIMITS_TEXT },
        { "beside giant messages", .run = beside_6, .options.limits = LIMITS_TEXT },
        { "beside a storm of connections", .run = beside_7, .options.limits = LIMITS_TEXT },
        { "beside a hoard of calls without reply", .run = beside_8, .options.limits = LIMITS_TEXT },
        { "beside monitors that do not read", .run = beside_9, .options.limits = LIMITS_TEXT },
        { "beside all of them at once", .run = beside_all, .options.limits = LIMITS_TEXT },
        { "beside all of them, who are one other user", .run = beside_another_user, OTHER_USERS },
        { "beside all of them, who are a user each", .run = beside_ten_users, OTHER_USERS },
        { "beside 1000 malformed connections a second", .run = malformed,
          .options.limits = LIMITS_TEXT },
        { "without descriptors to accept with", .run = few_descriptors,
          .options.limits = LIMITS_TEXT },
        { "without memory for what a client sends", .run = little_memory,
          .options.limits = "max_message_size=134217728" },
        { "with allocations that fail by chance", .run = famine,
          .options = { .limits = LIMITS_TEXT,
                       .files = (const char *const[]){ "famine", "\x01\x01\x01\x01", NULL },
                       .environment = (const char *const[]){ "FAMINE=${dir}/famine",
                                                             PRELOAD, "LAMBUS_NO_CACHE=1", NULL } } },
};

static void usage(const char *program)
{
        printf("%s [--seconds N] [--workers N] [--nice N]\n\n"
               "Misbehaves on the bus BUS_UNDER_TEST, in all ways it knows, N seconds each, and prints\n"
               "what becomes of the well-behaved. SCENARIO=text runs those with that text in their\n"
               "name. From %d seconds on, it also fails if a ping takes %d times as long as when it is\n"
               "quiet. Who misbehaves is nicer than the others by %d, or by another number: else a ping would\n"
               "measure who gets the processor.\n",
               program, TIMED_SECONDS, WORSE, NICE);
}

/* Check gives a test some seconds times CK_TIMEOUT_MULTIPLIER. */
static void allow_time(void)
{
        char text[32];

        snprintf(text, sizeof(text), "%.0f",
                 fmax(atof(getenv("CK_TIMEOUT_MULTIPLIER") ?: "1"), 1 + seconds(0)));
        setenv("CK_TIMEOUT_MULTIPLIER", text, 1);
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "seconds", required_argument, NULL, 's' },
                { "workers", required_argument, NULL, 'w' },
                { "nice", required_argument, NULL, 'n' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 's')
                        setenv("MISBEHAVE_SECONDS", optarg, 1);
                else if (c == 'w')
                        setenv("BUS_WORKERS", optarg, 1);
                else if (c == 'n')
                        setenv("MISBEHAVE_NICE", optarg, 1);
                else {
                        usage(argv[0]);
                        return c != 'h';
                }
        }
        allow_time();
        return scenarios_run("misbehave", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
