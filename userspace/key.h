/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_KEY_H
#define BHSEC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bhsec.h"

/* Longer than the text of any key, so that most mistakes can be counted. */
#define KEY_TEXT_MAX 4096

struct key {
	uint8_t bytes[BHSEC_KEY_MAX];
	size_t len;
};

const char *key_parse(const char *text, size_t len, uint32_t cipher,
		      struct key *key);
const char *key_read(const char *path, uint32_t cipher, struct key *key);
void key_wipe(struct key *key);
size_t base64_encode(const uint8_t *bytes, size_t len, char *text);

#endif
