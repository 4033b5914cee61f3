// SPDX-License-Identifier: GPL-2.0
/*
 * Where the host's own routes lead, asked as iproute2's route get does.
 */
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "route.h"

/* A route is told in less. */
#define ANSWER_SIZE 8192

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

/* By a socket's mark and device, as far as there are any. */
static void put_choice(struct nlmsghdr *nlh, uint32_t mark, const char *oif)
{
	if (mark)
		mnl_attr_put_u32(nlh, RTA_MARK, mark);
	if (oif)
		mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex(oif));
}

static int take_dev(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
		if (mnl_attr_get_type(attr) == RTA_OIF)
			if_indextoname(mnl_attr_get_u32(attr), data);
	return MNL_CB_STOP;
}

/* The question is what @buffer begins with, the answer takes its place. */
static bool ask(struct mnl_socket *socket, uint32_t *buffer, char *dev)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buffer;
	ssize_t len;

	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return false;
	len = mnl_socket_recvfrom(socket, buffer, ANSWER_SIZE);
	return len > 0 && mnl_cb_run(buffer, len, 0, 0, take_dev, dev) >= 0;
}

static struct mnl_socket *open_socket(void)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return socket;
	if (socket)
		mnl_socket_close(socket);
	return NULL;
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
	struct mnl_socket *socket = open_socket();
	uint32_t buffer[ANSWER_SIZE / sizeof(uint32_t)];

	dev[0] = '\0';
	if (!socket)
		return NULL;
	begin(mnl_nlmsg_put_header(buffer), src, dst, dscp);
	if (!ask(socket, buffer, dev)) {
		begin(mnl_nlmsg_put_header(buffer), NULL, dst, dscp);
		ask(socket, buffer, dev);
	}
	mnl_socket_close(socket);
	return dev[0] ? dev : NULL;
}

/**
 * route_find_by - the device that packets of a socket leave the host by
 * @dst: their destination
 * @mark: the socket's, or 0
 * @oif: the device or VRF that it is bound to, or NULL
 * @dev: room for the device's name
 *
 * Return: @dev, or NULL if no route leads there.
 */
const char *route_find_by(const struct address *dst, uint32_t mark,
			  const char *oif, char dev[IF_NAMESIZE])
{
	struct mnl_socket *socket = open_socket();
	uint32_t buffer[ANSWER_SIZE / sizeof(uint32_t)];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

	dev[0] = '\0';
	if (!socket)
		return NULL;
	begin(nlh, NULL, dst, 0);
	put_choice(nlh, mark, oif);
	ask(socket, buffer, dev);
	mnl_socket_close(socket);
	return dev[0] ? dev : NULL;
}
