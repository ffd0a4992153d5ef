/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/host-address.h"

#include <netinet/in.h>

static bool usable4(const uint8_t *bytes, uint32_t prefix_length) {
        uint32_t host = (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 |
                        bytes[3];
        uint32_t inside_mask =
                        prefix_length == 0 ? UINT32_MAX : (uint32_t) (UINT64_C(0xffffffff) >> prefix_length);

        /* Among them 0.0.0.0/8, and multicast, reserved and broadcast from 224.0.0.0 on. */
        if (bytes[0] == 0 || bytes[0] == 127 || bytes[0] >= 224)
                return false;
        /* In networks of more than two hosts, the first and the last address belong to nobody. */
        return prefix_length >= 31 || ((host & inside_mask) != 0 && (host & inside_mask) != inside_mask);
}

static bool usable6(const uint8_t *bytes) {
        struct in6_addr a;

        memcpy(&a, bytes, sizeof(a));
        return !IN6_IS_ADDR_UNSPECIFIED(&a) && !IN6_IS_ADDR_LOOPBACK(&a) && !IN6_IS_ADDR_MULTICAST(&a) &&
               !IN6_IS_ADDR_V4MAPPED(&a);
}

bool host_address_is_usable(int family, const uint8_t *bytes, uint32_t prefix_length) {
        return family == AF_INET ? usable4(bytes, prefix_length) : usable6(bytes);
}
