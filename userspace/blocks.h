/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_BLOCKS_H
#define BHSEC_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct block - what a text for swanctl says of one peer or secret
 * @text: from "connections {" or "secrets {" on
 * @len: of @text
 * @name: of the connection or secret, without a zero behind it
 * @name_len: of @name
 */
struct block {
	const char *text;
	size_t len;
	const char *name;
	size_t name_len;
};

/**
 * struct blocks - all that a text says
 * @block: by name
 * @count: number of them
 * @has_more: there is something else, which somebody else has written
 */
struct blocks {
	struct block *block;
	size_t count;
	bool has_more;
};

/* One of both is NULL where a block comes or goes. */
typedef void block_fn(void *data, const struct block *old,
		      const struct block *new);

bool blocks_cut(const char *text, const char *prefix, struct blocks *blocks);
const struct block *blocks_find(const struct blocks *blocks, const char *name,
				size_t len);
void blocks_compare(const struct blocks *from, const struct blocks *to,
		    block_fn *act, void *data);
void blocks_free(struct blocks *blocks);

bool block_is_connection(const struct block *block);
bool block_starts(const struct block *block);
bool block_has_pool(const struct block *block);
bool block_same_identity(const struct block *one, const struct block *other);

#endif
