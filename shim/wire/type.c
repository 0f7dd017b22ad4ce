/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type: see type.h. */

#include <string.h>

#include "shim/wire/error.h"
#include "shim/wire/type.h"

const struct type_info type_infos[256] = {
        ['y'] = {1, 1, true},  ['b'] = {4, 4, true},  ['n'] = {2, 2, true},  ['q'] = {2, 2, true},
        ['i'] = {4, 4, true},  ['u'] = {4, 4, true},  ['x'] = {8, 8, true},  ['t'] = {8, 8, true},
        ['d'] = {8, 8, true},  ['h'] = {4, 4, true},  ['s'] = {4, 0, true},  ['o'] = {4, 0, true},
        ['g'] = {1, 0, true},  ['v'] = {1, 0, false}, ['a'] = {4, 0, false}, ['('] = {8, 0, false},
        ['{'] = {8, 0, false},
};

/* --- signatures --------------------------------------------------------------------------- */

/* What a signature has opened and not yet closed: 'a', '(' or '{', and types seen inside. */
struct nest {
        unsigned depth, arrays, structs;
        struct {
                char kind;
                uint8_t count;
        } open[3 * TYPE_NESTING_MAX + 1];
};

static void nest_push(struct nest *nest, char kind)
{
        nest->depth++;
        nest->open[nest->depth].kind = kind;
        nest->open[nest->depth].count = 0;
}

/* nest_complete() - a type has ended: so have the arrays it is the element of */
static void nest_complete(struct nest *nest)
{
        while (nest->open[nest->depth].kind == 'a') {
                nest->depth--;
                nest->arrays--;
        }
        nest->open[nest->depth].count++;
}

static int nest_open(struct nest *nest, char c)
{
        char outer = nest->open[nest->depth].kind;

        if (c == 'a' && ++nest->arrays > TYPE_NESTING_MAX)
                return WIRE_E_SIGNATURE_ARRAYS;
        if (c == '(' && ++nest->structs > TYPE_NESTING_MAX)
                return WIRE_E_SIGNATURE_STRUCTS;
        if (c == '{' && outer != 'a')
                return WIRE_E_SIGNATURE_DICT;
        nest_push(nest, c);
        return 0;
}

static int nest_close(struct nest *nest, char c)
{
        char kind = nest->open[nest->depth].kind;
        uint8_t count = nest->open[nest->depth].count;

        if (kind == 'a')
                return WIRE_E_SIGNATURE_ARRAY;
        if (c == ')' && (kind != '(' || !count))
                return WIRE_E_SIGNATURE_STRUCT;
        if (c == '}' && (kind != '{' || count != 2))
                return WIRE_E_SIGNATURE_DICT;
        nest->structs -= c == ')';
        nest->depth--;
        nest_complete(nest);
        return 0;
}

static int nest_end(const struct nest *nest)
{
        switch (nest->open[nest->depth].kind) {
        case 'a':
                return WIRE_E_SIGNATURE_ARRAY;
        case '(':
                return WIRE_E_SIGNATURE_STRUCT;
        case '{':
                return WIRE_E_SIGNATURE_DICT;
        }
        return 0;
}

/* nest_type() - take one code of the signature */
static inline int nest_type(struct nest *nest, char c)
{
        if (c == ')' || c == '}')
                return nest_close(nest, c);
        if (!type_align(c))
                return WIRE_E_SIGNATURE_TYPE;
        if (nest->open[nest->depth].kind == '{') {
                if (!nest->open[nest->depth].count && !type_is_basic(c))
                        return WIRE_E_SIGNATURE_KEY;
                if (nest->open[nest->depth].count == 2)
                        return WIRE_E_SIGNATURE_DICT;
        }
        if (c == 'a' || c == '(' || c == '{')
                return nest_open(nest, c);
        nest_complete(nest);
        return 0;
}

/* validate() - judge a signature, and say how many complete types it has */
static int validate(const char *sig, size_t n, unsigned *out_count)
{
        struct nest nest;
        int r;

        if (n > TYPE_SIGNATURE_MAX)
                return WIRE_E_SIGNATURE_LENGTH;
        nest.depth = nest.arrays = nest.structs = 0;
        nest.open[0].kind = 0;
        nest.open[0].count = 0;
        for (size_t i = 0; i < n; i++) {
                r = nest_type(&nest, sig[i]);
                if (r)
                        return r;
        }
        *out_count = nest.open[0].count;
        return nest_end(&nest);
}

int signature_validate(const char *sig, size_t n)
{
        unsigned count;

        if (n == 1) /* by far the most frequent */
                return type_is_basic(sig[0]) || sig[0] == 'v' ? 0 : validate(sig, n, &count);
        return validate(sig, n, &count);
}

int signature_validate_single(const char *sig, size_t n)
{
        unsigned count;
        int r;

        if (n == 1 && (type_is_basic(sig[0]) || sig[0] == 'v'))
                return 0;
        r = validate(sig, n, &count);
        if (r)
                return r;
        return count == 1 ? 0 : WIRE_E_SIGNATURE_SINGLE;
}

