/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_TOP_SAMPLE_H
#define BHSEC_TOP_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "bhsec.h"
#include "context.h"
#include "health.h"
#include "identities.h"
#include "nl.h"

/**
 * enum column - by what peers are sorted
 * @BY_NAME: by device and name
 * @BY_IN: bits received
 * @BY_OUT: bits sent
 * @BY_DROPS: packets dropped now, then ever
 * @BY_AGE: age of the newest key
 * @BY_LAST: when the last packet came
 */
enum column {
	BY_NAME,
	BY_IN,
	BY_OUT,
	BY_DROPS,
	BY_AGE,
	BY_LAST,
	COLUMNS,
};

/* Of a second. */
#define NANOSECONDS 1000000000LL

/* What has not happened yet, in place of how many seconds ago it did. */
#define NEVER UINT64_MAX

/**
 * struct rates - what there was in a second
 * @packets_in: inner packets received
 * @bits_in: inner bits received
 * @packets_out: inner packets sent
 * @bits_out: inner bits sent
 * @drops: packets dropped
 */
struct rates {
	double packets_in;
	double bits_in;
	double packets_out;
	double bits_out;
	double drops;
};

/**
 * struct counted - what was counted up to a moment
 * @count: by BHSEC_A_STATS_*
 * @drops: the sum of all drops
 * @has_rates: the same was there at the moment before
 * @rates: between both
 */
struct counted {
	uint64_t count[BHSEC_A_STATS_MAX + 1];
	uint64_t drops;
	bool has_rates;
	struct rates rates;
};

/**
 * struct sampled_peer - a peer at a moment
 * @device: whose it is
 * @place: among all peers by device and name
 * @name: its name
 * @identity: who it is as its IKE daemon says, NULL if that is not known
 * @reqid: of what an IKE daemon keys, 0 for others
 * @spi: of its newest SAs, by direction; 0 for none that may be known
 * @health: does it work
 * @age: seconds of its newest keys, of that direction whose key is older; or
 *	NO_KEY
 * @last: seconds since the last packet came, or NEVER
 * @counted: its counters
 */
struct sampled_peer {
	const struct sampled_device *device;
	size_t place;
	char name[BHSEC_NAME_MAX + 1];
	char *identity;
	uint32_t reqid;
	uint32_t spi[BHSEC_DIRECTION_OUT + 1];
	enum health health;
	uint64_t age;
	uint64_t last;
	struct counted counted;
};

/**
 * struct sampled_device - a device at a moment
 * @ifindex: its number
 * @name: its name, printable
 * @nanoseconds: the moment, by the monotonic clock
 * @seconds: since the moment before, 0 if there was none
 * @counted: what belongs to none of its peers
 * @peer: these, in the order of names
 * @count: number of them
 */
struct sampled_device {
	uint32_t ifindex;
	char name[DEVICE_NAME_SIZE];
	int64_t nanoseconds;
	double seconds;
	struct counted counted;
	struct sampled_peer *peer;
	size_t count;
};

/**
 * struct sample - all that top shows
 * @device: the devices
 * @count: number of them
 * @sorted: the peers of all of them
 * @peers: number of them
 * @health: how many there are of each
 * @total: the sum of what they and their devices have counted
 * @seconds: what rates are by, 0 if there are none; of the first device
 */
struct sample {
	struct sampled_device *device;
	size_t count;
	struct sampled_peer **sorted;
	size_t peers;
	size_t health[HEALTHS];
	struct counted total;
	double seconds;
};

int64_t now_nanoseconds(void);
struct nl_error sample_take(struct context *ctx, const char *device,
			    const struct sample *before, struct request *req,
			    struct sample *sample);
void sample_sort(struct sample *sample, enum column by, bool reversed);
size_t sample_nameless(const struct sample *sample);
void sample_name(struct sample *sample, const struct identities *ids);
void sample_free(struct sample *sample);

#endif
