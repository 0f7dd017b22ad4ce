/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Address
 *
 * What it is     The grammar of D-Bus addresses: transport:key=value,key=value;transport:...
 * How            address_next() judges one address of a list completely and remembers where it
 *                lies in the text; address_value() unescapes one value into a buffer. Nothing is
 *                allocated. Which transports and keys there are is not known here.
 * Habits of the reference, kept: a key given twice counts the first time; a comma or a semicolon
 *                may stand at the end; keys and transports are compared as they are, unescaped.
 *                Not kept: a %00, which the reference takes for the end of the value, is refused.
 */

#include <stdbool.h>
#include <stddef.h>

struct address {
        const char *transport; /* in the text that was parsed, as are the pairs */
        size_t transport_n;
        const char *pairs;
        size_t pairs_n;
};

/**
 * address_next() - take the first address off a list
 * @out:        written on success only; borrows from the text
 * @text:       the list; moved behind the address. At the end of the list it points to the NUL
 *
 * Return: 0, or the WIRE_E_ADDRESS_* that makes the whole list worthless.
 */
int address_next(struct address *out, const char **text);

/* address_is() - is this the transport? */
bool address_is(const struct address *a, const char *transport);

/**
 * address_value() - the unescaped value of a key
 * @a:          address from address_next()
 * @key:        key
 * @buf:        receives the value and a NUL
 * @size:       of @buf
 *
 * Return: 0, WIRE_E_ADDRESS_ABSENT, or WIRE_E_ADDRESS_LENGTH if it does not fit.
 */
int address_value(const struct address *a, const char *key, char *buf, size_t size);

/**
 * address_escape() - write a value so that it can stand in an address
 * @out:        receives as much as fits, and a NUL; may be NULL if @size is 0
 * @size:       of @out; 3 * n + 1 always suffices
 * @value:      any bytes
 * @n:          how many
 *
 * Return: length of the whole escaped value.
 */
size_t address_escape(char *out, size_t size, const char *value, size_t n);
