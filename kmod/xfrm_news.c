// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel tells of XFRM states and policies. A key manager hears of them
 * while it may not sleep: what was told waits for a work item that may.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "device.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

/* Of what was told, as many as the device's lock is held for. */
#define NEWS_AT_ONCE 64
/* As many may wait. */
#define NEWS_MAX 4096
/* When to try again what found no memory. */
#define RETRY HZ
/* No event of xfrm's: a packet has met a state that has ended. */
#define LOST 0

/* Not bhsec_workqueue, on which transforms are freed: a rekey waits for this. */
static struct workqueue_struct *workqueue;

/**
 * struct news - what the kernel has told
 * @list: in bhsec_binding.news
 * @event: XFRM_MSG_*
 * @ends: of a state
 * @spi: of a state, network byte order
 * @mark: of a state
 * @xp: a policy, held; NULL for a state
 * @dir: of a policy
 */
struct news {
	struct list_head list;
	u32 event;
	struct bhsec_ends ends;
	__be32 spi;
	u32 mark;
	struct xfrm_policy *xp;
	int dir;
};

static void news_free(struct news *news)
{
	if (news->xp)
		xfrm_pol_put(news->xp);
	kfree(news);
}

/**
 * bhsec_binding_queue - have what was told looked at
 * @binding: the binding; who looks holds a reference
 *
 * Context: any but hard interrupts; RCU read lock or the device's lock is held.
 */
void bhsec_binding_queue(struct bhsec_binding *binding)
{
	if (!refcount_inc_not_zero(&binding->ref))
		return;
	if (!queue_work(workqueue, &binding->work))
		bhsec_binding_put(binding);
}

/**
 * bhsec_binding_queue_later - look again in a while
 * @binding: the binding
 * @delay: jiffies
 *
 * Context: the device's lock is held.
 */
void bhsec_binding_queue_later(struct bhsec_binding *binding, unsigned long delay)
{
	bhsec_binding_hold(binding);
	if (!queue_delayed_work(workqueue, &binding->later, delay))
		bhsec_binding_put(binding);
}

/**
 * bhsec_binding_resync - look at all states and policies anew
 * @binding: the binding
 *
 * Context: any but hard interrupts; RCU read lock or the device's lock is held.
 */
void bhsec_binding_resync(struct bhsec_binding *binding)
{
	spin_lock_bh(&binding->lock);
	binding->resync = true;
	spin_unlock_bh(&binding->lock);
	bhsec_binding_queue(binding);
}

/**
 * bhsec_binding_retry - look again at what was refused for another's sake
 * @binding: the binding
 *
 * Only when it is looked at, under the device's lock, is it known whether there
 * is any.
 *
 * Context: any but hard interrupts; RCU read lock or the device's lock is held.
 */
void bhsec_binding_retry(struct bhsec_binding *binding)
{
	spin_lock_bh(&binding->lock);
	binding->retry = true;
	spin_unlock_bh(&binding->lock);
	bhsec_binding_queue(binding);
}

/* Instead of more news than there is room for, everything is looked at. */
static void tell(struct bhsec_binding *binding, const struct news *told)
{
	struct news *news = NULL;

	spin_lock_bh(&binding->lock);
	if (binding->news_count < NEWS_MAX)
		news = kmemdup(told, sizeof(*told), GFP_ATOMIC);
	if (news) {
		if (news->xp)
			xfrm_pol_hold(news->xp);
		list_add_tail(&news->list, &binding->news);
		binding->news_count++;
	} else {
		binding->resync = true;
	}
	spin_unlock_bh(&binding->lock);
	bhsec_binding_queue(binding);
}

static void note_state(struct news *news, const struct xfrm_state *x)
{
	bhsec_ends_of_state(&news->ends, x);
	news->spi = x->id.spi;
	news->mark = x->mark.v;
}

/**
 * bhsec_binding_lost - a packet met a state that has ended
 * @binding: the binding
 * @x: the state; a copy may have taken its place without a word
 *
 * Context: RCU read lock held.
 */
void bhsec_binding_lost(struct bhsec_binding *binding, const struct xfrm_state *x)
{
	struct news news = { .event = LOST };

	note_state(&news, x);
	tell(binding, &news);
}

/**
 * bhsec_binding_has_news - was something told that has not been looked at
 * @binding: the binding
 *
 * Context: any.
 * Return: true if so.
 */
bool bhsec_binding_has_news(const struct bhsec_binding *binding)
{
	return READ_ONCE(binding->news_count) || READ_ONCE(binding->resync) ||
	       READ_ONCE(binding->looking);
}

/**
 * bhsec_binding_is_behind - is there something to look at, or being looked at
 * @binding: the binding
 *
 * Context: any.
 * Return: true if so.
 */
bool bhsec_binding_is_behind(const struct bhsec_binding *binding)
{
	return bhsec_binding_has_news(binding) ||
	       work_busy((struct work_struct *)&binding->work);
}

