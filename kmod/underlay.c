// SPDX-License-Identifier: GPL-2.0
/*
 * What bhsec keeps of an underlay netns, and its UDP ports.
 */
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
#include "early.h"
#include "sa.h"
#include "underlay.h"
#include "xfrm_bind.h"

static unsigned int bhsec_net_id __read_mostly;

/**
 * struct slot - all that a netns has of bhsec before its first device
 * @bnet: RCU; written under rtnl, and at the end of the netns
 */
struct slot {
	struct bhsec_net __rcu *bnet;
};

/**
 * struct bhsec_port - UDP sockets of one port in one netns
 * @list: in bhsec_net.ports
 * @users: devices that have SAs here, under bhsec_net.lock
 * @port: host byte order
 * @ifindex: bound to this device, 0 is none
 * @mark: of the sockets, for the routes of ICMP errors
 * @sock: IPv4 and IPv6; the latter is NULL where the kernel has no IPv6
 * @early: what there is to say of their early doors
 * @rcu: for who looks at @early
 */
struct bhsec_port {
	struct list_head list;
	unsigned int users;
	u16 port;
	int ifindex;
	u32 mark;
	struct socket *sock[2];
	struct bhsec_early early[2];
	struct rcu_head rcu;
};

/**
 * bhsec_net - bhsec's part of a netns
 * @net: the netns
 *
 * Context: RCU read lock held, or what keeps a device's underlay where it is.
 * Return: NULL if no device was ever made there; never of a device's underlay.
 */
struct bhsec_net *bhsec_net(const struct net *net)
{
	const struct slot *slot = net_generic(net, bhsec_net_id);

	return rcu_dereference_raw(slot->bnet);
}

static void net_free(struct bhsec_net *bnet)
{
	bhsec_underlay_net_tables_exit(bnet);
	free_percpu(bnet->no_sa);
	kfree(bnet);
}

static struct bhsec_net *net_alloc(void)
{
	struct bhsec_net *bnet;

	bnet = kzalloc_obj(*bnet, GFP_KERNEL_ACCOUNT);
	if (!bnet)
		return NULL;
	INIT_LIST_HEAD(&bnet->ports);
	INIT_LIST_HEAD(&bnet->devices);
	bhsec_bindings_begin(bnet);
	mutex_init(&bnet->lock);
	bhsec_event_limit_init(&bnet->limit);
	bnet->no_sa = bhsec_traffic_alloc();
	if (!bnet->no_sa)
		goto free_net;
	if (!bhsec_underlay_net_tables_init(bnet))
		return bnet;
	free_percpu(bnet->no_sa);
free_net:
	kfree(bnet);
	return NULL;
}

/**
 * bhsec_net_add_device - a device gets its underlay
 * @net: the underlay netns; all that is kept of it is made for its first device
 * @bdev: the device; it leaves the list by itself
 *
 * Context: may sleep; rtnl is held.
 * Return: 0 or -ENOMEM.
 */
int bhsec_net_add_device(struct net *net, struct bhsec_device *bdev)
{
	struct slot *slot = net_generic(net, bhsec_net_id);
	struct bhsec_net *bnet = rtnl_dereference(slot->bnet);

	if (!bnet) {
		bnet = net_alloc();
		if (!bnet)
			return -ENOMEM;
		rcu_assign_pointer(slot->bnet, bnet);
	}
	list_add(&bdev->list, &bnet->devices);
	return 0;
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
	port->early[is_ipv6].door = BHSEC_DOOR_UNUSED;
	bhsec_door_open(net, sock, &port->early[is_ipv6]);
	port->sock[is_ipv6] = sock;
	return 0;
}

/* Nobody waits: who is still in a socket finds @early for a grace period more. */
static void close_port(struct bhsec_port *port)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(port->sock); i++)
		if (port->sock[i])
			bhsec_tunnel_release(port->sock[i]);
	list_del(&port->list);
	kfree_rcu(port, rcu);
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

/**
 * bhsec_port_door - which door a device's datagrams come in by, and why
 * @bdev: the device
 * @is_ipv6: family
 *
 * Context: may sleep; the device's lock is held.
 * Return: BHSEC_DOOR_*, or a negative number where there is no socket.
 */
