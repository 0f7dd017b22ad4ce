/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Authentication: conversations, as dbus-daemon 1.14.10 had them with the same client. Each is held
 * line by line, byte by byte, and all at once.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "shim/wire/auth-cookie.h"
#include "shim/wire/auth.h"
#include "shim/wire/test-wire.h"

#define GUID     "0123456789abcdef0123456789abcdef"
#define OK       "OK " GUID "\r\n"
#define REJECTED "REJECTED EXTERNAL DBUS_COOKIE_SHA1 ANONYMOUS\r\n"
#define AGREE    "AGREE_UNIX_FD\r\n"
#define UNKNOWN  "ERROR \"Unknown command\"\r\n"
#define EARLY    "ERROR \"Need to authenticate first\"\r\n"
#define NO_CONV  "ERROR \"Not currently in an auth conversation\"\r\n"
#define BAD_HEX  "ERROR \"Invalid hex encoding\"\r\n"
#define ASCII    "ERROR \"Command contained non-ASCII\"\r\n"
#define BUSY     "ERROR \"Sent AUTH while another AUTH in progress\"\r\n"
#define LATE     "ERROR \"Sent AUTH while expecting BEGIN\"\r\n"
#define LATE_D   "ERROR \"Sent DATA while expecting BEGIN\"\r\n"
#define NO_FDS                                                                                     \
        "ERROR \"Unix FD passing not supported, not authenticated or otherwise not possible\"\r\n"

/* "1000" and its neighbour, "root", in hex */
#define ME    "31303030"
#define OTHER "31303031"
#define ROOT  "726f6f74"

