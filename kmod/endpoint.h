/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ENDPOINT_H
#define BHSEC_ENDPOINT_H

#include <linux/in6.h>
#include <linux/rcupdate.h>

#include "route.h"

struct bhsec_arrival;
struct bhsec_peer;
struct bhsec_sa;
struct net;

/**
 * struct bhsec_endpoint - where a peer is; replaced as a whole but for its port
 * @is_ipv6: family
 * @port: network byte order; 0 is the device's; a packet may change it, under
 *	the peer's endpoint_lock
 * @own_port: ours, network byte order; 0 is the device's
 * @scope: ifindex of a link-local address's link; 0 is the device's "dev"
 * @addr: address; an IPv4 address fills the first four bytes
 * @source: our address that its last packet came to, of the same family
 * @has_source: that is one of the host's, as far as is known
 * @source_given: a daemon has agreed on it; "local" of the device is no matter
 * @route: cached routes to it
 * @rcu: frees it
 */
struct bhsec_endpoint {
	bool is_ipv6;
	__be16 port;
	__be16 own_port;
	int scope;
	union {
		__be32 v4;
		struct in6_addr v6;
	} addr;
	union {
		__be32 v4;
		struct in6_addr v6;
	} source;
	bool has_source;
	bool source_given;
	struct bhsec_route route;
	struct rcu_head rcu;
};

/**
 * enum bhsec_endpoint_flaw - why a peer cannot be somewhere
 * @BHSEC_ENDPOINT_SOUND: it can
 * @BHSEC_ENDPOINT_NOT_UNICAST: no host has such an address
 * @BHSEC_ENDPOINT_NO_SCOPE: a link is given, the address is not link-local
 * @BHSEC_ENDPOINT_NO_LINK: the address is link-local, its link is none
 */
enum bhsec_endpoint_flaw {
	BHSEC_ENDPOINT_SOUND,
	BHSEC_ENDPOINT_NOT_UNICAST,
	BHSEC_ENDPOINT_NO_SCOPE,
	BHSEC_ENDPOINT_NO_LINK,
};

struct bhsec_endpoint *bhsec_endpoint_alloc(const void *addr, bool is_ipv6,
					    __be16 port, int scope, gfp_t gfp);
bool bhsec_endpoint_is_unicast(const void *addr, bool is_ipv6);
bool bhsec_endpoint_is_link_local(const void *addr, bool is_ipv6);
bool bhsec_endpoint_has_link(struct net *underlay, int scope, int ifindex);
enum bhsec_endpoint_flaw bhsec_endpoint_flaw(struct net *underlay, int ifindex,
					     const void *addr, bool is_ipv6,
					     int scope);
void bhsec_endpoint_free(struct bhsec_endpoint *endpoint);
void bhsec_endpoint_set(struct bhsec_peer *peer, struct bhsec_endpoint *new);
void bhsec_endpoint_forget_route(struct bhsec_peer *peer);
void bhsec_endpoint_learn(struct bhsec_sa *sa,
			  const struct bhsec_arrival *arrival, u64 seq);

#endif
