/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-core/util/error.h"
#include "shim/wire/body.h"
#include "shim/wire/error.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/recording.h"

#define MAX_PEERS 1000000U /* more than any bus; a bound for hostile files */

/* ---- peers and names ---- */

struct recorded_peer *recording_peer(const struct recording *rec, const char *name, size_t n)
{
        struct recorded_peer *peer;

        HASH_FIND(hh, rec->peers_by_name, name, n, peer);
        return peer;
}

static int push_peer(struct recording *rec, struct recorded_peer *peer)
{
        if (!(rec->n_peers & (rec->n_peers - 1)) || !rec->peers) {
                size_t size = MAX(2 * rec->n_peers, (size_t)16);
                struct recorded_peer **p = realloc(rec->peers, size * sizeof(*p));

                if (!p)
                        return error_origin(-ENOMEM);
                rec->peers = p;
        }
        peer->index = (uint32_t)rec->n_peers;
        rec->peers[rec->n_peers++] = peer;
        HASH_ADD_KEYPTR(hh, rec->peers_by_name, peer->name, strlen(peer->name), peer);
        return 0;
}

static void peer_free(struct recorded_peer *peer)
{
        free(peer->name);
        free(peer->executable);
        free(peer);
}

/* finds the peer or makes one; NULL if it is not a unique name */
static int need_peer(struct recording *rec, const char *name, size_t n, struct recorded_peer **out)
{
        struct recorded_peer *peer = recording_peer(rec, name, n);
        int r;

        *out = peer;
        if (peer || !n || name[0] != ':' || rec->n_peers >= MAX_PEERS ||
            (n > 5 && !strncmp(name, ":not.", 5)))
                return 0;
        peer = calloc(1, sizeof(*peer));
        if (!peer)
                return error_origin(-ENOMEM);
        peer->uid = -1;
        peer->name = strndup(name, n);
        r = peer->name ? push_peer(rec, peer) : error_origin(-ENOMEM);
        if (r) {
                peer_free(peer);
                return r;
        }
        *out = peer;
        return 0;
}

struct recorded_name *recording_name(const struct recording *rec, const char *name, size_t n)
{
        struct recorded_name *found;

        HASH_FIND(hh, rec->names, name, n, found);
        return found;
}

static int need_name(struct recording *rec, const char *name, size_t n, struct recorded_name **out)
{
        struct recorded_name *made;

        *out = recording_name(rec, name, n);
        if (*out)
                return 0;
        made = calloc(1, sizeof(*made));
        if (!made)
                return error_origin(-ENOMEM);
        made->owner = RECORDING_NO_PEER;
        made->name = strndup(name, n);
        if (!made->name) {
                free(made);
                return error_origin(-ENOMEM);
        }
        HASH_ADD_KEYPTR(hh, rec->names, made->name, n, made);
        *out = made;
        return 0;
}

static int queue_push(struct recorded_name *name, uint32_t peer)
{
        uint32_t *p = realloc(name->queue, (name->n_queue + 1) * sizeof(*p));

        if (!p)
                return error_origin(-ENOMEM);
        p[name->n_queue++] = peer;
        name->queue = p;
        return 0;
}

/* ---- metadata ---- */

static int meta_peer(struct recording *rec, const char **args, int n)
{
        struct recorded_peer *peer;
        int r;

        if (n < 4)
                return 0;
        r = need_peer(rec, args[0], strlen(args[0]), &peer);
        if (r || !peer || peer->told)
                return r;
        peer->told = peer->at_start = true;
        if (*args[1])
                peer->uid = strtoll(args[1], NULL, 10);
        if (*args[3])
                peer->executable = strdup(args[3]);
        return 0;
}

