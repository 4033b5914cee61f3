#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec monitor --journal: systemd's journal has each event in fields of its own,
and says so where there is none; its service does that, confined as it is."""

import glob
import shutil
import signal

from libbad import *
from libbound import *
from libnetlink import many_changes
from libunits import *

JOURNALD = "/lib/systemd/systemd-journald"
LISTENER = "/run/systemd/journal/socket"
FILES = "/run/log/journal"
WARNING, NOTICE, INFO = "4", "5", "6"
CAP_NET_ADMIN, DYNAMIC_UIDS = 12, 61184
CHANGES = ("device_set peer_add peer_set peer_del sa_add sa_set sa_del").split()
DAEMON_PORT = 4510
FLOOD = 200     # in less than a second, of which 20 are told
# Exposure by systemd-analyze, in tenths; most of it is for CAP_NET_ADMIN.
EXPOSED = 18

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
udp_sink(b)
made = tunnels(a, b, link, [{"encap": "udp", "family": 4},
                            {"encap": "esp", "family": 6}], far="bhsec")
bound = Bound(a, b, link, n=5, dev="bh1", port=DAEMON_PORT)
numbers = {t: itertools.count(3) for t in made}
# What is sent after a packet comes after it, where one CPU sends both.
os.sched_setaffinity(0, {0})


# Where there is no journal

def ends(*words):
    """The exit status and the sentence."""
    done = a.cli("monitor", *words, check=False, timeout=LIMIT)
    check(done.stdout == "" and done.stderr.count("\n") == 1, done)
    return done.returncode, done.stderr


@case("without a journal it ends with a sentence")
def _():
    check(not os.path.exists(LISTENER), "there is one")
    status, said = ends("--journal")
    check_equal(status, 1, said)
    check(f"no journal listens at {LISTENER}" in said, said)


@case("with one that has died, too")
def _():
    os.makedirs(os.path.dirname(LISTENER), exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(LISTENER)
    status, said = ends("--journal")
    os.unlink(LISTENER)
    check_equal(status, 1, said)
    check(f"no journal listens at {LISTENER}" in said, said)


@case("it goes with no other form")
def _():
    for words in (["-j", "--journal"], ["--journal", "--json"]):
        status, said = ends(*words)
        check_equal(status, 2, said)
        check("--journal" in said, said)


# Where there is one

class Journal:
    """systemd-journald by itself, and what it keeps of bhsec's."""

    def __init__(self):
        self.entries = []
        with open("/etc/machine-id", "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16) + "\n")
        self.start()
        reader = a.popen(["journalctl", "--follow", "--no-tail", "--all",
                          "--output=json", "--identifier=bhsec"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self.collect, args=[reader.stdout],
                         daemon=True).start()

    def start(self):
        self.process = a.popen([JOURNALD], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        wait_for(lambda: listens() and glob.glob(f"{FILES}/*/system.journal"),
                 LIMIT, "the journal")

    def collect(self, lines):
        for line in lines:
            self.entries.append(json.loads(line))

    def wait(self, count=1, **fields):
        """So many entries that have these fields, whatever case has made them."""
        wanted = {f"BHSEC_{name.upper()}": value for name, value in fields.items()}

        def found():
            return [entry for entry in list(self.entries)
                    if wanted.items() <= entry.items()]
        wait_for(lambda: len(found()) >= count, LIMIT,
                 lambda: f"{count} of {wanted} in {self.entries[-5:]}")
        return found()


def listens():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        return sock.connect_ex(LISTENER) == 0


class Writer:
    """`bhsec monitor --journal` in the tunnels' netns."""

    def __init__(self, **kw):
        kw.setdefault("stderr", subprocess.PIPE)
        self.process = a.popen(["bhsec", "monitor", "--journal"], text=True, **kw)
        wait_for(lambda: Monitor.subscribed(self.process, a), LIMIT,
                 "its start")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        check_equal(self.process.wait(PATIENCE), 0, "exit status")


def said_of_kinds():
    """{event: (priority, id)}, as the man page has it."""
    with open(f"{SOURCE['userspace']}/bhsec.8", encoding="utf-8") as file:
        rows = re.findall(r"^\.It (\w+) Ta (\w+) Ta ([0-9a-f]{32})$", file.read(),
                          re.M)
    number = {"warning": WARNING, "notice": NOTICE, "info": INFO}
    return {event: (number[word], name) for event, word, name in rows}


KINDS = said_of_kinds()


def fields(entry):
    """What is bhsec's own."""
    return {name.removeprefix("BHSEC_").lower(): value
            for name, value in entry.items() if name.startswith("BHSEC_")}


def check_kind(entry):
    event = entry["BHSEC_EVENT"]
    check_equal((entry["PRIORITY"], entry["MESSAGE_ID"]), KINDS[event],
                f"priority and id of {event}")
    check(entry["MESSAGE"].startswith(event), entry["MESSAGE"])
    check(entry["MESSAGE"].strip() == entry["MESSAGE"], "blanks around the message")


def check_entry(entry, **wanted):
    """It has these fields, and no other ones."""
    check_kind(entry)
    check_equal(fields(entry), wanted, "fields")


def of_sa(t, event, direction, seq):
    sa = t.in_ if direction == "in" else t.out
    return {"event": event, "device": t.dev, "peer": t.peer,
            "direction": direction, "spi": hex(sa.spi), "seq": str(seq)}


@case("each kind has a priority and an id of its own, by the man page as well")
def _():
    wanted = {name.replace("-", "_") for name in EVENTS} | {*CHANGES, "lost"}
    check_equal(KINDS.keys(), wanted, "kinds")
    check_equal(len({name for _, name in KINDS.values()}), len(KINDS), "ids")
    with open(f"{SOURCE['userspace']}/journal.c", encoding="utf-8") as file:
        rows = re.findall(r'\{ "(\w+)", LOG_(\w+), "(\w+)" \}', file.read())
    number = {"WARNING": WARNING, "NOTICE": NOTICE, "INFO": INFO}
    check_equal({event: (number[word], name) for event, word, name in rows}, KINDS,
                "what the tool has")
    audited_kinds = {name.replace("-", "_") for name in EVENTS[:8]} | {"exhausted"}
    for event in audited_kinds | {"refused", "expired", "lost"}:
        check_equal(KINDS[event][0], WARNING, event)


@case("a journal that runs by itself takes what a reader gets")
def _():
    global journal, writer
    journal = Journal()
    writer = Writer()


def of_a_peer(t):
    wire = Wire(t)
    for event, seq, esp, how in audited(t, numbers[t]):
        wire.send(esp, **how)
        entry, = journal.wait(peer=t.peer, seq=str(seq), event=event)
        check_entry(entry, **of_sa(t, event, "in", seq), src=t.b_outer,
                    dst=t.a_outer)
        check_equal(entry["MESSAGE"],
                    f"{event} {t.dev} peer {t.peer} in spi {t.in_.spi:#x} seq {seq} "
                    f"{t.b_outer} > {t.a_outer}", "message")
        check_equal(entry["PRIORITY"], WARNING, "priority")


def of_nobody(t):
    sa = t.new_sa()
    Wire(t).send(seal_packet(sa, 77, inner_of(t)))
    entry, = journal.wait(spi=hex(sa.spi))
    check_entry(entry, event="no_sa", spi=hex(sa.spi), seq="77", src=t.b_outer,
                dst=t.a_outer)


def of_the_path(t):
    about, kind = quoted(t, seq=7), (3, 3) if t.family == 4 else (1, 4)
    Wire(t).send_ip(icmp_error(t.b_outer, t.a_outer, kind, about))
    entry, = journal.wait(event="icmp_port", peer=t.peer)
    check_entry(entry, **of_sa(t, "icmp_port", "out", 7), src=t.a_outer,
                dst=t.b_outer, **{"from": t.b_outer})


for t in made:
    where = f"{t.encap} over IPv{t.family}"
    add_case(f"{where}: what RFC 4303 audits has SPI, number and addresses",
             of_a_peer, t)
    add_case(f"{where}: so has what belongs to no SA", of_nobody, t)
    add_case(f"{where}: an ICMP error says who sent it, too", of_the_path, t)


def send(t, count):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        for _ in range(count):
            try:
                sock.sendto(b"x", (t.b_inner4, SINK_PORT))
            except OSError:
                pass


@case("the ends of an SA's life are told with SPI and number")
def _():
    t = made[0]
    ends_ = {"soft": (Sa(), "soft-packets 2"), "expired": (Sa(), "hard-packets 3"),
             "exhausted": (Sa(esn=False, seq=(1 << 32) - 2), "")}
    for event, (sa, limit) in ends_.items():
        a.bhsec(sa.bhsec(t.dev, t.peer, "out", limit))
        send(t, 4)
        entry, = journal.wait(event=event)
        check_kind(entry)
        seen = fields(entry)
        t.out, old = sa, t.out
        wanted = of_sa(t, event, "out", seen["seq"])
        t.out = old
        check(wanted.items() <= seen.items() and int(seen["seq"]) > 0, seen)
        a.bhsec(f"sa del {t.dev} {t.peer} out spi {sa.spi:#x}\n")


def forged(t, seq):
    esp = seal_packet(t.in_, seq, inner_of(t))
    return with_bit(esp, 8 * len(esp) - 1)


@case("what is held back is told by its number")
def _():
    t = made[0]
    wire, before = Wire(t), len(journal.entries)
    seqs = [next(numbers[t]) for _ in range(FLOOD)]
    wrong = [forged(t, seq) for seq in seqs]

    def told():
        return [entry for entry in list(journal.entries)[before:]
                if entry.get("BHSEC_EVENT") == "auth"]

    def one_more():
        seqs.append(next(numbers[t]))
        wire.send(forged(t, seqs[-1]))
        return any("BHSEC_SUPPRESSED" in entry for entry in told())
    for esp in wrong:
        wire.send(esp)
    wait_for(one_more, LIMIT, "an entry that says so")
    entries = told()
    at = next(n for n, entry in enumerate(entries) if "BHSEC_SUPPRESSED" in entry)
    held = int(entries[at]["BHSEC_SUPPRESSED"])
    check(held > 0, "none was held back")
    check_equal(str(seqs[at + held]), entries[at]["BHSEC_SEQ"], "number")
    check(entries[at]["MESSAGE"].endswith(f" suppressed {held}"), entries[at])


def as_field(value):
    """JSON's value, as text has it; None has no field."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


# What JSON has in another form: SPIs are hexadecimal, and classes are ranges.
OTHERS = "time", "spi", "dscp", "dscp_ranges", "traffic_selectors", "fwmark"


@case("each change of what is configured is told, with what it is now")
def _():
    events, before = Monitor(a), len(journal.entries)
    sa, voice = Sa(), Sa()
    a.bhsec("set bh0 window 99 fwmark 7 local 192.0.2.1\n"
            "peer add bh0 p endpoint 192.0.2.9:4501 selectors "
            "10.9.0.0/16,fd09::/16 local-selectors 10.1.0.0/24\n"
            + sa.bhsec("bh0", "p", "out", "soft-packets 9")
            + "peer set bh0 p keepalive 7\n"
            + voice.bhsec("bh0", "p", "out", "dscp 46,0-7")
            + "peer del bh0 p\nset bh0 window 4096 fwmark 0 local 0.0.0.0\n")

    def seen():
        return [entry for entry in list(journal.entries)[before:]
                if entry["BHSEC_EVENT"] in CHANGES]
    wait_for(lambda: seen() and seen()[-1]["BHSEC_EVENT"] == "device_set"
             and len(seen()) > 1, LIMIT, lambda: f"the last one in {seen()}")
    wait_for(lambda: len(events.events) >= len(seen()), what="JSON")
    check_equal([entry["BHSEC_EVENT"] for entry in seen()],
                [event["event"] for event in events.events], "events")
    check_equal({entry["BHSEC_EVENT"] for entry in seen()}, set(CHANGES), "kinds")
    for entry, event in zip(seen(), events.events):
        check_kind(entry)
        check_equal(entry["PRIORITY"], INFO, "priority")
        own = fields(entry)
        for name, value in event.items():
            if name not in OTHERS and name in own:
                check_equal(own[name], as_field(value), name)
        missing = {name for name, value in event.items()
                   if value not in (None, False, 0, [], "hand")} - own.keys()
        check(missing <= set(OTHERS), f"{missing} are missing in {own}")
    check_equal(seen()[0]["BHSEC_FWMARK"], "0x7", "fwmark")
    added = next(entry for entry in seen() if entry["BHSEC_EVENT"] == "peer_add")
    check_equal(added["BHSEC_SELECTORS"], "10.9.0.0/16,fd09::/16", "selectors")
    spoken = next(entry for entry in seen()
                  if entry.get("BHSEC_SPI") == hex(voice.spi))
    check_equal(spoken["BHSEC_DSCP"], "0-7,46", "classes")
    for one in sa, voice:
        check(one.key.hex() not in json.dumps(journal.entries), "a key")


@case("what a daemon makes, ends and cannot make is told, and why not")
def _():
    a.ip(bound.device_lines("a"))
    bind(a, bound.dev, bound.if_id)
    a.encap_sockets(DAEMON_PORT)
    a.ip(bound.near_state_lines() + bound.near_policy_lines())
    bound.adopted()
    spare = bound.new_sa()
    a.ip(spare.xfrm(bound.a_outer, bound.b_outer, bound.reqid, bound.encap,
                    bound.port).replace("mode tunnel", "mode transport")
         .replace("\n", f" if_id {bound.if_id}\n"))
    entry, = journal.wait(event="refused")
    check_kind(entry)
    check_equal((entry["BHSEC_DEVICE"], entry["BHSEC_SPI"]),
                (bound.dev, hex(spare.spi)), "refused")
    check("tunnel mode" in entry["BHSEC_REASON"], entry)
    check(entry["MESSAGE"].endswith(f"reason {entry['BHSEC_REASON']}"), entry)
    a.ip(bound.near_state_ends())
    for event in "adopted", "released":
        for direction, sa in ("in", bound.in_), ("out", bound.out):
            entry, = journal.wait(event=event, spi=hex(sa.spi))
            check_kind(entry)
            check_equal((entry["BHSEC_PEER"], entry["BHSEC_DIRECTION"]),
                        (bound.peer, direction), event)


@case("a reader of standard output is none of its, SIGTERM ends it")
def _():
    global writer
    writer.end()
    writer = Writer(stdout=subprocess.PIPE)
    writer.process.stdout.close()
    of_nobody(made[0])
    check(writer.process.poll() is None, "it has ended")
    writer.end()


@case("a peer with as many selectors as there can be is told whole")
def _():
    one = Writer()
    many_changes(a.nl, 1)
    for event in "peer_add", "peer_set", "peer_del":
        entry, = journal.wait(event=event, peer="long")
        for name in "SELECTORS", "LOCAL_SELECTORS":
            check_equal(entry[f"BHSEC_{name}"].split(","),
                        [f"10.9.{n}.0/24" for n in range(256)], name)
    one.end()


@case("what was lost is told")
def _():
    slow = Writer()
    slow.process.send_signal(signal.SIGSTOP)
    # as large as they get: its buffer holds 8 MB
    many_changes(a.nl, 1000)
    slow.process.send_signal(signal.SIGCONT)
    entry, = journal.wait(event="lost")
    slow.process.kill()
    check_entry(entry, event="lost")
    check_equal(entry["MESSAGE"], "lost", "message")


@case("a journal that takes no more is told in a sentence, and ends it")
def _():
    last = Writer()
    journal.process.kill()
    journal.process.wait()
    Wire(made[0]).send(seal_packet(made[0].new_sa(), 1, inner_of(made[0])))
    check_equal(last.process.wait(LIMIT), 1, "exit status")
    said = last.process.stderr.read()
    check(said.count("\n") == 1 and "the journal takes no entry" in said, said)


# As a service

SERVICE = "bhsec-journal.service"


@case("systemd has nothing to say about the service, and it can do little")
def _():
    installed()
    _, said = analyze("verify", "--man=no", f"{UNITS}/{SERVICE}")
    check_equal([line for line in said.splitlines() if "bhsec" in line], [],
                "remarks")
    confined(SERVICE, EXPOSED)


def start_systemd():
    """With the two services that are needed, in the tunnels' netns; what else a
    host has is there by name only."""
    units = "/tmp/units"
    shutil.copytree(UNITS, units)
    for unit in "service", "socket":
        shutil.copy(f"/lib/systemd/system/systemd-journald.{unit}", units)
    for target in "sysinit", "basic", "shutdown":
        with open(f"{units}/{target}.target", "w", encoding="ascii") as file:
            file.write("[Unit]\nDefaultDependencies=no\n")
    with open(f"{units}/test.target", "w", encoding="ascii") as file:
        file.write("[Unit]\nDefaultDependencies=no\n"
                   f"Wants=systemd-journald.service {SERVICE}\n")
    a.popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--cgroup", "sh", "-c",
             "umount /sys/fs/cgroup; mount -t cgroup2 cgroup /sys/fs/cgroup && "
             "mount --make-rshared / && "
             "exec /lib/systemd/systemd --unit=test.target --log-target=console"],
            env=os.environ | {"SYSTEMD_UNIT_PATH": units, "container": "test"},
            stdin=subprocess.DEVNULL, stdout=open("/tmp/systemd.log", "wb"),
            stderr=subprocess.STDOUT)


def heard_of_change(nl):
    """An entry of a change that is made again and again until there is one."""
    def found():
        nl.do("dev-set", ifname="bh0", window=64)
        return [entry for entry in list(journal.entries)
                if entry.get("_SYSTEMD_UNIT") == SERVICE
                and entry.get("BHSEC_EVENT") == "device_set"]
    return wait_for(found, LIMIT, "an entry of the service's")[-1]


@case("systemd runs it with CAP_NET_ADMIN and nothing else, as nobody in particular")
def _():
    start_systemd()
    wait_for(listens, LIMIT, "the journal")
    entry = heard_of_change(a.nl)
    check_kind(entry)
    check_equal(int(entry["_CAP_EFFECTIVE"], 16), 1 << CAP_NET_ADMIN, "capabilities")
    check(int(entry["_UID"]) >= DYNAMIC_UIDS, entry["_UID"])


@case("it comes back when the module has been unloaded, and loads it")
def _():
    subprocess.run(["rmmod", "bhsec"], check=True, timeout=LIMIT)
    wait_for(lambda: os.path.isdir("/sys/module/bhsec"), LIMIT, "the module")
    journal.entries.clear()
    a.ip("link add bh0 type bhsec\n")
    heard_of_change(Genl(a))


tell_end_of("/tmp/systemd.log")
main()