static const struct {
        const char *in, *out;
        int verdict;
} conversations[] = {
        {"\0AUTH EXTERNAL " ME "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", OK AGREE, AUTH_DONE},
        {"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", "DATA\r\n" OK AGREE,
         AUTH_DONE},
        {"\0AUTH EXTERNAL\r\nDATA " ME "\r\nBEGIN\r\n", "DATA\r\n" OK, AUTH_DONE},
        {"\0AUTH ANONYMOUS\r\nBEGIN\r\n", OK, AUTH_DONE},
        {"\0AUTH ANONYMOUS 68c3a9\r\nBEGIN junk\r\n", OK, AUTH_DONE},
        {"\0AUTH\tEXTERNAL\t " ME "\r\nBEGIN\r\n", OK, AUTH_DONE},
        {"\0AUTH EXTERNAL 3078336538\r\nBEGIN\r\n", OK, AUTH_DONE}, /* 0x3e8 */
        {"\0AUTH EXTERNAL 2031303030\r\nBEGIN\r\n", OK, AUTH_DONE}, /* " 1000" */
        {"\0AUTH EXTERNAL 3130303\r\nBEGIN\r\n", OK, AUTH_DONE},    /* half a byte: "1000" */

        {"\0", "", AUTH_MORE},
        {"\0AUTH", "", AUTH_MORE},
        {"\0AUTH\n", "", AUTH_MORE},
        {"\0AUTH\r", "", AUTH_MORE},
        {"\0AUTH\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH FOO\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH external\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL " OTHER "\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL " ROOT "\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL 3130303020\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL 3130303000\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL 34323934393638323936\r\n", REJECTED, AUTH_MORE}, /* 2^32 + 1000 */
        {"\0AUTH EXTERNAL zz\r\n", BAD_HEX, AUTH_MORE},
        {"\0AUTH EXTERNAL " ME " \r\n", BAD_HEX, AUTH_MORE},
        {"\0AUTH EXTERNAL\r\nDATA " OTHER "\r\n", "DATA\r\n" REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL\r\nDATA zz\r\nFOO\r\nNEGOTIATE_UNIX_FD\r\nAUTH EXTERNAL\r\nCANCEL\r\n",
         "DATA\r\n" BAD_HEX UNKNOWN EARLY BUSY REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL\r\nERROR\r\n", "DATA\r\n" REJECTED, AUTH_MORE},
        {"\0AUTH ANONYMOUS ff\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH ANONYMOUS 00\r\n", REJECTED, AUTH_MORE},
        {"\0AUTH DBUS_COOKIE_SHA1\r\n", REJECTED, AUTH_MORE},
        {"\0ERROR\r\nERROR foo\r\nCANCEL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nFOO\r\n\r\n \r\n",
         REJECTED REJECTED NO_CONV NO_CONV EARLY UNKNOWN UNKNOWN UNKNOWN, AUTH_MORE},
        {"\0auth EXTERNAL\r\n AUTH\r\nOK\r\nBEGINX\r\nAUTH\rX\r\n",
         UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN, AUTH_MORE},
        {"\0AUTH EXTERNAL \xff\r\nF\xc3\xa4\r\nAUTH\r\n", ASCII ASCII REJECTED, AUTH_MORE},
        {"\0AUTH EXTERNAL " ME "\r\nNEGOTIATE_UNIX_FD\r\nNEGOTIATE_UNIX_FD foo\r\nFOO\r\n"
         "AUTH EXTERNAL " ME "\r\nDATA\r\nCANCEL\r\nAUTH EXTERNAL " ME "\r\nERROR\r\n",
         OK AGREE AGREE UNKNOWN LATE LATE_D REJECTED OK REJECTED, AUTH_MORE},

        {"AUTH\r\n", "", AUTH_DROP},
        {"\0BEGIN\r\n", "", AUTH_DROP},
        {"\0AUTH EXTERNAL\r\nBEGIN\r\n", "DATA\r\n", AUTH_DROP},
        {"\0AUTH EXTERNAL " ME "\r\nERROR\r\nBEGIN\r\n", OK REJECTED, AUTH_DROP},
        {"\0AUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\n",
         REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED, AUTH_DROP},
        {"\0ERROR\r\nFOO\r\nERROR\r\nERROR\r\nERROR\r\nERROR\r\nERROR\r\n",
         REJECTED UNKNOWN REJECTED REJECTED REJECTED REJECTED REJECTED, AUTH_DROP},
};

/* A client's side of a conversation: what it still has to send, what it was told. */
struct talk {
        struct auth auth;
        uint8_t in[40000];
        size_t n;
        char out[4096];
        size_t out_n;
        int verdict;
};

static void talk_init(struct talk *talk, const struct auth_config *config)
{
        memset(talk, 0, sizeof(*talk));
        auth_init(&talk->auth, config);
}

/* talk_feed() - show more bytes, @room for answers at a time */
static void talk_feed(struct talk *talk, const void *in, size_t n, size_t room)
{
        char reply[1024];
        size_t used, reply_n;

        ck_assert_uint_le(talk->n + n, sizeof(talk->in));
        memcpy(talk->in + talk->n, in, n);
        talk->n += n;
        do {
                talk->verdict = auth_feed(&talk->auth, talk->in, talk->n, &used, reply, room,
                                          &reply_n);
                ck_assert_uint_le(used, talk->n);
                ck_assert_uint_le(reply_n, room);
                memmove(talk->in, talk->in + used, talk->n - used);
                talk->n -= used;
                ck_assert_uint_lt(talk->out_n + reply_n, sizeof(talk->out));
                memcpy(talk->out + talk->out_n, reply, reply_n);
                talk->out_n += reply_n;
        } while (talk->verdict == AUTH_FULL);
}

static const struct auth_config local = {
        .guid = GUID, .mechanisms = AUTH_ALL, .fds = true, .has_uid = true, .uid = 1000};

/* length() - of a conversation that may begin with a NUL */
static size_t length(const char *in)
{
        return *in ? strlen(in) : 1 + strlen(in + 1);
}

static void converse(size_t i, size_t step, size_t room)
{
        const char *in = conversations[i].in;
        size_t n = length(in), at = 0;
        struct talk talk;

        talk_init(&talk, &local);
        while (at < n && (talk.verdict == AUTH_MORE)) {
                talk_feed(&talk, in + at, MIN(step, n - at), room);
                at += MIN(step, n - at);
        }
        ck_assert_msg(talk.verdict == conversations[i].verdict, "%zu: verdict %d", i, talk.verdict);
        ck_assert_str_eq(talk.out, conversations[i].out);
        ck_assert_int_eq(!!auth_reason(&talk.auth), talk.verdict == AUTH_DROP);
}

START_TEST(answers_are_those_of_the_reference)
{
        for (size_t i = 0; i < ARRAY_SIZE(conversations); i++)
                converse(i, SIZE_MAX, 1024);
}
END_TEST

START_TEST(cuts_do_not_matter)
{
        for (size_t i = 0; i < ARRAY_SIZE(conversations); i++)
                for (size_t step = 1; step < 20; step++)
                        converse(i, step, AUTH_REPLY_MAX);
}
END_TEST

START_TEST(what_follows_begin_is_left_alone)
{
        static const char in[] = "\0AUTH EXTERNAL " ME "\r\nBEGIN\r\nl\1\0\1\r\nBEGIN\r\n";
        struct talk talk;

        talk_init(&talk, &local);
        talk_feed(&talk, in, sizeof(in) - 1, 1024);
        ck_assert_int_eq(talk.verdict, AUTH_DONE);
        ck_assert_uint_eq(talk.n, 13);
        ck_assert_mem_eq(talk.in, "l\1\0\1\r\nBEGIN\r\n", 13);
        talk_feed(&talk, "x", 1, 1024);
        ck_assert_int_eq(talk.verdict, AUTH_DONE);
        ck_assert_uint_eq(talk.n, 14);
}
END_TEST

#define TALK(talk, config, text)                                                                   \
        ({                                                                                         \
                talk_init(talk, config);                                                           \
                talk_feed(talk, text, sizeof(text) - 1, 1024);                                     \
                (talk)->out;                                                                       \
        })

START_TEST(the_result_says_who_it_is)
{
        struct talk talk;

        TALK(&talk, &local, "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        ck_assert(talk.auth.has_uid && talk.auth.uid == 1000 && talk.auth.fds);
        ck_assert_uint_eq(talk.auth.mechanism, AUTH_EXTERNAL);
        TALK(&talk, &local, "\0AUTH ANONYMOUS\r\nBEGIN\r\n");
        ck_assert(!talk.auth.has_uid && !talk.auth.fds);
        ck_assert_uint_eq(talk.auth.mechanism, AUTH_ANONYMOUS);
}
END_TEST

START_TEST(a_rejection_forgets_what_was_agreed)
{
        struct talk talk;

        TALK(&talk, &local,
             "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nCANCEL\r\n"
             "AUTH ANONYMOUS\r\nBEGIN\r\n");
        ck_assert_int_eq(talk.verdict, AUTH_DONE);
        ck_assert(!talk.auth.has_uid && !talk.auth.fds);
}
END_TEST

START_TEST(without_credentials_nobody_is_external)
{
        struct auth_config config = local;
        struct talk talk;

        config.has_uid = false;
        config.fds = false;
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH EXTERNAL " ME "\r\n"), REJECTED);
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH EXTERNAL\r\nDATA\r\n"), "DATA\r\n" REJECTED);
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH ANONYMOUS\r\nNEGOTIATE_UNIX_FD\r\n"),
                         OK NO_FDS);
}
END_TEST

START_TEST(only_allowed_mechanisms_are_named_and_taken)
{
        struct auth_config config = local;
        struct talk talk;

        config.mechanisms = AUTH_EXTERNAL | AUTH_ANONYMOUS;
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH DBUS_COOKIE_SHA1 " ME "\r\n"),
                         "REJECTED EXTERNAL ANONYMOUS\r\n");
        config.mechanisms = AUTH_EXTERNAL;
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH ANONYMOUS\r\n"), "REJECTED EXTERNAL\r\n");
        config.mechanisms = 0;
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH EXTERNAL\r\n"), "REJECTED\r\n");
}
END_TEST

