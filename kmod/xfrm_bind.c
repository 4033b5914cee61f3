// SPDX-License-Identifier: GPL-2.0
/*
 * What bhsec knows of the kernel's own IPsec: the one room that looks into an
 * xfrm_state.
 */
#include <linux/inetdevice.h>
#include <linux/ipv6.h>
#include <net/addrconf.h>
#include <net/xfrm.h>

#include "xfrm_bind.h"

struct spi_search {
	__be32 spi;
	bool found;
};

/* The address functions of the stack look into one VRF each. */
static bool is_local6(struct net *net, const struct in6_addr *addr)
{
	struct net_device *dev;

	/* switched off, it has no table of addresses; states it may have */
	if (!ipv6_mod_enabled())
		return false;
	for_each_netdev_rcu(net, dev)
		if (ipv6_chk_addr(net, addr, dev, 0))
			return true;
	return false;
}

/* Inbound is what is addressed to us; an SPI of the other side is no matter. */
static bool is_inbound(struct net *net, const struct xfrm_state *x)
{
	bool local;

	rcu_read_lock();
	local = x->props.family == AF_INET ?
		!!__ip_dev_find(net, x->id.daddr.a4, false) :
		is_local6(net, &x->id.daddr.in6);
	rcu_read_unlock();
	return local;
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
