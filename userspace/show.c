// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show: devices, their peers and SAs, and what was counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "message.h"
#include "names.h"
#include "options.h"
#include "output.h"
#include "refusal.h"

/**
 * struct show - what is asked for
 * @ctx: the process
 * @device: its name, NULL for all
 * @peer: its name, NULL for all
 * @stats: print all counters
 * @out: the result
 */
struct show {
	struct context *ctx;
	const char *device;
	const char *peer;
	bool stats;
	struct output out;
};

/**
 * struct row - an object in the order of printing
 * @nlh: its message
 * @peer: name of the peer that it is or belongs to
 * @rank: order among those of one peer
 */
struct row {
	const struct nlmsghdr *nlh;
	const char *peer;
	uint64_t rank;
};

struct rows {
	struct row *row;
	size_t count;
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strverscmp(x->peer, y->peer);

	if (order)
		return order;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static uint64_t number_of(const struct nlattr *attr)
{
	switch (mnl_attr_get_payload_len(attr)) {
	case 1:
		return mnl_attr_get_u8(attr);
	case 2:
		return mnl_attr_get_u16(attr);
	case 4:
		return mnl_attr_get_u32(attr);
	default:
		return mnl_attr_get_u64(attr);
	}
}

/*
 * Sorts peers by name, and SAs likewise, so that one walk over both joins
 * them: the inbound ones of a peer before the outbound ones, each as added.
 */
static bool sort_rows(const struct nl_records *records, uint16_t peer,
		      uint16_t direction, struct rows *rows)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	struct row *row;
	size_t i;

	rows->count = records->count;
	rows->row = calloc(records->count + 1, sizeof(*row));
	if (!rows->row)
		return false;
	for (i = 0; i < records->count; i++) {
		nl_attrs(records->record[i], attrs, BHSEC_A_SA_MAX);
		row = &rows->row[i];
		row->nlh = records->record[i];
		row->peer = mnl_attr_get_str(attrs[peer]);
		row->rank = i;
		if (direction)
			row->rank |= number_of(attrs[direction]) << 32;
	}
	qsort(rows->row, rows->count, sizeof(*rows->row), compare_rows);
	return true;
}

static void print_number(struct output *out, const char *word,
			 const struct nlattr *attr)
{
	if (attr)
		out_number(out, word, number_of(attr));
}

static void print_name(struct output *out, const char *word,
		       const struct nlattr *attr, const struct names *names)
{
	if (attr)
		out_string(out, word, names_word(names, number_of(attr)));
}

static bool is_traffic(unsigned int counter)
{
	return counter <= BHSEC_A_STATS_TX_BYTES;
}

/*
 * Traffic where it is wanted, drops that happened; all with --stats, and in
 * JSON, whose readers should not have to know that absence is zero.
 */
static void print_stats(struct show *show, const struct nlattr *nest,
			unsigned int indent, bool traffic)
{
	const struct nlattr *attrs[BHSEC_A_STATS_MAX + 1];
	bool all = show->stats || show->out.json;
	bool begun = false;
	unsigned int i;

	nl_nested(nest, attrs, BHSEC_A_STATS_MAX);
	out_object(&show->out, "stats");
	for (i = BHSEC_A_STATS_RX_PACKETS; i <= BHSEC_A_STATS_MAX; i++) {
		if (!attrs[i] || !(all || (traffic && is_traffic(i)) ||
				   number_of(attrs[i])))
			continue;
		if (!begun)
			out_line(&show->out, indent);
		begun = true;
		print_number(&show->out, stats_names[i], attrs[i]);
	}
	out_object_end(&show->out);
}

static void print_prefixes(struct output *out, const char *word,
			   const struct nlattr *list, const char *none)
{
	const struct nlattr *prefix, *attrs[BHSEC_A_PREFIX_MAX + 1];
	const struct nlattr *addr;
	char text[ADDRESS_TEXT];

	if (!list)
		return;
	out_list(out, word);
	mnl_attr_for_each_nested(prefix, list) {
		nl_nested(prefix, attrs, BHSEC_A_PREFIX_MAX);
		addr = attrs[BHSEC_A_PREFIX_ADDR];
		out_member(out, format_prefix(mnl_attr_get_payload(addr),
					      mnl_attr_get_payload_len(addr),
					      number_of(attrs[BHSEC_A_PREFIX_LEN]),
					      text));
	}
	out_list_end(out, none);
}

