// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec: configures and shows bhsec devices, ESP tunnels between base stations
 * and their controllers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "help.h"
#include "message.h"
#include "util.h"

/**
 * struct verb - what bhsec can do
 * @word: its name
 * @run: does it
 * @help: about it
 * @prints: -j means something to it
 */
struct verb {
	const char *word;
	int (*run)(struct context *ctx, struct words *words);
	const char *help;
	bool prints;
};

static const struct verb verbs[] = {
	{ "set", cmd_set, help_set, false },
	{ "peer", cmd_peer, help_peer, false },
	{ "sa", cmd_sa, help_sa, false },
	{ "apply", cmd_apply, help_apply, false },
	{ "up", cmd_up, help_up, false },
	{ "reload", cmd_reload, help_reload, false },
	{ "down", cmd_down, help_down, false },
	{ "check", cmd_check, help_check, false },
	{ "show", cmd_show, help_show, true },
	{ "explain", cmd_explain, help_explain, true },
	{ "doctor", cmd_doctor, help_doctor, true },
	{ "top", cmd_top, help_top, false },
	{ "monitor", cmd_monitor, help_monitor, true },
	{ "genkey", cmd_genkey, help_genkey, false },
	{ "-batch", cmd_batch, help_batch, true },
	{ "--batch", cmd_batch, help_batch, true },
};

static const struct verb *find_verb(const char *word)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].word, word) == 0)
			return &verbs[i];
	return NULL;
}

/* VERB --help, VERB add --help, VERB add DEVICE --help */
static bool asks_for_help(const struct words *words)
{
	int i;

	for (i = words->next; i < words->count && i < words->next + 3; i++)
		if (is_help(words->word[i]))
			return true;
	return false;
}

/* -j and --stats may stand before the verb too. */
static void take_flags(struct context *ctx, struct words *words)
{
	for (;;) {
		if (words_take_if(words, "-j") || words_take_if(words, "--json"))
			ctx->json = true;
		else if (!take_stats(words, &ctx->stats))
			return;
	}
}

static int run_verb(struct context *ctx, const struct verb *verb,
		    struct words *words)
{
	if (asks_for_help(words)) {
		fputs(verb->help, stdout);
		return 0;
	}
	if ((ctx->json || ctx->stats) && !verb->prints && !ctx->in_batch)
		return misuse("%s: -j and --stats are for show and monitor",
			      verb->word);
	return verb->run(ctx, words);
}

static int run_words(struct context *ctx, struct words *words)
{
	const char *word = words_take(words);
	const struct verb *verb;

	if (!word)
		return misuse("a command is missing, see bhsec --help");
	if (is_help(word) || strcmp(word, "-h") == 0) {
		fputs(help_all, stdout);
		return 0;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		puts("bhsec " VERSION);
		return 0;
	}
	verb = find_verb(word);
	if (!verb)
		return misuse("%s is no command, see bhsec --help", quoted(word));
	return run_verb(ctx, verb, words);
}

/**
 * run_command - do one command
 * @ctx: the process
 * @words: the command, without the word bhsec
 *
 * Return: exit status.
 */
int run_command(struct context *ctx, struct words *words)
{
	enum stats stats = ctx->stats;
	bool json = ctx->json;
	int status;

	take_flags(ctx, words);
	status = run_words(ctx, words);
	/* those of a line of a batch are not for the next one */
	ctx->json = json;
	ctx->stats = stats;
	return status;
}

/*
 * What is opened later would get the number of a closed stream: the kernel
 * would be sent the results, a batch would be read for a key. Returns whether
 * the stream was open; in its place is now what fails as it did.
 */
static bool hold_stream(int fd)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return true;
	/* the smallest number that is free is this one */
	open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	return false;
}

static bool hold_streams(void)
{
	bool open_output;

	hold_stream(STDIN_FILENO);
	open_output = hold_stream(STDOUT_FILENO);
	hold_stream(STDERR_FILENO);
	return open_output;
}

/* What could not be written was not done. */
static int check_output(int status)
{
	if (fflush(stdout) || ferror(stdout))
		if (!status)
			return refuse("output: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	static struct context ctx;
	struct words words = {
		.word = argv,
		.count = argc,
		.next = 1,
	};
	int status;

	if (!hold_streams())
		return refuse("output: %s", strerror(EBADF));
	status = check_output(run_command(&ctx, &words));
	nl_close(ctx.nl);
	nl_close(ctx.route);
	return status;
}
