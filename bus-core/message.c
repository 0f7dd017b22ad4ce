/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/message.h"

void message_init(struct message *message, uint32_t size, struct account *account,
                  void (*free)(struct message *))
{
        message->refs = 1;
        message->size = size;
        message->fds = NULL;
        message->account = account_ref(account);
        message->free = free;
}

void message_deinit(struct message *message)
{
        message->fds = fdset_free(message->fds);
        message->account = account_unref(message->account);
}
