// SPDX-License-Identifier: GPL-2.0
/*
 * The table of ciphers, their transforms, and the requests made of them.
 */
#include <crypto/authenc.h>
#include <linux/err.h>
#include <linux/netlink.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "aead.h"
#include "compat.h"
#include "uapi/bhsec.h"

/* Larger than what any cipher of the table asks for on a plain machine. */
#define OP_SIZE 1024

static DEFINE_PER_CPU(struct bhsec_aead_op *, spare);

/**
 * struct bhsec_aead - a cipher of RFC 8221
 * @driver: template of the kernel's crypto API
 * @esn_driver: the same where it has to know that sequence numbers have 64
 *	bits; NULL if it is the same
 * @algorithms: what xfrm calls it, and how long the keys are
 * @layout: what it has around a payload
 * @missing: what userspace reads if this kernel lacks it; extack strings
 *	cannot be formatted on every kernel
 *
 * A key is that of the cipher, with its salt, then that of the MAC: in the order
 * in which an IKE daemon draws them (RFC 7296 2.17).
 */
struct bhsec_aead {
	const char *driver;
	const char *esn_driver;
	struct bhsec_algorithms algorithms;
	struct bhsec_layout layout;
	const char *missing;
};

/* Cipher and MAC in one (RFC 5116), the explicit IV a number. */
#define COMBINED(name, len) {						\
	.driver = name,							\
	.algorithms = { .cipher = name, .key_len = len, .icv_len = 16 },	\
	.layout = { .head = 8 + 8, .icv = 16, .block = 4 },		\
	.missing = "this kernel lacks " name,				\
}

/* A cipher, then a MAC over what it made and what stands before it. */
#define PAIR(enc, len, iv, multiple, hmac, mac_len, icv_bytes) {		\
	.driver = "authenc(" hmac "," enc ")",				\
	.esn_driver = "authencesn(" hmac "," enc ")",			\
	.algorithms = { .cipher = enc, .key_len = len, .mac = hmac,	\
			.mac_key_len = mac_len, .icv_len = icv_bytes },	\
	.layout = { .head = 8 + iv, .icv = icv_bytes, .block = multiple },	\
	.missing = "this kernel lacks " hmac ", " enc ", authenc or authencesn",	\
}

/* RFC 3602, and the three of RFC 4868: half of what a hash gives is sent. */
#define CBC(len, hmac, mac_len) \
	PAIR("cbc(aes)", len, 16, 16, hmac, mac_len, mac_len / 2)

static const struct bhsec_aead ciphers[] = {
	[BHSEC_CIPHER_AES_GCM_128] = COMBINED("rfc4106(gcm(aes))", 20),
	[BHSEC_CIPHER_AES_GCM_256] = COMBINED("rfc4106(gcm(aes))", 36),
	[BHSEC_CIPHER_CHACHA20_POLY1305] =
		COMBINED("rfc7539esp(chacha20,poly1305)", 36),
	[BHSEC_CIPHER_AES_CCM_128] = COMBINED("rfc4309(ccm(aes))", 19),
	[BHSEC_CIPHER_AES_CCM_256] = COMBINED("rfc4309(ccm(aes))", 35),
	[BHSEC_CIPHER_AES_CBC_128_SHA256] = CBC(16, "hmac(sha256)", 32),
	[BHSEC_CIPHER_AES_CBC_256_SHA256] = CBC(32, "hmac(sha256)", 32),
	[BHSEC_CIPHER_AES_CBC_128_SHA384] = CBC(16, "hmac(sha384)", 48),
	[BHSEC_CIPHER_AES_CBC_256_SHA384] = CBC(32, "hmac(sha384)", 48),
	[BHSEC_CIPHER_AES_CBC_128_SHA512] = CBC(16, "hmac(sha512)", 64),
	[BHSEC_CIPHER_AES_CBC_256_SHA512] = CBC(32, "hmac(sha512)", 64),
	[BHSEC_CIPHER_AES_GMAC_128] = COMBINED("rfc4543(gcm(aes))", 20),
	[BHSEC_CIPHER_AES_GMAC_256] = COMBINED("rfc4543(gcm(aes))", 36),
	[BHSEC_CIPHER_NULL_SHA256] =
		PAIR("ecb(cipher_null)", 0, 0, 4, "hmac(sha256)", 32, 16),
};

