// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: does this host's firewall drop the first packets of a tunnel.
 */
#include <json-c/json.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "firewall.h"
#include "message.h"
#include "print.h"
#include "program.h"
#include "route.h"

/* Where IKE begins, and ESP in UDP that it keys (RFC 7296 2.23). */
#define IKE_PORT 500
#define IKE_ESP_PORT 4500

/**
 * struct firewall - rules, and who has them
 * @name: what the administrator calls it
 * @command: of older tables, what changes them; NULL is nft
 * @ruleset: chains and rules
 */
struct firewall {
	const char *name;
	const char *command;
	struct json_object *ruleset;
};

/* Without a socket of netfilter's in the kernel nft would load it. */
static bool has_netfilter(void)
{
	FILE *file = fopen("/proc/net/netlink", "re");
	char line[256];
	bool found = false;
	int protocol;

	if (!file)
		return true;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%*x %d", &protocol) == 1 &&
			protocol == NETLINK_NETFILTER;
	fclose(file);
	return found;
}

/* What a program says, or NULL and a remark. */
static char *ask(const char *const *argv)
{
	char *said;
	size_t len;

	switch (program_run(argv, STDOUT_FILENO, &said, &len)) {
	case PROGRAM_ABSENT:
		remark("doctor: the firewall's rules were not looked at: there is no %s",
		       argv[0]);
		return NULL;
	case PROGRAM_FAILED:
		remark("doctor: the firewall's rules were not looked at: %s %s",
		       argv[0], geteuid() ? "needs root" : "failed");
		return NULL;
	default:
		return said;
	}
}

static struct json_object *ask_nft(void)
{
	static const char *const nft[] = { "nft", "-j", "list", "ruleset", NULL };
	struct json_object *all, *ruleset = NULL;
	char *said = has_netfilter() ? ask(nft) : NULL;

	if (!said)
		return NULL;
	all = json_tokener_parse(said);
	free(said);
	if (json_object_is_type(all, json_type_object) &&
	    json_object_object_get_ex(all, "nftables", &ruleset))
		json_object_get(ruleset);
	json_object_put(all);
	if (json_object_is_type(ruleset, json_type_array))
		return ruleset;
	json_object_put(ruleset);
	return NULL;
}

/* Its file has the tables that are there. */
static struct json_object *ask_legacy(const char *names, const char *program,
				      const char *family)
{
	const char *const save[] = { program, NULL };
	struct json_object *ruleset;
	char *said = access(names, F_OK) ? NULL : ask(save);

	if (!said)
		return NULL;
	ruleset = firewall_legacy(said, family);
	free(said);
	return ruleset;
}

static void name_device(struct nl *route, const struct tunnel *tunnel,
			struct datagram *datagram)
{
	const struct nlattr *mark = tunnel->attrs[BHSEC_A_DEVICE_FWMARK];
	const struct nlattr *dev = tunnel->attrs[BHSEC_A_DEVICE_DEV];
	static const uint8_t link_local[] = { 0xfe, 0x80 };

	if (memcmp(datagram->far.bytes, link_local, sizeof(link_local)) != 0)
		route_find_by(route, &datagram->far, mark ? number_of(mark) : 0,
			      dev ? mnl_attr_get_str(dev) : NULL, datagram->dev);
}

/* Ports of this side and of the peer's. */
static void put_ports(const struct tunnel *tunnel, const struct row *row,
		      struct datagram *datagram)
{
	const struct nlattr *port = row ? nl_find(row->nlh,
						  BHSEC_A_PEER_ENDPOINT_PORT) :
					  NULL;
	uint16_t here = tunnel_is_bound(tunnel) ? IKE_ESP_PORT :
						  tunnel_port(tunnel);
	uint16_t there = port ? number_of(port) : here;

	datagram->sport = datagram->inbound ? there : here;
	datagram->dport = datagram->inbound ? here : there;
}

static void put_far(struct nl *route, const struct tunnel *tunnel,
		    const struct row *row, struct datagram *datagram)
{
	if (!row_endpoint(row, &datagram->far))
		return;
	datagram->is_ipv6 = datagram->far.len == 16;
	name_device(route, tunnel, datagram);
}

