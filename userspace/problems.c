// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a peer from carrying all it should.
 */
#include "nl.h"
#include "print.h"
#include "problems.h"

const char *const problem_names[PROBLEMS] = {
	"no_selectors", "no_endpoint", "no_outbound", "no_inbound", "expired",
	"exhausted",
};

/**
 * sa_works - can an SA carry anything
 * @sa: BHSEC_A_SA_*
 *
 * Return: false if it has stopped, and of an outbound one also if it carries no
 * class any more, for then it was replaced.
 */
bool sa_works(const struct nlattr **sa)
{
	const struct nlattr *dscp = sa[BHSEC_A_SA_DSCP_MASK];

	if (number_of(sa[BHSEC_A_SA_STATE]) != BHSEC_SA_STATE_ACTIVE)
		return false;
	return number_of(sa[BHSEC_A_SA_DIRECTION]) == BHSEC_DIRECTION_IN ||
	       !dscp || number_of(dscp);
}

/* What an SA adds to the problems of its peer, or takes from them. */
static unsigned int with_sa(unsigned int problems, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];

	nl_attrs(nlh, attrs, BHSEC_A_SA_MAX);
	switch (number_of(attrs[BHSEC_A_SA_STATE])) {
	case BHSEC_SA_STATE_EXPIRED:
		return problems | EXPIRED;
	case BHSEC_SA_STATE_EXHAUSTED:
		return problems | EXHAUSTED;
	}
	if (!sa_works(attrs))
		return problems;
	return number_of(attrs[BHSEC_A_SA_DIRECTION]) == BHSEC_DIRECTION_IN ?
	       problems & ~NO_INBOUND : problems & ~NO_OUTBOUND;
}

/**
 * problems_of - what a peer lacks
 * @row: the peer and its SAs
 * @peer: BHSEC_A_PEER_*
 *
 * Return: bits of &enum problem.
 */
unsigned int problems_of(const struct row *row, const struct nlattr **peer)
{
	const struct nlattr *selectors = peer[BHSEC_A_PEER_SELECTORS];
	unsigned int problems = NO_OUTBOUND | NO_INBOUND;
	size_t i;

	if (selectors && !mnl_attr_get_payload_len(selectors) &&
	    !peer[BHSEC_A_PEER_TRAFFIC_SELECTOR])
		problems |= NO_SELECTORS;
	if (!peer[BHSEC_A_PEER_ENDPOINT_ADDR] &&
	    !is_withheld(peer[BHSEC_A_PEER_WITHHELD], BHSEC_PRIVILEGE_DEVICE) &&
	    !number_of(peer[BHSEC_A_PEER_ROAM]))
		problems |= NO_ENDPOINT;
	for (i = 0; i < row->count; i++)
		problems = with_sa(problems, row->sa[i]);
	return problems;
}
