/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What reads bytes from outside, given bytes of anybody's making. Each fuzz-*.c is one target: under
 * libFuzzer it is looked for inputs that end the program (test/fuzz/run); with replay.c around it, it is a
 * test that takes the seeds, and what was found before (corpus/). A target asserts what must hold whatever
 * comes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

/* ---- What a target has ---- */

/* The name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives inputs that get far, made by the code that they are for: then no seed grows old. */
typedef struct FuzzSeeds FuzzSeeds;

struct FuzzSeeds {
        void (*take)(FuzzSeeds *s, const void *data, size_t size_bytes);
        unsigned n;
        const char *folder;
};

void fuzz_seeds(FuzzSeeds *s);
void fuzz_seed(FuzzSeeds *s, const void *data, size_t size_bytes);

/* ---- Input as decisions ---- */

/* Beyond its end there are zeros. */
typedef struct FuzzInput {
        const uint8_t *data; /* borrowed */
        size_t size_bytes;
        size_t position;
} FuzzInput;

static inline bool fuzz_is_empty(const FuzzInput *in) {
        return in->position >= in->size_bytes;
}

uint8_t fuzz_u8(FuzzInput *in);
uint16_t fuzz_u16(FuzzInput *in);
uint64_t fuzz_u64(FuzzInput *in);
/* 0 to n - 1, n at most 65536. */
uint32_t fuzz_below(FuzzInput *in, uint32_t n);

/* A u16 length and so many bytes, as far as there are any; in place. */
const uint8_t *fuzz_blob(FuzzInput *in, size_t *ret_size_bytes);

/* Changes a few places of a true message: bytes, whole numbers, what stands elsewhere in it, its end. It
 * must have room for capacity_bytes. */
void fuzz_bend(FuzzInput *in, uint8_t *data, size_t *size_bytes, size_t capacity_bytes);

/* ---- The same in the other direction, for seeds ---- */

#define FUZZ_SCRIPT_MAX 4096U

typedef struct FuzzScript {
        uint8_t data[FUZZ_SCRIPT_MAX];
        size_t size_bytes;
} FuzzScript;

void fuzz_say(FuzzScript *s, const void *data, size_t size_bytes);
void fuzz_say_blob(FuzzScript *s, const void *data, size_t size_bytes);
#define FUZZ_SAY(s, ...)                                                                                    \
        fuzz_say((s), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
