// SPDX-License-Identifier: GPL-2.0
/*
 * kmod/selector.c in userspace, beside a list that is searched from end to
 * end. What a reader finds is looked at after each store that it could see.
 */
#include <linux/types.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <arpa/inet.h>
#include <errno.h>
#include "kselftest_harness.h"
#include "selector.h"

#define ENTRIES 600
#define PROBES 24

struct entry {
	struct bhsec_prefix prefix;
	void *owner;
};

struct address {
	u8 addr[16];
	bool is_ipv6;
};

static struct bhsec_selectors table;
static struct entry model[ENTRIES];
static unsigned int model_count;

static u64 random_state;

/* xorshift64*: the same numbers on every machine. */
static u64 random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static unsigned int random_below(unsigned int end)
{
	return random_u64() % end;
}

/* Allocations: how many until one fails (0: none does), and how many live. */
static unsigned int fail_in, live;

void *shim_alloc(size_t size)
{
	if (fail_in && !--fail_in)
		return NULL;
	live++;
	return calloc(1, size);
}

void shim_free(void *object)
{
	live -= object != NULL;
	free(object);
}

/* Freed when the reader that looked on has gone. */
static void *later[4];
static unsigned int later_count;

void shim_free_later(void *object)
{
	if (object)
		later[later_count++] = object;
}

static void grace_period(void)
{
	while (later_count)
		shim_free(later[--later_count]);
}

/* The buffer ends with the address, so that a read beyond it is seen. */
static void *table_lookup(const struct address *address)
{
	u8 v4[4];

	if (address->is_ipv6)
		return bhsec_selector_lookup(&table, address->addr, true);
	memcpy(v4, address->addr, sizeof(v4));
	return bhsec_selector_lookup(&table, v4, false);
}

/* During a change a reader finds what was there before or what comes after. */
static struct {
	bool on;
	struct address probe[PROBES];
	void *before[PROBES], *after[PROBES];
	unsigned int wrong;
} reader;

void shim_published(void)
{
	unsigned int i;
	void *seen;

	for (i = 0; reader.on && i < PROBES; i++) {
		seen = table_lookup(&reader.probe[i]);
		if (seen != reader.before[i] && seen != reader.after[i])
			reader.wrong++;
	}
}

static bool bit_equal(const u8 *a, const u8 *b, unsigned int bit)
{
	return !((a[bit / 8] ^ b[bit / 8]) & (0x80 >> bit % 8));
}

static bool model_covers(const struct bhsec_prefix *prefix,
			 const struct address *address)
{
	unsigned int bit;

	if (prefix->is_ipv6 != address->is_ipv6)
		return false;
	for (bit = 0; bit < prefix->len; bit++)
		if (!bit_equal(prefix->addr, address->addr, bit))
			return false;
	return true;
}

static void *model_lookup(const struct address *address)
{
	const struct entry *best = NULL;
	unsigned int i;

	for (i = 0; i < model_count; i++)
		if (model_covers(&model[i].prefix, address) &&
		    (!best || model[i].prefix.len > best->prefix.len))
			best = &model[i];
	return best ? best->owner : NULL;
}

static struct entry *model_find(const struct bhsec_prefix *prefix)
{
	unsigned int i;

	for (i = 0; i < model_count; i++)
		if (!memcmp(&model[i].prefix, prefix, sizeof(*prefix)))
			return &model[i];
	return NULL;
}

static struct bhsec_prefix prefix_of(const char *text)
{
	struct bhsec_prefix prefix = {};
	char addr[64];
	int len;

	if (sscanf(text, "%63[^/]/%d", addr, &len) != 2)
		abort();
	prefix.len = len;
	prefix.is_ipv6 = strchr(text, ':');
	inet_pton(prefix.is_ipv6 ? AF_INET6 : AF_INET, addr, prefix.addr);
	return prefix;
}

static void *lookup(const char *text)
{
	bool is_ipv6 = strchr(text, ':');
	u8 addr[16];

	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, addr);
	return bhsec_selector_lookup(&table, addr, is_ipv6);
}

static int insert(const char *text, void *owner)
{
	struct bhsec_prefix prefix = prefix_of(text);

	return bhsec_selector_insert(&table, &prefix, owner);
}

