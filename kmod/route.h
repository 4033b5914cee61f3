/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ROUTE_H
#define BHSEC_ROUTE_H

#include <linux/in6.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct dst_entry;
struct bhsec_found_route;

/**
 * struct bhsec_route - the routes to an endpoint, as they were last found
 * @found: RCU, a list; written under @lock
 * @lock: serializes those who have looked a route up; softirqs are off
 * @generation: of those that were looked up since the last reset; written under
 *	@lock
 */
struct bhsec_route {
	struct bhsec_found_route __rcu *found;
	spinlock_t lock;
	unsigned int generation;
};

void bhsec_route_init(struct bhsec_route *route);
void bhsec_route_reset(struct bhsec_route *route);
struct dst_entry *bhsec_route_get(const struct bhsec_route *route,
				  unsigned int dscp, struct in6_addr *saddr);
void bhsec_route_set(struct bhsec_route *route, unsigned int generation,
		     unsigned int dscp, struct dst_entry *dst,
		     const struct in6_addr *saddr);

/**
 * bhsec_route_generation - what a look-up belongs to that begins now
 * @route: the cache
 *
 * Context: any; before anything is read that the look-up depends on.
 * Return: the generation, for bhsec_route_set().
 */
static inline unsigned int bhsec_route_generation(const struct bhsec_route *route)
{
	/* pairs with bhsec_route_reset() */
	return smp_load_acquire(&route->generation);
}

#endif
