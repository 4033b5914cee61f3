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

#endif
