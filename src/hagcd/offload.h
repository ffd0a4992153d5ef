/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The segments of a long message pass through the kernel as one packet, which is cut as late as possible
 * (UDP_SEGMENT), and is joined again as early as possible where it arrives (UDP_GRO): most of what a
 * datagram costs is its way through the kernel. On the wire nothing changes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* What is received must have room for a whole packet. */
#define OFFLOAD_PACKET_BYTES_MAX 65536U

typedef union OffloadControl {
        struct cmsghdr header; /* for its alignment */
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
} OffloadControl;

/* Of n messages, each of one iovec, and these lying one behind the other in memory: makes one of the first
 * and those behind it that can go with it. Returns how many they are. */
unsigned
offload_join(const struct mmsghdr *messages, unsigned n, struct msghdr *ret, OffloadControl *control);

/* The kernel, or the interface, does not do it, or a datagram does not fit the path in one piece: they go
 * one by one then. Not for good: a path may be narrower for a moment. */
bool offload_is_refused(int error);
#define OFFLOAD_RETRY_USEC (1000 * UINT64_C(1000))

/* Of a socket. A kernel that does not know it goes on handing out datagrams. */
void offload_receive(int fd);

/* What was received is datagrams of this size, the last of which may be shorter. */
size_t offload_datagram_bytes(struct msghdr *received, size_t received_bytes);
