/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What stands outside of the seal of a datagram, what stands inside, and the putting together of segments.
 */

#include "fuzz/fuzz.h"
#include "hagcd/reassembly.h"

typedef enum Kind {
        KIND_OUTSIDE,
        KIND_INSIDE,
        KIND_SEGMENTS,
        _KIND_MAX,
} Kind;

static void take_outside(const uint8_t *data, size_t size) {
        uint8_t again[PACKET_HEADER_BYTES];
        PacketHeader h, second;

        if (packet_header_decode(data, size, &h) < 0)
                return;
        packet_header_encode(&h, again);
        /* One byte is kept for later and not looked at. */
        assert(packet_header_decode(again, sizeof(again), &second) == 0);
        assert(memcmp(&h, &second, sizeof(h)) == 0);
}

static void take_inside(const uint8_t *data, size_t size) {
        uint8_t again[PACKET_INSIDE_BYTES];
        PacketInside p;

        if (packet_inside_decode(data, size, &p) < 0)
                return;
        packet_inside_encode(&p, again);
        assert(memcmp(again, data, sizeof(again)) == 0);
}

static void take_segments(FuzzInput *in) {
        static uint8_t segment[PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX];
        Reassembly r = { 0 };

        while (!fuzz_is_empty(in)) {
                _cleanup_(buffer_unrefp) Buffer *whole = NULL;
                size_t n, size = fuzz_u16(in) % (sizeof(segment) + 1);
                const uint8_t *data = fuzz_blob(in, &n);
                PacketInside p;

                memset(segment, 0, sizeof(segment));
                memcpy(segment, data, MIN(n, (size_t) PACKET_INSIDE_BYTES));
                if (packet_inside_decode(segment, size, &p) < 0 || p.n_segments == 1)
                        continue;
                if (reassembly_add(&r,
                                   &p,
                                   segment + PACKET_INSIDE_BYTES,
                                   size - PACKET_INSIDE_BYTES,
                                   &whole) > 0)
                        assert(whole->size_bytes <= PACKET_MESSAGE_MAX);
        }
        reassembly_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };

        switch ((Kind) fuzz_below(&in, _KIND_MAX)) {
        case KIND_OUTSIDE:
                take_outside(data + in.position, size - in.position);
                break;
        case KIND_INSIDE:
                take_inside(data + in.position, size - in.position);
                break;
        case KIND_SEGMENTS:
                take_segments(&in);
                break;
        case _KIND_MAX:
                break;
        }
        return 0;
}

static void seed_segments(FuzzSeeds *s, uint16_t n_segments) {
        PacketInside p = { .from = 1,
                           .to = 2,
                           .incarnation = 9,
                           .message = 1,
                           .n_segments = n_segments,
                           .full_bytes = PACKET_PAYLOAD_MIN };
        uint8_t inside[PACKET_INSIDE_BYTES];
        FuzzScript script = { 0 };

        FUZZ_SAY(&script, KIND_SEGMENTS);
        for (p.segment = 0; p.segment < n_segments; p.segment++) {
                size_t size = PACKET_INSIDE_BYTES + (p.segment + 1 == n_segments ? 3 : PACKET_PAYLOAD_MIN);

                packet_inside_encode(&p, inside);
                FUZZ_SAY(&script, (uint8_t) size, (uint8_t) (size >> 8));
                fuzz_say_blob(&script, inside, sizeof(inside));
        }
        fuzz_seed(s, script.data, script.size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        PacketHeader h = { .class = DTLS_CLASS_BULK, .from = 1, .to = 2, .link = 1, .key_id = 0xabcd };
        PacketInside p = { .from = 1,
                           .to = 2,
                           .incarnation = 9,
                           .message = 1,
                           .n_segments = 1,
                           .full_bytes = PACKET_PAYLOAD_MIN };
        uint8_t data[1 + PACKET_INSIDE_BYTES] = { KIND_OUTSIDE };

        for (unsigned kind = PACKET_DTLS; kind <= PACKET_LAST_GASP; kind++) {
                h.kind = (PacketKind) kind;
                packet_header_encode(&h, data + 1);
                fuzz_seed(s, data, 1 + PACKET_HEADER_BYTES);
        }
        data[0] = KIND_INSIDE;
        packet_inside_encode(&p, data + 1);
        fuzz_seed(s, data, sizeof(data));
        seed_segments(s, 2);
        seed_segments(s, 5);
}
