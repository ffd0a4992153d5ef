/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which IP addresses a host can have. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

/* Not the unspecified address, loopback, multicast, a network's broadcast address or its own. family:
 * AF_INET or AF_INET6; bytes as inet_pton() gives them. */
bool host_address_is_usable(int family, const uint8_t *bytes, uint32_t prefix_length);
