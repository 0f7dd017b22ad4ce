/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What becomes of a unit that systemd was asked for. ActivationFailure says only that a job could
 * not be made. Whether it was skipped, or failed, or the unit broke down before it took its name,
 * is seen by asking: for the unit's object when it is requested, and for its state each time
 * systemd says that a job of it is gone or that its state changed.
 *
 * Only the systemd that is process 1, or that started the bus, is asked: a program that merely has
 * the name is told of ActivationRequest and nothing else.
 */

#include "config.h"

#include <signal.h>
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

void job_asked(struct turn *turn, struct activation *a, struct client *systemd)
{
        struct writer w;

        free(steal(&a->unit_path));
        free(steal(&a->job_result));
        a->serial = 0;
        if (a->activator->manager != systemd->peer.id)
                return;
        a->serial = begin_call(&w, turn, systemd, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit");
        writer_body(&w, "s");
        writer_string(&w, a->unit);
        notice_send(&w, turn, systemd);
}

static void ask_all(struct turn *turn, struct activation *a, struct client *systemd,
                    const char *interface)
{
        struct writer w;

        a->serial = begin_call(&w, turn, systemd, a->unit_path, PROPERTIES_INTERFACE, "GetAll");
        writer_body(&w, "s");
        writer_string(&w, interface);
        notice_send(&w, turn, systemd);
}

static void ask_state(struct turn *turn, struct activation *a, struct client *systemd)
{
        a->exit_asked = false;
        ask_all(turn, a, systemd, UNIT_INTERFACE);
}

static void ask_exit(struct turn *turn, struct activation *a, struct client *systemd)
{
        a->exit_asked = true;
        ask_all(turn, a, systemd, SERVICE_INTERFACE);
}

/* --- answers --------------------------------------------------------------------------------- */

struct unit_state {
        const char *active; /* ActiveState; "" when it was not said */
        bool condition; /* met, or not looked at yet */
        bool asserted;
        uint32_t job; /* 0: none */
        const char *unmet, *unmet_value; /* the condition that was not met; "": unknown */
        const char *result; /* of the service, "exit-code" or so; "": unknown */
        int32_t exit_code; /* CLD_*; 0: its program did not run */
        int32_t exit_status;
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
        if (outcome < 0 && !*state->unmet) {
                state->unmet = kind;
                state->unmet_value = value;
        }
}

static void read_conditions(struct unit_state *state, struct reader *r)
{
        reader_enter(r, 'a');
        while (reader_peek(r) == '(')
                read_condition(state, r);
        reader_leave(r);
}

static void read_service(struct unit_state *state, const char *name, struct reader *r)
{
        if (strcmp(name, "ExecMainCode") == 0 && reader_peek(r) == 'i')
                reader_i32(r, &state->exit_code);
        else if (strcmp(name, "ExecMainStatus") == 0 && reader_peek(r) == 'i')
                reader_i32(r, &state->exit_status);
        else if (strcmp(name, "Result") == 0 && reader_peek(r) == 's')
                reader_string(r, &state->result, NULL);
}

static void read_property(struct unit_state *state, struct reader *r)
{
        const char *name = "";

        reader_enter(r, '{');
        reader_string(r, &name, NULL);
        reader_enter(r, 'v');
        if (strcmp(name, "ActiveState") == 0 && reader_peek(r) == 's') {
                reader_string(r, &state->active, NULL);
        } else if (strcmp(name, "ConditionResult") == 0 && reader_peek(r) == 'b') {
                reader_bool(r, &state->condition);
        } else if (strcmp(name, "AssertResult") == 0 && reader_peek(r) == 'b') {
                reader_bool(r, &state->asserted);
        } else if (strcmp(name, "Conditions") == 0 && reader_peek(r) == 'a') {
                read_conditions(state, r);
        } else if (strcmp(name, "Job") == 0 && reader_peek(r) == '(') {
                reader_enter(r, '(');
                reader_u32(r, &state->job);
                reader_leave(r);
        } else {
                read_service(state, name, r);
        }
        reader_leave(r);
        reader_leave(r);
}

static struct unit_state read_state(struct reader *r)
{
        struct unit_state state = { .active = "", .condition = true, .asserted = true,
                                    .unmet = "", .unmet_value = "", .result = "" };

        reader_enter(r, 'a');
        while (reader_peek(r) == '{')
                read_property(&state, r);
        return state;
}

/* Why the unit will not come up any more, or NULL if it may. */
static const char *judge(const struct activation *a, const struct unit_state *state)
{
        if (state->job)
                return NULL;
        if (strcmp(state->active, "failed") == 0)
                return "it failed";
        if (strcmp(state->active, "inactive") != 0)
                return NULL;
        if (a->job_result && strcmp(a->job_result, "done") != 0)
                return "it did not start";
        if (!state->condition)
                return "it was skipped, a condition is not met";
        return state->asserted ? NULL : "an assertion is not met";
}

static void give_up(struct turn *turn, struct activation *a, const char *why)
{
        char text[1024];

        snprintf(text, sizeof(text), "Unit %s of service %s: %s%s%s%s",
                 a->unit, a->name->text, why,
                 a->job_result ? " (job result '" : "", a->job_result ? a->job_result : "",
                 a->job_result ? "')" : "");
        log_limited(LOG_WARNING, "activation failed", activation_subject(a), "%s", text);
        activation_fail(turn, a, outcome_error_name(OUTCOME_SPAWN_FAILED), text, false);
}

static void take_state(struct turn *turn, struct activation *a, struct reader *r,
                       struct client *systemd)
{
        struct unit_state state = read_state(r);
        const char *why = judge(a, &state);
        char text[512];

        if (!why)
                return;
        if (strcmp(state.active, "failed") == 0) {
                ask_exit(turn, a, systemd);
                return;
        }
        snprintf(text, sizeof(text), "%s%s%s%s%s%s", why, *state.unmet ? " (" : "", state.unmet,
                 *state.unmet ? "=" : "", state.unmet_value, *state.unmet ? ")" : "");
        give_up(turn, a, text);
}

/* The unit has failed. If the helper ran in it, that is told as if the bus had run the helper. */
static void take_exit(struct turn *turn, struct activation *a, struct reader *r)
{
        struct unit_state state = read_state(r);
        bool killed = state.exit_code == CLD_KILLED || state.exit_code == CLD_DUMPED;
        char text[128];

        if (a->by_helper && (killed || (state.exit_code == CLD_EXITED && state.exit_status))) {
                activation_exited(turn, a, killed ? LAUNCH_SIGNALED : LAUNCH_EXITED,
                                  state.exit_status);
        } else if (*state.result && state.exit_code) {
                snprintf(text, sizeof(text), "it failed, %s, %s %d", state.result,
                         killed ? "signal" : "exit status", state.exit_status);
                give_up(turn, a, text);
        } else {
                snprintf(text, sizeof(text), "it failed%s%s", *state.result ? ", " : "",
                         state.result);
                give_up(turn, a, text);
        }
}

static bool is_signature(const struct envelope *e, const char *signature)
{
        const char *have = envelope_text(e, e->header.signature);

        return strcmp(have ? have : "", signature) == 0;
}

bool activation_answered(struct turn *turn, struct client *sender, const struct envelope *e)
{
        struct activator *activator = turn->bus->activator;
        struct activation *a, *next;
        struct reader r;
        const char *path = "";

        if (!activator || activator->manager != sender->peer.id)
                return false;
        turn_write(turn);
        cds_list_for_each_entry_safe(a, next, &activator->pending, link) {
                if (a->state != ACTIVATION_ASKED || a->serial != e->header.reply_serial)
                        continue;
                a->serial = 0;
                reader_init_message(&r, &e->header, e->data);
                if (e->header.type == HEADER_RETURN && is_signature(e, "o") && !a->unit_path) {
                        reader_path(&r, &path, NULL);
                        a->unit_path = strdup(path);
                        if (a->unit_path) /* else it is waited for until its time is over */
                                ask_state(turn, a, sender);
                } else if (e->header.type == HEADER_RETURN && is_signature(e, "a{sv}")) {
                        if (a->exit_asked)
                                take_exit(turn, a, &r);
                        else
                                take_state(turn, a, &r, sender);
                } else if (a->exit_asked) { /* it is no service */
                        give_up(turn, a, "it failed");
                }
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

/* JobRemoved(id, job, unit, result): remember how it went */
static void hear_job(struct activator *activator, struct turn *turn, const struct envelope *e,
                     struct client *systemd)
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
                if (a->state == ACTIVATION_ASKED && a->unit_path &&
                    is_path_of(a->unit_path, unit)) {
                        free(a->job_result);
                        a->job_result = strdup(result);
                        ask_state(turn, a, systemd);
                }
}

static void hear_change(struct activator *activator, struct turn *turn, const struct envelope *e,
                        struct client *systemd)
{
        struct activation *a;

        cds_list_for_each_entry(a, &activator->pending, link)
                if (a->state == ACTIVATION_ASKED && a->unit_path &&
                    is(e, e->header.path, a->unit_path))
                        ask_state(turn, a, systemd);
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
                hear_job(activator, turn, e, sender);
        } else if (is(e, h->interface, PROPERTIES_INTERFACE) && h->path.off &&
                   strncmp(envelope_text(e, h->path), UNIT_PATH, strlen(UNIT_PATH)) == 0) {
                turn_write(turn);
                hear_change(activator, turn, e, sender);
        }
}
