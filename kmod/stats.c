// SPDX-License-Identifier: GPL-2.0
/*
 * Counters: per CPU for what passes, so that a packet touches no line that
 * another CPU writes; shared for what is dropped.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>

#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * bhsec_traffic_alloc - counters of packets, all zero
 *
 * Context: may sleep.
 * Return: the counters, for free_percpu(), or NULL.
 */
struct bhsec_traffic __percpu *bhsec_traffic_alloc(void)
{
	struct bhsec_traffic __percpu *traffic;
	int cpu;

	traffic = alloc_percpu_gfp(struct bhsec_traffic, GFP_KERNEL_ACCOUNT);
	if (traffic)
		for_each_possible_cpu(cpu)
			u64_stats_init(&per_cpu_ptr(traffic, cpu)->sync);
	return traffic;
}

/**
 * bhsec_traffic_sum - add what all CPUs have counted
 * @traffic: the counters
 * @sums: where packets are added to, and bytes behind them
 *
 * Context: any.
 */
void bhsec_traffic_sum(struct bhsec_traffic __percpu *traffic, u64 *sums)
{
	u64 packets, bytes;
	unsigned int start;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct bhsec_traffic *t = per_cpu_ptr(traffic, cpu);

		do {
			start = u64_stats_fetch_begin(&t->sync);
			packets = u64_stats_read(&t->packets);
			bytes = u64_stats_read(&t->bytes);
		} while (u64_stats_fetch_retry(&t->sync, start));
		sums[0] += packets;
		sums[1] += bytes;
	}
}

/**
 * bhsec_drops_sum - add drops to sums
 * @drops: the counters
 * @sums: by netlink attribute, BHSEC_COUNTERS of them
 *
 * Context: any.
 */
void bhsec_drops_sum(const struct bhsec_drops *drops, u64 *sums)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(drops->count); i++)
		sums[BHSEC_A_STATS_NO_SA + i] += atomic64_read(&drops->count[i]);
}

static const char *const causes[BHSEC_COUNTERS] = {
	[BHSEC_A_STATS_NO_SA] = "no_sa",
	[BHSEC_A_STATS_AUTH] = "auth",
	[BHSEC_A_STATS_REPLAY] = "replay",
	[BHSEC_A_STATS_MALFORMED] = "malformed",
	[BHSEC_A_STATS_SELECTOR] = "selector",
	[BHSEC_A_STATS_PADDING] = "padding",
	[BHSEC_A_STATS_FRAGMENT] = "fragment",
	[BHSEC_A_STATS_ENCAP] = "encap",
	[BHSEC_A_STATS_DUMMY] = "dummy",
	[BHSEC_A_STATS_EXPIRED] = "expired",
	[BHSEC_A_STATS_EXHAUSTED] = "exhausted",
	[BHSEC_A_STATS_NO_KEY] = "no_key",
	[BHSEC_A_STATS_NO_PEER] = "no_peer",
	[BHSEC_A_STATS_NO_ENDPOINT] = "no_endpoint",
	[BHSEC_A_STATS_NO_ROUTE] = "no_route",
	[BHSEC_A_STATS_TOO_BIG] = "too_big",
	[BHSEC_A_STATS_LOOP] = "loop",
	[BHSEC_A_STATS_DOWN] = "down",
	[BHSEC_A_STATS_BACKLOG] = "backlog",
	[BHSEC_A_STATS_NOMEM] = "nomem",
	[BHSEC_A_STATS_CRYPTO] = "crypto",
};

/**
 * bhsec_cause_name - the word for why a packet is dropped
 * @counter: BHSEC_A_STATS_NO_SA or one after it
 *
 * Return: the name that the tool gives the counter.
 */
const char *bhsec_cause_name(unsigned int counter)
{
	return causes[counter];
}
