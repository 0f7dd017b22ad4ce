/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/service-file.h"
#include "shim/wire/bytes.h"
#include "shim/wire/type.h"

#define GROUP "D-BUS Service"
#define PROBLEM_MAX 512

/* one file being read */
struct reader {
        const char *file;
        unsigned int line;
        service_report_fn *report;
        void *arg;
        struct service *service;
        enum { BEFORE_GROUPS, IN_GROUP, IN_OTHER_GROUP } where;
        bool seen; /* the first [D-BUS Service] counts, others are as good as foreign */
};

_printf_(3, 4) static void report(const struct reader *rd, bool skipped, const char *format, ...)
{
        char text[PROBLEM_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (rd->report)
                rd->report(rd->arg, &(struct service_problem){
                                            .file = rd->file,
                                            .line = rd->line,
                                            .text = text,
                                            .skipped = skipped,
                                    });
}

#define refuse(rd, ...) (report((rd), true, __VA_ARGS__), SERVICE_E_INVALID)

/* ---- words of a command ---- */

struct words {
        char **v;
        size_t n;
        char *word; /* the one being read, n_word bytes of it so far */
        size_t n_word;
        bool open; /* there is a word, be it empty */
};

static void words_deinit(struct words *w)
{
        size_t i;

        for (i = 0; i < w->n; ++i)
                free(w->v[i]);
        free(w->v);
        free(w->word);
}

static int words_close(struct words *w)
{
        char **grown;

        if (!w->open)
                return 0;
        grown = reallocarray(w->v, w->n + 2, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        w->v = grown;
        grown[w->n] = strndup(w->word, w->n_word);
        if (!grown[w->n])
                return error_origin(-ENOMEM);
        grown[++w->n] = NULL;
        w->n_word = 0;
        w->open = false;
        return 0;
}

static void words_put(struct words *w, char c)
{
        w->word[w->n_word++] = c;
        w->open = true;
}

/* the text up to the closing quote; returns what is behind it, NULL if there is none */
static const char *words_quoted(struct words *w, const char *s, char quote)
{
        w->open = true;
        for (; *s && *s != quote; ++s) {
                if (quote == '"' && *s == '\\' && s[1] && strchr("$`\"\\\n", s[1]))
                        ++s;
                words_put(w, *s);
        }
        return *s ? s + 1 : NULL;
}

static const char *words_escaped(struct words *w, const char *s)
{
        if (!*s)
                return NULL;
        if (*s != '\n')
                words_put(w, *s);
        return s + 1;
}

static int words_read(struct words *w, const char *s)
{
        int r;

        while (s && *s) {
                switch (*s) {
                case ' ':
                case '\t':
                case '\n':
                        r = words_close(w);
                        if (r)
                                return error_fold(r);
                        ++s;
                        break;
                case '\'':
                case '"':
                        s = words_quoted(w, s + 1, *s);
                        break;
                case '\\':
                        s = words_escaped(w, s + 1);
                        break;
                case '#':
                        s = strchrnul(s, '\n');
                        break;
                default:
                        words_put(w, *s++);
                }
        }
        return s ? error_fold(words_close(w)) : SERVICE_E_INVALID;
}

/**
 * service_split_exec() - split a command into words, as a shell does
 *
 * '...' keeps all, "..." all but backslash before $ ` " \ and newline; a backslash keeps the next
 * byte; an unquoted # starts a comment, even inside a word. Nothing is expanded.
 *
 * Return:      0, SERVICE_E_INVALID if a quote or escape is open at the end or there is no word,
 *              or an error.
 */
int service_split_exec(char ***argvp, size_t *argcp, const char *exec)
{
        _cleanup_(words_deinit) struct words w = { 0 };
        int r;

        w.word = malloc(strlen(exec) + 1);
        if (!w.word)
                return error_origin(-ENOMEM);
        r = words_read(&w, exec);
        if (r)
                return error_fold(r);
        if (!w.n)
                return SERVICE_E_INVALID;
        *argcp = w.n;
        *argvp = steal(&w.v);
        w.n = 0;
        return 0;
}

/* ---- the file ---- */

/* \s \n \t \r \\ are all the escapes there are; in place, NUL-terminated */
static int unescape(struct reader *rd, char *value, size_t n)
{
        static const char from[] = "sntr\\", to[] = " \n\t\r\\";
        const char *found;
        size_t i, k = 0;

        for (i = 0; i < n; ++i) {
                if (value[i] != '\\') {
                        value[k++] = value[i];
                        continue;
                }
                found = i + 1 < n ? strchr(from, value[++i]) : NULL;
                if (!found || !*found)
                        return refuse(rd, "a backslash stands before something other than "
                                          "s, n, t, r or another");
                value[k++] = to[found - from];
        }
        value[k] = '\0';
        return 0;
}

static int read_group(struct reader *rd, const char *text, size_t n)
{
        size_t i;

        if (n < 3 || text[n - 1] != ']')
                return refuse(rd, "the line of a group does not end in ]");
        ++text;
        n -= 2;
        for (i = 0; i < n; ++i)
                if (text[i] < ' ' || text[i] > '~' || text[i] == '[' || text[i] == ']')
                        return refuse(rd, "the name of a group has a character that it may not");
        rd->where = IN_OTHER_GROUP;
        if (!rd->seen && n == strlen(GROUP) && memcmp(text, GROUP, n) == 0) {
                rd->where = IN_GROUP;
                rd->seen = true;
        }
        return 0;
}

static bool is_key_char(char c)
{
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '-';
}

static char **key_field(struct service *service, const char *key, size_t n)
{
        const struct {
                const char *key;
                char **field;
        } keys[] = {
                { "Name", &service->name },
                { "Exec", &service->exec },
                { "User", &service->user },
                { "SystemdService", &service->systemd_service },
                { "AssumedAppArmorLabel", &service->apparmor_label },
        };
        size_t i;

        for (i = 0; i < ARRAY_SIZE(keys); ++i)
                if (strlen(keys[i].key) == n && memcmp(keys[i].key, key, n) == 0)
                        return keys[i].field;
        return NULL;
}

/* spaces behind a value were not meant, but a command may end in one that is escaped */
static size_t value_length(const struct service *service, char *const *field, const char *value,
                           size_t n)
{
        if (field && field != &service->exec)
                while (n && value[n - 1] == ' ')
                        --n;
        return n;
}

static int read_value(struct reader *rd, char **field, const char *text, size_t n)
{
        _cleanup_(freep) char *value = NULL;
        int r;

        n = value_length(rd->service, field, text, n);
        value = malloc(n + 1);
        if (!value)
                return error_origin(-ENOMEM);
        memcpy(value, text, n);
        r = unescape(rd, value, n);
        if (r)
                return r;
        if (field && !*field) /* the first of equal keys counts */
                *field = steal(&value);
        return 0;
}

static int read_key(struct reader *rd, const char *text, size_t n)
{
        const char *equals = memchr(text, '=', n), *value;
        char **field = NULL;
        size_t n_key = 0, i;

        while (n_key < n && is_key_char(text[n_key]))
                ++n_key;
        if (!n_key || !equals)
                return refuse(rd, "neither a comment, a group, nor a key with a value");
        for (i = n_key; text + i < equals && text[n_key] != '['; ++i)
                if (text[i] != ' ')
                        return refuse(rd, "a key has a character that it may not");
        if (rd->where == BEFORE_GROUPS)
                return refuse(rd, "a key stands before the first group");
        for (value = equals + 1; value < text + n && *value == ' ';)
                ++value;
        if (rd->where == IN_GROUP && text[n_key] != '[')
                field = key_field(rd->service, text, n_key);
        return read_value(rd, field, value, text + n - value);
}

static bool is_blank(const char *text, size_t n)
{
        while (n && (*text == ' ' || *text == '\t'))
                ++text, --n;
        return !n;
}

static int read_line(struct reader *rd, const char *text, size_t n)
{
        if (is_blank(text, n) || text[0] == '#')
                return 0;
        if (text[0] == '[')
                return read_group(rd, text, n);
        return read_key(rd, text, n);
}

/* a line ends in \n, \r\n or \r */
static int read_lines(struct reader *rd, const char *data, size_t n)
{
        const char *end = data + n, *eol;
        int r;

        while (data < end) {
                ++rd->line;
                for (eol = data; eol < end && *eol != '\n' && *eol != '\r';)
                        ++eol;
                r = read_line(rd, data, eol - data);
                if (r)
                        return r;
                if (eol < end && *eol++ == '\r' && eol < end && *eol == '\n')
                        ++eol;
                data = eol;
        }
        return 0;
}

static int check_exec(struct reader *rd)
{
        struct service *service = rd->service;
        int r;

        if (!service->exec) {
                if (!service->systemd_service)
                        return refuse(rd, "there is neither Exec= nor SystemdService=");
                return 0;
        }
        r = service_split_exec(&service->argv, &service->argc, service->exec);
        if (r == SERVICE_E_INVALID) {
                report(rd, false, "Exec=%s is no command, or has an open quote", service->exec);
                return 0;
        }
        return error_fold(r);
}

static int check(struct reader *rd)
{
        const char *name = rd->service->name;

        rd->line = 0;
        if (!rd->seen)
                return refuse(rd, "there is no group [%s]", GROUP);
        if (!name)
                return refuse(rd, "there is no Name=");
        if (!valid_well_known_name(name, strlen(name)))
                return refuse(rd, "Name=%s is not a name that can be owned", name);
        if (strcmp(name, "org.freedesktop.DBus") == 0)
                return refuse(rd, "Name=%s is the bus itself", name);
        return check_exec(rd);
}

/**
 * service_parse() - read a .service file that is in memory
 * @file:       what it is called, in reports and in the service
 * @report:     called for each problem; or NULL
 *
 * An Exec that is no command is remarked upon only: the service is known, but starting it fails.
 *
 * Return:      0, SERVICE_E_INVALID, or an error.
 */
int service_parse(struct service **servicep, const char *data, size_t n, const char *file,
                  service_report_fn *report_fn, void *arg)
{
        _cleanup_(service_unrefp) struct service *service = NULL;
        struct reader rd = { .file = file, .report = report_fn, .arg = arg };
        int r;

        service = calloc(1, sizeof(*service));
        if (!service)
                return error_origin(-ENOMEM);
        atomic_init(&service->refs, 1);
        service->file = strdup(file);
        if (!service->file)
                return error_origin(-ENOMEM);
        rd.service = service;
        if (bytes_text((const uint8_t *)data, n))
                return refuse(&rd, "is not text in UTF-8");
        r = read_lines(&rd, data, n);
        if (!r)
                r = check(&rd);
        if (r)
                return r;
        *servicep = steal(&service);
        return 0;
}

struct service *service_ref(struct service *service)
{
        if (service)
                atomic_fetch_add(&service->refs, 1);
        return service;
}

struct service *service_unref(struct service *service)
{
        size_t i;

        if (!service || atomic_fetch_sub(&service->refs, 1) != 1)
                return NULL;
        free(service->name);
        for (i = 0; i < service->argc; ++i)
                free(service->argv[i]);
        free(service->argv);
        free(service->exec);
        free(service->user);
        free(service->systemd_service);
        free(service->apparmor_label);
        free(service->file);
        free(service);
        return NULL;
}
