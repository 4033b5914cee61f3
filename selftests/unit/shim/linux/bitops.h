/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHIM_BITOPS_H
#define BHSEC_SHIM_BITOPS_H

#define min(a, b) ((a) < (b) ? (a) : (b))

#endif
