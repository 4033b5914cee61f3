// SPDX-License-Identifier: GPL-2.0
/*
 * What bhsec keeps of an underlay netns: its SAs by SPI, its UDP ports.
 */
#include <linux/hashtable.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/udp_tunnel.h>

#include "compat.h"
#include "device.h"
#include "door.h"
#include "endpoint.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_bind.h"

static unsigned int bhsec_net_id __read_mostly;

static const struct rhashtable_params inbound_params = {
	.key_len = sizeof_field(struct bhsec_sa, spi),
	.key_offset = offsetof(struct bhsec_sa, spi),
	.head_offset = offsetof(struct bhsec_sa, in_node),
	.automatic_shrinking = true,
};

/*
 * SPI -> outbound SAs of every netns. The far ends choose these SPIs, so some
 * are the same, and all may be where somebody wills it: then an rhltable would
 * walk them all to delete one, under rtnl where a device goes.
 */
static DEFINE_HASHTABLE(outbound, 12);
static DEFINE_SPINLOCK(outbound_lock);

/**
 * struct bhsec_port - UDP sockets of one port in one netns
 * @list: in bhsec_net.ports
 * @users: devices that have SAs here, under bhsec_net.lock
 * @port: host byte order
 * @ifindex: bound to this device, 0 is none
 * @mark: of the sockets, for the routes of ICMP errors
 * @sock: IPv4 and IPv6; the latter is NULL where the kernel has no IPv6
 */
struct bhsec_port {
	struct list_head list;
	unsigned int users;
	u16 port;
	int ifindex;
	u32 mark;
	struct socket *sock[2];
};

/**
 * bhsec_net - bhsec's part of a netns
 * @net: the netns
 *
 * Return: valid as long as the netns.
 */
struct bhsec_net *bhsec_net(const struct net *net)
{
	return net_generic(net, bhsec_net_id);
}

/**
 * bhsec_net_add_device - a device gets its underlay
 * @net: the underlay netns
 * @bdev: the device; it leaves the list by itself
 *
 * Context: rtnl is held.
 */
void bhsec_net_add_device(struct net *net, struct bhsec_device *bdev)
{
	struct bhsec_net *bnet = bhsec_net(net);

	ASSERT_RTNL();
	list_add(&bdev->list, &bnet->devices);
	bnet->used = true;
}

/**
 * bhsec_underlay_find - the inbound SA of an SPI
 * @net: underlay netns
 * @spi: network byte order
 *
 * Context: RCU read lock held.
 * Return: the SA or NULL.
 */
struct bhsec_sa *bhsec_underlay_find(const struct net *net, __be32 spi)
{
	return rhashtable_lookup(&bhsec_net(net)->inbound, &spi, inbound_params);
}

/**
 * bhsec_underlay_sender - an outbound SA of this SPI and endpoint
 * @net: underlay netns
 * @spi: network byte order
 * @addr: address of the endpoint, network byte order
 * @is_ipv6: its family
 *
 * Context: RCU read lock held.
 * Return: the SA or NULL.
 */
struct bhsec_sa *bhsec_underlay_sender(const struct net *net, __be32 spi,
				       const void *addr, bool is_ipv6)
{
	const struct bhsec_endpoint *endpoint;
	struct bhsec_sa *sa;

	hash_for_each_possible_rcu(outbound, sa, out_node, (__force u32)spi) {
		if (sa->spi != spi ||
		    rcu_access_pointer(sa->peer->bdev->underlay) != net)
			continue;
		endpoint = rcu_dereference(sa->peer->endpoint);
		if (endpoint && endpoint->is_ipv6 == is_ipv6 &&
		    !memcmp(&endpoint->addr, addr, is_ipv6 ? 16 : 4))
			return sa;
	}
	return NULL;
}

