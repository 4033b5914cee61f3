/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_STATS_H
#define BHSEC_STATS_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>

#include "uapi/bhsec.h"

/* One of each netlink attribute, BHSEC_A_STATS_RX_PACKETS and so on. */
#define BHSEC_COUNTERS (BHSEC_A_STATS_MAX + 1)

/**
 * struct bhsec_traffic - what one CPU has seen of many packets
 * @sync: keeps 64-bit reads whole on 32-bit machines
 * @packets: packets
 * @bytes: inner bytes of these
 */
struct bhsec_traffic {
	struct u64_stats_sync sync;
	u64_stats_t packets;
	u64_stats_t bytes;
};

/**
 * struct bhsec_drops - what was dropped, by cause
 * @count: by netlink attribute, from BHSEC_A_STATS_NO_SA on
 *
 * All CPUs share them, for there are many of these and drops are rare.
 */
struct bhsec_drops {
	atomic64_t count[BHSEC_COUNTERS - BHSEC_A_STATS_NO_SA];
};

struct bhsec_traffic __percpu *bhsec_traffic_alloc(void);
void bhsec_traffic_sum(struct bhsec_traffic __percpu *traffic, u64 *sums);
void bhsec_drops_sum(const struct bhsec_drops *drops, u64 *sums);
const char *bhsec_cause_name(unsigned int counter);

/**
 * bhsec_traffic_add - count packets
 * @traffic: the counters
 * @count: packets
 * @bytes: of all of them
 *
 * Context: softirqs off.
 */
static inline void bhsec_traffic_add(struct bhsec_traffic __percpu *traffic,
				     unsigned int count, unsigned int bytes)
{
	struct bhsec_traffic *t = this_cpu_ptr(traffic);

	u64_stats_update_begin(&t->sync);
	u64_stats_add(&t->packets, count);
	u64_stats_add(&t->bytes, bytes);
	u64_stats_update_end(&t->sync);
}

/**
 * bhsec_drops_add - count drops
 * @drops: the counters
 * @counter: BHSEC_A_STATS_NO_SA or one after it
 * @count: packets
 *
 * Context: any.
 */
static inline void bhsec_drops_add(struct bhsec_drops *drops,
				   unsigned int counter, u64 count)
{
	atomic64_add(count, &drops->count[counter - BHSEC_A_STATS_NO_SA]);
}

/**
 * bhsec_drop_reason - what the kernel itself calls a cause
 * @counter: BHSEC_A_STATS_*
 *
 * Return: its reason, SKB_DROP_REASON_NOT_SPECIFIED where it has none that says
 * the same.
 */
static inline enum skb_drop_reason bhsec_drop_reason(unsigned int counter)
{
	switch (counter) {
	case BHSEC_A_STATS_SELECTOR:
		return SKB_DROP_REASON_XFRM_POLICY;
	case BHSEC_A_STATS_NO_ROUTE:
		return SKB_DROP_REASON_IP_OUTNOROUTES;
	case BHSEC_A_STATS_TOO_BIG:
		return SKB_DROP_REASON_PKT_TOO_BIG;
	case BHSEC_A_STATS_DOWN:
		return SKB_DROP_REASON_DEV_READY;
	case BHSEC_A_STATS_NOMEM:
		return SKB_DROP_REASON_NOMEM;
	default:
		return SKB_DROP_REASON_NOT_SPECIFIED;
	}
}

#endif
