/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SWANCTL_H
#define BHSEC_SWANCTL_H

#include "buffer.h"
#include "plan.h"

/* The name of a connection is this, the device's, - and the peer's. */
#define CONNECTION "bhsec-"

char *swanctl_text(const struct plan *plan);
bool swanctl_connection(const struct plan *plan, const struct conf_peer *peer,
			struct buffer *out);

#endif
