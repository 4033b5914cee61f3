// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's refusal in the user's words. Its sentences are fixed (6.1 can
 * format none), so who else holds an SPI, a prefix or a port is looked up.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attr.h"
#include "message.h"
#include "refusal.h"
#include "words.h"

/* Who holds it: a sentence's end such as ", held by peer bts3 of bh0". */
struct holder {
	char text[320];
};

/* As many selectors of a peer are told in a sentence. */
#define SELECTORS_TOLD 3

static const struct nlattr *find_attr(const struct request *req, uint16_t type)
{
	return nl_find(req->nlh, type);
}

static bool is_at(const struct request *req, uint16_t type, uint32_t offset)
{
	return (char *)find_attr(req, type) == (char *)req->nlh + offset;
}

static uint8_t command_of(const struct request *req)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(req->nlh);

	return genl->cmd;
}

/* All objects of a kind; none if the kernel refuses, as names are a courtesy. */
static void dump(struct nl *nl, uint8_t command, uint16_t attr,
		 const char *device, struct nl_records *records)
{
	uint32_t buffer[REQUEST_NAME_SIZE / sizeof(uint32_t)];
	struct request req;

	request_begin(&req, buffer, sizeof(buffer), command);
	if (device)
		request_put_text(&req, attr, device);
	if (nl_dump(nl, &req, records).code)
		nl_records_free(records);
}

static bool find_spi_on(struct nl *nl, const char *device, uint32_t spi,
			struct holder *holder)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	struct nl_records sas = {};
	bool found = false;
	size_t i;

	dump(nl, BHSEC_CMD_SA_GET, BHSEC_A_SA_IFNAME, device, &sas);
	for (i = 0; i < sas.count && !found; i++) {
		nl_attrs(sas.record[i], attrs, BHSEC_A_SA_MAX);
		found = mnl_attr_get_u32(attrs[BHSEC_A_SA_SPI]) == spi &&
			mnl_attr_get_u32(attrs[BHSEC_A_SA_DIRECTION]) ==
			BHSEC_DIRECTION_IN;
	}
	if (found)
		snprintf(holder->text, sizeof(holder->text),
			 ", held by peer %s of %s",
			 mnl_attr_get_str(attrs[BHSEC_A_SA_PEER]), device);
	nl_records_free(&sas);
	return found;
}

/* The one inbound SA of any device here that has the SPI of a request. */
static void find_spi(struct nl *nl, const struct request *req,
		     struct holder *holder)
{
	uint32_t spi = mnl_attr_get_u32(find_attr(req, BHSEC_A_SA_SPI));
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct nl_records devices = {};
	size_t i;

	if (mnl_attr_get_u32(find_attr(req, BHSEC_A_SA_DIRECTION)) !=
	    BHSEC_DIRECTION_IN)
		return;
	dump(nl, BHSEC_CMD_DEV_GET, 0, NULL, &devices);
	for (i = 0; i < devices.count; i++) {
		nl_attrs(devices.record[i], attrs, BHSEC_A_DEVICE_MAX);
		if (find_spi_on(nl, mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]),
				spi, holder))
			break;
	}
	nl_records_free(&devices);
}

static bool is_same_prefix(const struct nlattr *a, const struct nlattr *b)
{
	return mnl_attr_get_len(a) == mnl_attr_get_len(b) &&
	       memcmp(mnl_attr_get_payload(a), mnl_attr_get_payload(b),
		      mnl_attr_get_payload_len(a)) == 0;
}

static const struct nlattr *find_prefix(const struct nlattr *list,
					const struct nlattr *prefix)
{
	const struct nlattr *member;

	if (!list)
		return NULL;
	mnl_attr_for_each_nested(member, list)
		if (is_same_prefix(member, prefix))
			return member;
	return NULL;
}

/* A prefix of the list that a peer other than the request's has too. */
static const struct nlattr *find_shared(const struct request *req,
					const struct nlattr *list,
					const struct nlattr **peer)
{
	const char *name = mnl_attr_get_str(find_attr(req, BHSEC_A_PEER_NAME));
	const struct nlattr *prefix;

	if (strcmp(mnl_attr_get_str(peer[BHSEC_A_PEER_NAME]), name) == 0)
		return NULL;
	mnl_attr_for_each_nested(prefix, list)
		if (find_prefix(peer[BHSEC_A_PEER_SELECTORS], prefix))
			return prefix;
	return NULL;
}

