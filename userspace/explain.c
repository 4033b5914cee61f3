// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec explain: where a packet would go, or what it would meet instead.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "message.h"
#include "number.h"
#include "options.h"
#include "print.h"
#include "refusal.h"
#include "route.h"
#include "show.h"

/**
 * struct packet - what is asked about
 * @route: conversation about routes
 * @device: of the tunnel
 * @src: its source
 * @dst: its destination
 * @words: both, as the user wrote them
 */
struct packet {
	struct nl *route;
	char *device;
	struct address src;
	struct address dst;
	const char *words[2];
};

static const char *put_protocol(struct request *req,
				const struct option *option, struct said *said)
{
	const struct protoent *known = getprotobyname(said->text);
	uint64_t number;
	uint8_t value;

	if (known)
		number = known->p_proto;
	else if (!parse_number(said->text, said->len, &number) || number > 255)
		return "must be a number from 0 to 255, or a name of /etc/protocols";
	value = number;
	return request_put(req, option->attr, sizeof(value), &value);
}

static const struct option options[] = {
	{ .word = "proto", .put = put_protocol, .attr = BHSEC_A_WAY_PROTOCOL },
	OPTION_NUMBER("dport", BHSEC_A_WAY_DPORT, 2, 0, UINT16_MAX),
	{ .word = "dscp", .put = put_dscp, .attr = BHSEC_A_WAY_DSCP },
	OPTION_NUMBER("size", BHSEC_A_WAY_SIZE, 4, 0, UINT16_MAX),
};

static int take_address(struct words *words, struct request *req, uint16_t attr,
			const char **word, struct address *addr)
{
	struct said said = { .begin = request_offset(req) };
	const char *reason;

	*word = words_take(words);
	if (!*word)
		return misuse("explain: a source and a destination are needed");
	said.text = *word;
	said.len = strlen(*word);
	reason = parse_address(said.text, said.len, addr);
	if (reason)
		return refuse_said(req, &said, reason, "");
	request_put(req, attr, addr->len, addr->bytes);
	request_said(req, &said);
	return 0;
}

static int take_packet(struct words *words, struct request *req,
		       struct packet *packet)
{
	int status;

	request_put_text(req, BHSEC_A_WAY_IFNAME, packet->device);
	status = take_address(words, req, BHSEC_A_WAY_SRC, &packet->words[0],
			      &packet->src);
	if (!status)
		status = take_address(words, req, BHSEC_A_WAY_DST,
				      &packet->words[1], &packet->dst);
	return status ? status : options_take(words, options,
					      ARRAY_SIZE(options), req);
}

/* Of a packet's way, the part that the host decides, not the tunnel. */
static void print_route(struct output *out, const struct packet *packet,
			const struct nlmsghdr *request, const char *device)
{
	const struct nlattr *dscp = nl_find(request, BHSEC_A_WAY_DSCP);
	char dev[IF_NAMESIZE];
	const char *found;

	found = route_find(packet->route, &packet->src, &packet->dst,
			   dscp ? number_of(dscp) : 0, dev);
	out_line(out, 1);
	if (found)
		out_string(out, "route", found);
	else
		out_none(out, "route", "none");
	if (!out->json && (!found || strcmp(found, device) != 0))
		out_string(out, "which is not", device);
}

static void print_end(struct output *out, const char *key, const char *word,
		      const struct nlattr *addr, const struct nlattr *port)
{
	char text[ADDRESS_TEXT];

	out_named(out, key, word,
		  format_endpoint(mnl_attr_get_payload(addr),
				  mnl_attr_get_payload_len(addr),
				  port ? number_of(port) : 0, NULL, text));
}

static void print_outer(struct output *out, const struct nlattr **attrs)
{
	if (!attrs[BHSEC_A_WAY_OUTER_SRC])
		return;
	out_line(out, 1);
	print_end(out, "outer_src", "outer", attrs[BHSEC_A_WAY_OUTER_SRC],
		  attrs[BHSEC_A_WAY_OUTER_SPORT]);
	print_end(out, "outer_dst", ">", attrs[BHSEC_A_WAY_OUTER_DST],
		  attrs[BHSEC_A_WAY_OUTER_DPORT]);
	print_number(out, "dscp", attrs[BHSEC_A_WAY_DSCP]);
	print_number(out, "mtu", attrs[BHSEC_A_WAY_MTU]);
}

/* A sentence comes last. A module that is newer may know of other causes. */
static void print_drop(struct output *out, uint32_t cause, unsigned int indent)
{
	const char *advice = advice_of(cause);

	out_line(out, indent);
	out_string(out, "drop", advice ? stats_names[cause] : "other");
	out_named(out, "advice", "-",
		  advice ? advice : "the module is newer than this tool");
}

static void print_way(struct output *out, const struct packet *packet,
		      const struct nlmsghdr *request,
		      const struct nlmsghdr *reply)
{
	const struct nlattr *attrs[BHSEC_A_WAY_MAX + 1];

	nl_attrs(reply, attrs, BHSEC_A_WAY_MAX);
	out_object(out, NULL);
	out_line(out, 0);
	out_named(out, "src", NULL, packet->words[0]);
	out_named(out, "dst", ">", packet->words[1]);
	/* the user may have called it by another name of its own */
	print_route(out, packet, request,
		    mnl_attr_get_str(attrs[BHSEC_A_WAY_IFNAME]));
	out_line(out, 1);
	if (attrs[BHSEC_A_WAY_PEER])
		print_string(out, "peer", "peer", attrs[BHSEC_A_WAY_PEER]);
	else
		out_none(out, "peer", "none");
	if (attrs[BHSEC_A_WAY_SPI])
		out_hex(out, "spi", number_of(attrs[BHSEC_A_WAY_SPI]));
	print_number(out, "seq", attrs[BHSEC_A_WAY_SEQ]);
	print_outer(out, attrs);
	if (attrs[BHSEC_A_WAY_DROP])
		print_drop(out, number_of(attrs[BHSEC_A_WAY_DROP]), 1);
	else
		out_none(out, "drop", NULL);
	out_object_end(out);
	out_end(out);
}

