// SPDX-License-Identifier: GPL-2.0
/*
 * Keys as text, hexadecimal or base64. No sentence ever repeats a part of one,
 * and every copy is wiped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "key.h"
#include "names.h"

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit in base 16 or 64, or -1. */
static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (found - digits) % 16 : -1;
}

static int base64_value(char c)
{
	const char *found = c ? strchr(base64_digits, c) : NULL;

	return found ? found - base64_digits : -1;
}

/*
 * Both decoders return the number of bytes that @text stands for, or -1 if it
 * is not of their kind, and store as many as @bytes has room for.
 */
static long decode_hex(const char *text, size_t len, uint8_t *bytes,
		       size_t room)
{
	int high, low;
	size_t i;

	if (len % 2)
		return -1;
	for (i = 0; i < len / 2; i++) {
		high = hex_value(text[2 * i]);
		low = hex_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return -1;
		if (i < room)
			bytes[i] = high << 4 | low;
	}
	return len / 2;
}

static size_t count_padding(const char *text, size_t len)
{
	if (len < 2 || text[len - 1] != '=')
		return 0;
	return text[len - 2] == '=' ? 2 : 1;
}

static long decode_base64(const char *text, size_t len, uint8_t *bytes,
			  size_t room)
{
	size_t padding = count_padding(text, len);
	size_t i, count = 0;
	uint32_t bits = 0;
	int value;

	if (len % 4)
		return -1;
	for (i = 0; i < len - padding; i++) {
		value = base64_value(text[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | value;
		if (i % 4 == 0)
			continue;
		if (count < room)
			bytes[count] = bits >> (6 - 2 * (i % 4));
		count++;
	}
	/* the bits that padding leaves over are zero in what an encoder wrote */
	if (bits & ((1U << 2 * padding) - 1))
		return -1;
	return count;
}

static const char *wrong_length(long have, uint32_t cipher)
{
	static char reason[80];

	snprintf(reason, sizeof(reason), "key has %ld bytes, %s needs %u", have,
		 names_word(&cipher_names, cipher), cipher_key_len(cipher));
	return reason;
}

/**
 * key_parse - hexadecimal or base64; one newline may follow
 * @text: need not end with a zero
 * @len: its length
 * @cipher: BHSEC_CIPHER_*
 * @key: the result, for key_wipe()
 *
 * What could be both is hexadecimal.
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *key_parse(const char *text, size_t len, uint32_t cipher,
		      struct key *key)
{
	long need = cipher_key_len(cipher);
	long have;

	if (len && text[len - 1] == '\n')
		len--;
	key->len = need;
	have = decode_hex(text, len, key->bytes, sizeof(key->bytes));
	if (have < 0)
		have = decode_base64(text, len, key->bytes, sizeof(key->bytes));
	if (have == need)
		return NULL;
	key_wipe(key);
	if (have < 0)
		return "the key is neither hexadecimal nor base64";
	return wrong_length(have, cipher);
}

static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += n;
	}
	return len;
}

static const char *read_text(const char *path, char *text, ssize_t *len)
{
	int fd = STDIN_FILENO;
	int err;

	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return strerror(errno);
	}
	*len = read_all(fd, text, KEY_TEXT_MAX);
	err = errno;
	if (fd != STDIN_FILENO)
		close(fd);
	if (*len < 0)
		return strerror(err);
	return *len == KEY_TEXT_MAX ? "the file is too long for a key" : NULL;
}

/**
 * key_read - a key from a file
 * @path: its name, or "-" for standard input
 * @cipher: BHSEC_CIPHER_*
 * @key: the result, for key_wipe()
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *key_read(const char *path, uint32_t cipher, struct key *key)
{
	char text[KEY_TEXT_MAX];
	const char *reason;
	ssize_t len = 0;

	reason = read_text(path, text, &len);
	if (!reason)
		reason = key_parse(text, len, cipher, key);
	explicit_bzero(text, sizeof(text));
	return reason;
}

/**
 * key_wipe - forget a key
 * @key: the key
 */
void key_wipe(struct key *key)
{
	explicit_bzero(key, sizeof(*key));
}

/**
 * base64_encode - bytes as text
 * @bytes: the bytes
 * @len: number of them
 * @text: room for 4 characters for every 3 bytes begun; no zero is appended
 *
 * Return: length of the text.
 */
size_t base64_encode(const uint8_t *bytes, size_t len, char *text)
{
	size_t i, count = 0;
	uint32_t bits;

	for (i = 0; i < len; i += 3) {
		bits = (uint32_t)bytes[i] << 16;
		if (i + 1 < len)
			bits |= bytes[i + 1] << 8;
		if (i + 2 < len)
			bits |= bytes[i + 2];
		text[count++] = base64_digits[bits >> 18];
		text[count++] = base64_digits[bits >> 12 & 63];
		text[count++] = i + 1 < len ? base64_digits[bits >> 6 & 63] : '=';
		text[count++] = i + 2 < len ? base64_digits[bits & 63] : '=';
	}
	return count;
}
