/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_FETCH_H
#define BHSEC_FETCH_H

#include <stdint.h>

#include "context.h"
#include "nl.h"
#include "request.h"

struct nl_error fetch_devices(struct context *ctx, const char *device,
			      struct request *req, struct nl_records *devices);
struct nl_error fetch_peers(struct context *ctx, uint32_t ifindex,
			    const char *peer, struct request *req,
			    struct nl_records *peers);
struct nl_error fetch_sas(struct context *ctx, uint32_t ifindex,
			  const char *peer, struct request *req,
			  struct nl_records *sas);

#endif
