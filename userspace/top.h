/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_TOP_H
#define BHSEC_TOP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "names.h"
#include "top_ask.h"
#include "top_sample.h"

/* Lines above those of the peers; room for a line. */
#define HEAD_LINES 3
#define LINE_SIZE 512

extern const struct names column_names;

/**
 * struct top - what is watched, and how it is shown
 * @ctx: the process
 * @device: its name, NULL for all
 * @interval: seconds between two samples
 * @by: what peers are sorted by
 * @reversed: the lowest or the last one is first
 * @sample: what is shown
 * @trouble: why there is no newer one, empty if it is the newest
 * @first: how many peers are above those on the screen
 * @begun: there was a sample
 * @on_screen: the terminal is taken
 * @signals: those that are held while it waits, too
 * @ask: for the names of peers
 */
struct top {
	struct context *ctx;
	const char *device;
	unsigned int interval;
	enum column by;
	bool reversed;
	struct sample sample;
	char trouble[256];
	size_t first;
	bool begun;
	bool on_screen;
	sigset_t signals;
	struct ask ask;
};

/* Lines of text; they return @line. */
const char *top_head(const struct top *top, unsigned int number,
		     unsigned int name_width, char line[LINE_SIZE]);
const char *top_line(const struct top *top, const struct sampled_peer *peer,
		     unsigned int name_width, char line[LINE_SIZE]);
unsigned int top_name_width(const struct top *top, size_t count);
unsigned int top_name_room(unsigned int width);

/* On a terminal whose cursor moves. */
bool screen_begin(void);
void screen_end(void);
void screen_resize(void);
void screen_draw(struct top *top);
bool screen_keys(struct top *top);

#endif
