/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cores of group communication against a mad peer: an input is a script of what it says and of what befalls
 * the others. */

#include "basic/time-util.h"
#include "fuzz/gcs-world.h"

#define OPS_MAX 400U

typedef enum Op {
        OP_RUN,
        OP_RUN_LONG,
        OP_BEND,
        OP_BEND_NEWEST,
        OP_AGAIN,
        OP_RAW,
        OP_INSTALL,
        OP_RESTART,
        OP_REGISTER,
        OP_UNREGISTER,
        OP_LOST,
        OP_SEND,
        OP_SLOW,
        OP_DISK,
        OP_CUT,
        OP_STEP, /* one wake-up, so that what is sent meets what was */
        _OP_MAX,
} Op;

static uint32_t some_node(GcsWorld *w, FuzzInput *in) {
        return 1 + fuzz_below(in, w->n_nodes);
}

static void say_past(GcsWorld *w, FuzzInput *in, unsigned back, bool bend) {
        _cleanup_(buffer_unrefp) Buffer *buffer = NULL;
        const GcsWorldDatagram *d;
        uint32_t from, to;
        size_t n;

        if (w->n_past == 0)
                return;
        back = MIN(back, MIN(w->n_past, GCS_WORLD_PAST_MAX) - 1);
        d = &w->past[(w->n_past - 1 - back) % GCS_WORLD_PAST_MAX];
        from = d->from;
        to = some_node(w, in);
        if (fuzz_u8(in) % 4 == 0)
                from = some_node(w, in);
        n = d->buffer->size_bytes;
        memcpy(w->buf, d->buffer->data, n);
        if (bend)
                fuzz_bend(in, w->buf, &n, sizeof(w->buf));
        buffer = buffer_new_copy(w->buf, n);
        assert(buffer);
        gcs_world_receive(w, from, to, buffer);
}

static void say_raw(GcsWorld *w, FuzzInput *in) {
        uint32_t from = some_node(w, in), to = some_node(w, in);
        size_t n;
        const uint8_t *data = fuzz_blob(in, &n);
        _cleanup_(buffer_unrefp) Buffer *buffer = buffer_new_copy(data, n);

        assert(buffer);
        gcs_world_receive(w, from, to, buffer);
}

static void one_op(GcsWorld *w, FuzzInput *in) {
        GcsWorldNode *n;
        NodeSet set;
        uint32_t id;

        switch ((Op) fuzz_below(in, _OP_MAX)) {
        case OP_RUN:
                gcs_world_run(w, fuzz_u8(in) * USEC_PER_MSEC / 4);
                break;
        case OP_RUN_LONG:
                gcs_world_run(w, (1 + fuzz_below(in, 8)) * 250 * USEC_PER_MSEC);
                break;
        case OP_BEND:
                say_past(w, in, fuzz_below(in, GCS_WORLD_PAST_MAX), true);
                break;
        case OP_BEND_NEWEST:
                say_past(w, in, fuzz_below(in, 4), true);
                break;
        case OP_AGAIN:
                say_past(w, in, fuzz_below(in, GCS_WORLD_PAST_MAX), false);
                break;
        case OP_RAW:
                say_raw(w, in);
                break;
        case OP_INSTALL:
                set = fuzz_u8(in);
                gcs_world_install(w, set, some_node(w, in));
                break;
        case OP_RESTART:
                gcs_world_restart(w, some_node(w, in));
                break;
        case OP_REGISTER:
                id = some_node(w, in);
                gcs_world_register(w, id, fuzz_below(in, GCS_WORLD_CLIENTS));
                break;
        case OP_UNREGISTER:
                id = some_node(w, in);
                gcs_world_unregister(w, id, fuzz_below(in, GCS_WORLD_CLIENTS));
                break;
        case OP_LOST:
                id = some_node(w, in);
                gcs_world_lose(w, id, fuzz_below(in, GCS_WORLD_CLIENTS));
                break;
        case OP_SEND:
                id = some_node(w, in);
                gcs_world_send(w,
                               id,
                               fuzz_below(in, GCS_WORLD_CLIENTS),
                               fuzz_u8(in) % 8 == 0 ? fuzz_u16(in) : fuzz_u8(in));
                break;
        case OP_SLOW:
                n = &w->nodes[some_node(w, in) - 1];
                n->slow[fuzz_below(in, GCS_WORLD_CLIENTS)] = fuzz_u8(in) % 2;
                break;
        case OP_DISK:
                n = &w->nodes[some_node(w, in) - 1];
                n->hung = !n->hung;
                break;
        case OP_CUT:
                n = &w->nodes[some_node(w, in) - 1];
                n->cut ^= node_set_of(some_node(w, in));
                break;
        case OP_STEP:
                id = some_node(w, in);
                w->now_usec += fuzz_u8(in) * USEC_PER_MSEC;
                gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_TIMEOUT });
                break;
        case _OP_MAX:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        unsigned n_nodes = 2 + fuzz_below(&in, GCS_WORLD_NODES_MAX - 1);
        _cleanup_(gcs_world_freep) GcsWorld *w = gcs_world_new(n_nodes);

        gcs_world_install(w, NODE_SET_ALL, 1);
        for (uint32_t id = 1; id <= n_nodes; id++)
                for (unsigned client = 0; client < GCS_WORLD_CLIENTS; client++)
                        gcs_world_register(w, id, client);
        gcs_world_run(w, 100 * USEC_PER_MSEC);
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(w, &in);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        static const uint8_t happenings[][3] = {
                { OP_INSTALL, 3, 0 },    { OP_INSTALL, 6, 1 }, { OP_RESTART, 1, OP_RUN },
                { OP_DISK, 0, OP_RUN },  { OP_SLOW, 1, 1 },    { OP_CUT, 0, 1 },
                { OP_UNREGISTER, 1, 1 }, { OP_LOST, 0, 0 },
        };

        for (uint8_t n_nodes = 0; n_nodes < 3; n_nodes++)
                for (unsigned i = 0; i < ELEMENTSOF(happenings); i++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, n_nodes, OP_SEND, 0, 0, 1, 50, OP_SEND, 1, 1, 1, 20, OP_RUN, 40);
                        fuzz_say(&script, happenings[i], sizeof(happenings[i]));
                        for (uint8_t k = 0; k < 6; k++)
                                FUZZ_SAY(&script,
                                         OP_SEND,
                                         k,
                                         2,
                                         1,
                                         9,
                                         OP_STEP,
                                         k,
                                         21,
                                         OP_BEND_NEWEST,
                                         k,
                                         k,
                                         1,
                                         0,
                                         (uint8_t) (10 + 8 * k),
                                         0,
                                         (uint8_t) (0xc0 + k),
                                         k,
                                         OP_AGAIN,
                                         (uint8_t) (8 * k),
                                         k,
                                         1,
                                         OP_RUN,
                                         100);
                        FUZZ_SAY(&script, OP_INSTALL, 0xff, 1, OP_RUN_LONG, 3);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}
