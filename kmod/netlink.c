// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink family: what it takes, and the requests about devices.
 */
#include <linux/capability.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/genetlink.h>

#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "netlink_room.h"
#include "sa.h"
#include "underlay.h"

/*
 * The generator's own policies need split operations, which 6.1 has not; a
 * selftest compares these with bhsec.yaml.
 */
static struct netlink_range_validation window_range = {
	.min = 1,
	.max = BHSEC_WINDOW_MAX,
};

static const struct nla_policy device_policy[] = {
	[BHSEC_A_DEVICE_IFINDEX] = { .type = NLA_U32 },
	[BHSEC_A_DEVICE_IFNAME] = { .type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1 },
	[BHSEC_A_DEVICE_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[BHSEC_A_DEVICE_DEV] = { .type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1 },
	[BHSEC_A_DEVICE_FWMARK] = { .type = NLA_U32 },
	[BHSEC_A_DEVICE_DSCP] = NLA_POLICY_MAX(NLA_U8, BHSEC_DSCP_COPY),
	[BHSEC_A_DEVICE_DF] = NLA_POLICY_MAX(NLA_U32, BHSEC_DF_CLEAR),
	[BHSEC_A_DEVICE_LOCAL4] = NLA_POLICY_EXACT_LEN(4),
	[BHSEC_A_DEVICE_LOCAL6] = NLA_POLICY_EXACT_LEN(16),
	[BHSEC_A_DEVICE_WINDOW] = NLA_POLICY_FULL_RANGE(NLA_U32, &window_range),
	[BHSEC_A_DEVICE_IF_ID] = { .type = NLA_U32 },
	[BHSEC_A_DEVICE_SHARED] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct nla_policy prefix_policy[] = {
	[BHSEC_A_PREFIX_ADDR] = { .type = NLA_BINARY, .len = 16 },
	[BHSEC_A_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
};

static const struct nla_policy prefix_list_policy[] = {
	[BHSEC_A_PREFIX_LIST_PREFIX] = NLA_POLICY_NESTED(prefix_policy),
};

static const struct nla_policy peer_policy[] = {
	[BHSEC_A_PEER_IFINDEX] = { .type = NLA_U32 },
	[BHSEC_A_PEER_IFNAME] = { .type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1 },
	[BHSEC_A_PEER_NAME] = { .type = NLA_NUL_STRING, .len = BHSEC_NAME_MAX },
	[BHSEC_A_PEER_ENDPOINT_ADDR] = { .type = NLA_BINARY, .len = 16 },
	[BHSEC_A_PEER_ENDPOINT_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[BHSEC_A_PEER_ENDPOINT_DEV] = {
		.type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1,
	},
	[BHSEC_A_PEER_ENCAP] = NLA_POLICY_MAX(NLA_U32, BHSEC_ENCAP_ESP),
	[BHSEC_A_PEER_SELECTORS] = NLA_POLICY_NESTED(prefix_list_policy),
	[BHSEC_A_PEER_LOCAL_SELECTORS] = NLA_POLICY_NESTED(prefix_list_policy),
	[BHSEC_A_PEER_ROAM] = NLA_POLICY_MAX(NLA_U8, 1),
	[BHSEC_A_PEER_KEEPALIVE] = { .type = NLA_U16 },
	[BHSEC_A_PEER_ENTROPY] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct nla_policy sa_policy[] = {
	[BHSEC_A_SA_IFINDEX] = { .type = NLA_U32 },
	[BHSEC_A_SA_IFNAME] = { .type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1 },
	[BHSEC_A_SA_PEER] = { .type = NLA_NUL_STRING, .len = BHSEC_NAME_MAX },
	[BHSEC_A_SA_DIRECTION] = NLA_POLICY_MAX(NLA_U32, BHSEC_DIRECTION_OUT),
	[BHSEC_A_SA_SPI] = NLA_POLICY_MIN(NLA_U32, 256),
	[BHSEC_A_SA_CIPHER] = NLA_POLICY_MAX(NLA_U32, BHSEC_CIPHER_NULL_SHA256),
	[BHSEC_A_SA_KEY] = { .type = NLA_BINARY, .len = BHSEC_KEY_MAX },
	[BHSEC_A_SA_ESN] = NLA_POLICY_MAX(NLA_U8, 1),
	[BHSEC_A_SA_WINDOW] = NLA_POLICY_FULL_RANGE(NLA_U32, &window_range),
	[BHSEC_A_SA_DSCP_MASK] = { .type = NLA_U64 },
	[BHSEC_A_SA_SEQ] = { .type = NLA_U64 },
	[BHSEC_A_SA_SOFT_PACKETS] = { .type = NLA_U64 },
	[BHSEC_A_SA_HARD_PACKETS] = { .type = NLA_U64 },
	[BHSEC_A_SA_SOFT_BYTES] = { .type = NLA_U64 },
	[BHSEC_A_SA_HARD_BYTES] = { .type = NLA_U64 },
	[BHSEC_A_SA_SOFT_SECONDS] = { .type = NLA_U64 },
	[BHSEC_A_SA_HARD_SECONDS] = { .type = NLA_U64 },
};

static struct netlink_range_validation size_range = {
	.max = U16_MAX,
};

static const struct nla_policy way_policy[] = {
	[BHSEC_A_WAY_IFINDEX] = { .type = NLA_U32 },
	[BHSEC_A_WAY_IFNAME] = { .type = NLA_NUL_STRING, .len = ALTIFNAMSIZ - 1 },
	[BHSEC_A_WAY_SRC] = { .type = NLA_BINARY, .len = 16 },
	[BHSEC_A_WAY_DST] = { .type = NLA_BINARY, .len = 16 },
	[BHSEC_A_WAY_PROTOCOL] = { .type = NLA_U8 },
	[BHSEC_A_WAY_DPORT] = { .type = NLA_U16 },
	[BHSEC_A_WAY_DSCP] = NLA_POLICY_MAX(NLA_U8, 63),
	[BHSEC_A_WAY_SIZE] = NLA_POLICY_FULL_RANGE(NLA_U32, &size_range),
};

/**
 * bhsec_nl_device - the device that a request is about, locked
 * @net: netns of the caller
 * @ifindex: attribute or NULL
 * @ifname: attribute or NULL
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; takes the device's lock and a reference.
 * Return: the device, for bhsec_nl_device_put(), or an ERR_PTR.
 */
struct bhsec_device *bhsec_nl_device(struct net *net,
				     const struct nlattr *ifindex,
				     const struct nlattr *ifname,
				     struct netlink_ext_ack *extack)
{
	const struct nlattr *attr = ifname ?: ifindex;
	struct net_device *dev = NULL;
	struct bhsec_device *bdev;

	if (!attr) {
		NL_SET_ERR_MSG(extack, "a device is needed");
		return ERR_PTR(-EINVAL);
	}
	if (ifname)
		dev = dev_get_by_name(net, nla_data(ifname));
	else
		dev = dev_get_by_index(net, nla_get_u32(ifindex));
	if (!dev) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "no such device");
		return ERR_PTR(-ENODEV);
	}
	if (!bhsec_is_device(dev)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "not a bhsec device");
		dev_put(dev);
		return ERR_PTR(-EOPNOTSUPP);
	}
	bdev = netdev_priv(dev);
	mutex_lock(&bdev->lock);
	if (bdev->gone) {
		bhsec_nl_device_put(bdev);
		NL_SET_ERR_MSG_ATTR(extack, attr, "the device is being deleted");
		return ERR_PTR(-ENODEV);
	}
	return bdev;
}

/**
 * bhsec_nl_device_put - the reverse of bhsec_nl_device()
 * @bdev: the device
 */
void bhsec_nl_device_put(struct bhsec_device *bdev)
{
	mutex_unlock(&bdev->lock);
	dev_put(bdev->dev);
}

/**
 * bhsec_nl_by_hand - is a peer the caller's to change
 * @peer: the peer; what a daemon has made it also changes and deletes
 * @attr: its name
 * @extack: for the sentence of a refusal
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_by_hand(const struct bhsec_peer *peer, const struct nlattr *attr,
		     struct netlink_ext_ack *extack)
{
	if (!peer->bound)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr,
			    "an IKE daemon keys this peer: change it there");
	return -EBUSY;
}

/**
 * bhsec_nl_underlay_allowed - may the caller decide about outer packets
 * @bdev: the device, locked
 * @skb: the request
 * @attr: the attribute that needs it
 * @extack: for the sentence of a refusal
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_underlay_allowed(struct bhsec_device *bdev, struct sk_buff *skb,
			      const struct nlattr *attr,
			      struct netlink_ext_ack *extack)
{
	struct net *underlay;

	underlay = rcu_dereference_protected(bdev->underlay,
					     lockdep_is_held(&bdev->lock));
	if (!underlay) {
		NL_SET_ERR_MSG_ATTR(extack, attr, BHSEC_UNDERLAY_GONE);
		return -ENODEV;
	}
	if (netlink_ns_capable(skb, underlay->user_ns, CAP_NET_ADMIN))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr,
			    "this needs CAP_NET_ADMIN in the underlay's network namespace");
	return -EPERM;
}

/**
 * bhsec_nl_lacks - what a reader may not be told
 * @bdev: the device, locked
 * @request: the reader's
 *
 * Return: BHSEC_PRIVILEGE_* that the reader has not.
 */
u32 bhsec_nl_lacks(struct bhsec_device *bdev, struct sk_buff *request)
{
	u32 lacks = 0;

	if (!netlink_net_capable(request, CAP_NET_ADMIN))
		lacks |= BHSEC_PRIVILEGE_DEVICE;
	/* what was underneath and has gone has no secrets */
	if (bhsec_nl_underlay_allowed(bdev, request, NULL, NULL) == -EPERM)
		lacks |= BHSEC_PRIVILEGE_UNDERLAY;
	return lacks;
}

/**
 * bhsec_nl_put_stats - put counters into a message
 * @msg: the message
 * @attr: attribute of the nest
 * @sums: the counters, by netlink attribute
 *
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_nl_put_stats(struct sk_buff *msg, int attr, const u64 *sums)
{
	struct nlattr *nest = nla_nest_start(msg, attr);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = BHSEC_A_STATS_RX_PACKETS; i <= BHSEC_A_STATS_MAX; i++)
		if (nla_put_u64_64bit(msg, i, sums[i], BHSEC_A_STATS_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/**
 * bhsec_nl_reply - answer a request with one object
 * @info: the request
 * @put: puts the object into the message
 * @object: the object
 * @lacks: BHSEC_PRIVILEGE_* that who asks has not
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_reply(struct genl_info *info, bhsec_nl_put_t *put, void *object,
		   u32 lacks)
{
	struct sk_buff *msg = nlmsg_new(BHSEC_NL_OBJECT_MAX, GFP_KERNEL);
	void *header;

	if (!msg)
		return -ENOMEM;
	header = genlmsg_put_reply(msg, info, &bhsec_nl_family, 0,
				   info->genlhdr->cmd);
	if (!header || put(msg, object, lacks)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, header);
	return genlmsg_reply(msg, info);
}

/**
 * bhsec_nl_underlay_dev - a device of the underlay, by its name
 * @bdev: whose underlay; it has not gone
 * @attr: the name
 * @ifindex: the result
 * @extack: for the sentence of a refusal
 *
 * Context: the device's lock is held.
 * Return: 0 or a negative error.
 */
int bhsec_nl_underlay_dev(struct bhsec_device *bdev, const struct nlattr *attr,
			  int *ifindex, struct netlink_ext_ack *extack)
{
	struct net *underlay;
	struct net_device *dev;

	underlay = rcu_dereference_protected(bdev->underlay,
					     lockdep_is_held(&bdev->lock));
	dev = dev_get_by_name(underlay, nla_data(attr));
	if (!dev) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "no such device in the underlay's network namespace");
		return -ENODEV;
	}
	*ifindex = dev->ifindex;
	dev_put(dev);
	return 0;
}

