/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#include "bus-core/util/error.h"
#include "shim/bus/poller.h"
#include "tools/figure.h"
#include "tools/tojson.h"
#include "tools/view.h"

#define OUR    "org.lambus."
#define BROKER "org.bus1.DBus.Debug.Stats."

#define DRIVER "org.freedesktop.DBus", "/org/freedesktop/DBus"

static const char *const kind_names[STATS_N] = {
        [STATS_USERS] = "user",
        [STATS_UNITS] = "unit",
        [STATS_PROCESSES] = "process",
        [STATS_CONNECTIONS] = "connection",
};

const char *view_kind_name(enum stats_kind kind)
{
        return kind_names[kind];
}

const char *view_user(const char *uid, char *buf, size_t size)
{
        const struct passwd *user = NULL;

        if (*uid >= '0' && *uid <= '9')
                user = getpwuid(strtoul(uid, NULL, 10));
        if (!user)
                return uid;
        snprintf(buf, size, "%s", user->pw_name);
        return buf;
}

/* --- what an answer says ---------------------------------------------------------------------- */

static const char *text_of(const json_t *value)
{
        const char *text = json_string_value(value);

        return text ? text : "";
}

static void about(struct view *view, const char *key, json_t *value)
{
        if (value)
                json_object_set_new(view->about, key, value);
}

static void missing(struct view *view, const char *text)
{
        json_array_append_new(view->missing, json_string(text));
}

/* Structs, which are arrays here, become objects; @names, one for each member, end in NULL. */
static json_t *named(const json_t *structs, const char *const *names)
{
        json_t *all = json_array(), *row, *object;
        size_t i;

        json_array_foreach((json_t *)structs, i, row) {
                object = json_object();
                for (size_t j = 0; names[j]; j++)
                        json_object_set(object, names[j], json_array_get(row, j));
                json_array_append_new(all, object);
        }
        return all;
}

static int make_rows(struct stats_list *list, size_t n)
{
        list->rows = calloc(n + 1, sizeof(*list->rows));
        if (!list->rows)
                return error_origin(-ENOMEM);
        list->room = n;
        return 0;
}

static void read_numbers(struct stats_row *row, const json_t *numbers)
{
        for (int i = 0; i < COUNT_N; i++)
                row->count[i] = json_integer_value(json_object_get(numbers, count_name(i)));
        for (int i = 0; i < GAUGE_N; i++)
                row->gauge[i] = json_integer_value(json_object_get(numbers, gauge_name(i)));
}

static int read_rows(struct stats_list *list, const json_t *rows)
{
        json_t *from;
        size_t i;
        int r;

        r = make_rows(list, json_array_size(rows));
        if (r)
                return error_fold(r);
        json_array_foreach((json_t *)rows, i, from) {
                struct stats_row *row = &list->rows[list->n++];

                snprintf(row->name, sizeof(row->name), "%s", text_of(json_array_get(from, 0)));
                snprintf(row->comm, sizeof(row->comm), "%s", text_of(json_array_get(from, 1)));
                snprintf(row->owner, sizeof(row->owner), "%s", text_of(json_array_get(from, 2)));
                row->pressure = json_number_value(json_array_get(from, 3));
                read_numbers(row, json_array_get(from, 4));
        }
        return 0;
}

static int read_messages(struct stats *stats, const json_t *rows)
{
        json_t *from;
        size_t i;

        stats->messages = calloc(json_array_size(rows) + 1, sizeof(*stats->messages));
        if (!stats->messages)
                return error_origin(-ENOMEM);
        json_array_foreach((json_t *)rows, i, from) {
                struct stats_message *m = &stats->messages[stats->n_messages++];

                snprintf(m->text, sizeof(m->text), "%s", text_of(json_array_get(from, 0)));
                m->messages = json_integer_value(json_array_get(from, 1));
                m->bytes = json_integer_value(json_array_get(from, 2));
        }
        return 0;
}

static void read_configuration(struct view *view, const json_t *value)
{
        static const char *const names[] = { "file", "age_usec", "reloads", "failure", "remarks" };
        json_t *object;

        if (!value)
                return;
        object = json_object();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                json_object_set(object, names[i], json_array_get(value, i));
        about(view, "configuration", object);
}

