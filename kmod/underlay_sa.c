// SPDX-License-Identifier: GPL-2.0
/*
 * The SAs of an underlay, by what a packet shows of them.
 */
#include <linux/hashtable.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "iv.h"
#include "peer.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_sad.h"

/* For each datagram: a length that the compiler knows takes no call. */
static int inbound_compare(struct rhashtable_compare_arg *arg,
			   const void *object)
{
	const struct bhsec_sa *sa = object;

	return *(const __be32 *)arg->key != sa->spi;
}

static const struct rhashtable_params inbound_params = {
	.key_len = sizeof_field(struct bhsec_sa, spi),
	.key_offset = offsetof(struct bhsec_sa, spi),
	.head_offset = offsetof(struct bhsec_sa, in_node),
	.obj_cmpfn = inbound_compare,
	.automatic_shrinking = true,
};

/* Whoever does not know this cannot say what shares a bucket. */
static hsiphash_key_t secret __read_mostly;

static u32 mark_hash(const void *data, u32 len, u32 seed)
{
	const struct bhsec_sa_mark *mark = data;

	return hsiphash_2u32((__force u32)mark->spi, mark->mask ^ seed, &secret);
}

static int mark_compare(struct rhashtable_compare_arg *arg, const void *object)
{
	const struct bhsec_sa_mark *mark = arg->key;
	const struct bhsec_sa *sa = object;

	return mark->mask != sa->mark.mask || mark->spi != sa->mark.spi;
}

/* The outbound SAs of every netns, by what their datagrams show of them. */
static struct rhashtable marks;

static const struct rhashtable_params mark_params = {
	.key_len = sizeof(struct bhsec_sa_mark),
	.key_offset = offsetof(struct bhsec_sa, mark),
	.head_offset = offsetof(struct bhsec_sa, mark_node),
	.hashfn = mark_hash,
	.obj_cmpfn = mark_compare,
	.automatic_shrinking = true,
};

/* ESP headers by the length of their IV, and how many SAs have such ones. */
static const u8 heads[] = { 8 + 8, BHSEC_HEAD_MAX };
static atomic_t sas_of[ARRAY_SIZE(heads)];

/*
 * Netns, endpoint and SPI -> outbound SAs of every netns. The far ends choose
 * these SPIs, a fleet made from one template has the same everywhere. Peers
 * behind one NAT may have one key: an rhltable would walk them all to delete
 * one, under rtnl where a device goes.
 */
static DEFINE_HASHTABLE(senders, 12);
/* Of @senders and each peer's list; packets move peers, so softirqs are off. */
static DEFINE_SPINLOCK(senders_lock);

static u32 sender_hash(const struct net *net, __be32 spi, const void *addr,
		       bool is_ipv6)
{
	struct {
		u64 cookie;
		struct in6_addr addr;
		__be32 spi;
		u32 is_ipv6;
	} key = { .cookie = net->net_cookie, .spi = spi, .is_ipv6 = is_ipv6 };

	memcpy(&key.addr, addr, is_ipv6 ? 16 : 4);
	return hsiphash(&key, sizeof(key), &secret);
}

/**
 * bhsec_underlay_find - the inbound SA of an SPI
 * @net: underlay netns
 * @spi: network byte order
 *
 * Context: RCU read lock held.
 * Return: the SA or NULL.
 */
struct bhsec_sa *bhsec_underlay_find(const struct net *net, __be32 spi)
{
	struct bhsec_net *bnet = bhsec_net(net);

	return bnet ? rhashtable_lookup(&bnet->inbound, &spi, inbound_params) :
		      NULL;
}

/**
 * bhsec_underlay_sender - an outbound SA of this SPI and endpoint
 * @net: underlay netns
 * @spi: network byte order
 * @addr: address of the endpoint, network byte order
 * @is_ipv6: its family
 *
 * Context: RCU read lock held.
 * Return: the SA or NULL.
 */
