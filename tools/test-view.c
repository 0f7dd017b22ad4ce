/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests of what is read out of a bus's answers, made up ones and those of buses of three makes */

#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/test-run.h"
#include "tools/sandbox.h"
#include "tools/view.h"

static void read_text(struct view *view, const char *text)
{
        json_t *reply = json_loads(text, 0, NULL);

        ck_assert_ptr_nonnull(reply);
        ck_assert_int_eq(view_read(view, reply), 0);
        json_decref(reply);
}

static const char own[] =
        "{\"org.lambus.Version\": 1, \"org.lambus.Program\": \"lambus-daemon 9\","
        " \"ActiveConnections\": 2, \"org.lambus.Total\": {\"messages_in\": 12, \"names\": 3},"
        " \"org.lambus.Configuration\": [\"/etc/x.conf\", 5, 2, \"why\", [\"a\", \"b\"]],"
        " \"org.lambus.Limits\": [[\"max_x\", \":1.1\", 3, 4, \"names\", \"max_x=4, built in\"]],"
        " \"org.lambus.Activations\": [[\"org.x\", 7, 2]],"
        " \"org.lambus.Connections\": [[\":1.1\", \"org.y\", \"77\", 0.75,"
        "   {\"messages_in\": 5, \"queued_bytes\": 6, \"no_such_number\": 1}]],"
        " \"org.lambus.Messages\": [[\"org.y.Do\", 4, 40]]}";

START_TEST(the_own_keys_are_read)
{
        struct view view = VIEW_NULL;
        const struct stats_row *row;
        const char *failure, *limit, *waiting;
        int reloads, now;

        read_text(&view, own);
        ck_assert(view.has_counts);
        ck_assert_uint_eq(view.stats.total.count[COUNT_MESSAGES_IN], 12);
        ck_assert_uint_eq(view.stats.list[STATS_CONNECTIONS].n, 1);
        row = view.stats.list[STATS_CONNECTIONS].rows;
        ck_assert_str_eq(row->name, ":1.1");
        ck_assert_str_eq(row->comm, "org.y");
        ck_assert_uint_eq(row->gauge[GAUGE_QUEUED_BYTES], 6);
        ck_assert_double_eq(row->pressure, 0.75);
        ck_assert_uint_eq(view.stats.n_messages, 1);
        ck_assert_str_eq(view.stats.messages[0].text, "org.y.Do");
        ck_assert_uint_eq(view.stats.messages[0].bytes, 40);
        ck_assert_int_eq(json_unpack(view.about, "{s:{s:s,s:i},s:[{s:s,s:i}],s:[{s:s}]}",
                                     "configuration", "failure", &failure, "reloads", &reloads,
                                     "limits", "limit", &limit, "now", &now, "activations", "name",
                                     &waiting), 0);
        ck_assert_str_eq(failure, "why");
        ck_assert_int_eq(reloads, 2);
        ck_assert_str_eq(limit, "max_x");
        ck_assert_int_eq(now, 3);
        ck_assert_str_eq(waiting, "org.x");
        view_deinit(&view);
}
END_TEST

START_TEST(json_can_be_parsed_and_has_the_same_numbers)
{
        struct view view = VIEW_NULL;
        json_t *all, *again;
        const char *name, *member;
        int total, in, pid;
        char *text;

        read_text(&view, own);
        all = view_json(&view, 10);
        text = json_dumps(all, 0);
        again = json_loads(text, 0, NULL);
        ck_assert_ptr_nonnull(again);
        ck_assert_int_eq(json_unpack(again, "{s:{s:i},s:[{s:s,s:i,s:i}],s:[{s:s}]}", "total",
                                     "messages_in", &total, "peers", "name", &name, "messages_in",
                                     &in, "pid", &pid, "messages", "member", &member), 0);
        ck_assert_int_eq(total, 12);
        ck_assert_str_eq(name, ":1.1");
        ck_assert_int_eq(in, 5);
        ck_assert_int_eq(pid, 77);
        ck_assert_str_eq(member, "org.y.Do");
        json_decref(all);
        json_decref(again);
        free(text);
        view_deinit(&view);
}
END_TEST

/* What a bus could send that is not what it should be. */
static const char *const odd[] = {
        "{}",
        "[]",
        "{\"org.lambus.Version\": 1}",
        ("{\"org.lambus.Version\": 1, \"org.lambus.Connections\": [[], 5, [1, 2, 3, 4, 5]],"
         " \"org.lambus.Messages\": {}, \"org.lambus.Limits\": \"x\", \"org.lambus.Log\": [7],"
         " \"org.lambus.Configuration\": 3, \"org.lambus.Total\": []}"),
        ("{\"org.bus1.DBus.Debug.Stats.PeerAccounting\": [[], 1],"
         " \"org.bus1.DBus.Debug.Stats.UserAccounting\": [[0, [[\"x\", 1, 0], 3]], 4]}"),
};

START_TEST(odd_answers_do_no_harm)
{
        struct view view = VIEW_NULL;
        json_t *all;

        read_text(&view, odd[_i]);
        all = view_json(&view, 10);
        ck_assert_ptr_nonnull(all);
        json_decref(all);
        view_deinit(&view);
}
END_TEST

