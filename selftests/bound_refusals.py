#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What a bound device does not take it says, with the reason, as long as it is
there; and what is not its own it leaves alone."""

from libbound import *

a, b, link, made = bound_pair()
KINDS = first_of_kind(made)
ears = Ears(a)


@case("what a daemon made it alone changes")
def _():
    t = made[0]
    sentence = "an IKE daemon keys this peer"
    for request, attributes in (
            ("peer-set", {"name": t.peer, "keepalive": 5}),
            ("peer-del", {"name": t.peer}),
            ("sa-add", {"peer": t.peer, "direction": 0, "spi": 0x777,
                        "cipher": 0, "key": bytes(20)}),
            ("sa-del", {"peer": t.peer, "direction": 1, "spi": t.out.spi})):
        try:
            a.nl.do(request, ifname=t.dev, **attributes)
            raise Failure(f"{request} was done")
        except OSError as error:
            check(sentence in str(error), f"{request}: {error}")
    t.works()


@case("what is taken is told, and what is let go of; what is refused has no peer")
def _():
    t, sa = KINDS["udp", 4], Sa()
    way = f"src {t.b_outer} dst {t.a_outer} proto esp spi {sa.spi:#x}"
    rest = "mode tunnel if_id 42 encap espinudp 4500 4500 0.0.0.0"
    ears.clear()
    a.ip(f"xfrm state add {way} reqid {t.reqid} {rest} {sa.xfrm_cipher()}\n")
    t.adopted(3)
    told = wait_for(lambda: ears.of("adopted"), what="its beginning")
    a.ip(f"xfrm state delete {way}\n")
    t.adopted(2)
    told += wait_for(lambda: ears.of("released"), what="its end")
    check_equal([(event["spi"], event["peer"], event["direction"])
                 for event in told], [(sa.spi, t.peer, 0)] * 2, "events")
    a.ip("link add bh1 type bhsec\n")
    a.bhsec("peer add bh1 rival encap esp\n" + sa.bhsec("bh1", "rival", "in"))
    a.ip(f"xfrm state add {way} reqid 778 {rest} {sa.xfrm_cipher()}\n")
    wait_for(lambda: {spi for spi, _ in not_taken(a)} == {sa.spi})
    check(not [peer for peer in a.nl.dump("peer-get", ifname="bh0")
               if peer.get("reqid") == 778], "a refused state has made a peer")
    a.ip(f"xfrm state delete {way}\nlink del bh1\n")
    wait_for(lambda: not not_taken(a) or None)


@case("an SPI of a hand-made SA is refused, and taken once that is gone")
def _():
    t = KINDS["udp", 4]
    a.ip("link add bh1 type bhsec\n")
    for dev in "bh0", "bh1":    # its own device's, and another one's
        rival = Sa()
        a.bhsec(f"peer add {dev} rival encap esp\n"
                + rival.bhsec(dev, "rival", "in"))
        way = f"src {t.b_outer} dst {t.a_outer} proto esp spi {rival.spi:#x}"
        wanted = {(rival.spi, "another inbound SA has this SPI")}
        a.ip(f"xfrm state add {way} reqid {t.reqid} mode tunnel if_id 42 "
             f"{Sa().xfrm_cipher()} encap espinudp 4500 4500 0.0.0.0\n")
        wait_for(lambda: not_taken(a) == wanted, what=lambda: f"{not_taken(a)}")
        a.bhsec(f"sa del {dev} rival in spi {rival.spi:#x}\n")
        t.adopted(3)
        wait_for(lambda: not not_taken(a) or None)
        a.ip(f"xfrm state delete {way}\n")
        t.adopted(2)
        a.bhsec(f"peer del {dev} rival\n")
    a.ip("link del bh1\n")


@case("a prefix that another peer gives up is taken")
def _():
    t = KINDS["udp", 4]
    a.bhsec("peer add bh0 rival selectors 10.77.0.0/24\n")
    policy = "src 0.0.0.0/0 dst 10.77.0.0/24 dir out if_id 42"
    a.ip(f"xfrm policy add {policy} tmpl src {t.a_outer} dst {t.b_outer} "
         "proto esp reqid 777 mode tunnel\n")
    wait_for(lambda: not_taken(a))
    a.bhsec("peer set bh0 rival selectors 10.78.0.0/24\n")
    wait_for(lambda: [p for p in a.nl.dump("peer-get", ifname="bh0")
                      if p.get("reqid") == 777])
    wait_for(lambda: not not_taken(a) or None)
    a.ip(f"xfrm policy delete {policy}\n")
    a.bhsec("peer del bh0 rival\n")
    t.works()


@case("of a child's prefixes the one that somebody has is refused, and waits")
def _():
    t = KINDS["udp", 4]
    a.bhsec("peer add bh0 rival selectors 10.77.0.0/24\n")
    policies = [f"src 0.0.0.0/0 dst 10.{n}.0.0/24 dir out if_id 42"
                for n in (77, 79)]
    a.ip("".join(f"xfrm policy add {policy} tmpl src {t.a_outer} "
                 f"dst {t.b_outer} proto esp reqid 777 mode tunnel\n"
                 for policy in policies))

    def prefixes():
        return [p["addr"][1] for peer in a.nl.dump("peer-get", ifname="bh0")
                if peer.get("reqid") == 777
                for p in peer["selectors"].get("prefix", [])]
    wait_for(lambda: prefixes() == [79])
    check_equal(not_taken(a), {(None, "another peer has the same selector")},
                "refused")
    a.bhsec("peer del bh0 rival\n")
    wait_for(lambda: sorted(prefixes()) == [77, 79])
    wait_for(lambda: not not_taken(a) or None)
    a.ip("".join(f"xfrm policy delete {policy}\n" for policy in policies))
    t.works()


@case("two policies that differ in a device alone are no peer's")
def _():
    """One would take the other's place at each look, for ever."""
    t = KINDS["udp", 4]
    one, other = (f"src 0.0.0.0/0 dst 10.80.0.0/24 {dev} dir out if_id 42"
                  for dev in ("", "dev lo"))
    tmpl = f"tmpl src {t.a_outer} dst {t.b_outer} proto esp mode tunnel reqid"
    a.ip(f"xfrm policy add {one} {tmpl} 778\n"
         f"xfrm policy add {other} {tmpl} 779\n")
    wanted = {(None, "the policy's selector names a device or a user")}
    wait_for(lambda: not_taken(a) == wanted, what=lambda: f"{not_taken(a)}")
    # An update is the same policy, whatever it is for now.
    a.ip(f"xfrm policy update {other} {tmpl} 780\n")
    device, = wait_for(lambda: [
        d for d in a.nl.do("dev-get", ifname="bh0")
        if [r["reqid"] for r in d.get("refused", [])] == [780]])
    check_equal(device["refusals"], 1, "refusals")
    a.ip(f"xfrm policy delete {other}\n")
    wait_for(lambda: not not_taken(a) or None)
    a.ip(f"xfrm policy delete {one}\n")


