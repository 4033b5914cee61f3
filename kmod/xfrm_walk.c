// SPDX-License-Identifier: GPL-2.0
/*
 * All states and policies of an if_id, for whoever was not told of each.
 */
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "xfrm_room.h"
#include "xfrm_sad.h"

/**
 * struct found - what a walk has found
 * @list: in the order of the walk
 * @x: a state, held; or NULL
 * @xp: a policy, held; or NULL
 * @dir: of the policy
 */
struct found {
	struct list_head list;
	struct xfrm_state *x;
	struct xfrm_policy *xp;
	int dir;
};

/**
 * struct search - a walk
 * @if_id: of what is wanted
 * @looked: states or policies that this step has looked at
 * @found: list of struct found
 */
struct search {
	u32 if_id;
	unsigned int looked;
	struct list_head found;
};

static struct found *find_one(struct search *search)
{
	struct found *found = kzalloc_obj(*found, GFP_ATOMIC);

	if (found)
		list_add_tail(&found->list, &search->found);
	return found;
}

/* Under a lock of xfrm's, with softirqs off. */
static int find_state(struct xfrm_state *x, int count, void *data)
{
	struct search *search = data;
	struct found *found;

	if (search->looked++ == BHSEC_XFRM_STEP)
		return -EAGAIN;
	if (x->if_id != search->if_id || x->id.proto != IPPROTO_ESP ||
	    x->km.state != XFRM_STATE_VALID)
		return 0;
	found = find_one(search);
	if (!found)
		return -ENOMEM;
	xfrm_state_hold(x);
	found->x = x;
	return 0;
}

static int find_policy(struct xfrm_policy *xp, int dir, int count, void *data)
{
	struct search *search = data;
	struct found *found;

	if (search->looked++ == BHSEC_XFRM_STEP)
		return -EAGAIN;
	if (xp->if_id != search->if_id)
		return 0;
	found = find_one(search);
	if (!found)
		return -ENOMEM;
	xfrm_pol_hold(xp);
	found->xp = xp;
	found->dir = dir;
	return 0;
}

static int search_states(struct net *net, struct search *search)
{
	struct xfrm_state_walk walk;
	int err;

	/* what is not wanted counts for a step, too */
	xfrm_state_walk_init(&walk, 0, NULL);
	do {
		search->looked = 0;
		err = xfrm_state_walk(net, &walk, find_state, search);
		cond_resched();
	} while (err == -EAGAIN);
	xfrm_state_walk_done(&walk, net);
	return err;
}

static int search_policies(struct net *net, struct search *search)
{
	struct xfrm_policy_walk walk;
	int err;

	xfrm_policy_walk_init(&walk, XFRM_POLICY_TYPE_ANY);
	do {
		search->looked = 0;
		err = xfrm_policy_walk(net, &walk, find_policy, search);
		cond_resched();
	} while (err == -EAGAIN);
	xfrm_policy_walk_done(&walk, net);
	return err;
}

static void take_found(struct bhsec_binding *binding, struct search *search,
		       bool usable)
{
	struct found *found, *next;

	list_for_each_entry_safe(found, next, &search->found, list) {
		if (found->x) {
			if (usable)
				bhsec_state_adopt(binding, found->x);
			xfrm_state_put(found->x);
		} else {
			if (usable)
				bhsec_policy_adopt(binding, found->xp, found->dir);
			xfrm_pol_put(found->xp);
		}
		kfree(found);
	}
}

/* What is found is taken outside of xfrm's locks. */
static int look(struct bhsec_binding *binding,
		int (*walk)(struct net *net, struct search *search))
{
	struct search search = { .if_id = binding->if_id };
	int err;

	INIT_LIST_HEAD(&search.found);
	/* a walk that finds none at all is an error, too */
	err = walk(binding->net, &search) == -ENOMEM ? -ENOMEM : 0;
	take_found(binding, &search, !err);
	return err;
}

/**
 * bhsec_look_at_states - take all states that are there
 * @binding: the binding
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; none is taken then.
 */
int bhsec_look_at_states(struct bhsec_binding *binding)
{
	binding->looked = true;
	return look(binding, search_states);
}

/**
 * bhsec_look_at_all - take all that is there, and let go of what went
 * @binding: the binding
 *
 * In this order a peer that moved keeps its SAs.
 *
 * Context: may sleep; the device's lock is held.
 * Return: false if there was no memory to look; not all is taken then.
 */
bool bhsec_look_at_all(struct bhsec_binding *binding)
{
	bhsec_refusals_age(binding);
	if (bhsec_look_at_states(binding) || look(binding, search_policies))
		return false;
	bhsec_states_sweep(binding, false);
	bhsec_policies_sweep(binding, false);
	bhsec_refusals_sweep(binding, false);
	return true;
}
