/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Both doors of one bus: this program speaks kdbus by the preloaded library, and D-Bus by sd-bus,
 * to the same lambus-daemon.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/test-run.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"
#include "shim/kdbus/bloom.h"
#include "shim/wire/reader.h"
#include "shim/wire/transcode.h"
#include "shim/wire/writer.h"

static struct conn k;
static sd_bus *d;
static uint64_t d_id;

static void setup(void)
{
        const char *name;
        char address[256];

        ck_assert_int_eq(conn_open(&k, bus_path("user", "bus"), KDBUS_HELLO_ACCEPT_FD, NULL), 0);
        snprintf(address, sizeof(address), "unix:path=%s/dbus", getenv("LAMBUS_KDBUS"));
        ck_assert_int_ge(sd_bus_new(&d), 0);
        ck_assert_int_ge(sd_bus_set_address(d, address), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(d, 1), 0);
        ck_assert_int_ge(sd_bus_negotiate_fds(d, 1), 0);
        ck_assert_int_ge(sd_bus_start(d), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(d, &name), 0);
        d_id = strtoull(name + 3, NULL, 10);
}

static void teardown(void)
{
        d = sd_bus_flush_close_unref(d);
        conn_close(&k);
}

/* --- version 2 messages, by way of the translator that has tests of its own --- */

struct v2 {
        struct gvariant_buf buf;
        struct header h;
};

static void v2_make(struct v2 *v, struct writer *w)
{
        uint8_t *msg;
        size_t n;

        v->buf = GVARIANT_BUF_NULL;
        ck_assert_int_eq(writer_finish(w, &msg, &n, &v->h), 0);
        ck_assert_int_eq(transcode_to_v2(&v->buf, &v->h, msg, msg + v->h.size, TRANSCODE_PARENTHESES,
                                         false), 0);
        free(msg);
}

static void v2_call(struct v2 *v, uint32_t cookie, const char *path, const char *interface,
                    const char *member, const char *arg)
{
        struct writer w;

        writer_init(&w, HEADER_CALL, 0, cookie);
        writer_field(&w, FIELD_PATH, path);
        writer_field(&w, FIELD_INTERFACE, interface);
        writer_field(&w, FIELD_MEMBER, member);
        writer_body(&w, arg ? "s" : "");
        if (arg)
                writer_string(&w, arg);
        v2_make(v, &w);
}

static void v2_return(struct v2 *v, uint32_t cookie, uint32_t reply, const char *arg, uint32_t n_fds)
{
        struct writer w;

        writer_init(&w, HEADER_RETURN, HEADER_NO_REPLY_EXPECTED, cookie);
        writer_field_u32(&w, FIELD_REPLY_SERIAL, reply);
        writer_field_u32(&w, FIELD_UNIX_FDS, n_fds);
        writer_body(&w, n_fds ? "h" : "s");
        if (n_fds)
                writer_fd(&w, 0);
        else
                writer_string(&w, arg);
        v2_make(v, &w);
}

/* a received message, as D-Bus has it; caller frees */
static uint8_t *v2_read(struct kdbus_msg *msg, struct header *h)
{
        struct kdbus_item *part = msg_item(msg, KDBUS_ITEM_PAYLOAD_OFF);
        struct gvariant_buf out = GVARIANT_BUF_NULL;
        struct transcode_info info;

        ck_assert_ptr_nonnull(part);
        ck_assert_int_eq(transcode_from_v2(&out, &info, TRANSCODE_PARENTHESES, (uint8_t *)msg + part->vec.offset,
                                           part->vec.size, NULL, NULL), 0);
        ck_assert_int_eq(header_parse(h, out.data, out.n), 0);
        return out.data;
}

/* the next message with a D-Bus payload; notifications before it are dropped */
static struct kdbus_msg *next_message(void)
{
        struct kdbus_msg *msg;

        for (;;) {
                ck_assert_int_eq(msg_wait(&k, 3000, &msg), 0);
                if (msg->payload_type == KDBUS_PAYLOAD_DBUS)
                        return msg;
                msg_free(&k, msg);
        }
}

static struct kdbus_item *next_notification(uint64_t type, struct kdbus_msg **msgp)
{
        for (;;) {
                ck_assert_int_eq(msg_wait(&k, 3000, msgp), 0);
                if ((*msgp)->items[0].type == type)
                        return &(*msgp)->items[0];
                msg_free(&k, *msgp);
        }
}

static int sync_call(struct v2 *v, uint64_t dst, const char *name, struct kdbus_msg **reply)
{
        struct kdbus_msg_info info;
        struct build b;
        int r;

        msg_init(&b, dst, name, KDBUS_MSG_EXPECT_REPLY, v->h.serial);
        msg_vec(&b, v->buf.data, v->buf.n);
        r = msg_send(&k, &b, KDBUS_SEND_SYNC_REPLY, &info);
        if (!r)
                *reply = (struct kdbus_msg *)(k.pool + info.offset);
        gvariant_buf_deinit(&v->buf);
        return r;
}

