/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DEVICE_H
#define BHSEC_DEVICE_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rhashtable.h>
#include <linux/xarray.h>
#include <net/gro_cells.h>

#include "netlink.h"
#include "peer.h"
#include "selector.h"
#include "stats.h"
#include "xfrm_ports.h"

struct bhsec_binding;
struct bhsec_port;
struct netlink_ext_ack;

/**
 * struct bhsec_settings - what "bhsec set" sets; replaced as a whole
 * @port: UDP port, host byte order
 * @ifindex: underlay device or VRF, 0 is any
 * @mark: of outer packets
 * @dscp: of outer headers, or BHSEC_DSCP_COPY
 * @df: BHSEC_DF_*
 * @window: of inbound SAs to come
 * @local4: outer IPv4 source, 0 is any
 * @local6: outer IPv6 source, :: is any
 */
struct bhsec_settings {
	u16 port;
	int ifindex;
	u32 mark;
	u8 dscp;
	u32 df;
	u32 window;
	__be32 local4;
	struct in6_addr local6;
};

/**
 * struct bhsec_device - private part of a bhsec netdev
 * @dev: the netdev
 * @underlay: RCU; netns of the outer packets, NULL once that has gone; written
 *	under rtnl and @lock
 * @list: among the devices of @underlay, under rtnl
 * @lock: serializes configuration
 * @gone: being deleted, takes no more peers; under @lock
 * @settings: RCU; written under @lock
 * @peers: by name
 * @peers_by_id: in the order of dumps, under @lock
 * @next_id: hint for @peers_by_id, under @lock
 * @generation: changes with every peer and SA, under @lock; lets a dump notice
 * @selectors: inner address -> peer
 * @ports: what decides before those
 * @port: UDP sockets, while @udp_sas is not zero; under @lock
 * @udp_sas: SAs of peers in UDP, under @lock
 * @live_sas: all SAs, under @lock
 * @binding: to an if_id, or NULL; under @lock
 * @cells: where TCP waits for NAPI, so that GRO sees it
 * @drops: those that belong to no peer
 * @limits: rate limits of events, by BHSEC_EVENT_*
 */
struct bhsec_device {
	struct net_device *dev;
	struct net __rcu *underlay;
	struct list_head list;
	struct mutex lock;
	bool gone;
	struct bhsec_settings __rcu *settings;
	struct rhashtable peers;
	struct xarray peers_by_id;
	u32 next_id;
	unsigned int generation;
	struct bhsec_selectors selectors;
	struct bhsec_ports ports;
	struct bhsec_port *port;
	unsigned int udp_sas;
	unsigned int live_sas;
	struct bhsec_binding *binding;
	struct gro_cells cells;
	struct bhsec_drops drops;
	struct bhsec_event_limit limits[BHSEC_EVENT_LIMITED];
};

bool bhsec_is_device(const struct net_device *dev);
const struct bhsec_settings *bhsec_device_settings(const struct bhsec_device *bdev);
int bhsec_device_set(struct bhsec_device *bdev,
		     const struct bhsec_settings *settings,
		     struct netlink_ext_ack *extack);
void bhsec_device_detach(struct bhsec_device *bdev);
void bhsec_device_release_routes(struct bhsec_device *bdev);
int bhsec_device_init(void);
void bhsec_device_exit(void);

#endif
