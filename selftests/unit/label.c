// SPDX-License-Identifier: GPL-2.0
/* userspace/label.c: what is UTF-8 stays, what is not becomes it. */
#include <stdbool.h>
#include <stdio.h>
#include "kselftest_harness.h"
#include "label.h"

static const char *escaped(const char *text)
{
	static char label[LABEL_SIZE(64)];
	size_t len = label_escape(text, label);

	return len == strlen(label) ? label : "another length";
}

TEST(what_is_utf8_stays)
{
	static const char *const texts[] = {
		"", "bh0", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xbcz",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		EXPECT_STREQ(escaped(texts[i]), texts[i]);
}

TEST(what_would_end_the_value_is_escaped)
{
	EXPECT_STREQ(escaped("a\"b"), "a\\\"b");
	EXPECT_STREQ(escaped("a\\b"), "a\\\\b");
	EXPECT_STREQ(escaped("\\"), "\\\\");
}

/* RFC 3629 3 and 10: none of these is a character. */
TEST(what_is_not_utf8_is_told_by_its_bytes)
{
	static const struct {
		const char *text;
		const char *label;
	} rows[] = {
		{ "\x80", "\\\\x80" },
		{ "\xff", "\\\\xff" },
		{ "\xc3", "\\\\xc3" },
		{ "\xc3z", "\\\\xc3z" },
		{ "\xe2\x82", "\\\\xe2\\\\x82" },
		{ "\xc0\xaf", "\\\\xc0\\\\xaf" },
		{ "\xe0\x9f\xbf", "\\\\xe0\\\\x9f\\\\xbf" },
		{ "\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80" },
		{ "\xf0\x8f\xbf\xbf", "\\\\xf0\\\\x8f\\\\xbf\\\\xbf" },
		{ "\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80" },
		{ "\xf5\x80\x80\x80", "\\\\xf5\\\\x80\\\\x80\\\\x80" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		EXPECT_STREQ(escaped(rows[i].text), rows[i].label);
}

TEST(no_value_is_longer_than_its_room)
{
	char text[64], label[LABEL_SIZE(sizeof(text) - 1)];

	memset(text, 0xff, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	EXPECT_EQ(label_escape(text, label), sizeof(label) - 1);
}

TEST_HARNESS_MAIN
