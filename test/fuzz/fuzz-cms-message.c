/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cms_message_decode(): what it takes is written again as the same bytes. Seeds: all that a cluster says
 * while nodes come, go and leave. */

#include "basic/time-util.h"
#include "fuzz/cms-world.h"

#define SEEDS_OF_TYPE 3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static CmsMessage m;
        uint8_t again[CMS_MESSAGE_SIZE_MAX];
        ByteWriter w;

        if (cms_message_decode(data, size, &m) < 0 || m.type == CMS_MESSAGE_FOREIGN)
                return 0;
        byte_writer_init(&w, again, sizeof(again));
        cms_message_encode(&m, &w);
        assert(byte_writer_result(&w) == 0);
        assert(w.size_bytes == size);
        assert(memcmp(again, data, size) == 0);
        return 0;
}

typedef struct Collector {
        FuzzSeeds *seeds;
        unsigned n[256]; /* by type */
} Collector;

static void collect(void *userdata, const CmsMessage *m, const void *data, size_t size_bytes) {
        Collector *c = userdata;

        if (c->n[m->type]++ < SEEDS_OF_TYPE)
                fuzz_seed(c->seeds, data, size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        _cleanup_(cms_world_freep) CmsWorld *w = cms_world_new(3, 1);
        Collector c = { .seeds = s };

        w->on_message = collect;
        w->userdata = &c;
        cms_world_run(w, 2 * USEC_PER_SEC);
        cms_world_restart(w, 2, true);
        cms_world_run(w, 2 * USEC_PER_SEC);
        w->nodes[0].cut = node_set_of(3);
        cms_world_run(w, 3 * USEC_PER_SEC);
        w->nodes[0].cut = NODE_SET_EMPTY;
        cms_world_restart(w, 3, false);
        cms_world_run(w, 3 * USEC_PER_SEC);
        /* Votes change while node 3 is away; it is given what is in force when it is back. */
        w->nodes[0].cut = w->nodes[1].cut = node_set_of(3);
        cms_world_run(w, 3 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 3; id++) {
                FuzzInput change = { .data = (const uint8_t[]){ 0, 0, 2 }, .size_bytes = 3 };

                cms_world_configure(w, id, &change);
        }
        cms_world_run(w, 2 * USEC_PER_SEC);
        w->nodes[0].cut = w->nodes[1].cut = NODE_SET_EMPTY;
        cms_world_run(w, 3 * USEC_PER_SEC);
        cms_world_feed(w, 1, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        cms_world_run(w, 2 * USEC_PER_SEC);
}