/**
 * bhsec_underlay_any_sent - has an SA of any netns made this packet
 * @esp: its first BHSEC_ESP_HEAD bytes
 * @known: goes up by one where it is not, but the SPI is one that we send to
 *
 * The IV is the sequence number XOR a secret: nobody else can make a pair that
 * fits, and have the packets of others taken for ours.
 *
 * Context: RCU read lock held. All SAs of the SPI are asked: not for every
 * packet.
 * Return: true if so.
 */
bool bhsec_underlay_any_sent(const u8 *esp, unsigned int *known)
{
	bool is_known = false;
	struct bhsec_sa *sa;
	__be32 spi, low;
	__be64 iv;
	u64 seq;

	memcpy(&spi, esp, sizeof(spi));
	memcpy(&low, esp + 4, sizeof(low));
	memcpy(&iv, esp + 8, sizeof(iv));
	hash_for_each_possible_rcu(outbound, sa, out_node, (__force u32)spi) {
		if (sa->spi != spi)
			continue;
		is_known = true;
		seq = be64_to_cpu(iv) ^ sa->iv_mask;
		if (lower_32_bits(seq) == be32_to_cpu(low) && seq <= bhsec_sa_seq(sa))
			return true;
	}
	*known += is_known;
	return false;
}

static int open_socket(struct net *net, struct bhsec_port *port, bool is_ipv6)
{
	struct udp_port_cfg config = {
		.family = is_ipv6 ? AF_INET6 : AF_INET,
		.local_udp_port = htons(port->port),
		.bind_ifindex = port->ifindex,
		.use_udp_checksums = true,
		.use_udp6_tx_checksums = true,
		.use_udp6_rx_checksums = true,
		.ipv6_v6only = true,
	};
	struct socket *sock;
	int err;

	err = udp_sock_create(net, &config, &sock);
	if (is_ipv6 && (err == -EAFNOSUPPORT || err == -EPFNOSUPPORT))
		return 0;
	if (err)
		return err;
	WRITE_ONCE(sock->sk->sk_mark, port->mark);
	bhsec_door_open(net, sock);
	port->sock[is_ipv6] = sock;
	return 0;
}

static void close_port(struct bhsec_port *port)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(port->sock); i++)
		if (port->sock[i])
			udp_tunnel_sock_release(bhsec_tunnel_sock(port->sock[i]));
	list_del(&port->list);
	kfree(port);
}

static struct bhsec_port *open_port(struct net *net,
				    const struct bhsec_settings *settings,
				    struct netlink_ext_ack *extack)
{
	struct bhsec_port *port;
	int err;

	port = kzalloc_obj(*port, GFP_KERNEL_ACCOUNT);
	if (!port)
		return ERR_PTR(-ENOMEM);
	port->port = settings->port;
	port->ifindex = settings->ifindex;
	port->mark = settings->mark;
	list_add(&port->list, &bhsec_net(net)->ports);
	err = open_socket(net, port, false);
	if (!err)
		err = open_socket(net, port, true);
	if (!err)
		return port;
	if (err == -EADDRINUSE)
		NL_SET_ERR_MSG(extack, "another socket has the device's UDP port");
	else
		NL_SET_ERR_MSG(extack, "the device's UDP port cannot be opened");
	close_port(port);
	return ERR_PTR(err);
}

static struct bhsec_port *find_port(struct bhsec_net *bnet,
				    const struct bhsec_settings *settings)
{
	struct bhsec_port *port;

	lockdep_assert_held(&bnet->lock);
	list_for_each_entry(port, &bnet->ports, list)
		if (port->port == settings->port &&
		    port->ifindex == settings->ifindex)
			return port;
	return NULL;
}

static struct bhsec_port *get_port(struct net *net,
				   const struct bhsec_settings *settings,
				   struct netlink_ext_ack *extack)
{
	struct bhsec_net *bnet = bhsec_net(net);
	struct bhsec_port *port;

	mutex_lock(&bnet->lock);
	port = find_port(bnet, settings);
	if (!port) {
		port = open_port(net, settings, extack);
	} else if (port->mark != settings->mark) {
		NL_SET_ERR_MSG(extack, "a bhsec device with another fwmark has the UDP port");
		port = ERR_PTR(-EADDRINUSE);
	}
	if (!IS_ERR(port))
		port->users++;
	mutex_unlock(&bnet->lock);
	return port;
}

