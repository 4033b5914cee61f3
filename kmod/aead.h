/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_AEAD_H
#define BHSEC_AEAD_H

#include <crypto/aead.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/types.h>

struct bhsec_sa;
struct netlink_ext_ack;

/* The longest explicit IV, and an ESP header with it. */
#define BHSEC_IV_MAX 16
#define BHSEC_HEAD_MAX (8 + BHSEC_IV_MAX)

/**
 * struct bhsec_layout - what a cipher has around and in a payload (RFC 4303 2)
 * @head: bytes of SPI, sequence number and explicit IV
 * @icv: bytes of the ICV
 * @block: what payload, padding and the two bytes after it are a multiple of
 */
struct bhsec_layout {
	u8 head;
	u8 icv;
	u8 block;
};

/**
 * struct bhsec_algorithms - how xfrm names a cipher
 * @cipher: of an AEAD its template; else what encrypts
 * @key_len: bytes of its key, salt included
 * @mac: what authenticates; NULL for an AEAD
 * @mac_key_len: bytes of its key
 * @icv_len: bytes of the ICV
 */
struct bhsec_algorithms {
	const char *cipher;
	unsigned int key_len;
	const char *mac;
	unsigned int mac_key_len;
	unsigned int icv_len;
};

/**
 * struct bhsec_aead_op - one packet on its way through the cipher
 * @sa: the SA; the operation is one of its users
 * @skb: the packet; linear, and nobody else's
 * @seq: its full sequence number
 * @layout: the SA's
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
	const struct bhsec_layout *layout;
	unsigned int inner_len;
	__be32 before;
	u8 iv[BHSEC_IV_MAX];
	struct scatterlist sg;
	struct aead_request req;
};

unsigned int bhsec_aead_key_len(u32 cipher);
const struct bhsec_layout *bhsec_aead_layout(u32 cipher);
int bhsec_aead_find(const struct bhsec_algorithms *algorithms);
const char *bhsec_aead_objection(const struct bhsec_algorithms *algorithms);
void bhsec_aead_load(u32 cipher, bool esn);
struct crypto_aead *bhsec_aead_alloc(u32 cipher, bool esn, const u8 *key,
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
