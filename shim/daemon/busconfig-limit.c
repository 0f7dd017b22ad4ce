/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * <?lambus-limit name="..." value="..." [user="..."] [unit="..."] [executable="..."]?>
 *
 * What stands in the instruction is read as the attributes of an element, by the parser that reads the
 * rest.
 */

#include "config.h"

#include <errno.h>
#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/daemon/busconfig-private.h"
#include "shim/daemon/userdb.h"

struct instruction {
        struct busconfig *config;
        const char *path;
        unsigned int line;
        bool ask_userdb;
        bool seen;
        int r;
};

_printf_(2, 3) static int ignore(struct instruction *in, const char *format, ...)
{
        char text[BUSCONFIG_TEXT_MAX], why[BUSCONFIG_TEXT_MAX + 64];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        snprintf(why, sizeof(why), "<?" LIMIT_INSTRUCTION "?> is passed over: %s", text);
        return error_fold(busconfig_note_add(&in->config->warnings, &in->config->n_warnings,
                                             in->path, in->line, why));
}

static bool read_value(uint64_t *to, const char *text)
{
        char *end;
        long long n;

        errno = 0;
        n = strtoll(text, &end, 0);
        *to = n;
        return !errno && end != text && !*end && n >= 0;
}

static int read_user(struct instruction *in, struct limit_override *o, const char *name)
{
        uint32_t uid;
        int r = USERDB_E_UNKNOWN;

        if (in->ask_userdb)
                r = userdb_user(&uid, NULL, name);
        o->has_user = r == 0;
        o->user = r ? 0 : uid;
        return r;
}

static int add(struct instruction *in, const char *name, const char *value, const char *user,
               struct limit_override *o)
{
        enum limit_scope scope;
        int r;

        if (!name || !value)
                return ignore(in, "it needs name and value");
        if (limit_find(&o->limit, name))
                return ignore(in, "there is no limit \"%s\"", name);
        if (!read_value(&o->value, value))
                return ignore(in, "value=\"%s\" is not a number from 0 on", value);
        if (!user && !o->unit && !o->executable)
                return ignore(in, "it needs user, unit or executable");
        scope = limit_describe(o->limit)->scope;
        if (scope == LIMIT_OF_BUS)
                return ignore(in, "%s is the same for everyone", name);
        if (scope == LIMIT_OF_USER && (o->unit || o->executable))
                return ignore(in, "%s can differ by user only", name);
        r = user ? read_user(in, o, user) : 0;
        if (r < 0)
                return error_fold(r);
        if (r)
                return ignore(in, "no user \"%s\"", user);
        return error_fold(busconfig_add_override(in->config, o));
}

static void XMLCALL on_start(void *data, _unused_ const char *element, const char **at)
{
        struct instruction *in = data;
        struct limit_override o = { .origin = { in->path, in->line } };
        const char *name = NULL, *value = NULL, *user = NULL;

        if (in->seen)
                return;
        in->seen = true;
        for (; *at; at += 2) {
                if (strcmp(at[0], "name") == 0)
                        name = at[1];
                else if (strcmp(at[0], "value") == 0)
                        value = at[1];
                else if (strcmp(at[0], "user") == 0)
                        user = at[1];
                else if (strcmp(at[0], "unit") == 0)
                        o.unit = at[1];
                else if (strcmp(at[0], "executable") == 0)
                        o.executable = at[1];
                else {
                        in->r = ignore(in, "it has no \"%s\"", at[0]);
                        return;
                }
        }
        in->r = add(in, name, value, user, &o);
}

/**
 * busconfig_limit() - take in what a limit instruction says
 * @path:       the file, config->files[0]
 * @data:       all behind its name
 *
 * Return:      0, also if it says nonsense, for which there is a warning then; or an error.
 */
int busconfig_limit(struct busconfig *config, const char *path, unsigned int line,
                    const char *data, bool ask_userdb)
{
        struct instruction in = { config, path, line, ask_userdb, false, 0 };
        _cleanup_(freep) char *text = NULL;
        enum XML_Status status;
        XML_Parser xml;

        if (asprintf(&text, "<limit %s/>", data) < 0) {
                text = NULL;
                return error_origin(-ENOMEM);
        }
        xml = XML_ParserCreate("UTF-8");
        if (!xml)
                return error_origin(-ENOMEM);
        XML_SetUserData(xml, &in);
        XML_SetStartElementHandler(xml, on_start);
        status = XML_Parse(xml, text, strlen(text), 1);
        if (status != XML_STATUS_OK && !in.seen)
                in.r = XML_GetErrorCode(xml) == XML_ERROR_NO_MEMORY
                               ? error_origin(-ENOMEM)
                               : ignore(&in, "%s", XML_ErrorString(XML_GetErrorCode(xml)));
        XML_ParserFree(xml);
        return error_fold(in.r);
}
