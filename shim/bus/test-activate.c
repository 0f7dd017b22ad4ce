/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Activation: a bus whose keeper is played by the test, so that programs start and end when it
 * says so. What each end is called was asked of dbus-daemon 1.14.10.
 */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/activate.h"
#include "shim/bus/environment.h"
#include "shim/bus/notice.h"
#include "shim/bus/poller.h"
#include "shim/bus/route.h"
#include "shim/bus/service-file.h"
#include "shim/bus/test-hall.h"

#define A "org.example.A"
#define B "org.example.B"
#define U "org.example.Unit"

/* What systemd says of a unit: when its conditions were looked at (0: not yet); which they are. */
static uint64_t tried;
static bool conditions;

/* --- the keeper ------------------------------------------------------------------------------ */

static struct {
        struct activation *activation[8]; /* of each launch */
        size_t n;
        size_t n_killed, n_left;
        int refuse;
        char command[256], environment[8192];
} kept;

static int launch(struct bus *b, struct launch **out, struct activation *activation,
                  const char *name, char *const *argv, char *const *envp)
{
        if (kept.refuse)
                return kept.refuse;
        kept.command[0] = kept.environment[0] = 0;
        for (; *argv; argv++) {
                strcat(kept.command, *argv);
                strcat(kept.command, argv[1] ? "|" : "");
        }
        for (; *envp; envp++)
                if (strncmp(*envp, "DBUS_", 5) == 0 || strncmp(*envp, "ACT_", 4) == 0) {
                        strcat(kept.environment, *envp);
                        strcat(kept.environment, "|");
                }
        *out = (struct launch *)&kept.activation[kept.n];
        kept.activation[kept.n++] = activation;
        return 0;
}

static void abandon(struct bus *b, struct launch *l, bool kill)
{
        *(struct activation **)l = NULL;
        kept.n_killed += kill;
        kept.n_left += !kill;
}

static const struct bus_keeper keeper = { .launch = launch, .abandon = abandon };

/* --- a bus and three clients ----------------------------------------------------------------- */

static struct bus bus;
static struct turn turn;
static struct poller poller;
static struct client a, b, s;
static size_t n_closed;
static uint32_t last_serial; /* of what was heard */
static char dir[] = "/tmp/test-activate.XXXXXX", text[4096];

static void count_close(struct client *client)
{
        n_closed++;
}

static const struct door door = { .drain = no_drain, .close = count_close, .free = no_free };

static void join(struct client *client, pid_t pid)
{
        struct creds *creds;

        ck_assert_int_eq(creds_of_self(&creds), 0);
        creds->pid = pid;
        ck_assert_int_eq(client_init(client, &bus, &door, creds), 0);
        creds_unref(creds);
        client->accepts_fds = true;
        ck_assert_int_eq(client_hello(&turn, client), 0);
}

static void write_service(const char *name, const char *rest)
{
        char path[256];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s.service", dir, name);
        f = fopen(path, "w");
        fprintf(f, "[D-BUS Service]\nName=%s\n%s", name, rest);
        fclose(f);
}

static void configure(const char *helper)
{
        struct service_table *table;

        ck_assert_int_eq(service_table_new(&table, NULL, NULL), 0);
        ck_assert_int_eq(service_table_add_dir(table, dir, 0), 0);
        ck_assert_int_eq(service_table_scan(table), 0);
        ck_assert_int_eq(activator_configure(bus.activator, table, helper), 0);
}

static void allow_all(void)
{
        static const struct policy_rule all[] = {
                { .kind = POLICY_SEND, .allow = true, .max_fds = POLICY_MAX_FDS },
                { .kind = POLICY_RECEIVE, .allow = true, .max_fds = POLICY_MAX_FDS },
        };
        struct policy *policy;

        ck_assert_int_eq(policy_new(&policy), 0);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                ck_assert_int_eq(policy_append(policy, &all[i]), 0);
        ck_assert_int_eq(policy_seal(policy), 0);
        ck_assert_int_eq(bus_set_policy(&bus, policy), 0);
        policy_unref(policy);
}