static void remove_one(const char *text)
{
	struct bhsec_prefix prefix = prefix_of(text);

	bhsec_selector_remove(&table, &prefix);
	grace_period();
}

/* Few distinct bits, so that prefixes meet, nest and part all the time. */
static struct address random_address(void)
{
	struct address address = { .is_ipv6 = random_below(2) };
	unsigned int i, bits = address.is_ipv6 ? 128 : 32;

	for (i = 0; i < bits; i++)
		if (!random_below(i % 7 ? 40 : 3))
			address.addr[i / 8] |= 0x80 >> i % 8;
	return address;
}

static struct bhsec_prefix random_prefix(void)
{
	struct address address = random_address();
	struct bhsec_prefix prefix = { .is_ipv6 = address.is_ipv6 };
	unsigned int i, bits = address.is_ipv6 ? 128 : 32;

	prefix.len = random_below(bits + 1);
	for (i = 0; i < prefix.len; i++)
		prefix.addr[i / 8] |= address.addr[i / 8] & 0x80 >> i % 8;
	return prefix;
}

/* An address in one of the prefixes, or just beside it. */
static struct address random_probe(void)
{
	struct address address = random_address();
	const struct bhsec_prefix *prefix;
	unsigned int i;

	if (!model_count || !random_below(4))
		return address;
	prefix = &model[random_below(model_count)].prefix;
	address.is_ipv6 = prefix->is_ipv6;
	for (i = 0; i < prefix->len; i++) {
		address.addr[i / 8] &= ~(0x80 >> i % 8);
		address.addr[i / 8] |= prefix->addr[i / 8] & 0x80 >> i % 8;
	}
	if (prefix->len && !random_below(3))
		address.addr[(prefix->len - 1) / 8] ^= 0x80 >> (prefix->len - 1) % 8;
	return address;
}

static void watch(void *(*found)(const struct address *), void **owners)
{
	unsigned int i;

	for (i = 0; i < PROBES; i++)
		owners[i] = found(&reader.probe[i]);
}

static void model_apply(const struct bhsec_prefix *prefix, void *owner)
{
	struct entry *entry = model_find(prefix);

	if (owner)
		model[model_count++] = (struct entry){ *prefix, owner };
	else if (entry)
		*entry = model[--model_count];
}

/* One insert or remove, a reader looking on. Returns true if all was right. */
static bool step(struct bhsec_prefix prefix, void *owner)
{
	void *settled[PROBES];
	bool taken = owner && model_find(&prefix);
	unsigned int i;
	int err = 0;

	for (i = 0; i < PROBES; i++)
		reader.probe[i] = random_probe();
	watch(model_lookup, reader.before);
	if (!taken)
		model_apply(&prefix, owner);
	watch(model_lookup, reader.after);

	reader.on = true;
	if (owner)
		err = bhsec_selector_insert(&table, &prefix, owner);
	else
		bhsec_selector_remove(&table, &prefix);
	reader.on = false;
	grace_period();
	watch(table_lookup, settled);
	return err == (taken ? -EEXIST : 0) && !reader.wrong &&
	       !memcmp(settled, reader.after, sizeof(settled));
}

static struct bhsec_prefix some_prefix(void)
{
	return model_count && random_below(8) ?
		model[random_below(model_count)].prefix : random_prefix();
}

static bool is_empty(void)
{
	return !table.root[0] && !table.root[1] && !live;
}

TEST(longest_prefix_wins)
{
	int a, b, c, d;

	ASSERT_EQ(0, insert("10.0.0.0/8", &a));
	ASSERT_EQ(0, insert("10.1.0.0/16", &b));
	ASSERT_EQ(0, insert("10.1.2.3/32", &c));
	ASSERT_EQ(0, insert("0.0.0.0/0", &d));
	EXPECT_EQ((void *)&a, lookup("10.2.0.1"));
	EXPECT_EQ((void *)&b, lookup("10.1.2.4"));
	EXPECT_EQ((void *)&c, lookup("10.1.2.3"));
	EXPECT_EQ((void *)&d, lookup("11.1.2.3"));
	EXPECT_EQ(NULL, lookup("::1"));
	remove_one("10.1.0.0/16");
	EXPECT_EQ((void *)&a, lookup("10.1.2.4"));
	EXPECT_EQ((void *)&c, lookup("10.1.2.3"));
	remove_one("0.0.0.0/0");
	EXPECT_EQ(NULL, lookup("11.1.2.3"));
	remove_one("10.0.0.0/8");
	EXPECT_EQ(NULL, lookup("10.1.2.4"));
	remove_one("10.1.2.3/32");
	EXPECT_TRUE(is_empty());
}

