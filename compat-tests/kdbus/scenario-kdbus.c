/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a kdbus program may count on, row by row: every command with every way to get it wrong, each
 * kind of handle and connection, each rule about messages, names, matches, pools. The expected
 * values are the kernel's. Nothing in here knows what answers.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "compat-tests/kdbus/harness.h"
#include "compat-tests/kdbus/kit.h"
#include "compat-tests/run-suite.h"

static int bus_fd = -1;
static char suffix[32];
static struct conn a, b;

static const char *path_of(const char *endpoint)
{
        return bus_path(suffix, endpoint);
}

static void setup(void)
{
        snprintf(suffix, sizeof(suffix), "t%d", getpid());
        ck_assert_int_eq(bus_make(&bus_fd, suffix, 0), 0);
        ck_assert_int_eq(conn_open(&a, path_of("bus"), KDBUS_HELLO_ACCEPT_FD, NULL), 0);
        ck_assert_int_eq(conn_open(&b, path_of("bus"), KDBUS_HELLO_ACCEPT_FD, NULL), 0);
}

static void teardown(void)
{
        conn_close(&a);
        conn_close(&b);
        close(bus_fd);
}

/* --- every command, and what is the same for all --- */

enum kind {
        CONTROL,   /* handle of the control file, unused */
        ENDPOINT,  /* of an endpoint, unused */
        BUS_OWNER,
        EP_OWNER,
        CONNECTED,
        N_KINDS,
};

static const struct {
        const char *name;
        unsigned long code;
        enum kind kind;
        size_t fixed;
        uint64_t flags; /* accepted */
        uint64_t item;  /* one type it does not take */
} commands[] = {
        {"BUS_MAKE", KDBUS_CMD_BUS_MAKE, CONTROL, 0x18, 3, KDBUS_ITEM_FDS},
        {"ENDPOINT_MAKE", KDBUS_CMD_ENDPOINT_MAKE, ENDPOINT, 0x18, 3, KDBUS_ITEM_NAME},
        {"ENDPOINT_UPDATE", KDBUS_CMD_ENDPOINT_UPDATE, EP_OWNER, 0x18, 0, KDBUS_ITEM_MAKE_NAME},
        {"HELLO", KDBUS_CMD_HELLO, ENDPOINT, 0x60, 0xf, KDBUS_ITEM_MAKE_NAME},
        {"UPDATE", KDBUS_CMD_UPDATE, CONNECTED, 0x18, 0, KDBUS_ITEM_CREDS},
        {"BYEBYE", KDBUS_CMD_BYEBYE, CONNECTED, 0x18, 0, KDBUS_ITEM_NAME},
        {"FREE", KDBUS_CMD_FREE, CONNECTED, 0x20, 0, KDBUS_ITEM_NAME},
        {"CONN_INFO", KDBUS_CMD_CONN_INFO, CONNECTED, 0x38, 0, KDBUS_ITEM_ID},
        {"BUS_CREATOR_INFO", KDBUS_CMD_BUS_CREATOR_INFO, CONNECTED, 0x38, 0, KDBUS_ITEM_NAME},
        {"LIST", KDBUS_CMD_LIST, CONNECTED, 0x28, 0xf, KDBUS_ITEM_NAME},
        {"SEND", KDBUS_CMD_SEND, CONNECTED, 0x38, 1, KDBUS_ITEM_NAME},
        {"RECV", KDBUS_CMD_RECV, CONNECTED, 0x40, 7, KDBUS_ITEM_NAME},
        {"NAME_ACQUIRE", KDBUS_CMD_NAME_ACQUIRE, CONNECTED, 0x18, 7, KDBUS_ITEM_ID},
        {"NAME_RELEASE", KDBUS_CMD_NAME_RELEASE, CONNECTED, 0x18, 0, KDBUS_ITEM_ID},
        {"MATCH_ADD", KDBUS_CMD_MATCH_ADD, CONNECTED, 0x20, 1, KDBUS_ITEM_FDS},
        {"MATCH_REMOVE", KDBUS_CMD_MATCH_REMOVE, CONNECTED, 0x20, 0, KDBUS_ITEM_ID},
};
#define N_COMMANDS ((int)ARRAY_SIZE(commands))

static int endpoint_make(int *fd)
{
        char name[64];
        struct build c;

        *fd = open(path_of("bus"), O_RDWR | O_CLOEXEC);
        snprintf(name, sizeof(name), "%u-ep", geteuid());
        build_init(&c, sizeof(c.cmd), 0);
        build_string(&c, KDBUS_ITEM_MAKE_NAME, name);
        return build_run(&c, *fd, KDBUS_CMD_ENDPOINT_MAKE);
}

static int handle_of(enum kind kind)
{
        int fd = -1;

        switch (kind) {
        case CONTROL:
                return open(KDBUS_MOUNT "/control", O_RDWR | O_CLOEXEC);
        case ENDPOINT:
                return open(path_of("bus"), O_RDWR | O_CLOEXEC);
        case BUS_OWNER:
                return dup(bus_fd);
        case EP_OWNER:
                ck_assert_int_eq(endpoint_make(&fd), 0);
                return fd;
        default:
                return dup(a.fd);
        }
}

START_TEST(an_unaligned_structure_is_a_fault)
{
        int fd = handle_of(commands[_i].kind);
        struct build c;

        build_init(&c, commands[_i].fixed, 0);
        ck_assert_int_eq(run(fd, commands[_i].code, (uint8_t *)&c + 1), -EFAULT);
        close(fd);
}
END_TEST

START_TEST(memory_that_is_not_there_is_a_fault)
{
        int fd = handle_of(commands[_i].kind);
        void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        ck_assert_int_eq(run(fd, commands[_i].code, nothing), -EFAULT);
        ck_assert_int_eq(run(fd, commands[_i].code, NULL), -EFAULT);
        close(fd);
}
END_TEST

START_TEST(a_structure_that_ends_in_the_void_is_a_fault)
{
        uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct kdbus_cmd *cmd = (void *)(pages + 4096 - 16);
        int fd = handle_of(commands[_i].kind);

        mprotect(pages + 4096, 4096, PROT_NONE);
        cmd->size = commands[_i].fixed;
        ck_assert_int_eq(run(fd, commands[_i].code, cmd), -EFAULT);
        close(fd);
}
END_TEST

START_TEST(a_size_below_the_structure_is_refused)
{
        int fd = handle_of(commands[_i].kind);
        struct build c;

        build_init(&c, commands[_i].fixed, 0);
        for (size_t n = 0; n < commands[_i].fixed; n += 7) {
                c.cmd.size = n;
                ck_assert_int_eq(run(fd, commands[_i].code, &c.cmd), -EINVAL);
        }
        close(fd);
}
END_TEST

START_TEST(a_size_beyond_32_kib_is_too_large)
{
        int fd = handle_of(commands[_i].kind);
        struct build c;

        build_init(&c, commands[_i].fixed, 0);
        c.cmd.size = 32769;
        ck_assert_int_eq(run(fd, commands[_i].code, &c.cmd), -EMSGSIZE);
        c.cmd.size = ~0ULL;
        ck_assert_int_eq(run(fd, commands[_i].code, &c.cmd), -EMSGSIZE);
        close(fd);
}
END_TEST

START_TEST(an_unknown_flag_is_refused_and_return_flags_are_written)
{
        int fd = handle_of(commands[_i].kind);
        struct build c;

        for (unsigned bit = 0; bit < 63; bit++) {
                if (commands[_i].flags & 1ULL << bit)
                        continue;
                build_init(&c, commands[_i].fixed, 1ULL << bit);
                c.cmd.return_flags = 0x55;
                ck_assert_int_eq(build_run(&c, fd, commands[_i].code), -EINVAL);
                ck_assert_uint_eq(c.cmd.return_flags, 0);
        }
        close(fd);
}
END_TEST

START_TEST(an_undeclared_item_is_refused)
{
        int fd = handle_of(commands[_i].kind);
        struct build c;

        build_init(&c, commands[_i].fixed, 0);
        build_u64(&c, commands[_i].item, 0);
        ck_assert_int_eq(build_run(&c, fd, commands[_i].code), -EINVAL);
        build_init(&c, commands[_i].fixed, 0);
        build_u64(&c, 0x7777, 0);
        ck_assert_int_eq(build_run(&c, fd, commands[_i].code), -EINVAL);
        close(fd);
}
END_TEST

START_TEST(an_item_beyond_its_structure_is_refused)
{
        static const uint64_t sizes[] = {0, 15, 25, 4096, ~0ULL};
        int fd = handle_of(commands[_i].kind);
        struct kdbus_item *item;
        struct build c;

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                build_init(&c, commands[_i].fixed, 0);
                item = build_add(&c, KDBUS_ITEM_NEGOTIATE, NULL, 8);
                item->size = sizes[i];
                ck_assert_int_eq(build_run(&c, fd, commands[_i].code), -EINVAL);
        }
        close(fd);
}
END_TEST

START_TEST(negotiation_tells_flags_and_items_and_does_nothing)
{
        uint64_t ask[] = {KDBUS_ITEM_NEGOTIATE, commands[_i].item};
        int fd = handle_of(commands[_i].kind);
        struct kdbus_item *item;
        struct build c;

        for (int twice = 0; twice < 2; twice++) { /* nothing happened: it can be done again */
                build_init(&c, commands[_i].fixed, KDBUS_FLAG_NEGOTIATE);
                item = build_add(&c, KDBUS_ITEM_NEGOTIATE, ask, sizeof(ask));
                ck_assert_int_eq(build_run(&c, fd, commands[_i].code), 0);
                ck_assert_uint_eq(c.cmd.flags, commands[_i].flags);
                ck_assert_uint_eq(item->data64[0], KDBUS_ITEM_NEGOTIATE);
                ck_assert_uint_eq(item->data64[1], 0);
        }
        close(fd);
}
END_TEST

START_TEST(a_command_on_another_kind_of_handle_is_ebadfd)
{
        int command = _i / N_KINDS;
        enum kind kind = _i % N_KINDS;
        struct build c;
        int fd;

        if (commands[command].kind == kind)
                return;
        fd = handle_of(kind);
        build_init(&c, commands[command].fixed, 0);
        ck_assert_int_eq(build_run(&c, fd, commands[command].code), -EBADFD);
        close(fd);
}
END_TEST

START_TEST(an_unknown_command_is_enotty)
{
        static const unsigned long codes[] = {
                _IO(KDBUS_IOCTL_MAGIC, 0x77), _IOW(KDBUS_IOCTL_MAGIC, 0x80, struct kdbus_cmd),
                _IOR(KDBUS_IOCTL_MAGIC, 0x00, struct kdbus_cmd), KDBUS_CMD_HELLO + 0x10000,
        };
        int fd = handle_of(_i);
        struct build c;

        build_init(&c, sizeof(c.hello), 0);
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                ck_assert_int_eq(build_run(&c, fd, codes[i]), -ENOTTY);
        close(fd);
}
END_TEST

START_TEST(a_disconnected_handle_answers_econnreset)
{
        struct kdbus_cmd bye = {.size = sizeof(bye)};
        struct build c;

        if (commands[_i].kind != CONNECTED)
                return;
        ck_assert_int_eq(run(a.fd, KDBUS_CMD_BYEBYE, &bye), 0);
        build_init(&c, commands[_i].fixed, 0);
        ck_assert_int_eq(build_run(&c, a.fd, commands[_i].code), -ECONNRESET);
}
END_TEST

/* --- kinds of connections --- */

static const struct {
        const char *kind;
        uint64_t flags;
        const char *name;
        uint32_t refused; /* nr of commands that are EOPNOTSUPP, as bits of the rows below */
} specials[] = {
        {"activator", KDBUS_HELLO_ACTIVATOR, "com.example.Act", 0x3f},
        {"policy holder", KDBUS_HELLO_POLICY_HOLDER, "com.example.Pol", 0xff},
        {"monitor", KDBUS_HELLO_MONITOR, NULL, 0x3f},
};

static const struct {
        unsigned long code;
        size_t fixed;
} special_commands[] = {
        {KDBUS_CMD_BYEBYE, 0x18},       {KDBUS_CMD_SEND, 0x38},      {KDBUS_CMD_NAME_ACQUIRE, 0x18},
        {KDBUS_CMD_NAME_RELEASE, 0x18}, {KDBUS_CMD_MATCH_ADD, 0x20}, {KDBUS_CMD_MATCH_REMOVE, 0x20},
        {KDBUS_CMD_RECV, 0x40},         {KDBUS_CMD_FREE, 0x20},
};
#define N_SPECIAL ((int)ARRAY_SIZE(special_commands))

START_TEST(special_connections_may_not_do_everything)
{
        int kind = _i / N_SPECIAL, command = _i % N_SPECIAL;
        struct conn c;
        struct build cmd;
        int r;

        ck_assert_int_eq(conn_open(&c, path_of("bus"), specials[kind].flags, specials[kind].name), 0);
        build_init(&cmd, special_commands[command].fixed, 0);
        r = build_run(&cmd, c.fd, special_commands[command].code);
        if (specials[kind].refused & 1u << command)
                ck_assert_int_eq(r, -EOPNOTSUPP);
        else
                ck_assert_int_ne(r, -EOPNOTSUPP);
        conn_close(&c);
}
END_TEST

