/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ROUTE_H
#define BHSEC_ROUTE_H

#include <net/if.h>

#include "address.h"

struct nl;

const char *route_find(struct nl *route, const struct address *src,
		       const struct address *dst, uint8_t dscp,
		       char dev[IF_NAMESIZE]);
const char *route_find_by(struct nl *route, const struct address *dst,
			  uint32_t mark, const char *oif,
			  char dev[IF_NAMESIZE]);

#endif
