// SPDX-License-Identifier: GPL-2.0
/*
 * Events out: RFC 4303's auditable events, the ends of an SA's life, and what is
 * configured.
 */
#include <linux/netdevice.h>

#include "arrival.h"
#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "netlink_room.h"
#include "sa.h"
#include "underlay.h"

/* Anybody can send bad packets; an operator needs to see some of them. */
#define EVENTS_PER_SECOND 20

/**
 * bhsec_event_limit_init - begin to count events
 * @limit: nobody counts with it yet
 */
void bhsec_event_limit_init(struct bhsec_event_limit *limit)
{
	spin_lock_init(&limit->lock);
}

/*
 * May an event be sent now? @suppressed gets the number of those that were
 * held back since the last one.
 */
static bool within_limit(struct bhsec_event_limit *limit, u32 *suppressed)
{
	bool within;

	spin_lock_bh(&limit->lock);
	within = bhsec_limit_allows(&limit->sent, EVENTS_PER_SECOND);
	if (within) {
		*suppressed = limit->suppressed;
		limit->suppressed = 0;
	} else {
		limit->suppressed++;
	}
	spin_unlock_bh(&limit->lock);
	return within;
}

static int put_sa(struct sk_buff *msg, const struct bhsec_sa *sa)
{
	const struct net_device *dev = sa->peer->bdev->dev;

	if (nla_put_u32(msg, BHSEC_A_EVENT_IFINDEX, dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_EVENT_IFNAME, dev->name) ||
	    nla_put_string(msg, BHSEC_A_EVENT_PEER, sa->peer->name) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_DIRECTION,
			sa->outbound ? BHSEC_DIRECTION_OUT : BHSEC_DIRECTION_IN))
		return -EMSGSIZE;
	return 0;
}

static int put_addresses(struct sk_buff *msg, const struct bhsec_arrival *arrival)
{
	int len = arrival->is_ipv6 ? 16 : 4;

	return nla_put(msg, BHSEC_A_EVENT_SRC, len, &arrival->saddr) ?:
	       nla_put(msg, BHSEC_A_EVENT_DST, len, &arrival->daddr);
}

/* @from: who sent an ICMP error, of the family of @arrival; or NULL. */
static int put_event(struct sk_buff *msg, u32 event, const struct bhsec_sa *sa,
		     __be32 spi, u64 seq, const struct bhsec_arrival *arrival,
		     const void *from)
{
	if (nla_put_u32(msg, BHSEC_A_EVENT_EVENT, event) ||
	    (sa && put_sa(msg, sa)) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_SPI, be32_to_cpu(spi)) ||
	    nla_put_u64_64bit(msg, BHSEC_A_EVENT_SEQ, seq, BHSEC_A_EVENT_PAD) ||
	    (arrival && put_addresses(msg, arrival)) ||
	    (from && nla_put(msg, BHSEC_A_EVENT_FROM, arrival->is_ipv6 ? 16 : 4,
			     from)))
		return -EMSGSIZE;
	return 0;
}

static struct sk_buff *event_begin(void **header)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_ATOMIC);

	if (!msg)
		return NULL;
	*header = genlmsg_put(msg, 0, 0, &bhsec_nl_family, 0, BHSEC_CMD_EVENT);
	if (*header)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* @err: what was put into it does not fit. */
static void event_end(struct net *net, struct sk_buff *msg, void *header, int err)
{
	if (err) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, header);
	genlmsg_multicast_netns(&bhsec_nl_family, net, msg, 0, BHSEC_NL_EVENTS,
				GFP_ATOMIC);
}

/* Each device has limits of its own: nobody's noise hides what others hear. */
static struct bhsec_event_limit *limit_of(u32 event, const struct net *underlay,
					  const struct bhsec_sa *sa)
{
	return sa ? &sa->peer->bdev->limits[event] : &bhsec_net(underlay)->limit;
}

