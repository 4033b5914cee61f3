// SPDX-License-Identifier: GPL-2.0
/*
 * The doors in: our own UDP socket, and the ESP protocol beside xfrm. A door
 * finds the ESP header and writes down what it knows of the outer packet; what
 * follows is the same for all.
 */
#include <linux/skbuff.h>
#include <linux/ip.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/udp_tunnel.h>
#include <net/xfrm.h>

#include "arrival.h"
#include "compat.h"
#include "door.h"
#include "early.h"
#include "esp.h"
#include "netlink.h"
#include "path_error.h"
#include "trace.h"
#include "underlay.h"
#include "xfrm_bind.h"
#include "xfrm_sad.h"

/*
 * Not UDP_ENCAP_ESPINUDP: with that type newer kernels put xfrm's own GRO in
 * front of the socket.
 */
#define ENCAP_TYPE 1

/* Above xfrmi (10) and vti (100); equal priorities are refused. */
#define ESP_PRIORITY 1000
/* Behind vti, which asks the SAD in its own way; xfrmi and esp pass nothing on. */
#define UNKNOWN_PRIORITY 50

/* @uh: its UDP header, NULL for raw ESP. */
static void note_arrival(struct bhsec_arrival *arrival,
			 const struct sk_buff *skb, const struct udphdr *uh)
{
	int slave = ip_hdr(skb)->version == 6 ? inet6_sdif(skb) : inet_sdif(skb);

	/* a VRF puts itself in place of the device that it received by */
	bhsec_arrival_note(arrival, skb, uh, slave ?: skb->dev->ifindex);
}

/* Raw ESP. */
static void note_raw(struct bhsec_arrival *arrival, const struct sk_buff *skb)
{
	note_arrival(arrival, skb, NULL);
	arrival->xfrm_next = true;
}

/*
 * The socket has pulled it, and takes the ESP header for the transport's. Of many
 * in one packet, which UDP has taken apart, each still leads to the next.
 */
static void note_daemons(struct bhsec_arrival *arrival, struct sk_buff *skb)
{
	skb_mark_not_on_list(skb);
	note_arrival(arrival, skb,
		     (struct udphdr *)(skb->data - sizeof(struct udphdr)));
	arrival->xfrm_next = true;
}

/* RFC 4303 3.4.2. */
static void audit_unknown(const struct sk_buff *skb,
			  const struct bhsec_arrival *arrival)
{
	struct net *net = dev_net(skb->dev);
	struct ip_esp_hdr esp = {};

	skb_copy_bits(skb, 0, &esp, min_t(int, skb->len, sizeof(esp)));
	bhsec_traffic_add(bhsec_net(net)->no_sa, 1, 0);
	trace_bhsec_drop(NULL, NULL, esp.spi, false, BHSEC_A_STATS_NO_SA, 1);
	bhsec_event(BHSEC_EVENT_NO_SA, net, NULL, esp.spi, ntohl(esp.seq_no),
		    arrival);
}

/**
 * bhsec_door_refuse - datagrams are nobody's
 * @list: datagrams, linked by their next; data starts at the ESP header; consumed
 * @arrival: their outer packet
 *
 * Context: RCU read lock held, softirqs off.
 */
void bhsec_door_refuse(struct sk_buff *list, const struct bhsec_arrival *arrival)
{
	struct sk_buff *skb, *next;

	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		audit_unknown(skb, arrival);
		kfree_skb(skb);
	}
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
	struct bhsec_arrival arrival;

	bhsec_early_missed(sk, skb);
	note_arrival(&arrival, skb, udp_hdr(skb));
	__skb_pull(skb, sizeof(struct udphdr));
	if (is_keepalive(skb)) {
		consume_skb(skb);
		return 0;
	}
	skb = bhsec_early_split(skb);
	if (skb)
		skb = bhsec_esp_in(skb, &arrival);
	/*
	 * On our own port there is nobody else it could be for: not IKE with
	 * its SPI of zero (RFC 3948 2.2), nor what is too short to have one.
	 */
	if (skb)
		bhsec_door_refuse(skb, &arrival);
	return 0;
}

static void udp_door_error(BHSEC_ENCAP_ERR_ARGS)
{
	bhsec_path_error_udp(sock_net(sk), skb, BHSEC_ENCAP_ERR_PAYLOAD);
}

/**
 * bhsec_door_open - have a UDP socket's datagrams come in here
 * @net: its netns
 * @sock: the socket
 * @early: of the socket; stays a grace period longer than it
 *
 * Context: may sleep.
 */
void bhsec_door_open(struct net *net, struct socket *sock,
		     struct bhsec_early *early)
{
	struct udp_tunnel_sock_cfg config = {
		.sk_user_data = early,
		.encap_type = ENCAP_TYPE,
		.encap_rcv = udp_door,
		.encap_err_lookup = bhsec_path_error_is_ours,
		.encap_err_rcv = udp_door_error,
		.gro_receive = bhsec_early_receive,
		.gro_complete = bhsec_early_complete,
	};

