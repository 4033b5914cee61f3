// SPDX-License-Identifier: GPL-2.0
/*
 * The options of a command, by table, and the words that name its object.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "number.h"
#include "options.h"
#include "refusal.h"

static const char *put_value(struct request *req, const struct option *option,
			     uint64_t value)
{
	uint32_t u32 = value;
	uint16_t u16 = value;
	uint8_t u8 = value;

	switch (option->size) {
	case 1:
		return request_put(req, option->attr, sizeof(u8), &u8);
	case 2:
		return request_put(req, option->attr, sizeof(u16), &u16);
	case 4:
		return request_put(req, option->attr, sizeof(u32), &u32);
	default:
		return request_put(req, option->attr, sizeof(value), &value);
	}
}

/**
 * put_number - a number within limits
 * @req: the request
 * @option: limits, size and attribute
 * @said: the value
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *put_number(struct request *req, const struct option *option,
		       struct said *said)
{
	static char reason[80];
	uint64_t value;

	if (parse_number(said->text, said->len, &value) &&
	    value >= option->min && value <= option->max)
		return put_value(req, option, value);
	snprintf(reason, sizeof(reason),
		 "must be a number from %" PRIu64 " to %" PRIu64,
		 option->min, option->max);
	return reason;
}

/**
 * put_dscp - a DSCP, by number or name
 * @req: the request
 * @option: attribute
 * @said: the value
 *
 * Return: NULL, or what is wrong.
 */
const char *put_dscp(struct request *req, const struct option *option,
		     struct said *said)
{
	unsigned int dscp;
	const char *reason = parse_dscp(said->text, said->len, &dscp);
	uint8_t value;

	if (reason)
		return reason;
	value = dscp;
	return request_put(req, option->attr, sizeof(value), &value);
}

/**
 * put_name - a word of an enumeration
 * @req: the request
 * @option: words, size and attribute
 * @said: the value
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *put_name(struct request *req, const struct option *option,
		     struct said *said)
{
	uint32_t value;

	if (names_find(option->names, said->text, &value))
		return put_value(req, option, value);
	return names_objection(option->names, said->text);
}

static const struct option *find_option(const struct option *options,
					unsigned int count, const char *word)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (strcmp(options[i].word, word) == 0)
			return &options[i];
	return NULL;
}

/* The word that may follow the value. */
static const char *take_then(struct words *words, const struct option *option,
			     struct request *req)
{
	const uint8_t on = 1;

	if (!option->then || !words_take_if(words, option->then))
		return NULL;
	return request_put(req, option->then_attr, sizeof(on), &on);
}

static int take_option(struct words *words, const struct option *option,
		       struct request *req)
{
	struct said said = {
		.word = option->word,
		.text = words_take(words),
		.begin = request_offset(req),
	};
	const char *reason;

	if (!said.text)
		return misuse("%s: %s needs a value", req->subject, said.word);
	said.len = strlen(said.text);
	reason = option->put(req, option, &said);
	if (!reason)
		reason = take_then(words, option, req);
	if (reason)
		return refuse_said(req, &said, reason, "");
	request_said(req, &said);
	return 0;
}

static int refuse_word(const struct option *options, unsigned int count,
		       const char *word, const struct request *req)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (options[i].then && strcmp(options[i].then, word) == 0)
			return misuse("%s: %s has its place right behind %s and its value",
				      req->subject, word, options[i].word);
	return misuse("%s: %s is no option", req->subject, quoted(word));
}

/**
 * options_take - turn the rest of a command into attributes
 * @words: the command
 * @options: the options that it has, at most 64
 * @count: number of them
 * @req: the request
 *
 * Return: 0, or the exit status after a sentence.
 */
int options_take(struct words *words, const struct option *options,
		 unsigned int count, struct request *req)
{
	const struct option *option;
	uint64_t seen = 0, bit;
	const char *word;
	int status;

	while ((word = words_take(words))) {
		option = find_option(options, count, word);
		if (!option)
			return refuse_word(options, count, word, req);
		bit = 1ULL << (option - options);
		if (seen & bit)
			return misuse("%s: %s is given twice", req->subject,
				      word);
		seen |= bit;
		status = take_option(words, option, req);
		if (status)
			return status;
	}
	return 0;
}

/**
 * take_device - the name of a device
 * @words: the command
 * @command: its first words, for a sentence
 * @device: the result
 *
 * Return: 0, or the exit status after a sentence.
 */
int take_device(struct words *words, const char *command, char **device)
{
	*device = words_take(words);
	if (!*device)
		return misuse("%s: the device is missing", command);
	if (!**device || strlen(*device) >= DEVICE_NAME_SIZE)
		return refuse("%s: device '%s': a name has 1 to %d bytes", command,
			      shortened(*device, strlen(*device)),
			      DEVICE_NAME_SIZE - 1);
	return 0;
}

static const char *check_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (!*name || strlen(name) > BHSEC_NAME_MAX)
		return "a peer's name has 1 to 63 characters";
	if (name[strspn(name, allowed)])
		return "a peer's name is made of A-Z a-z 0-9 . _ -";
	return NULL;
}

/**
 * take_peer - the name of a peer
 * @words: the command
 * @command: its first words, for a sentence
 * @peer: the result
 *
 * Return: 0, or the exit status after a sentence.
 */
int take_peer(struct words *words, const char *command, char **peer)
{
	const char *reason;

	*peer = words_take(words);
	if (!*peer)
		return misuse("%s: the peer's name is missing", command);
	reason = check_name(*peer);
	if (!reason)
		return 0;
	return refuse("peer %s: %s", shortened(*peer, strlen(*peer)), reason);
}

/**
 * take_end - nothing may follow
 * @words: the command
 * @command: its first words, for a sentence
 *
 * Return: 0, or the exit status after a sentence.
 */
int take_end(struct words *words, const char *command)
{
	const char *word = words_take(words);

	return word ? misuse("%s: %s is too much", command, quoted(word)) : 0;
}
