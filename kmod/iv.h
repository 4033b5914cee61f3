/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_IV_H
#define BHSEC_IV_H

#include <linux/string.h>
#include <linux/types.h>

#include "aead.h"
#include "sa.h"

void bhsec_iv_put_unpredictable(u8 *iv, __be32 spi, u64 number);
u64 bhsec_iv_number(const u8 *esp, unsigned int head);

/**
 * bhsec_iv_put - the explicit IV of a datagram
 * @sa: its SA
 * @iv: where it goes
 * @seq: its sequence number
 *
 * It is made of the sequence number XOR a random value of the SA, so that a key
 * installed twice repeats no nonce.
 *
 * Context: any.
 */
static inline void bhsec_iv_put(const struct bhsec_sa *sa, u8 *iv, u64 seq)
{
	u64 number = seq ^ sa->iv_mask;
	__be64 word = cpu_to_be64(number);

	if (likely(sa->layout.head == 8 + sizeof(word)))
		memcpy(iv, &word, sizeof(word));
	else if (sa->layout.head == BHSEC_HEAD_MAX)
		bhsec_iv_put_unpredictable(iv, sa->spi, number);
}

#endif
