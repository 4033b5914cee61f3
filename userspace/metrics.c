// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show --openmetrics: for who watches, by scrapes.
 *
 * The family of a counter has the name of its samples, _total included, as in
 * OpenMetrics 2. Prometheus' text format 0.0.4 has it so, too, and takes UNIT and
 * EOF for comments: what node exporter, promtool and scrapers of any age read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "array.h"
#include "attr.h"
#include "health.h"
#include "label.h"
#include "metrics.h"
#include "names.h"
#include "nl.h"
#include "print.h"
#include "util.h"

/* What is known of a device or a peer, by number. */
enum value {
	NO_VALUE,
	CONFIGURED,
	UP,
	PEERS,
	REFUSALS,
	UNDERLAY_NO_SA,
	MTU,
	LAST_RECEIVED,
	LAST_SENT,
	/* and behind each the others of its kind */
	KEY_ADDED,
	ICMP = KEY_ADDED + BHSEC_DIRECTION_OUT + 1,
	STATS = ICMP + BHSEC_A_ICMP_MAX + 1,
	VALUES = STATS + BHSEC_A_STATS_MAX + 1,
};

struct subject {
	char *labels;
	uint64_t value[VALUES];
};

/**
 * struct family - a metric
 * @name: its name
 * @unit: the name's part that says it, NULL if there is none
 * @help: what it is, one sentence
 * @level: what it is about
 * @first: number of its value, or of the first one
 * @label: by what its values differ, NULL if it has one
 * @words: this label of each value, from @first on
 * @count: number of them
 * @without: one of them that is never counted there
 */
struct family {
	const char *name;
	const char *unit;
	const char *help;
	enum level level;
	enum value first;
	const char *label;
	const char *const *words;
	unsigned int count;
	enum value without;
};

#define CAUSES_FROM(counter)						\
	.first = STATS + (counter), .label = "cause",			\
	.words = &stats_names[counter],					\
	.count = BHSEC_A_STATS_MAX - (counter) + 1

static const struct family families[] = {
	{ .name = "bhsec_device_up", .level = LEVEL_DEVICE, .first = UP,
	  .help = "Whether the device is up and can carry packets." },
	{ .name = "bhsec_device_peers", .unit = "peers",
	  .level = LEVEL_DEVICE, .first = PEERS,
	  .help = "Peers of the device, up or not." },
	{ .name = "bhsec_device_refusals", .unit = "refusals",
	  .level = LEVEL_DEVICE, .first = REFUSALS,
	  .help = "XFRM states and policies of its if-id that it cannot take." },
	{ .name = "bhsec_device_dropped_packets_total", .unit = "packets",
	  .level = LEVEL_DEVICE, CAUSES_FROM(BHSEC_A_STATS_AUTH),
	  .help = "Packets dropped that belong to no peer, by cause." },
	{ .name = "bhsec_underlay_dropped_packets_total", .unit = "packets",
	  .level = LEVEL_DEVICE, .first = UNDERLAY_NO_SA, .label = "cause",
	  .words = &stats_names[BHSEC_A_STATS_NO_SA], .count = 1,
	  .help = "Datagrams dropped in the device's whole underlay; devices that share it say the same." },
	{ .name = "bhsec_peer_configured", .level = LEVEL_PEER,
	  .first = CONFIGURED,
	  .help = "1 for each peer that there is, up or not." },
	{ .name = "bhsec_peer_up", .level = LEVEL_PEER, .first = UP,
	  .help = "Whether the peer has all it needs to carry packets, has been heard, and answers." },
	{ .name = "bhsec_peer_last_received_timestamp_seconds",
	  .unit = "seconds", .level = LEVEL_PEER, .first = LAST_RECEIVED,
	  .help = "When the last authentic packet came, 0 for never." },
	{ .name = "bhsec_peer_last_sent_timestamp_seconds",
	  .unit = "seconds", .level = LEVEL_PEER, .first = LAST_SENT,
	  .help = "When the last packet went, 0 for never." },
	{ .name = "bhsec_peer_key_added_timestamp_seconds",
	  .unit = "seconds", .level = LEVEL_PEER, .first = KEY_ADDED,
	  .label = "direction", .words = direction_words,
	  .count = BHSEC_DIRECTION_OUT + 1,
	  .help = "When the newest key that works was added, 0 for none." },
	{ .name = "bhsec_peer_mtu_bytes", .unit = "bytes",
	  .level = LEVEL_PEER, .first = MTU,
	  .help = "Largest inner packet that the path carries, 0 for no path." },
	{ .name = "bhsec_peer_rx_packets_total", .unit = "packets",
	  .level = LEVEL_PEER, .first = STATS + BHSEC_A_STATS_RX_PACKETS,
	  .help = "Inner packets delivered." },
	{ .name = "bhsec_peer_rx_bytes_total", .unit = "bytes",
	  .level = LEVEL_PEER, .first = STATS + BHSEC_A_STATS_RX_BYTES,
	  .help = "Inner bytes delivered." },
	{ .name = "bhsec_peer_tx_packets_total", .unit = "packets",
	  .level = LEVEL_PEER, .first = STATS + BHSEC_A_STATS_TX_PACKETS,
	  .help = "Inner packets sealed and sent." },
	{ .name = "bhsec_peer_tx_bytes_total", .unit = "bytes",
	  .level = LEVEL_PEER, .first = STATS + BHSEC_A_STATS_TX_BYTES,
	  .help = "Inner bytes sealed and sent." },
	{ .name = "bhsec_peer_dropped_packets_total", .unit = "packets",
	  .level = LEVEL_PEER, CAUSES_FROM(BHSEC_A_STATS_AUTH),
	  .without = STATS + BHSEC_A_STATS_NO_PEER,
	  .help = "Packets dropped, by cause." },
	{ .name = "bhsec_peer_icmp_errors_total", .unit = "errors",
	  .level = LEVEL_PEER, .first = ICMP + BHSEC_A_ICMP_PORT,
	  .label = "kind", .words = &icmp_names[BHSEC_A_ICMP_PORT],
	  .count = BHSEC_A_ICMP_TOO_BIG - BHSEC_A_ICMP_PORT + 1,
	  .help = "ICMP errors about packets to the peer, by kind." },
};

