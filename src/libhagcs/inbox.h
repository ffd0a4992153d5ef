/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Puts the pieces of long messages and of a snapshot together. Pieces of several senders come mixed. */

#include "libhagcs/proto.h"

typedef struct Partial Partial;

typedef struct Inbox {
        Partial *partials; /* owned: messages that go on */
        Partial *snapshot; /* owned */
        Partial *given;    /* owned: what the last event points to */
} Inbox;

void inbox_done(Inbox *b);
void inbox_clear(Inbox *b);

/* Frees what the last event pointed to. */
void inbox_release(Inbox *b);

/* Forgets what a sender that left began. */
void inbox_forget(Inbox *b, const ProtoMemberId *sender);

/* 1: *ret_data is the whole, valid until inbox_release(); 0: it goes on; -ENOMEM: nothing was changed;
 * -EPROTO: longer than may be. */
int inbox_add_message(
                Inbox *b,
                const ProtoMemberId *sender,
                const void *data,
                size_t size_bytes,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes);
int inbox_add_snapshot(
                Inbox *b,
                const void *data,
                size_t size_bytes,
                bool first,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes);
