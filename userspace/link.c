// SPDX-License-Identifier: GPL-2.0
/*
 * What a network device has, asked as iproute2's link show does.
 */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "link.h"
#include "nl.h"
#include "request.h"

/**
 * rtnl_request - begin a request about links, addresses or routes
 * @req: the request
 * @buffer: becomes the message
 * @type: RTM_*
 * @header: what its family begins with
 * @len: length of @header
 */
void rtnl_request(struct request *req, uint32_t buffer[64], uint16_t type,
		  const void *header, size_t len)
{
	memset(req, 0, sizeof(*req));
	req->nlh = mnl_nlmsg_put_header(buffer);
	req->nlh->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(req->nlh, len), header, len);
}

static void take(const struct nlmsghdr *nlh, struct link *link)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFLA_MAX + 1];

	nl_attrs_behind(nlh, sizeof(*info), attrs, IFLA_MAX);
	link->is_up = info->ifi_flags & IFF_UP;
	link->mtu = mnl_attr_get_u32(attrs[IFLA_MTU]);
	if (attrs[IFLA_MASTER])
		link->master = mnl_attr_get_u32(attrs[IFLA_MASTER]);
	link->is_elsewhere = attrs[IFLA_LINK_NETNSID];
}

/**
 * link_find - look at a network device
 * @route: conversation about links
 * @ifindex: its number
 * @link: gets what it has
 *
 * Return: false if it has gone.
 */
bool link_find(struct nl *route, uint32_t ifindex, struct link *link)
{
	struct ifinfomsg info = {
		.ifi_index = ifindex,
	};
	struct nl_records records = {};
	struct request req;
	uint32_t buffer[64];
	bool found;

	memset(link, 0, sizeof(*link));
	rtnl_request(&req, buffer, RTM_GETLINK, &info, sizeof(info));
	found = !nl_do(route, &req, &records).code && records.count;
	if (found)
		take(records.record[0], link);
	nl_records_free(&records);
	return found;
}
