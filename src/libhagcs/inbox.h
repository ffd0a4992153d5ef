/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Puts the pieces of long messages and of a snapshot together. Pieces of several senders come mixed.
 *
 * A newcomer has not seen the pieces that were ordered before it. So what the member that gives a snapshot
 * has of messages that were under way at that point goes in front of it: they are ordered where they end,
 * which is behind. */

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

/* 1: *ret_data is the whole, valid until inbox_release(); 0: it goes on, or is none: a message whose
 * beginning was not seen, or that is longer than may be, is left out. -ENOMEM: nothing was changed. */
int inbox_add_message(
                Inbox *b,
                const ProtoMemberId *sender,
                const void *data,
                size_t size_bytes,
                bool later,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes);

/* The same, but -EPROTO: longer than may be, or not understood. What was under way is taken in. */
int inbox_add_snapshot(
                Inbox *b,
                const void *data,
                size_t size_bytes,
                bool first,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes);

/* What is under way, to be put in front of a snapshot, as inbox_add_snapshot() expects it. *ret is for
 * free(). */
int inbox_save(const Inbox *b, void **ret, size_t *ret_size_bytes);