@case("a prefix of a peer by hand is refused, and taken once that is gone")
def _():
    t = KINDS["udp", 4]
    a.bhsec("peer add bh0 rival selectors 10.77.0.0/24\n")
    line = (f"xfrm policy add src 0.0.0.0/0 dst 10.77.0.0/24 dir out if_id 42 "
            f"tmpl src {t.a_outer} dst {t.b_outer} proto esp reqid 777 "
            "mode tunnel\n")
    ears.clear()
    a.ip(line)
    wanted = {(None, "another peer has the same selector")}
    wait_for(lambda: not_taken(a) == wanted,
             what=lambda: f"{not_taken(a)}")
    check_equal(len(ears.of("refused")), 1, "events")
    check(not [p for p in a.nl.dump("peer-get", ifname="bh0")
               if p.get("reqid") == 777], "a peer is left")
    a.bhsec("peer del bh0 rival\n")
    wait_for(lambda: [p for p in a.nl.dump("peer-get", ifname="bh0")
                      if p.get("reqid") == 777])
    wait_for(lambda: not not_taken(a) or None)
    a.ip("xfrm policy delete src 0.0.0.0/0 dst 10.77.0.0/24 dir out if_id 42\n")
    t.works()


@case("what is refused is told of once, however often all is looked at")
def _():
    src, dst = link.a4, link.b4
    a.ip(f"xfrm state add src {src} dst {dst} proto esp spi 0x5100 reqid 79 "
         "if_id 42 mode transport aead rfc4106(gcm(aes)) "
         f"0x{secrets.token_hex(20)} 128\n")
    wait_for(lambda: ears.of("refused"))
    ears.clear()
    for _ in range(3):
        # A flush of what is none of bhsec's has everything looked at.
        a.ip("xfrm state flush proto ah\n")
    made[0].works()
    check_equal(ears.of("refused"), [], "events")
    check_equal(not_taken(a), {(0x5100, "the state is not in tunnel mode")},
                "refused")
    a.ip(f"xfrm state delete src {src} dst {dst} proto esp spi 0x5100\n")
    wait_for(lambda: not not_taken(a) or None)


@case("more prefixes than a peer can have are refused, the others are its own")
def _():
    lines = "".join(
        f"xfrm policy add src 0.0.0.0/0 dst 10.78.{n >> 8}.{n & 255}/32 "
        f"dir out if_id 42 tmpl src {link.a4} dst {link.b4} proto esp "
        "reqid 900 mode tunnel\n" for n in range(257))
    a.ip(lines)
    wait_for(lambda: not_taken(a) == {
        (None, "a peer has at most 256 selectors of a kind")},
        what=lambda: f"{not_taken(a)}")
    peer, = [p for p in a.nl.dump("peer-get", ifname="bh0")
             if p.get("reqid") == 900]
    check_equal(len(peer["selectors"]["prefix"]), 256, "prefixes")
    a.ip("".join(line.partition(" tmpl ")[0].replace("add", "delete", 1) + "\n"
                 for line in lines.splitlines()))
    wait_for(lambda: not not_taken(a) or None)
    made[0].works()


