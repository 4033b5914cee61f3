// SPDX-License-Identifier: GPL-2.0
/* kmod/replay.c in userspace: tables, and a model too simple to be wrong. */
#include <linux/types.h>
#include "kselftest_harness.h"
#include "replay.h"

#define TOP32 (1ULL << 32)
#define WINDOW_MAX 65536

/* Every number that was accepted, and the number that counts as the first. */
struct model {
	u64 start, top;
	u32 window;
	size_t count;
	u64 accepted[4096];
};

static u64 random_state;

/* xorshift64*: the same numbers on every machine. */
static u64 random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static u64 random_below(u64 end)
{
	return random_u64() % end;
}

static bool model_check(const struct model *model, u64 seq)
{
	size_t i;

	if (seq > model->top)
		return true;
	if (seq <= model->start || model->top - seq >= model->window)
		return false;
	for (i = 0; i < model->count; i++)
		if (model->accepted[i] == seq)
			return false;
	return true;
}

static bool model_update(struct model *model, u64 seq)
{
	if (!model_check(model, seq))
		return false;
	model->accepted[model->count++] = seq;
	if (seq > model->top)
		model->top = seq;
	return true;
}

/* RFC 4303 A2: the one number of 2^32 above the window's bottom that fits. */
static u64 model_extend(u64 top, u32 window, u32 low)
{
	__int128 seq = low + ((__int128)(top >> 32) - 1) * TOP32;

	while (seq < 0 || seq <= (__int128)top - window)
		seq += TOP32;
	return seq;
}

/* A number near the top: next, a repeat, late, too late, far ahead. */
static u64 random_seq(const struct model *model)
{
	u64 top = model->top, back;

	switch (random_below(8)) {
	case 0:
		back = random_below(2 * (u64)model->window + 2);
		return back < top ? top - back : random_below(top + 1);
	case 1:
		back = random_below(model->window);
		return back < top ? top - back : 0;
	case 2:
		return top + 1 + random_below(2 * (u64)model->window + 128);
	case 3:
		return model->count ?
			model->accepted[random_below(model->count)] : top;
	case 4:
		return top + 1 + random_below(128);
	case 5:
		return top >= model->window ?
			top - model->window + random_below(3) : random_below(3);
	default:
		return top + 1;
	}
}

static u64 *new_window(struct bhsec_replay *replay, u32 window, u64 top)
{
	u64 *bitmap = malloc(bhsec_replay_words(window) * sizeof(*bitmap));

	bhsec_replay_init(replay, bitmap, window, top);
	return bitmap;
}

/* Returns the index of the first step that differs, or -1. */
static int compare(u32 window, u64 start, unsigned int steps)
{
	struct model model = { .start = start, .top = start, .window = window };
	struct bhsec_replay replay;
	u64 *bitmap = new_window(&replay, window, start);
	int different = -1;
	unsigned int i;
	u64 seq;

	for (i = 0; i < steps && different < 0; i++) {
		seq = random_seq(&model);
		if (bhsec_replay_check(&replay, seq) != model_check(&model, seq) ||
		    bhsec_replay_update(&replay, seq) != model_update(&model, seq) ||
		    replay.top != model.top)
			different = i;
	}
	free(bitmap);
	return different;
}

TEST(every_number_once_in_order)
{
	struct bhsec_replay replay;
	u64 *bitmap = new_window(&replay, 64, 0), seq;

	for (seq = 1; seq <= 1000; seq++) {
		ASSERT_TRUE(bhsec_replay_update(&replay, seq));
		ASSERT_FALSE(bhsec_replay_update(&replay, seq));
	}
	ASSERT_EQ(1000ULL, replay.top);
	free(bitmap);
}

TEST(zero_is_never_accepted)
{
	struct bhsec_replay replay;
	u64 *bitmap = new_window(&replay, 4096, 0);

	ASSERT_FALSE(bhsec_replay_check(&replay, 0));
	ASSERT_FALSE(bhsec_replay_update(&replay, 0));
	ASSERT_TRUE(bhsec_replay_update(&replay, 1));
	ASSERT_FALSE(bhsec_replay_update(&replay, 0));
	free(bitmap);
}

