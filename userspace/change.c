// SPDX-License-Identifier: GPL-2.0
/*
 * From the device that there is to the one that is to be: what differs, told or
 * made. What a half-made change has to go back to is a device that is to be, too.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "link.h"
#include "message.h"
#include "nl.h"
#include "request.h"
#include "util.h"

/*
 * Some changes undo others: a VRF takes routes away, so does the last address
 * of IPv4, and a primary one takes its secondaries along.
 */
#define ROUNDS 4

/**
 * struct maker - who makes changes
 * @route: conversation about links
 * @nl: conversation with the module
 * @name: of the device
 * @index: its number
 * @count: changes made
 */
struct maker {
	struct nl *route;
	struct nl *nl;
	const char *name;
	uint32_t index;
	unsigned int count;
};

static const char *const words[] = {
	[CHANGE_DEVICE] = "device",
	[CHANGE_IF_ID] = "if-id",
	[CHANGE_PORT] = "port",
	[CHANGE_DSCP] = "dscp",
	[CHANGE_MTU] = "mtu",
	[CHANGE_VRF] = "vrf",
	[CHANGE_UP] = "up",
	[CHANGE_ADDRESS] = "address",
	[CHANGE_ROUTE] = "route",
};

/* What comes, or what goes, of two lists. */
static int net_changes(enum change_of of, const struct nets *from,
		       const struct nets *to, bool comes, change_fn *act,
		       void *data)
{
	const struct nets *all = comes ? to : from;
	const struct nets *other = comes ? from : to;
	struct change change = { .of = of, .from = !comes, .to = comes };
	size_t i, j = 0;
	int status = 0;

	for (i = 0; i < all->count && !status; i++) {
		while (j < other->count &&
		       nets_compare(&other->net[j], &all->net[i]) < 0)
			j++;
		if (j < other->count &&
		    !nets_compare(&other->net[j], &all->net[i]))
			continue;
		change.net = &all->net[i];
		if (change.net->ours)
			status = act(data, &change);
	}
	return status;
}

static int setting_changes(const struct device *have, const struct device *want,
			   change_fn *act, void *data)
{
	const struct change settings[] = {
		{ CHANGE_IF_ID, have->if_id, want->if_id, NULL },
		{ CHANGE_PORT, have->port, want->port, NULL },
		{ CHANGE_DSCP, have->dscp, want->dscp, NULL },
		{ CHANGE_MTU, have->mtu, want->mtu, NULL },
		{ CHANGE_VRF, have->vrf, want->vrf, NULL },
		{ CHANGE_UP, have->up, want->up, NULL },
	};
	int status = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings) && !status; i++)
		if (settings[i].from != settings[i].to)
			status = act(data, &settings[i]);
	return status;
}

/**
 * changes - act on each difference between two devices, in the order of making
 * @have: what there is
 * @want: what is to be
 * @act: what to do; its status, if it is not 0, ends it
 * @data: for @act
 *
 * Return: 0, or what @act has returned.
 */
int changes(const struct device *have, const struct device *want, change_fn *act,
	    void *data)
{
	static const struct device fresh = {
		.port = PORT_DEFAULT,
		.dscp = BHSEC_DSCP_COPY,
		.mtu = MTU_DEFAULT,
	};
	const struct change device = {
		CHANGE_DEVICE, have->exists, want->exists, NULL
	};
	int status = 0;

	if (have->exists != want->exists)
		status = act(data, &device);
	if (status || !want->exists)
		return status;
	if (!have->exists)
		have = &fresh;
	status = setting_changes(have, want, act, data);
	if (!status)
		status = net_changes(CHANGE_ADDRESS, &have->addresses,
				     &want->addresses, true, act, data);
	if (!status)
		status = net_changes(CHANGE_ADDRESS, &have->addresses,
				     &want->addresses, false, act, data);
	if (!status)
		status = net_changes(CHANGE_ROUTE, &have->routes, &want->routes,
				     false, act, data);
	if (!status)
		status = net_changes(CHANGE_ROUTE, &have->routes, &want->routes,
				     true, act, data);
	return status;
}

static void print_number(enum change_of of, uint32_t number)
{
	char name[IF_NAMESIZE];

	if (of == CHANGE_DSCP && number == BHSEC_DSCP_COPY)
		printf("copy");
	else if (of == CHANGE_VRF)
		printf("%s", number && if_indextoname(number, name) ? name :
		       "none");
	else
		printf("%u", number);
}

