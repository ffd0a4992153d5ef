/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes messages, little endian, into a buffer of fixed size that the caller owns. What does not fit sets
 * the error and writes nothing more; the caller asks once, at the end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

typedef struct ByteWriter {
        uint8_t *data; /* borrowed */
        size_t capacity_bytes;
        size_t size_bytes;
        bool failed;
} ByteWriter;

void byte_writer_init(ByteWriter *w, void *data, size_t capacity_bytes);

void byte_writer_u8(ByteWriter *w, uint8_t v);
void byte_writer_u16(ByteWriter *w, uint16_t v);
void byte_writer_u32(ByteWriter *w, uint32_t v);
void byte_writer_u64(ByteWriter *w, uint64_t v);
void byte_writer_bool(ByteWriter *w, bool v);

void byte_writer_bytes(ByteWriter *w, const void *data, size_t n);

/* A u32 length and the bytes, for byte_reader_blob(). */
void byte_writer_blob(ByteWriter *w, const void *data, size_t n);

/* A u16 length and the text without its zero, for byte_reader_string(). NULL is written as "". */
void byte_writer_string(ByteWriter *w, const char *s);

/* Leaves n bytes to be filled in later and returns where they are; SIZE_MAX on error. */
size_t byte_writer_reserve(ByteWriter *w, size_t n);

/* Fills in a u32 at a place that byte_writer_reserve(w, 4) returned. */
void byte_writer_patch_u32(ByteWriter *w, size_t position, uint32_t v);

/* Sets the error, for a value that the caller cannot write. */
void byte_writer_fail(ByteWriter *w);

/* 0, or -ENOBUFS when something did not fit. */
int byte_writer_result(const ByteWriter *w);
