# SPDX-License-Identifier: GPL-2.0
"""The guides of userspace/doc, and the two hosts that they speak of.

A fenced block says behind its fence what it is:

    ```sh HOST              commands, which do what is done on that host, or on
                            both, one after the other
    ```sh HOST exit N       the last of them has this exit status
    ```sh HOST beside       they go on beside all that follows
    ```sh HOST install      for a host of one's own: what they name exists
    ```file HOST PATH       a file
    ```output               what the commands before it say; <name> is a part of
                            a word that differs, a word ... any number of words

An HTML comment of these words is a block that readers do not see: what breaks, so
that a guide can mend it. <!-- after GUIDE --> at its top says that a guide goes on
from another one, without that one's last section.
"""

import dataclasses
import glob
import shlex

from libapply import *
from libike import *

DOC = f"{SOURCE['userspace']}/doc"
PLACES = {"controller": "192.0.2.1", "station": "192.0.2.2"}
NAMES = {"controller": "ctl", "station": "bs1"}
CONTROL = "/run/charon.vici"    # where the tool asks for identities
FENCE = re.compile(r"^(?:```|<!-- )([^\n]*)(?<!-->)\n(.*?)^(?:```|-->)$", re.M | re.S)
KINDS = re.compile(r"""sh\ (?P<host>\w+)
    (?:\ (?:(?P<how>beside|install)|exit\ (?P<status>\d+)))?
    |file\ (?P<at>\w+)\ (?P<path>/\S+)|output""", re.X)
SCP = """#!/bin/sh
for word; do last=$word; done
while [ $# -gt 1 ]; do
    cp "$1" "{hosts}/${{last%%:*}}/${{last#*:/etc/}}" || exit
    shift
done
"""


@dataclasses.dataclass
class Block:
    line: int
    kind: str           # sh, file or output
    words: dict         # what stands behind it
    text: str

    host = property(lambda self: self.words["host"] or self.words["at"])


def block_of(line, mark, text):
    match = KINDS.fullmatch(mark)
    check(match, f"line {line}: a block is marked {mark!r}")
    return Block(line, mark.split()[0], match.groupdict(), text)


def sections_of(text):
    """{heading: its blocks}; what belongs to no block looks like none."""
    sections, prose = {"its beginning": []}, []
    pieces = FENCE.split(text)
    line = 1
    for n in range(0, len(pieces), 3):
        headings = re.findall(r"^## (.*)$", pieces[n], re.M)
        sections |= {heading: [] for heading in headings}
        prose.append(pieces[n])
        line += pieces[n].count("\n")
        if n + 1 < len(pieces):
            last = next(reversed(sections.values()))
            last.append(block_of(line, *pieces[n + 1:n + 3]))
            line += pieces[n + 2].count("\n") + 1
    for wrong in re.findall(r"^(?:    .*|```.*|~~~.*)$", "".join(prose), re.M):
        raise Failure(f"a block without a mark: {wrong}")
    return {heading: blocks for heading, blocks in sections.items() if blocks}


def is_as_said(said, expected):
    """Compares words, for lines end where 80 columns do."""
    wanted = "".join(r"(?:\S+ )*" if word == "..." else
                     r"\S+".join(map(re.escape, re.split(r"<\w+>", word))) + " "
                     for word in expected.split())
    return bool(re.fullmatch(wanted, "".join(f"{word} " for word in said.split())))


def compare(expected, said):
    """With a text, or a file that grows."""
    if isinstance(said, str):
        check(is_as_said(said, expected), f"{expected}\nnot\n{said}")
        return

    def read():
        said.seek(0)
        return said.read()
    wait_for(lambda: is_as_said(read(), expected),
             what=lambda: f"{expected}\nnot\n{read()}")


# What is for a host of one's own

UNITS = [f"{SOURCE['userspace']}/units", f"{ROOTS}/*/usr/lib/systemd/system"]
PACKAGES = f"{ROOTS}/*/usr/share/doc"


def there_is(word, *patterns):
    check(any(glob.glob(pattern) for pattern in patterns), f"there is no {word}")


def install(host, text):
    """What the commands name is there; strongSwan starts where they say so."""
    for line in text.replace("\\\n", "").splitlines():
        program, verb, *words = shlex.split(line)
        if program == "apt":
            for word in words:
                there_is(word, f"{PACKAGES}/{word}")
            if "charon-systemd" in words:
                host.start_strongswan()
        elif program == "systemctl":
            for unit in (word for word in words if word[0] != "-"):
                there_is(unit, *(f"{place}/{unit}{end}" for place in UNITS
                                 for end in ("", ".service")))
            if (verb, words) == ("restart", ["strongswan"]):
                host.restart_strongswan()
        else:
            raise Failure(f"nobody knows how to look at {line}")


