// SPDX-License-Identifier: GPL-2.0
/*
 * Policies whose selectors name a protocol or ports (RFC 4301 4.4.1.1): which
 * peer, and so which SA, a packet goes by where addresses alone do not decide.
 *
 * As in the kernel's own SPD the policy of the best priority wins, of equal ones
 * the older. Those of addresses alone stay the longest prefix's: they are asked
 * only whether the owner's comes before what was found here.
 */
#include <linux/rculist.h>
#include <linux/slab.h>
#include <net/netlink.h>

#include "compat.h"
#include "device.h"
#include "esp.h"
#include "netlink.h"
#include "next_layer.h"
#include "peer.h"
#include "xfrm_bind.h"
#include "xfrm_ports.h"
#include "xfrm_room.h"

/**
 * struct bhsec_port_policies - those of one direction and remote prefix
 * @list: best first; RCU
 * @rcu: frees it
 */
struct bhsec_port_policies {
	struct list_head list;
	struct rcu_head rcu;
};

/**
 * struct packet - what selectors are held against
 * @remote: inner address on the peer's side, network byte order
 * @local: on ours
 * @is_ipv6: family
 * @layer: behind the IP header
 */
struct packet {
	const void *remote;
	const void *local;
	bool is_ipv6;
	struct bhsec_next_layer layer;
};

static bool is_outbound(const struct bhsec_bound_policy *policy)
{
	return policy->key.dir == XFRM_POLICY_OUT;
}

/* xfrm takes the older one of two; its index says which that is. */
static bool is_before(const struct xfrm_policy *xp, const struct xfrm_policy *other)
{
	if (xp->priority != other->priority)
		return xp->priority < other->priority;
	return xp->index < other->index;
}

static bool names(const struct bhsec_policy_key *key,
		  const struct bhsec_next_layer *layer)
{
	return (!key->proto || key->proto == layer->protocol) &&
	       !((key->sport ^ layer->sport) & key->sport_mask) &&
	       !((key->dport ^ layer->dport) & key->dport_mask);
}

/* The best of a prefix, if it comes before @best. */
static const struct bhsec_bound_policy *
better_of(const struct bhsec_port_policies *policies, const struct packet *packet,
	  const struct bhsec_bound_policy *best)
{
	const struct bhsec_bound_policy *policy;

	list_for_each_entry_rcu(policy, &policies->list, ports) {
		if (best && !is_before(policy->xp, best->xp))
			break;
		if (names(&policy->key, &packet->layer) &&
		    bhsec_prefix_covers(&policy->local, packet->local,
					packet->is_ipv6))
			return policy;
	}
	return best;
}

/* Whether a policy of addresses alone of their owner comes before. */
static bool owner_is_before(const struct bhsec_peer *owner,
			    const struct packet *packet,
			    const struct bhsec_bound_policy *best)
{
	const struct bhsec_bound *bound = owner ? READ_ONCE(owner->bound) : NULL;
	const struct bhsec_bound_policy *policy;

	if (!bound)
		return false;
	list_for_each_entry_rcu(policy, &bound->policies, list)
		if (!bhsec_policy_names_ports(&policy->key) &&
		    is_outbound(policy) == is_outbound(best) &&
		    is_before(policy->xp, best->xp) &&
		    bhsec_prefix_covers(&policy->remote, packet->remote,
					packet->is_ipv6) &&
		    bhsec_prefix_covers(&policy->local, packet->local,
					packet->is_ipv6))
			return true;
	return false;
}

/**
 * bhsec_ports_choose - whose a packet is by its protocol and ports
 * @ports: of the device
 * @owner: whose it is by its addresses, or NULL
 * @skb: inner packet; data starts at its IP header, which is linear
 * @inner: what that says
 * @outbound: direction
 *
 * Looks at the policies of the prefixes that cover the remote address, and at
 * none that the operator's daemons did not ask for.
 *
 * Context: RCU read lock held.
 * Return: the peer whose policy decides; NULL if @owner stays.
 */
struct bhsec_peer *bhsec_ports_choose(const struct bhsec_ports *ports,
				      const struct bhsec_peer *owner,
				      const struct sk_buff *skb,
				      const struct bhsec_inner *inner,
				      bool outbound)
{
	const struct bhsec_selectors *table = &ports->policies[outbound];
	const struct bhsec_bound_policy *best = NULL;
	const struct bhsec_selector_node *at = NULL;
	struct bhsec_port_policies *policies;
	struct packet packet = {
		.remote = outbound ? inner->dst : inner->src,
		.local = outbound ? inner->src : inner->dst,
		.is_ipv6 = inner->is_ipv6,
	};

	policies = bhsec_selector_next(table, packet.remote, inner->is_ipv6, &at);
	if (!policies)
		return NULL;
	bhsec_next_layer_read(skb, inner->is_ipv6, &packet.layer);
	do {
		best = better_of(policies, &packet, best);
		policies = bhsec_selector_next(table, packet.remote,
					       inner->is_ipv6, &at);
	} while (policies);
	if (!best || owner_is_before(owner, &packet, best))
		return NULL;
	return best->bound->peer;
}

