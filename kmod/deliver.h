/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_DELIVER_H
#define BHSEC_DELIVER_H

struct bhsec_sa;
struct sk_buff;

void bhsec_deliver(struct bhsec_sa *sa, struct sk_buff *list);
void bhsec_deliver_init(void);
void bhsec_deliver_exit(void);

#endif
