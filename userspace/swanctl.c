// SPDX-License-Identifier: GPL-2.0
/*
 * What strongSwan is told of a device's peers: the text of a file for swanctl.
 * Each peer is a block of its own between empty lines, so that two such texts can
 * be compared peer by peer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "swanctl.h"

/* All that a peer may choose among; bhsec has each of these ciphers. */
#define ESP_PROPOSAL "aes256gcm16-aes128gcm16-ecp256-x25519-esn-noesn"

/* What parts blocks. */
#define BLOCK_END "\n\n"

static void put_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void put_line(FILE *out, const char *key, const struct value *value)
{
	if (!value->text)
		return;
	fprintf(out, "        %s = ", key);
	put_quoted(out, value->text);
	putc('\n', out);
}

static void put_endpoint(FILE *out, const struct conf_peer *peer)
{
	char name[DEVICE_NAME_SIZE], plain[ADDRESS_TEXT];
	struct address addr;
	uint16_t port = 0;

	if (peer_is_any(peer))
		return;
	parse_endpoint(peer->endpoint.text, &addr, &port, name);
	fprintf(out, "    remote_addrs = %s\n",
		format_address(addr.bytes, addr.len, plain));
	if (port)
		fprintf(out, "    remote_port = %u\n", port);
}

static void put_vips(FILE *out, const char *text)
{
	if (!text)
		return;
	fprintf(out, "    vips = %s\n", strcmp(text, "ipv4") == 0 ? "0.0.0.0" :
		strcmp(text, "ipv6") == 0 ? "::" : "0.0.0.0,::");
}

static void put_selectors(FILE *out, const struct plan *plan,
			  const struct conf_peer *peer)
{
	const struct nets *local = &plan->local;
	char text[ADDRESS_TEXT];
	size_t i;

	/* an address of the other end's pool is the selector then */
	if (!peer->vip.text) {
		fputs("            local_ts = ", out);
		for (i = 0; i < local->count; i++)
			fprintf(out, "%s%s", i ? "," : "",
				format_prefix(local->net[i].prefix.addr.bytes,
					      local->net[i].prefix.addr.len,
					      local->net[i].prefix.len, text));
		putc('\n', out);
	}
	if (peer->networks.text)
		fprintf(out, "            remote_ts = %s\n",
			peer->networks.text);
}

static void put_start(FILE *out, const struct conf_peer *peer)
{
	if (peer_is_any(peer))
		return;
	if (peer_is_on_demand(peer))
		fputs("            start_action = trap\n"
		      "            close_action = trap\n"
		      "            dpd_action = trap\n", out);
	else
		fputs("            start_action = start\n"
		      "            close_action = start\n"
		      "            dpd_action = restart\n", out);
}

/* A CHILD_SA; that of a class has its DSCP as a mark, and in its name. */
static void put_child(FILE *out, const struct plan *plan,
		      const struct conf_peer *peer, unsigned int dscp)
{
	fprintf(out, "        %s", peer->name.text);
	if (dscp)
		fprintf(out, "-%u", dscp);
	fputs(" {\n", out);
	put_selectors(out, plan, peer);
	fprintf(out, "            esp_proposals = " ESP_PROPOSAL "\n"
		"            if_id_in = %u\n"
		"            if_id_out = %u\n",
		plan->want.if_id, plan->want.if_id);
	if (dscp)
		fprintf(out, "            set_mark_out = %u\n", dscp);
	put_start(out, peer);
	fputs("        }\n", out);
}

static void put_children(FILE *out, const struct plan *plan,
			 const struct conf_peer *peer)
{
	const char *at = peer->classes.text, *item;
	unsigned int dscp;
	size_t len;

	fputs("    children {\n", out);
	put_child(out, plan, peer, 0);
	while ((item = next_item(&at, &len)))
		if (!parse_dscp(item, len, &dscp))
			put_child(out, plan, peer, dscp);
	fputs("    }\n", out);
}

static void put_ends(FILE *out, const struct plan *plan,
		     const struct conf_peer *peer)
{
	const struct conf_identity *identity = &plan->conf.identity;
	const char *auth = *plan->psk ? "psk" : "pubkey";

	fprintf(out, "    local {\n        auth = %s\n", auth);
	put_line(out, "id", &identity->name);
	put_line(out, "certs", &identity->certificate);
	fprintf(out, "    }\n    remote {\n        auth = %s\n", auth);
	put_line(out, "id", &peer->identity);
	put_line(out, "cacerts", &peer->ca);
	fputs("    }\n", out);
}

static void put_pools(FILE *out, const struct plan *plan,
		      const struct conf_peer *peer)
{
	const char *at = peer->pool.text, *item;
	size_t len;

	while ((item = next_item(&at, &len)))
		fprintf(out, "pools { bhsec-%s-%s-%d { addrs = %.*s } }\n",
			plan->conf.name, peer->name.text,
			memchr(item, ':', len) ? 6 : 4, (int)len, item);
}

