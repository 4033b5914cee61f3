// SPDX-License-Identifier: GPL-2.0
/*
 * Inner packets on their way from the device into the stack: TCP by GRO, other
 * packets at once. From the second on those of one softirq wait for its end and
 * walk the stack as a list, for which it looks a route up once.
 */
#include <linux/if_vlan.h>
#include <linux/interrupt.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <net/gro_cells.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "compat.h"
#include "deliver.h"
#include "device.h"
#include "esp.h"
#include "peer.h"
#include "sa.h"
#include "softirq.h"

/* As many as NAPI hands over in one turn. */
#define WAITING_MAX 64

/**
 * struct landing - inner packets that wait for the end of the softirq
 * @list: the packets
 * @dev: their device, with a reference while there are any
 * @tracker: of that reference
 * @count: how many
 * @softirq: bhsec_softirq_number() when the last one was delivered
 * @busy: packets are handed to the stack right now
 * @end: hands them over
 *
 * Of one CPU; softirqs are off.
 *
 * A packet that was in several tunnels of this host, one in the other, goes
 * straight to the stack out of the outermost only, @busy says: the stack of this
 * CPU has an end, and the far end decides how many there are.
 */
struct landing {
	struct list_head list;
	struct net_device *dev;
	netdevice_tracker tracker;
	unsigned int count;
	unsigned int softirq;
	bool busy;
	struct tasklet_struct end;
};

static DEFINE_PER_CPU(struct landing, landings);

/* A delivered packet inherits nothing from the one that carried it. */
static void forget_outer(struct sk_buff *skb, struct net_device *dev)
{
	skb_orphan(skb);
	bhsec_scrub(skb);
	__vlan_hwaccel_clear_tag(skb);
	skb_clear_hash(skb);
	skb_set_queue_mapping(skb, 0);
	skb->priority = 0;
	skb->ip_summed = CHECKSUM_NONE;
	skb->csum_level = 0;
	skb->csum_valid = 0;
	skb_gso_reset(skb);
	skb->dev = dev;
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_reset_mac_len(skb);
}

/* What GRO puts together; the rest it would only delay. */
static bool wants_gro(const struct sk_buff *skb)
{
	if (skb->dev->features & (NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD))
		return true;
	return skb->protocol == htons(ETH_P_IP) ?
	       ip_hdr(skb)->protocol == IPPROTO_TCP :
	       ipv6_hdr(skb)->nexthdr == IPPROTO_TCP;
}

static void drop_landed(struct net_device *dev, struct list_head *list)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, list, list) {
		skb_list_del_init(skb);
		dev_core_stats_rx_dropped_inc(dev);
		kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY);
	}
}

static void land(struct landing *landing)
{
	struct net_device *dev = landing->dev;
	LIST_HEAD(list);

	list_splice_init(&landing->list, &list);
	landing->count = 0;
	landing->busy = true;
	/* it may have gone down since, and away */
	if (likely(netif_running(dev)))
		netif_receive_skb_list(&list);
	else
		drop_landed(dev, &list);
	landing->busy = false;
	netdev_put(dev, &landing->tracker);
}

static void land_at_end(struct tasklet_struct *end)
{
	struct landing *landing = container_of(end, struct landing, end);

	if (landing->count)
		land(landing);
}

static void wait(struct landing *landing, struct sk_buff *skb)
{
	if (!landing->count) {
		netdev_hold(skb->dev, &landing->tracker, GFP_ATOMIC);
		landing->dev = skb->dev;
		tasklet_schedule(&landing->end);
	}
	list_add_tail(&skb->list, &landing->list);
	landing->count++;
}

/* What waits from before goes first. The first received never waits. */
static void deliver(struct landing *landing, struct sk_buff *skb)
{
	bool waits = bhsec_softirq_again(landing->softirq);

	landing->softirq = bhsec_softirq_number();
	if (landing->count && (!waits || landing->dev != skb->dev ||
			       landing->count == WAITING_MAX))
		land(landing);
	if (waits) {
		wait(landing, skb);
		return;
	}
	landing->busy = true;
	netif_receive_skb(skb);
	landing->busy = false;
}

static void drop_all(struct bhsec_sa *sa, struct sk_buff *list,
		     unsigned int counter)
{
	struct sk_buff *skb, *next;

	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		dev_core_stats_rx_dropped_inc(sa->peer->bdev->dev);
		bhsec_sa_count_drops(sa, counter, 1);
		kfree_skb_reason(skb, bhsec_drop_reason(counter));
	}
}

static void count_received(struct bhsec_sa *sa, unsigned int count,
			   unsigned int bytes)
{
	struct pcpu_sw_netstats *tstats = this_cpu_ptr(sa->peer->bdev->dev->tstats);

	bhsec_sa_count(sa, count, bytes);
	u64_stats_update_begin(&tstats->syncp);
	u64_stats_add(&tstats->rx_packets, count);
	u64_stats_add(&tstats->rx_bytes, bytes);
	u64_stats_update_end(&tstats->syncp);
}

/**
 * bhsec_deliver - hand inner packets to the stack
 * @sa: the SA that they came by
 * @list: packets, linked by their next; data starts at the inner IP header, and
 *	their protocol is set; consumed
 *
 * Nobody sees a packet before it is counted.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_deliver(struct bhsec_sa *sa, struct sk_buff *list)
{
	struct landing *landing = this_cpu_ptr(&landings);
	struct bhsec_device *bdev = sa->peer->bdev;
	unsigned int len, bytes = 0, count = 0;
	struct sk_buff *skb, *next;

	if (!netif_running(bdev->dev)) {
		drop_all(sa, list, BHSEC_A_STATS_DOWN);
		return;
	}
	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		forget_outer(skb, bdev->dev);
		len = skb->len;
		if (!wants_gro(skb) && !landing->busy) {
			count_received(sa, 1, len);
			deliver(landing, skb);
		} else if (gro_cells_receive(&bdev->cells, skb) == NET_RX_DROP) {
			bhsec_sa_count_drops(sa, BHSEC_A_STATS_BACKLOG, 1);
		} else {
			bytes += len;
			count++;
		}
	}
	if (count)
		count_received(sa, count, bytes);
}

/**
 * bhsec_deliver_init - make the CPUs' places to wait
 */
void bhsec_deliver_init(void)
{
	struct landing *landing;
	int cpu;

	for_each_possible_cpu(cpu) {
		landing = per_cpu_ptr(&landings, cpu);
		INIT_LIST_HEAD(&landing->list);
		tasklet_setup(&landing->end, land_at_end);
	}
}

/**
 * bhsec_deliver_exit - wait for what has not been handed over
 *
 * Context: may sleep; no device is left.
 */
void bhsec_deliver_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		tasklet_kill(&per_cpu(landings, cpu).end);
}
