// SPDX-License-Identifier: GPL-2.0
/*
 * What leaves together: packets that are forwarded come one by one, but many in
 * one softirq. From the second on their datagrams wait for its end and walk the
 * stack as one.
 */
#include <linux/interrupt.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/dst.h>

#include "arrival.h"
#include "device.h"
#include "outer.h"
#include "peer.h"
#include "sa.h"
#include "softirq.h"
#include "train.h"

/* More do not fit into one packet of the stack. */
#define WAITING_MAX 64

/**
 * struct train - datagrams of one SA that wait for the end of the softirq
 * @sa: the SA, used by the train while it is not empty
 * @outer: header and route of all, with a reference while it is not empty
 * @first: linked by their next
 * @end: where the next one is linked
 * @count: how many
 * @softirq: bhsec_softirq_number() when the last one was sent
 * @departure: sends them
 *
 * Of one CPU; softirqs are off.
 */
struct train {
	struct bhsec_sa *sa;
	struct bhsec_outer outer;
	struct sk_buff *first;
	struct sk_buff **end;
	unsigned int count;
	unsigned int softirq;
	struct tasklet_struct departure;
};

static DEFINE_PER_CPU(struct train, trains);

static void depart(struct train *train)
{
	struct bhsec_outer outer = train->outer;
	struct sk_buff *list = train->first;
	struct bhsec_sa *sa = train->sa;
	struct net *underlay;

	/* what it sends may come back to this CPU's train */
	train->count = 0;
	rcu_read_lock();
	underlay = rcu_dereference(sa->peer->bdev->underlay);
	if (underlay)
		bhsec_outer_send(underlay, &outer, list);
	else
		kfree_skb_list(list);
	rcu_read_unlock();
	dst_release(outer.dst);
	bhsec_sa_leave(sa);
}

static void depart_at_end(struct tasklet_struct *departure)
{
	struct train *train = container_of(departure, struct train, departure);

	if (train->count)
		depart(train);
}

static bool fits(const struct train *train, const struct bhsec_sa *sa,
		 const struct bhsec_outer *outer)
{
	return train->sa == sa && train->count < WAITING_MAX &&
	       train->outer.dst == outer->dst &&
	       train->outer.tos == outer->tos && train->outer.df == outer->df &&
	       train->outer.mark == outer->mark &&
	       train->outer.sport == outer->sport &&
	       train->outer.dport == outer->dport &&
	       bhsec_address_equal(&train->outer.daddr, &outer->daddr,
				   outer->is_ipv6) &&
	       bhsec_address_equal(&train->outer.saddr, &outer->saddr,
				   outer->is_ipv6);
}

/* Returns false if the route has come to its end meanwhile. */
static bool board(struct train *train, struct bhsec_sa *sa,
		  const struct bhsec_outer *outer, struct sk_buff *skb)
{
	if (!train->count) {
		if (!dst_hold_safe(outer->dst))
			return false;
		bhsec_sa_use(sa);
		train->sa = sa;
		train->outer = *outer;
		train->end = &train->first;
		tasklet_schedule(&train->departure);
	}
	*train->end = skb;
	train->end = &skb->next;
	train->count++;
	return true;
}

/**
 * bhsec_train_follows - will a lone datagram wait for others
 * @outer: its outer header and route
 *
 * Context: softirqs off.
 * Return: true if another was sent in this softirq.
 */
bool bhsec_train_follows(const struct bhsec_outer *outer)
{
	return bhsec_softirq_again(__this_cpu_read(trains.softirq)) &&
	       outer->sport && !outer->may_fragment;
}

/**
 * bhsec_train_send - send datagrams, at the end of this softirq at the latest
 * @net: underlay netns
 * @sa: their SA, as for bhsec_sa_use()
 * @outer: their outer header and route
 * @list: datagrams, linked by their next; consumed
 * @count: how many
 *
 * What waits from before goes first. Nothing waits outside of a softirq.
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_train_send(struct net *net, struct bhsec_sa *sa,
		      const struct bhsec_outer *outer, struct sk_buff *list,
		      unsigned int count)
{
	struct train *train = this_cpu_ptr(&trains);
	bool waits = count == 1 && bhsec_train_follows(outer);

	train->softirq = bhsec_softirq_number();
	/* another tunnel that carries this one may have filled it meanwhile */
	while (train->count && (!waits || !fits(train, sa, outer)))
		depart(train);
	if (!waits || !board(train, sa, outer, list))
		bhsec_outer_send(net, outer, list);
}

/**
 * bhsec_train_init - make the CPUs' trains
 */
void bhsec_train_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		tasklet_setup(&per_cpu(trains, cpu).departure, depart_at_end);
}

/**
 * bhsec_train_exit - wait for those that have not left
 *
 * Context: may sleep; no device is left.
 */
void bhsec_train_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		tasklet_kill(&per_cpu(trains, cpu).departure);
}
