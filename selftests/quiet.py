#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""A tunnel's device says nothing by itself: no address that nobody gave it, no
packet while it is idle, no redirects to peers that have no other way."""

import tempfile

from lib import *

# Longer than router solicitations and multicast reports are held back.
WHILE = 3.5
CONFIGFS = "/sys/kernel/config"
ENOTSUPP = 524          # the kernel's own
INNER = {"b": ("10.2.0.1", "fd02::1"), "c": ("10.3.0.1", "fd03::1")}

a, b, c = (Ns(name) for name in "abc")


def link_locals(ns, dev):
    found = json.loads(ns.run(["ip", "-j", "-6", "addr", "show", "dev", dev]
                              ).stdout)
    return [addr["local"] for one in found for addr in one.get("addr_info", ())
            if addr["scope"] == "link"]


def mode(ns, dev):
    one, = json.loads(ns.run(["ip", "-j", "-d", "link", "show", "dev", dev]
                             ).stdout)
    return one["inet6_addr_gen_mode"]


def idle(ns, dev):
    """From before it is up until all that would be said has been."""
    capture = Capture(ns, dev)
    ns.ip(f"link set {dev} up\n")
    time.sleep(WHILE)
    check_equal(capture.stop(), [], "packets on the device")
    check_equal({name: value for name, value in ns.own_stats(dev).items()
                 if value}, {}, "counters")
    check_equal(link_locals(ns, dev), [], "link-local addresses")
    check_equal(mode(ns, dev), "none", "addrgenmode")


@case("a new device is idle")
def _():
    ns = Ns("n")
    ns.ip("link add bh0 type bhsec\n")
    idle(ns, "bh0")


@case("so it is in another netns, and when it comes back")
def _():
    ns, other = Ns("n"), Ns("o")
    ns.ip(f"link add bh0 type bhsec\nlink set bh0 netns {other}\n")
    idle(other, "bh0")
    other.ip(f"link set bh0 netns {ns}\n")
    idle(ns, "bh0")


@case("with addresses of its own, forwarding, it is idle, too")
def _():
    ns = Ns("n")
    ns.be_router()
    ns.ip("link add bh0 type bhsec\naddr add 10.1.0.1/24 dev bh0\n"
          "addr add fd01::1/64 dev bh0\n")
    idle(ns, "bh0")
    check(ns.flags("bh0") & 1, "it is down")


@case("who wants a link-local address gets one, and keeps it")
def _():
    ns = Ns("n")
    ns.ip("link add bh0 type bhsec\nlink set bh0 addrgenmode random\n")
    for _ in range(2):
        ns.ip("link set bh0 up\n")
        wait_for(lambda: link_locals(ns, "bh0"), what="an address")
        check_equal(mode(ns, "bh0"), "random", "addrgenmode")
        ns.ip("link set bh0 down\n")


def other_host(line):
    """README's line, as it says that the second host has it."""
    other = {"1": "2", "2": "1", "there": "back", "back": "there"}
    return re.sub(r"(?<=192\.0\.2\.)[12]|(?<= 10\.)[12]|there|back",
                  lambda found: other[found[0]], line)


def of_readme():
    """What makes keys and SPIs, and what each host does."""
    path = f"{TESTS}/../README.md"
    if not os.path.exists(path):
        raise Skip("there is no README.md beside the tests")
    with open(path, encoding="utf-8") as text:
        block = re.search(r"On the first, as root:\n\n((?:    .*\n)+)",
                          text.read())
    keys, drawn, *lines = block[1].splitlines()
    return [keys, drawn], lines, list(map(other_host, lines))


def of_man_page():
    with open(f"{SOURCE['userspace']}/bhsec.8", encoding="utf-8") as text:
        block = re.search(r"\.Sh EXAMPLES.*?\.Bd .*?\n(.*?)\.Ed", text.read(),
                          re.S)
    lines = block[1].replace("\\e\n", "").splitlines()
    return [[line.removeprefix(prompt) for line in lines
             if line.startswith(prompt)] for prompt in ("# ", "a# ", "b# ")]


def counted(ns):
    """By the device and its one peer, what is not zero."""
    peer, = ns.all_stats("bh0").values()
    return {name for stats in (peer, ns.own_stats("bh0"))
            for name, value in stats.items() if value}


