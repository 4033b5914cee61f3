// SPDX-License-Identifier: GPL-2.0
/*
 * What the commands of a process share.
 */
#include "context.h"
#include "message.h"
#include "refusal.h"

/**
 * take_stats - take --stats, or --stats all
 * @words: the command
 * @stats: set if it is there
 *
 * Return: whether it was.
 */
bool take_stats(struct words *words, enum stats *stats)
{
	if (!words_take_if(words, "--stats"))
		return false;
	*stats = words_take_if(words, "all") ? STATS_ALL : STATS_SAS;
	return true;
}

/**
 * context_connect - have a conversation with the module
 * @ctx: the process
 *
 * Return: whether there is one; if not, a sentence was said.
 */
bool context_connect(struct context *ctx)
{
	if (!ctx->nl)
		ctx->nl = nl_open();
	return ctx->nl;
}

/**
 * context_connect_route - have a conversation about links, addresses and routes
 * @ctx: the process
 *
 * Return: whether there is one; if not, a sentence was said.
 */
bool context_connect_route(struct context *ctx)
{
	if (!ctx->route)
		ctx->route = nl_open_route();
	return ctx->route;
}

/**
 * context_send - have a request done
 * @ctx: the process
 * @req: the request
 *
 * Return: exit status.
 */
int context_send(struct context *ctx, struct request *req)
{
	struct nl_error error;

	if (!context_connect(ctx))
		return EXIT_REFUSED;
	error = nl_do(ctx->nl, req, NULL);
	return error.code ? refusal(ctx->nl, req, &error) : 0;
}
