/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_AEAD_H
#define BHSEC_AEAD_H

#include <crypto/aead.h>
#include <linux/types.h>

struct bhsec_sa;
struct netlink_ext_ack;
struct sk_buff;

/* Every cipher of the table has an explicit IV of 8 bytes and an ICV of 16. */
#define BHSEC_IV_LEN 8
#define BHSEC_ICV_LEN 16
/* SPI, sequence number and explicit IV, as they stand in the packet. */
#define BHSEC_ESP_HEAD (8 + BHSEC_IV_LEN)

/**
 * struct bhsec_aead_op - one packet on its way through the cipher
 * @sa: the SA; the operation is one of its users
 * @skb: the packet
 * @seq: its full sequence number
 * @inner_len: bytes of the inner packet, outbound
 * @encrypt: direction
 * @iv: the cipher's copy of the explicit IV
 * @aad: SPI, sequence number and explicit IV in one piece: a cipher would
 *	first copy one that is in several
 * @req: the request; the cipher's context and the scatterlist lie behind it
 */
struct bhsec_aead_op {
	struct bhsec_sa *sa;
	struct sk_buff *skb;
	u64 seq;
	unsigned int inner_len;
	bool encrypt;
	u8 iv[BHSEC_IV_LEN];
	u8 aad[12 + BHSEC_IV_LEN];
	struct aead_request req;
};

unsigned int bhsec_aead_key_len(u32 cipher);
struct crypto_aead *bhsec_aead_alloc(u32 cipher, const u8 *key,
				     struct netlink_ext_ack *extack);
struct bhsec_aead_op *bhsec_aead_op_alloc(struct crypto_aead *tfm,
					  unsigned int pieces);
int bhsec_aead_op_map(struct bhsec_aead_op *op, unsigned int pieces,
		      __be32 spi, bool esn, unsigned int offset,
		      unsigned int len);

#endif
