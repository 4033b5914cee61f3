// SPDX-License-Identifier: GPL-2.0
/*
 * What a network device has, asked as iproute2's link show does.
 */
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

static int take(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct link *link = data;

	link->is_up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(attr, nlh, sizeof(*info)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_MASTER:
			link->master = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			link->is_elsewhere = true;
			break;
		}
	}
	return MNL_CB_STOP;
}

static bool ask(struct mnl_socket *socket, uint32_t ifindex, struct link *link)
{
	uint32_t buffer[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	ssize_t len;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	info->ifi_index = ifindex;
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return false;
	len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	return len > 0 && mnl_cb_run(buffer, len, 0, 0, take, link) >= 0;
}

/**
 * link_find - look at a network device
 * @ifindex: its number
 * @link: gets what it has
 *
 * Return: false if it has gone.
 */
bool link_find(uint32_t ifindex, struct link *link)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	bool found = false;

	memset(link, 0, sizeof(*link));
	if (!socket)
		return false;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
		found = ask(socket, ifindex, link);
	mnl_socket_close(socket);
	return found;
}
