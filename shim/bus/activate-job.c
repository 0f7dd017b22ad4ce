/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What becomes of a unit that systemd was asked for. ActivationFailure says only that a job could
 * not be made. Whether it was skipped, or failed, or the unit broke down before it took its name, is
 * in what systemd tells all: that a job is gone, and how a unit and its service are now. Behind the
 * request it is asked for the unit's object: what it tells before that answer is of earlier days.
 * Then it is asked for the unit's state once, since that may not change any more. (To ask again at
 * each sign would not do: systemd forgets units that are over, and says that they never began.)
 *
 * Only the systemd that is process 1, or that started the bus, is asked: a program that merely has
 * the name is told of ActivationRequest and nothing else.
 */

#include "config.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/activate-private.h"
#include "shim/bus/log.h"
#include "shim/bus/notice.h"
#include "shim/wire/reader.h"

#define MANAGER_INTERFACE    "org.freedesktop.systemd1.Manager"
#define MANAGER_PATH         "/org/freedesktop/systemd1"
#define UNIT_INTERFACE       "org.freedesktop.systemd1.Unit"
#define SERVICE_INTERFACE    "org.freedesktop.systemd1.Service"
#define UNIT_PATH            MANAGER_PATH "/unit/"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

static bool is_manager(const struct client *client)
{
        char comm[16] = "", path[64];
        FILE *f;

        if (client->creds->pid == 1)
                return true;
        if (client->creds->pid <= 1 || client->creds->pid != getppid())
                return false;
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)client->creds->pid);
        f = fopen(path, "re");
        if (!f)
                return false;
        if (!fgets(comm, sizeof(comm), f))
                comm[0] = 0;
        fclose(f);
        return strcmp(comm, "systemd\n") == 0;
}

static uint32_t begin_call(struct writer *w, struct turn *turn, struct client *to,
                           const char *path, const char *interface, const char *member)
{
        uint32_t serial = notice_begin_call(w, turn, to);

        writer_field(w, FIELD_PATH, path);
        writer_field(w, FIELD_INTERFACE, interface);
        writer_field(w, FIELD_MEMBER, member);
        return serial;
}

