// SPDX-License-Identifier: GPL-2.0
/*
 * Devices and what strongSwan is told of them: read, compared, made, and unmade
 * where one of them cannot be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "context.h"
#include "daemon.h"
#include "job.h"
#include "message.h"
#include "swanctl.h"
#include "tell.h"

static struct job *add(struct jobs *jobs)
{
	struct job *grown = calloc(jobs->count + 1, sizeof(*grown));
	size_t size = jobs->count * sizeof(*grown);

	if (!grown) {
		refuse("out of memory");
		return NULL;
	}
	/* there are secrets in them */
	if (size) {
		memcpy(grown, jobs->job, size);
		explicit_bzero(jobs->job, size);
		free(jobs->job);
	}
	jobs->job = grown;
	return grown + jobs->count++;
}

static void name_parts(struct job *job)
{
	const char *name = job->plan.conf.name;

	snprintf(job->text.path, sizeof(job->text.path),
		 SWANCTL_DIR "/conf.d/bhsec-%s.conf", name);
	snprintf(job->key.path, sizeof(job->key.path),
		 SWANCTL_DIR "/private/bhsec-%s", name);
	job->key.is_link = true;
	snprintf(job->prefix, sizeof(job->prefix), CONNECTION "%s-", name);
}

/* swanctl finds keys in a directory of its own alone. */
static void take_key(struct job *job)
{
	static const char dir[] = SWANCTL_DIR "/private/";
	const char *key = job->plan.conf.identity.key.text;

	if (key && *key == '/' && strncmp(key, dir, strlen(dir)) != 0)
		job->new_key = key;
}

/**
 * jobs_add - add the device of a file
 * @jobs: the jobs
 * @path: of the file, whose mistakes are told
 *
 * Return: false without memory, after a sentence.
 */
bool jobs_add(struct jobs *jobs, const char *path)
{
	struct job *job = add(jobs);

	if (!job)
		return false;
	plan_make(&job->plan, jobs->ctx->route, path);
	if (job->plan.conf.mistakes)
		return true;
	name_parts(job);
	take_key(job);
	job->new_text = swanctl_text(&job->plan);
	if (!job->new_text)
		refuse("out of memory");
	return job->new_text;
}

/**
 * jobs_add_down - add a device that is not to be
 * @jobs: the jobs
 * @name: of the device
 *
 * Return: false without memory, after a sentence.
 */
bool jobs_add_down(struct jobs *jobs, const char *name)
{
	struct job *job = add(jobs);

	if (!job)
		return false;
	snprintf(job->plan.conf.name, sizeof(job->plan.conf.name), "%s", name);
	name_parts(job);
	return true;
}

/**
 * jobs_check - were there mistakes
 * @jobs: the jobs
 *
 * Return: exit status.
 */
int jobs_check(const struct jobs *jobs)
{
	size_t i;

	for (i = 0; i < jobs->count; i++)
		if (jobs->job[i].plan.conf.mistakes)
			return EXIT_REFUSED;
	return 0;
}

static int read_job(struct jobs *jobs, struct job *job)
{
	int status = device_read(jobs->ctx->route, jobs->ctx->nl,
				 job->plan.conf.name, &job->had);

	if (!status)
		status = own_read(&job->text);
	if (!status)
		status = own_read(&job->key);
	if (status)
		return status;
	return blocks_cut(job->text.had, job->prefix, &job->old) &&
	       blocks_cut(job->new_text, job->prefix, &job->new) ? 0 :
	       refuse("out of memory");
}

/**
 * jobs_read - find out what there is
 * @jobs: the jobs
 *
 * Return: 0, or the exit status after a sentence.
 */
int jobs_read(struct jobs *jobs)
{
	int status = 0;
	size_t i;

	if (!context_connect(jobs->ctx))
		return EXIT_REFUSED;
	for (i = 0; i < jobs->count && !status; i++)
		status = read_job(jobs, &jobs->job[i]);
	return status;
}

static int print_change(void *data, const struct change *change)
{
	change_print(data, change);
	return 0;
}

static void print_block(void *data, const struct block *old,
			const struct block *new)
{
	const struct block *block = new ?: old;
	const struct job *job = data;
	const char *device = job->plan.conf.name;
	char sign = !old ? '+' : !new ? '-' : '~';
	size_t prefix = strlen(job->prefix);

	if (block_is_connection(block))
		printf("%s: %c peer %.*s\n", device, sign,
		       (int)(block->name_len - prefix), block->name + prefix);
	else
		printf("%s: %c secret %.3s\n", device, sign, block->name);
}

static void print_key(const struct job *job)
{
	if (!own_differs(&job->key, job->new_key))
		return;
	printf("%s: %c key %s\n", job->plan.conf.name,
	       !job->new_key ? '-' : job->key.had ? '~' : '+',
	       job->new_key ?: job->key.had);
}

/**
 * jobs_print - tell what differs
 * @jobs: the jobs, read
 */
void jobs_print(const struct jobs *jobs)
{
	struct job *job;
	size_t i;

	for (i = 0; i < jobs->count; i++) {
		job = &jobs->job[i];
		changes(&job->had, &job->plan.want, print_change,
			job->plan.conf.name);
		print_key(job);
		blocks_compare(&job->old, &job->new, print_block, job);
	}
}