static int meta_owner(struct recording *rec, const char **args, int n)
{
        struct recorded_name *name;
        struct recorded_peer *peer;
        int r;

        r = n ? need_name(rec, args[0], strlen(args[0]), &name) : 1;
        if (r || name->known)
                return MIN(r, 0);
        name->known = true;
        for (int i = 1; i < n; i++) {
                r = need_peer(rec, args[i], strlen(args[i]), &peer);
                if (!r && peer) {
                        peer->at_start = peer->told = true;
                        name->ever_owned = true;
                        r = queue_push(name, peer->index);
                }
                if (r)
                        return r;
        }
        return 0;
}

static int meta_rule(struct recording *rec, const char **args, int n)
{
        struct recorded_peer *peer;
        struct recorded_rule *p;
        int r;

        if (n < 2)
                return 0;
        r = need_peer(rec, args[0], strlen(args[0]), &peer);
        if (r || !peer)
                return r;
        p = realloc(rec->rules, (rec->n_rules + 1) * sizeof(*p));
        if (!p)
                return error_origin(-ENOMEM);
        rec->rules = p;
        p[rec->n_rules].peer = peer->index;
        p[rec->n_rules].text = strdup(args[1]);
        if (!p[rec->n_rules].text)
                return error_origin(-ENOMEM);
        rec->n_rules++;
        return 0;
}

static int meta_activatable(struct recording *rec, const char **args, int n)
{
        struct recorded_name *name;
        int r;

        r = n ? need_name(rec, args[0], strlen(args[0]), &name) : 1;
        if (!r)
                name->activatable = true;
        return MIN(r, 0);
}

static int learn_meta(struct recording *rec, const struct recorded_message *m)
{
        static const struct {
                const char *member;
                int (*fn)(struct recording *rec, const char **args, int n);
        } table[] = {
                { "Peer", meta_peer },
                { "Owner", meta_owner },
                { "Rule", meta_rule },
                { "Activatable", meta_activatable },
        };
        const char *args[META_ARGS_MAX + 1];
        int n = meta_read(m->data, &m->h, args);

        rec->has_meta = true;
        if (rec->n_messages)
                return 0; /* written again after the file was rotated: the messages said so */
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (!strcmp(header_text(m->data, m->h.member), table[i].member))
                        return error_fold(table[i].fn(rec, args, n));
        return 0;
}

/* ---- the bus's own signals ---- */

/* the three arguments of a NameOwnerChanged, or false */
static bool owner_change(const struct recorded_message *m, const char **args)
{
        return m->from_bus && m->h.type == HEADER_SIGNAL &&
               message_field_is(m->data, m->h.member, "NameOwnerChanged") &&
               meta_read(m->data, &m->h, args) == 3;
}

/* what a change of owner says about the time before */
static int learn_change(struct recording *rec, const char **args)
{
        struct recorded_name *name;
        struct recorded_peer *old = NULL, *new = NULL;
        int r;

        if (args[0][0] == ':') {
                struct recorded_peer *peer = recording_peer(rec, args[0], strlen(args[0]));
                bool seen = peer;

                r = need_peer(rec, args[0], strlen(args[0]), &peer);
                if (!r && peer && !seen && *args[1])
                        peer->at_start = true;
                return r;
        }
        r = need_name(rec, args[0], strlen(args[0]), &name);
        if (!r)
                r = need_peer(rec, args[1], strlen(args[1]), &old);
        if (!r)
                r = need_peer(rec, args[2], strlen(args[2]), &new);
        if (!r && !name->known && old)
                r = queue_push(name, old->index);
        if (!r)
                name->known = true;
        if (!r && new)
                name->ever_owned = true;
        return r;
}

/* a message that shows a peer which nobody announced: it was there before */
static int learn_presence(struct recording *rec, const uint8_t *msg, struct span span,
                          struct recorded_peer **out)
{
        struct recorded_peer *peer = NULL;
        size_t before = rec->n_peers;
        int r = 0;

        if (span.off)
                r = need_peer(rec, header_text(msg, span), span.len, &peer);
        if (!r && peer && rec->n_peers > before)
                peer->at_start = true;
        *out = peer;
        return r;
}

