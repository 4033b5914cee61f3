// SPDX-License-Identifier: GPL-2.0
/*
 * XFRM policies of a bound device: from them a peer has its selectors, and its
 * daemon learns by them that there is traffic.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "compat.h"
#include "device.h"
#include "peer.h"
#include "xfrm_bind.h"
#include "xfrm_ports.h"
#include "xfrm_room.h"

const struct rhashtable_params bhsec_policy_params = {
	.key_len = sizeof_field(struct bhsec_bound_policy, key),
	.key_offset = offsetof(struct bhsec_bound_policy, key),
	.head_offset = offsetof(struct bhsec_bound_policy, node),
	.automatic_shrinking = true,
};

/*
 * The kernel takes a new policy of the same for an update of the old one. Behind
 * an IPv4 address it compares whatever a daemon has left there, too.
 */
static void make_key(struct bhsec_policy_key *key, const struct xfrm_policy *xp,
		     int dir)
{
	const struct xfrm_selector *sel = &xp->selector;

	memset(key, 0, sizeof(*key));
	memcpy(&key->daddr, &sel->daddr, sizeof(key->daddr));
	memcpy(&key->saddr, &sel->saddr, sizeof(key->saddr));
	key->dport = sel->dport;
	key->dport_mask = sel->dport_mask;
	key->sport = sel->sport;
	key->sport_mask = sel->sport_mask;
	key->family = sel->family;
	key->prefixlen_d = sel->prefixlen_d;
	key->prefixlen_s = sel->prefixlen_s;
	key->proto = sel->proto;
	key->dir = dir;
	key->mark = xp->mark.v;
	key->mark_mask = xp->mark.m;
}

/* Of a peer's, in each direction; as many fit in a message beside the others. */
#define PORT_POLICIES_MAX 128

/* One ESP tunnel that a datagram can be given to; else the reason. */
static const char *objection(const struct xfrm_policy *xp)
{
	const struct xfrm_tmpl *tmpl = &xp->xfrm_vec[0];
	const struct xfrm_selector *sel = &xp->selector;

	if (xp->xfrm_nr != 1 || tmpl->id.proto != IPPROTO_ESP ||
	    tmpl->mode != XFRM_MODE_TUNNEL)
		return "the policy is not for one ESP tunnel";
	/* ports of it are xfrm's word for its key, which is no selector of IPsec's */
	if (sel->proto == IPPROTO_GRE && (sel->sport_mask || sel->dport_mask))
		return "the policy's selector names a key of GRE";
	/* two of those that differ in nothing else are one here */
	if (sel->ifindex || sel->user)
		return "the policy's selector names a device or a user";
	if (xp->security)
		return "the policy has a security label";
	return NULL;
}

static void ends_of(struct bhsec_ends *ends, const struct xfrm_policy *xp)
{
	const struct xfrm_tmpl *tmpl = &xp->xfrm_vec[0];

	bhsec_ends_set(ends, tmpl->reqid, tmpl->encap_family, &tmpl->saddr,
		       &tmpl->id.daddr);
}

static void prefix_of(struct bhsec_prefix *prefix,
		      const struct bhsec_policy_key *key, bool source)
{
	prefix->is_ipv6 = key->family == AF_INET6;
	prefix->len = source ? key->prefixlen_s : key->prefixlen_d;
	memcpy(prefix->addr, source ? &key->saddr : &key->daddr,
	       prefix->is_ipv6 ? 16 : 4);
	bhsec_prefix_mask(prefix);
}

static void set_prefixes(struct bhsec_bound_policy *policy)
{
	bool outbound = policy->key.dir == XFRM_POLICY_OUT;

	prefix_of(&policy->remote, &policy->key, !outbound);
	prefix_of(&policy->local, &policy->key, outbound);
}

