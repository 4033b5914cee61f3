// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec top on a terminal whose cursor moves, by ncurses: to a slow line goes what
 * has changed and no more.
 */
#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <term.h>
#include <unistd.h>

#include "top.h"
#include "util.h"

/* Milliseconds within which the rest of a key's sequence comes on a slow line. */
#define KEY_DELAY 100

#define CONTROL(letter) ((letter) & 0x1f)

/* By &enum column. */
static const char column_keys[COLUMNS + 1] = "nrtdal";

/* Of whoever says that it is a VT100, which had no such keys, or not these. */
static const struct {
	const char *sequence;
	int key;
} more_keys[] = {
	{ "\033[A", KEY_UP },
	{ "\033[B", KEY_DOWN },
	{ "\033[5~", KEY_PPAGE },
	{ "\033[6~", KEY_NPAGE },
};

/**
 * screen_begin - take the terminal
 *
 * Return: false, with nothing changed, if its cursor does not move.
 */
bool screen_begin(void)
{
	int error;
	size_t i;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    setupterm(NULL, STDOUT_FILENO, &error) != OK ||
	    !cursor_address || !newterm(NULL, stdout, stdin))
		return false;
	set_escdelay(KEY_DELAY);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	for (i = 0; i < ARRAY_SIZE(more_keys); i++)
		define_key(more_keys[i].sequence, more_keys[i].key);
	return true;
}

/**
 * screen_end - give the terminal back as it was
 */
void screen_end(void)
{
	endwin();
}

/**
 * screen_resize - see whether the terminal has another size now
 *
 * Whoever was stopped meanwhile is told by no signal.
 */
void screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ||
	    !size.ws_col || !is_term_resized(size.ws_row, size.ws_col))
		return;
	resizeterm(size.ws_row, size.ws_col);
	/* which of its lines a terminal keeps is its own secret */
	clearok(curscr, TRUE);
}

/* How many peers there is room for, between the head and the foot. */
static size_t page(void)
{
	int rows = getmaxy(stdscr) - HEAD_LINES - 1;

	return rows > 0 ? rows : 0;
}

/* How far it can be scrolled. */
static size_t last_first(const struct top *top)
{
	return top->sample.peers - MIN(page(), top->sample.peers);
}

static void put_line(int row, const char *line)
{
	mvaddnstr(row, 0, line, COLS);
}

static void draw_foot(const struct top *top, size_t shown)
{
	char line[LINE_SIZE];

	snprintf(line, sizeof(line),
		 "%zu-%zu of %zu by %s%s  n name r in t out d drops a age l last q quit",
		 top->first + !!shown, top->first + shown, top->sample.peers,
		 names_word(&column_names, top->by),
		 top->reversed ? ", reversed" : "");
	put_line(LINES - 1, line);
}

/**
 * screen_draw - show what has changed
 * @top: what is shown; of fewer peers than before the last ones
 */
void screen_draw(struct top *top)
{
	unsigned int name_width = top_name_room(COLS), number;
	size_t shown = MIN(page(), top->sample.peers), i;
	char line[LINE_SIZE];

	top->first = MIN(top->first, last_first(top));
	erase();
	for (number = 0; number < HEAD_LINES; number++) {
		attrset(number == HEAD_LINES - 1 ? A_REVERSE : A_NORMAL);
		put_line(number, top_head(top, number, name_width, line));
	}
	attrset(A_NORMAL);
	for (i = 0; i < shown; i++)
		put_line(HEAD_LINES + i,
			 top_line(top, top->sample.sorted[top->first + i],
				  name_width, line));
	draw_foot(top, shown);
	refresh();
}

static void sort_by(struct top *top, enum column by)
{
	top->reversed = top->by == by && !top->reversed;
	top->by = by;
	sample_sort(&top->sample, by, top->reversed);
}

static void scroll_by(struct top *top, size_t count, bool up)
{
	if (up)
		top->first -= MIN(top->first, count);
	else
		top->first = MIN(top->first + count, last_first(top));
}

/* Returns false if it is the one that ends the program. */
static bool take_key(struct top *top, int key)
{
	const char *column;

	switch (key) {
	case 'q':
		return false;
	case KEY_UP:
	case KEY_DOWN:
		scroll_by(top, 1, key == KEY_UP);
		break;
	case KEY_PPAGE:
	case KEY_NPAGE:
		scroll_by(top, page(), key == KEY_PPAGE);
		break;
	case CONTROL('L'):
		/* noise on the line */
		clearok(curscr, TRUE);
		break;
	default:
		column = key > 0 && key < 0x80 ? strchr(column_keys, key) : NULL;
		if (column)
			sort_by(top, column - column_keys);
	}
	return true;
}

/**
 * screen_keys - do what the keys say that were pressed
 * @top: what is shown
 *
 * Return: false if one says that it is to end.
 */
bool screen_keys(struct top *top)
{
	bool goes_on = true;
	int key;

	while (goes_on && (key = getch()) != ERR)
		goes_on = take_key(top, key);
	return goes_on;
}
