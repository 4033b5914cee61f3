// SPDX-License-Identifier: GPL-2.0
/*
 * What to do about a drop, a sentence for each cause.
 */
#include "advice.h"
#include "bhsec.h"
#include "util.h"

static const char *const advice[BHSEC_A_STATS_MAX + 1] = {
	[BHSEC_A_STATS_NO_SA] =
		"no inbound SA has this SPI: the peers' keys are not in step",
	[BHSEC_A_STATS_AUTH] =
		"the keys or ESN differ between the peers, or somebody forges",
	[BHSEC_A_STATS_REPLAY] =
		"sent twice, or later than the window: set a larger one",
	[BHSEC_A_STATS_MALFORMED] =
		"this is no packet that ESP can carry",
	[BHSEC_A_STATS_SELECTOR] =
		"the inner source is not in the selectors of who sends, or not in local-selectors",
	[BHSEC_A_STATS_PADDING] =
		"the peer pads otherwise than RFC 4303 2.4 wants",
	[BHSEC_A_STATS_FRAGMENT] =
		"a fragment came to ESP: the underlay does not put them together",
	[BHSEC_A_STATS_ENCAP] =
		"the peers differ in encap, udp and esp",
	[BHSEC_A_STATS_DUMMY] =
		"the peer sends dummy packets; they are to be dropped",
	[BHSEC_A_STATS_EXPIRED] =
		"the hard lifetime of the SA has run out: add a new one",
	[BHSEC_A_STATS_EXHAUSTED] =
		"the sequence numbers of the SA have run out: add a new one",
	[BHSEC_A_STATS_NO_KEY] =
		"no outbound SA carries this DSCP: add one, or see what the IKE daemon says",
	[BHSEC_A_STATS_NO_PEER] =
		"no peer has the destination in its selectors",
	[BHSEC_A_STATS_NO_ENDPOINT] =
		"the peer has no endpoint: set one, or wait until it is heard",
	[BHSEC_A_STATS_NO_ROUTE] =
		"the underlay has no route to the endpoint, or an XFRM policy catches it",
	[BHSEC_A_STATS_TOO_BIG] =
		"larger than mtu, the largest packet that this way takes",
	[BHSEC_A_STATS_LOOP] =
		"the route to the endpoint leads back into a tunnel: give it another",
	[BHSEC_A_STATS_DOWN] =
		"the device is down: ip link set it up",
	[BHSEC_A_STATS_BACKLOG] =
		"packets come faster than the host takes them",
	[BHSEC_A_STATS_NOMEM] =
		"the host has no memory left",
	[BHSEC_A_STATS_CRYPTO] =
		"the cipher's queue is full, or the cipher fails",
};

/**
 * advice_of - what a drop means for who has to mend it
 * @cause: BHSEC_A_STATS_*
 *
 * Return: a sentence without its point; NULL for what counts no drop.
 */
const char *advice_of(uint32_t cause)
{
	return cause < ARRAY_SIZE(advice) ? advice[cause] : NULL;
}
