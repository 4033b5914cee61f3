/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PLAN_H
#define BHSEC_PLAN_H

#include "conf.h"
#include "device.h"

/* Where a name of a file without / is looked for. */
#define SWANCTL_DIR "/etc/swanctl"

/* Of secrets that lie in files. */
#define SECRET_MAX 512

/**
 * struct plan - what is to be of a device
 * @conf: what its files say
 * @want: the device
 * @table: of its routes
 * @local: inner networks of this side
 * @psk: secret that both sides are known by, empty if there is none
 * @ppk: secret besides, for when Diffie and Hellman have failed
 */
struct plan {
	struct conf conf;
	struct device want;
	uint32_t table;
	struct nets local;
	char psk[SECRET_MAX + 1];
	char ppk[SECRET_MAX + 1];
};

bool peer_is_any(const struct conf_peer *peer);
bool peer_is_on_demand(const struct conf_peer *peer);
void plan_make(struct plan *plan, struct nl *route, const char *path);
void plan_free(struct plan *plan);

/* For the rooms of the plan alone. */
void plan_peers(struct plan *plan);
bool plan_needs(struct plan *plan, const struct value *value, const char *word);
bool plan_check(struct plan *plan, const struct value *value, const char *word,
		const char *reason);
void plan_file(struct plan *plan, const struct value *value, const char *word,
	       const char *dir);
const char *next_item(const char **at, size_t *len);

#endif