static uint64_t number_or_none(const struct nlattr *attr)
{
	return attr ? number_of(attr) : 0;
}

/* Labels that all samples of a subject have; NULL if there is no memory. */
static char *labels_of(const char *device, const char *peer)
{
	char escaped[LABEL_SIZE(DEVICE_NAME_SIZE)], *labels;
	int len;

	label_escape(device, escaped);
	if (peer)
		len = asprintf(&labels, "device=\"%s\",peer=\"%s\"", escaped, peer);
	else
		len = asprintf(&labels, "device=\"%s\"", escaped);
	return len < 0 ? NULL : labels;
}

/* One more, of which nothing is known yet; NULL if there is no memory. */
static struct subject *add_subject(struct subjects *all, const char *device,
				   const char *peer)
{
	struct subject *subject = array_with_room(all->subject, all->count,
						  &all->room, sizeof(*subject));

	if (!subject)
		return NULL;
	all->subject = subject;
	subject = &all->subject[all->count];
	memset(subject, 0, sizeof(*subject));
	subject->labels = labels_of(device, peer);
	if (!subject->labels)
		return NULL;
	all->count++;
	return subject;
}

static void take_icmp_of(struct subject *subject, const struct nlattr *nest)
{
	const struct nlattr *attrs[BHSEC_A_ICMP_MAX + 1];
	unsigned int i;

	nl_nested(nest, attrs, BHSEC_A_ICMP_MAX);
	for (i = BHSEC_A_ICMP_PORT; i <= BHSEC_A_ICMP_TOO_BIG; i++)
		subject->value[ICMP + i] = number_or_none(attrs[i]);
}

static void take_keys_of(struct subject *subject, const struct row *row,
			 uint64_t now)
{
	uint64_t age[BHSEC_DIRECTION_OUT + 1];
	unsigned int i;

	key_ages(row, age);
	for (i = 0; i <= BHSEC_DIRECTION_OUT; i++)
		subject->value[KEY_ADDED + i] = age[i] == NO_KEY ? 0 :
			now - age[i];
}

