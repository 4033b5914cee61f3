/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_ATTR_H
#define BHSEC_ATTR_H

#include <libmnl/libmnl.h>

#include "address.h"

const char *attr_prefix(const struct nlattr *prefix, char text[ADDRESS_TEXT]);
const char *attr_endpoint(const struct nlattr **peer, char text[ADDRESS_TEXT]);

#endif
