// SPDX-License-Identifier: GPL-2.0
/*
 * The cached route to an endpoint. It is that of the classes for which it was
 * looked up: rules and routes of the host may send another class elsewhere.
 * Where they do not, all classes soon have one route in common.
 */
#include <linux/percpu.h>
#include <linux/smp.h>
#include <net/dst.h>
#include <net/ip6_fib.h>
#include <net/ipv6.h>

#include "route.h"

/**
 * struct bhsec_found_route - what one CPU has found
 * @dst: the route, with a reference; NULL for none
 * @dscps: bitmap of those for which a look-up gave just this
 * @saddr: source address; one of IPv4 fills the first four bytes
 * @cookie: of an IPv6 route
 * @generation: the cache's when the look-up began
 */
struct bhsec_found_route {
	struct dst_entry *dst;
	u64 dscps;
	struct in6_addr saddr;
	u32 cookie;
	int generation;
};

/**
 * bhsec_route_init - an empty cache
 * @route: the cache
 * @gfp: for the allocation
 *
 * Context: as @gfp says.
 * Return: 0 or -ENOMEM.
 */
int bhsec_route_init(struct bhsec_route *route, gfp_t gfp)
{
	atomic_set(&route->generation, 0);
	route->found = alloc_percpu_gfp(struct bhsec_found_route,
					gfp | __GFP_ZERO);
	return route->found ? 0 : -ENOMEM;
}

static void forget(struct bhsec_found_route *found)
{
	dst_release(found->dst);
	found->dst = NULL;
}

static void forget_all(struct bhsec_route *route)
{
	int cpu;

	for_each_possible_cpu(cpu)
		forget(per_cpu_ptr(route->found, cpu));
}

/**
 * bhsec_route_destroy - the end of a cache
 * @route: the cache, of which nobody is a user any more
 *
 * Context: any.
 */
void bhsec_route_destroy(struct bhsec_route *route)
{
	forget_all(route);
	free_percpu(route->found);
}

/**
 * bhsec_route_reset - have every CPU look the route up anew
 * @route: the cache
 *
 * Context: any.
 */
void bhsec_route_reset(struct bhsec_route *route)
{
	/* a look-up that begins after this sees what has changed before it */
	smp_mb__before_atomic();
	atomic_inc(&route->generation);
}

/**
 * bhsec_route_reset_now - let go of the routes at once
 * @route: the cache, in which nobody looks any more
 *
 * Context: any.
 */
void bhsec_route_reset_now(struct bhsec_route *route)
{
	bhsec_route_reset(route);
	forget_all(route);
}

static bool is_valid(const struct bhsec_route *route,
		     const struct bhsec_found_route *found)
{
	return found->generation == atomic_read(&route->generation) &&
	       dst_check(found->dst, found->cookie);
}

/**
 * bhsec_route_get - the route of a class, if this CPU knows it
 * @route: the cache
 * @dscp: the class
 * @saddr: is filled with the source address
 *
 * Context: softirqs off.
 * Return: the route with a reference for the caller; NULL if it is to be looked
 * up.
 */
struct dst_entry *bhsec_route_get(struct bhsec_route *route, unsigned int dscp,
				  struct in6_addr *saddr)
{
	struct bhsec_found_route *found = this_cpu_ptr(route->found);

	if (found->dst && !is_valid(route, found))
		forget(found);
	if (!found->dst) {
		/* before the look-up: who resets meanwhile means this one, too */
		found->generation = atomic_read_acquire(&route->generation);
		return NULL;
	}
	if (!(found->dscps & BIT_ULL(dscp)))
		return NULL;
	*saddr = found->saddr;
	return dst_clone(found->dst);
}

/**
 * bhsec_route_set - remember what a look-up gave
 * @route: the cache, which bhsec_route_get() has just been asked
 * @dscp: the class
 * @dst: the route; the caller keeps its reference
 * @saddr: the source address
 *
 * Context: softirqs off.
 */
void bhsec_route_set(struct bhsec_route *route, unsigned int dscp,
		     struct dst_entry *dst, const struct in6_addr *saddr)
{
	struct bhsec_found_route *found = this_cpu_ptr(route->found);

	if (found->dst == dst && ipv6_addr_equal(&found->saddr, saddr)) {
		found->dscps |= BIT_ULL(dscp);
		return;
	}
	dst_release(found->dst);
	found->dst = dst_clone(dst);
	found->dscps = BIT_ULL(dscp);
	found->saddr = *saddr;
	found->cookie = 0;
	if (dst->ops->family == AF_INET6)
		found->cookie = rt6_get_cookie(container_of(dst, struct rt6_info,
							    dst));
}
