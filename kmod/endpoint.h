/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ENDPOINT_H
#define BHSEC_ENDPOINT_H

#include <linux/in6.h>
#include <linux/rcupdate.h>
#include <net/dst_cache.h>

struct bhsec_peer;
struct bhsec_sa;
struct sk_buff;

/**
 * struct bhsec_endpoint - where a peer is; replaced as a whole
 * @is_ipv6: family
 * @port: network byte order; 0 is the device's
 * @addr: address; an IPv4 address fills the first four bytes
 * @route: cached route to it
 * @rcu: frees it
 */
struct bhsec_endpoint {
	bool is_ipv6;
	__be16 port;
	union {
		__be32 v4;
		struct in6_addr v6;
	} addr;
	struct dst_cache route;
	struct rcu_head rcu;
};

struct bhsec_endpoint *bhsec_endpoint_alloc(const void *addr, bool is_ipv6,
					    __be16 port, gfp_t gfp);
void bhsec_endpoint_free(struct bhsec_endpoint *endpoint);
void bhsec_endpoint_set(struct bhsec_peer *peer, struct bhsec_endpoint *new);
void bhsec_endpoint_forget_route(struct bhsec_peer *peer);
void bhsec_endpoint_release_route(struct bhsec_peer *peer);
void bhsec_endpoint_learn(struct bhsec_sa *sa, const struct sk_buff *skb,
			  u64 seq);

#endif
