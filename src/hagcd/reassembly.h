/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Puts segments together again. Bounded: so many messages at once from one peer on one link; a newer message
 * pushes out the oldest, which its sender then sends again as it would after a loss. */

#include <stdint.h>

#include "basic/buffer.h"
#include "hagcd/packet.h"

#define REASSEMBLY_SLOTS 4U

typedef struct ReassemblySlot {
        Buffer *buffer; /* owned; NULL: the slot is free */
        uint64_t incarnation;
        uint32_t message;
        uint32_t n_segments, full_bytes;
        uint32_t n_have;
        uint64_t have[PACKET_SEGMENTS_MAX / 64];
} ReassemblySlot;

typedef struct Reassembly {
        ReassemblySlot slots[REASSEMBLY_SLOTS];
        uint32_t next;
} Reassembly;

void reassembly_done(Reassembly *r);

/* Takes in a segment of several. 1 and a buffer with one reference for the caller: the message is whole. 0:
 * not yet, or a segment that was there already. -ENOMEM: dropped. */
int reassembly_add(
                Reassembly *r,
                const PacketInside *inside,
                const void *payload,
                size_t size_bytes,
                Buffer **ret);
