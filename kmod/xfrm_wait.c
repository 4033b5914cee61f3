// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that are ahead of the work item: one to be sent by a state that has
 * just been deleted, for its successor is there; one that came by a state that
 * is not an SA yet. They wait until what was told has been looked at, so that a
 * rekey loses nothing, however late that is.
 */
#include <linux/bottom_half.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/dst.h>

#include "arrival.h"
#include "compat.h"
#include "device.h"
#include "esp.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"
#include "xfrm_sad.h"
#include "xmit.h"

/* Each way; at full rate this is about a millisecond. */
#define WAITING_MAX 512

/* Whether a packet can wait; its route, if it has one, has to be its own. */
static bool may_wait(const struct sk_buff_head *queue, struct sk_buff *skb)
{
	return skb_queue_len_lockless(queue) < WAITING_MAX &&
	       (!skb_dst(skb) || skb_dst_force(skb));
}

/**
 * bhsec_wait_out - have a packet wait for the successor of its SA
 * @peer: whose SA it was; its state has ended
 * @skb: inner packet
 *
 * Context: RCU read lock held, softirqs off.
 * Return: true if it waits; it is consumed then.
 */
bool bhsec_wait_out(struct bhsec_peer *peer, struct sk_buff *skb)
{
	struct bhsec_binding *binding = peer->bound->binding;

	if (!may_wait(&binding->waiting_out, skb))
		return false;
	skb_queue_tail(&binding->waiting_out, skb);
	bhsec_binding_queue(binding);
	return true;
}

/**
 * bhsec_wait_for_key - have a packet wait for an SA that may be on its way
 * @peer: who is to be sent to, and has none; of any origin
 * @skb: inner packet
 *
 * Context: RCU read lock held, softirqs off.
 * Return: true if it waits; it is consumed then.
 */
bool bhsec_wait_for_key(struct bhsec_peer *peer, struct sk_buff *skb)
{
	const struct bhsec_bound *bound = READ_ONCE(peer->bound);

	return bound && bhsec_binding_has_news(bound->binding) &&
	       bhsec_wait_out(peer, skb);
}

/* Most often there is none, and what is not ours goes on at once. */
static bool any_is_behind(struct net *net)
{
	const struct list_head *bindings = bhsec_bindings_of(net);
	const struct bhsec_binding *binding;

	list_for_each_entry_rcu(binding, bindings, list)
		if (bhsec_binding_is_behind(binding))
			return true;
	return false;
}

static struct bhsec_binding *binding_of(struct net *net,
					const struct xfrm_state *x)
{
	const struct list_head *bindings = bhsec_bindings_of(net);
	struct bhsec_binding *binding;

	list_for_each_entry_rcu(binding, bindings, list)
		if (binding->if_id == x->if_id &&
		    x->km.state == XFRM_STATE_VALID)
			return binding;
	return NULL;
}

/**
 * bhsec_wait_in - have a datagram wait that came before its SA
 * @skb: the datagram; data starts at the ESP header
 * @arrival: its outer packet
 *
 * Context: RCU read lock held, softirqs off.
 * Return: true if it waits; it is consumed then.
 */
bool bhsec_wait_in(struct sk_buff *skb, const struct bhsec_arrival *arrival)
{
	struct net *net = dev_net(skb->dev);
	struct bhsec_binding *binding;
	struct xfrm_state *x;
	__be32 spi;

	if (!any_is_behind(net) || skb_copy_bits(skb, 0, &spi, sizeof(spi)))
		return false;
	x = bhsec_xfrm_state_of(skb, spi, arrival);
	if (!x)
		return false;
	binding = binding_of(net, x);
	xfrm_state_put(x);
	if (!binding || !may_wait(&binding->waiting_in, skb))
		return false;
	dev_hold(skb->dev);
	*bhsec_arrival(skb) = *arrival;
	skb_queue_tail(&binding->waiting_in, skb);
	bhsec_binding_queue(binding);
	return true;
}

static void send_on(struct sk_buff *skb, struct net_device *dev)
{
	local_bh_disable();
	bhsec_xmit(skb, dev);
	local_bh_enable();
}

/* What has no SA even now has none: xfrm would drop it, too. */
static void take_in(struct sk_buff *skb)
{
	struct bhsec_arrival arrival = *bhsec_arrival(skb);
	struct net_device *dev = skb->dev;

	local_bh_disable();
	rcu_read_lock();
	kfree_skb(bhsec_esp_in(skb, &arrival));
	rcu_read_unlock();
	local_bh_enable();
	dev_put(dev);
}

/**
 * bhsec_wait_over - let those go that wait
 * @binding: what was told it has looked at
 *
 * Context: may sleep; the device's lock is not held.
 */
void bhsec_wait_over(struct bhsec_binding *binding)
{
	unsigned int most = WAITING_MAX;
	struct sk_buff *skb;

	/* one may come back, by another state that has ended */
	while (most-- && (skb = skb_dequeue(&binding->waiting_out)))
		send_on(skb, binding->bdev->dev);
	while ((skb = skb_dequeue(&binding->waiting_in)))
		take_in(skb);
}

/**
 * bhsec_wait_purge - free those that wait for nothing more
 * @binding: nobody looks at it any more
 *
 * Context: may sleep.
 */
void bhsec_wait_purge(struct bhsec_binding *binding)
{
	struct sk_buff *skb;

	skb_queue_purge(&binding->waiting_out);
	while ((skb = skb_dequeue(&binding->waiting_in))) {
		dev_put(skb->dev);
		kfree_skb(skb);
	}
}
