/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_JOURNAL_H
#define BHSEC_JOURNAL_H

#include <stddef.h>

struct journal;

struct journal *journal_open(void);
void journal_close(struct journal *journal);
void journal_begin(struct journal *journal, const char *event);
void journal_field(struct journal *journal, const char *key, const char *value);
void journal_member(struct journal *journal, const char *value);
void journal_text(struct journal *journal, const char *bytes, size_t len);
void journal_send(struct journal *journal);
int journal_error(const struct journal *journal);

#endif