static struct bhsec_port_policies *make(struct bhsec_selectors *table,
					const struct bhsec_prefix *prefix)
{
	struct bhsec_port_policies *policies;
	int err;

	policies = kzalloc_obj(*policies, GFP_KERNEL_ACCOUNT);
	if (!policies)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&policies->list);
	err = bhsec_selector_insert(table, prefix, policies);
	if (!err)
		return policies;
	kfree(policies);
	return ERR_PTR(err);
}

static void insert(struct bhsec_port_policies *policies,
		   struct bhsec_bound_policy *policy)
{
	struct list_head *behind = &policies->list;
	struct bhsec_bound_policy *other;

	list_for_each_entry(other, &policies->list, ports)
		if (is_before(policy->xp, other->xp)) {
			behind = &other->ports;
			break;
		}
	list_add_tail_rcu(&policy->ports, behind);
}

/**
 * bhsec_ports_add - a policy decides from now on
 * @ports: of the device
 * @policy: the policy, which names a protocol or ports
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error.
 */
int bhsec_ports_add(struct bhsec_ports *ports, struct bhsec_bound_policy *policy)
{
	struct bhsec_selectors *table = &ports->policies[is_outbound(policy)];
	struct bhsec_port_policies *policies;

	policies = bhsec_selector_owner(table, &policy->remote) ?:
		   make(table, &policy->remote);
	if (IS_ERR(policies))
		return PTR_ERR(policies);
	insert(policies, policy);
	policy->bound->port_policies[policy->key.dir]++;
	WRITE_ONCE(ports->count, ports->count + 1);
	return 0;
}

/**
 * bhsec_ports_del - a policy decides no more
 * @ports: of the device
 * @policy: the policy, for which bhsec_ports_add() has said 0
 *
 * Context: the device's lock is held. Readers may see it until a grace period has
 * passed.
 */
void bhsec_ports_del(struct bhsec_ports *ports, struct bhsec_bound_policy *policy)
{
	struct bhsec_selectors *table = &ports->policies[is_outbound(policy)];
	struct bhsec_port_policies *policies;

	policies = bhsec_selector_owner(table, &policy->remote);
	list_del_rcu(&policy->ports);
	if (list_empty(&policies->list)) {
		bhsec_selector_remove(table, &policy->remote);
		kfree_rcu(policies, rcu);
	}
	policy->bound->port_policies[policy->key.dir]--;
	WRITE_ONCE(ports->count, ports->count - 1);
}

/* A port and which of its bits count; a type or code, where these have a name. */
static int put_port(struct sk_buff *msg, int attr, __be16 port, __be16 mask)
{
	if (!mask)
		return 0;
	return nla_put_u16(msg, attr, ntohs(port)) ?:
	       nla_put_u16(msg, attr + 1, ntohs(mask));
}

static int put_type(struct sk_buff *msg, int attr, __be16 number, __be16 mask)
{
	return mask ? nla_put_u8(msg, attr, ntohs(number)) : 0;
}

static int put_next_layer(struct sk_buff *msg, const struct bhsec_policy_key *key)
{
	if (key->proto && nla_put_u8(msg, BHSEC_A_TS_PROTOCOL, key->proto))
		return -EMSGSIZE;
	if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6 ||
	    key->proto == IPPROTO_MH)
		return put_type(msg, BHSEC_A_TS_TYPE, key->sport,
				key->sport_mask) ?:
		       put_type(msg, BHSEC_A_TS_CODE, key->dport,
				key->dport_mask);
	return put_port(msg, BHSEC_A_TS_LOCAL_PORT, key->sport, key->sport_mask) ?:
	       put_port(msg, BHSEC_A_TS_REMOTE_PORT, key->dport,
			key->dport_mask);
}

/**
 * bhsec_bound_put_ports - put a peer's selectors with protocol or ports
 * @msg: the message
 * @bound: the peer, or NULL
 *
 * Context: the device's lock is held.
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_bound_put_ports(struct sk_buff *msg, const struct bhsec_bound *bound)
{
	const struct bhsec_bound_policy *policy;
	struct nlattr *nest;

	if (!bound || !bound->port_policies[XFRM_POLICY_OUT])
		return 0;
	list_for_each_entry(policy, &bound->policies, list) {
		if (!is_outbound(policy) ||
		    !bhsec_policy_names_ports(&policy->key))
			continue;
		nest = nla_nest_start(msg, BHSEC_A_PEER_TRAFFIC_SELECTOR);
		if (!nest ||
		    bhsec_nl_put_prefix(msg, BHSEC_A_TS_LOCAL, &policy->local) ||
		    bhsec_nl_put_prefix(msg, BHSEC_A_TS_REMOTE, &policy->remote) ||
		    put_next_layer(msg, &policy->key))
			return -EMSGSIZE;
		nla_nest_end(msg, nest);
	}
	return 0;
}
