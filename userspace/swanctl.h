/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SWANCTL_H
#define BHSEC_SWANCTL_H

#include "plan.h"

char *swanctl_text(const struct plan *plan);

/**
 * struct block_name - what a block of such a text is about
 * @text: the name of a connection or secret, without a zero behind it
 * @len: its length
 * @starts: this side calls that peer
 */
struct block_name {
	const char *text;
	size_t len;
	bool starts;
};

typedef void block_fn(void *data, char sign, const struct block_name *name);

int swanctl_compare(const char *from, const char *to, block_fn *act,
		    void *data);

/* Returns NULL, or what is wrong. */
const char *swanctl_load(void);
void swanctl_terminate(const char *connection);

#endif
