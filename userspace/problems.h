/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PROBLEMS_H
#define BHSEC_PROBLEMS_H

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "rows.h"

/**
 * enum problem - what keeps a peer from carrying all it should, as bits
 * @NO_SELECTORS: no inner address is its own
 * @NO_ENDPOINT: nobody has said where it is, and it does not roam
 * @NO_OUTBOUND: no SA to it works
 * @NO_INBOUND: no SA from it works
 * @EXPIRED: it has an SA that a hard lifetime has stopped
 * @EXHAUSTED: it has one that has no sequence numbers left
 */
enum problem {
	NO_SELECTORS = 1 << 0,
	NO_ENDPOINT = 1 << 1,
	NO_OUTBOUND = 1 << 2,
	NO_INBOUND = 1 << 3,
	EXPIRED = 1 << 4,
	EXHAUSTED = 1 << 5,
};

#define PROBLEMS 6

extern const char *const problem_names[PROBLEMS];

bool sa_works(const struct nlattr **sa);
unsigned int problems_of(const struct row *row, const struct nlattr **peer);

#endif
