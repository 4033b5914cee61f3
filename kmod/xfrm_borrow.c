// SPDX-License-Identifier: GPL-2.0
/*
 * XFRM states that SAs live by, and those that SAs have lived by a short while
 * ago: who is who after a copy, a deletion, an SPI given again.
 */
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

/* How long an SA that has gone is remembered. */
#define MEMORY (60 * HZ)

const struct rhashtable_params bhsec_state_params = {
	.key_len = sizeof_field(struct bhsec_borrowed, key),
	.key_offset = offsetof(struct bhsec_borrowed, key),
	.head_offset = offsetof(struct bhsec_borrowed, node),
	.automatic_shrinking = true,
};

/**
 * bhsec_borrowed_is_live - does an SA live by a state that goes on
 * @borrowed: the state; an update may have given it another if_id
 *
 * Context: the device's lock is held.
 * Return: true if so.
 */
bool bhsec_borrowed_is_live(const struct bhsec_borrowed *borrowed)
{
	const struct xfrm_state *x;

	if (!borrowed->sa)
		return false;
	x = bhsec_borrowed_state(borrowed);
	return READ_ONCE(x->km.state) == XFRM_STATE_VALID &&
	       READ_ONCE(x->if_id) == borrowed->peer->bound->binding->if_id;
}

static void borrowed_free(struct rcu_head *rcu)
{
	struct bhsec_borrowed *borrowed = container_of(rcu, struct bhsec_borrowed,
						       rcu);

	bhsec_peer_put(borrowed->peer);
	kfree(borrowed);
}

static void borrowed_put(struct bhsec_borrowed *borrowed)
{
	if (refcount_dec_and_test(&borrowed->ref))
		call_rcu(&borrowed->rcu, borrowed_free);
}

/**
 * bhsec_borrowed_take - an SA begins to live by a state
 * @borrowed: the state
 *
 * Context: the device's lock is held.
 */
void bhsec_borrowed_take(struct bhsec_borrowed *borrowed)
{
	refcount_inc(&borrowed->ref);
	xfrm_state_hold(bhsec_borrowed_state(borrowed));
}

/**
 * bhsec_borrowed_return - an SA that lived by a state has gone
 * @borrowed: the state, whose key goes with it; or NULL
 *
 * Context: any; no packet looks at the SA any more.
 */
void bhsec_borrowed_return(struct bhsec_borrowed *borrowed)
{
	if (!borrowed)
		return;
	xfrm_state_put(rcu_dereference_protected(borrowed->x, 1));
	borrowed_put(borrowed);
}

static struct bhsec_borrowed *first_of(struct bhsec_binding *binding,
				       const struct bhsec_state_key *key)
{
	struct rhlist_head *list;

	list = rhltable_lookup(&binding->states, key, bhsec_state_params);
	return list ? container_of(list, struct bhsec_borrowed, node) : NULL;
}

static struct bhsec_borrowed *next_of(const struct bhsec_borrowed *borrowed)
{
	struct rhlist_head *next;

	next = rcu_dereference_check(borrowed->node.next,
				     lockdep_is_held(&borrowed->peer->bdev->lock));
	return next ? container_of(next, struct bhsec_borrowed, node) : NULL;
}

static bool same_place(const struct bhsec_borrowed *borrowed,
		       const struct xfrm_state *x)
{
	return borrowed->family == x->props.family &&
	       xfrm_addr_equal(&borrowed->daddr, &x->id.daddr, x->props.family);
}

/**
 * bhsec_borrowed_known - what is known of a state
 * @binding: the binding
 * @x: the state
 * @key: its SPI and direction
 * @digest: of its key
 *
 * That is itself; or what it is a copy of, live or not; or has been before a
 * daemon deleted it and added it anew. Only who has the key can be that.
 *
 * Context: the device's lock is held.
 * Return: it, or NULL.
 */
struct bhsec_borrowed *bhsec_borrowed_known(struct bhsec_binding *binding,
					    const struct xfrm_state *x,
					    const struct bhsec_state_key *key,
					    u64 digest)
{
	struct bhsec_borrowed *borrowed, *found = NULL;

	rcu_read_lock();
	for (borrowed = first_of(binding, key); borrowed;
	     borrowed = next_of(borrowed)) {
		if (borrowed->sa && bhsec_borrowed_state(borrowed) == x) {
			found = borrowed;
			break;
		}
		if (borrowed->digest != digest)
			continue;
		if (!found || (same_place(borrowed, x) && !bhsec_borrowed_is_live(found)) ||
		    bhsec_borrowed_is_live(borrowed))
			found = borrowed;
	}
	rcu_read_unlock();
	return found;
}