size_t signature_next(const char *sig, size_t n)
{
        unsigned depth = 0;

        for (size_t i = 0; i < n; i++) {
                if (sig[i] == 'a')
                        continue;
                depth += sig[i] == '(' || sig[i] == '{';
                depth -= sig[i] == ')' || sig[i] == '}';
                if (!depth)
                        return i + 1;
        }
        return 0;
}

/* --- names -------------------------------------------------------------------------------- */

enum {
        OTHER, /* illegal in every name */
        EDGE,  /* before the first and behind the last character */
        ALPHA, /* and '_' */
        DIGIT,
        HYPHEN,
        DOT,
        SLASH,
        COLON,
        CLASSES,
};

#define TEN_(base, c)                                                                              \
        [(base) + 0] = (c), [(base) + 1] = (c), [(base) + 2] = (c), [(base) + 3] = (c),            \
               [(base) + 4] = (c), [(base) + 5] = (c), [(base) + 6] = (c), [(base) + 7] = (c),     \
               [(base) + 8] = (c), [(base) + 9] = (c)

static const uint8_t classes[256] = {
        TEN_('0', DIGIT),
        TEN_('A', ALPHA),
        TEN_('K', ALPHA),
        ['U'] = ALPHA,
        ['V'] = ALPHA,
        ['W'] = ALPHA,
        ['X'] = ALPHA,
        ['Y'] = ALPHA,
        ['Z'] = ALPHA,
        TEN_('a', ALPHA),
        TEN_('k', ALPHA),
        ['u'] = ALPHA,
        ['v'] = ALPHA,
        ['w'] = ALPHA,
        ['x'] = ALPHA,
        ['y'] = ALPHA,
        ['z'] = ALPHA,
        ['_'] = ALPHA,
        ['-'] = HYPHEN,
        ['.'] = DOT,
        ['/'] = SLASH,
        [':'] = COLON,
};

/* A grammar: which class may follow which; legal pairs are marked. */
struct grammar {
        uint8_t legal[CLASSES][CLASSES];
};

static const struct grammar path = {{
        [EDGE] = {[SLASH] = 1},
        [SLASH] = {[ALPHA] = 1, [DIGIT] = 1},
        [ALPHA] = {[ALPHA] = 1, [DIGIT] = 1, [SLASH] = 1, [EDGE] = 1},
        [DIGIT] = {[ALPHA] = 1, [DIGIT] = 1, [SLASH] = 1, [EDGE] = 1},
}};

static const struct grammar interface = {{
        [EDGE] = {[ALPHA] = 1},
        [ALPHA] = {[ALPHA] = 1, [DIGIT] = 1, [DOT] = 1, [EDGE] = 1},
        [DIGIT] = {[ALPHA] = 1, [DIGIT] = 1, [DOT] = 1, [EDGE] = 1},
        [DOT] = {[ALPHA] = 1},
}};

static const struct grammar member = {{
        [EDGE] = {[ALPHA] = 1},
        [ALPHA] = {[ALPHA] = 1, [DIGIT] = 1, [EDGE] = 1},
        [DIGIT] = {[ALPHA] = 1, [DIGIT] = 1, [EDGE] = 1},
}};

static const struct grammar well_known = {{
        [EDGE] = {[ALPHA] = 1, [HYPHEN] = 1},
        [ALPHA] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [DIGIT] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [HYPHEN] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [DOT] = {[ALPHA] = 1, [HYPHEN] = 1},
}};

static const struct grammar unique = {{
        [EDGE] = {[COLON] = 1},
        [COLON] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [ALPHA] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [DIGIT] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [HYPHEN] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1, [DOT] = 1, [EDGE] = 1},
        [DOT] = {[ALPHA] = 1, [DIGIT] = 1, [HYPHEN] = 1},
}};

/* conforms() - no step depends on the one before, so the loads overlap and nothing branches */
static inline bool conforms(const struct grammar *g, const char *s, size_t n)
{
        uint8_t legal = 1, last = EDGE;

        for (size_t i = 0; i < n; i++) {
                uint8_t class = classes[(uint8_t)s[i]];

                legal &= g->legal[last][class];
                last = class;
        }
        return legal & g->legal[last][EDGE];
}

bool valid_path(const char *s, size_t n)
{
        return conforms(&path, s, n) || (n == 1 && s[0] == '/');
}

bool valid_interface(const char *s, size_t n)
{
        return n <= TYPE_NAME_MAX && conforms(&interface, s, n) && memchr(s, '.', n);
}

bool valid_member(const char *s, size_t n)
{
        return n <= TYPE_NAME_MAX && conforms(&member, s, n);
}

bool valid_error_name(const char *s, size_t n)
{
        return valid_interface(s, n);
}

bool valid_unique_name(const char *s, size_t n)
{
        return n <= TYPE_NAME_MAX && conforms(&unique, s, n);
}

bool valid_bus_namespace(const char *s, size_t n)
{
        return n <= TYPE_NAME_MAX && conforms(&well_known, s, n);
}

bool valid_well_known_name(const char *s, size_t n)
{
        return valid_bus_namespace(s, n) && memchr(s, '.', n);
}

bool valid_bus_name(const char *s, size_t n)
{
        return n && s[0] == ':' ? valid_unique_name(s, n) : valid_well_known_name(s, n);
}
