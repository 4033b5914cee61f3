/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_CHANGE_H
#define BHSEC_CHANGE_H

#include "device.h"

/**
 * enum change_of - what of a device differs, in the order in which it is made
 * @CHANGE_DEVICE: it is there or not
 * @CHANGE_IF_ID: what it takes keys by
 * @CHANGE_PORT: of peers that name none
 * @CHANGE_DSCP: of outer packets
 * @CHANGE_MTU: bytes
 * @CHANGE_VRF: the VRF that it is in
 * @CHANGE_UP: whether it is set up
 * @CHANGE_ADDRESS: an address
 * @CHANGE_ROUTE: a route
 */
enum change_of {
	CHANGE_DEVICE,
	CHANGE_IF_ID,
	CHANGE_PORT,
	CHANGE_DSCP,
	CHANGE_MTU,
	CHANGE_VRF,
	CHANGE_UP,
	CHANGE_ADDRESS,
	CHANGE_ROUTE,
};

/**
 * struct change - one difference
 * @of: what differs
 * @from: value that there is, or 0 if it comes
 * @to: value that is to be, or 0 if it goes
 * @net: the address or route, NULL else
 */
struct change {
	enum change_of of;
	uint32_t from;
	uint32_t to;
	const struct net *net;
};

typedef int change_fn(void *data, const struct change *change);

int changes(const struct device *have, const struct device *want, change_fn *act,
	    void *data);
void change_print(const char *name, const struct change *change);
int changes_make(struct nl *route, struct nl *nl, const char *name,
		 const struct device *want);

#endif
