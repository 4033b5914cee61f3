# SPDX-License-Identifier: GPL-2.0
"""A real base-station network without radio: two base stations, their
controller, its signalling gateway and a packet gateway, all of Osmocom.

Debian's own example configurations are taken, with the addresses changed and
little added. Without `local-ip` SCTP would offer every address of the site.
"""

import contextlib
import os
import platform
import re
import socket

from programs import RUN, check, inside, listens, output, run, wait_for
from tunnels import TUNNEL

UNIT = {"bs1": 6969, "bs2": 6970}
VTY_PORT = {"osmo-bsc": 4242, "osmo-stp": 4239, "osmo-ggsn": 4260}
OML, M3UA, GTP_C = 3002, 2905, 2123
ESTABLISHED = "3"               # of an SCTP association, in /proc
GATEWAY = "172.20.0.1"          # the packet gateway, as subscribers see it

BSC_SIGNALLING = f"""\
cs7 instance 0
 point-code 0.23.3
 asp asp-clnt-msc-0 {M3UA} 0 m3ua
  remote-ip {TUNNEL["core"]}
  local-ip {TUNNEL["ctl"]}
 as as-clnt-msc-0 m3ua
  asp asp-clnt-msc-0
  routing-key 3 0.23.3
"""
GGSN = f"""\
ggsn ggsn0
 gtp state-dir {RUN}
 gtp bind-ip {TUNNEL["core"]}
 apn internet
  gtpu-mode tun
  tun-device tun4
  type-support v4
  ip prefix dynamic 172.20.0.0/24
  ip ifconfig {GATEWAY}/24
  no shutdown
 default-apn internet
 no shutdown ggsn
"""


class Vty:
    """A program's own operator console, kept open: each is asked often."""

    def __init__(self, netns, program):
        with inside(netns):
            self.socket = socket.create_connection(
                ("127.0.0.1", VTY_PORT[program]), timeout=10)
        self.answer()
        self.ask("terminal length 0")

    def answer(self):
        text = b""
        while not re.search(rb"\S> $", text):
            part = self.socket.recv(65536)
            check(part, "a program closed its console")
            text += part
        return text.decode(errors="replace").replace("\r", "")

    def ask(self, question):
        self.socket.sendall(question.encode() + b"\n")
        return self.answer()


def listens_sctp(program, port):
    with open(f"/proc/{program.pid}/net/sctp/eps") as sockets:
        return any(str(port) in line.split() for line in sockets)


def bsc_configuration(example):
    """The example has one base station; make it two."""
    example = example.replace("GSM-1800", "DCS1800")
    station = re.search(r"^ bts 0\n(?:  .*\n)+", example, re.M)[0]
    stations = "".join(
        station.replace("bts 0", f"bts {number}")
               .replace("unit-id 1800", f"unit-id {unit}")
        for number, unit in enumerate(UNIT.values()))
    return example.replace(station, stations) + BSC_SIGNALLING


