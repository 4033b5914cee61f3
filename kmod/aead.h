/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_AEAD_H
#define BHSEC_AEAD_H

#include <crypto/aead.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/types.h>

struct bhsec_sa;
struct netlink_ext_ack;

/* Every cipher of the table has an explicit IV of 8 bytes and an ICV of 16. */
#define BHSEC_IV_LEN 8
#define BHSEC_ICV_LEN 16
/* SPI, sequence number and explicit IV, as they stand in the packet. */
#define BHSEC_ESP_HEAD (8 + BHSEC_IV_LEN)

/**
 * struct bhsec_aead_op - one packet on its way through the cipher
 * @sa: the SA; the operation is one of its users
 * @skb: the packet; linear, and nobody else's
 * @seq: its full sequence number
 * @inner_len: bytes of the inner packet, outbound
 * @before: what stood before the ESP header, while the AAD stands there
 * @iv: the cipher's copy of the explicit IV
 * @sg: AAD, payload and ICV in one piece: of several, a cipher walks each
 * @req: the request; the cipher's context lies behind it
 */
struct bhsec_aead_op {
	struct bhsec_sa *sa;
	struct sk_buff *skb;
	u64 seq;
	unsigned int inner_len;
	__be32 before;
	u8 iv[BHSEC_IV_LEN];
	struct scatterlist sg;
	struct aead_request req;
};

unsigned int bhsec_aead_key_len(u32 cipher);
int bhsec_aead_find(const char *driver, unsigned int key_len,
		    unsigned int icv_len);
struct crypto_aead *bhsec_aead_alloc(u32 cipher, const u8 *key,
				     struct netlink_ext_ack *extack);
struct bhsec_aead_op *bhsec_aead_op_get(struct crypto_aead *tfm);
void bhsec_aead_op_put(struct bhsec_aead_op *op);
int bhsec_aead_op_seal(struct bhsec_aead_op *op, bool esn,
		       crypto_completion_t done);
int bhsec_aead_op_open(struct bhsec_aead_op *op, bool esn,
		       crypto_completion_t done);
void bhsec_aead_exit(void);

/**
 * bhsec_aead_op_finish - the packet as it was around its payload
 * @op: the operation; the cipher is through with it
 * @esn: as it was sealed or opened
 *
 * Context: any.
 */
static inline void bhsec_aead_op_finish(struct bhsec_aead_op *op, bool esn)
{
	u8 *esp = op->skb->data;

	if (!esn)
		return;
	memcpy(esp, esp - 4, 4);
	memcpy(esp - 4, &op->before, sizeof(op->before));
}

/**
 * bhsec_aead_may_wait - may a request go on after the cipher has returned
 * @tfm: its transform
 *
 * Return: false if never.
 */
static inline bool bhsec_aead_may_wait(struct crypto_aead *tfm)
{
	return crypto_aead_alg(tfm)->base.cra_flags & CRYPTO_ALG_ASYNC;
}

#endif
