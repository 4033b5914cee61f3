/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ROUTE_H
#define BHSEC_ROUTE_H

#include <net/if.h>

#include "address.h"

const char *route_find(const struct address *src, const struct address *dst,
		       uint8_t dscp, char dev[IF_NAMESIZE]);

#endif
