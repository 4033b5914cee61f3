/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the profile begins and ends: two nops that nobody else has a use for.
 * QEMU's plugin knows them when it translates them, in kernel or user space,
 * and everybody else passes over one instruction.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

/* The displacement of nopl disp(%rax,%rax,1). */
#define MARK_BEGIN	0x62680001
#define MARK_END	0x62680000

static inline void mark_begin(void)
{
	__asm__ volatile ("nopl %c0(%%rax,%%rax,1)" : : "i" (MARK_BEGIN) :
			  "memory");
}

static inline void mark_end(void)
{
	__asm__ volatile ("nopl %c0(%%rax,%%rax,1)" : : "i" (MARK_END) :
			  "memory");
}

#endif
