/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* gcs_message_decode(): what it takes is written again as the same bytes. Seeds: all that a few nodes say.
 */

#include <stdlib.h>

#include "basic/time-util.h"
#include "fuzz/gcs-world.h"

#define SEEDS_OF_TYPE 3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static GcsMessage m;
        static uint8_t again[GCS_MESSAGE_BYTES_MAX];
        _cleanup_(buffer_unrefp) Buffer *buffer = buffer_new_copy(data, size);
        ssize_t n;

        assert(buffer);
        if (gcs_message_decode(buffer, 0, size, &m) < 0)
                return 0;
        n = gcs_message_encode(&m, again, sizeof(again));
        /* What no core sends may be longer than what it may send. */
        if (n == -ENOBUFS)
                return 0;
        assert(n == (ssize_t) size);
        assert(memcmp(again, data, size) == 0);
        return 0;
}

typedef struct Collector {
        FuzzSeeds *seeds;
        unsigned n[GCS_MESSAGE_TYPE_LAST + 1];
} Collector;

static void collect(void *userdata, const GcsMessage *m, const void *data, size_t size_bytes) {
        Collector *c = userdata;

        if (c->n[m->type]++ < SEEDS_OF_TYPE)
                fuzz_seed(c->seeds, data, size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        _cleanup_(gcs_world_freep) GcsWorld *w = gcs_world_new(3);
        Collector c = { .seeds = s };

        w->on_message = collect;
        w->userdata = &c;
        gcs_world_install(w, NODE_SET_ALL, 1);
        gcs_world_run(w, USEC_PER_SEC);
        for (uint32_t id = 1; id <= 3; id++)
                for (unsigned client = 0; client < GCS_WORLD_CLIENTS; client++) {
                        gcs_world_register(w, id, client);
                        gcs_world_run(w, 100 * USEC_PER_MSEC);
                        gcs_world_send(w, id, client, 20);
                }
        gcs_world_run(w, USEC_PER_SEC);
        w->nodes[1].cut = node_set_of(1);
        gcs_world_send(w, 3, 1, 100);
        gcs_world_run(w, 200 * USEC_PER_MSEC);
        gcs_world_install(w, node_set_of(2) | node_set_of(3), 2);
        gcs_world_run(w, USEC_PER_SEC);
        gcs_world_restart(w, 1);
        gcs_world_install(w, NODE_SET_ALL, 2);
        gcs_world_run(w, USEC_PER_SEC);
        gcs_world_unregister(w, 2, 2);
        gcs_world_lose(w, 2, 1);
        gcs_world_run(w, USEC_PER_SEC);
}
