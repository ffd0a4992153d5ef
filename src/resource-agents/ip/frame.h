/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The Ethernet frames by which an address is asked for and announced: ARP (RFC 826, 5227) for IPv4,
 * neighbour discovery (RFC 4861, 4862) for IPv6. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "resource-agents/ip/ip-address.h"

#define FRAME_BYTES_MAX 86U
#define MAC_BYTES 6U
#define MAC_TEXT_MAX 18U

typedef struct Mac {
        uint8_t bytes[MAC_BYTES];
} Mac;

typedef struct Frame {
        uint8_t bytes[FRAME_BYTES_MAX];
        size_t size_bytes;
} Frame;

typedef enum FrameKind {
        /* "Who has this address? I do not." */
        FRAME_PROBE,
        /* "I have this address", the form that all caches take. IPv4: a request for oneself; IPv6: an
           override. */
        FRAME_ANNOUNCE,
        /* IPv4 only, the reply form, for neighbours that heed nothing else. */
        FRAME_ANNOUNCE_REPLY,
} FrameKind;

typedef enum FrameVerdict {
        FRAME_OF_NO_CONCERN,
        FRAME_USED,   /* another host says that it has the address */
        FRAME_PROBED, /* another host asks all whether it may take the address */
} FrameVerdict;

void frame_build(FrameKind kind, const IpAddress *address, const Mac *own, Frame *ret);

/* ret_other: whose it was, set unless of no concern. */
FrameVerdict
frame_judge(const uint8_t *data,
            size_t size_bytes,
            const IpAddress *address,
            const Mac *own,
            Mac *ret_other);

/* ff02::1:ff.., as Ethernet knows it: what others' probes for this IPv6 address are sent to. */
Mac frame_solicited_mac(const IpAddress *address);

char *mac_format(const Mac *m, char buf[static MAC_TEXT_MAX]);