/* The owners of all prefixes that cover an address, one after the other. */
static void *next(const char *text, const struct bhsec_selector_node **at)
{
	bool is_ipv6 = strchr(text, ':');
	u8 addr[16];

	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, addr);
	return bhsec_selector_next(&table, addr, is_ipv6, at);
}

static void *owner_of(const char *text)
{
	struct bhsec_prefix prefix = prefix_of(text);

	return bhsec_selector_owner(&table, &prefix);
}

TEST(all_that_cover_an_address_the_shortest_first)
{
	const struct bhsec_selector_node *at = NULL;
	int a, b, c, d;

	EXPECT_EQ(NULL, next("10.1.2.3", &at));
	ASSERT_EQ(0, insert("10.1.2.3/32", &a));
	ASSERT_EQ(0, insert("10.1.0.0/16", &b));
	ASSERT_EQ(0, insert("0.0.0.0/0", &c));
	/* whose fork has no owner */
	ASSERT_EQ(0, insert("10.2.0.0/16", &d));
	EXPECT_EQ((void *)&c, next("10.1.2.3", &at));
	EXPECT_EQ((void *)&b, next("10.1.2.3", &at));
	EXPECT_EQ((void *)&a, next("10.1.2.3", &at));
	EXPECT_EQ(NULL, next("10.1.2.3", &at));
	at = NULL;
	EXPECT_EQ((void *)&c, next("10.2.2.3", &at));
	EXPECT_EQ((void *)&d, next("10.2.2.3", &at));
	EXPECT_EQ(NULL, next("10.2.2.3", &at));
	at = NULL;
	EXPECT_EQ(NULL, next("2001:db8::1", &at));
	EXPECT_EQ((void *)&b, owner_of("10.1.0.0/16"));
	EXPECT_EQ((void *)&c, owner_of("0.0.0.0/0"));
	EXPECT_EQ(NULL, owner_of("10.0.0.0/14"));
	EXPECT_EQ(NULL, owner_of("10.1.2.0/24"));
	EXPECT_EQ(NULL, owner_of("::/0"));
	remove_one("10.1.2.3/32");
	remove_one("10.1.0.0/16");
	remove_one("0.0.0.0/0");
	remove_one("10.2.0.0/16");
	EXPECT_TRUE(is_empty());
}

TEST(families_are_apart)
{
	int a, b;

	ASSERT_EQ(0, insert("0.0.0.0/0", &a));
	EXPECT_EQ(NULL, lookup("::"));
	ASSERT_EQ(0, insert("::/0", &b));
	EXPECT_EQ((void *)&a, lookup("0.0.0.0"));
	EXPECT_EQ((void *)&b, lookup("2001:db8::1"));
	remove_one("0.0.0.0/0");
	EXPECT_EQ((void *)&b, lookup("::"));
	remove_one("::/0");
	EXPECT_TRUE(is_empty());
}

TEST(edges_of_a_prefix)
{
	int a, b;

	ASSERT_EQ(0, insert("10.1.2.128/25", &a));
	EXPECT_EQ(NULL, lookup("10.1.2.127"));
	EXPECT_EQ((void *)&a, lookup("10.1.2.128"));
	EXPECT_EQ((void *)&a, lookup("10.1.2.255"));
	EXPECT_EQ(NULL, lookup("10.1.3.0"));
	ASSERT_EQ(0, insert("2001:db8::fffe/127", &b));
	EXPECT_EQ(NULL, lookup("2001:db8::fffd"));
	EXPECT_EQ((void *)&b, lookup("2001:db8::ffff"));
	EXPECT_EQ(NULL, lookup("2001:db8::1:0"));
	remove_one("10.1.2.128/25");
	remove_one("2001:db8::fffe/127");
	EXPECT_TRUE(is_empty());
}

