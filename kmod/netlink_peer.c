// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink requests about peers.
 */
#include <linux/ctype.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "endpoint.h"
#include "netlink.h"
#include "netlink_room.h"
#include "peer.h"

static struct bhsec_device *device_of(struct genl_info *info)
{
	return bhsec_nl_device(genl_info_net(info),
			       info->attrs[BHSEC_A_PEER_IFINDEX],
			       info->attrs[BHSEC_A_PEER_IFNAME], info->extack);
}

/* The name that a request gives, NULL with a sentence if it gives none. */
static const char *name_of(struct genl_info *info)
{
	if (info->attrs[BHSEC_A_PEER_NAME])
		return nla_data(info->attrs[BHSEC_A_PEER_NAME]);
	NL_SET_ERR_MSG(info->extack, "a peer's name is needed");
	return NULL;
}

/* The device and the peer that a request is about, locked. */
static struct bhsec_peer *peer_of(struct genl_info *info)
{
	const char *name = name_of(info);
	struct bhsec_device *bdev;
	struct bhsec_peer *peer;

	if (!name)
		return ERR_PTR(-EINVAL);
	bdev = device_of(info);
	if (IS_ERR(bdev))
		return ERR_CAST(bdev);
	peer = bhsec_peer_find(bdev, name);
	if (peer)
		return peer;
	bhsec_nl_device_put(bdev);
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[BHSEC_A_PEER_NAME],
			    "no such peer");
	return ERR_PTR(-ENOENT);
}

static int check_new_name(struct bhsec_device *bdev, const char *name,
			  struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[BHSEC_A_PEER_NAME];
	const char *c;

	for (c = name; *c; c++) {
		if (isascii(*c) && (isalnum(*c) || strchr("._-", *c)))
			continue;
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "a peer's name is made of A-Z a-z 0-9 . _ -");
		return -EINVAL;
	}
	if (c == name) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "a peer's name is empty");
		return -EINVAL;
	}
	if (!strncmp(name, "ike-", 4)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "names that begin with ike- are reserved");
		return -EINVAL;
	}
	if (bhsec_peer_find(bdev, name)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "the peer exists");
		return -EEXIST;
	}
	return 0;
}

static int parse_prefix(const struct nlattr *attr, struct bhsec_prefix *prefix,
			struct netlink_ext_ack *extack)
{
	struct nlattr *tb[BHSEC_A_PREFIX_MAX + 1];
	struct nlattr *addr;
	int err;

	err = nla_parse_nested(tb, BHSEC_A_PREFIX_MAX, attr, NULL, extack);
	if (err)
		return err;
	addr = tb[BHSEC_A_PREFIX_ADDR];
	if (!addr || !tb[BHSEC_A_PREFIX_LEN]) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "a selector needs an address and a length");
		return -EINVAL;
	}
	if (nla_len(addr) != 4 && nla_len(addr) != 16) {
		NL_SET_ERR_MSG_ATTR(extack, addr, "an address has 4 or 16 bytes");
		return -EINVAL;
	}
	memset(prefix, 0, sizeof(*prefix));
	memcpy(prefix->addr, nla_data(addr), nla_len(addr));
	prefix->len = nla_get_u8(tb[BHSEC_A_PREFIX_LEN]);
	prefix->is_ipv6 = nla_len(addr) == 16;
	if (prefix->len > nla_len(addr) * 8) {
		NL_SET_ERR_MSG_ATTR(extack, tb[BHSEC_A_PREFIX_LEN],
				    "the prefix is longer than the address");
		return -EINVAL;
	}
	if (!bhsec_prefix_is_canonical(prefix)) {
		NL_SET_ERR_MSG_ATTR(extack, addr,
				    "the selector has host bits set");
		return -EINVAL;
	}
	return 0;
}