/* --- HELLO --- */

static const struct {
        const char *what;
        uint64_t flags, pool, send, recv;
        const char *name;
        int expect;
} hellos[] = {
        {"plain", 0, 4096, 0, 0, NULL, 0},
        {"all attach flags", 1, 4096, 0x3fff, 0x3fff, NULL, 0},
        {"any attach flags", 1, 4096, ~0ULL, ~0ULL, NULL, 0},
        {"no pool", 0, 0, 0, 0, NULL, -EINVAL},
        {"odd pool", 0, 4097, 0, 0, NULL, -EINVAL},
        {"unknown send flag", 0, 4096, 0x4000, 0, NULL, -EINVAL},
        {"unknown recv flag", 0, 4096, 0, 0x4000, NULL, -EINVAL},
        {"two kinds", 6, 4096, 0, 0, "com.example.A", -EINVAL},
        {"three kinds", 14, 4096, 0, 0, "com.example.A", -EINVAL},
        {"name without kind", 0, 4096, 0, 0, "com.example.A", -EINVAL},
        {"name of a monitor", 8, 4096, 0, 0, "com.example.A", -EINVAL},
        {"activator without name", 2, 4096, 0, 0, NULL, -EINVAL},
        {"holder without name", 4, 4096, 0, 0, NULL, -EINVAL},
        {"activator", 2, 4096, 0, 0, "com.example.A", 0},
        {"holder", 4, 4096, 0, 0, "com.example.A", 0},
        {"holder with wildcard", 4, 4096, 0, 0, "com.example.*", 0},
        {"activator with bad name", 2, 4096, 0, 0, "com", -EINVAL},
        {"monitor", 8, 4096, 0, 0, NULL, 0},
};

START_TEST(hello_checks_what_it_is_told)
{
        struct build c;
        int fd = handle_of(ENDPOINT);

        build_init(&c, sizeof(c.hello), hellos[_i].flags);
        c.hello.pool_size = hellos[_i].pool;
        c.hello.attach_flags_send = hellos[_i].send;
        c.hello.attach_flags_recv = hellos[_i].recv;
        if (hellos[_i].name)
                build_string(&c, KDBUS_ITEM_NAME, hellos[_i].name);
        ck_assert_int_eq(build_run(&c, fd, KDBUS_CMD_HELLO), hellos[_i].expect);
        if (hellos[_i].expect == 0)
                ck_assert_uint_gt(c.hello.id, b.id);
        else /* the handle is as unused as before */
                ck_assert_int_eq(conn_hello(&(struct conn){.fd = fd}, 0, NULL), 0);
        close(fd);
}
END_TEST

START_TEST(hello_hands_out_the_bloom_parameters)
{
        int fd = handle_of(ENDPOINT);
        struct kdbus_item *item;
        struct build c;
        uint8_t *pool;

        build_init(&c, sizeof(c.hello), 0);
        c.hello.pool_size = 4096;
        ck_assert_int_eq(build_run(&c, fd, KDBUS_CMD_HELLO), 0);
        ck_assert_uint_eq(c.hello.offset, 0);
        ck_assert_uint_eq(c.hello.items_size, 0x20);
        pool = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        item = (void *)pool;
        ck_assert_uint_eq(item->type, KDBUS_ITEM_BLOOM_PARAMETER);
        ck_assert_uint_eq(item->bloom_parameter.size, BLOOM_SIZE);
        ck_assert_uint_eq(item->bloom_parameter.n_hash, 8);
        munmap(pool, 4096);
        close(fd);
}
END_TEST

/* --- BUS_MAKE --- */

static const struct {
        const char *suffix;
        uint64_t bloom, n_hash, attach;
        int expect;
} buses[] = {
        {"ok", 64, 8, 0, 0},          {"dots.and-dashes", 8, 1, 0, 0},  {"a_b", 4096, 1, ~0ULL, 0},
        {"bad@", 64, 8, 0, -EINVAL},  {"end-", 64, 8, 0, -EINVAL},      {"end.", 64, 8, 0, -EINVAL},
        {"sp ace", 64, 8, 0, -EINVAL}, {"ok", 0, 8, 0, -EINVAL},        {"ok", 12, 8, 0, -EINVAL},
        {"ok", 4104, 8, 0, -EINVAL},  {"ok", 64, 0, 0, -EINVAL},        {"ok", 64, 8, 0x4000, -EINVAL},
        {"0123456789012345678901234567890123456789012345678901234567890123456789", 64, 8, 0,
         -ENAMETOOLONG},
};

START_TEST(a_bus_has_a_name_and_bloom_parameters)
{
        struct kdbus_bloom_parameter bloom = {buses[_i].bloom, buses[_i].n_hash};
        int fd = handle_of(CONTROL);
        struct build c;

        build_init(&c, sizeof(c.cmd), 0);
        build_string(&c, KDBUS_ITEM_MAKE_NAME, bus_name(buses[_i].suffix));
        build_add(&c, KDBUS_ITEM_BLOOM_PARAMETER, &bloom, sizeof(bloom));
        build_u64(&c, KDBUS_ITEM_ATTACH_FLAGS_SEND, buses[_i].attach);
        ck_assert_int_eq(build_run(&c, fd, KDBUS_CMD_BUS_MAKE), buses[_i].expect);
        close(fd);
}
END_TEST

START_TEST(a_bus_is_named_after_its_maker)
{
        struct kdbus_bloom_parameter bloom = {64, 8};
        int fd = handle_of(CONTROL);
        struct build c;

        build_init(&c, sizeof(c.cmd), 0);
        build_string(&c, KDBUS_ITEM_MAKE_NAME, "987-foo");
        build_add(&c, KDBUS_ITEM_BLOOM_PARAMETER, &bloom, sizeof(bloom));
        ck_assert_int_eq(build_run(&c, fd, KDBUS_CMD_BUS_MAKE), -EINVAL);
        close(fd);
}
END_TEST

START_TEST(a_bus_is_a_directory_with_owner_and_mode)
{
        static const struct {
                uint64_t flags;
                mode_t dir, file;
        } modes[] = {
                {0, 0500, 0600},
                {KDBUS_MAKE_ACCESS_GROUP, 0550, 0660},
                {KDBUS_MAKE_ACCESS_WORLD, 0555, 0666},
                {KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD, 0555, 0666},
        };
        char name[64], dir[256];
        struct stat st;
        int fd;

        snprintf(name, sizeof(name), "m%d", getpid());
        ck_assert_int_eq(bus_make(&fd, name, modes[_i].flags), 0);
        ck_assert_int_eq(stat(bus_path(name, "bus"), &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, modes[_i].file);
        ck_assert_uint_eq(st.st_uid, geteuid());
        snprintf(dir, sizeof(dir), KDBUS_MOUNT "/%s", bus_name(name));
        ck_assert_int_eq(stat(dir, &st), 0);
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, modes[_i].dir);
        close(fd);
        for (int i = 0; i < 100 && stat(dir, &st) == 0; i++)
                usleep(1000);
        ck_assert_int_eq(stat(dir, &st), -1);
        ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_name_that_is_taken_is_eexist)
{
        int fd;

        ck_assert_int_eq(bus_make(&fd, suffix, 0), -EEXIST);
        close(fd);
}
END_TEST

START_TEST(a_user_makes_sixteen_buses_at_most)
{
        int fds[16], n, fd;
        char name[32];

        for (n = 0; n < 16; n++) {
                snprintf(name, sizeof(name), "b%d-%d", getpid(), n);
                if (bus_make(&fds[n], name, 0))
                        break;
        }
        ck_assert_int_lt(n, 16); /* the fixture's is one of them */
        snprintf(name, sizeof(name), "c%d", getpid());
        ck_assert_int_eq(bus_make(&fd, name, 0), -EMFILE);
        while (n >= 0)
                close(fds[n--]);
        close(fd);
}
END_TEST

START_TEST(a_handle_looks_like_its_node)
{
        struct stat st, node;

        ck_assert_int_eq(fstat(a.fd, &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        ck_assert_int_eq(stat(path_of("bus"), &node), 0);
        ck_assert_uint_eq(st.st_ino, node.st_ino);
}
END_TEST

START_TEST(the_end_of_the_maker_disconnects_everybody)
{
        struct pollfd p = {.fd = a.fd, .events = POLLIN};
        int other = handle_of(ENDPOINT);
        struct build c;

        close(bus_fd);
        bus_fd = -1;
        ck_assert_int_eq(poll(&p, 1, 2000), 1);
        ck_assert(p.revents & POLLHUP);
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), -ECONNRESET);
        build_init(&c, sizeof(c.hello), 0);
        c.hello.pool_size = 4096;
        ck_assert_int_eq(build_run(&c, other, KDBUS_CMD_HELLO), -ESHUTDOWN);
        close(other);
}
END_TEST

/* --- messages --- */

