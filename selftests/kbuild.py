#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: newest
"""A kernel that lacks what bhsec needs is refused by one sentence."""

from lib import *

NEEDED = ("INET", "IPV6", "NETFILTER", "XFRM", "NET_UDP_TUNNEL",
          "NF_SOCKET_IPV4", "NF_SOCKET_IPV6")
KBUILD = f"{SOURCE['kmod']}/../Kbuild"


def said(*options):
    """What make says of a kernel with these; none makes anything here."""
    done = subprocess.run(
        ["make", "-f", KBUILD, "srctree=/none",
         *(f"CONFIG_{option}=y" for option in options)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False)
    return re.findall("bhsec needs.*CONFIG_.*", done.stdout)


@case("without an option it needs")
def _():
    if not os.path.exists(KBUILD):
        raise Skip("there is no Kbuild beside the tests")
    check_equal(said("MODULES", *NEEDED), [], "a kernel with all")
    for option in NEEDED:
        lines = said("MODULES", *(set(NEEDED) - {option}))
        check(len(lines) == 1 and f"a kernel with CONFIG_{option}." in lines[0],
              f"without {option}: {lines}")


@case("with one of two that each will do")
def _():
    others = [option.replace("SOCKET", "TPROXY") for option in NEEDED]
    check_equal(said("MODULES", *others), [], "a kernel with the other")


@case("where no kernel is configured nothing is refused")
def _():
    check_equal(said(), [], "said")


main()
