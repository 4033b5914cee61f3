// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec sa: security associations of a peer.
 */
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "key.h"
#include "message.h"
#include "number.h"
#include "options.h"
#include "refusal.h"
#include "util.h"

/* Above this a handed-over number leaves no room to count on. */
#define SEQ_MAX (1ULL << 63)

/**
 * struct sa_request - a request about an SA
 * @req: the request
 * @ctx: the process
 * @cipher: BHSEC_CIPHER_*
 * @key: words that tell where the key is
 * @key_text: the key itself, in a batch, or NULL
 */
struct sa_request {
	struct request req;
	struct context *ctx;
	uint32_t cipher;
	struct said key;
	char *key_text;
};

static struct sa_request *sa_of(struct request *req)
{
	return container_of(req, struct sa_request, req);
}

static const char *put_cipher(struct request *req, const struct option *option,
			      struct said *said)
{
	const char *reason = put_name(req, option, said);

	if (!reason)
		names_find(&cipher_names, said->text, &sa_of(req)->cipher);
	else if (said->len > WORD_MAX)
		said->text = NULL;
	return reason;
}

/* The key follows when the cipher is known. */
static const char *put_key_file(struct request *req,
				const struct option *option, struct said *said)
{
	const struct context *ctx = sa_of(req)->ctx;

	(void)option;
	if (ctx->batch_on_stdin && strcmp(said->text, "-") == 0)
		return "the batch itself comes from standard input";
	if (sa_of(req)->key.word)
		return "the key is given twice";
	sa_of(req)->key = *said;
	return NULL;
}

static const char *put_key(struct request *req, const struct option *option,
			   struct said *said)
{
	char *text = (char *)said->text;

	(void)option;
	said->text = NULL;
	if (!sa_of(req)->ctx->in_batch) {
		explicit_bzero(text, said->len);
		return "others can see a command line: use key-file, or a batch";
	}
	if (sa_of(req)->key.word)
		return "the key is given twice";
	sa_of(req)->key = *said;
	sa_of(req)->key_text = text;
	return NULL;
}

static const char *put_dscps(struct request *req, const struct option *option,
			     struct said *said)
{
	const char *reason;
	uint64_t mask;

	reason = parse_dscps(said->text, &mask);
	return reason ? reason :
		request_put(req, option->attr, sizeof(mask), &mask);
}

#define OPTION_SPI OPTION_NUMBER("spi", BHSEC_A_SA_SPI, 4, SPI_MIN, UINT32_MAX)
#define OPTION_LIFETIME(word, attr) OPTION_NUMBER(word, attr, 8, 1, UINT64_MAX)

static const struct option add_options[] = {
	OPTION_SPI,
	{ .word = "cipher", .put = put_cipher, .attr = BHSEC_A_SA_CIPHER,
	  .size = 4, .names = &cipher_names },
	{ .word = "key-file", .put = put_key_file },
	{ .word = "key", .put = put_key },
	OPTION_NAME("esn", BHSEC_A_SA_ESN, 1, &switch_names),
	OPTION_NUMBER("window", BHSEC_A_SA_WINDOW, 4, 1, BHSEC_WINDOW_MAX),
	{ .word = "dscp", .put = put_dscps, .attr = BHSEC_A_SA_DSCP_MASK },
	OPTION_NUMBER("seq", BHSEC_A_SA_SEQ, 8, 0, SEQ_MAX),
	OPTION_LIFETIME("soft-packets", BHSEC_A_SA_SOFT_PACKETS),
	OPTION_LIFETIME("hard-packets", BHSEC_A_SA_HARD_PACKETS),
	OPTION_LIFETIME("soft-bytes", BHSEC_A_SA_SOFT_BYTES),
	OPTION_LIFETIME("hard-bytes", BHSEC_A_SA_HARD_BYTES),
	OPTION_LIFETIME("soft-seconds", BHSEC_A_SA_SOFT_SECONDS),
	OPTION_LIFETIME("hard-seconds", BHSEC_A_SA_HARD_SECONDS),
};

static const struct option del_options[] = {
	OPTION_SPI,
};

