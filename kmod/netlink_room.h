/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NETLINK_ROOM_H
#define BHSEC_NETLINK_ROOM_H

/* What the files of the netlink room share and no other room needs. */

#include <net/genetlink.h>

struct bhsec_device;
struct bhsec_peer;

/* Multicast groups, in the order of bhsec.yaml. */
enum {
	BHSEC_NL_EVENTS,
	BHSEC_NL_CONFIG,
};

/* Holds the largest peer; a message of a dump is as large. */
#define BHSEC_NL_OBJECT_MAX \
	(SKB_WITH_OVERHEAD(32768) - NLMSG_HDRLEN - GENL_HDRLEN)

extern struct genl_family bhsec_nl_family;

/* Puts an object into a message, but for what needs one of BHSEC_PRIVILEGE_*. */
typedef int bhsec_nl_put_t(struct sk_buff *msg, void *object, u32 lacks);

struct bhsec_device *bhsec_nl_device(struct net *net,
				     const struct nlattr *ifindex,
				     const struct nlattr *ifname,
				     struct netlink_ext_ack *extack);
void bhsec_nl_device_put(struct bhsec_device *bdev);
int bhsec_nl_by_hand(const struct bhsec_peer *peer, const struct nlattr *attr,
		     struct netlink_ext_ack *extack);
int bhsec_nl_underlay_allowed(struct bhsec_device *bdev, struct sk_buff *skb,
			      const struct nlattr *attr,
			      struct netlink_ext_ack *extack);
int bhsec_nl_underlay_dev(struct bhsec_device *bdev, const struct nlattr *attr,
			  int *ifindex, struct netlink_ext_ack *extack);
int bhsec_nl_put_stats(struct sk_buff *msg, int attr, const u64 *sums);
u32 bhsec_nl_lacks(struct bhsec_device *bdev, struct sk_buff *request);
int bhsec_nl_put_device(struct sk_buff *msg, void *object, u32 lacks);
int bhsec_nl_put_peer(struct sk_buff *msg, void *object, u32 lacks);
int bhsec_nl_put_sa(struct sk_buff *msg, void *object, u32 lacks);
int bhsec_nl_reply(struct genl_info *info, bhsec_nl_put_t *put, void *object,
		   u32 lacks);
void *bhsec_nl_dump_header(struct sk_buff *msg, struct netlink_callback *cb,
			   u8 cmd);

int bhsec_nl_dev_get(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_dev_dump(struct sk_buff *msg, struct netlink_callback *cb);
int bhsec_nl_dev_set(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_peer_get(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_peer_dump(struct sk_buff *msg, struct netlink_callback *cb);
int bhsec_nl_peer_add(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_peer_set(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_peer_del(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_explain(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_sa_get(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_sa_dump(struct sk_buff *msg, struct netlink_callback *cb);
int bhsec_nl_sa_add(struct sk_buff *skb, struct genl_info *info);
int bhsec_nl_sa_del(struct sk_buff *skb, struct genl_info *info);

#endif
