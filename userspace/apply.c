// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec apply, up, reload, down, check: devices by their files.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "context.h"
#include "job.h"
#include "message.h"
#include "options.h"

static bool add_file(void *data, const char *path)
{
	return jobs_add(data, path);
}

/* The devices of a file, or of all in a directory. */
static int add_path(struct jobs *jobs, const char *path)
{
	struct stat stat_buf;

	if (stat(path, &stat_buf) < 0 || !S_ISDIR(stat_buf.st_mode))
		return jobs_add(jobs, path) ? 0 : EXIT_REFUSED;
	if (!conf_each(path, add_file, jobs))
		return refuse("%s: there is no *" CONF_SUFFIX " in it", path);
	return 0;
}

static bool is_path(const char *word)
{
	return strchr(word, '/') || strchr(word, '.');
}

/* NAME for the file of that name, FILE or DIRECTORY. */
static int add_word(struct jobs *jobs, const char *word)
{
	char path[PATH_MAX];

	if (is_path(word))
		return add_path(jobs, word);
	snprintf(path, sizeof(path), CONF_DIR "/%s" CONF_SUFFIX, word);
	return add_path(jobs, path);
}

static int take_words(struct words *words, const char *verb, const char *what,
		      char **word, bool *dry)
{
	bool first = dry && words_take_if(words, "--dry-run");

	*word = words_take(words);
	if (!*word)
		return misuse("%s: the %s is missing", verb, what);
	if (dry)
		*dry = words_take_if(words, "--dry-run") || first;
	return take_end(words, verb);
}

static int open_route(struct jobs *jobs)
{
	return context_connect_route(jobs->ctx) ? 0 : EXIT_REFUSED;
}

/* Makes or tells what files say that were read. */
static int run(struct jobs *jobs, bool dry)
{
	int status = jobs_check(jobs);

	if (!status)
		status = jobs_read(jobs);
	if (status)
		return status;
	if (!dry)
		return jobs_make(jobs);
	jobs_print(jobs);
	return 0;
}

static int run_verb(struct jobs *jobs, struct words *words, const char *verb,
		    bool by_name)
{
	bool dry = false;
	char *word;
	int status;

	status = take_words(words, verb, by_name ? "device" :
			    "file or directory", &word, &dry);
	if (!status)
		status = open_route(jobs);
	if (!status)
		status = by_name ? add_word(jobs, word) : add_path(jobs, word);
	if (!status)
		status = run(jobs, dry);
	jobs_free(jobs);
	return status;
}

/**
 * cmd_apply - bhsec apply FILE|DIRECTORY [--dry-run]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_apply(struct context *ctx, struct words *words)
{
	struct jobs jobs = { .ctx = ctx };

	return run_verb(&jobs, words, "apply", false);
}

/**
 * cmd_up - bhsec up DEVICE [--dry-run]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_up(struct context *ctx, struct words *words)
{
	struct jobs jobs = { .ctx = ctx };

	return run_verb(&jobs, words, "up", true);
}

/**
 * cmd_reload - bhsec reload DEVICE [--dry-run]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_reload(struct context *ctx, struct words *words)
{
	/* certificates and lists of revoked ones may be new as well */
	struct jobs jobs = { .ctx = ctx, .load = true };

	return run_verb(&jobs, words, "reload", true);
}

/**
 * cmd_check - bhsec check DEVICE|FILE|DIRECTORY
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_check(struct context *ctx, struct words *words)
{
	struct jobs jobs = { .ctx = ctx };
	char *word;
	int status;

	status = take_words(words, "check", "device or file", &word, NULL);
	if (!status)
		status = open_route(&jobs);
	if (!status)
		status = add_word(&jobs, word);
	if (!status)
		status = jobs_check(&jobs);
	jobs_free(&jobs);
	return status;
}

static int run_down(struct jobs *jobs, const char *name, bool dry)
{
	const char *reason = conf_device_objection(name, strlen(name));
	int status;

	if (reason)
		return refuse("down %s: %s", quoted(name), reason);
	status = open_route(jobs);
	if (!status && !jobs_add_down(jobs, name))
		status = EXIT_REFUSED;
	if (!status)
		status = jobs_read(jobs);
	if (status || !dry)
		return status ? status : jobs_end(jobs);
	jobs_print(jobs);
	return 0;
}

/**
 * cmd_down - bhsec down DEVICE [--dry-run]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_down(struct context *ctx, struct words *words)
{
	struct jobs jobs = { .ctx = ctx };
	bool dry = false;
	char *word;
	int status;

	status = take_words(words, "down", "device", &word, &dry);
	if (!status)
		status = run_down(&jobs, word, dry);
	jobs_free(&jobs);
	return status;
}
