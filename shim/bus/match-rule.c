/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "shim/bus/match-rule.h"
#include "shim/bus/table.h"
#include "shim/wire/type.h"

/* An apostrophe takes four bytes to write; each key and its punctuation take less than 32. */
#define CANONICAL_MAX (4 * MATCH_RULE_MAX + 32 * MATCH_KEYS_MAX)

static const char *const type_names[] = {
        [1] = "method_call",
        [2] = "method_return",
        [3] = "error",
        [4] = "signal",
};

/* In the order in which a canonical text has them. */
static const struct key {
        const char *name;
        enum match_field field;
        bool (*valid)(const char *s, size_t n);
        const char *grammar;
} keys[] = {
        { "interface", MATCH_INTERFACE, valid_interface, "an interface" },
        { "member", MATCH_MEMBER, valid_member, "a member name" },
        { "path", MATCH_PATH, valid_path, "an object path" },
        { "path_namespace", MATCH_PATH_NAMESPACE, valid_path, "an object path" },
        { "sender", MATCH_SENDER, valid_bus_name, "a bus name" },
        { "destination", MATCH_DESTINATION, valid_bus_name, "a bus name" },
};

static const char *const arg_suffixes[] = {
        [MATCH_ARG_EQUAL] = "",
        [MATCH_ARG_PATH] = "path",
        [MATCH_ARG_NAMESPACE] = "namespace",
};

/* A rule in the making. Values lie in @text, one behind the other. */
struct draft {
        const char *pos; /* what is still to be read */
        const char *end;
        char *reason;
        struct match_text key; /* the key being read, within the input */
        struct match_text value;
        uint8_t type;
        bool eavesdrop;
        struct match_text fields[MATCH_FIELDS_];
        size_t n_args;
        struct match_arg args[MATCH_KEYS_MAX];
        size_t n_text;
        char text[MATCH_RULE_MAX];
};

/* A text in the making, of which enough room is known to be there. */
struct writer {
        size_t n;
        char text[CANONICAL_MAX];
};

_printf_(2, 3) static int refuse(const struct draft *draft, const char *format, ...)
{
        va_list args;

        if (draft->reason) {
                va_start(args, format);
                vsnprintf(draft->reason, MATCH_REASON_MAX, format, args);
                va_end(args);
        }
        return MATCH_E_INVALID;
}

static int refuse_twice(const struct draft *draft)
{
        return refuse(draft, "key %.*s is given more than once", (int)draft->key.n, draft->key.s);
}

static int refuse_value(const struct draft *draft, const char *grammar)
{
        return refuse(draft, "value '%.*s' of key %.*s is not %s", (int)draft->value.n,
                      draft->value.s, (int)draft->key.n, draft->key.s, grammar);
}

static bool text_is(struct match_text text, const char *word)
{
        return text.n == strlen(word) && !memcmp(text.s, word, text.n);
}

static bool text_equal(struct match_text a, struct match_text b)
{
        return a.n == b.n && !memcmp(a.s, b.s, a.n);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct draft *draft)
{
        while (draft->pos < draft->end && is_blank(*draft->pos))
                draft->pos++;
}

/* A key reaches to the next blank or '='. Without a key the rule is over, even before a '='. */
static int read_key(struct draft *draft)
{
        skip_blanks(draft);
        draft->key.s = draft->pos;
        while (draft->pos < draft->end && *draft->pos != '=' && !is_blank(*draft->pos))
                draft->pos++;
        draft->key.n = draft->pos - draft->key.s;
        if (!draft->key.n)
                return 0;

        skip_blanks(draft);
        if (draft->pos == draft->end || *draft->pos != '=')
                return refuse(draft, "key %.*s has no '=' behind it", (int)draft->key.n,
                              draft->key.s);
        draft->pos++;
        return 0;
}

/* A value reaches to the next comma outside quotes. Outside quotes a backslash makes the byte behind
 * it an ordinary one, and stays itself unless that is an apostrophe. */
static int read_value(struct draft *draft)
{
        const char *p = draft->pos;
        bool quoted = false;

        draft->value.s = draft->text + draft->n_text;
        for (; p < draft->end && (quoted || *p != ','); p++) {
                if (*p == '\'') {
                        quoted = !quoted;
                        continue;
                }
                if (!quoted && *p == '\\' && p + 1 < draft->end) {
                        if (p[1] != '\'')
                                draft->text[draft->n_text++] = *p;
                        p++;
                }
                draft->text[draft->n_text++] = *p;
        }
        if (quoted)
                return refuse(draft, "a quotation mark has no partner");
        draft->value.n = draft->text + draft->n_text - draft->value.s;
        draft->pos = p < draft->end ? p + 1 : p;
        return 0;
}

static int take_type(struct draft *draft)
{
        size_t i;

        if (draft->type)
                return refuse_twice(draft);
        for (i = 1; i < ARRAY_SIZE(type_names); i++)
                if (text_is(draft->value, type_names[i]))
                        draft->type = i;
        return draft->type ? 0 : refuse_value(draft, "a message type");
}