/* The peer of the same device that has one of the prefixes of a request. */
static const struct nlattr *find_selector(struct nl *nl,
					  const struct request *req,
					  struct holder *holder)
{
	const char *device = mnl_attr_get_str(find_attr(req, BHSEC_A_PEER_IFNAME));
	const struct nlattr *list = find_attr(req, BHSEC_A_PEER_SELECTORS);
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];
	const struct nlattr *shared = NULL;
	struct nl_records peers = {};
	size_t i;

	dump(nl, BHSEC_CMD_PEER_GET, BHSEC_A_PEER_IFNAME, device, &peers);
	for (i = 0; list && i < peers.count && !shared; i++) {
		nl_attrs(peers.record[i], attrs, BHSEC_A_PEER_MAX);
		shared = find_shared(req, list, attrs);
	}
	if (shared)
		snprintf(holder->text, sizeof(holder->text), ", held by peer %s",
			 mnl_attr_get_str(attrs[BHSEC_A_PEER_NAME]));
	nl_records_free(&peers);
	return shared;
}

/* The UDP port of the device that a request is about. */
static void find_port(struct nl *nl, const struct request *req,
		      struct holder *holder)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct nl_records devices = {};
	uint32_t buffer[REQUEST_NAME_SIZE / sizeof(uint32_t)];
	struct request get;

	request_begin(&get, buffer, sizeof(buffer), BHSEC_CMD_DEV_GET);
	request_put_text(&get, BHSEC_A_DEVICE_IFNAME,
			 mnl_attr_get_str(find_attr(req, BHSEC_A_SA_IFNAME)));
	if (!nl_do(nl, &get, &devices).code && devices.count) {
		nl_attrs(devices.record[0], attrs, BHSEC_A_DEVICE_MAX);
		snprintf(holder->text, sizeof(holder->text), ", %u",
			 mnl_attr_get_u16(attrs[BHSEC_A_DEVICE_PORT]));
	}
	nl_records_free(&devices);
}

/* The other device here that has the if-id of a request. */
static void find_if_id(struct nl *nl, const struct request *req,
		       struct holder *holder)
{
	uint32_t if_id = mnl_attr_get_u32(find_attr(req, BHSEC_A_DEVICE_IF_ID));
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct nl_records devices = {};
	size_t i;

	dump(nl, BHSEC_CMD_DEV_GET, 0, NULL, &devices);
	for (i = 0; i < devices.count; i++) {
		nl_attrs(devices.record[i], attrs, BHSEC_A_DEVICE_MAX);
		if (attrs[BHSEC_A_DEVICE_IF_ID] &&
		    mnl_attr_get_u32(attrs[BHSEC_A_DEVICE_IF_ID]) == if_id)
			snprintf(holder->text, sizeof(holder->text), ", %s",
				 mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]));
	}
	nl_records_free(&devices);
}

static void append(struct holder *holder, const char *text)
{
	size_t len = strlen(holder->text);

	snprintf(holder->text + len, sizeof(holder->text) - len, "%s", text);
}

static void append_endpoint(struct holder *holder, const struct nlattr **peer)
{
	char text[ADDRESS_TEXT];
	const char *endpoint = attr_endpoint(peer, text);

	append(holder, endpoint ? ", with endpoint " : ", without endpoint");
	if (endpoint)
		append(holder, endpoint);
}

static void append_selectors(struct holder *holder, const struct nlattr *list)
{
	const struct nlattr *prefix;
	char text[ADDRESS_TEXT];
	unsigned int count = 0;

	mnl_attr_for_each_nested(prefix, list) {
		if (count == SELECTORS_TOLD) {
			append(holder, ",...");
			break;
		}
		append(holder, count++ ? "," : ", selectors ");
		append(holder, attr_prefix(prefix, text));
	}
	if (!count)
		append(holder, ", no selectors");
}

/* A request about the peer that another one is about. */
static void name_peer(const struct request *req, uint16_t ifname, uint16_t name,
		      struct request *get)
{
	request_put_text(get, ifname,
			 mnl_attr_get_str(find_attr(req, BHSEC_A_PEER_IFNAME)));
	request_put_text(get, name,
			 mnl_attr_get_str(find_attr(req, BHSEC_A_PEER_NAME)));
}

static void append_sas(struct nl *nl, const struct request *req,
		       struct holder *holder)
{
	uint32_t buffer[REQUEST_NAME_SIZE / sizeof(uint32_t)];
	struct nl_records sas = {};
	struct request get;
	char text[32];

	request_begin(&get, buffer, sizeof(buffer), BHSEC_CMD_SA_GET);
	name_peer(req, BHSEC_A_SA_IFNAME, BHSEC_A_SA_PEER, &get);
	if (!nl_dump(nl, &get, &sas).code) {
		snprintf(text, sizeof(text), " and %zu SA%s", sas.count,
			 sas.count == 1 ? "" : "s");
		append(holder, text);
	}
	nl_records_free(&sas);
}

/* What the peer that a request wants to make has already. */
static void find_peer(struct nl *nl, const struct request *req,
		      struct holder *holder)
{
	uint32_t buffer[REQUEST_NAME_SIZE / sizeof(uint32_t)];
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];
	struct nl_records peers = {};
	struct request get;

	request_begin(&get, buffer, sizeof(buffer), BHSEC_CMD_PEER_GET);
	name_peer(req, BHSEC_A_PEER_IFNAME, BHSEC_A_PEER_NAME, &get);
	if (!nl_do(nl, &get, &peers).code && peers.count) {
		nl_attrs(peers.record[0], attrs, BHSEC_A_PEER_MAX);
		append_endpoint(holder, attrs);
		append_selectors(holder, attrs[BHSEC_A_PEER_SELECTORS]);
		append_sas(nl, req, holder);
	}
	append(holder, "; 'peer set' changes it");
	nl_records_free(&peers);
}

