// SPDX-License-Identifier: GPL-2.0
/*
 * Entries of systemd's journal, by its own library. That is loaded when the first
 * entry is asked for: with the libraries that it needs itself it takes as long as
 * all else that a command does before its first line, and hosts without systemd
 * have none.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "array.h"
#include "journal.h"
#include "message.h"
#include "util.h"

#define LIBRARY "libsystemd.so.0"
#define LISTENER "/run/systemd/journal/socket"

/**
 * struct journal - who takes entries, and the one that is being made
 * @send: sd_journal_sendv(3)
 * @library: what it is in
 * @field: fields of the entry, each NAME=value
 * @count: number of them
 * @room: of @field
 * @message: the entry's sentence is written into it
 * @text: that field, once @message is closed
 * @len: bytes of @text
 * @error: why entries are missing, a positive errno; 0 if none is
 */
struct journal {
	int (*send)(const struct iovec *field, int count);
	void *library;
	struct iovec *field;
	size_t count;
	size_t room;
	FILE *message;
	char *text;
	size_t len;
	int error;
};

/*
 * What somebody has to look into is a warning: a packet that RFC 4303 calls an
 * auditable event, traffic that has come to an end or will not begin, and entries
 * that are missing. What calls for something that daemons do by themselves, or
 * that anybody on the path may have made up, is a notice.
 */
static const struct kind {
	const char *event;
	int priority;
	const char *id;
} kinds[] = {
	{ "no_sa", LOG_WARNING, "c2cf58bd354f443489014be8f5a8ab93" },
	{ "auth", LOG_WARNING, "d9808bc646ea46dd875f895766f4967b" },
	{ "replay", LOG_WARNING, "fbd3c3f2f44d4df0b489c6bf080a49d4" },
	{ "malformed", LOG_WARNING, "9892a6ad776c402daf8c9bfee9c284bc" },
	{ "selector", LOG_WARNING, "a50686fe95a14da488f726b19b5a3e70" },
	{ "padding", LOG_WARNING, "c411ec4de16648699eecf3e603376d41" },
	{ "fragment", LOG_WARNING, "ce8ff2cef6dd4b039c2bf546f4d0710c" },
	{ "encap", LOG_WARNING, "c49baae904aa4e309c2bf0d7ab2ed7d1" },
	{ "icmp_port", LOG_NOTICE, "0c0596d9a6fd4fe59b9fc39cf4eadd9b" },
	{ "icmp_host", LOG_NOTICE, "91920812b1aa48d3a5e9748205bccad8" },
	{ "icmp_net", LOG_NOTICE, "f753277351bd4e11afe276667916e929" },
	{ "icmp_prohibited", LOG_NOTICE, "785cbe378c6a4aeaa32081b219510d0f" },
	{ "icmp_too_big", LOG_NOTICE, "698cb129391347d9846cb0fb6dcbee24" },
	{ "soft", LOG_NOTICE, "999b89a59ac848ebaf73312b51b019df" },
	{ "expired", LOG_WARNING, "9e6a1ae733d2446f9d94bca78ea73c9a" },
	{ "exhausted", LOG_WARNING, "89e525ffc98f46c9845beed731669d70" },
	{ "adopted", LOG_INFO, "d53cc0b6a0ec4474bcdd9038e07c1457" },
	{ "released", LOG_INFO, "3dc7d63301ae48b2bb593852f2532fc5" },
	{ "refused", LOG_WARNING, "b80d18bcedb242669c67ed6d4ab939d3" },
	{ "mapping", LOG_INFO, "6227714fbc28434a9a4072043c2e3f81" },
	{ "device_set", LOG_INFO, "3c9f1734d977426f8add96ff4ba37f26" },
	{ "peer_add", LOG_INFO, "3c41c4e801b342a48f261018bcbfaaa7" },
	{ "peer_set", LOG_INFO, "22fe8219d9ae4087b65d9b22992b5b49" },
	{ "peer_del", LOG_INFO, "5fcfbb9699c34e01829eb930a2e731af" },
	{ "sa_add", LOG_INFO, "7ae804b9e547456595cc28f500d1124f" },
	{ "sa_set", LOG_INFO, "a7136069b09044208a97ccd08d2186e8" },
	{ "sa_del", LOG_INFO, "746e3673148d4d9cb7a1ccc360b11a2a" },
	{ "lost", LOG_WARNING, "5f86a16f38cd427187f251da6c69de78" },
};

static const struct kind *find_kind(const char *event)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].event, event) == 0)
			return &kinds[i];
	return NULL;
}

/* The library takes a journal that is not there for one that needs no entries. */
static int find_listener(void)
{
	static const struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
		.sun_path = LISTENER,
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		error = errno;
	close(fd);
	return error;
}

