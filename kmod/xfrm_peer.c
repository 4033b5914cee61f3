// SPDX-License-Identifier: GPL-2.0
/*
 * Peers that an IKE daemon keys: made with the first state or policy that leads
 * to a site, moved with it, deleted with the last one.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "arrival.h"
#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

const struct rhashtable_params bhsec_bound_params = {
	.key_len = sizeof_field(struct bhsec_bound, key),
	.key_offset = offsetof(struct bhsec_bound, key),
	.head_offset = offsetof(struct bhsec_bound, node),
	.automatic_shrinking = true,
};

union bhsec_no_attrs bhsec_no_attrs;

/**
 * bhsec_bound_key_set - whose a state or policy is
 * @key: is filled
 * @ends: between whom that is
 * @outbound: its direction
 */
void bhsec_bound_key_set(struct bhsec_bound_key *key,
			 const struct bhsec_ends *ends, bool outbound)
{
	key->reqid = ends->reqid;
	key->is_ipv6 = ends->is_ipv6;
	key->remote = outbound ? ends->dst : ends->src;
}

/**
 * bhsec_bound_find - the peer of a reqid and an address
 * @binding: the binding
 * @key: both
 *
 * Context: the device's lock is held.
 * Return: it or NULL.
 */
struct bhsec_bound *bhsec_bound_find(struct bhsec_binding *binding,
				     const struct bhsec_bound_key *key)
{
	lockdep_assert_held(&binding->bdev->lock);
	return rhashtable_lookup_fast(&binding->peers, key, bhsec_bound_params);
}

/* ike-REQID; where several sites share a reqid, all but the first get a suffix. */
static void choose_name(struct bhsec_binding *binding, u32 reqid, char *name,
			unsigned int size)
{
	snprintf(name, size, "ike-%u", reqid);
	while (bhsec_peer_find(binding->bdev, name))
		snprintf(name, size, "ike-%u-%u", reqid, binding->next_suffix++);
}

static struct bhsec_endpoint *endpoint_of(const struct bhsec_bound_key *key)
{
	return bhsec_endpoint_alloc(&key->remote, key->is_ipv6, 0, 0,
				    GFP_KERNEL_ACCOUNT);
}

static struct bhsec_peer *make_peer(struct bhsec_binding *binding,
				    struct bhsec_bound *bound,
				    struct netlink_ext_ack *extack)
{
	struct bhsec_peer_config config = {
		.attrs = bhsec_no_attrs.peer,
		.endpoint = endpoint_of(&bound->key),
		.bound = bound,
		.has_encap = true,
		.encap = BHSEC_ENCAP_ESP,
		.has_roam = true,
	};
	char name[BHSEC_NAME_MAX + 1];
	struct bhsec_peer *peer;

	if (!config.endpoint)
		return ERR_PTR(-ENOMEM);
	choose_name(binding, bound->key.reqid, name, sizeof(name));
	peer = bhsec_peer_add(binding->bdev, name, &config, extack);
	bhsec_endpoint_free(config.endpoint);
	return peer;
}

/**
 * bhsec_bound_make - a peer for a reqid and an address that none has
 * @binding: the binding
 * @key: both
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: it, for bhsec_bound_put_unused(); or an ERR_PTR.
 */
struct bhsec_bound *bhsec_bound_make(struct bhsec_binding *binding,
				     const struct bhsec_bound_key *key,
				     struct netlink_ext_ack *extack)
{
	struct bhsec_bound *bound;
	int err;

	bound = kzalloc_obj(*bound, GFP_KERNEL_ACCOUNT);
	if (!bound)
		return ERR_PTR(-ENOMEM);
	bound->key = *key;
	bound->binding = binding;
	bound->listed = true;
	bound->asked = jiffies - HZ;
	bound->mapped = jiffies - HZ;
	INIT_LIST_HEAD(&bound->policies);
	err = rhashtable_insert_fast(&binding->peers, &bound->node,
				     bhsec_bound_params);
	if (err)
		goto free_bound;
	bound->peer = make_peer(binding, bound, extack);
	if (IS_ERR(bound->peer)) {
		err = PTR_ERR(bound->peer);
		goto remove_bound;
	}
	bhsec_binding_hold(binding);
	return bound;

remove_bound:
	rhashtable_remove_fast(&binding->peers, &bound->node, bhsec_bound_params);
free_bound:
	kfree(bound);
	return ERR_PTR(err);
}

