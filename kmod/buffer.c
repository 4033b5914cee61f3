// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the datagrams that we build. Each CPU has a ring of blocks that are
 * cut into buffers, and used again once all of their buffers have come back:
 * kernels that clear what they allocate would clear each buffer in vain.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include "buffer.h"

#define BLOCK_ORDER 3
#define BLOCK_BYTES (PAGE_SIZE << BLOCK_ORDER)
/* What four super-packets on their way need, each of three blocks. */
#define BLOCKS 12
/* More references than a block has buffers, taken in advance. */
#define REFS (BLOCK_BYTES / SMP_CACHE_BYTES + 1)

/**
 * struct block - memory that buffers are cut from
 * @page: compound page, NULL before the first use
 * @used: bytes that were given away
 * @refs: references to @page that are ours still
 */
struct block {
	struct page *page;
	unsigned int used;
	unsigned int refs;
};

/**
 * struct ring - the blocks of a CPU
 * @block: those in use come one after the other
 * @count: of those that were ever in use
 * @at: the one that buffers are cut from
 */
struct ring {
	struct block block[BLOCKS];
	unsigned int count;
	unsigned int at;
};

static DEFINE_PER_CPU(struct ring, rings);

/* Have all buffers come back, and is the block none of an emergency's? */
static bool is_idle(const struct block *block)
{
	return page_ref_count(block->page) == block->refs &&
	       !page_is_pfmemalloc(block->page);
}

/* The buffers on their way hold what is left. */
static void give_up(struct block *block)
{
	if (block->page)
		__page_frag_cache_drain(block->page, block->refs);
	block->page = NULL;
}

/* A block whose only references are our @refs starts anew. */
static void restart(struct block *block, unsigned int refs)
{
	page_ref_add(block->page, REFS - refs);
	block->refs = REFS;
	block->used = 0;
}

static bool fill(struct block *block)
{
	block->page = alloc_pages(GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN |
				  __GFP_NORETRY, BLOCK_ORDER);
	if (block->page)
		restart(block, 1);
	return block->page;
}

/* The block after a full one: the oldest if it is idle, else one more. */
static bool turn(struct ring *ring)
{
	unsigned int next = ring->at + 1 < ring->count ? ring->at + 1 : 0;
	struct block *block = &ring->block[next];

	if (ring->count && block->page && is_idle(block)) {
		restart(block, block->refs);
	} else {
		if (ring->count < BLOCKS) {
			/* it comes between the one just used and the oldest */
			next = ring->count ? ring->at + 1 : 0;
			block = &ring->block[next];
			memmove(block + 1, block,
				(ring->count - next) * sizeof(*block));
			block->page = NULL;
			ring->count++;
		}
		give_up(block);
		if (!fill(block))
			return false;
	}
	ring->at = next;
	return true;
}

static void *cut(unsigned int size)
{
	struct ring *ring = this_cpu_ptr(&rings);
	struct block *block = &ring->block[ring->at];
	void *data;

	if (!block->page || block->used + size > BLOCK_BYTES) {
		if (!turn(ring))
			return NULL;
		block = &ring->block[ring->at];
	}
	data = page_address(block->page) + block->used;
	block->used += size;
	block->refs--;
	return data;
}

/**
 * bhsec_buffer_alloc - an empty packet
 * @size: bytes that it has room for
 *
 * Context: softirqs off.
 * Return: the packet or NULL.
 */
struct sk_buff *bhsec_buffer_alloc(unsigned int size)
{
	struct sk_buff *skb;
	void *data;

	size = SKB_DATA_ALIGN(size) +
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	if (size > BLOCK_BYTES / 4)
		return alloc_skb(size, GFP_ATOMIC);
	data = cut(size);
	if (!data)
		return NULL;
	skb = napi_build_skb(data, size);
	if (!skb)
		skb_free_frag(data);
	return skb;
}

/**
 * bhsec_buffer_exit - let go of all blocks
 *
 * Context: nobody allocates any more; buffers may still be on their way.
 */
void bhsec_buffer_exit(void)
{
	unsigned int n;
	int cpu;

	for_each_possible_cpu(cpu)
		for (n = 0; n < per_cpu(rings, cpu).count; n++)
			give_up(&per_cpu(rings, cpu).block[n]);
}
