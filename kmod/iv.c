// SPDX-License-Identifier: GPL-2.0
/*
 * Explicit IVs: never the same twice under a key, unpredictable where the cipher
 * asks for that, and in all of them a number that tells this host's datagrams
 * from all others.
 */
#include <linux/ip.h>
#include <linux/once.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/string.h>

#include "compat.h"
#include "iv.h"

static u64 cover(u64 random, __be32 spi)
{
	static siphash_key_t secret;

	get_random_once(&secret, sizeof(secret));
	return siphash_2u64(random, (__force u32)spi, &secret);
}

/**
 * bhsec_iv_put_unpredictable - the IV of a cipher in CBC mode
 * @iv: where its 16 bytes go
 * @spi: the datagram's
 * @number: what bhsec_iv_number() will find in it
 *
 * RFC 3602 3: nobody can tell it beforehand. One half is random, the other looks
 * so to all who lack the secret.
 *
 * Context: any.
 */
void bhsec_iv_put_unpredictable(u8 *iv, __be32 spi, u64 number)
{
	u64 random = get_random_u64();
	u64 covered = number ^ cover(random, spi);

	memcpy(iv, &random, sizeof(random));
	memcpy(iv + sizeof(random), &covered, sizeof(covered));
}

/**
 * bhsec_iv_number - the number in an IV, if it is one of ours
 * @esp: the ESP header, BHSEC_HEAD_MAX bytes
 * @head: bytes of the header with the IV
 *
 * Context: any.
 * Return: the number.
 */
u64 bhsec_iv_number(const u8 *esp, unsigned int head)
{
	u64 random, covered;
	struct ip_esp_hdr esph;
	__be64 word;

	memcpy(&esph, esp, sizeof(esph));
	if (head < BHSEC_HEAD_MAX) {
		memcpy(&word, esp + sizeof(esph), sizeof(word));
		return be64_to_cpu(word);
	}
	memcpy(&random, esp + sizeof(esph), sizeof(random));
	memcpy(&covered, esp + sizeof(esph) + sizeof(random), sizeof(covered));
	return covered ^ cover(random, esph.spi);
}
