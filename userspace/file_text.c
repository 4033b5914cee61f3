// SPDX-License-Identifier: GPL-2.0
/*
 * A file as a string. What is cut off of one would be peers that are no more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file_text.h"

/**
 * file_text - read all of a file
 * @fd: the file, open
 * @max: bytes that it may have
 * @stat: gets what it is; so many bytes the string has
 *
 * Return: the string, to be freed; NULL, and why in errno.
 */
char *file_text(int fd, off_t max, struct stat *stat)
{
	ssize_t len;
	char *text;

	if (fstat(fd, stat) < 0)
		return NULL;
	if (!S_ISREG(stat->st_mode) || stat->st_size > max) {
		errno = EINVAL;
		return NULL;
	}
	text = malloc(stat->st_size + 1);
	if (!text)
		return NULL;
	len = read(fd, text, stat->st_size);
	if (len == stat->st_size) {
		text[len] = '\0';
		return text;
	}
	if (len > 0)
		explicit_bzero(text, len);
	free(text);
	if (len >= 0)
		errno = EAGAIN;
	return NULL;
}
