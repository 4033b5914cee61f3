/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_STAMP_H
#define BHSEC_STAMP_H

#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/timekeeping.h>

/**
 * struct bhsec_stamp - when something last happened
 * @tick: jiffies of that, the lower 32 bits
 * @second: of the boot clock, which counts suspended time; 0 for never
 *
 * Both are words that every machine writes whole. @tick is no more than a
 * reason not to ask the clock for each packet: it may come round.
 */
struct bhsec_stamp {
	u32 tick;
	u32 second;
};

/**
 * bhsec_stamp_now - it happens
 * @stamp: in a line that each packet writes anyway; written once a tick
 *
 * Context: any.
 */
static inline void bhsec_stamp_now(struct bhsec_stamp *stamp)
{
	u32 tick = (u32)jiffies;

	if (READ_ONCE(stamp->tick) == tick && READ_ONCE(stamp->second))
		return;
	WRITE_ONCE(stamp->tick, tick);
	WRITE_ONCE(stamp->second, max_t(u32, ktime_get_boottime_seconds(), 1));
}

/**
 * bhsec_stamp_age - how long ago that was
 * @second: of the boot clock
 *
 * Return: seconds.
 */
static inline u64 bhsec_stamp_age(u32 second)
{
	return (u32)ktime_get_boottime_seconds() - second;
}

#endif
