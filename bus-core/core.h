/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The core: ordered multicast between peers
 *
 * Include this from other rooms. The objects, in the order in which one meets them:
 *
 *      account     who pays for what waits in an inbox
 *      message     what is sent; exists once
 *      peer        a participant: clock and inbox
 *      tx          one send to several inboxes
 *      inbox       what a peer has yet to read, in order
 *
 * The lock tree (a lock may be taken under those above it on its branch, never the reverse):
 *
 *      (what the rooms above hold)
 *       |- peer->data.lock        one at a time; nothing is taken under it
 *       `- account->lock          one at a time; nothing is taken under it
 *
 * The core does no I/O, owns no thread, reads no clock but its own, knows no protocol.
 */

#include "bus-core/account.h"
#include "bus-core/inbox.h"
#include "bus-core/message.h"
#include "bus-core/peer.h"
#include "bus-core/tx.h"
#include "bus-core/util/cache.h"
#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "bus-core/util/fdset.h"
#include "bus-core/util/ref.h"
#include "bus-core/util/trace.h"
