// SPDX-License-Identifier: GPL-2.0
/*
 * kmod/stamp.c in userspace: what was stored is compared with jiffies that have
 * gone on for months meanwhile. What takes weeks on a 32-bit machine is longer
 * than any life on this one, but the same for arithmetic.
 */
#include <limits.h>
#include <linux/types.h>
#include "kselftest_harness.h"
#include "stamp.h"

#define MOST 3U

unsigned long jiffies;
static u64 boot_second;

u64 ktime_get_boottime_seconds(void)
{
	return boot_second;
}

/* Around each place where a difference of two jiffies turns into its opposite. */
static const unsigned long silences[] = {
	HZ, HZ + 1, 60UL * HZ, LONG_MAX - HZ, LONG_MAX - 1, LONG_MAX,
	LONG_MAX + 1UL, LONG_MAX + 2UL, LONG_MAX + 1UL + HZ,
	LONG_MAX + 2UL + HZ, ULONG_MAX - HZ, ULONG_MAX,
};

/* Among them what jiffies are while a kernel of either width boots. */
static const unsigned long begins[] = {
	0, 1, UINT_MAX - 300UL * HZ, UINT_MAX, LONG_MAX - HZ, LONG_MAX,
	LONG_MAX + 1UL, ULONG_MAX - HZ, ULONG_MAX - 1, ULONG_MAX,
};

#define for_each(i, array) \
	for (i = 0; i < ARRAY_SIZE(array); i++)

TEST(a_second_is_recent)
{
	unsigned long ticks;
	size_t i;

	for_each(i, begins) {
		for (ticks = 0; ticks < HZ; ticks++) {
			jiffies = begins[i] + ticks;
			ASSERT_TRUE(bhsec_is_recent(begins[i]));
		}
	}
}

TEST(what_is_longer_ago_is_not)
{
	size_t i, j;

	for_each(i, begins) {
		for_each(j, silences) {
			jiffies = begins[i] + silences[j];
			ASSERT_FALSE(bhsec_is_recent(begins[i]))
				TH_LOG("%lu after %lu", silences[j], begins[i]);
		}
	}
}

static unsigned int allowed(struct bhsec_limit *limit)
{
	unsigned int count = 0, i;

	for (i = 0; i < 2 * MOST; i++)
		count += bhsec_limit_allows(limit, MOST);
	return count;
}

TEST(a_limit_holds_for_a_second)
{
	struct bhsec_limit limit;
	size_t i;

	for_each(i, begins) {
		jiffies = begins[i];
		limit = (struct bhsec_limit){ .second = jiffies };
		ASSERT_EQ(MOST, allowed(&limit));
		jiffies += HZ - 1;
		ASSERT_EQ(0U, allowed(&limit));
		jiffies++;
		ASSERT_EQ(MOST, allowed(&limit));
	}
}

TEST(a_limit_that_was_reached_ends_whatever_the_silence)
{
	struct bhsec_limit limit;
	size_t i, j;

	for_each(i, begins) {
		for_each(j, silences) {
			jiffies = begins[i];
			limit = (struct bhsec_limit){ .second = jiffies };
			ASSERT_EQ(MOST, allowed(&limit));
			jiffies += silences[j];
			ASSERT_EQ(MOST, allowed(&limit))
				TH_LOG("%lu after %lu", silences[j], begins[i]);
		}
	}
}

TEST(a_stamp_asks_the_clock_once_a_tick)
{
	struct bhsec_stamp stamp = {};

	jiffies = 5;
	boot_second = 0;
	bhsec_stamp_now(&stamp);
	ASSERT_EQ(1U, stamp.second);
	boot_second = 7;
	bhsec_stamp_now(&stamp);
	ASSERT_EQ(1U, stamp.second);
	jiffies++;
	bhsec_stamp_now(&stamp);
	ASSERT_EQ(7U, stamp.second);
	boot_second = 12;
	ASSERT_EQ(5U, bhsec_stamp_age(stamp.second));
}

TEST(a_stamp_is_new_after_2_32_ticks)
{
	struct bhsec_stamp stamp = {};
	size_t i;

	for_each(i, begins) {
		jiffies = begins[i];
		boot_second = 100;
		bhsec_stamp_now(&stamp);
		jiffies += 1UL << 32;
		boot_second += (1UL << 32) / HZ;
		bhsec_stamp_now(&stamp);
		ASSERT_EQ(boot_second, stamp.second);
	}
}

TEST_HARNESS_MAIN
