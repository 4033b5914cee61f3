/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_UNDERLAY_H
#define BHSEC_UNDERLAY_H

#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>

#include "netlink.h"
#include "stats.h"

struct bhsec_device;
struct bhsec_peer;
struct bhsec_sa;
struct bhsec_settings;
struct netlink_ext_ack;

/**
 * struct bhsec_net - what bhsec keeps of a netns that is an underlay, or was
 * @inbound: SPI -> inbound SA
 * @ports: UDP ports in use, under @lock
 * @lock: serializes @ports and @bindings
 * @devices: bhsec devices made here, under rtnl; at the end those that stay
 * @bindings: of devices to if_ids; RCU, written under @lock
 * @retry: has them all look again at what they have refused
 * @transforms: keyed transforms of SAs; the netns waits for the last one
 * @no_sa: datagrams that belong to no SA, without their bytes
 * @limit: rate limit of events that belong to no SA
 * @ending: among those whose netns end with this one
 */
struct bhsec_net {
	struct rhashtable inbound;
	struct list_head ports;
	struct mutex lock;
	struct list_head devices;
	struct list_head bindings;
	struct delayed_work retry;
	atomic_t transforms;
	struct bhsec_traffic __percpu *no_sa;
	struct bhsec_event_limit limit;
	struct list_head ending;
};

/* The reason that a device gives once its underlay has gone. */
#define BHSEC_UNDERLAY_GONE "the underlay's network namespace is gone"

struct bhsec_net *bhsec_net(const struct net *net);
int bhsec_net_add_device(struct net *net, struct bhsec_device *bdev);
struct bhsec_sa *bhsec_underlay_find(const struct net *net, __be32 spi);
bool bhsec_underlay_any_sent(const u8 *esp);
struct bhsec_sa *bhsec_underlay_sender(const struct net *net, __be32 spi,
				       const void *addr, bool is_ipv6);

int bhsec_underlay_publish(struct net *net, struct bhsec_sa *sa,
			   struct netlink_ext_ack *extack);
void bhsec_underlay_unpublish(struct net *net, struct bhsec_sa *sa);
void bhsec_underlay_peer_moved(struct bhsec_peer *peer);
int bhsec_underlay_net_tables_init(struct bhsec_net *bnet);
void bhsec_underlay_net_tables_exit(struct bhsec_net *bnet);
int bhsec_underlay_tables_init(void);
void bhsec_underlay_tables_exit(void);

int bhsec_underlay_attach(struct bhsec_device *bdev, struct bhsec_sa *sa,
			  struct netlink_ext_ack *extack);
void bhsec_underlay_detach(struct bhsec_device *bdev, struct bhsec_sa *sa);
int bhsec_port_move(struct bhsec_device *bdev,
		    const struct bhsec_settings *settings,
		    struct netlink_ext_ack *extack);
int bhsec_port_door(const struct bhsec_device *bdev, bool is_ipv6);

int bhsec_underlay_init(void);
void bhsec_underlay_exit(void);

#endif
