/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads bytes that came from outside. Little endian; the first read beyond the end sets the error, after
 * which every read gives zero, so a decoder reads all its fields and asks once, at the end. Counts must be
 * checked before they drive a loop: byte_reader_count() does that. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

typedef struct ByteReader {
        const uint8_t *data; /* borrowed */
        size_t size_bytes;
        size_t position;
        bool failed;
} ByteReader;

void byte_reader_init(ByteReader *r, const void *data, size_t size_bytes);

uint8_t byte_reader_u8(ByteReader *r);
uint16_t byte_reader_u16(ByteReader *r);
uint32_t byte_reader_u32(ByteReader *r);
uint64_t byte_reader_u64(ByteReader *r);

/* One byte; anything but 0 and 1 is an error. */
bool byte_reader_bool(ByteReader *r);

/* A u8 or u32 no greater than max; a greater one is an error and gives 0. */
uint8_t byte_reader_u8_max(ByteReader *r, uint8_t max);
uint32_t byte_reader_u32_max(ByteReader *r, uint32_t max);

/* A u32 count of elements: at most max, and not more than the rest can hold at element_min_bytes each. */
uint32_t byte_reader_count(ByteReader *r, uint32_t max, size_t element_min_bytes);

/* The next n bytes in place, borrowed from the data; NULL on error. With n == 0 the pointer is not NULL. */
const uint8_t *byte_reader_bytes(ByteReader *r, size_t n);

/* Copies the next n bytes; on error fills with zero. */
void byte_reader_copy(ByteReader *r, void *ret, size_t n);

/* A u32 length, at most max_bytes, and that many bytes, in place. */
const uint8_t *byte_reader_blob(ByteReader *r, size_t max_bytes, size_t *ret_size_bytes);

/* A u16 length and a text, copied with a final zero into buf of buf_bytes. A text that does not fit or has a
 * zero inside is an error and leaves "". */
void byte_reader_string(ByteReader *r, char *buf, size_t buf_bytes);

/* Sets the error, for a value that the caller found wrong. */
void byte_reader_fail(ByteReader *r);

static inline size_t byte_reader_left(const ByteReader *r) {
        return r->failed ? 0 : r->size_bytes - r->position;
}

/* 0, or -EBADMSG when a read failed. */
int byte_reader_result(const ByteReader *r);

/* The same, and all bytes must have been read. */
int byte_reader_finish(const ByteReader *r);
