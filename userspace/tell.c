// SPDX-License-Identifier: GPL-2.0
/*
 * What has changed, told to the daemon: just the connections that differ, where
 * nothing else does and it has all others; else swanctl tells it all there is.
 * Either leads to the same, as long as nobody else's files add to a connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "job.h"
#include "message.h"
#include "swanctl.h"
#include "tell.h"
#include "vici.h"

/* Of more than these swanctl takes hardly longer. */
#define EACH_MAX 250

/* How long the daemon may take for one of them, before swanctl has to wait. */
#define PATIENCE_MS 10000

/* And to end many SAs, one after the other: swanctl would wait for ever. */
#define END_PATIENCE_MS (3600 * 1000)

/**
 * struct difference - a connection that differs
 * @job: whose it is
 * @old: what was told of it, NULL if it comes
 * @new: what is to be told, NULL if it goes
 */
struct difference {
	const struct job *job;
	const struct block *old;
	const struct block *new;
};

/**
 * struct differences - all of them
 * @job: which is compared
 * @each: the connections
 * @count: number of them
 * @all: they are too many, or not connections alone
 */
struct differences {
	const struct job *job;
	struct difference each[EACH_MAX];
	size_t count;
	bool all;
};

/**
 * enum outcome - what has become of it
 * @DONE: the daemon has it
 * @REFUSED: the daemon does not take it
 * @IMPOSSIBLE: it cannot be told so
 */
enum outcome {
	DONE,
	REFUSED,
	IMPOSSIBLE,
};

static int refuse_reason(const char *reason)
{
	return refuse("strongSwan: %s", reason);
}

/* A connection without a pool. */
static bool is_lone(const struct block *block)
{
	return block_is_connection(block) && !block_has_pool(block);
}

static void take_difference(void *data, const struct block *old,
			    const struct block *new)
{
	struct differences *diffs = data;

	if (diffs->count == EACH_MAX || (old && !is_lone(old)) ||
	    (new && !is_lone(new)))
		diffs->all = true;
	else
		diffs->each[diffs->count++] =
			(struct difference){ diffs->job, old, new };
}

static const struct block *first_connection(const struct blocks *blocks)
{
	size_t i;

	for (i = 0; i < blocks->count; i++)
		if (block_is_connection(&blocks->block[i]))
			return &blocks->block[i];
	return NULL;
}

/* All peers of a device are told the same of it. */
static bool same_identity(const struct job *job)
{
	const struct block *old = first_connection(&job->old);
	const struct block *new = first_connection(&job->new);

	return old && new && block_same_identity(old, new);
}

/* What the daemon has of a file may be what was in it before. */
static bool files_stand(const struct job *job)
{
	const struct timespec *newest = &job->plan.newest;
	const struct timespec *since = &job->text.since;

	return newest->tv_sec < since->tv_sec ||
	       (newest->tv_sec == since->tv_sec &&
		newest->tv_nsec < since->tv_nsec);
}

/* False where it takes more than to tell of each connection. */
static bool find_differences(const struct jobs *jobs, struct differences *diffs)
{
	const struct job *job;
	size_t i;

	for (i = 0; i < jobs->count && !diffs->all; i++) {
		job = &jobs->job[i];
		if (own_differs(&job->key, job->new_key))
			return false;
		if (!own_is_told(&job->text))
			return false;
		if (!own_differs(&job->text, job->new_text))
			continue;
		if (job->old.has_more || !same_identity(job) ||
		    !files_stand(job))
			return false;
		diffs->job = job;
		blocks_compare(&job->old, &job->new, take_difference, diffs);
	}
	return !diffs->all;
}

/* Who does not answer is asked no more: what it says later is for another one. */
static bool ask(struct teller *teller, const char *command,
		const struct bytes *message, struct bytes *answer)
{
	if (teller->is_open &&
	    vici_request(&teller->vici, command, message) &&
	    vici_hear(&teller->vici, answer) == VICI_ANSWER)
		return true;
	tell_close(teller);
	return false;
}

