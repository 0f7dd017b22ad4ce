/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy: who may connect, own, send and receive.
 */

#include "compat-tests/scenario.h"

#define I          "com.example.If"
#define ALL        "<allow send_destination=\"*\" eavesdrop=\"true\"/>" \
                   "<allow eavesdrop=\"true\"/><allow own=\"*\"/>"
#define RULES(...) .options.policy = ALL __VA_ARGS__
#define ONLY(...)  .options.policy = __VA_ARGS__
#define DRIVER     "<allow send_destination=\"org.freedesktop.DBus\"/>" \
                   "<allow receive_sender=\"org.freedesktop.DBus\"/>"
#define OWN_B      "b: RequestName su com.example.B 0 -> u 1"
#define CALL       "a: call " I ".Do to=com.example.B"
#define DENIED     " -> error AccessDenied"
#define PASSES     "b? call Do"
#define NOBODY     "n! connect uid=65534"

static const struct scenario scenarios[] = {
        /* owning */
        { "without a rule nobody may own a name",
          TALK("a: RequestName su com.example.A 0" DENIED), ONLY(DRIVER) },
        { "a name can be denied",
          TALK("a: RequestName su com.example.A 0" DENIED, "a: RequestName su com.example.A.B 0 -> u 1"),
          RULES("<deny own=\"com.example.A\"/>") },
        { "a name can be allowed",
          TALK("a: RequestName su com.example.A 0 -> u 1",
               "a: RequestName su com.example.A.B 0" DENIED),
          ONLY(DRIVER "<allow own=\"com.example.A\"/>") },
        { "own_prefix means the name and all below it",
          TALK("a: RequestName su com.example.A 0 -> u 1",
               "a: RequestName su com.example.A.B.C 0 -> u 1",
               "a: RequestName su com.example.AB 0" DENIED,
               "a: RequestName su com.example 0" DENIED),
          ONLY(DRIVER "<allow own_prefix=\"com.example.A\"/>") },
        { "the last rule that matches decides about a name",
          TALK("a: RequestName su com.example.A 0 -> u 1",
               "a: RequestName su com.example.B 0" DENIED),
          ONLY(DRIVER "<allow own=\"*\"/><deny own_prefix=\"com.example\"/>"
               "<allow own=\"com.example.A\"/>") },
        { "a denied name is denied before the queue",
          TALK("a: RequestName su com.example.A 4" DENIED, "a: NameHasOwner s com.example.A -> b 0"),
          RULES("<deny own=\"com.example.A\"/>") },

        /* sending */
        { "without a rule nothing may be sent to a peer",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b" DENIED, "b? nothing"), ONLY(DRIVER) },
        { "Hello needs no rule",
          TALK("a! connect", "a! hello", "a: GetId" DENIED),
          ONLY("<allow receive_sender=\"org.freedesktop.DBus\"/>") },
        { "send_destination denies a name",
          TALK(OWN_B, CALL DENIED, "b? nothing"), RULES("<deny send_destination=\"com.example.B\"/>") },
        { "send_destination denies the unique name of the owner too",
          TALK(OWN_B, "a: call " I ".Do to=b" DENIED, "c: GetId -> s *", "a: call " I ".Do to=c",
               "c? call Do"), RULES("<deny send_destination=\"com.example.B\"/>") },
        { "send_destination means who waits in the queue for the name too",
          TALK("c: RequestName su com.example.B 0 -> u 1", "b: RequestName su com.example.B 0 -> u 2",
               "a: call " I ".Do to=b" DENIED), RULES("<deny send_destination=\"com.example.B\"/>") },
        { "send_destination_prefix means the name and all below it",
          TALK("b: RequestName su com.example.B.X 0 -> u 1", "c: RequestName su com.example.BX 0 -> "
               "u 1", "a: call " I ".Do to=b" DENIED, "a: call " I ".Do to=com.example.B.X" DENIED,
               "a: call " I ".Do to=c", "c? call Do"),
          RULES("<deny send_destination_prefix=\"com.example.B\"/>") },
        { "send_interface denies an interface, and calls without one",
          TALK(OWN_B, CALL DENIED, "a: call Do to=com.example.B" DENIED,
               "a: call com.example.Other.Do to=com.example.B", PASSES),
          RULES("<deny send_destination=\"com.example.B\" send_interface=\"" I "\"/>") },
        { "an allowed interface does not allow calls without one",
          TALK(OWN_B, CALL, PASSES, "a: call Do to=com.example.B" DENIED),
          ONLY(DRIVER "<allow own=\"*\"/><allow receive_sender=\"*\"/>"
               "<allow send_destination=\"com.example.B\" send_interface=\"" I "\"/>") },
        { "send_member denies a member",
          TALK(OWN_B, CALL DENIED, "a: call " I ".Else to=com.example.B", "b? call Else"),
          RULES("<deny send_interface=\"" I "\" send_member=\"Do\"/>") },
        { "send_path denies a path",
          TALK(OWN_B, CALL " path=/secret" DENIED, CALL " path=/secret/not", PASSES),
          RULES("<deny send_destination=\"com.example.B\" send_path=\"/secret\"/>") },
        { "send_type denies a type",
          TALK(OWN_B, CALL DENIED, "a: signal " I ".Sig to=com.example.B", "b? signal Sig"),
          RULES("<deny send_destination=\"com.example.B\" send_type=\"method_call\"/>") },
        { "send_error denies an error",
          TALK(OWN_B, CALL " label=c", PASSES, "b: error com.example.Bad label=e s x",
               "b? error AccessDenied reply=e", "ref(undeliverable-reply) a? nothing",
               "new(undeliverable-reply) a? error AccessDenied reply=c from=org.freedesktop.DBus"),
          RULES("<deny send_error=\"com.example.Bad\" send_type=\"error\" "
                "send_requested_reply=\"true\"/>") },
        { "a denial of an error that does not speak of requested replies lets those pass",
          TALK(OWN_B, CALL, PASSES, "b: error com.example.Bad s x", "a? error com.example.Bad"),
          RULES("<deny send_error=\"com.example.Bad\" send_type=\"error\"/>") },
        { "send_broadcast denies signals without a destination only",
          TALK("b: AddMatch s interface='" I "' ->", "a: signal " I ".Sig",
               "b? nothing", "a? nothing", "a: signal " I ".Sig to=b", "b? signal Sig"),
          RULES("<deny send_broadcast=\"true\" send_interface=\"" I "\"/>") },
        { "send_broadcast=false denies what has a destination only",
          TALK("b: AddMatch s interface='" I "' ->", "a: signal " I ".Sig", "b? signal Sig",
               "a: signal " I ".Sig to=b label=s", "a? error AccessDenied reply=s", "b? nothing"),
          RULES("<deny send_broadcast=\"false\" send_interface=\"" I "\"/>") },
        { "a method of the bus can be denied",
          TALK("a: GetId" DENIED, "a: ListNames -> as *"),
          RULES("<deny send_destination=\"org.freedesktop.DBus\" send_member=\"GetId\" "
                "send_interface=\"org.freedesktop.DBus\"/>") },
        { "max_fds denies messages with more descriptors",
          TALK(OWN_B, CALL " fds=2 hh 0 1" DENIED, CALL " fds=1 h 0", PASSES),
          RULES("<deny send_destination=\"com.example.B\" min_fds=\"2\"/>") },
        { "the last rule that matches decides about a message",
          TALK(OWN_B, CALL, PASSES, "a: call com.example.Other.Do to=com.example.B" DENIED),
          RULES("<deny send_destination=\"com.example.B\"/><allow send_destination=\"com.example.B\" "
                "send_interface=\"" I "\"/>") },
        { "a denied call is an error to its sender that names both",
          TALK(OWN_B, CALL " label=c", "a? error AccessDenied from=bus reply=c s *",
               "@ log com.example.B"), RULES("<deny send_destination=\"com.example.B\"/>") },
        { "a denied signal is an error to its sender too",
          TALK(OWN_B, "a: signal " I ".Sig to=com.example.B label=s",
               "a? error AccessDenied reply=s", "b? nothing"),
          RULES("<deny send_destination=\"com.example.B\"/>") },

        /* replies */
        { "requested replies can be allowed alone",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b label=c", PASSES, "b: return s x",
               "a? return s x", "b: return reply=4711 to=a label=r",
               "ref(unrequested-reply) b? error AccessDenied reply=r", "a? nothing"),
          ONLY(DRIVER "<allow send_type=\"method_call\"/><allow receive_sender=\"*\"/>"
               "<allow send_requested_reply=\"true\" send_type=\"method_return\"/>") },
        { "replies do not pass without a rule",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b label=c", PASSES, "b: return label=r s x",
               "b? error AccessDenied reply=r", "ref(undeliverable-reply) a? nothing",
               "new(undeliverable-reply) a? error AccessDenied reply=c from=org.freedesktop.DBus"),
          ONLY(DRIVER "<allow send_type=\"method_call\"/><allow receive_sender=\"*\"/>") },

        /* receiving */
        { "receive_sender denies messages of a name's owner",
          TALK("a: RequestName su com.example.A 0 -> u 1", "b: GetId -> s *",
               "a: call " I ".Do to=b" DENIED, "c: call " I ".Do to=b", "b? call Do from=c",
               "b? nothing"), RULES("<deny receive_sender=\"com.example.A\"/>") },
        { "receive_interface denies an interface",
          TALK("b: GetId -> s *", "a: call " I ".Do to=b" DENIED, "a: call com.example.Other.Do to=b",
               PASSES), RULES("<deny receive_interface=\"" I "\"/>") },
        { "a broadcast somebody may not receive is skipped in silence",
          TALK("b: AddMatch s type='signal' ->", "a: RequestName su com.example.A 0 -> u 1",
               "b? signal NameOwnerChanged", "b? signal NameOwnerChanged",
               "a: signal " I ".Sig", "a: signal com.example.Other.Sig",
               "b? signal com.example.Other.Sig", "a? nothing"),
          RULES("<deny receive_interface=\"" I "\" receive_type=\"signal\"/>") },
        { "signals of the bus can be denied",
          TALK("b: AddMatch s type='signal' ->", "a: RequestName su com.example.A 0 -> u 1",
               "b? nothing"), RULES("<deny receive_member=\"NameOwnerChanged\" "
               "receive_interface=\"org.freedesktop.DBus\"/>") },
        { "a receive rule judges calls to oneself as well",
          TALK("a: call " I ".Do to=a" DENIED), RULES("<deny receive_interface=\"" I "\"/>") },

        /* whose rules */
        { "mandatory rules come after all others",
          TALK(OWN_B, CALL DENIED),
          .options = { .policy = ALL, .extra = "<policy context=\"mandatory\">"
                       "<deny send_destination=\"com.example.B\"/></policy><policy user=\"${uid}\">"
                       "<allow send_destination=\"com.example.B\"/></policy>" } },
        { "rules for the user come after those for its groups, and those after the default",
          TALK("a: RequestName su com.example.User 0 -> u 1",
               "a: RequestName su com.example.Group 0" DENIED,
               "a: RequestName su com.example.Default 0 -> u 1"),
          .options = { .policy = ALL, .extra =
                       "<policy user=\"${uid}\"><allow own=\"com.example.User\"/></policy>"
                       "<policy group=\"${gid}\"><deny own=\"com.example.User\"/>"
                       "<deny own=\"com.example.Group\"/></policy>" } },
        { "rules for another user do not count",
          TALK("a: RequestName su com.example.A 0 -> u 1"),
          .options = { .policy = ALL,
                       .extra = "<policy user=\"65533\"><deny own=\"*\"/></policy>" } },
        { "each user has its own rules",
          TALK("a: RequestName su com.example.A 0 -> u 1", "n! connect uid=65534", "n! hello",
               "n: RequestName su com.example.N 0" DENIED, "n: RequestName su com.example.M 0 -> u 1"),
          .options = { .policy = ALL "<allow user=\"*\"/>", .extra =
                       "<policy user=\"65534\"><deny own=\"com.example.N\"/></policy>" },
          .needs_root = true },
        { "a user that does not exist is nobody's rule",
          TALK("a: GetId -> s *"), .options = { .policy = ALL, .extra =
                       "<policy user=\"no-such-user\"><deny own=\"*\"/></policy>" } },

        /* connecting */
        { "without a rule only the daemon's own user may connect",
          TALK("a: GetId -> s *", "n! refused uid=65534"), .needs_root = true },
        { "everybody may connect if the default policy says so",
          TALK(NOBODY, "n! hello", "n: GetConnectionUnixUser s $n -> u 65534"),
          RULES("<allow user=\"*\"/>"), .needs_root = true },
        { "a user can be denied",
          TALK("n! refused uid=65534", "m! connect uid=1", "m! hello"),
          RULES("<allow user=\"*\"/><deny user=\"65534\"/>"), .needs_root = true },
        { "privileged methods are for the daemon's user and root",
          TALK(NOBODY, "n! hello",
               "n: BecomeMonitor if=org.freedesktop.DBus.Monitoring asu [ ] 0" DENIED,
               "n: UpdateActivationEnvironment a{ss} [ A b ]" DENIED,
               "n: AddMatch s eavesdrop='true'" DENIED, "n: AddMatch s eavesdrop='false' ->"),
          RULES("<allow user=\"*\"/>"), .needs_root = true },

        /* later */
        { "rules changed by a reload hold for those who are connected",
          TALK(OWN_B, CALL, PASSES,
               "@ write bus.conf <busconfig><listen>unix:path=${dir}/bus</listen><policy "
               "context=\"default\">" ALL "<deny send_destination=\"com.example.B\"/></policy>"
               "</busconfig>", "a: ReloadConfig ->", CALL DENIED, "b? nothing") },
        { "log=true lets pass and says so",
          TALK(OWN_B, CALL, PASSES, "@ log com.example.B"),
          RULES("<allow send_destination=\"com.example.B\" log=\"true\"/>") },
        { "a call that waits for activation is judged at once",
          TALK("a: call " I ".Do to=com.example.Svc" DENIED,
               "a: NameHasOwner s com.example.Svc -> b 0"),
          .options = { .policy = ALL "<deny send_destination=\"com.example.Svc\"/>",
                       .files = (const char *const[]){ "services/com.example.Svc.service",
                       "[D-BUS Service]\nName=com.example.Svc\nExec=${service} own "
                       "com.example.Svc serve\n", NULL } } },
};

int main(void)
{
        return scenarios_run("policy", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
