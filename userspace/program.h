/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PROGRAM_H
#define BHSEC_PROGRAM_H

#include <stddef.h>

/**
 * enum program - what has become of a program
 * @PROGRAM_DONE: it ended well
 * @PROGRAM_FAILED: it ended otherwise, or there was no memory for what it said
 * @PROGRAM_ABSENT: there is no such program
 */
enum program {
	PROGRAM_DONE,
	PROGRAM_FAILED,
	PROGRAM_ABSENT,
};

enum program program_run(const char *const *argv, int stream, char **said,
			 size_t *len);

#endif
