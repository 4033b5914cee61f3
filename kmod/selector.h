/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SELECTOR_H
#define BHSEC_SELECTOR_H

#include <linux/types.h>

struct bhsec_selector_node;

/**
 * struct bhsec_prefix - an inner address prefix
 * @addr: network byte order; an IPv4 address fills the first four bytes
 * @len: prefix length in bits
 * @is_ipv6: family
 */
struct bhsec_prefix {
	u8 addr[16];
	u8 len;
	bool is_ipv6;
};

/**
 * struct bhsec_selectors - which owner has which inner addresses
 * @root: one trie a family, [0] IPv4, [1] IPv6
 *
 * Readers hold the RCU read lock, writers the lock of the device.
 */
struct bhsec_selectors {
	struct bhsec_selector_node __rcu *root[2];
};

bool bhsec_prefix_is_canonical(const struct bhsec_prefix *prefix);
void bhsec_prefix_mask(struct bhsec_prefix *prefix);
bool bhsec_prefix_equal(const struct bhsec_prefix *a,
			const struct bhsec_prefix *b);
bool bhsec_prefix_covers(const struct bhsec_prefix *prefix, const void *addr,
			 bool is_ipv6);

void *bhsec_selector_lookup(const struct bhsec_selectors *selectors,
			    const void *addr, bool is_ipv6);
void *bhsec_selector_next(const struct bhsec_selectors *selectors,
			  const void *addr, bool is_ipv6,
			  const struct bhsec_selector_node **at);
void *bhsec_selector_owner(struct bhsec_selectors *selectors,
			   const struct bhsec_prefix *prefix);
int bhsec_selector_insert(struct bhsec_selectors *selectors,
			  const struct bhsec_prefix *prefix, void *owner);
void bhsec_selector_remove(struct bhsec_selectors *selectors,
			   const struct bhsec_prefix *prefix);

#endif