/**
 * bhsec_bound_move - the peer has another address
 * @bound: the peer
 * @key: its reqid and new address
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; nothing has changed then.
 */
int bhsec_bound_move(struct bhsec_bound *bound, const struct bhsec_bound_key *key)
{
	struct bhsec_binding *binding = bound->binding;
	struct bhsec_endpoint *endpoint;
	struct bhsec_bound_key old = bound->key;
	int err;

	endpoint = endpoint_of(key);
	if (!endpoint)
		return -ENOMEM;
	rhashtable_remove_fast(&binding->peers, &bound->node, bhsec_bound_params);
	bound->key = *key;
	err = rhashtable_insert_fast(&binding->peers, &bound->node,
				     bhsec_bound_params);
	if (!err) {
		bhsec_endpoint_set(bound->peer, endpoint);
		bhsec_notify_peer(BHSEC_CMD_PEER_SET_NTF, bound->peer);
		return 0;
	}
	bhsec_endpoint_free(endpoint);
	bound->key = old;
	/* what was removed a moment ago finds its place again, or is lost to it */
	if (rhashtable_insert_fast(&binding->peers, &bound->node,
				   bhsec_bound_params))
		bhsec_binding_resync(binding);
	return err;
}

/**
 * bhsec_bound_is_stale - has a peer an SA whose state has ended
 * @bound: the peer
 *
 * Context: the device's lock is held.
 * Return: true if so; it was deleted, or a copy has taken its place.
 */
bool bhsec_bound_is_stale(const struct bhsec_bound *bound)
{
	const struct bhsec_sa *sa;

	list_for_each_entry(sa, &bound->peer->sas, list)
		if (!bhsec_borrowed_is_live(sa->borrowed))
			return true;
	return false;
}

/**
 * bhsec_bound_namesake - the first peer of a reqid
 * @binding: the binding
 * @reqid: the daemon's number
 *
 * Context: the device's lock is held.
 * Return: it, wherever it is, or NULL.
 */
struct bhsec_bound *bhsec_bound_namesake(const struct bhsec_binding *binding,
					 u32 reqid)
{
	char name[BHSEC_NAME_MAX + 1];
	struct bhsec_peer *peer;

	snprintf(name, sizeof(name), "ike-%u", reqid);
	peer = bhsec_peer_find(binding->bdev, name);
	return peer ? peer->bound : NULL;
}

static bool is_dying(const struct bhsec_sa *sa)
{
	return READ_ONCE(bhsec_borrowed_state(sa->borrowed)->km.dying);
}

/* RFC 4301 has no word for it: a policy's template may name one SPI. */
static __be32 pinned_spi(const struct bhsec_bound *bound)
{
	const struct bhsec_bound_policy *policy;
	__be32 spi = 0;

	list_for_each_entry(policy, &bound->policies, list)
		if (policy->key.dir == XFRM_POLICY_OUT &&
		    policy->xp->xfrm_vec[0].id.spi)
			spi = policy->xp->xfrm_vec[0].id.spi;
	return spi;
}

/*
 * RFC 4301 4.1: SAs with the same selectors, told apart by class. An output mark
 * of 1 to 63 is the DSCP that a state carries; the others carry what is left.
 */
static unsigned int class_of(const struct bhsec_sa *sa)
{
	const struct xfrm_state *x = bhsec_borrowed_state(sa->borrowed);
	u32 mark = x->props.smark.v & x->props.smark.m;

	return mark && mark < BHSEC_DSCP_COUNT ? mark : BHSEC_DSCP_COUNT;
}

