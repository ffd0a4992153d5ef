/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/if_ether.h>
#include <stdio.h>

#include "resource-agents/ip/frame.h"

/* Ethernet. */
#define AT_DESTINATION 0U
#define AT_SOURCE 6U
#define AT_TYPE 12U
#define AT_PAYLOAD 14U

/* ARP over Ethernet. */
#define AT_ARP_OPERATION 20U
#define AT_ARP_SENDER_MAC 22U
#define AT_ARP_SENDER_IP 28U
#define AT_ARP_TARGET_MAC 32U
#define AT_ARP_TARGET_IP 38U
#define ARP_FRAME_BYTES 42U
#define ARP_REQUEST 1U
#define ARP_REPLY 2U

/* Neighbour discovery: an IPv6 header, then ICMPv6. */
#define AT_IP6_LENGTH 18U
#define AT_IP6_NEXT_HEADER 20U
#define AT_IP6_HOP_LIMIT 21U
#define AT_IP6_SOURCE 22U
#define AT_IP6_DESTINATION 38U
#define AT_ND_TYPE 54U
#define AT_ND_CHECKSUM 56U
#define AT_ND_FLAGS 58U
#define AT_ND_TARGET 62U
#define AT_ND_OPTION 78U
#define ND_FRAME_BYTES 78U
#define ND_OPTION_BYTES 8U
#define ND_SOLICITATION 135U
#define ND_ADVERTISEMENT 136U
#define ND_FLAG_OVERRIDE 0x20U
#define ND_OPTION_TARGET_MAC 2U
#define ND_HOP_LIMIT 255U
#define IP6_ICMP 58U

static const Mac mac_broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const Mac mac_all_nodes = { { 0x33, 0x33, 0, 0, 0, 1 } };
static const uint8_t ip6_all_nodes[16] = { 0xff, 0x02, [15] = 1 };

static void put_u16(uint8_t *at, unsigned v) {
        at[0] = (uint8_t) (v >> 8);
        at[1] = (uint8_t) v;
}

static unsigned get_u16(const uint8_t *at) {
        return (unsigned) at[0] << 8 | at[1];
}

static bool is_zero(const uint8_t *at, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (at[i] != 0)
                        return false;
        return true;
}

static void put_ethernet(Frame *f, const Mac *destination, const Mac *source, unsigned type) {
        memcpy(f->bytes + AT_DESTINATION, destination, MAC_BYTES);
        memcpy(f->bytes + AT_SOURCE, source, MAC_BYTES);
        put_u16(f->bytes + AT_TYPE, type);
}

static void build_arp(FrameKind kind, const IpAddress *address, const Mac *own, Frame *f) {
        static const uint8_t ethernet_and_ip4[] = { 0, 1, 8, 0, MAC_BYTES, 4 };

        put_ethernet(f, &mac_broadcast, own, ETH_P_ARP);
        memcpy(f->bytes + AT_PAYLOAD, ethernet_and_ip4, sizeof ethernet_and_ip4);
        put_u16(f->bytes + AT_ARP_OPERATION, kind == FRAME_ANNOUNCE_REPLY ? ARP_REPLY : ARP_REQUEST);
        memcpy(f->bytes + AT_ARP_SENDER_MAC, own, MAC_BYTES);
        if (kind != FRAME_PROBE)
                memcpy(f->bytes + AT_ARP_SENDER_IP, address->bytes, 4);
        if (kind == FRAME_ANNOUNCE_REPLY)
                memcpy(f->bytes + AT_ARP_TARGET_MAC, &mac_broadcast, MAC_BYTES);
        memcpy(f->bytes + AT_ARP_TARGET_IP, address->bytes, 4);
        f->size_bytes = ARP_FRAME_BYTES;
}

static uint32_t sum_words(const uint8_t *data, size_t n) {
        uint32_t sum = 0;

        for (size_t i = 0; i + 1 < n; i += 2)
                sum += get_u16(data + i);
        return sum;
}

/* Over the pseudo header (addresses, length, next header) and the message, whose checksum field counts as
 * zero. */
static unsigned icmp6_checksum(const uint8_t *frame, size_t size_bytes) {
        size_t n = size_bytes - AT_ND_TYPE;
        uint32_t sum = sum_words(frame + AT_IP6_SOURCE, 32) + (uint32_t) n + IP6_ICMP +
                       sum_words(frame + AT_ND_TYPE, n) - get_u16(frame + AT_ND_CHECKSUM);

        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        return ~sum & 0xffff;
}

