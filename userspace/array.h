/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ARRAY_H
#define BHSEC_ARRAY_H

#include <stddef.h>
#include <stdlib.h>

/**
 * array_with_room - an array that has room for one more
 * @array: its elements, NULL at first
 * @count: how many they are
 * @room: for how many there is room; raised with it
 * @size: of one
 *
 * Return: the array, which may have moved; NULL without memory, it is as it was
 * then.
 */
static inline void *array_with_room(void *array, size_t count, size_t *room,
				    size_t size)
{
	size_t wanted = *room ? 2 * *room : 16;

	if (count < *room)
		return array;
	array = reallocarray(array, wanted, size);
	if (array)
		*room = wanted;
	return array;
}

#endif
