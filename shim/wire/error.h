/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wire errors
 *
 * What it is     One positive value per rule of the D-Bus wire format that input can break.
 * Promise        Every function of this room that judges foreign bytes returns 0 or one of these;
 *                wire_strerror() turns it into a sentence for the log. A peer that breaks a rule
 *                is disconnected, so the sentence is all its author ever gets to see.
 */

#define WIRE_ERRORS(X)                                                                             \
        X(TRUNCATED, "a value ends beyond its message, body or array")                             \
        X(ENDIAN, "byte order mark is neither 'l' nor 'B'")                                        \
        X(VERSION, "protocol version is not 1")                                                    \
        X(TYPE, "message type is 0")                                                               \
        X(FIELDS_SIZE, "header field array is longer than 64 MiB")                                 \
        X(MESSAGE_SIZE, "message is longer than the limit")                                        \
        X(SERIAL, "serial is 0")                                                                   \
        X(FIELD_CODE, "header field code is 0")                                                    \
        X(FIELD_TYPE, "header field has the wrong type")                                           \
        X(FIELD_DUPLICATE, "header field occurs twice")                                            \
        X(FIELD_LENGTH, "header fields do not end where the field array does")                     \
        X(NO_PATH, "required header field PATH is missing")                                        \
        X(NO_INTERFACE, "required header field INTERFACE is missing")                              \
        X(NO_MEMBER, "required header field MEMBER is missing")                                    \
        X(NO_ERROR_NAME, "required header field ERROR_NAME is missing")                            \
        X(NO_REPLY_SERIAL, "required header field REPLY_SERIAL is missing")                        \
        X(REPLY_SERIAL, "REPLY_SERIAL is 0")                                                       \
        X(LOCAL_PATH, "path /org/freedesktop/DBus/Local may not be sent")                          \
        X(LOCAL_INTERFACE, "interface org.freedesktop.DBus.Local may not be sent")                 \
        X(PATH, "object path is malformed")                                                        \
        X(INTERFACE, "interface name is malformed")                                                \
        X(MEMBER, "member name is malformed")                                                      \
        X(ERROR_NAME, "error name is malformed")                                                   \
        X(BUS_NAME, "bus name is malformed")                                                       \
        X(PADDING, "alignment padding is not zero")                                                \
        X(BOOLEAN, "boolean is neither 0 nor 1")                                                   \
        X(UTF8, "string is not valid UTF-8")                                                       \
        X(NUL, "string holds a NUL byte")                                                          \
        X(UNTERMINATED, "string is not terminated by a NUL byte")                                  \
        X(ARRAY_SIZE, "array is longer than 64 MiB")                                               \
        X(ARRAY_LENGTH, "array length does not fit its elements")                                  \
        X(DEPTH, "containers are nested deeper than 64 levels")                                    \
        X(TRAILING, "bytes follow the last argument")                                              \
        X(SIGNATURE_LENGTH, "signature is longer than 255 bytes")                                  \
        X(SIGNATURE_TYPE, "signature holds an unknown type code")                                  \
        X(SIGNATURE_ARRAYS, "signature nests more than 32 arrays")                                 \
        X(SIGNATURE_STRUCTS, "signature nests more than 32 structs")                               \
        X(SIGNATURE_ARRAY, "signature has an array without element type")                          \
        X(SIGNATURE_STRUCT, "signature has an empty or unbalanced struct")                         \
        X(SIGNATURE_DICT, "signature has a malformed dict entry")                                  \
        X(SIGNATURE_KEY, "signature has a dict entry whose key is not a basic type")               \
        X(SIGNATURE_SINGLE, "signature of a variant is not one complete type")                     \
        X(MISMATCH, "value is not of the type asked for")                                          \
        X(ADDRESS_EMPTY, "address is empty")                                                       \
        X(ADDRESS_COLON, "address has no colon behind its transport")                              \
        X(ADDRESS_TRANSPORT, "address has an empty transport")                                     \
        X(ADDRESS_EQUALS, "address has a key without '='")                                         \
        X(ADDRESS_KEY, "address has a value without key")                                          \
        X(ADDRESS_VALUE, "address has a key without value")                                        \
        X(ADDRESS_ESCAPE, "address has a '%' that is not followed by two hex digits, or by 00")    \
        X(ADDRESS_CHARACTER, "address has a character that must be escaped")                       \
        X(ADDRESS_ABSENT, "address does not have the key")                                         \
        X(ADDRESS_LENGTH, "address has a value that is too long")

enum wire_error {
        WIRE_E_OK_,
#define WIRE_ERROR_(name, text) WIRE_E_##name,
        WIRE_ERRORS(WIRE_ERROR_)
#undef WIRE_ERROR_
        WIRE_E_MAX_,
};

/* wire_strerror() - the sentence for an error of this room, never NULL */
const char *wire_strerror(int error);
