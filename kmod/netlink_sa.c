// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink requests about SAs.
 */
#include <linux/capability.h>
#include <linux/string.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "netlink_room.h"
#include "peer.h"
#include "sa.h"

/* Above this a handed-over number leaves no room to count on. */
#define SEQ_START_MAX (1ULL << 63)

/* The device and the peer that a request is about, locked. */
static struct bhsec_peer *peer_of(struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct bhsec_device *bdev;
	struct bhsec_peer *peer;

	if (!attrs[BHSEC_A_SA_PEER] || !attrs[BHSEC_A_SA_DIRECTION] ||
	    !attrs[BHSEC_A_SA_SPI]) {
		NL_SET_ERR_MSG(info->extack,
			       "an SA is named by peer, direction and SPI");
		return ERR_PTR(-EINVAL);
	}
	bdev = bhsec_nl_device(genl_info_net(info), attrs[BHSEC_A_SA_IFINDEX],
			       attrs[BHSEC_A_SA_IFNAME], info->extack);
	if (IS_ERR(bdev))
		return ERR_CAST(bdev);
	peer = bhsec_peer_find(bdev, nla_data(attrs[BHSEC_A_SA_PEER]));
	if (peer)
		return peer;
	bhsec_nl_device_put(bdev);
	NL_SET_ERR_MSG_ATTR(info->extack, attrs[BHSEC_A_SA_PEER],
			    "no such peer");
	return ERR_PTR(-ENOENT);
}

static bool is_outbound(struct genl_info *info)
{
	return nla_get_u32(info->attrs[BHSEC_A_SA_DIRECTION]) ==
	       BHSEC_DIRECTION_OUT;
}

/* The SA that a request is about; its device is locked. */
static struct bhsec_sa *sa_of(struct genl_info *info)
{
	struct bhsec_peer *peer = peer_of(info);
	struct bhsec_sa *sa;

	if (IS_ERR(peer))
		return ERR_CAST(peer);
	sa = bhsec_sa_find(peer, nla_get_u32(info->attrs[BHSEC_A_SA_SPI]),
			   is_outbound(info));
	if (sa)
		return sa;
	bhsec_nl_device_put(peer->bdev);
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[BHSEC_A_SA_SPI],
			    "the peer has no such SA");
	return ERR_PTR(-ENOENT);
}

static bool has_esn(const struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[BHSEC_A_SA_ESN];

	return !attr || nla_get_u8(attr);
}

static int parse_key(struct genl_info *info, struct bhsec_sa_config *config)
{
	struct nlattr **attrs = info->attrs;

	if (!attrs[BHSEC_A_SA_CIPHER] || !attrs[BHSEC_A_SA_KEY]) {
		NL_SET_ERR_MSG(info->extack, "an SA needs a cipher and a key");
		return -EINVAL;
	}
	config->cipher = nla_get_u32(attrs[BHSEC_A_SA_CIPHER]);
	config->key = nla_data(attrs[BHSEC_A_SA_KEY]);
	if (nla_len(attrs[BHSEC_A_SA_KEY]) ==
	    bhsec_aead_key_len(config->cipher))
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, attrs[BHSEC_A_SA_KEY],
			    "the key's length is not the cipher's");
	return -EINVAL;
}

static int parse_sequence(struct genl_info *info,
			  struct bhsec_sa_config *config)
{
	struct nlattr **attrs = info->attrs;

	config->esn = has_esn(info);
	if (attrs[BHSEC_A_SA_SEQ])
		config->seq = nla_get_u64(attrs[BHSEC_A_SA_SEQ]);
	if (config->seq > SEQ_START_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[BHSEC_A_SA_SEQ],
				    "seq is at most 2^63");
		return -ERANGE;
	}
	if (!config->esn && config->seq > U32_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[BHSEC_A_SA_SEQ],
				    "seq is at most 2^32-1 without ESN");
		return -ERANGE;
	}
	if (!attrs[BHSEC_A_SA_WINDOW])
		return 0;
	if (config->outbound) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[BHSEC_A_SA_WINDOW],
				    "only an inbound SA has a window");
		return -EINVAL;
	}
	config->window = nla_get_u32(attrs[BHSEC_A_SA_WINDOW]);
	return 0;
}

