/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_LABEL_H
#define BHSEC_LABEL_H

#include <stddef.h>

/* A byte that is no UTF-8 takes most: \\xNN. */
#define LABEL_SIZE(len) (5 * (len) + 1)

size_t label_escape(const char *text, char *label);

#endif
