// SPDX-License-Identifier: GPL-2.0
/*
 * Where a peer is, the cached route to there, and how that is learned from its
 * packets.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/udp.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "peer.h"
#include "sa.h"

/**
 * bhsec_endpoint_alloc - an endpoint with an empty route cache
 * @addr: address, network byte order
 * @is_ipv6: its family
 * @port: network byte order, 0 for the device's
 * @gfp: for the allocation
 *
 * Context: as @gfp says.
 * Return: the endpoint, for bhsec_endpoint_free(), or NULL.
 */
struct bhsec_endpoint *bhsec_endpoint_alloc(const void *addr, bool is_ipv6,
					    __be16 port, gfp_t gfp)
{
	struct bhsec_endpoint *endpoint;

	endpoint = kzalloc_obj(*endpoint, gfp);
	if (!endpoint)
		return NULL;
	if (dst_cache_init(&endpoint->route, gfp)) {
		kfree(endpoint);
		return NULL;
	}
	endpoint->is_ipv6 = is_ipv6;
	endpoint->port = port;
	memcpy(&endpoint->addr, addr, is_ipv6 ? 16 : 4);
	return endpoint;
}

static void endpoint_free_rcu(struct rcu_head *rcu)
{
	struct bhsec_endpoint *endpoint = container_of(rcu, struct bhsec_endpoint,
						       rcu);

	dst_cache_destroy(&endpoint->route);
	kfree(endpoint);
}

/**
 * bhsec_endpoint_free - free an endpoint after a grace period
 * @endpoint: no longer published, may be NULL
 *
 * Context: any.
 */
void bhsec_endpoint_free(struct bhsec_endpoint *endpoint)
{
	if (endpoint)
		call_rcu(&endpoint->rcu, endpoint_free_rcu);
}

/**
 * bhsec_endpoint_set - move a peer
 * @peer: the peer
 * @new: where to; taken over
 *
 * Context: any.
 */
void bhsec_endpoint_set(struct bhsec_peer *peer, struct bhsec_endpoint *new)
{
	struct bhsec_endpoint *old;

	spin_lock_bh(&peer->endpoint_lock);
	old = rcu_replace_pointer(peer->endpoint, new,
				  lockdep_is_held(&peer->endpoint_lock));
	spin_unlock_bh(&peer->endpoint_lock);
	bhsec_endpoint_free(old);
}

/**
 * bhsec_endpoint_forget_route - look the route to the endpoint up anew
 * @peer: the peer
 *
 * Context: any. Packets that still hold the old route keep it.
 */
void bhsec_endpoint_forget_route(struct bhsec_peer *peer)
{
	struct bhsec_endpoint *endpoint;

	rcu_read_lock();
	endpoint = rcu_dereference(peer->endpoint);
	if (endpoint)
		dst_cache_reset(&endpoint->route);
	rcu_read_unlock();
}

/**
 * bhsec_endpoint_release_route - let go of the underlay's routes at once
 * @peer: the peer
 *
 * Context: the device's lock is held; no packet looks for a route any more.
 */
void bhsec_endpoint_release_route(struct bhsec_peer *peer)
{
	struct bhsec_endpoint *endpoint;

	rcu_read_lock();
	endpoint = rcu_dereference(peer->endpoint);
	if (endpoint)
		dst_cache_reset_now(&endpoint->route);
	rcu_read_unlock();
}

static bool came_from(const struct bhsec_peer *peer,
		      const struct bhsec_endpoint *endpoint,
		      const struct sk_buff *skb)
{
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);
	bool is_ipv6 = ip_hdr(skb)->version == 6;

	if (!endpoint || endpoint->is_ipv6 != is_ipv6)
		return false;
	if (is_ipv6 ? !ipv6_addr_equal(&ipv6_hdr(skb)->saddr, &endpoint->addr.v6) :
		      ip_hdr(skb)->saddr != endpoint->addr.v4)
		return false;
	return peer->encap != BHSEC_ENCAP_UDP ||
	       udp_hdr(skb)->source == (endpoint->port ?: htons(settings->port));
}

static struct bhsec_endpoint *source_of(const struct bhsec_peer *peer,
					const struct sk_buff *skb)
{
	bool is_ipv6 = ip_hdr(skb)->version == 6;
	const void *addr = is_ipv6 ? (void *)&ipv6_hdr(skb)->saddr :
				     (void *)&ip_hdr(skb)->saddr;
	__be16 port = peer->encap == BHSEC_ENCAP_UDP ? udp_hdr(skb)->source : 0;

	return bhsec_endpoint_alloc(addr, is_ipv6, port, GFP_ATOMIC);
}

/*
 * A later packet, on another CPU, came from where the peer now is. What is
 * later between two SAs no number says: another one waits for a second, in
 * which its late packets have come.
 */
static bool may_learn(struct bhsec_sa *sa, u64 seq)
{
	const struct bhsec_peer *peer = sa->peer;
	__be32 spi = READ_ONCE(peer->learned_spi);

	/* a deleted one's may have come by another encapsulation */
	return READ_ONCE(peer->roam) && bhsec_sa_seq(sa) == seq &&
	       atomic_read(&sa->state) == BHSEC_SA_STATE_ACTIVE &&
	       (!spi || spi == sa->spi ||
		time_after(jiffies, READ_ONCE(peer->learned_at) + HZ));
}

/**
 * bhsec_endpoint_learn - answer where an authentic packet came from
 * @sa: the SA that opened it
 * @skb: the packet; network and transport header are the outer ones
 * @seq: its sequence number, which raised the top of the window
 *
 * Its UDP checksum was right, or none: the door of a socket takes no other.
 *
 * Context: RCU read lock held.
 */
void bhsec_endpoint_learn(struct bhsec_sa *sa, const struct sk_buff *skb,
			  u64 seq)
{
	struct bhsec_peer *peer = sa->peer;
	struct bhsec_endpoint *new;

	if (!READ_ONCE(peer->roam) ||
	    came_from(peer, rcu_dereference(peer->endpoint), skb) ||
	    !may_learn(sa, seq))
		return;
	new = source_of(peer, skb);
	if (!new)
		return;
	spin_lock_bh(&peer->endpoint_lock);
	if (may_learn(sa, seq)) {
		new = rcu_replace_pointer(peer->endpoint, new,
					  lockdep_is_held(&peer->endpoint_lock));
		WRITE_ONCE(peer->learned_at, jiffies);
		WRITE_ONCE(peer->learned_spi, sa->spi);
	}
	spin_unlock_bh(&peer->endpoint_lock);
	bhsec_endpoint_free(new);
}
