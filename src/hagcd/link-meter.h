/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: what the messages of membership on one link between two nodes tell of it. Their numbers have no gaps
 * when they are sent, so gaps are losses; each carries an echo of the newest one that came the other way,
 * and for how long it was held, so that the rest of the time was spent under way, and which of those before
 * it came. Times and counts are for people only; what is decided by the rest, link-size.h says. */

#include "hagcd/packet.h"

/* An echo of anything older than the newest so many is of no use. */
#define LINK_METER_SENT_MAX 16U

typedef struct LinkMeter {
        bool sent_any;
        uint32_t sent; /* newest number */
        uint64_t sent_usec[LINK_METER_SENT_MAX];
        uint32_t measured; /* number that was measured by last */
        uint64_t rtt_usec; /* smoothed; USEC_INFINITY: not known */

        bool received_any;
        uint32_t received; /* newest number */
        uint32_t came;     /* bit i: the one i + 1 before it came */
        uint64_t received_usec;
        uint64_t n_received, n_lost; /* of the peer's present incarnation */
} LinkMeter;

void link_meter_init(LinkMeter *m);

/* The peer runs as another incarnation: its numbers begin anew. */
void link_meter_forget(LinkMeter *m);

/* In the order in which they are numbered. */
void link_meter_sent(LinkMeter *m, uint32_t number, uint64_t now_usec);

/* In the order in which they come, each once. */
void link_meter_received(LinkMeter *m, uint32_t number, uint64_t now_usec);

/* For the next message, and from one that came. */
PacketEcho link_meter_echo(const LinkMeter *m, uint64_t now_usec);
void link_meter_echoed(LinkMeter *m, PacketEcho echo, uint64_t now_usec);