/*
 * As xfrm itself chooses: one of the CPU before one of all, and of these the
 * newest that is not to be replaced soon.
 */
static bool is_better(const struct bhsec_sa *sa, const struct bhsec_sa *best,
		      __be32 pinned)
{
	if (!best)
		return true;
	if (sa->cpu != best->cpu)
		return best->cpu == BHSEC_ANY_CPU;
	if (sa->spi == pinned)
		return true;
	return best->spi != pinned && (!is_dying(sa) || is_dying(best));
}

/*
 * For each DSCP the SA of it, or else that of the rest; the daemon is not asked
 * for one as long as there is any. RFC 9611 3: no CPU sends by another one's, and
 * one that has none sends by that of all. Returns the SA of the rest, or one of
 * any CPU.
 */
static struct bhsec_sa *choose(const struct bhsec_bound *bound,
			       const struct bhsec_sa *leaving, __be32 pinned,
			       u32 cpu, struct bhsec_sa **best)
{
	struct bhsec_sa *sa, **place, *any = NULL, *others = NULL;
	unsigned int i;

	memset(best, 0, (BHSEC_DSCP_COUNT + 1) * sizeof(*best));
	list_for_each_entry(sa, &bound->peer->sas, list) {
		if (!sa->outbound || sa == leaving ||
		    !bhsec_borrowed_is_live(sa->borrowed))
			continue;
		others = sa;
		if (sa->cpu != BHSEC_ANY_CPU && sa->cpu != cpu)
			continue;
		place = &best[class_of(sa)];
		if (is_better(sa, *place, pinned))
			*place = sa;
		if (is_better(sa, any, pinned))
			any = sa;
	}
	any = best[BHSEC_DSCP_COUNT] ?: any;
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		best[i] = best[i] ?: any;
	return any ?: others;
}

/**
 * struct place - where a state says that a peer is, and we
 * @ends: the outer addresses
 * @remote: of these, the peer's
 * @local: ours
 * @port: the peer's, network byte order; 0 for raw ESP
 * @own_port: ours
 */
struct place {
	struct bhsec_ends ends;
	const struct in6_addr *remote;
	const struct in6_addr *local;
	__be16 port;
	__be16 own_port;
};

static void place_of(struct place *place, const struct xfrm_state *x,
		     bool outbound)
{
	__be16 sport = x->encap ? x->encap->encap_sport : 0;
	__be16 dport = x->encap ? x->encap->encap_dport : 0;

	bhsec_ends_of_state(&place->ends, x);
	place->remote = outbound ? &place->ends.dst : &place->ends.src;
	place->local = outbound ? &place->ends.src : &place->ends.dst;
	place->port = outbound ? dport : sport;
	place->own_port = outbound ? sport : dport;
}

static bool is_there(const struct bhsec_endpoint *endpoint,
		     const struct place *place)
{
	bool is_ipv6 = place->ends.is_ipv6;

	return endpoint && endpoint->is_ipv6 == is_ipv6 &&
	       endpoint->port == place->port &&
	       endpoint->own_port == place->own_port && endpoint->has_source &&
	       bhsec_address_equal(&endpoint->addr.v6, place->remote, is_ipv6) &&
	       bhsec_address_equal(&endpoint->source.v6, place->local, is_ipv6);
}