/* An object with its longest lists fits, whatever the last reader took. */
static int dump_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = BHSEC_NL_OBJECT_MAX;
	return 0;
}

#define OP(command, policy_, doit_, dumpit_, flags_)			\
	{								\
		.cmd = command,						\
		.policy = policy_,					\
		.maxattr = ARRAY_SIZE(policy_) - 1,			\
		.doit = doit_,						\
		.start = dump_start,					\
		.dumpit = dumpit_,					\
		.flags = flags_,					\
	}

static const struct genl_ops ops[] = {
	OP(BHSEC_CMD_DEV_GET, device_policy, bhsec_nl_dev_get, bhsec_nl_dev_dump, 0),
	OP(BHSEC_CMD_DEV_SET, device_policy, bhsec_nl_dev_set, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_PEER_GET, peer_policy, bhsec_nl_peer_get, bhsec_nl_peer_dump, 0),
	OP(BHSEC_CMD_PEER_ADD, peer_policy, bhsec_nl_peer_add, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_PEER_SET, peer_policy, bhsec_nl_peer_set, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_PEER_DEL, peer_policy, bhsec_nl_peer_del, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_SA_GET, sa_policy, bhsec_nl_sa_get, bhsec_nl_sa_dump, 0),
	OP(BHSEC_CMD_SA_ADD, sa_policy, bhsec_nl_sa_add, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_SA_DEL, sa_policy, bhsec_nl_sa_del, NULL, GENL_UNS_ADMIN_PERM),
	OP(BHSEC_CMD_EXPLAIN, way_policy, bhsec_nl_explain, NULL, GENL_UNS_ADMIN_PERM),
};

