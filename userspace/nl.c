// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: one socket, requests and their answers.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "array.h"
#include "message.h"
#include "nl.h"
#include "request.h"

/* What changes all the time cannot be shown as it was at one moment. */
#define DUMP_TRIES 10

/* Memory is taken for so many bytes of messages at once. */
#define BLOCK_SIZE (1 << 18)

/**
 * struct nl_block - room for messages of an answer
 * @next: the block that was filled before this one
 * @used: bytes of @data
 * @size: of @data
 * @data: the messages
 */
struct nl_block {
	struct nl_block *next;
	size_t used;
	size_t size;
	uint32_t data[];
};

static void *records_take(struct nl_records *records, size_t len)
{
	struct nl_block *block = records->block;
	size_t size = len > BLOCK_SIZE ? len : BLOCK_SIZE;
	void *taken;

	if (!block || len > block->size - block->used) {
		block = malloc(sizeof(*block) + size);
		if (!block)
			return NULL;
		block->next = records->block;
		block->used = 0;
		block->size = size;
		records->block = block;
	}
	taken = (char *)block->data + block->used;
	block->used += len;
	return taken;
}

static bool records_add(struct nl_records *records, const struct nlmsghdr *nlh)
{
	const struct nlmsghdr **grown;
	void *copy;

	grown = array_with_room(records->record, records->count, &records->room,
				sizeof(*grown));
	if (!grown)
		return false;
	records->record = grown;
	copy = records_take(records, MNL_ALIGN(nlh->nlmsg_len));
	if (!copy)
		return false;
	records->record[records->count++] = memcpy(copy, nlh, nlh->nlmsg_len);
	return true;
}

/**
 * nl_records_free - forget an answer
 * @records: empty after it
 */
void nl_records_free(struct nl_records *records)
{
	struct nl_block *block;

	while (records->block) {
		block = records->block;
		records->block = block->next;
		free(block);
	}
	free(records->record);
	memset(records, 0, sizeof(*records));
}

/**
 * nl_find - an attribute of a message
 * @nlh: the message
 * @type: the attribute's
 *
 * Return: the attribute, or NULL.
 */
const struct nlattr *nl_find(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

/* What libmnl does in four calls for each, for a dump has a million of them. */
static void sort_attrs(const void *payload, size_t len,
		       const struct nlattr **attrs, unsigned int max)
{
	const struct nlattr *attr;
	unsigned int type;
	size_t at;

	memset(attrs, 0, (max + 1) * sizeof(*attrs));
	for (at = 0; at + sizeof(*attr) <= len; at += MNL_ALIGN(attr->nla_len)) {
		attr = (const void *)((const char *)payload + at);
		if (attr->nla_len < sizeof(*attr) || attr->nla_len > len - at)
			break;
		/* a newer module may send more than this tool knows */
		type = attr->nla_type & NLA_TYPE_MASK;
		if (type <= max)
			attrs[type] = attr;
	}
}

/**
 * nl_attrs_behind - sort the attributes behind the header of a family by type
 * @nlh: the message
 * @header: length of the header
 * @attrs: gets them, from 0 to @max
 * @max: the highest type
 */
void nl_attrs_behind(const struct nlmsghdr *nlh, size_t header,
		     const struct nlattr **attrs, unsigned int max)
{
	sort_attrs(mnl_nlmsg_get_payload_offset(nlh, header),
		   mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(header), attrs,
		   max);
}

/**
 * nl_attrs - sort the attributes of a message by type
 * @nlh: the message
 * @attrs: gets them, from 0 to @max
 * @max: the highest type
 */
void nl_attrs(const struct nlmsghdr *nlh, const struct nlattr **attrs,
	      unsigned int max)
{
	nl_attrs_behind(nlh, GENL_HDRLEN, attrs, max);
}

/**
 * nl_nested - sort the attributes of a nest by type
 * @nest: NULL is an empty one
 * @attrs: gets them, from 0 to @max
 * @max: the highest type
 */
void nl_nested(const struct nlattr *nest, const struct nlattr **attrs,
	       unsigned int max)
{
	sort_attrs(nest ? mnl_attr_get_payload(nest) : NULL,
		   nest ? mnl_attr_get_payload_len(nest) : 0, attrs, max);
}

/* The sentence and the attribute that follow @header bytes of a refusal. */
static void take_ext_ack(const struct nlmsghdr *nlh, size_t header,
			 struct nl_error *error)
{
	const struct nlattr *attr;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	mnl_attr_for_each(attr, nlh, header) {
		switch (mnl_attr_get_type(attr)) {
		case NLMSGERR_ATTR_MSG:
			snprintf(error->sentence, sizeof(error->sentence), "%s",
				 mnl_attr_get_str(attr));
			break;
		case NLMSGERR_ATTR_OFFS:
			error->offset = mnl_attr_get_u32(attr);
			break;
		}
	}
}

/* An error, or the acknowledgment that ends a request. */
static void take_ack(const struct nlmsghdr *nlh, struct nl_error *error)
{
	const struct nlmsgerr *ack = mnl_nlmsg_get_payload(nlh);
	size_t header = sizeof(*ack);

	error->code = -ack->error;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		header += mnl_nlmsg_get_payload_len(&ack->msg);
	take_ext_ack(nlh, header, error);
}

static void take_done(const struct nlmsghdr *nlh, struct nl_error *error)
{
	int result = 0;

	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(result))
		memcpy(&result, mnl_nlmsg_get_payload(nlh), sizeof(result));
	error->code = -result;
	take_ext_ack(nlh, sizeof(result), error);
}

