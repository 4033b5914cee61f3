// SPDX-License-Identifier: GPL-2.0
/*
 * The anti-replay window (RFC 4303 3.4.3) as a ring of words that is never
 * shifted, as that of RFC 6479. Where its numbers are as many as its bits, a step
 * forward enters a word whose upper bits are still the window's oldest: it clears
 * the bits that it passes, not words, and needs none to spare.
 * Nothing but integers here, so that a userspace test can compile it.
 */
#include "replay.h"

#define WORD_BITS 64

static u64 word_of(u64 seq)
{
	return seq / WORD_BITS;
}

static u64 bit_of(u64 seq)
{
	return 1ULL << (seq % WORD_BITS);
}

/**
 * bhsec_replay_words - words of bitmap that a window needs
 * @window: width of the window in sequence numbers, at least 1
 *
 * Return: a power of two that holds @window bits.
 */
u32 bhsec_replay_words(u32 window)
{
	u32 need = (window + WORD_BITS - 1) / WORD_BITS;
	u32 words = 1;

	while (words < need)
		words *= 2;
	return words;
}

/**
 * bhsec_replay_init - start a window
 * @replay: the window
 * @bitmap: bhsec_replay_words(@window) words, owned by the caller
 * @window: width in sequence numbers, at least 1
 * @top: last number used before; it and all below it count as seen, because
 *	which of them arrived elsewhere is not known here
 */
void bhsec_replay_init(struct bhsec_replay *replay, u64 *bitmap, u32 window,
		       u64 top)
{
	u32 i;

	replay->top = top;
	replay->window = window;
	replay->mask = bhsec_replay_words(window) - 1;
	replay->bitmap = bitmap;
	for (i = 0; i <= replay->mask; i++)
		bitmap[i] = ~0ULL;
}

/**
 * bhsec_replay_extend - the 64-bit number that a packet's low half stands for
 * @replay: the window
 * @low: sequence number field of the packet
 *
 * RFC 4303 A2.2: the number is taken from the window or the half space above
 * it. Below 2^32 there is no earlier half space to take it from.
 *
 * Return: the full sequence number, to be confirmed by authentication.
 */
u64 bhsec_replay_extend(const struct bhsec_replay *replay, u32 low)
{
	u32 top_low = replay->top;
	u64 high = replay->top >> 32;
	u32 bottom = top_low - replay->window + 1;

	if (top_low >= replay->window - 1) {
		if (low < bottom)
			high++;
	} else if (low >= bottom && high) {
		high--;
	}
	return high << 32 | low;
}

/**
 * bhsec_replay_check - would the window accept this number
 * @replay: the window
 * @seq: full sequence number
 *
 * Return: false if @seq was seen or is older than the window. Zero is never
 * sent (RFC 4303 3.3.3) and never accepted.
 */
bool bhsec_replay_check(const struct bhsec_replay *replay, u64 seq)
{
	if (!seq)
		return false;
	if (seq > replay->top)
		return true;
	if (replay->top - seq >= replay->window)
		return false;
	return !(replay->bitmap[word_of(seq) & replay->mask] & bit_of(seq));
}

/* The bits of numbers above the top, up to @seq, are still those of old ones. */
static void clear_up_to(struct bhsec_replay *replay, u64 seq)
{
	u64 bits = ((u64)replay->mask + 1) * WORD_BITS;
	u64 first = replay->top + 1;

	if (seq - replay->top > bits)
		first = seq - bits + 1;
	for (; word_of(first) < word_of(seq);
	     first = (word_of(first) + 1) * WORD_BITS)
		replay->bitmap[word_of(first) & replay->mask] &= bit_of(first) - 1;
	replay->bitmap[word_of(seq) & replay->mask] &=
		(bit_of(first) - 1) | ~(bit_of(seq) * 2 - 1);
}

/**
 * bhsec_replay_update - mark an authenticated number as seen
 * @replay: the window
 * @seq: full sequence number
 *
 * Return: false if the window does not accept @seq; nothing is changed then.
 */
bool bhsec_replay_update(struct bhsec_replay *replay, u64 seq)
{
	if (!bhsec_replay_check(replay, seq))
		return false;
	if (seq > replay->top) {
		/* the next number sets the only bit that it passes */
		if (seq - replay->top > 1)
			clear_up_to(replay, seq);
		replay->top = seq;
	}
	replay->bitmap[word_of(seq) & replay->mask] |= bit_of(seq);
	return true;
}
