// SPDX-License-Identifier: GPL-2.0
/*
 * What iptables-legacy-save says, in the form that nft has for the same.
 */
#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "firewall.h"
#include "util.h"

/**
 * struct legacy - a rule on its way into the other form
 * @exprs: its expressions
 * @is_not: the next option is meant the other way round
 */
struct legacy {
	struct json_object *exprs;
	bool is_not;
};

static struct json_object *pair(const char *key, struct json_object *value)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, key, value);
	return object;
}

static struct json_object *text(const char *value)
{
	return json_object_new_string(value);
}

static void add_match(struct legacy *rule, struct json_object *left,
		      struct json_object *right)
{
	struct json_object *match = pair("left", left);

	json_object_object_add(match, "op", text(rule->is_not ? "!=" : "=="));
	json_object_object_add(match, "right", right);
	json_object_array_add(rule->exprs, pair("match", match));
	rule->is_not = false;
}

static struct json_object *meta(const char *key)
{
	return pair("meta", pair("key", text(key)));
}

static struct json_object *payload(const char *protocol, const char *field)
{
	struct json_object *object = pair("protocol", text(protocol));

	json_object_object_add(object, "field", text(field));
	return pair("payload", object);
}

/* A port or a range of them. */
static struct json_object *port_of(char *word)
{
	char *last = strchr(word, ':');
	struct json_object *range;

	if (!last)
		return json_object_new_int(atoi(word));
	range = json_object_new_array();
	json_object_array_add(range, json_object_new_int(atoi(word)));
	json_object_array_add(range, json_object_new_int(atoi(last + 1)));
	return pair("range", range);
}

static struct json_object *ports_of(char *list)
{
	struct json_object *set = json_object_new_array();
	char *word;

	while ((word = strsep(&list, ",")))
		json_object_array_add(set, port_of(word));
	return pair("set", set);
}

static struct json_object *states_of(char *list)
{
	struct json_object *set = json_object_new_array();
	char *word, *c;

	while ((word = strsep(&list, ","))) {
		for (c = word; *c; c++)
			*c = tolower(*c);
		json_object_array_add(set, text(word));
	}
	return pair("set", set);
}

/* A device that ends in + is any that begins so. */
static struct json_object *device_of(char *word)
{
	char *end = word + strlen(word);

	if (end > word && end[-1] == '+')
		end[-1] = '*';
	return text(word);
}

static void add_verdict(struct legacy *rule, const char *target,
			const char *how)
{
	static const char *const plain[] = { "ACCEPT", "DROP", "REJECT", "RETURN" };
	static const char *const words[] = { "accept", "drop", "reject", "return" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		if (strcmp(target, plain[i]) == 0) {
			json_object_array_add(rule->exprs, pair(words[i], NULL));
			return;
		}
	json_object_array_add(rule->exprs,
			      pair(how, pair("target", text(target))));
}

/* Returns false for an option that says more than is understood here. */
static bool take_option(struct legacy *rule, const char *ip, const char *option,
			char *value)
{
	if (strcmp(option, "-p") == 0)
		add_match(rule, meta("l4proto"), text(value));
	else if (strcmp(option, "-s") == 0)
		add_match(rule, payload(ip, "saddr"), text(value));
	else if (strcmp(option, "-d") == 0)
		add_match(rule, payload(ip, "daddr"), text(value));
	else if (strcmp(option, "-i") == 0)
		add_match(rule, meta("iifname"), device_of(value));
	else if (strcmp(option, "-o") == 0)
		add_match(rule, meta("oifname"), device_of(value));
	else if (strcmp(option, "--dport") == 0 || strcmp(option, "--dports") == 0)
		add_match(rule, payload("th", "dport"), ports_of(value));
	else if (strcmp(option, "--sport") == 0 || strcmp(option, "--sports") == 0)
		add_match(rule, payload("th", "sport"), ports_of(value));
	else if (strcmp(option, "--ctstate") == 0 || strcmp(option, "--state") == 0)
		add_match(rule, pair("ct", pair("key", text("state"))),
			  states_of(value));
	else if (strcmp(option, "-j") == 0)
		add_verdict(rule, value, "jump");
	else if (strcmp(option, "-g") == 0)
		add_verdict(rule, value, "goto");
	else
		return strcmp(option, "-m") == 0;
	return true;
}

/* A comment is quoted where it has blanks. */
static char *next_word(char **words)
{
	char *word = *words;
	bool is_quoted = word && *word == '"';

	if (!is_quoted)
		return strsep(words, " ");
	*words = strstr(word + 1, "\" ");
	if (*words)
		*words += strlen("\" ");
	return word;
}

/* The target comes last; its own options say nothing of packets. */
static struct json_object *rule_of(char *words, const char *ip)
{
	struct legacy rule = { .exprs = json_object_new_array() };
	char *option, *value;

	while ((option = next_word(&words))) {
		if (strcmp(option, "!") == 0) {
			rule.is_not = true;
			continue;
		}
		/* an option can be without one */
		value = words && *words != '-' ? next_word(&words) : NULL;
		if (strcmp(option, "--comment") == 0)
			continue;
		if (!value || !take_option(&rule, ip, option, value)) {
			json_object_array_add(rule.exprs, pair("xt", NULL));
			rule.is_not = false;
		}
		if (strcmp(option, "-j") == 0 || strcmp(option, "-g") == 0)
			break;
	}
	return rule.exprs;
}

static struct json_object *part_of(const char *family, const char *table)
{
	struct json_object *part = pair("family", text(family));

	json_object_object_add(part, "table", text(table));
	return part;
}

/* ":INPUT DROP [0:0]"; those that begin with no packet have no policy. */
static struct json_object *chain_of(char *line, const char *family,
				    const char *table)
{
	static const char *const hooks[] = {
		"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING",
	};
	static const char *const words[] = {
		"prerouting", "input", "output", "postrouting",
	};
	struct json_object *chain = part_of(family, table);
	char *name = strsep(&line, " "), *policy = strsep(&line, " ");
	unsigned int i;

	json_object_object_add(chain, "name", text(name));
	json_object_object_add(chain, "type", text(table));
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (strcmp(name, hooks[i]) == 0)
			json_object_object_add(chain, "hook", text(words[i]));
	if (policy && strcmp(policy, "DROP") == 0)
		json_object_object_add(chain, "policy", text("drop"));
	return pair("chain", chain);
}

/**
 * firewall_legacy - take iptables' older tables as nft has them
 * @saved: what iptables-legacy-save says, which is taken apart
 * @family: ip or ip6
 *
 * Return: chains and rules, for json_object_put().
 */
struct json_object *firewall_legacy(char *saved, const char *family)
{
	struct json_object *ruleset = json_object_new_array(), *rule;
	const char *table = "";
	char *line;

	while ((line = strsep(&saved, "\n"))) {
		if (*line == '*') {
			table = line + 1;
		} else if (*line == ':') {
			json_object_array_add(ruleset,
					      chain_of(line + 1, family, table));
		} else if (strncmp(line, "-A ", 3) == 0) {
			line += 3;
			rule = part_of(family, table);
			json_object_object_add(rule, "chain",
					       text(strsep(&line, " ")));
			json_object_object_add(rule, "expr",
					       rule_of(line ?: "", family));
			json_object_array_add(ruleset, pair("rule", rule));
		}
	}
	return ruleset;
}
