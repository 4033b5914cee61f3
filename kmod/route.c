// SPDX-License-Identifier: GPL-2.0
/*
 * The cached routes to an endpoint. Each is that of the classes for which it was
 * looked up: rules and routes of the host may send another class elsewhere.
 * Where they do not, the classes soon have one route in common.
 *
 * All CPUs share them: most peers of many send a packet now and then, and would
 * hold a route for each CPU. No packet writes to what they share, for it needs
 * no reference before the end of its RCU read lock, unless it stays longer.
 */
#include <linux/slab.h>
#include <net/dst.h>
#include <net/ip6_fib.h>
#include <net/ipv6.h>

#include "compat.h"
#include "route.h"

/**
 * struct bhsec_found_route - what a look-up has found
 * @next: RCU, written under the cache's lock
 * @dst: the route, with a reference
 * @dscps: bitmap of those for which a look-up gave just this; each is in one
 *	entry; written under the cache's lock
 * @saddr: source address; one of IPv4 fills the first four bytes
 * @cookie: of an IPv6 route
 * @rcu: frees it
 */
struct bhsec_found_route {
	struct bhsec_found_route __rcu *next;
	struct dst_entry *dst;
	u64 dscps;
	struct in6_addr saddr;
	u32 cookie;
	struct rcu_head rcu;
};

#define route_dereference(route, p) \
	rcu_dereference_protected(p, lockdep_is_held(&(route)->lock))

/**
 * bhsec_route_init - an empty cache
 * @route: the cache
 */
void bhsec_route_init(struct bhsec_route *route)
{
	spin_lock_init(&route->lock);
}

/* Who still looks at it does so under RCU, as the route's own end waits for. */
static void forget(struct bhsec_found_route *found)
{
	dst_release(found->dst);
	kfree_rcu(found, rcu);
}

/**
 * bhsec_route_reset - let go of all routes; each is looked up anew
 * @route: the cache
 *
 * Context: any but hard interrupts.
 */
void bhsec_route_reset(struct bhsec_route *route)
{
	struct bhsec_found_route *found, *next;

	spin_lock_bh(&route->lock);
	/* who finds this finds what the caller has changed before */
	smp_store_release(&route->generation, route->generation + 1);
	found = route_dereference(route, route->found);
	RCU_INIT_POINTER(route->found, NULL);
	for (; found; found = next) {
		next = route_dereference(route, found->next);
		forget(found);
	}
	spin_unlock_bh(&route->lock);
}

static bool is_valid(const struct bhsec_found_route *found)
{
	return dst_check(found->dst, found->cookie);
}

/**
 * bhsec_route_get - the route of a class, if it is known
 * @route: the cache
 * @dscp: the class
 * @saddr: is filled with the source address
 *
 * Context: RCU read lock held.
 * Return: the route, valid until the RCU read lock is released; NULL if it is to
 * be looked up.
 */
struct dst_entry *bhsec_route_get(const struct bhsec_route *route,
				  unsigned int dscp, struct in6_addr *saddr)
{
	const struct bhsec_found_route *found = rcu_dereference(route->found);

	while (found && !(READ_ONCE(found->dscps) & BIT_ULL(dscp)))
		found = rcu_dereference(found->next);
	if (!found || !is_valid(found))
		return NULL;
	*saddr = found->saddr;
	return found->dst;
}

/*
 * Take a class out of the entry that it is in, and out of the cache what is of
 * no class, or no route any more. Returns the entry of @dst and @saddr, or NULL.
 */
static struct bhsec_found_route *sort_out(struct bhsec_route *route,
					  unsigned int dscp,
					  const struct dst_entry *dst,
					  const struct in6_addr *saddr)
{
	struct bhsec_found_route __rcu **link = &route->found;
	struct bhsec_found_route *found, *same = NULL;

	while ((found = route_dereference(route, *link))) {
		/* an older cookie of the same route is no good any more */
		if (found->dst == dst && is_valid(found) &&
		    ipv6_addr_equal(&found->saddr, saddr)) {
			same = found;
		} else {
			WRITE_ONCE(found->dscps, found->dscps & ~BIT_ULL(dscp));
			if (!found->dscps || !is_valid(found)) {
				rcu_assign_pointer(*link, route_dereference(route, found->next));
				forget(found);
				continue;
			}
		}
		link = &found->next;
	}
	return same;
}

static void add(struct bhsec_route *route, unsigned int dscp,
		struct dst_entry *dst, const struct in6_addr *saddr)
{
	struct bhsec_found_route *found;

	found = kzalloc_obj(*found, GFP_ATOMIC);
	if (!found)
		return;
	dst_hold(dst);
	found->dst = dst;
	found->dscps = BIT_ULL(dscp);
	found->saddr = *saddr;
	if (dst->ops->family == AF_INET6)
		found->cookie = rt6_get_cookie(container_of(dst, struct rt6_info,
							    dst));
	RCU_INIT_POINTER(found->next, route_dereference(route, route->found));
	rcu_assign_pointer(route->found, found);
}

/**
 * bhsec_route_set - remember what a look-up gave
 * @route: the cache
 * @generation: bhsec_route_generation() when the look-up began: who resets
 *	meanwhile means this one, too
 * @dscp: the class
 * @dst: the route; the caller keeps its reference
 * @saddr: the source address
 *
 * Context: any but hard interrupts.
 */
void bhsec_route_set(struct bhsec_route *route, unsigned int generation,
		     unsigned int dscp, struct dst_entry *dst,
		     const struct in6_addr *saddr)
{
	struct bhsec_found_route *same;

	spin_lock_bh(&route->lock);
	if (generation == route->generation) {
		same = sort_out(route, dscp, dst, saddr);
		if (same)
			WRITE_ONCE(same->dscps, same->dscps | BIT_ULL(dscp));
		else
			add(route, dscp, dst, saddr);
	}
	spin_unlock_bh(&route->lock);
}
