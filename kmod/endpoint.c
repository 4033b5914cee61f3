// SPDX-License-Identifier: GPL-2.0
/*
 * Where a peer is, the cached route to there, and how that is learned from its
 * packets.
 */
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/addrconf.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>

#include "arrival.h"
#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "peer.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_bind.h"

/* More than any NAT or host has reason for. */
#define CHANGES_PER_SECOND 10

/**
 * bhsec_endpoint_alloc - an endpoint with an empty route cache
 * @addr: address, network byte order
 * @is_ipv6: its family
 * @port: network byte order, 0 for the device's
 * @scope: ifindex of a link-local address's link; 0 is the device's "dev"
 * @gfp: for the allocation
 *
 * Context: as @gfp says.
 * Return: the endpoint, for bhsec_endpoint_free(), or NULL.
 */
struct bhsec_endpoint *bhsec_endpoint_alloc(const void *addr, bool is_ipv6,
					    __be16 port, int scope, gfp_t gfp)
{
	struct bhsec_endpoint *endpoint;

	endpoint = kzalloc_obj(*endpoint, gfp);
	if (!endpoint)
		return NULL;
	bhsec_route_init(&endpoint->route);
	endpoint->is_ipv6 = is_ipv6;
	endpoint->port = port;
	endpoint->scope = scope;
	memcpy(&endpoint->addr, addr, is_ipv6 ? 16 : 4);
	return endpoint;
}

static void endpoint_free_rcu(struct rcu_head *rcu)
{
	struct bhsec_endpoint *endpoint = container_of(rcu, struct bhsec_endpoint,
						       rcu);

	bhsec_route_reset(&endpoint->route);
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
	bhsec_underlay_peer_moved(peer);
	bhsec_endpoint_free(old);
}

/**
 * bhsec_endpoint_forget_route - look the routes to the endpoint up anew
 * @peer: the peer
 *
 * Context: any. Packets that still have an old route keep it.
 */
void bhsec_endpoint_forget_route(struct bhsec_peer *peer)
{
	struct bhsec_endpoint *endpoint;

	rcu_read_lock();
	endpoint = rcu_dereference(peer->endpoint);
	if (endpoint)
		bhsec_route_reset(&endpoint->route);
	rcu_read_unlock();
}

/**
 * bhsec_endpoint_is_unicast - can a host have this address
 * @addr: address, network byte order
 * @is_ipv6: its family
 *
 * Return: true if so.
 */
bool bhsec_endpoint_is_unicast(const void *addr, bool is_ipv6)
{
	__be32 v4;

	if (is_ipv6)
		return !ipv6_addr_any(addr) && !ipv6_addr_is_multicast(addr);
	memcpy(&v4, addr, sizeof(v4));
	return !ipv4_is_zeronet(v4) && !ipv4_is_multicast(v4) &&
	       !ipv4_is_lbcast(v4);
}

/**
 * bhsec_endpoint_is_link_local - is an address one of many links
 * @addr: address, network byte order
 * @is_ipv6: its family; IPv4 knows no scope
 *
 * Return: true if so.
 */
bool bhsec_endpoint_is_link_local(const void *addr, bool is_ipv6)
{
	return is_ipv6 && ipv6_addr_type(addr) & IPV6_ADDR_LINKLOCAL;
}

/**
 * bhsec_endpoint_has_link - can a link-local endpoint be there
 * @underlay: netns
 * @scope: ifindex of a device; 0 is none
 * @ifindex: the device or VRF that "dev" names, 0 for any
 *
 * Context: RCU read lock held.
 * Return: true if @scope is a link, and one that @ifindex allows.
 */
bool bhsec_endpoint_has_link(struct net *underlay, int scope, int ifindex)
{
	struct net_device *dev = dev_get_by_index_rcu(underlay, scope);

	if (!dev || netif_is_l3_master(dev))
		return false;
	return !ifindex || scope == ifindex ||
	       l3mdev_master_ifindex_rcu(dev) == ifindex;
}

/**
 * bhsec_endpoint_flaw - why a peer cannot be somewhere
 * @underlay: netns
 * @ifindex: the device or VRF that "dev" names, 0 for any
 * @addr: address, network byte order
 * @is_ipv6: its family
 * @scope: ifindex of the link that is said beside it, 0 for none
 *
 * Asked of what is configured and of what packets come from.
 *
 * Context: RCU read lock held.
 * Return: BHSEC_ENDPOINT_SOUND if it can.
 */