static int take_eavesdrop(struct draft *draft)
{
        draft->eavesdrop = text_is(draft->value, "true");
        if (!draft->eavesdrop && !text_is(draft->value, "false"))
                return refuse_value(draft, "true or false");
        return 0;
}

static int take_field(struct draft *draft, const struct key *key)
{
        bool is_path = key->field == MATCH_PATH || key->field == MATCH_PATH_NAMESPACE;

        if (draft->fields[key->field].s)
                return refuse_twice(draft);
        if (is_path && (draft->fields[MATCH_PATH].s || draft->fields[MATCH_PATH_NAMESPACE].s))
                return refuse(draft, "keys path and path_namespace exclude each other");
        if (!key->valid(draft->value.s, draft->value.n))
                return refuse_value(draft, key->grammar);
        draft->fields[key->field] = draft->value;
        return 0;
}

/* The number is read as strtoul() does with base 0: "010" is 8, "0x1f" and "+3" are numbers. */
static int read_arg_key(struct match_arg *arg, const struct draft *draft)
{
        char digits[MATCH_RULE_MAX + 1], *suffix;
        unsigned long index;
        uint8_t kind;

        memcpy(digits, draft->key.s + 3, draft->key.n - 3);
        digits[draft->key.n - 3] = '\0';
        errno = 0;
        index = strtoul(digits, &suffix, 0);
        if (suffix == digits || errno)
                return refuse(draft, "key %.*s has no argument number", (int)draft->key.n,
                              draft->key.s);
        if (index >= MATCH_ARGS_MAX)
                return refuse(draft, "key %.*s asks for an argument beyond arg63",
                              (int)draft->key.n, draft->key.s);
        for (kind = 0; kind < ARRAY_SIZE(arg_suffixes); kind++)
                if (!strcmp(suffix, arg_suffixes[kind]))
                        break;
        if (kind == ARRAY_SIZE(arg_suffixes) || (kind == MATCH_ARG_NAMESPACE && index))
                return refuse(draft, "key %.*s is neither argN, argNpath nor arg0namespace",
                              (int)draft->key.n, draft->key.s);
        *arg = (struct match_arg){ .index = index, .kind = kind };
        return 0;
}

static int take_arg(struct draft *draft)
{
        struct match_arg arg;
        size_t i;
        int r;

        r = read_arg_key(&arg, draft);
        if (r)
                return r;
        if (arg.kind == MATCH_ARG_NAMESPACE && !valid_bus_namespace(draft->value.s, draft->value.n) &&
            !valid_unique_name(draft->value.s, draft->value.n))
                return refuse_value(draft, "the beginning of a bus name");

        for (i = draft->n_args; i > 0 && draft->args[i - 1].index >= arg.index; i--)
                if (draft->args[i - 1].index == arg.index)
                        return refuse_twice(draft);
        memmove(&draft->args[i + 1], &draft->args[i], (draft->n_args - i) * sizeof(arg));
        arg.value = draft->value;
        draft->args[i] = arg;
        draft->n_args++;
        return 0;
}

static int take(struct draft *draft)
{
        size_t i;

        if (text_is(draft->key, "type"))
                return take_type(draft);
        if (text_is(draft->key, "eavesdrop"))
                return take_eavesdrop(draft);
        for (i = 0; i < ARRAY_SIZE(keys); i++)
                if (text_is(draft->key, keys[i].name))
                        return take_field(draft, &keys[i]);
        if (draft->key.n >= 3 && !memcmp(draft->key.s, "arg", 3))
                return take_arg(draft);
        return refuse(draft, "key %.*s is not known", (int)draft->key.n, draft->key.s);
}

static int parse(struct draft *draft)
{
        unsigned int i;
        int r;

        for (i = 0; i < MATCH_KEYS_MAX && draft->pos < draft->end; i++) {
                r = read_key(draft);
                if (r || !draft->key.n)
                        return r;
                r = read_value(draft);
                if (r)
                        return r;
                r = take(draft);
                if (r)
                        return r;
        }
        return 0;
}

static void write_text(struct writer *out, const char *s, size_t n)
{
        memcpy(out->text + out->n, s, n);
        out->n += n;
}

static void write_value(struct writer *out, const char *key, struct match_text value)
{
        size_t i;

        if (out->n)
                write_text(out, ",", 1);
        write_text(out, key, strlen(key));
        write_text(out, "='", 2);
        for (i = 0; i < value.n; i++)
                if (value.s[i] == '\'')
                        write_text(out, "'\\''", 4);
                else
                        write_text(out, &value.s[i], 1);
        write_text(out, "'", 1);
}

static void write_rule(struct writer *out, const struct draft *draft)
{
        const char *type = type_names[draft->type];
        char key[32];
        size_t i;

        if (type)
                write_value(out, "type", (struct match_text){ type, strlen(type) });
        for (i = 0; i < ARRAY_SIZE(keys); i++)
                if (draft->fields[keys[i].field].s)
                        write_value(out, keys[i].name, draft->fields[keys[i].field]);
        if (draft->eavesdrop)
                write_value(out, "eavesdrop", (struct match_text){ "true", 4 });
        for (i = 0; i < draft->n_args; i++) {
                snprintf(key, sizeof(key), "arg%u%s", draft->args[i].index,
                         arg_suffixes[draft->args[i].kind]);
                write_value(out, key, draft->args[i].value);
        }
        write_text(out, "", 1);
}

