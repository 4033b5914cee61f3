#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""The guides of userspace/doc are true: each block of commands in them runs as it
stands, on a controller and a station, and says what the guide says."""

from libguides import *

LINES = 150
WORLDS = {}         # by guide, while it is read


def read(name):
    with open(f"{DOC}/{name}", encoding="utf-8") as file:
        return file.read()


def parsed(name, text):
    try:
        return sections_of(text)
    except Failure as failure:
        raise Failure(f"{name}: {failure}") from None


guides = {name: read(name) for name in sorted(os.listdir(DOC))}
sections = {name: parsed(name, text) for name, text in guides.items()}


def first_blocks(name):
    """Of the guide that it goes on from."""
    before = re.search(r"^<!-- after (\S+) -->$", guides[name], re.M)
    if not before:
        return []
    *parts, _ = sections[before[1]].values()
    return [block for part in parts for block in part]


def follow(name, heading):
    """A section, in the world that those before it have left."""
    if name not in WORLDS:
        WORLDS[name] = World()
        WORLDS[name].do(first_blocks(name))
    WORLDS[name].do(sections[name][heading])
    if heading == list(sections[name])[-1]:
        WORLDS.pop(name).end()


def refused(text, reason):
    """A guide that is so is not taken for true."""
    worlds = []
    try:
        parts = sections_of(text)
        worlds.append(World())
        worlds[0].do(parts["its beginning"])
    except Failure as failure:
        check(reason in str(failure), f"{failure}\ndoes not say {reason!r}")
    else:
        raise Failure(f"it was taken for true:\n{text}")
    finally:
        for world in worlds:
            world.end()


@case("guides are short, and what they refer to is there")
def _():
    for name, text in guides.items():
        seen = re.sub(r"<!--.*?-->\n", "", text, flags=re.S)
        check(seen.count("\n") < LINES, f"{name} has {LINES} lines or more")
        for link in re.findall(r"\]\(([^)#]*)\)", text):
            check("://" in link or link in guides, f"{name}: no {link}")


for guide in guides:
    for part in sections[guide]:
        add_case(f"{guide}: {part}", follow, guide, part)


@case("a guide that is wrong is seen to be")
def _():
    good = ("```sh controller\nip link add bh0 type bhsec\nbhsec show\n```\n"
            "```output\nbh0 port <n> ... window 4096 ...\n```\n")
    world = World()
    world.do(sections_of(good)["its beginning"])
    world.end()
    for old, new, reason in (
            ("type bhsec", "type bhsecx", "Unknown device type"),
            ("4096", "4097", "window 4097"),
            ("controller", "controller exit 3", "exit status"),
            ("sh controller", "sh", "marked 'sh'"),
            ("sh controller", "", "marked ''"),
            ("```sh", "    indented\n```sh", "without a mark"),
            ("controller\nip", "controller install\nip", "how to look at ip"),
            ("controller\nip link add",
             "controller install\nsystemctl start bhsec-none\n",
             "there is no bhsec-none")):
        refused(good.replace(old, new), reason)


@case("README's IKE tunnel is the guide's")
def _():
    path = f"{TESTS}/../README.md"
    if not os.path.exists(path):
        raise Skip("there is no README.md beside the tests")
    with open(path, encoding="utf-8") as readme:
        text = readme.read()
    files = [block for part in sections["ike.md"].values() for block in part
             if block.kind == "file" and block.words["path"].endswith("bh0.conf")]
    check_equal(len(files), len(PLACES), "files")
    for block in files:
        lines = [f"    {line}" for line in block.text.splitlines() if line]
        check("\n".join(lines) in text, f"README has no\n{block.text}")


if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
