/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_REFUSAL_H
#define BHSEC_REFUSAL_H

#include "nl.h"
#include "request.h"

int refuse_said(const struct request *req, const struct said *said,
		const char *sentence, const char *tail);
int refusal(struct nl *nl, const struct request *req,
	    const struct nl_error *error);

#endif
