// SPDX-License-Identifier: GPL-2.0
/*
 * Counters per CPU: a packet touches no line that another CPU writes.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>

#include "stats.h"

/**
 * bhsec_stats_alloc - a set of counters, all zero
 *
 * Context: may sleep.
 * Return: the counters, for free_percpu(), or NULL.
 */
struct bhsec_stats __percpu *bhsec_stats_alloc(void)
{
	struct bhsec_stats __percpu *stats;
	int cpu;

	stats = alloc_percpu_gfp(struct bhsec_stats, GFP_KERNEL_ACCOUNT);
	if (stats)
		for_each_possible_cpu(cpu)
			u64_stats_init(&per_cpu_ptr(stats, cpu)->sync);
	return stats;
}

/**
 * bhsec_stats_read - the sum of a counter over all CPUs
 * @stats: the counters
 * @counter: BHSEC_A_STATS_*
 *
 * Context: any.
 * Return: the sum.
 */
u64 bhsec_stats_read(struct bhsec_stats __percpu *stats, unsigned int counter)
{
	unsigned int start;
	u64 sum = 0, value;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct bhsec_stats *s = per_cpu_ptr(stats, cpu);

		do {
			start = u64_stats_fetch_begin(&s->sync);
			value = u64_stats_read(&s->value[counter]);
		} while (u64_stats_fetch_retry(&s->sync, start));
		sum += value;
	}
	return sum;
}