static int memfd_with(const char *data, size_t n, unsigned seals)
{
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
        if (seals)
                ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static void add_memfd(struct build *m, int fd, uint64_t start, uint64_t size)
{
        struct kdbus_memfd item = {.start = start, .size = size, .fd = fd};

        build_add(m, KDBUS_ITEM_PAYLOAD_MEMFD, &item, sizeof(item));
}

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void no_payload_type(struct build *m) { m->msg.payload_type = 0; }
static void broadcast_no_signal(struct build *m) { m->msg.dst_id = KDBUS_DST_ID_BROADCAST; }
static void as_signal(struct build *m)
{
        m->msg.flags |= KDBUS_MSG_SIGNAL;
        msg_bloom(m, 0);
}
static void broadcast_timeout(struct build *m)
{
        broadcast_no_signal(m);
        as_signal(m);
        m->msg.timeout_ns = 1;
}
static void call_no_timeout(struct build *m) { m->msg.flags |= KDBUS_MSG_EXPECT_REPLY; }
static void signal_call(struct build *m)
{
        as_signal(m);
        m->msg.flags |= KDBUS_MSG_EXPECT_REPLY;
        m->msg.timeout_ns = now_ns() + 1000000000;
}
static void signal_reply(struct build *m)
{
        as_signal(m);
        m->msg.cookie_reply = 1;
}
static void vec_too_large(struct build *m)
{
        struct kdbus_vec vec = {2 * 1024 * 1024 + 1, {(uintptr_t)m}};

        build_add(m, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
}
static void vecs_too_large(struct build *m)
{
        struct kdbus_vec vec = {1024 * 1024, {0}};

        for (int i = 0; i < 3; i++)
                build_add(m, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
}
static void vec_kernel_address(struct build *m)
{
        struct kdbus_vec vec = {16, {0xffffffff81000000ULL}};

        build_add(m, KDBUS_ITEM_PAYLOAD_VEC, &vec, sizeof(vec));
}
static void vec_bad_address(struct build *m)
{
        void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        msg_vec(m, nothing, 16);
}
static void vec_empty(struct build *m) { msg_vec(m, "x", 0); }
static void bloom_other_size(struct build *m)
{
        m->msg.flags |= KDBUS_MSG_SIGNAL;
        build_add(m, KDBUS_ITEM_BLOOM_FILTER, NULL, 8 + 32);
}
static void bloom_odd_size(struct build *m)
{
        m->msg.flags |= KDBUS_MSG_SIGNAL;
        build_add(m, KDBUS_ITEM_BLOOM_FILTER, NULL, 8 + 31);
}
static void signal_no_bloom(struct build *m) { m->msg.flags |= KDBUS_MSG_SIGNAL; }
static void bloom_no_signal(struct build *m) { msg_bloom(m, 0); }
static void nobody(struct build *m) { m->msg.dst_id = 0; }
static void bad_name(struct build *m) { build_string(m, KDBUS_ITEM_DST_NAME, "nodots"); }
static void broadcast_name(struct build *m)
{
        broadcast_no_signal(m);
        as_signal(m);
        build_string(m, KDBUS_ITEM_DST_NAME, "com.example.X");
}
static void broadcast_fds(struct build *m)
{
        int fd = 0;

        broadcast_no_signal(m);
        as_signal(m);
        build_add(m, KDBUS_ITEM_FDS, &fd, sizeof(fd));
}
static void fds(struct build *m, size_t n, int fd)
{
        int list[64];

        for (size_t i = 0; i < n; i++)
                list[i] = fd;
        build_add(m, KDBUS_ITEM_FDS, list, n * sizeof(int));
}
static void fd_bad(struct build *m) { fds(m, 1, 777); }
static void fd_negative(struct build *m) { fds(m, 1, -1); }
static void fd_good(struct build *m) { fds(m, 1, bus_fd < 0 ? 0 : open("/dev/null", O_RDONLY)); }
static void fd_handle(struct build *m) { fds(m, 1, a.fd); }
static void fd_path(struct build *m) { fds(m, 1, open(path_of("bus"), O_PATH)); }
static void fd_socket(struct build *m) { fds(m, 1, socket(AF_UNIX, SOCK_STREAM, 0)); }
static void fds_sixteen(struct build *m) { fds(m, 16, open("/dev/null", O_RDONLY)); }
static void fds_too_many(struct build *m) { fds(m, 17, open("/dev/null", O_RDONLY)); }
static void fds_twice(struct build *m)
{
        fd_good(m);
        fd_good(m);
}
static void memfd_good(struct build *m) { add_memfd(m, memfd_with("12345678", 8, ALL_SEALS), 0, 8); }
static void memfd_part(struct build *m) { add_memfd(m, memfd_with("12345678", 8, ALL_SEALS), 3, 2); }
static void memfd_beyond(struct build *m) { add_memfd(m, memfd_with("1234", 4, ALL_SEALS), 0, 8); }
static void memfd_wraps(struct build *m) { add_memfd(m, memfd_with("1234", 4, ALL_SEALS), ~0ULL, 8); }
static void memfd_open(struct build *m) { add_memfd(m, memfd_with("1234", 4, 0), 0, 4); }
static void memfd_half(struct build *m) { add_memfd(m, memfd_with("1234", 4, F_SEAL_WRITE), 0, 4); }
static void memfd_file(struct build *m) { add_memfd(m, open("/dev/null", O_RDONLY), 0, 4); }
static void memfd_bad(struct build *m) { add_memfd(m, 777, 0, 4); }
static void memfd_negative(struct build *m) { add_memfd(m, -1, 0, 4); }
static void memfd_empty(struct build *m) { add_memfd(m, memfd_with("1", 1, ALL_SEALS), 0, 0); }
static void memfds(struct build *m, int n)
{
        int fd = memfd_with("1234", 4, ALL_SEALS);

        while (n--)
                add_memfd(m, fd, 0, 4);
}
static void memfds_sixteen(struct build *m) { memfds(m, 16); }
static void memfds_too_many(struct build *m) { memfds(m, 17); }
static void own_source(struct build *m) { m->msg.src_id = a.id; }
static void other_source(struct build *m) { m->msg.src_id = b.id; }
static void unknown_id(struct build *m) { m->msg.dst_id = 1ULL << 40; }
static void unknown_name(struct build *m)
{
        m->msg.dst_id = 0;
        build_string(m, KDBUS_ITEM_DST_NAME, "com.example.Nobody");
}
static void name_of_other_id(struct build *m)
{
        ck_assert_int_eq(name_acquire(&a, "com.example.Mine", 0, NULL), 0);
        build_string(m, KDBUS_ITEM_DST_NAME, "com.example.Mine");
}
static void name_and_id(struct build *m)
{
        ck_assert_int_eq(name_acquire(&b, "com.example.Yours", 0, NULL), 0);
        build_string(m, KDBUS_ITEM_DST_NAME, "com.example.Yours");
}
static void reply_unasked(struct build *m) { m->msg.cookie_reply = 5; }
static void unknown_item(struct build *m) { build_u64(m, KDBUS_ITEM_ID, 1); }
static void nothing_special(struct build *m) {}
static void priority(struct build *m) { m->msg.priority = -5; }
static void signal_to_one(struct build *m) { as_signal(m); }
static void broadcast(struct build *m)
{
        broadcast_no_signal(m);
        as_signal(m);
}

/* a message to b, changed by @change */
static const struct {
        const char *what;
        void (*change)(struct build *m);
        int expect;
} messages[] = {
        {"plain", nothing_special, 0},
        {"with priority", priority, 0},
        {"own source id", own_source, 0},
        {"signal", signal_to_one, 0},
        {"broadcast", broadcast, 0},
        {"sealed memfd", memfd_good, 0},
        {"part of a memfd", memfd_part, 0},
        {"sixteen memfds", memfds_sixteen, 0},
        {"a descriptor", fd_good, 0},
        {"sixteen descriptors", fds_sixteen, 0},
        {"an O_PATH descriptor of a node", fd_path, 0},
        {"name and id", name_and_id, 0},
        {"source of another", other_source, -EINVAL},
        {"kernel payload", no_payload_type, -EINVAL},
        {"broadcast without signal", broadcast_no_signal, -EBADMSG},
        {"broadcast with timeout", broadcast_timeout, -ENOTUNIQ},
        {"call without timeout", call_no_timeout, -EINVAL},
        {"signal that is a call", signal_call, -ENOTUNIQ},
        {"signal that is a reply", signal_reply, -EINVAL},
        {"vec of 2 MiB and a byte", vec_too_large, -EMSGSIZE},
        {"vecs of 3 MiB", vecs_too_large, -EMSGSIZE},
        {"vec at a kernel address", vec_kernel_address, -EFAULT},
        {"vec at a bad address", vec_bad_address, -EFAULT},
        {"empty vec", vec_empty, -EINVAL},
        {"filter of another size", bloom_other_size, -EDOM},
        {"filter of an odd size", bloom_odd_size, -EFAULT},
        {"signal without filter", signal_no_bloom, -EBADMSG},
        {"filter without signal", bloom_no_signal, -EBADMSG},
        {"to nobody", nobody, -EDESTADDRREQ},
        {"invalid name", bad_name, -EINVAL},
        {"broadcast to a name", broadcast_name, -EBADMSG},
        {"broadcast with descriptors", broadcast_fds, -ENOTUNIQ},
        {"no such descriptor", fd_bad, -EBADF},
        {"negative descriptor", fd_negative, -EBADF},
        {"a kdbus handle", fd_handle, -EOPNOTSUPP},
        {"a UNIX socket", fd_socket, -EOPNOTSUPP},
        {"seventeen descriptors", fds_too_many, -EMFILE},
        {"two lists of descriptors", fds_twice, -EINVAL},
        {"memfd beyond its end", memfd_beyond, -EFAULT},
        {"memfd that wraps", memfd_wraps, -EMSGSIZE},
        {"memfd without seals", memfd_open, -ETXTBSY},
        {"memfd with some seals", memfd_half, -ETXTBSY},
        {"memfd that is none", memfd_file, -EMEDIUMTYPE},
        {"no such memfd", memfd_bad, -EBADF},
        {"negative memfd", memfd_negative, -EBADF},
        {"empty memfd", memfd_empty, -EINVAL},
        {"seventeen memfds", memfds_too_many, -E2BIG},
        {"unknown id", unknown_id, -ENXIO},
        {"unknown name", unknown_name, -ESRCH},
        {"name of another id", name_of_other_id, -EREMCHG},
        {"reply to no call", reply_unasked, -EBADSLT},
        {"undeclared item", unknown_item, -EINVAL},
};

START_TEST(a_message_is_judged_by_the_rules)
{
        struct build m;

        msg_init(&m, b.id, NULL, 0, 1);
        messages[_i].change(&m);
        ck_assert_msg(msg_send(&a, &m, 0, NULL) == messages[_i].expect, "%s", messages[_i].what);
}
END_TEST

START_TEST(a_message_arrives_as_it_was_sent)
{
        struct kdbus_msg *msg;
        struct kdbus_item *part;
        struct build m;

        msg_init(&m, b.id, NULL, KDBUS_MSG_NO_AUTO_START, 77);
        m.msg.priority = -3;
        msg_vec(&m, "hello", 6);
        msg_vec(&m, NULL, 13);
        msg_vec(&m, "world", 6);
        ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_uint_eq(msg->src_id, a.id);
        ck_assert_uint_eq(msg->dst_id, b.id);
        ck_assert_uint_eq(msg->cookie, 77);
        ck_assert_int_eq(msg->priority, -3);
        ck_assert_uint_eq(msg->flags, KDBUS_MSG_NO_AUTO_START);
        ck_assert_uint_eq(msg->payload_type, KDBUS_PAYLOAD_DBUS);
        part = &msg->items[0];
        ck_assert_uint_eq(part->type, KDBUS_ITEM_PAYLOAD_OFF);
        ck_assert_uint_eq(part->vec.offset % 8, 0);
        ck_assert_str_eq((char *)msg + part->vec.offset, "hello");
        ck_assert_uint_eq(((struct kdbus_item *)((char *)part + 32))->vec.offset, ~0ULL);
        ck_assert_uint_eq(((struct kdbus_item *)((char *)part + 32))->vec.size, 13);
        /* 6 bytes, then 13 % 8 of filler */
        ck_assert_uint_eq(((struct kdbus_item *)((char *)part + 64))->vec.offset,
                          part->vec.offset + 6 + 5);
        ck_assert_str_eq((char *)msg + ((struct kdbus_item *)((char *)part + 64))->vec.offset, "world");
        msg_free(&b, msg);
}
END_TEST

/* sizes around the limits of what travels how */
START_TEST(a_payload_of_any_size_arrives_whole)
{
        static const size_t sizes[] = {1, 7, 8, 4095, 65535, 65536, 65537, 131072, 300000};
        size_t n = sizes[_i];
        uint8_t *data = malloc(n);
        struct kdbus_msg *msg;
        struct build m;

        for (size_t i = 0; i < n; i++)
                data[i] = i * 31 >> 3;
        msg_init(&m, b.id, NULL, 0, 1);
        msg_vec(&m, data, n);
        if (n > 170000) { /* a third of half of the pool */
                ck_assert_int_eq(msg_send(&a, &m, 0, NULL), -ENOBUFS);
        } else {
                ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
                ck_assert_int_eq(memcmp((uint8_t *)msg + msg->items[0].vec.offset, data, n), 0);
        }
        free(data);
}
END_TEST

START_TEST(descriptors_and_memfds_arrive)
{
        int fd = memfd_with("memory", 6, ALL_SEALS), pipe_fds[2];
        struct kdbus_item *item;
        struct kdbus_msg *msg;
        struct build m;
        char buf[8] = {};

        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        msg_init(&m, b.id, NULL, 0, 1);
        msg_vec(&m, "x", 1);
        add_memfd(&m, fd, 1, 4);
        build_add(&m, KDBUS_ITEM_FDS, &pipe_fds[1], sizeof(int));
        ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        item = msg_item(msg, KDBUS_ITEM_PAYLOAD_MEMFD);
        ck_assert_uint_eq(item->memfd.start, 1);
        ck_assert_uint_eq(item->memfd.size, 4);
        ck_assert_int_eq(pread(item->memfd.fd, buf, 4, 1), 4);
        ck_assert_str_eq(buf, "emor");
        ck_assert_int_eq(fcntl(item->memfd.fd, F_GETFD), FD_CLOEXEC);
        item = msg_item(msg, KDBUS_ITEM_FDS);
        ck_assert_int_eq(write(item->fds[0], "y", 1), 1);
        ck_assert_int_eq(read(pipe_fds[0], buf, 1), 1);
        ck_assert_int_eq(buf[0], 'y');
}
END_TEST

START_TEST(a_receiver_may_take_no_descriptors)
{
        struct conn c;
        struct build m;

        ck_assert_int_eq(conn_open(&c, path_of("bus"), 0, NULL), 0);
        msg_init(&m, c.id, NULL, 0, 1);
        fd_good(&m);
        ck_assert_int_eq(msg_send(&a, &m, 0, NULL), -ECOMM);
        msg_init(&m, c.id, NULL, 0, 1);
        memfd_good(&m);
        ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
        conn_close(&c);
}
END_TEST

/* --- receiving --- */

START_TEST(nothing_to_receive_is_eagain)
{
        static const uint64_t flags[] = {0, KDBUS_RECV_PEEK, KDBUS_RECV_DROP, KDBUS_RECV_USE_PRIORITY};
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = flags[_i]};

        ck_assert_int_eq(run(a.fd, KDBUS_CMD_RECV, &cmd), -EAGAIN);
        ck_assert_uint_eq(cmd.msg.offset, POOL_SIZE);
        ck_assert_uint_eq(cmd.msg.msg_size, 0);
        ck_assert_uint_eq(cmd.dropped_msgs, 0);
}
END_TEST

START_TEST(drop_by_priority_is_refused)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd),
                                     .flags = KDBUS_RECV_DROP | KDBUS_RECV_USE_PRIORITY};

        ck_assert_int_eq(run(a.fd, KDBUS_CMD_RECV, &cmd), -EINVAL);
}
END_TEST

START_TEST(a_peeked_message_stays)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_PEEK};
        uint64_t offset;

        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 5), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
        offset = cmd.msg.offset;
        ck_assert_int_eq(conn_free(&b, offset), 0);
        ck_assert_int_eq(conn_free(&b, offset), -ENXIO);
        cmd.flags = 0;
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
        ck_assert_uint_eq(cmd.msg.offset, offset);
        ck_assert_int_eq(conn_free(&b, offset), 0);
}
END_TEST

START_TEST(a_dropped_message_is_gone)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_DROP};

        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 5), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
        ck_assert_uint_eq(cmd.msg.offset, POOL_SIZE);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), -EAGAIN);
}
END_TEST

START_TEST(the_most_urgent_comes_first_if_asked)
{
        static const int64_t priorities[] = {5, -10, 0, -10, 7};
        static const uint64_t order[] = {1, 3, 2, 0, 4};
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd), .flags = KDBUS_RECV_USE_PRIORITY};
        struct kdbus_msg *msg;
        struct build m;

        for (uint64_t i = 0; i < ARRAY_SIZE(priorities); i++) {
                msg_init(&m, b.id, NULL, 0, i);
                m.msg.priority = priorities[i];
                ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
        }
        cmd.priority = -11;
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), -EAGAIN);
        cmd.priority = 100;
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
                msg = (void *)(b.pool + cmd.msg.offset);
                ck_assert_uint_eq(msg->cookie, order[i]);
        }
}
END_TEST