static const struct genl_multicast_group groups[] = {
	[BHSEC_NL_EVENTS] = {
		.name = BHSEC_MCGRP_EVENTS,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
	[BHSEC_NL_CONFIG] = {
		.name = BHSEC_MCGRP_CONFIG,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family bhsec_nl_family __ro_after_init = {
	.name = BHSEC_FAMILY_NAME,
	.version = BHSEC_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

/**
 * bhsec_nl_dump_header - begin an object of a dump
 * @msg: the message
 * @cb: the dump; cb->seq is the generation of what is dumped
 * @cmd: BHSEC_CMD_*
 *
 * Return: for genlmsg_end(), or NULL if the message is full.
 */
void *bhsec_nl_dump_header(struct sk_buff *msg, struct netlink_callback *cb,
			   u8 cmd)
{
	void *header = genlmsg_put(msg, NETLINK_CB(cb->skb).portid,
				   cb->nlh->nlmsg_seq, &bhsec_nl_family,
				   NLM_F_MULTI, cmd);

	if (header)
		genl_dump_check_consistent(cb, header);
	return header;
}

/**
 * bhsec_netlink_init - take requests
 *
 * Return: 0 or a negative error.
 */
int bhsec_netlink_init(void)
{
	return genl_register_family(&bhsec_nl_family);
}

/**
 * bhsec_netlink_exit - take no more requests
 *
 * Context: may sleep until the running ones have ended.
 */
void bhsec_netlink_exit(void)
{
	genl_unregister_family(&bhsec_nl_family);
}
