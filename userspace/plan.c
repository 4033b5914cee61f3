// SPDX-License-Identifier: GPL-2.0
/*
 * What the files of a device ask for: the device and its identity, and what is
 * wrong with either.
 */
#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bhsec.h"
#include "number.h"
#include "plan.h"
#include "words.h"

/* What the module takes. */
#define MTU_MIN 68
#define MTU_MAX (65535 - 128)

/**
 * plan_check - tell what is wrong with a value, if anything is
 * @plan: gets to know
 * @value: the value
 * @word: its key
 * @reason: NULL if nothing is
 *
 * Return: whether it is right.
 */
bool plan_check(struct plan *plan, const struct value *value, const char *word,
		const char *reason)
{
	if (!reason)
		return true;
	mistake(&plan->conf, value, "%s: %s", word, reason);
	return false;
}

/**
 * plan_needs - tell that a value is missing, if it is
 * @plan: gets to know
 * @value: the value
 * @word: its key
 *
 * Return: whether it is there.
 */
bool plan_needs(struct plan *plan, const struct value *value, const char *word)
{
	return plan_check(plan, value, word,
			  value->text ? NULL : "it has to be given");
}

/**
 * next_item - the next item of a list with commas
 * @at: where it begins; moved behind it, NULL at the end
 * @len: length of the item
 *
 * Return: the item without the blanks around it, or NULL if there is none.
 */
