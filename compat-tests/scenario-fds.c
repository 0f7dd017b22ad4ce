/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Descriptors: passed with messages, counted, refused, never leaked.
 */

#include "compat-tests/scenario.h"

#define I    "com.example.If"
#define CALL "a: call " I ".Take to=b "
#define NO_FDS(x) x "! open", x "! nul", x "> AUTH EXTERNAL ${hexuid}", x "< OK *", x "> BEGIN", \
                  x "! hello"

static const struct scenario scenarios[] = {
        { "a descriptor arrives with its message",
          TALK("b: GetId -> s *", CALL "fds=1 h 0", "b? call Take fds=1 label=fd0 h 0") },
        { "several descriptors arrive in their order",
          TALK("b: GetId -> s *", CALL "fds=3 hhh 0 1 2", "b? call Take fds=3 label=fd0 hhh 0 1 2",
               CALL "fds=2 hh 1 0", "b? call Take fds=2 label=fd3") },
        { "a reply may carry descriptors",
          TALK("b: GetId -> s *", CALL, "b? call Take", "b: return fds=1 h 0",
               "a? return fds=1 label=fd0 h 0") },
        { "a broadcast brings everybody a copy",
          TALK("b: AddMatch s interface='" I "' ->", "c: AddMatch s interface='" I "' ->",
               "a: signal " I ".Sig fds=2 hh 0 1", "b? signal Sig fds=2 label=fd0") },
        { "messages with and without descriptors do not mix them up",
          TALK("b: GetId -> s *", CALL "fds=1 h 0", CALL "s none", CALL "fds=2 hh 0 1", CALL,
               CALL "fds=1 h 0", "b? call Take fds=1 label=fd0", "b? call Take fds=- s none",
               "b? call Take fds=2 label=fd1", "b? call Take fds=-", "b? call Take fds=1 label=fd3") },
        { "descriptors of several senders reach the right messages",
          TALK("b: GetId -> s *", "c! connect", "c! hello", CALL "fds=1 h 0",
               "a: GetId -> s *", "c: call " I ".Take to=b fds=2 hh 0 1",
               "b? call Take from=a fds=1", "b? call Take from=c fds=2") },
        { "descriptors nobody's argument refers to are passed on",
          TALK("b: GetId -> s *", CALL "fds=2 s x", "b? call Take fds=2 label=fd0 s x") },
        { "a header field of 0 descriptors is fine",
          TALK("b: GetId -> s *", CALL "fds=0 s x", "b? call Take s x") },
        { "a message with descriptors may be byte by byte after the first",
          TALK("b: GetId -> s *", "a! bytewise", CALL "fds=1 h 0",
               "b? call Take fds=1 label=fd0 h 0") },
        { "a call with descriptors to the bus is answered, and they are closed",
          TALK("a: GetId fds=3 -> s *", "a: ListNames fds=1 -> as [ ... ]") },
        { "descriptors to a name nobody has are closed",
          TALK("a: call x.y.Z to=com.example.None fds=2 hh 0 1 -> error ServiceUnknown") },
        { "descriptors of a broadcast nobody wants are closed",
          TALK("a: signal " I ".Sig fds=2 hh 0 1", "a: GetId -> s *") },
        { "descriptors nobody read are closed when the receiver goes",
          TALK("b: GetId -> s *", CALL "fds=2 hh 0 1", CALL "fds=2 hh 0 1", "b! close",
               "a? error NoReply", "a? error NoReply") },
        { "descriptors of a half message are closed when the sender goes",
          TALK("b: GetId -> s *", CALL "fds=2 bodylen=100 hh 0 1", "@ sleep 20",
               "a! close", "b? nothing") },
        { "a receiver that did not negotiate descriptors gets none: NotSupported",
          TALK(NO_FDS("b"), "a: GetId -> s *", CALL "fds=1 h 0 -> error NotSupported", "b? nothing",
               CALL "s x", "b? call Take s x") },
        { "a broadcast with descriptors skips who did not negotiate them",
          TALK(NO_FDS("b"), "b: AddMatch s interface='" I "' ->",
               "c: AddMatch s interface='" I "' ->",
               "a: signal " I ".Sig fds=1 h 0", "a: signal " I ".Later",
               "c? signal Sig fds=1", "b? signal Later", "b? nothing") },
        { "descriptors without negotiation end the connection",
          TALK("b: GetId -> s *", NO_FDS("a"), CALL "fds=1 h 0", "a? closed", "b? nothing") },
        { "descriptors before BEGIN are not kept",
          TALK("a! open", "a! nul", "a: GetId fds=1", "b: GetId -> s *") },
        { "more descriptors than a message may have end the connection",
          TALK("b: GetId -> s *", CALL "fds=17", "a? closed", "b? nothing",
               "c: call " I ".Take to=b fds=16", "b? call Take fds=16 label=fd0") },
        { "the number of descriptors of a message can be configured",
          TALK("b: GetId -> s *", CALL "fds=2", "b? call Take fds=2", CALL "fds=3", "a? closed",
               "b? nothing"), .options.limits = "max_message_unix_fds=2" },
        { "more descriptors in the header than came end the connection",
          TALK("b: GetId -> s *", CALL "fds=2 attach=1 hh 0 1", "a? closed", "b? nothing") },
        { "descriptors beyond the header's number do not come with the message",
          TALK("b: GetId -> s *", CALL "fds=1 attach=2 h 0", "b? call Take fds=1 label=fd0 h 0",
               "b? nothing", "a: GetId -> s *") },
        { "descriptors that came with a message without any wait for one that has",
          TALK("b: GetId -> s *", CALL "attach=1 s x", "b? call Take fds=- s x",
               CALL "fds=1 attach=0 h 0", "b? call Take fds=1 label=fd0",
               "b? nothing") },
        { "a call waiting for activation keeps its descriptors",
          TALK("a: call " I ".Take to=com.example.Svc fds=2 hh 0 1",
               "s: RequestName su com.example.Svc 0", "s? signal NameAcquired",
               "s? call Take fds=2 label=fd0 hh 0 1"),
          .options = { .no_fd_check = true, .files = (const char *const[]){
                       "services/com.example.Svc.service",
                       "[D-BUS Service]\nName=com.example.Svc\nExec=/bin/true\n", NULL } } },
        { "a peer that sends descriptors to itself gets them",
          TALK("a: call x.y.Z to=a fds=1 h 0", "a? call Z fds=1 label=fd0 h 0") },
};

int main(void)
{
        return scenarios_run("fds", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
