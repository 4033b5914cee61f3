/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_SHIM_MINMAX_H
#define BHSEC_SHIM_MINMAX_H

#define max_t(type, a, b) ((type)(a) > (type)(b) ? (type)(a) : (type)(b))

#endif
