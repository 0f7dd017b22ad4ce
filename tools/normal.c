/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/util/cleanup.h"
#include "tools/message.h"
#include "tools/normal.h"

static const struct {
        const char *member;
        enum normal_answer answer;
} answers[] = {
        { "GetId", NORMAL_ID },
        { "ListNames", NORMAL_SET },
        { "ListActivatableNames", NORMAL_SET },
        { "GetConnectionUnixProcessID", NORMAL_PIDS },
        { "GetConnectionCredentials", NORMAL_PIDS },
        { "GetStats", NORMAL_NUMBERS },
        { "GetConnectionStats", NORMAL_NUMBERS },
        { "GetAllMatchRules", NORMAL_SET },
};

enum normal_answer normal_answer(const uint8_t *msg, const struct header *h)
{
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
                if (message_field_is(msg, h->member, answers[i].member))
                        return answers[i].answer;
        return NORMAL_PLAIN;
}

void normal_prepare(struct rewrite *how, const struct header *h, bool from_bus,
                    enum normal_answer answer)
{
        if (!from_bus)
                return;
        how->serial = 1;
        if (h->type == HEADER_ERROR) {
                how->blank = REWRITE_BLANK_TEXT;
                return;
        }
        switch (answer) {
        case NORMAL_ID:
                how->blank = REWRITE_BLANK_TEXT;
                break;
        case NORMAL_SET:
                how->sort = true;
                break;
        case NORMAL_PIDS:
                how->blank = REWRITE_BLANK_PIDS;
                how->sort = true;
                break;
        case NORMAL_NUMBERS:
                how->blank = REWRITE_BLANK_NUMBERS;
                break;
        case NORMAL_PLAIN:
                break;
        }
}