static bool is_repeated(const struct bhsec_prefixes *list,
			const struct bhsec_prefix *prefix)
{
	unsigned int i;

	for (i = 0; i < list->count; i++)
		if (bhsec_prefix_equal(&list->prefix[i], prefix))
			return true;
	return false;
}

static int parse_prefixes(const struct nlattr *attr, struct bhsec_prefixes **out,
			  struct netlink_ext_ack *extack)
{
	struct bhsec_prefixes *list;
	struct bhsec_prefix prefix;
	unsigned int count = 0;
	struct nlattr *entry;
	int rem, err;

	nla_for_each_nested(entry, attr, rem)
		count++;
	if (count > BHSEC_PREFIXES_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "a peer has at most 256 selectors of a kind");
		return -E2BIG;
	}
	list = kzalloc(struct_size(list, prefix, count), GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	nla_for_each_nested(entry, attr, rem) {
		err = parse_prefix(entry, &prefix, extack);
		if (!err && is_repeated(list, &prefix)) {
			NL_SET_ERR_MSG_ATTR(extack, entry,
					    "the selector is given twice");
			err = -EINVAL;
		}
		if (err) {
			kfree(list);
			return err;
		}
		list->prefix[list->count++] = prefix;
	}
	*out = list;
	return 0;
}

/* What a flaw is called, and which attribute has it. */
static int refuse_endpoint(struct genl_info *info, enum bhsec_endpoint_flaw flaw)
{
	const struct nlattr *addr = info->attrs[BHSEC_A_PEER_ENDPOINT_ADDR];
	const struct nlattr *link = info->attrs[BHSEC_A_PEER_ENDPOINT_DEV];

	if (flaw == BHSEC_ENDPOINT_NOT_UNICAST)
		NL_SET_ERR_MSG_ATTR(info->extack, addr,
				    "an endpoint is a unicast IPv4 or IPv6 address");
	else if (flaw == BHSEC_ENDPOINT_NO_SCOPE)
		NL_SET_ERR_MSG_ATTR(info->extack, link,
				    "only a link-local IPv6 address has a link");
	else if (link)
		NL_SET_ERR_MSG_ATTR(info->extack, link,
				    "this is no link, or not the one of the device's 'dev'");
	else
		NL_SET_ERR_MSG_ATTR(info->extack, addr,
				    "a link-local endpoint needs its link, as in fe80::1%eth0");
	return -EINVAL;
}

/* Where an endpoint is said to be, and on which link; 0 for none. */
static int check_endpoint(struct bhsec_device *bdev, struct genl_info *info,
			  int *scope)
{
	const struct nlattr *addr = info->attrs[BHSEC_A_PEER_ENDPOINT_ADDR];
	const struct nlattr *link = info->attrs[BHSEC_A_PEER_ENDPOINT_DEV];
	int ifindex = bhsec_device_settings(bdev)->ifindex, err;
	enum bhsec_endpoint_flaw flaw;

	if (nla_len(addr) != 4 && nla_len(addr) != 16)
		return refuse_endpoint(info, BHSEC_ENDPOINT_NOT_UNICAST);
	if (link) {
		err = bhsec_nl_underlay_dev(bdev, link, scope, info->extack);
		if (err)
			return err;
	}
	rcu_read_lock();
	flaw = bhsec_endpoint_flaw(rcu_dereference(bdev->underlay), ifindex,
				   nla_data(addr), nla_len(addr) == 16, *scope);
	rcu_read_unlock();
	return flaw ? refuse_endpoint(info, flaw) : 0;
}

static int parse_endpoint(struct bhsec_device *bdev, struct genl_info *info,
			  struct bhsec_endpoint **endpoint)
{
	const struct nlattr *addr = info->attrs[BHSEC_A_PEER_ENDPOINT_ADDR];
	const struct nlattr *port = info->attrs[BHSEC_A_PEER_ENDPOINT_PORT];
	int scope = 0, err;