static void send_return(const struct kdbus_msg *call, struct v2 *v, const int *fd)
{
        struct build b;

        msg_init(&b, call->src_id, NULL, 0, v->h.serial);
        b.msg.cookie_reply = call->cookie;
        msg_vec(&b, v->buf.data, v->buf.n);
        if (fd)
                build_add(&b, KDBUS_ITEM_FDS, fd, sizeof(*fd));
        ck_assert_int_eq(msg_send(&k, &b, 0, NULL), 0);
        gvariant_buf_deinit(&v->buf);
}

/* waits in sd-bus for what a callback puts into @done */
static void process_until(const bool *done)
{
        for (int i = 0; i < 300 && !*done; i++) {
                int r = sd_bus_process(d, NULL);

                ck_assert_int_ge(r, 0);
                if (r == 0)
                        ck_assert_int_ge(sd_bus_wait(d, 10000), 0);
        }
        ck_assert(*done);
}

struct answer {
        bool done;
        char text[64];
        int fd;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct answer *a = userdata;
        const char *s = "";

        if (sd_bus_message_is_method_error(m, NULL))
                s = sd_bus_message_get_error(m)->name;
        else if (sd_bus_message_has_signature(m, "h"))
                a->fd = sd_bus_message_read(m, "h", &a->fd) < 0 ? -1 : fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
        else
                sd_bus_message_read(m, "s", &s);
        snprintf(a->text, sizeof(a->text), "%s", s);
        a->done = true;
        return 0;
}

/* --- calls --- */

START_TEST(a_dbus_client_calls_a_kdbus_service)
{
        struct answer a = {};
        struct kdbus_msg *msg;
        const char *arg;
        struct reader rd;
        struct header h;
        uint8_t *dbus;
        struct v2 v;

        ck_assert_int_eq(name_acquire(&k, "com.example.K", 0, NULL), 0);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, "com.example.K", "/a", "com.example.I",
                                                  "Echo", on_answer, &a, "s", "hello"), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        msg = next_message();
        ck_assert_uint_eq(msg->src_id, d_id);
        ck_assert_uint_eq(msg->dst_id, k.id);
        ck_assert(msg->flags & KDBUS_MSG_EXPECT_REPLY);
        ck_assert_str_eq(msg_item(msg, KDBUS_ITEM_DST_NAME)->str, "com.example.K");
        ck_assert_uint_eq(msg_item(msg, KDBUS_ITEM_CREDS)->creds.euid, geteuid());
        ck_assert_uint_eq(msg_item(msg, KDBUS_ITEM_PIDS)->pids.pid, getpid());
        dbus = v2_read(msg, &h);
        ck_assert_str_eq(header_text(dbus, h.member), "Echo");
        reader_init_message(&rd, &h, dbus);
        ck_assert_int_eq(reader_string(&rd, &arg, NULL), 0);
        v2_return(&v, 9, h.serial, arg, 0);
        send_return(msg, &v, NULL);
        free(dbus);
        msg_free(&k, msg);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "hello");
}
END_TEST

START_TEST(a_kdbus_program_calls_the_bus_itself)
{
        struct kdbus_msg *reply;
        struct header h;
        uint8_t *dbus;
        struct v2 v;

        v2_call(&v, 7, "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL);
        ck_assert_int_eq(sync_call(&v, 0, "org.freedesktop.DBus", &reply), 0);
        ck_assert_uint_eq(reply->cookie_reply, 7);
        dbus = v2_read(reply, &h);
        ck_assert_int_eq(h.type, HEADER_RETURN);
        ck_assert_uint_eq(h.reply_serial, 7);
        free(dbus);
        msg_free(&k, reply);
}
END_TEST

/* a D-Bus service in a process of its own */
static int on_echo(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        return r < 0 ? r : sd_bus_reply_method_return(m, "s", s);
}

static pid_t start_service(void)
{
        static const sd_bus_vtable vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("Echo", "s", "s", on_echo, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END,
        };
        struct kdbus_msg *msg;
        struct kdbus_item *item;
        pid_t pid;

        ck_assert_int_eq(match_all(&k, 1), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                sd_bus *bus = NULL;
                char address[256];

                snprintf(address, sizeof(address), "unix:path=%s/dbus", getenv("LAMBUS_KDBUS"));
                if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 ||
                    sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_start(bus) < 0 ||
                    sd_bus_add_object_vtable(bus, NULL, "/a", "com.example.I", vtable, NULL) < 0 ||
                    sd_bus_request_name(bus, "com.example.D", 0) < 0) 
                        _exit(1);
                for (;;) {
                        while (sd_bus_process(bus, NULL) > 0)
                                ;
                        sd_bus_wait(bus, UINT64_MAX);
                }
        }
        item = next_notification(KDBUS_ITEM_NAME_ADD, &msg);
        ck_assert_str_eq(item->name_change.name, "com.example.D");
        ck_assert_uint_ne(item->name_change.new_id.id, 0);
        msg_free(&k, msg);
        return pid;
}