static bool add_peer(struct metrics *metrics, const char *device, bool is_up,
		     const struct row *row, uint64_t now)
{
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1], *received, *sent;
	struct subject *subject;

	subject = add_subject(&metrics->of[LEVEL_PEER], device, row->name);
	if (!subject)
		return false;
	nl_attrs(row->nlh, attrs, BHSEC_A_PEER_MAX);
	received = attrs[BHSEC_A_PEER_LAST_RECEIVED];
	sent = attrs[BHSEC_A_PEER_LAST_SENT];
	subject->value[CONFIGURED] = 1;
	subject->value[UP] = is_up && health_of(row, attrs) == HEALTH_UP;
	subject->value[MTU] = number_of(attrs[BHSEC_A_PEER_MTU]);
	subject->value[LAST_RECEIVED] = received ? now - number_of(received) : 0;
	subject->value[LAST_SENT] = sent ? now - number_of(sent) : 0;
	take_keys_of(subject, row, now);
	take_icmp_of(subject, attrs[BHSEC_A_PEER_ICMP]);
	attr_stats(attrs[BHSEC_A_PEER_STATS], &subject->value[STATS]);
	return true;
}

/**
 * metrics_add - take what is known of a device and its peers
 * @metrics: gets it, for metrics_free()
 * @is_up: the device is not set down
 * @device: its message
 * @peers: its peers
 *
 * Return: false if there is no memory.
 */
bool metrics_add(struct metrics *metrics, bool is_up,
		 const struct nlmsghdr *device, const struct rows *peers)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct subject *subject;
	uint64_t now = time(NULL);
	const char *name;
	size_t i;

	nl_attrs(device, attrs, BHSEC_A_DEVICE_MAX);
	name = mnl_attr_get_str(attrs[BHSEC_A_DEVICE_IFNAME]);
	subject = add_subject(&metrics->of[LEVEL_DEVICE], name, NULL);
	if (!subject)
		return false;
	is_up = is_up && !attrs[BHSEC_A_DEVICE_REASON];
	subject->value[UP] = is_up;
	subject->value[PEERS] = number_of(attrs[BHSEC_A_DEVICE_PEERS]);
	subject->value[REFUSALS] = number_or_none(attrs[BHSEC_A_DEVICE_REFUSALS]);
	subject->value[UNDERLAY_NO_SA] = number_or_none(attrs[BHSEC_A_DEVICE_NO_SA]);
	attr_stats(attrs[BHSEC_A_DEVICE_STATS], &subject->value[STATS]);
	for (i = 0; i < peers->count; i++)
		if (!add_peer(metrics, name, is_up, &peers->row[i], now))
			return false;
	return true;
}

static void put(struct output *out, const char *text)
{
	out_bytes(out, text, strlen(text));
}

static void print_metadata(struct output *out, const char *word,
			   const struct family *family, const char *text)
{
	put(out, "# ");
	put(out, word);
	put(out, " ");
	put(out, family->name);
	put(out, " ");
	put(out, text);
	put(out, "\n");
}

static bool is_counter(const struct family *family)
{
	size_t len = strlen(family->name), end = strlen("_total");

	return strcmp(family->name + len - end, "_total") == 0;
}

static void print_sample(struct output *out, const struct family *family,
			 const struct subject *subject, unsigned int i)
{
	put(out, family->name);
	put(out, "{");
	put(out, subject->labels);
	if (family->label) {
		put(out, ",");
		put(out, family->label);
		put(out, "=\"");
		put(out, family->words[i]);
		put(out, "\"");
	}
	put(out, "} ");
	out_digits(out, subject->value[family->first + i]);
	put(out, "\n");
}

static void print_subject(struct output *out, const struct family *family,
			  const struct subject *subject)
{
	unsigned int i = 0;

	do {
		if (family->first + i != family->without)
			print_sample(out, family, subject, i);
	} while (++i < family->count);
}

/**
 * metrics_print - print what was added
 * @metrics: it
 * @out: the result
 */
void metrics_print(const struct metrics *metrics, struct output *out)
{
	const struct family *family;
	const struct subjects *all;
	size_t i;

	for (family = families; family < families + ARRAY_SIZE(families); family++) {
		print_metadata(out, "HELP", family, family->help);
		print_metadata(out, "TYPE", family,
			       is_counter(family) ? "counter" : "gauge");
		if (family->unit)
			print_metadata(out, "UNIT", family, family->unit);
		all = &metrics->of[family->level];
		for (i = 0; i < all->count; i++)
			print_subject(out, family, &all->subject[i]);
	}
	put(out, "# EOF\n");
}

/**
 * metrics_free - forget what was added
 * @metrics: it
 */
void metrics_free(struct metrics *metrics)
{
	struct subjects *all;
	size_t i;

	for (all = metrics->of; all < metrics->of + LEVELS; all++) {
		for (i = 0; i < all->count; i++)
			free(all->subject[i].labels);
		free(all->subject);
	}
}