/* Returns whether more is to come. */
static bool take(struct nl *nl, const struct nlmsghdr *nlh,
		 struct nl_records *records, struct nl_error *error,
		 bool *interrupted)
{
	/* the rest of an answer that was given up */
	if (nlh->nlmsg_seq != nl->seq)
		return true;
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		*interrupted = true;
	switch (nlh->nlmsg_type) {
	case NLMSG_ERROR:
		take_ack(nlh, error);
		return false;
	case NLMSG_DONE:
		take_done(nlh, error);
		return false;
	}
	if (!records || records_add(records, nlh))
		return true;
	error->code = ENOMEM;
	return false;
}

static void receive(struct nl *nl, struct nl_records *records,
		    struct nl_error *error, bool *interrupted)
{
	const struct nlmsghdr *nlh;
	bool more = true;
	ssize_t size;
	int len;

	while (more) {
		size = mnl_socket_recvfrom(nl->socket, nl->answer,
					   sizeof(nl->answer));
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0) {
			error->code = errno;
			return;
		}
		len = size;
		for (nlh = (void *)nl->answer; more && mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			more = take(nl, nlh, records, error, interrupted);
	}
}

static struct nl_error transact(struct nl *nl, struct request *req, int flags,
				struct nl_records *records, bool *interrupted)
{
	struct nlmsghdr *nlh = req->nlh;
	struct nl_error error = {};

	if (!nlh->nlmsg_type)
		nlh->nlmsg_type = nl->family;
	nlh->nlmsg_flags |= NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->socket, nlh, nlh->nlmsg_len) < 0)
		error.code = errno;
	else
		receive(nl, records, &error, interrupted);
	return error;
}

