/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NETLINK_H
#define BHSEC_NETLINK_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include "uapi/bhsec.h"

struct bhsec_sa;
struct net;
struct sk_buff;

/* Events before this one can be brought about by anybody's packets. */
#define BHSEC_EVENT_LIMITED BHSEC_EVENT_SOFT

/**
 * struct bhsec_event_limit - so many events a second, the rest are counted
 * @lock: covers all
 * @second: jiffies at which the current second began
 * @sent: events sent in it
 * @suppressed: events held back since the last one sent
 */
struct bhsec_event_limit {
	spinlock_t lock;
	unsigned long second;
	unsigned int sent;
	u32 suppressed;
};

void bhsec_event(u32 event, struct net *underlay, struct bhsec_sa *sa,
		 __be32 spi, u64 seq, const struct sk_buff *outer);
int bhsec_netlink_init(void);
void bhsec_netlink_exit(void);

#endif
