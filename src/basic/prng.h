/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Seeded random numbers for cores and the simulator (xoshiro256**, seeded by splitmix64): the same seed
 * gives the same numbers everywhere. Not for secrets. */

#include <stdint.h>

#include "basic/macro.h"

typedef struct Prng {
        uint64_t state[4];
} Prng;

/* One step of splitmix64: also a good mixer of a single number. */
uint64_t splitmix64(uint64_t *state);

void prng_init(Prng *p, uint64_t seed);

uint64_t prng_u64(Prng *p);

/* Evenly from 0 to n-1; n must not be 0. */
uint64_t prng_below(Prng *p, uint64_t n);

/* Evenly from low to high, both included; low must not be above high. */
uint64_t prng_between(Prng *p, uint64_t low, uint64_t high);

/* True in one of n cases, on average. */
static inline bool prng_one_in(Prng *p, uint64_t n) {
        return prng_below(p, n) == 0;
}
