/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs: what is started for an activation, with which environment, and what its end means. */

#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "shim/bus/activate-private.h"
#include "shim/bus/log.h"

/* @text is what people read, the log and whoever waits. */
static void fail(struct turn *turn, struct activation *a, enum outcome outcome, const char *text)
{
        log_limited(LOG_WARNING, "activation failed", activation_subject(a),
                    "Activated service '%s' failed: %s", a->name->text, text);
        activation_fail(turn, a, outcome_error_name(outcome), text, false);
}

static void not_executed(char *text, size_t size, const struct activation *a, int error)
{
        if (a->by_helper)
                snprintf(text, size, "Failed to execute program %s: %s: the servicehelper is %s",
                         a->name->text, strerror(error), a->activator->helper);
        else
                snprintf(text, size, "Failed to execute program %s: %s: Exec=%s of %s", a->name->text,
                         strerror(error), a->service->exec ?: "", a->service->file);
}

/* --- what to start --------------------------------------------------------------------------- */

static int fill_environment(struct environment *env, const struct activator *activator)
{
        const struct bus *bus = activator->bus;
        const char *type = bus->type ? bus->type : "", *name = NULL;
        int r;

        if (strcmp(type, "session") == 0)
                name = "DBUS_SESSION_BUS_ADDRESS";
        else if (strcmp(type, "system") == 0)
                name = "DBUS_SYSTEM_BUS_ADDRESS";
        r = environment_merge(env, activator->environment.entry);
        if (!r)
                r = environment_set(env, "DBUS_STARTER_ADDRESS", bus->address);
        if (!r && name)
                r = environment_set(env, name, bus->address);
        if (!r && bus->type)
                r = environment_set(env, "DBUS_STARTER_BUS_TYPE", bus->type);
        return error_fold(r);
}

static bool is_blank(const char *s)
{
        while (isspace((unsigned char)*s))
                s++;
        return !*s;
}

static void words_free(char ***words)
{
        for (char **w = *words; w && *w; w++)
                free(*w);
        free(*words);
}

