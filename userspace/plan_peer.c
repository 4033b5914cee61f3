// SPDX-License-Identifier: GPL-2.0
/*
 * What the files of a device ask for: its peers, and what is wrong with them.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "bhsec.h"
#include "number.h"
#include "plan.h"
#include "words.h"

/**
 * struct owned - a prefix and whose it is
 * @net: the prefix
 * @peer: its owner
 * @value: where it is said
 */
struct owned {
	struct net net;
	const struct conf_peer *peer;
	const struct value *value;
};

/**
 * struct owners - all prefixes behind the peers
 * @owned: the prefixes
 * @count: number of them
 * @room: of @owned
 */
struct owners {
	struct owned *owned;
	size_t count;
	size_t room;
};

static bool owners_add(struct owners *owners, const struct owned *owned)
{
	struct owned *grown = array_with_room(owners->owned, owners->count,
					      &owners->room, sizeof(*grown));

	if (!grown)
		return false;
	owners->owned = grown;
	owners->owned[owners->count++] = *owned;
	return true;
}

/**
 * peer_is_any - can the other side be anywhere
 * @peer: the peer
 *
 * Return: whether it calls this side, and is not called.
 */
bool peer_is_any(const struct conf_peer *peer)
{
	return peer->endpoint.text && strcmp(peer->endpoint.text, "any") == 0;
}

/**
 * peer_is_on_demand - is the other side called when there is a packet for it
 * @peer: the peer
 *
 * Return: whether it is, and not at once.
 */
bool peer_is_on_demand(const struct conf_peer *peer)
{
	return peer->start.text && strcmp(peer->start.text, "on-demand") == 0;
}

static const char *name_objection(const char *name)
{
	return conf_is_name(name, strlen(name), BHSEC_NAME_MAX) ? NULL :
	       "it has 1 to 63 of A-Z a-z 0-9 _ -";
}

static const char *endpoint_objection(const char *text)
{
	char dev[DEVICE_NAME_SIZE] = "";
	struct address addr;
	const char *reason;
	uint16_t port;

	reason = parse_endpoint(text, &addr, &port, dev);
	if (!reason && *dev)
		reason = "no link is named here";
	return reason;
}

static void check_endpoint(struct plan *plan, const struct conf_peer *peer)
{
	if (plan_needs(plan, &peer->endpoint, "endpoint") && !peer_is_any(peer))
		plan_check(plan, &peer->endpoint, "endpoint",
			   endpoint_objection(peer->endpoint.text));
}

/* What cannot be said together with an endpoint of this kind. */
static void check_fits(struct plan *plan, const struct value *value,
		       const char *word, bool fits, const char *reason)
{
	if (value->text && !fits)
		plan_check(plan, value, word, reason);
}

static void check_start(struct plan *plan, const struct conf_peer *peer)
{
	const char *text = peer->start.text;

	check_fits(plan, &peer->start, "start", !peer_is_any(peer),
		   "who can be anywhere has to begin itself");
	if (text && strcmp(text, "start") != 0 && !peer_is_on_demand(peer))
		plan_check(plan, &peer->start, "start",
			   "must be start or on-demand");
}

static void check_vip(struct plan *plan, const struct conf_peer *peer)
{
	const char *text = peer->vip.text;

	check_fits(plan, &peer->vip, "vip", !peer_is_any(peer),
		   "an address is asked for at an endpoint that is known");
	check_fits(plan, &peer->vip, "vip", !peer_is_on_demand(peer),
		   "the packet that would ask for an SA needs an address already");
	if (text && strcmp(text, "ipv4") != 0 && strcmp(text, "ipv6") != 0 &&
	    strcmp(text, "both") != 0)
		plan_check(plan, &peer->vip, "vip",
			   "must be ipv4, ipv6 or both");
	if (!text && !plan->conf.device.address.text &&
	    !plan->conf.device.networks.text)
		plan_check(plan, &peer->section, "vip",
			   "this or an address or networks of [Device] has to be given");
}

static void check_known(struct plan *plan, const struct conf_peer *peer)
{
	bool is_psk = plan->conf.identity.psk_file.text;

	if (is_psk || !peer->ca.text)
		plan_check(plan, &peer->identity, "identity",
			   peer->identity.text ? NULL : is_psk ?
			   "with psk-file it has to be given" :
			   "this or ca has to be given");
	check_fits(plan, &peer->ca, "ca", !is_psk, "with psk-file there is none");
	plan_file(plan, &peer->ca, "ca", "x509ca");
}

static void check_classes(struct plan *plan, const struct conf_peer *peer)
{
	const char *at = peer->classes.text, *item, *reason;
	unsigned int dscp;
	uint64_t seen = 0;
	size_t len;

	check_fits(plan, &peer->classes, "classes", !peer_is_any(peer),
		   "who begins asks for their SAs");
	while ((item = next_item(&at, &len))) {
		reason = parse_dscp(item, len, &dscp);
		if (!reason && !dscp)
			reason = "what has no SA of its own goes with class 0";
		else if (!reason && seen & 1ULL << dscp)
			reason = "it is given twice";
		if (reason)
			mistake(&plan->conf, &peer->classes, "classes '%s': %s",
				shortened(item, len), reason);
		else
			seen |= 1ULL << dscp;
	}
}