TEST(window_is_exact)
{
	static const u32 windows[] = {
		1, 2, 3, 31, 32, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096,
		4097, 65535, 65536,
	};
	u64 seq, top = 3 * TOP32 + 17;
	struct bhsec_replay replay;
	unsigned int i;
	u64 *bitmap;

	for (i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		bitmap = new_window(&replay, windows[i], 0);
		ASSERT_TRUE(bhsec_replay_update(&replay, top));
		ASSERT_FALSE(bhsec_replay_update(&replay, top - windows[i]));
		for (seq = top - windows[i] + 1; seq < top; seq++)
			ASSERT_TRUE(bhsec_replay_update(&replay, seq));
		for (seq = top - windows[i] + 1; seq <= top; seq++)
			ASSERT_FALSE(bhsec_replay_update(&replay, seq));
		free(bitmap);
	}
}

TEST(what_came_before_the_start_is_seen)
{
	static const u64 starts[] = {
		1, 63, 64, 65, 4095, 4096, TOP32 - 1, TOP32, 1ULL << 63,
	};
	struct bhsec_replay replay;
	unsigned int i;
	u64 *bitmap, back;

	for (i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		bitmap = new_window(&replay, 4096, starts[i]);
		for (back = 0; back < 5000 && back <= starts[i]; back++)
			ASSERT_FALSE(bhsec_replay_update(&replay,
							 starts[i] - back));
		ASSERT_TRUE(bhsec_replay_update(&replay, starts[i] + 2));
		ASSERT_TRUE(bhsec_replay_update(&replay, starts[i] + 1));
		ASSERT_FALSE(bhsec_replay_update(&replay, starts[i]));
		free(bitmap);
	}
}

TEST(jumps_leave_nothing_behind)
{
	static const u64 jumps[] = {
		63, 64, 65, 127, 128, 4096, 4160, 8192, TOP32, 1ULL << 62,
	};
	struct bhsec_replay replay;
	u64 *bitmap, top, seq;
	unsigned int i;

	for (i = 0; i < sizeof(jumps) / sizeof(*jumps); i++) {
		bitmap = new_window(&replay, 4096, 0);
		for (seq = 1; seq <= 9000; seq++)
			ASSERT_TRUE(bhsec_replay_update(&replay, seq));
		top = 9000 + jumps[i];
		ASSERT_TRUE(bhsec_replay_update(&replay, top));
		for (seq = top - 4095; seq < top; seq++)
			ASSERT_EQ(seq > 9000, bhsec_replay_update(&replay, seq));
		free(bitmap);
	}
}

TEST(last_numbers_of_all)
{
	struct bhsec_replay replay;
	u64 *bitmap = new_window(&replay, 65536, UINT64_MAX - 3);

	ASSERT_TRUE(bhsec_replay_update(&replay, UINT64_MAX));
	ASSERT_TRUE(bhsec_replay_update(&replay, UINT64_MAX - 2));
	ASSERT_FALSE(bhsec_replay_update(&replay, UINT64_MAX));
	ASSERT_FALSE(bhsec_replay_update(&replay, UINT64_MAX - 3));
	ASSERT_FALSE(bhsec_replay_update(&replay, 0));
	free(bitmap);
}

TEST(check_changes_nothing)
{
	struct bhsec_replay replay;
	u64 *bitmap = new_window(&replay, 4096, 100);

	ASSERT_TRUE(bhsec_replay_check(&replay, 1ULL << 40));
	ASSERT_EQ(100ULL, replay.top);
	ASSERT_TRUE(bhsec_replay_check(&replay, 101));
	ASSERT_TRUE(bhsec_replay_update(&replay, 101));
	free(bitmap);
}

TEST(update_is_the_model_s_for_random_numbers)
{
	unsigned int round;
	u32 window;
	u64 start;

	random_state = 1;
	for (round = 0; round < 100; round++) {
		window = round % 2 ? 1 + random_below(300) :
				     1 + random_below(WINDOW_MAX);
		start = round % 3 ? random_u64() >> random_below(64) >> 1 : 0;
		ASSERT_EQ(-1, compare(window, start, 2000)) {
			TH_LOG("window %u, start %llu, round %u", window,
			       (unsigned long long)start, round);
		}
	}
}