/* the bus greets a new connection before it announces it */
static bool is_greeting(const struct recorded_message *m)
{
        return m->from_bus && (message_field_is(m->data, m->h.member, "NameAcquired") ||
                               (m->h.type == HEADER_RETURN && m->h.reply_serial == 1));
}

static bool calls_bus(const struct recorded_message *m, const char *member)
{
        return m->h.type == HEADER_CALL && message_field_is(m->data, m->h.destination, DRIVER_NAME) &&
               message_field_is(m->data, m->h.member, member);
}

static int learn(struct recording *rec, struct recorded_message *m)
{
        struct recorded_peer *sender = NULL, *destination = NULL;
        const char *args[META_ARGS_MAX + 1];
        size_t before = rec->n_peers;
        int r;

        if (owner_change(m, args))
                return error_fold(learn_change(rec, args));
        r = learn_presence(rec, m->data, m->h.destination, &destination);
        if (!r && destination && rec->n_peers > before && is_greeting(m))
                destination->at_start = false;
        before = rec->n_peers;
        if (!r)
                r = learn_presence(rec, m->data, m->h.sender, &sender);
        if (r)
                return error_fold(r);
        if (sender) {
                sender->n_messages++;
                if (rec->n_peers > before && calls_bus(m, "Hello"))
                        sender->at_start = false;
                if (calls_bus(m, "BecomeMonitor"))
                        sender->monitor = true;
        }
        return 0;
}

/* ---- reading ---- */

static int parse(struct recorded_message *out, const struct pcap_packet *packet)
{
        struct header *h = &out->h;
        uint32_t header, total;
        int r;

        if (packet->n < HEADER_FIXED)
                return WIRE_E_TRUNCATED;
        r = header_frame(packet->data, PCAP_PACKET_MAX, &header, &total);
        if (!r && total != packet->n)
                r = total > packet->n ? WIRE_E_TRUNCATED : WIRE_E_TRAILING;
        if (!r)
                r = header_parse(h, packet->data, packet->n);
        if (!r)
                r = body_validate(h->signature.off ? header_text(packet->data, h->signature) : "",
                                  h->signature.len, h->swap, packet->data + h->size, h->body_size,
                                  NULL);
        if (r)
                return r;
        out->data = packet->data;
        out->time_ns = packet->time_ns;
        out->from_bus = message_field_is(packet->data, h->sender, DRIVER_NAME);
        return 0;
}

/* the next packet that is a message, invalid ones skipped and counted */
static int read_message(struct recording *rec, struct recorded_message *out)
{
        struct pcap_packet packet;
        int r;

        for (;;) {
                r = pcap_reader_next(rec->reader, &packet);
                if (r == PCAP_E_TRUNCATED) {
                        rec->truncated = true;
                        return PCAP_E_END;
                }
                if (r)
                        return r;
                if (!parse(out, &packet))
                        return 0;
                rec->n_invalid++;
        }
}

static int fail(struct recording *rec, const char *text)
{
        uint64_t at = rec->reader ? pcap_reader_offset(rec->reader) : 0;

        if (at)
                snprintf(rec->error, sizeof(rec->error), "%s: %s (at byte %llu)", rec->path, text,
                         (unsigned long long)at);
        else
                snprintf(rec->error, sizeof(rec->error), "%s: %s", rec->path, text);
        return 1;
}

int recording_rewind(struct recording *rec)
{
        struct recorded_name *name, *tmp;
        int r;

        rec->reader = pcap_reader_free(rec->reader);
        if (fseeko(rec->file, 0, SEEK_SET) < 0)
                return error_origin(-errno);
        r = pcap_reader_new(&rec->reader, rec->file);
        if (r)
                return r;
        rec->next_index = 1;
        HASH_ITER(hh, rec->names, name, tmp)
                name->owner = name->n_queue ? name->queue[0] : RECORDING_NO_PEER;
        return 0;
}