def as_written(example):
    """It needs nothing more: no drop while it is idle, and then it works."""
    first, *hosts = example()
    near, far = Ns("a"), Ns("b")
    link = veth(near, far, v4=False)
    with tempfile.TemporaryDirectory() as directory:
        for n, ns in enumerate((near, far)):
            ns.ip(f"addr add 192.0.2.{n + 1}/24 dev {link.if_a}\n"
                  f"addr add 10.{n + 1}.0.1/32 dev lo\n")
            said = ns.run("\n".join(["set -e", *first, *hosts[n]]),
                          cwd=directory).stdout
            # README's SPIs go over with the keys
            first = [f"{name}={spi}" for name, spi in
                     zip(("there", "back"), said.split())]
    time.sleep(WHILE)
    check_equal((counted(near), counted(far)), (set(), set()), "counters")
    udp_echo(far, "10.2.0.1")
    udp_exchange(near, "10.2.0.1", range(8), "10.1.0.1")
    for ns in near, far:
        check_equal(counted(ns), {"rx_packets", "rx_bytes", "tx_packets",
                                  "tx_bytes"}, "counters")


add_case("README's first tunnel is idle as it is written, and works", as_written,
         of_readme)
add_case("so is the man page's", as_written, of_man_page)


def redirects(ns):
    """ICMP and ICMPv6 redirects that a host has sent."""
    with ns, open("/proc/thread-self/net/snmp") as lines:
        names, values = (line.split() for line in lines
                         if line.startswith("Icmp:"))
    with ns, open("/proc/thread-self/net/snmp6") as lines:
        six = dict(line.split() for line in lines)
    return (int(dict(zip(names, values))["OutRedirects"]),
            int(six["Icmp6OutRedirects"]))


def link_netns(ns):
    one, = json.loads(ns.run(["ip", "-j", "-d", "link", "show", "dev", "bh0"]
                             ).stdout)
    return {name for name in one if name.startswith("link_netns")}


@case("a device that has moved says where its underlay is")
def _():
    ns, other = Ns("n"), Ns("o")
    ns.ip("link add bh0 type bhsec\n")
    check_equal(link_netns(ns), set(), "beside its underlay")
    ns.ip(f"link set bh0 netns {other}\n")
    check(link_netns(other), "no link-netns")
    ns.close()
    wait_for(lambda: other.device("bh0").get("reason"), what="its underlay's end")
    check_equal(link_netns(other), set(), "without an underlay")


@case("netpoll, which sends in any context, is refused")
def _():
    ns = Ns("n")
    ns.ip("link add bh0 type bhsec\nlink set bh0 up\n")
    for module in "configfs", "netconsole":
        subprocess.run(["modprobe", module], check=False)
    subprocess.run(["mount", "-t", "configfs", "configfs", CONFIGFS],
                   capture_output=True, check=False)
    target = f"{CONFIGFS}/netconsole/bhsec"
    os.mkdir(target)
    try:
        for name, text in (("dev_name", "bh0"), ("local_ip", "10.1.0.1"),
                           ("remote_ip", "10.1.0.2")):
            with open(f"{target}/{name}", "w", encoding="ascii") as setting:
                setting.write(text)
        with ns:
            setting = os.open(f"{target}/enabled", os.O_WRONLY)
            try:
                os.write(setting, b"1")
                raise Failure("it is taken")
            except OSError as error:
                check_equal(error.errno, ENOTSUPP, "error")
            finally:
                os.close(setting)
    finally:
        os.rmdir(target)


@case("a hub between two peers sends neither any redirects")
def _():
    links = {"b": veth(a, b), "c": veth(a, c)}
    a.be_router()
    a.ip("link add bh0 type bhsec\nlink set bh0 up\n"
         "addr add 10.1.0.1/32 dev bh0\naddr add fd01::1/128 dev bh0\n")
    for name, ns in ("b", b), ("c", c):
        link, (inner4, inner6) = links[name], INNER[name]
        there, back = Sa(), Sa()
        a.ip(f"route add {inner4}/32 dev bh0\nroute add {inner6}/128 dev bh0\n")
        a.bhsec(f"peer add bh0 {name} endpoint {link.address(ns, 4)} "
                f"selectors {inner4}/32,{inner6}/128\n"
                + there.bhsec("bh0", name, "out") + back.bhsec("bh0", name, "in"))
        ns.ip("link add bh0 type bhsec\nlink set bh0 up\n"
              f"addr add {inner4}/32 dev bh0\naddr add {inner6}/128 dev bh0\n"
              "route add 10.0.0.0/8 dev bh0\nroute add fd00::/8 dev bh0\n")
        ns.bhsec(f"peer add bh0 a endpoint {link.address(a, 4)} "
                 "selectors 10.0.0.0/8,fd00::/8\n"
                 + there.bhsec("bh0", "a", "in") + back.bhsec("bh0", "a", "out"))
    for of_b, of_c in zip(INNER["b"], INNER["c"]):
        echo = udp_echo(c, of_c)
        udp_exchange(b, of_c, range(8), of_b)
        echo.stop()
        open_servers.remove(echo)
    check_equal(redirects(a), (0, 0), "redirects sent")
    with a, open(f"/proc/sys/net/ipv4/conf/{links['b'].if_a}/send_redirects"
                 ) as setting:
        check_equal(setting.read().strip(), "1", "what other devices do")


main()
