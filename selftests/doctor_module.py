#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: newest
"""bhsec doctor: whether there is a module for the kernel that runs, and whether
the right one is loaded."""

import glob
import platform
import shutil
import tempfile

from libdoctor import *

RELEASE = platform.release()
OTHER = "6.0.0-other"
DKMS = "/var/lib/dkms/bhsec/0.1.0/build"
TOOL = "bhsec doctor -j"
directory = tempfile.mkdtemp()


def run(script):
    """What is found in a mount namespace that this has changed."""
    return found_of(subprocess.run(["unshare", "-m", "sh", "-ec", script + TOOL],
                                   capture_output=True, text=True, check=False))


# The module, before anything loads it

HIDE = "mount -t tmpfs none /lib/modules\n"
HEADERS = ("mkdir -p /lib/modules/{0}/build/include/config\n"
           ">/lib/modules/{0}/build/Makefile\n"
           "echo {1} >/lib/modules/{0}/build/include/config/kernel.release\n")
LOCKED = ("mount -t tmpfs none /sys/kernel/security\n"
          "echo 'none [integrity] confidentiality' >/sys/kernel/security/lockdown\n")
ENFORCED = ("mount -t tmpfs none /sys/kernel/security\n"
            f"echo Y >{directory}/enforce\n"
            f"mount --bind {directory}/enforce "
            "/sys/module/module/parameters/sig_enforce\n")
SECURE_BOOT = ("mount -t tmpfs none /sys/kernel/security\n"
               "mount -t tmpfs none /sys/firmware\n"
               "mkdir -p /sys/firmware/efi/efivars\n"
               "printf '\\006\\000\\000\\000\\001' >/sys/firmware/efi/efivars/"
               "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c\n")


def is_loaded():
    return os.path.isdir("/sys/module/bhsec")


def instead(module):
    """A script that puts this file in the place of the installed module."""
    return (f"mkdir -p {directory}/modules/{RELEASE}/extra\n"
            f"cp /lib/modules/{RELEASE}/modules.builtin* "
            f"/lib/modules/{RELEASE}/modules.order {directory}/modules/{RELEASE}\n"
            f"cp {module} {directory}/modules/{RELEASE}/extra/bhsec.ko\n"
            f"mount --bind {directory}/modules /lib/modules\ndepmod {RELEASE}\n")


@case("a module that is installed and not loaded is right, and stays unloaded")
def _():
    check(not is_loaded(), "it was loaded before")
    check_equal(run(""), {}, "findings")
    check(not is_loaded(), "it was loaded")


@case("headers that are missing, or another kernel's")
def _():
    found = run(HIDE)
    check_equal(list(found), ["headers"], "missing")
    check_equal(found["headers"]["command"], f"apt install linux-headers-{RELEASE}",
                "command")
    found = run(HIDE + HEADERS.format(OTHER, OTHER))
    check(f"those of {OTHER} are" in found["headers"]["finding"], found)
    found = run(HIDE + HEADERS.format(RELEASE, OTHER))
    check(f"another kernel, Linux {OTHER}" in found["headers"]["finding"], found)


@case("headers are there, and no module")
def _():
    found = run(HIDE + HEADERS.format(RELEASE, RELEASE))
    check_equal(list(found), ["module"], "findings")
    check_equal(found["module"]["command"], "make && sudo make install", "command")


def fail_to_build(release):
    """As DKMS leaves it: its own line, and what the compiler said."""
    os.makedirs(DKMS, exist_ok=True)
    broken = subprocess.run(
        ["gcc", "-xc", "-c", "-o", "/dev/null", "-"], capture_output=True,
        text=True, check=False,
        input="#warning beware\nint f(void) { return no_such_thing; }\nint g(;\n")
    with open(f"{DKMS}/make.log", "w", encoding="ascii") as log:
        log.write(f"DKMS make.log for bhsec-0.1.0 for kernel {release} (x86_64)\n"
                  + broken.stderr.encode("ascii", "replace").decode())


@case("DKMS could not build it: the compiler's first error")
def _():
    fail_to_build(RELEASE)
    try:
        found = run(HIDE + HEADERS.format(RELEASE, RELEASE))
        check_equal(list(found), ["dkms"], "findings")
        check("no_such_thing" in found["dkms"]["finding"], found)
        check_equal(found["dkms"]["command"], f"less {DKMS}/make.log", "command")
        check_equal(list(run("")), ["dkms"], "with an older module installed")
        fail_to_build(OTHER)
        check_equal(run(""), {}, "of another kernel")
        os.unlink(f"{DKMS}/make.log")
        found = run(HIDE + HEADERS.format(RELEASE, RELEASE))
        check_equal(found["module"]["command"], f"dkms autoinstall -k {RELEASE}",
                    "what has not been built")
    finally:
        shutil.rmtree("/var/lib/dkms/bhsec")


def a_signed_module():
    """One of the distribution's."""
    for path in glob.glob(f"/lib/modules/{RELEASE}/kernel/drivers/net/dummy.ko*"):
        plain = f"{directory}/dummy.ko"
        unpack = ["xz", "-dc"] if path.endswith(".xz") else ["cat"]
        with open(plain, "wb") as file:
            subprocess.run([*unpack, path], stdout=file, check=True)
        if subprocess.run(["modinfo", "-F", "sig_id", plain], check=True,
                          capture_output=True).stdout.strip():
            return plain
    raise Failure("no module is signed")


@case("under Secure Boot a module without a signature")
def _():
    signed = instead(a_signed_module())
    for how in LOCKED, ENFORCED, SECURE_BOOT:
        found = run(how)
        check_equal(list(found), ["signature"], how)
        check(f"/lib/modules/{RELEASE}/extra/bhsec.ko is not signed" in
              found["signature"]["finding"], found)
        check_equal(run(signed + how), {}, "one with a signature")


# What is loaded

def patched(word):
    """The installed module with another value of this in its .modinfo."""
    with open(f"/lib/modules/{RELEASE}/extra/bhsec.ko", "rb") as file:
        module = file.read()
    at = module.index(b"\0" + word + b"=") + len(word) + 2
    last = module.index(b"\0", at) - 1
    other = b"1" if module[last:last + 1] != b"1" else b"2"
    path = f"{directory}/patched.ko"
    with open(path, "wb") as file:
        file.write(module[:last] + other + module[last + 1:])
    return module[at:last].decode() + other.decode(), path


@case("a module is loaded that is not the installed one")
def _():
    load_module()
    check_equal(run(""), {}, "it is")
    for word in b"version", b"srcversion":
        value, path = patched(word)
        found = run(instead(path))
        check_equal(list(found), ["version"], f"{word}")
        check(value in found["version"]["finding"], found)


# What a kernel with another version of the family would say: the attribute's
# length and type, and the version.
FAMILY = r"""#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	ssize_t size = real(fd, msg, flags);
	char *at = size <= 0 ? NULL : memmem(msg->msg_iov->iov_base, size,
					     "\10\0\3\0\1\0\0\0", 8);

	if (at)
		at[4] = 77;
	return size;
}
"""


@case("a module of another version of the family")
def _():
    load_module()
    library = f"{directory}/family.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "-", "-o", library],
                   input=FAMILY, text=True, check=True)
    found = run(f"export LD_PRELOAD={library}\n")
    check_equal(list(found), ["family"], "findings")
    check("version 77" in found["family"]["finding"], found)


main()
