// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: what keeps a tunnel from working before its first packet, each
 * with the command that helps. It changes nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "fetch.h"
#include "message.h"
#include "options.h"
#include "print.h"
#include "refusal.h"

static char *formatted(const char *format, va_list values)
{
	char *text;

	return vasprintf(&text, format, values) < 0 ? NULL : text;
}

/* Words, so that the line can end between any two of them. */
static void put_sentence(struct output *out, char *text)
{
	char *word, *rest = text;

	if (out->json) {
		out_string(out, "finding", text);
		return;
	}
	while ((word = strsep(&rest, " ")))
		out_word(out, word);
}

/**
 * doctor_say - tell what is wrong
 * @doctor: what is looked at
 * @check: what found it, for programs
 * @format: the sentence
 */
void doctor_say(struct doctor *doctor, const char *check, const char *format,
		...)
{
	char *text;
	va_list values;

	va_start(values, format);
	text = formatted(format, values);
	va_end(values);
	doctor->found++;
	out_object(&doctor->out, NULL);
	out_line(&doctor->out, 0);
	if (doctor->out.json)
		out_string(&doctor->out, "check", check);
	if (text)
		put_sentence(&doctor->out, text);
	free(text);
}

/**
 * doctor_advise - tell what helps against what was said last
 * @doctor: what is looked at
 * @format: the command, which stays in one line to be copied
 */
void doctor_advise(struct doctor *doctor, const char *format, ...)
{
	char *text;
	va_list values;

	va_start(values, format);
	text = formatted(format, values);
	va_end(values);
	out_line(&doctor->out, 1);
	if (text)
		out_named(&doctor->out, "command", NULL, text);
	out_object_end(&doctor->out);
	free(text);
}

/**
 * doctor_read - read the first line of a file
 * @path: the file
 * @line: gets it, without its end
 * @size: room for it
 *
 * Return: whether there is one.
 */
bool doctor_read(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool done;

	if (!file)
		return false;
	done = fgets(line, size, file);
	fclose(file);
	if (done)
		line[strcspn(line, "\n")] = '\0';
	return done;
}

/**
 * tunnel_is_bound - does an IKE daemon key a device
 * @tunnel: the device
 *
 * Return: whether it has an if-id.
 */
bool tunnel_is_bound(const struct tunnel *tunnel)
{
	const struct nlattr *if_id = tunnel->attrs[BHSEC_A_DEVICE_IF_ID];

	return if_id && number_of(if_id);
}

/**
 * tunnel_port - the UDP port of a device
 * @tunnel: the device
 *
 * Return: its number.
 */
unsigned int tunnel_port(const struct tunnel *tunnel)
{
	return number_of(tunnel->attrs[BHSEC_A_DEVICE_PORT]);
}

/**
 * row_endpoint - where a peer is
 * @row: the peer
 * @addr: gets its address
 *
 * Return: whether that is known.
 */
bool row_endpoint(const struct row *row, struct address *addr)
{
	const struct nlattr *attr = nl_find(row->nlh, BHSEC_A_PEER_ENDPOINT_ADDR);

	if (!attr)
		return false;
	addr->len = mnl_attr_get_payload_len(attr);
	memcpy(addr->bytes, mnl_attr_get_payload(attr), addr->len);
	return true;
}

/* One that goes meanwhile is not looked at. */
static void add_tunnel(struct doctor *doctor, const struct nlmsghdr *nlh)
{
	struct tunnel *tunnel = &doctor->tunnel[doctor->count];
	struct request req;
	uint32_t ifindex;

	tunnel->nlh = nlh;
	nl_attrs(nlh, tunnel->attrs, BHSEC_A_DEVICE_MAX);
	tunnel->name = mnl_attr_get_str(tunnel->attrs[BHSEC_A_DEVICE_IFNAME]);
	ifindex = number_of(tunnel->attrs[BHSEC_A_DEVICE_IFINDEX]);
	if (!link_find(doctor->ctx->route, ifindex, &tunnel->link))
		return;
	if (tunnel->link.is_elsewhere) {
		remark("doctor: %s was not looked at: its underlay is another network namespace",
		       tunnel->name);
		return;
	}
	doctor->count++;
	if (fetch_peers(doctor->ctx, ifindex, NULL, &req, &tunnel->peers).code ||
	    fetch_sas(doctor->ctx, ifindex, NULL, &req, &tunnel->sas).code ||
	    !rows_join(&tunnel->rows, &tunnel->peers, &tunnel->sas))
		remark("doctor: the peers of %s were not looked at", tunnel->name);
}

static void tell_withheld(const struct doctor *doctor)
{
	const struct nlattr *lacks;

	if (!doctor->count)
		return;
	lacks = doctor->tunnel[0].attrs[BHSEC_A_DEVICE_WITHHELD];
	if (is_withheld(lacks, BHSEC_PRIVILEGE_DEVICE))
		remark("doctor: where peers are was not looked at: this needs CAP_NET_ADMIN");
}

static int take_devices(struct doctor *doctor)
{
	struct context *ctx = doctor->ctx;
	struct nl_error error;
	struct request req;
	size_t i;

	error = fetch_devices(ctx, NULL, &req, &doctor->devices);
	snprintf(req.subject, sizeof(req.subject), "doctor");
	if (error.code)
		return refusal(ctx->nl, &req, &error);
	doctor->tunnel = calloc(doctor->devices.count + 1,
				sizeof(*doctor->tunnel));
	if (!doctor->tunnel)
		return refuse("out of memory");
	for (i = 0; i < doctor->devices.count; i++)
		add_tunnel(doctor, doctor->devices.record[i]);
	tell_withheld(doctor);
	return 0;
}

static void forget_devices(struct doctor *doctor)
{
	size_t i;

	for (i = 0; i < doctor->count; i++) {
		rows_free(&doctor->tunnel[i].rows);
		nl_records_free(&doctor->tunnel[i].peers);
		nl_records_free(&doctor->tunnel[i].sas);
	}
	free(doctor->tunnel);
	nl_records_free(&doctor->devices);
}

/* Where no module is, nor can be, there is no tunnel to look at. */
static int look(struct doctor *doctor)
{
	static void (*const checks[])(struct doctor *doctor) = {
		doctor_family, doctor_device, doctor_port, doctor_route,
		doctor_filter, doctor_firewall, doctor_offload, doctor_clock,
	};
	unsigned int i;
	int status;

	if (!doctor_module(doctor))
		return 0;
	if (!context_connect(doctor->ctx) ||
	    !context_connect_route(doctor->ctx))
		return EXIT_REFUSED;
	status = take_devices(doctor);
	for (i = 0; i < ARRAY_SIZE(checks) && !status; i++)
		checks[i](doctor);
	forget_devices(doctor);
	return status;
}

/**
 * cmd_doctor - bhsec doctor [-j]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status, that of a refusal if anything was found.
 */
int cmd_doctor(struct context *ctx, struct words *words)
{
	struct doctor doctor = {
		.ctx = ctx,
		.out.json = ctx->json,
	};
	int status;

	if (words_take_if(words, "-j") || words_take_if(words, "--json"))
		doctor.out.json = true;
	status = take_end(words, "doctor");
	if (status)
		return status;
	out_wrap(&doctor.out);
	out_array(&doctor.out, NULL);
	status = look(&doctor);
	out_array_end(&doctor.out);
	if (!status && !doctor.found && !doctor.out.json)
		out_named(&doctor.out, NULL, NULL, "nothing found");
	out_end(&doctor.out);
	return doctor.found ? EXIT_REFUSED : status;
}
