/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SOFTIRQ_H
#define BHSEC_SOFTIRQ_H

#include <linux/interrupt.h>
#include <linux/kernel_stat.h>
#include <linux/preempt.h>

/**
 * bhsec_softirq_number - the softirq in which this CPU last received packets
 *
 * Context: softirqs off.
 * Return: its number, which comes round.
 */
static inline unsigned int bhsec_softirq_number(void)
{
	return __this_cpu_read(kstat.softirqs[NET_RX_SOFTIRQ]);
}

/**
 * bhsec_softirq_again - was something done before in this softirq
 * @last: bhsec_softirq_number() when it was done last
 *
 * Context: softirqs off.
 * Return: true if so, and there is an end of the softirq to wait for.
 */
static inline bool bhsec_softirq_again(unsigned int last)
{
	return in_serving_softirq() && last == bhsec_softirq_number();
}

#endif
