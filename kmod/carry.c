// SPDX-License-Identifier: GPL-2.0
/*
 * Which outbound SA carries which DSCP of a peer (RFC 4301 4.1).
 */
#include <linux/bits.h>
#include <linux/string.h>

#include "device.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"

static void get_carriers(const struct bhsec_peer *peer, struct bhsec_sa **sas)
{
	unsigned int i;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		sas[i] = rcu_dereference_protected(peer->out[i],
						   lockdep_is_held(&peer->bdev->lock));
}

/* Has the change of a DSCP below @end to do with an SA? */
static bool was_met(struct bhsec_sa *const *before,
		    struct bhsec_sa *const *after, unsigned int end,
		    const struct bhsec_sa *sa)
{
	unsigned int i;

	for (i = 0; i < end; i++)
		if (before[i] != after[i] && (before[i] == sa || after[i] == sa))
			return true;
	return false;
}

/* Tell of each whose share is another one now; of @quiet somebody else does. */
static void tell(struct bhsec_sa *const *before, struct bhsec_sa *const *after,
		 const struct bhsec_sa *quiet)
{
	struct bhsec_sa *sas[2];
	unsigned int i, j;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++) {
		sas[0] = before[i];
		sas[1] = after[i];
		for (j = 0; sas[0] != sas[1] && j < 2; j++)
			if (sas[j] && sas[j] != quiet &&
			    !was_met(before, after, i, sas[j]))
				bhsec_notify_sa(BHSEC_CMD_SA_SET_NTF, sas[j]);
	}
}

static void carry(struct bhsec_peer *peer, struct bhsec_sa *const *sas,
		  const struct bhsec_sa *quiet)
{
	struct bhsec_sa *before[BHSEC_DSCP_COUNT];
	unsigned int i;

	get_carriers(peer, before);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		rcu_assign_pointer(peer->out[i], sas[i]);
	tell(before, sas, quiet);
}

/**
 * bhsec_sa_carry - which SAs carry what goes to a peer
 * @peer: the peer
 * @sas: by DSCP, one of the peer's or NULL
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_sa_carry(struct bhsec_peer *peer, struct bhsec_sa *const *sas)
{
	carry(peer, sas, NULL);
}

/**
 * bhsec_sa_claim - a new outbound SA takes its DSCPs
 * @sa: the SA, of which its maker tells
 * @list: bit N for DSCP N, if it has a list; else it takes what no list holds
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_sa_claim(struct bhsec_sa *sa, u64 list)
{
	struct bhsec_sa *sas[BHSEC_DSCP_COUNT];
	unsigned int i;

	get_carriers(sa->peer, sas);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (sa->dscp_listed ? list & BIT_ULL(i) :
				      !(sas[i] && sas[i]->dscp_listed))
			sas[i] = sa;
	carry(sa->peer, sas, sa);
}

/**
 * bhsec_sa_release - nothing is sent by an SA any more
 * @sa: the SA, of whose end somebody else tells
 *
 * Nobody gets what it carried: what is deleted does not bring back an older one.
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_sa_release(struct bhsec_sa *sa)
{
	struct bhsec_sa *sas[BHSEC_DSCP_COUNT];
	unsigned int i;

	get_carriers(sa->peer, sas);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (sas[i] == sa)
			sas[i] = NULL;
	carry(sa->peer, sas, sa);
}

/**
 * bhsec_sa_dscp - which DSCPs an outbound SA carries now
 * @sa: the SA
 *
 * Context: any; RCU read lock or the device's lock is held.
 * Return: bit N for DSCP N.
 */
u64 bhsec_sa_dscp(const struct bhsec_sa *sa)
{
	unsigned int i;
	u64 mask = 0;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (rcu_access_pointer(sa->peer->out[i]) == sa)
			mask |= BIT_ULL(i);
	return mask;
}