struct bhsec_sa *bhsec_underlay_sender(const struct net *net, __be32 spi,
				       const void *addr, bool is_ipv6)
{
	const struct bhsec_endpoint *endpoint;
	struct bhsec_sa *sa;

	hash_for_each_possible_rcu(senders, sa, sender_node,
				   sender_hash(net, spi, addr, is_ipv6)) {
		if (sa->spi != spi ||
		    rcu_access_pointer(sa->peer->bdev->underlay) != net)
			continue;
		endpoint = rcu_dereference(sa->peer->endpoint);
		if (endpoint && endpoint->is_ipv6 == is_ipv6 &&
		    !memcmp(&endpoint->addr, addr, is_ipv6 ? 16 : 4))
			return sa;
	}
	return NULL;
}

static bool any_sent(const u8 *esp, unsigned int head)
{
	u64 number = bhsec_iv_number(esp, head);
	struct bhsec_sa_mark mark;
	struct ip_esp_hdr esph;
	struct bhsec_sa *sa;

	memcpy(&esph, esp, sizeof(esph));
	mark.spi = esph.spi;
	mark.mask = lower_32_bits(number) ^ be32_to_cpu(esph.seq_no);
	sa = rhashtable_lookup(&marks, &mark, mark_params);
	return sa && sa->layout.head == head &&
	       (number ^ sa->iv_mask) <= bhsec_sa_seq(sa);
}

/**
 * bhsec_underlay_any_sent - has an SA of any netns made this packet
 * @esp: its first BHSEC_HEAD_MAX bytes
 *
 * In the IV is the sequence number XOR a secret: nobody else can make a pair that
 * fits, and have the packets of others taken for ours. Without an IV anybody
 * could, so none of those is known.
 *
 * Context: RCU read lock held.
 * Return: true if so.
 */
bool bhsec_underlay_any_sent(const u8 *esp)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(heads); i++)
		if (atomic_read(&sas_of[i]) && any_sent(esp, heads[i]))
			return true;
	return false;
}

/*
 * Draw the mask of the IVs. Where another SA of the same SPI has drawn the same
 * low half, which one in 2^32 does, once more.
 */
static int draw_mask(struct bhsec_sa *sa)
{
	int err;

	sa->mark.spi = sa->spi;
	do {
		sa->iv_mask = get_random_u64();
		sa->mark.mask = lower_32_bits(sa->iv_mask);
		err = rhashtable_lookup_insert_fast(&marks, &sa->mark_node,
						    mark_params);
	} while (err == -EEXIST);
	return err;
}

static atomic_t *sas_like(const struct bhsec_sa *sa)
{
	unsigned int i = 0;

	while (heads[i] != sa->layout.head)
		i++;
	return &sas_of[i];
}

static int mark(struct bhsec_sa *sa)
{
	int err;

	if (!bhsec_sa_has_iv(sa))
		return 0;
	err = draw_mask(sa);
	if (!err)
		atomic_inc(sas_like(sa));
	return err;
}

static void unmark(struct bhsec_sa *sa)
{
	if (!bhsec_sa_has_iv(sa))
		return;
	rhashtable_remove_fast(&marks, &sa->mark_node, mark_params);
	atomic_dec(sas_like(sa));
}

/*
 * Under the endpoint that its peer now has. A look-up that meets it on its move
 * ends in another bucket: it is of an ICMP error, which may be lost.
 */
static void place_sender(struct bhsec_sa *sa)
{
	const struct bhsec_endpoint *endpoint;
	const struct net *underlay;

	lockdep_assert_held(&senders_lock);
	hash_del_rcu(&sa->sender_node);
	rcu_read_lock();
	underlay = rcu_dereference(sa->peer->bdev->underlay);
	endpoint = rcu_dereference(sa->peer->endpoint);
	if (endpoint && underlay)
		hash_add_rcu(senders, &sa->sender_node,
			     sender_hash(underlay, sa->spi, &endpoint->addr,
					 endpoint->is_ipv6));
	rcu_read_unlock();
}

