/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_HEALTH_H
#define BHSEC_HEALTH_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "bhsec.h"
#include "rows.h"

/**
 * enum health - does a peer work
 * @HEALTH_UP: it has all it needs to carry packets, was heard, and answers
 * @HEALTH_SILENT: it has, but was never heard, or does not answer
 * @HEALTH_DOWN: it lacks something, or its device is down
 */
enum health {
	HEALTH_UP,
	HEALTH_SILENT,
	HEALTH_DOWN,
	HEALTHS,
};

#define NO_KEY UINT64_MAX

enum health health_of(const struct row *row, const struct nlattr **peer);
void key_ages(const struct row *row, uint64_t age[BHSEC_DIRECTION_OUT + 1]);

#endif
