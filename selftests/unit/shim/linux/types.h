/* SPDX-License-Identifier: GPL-2.0 */
/* What pure files of the module need of the kernel, in userspace. */
#ifndef BHSEC_SHIM_TYPES_H
#define BHSEC_SHIM_TYPES_H

#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define __rcu

#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, value) ((x) = (value))

#endif
