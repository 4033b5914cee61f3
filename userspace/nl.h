/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NL_H
#define BHSEC_NL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bhsec.h"

struct request;

/**
 * struct nl - a conversation with the module
 * @socket: one for the life of the process
 * @family: number of the family
 * @version: of the family, as the module has it
 * @events: number of the group of events, 0 if there is none
 * @config: of that of what is configured
 * @seq: of the last request
 * @answer: what the kernel sent last
 */
struct nl {
	struct mnl_socket *socket;
	uint16_t family;
	uint32_t version;
	uint32_t events;
	uint32_t config;
	uint32_t seq;
	/* room for the largest part of a dump that the kernel makes */
	uint32_t answer[65536 / sizeof(uint32_t)];
};

/**
 * struct nl_error - how the kernel refused
 * @code: positive errno, 0 if it did not
 * @offset: of the attribute it is about, in the request; 0 if none
 * @sentence: the reason, empty if there is none
 */
struct nl_error {
	int code;
	uint32_t offset;
	char sentence[256];
};

struct nl_block;

/**
 * struct nl_records - the objects that an answer is made of
 * @record: their messages
 * @count: number of them
 * @room: of @record
 * @block: where copies of these are, the last block first
 */
struct nl_records {
	const struct nlmsghdr **record;
	size_t count;
	size_t room;
	struct nl_block *block;
};

struct nl *nl_open(void);
struct nl *nl_open_route(void);
void nl_close(struct nl *nl);
bool nl_is_up(struct nl *nl, const char *ifname);
struct nl_error nl_do(struct nl *nl, struct request *req,
		      struct nl_records *records);
struct nl_error nl_dump(struct nl *nl, struct request *req,
			struct nl_records *records);
void nl_records_free(struct nl_records *records);
const struct nlattr *nl_find(const struct nlmsghdr *nlh, uint16_t type);
void nl_attrs_behind(const struct nlmsghdr *nlh, size_t header,
		     const struct nlattr **attrs, unsigned int max);
void nl_attrs(const struct nlmsghdr *nlh, const struct nlattr **attrs,
	      unsigned int max);
void nl_nested(const struct nlattr *nest, const struct nlattr **attrs,
	       unsigned int max);

#endif
