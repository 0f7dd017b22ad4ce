#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Policy matrix

What it is     The same questions to two daemons under the same policy file; a cell is one answer.
Cells          connect  each user
               own      each user, each name the file speaks of, one below it, one above it
               bus      each user, each message to the bus itself: AccessDenied or not
               send     each sender, receiver and message: delivered or not. Receivers own the
                        names that the file speaks of, or wait in the queue for them. Messages
                        are calls, signals, broadcasts, and replies and errors that someone waits
                        for or not, with the interfaces, members and paths of the file, others, none
How            The policies of the installed system.conf stand first, then the file, as on a
               real system. To let any receiver own any name a mandatory rule says so, and one
               interface is open to all, by which sender and receiver tell each other where they are; both
               are left out where names and users are asked about. Users and groups that the
               files name are made up, in a mount namespace, if the system lacks them.
Needs          root.
"""
import argparse
import collections
import ctypes
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

from wire import (BUS, CALL, DESTINATION, ERROR, ERROR_NAME, INTERFACE, MEMBER, NO_REPLY, NO_START,
                  PATH, REPLY_SERIAL, RETURN, SENDER, SIGNAL, Client, Refused, string)

OPEN = "lambus.matrix.Open"  # the interface by which the peers keep in step
NOBODYS = "com.example.Nobody"  # a name and an interface that no file speaks of
PEER = BUS + ".Peer"  # the reference answers a broadcast of it, before policy is asked
ANYONE = "policy-matrix"  # a user of no group; dbus-daemon refuses those it cannot look up
SYSTEM_CONF = "/usr/share/dbus-1/system.conf"
GRAMMAR = {"interface": re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"),
           "error": re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"),
           "member": re.compile(r"[A-Za-z_]\w*"), "path": re.compile(r"/|(/\w+)+")}
NAME = re.compile(r"[A-Za-z_-][\w-]*(\.[A-Za-z_-][\w-]*)+")
TYPES = {CALL: "call", RETURN: "return", ERROR: "error", SIGNAL: "signal"}
DIFFERENCES_SHOWN = 20

User = collections.namedtuple("User", "name uid gid groups")
Message = collections.namedtuple("Message", "kind interface member path error requested broadcast")


def plain(kind, interface=None, member=None, path=None, error=None, requested=False,
          broadcast=False):
    return Message(kind, interface, member, path, error, requested, broadcast)


# ---- what a policy file speaks of ----

class Topics:
    """Names, interfaces, members, paths, users and groups of a policy file."""

    def __init__(self, files):
        self.names, self.users, self.groups, self.tuples = [], [], [], []
        self.interfaces, self.members, self.paths, self.errors = [], [], [], []
        for file in files:
            for policy in xml.parse(file).getroot().iter("policy"):
                self.add(self.users, policy.get("user"))
                self.add(self.groups, policy.get("group"))
                for rule in policy:
                    self.add_rule(rule)

    @staticmethod
    def add(to, value):
        if value not in (None, "*", "") and value not in to:
            to.append(value)

    def add_rule(self, rule):
        for key in ("own", "own_prefix", "send_destination", "send_destination_prefix",
                    "receive_sender"):
            if rule.get(key) != BUS:
                self.add(self.names, rule.get(key))
        said = {}
        for kind in ("interface", "member", "path", "error"):
            said[kind] = rule.get("send_" + kind) or rule.get("receive_" + kind)
            if said[kind] and not GRAMMAR[kind].fullmatch(said[kind]):
                said[kind] = None  # no message can have it
            self.add(getattr(self, kind + "s"), said[kind])
        self.add(self.tuples, (said["interface"], said["member"], said["path"]))
        self.add(self.users, rule.get("user"))
        self.add(self.groups, rule.get("group"))

    def headers(self, most, dice):
        """(interface, member, path) of messages that the file might have an opinion on."""
        all_ = []
        interfaces = self.interfaces + [BUS + ".Properties", BUS + ".Introspectable", NOBODYS]
        for interface, member, path in self.tuples:
            self.add(all_, (interface or NOBODYS, member or "Other", path or "/"))
            self.add(all_, (None, member or "Other", path or "/"))
        for interface in interfaces:
            self.add(all_, (interface, "Other", "/"))
        cross = [(i, m, p) for i in interfaces + [None] for m in self.members + ["GetAll"]
                 for p in self.paths + ["/x"]]
        dice.shuffle(cross)
        for header in cross[:most]:
            self.add(all_, header)
        return all_[:most] if len(all_) <= most else dice.sample(all_, most)

    def messages(self, most, dice):
        headers = self.headers(most, dice)
        out = []
        for interface, member, path in headers:
            out.append(plain(CALL, interface, member, path))
            if interface:
                out.append(plain(SIGNAL, interface, member, path))
            if interface and interface != PEER:
                out.append(plain(SIGNAL, interface, member, path, broadcast=True))
        for requested in (True, False):
            for interface in [None] + self.interfaces[:3]:
                out.append(plain(RETURN, interface, requested=requested))
            for error in self.errors[:2] + ["com.example.Error"]:
                out.append(plain(ERROR, error=error, requested=requested))
        return out


# ---- users, made up where the system has none ----

def made_up(kind, names, dir_):
    """A copy of /etc/passwd or /etc/group with these names as well, put in its place."""
    path = pathlib.Path("/etc", kind)
    lines = path.read_text().splitlines()
    known = {line.split(":")[0]: int(line.split(":")[2]) for line in lines}
    for i, name in enumerate(sorted(set(names) - set(known))):
        if name.isdigit():
            continue
        known[name] = (61000 if kind == "passwd" else 62000) + i
        lines.append(f"{name}:x:{known[name]}:" + (f"{known[name]}:::" if kind == "passwd" else ""))
    copy = pathlib.Path(dir_, kind)
    copy.write_text("\n".join(lines) + "\n")
    copy.chmod(0o644)
    subprocess.run(["mount", "--bind", copy, path], check=True)
    return known


def id_of(name, known):
    return int(name) if name.isdigit() else known[name]


def cast(topics, uids, gids, most):
    """Who takes part: root, users with a policy of their own, members of groups, and neither."""
    anyone = uids[ANYONE]
    users = [User("root", 0, 0, (0,)), User("anyone", anyone, anyone, ())]
    for name in topics.groups[:most]:
        users.append(User("in " + name, anyone, anyone, (id_of(name, gids),)))
    for name in topics.users[:most]:
        if id_of(name, uids):
            users.append(User(name, id_of(name, uids), anyone, ()))
    if len(topics.groups) > 1:
        users.append(User("in all groups", anyone, anyone,
                          tuple(id_of(g, gids) for g in topics.groups)))
    return users


# ---- one daemon under one policy ----

class Bus:
    def __init__(self, daemon, config, dir_):
        self.path = os.path.join(dir_, "bus")
        self.log = open(os.path.join(dir_, "log"), "w+")
        conf = os.path.join(dir_, "bus.conf")
        pathlib.Path(conf).write_text(config.replace("@LISTEN@", "unix:path=" + self.path))
        env = {k: v for k, v in os.environ.items() if not k.startswith("DBUS_")}
        self.process = subprocess.Popen(
            [daemon, "--config-file=" + conf, "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE, stderr=self.log, env=env)
        if not self.process.stdout.readline():
            self.log.seek(0)
            sys.exit(f"{daemon} does not start: {self.log.read()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        os.unlink(self.path) if os.path.exists(self.path) else None


def config_of(base, files, free):
    """Each file by its own <include>: dbus-daemon reads a directory in no order."""
    includes = "".join(f"<include>{file}</include>" for file in files)
    rules = "" if not free else f"""<policy context="mandatory"><allow own="*"/><allow user="*"/>
        <allow send_interface="{OPEN}"/><allow receive_interface="{OPEN}"/></policy>"""
    return f"""<busconfig><type>system</type><listen>@LISTEN@</listen><auth>EXTERNAL</auth>
        <limit name="max_connections_per_user">10000</limit>
        <limit name="max_names_per_connection">10000</limit>
        {base}{includes}{rules}</busconfig>"""


# ---- questions; each answers with {cell: what the daemon did} ----

def ask_connect(bus, users):
    clients, cells = {}, {}
    for user in users:
        try:
            clients[user] = Client(bus.path, user)
            cells["connect", user.name] = "yes"
        except (Refused, ConnectionError):
            cells["connect", user.name] = "no"
    return clients, cells


def ask_own(clients, topics):
    names = []
    for name in topics.names:
        Topics.add(names, name)
        Topics.add(names, name + ".Below")
        if name.count(".") > 1:
            Topics.add(names, name.rpartition(".")[0])
    names = [n for n in names if NAME.fullmatch(n)] + [NOBODYS]
    cells = {}
    for user, client in clients.items():
        for name in names:
            body = string(name)
            kind, _, fields = client.ask("RequestName", "su", body + b"\0" * (-len(body) % 4 + 4))
            cells["own", user.name, name] = "yes" if kind == RETURN else fields[ERROR_NAME]
            if kind == RETURN:
                client.ask("ReleaseName", "s", body)
    return cells


def ask_bus(clients, headers):
    """Methods that do not exist: the one interesting answer is AccessDenied."""
    cells = {}
    bus_interfaces = ["", ".Introspectable", ".Properties", ".Peer", ".Monitoring", ".Debug.Stats",
                      ".Containers1"]
    asked = [(BUS + i, "NoSuchMethod", "/") for i in bus_interfaces]
    asked += [("org.freedesktop.systemd1.Activator", "ActivationFailure", "/org/freedesktop/DBus"),
              (BUS, "UpdateActivationEnvironment", "/"),
              (BUS, "UpdateActivationEnvironment", "/org/freedesktop/DBus")]
    for interface, member, path in asked + [h for h in headers if h[0]]:
        for user, client in clients.items():
            serial = client.send(CALL, {PATH: path, INTERFACE: interface, MEMBER: member,
                                        DESTINATION: BUS})
            _, _, fields = client.until(lambda m, s=serial: m[2].get(REPLY_SERIAL) == s)[-1]
            denied = fields.get(ERROR_NAME) == BUS + ".Error.AccessDenied"
            cells["bus", user.name, interface, member, path] = "no" if denied else "yes"
    return cells


class Stage:
    """Receivers with their names, and senders, on a bus where all may own all."""

    def __init__(self, bus, senders, receivers, names):
        self.senders = [Client(bus.path, user) for user in senders]
        self.receivers, self.labels = [], []
        for name in names:
            for user in receivers:
                self.add_receiver(bus, user, name)

    def add_receiver(self, bus, user, name):
        client = Client(bus.path, user)
        body = string(name)
        kind, _, fields = client.ask("RequestName", "su", body + b"\0" * (-len(body) % 4 + 4))
        if kind != RETURN:
            sys.exit(f"{name} cannot be owned: {fields}")
        client.ask("AddMatch", "s", string("type='signal'"))
        self.receivers.append(client)
        self.labels.append(f"{user.name}/{name}")


def ask_send(stage, messages):
    cells = {}
    for sender in stage.senders:
        asked = pending_calls(stage, sender, messages)
        sent = send_all(stage, sender, messages, asked)
        for r, receiver in enumerate(stage.receivers):
            got = {m[1] for m in receiver.until(
                lambda m: m[2].get(INTERFACE) == OPEN and m[2].get(MEMBER) == "Mark")
                if m[2].get(SENDER) == sender.unique}
            for serial, (i, to) in sent.items():
                if to is None or to == r:
                    cells["send", sender.user.name, stage.labels[r], messages[i]] = (
                        "yes" if serial in got else "no")
        drain(sender)
    return cells


def pending_calls(stage, sender, messages):
    """Each receiver calls the sender once for each answer that is to be a wanted one."""
    wanted = [i for i, m in enumerate(messages) if m.requested]
    asked = {}
    for r, receiver in enumerate(stage.receivers):
        for i in wanted:
            asked[r, i] = receiver.send(CALL, {PATH: "/", INTERFACE: OPEN, MEMBER: "Call",
                                               DESTINATION: sender.unique})
    for _ in asked:
        sender.until(lambda m: m[2].get(INTERFACE) == OPEN)
    return asked


def send_all(stage, sender, messages, asked):
    """{serial: (number of message, number of receiver, or None for all)}"""
    sent = {}
    for i, m in enumerate(messages):
        fields = {PATH: m.path, INTERFACE: m.interface, MEMBER: m.member, ERROR_NAME: m.error}
        flags = NO_REPLY | NO_START
        if m.broadcast:
            sent[sender.send(m.kind, fields, flags)] = (i, None)
            continue
        for r, receiver in enumerate(stage.receivers):
            fields[DESTINATION] = receiver.unique
            if m.kind in (RETURN, ERROR):
                fields[REPLY_SERIAL] = asked.get((r, i), 0x7fffffff)
            sent[sender.send(m.kind, fields, flags)] = (i, r)
    for receiver in stage.receivers:
        sender.send(SIGNAL, {PATH: "/", INTERFACE: OPEN, MEMBER: "Mark",
                             DESTINATION: receiver.unique})
    return sent


def drain(client):
    """Refusals that came back."""
    client.ask("GetId")


# ---- the whole ----

class Matrix:
    def __init__(self, options, base, uids, gids):
        self.options, self.base, self.uids, self.gids = options, base, uids, gids
        self.cells = collections.Counter()
        self.yes = self.different = self.intended = 0

    def both(self, config, ask):
        answers = []
        for daemon in (self.options.reference, self.options.daemon):
            with tempfile.TemporaryDirectory(prefix="policy-matrix.") as dir_:
                os.chmod(dir_, 0o755)
                with Bus(daemon, config, dir_) as bus:
                    answers.append(ask(bus))
        return answers

    def compare(self, label, answers):
        theirs, ours = answers
        if theirs.keys() != ours.keys():
            odd = sorted(map(str, theirs.keys() ^ ours.keys()))
            sys.exit(f"{label}: not the same questions: {odd[:5]}")
        for cell, verdict in theirs.items():
            self.cells[cell[0]] += 1
            self.yes += verdict == "yes"
            if verdict == ours[cell]:
                continue
            if self.is_intended(cell, verdict):
                self.intended += 1
                continue
            self.different += 1
            if self.different <= DIFFERENCES_SHOWN:
                print(f"DIFFERENT {label}: {' '.join(show(p) for p in cell)}: "
                      f"the reference says {verdict}, we say {ours[cell]}", flush=True)

    @staticmethod
    def is_intended(cell, verdict):
        """An answer that nobody waits for is dropped, whatever policy says (README)."""
        return (cell[0] == "send" and cell[3].kind in (RETURN, ERROR) and
                not cell[3].requested and verdict == "yes")

    def run(self, label, files, n_names, n_headers):
        dice = random.Random(label)
        topics = Topics(files)
        users = cast(topics, self.uids, self.gids, 4)
        names = [n for n in topics.names if NAME.fullmatch(n)]
        if len(names) > n_names:
            names = dice.sample(names, n_names)
        messages = topics.messages(n_headers, dice)
        headers = topics.headers(n_headers, dice)

        def rights(bus):
            clients, cells = ask_connect(bus, users)
            cells.update(ask_own(clients, topics))
            cells.update(ask_bus(clients, headers))
            return cells

        def sending(bus):
            stage = Stage(bus, users, [users[0], users[1]], names + [NOBODYS])
            return ask_send(stage, messages)

        self.compare(label, self.both(config_of(self.base, files, False), rights))
        self.compare(label, self.both(config_of(self.base, files, True), sending))


def show(part):
    if not isinstance(part, Message):
        return str(part)
    words = [TYPES[part.kind]]
    if part.kind in (RETURN, ERROR):
        words.append("wanted" if part.requested else "unwanted")
    words += ["broadcast"] if part.broadcast else []
    return "[" + " ".join(words + [str(p) for p in part[1:5] if p]) + "]"


def enter_namespace(topics, dir_):
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):
        sys.exit("policy-matrix: no mount namespace: " + os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    return made_up("passwd", topics.users + [ANYONE], dir_), made_up("group", topics.groups, dir_)


def policy_files(roots):
    files = []
    for root in roots:
        path = pathlib.Path(root).resolve()
        files += [path] if path.is_file() else path.rglob("*.conf")
    good = []
    for file in sorted(files):
        try:
            xml.parse(file)
            good.append(str(file))
        except (xml.ParseError, OSError) as e:
            print(f"{file}: left out: {e}")
    return good


def main():
    parser = argparse.ArgumentParser(description="ask two daemons the same about policy files")
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--reference", default="/usr/bin/dbus-daemon")
    parser.add_argument("--quick", action="store_true", help="fewer messages")
    parser.add_argument("root", nargs="+", help="policy file, or a directory of such")
    options = parser.parse_args()
    started = time.monotonic()
    if os.geteuid():
        print("policy-matrix: skipped: needs root")
        sys.exit(77)
    files = policy_files(options.root)
    base = "\n".join(re.findall(r"<policy .*?</policy>", pathlib.Path(SYSTEM_CONF).read_text(),
                                re.DOTALL))
    n_names, n_headers = (2, 12) if options.quick else (6, 60)
    with tempfile.TemporaryDirectory(prefix="policy-matrix.") as dir_:
        os.chmod(dir_, 0o755)
        uids, gids = enter_namespace(Topics(files), dir_)
        matrix = Matrix(options, base, uids, gids)
        for file in files:
            matrix.run(os.path.basename(file), [file], n_names, n_headers)
        matrix.run("all files", files, *((4, 20) if options.quick else (25, 150)))
        subprocess.run(["umount", "/etc/passwd", "/etc/group"], check=False)
    each = ", ".join(f"{kind} {n}" for kind, n in matrix.cells.items())
    print(f"policy-matrix: {len(files)} files, {sum(matrix.cells.values())} cells ({each}), "
          f"{matrix.yes} allowed, {matrix.intended} replies that nobody waits for are dropped, "
          f"{time.monotonic() - started:.0f} s")
    print(f"policy-matrix: {matrix.different} cells differ")
    sys.exit(1 if matrix.different else 0)


if __name__ == "__main__":
    main()
