// SPDX-License-Identifier: GPL-2.0
/*
 * From an XFRM state to an SA, and what becomes of the SA when the state is
 * changed, copied or deleted.
 *
 * No sequence number is used twice across that, and none accepted twice: an SA
 * begins where its state is. A daemon that moves a peer deletes a state and adds
 * it anew with numbers it has read a while before; so what an SA had reached is
 * remembered for as long as that may take.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/udp.h>
#include <net/netlink.h>
#include <net/protocol.h>

#include "aead.h"
#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "peer.h"
#include "sa.h"
#include "xfrm_bind.h"
#include "xfrm_room.h"
#include "xfrm_sad.h"

/* GRO of a loaded esp4_offload or esp6_offload takes raw ESP before any door. */
static bool is_offload_loaded(u16 family)
{
	const struct net_offload *offload;
	bool loaded;

	rcu_read_lock();
	offload = family == AF_INET6 ?
		  rcu_dereference(inet6_offloads[IPPROTO_ESP]) :
		  rcu_dereference(inet_offloads[IPPROTO_ESP]);
	loaded = offload && offload->callbacks.gro_receive;
	rcu_read_unlock();
	return loaded;
}

static void algorithms_of(struct bhsec_algorithms *algorithms,
			  const struct xfrm_state *x)
{
	memset(algorithms, 0, sizeof(*algorithms));
	if (x->aead) {
		algorithms->cipher = x->aead->alg_name;
		algorithms->key_len = x->aead->alg_key_len / 8;
		algorithms->icv_len = x->aead->alg_icv_len / 8;
		return;
	}
	/* ESP without a MAC is none that anybody may use: RFC 8221 4 */
	algorithms->cipher = x->ealg ? x->ealg->alg_name : "";
	algorithms->key_len = x->ealg ? x->ealg->alg_key_len / 8 : 0;
	algorithms->mac = x->aalg ? x->aalg->alg_name : "";
	algorithms->mac_key_len = x->aalg ? x->aalg->alg_key_len / 8 : 0;
	algorithms->icv_len = x->aalg ? x->aalg->alg_trunc_len / 8 : 0;
}

/* Why a state cannot be taken, NULL if it can. */
static const char *objection(const struct xfrm_state *x)
{
	struct bhsec_algorithms algorithms;

	if (x->props.mode != XFRM_MODE_TUNNEL)
		return "the state is not in tunnel mode";
	if (x->sel.proto || x->sel.sport_mask || x->sel.dport_mask)
		return "the state's selector names a protocol or ports, not its policy's";
	if (x->xso.dev)
		return "the state is offloaded to a network device";
	if (x->encap && x->encap->encap_type != UDP_ENCAP_ESPINUDP)
		return "the state is neither raw ESP nor ESP in UDP";
	if (!x->encap && is_offload_loaded(x->props.family))
		return x->props.family == AF_INET6 ?
		       "esp6_offload takes raw ESP first: rmmod it, or use ESP in UDP" :
		       "esp4_offload takes raw ESP first: rmmod it, or use ESP in UDP";
	algorithms_of(&algorithms, x);
	return bhsec_aead_objection(&algorithms);
}

static void refuse(struct bhsec_binding *binding, const struct xfrm_state *x,
		   const char *reason, int err)
{
	struct bhsec_ends ends;

	bhsec_ends_of_state(&ends, x);
	bhsec_refuse(binding, x->id.spi, 0, &ends, reason, err);
}

static u32 window_of(const struct bhsec_binding *binding,
		     const struct xfrm_state *x)
{
	u32 own = bhsec_device_settings(binding->bdev)->window;
	u32 window = x->replay_esn ? x->replay_esn->replay_window :
				     x->props.replay_window;

	/* xfrm's own ends at XFRMA_REPLAY_ESN_MAX */
	return max(own, window);
}

/* All keys of a state one after the other. */
static void copy_keys(u8 *keys, const struct xfrm_state *x)
{
	if (x->aead) {
		memcpy(keys, x->aead->alg_key, x->aead->alg_key_len / 8);
		return;
	}
	memcpy(keys, x->ealg->alg_key, x->ealg->alg_key_len / 8);
	memcpy(keys + x->ealg->alg_key_len / 8, x->aalg->alg_key,
	       x->aalg->alg_key_len / 8);
}

/*
 * What an SA is made from; the numbers are for bhsec_borrowed_begin(). @keys is
 * for BHSEC_KEY_MAX bytes, which the caller wipes.
 */
static void config_of(struct bhsec_sa_config *config, u8 *keys,
		      const struct bhsec_binding *binding,
		      const struct xfrm_state *x, bool outbound)
{
	struct bhsec_algorithms algorithms;

	algorithms_of(&algorithms, x);
	copy_keys(keys, x);
	memset(config, 0, sizeof(*config));
	config->attrs = bhsec_no_attrs.sa;
	config->spi = be32_to_cpu(x->id.spi);
	config->cipher = bhsec_aead_find(&algorithms);
	config->key = keys;
	config->outbound = outbound;
	config->esn = x->props.flags & XFRM_STATE_ESN;
	config->encap = x->encap ? BHSEC_ENCAP_UDP : BHSEC_ENCAP_ESP;
	config->cpu = bhsec_xfrm_cpu(x);
	config->window = window_of(binding, x);
}