TEST(update_is_the_model_s_around_each_power_of_two)
{
	unsigned int bit, i;
	u64 start;

	random_state = 2;
	for (bit = 1; bit < 64; bit++) {
		for (i = 0; i < 3; i++) {
			start = (1ULL << bit) - 1 - random_below(1ULL << bit) % 2000;
			ASSERT_EQ(-1, compare(1 << random_below(17), start, 500)) {
				TH_LOG("start %llu", (unsigned long long)start);
			}
		}
	}
}

TEST(extended_numbers_as_in_the_table)
{
	static const struct {
		u64 top;
		u32 window, low;
		u64 seq;
	} rows[] = {
		{ 0, 64, 1, 1 },
		{ 0, 64, 0xffffffff, 0xffffffff },
		{ 10, 64, 0xfffffff0, 0xfffffff0 },
		{ 0xffffffff, 64, 0, TOP32 },
		{ 0xffffffff, 64, 0xffffffc0, 0xffffffc0 },
		{ 0xffffffff, 64, 0xffffffbf, TOP32 + 0xffffffbf },
		{ TOP32, 64, 0, TOP32 },
		{ TOP32, 64, 0xffffffff, 0xffffffff },
		{ TOP32, 64, 0xffffffc1, 0xffffffc1 },
		{ TOP32, 64, 0xffffffc0, TOP32 + 0xffffffc0 },
		{ TOP32 + 62, 64, 0xffffffff, 0xffffffff },
		{ TOP32 + 63, 64, 0xffffffff, TOP32 + 0xffffffff },
		{ TOP32 + 63, 64, 0, TOP32 },
		{ TOP32 + 64, 64, 0, 2 * TOP32 },
		{ 5 * TOP32, 1, 0, 5 * TOP32 },
		{ 5 * TOP32, 1, 0xffffffff, 5 * TOP32 + 0xffffffff },
		{ 5 * TOP32 + 65534, 65536, 0xffffffff, 4 * TOP32 + 0xffffffff },
		{ 5 * TOP32 + 65535, 65536, 0xffffffff, 5 * TOP32 + 0xffffffff },
	};
	struct bhsec_replay replay = {};
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		replay.top = rows[i].top;
		replay.window = rows[i].window;
		EXPECT_EQ(rows[i].seq, bhsec_replay_extend(&replay, rows[i].low)) {
			TH_LOG("row %u", i);
		}
		EXPECT_EQ(rows[i].seq, model_extend(rows[i].top, rows[i].window,
						    rows[i].low));
	}
}

TEST(extended_numbers_are_the_model_s)
{
	struct bhsec_replay replay = {};
	unsigned int i;
	u64 high;
	u32 low;

	random_state = 3;
	for (i = 0; i < 1000000; i++) {
		replay.window = i % 2 ? 1 + random_below(WINDOW_MAX) :
					1u << random_below(17);
		high = i % 3 ? random_below(3) : random_u64() >> 33;
		low = i % 5 ? random_below(2 * WINDOW_MAX) - WINDOW_MAX :
			      random_u64();
		replay.top = high << 32 | low;
		low = i % 7 ? random_below(4 * WINDOW_MAX) - 2 * WINDOW_MAX + low :
			      random_u64();
		ASSERT_EQ(model_extend(replay.top, replay.window, low),
			  bhsec_replay_extend(&replay, low)) {
			TH_LOG("top %llu, window %u, low %u",
			       (unsigned long long)replay.top, replay.window, low);
		}
	}
}

TEST(a_sender_is_followed_across_2_32)
{
	static const u32 windows[] = { 1, 64, 4096, 65536 };
	struct bhsec_replay replay;
	u64 *bitmap, seq, late;
	unsigned int i;

	random_state = 4;
	for (i = 0; i < 4; i++) {
		seq = 7 * TOP32 - 200000;
		bitmap = new_window(&replay, windows[i], seq);
		while (seq < 7 * TOP32 + 200000) {
			seq += 1 + random_below(9);
			ASSERT_EQ(seq, bhsec_replay_extend(&replay, seq));
			ASSERT_TRUE(bhsec_replay_update(&replay, seq));
			late = seq - random_below(windows[i]);
			ASSERT_EQ(late, bhsec_replay_extend(&replay, late));
			bhsec_replay_update(&replay, late);
		}
		free(bitmap);
	}
}

TEST_HARNESS_MAIN
