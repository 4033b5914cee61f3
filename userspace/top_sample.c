// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec top: what was counted up to a moment, and how fast it grew since the one
 * before. Only what was there at both has a rate.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attr.h"
#include "fetch.h"
#include "print.h"
#include "top_sample.h"
#include "util.h"

/**
 * now_nanoseconds - the time of a clock that nobody sets
 *
 * Return: it.
 */
int64_t now_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

static void take_counts(struct counted *counted, const struct nlattr *stats)
{
	unsigned int i;

	attr_stats(stats, counted->count);
	for (i = BHSEC_A_STATS_NO_SA; i <= BHSEC_A_STATS_MAX; i++)
		counted->drops += counted->count[i];
}

/* Counters that have gone back are those of something made anew. */
static bool has_grown(const struct counted *before, const struct counted *now)
{
	unsigned int i;

	for (i = 0; i <= BHSEC_A_STATS_MAX; i++)
		if (now->count[i] < before->count[i])
			return false;
	return true;
}

static double rate(const struct counted *before, const struct counted *now,
		   unsigned int counter, double seconds)
{
	return (now->count[counter] - before->count[counter]) / seconds;
}

static void take_rates(struct counted *now, const struct counted *before,
		       double seconds)
{
	now->has_rates = seconds > 0 && has_grown(before, now);
	if (!now->has_rates)
		return;
	now->rates = (struct rates) {
		.packets_in = rate(before, now, BHSEC_A_STATS_RX_PACKETS, seconds),
		.bits_in = 8 * rate(before, now, BHSEC_A_STATS_RX_BYTES, seconds),
		.packets_out = rate(before, now, BHSEC_A_STATS_TX_PACKETS, seconds),
		.bits_out = 8 * rate(before, now, BHSEC_A_STATS_TX_BYTES, seconds),
		.drops = (now->drops - before->drops) / seconds,
	};
}

static void add_counted(struct counted *total, const struct counted *one)
{
	total->drops += one->drops;
	if (!one->has_rates)
		return;
	total->has_rates = true;
	total->rates.packets_in += one->rates.packets_in;
	total->rates.bits_in += one->rates.bits_in;
	total->rates.packets_out += one->rates.packets_out;
	total->rates.bits_out += one->rates.bits_out;
	total->rates.drops += one->rates.drops;
}

/* Of its newest SAs, and whether those from before are among all of them. */
static bool take_spis(struct sampled_peer *peer, const struct row *row,
		      const struct sampled_peer *before)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];
	uint32_t direction, spi;
	bool is_same = false;
	size_t i;

	/* each stands behind those that were added before it */
	for (i = 0; i < row->count; i++) {
		nl_attrs(row->sa[i], attrs, BHSEC_A_SA_MAX);
		if (!attrs[BHSEC_A_SA_SPI])
			continue;
		direction = number_of(attrs[BHSEC_A_SA_DIRECTION]);
		spi = number_of(attrs[BHSEC_A_SA_SPI]);
		peer->spi[direction] = spi;
		if (before && before->spi[direction] == spi)
			is_same = true;
	}
	return is_same;
}

/* A name is known by reqid and SPI; a rekey leaves the older SA for a while. */
static void take_identity(struct sampled_peer *peer, const struct row *row,
			  const struct nlattr **attrs,
			  const struct sampled_peer *before)
{
	const struct nlattr *reqid = attrs[BHSEC_A_PEER_REQID];

	if (!reqid)
		return;
	peer->reqid = number_of(reqid);
	if (take_spis(peer, row, before) && before->reqid == peer->reqid &&
	    before->identity)
		peer->identity = strdup(before->identity);
}

static void take_ages(struct sampled_peer *peer, const struct row *row,
		      const struct nlattr **attrs)
{
	const struct nlattr *last = attrs[BHSEC_A_PEER_LAST_RECEIVED];
	uint64_t age[BHSEC_DIRECTION_OUT + 1];

	key_ages(row, age);
	peer->age = age[BHSEC_DIRECTION_IN] > age[BHSEC_DIRECTION_OUT] ?
		age[BHSEC_DIRECTION_IN] : age[BHSEC_DIRECTION_OUT];
	peer->last = last ? number_of(last) : NEVER;
}

static void take_peer(struct sampled_peer *peer, const struct row *row,
		      const struct sampled_peer *before, bool is_up)
{
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];

	nl_attrs(row->nlh, attrs, BHSEC_A_PEER_MAX);
	snprintf(peer->name, sizeof(peer->name), "%s", row->name);
	peer->health = is_up ? health_of(row, attrs) : HEALTH_DOWN;
	take_ages(peer, row, attrs);
	take_identity(peer, row, attrs, before);
	take_counts(&peer->counted, attrs[BHSEC_A_PEER_STATS]);
	if (before)
		take_rates(&peer->counted, &before->counted,
			   peer->device->seconds);
}

