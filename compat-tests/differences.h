/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Differences
 *
 * What it is     Every intended difference between dbus-daemon and lambus that a scenario sees.
 *                Nowhere else may a scenario ask which of them it runs on.
 * How            A line of a talk that starts with `ref(ID)` holds for dbus-daemon, one that
 *                starts with `new(ID)` for lambus; a function asks differs(ID).
 */

struct difference {
        const char *id;
        const char *reference;  /* what dbus-daemon does */
        const char *lambus;     /* what lambus does */
        const char *why;
};

static const struct difference differences[] = {
        { "unrequested-reply",
          "delivers a reply nobody waits for, if policy allows it (session.conf does)",
          "drops it", "a reply out of nowhere can only confuse, or deceive, its receiver" },
        { "no-reply-expected",
          "answers a call marked NO_REPLY_EXPECTED if there is a value or an error to tell",
          "sends nothing", "the specification's meaning of the flag; clients ignore such replies" },
        { "late-reply",
          "tells the replier ServiceUnknown if the caller has gone",
          "drops the reply", "the replier did nothing wrong and no call of its own has failed" },
        { "undeliverable-reply",
          "tells the replier LimitsExceeded, or AccessDenied; the caller waits for ever",
          "gives the caller a small error in its place; tells the replier AccessDenied as well",
          "every call is answered once; the replier can do nothing about a full queue" },
        { "held-back",
          "refuses what does not fit into the queue of a receiver that reads slowly",
          "does not read the sender for a while; refuses when the receiver does not read at all",
          "a burst is not an error; whoever sends too much waits, and nobody else does" },
        { "share-of-a-user",
          "lets one user's messages fill all the queues of another",
          "leaves a share of what may wait for a user to everybody else",
          "one user's flood is not another's silence" },
        { "stamped-too-long",
          "delivers a message that is longer than any may be with its sender's name in it",
          "refuses it with LimitsExceeded",
          "its receiver could only hang up: it must not lose its connection for it" },
        { "mistake-is-located",
          "names what is wrong in a configuration file, not always where",
          "names file and line as well", "whoever has to mend it must find it" },
        { "reply-starts",
          "starts a service to deliver an answer to it",
          "drops the answer", "who is not there cannot have asked" },
        { "room-of-the-gone",
          "counts the requests of clients that have gone until the activation ends",
          "does not", "nobody waits for them" },
        { "systemd-late",
          "asks systemd, when it comes, for the unit of a service that is there by then",
          "does not", "the request has nothing left to do" },
        { "systemd-again",
          "asks for a unit once; if systemd is executed anew meanwhile, callers may time out",
          "asks again whoever takes systemd's name while the activation lasts",
          "systemd starts nothing twice, and may not have heard" },
        { "bad-failure",
          "ends with a segmentation fault at an ActivationFailure of systemd with wrong arguments",
          "ignores and logs it, and passes the text on if only the error's name is wrong",
          "nothing that a client sends may end the bus" },
        { "limit-override",
          "passes over <?lambus-limit?>", "takes it as another limit for some",
          "a backup, or a desktop shell, needs more than others" },
        { "end-of-waiting",
          "hangs up on callers that wait for an activation",
          "tells them first that the bus ends", "every call is answered" },
};
