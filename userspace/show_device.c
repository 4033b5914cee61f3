// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec show: the settings and the state of a device.
 */
#include <linux/genetlink.h>

#include "address.h"
#include "nl.h"
#include "print.h"
#include "show.h"

static void print_local(struct output *out, const struct nlattr **attrs)
{
	static const uint16_t types[] = {
		BHSEC_A_DEVICE_LOCAL4, BHSEC_A_DEVICE_LOCAL6,
	};
	const struct nlattr *addr;
	char text[ADDRESS_TEXT];
	unsigned int i;

	out_list(out, "local");
	for (i = 0; i < 2; i++) {
		addr = attrs[types[i]];
		if (addr)
			out_member(out, format_address(mnl_attr_get_payload(addr),
						       mnl_attr_get_payload_len(addr),
						       text));
	}
	out_list_end(out, "any");
}

static void print_dscp(struct output *out, const struct nlattr *attr)
{
	if (attr && number_of(attr) == BHSEC_DSCP_COPY)
		out_string(out, "dscp", "copy");
	else
		print_number(out, "dscp", attr);
}

/* Whose states and policies the device takes, and how many it cannot. */
static void print_binding(struct output *out, const struct nlattr **attrs)
{
	const struct nlattr *if_id = attrs[BHSEC_A_DEVICE_IF_ID];
	const struct nlattr *shared = attrs[BHSEC_A_DEVICE_SHARED];
	const struct nlattr *refusals = attrs[BHSEC_A_DEVICE_REFUSALS];
	bool is_shared = shared && number_of(shared);
	uint64_t count = refusals ? number_of(refusals) : 0;

	if (if_id)
		print_number(out, "if-id", if_id);
	else
		out_none(out, "if-id", NULL);
	if (is_shared || out->json)
		out_switch(out, "shared", is_shared);
	if (count || out->json)
		out_number(out, "refusals", count);
}

/* The reason is a sentence, so it comes last. A policy has no SPI. */
static void print_refused(struct output *out, const struct nlattr *nest)
{
	const struct nlattr *attrs[BHSEC_A_REFUSED_MAX + 1];

	nl_nested(nest, attrs, BHSEC_A_REFUSED_MAX);
	out_object(out, NULL);
	out_line(out, 1);
	out_word(out, "refused");
	if (attrs[BHSEC_A_REFUSED_SPI]) {
		out_hex(out, "spi", number_of(attrs[BHSEC_A_REFUSED_SPI]));
	} else if (attrs[BHSEC_A_REFUSED_DST]) {
		out_word(out, "policy");
		out_none(out, "spi", NULL);
	}
	print_number(out, "reqid", attrs[BHSEC_A_REFUSED_REQID]);
	print_address(out, "src", NULL, attrs[BHSEC_A_REFUSED_SRC]);
	print_address(out, "dst", ">", attrs[BHSEC_A_REFUSED_DST]);
	print_string(out, "reason", "reason", attrs[BHSEC_A_REFUSED_REASON]);
	out_object_end(out);
}

static void print_all_refused(struct output *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	out_array(out, "refused");
	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == BHSEC_A_DEVICE_REFUSED)
			print_refused(out, attr);
	out_array_end(out);
}

/**
 * print_device_settings - a device without what was counted and refused
 * @out: the result
 * @attrs: BHSEC_A_DEVICE_*
 */
void print_device_settings(struct output *out, const struct nlattr **attrs)
{
	print_string(out, "device", NULL, attrs[BHSEC_A_DEVICE_IFNAME]);
	print_number(out, "port", attrs[BHSEC_A_DEVICE_PORT]);
	if (attrs[BHSEC_A_DEVICE_DEV])
		out_string(out, "dev",
			   mnl_attr_get_str(attrs[BHSEC_A_DEVICE_DEV]));
	else if (!is_withheld(attrs[BHSEC_A_DEVICE_WITHHELD],
			      BHSEC_PRIVILEGE_UNDERLAY))
		out_none(out, "dev", "any");
	if (attrs[BHSEC_A_DEVICE_FWMARK])
		out_hex(out, "fwmark", number_of(attrs[BHSEC_A_DEVICE_FWMARK]));
	print_dscp(out, attrs[BHSEC_A_DEVICE_DSCP]);
	print_name(out, "df", attrs[BHSEC_A_DEVICE_DF], &df_names);
	print_local(out, attrs);
	print_number(out, "window", attrs[BHSEC_A_DEVICE_WINDOW]);
	print_binding(out, attrs);
	print_name(out, "door4", attrs[BHSEC_A_DEVICE_DOOR4], &door_names);
	print_name(out, "door6", attrs[BHSEC_A_DEVICE_DOOR6], &door_names);
}

/**
 * print_device - a device without its peers
 * @show: what is asked for, and the result
 * @nlh: its message
 */
void print_device(struct show *show, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];
	struct output *out = &show->out;

	nl_attrs(nlh, attrs, BHSEC_A_DEVICE_MAX);
	if (attrs[BHSEC_A_DEVICE_WITHHELD])
		show->withheld |= number_of(attrs[BHSEC_A_DEVICE_WITHHELD]);
	out_line(out, 0);
	print_device_settings(out, attrs);
	if (is_told(show, attrs[BHSEC_A_DEVICE_NO_SA]))
		print_number(out, "no_sa", attrs[BHSEC_A_DEVICE_NO_SA]);
	if (attrs[BHSEC_A_DEVICE_REASON])
		out_line(out, 1);
	print_string(out, "reason", "reason", attrs[BHSEC_A_DEVICE_REASON]);
	print_all_refused(out, nlh);
	print_stats(show, attrs[BHSEC_A_DEVICE_STATS], 1);
}