static int put_files(const struct job *job)
{
	int status = 0;

	if (own_differs(&job->key, job->new_key))
		status = own_put(&job->key, job->new_key);
	if (!status && own_differs(&job->text, job->new_text))
		status = own_put(&job->text, job->new_text);
	return status;
}

/* Also where the daemon may not have been told of what they say. */
static bool files_differ(const struct jobs *jobs)
{
	size_t i;

	for (i = 0; i < jobs->count; i++)
		if (!own_is_told(&jobs->job[i].text) ||
		    own_differs(&jobs->job[i].text, jobs->job[i].new_text) ||
		    own_differs(&jobs->job[i].key, jobs->job[i].new_key))
			return true;
	return false;
}

/* What is changed from here on the daemon may not have been told. */
static struct timespec now(void)
{
	struct timespec time;

	/* the clock of files */
	clock_gettime(CLOCK_REALTIME_COARSE, &time);
	return time;
}

/* The daemon, if it was told of these files, has been told of them as they were. */
static void tell_again(const struct jobs *jobs, bool told)
{
	const struct timespec since = now();
	const struct job *job;
	size_t i;

	/* what it could not take it may not take back either */
	if (told && daemon_load())
		return;
	for (i = 0; i < jobs->count; i++) {
		job = &jobs->job[i];
		if (job->text.had && own_differs(&job->text, job->new_text))
			own_tell(&job->text, told ? &since : &job->text.since);
	}
}

/* Back to what there was, the last one first. */
static void undo(struct jobs *jobs, bool told)
{
	const struct job *job;
	size_t i;

	for (i = jobs->count; i-- > 0;) {
		job = &jobs->job[i];
		if (own_differs(&job->text, job->new_text))
			own_put(&job->text, job->text.had);
		if (own_differs(&job->key, job->new_key))
			own_put(&job->key, job->key.had);
	}
	tell_again(jobs, told);
	for (i = jobs->count; i-- > 0;)
		changes_make(jobs->ctx->route, jobs->ctx->nl,
			     jobs->job[i].plan.conf.name, &jobs->job[i].had);
}

/* Of other files it may have what was in them before. */
static void note_told(const struct teller *teller, const struct timespec *since)
{
	const struct jobs *jobs = teller->jobs;
	const struct job *job;
	size_t i;

	for (i = 0; i < jobs->count; i++) {
		job = &jobs->job[i];
		if (teller->all || own_differs(&job->text, job->new_text))
			own_tell(&job->text, since);
	}
}

static int tell(const struct jobs *jobs, bool *told)
{
	const struct timespec since = now();
	struct teller teller;
	int status;

	tell_begin(&teller, jobs);
	status = tell_changes(&teller);
	if (!status) {
		note_told(&teller, &since);
		tell_ends(&teller);
	}
	*told = teller.told;
	tell_close(&teller);
	return status;
}

/**
 * jobs_make - make all of it, or nothing
 * @jobs: the jobs, read
 *
 * Return: 0, or the exit status after a sentence.
 */
int jobs_make(struct jobs *jobs)
{
	bool told = false;
	int status = 0;
	size_t i;

	for (i = 0; i < jobs->count && !status; i++)
		status = changes_make(jobs->ctx->route, jobs->ctx->nl,
				      jobs->job[i].plan.conf.name,
				      &jobs->job[i].plan.want);
	for (i = 0; i < jobs->count && !status; i++)
		status = put_files(&jobs->job[i]);
	if (!status && (jobs->load || files_differ(jobs)))
		status = tell(jobs, &told);
	if (status)
		undo(jobs, told);
	return status;
}

/**
 * jobs_end - end what there is, as far as there is anything
 * @jobs: one job, read
 *
 * Return: exit status; what can go goes in any case.
 */
int jobs_end(struct jobs *jobs)
{
	const struct job *job = jobs->job;
	const char *name = job->plan.conf.name;
	struct teller teller;
	int status = 0, other;

	if (!job->had.exists && !job->text.had && !job->key.had)
		return refuse("%s: there is no such device", name);
	if (job->text.had || job->key.had) {
		tell_begin(&teller, jobs);
		status = put_files(job);
		other = tell_all(&teller);
		tell_ends(&teller);
		tell_close(&teller);
		status = status ? status : other;
	}
	other = changes_make(jobs->ctx->route, jobs->ctx->nl, name, &job->plan.want);
	return status ? status : other;
}

/**
 * jobs_free - forget all of it
 * @jobs: the jobs
 */
void jobs_free(struct jobs *jobs)
{
	struct job *job;
	size_t i;

	for (i = 0; i < jobs->count; i++) {
		job = &jobs->job[i];
		plan_free(&job->plan);
		device_free(&job->had);
		own_free(&job->text);
		own_free(&job->key);
		blocks_free(&job->old);
		blocks_free(&job->new);
		if (job->new_text)
			explicit_bzero(job->new_text, strlen(job->new_text));
		free(job->new_text);
	}
	free(jobs->job);
}