static void send_event(u32 event, struct net *underlay, struct bhsec_sa *sa,
		       __be32 spi, u64 seq, const struct bhsec_arrival *arrival,
		       const void *from)
{
	struct net *net = sa ? dev_net(sa->peer->bdev->dev) : underlay;
	u32 suppressed = 0;
	struct sk_buff *msg;
	void *header;

	if (!genl_has_listeners(&bhsec_nl_family, net, BHSEC_NL_EVENTS))
		return;
	if (event < BHSEC_EVENT_LIMITED &&
	    !within_limit(limit_of(event, underlay, sa), &suppressed))
		return;
	msg = event_begin(&header);
	if (!msg)
		return;
	event_end(net, msg, header,
		  put_event(msg, event, sa, spi, seq, arrival, from) ?:
		  nla_put_u32(msg, BHSEC_A_EVENT_SUPPRESSED, suppressed));
}

/**
 * bhsec_event - tell userspace
 * @event: BHSEC_EVENT_*
 * @underlay: netns of the datagram
 * @sa: whose event it is, NULL if nobody's
 * @spi: network byte order
 * @seq: sequence number, as far as it is known
 * @arrival: the outer packet, or NULL
 *
 * It goes to the netns of the device, or to the underlay's if there is none.
 *
 * Context: any but hard interrupts; RCU read lock held.
 */
void bhsec_event(u32 event, struct net *underlay, struct bhsec_sa *sa,
		 __be32 spi, u64 seq, const struct bhsec_arrival *arrival)
{
	send_event(event, underlay, sa, spi, seq, arrival, NULL);
}

/**
 * bhsec_event_path_error - tell userspace of an ICMP error
 * @event: BHSEC_EVENT_ICMP_*
 * @sa: the SA that sent what the error is about
 * @seq: its sequence number, 32 bits
 * @quoted: its outer packet
 * @from: address of who sent the error, of the same family
 *
 * Context: any but hard interrupts; RCU read lock held.
 */
void bhsec_event_path_error(u32 event, struct bhsec_sa *sa, u64 seq,
			    const struct bhsec_arrival *quoted, const void *from)
{
	struct net *underlay = rcu_dereference(sa->peer->bdev->underlay);

	if (underlay)
		send_event(event, underlay, sa, sa->spi, seq, quoted, from);
}

/**
 * bhsec_event_sa - tell userspace of a turn in the life of an SA
 * @event: BHSEC_EVENT_*
 * @sa: the SA
 *
 * Context: any but hard interrupts.
 */
void bhsec_event_sa(u32 event, struct bhsec_sa *sa)
{
	struct net *underlay;

	rcu_read_lock();
	underlay = rcu_dereference(sa->peer->bdev->underlay);
	if (underlay)
		bhsec_event(event, underlay, sa, sa->spi, bhsec_sa_seq(sa), NULL);
	rcu_read_unlock();
}

static int put_refused(struct sk_buff *msg, const struct net_device *dev,
		       __be32 spi, const char *reason)
{
	if (nla_put_u32(msg, BHSEC_A_EVENT_EVENT, BHSEC_EVENT_REFUSED) ||
	    nla_put_u32(msg, BHSEC_A_EVENT_IFINDEX, dev->ifindex) ||
	    nla_put_string(msg, BHSEC_A_EVENT_IFNAME, dev->name) ||
	    (spi && nla_put_u32(msg, BHSEC_A_EVENT_SPI, be32_to_cpu(spi))) ||
	    nla_put_string(msg, BHSEC_A_EVENT_REASON, reason))
		return -EMSGSIZE;
	return 0;
}

static void send_refused(struct net *net, const struct net_device *dev,
			 __be32 spi, const char *reason)
{
	struct sk_buff *msg;
	void *header;

	if (!genl_has_listeners(&bhsec_nl_family, net, BHSEC_NL_EVENTS))
		return;
	msg = event_begin(&header);
	if (msg)
		event_end(net, msg, header, put_refused(msg, dev, spi, reason));
}