/* The peer of a state, at its address: the one that had the state before. */
static struct bhsec_bound *bound_of(struct bhsec_binding *binding,
				    const struct xfrm_state *x, bool outbound,
				    const struct bhsec_borrowed *before,
				    struct netlink_ext_ack *extack)
{
	struct bhsec_bound *bound;
	struct bhsec_bound_key key;
	struct bhsec_ends ends;

	bhsec_ends_of_state(&ends, x);
	bhsec_bound_key_set(&key, &ends, outbound);
	bound = bhsec_bound_find(binding, &key);
	if (bound)
		return bound;
	bound = before ? before->peer->bound : NULL;
	if (bound && bound->listed && bound->key.reqid == key.reqid &&
	    !bhsec_bound_move(bound, &key))
		return bound;
	return bhsec_bound_make(binding, &key, extack);
}

static int add_sa(struct bhsec_bound *bound, struct bhsec_borrowed *borrowed,
		  struct bhsec_sa_config *config, struct netlink_ext_ack *extack)
{
	struct bhsec_sa *sa;
	int err;

	if (config->outbound && config->cpu != BHSEC_ANY_CPU) {
		err = bhsec_cpu_carries(bound->peer, config->cpu);
		if (err)
			return err;
	}
	config->borrowed = borrowed;
	if (list_empty(&bound->peer->sas))
		bhsec_bound_follow(bound, bhsec_borrowed_state(borrowed),
				   config->outbound);
	sa = bhsec_sa_add(bound->peer, config, extack);
	if (IS_ERR(sa))
		return PTR_ERR(sa);
	borrowed->sa = sa;
	bhsec_event_sa(BHSEC_EVENT_ADOPTED, sa);
	if (sa->outbound)
		bhsec_bound_choose(bound, NULL);
	return 0;
}

/* @before: what the state was, whose numbers go on; or NULL. */
static void adopt(struct bhsec_binding *binding, struct xfrm_state *x,
		  const struct bhsec_state_key *key,
		  struct bhsec_sa_config *config, u64 digest,
		  struct bhsec_borrowed *before)
{
	struct netlink_ext_ack extack = {};
	struct bhsec_borrowed *borrowed;
	struct bhsec_bound *bound;
	struct bhsec_ends ends;
	int err;

	bound = bound_of(binding, x, key->outbound, before, &extack);
	if (IS_ERR(bound)) {
		refuse(binding, x, extack._msg ?: "no memory", PTR_ERR(bound));
		return;
	}
	borrowed = bhsec_borrowed_make(binding, key, bound, x, digest);
	err = PTR_ERR_OR_ZERO(borrowed);
	if (!err) {
		config->seq = bhsec_borrowed_begin(borrowed,
						   before ? before->seq : 0);
		err = add_sa(bound, borrowed, config, &extack);
		if (err)
			bhsec_borrowed_forget(binding, borrowed);
	}
	if (err) {
		refuse(binding, x, extack._msg ?: "no memory", err);
		bhsec_bound_put_unused(bound);
		return;
	}
	bhsec_ends_of_state(&ends, x);
	bhsec_refusal_withdraw(binding, x->id.spi, 0, &ends);
	if (before)
		bhsec_borrowed_forget(binding, before);
}

/**
 * struct old_state - a state that a packet may still look at
 * @rcu: lets go of it
 * @x: the state
 */
struct old_state {
	struct rcu_head rcu;
	struct xfrm_state *x;
};

static void put_old(struct rcu_head *rcu)
{
	struct old_state *old = container_of(rcu, struct old_state, rcu);

	xfrm_state_put(old->x);
	kfree(old);
}

static void put_later(struct xfrm_state *x)
{
	struct old_state *old = kmalloc(sizeof(*old), GFP_KERNEL);

	if (old) {
		old->x = x;
		call_rcu(&old->rcu, put_old);
	} else {
		synchronize_rcu();
		xfrm_state_put(x);
	}
}

/* The state's copy, or itself with another encapsulation, keys the SA now. */
static void follow(struct bhsec_binding *binding, struct bhsec_borrowed *borrowed,
		   struct xfrm_state *x)
{
	struct xfrm_state *old = bhsec_borrowed_state(borrowed);
	struct bhsec_sa *sa = borrowed->sa;
	struct bhsec_bound *bound = borrowed->peer->bound;
	struct bhsec_bound_key key;
	struct bhsec_ends ends;

