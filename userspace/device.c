// SPDX-License-Identifier: GPL-2.0
/*
 * What there is of a device: the link, its settings, addresses and routes.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "device.h"
#include "link.h"
#include "message.h"
#include "nl.h"
#include "request.h"

/**
 * nets_add - append to a list
 * @nets: the list
 * @net: copied
 *
 * Return: false if there is no memory.
 */
bool nets_add(struct nets *nets, const struct net *net)
{
	struct net *grown = array_with_room(nets->net, nets->count, &nets->room,
					    sizeof(*grown));

	if (!grown)
		return false;
	nets->net = grown;
	nets->net[nets->count++] = *net;
	return true;
}

/**
 * nets_compare - which of two comes first
 * @a: one
 * @b: another
 *
 * Return: below, above or 0 if they are the same, whoever made them.
 */
int nets_compare(const struct net *a, const struct net *b)
{
	int diff = a->prefix.addr.len - b->prefix.addr.len;

	if (!diff)
		diff = memcmp(a->prefix.addr.bytes, b->prefix.addr.bytes,
			      a->prefix.addr.len);
	if (!diff)
		diff = a->prefix.len - b->prefix.len;
	if (!diff)
		diff = (a->table > b->table) - (a->table < b->table);
	return diff;
}

static int compare(const void *a, const void *b)
{
	return nets_compare(a, b);
}

/**
 * nets_sort - sort a list, each net once
 * @nets: the list
 */
void nets_sort(struct nets *nets)
{
	size_t i, kept = 0;

	if (!nets->count)
		return;
	qsort(nets->net, nets->count, sizeof(*nets->net), compare);
	for (i = 1; i < nets->count; i++) {
		if (nets_compare(&nets->net[kept], &nets->net[i]))
			nets->net[++kept] = nets->net[i];
		else
			nets->net[kept].ours |= nets->net[i].ours;
	}
	nets->count = kept + 1;
}

/**
 * device_free - forget what is known of a device
 * @device: empty after it
 */
void device_free(struct device *device)
{
	free(device->addresses.net);
	free(device->routes.net);
	memset(device, 0, sizeof(*device));
}

static int failed(const char *name, const struct nl_error *error)
{
	return refuse("%s: %s", name, *error->sentence ? error->sentence :
		      strerror(error->code));
}

static const struct nlattr *info_of(const struct nlattr **attrs, uint16_t type)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1];

	nl_nested(attrs[IFLA_LINKINFO], info, IFLA_INFO_MAX);
	return info[type];
}

static bool has_kind(const struct nlattr **attrs, const char *kind)
{
	const struct nlattr *attr = info_of(attrs, IFLA_INFO_KIND);

	return attr && strcmp(mnl_attr_get_str(attr), kind) == 0;
}

static int take_link(const char *name, const struct nlmsghdr *nlh,
		     struct device *device)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFLA_MAX + 1];

	nl_attrs_behind(nlh, sizeof(*info), attrs, IFLA_MAX);
	if (!has_kind(attrs, "bhsec"))
		return refuse("%s: it is there, and no bhsec device", name);
	device->exists = true;
	device->index = info->ifi_index;
	device->up = info->ifi_flags & IFF_UP;
	device->mtu = mnl_attr_get_u32(attrs[IFLA_MTU]);
	if (attrs[IFLA_MASTER])
		device->vrf = mnl_attr_get_u32(attrs[IFLA_MASTER]);
	return 0;
}

static int read_link(struct nl *route, const char *name, struct device *device)
{
	struct nl_records records = {};
	struct ifinfomsg info = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[64];
	int status = 0;

	rtnl_request(&req, buffer, RTM_GETLINK, &info, sizeof(info));
	mnl_attr_put_strz(req.nlh, IFLA_IFNAME, name);
	error = nl_do(route, &req, &records);
	if (error.code && error.code != ENODEV)
		status = failed(name, &error);
	else if (!error.code && records.count)
		status = take_link(name, records.record[0], device);
	nl_records_free(&records);
	return status;
}

static int read_settings(struct nl *nl, const char *name, struct device *device)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct nl_records records = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[64];

	request_begin(&req, buffer, sizeof(buffer), BHSEC_CMD_DEV_GET);
	request_put_text(&req, BHSEC_A_DEVICE_IFNAME, name);
	error = nl_do(nl, &req, &records);
	if (error.code || !records.count) {
		nl_records_free(&records);
		return failed(name, &error);
	}
	nl_attrs(records.record[0], attrs, BHSEC_A_DEVICE_MAX);
	device->port = mnl_attr_get_u16(attrs[BHSEC_A_DEVICE_PORT]);
	device->dscp = mnl_attr_get_u8(attrs[BHSEC_A_DEVICE_DSCP]);
	if (attrs[BHSEC_A_DEVICE_IF_ID])
		device->if_id = mnl_attr_get_u32(attrs[BHSEC_A_DEVICE_IF_ID]);
	nl_records_free(&records);
	return 0;
}

static bool take_prefix(const struct nlattr *attr, uint8_t len,
			struct prefix *prefix)
{
	prefix->len = len;
	prefix->addr.len = mnl_attr_get_payload_len(attr);
	if (prefix->addr.len > sizeof(prefix->addr.bytes))
		return false;
	memcpy(prefix->addr.bytes, mnl_attr_get_payload(attr),
	       prefix->addr.len);
	return true;
}