/**
 * bhsec_aead_key_len - bytes of all keys and salt that a cipher takes
 * @cipher: BHSEC_CIPHER_*, of the table
 *
 * Return: the length in bytes.
 */
unsigned int bhsec_aead_key_len(u32 cipher)
{
	const struct bhsec_algorithms *algorithms = &ciphers[cipher].algorithms;

	return algorithms->key_len + algorithms->mac_key_len;
}

/**
 * bhsec_aead_layout - what a cipher has around a payload
 * @cipher: BHSEC_CIPHER_*, of the table
 *
 * Return: the layout.
 */
const struct bhsec_layout *bhsec_aead_layout(u32 cipher)
{
	return &ciphers[cipher].layout;
}

static bool are_same(const struct bhsec_algorithms *a,
		     const struct bhsec_algorithms *b)
{
	return !strcmp(a->cipher, b->cipher) && a->key_len == b->key_len &&
	       !a->mac == !b->mac && (!a->mac || !strcmp(a->mac, b->mac)) &&
	       a->mac_key_len == b->mac_key_len && a->icv_len == b->icv_len;
}

/**
 * bhsec_aead_find - the cipher that xfrm has by other names
 * @algorithms: those
 *
 * Return: BHSEC_CIPHER_*, or a negative error if there is none.
 */
int bhsec_aead_find(const struct bhsec_algorithms *algorithms)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ciphers); i++)
		if (are_same(&ciphers[i].algorithms, algorithms))
			return i;
	return -ENOENT;
}

/**
 * bhsec_aead_objection - why a cipher cannot be taken
 * @algorithms: what xfrm calls it
 *
 * Return: a sentence, NULL if it can be taken.
 */
const char *bhsec_aead_objection(const struct bhsec_algorithms *algorithms)
{
	const char *mac = algorithms->mac;

	if (strstr(algorithms->cipher, "(des"))
		return "DES and 3DES are not allowed (TS 33.210)";
	if (mac && (strstr(mac, "(md5)") || strstr(mac, "(sha1)")))
		return "MD5 and SHA-1 are not allowed (TS 33.210)";
	if (bhsec_aead_find(algorithms) < 0)
		return "bhsec has no such cipher";
	return NULL;
}

/* The form in which authenc() takes two keys. */
static int set_pair(struct crypto_aead *tfm,
		    const struct bhsec_algorithms *algorithms, const u8 *key)
{
	unsigned int len = algorithms->key_len + algorithms->mac_key_len;
	struct crypto_authenc_key_param *param;
	struct rtattr *rta;
	u8 *keys;
	int err;

	rta = kmalloc(RTA_SPACE(sizeof(*param)) + len, GFP_KERNEL);
	if (!rta)
		return -ENOMEM;
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	param = RTA_DATA(rta);
	param->enckeylen = cpu_to_be32(algorithms->key_len);
	keys = (u8 *)rta + RTA_SPACE(sizeof(*param));
	memcpy(keys, key + algorithms->key_len, algorithms->mac_key_len);
	memcpy(keys + algorithms->mac_key_len, key, algorithms->key_len);
	err = crypto_aead_setkey(tfm, (u8 *)rta,
				 RTA_SPACE(sizeof(*param)) + len);
	kfree_sensitive(rta);
	return err;
}

static int set_key(struct crypto_aead *tfm, const struct bhsec_aead *aead,
		   const u8 *key)
{
	int err = crypto_aead_setauthsize(tfm, aead->layout.icv);

	if (err)
		return err;
	return aead->algorithms.mac ?
	       set_pair(tfm, &aead->algorithms, key) :
	       crypto_aead_setkey(tfm, key, aead->algorithms.key_len);
}

