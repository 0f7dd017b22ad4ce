/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * lambusctl record
 *
 * A connection becomes a monitor, a second one asks for the state of the bus, and from then on all
 * that the monitor receives goes into a file. What the recorder itself caused on the bus is left
 * out.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "bus-core/util/error.h"
#include "shim/wire/bytes.h"
#include "tools/busconn.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/pcap.h"
#include "tools/reach.h"
#include "tools/redact.h"
#include "tools/rewrite.h"
#include "tools/snapshot.h"
#include "tools/verb.h"

#define RULES_MAX 64
#define PATTERNS_MAX 64
#define PROGRESS_USEC 200000
#define LAST_USEC 100000 /* for the message to stop with to come to the other monitor as well */

struct record {
        /* as asked for */
        struct reach reach;
        const char *output, *until;
        bool quiet;
        const char *rules[RULES_MAX], *patterns[PATTERNS_MAX];
        size_t n_rules;
        uint64_t duration_ns, size_max;
        unsigned int n_files;

        struct busconn monitor, until_conn;
        sd_bus *bus;
        sd_event *event;
        const char *own_names[3];
        FILE *file;
        struct pcap_writer *writer;
        struct redact redact;
        struct buf scratch;
        char *bus_address;
        uint64_t n_messages, n_redacted, n_bytes, start_ns;
        bool failed;
        char last_sender[256]; /* of the message to stop with, once it is known */
        uint32_t last_serial;
};

