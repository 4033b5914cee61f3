/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_XFRM_BIND_H
#define BHSEC_XFRM_BIND_H

#include <linux/types.h>

struct net;

bool bhsec_xfrm_has_spi(struct net *net, __be32 spi);

#endif
