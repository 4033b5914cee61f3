/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_NUMBER_H
#define BHSEC_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool parse_number(const char *text, size_t len, uint64_t *value);
const char *parse_dscp(const char *text, size_t len, unsigned int *dscp);
const char *parse_dscps(const char *text, uint64_t *mask);

#endif
