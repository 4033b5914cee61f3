// SPDX-License-Identifier: GPL-2.0
/*
 * The way to a peer: from which address, through which device, by which route.
 */
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/dst.h>
#include <net/inet_dscp.h>
#include <net/inet_ecn.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/xfrm.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "outer.h"
#include "peer.h"
#include "route.h"

/* What goes to a peer leaves from the address that it asked, while it is ours. */
static __be32 choose_source4(struct net *underlay,
			     const struct bhsec_settings *settings,
			     struct bhsec_endpoint *endpoint)
{
	if (!READ_ONCE(endpoint->has_source) ||
	    (settings->local4 && !endpoint->source_given))
		return settings->local4;
	if (__ip_dev_find(underlay, endpoint->source.v4, false))
		return endpoint->source.v4;
	WRITE_ONCE(endpoint->has_source, false);
	return 0;
}

static struct dst_entry *look_up4(struct net *underlay,
				  const struct bhsec_settings *settings,
				  struct bhsec_endpoint *endpoint,
				  struct bhsec_outer *outer)
{
	struct flowi4 fl = {
		.daddr = endpoint->addr.v4,
		.saddr = choose_source4(underlay, settings, endpoint),
		.flowi4_oif = settings->ifindex,
		.flowi4_mark = outer->mark,
		.flowi4_proto = bhsec_outer_protocol(outer),
		.fl4_sport = outer->sport,
		.fl4_dport = outer->dport,
	};
	struct rtable *rt;

	bhsec_flow4_set_class(&fl, outer->tos);
	rt = ip_route_output_flow(underlay, &fl, NULL);
	if (IS_ERR(rt))
		return NULL;
	memcpy(&outer->saddr, &fl.saddr, sizeof(fl.saddr));
	return &rt->dst;
}

/*
 * With a source the kernel only prefers the device that is asked for: a longer
 * prefix on another one, such as a tunnel's from host to host, would win.
 */
static struct dst_entry *route6_by_dev(struct net *underlay, struct flowi6 *fl)
{
	struct dst_entry *dst;
	int err;

	dst = ip6_route_output_flags(underlay, NULL, fl, RT6_LOOKUP_F_IFACE);
	err = dst->error;
	if (!err)
		return xfrm_lookup_route(underlay, dst, flowi6_to_flowi(fl),
					 NULL, 0);
	dst_release(dst);
	return ERR_PTR(err);
}

/* No route, or one that its source cannot take: -EADDRNOTAVAIL. */
static struct dst_entry *look_up6_from(struct net *underlay,
				       const struct bhsec_settings *settings,
				       const struct bhsec_endpoint *endpoint,
				       struct flowi6 *fl)
{
	struct dst_entry *dst;

	if (endpoint->scope)
		fl->flowi6_oif = endpoint->scope;
	if (bhsec_endpoint_is_link_local(&endpoint->addr, true) &&
	    !bhsec_endpoint_has_link(underlay, fl->flowi6_oif, settings->ifindex))
		return ERR_PTR(-ENODEV);
	if (fl->flowi6_oif && !ipv6_addr_any(&fl->saddr) && ipv6_mod_enabled())
		dst = route6_by_dev(underlay, fl);
	else
		dst = bhsec_route_ipv6(underlay, fl);
	if (IS_ERR(dst))
		return dst;
	/* for IPv4 the route's look-up asks whether it is ours */
	if (ipv6_chk_addr(underlay, &fl->saddr, dst->dev, 0))
		return dst;
	dst_release(dst);
	return ERR_PTR(-EADDRNOTAVAIL);
}

static struct dst_entry *look_up6(struct net *underlay,
				  const struct bhsec_settings *settings,
				  struct bhsec_endpoint *endpoint,
				  struct bhsec_outer *outer)
{
	struct flowi6 fl = {
		.daddr = endpoint->addr.v6,
		.saddr = settings->local6,
		.flowi6_oif = settings->ifindex,
		.flowi6_mark = outer->mark,
		.flowlabel = ip6_make_flowinfo(outer->tos & INET_DSCP_MASK, 0),
		.flowi6_proto = bhsec_outer_protocol(outer),
		.fl6_sport = outer->sport,
		.fl6_dport = outer->dport,
	};
	struct dst_entry *dst;
	bool asked;

