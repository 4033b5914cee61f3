/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHIM_JIFFIES_H
#define BHSEC_SHIM_JIFFIES_H

#include <linux/types.h>

#define HZ 250

/* The test moves them. */
extern unsigned long jiffies;

#define get_jiffies_64() ((u64)jiffies)
#define time_after_eq(a, b) ((long)((a) - (b)) >= 0)
#define time_before(a, b) ((long)((a) - (b)) < 0)
#define time_in_range_open(a, b, c) (time_after_eq(a, b) && time_before(a, c))

#endif
