// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show: peers, what they lack, and their SAs.
 */
#include "attr.h"
#include "nl.h"
#include "print.h"
#include "problems.h"
#include "show.h"

static bool is_ike(const struct nlattr *origin)
{
	return origin && number_of(origin) == BHSEC_ORIGIN_IKE;
}

/* Seconds ago. */
static void print_last(struct output *out, const char *word,
		       const struct nlattr *attr)
{
	if (attr)
		out_number(out, word, number_of(attr));
	else
		out_none(out, word, "never");
}

/* Text says so only of what is not made by hand. */
static void print_origin(struct output *out, const struct nlattr *attr)
{
	if (out->json || is_ike(attr))
		print_name(out, "origin", attr, &origin_names);
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

static void print_classes(struct output *out, uint64_t mask)
{
	out_bits(out, "dscp", mask);
	out_ranges(out, "dscp_ranges", "dscp", mask, "none");
}

/**
 * print_sa_settings - an SA without its counters
 * @out: the result
 * @attrs: BHSEC_A_SA_*
 */
void print_sa_settings(struct output *out, const struct nlattr **attrs)
{
	out_named(out, "direction", NULL,
		  names_word(&direction_names,
			     number_of(attrs[BHSEC_A_SA_DIRECTION])));
	if (attrs[BHSEC_A_SA_SPI])
		out_hex(out, "spi", number_of(attrs[BHSEC_A_SA_SPI]));
	print_name(out, "cipher", attrs[BHSEC_A_SA_CIPHER], &cipher_names);
	if (attrs[BHSEC_A_SA_ESN])
		out_switch(out, "esn", number_of(attrs[BHSEC_A_SA_ESN]));
	print_number(out, "window", attrs[BHSEC_A_SA_WINDOW]);
	if (attrs[BHSEC_A_SA_DSCP_MASK])
		print_classes(out, number_of(attrs[BHSEC_A_SA_DSCP_MASK]));
	print_number(out, "cpu", attrs[BHSEC_A_SA_CPU]);
	print_origin(out, attrs[BHSEC_A_SA_ORIGIN]);
	print_name(out, "state", attrs[BHSEC_A_SA_STATE], &state_names);
	print_number(out, "seq", attrs[BHSEC_A_SA_SEQ]);
	print_number(out, "age", attrs[BHSEC_A_SA_AGE]);
	if (number_of(attrs[BHSEC_A_SA_DIRECTION]) == BHSEC_DIRECTION_IN)
		print_last(out, "last-received", attrs[BHSEC_A_SA_LAST_RECEIVED]);
	else
		print_last(out, "last-sent", attrs[BHSEC_A_SA_LAST_SENT]);
	print_lifetimes(out, attrs);
}

static void print_sa(struct show *show, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	struct output *out = &show->out;

	nl_attrs(nlh, attrs, BHSEC_A_SA_MAX);
	out_object(out, NULL);
	out_line(out, 2);
	print_sa_settings(out, attrs);
	if (show->stats || out->json)
		print_stats(show, attrs[BHSEC_A_SA_STATS], 3);
	out_object_end(out);
}

static void print_endpoint(struct output *out, const struct nlattr **attrs)
{
	char text[ADDRESS_TEXT];

	if (attr_endpoint(attrs, text))
		out_string(out, "endpoint", text);
	else if (!is_withheld(attrs[BHSEC_A_PEER_WITHHELD],
			      BHSEC_PRIVILEGE_DEVICE))
		out_none(out, "endpoint", "none");
}

static void print_problems(struct output *out, unsigned int problems)
{
	unsigned int i;

	if (!problems && !out->json)
		return;
	out_line(out, 2);
	out_list(out, "problems");
	for (i = 0; i < PROBLEMS; i++)
		if (problems & 1U << i)
			out_member(out, problem_names[i]);
	out_list_end(out, "none");
}

/* Who is behind the SAs of a peer, if its daemon says so. */
static const char *find_identity(const struct identities *ids,
				 const struct row *row, uint32_t reqid)
{
	const char *name = NULL;
	const struct nlattr *spi;
	size_t i;

	for (i = 0; i < row->count && !name; i++) {
		spi = nl_find(row->sa[i], BHSEC_A_SA_SPI);
		if (spi)
			name = identities_find(ids, reqid, mnl_attr_get_u32(spi));
	}
	return name;
}

/* The daemon is asked once, and not at all where it has made no SA. */
static void print_identity(struct show *show, const struct row *row,
			   uint32_t reqid)
{
	const char *name;

	if (row->count && !show->asked) {
		identities_ask(&show->identities, show->count);
		show->asked = true;
	}
	name = find_identity(&show->identities, row, reqid);
	if (name)
		out_quoted(&show->out, "identity", name);
	else
		out_none(&show->out, "identity", NULL);
}

/**
 * print_peer_settings - a peer without its name, inner addresses and counters
 * @out: the result
 * @attrs: BHSEC_A_PEER_*
 */
void print_peer_settings(struct output *out, const struct nlattr **attrs)
{
	print_origin(out, attrs[BHSEC_A_PEER_ORIGIN]);
	print_number(out, "reqid", attrs[BHSEC_A_PEER_REQID]);
	print_endpoint(out, attrs);
	print_name(out, "encap", attrs[BHSEC_A_PEER_ENCAP], &encap_names);
	print_number(out, "mtu", attrs[BHSEC_A_PEER_MTU]);
	out_switch(out, "roam", number_of(attrs[BHSEC_A_PEER_ROAM]));
	out_switch(out, "entropy", number_of(attrs[BHSEC_A_PEER_ENTROPY]));
	print_number(out, "keepalive", attrs[BHSEC_A_PEER_KEEPALIVE]);
	print_last(out, "last-received", attrs[BHSEC_A_PEER_LAST_RECEIVED]);
	print_last(out, "last-sent", attrs[BHSEC_A_PEER_LAST_SENT]);
}

/**
 * print_peer_selectors - the inner addresses of a peer
 * @out: the result
 * @attrs: BHSEC_A_PEER_*
 */
void print_peer_selectors(struct output *out, const struct nlattr **attrs)
{
	print_prefixes(out, "selectors", attrs[BHSEC_A_PEER_SELECTORS], "none");
	print_prefixes(out, "local-selectors",
		       attrs[BHSEC_A_PEER_LOCAL_SELECTORS], "any");
}

static void print_peer(struct show *show, const struct row *row)
{
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];
	struct output *out = &show->out;

	nl_attrs(row->nlh, attrs, BHSEC_A_PEER_MAX);
	out_line(out, 1);
	out_named(out, "name", "peer",
		  mnl_attr_get_str(attrs[BHSEC_A_PEER_NAME]));
	if (is_ike(attrs[BHSEC_A_PEER_ORIGIN]))
		print_identity(show, row, number_of(attrs[BHSEC_A_PEER_REQID]));
	print_peer_settings(out, attrs);
	print_problems(out, problems_of(row, attrs));
	out_line(out, 2);
	print_peer_selectors(out, attrs);
	print_traffic_selectors(out, row->nlh, true);
	print_icmp(show, attrs[BHSEC_A_PEER_ICMP]);
	print_stats(show, attrs[BHSEC_A_PEER_STATS], 2);
}

static uint32_t direction_of(const struct nlmsghdr *sa)
{
	return mnl_attr_get_u32(nl_find(sa, BHSEC_A_SA_DIRECTION));
}

static void print_sas(struct show *show, const struct row *row)
{
	uint32_t direction;
	size_t i;

	out_array(&show->out, "sas");
	for (direction = 0; direction <= BHSEC_DIRECTION_OUT; direction++)
		for (i = 0; i < row->count; i++)
			if (direction_of(row->sa[i]) == direction)
				print_sa(show, row->sa[i]);
	out_array_end(&show->out);
}

/**
 * print_peers - all peers of a device
 * @show: what is asked for, and the result
 * @peers: the peers
 */
void print_peers(struct show *show, const struct rows *peers)
{
	struct output *out = &show->out;
	size_t i;

	out_array(out, "peers");
	for (i = 0; i < peers->count; i++) {
		out_object(out, NULL);
		print_peer(show, &peers->row[i]);
		print_sas(show, &peers->row[i]);
		out_object_end(out);
	}
	out_array_end(out);
}