/* The same text, in the rule's own copy of the draft's values. */
static struct match_text moved(struct match_text text, const struct draft *draft, const char *copy)
{
        if (text.s)
                text.s = copy + (text.s - draft->text);
        return text;
}

static struct match_rule *rule_from_draft(const struct draft *draft)
{
        struct writer canonical = { 0 };
        struct match_rule *rule;
        char *text;
        size_t i;

        write_rule(&canonical, draft);
        rule = calloc(1, sizeof(*rule) + draft->n_args * sizeof(rule->args[0]) + draft->n_text +
                                 canonical.n);
        if (!rule)
                return NULL;
        text = (char *)&rule->args[draft->n_args];
        memcpy(text, draft->text, draft->n_text);
        memcpy(text + draft->n_text, canonical.text, canonical.n);

        rule->canonical = (struct match_text){ text + draft->n_text, canonical.n - 1 };
        rule->hash = table_hash(rule->canonical.s, rule->canonical.n);
        rule->type = draft->type;
        rule->eavesdrop = draft->eavesdrop;
        rule->n_args = draft->n_args;
        for (i = 0; i < MATCH_FIELDS_; i++)
                rule->fields[i] = moved(draft->fields[i], draft, text);
        for (i = 0; i < draft->n_args; i++) {
                rule->args[i] = draft->args[i];
                rule->args[i].value = moved(draft->args[i].value, draft, text);
        }
        return rule;
}

int match_rule_new(struct match_rule **out, char *reason, const char *text, size_t n)
{
        struct draft draft;
        int r;

        memset(&draft, 0, offsetof(struct draft, text));
        draft.pos = text;
        draft.end = text + n;
        draft.reason = reason;
        if (n > MATCH_RULE_MAX) {
                refuse(&draft, "rule has %zu bytes, more than %u", n, MATCH_RULE_MAX);
                return MATCH_E_TOO_LONG;
        }
        if (memchr(text, '\0', n))
                return refuse(&draft, "rule holds a NUL byte");
        r = parse(&draft);
        if (r)
                return r;
        *out = rule_from_draft(&draft);
        return *out ? 0 : error_origin(-ENOMEM);
}

struct match_rule *match_rule_free(struct match_rule *rule)
{
        free(rule);
        return NULL;
}

bool match_rule_equal(const struct match_rule *a, const struct match_rule *b)
{
        return a->hash == b->hash && text_equal(a->canonical, b->canonical);
}

const char *match_rule_format(const struct match_rule *rule)
{
        return rule->canonical.s;
}

static bool field_accepts(struct match_text wanted, struct match_text given)
{
        return !wanted.s || (given.s && text_equal(wanted, given));
}

static bool below(struct match_text root, struct match_text text, char separator)
{
        return text.n >= root.n && !memcmp(root.s, text.s, root.n) &&
               (text.n == root.n || text.s[root.n] == separator);
}

static bool path_accepts(struct match_text root, struct match_text path)
{
        return !root.s || (path.s && (root.n == 1 || below(root, path, '/')));
}

/* Either is the other, or a beginning of the other that ends in a slash. */
static bool directories_meet(struct match_text a, struct match_text b)
{
        struct match_text shorter = a.n < b.n ? a : b;

        if (a.n != b.n && (!shorter.n || shorter.s[shorter.n - 1] != '/'))
                return false;
        return !memcmp(a.s, b.s, shorter.n);
}

static bool arg_accepts(const struct match_arg *arg, const struct match_query *query)
{
        const struct match_value *value;
        struct match_text text;

        if (arg->index >= query->n_args)
                return false;
        value = &query->args[arg->index];
        if (value->type != 's' && (value->type != 'o' || arg->kind != MATCH_ARG_PATH))
                return false;
        text = (struct match_text){ value->s, value->n };
        switch (arg->kind) {
        case MATCH_ARG_EQUAL:
                return text_equal(arg->value, text);
        case MATCH_ARG_PATH:
                return directories_meet(arg->value, text);
        default:
                return below(arg->value, text, '.');
        }
}

bool match_rule_accepts(const struct match_rule *rule, const struct match_query *query)
{
        size_t i;

        if ((rule->type && rule->type != query->type) || (query->eavesdrop && !rule->eavesdrop) ||
            !field_accepts(rule->fields[MATCH_INTERFACE], query->interface) ||
            !field_accepts(rule->fields[MATCH_MEMBER], query->member) ||
            !field_accepts(rule->fields[MATCH_PATH], query->path) ||
            !path_accepts(rule->fields[MATCH_PATH_NAMESPACE], query->path))
                return false;
        for (i = 0; i < rule->n_args; i++)
                if (!arg_accepts(&rule->args[i], query))
                        return false;
        return true;
}
