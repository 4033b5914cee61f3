/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of qemu-plugin.h, which Debian 12 does not package, what plugin.c needs:
 * version 1 of the interface.
 */
#ifndef BENCH_QEMU_H
#define BENCH_QEMU_H

#include <stddef.h>
#include <stdint.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef uint64_t plugin_id;
typedef void (*tb_cb)(plugin_id id, struct qemu_plugin_tb *tb);
typedef void (*exit_cb)(plugin_id id, void *data);
typedef void (*insn_cb)(unsigned int cpu, void *data);

enum { CB_NO_REGS };
enum { INLINE_ADD_U64 };

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, tb_cb cb);
void qemu_plugin_register_atexit_cb(plugin_id id, exit_cb cb, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    insn_cb cb, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
						int op, void *word,
						uint64_t addend);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#endif
