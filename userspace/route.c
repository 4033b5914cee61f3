// SPDX-License-Identifier: GPL-2.0
/*
 * Where the host's own routes lead, asked as iproute2's route get does.
 */
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "link.h"
#include "nl.h"
#include "request.h"
#include "route.h"

/**
 * struct question - what a route is asked for
 * @dst: destination
 * @src: source, or NULL
 * @dscp: class
 * @mark: of the socket, or 0
 * @oif: device that it is bound to, or NULL
 */
struct question {
	const struct address *dst;
	const struct address *src;
	uint8_t dscp;
	uint32_t mark;
	const char *oif;
};

static void put(struct nlmsghdr *nlh, const struct question *question)
{
	const struct address *src = question->src, *dst = question->dst;

	mnl_attr_put(nlh, RTA_DST, dst->len, dst->bytes);
	if (src)
		mnl_attr_put(nlh, RTA_SRC, src->len, src->bytes);
	if (question->mark)
		mnl_attr_put_u32(nlh, RTA_MARK, question->mark);
	if (question->oif)
		mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex(question->oif));
}

static void take_dev(const struct nlmsghdr *nlh, char *dev)
{
	const struct nlattr *attrs[RTA_MAX + 1];

	nl_attrs_behind(nlh, sizeof(struct rtmsg), attrs, RTA_MAX);
	if (attrs[RTA_OIF])
		if_indextoname(mnl_attr_get_u32(attrs[RTA_OIF]), dev);
}

/* Returns false if the question is refused, or there is no route. */
static bool ask(struct nl *route, const struct question *question,
		char dev[IF_NAMESIZE])
{
	const struct address *src = question->src, *dst = question->dst;
	struct rtmsg rtm = {
		.rtm_family = dst->len == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = 8 * dst->len,
		.rtm_src_len = src ? 8 * src->len : 0,
		.rtm_tos = question->dscp << 2,
	};
	struct nl_records records = {};
	struct request req;
	uint32_t buffer[64];
	bool done;

	dev[0] = '\0';
	rtnl_request(&req, buffer, RTM_GETROUTE, &rtm, sizeof(rtm));
	put(req.nlh, question);
	done = !nl_do(route, &req, &records).code && records.count;
	if (done)
		take_dev(records.record[0], dev);
	nl_records_free(&records);
	return done;
}

/**
 * route_find - the device that a packet leaves the host by
 * @route: conversation about routes
 * @src: its source, which counts where it is an address of this host
 * @dst: its destination
 * @dscp: its class
 * @dev: room for the device's name
 *
 * Return: @dev, or NULL if no route leads there.
 */
const char *route_find(struct nl *route, const struct address *src,
		       const struct address *dst, uint8_t dscp,
		       char dev[IF_NAMESIZE])
{
	struct question question = {
		.dst = dst,
		.src = src,
		.dscp = dscp,
	};

	if (!ask(route, &question, dev)) {
		question.src = NULL;
		ask(route, &question, dev);
	}
	return dev[0] ? dev : NULL;
}

/**
 * route_find_by - the device that packets of a socket leave the host by
 * @route: conversation about routes
 * @dst: their destination
 * @mark: the socket's, or 0
 * @oif: the device or VRF that it is bound to, or NULL
 * @dev: room for the device's name
 *
 * Return: @dev, or NULL if no route leads there.
 */
const char *route_find_by(struct nl *route, const struct address *dst,
			  uint32_t mark, const char *oif, char dev[IF_NAMESIZE])
{
	const struct question question = {
		.dst = dst,
		.mark = mark,
		.oif = oif,
	};

	ask(route, &question, dev);
	return dev[0] ? dev : NULL;
}