START_TEST(a_kdbus_program_calls_a_dbus_service_and_sees_it_die)
{
        pid_t pid = start_service();
        struct kdbus_msg *reply, *msg;
        const char *text;
        struct reader rd;
        struct header h;
        uint8_t *dbus;
        struct v2 v;

        v2_call(&v, 8, "/a", "com.example.I", "Echo", "text");
        ck_assert_int_eq(sync_call(&v, 0, "com.example.D", &reply), 0);
        dbus = v2_read(reply, &h);
        reader_init_message(&rd, &h, dbus);
        ck_assert_int_eq(reader_string(&rd, &text, NULL), 0);
        ck_assert_str_eq(text, "text");
        free(dbus);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ck_assert_str_eq(next_notification(KDBUS_ITEM_NAME_REMOVE, &msg)->name_change.name,
                         "com.example.D");
        msg_free(&k, msg);
        v2_call(&v, 9, "/a", "com.example.I", "Echo", "text");
        ck_assert_int_eq(sync_call(&v, 0, "com.example.D", &reply), 0);
        dbus = v2_read(reply, &h);
        ck_assert_int_eq(h.type, HEADER_ERROR);
        ck_assert_str_eq(header_text(dbus, h.error_name), "org.freedesktop.DBus.Error.ServiceUnknown");
        free(dbus);
}
END_TEST

START_TEST(a_dbus_caller_is_told_when_the_kdbus_service_dies)
{
        struct answer a = {};
        struct kdbus_msg *msg;
        char name[32];

        snprintf(name, sizeof(name), ":1.%lu", (unsigned long)k.id);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, name, "/a", "com.example.I", "Wait",
                                                  on_answer, &a, ""), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        msg = next_message();
        msg_free(&k, msg);
        conn_close(&k);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "org.freedesktop.DBus.Error.NoReply");
}
END_TEST

START_TEST(descriptors_cross)
{
        struct answer a = {.fd = -1};
        struct kdbus_msg *msg;
        int pipe_fds[2];
        struct v2 v;
        char c = 'x';

        ck_assert_int_eq(name_acquire(&k, "com.example.K", 0, NULL), 0);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, "com.example.K", "/a", "com.example.I",
                                                  "Take", on_answer, &a, "h", pipe_fds[1]), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        msg = next_message();
        ck_assert_int_eq(write(msg_item(msg, KDBUS_ITEM_FDS)->fds[0], &c, 1), 1);
        c = 0;
        ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
        ck_assert_int_eq(c, 'x');
        v2_return(&v, 9, msg->cookie, NULL, 1);
        send_return(msg, &v, &pipe_fds[1]);
        close(msg_item(msg, KDBUS_ITEM_FDS)->fds[0]);
        process_until(&a.done);
        ck_assert_int_eq(write(a.fd, &c, 1), 1);
        ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
        close(a.fd);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}
END_TEST

START_TEST(a_dbus_caller_is_told_when_its_call_is_dropped)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_DROP};
        struct pollfd p = {.fd = k.fd, .events = POLLIN};
        struct answer a = {};
        char name[32];

        snprintf(name, sizeof(name), ":1.%lu", (unsigned long)k.id);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, name, "/a", "com.example.I", "Wait",
                                                  on_answer, &a, ""), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        ck_assert_int_eq(poll(&p, 1, 3000), 1);
        ck_assert_int_eq(run(k.fd, KDBUS_CMD_RECV, &cmd), 0);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "org.freedesktop.DBus.Error.NoReply");
}
END_TEST

/* --- activators --- */

#define ACT "com.example.Act"

static bool dbus_lists_activatable(const char *name)
{
        char **activatable = NULL;
        bool found = false;

        ck_assert_int_ge(sd_bus_list_names(d, NULL, &activatable), 0);
        for (char **n = activatable; n && *n; n++) {
                found = found || strcmp(*n, name) == 0;
                free(*n);
        }
        free(activatable);
        return found;
}

static void call_activatable(struct answer *a)
{
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, ACT, "/a", "com.example.I", "Echo", on_answer,
                                                  a, "s", "hello"), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
}

static void open_activator(struct conn *act)
{
        ck_assert_int_eq(conn_open(act, bus_path("user", "bus"), KDBUS_HELLO_ACTIVATOR, ACT), 0);
}

START_TEST(an_activator_is_summoned_by_a_dbus_client_and_the_service_answers)
{
        struct answer a = {};
        struct kdbus_msg *msg;
        struct conn act;
        struct v2 v;

        open_activator(&act);
        ck_assert(dbus_lists_activatable(ACT));
        call_activatable(&a);
        ck_assert_int_eq(msg_wait(&act, 3000, &msg), 0);
        ck_assert_uint_eq(msg->src_id, d_id);
        msg_free(&act, msg);
        ck_assert_int_eq(name_acquire(&k, ACT, 0, NULL), 0);
        msg = next_message();
        ck_assert_uint_eq(msg->src_id, d_id);
        v2_return(&v, 9, msg->cookie, "hello", 0);
        send_return(msg, &v, NULL);
        msg_free(&k, msg);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "hello");
        conn_close(&act);
        for (int i = 0; i < 300 && dbus_lists_activatable(ACT); i++)
                usleep(10000);
        ck_assert(!dbus_lists_activatable(ACT));
}
END_TEST

