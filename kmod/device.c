// SPDX-License-Identifier: GPL-2.0
/*
 * The netdev: its life and its settings.
 */
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <net/ip.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/rtnetlink.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "outer.h"
#include "sa.h"
#include "segment.h"
#include "underlay.h"
#include "xfrm_bind.h"
#include "xmit.h"

/* Fits every AEAD and encapsulation over IPv6 at 1500. */
#define MTU_DEFAULT 1418
/* Room for IPv6, UDP and ESP in an IP datagram. */
#define MTU_MAX (IP_MAX_MTU - 128)

/* Of a datagram over IPv4 that leaves with others. */
#define HEADROOM (48 + BHSEC_OUTER_BELOW)
/* Padding, its length, next header and ICV of every AEAD. */
#define TAILROOM (3 + 2 + 16)

#define FEATURES (NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM | \
		  NETIF_F_HIGHDMA | BHSEC_SEGMENT_FEATURES)

static const struct net_device_ops bhsec_netdev_ops;

/**
 * bhsec_is_device - is a netdev one of ours
 * @dev: the netdev
 *
 * Return: true if so.
 */
bool bhsec_is_device(const struct net_device *dev)
{
	return dev->netdev_ops == &bhsec_netdev_ops;
}

/**
 * bhsec_device_settings - what is set now
 * @bdev: the device
 *
 * Context: the device's lock is held; packets use rcu_dereference().
 * Return: the settings.
 */
const struct bhsec_settings *bhsec_device_settings(const struct bhsec_device *bdev)
{
	return rcu_dereference_protected(bdev->settings,
					 lockdep_is_held(&bdev->lock));
}

/**
 * bhsec_device_set - new settings for a device
 * @bdev: the device
 * @settings: all of them; copied
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; nothing has changed then.
 */
int bhsec_device_set(struct bhsec_device *bdev,
		     const struct bhsec_settings *settings,
		     struct netlink_ext_ack *extack)
{
	struct bhsec_settings *old, *new;
	struct bhsec_peer *peer;
	unsigned long id;
	int err;

