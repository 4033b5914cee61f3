// SPDX-License-Identifier: GPL-2.0
/*
 * An attribute of a message as a word and its value; one that is absent is not
 * printed.
 */
#include "address.h"
#include "attr.h"
#include "print.h"

/**
 * number_of - a number of any size
 * @attr: the attribute, which is there
 *
 * Return: the number.
 */
uint64_t number_of(const struct nlattr *attr)
{
	switch (mnl_attr_get_payload_len(attr)) {
	case 1:
		return mnl_attr_get_u8(attr);
	case 2:
		return mnl_attr_get_u16(attr);
	case 4:
		return mnl_attr_get_u32(attr);
	default:
		return mnl_attr_get_u64(attr);
	}
}

/**
 * is_withheld - may the reader not know something
 * @withheld: the attribute that says what the reader lacks, or NULL
 * @privilege: BHSEC_PRIVILEGE_*
 *
 * Return: true if so.
 */
bool is_withheld(const struct nlattr *withheld, uint32_t privilege)
{
	return withheld && number_of(withheld) & privilege;
}

/**
 * print_number - a number
 * @out: the result
 * @word: its word
 * @attr: the attribute or NULL
 */
void print_number(struct output *out, const char *word,
		  const struct nlattr *attr)
{
	if (attr)
		out_number(out, word, number_of(attr));
}

/**
 * print_name - a number that has a word
 * @out: the result
 * @word: the word before it
 * @attr: the attribute or NULL
 * @names: the words for it
 */
void print_name(struct output *out, const char *word, const struct nlattr *attr,
		const struct names *names)
{
	if (attr)
		out_string(out, word, names_word(names, number_of(attr)));
}

/**
 * print_string - a string
 * @out: the result
 * @key: JSON's key
 * @word: the text's word, NULL if the value speaks for itself
 * @attr: the attribute or NULL
 */
void print_string(struct output *out, const char *key, const char *word,
		  const struct nlattr *attr)
{
	if (attr)
		out_named(out, key, word, mnl_attr_get_str(attr));
}

/**
 * print_address - an IPv4 or IPv6 address
 * @out: the result
 * @key: JSON's key
 * @word: the text's word, NULL if the value speaks for itself
 * @attr: the attribute or NULL
 */
void print_address(struct output *out, const char *key, const char *word,
		   const struct nlattr *attr)
{
	char text[ADDRESS_TEXT];

	if (attr)
		out_named(out, key, word,
			  format_address(mnl_attr_get_payload(attr),
					 mnl_attr_get_payload_len(attr), text));
}

/**
 * print_prefixes - a list of prefixes
 * @out: the result
 * @word: its word
 * @list: the attribute or NULL
 * @none: what text says of an empty one
 */
void print_prefixes(struct output *out, const char *word,
		    const struct nlattr *list, const char *none)
{
	const struct nlattr *prefix;
	char text[ADDRESS_TEXT];

	if (!list)
		return;
	out_list(out, word);
	mnl_attr_for_each_nested(prefix, list)
		out_member(out, attr_prefix(prefix, text));
	out_list_end(out, none);
}