static int explain_out(struct context *ctx, struct words *words, char *device)
{
	struct packet packet = { .device = device };
	struct output out = { .json = ctx->json };
	struct nl_records reply = {};
	struct nl_error error;
	struct request req;
	int status;

	request_begin(&req, ctx->buffer, sizeof(ctx->buffer), BHSEC_CMD_EXPLAIN);
	snprintf(req.subject, sizeof(req.subject), "%s", device);
	status = take_packet(words, &req, &packet);
	if (status)
		return status;
	if (!context_connect(ctx) || !context_connect_route(ctx))
		return EXIT_REFUSED;
	packet.route = ctx->route;
	error = nl_do(ctx->nl, &req, &reply);
	if (error.code)
		status = refusal(ctx->nl, &req, &error);
	else if (reply.count)
		print_way(&out, &packet, req.nlh, reply.record[0]);
	nl_records_free(&reply);
	return status;
}

static void print_drops(struct output *out, const struct nlattr *nest)
{
	const struct nlattr *attrs[BHSEC_A_STATS_MAX + 1];
	uint32_t i;

	nl_nested(nest, attrs, BHSEC_A_STATS_MAX);
	out_array(out, "drops");
	for (i = 0; i <= BHSEC_A_STATS_MAX; i++) {
		if (!attrs[i] || !advice_of(i) || !number_of(attrs[i]))
			continue;
		out_object(out, NULL);
		print_drop(out, i, 2);
		out_object_end(out);
	}
	out_array_end(out);
}

static void print_inbound(struct output *out, const struct nlmsghdr *sa)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];

	out_object(out, NULL);
	out_line(out, 0);
	if (sa) {
		nl_attrs(sa, attrs, BHSEC_A_SA_MAX);
		print_string(out, "peer", "peer", attrs[BHSEC_A_SA_PEER]);
		out_line(out, 1);
		print_sa_settings(out, attrs);
		print_drops(out, attrs[BHSEC_A_SA_STATS]);
	} else {
		print_drop(out, BHSEC_A_STATS_NO_SA, 0);
	}
	out_object_end(out);
	out_end(out);
}

static const struct nlmsghdr *find_inbound(const struct nl_records *sas,
					   uint64_t spi)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	size_t i;

	for (i = 0; i < sas->count; i++) {
		nl_attrs(sas->record[i], attrs, BHSEC_A_SA_MAX);
		if (number_of(attrs[BHSEC_A_SA_DIRECTION]) == BHSEC_DIRECTION_IN &&
		    attrs[BHSEC_A_SA_SPI] &&
		    number_of(attrs[BHSEC_A_SA_SPI]) == spi)
			return sas->record[i];
	}
	return NULL;
}

/* Who is told of no SPI would hear that there is none. */
static bool is_told_of(const struct nl_records *sas)
{
	return !sas->count ||
	       !is_withheld(nl_find(sas->record[0], BHSEC_A_SA_WITHHELD),
			    BHSEC_PRIVILEGE_DEVICE);
}

static int explain_in(struct context *ctx, struct words *words, char *device)
{
	const char *word = words_take(words);
	struct output out = { .json = ctx->json };
	struct nl_records sas = {};
	struct nl_error error;
	struct request req;
	uint64_t spi;
	int status;

	if (!word)
		return misuse("explain: --in needs an SPI");
	if (!parse_number(word, strlen(word), &spi) || spi < SPI_MIN ||
	    spi > UINT32_MAX)
		return refuse("explain: SPI %s: must be a number from %d to %u",
			      quoted(word), SPI_MIN, UINT32_MAX);
	status = take_end(words, "explain");
	if (status)
		return status;
	if (!context_connect(ctx))
		return EXIT_REFUSED;
	request_begin(&req, ctx->buffer, sizeof(ctx->buffer), BHSEC_CMD_SA_GET);
	snprintf(req.subject, sizeof(req.subject), "%s", device);
	request_put_text(&req, BHSEC_A_SA_IFNAME, device);
	error = nl_dump(ctx->nl, &req, &sas);
	if (error.code)
		status = refusal(ctx->nl, &req, &error);
	else if (!is_told_of(&sas))
		status = refuse("%s: this needs the capability CAP_NET_ADMIN",
				device);
	else
		print_inbound(&out, find_inbound(&sas, spi));
	nl_records_free(&sas);
	return status;
}

/* It may stand behind all others, too. */
static void take_json(struct context *ctx, struct words *words)
{
	const char *last = words->word[words->count - 1];

	if (words->next == words->count ||
	    (strcmp(last, "-j") != 0 && strcmp(last, "--json") != 0))
		return;
	ctx->json = true;
	words->count--;
}

/**
 * cmd_explain - bhsec explain DEVICE SRC DST [OPTION...] | DEVICE --in SPI
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_explain(struct context *ctx, struct words *words)
{
	char *device;
	int status;

	take_json(ctx, words);
	status = take_device(words, "explain", &device);
	if (status)
		return status;
	if (words_take_if(words, "--in"))
		return explain_in(ctx, words, device);
	return explain_out(ctx, words, device);
}