/* The prefix within a nest of prefixes that an offset lies in, as text. */
static bool format_member(const struct request *req, const struct said *said,
			  uint32_t offset, char text[ADDRESS_TEXT])
{
	const struct nlattr *list = (void *)((char *)req->nlh + said->begin);
	const struct nlattr *prefix;
	uint32_t begin;

	mnl_attr_for_each_nested(prefix, list) {
		begin = (char *)prefix - (char *)req->nlh;
		if (offset < begin || offset >= begin + prefix->nla_len)
			continue;
		attr_prefix(prefix, text);
		return true;
	}
	return false;
}

static bool is_prefix_list(const struct request *req, const struct said *said)
{
	const struct nlattr *attr = (void *)((char *)req->nlh + said->begin);

	return (command_of(req) == BHSEC_CMD_PEER_ADD ||
		command_of(req) == BHSEC_CMD_PEER_SET) &&
	       (mnl_attr_get_type(attr) == BHSEC_A_PEER_SELECTORS ||
		mnl_attr_get_type(attr) == BHSEC_A_PEER_LOCAL_SELECTORS);
}

static const char *sentence_of(const struct nl_error *error)
{
	if (error->sentence[0])
		return error->sentence;
	switch (error->code) {
	case EPERM:
		return "this needs the capability CAP_NET_ADMIN";
	case ENOENT:
		return "the bhsec module is not loaded";
	default:
		return strerror(error->code);
	}
}

static uint32_t find_holder(struct nl *nl, const struct request *req,
			    const struct said *said, struct holder *holder)
{
	const struct nlattr *shared = NULL;

	switch (command_of(req)) {
	case BHSEC_CMD_PEER_ADD:
	case BHSEC_CMD_PEER_SET:
		if (strcmp(said->word, "selectors") == 0)
			shared = find_selector(nl, req, holder);
		break;
	case BHSEC_CMD_SA_ADD:
		if (strcmp(said->word, "spi") == 0)
			find_spi(nl, req, holder);
		break;
	case BHSEC_CMD_DEV_SET:
		if (strcmp(said->word, "if-id") == 0)
			find_if_id(nl, req, holder);
		break;
	}
	return shared ? (char *)shared - (char *)req->nlh : 0;
}

/**
 * refuse_said - say what is wrong with an option or its value
 * @req: the request
 * @said: the user's words
 * @sentence: what is wrong
 * @tail: end of the sentence
 *
 * Return: EXIT_REFUSED.
 */
int refuse_said(const struct request *req, const struct said *said,
		const char *sentence, const char *tail)
{
	if (!said->text)
		return refuse("%s: %s: %s%s", req->subject, said->word,
			      sentence, tail);
	return refuse("%s: %s%s%s: %s%s", req->subject,
		      said->word ? said->word : "", said->word ? " " : "",
		      shortened(said->text, said->len), sentence, tail);
}

static int say(const struct request *req, const struct said *said,
	       uint32_t offset, const char *sentence, const char *tail)
{
	char member[ADDRESS_TEXT];
	struct said one;

	if (!said)
		return refuse("%s: %s%s", req->subject, sentence, tail);
	if (!is_prefix_list(req, said) ||
	    !format_member(req, said, offset, member))
		return refuse_said(req, said, sentence, tail);
	one = (struct said) {
		.word = "selector",
		.text = member,
		.len = strlen(member),
	};
	return refuse_said(req, &one, sentence, tail);
}

/**
 * refusal - say why the kernel refused
 * @nl: the conversation, for look-ups
 * @req: the request that was refused
 * @error: the kernel's answer
 *
 * Return: EXIT_REFUSED.
 */
int refusal(struct nl *nl, const struct request *req,
	    const struct nl_error *error)
{
	const struct said *said = request_find(req, error->offset);
	uint32_t offset = error->offset, member;
	struct holder holder = {};

	if (error->code == EEXIST && said && said->word) {
		member = find_holder(nl, req, said, &holder);
		offset = member ? member : offset;
	}
	if (error->code == EEXIST && command_of(req) == BHSEC_CMD_PEER_ADD &&
	    is_at(req, BHSEC_A_PEER_NAME, offset))
		find_peer(nl, req, &holder);
	if (error->code == EADDRINUSE && command_of(req) == BHSEC_CMD_SA_ADD) {
		/* the port is the device's, no word of the command is wrong */
		said = NULL;
		find_port(nl, req, &holder);
	}
	return say(req, said, offset, sentence_of(error), holder.text);
}
