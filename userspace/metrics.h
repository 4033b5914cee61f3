/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_METRICS_H
#define BHSEC_METRICS_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

#include "output.h"
#include "rows.h"

struct subject;

/**
 * struct subjects - all devices, or all peers
 * @subject: what is known of each
 * @count: number of them
 * @room: of @subject
 */
struct subjects {
	struct subject *subject;
	size_t count;
	size_t room;
};

/**
 * enum level - what a metric is about
 * @LEVEL_DEVICE: a device, or its underlay
 * @LEVEL_PEER: a peer
 */
enum level {
	LEVEL_DEVICE,
	LEVEL_PEER,
	LEVELS,
};

/**
 * struct metrics - what a scrape will say
 * @of: the devices and the peers of all of them
 *
 * A metric stands together, so nothing is said before all is known.
 */
struct metrics {
	struct subjects of[LEVELS];
};

bool metrics_add(struct metrics *metrics, bool is_up,
		 const struct nlmsghdr *device, const struct rows *peers);
void metrics_print(const struct metrics *metrics, struct output *out);
void metrics_free(struct metrics *metrics);

#endif
