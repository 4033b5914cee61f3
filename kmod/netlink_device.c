// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink requests about devices.
 */
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "netlink.h"
#include "netlink_room.h"
#include "underlay.h"
#include "xfrm_bind.h"

/* Of a dump, held at once; a message has room for about as many. */
#define DUMP_AT_ONCE 32

static struct bhsec_device *device_of(struct genl_info *info)
{
	return bhsec_nl_device(genl_info_net(info),
			       info->attrs[BHSEC_A_DEVICE_IFINDEX],
			       info->attrs[BHSEC_A_DEVICE_IFNAME], info->extack);
}

static int put_underlay(struct sk_buff *msg, struct bhsec_device *bdev, u32 lacks)
{
	struct net *underlay;
	struct net_device *dev;
	int ifindex = bhsec_device_settings(bdev)->ifindex;
	u64 no_sa[2] = {};
	int err = 0;

	underlay = rcu_dereference_protected(bdev->underlay,
					     lockdep_is_held(&bdev->lock));
	if (!underlay)
		return nla_put_string(msg, BHSEC_A_DEVICE_REASON,
				      BHSEC_UNDERLAY_GONE);
	bhsec_traffic_sum(bhsec_net(underlay)->no_sa, no_sa);
	if (nla_put_u64_64bit(msg, BHSEC_A_DEVICE_NO_SA, no_sa[0],
			      BHSEC_A_DEVICE_PAD))
		return -EMSGSIZE;
	if (!ifindex)
		return 0;
	dev = dev_get_by_index(underlay, ifindex);
	if (!dev)
		return nla_put_string(msg, BHSEC_A_DEVICE_REASON,
				      "the underlay device is gone");
	if (!(lacks & BHSEC_PRIVILEGE_UNDERLAY))
		err = nla_put_string(msg, BHSEC_A_DEVICE_DEV, dev->name);
	dev_put(dev);
	return err;
}

static int put_doors(struct sk_buff *msg, struct bhsec_device *bdev)
{
	int door4 = bhsec_port_door(bdev, false);
	int door6 = bhsec_port_door(bdev, true);

	return (door4 >= 0 && nla_put_u32(msg, BHSEC_A_DEVICE_DOOR4, door4)) ||
	       (door6 >= 0 && nla_put_u32(msg, BHSEC_A_DEVICE_DOOR6, door6)) ?
	       -EMSGSIZE : 0;
}

static unsigned int count_peers(struct bhsec_device *bdev)
{
	return atomic_read(&bdev->peers.nelems);
}

/**
 * bhsec_nl_put_device - put a device into a message
 * @msg: the message
 * @object: the device
 * @lacks: BHSEC_PRIVILEGE_* that the reader has not
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_nl_put_device(struct sk_buff *msg, void *object, u32 lacks)
{
	struct bhsec_device *bdev = object;
	const struct bhsec_settings *settings = bhsec_device_settings(bdev);
	u64 sums[BHSEC_COUNTERS] = {};

	if (nla_put_u32(msg, BHSEC_A_DEVICE_IFINDEX, bdev->dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_DEVICE_IFNAME, bdev->dev->name) ||
	    nla_put_u16(msg, BHSEC_A_DEVICE_PORT, settings->port) ||
	    (lacks && nla_put_u32(msg, BHSEC_A_DEVICE_WITHHELD, lacks)) ||
	    (!(lacks & BHSEC_PRIVILEGE_UNDERLAY) &&
	     nla_put_u32(msg, BHSEC_A_DEVICE_FWMARK, settings->mark)) ||
	    nla_put_u8(msg, BHSEC_A_DEVICE_DSCP, settings->dscp) ||
	    nla_put_u32(msg, BHSEC_A_DEVICE_DF, settings->df) ||
	    nla_put_u32(msg, BHSEC_A_DEVICE_WINDOW, settings->window) ||
	    nla_put_u32(msg, BHSEC_A_DEVICE_PEERS, count_peers(bdev)) ||
	    (settings->local4 &&
	     nla_put_in_addr(msg, BHSEC_A_DEVICE_LOCAL4, settings->local4)) ||
	    (!ipv6_addr_any(&settings->local6) &&
	     nla_put_in6_addr(msg, BHSEC_A_DEVICE_LOCAL6, &settings->local6)))
		return -EMSGSIZE;
	if (put_underlay(msg, bdev, lacks) || put_doors(msg, bdev) ||
	    bhsec_binding_put_nl(msg, bdev->binding,
				 !(lacks & BHSEC_PRIVILEGE_DEVICE)))
		return -EMSGSIZE;
	bhsec_drops_sum(&bdev->drops, sums);
	return bhsec_nl_put_stats(msg, BHSEC_A_DEVICE_STATS, sums);
}

/**
 * bhsec_nl_dev_get - BHSEC_CMD_DEV_GET for one device
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_dev_get(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_device *bdev;
	int err;

	bdev = device_of(info);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	err = bhsec_nl_reply(info, bhsec_nl_put_device, bdev,
			     bhsec_nl_lacks(bdev, skb));
	bhsec_nl_device_put(bdev);
	return err;
}

static int dump_device(struct sk_buff *msg, struct netlink_callback *cb,
		       struct bhsec_device *bdev)
{
	void *header = bhsec_nl_dump_header(msg, cb, BHSEC_CMD_DEV_GET);

	if (!header)
		return -EMSGSIZE;
	if (bhsec_nl_put_device(msg, bdev, bhsec_nl_lacks(bdev, cb->skb))) {
		genlmsg_cancel(msg, header);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, header);
	return 0;
}

/*
 * The next devices of a dump, held. rtnl is for the list alone: others would wait
 * for it as long as a device's lock is taken.
 */