/* What lambus tells. */
static int read_own(struct view *view, const json_t *reply)
{
        static const char *const limit_names[] = { "limit", "who",  "now", "max",
                                                   "unit",  "text", NULL };
        static const char *const activation_names[] = { "name", "age_usec", "waiters", NULL };
        static const char *const log_names[] = { "age_usec", "priority", "text", NULL };
        static const char *const keys[STATS_N] = { OUR "Users", OUR "Units", OUR "Processes",
                                                   OUR "Connections" };
        const json_t *log = json_object_get(reply, OUR "Log");
        int r;

        view->has_counts = view->has_units = true;
        read_configuration(view, json_object_get(reply, OUR "Configuration"));
        about(view, "limits", named(json_object_get(reply, OUR "Limits"), limit_names));
        about(view, "activations",
              named(json_object_get(reply, OUR "Activations"), activation_names));
        if (log)
                about(view, "log", named(log, log_names));
        else
                missing(view, "its log: only root and the bus's own user are told");
        read_numbers(&view->stats.total, json_object_get(reply, OUR "Total"));
        for (int i = 0; i < STATS_N; i++) {
                r = read_rows(&view->stats.list[i], json_object_get(reply, keys[i]));
                if (r)
                        return error_fold(r);
        }
        return error_fold(read_messages(&view->stats, json_object_get(reply, OUR "Messages")));
}

/* A number as another bus calls it. */
struct named_gauge {
        const char *key;
        enum gauge gauge;
};

static void take_gauges(struct stats_row *row, const json_t *from, const struct named_gauge *gauges,
                        size_t n)
{
        for (size_t i = 0; i < n; i++)
                row->gauge[gauges[i].gauge] =
                        json_integer_value(json_object_get(from, gauges[i].key));
}

/* dbus-broker's connections: (name, credentials, numbers) */
static int read_broker_peers(struct view *view, const json_t *peers)
{
        static const struct named_gauge gauges[] = {
                { "OutgoingBytes", GAUGE_QUEUED_BYTES },  { "OutgoingFds", GAUGE_QUEUED_FDS },
                { "IncomingBytes", GAUGE_PARTIAL_BYTES }, { "IncomingFds", GAUGE_PARTIAL_FDS },
                { "Matches", GAUGE_MATCH_RULES },         { "ReplyObjects", GAUGE_CALLS_WAITING },
        };
        struct stats_list *list = &view->stats.list[STATS_CONNECTIONS];
        json_t *from;
        size_t i;
        int r;

        r = make_rows(list, json_array_size(peers));
        if (r)
                return error_fold(r);
        json_array_foreach((json_t *)peers, i, from) {
                const json_t *creds = json_array_get(from, 1), *numbers = json_array_get(from, 2);
                struct stats_row *row = &list->rows[list->n++];

                snprintf(row->name, sizeof(row->name), "%s", text_of(json_array_get(from, 0)));
                snprintf(row->owner, sizeof(row->owner), "%" JSON_INTEGER_FORMAT,
                         json_integer_value(json_object_get(creds, "ProcessID")));
                row->gauge[GAUGE_CONNECTIONS] = 1;
                row->gauge[GAUGE_NAMES] =
                        1 + json_integer_value(json_object_get(numbers, "NameObjects"));
                take_gauges(row, numbers, gauges, ARRAY_SIZE(gauges));
        }
        return 0;
}

static double fullness(const json_t *limit)
{
        double max = json_number_value(json_object_get(limit, "max"));

        return max > 0 ? json_number_value(json_object_get(limit, "now")) / max : 0;
}

static int by_fullness(const void *a, const void *b)
{
        double x = fullness(*(json_t *const *)a), y = fullness(*(json_t *const *)b);

        return (x < y) - (x > y);
}

static json_t *sorted_limits(json_t *limits)
{
        json_t *all[64], *sorted = json_array();
        size_t n = MIN(json_array_size(limits), ARRAY_SIZE(all));

        for (size_t i = 0; i < n; i++)
                all[i] = json_array_get(limits, i);
        qsort(all, n, sizeof(all[0]), by_fullness);
        for (size_t i = 0; i < n; i++)
                json_array_append(sorted, all[i]);
        json_decref(limits);
        return sorted;
}

/* dbus-broker's quotas: (uid, [(what, left, of)], ...) */
static json_t *broker_limits(const json_t *users)
{
        json_t *limits = json_array(), *user, *slot, *limit;
        char who[64];
        size_t i, j;

        json_array_foreach((json_t *)users, i, user) {
                snprintf(who, sizeof(who), "uid %" JSON_INTEGER_FORMAT,
                         json_integer_value(json_array_get(user, 0)));
                json_array_foreach(json_array_get(user, 1), j, slot) {
                        json_int_t left = json_integer_value(json_array_get(slot, 1));
                        json_int_t max = json_integer_value(json_array_get(slot, 2));

                        if (left >= max)
                                continue;
                        limit = json_pack("{s:s,s:s,s:I,s:I,s:s,s:s}", "limit",
                                          text_of(json_array_get(slot, 0)), "who", who, "now",
                                          max - left, "max", max, "unit", "", "text", "");
                        json_array_append_new(limits, limit);
                }
        }
        return sorted_limits(limits);
}

