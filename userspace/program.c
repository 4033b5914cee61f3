// SPDX-License-Identifier: GPL-2.0
/*
 * Other programs, for what they say.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

/* Those of administrators are not on everybody's path. */
static void find_all_programs(void)
{
	const char *path = getenv("PATH");
	char *longer;

	if (asprintf(&longer, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin") < 0)
		return;
	setenv("PATH", longer, 1);
	free(longer);
}

/* What it writes to @stream goes to @out, and nothing else is heard. */
static int spawn(const char *const *argv, int stream, int out, pid_t *pid)
{
	static bool is_set_up;
	posix_spawn_file_actions_t actions;
	int error;

	if (!is_set_up)
		find_all_programs();
	is_set_up = true;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
					 O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
					 O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
					 O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, stream);
	error = posix_spawnp(pid, argv[0], &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* All that comes, with a zero behind it. */
static char *read_all(int fd, size_t *len)
{
	char *text = NULL, part[4096];
	FILE *file = open_memstream(&text, len);
	ssize_t size;

	if (!file)
		return NULL;
	do {
		size = read(fd, part, sizeof(part));
		if (size > 0)
			fwrite(part, 1, size, file);
	} while (size > 0 || (size < 0 && errno == EINTR));
	fclose(file);
	return text;
}

static bool ended_well(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/**
 * program_run - run a program to its end
 * @argv: its words, NULL behind the last
 * @stream: what of it is listened to, STDOUT_FILENO or STDERR_FILENO
 * @said: gets what it wrote there, with a zero behind it, for free(); NULL
 *	without memory, and if it failed and was to give a result
 * @len: gets the bytes of it
 *
 * Return: what became of it.
 */
enum program program_run(const char *const *argv, int stream, char **said,
			 size_t *len)
{
	int ends[2], error;
	pid_t pid;

	*said = NULL;
	if (pipe2(ends, O_CLOEXEC))
		return PROGRAM_FAILED;
	error = spawn(argv, stream, ends[1], &pid);
	close(ends[1]);
	if (!error)
		*said = read_all(ends[0], len);
	close(ends[0]);
	if (error)
		return error == ENOENT ? PROGRAM_ABSENT : PROGRAM_FAILED;
	if (ended_well(pid) && *said)
		return PROGRAM_DONE;
	if (stream != STDOUT_FILENO)
		return PROGRAM_FAILED;
	/* a result that is not whole is none */
	free(*said);
	*said = NULL;
	return PROGRAM_FAILED;
}