static void take_time(struct sampled_device *device,
		      const struct sampled_device *before)
{
	device->nanoseconds = now_nanoseconds();
	if (!before)
		return;
	device->seconds = (double)(device->nanoseconds - before->nanoseconds) /
		NANOSECONDS;
	take_rates(&device->counted, &before->counted, device->seconds);
}

/* Both are in the order of names. */
static bool take_peers(struct sampled_device *device, const struct rows *rows,
		       const struct sampled_device *before, bool is_up)
{
	const struct sampled_peer *old = before ? before->peer : NULL;
	const struct sampled_peer *end = before ? old + before->count : NULL;
	const struct row *row;
	bool is_same;

	device->peer = calloc(rows->count + 1, sizeof(*device->peer));
	if (!device->peer)
		return false;
	for (row = rows->row; row < rows->row + rows->count; row++) {
		while (old < end && strverscmp(old->name, row->name) < 0)
			old++;
		is_same = old < end && strcmp(old->name, row->name) == 0;
		device->peer[device->count].device = device;
		take_peer(&device->peer[device->count++], row,
			  is_same ? old : NULL, is_up);
	}
	return true;
}

static struct nl_error fetch_rows(struct context *ctx,
				  struct sampled_device *device,
				  const struct sampled_device *before,
				  bool is_up, struct request *req)
{
	struct nl_records peers = {}, sas = {};
	struct nl_error error;
	struct rows rows;

	error = fetch_peers(ctx, device->ifindex, NULL, req, &peers);
	take_time(device, before);
	if (!error.code)
		error = fetch_sas(ctx, device->ifindex, NULL, req, &sas);
	if (!error.code && !rows_join(&rows, &peers, &sas)) {
		error.code = ENOMEM;
	} else if (!error.code) {
		if (!take_peers(device, &rows, before, is_up))
			error.code = ENOMEM;
		rows_free(&rows);
	}
	nl_records_free(&peers);
	nl_records_free(&sas);
	return error;
}

static struct nl_error take_device(struct context *ctx,
				   struct sampled_device *device,
				   const struct nlmsghdr *nlh,
				   const struct sampled_device *before,
				   struct request *req)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	const char *name;
	bool is_up;

	nl_attrs(nlh, attrs, BHSEC_A_DEVICE_MAX);
	name = mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]);
	is_up = nl_is_up(ctx->nl, name) && !attrs[BHSEC_A_DEVICE_REASON];
	snprintf(device->name, sizeof(device->name), "%s", name);
	make_printable(device->name, strlen(device->name));
	take_counts(&device->counted, attrs[BHSEC_A_DEVICE_STATS]);
	return fetch_rows(ctx, device, before, is_up, req);
}

/* The device of this number, which is most often the one behind number @from. */
static const struct sampled_device *find_device(const struct sample *sample,
						size_t from, uint32_t ifindex)
{
	const struct sampled_device *device;
	size_t i;

	for (i = 0; i < sample->count; i++) {
		device = &sample->device[(from + i) % sample->count];
		if (device->ifindex == ifindex)
			return device;
	}
	return NULL;
}

/* One that goes meanwhile is as one that has gone before. */
static struct nl_error take_devices(struct context *ctx,
				    const struct nl_records *records,
				    const struct sample *before,
				    struct request *req, struct sample *sample)
{
	const struct sampled_device *old = before->device;
	struct sampled_device *device;
	struct nl_error error = {};
	size_t i;

	sample->device = calloc(records->count + 1, sizeof(*sample->device));
	if (!sample->device)
		error.code = ENOMEM;
	for (i = 0; i < records->count && !error.code; i++) {
		device = &sample->device[sample->count];
		memset(device, 0, sizeof(*device));
		device->ifindex = number_of(nl_find(records->record[i],
						    BHSEC_A_DEVICE_IFINDEX));
		old = find_device(before, old ? old - before->device : 0,
				  device->ifindex);
		error = take_device(ctx, device, records->record[i], old, req);
		if (error.code == ENODEV)
			error.code = 0;
		else
			sample->count++;
	}
	return error;
}

static bool sum_up(struct sample *sample)
{
	struct sampled_device *device = sample->device;
	struct sampled_peer *peer;
	size_t room = 1;

	sample->seconds = device->seconds;
	for (; device < sample->device + sample->count; device++)
		room += device->count;
	sample->sorted = calloc(room, sizeof(struct sampled_peer *));
	if (!sample->sorted)
		return false;
	for (device = sample->device; device < sample->device + sample->count;
	     device++) {
		add_counted(&sample->total, &device->counted);
		for (peer = device->peer; peer < device->peer + device->count;
		     peer++) {
			add_counted(&sample->total, &peer->counted);
			sample->health[peer->health]++;
			peer->place = sample->peers;
			sample->sorted[sample->peers++] = peer;
		}
	}
	return true;
}