static void print_lifetimes(struct output *out, const struct nlattr **attrs)
{
	print_number(out, "soft-packets", attrs[BHSEC_A_SA_SOFT_PACKETS]);
	print_number(out, "hard-packets", attrs[BHSEC_A_SA_HARD_PACKETS]);
	print_number(out, "soft-bytes", attrs[BHSEC_A_SA_SOFT_BYTES]);
	print_number(out, "hard-bytes", attrs[BHSEC_A_SA_HARD_BYTES]);
	print_number(out, "soft-seconds", attrs[BHSEC_A_SA_SOFT_SECONDS]);
	print_number(out, "hard-seconds", attrs[BHSEC_A_SA_HARD_SECONDS]);
}

static void print_sa(struct show *show, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	struct output *out = &show->out;

	nl_attrs(nlh, attrs, BHSEC_A_SA_MAX);
	out_object(out, NULL);
	out_line(out, 2);
	out_named(out, "direction", NULL,
		  names_word(&direction_names,
			     number_of(attrs[BHSEC_A_SA_DIRECTION])));
	out_hex(out, "spi", number_of(attrs[BHSEC_A_SA_SPI]));
	print_name(out, "cipher", attrs[BHSEC_A_SA_CIPHER], &cipher_names);
	if (attrs[BHSEC_A_SA_ESN])
		out_switch(out, "esn", number_of(attrs[BHSEC_A_SA_ESN]));
	print_number(out, "window", attrs[BHSEC_A_SA_WINDOW]);
	if (attrs[BHSEC_A_SA_DSCP_MASK])
		out_ranges(out, "dscp", number_of(attrs[BHSEC_A_SA_DSCP_MASK]),
			   "none");
	print_name(out, "state", attrs[BHSEC_A_SA_STATE], &state_names);
	print_number(out, "seq", attrs[BHSEC_A_SA_SEQ]);
	print_number(out, "age", attrs[BHSEC_A_SA_AGE]);
	print_lifetimes(out, attrs);
	if (show->stats || out->json)
		print_stats(show, attrs[BHSEC_A_SA_STATS], 3, true);
	out_object_end(out);
}

static void print_endpoint(struct output *out, const struct nlattr **attrs)
{
	const struct nlattr *addr = attrs[BHSEC_A_PEER_ENDPOINT_ADDR];
	const struct nlattr *port = attrs[BHSEC_A_PEER_ENDPOINT_PORT];
	char text[ADDRESS_TEXT];

	if (addr)
		out_string(out, "endpoint",
			   format_endpoint(mnl_attr_get_payload(addr),
					   mnl_attr_get_payload_len(addr),
					   port ? number_of(port) : 0, text));
	else
		out_none(out, "endpoint", "none");
}

static void print_peer(struct show *show, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];
	struct output *out = &show->out;

	nl_attrs(nlh, attrs, BHSEC_A_PEER_MAX);
	out_line(out, 1);
	out_named(out, "name", "peer",
		  mnl_attr_get_str(attrs[BHSEC_A_PEER_NAME]));
	print_endpoint(out, attrs);
	print_name(out, "encap", attrs[BHSEC_A_PEER_ENCAP], &encap_names);
	print_number(out, "mtu", attrs[BHSEC_A_PEER_MTU]);
	out_switch(out, "roam", number_of(attrs[BHSEC_A_PEER_ROAM]));
	print_number(out, "keepalive", attrs[BHSEC_A_PEER_KEEPALIVE]);
	out_line(out, 2);
	print_prefixes(out, "selectors", attrs[BHSEC_A_PEER_SELECTORS], "none");
	print_prefixes(out, "local-selectors",
		       attrs[BHSEC_A_PEER_LOCAL_SELECTORS], "any");
	print_stats(show, attrs[BHSEC_A_PEER_STATS], 2, true);
}

/*
 * Peers and SAs were asked for one after the other: an SA whose peer came in
 * between is left for the next time.
 */
