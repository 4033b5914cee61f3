/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_BUFFER_H
#define BHSEC_BUFFER_H

struct sk_buff;

struct sk_buff *bhsec_buffer_alloc(unsigned int size);
void bhsec_buffer_exit(void);

#endif
