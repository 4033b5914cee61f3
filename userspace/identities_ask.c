// SPDX-License-Identifier: GPL-2.0
/*
 * A daemon is asked who is behind its SAs. A name is a courtesy: where nobody
 * answers, or not in time, there are fewer of them and nothing else is wrong.
 */
#include "identities.h"
#include "vici.h"

/* How long a daemon may take; one with many peers has much to say. */
#define PATIENCE_MS 1000
#define PATIENCE_MS_EACH 1

/* noblock = yes: an IKE SA that is busy, perhaps for long, holds up no other. */
static const char noblock[] = "\3\7noblock\0\3yes";

/* The IKE SAs come one by one, and the answer when there is no more. */
static void hear_all(struct vici *vici, struct identities *ids)
{
	const struct bytes request = { noblock, sizeof(noblock) - 1 };
	struct bytes message;

	if (!vici_subscribe(vici, "list-sa") ||
	    !vici_request(vici, "list-sas", &request))
		return;
	while (vici_hear(vici, &message) == VICI_EVENT)
		identities_take(ids, &message);
}

/**
 * identities_ask - ask the daemon who is behind its SAs
 * @ids: gets as many as it names in time
 * @peers: how many there may be
 */
void identities_ask(struct identities *ids, uint64_t peers)
{
	struct vici vici;

	if (!vici_open(&vici, PATIENCE_MS + PATIENCE_MS_EACH * peers))
		return;
	hear_all(&vici, ids);
	vici_close(&vici);
	identities_sort(ids);
}
