/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Environment: what activated services find in theirs, and who may change it.
 */

#include "compat-tests/scenario.h"

#define S "com.example.Svc"
#define SERVICE ((const char *const[]){ "services/" S ".service", \
        "[D-BUS Service]\nName=" S "\nExec=${service} own " S " serve\n", NULL })
#define ENVIRONMENT(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define HAS(entry)  "a: call x.y.Environment to=" S " -> as [ ... " entry " ... ]"
#define UPDATE      "a: UpdateActivationEnvironment a{ss} "
#define QUIT        "a: AddMatch s member='NameOwnerChanged',arg0='" S "' ->", \
                    "a: call x.y.Quit to=" S " ->", "a? signal NameOwnerChanged sss " S " * ``"

static const struct scenario scenarios[] = {
        { "a service finds the address and the type of the bus that started it",
          TALK(HAS("DBUS_STARTER_ADDRESS=${address}"), HAS("DBUS_STARTER_BUS_TYPE=session"),
               HAS("DBUS_SESSION_BUS_ADDRESS=${address}")),
          .options = { .files = SERVICE, .no_fd_check = true } },
        { "on a system bus it finds that address",
          TALK(HAS("DBUS_STARTER_BUS_TYPE=system"), HAS("DBUS_SYSTEM_BUS_ADDRESS=${address}")),
          .options = { .files = SERVICE, .no_fd_check = true, .type = "system" } },
        { "a service finds the daemon's own environment",
          TALK(HAS("COMPAT_TEST=some%20thing")),
          .options = { .files = SERVICE, .no_fd_check = true,
                       .environment = ENVIRONMENT("COMPAT_TEST=some thing") } },
        { "what systemd told the daemon is not passed on",
          TALK("a: StartServiceByName su " S " 0 -> error Spawn.ChildSignaled"),
          .options = { .no_fd_check = true,
                       .environment = ENVIRONMENT("INVOCATION_ID=1", "JOURNAL_STREAM=2"),
                       .files = (const char *const[]){ "services/" S ".service",
                       "[D-BUS Service]\nName=" S "\nExec=/bin/sh -c '"
                       "test -n \"$INVOCATION_ID$JOURNAL_STREAM\" || kill -9 $$'\n", NULL } } },
        { "UpdateActivationEnvironment adds and replaces for the next start",
          TALK(UPDATE "[ COMPAT_TEST new COMPAT_OTHER x ] ->", HAS("COMPAT_TEST=new"),
               HAS("COMPAT_OTHER=x"), UPDATE "[ COMPAT_TEST newer ] ->", HAS("COMPAT_TEST=new"),
               QUIT, HAS("COMPAT_TEST=newer"), HAS("COMPAT_OTHER=x")),
          .options = { .files = SERVICE, .no_fd_check = true,
                       .environment = ENVIRONMENT("COMPAT_TEST=old") } },
        { "a value may be empty",
          TALK(UPDATE "[ COMPAT_TEST `` ] ->", HAS("COMPAT_TEST=")),
          .options = { .files = SERVICE, .no_fd_check = true } },
        { "an empty update is fine",
          TALK(UPDATE "[ ] ->") },
        { "a wrong signature is InvalidArgs",
          TALK("a: UpdateActivationEnvironment a{sv} [ A s b ] -> error InvalidArgs",
               "a: UpdateActivationEnvironment -> error InvalidArgs",
               "a: UpdateActivationEnvironment as [ A=b ] -> error InvalidArgs") },
        { "another user may not update it",
          TALK("a! connect uid=65534", "a! hello", UPDATE "[ A b ] -> error AccessDenied"),
          .options.policy = "<allow user=\"*\"/><allow send_destination=\"*\"/>"
                            "<allow receive_sender=\"*\"/>", .needs_root = true },
        { "a bus with a service helper does not take updates",
          TALK(UPDATE "[ A b ] -> error AccessDenied"),
          .options.extra = "<servicehelper>/bin/false</servicehelper>" },
};

int main(void)
{
        return scenarios_run("environment", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
