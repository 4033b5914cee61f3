// SPDX-License-Identifier: GPL-2.0
/*
 * One byte now and then, so that NATs on the way keep their mapping of a
 * tunnel that is silent (RFC 3948 2.3, 4).
 */
#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "device.h"
#include "keepalive.h"
#include "outer.h"
#include "sa.h"

/* Without an SA there is no tunnel to keep, and the port may be another's. */
static bool has_tunnel(const struct bhsec_peer *peer)
{
	const struct bhsec_sa *sa;
	unsigned int i;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++) {
		sa = rcu_dereference(peer->out[i]);
		if (sa && atomic_read(&sa->state) == BHSEC_SA_STATE_ACTIVE)
			return netif_running(peer->bdev->dev);
	}
	return false;
}

static void send(struct bhsec_peer *peer)
{
	struct net *underlay = rcu_dereference(peer->bdev->underlay);
	struct bhsec_outer outer = {};
	struct sk_buff *skb;

	outer.tos = bhsec_outer_tos(rcu_dereference(peer->bdev->settings), 0);
	if (!underlay || !has_tunnel(peer) || bhsec_outer_route(peer, &outer))
		return;
	skb = alloc_skb(bhsec_outer_headroom(&outer) + 1, GFP_ATOMIC);
	if (skb) {
		skb_reserve(skb, bhsec_outer_headroom(&outer));
		skb_put_u8(skb, 0xff);
		bhsec_outer_send(underlay, &outer, skb);
	}
}

static void wake(struct work_struct *work)
{
	struct bhsec_peer *peer = container_of(to_delayed_work(work),
					       struct bhsec_peer, keepalive_work);
	unsigned long interval = READ_ONCE(peer->keepalive) * HZ;
	unsigned long last = READ_ONCE(peer->last_sent);
	unsigned long idle = jiffies - last;	/* read after it, or below zero */

	if (!interval)
		return;
	if (idle >= interval) {
		local_bh_disable();
		rcu_read_lock();
		send(peer);
		rcu_read_unlock();
		local_bh_enable();
		/* or jiffies come round while nothing else is sent */
		WRITE_ONCE(peer->last_sent, jiffies);
		idle = 0;
	}
	queue_delayed_work(bhsec_workqueue, &peer->keepalive_work,
			   interval - idle);
}

/**
 * bhsec_keepalive_init - prepare a peer for keepalives
 * @peer: the peer; it gets none yet
 */
void bhsec_keepalive_init(struct bhsec_peer *peer)
{
	INIT_DELAYED_WORK(&peer->keepalive_work, wake);
}

/**
 * bhsec_keepalive_set - after how long a peer gets a keepalive
 * @peer: the peer; it has to be set to 0 before it goes
 * @seconds: without any other packet; 0 is never
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_keepalive_set(struct bhsec_peer *peer, u16 seconds)
{
	lockdep_assert_held(&peer->bdev->lock);
	WRITE_ONCE(peer->keepalive, seconds);
	if (!seconds) {
		cancel_delayed_work_sync(&peer->keepalive_work);
		return;
	}
	WRITE_ONCE(peer->last_sent, jiffies - seconds * HZ);
	mod_delayed_work(bhsec_workqueue, &peer->keepalive_work, 0);
}
