/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands in a datagram. Outside, in clear and trusted for nothing but finding the session:
 * PacketHeader. Inside the seal: PacketInside, which names sender and receiver again, and a segment of a
 * message. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "hagcd/dtls.h"

#define PACKET_VERSION 2U
#define PACKET_HEADER_BYTES 12U
#define PACKET_INSIDE_BYTES 45U

#define GASP_SECRET_BYTES 32U
#define GASP_HASH_BYTES 16U

/* Fits a path of 1500 bytes over IPv6: 1500 - 40 - 8 and our own headers. */
#define PACKET_PAYLOAD_MAX (1452U - PACKET_HEADER_BYTES - DTLS_OVERHEAD_BYTES - PACKET_INSIDE_BYTES)
#define PACKET_BYTES_MAX 1500U

#define PACKET_SEGMENTS_MAX 64U
#define PACKET_MESSAGE_MAX (PACKET_SEGMENTS_MAX * PACKET_PAYLOAD_MAX)

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

/* The newest message that came the other way, and how long ago: for round-trip times. */
typedef struct PacketEcho {
        uint32_t message;
        uint32_t held_usec; /* UINT32_MAX: there is nothing to echo */
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
        PacketEcho echo; /* of the same class and link */
} PacketInside;

void packet_header_encode(const PacketHeader *h, uint8_t buf[static PACKET_HEADER_BYTES]);

/* 0, or -EBADMSG. What follows begins at PACKET_HEADER_BYTES. */
int packet_header_decode(const void *data, size_t size_bytes, PacketHeader *ret);

/* Whether it would be ours, were it not for its version: the first bytes stay what they are. */
bool packet_is_of_other_version(const void *data, size_t size_bytes);

void packet_inside_encode(const PacketInside *p, uint8_t buf[static PACKET_INSIDE_BYTES]);
int packet_inside_decode(const void *data, size_t size_bytes, PacketInside *ret);

/* Segments that a message of this size needs; 0: it is too long. An empty message needs one. */
uint32_t packet_segments(size_t size_bytes);