const char *next_item(const char **at, size_t *len)
{
	const char *item = *at, *end;

	if (!item)
		return NULL;
	end = strchrnul(item, ',');
	*at = *end ? end + 1 : NULL;
	while (item < end && (*item == ' ' || *item == '\t'))
		item++;
	while (end > item && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*len = end - item;
	return item;
}

static void parse_setting(struct plan *plan, const struct value *value,
			  const char *word, uint32_t min, uint32_t max,
			  uint32_t *result)
{
	uint64_t number;

	if (!value->text)
		return;
	if (!parse_number(value->text, strlen(value->text), &number) ||
	    number < min || number > max)
		mistake(&plan->conf, value,
			"%s: must be a number from %u to %u", word, min, max);
	else
		*result = number;
}

static bool add(struct plan *plan, const struct value *value, const char *word,
		struct nets *nets, const struct prefix *prefix, uint32_t table)
{
	const struct net net = {
		.prefix = *prefix,
		.table = table,
		.ours = true,
	};

	return plan_check(plan, value, word,
			  nets_add(nets, &net) ? NULL : "out of memory");
}

/* A list of prefixes. */
static void plan_nets(struct plan *plan, const struct value *value,
		      const char *word, uint32_t table, struct nets *nets)
{
	const char *at = value->text, *item, *reason;
	struct prefix prefix;
	size_t len;

	while ((item = next_item(&at, &len))) {
		reason = parse_prefix(item, len, &prefix);
		if (reason)
			mistake(&plan->conf, value, "%s '%s': %s", word,
				shortened(item, len), reason);
		else
			add(plan, value, word, nets, &prefix, table);
	}
}

static void plan_addresses(struct plan *plan)
{
	const struct value *value = &plan->conf.device.address;
	const char *at = value->text, *item, *reason;
	struct prefix prefix, network;
	size_t len;

	while ((item = next_item(&at, &len))) {
		reason = parse_interface(item, len, &prefix);
		if (reason) {
			mistake(&plan->conf, value, "address '%s': %s",
				shortened(item, len), reason);
			continue;
		}
		add(plan, value, "address", &plan->want.addresses, &prefix, 0);
		network = network_of(&prefix);
		if (!plan->conf.device.networks.text)
			add(plan, value, "address", &plan->local, &network, 0);
	}
	plan_nets(plan, &plan->conf.device.networks, "networks", 0,
		  &plan->local);
	nets_sort(&plan->local);
	nets_sort(&plan->want.addresses);
}

/* The table of its routes. */
static uint32_t plan_table(struct plan *plan, struct nl *route)
{
	const struct conf_device *device = &plan->conf.device;
	uint32_t table = RT_TABLE_MAIN;

	parse_setting(plan, &device->table, "table", 1, UINT32_MAX, &table);
	if (!device->vrf.text)
		return table;
	if (device->table.text)
		mistake(&plan->conf, &device->table,
			"table: the routes of a VRF are in the VRF's table");
	plan->want.vrf = if_nametoindex(device->vrf.text);
	table = plan->want.vrf ? device_vrf_table(route, plan->want.vrf) : 0;
	if (!table)
		mistake(&plan->conf, &device->vrf, "vrf: there is no VRF %s",
			quoted(device->vrf.text));
	return table;
}

/* The kernel makes the routes of a device's addresses itself. */
static bool is_connected(const struct device *device,
			 const struct prefix *prefix)
{
	struct net connected = {}, net = { .prefix = *prefix };
	size_t i;

	for (i = 0; i < device->addresses.count; i++) {
		connected.prefix = network_of(&device->addresses.net[i].prefix);
		if (!nets_compare(&connected, &net))
			return true;
	}
	return false;
}

/* Whether they are said or those of the peers. */
static void finish_routes(struct plan *plan)
{
	struct nets *nets = &plan->want.routes;
	size_t i, kept = 0;

	for (i = 0; i < nets->count; i++)
		if (!is_connected(&plan->want, &nets->net[i].prefix))
			nets->net[kept++] = nets->net[i];
	nets->count = kept;
	nets_sort(nets);
}

static void plan_routes(struct plan *plan, struct nl *route)
{
	const struct value *routes = &plan->conf.device.routes;

	plan->table = plan_table(plan, route);
	if (routes->text && strcmp(routes->text, "none") != 0)
		plan_nets(plan, routes, "routes", plan->table,
			  &plan->want.routes);
}

static void plan_device(struct plan *plan, struct nl *route)
{
	const struct conf_device *device = &plan->conf.device;
	uint32_t port = PORT_DEFAULT;
	unsigned int dscp;
	const char *reason;

	plan->want.exists = true;
	plan->want.up = true;
	plan->want.mtu = MTU_DEFAULT;
	plan->want.dscp = BHSEC_DSCP_COPY;
	if (plan_needs(plan, &device->if_id, "if-id"))
		parse_setting(plan, &device->if_id, "if-id", 1, UINT32_MAX,
			      &plan->want.if_id);
	parse_setting(plan, &device->port, "port", 1, UINT16_MAX, &port);
	plan->want.port = port;
	parse_setting(plan, &device->mtu, "mtu", MTU_MIN, MTU_MAX,
		      &plan->want.mtu);
	plan_addresses(plan);
	plan_routes(plan, route);
	if (!device->dscp.text || strcmp(device->dscp.text, "copy") == 0)
		return;
	reason = parse_dscp(device->dscp.text, strlen(device->dscp.text), &dscp);
	if (plan_check(plan, &device->dscp, "dscp", reason))
		plan->want.dscp = dscp;
}

/**
 * plan_path - where a file is
 * @path: gets to be it
 * @dir: where below swanctl's directory it is, if @name has no /
 * @name: as it was given
 */
void plan_path(char path[PATH_MAX], const char *dir, const char *name)
{
	if (*name == '/')
		snprintf(path, PATH_MAX, "%s", name);
	else
		snprintf(path, PATH_MAX, SWANCTL_DIR "/%s/%s", dir, name);
}

/* Thousands of peers have one CA. */
static bool is_seen(const struct plan *plan, const char *dir, const char *name)
{
	return plan->seen.name && strcmp(plan->seen.name, name) == 0 &&
	       strcmp(plan->seen.dir, dir) == 0;
}

static void take_time(struct timespec *newest, const struct timespec *time)
{
	if (time->tv_sec > newest->tv_sec ||
	    (time->tv_sec == newest->tv_sec && time->tv_nsec > newest->tv_nsec))
		*newest = *time;
}

/*
 * Whether it can be read; the plan knows then since when it is what it is. A link
 * may lead to an older one since.
 */
static bool look_at(struct plan *plan, const char *path)
{
	struct stat file, itself;

	if (access(path, R_OK) < 0 || stat(path, &file) < 0 ||
	    lstat(path, &itself) < 0)
		return false;
	take_time(&plan->newest, &file.st_ctim);
	take_time(&plan->newest, &itself.st_ctim);
	return true;
}

/* What strongSwan makes of a name in one of its files, where it is a list. */
static const char *name_objection(const char *name)
{
	if (strchr(name, ','))
		return "to strongSwan a name with a comma is two";
	if (*name == '"' || *name == '\'' || strncasecmp(name, "0x", 2) == 0 ||
	    strncasecmp(name, "0s", 2) == 0)
		return "to strongSwan what begins so is no name: /PATH is one";
	return NULL;
}

/**
 * plan_file - tell if a file cannot be read
 * @plan: gets to know
 * @value: its name, whose text may be NULL
 * @word: its key
 * @dir: where below swanctl's directory it is looked for, if it has no /
 */
void plan_file(struct plan *plan, const struct value *value, const char *word,
	       const char *dir)
{
	const char *objection;
	char path[PATH_MAX];

	if (!value->text || is_seen(plan, dir, value->text))
		return;
	plan_path(path, dir, value->text);
	objection = name_objection(value->text);
	if (*value->text != '/' && strchr(value->text, '/'))
		mistake(&plan->conf, value,
			"%s: a file is /PATH, or a name in " SWANCTL_DIR "/%s",
			word, dir);
	else if (objection)
		mistake(&plan->conf, value, "%s: %s", word, objection);
	else if (!look_at(plan, path))
		mistake(&plan->conf, value, "%s: %s: %s", word, path,
			strerror(errno));
	else
		plan->seen = (struct seen){ dir, value->text };
}

static const char *read_secret(const char *path, char secret[SECRET_MAX + 1])
{
	FILE *file = *path == '/' ? fopen(path, "re") : NULL;
	size_t len, i;

	if (!file)
		return *path == '/' ? strerror(errno) : "a file is /PATH";
	/* a copy in the buffer of a stream would outlive the secret */
	setbuf(file, NULL);
	len = fread(secret, 1, SECRET_MAX + 1, file);
	fclose(file);
	while (len && (secret[len - 1] == '\n' || secret[len - 1] == '\r'))
		len--;
	if (!len)
		return "the file is empty";
	if (len > SECRET_MAX)
		return "a secret has at most 512 bytes";
	secret[len] = '\0';
	for (i = 0; i < len; i++)
		if (secret[i] < ' ' || secret[i] > '~')
			return "a secret is one line of ASCII, hexadecimal after 0x";
	return NULL;
}

static void plan_secret(struct plan *plan, const struct value *value,
			const char *word, char secret[SECRET_MAX + 1])
{
	if (value->text)
		plan_check(plan, value, word, read_secret(value->text, secret));
}

static void plan_identity(struct plan *plan)
{
	const struct conf_identity *identity = &plan->conf.identity;
	const char *other = "with psk-file there is none";

	if (identity->psk_file.text) {
		plan_needs(plan, &identity->name, "name");
		if (identity->certificate.text)
			plan_check(plan, &identity->certificate, "certificate",
				   other);
		if (identity->key.text)
			plan_check(plan, &identity->key, "key", other);
	} else {
		plan_needs(plan, &identity->certificate, "certificate");
		plan_needs(plan, &identity->key, "key");
	}
	plan_file(plan, &identity->certificate, "certificate", "x509");
	plan_file(plan, &identity->key, "key", "private");
	plan_secret(plan, &identity->psk_file, "psk-file", plan->psk);
	plan_secret(plan, &identity->ppk_file, "ppk-file", plan->ppk);
	if (identity->ppk_file.text)
		plan_needs(plan, &identity->ppk_id, "ppk-id");
	if (identity->ppk_id.text)
		plan_needs(plan, &identity->ppk_file, "ppk-file");
}

/**
 * plan_make - read what is to be of a device, and tell all that is wrong with it
 * @plan: empty before; its conf knows how many mistakes there are
 * @route: conversation about links
 * @path: of the device's file
 */
void plan_make(struct plan *plan, struct nl *route, const char *path)
{
	struct conf *conf = &plan->conf;
	const struct value whole = { .file = path };

	if (!conf_read(conf, path))
		return;
	if (conf->device.section.text)
		plan_device(plan, route);
	else
		mistake(conf, &whole, "there is no [Device]");
	if (conf->identity.section.text)
		plan_identity(plan);
	else
		mistake(conf, &whole, "there is no [Identity]");
	if (!conf->count)
		mistake(conf, &whole, "there is no [Peer]");
	plan_peers(plan);
	finish_routes(plan);
}

/**
 * plan_free - forget what is to be
 * @plan: empty after it
 */
void plan_free(struct plan *plan)
{
	conf_free(&plan->conf);
	device_free(&plan->want);
	free(plan->local.net);
	explicit_bzero(plan, sizeof(*plan));
}