START_TEST(quotas_of_a_broker_are_limits_with_the_fullest_first)
{
        struct view view = VIEW_NULL;
        const char *what, *who;
        int now, max;

        read_text(&view, "{\"org.bus1.DBus.Debug.Stats.PeerAccounting\": [],"
                         " \"org.bus1.DBus.Debug.Stats.UserAccounting\":"
                         " [[7, [[\"Bytes\", 90, 100], [\"Fds\", 64, 64], [\"Matches\", 1, 4]], {}]]}");
        ck_assert_uint_eq(json_array_size(json_object_get(view.about, "limits")), 2);
        ck_assert_int_eq(json_unpack(view.about, "{s:[{s:s,s:s,s:i,s:i}]}", "limits", "limit",
                                     &what, "who", &who, "now", &now, "max", &max), 0);
        ck_assert_str_eq(what, "Matches");
        ck_assert_str_eq(who, "uid 7");
        ck_assert_int_eq(now, 3);
        ck_assert_int_eq(max, 4);
        view_deinit(&view);
}
END_TEST

/* --- real ones -------------------------------------------------------------------------------- */

static const struct {
        const char *command;
        bool counts;
} makes[] = {
        { "shim/daemon/lambus-daemon", true },
        { "dbus-daemon", false },
        { "dbus-broker", false },
};

static sd_bus *connect_to(const char *address)
{
        const char *name;
        sd_bus *bus;

        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_address(bus, address), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, true), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(bus, &name), 0);
        return bus;
}

static const struct stats_row *find(const struct stats_list *list, const char *name)
{
        for (size_t i = 0; i < list->n; i++)
                if (!strcmp(list->rows[i].name, name))
                        return &list->rows[i];
        return NULL;
}

static void check_view(const struct view *view, const char *name, bool counts)
{
        const struct stats_row *row = find(&view->stats.list[STATS_CONNECTIONS], name);
        char number[32];

        ck_assert_ptr_nonnull(row);
        ck_assert_str_eq(row->comm, "org.example.Watched");
        ck_assert_uint_eq(row->gauge[GAUGE_MATCH_RULES], 2);
        ck_assert_uint_eq(row->gauge[GAUGE_NAMES], 2);
        if (counts)
                ck_assert_uint_eq(row->count[COUNT_MESSAGES_IN], 4); /* Hello, a name, two rules */
        snprintf(number, sizeof(number), "%d", (int)getpid());
        ck_assert_str_eq(row->owner, number);
        row = find(&view->stats.list[STATS_PROCESSES], number);
        ck_assert_ptr_nonnull(row);
        ck_assert_uint_eq(row->gauge[GAUGE_CONNECTIONS], 2);
        ck_assert(*row->comm); /* which under valgrind is its name */
        snprintf(number, sizeof(number), "%u", (unsigned int)getuid());
        row = find(&view->stats.list[STATS_USERS], number);
        ck_assert_ptr_nonnull(row);
        ck_assert_uint_ge(row->gauge[GAUGE_CONNECTIONS], 2);
        ck_assert_uint_eq(view->has_counts, counts);
        ck_assert_uint_eq(strlen(json_string_value(json_object_get(view->about, "id"))), 32);
}

START_TEST(a_bus_of_any_make_tells_who_has_what)
{
        const char *command = makes[_i].command, *name;
        struct view view = VIEW_NULL;
        struct sandbox *sandbox;
        sd_bus *watched, *bus;
        char which[256];

        snprintf(which, sizeof(which), "command -v %s > /dev/null", command);
        signal(SIGTERM, SIG_DFL); /* Check's handler would end us along with a sandbox */
        if (system(which) || sandbox_start(&sandbox, command, NULL, NULL))
                return; /* there is none here */
        watched = connect_to(sandbox->address);
        bus = connect_to(sandbox->address);
        ck_assert_int_ge(sd_bus_get_unique_name(watched, &name), 0);
        ck_assert_int_ge(sd_bus_request_name(watched, "org.example.Watched", 0), 0);
        ck_assert_int_ge(sd_bus_add_match(watched, NULL, "path='/a'", NULL, NULL), 0);
        ck_assert_int_ge(sd_bus_add_match(watched, NULL, "path='/b'", NULL, NULL), 0);
        ck_assert_int_eq(view_take(&view, bus), 0);
        check_view(&view, name, makes[_i].counts);
        view_deinit(&view);
        sd_bus_close_unref(watched);
        sd_bus_close_unref(bus);
        sandbox_free(sandbox);
}
END_TEST

START_TEST(a_bus_that_has_gone_is_an_error)
{
        struct view view = VIEW_NULL;
        struct sandbox *sandbox;
        sd_bus *bus;

        ck_assert_int_eq(sandbox_start(&sandbox, makes[0].command, NULL, NULL), 0);
        bus = connect_to(sandbox->address);
        sandbox_free(sandbox);
        ck_assert_int_lt(view_take(&view, bus), 0);
        view_deinit(&view);
        sd_bus_close_unref(bus);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("view");
        TCase *t = tcase_create("view");

        suite_add_tcase(suite, t);
        tcase_set_timeout(t, 30);
        tcase_add_test(t, the_own_keys_are_read);
        tcase_add_test(t, json_can_be_parsed_and_has_the_same_numbers);
        tcase_add_loop_test(t, odd_answers_do_no_harm, 0, ARRAY_SIZE(odd));
        tcase_add_test(t, quotas_of_a_broker_are_limits_with_the_fullest_first);
        tcase_add_loop_test(t, a_bus_of_any_make_tells_who_has_what, 0, ARRAY_SIZE(makes));
        tcase_add_test(t, a_bus_that_has_gone_is_an_error);
        return test_run(suite);
}