START_TEST(an_activator_has_nothing_left_once_the_service_is_there)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_PEEK};
        struct pollfd p = {.events = POLLIN};
        struct answer a = {};
        struct conn act;
        int r = 0;

        open_activator(&act);
        call_activatable(&a);
        p.fd = act.fd;
        ck_assert_int_eq(poll(&p, 1, 3000), 1);
        ck_assert_int_eq(run(act.fd, KDBUS_CMD_RECV, &cmd), 0);
        ck_assert_int_eq(name_acquire(&k, ACT, 0, NULL), 0);
        msg_free(&k, next_message());
        for (int i = 0; i < 300 && r != -EAGAIN; i++) {
                usleep(10000);
                r = run(act.fd, KDBUS_CMD_RECV, &cmd);
        }
        ck_assert_int_eq(r, -EAGAIN);
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        conn_close(&act);
}
END_TEST

START_TEST(a_caller_is_told_when_the_activator_declines)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_DROP};
        struct pollfd p = {.events = POLLIN};
        struct answer a = {};
        struct conn act;

        open_activator(&act);
        call_activatable(&a);
        p.fd = act.fd;
        ck_assert_int_eq(poll(&p, 1, 3000), 1);
        if (_i)
                conn_close(&act);
        else
                ck_assert_int_eq(run(act.fd, KDBUS_CMD_RECV, &cmd), 0);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "org.freedesktop.DBus.Error.NoReply");
        if (!_i)
                conn_close(&act);
}
END_TEST

START_TEST(a_dbus_client_may_be_the_service_that_an_activator_stood_in_for)
{
        struct kdbus_msg *msg;
        struct conn act;
        struct header h;
        struct build b;
        uint8_t *dbus;
        struct v2 v;

        open_activator(&act);
        v2_call(&v, 7, "/a", "com.example.I", "Echo", "hello");
        msg_init(&b, 0, ACT, KDBUS_MSG_EXPECT_REPLY, v.h.serial);
        b.msg.timeout_ns = now_ns() + 5000000000ULL;
        msg_vec(&b, v.buf.data, v.buf.n);
        ck_assert_int_eq(msg_send(&k, &b, 0, NULL), 0);
        gvariant_buf_deinit(&v.buf);
        ck_assert_int_eq(msg_wait(&act, 3000, &msg), 0);
        msg_free(&act, msg);
        ck_assert_int_ge(sd_bus_request_name(d, ACT, 0), 0);
        for (int i = 0; i < 20; i++)
                if (sd_bus_process(d, NULL) == 0)
                        sd_bus_wait(d, 10000);
        sd_bus_flush(d);
        msg = next_message();
        ck_assert_uint_eq(msg->src_id, d_id);
        ck_assert_uint_eq(msg->cookie_reply, 7);
        dbus = v2_read(msg, &h);
        ck_assert_str_eq(header_text(dbus, h.error_name), "org.freedesktop.DBus.Error.UnknownObject");
        free(dbus);
        msg_free(&k, msg);
        conn_close(&act);
}
END_TEST

START_TEST(a_message_that_is_to_start_nothing_is_refused_as_the_kernel_does)
{
        struct conn act;
        struct build b;
        struct v2 v;

        open_activator(&act);
        v2_call(&v, 7, "/a", "com.example.I", "Echo", "hello");
        msg_init(&b, 0, ACT, KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START, v.h.serial);
        b.msg.timeout_ns = now_ns() + 5000000000ULL;
        msg_vec(&b, v.buf.data, v.buf.n);
        ck_assert_int_eq(msg_send(&k, &b, 0, NULL), -EADDRNOTAVAIL);
        gvariant_buf_deinit(&v.buf);
        conn_close(&act);
}
END_TEST

START_TEST(a_kdbus_call_that_started_a_kdbus_service_is_answered)
{
        struct conn act, caller;
        struct kdbus_msg *msg;
        struct header h;
        struct build b;
        uint8_t *dbus;
        struct v2 v;

        open_activator(&act);
        ck_assert_int_eq(conn_open(&caller, bus_path("user", "bus"), 0, NULL), 0);
        v2_call(&v, 7, "/a", "com.example.I", "Echo", "hello");
        msg_init(&b, 0, ACT, KDBUS_MSG_EXPECT_REPLY, v.h.serial);
        b.msg.timeout_ns = now_ns() + 5000000000ULL;
        msg_vec(&b, v.buf.data, v.buf.n);
        ck_assert_int_eq(msg_send(&caller, &b, 0, NULL), 0);
        gvariant_buf_deinit(&v.buf);
        ck_assert_int_eq(name_acquire(&k, ACT, 0, NULL), 0);
        msg = next_message();
        ck_assert_uint_eq(msg->src_id, caller.id);
        v2_return(&v, 9, msg->cookie, "hello", 0);
        send_return(msg, &v, NULL);
        msg_free(&k, msg);
        do
                ck_assert_int_eq(msg_wait(&caller, 3000, &msg), 0);
        while (msg->payload_type != KDBUS_PAYLOAD_DBUS);
        ck_assert_uint_eq(msg->src_id, k.id);
        ck_assert_uint_eq(msg->cookie_reply, 7);
        dbus = v2_read(msg, &h);
        ck_assert_int_eq(h.type, HEADER_RETURN);
        free(dbus);
        conn_close(&caller);
        conn_close(&act);
}
END_TEST