/* False if there is no room for one more. */
static bool add_prefix(struct bhsec_prefixes *list, const struct bhsec_prefix *prefix)
{
	unsigned int i;

	for (i = 0; i < list->count; i++)
		if (bhsec_prefix_equal(&list->prefix[i], prefix))
			return true;
	if (list->count == BHSEC_PREFIXES_MAX)
		return false;
	list->prefix[list->count++] = *prefix;
	return true;
}

/* One side's prefixes of all outbound policies. */
static int collect(const struct bhsec_bound *bound, bool remote,
		   struct bhsec_prefixes **out, struct netlink_ext_ack *extack)
{
	const struct bhsec_bound_policy *policy;
	struct bhsec_prefixes *list;

	list = kzalloc(struct_size(list, prefix, BHSEC_PREFIXES_MAX), GFP_KERNEL);
	*out = list;
	if (!list)
		return -ENOMEM;
	list_for_each_entry(policy, &bound->policies, list) {
		if (policy->key.dir != XFRM_POLICY_OUT ||
		    bhsec_policy_names_ports(&policy->key))
			continue;
		if (add_prefix(list, remote ? &policy->remote : &policy->local))
			continue;
		NL_SET_ERR_MSG(extack, "a peer has at most 256 selectors of a kind");
		return -E2BIG;
	}
	return 0;
}

static int set_selectors(struct bhsec_bound *bound,
			 struct netlink_ext_ack *extack)
{
	struct bhsec_peer_config config = { .attrs = bhsec_no_attrs.peer };
	int err;

	err = collect(bound, true, &config.selectors, extack);
	if (!err)
		err = collect(bound, false, &config.local_selectors, extack);
	if (!err)
		err = bhsec_peer_set(bound->peer, &config, extack);
	kfree(config.selectors);
	kfree(config.local_selectors);
	return err;
}

static void policy_free(struct rcu_head *rcu)
{
	struct bhsec_bound_policy *policy = container_of(rcu,
							 struct bhsec_bound_policy,
							 rcu);

	xfrm_pol_put(policy->xp);
	kfree(policy);
}

/* For bhsec_bound_policy.node that has left its table. */
static void let_go(struct bhsec_binding *binding, struct bhsec_bound_policy *policy)
{
	if (bhsec_policy_names_ports(&policy->key))
		bhsec_ports_del(&binding->bdev->ports, policy);
	list_del_rcu(&policy->list);
	list_del(&policy->all);
	call_rcu(&policy->rcu, policy_free);
}

static void unlist(struct bhsec_binding *binding, struct bhsec_bound_policy *policy)
{
	rhashtable_remove_fast(&binding->policies, &policy->node,
			       bhsec_policy_params);
	let_go(binding, policy);
}

/* Inbound, addresses alone say no more than those of the policy out. */
static bool decides(const struct bhsec_policy_key *key)
{
	return key->dir == XFRM_POLICY_OUT || bhsec_policy_names_ports(key);
}

/* What a policy is for its peer, once it is there, or has gone. */
static int apply(struct bhsec_bound *bound, const struct bhsec_policy_key *key,
		 struct netlink_ext_ack *extack)
{
	if (key->dir != XFRM_POLICY_OUT)
		return 0;
	if (!bhsec_policy_names_ports(key))
		return set_selectors(bound, extack);
	bhsec_notify_peer(BHSEC_CMD_PEER_SET_NTF, bound->peer);
	return 0;
}

/* The peer is deleted if nothing else leads to it. */
static void release(struct bhsec_binding *binding,
		    struct bhsec_bound_policy *policy)
{
	struct bhsec_bound *bound = policy->bound;
	struct bhsec_policy_key key = policy->key;

	unlist(binding, policy);
	if (decides(&key) && !binding->ended) {
		apply(bound, &key, NULL);
		/* of either side: another policy may be taken for it */
		bhsec_bindings_retry(binding->bdev);
	}
	bhsec_bound_put_unused(bound);
}

