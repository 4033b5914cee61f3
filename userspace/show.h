/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHOW_H
#define BHSEC_SHOW_H

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "context.h"
#include "identities.h"
#include "metrics.h"
#include "output.h"
#include "rows.h"

/**
 * struct show - what is asked for
 * @ctx: the process
 * @device: its name, NULL for all
 * @peer: its name, NULL for all
 * @stats: which counters to print
 * @withheld: BHSEC_PRIVILEGE_* that the reader lacks
 * @count: how many peers there are, in all devices
 * @asked: an IKE daemon was asked who its peers are
 * @identities: those that it named
 * @openmetrics: the result is metrics
 * @metrics: these
 * @why: the result is whose drops grow
 * @out: the result
 */
struct show {
	struct context *ctx;
	const char *device;
	const char *peer;
	enum stats stats;
	uint32_t withheld;
	uint64_t count;
	bool asked;
	struct identities identities;
	bool openmetrics;
	struct metrics metrics;
	bool why;
	struct output out;
};

int show_get_devices(struct show *show, struct nl_records *devices);
int show_get_peers(struct show *show, const struct nlmsghdr *device,
		   struct nl_records *peers);
int show_why(struct show *show);
bool is_told(const struct show *show, const struct nlattr *counter);
void print_stats(struct show *show, const struct nlattr *nest,
		 unsigned int indent);
void print_icmp(struct show *show, const struct nlattr *nest);
void print_device_settings(struct output *out, const struct nlattr **attrs);
void print_peer_settings(struct output *out, const struct nlattr **attrs);
void print_peer_selectors(struct output *out, const struct nlattr **attrs);
void print_traffic_selectors(struct output *out, const struct nlmsghdr *nlh,
			     bool lines);
void print_sa_settings(struct output *out, const struct nlattr **attrs);
void print_device(struct show *show, const struct nlmsghdr *nlh);
void print_peers(struct show *show, const struct rows *peers);

#endif
