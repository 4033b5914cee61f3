// SPDX-License-Identifier: GPL-2.0
/*
 * strongSwan's swanctl, run to have its daemon do what the files say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "program.h"

/*
 * Of what swanctl complains about, the line that says what failed: plugins that
 * are not there come first, sums come last.
 */
static const char *reason_of(char *said)
{
	char *line;

	while (said && (line = strsep(&said, "\r\n")))
		if (strncmp(line, "plugin ", 7) != 0 && strstr(line, "failed"))
			return line;
	return "swanctl failed and did not say why";
}

/**
 * daemon_load - have the daemon take what the files say, all of it
 *
 * Return: NULL, or what is wrong, valid until the next call.
 */
const char *daemon_load(void)
{
	static const char *const argv[] = {
		"swanctl", "--load-all", "--noprompt", NULL
	};
	static char reason[256];
	enum program program;
	char *said;
	size_t len;

	program = program_run(argv, STDERR_FILENO, &said, &len);
	if (program == PROGRAM_FAILED)
		snprintf(reason, sizeof(reason), "%s", reason_of(said));
	else if (program == PROGRAM_ABSENT)
		snprintf(reason, sizeof(reason),
			 "swanctl cannot be run, is it installed?");
	free(said);
	return program == PROGRAM_DONE ? NULL : reason;
}

/**
 * daemon_terminate - have the daemon end what it has with a peer, if anything
 * @connection: its name in the daemon's configuration
 */
void daemon_terminate(const char *connection)
{
	const char *const argv[] = {
		"swanctl", "--terminate", "--ike", connection, "--force",
		"--timeout", "1", NULL
	};
	char *said;
	size_t len;

	program_run(argv, STDERR_FILENO, &said, &len);
	free(said);
}
