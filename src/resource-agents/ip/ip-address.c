/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdio.h>

#include "basic/host-address.h"
#include "basic/parse.h"
#include "resource-agents/ip/ip-address.h"

static uint32_t network_mask(uint8_t prefix_length) {
        return prefix_length == 0 ? 0 : UINT32_MAX << (32 - prefix_length);
}

int ip_address_parse(const char *text, IpAddress *ret) {
        char host[INET6_ADDRSTRLEN];
        const char *slash = strchr(text, '/');
        IpAddress a = { 0 };
        uint32_t prefix_length;

        if (!slash || (size_t) (slash - text) >= sizeof host)
                return -EINVAL;
        memcpy(host, text, (size_t) (slash - text));
        host[slash - text] = '\0';

        a.family = strchr(host, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(a.family, host, a.bytes) != 1)
                return -EINVAL;
        if (parse_u32(slash + 1, 1, a.family == AF_INET ? 32 : 128, &prefix_length) < 0)
                return -EINVAL;
        a.prefix_length = (uint8_t) prefix_length;

        if (!host_address_is_usable(a.family, a.bytes, a.prefix_length))
                return -EADDRNOTAVAIL;

        *ret = a;
        return 0;
}

char *ip_address_format_host(const IpAddress *a, char buf[static IP_ADDRESS_TEXT_MAX]) {
        if (!inet_ntop(a->family, a->bytes, buf, IP_ADDRESS_TEXT_MAX))
                buf[0] = '\0';
        return buf;
}

char *ip_address_format(const IpAddress *a, char buf[static IP_ADDRESS_TEXT_MAX]) {
        size_t n = strlen(ip_address_format_host(a, buf));

        (void) snprintf(buf + n, IP_ADDRESS_TEXT_MAX - n, "/%u", a->prefix_length);
        return buf;
}

size_t ip_address_size(const IpAddress *a) {
        return a->family == AF_INET ? sizeof a->in : sizeof a->in6;
}

bool ip_address_equal_host(const IpAddress *a, const IpAddress *b) {
        return a->family == b->family && memcmp(a->bytes, b->bytes, ip_address_size(a)) == 0;
}

bool ip_address_broadcast(const IpAddress *a, struct in_addr *ret) {
        if (a->family != AF_INET || a->prefix_length >= 31)
                return false;
        ret->s_addr = a->in.s_addr | htonl(~network_mask(a->prefix_length));
        return true;
}