static unsigned int hold_devices(struct net *net, struct netlink_callback *cb,
				 struct net_device **devs, unsigned int room)
{
	struct net_device *dev;
	unsigned int count = 0;
	int index = 0;

	rtnl_lock();
	cb->seq = net->dev_base_seq ?: 1;
	for_each_netdev(net, dev) {
		if (!bhsec_is_device(dev) || index++ < cb->args[0])
			continue;
		if (count == room)
			break;
		dev_hold(dev);
		devs[count++] = dev;
	}
	rtnl_unlock();
	return count;
}

/* As many as there is room for in the message. */
static int dump_devices(struct sk_buff *msg, struct netlink_callback *cb,
			struct net_device **devs, unsigned int count)
{
	struct bhsec_device *bdev;
	unsigned int i;
	int err = 0;

	for (i = 0; i < count; i++) {
		bdev = netdev_priv(devs[i]);
		if (!err) {
			mutex_lock(&bdev->lock);
			if (!bdev->gone)
				err = dump_device(msg, cb, bdev);
			mutex_unlock(&bdev->lock);
		}
		dev_put(devs[i]);
		if (!err)
			cb->args[0]++;
	}
	return err;
}

/**
 * bhsec_nl_dev_dump - BHSEC_CMD_DEV_GET for all devices of a netns
 * @msg: where the next ones go
 * @cb: the dump; args[0] is the number of the one to go on from
 *
 * Return: bytes in @msg, 0 at the end, or a negative error.
 */
int bhsec_nl_dev_dump(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct net_device *devs[DUMP_AT_ONCE];
	unsigned int count;
	int err;

	do {
		count = hold_devices(sock_net(msg->sk), cb, devs, DUMP_AT_ONCE);
		err = dump_devices(msg, cb, devs, count);
	} while (!err && count == DUMP_AT_ONCE);
	return msg->len;
}

/* The source of outer packets; none given is none changed, zero is any. */
static int parse_local(const struct nlattr *attr, void *addr, bool is_ipv6,
		       struct netlink_ext_ack *extack)
{
	if (!attr)
		return 0;
	if (memchr_inv(nla_data(attr), 0, nla_len(attr)) &&
	    !bhsec_endpoint_is_unicast(nla_data(attr), is_ipv6)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "a local address is a unicast address, or zero for any");
		return -EINVAL;
	}
	memcpy(addr, nla_data(attr), nla_len(attr));
	return 0;
}

static int parse_settings(struct bhsec_device *bdev, struct genl_info *info,
			  struct bhsec_settings *settings)
{
	struct nlattr **attrs = info->attrs;
	int err;

