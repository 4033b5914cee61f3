/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NETLINK_H
#define BHSEC_NETLINK_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include "stamp.h"
#include "uapi/bhsec.h"

struct bhsec_arrival;
struct bhsec_device;
struct bhsec_peer;
struct bhsec_prefix;
struct bhsec_sa;
struct net;

/* Events before this one can be brought about by anybody's packets. */
#define BHSEC_EVENT_LIMITED BHSEC_EVENT_SOFT

/* Kinds of ICMP errors; they are events of these names. */
#define BHSEC_PATH_ERRORS (BHSEC_EVENT_ICMP_TOO_BIG - BHSEC_EVENT_ICMP_PORT + 1)

/**
 * struct bhsec_event_limit - so many events a second, the rest are counted
 * @lock: covers all
 * @sent: events of this second
 * @suppressed: events held back since the last one sent
 */
struct bhsec_event_limit {
	spinlock_t lock;
	struct bhsec_limit sent;
	u32 suppressed;
};

void bhsec_event_limit_init(struct bhsec_event_limit *limit);
void bhsec_event(u32 event, struct net *underlay, struct bhsec_sa *sa,
		 __be32 spi, u64 seq, const struct bhsec_arrival *arrival);
void bhsec_event_path_error(u32 event, struct bhsec_sa *sa, u64 seq,
			    const struct bhsec_arrival *quoted, const void *from);
void bhsec_event_sa(u32 event, struct bhsec_sa *sa);
void bhsec_event_refused(struct bhsec_device *bdev, __be32 spi,
			 const char *reason);
void bhsec_notify_device(struct bhsec_device *bdev);
void bhsec_notify_peer(u8 cmd, struct bhsec_peer *peer);
void bhsec_notify_sa(u8 cmd, struct bhsec_sa *sa);
int bhsec_nl_put_prefix(struct sk_buff *msg, int attr,
			const struct bhsec_prefix *prefix);
int bhsec_netlink_init(void);
void bhsec_netlink_exit(void);

#endif