static bool is_link_local(const struct prefix *prefix)
{
	return prefix->addr.len == 16 && prefix->addr.bytes[0] == 0xfe &&
	       (prefix->addr.bytes[1] & 0xc0) == 0x80;
}

static bool take_address(const struct nlmsghdr *nlh, struct device *device)
{
	const struct ifaddrmsg *addr = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFA_MAX + 1], *attr;
	struct net net = {};

	nl_attrs_behind(nlh, sizeof(*addr), attrs, IFA_MAX);
	attr = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	if (addr->ifa_index != device->index || !attr ||
	    !take_prefix(attr, addr->ifa_prefixlen, &net.prefix) ||
	    is_link_local(&net.prefix))
		return true;
	net.ours = attrs[IFA_PROTO] &&
		   mnl_attr_get_u8(attrs[IFA_PROTO]) == PROTO_BHSEC;
	return nets_add(&device->addresses, &net);
}

static bool take_route(const struct nlmsghdr *nlh, struct device *device)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1], *attr;
	struct net net = {
		.ours = rtm->rtm_protocol == PROTO_BHSEC,
		.table = rtm->rtm_table,
	};

	nl_attrs_behind(nlh, sizeof(*rtm), attrs, RTA_MAX);
	attr = attrs[RTA_OIF];
	if (rtm->rtm_type != RTN_UNICAST || attrs[RTA_GATEWAY] || !attr ||
	    rtm->rtm_flags & RTM_F_CLONED ||
	    mnl_attr_get_u32(attr) != device->index)
		return true;
	if (attrs[RTA_TABLE])
		net.table = mnl_attr_get_u32(attrs[RTA_TABLE]);
	attr = attrs[RTA_DST];
	if (!attr)
		net.prefix.addr.len = rtm->rtm_family == AF_INET ? 4 : 16;
	else if (!take_prefix(attr, rtm->rtm_dst_len, &net.prefix))
		return true;
	return nets_add(&device->routes, &net);
}

/* What each record of a dump says; those without memory are a failure. */
static int take_all(const char *name, const struct nl_records *records,
		    bool (*take)(const struct nlmsghdr *nlh,
				 struct device *device),
		    struct device *device)
{
	size_t i;

	for (i = 0; i < records->count; i++)
		if (!take(records->record[i], device))
			return refuse("%s: out of memory", name);
	return 0;
}

static int read_addresses(struct nl *route, const char *name,
			  struct device *device)
{
	struct ifaddrmsg addr = {
		.ifa_index = device->index,
	};
	struct nl_records records = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[64];
	int status;

	rtnl_request(&req, buffer, RTM_GETADDR, &addr, sizeof(addr));
	error = nl_dump(route, &req, &records);
	status = error.code ? failed(name, &error) :
		 take_all(name, &records, take_address, device);
	nl_records_free(&records);
	return status;
}

static int read_routes(struct nl *route, const char *name,
		       struct device *device)
{
	struct rtmsg rtm = {};
	struct nl_records records = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[64];
	int status;

	rtnl_request(&req, buffer, RTM_GETROUTE, &rtm, sizeof(rtm));
	mnl_attr_put_u32(req.nlh, RTA_OIF, device->index);
	error = nl_dump(route, &req, &records);
	status = error.code ? failed(name, &error) :
		 take_all(name, &records, take_route, device);
	nl_records_free(&records);
	return status;
}

/**
 * device_read - find out what there is of a device
 * @route: conversation about links
 * @nl: conversation with the module
 * @name: of the device
 * @device: empty before; what is there, for device_free()
 *
 * Return: 0, or the exit status after a sentence.
 */
int device_read(struct nl *route, struct nl *nl, const char *name,
		struct device *device)
{
	int status = read_link(route, name, device);

	if (status || !device->exists)
		return status;
	status = read_settings(nl, name, device);
	if (!status)
		status = read_addresses(route, name, device);
	if (!status)
		status = read_routes(route, name, device);
	nets_sort(&device->addresses);
	nets_sort(&device->routes);
	return status;
}

/**
 * device_vrf_table - the routing table of a VRF
 * @route: conversation about links
 * @index: the VRF's number
 *
 * Return: the table, 0 if there is no such VRF.
 */
uint32_t device_vrf_table(struct nl *route, uint32_t index)
{
	const struct nlattr *attrs[IFLA_MAX + 1], *vrf[IFLA_VRF_MAX + 1];
	struct ifinfomsg info = {
		.ifi_index = index,
	};
	struct nl_records records = {};
	struct request req;
	uint32_t buffer[64], table = 0;

	rtnl_request(&req, buffer, RTM_GETLINK, &info, sizeof(info));
	if (!nl_do(route, &req, &records).code && records.count) {
		nl_attrs_behind(records.record[0], sizeof(info), attrs, IFLA_MAX);
		nl_nested(info_of(attrs, IFLA_INFO_DATA), vrf, IFLA_VRF_MAX);
		if (has_kind(attrs, "vrf") && vrf[IFLA_VRF_TABLE])
			table = mnl_attr_get_u32(vrf[IFLA_VRF_TABLE]);
	}
	nl_records_free(&records);
	return table;
}
