/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_VICI_H
#define BHSEC_VICI_H

#include "identities.h"

void vici_ask(struct identities *ids, uint64_t peers);

#endif
