/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notice
 *
 * What it is     What the bus itself says to its clients: signals and errors of its own, as
 *                D-Bus messages from org.freedesktop.DBus.
 * How            All of it is gathered in the turn's transaction and leaves with turn_commit():
 *                in the order said, at one point of the bus's order. Monitors get a copy.
 * Errors         A client that cannot be told for lack of memory is disconnected: it would wait
 *                for ever, or believe what is no longer so.
 */

#include "shim/bus/bus.h"
#include "shim/wire/writer.h"

/* notice_begin() - a message of the bus's own to @to (NULL: to all that want it) */
void notice_begin(struct writer *w, struct turn *turn, uint8_t type, const struct client *to);

/* notice_begin_call() - a call of the bus's own; returns its serial, which the answer refers to */
uint32_t notice_begin_call(struct writer *w, struct turn *turn, const struct client *to);

/* notice_send() - complete @w and send it to @to; consumes @w */
void notice_send(struct writer *w, struct turn *turn, struct client *to);

/* notice_send_fds() - the same with descriptors; consumes @fds, which may be NULL */
void notice_send_fds(struct writer *w, struct turn *turn, struct client *to, struct fdset *fds);

/* notice_show() - complete @w and show it to monitors only; @to is who it would be for, or NULL */
void notice_show(struct writer *w, struct turn *turn, const struct client *to);

/* notice_send_unseen() - as notice_send(), for what notice_show() has shown already */
void notice_send_unseen(struct writer *w, struct turn *turn, struct client *to);

/* notice_broadcast() - complete @w and send it to all whose rules match; consumes @w */
void notice_broadcast(struct writer *w, struct turn *turn);

/* notice_error() - an error as the answer to @e, whatever its type; @format gives its text */
void notice_error(struct turn *turn, struct client *to, const struct envelope *e,
                  enum outcome outcome, const char *format, ...) _printf_(5, 6);

/* notice_error_named() - the same with any error name */
void notice_error_named(struct turn *turn, struct client *to, const struct envelope *e,
                        const char *error_name, const char *text);

/* notice_error_to() - the same for a call that is gone: by serial */
void notice_error_to(struct turn *turn, struct client *to, uint32_t reply_serial,
                     const char *error_name, const char *text);

/*
 * notice_to_monitors() - the error that @e would deserve, shown to those who watch only
 * @sender:     of @e; NULL: the bus itself
 */
void notice_to_monitors(struct turn *turn, const struct client *sender, const struct envelope *e,
                        enum outcome outcome, const char *text);

/* notice_owner_changed() - NameOwnerChanged */
void notice_owner_changed(struct turn *turn, const char *name, const char *old_owner,
                          const char *new_owner);

/* notice_name() - NameAcquired or NameLost */
void notice_name(struct turn *turn, struct client *to, const char *member, const char *name);