	lockdep_assert_held(&bdev->lock);
	new = kmemdup(settings, sizeof(*settings), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	err = bhsec_port_move(bdev, settings, extack);
	if (err) {
		kfree(new);
		return err;
	}
	old = rcu_replace_pointer(bdev->settings, new,
				  lockdep_is_held(&bdev->lock));
	synchronize_net();
	kfree(old);
	xa_for_each(&bdev->peers_by_id, id, peer)
		bhsec_endpoint_forget_route(peer);
	return 0;
}

/*
 * Not netif_carrier_off(): that would put a qdisc in front which drops
 * everything uncounted. Packets are to be no_route.
 */
static void take_carrier(struct net_device *dev)
{
	set_bit(__LINK_STATE_NOCARRIER, &dev->state);
	netdev_state_change(dev);
}

/**
 * bhsec_device_detach - the netns of a device's underlay goes
 * @bdev: the device; it stays, but is good for deletion only
 *
 * Context: may sleep; rtnl is held. After a grace period no packet looks for a
 * route any more, and they are to be released.
 */
void bhsec_device_detach(struct bhsec_device *bdev)
{
	struct bhsec_peer *peer;
	unsigned long id;

	ASSERT_RTNL();
	take_carrier(bdev->dev);
	mutex_lock(&bdev->lock);
	bhsec_binding_set(bdev, NULL);
	xa_for_each(&bdev->peers_by_id, id, peer)
		bhsec_peer_drop_sas(peer);
	rcu_assign_pointer(bdev->underlay, NULL);
	mutex_unlock(&bdev->lock);
}

/**
 * bhsec_device_release_routes - let go of the underlay's routes
 * @bdev: the device, a grace period after bhsec_device_detach()
 *
 * Context: may sleep; rtnl is held.
 */
void bhsec_device_release_routes(struct bhsec_device *bdev)
{
	struct bhsec_peer *peer;
	unsigned long id;

	mutex_lock(&bdev->lock);
	xa_for_each(&bdev->peers_by_id, id, peer)
		bhsec_endpoint_forget_route(peer);
	bhsec_notify_device(bdev);
	mutex_unlock(&bdev->lock);
}

static int bhsec_dev_init(struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	struct net *underlay = rtnl_dereference(bdev->underlay);
	int err;

	err = gro_cells_init(&bdev->cells, dev);
	if (err)
		return err;
	err = bhsec_net_add_device(underlay, bdev);
	if (err)
		gro_cells_destroy(&bdev->cells);
	return err;
}

static void bhsec_dev_uninit(struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	struct bhsec_peer *peer;
	unsigned long id;

	mutex_lock(&bdev->lock);
	bdev->gone = true;
	bhsec_binding_set(bdev, NULL);
	xa_for_each(&bdev->peers_by_id, id, peer)
		bhsec_peer_del(peer);
	mutex_unlock(&bdev->lock);
	list_del_init(&bdev->list);
	gro_cells_destroy(&bdev->cells);
}

/*
 * The kernel gives a device that comes up a queue only while there is a carrier,
 * and has one without drop everything uncounted. So where the underlay is gone
 * there is one until the device is up.
 */
static int bhsec_dev_open(struct net_device *dev)
{
	clear_bit(__LINK_STATE_NOCARRIER, &dev->state);
	return 0;
}

/*
 * What the stack would say on a tunnel by itself: router solicitations and
 * multicast reports that no peer owns, and redirects to peers that have no
 * other way (RFC 1812 5.2.7.2). Its own netns is new to a device that moves.
 */
static void be_silent(struct net_device *dev)
{
	struct in_device *in4 = __in_dev_get_rtnl(dev);
	struct inet6_dev *in6 = __in6_dev_get(dev);

	if (in4) {
		/* one of the two switches is enough to have them sent */
		IN_DEV_CONF_SET(in4, SEND_REDIRECTS, false);
		IPV4_DEVCONF_ALL(dev_net(dev), SEND_REDIRECTS) = false;
	}
	if (in6)
		in6->cnf.addr_gen_mode = IN6_ADDR_GEN_MODE_NONE;
}

static int bhsec_netdev_event(struct notifier_block *block, unsigned long event,
			      void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);
	struct bhsec_device *bdev;

	if (!bhsec_is_device(dev))
		return NOTIFY_DONE;
	bdev = netdev_priv(dev);
	if (event == NETDEV_REGISTER)
		be_silent(dev);
	else if (event == NETDEV_UP && !rtnl_dereference(bdev->underlay))
		take_carrier(dev);
	return NOTIFY_DONE;
}

static struct notifier_block netdev_notifier = {
	.notifier_call = bhsec_netdev_event,
};

static const struct net_device_ops bhsec_netdev_ops = {
	.ndo_init = bhsec_dev_init,
	.ndo_open = bhsec_dev_open,
	.ndo_uninit = bhsec_dev_uninit,
	.ndo_start_xmit = bhsec_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
};

static const struct device_type bhsec_device_type = { .name = KBUILD_MODNAME };

static void bhsec_free(struct bhsec_device *bdev)
{
	kfree(rcu_dereference_protected(bdev->settings, 1));
	bhsec_free_tstats(bdev->dev);
	rhashtable_destroy(&bdev->peers);
	xa_destroy(&bdev->peers_by_id);
}

/* All references are gone, those of packets in a cipher too. */
static void bhsec_destructor(struct net_device *dev)
{
	bhsec_free(netdev_priv(dev));
}

