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
#include "job.h"
#include "message.h"
#include "swanctl.h"

/* What the daemon knows a peer by begins with this. */
#define CONNECTION "bhsec-"

static struct job *add(struct jobs *jobs)
{
	struct job *grown;

	grown = reallocarray(jobs->job, jobs->count + 1, sizeof(*grown));
	if (!grown) {
		refuse("out of memory");
		return NULL;
	}
	jobs->job = grown;
	grown += jobs->count++;
	return memset(grown, 0, sizeof(*grown));
}

static void name_files(struct job *job)
{
	const char *name = job->plan.conf.name;

	snprintf(job->text.path, sizeof(job->text.path),
		 SWANCTL_DIR "/conf.d/bhsec-%s.conf", name);
	snprintf(job->key.path, sizeof(job->key.path),
		 SWANCTL_DIR "/private/bhsec-%s", name);
	job->key.is_link = true;
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
	name_files(job);
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
	name_files(job);
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

/**
 * jobs_read - find out what there is
 * @jobs: the jobs
 *
 * Return: 0, or the exit status after a sentence.
 */
int jobs_read(struct jobs *jobs)
{
	int status = 0;
	struct job *job;
	size_t i;

	if (!context_connect(jobs->ctx))
		return EXIT_REFUSED;
	for (i = 0; i < jobs->count && !status; i++) {
		job = &jobs->job[i];
		status = device_read(jobs->ctx->route, jobs->ctx->nl,
				   job->plan.conf.name, &job->had);
		if (!status)
			status = own_read(&job->text);
		if (!status)
			status = own_read(&job->key);
	}
	return status;
}

static int print_change(void *data, const struct change *change)
{
	change_print(data, change);
	return 0;
}

static void print_block(void *data, char sign, const struct block_name *name)
{
	const struct job *job = data;
	const char *device = job->plan.conf.name;
	size_t prefix = strlen(CONNECTION) + strlen(device) + 1;

	if (strncmp(name->text, CONNECTION, strlen(CONNECTION)) == 0)
		printf("%s: %c peer %.*s\n", device, sign,
		       (int)(name->len - prefix), name->text + prefix);
	else
		printf("%s: %c secret %.3s\n", device, sign, name->text);
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
		swanctl_compare(job->text.had, job->new_text, print_block, job);
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

static bool files_differ(const struct jobs *jobs)
{
	size_t i;

	for (i = 0; i < jobs->count; i++)
		if (own_differs(&jobs->job[i].text, jobs->job[i].new_text) ||
		    own_differs(&jobs->job[i].key, jobs->job[i].new_key))
			return true;
	return false;
}

static int load(void)
{
	const char *reason = swanctl_load();

	return reason ? refuse("swanctl: %s", reason) : 0;
}

/*
 * A peer that is none any more, or is another one, keeps no SA. One that this
 * side calls the daemon itself calls anew.
 */
static void end_block(void *data, char sign, const struct block_name *name)
{
	char connection[128];

	(void)data;
	if (strncmp(name->text, CONNECTION, strlen(CONNECTION)) != 0 ||
	    sign == '+' || (sign == '~' && name->starts))
		return;
	snprintf(connection, sizeof(connection), "%.*s", (int)name->len,
		 name->text);
	swanctl_terminate(connection);
}

static void end_peers(const struct jobs *jobs)
{
	size_t i;

	for (i = 0; i < jobs->count; i++)
		swanctl_compare(jobs->job[i].text.had, jobs->job[i].new_text,
				end_block, NULL);
}

/* Back to what there was, the last one first. */
static void undo(struct jobs *jobs, bool loaded)
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
	/* what it could not take it may not take back either */
	if (loaded)
		swanctl_load();
	for (i = jobs->count; i-- > 0;)
		changes_make(jobs->ctx->route, jobs->ctx->nl,
			     jobs->job[i].plan.conf.name, &jobs->job[i].had);
}

/**
 * jobs_make - make all of it, or nothing
 * @jobs: the jobs, read
 *
 * Return: 0, or the exit status after a sentence.
 */
int jobs_make(struct jobs *jobs)
{
	bool loads = jobs->load || files_differ(jobs), loaded = false;
	int status = 0;
	size_t i;

	for (i = 0; i < jobs->count && !status; i++)
		status = changes_make(jobs->ctx->route, jobs->ctx->nl,
				      jobs->job[i].plan.conf.name,
				      &jobs->job[i].plan.want);
	for (i = 0; i < jobs->count && !status; i++)
		status = put_files(&jobs->job[i]);
	if (!status && loads) {
		loaded = true;
		status = load();
	}
	if (status)
		undo(jobs, loaded);
	else
		end_peers(jobs);
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
	int status = 0, other;

	if (!job->had.exists && !job->text.had && !job->key.had)
		return refuse("%s: there is no such device", name);
	if (job->text.had || job->key.had) {
		status = put_files(job);
		other = load();
		end_peers(jobs);
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
		if (job->new_text)
			explicit_bzero(job->new_text, strlen(job->new_text));
		free(job->new_text);
	}
	free(jobs->job);
}
