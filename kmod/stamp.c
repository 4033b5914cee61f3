// SPDX-License-Identifier: GPL-2.0
/*
 * When something last happened, and how often it may.
 */
#include "stamp.h"

/**
 * bhsec_is_recent - did something happen less than a second ago
 * @when: jiffies of that
 *
 * time_after() would take what lies half a round of jiffies back, on a 32-bit
 * machine some weeks, for something that is still to come.
 *
 * Context: any.
 * Return: true if so.
 */
bool bhsec_is_recent(unsigned long when)
{
	unsigned long now = jiffies;

	return time_in_range_open(now, when, when + HZ);
}

/**
 * bhsec_limit_allows - may something happen once more in this second
 * @limit: counts it if so; the caller has a lock for it
 * @most: how often a second
 *
 * Context: any.
 * Return: true if so.
 */
bool bhsec_limit_allows(struct bhsec_limit *limit, unsigned int most)
{
	if (!bhsec_is_recent(limit->second)) {
		limit->second = jiffies;
		limit->count = 0;
	}
	if (limit->count >= most)
		return false;
	limit->count++;
	return true;
}
