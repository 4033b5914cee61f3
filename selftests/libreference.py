# SPDX-License-Identifier: GPL-2.0
"""The tables of userspace/doc/counters.md, out of what counts and tells: the netlink
family's description, the tool's advice, and the priorities of the journal.

They stand between <!-- begin NAME --> and <!-- end NAME -->.
"""

import re

import yaml

WAYS = {"rx": "delivered", "tx": "sealed and sent"}
LOST = "`monitor` was too slow for what came: ask `bhsec show`"


def word(name):
    """As the tool prints it."""
    return name.replace("-", "_")


def sentence(doc):
    """In one line, as part of a row."""
    doc = " ".join(doc.split()).rstrip(".")
    return doc if doc[1:2].isupper() else doc[:1].lower() + doc[1:]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def docs_of(listed):
    """{word: what is said of it}, which is nothing where a name says it all."""
    return {word(one if isinstance(one, str) else one["name"]):
            sentence("" if isinstance(one, str) else one.get("doc", ""))
            for one in listed
            if isinstance(one, str) or one.get("type") != "pad"}


class Reference:
    """What the sources say, which are read from the tool's and the module's."""

    def __init__(self, kmod, userspace):
        def read(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
        self.family = yaml.safe_load(read(f"{kmod}/bhsec.yaml"))
        self.advice = {
            name.lower(): " ".join(re.findall(r'"(.*?)"', said))
            for name, said in re.findall(
                r"\[BHSEC_A_STATS_(\w+)\] =((?:\s*\".*\")+),",
                read(f"{userspace}/advice.c"))}
        self.priority = dict(re.findall(
            r'\{ "(\w+)", LOG_(\w+), "[0-9a-f]+" \}',
            read(f"{userspace}/journal.c")))
        # what becomes of the configuration, and the operation that tells it
        self.changes = {event: command.lower().replace("_", "-")
                        for command, event in re.findall(
            r'\[BHSEC_CMD_(\w+_NTF)\] = \{ "(\w+)"',
            read(f"{userspace}/monitor.c"))}

    def of(self, kind, name, within):
        one, = (one for one in self.family[kind] if one["name"] == name)
        return docs_of(one[within])

    def drops(self):
        stats = self.of("attribute-sets", "stats", "attributes")
        return table(["counter", "why it was dropped", "what `show --why` says"], [
            [f"`{name}`", re.sub("^(dropped|discarded), ", "", said),
             self.advice[name]]
            for name, said in stats.items() if name in self.advice])

    def traffic(self):
        stats = self.of("attribute-sets", "stats", "attributes")
        return table(["counter", "what"], [
            [f"`{name}`", said or f"inner packets {WAYS[name[:2]]}"]
            for name, said in stats.items() if name not in self.advice])

    def icmp(self):
        return table(["counter", "what the error says"], [
            [f"`icmp_{name}`", said] for name, said in
            self.of("attribute-sets", "icmp", "attributes").items()])

    def events(self):
        """Those of the module, what is configured, and that some are lost."""
        states = self.of("definitions", "sa-state", "entries")
        operations = docs_of(self.family["operations"]["list"])
        told = {name: said or states.get(name, f"a packet was dropped, and "
                                         f"counted as `{name}`")
                for name, said in
                self.of("definitions", "event", "entries").items()}
        told |= {event: operations[word(command)]
                 for event, command in self.changes.items()}
        told["lost"] = LOST
        return table(["event", "priority", "when"], [
            [f"`{name}`", self.priority[name].lower(), said]
            for name, said in told.items()])

    def renewed(self, text):
        """A document with these tables as they are to be."""
        for name in "traffic", "drops", "icmp", "events":
            text, count = re.subn(
                rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)",
                lambda mark, name=name: mark[1] + getattr(self, name)() + mark[2],
                text, flags=re.S)
            assert count == 1, f"there is no place for {name}"
        return text
