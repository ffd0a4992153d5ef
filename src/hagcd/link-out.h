/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Datagrams that wait to be sent on one link. They go in few system calls, and those that can go as one are
 * joined (offload.h), unless that was refused just now. */

#include <stdbool.h>
#include <stdint.h>

#include "hagcd/offload.h"
#include "hagcd/packet.h"
#include "shared/cluster-conf.h"

#define LINK_OUT_MAX 64U

typedef struct LinkOut {
        unsigned n;
        bool alone[LINK_OUT_MAX];
        struct mmsghdr messages[LINK_OUT_MAX];
        struct iovec iov[LINK_OUT_MAX];
        uint8_t data[LINK_OUT_MAX][PACKET_BYTES_MAX];

        uint64_t refused_usec;
        struct mmsghdr joined[LINK_OUT_MAX];
        unsigned n_parts[LINK_OUT_MAX];
        OffloadControl control[LINK_OUT_MAX];
} LinkOut;

typedef struct LinkOutResult {
        unsigned n_sent, n_failed;
        int error; /* of the last that failed */
} LinkOutResult;

/* Room for one more, of which link_out_commit() says how long it is; without that it is none. Not when
 * there are LINK_OUT_MAX. The address is borrowed until they are sent. */
uint8_t *link_out_begin(LinkOut *o, const ClusterAddress *to, bool alone);
void link_out_commit(LinkOut *o, size_t size_bytes);

/* Sends all; what cannot be sent is lost. */
LinkOutResult link_out_flush(LinkOut *o, int fd);
