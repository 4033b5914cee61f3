/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XFRM_ROOM_H
#define BHSEC_XFRM_ROOM_H

/* What the files of the xfrm room share and no other room needs. */

#include <linux/in6.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <net/xfrm.h>

#include "selector.h"
#include "uapi/bhsec.h"

struct bhsec_device;
struct bhsec_peer;
struct bhsec_ports;
struct bhsec_sa;
struct bhsec_sa_config;

/**
 * struct bhsec_binding - a device that takes the states of an if_id
 * @list: among the bindings of @net; RCU, written under bhsec_net.lock
 * @bdev: the device; the binding holds a reference on its netdev
 * @tracker: of that reference
 * @net: its underlay, not gone before the binding has ended
 * @if_id: of the states
 * @shared: an xfrm interface may have the same
 * @ended: takes nothing any more; under the device's lock
 * @ref: one of the device, one of each peer, one while @work is queued
 * @lock: covers @news, @news_count, @resync, @retry and @looking; softirqs are
 *	off
 * @news: what the kernel has told and nobody has looked at yet
 * @news_count: how many those are, with those that are being looked at
 * @resync: something was told that @news does not hold
 * @retry: something has gone that others may have been refused for
 * @looking: everything is being looked at
 * @work: looks at both
 * @later: the same, in a while
 * @waiting_out: packets that go when both have been looked at
 * @waiting_in: datagrams likewise; each holds its device
 * @looked: all states were looked at in this turn of it; under the device's lock
 * @states: by SPI and direction; it, and all that follows, under the device's
 *	lock
 * @peers: by reqid and remote address
 * @policies: by their selectors
 * @all_policies: the same
 * @live: states that have an SA
 * @gone: those whose SA has gone a short while ago, the oldest first
 * @refused: what cannot be taken, the latest first
 * @refusals: how many those are in all
 * @next_suffix: of peers that share a reqid
 * @free_work: frees it after a grace period
 */
struct bhsec_binding {
	struct list_head list;
	struct bhsec_device *bdev;
	netdevice_tracker tracker;
	struct net *net;
	u32 if_id;
	bool shared;
	bool ended;
	refcount_t ref;
	spinlock_t lock;
	struct list_head news;
	unsigned int news_count;
	bool resync;
	bool retry;
	bool looking;
	struct work_struct work;
	struct delayed_work later;
	struct sk_buff_head waiting_out;
	struct sk_buff_head waiting_in;
	bool looked;
	struct rhltable states;
	struct rhashtable peers;
	struct rhashtable policies;
	struct list_head all_policies;
	struct list_head live;
	struct list_head gone;
	struct list_head refused;
	unsigned int refusals;
	unsigned int next_suffix;
	struct rcu_work free_work;
};

/**
 * struct bhsec_bound_key - what makes states one peer's
 * @reqid: the daemon's number
 * @is_ipv6: outer family
 * @remote: where the peer is; an IPv4 address fills the first four bytes
 */
struct bhsec_bound_key {
	u32 reqid;
	u32 is_ipv6;
	struct in6_addr remote;
};

/**
 * struct bhsec_bound - what a peer is that a daemon keys
 * @node: in the binding's table, by @key
 * @key: changes when the peer moves
 * @binding: whose; held
 * @listed: the binding knows it; under the device's lock
 * @peer: the peer, which frees this with itself
 * @policies: those that lead to it; RCU, written under the device's lock
 * @port_policies: how many of these name a protocol or ports, by XFRM_POLICY_*;
 *	under the device's lock
 * @touched: second of the boot clock in which the daemon was last shown that
 *	there is traffic, by direction
 * @asked: jiffies of the last question for an SA
 * @mapped: jiffies of the last report of a NAT's mapping
 */
struct bhsec_bound {
	struct rhash_head node;
	struct bhsec_bound_key key;
	struct bhsec_binding *binding;
	bool listed;
	struct bhsec_peer *peer;
	struct list_head policies;
	unsigned int port_policies[XFRM_POLICY_MAX];
	u32 touched[2];
	unsigned long asked;
	unsigned long mapped;
};

