// SPDX-License-Identifier: GPL-2.0
/*
 * What a bound device cannot take, and why: an operator looks for it there.
 */
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/netlink.h>

#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"

/* One message holds so many beside the device; the others are counted. */
#define REFUSED_MAX 32

static struct bhsec_refusal *find(struct bhsec_binding *binding, __be32 spi,
				  u32 policy, const struct bhsec_ends *ends)
{
	struct bhsec_refusal *refusal;

	lockdep_assert_held(&binding->bdev->lock);
	list_for_each_entry(refusal, &binding->refused, list)
		/* an update may change all of a policy but its index */
		if (policy ? refusal->policy == policy :
			     refusal->spi == spi && !refusal->policy &&
			     refusal->ends.reqid == ends->reqid &&
			     ipv6_addr_equal(&refusal->ends.dst, &ends->dst))
			return refusal;
	return NULL;
}

static void drop(struct bhsec_binding *binding, struct bhsec_refusal *refusal)
{
	list_del(&refusal->list);
	kfree(refusal);
	binding->refusals--;
}

static void tell(struct bhsec_binding *binding, const struct bhsec_refusal *refusal)
{
	const struct net_device *dev = binding->bdev->dev;

	bhsec_event_refused(binding->bdev, refusal->spi, refusal->reason);
	if (!net_ratelimit())
		return;
	if (refusal->spi)
		netdev_warn(dev, "XFRM state with reqid %u and SPI 0x%08x refused: %s\n",
			    refusal->ends.reqid, be32_to_cpu(refusal->spi),
			    refusal->reason);
	else
		netdev_warn(dev, "XFRM policy with reqid %u refused: %s\n",
			    refusal->ends.reqid, refusal->reason);
}

/**
 * bhsec_refuse - say that a state or policy cannot be taken, once
 * @binding: the binding
 * @spi: network byte order, 0 for a policy
 * @policy: its index, 0 for a state
 * @ends: between whom it is
 * @reason: one sentence; a literal
 * @err: what made it so, if that is not the state or policy itself; or 0
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_refuse(struct bhsec_binding *binding, __be32 spi, u32 policy,
		  const struct bhsec_ends *ends, const char *reason, int err)
{
	struct bhsec_refusal *refusal = find(binding, spi, policy, ends);
	bool may_end = err == -EEXIST || err == -E2BIG || err == -ENOMEM;

	if (err == -ENOMEM)
		bhsec_bindings_retry(binding->bdev);
	if (refusal) {
		refusal->ends = *ends;
		refusal->reason = reason;
		refusal->may_end = may_end;
		refusal->stale = false;
		return;
	}
	refusal = kzalloc_obj(*refusal, GFP_KERNEL_ACCOUNT);
	if (!refusal)
		return;
	refusal->spi = spi;
	refusal->policy = policy;
	refusal->ends = *ends;
	refusal->reason = reason;
	refusal->may_end = may_end;
	list_add(&refusal->list, &binding->refused);
	binding->refusals++;
	tell(binding, refusal);
}

/**
 * bhsec_refusal_withdraw - a refused state has gone, or can be taken now
 * @binding: the binding
 * @spi: network byte order, 0 for a policy
 * @policy: its index, 0 for a state
 * @ends: between whom it is
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_refusal_withdraw(struct bhsec_binding *binding, __be32 spi,
			    u32 policy, const struct bhsec_ends *ends)
{
	struct bhsec_refusal *refusal = find(binding, spi, policy, ends);

	if (refusal)
		drop(binding, refusal);
}

/**
 * bhsec_refusals_may_end - is it worth the while to look at all again
 * @binding: the binding
 *
 * Context: the device's lock is held.
 * Return: true if something may be taken now that could not be before.
 */
bool bhsec_refusals_may_end(const struct bhsec_binding *binding)
{
	const struct bhsec_refusal *refusal;

	lockdep_assert_held(&binding->bdev->lock);
	list_for_each_entry(refusal, &binding->refused, list)
		if (refusal->may_end)
			return true;
	return false;
}

/**
 * bhsec_refusals_age - what is not refused again from now on has gone
 * @binding: the binding
 *
 * Context: the device's lock is held.
 */
void bhsec_refusals_age(struct bhsec_binding *binding)
{
	struct bhsec_refusal *refusal;

	list_for_each_entry(refusal, &binding->refused, list)
		refusal->stale = true;
}

/**
 * bhsec_refusals_sweep - what was not refused again has gone
 * @binding: the binding
 * @all: what was, too
 *
 * Context: the device's lock is held.
 */
void bhsec_refusals_sweep(struct bhsec_binding *binding, bool all)
{
	struct bhsec_refusal *refusal, *next;

	list_for_each_entry_safe(refusal, next, &binding->refused, list)
		if (all || refusal->stale)
			drop(binding, refusal);
}

static int put_refusal(struct sk_buff *msg, const struct bhsec_refusal *refusal,
		       bool whole)
{
	struct nlattr *nest = nla_nest_start(msg, BHSEC_A_DEVICE_REFUSED);
	int len = refusal->ends.is_ipv6 ? 16 : 4;

	if (!nest ||
	    nla_put_u32(msg, BHSEC_A_REFUSED_REQID, refusal->ends.reqid) ||
	    nla_put_string(msg, BHSEC_A_REFUSED_REASON, refusal->reason))
		return -EMSGSIZE;
	if (whole &&
	    ((refusal->spi && nla_put_u32(msg, BHSEC_A_REFUSED_SPI,
					  be32_to_cpu(refusal->spi))) ||
	     nla_put(msg, BHSEC_A_REFUSED_SRC, len, &refusal->ends.src) ||
	     nla_put(msg, BHSEC_A_REFUSED_DST, len, &refusal->ends.dst)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/**
 * bhsec_binding_put_nl - put a binding into a device's message
 * @msg: the message
 * @binding: the binding, or NULL
 * @whole: the reader may know SPIs and addresses of what is refused
 *
 * Context: the device's lock is held.
 * Return: 0 or a negative error.
 */
int bhsec_binding_put_nl(struct sk_buff *msg, const struct bhsec_binding *binding,
			 bool whole)
{
	const struct bhsec_refusal *refusal;
	unsigned int count = 0;

	if (!binding)
		return 0;
	if (nla_put_u32(msg, BHSEC_A_DEVICE_IF_ID, binding->if_id) ||
	    nla_put_u8(msg, BHSEC_A_DEVICE_SHARED, binding->shared) ||
	    nla_put_u32(msg, BHSEC_A_DEVICE_REFUSALS, binding->refusals))
		return -EMSGSIZE;
	list_for_each_entry(refusal, &binding->refused, list) {
		if (count++ == REFUSED_MAX)
			break;
		if (put_refusal(msg, refusal, whole))
			return -EMSGSIZE;
	}
	return 0;
}
