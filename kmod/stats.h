/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_STATS_H
#define BHSEC_STATS_H

#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>

#include "uapi/bhsec.h"

/**
 * struct bhsec_stats - one CPU's counters of a peer, an SA or a netns
 * @sync: keeps 64-bit reads whole on 32-bit machines
 * @value: by netlink attribute, BHSEC_A_STATS_RX_PACKETS and so on
 */
struct bhsec_stats {
	struct u64_stats_sync sync;
	u64_stats_t value[BHSEC_A_STATS_MAX + 1];
};

struct bhsec_stats __percpu *bhsec_stats_alloc(void);
u64 bhsec_stats_read(struct bhsec_stats __percpu *stats, unsigned int counter);

/**
 * bhsec_stats_add - add to a counter and to the one of bytes beside it
 * @stats: the counters
 * @counter: BHSEC_A_STATS_*, of packets
 * @count: packets
 * @bytes: added to the counter after it; 0 for a counter of drops
 *
 * Context: softirqs off.
 */
static inline void bhsec_stats_add(struct bhsec_stats __percpu *stats,
				   unsigned int counter, unsigned int count,
				   unsigned int bytes)
{
	struct bhsec_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->sync);
	u64_stats_add(&s->value[counter], count);
	if (bytes)
		u64_stats_add(&s->value[counter + 1], bytes);
	u64_stats_update_end(&s->sync);
}

#endif