static void put_port(struct net *net, struct bhsec_port *port)
{
	struct bhsec_net *bnet = bhsec_net(net);

	mutex_lock(&bnet->lock);
	if (!--port->users)
		close_port(port);
	mutex_unlock(&bnet->lock);
}

static struct net *underlay_of(struct bhsec_device *bdev)
{
	return rcu_dereference_protected(bdev->underlay,
					 lockdep_is_held(&bdev->lock));
}

/**
 * bhsec_port_move - have the device's sockets follow new settings
 * @bdev: the device
 * @settings: the new settings; the device still has the old ones
 * @extack: for the sentence of a refusal
 *
 * Two sockets of one port cannot be bound to "any" and to a device at once, so
 * the old ones close first; datagrams that arrive in between are lost.
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; the old sockets are open again then, unless
 * somebody took the port meanwhile: the next SA tries again.
 */
int bhsec_port_move(struct bhsec_device *bdev,
		    const struct bhsec_settings *settings,
		    struct netlink_ext_ack *extack)
{
	const struct bhsec_settings *old = bhsec_device_settings(bdev);
	struct net *net = underlay_of(bdev);
	struct bhsec_port *port;

	if (!bdev->udp_sas ||
	    (bdev->port && settings->port == old->port &&
	     settings->ifindex == old->ifindex && settings->mark == old->mark))
		return 0;
	if (bdev->port)
		put_port(net, bdev->port);
	port = get_port(net, settings, extack);
	if (!IS_ERR(port)) {
		bdev->port = port;
		return 0;
	}
	bdev->port = get_port(net, old, NULL);
	if (IS_ERR(bdev->port)) {
		netdev_warn(bdev->dev, "another socket took the UDP port\n");
		bdev->port = NULL;
	}
	return PTR_ERR(port);
}

static int hold_port(struct bhsec_device *bdev, struct netlink_ext_ack *extack)
{
	struct bhsec_port *port;

	if (!bdev->port) {
		port = get_port(underlay_of(bdev), bhsec_device_settings(bdev),
				extack);
		if (IS_ERR(port))
			return PTR_ERR(port);
		bdev->port = port;
	}
	bdev->udp_sas++;
	return 0;
}

static void release_port(struct bhsec_device *bdev)
{
	if (!--bdev->udp_sas && bdev->port) {
		put_port(underlay_of(bdev), bdev->port);
		bdev->port = NULL;
	}
}

static int publish(struct net *net, struct bhsec_sa *sa,
		   struct netlink_ext_ack *extack)
{
	int err;

	if (sa->outbound) {
		spin_lock(&outbound_lock);
		hash_add_rcu(outbound, &sa->out_node, (__force u32)sa->spi);
		spin_unlock(&outbound_lock);
		return 0;
	}
	/* the ESP door takes an SPI that it knows, whatever the peer's encap */
	if (bhsec_xfrm_has_spi(net, sa->spi)) {
		NL_SET_ERR_MSG(extack, "the kernel's own IPsec has this SPI");
		return -EEXIST;
	}
	err = rhashtable_lookup_insert_fast(&bhsec_net(net)->inbound,
					    &sa->in_node, inbound_params);
	if (err == -EEXIST)
		NL_SET_ERR_MSG(extack, "another inbound SA has this SPI");
	return err;
}

/**
 * bhsec_underlay_attach - let packets find an SA
 * @bdev: its device
 * @sa: the SA
 * @extack: for the sentence of a refusal
 *
 * Context: may sleep; the device's lock is held.
 * Return: 0 or a negative error; no packet finds the SA then.
 */
int bhsec_underlay_attach(struct bhsec_device *bdev, struct bhsec_sa *sa,
			  struct netlink_ext_ack *extack)
{
	struct net *net = underlay_of(bdev);
	int err;