static int learn_all(struct recording *rec)
{
        struct recorded_message m;
        int r;

        while (!(r = read_message(rec, &m))) {
                r = meta_is(m.data, &m.h) ? learn_meta(rec, &m) : learn(rec, &m);
                if (r)
                        return error_fold(r);
                rec->n_messages += !meta_is(m.data, &m.h);
        }
        return r;
}

int recording_open(struct recording *rec, const char *path, FILE *file)
{
        struct stat st;
        int r;

        rec->file = file;
        rec->path = strdup(path);
        if (!rec->path)
                return error_origin(-ENOMEM);
        if (!file)
                rec->file = fopen(path, "re");
        if (!rec->file)
                return fail(rec, strerror(errno));
        if (fileno(rec->file) >= 0 && !fstat(fileno(rec->file), &st) && S_ISDIR(st.st_mode))
                return fail(rec, strerror(EISDIR));
        r = recording_rewind(rec);
        if (r)
                return fail(rec, pcap_strerror(r));
        r = learn_all(rec);
        if (r < 0)
                return error_fold(r);
        if (r != PCAP_E_END)
                return fail(rec, pcap_strerror(r));
        if (!rec->n_messages) {
                rec->reader = pcap_reader_free(rec->reader); /* no place in it is to blame */
                return fail(rec, rec->n_invalid ? "no packet in it is a valid D-Bus message" :
                                 rec->truncated ? "it ends before the first message"
                                                : "no messages in it");
        }
        rec->n_invalid = 0;
        return error_fold(recording_rewind(rec));
}

static void names_free(struct recording *rec)
{
        struct recorded_name *name, *tmp;

        HASH_ITER(hh, rec->names, name, tmp) {
                HASH_DEL(rec->names, name);
                free(name->name);
                free(name->queue);
                free(name);
        }
}

void recording_close(struct recording *rec)
{
        pcap_reader_free(rec->reader);
        if (rec->file)
                fclose(rec->file);
        HASH_CLEAR(hh, rec->peers_by_name);
        for (size_t i = 0; i < rec->n_peers; i++)
                peer_free(rec->peers[i]);
        for (size_t i = 0; i < rec->n_rules; i++)
                free(rec->rules[i].text);
        names_free(rec);
        free(rec->peers);
        free(rec->rules);
        free(rec->path);
        *rec = (struct recording){ 0 };
}

static uint32_t resolve(const struct recording *rec, const uint8_t *msg, struct span span)
{
        const char *s = header_text(msg, span);
        struct recorded_peer *peer;
        struct recorded_name *name;

        if (!s)
                return RECORDING_NO_PEER;
        if (*s == ':') {
                peer = recording_peer(rec, s, span.len);
                return peer ? peer->index : RECORDING_NO_PEER;
        }
        name = recording_name(rec, s, span.len);
        return name ? name->owner : RECORDING_NO_PEER;
}

/* keeps the owners of names as they were when this message was handled */
static void follow(struct recording *rec, const struct recorded_message *m)
{
        const char *args[META_ARGS_MAX + 1];
        struct recorded_peer *peer;
        struct recorded_name *name;

        if (!owner_change(m, args) || args[0][0] == ':')
                return;
        name = recording_name(rec, args[0], strlen(args[0]));
        peer = recording_peer(rec, args[2], strlen(args[2]));
        if (name)
                name->owner = peer ? peer->index : RECORDING_NO_PEER;
}

int recording_next(struct recording *rec, struct recorded_message *out)
{
        int r;

        do {
                r = read_message(rec, out);
        } while (!r && meta_is(out->data, &out->h));
        if (r)
                return r;
        out->index = rec->next_index++;
        out->sender = out->from_bus ? RECORDING_NO_PEER : resolve(rec, out->data, out->h.sender);
        out->destination = resolve(rec, out->data, out->h.destination);
        follow(rec, out);
        return 0;
}