	if (!addr) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    port ?: info->attrs[BHSEC_A_PEER_ENDPOINT_DEV],
				    "an endpoint's port or link needs its address");
		return -EINVAL;
	}
	err = check_endpoint(bdev, info, &scope);
	if (err)
		return err;
	*endpoint = bhsec_endpoint_alloc(nla_data(addr), nla_len(addr) == 16,
					 port ? htons(nla_get_u16(port)) : 0,
					 scope, GFP_KERNEL_ACCOUNT);
	return *endpoint ? 0 : -ENOMEM;
}

static int parse_config(struct bhsec_device *bdev, struct genl_info *info,
			struct bhsec_peer_config *config)
{
	struct nlattr **attrs = info->attrs;
	int err = 0;

	config->attrs = attrs;
	if (attrs[BHSEC_A_PEER_ENCAP]) {
		config->has_encap = true;
		config->encap = nla_get_u32(attrs[BHSEC_A_PEER_ENCAP]);
	}
	if (attrs[BHSEC_A_PEER_ROAM]) {
		config->has_roam = true;
		config->roam = nla_get_u8(attrs[BHSEC_A_PEER_ROAM]);
	}
	if (attrs[BHSEC_A_PEER_ENTROPY]) {
		config->has_entropy = true;
		config->entropy = nla_get_u8(attrs[BHSEC_A_PEER_ENTROPY]);
	}
	if (attrs[BHSEC_A_PEER_KEEPALIVE]) {
		config->has_keepalive = true;
		config->keepalive = nla_get_u16(attrs[BHSEC_A_PEER_KEEPALIVE]);
	}
	if (attrs[BHSEC_A_PEER_ENDPOINT_ADDR] ||
	    attrs[BHSEC_A_PEER_ENDPOINT_PORT] || attrs[BHSEC_A_PEER_ENDPOINT_DEV])
		err = parse_endpoint(bdev, info, &config->endpoint);
	if (!err && attrs[BHSEC_A_PEER_SELECTORS])
		err = parse_prefixes(attrs[BHSEC_A_PEER_SELECTORS],
				     &config->selectors, info->extack);
	if (!err && attrs[BHSEC_A_PEER_LOCAL_SELECTORS])
		err = parse_prefixes(attrs[BHSEC_A_PEER_LOCAL_SELECTORS],
				     &config->local_selectors, info->extack);
	return err;
}

/* Frees what the peer has not taken over. */
static void free_config(struct bhsec_peer_config *config)
{
	bhsec_endpoint_free(config->endpoint);
	kfree(config->selectors);
	kfree(config->local_selectors);
}

static int check_underlay(struct bhsec_device *bdev, struct sk_buff *skb,
			  struct genl_info *info)
{
	static const u8 attrs[] = {
		BHSEC_A_PEER_ENDPOINT_ADDR, BHSEC_A_PEER_ENDPOINT_PORT,
		BHSEC_A_PEER_ENDPOINT_DEV, BHSEC_A_PEER_ENCAP, BHSEC_A_PEER_ROAM,
		BHSEC_A_PEER_ENTROPY,
	};
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(attrs); i++) {
		if (!info->attrs[attrs[i]])
			continue;
		err = bhsec_nl_underlay_allowed(bdev, skb, info->attrs[attrs[i]],
						info->extack);
		if (err)
			return err;
	}
	return 0;
}

/* Who may not choose an endpoint, may not have one chosen by packets either. */
static void default_roam(struct bhsec_device *bdev, struct sk_buff *skb,
			 struct bhsec_peer_config *config)
{
	if (config->has_roam || !bhsec_nl_underlay_allowed(bdev, skb, NULL, NULL))
		return;
	config->has_roam = true;
	config->roam = false;
}