static void print_rows(struct show *show, const struct rows *peers,
		       const struct rows *sas)
{
	struct output *out = &show->out;
	size_t i, sa = 0;
	int order;

	out_array(out, "peers");
	for (i = 0; i < peers->count; i++) {
		out_object(out, NULL);
		print_peer(show, peers->row[i].nlh);
		out_array(out, "sas");
		for (; sa < sas->count; sa++) {
			order = strverscmp(sas->row[sa].peer, peers->row[i].peer);
			if (order > 0)
				break;
			if (order == 0)
				print_sa(show, sas->row[sa].nlh);
		}
		out_array_end(out);
		out_object_end(out);
	}
	out_array_end(out);
}

static void print_local(struct output *out, const struct nlattr **attrs)
{
	static const uint16_t types[] = {
		BHSEC_A_DEVICE_LOCAL4, BHSEC_A_DEVICE_LOCAL6,
	};
	const struct nlattr *addr;
	char text[ADDRESS_TEXT];
	unsigned int i;

	out_list(out, "local");
	for (i = 0; i < 2; i++) {
		addr = attrs[types[i]];
		if (addr)
			out_member(out, format_address(mnl_attr_get_payload(addr),
						       mnl_attr_get_payload_len(addr),
						       text));
	}
	out_list_end(out, "any");
}

static void print_dscp(struct output *out, const struct nlattr *attr)
{
	if (attr && number_of(attr) == BHSEC_DSCP_COPY)
		out_string(out, "dscp", "copy");
	else
		print_number(out, "dscp", attr);
}

static void print_device(struct show *show, const struct nlattr **attrs)
{
	struct output *out = &show->out;

	out_line(out, 0);
	out_named(out, "device", NULL,
		  mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]));
	print_number(out, "port", attrs[BHSEC_A_DEVICE_PORT]);
	if (attrs[BHSEC_A_DEVICE_DEV])
		out_string(out, "dev",
			   mnl_attr_get_str(attrs[BHSEC_A_DEVICE_DEV]));
	else
		out_none(out, "dev", "any");
	if (attrs[BHSEC_A_DEVICE_FWMARK])
		out_hex(out, "fwmark", number_of(attrs[BHSEC_A_DEVICE_FWMARK]));
	print_dscp(out, attrs[BHSEC_A_DEVICE_DSCP]);
	print_name(out, "df", attrs[BHSEC_A_DEVICE_DF], &df_names);
	print_local(out, attrs);
	print_number(out, "window", attrs[BHSEC_A_DEVICE_WINDOW]);
	print_number(out, "no_sa", attrs[BHSEC_A_DEVICE_NO_SA]);
	if (attrs[BHSEC_A_DEVICE_REASON]) {
		out_line(out, 1);
		out_string(out, "reason",
			   mnl_attr_get_str(attrs[BHSEC_A_DEVICE_REASON]));
	}
	print_stats(show, attrs[BHSEC_A_DEVICE_STATS], 1, false);
}

static int sort_and_print(struct show *show, const struct nlattr **device,
			  const struct nl_records *peers,
			  const struct nl_records *sas)
{
	struct rows peer_rows = {}, sa_rows = {};
	int status = 0;

	if (sort_rows(peers, BHSEC_A_PEER_NAME, 0, &peer_rows) &&
	    sort_rows(sas, BHSEC_A_SA_PEER, BHSEC_A_SA_DIRECTION, &sa_rows)) {
		out_object(&show->out, NULL);
		print_device(show, device);
		print_rows(show, &peer_rows, &sa_rows);
		out_object_end(&show->out);
	} else {
		status = refuse("out of memory");
	}
	free(peer_rows.row);
	free(sa_rows.row);
	return status;
}

static struct nl_error get_peers(struct show *show, uint32_t ifindex,
				 struct nl_records *peers, struct request *req)
{
	request_begin(req, show->ctx->buffer, sizeof(show->ctx->buffer),
		      BHSEC_CMD_PEER_GET);
	request_put(req, BHSEC_A_PEER_IFINDEX, sizeof(ifindex), &ifindex);
	if (!show->peer)
		return nl_dump(show->ctx->nl, req, peers);
	request_put_text(req, BHSEC_A_PEER_NAME, show->peer);
	return nl_do(show->ctx->nl, req, peers);
}

