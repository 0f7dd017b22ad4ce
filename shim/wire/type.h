/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Type
 *
 * What it is     What the D-Bus type codes mean (class, alignment, size), which strings of them
 *                are signatures, and the grammar of paths and names.
 * How            A name is legal exactly if each pair of neighbouring characters is, so one loop
 *                with a table of character classes and a table of pairs serves every grammar.
 * Not promised   Where a length is given, nothing behind it is read; a NUL is not looked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TYPE_SIGNATURE_MAX 255U   /* bytes of a signature */
#define TYPE_NAME_MAX      255U   /* bytes of a bus name, interface, member or error name */
#define TYPE_NESTING_MAX   32U    /* arrays in arrays; structs in structs */
#define TYPE_DEPTH_MAX     64U    /* containers around a value, variants included */
#define TYPE_ARRAY_MAX     (1U << 26) /* bytes of an array's elements */
#define TYPE_MESSAGE_MAX   (1U << 27) /* bytes of a message */

/* One row per type code; a zero alignment says that the code is none (')' and '}' are none). */
struct type_info {
        uint8_t align;
        uint8_t size; /* of fixed-size types, else 0 */
        bool basic;   /* may be the key of a dict entry */
};
extern const struct type_info type_infos[256];

static inline unsigned type_align(char c)
{
        return type_infos[(uint8_t)c].align;
}

static inline unsigned type_size(char c)
{
        return type_infos[(uint8_t)c].size;
}

static inline bool type_is_basic(char c)
{
        return type_infos[(uint8_t)c].basic;
}

/* type_is_fixed() - y b n q i u x t d h: basic, and every value has the same size */
static inline bool type_is_fixed(char c)
{
        return type_infos[(uint8_t)c].size;
}

/* signature_validate() - 0 or the WIRE_E_SIGNATURE_* rule broken; any number of types, also none */
int signature_validate(const char *sig, size_t n);

/* signature_validate_single() - the same for exactly one complete type */
int signature_validate_single(const char *sig, size_t n);

/* signature_next() - length of the first complete type of a valid signature, 0 at its end */
size_t signature_next(const char *sig, size_t n);

/* The grammars. Each rejects the empty string, and each name longer than TYPE_NAME_MAX. */
bool valid_path(const char *s, size_t n);
bool valid_interface(const char *s, size_t n);
bool valid_member(const char *s, size_t n);
bool valid_error_name(const char *s, size_t n);
bool valid_unique_name(const char *s, size_t n);     /* ":1.2"; like the reference, ":1" too */
bool valid_well_known_name(const char *s, size_t n); /* "org.example", '-' allowed */
bool valid_bus_name(const char *s, size_t n);        /* either of the two */
bool valid_bus_namespace(const char *s, size_t n);   /* like a bus name, one element suffices */
