/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Systemd: activation by units, with --systemd-activation. Peer s plays systemd.
 */

#include "compat-tests/scenario.h"

#define S         "com.example.Svc"
#define B         "com.example.B"
#define SYSTEMD   "org.freedesktop.systemd1"
#define ACTIVATOR "org.freedesktop.systemd1.Activator"
#define FILE_OF(name, exec, unit) "services/" name ".service", \
                  "[D-BUS Service]\nName=" name "\nExec=" exec "\n" unit
#define WITH_SYSTEMD .no_fd_check = true, \
                  .arguments = (const char *const[]){ "--systemd-activation", NULL }
#define FILES     .files = (const char *const[]){ \
                          FILE_OF(S, "/bin/false", "SystemdService=svc.service\n"), \
                          FILE_OF(B, "/bin/false", "SystemdService=svc.service\n"), \
                          FILE_OF("com.example.Direct", "${service} own com.example.Direct serve", ""), \
                          NULL }
#define OPTIONS(...) .options = { WITH_SYSTEMD, FILES, __VA_ARGS__ }
#define ARRIVE    "s: RequestName su " SYSTEMD " 0 -> u 1"
#define START(n)  "a: StartServiceByName su " n " 0"
#define REQUEST   "s? signal " ACTIVATOR ".ActivationRequest path=/org/freedesktop/DBus from=bus " \
                  "to=" SYSTEMD " s svc.service"
#define FAILURE   "signal " ACTIVATOR ".ActivationFailure to=bus "
#define ANSWERED  "GetId -> s *"
#define UPDATE    "a: UpdateActivationEnvironment a{ss} "
#define SET       "s? call " SYSTEMD ".Manager.SetEnvironment path=/org/freedesktop/systemd1 from=bus flags=1 "