class Network:
    def __init__(self, root, programs):
        self.root, self.programs = root, programs
        self.env = {"LD_LIBRARY_PATH":
                    f"{root}/usr/lib/{platform.machine()}-linux-gnu"}
        self.vty, self.started, self.stations = {}, [], []

    def read(self, path):
        with open(f"{self.root}/{path}") as example:
            return example.read()

    def start(self, netns, name, *options, config=None):
        if config:
            with open(f"{RUN}/{netns}-{name}.cfg", "w") as out:
                out.write(config)
            options = "-c", f"{netns}-{name}.cfg"
        program = self.programs.start(netns, f"{netns}-{name}",
                                      [f"{self.root}/usr/bin/{name}", *options],
                                      self.env)
        self.started.append(program)
        return program

    def bring_up(self):
        self.start_core()
        self.start_controller()
        self.start_subscriber()
        self.start_stations()
        self.open_consoles()

    def start_core(self):
        stp = self.start("core", "osmo-stp",
                         config=self.read("etc/osmocom/osmo-stp.cfg") +
                         f"  local-ip {TUNNEL['core']}\n")
        ggsn = self.start("core", "osmo-ggsn", config=GGSN)
        wait_for(lambda: listens_sctp(stp, M3UA), "osmo-stp listens")
        wait_for(lambda: listens(ggsn, "udp", GTP_C, "07"), "osmo-ggsn listens")

    def start_controller(self):
        self.bsc = self.start("ctl", "osmo-bsc", config=bsc_configuration(
            self.read("usr/share/doc/osmo-bsc/examples/osmo-bsc/"
                      "osmo-bsc-minimal.cfg")))
        wait_for(lambda: listens(self.bsc, "tcp", OML, "0A"),
                 "osmo-bsc listens")

    def start_stations(self):
        example = self.read("etc/osmocom/osmo-bts-virtual.cfg")
        example = re.sub("oml remote-ip .*", f"oml remote-ip {TUNNEL['ctl']}",
                         example)
        # On an emulated CPU every frame is late, and would be logged.
        example = example.replace("level l1p info", "level l1p error")
        for site, unit in UNIT.items():
            # The virtual air interface is multicast, which the source address
            # leads to an interface: without this one, into the underlay.
            run(site, "ip", "route", "add", "239.0.0.0/8", "dev", "lo", "src",
                "127.0.0.1")
            # Each its own socket for a packet control unit: two that make the
            # same at one time refuse to start.
            config = example.replace("unit-id 6969", f"unit-id {unit}").replace(
                "bts 0\n", f"bts 0\n pcu-socket {RUN}/{site}.pcu\n")
            self.stations.append(self.start(site, "osmo-bts-virtual",
                                            config=config))

    def start_subscriber(self):
        """A GTP client at bs1, as a base station of LTE or 5G would be."""
        self.start("bs1", "sgsnemu", "-l", TUNNEL["bs1"], "-r", TUNNEL["core"],
                   "--createif", f"--statedir={RUN}",
                   f"--pidfile={RUN}/sgsnemu.pid")

    def route_subscriber(self):
        wait_for(lambda: "tun0" in run("bs1", "ip", "-br", "link"), "tun0")
        run("bs1", "ip", "route", "add", "172.20.0.0/24", "dev", "tun0")

    def open_consoles(self):
        for netns, program in [("ctl", "osmo-bsc"), ("core", "osmo-stp"),
                               ("core", "osmo-ggsn")]:
            self.vty[program] = Vty(netns, program)

    def station(self, number):
        """What the controller says of its link to a base station, and whether
        that is up; a link that flapped has another port."""
        program = self.stations[number]
        check(program.poll() is None, f"{program.name} has ended: "
                                      f"{output(program)[-300:]}")
        text = self.vty["osmo-bsc"].ask(f"show bts {number}")
        link = re.search(r"OML Link: \((.*)\)", text)
        up = all(re.search(sign, text) for sign in (
            r"OML Link state: connected", r"NM State: Oper 'Enabled'",
            r"Number of TRX in this BTS where RSL is up: +1\b"))
        return up and link[1]

    def signalling(self):
        text = self.vty["osmo-stp"].ask("show cs7 instance 0 asp")
        return next((line for line in text.splitlines()
                     if "ASP_ACTIVE" in line), None)

    def context(self):
        """The subscriber's address, if the packet gateway has one for it."""
        text = self.vty["osmo-ggsn"].ask("show pdp-context ggsn ggsn0")
        address = re.search(r"End-User Address \(IPv4\): (\S+)", text)
        return address and address[1]

    def association(self):
        """The id, local and remote addresses of the controller's one SCTP
        association; * marks the primary path."""
        with open(f"/proc/{self.bsc.pid}/net/sctp/assocs") as table:
            lines = table.read().splitlines()[1:]
        check(len(lines) == 1, f"one SCTP association, not {len(lines)}")
        words = lines[0].split()
        check(words[4] == ESTABLISHED, f"SCTP is established: {lines[0]}")
        local, remote = (" ".join(re.findall(r"\*?\d+(?:\.\d+){3}", side))
                         for side in lines[0].split("<->"))
        return words[6], local, remote

    def stop(self):
        for vty in self.vty.values():
            vty.socket.close()
        self.programs.stop(*self.started)

    def left(self):
        """Programs of the network that still run."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                program = os.readlink(f"/proc/{pid}/exe")
                if program.startswith(self.root):
                    found.append(program)
        return found
