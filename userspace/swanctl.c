// SPDX-License-Identifier: GPL-2.0
/*
 * What strongSwan is told of a device's peers: a connection of each and its pools,
 * and the device's secrets. As text each peer and secret is a block of its own
 * between empty lines, so that two such texts can be compared block by block.
 */
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "sections.h"
#include "swanctl.h"

/* All that a peer may choose among; bhsec has each of these ciphers. */
#define ESP_PROPOSAL "aes256gcm16-aes128gcm16-ecp256-x25519-esn-noesn"

/* For the longest names of a device and a peer, and what is around them. */
#define NAME_SIZE 128

static void put_endpoint(struct sections *conn, const struct conf_peer *peer)
{
	char name[DEVICE_NAME_SIZE], plain[ADDRESS_TEXT];
	struct address addr;
	uint16_t port = 0;

	if (peer_is_any(peer))
		return;
	parse_endpoint(peer->endpoint.text, &addr, &port, name);
	section_list(conn, "remote_addrs",
		     format_address(addr.bytes, addr.len, plain));
	if (port)
		section_number(conn, "remote_port", port);
}

static void put_vips(struct sections *conn, const char *text)
{
	if (!text)
		return;
	section_list(conn, "vips", strcmp(text, "ipv4") == 0 ? "0.0.0.0" :
		     strcmp(text, "ipv6") == 0 ? "::" : "0.0.0.0,::");
}

static void put_selectors(struct sections *conn, const struct plan *plan,
			  const struct conf_peer *peer)
{
	const struct nets *local = &plan->local;
	char text[ADDRESS_TEXT];
	size_t i;

	/* an address of the other end's pool is the selector then */
	if (!peer->vip.text) {
		list_begin(conn, "local_ts");
		for (i = 0; i < local->count; i++)
			list_item(conn,
				  format_prefix(local->net[i].prefix.addr.bytes,
						local->net[i].prefix.addr.len,
						local->net[i].prefix.len, text));
		list_end(conn);
	}
	if (peer->networks.text)
		section_list(conn, "remote_ts", peer->networks.text);
}

static void put_start(struct sections *conn, const struct conf_peer *peer)
{
	const char *action = peer_is_on_demand(peer) ? "trap" : "start";

	if (peer_is_any(peer))
		return;
	section_word(conn, "start_action", action);
	section_word(conn, "close_action", action);
	section_word(conn, "dpd_action",
		     peer_is_on_demand(peer) ? "trap" : "restart");
}

/* A CHILD_SA; that of a class has its DSCP as a mark, and in its name. */
static void put_child(struct sections *conn, const struct plan *plan,
		      const struct conf_peer *peer, unsigned int dscp)
{
	char name[NAME_SIZE];

	if (dscp)
		snprintf(name, sizeof(name), "%s-%u", peer->name.text, dscp);
	section_begin(conn, dscp ? name : peer->name.text);
	put_selectors(conn, plan, peer);
	section_list(conn, "esp_proposals", ESP_PROPOSAL);
	section_number(conn, "if_id_in", plan->want.if_id);
	section_number(conn, "if_id_out", plan->want.if_id);
	if (dscp)
		section_number(conn, "set_mark_out", dscp);
	put_start(conn, peer);
	section_end(conn);
}

static void put_children(struct sections *conn, const struct plan *plan,
			 const struct conf_peer *peer)
{
	const char *at = peer->classes.text, *item;
	unsigned int dscp;
	size_t len;

	section_begin(conn, "children");
	put_child(conn, plan, peer, 0);
	while ((item = next_item(&at, &len)))
		if (!parse_dscp(item, len, &dscp))
			put_child(conn, plan, peer, dscp);
	section_end(conn);
}

static void put_ends(struct sections *conn, const struct plan *plan,
		     const struct conf_peer *peer)
{
	const struct conf_identity *identity = &plan->conf.identity;
	const char *auth = *plan->psk ? "psk" : "pubkey";

	section_begin(conn, "local");
	section_word(conn, "auth", auth);
	section_text(conn, "id", identity->name.text);
	section_file(conn, "certs", "x509", identity->certificate.text);
	section_end(conn);
	section_begin(conn, "remote");
	section_word(conn, "auth", auth);
	section_text(conn, "id", peer->identity.text);
	section_file(conn, "cacerts", "x509ca", peer->ca.text);
	section_end(conn);
}

