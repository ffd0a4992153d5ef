/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz/fuzz.h"

uint8_t fuzz_u8(FuzzInput *in) {
        return fuzz_is_empty(in) ? 0 : in->data[in->position++];
}

static uint64_t number(FuzzInput *in, unsigned n_bytes) {
        uint64_t v = 0;

        for (unsigned i = 0; i < n_bytes; i++)
                v |= (uint64_t) fuzz_u8(in) << (8 * i);
        return v;
}

uint16_t fuzz_u16(FuzzInput *in) {
        return (uint16_t) number(in, 2);
}

uint64_t fuzz_u64(FuzzInput *in) {
        return number(in, 8);
}

uint32_t fuzz_below(FuzzInput *in, uint32_t n) {
        return (n <= 256 ? fuzz_u8(in) : fuzz_u16(in)) % n;
}

const uint8_t *fuzz_blob(FuzzInput *in, size_t *ret_size_bytes) {
        size_t n = fuzz_u16(in);
        const uint8_t *p = in->data + in->position;

        n = MIN(n, in->size_bytes - in->position);
        in->position += n;
        *ret_size_bytes = n;
        return p;
}

static void put_number(uint8_t *p, uint64_t v, size_t n_bytes) {
        for (size_t i = 0; i < n_bytes; i++)
                p[i] = (uint8_t) (v >> (8 * i));
}

/* Numbers at which counts, sets and epochs turn over. */
static uint64_t edge(FuzzInput *in) {
        static const uint64_t edges[] = {
                0,
                1,
                2,
                7,
                64,
                65,
                UINT8_MAX,
                UINT16_MAX,
                INT32_MAX,
                UINT32_MAX,
                /* MID_EPOCH_MAX and beside it */
                UINT64_C(1) << 62,
                (UINT64_C(1) << 62) - 1,
                (UINT64_C(1) << 62) + 1,
                INT64_MAX,
                UINT64_MAX,
        };

        return edges[fuzz_below(in, ELEMENTSOF(edges))];
}

static void bend_once(FuzzInput *in, uint8_t *data, size_t *size_bytes, size_t capacity_bytes) {
        size_t at = *size_bytes == 0 ? 0 : fuzz_u16(in) % *size_bytes, from, n;
        uint8_t kind = fuzz_u8(in);

        n = MIN((size_t) 1 << (kind >> 6), *size_bytes - at);
        switch (kind % 8) {
        case 0:
                put_number(data + at, fuzz_u64(in), n);
                break;
        case 1:
                put_number(data + at, edge(in), n);
                break;
        case 2:
                if (n > 0)
                        data[at] = (uint8_t) (data[at] + (int8_t) fuzz_u8(in));
                break;
        case 3:
                if (n > 0)
                        data[at] ^= (uint8_t) (1U << (fuzz_u8(in) % 8));
                break;
        case 4: /* what stands elsewhere */
                from = *size_bytes == 0 ? 0 : fuzz_u16(in) % *size_bytes;
                n = MIN(n, *size_bytes - from);
                memmove(data + at, data + from, n);
                break;
        case 5: /* a shorter one */
                *size_bytes = at;
                break;
        case 6: /* something taken out */
                memmove(data + at, data + at + n, *size_bytes - at - n);
                *size_bytes -= n;
                break;
        case 7: /* something put in */
                n = MIN((size_t) 1 << (kind >> 6), capacity_bytes - *size_bytes);
                memmove(data + at + n, data + at, *size_bytes - at);
                put_number(data + at, fuzz_u64(in), n);
                *size_bytes += n;
                break;
        }
}

void fuzz_bend(FuzzInput *in, uint8_t *data, size_t *size_bytes, size_t capacity_bytes) {
        unsigned n = 1 + fuzz_below(in, 4);

        for (unsigned i = 0; i < n; i++)
                bend_once(in, data, size_bytes, capacity_bytes);
}

void fuzz_say(FuzzScript *s, const void *data, size_t size_bytes) {
        assert(size_bytes <= sizeof(s->data) - s->size_bytes);
        memcpy(s->data + s->size_bytes, data, size_bytes);
        s->size_bytes += size_bytes;
}

void fuzz_say_blob(FuzzScript *s, const void *data, size_t size_bytes) {
        assert(size_bytes <= UINT16_MAX);
        FUZZ_SAY(s, (uint8_t) size_bytes, (uint8_t) (size_bytes >> 8));
        fuzz_say(s, data, size_bytes);
}

void fuzz_seed(FuzzSeeds *s, const void *data, size_t size_bytes) {
        s->n++;
        s->take(s, data, size_bytes);
}
