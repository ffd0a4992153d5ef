/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reference-counted bytes: made once by a shell, then shared by cores, queues and sockets without a copy.
 * Not for several threads. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

typedef struct Buffer {
        unsigned n_ref;
        size_t size_bytes;
        uint8_t data[];
} Buffer;

/* One reference, contents not set. NULL when memory ran out. */
Buffer *buffer_new(size_t size_bytes);
Buffer *buffer_new_copy(const void *data, size_t size_bytes);

/* Both accept NULL; unref returns NULL. */
Buffer *buffer_ref(Buffer *b);
Buffer *buffer_unref(Buffer *b);
DEFINE_TRIVIAL_CLEANUP(Buffer *, buffer_unref);

/* A part of a buffer. Whoever keeps a slice holds a reference to its buffer; one that is only looked at does
 * not. */
typedef struct Slice {
        Buffer *buffer; /* NULL: no bytes */
        size_t offset;
        size_t size_bytes;
} Slice;

Slice slice_of(Buffer *b);

/* The same bytes with a reference of its own. */
Slice slice_ref(Slice s);

/* Drops the reference and makes the slice empty. */
void slice_done(Slice *s);

static inline const uint8_t *slice_data(const Slice *s) {
        return s->buffer ? s->buffer->data + s->offset : (const uint8_t *) "";
}
