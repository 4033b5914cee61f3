// SPDX-License-Identifier: GPL-2.0
/*
 * Files of bhsec's own among those of swanctl. They hold secrets, and are there
 * whole or not at all. When one was last modified is when the daemon was told of
 * it; until then, and where whoever was to tell it has died, that is in 1970.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_text.h"
#include "message.h"
#include "own.h"

static const struct timespec never;

static int failed(const char *path)
{
	return refuse("%s: %s", path, strerror(errno));
}

static char *read_file(const char *path, struct timespec *since)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	char *text;

	if (fd < 0)
		return NULL;
	text = file_text(fd, INT_MAX, &stat);
	if (text)
		*since = stat.st_mtim;
	close(fd);
	return text;
}

static char *read_target(const char *path)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return NULL;
	target[len] = '\0';
	return strdup(target);
}

/**
 * own_read - find out what a file says
 * @own: with its path
 *
 * Return: 0, also if there is none, or the exit status after a sentence.
 */
int own_read(struct own *own)
{
	own->had = own->is_link ? read_target(own->path) :
		   read_file(own->path, &own->since);
	return own->had || errno == ENOENT ? 0 : failed(own->path);
}

/**
 * own_differs - is a file to say something else
 * @own: as it was read
 * @text: what it is to say, NULL if it is not to be there
 *
 * Return: whether it is.
 */
bool own_differs(const struct own *own, const char *text)
{
	return !own->had != !text || (text && strcmp(own->had, text) != 0);
}

/**
 * own_is_told - is the daemon known to have been told of a file
 * @own: as it was read
 *
 * Return: whether it was, also if there is none.
 */
bool own_is_told(const struct own *own)
{
	return !own->had || own->since.tv_sec || own->since.tv_nsec;
}

static bool write_file(const char *path, const char *text)
{
	const struct timespec times[] = { never, never };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(text);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, len) == (ssize_t)len &&
	       futimens(fd, times) == 0 && fsync(fd) == 0;
	return close(fd) == 0 && done;
}

/**
 * own_put - have a file say something, of which the daemon is not told yet
 * @own: the file
 * @text: what it is to say, NULL for none
 *
 * Return: 0, or the exit status after a sentence.
 */
int own_put(const struct own *own, const char *text)
{
	char path[PATH_MAX + 8];
	bool done;

	if (!text)
		return unlink(own->path) == 0 || errno == ENOENT ? 0 :
		       failed(own->path);
	/* swanctl reads no file of this name among its *.conf */
	snprintf(path, sizeof(path), "%s.new", own->path);
	unlink(path);
	done = own->is_link ? symlink(text, path) == 0 : write_file(path, text);
	if (done && rename(path, own->path) == 0)
		return 0;
	failed(own->path);
	unlink(path);
	return EXIT_REFUSED;
}

/**
 * own_tell - note that the daemon has been told of a file
 * @own: the file
 * @since: when that began; where this cannot be noted it is told once more
 */
void own_tell(const struct own *own, const struct timespec *since)
{
	const struct timespec times[] = { *since, *since };

	utimensat(AT_FDCWD, own->path, times, 0);
}

/**
 * own_free - forget what a file said
 * @own: the file
 */
void own_free(struct own *own)
{
	if (own->had)
		explicit_bzero(own->had, strlen(own->had));
	free(own->had);
	own->had = NULL;
}
