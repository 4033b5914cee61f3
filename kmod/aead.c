// SPDX-License-Identifier: GPL-2.0
/*
 * The table of ciphers, their transforms, and the requests made of them.
 */
#include <linux/err.h>
#include <linux/netlink.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "aead.h"
#include "compat.h"
#include "uapi/bhsec.h"

/* Larger than what any cipher of the table asks for on a plain machine. */
#define OP_SIZE 1024

static DEFINE_PER_CPU(struct bhsec_aead_op *, spare);

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
 * bhsec_aead_find - the cipher that xfrm has by another name
 * @driver: template of the kernel's crypto API
 * @key_len: bytes of key and salt together
 * @icv_len: bytes of the ICV
 *
 * Return: BHSEC_CIPHER_*, or a negative error if there is none.
 */
int bhsec_aead_find(const char *driver, unsigned int key_len,
		    unsigned int icv_len)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ciphers); i++)
		if (!strcmp(driver, ciphers[i].driver) &&
		    key_len == ciphers[i].key_len && icv_len == BHSEC_ICV_LEN)
			return i;
	return -ENOENT;
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

/**
 * bhsec_aead_op_get - room for one request
 * @tfm: transform it is for
 *
 * Almost every request is over when the cipher returns, so one place for each
 * CPU is enough for those; a request that goes on takes its place along.
 *
 * Context: softirqs off.
 * Return: the operation, or NULL.
 */
struct bhsec_aead_op *bhsec_aead_op_get(struct crypto_aead *tfm)
{
	unsigned int size = sizeof(struct bhsec_aead_op) +
			    crypto_aead_reqsize(tfm);
	struct bhsec_aead_op *op = NULL;

	if (likely(size <= OP_SIZE))
		op = __this_cpu_xchg(spare, NULL);
	if (!op)
		op = kmalloc(max_t(unsigned int, size, OP_SIZE), GFP_ATOMIC);
	if (op)
		aead_request_set_tfm(&op->req, tfm);
	return op;
}

/**
 * bhsec_aead_op_put - a request is over
 * @op: the operation
 *
 * Context: softirqs off.
 */
void bhsec_aead_op_put(struct bhsec_aead_op *op)
{
	kfree(__this_cpu_xchg(spare, op));
}

/*
 * The AAD of RFC 4106 section 5 has a sequence number of 64 bits where the
 * packet has 32. It is made in place, four bytes early, so that AAD and payload
 * are one piece; bhsec_aead_op_finish() puts back what stood there.
 */
static void map(struct bhsec_aead_op *op, bool esn, unsigned int mapped)
{
	u8 *esp = op->skb->data;
	__be32 high;

	memcpy(op->iv, esp + 8, BHSEC_IV_LEN);
	if (!esn) {
		sg_init_one(&op->sg, esp, BHSEC_ESP_HEAD + mapped);
		aead_request_set_ad(&op->req, BHSEC_ESP_HEAD);
		return;
	}
	high = htonl(upper_32_bits(op->seq));
	memcpy(&op->before, esp - 4, sizeof(op->before));
	memcpy(esp - 4, esp, 4);
	memcpy(esp, &high, sizeof(high));
	sg_init_one(&op->sg, esp - 4, 4 + BHSEC_ESP_HEAD + mapped);
	aead_request_set_ad(&op->req, 4 + BHSEC_ESP_HEAD);
}

/**
 * bhsec_aead_op_seal - encrypt a packet in place
 * @op: the operation; sa, skb and seq are set. The packet's data starts at the
 *	ESP header, four bytes of room before it; the ICV's room is behind
 * @esn: are sequence numbers 64 bits in the AAD
 * @done: completes what comes later, with @op as its data
 *
 * Context: softirqs off.
 * Return: 0, -EINPROGRESS if @done will be called, or a negative error.
 */
int bhsec_aead_op_seal(struct bhsec_aead_op *op, bool esn,
		       crypto_completion_t done)
{
	unsigned int len = op->skb->len - BHSEC_ESP_HEAD - BHSEC_ICV_LEN;

	map(op, esn, len + BHSEC_ICV_LEN);
	aead_request_set_crypt(&op->req, &op->sg, &op->sg, len, op->iv);
	aead_request_set_callback(&op->req, 0, done, op);
	return crypto_aead_encrypt(&op->req);
}

/**
 * bhsec_aead_op_open - decrypt a packet in place
 * @op: as for bhsec_aead_op_seal()
 * @esn: are sequence numbers 64 bits in the AAD
 * @done: completes what comes later, with @op as its data
 *
 * Context: softirqs off.
 * Return: 0, -EINPROGRESS if @done will be called, -EBADMSG if the packet is
 * not authentic, or another negative error.
 */
int bhsec_aead_op_open(struct bhsec_aead_op *op, bool esn,
		       crypto_completion_t done)
{
	unsigned int len = op->skb->len - BHSEC_ESP_HEAD;

	map(op, esn, len);
	aead_request_set_crypt(&op->req, &op->sg, &op->sg, len, op->iv);
	aead_request_set_callback(&op->req, 0, done, op);
	return crypto_aead_decrypt(&op->req);
}

/**
 * bhsec_aead_exit - free what the CPUs keep
 *
 * Context: no packet is in a cipher.
 */
void bhsec_aead_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kfree(per_cpu(spare, cpu));
}
