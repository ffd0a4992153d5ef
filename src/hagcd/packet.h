/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands in a datagram. Outside, in clear and trusted for nothing but finding the session:
 * PacketHeader. Inside the seal: PacketInside, which names sender and receiver again, and a segment of a
 * message. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "hagcd/dtls.h"
#include "hagcd/link-size.h"

#define PACKET_VERSION 3U
#define PACKET_HEADER_BYTES 12U
#define PACKET_INSIDE_BYTES 53U

#define GASP_SECRET_BYTES 32U
#define GASP_HASH_BYTES 16U

/* A datagram with so much payload, and the least payload of a segment that another one follows: see
 * link-size.h. */
#define PACKET_OVERHEAD_BYTES (PACKET_HEADER_BYTES + DTLS_OVERHEAD_BYTES + PACKET_INSIDE_BYTES)
#define PACKET_PAYLOAD_MAX (LINK_SIZE_LONGEST - PACKET_OVERHEAD_BYTES)
#define PACKET_PAYLOAD_MIN (LINK_SIZE_SHORTEST - PACKET_OVERHEAD_BYTES)
#define PACKET_BYTES_MAX 1500U

/* Enough for any message in the shortest segments. */
#define PACKET_SEGMENTS_MAX 192U
#define PACKET_MESSAGE_MAX (PACKET_SEGMENTS_MAX * PACKET_PAYLOAD_MIN)

typedef enum PacketKind {
        PACKET_DTLS = 1,  /* a DTLS datagram follows */
        PACKET_KNOCK,     /* from the server of a session: I have none (or not this one), please begin */
        PACKET_LAST_GASP, /* GASP_SECRET_BYTES follow; the sender's hagcd is dead. Not sealed: see facts of
                             DTLS */
        PACKET_NO_NODE,   /* an answer: by the sender's cluster.conf the receiver is no node, or another */
} PacketKind;

typedef struct PacketHeader {
        PacketKind kind;
        DtlsClass class;
        uint32_t from;
        uint32_t to;
        uint32_t link;
        uint32_t key_id;
} PacketHeader;

/* The newest message that came the other way, and how long ago: for round-trip times. And which of those
 * before it came: for losses. */
typedef struct PacketEcho {
        uint32_t message;
        uint32_t held_usec; /* UINT32_MAX: there is nothing to echo */
        uint32_t came;      /* bit i: the one i + 1 before it */
} PacketEcho;

#define PACKET_NO_ECHO ((PacketEcho){ .held_usec = UINT32_MAX })

typedef struct PacketInside {
        uint32_t from;
        uint32_t to;
        uint32_t link;
        DtlsClass class;
        uint64_t incarnation;               /* of the sender's hagcd ... */
        uint8_t gasp_hash[GASP_HASH_BYTES]; /* ... and the beginning of the hash of its last gasp's secret */
        uint8_t links_heard;                /* bit i: the sender hears the receiver on link i */
        uint32_t message;                   /* numbers messages of this sender, class and link */
        uint16_t segment;
        uint16_t n_segments;
        uint16_t full_bytes;    /* payload of each segment but the last */
        uint16_t padding_bytes; /* behind the payload of a message of one segment, to be dropped */
        PacketEcho echo;        /* of the same class and link */
} PacketInside;

void packet_header_encode(const PacketHeader *h, uint8_t buf[static PACKET_HEADER_BYTES]);

/* 0, or -EBADMSG. What follows begins at PACKET_HEADER_BYTES. */
int packet_header_decode(const void *data, size_t size_bytes, PacketHeader *ret);

/* Whether it would be ours, were it not for its version: the first bytes stay what they are. */
bool packet_is_of_other_version(const void *data, size_t size_bytes);

void packet_inside_encode(const PacketInside *p, uint8_t buf[static PACKET_INSIDE_BYTES]);
int packet_inside_decode(const void *data, size_t size_bytes, PacketInside *ret);

/* Segments that a message of this size needs when each holds so much; 0: it is too long. An empty message
 * needs one. */
uint32_t packet_segments(size_t size_bytes, uint32_t full_bytes);
