// SPDX-License-Identifier: GPL-2.0
/*
 * What bhsec knows of the kernel's own IPsec: the one room that looks into an
 * xfrm_state.
 */
#include <net/addrconf.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "xfrm_bind.h"

struct spi_search {
	__be32 spi;
	bool found;
};

/* Inbound is what is addressed to us; an SPI of the other side is no matter. */
static bool is_inbound(struct net *net, const struct xfrm_state *x)
{
	if (x->props.family == AF_INET)
		return inet_addr_type(net, x->id.daddr.a4) == RTN_LOCAL;
	return ipv6_chk_addr(net, &x->id.daddr.in6, NULL, 0);
}

static int match_spi(struct xfrm_state *x, int count, void *data)
{
	struct spi_search *search = data;

	if (x->id.spi == search->spi && is_inbound(xs_net(x), x))
		search->found = true;
	return search->found ? -EEXIST : 0;
}

/**
 * bhsec_xfrm_has_spi - does the kernel's SAD hold an inbound ESP SA of this SPI
 * @net: the netns
 * @spi: network byte order
 *
 * Context: may sleep.
 * Return: true if so.
 */
bool bhsec_xfrm_has_spi(struct net *net, __be32 spi)
{
	struct spi_search search = { .spi = spi };
	struct xfrm_state_walk walk;

	xfrm_state_walk_init(&walk, IPPROTO_ESP, NULL);
	xfrm_state_walk(net, &walk, match_spi, &search);
	xfrm_state_walk_done(&walk, net);
	return search.found;
}
