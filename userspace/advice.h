/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ADVICE_H
#define BHSEC_ADVICE_H

#include <stdint.h>

const char *advice_of(uint32_t cause);

#endif
