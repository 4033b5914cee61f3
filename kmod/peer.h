/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PEER_H
#define BHSEC_PEER_H

#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/workqueue.h>

#include "netlink.h"
#include "selector.h"
#include "stamp.h"
#include "stats.h"

struct bhsec_bound;
struct bhsec_device;
struct bhsec_endpoint;
struct bhsec_sa;
struct netlink_ext_ack;
struct nlattr;

#define BHSEC_DSCP_COUNT 64
/* As the kernel says it of an XFRM state. */
#define BHSEC_ANY_CPU U32_MAX
/* Two such lists fit in one message of a dump, which ends at 32 KB. */
#define BHSEC_PREFIXES_MAX 256

/**
 * struct bhsec_prefixes - a list of prefixes; replaced as a whole
 * @rcu: frees it
 * @count: entries of @prefix
 * @prefix: the prefixes
 */
struct bhsec_prefixes {
	struct rcu_head rcu;
	unsigned int count;
	struct bhsec_prefix prefix[];
};

/**
 * struct bhsec_cpu - by which SAs one CPU sends to a peer; RFC 9611 3
 * @out: as that of the peer, and of the same for what the CPU has no SA of its
 *	own; NULL before its first, then that of the peer counts
 * @lacks: it has none of its own, and the daemon wants to be asked for one
 * @asked: jiffies of the last question
 */
struct bhsec_cpu {
	struct bhsec_sa __rcu **out;
	bool lacks;
	unsigned long asked;
};

/**
 * struct bhsec_peer_config - what to change of a peer
 * @endpoint: new endpoint, or NULL; taken over on success
 * @selectors: new list, or NULL; taken over on success
 * @local_selectors: new list, or NULL; taken over on success
 * @bound: what a daemon makes it from, or NULL
 * @has_encap: @encap is given
 * @has_roam: @roam is given
 * @has_entropy: @entropy is given
 * @has_keepalive: @keepalive is given
 * @encap: BHSEC_ENCAP_*
 * @roam: learn the endpoint
 * @entropy: the UDP source port is that of the inner flow
 * @keepalive: seconds, 0 is never
 * @attrs: the request, BHSEC_A_PEER_*, for the attribute that a refusal names
 */
struct bhsec_peer_config {
	struct bhsec_endpoint *endpoint;
	struct bhsec_prefixes *selectors;
	struct bhsec_prefixes *local_selectors;
	struct bhsec_bound *bound;
	bool has_encap;
	bool has_roam;
	bool has_entropy;
	bool has_keepalive;
	u32 encap;
	bool roam;
	bool entropy;
	u16 keepalive;
	struct nlattr **attrs;
};

/**
 * struct bhsec_peer - a remote site
 * @node: in the device's table, by @name
 * @name: zero-terminated
 * @id: in the device's xarray; order of dumps
 * @bdev: the device; the peer holds a reference on its netdev
 * @tracker: of that reference
 * @bound: what a daemon made it from; NULL for one made by hand
 * @cpus: by CPU; NULL before any of them has an SA of its own or lacks one;
 *	written under the device's lock, once
 * @encap: BHSEC_ENCAP_*; by hand it changes only while the peer has no SA
 * @endpoint: RCU; written under @endpoint_lock
 * @endpoint_lock: configuration and packets both write @endpoint
 * @learned_spi: of the SA that @endpoint was last learned by, 0 for none;
 *	written under @endpoint_lock
 * @learned_at: jiffies of that, written under @endpoint_lock
 * @changes: how often packets may change @endpoint; under @endpoint_lock
 * @roam: learn the endpoint from packets; written under the device's lock
 * @roam_given: @roam was asked for; under the device's lock
 * @entropy: the UDP source port is that of the inner flow, at both ends; written
 *	under the device's lock
 * @keepalive: seconds, 0 is never; written under the device's lock
 * @last_sent: jiffies of the last packet, while @keepalive is set
 * @keepalive_work: sends the next keepalive
 * @selectors: what the peer owns in the device's table; under the device's lock
 * @local_selectors: RCU; written under the device's lock; NULL is any
 * @out: RCU, DSCP -> outbound SA; written under the device's lock
 * @sas: all SAs; under the device's lock
 * @senders: the outbound ones of them, under the lock of the underlay's table
 * @last: second of the boot clock in which an SA that has gone last received
 *	([0]) or sent ([1]), 0 for never; under the device's lock
 * @path_errors: ICMP errors, by BHSEC_EVENT_ICMP_* from _PORT on
 * @leaving: SAs that are deleted, but may still count what is in them; under
 *	@leaving_lock
 * @leaving_lock: the last lock of the way to @leaving and @traffic
 * @traffic: what SAs counted that have gone, by netlink attribute up to
 *	BHSEC_A_STATS_TX_BYTES; under @leaving_lock
 * @drops: theirs, and those of packets that found no SA
 * @ref: one of the table, one of each SA
 * @free_work: frees the peer after a grace period
 */