static void add_sender(struct bhsec_sa *sa)
{
	spin_lock_bh(&senders_lock);
	hlist_add_head(&sa->peer_node, &sa->peer->senders);
	place_sender(sa);
	spin_unlock_bh(&senders_lock);
}

static void del_sender(struct bhsec_sa *sa)
{
	spin_lock_bh(&senders_lock);
	hlist_del(&sa->peer_node);
	hash_del_rcu(&sa->sender_node);
	spin_unlock_bh(&senders_lock);
}

/**
 * bhsec_underlay_peer_moved - find a peer's outbound SAs at its new endpoint
 * @peer: the peer
 *
 * Context: any but hard interrupts.
 */
void bhsec_underlay_peer_moved(struct bhsec_peer *peer)
{
	struct bhsec_sa *sa;

	spin_lock_bh(&senders_lock);
	hlist_for_each_entry(sa, &peer->senders, peer_node)
		place_sender(sa);
	spin_unlock_bh(&senders_lock);
}

/**
 * bhsec_underlay_publish - let packets find an SA
 * @net: underlay netns
 * @sa: the SA
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; no packet finds the SA then.
 */
int bhsec_underlay_publish(struct net *net, struct bhsec_sa *sa,
			   struct netlink_ext_ack *extack)
{
	int err;

	if (sa->outbound) {
		err = mark(sa);
		if (err)
			return err;
		add_sender(sa);
		return 0;
	}
	/* in UDP it has a port of its own, and in raw ESP comes before xfrm */
	if (!sa->borrowed && sa->encap == BHSEC_ENCAP_ESP &&
	    bhsec_xfrm_has_spi(net, sa->spi)) {
		NL_SET_ERR_MSG(extack, "the kernel's own IPsec has this SPI");
		return -EEXIST;
	}
	err = rhashtable_lookup_insert_fast(&bhsec_net(net)->inbound,
					    &sa->in_node, inbound_params);
	if (err == -EEXIST)
		NL_SET_ERR_MSG(extack, "another inbound SA has this SPI");
	return err;
}

/**
 * bhsec_underlay_unpublish - the reverse of bhsec_underlay_publish()
 * @net: underlay netns
 * @sa: the SA; packets may find it until a grace period has passed
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_underlay_unpublish(struct net *net, struct bhsec_sa *sa)
{
	if (sa->outbound) {
		del_sender(sa);
		unmark(sa);
	} else {
		rhashtable_remove_fast(&bhsec_net(net)->inbound, &sa->in_node,
				       inbound_params);
	}
}

/**
 * bhsec_underlay_net_tables_init - prepare a netns' tables
 * @bnet: bhsec's part of the netns
 *
 * Return: 0 or a negative error.
 */
int bhsec_underlay_net_tables_init(struct bhsec_net *bnet)
{
	return rhashtable_init(&bnet->inbound, &inbound_params);
}

/**
 * bhsec_underlay_net_tables_exit - the reverse
 * @bnet: bhsec's part of the netns; no SA is left
 */
void bhsec_underlay_net_tables_exit(struct bhsec_net *bnet)
{
	rhashtable_destroy(&bnet->inbound);
}

/**
 * bhsec_underlay_tables_init - prepare the tables of every netns
 *
 * Return: 0 or a negative error.
 */
int bhsec_underlay_tables_init(void)
{
	get_random_bytes(&secret, sizeof(secret));
	return rhashtable_init(&marks, &mark_params);
}

/**
 * bhsec_underlay_tables_exit - the reverse of bhsec_underlay_tables_init()
 *
 * Context: may sleep; no SA is left.
 */
void bhsec_underlay_tables_exit(void)
{
	rhashtable_destroy(&marks);
}