/**
 * struct bhsec_state_key - half of the kernel's name of a state
 * @spi: network byte order
 * @outbound: direction
 */
struct bhsec_state_key {
	__be32 spi;
	u32 outbound;
};

/**
 * struct bhsec_borrowed - an XFRM state that an SA lives by
 * @node: in the binding's table, by @key
 * @key: SPI and direction
 * @x: RCU; the SA holds it. Written under the device's lock: a copy may take
 *	its place
 * @list: among the live or the gone of the binding
 * @sa: NULL once that has gone; it, and all that follows, under the device's
 *	lock
 * @released: packets take nothing from it any more; under the state's lock
 * @peer: held
 * @daddr: the rest of the kernel's name of it
 * @family: of @daddr
 * @digest: of the key
 * @seq: the last number of the SA that has gone
 * @gone: jiffies of its end
 * @ref: one of the table, one of the SA
 * @rcu: frees it
 */
struct bhsec_borrowed {
	struct rhlist_head node;
	struct bhsec_state_key key;
	struct xfrm_state __rcu *x;
	struct list_head list;
	struct bhsec_sa *sa;
	bool released;
	struct bhsec_peer *peer;
	xfrm_address_t daddr;
	u16 family;
	u64 digest;
	u64 seq;
	unsigned long gone;
	refcount_t ref;
	struct rcu_head rcu;
};

/**
 * struct bhsec_policy_key - the kernel's name of a policy
 *
 * Members as in struct xfrm_selector and struct xfrm_mark.
 */
struct bhsec_policy_key {
	struct in6_addr daddr;
	struct in6_addr saddr;
	__be16 dport;
	__be16 dport_mask;
	__be16 sport;
	__be16 sport_mask;
	u16 family;
	u8 prefixlen_d;
	u8 prefixlen_s;
	u8 proto;
	u8 dir;
	u32 mark;
	u32 mark_mask;
};

/**
 * struct bhsec_bound_policy - an XFRM policy of a bound peer
 * @node: in the binding's table, by @key
 * @key: what the kernel knows it by
 * @list: among those of its peer; RCU
 * @all: among those of the binding
 * @bound: whose
 * @xp: held
 * @remote: inner addresses on the peer's side, by @key
 * @local: on ours
 * @ports: among those of its direction and @remote that name a protocol or ports,
 *	if it does; RCU
 * @rcu: frees it
 */
struct bhsec_bound_policy {
	struct rhash_head node;
	struct bhsec_policy_key key;
	struct list_head list;
	struct list_head all;
	struct bhsec_bound *bound;
	struct xfrm_policy *xp;
	struct bhsec_prefix remote;
	struct bhsec_prefix local;
	struct list_head ports;
	struct rcu_head rcu;
};

/**
 * bhsec_policy_names_ports - does a selector name more than addresses
 * @key: the selector
 *
 * Return: true if it names a protocol or ports.
 */
static inline bool bhsec_policy_names_ports(const struct bhsec_policy_key *key)
{
	return key->proto || key->sport_mask || key->dport_mask;
}

/**
 * struct bhsec_ends - between whom a state, or a policy's template, is
 * @reqid: the daemon's number
 * @is_ipv6: outer family
 * @src: outer source; an IPv4 address fills the first four bytes, the rest is 0
 * @dst: outer destination
 */
struct bhsec_ends {
	u32 reqid;
	bool is_ipv6;
	struct in6_addr src;
	struct in6_addr dst;
};

/**
 * struct bhsec_refusal - a state or policy that cannot be taken
 * @list: among those of the binding, the latest first
 * @spi: network byte order, 0 for a policy
 * @policy: its index in the kernel, 0 for a state
 * @ends: between whom it is
 * @reason: one sentence; a literal
 * @may_end: somebody else has what it needs, or there was no room or memory
 * @stale: not refused again since everything is being looked at
 */
