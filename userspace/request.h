/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_REQUEST_H
#define BHSEC_REQUEST_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "nl.h"

/*
 * Room for two lists of prefixes of the greatest length that a nest has.
 * Netlink wants messages at the boundary of a word: buffers are made of words.
 */
#define REQUEST_SIZE (3 * 65536)

/* Enough for the requests of look-ups, which name an object and no more. */
#define REQUEST_NAME_SIZE 256

/**
 * struct said - the words that an attribute comes from
 * @word: name of the option, NULL if the value stands alone
 * @text: value as the user wrote it, NULL if it is not to be repeated
 * @len: length of @text
 * @begin: offset of the first attribute
 * @end: offset behind the last one
 */
struct said {
	const char *word;
	const char *text;
	int len;
	uint32_t begin;
	uint32_t end;
};

/**
 * struct request - a message to the kernel, and how to speak of it
 * @nlh: the message
 * @size: room for it
 * @subject: what it is about, in the user's words
 * @said: where its attributes come from
 * @count: number of @said
 */
struct request {
	struct nlmsghdr *nlh;
	size_t size;
	char subject[DEVICE_NAME_SIZE + 32];
	struct said said[24];
	unsigned int count;
};

void request_begin(struct request *req, void *buffer, size_t size,
		   uint8_t command);
void request_wipe(struct request *req);
uint32_t request_offset(const struct request *req);
void request_said(struct request *req, const struct said *said);
const struct said *request_find(const struct request *req, uint32_t offset);

/* They return NULL, or what is wrong. */
const char *request_put(struct request *req, uint16_t attr, size_t len,
			const void *data);
const char *request_put_text(struct request *req, uint16_t attr,
			     const char *text);
const char *request_put_object(struct request *req, uint16_t attr,
			       const char *name);
const char *request_put_prefix(struct request *req,
			       const struct prefix *prefix);

#endif
