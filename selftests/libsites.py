# SPDX-License-Identifier: GPL-2.0
"""A controller and its base stations, keyed by IKE: each a namespace with a
device of one if_id, bhsec's or the kernel's own, and a daemon. The controller
knows a CA and a pool, and no base station.

    ca = Authority("operator")
    gw = Controller("ctl", ca)
    bs = Station("bs", gw, ca.certify("bs.example"), "bhsec", encap="udp")
    start(None, gw, bs)
    bs.join()
    udp_exchange(bs.ns, gw.inner4, (0, 100), bs.inner4)
"""

from libike import *

IF_ID = 42
NET4, NET6 = "10.8.0.0/24", "fd08::/64"
POOL4, POOL6 = "10.9.0.0/24", "fd09::/112"

CONTROLLER = """
connections {{ stations {{
    version = 2
    proposals = aes128gcm16-prfsha256-ecp256,aes128gcm16-prfsha256-x25519
    pools = inner4,inner6
    local {{ auth = pubkey
        id = {identity} }}
    remote {{ auth = pubkey }}
    {more}
    children {{ data {{
        local_ts = {NET4},{NET6}
        esp_proposals = aes128gcm16-ecp256,aes128gcm16-x25519
        if_id_in = {IF_ID}
        if_id_out = {IF_ID}
        {child}
    }} }}
}} }}
pools {{
    inner4 {{ addrs = {POOL4} }}
    inner6 {{ addrs = {POOL6} }}
}}
"""

STATION = """
connections {{ {name} {{
    version = 2
    remote_addrs = {gateway}
    proposals = {proposals}
    encap = {encap}
    vips = 0.0.0.0,::
    local {{ auth = pubkey
        id = {identity} }}
    remote {{ auth = pubkey
        id = {peer} }}
    {more}
    children {{ {name} {{
        remote_ts = {NET4},{NET6}
        esp_proposals = {esp_proposals}
        if_id_in = {IF_ID}
        if_id_out = {IF_ID}
        {child}
    }} }}
}} }}
"""


def device(ns, kind, under):
    """A device of the if_id, up; its name."""
    if kind == "bhsec":
        ns.ip("link add bh0 type bhsec\nlink set bh0 up\n")
        ns.bhsec(f"set bh0 if-id {IF_ID}\n")
        return "bh0"
    ns.ip(f"link add ipsec0 type xfrm dev {under} if_id {IF_ID}\n"
          "link set ipsec0 up\n")
    return "ipsec0"


_sites = []


def counters(site):
    """What went wrong there, as far as anybody counts."""
    if site.kind == "bhsec":
        every = {"device": site.ns.own_stats(site.dev),
                 **site.ns.all_stats(site.dev)}
        return {name: {cause: count for cause, count in stats.items() if count}
                for name, stats in every.items()}
    return site.ns.xfrm_stat()


def tell_counters():
    for site in _sites:
        if site.dev:
            ksft.print_msg(f"{site.ns.label}: {counters(site)}")


on_failure.append(tell_counters)


class Site:
    def __init__(self, name, ca, identity, kind):
        self.ns, self.ca, self.identity, self.kind = Ns(name), ca, identity, kind
        self.daemon = self.dev = None
        _sites.append(self)

    def launch(self, version, extra=""):
        if self.daemon:
            self.daemon.kill()
        self.daemon = Daemon(self.ns, version, extra)

    def configure(self):
        self.daemon.trust(self.ca)
        self.daemon.identity(self.identity)
        self.daemon.load(self.text)


def start(version, *sites, extra=""):
    """Their daemons anew; the devices stay. extra as for Daemon."""
    for site in sites:
        site.start(version, extra)
    for site in sites:
        site.configure()


def end(*sites):
    """Their daemons without a word, and all that those have put in."""
    for site in sites:
        site.daemon.kill()
        site.ns.ip("xfrm state flush\nxfrm policy flush\n")
        if isinstance(site, Station):
            site.ns.ip(f"addr flush dev {site.vips_on or site.dev} scope global\n")


def with_values(text, **values):
    """A configuration in which each of these keys has another value."""
    for key, value in values.items():
        text = re.sub(rf"\b{key} = \S+", f"{key} = {value}", text)
    return text


def serve(*sites):
    """Each answers whoever asks it."""
    for site in sites:
        udp_echo(site.ns, "0.0.0.0")
        udp_echo(site.ns, "::")


