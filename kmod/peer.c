// SPDX-License-Identifier: GPL-2.0
/*
 * Remote sites: name, the inner addresses behind them, settings, lifetime.
 */
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "keepalive.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"

const struct rhashtable_params bhsec_peer_table_params = {
	.key_len = sizeof_field(struct bhsec_peer, name),
	.key_offset = offsetof(struct bhsec_peer, name),
	.head_offset = offsetof(struct bhsec_peer, node),
	.automatic_shrinking = true,
};

#define config_dereference(bdev, p) \
	rcu_dereference_protected(p, lockdep_is_held(&(bdev)->lock))

static void peer_free(struct work_struct *work)
{
	struct bhsec_peer *peer = container_of(to_rcu_work(work),
					       struct bhsec_peer, free_work);

	bhsec_endpoint_free(rcu_dereference_protected(peer->endpoint, 1));
	kfree(peer->selectors);
	kfree(rcu_dereference_protected(peer->local_selectors, 1));
	kfree(peer->drops);
	bhsec_cpus_free(peer->cpus);
	bhsec_bound_free(peer->bound);
	netdev_put(peer->bdev->dev, &peer->tracker);
	kfree(peer);
}

/**
 * bhsec_peer_put - drop a reference
 * @peer: the peer
 *
 * Context: any.
 */
void bhsec_peer_put(struct bhsec_peer *peer)
{
	if (refcount_dec_and_test(&peer->ref)) {
		INIT_RCU_WORK(&peer->free_work, peer_free);
		queue_rcu_work(bhsec_workqueue, &peer->free_work);
	}
}

/**
 * bhsec_peer_find - a peer by name
 * @bdev: the device
 * @name: zero-terminated, at most BHSEC_NAME_MAX bytes
 *
 * Context: the device's lock is held.
 * Return: the peer or NULL.
 */
struct bhsec_peer *bhsec_peer_find(struct bhsec_device *bdev, const char *name)
{
	char key[sizeof_field(struct bhsec_peer, name)] = {};

	lockdep_assert_held(&bdev->lock);
	strscpy(key, name, sizeof(key));
	return rhashtable_lookup_fast(&bdev->peers, key, bhsec_peer_table_params);
}

static bool list_holds(const struct bhsec_prefixes *list,
		       const struct bhsec_prefix *prefix)
{
	unsigned int i;

	for (i = 0; list && i < list->count; i++)
		if (bhsec_prefix_equal(&list->prefix[i], prefix))
			return true;
	return false;
}

/*
 * Take from the peer what is in @list but not in @keep, up to entry @end. Returns
 * true if that is anything.
 */
static bool take_prefixes(struct bhsec_peer *peer,
			  const struct bhsec_prefixes *list, unsigned int end,
			  const struct bhsec_prefixes *keep)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < end; i++) {
		if (list_holds(keep, &list->prefix[i]))
			continue;
		bhsec_selector_remove(&peer->bdev->selectors, &list->prefix[i]);
		any = true;
	}
	return any;
}

/*
 * Give the peer the prefixes of a new list, then take those of the old one
 * that are not in it: what is in both never lacks its owner.
 */
static int replace_selectors(struct bhsec_peer *peer,
			     struct bhsec_prefixes *new)
{
	struct bhsec_selectors *table = &peer->bdev->selectors;
	struct bhsec_prefixes *old = peer->selectors;
	unsigned int i;
	int err;

	for (i = 0; i < new->count; i++) {
		if (list_holds(old, &new->prefix[i]))
			continue;
		err = bhsec_selector_insert(table, &new->prefix[i], peer);
		if (err) {
			take_prefixes(peer, new, i, old);
			return err;
		}
	}
	if (old && take_prefixes(peer, old, old->count, new))
		bhsec_bindings_retry(peer->bdev);
	kfree(old);
	peer->selectors = new;
	return 0;
}

