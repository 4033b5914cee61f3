/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_VICI_H
#define BHSEC_VICI_H

#include "vici_message.h"

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

/**
 * enum vici_said - what came from the daemon
 * @VICI_NOTHING: nothing in time, or what makes no sense
 * @VICI_EVENT: an event that was subscribed to
 * @VICI_ANSWER: the answer to a request
 */
enum vici_said {
	VICI_NOTHING,
	VICI_EVENT,
	VICI_ANSWER,
};

bool vici_open(struct vici *vici, uint64_t patience_ms);
void vici_close(struct vici *vici);
void vici_wait(struct vici *vici, uint64_t patience_ms);
bool vici_subscribe(struct vici *vici, const char *event);
bool vici_request(struct vici *vici, const char *command,
		  const struct bytes *message);
enum vici_said vici_hear(struct vici *vici, struct bytes *message);

#endif