/* The helper's words, and the name as the last; 0, SERVICE_E_INVALID or -ENOMEM */
static int helper_command(char ***out, const struct activation *a)
{
        _cleanup_(words_free) char **argv = NULL;
        char **grown;
        size_t n;
        int r;

        r = service_split_exec(&argv, &n, a->activator->helper);
        if (r)
                return r == SERVICE_E_INVALID ? r : error_fold(r);
        grown = reallocarray(argv, n + 2, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        argv = grown;
        argv[n + 1] = NULL;
        argv[n] = strdup(a->name->text);
        if (!argv[n])
                return error_origin(-ENOMEM);
        *out = steal(&argv);
        return 0;
}

/* Why there is no command to start, as an outcome with its text; OUTCOME_OK if there is. */
static enum outcome check_command(const struct activation *a, char *text, size_t size)
{
        const struct service *service = a->service;

        if (a->by_helper && !service->user) {
                snprintf(text, size, "Cannot do system-bus activation with no user: %s has no "
                         "User=", service->file);
                return OUTCOME_SPAWN_FILE_INVALID;
        }
        if (a->by_helper || service->argv)
                return OUTCOME_OK;
        if (!service->exec || is_blank(service->exec)) {
                not_executed(text, size, a, ENOENT);
                return OUTCOME_SPAWN_EXEC_FAILED;
        }
        snprintf(text, size, "Unclosed quotes in command line: Exec=%s of %s", service->exec,
                 service->file);
        return OUTCOME_INVALID_ARGS;
}

static int start(struct activation *a)
{
        _cleanup_(environment_deinit) struct environment env = ENVIRONMENT_NULL;
        _cleanup_(words_free) char **helper = NULL;
        struct bus *bus = a->activator->bus;
        int r = 0;

        if (a->by_helper)
                r = helper_command(&helper, a);
        if (!r)
                r = fill_environment(&env, a->activator);
        if (r)
                return r == SERVICE_E_INVALID ? r : error_fold(r);
        return bus->keeper->launch(bus, &a->launch, a, a->name->text,
                                   helper ? helper : a->service->argv, env.entry);
}

void activation_launch(struct turn *turn, struct activation *a, struct client *who)
{
        char text[4096], describe[CLIENT_DESCRIBE_MAX];
        enum outcome outcome;
        int r;

        a->state = ACTIVATION_LAUNCHED;
        a->by_helper = a->activator->helper;
        outcome = check_command(a, text, sizeof(text));
        if (outcome) {
                fail(turn, a, outcome, text);
                return;
        }
        log_limited(LOG_INFO, "activating", activation_subject(a),
                    "Activating service name='%s' requested by %s%s", a->name->text,
                    client_describe(who, describe, sizeof(describe)),
                    a->by_helper ? " (using servicehelper)" : "");
        r = start(a);
        if (r == SERVICE_E_INVALID) {
                fail(turn, a, OUTCOME_SPAWN_CONFIG_INVALID, "the servicehelper is no command");
        } else if (r == -ENOMEM) {
                fail(turn, a, OUTCOME_NO_MEMORY, "Not enough memory");
        } else if (r) {
                snprintf(text, sizeof(text), "Failed to fork (%s)", strerror(-r));
                fail(turn, a, OUTCOME_SPAWN_FORK_FAILED, text);
        }
}

/* --- what its end means ---------------------------------------------------------------------- */

/* The exit statuses of the helper, which are those of dbus-daemon-launch-helper. */
static const struct {
        enum outcome outcome;
        const char *text;
} helper_statuses[] = {
        [2] = { OUTCOME_NO_MEMORY, "Launcher could not run (out of memory)" },
        [3] = { OUTCOME_SPAWN_CONFIG_INVALID, "Invalid configuration (missing or empty <user>?)" },
        [4] = { OUTCOME_SPAWN_FAILED_TO_SETUP, "Launcher failed to set itself up" },
        [5] = { OUTCOME_SPAWN_SERVICE_NOT_VALID, "Bus name is not valid or missing" },
        [6] = { OUTCOME_SPAWN_SERVICE_NOT_FOUND, "Bus name not found in system service directory" },
        [7] = { OUTCOME_SPAWN_PERMISSIONS_INVALID,
                "The permission of the setuid helper is not correct" },
        [8] = { OUTCOME_SPAWN_PERMISSIONS_INVALID,
                "The service file is incorrect or does not have all required attributes" },
        [9] = { OUTCOME_SPAWN_EXEC_FAILED, "Cannot launch daemon, file not found or permissions "
                                           "invalid" },
        [10] = { OUTCOME_INVALID_ARGS, "Invalid arguments to command line" },
        [11] = { OUTCOME_SPAWN_CHILD_SIGNALED, "Launched child was signaled, it probably crashed" },
};

static enum outcome describe_end(const struct activation *a, enum launch_end how, int number,
                                 char *text, size_t size)
{
        const char *name = a->name->text;

        if (how == LAUNCH_FAILED) {
                not_executed(text, size, a, number);
                return OUTCOME_SPAWN_EXEC_FAILED;
        }
        if (how == LAUNCH_SIGNALED) {
                snprintf(text, size, "Process %s received signal %d", name, number);
                return OUTCOME_SPAWN_CHILD_SIGNALED;
        }
        if (a->by_helper && number > 0 && number < (int)ARRAY_SIZE(helper_statuses) &&
            helper_statuses[number].text) {
                snprintf(text, size, "%s", helper_statuses[number].text);
                return helper_statuses[number].outcome;
        }
        snprintf(text, size, "Process %s exited with status %d", name, number);
        return OUTCOME_SPAWN_CHILD_EXITED;
}

/* The other names that the same program was to provide. */
static bool shares_program(const struct activation *a, const struct service *service)
{
        return a->state == ACTIVATION_LAUNCHED && a->service->exec && service->exec &&
               strcmp(a->service->exec, service->exec) == 0;
}

void activation_exited(struct turn *turn, struct activation *a, enum launch_end how, int number)
{
        enum outcome outcome;
        char text[4096];

        outcome = describe_end(a, how, number, text, sizeof(text));
        fail(turn, a, outcome, text);
}

void activation_ended(struct turn *turn, struct activation *activation, enum launch_end how,
                      int number)
{
        _cleanup_(service_unrefp) struct service *service = service_ref(activation->service);
        struct activator *activator = activation->activator;
        struct activation *a, *next;
        enum outcome outcome;
        char text[4096];

        activation->launch = NULL;
        if (how == LAUNCH_EXITED && number == 0)
                return;
        outcome = describe_end(activation, how, number, text, sizeof(text));
        cds_list_for_each_entry_safe(a, next, &activator->pending, link)
                if (a == activation || shares_program(a, service))
                        fail(turn, a, outcome, text);
}