struct bhsec_refusal {
	struct list_head list;
	__be32 spi;
	u32 policy;
	struct bhsec_ends ends;
	const char *reason;
	bool may_end;
	bool stale;
};

/**
 * bhsec_xfrm_address - an address as bhsec has it
 * @to: an IPv4 address fills the first four bytes, the rest is zero
 * @from: what a daemon gave, where the rest is anything
 * @is_ipv6: family
 */
static inline void bhsec_xfrm_address(struct in6_addr *to,
				      const xfrm_address_t *from, bool is_ipv6)
{
	memset(to, 0, sizeof(*to));
	memcpy(to, from, is_ipv6 ? 16 : 4);
}

/**
 * bhsec_ends_set - between whom something is
 * @ends: is filled
 * @reqid: the daemon's number
 * @family: AF_INET or AF_INET6
 * @src: outer source
 * @dst: outer destination
 */
static inline void bhsec_ends_set(struct bhsec_ends *ends, u32 reqid, u16 family,
				  const xfrm_address_t *src,
				  const xfrm_address_t *dst)
{
	ends->reqid = reqid;
	ends->is_ipv6 = family == AF_INET6;
	bhsec_xfrm_address(&ends->src, src, ends->is_ipv6);
	bhsec_xfrm_address(&ends->dst, dst, ends->is_ipv6);
}

/**
 * bhsec_ends_of_state - between whom a state is
 * @ends: is filled
 * @x: the state
 */
static inline void bhsec_ends_of_state(struct bhsec_ends *ends,
				       const struct xfrm_state *x)
{
	bhsec_ends_set(ends, x->props.reqid, x->props.family, &x->props.saddr,
		       &x->id.daddr);
}

/**
 * bhsec_borrowed_state - the state itself
 * @borrowed: what an SA lives by; the SA has not gone
 *
 * Context: the device's lock is held; packets use rcu_dereference().
 * Return: the state, whatever has become of it.
 */
#define bhsec_borrowed_state(borrowed)					\
	rcu_dereference_protected((borrowed)->x,			\
		lockdep_is_held(&(borrowed)->peer->bdev->lock))

/* A refusal names an attribute of the request; a daemon's states have none. */
union bhsec_no_attrs {
	struct nlattr *peer[BHSEC_A_PEER_MAX + 1];
	struct nlattr *sa[BHSEC_A_SA_MAX + 1];
};

extern union bhsec_no_attrs bhsec_no_attrs;

const struct list_head *bhsec_bindings_of(const struct net *net);
void bhsec_binding_hold(struct bhsec_binding *binding);
void bhsec_binding_put(struct bhsec_binding *binding);
void bhsec_binding_queue(struct bhsec_binding *binding);
bool bhsec_binding_has_news(const struct bhsec_binding *binding);
bool bhsec_binding_is_behind(const struct bhsec_binding *binding);
void bhsec_binding_lost(struct bhsec_binding *binding, const struct xfrm_state *x);
void bhsec_binding_queue_later(struct bhsec_binding *binding, unsigned long delay);
void bhsec_binding_resync(struct bhsec_binding *binding);
void bhsec_binding_retry(struct bhsec_binding *binding);
void bhsec_news_begin(struct bhsec_binding *binding);
void bhsec_news_end(struct bhsec_binding *binding);
void bhsec_news_free(struct bhsec_binding *binding);

int bhsec_look_at_states(struct bhsec_binding *binding);
bool bhsec_look_at_all(struct bhsec_binding *binding);

void bhsec_refuse(struct bhsec_binding *binding, __be32 spi, u32 policy,
		  const struct bhsec_ends *ends, const char *reason, int err);
bool bhsec_refusals_may_end(const struct bhsec_binding *binding);
void bhsec_refusal_withdraw(struct bhsec_binding *binding, __be32 spi,
			    u32 policy, const struct bhsec_ends *ends);
