/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_UTIL_H
#define BHSEC_UTIL_H

#include <stddef.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define __printf(format_at, values_at)			\
	__attribute__((format(printf,			\
			      format_at, values_at)))

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

/**
 * make_printable - have a terminal show a text and do nothing else with it
 * @text: any bytes; those that are not printable ASCII become question marks
 * @len: its length
 */
static inline void make_printable(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
}

#endif