/**
 * sample_take - take what is there now
 * @ctx: the process
 * @device: name of one, NULL for all
 * @before: the sample before this one, empty if there is none
 * @req: the last request, for a sentence
 * @sample: gets it, for sample_free(); nothing if the kernel refuses
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error sample_take(struct context *ctx, const char *device,
			    const struct sample *before, struct request *req,
			    struct sample *sample)
{
	struct nl_records devices = {};
	struct nl_error error;

	memset(sample, 0, sizeof(*sample));
	error = fetch_devices(ctx, device, req, &devices);
	if (!error.code)
		error = take_devices(ctx, &devices, before, req, sample);
	if (!error.code && !sum_up(sample))
		error.code = ENOMEM;
	if (error.code)
		sample_free(sample);
	nl_records_free(&devices);
	return error;
}

/* What is compared first, the highest one first; unknown rates are the lowest. */
static double value_of(const struct sampled_peer *peer, enum column by)
{
	const struct counted *counted = &peer->counted;

	switch (by) {
	case BY_IN:
		return counted->has_rates ? counted->rates.bits_in : -1;
	case BY_OUT:
		return counted->has_rates ? counted->rates.bits_out : -1;
	case BY_DROPS:
		return counted->has_rates ? counted->rates.drops : -1;
	case BY_AGE:
		return peer->age;
	case BY_LAST:
		return peer->last;
	default:
		return -(double)peer->place;
	}
}

struct order {
	enum column by;
	bool reversed;
};

static int compare_values(double a, double b, bool reversed)
{
	return reversed ? (a > b) - (a < b) : (a < b) - (a > b);
}

/* Equal ones keep their places. */
static int compare_peers(const void *a, const void *b, void *data)
{
	const struct sampled_peer *x = *(struct sampled_peer *const *)a;
	const struct sampled_peer *y = *(struct sampled_peer *const *)b;
	const struct order *order = data;
	int result = compare_values(value_of(x, order->by), value_of(y, order->by),
				    order->reversed);

	if (!result && order->by == BY_DROPS)
		result = compare_values(x->counted.drops, y->counted.drops,
					order->reversed);
	return result ? result : (x->place > y->place) - (x->place < y->place);
}

/**
 * sample_sort - put the peers into an order
 * @sample: the sample
 * @by: by what
 * @reversed: names from the last one on, all else from the lowest one on
 */
void sample_sort(struct sample *sample, enum column by, bool reversed)
{
	struct order order = {
		.by = by,
		.reversed = reversed,
	};

	if (sample->peers)
		qsort_r(sample->sorted, sample->peers, sizeof(*sample->sorted),
			compare_peers, &order);
}

static bool is_nameless(const struct sampled_peer *peer)
{
	return !peer->identity && (peer->spi[BHSEC_DIRECTION_IN] ||
				   peer->spi[BHSEC_DIRECTION_OUT]);
}

/**
 * sample_nameless - of how many peers an IKE daemon may know who they are
 * @sample: the sample
 *
 * Return: the number of those that are not known yet.
 */
size_t sample_nameless(const struct sample *sample)
{
	size_t count = 0, i;

	for (i = 0; i < sample->peers; i++)
		count += is_nameless(sample->sorted[i]);
	return count;
}

/**
 * sample_name - tell who its peers are
 * @sample: the sample
 * @ids: what the daemon says
 */
void sample_name(struct sample *sample, const struct identities *ids)
{
	struct sampled_peer *peer;
	const char *name;
	size_t i;

	for (i = 0; i < sample->peers; i++) {
		peer = sample->sorted[i];
		if (!is_nameless(peer))
			continue;
		name = identities_find(ids, peer->reqid,
				       peer->spi[BHSEC_DIRECTION_IN]);
		if (!name)
			name = identities_find(ids, peer->reqid,
					       peer->spi[BHSEC_DIRECTION_OUT]);
		/* without memory there is a name less */
		peer->identity = name ? strdup(name) : NULL;
	}
}

/**
 * sample_free - forget a sample
 * @sample: empty after it
 */
void sample_free(struct sample *sample)
{
	struct sampled_device *device;
	size_t i;

	for (device = sample->device; device < sample->device + sample->count;
	     device++) {
		for (i = 0; i < device->count; i++)
			free(device->peer[i].identity);
		free(device->peer);
	}
	free(sample->device);
	free(sample->sorted);
	memset(sample, 0, sizeof(*sample));
}