@case("an if-id of an xfrm interface is refused, but for shared")
def _():
    a.ip("link add x9 type xfrm if_id 9\nlink add bh2 type bhsec\n")
    try:
        bind(a, "bh2", 9)
        raise Failure("it was taken")
    except OSError as error:
        check("an xfrm interface has this if-id" in str(error), str(error))
    bind(a, "bh2", 9, shared=1)
    device, = a.nl.do("dev-get", ifname="bh2")
    check_equal((device["if-id"], device["shared"]), (9, 1), "binding")
    a.ip("link del bh2\nlink del x9\n")


@case("what cannot be taken is shown with the reason, as long as it is there")
def _():
    src, dst = link.a4, link.b4
    key = secrets.token_hex(20)
    lines = {
        0x5001: f"mode transport aead rfc4106(gcm(aes)) 0x{key} 128",
        0x5002: f"mode tunnel aead rfc4106(gcm(aes)) 0x{key} 96",
        # a kernel of long ago cut SHA-256 so short
        0x5003: "mode tunnel enc cbc(aes) 0x" + "11" * 16
                + " auth-trunc hmac(sha256) 0x" + "22" * 32 + " 96",
        0x5004: "mode tunnel enc cbc(des3_ede) 0x" + "".join(
            f"{n:02x}" for n in range(24))
                + " auth-trunc hmac(sha256) 0x" + "22" * 32 + " 128",
        0x5005: "mode tunnel enc cbc(aes) 0x" + "11" * 16
                + " auth-trunc hmac(sha1) 0x" + "22" * 20 + " 96",
        0x5006: "mode tunnel enc cbc(aes) 0x" + "11" * 16
                + " auth-trunc hmac(md5) 0x" + "22" * 16 + " 96"}
    for spi, line in lines.items():
        a.ip(f"xfrm state add src {src} dst {dst} proto esp spi {spi:#x} "
             f"reqid 77 if_id 42 {line}\n")
    a.ip(f"xfrm state add src {src} dst {dst} proto esp spi 0x5007 reqid 77 "
         f"if_id 42 mode tunnel aead rfc4106(gcm(aes)) 0x{key} 128 "
         "sel src 10.9.0.0/24 dst 10.8.0.0/24 proto tcp\n")
    lines[0x5007] = None
    policy = f"src 10.9.0.0/24 dst 10.8.0.0/24 dev {link.if_a} dir out if_id 42"
    key_of_gre = ("src 10.9.0.0/24 dst 10.8.0.0/24 proto gre key 7 dir out "
                  "if_id 42")
    a.ip("".join(f"xfrm policy add {one} tmpl src {src} dst {dst} proto esp "
                 "reqid 78 mode tunnel\n" for one in (policy, key_of_gre)))
    wanted = {(0x5001, "the state is not in tunnel mode"),
              (0x5002, "bhsec has no such cipher"),
              (0x5003, "bhsec has no such cipher"),
              (0x5004, "DES and 3DES are not allowed (TS 33.210)"),
              (0x5005, "MD5 and SHA-1 are not allowed (TS 33.210)"),
              (0x5006, "MD5 and SHA-1 are not allowed (TS 33.210)"),
              (0x5007, "the state's selector names a protocol or ports, "
                       "not its policy's"),
              (None, "the policy's selector names a device or a user"),
              (None, "the policy's selector names a key of GRE")}
    wait_for(lambda: not_taken(a) == wanted, what=f"{not_taken(a)}")
    for spi in lines:
        a.ip(f"xfrm state delete src {src} dst {dst} proto esp spi {spi:#x}\n")
    a.ip(f"xfrm policy delete {policy}\nxfrm policy delete {key_of_gre}\n")
    wait_for(lambda: not not_taken(a) or None)
    made[0].works()


@case("raw ESP is refused while its own GRO is loaded, and taken again after")
def _():
    raw = [t for t in made if t.encap == "esp"]
    for family in 4, 6:
        module = f"esp{family}_offload"
        subprocess.run(["modprobe", module], check=True)
        some = [t for t in raw if t.family == family]
        reason = f"{module} takes raw ESP first: rmmod it, or use ESP in UDP"
        wanted = {(sa.spi, reason) for t in some for sa in (t.in_, t.out)}
        wait_for(lambda: not_taken(a) == wanted, what=lambda: f"{not_taken(a)}")
        some[0].is_told("no_key")
        made[0].works()
        subprocess.run(["rmmod", module], check=True)
        wait_for(lambda: not not_taken(a) or None,
                 what=lambda: f"{not_taken(a)}")
        for t in some:
            t.adopted(2)
            t.works()


@case("states without an if_id, and with others, are the kernel's own")
def _():
    before = len(a.nl.dump("sa-get", ifname="bh0"))
    for n, mark in enumerate(("", "if_id 99")):
        a.ip(f"xfrm state add src {link.a4} dst {link.b4} proto esp "
             f"spi {0x6001 + n:#x} reqid 500 mode tunnel {mark} "
             f"aead rfc4106(gcm(aes)) 0x{secrets.token_hex(20)} 128\n")
    made[0].works()
    check_equal(len(a.nl.dump("sa-get", ifname="bh0")), before, "SAs")
    check_equal(not_taken(a), set(), "refused")


main()
