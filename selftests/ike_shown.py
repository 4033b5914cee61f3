#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""What the tool says of a device that an IKE daemon keys: whose keys they are,
what cannot be taken and why, and what happens to it."""

from libbound import *

LISTED = 32     # of what a device cannot take, at least

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = [Bound(a, b, link, n=n, encap=encap, family=family)
        for n, (encap, family) in enumerate((("udp", 4), ("esp", 6)))]
hand = Tunnel(a, b, link, n=7, dev="bh1", peer="hand", far="bhsec")
a.ip(made[0].device_lines("a") + hand.device_lines("a"))
a.bhsec("set bh0 if-id 42\n" + hand.peer_lines("a"))
a.ip("".join(t.near_state_lines() + t.near_policy_lines() for t in made))
for t in made:
    t.adopted()

PLACE = {"src": link.a4, "dst": link.b4}
BEGIN = f"xfrm state add src {link.a4} dst {link.b4} proto esp"


def lines_with(word, *words):
    """The lines of the text that begin so, each with a blank behind it."""
    return [f"{line.strip()} " for line in unwrapped(a.cli("show", *words).stdout)
            if re.match(rf" *{word}\b", line)]


@case("peers and SAs say who keys them, and the device which if-id")
def _():
    device = a.device("bh0")
    check_equal({name: device[name] for name in ("if_id", "shared", "refused",
                                                 "refusals")},
                {"if_id": 42, "shared": False, "refused": [], "refusals": 0},
                "device")
    for t, peer in zip(made, device["peers"]):
        check_equal((peer["name"], peer["origin"], peer["reqid"],
                     peer["endpoint"].removesuffix(f":{ESP_PORT}").strip("[]")),
                    (f"ike-{t.reqid}", "ike", t.reqid, t.b_outer), "peer")
        check_equal({(sa["direction"], sa["spi"], sa["origin"])
                     for sa in peer["sas"]},
                    {("in", t.in_.spi, "ike"), ("out", t.out.spi, "ike")}, "SAs")


@case("text says so, too")
def _():
    line, = lines_with("bh0", "bh0")
    check(" if-id 42 " in line and "shared" not in line
          and "refus" not in line, line)
    for t in made:
        line, = lines_with(f"peer {t.peer}")
        check(line.startswith(f"peer {t.peer} origin ike reqid {t.reqid} "
                              f"endpoint {t.endpoint('b')} "), line)
        for line in lines_with("(in|out)", "bh0", "peer", t.peer):
            check(" origin ike " in line, line)


@case("of what is keyed by hand, text says nothing new and JSON that it is")
def _():
    text = a.cli("show", "bh1").stdout
    check(not re.search("origin|reqid|if-id|shared|refus|identity", text), text)
    device = a.device("bh1")
    check_equal({name: device[name] for name in ("if_id", "shared", "refused",
                                                 "refusals")},
                {"if_id": None, "shared": False, "refused": [], "refusals": 0},
                "device")
    peer, = device["peers"]
    check_equal((peer["origin"], [sa["origin"] for sa in peer["sas"]]),
                ("hand", ["hand", "hand"]), "origins")
    check(not {"reqid", "identity"} & peer.keys(), peer)


@case("an if-id that is shared says so")
def _():
    a.ip("link add bh2 type bhsec\nlink add x9 type xfrm if_id 9\n")
    check_equal(a.cli("set", "bh2", "if-id", 9, check=False).returncode, 1,
                "exit status")
    a.bhsec("set bh2 if-id 9 shared\n")
    line, = lines_with("bh2", "bh2")
    check(" if-id 9 shared on " in line, line)
    check(a.device("bh2")["shared"], "JSON says no")
    a.ip("link del bh2\nlink del x9\n")


# What cannot be taken: {SPI, None for a policy: (its reqid, the line for ip)}

KEY = f"0x{secrets.token_hex(20)} 128"
WRONG = {
    0x5001: (77, f"{BEGIN} spi 0x5001 reqid 77 mode transport "
                 f"aead rfc4106(gcm(aes)) {KEY} if_id 42\n"),
    0x5002: (78, f"{BEGIN} spi 0x5002 reqid 78 mode tunnel "
                 f"enc cbc(des3_ede) 0x{secrets.token_hex(24)} "
                 f"auth-trunc hmac(sha1) 0x{secrets.token_hex(20)} 96 if_id 42\n"),
    None: (79, "xfrm policy add src 10.9.0.0/24 dst 10.8.0.0/24 proto tcp "
               f"dir out if_id 42 tmpl src {link.a4} dst {link.b4} proto esp "
               "reqid 79 mode transport\n"),
}


def forget(spis):
    a.ip("".join(f"xfrm state delete src {link.a4} dst {link.b4} proto esp "
                 f"spi {spi:#x}\n" for spi in spis if spi))


def refused():
    return {entry["spi"]: entry for entry in a.device("bh0")["refused"]}


@case("what cannot be taken is listed with the reason, in JSON and in text")
def _():
    a.ip("".join(line for _, line in WRONG.values()))
    wait_for(lambda: len(refused()) == len(WRONG), what=refused)
    check_equal({spi: {**entry, "reason": None} for spi, entry
                 in refused().items()},
                {spi: {"spi": spi, "reqid": reqid, **PLACE, "reason": None}
                 for spi, (reqid, _) in WRONG.items()}, "refused")
    check_equal(a.device("bh0")["refusals"], len(WRONG), "how many")
    check_equal(set(lines_with("refused", "bh0")), {
        f"refused {'policy' if spi is None else f'spi {spi:#x}'} "
        f"reqid {entry['reqid']} {link.a4} > {link.b4} "
        f"reason {entry['reason']} "
        for spi, entry in refused().items()}, "text")
    line, = lines_with("bh0", "bh0")
    check(f" refusals {len(WRONG)} " in line, line)
    forget(WRONG)
    a.ip("xfrm policy delete src 10.9.0.0/24 dst 10.8.0.0/24 proto tcp dir out "
         "if_id 42\n")
    wait_for(lambda: not refused(), what=refused)
    check(not lines_with("refused"), "text still lists them")


@case("of many that cannot be taken some are listed, and all are counted")
def _():
    spis = range(0x6000, 0x6000 + 3 * LISTED)
    a.ip("".join(f"{BEGIN} spi {spi:#x} reqid {spi} mode transport "
                 f"aead rfc4106(gcm(aes)) {KEY} if_id 42\n" for spi in spis))
    wait_for(lambda: a.device("bh0")["refusals"] == len(spis), what=refused)
    seen = refused()
    check(LISTED <= len(seen) <= len(spis) and seen.keys() <= set(spis),
          f"{len(seen)} are listed")
    line, = lines_with("bh0", "bh0")
    check(f" refusals {len(spis)} " in line, line)
    check_equal(len(lines_with("refused", "bh0")), len(seen), "lines of text")
    forget(spis)
    wait_for(lambda: not a.device("bh0")["refusals"], what=refused)


# What happens

class Told:
    """`bhsec monitor`: its lines."""

    def __init__(self):
        self.lines = []
        self.process = a.popen(["bhsec", "monitor"], text=True,
                               stdout=subprocess.PIPE)
        wait_for(lambda: Monitor.subscribed(self.process, a),
                 what="the monitor's start")
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self, words):
        wait_for(lambda: any(words in line for line in self.lines),
                 what=lambda: f"{words} in {self.lines}")


@case("monitor tells what is adopted, released and refused, and why")
def _():
    events, text, t = Monitor(a), Told(), made[0]
    spare = t.new_sa()
    line = spare.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap)
    a.ip(line.replace("\n", " if_id 42\n"))
    event, = events.wait(spare.spi, "adopted")
    check_equal([event[word] for word in ("device", "peer", "direction")],
                ["bh0", t.peer, "out"], "adopted")
    text.wait(f" adopted bh0 peer {t.peer} out spi {spare.spi:#x}")
    forget([spare.spi])
    events.wait(spare.spi, "released")
    text.wait(f" released bh0 peer {t.peer} out spi {spare.spi:#x}")
    a.ip(WRONG[0x5001][1])
    event, = events.wait(0x5001, "refused")
    check_equal(event["device"], "bh0", "refused")
    check("tunnel mode" in event["reason"], event)
    text.wait(" refused bh0 spi 0x5001 ")
    text.wait(f" reason {event['reason']}")
    forget([0x5001])


@case("what a daemon made is not changed by hand, in a sentence")
def _():
    t = made[0]
    key = secrets.token_hex(36)
    for line in (f"peer set bh0 {t.peer} selectors 10.9.0.0/16",
                 f"peer del bh0 {t.peer}",
                 f"sa add bh0 {t.peer} in spi 0x777 key {key}",
                 f"sa del bh0 {t.peer} out spi {t.out.spi}",
                 "peer add bh0 ike-99"):
        result = a.bhsec(line + "\n", check=False)
        check_equal(result.returncode, 1, f"exit status of {line}")
        check_equal(result.stderr.count("\n"), 1, f"lines: {result.stderr}")


@case("without its if-id a device is as before, and lists nothing")
def _():
    a.ip(WRONG[0x5001][1])
    wait_for(refused, what="a refusal")
    a.bhsec("set bh0 if-id 0\n")
    device = wait_for(lambda: not (d := a.device("bh0"))["peers"] and d)
    check_equal([device["if_id"], device["refused"]], [None, []], "device")
    text = a.cli("show", "bh0").stdout
    check(not re.search("if-id|refus", text), text)
    forget([0x5001])


main()
