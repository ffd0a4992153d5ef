/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Membership cores against a mad peer: an input is a script of what it says and of what befalls the others.
 */

#include "basic/time-util.h"
#include "fuzz/cms-world.h"

#define OPS_MAX 400U

typedef enum Op {
        OP_RUN, /* all is well for a while */
        OP_RUN_LONG,
        OP_BEND, /* something said before, changed in places */
        OP_BEND_NEWEST,
        OP_AGAIN, /* the same, as it was */
        OP_RAW,   /* bytes */
        OP_GASP,
        OP_LINK,
        OP_ARMED,
        OP_CONFIRM,
        OP_RESTART,
        OP_DISK,
        OP_CUT,
        OP_PAUSE,
        OP_LEAVE,
        OP_CONFIGURE,
        OP_MAD, /* from now on a node bends what its core says */
        _OP_MAX,
} Op;

static uint32_t some_node(CmsWorld *w, FuzzInput *in) {
        return 1 + fuzz_below(in, w->n_nodes);
}

/* One of those that know it, as who sends it and who gets it does not matter to a mad one. */
static void say_past(CmsWorld *w, FuzzInput *in, unsigned back, bool bend) {
        CmsWorldDatagram d;

        if (w->n_past == 0)
                return;
        back = MIN(back, MIN(w->n_past, CMS_WORLD_PAST_MAX) - 1);
        d = w->past[(w->n_past - 1 - back) % CMS_WORLD_PAST_MAX];
        d.to = some_node(w, in);
        if (fuzz_u8(in) % 4 == 0)
                d.from = some_node(w, in);
        if (bend) {
                if (fuzz_u8(in) % 2)
                        cms_world_twist(w, &d, in);
                else
                        fuzz_bend(in, d.data, &d.size_bytes, sizeof(d.data));
                if (fuzz_u8(in) % 4 != 0)
                        cms_world_mend(w, &d);
        }
        cms_world_receive(w, d.from, d.to, d.link, d.data, d.size_bytes);
}

static void say_raw(CmsWorld *w, FuzzInput *in) {
        uint32_t from = some_node(w, in), to = some_node(w, in);
        unsigned link = fuzz_below(in, w->n_links);
        size_t n;
        const uint8_t *data = fuzz_blob(in, &n);

        cms_world_receive(w, from, to, link, data, n);
}

static uint64_t some_incarnation(CmsWorld *w, FuzzInput *in, uint32_t node) {
        return fuzz_u8(in) % 2 ? w->nodes[node - 1].incarnation : fuzz_u64(in);
}

static void gasp(CmsWorld *w, FuzzInput *in) {
        uint32_t to = some_node(w, in), node = some_node(w, in);

        /* The transport tells of peers only. */
        if (node == to)
                return;
        cms_world_feed(w,
                       to,
                       (CmsEvent){ .type = CMS_EVENT_LAST_GASP,
                                   .last_gasp = { .node = node,
                                                  .incarnation = some_incarnation(w, in, node) } });
}

/* From a client of this machine, so nothing of it is known to be true. */
static void confirm(CmsWorld *w, FuzzInput *in) {
        uint32_t to = some_node(w, in), node = some_node(w, in);
        CmsConfirmation c = {
                .node = fuzz_u8(in) % 4 == 0 ? fuzz_u16(in) : node,
                .incarnation = some_incarnation(w, in, node),
        };
        const Membership *m = cms_membership(w->nodes[to - 1].core);

        c.mid = m && fuzz_u8(in) % 2 ? m->mid : (Mid){ fuzz_u64(in), fuzz_u8(in) };
        cms_world_feed(w, to, (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN, .confirmed_down = c });
}

static void fail_store(CmsWorld *w, FuzzInput *in) {
        CmsWorldNode *n = &w->nodes[some_node(w, in) - 1];

        n->hung = !n->hung;
        if (n->stored == n->wanted || fuzz_u8(in) % 2)
                return;
        n->stored = n->wanted;
        cms_world_feed(w,
                       (uint32_t) (n - w->nodes) + 1,
                       (CmsEvent){ .type = CMS_EVENT_STORE_FAILED, .stored = { .number = n->stored } });
}

