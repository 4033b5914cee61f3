// SPDX-License-Identifier: GPL-2.0
/*
 * Would a firewall drop the first packet of a tunnel. It is told as nft's JSON
 * has it (see libnftables-json(5)): an array of tables, chains and rules.
 */
#include <json-c/json.h>
#include <string.h>

#include "firewall.h"
#include "util.h"

/* Rules that jump in a circle are refused by the kernel; it allows 16. */
#define DEPTH_MAX 16

/**
 * enum verdict - what becomes of a datagram
 * @GOES_ON: no rule has decided
 * @ACCEPTED: it goes
 * @DROPPED: it does not
 * @UNSURE: it goes, or a rule that says more than is known decides
 */
enum verdict {
	GOES_ON,
	ACCEPTED,
	DROPPED,
	UNSURE,
};

/**
 * struct walk - a datagram on its way
 * @ruleset: all chains and rules
 * @datagram: it
 * @family: of the table
 * @table: the table
 * @depth: how many jumps led here
 */
struct walk {
	struct json_object *ruleset;
	const struct datagram *datagram;
	const char *family;
	const char *table;
	unsigned int depth;
};

static bool has(struct json_object *object, const char *key)
{
	return json_object_is_type(object, json_type_object) &&
	       json_object_object_get_ex(object, key, NULL);
}

static bool is_in(const struct walk *walk, struct json_object *rule,
		  const char *chain)
{
	return strcmp(firewall_text(rule, "chain"), chain) == 0 &&
	       strcmp(firewall_text(rule, "table"), walk->table) == 0 &&
	       strcmp(firewall_text(rule, "family"), walk->family) == 0;
}

static enum verdict walk_chain(struct walk *walk, const char *chain);

/* Of what a rule or an element of a verdict map says. */
static enum verdict follow(struct walk *walk, struct json_object *verdict)
{
	struct json_object *to = firewall_get(verdict, "jump") ?:
				 firewall_get(verdict, "goto");
	enum verdict result;

	if (has(verdict, "accept"))
		return ACCEPTED;
	if (has(verdict, "drop") || has(verdict, "reject"))
		return DROPPED;
	if (!to)
		return GOES_ON;
	if (walk->depth == DEPTH_MAX)
		return UNSURE;
	walk->depth++;
	result = walk_chain(walk, firewall_text(to, "target"));
	walk->depth--;
	return result;
}

static enum match match_element(const struct walk *walk, struct json_object *key,
				struct json_object *value)
{
	struct json_object *sides = json_object_new_object();
	struct json_object *expr = json_object_new_object();
	enum match match;

	json_object_object_add(sides, "op", json_object_new_string("=="));
	json_object_object_add(sides, "left", json_object_get(key));
	json_object_object_add(sides, "right", json_object_get(value));
	json_object_object_add(expr, "match", sides);
	match = firewall_match(expr, walk->datagram);
	json_object_put(expr);
	return match;
}

/* A verdict map: the element that is the datagram's decides. */
static enum verdict follow_map(struct walk *walk, struct json_object *map)
{
	struct json_object *set = firewall_get(firewall_get(map, "data"), "set");
	struct json_object *pair;
	enum match match;
	size_t i;

	if (!json_object_is_type(set, json_type_array))
		return UNSURE;
	for (i = 0; i < json_object_array_length(set); i++) {
		pair = json_object_array_get_idx(set, i);
		if (!json_object_is_type(pair, json_type_array))
			return UNSURE;
		match = match_element(walk, firewall_get(map, "key"),
				      json_object_array_get_idx(pair, 0));
		if (match == MATCH_YES)
			return follow(walk, json_object_array_get_idx(pair, 1));
		if (match == MATCH_MAYBE)
			return UNSURE;
	}
	return GOES_ON;
}

/* The last expression of a rule is its verdict, if it has one. */
static enum verdict follow_rule(struct walk *walk, struct json_object *exprs,
				enum match *match)
{
	struct json_object *expr = NULL;
	enum match one;
	size_t i;

