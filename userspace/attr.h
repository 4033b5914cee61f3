/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ATTR_H
#define BHSEC_ATTR_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "address.h"
#include "bhsec.h"

const char *attr_prefix(const struct nlattr *prefix, char text[ADDRESS_TEXT]);
const char *attr_endpoint(const struct nlattr **peer, char text[ADDRESS_TEXT]);
void attr_stats(const struct nlattr *nest,
		uint64_t count[BHSEC_A_STATS_MAX + 1]);

#endif
