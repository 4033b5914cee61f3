// SPDX-License-Identifier: GPL-2.0
/*
 * What several attributes say together, as text.
 */
#include <stddef.h>

#include "attr.h"
#include "nl.h"
#include "print.h"

/**
 * attr_prefix - a prefix of a list
 * @prefix: nest of BHSEC_A_PREFIX_*
 * @text: room for it
 *
 * Return: @text.
 */
const char *attr_prefix(const struct nlattr *prefix, char text[ADDRESS_TEXT])
{
	const struct nlattr *attrs[BHSEC_A_PREFIX_MAX + 1];
	const struct nlattr *addr;

	nl_nested(prefix, attrs, BHSEC_A_PREFIX_MAX);
	addr = attrs[BHSEC_A_PREFIX_ADDR];
	return format_prefix(mnl_attr_get_payload(addr),
			     mnl_attr_get_payload_len(addr),
			     mnl_attr_get_u8(attrs[BHSEC_A_PREFIX_LEN]), text);
}

/**
 * attr_endpoint - where a peer is
 * @peer: BHSEC_A_PEER_*
 * @text: room for it
 *
 * Return: @text, or NULL if that is not known.
 */
const char *attr_endpoint(const struct nlattr **peer, char text[ADDRESS_TEXT])
{
	const struct nlattr *addr = peer[BHSEC_A_PEER_ENDPOINT_ADDR];
	const struct nlattr *port = peer[BHSEC_A_PEER_ENDPOINT_PORT];
	const struct nlattr *dev = peer[BHSEC_A_PEER_ENDPOINT_DEV];

	if (!addr)
		return NULL;
	return format_endpoint(mnl_attr_get_payload(addr),
			       mnl_attr_get_payload_len(addr),
			       port ? mnl_attr_get_u16(port) : 0,
			       dev ? mnl_attr_get_str(dev) : NULL, text);
}

/**
 * attr_stats - what was counted
 * @nest: BHSEC_A_STATS_*, or NULL
 * @count: gets it; what is absent is zero
 */
void attr_stats(const struct nlattr *nest, uint64_t count[BHSEC_A_STATS_MAX + 1])
{
	const struct nlattr *attrs[BHSEC_A_STATS_MAX + 1];
	unsigned int i;

	nl_nested(nest, attrs, BHSEC_A_STATS_MAX);
	for (i = 0; i <= BHSEC_A_STATS_MAX; i++)
		count[i] = stats_names[i] && attrs[i] ? number_of(attrs[i]) : 0;
}
