// SPDX-License-Identifier: GPL-2.0
/*
 * Configuration files: sections, keys and where each of them stands. What the
 * values mean is not known here. A mistake does not end the reading: all of them
 * are told.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "conf.h"
#include "file_text.h"
#include "message.h"
#include "words.h"

/* No configuration is as large; a file that is may be a device. */
#define FILE_MAX_BYTES (64 << 20)

/**
 * struct conf_text - a file that was read
 * @next: the one before
 * @bytes: its text, cut into strings
 * @path: its name
 */
struct conf_text {
	struct conf_text *next;
	char *bytes;
	char path[];
};

/**
 * struct key - a key of a section
 * @word: its name
 * @at: offset of its struct value in that of the section
 */
struct key {
	const char *word;
	size_t at;
};

/**
 * struct section - a kind of section
 * @word: its name
 * @keys: what it may say, an empty word ends them
 * @of_sites: may a file of sites have it
 */
struct section {
	const char *word;
	const struct key *keys;
	bool of_sites;
};

static const struct key device_keys[] = {
	{ "address", offsetof(struct conf_device, address) },
	{ "networks", offsetof(struct conf_device, networks) },
	{ "if-id", offsetof(struct conf_device, if_id) },
	{ "port", offsetof(struct conf_device, port) },
	{ "dscp", offsetof(struct conf_device, dscp) },
	{ "mtu", offsetof(struct conf_device, mtu) },
	{ "routes", offsetof(struct conf_device, routes) },
	{ "table", offsetof(struct conf_device, table) },
	{ "vrf", offsetof(struct conf_device, vrf) },
	{}
};

static const struct key identity_keys[] = {
	{ "name", offsetof(struct conf_identity, name) },
	{ "certificate", offsetof(struct conf_identity, certificate) },
	{ "key", offsetof(struct conf_identity, key) },
	{ "psk-file", offsetof(struct conf_identity, psk_file) },
	{ "ppk-file", offsetof(struct conf_identity, ppk_file) },
	{ "ppk-id", offsetof(struct conf_identity, ppk_id) },
	{}
};

static const struct key peer_keys[] = {
	{ "name", offsetof(struct conf_peer, name) },
	{ "endpoint", offsetof(struct conf_peer, endpoint) },
	{ "identity", offsetof(struct conf_peer, identity) },
	{ "ca", offsetof(struct conf_peer, ca) },
	{ "networks", offsetof(struct conf_peer, networks) },
	{ "pool", offsetof(struct conf_peer, pool) },
	{ "vip", offsetof(struct conf_peer, vip) },
	{ "start", offsetof(struct conf_peer, start) },
	{ "classes", offsetof(struct conf_peer, classes) },
	{}
};

enum { DEVICE, IDENTITY, PEER };

static const struct section sections[] = {
	[DEVICE] = { "Device", device_keys, false },
	[IDENTITY] = { "Identity", identity_keys, false },
	[PEER] = { "Peer", peer_keys, true },
};

/**
 * struct reader - a file on its way into a configuration
 * @conf: the configuration
 * @at: the line that is read, its text what it says
 * @section: what it stands in, NULL for nothing or nothing that is known
 * @values: that section's
 * @sites: the file is one of sites
 * @lost: it stands in a section that was refused
 */
struct reader {
	struct conf *conf;
	struct value at;
	const struct section *section;
	void *values;
	bool sites;
	bool lost;
};

/**
 * mistake - tell what is wrong in a file
 * @conf: gets to know that there is one
 * @at: where it stands
 * @format: the reason
 */
void mistake(struct conf *conf, const struct value *at, const char *format, ...)
{
	char reason[512];
	va_list values;

	va_start(values, format);
	vsnprintf(reason, sizeof(reason), format, values);
	va_end(values);
	if (at->line)
		remark("%s:%u: %s", at->file, at->line, reason);
	else
		remark("%s: %s", at->file, reason);
	conf->mistakes++;
}

