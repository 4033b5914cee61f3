// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: is the UDP port that SAs by hand will need still to be had, and
 * who has it.
 */
#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "print.h"

static bool find_in(const char *path, unsigned int port, unsigned long *inode)
{
	char line[512];
	FILE *file = fopen(path, "re");
	unsigned int local;
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line,
			       " %*d: %*[^:]:%x %*[^:]:%*x %*x %*x:%*x %*x:%*x %*x %*u %*d %lu",
			       &local, inode) == 2 && local == port;
	fclose(file);
	return found;
}

/* By a socket of either family, which bears no other beside it. */
static bool is_taken(unsigned int port, unsigned long *inode)
{
	return find_in("/proc/net/udp", port, inode) ||
	       find_in("/proc/net/udp6", port, inode);
}

/* One of these directories is a process's: /proc/PID/fd. */
static bool has_socket(const char *directory, unsigned long inode)
{
	char wanted[48], link[48];
	struct dirent *entry;
	DIR *fds = opendir(directory);
	bool found = false;
	ssize_t len;

	if (!fds)
		return false;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (!found && (entry = readdir(fds))) {
		len = readlinkat(dirfd(fds), entry->d_name, link,
				 sizeof(link) - 1);
		link[len > 0 ? len : 0] = '\0';
		found = strcmp(link, wanted) == 0;
	}
	closedir(fds);
	return found;
}

/* Who has it, for a sentence; a socket of the kernel's own is no process's. */
static void name_owner(unsigned long inode, char *text, size_t size)
{
	char path[64], name[64];
	glob_t all = {};
	int pid = 0;
	size_t i;

	glob("/proc/[0-9]*/fd", GLOB_NOSORT, NULL, &all);
	for (i = 0; i < all.gl_pathc && !pid; i++)
		if (has_socket(all.gl_pathv[i], inode))
			pid = atoi(all.gl_pathv[i] + strlen("/proc/"));
	globfree(&all);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (pid && doctor_read(path, name, sizeof(name)))
		snprintf(text, size, "%s, process %d", name, pid);
	else if (geteuid())
		snprintf(text, size, "somebody, root sees whom");
	else
		snprintf(text, size, "the kernel itself");
}

static bool has_udp_sas(const struct tunnel *tunnel)
{
	const struct row *row;
	size_t i;

	for (i = 0; i < tunnel->rows.count; i++) {
		row = &tunnel->rows.row[i];
		if (row->count && number_of(nl_find(row->nlh, BHSEC_A_PEER_ENCAP)) ==
				  BHSEC_ENCAP_UDP)
			return true;
	}
	return false;
}

/* Devices share a port, which the first SA in UDP takes for all of them. */
static bool is_ours(const struct doctor *doctor, unsigned int port)
{
	const struct tunnel *tunnel;
	size_t i;

	for (i = 0; i < doctor->count; i++) {
		tunnel = &doctor->tunnel[i];
		if (!tunnel_is_bound(tunnel) && tunnel_port(tunnel) == port &&
		    has_udp_sas(tunnel))
			return true;
	}
	return false;
}

/* Does a device, which has no SA yet, need a port for one. */
static bool needs_port(const struct tunnel *tunnel)
{
	size_t i;

	if (tunnel_is_bound(tunnel))
		return false;
	for (i = 0; i < tunnel->rows.count; i++)
		if (number_of(nl_find(tunnel->rows.row[i].nlh,
				      BHSEC_A_PEER_ENCAP)) == BHSEC_ENCAP_UDP)
			return true;
	return !tunnel->rows.count;
}

static unsigned int free_port(unsigned int port)
{
	unsigned long inode;

	while (port < UINT16_MAX && is_taken(port, &inode))
		port++;
	return port;
}

/**
 * doctor_port - does another program have a device's UDP port
 * @doctor: what is looked at
 */
void doctor_port(struct doctor *doctor)
{
	const struct tunnel *tunnel;
	unsigned long inode;
	unsigned int port;
	char owner[160];
	size_t i;

	for (i = 0; i < doctor->count; i++) {
		tunnel = &doctor->tunnel[i];
		port = tunnel_port(tunnel);
		if (!needs_port(tunnel) || is_ours(doctor, port) ||
		    !is_taken(port, &inode))
			continue;
		name_owner(inode, owner, sizeof(owner));
		doctor_say(doctor, "port",
			   "%s: UDP port %u is taken (%s), so no SA in UDP can be added by hand",
			   tunnel->name, port, owner);
		doctor_advise(doctor, "bhsec set %s port %u", tunnel->name,
			      free_port(port));
	}
}
