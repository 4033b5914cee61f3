/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The code speaks the newest kernel's language; here older kernels learn it.
 * Kbuild looks for symbols and signatures and defines BHSEC_HAVE_*.
 */
#ifndef BHSEC_COMPAT_H
#define BHSEC_COMPAT_H

#include <linux/crypto.h>
#include <linux/netdevice.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <net/dst.h>
#include <net/flow.h>
#include <net/genetlink.h>
#include <net/inet_dscp.h>
#include <net/ipv6.h>
#include <net/rtnetlink.h>
#include <net/sock.h>

/* 6.5: segmentation has a header of its own. */
#ifdef BHSEC_HAVE_GSO_HEADER
#include <net/gso.h>
#endif

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

/* 6.6: tc's programs of a device have one list. */
static inline bool bhsec_has_ingress(const struct net_device *dev)
{
	bool has = false;

#ifdef BHSEC_HAVE_TCX
#ifdef CONFIG_NET_XGRESS
	has |= !!rcu_access_pointer(dev->tcx_ingress);
#endif
#elif defined(CONFIG_NET_CLS_ACT)
	has |= !!rcu_access_pointer(dev->miniq_ingress);
#endif
#ifdef CONFIG_NETFILTER_INGRESS
	has |= !!rcu_access_pointer(dev->nf_hooks_ingress);
#endif
	return has;
}

/* Which device or protocol a packet socket listens to is its own secret. */
static inline bool bhsec_has_capture(const struct net *net)
{
#if IS_ENABLED(CONFIG_PACKET)
	return !hlist_empty(&net->packet.sklist);
#else
	return false;
#endif
}

/* 6.9: receive packet steering has a header of its own. */
#ifdef BHSEC_HAVE_RPS_HEADER
#include <net/rps.h>
#endif

static inline bool bhsec_has_rps(void)
{
#ifdef CONFIG_RPS
	return static_branch_unlikely(&rps_needed);
#else
	return false;
#endif
}

/* 6.13: a route is looked up for a DSCP, not a TOS. */
#ifdef BHSEC_HAVE_ROUTE_DSCP
#define bhsec_route_input4(skb, iph) \
	ip_route_input_noref(skb, (iph)->daddr, (iph)->saddr, ip4h_dscp(iph), \
			     (skb)->dev)
#else
#define bhsec_route_input4(skb, iph) \
	ip_route_input_noref(skb, (iph)->daddr, (iph)->saddr, (iph)->tos, \
			     (skb)->dev)
#endif

/* 6.6: who hears of an ICMP error gets the payload that was sent back. */
#ifdef BHSEC_HAVE_ENCAP_ERR_PAYLOAD
#define BHSEC_ENCAP_ERR_ARGS						\
	struct sock *sk, struct sk_buff *skb, int err, __be16 port,	\
	u32 info, u8 *payload
#define BHSEC_ENCAP_ERR_PAYLOAD (payload - skb->data)
#else
#define BHSEC_ENCAP_ERR_ARGS						\
	struct sock *sk, struct sk_buff *skb, unsigned int udp_offset
#define BHSEC_ENCAP_ERR_PAYLOAD (udp_offset + sizeof(struct udphdr))
#endif

/* 6.18: a flow has a DSCP, not a TOS, of which old kernels look at a part. */
static inline void bhsec_flow4_set_class(struct flowi4 *fl, u8 tos)
{
#ifdef BHSEC_HAVE_FLOW_DSCP
	fl->flowi4_dscp = inet_dsfield_to_dscp(tos);
#else
	fl->flowi4_tos = tos & INET_DSCP_MASK;
#endif
}

/* 6.10: an XFRM state may say its direction; 0 where it does not. */
#define BHSEC_XFRM_DIR_IN 1
#ifdef BHSEC_HAVE_XFRM_DIR
#define bhsec_xfrm_dir(x) ((x)->dir)
#else
#define bhsec_xfrm_dir(x) 0
#endif

/* 6.13: an XFRM state may be of one CPU, and a policy may want one for each. */
#ifdef BHSEC_HAVE_XFRM_PCPU
#define bhsec_xfrm_cpu(x) ((x)->pcpu_num)
#else
#define bhsec_xfrm_cpu(x) ((void)(x), UINT_MAX)
#define XFRM_POLICY_CPU_ACQUIRE 0
#endif

/* 7.2: a UDP tunnel is a struct sock, and its end waits for no grace period. */
#ifdef BHSEC_HAVE_TUNNEL_SOCK
#define bhsec_tunnel_sock(socket) ((socket)->sk)
#define bhsec_tunnel_release(socket) udp_tunnel_sock_release((socket)->sk)
#else
#define bhsec_tunnel_sock(socket) (socket)

static inline void bhsec_tunnel_release(struct socket *socket)
{
	rcu_assign_sk_user_data(socket->sk, NULL);
	kernel_sock_shutdown(socket, SHUT_RDWR);
	sock_release(socket);
}
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
