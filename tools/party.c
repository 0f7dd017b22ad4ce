/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-core/util/error.h"
#include "tools/party.h"
#include "tools/verb.h"

#define BUS_NAME "org.freedesktop.DBus"

void party_deinit(struct party *party)
{
        for (size_t i = 0; i < party->n_names; i++)
                free(party->names[i]);
        party->n_names = 0;
}

static int add_name(struct party *party, const char *name, size_t n)
{
        if (party->n_names == PARTY_NAMES_MAX)
                return verb_fail("%s has more than %d names", party->text, PARTY_NAMES_MAX);
        party->names[party->n_names] = strndup(name, n);
        if (!party->names[party->n_names])
                return verb_fail("out of memory");
        party->n_names++;
        return VERB_OK;
}

static int read_names(struct party *party, const char *list)
{
        size_t n;
        int r = VERB_OK;

        for (; !r && *list; list += n + (list[n] == ',')) {
                n = strcspn(list, ",");
                r = add_name(party, list, n);
        }
        return r;
}

static int read_user(struct party *party, const char *name)
{
        gid_t gids[PARTY_GROUPS_MAX];
        int n = PARTY_GROUPS_MAX;
        const struct passwd *pw;
        char *end;
        unsigned long uid = strtoul(name, &end, 10);

        pw = *name && !*end ? getpwuid(uid) : getpwnam(name);
        if (!pw && (!*name || *end))
                return verb_fail("there is no user '%s'", name);
        party->has_user = true;
        party->uid = pw ? pw->pw_uid : (uid_t)uid;
        if (!pw)
                return VERB_OK; /* a number without a name has no groups that we know of */
        if (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) < 0)
                return verb_fail("%s has more than %d groups", name, PARTY_GROUPS_MAX);
        memcpy(party->gids, gids, n * sizeof(*gids));
        party->n_gids = n;
        return VERB_OK;
}

static int read_written(struct party *party)
{
        _cleanup_(freep) char *user = strdup(party->text);
        char *names;
        int r;

        if (!user)
                return verb_fail("out of memory");
        names = strchr(user, '=');
        if (names)
                *names++ = '\0';
        r = read_user(party, user);
        return r || !names ? r : read_names(party, names);
}

static int ask_user(struct party *party, sd_bus *bus)
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        const gid_t *gids;
        int r;

        r = sd_bus_get_name_creds(bus, party->text,
                                  SD_BUS_CREDS_EUID | SD_BUS_CREDS_SUPPLEMENTARY_GIDS |
                                          SD_BUS_CREDS_EGID | SD_BUS_CREDS_AUGMENT,
                                  &creds);
        if (r < 0)
                return r;
        if (sd_bus_creds_get_euid(creds, &party->uid) < 0)
                return -ENODATA;
        party->has_user = true;
        r = sd_bus_creds_get_supplementary_gids(creds, &gids);
        for (int i = 0; i < r && party->n_gids < PARTY_GROUPS_MAX - 1; i++)
                party->gids[party->n_gids++] = gids[i];
        if (sd_bus_creds_get_egid(creds, &party->gids[party->n_gids]) >= 0)
                party->n_gids++;
        return 0;
}

static int ask_unique(sd_bus *bus, const char *name, char unique[static 256])
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        const char *text;
        int r;

        r = sd_bus_get_name_creds(bus, name, SD_BUS_CREDS_UNIQUE_NAME, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_unique_name(creds, &text);
        if (r < 0)
                return r;
        snprintf(unique, 256, "%s", text);
        return 0;
}

static void names_free(char **names)
{
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
}
DEFINE_FREEP(char *, names_free)

/* all names of its owner */
static int ask_names(struct party *party, sd_bus *bus)
{
        _cleanup_(names_freep) char **all = NULL;
        char mine[256], unique[256];
        int r;

        if (ask_unique(bus, party->text, mine))
                return verb_fail("%s cannot be asked about", party->text);
        r = add_name(party, mine, strlen(mine));
        if (r || sd_bus_list_names(bus, &all, NULL) < 0)
                return r;
        for (char **name = all; !r && *name; name++)
                if ((*name)[0] != ':' && !ask_unique(bus, *name, unique) && !strcmp(unique, mine))
                        r = add_name(party, *name, strlen(*name));
        return r;
}

static int read_owner(struct party *party, sd_bus *bus)
{
        if (strcmp(party->text, BUS_NAME) == 0) {
                party->is_bus = true;
                return add_name(party, BUS_NAME, strlen(BUS_NAME));
        }
        if (bus && ask_user(party, bus) == 0)
                return ask_names(party, bus);
        if (party->text[0] == ':')
                return verb_fail("there is no %s on the bus", party->text);
        return add_name(party, party->text, strlen(party->text));
}

bool party_needs_bus(const char *text)
{
        return !strchr(text, '=') && (text[0] == ':' || strchr(text, '.'));
}

int party_read(struct party *party, const char *text, sd_bus *bus)
{
        *party = (struct party){ .text = text };
        if (party_needs_bus(text))
                return read_owner(party, bus);
        return read_written(party);
}
