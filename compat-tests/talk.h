/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Talk
 *
 * What it is     A conversation with a bus, one line per step. A peer is a small letter; it
 *                connects and says Hello when it is first named.
 *
 *      a: MESSAGE              a sends (message.h says how messages are written). A call without
 *                              `to=` goes to the bus itself; other calls and signals have path
 *                              /test. A return or error answers the call a received last.
 *      a: MESSAGE -> BODY      and the reply to it is a return with this body; signals are skipped
 *      a: MESSAGE -> error NAME
 *      a? MESSAGE              the next message a receives is this one. A return or error must
 *                              answer a call of a's that is unanswered.
 *      a? nothing              after everybody's messages have been handled, a has received
 *                              nothing more
 *      a? closed               the bus hangs up
 *      a> TEXT     a< GLOB     a line of authentication, sent and received; `a< closed`;
 *                              `a< nothing` for the next 50 ms
 *      a! open                 connect without a word; `a! nul` sends the first byte
 *      a! connect [uid=N]      authenticate too, but no Hello
 *      a! refused uid=N        try to, as another user, and be turned away
 *      a! raw HEX              send bytes; `a! bytewise` all later ones singly; `a! big` in the
 *                              other byte order
 *      a! hold                 keep what a sends until `a! flush`, then write it in one piece
 *      a! monitor              a has become one: never let it speak again
 *      a! close                a hangs up, and the next step waits until the bus has noticed;
 *                              `a! vanish` does not wait
 *      @ write FILE CONTENT    below the bus's directory; `@ remove FILE`
 *      @ signal NUMBER         to the daemon
 *      @ log TEXT              the daemon says so, within the time limit
 *      @ sleep MS
 *      ref(ID) LINE            only for dbus-daemon; new(ID) LINE only for lambus; differences.h
 *
 * Substitution   $a is the unique name of peer a; ${...} as fixture.h says.
 */

#include "compat-tests/fixture.h"

void talk(struct bus *bus, const char *const *lines);
