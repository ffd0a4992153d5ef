/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Frames of the socket between libhagcs and hagcd, in both directions: what is taken is written again as the
 * same bytes. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "fuzz/proto-frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t again[PROTO_FRAME_MAX];
        static ProtoCluster cluster;
        static ProtoView view;
        static ProtoMembership membership;
        static ProtoGroup counted;
        ProtoFrame f = {
                .cluster = &cluster, .view = &view, .membership = &membership, .counted = &counted
        };
        ssize_t n;

        if (proto_decode(data, size, &f) < 0)
                return 0;
        n = proto_encode(&f, again, sizeof(again));
        assert(n == (ssize_t) size);
        assert(memcmp(again, data, size) == 0);
        return 0;
}

static void seed(void *userdata, const void *data, size_t size_bytes) {
        fuzz_seed(userdata, data, size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        proto_frames_all(seed, s);
}
