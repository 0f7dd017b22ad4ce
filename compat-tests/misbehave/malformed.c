/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Malformed: a thousand connections a second, each of which breaks a rule in another way
 *
 * What they send is made of the inputs kept for fuzzing (compat-tests/corpus: authentication,
 * headers, bodies), and of good messages with bytes changed, lengths changed, or an end that is
 * missing. The bus throws them out, or they go by themselves: the crowd does not notice.
 */

#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "compat-tests/misbehave/misbehave.h"
#include "compat-tests/misbehave/shot.h"

#define RATE     1000 /* connections a second */
#define OPEN     8    /* so many are left open before the oldest goes */
#define INPUTS   256
#define INPUT    4096 /* bytes of each, at most */
#define GREETING 512

enum how {
        AS_IT_IS,   /* an input, from the first byte on */
        AFTER_NUL,  /* an input as authentication */
        FIRST,      /* an input as the first message, instead of Hello */
        LATER,      /* an input after Hello */
        CHANGED,    /* a good message with some bytes changed */
        LENGTHS,    /* a good message that lies about a length */
        CUT,        /* a good message without its end */
        HOW_N,
};

struct input {
        uint8_t bytes[INPUT];
        size_t n;
};

static struct input inputs[INPUTS];
static size_t n_inputs;
static _Atomic uint64_t *n_done; /* shared with the test */

static void read_inputs(const char *kind)
{
        char path[4096];
        struct dirent *entry;
        DIR *d;

        snprintf(path, sizeof(path), "%s/%s", CORPUS, kind);
        d = opendir(path);
        ck_assert_msg(d != NULL, "%s is not there", path);
        while ((entry = readdir(d)) && n_inputs < INPUTS) {
                FILE *f;

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "%s/%s/%s", CORPUS, kind, entry->d_name);
                f = fopen(path, "re");
                ck_assert_ptr_nonnull(f);
                inputs[n_inputs].n = fread(inputs[n_inputs].bytes, 1, INPUT, f);
                n_inputs++;
                fclose(f);
        }
        closedir(d);
}

/* The same sequence each time: what fails can be found again. */
static uint32_t chance(uint32_t below)
{
        static uint32_t state = 20261122;

        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return below ? state % below : 0;
}

/* --- what is sent ---------------------------------------------------------------------------- */

struct bytes {
        uint8_t at[2 * INPUT];
        size_t n;
};

static void add(struct bytes *b, const void *data, size_t n)
{
        if (n > sizeof(b->at) - b->n)
                n = sizeof(b->at) - b->n;
        memcpy(b->at + b->n, data, n);
        b->n += n;
}

static void add_greeting(struct bytes *b)
{
        char uid[16], text[GREETING], hex[33] = "";

        snprintf(uid, sizeof(uid), "%u", geteuid());
        for (size_t i = 0; uid[i]; i++)
                snprintf(hex + 2 * i, 3, "%02x", uid[i]);
        add(b, "", 1);
        add(b, text, snprintf(text, sizeof(text), "AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                              hex));
}

static void add_shot(struct bytes *b, const struct shot *shot)
{
        add(b, shot->bytes, shot->n);
}

static void add_input(struct bytes *b)
{
        const struct input *input = &inputs[chance(n_inputs)];

        add(b, input->bytes, input->n);
}

/* Spoils the last @n bytes. */
static void spoil(struct bytes *b, size_t n, enum how how)
{
        static const uint8_t lengths[] = { 4, 12, 16, 20, 24 };
        uint8_t *m = b->at + b->n - n;

        if (how == CUT) {
                b->n -= 1 + chance(n - 1);
        } else if (how == LENGTHS) {
                uint32_t lie = chance(4) ? chance(300) : chance(UINT32_MAX);

                memcpy(m + lengths[chance(sizeof(lengths))], &lie, sizeof(lie));
        } else {
                for (uint32_t i = 1 + chance(4); i; i--)
                        m[chance(n)] = chance(256);
        }
}

static void compose(struct bytes *b, enum how how, const struct shot *hello, const struct shot *good)
{
        b->n = 0;
        if (how == AFTER_NUL)
                add(b, "", 1);
        else if (how != AS_IT_IS)
                add_greeting(b);
        if (how > FIRST)
                add_shot(b, hello);
        if (how <= LATER) {
                add_input(b);
                return;
        }
        add_shot(b, good);
        spoil(b, good->n, how);
}

/* --- who sends it ---------------------------------------------------------------------------- */

static void keep_rate(const struct timespec *begin, uint64_t n)
{
        uint64_t ns = begin->tv_nsec + n * (1000000000 / RATE);
        struct timespec due = { begin->tv_sec + ns / 1000000000, ns % 1000000000 };

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static void send_malformed(const char *address)
{
        struct client *c[OPEN] = {};
        struct shot hello, good[4];
        struct timespec begin;
        struct bytes b;

        shot_make(&hello, "call org.freedesktop.DBus.Hello path=/org/freedesktop/DBus "
                          "to=org.freedesktop.DBus");
        shot_make(&good[0], "call org.freedesktop.DBus.AddMatch path=/org/freedesktop/DBus "
                            "to=org.freedesktop.DBus serial=2 s type='signal'");
        shot_make(&good[1], "signal com.example.If.Sig path=/x serial=2 a{sv} [ a u 1 b s text ]");
        shot_make(&good[2], "return reply=1 to=:1.1 path=- if=- serial=2 (yqv) 1 2 ay [ 1 2 3 ]");
        shot_make(&good[3], "call org.freedesktop.DBus.RequestName path=/org/freedesktop/DBus "
                            "to=org.freedesktop.DBus serial=2 su com.example.Name 4");
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (uint64_t i = 0;; i++) {
                struct client **slot = &c[i % OPEN];

                if (*slot)
                        client_free(*slot);
                *slot = client_new();
                compose(&b, i % HOW_N, &hello, &good[chance(4)]);
                if (!client_open(*slot, address))
                        client_write(*slot, b.at, b.n);
                atomic_store(n_done, i + 1);
                keep_rate(&begin, i + 1);
        }
}

void malformed(struct bus *bus)
{
        double length = seconds(3);
        struct crowd crowd;
        uint64_t n;
        pid_t pid;

        read_inputs("auth");
        read_inputs("header");
        read_inputs("body");
        n_done = mmap(NULL, sizeof(*n_done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(n_done, MAP_FAILED);
        crowd_start(&crowd, bus, SAME_USER);
        sleep_ms(500);
        pid = run_child(send_malformed, bus->address, SAME_USER);
        crowd_enter(&crowd, CROWD_BESIDE);
        sleep_ms(length * 1000);
        n = atomic_load(n_done);
        crowd_enter(&crowd, CROWD_AFTER);
        end_child(pid);
        crowd_stop(&crowd, bus);
        show("malformed", &crowd, "%.0f connections a second", n / length);
        ck_assert_uint_gt(n, 0);
        crowd_free(&crowd);
}
