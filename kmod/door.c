// SPDX-License-Identifier: GPL-2.0
/*
 * The doors in: our own UDP socket, and the ESP protocol beside xfrm. A door
 * finds the ESP header and asks whose it is; what follows is the same for all.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/skbuff.h>
#include <linux/ip.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/udp_tunnel.h>
#include <net/xfrm.h>

#include "compat.h"
#include "device.h"
#include "door.h"
#include "esp.h"
#include "netlink.h"
#include "outer.h"
#include "peer.h"
#include "sa.h"
#include "underlay.h"

/*
 * Not UDP_ENCAP_ESPINUDP: with that type newer kernels put xfrm's own GRO in
 * front of the socket.
 */
#define ENCAP_TYPE 1

/* Above xfrmi (10) and vti (100); equal priorities are refused. */
#define ESP_PRIORITY 1000

/* Did the datagram come by the device, or its VRF, that "dev" names? */
static bool came_by(const struct sk_buff *skb, int ifindex)
{
	int slave;

	if (!ifindex || skb->dev->ifindex == ifindex ||
	    l3mdev_master_ifindex_rcu(skb->dev) == ifindex)
		return true;
	/* a VRF puts itself in place of the device that it received by */
	slave = ip_hdr(skb)->version == 4 ? inet_sdif(skb) : inet6_sdif(skb);
	return slave == ifindex;
}

static bool came_to(const struct sk_buff *skb,
		    const struct bhsec_settings *settings)
{
	if (ip_hdr(skb)->version == 4)
		return !settings->local4 ||
		       ip_hdr(skb)->daddr == settings->local4;
	return ipv6_addr_any(&settings->local6) ||
	       ipv6_addr_equal(&ipv6_hdr(skb)->daddr, &settings->local6);
}

/* The inbound SA of a datagram, NULL if it is not for us. */
static struct bhsec_sa *addressee(const struct sk_buff *skb, __be32 spi)
{
	const struct bhsec_settings *settings;
	struct bhsec_sa *sa;

	if (skb->pkt_type != PACKET_HOST)
		return NULL;
	sa = bhsec_underlay_find(dev_net(skb->dev), spi);
	if (!sa)
		return NULL;
	settings = rcu_dereference(sa->peer->bdev->settings);
	return came_by(skb, settings->ifindex) && came_to(skb, settings) ? sa : NULL;
}

/*
 * On our own port there is nobody else it could be for (RFC 4303 3.4.2): not
 * IKE with its SPI of zero (RFC 3948 2.2), nor what is too short to have one.
 */
static void drop_unknown(struct sk_buff *skb, __be32 spi)
{
	struct net *net = dev_net(skb->dev);
	struct ip_esp_hdr esp = {};

	skb_copy_bits(skb, 0, &esp, sizeof(esp));
	bhsec_stats_add(bhsec_net(net)->stats, BHSEC_A_STATS_NO_SA, 0);
	bhsec_event(BHSEC_EVENT_NO_SA, net, NULL, spi, ntohl(esp.seq_no), skb);
	kfree_skb(skb);
}

/* RFC 3948 2.3: one byte that only keeps a NAT's mapping alive. */
static bool is_keepalive(const struct sk_buff *skb)
{
	u8 byte;

	return skb->len == 1 && !skb_copy_bits(skb, 0, &byte, 1) && byte == 0xff;
}

/* Context: RCU read lock held, softirqs off. */
static int udp_door(struct sock *sk, struct sk_buff *skb)
{
	struct bhsec_sa *sa;
	__be32 spi = 0;

	__skb_pull(skb, sizeof(struct udphdr));
	if (is_keepalive(skb)) {
		consume_skb(skb);
		return 0;
	}
	skb_copy_bits(skb, 0, &spi, sizeof(spi));
	sa = addressee(skb, spi);
	if (sa)
		bhsec_esp_in(sa, skb, BHSEC_ENCAP_UDP);
	else
		drop_unknown(skb, spi);
	return 0;
}

/*
 * An ICMP error about a datagram that we may have sent: anybody can forge one,
 * so the SPI and the endpoint in it have to be those of an SA of ours. The
 * network header points to the outer header inside the error.
 */
static int udp_door_error(struct sock *sk, struct sk_buff *skb)
{
	bool is_ipv6 = ip_hdr(skb)->version == 6;
	unsigned int offset = skb_transport_offset(skb) + sizeof(struct udphdr);
	const void *daddr = is_ipv6 ? (void *)&ipv6_hdr(skb)->daddr :
				      (void *)&ip_hdr(skb)->daddr;
	__be32 spi;

	if (skb_copy_bits(skb, offset, &spi, sizeof(spi)))
		return -EINVAL;
	return bhsec_underlay_sender(sock_net(sk), spi, daddr, is_ipv6) ? 0 : -ENOENT;
}

