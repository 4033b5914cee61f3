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

/**
 * struct spi_search - a walk that looks for an SPI
 * @spi: network byte order
 * @looked: states that this step has looked at
 * @count: how many it has found
 * @found: these, held
 */
struct spi_search {
	__be32 spi;
	unsigned int looked;
	unsigned int count;
	struct xfrm_state *found[BHSEC_XFRM_STEP];
};

/*
 * The address functions of the stack look into one VRF each, or outside of all;
 * an address of a link is on that one alone.
 */
static bool is_local6(struct net *net, const struct in6_addr *addr)
{
	struct net_device *dev;

	/* switched off, it has no table of addresses; states it may have */
	if (!ipv6_mod_enabled())
		return false;
	if (ipv6_chk_addr(net, addr, NULL, 0))
		return true;
	for_each_netdev_rcu(net, dev)
		if ((netif_is_l3_master(dev) || netif_is_l3_slave(dev)) &&
		    ipv6_chk_addr(net, addr, dev, 0))
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

/* Under a lock of xfrm's, with softirqs off. */
static int find_spi(struct xfrm_state *x, int count, void *data)
{
	struct spi_search *search = data;

	if (search->looked++ == BHSEC_XFRM_STEP)
		return -EAGAIN;
	if (x->id.spi != search->spi || x->id.proto != IPPROTO_ESP)
		return 0;
	xfrm_state_hold(x);
	search->found[search->count++] = x;
	return 0;
}

/* Is one of those that a step has found inbound? Lets go of them. */
static bool any_inbound(struct net *net, const struct spi_search *search)
{
	bool inbound = false;
	unsigned int i;

	for (i = 0; i < search->count; i++) {
		inbound = inbound || bhsec_xfrm_is_inbound(net, search->found[i]);
		xfrm_state_put(search->found[i]);
	}
	return inbound;
}

/**
 * bhsec_xfrm_has_spi - does the kernel's SAD hold an inbound ESP SA of this SPI
 * @net: the netns
 * @spi: network byte order
 *
 * Others decide how many states there are, and how many of this SPI: what they
 * are for is asked outside of xfrm's lock.
 *
 * Context: may sleep.
 * Return: true if so.
 */
bool bhsec_xfrm_has_spi(struct net *net, __be32 spi)
{
	struct spi_search search = { .spi = spi };
	struct xfrm_state_walk walk;
	bool found;
	int err;

	/* of any protocol, or those between would count for no step */
	xfrm_state_walk_init(&walk, 0, NULL);
	do {
		search.looked = 0;
		search.count = 0;
		err = xfrm_state_walk(net, &walk, find_spi, &search);
		found = any_inbound(net, &search);
		cond_resched();
	} while (err == -EAGAIN && !found);
	xfrm_state_walk_done(&walk, net);
	return found;
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