void job_manager_is(struct turn *turn, struct activator *activator, struct client *systemd)
{
        struct writer w;

        activator->manager = BUS_ID;
        if (!is_manager(systemd))
                return;
        activator->manager = systemd->peer.id;
        begin_call(&w, turn, systemd, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe");
        writer_body(&w, "");
        notice_send(&w, turn, systemd);
}

void job_deinit(struct job *job)
{
        free(job->path);
        free(job->result);
        free(job->unmet);
        free(job->service);
        *job = (struct job){ 0 };
}

void job_asked(struct turn *turn, struct activation *a, struct client *systemd)
{
        struct writer w;

        job_deinit(&a->job);
        if (a->activator->manager != systemd->peer.id)
                return;
        a->job.serial = begin_call(&w, turn, systemd, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit");
        writer_body(&w, "s");
        writer_string(&w, a->unit);
        notice_send(&w, turn, systemd);
}

static void ask_all(struct turn *turn, struct activation *a, struct client *systemd,
                    const char *interface)
{
        struct writer w;

        a->job.serial = begin_call(&w, turn, systemd, a->job.path, PROPERTIES_INTERFACE, "GetAll");
        writer_body(&w, "s");
        writer_string(&w, interface);
        notice_send(&w, turn, systemd);
}

/* --- what systemd says of a unit ------------------------------------------------------------- */

struct unit_state {
        const char *active; /* ActiveState; "" when it was not said */
        uint32_t job;       /* 0: none */
        bool condition, asserted;              /* met */
        uint64_t condition_time, assert_time;  /* when that was looked at; 0: not yet */
        const char *kind, *value; /* the condition that is not met, or the only one; "": unknown */
        bool kind_is_unmet;
        size_t n_conditions;
        const char *result; /* of the service; "": unknown */
        int32_t exit_code, exit_status;
};

/* One of a(sbbsi): kind, one of which any is enough, negated, value, 0 or how it came out */
static void read_condition(struct unit_state *state, struct reader *r)
{
        const char *kind = "", *value = "";
        bool trigger = false;
        int32_t outcome = 0;

        reader_enter(r, '(');
        reader_string(r, &kind, NULL);
        reader_bool(r, &trigger);
        reader_skip(r);
        reader_string(r, &value, NULL);
        reader_i32(r, &outcome);
        reader_leave(r);
        state->n_conditions++;
        if (state->kind_is_unmet)
                return;
        state->kind_is_unmet = outcome < 0;
        state->kind = kind;
        state->value = value;
}

static void read_conditions(struct unit_state *state, struct reader *r)
{
        reader_enter(r, 'a');
        while (reader_peek(r) == '(')
                read_condition(state, r);
        reader_leave(r);
        if (!state->kind_is_unmet && state->n_conditions != 1)
                state->kind = "";
}

static void read_job(struct unit_state *state, struct reader *r)
{
        reader_enter(r, '(');
        reader_u32(r, &state->job);
        reader_leave(r);
}

static void read_value(struct unit_state *state, const char *name, struct reader *r)
{
        const char type = reader_peek(r);

        if (type == 's' && strcmp(name, "ActiveState") == 0)
                reader_string(r, &state->active, NULL);
        else if (type == 's' && strcmp(name, "Result") == 0)
                reader_string(r, &state->result, NULL);
        else if (type == 'b' && strcmp(name, "ConditionResult") == 0)
                reader_bool(r, &state->condition);
        else if (type == 'b' && strcmp(name, "AssertResult") == 0)
                reader_bool(r, &state->asserted);
        else if (type == 't' && strcmp(name, "ConditionTimestampMonotonic") == 0)
                reader_u64(r, &state->condition_time);
        else if (type == 't' && strcmp(name, "AssertTimestampMonotonic") == 0)
                reader_u64(r, &state->assert_time);
        else if (type == 'i' && strcmp(name, "ExecMainCode") == 0)
                reader_i32(r, &state->exit_code);
        else if (type == 'i' && strcmp(name, "ExecMainStatus") == 0)
                reader_i32(r, &state->exit_status);
        else if (type == '(' && strcmp(name, "Job") == 0)
                read_job(state, r);
        else if (type == 'a' && strcmp(name, "Conditions") == 0)
                read_conditions(state, r);
}

static struct unit_state read_state(struct reader *r)
{
        struct unit_state state = { .active = "", .kind = "", .value = "", .result = "" };
        const char *name = "";

        reader_enter(r, 'a');
        while (reader_peek(r) == '{') {
                reader_enter(r, '{');
                reader_string(r, &name, NULL);
                reader_enter(r, 'v');
                read_value(&state, name, r);
                reader_leave(r);
                reader_leave(r);
        }
        return state;
}

/* --- what that means ------------------------------------------------------------------------- */

enum verdict {
        MAY_COME,
        FAILED,
        NOT_STARTED,
        SKIPPED,
        NOT_ASSERTED,
};

static enum verdict judge(const struct job *job, const struct unit_state *state)
{
        if (state->job)
                return MAY_COME;
        if (strcmp(state->active, "failed") == 0)
                return FAILED;
        if (strcmp(state->active, "inactive") != 0)
                return MAY_COME;
        if (job->result && strcmp(job->result, "done") != 0)
                return NOT_STARTED;
        if (job->skipped || (state->condition_time && !state->condition))
                return SKIPPED;
        return state->assert_time && !state->asserted ? NOT_ASSERTED : MAY_COME;
}

static void give_up(struct turn *turn, struct activation *a, const char *format, ...)
        _printf_(3, 4);

static void give_up(struct turn *turn, struct activation *a, const char *format, ...)
{
        const char *result = a->job.result;
        char why[512], text[1024];
        va_list args;

        va_start(args, format);
        vsnprintf(why, sizeof(why), format, args);
        va_end(args);
        snprintf(text, sizeof(text), "Unit %s of service %s: %s%s%s%s", a->unit, a->name->text, why,
                 result ? " (job result '" : "", result ? result : "", result ? "')" : "");
        log_limited(LOG_WARNING, "activation failed", activation_subject(a), "%s", text);
        activation_fail(turn, a, outcome_error_name(OUTCOME_SPAWN_FAILED), text, false);
}

/* If the helper ran in the unit, that is told as if the bus had run the helper. */
static void has_failed(struct turn *turn, struct activation *a)
{
        const struct job *job = &a->job;
        bool killed = job->exit_code == CLD_KILLED || job->exit_code == CLD_DUMPED;

        if (a->by_helper && (killed || (job->exit_code == CLD_EXITED && job->exit_status)))
                activation_exited(turn, a, killed ? LAUNCH_SIGNALED : LAUNCH_EXITED,
                                  job->exit_status);
        else if (job->service && job->exit_code)
                give_up(turn, a, "it failed, %s, %s %d", job->service,
                        killed ? "signal" : "exit status", job->exit_status);
        else
                give_up(turn, a, "it failed%s%s", job->service ? ", " : "",
                        job->service ? job->service : "");
}

/* A unit that was skipped is often gone when it is asked about; which condition it was is told then. */
static void was_skipped(struct turn *turn, struct activation *a)
{
        a->job.skipped = true;
        if (a->job.serial && !a->job.exit_asked && !a->job.unmet)
                return;
        give_up(turn, a, "it was skipped, a condition is not met%s%s%s", a->job.unmet ? " (" : "",
                a->job.unmet ? a->job.unmet : "", a->job.unmet ? ")" : "");
}

static void take_exit(struct activation *a, const struct unit_state *state)
{
        free(a->job.service);
        a->job.service = *state->result ? strdup(state->result) : NULL;
        a->job.exit_code = state->exit_code;
        a->job.exit_status = state->exit_status;
}

static void take_state(struct turn *turn, struct activation *a, const struct unit_state *state,
                       struct client *systemd)
{
        if (*state->kind && !a->job.unmet &&
            asprintf(&a->job.unmet, "%s=%s", state->kind, state->value) < 0)
                a->job.unmet = NULL;
        switch (judge(&a->job, state)) {
        case MAY_COME:
                return;
        case FAILED:
                if (a->job.service) {
                        has_failed(turn, a);
                } else {
                        a->job.exit_asked = true;
                        ask_all(turn, a, systemd, SERVICE_INTERFACE);
                }
                return;
        case SKIPPED:
                was_skipped(turn, a);
                return;
        case NOT_ASSERTED:
                give_up(turn, a, "an assertion is not met");
                return;
        case NOT_STARTED:
                give_up(turn, a, "it did not start");
                return;
        }
}

/* --- answers --------------------------------------------------------------------------------- */

static bool is_signature(const struct envelope *e, const char *signature)
{
        const char *have = envelope_text(e, e->header.signature);

        return strcmp(have ? have : "", signature) == 0;
}

static void take_path(struct turn *turn, struct activation *a, struct reader *r,
                      struct client *systemd)
{
        const char *path = "";

        reader_path(r, &path, NULL);
        a->job.path = strdup(path);
        if (a->job.path) /* else it is waited for until its time is over */
                ask_all(turn, a, systemd, UNIT_INTERFACE);
}

static void take_answer(struct turn *turn, struct activation *a, const struct envelope *e,
                        struct client *systemd)
{
        bool is_return = e->header.type == HEADER_RETURN, exit_asked = a->job.exit_asked;
        struct unit_state state;
        struct reader r;

        a->job.serial = 0;
        a->job.exit_asked = false;
        reader_init_message(&r, &e->header, e->data);
        if (is_return && is_signature(e, "o") && !a->job.path) {
                take_path(turn, a, &r, systemd);
        } else if (is_return && is_signature(e, "a{sv}")) {
                state = read_state(&r);
                if (!exit_asked) {
                        take_state(turn, a, &state, systemd);
                } else {
                        take_exit(a, &state);
                        has_failed(turn, a);
                }
        } else if (exit_asked) { /* it is no service */
                has_failed(turn, a);
        } else if (a->job.skipped) {
                was_skipped(turn, a);
        }
}

bool activation_answered(struct turn *turn, struct client *sender, const struct envelope *e)
{
        struct activator *activator = turn->bus->activator;
        struct activation *a;

        if (!activator || activator->manager != sender->peer.id)
                return false;
        turn_write(turn);
        cds_list_for_each_entry(a, &activator->pending, link)
                if (a->state == ACTIVATION_ASKED && a->job.serial == e->header.reply_serial) {
                        take_answer(turn, a, e, sender);
                        break;
                }
        return true;
}

/* --- signals --------------------------------------------------------------------------------- */

/* Is @path the object of unit @unit? systemd writes all but letters and digits as _xx. */
static bool is_path_of(const char *path, const char *unit)
{
        char code[4];

        if (strncmp(path, UNIT_PATH, strlen(UNIT_PATH)) != 0)
                return false;
        path += strlen(UNIT_PATH);
        for (const char *c = unit; *c; c++) {
                bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

                if (letter || (*c >= '0' && *c <= '9' && c != unit)) {
                        if (*path++ != *c)
                                return false;
                        continue;
                }
                snprintf(code, sizeof(code), "_%02x", (unsigned char)*c);
                if (strncmp(path, code, 3) != 0)
                        return false;
                path += 3;
        }
        return !*path;
}

static bool is(const struct envelope *e, struct span span, const char *text)
{
        return span.off && strcmp(envelope_text(e, span), text) == 0;
}

/* JobRemoved(id, job, unit, result): what has become of the unit is told next */
static void hear_job(struct activator *activator, const struct envelope *e)
{
        const char *unit = "", *result = "";
        struct activation *a;
        struct reader r;

        reader_init_message(&r, &e->header, e->data);
        reader_skip(&r);
        reader_skip(&r);
        reader_string(&r, &unit, NULL);
        reader_string(&r, &result, NULL);
        cds_list_for_each_entry(a, &activator->pending, link)
                if (a->state == ACTIVATION_ASKED && a->job.path && is_path_of(a->job.path, unit)) {
                        free(a->job.result);
                        a->job.result = strdup(result);
                }
}

/* PropertiesChanged(interface, properties, …): systemd tells all that may change, the service first */
static void hear_change(struct activator *activator, struct turn *turn, const struct envelope *e,
                        struct client *systemd)
{
        const char *interface = "", *path = envelope_text(e, e->header.path);
        struct activation *a, *next;
        struct unit_state state;
        struct reader r;

        reader_init_message(&r, &e->header, e->data);
        reader_string(&r, &interface, NULL);
        state = read_state(&r);
        cds_list_for_each_entry_safe(a, next, &activator->pending, link) {
                if (a->state != ACTIVATION_ASKED || !a->job.path || strcmp(a->job.path, path) != 0)
                        continue;
                if (strcmp(interface, SERVICE_INTERFACE) == 0)
                        take_exit(a, &state);
                else if (strcmp(interface, UNIT_INTERFACE) == 0)
                        take_state(turn, a, &state, systemd);
        }
}

void activation_hear(struct turn *turn, struct client *sender, const struct envelope *e)
{
        struct activator *activator = turn->bus->activator;
        const struct header *h = &e->header;

        if (!activator || activator->manager != sender->peer.id ||
            cds_list_empty(&activator->pending))
                return;
        if (is(e, h->interface, MANAGER_INTERFACE) && is(e, h->member, "JobRemoved") &&
            is_signature(e, "uoss")) {
                turn_write(turn);
                hear_job(activator, e);
        } else if (is(e, h->interface, PROPERTIES_INTERFACE) && is_signature(e, "sa{sv}as") &&
                   h->path.off &&
                   strncmp(envelope_text(e, h->path), UNIT_PATH, strlen(UNIT_PATH)) == 0) {
                turn_write(turn);
                hear_change(activator, turn, e, sender);
        }
}
