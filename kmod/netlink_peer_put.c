// SPDX-License-Identifier: GPL-2.0
/*
 * What is told of a peer, in answers and when it changes.
 */
#include <linux/netdevice.h>
#include <net/netlink.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "netlink.h"
#include "netlink_room.h"
#include "outer.h"
#include "peer.h"
#include "stamp.h"
#include "xfrm_bind.h"

/**
 * bhsec_nl_put_prefix - put a prefix into a message
 * @msg: the message
 * @attr: what it is there
 * @prefix: the prefix
 *
 * Context: any.
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_nl_put_prefix(struct sk_buff *msg, int attr,
			const struct bhsec_prefix *prefix)
{
	struct nlattr *nest = nla_nest_start(msg, attr);

	if (!nest ||
	    nla_put(msg, BHSEC_A_PREFIX_ADDR, prefix->is_ipv6 ? 16 : 4,
		    prefix->addr) ||
	    nla_put_u8(msg, BHSEC_A_PREFIX_LEN, prefix->len))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_prefixes(struct sk_buff *msg, int attr,
			const struct bhsec_prefixes *list)
{
	struct nlattr *nest = nla_nest_start(msg, attr);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; list && i < list->count; i++)
		if (bhsec_nl_put_prefix(msg, BHSEC_A_PREFIX_LIST_PREFIX,
					&list->prefix[i]))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* By its number where it has gone. RCU read lock held. */
static int put_scope(struct sk_buff *msg, const struct bhsec_peer *peer,
		     int scope)
{
	struct net *underlay = rcu_dereference(peer->bdev->underlay);
	struct net_device *dev = NULL;
	char number[IFNAMSIZ];

	if (underlay)
		dev = dev_get_by_index_rcu(underlay, scope);
	snprintf(number, sizeof(number), "%d", scope);
	return nla_put_string(msg, BHSEC_A_PEER_ENDPOINT_DEV,
			      dev ? dev->name : number);
}

static int put_endpoint(struct sk_buff *msg, struct bhsec_peer *peer, u32 lacks)
{
	const struct bhsec_endpoint *endpoint;
	int err = 0;
	u16 port;

	if (lacks & BHSEC_PRIVILEGE_DEVICE)
		return 0;
	rcu_read_lock();
	endpoint = rcu_dereference(peer->endpoint);
	if (endpoint) {
		port = ntohs(READ_ONCE(endpoint->port)) ?:
		       bhsec_device_settings(peer->bdev)->port;
		err = nla_put(msg, BHSEC_A_PEER_ENDPOINT_ADDR,
			      endpoint->is_ipv6 ? 16 : 4, &endpoint->addr);
		if (!err && peer->encap == BHSEC_ENCAP_UDP)
			err = nla_put_u16(msg, BHSEC_A_PEER_ENDPOINT_PORT, port);
		if (!err && endpoint->scope && !(lacks & BHSEC_PRIVILEGE_UNDERLAY))
			err = put_scope(msg, peer, endpoint->scope);
	}
	rcu_read_unlock();
	return err;
}

static int put_last(struct sk_buff *msg, const struct bhsec_peer *peer)
{
	u32 received = bhsec_peer_last(peer, false);
	u32 sent = bhsec_peer_last(peer, true);

	if ((received &&
	     nla_put_u64_64bit(msg, BHSEC_A_PEER_LAST_RECEIVED,
			       bhsec_stamp_age(received), BHSEC_A_PEER_PAD)) ||
	    (sent &&
	     nla_put_u64_64bit(msg, BHSEC_A_PEER_LAST_SENT,
			       bhsec_stamp_age(sent), BHSEC_A_PEER_PAD)))
		return -EMSGSIZE;
	return 0;
}

static int put_path_errors(struct sk_buff *msg, const struct bhsec_peer *peer)
{
	struct nlattr *nest = nla_nest_start(msg, BHSEC_A_PEER_ICMP);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < BHSEC_PATH_ERRORS; i++)
		if (nla_put_u64_64bit(msg, BHSEC_A_ICMP_PORT + i,
				      atomic64_read(&peer->path_errors[i]),
				      BHSEC_A_ICMP_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_origin(struct sk_buff *msg, const struct bhsec_peer *peer)
{
	if (!peer->bound)
		return nla_put_u32(msg, BHSEC_A_PEER_ORIGIN, BHSEC_ORIGIN_HAND);
	return nla_put_u32(msg, BHSEC_A_PEER_ORIGIN, BHSEC_ORIGIN_IKE) ?:
	       nla_put_u32(msg, BHSEC_A_PEER_REQID,
			   bhsec_bound_reqid(peer->bound));
}

/**
 * bhsec_nl_put_peer - put a peer into a message
 * @msg: the message
 * @object: the peer
 * @lacks: BHSEC_PRIVILEGE_* that the reader has not
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_nl_put_peer(struct sk_buff *msg, void *object, u32 lacks)
{
	struct bhsec_peer *peer = object;
	const struct bhsec_prefixes *local;
	u64 sums[BHSEC_COUNTERS] = {};

	local = rcu_dereference_protected(peer->local_selectors,
					  lockdep_is_held(&peer->bdev->lock));
	if (nla_put_u32(msg, BHSEC_A_PEER_IFINDEX, peer->bdev->dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_PEER_IFNAME, peer->bdev->dev->name) ||
	    nla_put_string(msg, BHSEC_A_PEER_NAME, peer->name) ||
	    nla_put_u32(msg, BHSEC_A_PEER_ENCAP, peer->encap) ||
	    (lacks && nla_put_u32(msg, BHSEC_A_PEER_WITHHELD, lacks)) ||
	    put_origin(msg, peer) ||
	    nla_put_u8(msg, BHSEC_A_PEER_ROAM, peer->roam) ||
	    nla_put_u8(msg, BHSEC_A_PEER_ENTROPY, peer->entropy) ||
	    nla_put_u16(msg, BHSEC_A_PEER_KEEPALIVE, peer->keepalive) ||
	    nla_put_u32(msg, BHSEC_A_PEER_MTU, bhsec_outer_peer_mtu(peer)) ||
	    put_endpoint(msg, peer, lacks) || put_last(msg, peer) ||
	    put_path_errors(msg, peer) ||
	    put_prefixes(msg, BHSEC_A_PEER_SELECTORS, peer->selectors) ||
	    put_prefixes(msg, BHSEC_A_PEER_LOCAL_SELECTORS, local) ||
	    bhsec_bound_put_ports(msg, peer->bound))
		return -EMSGSIZE;
	bhsec_peer_sum(peer, sums);
	return bhsec_nl_put_stats(msg, BHSEC_A_PEER_STATS, sums);
}
