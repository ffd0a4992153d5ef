/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/byte-writer.h"

void byte_writer_init(ByteWriter *w, void *data, size_t capacity_bytes) {
        *w = (ByteWriter){
                .data = data,
                .capacity_bytes = data ? capacity_bytes : 0,
        };
}

void byte_writer_fail(ByteWriter *w) {
        w->failed = true;
}

size_t byte_writer_reserve(ByteWriter *w, size_t n) {
        size_t position = w->size_bytes;

        if (w->failed || n > w->capacity_bytes - w->size_bytes) {
                w->failed = true;
                return SIZE_MAX;
        }

        w->size_bytes += n;
        return position;
}

static void put_little_endian(uint8_t *p, uint64_t v, size_t n) {
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (v >> (8 * i));
}

static void write_little_endian(ByteWriter *w, uint64_t v, size_t n) {
        size_t position = byte_writer_reserve(w, n);

        if (position != SIZE_MAX)
                put_little_endian(w->data + position, v, n);
}

void byte_writer_u8(ByteWriter *w, uint8_t v) {
        write_little_endian(w, v, 1);
}

void byte_writer_u16(ByteWriter *w, uint16_t v) {
        write_little_endian(w, v, 2);
}

void byte_writer_u32(ByteWriter *w, uint32_t v) {
        write_little_endian(w, v, 4);
}

void byte_writer_u64(ByteWriter *w, uint64_t v) {
        write_little_endian(w, v, 8);
}

void byte_writer_bool(ByteWriter *w, bool v) {
        write_little_endian(w, v ? 1 : 0, 1);
}

void byte_writer_bytes(ByteWriter *w, const void *data, size_t n) {
        size_t position = byte_writer_reserve(w, n);

        if (position != SIZE_MAX && n > 0)
                memcpy(w->data + position, data, n);
}

void byte_writer_blob(ByteWriter *w, const void *data, size_t n) {
        if (n > UINT32_MAX) {
                w->failed = true;
                return;
        }

        byte_writer_u32(w, (uint32_t) n);
        byte_writer_bytes(w, data, n);
}

void byte_writer_string(ByteWriter *w, const char *s) {
        size_t n = s ? strlen(s) : 0;

        if (n > UINT16_MAX) {
                w->failed = true;
                return;
        }

        byte_writer_u16(w, (uint16_t) n);
        byte_writer_bytes(w, s, n);
}

void byte_writer_patch_u32(ByteWriter *w, size_t position, uint32_t v) {
        if (w->failed)
                return;
        if (position > w->size_bytes || w->size_bytes - position < sizeof(uint32_t)) {
                w->failed = true;
                return;
        }

        put_little_endian(w->data + position, v, sizeof(uint32_t));
}

int byte_writer_result(const ByteWriter *w) {
        return w->failed ? -ENOBUFS : 0;
}
