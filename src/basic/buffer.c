/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/buffer.h"

#include <limits.h>

Buffer *buffer_new(size_t size_bytes) {
        Buffer *b;

        if (size_bytes > SIZE_MAX - sizeof(Buffer))
                return NULL;
        b = malloc(sizeof(Buffer) + size_bytes);
        if (!b)
                return NULL;
        b->n_ref = 1;
        b->size_bytes = size_bytes;
        return b;
}

Buffer *buffer_new_copy(const void *data, size_t size_bytes) {
        Buffer *b = buffer_new(size_bytes);

        if (b && size_bytes > 0)
                memcpy(b->data, data, size_bytes);
        return b;
}

Buffer *buffer_ref(Buffer *b) {
        if (!b)
                return NULL;
        assert(b->n_ref > 0);
        assert(b->n_ref < UINT_MAX);
        b->n_ref++;
        return b;
}

Buffer *buffer_unref(Buffer *b) {
        if (!b)
                return NULL;
        assert(b->n_ref > 0);
        if (--b->n_ref == 0)
                free(b);
        return NULL;
}

Slice slice_of(Buffer *b) {
        return (Slice){ .buffer = b, .size_bytes = b ? b->size_bytes : 0 };
}

Slice slice_ref(Slice s) {
        (void) buffer_ref(s.buffer);
        return s;
}

void slice_done(Slice *s) {
        (void) buffer_unref(s->buffer);
        *s = (Slice){};
}
