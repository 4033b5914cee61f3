// SPDX-License-Identifier: GPL-2.0
/*
 * The words for the numbers of the netlink family.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "util.h"

#define NAMES(list) { .name = (list), .count = ARRAY_SIZE(list) }

static const char *const switches[] = {
	"off",
	"on",
};

const struct names switch_names = NAMES(switches);

const char *const direction_words[] = {
	[BHSEC_DIRECTION_IN] = "in",
	[BHSEC_DIRECTION_OUT] = "out",
};

const struct names direction_names = NAMES(direction_words);

static const char *const encaps[] = {
	[BHSEC_ENCAP_UDP] = "udp",
	[BHSEC_ENCAP_ESP] = "esp",
};

const struct names encap_names = NAMES(encaps);

static const char *const df_modes[] = {
	[BHSEC_DF_COPY] = "copy",
	[BHSEC_DF_SET] = "set",
	[BHSEC_DF_CLEAR] = "clear",
};

const struct names df_names = NAMES(df_modes);

static const char *const ciphers[] = {
	[BHSEC_CIPHER_AES_GCM_128] = "aes-gcm-128",
	[BHSEC_CIPHER_AES_GCM_256] = "aes-gcm-256",
	[BHSEC_CIPHER_CHACHA20_POLY1305] = "chacha20-poly1305",
	[BHSEC_CIPHER_AES_CCM_128] = "aes-ccm-128",
	[BHSEC_CIPHER_AES_CCM_256] = "aes-ccm-256",
	[BHSEC_CIPHER_AES_CBC_128_SHA256] = "aes-cbc-128-sha256",
	[BHSEC_CIPHER_AES_CBC_256_SHA256] = "aes-cbc-256-sha256",
	[BHSEC_CIPHER_AES_CBC_128_SHA384] = "aes-cbc-128-sha384",
	[BHSEC_CIPHER_AES_CBC_256_SHA384] = "aes-cbc-256-sha384",
	[BHSEC_CIPHER_AES_CBC_128_SHA512] = "aes-cbc-128-sha512",
	[BHSEC_CIPHER_AES_CBC_256_SHA512] = "aes-cbc-256-sha512",
	[BHSEC_CIPHER_AES_GMAC_128] = "aes-gmac-128",
	[BHSEC_CIPHER_AES_GMAC_256] = "aes-gmac-256",
	[BHSEC_CIPHER_NULL_SHA256] = "null-sha256",
};

const struct names cipher_names = NAMES(ciphers);

static const char *const states[] = {
	[BHSEC_SA_STATE_ACTIVE] = "active",
	[BHSEC_SA_STATE_EXPIRED] = "expired",
	[BHSEC_SA_STATE_EXHAUSTED] = "exhausted",
};

const struct names state_names = NAMES(states);

static const char *const origins[] = {
	[BHSEC_ORIGIN_HAND] = "hand",
	[BHSEC_ORIGIN_IKE] = "ike",
};

const struct names origin_names = NAMES(origins);

static const char *const doors[] = {
	[BHSEC_DOOR_EARLY] = "early",
	[BHSEC_DOOR_UNUSED] = "unused",
	[BHSEC_DOOR_GRO] = "gro",
	[BHSEC_DOOR_BATCH] = "batch",
	[BHSEC_DOOR_NETFILTER] = "netfilter",
	[BHSEC_DOOR_INGRESS] = "ingress",
	[BHSEC_DOOR_CAPTURE] = "capture",
	[BHSEC_DOOR_XDP] = "xdp",
	[BHSEC_DOOR_DEVICE] = "device",
	[BHSEC_DOOR_VLAN] = "vlan",
	[BHSEC_DOOR_TUNNEL] = "tunnel",
	[BHSEC_DOOR_VRF] = "vrf",
	[BHSEC_DOOR_RPS] = "rps",
	[BHSEC_DOOR_POLICY] = "policy",
	[BHSEC_DOOR_ROUTE] = "route",
};

const struct names door_names = NAMES(doors);

static const char *const events[] = {
	[BHSEC_EVENT_NO_SA] = "no_sa",
	[BHSEC_EVENT_AUTH] = "auth",
	[BHSEC_EVENT_REPLAY] = "replay",
	[BHSEC_EVENT_MALFORMED] = "malformed",
	[BHSEC_EVENT_SELECTOR] = "selector",
	[BHSEC_EVENT_PADDING] = "padding",
	[BHSEC_EVENT_FRAGMENT] = "fragment",
	[BHSEC_EVENT_ENCAP] = "encap",
	[BHSEC_EVENT_ICMP_PORT] = "icmp_port",
	[BHSEC_EVENT_ICMP_HOST] = "icmp_host",
	[BHSEC_EVENT_ICMP_NET] = "icmp_net",
	[BHSEC_EVENT_ICMP_PROHIBITED] = "icmp_prohibited",
	[BHSEC_EVENT_ICMP_TOO_BIG] = "icmp_too_big",
	[BHSEC_EVENT_SOFT] = "soft",
	[BHSEC_EVENT_EXPIRED] = "expired",
	[BHSEC_EVENT_EXHAUSTED] = "exhausted",
	[BHSEC_EVENT_ADOPTED] = "adopted",
	[BHSEC_EVENT_RELEASED] = "released",
	[BHSEC_EVENT_REFUSED] = "refused",
	[BHSEC_EVENT_MAPPING] = "mapping",
};

const struct names event_names = NAMES(events);

const char *const stats_names[BHSEC_A_STATS_MAX + 1] = {
	[BHSEC_A_STATS_RX_PACKETS] = "rx_packets",
	[BHSEC_A_STATS_RX_BYTES] = "rx_bytes",
	[BHSEC_A_STATS_TX_PACKETS] = "tx_packets",
	[BHSEC_A_STATS_TX_BYTES] = "tx_bytes",
	[BHSEC_A_STATS_NO_SA] = "no_sa",
	[BHSEC_A_STATS_AUTH] = "auth",
	[BHSEC_A_STATS_REPLAY] = "replay",
	[BHSEC_A_STATS_MALFORMED] = "malformed",
	[BHSEC_A_STATS_SELECTOR] = "selector",
	[BHSEC_A_STATS_PADDING] = "padding",
	[BHSEC_A_STATS_FRAGMENT] = "fragment",
	[BHSEC_A_STATS_ENCAP] = "encap",
	[BHSEC_A_STATS_DUMMY] = "dummy",
	[BHSEC_A_STATS_EXPIRED] = "expired",
	[BHSEC_A_STATS_EXHAUSTED] = "exhausted",
	[BHSEC_A_STATS_NO_KEY] = "no_key",
	[BHSEC_A_STATS_NO_PEER] = "no_peer",
	[BHSEC_A_STATS_NO_ENDPOINT] = "no_endpoint",
	[BHSEC_A_STATS_NO_ROUTE] = "no_route",
	[BHSEC_A_STATS_TOO_BIG] = "too_big",
	[BHSEC_A_STATS_LOOP] = "loop",
	[BHSEC_A_STATS_DOWN] = "down",
	[BHSEC_A_STATS_BACKLOG] = "backlog",
	[BHSEC_A_STATS_NOMEM] = "nomem",
	[BHSEC_A_STATS_CRYPTO] = "crypto",
};

const char *const icmp_names[BHSEC_A_ICMP_MAX + 1] = {
	[BHSEC_A_ICMP_PORT] = "icmp_port",
	[BHSEC_A_ICMP_HOST] = "icmp_host",
	[BHSEC_A_ICMP_NET] = "icmp_net",
	[BHSEC_A_ICMP_PROHIBITED] = "icmp_prohibited",
	[BHSEC_A_ICMP_TOO_BIG] = "icmp_too_big",
};

/* Key and salt (RFC 4106 8.1, RFC 7634 2, RFC 4309 7.1). */
static const unsigned int key_lens[] = {
	[BHSEC_CIPHER_AES_GCM_128] = 20,
	[BHSEC_CIPHER_AES_GCM_256] = 36,
	[BHSEC_CIPHER_CHACHA20_POLY1305] = 36,
	[BHSEC_CIPHER_AES_CCM_128] = 19,
	[BHSEC_CIPHER_AES_CCM_256] = 35,
	[BHSEC_CIPHER_AES_CBC_128_SHA256] = 48,
	[BHSEC_CIPHER_AES_CBC_256_SHA256] = 64,
	[BHSEC_CIPHER_AES_CBC_128_SHA384] = 64,
	[BHSEC_CIPHER_AES_CBC_256_SHA384] = 80,
	[BHSEC_CIPHER_AES_CBC_128_SHA512] = 80,
	[BHSEC_CIPHER_AES_CBC_256_SHA512] = 96,
	[BHSEC_CIPHER_AES_GMAC_128] = 20,
	[BHSEC_CIPHER_AES_GMAC_256] = 36,
	[BHSEC_CIPHER_NULL_SHA256] = 32,
};