/**
 * bhsec_door_open - have a UDP socket's datagrams come in here
 * @net: its netns
 * @sock: the socket
 *
 * Context: may sleep.
 */
void bhsec_door_open(struct net *net, struct socket *sock)
{
	struct udp_tunnel_sock_cfg config = {
		.sk_user_data = sock,
		.encap_type = ENCAP_TYPE,
		.encap_rcv = udp_door,
		.encap_err_lookup = udp_door_error,
	};

	setup_udp_tunnel_sock(net, bhsec_tunnel_sock(sock), &config);
}

/* Raw ESP: what is not ours goes on to xfrm untouched. */
static int esp_door(struct sk_buff *skb)
{
	struct bhsec_sa *sa;
	__be32 spi;

	if (skb_copy_bits(skb, 0, &spi, sizeof(spi)))
		return -EINVAL;
	sa = addressee(skb, spi);
	if (!sa)
		return -EINVAL;
	bhsec_esp_in(sa, skb, BHSEC_ENCAP_ESP);
	return 0;
}

/* ESP in UDP that came to the socket of an IKE daemon. */
static int esp_door_input(struct sk_buff *skb, int nexthdr, __be32 spi,
			  int encap_type)
{
	struct bhsec_sa *sa;

	/* ESP in TCP comes by here too */
	if (encap_type != UDP_ENCAP_ESPINUDP)
		return -EINVAL;
	/* the socket says 0 and leaves it to the handler to look */
	if (!spi && skb_copy_bits(skb, 0, &spi, sizeof(spi)))
		return -EINVAL;
	sa = addressee(skb, spi);
	if (!sa)
		return -EINVAL;
	/* it has taken the ESP header for the transport's */
	skb_set_transport_header(skb, -(int)sizeof(struct udphdr));
	bhsec_esp_in(sa, skb, BHSEC_ENCAP_UDP);
	return 0;
}

/* Zero or less would end the chain, and every xfrm tunnel with it. */
static int esp_door_callback(struct sk_buff *skb, int err)
{
	return 1;
}

static int esp4_door_error(struct sk_buff *skb, u32 info)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	struct bhsec_sa *sa = NULL;
	__be32 spi;

	if (icmp_hdr(skb)->type == ICMP_DEST_UNREACH &&
	    icmp_hdr(skb)->code == ICMP_FRAG_NEEDED &&
	    !skb_copy_bits(skb, iph->ihl * 4, &spi, sizeof(spi)))
		sa = bhsec_underlay_sender(dev_net(skb->dev), spi, &iph->daddr,
					   false);
	if (!sa)
		return -ENOENT;
	bhsec_outer_learn_mtu(sa->peer, skb, info);
	return 0;
}

static int esp6_door_error(struct sk_buff *skb, struct inet6_skb_parm *opt,
			   u8 type, u8 code, int offset, __be32 info)
{
	const struct ipv6hdr *ip6h = (const struct ipv6hdr *)skb->data;
	struct bhsec_sa *sa = NULL;
	__be32 spi;

	if (type == ICMPV6_PKT_TOOBIG &&
	    !skb_copy_bits(skb, offset, &spi, sizeof(spi)))
		sa = bhsec_underlay_sender(dev_net(skb->dev), spi, &ip6h->daddr,
					   true);
	if (!sa)
		return -ENOENT;
	bhsec_outer_learn_mtu(sa->peer, skb, ntohl(info));
	return 0;
}

static struct xfrm4_protocol esp4_door = {
	.handler = esp_door,
	.input_handler = esp_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = esp4_door_error,
	.priority = ESP_PRIORITY,
};

static struct xfrm6_protocol esp6_door = {
	.handler = esp_door,
	.input_handler = esp_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = esp6_door_error,
	.priority = ESP_PRIORITY,
};

/**
 * bhsec_door_init - stand beside xfrm as an ESP handler
 *
 * Return: 0 or a negative error.
 */
int bhsec_door_init(void)
{
	int err;

	err = xfrm4_protocol_register(&esp4_door, IPPROTO_ESP);
	if (err)
		return err;
	err = xfrm6_protocol_register(&esp6_door, IPPROTO_ESP);
	if (err)
		xfrm4_protocol_deregister(&esp4_door, IPPROTO_ESP);
	return err;
}

/**
 * bhsec_door_exit - the reverse of bhsec_door_init()
 *
 * Context: may sleep; packets have left the doors on return.
 */
void bhsec_door_exit(void)
{
	xfrm6_protocol_deregister(&esp6_door, IPPROTO_ESP);
	xfrm4_protocol_deregister(&esp4_door, IPPROTO_ESP);
}