static int apply_selectors(struct bhsec_peer *peer,
			   struct bhsec_peer_config *config,
			   struct netlink_ext_ack *extack)
{
	int err;

	if (!config->selectors)
		return 0;
	err = replace_selectors(peer, config->selectors);
	if (err == -EEXIST)
		NL_SET_ERR_MSG_ATTR(extack, config->attrs[BHSEC_A_PEER_SELECTORS],
				    "another peer has the same selector");
	if (!err)
		config->selectors = NULL;
	return err;
}

/* An endpoint that somebody chose stays, unless it was said that it may move. */
static void apply_endpoint(struct bhsec_peer *peer,
			   struct bhsec_peer_config *config)
{
	if (config->has_roam) {
		peer->roam_given = true;
		WRITE_ONCE(peer->roam, config->roam);
	} else if (!peer->roam_given && config->endpoint) {
		WRITE_ONCE(peer->roam, false);
	}
	if (config->endpoint) {
		bhsec_endpoint_set(peer, config->endpoint);
		config->endpoint = NULL;
	}
}

/* Changes that cannot fail; what is taken over is cleared in @config. */
static void apply_rest(struct bhsec_peer *peer, struct bhsec_peer_config *config)
{
	struct bhsec_prefixes *old;

	if (config->has_encap) {
		peer->encap = config->encap;
		bhsec_endpoint_forget_route(peer);
	}
	apply_endpoint(peer, config);
	if (config->has_entropy)
		WRITE_ONCE(peer->entropy, config->entropy);
	if (config->has_keepalive)
		bhsec_keepalive_set(peer, config->keepalive);
	if (config->local_selectors) {
		old = config_dereference(peer->bdev, peer->local_selectors);
		rcu_assign_pointer(peer->local_selectors, config->local_selectors);
		kfree_rcu(old, rcu);
		config->local_selectors = NULL;
	}
}

static struct bhsec_peer *peer_alloc(struct bhsec_device *bdev, const char *name)
{
	struct bhsec_peer *peer;

	peer = kzalloc_obj(*peer, GFP_KERNEL_ACCOUNT);
	if (!peer)
		return NULL;
	peer->drops = kzalloc_obj(*peer->drops, GFP_KERNEL_ACCOUNT);
	if (!peer->drops) {
		kfree(peer);
		return NULL;
	}
	strscpy(peer->name, name, sizeof(peer->name));
	peer->bdev = bdev;
	peer->encap = BHSEC_ENCAP_UDP;
	peer->roam = true;
	spin_lock_init(&peer->endpoint_lock);
	bhsec_keepalive_init(peer);
	INIT_LIST_HEAD(&peer->sas);
	INIT_LIST_HEAD(&peer->leaving);
	spin_lock_init(&peer->leaving_lock);
	refcount_set(&peer->ref, 1);
	netdev_hold(bdev->dev, &peer->tracker, GFP_KERNEL);
	return peer;
}

/* What only ESP in UDP can have. */
static int check_udp(const struct bhsec_peer *peer,
		     const struct bhsec_peer_config *config,
		     struct netlink_ext_ack *extack)
{
	u32 encap = config->has_encap ? config->encap : peer->encap;
	u16 keepalive = config->has_keepalive ? config->keepalive :
						peer->keepalive;
	bool entropy = config->has_entropy ? config->entropy : peer->entropy;

	if (encap == BHSEC_ENCAP_UDP)
		return 0;
	if (keepalive) {
		NL_SET_ERR_MSG_ATTR(extack,
				    config->attrs[config->has_keepalive ?
						  BHSEC_A_PEER_KEEPALIVE :
						  BHSEC_A_PEER_ENCAP],
				    "keepalives are for ESP in UDP");
		return -EINVAL;
	}
	if (entropy) {
		NL_SET_ERR_MSG_ATTR(extack,
				    config->attrs[config->has_entropy ?
						  BHSEC_A_PEER_ENTROPY :
						  BHSEC_A_PEER_ENCAP],
				    "entropy is for ESP in UDP, which has a source port");
		return -EINVAL;
	}
	return 0;
}

