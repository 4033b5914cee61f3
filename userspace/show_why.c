// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show --why: who drops packets now, and what to do about it. What was
 * counted long ago is not told: two readings are compared.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "advice.h"
#include "message.h"
#include "print.h"
#include "show.h"

/**
 * struct looked - a device and its peers at one moment
 * @nlh: its message
 * @peers: theirs
 * @rows: these by name
 */
struct looked {
	const struct nlmsghdr *nlh;
	struct nl_records peers;
	struct rows rows;
};

/**
 * struct reading - all that was counted up to a moment
 * @devices: the messages of devices
 * @looked: each, with its peers
 * @count: number of them
 */
struct reading {
	struct nl_records devices;
	struct looked *looked;
	size_t count;
};

static uint32_t index_of(const struct nlmsghdr *device)
{
	return mnl_attr_get_u32(nl_find(device, BHSEC_A_DEVICE_IFINDEX));
}

static void free_reading(struct reading *reading)
{
	size_t i;

	for (i = 0; i < reading->count; i++) {
		rows_free(&reading->looked[i].rows);
		nl_records_free(&reading->looked[i].peers);
	}
	free(reading->looked);
	nl_records_free(&reading->devices);
}

static int read_peers(struct show *show, struct reading *reading, size_t i)
{
	static const struct nl_records no_sas;
	struct looked *looked = &reading->looked[reading->count];
	int status;

	looked->nlh = reading->devices.record[i];
	status = show_get_peers(show, looked->nlh, &looked->peers);
	if (status)
		return status;
	if (!rows_join(&looked->rows, &looked->peers, &no_sas)) {
		nl_records_free(&looked->peers);
		return refuse("out of memory");
	}
	reading->count++;
	return 0;
}

static int take_reading(struct show *show, struct reading *reading)
{
	int status = show_get_devices(show, &reading->devices);
	size_t i;

	if (status)
		return status;
	reading->looked = calloc(reading->devices.count + 1,
				 sizeof(*reading->looked));
	if (!reading->looked)
		return refuse("out of memory");
	for (i = 0; i < reading->devices.count && !status; i++)
		status = read_peers(show, reading, i);
	return status;
}

/* Of one that was made anew all is new. */
static uint64_t grown(const struct nlattr *before, const struct nlattr *now)
{
	uint64_t old = before ? number_of(before) : 0;
	uint64_t new = now ? number_of(now) : 0;

	return new < old ? new : new - old;
}

/* The sentence comes last. */
static void print_drop(struct output *out, const char *device, const char *peer,
		       uint32_t cause, uint64_t packets)
{
	out_object(out, NULL);
	out_line(out, 0);
	out_named(out, "device", NULL, device);
	if (peer)
		out_string(out, "peer", peer);
	else
		out_none(out, "peer", NULL);
	out_string(out, "drop", stats_names[cause]);
	out_number(out, "packets", packets);
	out_named(out, "advice", "-", advice_of(cause));
	out_object_end(out);
}

/* Returns how many causes have grown. */
static unsigned int compare(struct output *out, const char *device,
			    const char *peer, const struct nlattr *before,
			    const struct nlattr *now)
{
	const struct nlattr *old[BHSEC_A_STATS_MAX + 1];
	const struct nlattr *new[BHSEC_A_STATS_MAX + 1];
	unsigned int count = 0;
	uint64_t packets;
	uint32_t i;

	nl_nested(before, old, BHSEC_A_STATS_MAX);
	nl_nested(now, new, BHSEC_A_STATS_MAX);
	for (i = 0; i <= BHSEC_A_STATS_MAX; i++) {
		packets = advice_of(i) ? grown(old[i], new[i]) : 0;
		if (!packets)
			continue;
		print_drop(out, device, peer, i, packets);
		count++;
	}
	return count;
}

/* Both are in the order of names. */
static unsigned int compare_peers(struct output *out, const char *device,
				  const struct rows *before,
				  const struct rows *now)
{
	const struct row *row, *old = before->row;
	const struct row *end = before->row + before->count;
	unsigned int count = 0;
	bool is_same;
	size_t i;

	for (i = 0; i < now->count; i++) {
		row = &now->row[i];
		while (old < end && strverscmp(old->name, row->name) < 0)
			old++;
		is_same = old < end && strcmp(old->name, row->name) == 0;
		count += compare(out, device, row->name, is_same ?
				 nl_find(old->nlh, BHSEC_A_PEER_STATS) : NULL,
				 nl_find(row->nlh, BHSEC_A_PEER_STATS));
	}
	return count;
}

/* What belongs to nobody is told with each device of an underlay. */
static unsigned int compare_device(struct output *out,
				   const struct looked *before,
				   const struct looked *now)
{
	const char *name = mnl_attr_get_str(nl_find(now->nlh,
						    BHSEC_A_DEVICE_IFNAME));
	uint64_t no_sa = grown(nl_find(before->nlh, BHSEC_A_DEVICE_NO_SA),
			       nl_find(now->nlh, BHSEC_A_DEVICE_NO_SA));
	unsigned int count;

	if (no_sa)
		print_drop(out, name, NULL, BHSEC_A_STATS_NO_SA, no_sa);
	count = compare(out, name, NULL,
			nl_find(before->nlh, BHSEC_A_DEVICE_STATS),
			nl_find(now->nlh, BHSEC_A_DEVICE_STATS));
	return !!no_sa + count +
	       compare_peers(out, name, &before->rows, &now->rows);
}

static void compare_readings(struct output *out, const struct reading *before,
			     const struct reading *now)
{
	unsigned int count = 0;
	size_t i, j;

	out_array(out, NULL);
	for (i = 0; i < now->count; i++)
		for (j = 0; j < before->count; j++)
			if (index_of(before->looked[j].nlh) ==
			    index_of(now->looked[i].nlh))
				count += compare_device(out, &before->looked[j],
							&now->looked[i]);
	out_array_end(out);
	if (!count && !out->json)
		out_named(out, NULL, NULL, "no drops");
	out_end(out);
}

/**
 * show_why - tell whose drops grow within a second
 * @show: what is asked for, and the result
 *
 * Return: exit status.
 */
int show_why(struct show *show)
{
	struct reading before = {}, now = {};
	int status = take_reading(show, &before);

	if (!status) {
		sleep(1);
		status = take_reading(show, &now);
	}
	if (!status)
		compare_readings(&show->out, &before, &now);
	free_reading(&before);
	free_reading(&now);
	return status;
}