	*match = MATCH_YES;
	for (i = 0; i < json_object_array_length(exprs); i++) {
		expr = json_object_array_get_idx(exprs, i);
		one = firewall_match(expr, walk->datagram);
		if (one < *match)
			*match = one;
	}
	if (*match == MATCH_NO || !expr)
		return GOES_ON;
	if (has(expr, "vmap"))
		return follow_map(walk, firewall_get(expr, "vmap"));
	return follow(walk, expr);
}

static bool ends_chain(struct json_object *exprs)
{
	size_t count = json_object_array_length(exprs);
	struct json_object *last;

	if (!count)
		return false;
	last = json_object_array_get_idx(exprs, count - 1);
	return has(last, "return") || has(last, "goto");
}

/*
 * Who may have been accepted is not said to be dropped later, and who may be
 * dropped by a rule goes on: only what is certain is told.
 */
static enum verdict walk_chain(struct walk *walk, const char *chain)
{
	enum verdict result = GOES_ON, verdict;
	struct json_object *rule, *exprs;
	enum match match;
	size_t i;

	for (i = 0; i < json_object_array_length(walk->ruleset); i++) {
		rule = firewall_get(json_object_array_get_idx(walk->ruleset, i),
				    "rule");
		exprs = firewall_get(rule, "expr");
		if (!json_object_is_type(exprs, json_type_array) ||
		    !is_in(walk, rule, chain))
			continue;
		verdict = follow_rule(walk, exprs, &match);
		if (match == MATCH_NO)
			continue;
		if (match == MATCH_YES &&
		    (verdict == ACCEPTED || verdict == DROPPED))
			return result == UNSURE ? UNSURE : verdict;
		if (match == MATCH_YES && verdict == GOES_ON && ends_chain(exprs))
			return result;
		if (verdict == ACCEPTED || verdict == UNSURE || ends_chain(exprs))
			result = UNSURE;
	}
	return result;
}

/* Those before routing see what comes in as well; NAT only changes addresses. */
static bool is_on_way(struct json_object *chain, const struct datagram *datagram)
{
	const char *family = firewall_text(chain, "family");
	const char *hook = firewall_text(chain, "hook");

	if (strcmp(firewall_text(chain, "type"), "nat") == 0)
		return false;
	if (strcmp(family, "inet") != 0 &&
	    strcmp(family, datagram->is_ipv6 ? "ip6" : "ip") != 0)
		return false;
	if (datagram->inbound)
		return strcmp(hook, "prerouting") == 0 ||
		       strcmp(hook, "input") == 0;
	return strcmp(hook, "output") == 0 || strcmp(hook, "postrouting") == 0;
}

static bool chain_drops(struct json_object *ruleset, struct json_object *chain,
			const struct datagram *datagram)
{
	struct walk walk = {
		.ruleset = ruleset,
		.datagram = datagram,
		.family = firewall_text(chain, "family"),
		.table = firewall_text(chain, "table"),
	};
	enum verdict verdict = walk_chain(&walk, firewall_text(chain, "name"));

	return verdict == DROPPED ||
	       (verdict == GOES_ON &&
		strcmp(firewall_text(chain, "policy"), "drop") == 0);
}

/**
 * firewall_drops - is it certain that a firewall drops a datagram
 * @ruleset: the firewall
 * @datagram: the datagram
 * @chain: gets the first chain that does
 *
 * Return: whether one does.
 */
bool firewall_drops(struct json_object *ruleset, const struct datagram *datagram,
		    struct chain *chain)
{
	struct json_object *found;
	size_t i;

	for (i = 0; i < json_object_array_length(ruleset); i++) {
		found = firewall_get(json_object_array_get_idx(ruleset, i),
				     "chain");
		if (!has(found, "hook") || !is_on_way(found, datagram) ||
		    !chain_drops(ruleset, found, datagram))
			continue;
		chain->family = firewall_text(found, "family");
		chain->table = firewall_text(found, "table");
		chain->name = firewall_text(found, "name");
		return true;
	}
	return false;
}