enum bhsec_endpoint_flaw bhsec_endpoint_flaw(struct net *underlay, int ifindex,
					     const void *addr, bool is_ipv6,
					     int scope)
{
	if (!bhsec_endpoint_is_unicast(addr, is_ipv6))
		return BHSEC_ENDPOINT_NOT_UNICAST;
	if (!bhsec_endpoint_is_link_local(addr, is_ipv6))
		return scope ? BHSEC_ENDPOINT_NO_SCOPE : BHSEC_ENDPOINT_SOUND;
	return bhsec_endpoint_has_link(underlay, scope ?: ifindex, ifindex) ?
	       BHSEC_ENDPOINT_SOUND : BHSEC_ENDPOINT_NO_LINK;
}

static int scope_of(const struct bhsec_arrival *arrival)
{
	return bhsec_endpoint_is_link_local(&arrival->saddr, arrival->is_ipv6) ?
	       arrival->ifindex : 0;
}

/* Whatever its port. */
static bool came_from_host(const struct bhsec_endpoint *endpoint,
			   const struct bhsec_arrival *arrival)
{
	return endpoint && endpoint->is_ipv6 == arrival->is_ipv6 &&
	       bhsec_address_equal(&endpoint->addr.v6, &arrival->saddr,
				   arrival->is_ipv6) &&
	       (!endpoint->scope || endpoint->scope == arrival->ifindex);
}

static bool came_from(const struct bhsec_peer *peer,
		      const struct bhsec_endpoint *endpoint,
		      const struct bhsec_arrival *arrival)
{
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);

	if (!came_from_host(endpoint, arrival))
		return false;
	return peer->encap != BHSEC_ENCAP_UDP || READ_ONCE(peer->entropy) ||
	       arrival->sport == (READ_ONCE(endpoint->port) ?:
				  htons(settings->port));
}

/* What is not taken as an endpoint, and what no answer can be sent to. */
static bool is_sound(const struct bhsec_peer *peer,
		     const struct bhsec_settings *settings,
		     const struct bhsec_arrival *arrival)
{
	struct net *underlay = rcu_dereference(peer->bdev->underlay);

	return underlay && (arrival->sport || arrival->encap != BHSEC_ENCAP_UDP) &&
	       !bhsec_endpoint_flaw(underlay, settings->ifindex, &arrival->saddr,
				    arrival->is_ipv6, scope_of(arrival));
}

static bool has_local(const struct bhsec_settings *settings, bool is_ipv6)
{
	return is_ipv6 ? !ipv6_addr_any(&settings->local6) : !!settings->local4;
}

/* Does what goes to an endpoint leave from the address that was asked? */
static bool answers_from(const struct bhsec_endpoint *endpoint,
			 const struct bhsec_arrival *arrival)
{
	return endpoint->has_source &&
	       bhsec_address_equal(&endpoint->source.v6, &arrival->daddr,
				   arrival->is_ipv6);
}

/*
 * Can what goes to a peer have the address that its packet came to? An address
 * of a VRF is none where outer packets do not leave by that.
 */
static bool is_source(const struct bhsec_peer *peer,
		      const struct bhsec_settings *settings,
		      const struct bhsec_arrival *arrival)
{
	struct net *underlay = rcu_dereference(peer->bdev->underlay);
	struct net_device *dev;
	__be32 addr;

	if (!underlay || has_local(settings, arrival->is_ipv6))
		return false;
	dev = dev_get_by_index_rcu(underlay, arrival->ifindex);
	if (!dev || (!settings->ifindex && l3mdev_master_ifindex_rcu(dev)))
		return false;
	memcpy(&addr, &arrival->daddr, sizeof(addr));
	if (!arrival->is_ipv6)
		return __ip_dev_find(underlay, addr, false);
	return bhsec_endpoint_is_link_local(&arrival->daddr, true) ==
	       bhsec_endpoint_is_link_local(&arrival->saddr, true) &&
	       ipv6_chk_addr(underlay, &arrival->daddr, dev, 0);
}

/*
 * A later packet, on another CPU, came from where the peer now is. What is
 * later between two SAs no number says: another one waits for a second, in
 * which its late packets have come.
 */
static bool is_latest(struct bhsec_sa *sa, u64 seq)
{
	const struct bhsec_peer *peer = sa->peer;
	__be32 spi = READ_ONCE(peer->learned_spi);

	/* a deleted one's may have come by another encapsulation */
	return bhsec_sa_seq(sa) == seq &&
	       atomic_read(&sa->state) == BHSEC_SA_STATE_ACTIVE &&
	       (!spi || spi == sa->spi ||
		!bhsec_is_recent(READ_ONCE(peer->learned_at)));
}

/* Each change costs memory or a look-up, and who has the key brings it about. */
static bool within_limit(struct bhsec_peer *peer)
{
	bool within;

	spin_lock_bh(&peer->endpoint_lock);
	within = bhsec_limit_allows(&peer->changes, CHANGES_PER_SECOND);
	spin_unlock_bh(&peer->endpoint_lock);
	return within;
}