START_TEST(a_line_ends_at_16_KiB)
{
        static char in[20000];
        struct talk talk;

        memset(in + 1, 'A', sizeof(in) - 1);
        talk_init(&talk, &local);
        talk_feed(&talk, in, 1 + 16384, 1024);
        ck_assert_int_eq(talk.verdict, AUTH_MORE);
        talk_feed(&talk, "A", 1, 1024);
        ck_assert_int_eq(talk.verdict, AUTH_DROP);

        talk_init(&talk, &local);
        talk_feed(&talk, in, 1 + 16382, 1024);
        talk_feed(&talk, "\r\n", 2, 1024);
        ck_assert_str_eq(talk.out, UNKNOWN);

        talk_init(&talk, &local);
        talk_feed(&talk, in, 1 + 16383, 1024);
        talk_feed(&talk, "\r\n", 2, 1024);
        ck_assert_int_eq(talk.verdict, AUTH_DROP);
}
END_TEST

START_TEST(mechanisms_have_names)
{
        ck_assert_uint_eq(auth_mechanism_from_name("EXTERNAL", 8), AUTH_EXTERNAL);
        ck_assert_uint_eq(auth_mechanism_from_name("DBUS_COOKIE_SHA1", 16), AUTH_COOKIE);
        ck_assert_uint_eq(auth_mechanism_from_name("ANONYMOUS", 9), AUTH_ANONYMOUS);
        ck_assert_uint_eq(auth_mechanism_from_name("EXTERNA", 7), 0);
}
END_TEST

/* --- cookies ------------------------------------------------------------------------------ */