static void tell(struct doctor *doctor, const struct tunnel *tunnel,
		 const struct firewall *firewall,
		 const struct datagram *datagram, const struct chain *chain)
{
	char what[48];

	if (datagram->protocol == IPPROTO_UDP)
		snprintf(what, sizeof(what), "UDP to port %u", datagram->dport);
	else
		snprintf(what, sizeof(what), "ESP, IP protocol %d,", IPPROTO_ESP);
	doctor_say(doctor, "firewall",
		   "%s: %s drops %s on its way %s, in chain %s of table %s",
		   tunnel->name, firewall->name, what,
		   datagram->inbound ? "in" : "out", chain->name, chain->table);
}

/* A rule before all others of the chain lets it through. */
static void advise(struct doctor *doctor, const struct firewall *firewall,
		   const struct datagram *datagram, const struct chain *chain)
{
	bool is_udp = datagram->protocol == IPPROTO_UDP;
	char port[24] = "";

	if (is_udp)
		snprintf(port, sizeof(port), "%sdport %u ",
			 firewall->command ? "--" : "", datagram->dport);
	if (firewall->command)
		doctor_advise(doctor, "%s -t %s -I %s -p %s %s-j ACCEPT",
			      firewall->command, chain->table, chain->name,
			      is_udp ? "udp" : "esp", port);
	else
		doctor_advise(doctor, "nft insert rule %s %s %s %s %saccept",
			      chain->family, chain->table, chain->name,
			      is_udp ? "udp" : "meta l4proto esp", port);
}

static bool check(struct doctor *doctor, const struct tunnel *tunnel,
		  const struct firewall *firewall,
		  const struct datagram *datagram)
{
	struct chain chain;

	if (!firewall_drops(firewall->ruleset, datagram, &chain))
		return false;
	tell(doctor, tunnel, firewall, datagram, &chain);
	advise(doctor, firewall, datagram, &chain);
	return true;
}

static uint8_t protocol_of(const struct row *row)
{
	return number_of(nl_find(row->nlh, BHSEC_A_PEER_ENCAP)) ==
	       BHSEC_ENCAP_UDP ? IPPROTO_UDP : IPPROTO_ESP;
}

/* Of one direction and protocol the first peer that suffers is told. */
static void check_peers(struct doctor *doctor, const struct tunnel *tunnel,
			const struct firewall *firewall, struct datagram datagram)
{
	const struct row *row;
	struct datagram one;
	size_t i;

	for (i = 0; i < tunnel->rows.count; i++) {
		row = &tunnel->rows.row[i];
		if (protocol_of(row) != datagram.protocol)
			continue;
		/* what is known of one says nothing of the next */
		one = datagram;
		put_far(doctor->ctx->route, tunnel, row, &one);
		put_ports(tunnel, row, &one);
		if (check(doctor, tunnel, firewall, &one))
			return;
	}
	if (tunnel->rows.count || datagram.protocol != IPPROTO_UDP)
		return;
	put_ports(tunnel, NULL, &datagram);
	check(doctor, tunnel, firewall, &datagram);
}

static void check_ike(struct doctor *doctor, const struct tunnel *tunnel,
		      const struct firewall *firewall, struct datagram datagram)
{
	datagram.protocol = IPPROTO_UDP;
	datagram.sport = datagram.dport = IKE_PORT;
	check(doctor, tunnel, firewall, &datagram);
}

static void check_firewall(struct doctor *doctor, const struct firewall *firewall)
{
	struct datagram datagram = {};
	const struct tunnel *tunnel;
	int way;
	size_t i;

	for (i = 0; firewall->ruleset && i < doctor->count; i++) {
		tunnel = &doctor->tunnel[i];
		for (way = 0; way < 2; way++) {
			datagram.inbound = way == 0;
			datagram.protocol = IPPROTO_UDP;
			check_peers(doctor, tunnel, firewall, datagram);
			datagram.protocol = IPPROTO_ESP;
			check_peers(doctor, tunnel, firewall, datagram);
			if (tunnel_is_bound(tunnel))
				check_ike(doctor, tunnel, firewall, datagram);
		}
	}
	json_object_put(firewall->ruleset);
}

/**
 * doctor_firewall - does a rule of the host drop what tunnels send and receive
 * @doctor: what is looked at
 */
void doctor_firewall(struct doctor *doctor)
{
	const struct firewall firewalls[] = {
		{ "nftables", NULL, ask_nft() },
		{ "iptables", "iptables-legacy",
		  ask_legacy("/proc/net/ip_tables_names",
			     "iptables-legacy-save", "ip") },
		{ "ip6tables", "ip6tables-legacy",
		  ask_legacy("/proc/net/ip6_tables_names",
			     "ip6tables-legacy-save", "ip6") },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(firewalls); i++)
		check_firewall(doctor, &firewalls[i]);
}
