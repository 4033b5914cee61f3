// SPDX-License-Identifier: GPL-2.0
/*
 * Where the host's own routes lead, asked as iproute2's route get does.
 */
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "route.h"

static void put_address(struct nlmsghdr *nlh, uint16_t attr,
			const struct address *addr)
{
	mnl_attr_put(nlh, attr, addr->len, addr->bytes);
}

static void begin(struct nlmsghdr *nlh, const struct address *src,
		  const struct address *dst, uint8_t dscp)
{
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	rtm->rtm_family = dst->len == 4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = 8 * dst->len;
	rtm->rtm_tos = dscp << 2;
	put_address(nlh, RTA_DST, dst);
	if (!src)
		return;
	rtm->rtm_src_len = 8 * src->len;
	put_address(nlh, RTA_SRC, src);
}

static int take_dev(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
		if (mnl_attr_get_type(attr) == RTA_OIF)
			if_indextoname(mnl_attr_get_u32(attr), data);
	return MNL_CB_STOP;
}

static bool ask(struct mnl_socket *socket, const struct address *src,
		const struct address *dst, uint8_t dscp, char *dev)
{
	uint32_t buffer[2048];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	ssize_t len;

	begin(nlh, src, dst, dscp);
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return false;
	len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	return len > 0 && mnl_cb_run(buffer, len, 0, 0, take_dev, dev) >= 0;
}

/**
 * route_find - the device that a packet leaves the host by
 * @src: its source, which counts where it is an address of this host
 * @dst: its destination
 * @dscp: its class
 * @dev: room for the device's name
 *
 * Return: @dev, or NULL if no route leads there.
 */
const char *route_find(const struct address *src, const struct address *dst,
		       uint8_t dscp, char dev[IF_NAMESIZE])
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);

	dev[0] = '\0';
	if (!socket)
		return NULL;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    !ask(socket, src, dst, dscp, dev))
		ask(socket, NULL, dst, dscp, dev);
	mnl_socket_close(socket);
	return dev[0] ? dev : NULL;
}