/**
 * bhsec_borrowed_name - remember what the kernel knows a state by
 * @borrowed: the state
 * @x: itself, or its copy
 *
 * Context: the device's lock is held.
 */
void bhsec_borrowed_name(struct bhsec_borrowed *borrowed,
			 const struct xfrm_state *x)
{
	borrowed->daddr = x->id.daddr;
	borrowed->family = x->props.family;
}

/**
 * bhsec_borrowed_make - a state that an SA is to live by
 * @binding: the binding
 * @key: its SPI and direction
 * @bound: whose SA it is to be
 * @x: the state
 * @digest: of its key
 *
 * Context: may sleep; the device's lock is held.
 * Return: it, for bhsec_borrowed_forget(); or an ERR_PTR.
 */
struct bhsec_borrowed *bhsec_borrowed_make(struct bhsec_binding *binding,
					   const struct bhsec_state_key *key,
					   struct bhsec_bound *bound,
					   struct xfrm_state *x, u64 digest)
{
	struct bhsec_borrowed *borrowed;
	int err;

	borrowed = kzalloc_obj(*borrowed, GFP_KERNEL_ACCOUNT);
	if (!borrowed)
		return ERR_PTR(-ENOMEM);
	borrowed->key = *key;
	borrowed->digest = digest;
	borrowed->peer = bound->peer;
	bhsec_borrowed_name(borrowed, x);
	refcount_set(&borrowed->ref, 1);
	RCU_INIT_POINTER(borrowed->x, x);
	err = rhltable_insert(&binding->states, &borrowed->node,
			      bhsec_state_params);
	if (err) {
		kfree(borrowed);
		return ERR_PTR(err);
	}
	refcount_inc(&bound->peer->ref);
	list_add_tail(&borrowed->list, &binding->live);
	return borrowed;
}

/**
 * bhsec_borrowed_forget - a state is none of an SA, nor has been of late
 * @binding: the binding
 * @borrowed: the state; not to be used afterwards
 *
 * Context: the device's lock is held.
 */
void bhsec_borrowed_forget(struct bhsec_binding *binding,
			   struct bhsec_borrowed *borrowed)
{
	rhltable_remove(&binding->states, &borrowed->node, bhsec_state_params);
	list_del(&borrowed->list);
	borrowed_put(borrowed);
}

/**
 * bhsec_borrowed_ended - a state that has ended under its SA
 * @binding: the binding
 * @key: SPI and direction
 *
 * Context: the device's lock is held.
 * Return: one of them, or NULL.
 */
struct bhsec_borrowed *bhsec_borrowed_ended(struct bhsec_binding *binding,
					    const struct bhsec_state_key *key)
{
	struct bhsec_borrowed *borrowed;

	rcu_read_lock();
	for (borrowed = first_of(binding, key); borrowed;
	     borrowed = next_of(borrowed))
		if (borrowed->sa && !bhsec_borrowed_is_live(borrowed))
			break;
	rcu_read_unlock();
	return borrowed;
}

/**
 * bhsec_borrowed_of - what an SA has of a state, whatever has become of that
 * @binding: the binding
 * @x: the state
 *
 * Context: the device's lock is held.
 * Return: it, or NULL.
 */
struct bhsec_borrowed *bhsec_borrowed_of(struct bhsec_binding *binding,
					 const struct xfrm_state *x)
{
	struct bhsec_state_key key = { .spi = x->id.spi };
	struct bhsec_borrowed *borrowed = NULL;

	rcu_read_lock();
	for (; key.outbound < 2 && !borrowed; key.outbound++)
		for (borrowed = first_of(binding, &key); borrowed;
		     borrowed = next_of(borrowed))
			if (borrowed->sa && bhsec_borrowed_state(borrowed) == x)
				break;
	rcu_read_unlock();
	return borrowed;
}

/**
 * bhsec_borrowed_forget_old - remember no longer what has gone long ago
 * @binding: the binding
 * @all: nor what has gone just now
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_borrowed_forget_old(struct bhsec_binding *binding, bool all)
{
	struct bhsec_borrowed *borrowed, *next;

	list_for_each_entry_safe(borrowed, next, &binding->gone, list) {
		if (!all && time_before(jiffies, borrowed->gone + MEMORY)) {
			bhsec_binding_queue_later(binding, MEMORY);
			break;
		}
		bhsec_borrowed_forget(binding, borrowed);
	}
}
