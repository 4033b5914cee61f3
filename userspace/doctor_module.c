// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec doctor: is there a module for this kernel, and is it the right one.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "message.h"
#include "program.h"

#define LOADED "/sys/module/bhsec"
#define DKMS "/var/lib/dkms/bhsec"
#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/* Longer lines of a compiler are cut. */
#define LINE_SIZE 512

/**
 * struct installed - the module that modprobe would load
 * @text: what modinfo says, or NULL if there is no module
 * @len: bytes of it
 * @is_known: modinfo was asked
 */
struct installed {
	char *text;
	size_t len;
	bool is_known;
};

/* Of modinfo's lines, "word:   value", whose ends have become zeros. */
static const char *value_of(const struct installed *installed, const char *word)
{
	size_t len = strlen(word);
	const char *line, *end;

	if (!installed->text)
		return NULL;
	end = installed->text + installed->len;
	for (line = installed->text; line < end; line += strlen(line) + 1)
		if (strncmp(line, word, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	return NULL;
}

static void find_installed(struct installed *installed)
{
	static const char *const modinfo[] = { "modinfo", "bhsec", NULL };
	char *end;

	installed->is_known = program_run(modinfo, STDOUT_FILENO,
					  &installed->text, &installed->len) !=
			      PROGRAM_ABSENT;
	if (!installed->is_known)
		remark("doctor: the installed module was not looked at: there is no modinfo");
	for (end = installed->text; end && (end = strchr(end, '\n')); end++)
		*end = '\0';
}

static bool begins_error(const char *line)
{
	static const char *const words[] = {
		"error: ", "*** ", "not found", "no such file",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(line, words[i]))
			return true;
	return false;
}

/* DKMS leaves it there only if the module did not build; line 1 says for what. */
static bool read_error(const char *path, const char *release,
		       char line[LINE_SIZE])
{
	FILE *file = fopen(path, "re");
	char kernel[sizeof(((struct utsname *)NULL)->release) + 8];
	bool found = false;

	if (!file)
		return false;
	snprintf(kernel, sizeof(kernel), "kernel %s ", release);
	if (fgets(line, LINE_SIZE, file) && strstr(line, kernel))
		while (!found && fgets(line, LINE_SIZE, file))
			found = begins_error(line);
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return found;
}

static bool check_dkms(struct doctor *doctor, const char *release)
{
	char line[LINE_SIZE];
	glob_t logs = {};
	size_t i;
	bool found = false;

	glob(DKMS "/*/build/make.log", 0, NULL, &logs);
	for (i = 0; i < logs.gl_pathc; i++) {
		if (!read_error(logs.gl_pathv[i], release, line))
			continue;
		doctor_say(doctor, "dkms",
			   "the module does not build for Linux %s: %s", release,
			   line);
		doctor_advise(doctor, "less %s", logs.gl_pathv[i]);
		found = true;
	}
	globfree(&logs);
	return found;
}

/* The kernel's name for those of another one, for a sentence, or nothing. */
static void find_other_headers(char *text, size_t size)
{
	glob_t found = {};

	text[0] = '\0';
	if (glob("/lib/modules/*/build/Makefile", 0, NULL, &found) == 0)
		snprintf(text, size, ", but those of %.*s are",
			 (int)strcspn(found.gl_pathv[0] + strlen("/lib/modules/"),
				      "/"),
			 found.gl_pathv[0] + strlen("/lib/modules/"));
	globfree(&found);
}

static bool check_headers(struct doctor *doctor, const char *release)
{
	char path[256], line[LINE_SIZE];

	snprintf(path, sizeof(path), "/lib/modules/%s/build/Makefile", release);
	if (access(path, F_OK)) {
		find_other_headers(line, sizeof(line));
		doctor_say(doctor, "headers",
			   "the headers of Linux %s, which runs, are not installed%s: without them the module cannot be built",
			   release, line);
		doctor_advise(doctor, "apt install linux-headers-%s", release);
		return true;
	}
	snprintf(path, sizeof(path),
		 "/lib/modules/%s/build/include/config/kernel.release", release);
	if (!doctor_read(path, line, sizeof(line)) || !strcmp(line, release))
		return false;
	doctor_say(doctor, "headers",
		   "/lib/modules/%s/build has the headers of another kernel, Linux %s",
		   release, line);
	doctor_advise(doctor, "apt install --reinstall linux-headers-%s", release);
	return true;
}

/* The first cause tells all: what is not built cannot be installed. */
static void check_build(struct doctor *doctor, const char *release)
{
	if (check_headers(doctor, release) || check_dkms(doctor, release))
		return;
	doctor_say(doctor, "module", "the module is not installed for Linux %s",
		   release);
	if (access(DKMS, F_OK) == 0)
		doctor_advise(doctor, "dkms autoinstall -k %s", release);
	else
		doctor_advise(doctor, "make && sudo make install");
}

/* By the firmware's variable, whose value follows four bytes of attributes. */
static bool is_secure_boot(void)
{
	FILE *file = fopen(SECURE_BOOT, "re");
	char value[5];
	bool is_on;

	if (!file)
		return false;
	is_on = fread(value, 1, sizeof(value), file) == sizeof(value) && value[4];
	fclose(file);
	return is_on;
}

static bool takes_signed_only(void)
{
	char line[LINE_SIZE];

	if (doctor_read("/sys/kernel/security/lockdown", line, sizeof(line)))
		return !strstr(line, "[none]");
	if (doctor_read("/sys/module/module/parameters/sig_enforce", line,
			sizeof(line)) && line[0] == 'Y')
		return true;
	return is_secure_boot();
}

static void check_signature(struct doctor *doctor, const char *release,
			    const struct installed *installed)
{
	const char *path = value_of(installed, "filename");

	if (value_of(installed, "sig_id") || !takes_signed_only())
		return;
	doctor_say(doctor, "signature",
		   "the kernel takes only signed modules, as Secure Boot wants it, and %s is not signed",
		   path);
	doctor_advise(doctor,
		      "/lib/modules/%s/build/scripts/sign-file sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub %s",
		      release, path);
}

/* Builds of one version can differ, too. */
static void check_loaded(struct doctor *doctor, const struct installed *installed)
{
	const char *version = value_of(installed, "version");
	const char *source = value_of(installed, "srcversion");
	char loaded[64], loaded_source[64];

	if (!version || !source ||
	    !doctor_read(LOADED "/version", loaded, sizeof(loaded)) ||
	    !doctor_read(LOADED "/srcversion", loaded_source,
			 sizeof(loaded_source)))
		return;
	if (!strcmp(version, loaded) && !strcmp(source, loaded_source))
		return;
	doctor_say(doctor, "version",
		   "the module that is loaded is %s of source %s, the installed one is %s of source %s; to load that deletes all devices",
		   loaded, loaded_source, version, source);
	doctor_advise(doctor, "rmmod bhsec && modprobe bhsec");
}

/**
 * doctor_module - look for the module
 * @doctor: what is looked at
 *
 * To ask the kernel about the family would load it, so that comes later.
 *
 * Return: whether it is loaded.
 */
bool doctor_module(struct doctor *doctor)
{
	bool is_loaded = access(LOADED, F_OK) == 0;
	struct installed installed = {};
	struct utsname kernel;

	uname(&kernel);
	find_installed(&installed);
	if (is_loaded)
		check_loaded(doctor, &installed);
	else if (installed.text)
		check_signature(doctor, kernel.release, &installed);
	else if (installed.is_known)
		check_build(doctor, kernel.release);
	if (is_loaded || installed.text)
		check_dkms(doctor, kernel.release);
	free(installed.text);
	return is_loaded;
}

/**
 * doctor_family - do the module and this tool speak of the same things
 * @doctor: what is looked at
 */
void doctor_family(struct doctor *doctor)
{
	uint32_t version = doctor->ctx->nl->version;

	if (version == BHSEC_FAMILY_VERSION)
		return;
	doctor_say(doctor, "family",
		   "the module has version %u of the netlink family, and this tool version %d: they are not of one release",
		   version, BHSEC_FAMILY_VERSION);
	doctor_advise(doctor, "apt install --reinstall bhsec bhsec-dkms");
}
