/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_BATCH_DOOR_H
#define BHSEC_BATCH_DOOR_H

struct net;
struct nf_hook_state;
struct sk_buff;

unsigned int bhsec_batch_door(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);
int bhsec_batch_door_open(struct net *net);
void bhsec_batch_door_close(struct net *net);

#endif
