/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OWN_H
#define BHSEC_OWN_H

#include <limits.h>
#include <stdbool.h>
#include <time.h>

/**
 * struct own - a file, or a symbolic link, that is bhsec's alone
 * @path: where it is
 * @is_link: it is a link
 * @had: what it said or led to, NULL if there was none
 * @since: when the daemon began to be told of a file, 0 if it may not have been
 */
struct own {
	char path[PATH_MAX];
	bool is_link;
	char *had;
	struct timespec since;
};

int own_read(struct own *own);
bool own_is_told(const struct own *own);
int own_put(const struct own *own, const char *text);
bool own_differs(const struct own *own, const char *text);
void own_tell(const struct own *own, const struct timespec *since);
void own_free(struct own *own);

#endif