static int parse_dscp(struct genl_info *info, struct bhsec_sa_config *config)
{
	const struct nlattr *attr = info->attrs[BHSEC_A_SA_DSCP_MASK];

	if (!attr)
		return 0;
	config->dscp_listed = true;
	config->dscp = nla_get_u64(attr);
	if (!config->outbound) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "only an outbound SA has a list of DSCPs");
		return -EINVAL;
	}
	if (!config->dscp) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "the list of DSCPs is empty");
		return -EINVAL;
	}
	return 0;
}

static int parse_limit(struct genl_info *info, int soft_attr, int hard_attr,
		       u64 *soft, u64 *hard)
{
	const struct nlattr *soft_nla = info->attrs[soft_attr];
	const struct nlattr *hard_nla = info->attrs[hard_attr];

	*soft = soft_nla ? nla_get_u64(soft_nla) : 0;
	*hard = hard_nla ? nla_get_u64(hard_nla) : 0;
	if ((soft_nla && !*soft) || (hard_nla && !*hard)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    soft_nla && !*soft ? soft_nla : hard_nla,
				    "a lifetime of 0 is none");
		return -EINVAL;
	}
	if (*soft && *hard && *soft > *hard) {
		NL_SET_ERR_MSG_ATTR(info->extack, soft_nla,
				    "the soft lifetime is above the hard one");
		return -EINVAL;
	}
	return 0;
}

static int parse_lifetimes(struct genl_info *info,
			   struct bhsec_sa_config *config)
{
	int err;

	err = parse_limit(info, BHSEC_A_SA_SOFT_PACKETS, BHSEC_A_SA_HARD_PACKETS,
			  &config->soft.packets, &config->hard.packets);
	if (!err)
		err = parse_limit(info, BHSEC_A_SA_SOFT_BYTES,
				  BHSEC_A_SA_HARD_BYTES,
				  &config->soft.bytes, &config->hard.bytes);
	if (!err)
		err = parse_limit(info, BHSEC_A_SA_SOFT_SECONDS,
				  BHSEC_A_SA_HARD_SECONDS,
				  &config->soft.seconds, &config->hard.seconds);
	return err;
}

static int parse_config(struct genl_info *info, struct bhsec_sa_config *config)
{
	int err;

	config->attrs = info->attrs;
	config->spi = nla_get_u32(info->attrs[BHSEC_A_SA_SPI]);
	config->outbound = is_outbound(info);
	err = parse_key(info, config);
	if (!err)
		err = parse_sequence(info, config);
	if (!err)
		err = parse_dscp(info, config);
	if (!err)
		err = parse_lifetimes(info, config);
	return err;
}

/*
 * By an SA of raw ESP comes what the host's own IPsec would else be asked for,
 * and what comes by one of a peer that roams says where the host is to send.
 */
static int check_underlay(const struct bhsec_peer *peer, struct sk_buff *skb,
			  struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[BHSEC_A_SA_DIRECTION];
	int err;

	if (is_outbound(info) || (peer->encap == BHSEC_ENCAP_UDP && !peer->roam))
		return 0;
	err = bhsec_nl_underlay_allowed(peer->bdev, skb, attr, info->extack);
	if (err == -EPERM)
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "with raw ESP or roam this needs CAP_NET_ADMIN over the underlay");
	return err;
}

static int sa_add(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *cipher = info->attrs[BHSEC_A_SA_CIPHER];
	struct bhsec_sa_config config = {};
	struct bhsec_peer *peer;
	struct bhsec_sa *sa;
	int err;

	/* nobody waits for modprobe behind the device's lock */
	if (cipher)
		bhsec_aead_load(nla_get_u32(cipher), has_esn(info));
	peer = peer_of(info);
	if (IS_ERR(peer))
		return PTR_ERR(peer);
	config.window = bhsec_device_settings(peer->bdev)->window;
	config.encap = peer->encap;
	config.cpu = BHSEC_ANY_CPU;
	err = bhsec_nl_by_hand(peer, info->attrs[BHSEC_A_SA_PEER],
			       info->extack);
	if (!err)
		err = check_underlay(peer, skb, info);
	if (!err)
		err = parse_config(info, &config);
	if (!err) {
		sa = bhsec_sa_add(peer, &config, info->extack);
		err = PTR_ERR_OR_ZERO(sa);
	}
	bhsec_nl_device_put(peer->bdev);
	return err;
}