/* --- monitors --- */

static struct kdbus_msg *monitored(struct conn *mon, uint64_t src)
{
        struct kdbus_msg *msg;

        for (;;) {
                ck_assert_int_eq(msg_wait(mon, 3000, &msg), 0);
                if (msg->payload_type == KDBUS_PAYLOAD_DBUS && msg->src_id == src)
                        return msg;
                msg_free(mon, msg);
        }
}

START_TEST(a_kdbus_monitor_sees_what_dbus_clients_say_once)
{
        struct answer a = {};
        struct kdbus_msg *msg;
        struct conn mon;
        struct header h;
        const char *me;
        uint8_t *dbus;

        ck_assert_int_eq(conn_open(&mon, bus_path("user", "bus"), KDBUS_HELLO_MONITOR, NULL), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(d, &me), 0);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, me, "/a", "com.example.I", "Self", on_answer,
                                                  &a, ""), 0);
        process_until(&a.done);
        msg = monitored(&mon, d_id);
        ck_assert_uint_eq(msg->dst_id, d_id);
        dbus = v2_read(msg, &h);
        ck_assert_str_eq(header_text(dbus, h.member), "Self");
        free(dbus);
        msg_free(&mon, msg);
        msg = monitored(&mon, d_id); /* the answer */
        ck_assert_uint_ne(msg->cookie_reply, 0);
        msg_free(&mon, msg);
        ck_assert_int_eq(name_acquire(&k, "com.example.K", 0, NULL), 0);
        ck_assert_int_ge(sd_bus_call_method_async(d, NULL, "com.example.K", "/a", "com.example.I", "Cross",
                                                  on_answer, &a, ""), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        msg = monitored(&mon, d_id);
        ck_assert_uint_eq(msg->dst_id, k.id);
        msg_free(&mon, msg);
        while (msg_wait(&mon, 200, &msg) == 0) {
                ck_assert_uint_ne(msg->src_id, d_id);
                msg_free(&mon, msg);
        }
        conn_close(&mon);
}
END_TEST

static int on_watched(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *member = sd_bus_message_get_member(m);

        if (member && strcmp(member, "Private") == 0)
                *(bool *)userdata = true;
        return 1;
}

START_TEST(a_dbus_monitor_sees_what_kdbus_programs_say_to_each_other)
{
        struct conn other;
        bool seen = false;
        struct build b;
        struct v2 v;

        ck_assert_int_eq(conn_open(&other, bus_path("user", "bus"), 0, NULL), 0);
        ck_assert_int_ge(sd_bus_call_method(d, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus.Monitoring", "BecomeMonitor", NULL,
                                            NULL, "asu", 0, 0), 0);
        ck_assert_int_ge(sd_bus_add_filter(d, NULL, on_watched, &seen), 0);
        v2_call(&v, 7, "/a", "com.example.I", "Private", "hello");
        msg_init(&b, k.id, NULL, KDBUS_MSG_EXPECT_REPLY, v.h.serial);
        b.msg.timeout_ns = now_ns() + 5000000000ULL;
        msg_vec(&b, v.buf.data, v.buf.n);
        ck_assert_int_eq(msg_send(&other, &b, 0, NULL), 0);
        gvariant_buf_deinit(&v.buf);
        process_until(&seen);
        conn_close(&other);
}
END_TEST

START_TEST(a_kdbus_program_that_asks_dbus_to_be_a_monitor_says_nothing_more)
{
        struct kdbus_msg *reply;
        struct build b;
        struct writer w;
        struct v2 v;

        writer_init(&w, HEADER_CALL, 0, 7);
        writer_field(&w, FIELD_PATH, "/org/freedesktop/DBus");
        writer_field(&w, FIELD_INTERFACE, "org.freedesktop.DBus.Monitoring");
        writer_field(&w, FIELD_MEMBER, "BecomeMonitor");
        writer_body(&w, "asu");
        writer_open(&w, 'a', NULL);
        writer_close(&w);
        writer_u32(&w, 0);
        v2_make(&v, &w);
        ck_assert_int_eq(sync_call(&v, 0, "org.freedesktop.DBus", &reply), 0);
        msg_free(&k, reply);
        v2_call(&v, 8, "/a", "com.example.I", "Echo", "text");
        msg_init(&b, 0, "org.freedesktop.DBus", KDBUS_MSG_EXPECT_REPLY, v.h.serial);
        b.msg.timeout_ns = now_ns() + 5000000000ULL;
        msg_vec(&b, v.buf.data, v.buf.n);
        ck_assert_int_eq(msg_send(&k, &b, 0, NULL), -EOPNOTSUPP);
        gvariant_buf_deinit(&v.buf);
        ck_assert_int_eq(name_acquire(&k, "com.example.M", 0, NULL), -EOPNOTSUPP);
        ck_assert_int_ge(sd_bus_request_name(d, "com.example.M", 0), 0);
}
END_TEST