	if (old != x) {
		xfrm_state_hold(x);
		bhsec_borrowed_replace(borrowed, x);
		put_later(old);
		bhsec_borrowed_name(borrowed, x);
	}
	bhsec_ends_of_state(&ends, x);
	bhsec_bound_key_set(&key, &ends, borrowed->key.outbound);
	if (memcmp(&key, &bound->key, sizeof(key)) &&
	    !bhsec_bound_find(binding, &key))
		bhsec_bound_move(bound, &key);
	WRITE_ONCE(sa->encap, x->encap ? BHSEC_ENCAP_UDP : BHSEC_ENCAP_ESP);
	if (sa->outbound)
		bhsec_bound_choose(bound, NULL);
}

/* The SA ends, what it had reached stays known. */
static void release(struct bhsec_binding *binding, struct bhsec_borrowed *borrowed)
{
	struct bhsec_bound *bound = borrowed->peer->bound;
	struct bhsec_sa *sa = borrowed->sa;

	if (sa->outbound && !binding->ended)
		bhsec_bound_choose(bound, sa);
	bhsec_event_sa(BHSEC_EVENT_RELEASED, sa);
	borrowed->seq = bhsec_borrowed_end(borrowed);
	borrowed->sa = NULL;
	borrowed->gone = jiffies;
	list_move_tail(&borrowed->list, &binding->gone);
	bhsec_sa_del(sa);
	bhsec_bound_put_unused(bound);
}

/* An SPI may be given again before anybody looks. */
static void release_ended(struct bhsec_binding *binding,
			  const struct bhsec_state_key *key)
{
	struct bhsec_borrowed *borrowed;

	while ((borrowed = bhsec_borrowed_ended(binding, key)))
		release(binding, borrowed);
}

/**
 * bhsec_state_soften - a soft lifetime of a state has run out
 * @binding: the binding
 * @x: the state
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_state_soften(struct bhsec_binding *binding, const struct xfrm_state *x)
{
	struct bhsec_borrowed *borrowed = bhsec_borrowed_of(binding, x);

	if (borrowed && x->km.dying)
		bhsec_event_sa(BHSEC_EVENT_SOFT, borrowed->sa);
}

static void take(struct bhsec_binding *binding, struct xfrm_state *x,
		 const struct bhsec_state_key *key,
		 struct bhsec_sa_config *config)
{
	u64 digest = bhsec_sa_key_digest(config);
	struct bhsec_borrowed *borrowed;

	borrowed = bhsec_borrowed_known(binding, x, key, digest);
	if (borrowed && bhsec_borrowed_is_live(borrowed) &&
	    bhsec_borrowed_state(borrowed) != x)
		/* its end is told, and then its copy is looked at */
		return;
	if (borrowed && borrowed->sa) {
		follow(binding, borrowed, x);
	} else {
		release_ended(binding, key);
		adopt(binding, x, key, config, digest, borrowed);
	}
}

/**
 * bhsec_state_adopt - take a state, or what has changed of it
 * @binding: the binding
 * @x: the state
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_state_adopt(struct bhsec_binding *binding, struct xfrm_state *x)
{
	struct bhsec_borrowed *borrowed;
	struct bhsec_state_key key = {};
	struct bhsec_sa_config config;
	u8 keys[BHSEC_KEY_MAX];
	const char *reason;

	if (READ_ONCE(x->km.state) != XFRM_STATE_VALID)
		return;
	reason = objection(x);
	if (reason) {
		/* a module may have taken its datagrams away */
		borrowed = bhsec_borrowed_of(binding, x);
		if (borrowed)
			release(binding, borrowed);
		refuse(binding, x, reason, 0);
		return;
	}
	key.spi = x->id.spi;
	key.outbound = !bhsec_xfrm_is_inbound(binding->net, x);
	config_of(&config, keys, binding, x, key.outbound);
	take(binding, x, &key, &config);
	memzero_explicit(keys, sizeof(keys));
}

/**
 * bhsec_state_recheck - a state has gone
 * @binding: the binding
 * @spi: network byte order
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_state_recheck(struct bhsec_binding *binding, __be32 spi)
{
	struct bhsec_state_key key = { .spi = spi };

	for (key.outbound = 0; key.outbound < 2; key.outbound++)
		release_ended(binding, &key);
}

/**
 * bhsec_state_has_ended - does an SA live by a state that has ended
 * @binding: the binding
 * @spi: network byte order
 *
 * Context: the device's lock is held.
 * Return: true if so.
 */
bool bhsec_state_has_ended(struct bhsec_binding *binding, __be32 spi)
{
	struct bhsec_state_key in = { .spi = spi }, out = { spi, 1 };

	return bhsec_borrowed_ended(binding, &in) ||
	       bhsec_borrowed_ended(binding, &out);
}

/**
 * bhsec_states_sweep - let go of states that have gone
 * @binding: the binding
 * @all: of the others too
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_states_sweep(struct bhsec_binding *binding, bool all)
{
	struct bhsec_borrowed *borrowed, *next;

	list_for_each_entry_safe(borrowed, next, &binding->live, list)
		if (all || !bhsec_borrowed_is_live(borrowed))
			release(binding, borrowed);
}
