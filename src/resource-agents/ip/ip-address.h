/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An IPv4 or IPv6 address with its prefix length, as an interface carries it. Pure. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

#define IP_ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + 4U)

typedef struct IpAddress {
        int family; /* AF_INET, AF_INET6 */
        union {
                struct in_addr in;
                struct in6_addr in6;
                uint8_t bytes[16];
        };
        uint8_t prefix_length;
} IpAddress;

/* "192.0.2.10/24", "2001:db8::10/64". -EINVAL: not an address with a prefix length; -EADDRNOTAVAIL: one that
 * no single host can have (unspecified, loopback, multicast, broadcast, the network's own). */
int ip_address_parse(const char *text, IpAddress *ret);

/* With and without the prefix length. */
char *ip_address_format(const IpAddress *a, char buf[static IP_ADDRESS_TEXT_MAX]);
char *ip_address_format_host(const IpAddress *a, char buf[static IP_ADDRESS_TEXT_MAX]);

size_t ip_address_size(const IpAddress *a);

/* The same host address; prefix lengths may differ. */
bool ip_address_equal_host(const IpAddress *a, const IpAddress *b);

/* IPv4 networks that have one. */
bool ip_address_broadcast(const IpAddress *a, struct in_addr *ret);