/**
 * nl_do - ask for one thing
 * @nl: the conversation
 * @req: the request
 * @records: gets the answer; NULL if none is of interest
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error nl_do(struct nl *nl, struct request *req,
		      struct nl_records *records)
{
	bool interrupted = false;

	return transact(nl, req, NLM_F_ACK, records, &interrupted);
}

/**
 * nl_dump - ask for all objects of a kind
 * @nl: the conversation
 * @req: the request
 * @records: gets the objects as they were at one moment
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error nl_dump(struct nl *nl, struct request *req,
			struct nl_records *records)
{
	struct nl_error error = {};
	bool interrupted;
	int tries;

	for (tries = 0; tries < DUMP_TRIES; tries++) {
		interrupted = false;
		error = transact(nl, req, NLM_F_DUMP, records, &interrupted);
		if (error.code || !interrupted)
			return error;
		nl_records_free(records);
	}
	error.code = EAGAIN;
	snprintf(error.sentence, sizeof(error.sentence),
		 "it changes too fast to be shown");
	return error;
}

static uint32_t find_group(const struct nlattr *groups, const char *name)
{
	const struct nlattr *attrs[CTRL_ATTR_MCAST_GRP_MAX + 1];
	const struct nlattr *group;

	if (!groups)
		return 0;
	mnl_attr_for_each_nested(group, groups) {
		nl_nested(group, attrs, CTRL_ATTR_MCAST_GRP_MAX);
		if (strcmp(mnl_attr_get_str(attrs[CTRL_ATTR_MCAST_GRP_NAME]),
			   name) == 0)
			return mnl_attr_get_u32(attrs[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return 0;
}

static int find_family(struct nl *nl)
{
	const struct nlattr *attrs[CTRL_ATTR_MAX + 1];
	struct nl_records records = {};
	struct nl_error error;
	struct request req;
	uint32_t buffer[32];

	request_begin(&req, buffer, sizeof(buffer), CTRL_CMD_GETFAMILY);
	req.nlh->nlmsg_type = GENL_ID_CTRL;
	request_put_text(&req, CTRL_ATTR_FAMILY_NAME, BHSEC_FAMILY_NAME);
	error = nl_do(nl, &req, &records);
	if (error.code == ENOENT || (!error.code && !records.count))
		return refuse("the bhsec module is not loaded");
	if (error.code)
		return refuse("netlink: %s", strerror(error.code));
	nl_attrs(records.record[0], attrs, CTRL_ATTR_MAX);
	nl->family = mnl_attr_get_u16(attrs[CTRL_ATTR_FAMILY_ID]);
	nl->version = mnl_attr_get_u32(attrs[CTRL_ATTR_VERSION]);
	nl->events = find_group(attrs[CTRL_ATTR_MCAST_GROUPS],
				BHSEC_MCGRP_EVENTS);
	nl->config = find_group(attrs[CTRL_ATTR_MCAST_GROUPS],
				BHSEC_MCGRP_CONFIG);
	nl_records_free(&records);
	return 0;
}

static void set_options(struct nl *nl)
{
	int on = 1;

	/* sentences come with refusals, copies of requests and their keys do not */
	mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
}

static struct nl *open_bus(int bus)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	if (!nl) {
		refuse("out of memory");
		return NULL;
	}
	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->socket) {
		refuse("netlink: %s", strerror(errno));
		free(nl);
		return NULL;
	}
	set_options(nl);
	return nl;
}

/**
 * nl_open_route - begin a conversation about links, addresses and routes
 *
 * Return: for nl_close(), or NULL after a sentence about the reason.
 */
struct nl *nl_open_route(void)
{
	struct nl *nl = open_bus(NETLINK_ROUTE);
	int on = 1;

	/* what is asked for of one device comes of that one alone */
	if (nl)
		mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &on,
				      sizeof(on));
	return nl;
}

/**
 * nl_open - begin a conversation with the module
 *
 * Return: for nl_close(), or NULL after a sentence about the reason.
 */
struct nl *nl_open(void)
{
	struct nl *nl = open_bus(NETLINK_GENERIC);

	if (nl && find_family(nl)) {
		nl_close(nl);
		return NULL;
	}
	return nl;
}

/**
 * nl_close - end a conversation
 * @nl: NULL is none
 */
void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	mnl_socket_close(nl->socket);
	free(nl);
}

/**
 * nl_is_up - is a network device set up
 * @nl: the conversation, whose socket takes this question as any does
 * @ifname: name of the device
 *
 * Return: false also if it has gone.
 */
bool nl_is_up(struct nl *nl, const char *ifname)
{
	struct ifreq ifreq = {};

	snprintf(ifreq.ifr_name, sizeof(ifreq.ifr_name), "%s", ifname);
	return ioctl(mnl_socket_get_fd(nl->socket), SIOCGIFFLAGS, &ifreq) == 0 &&
	       ifreq.ifr_flags & IFF_UP;
}