/**
 * bhsec_nl_peer_add - BHSEC_CMD_PEER_ADD
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_peer_add(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_peer_config config = {};
	const char *name = name_of(info);
	struct bhsec_device *bdev;
	struct bhsec_peer *peer;
	int err;

	if (!name)
		return -EINVAL;
	bdev = device_of(info);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	err = check_new_name(bdev, name, info);
	if (!err)
		err = check_underlay(bdev, skb, info);
	if (!err)
		err = parse_config(bdev, info, &config);
	if (!err) {
		default_roam(bdev, skb, &config);
		peer = bhsec_peer_add(bdev, name, &config, info->extack);
		err = PTR_ERR_OR_ZERO(peer);
	}
	free_config(&config);
	bhsec_nl_device_put(bdev);
	return err;
}

/**
 * bhsec_nl_peer_set - BHSEC_CMD_PEER_SET
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_peer_set(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_peer_config config = {};
	struct bhsec_peer *peer;
	int err;

	peer = peer_of(info);
	if (IS_ERR(peer))
		return PTR_ERR(peer);
	err = bhsec_nl_by_hand(peer, info->attrs[BHSEC_A_PEER_NAME],
			       info->extack);
	if (!err)
		err = check_underlay(peer->bdev, skb, info);
	if (!err)
		err = parse_config(peer->bdev, info, &config);
	if (!err)
		err = bhsec_peer_set(peer, &config, info->extack);
	free_config(&config);
	bhsec_nl_device_put(peer->bdev);
	return err;
}

/**
 * bhsec_nl_peer_del - BHSEC_CMD_PEER_DEL
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_peer_del(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_peer *peer = peer_of(info);
	struct bhsec_device *bdev;
	int err;

	if (IS_ERR(peer))
		return PTR_ERR(peer);
	bdev = peer->bdev;
	err = bhsec_nl_by_hand(peer, info->attrs[BHSEC_A_PEER_NAME],
			       info->extack);
	if (!err)
		bhsec_peer_del(peer);
	bhsec_nl_device_put(bdev);
	return err;
}

/**
 * bhsec_nl_peer_get - BHSEC_CMD_PEER_GET for one peer
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_peer_get(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_peer *peer = peer_of(info);
	int err;

	if (IS_ERR(peer))
		return PTR_ERR(peer);
	err = bhsec_nl_reply(info, bhsec_nl_put_peer, peer,
			     bhsec_nl_lacks(peer->bdev, skb));
	bhsec_nl_device_put(peer->bdev);
	return err;
}

static int dump_peer(struct sk_buff *msg, struct netlink_callback *cb,
		     struct bhsec_peer *peer, u32 lacks)
{
	void *header = bhsec_nl_dump_header(msg, cb, BHSEC_CMD_PEER_GET);

	if (!header)
		return -EMSGSIZE;
	if (bhsec_nl_put_peer(msg, peer, lacks)) {
		genlmsg_cancel(msg, header);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, header);
	return 0;
}

/**
 * bhsec_nl_peer_dump - BHSEC_CMD_PEER_GET for all peers of a device
 * @msg: where the next ones go
 * @cb: the dump; args[0] is the id to go on from
 *
 * Return: bytes in @msg, 0 at the end, or a negative error.
 */
int bhsec_nl_peer_dump(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct nlattr **attrs = bhsec_dump_attrs(cb);
	struct bhsec_device *bdev;
	struct bhsec_peer *peer;
	unsigned long id;
	int err = 0;
	u32 lacks;

	bdev = bhsec_nl_device(sock_net(msg->sk), attrs[BHSEC_A_PEER_IFINDEX],
			       attrs[BHSEC_A_PEER_IFNAME], cb->extack);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	lacks = bhsec_nl_lacks(bdev, cb->skb);
	cb->seq = bdev->generation ?: 1;
	xa_for_each_start(&bdev->peers_by_id, id, peer, cb->args[0]) {
		err = dump_peer(msg, cb, peer, lacks);
		if (err)
			break;
		cb->args[0] = id + 1;
	}
	bhsec_nl_device_put(bdev);
	/* one peer that no message holds would otherwise end the dump quietly */
	return msg->len ?: err;
}
