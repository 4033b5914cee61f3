#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""The netlink header is what the kernel's generator makes of bhsec.yaml, and the
guide's tables of counters and events are what yaml and tool say.

With --write they are made so.
"""

import tempfile

from lib import *
from libreference import Reference

COUNTERS = os.path.join(SOURCE["userspace"], "doc/counters.md")

def generate(yaml):
    """The generator wants a spec inside a kernel tree, by an absolute path;
    outside of one it looks for the tree's top for ever."""
    with tempfile.TemporaryDirectory() as tree:
        specs = f"{tree}/Documentation/netlink/specs"
        os.makedirs(specs)
        open(f"{tree}/MAINTAINERS", "w").close()
        subprocess.run(["cp", f"{LINUX}/Documentation/netlink/genetlink.yaml",
                        f"{tree}/Documentation/netlink"], check=True)
        with open(f"{specs}/bhsec.yaml", "w") as spec:
            spec.write(yaml)
        return subprocess.run(
            ["/usr/bin/python3", f"{LINUX}/tools/net/ynl/pyynl/ynl_gen_c.py",
             "--mode", "uapi", "--header", "--spec", f"{specs}/bhsec.yaml"],
            check=True, capture_output=True, text=True, timeout=120).stdout


def read(name):
    with open(os.path.join(SOURCE["kmod"], name)) as file:
        return file.read()


@case("kmod/uapi/bhsec.h is generated from kmod/bhsec.yaml")
def _():
    check_equal(generate(read("bhsec.yaml")).splitlines(),
                read("uapi/bhsec.h").splitlines(), "the header")


@case("a change of the yaml is seen in the header")
def _():
    changed = read("bhsec.yaml").replace("name: dscp-copy",
                                              "name: dscp-other")
    check("BHSEC_DSCP_OTHER" in generate(changed), "the change went unseen")


def counters(kmod=SOURCE["kmod"]):
    """The guide as it is, and as it should be."""
    with open(COUNTERS, encoding="utf-8") as guide:
        text = guide.read()
    return text, Reference(kmod, SOURCE["userspace"]).renewed(text)


@case("the guide's counters and events are those of bhsec.yaml and the tool")
def _():
    text, wanted = (document.splitlines() for document in counters())
    check_equal([line for line in text if line not in wanted],
                [line for line in wanted if line not in text], "rows")
    check_equal(text, wanted, "the guide")


@case("a change of the yaml is seen in the guide")
def _():
    with tempfile.TemporaryDirectory() as kmod:
        with open(f"{kmod}/bhsec.yaml", "w") as spec:
            spec.write(read("bhsec.yaml").replace("- encap\n", "- encapped\n"))
        try:
            counters(kmod)
        except KeyError as missing:
            check_equal(str(missing), "'encapped'", "what has no priority")
        else:
            raise Failure("an event that the tool does not know went unseen")
        with open(f"{kmod}/bhsec.yaml", "w") as spec:
            spec.write(read("bhsec.yaml").replace("the ICV is wrong", "whatever"))
        text, wanted = counters(kmod)
        check(text != wanted and "whatever" in wanted, "it went unseen")


if sys.argv[1:] == ["--write"]:
    header = generate(read("bhsec.yaml"))
    with open(os.path.join(SOURCE["kmod"], "uapi/bhsec.h"), "w") as file:
        file.write(header)
    _, wanted = counters()
    with open(COUNTERS, "w", encoding="utf-8") as file:
        file.write(wanted)
else:
    main()
