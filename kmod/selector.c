// SPDX-License-Identifier: GPL-2.0
/*
 * Longest-prefix match of inner addresses: a binary trie with compressed
 * paths. A node either has an owner or two children, so a trie of n prefixes
 * has less than 2n nodes and a look-up visits at most one node a bit.
 *
 * Readers see every single change whole: a change is one pointer store, and a
 * node leaves the trie before it is freed after a grace period.
 */
#include <asm/byteorder.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "selector.h"

struct bhsec_selector_node {
	struct bhsec_selector_node __rcu *child[2];
	void __rcu *owner;
	struct bhsec_prefix prefix;
	struct rcu_head rcu;
};

static unsigned int addr_bit(const u8 *addr, unsigned int n)
{
	return addr[n / 8] >> (7 - n % 8) & 1;
}

/* Length of the prefix that two addresses share, at most @max bits. */
static unsigned int common_bits(const u8 *a, const u8 *b, unsigned int max)
{
	unsigned int i = 0;

	while (i + 8 <= max && a[i / 8] == b[i / 8])
		i += 8;
	while (i < max && addr_bit(a, i) == addr_bit(b, i))
		i++;
	return i;
}

/**
 * bhsec_prefix_is_canonical - are all host bits zero and the length possible
 * @prefix: the prefix
 *
 * Return: true if it names a network as written.
 */
bool bhsec_prefix_is_canonical(const struct bhsec_prefix *prefix)
{
	unsigned int bits = prefix->is_ipv6 ? 128 : 32;
	unsigned int i;

	if (prefix->len > bits)
		return false;
	for (i = prefix->len; i < bits; i++)
		if (addr_bit(prefix->addr, i))
			return false;
	return true;
}

/**
 * bhsec_prefix_mask - make all host bits zero
 * @prefix: the prefix, of a possible length
 */
void bhsec_prefix_mask(struct bhsec_prefix *prefix)
{
	unsigned int bytes = prefix->len / 8;

	if (bytes == sizeof(prefix->addr))
		return;
	prefix->addr[bytes] &= ~(0xff >> prefix->len % 8);
	memset(prefix->addr + bytes + 1, 0, sizeof(prefix->addr) - bytes - 1);
}

/**
 * bhsec_prefix_equal - do two prefixes name the same network
 * @a: canonical prefix
 * @b: canonical prefix
 *
 * Return: true if so.
 */
bool bhsec_prefix_equal(const struct bhsec_prefix *a,
			const struct bhsec_prefix *b)
{
	return a->is_ipv6 == b->is_ipv6 && a->len == b->len &&
	       !memcmp(a->addr, b->addr, a->is_ipv6 ? 16 : 4);
}

/**
 * bhsec_prefix_covers - does an address lie in a prefix
 * @prefix: the prefix
 * @addr: address in network byte order, of the family @is_ipv6
 * @is_ipv6: family of @addr
 *
 * Return: true if so.
 */
bool bhsec_prefix_covers(const struct bhsec_prefix *prefix, const void *addr,
			 bool is_ipv6)
{
	const u8 *a = prefix->addr, *b = addr;
	unsigned int left;
	__be32 word_a, word_b;

	if (prefix->is_ipv6 != is_ipv6)
		return false;
	for (left = prefix->len; left; left -= min(left, 32U)) {
		memcpy(&word_a, a, sizeof(word_a));
		memcpy(&word_b, b, sizeof(word_b));
		word_a ^= word_b;
		if (left < 32)
			return !(__be32_to_cpu(word_a) >> (32 - left));
		if (word_a)
			return false;
		a += 4;
		b += 4;
	}
	return true;
}

/* Where the way to an address goes on behind a node that covers it. */
static const struct bhsec_selector_node *
below(const struct bhsec_selector_node *node, const void *addr)
{
	unsigned int bits = node->prefix.is_ipv6 ? 128 : 32;

	if (node->prefix.len == bits)
		return NULL;
	return rcu_dereference(node->child[addr_bit(addr, node->prefix.len)]);
}

/**
 * bhsec_selector_lookup - the owner of the longest prefix that covers an address
 * @selectors: the table
 * @addr: address in network byte order
 * @is_ipv6: its family
 *
 * Context: RCU read lock held; any context.
 * Return: the owner, valid under the same RCU read lock, or NULL.
 */
void *bhsec_selector_lookup(const struct bhsec_selectors *selectors,
			    const void *addr, bool is_ipv6)
{
	const struct bhsec_selector_node *node;
	void *best = NULL, *owner;

	node = rcu_dereference(selectors->root[is_ipv6]);
	while (node && bhsec_prefix_covers(&node->prefix, addr, is_ipv6)) {
		owner = rcu_dereference(node->owner);
		if (owner)
			best = owner;
		node = below(node, addr);
	}
	return best;
}

/**
 * bhsec_selector_next - the owner of the next longer prefix that covers an address
 * @selectors: the table
 * @addr: address in network byte order
 * @is_ipv6: its family
 * @at: where the last one was found, NULL before the first; is moved
 *
 * Context: RCU read lock held; any context.
 * Return: the owner, valid under the same RCU read lock, or NULL behind the last.
 */
void *bhsec_selector_next(const struct bhsec_selectors *selectors,
			  const void *addr, bool is_ipv6,
			  const struct bhsec_selector_node **at)
{
	const struct bhsec_selector_node *node;
	void *owner;

	node = *at ? below(*at, addr) :
		     rcu_dereference(selectors->root[is_ipv6]);
	while (node && bhsec_prefix_covers(&node->prefix, addr, is_ipv6)) {
		*at = node;
		owner = rcu_dereference(node->owner);
		if (owner)
			return owner;
		node = below(node, addr);
	}
	return NULL;
}

