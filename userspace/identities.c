// SPDX-License-Identifier: GPL-2.0
/*
 * Who is behind an SA, as the daemon that negotiated it says: an IKE SA with a
 * remote-id, in which is a section of child SAs, each with the reqid and the SPIs
 * of its kernel states. Both have to be right: another daemon, say that of another
 * netns, gives the same reqids to others.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "identities.h"

/**
 * struct identity - who is behind one SA
 * @key: reqid and SPI
 * @name: printable, ends with a zero
 */
struct identity {
	uint64_t key;
	char *name;
};

/* How many sections are open within an IKE SA, and within one of its children. */
enum {
	IN_IKE_SA = 1,
	IN_CHILD = 3,
};

/**
 * struct reader - what was read so far
 * @rest: of the message
 * @depth: how many sections are open
 * @remote: whom the IKE SA is with
 * @reqid: of the child SA
 * @spi: of the child SA, in and out
 */
struct reader {
	struct bytes rest;
	unsigned int depth;
	struct bytes remote;
	uint32_t reqid;
	uint32_t spi[2];
};

/* Zero, which is no reqid and no SPI, if it is no number. */
static uint32_t number_in(const struct bytes *bytes, int base)
{
	char text[16] = "";

	if (bytes->len < sizeof(text))
		memcpy(text, bytes->at, bytes->len);
	return strtoul(text, NULL, base);
}

static uint64_t key_of(uint32_t reqid, uint32_t spi)
{
	return (uint64_t)reqid << 32 | spi;
}

/* Without memory there is a name less. */
static void add(struct identities *ids, uint64_t key, const struct bytes *remote)
{
	struct identity identity = {
		.key = key,
	};
	struct identity *grown = array_with_room(ids->entry, ids->count,
						 &ids->room, sizeof(*grown));

	if (!grown)
		return;
	ids->entry = grown;
	identity.name = bytes_printable(remote);
	if (identity.name)
		ids->entry[ids->count++] = identity;
}

static void add_child(struct identities *ids, const struct reader *reader)
{
	unsigned int i;

	if (!reader->reqid || !reader->remote.len)
		return;
	for (i = 0; i < 2; i++)
		if (reader->spi[i])
			add(ids, key_of(reader->reqid, reader->spi[i]),
			    &reader->remote);
}

static void begin_section(struct reader *reader)
{
	reader->depth++;
	if (reader->depth == IN_IKE_SA)
		reader->remote.len = 0;
	if (reader->depth != IN_CHILD)
		return;
	reader->reqid = 0;
	reader->spi[0] = 0;
	reader->spi[1] = 0;
}

/* An IKE SA says whom it is with before it comes to its children. */
static void take_key(struct reader *reader, const struct vici_element *element)
{
	const struct bytes *name = &element->name, *value = &element->value;

	if (reader->depth == IN_IKE_SA && bytes_are(name, "remote-id"))
		reader->remote = *value;
	if (reader->depth != IN_CHILD)
		return;
	if (bytes_are(name, "reqid"))
		reader->reqid = number_in(value, 10);
	else if (bytes_are(name, "spi-in"))
		reader->spi[0] = number_in(value, 16);
	else if (bytes_are(name, "spi-out"))
		reader->spi[1] = number_in(value, 16);
}

/**
 * identities_take - take what a daemon says of its IKE SAs
 * @ids: gets the names of whom they are with
 * @message: of the daemon, who may say anything
 */
void identities_take(struct identities *ids, const struct bytes *message)
{
	struct reader reader = {
		.rest = *message,
	};
	struct vici_element element;

	while (vici_read(&reader.rest, &element)) {
		switch (element.type) {
		case VICI_SECTION_START:
			begin_section(&reader);
			break;
		case VICI_SECTION_END:
			if (reader.depth == IN_CHILD)
				add_child(ids, &reader);
			if (!reader.depth--)
				return;
			break;
		case VICI_KEY_VALUE:
			take_key(&reader, &element);
			break;
		default:
			break;
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/**
 * identities_sort - so that they are found, once all of them are taken
 * @ids: the names
 */
void identities_sort(struct identities *ids)
{
	if (ids->count)
		qsort(ids->entry, ids->count, sizeof(*ids->entry), compare);
}

/**
 * identities_find - who is behind an SA
 * @ids: who there is
 * @reqid: of its kernel state
 * @spi: host byte order
 *
 * Return: the name, or NULL.
 */
const char *identities_find(const struct identities *ids, uint32_t reqid,
			    uint32_t spi)
{
	const struct identity wanted = {
		.key = key_of(reqid, spi),
	}, *found;

	if (!ids->count)
		return NULL;
	found = bsearch(&wanted, ids->entry, ids->count, sizeof(wanted), compare);
	return found ? found->name : NULL;
}

/**
 * identities_free - forget them
 * @ids: empty after it
 */
void identities_free(struct identities *ids)
{
	size_t i;

	for (i = 0; i < ids->count; i++)
		free(ids->entry[i].name);
	free(ids->entry);
	memset(ids, 0, sizeof(*ids));
}
