/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SA_H
#define BHSEC_SA_H

#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "aead.h"
#include "replay.h"
#include "stamp.h"
#include "stats.h"

struct bhsec_borrowed;
struct bhsec_cpu;
struct bhsec_net;
struct bhsec_peer;
struct netlink_ext_ack;
struct nlattr;

/**
 * struct bhsec_lifetime - a limit of each kind; 0 is none
 * @packets: packets accepted or sent
 * @bytes: inner bytes
 * @seconds: since the SA was added
 */
struct bhsec_lifetime {
	u64 packets;
	u64 bytes;
	u64 seconds;
};

/**
 * struct bhsec_sa_config - what an SA is made from
 * @spi: host byte order
 * @cipher: BHSEC_CIPHER_*
 * @outbound: direction
 * @esn: 64-bit sequence numbers
 * @dscp_listed: @dscp was given
 * @encap: BHSEC_ENCAP_*
 * @cpu: which one sends by it, or BHSEC_ANY_CPU
 * @window: anti-replay window in packets, inbound
 * @dscp: bit N claims DSCP N, outbound
 * @seq: last sequence number used before
 * @soft: when to tell
 * @hard: when to stop
 * @key: keys and salt, bhsec_aead_key_len() bytes; the caller wipes it
 * @borrowed: the XFRM state that it lives by; NULL for one keyed by hand
 * @attrs: the request, BHSEC_A_SA_*, for the attribute that a refusal names
 */
struct bhsec_sa_config {
	u32 spi;
	u32 cipher;
	bool outbound;
	bool esn;
	bool dscp_listed;
	u8 encap;
	u32 cpu;
	u32 window;
	u64 dscp;
	u64 seq;
	struct bhsec_lifetime soft;
	struct bhsec_lifetime hard;
	const u8 *key;
	struct bhsec_borrowed *borrowed;
	struct nlattr **attrs;
};

/**
 * struct bhsec_sa_mark - what each datagram of an outbound SA shows of it
 * @spi: network byte order
 * @mask: the low half of bhsec_sa.iv_mask: bhsec_iv_number() XOR sequence number
 */
struct bhsec_sa_mark {
	__be32 spi;
	u32 mask;
};

/**
 * struct bhsec_sa - a security association (RFC 4301 4.1), one direction
 * @in_node: in the inbound table of the underlay netns, by SPI
 * @sender_node: in the table of all outbound SAs, by endpoint and SPI, which
 *	ICMP errors are checked against; under the table's lock
 * @peer_node: among the peer's outbound SAs; under the same lock
 * @mark_node: in the table of outbound SAs with IVs, by @mark, which loops are
 *	checked against
 * @mark: of an outbound SA with IVs; no other has it
 * @spi: network byte order
 * @cipher: BHSEC_CIPHER_*
 * @layout: what the cipher has around a payload
 * @encap: BHSEC_ENCAP_*; a state may change it, under the device's lock
 * @outbound: direction
 * @esn: 64-bit sequence numbers
 * @dscp_listed: claims the DSCPs of a list, not what is left over
 * @metered: has a lifetime in packets or bytes
 * @cpu: which one sends by it, or BHSEC_ANY_CPU; what comes in by it may come
 *	on any
 * @state: BHSEC_SA_STATE_*; leaves ACTIVE once
 * @iv_mask: outbound, in the explicit IV is the sequence number XOR this
 * @key_digest: keyed hash, to find the same key among a peer's SAs
 * @peer: the SA holds a reference
 * @borrowed: the XFRM state that the SA lives by, which has its numbers and
 *	lifetimes; held; NULL for one keyed by hand
 * @tfm: valid while @users is not 0
 * @transforms: how many transforms the underlay netns waits for
 * @ref: the list's reference, and one as long as @tfm lives
 * @soft: when to tell
 * @hard: when to stop
 * @traffic: packets sent, or received, with their inner bytes
 * @drops: of those that were for this SA; NULL before the first
 * @seq: outbound, the last sequence number reserved; what each packet writes
 *	begins here, in other cache lines than what it reads
 * @last: a packet was sent, or an authentic one received
 * @replay_lock: serializes @replay; softirqs are off
 * @users: one until a grace period after the SA has stopped, and one of each
 *	packet that stays in it longer than under the RCU read lock; where a
 *	cipher may answer later each packet is one
 * @replay: inbound window
 * @used_packets: counted while a lifetime in packets is set
 * @used_bytes: counted while a lifetime in bytes is set
 * @soft_told: bit 0, the soft event was sent
 * @added: when, in nanoseconds of the boot clock
 * @clock: lifetimes in seconds
 * @list: among the peer's SAs, under the device's lock; once it is deleted among
 *	those that still count for the peer, under bhsec_peer.leaving_lock
 * @end_work: one after the other gives up the first of @users after a grace
 *	period, frees @tfm, which may sleep, frees the rest after a grace period
 */
