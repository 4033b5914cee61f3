// SPDX-License-Identifier: GPL-2.0
/*
 * A device bound to an if_id: it takes the kernel's XFRM states and policies of
 * that, and nobody else does.
 */
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "batch_door.h"
#include "compat.h"
#include "device.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

/* Until what was refused is looked at again; a pass may take a tenth of a second. */
#define RETRY_DELAY (5 * HZ)

static LIST_HEAD(no_bindings);

/**
 * bhsec_bindings_of - the bindings of a netns
 * @net: the netns
 *
 * Context: RCU read lock held.
 * Return: a list, read under RCU.
 */
const struct list_head *bhsec_bindings_of(const struct net *net)
{
	const struct bhsec_net *bnet = bhsec_net(net);

	return bnet ? &bnet->bindings : &no_bindings;
}

/**
 * bhsec_binding_hold - take a reference
 * @binding: the binding, which the caller holds
 */
void bhsec_binding_hold(struct bhsec_binding *binding)
{
	refcount_inc(&binding->ref);
}

static void binding_free(struct work_struct *work)
{
	struct bhsec_binding *binding = container_of(to_rcu_work(work),
						     struct bhsec_binding,
						     free_work);

	bhsec_news_free(binding);
	rhltable_destroy(&binding->states);
	rhashtable_destroy(&binding->peers);
	rhashtable_destroy(&binding->policies);
	netdev_put(binding->bdev->dev, &binding->tracker);
	kfree(binding);
}

/**
 * bhsec_binding_put - drop a reference
 * @binding: the binding; who is told of something may still look at it
 *
 * Context: any but hard interrupts.
 */
void bhsec_binding_put(struct bhsec_binding *binding)
{
	if (!refcount_dec_and_test(&binding->ref))
		return;
	INIT_RCU_WORK(&binding->free_work, binding_free);
	queue_rcu_work(bhsec_workqueue, &binding->free_work);
}

/* An xfrm interface hands packets of its if_id to xfrm, not to us. */
static bool has_interface(struct net *net, u32 if_id)
{
	const struct xfrm_if *interface;
	struct net_device *dev;
	bool has = false;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev) {
		if (!dev->rtnl_link_ops || strcmp(dev->rtnl_link_ops->kind, "xfrm"))
			continue;
		interface = netdev_priv(dev);
		has |= interface->p.if_id == if_id;
	}
	rcu_read_unlock();
	return has;
}

/* The netns has a batch door while it has bindings. */
static int publish(struct bhsec_binding *binding,
		   struct netlink_ext_ack *extack)
{
	struct bhsec_net *bnet = bhsec_net(binding->net);
	int err = 0;

	lockdep_assert_held(&bnet->lock);
	if (list_empty(&bnet->bindings))
		err = bhsec_batch_door_open(binding->net);
	if (err)
		NL_SET_ERR_MSG(extack, "netfilter takes no more hooks");
	else
		list_add_rcu(&binding->list, &bnet->bindings);
	return err;
}

static void unpublish(struct bhsec_binding *binding)
{
	struct bhsec_net *bnet = bhsec_net(binding->net);

	mutex_lock(&bnet->lock);
	list_del_rcu(&binding->list);
	if (list_empty(&bnet->bindings))
		bhsec_batch_door_close(binding->net);
	mutex_unlock(&bnet->lock);
}

static int check_if_id(struct net *net, u32 if_id, bool shared,
		       const struct bhsec_binding *old,
		       struct netlink_ext_ack *extack)
{
	const struct bhsec_binding *binding;

	lockdep_assert_held(&bhsec_net(net)->lock);
	list_for_each_entry(binding, &bhsec_net(net)->bindings, list) {
		if (binding->if_id != if_id || binding == old)
			continue;
		NL_SET_ERR_MSG(extack, "another bhsec device has this if-id");
		return -EEXIST;
	}
	if (!shared && has_interface(net, if_id)) {
		NL_SET_ERR_MSG(extack, "an xfrm interface has this if-id: say shared");
		return -EBUSY;
	}
	return 0;
}

static int init_tables(struct bhsec_binding *binding)
{
	int err;

	err = rhltable_init(&binding->states, &bhsec_state_params);
	if (err)
		return err;
	err = rhashtable_init(&binding->peers, &bhsec_bound_params);
	if (err)
		goto destroy_states;
	err = rhashtable_init(&binding->policies, &bhsec_policy_params);
	if (err)
		goto destroy_peers;
	return 0;

destroy_peers:
	rhashtable_destroy(&binding->peers);
destroy_states:
	rhltable_destroy(&binding->states);
	return err;
}

static struct bhsec_binding *binding_alloc(struct bhsec_device *bdev,
					   struct net *net, u32 if_id, bool shared)
{
	struct bhsec_binding *binding;
	int err;

