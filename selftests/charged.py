#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The root of a user namespace makes peers and SAs until its memory cgroup's
limit ends that. What the limit does not count, the kernel's ciphers and hash
tables, is no multiple of what it does; and all of it comes back."""

import errno
import tempfile

from lib import *
from libnetlink import *

LIMIT = 16 << 20
WARM = 50           # peers that are made before, as nothing is new then
MORE = 64 << 10     # where the maker itself found no memory
MOST = 2            # bytes that the host gives, for each that is counted
OTHERS = 2 << 20    # what all else in the guest may take or leave meanwhile
OOM = re.compile("invoked oom-killer"), re.compile("no killable processes")


# The maker, a program of its own in a namespace of its own

def add_peer(nl, n):
    """With a selector of each family, and two SAs."""
    nl.do("peer-add", ifname="bh0", name=f"p{n}",
          endpoint_addr=bytes([192, 0, 2, 1 + n % 250]),
          selectors=[("prefix", [("addr", bytes([10, n >> 8, n & 255, 0])),
                                 ("len", 24)]),
                     ("prefix", [("addr", struct.pack("!HHHH8x", 0xfd00, 0, 0, n)),
                                 ("len", 64)])])
    for direction in 0, 1:
        nl.do("sa-add", ifname="bh0", peer=f"p{n}", direction=direction,
              spi=0x1000 + n, cipher=1,
              key=struct.pack("!QQQQI", n, direction, 0, 0, 0))


def peers_until_refused(nl):
    for n in itertools.count(WARM):
        try:
            add_peer(nl, n)
        except OSError as error:
            return n, error.errno


def maker():
    """Says when it is ready, waits, and then how many it made, and what ended
    it; waits for its own end."""
    subprocess.run("ip link add bh0 type bhsec", shell=True, check=True)
    nl = Genl(room=4096)
    for n in range(WARM):
        add_peer(nl, n)
    try:
        add_peer(nl, 0)
    except OSError:
        print("ready", flush=True)
    sys.stdin.readline()
    print(*peers_until_refused(nl), flush=True)
    sys.stdin.readline()


# The test

def memory():
    """Bytes that the kernel holds for itself."""
    with open("/proc/meminfo", encoding="ascii") as file:
        info = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return 1024 * sum(info[word] for word in ("SUnreclaim", "Percpu",
                                              "VmallocUsed"))


class Cgroup:
    """One of its own, version 2."""

    def __init__(self):
        self.root = tempfile.mkdtemp()
        subprocess.run(["mount", "-t", "cgroup2", "none", self.root], check=True)
        self.path = f"{self.root}/charged-{os.getpid()}"
        os.mkdir(self.path)
        self.has_memory = "memory" in self.read("cgroup.controllers", self.root)
        if self.has_memory:
            self.write("cgroup.subtree_control", "+memory", self.root)

    def read(self, name, path=None):
        with open(f"{path or self.path}/{name}", encoding="ascii") as file:
            return file.read()

    def write(self, name, value, path=None):
        with open(f"{path or self.path}/{name}", "w", encoding="ascii") as file:
            file.write(str(value))

    def current(self):
        return int(self.read("memory.current"))

    def close(self):
        wait_for(self.is_removed, what="the cgroup's end")
        subprocess.run(["umount", self.root], check=True)
        os.rmdir(self.root)

    def is_removed(self):
        try:
            os.rmdir(self.path)
        except OSError:
            return False
        return True


class Maker:
    """The maker, in a cgroup once it is ready; nobody to be killed where memory
    ends, so that it is refused instead."""

    def __init__(self, cgroup):
        load_module()
        self.process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--net", sys.executable,
             sys.argv[0], "maker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        open_processes.append(self.process)
        check_equal(self.process.stdout.readline(), "ready\n", "the maker says")
        with open(f"/proc/{self.process.pid}/oom_score_adj", "w",
                  encoding="ascii") as file:
            file.write("-1000")
        cgroup.write("cgroup.procs", self.process.pid)

    def end(self):
        """Its namespaces go with it."""
        self.process.kill()
        self.process.wait()

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self, limit, cgroup):
        """How many it made, and what ended it. Memory that it takes for itself
        is none that it could be refused: then there is a little more."""
        while not select.select([self.process.stdout], [], [], 1)[0]:
            if cgroup.current() + 4096 * 32 >= limit:
                limit += MORE
                cgroup.write("memory.max", limit)
        return [int(word) for word in self.process.stdout.readline().split()]


def nothing_else_is_told():
    """But that the cgroup's memory has come to an end."""
    report, trouble = False, []
    for line in kernel_log():
        report = report or bool(OOM[0].search(line))
        if TROUBLE.search(line) and not report:
            trouble.append(line)
        report = report and not OOM[1].search(line)
    check(not trouble, "\n".join(trouble))


def is_watched():
    """What watches memory, or wraps a cipher, takes more."""
    return (os.environ.get("BHSEC_KERNEL") == "debug"
            or bool(os.environ.get("BHSEC_CRYPTO")))


@case("the limit ends it, and the host has paid at most twice of that")
def _():
    cgroup = Cgroup()
    if not cgroup.has_memory:
        cgroup.close()
        raise Skip("no memory controller of version 2")
    maker = Maker(cgroup)
    try:
        kernel_log()
        counted, paid = cgroup.current(), memory()
        limit = counted + LIMIT
        cgroup.write("memory.max", limit)
        maker.go_on()
        made, error = maker.answer(limit, cgroup)
        check_equal(error, errno.ENOMEM, "what ended it")
        cgroup.write("memory.max", "max")
        whole, all_paid = cgroup.current() - counted, memory() - paid
        ksft.print_msg(f"{made} peers, {whole >> 10} KiB counted, "
                       f"{all_paid >> 10} KiB taken")
        check(whole >= LIMIT // 2, f"{whole} bytes were counted")
        check(is_watched() or all_paid <= MOST * whole + OTHERS,
              f"{all_paid} bytes for {whole} that were counted")
        nothing_else_is_told()
        maker.end()
        wait_for(lambda: cgroup.current() <= counted + OTHERS
                 and memory() <= paid + OTHERS,
                 what=lambda: f"{cgroup.current() - counted} bytes are counted, "
                              f"{memory() - paid} taken")
    finally:
        maker.end()
        cgroup.close()


if sys.argv[1:] == ["maker"]:
    maker()
else:
    main()
