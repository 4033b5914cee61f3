// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec top: peers by what they carry and drop now, on a terminal or, for whatever
 * else reads, block by block.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <unistd.h>

#include "message.h"
#include "number.h"
#include "options.h"
#include "refusal.h"
#include "top.h"
#include "util.h"

#define INTERVAL_DEFAULT 2
#define INTERVAL_MAX 3600

/* Of a terminal that does not say how large it is. */
#define USUAL_ROWS 24
#define USUAL_COLUMNS 80

static const char *const column_words[COLUMNS] = {
	[BY_NAME] = "name",
	[BY_IN] = "in",
	[BY_OUT] = "out",
	[BY_DROPS] = "drops",
	[BY_AGE] = "age",
	[BY_LAST] = "last",
};

const struct names column_names = {
	.name = column_words,
	.count = COLUMNS,
};

static atomic_bool is_over;

static void end(int number)
{
	(void)number;
	is_over = true;
}

/* They come while top waits and at no other time; the screen's own do so, too. */
static void hold_signals(sigset_t *before)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	const struct sigaction action = {
		.sa_handler = end,
	};
	sigset_t set;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGWINCH);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		sigaction(ends[i], &action, NULL);
		sigaddset(&set, ends[i]);
	}
	sigprocmask(SIG_BLOCK, &set, before);
}

static void leave_screen(struct top *top)
{
	if (top->on_screen)
		screen_end();
	top->on_screen = false;
}

static int refuse_sample(struct top *top, struct request *req,
			 const struct nl_error *error)
{
	leave_screen(top);
	snprintf(req->subject, sizeof(req->subject), "%s",
		 top->device ? top->device : "top");
	return refusal(top->ctx->nl, req, error);
}

static void replace_sample(struct top *top, const struct sample *sample)
{
	sample_free(&top->sample);
	top->sample = *sample;
	sample_sort(&top->sample, top->by, top->reversed);
}

/*
 * Where many peers come and go one sample may not be had, but the next one; a
 * device that was there may be made again.
 */
static int renew(struct top *top)
{
	struct sample sample;
	struct nl_error error;
	struct request req;

	error = sample_take(top->ctx, top->device, &top->sample, &req, &sample);
	top->trouble[0] = '\0';
	if (error.code == EAGAIN)
		memcpy(top->trouble, error.sentence, sizeof(top->trouble));
	else if (error.code == ENODEV && top->begun)
		snprintf(top->trouble, sizeof(top->trouble), "%s is gone",
			 top->device);
	else if (error.code)
		return refuse_sample(top, &req, &error);
	if (error.code != EAGAIN)
		replace_sample(top, &sample);
	top->begun = true;
	ask_who(&top->ask, &top->sample);
	return 0;
}

/* How much of it is printed: all, but on a terminal as much as that shows. */
static void fit_plain(const struct top *top, size_t *count,
		      unsigned int *name_width)
{
	struct winsize size = {};
	size_t rows;

	*count = top->sample.peers;
	if (!isatty(STDOUT_FILENO)) {
		*name_width = top_name_width(top, *count);
		return;
	}
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	rows = size.ws_row ? size.ws_row : USUAL_ROWS;
	/* behind each block is an empty line, and the cursor on another one */
	*count = MIN(*count, rows - MIN(rows, HEAD_LINES + 2));
	*name_width = top_name_room(size.ws_col ? size.ws_col : USUAL_COLUMNS);
}

static void print_plain(const struct top *top)
{
	unsigned int name_width, number;
	char line[LINE_SIZE];
	size_t count, i;

	fit_plain(top, &count, &name_width);
	for (number = 0; number < HEAD_LINES; number++)
		puts(top_head(top, number, name_width, line));
	for (i = 0; i < count; i++)
		puts(top_line(top, top->sample.sorted[i], name_width, line));
	putchar('\n');
}

/* Returns false when it is to end. */
static bool wait_until(struct top *top, int64_t due)
{
	struct pollfd fds[] = {
		{ .fd = top->on_screen ? STDIN_FILENO : -1, .events = POLLIN },
		/* no events: only that the reader has gone */
		{ .fd = STDOUT_FILENO },
		{ .fd = top->ask.answered, .events = POLLIN },
	};
	int64_t left;

	while ((left = due - now_nanoseconds()) > 0) {
		ppoll(fds, ARRAY_SIZE(fds), &(struct timespec) {
			.tv_sec = left / NANOSECONDS,
			.tv_nsec = left % NANOSECONDS,
		}, &top->signals);
		if (is_over || (fds[0].revents | fds[1].revents) &
			       (POLLERR | POLLHUP))
			return false;
		ask_take(&top->ask, &top->sample);
		if (!top->on_screen)
			continue;
		screen_resize();
		if (!screen_keys(top))
			return false;
		screen_draw(top);
	}
	return true;
}

/* What is printed has rates from the first block on. */
static int watch(struct top *top)
{
	bool is_first = true;
	int status;

	for (;;) {
		status = renew(top);
		if (status)
			return status;
		if (is_first)
			top->on_screen = screen_begin();
		if (top->on_screen)
			screen_draw(top);
		else if (!is_first)
			print_plain(top);
		if (fflush(stdout))
			return output_ended("top");
		is_first = false;
		if (!wait_until(top, now_nanoseconds() +
				     top->interval * NANOSECONDS))
			return 0;
	}
}

static int take_interval(struct top *top, struct words *words)
{
	const char *word = words_take(words);
	uint64_t value;

	if (!word)
		return misuse("top: --interval needs a value");
	if (!parse_number(word, strlen(word), &value) || !value ||
	    value > INTERVAL_MAX)
		return refuse("top: --interval %s: must be a number from 1 to %d",
			      shortened(word, strlen(word)), INTERVAL_MAX);
	top->interval = value;
	return 0;
}

static int take_column(struct top *top, struct words *words)
{
	const char *word = words_take(words);
	uint32_t value;

	if (!word)
		return misuse("top: --sort needs a value");
	if (!names_find(&column_names, word, &value))
		return refuse("top: --sort %s: %s", shortened(word, strlen(word)),
			      names_objection(&column_names, word));
	top->by = value;
	return 0;
}

static int take_word(struct top *top, struct words *words)
{
	char *device;
	int status;

	if (words_take_if(words, "--interval"))
		return take_interval(top, words);
	if (words_take_if(words, "--sort"))
		return take_column(top, words);
	if (top->device || *words_peek(words) == '-')
		return take_end(words, "top");
	status = take_device(words, "top", &device);
	top->device = status ? NULL : device;
	return status;
}

/**
 * cmd_top - bhsec top [DEVICE] [--interval SECONDS] [--sort COLUMN]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_top(struct context *ctx, struct words *words)
{
	/* a daemon that answers late finds it until the process is over */
	static struct top top = {
		.interval = INTERVAL_DEFAULT,
		.by = BY_IN,
	};
	int status;

	top.ctx = ctx;

	if (ctx->in_batch)
		return misuse("top: it never ends, so no batch has it");
	while (words_peek(words)) {
		status = take_word(&top, words);
		if (status)
			return status;
	}
	if (!context_connect(ctx))
		return EXIT_REFUSED;
	if (!ask_begin(&top.ask))
		return refuse("top: %s", strerror(errno));
	hold_signals(&top.signals);
	status = watch(&top);
	leave_screen(&top);
	ask_end(&top.ask);
	sample_free(&top.sample);
	return status;
}
