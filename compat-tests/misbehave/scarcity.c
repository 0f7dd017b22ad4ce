/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scarcity: the system gives the bus no more descriptors, or no more memory
 */

#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "compat-tests/misbehave/misbehave.h"
#include "compat-tests/misbehave/shot.h"

#define I "com.example.Scarce"

/* --- descriptors ----------------------------------------------------------------------------- */

#define SPARE   16 /* descriptors that are left when it begins; some of them are for messages */
#define WAITING 12 /* connections that want in, more than that */

static void allow_descriptors(const struct bus *bus, rlim_t n)
{
        struct rlimit limit;

        ck_assert_int_eq(prlimit(bus->pid, RLIMIT_NOFILE, NULL, &limit), 0);
        limit.rlim_cur = n;
        ck_assert_int_eq(prlimit(bus->pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* Two who were there before pass descriptors to each other. */
static void pass_descriptors(struct client *a, struct client *b)
{
        char text[200];
        struct message *m;

        snprintf(text, sizeof(text), "call " I ".Take path=/x to=%s fds=2 hh 0 1", b->unique);
        ck_assert_int_eq(client_send_text(a, text), 0);
        ck_assert_int_eq(client_settle(a), 0);
        ck_assert_int_eq(client_receive(b, &m, client_timeout()), CLIENT_MESSAGE);
        ck_assert_uint_eq(m->n_fds, 2);
        message_free(m);
}

/* Those who find no descriptor wait, unheard; those who are there notice nothing. */
void few_descriptors(struct bus *bus)
{
        struct client *a = client_connect(bus->address), *b = client_connect(bus->address);
        struct client *in[SPARE + WAITING], *late;
        unsigned int n_in = 0;
        struct crowd crowd;

        if (getenv("BUS_WRAPPER")) {
                printf("skipped: few descriptors (valgrind keeps the last ones for itself)\n");
                client_free(a);
                client_free(b);
                return;
        }
        crowd_start(&crowd, bus, SAME_USER);
        sleep_ms(300);
        allow_descriptors(bus, bus_count_fds(bus) - 2 + SPARE); /* "." and ".." */
        crowd_enter(&crowd, CROWD_BESIDE);
        for (int i = 0; i < SPARE + WAITING; i++) {
                in[i] = client_new();
                ck_assert_int_eq(client_open(in[i], bus->address), 0);
                client_write(in[i], "\0AUTH\r\n", 7);
        }
        for (int i = 0; i < SPARE + WAITING; i++) {
                char *line;

                n_in += client_read_line(in[i], &line, i ? 20 : client_timeout()) ==
                        CLIENT_MESSAGE;
        }
        ck_assert_uint_le(n_in, SPARE);
        ck_assert_uint_gt(n_in, 0);
        for (int i = 0; i < 10; i++)
                pass_descriptors(a, b);
        sleep_ms(500); /* they are looked for again, many times, and that is not said each time */
        ck_assert_uint_eq(witness_log_lines(bus, "cannot accept"), 1);
        crowd_enter(&crowd, CROWD_AFTER);
        for (int i = 0; i < SPARE + WAITING; i++)
                client_free(in[i]);
        client_free(a);
        client_free(b);
        late = client_connect(bus->address);
        ck_assert_ptr_nonnull(late);
        client_free(late);
        crowd_stop(&crowd, bus);
        show("few descriptors", &crowd, "%u were let in, %u waited", n_in, SPARE + WAITING - n_in);
        crowd_free(&crowd);
}

/* --- memory ---------------------------------------------------------------------------------- */

#define ROOM  (4 << 20)  /* address space that is left */
#define GIANT (64 << 20) /* a body that fits no heap which a thread of the bus may have already */

static void allow_memory(const struct bus *bus, rlim_t more)
{
        struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
        unsigned long pages = 0;
        char path[64];
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/statm", bus->pid);
        f = fopen(path, "re");
        ck_assert(f && fscanf(f, "%lu", &pages) == 1);
        fclose(f);
        limit.rlim_cur = pages * sysconf(_SC_PAGESIZE) + more;
        ck_assert_int_eq(prlimit(bus->pid, RLIMIT_AS, &limit, NULL), 0);
}

/* A message that there is no memory for costs its sender the connection, and nobody else. */
static void send_giant(struct bus *bus, struct shot *giant)
{
        struct client *c = client_connect(bus->address);
        struct message *m;

        ck_assert_ptr_nonnull(c);
        shot_fire(c, giant);
        ck_assert_int_eq(client_receive(c, &m, client_timeout()), CLIENT_CLOSED);
        client_free(c);
}

void little_memory(struct bus *bus)
{
        struct crowd crowd;
        struct shot giant;

        if (!witness_memory_counts()) {
                printf("skipped: little memory (a tool below needs more than there would be)\n");
                return;
        }
        shot_make(&giant, "signal " I ".Giant path=/x ay @%d", GIANT);
        crowd_start(&crowd, bus, SAME_USER);
        sleep_ms(300);
        allow_memory(bus, ROOM);
        crowd_enter(&crowd, CROWD_BESIDE);
        for (int i = 0; i < 10; i++) {
                send_giant(bus, &giant);
                sleep_ms(50);
        }
        crowd_enter(&crowd, CROWD_AFTER);
        crowd_stop(&crowd, bus);
        ck_assert_uint_ge(witness_log_lines(bus, "not enough memory"), 1);
        show("little memory", &crowd, "10 messages of 64 MiB refused");
        crowd_free(&crowd);
}

/* --- memory that fails by chance ------------------------------------------------------------- */

#define ROUND_MS 400 /* so long each culprit lives */

static uint32_t *famine_map(const struct bus *bus)
{
        char *path = bus_path(bus, "famine");
        int fd = open(path, O_RDWR | O_CLOEXEC);
        void *map;

        ck_assert_int_ge(fd, 0);
        map = mmap(NULL, sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(map, MAP_FAILED);
        close(fd);
        free(path);
        return map;
}

/* Two at a time, all of them in turn; they are killed in the midst of what they do. */
static void starve(struct bus *bus, uint32_t *one_in, uint32_t n, double length)
{
        __atomic_store_n(one_in, n, __ATOMIC_RELAXED);
        for (int i = 0; i < length * 1000 / ROUND_MS; i++) {
                pid_t a = run_child(culprits[2 * i % n_culprits].run, bus->address, SAME_USER);
                pid_t b = run_child(culprits[(2 * i + 1) % n_culprits].run, bus->address, SAME_USER);

                sleep_ms(ROUND_MS);
                end_child(a);
                end_child(b);
        }
        __atomic_store_n(one_in, 0, __ATOMIC_RELAXED);
}

/* Whatever allocation fails: the bus goes on, and when there is memory again all is well. */
void famine(struct bus *bus)
{
        struct crowd crowd;
        uint32_t *one_in;

        if (!witness_memory_counts()) {
                printf("skipped: famine (a tool below has allocations of its own)\n");
                return;
        }
        one_in = famine_map(bus);
        starve(bus, one_in, 1000, seconds(1.2));
        starve(bus, one_in, 100, seconds(1.2));
        starve(bus, one_in, 10, seconds(1.2));
        ck_assert_uint_gt(witness_log_lines(bus, "not enough memory"), 0);
        crowd_start(&crowd, bus, SAME_USER);
        sleep_ms(300);
        crowd_stop(&crowd, bus);
        show("famine", &crowd, "%u lines of log", witness_log_lines(bus, ""));
        crowd_free(&crowd);
}