/**
 * bhsec_peer_add - make a peer
 * @bdev: its device
 * @name: checked, not taken yet
 * @config: what is given; what is taken over is cleared
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: the peer, or an ERR_PTR; nothing has changed then.
 */
struct bhsec_peer *bhsec_peer_add(struct bhsec_device *bdev, const char *name,
				  struct bhsec_peer_config *config,
				  struct netlink_ext_ack *extack)
{
	struct bhsec_peer *peer;
	int err;

	lockdep_assert_held(&bdev->lock);
	peer = peer_alloc(bdev, name);
	if (!peer)
		return ERR_PTR(-ENOMEM);
	err = check_udp(peer, config, extack);
	if (err)
		goto put_peer;
	err = xa_alloc_cyclic(&bdev->peers_by_id, &peer->id, peer,
			      XA_LIMIT(1, INT_MAX), &bdev->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		goto put_peer;
	err = rhashtable_insert_fast(&bdev->peers, &peer->node,
				     bhsec_peer_table_params);
	if (err)
		goto erase_id;
	err = apply_selectors(peer, config, extack);
	if (err)
		goto remove_name;
	apply_rest(peer, config);
	/* a daemon's has no selector yet: no packet looks at it */
	peer->bound = config->bound;
	bdev->generation++;
	bhsec_notify_peer(BHSEC_CMD_PEER_ADD_NTF, peer);
	return peer;

remove_name:
	rhashtable_remove_fast(&bdev->peers, &peer->node, bhsec_peer_table_params);
erase_id:
	xa_erase(&bdev->peers_by_id, peer->id);
put_peer:
	bhsec_peer_put(peer);
	return ERR_PTR(err);
}

/**
 * bhsec_peer_set - change a peer
 * @peer: the peer
 * @config: what is given; what is taken over is cleared
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; nothing has changed then.
 */
int bhsec_peer_set(struct bhsec_peer *peer, struct bhsec_peer_config *config,
		   struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&peer->bdev->lock);
	if (config->has_encap && config->encap != peer->encap &&
	    !list_empty(&peer->sas)) {
		NL_SET_ERR_MSG_ATTR(extack, config->attrs[BHSEC_A_PEER_ENCAP],
				    "the encapsulation cannot change while the peer has SAs");
		return -EBUSY;
	}
	err = check_udp(peer, config, extack);
	if (!err)
		err = apply_selectors(peer, config, extack);
	if (err)
		return err;
	apply_rest(peer, config);
	peer->bdev->generation++;
	bhsec_notify_peer(BHSEC_CMD_PEER_SET_NTF, peer);
	return 0;
}

/**
 * bhsec_peer_drop_sas - delete all SAs of a peer
 * @peer: the peer
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_peer_drop_sas(struct bhsec_peer *peer)
{
	struct bhsec_sa *sa, *next;

	list_for_each_entry_safe(sa, next, &peer->sas, list)
		bhsec_sa_del(sa);
}

/**
 * bhsec_peer_del - delete a peer and its SAs
 * @peer: the peer; not to be used afterwards
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_peer_del(struct bhsec_peer *peer)
{
	struct bhsec_device *bdev = peer->bdev;

	lockdep_assert_held(&bdev->lock);
	bhsec_peer_drop_sas(peer);
	bhsec_notify_peer(BHSEC_CMD_PEER_DEL_NTF, peer);
	bhsec_keepalive_set(peer, 0);
	if (peer->selectors &&
	    take_prefixes(peer, peer->selectors, peer->selectors->count, NULL))
		bhsec_bindings_retry(bdev);
	rhashtable_remove_fast(&bdev->peers, &peer->node, bhsec_peer_table_params);
	xa_erase(&bdev->peers_by_id, peer->id);
	bdev->generation++;
	bhsec_peer_put(peer);
}

/**
 * bhsec_peer_part - an SA of a peer is deleted
 * @peer: the peer
 * @sa: the SA; what is in it still counts for the peer
 *
 * Context: the device's lock is held.
 */