static struct bhsec_bound_policy *policy_make(struct bhsec_binding *binding,
					      const struct bhsec_policy_key *key,
					      struct bhsec_bound *bound,
					      struct xfrm_policy *xp)
{
	struct bhsec_bound_policy *policy;
	int err;

	policy = kzalloc_obj(*policy, GFP_KERNEL_ACCOUNT);
	if (!policy)
		return ERR_PTR(-ENOMEM);
	policy->key = *key;
	policy->bound = bound;
	policy->xp = xp;
	set_prefixes(policy);
	err = rhashtable_insert_fast(&binding->policies, &policy->node,
				     bhsec_policy_params);
	if (err)
		goto free_policy;
	if (bhsec_policy_names_ports(key))
		err = bhsec_ports_add(&binding->bdev->ports, policy);
	if (err)
		goto remove_policy;
	xfrm_pol_hold(xp);
	list_add_tail_rcu(&policy->list, &bound->policies);
	list_add_tail(&policy->all, &binding->all_policies);
	return policy;

remove_policy:
	rhashtable_remove_fast(&binding->policies, &policy->node,
			       bhsec_policy_params);
free_policy:
	kfree(policy);
	return ERR_PTR(err);
}

/* Returns 0, or a negative error with its reason; nothing is left then. */
static int add(struct bhsec_binding *binding, const struct bhsec_policy_key *key,
	       struct bhsec_bound *bound, struct xfrm_policy *xp,
	       struct netlink_ext_ack *extack)
{
	struct bhsec_bound_policy *policy;
	int err;

	if (bhsec_policy_names_ports(key) &&
	    bound->port_policies[key->dir] == PORT_POLICIES_MAX) {
		NL_SET_ERR_MSG(extack, "a peer has at most 128 selectors with protocol or ports");
		return -E2BIG;
	}
	policy = policy_make(binding, key, bound, xp);
	if (IS_ERR(policy))
		return PTR_ERR(policy);
	err = apply(bound, key, extack);
	if (err)
		unlist(binding, policy);
	else if (key->dir == XFRM_POLICY_OUT)
		bhsec_bound_choose(bound, NULL);
	return err;
}

/* A daemon that moves a peer, or names another SPI, updates its policy. */
static void replace(struct bhsec_binding *binding,
		    struct bhsec_bound_policy *policy, struct xfrm_policy *xp)
{
	struct bhsec_bound_policy *new;
	struct bhsec_bound *bound = policy->bound;
	struct bhsec_policy_key key = policy->key;

	if (policy->xp == xp)
		return;
	/* its selector is the same, and no packet is to find neither */
	rhashtable_remove_fast(&binding->policies, &policy->node,
			       bhsec_policy_params);
	new = policy_make(binding, &key, bound, xp);
	let_go(binding, policy);
	if (IS_ERR(new))
		bhsec_binding_resync(binding);
	else if (key.dir == XFRM_POLICY_OUT)
		bhsec_bound_choose(bound, NULL);
}

/*
 * A daemon that moves a peer by copying its states tells only of the policies:
 * the copies have to be looked for. Of several that share a reqid only the first
 * is known by it.
 */
static void look_for_copies(struct bhsec_binding *binding,
			    const struct bhsec_bound_key *key)
{
	struct bhsec_bound *bound = bhsec_bound_find(binding, key);
	bool found = bound, shared = binding->next_suffix > 2;

	if (!bound)
		bound = bhsec_bound_namesake(binding, key->reqid);
	if (!bound)
		return;
	if (bhsec_bound_is_stale(bound) ||
	    (!found && shared && !binding->looked)) {
		bhsec_look_at_states(binding);
		/* what has no copy was deleted */
		bhsec_states_sweep(binding, false);
	}
}

static struct bhsec_bound *bound_of(struct bhsec_binding *binding,
				    const struct xfrm_policy *xp, int dir,
				    struct netlink_ext_ack *extack)
{
	struct bhsec_bound_key key;
	struct bhsec_ends ends;