	if (attrs[BHSEC_A_DEVICE_PORT])
		settings->port = nla_get_u16(attrs[BHSEC_A_DEVICE_PORT]);
	if (attrs[BHSEC_A_DEVICE_FWMARK])
		settings->mark = nla_get_u32(attrs[BHSEC_A_DEVICE_FWMARK]);
	if (attrs[BHSEC_A_DEVICE_DSCP])
		settings->dscp = nla_get_u8(attrs[BHSEC_A_DEVICE_DSCP]);
	if (attrs[BHSEC_A_DEVICE_DF])
		settings->df = nla_get_u32(attrs[BHSEC_A_DEVICE_DF]);
	if (attrs[BHSEC_A_DEVICE_WINDOW])
		settings->window = nla_get_u32(attrs[BHSEC_A_DEVICE_WINDOW]);
	err = parse_local(attrs[BHSEC_A_DEVICE_LOCAL4], &settings->local4, false,
			  info->extack);
	if (!err)
		err = parse_local(attrs[BHSEC_A_DEVICE_LOCAL6], &settings->local6,
				  true, info->extack);
	if (err || !attrs[BHSEC_A_DEVICE_DEV])
		return err;
	settings->ifindex = 0;
	if (!*(const char *)nla_data(attrs[BHSEC_A_DEVICE_DEV]))
		return 0;
	return bhsec_nl_underlay_dev(bdev, attrs[BHSEC_A_DEVICE_DEV],
				     &settings->ifindex, info->extack);
}

/* Those that choose how outer packets travel. */
static const u8 underlay_attrs[] = {
	BHSEC_A_DEVICE_PORT, BHSEC_A_DEVICE_DEV, BHSEC_A_DEVICE_FWMARK,
	BHSEC_A_DEVICE_LOCAL4, BHSEC_A_DEVICE_LOCAL6, BHSEC_A_DEVICE_IF_ID,
};

static int check_dev_set(struct bhsec_device *bdev, struct sk_buff *skb,
			 struct genl_info *info)
{
	struct nlattr *attr;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(underlay_attrs); i++) {
		attr = info->attrs[underlay_attrs[i]];
		err = attr ? bhsec_nl_underlay_allowed(bdev, skb, attr,
						       info->extack) : 0;
		if (err)
			return err;
	}
	attr = info->attrs[BHSEC_A_DEVICE_PORT];
	if (attr && bdev->live_sas &&
	    nla_get_u16(attr) != bhsec_device_settings(bdev)->port) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "the port cannot change while the device has SAs");
		return -EBUSY;
	}
	return 0;
}

/* The new binding; NULL for none, or for no change. */
static int parse_binding(struct bhsec_device *bdev, struct genl_info *info,
			 struct bhsec_binding **binding)
{
	const struct nlattr *if_id = info->attrs[BHSEC_A_DEVICE_IF_ID];
	const struct nlattr *shared = info->attrs[BHSEC_A_DEVICE_SHARED];
	struct bhsec_binding *new;

	if (!if_id && shared) {
		NL_SET_ERR_MSG_ATTR(info->extack, shared,
				    "it is an if-id that is shared");
		return -EINVAL;
	}
	if (!if_id || !nla_get_u32(if_id))
		return 0;
	new = bhsec_binding_make(bdev, nla_get_u32(if_id),
				 shared && nla_get_u8(shared), info->extack);
	if (IS_ERR(new)) {
		NL_SET_BAD_ATTR(info->extack, if_id);
		return PTR_ERR(new);
	}
	*binding = new;
	return 0;
}

/**
 * bhsec_nl_dev_set - BHSEC_CMD_DEV_SET
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_dev_set(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_binding *binding = NULL;
	struct bhsec_settings settings;
	struct bhsec_device *bdev;
	int err;

	bdev = device_of(info);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	settings = *bhsec_device_settings(bdev);
	err = check_dev_set(bdev, skb, info);
	if (!err)
		err = parse_settings(bdev, info, &settings);
	if (!err)
		err = parse_binding(bdev, info, &binding);
	if (!err)
		err = bhsec_device_set(bdev, &settings, info->extack);
	if (err)
		bhsec_binding_end(binding);
	else if (info->attrs[BHSEC_A_DEVICE_IF_ID])
		bhsec_binding_set(bdev, binding);
	if (!err)
		bhsec_notify_device(bdev);
	bhsec_nl_device_put(bdev);
	return err;
}
