// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec peer: remote sites of a device.
 */
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "message.h"
#include "options.h"
#include "util.h"

static const char *put_endpoint(struct request *req,
				const struct option *option, struct said *said)
{
	struct address addr;
	const char *reason;
	char dev[DEVICE_NAME_SIZE] = "";
	uint16_t port = 0;

	reason = parse_endpoint(said->text, &addr, &port, dev);
	if (!reason)
		reason = request_put(req, option->attr, addr.len, addr.bytes);
	if (!reason && *dev)
		reason = request_put_text(req, BHSEC_A_PEER_ENDPOINT_DEV, dev);
	if (reason || !port)
		return reason;
	return request_put(req, BHSEC_A_PEER_ENDPOINT_PORT, sizeof(port), &port);
}

/* A refusal speaks of the one selector that is wrong, not of the list. */
static const char *put_selector(struct request *req, const char *text,
				size_t len, struct said *said)
{
	struct prefix prefix;
	const char *reason;

	reason = parse_prefix(text, len, &prefix);
	if (!reason)
		reason = request_put_prefix(req, &prefix);
	if (reason) {
		said->word = "selector";
		said->text = text;
		said->len = len;
	}
	return reason;
}

static const char *put_selectors_text(struct request *req, const char *text,
				      struct said *said)
{
	const char *reason;
	size_t len;

	for (;;) {
		len = strcspn(text, ",");
		reason = put_selector(req, text, len, said);
		if (reason || !text[len])
			return reason;
		text += len + 1;
	}
}

static const char *put_selectors(struct request *req,
				 const struct option *option, struct said *said)
{
	const char *none = option->attr == BHSEC_A_PEER_SELECTORS ? "none" : "any";
	const char *reason = NULL;
	struct nlattr *nest;

	nest = mnl_attr_nest_start_check(req->nlh, req->size, option->attr);
	if (!nest)
		return "this is too long for one request";
	if (strcmp(said->text, none) != 0)
		reason = put_selectors_text(req, said->text, said);
	if (!reason && request_offset(req) - said->begin > UINT16_MAX) {
		said->text = NULL;
		reason = "the list is too long";
	}
	mnl_attr_nest_end(req->nlh, nest);
	return reason;
}

static const struct option options[] = {
	{ .word = "endpoint", .put = put_endpoint,
	  .attr = BHSEC_A_PEER_ENDPOINT_ADDR },
	OPTION_NAME("encap", BHSEC_A_PEER_ENCAP, 4, &encap_names),
	{ .word = "selectors", .put = put_selectors,
	  .attr = BHSEC_A_PEER_SELECTORS },
	{ .word = "local-selectors", .put = put_selectors,
	  .attr = BHSEC_A_PEER_LOCAL_SELECTORS },
	OPTION_NAME("roam", BHSEC_A_PEER_ROAM, 1, &switch_names),
	OPTION_NAME("entropy", BHSEC_A_PEER_ENTROPY, 1, &switch_names),
	OPTION_NUMBER("keepalive", BHSEC_A_PEER_KEEPALIVE, 2, 0, UINT16_MAX),
};

/* The names of the device and the peer, which every command has. */
static int begin(struct context *ctx, struct words *words, const char *command,
		 uint8_t number, struct request *req)
{
	char *device, *peer;
	int status;

	status = take_device(words, command, &device);
	if (!status)
		status = take_peer(words, command, &peer);
	if (status)
		return status;
	request_begin(req, ctx->buffer, sizeof(ctx->buffer), number);
	snprintf(req->subject, sizeof(req->subject), "peer %s", peer);
	request_put_object(req, BHSEC_A_PEER_IFNAME, device);
	request_put_text(req, BHSEC_A_PEER_NAME, peer);
	return 0;
}

static int peer_add(struct context *ctx, struct words *words)
{
	struct request req;
	int status;

	status = begin(ctx, words, "peer add", BHSEC_CMD_PEER_ADD, &req);
	if (!status)
		status = options_take(words, options, ARRAY_SIZE(options), &req);
	return status ? status : context_send(ctx, &req);
}

static int peer_set(struct context *ctx, struct words *words)
{
	struct request req;
	int status;

	status = begin(ctx, words, "peer set", BHSEC_CMD_PEER_SET, &req);
	if (!status && !words_peek(words))
		status = misuse("%s: there is nothing to set", req.subject);
	if (!status)
		status = options_take(words, options, ARRAY_SIZE(options), &req);
	return status ? status : context_send(ctx, &req);
}

static int peer_del(struct context *ctx, struct words *words)
{
	struct request req;
	int status;

	status = begin(ctx, words, "peer del", BHSEC_CMD_PEER_DEL, &req);
	if (!status)
		status = take_end(words, "peer del");
	return status ? status : context_send(ctx, &req);
}

/**
 * cmd_peer - bhsec peer add|set|del DEVICE NAME [OPTION...]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_peer(struct context *ctx, struct words *words)
{
	const char *word = words_take(words);

	if (!word)
		return misuse("peer: one of add, set, del is missing");
	if (strcmp(word, "add") == 0)
		return peer_add(ctx, words);
	if (strcmp(word, "set") == 0)
		return peer_set(ctx, words);
	if (strcmp(word, "del") == 0)
		return peer_del(ctx, words);
	return misuse("peer: %s is none of add, set, del", quoted(word));
}