void bhsec_peer_part(struct bhsec_peer *peer, struct bhsec_sa *sa)
{
	lockdep_assert_held(&peer->bdev->lock);
	spin_lock(&peer->leaving_lock);
	list_move_tail(&sa->list, &peer->leaving);
	spin_unlock(&peer->leaving_lock);
}

/**
 * bhsec_peer_inherit - a deleted SA of a peer goes
 * @peer: the peer
 * @sa: the SA, which counts nothing any more
 *
 * Context: may sleep.
 */
void bhsec_peer_inherit(struct bhsec_peer *peer, struct bhsec_sa *sa)
{
	u64 sums[BHSEC_COUNTERS] = {};
	unsigned int i;

	bhsec_sa_sum(sa, sums);
	spin_lock(&peer->leaving_lock);
	for (i = 0; i < ARRAY_SIZE(peer->traffic); i++)
		peer->traffic[i] += sums[i];
	for (i = BHSEC_A_STATS_NO_SA; i < BHSEC_COUNTERS; i++)
		bhsec_drops_add(peer->drops, i, sums[i]);
	list_del(&sa->list);
	spin_unlock(&peer->leaving_lock);
}

/**
 * bhsec_peer_sum - add what a peer's SAs count and have counted
 * @peer: the peer
 * @sums: by netlink attribute, BHSEC_COUNTERS of them
 *
 * They count for themselves alone: a packet is counted once.
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_peer_sum(struct bhsec_peer *peer, u64 *sums)
{
	const struct bhsec_sa *sa;
	unsigned int i;

	lockdep_assert_held(&peer->bdev->lock);
	list_for_each_entry(sa, &peer->sas, list)
		bhsec_sa_sum(sa, sums);
	spin_lock(&peer->leaving_lock);
	list_for_each_entry(sa, &peer->leaving, list)
		bhsec_sa_sum(sa, sums);
	for (i = 0; i < ARRAY_SIZE(peer->traffic); i++)
		sums[i] += peer->traffic[i];
	bhsec_drops_sum(peer->drops, sums);
	spin_unlock(&peer->leaving_lock);
}

/**
 * bhsec_peer_last - when a peer was last heard, or sent to
 * @peer: the peer
 * @outbound: sent to
 *
 * Its SAs know; no line of the peer is written by packets.
 *
 * Context: the device's lock is held.
 * Return: second of the boot clock, for bhsec_stamp_age(); 0 for never.
 */
u32 bhsec_peer_last(const struct bhsec_peer *peer, bool outbound)
{
	u32 last = peer->last[outbound];
	const struct bhsec_sa *sa;

	lockdep_assert_held(&peer->bdev->lock);
	list_for_each_entry(sa, &peer->sas, list)
		if (sa->outbound == outbound)
			last = max(last, READ_ONCE(sa->last.second));
	return last;
}

/**
 * bhsec_peer_is_local - may this side of the tunnel have an inner address
 * @peer: the peer
 * @addr: inner address on this side, network byte order
 * @is_ipv6: its family
 *
 * Context: RCU read lock held.
 * Return: true if a local selector covers it, or there is none.
 */
bool bhsec_peer_is_local(const struct bhsec_peer *peer, const void *addr,
			 bool is_ipv6)
{
	const struct bhsec_prefixes *list;
	unsigned int i;

	list = rcu_dereference(peer->local_selectors);
	if (!list || !list->count)
		return true;
	for (i = 0; i < list->count; i++)
		if (bhsec_prefix_covers(&list->prefix[i], addr, is_ipv6))
			return true;
	return false;
}