/**
 * bhsec_nl_sa_add - BHSEC_CMD_SA_ADD
 * @skb: the request; the key in it is wiped
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_sa_add(struct sk_buff *skb, struct genl_info *info)
{
	int err = sa_add(skb, info), rem;
	struct nlattr *attr;

	/* a request may hold more than the one that was parsed */
	nla_for_each_attr(attr, genlmsg_data(info->genlhdr),
			  genlmsg_len(info->genlhdr), rem)
		if (nla_type(attr) == BHSEC_A_SA_KEY)
			memzero_explicit(nla_data(attr), nla_len(attr));
	return err;
}

/**
 * bhsec_nl_sa_del - BHSEC_CMD_SA_DEL
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_sa_del(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_sa *sa = sa_of(info);
	struct bhsec_device *bdev;
	int err;

	if (IS_ERR(sa))
		return PTR_ERR(sa);
	bdev = sa->peer->bdev;
	err = bhsec_nl_by_hand(sa->peer, info->attrs[BHSEC_A_SA_PEER],
			       info->extack);
	if (!err)
		bhsec_sa_del(sa);
	bhsec_nl_device_put(bdev);
	return err;
}

static int put_u64(struct sk_buff *msg, int attr, u64 value)
{
	return nla_put_u64_64bit(msg, attr, value, BHSEC_A_SA_PAD);
}

static int put_limit(struct sk_buff *msg, int attr, u64 value)
{
	return value ? put_u64(msg, attr, value) : 0;
}

static int put_lifetimes(struct sk_buff *msg, const struct bhsec_sa *sa)
{
	if (put_limit(msg, BHSEC_A_SA_SOFT_PACKETS, sa->soft.packets) ||
	    put_limit(msg, BHSEC_A_SA_HARD_PACKETS, sa->hard.packets) ||
	    put_limit(msg, BHSEC_A_SA_SOFT_BYTES, sa->soft.bytes) ||
	    put_limit(msg, BHSEC_A_SA_HARD_BYTES, sa->hard.bytes) ||
	    put_limit(msg, BHSEC_A_SA_SOFT_SECONDS, sa->soft.seconds) ||
	    put_limit(msg, BHSEC_A_SA_HARD_SECONDS, sa->hard.seconds))
		return -EMSGSIZE;
	return 0;
}

/* An ICMP error is believed that has them. */
static int put_numbers(struct sk_buff *msg, struct bhsec_sa *sa, u32 lacks)
{
	if (lacks & BHSEC_PRIVILEGE_DEVICE)
		return 0;
	return nla_put_u32(msg, BHSEC_A_SA_SPI, be32_to_cpu(sa->spi)) ?:
	       put_u64(msg, BHSEC_A_SA_SEQ, bhsec_sa_seq(sa));
}

/**
 * bhsec_nl_put_sa - put an SA into a message, but for its key
 * @msg: the message
 * @object: the SA
 * @lacks: BHSEC_PRIVILEGE_* that the reader has not
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or -EMSGSIZE.
 */
int bhsec_nl_put_sa(struct sk_buff *msg, void *object, u32 lacks)
{
	struct bhsec_sa *sa = object;
	struct bhsec_peer *peer = sa->peer;
	u32 last = READ_ONCE(sa->last.second);
	u64 age = bhsec_sa_age(sa);
	u64 sums[BHSEC_COUNTERS] = {};

	if (nla_put_u32(msg, BHSEC_A_SA_IFINDEX, peer->bdev->dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_SA_IFNAME, peer->bdev->dev->name) ||
	    nla_put_string(msg, BHSEC_A_SA_PEER, peer->name) ||
	    nla_put_u32(msg, BHSEC_A_SA_DIRECTION,
			sa->outbound ? BHSEC_DIRECTION_OUT : BHSEC_DIRECTION_IN) ||
	    (lacks && nla_put_u32(msg, BHSEC_A_SA_WITHHELD, lacks)) ||
	    put_numbers(msg, sa, lacks) ||
	    nla_put_u32(msg, BHSEC_A_SA_CIPHER, sa->cipher) ||
	    nla_put_u32(msg, BHSEC_A_SA_ORIGIN, sa->borrowed ?
			BHSEC_ORIGIN_IKE : BHSEC_ORIGIN_HAND) ||
	    (sa->cpu != BHSEC_ANY_CPU &&
	     nla_put_u32(msg, BHSEC_A_SA_CPU, sa->cpu)) ||
	    nla_put_u8(msg, BHSEC_A_SA_ESN, sa->esn) ||
	    nla_put_u32(msg, BHSEC_A_SA_STATE, atomic_read(&sa->state)) ||
	    put_u64(msg, BHSEC_A_SA_AGE, age) ||
	    (last && put_u64(msg, sa->outbound ? BHSEC_A_SA_LAST_SENT :
					       BHSEC_A_SA_LAST_RECEIVED,
			     bhsec_stamp_age(last))) ||
	    put_lifetimes(msg, sa))
		return -EMSGSIZE;
	if (sa->outbound ?
	    put_u64(msg, BHSEC_A_SA_DSCP_MASK, bhsec_sa_dscp(sa)) :
	    nla_put_u32(msg, BHSEC_A_SA_WINDOW, sa->replay.window))
		return -EMSGSIZE;
	bhsec_sa_sum(sa, sums);
	return bhsec_nl_put_stats(msg, BHSEC_A_SA_STATS, sums);
}

