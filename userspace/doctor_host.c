// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: what a device itself needs, and the clock of the host.
 */
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

#include "doctor.h"
#include "print.h"

/* A device of less has no IPv6; what IPv6 sends of it goes in pieces if need be. */
#define IPV6_MTU_MIN 1280

/* The peer whose path carries least; one without a path is no matter of MTU. */
static const struct row *narrowest(const struct tunnel *tunnel, uint32_t *mtu)
{
	const struct row *found = NULL;
	uint32_t value;
	size_t i;

	for (i = 0; i < tunnel->rows.count; i++) {
		value = number_of(nl_find(tunnel->rows.row[i].nlh,
					  BHSEC_A_PEER_MTU));
		if (!value || (found && value >= *mtu))
			continue;
		found = &tunnel->rows.row[i];
		*mtu = value;
	}
	return found;
}

static void check_mtu(struct doctor *doctor, const struct tunnel *tunnel)
{
	uint32_t mtu = 0;
	const struct row *peer = narrowest(tunnel, &mtu);

	if (!peer || MAX(mtu, IPV6_MTU_MIN) >= tunnel->link.mtu)
		return;
	doctor_say(doctor, "mtu",
		   "%s: packets of up to %u bytes may enter it, but the underlay carries only %u to peer %s",
		   tunnel->name, tunnel->link.mtu, mtu, peer->name);
	doctor_advise(doctor, "ip link set %s mtu %u", tunnel->name,
		      MAX(mtu, IPV6_MTU_MIN));
}

/**
 * doctor_device - are devices up, and no larger than their underlay
 * @doctor: what is looked at
 */
void doctor_device(struct doctor *doctor)
{
	const struct tunnel *tunnel;
	size_t i;

	for (i = 0; i < doctor->count; i++) {
		tunnel = &doctor->tunnel[i];
		if (!tunnel->link.is_up) {
			doctor_say(doctor, "down",
				   "%s: it is down, and drops what comes for it",
				   tunnel->name);
			doctor_advise(doctor, "ip link set %s up", tunnel->name);
		}
		check_mtu(doctor, tunnel);
	}
}

static bool is_refused(const struct tunnel *tunnel, const char *module)
{
	const struct nlattr *attrs[BHSEC_A_REFUSED_MAX + 1];
	const struct nlattr *attr;

	if (!tunnel_is_bound(tunnel))
		return false;
	mnl_attr_for_each(attr, tunnel->nlh, GENL_HDRLEN) {
		if (mnl_attr_get_type(attr) != BHSEC_A_DEVICE_REFUSED)
			continue;
		nl_nested(attr, attrs, BHSEC_A_REFUSED_MAX);
		if (attrs[BHSEC_A_REFUSED_REASON] &&
		    !strncmp(mnl_attr_get_str(attrs[BHSEC_A_REFUSED_REASON]),
			     module, strlen(module)))
			return true;
	}
	return false;
}

/**
 * doctor_offload - does a module of the kernel take the packets of a device
 * @doctor: what is looked at
 *
 * It does no harm to ESP in UDP, nor to what is keyed by hand.
 */
void doctor_offload(struct doctor *doctor)
{
	static const char *const modules[] = { "esp4_offload", "esp6_offload" };
	const struct tunnel *tunnel;
	unsigned int module;
	size_t i;

	for (i = 0; i < doctor->count; i++)
		for (module = 0; module < ARRAY_SIZE(modules); module++) {
			tunnel = &doctor->tunnel[i];
			if (!is_refused(tunnel, modules[module]))
				continue;
			doctor_say(doctor, "offload",
				   "%s: %s takes the raw ESP of the IKE daemon's SAs before it gets here",
				   tunnel->name, modules[module]);
			doctor_advise(doctor, "rmmod %s", modules[module]);
		}
}

/* This tool was made, or at least put there, at a time that has passed. */
static bool is_past(time_t now)
{
	struct stat tool;

	return stat("/proc/self/exe", &tool) == 0 && now < tool.st_mtime;
}

static bool has_certificates(const struct doctor *doctor)
{
	size_t i;

	for (i = 0; i < doctor->count; i++)
		if (tunnel_is_bound(&doctor->tunnel[i]))
			return true;
	return false;
}

/**
 * doctor_clock - is the clock set, by which certificates are valid
 * @doctor: what is looked at
 */
void doctor_clock(struct doctor *doctor)
{
	time_t now = time(NULL);
	struct timex timex = {};
	char date[32];

	if (!has_certificates(doctor))
		return;
	strftime(date, sizeof(date), "%F %R", gmtime(&now));
	if (is_past(now))
		doctor_say(doctor, "clock",
			   "it is not %s UTC, as the clock says, for this tool is newer: an IKE daemon will take no certificate for valid",
			   date);
	else if (adjtimex(&timex) >= 0 && timex.status & STA_UNSYNC)
		doctor_say(doctor, "clock",
			   "nothing keeps the clock in time, which says %s UTC and by which an IKE daemon takes certificates for valid",
			   date);
	else
		return;
	doctor_advise(doctor, "timedatectl set-ntp true");
}