/* A pool is of one family, which its name ends with. */
static void name_pool(char name[NAME_SIZE], const struct plan *plan,
		      const struct conf_peer *peer, const char *item, size_t len)
{
	snprintf(name, NAME_SIZE, CONNECTION "%s-%s-%d", plan->conf.name,
		 peer->name.text, memchr(item, ':', len) ? 6 : 4);
}

static void put_pools(struct buffer *out, const struct plan *plan,
		      const struct conf_peer *peer)
{
	const char *at = peer->pool.text, *item;
	char name[NAME_SIZE];
	size_t len;

	while ((item = next_item(&at, &len))) {
		name_pool(name, plan, peer, item, len);
		buffer_add_text(out, "pools { ");
		buffer_add_text(out, name);
		buffer_add_text(out, " { addrs = ");
		buffer_add(out, item, len);
		buffer_add_text(out, " } }\n");
	}
}

static void put_pool_names(struct sections *conn, const struct plan *plan,
			   const struct conf_peer *peer)
{
	const char *at = peer->pool.text, *item;
	char name[NAME_SIZE];
	size_t len;

	if (!peer->pool.text)
		return;
	list_begin(conn, "pools");
	while ((item = next_item(&at, &len))) {
		name_pool(name, plan, peer, item, len);
		list_item(conn, name);
	}
	list_end(conn);
}

static void put_connection(struct sections *conn, const struct plan *plan,
			   const struct conf_peer *peer)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), CONNECTION "%s-%s", plan->conf.name,
		 peer->name.text);
	section_begin(conn, name);
	section_word(conn, "version", "2");
	section_word(conn, "keyingtries", "0");
	section_word(conn, "dpd_delay", "30s");
	put_endpoint(conn, peer);
	put_vips(conn, peer->vip.text);
	put_pool_names(conn, plan, peer);
	if (*plan->ppk) {
		section_text(conn, "ppk_id", plan->conf.identity.ppk_id.text);
		section_word(conn, "ppk_required", "yes");
	}
	put_ends(conn, plan, peer);
	put_children(conn, plan, peer);
	section_end(conn);
}

static void put_peer(struct buffer *out, const struct plan *plan,
		     const struct conf_peer *peer)
{
	struct sections text = { .out = out };

	buffer_add_text(out, "connections { ");
	put_connection(&text, plan, peer);
	buffer_add_text(out, " }\n");
	put_pools(out, plan, peer);
	buffer_add_byte(out, '\n');
}

static void put_secret(struct buffer *out, const struct plan *plan,
		       const char *kind, const char *id, const char *secret)
{
	struct sections text = { .out = out };
	char name[NAME_SIZE];

	if (!*secret)
		return;
	snprintf(name, sizeof(name), "%s-" CONNECTION "%s", kind,
		 plan->conf.name);
	buffer_add_text(out, "secrets { ");
	section_begin(&text, name);
	section_text(&text, "id", id);
	section_text(&text, "secret", secret);
	section_end(&text);
	buffer_add_text(out, " }\n\n");
}

/**
 * swanctl_text - what strongSwan is to be told
 * @plan: without a mistake
 *
 * Return: the text of a file, to be freed; NULL without memory.
 */
char *swanctl_text(const struct plan *plan)
{
	const struct conf_identity *identity = &plan->conf.identity;
	struct buffer text = {};
	size_t i;

	buffer_add_text(&text, "# Made by bhsec apply: what is changed here is lost.\n\n");
	for (i = 0; i < plan->conf.count; i++)
		put_peer(&text, plan, &plan->conf.peers[i]);
	put_secret(&text, plan, "ike", identity->name.text, plan->psk);
	put_secret(&text, plan, "ppk", identity->ppk_id.text, plan->ppk);
	buffer_add_byte(&text, '\0');
	if (text.failed)
		buffer_free(&text);
	return text.bytes;
}

/**
 * swanctl_connection - the message of a connection, for the daemon's load-conn
 * @plan: without a mistake
 * @peer: whose connection
 * @out: gets the message
 *
 * Return: whether it can be made; no certificate may be gone or too long.
 */
bool swanctl_connection(const struct plan *plan, const struct conf_peer *peer,
			struct buffer *out)
{
	struct sections message = { .out = out, .is_message = true };

	put_connection(&message, plan, peer);
	return !message.failed && !out->failed;
}