/**
 * bhsec_nl_sa_get - BHSEC_CMD_SA_GET for one SA
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or a negative error.
 */
int bhsec_nl_sa_get(struct sk_buff *skb, struct genl_info *info)
{
	struct bhsec_sa *sa;
	int err;

	/* who may not know an SPI could try them all */
	if (!netlink_net_capable(skb, CAP_NET_ADMIN)) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[BHSEC_A_SA_SPI],
				    "to name an SA by its SPI needs CAP_NET_ADMIN");
		return -EPERM;
	}
	sa = sa_of(info);
	if (IS_ERR(sa))
		return PTR_ERR(sa);
	err = bhsec_nl_reply(info, bhsec_nl_put_sa, sa,
			     bhsec_nl_lacks(sa->peer->bdev, skb));
	bhsec_nl_device_put(sa->peer->bdev);
	return err;
}

static int dump_sa(struct sk_buff *msg, struct netlink_callback *cb,
		   struct bhsec_sa *sa, u32 lacks)
{
	void *header = bhsec_nl_dump_header(msg, cb, BHSEC_CMD_SA_GET);

	if (!header)
		return -EMSGSIZE;
	if (bhsec_nl_put_sa(msg, sa, lacks)) {
		genlmsg_cancel(msg, header);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, header);
	return 0;
}

/* SAs of a peer from number args[1] on; 0 when all are in the message. */
static int dump_peer(struct sk_buff *msg, struct netlink_callback *cb,
		     struct bhsec_peer *peer, u32 lacks)
{
	struct bhsec_sa *sa;
	long number = 0;
	int err;

	list_for_each_entry(sa, &peer->sas, list) {
		if (number++ < cb->args[1])
			continue;
		err = dump_sa(msg, cb, sa, lacks);
		if (err)
			return err;
		cb->args[1] = number;
	}
	return 0;
}

/**
 * bhsec_nl_sa_dump - BHSEC_CMD_SA_GET for all SAs of a device or a peer
 * @msg: where the next ones go
 * @cb: the dump; args[0] is the peer's id and args[1] its SA to go on from
 *
 * Return: bytes in @msg, 0 at the end, or a negative error.
 */
int bhsec_nl_sa_dump(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct nlattr **attrs = bhsec_dump_attrs(cb);
	const struct nlattr *name = attrs[BHSEC_A_SA_PEER];
	struct bhsec_device *bdev;
	struct bhsec_peer *peer;
	unsigned long id;
	int err = 0;
	u32 lacks;

	bdev = bhsec_nl_device(sock_net(msg->sk), attrs[BHSEC_A_SA_IFINDEX],
			       attrs[BHSEC_A_SA_IFNAME], cb->extack);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	if (name && !cb->args[0] && !bhsec_peer_find(bdev, nla_data(name))) {
		NL_SET_ERR_MSG_ATTR(cb->extack, name, "no such peer");
		bhsec_nl_device_put(bdev);
		return -ENOENT;
	}
	lacks = bhsec_nl_lacks(bdev, cb->skb);
	cb->seq = bdev->generation ?: 1;
	xa_for_each_start(&bdev->peers_by_id, id, peer, cb->args[0]) {
		if (id != cb->args[0]) {
			cb->args[0] = id;
			cb->args[1] = 0;
		}
		if (name && nla_strcmp(name, peer->name))
			continue;
		err = dump_peer(msg, cb, peer, lacks);
		if (err)
			break;
		cb->args[0] = id + 1;
		cb->args[1] = 0;
	}
	bhsec_nl_device_put(bdev);
	return msg->len ?: err;
}
