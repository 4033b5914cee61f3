/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_EARLY_H
#define BHSEC_EARLY_H

#include <net/sock.h>

#include "uapi/bhsec.h"

struct list_head;
struct sk_buff;

/**
 * struct bhsec_early - what there is to say of a socket's early door
 * @door: BHSEC_DOOR_* of the last datagram; packets write it
 *
 * The socket's sk_user_data leads here, and its lowest bits are flags.
 */
struct bhsec_early {
	u32 door;
} __aligned(8);

/**
 * bhsec_early_note - say which way a datagram goes, and why
 * @sk: our socket
 * @door: BHSEC_DOOR_*
 *
 * Context: RCU read lock held.
 */
static inline void bhsec_early_note(const struct sock *sk, enum bhsec_door door)
{
	struct bhsec_early *early = rcu_dereference_sk_user_data(sk);

	/* none is there once the socket closes */
	if (likely(early) && unlikely(READ_ONCE(early->door) != door))
		WRITE_ONCE(early->door, door);
}

struct sk_buff *bhsec_early_receive(struct sock *sk, struct list_head *head,
				    struct sk_buff *skb);
void bhsec_early_missed(const struct sock *sk, const struct sk_buff *skb);
int bhsec_early_complete(struct sock *sk, struct sk_buff *skb, int offset);
struct sk_buff *bhsec_early_split(struct sk_buff *skb);

#endif
