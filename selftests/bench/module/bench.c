// SPDX-License-Identifier: GPL-2.0
/*
 * bench - what only the kernel can tell the bench, as module parameters
 *
 * idle: for how many nanoseconds the CPU has slept.
 *
 * seal, open: time stamps that one call of the AEAD takes, of the parameters
 * template, key_bytes and size, the packet's, on memory that is ready for it.
 * No tunnel that uses the kernel's crypto API does with less.
 */
#include <crypto/aead.h>
#include <linux/kernel_stat.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/tick.h>
#include <asm/msr.h>

#define ICV	16
#define IV	8
#define ASSOC	(12 + IV)	/* SPI, 64 bits of sequence number, IV */
#define TRAILER	2
#define ROUNDS	200

static char template[CRYPTO_MAX_ALG_NAME] = "rfc4106(gcm(aes))";
module_param_string(template, template, sizeof(template), 0600);
MODULE_PARM_DESC(template, "of the AEAD");

static uint key_bytes = 20;
module_param(key_bytes, uint, 0600);
MODULE_PARM_DESC(key_bytes, "of key and salt");

static uint size = 1400;
module_param(size, uint, 0600);
MODULE_PARM_DESC(size, "bytes of the packet that is sealed");

struct times {
	u64 seal, open;
};

static struct crypto_aead *new_tfm(void)
{
	struct crypto_aead *tfm = crypto_alloc_aead(template, 0, 0);
	u8 key[64];
	int err;

	if (IS_ERR(tfm))
		return tfm;
	get_random_bytes(key, sizeof(key));
	err = crypto_aead_setkey(tfm, key, min_t(uint, key_bytes, sizeof(key)));
	if (!err)
		err = crypto_aead_setauthsize(tfm, ICV);
	if (!err)
		return tfm;
	crypto_free_aead(tfm);
	return ERR_PTR(err);
}

/* Sums up the rounds; a packet is opened again in the place of the sealed. */
static int run(struct aead_request *req, struct scatterlist *sg, uint len,
	       u8 *iv, struct times *times)
{
	DECLARE_CRYPTO_WAIT(wait);
	u64 begin, middle;
	int err = 0;

	aead_request_set_callback(req, 0, crypto_req_done, &wait);
	aead_request_set_ad(req, ASSOC);
	for (int n = 0; n < ROUNDS && !err; n++) {
		begin = rdtsc_ordered();
		aead_request_set_crypt(req, sg, sg, len, iv);
		err = crypto_wait_req(crypto_aead_encrypt(req), &wait);
		middle = rdtsc_ordered();
		if (err)
			break;
		aead_request_set_crypt(req, sg, sg, len + ICV, iv);
		err = crypto_wait_req(crypto_aead_decrypt(req), &wait);
		times->open += rdtsc_ordered() - middle;
		times->seal += middle - begin;
	}
	return err;
}

static int run_with(struct crypto_aead *tfm, struct times *times)
{
	uint len = ALIGN(size + TRAILER, 4);
	struct aead_request *req = aead_request_alloc(tfm, GFP_KERNEL);
	u8 *packet = kzalloc(ASSOC + len + ICV, GFP_KERNEL);
	struct scatterlist sg;
	u8 iv[IV] = {};
	int err = -ENOMEM;

	if (req && packet) {
		sg_init_one(&sg, packet, ASSOC + len + ICV);
		err = run(req, &sg, len, iv, times);
	}
	kfree(packet);
	if (req)
		aead_request_free(req);
	return err;
}

static int measure(struct times *times)
{
	struct crypto_aead *tfm = new_tfm();
	struct times warm = {};
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = run_with(tfm, &warm);
	if (!err)
		err = run_with(tfm, times);
	crypto_free_aead(tfm);
	return err;
}

static int show_seal(char *buffer, const struct kernel_param *kp)
{
	struct times times = {};
	int err = measure(&times);

	return err ?: sysfs_emit(buffer, "%llu\n", times.seal / ROUNDS);
}

static int show_open(char *buffer, const struct kernel_param *kp)
{
	struct times times = {};
	int err = measure(&times);

	return err ?: sysfs_emit(buffer, "%llu\n", times.open / ROUNDS);
}

static int show_idle(char *buffer, const struct kernel_param *kp)
{
	u64 idle = 0;
	int cpu;

	for_each_online_cpu(cpu)
		idle += get_cpu_idle_time_us(cpu, NULL) +
			get_cpu_iowait_time_us(cpu, NULL);
	return sysfs_emit(buffer, "%llu\n", idle * NSEC_PER_USEC);
}

static const struct kernel_param_ops seal_ops = { .get = show_seal };
static const struct kernel_param_ops open_ops = { .get = show_open };
static const struct kernel_param_ops idle_ops = { .get = show_idle };

module_param_cb(seal, &seal_ops, NULL, 0400);
MODULE_PARM_DESC(seal, "time stamps that sealing takes");
module_param_cb(open, &open_ops, NULL, 0400);
MODULE_PARM_DESC(open, "time stamps that opening takes");
module_param_cb(idle, &idle_ops, NULL, 0400);
MODULE_PARM_DESC(idle, "nanoseconds that the CPU has slept");

MODULE_DESCRIPTION("What only the kernel can tell the bench of bhsec");
MODULE_LICENSE("GPL");
