# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lambus-gdb.py: the core's structs as what they mean
#
# Usage, in gdb:  source tools/gdb/lambus-gdb.py
#                 print *peer         clock, queue, and every entry of the inbox in order
#                 print tx            state, stamp, and where each receiver stands
#
# An entry reads SENDER#SEQ@STAMP, with "staged" while it holds back all behind it.

import gdb
import gdb.printing

TX_STATES = ("open", "staging", "syncing", "settling", "done")


def number(value):
    """The value of a field, atomic or not."""
    return int(value.cast(gdb.lookup_type("unsigned long")))


def linked(head, type_name, member):
    """The structs in a cds_list, in order."""
    struct = gdb.lookup_type("struct " + type_name)
    offset = next(f.bitpos // 8 for f in struct.fields() if f.name == member)
    at = head["next"]
    while at and at != head.address:
        yield (at.cast(gdb.lookup_type("char").pointer()) - offset).cast(struct.pointer()).dereference()
        at = at["next"]


class Printer:
    def __init__(self, value):
        self.value = value


class EntryPrinter(Printer):
    def to_string(self):
        e = self.value
        stamp = number(e["stamp"])
        text = "%d#%d@%d" % (number(e["sender"]), number(e["seq"]), stamp)
        text += " staged" if stamp & 1 else " in no inbox" if stamp == 0 else ""
        text += ", %d bytes" % number(e["bytes"])
        if number(e["fds"]):
            text += ", %d fds" % number(e["fds"])
        return text + (", charged" if e["charge"]["share"] else "")


class InboxPrinter(Printer):
    def to_string(self):
        return "inbox%s: %d staged, %d committed" % (
            " (closed)" if self.value["closed"] else "",
            number(self.value["n_staged"]), number(self.value["n_committed"]))

    def children(self):
        for i, entry in enumerate(linked(self.value["entries"], "inbox_entry", "link")):
            yield "[%d]" % i, entry


class PeerPrinter(Printer):
    def to_string(self):
        p = self.value
        return "peer %d of uid %d: clock %d, seq %d, %d bytes and %d fds queued, %d references" % (
            number(p["id"]), number(p["account"]["uid"]) if p["account"] else -1,
            number(p["clock"]), number(p["seq"]), number(p["queued_bytes"]),
            number(p["queued_fds"]), number(p["refs"]))

    def children(self):
        yield "inbox", self.value["data"]["inbox"]


class TxPrinter(Printer):
    def to_string(self):
        t = self.value
        state = TX_STATES[number(t["state"])]
        text = "tx of peer %d: %s, %d receivers" % (number(t["from"]["id"]), state, number(t["n"]))
        if state == "open":
            return text
        return text + ", floor %d, stamp %d, next %d" % (
            number(t["floor"]), number(t["stamp"]), number(t["at"]))

    def children(self):
        t = self.value
        slots = t["many"] if t["many"] else t["few"]
        for i in range(number(t["n"])):
            slot = slots[i]
            entry = EntryPrinter(slot["entry"].dereference()).to_string() if slot["entry"] else "settled"
            yield "[%d]" % i, "peer %d: %s" % (number(slot["to"]["id"]), entry)


printers = gdb.printing.RegexpCollectionPrettyPrinter("lambus")
for name, printer in (("inbox_entry", EntryPrinter), ("inbox", InboxPrinter), ("peer", PeerPrinter),
                      ("tx", TxPrinter)):
    printers.add_printer(name, "^%s$" % name, printer)
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)