	setup_udp_tunnel_sock(net, bhsec_tunnel_sock(sock), &config);
	/* a path MTU is learned for the class that was sent, not the socket's */
	if (sock->sk->sk_family == AF_INET)
		ip_sock_set_mtu_discover(sock->sk, IP_PMTUDISC_OMIT);
	/* or the stack would take apart what GRO has put together */
	udp_set_bit(ACCEPT_L4, sock->sk);
}

/* What is not ours, nor about to be, goes on to xfrm untouched. */
static int take(struct sk_buff *skb, const struct bhsec_arrival *arrival)
{
	return bhsec_esp_in(skb, arrival) && !bhsec_wait_in(skb, arrival) ?
	       -EINVAL : 0;
}

static int esp_door(struct sk_buff *skb)
{
	struct bhsec_arrival arrival;

	note_raw(&arrival, skb);
	return take(skb, &arrival);
}

/* ESP in UDP that came to the socket of an IKE daemon. */
static int esp_door_input(struct sk_buff *skb, int nexthdr, __be32 spi,
			  int encap_type)
{
	struct bhsec_arrival arrival;

	/* ESP in TCP comes by here too */
	if (encap_type != UDP_ENCAP_ESPINUDP)
		return -EINVAL;
	note_daemons(&arrival, skb);
	return take(skb, &arrival);
}

/* Zero or less would end the chain, and every xfrm tunnel with it. */
static int esp_door_callback(struct sk_buff *skb, int err)
{
	return 1;
}

/* By whatever encapsulation: xfrm has no state for it. */
static bool is_taken(struct sk_buff *skb, struct bhsec_arrival *arrival)
{
	arrival->xfrm_next = false;
	return !bhsec_esp_in(skb, arrival);
}

/*
 * Raw ESP that is not ours: what xfrm takes is its own, and what has an SA of
 * ours that is in UDP is dropped. The rest is nobody's: it goes on, to be counted
 * by xfrm where that is loaded, or to be answered by an ICMP error.
 */
static int unknown_door(struct sk_buff *skb)
{
	struct bhsec_arrival arrival;
	__be32 spi = 0;

	if (!bhsec_net(dev_net(skb->dev)))
		return -EINVAL;
	skb_copy_bits(skb, 0, &spi, sizeof(spi));
	note_raw(&arrival, skb);
	if (bhsec_xfrm_takes(skb, spi, &arrival))
		return -EINVAL;
	if (is_taken(skb, &arrival))
		return 0;
	audit_unknown(skb, &arrival);
	return -EINVAL;
}

/*
 * A daemon's socket: what has no SPI of ours is between it and xfrm. A peer in UDP
 * may send there, too.
 */
static int unknown_door_input(struct sk_buff *skb, int nexthdr, __be32 spi,
			      int encap_type)
{
	struct bhsec_arrival arrival;

	if (encap_type != UDP_ENCAP_ESPINUDP)
		return -EINVAL;
	skb_copy_bits(skb, 0, &spi, sizeof(spi));
	if (!bhsec_underlay_find(dev_net(skb->dev), spi))
		return -EINVAL;
	note_daemons(&arrival, skb);
	return !bhsec_xfrm_takes(skb, spi, &arrival) &&
	       is_taken(skb, &arrival) ? 0 : -EINVAL;
}

static int unknown4_door_error(struct sk_buff *skb, u32 info)
{
	return -ENOENT;
}

static int unknown6_door_error(struct sk_buff *skb, struct inet6_skb_parm *opt,
			       u8 type, u8 code, int offset, __be32 info)
{
	return -ENOENT;
}

static struct xfrm4_protocol esp4_door = {
	.handler = esp_door,
	.input_handler = esp_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = bhsec_path_error_esp4,
	.priority = ESP_PRIORITY,
};

static struct xfrm6_protocol esp6_door = {
	.handler = esp_door,
	.input_handler = esp_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = bhsec_path_error_esp6,
	.priority = ESP_PRIORITY,
};

static struct xfrm4_protocol unknown4_door = {
	.handler = unknown_door,
	.input_handler = unknown_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = unknown4_door_error,
	.priority = UNKNOWN_PRIORITY,
};

static struct xfrm6_protocol unknown6_door = {
	.handler = unknown_door,
	.input_handler = unknown_door_input,
	.cb_handler = esp_door_callback,
	.err_handler = unknown6_door_error,
	.priority = UNKNOWN_PRIORITY,
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
		goto deregister_esp4;
	err = xfrm4_protocol_register(&unknown4_door, IPPROTO_ESP);
	if (err)
		goto deregister_esp6;
	err = xfrm6_protocol_register(&unknown6_door, IPPROTO_ESP);
	if (err)
		goto deregister_unknown4;
	return 0;

deregister_unknown4:
	xfrm4_protocol_deregister(&unknown4_door, IPPROTO_ESP);
deregister_esp6:
	xfrm6_protocol_deregister(&esp6_door, IPPROTO_ESP);
deregister_esp4:
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
	xfrm6_protocol_deregister(&unknown6_door, IPPROTO_ESP);
	xfrm4_protocol_deregister(&unknown4_door, IPPROTO_ESP);
	xfrm6_protocol_deregister(&esp6_door, IPPROTO_ESP);
	xfrm4_protocol_deregister(&esp4_door, IPPROTO_ESP);
}
