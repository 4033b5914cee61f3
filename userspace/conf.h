/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_CONF_H
#define BHSEC_CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "util.h"

/* Where configurations are, and what their names end with. */
#define CONF_DIR "/etc/bhsec"
#define CONF_SUFFIX ".conf"

/**
 * struct value - what a file says at one place
 * @text: NULL if it says nothing
 * @file: its name
 * @line: number of the line; of what is not said, that of its section
 */
struct value {
	const char *text;
	const char *file;
	unsigned int line;
};

struct conf_device {
	struct value section;
	struct value address;
	struct value networks;
	struct value if_id;
	struct value port;
	struct value dscp;
	struct value mtu;
	struct value routes;
	struct value table;
	struct value vrf;
};

struct conf_identity {
	struct value section;
	struct value name;
	struct value certificate;
	struct value key;
	struct value psk_file;
	struct value ppk_file;
	struct value ppk_id;
};

struct conf_peer {
	struct value section;
	struct value name;
	struct value endpoint;
	struct value identity;
	struct value ca;
	struct value networks;
	struct value pool;
	struct value vip;
	struct value start;
	struct value classes;
};

struct conf_text;

/**
 * struct conf - what the files of one device say
 * @name: of the device
 * @device: its section
 * @identity: that of this side
 * @peers: those of the other sides
 * @count: of @peers
 * @room: of @peers
 * @mistakes: how many were told
 * @text: of the files, which all values point into
 */
struct conf {
	char name[IF_NAMESIZE];
	struct conf_device device;
	struct conf_identity identity;
	struct conf_peer *peers;
	size_t count;
	size_t room;
	unsigned int mistakes;
	struct conf_text *text;
};

typedef bool conf_fn(void *data, const char *path);

bool conf_read(struct conf *conf, const char *path);
bool conf_is_name(const char *name, size_t len, size_t max);
const char *conf_device_objection(const char *name, size_t len);
void conf_free(struct conf *conf);
void mistake(struct conf *conf, const struct value *at, const char *format,
	     ...) __printf(3, 4);
size_t conf_each(const char *dir, conf_fn *act, void *data);

#endif
