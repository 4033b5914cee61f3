/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHIM_SLAB_H
#define BHSEC_SHIM_SLAB_H

#include <linux/types.h>

#define GFP_KERNEL_ACCOUNT 0

/* Fails where the test wants it to. */
void *shim_alloc(size_t size);
void shim_free(void *object);

/* The newest kernel's names: nothing is left for compat.h to do. */
#define BHSEC_COMPAT_H
#define kzalloc_obj(object, flags) ((void)(flags), shim_alloc(sizeof(object)))
#define kfree(p) shim_free(p)

#endif