static void note_learned(struct bhsec_sa *sa)
{
	WRITE_ONCE(sa->peer->learned_at, jiffies);
	WRITE_ONCE(sa->peer->learned_spi, sa->spi);
}

/*
 * A peer that was moved by hand meanwhile stays there; one that may not move
 * has stayed, and only what it is answered from is new.
 */
static void replace(struct bhsec_sa *sa, u64 seq,
		    const struct bhsec_endpoint *old, struct bhsec_endpoint *new,
		    bool moves)
{
	struct bhsec_peer *peer = sa->peer;

	spin_lock_bh(&peer->endpoint_lock);
	if (is_latest(sa, seq) &&
	    (moves ? READ_ONCE(peer->roam) :
		     rcu_access_pointer(peer->endpoint) == old)) {
		new = rcu_replace_pointer(peer->endpoint, new,
					  lockdep_is_held(&peer->endpoint_lock));
		/* a first source is no change that a late packet could undo */
		if (moves || old->has_source)
			note_learned(sa);
	}
	spin_unlock_bh(&peer->endpoint_lock);
	if (moves)
		bhsec_underlay_peer_moved(peer);
	bhsec_endpoint_free(new);
}

/* A NAT has forgotten its mapping: all else of the endpoint is as it was. */
static void replace_port(struct bhsec_sa *sa, u64 seq,
			 struct bhsec_endpoint *old, __be16 port)
{
	struct bhsec_peer *peer = sa->peer;

	spin_lock_bh(&peer->endpoint_lock);
	if (is_latest(sa, seq) && READ_ONCE(peer->roam) &&
	    rcu_access_pointer(peer->endpoint) == old) {
		WRITE_ONCE(old->port, port);
		/* the host's rules and policies may ask for it */
		bhsec_route_reset(&old->route);
		note_learned(sa);
	}
	spin_unlock_bh(&peer->endpoint_lock);
}

/* A peer whose source ports vary does not hear there. */
static __be16 port_of(const struct bhsec_peer *peer,
		      const struct bhsec_endpoint *old,
		      const struct bhsec_arrival *arrival, bool moves)
{
	if (moves && !READ_ONCE(peer->entropy))
		return arrival->sport;
	return old ? READ_ONCE(old->port) : 0;
}

static void change(struct bhsec_sa *sa, const struct bhsec_arrival *arrival,
		   u64 seq, struct bhsec_endpoint *old, bool moves)
{
	struct bhsec_peer *peer = sa->peer;
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);
	__be16 port = port_of(peer, old, arrival, moves);
	bool has_source = is_source(peer, settings, arrival);
	struct bhsec_endpoint *new;

	if (came_from_host(old, arrival) &&
	    (READ_ONCE(old->has_source) ? answers_from(old, arrival) :
					  !has_source)) {
		replace_port(sa, seq, old, port);
		return;
	}
	new = bhsec_endpoint_alloc(&arrival->saddr, arrival->is_ipv6, port,
				   moves ? scope_of(arrival) : old->scope,
				   GFP_ATOMIC);
	if (!new)
		return;
	new->has_source = has_source;
	memcpy(&new->source, &arrival->daddr, arrival->is_ipv6 ? 16 : 4);
	replace(sa, seq, old, new, moves);
}

/**
 * bhsec_endpoint_learn - answer where an authentic packet came from, and from
 * where it came to
 * @sa: the SA that opened it
 * @arrival: its outer packet
 * @seq: its sequence number, which raised the top of the window
 *
 * Context: RCU read lock held.
 */
void bhsec_endpoint_learn(struct bhsec_sa *sa,
			  const struct bhsec_arrival *arrival, u64 seq)
{
	struct bhsec_peer *peer = sa->peer;
	const struct bhsec_settings *settings = rcu_dereference(peer->bdev->settings);
	struct bhsec_endpoint *old = rcu_dereference(peer->endpoint);
	bool moves = !came_from(peer, old, arrival);

	if (sa->borrowed) {
		if (moves)
			bhsec_bound_mapped(sa, arrival);
		return;
	}
	/* the AEAD covers neither address nor port */
	if (moves ? !READ_ONCE(peer->roam) :
		    has_local(settings, arrival->is_ipv6) ||
		    answers_from(old, arrival))
		return;
	if (!is_latest(sa, seq) ||
	    !(moves ? is_sound(peer, settings, arrival) :
		      is_source(peer, settings, arrival)))
		return;
	if (within_limit(peer))
		change(sa, arrival, seq, old, moves);
}