/**
 * bhsec_bound_follow - be where a state says
 * @bound: the peer
 * @x: its state
 * @outbound: direction of @x
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_bound_follow(struct bhsec_bound *bound, const struct xfrm_state *x,
			bool outbound)
{
	struct bhsec_peer *peer = bound->peer;
	struct bhsec_endpoint *endpoint;
	struct place place;

	place_of(&place, x, outbound);
	WRITE_ONCE(peer->encap, x->encap ? BHSEC_ENCAP_UDP : BHSEC_ENCAP_ESP);
	endpoint = rcu_dereference_protected(peer->endpoint,
					     lockdep_is_held(&peer->bdev->lock));
	if (is_there(endpoint, &place))
		return;
	endpoint = bhsec_endpoint_alloc(place.remote, place.ends.is_ipv6,
					place.port, 0, GFP_KERNEL_ACCOUNT);
	if (!endpoint)
		return;
	endpoint->own_port = place.own_port;
	memcpy(&endpoint->source, place.local, place.ends.is_ipv6 ? 16 : 4);
	endpoint->has_source = true;
	endpoint->source_given = true;
	bhsec_endpoint_set(peer, endpoint);
	bhsec_notify_peer(BHSEC_CMD_PEER_SET_NTF, peer);
}

/* RFC 9611 2: does a policy want an SA for each CPU? */
static bool wants_cpus(const struct bhsec_bound *bound)
{
	const struct bhsec_bound_policy *policy;

	list_for_each_entry(policy, &bound->policies, list)
		if (policy->key.dir == XFRM_POLICY_OUT &&
		    policy->xp->flags & XFRM_POLICY_CPU_ACQUIRE)
			return true;
	return false;
}

static bool has_own(struct bhsec_sa *const *best, u32 cpu)
{
	unsigned int i;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (best[i] && best[i]->cpu == cpu)
			return true;
	return false;
}

/* Without memory no CPU asks, and all send by the same SAs. */
static void choose_by_cpu(const struct bhsec_bound *bound,
			  const struct bhsec_sa *leaving, __be32 pinned)
{
	struct bhsec_sa *best[BHSEC_DSCP_COUNT + 1];
	struct bhsec_peer *peer = bound->peer;
	bool wants = wants_cpus(bound);
	struct bhsec_cpu *cpus = wants ? bhsec_cpus(peer) : peer->cpus;
	unsigned int cpu;

	for (cpu = 0; cpus && cpu < nr_cpu_ids; cpu++) {
		if (cpus[cpu].out) {
			choose(bound, leaving, pinned, cpu, best);
			bhsec_sa_carry(peer, cpu, best);
		}
		WRITE_ONCE(cpus[cpu].lacks, wants &&
			   !(cpus[cpu].out && has_own(best, cpu)));
	}
}

/**
 * bhsec_bound_choose - which SAs the peer is sent to by from now on
 * @bound: the peer
 * @leaving: not this one; or NULL
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_bound_choose(struct bhsec_bound *bound, const struct bhsec_sa *leaving)
{
	struct bhsec_sa *best[BHSEC_DSCP_COUNT + 1], *rest;
	__be32 pinned = pinned_spi(bound);

	rest = choose(bound, leaving, pinned, BHSEC_ANY_CPU, best);
	if (rest)
		bhsec_bound_follow(bound, bhsec_borrowed_state(rest->borrowed), true);
	bhsec_sa_carry(bound->peer, BHSEC_ANY_CPU, best);
	choose_by_cpu(bound, leaving, pinned);
}

/**
 * bhsec_bound_put_unused - delete a peer that no state or policy leads to
 * @bound: the peer; not to be used afterwards
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_bound_put_unused(struct bhsec_bound *bound)
{
	struct bhsec_binding *binding = bound->binding;

	if (!list_empty(&bound->policies) || !list_empty(&bound->peer->sas))
		return;
	rhashtable_remove_fast(&binding->peers, &bound->node, bhsec_bound_params);
	bound->listed = false;
	bhsec_peer_del(bound->peer);
}

/**
 * bhsec_bound_reqid - what a daemon calls a peer
 * @bound: the peer
 *
 * Return: the reqid.
 */
u32 bhsec_bound_reqid(const struct bhsec_bound *bound)
{
	return bound->key.reqid;
}

/**
 * bhsec_bound_free - free what a peer had of a daemon
 * @bound: of a peer that nobody looks at any more; or NULL
 *
 * Context: any but hard interrupts.
 */
void bhsec_bound_free(struct bhsec_bound *bound)
{
	if (!bound)
		return;
	bhsec_binding_put(bound->binding);
	kfree(bound);
}
