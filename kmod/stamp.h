/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_STAMP_H
#define BHSEC_STAMP_H

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>

/**
 * struct bhsec_stamp - when something last happened
 * @tick: jiffies of that, all 64 bits, which never come round
 * @second: of the boot clock, which counts suspended time; 0 for never
 *
 * @tick is no more than a reason not to ask the clock for each packet: where a
 * machine writes it in halves, a mixture of two has the clock asked once more.
 */
struct bhsec_stamp {
	u64 tick;
	u32 second;
};

/**
 * struct bhsec_limit - so many a second
 * @second: jiffies at which the current second began
 * @count: how many there were in it
 */
struct bhsec_limit {
	unsigned long second;
	unsigned int count;
};

/**
 * bhsec_stamp_now - it happens
 * @stamp: in a line that each packet writes anyway; written once a tick
 *
 * Context: any.
 */
static inline void bhsec_stamp_now(struct bhsec_stamp *stamp)
{
	u64 tick = get_jiffies_64();

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

bool bhsec_is_recent(unsigned long when);
bool bhsec_limit_allows(struct bhsec_limit *limit, unsigned int most);

#endif
