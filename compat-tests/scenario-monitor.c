/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Monitors: they see everything they asked for, say nothing, and are nobody.
 */

#include "compat-tests/scenario.h"

#define I          "com.example.If"
#define MON        "if=org.freedesktop.DBus.Monitoring"
#define RULES(r)   "m: BecomeMonitor " MON " asu [ " r " ] 0"
#define BECOME(r)  RULES(r) " -> ", "m? signal NameLost s $m", "m! monitor"

static const struct scenario scenarios[] = {
        { "BecomeMonitor replies, then takes every name away",
          TALK("m: RequestName su com.example.M 0 -> u 1", "w: AddMatch s "
               "member='NameOwnerChanged' ->", RULES("member='X'"), "m? return sig=",
               "m? signal NameLost s *", "m? signal NameLost s *", "m! monitor",
               "w? signal NameOwnerChanged sss * $m ``", "w? signal NameOwnerChanged sss * $m ``",
               "w: NameHasOwner s com.example.M -> b 0", "w: NameHasOwner s $m -> b 0") },
        { "a monitor sees calls, replies and signals of others",
          TALK("a: GetId -> s *", "b: GetId -> s *", BECOME("interface='" I "' "
               "type='method_return' type='error'"), "a: call " I ".Do to=b s x", "b? call Do",
               "m? call " I ".Do from=a to=b s x", "b: return s y", "a? return s y",
               "m? return from=b to=a s y", "a: signal " I ".Sig", "m? signal Sig from=a to=-",
               "b: error com.example.Bad to=a reply=4711 s z", "m? error com.example.Bad") },
        { "a monitor without rules sees all, calls to the bus and its replies too",
          TALK("a: GetId -> s *", BECOME(""), "a: ListNames label=l", "a? return as *",
               "m? call ListNames from=a to=bus", "m? return from=bus to=a reply=l as *") },
        { "a monitor sees what a call to the bus causes, in its order",
          TALK("a: GetId -> s *", BECOME(""), "a: RequestName su com.example.A 0 -> u 1",
               "m? call RequestName", "m? signal NameOwnerChanged sss com.example.A `` $a",
               "m? signal NameAcquired to=a s com.example.A", "m? return to=a u 1") },
        { "a monitor's rules choose by member, path and argument",
          TALK("a: GetId -> s *", BECOME("member='Sig',path='/x',arg0='yes'"),
               "a: signal " I ".Sig path=/x s no", "a: signal " I ".Sig path=/y s yes",
               "a: signal " I ".Other path=/x s yes", "a: signal " I ".Sig path=/x s yes",
               "m? signal Sig path=/x s yes", "m? nothing") },
        { "a monitor's rules choose by destination",
          TALK("a: GetId -> s *", "b: GetId -> s *", "c: GetId -> s *", BECOME("destination='$b'"),
               "a: call " I ".Do to=c", "c? call Do", "a: call " I ".Do to=b", "b? call Do",
               "m? call Do to=b") },
        { "a monitor's rules choose the bus as destination",
          TALK("a: GetId -> s *", BECOME("destination='org.freedesktop.DBus'"),
               "a: signal " I ".Sig", "a: GetId -> s *", "m? call GetId from=a to=bus") },
        { "a monitor's rules choose a name that nobody has as destination",
          TALK("a: GetId -> s *", BECOME("destination='com.example.None'"),
               "a: call " I ".Do to=com.example.Other -> error ServiceUnknown",
               "a: call " I ".Do to=com.example.None -> error ServiceUnknown",
               "m? call Do from=a to=com.example.None", "m? nothing") },
        { "eavesdrop in a monitor's rules does not matter",
          TALK("a: GetId -> s *", BECOME("eavesdrop='true',member='Sig' "
               "eavesdrop='false',member='Gis'"), "a: signal " I ".Sig", "m? signal Sig", "a: signal " I ".Gis",
               "m? signal Gis") },
        { "two equal rules of a monitor are one",
          TALK("a: GetId -> s *", BECOME("member='Sig' member='Sig'"), "a: signal " I ".Sig",
               "m? signal Sig", "m? nothing") },
        { "a monitor that says anything is disconnected",
          TALK("a: GetId -> s *", BECOME("member='Sig'"), "m: signal " I ".Sig", "m? closed",
               "a: GetId -> s *") },
        { "nobody can call a monitor",
          TALK("a: GetId -> s *", BECOME("member='Sig'"),
               "a: call " I ".Do to=m -> error ServiceUnknown", "m? nothing") },
        { "a monitor gets no unicast message as its own, and no broadcast twice",
          TALK("a: GetId -> s *", "m: AddMatch s member='Sig' ->", BECOME("member='Sig'"),
               "a: signal " I ".Sig", "m? signal Sig", "m? nothing") },
        { "flags of BecomeMonitor must be 0",
          TALK("m: BecomeMonitor " MON " asu [ ] 1 -> error InvalidArgs", "m: GetId -> s *") },
        { "an invalid rule makes no monitor",
          TALK("m: BecomeMonitor " MON " asu [ type='signal' nonsense ] 0 -> error "
               "MatchRuleInvalid", "m: GetId -> s *") },
        { "wrong arguments make no monitor",
          TALK("m: BecomeMonitor " MON " as [ ] -> error InvalidArgs",
               "m: BecomeMonitor " MON " path=/ asu [ ] 0 -> error UnknownInterface",
               "m: GetId -> s *") },
        { "calls to a peer that becomes a monitor fail",
          TALK("m: GetId -> s *", "a: call " I ".Do to=m label=c", "m? call Do", RULES("member='X'"),
               "m? return", "m! monitor", "a? error NoReply reply=c") },
        { "a monitor that goes is not noticed",
          TALK("a: GetId -> s *", BECOME("member='Sig'"), "m! vanish", "a: signal " I ".Sig",
               "a: GetId -> s *") },
        { "a monitor sees who comes and goes",
          TALK("a: GetId -> s *", BECOME("member='NameOwnerChanged'"), "b: GetId -> s *",
               "m? signal NameOwnerChanged sss $b `` $b", "b! close",
               "m? signal NameOwnerChanged sss $b $b ``") },
        { "a monitor sees calls to names nobody has, and the bus's error",
          TALK("a: GetId -> s *", BECOME("member='Do' type='error'"),
               "a: call " I ".Do to=com.example.None -> error ServiceUnknown",
               "m? call Do to=com.example.None", "m? error ServiceUnknown from=bus to=a") },
        { "a monitor sees what policy denies, and the denial",
          TALK("a: GetId -> s *", "b: RequestName su com.example.B 0 -> u 1",
               BECOME("member='Do' type='error'"),
               "a: call " I ".Do to=com.example.B -> error AccessDenied",
               "m? call Do to=com.example.B", "m? error AccessDenied from=bus to=a"),
          .options.policy = "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop="
                            "\"true\"/><allow own=\"*\"/><deny send_destination=\"com.example.B\"/>" },
        { "a monitor gets copies of descriptors",
          TALK("a: GetId -> s *", "b: GetId -> s *", BECOME("member='Do'"),
               "a: call " I ".Do to=b fds=1 h 0", "b? call Do fds=1", "m? call Do") },
        { "two monitors both see",
          TALK("a: GetId -> s *", BECOME("member='Sig'"), "k: BecomeMonitor " MON " asu "
               "[ member='Sig' ] 0 ->", "k? signal NameLost s *", "k! monitor",
               "a: signal " I ".Sig", "m? signal Sig", "k? signal Sig") },
        { "serial, flags and byte order of what a monitor sees are the original's",
          TALK("a: GetId -> s *", "b: GetId -> s *", "b! big", BECOME("interface='" I "'"),
               "b: signal " I ".Sig serial=777 flags=1 u 5", "m? signal Sig serial=777 flags=1 "
               "endian=B u 5") },
        { "a monitor does not see pings without a destination",
          TALK("a: GetId -> s *", BECOME("member='Ping',path='/x'"),
               "a: Ping to=- path=/x if=org.freedesktop.DBus.Peer ->", "m? nothing") },
};

int main(void)
{
        return scenarios_run("monitor", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
