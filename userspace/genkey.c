// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec genkey: a new random key, or SPI.
 */
#include <errno.h>
#include <stdio.h>
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

static int draw_spi(void)
{
	char text[sizeof("0x00000000\n")];
	uint32_t spi;

	do {
		if (getrandom(&spi, sizeof(spi), 0) != sizeof(spi))
			return refuse("genkey: %s", strerror(errno));
	} while (spi < SPI_MIN);
	return print(text, snprintf(text, sizeof(text), "%#010x\n", spi));
}

/**
 * cmd_genkey - bhsec genkey [CIPHER | --spi]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_genkey(struct context *ctx, struct words *words)
{
	uint32_t cipher = BHSEC_CIPHER_AES_GCM_256;
	bool spi = words_take_if(words, "--spi");
	const char *word = spi ? NULL : words_take(words);
	int status;

	(void)ctx;
	if (word && !names_find(&cipher_names, word, &cipher))
		return refuse("genkey: cipher %s: %s",
			      shortened(word, strlen(word)),
			      names_objection(&cipher_names, word));
	status = take_end(words, "genkey");
	if (status)
		return status;
	return spi ? draw_spi() : generate(cipher_key_len(cipher));
}