static void setup(void)
{
        memset(&kept, 0, sizeof(kept));
        n_closed = tried = 0;
        conditions = false;
        fault_after(0);
        strcpy(dir, "/tmp/test-activate.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        write_service(A, "Exec=/bin/a 'one two'\nUser=root\n");
        write_service(B, "Exec=/bin/a 'one two'\n");
        write_service(U, "Exec=/bin/false\nSystemdService=u.service\n");
        setenv("ACT_INHERITED", "yes", 1);
        setenv("NOTIFY_SOCKET", "/nowhere", 1);
        ck_assert_int_eq(bus_init(&bus, 1, &local), 0);
        ck_assert_int_eq(turn_init(&turn, &bus, 0), 0);
        ck_assert_int_eq(poller_init(&poller), 0);
        bus.keeper = &keeper;
        bus.address = strdup("unix:path=/x,guid=1");
        bus.type = strdup("session");
        allow_all();
        ck_assert_int_eq(activator_new(&bus.activator, &bus, &poller), 0);
        configure(NULL);
        turn_write(&turn);
        join(&a, 11);
        join(&b, 12);
        join(&s, 13);
}

static void teardown(void)
{
        char command[64];

        turn_write(&turn);
        activator_stop(bus.activator, &turn);
        client_disconnect(&turn, &a);
        client_disconnect(&turn, &b);
        client_disconnect(&turn, &s);
        turn_commit(&turn);
        turn_release(&turn);
        turn_drain(&turn);
        client_unref(&a);
        client_unref(&b);
        client_unref(&s);
        turn_deinit(&turn);
        bus_deinit(&bus);
        poller_deinit(&poller);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        ck_assert_int_eq(system(command), 0);
}

static struct envelope *make(struct client *from, const char *destination, const char *member,
                             uint8_t flags)
{
        const struct envelope_sender sender = {
                .id = from->peer.id,
                .name = from->name,
                .name_len = from->name_len,
                .account = from->peer.account,
        };
        static uint32_t serial;
        struct envelope *e;
        struct writer w;
        struct header h;
        uint8_t *bytes;
        size_t n;

        writer_init(&w, HEADER_CALL, flags, ++serial);
        writer_field(&w, FIELD_PATH, "/o");
        writer_field(&w, FIELD_MEMBER, member);
        writer_field(&w, FIELD_DESTINATION, destination);
        writer_body(&w, "");
        ck_assert_int_eq(writer_finish(&w, &bytes, &n, &h), 0);
        ck_assert_int_eq(envelope_copy(&e, &h, bytes, &sender), 0);
        free(bytes);
        return e;
}

static void call(struct client *from, const char *destination, const char *member)
{
        struct envelope *e = make(from, destination, member, 0);

        client_send(&turn, from, e);
        turn_write(&turn);
        turn_commit(&turn);
        envelope_unref(e);
}

static void start(struct client *from, const char *name)
{
        struct envelope *e = make(from, BUS_NAME, "StartServiceByName", 0);

        activation_start(&turn, from, e, name);
        turn_commit(&turn);
        envelope_unref(e);
}

static void own(struct client *client, const char *name)
{
        struct name_change change = NAME_CHANGE_NULL;
        enum name_result result;

        ck_assert_int_eq(name_request(&change, &result, &bus.names, &client->names, name,
                                      strlen(name), 0), 0);
        bus_announce(&turn, &change);
        name_change_deinit(&change);
        turn_commit(&turn);
}

static void ended(size_t i, enum launch_end how, int number)
{
        struct activation *activation = steal(&kept.activation[i]);

        ck_assert_ptr_nonnull(activation);
        activation_ended(&turn, activation, how, number);
        turn_commit(&turn);
}

static void describe(const struct envelope *e)
{
        const struct header *h = &e->header;
        const char *name = envelope_text(e, h->error_name);
        uint32_t result;

        last_serial = h->serial;
        if (h->type == HEADER_CALL || h->type == HEADER_SIGNAL)
                strcat(text, envelope_text(e, h->member));
        else if (h->type == HEADER_ERROR)
                strcat(text, strncmp(name, "org.freedesktop.DBus.Error.", 27) ? name : name + 27);
        else
                sprintf(text + strlen(text), "%u",
                        memcpy(&result, envelope_body(e), 4) ? result : 0);
        strcat(text, " ");
}

/* Everything in an inbox: members, errors, and results of StartServiceByName(). */
static const char *heard(struct client *client)
{
        CDS_LIST_HEAD(entries);
        struct inbox_entry *entry;

        text[0] = 0;
        peer_receive(&client->peer, &entries, 128);
        cds_list_for_each_entry(entry, &entries, link)
                describe(container_of(entry->message, struct envelope, message));
        peer_release_all(&client->peer, &entries);
        return text;
}

/* --- starts ---------------------------------------------------------------------------------- */

START_TEST(however_many_ask_one_program_starts)
{
        call(&a, A, "One");
        call(&b, A, "Two");
        start(&a, A);
        ck_assert_uint_eq(kept.n, 1);
        ck_assert_str_eq(kept.command, "/bin/a|one two");
        ck_assert_str_eq(heard(&a), "");
}
END_TEST

START_TEST(messages_are_delivered_in_order_behind_NameAcquired)
{
        call(&a, A, "One");
        call(&b, A, "Two");
        start(&b, A);
        call(&a, A, "Three");
        own(&s, A);
        ck_assert_str_eq(heard(&s), "NameAcquired One Two Three ");
        ck_assert_str_eq(heard(&b), "1 ");
        ck_assert_str_eq(heard(&a), "");
        ck_assert_uint_eq(kept.n_left, 1);
        ck_assert_uint_eq(kept.n_killed, 0);
}
END_TEST

START_TEST(a_call_delivered_late_has_a_reply_slot)
{
        struct envelope *e = make(&a, A, "One", 0);

        client_send(&turn, &a, e);
        ck_assert(!reply_is_expected(&a, &s, e->header.serial));
        own(&s, A);
        ck_assert(reply_is_expected(&a, &s, e->header.serial));
        envelope_unref(e);
}
END_TEST

START_TEST(what_is_no_call_for_a_service_starts_none)
{
        struct envelope *e = make(&a, A, "One", HEADER_NO_AUTO_START);

        client_send(&turn, &a, e);
        turn_commit(&turn);
        envelope_unref(e);
        ck_assert_str_eq(heard(&a), "NameHasNoOwner ");
        call(&a, "org.example.None", "One");
        ck_assert_str_eq(heard(&a), "ServiceUnknown ");
        call(&a, ":1.99", "One");
        ck_assert_str_eq(heard(&a), "ServiceUnknown ");
        start(&a, "org.example.None");
        ck_assert_str_eq(heard(&a), "ServiceUnknown ");
        ck_assert_uint_eq(kept.n, 0);
}
END_TEST

START_TEST(a_running_service_is_not_started)
{
        own(&s, A);
        start(&a, A);
        ck_assert_str_eq(heard(&a), "2 ");
        ck_assert_uint_eq(kept.n, 0);
}
END_TEST

START_TEST(a_service_gets_the_bus_in_its_environment)
{
        char *update[] = { (char *)"ACT_NEW=x=y", (char *)"DBUS_STARTER_ADDRESS=lie", NULL };

        ck_assert_int_eq(activator_update_environment(bus.activator, &turn, update), 0);
        start(&a, A);
        ck_assert_ptr_nonnull(strstr(kept.environment, "ACT_INHERITED=yes|"));
        ck_assert_ptr_nonnull(strstr(kept.environment, "ACT_NEW=x=y|"));
        ck_assert_ptr_nonnull(strstr(kept.environment, "DBUS_STARTER_ADDRESS=unix:path=/x,guid=1|"));
        ck_assert_ptr_nonnull(strstr(kept.environment, "DBUS_STARTER_BUS_TYPE=session|"));
        ck_assert_ptr_nonnull(strstr(kept.environment, "DBUS_SESSION_BUS_ADDRESS=unix:path=/x,guid=1|"));
}
END_TEST

START_TEST(a_helper_gets_the_name_behind_its_own_words)
{
        configure("/bin/helper 'x y'");
        start(&a, A);
        ck_assert_str_eq(kept.command, "/bin/helper|x y|" A);
        start(&a, B);
        ck_assert_str_eq(heard(&a), "Spawn.FileInvalid ");
        configure("'");
        start(&b, U);
        ck_assert_str_eq(heard(&b), "Spawn.FileInvalid ");
        ended(0, LAUNCH_EXITED, 6);
        ck_assert_str_eq(heard(&a), "Spawn.ServiceNotFound ");
}
END_TEST

/* --- ends ------------------------------------------------------------------------------------ */

static const struct {
        enum launch_end how;
        int number;
        const char *error;
} ends[] = {
        { LAUNCH_FAILED, ENOENT, "Spawn.ExecFailed " },
        { LAUNCH_EXITED, 1, "Spawn.ChildExited " },
        { LAUNCH_EXITED, 6, "Spawn.ChildExited " },
        { LAUNCH_SIGNALED, 9, "Spawn.ChildSignaled " },
        { LAUNCH_EXITED, 0, "" },
};

START_TEST(each_end_of_a_program_has_its_error)
{
        call(&a, A, "One");
        start(&b, A);
        ended(0, ends[_i].how, ends[_i].number);
        ck_assert_str_eq(heard(&a), ends[_i].error);
        ck_assert_str_eq(heard(&b), ends[_i].error);
        ck_assert_uint_eq(kept.n_killed + kept.n_left, 0);
}
END_TEST

START_TEST(a_program_that_ends_well_may_still_bring_the_name)
{
        call(&a, A, "One");
        ended(0, LAUNCH_EXITED, 0);
        call(&a, A, "Two");
        ck_assert_uint_eq(kept.n, 1);
        own(&s, A);
        ck_assert_str_eq(heard(&s), "NameAcquired One Two ");
}
END_TEST

START_TEST(names_with_the_same_program_fail_together)
{
        start(&a, A);
        start(&b, B);
        ck_assert_uint_eq(kept.n, 2);
        ended(0, LAUNCH_EXITED, 3);
        ck_assert_str_eq(heard(&a), "Spawn.ChildExited ");
        ck_assert_str_eq(heard(&b), "Spawn.ChildExited ");
        ck_assert_uint_eq(kept.n_left, 1);
}
END_TEST

START_TEST(after_a_failure_it_can_be_started_again)
{
        start(&a, A);
        ended(0, LAUNCH_EXITED, 3);
        start(&a, A);
        ck_assert_uint_eq(kept.n, 2);
        own(&s, A);
        ck_assert_str_eq(heard(&a), "Spawn.ChildExited 1 ");
}
END_TEST

START_TEST(no_process_is_ForkFailed)
{
        kept.refuse = -EAGAIN;
        start(&a, A);
        ck_assert_str_eq(heard(&a), "Spawn.ForkFailed ");
}
END_TEST

START_TEST(what_takes_too_long_is_killed)
{
        bus.limits.service_start_timeout = 20;
        call(&a, A, "One");
        turn_release(&turn);
        for (int i = 0; i < 100 && !kept.n_killed; i++)
                ck_assert_int_ge(poller_wait(&poller, &turn, 10000), 0);
        turn_write(&turn);
        ck_assert_uint_eq(kept.n_killed, 1);
        ck_assert_str_eq(heard(&a), "TimedOut ");
}
END_TEST

START_TEST(all_who_wait_are_told_when_the_bus_ends)
{
        call(&a, A, "One");
        start(&b, A);
        activator_stop(bus.activator, &turn);
        turn_commit(&turn);
        ck_assert_str_eq(heard(&a), "Failed ");
        ck_assert_str_eq(heard(&b), "Failed ");
        start(&a, A);
        ck_assert_str_eq(heard(&a), "ServiceUnknown ");
        ck_assert_uint_eq(kept.n_left, 1);
}
END_TEST

/* --- who waits ------------------------------------------------------------------------------- */

START_TEST(who_goes_waits_for_nothing)
{
        bus.limits.max_pending_service_starts = 2;
        call(&a, A, "One");
        call(&b, A, "Two");
        client_disconnect(&turn, &a);
        call(&b, A, "Three");
        own(&s, A);
        ck_assert_str_eq(heard(&s), "NameAcquired Two Three ");
}
END_TEST

START_TEST(a_monitor_waits_for_nothing)
{
        call(&a, A, "One");
        client_monitor(&turn, &a);
        turn_commit(&turn);
        own(&s, A);
        ck_assert_str_eq(heard(&s), "NameAcquired ");
}
END_TEST

START_TEST(only_so_many_may_wait)
{
        bus.limits.max_pending_service_starts = 2;
        call(&a, A, "One");
        start(&a, B);
        call(&b, A, "Two");
        ck_assert_str_eq(heard(&b), "LimitsExceeded ");
        ended(1, LAUNCH_EXITED, 1); /* takes the other along */
        call(&b, A, "Two");
        ck_assert_str_eq(heard(&b), "");
}
END_TEST

START_TEST(messages_that_wait_may_take_so_many_bytes)
{
        bus.limits.max_outgoing_bytes = 16384;
        configure(NULL);
        for (int i = 0; i < 64; i++)
                call(&a, A, "Again");
        ck_assert_ptr_nonnull(strstr(heard(&a), "LimitsExceeded "));
        ended(0, LAUNCH_EXITED, 1);
        heard(&a);
        call(&a, A, "Again");
        ck_assert_str_eq(heard(&a), "");
}
END_TEST

/* --- systemd --------------------------------------------------------------------------------- */

START_TEST(systemd_is_asked_when_it_is_there)
{
        bus.systemd_activation = true;
        start(&a, U);
        call(&b, SYSTEMD_NAME, "Early");
        ck_assert_uint_eq(kept.n, 0);
        own(&s, SYSTEMD_NAME);
        ck_assert_str_eq(heard(&s), "NameAcquired Early ActivationRequest ");
        call(&b, U, "One");
        ck_assert_str_eq(heard(&s), "");
        activation_unit_failed(&turn, "other.service", "x.y.No", "no");
        activation_unit_failed(&turn, "u.service", "x.y.No", "no");
        turn_commit(&turn);
        ck_assert_str_eq(heard(&a), "x.y.No ");
        ck_assert_str_eq(heard(&b), "x.y.No ");
        start(&a, A);
        ck_assert_uint_eq(kept.n, 1);
}
END_TEST

START_TEST(systemd_hears_of_the_environment_once_it_is_there)
{
        char *one[] = { (char *)"X=1", NULL }, *two[] = { (char *)"X=2", NULL };

        bus.systemd_activation = true;
        ck_assert_int_eq(activator_update_environment(bus.activator, &turn, one), 0);
        ck_assert_int_eq(activator_update_environment(bus.activator, &turn, two), 0);
        own(&s, SYSTEMD_NAME);
        ck_assert_str_eq(heard(&s), "NameAcquired SetEnvironment ");
        ck_assert_int_eq(activator_update_environment(bus.activator, &turn, one), 0);
        turn_commit(&turn);
        ck_assert_str_eq(heard(&s), "SetEnvironment ");
}
END_TEST

/* A real systemd, process 1, says something of its own: to the bus, or to all. */
static void systemd_says(struct writer *w)
{
        const struct envelope_sender sender = {
                .id = s.peer.id,
                .name = s.name,
                .name_len = s.name_len,
                .account = s.peer.account,
        };
        struct envelope *e;
        struct header h;
        uint8_t *bytes;
        size_t n;

        ck_assert_int_eq(writer_finish(w, &bytes, &n, &h), 0);
        ck_assert_int_eq(envelope_copy(&e, &h, bytes, &sender), 0);
        client_send(&turn, &s, e);
        turn_write(&turn);
        turn_commit(&turn);
        envelope_unref(e);
        free(bytes);
}

static void systemd_answers(struct writer *w, const char *signature)
{
        writer_init(w, HEADER_RETURN, HEADER_NO_REPLY_EXPECTED, 1000);
        writer_field(w, FIELD_DESTINATION, BUS_NAME);
        writer_field_u32(w, FIELD_REPLY_SERIAL, last_serial);
        writer_body(w, signature);
}

static void property_begins(struct writer *w, const char *name, const char *type)
{
        writer_open(w, '{', NULL);
        writer_string(w, name);
        writer_open(w, 'v', type);
}

static void property_ends(struct writer *w)
{
        writer_close(w);
        writer_close(w);
}

#define UNIT_OBJECT "/org/freedesktop/systemd1/unit/real_2dunit_2eservice"

static void job_is_removed(const char *unit, const char *result)
{
        struct writer w;

        writer_init(&w, HEADER_SIGNAL, 0, 1001);
        writer_field(&w, FIELD_PATH, "/org/freedesktop/systemd1");
        writer_field(&w, FIELD_INTERFACE, "org.freedesktop.systemd1.Manager");
        writer_field(&w, FIELD_MEMBER, "JobRemoved");
        writer_body(&w, "uoss");
        writer_u32(&w, 7);
        writer_path(&w, "/org/freedesktop/systemd1/job/7");
        writer_string(&w, unit);
        writer_string(&w, result);
        systemd_says(&w);
}

static void write_state(struct writer *w, const char *active, uint32_t job, bool condition,
                        bool asserted)
{
        writer_open(w, 'a', NULL);
        property_begins(w, "Id", "s");
        writer_string(w, "real-unit.service");
        property_ends(w);
        property_begins(w, "ActiveState", "s");
        writer_string(w, active);
        property_ends(w);
        property_begins(w, "ConditionResult", "b");
        writer_bool(w, condition);
        property_ends(w);
        property_begins(w, "ConditionTimestampMonotonic", "t");
        writer_u64(w, tried);
        property_ends(w);
        property_begins(w, "AssertResult", "b");
        writer_bool(w, asserted);
        property_ends(w);
        property_begins(w, "AssertTimestampMonotonic", "t");
        writer_u64(w, tried);
        property_ends(w);
        property_begins(w, "Job", "(uo)");
        writer_open(w, '(', NULL);
        writer_u32(w, job);
        writer_path(w, "/");
        writer_close(w);
        property_ends(w);
        if (conditions) {
                property_begins(w, "Conditions", "a(sbbsi)");
                writer_open(w, 'a', NULL);
                writer_open(w, '(', NULL);
                writer_string(w, "ConditionPathExists");
                writer_bool(w, false);
                writer_bool(w, false);
                writer_string(w, "/nowhere");
                writer_i32(w, tried ? (condition ? 1 : -1) : 0);
                writer_close(w);
                writer_close(w);
                property_ends(w);
        }
        writer_close(w);
}

static void answer_state(const char *active, uint32_t job, bool condition, bool asserted)
{
        struct writer w;

        systemd_answers(&w, "a{sv}");
        write_state(&w, active, job, condition, asserted);
        systemd_says(&w);
}

static void change_begins(struct writer *w, const char *interface)
{
        writer_init(w, HEADER_SIGNAL, 0, 1002);
        writer_field(w, FIELD_PATH, UNIT_OBJECT);
        writer_field(w, FIELD_INTERFACE, "org.freedesktop.DBus.Properties");
        writer_field(w, FIELD_MEMBER, "PropertiesChanged");
        writer_body(w, "sa{sv}as");
        writer_string(w, interface);
}

static void change_ends(struct writer *w)
{
        writer_open(w, 'a', NULL);
        writer_close(w);
        systemd_says(w);
}

static void state_changes(const char *active, uint32_t job, bool condition, bool asserted)
{
        struct writer w;

        change_begins(&w, "org.freedesktop.systemd1.Unit");
        write_state(&w, active, job, condition, asserted);
        change_ends(&w);
}

static void write_exit(struct writer *w, const char *result, int32_t code, int32_t status)
{
        writer_open(w, 'a', NULL);
        property_begins(w, "Result", "s");
        writer_string(w, result);
        property_ends(w);
        property_begins(w, "ExecMainCode", "i");
        writer_i32(w, code);
        property_ends(w);
        property_begins(w, "ExecMainStatus", "i");
        writer_i32(w, status);
        property_ends(w);
        writer_close(w);
}

static void answer_exit(int32_t code, int32_t status)
{
        struct writer w;

        systemd_answers(&w, "a{sv}");
        write_exit(&w, "exit-code", code, status);
        systemd_says(&w);
}

static void exit_changes(const char *result, int32_t code, int32_t status)
{
        struct writer w;

        change_begins(&w, "org.freedesktop.systemd1.Service");
        write_exit(&w, result, code, status);
        change_ends(&w);
}

/* Up to the point where systemd has named the object of the unit, whose id differs. */
static void ask_systemd(void)
{
        struct writer w;

        s.creds->pid = 1;
        bus.systemd_activation = true;
        own(&s, SYSTEMD_NAME);
        ck_assert_str_eq(heard(&s), "NameAcquired Subscribe ");
        start(&a, U);
        ck_assert_str_eq(heard(&s), "ActivationRequest LoadUnit ");
        systemd_answers(&w, "o");
        writer_path(&w, UNIT_OBJECT);
        systemd_says(&w);
        ck_assert_str_eq(heard(&s), "GetAll ");
}

static const struct {
        const char *result, *active;
        uint32_t job;
        bool condition, asserted;
        const char *heard;
} jobs[] = {
        { NULL, "failed", 0, true, true, "Spawn.Failed " },      /* at once */
        { NULL, "failed", 3, true, true, "" },                   /* about to start again */
        { NULL, "inactive", 3, true, true, "" },                 /* about to start */
        { "done", "active", 0, true, true, "" },                 /* the name may yet come */
        { "done", "activating", 0, true, true, "" },             /* after a restart, say */
        { "failed", "failed", 0, true, true, "Spawn.Failed " },
        { "dependency", "inactive", 0, true, true, "Spawn.Failed " },
        { "canceled", "inactive", 4, true, true, "" },           /* replaced by another job */
        { "canceled", "inactive", 0, true, true, "Spawn.Failed " },
        { "done", "inactive", 0, false, true, "Spawn.Failed " }, /* ConditionX= */
        { "done", "inactive", 0, true, true, "" },               /* went to the background */
        { "assert", "inactive", 0, true, false, "Spawn.Failed " },
};

START_TEST(a_unit_that_will_not_come_up_is_seen_at_once)
{
        ask_systemd();
        answer_state("inactive", 7, false, false);
        tried = 1;
        exit_changes("success", 0, 0);
        state_changes("activating", 7, true, true);
        ck_assert_str_eq(heard(&a), "");
        exit_changes("exit-code", CLD_EXITED, 3);
        if (jobs[_i].result) {
                job_is_removed("other.service", "failed");
                job_is_removed("real-unit.service", jobs[_i].result);
        }
        ck_assert_str_eq(heard(&a), "");
        state_changes(jobs[_i].active, jobs[_i].job, jobs[_i].condition, jobs[_i].asserted);
        ck_assert_str_eq(heard(&a), jobs[_i].heard);
        ck_assert_str_eq(heard(&s), ""); /* it is not asked again */
}
END_TEST

START_TEST(a_unit_that_had_its_day_when_systemd_answers_is_seen_too)
{
        ask_systemd();
        tried = 1;
        if (jobs[_i].result)
                job_is_removed("real-unit.service", jobs[_i].result);
        answer_state(jobs[_i].active, jobs[_i].job, jobs[_i].condition, jobs[_i].asserted);
        if (strcmp(jobs[_i].active, "failed") == 0 && !jobs[_i].job) {
                ck_assert_str_eq(heard(&a), "");
                ck_assert_str_eq(heard(&s), "GetAll "); /* of the service */
                answer_exit(CLD_EXITED, 1);
        }
        ck_assert_str_eq(heard(&a), jobs[_i].heard);
}
END_TEST

/* It was skipped, and is over and forgotten before it was asked about. */
START_TEST(a_unit_that_was_skipped_is_told_once_the_condition_is_known)
{
        ask_systemd();
        tried = 1;
        job_is_removed("real-unit.service", "done");
        state_changes("inactive", 0, false, true);
        ck_assert_str_eq(heard(&a), "");
        tried = 0;
        conditions = true;
        answer_state("inactive", 0, false, false);
        ck_assert_str_eq(heard(&a), "Spawn.Failed ");
}
END_TEST

START_TEST(a_unit_that_ends_well_and_is_forgotten_may_have_started_something)
{
        ask_systemd();
        tried = 1;
        job_is_removed("real-unit.service", "done");
        state_changes("inactive", 0, true, true);
        tried = 0; /* a new object, which was never tried */
        answer_state("inactive", 0, false, false);
        ck_assert_str_eq(heard(&a), "");
        own(&b, U);
        ck_assert_str_eq(heard(&a), "1 ");
}
END_TEST

START_TEST(what_systemd_said_before_it_was_asked_is_no_answer)
{
        s.creds->pid = 1;
        bus.systemd_activation = true;
        own(&s, SYSTEMD_NAME);
        start(&a, U);
        state_changes("failed", 0, true, true);
        ck_assert_str_eq(heard(&a), "");
}
END_TEST

START_TEST(a_failed_unit_that_is_no_service_is_told_too)
{
        struct writer w;

        ask_systemd();
        answer_state("failed", 0, true, true);
        ck_assert_str_eq(heard(&s), "GetAll ");
        writer_init(&w, HEADER_ERROR, HEADER_NO_REPLY_EXPECTED, 1000);
        writer_field(&w, FIELD_DESTINATION, BUS_NAME);
        writer_field_u32(&w, FIELD_REPLY_SERIAL, last_serial);
        writer_field(&w, FIELD_ERROR_NAME, "org.freedesktop.DBus.Error.UnknownInterface");
        writer_body(&w, "");
        systemd_says(&w);
        ck_assert_str_eq(heard(&a), "Spawn.Failed ");
}
END_TEST

START_TEST(answers_that_are_none_of_systemds_are_no_answers)
{
        struct writer w;

        ask_systemd();
        systemd_answers(&w, "s"); /* of another type than was asked for */
        writer_string(&w, "failed");
        systemd_says(&w);
        answer_state("failed", 0, true, true); /* a second answer */
        ck_assert_str_eq(heard(&a), "");
        own(&b, U);
        ck_assert_str_eq(heard(&a), "1 ");
        answer_state("failed", 0, true, true);
        job_is_removed("real-unit.service", "failed");
        ck_assert_str_eq(heard(&s), "");
}
END_TEST

/* Up to the point where systemd says that the unit of a service without one has failed. */
static void ask_for_the_template(void)
{
        struct writer w;

        s.creds->pid = 1;
        bus.systemd_activation = true;
        bus.service_unit = "t@.service";
        configure("/bin/helper");
        own(&s, SYSTEMD_NAME);
        ck_assert_str_eq(heard(&s), "NameAcquired Subscribe ");
        start(&a, A);
        ck_assert_str_eq(heard(&s), "ActivationRequest LoadUnit ");
        ck_assert_uint_eq(kept.n, 0);
        systemd_answers(&w, "o");
        writer_path(&w, "/org/freedesktop/systemd1/unit/t_40org_2eexample_2eA_2eservice");
        systemd_says(&w);
        ck_assert_str_eq(heard(&s), "GetAll ");
        answer_state("failed", 0, true, true);
        ck_assert_str_eq(heard(&s), "GetAll ");
        ck_assert_str_eq(heard(&a), "");
}

static const struct {
        int32_t code, status;
        const char *heard;
} exits[] = {
        { CLD_EXITED, 1, "Spawn.ChildExited " },
        { CLD_EXITED, 9, "Spawn.ExecFailed " }, /* as the helper said it */
        { CLD_KILLED, 15, "Spawn.ChildSignaled " },
        { CLD_DUMPED, 11, "Spawn.ChildSignaled " },
        { 0, 0, "Spawn.Failed " }, /* systemd had no process for it */
};

START_TEST(a_service_without_a_unit_fails_by_the_template_as_by_the_helper)
{
        ask_for_the_template();
        answer_exit(exits[_i].code, exits[_i].status);
        ck_assert_str_eq(heard(&a), exits[_i].heard);
}
END_TEST

START_TEST(while_systemd_tells_of_the_exit_the_name_may_come)
{
        ask_for_the_template();
        own(&b, A);
        ck_assert_str_eq(heard(&a), "1 ");
}
END_TEST

START_TEST(the_template_is_for_services_with_a_user_on_a_bus_with_a_helper)
{
        bus.systemd_activation = true;
        bus.service_unit = "t@.service";
        own(&s, SYSTEMD_NAME);
        heard(&s);
        start(&a, A);
        ck_assert_uint_eq(kept.n, 1);
        configure("/bin/helper");
        start(&b, B);
        ck_assert_str_eq(heard(&b), "Spawn.FileInvalid ");
        ck_assert_str_eq(heard(&s), "");
        start(&b, U);
        ck_assert_str_eq(heard(&s), "ActivationRequest ");
        bus.systemd_activation = false;
        ended(0, LAUNCH_EXITED, 1);
        start(&a, A);
        ck_assert_uint_eq(kept.n, 2);
        ck_assert_str_eq(kept.command, "/bin/helper|" A);
}
END_TEST

/* --- out of memory --------------------------------------------------------------------------- */

/* Each allocation of a call for a missing service fails once: it is kept, or refused aloud. */
START_TEST(without_memory_a_call_is_kept_or_refused)
{
        bool whole = false;

        for (size_t n = 1; !whole; n++) {
                struct envelope *e = make(&a, A, "One", 0);

                ck_assert_uint_lt(n, 200);
                n_closed = kept.n = 0;
                fault_after(n);
                client_send(&turn, &a, e);
                turn_commit(&turn);
                whole = fault_is_due();
                fault_after(0);
                envelope_unref(e);
                if (kept.n && kept.activation[0])
                        ended(0, LAUNCH_EXITED, 1);
                ck_assert(*heard(&a) || n_closed);
        }
        ck_assert_str_eq(text, "Spawn.ChildExited ");
}
END_TEST

START_TEST(without_memory_an_update_changes_nothing)
{
        char *update[] = { (char *)"ACT_INHERITED=no", (char *)"ACT_NEW=x", NULL };
        int r = -ENOMEM;

        for (size_t n = 1; r; n++) {
                fault_after(n);
                r = activator_update_environment(bus.activator, &turn, update);
                fault_after(0);
                ck_assert(r == 0 || r == -ENOMEM);
                if (!r)
                        break;
                start(&a, A);
                ck_assert_ptr_nonnull(strstr(kept.environment, "ACT_INHERITED=yes|"));
                ck_assert_ptr_null(strstr(kept.environment, "ACT_NEW"));
                ended(kept.n - 1, LAUNCH_EXITED, 1);
                kept.n = 0;
        }
        start(&a, A);
        ck_assert_ptr_nonnull(strstr(kept.environment, "ACT_INHERITED=no|"));
}
END_TEST

/* --- the environment ------------------------------------------------------------------------- */

START_TEST(an_environment_has_each_name_once)
{
        _cleanup_(environment_deinit) struct environment env = ENVIRONMENT_NULL;

        for (int i = 0; i < 100; i++) {
                char name[16];

                snprintf(name, sizeof(name), "N%d", i);
                ck_assert_int_eq(environment_set(&env, name, "x"), 0);
        }
        ck_assert_int_eq(environment_set(&env, "N7", "y=z"), 0);
        ck_assert_int_eq(environment_set(&env, "N", ""), 0);
        ck_assert_uint_eq(env.n, 101);
        ck_assert_str_eq(env.entry[7], "N7=y=z");
        ck_assert_str_eq(env.entry[100], "N=");
        environment_unset(&env, "N0");
        environment_unset(&env, "N0");
        ck_assert_uint_eq(env.n, 100);
        ck_assert_str_eq(env.entry[0], "N1=x");
        ck_assert_ptr_null(env.entry[100]);
}
END_TEST

START_TEST(what_systemd_says_to_the_bus_is_not_inherited)
{
        _cleanup_(environment_deinit) struct environment env = ENVIRONMENT_NULL;
        bool inherited = false;

        ck_assert_int_eq(environment_inherit(&env), 0);
        for (size_t i = 0; i < env.n; i++) {
                ck_assert_int_ne(strncmp(env.entry[i], "NOTIFY_SOCKET=", 14), 0);
                inherited |= strcmp(env.entry[i], "ACT_INHERITED=yes") == 0;
        }
        ck_assert(inherited);
}
END_TEST

static Suite *activate_suite(void)
{
        Suite *suite = suite_create("activate");
        TCase *tc = tcase_create("activate");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, however_many_ask_one_program_starts);
        tcase_add_test(tc, messages_are_delivered_in_order_behind_NameAcquired);
        tcase_add_test(tc, a_call_delivered_late_has_a_reply_slot);
        tcase_add_test(tc, what_is_no_call_for_a_service_starts_none);
        tcase_add_test(tc, a_running_service_is_not_started);
        tcase_add_test(tc, a_service_gets_the_bus_in_its_environment);
        tcase_add_test(tc, a_helper_gets_the_name_behind_its_own_words);
        tcase_add_loop_test(tc, each_end_of_a_program_has_its_error, 0, ARRAY_SIZE(ends));
        tcase_add_test(tc, a_program_that_ends_well_may_still_bring_the_name);
        tcase_add_test(tc, names_with_the_same_program_fail_together);
        tcase_add_test(tc, after_a_failure_it_can_be_started_again);
        tcase_add_test(tc, no_process_is_ForkFailed);
        tcase_add_test(tc, what_takes_too_long_is_killed);
        tcase_add_test(tc, all_who_wait_are_told_when_the_bus_ends);
        tcase_add_test(tc, who_goes_waits_for_nothing);
        tcase_add_test(tc, a_monitor_waits_for_nothing);
        tcase_add_test(tc, only_so_many_may_wait);
        tcase_add_test(tc, messages_that_wait_may_take_so_many_bytes);
        tcase_add_test(tc, systemd_is_asked_when_it_is_there);
        tcase_add_test(tc, systemd_hears_of_the_environment_once_it_is_there);
        tcase_add_loop_test(tc, a_unit_that_will_not_come_up_is_seen_at_once, 0, ARRAY_SIZE(jobs));
        tcase_add_loop_test(tc, a_unit_that_had_its_day_when_systemd_answers_is_seen_too, 0,
                            ARRAY_SIZE(jobs));
        tcase_add_test(tc, a_unit_that_was_skipped_is_told_once_the_condition_is_known);
        tcase_add_test(tc, a_unit_that_ends_well_and_is_forgotten_may_have_started_something);
        tcase_add_test(tc, what_systemd_said_before_it_was_asked_is_no_answer);
        tcase_add_test(tc, a_failed_unit_that_is_no_service_is_told_too);
        tcase_add_test(tc, answers_that_are_none_of_systemds_are_no_answers);
        tcase_add_loop_test(tc, a_service_without_a_unit_fails_by_the_template_as_by_the_helper, 0,
                            ARRAY_SIZE(exits));
        tcase_add_test(tc, while_systemd_tells_of_the_exit_the_name_may_come);
        tcase_add_test(tc, the_template_is_for_services_with_a_user_on_a_bus_with_a_helper);
        tcase_add_test(tc, without_memory_a_call_is_kept_or_refused);
        tcase_add_test(tc, without_memory_an_update_changes_nothing);
        tcase_add_test(tc, an_environment_has_each_name_once);
        tcase_add_test(tc, what_systemd_says_to_the_bus_is_not_inherited);
        suite_add_tcase(suite, tc);
        return suite;
}

int main(void)
{
        return test_run(activate_suite());
}
