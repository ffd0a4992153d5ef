/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: the last changes of the membership as this node saw them, each with who came and went and why. A
 * ring: the oldest makes room. It is gone with the daemon; the journal has it for longer. */

#include "cms/membership.h"
#include "libhagcs/proto.h"

typedef struct History {
        unsigned first, n;
        ProtoChange changes[PROTO_CHANGES_MAX];

        bool any;
        Membership last; /* what the next one is compared with */
} History;

/* Time is CLOCK_REALTIME, for people. */
void history_installed(History *h, const Membership *m, uint64_t time_usec);

/* A quorate membership goes on without this node. */
void history_shut_out(History *h, uint32_t self, uint64_t time_usec);

/* The changes, the oldest first, and the texts of their reasons. */
void history_fill(const History *h, ProtoMembership *ret);