def talk(station, sizes=(0, 1, 100, 1000, 1300)):
    """It and its controller ask each other, first the one, then the other."""
    controller = station.controller
    for inner, outer in ((station.inner4, controller.inner4),
                         (station.inner6, controller.inner6)):
        udp_exchange(station.ns, outer, sizes, inner)
        udp_exchange(controller.ns, inner, sizes, outer)


class Controller(Site):
    """more and child: lines for its connection, and for that one's child."""

    inner4, inner6 = "10.8.0.1", "fd08::1"

    def __init__(self, name, ca, kind="bhsec", more="", child=""):
        super().__init__(name, ca, ca.certify("gw.example"), kind)
        self.text = CONTROLLER.format(identity=self.identity.name, more=more,
                                      child=child, **globals())

    def start(self, version=None, extra=""):
        if not self.dev:
            self.dev = device(self.ns, self.kind, "lo")
            self.ns.ip(f"addr add {self.inner4}/32 dev {self.dev}\n"
                       f"addr add {self.inner6}/128 dev {self.dev} nodad\n"
                       f"route add {POOL4} dev {self.dev}\n"
                       f"route add {POOL6} dev {self.dev}\n")
        self.launch(version, extra)

    def peer_of(self, station):
        """What bhsec shows of a station."""
        return self.ns.peer(self.dev, self.name_of(station))

    def name_of(self, station):
        return f"ike-{self.child_of(station)['reqid']}"

    def child_of(self, station):
        """The CHILD_SA in use with it, as the controller's daemon tells."""
        return next(child for sa in self.daemon.sas()
                    if sa.get("remote-id") == station.identity.name
                    for child in sa["child-sas"].values()
                    if child["state"] == "INSTALLED")


class Nat:
    """A box before the controller: who is behind it has its address there."""

    def __init__(self, name, controller):
        self.ns = Ns(name)
        self.out = veth(controller.ns, self.ns)
        self.ns.be_router()

    def translate(self, ports):
        """All that leaves, to ports of this range; what was known is forgotten
        with the link, which goes down and up."""
        self.ns.run(["nft", "-f", "-"], input=f"""
table ip nat
delete table ip nat
table ip nat {{ chain post {{
    type nat hook postrouting priority srcnat
    oifname "{self.out.if_b}" meta l4proto udp masquerade to :{ports}
}}
}}
""")
        self.ns.ip(f"link set {self.out.if_b} down\n"
                   f"link set {self.out.if_b} up\n")


class Station(Site):
    """Joined to the controller by a link of its own, or to a Nat. Its inner
    addresses are the device's, or vips_on another's."""

    def __init__(self, name, controller, identity, kind="bhsec", encap="esp",
                 more="", child="", group="ecp256", behind=None,
                 vips_on=None):
        super().__init__(name, controller.ca, identity, kind)
        self.vips_on = vips_on
        self.name, self.controller, self.encap = name, controller, encap
        self.inner4 = self.inner6 = None
        self.link = veth((behind or controller).ns, self.ns)
        if behind:
            self.ns.ip(f"route add default via {self.link.a4}\n")
        self.text = STATION.format(
            name=name, gateway=(behind.out if behind else self.link).a4,
            identity=identity.name,
            proposals=f"aes128gcm16-prfsha256-{group}",
            esp_proposals=f"aes128gcm16-{group}",
            peer=controller.identity.name, more=more, child=child,
            **{**globals(), "encap": "yes" if encap == "udp" else "no"})

    def start(self, version=None, extra=""):
        self.dev = self.dev or device(self.ns, self.kind, self.link.if_b)
        self.launch(version, "install_virtual_ip_on = "
                    f"{self.vips_on or self.dev}\n{extra}")

    def join(self):
        """Gets its addresses from the controller, and routes by them."""
        self.daemon.initiate(self.name)
        self.inner4, self.inner6 = self.daemon.sas(self.name)[0]["local-vips"]
        self.route()

    def route(self, preferring=True):
        """A device's routes go with its last address: these come after it. Of
        IPv6 the daemon's address is deprecated, and would not be chosen."""
        src4, src6 = (f"src {self.inner4}", f"src {self.inner6}") \
            if preferring else ("", "")
        self.ns.ip(f"route replace {NET4} dev {self.dev} {src4}\n"
                   f"route replace {NET6} dev {self.dev} {src6}\n")

    def leave(self):
        self.daemon.terminate(ike=self.name)

    def child(self):
        return next(child for child in self.daemon.children(self.name)
                    if child["state"] == "INSTALLED")