START_TEST(poll_says_what_recv_would)
{
        struct pollfd p = {.fd = b.fd, .events = POLLIN | POLLOUT};
        struct kdbus_msg *msg;

        ck_assert_int_eq(poll(&p, 1, 0), 1);
        ck_assert_int_eq(p.revents, POLLOUT);
        for (int round = 0; round < 3; round++) {
                ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
                ck_assert_int_eq(msg_simple(&a, b.id, NULL, 2), 0);
                for (int i = 0; i < 2; i++) {
                        ck_assert_int_eq(poll(&p, 1, 1000), 1);
                        ck_assert_int_eq(p.revents, POLLIN | POLLOUT);
                        ck_assert_int_eq(msg_recv(&b, &msg), 0);
                        msg_free(&b, msg);
                }
                ck_assert_int_eq(poll(&p, 1, 0), 1);
                ck_assert_int_eq(p.revents, POLLOUT);
        }
}
END_TEST

/* each way to look at the queue while messages with and without descriptors are in it */
START_TEST(the_order_is_kept_whatever_way_is_received)
{
        struct kdbus_cmd_recv cmd;
        int fds[1] = {STDIN_FILENO};
        struct build m;

        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1000), 0);
        cmd = (struct kdbus_cmd_recv){.size = sizeof(cmd)};
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0); /* from here on it knows how */
        for (uint64_t i = 0; i < 12; i++) {
                msg_init(&m, b.id, NULL, 0, i);
                m.msg.priority = i;
                if (i % 3 == 1)
                        build_add(&m, KDBUS_ITEM_FDS, fds, sizeof(fds));
                ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
        }
        for (uint64_t i = 0; i < 12; i++) {
                static const uint64_t flags[] = {0, KDBUS_RECV_DROP, KDBUS_RECV_USE_PRIORITY};

                cmd = (struct kdbus_cmd_recv){.size = sizeof(cmd), .flags = KDBUS_RECV_PEEK};
                ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
                ck_assert_uint_eq(((struct kdbus_msg *)(b.pool + cmd.msg.offset))->cookie, i);
                cmd = (struct kdbus_cmd_recv){
                        .size = sizeof(cmd), .flags = flags[(i / 2 + _i) % 3], .priority = 100};
                ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
                if (!(cmd.flags & KDBUS_RECV_DROP))
                        ck_assert_uint_eq(((struct kdbus_msg *)(b.pool + cmd.msg.offset))->cookie, i);
        }
        cmd = (struct kdbus_cmd_recv){.size = sizeof(cmd)};
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), -EAGAIN);
        ck_assert_uint_eq(cmd.msg.offset, b.pool_size);
}
END_TEST

#define SHARED 2000

static uint8_t received[SHARED];

static void *receive_some(void *data)
{
        struct pollfd p = {.fd = b.fd, .events = POLLIN};
        struct kdbus_msg *msg;

        for (;;) {
                if (poll(&p, 1, 10000) != 1)
                        return (void *)"poll says nothing";
                if (msg_recv(&b, &msg))
                        continue;
                if (msg->cookie == SHARED) {
                        msg_free(&b, msg);
                        return NULL;
                }
                __atomic_add_fetch(&received[msg->cookie], 1, __ATOMIC_RELAXED);
                if (conn_free(&b, (uint8_t *)msg - b.pool))
                        return (void *)"free";
        }
}

START_TEST(threads_that_receive_from_one_connection_get_each_message_once)
{
        pthread_t threads[3];
        void *failed;

        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, receive_some, NULL), 0);
        for (int i = 0; i < SHARED + 3; i++)
                while (msg_simple(&a, b.id, NULL, i < SHARED ? i : SHARED) == -ENOBUFS)
                        sched_yield();
        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
                ck_assert_ptr_null(failed);
        }
        for (int i = 0; i < SHARED; i++)
                ck_assert_int_eq(received[i], 1);
}
END_TEST

START_TEST(a_child_receives_from_where_its_parent_stopped)
{
        struct kdbus_msg *msg;
        int status;
        pid_t pid;

        for (int i = 0; i < 9; i++)
                ck_assert_int_eq(msg_simple(&a, b.id, NULL, i), 0);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
        pid = fork();
        for (int i = 3; i < 6 && pid == 0; i++)
                if (msg_recv(&b, &msg) || msg->cookie != (uint64_t)i ||
                    conn_free(&b, (uint8_t *)msg - b.pool))
                        _exit(1);
        if (pid == 0)
                _exit(0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_uint_eq(msg->cookie, 6);
}
END_TEST

START_TEST(a_full_pool_is_free_again_once_its_messages_are)
{
        static char payload[100000];
        struct kdbus_msg *msg;
        struct build m;

        for (int round = 0; round < 200; round++) {
                msg_init(&m, b.id, NULL, 0, round);
                msg_vec(&m, payload, sizeof(payload));
                ck_assert_int_eq(msg_send(&a, &m, 0, NULL), 0);
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
                ck_assert_uint_eq(msg->cookie, round);
                msg_free(&b, msg);
        }
}
END_TEST

START_TEST(a_loss_is_told_by_the_next_receive)
{
        struct kdbus_cmd_recv cmd;
        struct pollfd p = {.fd = b.fd, .events = POLLIN};

        /* the length of a path must not decide how many messages a pool takes */
        ck_assert_int_eq(conn_want(&b, 0), 0);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (int i = 0; i < 260; i++)
                ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0), 0);
        for (int i = 0; i < 256; i++) {
                cmd = (struct kdbus_cmd_recv){.size = sizeof(cmd)};
                ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
                ck_assert_uint_eq(cmd.dropped_msgs, i == 0 ? 4 : 0);
                ck_assert_uint_eq(cmd.return_flags, i == 0 ? KDBUS_RECV_RETURN_DROPPED_MSGS : 0);
        }
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), -EAGAIN);
}
END_TEST

START_TEST(an_offset_is_freed_once_and_only_its_own)
{
        struct kdbus_msg *msg;
        uint64_t offset;

        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        offset = (uint8_t *)msg - b.pool;
        ck_assert_int_eq(conn_free(&b, offset + 8), -ENXIO);
        ck_assert_int_eq(conn_free(&b, POOL_SIZE), 0);
        ck_assert_int_eq(conn_free(&b, offset), 0);
        ck_assert_int_eq(conn_free(&b, offset), -ENXIO);
}
END_TEST

START_TEST(a_queue_holds_256_messages_of_a_user)
{
        for (int i = 0; i < 256; i++)
                ck_assert_int_eq(msg_simple(&a, b.id, NULL, i), 0);
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 256), -ENOBUFS);
}
END_TEST

START_TEST(lost_broadcasts_are_counted)
{
        struct kdbus_cmd_recv cmd = {.size = sizeof(cmd)};

        /* the length of a path must not decide how many messages a pool takes */
        ck_assert_int_eq(conn_want(&b, 0), 0);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (int i = 0; i < 260; i++)
                ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
        ck_assert_uint_eq(cmd.dropped_msgs, 4);
        ck_assert_uint_eq(cmd.return_flags, KDBUS_RECV_RETURN_DROPPED_MSGS);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_RECV, &cmd), 0);
        ck_assert_uint_eq(cmd.dropped_msgs, 0);
}
END_TEST

START_TEST(byebye_wants_an_empty_queue)
{
        struct kdbus_cmd bye = {.size = sizeof(bye)};
        struct kdbus_msg *msg;

        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_BYEBYE, &bye), -EBUSY);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_BYEBYE, &bye), 0);
        ck_assert_uint_eq(msg->cookie, 1); /* the mapping outlives the connection */
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), -ENXIO);
}
END_TEST

/* --- mapping --- */

static const struct {
        size_t length;
        int prot, flags, expect;
} maps[] = {
        {POOL_SIZE, PROT_READ, MAP_SHARED, 0},
        {POOL_SIZE, PROT_READ, MAP_PRIVATE, 0},
        {4096, PROT_READ, MAP_SHARED, 0},
        {POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, EPERM},
        {POOL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, EPERM},
        {POOL_SIZE, PROT_WRITE, MAP_SHARED, EPERM},
        {POOL_SIZE + 4096, PROT_READ, MAP_SHARED, EFAULT},
};

START_TEST(a_pool_is_mapped_for_reading)
{
        void *p = mmap(NULL, maps[_i].length, maps[_i].prot, maps[_i].flags, a.fd, 0);

        ck_assert_int_eq(p == MAP_FAILED ? errno : 0, maps[_i].expect);
        if (p != MAP_FAILED && maps[_i].flags == MAP_SHARED)
                ck_assert_int_eq(mprotect(p, 4096, PROT_READ | PROT_WRITE), -1);
}
END_TEST

START_TEST(only_a_connection_is_mapped)
{
        int fd = handle_of(_i);
        void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

        ck_assert_ptr_eq(p, MAP_FAILED);
        ck_assert_int_eq(errno, EBADFD);
        close(fd);
}
END_TEST

/* --- names --- */

#define PRIMARY  KDBUS_NAME_PRIMARY
#define ACQUIRED KDBUS_NAME_ACQUIRED
#define IN_QUEUE KDBUS_NAME_IN_QUEUE
#define ALLOW    KDBUS_NAME_ALLOW_REPLACEMENT
#define REPLACE  KDBUS_NAME_REPLACE_EXISTING
#define QUEUE    KDBUS_NAME_QUEUE

/* b has asked with @first; then a asks with @flags */
static const struct {
        bool taken;
        uint64_t first, flags;
        int expect;
        uint64_t result;
} requests[] = {
        {false, 0, 0, 0, PRIMARY | ACQUIRED},
        {false, 0, QUEUE, 0, PRIMARY | ACQUIRED | QUEUE},
        {false, 0, ALLOW, 0, PRIMARY | ACQUIRED | ALLOW},
        {false, 0, ALLOW | QUEUE | REPLACE, 0, PRIMARY | ACQUIRED | ALLOW | QUEUE},
        {true, 0, 0, -EEXIST, 0},
        {true, 0, REPLACE, -EEXIST, 0},
        {true, 0, QUEUE, 0, IN_QUEUE | ACQUIRED | QUEUE},
        {true, 0, REPLACE | QUEUE, 0, IN_QUEUE | ACQUIRED | QUEUE},
        {true, ALLOW, 0, -EEXIST, 0},
        {true, ALLOW, QUEUE, 0, IN_QUEUE | ACQUIRED | QUEUE},
        {true, ALLOW, REPLACE, 0, PRIMARY | ACQUIRED},
        {true, ALLOW | QUEUE, REPLACE, 0, PRIMARY | ACQUIRED},
        {true, ALLOW, REPLACE | ALLOW, 0, PRIMARY | ACQUIRED | ALLOW},
};

START_TEST(a_name_is_given_by_the_rules)
{
        uint64_t result = 0;

        if (requests[_i].taken)
                ck_assert_int_eq(name_acquire(&b, "com.example.N", requests[_i].first, NULL), 0);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", requests[_i].flags, &result),
                         requests[_i].expect);
        if (!requests[_i].expect)
                ck_assert_uint_eq(result, requests[_i].result);
}
END_TEST

START_TEST(asking_again_changes_the_flags_only)
{
        uint64_t result;

        ck_assert_int_eq(name_acquire(&a, "com.example.N", QUEUE, NULL), 0);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", ALLOW, &result), 0);
        ck_assert_uint_eq(result, PRIMARY | ALLOW);
        ck_assert_int_eq(name_acquire(&b, "com.example.N", REPLACE, &result), 0);
        ck_assert_uint_eq(result, PRIMARY | ACQUIRED);
        ck_assert_int_eq(name_release(&a, "com.example.N"), -EADDRINUSE); /* it did not queue */
}
END_TEST

START_TEST(a_name_is_released_by_who_has_it)
{
        ck_assert_int_eq(name_release(&a, "com.example.N"), -ESRCH);
        ck_assert_int_eq(name_release(&a, "not a name"), -ESRCH);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(name_release(&b, "com.example.N"), -EADDRINUSE);
        ck_assert_int_eq(name_acquire(&b, "com.example.N", QUEUE, NULL), 0);
        ck_assert_int_eq(name_release(&b, "com.example.N"), 0); /* out of the queue */
        ck_assert_int_eq(name_release(&a, "com.example.N"), 0);
        ck_assert_int_eq(name_release(&a, "com.example.N"), -ESRCH);
}
END_TEST

static const char *const bad_names[] = {"", "a", ".a.b", "a.b.", "a..b", "a.1", "a.*", "*", ":1.1",
                                        "a.b c", "a.b/c"};

START_TEST(an_invalid_name_is_refused)
{
        ck_assert_int_eq(name_acquire(&a, bad_names[_i], 0, NULL), -EINVAL);
}
END_TEST

START_TEST(a_connection_has_256_names_at_most)
{
        char name[32];

        for (int i = 0; i < 256; i++) {
                snprintf(name, sizeof(name), "com.example.n%d", i);
                ck_assert_int_eq(name_acquire(&a, name, 0, NULL), 0);
        }
        ck_assert_int_eq(name_acquire(&a, "com.example.more", 0, NULL), -E2BIG);
}
END_TEST

