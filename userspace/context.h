/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_CONTEXT_H
#define BHSEC_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"
#include "words.h"

/**
 * enum stats - which counters text shows; JSON shows all
 * @STATS_PEERS: what devices and peers have counted
 * @STATS_SAS: what SAs have counted, too
 * @STATS_ALL: what is zero, too
 */
enum stats {
	STATS_PEERS,
	STATS_SAS,
	STATS_ALL,
};

/**
 * struct context - what the commands of a process share
 * @json: print JSON
 * @stats: which counters to print
 * @in_batch: the command is a line of a batch
 * @batch_on_stdin: the batch comes from standard input
 * @nl: NULL until a command needs it
 * @route: about links, addresses and routes, NULL until then
 * @buffer: for the request of a command
 */
struct context {
	bool json;
	enum stats stats;
	bool in_batch;
	bool batch_on_stdin;
	struct nl *nl;
	struct nl *route;
	uint32_t buffer[REQUEST_SIZE / sizeof(uint32_t)];
};

bool take_stats(struct words *words, enum stats *stats);
bool context_connect(struct context *ctx);
bool context_connect_route(struct context *ctx);
int context_send(struct context *ctx, struct request *req);

/* The verbs, one file each; they return the exit status. */
int run_command(struct context *ctx, struct words *words);
int cmd_apply(struct context *ctx, struct words *words);
int cmd_batch(struct context *ctx, struct words *words);
int cmd_check(struct context *ctx, struct words *words);
int cmd_doctor(struct context *ctx, struct words *words);
int cmd_down(struct context *ctx, struct words *words);
int cmd_explain(struct context *ctx, struct words *words);
int cmd_genkey(struct context *ctx, struct words *words);
int cmd_monitor(struct context *ctx, struct words *words);
int cmd_peer(struct context *ctx, struct words *words);
int cmd_reload(struct context *ctx, struct words *words);
int cmd_sa(struct context *ctx, struct words *words);
int cmd_set(struct context *ctx, struct words *words);
int cmd_show(struct context *ctx, struct words *words);
int cmd_top(struct context *ctx, struct words *words);
int cmd_up(struct context *ctx, struct words *words);

#endif
