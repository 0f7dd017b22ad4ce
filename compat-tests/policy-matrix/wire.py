# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Wire

What it is     As much of D-Bus's wire format as asking two daemons the same questions takes: build
               a message, take messages off a socket, log in as any user.
Not promised   Only empty bodies and bodies of strings and numbers; little endian; no descriptors.
"""
import os
import socket
import struct

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = range(1, 9)
NO_REPLY, NO_START = 1, 2
SIGNATURES = {PATH: "o", INTERFACE: "s", MEMBER: "s", ERROR_NAME: "s", REPLY_SERIAL: "u",
              DESTINATION: "s", SIGNATURE: "g"}
BUS = "org.freedesktop.DBus"


def pad(data, n):
    return data + b"\0" * (-len(data) % n)


def string(text):
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def message(serial, kind, fields, flags=0, body=b""):
    """@fields maps PATH, INTERFACE, ... to values; those that are None are left out."""
    head = b""
    for code, value in fields.items():
        if value is None:
            continue
        sign = SIGNATURES[code]
        head = pad(head, 8) + bytes([code, 1]) + sign.encode() + b"\0"
        if sign == "g":
            head += bytes([len(value)]) + value.encode() + b"\0"
        elif sign == "u":
            head += struct.pack("<I", value)
        else:
            head += string(value)
    fixed = b"l" + bytes([kind, flags, 1]) + struct.pack("<III", len(body), serial, len(head))
    return pad(fixed + head, 8) + body


def fields_of(head):
    fields, at = {}, 0
    while at < len(head):
        at = (at + 7) & ~7
        code, sign = head[at], head[at + 2:at + 3]
        at += 4
        if sign == b"g":
            n = head[at]
            fields[code] = head[at + 1:at + 1 + n].decode()
            at += n + 2
        elif sign == b"u":
            fields[code] = struct.unpack_from("<I", head, at)[0]
            at += 4
        else:
            n = struct.unpack_from("<I", head, at)[0]
            fields[code] = head[at + 4:at + 4 + n].decode()
            at += n + 5
    return fields


class Refused(Exception):
    """The daemon does not let this user in."""


class Client:
    """A connection made as a given user; everything else is done as root."""

    def __init__(self, path, user):
        self.user = user
        self.rest = b""
        self.serial = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.as_user(lambda: self.socket.connect(path))
        self.login()
        kind, _, fields = self.ask("Hello")
        if kind != RETURN:
            raise Refused(fields.get(ERROR_NAME))
        self.unique = fields[DESTINATION]

    def as_user(self, do):
        """The kernel notes effective ids and groups when a socket is connected."""
        groups = os.getgroups()
        os.setgroups(self.user.groups)
        os.setegid(self.user.gid)
        os.seteuid(self.user.uid)
        try:
            do()
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)

    def login(self):
        who = str(self.user.uid).encode().hex().encode()
        self.socket.sendall(b"\0AUTH EXTERNAL " + who + b"\r\n")
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.receive(1)
        if not line.startswith(b"OK "):
            raise Refused(line.decode())
        self.socket.sendall(b"BEGIN\r\n")

    def receive(self, n):
        data = self.socket.recv(n)
        if not data:
            raise Refused("closed")
        return data

    def send(self, kind, fields, flags=0, body=b""):
        self.serial += 1
        self.socket.sendall(message(self.serial, kind, fields, flags, body))
        return self.serial

    def next(self):
        """(type, serial, fields) of the next message."""
        self.need(16)
        n_body, serial, n_head = struct.unpack_from("<III", self.rest, 4)
        whole = 16 + ((n_head + 7) & ~7) + n_body
        self.need(whole)
        raw, self.rest = self.rest[:whole], self.rest[whole:]
        return raw[1], serial, fields_of(raw[16:16 + n_head])

    def need(self, n):
        while len(self.rest) < n:
            self.rest += self.receive(1 << 18)

    def until(self, last):
        """All messages up to the first for which last() holds, that one included."""
        seen = []
        while not seen or not last(seen[-1]):
            seen.append(self.next())
        return seen

    def call_bus(self, member, signature=None, body=b"", interface=BUS):
        return self.send(CALL, {PATH: "/org/freedesktop/DBus", INTERFACE: interface, MEMBER: member,
                                DESTINATION: BUS, SIGNATURE: signature}, 0, body)

    def ask(self, *args, **named):
        """The answer of the bus to a call."""
        serial = self.call_bus(*args, **named)
        return self.until(lambda m: m[2].get(REPLY_SERIAL) == serial)[-1]

    def close(self):
        self.socket.close()
