/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Message
 *
 * What it is     A D-Bus message as the scenarios write it down, and as the bytes on the wire; a
 *                marshaller of our own, so that the bus is not judged by itself.
 * How            message_parse() reads the text form, message_encode() makes the bytes of it,
 *                message_decode() reads bytes, message_match() compares what came with what was
 *                expected. What the text does not say is -1 or NULL: a default when sending, not
 *                looked at when expecting.
 * Not checked    The encoder writes nonsense if it is told to: that is what scenario-malformed
 *                needs.
 *
 * The text:      [call|return|error|signal] [NAME] [KEY=VALUE]... [SIGNATURE [VALUE]...]
 *
 *      NAME            [interface.]member, or the error's name (org.freedesktop.DBus.Error. is
 *                      put before one that begins with a capital)
 *      to= from= path= if= sig= serial= reply= flags= type= version= endian= (l or B)
 *                      what the header says; `-` leaves the field out
 *      fds=N           N descriptors, in the header and attached
 *      attach=N        attach another number of them than the header says
 *      bodylen=N       lie about the length of the body; fieldlen=N of the field array
 *      field=CODE:SIGNATURE:VALUE      one more header field
 *      patch=OFFSET:HEX                overwrite bytes; a negative offset counts from the end
 *      label=WORD      remember the serial under this word; reply=WORD uses it
 *      VALUE           as words.h says: arrays in brackets, structs and dict entries flat, a
 *                      variant as its signature and its value; @N is a string or an array of N
 *                      bytes
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compat-tests/words.h"

enum {
        FIELD_PATH = 1,
        FIELD_INTERFACE,
        FIELD_MEMBER,
        FIELD_ERROR_NAME,
        FIELD_REPLY_SERIAL,
        FIELD_DESTINATION,
        FIELD_SENDER,
        FIELD_SIGNATURE,
        FIELD_UNIX_FDS,
        FIELD_N,
};

enum {
        TYPE_CALL = 1,
        TYPE_RETURN,
        TYPE_ERROR,
        TYPE_SIGNAL,
};

#define FLAG_NO_REPLY 1
#define ERROR_PREFIX "org.freedesktop.DBus.Error."

struct message {
        int endian, type, flags, version;
        int64_t serial, body_length, field_length;
        char *field[FIELD_N];
        char *label, *reply_label;

        bool has_body;          /* the text says what the body is, if only that it is empty */
        char *signature;        /* of the body; field[FIELD_SIGNATURE] may claim another */
        struct words body;

        struct words extra;     /* field=, when sending */
        struct words patches;
        unsigned int n_unknown; /* header fields with a code above 9, when received */
        int attach;
        int *fds;               /* received; closed by message_free() */
        size_t n_fds;
};

struct message *message_parse(char **word, size_t n_word);
void message_free(struct message *message);

uint8_t *message_encode(const struct message *message, size_t *n_bytes);
int message_size(const uint8_t *bytes, size_t n_bytes, size_t *size);
struct message *message_decode(const uint8_t *bytes, size_t n_bytes);

char *message_text(const struct message *message);
const char *message_match(const struct message *expected, const struct message *got);