static uint64_t now_ns(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* ---- options ---- */

static const char help[] =
        "Usage: lambusctl record [OPTION...] [MATCH RULE...]\n\n"
        "Writes what happens on a bus into a pcap file that lambusctl replay and compare,\n"
        "Wireshark and bustle can open. With match rules, only what they ask for.\n\n"
        "      --system            the system bus\n"
        "      --session           the session bus (default)\n"
        "      --address=ADDRESS   any bus\n"
        "  -o, --output=FILE       file to write (default: bus.pcap)\n"
        "      --for=TIME          stop after that time: 90, 5m, 1h\n"
        "      --until=RULE        stop with the first message that fits a match rule\n"
        "      --size=BYTES        begin a new file after so many bytes: 64M\n"
        "      --files=N           keep that many files, FILE.1 and so on (default: 4)\n"
        "      --redact=NAME       blank bodies of an interface, or interface.member too;\n"
        "                          'all': of all messages between programs\n"
        "      --no-redact         do not even blank what is known to carry passwords\n"
        "  -q, --quiet             no progress, no summary\n";

enum {
        OPT_FOR = OPT_OWN,
        OPT_UNTIL,
        OPT_SIZE,
        OPT_FILES,
        OPT_REDACT,
        OPT_NO_REDACT,
};

static const struct option options[] = {
        { "help", no_argument, NULL, OPT_HELP },
        REACH_OPTIONS,
        { "output", required_argument, NULL, 'o' },
        { "for", required_argument, NULL, OPT_FOR },
        { "until", required_argument, NULL, OPT_UNTIL },
        { "size", required_argument, NULL, OPT_SIZE },
        { "files", required_argument, NULL, OPT_FILES },
        { "redact", required_argument, NULL, OPT_REDACT },
        { "no-redact", no_argument, NULL, OPT_NO_REDACT },
        { "quiet", no_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
};

static int add_pattern(struct record *rec, const char *pattern)
{
        if (!strcmp(pattern, "all")) {
                rec->redact.all = true;
                return 0;
        }
        if (!redact_is_pattern(pattern))
                return verb_fail("--redact: 'all', an interface, or interface.member, not '%s'",
                                 pattern);
        if (rec->redact.n_patterns == PATTERNS_MAX)
                return verb_fail("more than %d names to redact", PATTERNS_MAX);
        rec->patterns[rec->redact.n_patterns++] = pattern;
        return 0;
}

static int take_option(void *verb, int opt)
{
        struct record *rec = verb;
        uint64_t v;

        switch (opt) {
        case 'o':
                rec->output = optarg;
                return 0;
        case OPT_FOR:
                if (!verb_duration(optarg, &rec->duration_ns) || !rec->duration_ns)
                        return verb_fail("--for: not a time: %s", optarg);
                return 0;
        case OPT_UNTIL:
                rec->until = optarg;
                return 0;
        case OPT_SIZE:
                if (!verb_size(optarg, &rec->size_max) || rec->size_max < 65536)
                        return verb_fail("--size: not a size of 64K or more: %s", optarg);
                return 0;
        case OPT_FILES:
                if (!verb_size(optarg, &v) || v < 1 || v > 1000)
                        return verb_fail("--files: not a number from 1 to 1000: %s", optarg);
                rec->n_files = (unsigned int)v;
                return 0;
        case OPT_REDACT:
                return add_pattern(rec, optarg);
        case OPT_NO_REDACT:
                rec->redact.nothing = true;
                return 0;
        case 'q':
                rec->quiet = true;
                return 0;
        default:
                return reach_take(&rec->reach, opt) ? 0 : VERB_FAILED;
        }
}

/* ---- the file ---- */

static int close_file(struct record *rec)
{
        int r = 0;

        rec->writer = pcap_writer_free(rec->writer);
        if (rec->file && fclose(rec->file))
                r = error_origin(-errno);
        rec->file = NULL;
        return r;
}

/* what programs tell each other is nobody else's business */
static int open_file(struct record *rec)
{
        int r, fd = open(rec->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0)
                return error_origin(-errno);
        rec->file = fdopen(fd, "w");
        if (!rec->file) {
                r = error_origin(-errno);
                close(fd);
                return r;
        }
        r = pcap_writer_new(&rec->writer, rec->file);
        if (r)
                return r;
        return snapshot_write(rec->writer, rec->bus, rec->bus_address, rec->own_names,
                              ARRAY_SIZE(rec->own_names), now_ns(CLOCK_REALTIME));
}

/* FILE becomes FILE.1, that FILE.2, and so on; the last one goes */
static int rotate(struct record *rec)
{
        char from[4096], to[4096];
        int r = close_file(rec);

        for (unsigned int i = rec->n_files - 1; !r && i > 0; i--) {
                snprintf(to, sizeof(to), "%s.%u", rec->output, i);
                if (i > 1)
                        snprintf(from, sizeof(from), "%s.%u", rec->output, i - 1);
                else
                        snprintf(from, sizeof(from), "%s", rec->output);
                if (rename(from, to) < 0 && errno != ENOENT)
                        r = error_origin(-errno);
        }
        return r ? r : open_file(rec);
}

/* ---- messages ---- */

static bool is_own_name(const struct record *rec, const char *name)
{
        for (size_t i = 0; name && i < ARRAY_SIZE(rec->own_names); i++)
                if (rec->own_names[i] && !strcmp(name, rec->own_names[i]))
                        return true;
        return false;
}

/* is it something that the recorder itself caused? */
static bool is_own(const struct record *rec, const uint8_t *msg, const struct header *h)
{
        const char *args[META_ARGS_MAX + 1];

        if (is_own_name(rec, header_text(msg, h->sender)) ||
            is_own_name(rec, header_text(msg, h->destination)))
                return true;
        return message_field_is(msg, h->member, "NameOwnerChanged") &&
               message_field_is(msg, h->sender, DRIVER_NAME) && meta_read(msg, h, args) == 3 &&
               is_own_name(rec, args[0]);
}

static int keep(struct record *rec, const uint8_t *msg, const struct header *h)
{
        const struct rewrite blank = { .blank = REWRITE_BLANK_ALL };
        size_t n = h->size + (size_t)h->body_size;
        int r = 0;

        if (is_own(rec, msg, h))
                return 0;
        if (rec->size_max && pcap_writer_size(rec->writer) + n > rec->size_max)
                r = rotate(rec);
        if (!r && h->body_size && redact_wants(&rec->redact, msg, h)) {
                r = rewrite_message(&rec->scratch, msg, h, &blank);
                msg = buf_head(&rec->scratch);
                n = buf_n(&rec->scratch);
                rec->n_redacted++;
        }
        if (!r)
                r = pcap_writer_put(rec->writer, now_ns(CLOCK_REALTIME), msg, n);
        rec->n_messages++;
        rec->n_bytes += n;
        return r;
}

static bool is_last(const struct record *rec, const uint8_t *msg, const struct header *h)
{
        return rec->last_serial && h->serial == rec->last_serial &&
               message_field_is(msg, h->sender, rec->last_sender);
}

static int stop(struct record *rec, int r)
{
        if (r) {
                rec->failed = true;
                verb_fail("%s: %s", rec->output, busconn_strerror(r));
        }
        return sd_event_exit(rec->event, 0);
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct record *rec = userdata;
        const uint8_t *msg;
        struct header h;
        int r, got = busconn_receive(&rec->monitor);

        while (!(r = busconn_next(&rec->monitor, &msg, &h))) {
                r = keep(rec, msg, &h);
                if (r || is_last(rec, msg, &h))
                        return stop(rec, r);
        }
        if (got == BUSCONN_E_CLOSED) {
                if (!rec->quiet)
                        verb_fail("the bus has closed the connection; the recording ends here");
                return stop(rec, 0);
        }
        if (r != BUSCONN_E_NONE || (got && got != BUSCONN_E_NONE))
                return stop(rec, r != BUSCONN_E_NONE ? r : got);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        return stop(userdata, 0);
}

/* the message to stop with is on the bus; it is on its way to the monitor, or there already */
static int on_until(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct record *rec = userdata;
        const uint8_t *msg;
        struct header h;

        busconn_receive(&rec->until_conn);
        while (!rec->last_serial && !busconn_next(&rec->until_conn, &msg, &h)) {
                if (is_own(rec, msg, &h))
                        continue;
                rec->last_serial = h.serial;
                snprintf(rec->last_sender, sizeof(rec->last_sender), "%s",
                         header_text(msg, h.sender) ?: "");
                return sd_event_add_time_relative(rec->event, NULL, CLOCK_MONOTONIC, LAST_USEC, 0,
                                                  on_timeout, rec);
        }
        return 0;
}

static void show(struct record *rec)
{
        double seconds = (double)(now_ns(CLOCK_MONOTONIC) - rec->start_ns) / 1e9;
        char text[160];

        snprintf(text, sizeof(text), "recording %s  %.0f s  %" PRIu64 " messages  %.1f MiB",
                 rec->output, seconds, rec->n_messages, (double)rec->n_bytes / 1048576);
        verb_progress(text);
}

static int on_progress(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct record *rec = userdata;

        show(rec);
        if (fflush(rec->file))
                return stop(rec, error_origin(-errno));
        sd_event_source_set_time(source, usec + PROGRESS_USEC);
        return 0;
}

/* ---- the bus ---- */

static int open_bus(struct record *rec)
{
        const char *address;
        int r;

        r = reach_open(&rec->bus, &rec->reach);
        if (r)
                return r;
        r = sd_bus_get_unique_name(rec->bus, &rec->own_names[0]);
        if (r >= 0)
                r = sd_bus_get_address(rec->bus, &address);
        rec->bus_address = r < 0 ? NULL : strdup(address);
        return rec->bus_address ? 0 : verb_fail("%s", strerror(r < 0 ? -r : ENOMEM));
}

static int become_monitor(struct busconn *c, const char *const *rules, size_t n)
{
        _cleanup_(buf_deinit) struct buf call = BUF_NULL;
        size_t base, first;
        int r;

        message_begin(&call, bytes_native(), HEADER_CALL, 0, ++c->serial);
        message_text(&call, FIELD_PATH, 'o', DRIVER_PATH, strlen(DRIVER_PATH));
        message_text(&call, FIELD_INTERFACE, 's', DRIVER_NAME ".Monitoring",
                     strlen(DRIVER_NAME ".Monitoring"));
        message_text(&call, FIELD_MEMBER, 's', "BecomeMonitor", strlen("BecomeMonitor"));
        message_text(&call, FIELD_DESTINATION, 's', DRIVER_NAME, strlen(DRIVER_NAME));
        message_text(&call, FIELD_SIGNATURE, 'g', "asu", 3);
        base = message_body(&call);
        buf_put32(&call, 0, false);
        first = buf_n(&call);
        for (size_t i = 0; i < n; i++)
                message_put_string(&call, base, rules[i]);
        buf_set32(&call, base, (uint32_t)(buf_n(&call) - first), false);
        buf_align(&call, base, 4);
        buf_put32(&call, 0, false);
        message_end(&call, base);
        r = buf_error(&call);
        if (!r)
                r = busconn_send(c, buf_head(&call), buf_n(&call), 0);
        if (!r)
                r = busconn_flush(c);
        return r ? r : busconn_wait_reply(c, c->serial, NULL, NULL);
}

/* where monitors are refused, rules that eavesdrop may be allowed */
static int eavesdrop(struct busconn *c, const char *const *rules, size_t n)
{
        char rule[1024 + 32];
        const char *args[] = { rule };
        int r = 0;

        for (size_t i = 0; !r && i < MAX(n, (size_t)1); i++) {
                snprintf(rule, sizeof(rule), "eavesdrop='true'%s%s", n ? "," : "",
                         n ? rules[i] : "");
                r = busconn_call(c, NULL, "AddMatch", "s", args, NULL, NULL);
        }
        return r;
}

static int refused(const struct record *rec, const char *refusal, const char *const *rules, size_t n)
{
        if (!strstr(refusal, "MatchRuleInvalid"))
                return verb_fail("the bus does not let us listen%s: %s",
                                 !rec->reach.session && geteuid() ? " (try as root)" : "", refusal);
        return verb_fail("not a match rule%s%s: %s", n == 1 ? ": " : "", n == 1 ? rules[0] : "",
                         refusal);
}

static int open_monitor(struct record *rec, struct busconn *c, const char *const *rules, size_t n)
{
        char refusal[sizeof(c->error)];
        int r;

        r = busconn_connect(c, rec->bus_address, (uid_t)-1);
        if (!r)
                r = busconn_hello(c);
        if (!r)
                r = become_monitor(c, rules, n);
        if (r == BUSCONN_E_ERROR) {
                memcpy(refusal, c->error, sizeof(refusal));
                if (strstr(refusal, "AccessDenied") && eavesdrop(c, rules, n) == 0)
                        return 0;
                return refused(rec, refusal, rules, n);
        }
        return r ? verb_fail("%s: %s", rec->bus_address, busconn_strerror(r)) : 0;
}

static int add_time(struct record *rec, uint64_t usec, sd_event_time_handler_t handler)
{
        return sd_event_add_time_relative(rec->event, NULL, CLOCK_MONOTONIC, usec, 0, handler, rec);
}

static int set_up_loop(struct record *rec)
{
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        r = sd_event_new(&rec->event);
        if (r >= 0)
                r = sd_event_add_signal(rec->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(rec->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_io(rec->event, NULL, rec->monitor.fd, EPOLLIN, on_message, rec);
        if (r >= 0 && rec->until)
                r = sd_event_add_io(rec->event, NULL, rec->until_conn.fd, EPOLLIN, on_until, rec);
        if (r >= 0 && rec->duration_ns)
                r = add_time(rec, rec->duration_ns / 1000, on_timeout);
        if (r >= 0 && !rec->quiet) {
                sd_event_source *source;

                r = sd_event_add_time_relative(rec->event, &source, CLOCK_MONOTONIC, PROGRESS_USEC,
                                               0, on_progress, rec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(source, SD_EVENT_ON);
        }
        return r;
}

static int run(struct record *rec)
{
        int r;

        r = open_bus(rec);
        if (!r && rec->until)
                r = open_monitor(rec, &rec->until_conn, &rec->until, 1);
        if (!r)
                r = open_monitor(rec, &rec->monitor, rec->rules, rec->n_rules);
        if (r)
                return r;
        rec->own_names[1] = rec->monitor.name;
        rec->own_names[2] = rec->until ? rec->until_conn.name : NULL;
        r = open_file(rec);
        if (r)
                return verb_fail("%s: %s", rec->output, strerror(-r));
        rec->start_ns = now_ns(CLOCK_MONOTONIC);
        r = set_up_loop(rec);
        if (r >= 0)
                r = sd_event_loop(rec->event);
        if (r < 0)
                return verb_fail("%s", strerror(-r));
        r = close_file(rec);
        if (r)
                return verb_fail("%s: %s", rec->output, strerror(-r));
        return rec->failed ? VERB_FAILED : VERB_OK;
}

static void summary(const struct record *rec)
{
        verb_progress(NULL);
        if (!rec->quiet)
                printf("%s: %" PRIu64 " messages, %.1f MiB, %" PRIu64 " bodies blanked\n",
                       rec->output, rec->n_messages, (double)rec->n_bytes / 1048576,
                       rec->n_redacted);
}

static const struct verb_options verb = {
        .options = options,
        .letters = "o:q",
        .help = help,
        .max_words = RULES_MAX,
        .take = take_option,
};

int verb_record(int argc, char **argv)
{
        struct record rec = {
                .reach.session = true,
                .output = "bus.pcap",
                .n_files = 4,
                .monitor = BUSCONN_NULL,
                .until_conn = BUSCONN_NULL,
        };
        int r;

        rec.redact.patterns = rec.patterns;
        r = verb_read_options(&verb, &rec, argc, argv);
        if (r)
                return MAX(r, 0);
        for (; optind < argc; optind++)
                rec.rules[rec.n_rules++] = argv[optind];
        r = run(&rec);
        if (!r)
                summary(&rec);
        close_file(&rec);
        busconn_deinit(&rec.monitor);
        busconn_deinit(&rec.until_conn);
        buf_deinit(&rec.scratch);
        sd_bus_flush_close_unref(rec.bus);
        sd_event_unref(rec.event);
        free(rec.bus_address);
        return r;
}