static bool load(struct journal *journal)
{
	int error = find_listener();

	if (error) {
		refuse("monitor: no journal listens at " LISTENER ": %s",
		       strerror(error));
		return false;
	}
	journal->library = dlopen(LIBRARY, RTLD_NOW);
	if (journal->library)
		*(void **)&journal->send = dlsym(journal->library,
						 "sd_journal_sendv");
	if (!journal->send)
		refuse("monitor: the journal is written to by " LIBRARY ", which is missing");
	return journal->send;
}

/**
 * journal_open - begin to write entries
 *
 * Return: for journal_close(), or NULL after a sentence about the reason.
 */
struct journal *journal_open(void)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal) {
		refuse("out of memory");
		return NULL;
	}
	if (load(journal))
		return journal;
	journal_close(journal);
	return NULL;
}

static void forget_fields(struct journal *journal)
{
	while (journal->count)
		free(journal->field[--journal->count].iov_base);
}

/**
 * journal_close - end that
 * @journal: NULL is none
 */
void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	forget_fields(journal);
	free(journal->field);
	if (journal->library)
		dlclose(journal->library);
	free(journal);
}

/* The first reason is the one to tell. */
static void fail(struct journal *journal, int error)
{
	if (!journal->error)
		journal->error = error;
}

/* @text is the journal's from now on; NULL is no memory for it. */
static void add_field(struct journal *journal, char *text, size_t len)
{
	struct iovec *grown = NULL;

	if (text)
		grown = array_with_room(journal->field, journal->count,
					&journal->room, sizeof(*grown));
	if (!grown) {
		free(text);
		fail(journal, ENOMEM);
		return;
	}
	journal->field = grown;
	grown[journal->count++] = (struct iovec){ text, len };
}

static void add_own(struct journal *journal, const char *name,
		    const char *value)
{
	char *text;

	if (asprintf(&text, "%s=%s", name, value) < 0)
		text = NULL;
	add_field(journal, text, text ? strlen(text) : 0);
}

static void add_kind(struct journal *journal, const struct kind *kind)
{
	char priority[2] = { '0' + kind->priority };

	add_own(journal, "PRIORITY", priority);
	if (kind->id)
		add_own(journal, "MESSAGE_ID", kind->id);
}

/**
 * journal_begin - begin an entry
 * @journal: where it goes
 * @event: the word of what has happened; of one that is not known here nothing is
 *	known but what it says itself
 */
void journal_begin(struct journal *journal, const char *event)
{
	static const struct kind unknown = { .priority = LOG_NOTICE };
	const struct kind *kind = find_kind(event);

	add_own(journal, "SYSLOG_IDENTIFIER", "bhsec");
	add_kind(journal, kind ? kind : &unknown);
	journal->message = open_memstream(&journal->text, &journal->len);
	if (journal->message)
		fputs("MESSAGE=", journal->message);
	else
		fail(journal, errno);
}

/**
 * journal_field - a value of an entry
 * @journal: the one that has begun
 * @key: its name in JSON or in text
 * @value: it
 */
void journal_field(struct journal *journal, const char *key, const char *value)
{
	char name[64] = "BHSEC_";
	size_t len = strlen(name);

	for (; *key && len < sizeof(name) - 1; key++)
		name[len++] = *key == '-' ? '_' : toupper((unsigned char)*key);
	add_own(journal, name, value);
}

/**
 * journal_member - one more value of a list, which is a field with commas
 * @journal: the one whose last field is the list
 * @value: it
 *
 * A field for each would be more than the library sends of a peer with as many
 * selectors as it can have.
 */
void journal_member(struct journal *journal, const char *value)
{
	struct iovec *list = &journal->field[journal->count - 1];
	char *text;
	int len;

	if (journal->error)
		return;
	len = asprintf(&text, "%.*s,%s", (int)list->iov_len,
		       (char *)list->iov_base, value);
	if (len < 0) {
		fail(journal, ENOMEM);
		return;
	}
	free(list->iov_base);
	*list = (struct iovec){ text, len };
}

/**
 * journal_text - a part of an entry's sentence
 * @journal: the one that has begun
 * @bytes: the part
 * @len: bytes of it
 */
void journal_text(struct journal *journal, const char *bytes, size_t len)
{
	if (journal->message)
		fwrite(bytes, 1, len, journal->message);
}

/* The sentence becomes a field like the others. */
static void end_message(struct journal *journal)
{
	if (!journal->message)
		return;
	if (fclose(journal->message)) {
		free(journal->text);
		journal->text = NULL;
	}
	journal->message = NULL;
	add_field(journal, journal->text, journal->len);
}

/**
 * journal_send - end an entry
 * @journal: the one that has begun
 */
void journal_send(struct journal *journal)
{
	int error;

	end_message(journal);
	error = find_listener();
	if (!error)
		error = -journal->send(journal->field, journal->count);
	if (error)
		fail(journal, error);
	forget_fields(journal);
}

/**
 * journal_error - is an entry missing
 * @journal: where they go
 *
 * Return: a positive errno, 0 if none is.
 */
int journal_error(const struct journal *journal)
{
	return journal->error;
}
