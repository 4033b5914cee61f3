/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_TRAIN_H
#define BHSEC_TRAIN_H

#include <linux/types.h>

struct bhsec_outer;
struct bhsec_sa;
struct net;
struct sk_buff;

bool bhsec_train_follows(const struct bhsec_outer *outer);
void bhsec_train_send(struct net *net, struct bhsec_sa *sa,
		      const struct bhsec_outer *outer, struct sk_buff *list,
		      unsigned int count);
void bhsec_train_init(void);
void bhsec_train_exit(void);

#endif
