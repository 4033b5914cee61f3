// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a peer works, and how old its keys are: what who watches wants to know.
 */
#include <stdbool.h>

#include "health.h"
#include "nl.h"
#include "print.h"
#include "problems.h"

/* Seconds within which what was sent should have been answered. */
#define SILENCE 180

/* Has it never been heard, or does it leave unanswered what it is sent? */
static bool is_silent(const struct nlattr *received, const struct nlattr *sent)
{
	return !received || (sent && number_of(sent) < SILENCE &&
			     number_of(received) >= SILENCE);
}

/**
 * health_of - does a peer work, if its device does
 * @row: the peer and its SAs
 * @peer: BHSEC_A_PEER_*
 *
 * Who may not know of an endpoint knows of the path to it.
 *
 * Return: the answer.
 */
enum health health_of(const struct row *row, const struct nlattr **peer)
{
	if (problems_of(row, peer) & (NO_SELECTORS | NO_OUTBOUND | NO_INBOUND) ||
	    !number_of(peer[BHSEC_A_PEER_MTU]))
		return HEALTH_DOWN;
	return is_silent(peer[BHSEC_A_PEER_LAST_RECEIVED],
			 peer[BHSEC_A_PEER_LAST_SENT]) ?
		HEALTH_SILENT : HEALTH_UP;
}

/**
 * key_ages - how old the newest keys of a peer are
 * @row: the peer and its SAs
 * @age: seconds of the newest SA that works, by direction; or NO_KEY
 */
void key_ages(const struct row *row, uint64_t age[BHSEC_DIRECTION_OUT + 1])
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	uint64_t *newest;
	size_t i;

	age[BHSEC_DIRECTION_IN] = NO_KEY;
	age[BHSEC_DIRECTION_OUT] = NO_KEY;
	for (i = 0; i < row->count; i++) {
		nl_attrs(row->sa[i], attrs, BHSEC_A_SA_MAX);
		if (!sa_works(attrs))
			continue;
		newest = &age[number_of(attrs[BHSEC_A_SA_DIRECTION])];
		if (number_of(attrs[BHSEC_A_SA_AGE]) < *newest)
			*newest = number_of(attrs[BHSEC_A_SA_AGE]);
	}
}
