# SPDX-License-Identifier: GPL-2.0
"""A program on a terminal of its own, and what its user sees there: the screen
is that of pyte, an emulator. A shell with job control stands between, as it does
between an operator and a program."""

import contextlib
import termios

import pyte

from lib import *

# Says on 3 how it ended, and each time it is stopped; waits for a line on 4.
SHELL = """
after() {
	[ $1 = 148 ] || return $1
	echo stopped >&3
	read -r line <&4
	fg >/dev/null
	after $?
}
"$@" 3>&- 4<&-
after $?
echo "ended $?" >&3
read -r line <&4
"""


def window(rows, columns):
    return struct.pack("4H", rows, columns, 0, 0)


class Terminal:
    """`with` ends what runs on it."""

    def __init__(self, ns, *words, rows=24, columns=80, term="vt100"):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.lock, self.bytes = threading.Lock(), b""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, window(rows, columns))
        self.fresh = self.modes()
        said, say = os.pipe()
        hear, self.tell = os.pipe()
        # they get the numbers that the shell knows them by
        with ns:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec 3>&{say} 4<&{hear}; exec bash -mc "
                 f"'{SHELL}' bash \"$@\"", "bash", *map(str, words)],
                stdin=slave, stdout=slave, stderr=slave, pass_fds=(say, hear),
                start_new_session=True, env=os.environ | {"TERM": term},
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        open_processes.append(self.process)
        for fd in slave, say, hear:
            os.close(fd)
        self.said = os.fdopen(said)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        with contextlib.suppress(OSError):      # hung up
            while data := os.read(self.master, 65536):
                with self.lock:
                    self.bytes += data
                    self.stream.feed(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.tell)
        self.process.kill()
        self.process.wait()
        # what was on it is hung up with its shell
        self.thread.join()
        os.close(self.master)
        self.said.close()

    def modes(self):
        """Of its driver; asked at this end, which the other's end outlives."""
        return termios.tcgetattr(self.master)

    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def sent(self):
        """All bytes that the program has sent."""
        with self.lock:
            return self.bytes

    def press(self, keys):
        os.write(self.master, keys.encode())

    def resize(self, rows, columns):
        with self.lock:
            self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, window(rows, columns))

    def clear(self):
        with self.lock:
            self.screen.reset()

    def hears(self, word):
        check_equal(self.said.readline().strip(), word, "of the program")

    def go_on(self):
        os.write(self.tell, b"\n")

    def pid_of(self, name):
        """The process of that name that this shell has begun."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"

        def found():
            with open(path, encoding="ascii") as children:
                for pid in children.read().split():
                    with contextlib.suppress(OSError), \
                            open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                        if comm.read().strip() == name:
                            return int(pid)
            return None
        return wait_for(found, what=name)
