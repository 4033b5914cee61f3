// SPDX-License-Identifier: GPL-2.0
/* userspace/identities.c: messages as a daemon makes them, and broken ones. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "kselftest_harness.h"
#include "identities.h"

struct message {
	uint8_t bytes[4096];
	size_t len;
};

static uint64_t random_state;

/* xorshift64*: the same numbers on every machine. */
static uint64_t random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static void put(struct message *message, uint8_t byte)
{
	message->bytes[message->len++] = byte;
}

static void put_text(struct message *message, const char *text, size_t len)
{
	memcpy(message->bytes + message->len, text, len);
	message->len += len;
}

static void put_name(struct message *message, uint8_t type, const char *name)
{
	put(message, type);
	put(message, strlen(name));
	put_text(message, name, strlen(name));
}

static void put_value(struct message *message, const char *value, size_t len)
{
	put(message, len >> 8);
	put(message, len);
	put_text(message, value, len);
}

static void begin(struct message *message, const char *section)
{
	put_name(message, 1, section);
}

static void end(struct message *message)
{
	put(message, 2);
}

static void put_key(struct message *message, const char *name, const char *value)
{
	put_name(message, 3, name);
	put_value(message, value, strlen(value));
}

static void put_list(struct message *message, const char *name, const char *item)
{
	put_name(message, 4, name);
	put(message, 5);
	put_value(message, item, strlen(item));
	put(message, 6);
}

static void put_child(struct message *message, const char *name,
		      const char *reqid, const char *in, const char *out)
{
	begin(message, name);
	put_key(message, "uniqueid", "8");
	put_key(message, "reqid", reqid);
	put_key(message, "state", "INSTALLED");
	put_key(message, "spi-in", in);
	put_key(message, "spi-out", out);
	put_list(message, "local-ts", "0.0.0.0/0");
	end(message);
}

static void put_ike(struct message *message, const char *remote)
{
	begin(message, "backhaul");
	put_key(message, "uniqueid", "7");
	put_key(message, "local-id", "core.example");
	put_key(message, "remote-id", remote);
	put_list(message, "remote-vips", "10.3.0.1");
	begin(message, "child-sas");
}

static void end_ike(struct message *message)
{
	end(message);
	end(message);
}

/* As a station with two children and one without any tell of themselves. */
static void put_stations(struct message *message)
{
	put_ike(message, "bts7.example");
	put_child(message, "net-1", "5", "c0000001", "00000abc");
	put_child(message, "net-2", "6", "c0000002", "00000abd");
	end_ike(message);
	put_ike(message, "C=DE, O=Operator, CN=bts8");
	end_ike(message);
}

static void take(struct identities *ids, const void *bytes, size_t len)
{
	const struct bytes said = { bytes, len };

	identities_take(ids, &said);
}

static bool is_named(const struct identities *ids, uint32_t reqid, uint32_t spi,
		     const char *name)
{
	const char *found = identities_find(ids, reqid, spi);

	return name ? found && !strcmp(found, name) : !found;
}

TEST(reqid_and_spi_have_to_be_right)
{
	struct identities ids = {};
	struct message message = {};

	put_stations(&message);
	take(&ids, message.bytes, message.len);
	identities_sort(&ids);
	EXPECT_EQ(4UL, ids.count);
	EXPECT_TRUE(is_named(&ids, 5, 0xc0000001, "bts7.example"));
	EXPECT_TRUE(is_named(&ids, 5, 0xabc, "bts7.example"));
	EXPECT_TRUE(is_named(&ids, 6, 0xabd, "bts7.example"));
	EXPECT_TRUE(is_named(&ids, 6, 0xc0000001, NULL));
	EXPECT_TRUE(is_named(&ids, 5, 0xc0000002, NULL));
	EXPECT_TRUE(is_named(&ids, 5, 0, NULL));
	EXPECT_TRUE(is_named(&ids, 0, 0xabc, NULL));
	identities_free(&ids);
	EXPECT_TRUE(is_named(&ids, 5, 0xabc, NULL));
}

