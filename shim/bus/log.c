/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shim/bus/log.h"

#define N_CAUSES 64 /* remembered at a time; a new cause takes the place of an old one */

struct cause {
        const char *topic;
        uint64_t subject;
        time_t since;
        uint64_t repeats;
};

static struct {
        pthread_mutex_t lock;
        struct log_memory line[LOG_RECALL];
        size_t n; /* ever */
} memory = { .lock = PTHREAD_MUTEX_INITIALIZER };

static log_sink_fn *log_sink;
static char log_prefix[64];

static struct {
        pthread_mutex_t lock;
        struct cause cause[N_CAUSES];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

void log_set_sink(log_sink_fn *sink, const char *prefix)
{
        log_sink = sink;
        snprintf(log_prefix, sizeof(log_prefix), "%s", prefix);
}

static void remember(int priority, const char *text)
{
        struct log_memory *line;
        struct timespec now;

        if (priority > LOG_NOTICE)
                return;
        clock_gettime(CLOCK_MONOTONIC, &now);
        pthread_mutex_lock(&memory.lock);
        line = &memory.line[memory.n++ % LOG_RECALL];
        line->at = (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        line->priority = priority;
        snprintf(line->text, sizeof(line->text), "%s", text);
        pthread_mutex_unlock(&memory.lock);
}

size_t log_recall(struct log_memory out[LOG_RECALL])
{
        size_t n;

        pthread_mutex_lock(&memory.lock);
        n = memory.n < LOG_RECALL ? memory.n : LOG_RECALL;
        for (size_t i = 0; i < n; i++)
                out[i] = memory.line[(memory.n - 1 - i) % LOG_RECALL];
        pthread_mutex_unlock(&memory.lock);
        return n;
}

static void emit(int priority, const char *text)
{
        char line[2048];

        remember(priority, text);
        snprintf(line, sizeof(line), "%s%s", log_prefix, text);
        if (log_sink)
                log_sink(priority, line);
        else
                fprintf(stderr, "lambus-daemon: %s\n", line);
}

void log_line(int priority, const char *format, ...)
{
        char text[1920];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        emit(priority, text);
}

/* True if the line should be written; *@repeats is how many were left out before it. */
static bool admit(const char *topic, uint64_t subject, uint64_t *repeats)
{
        struct cause *c = &state.cause[((uintptr_t)topic / 8 ^ subject) % N_CAUSES];
        struct timespec now;
        bool fresh;

        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        pthread_mutex_lock(&state.lock);
        fresh = c->topic != topic || c->subject != subject;
        *repeats = fresh ? 0 : c->repeats;
        if (!fresh && now.tv_sec - c->since < LOG_WINDOW) {
                c->repeats++;
                pthread_mutex_unlock(&state.lock);
                return false;
        }
        *c = (struct cause){ .topic = topic, .subject = subject, .since = now.tv_sec };
        pthread_mutex_unlock(&state.lock);
        return true;
}

void log_limited(int priority, const char *topic, uint64_t subject, const char *format, ...)
{
        char text[1920];
        uint64_t repeats;
        va_list ap;
        size_t n;

        if (!admit(topic, subject, &repeats))
                return;
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        n = strlen(text);
        if (repeats)
                snprintf(text + n, sizeof(text) - n, " (%llu more since the last line)",
                         (unsigned long long)repeats);
        emit(priority, text);
}