struct bhsec_peer {
	struct rhash_head node;
	char name[BHSEC_NAME_MAX + 1];
	u32 id;
	struct bhsec_device *bdev;
	netdevice_tracker tracker;
	struct bhsec_bound *bound;
	struct bhsec_cpu *cpus;
	u32 encap;
	struct bhsec_endpoint __rcu *endpoint;
	spinlock_t endpoint_lock;
	__be32 learned_spi;
	unsigned long learned_at;
	struct bhsec_limit changes;
	bool roam;
	bool roam_given;
	bool entropy;
	u16 keepalive;
	unsigned long last_sent;
	struct delayed_work keepalive_work;
	struct bhsec_prefixes *selectors;
	struct bhsec_prefixes __rcu *local_selectors;
	struct bhsec_sa __rcu *out[BHSEC_DSCP_COUNT];
	struct list_head sas;
	struct hlist_head senders;
	u32 last[2];
	atomic64_t path_errors[BHSEC_PATH_ERRORS];
	struct list_head leaving;
	spinlock_t leaving_lock;
	u64 traffic[BHSEC_A_STATS_TX_BYTES + 1];
	struct bhsec_drops *drops;
	refcount_t ref;
	struct rcu_work free_work;
};

extern const struct rhashtable_params bhsec_peer_table_params;

struct bhsec_peer *bhsec_peer_find(struct bhsec_device *bdev, const char *name);
struct bhsec_peer *bhsec_peer_add(struct bhsec_device *bdev, const char *name,
				  struct bhsec_peer_config *config,
				  struct netlink_ext_ack *extack);
int bhsec_peer_set(struct bhsec_peer *peer, struct bhsec_peer_config *config,
		   struct netlink_ext_ack *extack);
void bhsec_peer_del(struct bhsec_peer *peer);
void bhsec_peer_drop_sas(struct bhsec_peer *peer);
void bhsec_peer_put(struct bhsec_peer *peer);
void bhsec_peer_part(struct bhsec_peer *peer, struct bhsec_sa *sa);
void bhsec_peer_inherit(struct bhsec_peer *peer, struct bhsec_sa *sa);
void bhsec_peer_sum(struct bhsec_peer *peer, u64 *sums);
u32 bhsec_peer_last(const struct bhsec_peer *peer, bool outbound);
bool bhsec_peer_is_local(const struct bhsec_peer *peer, const void *addr,
			 bool is_ipv6);

/**
 * bhsec_peer_cpu - what this CPU sends to a peer by
 * @peer: the peer
 *
 * Context: RCU read lock held, softirqs off.
 * Return: it; NULL if that is the same for all of them.
 */
static inline struct bhsec_cpu *bhsec_peer_cpu(const struct bhsec_peer *peer)
{
	struct bhsec_cpu *cpus = READ_ONCE(peer->cpus);

	return unlikely(cpus) ? &cpus[smp_processor_id()] : NULL;
}

/**
 * bhsec_peer_out - the SAs that this CPU sends to a peer by
 * @peer: the peer
 *
 * Context: RCU read lock held, softirqs off.
 * Return: by DSCP, RCU.
 */
static inline struct bhsec_sa __rcu **bhsec_peer_out(struct bhsec_peer *peer)
{
	const struct bhsec_cpu *cpu = bhsec_peer_cpu(peer);
	struct bhsec_sa __rcu **own = cpu ? READ_ONCE(cpu->out) : NULL;

	return own ?: peer->out;
}

/**
 * bhsec_peer_lacks_cpu - is this CPU to have an SA of its own, and has none
 * @peer: the peer
 *
 * Context: RCU read lock held, softirqs off.
 * Return: true if so.
 */
static inline bool bhsec_peer_lacks_cpu(const struct bhsec_peer *peer)
{
	const struct bhsec_cpu *cpu = bhsec_peer_cpu(peer);

	return cpu && READ_ONCE(cpu->lacks);
}

#endif