static const struct scenario scenarios[] = {
        { "a service with a unit is asked for from systemd, not executed",
          TALK(ARRIVE, "a: StartServiceByName label=s su " S " 0", REQUEST,
               "b: RequestName su " S " 0 -> u 1", "a? return reply=s u 1"), OPTIONS() },
        { "a message starts the unit, and waits",
          TALK(ARRIVE, "a: call x.y.Echo to=" S " s hello", REQUEST, "b: RequestName su " S " 0",
               "b? signal NameAcquired s " S, "b? call Echo from=a to=" S " s hello", "b? return u 1",
               "b: return s bye reply=2 to=a", "a? return s bye"), OPTIONS() },
        { "each start is asked for once, however many wait",
          TALK(ARRIVE, START(S), "a: call x.y.Echo to=" S, "b: call x.y.Echo to=" S, REQUEST,
               "s? nothing"), OPTIONS() },
        { "a service without a unit is executed",
          TALK(ARRIVE, "a: call x.y.Echo to=com.example.Direct -> s Echo", "s? nothing"), OPTIONS() },
        { "without --systemd-activation the unit is ignored",
          TALK(ARRIVE, START(S) " -> error Spawn.ChildExited", "s? nothing"),
          .options = { .no_fd_check = true, FILES } },
        { "requests wait for systemd, in their order, and come before its RequestName is answered",
          TALK(START(S), "a: StartServiceByName su com.example.C 0", "b: " ANSWERED,
               "a: " ANSWERED, "s: RequestName su " SYSTEMD " 0", "s? signal NameAcquired", REQUEST,
               "s? signal ActivationRequest s c.service", "s? return u 1"),
          .options = { WITH_SYSTEMD, .files = (const char *const[]){
                  FILE_OF(S, "/bin/false", "SystemdService=svc.service\n"),
                  FILE_OF("com.example.C", "/bin/false", "SystemdService=c.service\n"), NULL } } },
        { "a service that comes before systemd does needs no request",
          TALK("a: StartServiceByName label=s su " S " 0", "b: RequestName su " S " 0 -> u 1",
               "a? return reply=s u 1",
               "ref(systemd-late) s: RequestName su " SYSTEMD " 0",
               "ref(systemd-late) s? signal NameAcquired", "ref(systemd-late) " REQUEST,
               "new(systemd-late) " ARRIVE, "new(systemd-late) s? nothing"), OPTIONS() },
        { "a call for systemd itself waits for it, without a service file",
          TALK("a: call x.y.Early to=" SYSTEMD, "a: GetId -> s *", "s: RequestName su " SYSTEMD " 0",
               "s? signal NameAcquired", "s? call Early from=a", "s? return u 1"), OPTIONS() },
        { "StartServiceByName of systemd waits for it, or says that it runs",
          TALK("a: StartServiceByName label=s su " SYSTEMD " 0", "a: GetId -> s *",
               "s: RequestName su " SYSTEMD " 0 -> u 1", "a? return reply=s u 1",
               "a: StartServiceByName su " SYSTEMD " 0 -> u 2"), OPTIONS() },
        { "without --systemd-activation nobody waits for systemd",
          TALK("a: StartServiceByName su " SYSTEMD " 0 -> error ServiceUnknown",
               "a: call x.y.Early to=" SYSTEMD " -> error ServiceUnknown") },
        { "systemd is not listed as activatable",
          TALK("a: ListActivatableNames -> as [ * * * * ]",
               "a: ListActivatableNames -> as [ org.freedesktop.DBus ... " S " ... ]"), OPTIONS() },
        { "nobody answers in systemd's place: TimedOut",
          TALK(START(S) " -> error TimedOut", ARRIVE, "s? nothing"),
          OPTIONS(.limits = "service_start_timeout=150") },
        { "a unit that does not bring the name is TimedOut",
          TALK(ARRIVE, "a: call x.y.Z to=" S " -> error TimedOut"),
          OPTIONS(.limits = "service_start_timeout=150") },
        { "ActivationFailure ends every activation of the unit, with its name and text",
          TALK(ARRIVE, "b: call x.y.Z label=c to=" S, "a: StartServiceByName label=s su " B " 0",
               REQUEST, REQUEST, "s: " FAILURE "sss svc.service org.freedesktop.systemd1.Masked words",
               "b? error org.freedesktop.systemd1.Masked reply=c s words",
               "a? error org.freedesktop.systemd1.Masked reply=s s words", "a? nothing"), OPTIONS() },
        { "ActivationFailure of another unit ends nothing",
          TALK(ARRIVE, START(S), REQUEST, "s: " FAILURE "sss other.service x.y.Masked words",
               "a? nothing", "b: RequestName su " S " 0 -> u 1", "a? return u 1"), OPTIONS() },
        { "after a failure the unit can be asked for again",
          TALK(ARRIVE, START(S), REQUEST, "s: " FAILURE "sss svc.service x.y.Masked words",
               "a? error x.y.Masked", START(S), REQUEST), OPTIONS() },
        { "ActivationFailure may come from any path",
          TALK(ARRIVE, START(S), REQUEST, "s: " FAILURE "path=/x/y sss svc.service x.y.Masked words",
               "a? error x.y.Masked"), OPTIONS() },
        { "ActivationFailure of anyone else is ignored, and logged",
          TALK(ARRIVE, START(S), REQUEST, "b: " FAILURE "sss svc.service x.y.Masked words",
               "a: " FAILURE "sss svc.service x.y.Masked words", "@ log Ignoring forged",
               "a? nothing", "b: RequestName su " S " 0 -> u 1", "a? return u 1"), OPTIONS() },
        { "ActivationFailure of an unprivileged systemd is ignored",
          TALK("s! connect uid=65534", "s! hello", ARRIVE, START(S), REQUEST,
               "s: " FAILURE "sss svc.service x.y.Masked words", "a? nothing"),
          OPTIONS(.policy = "<allow user=\"*\"/><allow send_destination=\"*\"/>"
                  "<allow receive_sender=\"*\"/><allow own=\"*\"/>"), .needs_root = true },
        { "ActivationFailure with wrong arguments ends no activation",
          TALK(ARRIVE, START(S), REQUEST,
               "new(bad-failure) s: " FAILURE "ss svc.service x.y.Masked",
               "new(bad-failure) s: GetId -> s *",
               "b: RequestName su " S " 0 -> u 1", "a? return u 1"), OPTIONS() },
        { "ActivationFailure with an error name that is none still ends the activation",
          TALK(ARRIVE, START(S), REQUEST,
               "new(bad-failure) s: " FAILURE "sss svc.service rubbish words",
               "new(bad-failure) a? error Spawn.Failed s words",
               "ref(bad-failure) b: RequestName su " S " 0 -> u 1",
               "ref(bad-failure) a? return u 1"), OPTIONS() },
        { "an activation outlives systemd, which is asked again when it is back",
          TALK(ARRIVE, START(S), REQUEST, "s! close", "a: GetId -> s *",
               "t: RequestName su " SYSTEMD " 0",
               "t? signal NameAcquired",
               "new(systemd-again) t? signal ActivationRequest s svc.service", "t? return u 1",
               "b: RequestName su " S " 0 -> u 1", "a? return u 1"), OPTIONS() },
        { "policy is asked before systemd is",
          TALK(ARRIVE, "a: call x.y.Z to=" S " -> error AccessDenied", "s? nothing"),
          OPTIONS(.policy = "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
                  "<allow own=\"*\"/><deny send_destination=\"" S "\"/>") },
        { "UpdateActivationEnvironment is passed on to systemd",
          TALK(ARRIVE, UPDATE "[ A b C `` ] ->", SET "to=s as [ A=b C= ]", "s? nothing"), OPTIONS() },
        { "an empty UpdateActivationEnvironment is passed on too",
          TALK(ARRIVE, UPDATE "[ ] ->", SET "to=s as [ ]"), OPTIONS() },
        { "UpdateActivationEnvironment waits for systemd, but its caller does not",
          TALK(UPDATE "[ A b ] ->", "s: RequestName su " SYSTEMD " 0", "s? signal NameAcquired",
               SET "to=" SYSTEMD " as [ A=b ]", "s? return u 1"), OPTIONS() },
        { "without --systemd-activation systemd does not hear of the environment",
          TALK(ARRIVE, UPDATE "[ A b ] ->", "s? nothing") },
        { "the property Features says SystemdActivation",
          TALK("a: call org.freedesktop.DBus.Properties.Get to=bus path=/org/freedesktop/DBus "
               "ss org.freedesktop.DBus Features -> v as [ ... SystemdActivation ... ]"), OPTIONS() },
};

int main(void)
{
        return scenarios_run("systemd", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
