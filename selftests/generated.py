#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""The netlink header is what the kernel's generator makes of bhsec.yaml.

With --write it is made so.
"""

import tempfile

from lib import *


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


if sys.argv[1:] == ["--write"]:
    header = generate(read("bhsec.yaml"))
    with open(os.path.join(SOURCE["kmod"], "uapi/bhsec.h"), "w") as file:
        file.write(header)
else:
    main()