/**
 * names_find - the value of a word
 * @names: the enumeration
 * @word: as the user wrote it
 * @value: set if it is found
 *
 * Return: whether the word is known.
 */
bool names_find(const struct names *names, const char *word, uint32_t *value)
{
	uint32_t i;

	for (i = 0; i < names->count; i++) {
		if (strcmp(names->name[i], word) == 0) {
			*value = i;
			return true;
		}
	}
	return false;
}

/**
 * names_word - the word of a value
 * @names: the enumeration
 * @value: from the kernel, whose module may be newer than this tool
 *
 * Return: the word.
 */
const char *names_word(const struct names *names, uint32_t value)
{
	return value < names->count ? names->name[value] : "unknown";
}

/* As many words as make a sentence that can be read. */
#define NAMED_MAX 6

/* What others have and nobody should use. */
static bool is_weak(const char *cipher)
{
	static const char *const weak[] = { "des", "md5", "sha1" };
	size_t i;

	for (i = 0; i < sizeof(weak) / sizeof(*weak); i++)
		if (strcasestr(cipher, weak[i]))
			return true;
	return false;
}

/**
 * names_objection - what to say of a word that is none of an enumeration
 * @names: the enumeration
 * @word: as the user wrote it
 *
 * Return: the rest of a sentence, valid until the next call.
 */
const char *names_objection(const struct names *names, const char *word)
{
	static char text[160];
	uint32_t shown = names->count < NAMED_MAX ? names->count : NAMED_MAX;
	size_t len;
	uint32_t i;

	if (names == &cipher_names && is_weak(word))
		return "DES, 3DES, MD5 and SHA-1 are not allowed (TS 33.210)";
	len = snprintf(text, sizeof(text), "must be one of ");
	for (i = 0; i < shown && len < sizeof(text); i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%s",
				i ? ", " : "", names->name[i]);
	if (shown < names->count && len < sizeof(text))
		snprintf(text + len, sizeof(text) - len,
			 " or %" PRIu32 " more, see bhsec(8)",
			 names->count - shown);
	return text;
}

/**
 * cipher_key_len - how long a cipher's key is
 * @cipher: BHSEC_CIPHER_*
 *
 * Return: bytes, salt included.
 */
unsigned int cipher_key_len(uint32_t cipher)
{
	return key_lens[cipher];
}