/**
 * bhsec_event_refused - tell userspace that a device cannot take a state
 * @bdev: the device
 * @spi: network byte order, 0 for a policy
 * @reason: one sentence
 *
 * Context: any but hard interrupts.
 */
void bhsec_event_refused(struct bhsec_device *bdev, __be32 spi,
			 const char *reason)
{
	rcu_read_lock();
	send_refused(dev_net(bdev->dev), bdev->dev, spi, reason);
	rcu_read_unlock();
}

/* The device's netns, held, if anybody there wants to hear of configuration. */
static struct net *listening(const struct bhsec_device *bdev)
{
	struct net *net;

	rcu_read_lock();
	net = maybe_get_net(dev_net(bdev->dev));
	rcu_read_unlock();
	if (!net || genl_has_listeners(&bhsec_nl_family, net, BHSEC_NL_CONFIG))
		return net;
	put_net(net);
	return NULL;
}

/*
 * What some of those who may listen in a netns lack: they have CAP_NET_ADMIN
 * there, which for the underlay may be another's.
 */
static u32 listeners_lack(const struct bhsec_device *bdev, const struct net *net)
{
	const struct net *underlay;

	underlay = rcu_dereference_protected(bdev->underlay,
					     lockdep_is_held(&bdev->lock));
	return underlay && underlay->user_ns != net->user_ns ?
	       BHSEC_PRIVILEGE_UNDERLAY : 0;
}

static struct sk_buff *config_message(u8 cmd, bhsec_nl_put_t *put, void *object,
				      u32 lacks)
{
	struct sk_buff *msg = genlmsg_new(BHSEC_NL_OBJECT_MAX, GFP_KERNEL);
	void *header;

	if (!msg)
		return NULL;
	header = genlmsg_put(msg, 0, 0, &bhsec_nl_family, 0, cmd);
	if (header && !put(msg, object, lacks)) {
		genlmsg_end(msg, header);
		return msg;
	}
	nlmsg_free(msg);
	return NULL;
}

/*
 * No limit: only who may change the configuration brings these about, and who
 * listens would have to ask for all to know what one was about.
 */
static void notify(struct bhsec_device *bdev, u8 cmd, bhsec_nl_put_t *put,
		   void *object)
{
	struct sk_buff *msg;
	struct net *net;

	lockdep_assert_held(&bdev->lock);
	net = listening(bdev);
	if (!net)
		return;
	msg = config_message(cmd, put, object, listeners_lack(bdev, net));
	if (msg)
		genlmsg_multicast_netns(&bhsec_nl_family, net, msg, 0,
					BHSEC_NL_CONFIG, GFP_KERNEL);
	else
		genl_set_err(&bhsec_nl_family, net, 0, BHSEC_NL_CONFIG, -ENOBUFS);
	put_net(net);
}

/**
 * bhsec_notify_device - tell userspace that the settings of a device are others
 * @bdev: the device
 *
 * As the others it goes to the netns of the device; who cannot be told gets
 * ENOBUFS.
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_notify_device(struct bhsec_device *bdev)
{
	notify(bdev, BHSEC_CMD_DEV_SET_NTF, bhsec_nl_put_device, bdev);
}

/**
 * bhsec_notify_peer - tell userspace what has become of a peer
 * @cmd: BHSEC_CMD_PEER_*_NTF
 * @peer: the peer
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_notify_peer(u8 cmd, struct bhsec_peer *peer)
{
	notify(peer->bdev, cmd, bhsec_nl_put_peer, peer);
}

/**
 * bhsec_notify_sa - tell userspace what has become of an SA
 * @cmd: BHSEC_CMD_SA_*_NTF
 * @sa: the SA
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_notify_sa(u8 cmd, struct bhsec_sa *sa)
{
	notify(sa->peer->bdev, cmd, bhsec_nl_put_sa, sa);
}
