// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec genkey: a new random key.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "context.h"
#include "key.h"
#include "message.h"
#include "names.h"
#include "options.h"

/* Past stdio, whose buffer would keep a copy. */
static int print(const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse("genkey: %s", strerror(errno));
		text += n;
		len -= n;
	}
	return 0;
}

static int generate(size_t len)
{
	char text[BHSEC_KEY_MAX / 3 * 4 + 4 + 1];
	uint8_t key[BHSEC_KEY_MAX];
	size_t count;
	int status;

	/* so few bytes come at once, or not at all */
	if (getrandom(key, len, 0) != (ssize_t)len)
		return refuse("genkey: %s", strerror(errno));
	count = base64_encode(key, len, text);
	text[count++] = '\n';
	status = print(text, count);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return status;
}

/**
 * cmd_genkey - bhsec genkey [CIPHER]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_genkey(struct context *ctx, struct words *words)
{
	uint32_t cipher = BHSEC_CIPHER_AES_GCM_256;
	const char *word = words_take(words);
	int status;

	(void)ctx;
	if (word && !names_find(&cipher_names, word, &cipher))
		return refuse("genkey: cipher %s: %s",
			      shortened(word, strlen(word)),
			      names_objection(&cipher_names, word));
	status = take_end(words, "genkey");
	return status ? status : generate(cipher_key_len(cipher));
}