	ends_of(&ends, xp);
	bhsec_bound_key_set(&key, &ends, dir == XFRM_POLICY_OUT);
	look_for_copies(binding, &key);
	return bhsec_bound_find(binding, &key) ?:
	       bhsec_bound_make(binding, &key, extack);
}

static struct bhsec_bound_policy *find(struct bhsec_binding *binding,
				       const struct bhsec_policy_key *key)
{
	return rhashtable_lookup_fast(&binding->policies, key,
				      bhsec_policy_params);
}

/* Returns 0, or a negative error with its reason. */
static int take(struct bhsec_binding *binding, const struct bhsec_policy_key *key,
		struct xfrm_policy *xp, struct netlink_ext_ack *extack)
{
	struct bhsec_bound_policy *policy;
	struct bhsec_bound *bound;
	int err;

	bound = bound_of(binding, xp, key->dir, extack);
	if (IS_ERR(bound))
		return PTR_ERR(bound);
	policy = find(binding, key);
	if (policy && policy->bound == bound) {
		replace(binding, policy, xp);
		return 0;
	}
	if (policy)
		release(binding, policy);
	err = add(binding, key, bound, xp, extack);
	if (err)
		bhsec_bound_put_unused(bound);
	return err;
}

/**
 * bhsec_policy_adopt - take a policy, or what has changed of it
 * @binding: the binding
 * @xp: the policy
 * @dir: XFRM_POLICY_*
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_policy_adopt(struct bhsec_binding *binding, struct xfrm_policy *xp,
			int dir)
{
	struct netlink_ext_ack extack = {};
	struct bhsec_bound_policy *old;
	struct bhsec_policy_key key;
	struct bhsec_ends ends;
	const char *reason;
	int err = 0;

	/* it may have gone since that was told; a socket's is not ours */
	if (xp->walk.dead || dir >= XFRM_POLICY_MAX ||
	    xp->type != XFRM_POLICY_TYPE_MAIN)
		return;
	make_key(&key, xp, dir);
	reason = objection(xp);
	if (reason || xp->action != XFRM_POLICY_ALLOW) {
		old = find(binding, &key);
		if (old && old->xp->walk.dead)
			release(binding, old);
	} else {
		err = take(binding, &key, xp, &extack);
		if (err)
			reason = extack._msg ?: "no memory";
	}
	ends_of(&ends, xp);
	/* what is wrong with all of a kind is told once, of the one out */
	if (reason && xp->action == XFRM_POLICY_ALLOW &&
	    (err ? decides(&key) : dir == XFRM_POLICY_OUT))
		bhsec_refuse(binding, 0, xp->index, &ends, reason, err);
	else
		bhsec_refusal_withdraw(binding, 0, xp->index, &ends);
}

/**
 * bhsec_policy_release - a policy has gone
 * @binding: the binding
 * @xp: the policy
 * @dir: XFRM_POLICY_*
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_policy_release(struct bhsec_binding *binding,
			  const struct xfrm_policy *xp, int dir)
{
	struct bhsec_bound_policy *policy;
	struct bhsec_policy_key key;
	struct bhsec_ends ends;

	/* a soft limit ends nothing */
	if (!xp->walk.dead)
		return;
	make_key(&key, xp, dir);
	policy = find(binding, &key);
	ends_of(&ends, xp);
	/* an old one's end may be told after the beginning of the new one */
	if (policy && policy->xp == xp)
		release(binding, policy);
	else
		bhsec_refusal_withdraw(binding, 0, xp->index, &ends);
}

/**
 * bhsec_policies_sweep - let go of policies that have gone
 * @binding: the binding
 * @all: of the others too
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_policies_sweep(struct bhsec_binding *binding, bool all)
{
	struct bhsec_bound_policy *policy, *next;

	list_for_each_entry_safe(policy, next, &binding->all_policies, all)
		if (all || policy->xp->walk.dead)
			release(binding, policy);
}