/* --- lists --- */

/* whether LIST with these flags has the name, of this connection (0: any), with this flag */
static bool kdbus_lists(uint64_t flags, uint64_t id, const char *name, uint64_t name_flag)
{
        struct kdbus_cmd_list list = {.size = sizeof(list), .flags = flags};
        bool found = false;

        ck_assert_int_eq(run(k.fd, KDBUS_CMD_LIST, &list), 0);
        for (uint64_t at = 0; at < list.list_size;) {
                struct kdbus_info *info = (void *)(k.pool + list.offset + at);
                struct kdbus_item *item = info->items;
                const char *text = (char *)item + offsetof(struct kdbus_item, name.name);

                if ((!id || info->id == id) && info->size > sizeof(*info) && strcmp(text, name) == 0)
                        found = item->name.flags & name_flag;
                at += (info->size + 7) & ~7ULL;
        }
        if (list.list_size)
                ck_assert_int_eq(conn_free(&k, list.offset), 0);
        return found;
}

START_TEST(who_waits_for_a_name_is_listed_whichever_side_it_is_on)
{
        uint64_t flags;

        ck_assert_int_eq(name_acquire(&k, "com.example.Q", 0, NULL), 0);
        ck_assert_int_ge(sd_bus_request_name(d, "com.example.Q", SD_BUS_NAME_QUEUE), 0);
        ck_assert_int_ge(sd_bus_request_name(d, "com.example.R", 0), 0);
        ck_assert_int_eq(name_acquire(&k, "com.example.R", KDBUS_NAME_QUEUE, &flags), 0);
        ck_assert(flags & KDBUS_NAME_IN_QUEUE);
        ck_assert(kdbus_lists(KDBUS_LIST_QUEUED, d_id, "com.example.Q", KDBUS_NAME_IN_QUEUE));
        ck_assert(kdbus_lists(KDBUS_LIST_QUEUED, k.id, "com.example.R", KDBUS_NAME_IN_QUEUE));
        ck_assert(!kdbus_lists(KDBUS_LIST_QUEUED, d_id, "com.example.R", ~0ULL));
        ck_assert(!kdbus_lists(KDBUS_LIST_NAMES, d_id, "com.example.Q", ~0ULL));
        ck_assert(kdbus_lists(KDBUS_LIST_NAMES, d_id, "com.example.R", KDBUS_NAME_PRIMARY));
}
END_TEST

START_TEST(what_can_be_started_is_listed_whichever_side_it_is_on)
{
        char **activatable = NULL;
        struct conn act;

        open_activator(&act);
        ck_assert(kdbus_lists(KDBUS_LIST_ACTIVATORS, act.id, ACT, KDBUS_NAME_ACTIVATOR));
        ck_assert_int_ge(sd_bus_list_names(d, NULL, &activatable), 0);
        for (char **n = activatable; n && *n; n++) {
                if (strcmp(*n, "org.freedesktop.DBus") != 0)
                        ck_assert(kdbus_lists(KDBUS_LIST_ACTIVATORS, 0, *n, KDBUS_NAME_ACTIVATOR));
                free(*n);
        }
        free(activatable);
        conn_close(&act);
}
END_TEST

/* --- names --- */

/* supervised, too: the process is the program */
START_TEST(a_kdbus_program_is_itself_on_dbus)
{
        sd_bus_message *answer = NULL;
        uint32_t pid = 0;
        char name[32];

        snprintf(name, sizeof(name), ":1.%llu", (unsigned long long)k.id);
        ck_assert_int_ge(sd_bus_call_method(d, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                                            NULL, &answer, "s", name), 0);
        ck_assert_int_ge(sd_bus_message_read(answer, "u", &pid), 0);
        ck_assert_uint_eq(pid, getpid());
        sd_bus_message_unref(answer);
}
END_TEST

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        *(bool *)userdata = true;
        return 0;
}

static void process_all(void)
{
        while (sd_bus_process(d, NULL) > 0)
                ;
}

START_TEST(a_kdbus_monitor_that_goes_leaves_the_rules_of_others)
{
        struct conn c;
        bool heard;

        ck_assert_int_ge(sd_bus_add_match(d, NULL,
                                          "type='signal',sender='org.freedesktop.DBus',"
                                          "member='NameOwnerChanged',arg0='com.example.N'",
                                          on_owner_changed, &heard), 0);
        for (int i = 0; i < 16; i++)
                ck_assert_int_ge(sd_bus_add_match(d, NULL, "arg0='com.example.Nobody'", on_owner_changed,
                                                  &heard), 0);
        for (int i = 0; i < 24; i++) { /* more than there are rules */
                ck_assert_int_eq(conn_open(&c, bus_path("user", "bus"), KDBUS_HELLO_MONITOR, NULL), 0);
                conn_close(&c);
                ck_assert_int_eq(conn_open(&c, bus_path("user", "bus"), 0, NULL), 0);
                conn_close(&c); /* by now the monitor has gone */
                process_all();
                heard = false;
                ck_assert_int_ge(sd_bus_request_name(d, "com.example.N", 0), 0);
                process_all();
                ck_assert_msg(heard, "%d", i);
                ck_assert_int_ge(sd_bus_release_name(d, "com.example.N"), 0);
        }
}
END_TEST

