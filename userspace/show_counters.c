// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show: what was counted.
 */
#include "names.h"
#include "nl.h"
#include "print.h"
#include "show.h"

/**
 * is_told - is a counter shown
 * @show: what is asked for
 * @counter: the attribute or NULL
 *
 * One of what happened is; all are with --stats all, and in JSON, whose readers
 * should not have to know that absence is zero.
 *
 * Return: whether it is.
 */
bool is_told(const struct show *show, const struct nlattr *counter)
{
	return counter && (show->stats == STATS_ALL || show->out.json ||
			   number_of(counter));
}

/**
 * print_stats - counters of a device, a peer or an SA
 * @show: what is asked for, and the result
 * @nest: BHSEC_A_STATS_*
 * @indent: steps of the line that they stand in
 */
void print_stats(struct show *show, const struct nlattr *nest,
		 unsigned int indent)
{
	const struct nlattr *attrs[BHSEC_A_STATS_MAX + 1];
	bool begun = false;
	unsigned int i;

	nl_nested(nest, attrs, BHSEC_A_STATS_MAX);
	out_object(&show->out, "stats");
	for (i = BHSEC_A_STATS_RX_PACKETS; i <= BHSEC_A_STATS_MAX; i++) {
		if (!is_told(show, attrs[i]))
			continue;
		if (!begun)
			out_line(&show->out, indent);
		begun = true;
		print_number(&show->out, stats_names[i], attrs[i]);
	}
	out_object_end(&show->out);
}

/**
 * print_icmp - what ICMP errors said of packets to a peer
 * @show: what is asked for, and the result
 * @nest: BHSEC_A_ICMP_*, or NULL
 */
void print_icmp(struct show *show, const struct nlattr *nest)
{
	const struct nlattr *attrs[BHSEC_A_ICMP_MAX + 1];
	bool begun = false;
	unsigned int i;

	if (!nest)
		return;
	nl_nested(nest, attrs, BHSEC_A_ICMP_MAX);
	out_object(&show->out, "icmp");
	for (i = BHSEC_A_ICMP_PORT; i <= BHSEC_A_ICMP_TOO_BIG; i++) {
		if (!is_told(show, attrs[i]))
			continue;
		if (!begun)
			out_line(&show->out, 2);
		begun = true;
		print_number(&show->out, icmp_names[i], attrs[i]);
	}
	out_object_end(&show->out);
}
