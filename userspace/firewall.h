/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_FIREWALL_H
#define BHSEC_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

struct json_object;

/**
 * struct datagram - the first packet of a tunnel, in or out
 * @inbound: it comes in
 * @is_ipv6: its family
 * @protocol: IPPROTO_UDP or IPPROTO_ESP
 * @sport: UDP source port, 0 if that is not known
 * @dport: UDP destination port
 * @far: the peer's address, of length 0 if that is not known
 * @dev: by which it comes or goes, empty if that is not known
 */
struct datagram {
	bool inbound;
	bool is_ipv6;
	uint8_t protocol;
	uint16_t sport;
	uint16_t dport;
	struct address far;
	char dev[IF_NAMESIZE];
};

/**
 * enum match - does a rule apply
 * @MATCH_NO: it does not
 * @MATCH_MAYBE: it says more than is known
 * @MATCH_YES: it does
 */
enum match {
	MATCH_NO,
	MATCH_MAYBE,
	MATCH_YES,
};

/**
 * struct chain - where a firewall begins to look at packets
 * @family: of its table
 * @table: its table
 * @name: its name
 */
struct chain {
	const char *family;
	const char *table;
	const char *name;
};

struct json_object *firewall_get(struct json_object *object, const char *key);
const char *firewall_text(struct json_object *object, const char *key);
enum match firewall_match(struct json_object *expr,
			  const struct datagram *datagram);
bool firewall_drops(struct json_object *ruleset, const struct datagram *datagram,
		    struct chain *chain);
struct json_object *firewall_legacy(char *saved, const char *family);

#endif