/* Writers are serialized by the lock of the device, which this room does not know. */
#define writer_dereference(p) rcu_dereference_protected(p, 1)

/*
 * The link at which @prefix hangs or would hang: the first whose node is not a
 * proper ancestor of it. @above, if not NULL, gets the link one step before.
 */
static struct bhsec_selector_node __rcu **
find_link(struct bhsec_selectors *selectors, const struct bhsec_prefix *prefix,
	  struct bhsec_selector_node __rcu ***above)
{
	struct bhsec_selector_node __rcu **link = &selectors->root[prefix->is_ipv6];
	struct bhsec_selector_node *node = writer_dereference(*link);

	if (above)
		*above = NULL;
	while (node && node->prefix.len < prefix->len &&
	       bhsec_prefix_covers(&node->prefix, prefix->addr, prefix->is_ipv6)) {
		if (above)
			*above = link;
		link = &node->child[addr_bit(prefix->addr, node->prefix.len)];
		node = writer_dereference(*link);
	}
	return link;
}

/**
 * bhsec_selector_owner - who has exactly this prefix
 * @selectors: the table
 * @prefix: canonical prefix
 *
 * Context: the caller serializes writers.
 * Return: the owner or NULL.
 */
void *bhsec_selector_owner(struct bhsec_selectors *selectors,
			   const struct bhsec_prefix *prefix)
{
	struct bhsec_selector_node *node;

	node = writer_dereference(*find_link(selectors, prefix, NULL));
	if (!node || !bhsec_prefix_equal(&node->prefix, prefix))
		return NULL;
	return writer_dereference(node->owner);
}

static struct bhsec_selector_node *new_node(const struct bhsec_prefix *prefix,
					    void *owner)
{
	struct bhsec_selector_node *node;

	node = kzalloc_obj(*node, GFP_KERNEL_ACCOUNT);
	if (node) {
		node->prefix = *prefix;
		RCU_INIT_POINTER(node->owner, owner);
	}
	return node;
}

/* A node without owner whose two children part after @len bits. */
static struct bhsec_selector_node *new_fork(const struct bhsec_prefix *prefix,
					    unsigned int len)
{
	struct bhsec_prefix shared = *prefix;
	unsigned int i;

	shared.len = len;
	for (i = len; i < sizeof(shared.addr) * 8; i++)
		shared.addr[i / 8] &= ~(0x80 >> i % 8);
	return new_node(&shared, NULL);
}

static void adopt(struct bhsec_selector_node *parent,
		  struct bhsec_selector_node *node)
{
	unsigned int side = addr_bit(node->prefix.addr, parent->prefix.len);

	RCU_INIT_POINTER(parent->child[side], node);
}

/**
 * bhsec_selector_insert - give a prefix to an owner
 * @selectors: the table
 * @prefix: canonical prefix
 * @owner: not NULL
 *
 * Context: may sleep; the caller serializes writers.
 * Return: 0, -EEXIST if the prefix has an owner, -ENOMEM.
 */
int bhsec_selector_insert(struct bhsec_selectors *selectors,
			  const struct bhsec_prefix *prefix, void *owner)
{
	struct bhsec_selector_node __rcu **link;
	struct bhsec_selector_node *node, *leaf, *fork;
	unsigned int shared;

	link = find_link(selectors, prefix, NULL);
	node = writer_dereference(*link);
	if (node && bhsec_prefix_equal(&node->prefix, prefix)) {
		if (rcu_access_pointer(node->owner))
			return -EEXIST;
		rcu_assign_pointer(node->owner, owner);
		return 0;
	}

	leaf = new_node(prefix, owner);
	if (!leaf)
		return -ENOMEM;
	if (!node) {
		rcu_assign_pointer(*link, leaf);
		return 0;
	}
	shared = common_bits(node->prefix.addr, prefix->addr,
			     min(node->prefix.len, prefix->len));
	if (shared == prefix->len) {
		adopt(leaf, node);
		rcu_assign_pointer(*link, leaf);
		return 0;
	}
	fork = new_fork(prefix, shared);
	if (!fork) {
		kfree(leaf);
		return -ENOMEM;
	}
	adopt(fork, node);
	adopt(fork, leaf);
	rcu_assign_pointer(*link, fork);
	return 0;
}

/* Take a node out that has no owner and at most one child. */
static void prune(struct bhsec_selector_node __rcu **link)
{
	struct bhsec_selector_node *node = writer_dereference(*link);
	struct bhsec_selector_node *left = writer_dereference(node->child[0]);
	struct bhsec_selector_node *right = writer_dereference(node->child[1]);

	if (rcu_access_pointer(node->owner) || (left && right))
		return;
	rcu_assign_pointer(*link, left ? left : right);
	kfree_rcu(node, rcu);
}

/**
 * bhsec_selector_remove - take a prefix from its owner
 * @selectors: the table
 * @prefix: canonical prefix; one that nobody owns is left alone
 *
 * Context: the caller serializes writers. Readers may see the old owner until
 * a grace period has passed.
 */
void bhsec_selector_remove(struct bhsec_selectors *selectors,
			   const struct bhsec_prefix *prefix)
{
	struct bhsec_selector_node __rcu **link, **above;
	struct bhsec_selector_node *node;

	link = find_link(selectors, prefix, &above);
	node = writer_dereference(*link);
	if (!node || !bhsec_prefix_equal(&node->prefix, prefix))
		return;
	RCU_INIT_POINTER(node->owner, NULL);
	prune(link);
	if (above)
		prune(above);
}
