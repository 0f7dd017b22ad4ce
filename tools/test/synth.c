/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * synth-capture FILE N
 *
 * Writes a capture of about N messages, as a bus would have recorded it, in which something of
 * everything happens: calls with replies and errors, broadcasts to listeners with rules, signals to
 * one peer, names that are queued for, connections that come and go, calls that policy may forbid.
 * The same N gives the same file.
 */

#include "config.h"

#include <stdio.h>
#include <string.h>

#include "shim/wire/bytes.h"
#include "tools/message.h"
#include "tools/meta.h"
#include "tools/pcap.h"

#define SERVICE "org.test.Service"
#define INTERFACE "org.test.Interface"
#define N_STEPS 100 /* of one round */

struct peer {
        char name[32];
        uint32_t serial;
};

static struct pcap_writer *writer;
static struct buf out;
static uint64_t time_ns = UINT64_C(1700000000000000000);
static uint64_t n_written;
static struct peer bus = { DRIVER_NAME, 0 };
static struct peer service = { ":1.1", 100 }, client = { ":1.2", 100 };
static struct peer ticks = { ":1.3", 100 }, both = { ":1.4", 100 };
static struct peer queued = { ":1.5", 100 }, queued_too = { ":1.6", 100 };

static void put(void)
{
        time_ns += 1000000;
        if (pcap_writer_put(writer, time_ns, buf_head(&out), buf_n(&out))) {
                perror("writing");
                exit(EXIT_FAILURE);
        }
        n_written++;
}

static void field(uint8_t code, char type, const char *text)
{
        if (text)
                message_text(&out, code, type, text, strlen(text));
}

/* begins a message; returns where the body begins */
static size_t begin(struct peer *from, uint8_t type, const char *to, const char *interface,
                    const char *member, const char *signature, uint32_t reply_serial)
{
        message_begin(&out, bytes_native(), type, from == &bus ? 1 : 0, ++from->serial);
        if (member)
                field(FIELD_PATH, 'o', "/org/test");
        field(FIELD_INTERFACE, 's', interface);
        field(FIELD_MEMBER, 's', member);
        message_number(&out, FIELD_REPLY_SERIAL, reply_serial);
        field(FIELD_DESTINATION, 's', to);
        field(FIELD_SENDER, 's', from->name);
        field(FIELD_SIGNATURE, 'g', signature);
        return message_body(&out);
}

static void end(size_t base)
{
        message_end(&out, base);
        put();
}

static void put_number(size_t base, uint32_t v)
{
        buf_align(&out, base, 4);
        buf_put32(&out, v, false);
}

/* text and number, to whomever; returns the serial */
static uint32_t say(struct peer *from, uint8_t type, const char *to, const char *interface,
                    const char *member, uint32_t reply_serial, uint32_t number)
{
        size_t base = begin(from, type, to, interface, member, "su", reply_serial);

        message_put_string(&out, base, "some text to carry along");
        put_number(base, number);
        end(base);
        return from->serial;
}

static void bus_string(const char *to, const char *member, uint32_t reply_serial, const char *s)
{
        size_t base = begin(&bus, member ? HEADER_SIGNAL : HEADER_RETURN, to,
                            member ? DRIVER_NAME : NULL, member, "s", reply_serial);

        message_put_string(&out, base, s);
        end(base);
}

static void bus_number(const char *to, uint32_t reply_serial, uint32_t v)
{
        size_t base = begin(&bus, HEADER_RETURN, to, NULL, NULL, "u", reply_serial);

        put_number(base, v);
        end(base);
}

static void owner_changed(const char *name, const char *old, const char *new)
{
        size_t base = begin(&bus, HEADER_SIGNAL, NULL, DRIVER_NAME, "NameOwnerChanged", "sss", 0);

        message_put_string(&out, base, name);
        message_put_string(&out, base, old);
        message_put_string(&out, base, new);
        end(base);
}

static uint32_t call_bus(struct peer *from, const char *member, const char *arg, bool number,
                         uint32_t v)
{
        size_t base = begin(from, HEADER_CALL, DRIVER_NAME, DRIVER_NAME, member,
                            number ? "su" : "s", 0);

        message_put_string(&out, base, arg);
        if (number)
                put_number(base, v);
        end(base);
        return from->serial;
}

static void put_error(struct peer *from, const char *to, const char *name, uint32_t reply_serial)
{
        size_t base;

        message_begin(&out, bytes_native(), HEADER_ERROR, 1, ++from->serial);
        field(FIELD_ERROR_NAME, 's', name);
        message_number(&out, FIELD_REPLY_SERIAL, reply_serial);
        field(FIELD_DESTINATION, 's', to);
        field(FIELD_SENDER, 's', from->name);
        field(FIELD_SIGNATURE, 'g', "s");
        base = message_body(&out);
        message_put_string(&out, base, "it does not work");
        end(base);
}

/* ---- what happens ---- */

static void call_and_reply(uint32_t i)
{
        uint32_t serial = say(&client, HEADER_CALL, SERVICE, INTERFACE, "Echo", 0, i);

        if (i % 10)
                say(&service, HEADER_RETURN, client.name, NULL, NULL, serial, i);
        else
                put_error(&service, client.name, "org.test.Error.Tenth", serial);
}

