/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * quirks-capture FILE
 *
 * Writes a capture in which peers do what buses are known to answer differently: calls that want no
 * reply, replies that nobody wants, rules that eavesdrop or are too long, questions that one of
 * both cannot answer.
 */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/wire/bytes.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/pcap.h"

static struct pcap_writer *writer;
static struct buf out;
static uint64_t time_ns = UINT64_C(1700000000000000000);
static uint32_t serial = 10;

static void put(void)
{
        time_ns += 1000000;
        if (pcap_writer_put(writer, time_ns, buf_head(&out), buf_n(&out)))
                exit(EXIT_FAILURE);
}

static void field(uint8_t code, char type, const char *text)
{
        if (text)
                message_text(&out, code, type, text, strlen(text));
}

struct quirk {
        uint8_t type, flags;
        uint32_t reply_serial;
        const char *to, *path, *interface, *member;
        const char *args[3];
        const char *from; /* NULL: :1.1 */
};

#define BUS(...) HEADER_CALL, 0, 0, DRIVER_NAME, DRIVER_PATH, __VA_ARGS__

static const struct quirk quirks[] = {
        { HEADER_CALL, HEADER_NO_REPLY_EXPECTED, 0, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME, "GetId" },
        { HEADER_CALL, HEADER_NO_REPLY_EXPECTED, 0, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
          "NoSuchMember" },
        { HEADER_RETURN, 0, 4711, ":1.2", NULL, NULL, NULL },
        { HEADER_SIGNAL, 0, 0, "org.test.Nobody", "/a", "a.b", "ToNobody" },
        { HEADER_RETURN, 0, 4712, ":1.77", NULL, NULL, NULL },
        { BUS(DRIVER_NAME, "AddMatch", { "eavesdrop='true',type='signal',member='Q'" }) },
        { BUS(DRIVER_NAME, "AddMatch", { "arg='x'" }) },
        { BUS(DRIVER_NAME, "ListQueuedOwners", { ":1.1" }) },
        { BUS("org.freedesktop.DBus.Properties", "Get", { DRIVER_NAME, "NoSuchProperty" }) },
        { BUS("org.freedesktop.DBus.Properties", "Get", { DRIVER_NAME, "Features" }) },
        { BUS("org.freedesktop.DBus.Properties", "Get", { DRIVER_NAME, "Interfaces" }) },
        { BUS("org.freedesktop.DBus.Properties", "GetAll", { "org.freedesktop.DBus.Monitoring" }) },
        { BUS("org.freedesktop.DBus.Debug.Stats", "GetConnectionStats", { ":1.1" }) },
        { BUS("org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules") },
        { HEADER_CALL, 0, 0, DRIVER_NAME, "/other", "org.freedesktop.DBus.Properties", "GetAll",
          { DRIVER_NAME } },
        { HEADER_CALL, 0, 0, NULL, "/", "a.b", "NoDestination" },
        { HEADER_CALL, 0, 0, NULL, "/", "org.freedesktop.DBus.Peer", "Ping" },
        { HEADER_CALL, 0, 0, DRIVER_NAME, DRIVER_PATH, "org.freedesktop.DBus.Introspectable",
          "Introspect" },
        { HEADER_CALL, 0, 0, DRIVER_NAME, "/", "org.freedesktop.DBus.Introspectable", "Introspect" },
        { BUS("org.freedesktop.DBus.Debug.Stats", "GetStats") },
        { BUS(DRIVER_NAME, "GetConnectionCredentials", { ":1.1" }) },
        { BUS(DRIVER_NAME, "GetConnectionUnixProcessID", { ":1.1" }) },
        { BUS(DRIVER_NAME, "GetConnectionSELinuxSecurityContext", { ":1.1" }) },
        { BUS(DRIVER_NAME, "GetAdtAuditSessionData", { ":1.1" }) },
        { BUS(DRIVER_NAME, "GetNameOwner", { "org.test.Nobody" }) },
        { BUS(DRIVER_NAME, "GetNameOwner", { "not a name" }) },
        { BUS(DRIVER_NAME, "ReleaseName", { "org.test.Nobody" }) },
        { BUS(DRIVER_NAME, "RemoveMatch", { "member='NotThere'" }) },
        { BUS(DRIVER_NAME, "UpdateActivationEnvironment") },
        { BUS(DRIVER_NAME, "ReloadConfig") },
        { BUS(DRIVER_NAME, "Hello") },
        { 7, 0, 0, DRIVER_NAME, "/", "a.b", "UnknownType" },
        { HEADER_CALL, HEADER_NO_AUTO_START, 0, "org.test.Nobody", "/", "a.b", "NotStarted" },
};

static void put_quirk(const struct quirk *q)
{
        char signature[4] = "";
        size_t base, n = 0;

        for (; n < ARRAY_SIZE(q->args) && q->args[n]; n++)
                signature[n] = 's';
        message_begin(&out, bytes_native(), q->type, q->flags, ++serial);
        field(FIELD_PATH, 'o', q->path);
        field(FIELD_INTERFACE, 's', q->interface);
        field(FIELD_MEMBER, 's', q->member);
        message_number(&out, FIELD_REPLY_SERIAL, q->reply_serial);
        field(FIELD_DESTINATION, 's', q->to);
        field(FIELD_SENDER, 's', q->from ?: ":1.1");
        field(FIELD_SIGNATURE, 'g', n ? signature : NULL);
        base = message_body(&out);
        for (size_t i = 0; i < n; i++)
                message_put_string(&out, base, q->args[i]);
        message_end(&out, base);
        put();
}

int main(int argc, char **argv)
{
        static const char *const peers[] = { ":1.1", ":1.2" };
        FILE *f = argc == 2 ? fopen(argv[1], "we") : NULL;
        char rule[1200] = "member='";

        if (!f || pcap_writer_new(&writer, f)) {
                fprintf(stderr, "Usage: quirks-capture FILE\n");
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                const char *args[] = { peers[i], "", "", "", "", NULL };

                if (meta_write(&out, "Peer", args))
                        return EXIT_FAILURE;
                put();
        }
        for (size_t i = 0; i < ARRAY_SIZE(quirks); i++)
                put_quirk(&quirks[i]);
        memset(rule + 8, 'x', 1100);
        memcpy(rule + 8 + 1100, "'", 2);
        put_quirk(&(struct quirk){ BUS(DRIVER_NAME, "AddMatch", { rule }) });
        /* a call that is answered in the recording, to a name that no sandbox will have */
        put_quirk(&(struct quirk){ HEADER_CALL, 0, 0, "org.test.Elsewhere", "/", "a.b", "Who" });
        put_quirk(&(struct quirk){ HEADER_RETURN, 0, serial, ":1.1", .from = ":1.2" });
        pcap_writer_free(writer);
        buf_deinit(&out);
        return fclose(f) ? EXIT_FAILURE : EXIT_SUCCESS;
}
