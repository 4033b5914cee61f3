// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec -batch: many commands, one a line, by one process over one socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "message.h"
#include "options.h"
#include "util.h"

/* A command with two of the longest lists of selectors fits well. */
#define LINE_MAX_BYTES (256 * 1024)

/* More than any command has. */
#define WORDS_MAX 64

/* A batch that ends at once shows no progress. */
#define PROGRESS_AFTER_MS 1000
#define PROGRESS_EVERY_MS 200

/**
 * struct reader - lines of a file
 * @fd: the file
 * @begin: where the next line begins in @buffer
 * @end: where what was read ends in @buffer
 * @number: of the current line
 * @eof: the file has ended
 * @buffer: the only place where a line is ever stored: lines hold keys
 */
struct reader {
	int fd;
	size_t begin;
	size_t end;
	unsigned long number;
	bool eof;
	char buffer[LINE_MAX_BYTES + 1];
};

struct progress {
	bool wanted;
	int64_t next;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void progress_begin(struct progress *progress)
{
	progress->wanted = isatty(STDERR_FILENO);
	progress->next = now_ms() + PROGRESS_AFTER_MS;
}

static void progress_at(struct progress *progress, unsigned long line)
{
	int64_t now;

	if (!progress->wanted)
		return;
	now = now_ms();
	if (now < progress->next)
		return;
	message_progress(line);
	progress->next = now + PROGRESS_EVERY_MS;
}

/* Makes room at the end and reads on; the freed part of the buffer is wiped. */
static int fill(struct reader *reader)
{
	size_t kept = reader->end - reader->begin;
	ssize_t n;

	memmove(reader->buffer, reader->buffer + reader->begin, kept);
	explicit_bzero(reader->buffer + kept, reader->end - kept);
	reader->begin = 0;
	reader->end = kept;
	message_at_line(reader->number + 1);
	if (kept == LINE_MAX_BYTES)
		return refuse("the line is longer than %d bytes", LINE_MAX_BYTES);
	do {
		n = read(reader->fd, reader->buffer + kept, LINE_MAX_BYTES - kept);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return refuse("the batch ends here: %s", strerror(errno));
	reader->eof = n == 0;
	reader->end += n;
	return 0;
}

/*
 * The next line without its newline, or NULL in @line at the end. Returns 0,
 * or the exit status after a sentence.
 */
static int next_line(struct reader *reader, char **line, size_t *len)
{
	char *begin, *newline;
	size_t rest, seen = 0;
	int status;

	for (;;) {
		begin = reader->buffer + reader->begin;
		rest = reader->end - reader->begin;
		newline = memchr(begin + seen, '\n', rest - seen);
		if (newline || reader->eof)
			break;
		seen = rest;
		status = fill(reader);
		if (status)
			return status;
	}
	*line = newline || rest ? begin : NULL;
	*len = newline ? (size_t)(newline - begin) : rest;
	reader->begin += newline ? *len + 1 : rest;
	begin[*len] = '\0';
	reader->number++;
	return 0;
}

/* Cuts a line into words up to a comment; false if there are too many. */
static bool split(char *line, struct words *words)
{
	static const char blank[] = " \t\r";

	words->count = 0;
	words->next = 0;
	for (;;) {
		line += strspn(line, blank);
		if (!*line || *line == '#')
			return true;
		if (words->count == WORDS_MAX)
			return false;
		words->word[words->count++] = line;
		line += strcspn(line, blank);
		if (*line)
			*line++ = '\0';
	}
}

static int run_line(struct context *ctx, char *line, size_t len)
{
	char *word[WORDS_MAX];
	struct words words = {
		.word = word,
	};

	if (strlen(line) != len)
		return misuse("there is a zero byte in the line");
	if (!split(line, &words))
		return misuse("a command has at most %d words", WORDS_MAX);
	return words.count ? run_command(ctx, &words) : 0;
}

static int run_lines(struct context *ctx, struct reader *reader)
{
	struct progress progress;
	char *line = NULL;
	size_t len = 0;
	int status;

	progress_begin(&progress);
	for (;;) {
		status = next_line(reader, &line, &len);
		if (status || !line)
			break;
		message_at_line(reader->number);
		status = run_line(ctx, line, len);
		explicit_bzero(line, len);
		if (status)
			break;
		progress_at(&progress, reader->number);
	}
	message_progress_end();
	message_at_line(0);
	return status;
}

static int open_batch(const char *name)
{
	int fd;

	if (strcmp(name, "-") == 0)
		return STDIN_FILENO;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		refuse("batch %s: %s", name, strerror(errno));
	return fd;
}

/**
 * cmd_batch - bhsec -batch FILE|-
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status, that of the line that was refused if one was.
 */
int cmd_batch(struct context *ctx, struct words *words)
{
	static struct reader reader;
	const char *name = words_take(words);
	int status;

	if (ctx->in_batch)
		return misuse("batch: there is no batch within a batch");
	if (!name)
		return misuse("batch: the file is missing");
	status = take_end(words, "batch");
	if (status)
		return status;
	reader.fd = open_batch(name);
	if (reader.fd < 0)
		return EXIT_REFUSED;
	ctx->in_batch = true;
	ctx->batch_on_stdin = reader.fd == STDIN_FILENO;
	status = run_lines(ctx, &reader);
	explicit_bzero(reader.buffer, reader.end);
	if (reader.fd != STDIN_FILENO)
		close(reader.fd);
	return status;
}
