// SPDX-License-Identifier: GPL-2.0
/*
 * The peers of a device, sorted by name, and which SAs belong to each.
 */
#include <stdlib.h>
#include <string.h>

#include "rows.h"

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strverscmp(x->name, y->name);
}

static void take_peers(struct rows *rows, const struct nl_records *peers)
{
	struct row *row;
	size_t i;

	for (i = 0; i < peers->count; i++) {
		row = &rows->row[i];
		row->nlh = peers->record[i];
		row->name = mnl_attr_get_str(nl_find(row->nlh, BHSEC_A_PEER_NAME));
	}
	rows->count = peers->count;
}

/* The peer of this name, which is most often not far behind number @from. */
static struct row *find_row(const struct rows *rows, size_t from,
			    const char *name)
{
	struct row *row;
	size_t i;

	for (i = 0; i < rows->count; i++) {
		row = &rows->row[(from + i) % rows->count];
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

/*
 * The kernel has told both in the same order, the SAs of a peer in one run.
 * They were asked for one after the other: an SA whose peer came in between is
 * left for the next time.
 */
static void take_sas(struct rows *rows, const struct nl_records *sas)
{
	struct row *row = NULL, *found;
	const char *name;
	size_t i;

	for (i = 0; i < sas->count; i++) {
		name = mnl_attr_get_str(nl_find(sas->record[i], BHSEC_A_SA_PEER));
		found = find_row(rows, row ? row - rows->row : 0, name);
		if (!found)
			continue;
		row = found;
		if (!row->count)
			row->sa = &sas->record[i];
		row->count++;
	}
}

/**
 * rows_join - tell which SAs belong to which peer
 * @rows: gets the peers in the order of printing, for rows_free()
 * @peers: their messages, which have to stay
 * @sas: those of the SAs, likewise
 *
 * Return: false if there is no memory.
 */
bool rows_join(struct rows *rows, const struct nl_records *peers,
	       const struct nl_records *sas)
{
	rows->row = calloc(peers->count + 1, sizeof(*rows->row));
	if (!rows->row)
		return false;
	take_peers(rows, peers);
	take_sas(rows, sas);
	qsort(rows->row, rows->count, sizeof(*rows->row), compare_rows);
	return true;
}

/**
 * rows_free - forget what rows_join() found
 * @rows: the peers
 */
void rows_free(struct rows *rows)
{
	free(rows->row);
}
