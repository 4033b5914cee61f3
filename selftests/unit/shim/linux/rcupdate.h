/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One thread plays all readers: shim_published() runs after each store that a
 * reader could see, and looks at what it would find.
 */
#ifndef BHSEC_SHIM_RCUPDATE_H
#define BHSEC_SHIM_RCUPDATE_H

struct rcu_head {
	struct rcu_head *next;
};

void shim_published(void);
void shim_free_later(void *object);

#define rcu_dereference(p) (p)
#define rcu_dereference_protected(p, c) ((void)(c), (p))
#define rcu_access_pointer(p) (p)
#define rcu_assign_pointer(p, v) do { (p) = (v); shim_published(); } while (0)
#define RCU_INIT_POINTER(p, v) rcu_assign_pointer(p, v)
#define kfree_rcu(p, head) ((void)&(p)->head, shim_free_later(p))

#endif