START_TEST(names_are_one_registry)
{
        uint64_t flags;
        const char *owner;
        sd_bus_message *m = NULL;
        char name[32];

        snprintf(name, sizeof(name), ":1.%lu", (unsigned long)k.id);
        ck_assert_int_eq(name_acquire(&k, "com.example.N", KDBUS_NAME_ALLOW_REPLACEMENT, &flags), 0);
        ck_assert_uint_eq(flags, KDBUS_NAME_PRIMARY | KDBUS_NAME_ACQUIRED | KDBUS_NAME_ALLOW_REPLACEMENT);
        ck_assert_int_ge(sd_bus_call_method(d, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "GetNameOwner", NULL, &m, "s",
                                            "com.example.N"), 0);
        ck_assert_int_ge(sd_bus_message_read(m, "s", &owner), 0);
        ck_assert_str_eq(owner, name);
        sd_bus_message_unref(m);
        ck_assert_int_ge(sd_bus_request_name(d, "com.example.N", SD_BUS_NAME_REPLACE_EXISTING), 0);
        ck_assert_int_eq(name_release(&k, "com.example.N"), -EADDRINUSE);
        ck_assert_int_eq(name_acquire(&k, "com.example.N", 0, NULL), -EEXIST);
        ck_assert_int_ge(sd_bus_release_name(d, "com.example.N"), 0);
        ck_assert_int_eq(name_acquire(&k, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(name_release(&k, "com.example.N"), 0);
        ck_assert_int_eq(name_release(&k, "com.example.N"), -ESRCH);
}
END_TEST

START_TEST(a_dbus_client_can_be_looked_up_from_kdbus)
{
        struct kdbus_cmd_list list = {.size = sizeof(list), .flags = KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES};
        struct kdbus_cmd_info cmd = {.size = sizeof(cmd), .id = d_id, .attach_flags = _KDBUS_ATTACH_ANY};
        bool found = false, named = false;
        struct kdbus_info *info;

        ck_assert_int_ge(sd_bus_request_name(d, "com.example.D", 0), 0);
        ck_assert_int_eq(run(k.fd, KDBUS_CMD_CONN_INFO, &cmd), 0);
        info = (void *)(k.pool + cmd.offset);
        ck_assert_uint_eq(info->id, d_id);
        ck_assert_uint_eq(info->items[0].type, KDBUS_ITEM_CREDS);
        ck_assert_uint_eq(info->items[0].creds.euid, geteuid());
        ck_assert_int_eq(conn_free(&k, cmd.offset), 0);
        cmd.id = 999999;
        ck_assert_int_eq(run(k.fd, KDBUS_CMD_CONN_INFO, &cmd), -ENXIO);

        ck_assert_int_eq(run(k.fd, KDBUS_CMD_LIST, &list), 0);
        for (uint64_t at = 0; at < list.list_size; at += (info->size + 7) & ~7ULL) {
                info = (void *)(k.pool + list.offset + at);
                found |= info->id == k.id;
                named |= info->id == d_id && info->size > sizeof(*info) &&
                         strcmp((char *)(info + 1) + 16 + sizeof(struct kdbus_name),
                                "com.example.D") == 0;
        }
        ck_assert(found);
        ck_assert(named);
        ck_assert_int_eq(conn_free(&k, list.offset), 0);
}
END_TEST

/* --- signals --- */

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return on_answer(m, userdata, error);
}

START_TEST(a_dbus_client_hears_a_kdbus_broadcast)
{
        struct answer a = {};
        struct writer w;
        struct build b;
        struct v2 v;

        ck_assert_int_ge(sd_bus_add_match(d, NULL, "type='signal',interface='com.example.I'",
                                          on_signal, &a), 0);
        writer_init(&w, HEADER_SIGNAL, HEADER_NO_REPLY_EXPECTED, 3);
        writer_field(&w, FIELD_PATH, "/a");
        writer_field(&w, FIELD_INTERFACE, "com.example.I");
        writer_field(&w, FIELD_MEMBER, "Changed");
        writer_body(&w, "s");
        writer_string(&w, "news");
        v2_make(&v, &w);
        msg_init(&b, KDBUS_DST_ID_BROADCAST, NULL, KDBUS_MSG_SIGNAL, 3);
        msg_vec(&b, v.buf.data, v.buf.n);
        msg_bloom(&b, 0xff);
        ck_assert_int_eq(msg_send(&k, &b, 0, NULL), 0);
        gvariant_buf_deinit(&v.buf);
        process_until(&a.done);
        ck_assert_str_eq(a.text, "news");
}
END_TEST

START_TEST(a_kdbus_match_is_a_filter_for_dbus_signals)
{
        struct bloom_params p = {BLOOM_SIZE, 8};
        uint64_t mask[BLOOM_SIZE / 8] = {};
        struct kdbus_msg *msg;
        struct header h;
        struct build b;
        uint8_t *dbus;

        bloom_add_pair(&p, mask, "interface", "com.example.I");
        bloom_add_pair(&p, mask, "arg0", "wanted");
        build_init(&b, sizeof(b.match), 0);
        build_add(&b, KDBUS_ITEM_BLOOM_MASK, mask, sizeof(mask));
        ck_assert_int_eq(build_run(&b, k.fd, KDBUS_CMD_MATCH_ADD), 0);
        ck_assert_int_ge(sd_bus_emit_signal(d, "/a", "com.example.J", "One", "s", "wanted"), 0);
        ck_assert_int_ge(sd_bus_emit_signal(d, "/a", "com.example.I", "Two", "s", "other"), 0);
        ck_assert_int_ge(sd_bus_emit_signal(d, "/a", "com.example.I", "Three", "s", "wanted"), 0);
        ck_assert_int_ge(sd_bus_flush(d), 0);
        msg = next_message();
        ck_assert_uint_eq(msg->dst_id, KDBUS_DST_ID_BROADCAST);
        dbus = v2_read(msg, &h);
        ck_assert_str_eq(header_text(dbus, h.member), "Three");
        free(dbus);
}
END_TEST

START_TEST(kdbus_programs_hear_each_other_once)
{
        struct kdbus_msg *msg;
        struct conn other;

        ck_assert_int_eq(conn_open(&other, bus_path("user", "bus"), 0, NULL), 0);
        ck_assert_int_eq(match_all(&k, 1), 0);
        ck_assert_int_eq(msg_signal(&other, KDBUS_DST_ID_BROADCAST, 0xff), 0);
        msg = next_message();
        ck_assert_uint_eq(msg->src_id, other.id);
        msg_free(&k, msg);
        while (msg_wait(&k, 100, &msg) == 0)
                ck_assert_uint_ne(msg->payload_type, KDBUS_PAYLOAD_DBUS);
        conn_close(&other);
}
END_TEST

int main(int argc, char **argv)
{
        static const char *const server[] = {
                LAMBUS_DAEMON, "--session", "--nofork", "--nosyslog", "--workers=4",
                "--spread=always", "--address=unix:path=@DIR@/dbus", "--kdbus=@DIR@", NULL};
        TCase *tcase = tcase_create("bridge");
        Suite *suite = suite_create("bridge");

        harness_enter(argv, server);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_dbus_client_calls_a_kdbus_service);
        tcase_add_test(tcase, a_kdbus_program_calls_the_bus_itself);
        tcase_add_test(tcase, a_kdbus_program_calls_a_dbus_service_and_sees_it_die);
        tcase_add_test(tcase, a_dbus_caller_is_told_when_the_kdbus_service_dies);
        tcase_add_test(tcase, descriptors_cross);
        tcase_add_test(tcase, a_dbus_caller_is_told_when_its_call_is_dropped);
        tcase_add_test(tcase, an_activator_is_summoned_by_a_dbus_client_and_the_service_answers);
        tcase_add_test(tcase, an_activator_has_nothing_left_once_the_service_is_there);
        tcase_add_loop_test(tcase, a_caller_is_told_when_the_activator_declines, 0, 2);
        tcase_add_test(tcase, a_dbus_client_may_be_the_service_that_an_activator_stood_in_for);
        tcase_add_test(tcase, a_message_that_is_to_start_nothing_is_refused_as_the_kernel_does);
        tcase_add_test(tcase, a_kdbus_call_that_started_a_kdbus_service_is_answered);
        tcase_add_test(tcase, a_kdbus_monitor_sees_what_dbus_clients_say_once);
        tcase_add_test(tcase, a_kdbus_monitor_that_goes_leaves_the_rules_of_others);
        tcase_add_test(tcase, a_dbus_monitor_sees_what_kdbus_programs_say_to_each_other);
        tcase_add_test(tcase, a_kdbus_program_that_asks_dbus_to_be_a_monitor_says_nothing_more);
        tcase_add_test(tcase, who_waits_for_a_name_is_listed_whichever_side_it_is_on);
        tcase_add_test(tcase, what_can_be_started_is_listed_whichever_side_it_is_on);
        tcase_add_test(tcase, a_kdbus_program_is_itself_on_dbus);
        tcase_add_test(tcase, names_are_one_registry);
        tcase_add_test(tcase, a_dbus_client_can_be_looked_up_from_kdbus);
        tcase_add_test(tcase, a_dbus_client_hears_a_kdbus_broadcast);
        tcase_add_test(tcase, a_kdbus_match_is_a_filter_for_dbus_signals);
        tcase_add_test(tcase, kdbus_programs_hear_each_other_once);
        suite_add_tcase(suite, tcase);
        return test_run(suite);
}