START_TEST(changes_of_owners_are_told)
{
        static const uint64_t types[] = {KDBUS_ITEM_NAME_ADD, KDBUS_ITEM_NAME_CHANGE,
                                         KDBUS_ITEM_NAME_REMOVE};
        uint64_t ids[] = {0, a.id, b.id, 0};
        struct kdbus_msg *msg;
        struct conn c;

        ck_assert_int_eq(conn_open(&c, path_of("bus"), 0, NULL), 0);
        ck_assert_int_eq(match_all(&c, 1), 0);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(name_acquire(&b, "com.example.N", QUEUE, NULL), 0);
        ck_assert_int_eq(name_release(&a, "com.example.N"), 0);
        ck_assert_int_eq(name_release(&b, "com.example.N"), 0);
        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(msg_recv(&c, &msg), 0);
                ck_assert_uint_eq(msg->src_id, KDBUS_SRC_ID_KERNEL);
                ck_assert_uint_eq(msg->payload_type, KDBUS_PAYLOAD_KERNEL);
                ck_assert_uint_eq(msg->items[0].type, types[i]);
                ck_assert_uint_eq(msg->items[0].name_change.old_id.id, ids[i]);
                ck_assert_uint_eq(msg->items[0].name_change.new_id.id, ids[i + 1]);
        }
        ck_assert_int_eq(msg_recv(&c, &msg), -EAGAIN);
        conn_close(&c);
}
END_TEST

START_TEST(an_activator_stands_in_and_hands_over)
{
        struct kdbus_msg *msg;
        struct conn act;
        struct build m;

        ck_assert_int_eq(conn_open(&act, path_of("bus"), KDBUS_HELLO_ACTIVATOR, "com.example.S"), 0);
        msg_init(&m, 0, "com.example.S", KDBUS_MSG_NO_AUTO_START, 1);
        ck_assert_int_eq(msg_send(&a, &m, 0, NULL), -EADDRNOTAVAIL);
        ck_assert_int_eq(msg_simple(&a, 0, "com.example.S", 2), 0);
        ck_assert_int_eq(msg_simple(&a, act.id, NULL, 3), -ENXIO);
        ck_assert_int_eq(name_acquire(&b, "com.example.S", 0, NULL), 0);
        ck_assert_int_eq(msg_wait(&b, 1000, &msg), 0);
        ck_assert_uint_eq(msg->cookie, 2);
        ck_assert_int_eq(msg_recv(&act, &msg), -EAGAIN);
        ck_assert_int_eq(msg_simple(&a, 0, "com.example.S", 4), 0);
        ck_assert_int_eq(name_release(&b, "com.example.S"), 0);
        ck_assert_int_eq(msg_recv(&act, &msg), 0); /* what was not received goes back */
        ck_assert_uint_eq(msg->cookie, 4);
        conn_close(&act);
}
END_TEST

/* --- looking --- */

static int conn_info(struct conn *c, uint64_t id, const char *name, uint64_t attach,
                     struct kdbus_info **info)
{
        struct build cmd;
        int r;

        build_init(&cmd, sizeof(cmd.info), 0);
        cmd.info.id = id;
        cmd.info.attach_flags = attach;
        if (name)
                build_string(&cmd, KDBUS_ITEM_NAME, name);
        r = build_run(&cmd, c->fd, KDBUS_CMD_CONN_INFO);
        *info = r ? NULL : (struct kdbus_info *)(c->pool + cmd.info.offset);
        return r;
}

START_TEST(a_connection_is_found_by_id_or_name)
{
        struct kdbus_info *info;

        ck_assert_int_eq(name_acquire(&b, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(conn_info(&a, 0, NULL, 0, &info), -EINVAL);
        ck_assert_int_eq(conn_info(&a, 1ULL << 40, NULL, 0, &info), -ENXIO);
        ck_assert_int_eq(conn_info(&a, 0, "com.example.X", 0, &info), -ESRCH);
        ck_assert_int_eq(conn_info(&a, a.id, "com.example.N", 0, &info), -ESRCH);
        ck_assert_int_eq(conn_info(&a, b.id, NULL, 0x4000, &info), -EINVAL);
        ck_assert_int_eq(conn_info(&a, b.id, "com.example.N", 0, &info), 0);
        ck_assert_uint_eq(info->id, b.id);
        ck_assert_int_eq(conn_info(&a, b.id, NULL, _KDBUS_ATTACH_ANY, &info), 0);
        ck_assert_uint_eq(info->id, b.id);
        ck_assert_uint_eq(info->flags, KDBUS_HELLO_ACCEPT_FD);
        ck_assert_uint_eq(info->items[0].type, KDBUS_ITEM_CREDS);
        ck_assert_uint_eq(info->items[0].creds.euid, geteuid());
}
END_TEST

static unsigned count_list(struct conn *c, uint64_t flags, const char *name)
{
        struct kdbus_cmd_list cmd = {.size = sizeof(cmd), .flags = flags};
        unsigned n = 0;

        ck_assert_int_eq(run(c->fd, KDBUS_CMD_LIST, &cmd), 0);
        for (uint64_t at = 0; at < cmd.list_size;) {
                struct kdbus_info *info = (void *)(c->pool + cmd.offset + at);

                if (!name || (info->size > sizeof(*info) &&
                              strcmp((char *)(info + 1) + 16 + 8, name) == 0))
                        n++;
                at += (info->size + 7) & ~7ULL;
        }
        ck_assert_int_eq(conn_free(c, cmd.offset), 0);
        return n;
}

static const struct {
        uint64_t flags;
        unsigned n; /* with one name owned, one queued, one activator */
} lists[] = {
        {0, 0},
        {KDBUS_LIST_UNIQUE, 3},
        {KDBUS_LIST_NAMES, 1},
        {KDBUS_LIST_QUEUED, 1},
        {KDBUS_LIST_ACTIVATORS, 1},
        {KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES, 3},
        {KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED | KDBUS_LIST_ACTIVATORS, 3},
        {0xf, 3},
};

START_TEST(a_list_holds_what_was_asked_for)
{
        struct conn act, mon;

        ck_assert_int_eq(conn_open(&act, path_of("bus"), KDBUS_HELLO_ACTIVATOR, "com.example.S"), 0);
        ck_assert_int_eq(conn_open(&mon, path_of("bus"), KDBUS_HELLO_MONITOR, NULL), 0);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(name_acquire(&b, "com.example.N", QUEUE, NULL), 0);
        ck_assert_uint_eq(count_list(&a, lists[_i].flags, NULL), lists[_i].n);
        conn_close(&act);
        conn_close(&mon);
}
END_TEST

START_TEST(metadata_comes_with_a_message_if_asked_for)
{
        static const uint64_t types[] = {
                KDBUS_ITEM_TIMESTAMP, KDBUS_ITEM_CREDS,    KDBUS_ITEM_PIDS, 0, 0,
                KDBUS_ITEM_TID_COMM,  KDBUS_ITEM_PID_COMM, KDBUS_ITEM_EXE,  KDBUS_ITEM_CMDLINE,
                KDBUS_ITEM_CGROUP,    KDBUS_ITEM_CAPS,
        };
        struct kdbus_msg *msg;
        struct build c;

        if (!types[_i])
                return;
        build_init(&c, sizeof(c.cmd), 0);
        build_u64(&c, KDBUS_ITEM_ATTACH_FLAGS_RECV, 1ULL << _i);
        ck_assert_int_eq(build_run(&c, b.fd, KDBUS_CMD_UPDATE), 0);
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_ptr_nonnull(msg_item(msg, types[_i]));
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (types[i] && i != (size_t)_i)
                        ck_assert_ptr_null(msg_item(msg, types[i]));
}
END_TEST

/* --- matches --- */

static int match(struct conn *c, uint64_t type, const void *payload, size_t n)
{
        struct build cmd;

        build_init(&cmd, sizeof(cmd.match), 0);
        cmd.match.cookie = 9;
        build_add(&cmd, type, payload, n);
        return build_run(&cmd, c->fd, KDBUS_CMD_MATCH_ADD);
}

START_TEST(a_match_selects_broadcasts)
{
        uint8_t all[BLOOM_SIZE], none[BLOOM_SIZE] = {}, two[2 * BLOOM_SIZE] = {};
        uint64_t any = KDBUS_MATCH_ID_ANY, mine = a.id, other = b.id + 1000;
        struct {
                uint64_t type;
                const void *payload;
                size_t n;
                int expect;
                bool heard;
        } rows[] = {
                {KDBUS_ITEM_BLOOM_MASK, none, BLOOM_SIZE, 0, true},
                {KDBUS_ITEM_BLOOM_MASK, all, BLOOM_SIZE, 0, false},
                {KDBUS_ITEM_BLOOM_MASK, two, 2 * BLOOM_SIZE, 0, true},
                {KDBUS_ITEM_BLOOM_MASK, all, BLOOM_SIZE - 8, -EDOM, false},
                {KDBUS_ITEM_BLOOM_MASK, all, 0, -EDOM, false},
                {KDBUS_ITEM_ID, &any, 8, 0, true},
                {KDBUS_ITEM_ID, &mine, 8, 0, true},
                {KDBUS_ITEM_ID, &other, 8, 0, false},
                {KDBUS_ITEM_DST_ID, &any, 8, 0, true},
                {KDBUS_ITEM_DST_ID, &mine, 8, 0, false},
                {KDBUS_ITEM_NAME, "com.example.N", 14, 0, true},
                {KDBUS_ITEM_NAME, "com.example.O", 14, 0, false},
                {KDBUS_ITEM_NAME, "invalid", 8, -EINVAL, false},
                {KDBUS_ITEM_ID_ADD, (uint64_t[2]){any, 0}, 16, 0, false},
        };
        struct kdbus_msg *msg;

        memset(all, 0xff, sizeof(all));
        ck_assert_int_eq(name_acquire(&a, "com.example.N", 0, NULL), 0);
        ck_assert_int_eq(match(&b, rows[_i].type, rows[_i].payload, rows[_i].n), rows[_i].expect);
        ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0x0f), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), rows[_i].heard ? 0 : -EAGAIN);
}
END_TEST

START_TEST(matches_go_by_their_cookie)
{
        struct kdbus_cmd_match cmd = {.size = sizeof(cmd), .cookie = 5};
        struct kdbus_msg *msg;

        ck_assert_int_eq(run(b.fd, KDBUS_CMD_MATCH_REMOVE, &cmd), -EBADSLT);
        ck_assert_int_eq(match_all(&b, 5), 0);
        ck_assert_int_eq(match_all(&b, 5), 0);
        ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), -EAGAIN); /* once, however many match */
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_MATCH_REMOVE, &cmd), 0);
        ck_assert_int_eq(run(b.fd, KDBUS_CMD_MATCH_REMOVE, &cmd), -EBADSLT);
        ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), -EAGAIN);
}
END_TEST

START_TEST(a_connection_has_256_matches_at_most)
{
        for (int i = 0; i < 256; i++)
                ck_assert_int_eq(match_all(&b, i), 0);
        ck_assert_int_eq(match_all(&b, 256), -EMFILE);
}
END_TEST

START_TEST(a_directed_signal_needs_a_match)
{
        struct kdbus_msg *msg;

        ck_assert_int_eq(msg_signal(&a, b.id, 0), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), -EAGAIN);
        ck_assert_int_eq(match_all(&b, 1), 0);
        ck_assert_int_eq(msg_signal(&a, b.id, 0), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
}
END_TEST

START_TEST(a_monitor_sees_everything)
{
        struct kdbus_msg *msg;
        struct conn mon;

        ck_assert_int_eq(conn_open(&mon, path_of("bus"), KDBUS_HELLO_MONITOR, NULL), 0);
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
        ck_assert_int_eq(msg_signal(&a, KDBUS_DST_ID_BROADCAST, 0), 0);
        ck_assert_int_eq(name_acquire(&a, "com.example.N", 0, NULL), 0);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(msg_recv(&mon, &msg), 0);
        ck_assert_uint_eq(msg->items[0].type, KDBUS_ITEM_NAME_ADD);
        conn_close(&mon);
}
END_TEST

/* --- calls --- */

static int call(struct conn *c, uint64_t dst, uint64_t cookie, uint64_t timeout_ms, uint64_t send_flags,
                struct kdbus_msg_info *info)
{
        struct build m;

        msg_init(&m, dst, NULL, KDBUS_MSG_EXPECT_REPLY, cookie);
        m.msg.timeout_ns = now_ns() + timeout_ms * 1000000;
        msg_vec(&m, "call", 5);
        return msg_send(c, &m, send_flags, info);
}

static int reply(struct conn *c, uint64_t dst, uint64_t cookie)
{
        struct build m;

        msg_init(&m, dst, NULL, 0, 99);
        m.msg.cookie_reply = cookie;
        msg_vec(&m, "reply", 6);
        return msg_send(c, &m, 0, NULL);
}

START_TEST(a_reply_needs_an_open_call)
{
        struct kdbus_msg *msg;

        ck_assert_int_eq(call(&a, b.id, 7, 5000, 0, NULL), 0);
        ck_assert_int_eq(reply(&b, a.id, 8), -EBADSLT);
        ck_assert_int_eq(reply(&a, b.id, 7), -EBADSLT);
        ck_assert_int_eq(reply(&b, a.id, 7), 0);
        ck_assert_int_eq(reply(&b, a.id, 7), -EBADSLT);
        ck_assert_int_eq(msg_recv(&a, &msg), 0);
        ck_assert_uint_eq(msg->cookie_reply, 7);
}
END_TEST

