/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells of datagrams that no node of this cluster sent, at a bounded rate whatever comes: a line of each
 * kind a link and STRANGER_INTERVAL_USEC. Only the last address is remembered, for there may be as many as
 * there are datagrams. */

#include "shared/cluster-conf.h"
#include "shared/log.h"

#define STRANGER_INTERVAL_USEC (10 * UINT64_C(1000000))
/* A node that starts again, and a network that doubles a datagram now and then, leave a few that cannot be
 * opened. */
#define STRANGER_FORGED_MIN 50U

typedef struct Stranger {
        unsigned link;
        LogRate rate;        /* of those from nowhere */
        LogRate forged_rate; /* of those from a node's address */
        uint64_t begin_usec; /* since when forged ones are counted, */
        uint32_t n_forged;   /* and how many there were */
        uint64_t n_untold;   /* since the last line */
} Stranger;

Stranger stranger_make(unsigned link);

/* It comes from an address that no node has on this link. */
void stranger_seen(Stranger *s, const ClusterAddress *from, bool other_version, uint64_t now_usec);

/* It comes from the node's address, and cannot be what that node says now. */
void stranger_forged(Stranger *s, const char *node, const ClusterAddress *from, uint64_t now_usec);
