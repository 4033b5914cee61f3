// SPDX-License-Identifier: GPL-2.0
/*
 * What goes to standard error: sentences, and how far a batch has come.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

/* A process says one thing at a time, so there is one of each. */
static unsigned long batch_line;
static bool progress_shown;

/**
 * message_at_line - name a line of a batch in what follows
 * @line: its number, 0 for none
 */
void message_at_line(unsigned long line)
{
	batch_line = line;
}

/**
 * message_progress - show how far a batch has come
 * @lines: number of lines done
 */
void message_progress(unsigned long lines)
{
	fprintf(stderr, "\r%lu lines done", lines);
	fflush(stderr);
	progress_shown = true;
}

/**
 * message_progress_end - take the progress off the screen
 */
void message_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

static void sentence(const char *format, va_list values)
{
	message_progress_end();
	/* results printed so far belong before the reason why there are no more */
	fflush(stdout);
	fputs("bhsec: ", stderr);
	if (batch_line)
		fprintf(stderr, "line %lu: ", batch_line);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
}

/**
 * remark - say what is to be known beside what is done
 * @format: the sentence
 */
void remark(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	sentence(format, values);
	va_end(values);
}

/**
 * refuse - say why something is not done
 * @format: the sentence
 *
 * Return: EXIT_REFUSED.
 */
int refuse(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	sentence(format, values);
	va_end(values);
	return EXIT_REFUSED;
}

/**
 * misuse - say what is wrong with the words of a command
 * @format: the sentence
 *
 * Return: EXIT_USAGE.
 */
int misuse(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	sentence(format, values);
	va_end(values);
	return EXIT_USAGE;
}

/**
 * output_ended - what never ends of itself can be written no more
 * @command: its first word, for a sentence
 *
 * A reader that has gone misses nothing; other errors are for somebody's eyes.
 *
 * Return: exit status.
 */
int output_ended(const char *command)
{
	int err = errno;

	__fpurge(stdout);
	clearerr(stdout);
	return err == EPIPE ? 0 : refuse("%s: %s", command, strerror(err));
}