class GuideHost(Host):
    """One of the two, with what its operator has: certificates, and strongSwan
    from the moment on at which it is installed."""

    ROOMS = *Host.ROOMS, "strongswan.d", "wireguard"

    def __init__(self, name, hosts, ca):
        super().__init__(name)
        os.symlink(self.etc, f"{hosts}/{name}")
        self.program("scp", SCP.format(hosts=hosts))
        if not shutil.which("wg"):
            self.program("wg", f'#!/bin/sh\nexec /usr/bin/python3 '
                         f'{TESTS}/libwg.py "$@"\n')
        own = NAMES[name]
        who = ca.certify(f"{own}.example")
        self.identity = who
        self.write("ca.crt", pem(ca.certificate))
        self.write(f"{own}.crt", pem(who.certificate))
        self.write(f"{own}.key", who.key)
        self.daemon, self.beside = None, []

    def enter(self):
        super().enter()
        if self.daemon:
            must(libc.mount(f"{self.daemon.run}/vici".encode(),
                            CONTROL.encode(), None, MS_BIND, None))

    def sh(self, text, status=0):
        """What commands say, which the first one that fails ends."""
        done = self.ns.run(self.command(text), check=False,
                           capture_output=False, **self.shell())
        check_equal(done.returncode, status, f"exit status of {text}"
                    f"which said {done.stdout}")
        return done.stdout

    def start_beside(self, text):
        """Until end(); a file of what it says, to be read meanwhile."""
        out = tempfile.NamedTemporaryFile("a")
        self.beside.append(self.ns.popen(
            self.command(text), **self.shell() | {"stdout": out.fileno()}))
        return open(out.name, encoding="utf-8")

    @staticmethod
    def command(text):
        return ["bash", "-eu", "-c", text]

    def shell(self):
        return {"preexec_fn": self.enter, "env": self.environ(), "text": True,
                "cwd": "/etc", "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}

    def file(self, path, text):
        room, _, name = path.removeprefix("/etc/").partition("/")
        check(room in self.ROOMS, f"no host has a {path} of its own")
        with open(f"{self.etc}/{room}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def start_strongswan(self):
        """As its package does, and then as its unit does."""
        open(CONTROL, "a", encoding="ascii").close()
        self.daemon = Daemon(self.ns)
        self.talks_to(self.daemon)
        self.loaded()

    def restart_strongswan(self):
        """It reads strongswan.d anew."""
        self.daemon.stop()
        with open(f"{self.daemon.run}/strongswan.conf", "a",
                  encoding="utf-8") as conf:
            for path in glob.glob(f"{self.etc}/strongswan.d/*.conf"):
                with open(path, encoding="utf-8") as more:
                    conf.write(more.read())
        self.daemon.launch()
        self.loaded()

    def loaded(self):
        self.daemon.ready()
        self.sh("swanctl --load-all --noprompt")

    def end(self):
        for process in self.beside:
            process.terminate()
            process.wait()
        if self.daemon and self.daemon.process.poll() is None:
            self.daemon.stop()
        self.ns.close()


class World:
    """Both hosts, each with an eth0 to the other, as NICs have it; one guide's."""

    def __init__(self):
        if not os.path.isdir("/sys/kernel/tracing/events"):     # by systemd
            subprocess.run(["mount", "-t", "tracefs", "tracefs",
                            "/sys/kernel/tracing"], check=True)
        ca = Authority("operator")
        self.hosts = {}
        self.holder = tempfile.TemporaryDirectory()
        for name in PLACES:
            self.hosts[name] = GuideHost(name, self.holder.name, ca)
        near, far = (host.ns for host in self.hosts.values())
        near.ip(f"link add eth0 type veth peer name eth0 netns {far}\n")
        for name, host in self.hosts.items():
            host.ns.ip(f"addr add {PLACES[name]}/24 dev eth0\nlink set eth0 up\n")
            # GRO on receive is for what was not put together by the sender
            host.ns.run("ethtool -K eth0 tso off")
        ca.revoke(self.hosts["station"].identity)
        self.hosts["controller"].write("revoked.crl", pem(ca.crl()))

    def do(self, blocks):
        """All of them; what one says is compared with the next, if that is what
        it should say."""
        said = None
        for block in blocks:
            try:
                if block.kind == "output":
                    compare(block.text, said)
                else:
                    said = self.one(block)
            except Failure as failure:
                raise Failure(f"line {block.line}: {failure}") from None

    def one(self, block):
        """What a host says, of both the last."""
        names = PLACES if block.host == "both" else [block.host]
        return [self.on(self.hosts[name], block) for name in names][-1]

    @staticmethod
    def on(host, block):
        how = block.words["how"]
        if block.kind == "file":
            return host.file(block.words["path"], block.text)
        if how == "install":
            return install(host, block.text)
        if how == "beside":
            return host.start_beside(block.text)
        return host.sh(block.text, int(block.words["status"] or 0))

    def end(self):
        for host in self.hosts.values():
            host.end()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(CONTROL)
        self.holder.cleanup()