static void ask_bus(uint32_t i)
{
        uint32_t serial = call_bus(&client, "GetNameOwner", SERVICE, false, 0);

        bus_string(client.name, NULL, serial, service.name);
        serial = say(&client, HEADER_CALL, "org.test.Nobody", INTERFACE, "Void", 0, i);
        put_error(&bus, client.name, DRIVER_NAME ".Error.ServiceUnknown", serial);
}

static void call_forbidden(uint32_t i)
{
        uint32_t serial = say(&client, HEADER_CALL, SERVICE, "org.test.Forbidden", "Open", 0, i);

        say(&service, HEADER_RETURN, client.name, NULL, NULL, serial, i);
}

/* one name, three peers, one after the other */
static void pass_name_on(void)
{
        static const char name[] = "org.test.Queued";
        uint32_t serial = call_bus(&service, "RequestName", name, true, 0);

        owner_changed(name, "", service.name);
        bus_number(service.name, serial, 1);
        serial = call_bus(&queued, "RequestName", name, true, 0);
        bus_number(queued.name, serial, 2);
        serial = call_bus(&queued_too, "RequestName", name, true, 0);
        bus_number(queued_too.name, serial, 2);
        serial = call_bus(&service, "ReleaseName", name, false, 0);
        owner_changed(name, service.name, queued.name);
        bus_number(service.name, serial, 1);
        serial = call_bus(&queued, "ReleaseName", name, false, 0);
        owner_changed(name, queued.name, queued_too.name);
        bus_number(queued.name, serial, 1);
        serial = call_bus(&queued_too, "ReleaseName", name, false, 0);
        owner_changed(name, queued_too.name, "");
        bus_number(queued_too.name, serial, 1);
}

/* somebody connects, asks, and is gone while a call to it waits for its answer */
static void visit(uint32_t round)
{
        struct peer visitor = { "", 1 };
        uint32_t serial;

        snprintf(visitor.name, sizeof(visitor.name), ":1.%u", 100 + round);
        owner_changed(visitor.name, "", visitor.name);
        bus_string(visitor.name, "NameAcquired", 0, visitor.name);
        serial = say(&visitor, HEADER_CALL, SERVICE, INTERFACE, "Hello", 0, round);
        say(&service, HEADER_RETURN, visitor.name, NULL, NULL, serial, round);
        serial = say(&client, HEADER_CALL, visitor.name, INTERFACE, "Never", 0, round);
        owner_changed(visitor.name, visitor.name, "");
        put_error(&bus, client.name, DRIVER_NAME ".Error.NoReply", serial);
}

static void play_round(uint32_t round)
{
        for (uint32_t i = 0; i < N_STEPS; i++) {
                call_and_reply(i);
                say(&service, HEADER_SIGNAL, NULL, INTERFACE, "Tick", 0, i);
                if (i % 10 == 0)
                        say(&ticks, HEADER_SIGNAL, both.name, INTERFACE, "Seen", 0, i);
                if (i % 10 == 5)
                        say(&client, HEADER_SIGNAL, NULL, INTERFACE, "Tack", 0, i);
                if (i % 5 == 0)
                        say(&service, HEADER_SIGNAL, NULL, INTERFACE, "Tock", 0, i);
                if (i % 20 == 0)
                        say(&client, HEADER_SIGNAL, service.name, INTERFACE, "Direct", 0, i);
                if (i % 25 == 0)
                        ask_bus(i);
        }
        call_forbidden(round);
        pass_name_on();
        visit(round);
}

static void meta(const char *member, const char *a, const char *b, const char *c)
{
        const char *args[] = { a, b, c, c ? "" : NULL, NULL };

        if (meta_write(&out, member, args))
                exit(EXIT_FAILURE);
        put();
}

static void describe_start(void)
{
        const struct peer *const peers[] = { &service, &client, &ticks, &both, &queued,
                                             &queued_too };

        meta("Start", "1", "unix:path=/synthetic", NULL);
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
                meta("Peer", peers[i]->name, "", "");
        meta("Owner", SERVICE, service.name, NULL);
        meta("Rule", ticks.name, "type='signal',interface='" INTERFACE "',member='Tick'", NULL);
        meta("Rule", both.name, "type='signal',interface='" INTERFACE "',member='Tick'", NULL);
        meta("Rule", both.name, "type='signal',interface='" INTERFACE "',member='Tock'", NULL);
        meta("Rule", ticks.name, "type='signal',interface='" INTERFACE "',member='Tack'", NULL);
        meta("Rule", both.name, "type='signal',interface='" INTERFACE "',member='Tack'", NULL);
        meta("Rule", both.name, "type='signal',member='NameOwnerChanged'", NULL);
}

int main(int argc, char **argv)
{
        uint64_t n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
        FILE *f = argc == 3 ? fopen(argv[1], "we") : NULL;

        if (!f || !n || pcap_writer_new(&writer, f)) {
                fprintf(stderr, "Usage: synth-capture FILE N\n");
                return EXIT_FAILURE;
        }
        describe_start();
        for (uint32_t round = 0; n_written < n; round++)
                play_round(round);
        pcap_writer_free(writer);
        buf_deinit(&out);
        return fclose(f) ? EXIT_FAILURE : EXIT_SUCCESS;
}
