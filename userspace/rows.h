/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ROWS_H
#define BHSEC_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "nl.h"

/**
 * struct row - a peer and its SAs
 * @nlh: its message
 * @name: its name
 * @sa: the first message of its SAs, each as added
 * @count: number of these
 */
struct row {
	const struct nlmsghdr *nlh;
	const char *name;
	const struct nlmsghdr *const *sa;
	size_t count;
};

/**
 * struct rows - the peers of a device in the order of printing
 * @row: the peers
 * @count: number of them
 */
struct rows {
	struct row *row;
	size_t count;
};

bool rows_join(struct rows *rows, const struct nl_records *peers,
	       const struct nl_records *sas);
void rows_free(struct rows *rows);

#endif
