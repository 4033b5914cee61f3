// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: do routes lead into the tunnel and on to the peers, and does the
 * host let in what comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "attr.h"
#include "doctor.h"
#include "print.h"
#include "route.h"

/* rp_filter: a packet has to come by the device that the route back leads by. */
#define STRICT 1

/* " (and 123456 more)" */
#define MORE_SIZE 40

/**
 * struct lost - where no route leads
 * @count: how many such there are
 * @text: the first of them
 * @peer: whose it is
 */
struct lost {
	size_t count;
	char text[ADDRESS_TEXT];
	const char *peer;
};

static const char *text_of(const struct address *addr, char text[ADDRESS_TEXT])
{
	return format_address(addr->bytes, addr->len, text);
}

static void lose(struct lost *lost, const char *text, const char *peer)
{
	if (lost->count++)
		return;
	snprintf(lost->text, sizeof(lost->text), "%s", text);
	lost->peer = peer;
}

/* The end of a sentence that names the first of many. */
static const char *and_more(const struct lost *lost, char text[MORE_SIZE])
{
	text[0] = '\0';
	if (lost->count > 1)
		snprintf(text, MORE_SIZE, " (and %zu more)", lost->count - 1);
	return text;
}

/* As the module finds it, by mark, device and source. */
static void check_endpoints(struct doctor *doctor, const struct tunnel *tunnel)
{
	char text[ADDRESS_TEXT], more[MORE_SIZE];
	struct lost lost = {};
	struct address addr;
	const struct row *row;
	size_t i;

	for (i = 0; i < tunnel->rows.count; i++) {
		row = &tunnel->rows.row[i];
		if (row_endpoint(row, &addr) &&
		    !number_of(nl_find(row->nlh, BHSEC_A_PEER_MTU)))
			lose(&lost, text_of(&addr, text), row->name);
	}
	if (!lost.count)
		return;
	doctor_say(doctor, "route",
		   "%s: no route that it may take leads to %s, where peer %s is%s",
		   tunnel->name, lost.text, lost.peer, and_more(&lost, more));
	doctor_advise(doctor, "ip route add %s via GATEWAY", lost.text);
}

/* An address of a prefix that is a host's; a route to everything is no route. */
static bool take_inside(const struct nlattr *prefix, struct address *addr)
{
	const struct nlattr *attrs[BHSEC_A_PREFIX_MAX + 1];
	unsigned int len;

	nl_nested(prefix, attrs, BHSEC_A_PREFIX_MAX);
	len = number_of(attrs[BHSEC_A_PREFIX_LEN]);
	addr->len = mnl_attr_get_payload_len(attrs[BHSEC_A_PREFIX_ADDR]);
	memcpy(addr->bytes, mnl_attr_get_payload(attrs[BHSEC_A_PREFIX_ADDR]),
	       addr->len);
	if (len < 8U * addr->len)
		addr->bytes[addr->len - 1] |= 1;
	return len;
}

static void find_lost(struct nl *route, const struct tunnel *tunnel,
		      const struct row *row, struct lost *lost)
{
	const struct nlattr *list = nl_find(row->nlh, BHSEC_A_PEER_SELECTORS);
	const struct nlattr *prefix;
	char text[ADDRESS_TEXT], dev[IF_NAMESIZE];
	struct address addr;

	if (!list)
		return;
	mnl_attr_for_each_nested(prefix, list) {
		if (!take_inside(prefix, &addr) ||
		    (route_find_by(route, &addr, 0, NULL, dev) &&
		     strcmp(dev, tunnel->name) == 0))
			continue;
		lose(lost, attr_prefix(prefix, text), row->name);
	}
}

/* A device that is down has no routes, those of a VRF are the VRF's. */
static void check_selectors(struct doctor *doctor, const struct tunnel *tunnel)
{
	struct lost lost = {};
	char more[MORE_SIZE];
	size_t i;

	if (!tunnel->link.is_up || tunnel->link.master)
		return;
	for (i = 0; i < tunnel->rows.count; i++)
		find_lost(doctor->ctx->route, tunnel, &tunnel->rows.row[i],
			  &lost);
	if (!lost.count)
		return;
	doctor_say(doctor, "selectors",
		   "%s: no route leads %s of peer %s into it%s", tunnel->name,
		   lost.text, lost.peer, and_more(&lost, more));
	doctor_advise(doctor, "ip route add %s dev %s", lost.text, tunnel->name);
}

/**
 * doctor_route - do routes lead into devices, and to the endpoints of peers
 * @doctor: what is looked at
 */
void doctor_route(struct doctor *doctor)
{
	size_t i;

	for (i = 0; i < doctor->count; i++) {
		check_endpoints(doctor, &doctor->tunnel[i]);
		check_selectors(doctor, &doctor->tunnel[i]);
	}
}

static int filter_of(const char *dev)
{
	char path[64], line[16];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", dev);
	return doctor_read(path, line, sizeof(line)) ? atoi(line) : 0;
}

static bool is_strict(const char *dev)
{
	return MAX(filter_of("all"), filter_of(dev)) == STRICT;
}

/*
 * What an IPv4 peer sends comes by the device that its packets leave by; who
 * filters asks by neither mark nor device. A VRF is asked in its own table.
 */
static bool is_filtered(struct nl *route, const struct tunnel *tunnel,
			const struct address *addr, char out[IF_NAMESIZE],
			char back[IF_NAMESIZE])
{
	const struct nlattr *mark = tunnel->attrs[BHSEC_A_DEVICE_FWMARK];
	const struct nlattr *dev = tunnel->attrs[BHSEC_A_DEVICE_DEV];
	const char *oif = dev ? mnl_attr_get_str(dev) : NULL;

	if (addr->len != 4 ||
	    !route_find_by(route, addr, mark ? number_of(mark) : 0, oif, out) ||
	    (oif && strcmp(oif, out) != 0))
		return false;
	if (!route_find_by(route, addr, 0, NULL, back))
		snprintf(back, IF_NAMESIZE, "none");
	return strcmp(out, back) != 0 && is_strict(out);
}

static void check_filter(struct doctor *doctor, const struct tunnel *tunnel)
{
	char out[IF_NAMESIZE], back[IF_NAMESIZE], text[ADDRESS_TEXT];
	const struct row *row;
	struct address addr;
	size_t i;

	for (i = 0; i < tunnel->rows.count; i++) {
		row = &tunnel->rows.row[i];
		if (!row_endpoint(row, &addr) ||
		    !is_filtered(doctor->ctx->route, tunnel, &addr, out, back))
			continue;
		doctor_say(doctor, "rp_filter",
			   "%s: %s will refuse what comes from %s, where peer %s is, for its rp_filter is strict and the host's route there leads by %s",
			   tunnel->name, out, text_of(&addr, text), row->name,
			   back);
		doctor_advise(doctor, "sysctl -w net.ipv4.conf.%s.rp_filter=2", out);
		return;
	}
}

/**
 * doctor_filter - does the host take what peers send for forged
 * @doctor: what is looked at
 */
void doctor_filter(struct doctor *doctor)
{
	size_t i;

	for (i = 0; i < doctor->count; i++)
		check_filter(doctor, &doctor->tunnel[i]);
}
