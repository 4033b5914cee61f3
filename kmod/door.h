/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DOOR_H
#define BHSEC_DOOR_H

struct bhsec_arrival;
struct bhsec_early;
struct net;
struct sk_buff;
struct socket;

void bhsec_door_refuse(struct sk_buff *list, const struct bhsec_arrival *arrival);
void bhsec_door_open(struct net *net, struct socket *sock,
		     struct bhsec_early *early);
int bhsec_door_init(void);
void bhsec_door_exit(void);

#endif