	if (!net) {
		NL_SET_ERR_MSG(extack, BHSEC_UNDERLAY_GONE);
		return -ENODEV;
	}
	/* before packets find the SA and end it; its transform counts down */
	sa->transforms = &bhsec_net(net)->transforms;
	atomic_inc(sa->transforms);
	if (sa->peer->encap == BHSEC_ENCAP_UDP) {
		err = hold_port(bdev, extack);
		if (err)
			return err;
	}
	err = publish(net, sa, extack);
	if (err && sa->peer->encap == BHSEC_ENCAP_UDP)
		release_port(bdev);
	return err;
}

/**
 * bhsec_underlay_detach - the reverse of bhsec_underlay_attach()
 * @bdev: the SA's device
 * @sa: the SA; packets may find it until a grace period has passed
 *
 * Context: may sleep; the device's lock is held.
 */
void bhsec_underlay_detach(struct bhsec_device *bdev, struct bhsec_sa *sa)
{
	if (sa->outbound) {
		spin_lock(&outbound_lock);
		hash_del_rcu(&sa->out_node);
		spin_unlock(&outbound_lock);
	} else {
		rhashtable_remove_fast(&bhsec_net(underlay_of(bdev))->inbound,
				       &sa->in_node, inbound_params);
	}
	if (sa->peer->encap == BHSEC_ENCAP_UDP)
		release_port(bdev);
}

static int __net_init bhsec_net_init(struct net *net)
{
	struct bhsec_net *bnet = bhsec_net(net);
	unsigned int i;
	int err;

	INIT_LIST_HEAD(&bnet->ports);
	INIT_LIST_HEAD(&bnet->devices);
	mutex_init(&bnet->lock);
	atomic_set(&bnet->transforms, 0);
	for (i = 0; i < ARRAY_SIZE(bnet->limits); i++)
		spin_lock_init(&bnet->limits[i].lock);
	bnet->stats = bhsec_stats_alloc();
	if (!bnet->stats)
		return -ENOMEM;
	err = rhashtable_init(&bnet->inbound, &inbound_params);
	if (err)
		free_percpu(bnet->stats);
	return err;
}

/*
 * The underlay goes: its devices stay, without SAs. What is in a cipher, and
 * the endpoints of peers just deleted, hold routes of this netns: they have to
 * go before the netns can.
 */
static void __net_exit bhsec_net_pre_exit(struct net *net)
{
	struct bhsec_net *bnet = bhsec_net(net);
	struct bhsec_device *bdev, *next;
	unsigned int i;

	rtnl_lock();
	list_for_each_entry_safe(bdev, next, &bnet->devices, list)
		bhsec_device_detach(bdev);
	rtnl_unlock();
	if (!bnet->used)
		return;
	wait_var_event(&bnet->transforms, !atomic_read(&bnet->transforms));
	/* SA, its peer, the peer's endpoint: each goes a grace period later */
	for (i = 0; i < 3; i++) {
		rcu_barrier();
		flush_workqueue(bhsec_workqueue);
	}
}

static void __net_exit bhsec_net_exit(struct net *net)
{
	struct bhsec_net *bnet = bhsec_net(net);

	rhashtable_destroy(&bnet->inbound);
	free_percpu(bnet->stats);
}

static struct pernet_operations bhsec_net_ops = {
	.init = bhsec_net_init,
	.pre_exit = bhsec_net_pre_exit,
	.exit = bhsec_net_exit,
	.id = &bhsec_net_id,
	.size = sizeof(struct bhsec_net),
};

/**
 * bhsec_underlay_init - follow the life of every netns
 *
 * Return: 0 or a negative error.
 */
int bhsec_underlay_init(void)
{
	/* a subsystem exits after the netns' devices, whose packets look in here */
	return register_pernet_subsys(&bhsec_net_ops);
}

/**
 * bhsec_underlay_exit - the reverse of bhsec_underlay_init()
 *
 * Context: may sleep; no device is left.
 */
void bhsec_underlay_exit(void)
{
	unregister_pernet_subsys(&bhsec_net_ops);
}
