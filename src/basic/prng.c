/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/prng.h"

uint64_t splitmix64(uint64_t *state) {
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

void prng_init(Prng *p, uint64_t seed) {
        for (size_t i = 0; i < ELEMENTSOF(p->state); i++)
                p->state[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t x, unsigned k) {
        return x << k | x >> (64 - k);
}

uint64_t prng_u64(Prng *p) {
        uint64_t *s = p->state;
        uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;

        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotate_left(s[3], 45);

        return result;
}

uint64_t prng_below(Prng *p, uint64_t n) {
        uint64_t floor, v;

        assert(n > 0);

        /* The lowest 2^64 mod n values would come up once too often: draw again. */
        floor = -n % n;
        do
                v = prng_u64(p);
        while (v < floor);

        return v % n;
}

uint64_t prng_between(Prng *p, uint64_t low, uint64_t high) {
        assert(low <= high);

        if (high - low == UINT64_MAX)
                return prng_u64(p);
        return low + prng_below(p, high - low + 1);
}
