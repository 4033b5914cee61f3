/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ADDRESS_H
#define BHSEC_ADDRESS_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for "[address%dev]:port" or "address/length". */
#define ADDRESS_TEXT (INET6_ADDRSTRLEN + IF_NAMESIZE + 9)

/* Room for what a device can be called: its alternative names are longer. */
#define DEVICE_NAME_SIZE 128

/**
 * struct address - IPv4 or IPv6
 * @bytes: network byte order
 * @len: 4 or 16
 */
struct address {
	uint8_t bytes[16];
	uint8_t len;
};

struct prefix {
	struct address addr;
	uint8_t len;
};

/* Parsers return NULL, or what is wrong. */
const char *parse_address(const char *text, size_t len, struct address *addr);
const char *parse_interface(const char *text, size_t len,
			    struct prefix *prefix);
const char *parse_prefix(const char *text, size_t len, struct prefix *prefix);
const char *parse_endpoint(const char *text, struct address *addr,
			   uint16_t *port, char dev[DEVICE_NAME_SIZE]);

struct prefix network_of(const struct prefix *prefix);
const char *format_address(const void *bytes, size_t len,
			   char text[ADDRESS_TEXT]);
const char *format_prefix(const void *bytes, size_t len, unsigned int bits,
			  char text[ADDRESS_TEXT]);
const char *format_endpoint(const void *bytes, size_t len, unsigned int port,
			    const char *dev, char text[ADDRESS_TEXT]);

#endif
