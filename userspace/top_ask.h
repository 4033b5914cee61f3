/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_TOP_ASK_H
#define BHSEC_TOP_ASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identities.h"
#include "top_sample.h"

/**
 * struct ask - a question to an IKE daemon
 * @answered: readable when the answer is there
 * @asking: it is not, or was not taken yet
 * @thread: who waits for it
 * @again: when there may be another one, in nanoseconds; 0 before the first
 * @peers: of how many it is
 * @identities: the answer
 */
struct ask {
	int answered;
	bool asking;
	pthread_t thread;
	int64_t again;
	size_t peers;
	struct identities identities;
};

bool ask_begin(struct ask *ask);
void ask_who(struct ask *ask, const struct sample *sample);
void ask_take(struct ask *ask, struct sample *sample);
void ask_end(struct ask *ask);

#endif
