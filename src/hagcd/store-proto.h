/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hagcd and hagcd-store say to each other: one frame a packet of a seqpacket socket. READ is answered
 * by RECORD, each WRITE by STORED, in order. */

#include <sys/types.h>

#include "hagcd/store-record.h"

#define STORE_SOCKET_PATH "/run/hagcd/store.sock"
#define STORE_FRAME_MAX (STORE_PAYLOAD_MAX + 64U)

typedef enum StoreFrameType {
        STORE_FRAME_READ = 1,
        STORE_FRAME_RECORD,
        STORE_FRAME_WRITE,
        STORE_FRAME_STORED,
} StoreFrameType;

typedef struct StoreFrame {
        StoreFrameType type;
        uint64_t number;     /* WRITE, STORED */
        int error;           /* RECORD, STORED: 0 or a negative errno; RECORD: -ENODATA when there is none */
        const uint8_t *data; /* RECORD, WRITE: borrowed */
        size_t size_bytes;
} StoreFrame;

/* Returns the size. */
size_t store_frame_encode(const StoreFrame *f, uint8_t buf[static STORE_FRAME_MAX]);
int store_frame_decode(const void *data, size_t size_bytes, StoreFrame *ret);