static void bhsec_setup(struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	unsigned int i;

	dev->netdev_ops = &bhsec_netdev_ops;
	dev->header_ops = &ip_tunnel_header_ops;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_POINTOPOINT | IFF_NOARP;
	/* netpoll sends in any context, with interrupts off, too */
	dev->priv_flags |= IFF_NO_QUEUE | IFF_DISABLE_NETPOLL;
	bhsec_set_lltx(dev);
	dev->features |= FEATURES;
	dev->hw_features |= FEATURES;
	dev->mtu = MTU_DEFAULT;
	dev->min_mtu = IPV4_MIN_MTU;
	dev->max_mtu = MTU_MAX;
	/* so that what this host sends over IPv4 can be sealed where it lies */
	dev->needed_headroom = HEADROOM;
	dev->needed_tailroom = TAILROOM;
	dev->needs_free_netdev = true;
	SET_NETDEV_DEVTYPE(dev, &bhsec_device_type);
	/* ICMP errors to the sender need the route of the inner packet */
	netif_keep_dst(dev);

	bdev->dev = dev;
	INIT_LIST_HEAD(&bdev->list);
	mutex_init(&bdev->lock);
	xa_init_flags(&bdev->peers_by_id, XA_FLAGS_ALLOC1);
	for (i = 0; i < ARRAY_SIZE(bdev->limits); i++)
		bhsec_event_limit_init(&bdev->limits[i]);
}

static const struct bhsec_settings default_settings = {
	.port = 4500,
	.dscp = BHSEC_DSCP_COPY,
	.df = BHSEC_DF_SET,
	.window = 4096,
};

static int bhsec_create(struct net *underlay, struct net_device *dev)
{
	struct bhsec_device *bdev = netdev_priv(dev);
	struct bhsec_settings *settings;
	int err;

	settings = kmemdup(&default_settings, sizeof(default_settings),
			   GFP_KERNEL_ACCOUNT);
	if (!settings)
		return -ENOMEM;
	RCU_INIT_POINTER(bdev->settings, settings);
	RCU_INIT_POINTER(bdev->underlay, underlay);
	err = rhashtable_init(&bdev->peers, &bhsec_peer_table_params);
	if (err)
		goto free_settings;
	err = bhsec_alloc_tstats(dev);
	if (err)
		goto destroy_peers;
	err = register_netdevice(dev);
	if (err)
		goto free_tstats;
	dev->priv_destructor = bhsec_destructor;
	return 0;

free_tstats:
	bhsec_free_tstats(dev);
destroy_peers:
	rhashtable_destroy(&bdev->peers);
free_settings:
	kfree(settings);
	return err;
}

static int bhsec_newlink(BHSEC_NEWLINK_ARGS)
{
	return bhsec_create(BHSEC_NEWLINK_NET, dev);
}

/* A device may have moved: "ip -d link" says where its datagrams leave. */
static struct net *bhsec_link_net(const struct net_device *dev)
{
	const struct bhsec_device *bdev = netdev_priv(dev);

	return rcu_dereference_rtnl(bdev->underlay) ?: dev_net(dev);
}

static struct rtnl_link_ops bhsec_link_ops __read_mostly = {
	.kind = KBUILD_MODNAME,
	.priv_size = sizeof(struct bhsec_device),
	.setup = bhsec_setup,
	.newlink = bhsec_newlink,
	.get_link_net = bhsec_link_net,
};

/**
 * bhsec_device_init - let iproute2 make bhsec devices
 *
 * Return: 0 or a negative error.
 */
int bhsec_device_init(void)
{
	int err;

	err = register_netdevice_notifier(&netdev_notifier);
	if (err)
		return err;
	err = rtnl_link_register(&bhsec_link_ops);
	if (err)
		unregister_netdevice_notifier(&netdev_notifier);
	return err;
}

/**
 * bhsec_device_exit - delete all bhsec devices
 *
 * Context: may sleep, as long as packets are in a cipher.
 */
void bhsec_device_exit(void)
{
	rtnl_link_unregister(&bhsec_link_ops);
	unregister_netdevice_notifier(&netdev_notifier);
}

MODULE_ALIAS_RTNL_LINK(KBUILD_MODNAME);
