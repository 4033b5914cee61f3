// SPDX-License-Identifier: GPL-2.0
/*
 * Whom the kernel's SAD knows an SPI of.
 */
#include <linux/inetdevice.h>
#include <linux/ipv6.h>
#include <net/addrconf.h>
#include <net/xfrm.h>

#include "arrival.h"
#include "compat.h"
#include "xfrm_sad.h"

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

/**
 * bhsec_xfrm_is_inbound - is an XFRM state for what comes in
 * @net: its netns
 * @x: the state; what it says of its direction counts for more
 *
 * Inbound is what is addressed to us; an SPI of the other side is no matter.
 *
 * Context: any.
 * Return: true if so.
 */
bool bhsec_xfrm_is_inbound(struct net *net, const struct xfrm_state *x)
{
	bool local;

	if (bhsec_xfrm_dir(x))
		return bhsec_xfrm_dir(x) == BHSEC_XFRM_DIR_IN;

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

	if (x->id.spi == search->spi && bhsec_xfrm_is_inbound(xs_net(x), x))
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

/**
 * bhsec_xfrm_state_of - the state that a datagram came by
 * @skb: the datagram
 * @spi: its SPI, network byte order
 * @arrival: its outer packet
 *
 * The look-up is the one that xfrm itself makes next.
 *
 * Context: RCU read lock held.
 * Return: the state, for xfrm_state_put(), or NULL.
 */
struct xfrm_state *bhsec_xfrm_state_of(const struct sk_buff *skb, __be32 spi,
				       const struct bhsec_arrival *arrival)
{
	const xfrm_address_t *daddr = (const xfrm_address_t *)&arrival->daddr;

	return xfrm_state_lookup(dev_net(skb->dev), skb->mark, daddr, spi,
				 IPPROTO_ESP,
				 arrival->is_ipv6 ? AF_INET6 : AF_INET);
}

/**
 * bhsec_xfrm_takes - has the kernel's SAD an SA for an ESP datagram
 * @skb: the datagram
 * @spi: its SPI, network byte order
 * @arrival: its outer packet
 *
 * Context: RCU read lock held.
 * Return: true if so.
 */
bool bhsec_xfrm_takes(const struct sk_buff *skb, __be32 spi,
		      const struct bhsec_arrival *arrival)
{
	struct xfrm_state *x = bhsec_xfrm_state_of(skb, spi, arrival);

	if (x)
		xfrm_state_put(x);
	return x;
}
