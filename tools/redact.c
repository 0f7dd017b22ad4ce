/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bus-core/util/cleanup.h"
#include "shim/bus/table.h"
#include "tools/message.h"
#include "tools/redact.h"

/* what is known to carry passwords, keys or tokens */
static const char *const secrets[] = {
        "org.freedesktop.Secret.*",
        "org.freedesktop.portal.Secret.*",
        "org.freedesktop.impl.portal.Secret.*",
        "org.gnome.keyring.*",
        "org.kde.KWallet.*",
        "org.freedesktop.PolicyKit1.AuthenticationAgent.*",
        "org.freedesktop.PolicyKit1.Authority.AuthenticationAgentResponse",
        "org.freedesktop.PolicyKit1.Authority.AuthenticationAgentResponse2",
        "org.freedesktop.NetworkManager.SecretAgent.*",
        "org.freedesktop.NetworkManager.AddAndActivateConnection",
        "org.freedesktop.NetworkManager.AddAndActivateConnection2",
        "org.freedesktop.NetworkManager.Settings.AddConnection",
        "org.freedesktop.NetworkManager.Settings.AddConnection2",
        "org.freedesktop.NetworkManager.Settings.AddConnectionUnsaved",
        "org.freedesktop.NetworkManager.Settings.Connection.*",
        "fi.w1.wpa_supplicant1.Interface.AddNetwork",
        "fi.w1.wpa_supplicant1.Interface.NetworkReply",
        "net.connman.iwd.Agent.*",
        "net.connman.Agent.*",
        "org.bluez.Agent1.*",
        "org.freedesktop.Accounts.User.SetPassword",
        "org.freedesktop.UDisks2.Encrypted.*",
        "org.freedesktop.home1.Manager.*",
        "org.freedesktop.realmd.KerberosMembership.*",
        "org.gnome.OnlineAccounts.PasswordBased.*",
        "org.gnome.OnlineAccounts.OAuth2Based.*",
};

bool redact_is_pattern(const char *text)
{
        size_t elements = 0;

        for (;;) {
                size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

                if (elements && !strcmp(text, "*"))
                        return true;
                if (!n || (text[n] && text[n] != '.'))
                        return false;
                elements++;
                if (!text[n])
                        return elements > 1;
                text += n + 1;
        }
}

static bool pattern_fits(const char *pattern, const char *name)
{
        size_t n = strlen(pattern);

        if (n > 2 && !strcmp(pattern + n - 2, ".*"))
                return !strncmp(pattern, name, n - 1);
        return !strncmp(pattern, name, n) && (!name[n] || name[n] == '.');
}

static bool name_fits(const struct redact *r, const char *name)
{
        for (size_t i = 0; i < r->n_patterns; i++)
                if (pattern_fits(r->patterns[i], name))
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(secrets) && !r->nothing; i++)
                if (pattern_fits(secrets[i], name))
                        return true;
        return false;
}

static uint64_t pending_id(const uint8_t *msg, struct span caller, uint32_t serial)
{
        char text[320];
        int n = snprintf(text, sizeof(text), "%.255s %u", (const char *)msg + caller.off, serial);

        return table_hash(text, (size_t)n) | 1;
}

static void remember(struct redact *r, const uint8_t *msg, const struct header *h)
{
        if (h->type != HEADER_CALL || !h->sender.off || h->flags & HEADER_NO_REPLY_EXPECTED)
                return;
        r->pending[r->next_pending++ % REDACT_PENDING] = pending_id(msg, h->sender, h->serial);
}

static bool answers_redacted(struct redact *r, const uint8_t *msg, const struct header *h)
{
        uint64_t id;

        if (!h->reply_serial || !h->destination.off)
                return false;
        id = pending_id(msg, h->destination, h->reply_serial);
        for (size_t i = 0; i < REDACT_PENDING; i++)
                if (r->pending[i] == id) {
                        r->pending[i] = 0;
                        return true;
                }
        return false;
}

bool redact_wants(struct redact *r, const uint8_t *msg, const struct header *h)
{
        char name[2 * 256];

        if (message_field_is(msg, h->sender, DRIVER_NAME) ||
            message_field_is(msg, h->destination, DRIVER_NAME))
                return false;
        if (r->all)
                return true;
        if (answers_redacted(r, msg, h))
                return true;
        if (!h->interface.off || !h->member.off)
                return false;
        snprintf(name, sizeof(name), "%s.%s", header_text(msg, h->interface),
                 header_text(msg, h->member));
        if (!name_fits(r, name))
                return false;
        remember(r, msg, h);
        return true;
}
