// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU's TCG: how often the guest executed each instruction of
 * its kernel, and how many of user space, between the marks of mark.h. It needs
 * one thread of emulation, as vm/run --measure has, for its counters are plain
 * words.
 *
 * At exit a line goes to out=FILE for each: address (0: all of user space),
 * count, the instruction's bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "qemu.h"

#define INSN_MAX	15
#define BUCKETS		(1 << 18)
#define KERNEL		(1ULL << 63)

/**
 * struct place - an address of the guest's kernel, or all of user space
 * @next: of the same bucket
 * @address: the guest's virtual one; 0: user space
 * @now: how often it was executed since the last mark
 * @sum: how often in what was marked before
 * @size: of the instruction
 * @bytes: the instruction, as it was last translated
 */
struct place {
	struct place *next;
	uint64_t address;
	uint64_t now;
	uint64_t sum;
	size_t size;
	uint8_t bytes[INSN_MAX];
};

int qemu_plugin_version = 1;

static struct place *places[BUCKETS];
static struct place user;
static const char *out;
static bool counting;

static void each_place(void (*what)(struct place *place))
{
	int i;

	what(&user);
	for (i = 0; i < BUCKETS; i++) {
		struct place *place;

		for (place = places[i]; place; place = place->next)
			what(place);
	}
}

static void forget(struct place *place)
{
	place->now = 0;
}

static void add_up(struct place *place)
{
	place->sum += place->now;
	place->now = 0;
}

static void at_begin(unsigned int cpu, void *data)
{
	each_place(forget);
	counting = true;
}

static void at_end(unsigned int cpu, void *data)
{
	if (counting)
		each_place(add_up);
	counting = false;
}

static struct place *place_of(uint64_t address)
{
	struct place **bucket = &places[address % BUCKETS];
	struct place *place;

	if (address < KERNEL)
		return &user;
	for (place = *bucket; place; place = place->next)
		if (place->address == address)
			return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		abort();
	place->address = address;
	place->next = *bucket;
	*bucket = place;
	return place;
}

/* nopl disp(%rax,%rax,1) */
static bool is_mark(uint32_t displacement, const uint8_t *bytes, size_t size)
{
	static const uint8_t nopl[] = { 0x0f, 0x1f, 0x84, 0x00 };

	return size == sizeof(nopl) + sizeof(displacement) &&
		!memcmp(bytes, nopl, sizeof(nopl)) &&
		!memcmp(bytes + sizeof(nopl), &displacement,
			sizeof(displacement));
}

static void translate_insn(struct qemu_plugin_insn *insn)
{
	struct place *place = place_of(qemu_plugin_insn_vaddr(insn));
	const void *bytes = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn);

	if (is_mark(MARK_BEGIN, bytes, size))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, at_begin,
						       CB_NO_REGS, NULL);
	else if (is_mark(MARK_END, bytes, size))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, at_end,
						       CB_NO_REGS, NULL);

	place->size = size < INSN_MAX ? size : INSN_MAX;
	memcpy(place->bytes, bytes, place->size);
	qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64,
						   &place->now, 1);
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);

	for (i = 0; i < n; i++)
		translate_insn(qemu_plugin_tb_get_insn(tb, i));
}

static FILE *file;

static void print_place(struct place *place)
{
	size_t i;

	if (!place->sum)
		return;
	fprintf(file, "%llx %llu ", (unsigned long long)place->address,
		(unsigned long long)place->sum);
	for (i = 0; i < place->size; i++)
		fprintf(file, "%02x", place->bytes[i]);
	fputc('\n', file);
}

static void at_exit(plugin_id id, void *data)
{
	at_end(0, NULL);
	file = fopen(out, "w");
	if (!file) {
		perror(out);
		return;
	}
	each_place(print_place);
	if (fclose(file))
		perror(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fputs("plugin: its argument is out=FILE\n", stderr);
		return -1;
	}
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
