/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DOCTOR_H
#define BHSEC_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "link.h"
#include "nl.h"
#include "output.h"
#include "rows.h"
#include "util.h"

/**
 * struct tunnel - a device and what it needs of the host
 * @name: the device's
 * @nlh: its message
 * @attrs: BHSEC_A_DEVICE_*
 * @link: what any network device has
 * @peers: its peers' messages
 * @sas: those of their SAs
 * @rows: both joined
 */
struct tunnel {
	const char *name;
	const struct nlmsghdr *nlh;
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct link link;
	struct nl_records peers;
	struct nl_records sas;
	struct rows rows;
};

/**
 * struct doctor - what is looked at, and what was found
 * @ctx: the process
 * @out: the result
 * @found: how many things
 * @devices: messages of those whose underlay is here
 * @tunnel: these
 * @count: number of @tunnel
 */
struct doctor {
	struct context *ctx;
	struct output out;
	unsigned int found;
	struct nl_records devices;
	struct tunnel *tunnel;
	size_t count;
};

/* A finding is said first; what helps has to follow. */
void doctor_say(struct doctor *doctor, const char *check, const char *format,
		...) __printf(3, 4);
void doctor_advise(struct doctor *doctor, const char *format, ...)
	__printf(2, 3);
bool doctor_read(const char *path, char *line, size_t size);

bool tunnel_is_bound(const struct tunnel *tunnel);
unsigned int tunnel_port(const struct tunnel *tunnel);
bool row_endpoint(const struct row *row, struct address *addr);

/* What is looked at, a room each. */
bool doctor_module(struct doctor *doctor);
void doctor_family(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_offload(struct doctor *doctor);
void doctor_device(struct doctor *doctor);
void doctor_port(struct doctor *doctor);
void doctor_route(struct doctor *doctor);
void doctor_filter(struct doctor *doctor);
void doctor_firewall(struct doctor *doctor);

#endif