/* A pool of strongSwan is of one family, and so is what it hands out. */
static void check_pool(struct plan *plan, const struct conf_peer *peer,
		       const struct net *net, unsigned int *families)
{
	unsigned int family = net->prefix.addr.len == 4 ? 1 : 2;

	if (*families & family)
		plan_check(plan, &peer->pool, "pool",
			   "there is one prefix of each family at most");
	*families |= family;
}

static void take_nets(struct plan *plan, const struct conf_peer *peer,
		      const struct value *value, const char *word,
		      struct owners *owners)
{
	struct owned owned = {
		.net = { .table = plan->table, .ours = true },
		.peer = peer,
		.value = value,
	};
	const char *at = value->text, *item, *reason;
	unsigned int families = 0;
	size_t len;

	while ((item = next_item(&at, &len))) {
		reason = parse_prefix(item, len, &owned.net.prefix);
		if (!reason && !owners_add(owners, &owned))
			reason = "out of memory";
		if (reason)
			mistake(&plan->conf, value, "%s '%s': %s", word,
				shortened(item, len), reason);
		else if (value == &peer->pool)
			check_pool(plan, peer, &owned.net, &families);
	}
}

static void check_nets(struct plan *plan, const struct conf_peer *peer,
		       struct owners *owners)
{
	if (!peer->networks.text && !peer->pool.text)
		plan_check(plan, &peer->section, "networks",
			   peer_is_any(peer) ? "these or a pool have to be given" :
			   "they have to be given");
	if (peer->networks.text && peer->pool.text)
		plan_check(plan, &peer->pool, "pool",
			   "who has networks gets no address");
	check_fits(plan, &peer->pool, "pool", peer_is_any(peer),
		   "it is for peers whose endpoint is any");
	take_nets(plan, peer, &peer->networks, "networks", owners);
	take_nets(plan, peer, &peer->pool, "pool", owners);
}

static void check_peer(struct plan *plan, const struct conf_peer *peer,
		       struct owners *owners)
{
	if (plan_needs(plan, &peer->name, "name"))
		plan_check(plan, &peer->name, "name",
			   name_objection(peer->name.text));
	check_endpoint(plan, peer);
	check_known(plan, peer);
	check_nets(plan, peer, owners);
	check_vip(plan, peer);
	check_start(plan, peer);
	check_classes(plan, peer);
}

static int compare_names(const void *a, const void *b)
{
	const struct conf_peer *const *one = a, *const *other = b;
	int diff = strcmp((*one)->name.text ?: "", (*other)->name.text ?: "");

	/* of two the later one is told of */
	return diff ? diff : *one < *other ? -1 : 1;
}

static void check_names(struct plan *plan)
{
	const struct conf_peer **peers, *first;
	size_t count = plan->conf.count, i;

	peers = calloc(count + 1, sizeof(*peers));
	for (i = 0; peers && i < count; i++)
		peers[i] = &plan->conf.peers[i];
	if (peers)
		qsort(peers, count, sizeof(*peers), compare_names);
	for (i = 1; peers && i < count; i++) {
		first = peers[i - 1];
		if (first->name.text && peers[i]->name.text &&
		    strcmp(first->name.text, peers[i]->name.text) == 0)
			mistake(&plan->conf, &peers[i]->name,
				"name: %s is a peer already, at %s:%u",
				first->name.text, first->name.file,
				first->name.line);
	}
	free(peers);
}

static int compare_owned(const void *a, const void *b)
{
	const struct owned *one = a, *other = b;
	int diff = nets_compare(&one->net, &other->net);

	return diff ? diff : one->value < other->value ? -1 : 1;
}

static void check_owners(struct plan *plan, struct owners *owners)
{
	const struct owned *owned = owners->owned, *end = owned + owners->count;
	char text[ADDRESS_TEXT];

	if (!owners->count)
		return;
	qsort(owners->owned, owners->count, sizeof(*owned), compare_owned);
	for (owned++; owned < end; owned++)
		if (!nets_compare(&owned->net, &owned[-1].net))
			mistake(&plan->conf, owned->value,
				"%s is behind a peer already, at %s:%u",
				format_prefix(owned->net.prefix.addr.bytes,
					      owned->net.prefix.addr.len,
					      owned->net.prefix.len, text),
				owned[-1].value->file, owned[-1].value->line);
}

/* Without a word about routes they lead to all that is behind the peers. */
static void take_routes(struct plan *plan, const struct owners *owners)
{
	size_t i;

	if (plan->conf.device.routes.text)
		return;
	for (i = 0; i < owners->count; i++)
		if (!nets_add(&plan->want.routes, &owners->owned[i].net))
			plan_check(plan, owners->owned[i].value, "networks",
				   "out of memory");
}

/**
 * plan_peers - check the peers of a device, and take their routes
 * @plan: with the device's part
 */
void plan_peers(struct plan *plan)
{
	struct owners owners = {};
	size_t i;

	for (i = 0; i < plan->conf.count; i++)
		check_peer(plan, &plan->conf.peers[i], &owners);
	check_names(plan);
	check_owners(plan, &owners);
	take_routes(plan, &owners);
	free(owners.owned);
}
