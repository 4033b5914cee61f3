/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PRINT_H
#define BHSEC_PRINT_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "names.h"
#include "output.h"

uint64_t number_of(const struct nlattr *attr);

bool is_withheld(const struct nlattr *withheld, uint32_t privilege);
void print_number(struct output *out, const char *word,
		  const struct nlattr *attr);
void print_name(struct output *out, const char *word, const struct nlattr *attr,
		const struct names *names);
void print_string(struct output *out, const char *key, const char *word,
		  const struct nlattr *attr);
void print_address(struct output *out, const char *key, const char *word,
		   const struct nlattr *attr);
void print_prefixes(struct output *out, const char *word,
		    const struct nlattr *list, const char *none);

#endif