static size_t count_connections(const struct blocks *blocks)
{
	size_t i, count = 0;

	for (i = 0; i < blocks->count; i++)
		count += block_is_connection(&blocks->block[i]);
	return count;
}

/* Whether its connections of a device are those that the file had. */
static bool has_old(const struct bytes *connections, const struct job *job)
{
	size_t len = strlen(job->prefix), count = 0;
	struct bytes rest = *connections;
	struct vici_element element;
	const struct bytes *name = &element.value;

	while (vici_read(&rest, &element)) {
		if (name->len < len || memcmp(name->at, job->prefix, len) != 0)
			continue;
		if (!blocks_find(&job->old, name->at, name->len))
			return false;
		count++;
	}
	return count == count_connections(&job->old);
}

static bool has_all_old(struct teller *teller)
{
	const struct jobs *jobs = teller->jobs;
	const struct bytes nothing = {};
	struct bytes connections;
	size_t i;

	if (!ask(teller, "get-conns", &nothing, &connections))
		return false;
	for (i = 0; i < jobs->count; i++)
		if (!has_old(&connections, &jobs->job[i]))
			return false;
	return true;
}

static const struct conf_peer *peer_of(const struct difference *diff)
{
	const struct conf *conf = &diff->job->plan.conf;
	size_t prefix = strlen(diff->job->prefix), i;
	size_t len = diff->new->name_len - prefix;
	const char *name = diff->new->name + prefix;

	for (i = 0; i < conf->count; i++)
		if (strncmp(conf->peers[i].name.text, name, len) == 0 &&
		    !conf->peers[i].name.text[len])
			return &conf->peers[i];
	return NULL;
}

/* The daemon's reason as swanctl would tell it. */
static void tell_reason(const struct block *block, const struct bytes *said)
{
	char reason[512], *printable = bytes_printable(said);

	snprintf(reason, sizeof(reason), "loading connection '%.*s' failed: %s",
		 (int)block->name_len, block->name, printable ?: "");
	free(printable);
	refuse_reason(reason);
}

static bool is_yes(const struct bytes *answer, struct bytes *reason)
{
	struct bytes rest = *answer;
	struct vici_element element;
	bool yes = false;

	while (vici_read(&rest, &element)) {
		if (bytes_are(&element.name, "success"))
			yes = bytes_are(&element.value, "yes");
		else if (bytes_are(&element.name, "errmsg"))
			*reason = element.value;
	}
	return yes;
}

static enum outcome load_message(struct teller *teller,
				 const struct block *block,
				 const struct bytes *message)
{
	struct bytes answer, reason = {};

	vici_wait(&teller->vici, PATIENCE_MS);
	if (!ask(teller, "load-conn", message, &answer))
		return IMPOSSIBLE;
	if (is_yes(&answer, &reason)) {
		teller->told = true;
		return DONE;
	}
	if (!reason.len)
		return IMPOSSIBLE;
	tell_reason(block, &reason);
	return REFUSED;
}

static enum outcome load(struct teller *teller, const struct difference *diff)
{
	const struct conf_peer *peer = peer_of(diff);
	enum outcome outcome = IMPOSSIBLE;
	struct buffer buffer = {};
	struct bytes message;

	if (peer && swanctl_connection(&diff->job->plan, peer, &buffer)) {
		message = (struct bytes){ buffer.bytes, buffer.len };
		outcome = load_message(teller, diff->new, &message);
	}
	buffer_free(&buffer);
	return outcome;
}

/* About a connection by its name, beside which there is @more. */
static bool ask_about(struct teller *teller, const char *command, const char *key,
		      const struct block *block, const struct bytes *more,
		      struct bytes *answer)
{
	const struct bytes name = { block->name, block->name_len };
	struct buffer buffer = {};
	struct bytes message;
	bool done = false;

	vici_write(&buffer, VICI_KEY_VALUE, key, &name);
	buffer_add(&buffer, more->at, more->len);
	message = (struct bytes){ buffer.bytes, buffer.len };
	if (!buffer.failed)
		done = ask(teller, command, &message, answer);
	buffer_free(&buffer);
	return done;
}

