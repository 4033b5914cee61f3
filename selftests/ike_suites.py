#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Every suite that a 3GPP gateway may negotiate (TS 33.210, RFC 8221), by IKE:
one controller that takes them all, a station for each, some of them with the
kernel's own IPsec; traffic, a rekey, traffic."""

from libsites import *

SIZES = 0, 1, 100, 1300
# What strongSwan calls each, ESN or not beside it.
PROPOSALS = {
    "aes-gcm-128": "aes128gcm16", "aes-gcm-256": "aes256gcm16",
    "chacha20-poly1305": "chacha20poly1305",
    "aes-ccm-128": "aes128ccm16", "aes-ccm-256": "aes256ccm16",
    "aes-gmac-128": "aes128gmac", "aes-gmac-256": "aes256gmac",
    "null-sha256": "null-sha256",
} | {f"aes-cbc-{bits}-{sha}": f"aes{bits}-{sha}"
     for bits in (128, 256) for sha in ("sha256", "sha384", "sha512")}
WAYS = [("bhsec", "esp"), ("xfrm", "udp"), ("bhsec", "udp"), ("xfrm", "esp")]

ca = Authority("operator")
controller = Controller("ctl", ca)
stations = {}


def offer(n, cipher):
    """Both ends' words for it; every second one with ESN."""
    esn = "esn" if n % 2 else "noesn"
    return f"{PROPOSALS[cipher]}-ecp256-{esn}"


def tried(cipher):
    """All on one kernel, one of each kind on the others."""
    return (os.environ.get("BHSEC_KERNEL") == "7.2"
            or cipher in ("aes-cbc-256-sha256", "aes-gmac-128", "null-sha256"))


for number, suite in enumerate(CIPHERS):
    if not tried(suite):
        continue
    kind, encap = WAYS[number % 4]
    name = suite.replace("-", "")
    site = Station(name, controller, ca.certify(f"{name}.example"), kind, encap)
    site.text = with_values(site.text, esp_proposals=offer(number, suite))
    stations[suite] = site
controller.text = with_values(controller.text, esp_proposals=",".join(
    offer(n, c) for n, c in enumerate(CIPHERS)))
serve(controller, *stations.values())


def agreed(site, suite):
    """What the controller's device has of it: cipher and ESN of both SAs."""
    peer = controller.peer_of(site)
    esn = bool(list(CIPHERS).index(suite) % 2)
    return [(sa["cipher"], sa["esn"]) for sa in peer["sas"]] \
        == [(suite, esn)] * 2


def negotiated(suite):
    site = stations[suite]
    start(None, site)
    site.join()
    wait_for(lambda: agreed(site, suite),
             what=lambda: f"{controller.peer_of(site)}")
    talk(site, SIZES)
    site.daemon.rekey(child=site.name)
    wait_for(lambda: agreed(site, suite),
             what=lambda: f"{controller.peer_of(site)}")
    talk(site, SIZES)
    site.daemon.kill()


@case("a controller that takes every suite")
def _():
    start(None, controller)


for suite, site in stations.items():
    add_case(f"{suite}, the station {site.kind} over {site.encap}", negotiated,
             suite)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
