/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_OPTIONS_H
#define BHSEC_OPTIONS_H

#include <stdint.h>

#include "names.h"
#include "request.h"
#include "words.h"

/* RFC 4303 2.1 reserves those below. */
#define SPI_MIN 256

/**
 * struct option - an option of a command
 * @word: its name
 * @put: turns the value into attributes; returns NULL, or what is wrong. It
 *	may narrow @said to the part that is wrong
 * @attr: type of the attribute
 * @size: bytes of a number: 1, 2, 4 or 8
 * @min: least number allowed
 * @max: greatest number allowed
 * @names: words allowed
 * @then: a word that may follow the value, or NULL
 * @then_attr: type of the attribute, one byte, that it sets to 1
 */
struct option {
	const char *word;
	const char *(*put)(struct request *req, const struct option *option,
			   struct said *said);
	uint16_t attr;
	uint8_t size;
	uint64_t min;
	uint64_t max;
	const struct names *names;
	const char *then;
	uint16_t then_attr;
};

/* The rows of a table of options for the commonest kinds. */
#define OPTION_NUMBER(word_, attr_, size_, min_, max_)			\
	{ .word = word_, .put = put_number, .attr = attr_, .size = size_, \
	  .min = min_, .max = max_ }
#define OPTION_NAME(word_, attr_, size_, names_)			\
	{ .word = word_, .put = put_name, .attr = attr_, .size = size_,	\
	  .names = names_ }

const char *put_number(struct request *req, const struct option *option,
		       struct said *said);
const char *put_dscp(struct request *req, const struct option *option,
		     struct said *said);
const char *put_name(struct request *req, const struct option *option,
		     struct said *said);

int options_take(struct words *words, const struct option *options,
		 unsigned int count, struct request *req);

/* The words that name an object; 0, or the exit status after a sentence. */
int take_device(struct words *words, const char *command, char **device);
int take_peer(struct words *words, const char *command, char **peer);
int take_end(struct words *words, const char *command);

#endif
