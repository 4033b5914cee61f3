// SPDX-License-Identifier: GPL-2.0
/*
 * Requests, attribute by attribute, and the user's words for each.
 */
#include <linux/genetlink.h>
#include <string.h>

#include "request.h"
#include "util.h"

/**
 * request_begin - begin an empty request
 * @req: the request
 * @buffer: becomes the message
 * @size: of @buffer
 * @command: BHSEC_CMD_*
 */
void request_begin(struct request *req, void *buffer, size_t size,
		   uint8_t command)
{
	struct genlmsghdr *genl;

	memset(req, 0, sizeof(*req));
	req->nlh = mnl_nlmsg_put_header(buffer);
	req->size = size;
	genl = mnl_nlmsg_put_extra_header(req->nlh, sizeof(*genl));
	genl->cmd = command;
	genl->version = BHSEC_FAMILY_VERSION;
}

/**
 * request_wipe - forget a request that holds a key
 * @req: the request, of no use after it
 */
void request_wipe(struct request *req)
{
	explicit_bzero(req->nlh, req->nlh->nlmsg_len);
}

/**
 * request_offset - where the next attribute goes
 * @req: the request
 *
 * Return: bytes from the message's beginning, as the kernel counts them.
 */
uint32_t request_offset(const struct request *req)
{
	return mnl_nlmsg_get_payload_tail(req->nlh) - (void *)req->nlh;
}

/**
 * request_said - remember which words became which attributes
 * @req: the request
 * @said: with @begin set; the end is here
 */
void request_said(struct request *req, const struct said *said)
{
	if (req->count == ARRAY_SIZE(req->said))
		return;
	req->said[req->count] = *said;
	req->said[req->count++].end = request_offset(req);
}

/**
 * request_find - the words that an attribute came from
 * @req: the request
 * @offset: of the attribute
 *
 * Return: the words, or NULL if it was not made from an option.
 */
const struct said *request_find(const struct request *req, uint32_t offset)
{
	unsigned int i;

	for (i = 0; i < req->count; i++)
		if (offset >= req->said[i].begin && offset < req->said[i].end)
			return &req->said[i];
	return NULL;
}

/**
 * request_put - append an attribute
 * @req: the request
 * @attr: its type
 * @len: length of @data
 * @data: its value
 *
 * Return: NULL, or what is wrong.
 */
const char *request_put(struct request *req, uint16_t attr, size_t len,
			const void *data)
{
	char *end;

	if (!mnl_attr_put_check(req->nlh, req->size, attr, len, data))
		return "this is too long for one request";
	/* libmnl leaves what was there before between two attributes */
	end = mnl_nlmsg_get_payload_tail(req->nlh);
	memset(end - (MNL_ALIGN(len) - len), 0, MNL_ALIGN(len) - len);
	return NULL;
}

/**
 * request_put_text - append an attribute that is a string
 * @req: the request
 * @attr: its type
 * @text: its value
 *
 * Return: NULL, or what is wrong.
 */
const char *request_put_text(struct request *req, uint16_t attr,
			     const char *text)
{
	return request_put(req, attr, strlen(text) + 1, text);
}

/**
 * request_put_object - append the name of an object that a refusal may name
 * @req: the request
 * @attr: its type
 * @name: its value
 *
 * Return: NULL, or what is wrong.
 */
const char *request_put_object(struct request *req, uint16_t attr,
			       const char *name)
{
	struct said said = {
		.text = name,
		.len = strlen(name),
		.begin = request_offset(req),
	};
	const char *reason = request_put_text(req, attr, name);

	request_said(req, &said);
	return reason;
}

/**
 * request_put_prefix - append a member of a list of prefixes
 * @req: the request, with the list's nest open
 * @prefix: the prefix
 *
 * Return: NULL, or what is wrong.
 */
const char *request_put_prefix(struct request *req,
			       const struct prefix *prefix)
{
	struct nlattr *nest;
	const char *reason;

	nest = mnl_attr_nest_start_check(req->nlh, req->size,
					 BHSEC_A_PREFIX_LIST_PREFIX);
	if (!nest)
		return "this is too long for one request";
	reason = request_put(req, BHSEC_A_PREFIX_ADDR, prefix->addr.len,
			     prefix->addr.bytes);
	if (!reason)
		reason = request_put(req, BHSEC_A_PREFIX_LEN,
				     sizeof(prefix->len), &prefix->len);
	mnl_attr_nest_end(req->nlh, nest);
	return reason;
}
