// SPDX-License-Identifier: GPL-2.0
/*
 * Two texts for swanctl, compared block by block. One of them may be that of an
 * earlier release.
 */
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

/* What parts blocks. */
#define BLOCK_END "\n\n"

#define COMMENT '#'

static bool begins(const struct block *block, const char *word)
{
	return strncmp(block->text, word, strlen(word)) == 0;
}

/**
 * block_is_connection - is it of a peer
 * @block: the block
 *
 * Return: whether it is, and not of a secret.
 */
bool block_is_connection(const struct block *block)
{
	return begins(block, "connections ");
}

static int compare_names(const struct block *block, const char *name, size_t len)
{
	size_t least = block->name_len < len ? block->name_len : len;
	int diff = memcmp(block->name, name, least);

	return diff ? diff : (block->name_len > len) - (block->name_len < len);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct block *other = b;

	return compare_names(a, other->name, other->name_len);
}

/* Of a peer or a secret of the device, whose prefix ends with a dash. */
static bool is_ours(const struct block *block, const char *prefix)
{
	static const char kind[] = "ike-";
	size_t len = strlen(prefix);

	if (block_is_connection(block))
		return block->name_len > len &&
		       memcmp(block->name, prefix, len) == 0;
	return block->name_len == strlen(kind) + len - 1 &&
	       memcmp(block->name + strlen(kind), prefix, len - 1) == 0;
}

static bool name_block(struct block *block, const char *prefix)
{
	const char *open = memchr(block->text, '{', block->len), *end;

	if (!open || open[1] != ' ')
		return false;
	open += 2;
	end = memchr(open, ' ', block->text + block->len - open);
	block->name = open;
	block->name_len = end ? end - open : 0;
	return end && is_ours(block, prefix);
}

static size_t count_ends(const char *text)
{
	size_t count = 0;

	while ((text = strstr(text, BLOCK_END))) {
		text += strlen(BLOCK_END);
		count++;
	}
	return count;
}

/**
 * blocks_cut - the blocks of a text
 * @text: the text, which has to stay; NULL for none
 * @prefix: what the names of the device's connections begin with
 * @blocks: gets them, for blocks_free()
 *
 * Return: false without memory.
 */
bool blocks_cut(const char *text, const char *prefix, struct blocks *blocks)
{
	struct block *block;
	const char *end;

	text = text ?: "";
	block = calloc(count_ends(text) + 1, sizeof(*block));
	blocks->block = block;
	blocks->count = 0;
	blocks->has_more = false;
	for (; block && (end = strstr(text, BLOCK_END));
	     text = end + strlen(BLOCK_END)) {
		block->text = text;
		block->len = end - text;
		if (name_block(block, prefix)) {
			block++;
			blocks->count++;
		} else if (*block->text != COMMENT ||
			   memchr(block->text, '\n', block->len)) {
			blocks->has_more = true;
		}
	}
	if (*text)
		blocks->has_more = true;
	if (blocks->count)
		qsort(blocks->block, blocks->count, sizeof(*block),
		      compare_blocks);
	return blocks->block;
}

/**
 * blocks_find - the block of a name
 * @blocks: where it may be
 * @name: the name
 * @len: of it
 *
 * Return: the block, or NULL.
 */
const struct block *blocks_find(const struct blocks *blocks, const char *name,
				size_t len)
{
	const struct block wanted = { .name = name, .name_len = len };

	return bsearch(&wanted, blocks->block, blocks->count, sizeof(wanted),
		       compare_blocks);
}

static bool same(const struct block *a, const struct block *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/**
 * blocks_compare - act on each block that differs between two texts
 * @from: the blocks that there are
 * @to: those that are to be
 * @act: what to do
 * @data: for @act
 */
void blocks_compare(const struct blocks *from, const struct blocks *to,
		    block_fn *act, void *data)
{
	const struct block *old = from->block, *old_end = old + from->count;
	const struct block *new = to->block, *new_end = new + to->count;
	int diff;

	while (old < old_end || new < new_end) {
		diff = old == old_end ? 1 : new == new_end ? -1 :
		       compare_blocks(old, new);
		if (diff || !same(old, new))
			act(data, diff <= 0 ? old : NULL,
			    diff >= 0 ? new : NULL);
		old += diff <= 0;
		new += diff >= 0;
	}
}

/**
 * blocks_free - forget where blocks are
 * @blocks: the blocks
 */
void blocks_free(struct blocks *blocks)
{
	free(blocks->block);
}

static const char *find(const struct block *block, const char *word)
{
	return memmem(block->text, block->len, word, strlen(word));
}

/**
 * block_starts - does this side call that peer
 * @block: of a peer
 *
 * Return: whether it does, at once.
 */
bool block_starts(const struct block *block)
{
	return find(block, "start_action = start\n");
}

/**
 * block_has_pool - does the peer get an address
 * @block: of a peer
 *
 * Return: whether there is a pool for it.
 */
bool block_has_pool(const struct block *block)
{
	return find(block, "\npools {");
}

/**
 * block_same_identity - do two peers know this side by the same
 * @one: of a peer
 * @other: of a peer
 *
 * Return: whether they do.
 */
bool block_same_identity(const struct block *one, const struct block *other)
{
	static const char start[] = "\n    local {\n", end[] = "\n    }\n";
	const char *a = find(one, start), *b = find(other, start), *a_end;

	a_end = a ? strstr(a, end) : NULL;
	/* what begins alike as far as that ends there, too */
	return a_end && b && strncmp(a, b, a_end - a + strlen(end)) == 0;
}