/* What all buses tell, as numbers of the whole bus. */
static void read_common(struct view *view, const json_t *reply)
{
        static const struct {
                const char *key, *name;
        } keys[] = {
                { "ActiveConnections", "connections" },
                { "IncompleteConnections", "incomplete_connections" },
                { "BusNames", "names" },
                { "PeakBusNames", "peak_names" },
                { "MatchRules", "match_rules" },
                { "PeakMatchRules", "peak_match_rules" },
                { OUR "Program", "program" },
                { OUR "ProcessID", "pid" },
                { OUR "Type", "type" },
                { OUR "Address", "address" },
                { OUR "Uptime", "uptime_usec" },
                { OUR "Monitors", "monitors" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                about(view, keys[i].name, json_incref(json_object_get(reply, keys[i].key)));
}

static int view_init(struct view *view)
{
        if (!view->about)
                view->about = json_object();
        if (!view->missing)
                view->missing = json_array();
        return view->about && view->missing ? 0 : error_origin(-ENOMEM);
}

int view_read(struct view *view, const json_t *reply)
{
        int r;

        r = view_init(view);
        if (r)
                return error_fold(r);
        view->has_stats = true;
        read_common(view, reply);
        if (json_object_get(reply, OUR "Version"))
                return error_fold(read_own(view, reply));
        missing(view, "messages and bytes: this bus does not count them");
        missing(view, "its configuration, its log, and what waits for a service: it does not tell");
        if (!json_object_get(reply, BROKER "PeerAccounting")) {
                missing(view, "how near its limits are");
                return 0;
        }
        about(view, "program", json_string("dbus-broker"));
        about(view, "limits", broker_limits(json_object_get(reply, BROKER "UserAccounting")));
        return error_fold(read_broker_peers(view, json_object_get(reply, BROKER "PeerAccounting")));
}

void view_deinit(struct view *view)
{
        json_decref(view->about);
        json_decref(view->missing);
        stats_deinit(&view->stats);
        *view = VIEW_NULL;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* The answer to a call with @argument, unless that is NULL; NULL: there is none, see @error. */
static json_t *ask(sd_bus *bus, sd_bus_error *error, const char *interface, const char *member,
                   const char *argument)
{
        sd_bus_message *reply = NULL;
        json_t *value = NULL;
        int r;

        do { /* a terminal that changes its size interrupts */
                sd_bus_error_free(error);
                r = sd_bus_call_method(bus, DRIVER, interface, member, error, &reply,
                                       argument ? "s" : "", argument);
        } while (r == -EINTR);
        if (r >= 0)
                value = tojson_next(reply);
        sd_bus_message_unref(reply);
        return value;
}

#define IF_BUS   "org.freedesktop.DBus"
#define IF_STATS "org.freedesktop.DBus.Debug.Stats"

static void read_connection_stats(struct stats_row *row, const json_t *reply)
{
        static const struct named_gauge gauges[] = {
                { "MatchRules", GAUGE_MATCH_RULES },
                { "BusNames", GAUGE_NAMES },
                { "OutgoingBytes", GAUGE_QUEUED_BYTES },
                { "PeakOutgoingBytes", GAUGE_PEAK_QUEUED_BYTES },
                { "OutgoingFDs", GAUGE_QUEUED_FDS },
                { "IncomingBytes", GAUGE_PARTIAL_BYTES },
                { "IncomingFDs", GAUGE_PARTIAL_FDS },
        };

        take_gauges(row, reply, gauges, ARRAY_SIZE(gauges));
}

/* What a bus without lists tells of each connection. */
static int ask_connections(struct view *view, sd_bus *bus, const json_t *names, bool has_stats)
{
        struct stats_list *list = &view->stats.list[STATS_CONNECTIONS];
        json_t *name;
        size_t i;
        int r;

        r = make_rows(list, json_array_size(names));
        if (r)
                return error_fold(r);
        json_array_foreach((json_t *)names, i, name) {
                json_auto_t *stats = NULL, *pid = NULL;
                struct stats_row *row;

                if (*text_of(name) != ':')
                        continue;
                row = &list->rows[list->n++];
                snprintf(row->name, sizeof(row->name), "%s", text_of(name));
                row->gauge[GAUGE_CONNECTIONS] = row->gauge[GAUGE_NAMES] = 1;
                pid = ask(bus, NULL, IF_BUS, "GetConnectionUnixProcessID", text_of(name));
                snprintf(row->owner, sizeof(row->owner), "%" JSON_INTEGER_FORMAT,
                         json_integer_value(pid));
                if (has_stats)
                        stats = ask(bus, NULL, IF_STATS, "GetConnectionStats", text_of(name));
                if (stats)
                        read_connection_stats(row, stats);
        }
        return 0;
}

/* A connection is called by a well-known name of its. */
static void ask_names(struct view *view, sd_bus *bus, const json_t *names)
{
        struct stats_list *list = &view->stats.list[STATS_CONNECTIONS];
        json_t *name;
        size_t i;

        json_array_foreach((json_t *)names, i, name) {
                json_auto_t *owner = NULL;

                if (*text_of(name) == ':')
                        continue;
                owner = ask(bus, NULL, IF_BUS, "GetNameOwner", text_of(name));
                for (size_t j = 0; owner && j < list->n; j++)
                        if (!strcmp(list->rows[j].name, text_of(owner)) && !*list->rows[j].comm)
                                snprintf(list->rows[j].comm, sizeof(list->rows[j].comm), "%s",
                                         text_of(name));
        }
}

/* The row of @name in a list that is long enough. */
static struct stats_row *row_of(struct stats_list *list, const char *name)
{
        size_t i = 0;

        while (i < list->n && strcmp(list->rows[i].name, name))
                i++;
        if (i == list->n)
                snprintf(list->rows[list->n++].name, sizeof(list->rows[i].name), "%s", name);
        return &list->rows[i];
}

static void add_gauges(struct stats_row *to, const struct stats_row *row)
{
        for (int i = 0; i < GAUGE_N; i++)
                if (i == GAUGE_PEAK_QUEUED_BYTES)
                        to->gauge[i] = MAX(to->gauge[i], row->gauge[i]);
                else
                        to->gauge[i] += row->gauge[i];
}

static void read_comm(const char *pid, char comm[64])
{
        char path[64];
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
        f = fopen(path, "re");
        if (f && fgets(comm, 64, f))
                comm[strcspn(comm, "\n")] = 0;
        if (f)
                fclose(f);
}

/* Connections belong to processes, these to units, and both to users. */
static int add_up(struct view *view, sd_bus *bus)
{
        struct stats_list *list = view->stats.list;
        const struct stats_list *connections = &list[STATS_CONNECTIONS];
        int r = 0;

        for (int i = 0; !r && i < STATS_CONNECTIONS; i++)
                r = make_rows(&list[i], connections->n);
        for (size_t i = 0; !r && i < connections->n; i++) {
                const struct stats_row *row = &connections->rows[i];
                json_auto_t *uid = ask(bus, NULL, IF_BUS, "GetConnectionUnixUser", row->name);
                char *unit = NULL, user[32] = "?";
                struct stats_row *process;

                if (uid)
                        snprintf(user, sizeof(user), "%" JSON_INTEGER_FORMAT,
                                 json_integer_value(uid));
                if (sd_pid_get_unit(atoi(row->owner), &unit) < 0)
                        unit = NULL;
                process = row_of(&list[STATS_PROCESSES], row->owner);
                read_comm(row->owner, process->comm);
                snprintf(process->owner, sizeof(process->owner), "%s", unit ? unit : "");
                add_gauges(process, row);
                add_gauges(row_of(&list[STATS_UNITS], unit ? unit : "/"), row);
                add_gauges(row_of(&list[STATS_USERS], user), row);
                add_gauges(&view->stats.total, row);
                free(unit);
        }
        view->has_units = true;
        return error_fold(r);
}

static const char *base_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* The program at the other end, if nobody said what it is. */
static void find_program(struct view *view, sd_bus *bus)
{
        struct ucred creds;
        socklen_t n = sizeof(creds);
        char link[64], path[4096], comm[64] = "";
        ssize_t len;

        if (json_object_get(view->about, "program") ||
            getsockopt(sd_bus_get_fd(bus), SOL_SOCKET, SO_PEERCRED, &creds, &n))
                return;
        if (creds.pid > 1) /* a socket that systemd made says 1 */
                about(view, "pid", json_integer(creds.pid));
        snprintf(link, sizeof(link), "/proc/%d/exe", creds.pid);
        len = creds.pid > 1 ? readlink(link, path, sizeof(path) - 1) : -1;
        path[MAX(len, (ssize_t)0)] = 0;
        if (!*path && creds.pid > 1) { /* only its name is for everyone */
                snprintf(link, sizeof(link), "%d", creds.pid);
                read_comm(link, comm);
                snprintf(path, sizeof(path), "%s", comm);
        }
        if (!*path)
                return;
        about(view, "program", json_string(base_of(path)));
}

static void explain(struct view *view, const sd_bus_error *error)
{
        char text[1024];

        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
                missing(view, "statistics: this bus tells them to root only, or to its own user; "
                              "run lambusctl as one of these");
        else if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
                 sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_INTERFACE))
                missing(view, "statistics: this bus was built without them");
        else {
                snprintf(text, sizeof(text), "statistics: %s",
                         error->message ? error->message : "the bus did not answer");
                missing(view, text);
        }
}

int view_take(struct view *view, sd_bus *bus)
{
        json_auto_t *stats = NULL, *names = NULL, *id = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        bool has_rows;
        int r;

        r = view_init(view);
        if (r)
                return error_fold(r);
        stats = ask(bus, &error, IF_STATS, "GetStats", NULL);
        view->at = now_usec();
        r = stats ? view_read(view, stats) : 0;
        if (!stats)
                explain(view, &error);
        sd_bus_error_free(&error);
        if (r)
                return error_fold(r);
        id = ask(bus, NULL, IF_BUS, "GetId", NULL);
        if (!id)
                return -ENOTCONN;
        about(view, "id", json_incref(id));
        find_program(view, bus);
        if (view->has_counts)
                return 0;
        names = ask(bus, NULL, IF_BUS, "ListNames", NULL);
        if (!names)
                return -ENOTCONN;
        has_rows = view->stats.list[STATS_CONNECTIONS].rows;
        r = has_rows ? 0 : ask_connections(view, bus, names, stats);
        if (r)
                return error_fold(r);
        ask_names(view, bus, names);
        return error_fold(add_up(view, bus));
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static void set_numbers(json_t *object, const struct stats_row *row)
{
        for (int i = 0; i < COUNT_N; i++)
                json_object_set_new(object, count_name(i), json_integer(row->count[i]));
        for (int i = 0; i < GAUGE_N; i++)
                json_object_set_new(object, gauge_name(i), json_integer(row->gauge[i]));
}

/* A text of a program on the bus, of which UTF-8 is not known. */
static json_t *foreign(const char *text)
{
        char buf[4 * LEDGER_NAME];

        figure_text(buf, sizeof(buf), text, SIZE_MAX);
        return json_string(buf);
}

json_t *view_row_json(const struct stats_row *row, enum stats_kind kind)
{
        json_t *object = json_object();
        char buf[256];

        json_object_set_new(object, "name", foreign(row->name));
        if (kind == STATS_USERS)
                json_object_set_new(object, "login",
                                    foreign(view_user(row->name, buf, sizeof(buf))));
        if (kind == STATS_PROCESSES) {
                json_object_set_new(object, "command", foreign(row->comm));
                json_object_set_new(object, "unit", foreign(row->owner));
        }
        if (kind == STATS_CONNECTIONS) {
                json_object_set_new(object, "known_as", foreign(row->comm));
                json_object_set_new(object, "pid", json_integer(atoi(row->owner)));
        }
        json_object_set_new(object, "pressure", json_real(row->pressure));
        set_numbers(object, row);
        return object;
}

json_t *view_json(const struct view *view, size_t rows)
{
        static const char *const keys[STATS_N] = { "users", "units", "processes", "peers" };
        const struct stats *stats = &view->stats;
        json_t *all = json_deep_copy(view->about), *list, *total = json_object();

        json_object_set_new(all, "version", json_integer(VIEW_VERSION));
        json_object_set(all, "missing", view->missing);
        set_numbers(total, &stats->total);
        json_object_set_new(all, "total", total);
        for (int i = 0; i < STATS_N; i++) {
                list = json_array();
                for (size_t j = 0; j < MIN(stats->list[i].n, rows); j++)
                        json_array_append_new(list, view_row_json(&stats->list[i].rows[j], i));
                json_object_set_new(all, keys[i], list);
        }
        list = json_array();
        for (size_t i = 0; i < MIN(stats->n_messages, rows); i++)
                json_array_append_new(list, json_pack("{s:o,s:I,s:I}", "member",
                                                      foreign(stats->messages[i].text), "messages",
                                                      (json_int_t)stats->messages[i].messages,
                                                      "bytes",
                                                      (json_int_t)stats->messages[i].bytes));
        json_object_set_new(all, "messages", list);
        return all;
}