TEST(each_of_many_is_found)
{
	char name[32], in[16], out[16], reqid[16];
	struct identities ids = {};
	uint32_t i;

	for (i = 1; i <= 5000; i++) {
		struct message message = {};

		/* not in the order of their keys */
		snprintf(reqid, sizeof(reqid), "%u", i * 7919 % 5003);
		snprintf(name, sizeof(name), "bts%u.example", i);
		snprintf(in, sizeof(in), "%.8x", 0xc0000000 + i);
		snprintf(out, sizeof(out), "%.8x", 0x1000 + i);
		put_ike(&message, name);
		put_child(&message, "net", reqid, in, out);
		end_ike(&message);
		take(&ids, message.bytes, message.len);
	}
	identities_sort(&ids);
	for (i = 1; i <= 5000; i++) {
		snprintf(name, sizeof(name), "bts%u.example", i);
		ASSERT_TRUE(is_named(&ids, i * 7919 % 5003, 0xc0000000 + i, name));
		ASSERT_TRUE(is_named(&ids, i * 7919 % 5003, 0x1000 + i, name));
	}
	identities_free(&ids);
}

TEST(nobody_is_behind_a_child_that_is_not_there_yet)
{
	struct identities ids = {};
	struct message message = {};

	put_ike(&message, "bts7.example");
	put_child(&message, "installing", "5", "", "");
	put_child(&message, "strange", "x", "c0000001", "c0000002");
	begin(&message, "bare");
	put_key(&message, "reqid", "5");
	end(&message);
	end_ike(&message);
	put_ike(&message, "");
	put_child(&message, "anonymous", "5", "c0000001", "c0000002");
	end_ike(&message);
	take(&ids, message.bytes, message.len);
	EXPECT_EQ(0UL, ids.count);
	identities_free(&ids);
}

TEST(an_ike_sa_s_name_is_not_the_next_one_s)
{
	struct identities ids = {};
	struct message message = {};

	put_ike(&message, "bts7.example");
	end_ike(&message);
	begin(&message, "nameless");
	begin(&message, "child-sas");
	put_child(&message, "net", "5", "c0000001", "c0000002");
	end_ike(&message);
	take(&ids, message.bytes, message.len);
	EXPECT_EQ(0UL, ids.count);
	identities_free(&ids);
}

TEST(what_cannot_be_printed_is_not)
{
	static const char raw[] = "a\0b\33[2J\x7f\xc3\xa4\n~ \"";
	struct identities ids = {};
	struct message message = {};

	begin(&message, "backhaul");
	put_name(&message, 3, "remote-id");
	put_value(&message, raw, sizeof(raw) - 1);
	begin(&message, "child-sas");
	put_child(&message, "net", "5", "c0000001", "c0000002");
	end_ike(&message);
	take(&ids, message.bytes, message.len);
	identities_sort(&ids);
	EXPECT_STREQ("a?b?[2J????~ \"", identities_find(&ids, 5, 0xc0000001));
	identities_free(&ids);
}

/* A copy of the exact length: what is read behind its end is seen. */
static size_t taken_of(const uint8_t *bytes, size_t len)
{
	struct identities ids = {};
	uint8_t *copy = malloc(len);
	size_t count;

	if (len)
		memcpy(copy, bytes, len);
	take(&ids, copy, len);
	identities_sort(&ids);
	free(copy);
	count = ids.count;
	identities_free(&ids);
	return count;
}

TEST(a_message_may_end_anywhere)
{
	struct message message = {};
	size_t len, count, last = 0;

	put_stations(&message);
	for (len = 0; len <= message.len; len++) {
		count = taken_of(message.bytes, len);
		EXPECT_GE(count, last);
		last = count;
	}
	EXPECT_EQ(4UL, last);
}

TEST(a_message_may_be_anything)
{
	struct message message;
	unsigned int i, n;

	random_state = 1;
	for (n = 0; n < 20000; n++) {
		message.len = 0;
		put_stations(&message);
		for (i = random_u64() % 8; i; i--)
			message.bytes[random_u64() % message.len] = random_u64();
		taken_of(message.bytes, message.len);
		for (i = 0; i < 64; i++)
			message.bytes[i] = random_u64() % 8;
		taken_of(message.bytes, 64);
	}
}

TEST(sections_may_end_that_never_began)
{
	uint8_t ends[64];

	memset(ends, 2, sizeof(ends));
	EXPECT_EQ(0UL, taken_of(ends, sizeof(ends)));
}

TEST_HARNESS_MAIN