	binding = kzalloc_obj(*binding, GFP_KERNEL_ACCOUNT);
	if (!binding)
		return ERR_PTR(-ENOMEM);
	err = init_tables(binding);
	if (err) {
		kfree(binding);
		return ERR_PTR(err);
	}
	binding->bdev = bdev;
	binding->net = net;
	binding->if_id = if_id;
	binding->shared = shared;
	binding->next_suffix = 2;
	refcount_set(&binding->ref, 1);
	bhsec_news_begin(binding);
	INIT_LIST_HEAD(&binding->all_policies);
	INIT_LIST_HEAD(&binding->live);
	INIT_LIST_HEAD(&binding->gone);
	INIT_LIST_HEAD(&binding->refused);
	netdev_hold(bdev->dev, &binding->tracker, GFP_KERNEL);
	return binding;
}

/**
 * bhsec_binding_make - be told of the states of an if_id
 * @bdev: the device
 * @if_id: not 0
 * @shared: an xfrm interface may have the same
 * @extack: for the sentence of a refusal
 *
 * Nothing is taken before bhsec_binding_set().
 *
 * Context: may sleep; the device's lock is held.
 * Return: the binding, for bhsec_binding_set() or bhsec_binding_end(); or an
 * ERR_PTR.
 */
struct bhsec_binding *bhsec_binding_make(struct bhsec_device *bdev, u32 if_id,
					 bool shared,
					 struct netlink_ext_ack *extack)
{
	struct net *net = rcu_dereference_protected(bdev->underlay,
						    lockdep_is_held(&bdev->lock));
	struct bhsec_binding *binding;
	int err;

	if (!net) {
		NL_SET_ERR_MSG(extack, BHSEC_UNDERLAY_GONE);
		return ERR_PTR(-ENODEV);
	}
	binding = binding_alloc(bdev, net, if_id, shared);
	if (IS_ERR(binding))
		return binding;
	mutex_lock(&bhsec_net(net)->lock);
	err = check_if_id(net, if_id, shared, bdev->binding, extack);
	if (!err)
		err = publish(binding, extack);
	mutex_unlock(&bhsec_net(net)->lock);
	if (!err)
		return binding;
	bhsec_binding_put(binding);
	return ERR_PTR(err);
}

/**
 * bhsec_binding_end - let go of all that a binding has taken
 * @binding: the binding, or NULL; not to be used afterwards
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_binding_end(struct bhsec_binding *binding)
{
	if (!binding)
		return;
	lockdep_assert_held(&binding->bdev->lock);
	unpublish(binding);
	binding->ended = true;
	bhsec_news_end(binding);
	bhsec_states_sweep(binding, true);
	bhsec_policies_sweep(binding, true);
	bhsec_borrowed_forget_old(binding, true);
	bhsec_refusals_sweep(binding, true);
	bhsec_binding_put(binding);
}

/**
 * bhsec_binding_set - bind a device anew
 * @bdev: the device
 * @binding: the new binding, or NULL
 *
 * Context: may sleep; the device's lock is held. What is there already is taken
 * a moment later.
 */
void bhsec_binding_set(struct bhsec_device *bdev, struct bhsec_binding *binding)
{
	lockdep_assert_held(&bdev->lock);
	bhsec_binding_end(bdev->binding);
	bdev->binding = binding;
	if (binding)
		bhsec_binding_resync(binding);
}

/**
 * bhsec_bindings_retry - something has gone that others may be refused for
 * @bdev: whose
 *
 * A prefix was the device's, an SPI the whole underlay's. In a while, so that
 * nobody has all states of a host looked at the whole time.
 *
 * Context: the device's lock is held.
 */
void bhsec_bindings_retry(const struct bhsec_device *bdev)
{
	struct net *net;

	lockdep_assert_held(&bdev->lock);
	rcu_read_lock();
	net = rcu_dereference(bdev->underlay);
	if (net)
		queue_delayed_work(bhsec_workqueue, &bhsec_net(net)->retry,
				   RETRY_DELAY);
	rcu_read_unlock();
}

static void retry_all(struct work_struct *work)
{
	struct bhsec_net *bnet = container_of(to_delayed_work(work),
					      struct bhsec_net, retry);
	struct bhsec_binding *binding;

	rcu_read_lock();
	list_for_each_entry_rcu(binding, &bnet->bindings, list)
		bhsec_binding_retry(binding);
	rcu_read_unlock();
}

/**
 * bhsec_bindings_begin - prepare a netns for bindings
 * @bnet: bhsec's part of the netns
 */
void bhsec_bindings_begin(struct bhsec_net *bnet)
{
	INIT_LIST_HEAD(&bnet->bindings);
	INIT_DELAYED_WORK(&bnet->retry, retry_all);
}

/**
 * bhsec_bindings_end - nothing is retried any more
 * @bnet: bhsec's part of the netns, which no device has for its underlay
 *
 * Context: may sleep.
 */
void bhsec_bindings_end(struct bhsec_net *bnet)
{
	cancel_delayed_work_sync(&bnet->retry);
}
