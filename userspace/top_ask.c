// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec top: who its peers are. The IKE daemon is asked beside all else, for it may
 * take seconds, and seldom, for it has other things to do.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "top_ask.h"

/* Nanoseconds until it is asked again. */
#define SELDOM 30000000000LL

/**
 * ask_begin - be ready to ask
 * @ask: for ask_end()
 *
 * Return: whether that is so.
 */
bool ask_begin(struct ask *ask)
{
	ask->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ask->answered >= 0;
}

static void *run(void *data)
{
	struct ask *ask = data;

	identities_ask(&ask->identities, ask->peers);
	eventfd_write(ask->answered, 1);
	return NULL;
}

/**
 * ask_who - ask who those are that have no name yet, if it is time to
 * @ask: gets the answer
 * @sample: what is shown
 */
void ask_who(struct ask *ask, const struct sample *sample)
{
	int64_t now = now_nanoseconds();

	if (ask->asking || (ask->again && now < ask->again) ||
	    !sample_nameless(sample))
		return;
	ask->again = now + SELDOM;
	ask->peers = sample->peers;
	ask->asking = pthread_create(&ask->thread, NULL, run, ask) == 0;
}

/**
 * ask_take - take the answer, if it is there
 * @ask: has it
 * @sample: gets the names
 */
void ask_take(struct ask *ask, struct sample *sample)
{
	eventfd_t answered;

	if (eventfd_read(ask->answered, &answered))
		return;
	pthread_join(ask->thread, NULL);
	ask->asking = false;
	sample_name(sample, &ask->identities);
	identities_free(&ask->identities);
}

/**
 * ask_end - ask no more
 * @ask: what it is told now is of no interest; that ends with the process
 */
void ask_end(struct ask *ask)
{
	if (!ask->asking)
		close(ask->answered);
}
