/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SECTIONS_H
#define BHSEC_SECTIONS_H

#include "buffer.h"

/**
 * struct sections - sections, keys and lists, on their way to strongSwan
 * @out: where they go
 * @is_message: as a message to its daemon, else as text of a file for swanctl
 * @failed: the message cannot be made, a file is not there or too long
 * @depth: how many sections are open
 * @items: how many the open list has
 */
struct sections {
	struct buffer *out;
	bool is_message;
	bool failed;
	unsigned int depth;
	unsigned int items;
};

void section_begin(struct sections *sections, const char *name);
void section_end(struct sections *sections);
void section_word(struct sections *sections, const char *key, const char *word);
void section_number(struct sections *sections, const char *key,
		    unsigned int number);
void section_text(struct sections *sections, const char *key, const char *text);
void section_file(struct sections *sections, const char *key, const char *dir,
		  const char *path);
void section_list(struct sections *sections, const char *key, const char *items);
void list_begin(struct sections *sections, const char *key);
void list_item(struct sections *sections, const char *item);
void list_end(struct sections *sections);

#endif