static enum outcome take_off(struct teller *teller, const struct block *block)
{
	const struct bytes nothing = {};
	struct bytes answer, reason;

	vici_wait(&teller->vici, PATIENCE_MS);
	return ask_about(teller, "unload-conn", "name", block, &nothing,
			 &answer) && is_yes(&answer, &reason) ? DONE : IMPOSSIBLE;
}

/* Those that are to go come last, as with swanctl. */
static enum outcome tell_differences(struct teller *teller,
				     const struct differences *diffs)
{
	enum outcome outcome = DONE;
	size_t i;

	for (i = 0; i < diffs->count && outcome == DONE; i++)
		if (diffs->each[i].new)
			outcome = load(teller, &diffs->each[i]);
	for (i = 0; i < diffs->count && outcome == DONE; i++)
		if (!diffs->each[i].new)
			outcome = take_off(teller, diffs->each[i].old);
	return outcome;
}

/**
 * tell_begin - find out whom there is to tell
 * @teller: gets to know, until tell_close()
 * @jobs: the jobs, read
 *
 * The daemon at the socket may have been started without its files, or be another
 * one than that of swanctl.
 */
void tell_begin(struct teller *teller, const struct jobs *jobs)
{
	memset(teller, 0, sizeof(*teller));
	teller->jobs = jobs;
	teller->is_open = vici_open(&teller->vici, PATIENCE_MS);
	if (teller->is_open && !has_all_old(teller))
		tell_close(teller);
}

/**
 * tell_close - have nobody to tell
 * @teller: the teller
 */
void tell_close(struct teller *teller)
{
	if (teller->is_open)
		vici_close(&teller->vici);
	teller->is_open = false;
}

/**
 * tell_all - have the daemon take what all files say
 * @teller: the teller
 *
 * Return: 0, or the exit status after a sentence.
 */
int tell_all(struct teller *teller)
{
	const char *reason = daemon_load();

	teller->told = true;
	teller->all = true;
	return reason ? refuse_reason(reason) : 0;
}

/**
 * tell_changes - have the daemon take what has changed
 * @teller: the teller, to whose jobs the files are already
 *
 * Return: 0, or the exit status after a sentence.
 */
int tell_changes(struct teller *teller)
{
	struct differences diffs = {};
	enum outcome outcome = IMPOSSIBLE;

	if (teller->is_open && !teller->jobs->load &&
	    find_differences(teller->jobs, &diffs))
		outcome = tell_differences(teller, &diffs);
	return outcome == DONE ? 0 : outcome == REFUSED ? EXIT_REFUSED :
	       tell_all(teller);
}

/*
 * A peer that is none any more, or is another one, keeps no SA. One that this
 * side calls the daemon itself calls anew.
 */
static void end_peer(void *data, const struct block *old,
		     const struct block *new)
{
	/* force = yes, timeout = 1000: who does not answer has no say */
	static const char hurry[] = "\3\5force\0\3yes\3\7timeout\0\0041000";
	const struct bytes more = { hurry, sizeof(hurry) - 1 };
	struct teller *teller = data;
	struct bytes answer;
	char connection[128];

	if (!old || !block_is_connection(old) || (new && block_starts(new)))
		return;
	vici_wait(&teller->vici, END_PATIENCE_MS);
	if (ask_about(teller, "terminate", "ike", old, &more, &answer))
		return;
	snprintf(connection, sizeof(connection), "%.*s", (int)old->name_len,
		 old->name);
	daemon_terminate(connection);
}

/**
 * tell_ends - have the daemon end what it has with peers that have changed
 * @teller: the teller, who has told of that
 */
void tell_ends(struct teller *teller)
{
	const struct jobs *jobs = teller->jobs;
	size_t i;

	for (i = 0; i < jobs->count; i++)
		blocks_compare(&jobs->job[i].old, &jobs->job[i].new, end_peer,
			       teller);
}
