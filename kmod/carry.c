// SPDX-License-Identifier: GPL-2.0
/*
 * Which outbound SA carries which DSCP of a peer (RFC 4301 4.1), and from which
 * CPU (RFC 9611).
 */
#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "device.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"

/* Where a CPU looks for them, NULL if that is where all others do. */
static struct bhsec_sa __rcu **out_of(struct bhsec_peer *peer, u32 cpu)
{
	if (cpu == BHSEC_ANY_CPU)
		return peer->out;
	return peer->cpus ? peer->cpus[cpu].out : NULL;
}

static void get_carriers(struct bhsec_peer *peer, u32 cpu, struct bhsec_sa **sas)
{
	struct bhsec_sa __rcu **out = out_of(peer, cpu);
	unsigned int i;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		sas[i] = rcu_dereference_protected(out[i],
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

/*
 * Tell of each SA of a CPU, or of all of them, whose share is another one now; of
 * @quiet somebody else does.
 */
static void tell(struct bhsec_sa *const *before, struct bhsec_sa *const *after,
		 u32 cpu, const struct bhsec_sa *quiet)
{
	struct bhsec_sa *sas[2];
	unsigned int i, j;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++) {
		sas[0] = before[i];
		sas[1] = after[i];
		for (j = 0; sas[0] != sas[1] && j < 2; j++)
			if (sas[j] && sas[j] != quiet && sas[j]->cpu == cpu &&
			    !was_met(before, after, i, sas[j]))
				bhsec_notify_sa(BHSEC_CMD_SA_SET_NTF, sas[j]);
	}
}

static void carry(struct bhsec_peer *peer, u32 cpu, struct bhsec_sa *const *sas,
		  const struct bhsec_sa *quiet)
{
	struct bhsec_sa __rcu **out = out_of(peer, cpu);
	struct bhsec_sa *before[BHSEC_DSCP_COUNT];
	unsigned int i;

	get_carriers(peer, cpu, before);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		rcu_assign_pointer(out[i], sas[i]);
	tell(before, sas, cpu, quiet);
}

/**
 * bhsec_cpus - what each CPU sends to a peer by
 * @peer: the peer
 *
 * Context: may sleep; the device's lock is held.
 * Return: an array of nr_cpu_ids; NULL if there is no memory.
 */
struct bhsec_cpu *bhsec_cpus(struct bhsec_peer *peer)
{
	struct bhsec_cpu *cpus;
	unsigned int i;

	lockdep_assert_held(&peer->bdev->lock);
	if (peer->cpus)
		return peer->cpus;
	cpus = kvcalloc(nr_cpu_ids, sizeof(*cpus), GFP_KERNEL_ACCOUNT);
	if (!cpus)
		return NULL;
	for (i = 0; i < nr_cpu_ids; i++)
		cpus[i].asked = jiffies - HZ;
	/* pairs with READ_ONCE() in bhsec_peer_cpu() */
	smp_store_release(&peer->cpus, cpus);
	return cpus;
}

/**
 * bhsec_cpu_carries - a CPU may send to a peer by SAs of its own from now on
 * @peer: the peer
 * @cpu: which one
 *
 * At first it goes on by those of all.
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or -ENOMEM.
 */
int bhsec_cpu_carries(struct bhsec_peer *peer, u32 cpu)
{
	struct bhsec_cpu *cpus = bhsec_cpus(peer);
	struct bhsec_sa *sas[BHSEC_DSCP_COUNT];
	struct bhsec_sa __rcu **out;
	unsigned int i;

	if (!cpus)
		return -ENOMEM;
	if (cpus[cpu].out)
		return 0;
	out = kcalloc(BHSEC_DSCP_COUNT, sizeof(*out), GFP_KERNEL_ACCOUNT);
	if (!out)
		return -ENOMEM;
	get_carriers(peer, BHSEC_ANY_CPU, sas);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		RCU_INIT_POINTER(out[i], sas[i]);
	/* pairs with READ_ONCE() in bhsec_peer_out() */
	smp_store_release(&cpus[cpu].out, out);
	return 0;
}

/**
 * bhsec_cpus_free - free what bhsec_cpus() has made
 * @cpus: of a peer that nobody looks at any more; or NULL
 *
 * Context: may sleep.
 */
void bhsec_cpus_free(struct bhsec_cpu *cpus)
{
	unsigned int i;

	for (i = 0; cpus && i < nr_cpu_ids; i++)
		kfree(cpus[i].out);
	kvfree(cpus);
}

/**
 * bhsec_sa_carry - which SAs carry what goes to a peer
 * @peer: the peer
 * @cpu: from one for which bhsec_cpu_carries() has said 0; or BHSEC_ANY_CPU, from
 *	all others
 * @sas: by DSCP, one of the peer's or NULL
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_sa_carry(struct bhsec_peer *peer, u32 cpu,
		    struct bhsec_sa *const *sas)
{
	carry(peer, cpu, sas, NULL);
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

	get_carriers(sa->peer, BHSEC_ANY_CPU, sas);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (sa->dscp_listed ? list & BIT_ULL(i) :
				      !(sas[i] && sas[i]->dscp_listed))
			sas[i] = sa;
	carry(sa->peer, BHSEC_ANY_CPU, sas, sa);
}

static void release(struct bhsec_sa *sa, u32 cpu)
{
	struct bhsec_sa *sas[BHSEC_DSCP_COUNT];
	unsigned int i;

	if (!out_of(sa->peer, cpu))
		return;
	get_carriers(sa->peer, cpu, sas);
	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (sas[i] == sa)
			sas[i] = NULL;
	carry(sa->peer, cpu, sas, sa);
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
	unsigned int cpu;

	release(sa, sa->cpu);
	/* of all CPUs it may be each one's, where that has none of its own */
	if (sa->cpu != BHSEC_ANY_CPU)
		return;
	for (cpu = 0; sa->peer->cpus && cpu < nr_cpu_ids; cpu++)
		release(sa, cpu);
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
	struct bhsec_sa __rcu **out = out_of(sa->peer, sa->cpu);
	unsigned int i;
	u64 mask = 0;

	for (i = 0; i < BHSEC_DSCP_COUNT; i++)
		if (rcu_access_pointer(out[i]) == sa)
			mask |= BIT_ULL(i);
	return mask;
}