static void build_nd(FrameKind kind, const IpAddress *address, const Mac *own, Frame *f) {
        uint8_t *b = f->bytes;
        Mac solicited = frame_solicited_mac(address);

        f->size_bytes = kind == FRAME_PROBE ? ND_FRAME_BYTES : ND_FRAME_BYTES + ND_OPTION_BYTES;
        put_ethernet(f, kind == FRAME_PROBE ? &solicited : &mac_all_nodes, own, ETH_P_IPV6);
        b[AT_PAYLOAD] = 6 << 4;
        put_u16(b + AT_IP6_LENGTH, (unsigned) (f->size_bytes - AT_ND_TYPE));
        b[AT_IP6_NEXT_HEADER] = IP6_ICMP;
        b[AT_IP6_HOP_LIMIT] = ND_HOP_LIMIT;
        memcpy(b + AT_ND_TARGET, address->bytes, 16);

        if (kind == FRAME_PROBE) { /* from the unspecified address to the solicited-node group */
                b[AT_ND_TYPE] = ND_SOLICITATION;
                memcpy(b + AT_IP6_DESTINATION,
                       (const uint8_t[]){ 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff },
                       13);
                memcpy(b + AT_IP6_DESTINATION + 13, address->bytes + 13, 3);
        } else {
                b[AT_ND_TYPE] = ND_ADVERTISEMENT;
                b[AT_ND_FLAGS] = ND_FLAG_OVERRIDE;
                memcpy(b + AT_IP6_SOURCE, address->bytes, 16);
                memcpy(b + AT_IP6_DESTINATION, ip6_all_nodes, 16);
                b[AT_ND_OPTION] = ND_OPTION_TARGET_MAC;
                b[AT_ND_OPTION + 1] = 1; /* in units of eight bytes */
                memcpy(b + AT_ND_OPTION + 2, own, MAC_BYTES);
        }
        put_u16(b + AT_ND_CHECKSUM, icmp6_checksum(b, f->size_bytes));
}

void frame_build(FrameKind kind, const IpAddress *address, const Mac *own, Frame *ret) {
        *ret = (Frame){ 0 };
        if (address->family == AF_INET)
                build_arp(kind, address, own, ret);
        else
                build_nd(kind == FRAME_PROBE ? FRAME_PROBE : FRAME_ANNOUNCE, address, own, ret);
}

static FrameVerdict
judge_arp(const uint8_t *b, size_t n, const IpAddress *address, const Mac *own, Mac *ret_other) {
        static const uint8_t ethernet_and_ip4[] = { 0, 1, 8, 0, MAC_BYTES, 4 };

        if (n < ARP_FRAME_BYTES || memcmp(b + AT_PAYLOAD, ethernet_and_ip4, sizeof ethernet_and_ip4) != 0)
                return FRAME_OF_NO_CONCERN;
        if (memcmp(b + AT_ARP_SENDER_MAC, own, MAC_BYTES) == 0)
                return FRAME_OF_NO_CONCERN;

        memcpy(ret_other, b + AT_ARP_SENDER_MAC, MAC_BYTES);
        if (memcmp(b + AT_ARP_SENDER_IP, address->bytes, 4) == 0)
                return FRAME_USED;
        /* Switches that track devices ask single hosts in the form of a probe. A host that means it asks
         * all. */
        if (get_u16(b + AT_ARP_OPERATION) == ARP_REQUEST && is_zero(b + AT_ARP_SENDER_IP, 4) &&
            memcmp(b + AT_ARP_TARGET_IP, address->bytes, 4) == 0 &&
            memcmp(b + AT_DESTINATION, &mac_broadcast, MAC_BYTES) == 0)
                return FRAME_PROBED;
        return FRAME_OF_NO_CONCERN;
}

static FrameVerdict
judge_nd(const uint8_t *b, size_t n, const IpAddress *address, const Mac *own, Mac *ret_other) {
        if (n < ND_FRAME_BYTES || b[AT_IP6_NEXT_HEADER] != IP6_ICMP || b[AT_IP6_HOP_LIMIT] != ND_HOP_LIMIT)
                return FRAME_OF_NO_CONCERN;
        if (memcmp(b + AT_ND_TARGET, address->bytes, 16) != 0 || memcmp(b + AT_SOURCE, own, MAC_BYTES) == 0)
                return FRAME_OF_NO_CONCERN;

        memcpy(ret_other, b + AT_SOURCE, MAC_BYTES);
        if (b[AT_ND_TYPE] == ND_ADVERTISEMENT)
                return FRAME_USED;
        if (b[AT_ND_TYPE] == ND_SOLICITATION && is_zero(b + AT_IP6_SOURCE, 16))
                return FRAME_PROBED;
        return FRAME_OF_NO_CONCERN;
}

FrameVerdict
frame_judge(const uint8_t *data,
            size_t size_bytes,
            const IpAddress *address,
            const Mac *own,
            Mac *ret_other) {
        Mac other;
        FrameVerdict verdict = FRAME_OF_NO_CONCERN;

        if (size_bytes < AT_PAYLOAD)
                return verdict;
        if (address->family == AF_INET && get_u16(data + AT_TYPE) == ETH_P_ARP)
                verdict = judge_arp(data, size_bytes, address, own, &other);
        else if (address->family == AF_INET6 && get_u16(data + AT_TYPE) == ETH_P_IPV6)
                verdict = judge_nd(data, size_bytes, address, own, &other);
        if (verdict != FRAME_OF_NO_CONCERN)
                *ret_other = other;
        return verdict;
}

Mac frame_solicited_mac(const IpAddress *address) {
        return (Mac){ { 0x33, 0x33, 0xff, address->bytes[13], address->bytes[14], address->bytes[15] } };
}

char *mac_format(const Mac *m, char buf[static MAC_TEXT_MAX]) {
        const uint8_t *b = m->bytes;

        (void) snprintf(buf,
                        MAC_TEXT_MAX,
                        "%02x:%02x:%02x:%02x:%02x:%02x",
                        b[0],
                        b[1],
                        b[2],
                        b[3],
                        b[4],
                        b[5]);
        return buf;
}