static void one_op(CmsWorld *w, FuzzInput *in) {
        CmsView view;
        uint32_t id;

        switch ((Op) fuzz_below(in, _OP_MAX)) {
        case OP_RUN:
                cms_world_run(w, fuzz_u8(in) * USEC_PER_MSEC);
                break;
        case OP_RUN_LONG:
                cms_world_run(w, (1 + fuzz_below(in, 8)) * 250 * USEC_PER_MSEC);
                cms_view(w->nodes[0].core, w->now_usec, &view);
                break;
        case OP_BEND:
                say_past(w, in, fuzz_below(in, CMS_WORLD_PAST_MAX), true);
                break;
        case OP_BEND_NEWEST:
                say_past(w, in, fuzz_below(in, 4), true);
                break;
        case OP_AGAIN:
                say_past(w, in, fuzz_below(in, CMS_WORLD_PAST_MAX), false);
                break;
        case OP_RAW:
                say_raw(w, in);
                break;
        case OP_GASP:
                gasp(w, in);
                break;
        case OP_LINK:
                id = some_node(w, in);
                cms_world_feed(w,
                               id,
                               (CmsEvent){ .type = CMS_EVENT_LINK,
                                           .link = { .link = fuzz_below(in, w->n_links),
                                                     .carrier = fuzz_u8(in) % 2 } });
                break;
        case OP_ARMED:
                id = some_node(w, in);
                cms_world_feed(w,
                               id,
                               (CmsEvent){ .type = CMS_EVENT_ARMED, .armed = { .armed = fuzz_u8(in) % 2 } });
                break;
        case OP_CONFIRM:
                confirm(w, in);
                break;
        case OP_RESTART:
                id = some_node(w, in);
                cms_world_restart(w, id, fuzz_u8(in) % 4 != 0);
                break;
        case OP_DISK:
                fail_store(w, in);
                break;
        case OP_CUT:
                w->nodes[some_node(w, in) - 1].cut ^= node_set_of(some_node(w, in));
                break;
        case OP_PAUSE:
                w->now_usec += (uint64_t) fuzz_u16(in) * USEC_PER_MSEC;
                break;
        case OP_LEAVE:
                id = some_node(w, in);
                cms_world_feed(w,
                               id,
                               (CmsEvent){ .type = CMS_EVENT_LEAVE,
                                           .leave = { .running = fuzz_u8(in) % 2 } });
                break;
        case OP_CONFIGURE:
                id = some_node(w, in);
                cms_world_configure(w, id, in);
                break;
        case OP_MAD:
                w->mad = some_node(w, in);
                w->mad_type = fuzz_below(in, CMS_MESSAGE_CONFIGURATION + 1);
                w->n_mad = 1 + fuzz_below(in, 8);
                break;
        case _OP_MAX:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        unsigned n_nodes = 2 + fuzz_below(&in, CMS_WORLD_NODES_MAX - 1), n_links = 1 + fuzz_below(&in, 2);
        _cleanup_(cms_world_freep) CmsWorld *w = cms_world_new(n_nodes, n_links);

        w->in = &in;
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(w, &in);
        return 0;
}

/* A coordinator proposes something else than its core does, for each way to twist that, and goes through
 * with it. */
static void seed_mad_proposals(FuzzSeeds *s) {
        for (uint8_t node = 0; node < 3; node++)
                for (uint8_t way = 0; way < CMS_WORLD_PROPOSALS; way++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, 1, 0, OP_RUN_LONG, 3, OP_MAD, 0, CMS_MESSAGE_PROPOSE, 1);
                        FUZZ_SAY(&script, OP_RESTART, 2, 1, OP_RUN_LONG, 3);
                        /* Twice, as it may be sent again. */
                        FUZZ_SAY(&script, 1, node, way, 1, 1, 1, node, way, 1, 1, OP_RUN_LONG, 3);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}

/* All get the same other file, in each way to change it; a node goes and comes in the middle. */
static void seed_changes(FuzzSeeds *s) {
        for (uint8_t way = 0; way < 6; way++)
                for (uint8_t down = 0; down < 3; down++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, 1, 0, OP_RUN_LONG, 3);
                        if (down > 0)
                                FUZZ_SAY(&script, OP_LEAVE, 2, 1, OP_RUN_LONG, 3);
                        for (uint8_t node = 0; node < 3; node++)
                                FUZZ_SAY(&script, OP_CONFIGURE, node, 2, way, 3);
                        FUZZ_SAY(&script, OP_RUN, down == 2 ? 3 : 200, OP_RESTART, down, 1, OP_RUN_LONG, 5);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}

/* A cluster forms, something happens, and between the two the mad one speaks. */
void fuzz_seeds(FuzzSeeds *s) {
        static const uint8_t happenings[][4] = {
                { OP_CUT, 0, 1, 0 },   { OP_RESTART, 1, 1, 0 }, { OP_LEAVE, 1, 1, 0 },
                { OP_DISK, 0, 1, 0 },  { OP_PAUSE, 0, 20, 0 },  { OP_GASP, 0, 1, 1 },
                { OP_ARMED, 1, 1, 0 }, { OP_CONFIRM, 0, 1, 1 }, { OP_RESTART, 0, 0, 0 },
                { OP_LINK, 1, 0, 0 },
        };

        seed_changes(s);
        seed_mad_proposals(s);
        for (uint8_t n_nodes = 0; n_nodes < 3; n_nodes++)
                for (unsigned i = 0; i < ELEMENTSOF(happenings); i++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, n_nodes, (uint8_t) (i % 2), OP_RUN_LONG, 3);
                        FUZZ_SAY(&script, OP_MAD, (uint8_t) (i % 2), (uint8_t) (1 + i % 4), 2);
                        fuzz_say(&script, happenings[i], sizeof(happenings[i]));
                        for (uint8_t k = 0; k < 6; k++)
                                FUZZ_SAY(&script,
                                         OP_RUN,
                                         100,
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
                                         1);
                        FUZZ_SAY(&script, OP_RUN_LONG, 3);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}
