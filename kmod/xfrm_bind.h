/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XFRM_BIND_H
#define BHSEC_XFRM_BIND_H

#include <linux/types.h>

struct bhsec_arrival;
struct bhsec_binding;
struct bhsec_borrowed;
struct bhsec_bound;
struct bhsec_device;
struct bhsec_net;
struct bhsec_peer;
struct bhsec_sa;
struct netlink_ext_ack;
struct sk_buff;
struct bhsec_inner;

struct bhsec_binding *bhsec_binding_make(struct bhsec_device *bdev, u32 if_id,
					 bool shared,
					 struct netlink_ext_ack *extack);
void bhsec_binding_set(struct bhsec_device *bdev, struct bhsec_binding *binding);
void bhsec_binding_end(struct bhsec_binding *binding);
void bhsec_bindings_begin(struct bhsec_net *bnet);
void bhsec_bindings_end(struct bhsec_net *bnet);
void bhsec_bindings_retry(const struct bhsec_device *bdev);
int bhsec_binding_put_nl(struct sk_buff *msg, const struct bhsec_binding *binding,
			 bool whole);

int bhsec_bound_put_ports(struct sk_buff *msg, const struct bhsec_bound *bound);
u32 bhsec_bound_reqid(const struct bhsec_bound *bound);
void bhsec_bound_free(struct bhsec_bound *bound);
void bhsec_bound_ask(struct bhsec_peer *peer, struct sk_buff *skb,
		     const struct bhsec_inner *inner);
void bhsec_bound_mapped(struct bhsec_sa *sa, const struct bhsec_arrival *arrival);

void bhsec_borrowed_take(struct bhsec_borrowed *borrowed);
void bhsec_borrowed_return(struct bhsec_borrowed *borrowed);
bool bhsec_wait_out(struct bhsec_peer *peer, struct sk_buff *skb);
bool bhsec_wait_for_key(struct bhsec_peer *peer, struct sk_buff *skb);
bool bhsec_wait_in(struct sk_buff *skb, const struct bhsec_arrival *arrival);
int bhsec_borrowed_reserve(struct bhsec_sa *sa, unsigned int *count,
			   unsigned int unit, unsigned int bytes, u64 *seq);
int bhsec_borrowed_receive(struct bhsec_sa *sa, unsigned int count,
			   unsigned int bytes, u64 top);

int bhsec_bind_init(void);
void bhsec_bind_exit(void);

#endif
