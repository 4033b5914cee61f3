/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PLAN_H
#define BHSEC_PLAN_H

#include <limits.h>
#include <time.h>

#include "conf.h"
#include "device.h"

/* Where a name of a file without / is looked for. */
#define SWANCTL_DIR "/etc/swanctl"

/* Of secrets that lie in files. */
#define SECRET_MAX 512

/**
 * struct seen - a certificate or key that can be read
 * @dir: where it is if @name has no /
 * @name: its name
 */
struct seen {
	const char *dir;
	const char *name;
};

/**
 * struct plan - what is to be of a device
 * @conf: what its files say
 * @want: the device
 * @table: of its routes
 * @local: inner networks of this side
 * @seen: the one that was looked at last
 * @newest: when one of the certificates and keys was changed last
 * @psk: secret that both sides are known by, empty if there is none
 * @ppk: secret besides, for when Diffie and Hellman have failed
 */
struct plan {
	struct conf conf;
	struct device want;
	uint32_t table;
	struct nets local;
	struct seen seen;
	struct timespec newest;
	char psk[SECRET_MAX + 1];
	char ppk[SECRET_MAX + 1];
};

void plan_path(char path[PATH_MAX], const char *dir, const char *name);
const char *next_item(const char **at, size_t *len);
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

#endif
