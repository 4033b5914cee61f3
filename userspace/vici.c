// SPDX-License-Identifier: GPL-2.0
/*
 * strongSwan's control socket, asked who is behind the SAs that it made. A name
 * is a courtesy: where nobody answers, or not in time, there are fewer of them
 * and nothing else is wrong.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "util.h"
#include "vici.h"

/* How long a daemon may take; one with many peers has much to say. */
#define PATIENCE_MS 1000
#define PATIENCE_MS_EACH 1

/* Longer packets do not exist. */
#define PACKET_MAX (512 * 1024)

/* What a packet begins with. */
enum {
	CMD_REQUEST = 0,
	EVENT_REGISTER = 3,
	EVENT_CONFIRM = 5,
	EVENT = 7,
};

/* noblock = yes: an IKE SA that is busy, perhaps for long, holds up no other. */
static const char noblock[] = "\3\7noblock\0\3yes";

static const char *const paths[] = {
	"/var/run/charon.vici",
	"/run/charon.vici",
};

/**
 * struct vici - a conversation with a daemon
 * @fd: its socket
 * @deadline: when it is given up, in ms
 * @packet: what it said last
 * @len: of @packet
 */
struct vici {
	int fd;
	int64_t deadline;
	uint8_t *packet;
	size_t len;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int time_left(const struct vici *vici)
{
	int64_t left = vici->deadline - now_ms();

	return left > 0 ? left : 0;
}

/* A daemon whose queue is full keeps who connects waiting. */
static bool connect_within(const struct vici *vici, const char *path)
{
	int left = time_left(vici);
	struct timeval patience = {
		.tv_sec = left / 1000,
		.tv_usec = left % 1000 * 1000,
	};
	struct sockaddr_un name = {
		.sun_family = AF_UNIX,
	};

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	/* none left would mean for ever */
	return left && !setsockopt(vici->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
				   sizeof(patience)) &&
	       !connect(vici->fd, (struct sockaddr *)&name, sizeof(name));
}

static bool open_socket(struct vici *vici)
{
	unsigned int i;

	vici->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (vici->fd < 0)
		return false;
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (connect_within(vici, paths[i]))
			return true;
	close(vici->fd);
	return false;
}

static bool say(const struct vici *vici, uint8_t type, const char *name,
		const char *message, size_t len)
{
	size_t name_len = strlen(name);
	uint32_t size = htonl(2 + name_len + len);
	char packet[64];

	memcpy(packet, &size, sizeof(size));
	packet[4] = type;
	packet[5] = name_len;
	memcpy(packet + 6, name, name_len);
	memcpy(packet + 6 + name_len, message, len);
	len += 6 + name_len;
	return send(vici->fd, packet, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool hear_bytes(const struct vici *vici, void *bytes, size_t len)
{
	struct pollfd poller = { .fd = vici->fd, .events = POLLIN };
	size_t have = 0;
	ssize_t size;
	int left;

	while (have < len) {
		left = time_left(vici);
		if (!left || poll(&poller, 1, left) != 1)
			return false;
		size = recv(vici->fd, (char *)bytes + have, len - have,
			    MSG_DONTWAIT);
		if (size <= 0)
			return false;
		have += size;
	}
	return true;
}

static bool hear(struct vici *vici)
{
	uint32_t size;

	if (!hear_bytes(vici, &size, sizeof(size)))
		return false;
	vici->len = ntohl(size);
	return vici->len && vici->len <= PACKET_MAX &&
	       hear_bytes(vici, vici->packet, vici->len);
}

/* Of the one kind that was asked for, whose name stands before the message. */
static void take_event(const struct vici *vici, struct identities *ids)
{
	size_t header = 2;

	if (vici->len < header)
		return;
	header += vici->packet[1];
	if (vici->len >= header)
		identities_take(ids, vici->packet + header, vici->len - header);
}

/* The IKE SAs come one by one, and the answer when there is no more. */
static void hear_all(struct vici *vici, struct identities *ids)
{
	if (!say(vici, EVENT_REGISTER, "list-sa", "", 0) || !hear(vici) ||
	    vici->packet[0] != EVENT_CONFIRM)
		return;
	if (!say(vici, CMD_REQUEST, "list-sas", noblock, sizeof(noblock) - 1))
		return;
	while (hear(vici) && vici->packet[0] == EVENT)
		take_event(vici, ids);
}

/**
 * vici_ask - ask the daemon who is behind its SAs
 * @ids: gets as many as it names in time
 * @peers: how many there may be
 */
void vici_ask(struct identities *ids, uint64_t peers)
{
	struct vici vici = {
		.deadline = now_ms() + PATIENCE_MS + PATIENCE_MS_EACH * peers,
		.packet = malloc(PACKET_MAX),
	};

	if (vici.packet && open_socket(&vici)) {
		hear_all(&vici, ids);
		close(vici.fd);
	}
	free(vici.packet);
	identities_sort(ids);
}