int bhsec_port_door(const struct bhsec_device *bdev, bool is_ipv6)
{
	const struct bhsec_port *port = bdev->port;

	lockdep_assert_held(&bdev->lock);
	if (!port || !port->sock[is_ipv6])
		return -ENOENT;
	return READ_ONCE(port->early[is_ipv6].door);
}

/* What a daemon keys comes to the daemon's own socket. */
static bool needs_port(const struct bhsec_sa *sa)
{
	return sa->encap == BHSEC_ENCAP_UDP && !sa->borrowed;
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
	if (needs_port(sa)) {
		err = hold_port(bdev, extack);
		if (err)
			return err;
	}
	err = bhsec_underlay_publish(net, sa, extack);
	if (err && needs_port(sa))
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
	bhsec_underlay_unpublish(underlay_of(bdev), sa);
	if (needs_port(sa))
		release_port(bdev);
}

/* The underlay goes: its devices stay, without SAs. */
static void __net_exit bhsec_net_pre_exit(struct net *net)
{
	struct bhsec_net *bnet = bhsec_net(net);
	struct bhsec_device *bdev;

	if (!bnet)
		return;
	rtnl_lock();
	list_for_each_entry(bdev, &bnet->devices, list)
		bhsec_device_detach(bdev);
	rtnl_unlock();
}

/* The kernel has waited for a grace period since bhsec_net_pre_exit(). */
static void net_end(struct bhsec_net *bnet)
{
	struct bhsec_device *bdev, *next;

	rtnl_lock();
	list_for_each_entry_safe(bdev, next, &bnet->devices, list) {
		bhsec_device_release_routes(bdev);
		list_del_init(&bdev->list);
	}
	rtnl_unlock();
	bhsec_bindings_end(bnet);
	wait_var_event(&bnet->transforms, !atomic_read(&bnet->transforms));
}

/* Takes what is kept of the netns that end out of their reach. */
static void take_all(struct list_head *nets, struct list_head *ending)
{
	struct bhsec_net *bnet;
	struct net *net;

	list_for_each_entry(net, nets, exit_list) {
		struct slot *slot = net_generic(net, bhsec_net_id);

		bnet = rcu_replace_pointer(slot->bnet, NULL, true);
		if (bnet)
			list_add(&bnet->ending, ending);
	}
}

/*
 * What is in a cipher, and the endpoints of peers just deleted, hold routes of
 * these netns: they have to go before the netns can. All wait at once.
 */
static void __net_exit bhsec_net_exit_batch(struct list_head *nets)
{
	struct bhsec_net *bnet, *next;
	LIST_HEAD(ending);
	unsigned int i;

	take_all(nets, &ending);
	if (list_empty(&ending))
		return;
	/* states and policies of xfrm's end later, and their timers look in here */
	synchronize_rcu();
	list_for_each_entry(bnet, &ending, ending)
		net_end(bnet);
	/* SA, its state, its peer, the peer's endpoint: each a grace period later */
	for (i = 0; i < 4; i++) {
		rcu_barrier();
		flush_workqueue(bhsec_workqueue);
	}
	list_for_each_entry_safe(bnet, next, &ending, ending)
		net_free(bnet);
}

static struct pernet_operations bhsec_net_ops = {
	.pre_exit = bhsec_net_pre_exit,
	.exit_batch = bhsec_net_exit_batch,
	.id = &bhsec_net_id,
	.size = sizeof(struct slot),
};

/**
 * bhsec_underlay_init - follow the life of every netns
 *
 * Return: 0 or a negative error.
 */
int bhsec_underlay_init(void)
{
	int err;

	err = bhsec_underlay_tables_init();
	if (err)
		return err;
	/* a subsystem exits after the netns' devices, whose packets look in here */
	err = register_pernet_subsys(&bhsec_net_ops);
	if (err)
		bhsec_underlay_tables_exit();
	return err;
}

/**
 * bhsec_underlay_exit - the reverse of bhsec_underlay_init()
 *
 * Context: may sleep; no device is left.
 */
void bhsec_underlay_exit(void)
{
	unregister_pernet_subsys(&bhsec_net_ops);
	bhsec_underlay_tables_exit();
}