START_TEST(a_call_that_is_late_is_told)
{
        struct kdbus_msg *msg;

        ck_assert_int_eq(call(&a, b.id, 7, 20, 0, NULL), 0);
        ck_assert_int_eq(msg_wait(&a, 2000, &msg), 0);
        ck_assert_uint_eq(msg->items[0].type, KDBUS_ITEM_REPLY_TIMEOUT);
        ck_assert_uint_eq(msg->cookie_reply, 7);
        ck_assert_int_eq(reply(&b, a.id, 7), -EBADSLT);
}
END_TEST

START_TEST(a_call_whose_callee_dies_is_told)
{
        struct kdbus_msg *msg;

        ck_assert_int_eq(call(&a, b.id, 7, 5000, 0, NULL), 0);
        conn_close(&b);
        ck_assert_int_eq(msg_wait(&a, 2000, &msg), 0);
        ck_assert_uint_eq(msg->items[0].type, KDBUS_ITEM_REPLY_DEAD);
        ck_assert_int_eq(msg_recv(&a, &msg), -EAGAIN); /* once */
}
END_TEST

START_TEST(a_connection_has_128_open_calls_at_most)
{
        for (int i = 0; i < 128; i++)
                ck_assert_int_eq(call(&a, b.id, i, 5000, 0, NULL), 0);
        ck_assert_int_eq(call(&a, b.id, 128, 5000, 0, NULL), -EMLINK);
}
END_TEST

enum act {
        ANSWER,
        DROP,
        LEAVE,
        SILENCE,
        CALLER_LEAVES,
        CANCEL,
};

struct callee {
        enum act act;
        int cancel_fd;
};

static void *callee(void *data)
{
        struct kdbus_cmd_recv drop = {.size = sizeof(drop), .flags = KDBUS_RECV_DROP};
        struct kdbus_cmd bye = {.size = sizeof(bye)};
        struct pollfd p = {.fd = b.fd, .events = POLLIN};
        struct callee *c = data;
        struct kdbus_msg *msg;
        uint64_t one = 1;

        poll(&p, 1, 2000);
        if (c->act == DROP) {
                run(b.fd, KDBUS_CMD_RECV, &drop);
                return NULL;
        }
        if (msg_recv(&b, &msg))
                return NULL;
        if (c->act == ANSWER)
                reply(&b, a.id, msg->cookie);
        else if (c->act == LEAVE)
                run(b.fd, KDBUS_CMD_BYEBYE, &bye);
        else if (c->act == CALLER_LEAVES)
                run(a.fd, KDBUS_CMD_BYEBYE, &bye);
        else if (c->act == CANCEL && write(c->cancel_fd, &one, sizeof(one)) < 0)
                return NULL;
        return NULL;
}

static const struct {
        enum act act;
        uint64_t timeout_ms;
        int expect;
} syncs[] = {
        {ANSWER, 5000, 0},      {DROP, 5000, -EPIPE},          {LEAVE, 5000, -EPIPE},
        {SILENCE, 50, -ETIMEDOUT}, {CALLER_LEAVES, 5000, -ECONNRESET}, {CANCEL, 5000, -ECANCELED},
};

START_TEST(a_synchronous_call_ends_one_way_or_another)
{
        struct callee c = {.act = syncs[_i].act, .cancel_fd = eventfd(0, EFD_CLOEXEC)};
        struct build m, cmd;
        struct kdbus_msg *msg;
        pthread_t thread;

        pthread_create(&thread, NULL, callee, &c);
        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        m.msg.timeout_ns = now_ns() + syncs[_i].timeout_ms * 1000000;
        m.msg.size = m.n;
        build_init(&cmd, sizeof(cmd.send), KDBUS_SEND_SYNC_REPLY);
        cmd.send.msg_address = (uintptr_t)&m.msg;
        build_add(&cmd, KDBUS_ITEM_CANCEL_FD, &c.cancel_fd, sizeof(int));
        ck_assert_int_eq(build_run(&cmd, a.fd, KDBUS_CMD_SEND), syncs[_i].expect);
        if (!syncs[_i].expect) {
                msg = (void *)(a.pool + cmd.send.reply.offset);
                ck_assert_uint_eq(msg->cookie_reply, 7);
                ck_assert_int_eq(conn_free(&a, cmd.send.reply.offset), 0);
        }
        pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_synchronous_call_with_an_odd_cancel_descriptor)
{
        static const struct {
                const char *path;
                int expect;
        } rows[] = {{NULL, -EBADF}, {"/etc/passwd", -EINVAL}};
        struct build m, cmd;
        int fd = rows[_i].path ? open(rows[_i].path, O_RDONLY) : 777;

        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        m.msg.size = m.n;
        build_init(&cmd, sizeof(cmd.send), KDBUS_SEND_SYNC_REPLY);
        cmd.send.msg_address = (uintptr_t)&m.msg;
        build_add(&cmd, KDBUS_ITEM_CANCEL_FD, &fd, sizeof(int));
        ck_assert_int_eq(build_run(&cmd, a.fd, KDBUS_CMD_SEND), rows[_i].expect);
}
END_TEST

START_TEST(a_deadline_in_the_past_sends_nothing)
{
        struct kdbus_msg *msg;
        struct build m;

        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        m.msg.timeout_ns = 1;
        ck_assert_int_eq(msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, NULL), -ETIMEDOUT);
        ck_assert_int_eq(msg_recv(&b, &msg), -EAGAIN);
}
END_TEST

START_TEST(a_synchronous_send_must_be_a_call)
{
        struct build m;

        msg_init(&m, b.id, NULL, 0, 7);
        ck_assert_int_eq(msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, NULL), -EINVAL);
}
END_TEST

static void nothing(int sig)
{
}

static int status_of(pid_t pid)
{
        int status = -1;

        waitpid(pid, &status, 0);
        return status;
}

/* time for the other side to get where it is meant to be; longer where all is slower */
static void wait_usec(useconds_t usec)
{
        const char *scale = getenv("BUS_TIMEOUT_SCALE");

        usleep(usec * (scale ? atoi(scale) : 1));
}

/* a signal without SA_RESTART ends the wait; the same call again goes on where it stood */
START_TEST(an_interrupted_call_is_resumed)
{
        struct sigaction sa = {.sa_handler = nothing};
        struct kdbus_msg_info info;
        struct kdbus_msg *msg;
        struct build m;
        pid_t pid;

        sigaction(SIGUSR1, &sa, NULL);
        pid = fork();
        if (pid == 0) {
                wait_usec(50000);
                kill(getppid(), SIGUSR1);
                wait_usec(50000);
                if (msg_recv(&b, &msg) || msg->cookie != 7 || reply(&b, a.id, 7))
                        _exit(1);
                _exit(msg_recv(&b, &msg) == -EAGAIN ? 0 : 2); /* it was sent once */
        }
        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        ck_assert_int_eq(msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, &info), -EINTR);
        ck_assert_int_eq(msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, &info), 0);
        msg = (void *)(a.pool + info.offset);
        ck_assert_uint_eq(msg->cookie_reply, 7);
        waitpid(pid, &(int){0}, 0);
}
END_TEST

/* A signal that comes before a supervisor has heard of the call ends it, as the README has it. */
static bool slow_supervisor(void)
{
        return getenv("KDBUS_VIA") && getenv("BUS_TIMEOUT_SCALE");
}

/* with SA_RESTART the program does not notice */
START_TEST(a_restarted_call_goes_on)
{
        struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
        struct kdbus_msg_info info;
        struct kdbus_msg *msg;
        struct build m;
        pid_t pid;
        int r;

        sigaction(SIGUSR1, &sa, NULL);
        pid = fork();
        if (pid == 0) {
                for (int i = 0; i < 3; i++) {
                        wait_usec(30000);
                        kill(getppid(), SIGUSR1);
                }
                wait_usec(50000);
                if (msg_recv(&b, &msg) || msg->cookie != 7 || reply(&b, a.id, 7))
                        _exit(1);
                _exit(msg_recv(&b, &msg) == -EAGAIN ? 0 : 2); /* it was sent once */
        }
        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        do
                r = msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, &info);
        while (r == -EINTR && slow_supervisor());
        ck_assert_int_eq(r, 0);
        msg = (void *)(a.pool + info.offset);
        ck_assert_uint_eq(msg->cookie_reply, 7);
        ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

/* RECV never waits, and a synchronous call always does */
START_TEST(nonblocking_changes_nothing)
{
        struct callee c = {.act = ANSWER, .cancel_fd = -1};
        struct kdbus_msg_info info;
        struct kdbus_msg *msg;
        pthread_t thread;
        struct build m;

        ck_assert_int_eq(fcntl(a.fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
        ck_assert_int_eq(msg_recv(&a, &msg), -EAGAIN);
        pthread_create(&thread, NULL, callee, &c);
        msg_init(&m, b.id, NULL, KDBUS_MSG_EXPECT_REPLY, 7);
        ck_assert_int_eq(msg_send(&a, &m, KDBUS_SEND_SYNC_REPLY, &info), 0);
        pthread_join(thread, NULL);
        ck_assert(fcntl(a.fd, F_GETFL) & O_NONBLOCK);
}
END_TEST

/* --- sharing a handle --- */

START_TEST(a_handle_is_shared_by_fork_and_dup)
{
        struct kdbus_msg *msg;
        int copy = dup(a.fd), status;
        pid_t pid = fork();

        if (pid == 0)
                _exit(msg_simple(&a, b.id, NULL, 11) ? 1 : 0);
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        close(a.fd);
        a.fd = copy; /* the connection lives while one copy does */
        ck_assert_int_eq(msg_simple(&a, b.id, NULL, 12), 0);
        for (uint64_t cookie = 11; cookie <= 12; cookie++) {
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
                ck_assert_uint_eq(msg->cookie, cookie);
                ck_assert_uint_eq(msg->src_id, a.id);
        }
}
END_TEST

static void *many_sends(void *data)
{
        struct conn *c = data;

        for (int i = 0; i < 60; i++)
                if (msg_simple(c, b.id, NULL, i))
                        return (void *)1;
        return NULL;
}

START_TEST(threads_share_a_handle)
{
        pthread_t threads[4];
        struct kdbus_msg *msg;
        void *failed;
        int n = 0;

        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, many_sends, &a);
        for (int i = 0; i < 4; i++) {
                pthread_join(threads[i], &failed);
                ck_assert_ptr_null(failed);
        }
        while (msg_recv(&b, &msg) == 0)
                n++;
        ck_assert_int_eq(n, 4 * 60);
}
END_TEST

START_TEST(closing_tells_the_others_at_once)
{
        struct kdbus_msg *msg;
        uint64_t id = b.id;

        ck_assert_int_eq(match_all(&a, 1), 0);
        conn_close(&b);
        ck_assert_int_eq(msg_recv(&a, &msg), 0);
        ck_assert_uint_eq(msg->items[0].type, KDBUS_ITEM_ID_REMOVE);
        ck_assert_uint_eq(msg->items[0].id_change.id, id);
}
END_TEST

/* a new program: the test itself, as main() has it */
_Noreturn static void become_sender(int fd, uint64_t dst)
{
        char fd_text[16], dst_text[32];
        char *argv[] = {(char *)"scenario-kdbus", (char *)"--send", fd_text, dst_text, NULL};

        snprintf(fd_text, sizeof(fd_text), "%d", fd);
        snprintf(dst_text, sizeof(dst_text), "%llu", (unsigned long long)dst);
        execv("/proc/self/exe", argv);
        _exit(127);
}

START_TEST(a_handle_survives_exec)
{
        struct kdbus_msg *msg;
        pid_t pid = fork();

        if (pid == 0) {
                fcntl(a.fd, F_SETFD, 0);
                become_sender(a.fd, b.id);
        }
        ck_assert_int_eq(status_of(pid), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_uint_eq(msg->src_id, a.id);
}
END_TEST

START_TEST(close_on_exec_ends_a_connection)
{
        struct kdbus_msg *msg = NULL;
        int started[2], ends[2];
        struct conn c;
        pid_t pid;

        ck_assert_int_eq(pipe(started), 0);
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                if (conn_open(&c, path_of("bus"), 0, NULL))
                        _exit(1);
                (void)!write(started[1], &c.id, sizeof(c.id));
                if (read(ends[0], &(char){0}, 1) != 1)
                        _exit(1);
                dup2(started[0], 0);
                execl("/bin/cat", "cat", NULL);
                _exit(127);
        }
        ck_assert_int_eq(read(started[0], &c.id, sizeof(c.id)), sizeof(c.id));
        ck_assert_int_eq(match_all(&a, 1), 0);
        ck_assert_int_eq(write(ends[1], "", 1), 1);
        ck_assert_int_eq(msg_wait(&a, 5000, &msg), 0);
        ck_assert_uint_eq(msg->items[0].type, KDBUS_ITEM_ID_REMOVE);
        ck_assert_uint_eq(msg->items[0].id_change.id, c.id);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}
END_TEST

static int take_fd(int socket)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {&(char){0}, 1};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
                            .msg_control = &control, .msg_controllen = sizeof(control)};
        int fd = -1;

        if (recvmsg(socket, &mh, 0) == 1 && CMSG_FIRSTHDR(&mh))
                memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
        return fd;
}

static void pass_fd(int socket, int fd)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control = {.align = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec iov = {&(char){0}, 1};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
                            .msg_control = &control, .msg_controllen = sizeof(control)};

        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
        ck_assert_int_eq(sendmsg(socket, &mh, 0), 1);
}

