/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_TELL_H
#define BHSEC_TELL_H

#include "vici.h"

struct jobs;

/**
 * struct teller - who tells the daemon what becomes of the files of jobs
 * @jobs: the jobs
 * @vici: with a daemon that had all their connections
 * @is_open: there is one
 * @told: it may have taken something, if not all
 * @all: it was to take what all files say
 */
struct teller {
	const struct jobs *jobs;
	struct vici vici;
	bool is_open;
	bool told;
	bool all;
};

void tell_begin(struct teller *teller, const struct jobs *jobs);
int tell_changes(struct teller *teller);
int tell_all(struct teller *teller);
void tell_ends(struct teller *teller);
void tell_close(struct teller *teller);

#endif
