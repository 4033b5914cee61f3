// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec: ESP tunnels (RFC 4303) for mobile backhaul, as a network device.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>

#include "aead.h"
#include "buffer.h"
#include "deliver.h"
#include "device.h"
#include "door.h"
#include "netlink.h"
#include "sa.h"
#include "train.h"
#include "underlay.h"
#include "xfrm_bind.h"

/**
 * DOC: Locks
 *
 * From the outside in: rtnl, bhsec_device.lock, bhsec_net.lock, the locks of
 * the tables, which for states and policies are xfrm's, and netfilter's.
 *
 * bhsec_sa.replay_lock and bhsec_event_limit.lock are taken by packets with
 * softirqs off and have nothing inside. So is the lock of a borrowed state; it
 * has its copy's inside, and bhsec_binding.lock for what is told under it.
 *
 * bhsec_route.lock and bhsec_peer.leaving_lock have nothing inside either; a packet
 * takes the former where it has looked a route up. One that moves its peer takes
 * bhsec_peer.endpoint_lock, which has replay_lock or the route's inside, and then
 * that of the table of outbound SAs, with nothing inside.
 *
 * A packet takes no other lock: it finds peer, endpoint and SA under RCU, and
 * becomes a user of the SA (bhsec_sa_use()) before it waits in a cipher or a
 * train, because it may come out after the grace period.
 *
 * An SA holds its peer, a peer its netdev. A netns that is an underlay ends
 * only after the last transform of its SAs.
 */

static int __init bhsec_init(void)
{
	int err;

	bhsec_workqueue = alloc_workqueue("bhsec", WQ_UNBOUND, 0);
	if (!bhsec_workqueue)
		return -ENOMEM;
	bhsec_deliver_init();
	bhsec_train_init();
	err = bhsec_underlay_init();
	if (err)
		goto destroy_workqueue;
	err = bhsec_door_init();
	if (err)
		goto exit_underlay;
	err = bhsec_bind_init();
	if (err)
		goto exit_door;
	err = bhsec_netlink_init();
	if (err)
		goto exit_bind;
	err = bhsec_device_init();
	if (err)
		goto exit_netlink;
	return 0;

exit_netlink:
	bhsec_netlink_exit();
exit_bind:
	bhsec_bind_exit();
exit_door:
	bhsec_door_exit();
exit_underlay:
	bhsec_underlay_exit();
destroy_workqueue:
	destroy_workqueue(bhsec_workqueue);
	return err;
}

static void __exit bhsec_exit(void)
{
	bhsec_device_exit();
	bhsec_netlink_exit();
	bhsec_bind_exit();
	bhsec_door_exit();
	bhsec_deliver_exit();
	bhsec_train_exit();
	bhsec_underlay_exit();
	/* the devices waited for their peers; what is left frees memory */
	rcu_barrier();
	destroy_workqueue(bhsec_workqueue);
	rcu_barrier();
	bhsec_aead_exit();
	bhsec_buffer_exit();
}

module_init(bhsec_init);
module_exit(bhsec_exit);

MODULE_DESCRIPTION("ESP tunnels for mobile backhaul");
MODULE_AUTHOR("The bhsec authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS_GENL_FAMILY(BHSEC_FAMILY_NAME);
