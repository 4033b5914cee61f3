/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_LINK_H
#define BHSEC_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl;
struct request;

/**
 * struct link - what any network device has
 * @is_up: it is set up
 * @mtu: the largest packet
 * @master: number of the device that it belongs to, such as a VRF, or 0
 * @is_elsewhere: its underlay is another network namespace
 */
struct link {
	bool is_up;
	uint32_t mtu;
	uint32_t master;
	bool is_elsewhere;
};

void rtnl_request(struct request *req, uint32_t buffer[64], uint16_t type,
		  const void *header, size_t len);
bool link_find(struct nl *route, uint32_t ifindex, struct link *link);

#endif