static struct nl_error get_sas(struct show *show, uint32_t ifindex,
			       struct nl_records *sas, struct request *req)
{
	request_begin(req, show->ctx->buffer, sizeof(show->ctx->buffer),
		      BHSEC_CMD_SA_GET);
	request_put(req, BHSEC_A_SA_IFINDEX, sizeof(ifindex), &ifindex);
	if (show->peer)
		request_put_text(req, BHSEC_A_SA_PEER, show->peer);
	return nl_dump(show->ctx->nl, req, sas);
}

static int show_device(struct show *show, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct nl_records peers = {}, sas = {};
	struct nl_error error;
	struct request req;
	uint32_t ifindex;
	int status = 0;

	nl_attrs(nlh, attrs, BHSEC_A_DEVICE_MAX);
	ifindex = number_of(attrs[BHSEC_A_DEVICE_IFINDEX]);
	error = get_peers(show, ifindex, &peers, &req);
	if (!error.code)
		error = get_sas(show, ifindex, &sas, &req);
	if (!error.code) {
		status = sort_and_print(show, attrs, &peers, &sas);
	} else if (error.code != ENODEV || show->device) {
		/* one of many devices may be deleted meanwhile */
		snprintf(req.subject, sizeof(req.subject), "%s%s%s",
			 mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]),
			 show->peer ? ": peer " : "",
			 show->peer ? show->peer : "");
		status = refusal(show->ctx->nl, &req, &error);
	}
	nl_records_free(&peers);
	nl_records_free(&sas);
	return status;
}

static int get_devices(struct show *show, struct nl_records *devices)
{
	struct context *ctx = show->ctx;
	struct nl_error error;
	struct request req;

	request_begin(&req, ctx->buffer, sizeof(ctx->buffer),
		      BHSEC_CMD_DEV_GET);
	snprintf(req.subject, sizeof(req.subject), "%s",
		 show->device ? show->device : "show");
	if (show->device) {
		request_put_text(&req, BHSEC_A_DEVICE_IFNAME, show->device);
		error = nl_do(ctx->nl, &req, devices);
	} else {
		error = nl_dump(ctx->nl, &req, devices);
	}
	return error.code ? refusal(ctx->nl, &req, &error) : 0;
}

static int show_all(struct show *show)
{
	struct nl_records devices = {};
	int status;
	size_t i;

	if (!context_connect(show->ctx))
		return EXIT_REFUSED;
	status = get_devices(show, &devices);
	if (!status) {
		message_progress_end();
		out_array(&show->out, NULL);
		for (i = 0; i < devices.count && !status; i++)
			status = show_device(show, devices.record[i]);
		/* whole JSON even if a refusal made it short */
		out_array_end(&show->out);
		out_end(&show->out);
	}
	nl_records_free(&devices);
	return status;
}

static bool take_flag(struct show *show, struct words *words)
{
	if (words_take_if(words, "--stats"))
		show->stats = true;
	else if (words_take_if(words, "-j") || words_take_if(words, "--json"))
		show->out.json = true;
	else
		return false;
	return true;
}

static int take_names(struct show *show, struct words *words)
{
	char *device, *peer;
	int status;

	status = take_device(words, "show", &device);
	if (status)
		return status;
	show->device = device;
	while (take_flag(show, words))
		;
	if (!words_take_if(words, "peer"))
		return 0;
	status = take_peer(words, "show", &peer);
	show->peer = status ? NULL : peer;
	return status;
}

/**
 * cmd_show - bhsec show [DEVICE [peer NAME]] [-j] [--stats]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_show(struct context *ctx, struct words *words)
{
	struct show show = {
		.ctx = ctx,
		.stats = ctx->stats,
		.out.json = ctx->json,
	};
	int status = 0;

	while (take_flag(&show, words))
		;
	if (words_peek(words))
		status = take_names(&show, words);
	while (take_flag(&show, words))
		;
	if (!status)
		status = take_end(words, "show");
	return status ? status : show_all(&show);
}
