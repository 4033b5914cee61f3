/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DAEMON_H
#define BHSEC_DAEMON_H

/* Returns NULL, or what is wrong. */
const char *daemon_load(void);
void daemon_terminate(const char *connection);

#endif
