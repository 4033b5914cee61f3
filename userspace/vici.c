// SPDX-License-Identifier: GPL-2.0
/*
 * strongSwan's control socket: requests, answers and events, as long as the daemon
 * takes its time.
 */
#include <arpa/inet.h>
#include <poll.h>
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

/* Longer packets do not exist. */
#define PACKET_MAX (512 * 1024)

/* What a packet begins with. */
enum {
	CMD_REQUEST = 0,
	CMD_RESPONSE = 1,
	EVENT_REGISTER = 3,
	EVENT_CONFIRM = 5,
	EVENT = 7,
};

static const char *const paths[] = {
	"/var/run/charon.vici",
	"/run/charon.vici",
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

/**
 * vici_wait - how long the daemon may take from now on
 * @vici: the conversation
 * @patience_ms: so long
 */
void vici_wait(struct vici *vici, uint64_t patience_ms)
{
	vici->deadline = now_ms() + patience_ms;
}

/**
 * vici_open - begin a conversation
 * @vici: gets to be it
 * @patience_ms: as for vici_wait()
 *
 * Return: whether there is somebody to talk to; vici_close() then ends it.
 */
bool vici_open(struct vici *vici, uint64_t patience_ms)
{
	vici_wait(vici, patience_ms);
	vici->packet = malloc(PACKET_MAX);
	if (vici->packet && open_socket(vici))
		return true;
	free(vici->packet);
	return false;
}

/**
 * vici_close - end a conversation
 * @vici: one that was opened
 */
void vici_close(struct vici *vici)
{
	close(vici->fd);
	free(vici->packet);
}

/* As much at a time as there is room for on the way. */
static bool say_bytes(const struct vici *vici, const char *bytes, size_t len)
{
	struct pollfd poller = { .fd = vici->fd, .events = POLLOUT };
	ssize_t size;
	int left;

	while (len) {
		left = time_left(vici);
		if (!left || poll(&poller, 1, left) != 1)
			return false;
		size = send(vici->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (size <= 0)
			return false;
		bytes += size;
		len -= size;
	}
	return true;
}

static bool say(const struct vici *vici, uint8_t type, const char *name,
		const struct bytes *message)
{
	size_t name_len = strlen(name);
	uint32_t size = htonl(2 + name_len + message->len);
	char header[64];

	memcpy(header, &size, sizeof(size));
	header[4] = type;
	header[5] = name_len;
	memcpy(header + 6, name, name_len);
	return say_bytes(vici, header, 6 + name_len) &&
	       say_bytes(vici, message->at, message->len);
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

/**
 * vici_subscribe - have events told
 * @vici: the conversation
 * @event: their name; there is one kind of them in a conversation
 *
 * Return: whether the daemon will.
 */
bool vici_subscribe(struct vici *vici, const char *event)
{
	const struct bytes none = {};

	return say(vici, EVENT_REGISTER, event, &none) && hear(vici) &&
	       vici->packet[0] == EVENT_CONFIRM;
}

/**
 * vici_request - ask for something
 * @vici: the conversation
 * @command: what for
 * @message: what it needs
 *
 * Return: whether it was sent; vici_hear() then has the answer.
 */
bool vici_request(struct vici *vici, const char *command,
		  const struct bytes *message)
{
	return say(vici, CMD_REQUEST, command, message);
}

/**
 * vici_hear - what the daemon says next
 * @vici: the conversation
 * @message: gets it, valid until the next call
 *
 * Return: what it is.
 */
enum vici_said vici_hear(struct vici *vici, struct bytes *message)
{
	size_t header = 1;
	bool is_event;

	if (!hear(vici))
		return VICI_NOTHING;
	is_event = vici->packet[0] == EVENT;
	if (!is_event && vici->packet[0] != CMD_RESPONSE)
		return VICI_NOTHING;
	/* the name of an event stands before its message */
	if (is_event)
		header += vici->len > 1 ? 1 + vici->packet[1] : 1;
	if (vici->len < header)
		return VICI_NOTHING;
	message->at = (const char *)vici->packet + header;
	message->len = vici->len - header;
	return is_event ? VICI_EVENT : VICI_ANSWER;
}
