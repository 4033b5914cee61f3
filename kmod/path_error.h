/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_PATH_ERROR_H
#define BHSEC_PATH_ERROR_H

#include <linux/types.h>

struct inet6_skb_parm;
struct net;
struct sk_buff;
struct sock;

int bhsec_path_error_is_ours(struct sock *sk, struct sk_buff *skb);
void bhsec_path_error_udp(const struct net *net, struct sk_buff *skb,
			  unsigned int esp);
int bhsec_path_error_esp4(struct sk_buff *skb, u32 info);
int bhsec_path_error_esp6(struct sk_buff *skb, struct inet6_skb_parm *opt,
			  u8 type, u8 code, int offset, __be32 info);

#endif
