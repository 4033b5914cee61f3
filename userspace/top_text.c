// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec top: its lines, as any terminal or file takes them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "top.h"

/* The columns behind the name. */
#define NUMBERS_WIDTH 56
#define NAME_MIN 8

/* Room for any of them, and a zero. */
#define FIGURE_SIZE 24

/* Of what is not known. */
static const char unknown[] = "-";

/* With three digits, so that columns stay and small ones are no zeros. */
static const char *figure(double value, char text[FIGURE_SIZE])
{
	static const char units[] = " kMGTPE";
	const char *unit = units;
	int decimals;

	while (value >= 999.5 && unit[1]) {
		value /= 1000;
		unit++;
	}
	decimals = value >= 99.95 || value <= 0 ? 0 : value >= 9.995 ? 1 : 2;
	snprintf(text, FIGURE_SIZE, "%.*f%.*s", decimals, value, unit > units,
		 unit);
	return text;
}

static const char *rate_figure(const struct counted *counted, double rate,
			       char text[FIGURE_SIZE])
{
	return counted->has_rates ? figure(rate, text) : unknown;
}

/* A number that is exact as long as there is room for it. */
static const char *sum_figure(uint64_t sum, char text[FIGURE_SIZE])
{
	if (sum > 99999)
		return figure(sum, text);
	snprintf(text, FIGURE_SIZE, "%" PRIu64, sum);
	return text;
}

/* Seconds, in what leaves few digits of them; UINT64_MAX is none. */
static const char *age_figure(uint64_t seconds, char text[FIGURE_SIZE])
{
	static const struct {
		uint64_t seconds;
		char word;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	unsigned int i = 0;

	if (seconds == UINT64_MAX)
		return unknown;
	while (units[i].seconds > 1 && seconds < 10 * units[i].seconds)
		i++;
	snprintf(text, FIGURE_SIZE, "%" PRIu64 "%c", seconds / units[i].seconds,
		 units[i].word);
	return text;
}

/* Which of several devices it is of, and who it is, beside its name. */
static unsigned int put_name(const struct top *top,
			     const struct sampled_peer *peer, char *text,
			     size_t size)
{
	bool has_device = top->sample.count > 1;

	return snprintf(text, size, "%s%s%s%s%s",
			has_device ? peer->device->name : "",
			has_device ? "/" : "", peer->name,
			peer->identity ? " " : "",
			peer->identity ? peer->identity : "");
}

static void put_devices(const struct top *top, char *text, size_t size)
{
	const struct sample *sample = &top->sample;
	size_t used = 0, i;

	if (!sample->count)
		snprintf(text, size, "no device");
	for (i = 0; i < sample->count && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s", i ? " " : "",
				 sample->device[i].name);
}

static void put_peers(const struct top *top, char line[LINE_SIZE])
{
	const struct sample *sample = &top->sample;
	int used;

	used = snprintf(line, LINE_SIZE, "peers %zu  up %zu  silent %zu  down %zu  ",
			sample->peers, sample->health[HEALTH_UP],
			sample->health[HEALTH_SILENT],
			sample->health[HEALTH_DOWN]);
	if (top->trouble[0])
		snprintf(line + used, LINE_SIZE - used, "%s", top->trouble);
	else
		put_devices(top, line + used, LINE_SIZE - used);
}

/* Those of the time that it says first. */
static void put_totals(const struct sample *sample, char line[LINE_SIZE])
{
	const struct counted *total = &sample->total;
	const struct rates *rates = &total->rates;
	char text[6][FIGURE_SIZE];

	snprintf(line, LINE_SIZE,
		 "%.2f s  in %s pps %s bps  out %s pps %s bps  drops %s/s  %s",
		 sample->seconds,
		 rate_figure(total, rates->packets_in, text[0]),
		 rate_figure(total, rates->bits_in, text[1]),
		 rate_figure(total, rates->packets_out, text[2]),
		 rate_figure(total, rates->bits_out, text[3]),
		 rate_figure(total, rates->drops, text[4]),
		 sum_figure(total->drops, text[5]));
}

/**
 * top_head - a line above those of the peers
 * @top: what is shown
 * @number: of the line, from 0 on
 * @name_width: columns of the name
 * @line: gets it
 *
 * Return: @line.
 */
const char *top_head(const struct top *top, unsigned int number,
		     unsigned int name_width, char line[LINE_SIZE])
{
	switch (number) {
	case 0:
		put_peers(top, line);
		break;
	case 1:
		put_totals(&top->sample, line);
		break;
	default:
		snprintf(line, LINE_SIZE, "%-*.*s%7s%7s%8s%8s%7s%7s%6s%6s",
			 name_width, name_width, "  peer", "in pps", "in bps",
			 "out pps", "out bps", "drop/s", "drops", "age", "last");
	}
	return line;
}

/**
 * top_line - the line of a peer
 * @top: what is shown
 * @peer: the peer
 * @name_width: columns of the name
 * @line: gets it
 *
 * Return: @line.
 */
const char *top_line(const struct top *top, const struct sampled_peer *peer,
		     unsigned int name_width, char line[LINE_SIZE])
{
	static const char marks[] = {
		[HEALTH_UP] = ' ', [HEALTH_SILENT] = '?', [HEALTH_DOWN] = '!',
	};
	const struct counted *counted = &peer->counted;
	const struct rates *rates = &counted->rates;
	char name[LINE_SIZE], text[8][FIGURE_SIZE];

	put_name(top, peer, name, sizeof(name));
	snprintf(line, LINE_SIZE, "%c %-*.*s%7s%7s%8s%8s%7s%7s%6s%6s",
		 marks[peer->health], name_width - 2, name_width - 2, name,
		 rate_figure(counted, rates->packets_in, text[0]),
		 rate_figure(counted, rates->bits_in, text[1]),
		 rate_figure(counted, rates->packets_out, text[2]),
		 rate_figure(counted, rates->bits_out, text[3]),
		 rate_figure(counted, rates->drops, text[4]),
		 sum_figure(counted->drops, text[5]),
		 age_figure(peer->age, text[6]), age_figure(peer->last, text[7]));
	return line;
}

/**
 * top_name_width - columns that names need which nothing is to be cut of
 * @top: what is shown
 * @count: how many of the first peers are shown
 *
 * Return: the number, as large as a line has room for at most.
 */
unsigned int top_name_width(const struct top *top, size_t count)
{
	unsigned int width = NAME_MIN;
	size_t i;

	for (i = 0; i < count; i++)
		width = MAX(width, 2 + put_name(top, top->sample.sorted[i], NULL, 0));
	return MIN(width, LINE_SIZE - NUMBERS_WIDTH - 1);
}

/**
 * top_name_room - columns that a terminal has for names
 * @width: its own
 *
 * Return: the number.
 */
unsigned int top_name_room(unsigned int width)
{
	if (width < NUMBERS_WIDTH + NAME_MIN)
		return NAME_MIN;
	return MIN(width, LINE_SIZE - 1) - NUMBERS_WIDTH;
}