static void put_pool_names(FILE *out, const struct plan *plan,
			   const struct conf_peer *peer)
{
	const char *at = peer->pool.text, *item, *before = "    pools = ";
	size_t len;

	for (; (item = next_item(&at, &len)); before = ",")
		fprintf(out, "%sbhsec-%s-%s-%d", before, plan->conf.name,
			peer->name.text, memchr(item, ':', len) ? 6 : 4);
	if (peer->pool.text)
		putc('\n', out);
}

static void put_peer(FILE *out, const struct plan *plan,
		     const struct conf_peer *peer)
{
	fprintf(out, "connections { bhsec-%s-%s {\n"
		"    version = 2\n"
		"    keyingtries = 0\n"
		"    dpd_delay = 30s\n", plan->conf.name, peer->name.text);
	put_endpoint(out, peer);
	put_vips(out, peer->vip.text);
	put_pool_names(out, plan, peer);
	if (*plan->ppk) {
		fputs("    ppk_id = ", out);
		put_quoted(out, plan->conf.identity.ppk_id.text);
		fputs("\n    ppk_required = yes\n", out);
	}
	put_ends(out, plan, peer);
	put_children(out, plan, peer);
	fputs("} }\n", out);
	put_pools(out, plan, peer);
	putc('\n', out);
}

static void put_secret(FILE *out, const struct plan *plan, const char *kind,
		       const char *id, const char *secret)
{
	if (!*secret)
		return;
	fprintf(out, "secrets { %s-bhsec-%s {\n    id = ", kind,
		plan->conf.name);
	put_quoted(out, id);
	fputs("\n    secret = ", out);
	put_quoted(out, secret);
	fputs("\n} }\n\n", out);
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
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("# Made by bhsec apply: what is changed here is lost.\n\n", out);
	for (i = 0; i < plan->conf.count; i++)
		put_peer(out, plan, &plan->conf.peers[i]);
	put_secret(out, plan, "ike", identity->name.text, plan->psk);
	put_secret(out, plan, "ppk", identity->ppk_id.text, plan->ppk);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/**
 * struct block - what a text says of one thing
 * @text: from "connections {" or "secrets {" on
 * @len: of @text
 * @name: of the thing
 */
struct block {
	const char *text;
	size_t len;
	struct block_name name;
};

struct blocks {
	struct block *block;
	size_t count;
};

static int compare_blocks(const void *a, const void *b)
{
	const struct block *one = a, *other = b;
	size_t len = one->name.len < other->name.len ? one->name.len :
		     other->name.len;
	int diff = memcmp(one->name.text, other->name.text, len);

	return diff ? diff : (one->name.len > other->name.len) -
	       (one->name.len < other->name.len);
}

static bool name_block(struct block *block)
{
	static const char starts[] = "start_action = start\n";
	const char *open = memchr(block->text, '{', block->len), *end;

	if (!open || open[1] != ' ')
		return false;
	open += 2;
	end = memchr(open, ' ', block->text + block->len - open);
	block->name.text = open;
	block->name.len = end ? end - open : 0;
	block->name.starts = memmem(block->text, block->len, starts,
				    strlen(starts));
	return end;
}

static size_t count_ends(const char *text)
{
	size_t count = 0;

	while ((text = strstr(text, BLOCK_END))) {
		text += strlen(BLOCK_END);
		count++;
	}
	return count;
}

/* The blocks of a text by name; false without memory. */
static bool cut(const char *text, struct blocks *blocks)
{
	struct block *block = calloc(count_ends(text) + 1, sizeof(*block));
	const char *end;

	blocks->block = block;
	blocks->count = 0;
	for (; block && (end = strstr(text, BLOCK_END));
	     text = end + strlen(BLOCK_END)) {
		block->text = text;
		block->len = end - text;
		if (name_block(block)) {
			block++;
			blocks->count++;
		}
	}
	if (blocks->count)
		qsort(blocks->block, blocks->count, sizeof(*block),
		      compare_blocks);
	return blocks->block;
}

static bool same(const struct block *a, const struct block *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static void walk(const struct blocks *from, const struct blocks *to,
		 block_fn *act, void *data)
{
	const struct block *old = from->block, *old_end = old + from->count;
	const struct block *new = to->block, *new_end = new + to->count;
	char sign;
	int diff;

	while (old < old_end || new < new_end) {
		diff = old == old_end ? 1 : new == new_end ? -1 :
		       compare_blocks(old, new);
		sign = diff < 0 ? '-' : diff > 0 ? '+' : '~';
		if (diff || !same(old, new))
			act(data, sign, diff < 0 ? &old->name : &new->name);
		old += diff <= 0;
		new += diff >= 0;
	}
}

/**
 * swanctl_compare - act on each block that differs between two texts
 * @from: the one that there is, NULL for none
 * @to: the one that is to be, NULL for none
 * @act: what to do, with '+', '-' or '~'
 * @data: for @act
 *
 * Return: 0, or -1 without memory.
 */
int swanctl_compare(const char *from, const char *to, block_fn *act, void *data)
{
	struct blocks old = {}, new = {};
	int status = -1;

	if (cut(from ?: "", &old) && cut(to ?: "", &new)) {
		walk(&old, &new, act, data);
		status = 0;
	}
	free(old.block);
	free(new.block);
	return status;
}