/* Sections that are not repeated are where they are; the others come anew. */
static void *section_values(struct conf *conf, const struct section *section)
{
	struct conf_peer *grown;

	if (section == &sections[DEVICE])
		return &conf->device;
	if (section == &sections[IDENTITY])
		return &conf->identity;
	grown = array_with_room(conf->peers, conf->count, &conf->room,
				sizeof(*grown));
	if (!grown)
		return NULL;
	conf->peers = grown;
	return memset(&conf->peers[conf->count++], 0, sizeof(*conf->peers));
}

static const struct section *find_section(const char *word)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcasecmp(sections[i].word, word) == 0)
			return &sections[i];
	return NULL;
}

static void open_section(struct reader *reader, const struct section *section)
{
	const struct key *key;
	struct value *value;

	reader->values = section_values(reader->conf, section);
	value = reader->values;
	if (!value) {
		mistake(reader->conf, &reader->at, "out of memory");
		return;
	}
	/* the first member of each section says where it begins */
	if (value->text) {
		mistake(reader->conf, &reader->at,
			"[%s] is there already, at %s:%u", section->word,
			value->file, value->line);
		return;
	}
	*value = reader->at;
	value->text = section->word;
	for (key = section->keys; key->word; key++) {
		value = reader->values + key->at;
		*value = reader->at;
		value->text = NULL;
	}
	reader->section = section;
	reader->lost = false;
}

static void take_header(struct reader *reader, char *line)
{
	char *end = strchr(line, ']');
	const struct section *section;

	reader->section = NULL;
	reader->lost = true;
	if (!end || end[1]) {
		mistake(reader->conf, &reader->at, "a section is [NAME]");
		return;
	}
	*end = '\0';
	section = find_section(line + 1);
	if (!section)
		mistake(reader->conf, &reader->at,
			"%s is no section: there are Device, Identity and Peer",
			quoted(line + 1));
	else if (reader->sites && !section->of_sites)
		mistake(reader->conf, &reader->at,
			"a file of sites has no [%s]", section->word);
	else
		open_section(reader, section);
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

static void take_value(struct reader *reader, const char *word, char *text)
{
	const struct key *key = reader->section->keys;
	struct value *value;

	while (key->word && strcmp(key->word, word) != 0)
		key++;
	if (!key->word) {
		mistake(reader->conf, &reader->at, "%s is no key of [%s]",
			quoted(word), reader->section->word);
		return;
	}
	value = reader->values + key->at;
	if (value->text) {
		mistake(reader->conf, &reader->at, "%s: it is given twice",
			word);
		return;
	}
	if (!*text)
		mistake(reader->conf, &reader->at, "%s: a value is missing",
			word);
	*value = reader->at;
	value->text = text;
}

static void take_key(struct reader *reader, char *line)
{
	char *equals = strchr(line, '=');

	if (!equals) {
		mistake(reader->conf, &reader->at,
			"a line is [SECTION] or KEY = VALUE");
		return;
	}
	*equals = '\0';
	if (reader->section)
		take_value(reader, trim(line), trim(equals + 1));
	else if (!reader->lost)
		mistake(reader->conf, &reader->at,
			"%s stands in no section", quoted(trim(line)));
}

/* What begins the line, or stands behind a blank. */
static void cut_comment(char *line)
{
	char *at;

	for (at = line; *at; at++)
		if ((*at == '#' || *at == ';') &&
		    (at == line || isblank((unsigned char)at[-1]))) {
			*at = '\0';
			return;
		}
}

static bool is_text(const char *line)
{
	for (; *line; line++)
		if (iscntrl((unsigned char)*line) && !isspace((unsigned char)*line))
			return false;
	return true;
}

static void take_line(struct reader *reader, char *line)
{
	cut_comment(line);
	line = trim(line);
	if (!is_text(line))
		mistake(reader->conf, &reader->at,
			"there is a control character in the line");
	else if (*line == '[')
		take_header(reader, line);
	else if (*line)
		take_key(reader, line);
}

/* The text of a file, kept as long as the configuration. */
static struct conf_text *load(struct conf *conf, const char *path, size_t *len)
{
	size_t size = strlen(path) + 1;
	struct conf_text *text = malloc(sizeof(*text) + size);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (text) {
		memcpy(text->path, path, size);
		text->bytes = fd >= 0 ? file_text(fd, FILE_MAX_BYTES, &stat) :
			      NULL;
		*len = text->bytes ? stat.st_size : 0;
		text->next = conf->text;
		conf->text = text;
	}
	if (!text || !text->bytes)
		mistake(conf, &(struct value){ .file = path }, "%s",
			strerror(errno));
	if (fd >= 0)
		close(fd);
	return text && text->bytes ? text : NULL;
}

static bool read_file(struct conf *conf, const char *path, bool sites)
{
	struct reader reader = {
		.conf = conf,
		.sites = sites,
	};
	size_t len = 0;
	struct conf_text *text = load(conf, path, &len);
	char *line, *rest;

	if (!text)
		return false;
	reader.at.file = text->path;
	if (strlen(text->bytes) != len) {
		mistake(conf, &reader.at, "there is a zero byte in it");
		return false;
	}
	rest = text->bytes;
	while ((line = strsep(&rest, "\n"))) {
		reader.at.line++;
		take_line(&reader, line);
	}
	return true;
}

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), end = strlen(CONF_SUFFIX);

	return entry->d_name[0] != '.' && len > end &&
	       strcmp(entry->d_name + len - end, CONF_SUFFIX) == 0;
}

