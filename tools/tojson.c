/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "tools/tojson.h"

union basic {
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
        const char *s;
};

static json_t *basic(sd_bus_message *m, char type)
{
        union basic v = { .t = 0 };

        if (sd_bus_message_read_basic(m, type, &v) < 0)
                return NULL;
        switch (type) {
        case 'y':
                return json_integer(v.y);
        case 'b':
                return json_boolean(v.b);
        case 'n':
                return json_integer(v.n);
        case 'q':
                return json_integer(v.q);
        case 'i':
                return json_integer(v.i);
        case 'u':
                return json_integer(v.u);
        case 'x':
                return json_integer(v.x);
        case 't':
                return json_integer(MIN(v.t, (uint64_t)INT64_MAX));
        case 'd':
                return json_real(v.d);
        case 'h':
                return json_null();
        default:
                return json_string(v.s);
        }
}

static json_t *bytes(sd_bus_message *m)
{
        const void *data;
        json_t *text;
        size_t n;

        if (sd_bus_message_read_array(m, 'y', &data, &n) < 0)
                return NULL;
        text = json_stringn(n ? data : "", n ? strnlen(data, n) : 0);
        return text ? text : json_string(""); /* no UTF-8 */
}

static bool add_entry(json_t *object, sd_bus_message *m, const char *contents)
{
        json_auto_t *key = NULL, *value = NULL;
        char number[32];

        if (sd_bus_message_enter_container(m, 'e', contents) <= 0)
                return false;
        key = tojson_next(m);
        value = tojson_next(m);
        if (!key || !value || sd_bus_message_exit_container(m) < 0)
                return false;
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(key));
        return !json_object_set(object, json_is_string(key) ? json_string_value(key) : number,
                                value);
}

/* What is in a container of the type that peek_type() told. */
static json_t *container(sd_bus_message *m, char type, const char *contents)
{
        bool is_object = type == 'a' && *contents == '{';
        json_t *all, *value;
        char entry[256] = "";

        if (type == 'a' && !strcmp(contents, "y"))
                return bytes(m);
        if (is_object) /* without its braces */
                snprintf(entry, sizeof(entry), "%.*s", (int)strlen(contents) - 2, contents + 1);
        if (sd_bus_message_enter_container(m, type, contents) < 0)
                return NULL;
        if (type == 'v')
                all = tojson_next(m);
        else
                all = is_object ? json_object() : json_array();
        while (type != 'v' && all && !sd_bus_message_at_end(m, false)) {
                value = NULL;
                if (is_object ? !add_entry(all, m, entry)
                              : !(value = tojson_next(m)) || json_array_append_new(all, value)) {
                        json_decref(all);
                        return NULL;
                }
        }
        if (sd_bus_message_exit_container(m) < 0) {
                json_decref(all);
                return NULL;
        }
        return all;
}

json_t *tojson_next(sd_bus_message *m)
{
        const char *contents;
        char type;

        if (sd_bus_message_peek_type(m, &type, &contents) <= 0)
                return NULL;
        return contents ? container(m, type, contents) : basic(m, type);
}