void bhsec_refusals_age(struct bhsec_binding *binding);
void bhsec_refusals_sweep(struct bhsec_binding *binding, bool all);

extern const struct rhashtable_params bhsec_bound_params;
void bhsec_bound_key_set(struct bhsec_bound_key *key,
			 const struct bhsec_ends *ends, bool outbound);
struct bhsec_bound *bhsec_bound_find(struct bhsec_binding *binding,
				     const struct bhsec_bound_key *key);
struct bhsec_bound *bhsec_bound_make(struct bhsec_binding *binding,
				     const struct bhsec_bound_key *key,
				     struct netlink_ext_ack *extack);
bool bhsec_bound_is_stale(const struct bhsec_bound *bound);
struct bhsec_bound *bhsec_bound_namesake(const struct bhsec_binding *binding,
					 u32 reqid);
int bhsec_bound_move(struct bhsec_bound *bound,
		     const struct bhsec_bound_key *key);
void bhsec_bound_choose(struct bhsec_bound *bound,
			const struct bhsec_sa *leaving);
void bhsec_bound_follow(struct bhsec_bound *bound, const struct xfrm_state *x,
			bool outbound);
void bhsec_bound_put_unused(struct bhsec_bound *bound);

extern const struct rhashtable_params bhsec_policy_params;
void bhsec_policy_adopt(struct bhsec_binding *binding, struct xfrm_policy *xp,
			int dir);
void bhsec_policy_release(struct bhsec_binding *binding,
			  const struct xfrm_policy *xp, int dir);
void bhsec_policies_sweep(struct bhsec_binding *binding, bool all);

int bhsec_ports_add(struct bhsec_ports *ports, struct bhsec_bound_policy *policy);
void bhsec_ports_del(struct bhsec_ports *ports, struct bhsec_bound_policy *policy);

extern const struct rhashtable_params bhsec_state_params;
bool bhsec_borrowed_is_live(const struct bhsec_borrowed *borrowed);
struct bhsec_borrowed *bhsec_borrowed_known(struct bhsec_binding *binding,
					    const struct xfrm_state *x,
					    const struct bhsec_state_key *key,
					    u64 digest);
struct bhsec_borrowed *bhsec_borrowed_of(struct bhsec_binding *binding,
					 const struct xfrm_state *x);
struct bhsec_borrowed *bhsec_borrowed_ended(struct bhsec_binding *binding,
					    const struct bhsec_state_key *key);
struct bhsec_borrowed *bhsec_borrowed_make(struct bhsec_binding *binding,
					   const struct bhsec_state_key *key,
					   struct bhsec_bound *bound,
					   struct xfrm_state *x, u64 digest);
void bhsec_borrowed_name(struct bhsec_borrowed *borrowed,
			 const struct xfrm_state *x);
void bhsec_borrowed_forget(struct bhsec_binding *binding,
			   struct bhsec_borrowed *borrowed);
void bhsec_borrowed_forget_old(struct bhsec_binding *binding, bool all);
u64 bhsec_borrowed_begin(struct bhsec_borrowed *borrowed, u64 reached);
u64 bhsec_borrowed_end(struct bhsec_borrowed *borrowed);
void bhsec_borrowed_replace(struct bhsec_borrowed *borrowed, struct xfrm_state *x);

void bhsec_state_adopt(struct bhsec_binding *binding, struct xfrm_state *x);
void bhsec_state_soften(struct bhsec_binding *binding, const struct xfrm_state *x);
void bhsec_state_recheck(struct bhsec_binding *binding, __be32 spi);
bool bhsec_state_has_ended(struct bhsec_binding *binding, __be32 spi);
void bhsec_states_sweep(struct bhsec_binding *binding, bool all);

void bhsec_wait_over(struct bhsec_binding *binding);
void bhsec_wait_purge(struct bhsec_binding *binding);

#endif