/**
 * conf_each - act on each *.conf of a directory, in the order of their names
 * @dir: the directory
 * @act: what to do; false ends it
 * @data: for @act
 *
 * Return: number of these files, 0 also if there is no such directory.
 */
size_t conf_each(const char *dir, conf_fn *act, void *data)
{
	struct dirent **entries;
	char path[PATH_MAX];
	bool going = true;
	int count, i;

	count = scandir(dir, &entries, is_conf, alphasort);
	if (count < 0)
		return 0;
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		going = going && act(data, path);
		free(entries[i]);
	}
	free(entries);
	return count;
}

static bool read_sites(void *data, const char *path)
{
	read_file(data, path, true);
	return true;
}

/**
 * conf_is_name - can a name be part of that of a section in swanctl's files
 * @name: need not end with a zero
 * @len: its length
 * @max: how long it may be
 *
 * Return: whether it can; a dot would end the section's.
 */
bool conf_is_name(const char *name, size_t len, size_t max)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	return len && len <= max && strspn(name, allowed) >= len;
}

/**
 * conf_device_objection - what is wrong with a device's name
 * @name: need not end with a zero
 * @len: its length
 *
 * Return: NULL if nothing is.
 */
const char *conf_device_objection(const char *name, size_t len)
{
	return conf_is_name(name, len, IF_NAMESIZE - 1) ? NULL :
	       "a device's name has 1 to 15 of A-Z a-z 0-9 _ -";
}

/* A file has the name of its device before what it ends with. */
static void take_name(struct conf *conf, const char *path, size_t len)
{
	const char *slash = memrchr(path, '/', len);
	const char *name = slash ? slash + 1 : path;
	const char *reason;

	len -= name - path;
	reason = conf_device_objection(name, len);
	if (reason)
		mistake(conf, &(struct value){ .file = path }, "%s", reason);
	else
		memcpy(conf->name, name, len);
}

/**
 * conf_read - read the files of a device: NAME.conf, and the sites in NAME.d
 * @conf: empty before
 * @path: of the first one
 *
 * Return: false if that one cannot be read at all.
 */
bool conf_read(struct conf *conf, const char *path)
{
	size_t len = strlen(path), end = strlen(CONF_SUFFIX);
	char sites[PATH_MAX];

	if (len > end && strcmp(path + len - end, CONF_SUFFIX) == 0)
		len -= end;
	take_name(conf, path, len);
	if (!read_file(conf, path, false))
		return false;
	snprintf(sites, sizeof(sites), "%.*s.d", (int)len, path);
	conf_each(sites, read_sites, conf);
	return true;
}

/**
 * conf_free - forget a configuration
 * @conf: empty after it
 */
void conf_free(struct conf *conf)
{
	struct conf_text *text;

	while (conf->text) {
		text = conf->text;
		conf->text = text->next;
		free(text->bytes);
		free(text);
	}
	free(conf->peers);
	memset(conf, 0, sizeof(*conf));
}