static int fixed_challenge(struct auth_challenge *out, void *ctx, const char *user, size_t n)
{
        if (n != 4 || memcmp(user, "1000", 4))
                return ctx ? -EIO : COOKIE_E_USER;
        *out = (struct auth_challenge){.uid = 1000,
                                       .id = 7,
                                       .context = "ctx",
                                       .nonce = "00112233445566778899aabbccddeeff",
                                       .secret = "c0ffee"};
        return 0;
}

/* "ctx 7 00112233445566778899aabbccddeeff" */
#define CHALLENGE                                                                                  \
        "DATA 6374782037203030313132323333343435353636"                                            \
        "373738383939616162626363646465656666\r\n"

/* hex of "cafe " and of sha1("00112233445566778899aabbccddeeff:cafe:c0ffee") */
#define CAFE "6361666520"
#define SHA1 "36376536623434356633646661613638356633323135626535626133323635383562653565633266"

START_TEST(a_cookie_is_asked_for_and_known)
{
        struct auth_config config = local;
        struct talk talk;

        config.has_uid = false;
        config.challenge = fixed_challenge;
        ck_assert_str_eq(TALK(&talk, &config,
                              "\0AUTH DBUS_COOKIE_SHA1 " ME "\r\nDATA " CAFE SHA1 "\r\nBEGIN\r\n"),
                         CHALLENGE OK);
        ck_assert_int_eq(talk.verdict, AUTH_DONE);
        ck_assert(talk.auth.has_uid && talk.auth.uid == 1000);
        ck_assert_str_eq(TALK(&talk, &config,
                              "\0AUTH DBUS_COOKIE_SHA1 " ME "\r\nDATA " CAFE SHA1 "00\r\n"),
                         CHALLENGE REJECTED);
        ck_assert_str_eq(TALK(&talk, &config,
                              "\0AUTH DBUS_COOKIE_SHA1 " ME "\r\nDATA 2063616665" SHA1 "\r\n"),
                         CHALLENGE REJECTED);
        ck_assert_str_eq(TALK(&talk, &config,
                              "\0AUTH DBUS_COOKIE_SHA1 " ME "\r\nDATA\r\nAUTH FOO\r\n"),
                         CHALLENGE REJECTED REJECTED);
        ck_assert_str_eq(TALK(&talk, &config, "\0AUTH DBUS_COOKIE_SHA1 " OTHER "\r\n"), REJECTED);
}
END_TEST

START_TEST(trouble_with_the_keyring_is_passed_up)
{
        struct auth_config config = local;
        struct talk talk;

        config.challenge = fixed_challenge;
        config.ctx = &config;
        TALK(&talk, &config, "\0AUTH DBUS_COOKIE_SHA1 " OTHER "\r\n");
        ck_assert_int_eq(talk.verdict, -EIO);
}
END_TEST

static char home[] = "/tmp/lambus-test-XXXXXX";

static void make_home(struct cookie_ring *ring)
{
        ck_assert_ptr_nonnull(mkdtemp(home));
        ck_assert_int_eq(cookie_ring_init(ring, home), 0);
}

static const char *in_home(const char *name)
{
        static char path[256];

        snprintf(path, sizeof(path), "%s/.dbus-keyrings/%s", home, name);
        return path;
}

static void remove_home(struct cookie_ring *ring)
{
        unlink(in_home("org_freedesktop_general"));
        unlink(in_home("org_freedesktop_general.lock"));
        rmdir(in_home(""));
        ck_assert_int_eq(rmdir(home), 0);
        cookie_ring_deinit(ring);
}

static void write_ring(const char *format, long long created)
{
        FILE *f;

        mkdir(in_home(""), 0700);
        f = fopen(in_home("org_freedesktop_general"), "w");
        ck_assert_ptr_nonnull(f);
        fprintf(f, format, created);
        fclose(f);
}

static int challenge_me(struct auth_challenge *c, struct cookie_ring *ring)
{
        char uid[16];

        snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
        return cookie_ring_challenge(c, ring, uid, strlen(uid));
}

