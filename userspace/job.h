/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_JOB_H
#define BHSEC_JOB_H

#include "blocks.h"
#include "own.h"
#include "plan.h"

struct context;

/**
 * struct job - a device from what there is to what is to be
 * @plan: what is to be
 * @had: the device that there was
 * @text: what strongSwan was told
 * @key: where it finds the private key, a link
 * @new_text: what it is to be told, NULL for nothing
 * @new_key: what the link is to lead to, NULL for nothing
 * @prefix: what the names of its connections begin with
 * @old: the blocks of what strongSwan was told
 * @new: those of what it is to be told
 */
struct job {
	struct plan plan;
	struct device had;
	struct own text;
	struct own key;
	char *new_text;
	const char *new_key;
	char prefix[sizeof("bhsec--") + IF_NAMESIZE];
	struct blocks old;
	struct blocks new;
};

/**
 * struct jobs - all devices of a command
 * @ctx: the process
 * @job: the devices
 * @count: number of them
 * @load: have the daemon read its files even if none of these differs
 */
struct jobs {
	struct context *ctx;
	struct job *job;
	size_t count;
	bool load;
};

bool jobs_add(struct jobs *jobs, const char *path);
bool jobs_add_down(struct jobs *jobs, const char *name);
int jobs_check(const struct jobs *jobs);
int jobs_read(struct jobs *jobs);
void jobs_print(const struct jobs *jobs);
int jobs_make(struct jobs *jobs);
int jobs_end(struct jobs *jobs);
void jobs_free(struct jobs *jobs);

#endif