static int take_direction(struct words *words, const char *command,
			  uint32_t *direction)
{
	const char *word = words_take(words);

	if (!word)
		return misuse("%s: the direction, in or out, is missing",
			      command);
	if (!names_find(&direction_names, word, direction))
		return misuse("%s: %s is no direction: in or out", command,
			      quoted(word));
	return 0;
}

/* The names of device, peer and direction, which every command has. */
static int begin(struct context *ctx, struct words *words, const char *command,
		 uint8_t number, struct request *req)
{
	uint32_t direction;
	char *device, *peer;
	int status;

	status = take_device(words, command, &device);
	if (!status)
		status = take_peer(words, command, &peer);
	if (!status)
		status = take_direction(words, command, &direction);
	if (status)
		return status;
	request_begin(req, ctx->buffer, sizeof(ctx->buffer), number);
	snprintf(req->subject, sizeof(req->subject), "peer %s", peer);
	request_put_object(req, BHSEC_A_SA_IFNAME, device);
	request_put_text(req, BHSEC_A_SA_PEER, peer);
	request_put(req, BHSEC_A_SA_DIRECTION, sizeof(direction), &direction);
	return 0;
}

static bool is_given(const struct request *req, const char *word)
{
	unsigned int i;

	for (i = 0; i < req->count; i++)
		if (req->said[i].word && strcmp(req->said[i].word, word) == 0)
			return true;
	return false;
}

static int check_spi(const struct request *req)
{
	if (is_given(req, "spi"))
		return 0;
	return misuse("%s: spi is missing", req->subject);
}

static void append_default_cipher(struct sa_request *sa)
{
	if (is_given(&sa->req, "cipher"))
		return;
	sa->cipher = BHSEC_CIPHER_AES_GCM_256;
	request_put(&sa->req, BHSEC_A_SA_CIPHER, sizeof(sa->cipher),
		    &sa->cipher);
}

/* The attribute stands for the words that were taken before. */
static int append_key(struct sa_request *sa)
{
	const char *reason;
	struct key key;

	if (!sa->key.word)
		return misuse("%s: key-file is missing", sa->req.subject);
	if (sa->key_text)
		reason = key_parse(sa->key_text, sa->key.len, sa->cipher, &key);
	else
		reason = key_read(sa->key.text, sa->cipher, &key);
	if (reason)
		return refuse_said(&sa->req, &sa->key, reason, "");
	sa->key.begin = request_offset(&sa->req);
	request_put(&sa->req, BHSEC_A_SA_KEY, key.len, key.bytes);
	request_said(&sa->req, &sa->key);
	key_wipe(&key);
	return 0;
}

static int sa_add(struct context *ctx, struct words *words)
{
	struct sa_request sa = {
		.ctx = ctx,
	};
	int status;

	status = begin(ctx, words, "sa add", BHSEC_CMD_SA_ADD, &sa.req);
	if (!status)
		status = options_take(words, add_options,
				      ARRAY_SIZE(add_options), &sa.req);
	if (!status)
		status = check_spi(&sa.req);
	if (status)
		return status;
	append_default_cipher(&sa);
	status = append_key(&sa);
	if (status)
		return status;
	status = context_send(ctx, &sa.req);
	request_wipe(&sa.req);
	return status;
}

static int sa_del(struct context *ctx, struct words *words)
{
	struct request req;
	int status;

	status = begin(ctx, words, "sa del", BHSEC_CMD_SA_DEL, &req);
	if (!status)
		status = options_take(words, del_options,
				      ARRAY_SIZE(del_options), &req);
	if (!status)
		status = check_spi(&req);
	return status ? status : context_send(ctx, &req);
}

/**
 * cmd_sa - bhsec sa add|del DEVICE PEER in|out OPTION...
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_sa(struct context *ctx, struct words *words)
{
	const char *word = words_take(words);

	if (!word)
		return misuse("sa: one of add, del is missing");
	if (strcmp(word, "add") == 0)
		return sa_add(ctx, words);
	if (strcmp(word, "del") == 0)
		return sa_del(ctx, words);
	return misuse("sa: %s is none of add, del", quoted(word));
}
