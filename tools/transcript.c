/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/table.h"
#include "tools/transcript.h"

int transcript_init(struct transcript *t)
{
        *t = (struct transcript){ 0 };
        t->file = tmpfile();
        return t->file ? 0 : error_origin(-errno);
}

void transcript_deinit(struct transcript *t)
{
        struct transcript_stream *s, *tmp;

        HASH_ITER(hh, t->streams, s, tmp) {
                HASH_DEL(t->streams, s);
                free(s);
        }
        if (t->file)
                fclose(t->file);
        *t = (struct transcript){ 0 };
}

static int extend_stream(struct transcript *t, const struct transcript_entry *e)
{
        uint64_t id = transcript_stream_id(e), words[4];
        struct transcript_stream *s;

        HASH_FIND(hh, t->streams, &id, sizeof(id), s);
        if (!s) {
                s = calloc(1, sizeof(*s));
                if (!s)
                        return error_origin(-ENOMEM);
                s->id = id;
                HASH_ADD(hh, t->streams, id, sizeof(s->id), s);
        }
        words[0] = e->sender == TRANSCRIPT_LATE ? 0 : s->digest;
        words[1] = e->key;
        words[2] = e->digest;
        words[3] = e->kind;
        s->digest = table_hash(words, sizeof(words)) +
                    (e->sender == TRANSCRIPT_LATE ? s->digest : 0);
        s->n++;
        return 0;
}

int transcript_put(struct transcript *t, struct transcript_entry *e, const void *data, size_t n)
{
        int r;

        e->n = (uint32_t)n;
        e->digest = table_hash(data, n);
        e->offset = t->size + sizeof(*e);
        r = extend_stream(t, e);
        if (r)
                return r;
        if (fwrite(e, sizeof(*e), 1, t->file) != 1 || (n && fwrite(data, n, 1, t->file) != 1))
                return error_origin(-EIO);
        t->size += sizeof(*e) + n;
        t->n_entries++;
        return 0;
}

int transcript_rewind(struct transcript *t)
{
        return fseeko(t->file, 0, SEEK_SET) < 0 ? error_origin(-errno) : 0;
}

int transcript_next(struct transcript *t, struct transcript_entry *out)
{
        if (fread(out, sizeof(*out), 1, t->file) != 1)
                return ferror(t->file) ? error_origin(-EIO) : 1;
        if (fseeko(t->file, out->n, SEEK_CUR) < 0)
                return error_origin(-errno);
        return 0;
}

int transcript_load(struct transcript *t, const struct transcript_entry *e, uint8_t **out)
{
        _cleanup_(freep) uint8_t *data = malloc(e->n + 1);

        if (!data)
                return error_origin(-ENOMEM);
        if (fseeko(t->file, (off_t)e->offset, SEEK_SET) < 0)
                return error_origin(-errno);
        if (e->n && fread(data, e->n, 1, t->file) != 1)
                return error_origin(-EIO);
        *out = steal(&data);
        return 0;
}