static void resync_all(struct net *net)
{
	const struct list_head *bindings = bhsec_bindings_of(net);
	struct bhsec_binding *binding;

	list_for_each_entry_rcu(binding, bindings, list)
		bhsec_binding_resync(binding);
}

/*
 * Context: RCU read lock held. Of an expiry the state's lock is held too, and
 * the event says nothing of the netns.
 */
static int state_told(struct xfrm_state *x, const struct km_event *event)
{
	/* it may change the if_id of a state, or leave it, and says neither */
	bool update = event->event == XFRM_MSG_UPDSA;
	const struct list_head *bindings;
	struct bhsec_binding *binding;
	struct news news = { .event = event->event };

	if (!x) {
		if (event->event == XFRM_MSG_FLUSHSA)
			resync_all(event->net);
		return 0;
	}
	if (x->id.proto != IPPROTO_ESP || (!x->if_id && !update) ||
	    (event->event != XFRM_MSG_NEWSA && event->event != XFRM_MSG_UPDSA &&
	     event->event != XFRM_MSG_DELSA && event->event != XFRM_MSG_EXPIRE))
		return 0;
	note_state(&news, x);
	bindings = bhsec_bindings_of(xs_net(x));
	list_for_each_entry_rcu(binding, bindings, list)
		if (update || binding->if_id == x->if_id)
			tell(binding, &news);
	return 0;
}

static int policy_told(struct xfrm_policy *xp, int dir,
		       const struct km_event *event)
{
	const struct list_head *bindings;
	struct bhsec_binding *binding;
	struct news news = { .event = event->event, .xp = xp, .dir = dir };

	if (!xp) {
		if (event->event == XFRM_MSG_FLUSHPOLICY)
			resync_all(event->net);
		return 0;
	}
	if (!xp->if_id)
		return 0;
	bindings = bhsec_bindings_of(xp_net(xp));
	list_for_each_entry_rcu(binding, bindings, list)
		if (binding->if_id == xp->if_id)
			tell(binding, &news);
	return 0;
}

/* The templates and states of a peer that moves were changed in place. */
static int migration_told(const struct xfrm_selector *sel, u8 dir, u8 type,
			  const struct xfrm_migrate *m, int num_bundles,
			  const struct xfrm_kmaddress *k, struct net *net,
			  const struct xfrm_encap_tmpl *encap)
{
	if (net)
		resync_all(net);
	return -EINVAL;
}

static int answer_no_acquire(struct xfrm_state *x, struct xfrm_tmpl *tmpl,
			     struct xfrm_policy *xp)
{
	return -EINVAL;
}

static struct xfrm_policy *compile_no_policy(struct sock *sk, int opt, u8 *data,
					     int len, int *dir)
{
	*dir = -EINVAL;
	return NULL;
}

static struct xfrm_mgr key_manager = {
	.notify = state_told,
	.notify_policy = policy_told,
	.migrate = migration_told,
	.acquire = answer_no_acquire,
	.compile_policy = compile_no_policy,
};

