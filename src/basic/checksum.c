/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/checksum.h"

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78) /* bits reversed */

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x00000100000001b3)

/* Four bits at a time: a table of sixteen entries costs nothing and records are small. */
static uint32_t crc32c_nibble(uint32_t crc) {
        for (unsigned i = 0; i < 4; i++)
                crc = crc & 1 ? crc >> 1 ^ CRC32C_POLYNOMIAL : crc >> 1;
        return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size_bytes) {
        const uint8_t *p = data;
        uint32_t table[16];

        for (uint32_t i = 0; i < ELEMENTSOF(table); i++)
                table[i] = crc32c_nibble(i);

        crc = ~crc;
        for (size_t i = 0; i < size_bytes; i++) {
                crc ^= p[i];
                crc = crc >> 4 ^ table[crc & 15];
                crc = crc >> 4 ^ table[crc & 15];
        }
        return ~crc;
}

void hash64_init(Hash64 *h) {
        h->state = FNV_OFFSET;
}

void hash64_bytes(Hash64 *h, const void *data, size_t size_bytes) {
        const uint8_t *p = data;

        for (size_t i = 0; i < size_bytes; i++)
                h->state = (h->state ^ p[i]) * FNV_PRIME;
}

void hash64_u64(Hash64 *h, uint64_t v) {
        for (unsigned i = 0; i < 8; i++)
                h->state = (h->state ^ (v >> (8 * i) & 0xff)) * FNV_PRIME;
}

void hash64_string(Hash64 *h, const char *s) {
        size_t n;

        if (!s) {
                hash64_u64(h, UINT64_MAX);
                return;
        }

        n = strlen(s);
        hash64_u64(h, n);
        hash64_bytes(h, s, n);
}

uint64_t hash64_result(const Hash64 *h) {
        uint64_t z = h->state;

        /* FNV leaves neighbours close together; spread them over all bits. */
        z = (z ^ (z >> 33)) * UINT64_C(0xff51afd7ed558ccd);
        z = (z ^ (z >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
        return z ^ (z >> 33);
}

uint64_t hash64_of(const void *data, size_t size_bytes) {
        Hash64 h;

        hash64_init(&h);
        hash64_bytes(&h, data, size_bytes);
        return hash64_result(&h);
}
