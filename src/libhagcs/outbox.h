/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What waits to be written to hagcd: control frames, which go at once, and payload, which needs credit.
 * Snapshots do not wait behind messages: the group of these may have to wait for the newcomer. */

#include "libhagcs/proto.h"

typedef struct OutFrame OutFrame;

struct OutFrame {
        OutFrame *next;  /* owned */
        uint32_t cost;   /* credit; 0 for control */
        bool is_message; /* counts for hagcs_send()'s limit */
        bool is_last;    /* nothing that was put in before it may come after it */
        size_t size_bytes;
        uint8_t data[]; /* behind room for its length */
};

typedef struct OutQueue {
        OutFrame *first; /* owned */
        OutFrame *last;  /* weak */
} OutQueue;

typedef struct Outbox {
        OutQueue control;
        OutQueue payload; /* messages, and UNREGISTER, which is after all snapshots */
        OutQueue snapshots;
        uint64_t credit;
        uint64_t kept_bytes;  /* of the credit: not for messages */
        size_t message_bytes; /* of messages in payload */
        bool blocked;         /* the socket was full */
} Outbox;

void outbox_done(Outbox *o);

/* Frames of one message are made first and put in together: all or nothing. */
int out_queue_add(OutQueue *q, const ProtoFrame *f, uint8_t *scratch, size_t scratch_bytes);
void out_queue_clear(OutQueue *q);

/* Moves all frames of q to the end of the payload, or of the snapshots. */
void outbox_put_payload(Outbox *o, OutQueue *q);
void outbox_put_snapshot(Outbox *o, OutQueue *q);

/* Drops all of both but UNREGISTER: nobody waits for it any more. */
void outbox_drop_payload(Outbox *o);

/* Writes what can be written. 0, or the errno that ends the connection. */
int outbox_write(Outbox *o, int fd);
