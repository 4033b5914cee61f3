// SPDX-License-Identifier: GPL-2.0
/*
 * The table of ciphers, their transforms, and the requests made of them.
 */
#include <linux/err.h>
#include <linux/netlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "aead.h"
#include "uapi/bhsec.h"

/**
 * struct bhsec_aead - an AEAD of RFC 8221, RFC 7634
 * @driver: template of the kernel's crypto API
 * @key_len: bytes of key and salt together
 * @missing: what userspace reads if this kernel lacks it; extack strings
 *	cannot be formatted on every kernel
 */
struct bhsec_aead {
	const char *driver;
	unsigned int key_len;
	const char *missing;
};

static const struct bhsec_aead ciphers[] = {
	[BHSEC_CIPHER_AES_GCM_128] = {
		.driver = "rfc4106(gcm(aes))", .key_len = 20,
		.missing = "this kernel lacks rfc4106(gcm(aes))",
	},
	[BHSEC_CIPHER_AES_GCM_256] = {
		.driver = "rfc4106(gcm(aes))", .key_len = 36,
		.missing = "this kernel lacks rfc4106(gcm(aes))",
	},
	[BHSEC_CIPHER_CHACHA20_POLY1305] = {
		.driver = "rfc7539esp(chacha20,poly1305)", .key_len = 36,
		.missing = "this kernel lacks rfc7539esp(chacha20,poly1305)",
	},
	[BHSEC_CIPHER_AES_CCM_128] = {
		.driver = "rfc4309(ccm(aes))", .key_len = 19,
		.missing = "this kernel lacks rfc4309(ccm(aes))",
	},
	[BHSEC_CIPHER_AES_CCM_256] = {
		.driver = "rfc4309(ccm(aes))", .key_len = 35,
		.missing = "this kernel lacks rfc4309(ccm(aes))",
	},
};

/**
 * bhsec_aead_key_len - bytes of key and salt that a cipher takes
 * @cipher: BHSEC_CIPHER_*, of the table
 *
 * Return: the length in bytes.
 */
unsigned int bhsec_aead_key_len(u32 cipher)
{
	return ciphers[cipher].key_len;
}

/**
 * bhsec_aead_alloc - a keyed transform
 * @cipher: BHSEC_CIPHER_*, of the table
 * @key: key and salt, bhsec_aead_key_len() bytes
 * @extack: for the sentence that says what is missing
 *
 * Asking for a synchronous transform would get a slow generic GHASH, so what
 * comes may complete later.
 *
 * Context: may sleep and load modules.
 * Return: the transform, for crypto_free_aead(), or an ERR_PTR.
 */
struct crypto_aead *bhsec_aead_alloc(u32 cipher, const u8 *key,
				     struct netlink_ext_ack *extack)
{
	struct crypto_aead *tfm;
	int err;

	tfm = crypto_alloc_aead(ciphers[cipher].driver, 0, 0);
	if (IS_ERR(tfm)) {
		if (PTR_ERR(tfm) == -ENOENT)
			extack->_msg = ciphers[cipher].missing;
		else
			NL_SET_ERR_MSG(extack, "the cipher cannot be set up");
		return tfm;
	}
	err = crypto_aead_setauthsize(tfm, BHSEC_ICV_LEN);
	if (!err)
		err = crypto_aead_setkey(tfm, key, ciphers[cipher].key_len);
	if (err) {
		NL_SET_ERR_MSG(extack, "the cipher refuses this key");
		crypto_free_aead(tfm);
		return ERR_PTR(err);
	}
	return tfm;
}

static struct scatterlist *op_scatterlist(struct bhsec_aead_op *op)
{
	struct crypto_aead *tfm = crypto_aead_reqtfm(&op->req);

	return PTR_ALIGN((void *)(&op->req + 1) + crypto_aead_reqsize(tfm),
			 __alignof__(struct scatterlist));
}

/**
 * bhsec_aead_op_alloc - make room for one request
 * @tfm: transform it is for
 * @pieces: scatterlist entries that the packet needs
 *
 * Context: any.
 * Return: the operation, or NULL.
 */
struct bhsec_aead_op *bhsec_aead_op_alloc(struct crypto_aead *tfm,
					  unsigned int pieces)
{
	struct bhsec_aead_op *op;

	op = kmalloc(sizeof(*op) + crypto_aead_reqsize(tfm) +
		     __alignof__(struct scatterlist) +
		     (pieces + 1) * sizeof(struct scatterlist), GFP_ATOMIC);
	if (op)
		aead_request_set_tfm(&op->req, tfm);
	return op;
}

/**
 * bhsec_aead_op_map - point a request at its packet
 * @op: the operation; skb, seq and sa are set
 * @pieces: as given to bhsec_aead_op_alloc()
 * @spi: SPI, network byte order
 * @esn: are sequence numbers 64 bits in the AAD
 * @offset: where the ESP header starts in the packet's data
 * @len: bytes of ciphertext and ICV behind ESP header and IV; of plaintext
 *	only, for encryption
 *
 * The AAD of RFC 4106 section 5 has a sequence number of 64 bits where the
 * packet has 32; it gets an element of its own, the packet is left as it is.
 *
 * Context: any.
 * Return: 0 or a negative error.
 */
int bhsec_aead_op_map(struct bhsec_aead_op *op, unsigned int pieces,
		      __be32 spi, bool esn, unsigned int offset,
		      unsigned int len)
{
	struct scatterlist *sg = op_scatterlist(op);
	__be32 *word = (__be32 *)op->aad;
	unsigned int mapped = len;
	int n;

	*word++ = spi;
	if (esn)
		*word++ = htonl(upper_32_bits(op->seq));
	*word++ = htonl(lower_32_bits(op->seq));
	memcpy(word, op->iv, BHSEC_IV_LEN);

	if (op->encrypt)
		mapped += BHSEC_ICV_LEN;
	sg_init_table(sg, pieces + 1);
	sg_set_buf(sg, op->aad, (esn ? 12 : 8) + BHSEC_IV_LEN);
	n = skb_to_sgvec(op->skb, sg + 1, offset + BHSEC_ESP_HEAD, mapped);
	if (n < 0)
		return n;
	aead_request_set_ad(&op->req, sg->length);
	aead_request_set_crypt(&op->req, sg, sg, len, op->iv);
	return 0;
}
