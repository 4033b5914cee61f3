/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NAMES_H
#define BHSEC_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "bhsec.h"

/**
 * struct names - the words of an enumeration
 * @name: by value
 * @count: number of them
 */
struct names {
	const char *const *name;
	uint32_t count;
};

extern const struct names switch_names;
extern const struct names direction_names;
extern const struct names encap_names;
extern const struct names df_names;
extern const struct names cipher_names;
extern const struct names state_names;
extern const struct names origin_names;
extern const struct names door_names;
extern const struct names event_names;

extern const char *const direction_words[BHSEC_DIRECTION_OUT + 1];

/* By BHSEC_A_STATS_*; the word of BHSEC_A_STATS_PAD is NULL. */
extern const char *const stats_names[BHSEC_A_STATS_MAX + 1];
extern const char *const icmp_names[BHSEC_A_ICMP_MAX + 1];

bool names_find(const struct names *names, const char *word, uint32_t *value);
const char *names_word(const struct names *names, uint32_t value);
const char *names_objection(const struct names *names, const char *word);
unsigned int cipher_key_len(uint32_t cipher);

#endif