TEST(a_prefix_has_one_owner)
{
	int a, b;

	ASSERT_EQ(0, insert("10.0.0.0/8", &a));
	EXPECT_EQ(-EEXIST, insert("10.0.0.0/8", &b));
	EXPECT_EQ(-EEXIST, insert("10.0.0.0/8", &a));
	EXPECT_EQ(NULL, lookup("11.0.0.1"));
	EXPECT_EQ(NULL, lookup("a00::"));
	remove_one("10.0.0.0/9");
	remove_one("10.0.0.0/7");
	EXPECT_EQ((void *)&a, lookup("10.0.0.1"));
	remove_one("10.0.0.0/8");
	EXPECT_EQ(0, insert("10.0.0.0/8", &b));
	EXPECT_EQ((void *)&b, lookup("10.255.0.1"));
	remove_one("10.0.0.0/8");
	EXPECT_TRUE(is_empty());
}

TEST(a_fork_is_no_prefix)
{
	int a, b, c;

	ASSERT_EQ(0, insert("10.0.0.0/24", &a));
	ASSERT_EQ(0, insert("10.0.1.0/24", &b));
	remove_one("10.0.0.0/23");
	EXPECT_EQ((void *)&a, lookup("10.0.0.1"));
	EXPECT_EQ(0, insert("10.0.0.0/23", &c));
	EXPECT_EQ(-EEXIST, insert("10.0.0.0/23", &b));
	remove_one("10.0.1.0/24");
	EXPECT_EQ((void *)&c, lookup("10.0.1.1"));
	EXPECT_EQ((void *)&a, lookup("10.0.0.1"));
	remove_one("10.0.0.0/23");
	EXPECT_EQ(NULL, lookup("10.0.1.1"));
	remove_one("10.0.0.0/24");
	EXPECT_TRUE(is_empty());
}

TEST(canonical_and_equal)
{
	static const struct {
		const char *text;
		bool canonical;
	} rows[] = {
		{ "10.0.0.0/8", true }, { "10.0.0.1/8", false },
		{ "10.128.0.0/8", false }, { "10.128.0.0/9", true },
		{ "0.0.0.0/0", true }, { "128.0.0.0/0", false },
		{ "255.255.255.255/32", true }, { "1.2.3.4/33", false },
		{ "2001:db8::/32", true }, { "2001:db8::1/127", false },
		{ "2001:db8::1/128", true }, { "::/0", true },
		{ "2001:db8::1/129", false },
	};
	struct bhsec_prefix prefix, other;
	unsigned int i, k;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		prefix = prefix_of(rows[i].text);
		EXPECT_EQ(rows[i].canonical, bhsec_prefix_is_canonical(&prefix)) {
			TH_LOG("%s", rows[i].text);
		}
		for (k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
			other = prefix_of(rows[k].text);
			EXPECT_EQ(i == k, bhsec_prefix_equal(&prefix, &other));
		}
	}
}

TEST(no_memory_changes_nothing)
{
	unsigned int nth;
	int a, b;

	ASSERT_EQ(0, insert("10.0.0.0/24", &a));
	for (nth = 1; nth <= 2; nth++) {
		fail_in = nth;
		EXPECT_EQ(-ENOMEM, insert("10.0.1.0/24", &b));
		EXPECT_EQ(0u, fail_in);
		EXPECT_EQ((void *)&a, lookup("10.0.0.1"));
		EXPECT_EQ(NULL, lookup("10.0.1.1"));
	}
	EXPECT_EQ(0, insert("10.0.1.0/24", &b));
	remove_one("10.0.1.0/24");
	remove_one("10.0.0.0/24");
	EXPECT_TRUE(is_empty());
}

TEST(random_changes_are_the_model_s_and_leave_nothing)
{
	static int owners[16];
	unsigned int round, i;

	for (round = 1; round <= 8; round++) {
		random_state = round;
		for (i = 0; i < 1500; i++) {
			bool grow = model_count < ENTRIES / 2 * (round % 2 + 1) &&
				    random_below(3);

			ASSERT_TRUE(grow ? step(random_prefix(),
						&owners[random_below(16)]) :
					   step(some_prefix(), NULL)) {
				TH_LOG("round %u, step %u", round, i);
			}
		}
		while (model_count)
			ASSERT_TRUE(step(model[0].prefix, NULL));
		ASSERT_TRUE(is_empty());
	}
}

TEST_HARNESS_MAIN