	asked = READ_ONCE(endpoint->has_source) &&
		(endpoint->source_given || ipv6_addr_any(&settings->local6));
	if (asked)
		fl.saddr = endpoint->source.v6;
	dst = look_up6_from(underlay, settings, endpoint, &fl);
	if (asked && dst == ERR_PTR(-EADDRNOTAVAIL)) {
		WRITE_ONCE(endpoint->has_source, false);
		fl.saddr = in6addr_any;
		dst = look_up6_from(underlay, settings, endpoint, &fl);
	}
	if (IS_ERR(dst))
		return NULL;
	outer->saddr = fl.saddr;
	return dst;
}

/* Why a route cannot be taken, 0 if it can. */
static unsigned int objection(const struct dst_entry *dst)
{
	/*
	 * A host-wide XFRM policy wants these packets: not past it. While it
	 * has no SA, what it gives discards them.
	 */
	if (dst->xfrm || READ_ONCE(dst->output) == dst_discard_out)
		return BHSEC_A_STATS_NO_ROUTE;
	if (bhsec_is_device(dst->dev))
		return BHSEC_A_STATS_LOOP;
	return 0;
}

/* The route outlives its last reference until the RCU read lock is released. */
static unsigned int look_up(struct net *underlay,
			    const struct bhsec_settings *settings,
			    struct bhsec_endpoint *endpoint,
			    unsigned int generation, struct bhsec_outer *outer)
{
	unsigned int drop;

	outer->dst = outer->is_ipv6 ?
		     look_up6(underlay, settings, endpoint, outer) :
		     look_up4(underlay, settings, endpoint, outer);
	if (!outer->dst)
		return BHSEC_A_STATS_NO_ROUTE;
	drop = objection(outer->dst);
	if (!drop)
		bhsec_route_set(&endpoint->route, generation, outer->tos >> 2,
				outer->dst, &outer->saddr);
	dst_release(outer->dst);
	return drop;
}

/**
 * bhsec_outer_route - addresses, ports and route to a peer
 * @peer: the peer
 * @outer: is filled, but for what the inner packet decides; the DSCP, by which
 *	the host may choose the route, has been; its route is valid until the
 *	RCU read lock is released
 *
 * Context: RCU read lock held, softirqs off.
 * Return: 0, or the counter of the reason why there is no way.
 */
unsigned int bhsec_outer_route(struct bhsec_peer *peer,
			       struct bhsec_outer *outer)
{
	struct bhsec_endpoint *endpoint = rcu_dereference(peer->endpoint);
	struct net *underlay = rcu_dereference(peer->bdev->underlay);
	const struct bhsec_settings *settings;
	unsigned int generation;

	if (!endpoint)
		return BHSEC_A_STATS_NO_ENDPOINT;
	generation = bhsec_route_generation(&endpoint->route);
	settings = rcu_dereference(peer->bdev->settings);
	outer->is_ipv6 = endpoint->is_ipv6;
	outer->mark = settings->mark;
	if (!underlay)
		return BHSEC_A_STATS_NO_ROUTE;
	outer->daddr = endpoint->addr.v6;
	outer->dst = bhsec_route_get(&endpoint->route, outer->tos >> 2,
				     &outer->saddr);
	/* read last: a port that is learned after this has the route reset */
	if (peer->encap == BHSEC_ENCAP_UDP) {
		outer->sport = endpoint->own_port ?: htons(settings->port);
		outer->dport = READ_ONCE(endpoint->port) ?: outer->sport;
	}
	return likely(outer->dst) ? 0 : look_up(underlay, settings, endpoint,
						generation, outer);
}
