/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_IDENTITIES_H
#define BHSEC_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include "vici_message.h"

struct identity;

/**
 * struct identities - who is behind the SAs that an IKE daemon has made
 * @entry: one for each of its SAs, sorted
 * @count: number of them
 * @room: of @entry
 */
struct identities {
	struct identity *entry;
	size_t count;
	size_t room;
};

void identities_take(struct identities *ids, const struct bytes *message);
void identities_sort(struct identities *ids);
void identities_ask(struct identities *ids, uint64_t peers);
const char *identities_find(const struct identities *ids, uint32_t reqid,
			    uint32_t spi);
void identities_free(struct identities *ids);

#endif