/* ESP's own GRO takes raw ESP before any door, from when it is loaded. */
static int module_told(struct notifier_block *block, unsigned long state,
		       void *data)
{
	const struct module *module = data;
	struct net *net;

	if ((state != MODULE_STATE_LIVE && state != MODULE_STATE_GOING) ||
	    (strcmp(module->name, "esp4_offload") &&
	     strcmp(module->name, "esp6_offload")))
		return NOTIFY_DONE;
	rcu_read_lock();
	for_each_net_rcu(net)
		resync_all(net);
	rcu_read_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block module_notifier = {
	.notifier_call = module_told,
};

/* The copy of a state that has another address is found among all. */
static bool is_copy_elsewhere(struct bhsec_binding *binding,
			      const struct news *news)
{
	return news->event == LOST &&
	       bhsec_state_has_ended(binding, news->spi);
}

/* What has become of a state; an update has told of a copy that is dead already. */
static struct xfrm_state *look_up(const struct bhsec_binding *binding,
				  const struct news *news)
{
	const xfrm_address_t *daddr = (const xfrm_address_t *)&news->ends.dst;

	return xfrm_state_lookup(binding->net, news->mark, daddr, news->spi,
				 IPPROTO_ESP,
				 news->ends.is_ipv6 ? AF_INET6 : AF_INET);
}

static void look_at_state(struct bhsec_binding *binding, const struct news *news)
{
	struct xfrm_state *x = look_up(binding, news);

	if (x && x->if_id == binding->if_id) {
		bhsec_state_adopt(binding, x);
		if (news->event == XFRM_MSG_EXPIRE)
			bhsec_state_soften(binding, x);
	} else {
		if (is_copy_elsewhere(binding, news))
			bhsec_look_at_states(binding);
		bhsec_state_recheck(binding, news->spi);
		bhsec_refusal_withdraw(binding, news->spi, 0, &news->ends);
	}
	if (x)
		xfrm_state_put(x);
}

static void look_at(struct bhsec_binding *binding, struct news *news)
{
	if (!news->xp)
		look_at_state(binding, news);
	else if (news->event == XFRM_MSG_NEWPOLICY ||
		 news->event == XFRM_MSG_UPDPOLICY)
		bhsec_policy_adopt(binding, news->xp, news->dir);
	else
		bhsec_policy_release(binding, news->xp, news->dir);
}

/* Takes what was told off the list; true if everything is to be looked at. */
static bool take_news(struct bhsec_binding *binding, struct list_head *news)
{
	bool retry = READ_ONCE(binding->retry);
	bool again = retry && bhsec_refusals_may_end(binding);
	unsigned int count = 0;
	struct list_head *end;

	spin_lock_bh(&binding->lock);
	binding->looking = binding->resync || again;
	binding->resync = false;
	/* one that was set after it was looked for has this run once more */
	if (retry)
		binding->retry = false;
	list_for_each(end, &binding->news)
		if (++count == NEWS_AT_ONCE)
			break;
	if (end == &binding->news)
		list_splice_init(&binding->news, news);
	else
		list_cut_position(news, &binding->news, end);
	spin_unlock_bh(&binding->lock);
	return binding->looking;
}

static void have_looked(struct bhsec_binding *binding, unsigned int news)
{
	spin_lock_bh(&binding->lock);
	binding->news_count -= news;
	binding->looking = false;
	spin_unlock_bh(&binding->lock);
}

/* Not at once: there was no memory. */
static void look_again(struct bhsec_binding *binding)
{
	spin_lock_bh(&binding->lock);
	binding->resync = true;
	spin_unlock_bh(&binding->lock);
	bhsec_binding_queue_later(binding, RETRY);
}

/* Returns false when there was nothing more. */
static bool look_at_some(struct bhsec_binding *binding)
{
	struct news *news, *next;
	LIST_HEAD(list);
	bool resync = take_news(binding, &list), done;
	unsigned int count = 0;

	lockdep_assert_held(&binding->bdev->lock);
	binding->looked = false;
	list_for_each_entry_safe(news, next, &list, list) {
		look_at(binding, news);
		news_free(news);
		count++;
	}
	done = resync && bhsec_look_at_all(binding);
	if (resync && !done)
		look_again(binding);
	have_looked(binding, count);
	bhsec_borrowed_forget_old(binding, false);
	return count || done;
}

static void look(struct bhsec_binding *binding)
{
	struct bhsec_device *bdev = binding->bdev;
	bool more;

	do {
		mutex_lock(&bdev->lock);
		more = !binding->ended && look_at_some(binding);
		mutex_unlock(&bdev->lock);
	} while (more);
	bhsec_wait_over(binding);
	bhsec_binding_put(binding);
}

static void look_now(struct work_struct *work)
{
	look(container_of(work, struct bhsec_binding, work));
}

static void look_later(struct work_struct *work)
{
	look(container_of(to_delayed_work(work), struct bhsec_binding, later));
}

/**
 * bhsec_news_begin - be ready to be told
 * @binding: a new one
 */
void bhsec_news_begin(struct bhsec_binding *binding)
{
	spin_lock_init(&binding->lock);
	INIT_LIST_HEAD(&binding->news);
	skb_queue_head_init(&binding->waiting_out);
	skb_queue_head_init(&binding->waiting_in);
	INIT_WORK(&binding->work, look_now);
	INIT_DELAYED_WORK(&binding->later, look_later);
}

/**
 * bhsec_news_end - look at nothing later, for the device would wait for it
 * @binding: the binding, which has ended
 *
 * Context: the device's lock is held.
 */
void bhsec_news_end(struct bhsec_binding *binding)
{
	if (cancel_delayed_work(&binding->later))
		bhsec_binding_put(binding);
}

/**
 * bhsec_news_free - free what nobody will look at
 * @binding: nobody tells it anything any more
 *
 * Context: may sleep.
 */
void bhsec_news_free(struct bhsec_binding *binding)
{
	struct news *news, *next;

	list_for_each_entry_safe(news, next, &binding->news, list)
		news_free(news);
	bhsec_wait_purge(binding);
}

/**
 * bhsec_bind_init - hear of XFRM states and policies
 *
 * Return: 0 or a negative error.
 */
int bhsec_bind_init(void)
{
	int err;

	workqueue = alloc_workqueue("bhsec_bind", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!workqueue)
		return -ENOMEM;
	err = register_module_notifier(&module_notifier);
	if (err) {
		destroy_workqueue(workqueue);
		return err;
	}
	xfrm_register_km(&key_manager);
	return 0;
}

/**
 * bhsec_bind_exit - the reverse of bhsec_bind_init()
 *
 * Context: may sleep; no device is left.
 */
void bhsec_bind_exit(void)
{
	xfrm_unregister_km(&key_manager);
	unregister_module_notifier(&module_notifier);
	destroy_workqueue(workqueue);
}
