/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_MESSAGE_H
#define BHSEC_MESSAGE_H

#include "util.h"

/* Exit statuses besides 0, done. */
enum {
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
};

void message_at_line(unsigned long line);
void message_progress(unsigned long lines);
void message_progress_end(void);

void remark(const char *format, ...) __printf(1, 2);
/* Both print one sentence and return the status that goes with it. */
int refuse(const char *format, ...) __printf(1, 2);
int misuse(const char *format, ...) __printf(1, 2);
int output_ended(const char *command);

#endif