START_TEST(a_handle_is_passed_over_a_socket)
{
        struct kdbus_msg *msg = NULL;
        int ends[2];
        struct conn c;
        pid_t pid;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
        pid = fork();
        if (pid == 0) {
                c.fd = take_fd(ends[1]);
                _exit(msg_simple(&c, b.id, NULL, 5) ? 1 : 0);
        }
        ck_assert_int_eq(conn_open(&c, path_of("bus"), 0, NULL), 0);
        pass_fd(ends[0], c.fd);
        ck_assert_int_eq(status_of(pid), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_uint_eq(msg->src_id, c.id);
        conn_close(&c);
}
END_TEST

START_TEST(epoll_tells_levels_and_edges)
{
        int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event ev = {.events = EPOLLIN};
        struct kdbus_msg *msg;

        ck_assert_int_eq(epoll_ctl(level, EPOLL_CTL_ADD, b.fd, &ev), 0);
        ev.events = EPOLLIN | EPOLLET;
        ck_assert_int_eq(epoll_ctl(edge, EPOLL_CTL_ADD, b.fd, &ev), 0);
        for (int round = 0; round < 3; round++) {
                ck_assert_int_eq(epoll_wait(level, &ev, 1, 0), 0);
                ck_assert_int_eq(epoll_wait(edge, &ev, 1, 0), 0);
                ck_assert_int_eq(msg_simple(&a, b.id, NULL, 1), 0);
                for (int i = 0; i < 2; i++) {
                        ck_assert_int_eq(epoll_wait(level, &ev, 1, 1000), 1);
                        ck_assert_int_eq(ev.events, EPOLLIN);
                }
                ck_assert_int_eq(epoll_wait(edge, &ev, 1, 1000), 1);
                ck_assert_int_eq(epoll_wait(edge, &ev, 1, 0), 0);
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
        }
        close(level);
        close(edge);
}
END_TEST

START_TEST(select_waits_for_a_message)
{
        struct timeval patience = {.tv_sec = 5};
        struct kdbus_msg *msg;
        pid_t pid = fork();
        fd_set set;

        if (pid == 0) {
                usleep(50000);
                _exit(msg_simple(&a, b.id, NULL, 1) ? 1 : 0);
        }
        FD_ZERO(&set);
        FD_SET(b.fd, &set);
        ck_assert_int_eq(select(b.fd + 1, &set, NULL, NULL, &patience), 1);
        ck_assert_int_eq(msg_recv(&b, &msg), 0);
        ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

/* --- endpoints and policy --- */

START_TEST(a_custom_endpoint_denies_until_it_is_told)
{
        struct kdbus_policy_access world = {KDBUS_POLICY_ACCESS_WORLD, KDBUS_POLICY_TALK, 0};
        struct kdbus_info *info;
        char name[64];
        struct conn c;
        struct build u;
        int fd;

        ck_assert_int_eq(endpoint_make(&fd), 0);
        ck_assert_int_eq(name_acquire(&b, "com.example.N", 0, NULL), 0);
        snprintf(name, sizeof(name), "%u-ep", geteuid());
        ck_assert_int_eq(conn_open(&c, path_of(name), 0, NULL), 0);
        ck_assert_int_eq(conn_info(&c, b.id, NULL, 0, &info), -ENXIO);
        ck_assert_int_eq(conn_info(&c, 0, "com.example.N", 0, &info), -ESRCH);
        ck_assert_int_eq(msg_simple(&c, 0, "com.example.N", 1), -EPERM);
        ck_assert_int_eq(name_acquire(&c, "com.example.M", 0, NULL), -EPERM);
        build_init(&u, sizeof(u.cmd), 0);
        build_string(&u, KDBUS_ITEM_NAME, "com.example.N");
        build_add(&u, KDBUS_ITEM_POLICY_ACCESS, &world, sizeof(world));
        ck_assert_int_eq(build_run(&u, fd, KDBUS_CMD_ENDPOINT_UPDATE), 0);
        ck_assert_int_eq(conn_info(&c, 0, "com.example.N", 0, &info), 0);
        close(fd);
        for (int i = 0; i < 100 && msg_simple(&c, b.id, NULL, 1) != -ECONNRESET; i++)
                usleep(1000);
        ck_assert_int_eq(msg_simple(&c, b.id, NULL, 1), -ECONNRESET);
        conn_close(&c);
}
END_TEST

static const struct {
        bool name_first;
        struct kdbus_policy_access access;
        int expect;
} policies[] = {
        {true, {KDBUS_POLICY_ACCESS_USER, KDBUS_POLICY_OWN, 0}, 0},
        {true, {KDBUS_POLICY_ACCESS_GROUP, KDBUS_POLICY_SEE, 5}, 0},
        {true, {KDBUS_POLICY_ACCESS_WORLD, KDBUS_POLICY_TALK, 0}, 0},
        {false, {KDBUS_POLICY_ACCESS_WORLD, KDBUS_POLICY_TALK, 0}, -EINVAL},
        {true, {KDBUS_POLICY_ACCESS_NULL, KDBUS_POLICY_TALK, 0}, -EINVAL},
        {true, {4, KDBUS_POLICY_TALK, 0}, -EINVAL},
        {true, {KDBUS_POLICY_ACCESS_WORLD, 3, 0}, -EINVAL},
        {true, {KDBUS_POLICY_ACCESS_USER, KDBUS_POLICY_OWN, ~0ULL}, -EINVAL},
};

START_TEST(a_policy_is_checked)
{
        struct build u;
        int fd;

        ck_assert_int_eq(endpoint_make(&fd), 0);
        build_init(&u, sizeof(u.cmd), 0);
        if (policies[_i].name_first)
                build_string(&u, KDBUS_ITEM_NAME, "com.example.N");
        build_add(&u, KDBUS_ITEM_POLICY_ACCESS, &policies[_i].access, sizeof(policies[_i].access));
        ck_assert_int_eq(build_run(&u, fd, KDBUS_CMD_ENDPOINT_UPDATE), policies[_i].expect);
        close(fd);
}
END_TEST

START_TEST(a_name_has_one_policy_holder)
{
        struct conn one, two;

        ck_assert_int_eq(conn_open(&one, path_of("bus"), KDBUS_HELLO_POLICY_HOLDER, "com.example.N"), 0);
        ck_assert_int_eq(conn_open(&two, path_of("bus"), KDBUS_HELLO_POLICY_HOLDER, "com.example.N"),
                         -EEXIST);
        conn_close(&one);
        ck_assert_int_eq(conn_hello(&two, KDBUS_HELLO_POLICY_HOLDER, "com.example.N"), 0);
        conn_close(&two);
}
END_TEST

/* --- broadcasts that nobody waits for --- */

/* what is the same for all messages of a connection: then many broadcasts need no request each */
static void want_little(struct conn *c)
{
        ck_assert_int_eq(conn_want(c, KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES), 0);
}

static int announce(struct conn *c, uint64_t cookie, size_t n)
{
        uint8_t payload[8192];
        struct build m;

        msg_init(&m, KDBUS_DST_ID_BROADCAST, NULL, KDBUS_MSG_SIGNAL, cookie);
        memset(payload, (uint8_t)cookie, n);
        msg_vec(&m, payload, n);
        msg_bloom(&m, 0xff);
        return msg_send(c, &m, 0, NULL);
}

static void expect_cookie(struct conn *c, uint64_t cookie)
{
        struct kdbus_msg *msg;
        struct kdbus_item *off;

        ck_assert_int_eq(msg_recv(c, &msg), 0);
        ck_assert_uint_eq(msg->cookie, cookie);
        off = msg_item(msg, KDBUS_ITEM_PAYLOAD_OFF);
        ck_assert_ptr_nonnull(off);
        if (msg->dst_id == KDBUS_DST_ID_BROADCAST)
                for (size_t i = 0; i < off->vec.size; i++)
                        ck_assert_uint_eq(((uint8_t *)msg)[off->vec.offset + i], (uint8_t)cookie);
        msg_free(c, msg);
}

static void expect_nothing(struct conn *c)
{
        struct kdbus_msg *msg;

        ck_assert_int_eq(msg_recv(c, &msg), -EAGAIN);
}

/* the ways that they may take are several; the order is one */
START_TEST(broadcasts_and_what_else_is_sent_arrive_in_order)
{
        static const size_t sizes[] = {1, 64, 700, 900, 1016, 5000};
        uint64_t sent = 0, heard = 0;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (int round = 0; round < 50; round++) {
                for (int i = 0; i < 20; i++, sent++)
                        ck_assert_int_eq(sent % 7 ? announce(&a, sent, sizes[sent % 6])
                                                  : msg_simple(&a, b.id, NULL, sent),
                                         0);
                for (; heard < sent; heard++)
                        expect_cookie(&b, heard);
                expect_nothing(&b);
        }
}
END_TEST

START_TEST(what_was_broadcast_is_there_at_once)
{
        uint64_t sent = 0, heard = 0;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (int round = 0; round < 500; round++) {
                for (int i = 0; i <= round % 4; i++)
                        ck_assert_int_eq(announce(&a, sent++, 10), 0);
                for (; heard < sent; heard++)
                        expect_cookie(&b, heard);
                expect_nothing(&b);
        }
}
END_TEST

/* hears of each broadcast by a pipe, and receives it */
_Noreturn static void be_told(int from, int to)
{
        struct kdbus_msg *msg;
        struct conn c;
        char byte;

        if (conn_open(&c, path_of("bus"), 0, NULL))
                _exit(1);
        want_little(&c);
        if (match_all(&c, 1) || write(to, "", 1) != 1)
                _exit(2);
        for (uint64_t i = 0; read(from, &byte, 1) == 1; i++) {
                if (msg_recv(&c, &msg) || msg->cookie != i)
                        _exit(3);
                msg_free(&c, msg);
                if (i % 3 == 0 && msg_recv(&c, &msg) != -EAGAIN)
                        _exit(4);
                if (write(to, "", 1) != 1)
                        _exit(5);
        }
        _exit(0);
}

START_TEST(another_process_that_is_told_of_it_finds_it)
{
        int there[2], back[2], status;
        char byte;
        pid_t pid;

        ck_assert_int_eq(pipe(there), 0);
        ck_assert_int_eq(pipe(back), 0);
        pid = fork();
        if (pid == 0) {
                close(there[1]);
                be_told(there[0], back[1]);
        }
        close(there[0]);
        close(back[1]);
        ck_assert_int_eq(read(back[0], &byte, 1), 1);
        for (int i = 0; i < 500; i++) {
                ck_assert_int_eq(announce(&a, i, 10), 0);
                ck_assert_int_eq(write(there[1], "", 1), 1);
                ck_assert_int_eq(read(back[0], &byte, 1), 1);
        }
        close(there[1]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        close(back[0]);
}
END_TEST

START_TEST(who_dies_after_broadcasting_has_been_heard)
{
        uint64_t heard = 0, id = 0;
        struct kdbus_msg *msg;
        pid_t pid;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        pid = fork();
        if (pid == 0) {
                struct conn c;

                if (conn_open(&c, path_of("bus"), 0, NULL))
                        _exit(1);
                for (int i = 0; i < 90; i++)
                        announce(&c, i, 10);
                raise(SIGKILL);
        }
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        while (msg_wait(&b, 5000, &msg) == 0 && msg->items[0].type != KDBUS_ITEM_ID_REMOVE) {
                if (msg->items[0].type == KDBUS_ITEM_ID_ADD)
                        id = msg->items[0].id_change.id;
                else
                        ck_assert_uint_eq(msg->cookie, heard++);
                msg_free(&b, msg);
        }
        ck_assert_uint_eq(heard, 90);
        ck_assert_uint_eq(msg->items[0].id_change.id, id);
        msg_free(&b, msg);
}
END_TEST

START_TEST(a_child_and_its_parent_broadcast_by_one_handle)
{
        uint64_t next[2] = {0};
        struct kdbus_msg *msg;
        int status;
        pid_t pid;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        ck_assert_int_eq(announce(&a, 0, 10), 0);
        expect_cookie(&b, 0);
        pid = fork();
        for (uint64_t i = 0; i < 100; i++)
                if (announce(&a, i + (pid ? 0 : 1000), 10) && !pid)
                        _exit(1);
        if (pid == 0)
                _exit(0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        for (int i = 0; i < 200; i++) {
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
                ck_assert_uint_eq(msg->cookie % 1000, next[msg->cookie / 1000]++);
                msg_free(&b, msg);
        }
        expect_nothing(&b);
}
END_TEST

static void *many_broadcasts(void *p)
{
        uint64_t first = (uintptr_t)p;

        for (uint64_t i = 0; i < 60; i++)
                if (announce(&a, first + i, 1))
                        return (void *)1;
        return NULL;
}

START_TEST(threads_broadcast_by_one_handle)
{
        uint64_t next[4] = {0};
        struct kdbus_msg *msg;
        pthread_t threads[4];
        void *failed;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (uintptr_t i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, many_broadcasts, (void *)(i * 1000));
        for (int i = 0; i < 4; i++) {
                pthread_join(threads[i], &failed);
                ck_assert_ptr_null(failed);
        }
        for (int i = 0; i < 4 * 60; i++) {
                ck_assert_int_eq(msg_recv(&b, &msg), 0);
                ck_assert_uint_eq(msg->cookie % 1000, next[msg->cookie / 1000]++);
                msg_free(&b, msg);
        }
        expect_nothing(&b);
}
END_TEST

START_TEST(more_broadcasts_than_are_taken_at_once_all_arrive)
{
        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (uint64_t i = 0; i < 250; i++)
                ck_assert_int_eq(announce(&a, i, 10), 0);
        for (uint64_t i = 0; i < 250; i++)
                expect_cookie(&b, i);
        expect_nothing(&b);
}
END_TEST

START_TEST(two_who_broadcast_are_heard_in_order)
{
        struct kdbus_msg *msg;
        struct conn c;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        ck_assert_int_eq(conn_open(&c, path_of("bus"), 0, NULL), 0);
        ck_assert_int_eq(msg_recv(&b, &msg), 0); /* has come */
        msg_free(&b, msg);
        for (uint64_t i = 0; i < 1000; i += 4) {
                for (uint64_t n = 0; n < 4; n++)
                        ck_assert_int_eq(announce((i / 100 + n) % 3 ? &a : &c, i + n, 10), 0);
                for (uint64_t n = 0; n < 4; n++)
                        expect_cookie(&b, i + n);
        }
        conn_close(&c);
}
END_TEST

START_TEST(who_asks_who_sent_is_told_from_then_on)
{
        struct kdbus_msg *msg;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        for (int round = 0; round < 20; round++) {
                for (int i = 0; i < 8; i++)
                        ck_assert_int_eq(announce(&a, i, 10), 0);
                ck_assert_int_eq(conn_want(&b, KDBUS_ATTACH_PIDS), 0);
                for (int i = 8; i < 16; i++)
                        ck_assert_int_eq(announce(&a, i, 10), 0);
                want_little(&b);
                for (uint64_t i = 0; i < 16; i++) {
                        ck_assert_int_eq(msg_recv(&b, &msg), 0);
                        ck_assert_uint_eq(msg->cookie, i);
                        ck_assert_int_eq(msg_item(msg, KDBUS_ITEM_PIDS) != NULL, i >= 8);
                        ck_assert_int_eq(msg_item(msg, KDBUS_ITEM_TIMESTAMP) != NULL, i < 8);
                        if (i >= 8)
                                ck_assert_uint_eq(msg_item(msg, KDBUS_ITEM_PIDS)->pids.pid, getpid());
                        msg_free(&b, msg);
                }
        }
}
END_TEST

START_TEST(a_broadcast_is_by_who_had_the_name_when_it_was_sent)
{
        struct build m;

        want_little(&b);
        build_init(&m, sizeof(m.match), 0);
        m.match.cookie = 1;
        build_string(&m, KDBUS_ITEM_NAME, "com.example.Sender");
        ck_assert_int_eq(build_run(&m, b.fd, KDBUS_CMD_MATCH_ADD), 0);
        for (uint64_t i = 0; i < 200; i += 4) {
                ck_assert_int_eq(name_acquire(&a, "com.example.Sender", 0, NULL), 0);
                ck_assert_int_eq(announce(&a, i, 10), 0);
                ck_assert_int_eq(announce(&a, i + 1, 10), 0);
                ck_assert_int_eq(name_release(&a, "com.example.Sender"), 0);
                ck_assert_int_eq(announce(&a, i + 2, 10), 0);
                ck_assert_int_eq(announce(&a, i + 3, 10), 0);
                expect_cookie(&b, i);
                expect_cookie(&b, i + 1);
                expect_nothing(&b);
        }
}
END_TEST

/* descriptors change hands in ways that the C library is asked for, and others */
START_TEST(a_number_means_what_was_put_there_last)
{
        struct conn c;

        want_little(&b);
        ck_assert_int_eq(match_all(&b, 1), 0);
        ck_assert_int_eq(conn_open(&c, path_of("bus"), 0, NULL), 0);
        want_little(&c);
        for (uint64_t i = 0; i < 20; i++) {
                int spare = dup(b.fd);

                ck_assert_int_eq(msg_simple(&a, b.id, NULL, 100 + i), 0);
                ck_assert_int_eq(msg_simple(&a, c.id, NULL, 200 + i), 0);
                if (i == 0) {
                        struct kdbus_msg *msg;

                        ck_assert_int_eq(msg_recv(&b, &msg), 0); /* c came */
                        msg_free(&b, msg);
                }
                expect_cookie(&b, 100 + i);
                ck_assert_int_eq(dup2(c.fd, b.fd), b.fd);
                expect_cookie(&(struct conn){.fd = b.fd, .pool = c.pool}, 200 + i);
                ck_assert_int_eq(dup3(spare, b.fd, O_CLOEXEC), b.fd);
                expect_nothing(&b);
                close(spare);
        }
        conn_close(&c);
}
END_TEST

static void add_all(TCase *t)
{
        tcase_add_loop_test(t, an_unaligned_structure_is_a_fault, 0, N_COMMANDS);
        tcase_add_loop_test(t, memory_that_is_not_there_is_a_fault, 0, N_COMMANDS);
        tcase_add_loop_test(t, a_structure_that_ends_in_the_void_is_a_fault, 0, N_COMMANDS);
        tcase_add_loop_test(t, a_size_below_the_structure_is_refused, 0, N_COMMANDS);
        tcase_add_loop_test(t, a_size_beyond_32_kib_is_too_large, 0, N_COMMANDS);
        tcase_add_loop_test(t, an_unknown_flag_is_refused_and_return_flags_are_written, 0, N_COMMANDS);
        tcase_add_loop_test(t, an_undeclared_item_is_refused, 0, N_COMMANDS);
        tcase_add_loop_test(t, an_item_beyond_its_structure_is_refused, 0, N_COMMANDS);
        tcase_add_loop_test(t, negotiation_tells_flags_and_items_and_does_nothing, 0, N_COMMANDS);
        tcase_add_loop_test(t, a_command_on_another_kind_of_handle_is_ebadfd, 0, N_COMMANDS * N_KINDS);
        tcase_add_loop_test(t, an_unknown_command_is_enotty, 0, N_KINDS);
        tcase_add_loop_test(t, a_disconnected_handle_answers_econnreset, 0, N_COMMANDS);
        tcase_add_loop_test(t, special_connections_may_not_do_everything, 0,
                            ARRAY_SIZE(specials) * N_SPECIAL);
        tcase_add_loop_test(t, hello_checks_what_it_is_told, 0, ARRAY_SIZE(hellos));
        tcase_add_test(t, hello_hands_out_the_bloom_parameters);
        tcase_add_loop_test(t, a_bus_has_a_name_and_bloom_parameters, 0, ARRAY_SIZE(buses));
        tcase_add_test(t, a_bus_is_named_after_its_maker);
        tcase_add_loop_test(t, a_bus_is_a_directory_with_owner_and_mode, 0, 4);
        tcase_add_test(t, a_name_that_is_taken_is_eexist);
        tcase_add_test(t, a_user_makes_sixteen_buses_at_most);
        tcase_add_test(t, a_handle_looks_like_its_node);
        tcase_add_test(t, the_end_of_the_maker_disconnects_everybody);
        tcase_add_loop_test(t, a_message_is_judged_by_the_rules, 0, ARRAY_SIZE(messages));
        tcase_add_test(t, a_message_arrives_as_it_was_sent);
        tcase_add_loop_test(t, a_payload_of_any_size_arrives_whole, 0, 9);
        tcase_add_test(t, descriptors_and_memfds_arrive);
        tcase_add_test(t, a_receiver_may_take_no_descriptors);
        tcase_add_loop_test(t, nothing_to_receive_is_eagain, 0, 4);
        tcase_add_test(t, drop_by_priority_is_refused);
        tcase_add_test(t, a_peeked_message_stays);
        tcase_add_test(t, a_dropped_message_is_gone);
        tcase_add_test(t, the_most_urgent_comes_first_if_asked);
        tcase_add_test(t, poll_says_what_recv_would);
        tcase_add_loop_test(t, the_order_is_kept_whatever_way_is_received, 0, 3);
        tcase_add_test(t, threads_that_receive_from_one_connection_get_each_message_once);
        tcase_add_test(t, a_child_receives_from_where_its_parent_stopped);
        tcase_add_test(t, a_full_pool_is_free_again_once_its_messages_are);
        tcase_add_test(t, a_loss_is_told_by_the_next_receive);
        tcase_add_test(t, an_offset_is_freed_once_and_only_its_own);
        tcase_add_test(t, a_queue_holds_256_messages_of_a_user);
        tcase_add_test(t, lost_broadcasts_are_counted);
        tcase_add_test(t, byebye_wants_an_empty_queue);
        tcase_add_loop_test(t, a_pool_is_mapped_for_reading, 0, ARRAY_SIZE(maps));
        tcase_add_loop_test(t, only_a_connection_is_mapped, 0, CONNECTED);
        tcase_add_loop_test(t, a_name_is_given_by_the_rules, 0, ARRAY_SIZE(requests));
        tcase_add_test(t, asking_again_changes_the_flags_only);
        tcase_add_test(t, a_name_is_released_by_who_has_it);
        tcase_add_loop_test(t, an_invalid_name_is_refused, 0, ARRAY_SIZE(bad_names));
        tcase_add_test(t, a_connection_has_256_names_at_most);
        tcase_add_test(t, changes_of_owners_are_told);
        tcase_add_test(t, an_activator_stands_in_and_hands_over);
        tcase_add_test(t, a_connection_is_found_by_id_or_name);
        tcase_add_loop_test(t, a_list_holds_what_was_asked_for, 0, ARRAY_SIZE(lists));
        tcase_add_loop_test(t, metadata_comes_with_a_message_if_asked_for, 0, 11);
        tcase_add_loop_test(t, a_match_selects_broadcasts, 0, 14);
        tcase_add_test(t, matches_go_by_their_cookie);
        tcase_add_test(t, a_connection_has_256_matches_at_most);
        tcase_add_test(t, a_directed_signal_needs_a_match);
        tcase_add_test(t, a_monitor_sees_everything);
        tcase_add_test(t, a_reply_needs_an_open_call);
        tcase_add_test(t, a_call_that_is_late_is_told);
        tcase_add_test(t, a_call_whose_callee_dies_is_told);
        tcase_add_test(t, a_connection_has_128_open_calls_at_most);
        tcase_add_loop_test(t, a_synchronous_call_ends_one_way_or_another, 0, ARRAY_SIZE(syncs));
        tcase_add_loop_test(t, a_synchronous_call_with_an_odd_cancel_descriptor, 0, 2);
        tcase_add_test(t, a_deadline_in_the_past_sends_nothing);
        tcase_add_test(t, a_synchronous_send_must_be_a_call);
        tcase_add_test(t, an_interrupted_call_is_resumed);
        tcase_add_test(t, a_restarted_call_goes_on);
        tcase_add_test(t, nonblocking_changes_nothing);
        tcase_add_test(t, a_handle_is_shared_by_fork_and_dup);
        tcase_add_test(t, threads_share_a_handle);
        tcase_add_test(t, closing_tells_the_others_at_once);
        tcase_add_test(t, a_handle_survives_exec);
        tcase_add_test(t, close_on_exec_ends_a_connection);
        tcase_add_test(t, a_handle_is_passed_over_a_socket);
        tcase_add_test(t, epoll_tells_levels_and_edges);
        tcase_add_test(t, select_waits_for_a_message);
        tcase_add_test(t, broadcasts_and_what_else_is_sent_arrive_in_order);
        tcase_add_test(t, what_was_broadcast_is_there_at_once);
        tcase_add_test(t, another_process_that_is_told_of_it_finds_it);
        tcase_add_test(t, who_dies_after_broadcasting_has_been_heard);
        tcase_add_test(t, a_child_and_its_parent_broadcast_by_one_handle);
        tcase_add_test(t, threads_broadcast_by_one_handle);
        tcase_add_test(t, more_broadcasts_than_are_taken_at_once_all_arrive);
        tcase_add_test(t, two_who_broadcast_are_heard_in_order);
        tcase_add_test(t, who_asks_who_sent_is_told_from_then_on);
        tcase_add_test(t, a_broadcast_is_by_who_had_the_name_when_it_was_sent);
        tcase_add_test(t, a_number_means_what_was_put_there_last);
        tcase_add_test(t, a_custom_endpoint_denies_until_it_is_told);
        tcase_add_loop_test(t, a_policy_is_checked, 0, ARRAY_SIZE(policies));
        tcase_add_test(t, a_name_has_one_policy_holder);
}

/* what a test executed: one message, through a handle that it was left */
static int send_one(char **argv)
{
        struct conn c = {.fd = atoi(argv[2])};

        return msg_simple(&c, strtoull(argv[3], NULL, 10), NULL, 1) ? 1 : 0;
}

int main(int argc, char **argv)
{
        static const char *const server[] = {KDBUS_SERVE, "@DIR@", NULL};
        TCase *tcase = tcase_create("kdbus");
        Suite *suite = suite_create("kdbus");

        if (argc == 4 && strcmp(argv[1], "--send") == 0)
                _exit(send_one(argv)); /* the suite is not run here */
        harness_enter(argv, server);
        tcase_add_checked_fixture(tcase, setup, teardown);
        add_all(tcase);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