START_TEST(a_keyring_is_made_and_used_again)
{
        struct auth_challenge a, b;
        struct cookie_ring ring;
        struct stat st;
        unsigned id;
        long long created;
        char secret[65];
        FILE *f;

        make_home(&ring);
        ck_assert_int_eq(challenge_me(&a, &ring), 0);
        ck_assert_int_eq(challenge_me(&b, &ring), 0);
        ck_assert_uint_eq(a.uid, getuid());
        ck_assert_uint_eq(a.id, b.id);
        ck_assert_str_eq(a.secret, b.secret);
        ck_assert_str_ne(a.nonce, b.nonce);
        ck_assert_uint_eq(strlen(a.nonce), 32);

        ck_assert_int_eq(stat(in_home(""), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
        ck_assert_int_eq(stat(in_home("org_freedesktop_general"), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
        ck_assert_int_lt(stat(in_home("org_freedesktop_general.lock"), &st), 0);
        f = fopen(in_home("org_freedesktop_general"), "r");
        ck_assert_int_eq(fscanf(f, "%u %lld %64s\n", &id, &created, secret), 3);
        fclose(f);
        ck_assert_uint_eq(id, a.id);
        ck_assert_str_eq(secret, a.secret);
        ck_assert_int_le(llabs(created - time(NULL)), 5);
        remove_home(&ring);
}
END_TEST

START_TEST(cookies_age)
{
        struct auth_challenge c;
        struct cookie_ring ring;

        make_home(&ring);
        write_ring("12 %lld aabbcc\n", time(NULL) - COOKIE_FRESH_S + 10);
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        ck_assert_uint_eq(c.id, 12);
        ck_assert_str_eq(c.secret, "aabbcc");
        write_ring("12 %lld aabbcc\n", time(NULL) - COOKIE_FRESH_S - 10);
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        ck_assert_str_ne(c.secret, "aabbcc");
        write_ring("12 %lld aabbcc\n", time(NULL) + COOKIE_FUTURE_S + 10);
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        ck_assert_str_ne(c.secret, "aabbcc");
        write_ring("nonsense\n\n-5 %lld aabb\n", time(NULL));
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        ck_assert_uint_eq(strlen(c.secret), 48);
        remove_home(&ring);
}
END_TEST

START_TEST(a_directory_open_to_others_is_not_used)
{
        struct auth_challenge c;
        struct cookie_ring ring;

        make_home(&ring);
        mkdir(in_home(""), 0700);
        chmod(in_home(""), 0750);
        ck_assert_int_eq(challenge_me(&c, &ring), COOKIE_E_DIRECTORY);
        chmod(in_home(""), 0700);
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        remove_home(&ring);
}
END_TEST

START_TEST(other_users_share_no_keyring)
{
        struct auth_challenge c;
        struct cookie_ring ring;

        make_home(&ring);
        ck_assert_int_eq(cookie_ring_challenge(&c, &ring, "4294967294", 10), COOKIE_E_USER);
        ck_assert_int_eq(cookie_ring_challenge(&c, &ring, "", 0), COOKIE_E_USER);
        ck_assert_int_eq(cookie_ring_challenge(&c, &ring, "no-such-user", 12), COOKIE_E_USER);
        remove_home(&ring);
}
END_TEST

START_TEST(a_lock_is_honoured_and_an_old_one_broken)
{
        struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        struct auth_challenge c;
        struct cookie_ring ring;
        int fd;

        make_home(&ring);
        mkdir(in_home(""), 0700);
        fd = open(in_home("org_freedesktop_general.lock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(challenge_me(&c, &ring), COOKIE_E_LOCKED);
        ck_assert_int_eq(futimens(fd, old), 0);
        ck_assert_int_eq(challenge_me(&c, &ring), 0);
        close(fd);
        remove_home(&ring);
}
END_TEST

START_TEST(the_digest_is_the_sha1_of_three_parts)
{
        char digest[41];

        ck_assert_int_eq(cookie_digest(digest, "00112233445566778899aabbccddeeff", "cafe", 4,
                                       "c0ffee"),
                         0);
        ck_assert_str_eq(digest, "67e6b445f3dfaa685f3215be5ba326585be5ec2f");
}
END_TEST

int main(void)
{
        return WIRE_RUN("auth", answers_are_those_of_the_reference, cuts_do_not_matter,
                        what_follows_begin_is_left_alone, the_result_says_who_it_is,
                        a_rejection_forgets_what_was_agreed, without_credentials_nobody_is_external,
                        only_allowed_mechanisms_are_named_and_taken, a_line_ends_at_16_KiB,
                        mechanisms_have_names, a_cookie_is_asked_for_and_known,
                        trouble_with_the_keyring_is_passed_up, a_keyring_is_made_and_used_again,
                        cookies_age, a_directory_open_to_others_is_not_used,
                        other_users_share_no_keyring, a_lock_is_honoured_and_an_old_one_broken,
                        the_digest_is_the_sha1_of_three_parts);
}
