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
#include "sa.h"
#include "underlay.h"
#include "xfrm_sad.h"

static const struct rhashtable_params inbound_params = {
	.key_len = sizeof_field(struct bhsec_sa, spi),
	.key_offset = offsetof(struct bhsec_sa, spi),
	.head_offset = offsetof(struct bhsec_sa, in_node),
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
 * SPI -> outbound SAs of every netns. The far ends choose these SPIs, so some
 * are the same, and all may be where somebody wills it: then an rhltable would
 * walk them all to delete one, under rtnl where a device goes.
 */
static DEFINE_HASHTABLE(outbound, 12);
static DEFINE_SPINLOCK(outbound_lock);

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
	return rhashtable_lookup(&bhsec_net(net)->inbound, &spi, inbound_params);
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

	hash_for_each_possible_rcu(outbound, sa, out_node, (__force u32)spi) {
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
		spin_lock(&outbound_lock);
		hash_add_rcu(outbound, &sa->out_node, (__force u32)sa->spi);
		spin_unlock(&outbound_lock);
		return 0;
	}
	/* the ESP door takes an SPI that it knows, whatever the peer's encap */
	if (!sa->borrowed && bhsec_xfrm_has_spi(net, sa->spi)) {
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
		spin_lock(&outbound_lock);
		hash_del_rcu(&sa->out_node);
		spin_unlock(&outbound_lock);
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
