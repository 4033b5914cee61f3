// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show: devices, their peers and SAs, and what was counted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fetch.h"
#include "message.h"
#include "options.h"
#include "print.h"
#include "refusal.h"
#include "show.h"

static void print_all(struct show *show, const struct nlmsghdr *device,
		      const struct rows *peers)
{
	out_object(&show->out, NULL);
	print_device(show, device);
	print_peers(show, peers);
	out_object_end(&show->out);
}

/* Metrics are printed when those of all devices are there. */
static int join_and_print(struct show *show, const struct nlmsghdr *device,
			  const struct nl_records *peers,
			  const struct nl_records *sas)
{
	const struct nlattr *name = nl_find(device, BHSEC_A_DEVICE_IFNAME);
	struct rows rows;
	bool done = true;

	if (!rows_join(&rows, peers, sas))
		return refuse("out of memory");
	if (show->openmetrics)
		done = metrics_add(&show->metrics,
				   nl_is_up(show->ctx->nl, mnl_attr_get_str(name)),
				   device, &rows);
	else
		print_all(show, device, &rows);
	rows_free(&rows);
	return done ? 0 : refuse("out of memory");
}

/* One of many devices may be deleted meanwhile. */
static int refuse_device(struct show *show, const struct nlmsghdr *device,
			 struct request *req, const struct nl_error *error)
{
	if (error->code == ENODEV && !show->device)
		return 0;
	out_flush(&show->out);
	snprintf(req->subject, sizeof(req->subject), "%s%s%s",
		 mnl_attr_get_str(nl_find(device, BHSEC_A_DEVICE_IFNAME)),
		 show->peer ? ": peer " : "", show->peer ? show->peer : "");
	return refusal(show->ctx->nl, req, error);
}

static int show_device(struct show *show, const struct nlmsghdr *nlh)
{
	struct nl_records peers = {}, sas = {};
	struct nl_error error;
	struct request req;
	uint32_t ifindex;
	int status;

	ifindex = number_of(nl_find(nlh, BHSEC_A_DEVICE_IFINDEX));
	error = fetch_peers(show->ctx, ifindex, show->peer, &req, &peers);
	if (!error.code)
		error = fetch_sas(show->ctx, ifindex, show->peer, &req, &sas);
	if (!error.code)
		status = join_and_print(show, nlh, &peers, &sas);
	else
		status = refuse_device(show, nlh, &req, &error);
	nl_records_free(&peers);
	nl_records_free(&sas);
	return status;
}

/**
 * show_get_peers - ask for the peers of a device
 * @show: what is asked for
 * @device: its message
 * @peers: gets them, none of a device that has gone
 *
 * Return: 0, or the exit status after a sentence.
 */
int show_get_peers(struct show *show, const struct nlmsghdr *device,
		   struct nl_records *peers)
{
	uint32_t ifindex = number_of(nl_find(device, BHSEC_A_DEVICE_IFINDEX));
	struct nl_error error;
	struct request req;

	error = fetch_peers(show->ctx, ifindex, show->peer, &req, peers);
	return error.code ? refuse_device(show, device, &req, &error) : 0;
}

/**
 * show_get_devices - ask for the devices
 * @show: what is asked for
 * @devices: gets them
 *
 * Return: 0, or the exit status after a sentence.
 */
int show_get_devices(struct show *show, struct nl_records *devices)
{
	struct context *ctx = show->ctx;
	struct nl_error error;
	struct request req;

	error = fetch_devices(ctx, show->device, &req, devices);
	snprintf(req.subject, sizeof(req.subject), "%s",
		 show->device ? show->device : "show");
	return error.code ? refusal(ctx->nl, &req, &error) : 0;
}

static uint64_t count_peers(const struct nl_records *devices)
{
	const struct nlattr *peers;
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < devices->count; i++) {
		peers = nl_find(devices->record[i], BHSEC_A_DEVICE_PEERS);
		count += peers ? number_of(peers) : 0;
	}
	return count;
}

/* Once, beside the result, which is whole but for that. */
static void tell_withheld(const struct show *show)
{
	if (show->withheld & BHSEC_PRIVILEGE_DEVICE)
		remark("show: SPIs, sequence numbers and endpoints%s are withheld: this needs CAP_NET_ADMIN",
		       show->withheld & BHSEC_PRIVILEGE_UNDERLAY ?
		       ", the underlay's devices and fwmark" : "");
	else if (show->withheld & BHSEC_PRIVILEGE_UNDERLAY)
		remark("show: the underlay's devices and fwmark are withheld: this needs CAP_NET_ADMIN in its network namespace");
}

static int show_all(struct show *show)
{
	struct nl_records devices = {};
	int status;
	size_t i;

	if (!context_connect(show->ctx))
		return EXIT_REFUSED;
	status = show_get_devices(show, &devices);
	if (!status) {
		message_progress_end();
		out_array(&show->out, NULL);
		show->count = count_peers(&devices);
		for (i = 0; i < devices.count && !status; i++)
			status = show_device(show, devices.record[i]);
		/* whole JSON even if a refusal made it short */
		out_array_end(&show->out);
		if (show->openmetrics && !status)
			metrics_print(&show->metrics, &show->out);
		out_end(&show->out);
		if (!status)
			tell_withheld(show);
	}
	nl_records_free(&devices);
	identities_free(&show->identities);
	metrics_free(&show->metrics);
	return status;
}

static bool take_flag(struct show *show, struct words *words)
{
	if (words_take_if(words, "-j") || words_take_if(words, "--json"))
		show->out.json = true;
	else if (words_take_if(words, "--openmetrics"))
		show->openmetrics = true;
	else if (words_take_if(words, "--why"))
		show->why = true;
	else if (!take_stats(words, &show->stats))
		return false;
	return true;
}

static int take_names(struct show *show, struct words *words)
{
	char *device, *peer;
	int status;

	status = take_device(words, "show", &device);
	if (status)
		return status;
	show->device = device;
	while (take_flag(show, words))
		;
	if (!words_take_if(words, "peer"))
		return 0;
	status = take_peer(words, "show", &peer);
	show->peer = status ? NULL : peer;
	return status;
}

/* Nothing may follow; what does is often the name of a peer. */
static int take_show_end(const struct show *show, struct words *words)
{
	const char *word = words_peek(words);

	if (!word || !show->device || show->peer || *word == '-' ||
	    strlen(word) > WORD_MAX)
		return take_end(words, "show");
	return misuse("show: %s is too much, did you mean 'show %s peer %s'?",
		      quoted(word), show->device, word);
}

/**
 * cmd_show - bhsec show [DEVICE [peer NAME]] [FLAG...]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_show(struct context *ctx, struct words *words)
{
	struct show show = {
		.ctx = ctx,
		.stats = ctx->stats,
		.out.json = ctx->json,
	};
	int status = 0;

	while (take_flag(&show, words))
		;
	if (words_peek(words))
		status = take_names(&show, words);
	while (take_flag(&show, words))
		;
	if (!status)
		status = take_show_end(&show, words);
	if (status)
		return status;
	if (show.openmetrics && (show.out.json || show.stats))
		return misuse("show: --openmetrics goes with neither -j nor --stats");
	if (show.why && (show.openmetrics || show.stats))
		return misuse("show: --why goes with neither --openmetrics nor --stats");
	out_wrap(&show.out);
	if (!show.why)
		return show_all(&show);
	return context_connect(ctx) ? show_why(&show) : EXIT_REFUSED;
}
