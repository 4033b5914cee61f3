/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DEVICE_H
#define BHSEC_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

/*
 * Whose addresses and routes these are, where the kernel keeps such a note: those
 * of others on the device are left alone. No other daemon of rt_protos has it.
 */
#define PROTO_BHSEC 98

/* What a device has that was told nothing else. */
#define MTU_DEFAULT 1418
#define PORT_DEFAULT 4500

struct nl;

/**
 * struct net - an address of a device, or a route to it
 * @prefix: an address may have bits set beyond the length
 * @table: of the route
 * @ours: bhsec apply made it, or is to make it
 */
struct net {
	struct prefix prefix;
	uint32_t table;
	bool ours;
};

struct nets {
	struct net *net;
	size_t count;
	size_t room;
};

/**
 * struct device - a device, as it is or as it is to be
 * @exists: if not, nothing else is known
 * @index: the kernel's number, 0 if it is to be
 * @up: it is set up
 * @mtu: in bytes
 * @vrf: number of the VRF that it is in, 0 for none
 * @if_id: what it takes keys by
 * @port: for peers that name none
 * @dscp: of outer packets
 * @addresses: sorted
 * @routes: those that lead into it, sorted
 */
struct device {
	bool exists;
	uint32_t index;
	bool up;
	uint32_t mtu;
	uint32_t vrf;
	uint32_t if_id;
	uint16_t port;
	uint8_t dscp;
	struct nets addresses;
	struct nets routes;
};

bool nets_add(struct nets *nets, const struct net *net);
void nets_sort(struct nets *nets);
int nets_compare(const struct net *a, const struct net *b);
void device_free(struct device *device);
int device_read(struct nl *route, struct nl *nl, const char *name,
		struct device *device);
uint32_t device_vrf_table(struct nl *route, uint32_t index);

#endif
