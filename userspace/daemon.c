// SPDX-License-Identifier: GPL-2.0
/*
 * strongSwan's swanctl, run to have its daemon do what the files say.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swanctl.h"

/* As shells have it for what cannot be run. */
#define NOT_RUN 127

static void run_child(const char *const *argv, int err)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	dup2(err >= 0 ? err : null, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(NOT_RUN);
}

/* The exit status of a process that was started, or -1. */
static int await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/*
 * Of what swanctl complains about, the line that says what failed: plugins that
 * are not there come first, sums come last.
 */
static void take_reason(FILE *file, char *reason, size_t size)
{
	char *line = NULL;
	bool found = false;
	size_t room = 0;

	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (found || strncmp(line, "plugin ", 7) == 0 ||
		    !strstr(line, "failed"))
			continue;
		snprintf(reason, size, "%s", line);
		found = true;
	}
	free(line);
}

/* What a process says until it ends; the status that it ends with. */
static int hear(const char *const *argv, char *reason, size_t size)
{
	FILE *file;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (!pid)
		run_child(argv, fds[1]);
	close(fds[1]);
	file = fdopen(fds[0], "r");
	if (file) {
		take_reason(file, reason, size);
		fclose(file);
	}
	return pid > 0 ? await(pid) : -1;
}

/**
 * swanctl_load - have the daemon take what the files say, all of it
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *swanctl_load(void)
{
	static const char *const argv[] = {
		"swanctl", "--load-all", "--noprompt", NULL
	};
	static char reason[256];
	int status;

	snprintf(reason, sizeof(reason), "it failed and did not say why");
	status = hear(argv, reason, sizeof(reason));
	if (status == NOT_RUN)
		return "it cannot be run, is strongSwan's swanctl installed?";
	return status ? reason : NULL;
}

/**
 * swanctl_terminate - have the daemon end what it has with a peer, if anything
 * @connection: its name in the daemon's configuration
 */
void swanctl_terminate(const char *connection)
{
	const char *const argv[] = {
		"swanctl", "--terminate", "--ike", connection, "--force",
		"--timeout", "1", NULL
	};
	pid_t pid = fork();

	if (!pid)
		run_child(argv, -1);
	if (pid > 0)
		await(pid);
}