static const char *driver_of(const struct bhsec_aead *aead, bool esn)
{
	return esn && aead->esn_driver ? aead->esn_driver : aead->driver;
}

/**
 * bhsec_aead_load - have the modules of a cipher loaded
 * @cipher: BHSEC_CIPHER_*, of the table
 * @esn: are sequence numbers 64 bits
 *
 * For who will ask for a transform while others wait; what is missing is said
 * there.
 *
 * Context: may sleep, for as long as modprobe takes.
 */
void bhsec_aead_load(u32 cipher, bool esn)
{
	crypto_has_alg(driver_of(&ciphers[cipher], esn), CRYPTO_ALG_TYPE_AEAD,
		       CRYPTO_ALG_TYPE_MASK);
}

/**
 * bhsec_aead_alloc - a keyed transform
 * @cipher: BHSEC_CIPHER_*, of the table
 * @esn: are sequence numbers 64 bits
 * @key: keys and salt, bhsec_aead_key_len() bytes
 * @extack: for the sentence that says what is missing
 *
 * Asking for a synchronous transform would get a slow generic GHASH, so what
 * comes may complete later.
 *
 * Context: may sleep and load modules.
 * Return: the transform, for crypto_free_aead(), or an ERR_PTR.
 */
struct crypto_aead *bhsec_aead_alloc(u32 cipher, bool esn, const u8 *key,
				     struct netlink_ext_ack *extack)
{
	const struct bhsec_aead *aead = &ciphers[cipher];
	struct crypto_aead *tfm;
	int err;

	tfm = crypto_alloc_aead(driver_of(aead, esn), 0, 0);
	if (IS_ERR(tfm)) {
		if (PTR_ERR(tfm) == -ENOENT)
			extack->_msg = aead->missing;
		else
			NL_SET_ERR_MSG(extack, "the cipher cannot be set up");
		return tfm;
	}
	err = set_key(tfm, aead, key);
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
	if (!op) {
		op = kmalloc(max_t(unsigned int, size, OP_SIZE), GFP_ATOMIC);
		if (!op)
			return NULL;
		sg_init_table(&op->sg, 1);
	}
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
 * are one piece; bhsec_aead_op_finish() puts back what stood there. Where the IV
 * is shorter than its room, the packet is long enough for what is copied.
 */
static void map(struct bhsec_aead_op *op, bool esn)
{
	unsigned int head = op->layout->head;
	u8 *esp = op->skb->data;
	__be32 high;

	memcpy(op->iv, esp + 8, BHSEC_IV_MAX);
	if (!esn) {
		sg_set_buf(&op->sg, esp, op->skb->len);
		aead_request_set_ad(&op->req, head);
		return;
	}
	high = htonl(upper_32_bits(op->seq));
	memcpy(&op->before, esp - 4, sizeof(op->before));
	memcpy(esp - 4, esp, 4);
	memcpy(esp, &high, sizeof(high));
	sg_set_buf(&op->sg, esp - 4, 4 + op->skb->len);
	aead_request_set_ad(&op->req, 4 + head);
}

/**
 * bhsec_aead_op_seal - encrypt a packet in place
 * @op: the operation; sa, layout, skb and seq are set. The packet's data starts
 *	at the ESP header, four bytes of room before it; the ICV's room is behind
 * @esn: are sequence numbers 64 bits in the AAD
 * @done: completes what comes later, with @op as its data
 *
 * Context: softirqs off.
 * Return: 0, -EINPROGRESS if @done will be called, or a negative error.
 */
int bhsec_aead_op_seal(struct bhsec_aead_op *op, bool esn,
		       crypto_completion_t done)
{
	unsigned int len = op->skb->len - op->layout->head - op->layout->icv;

	map(op, esn);
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
	unsigned int len = op->skb->len - op->layout->head;

	map(op, esn);
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
