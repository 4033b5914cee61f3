/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_KEEPALIVE_H
#define BHSEC_KEEPALIVE_H

#include <linux/jiffies.h>

#include "peer.h"

void bhsec_keepalive_init(struct bhsec_peer *peer);
void bhsec_keepalive_set(struct bhsec_peer *peer, u16 seconds);

/**
 * bhsec_keepalive_sent - a packet went to a peer: none is needed for a while
 * @peer: the peer
 *
 * Context: any.
 */
static inline void bhsec_keepalive_sent(struct bhsec_peer *peer)
{
	unsigned long now = jiffies;

	/* a line that all CPUs read is written once a tick */
	if (READ_ONCE(peer->keepalive) && READ_ONCE(peer->last_sent) != now)
		WRITE_ONCE(peer->last_sent, now);
}

#endif
