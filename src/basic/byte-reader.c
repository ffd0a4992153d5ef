/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/byte-reader.h"

void byte_reader_init(ByteReader *r, const void *data, size_t size_bytes) {
        *r = (ByteReader){
                /* Never NULL, so that a blob of no bytes has an address too. */
                .data = data ? data : (const uint8_t *) "",
                .size_bytes = data ? size_bytes : 0,
                .failed = !data && size_bytes > 0,
        };
}

void byte_reader_fail(ByteReader *r) {
        r->failed = true;
}

const uint8_t *byte_reader_bytes(ByteReader *r, size_t n) {
        const uint8_t *p;

        if (r->failed || n > r->size_bytes - r->position) {
                r->failed = true;
                return NULL;
        }

        p = r->data + r->position;
        r->position += n;
        return p;
}

static uint64_t read_little_endian(ByteReader *r, size_t n) {
        const uint8_t *p = byte_reader_bytes(r, n);
        uint64_t v = 0;

        if (!p)
                return 0;

        for (size_t i = n; i > 0; i--)
                v = v << 8 | p[i - 1];
        return v;
}

uint8_t byte_reader_u8(ByteReader *r) {
        return (uint8_t) read_little_endian(r, 1);
}

uint16_t byte_reader_u16(ByteReader *r) {
        return (uint16_t) read_little_endian(r, 2);
}

uint32_t byte_reader_u32(ByteReader *r) {
        return (uint32_t) read_little_endian(r, 4);
}

uint64_t byte_reader_u64(ByteReader *r) {
        return read_little_endian(r, 8);
}

bool byte_reader_bool(ByteReader *r) {
        return byte_reader_u8_max(r, 1) == 1;
}

uint8_t byte_reader_u8_max(ByteReader *r, uint8_t max) {
        uint8_t v = byte_reader_u8(r);

        if (v > max) {
                r->failed = true;
                return 0;
        }
        return v;
}

uint32_t byte_reader_u32_max(ByteReader *r, uint32_t max) {
        uint32_t v = byte_reader_u32(r);

        if (v > max) {
                r->failed = true;
                return 0;
        }
        return v;
}

uint32_t byte_reader_count(ByteReader *r, uint32_t max, size_t element_min_bytes) {
        uint32_t n = byte_reader_u32_max(r, max);

        if (element_min_bytes > 0 && n > byte_reader_left(r) / element_min_bytes) {
                r->failed = true;
                return 0;
        }
        return n;
}

void byte_reader_copy(ByteReader *r, void *ret, size_t n) {
        const uint8_t *p = byte_reader_bytes(r, n);

        if (n == 0)
                return;
        if (p)
                memcpy(ret, p, n);
        else
                memset(ret, 0, n);
}

const uint8_t *byte_reader_blob(ByteReader *r, size_t max_bytes, size_t *ret_size_bytes) {
        size_t n = byte_reader_u32(r);
        const uint8_t *p;

        if (n > max_bytes)
                r->failed = true;

        p = byte_reader_bytes(r, n);
        *ret_size_bytes = p ? n : 0;
        return p;
}

void byte_reader_string(ByteReader *r, char *buf, size_t buf_bytes) {
        size_t n = byte_reader_u16(r);
        const uint8_t *p;

        if (buf_bytes == 0) {
                r->failed = true;
                return;
        }

        buf[0] = '\0';
        if (n >= buf_bytes)
                r->failed = true;

        p = byte_reader_bytes(r, n);
        if (!p)
                return;
        if (memchr(p, 0, n)) {
                r->failed = true;
                return;
        }

        memcpy(buf, p, n);
        buf[n] = '\0';
}

int byte_reader_result(const ByteReader *r) {
        return r->failed ? -EBADMSG : 0;
}

int byte_reader_finish(const ByteReader *r) {
        return r->failed || r->position != r->size_bytes ? -EBADMSG : 0;
}
