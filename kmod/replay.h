/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_REPLAY_H
#define BHSEC_REPLAY_H

#include <linux/types.h>

/**
 * struct bhsec_replay - an anti-replay window over 64-bit sequence numbers
 * @top: highest number accepted so far, or taken as accepted
 * @window: width in numbers; @top - @window and below are too old
 * @mask: number of words in @bitmap less one; the number is a power of two
 * @bitmap: a ring of words, by number
 *
 * The caller serializes all calls on one window.
 */
struct bhsec_replay {
	u64 top;
	u32 window;
	u32 mask;
	u64 *bitmap;
};

u32 bhsec_replay_words(u32 window);
void bhsec_replay_init(struct bhsec_replay *replay, u64 *bitmap, u32 window,
		       u64 top);
u64 bhsec_replay_extend(const struct bhsec_replay *replay, u32 low);
bool bhsec_replay_check(const struct bhsec_replay *replay, u64 seq);
bool bhsec_replay_update(struct bhsec_replay *replay, u64 seq);

#endif
