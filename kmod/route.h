/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ROUTE_H
#define BHSEC_ROUTE_H

#include <linux/atomic.h>
#include <linux/in6.h>
#include <linux/types.h>

struct dst_entry;
struct bhsec_found_route;

/**
 * struct bhsec_route - the route to an endpoint, as each CPU last found it
 * @found: per CPU, with softirqs off
 * @generation: of those that were looked up since the last reset
 */
struct bhsec_route {
	struct bhsec_found_route __percpu *found;
	atomic_t generation;
};

int bhsec_route_init(struct bhsec_route *route, gfp_t gfp);
void bhsec_route_destroy(struct bhsec_route *route);
void bhsec_route_reset(struct bhsec_route *route);
void bhsec_route_reset_now(struct bhsec_route *route);
struct dst_entry *bhsec_route_get(struct bhsec_route *route, unsigned int dscp,
				  struct in6_addr *saddr);
void bhsec_route_set(struct bhsec_route *route, unsigned int dscp,
		     struct dst_entry *dst, const struct in6_addr *saddr);

#endif
