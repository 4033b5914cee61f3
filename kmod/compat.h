/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The code speaks the newest kernel's language; here older kernels learn it.
 * Kbuild looks for symbols and signatures and defines BHSEC_HAVE_*.
 */
#ifndef BHSEC_COMPAT_H
#define BHSEC_COMPAT_H

#include <linux/crypto.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/dst.h>
#include <net/genetlink.h>
#include <net/ipv6.h>
#include <net/rtnetlink.h>

/* 7.0: an allocation takes its size from the object. */
#ifndef kzalloc_obj
#define kzalloc_obj(object, gfp) kzalloc(sizeof(object), gfp)
#endif

/* 6.3: the completion of a request gets its data, not the request. */
#ifdef BHSEC_HAVE_CRYPTO_DATA
#define bhsec_crypto_arg void

static inline void *bhsec_crypto_data(bhsec_crypto_arg *arg)
{
	return arg;
}
#else
#define bhsec_crypto_arg struct crypto_async_request

static inline void *bhsec_crypto_data(bhsec_crypto_arg *arg)
{
	return arg->data;
}
#endif

/* 6.11: lockless transmission is a member, not a feature. */
static inline void bhsec_set_lltx(struct net_device *dev)
{
#ifdef BHSEC_HAVE_DEV_LLTX
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/* 6.8: the core allocates a device's per-CPU statistics. */
static inline int bhsec_alloc_tstats(struct net_device *dev)
{
#ifdef BHSEC_HAVE_PCPU_STAT_TYPE
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	return 0;
#else
	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	return dev->tstats ? 0 : -ENOMEM;
#endif
}

static inline void bhsec_free_tstats(struct net_device *dev)
{
#ifndef BHSEC_HAVE_PCPU_STAT_TYPE
	free_percpu(dev->tstats);
#endif
}

/* 6.15: newlink() gets its arguments in a struct. */
#ifdef BHSEC_HAVE_NEWLINK_PARAMS
#define BHSEC_NEWLINK_ARGS						\
	struct net_device *dev, struct rtnl_newlink_params *params,	\
	struct netlink_ext_ack *extack
#define BHSEC_NEWLINK_NET rtnl_newlink_link_net(params)
#else
#define BHSEC_NEWLINK_ARGS						\
	struct net *src_net, struct net_device *dev,			\
	struct nlattr *tb[], struct nlattr *data[],			\
	struct netlink_ext_ack *extack
#define BHSEC_NEWLINK_NET src_net
#endif

/* 6.5: dst_init() counts the first reference by itself. */
#ifndef BHSEC_HAVE_DST_INIT_5
#define dst_init(dst, ops, dev, obsolete, flags) \
	dst_init(dst, ops, dev, 1, obsolete, flags)
#endif

/* 6.6: a dump has the same struct genl_info as a request. */
static inline struct nlattr **bhsec_dump_attrs(struct netlink_callback *cb)
{
#ifdef BHSEC_HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* 7.2: a UDP tunnel is a struct sock. */
#ifdef BHSEC_HAVE_TUNNEL_SOCK
#define bhsec_tunnel_sock(socket) ((socket)->sk)
#else
#define bhsec_tunnel_sock(socket) (socket)
#endif

/* 7.2: IPv6 is no module and has no stubs. */
#ifdef BHSEC_HAVE_IPV6_STUB
#include <net/ipv6_stubs.h>
#define bhsec_route_ipv6(net, fl) \
	ipv6_stub->ipv6_dst_lookup_flow(net, NULL, fl, NULL)
#else
#define bhsec_route_ipv6(net, fl) ip6_dst_lookup_flow(net, NULL, fl, NULL)
#endif

#endif