struct bhsec_sa {
	struct rhash_head in_node;
	struct hlist_node sender_node;
	struct hlist_node peer_node;
	struct rhash_head mark_node;
	struct bhsec_sa_mark mark;
	__be32 spi;
	u8 cipher;
	struct bhsec_layout layout;
	u8 encap;
	bool outbound;
	bool esn;
	bool dscp_listed;
	bool metered;
	u32 cpu;
	atomic_t state;
	u64 iv_mask;
	u64 key_digest;
	struct bhsec_peer *peer;
	struct bhsec_borrowed *borrowed;
	struct crypto_aead *tfm;
	atomic_t *transforms;
	refcount_t ref;
	struct bhsec_lifetime soft;
	struct bhsec_lifetime hard;
	struct bhsec_traffic __percpu *traffic;
	struct bhsec_drops *drops;
	atomic64_t seq ____cacheline_aligned_in_smp;
	struct bhsec_stamp last;
	spinlock_t replay_lock;
	refcount_t users;
	struct bhsec_replay replay;
	atomic64_t used_packets;
	atomic64_t used_bytes;
	unsigned long soft_told;
	u64 added;
	struct delayed_work clock;
	struct list_head list;
	struct rcu_work end_work;
};

extern struct workqueue_struct *bhsec_workqueue;

struct bhsec_sa *bhsec_sa_add(struct bhsec_peer *peer,
			      const struct bhsec_sa_config *config,
			      struct netlink_ext_ack *extack);
struct bhsec_sa *bhsec_sa_find(struct bhsec_peer *peer, u32 spi, bool outbound);
void bhsec_sa_del(struct bhsec_sa *sa);
u64 bhsec_sa_key_digest(const struct bhsec_sa_config *config);
u64 bhsec_sa_seq_limit(const struct bhsec_sa *sa);
u64 bhsec_sa_age(const struct bhsec_sa *sa);
u64 bhsec_sa_seq(struct bhsec_sa *sa);

void bhsec_sa_carry(struct bhsec_peer *peer, u32 cpu,
		    struct bhsec_sa *const *sas);
void bhsec_sa_claim(struct bhsec_sa *sa, u64 list);
void bhsec_sa_release(struct bhsec_sa *sa);
u64 bhsec_sa_dscp(const struct bhsec_sa *sa);
struct bhsec_cpu *bhsec_cpus(struct bhsec_peer *peer);
int bhsec_cpu_carries(struct bhsec_peer *peer, u32 cpu);
void bhsec_cpus_free(struct bhsec_cpu *cpus);

void bhsec_sa_leave(struct bhsec_sa *sa);
void bhsec_sa_sum(const struct bhsec_sa *sa, u64 *sums);
void bhsec_sa_count_drops(struct bhsec_sa *sa, unsigned int counter,
			  unsigned int count);
int bhsec_sa_reserve(struct bhsec_sa *sa, unsigned int *count,
		     unsigned int unit, unsigned int bytes, u64 *seq);
unsigned int bhsec_sa_spend(struct bhsec_sa *sa, unsigned int count,
			    unsigned int unit, unsigned int bytes);

/**
 * bhsec_sa_ended - may packets be sent or received by an SA
 * @sa: the SA
 *
 * They may until the RCU read lock is released, whatever becomes of the SA
 * meanwhile. What stays longer is to be a user, see bhsec_sa_use().
 *
 * Context: RCU read lock held.
 * Return: 0, or the counter that says why the SA is at its end.
 */
static inline unsigned int bhsec_sa_ended(const struct bhsec_sa *sa)
{
	int state = atomic_read(&sa->state);

	if (likely(state == BHSEC_SA_STATE_ACTIVE))
		return 0;
	/* pairs with the change of state in sa_stop(), and what lies before */
	smp_rmb();
	return state == BHSEC_SA_STATE_EXHAUSTED ?
	       BHSEC_A_STATS_EXHAUSTED : BHSEC_A_STATS_EXPIRED;
}

/**
 * bhsec_sa_account - spend packets of the SA's lifetimes, if it has any
 * @sa: the SA
 * @count: how many
 * @unit: inner bytes of each but the last, which may have less
 * @bytes: inner bytes of all
 *
 * Context: any.
 * Return: how many lie within the hard limits; they are the first.
 */
static inline unsigned int bhsec_sa_account(struct bhsec_sa *sa,
					    unsigned int count,
					    unsigned int unit,
					    unsigned int bytes)
{
	return sa->metered ? bhsec_sa_spend(sa, count, unit, bytes) : count;
}

/**
 * bhsec_sa_has_iv - can a datagram be known again by its IV
 * @sa: its SA
 *
 * Return: true if so.
 */
static inline bool bhsec_sa_has_iv(const struct bhsec_sa *sa)
{
	return sa->layout.head > 8;
}

/**
 * bhsec_sa_use - be a user for longer than the RCU read lock is held
 * @sa: the SA; bhsec_sa_ended() has said 0 since that was taken, or the caller
 *	is a user
 *
 * Context: any; to be ended by bhsec_sa_leave().
 */
static inline void bhsec_sa_use(struct bhsec_sa *sa)
{
	refcount_inc(&sa->users);
}

/**
 * bhsec_sa_count - count what was sent or received
 * @sa: the SA
 * @count: packets
 * @bytes: inner bytes of all
 *
 * Context: softirqs off.
 */
static inline void bhsec_sa_count(struct bhsec_sa *sa, unsigned int count,
				  unsigned int bytes)
{
	bhsec_traffic_add(sa->traffic, count, bytes);
}

#endif