/**
 * change_print - tell a difference, as a line that a patch could have
 * @name: of the device
 * @change: the difference
 */
void change_print(const char *name, const struct change *change)
{
	char text[ADDRESS_TEXT];
	bool is_whole = change->of == CHANGE_DEVICE || change->of == CHANGE_UP;

	printf("%s: %c %s", name,
	       change->net || is_whole ? (change->to ? '+' : '-') : '~',
	       words[change->of]);
	if (change->net) {
		printf(" %s", format_prefix(change->net->prefix.addr.bytes,
					    change->net->prefix.addr.len,
					    change->net->prefix.len, text));
		if (change->net->table && change->net->table != RT_TABLE_MAIN)
			printf(" table %u", change->net->table);
	} else if (!is_whole) {
		putchar(' ');
		print_number(change->of, change->from);
		printf(" -> ");
		print_number(change->of, change->to);
	}
	putchar('\n');
}

static void put_kind(struct nlmsghdr *nlh)
{
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);

	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "bhsec");
	mnl_attr_nest_end(nlh, info);
}

/*
 * When the first address of a network goes the others stay, or routes would go
 * with them for a moment.
 */
static void put_promotion(struct nlmsghdr *nlh)
{
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet = mnl_attr_nest_start(nlh, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(nlh, IFLA_INET_CONF);

	mnl_attr_put_u32(nlh, IPV4_DEVCONF_PROMOTE_SECONDARIES, 1);
	mnl_attr_nest_end(nlh, conf);
	mnl_attr_nest_end(nlh, inet);
	mnl_attr_nest_end(nlh, spec);
}

static struct nl_error make_device(struct maker *maker, bool comes)
{
	struct ifinfomsg info = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[64];

	rtnl_request(&req, buffer, comes ? RTM_NEWLINK : RTM_DELLINK, &info,
		     sizeof(info));
	req.nlh->nlmsg_flags = comes ? NLM_F_CREATE | NLM_F_EXCL : 0;
	mnl_attr_put_strz(req.nlh, IFLA_IFNAME, maker->name);
	if (comes)
		put_kind(req.nlh);
	error = nl_do(maker->route, &req, NULL);
	if (error.code || !comes)
		return error;
	/* who makes a device cannot say this at once */
	info.ifi_index = if_nametoindex(maker->name);
	maker->index = info.ifi_index;
	rtnl_request(&req, buffer, RTM_NEWLINK, &info, sizeof(info));
	put_promotion(req.nlh);
	return nl_do(maker->route, &req, NULL);
}

static struct nl_error make_link(struct maker *maker,
				 const struct change *change)
{
	struct ifinfomsg info = {
		.ifi_index = maker->index,
	};
	struct request req;
	uint32_t buffer[64];

	if (change->of == CHANGE_UP) {
		info.ifi_flags = change->to ? IFF_UP : 0;
		info.ifi_change = IFF_UP;
	}
	rtnl_request(&req, buffer, RTM_NEWLINK, &info, sizeof(info));
	if (change->of == CHANGE_MTU)
		mnl_attr_put_u32(req.nlh, IFLA_MTU, change->to);
	else if (change->of == CHANGE_VRF)
		mnl_attr_put_u32(req.nlh, IFLA_MASTER, change->to);
	return nl_do(maker->route, &req, NULL);
}

static struct nl_error make_setting(struct maker *maker,
				    const struct change *change)
{
	struct request req;
	uint32_t buffer[64];
	uint16_t port = change->to;
	uint8_t dscp = change->to;

	request_begin(&req, buffer, sizeof(buffer), BHSEC_CMD_DEV_SET);
	request_put_text(&req, BHSEC_A_DEVICE_IFNAME, maker->name);
	if (change->of == CHANGE_IF_ID)
		request_put(&req, BHSEC_A_DEVICE_IF_ID, sizeof(change->to),
			    &change->to);
	else if (change->of == CHANGE_PORT)
		request_put(&req, BHSEC_A_DEVICE_PORT, sizeof(port), &port);
	else
		request_put(&req, BHSEC_A_DEVICE_DSCP, sizeof(dscp), &dscp);
	return nl_do(maker->nl, &req, NULL);
}

static struct nl_error make_address(struct maker *maker,
				    const struct change *change)
{
	const struct prefix *prefix = &change->net->prefix;
	struct ifaddrmsg addr = {
		.ifa_family = prefix->addr.len == 4 ? AF_INET : AF_INET6,
		.ifa_prefixlen = prefix->len,
		.ifa_index = maker->index,
		/* nobody else on a tunnel could have it */
		.ifa_flags = prefix->addr.len == 4 ? 0 : IFA_F_NODAD,
	};
	struct request req;
	uint32_t buffer[64];

	rtnl_request(&req, buffer, change->to ? RTM_NEWADDR : RTM_DELADDR, &addr,
		     sizeof(addr));
	req.nlh->nlmsg_flags = change->to ? NLM_F_CREATE | NLM_F_EXCL : 0;
	mnl_attr_put(req.nlh, IFA_LOCAL, prefix->addr.len, prefix->addr.bytes);
	mnl_attr_put(req.nlh, IFA_ADDRESS, prefix->addr.len, prefix->addr.bytes);
	mnl_attr_put_u8(req.nlh, IFA_PROTO, PROTO_BHSEC);
	return nl_do(maker->route, &req, NULL);
}

static struct nl_error make_route(struct maker *maker,
				  const struct change *change)
{
	const struct prefix *prefix = &change->net->prefix;
	struct rtmsg rtm = {
		.rtm_family = prefix->addr.len == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = prefix->len,
		.rtm_protocol = PROTO_BHSEC,
		.rtm_scope = prefix->addr.len == 4 ? RT_SCOPE_LINK :
			     RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct request req;
	uint32_t buffer[64];

	rtnl_request(&req, buffer, change->to ? RTM_NEWROUTE : RTM_DELROUTE,
		     &rtm, sizeof(rtm));
	req.nlh->nlmsg_flags = change->to ? NLM_F_CREATE | NLM_F_EXCL : 0;
	mnl_attr_put(req.nlh, RTA_DST, prefix->addr.len, prefix->addr.bytes);
	mnl_attr_put_u32(req.nlh, RTA_OIF, maker->index);
	mnl_attr_put_u32(req.nlh, RTA_TABLE, change->net->table);
	return nl_do(maker->route, &req, NULL);
}

static struct nl_error make(struct maker *maker, const struct change *change)
{
	switch (change->of) {
	case CHANGE_DEVICE:
		return make_device(maker, change->to);
	case CHANGE_IF_ID:
	case CHANGE_PORT:
	case CHANGE_DSCP:
		return make_setting(maker, change);
	case CHANGE_MTU:
	case CHANGE_VRF:
	case CHANGE_UP:
		return make_link(maker, change);
	case CHANGE_ADDRESS:
		return make_address(maker, change);
	default:
		return make_route(maker, change);
	}
}

/* What else was changed took it along. */
static bool is_gone(const struct nl_error *error)
{
	return error->code == ESRCH || error->code == EADDRNOTAVAIL;
}

static int make_change(void *data, const struct change *change)
{
	struct maker *maker = data;
	struct nl_error error = make(maker, change);
	char text[ADDRESS_TEXT] = "";

	maker->count++;
	if (!error.code || (!change->to && is_gone(&error)))
		return 0;
	if (change->net)
		format_prefix(change->net->prefix.addr.bytes,
			      change->net->prefix.addr.len,
			      change->net->prefix.len, text);
	return refuse("%s: %s%s%s: %s", maker->name, words[change->of],
		      *text ? " " : "", text, *error.sentence ? error.sentence :
		      strerror(error.code));
}

/**
 * changes_make - make a device what it is to be
 * @route: conversation about links
 * @nl: conversation with the module
 * @name: of the device
 * @want: what it is to be
 *
 * Return: 0, or the exit status after a sentence; what was made until then stays.
 */
int changes_make(struct nl *route, struct nl *nl, const char *name,
		 const struct device *want)
{
	struct maker maker = {
		.route = route,
		.nl = nl,
		.name = name,
	};
	struct device have = {};
	int rounds, status;

	for (rounds = 0; rounds < ROUNDS; rounds++) {
		maker.count = 0;
		status = device_read(route, nl, name, &have);
		maker.index = have.index;
		if (!status)
			status = changes(&have, want, make_change, &maker);
		device_free(&have);
		if (status || !maker.count)
			return status;
	}
	return refuse("%s: something else changes it at the same time", name);
}
