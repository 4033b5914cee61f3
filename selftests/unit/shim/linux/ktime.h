/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHIM_KTIME_H
#define BHSEC_SHIM_KTIME_H

#include <linux/types.h>

/* Says what the test wants it to. */
u64 ktime_get_boottime_seconds(void);

#endif
