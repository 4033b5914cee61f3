// SPDX-License-Identifier: GPL-2.0
/*
 * Sections, keys and lists in either form that strongSwan takes: as text, which
 * swanctl reads, or as a message, in which lists are lists and certificates are
 * not named but there.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"
#include "sections.h"
#include "vici_message.h"

static void put(struct sections *sections, enum vici_type type, const char *name,
		const char *text, size_t len)
{
	const struct bytes value = { text, len };

	if (!vici_write(sections->out, type, name, &value))
		sections->failed = true;
}

static void indent(const struct sections *sections)
{
	unsigned int i;

	for (i = 0; i < sections->depth; i++)
		buffer_add(sections->out, "    ", 4);
}

static void put_key(const struct sections *sections, const char *key)
{
	indent(sections);
	buffer_add_text(sections->out, key);
	buffer_add_text(sections->out, " = ");
}

/**
 * section_begin - open a section
 * @sections: where it is to be
 * @name: its name
 */
void section_begin(struct sections *sections, const char *name)
{
	if (sections->is_message) {
		put(sections, VICI_SECTION_START, name, NULL, 0);
	} else {
		indent(sections);
		buffer_add_text(sections->out, name);
		buffer_add_text(sections->out, " {\n");
	}
	sections->depth++;
}

/**
 * section_end - close the section that was opened last
 * @sections: where it is; behind the outermost the line goes on
 */
void section_end(struct sections *sections)
{
	sections->depth--;
	if (sections->is_message) {
		put(sections, VICI_SECTION_END, NULL, NULL, 0);
		return;
	}
	indent(sections);
	buffer_add_text(sections->out, sections->depth ? "}\n" : "}");
}

/**
 * section_word - what needs no quotes
 * @sections: where it is to be
 * @key: of it
 * @word: its value
 */
void section_word(struct sections *sections, const char *key, const char *word)
{
	if (sections->is_message) {
		put(sections, VICI_KEY_VALUE, key, word, strlen(word));
		return;
	}
	put_key(sections, key);
	buffer_add_text(sections->out, word);
	buffer_add_byte(sections->out, '\n');
}

/**
 * section_number - a number
 * @sections: where it is to be
 * @key: of it
 * @number: its value
 */
void section_number(struct sections *sections, const char *key,
		    unsigned int number)
{
	char word[16];

	snprintf(word, sizeof(word), "%u", number);
	section_word(sections, key, word);
}

static void put_quoted(struct buffer *out, const char *text)
{
	size_t len;

	buffer_add_byte(out, '"');
	for (; *text; text += len) {
		len = strcspn(text, "\"\\");
		if (!len) {
			buffer_add_byte(out, '\\');
			len = 1;
		}
		buffer_add(out, text, len);
	}
	buffer_add_text(out, "\"\n");
}

/**
 * section_text - any text
 * @sections: where it is to be
 * @key: of it
 * @text: its value, NULL for none
 */
void section_text(struct sections *sections, const char *key, const char *text)
{
	if (!text)
		return;
	if (sections->is_message) {
		put(sections, VICI_KEY_VALUE, key, text, strlen(text));
		return;
	}
	put_key(sections, key);
	put_quoted(sections->out, text);
}

/* What is too long for a message fails there. */
static void put_content(struct sections *sections, const char *path)
{
	char content[UINT16_MAX + 1];
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file) {
		sections->failed = true;
		return;
	}
	len = fread(content, 1, sizeof(content), file);
	fclose(file);
	put(sections, VICI_LIST_ITEM, NULL, content, len);
}

/**
 * section_file - a certificate
 * @sections: where it is to be
 * @key: of it
 * @dir: where it is if @path has no /
 * @path: of its file, NULL for none
 */
void section_file(struct sections *sections, const char *key, const char *dir,
		  const char *path)
{
	char full[PATH_MAX];

	if (!path)
		return;
	if (!sections->is_message) {
		section_text(sections, key, path);
		return;
	}
	plan_path(full, dir, path);
	list_begin(sections, key);
	put_content(sections, full);
	list_end(sections);
}

/**
 * section_list - a list that is text already
 * @sections: where it is to be
 * @key: of it
 * @items: with commas between them
 */
void section_list(struct sections *sections, const char *key, const char *items)
{
	const char *item;
	size_t len;

	if (!sections->is_message) {
		section_word(sections, key, items);
		return;
	}
	list_begin(sections, key);
	while ((item = next_item(&items, &len)))
		put(sections, VICI_LIST_ITEM, NULL, item, len);
	list_end(sections);
}

/**
 * list_begin - open a list
 * @sections: where it is to be
 * @key: of it
 */
void list_begin(struct sections *sections, const char *key)
{
	sections->items = 0;
	if (sections->is_message)
		put(sections, VICI_LIST_START, key, NULL, 0);
	else
		put_key(sections, key);
}

/**
 * list_item - an item of the open list
 * @sections: where it is
 * @item: the item
 */
void list_item(struct sections *sections, const char *item)
{
	if (sections->is_message) {
		put(sections, VICI_LIST_ITEM, NULL, item, strlen(item));
		return;
	}
	if (sections->items++)
		buffer_add_byte(sections->out, ',');
	buffer_add_text(sections->out, item);
}

/**
 * list_end - close the list
 * @sections: where it is
 */
void list_end(struct sections *sections)
{
	if (sections->is_message)
		put(sections, VICI_LIST_END, NULL, NULL, 0);
	else
		buffer_add_byte(sections->out, '\n');
}
