/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world-internal.h"

#include <inttypes.h>

/* ---- what is on the wire ---- */

static WorldPayload *payload_new(const void *data, size_t size_bytes, unsigned version) {
        WorldPayload *p = malloc(sizeof(*p) + size_bytes);

        assert(p);
        *p = (WorldPayload){ .n_refs = 1, .size_bytes = size_bytes, .version = version };
        memcpy(p->data, data, size_bytes);
        return p;
}

void world_payload_unref(WorldPayload *p) {
        if (--p->n_refs > 0)
                return;
        free(p->decoded);
        free(p);
}

/* ---- sending ---- */

static bool is_cut(World *w, uint32_t from, uint32_t to, unsigned link) {
        return node_set_contains(w->cut[link][from - 1], to) || w->nodes[from - 1].no_carrier[link] ||
               w->nodes[to - 1].no_carrier[link];
}

static bool is_found_out(const World *w, uint32_t from, uint32_t to, unsigned link) {
        return w->found_out_usec > 0 &&
               w->now_usec - w->narrow_usec[link][from - 1][to - 1] >= w->found_out_usec;
}

static bool is_too_long(const World *w, uint32_t from, uint32_t to, unsigned link, size_t size_bytes) {
        uint32_t narrow = w->narrow_bytes[link][from - 1][to - 1];

        if (narrow == 0 || size_bytes <= narrow)
                return false;
        return narrow < WORLD_SHORTEST_SEGMENT || !is_found_out(w, from, to, link);
}

bool world_is_dead(const World *w, uint32_t from, uint32_t to, unsigned link) {
        uint32_t narrow = w->narrow_bytes[link][from - 1][to - 1];

        return narrow != 0 && narrow < WORLD_SHORTEST_SEGMENT && is_found_out(w, from, to, link);
}

/* What became illegible on its way is dropped by the transport, which seals all that it sends. */
static bool
is_lost(World *w, uint32_t from, uint32_t to, unsigned link, WorldChannel channel, WorldPayload *p) {
        WorldCounts *c = &w->counts;

        if (is_cut(w, from, to, link) ||
            (w->filter && w->filter(w, from, to, channel, p->data, p->size_bytes, w->filter_userdata))) {
                c->n_cut++;
                return true;
        }
        if (is_too_long(w, from, to, link, p->size_bytes)) {
                c->n_too_long++;
                return true;
        }
        if (world_happens(w, w->knobs.loss_ppm)) {
                c->n_lost++;
                return true;
        }
        if (world_happens(w, w->knobs.corrupt_ppm)) {
                c->n_corrupted++;
                return true;
        }
        return false;
}

static void
send_one(World *w, uint32_t from, uint32_t to, unsigned link, WorldChannel channel, WorldPayload *p) {
        const WorldKnobs *k = &w->knobs;
        uint64_t delay;

        w->counts.n_datagrams++;
        if (is_lost(w, from, to, link, channel, p))
                return;
        delay = prng_between(&w->prng, k->delay_min_usec, k->delay_max_usec) + w->way_usec[from - 1][to - 1];
        if (world_happens(w, k->tail_ppm)) {
                delay += prng_below(&w->prng, k->tail_usec + 1);
                w->counts.n_late++;
        }
        p->n_refs++;
        world_push(w,
                   (WorldEvent){ .at_usec = w->now_usec + delay,
                                 .type = WORLD_EVENT_DATAGRAM,
                                 .node = to,
                                 .datagram = { p, from, (uint8_t) link, channel } });
}

static void
send_all(World *w, uint32_t from, NodeSet to, unsigned link, WorldChannel channel, WorldPayload *p) {
        NODE_SET_FOREACH(id, to) {
                if (id > w->n_nodes)
                        continue;
                send_one(w, from, id, link, channel, p);
                if (world_happens(w, w->knobs.duplicate_ppm)) {
                        w->counts.n_duplicated++;
                        send_one(w, from, id, link, channel, p);
                }
        }
}

void world_send_link(
                World *w,
                uint32_t from,
                NodeSet to,
                unsigned link,
                WorldChannel channel,
                const void *data,
                size_t size_bytes) {
        WorldPayload *p = payload_new(data, size_bytes, world_node(w, from)->version);

        send_all(w, from, to, link, channel, p);
        world_payload_unref(p);
}

void world_send(World *w,
                uint32_t from,
                NodeSet to,
                WorldChannel channel,
                const void *data,
                size_t size_bytes) {
        WorldPayload *p = payload_new(data, size_bytes, world_node(w, from)->version);

        for (unsigned link = 0; link < w->n_links; link++)
                send_all(w, from, to, link, channel, p);
        world_payload_unref(p);
}

/* ---- arriving ---- */

/* To a machine that runs; takes the reference. */
void world_hand_over(World *w, uint32_t id, WorldWaiting d) {
        WorldNode *n = world_node(w, id);

        w->counts.n_steps++;
        w->actors[d.channel]->received(
                        w, id, n->state[d.channel], d.from, d.link, d.payload, w->userdata[d.channel]);
        world_payload_unref(d.payload);
        world_stepped(w, id);
}

void world_arrive(World *w, const WorldEvent *e) {
        WorldNode *n = world_node(w, e->node);
        WorldWaiting d = { e->datagram.payload, e->datagram.from, e->datagram.link, e->datagram.channel };
        bool asleep = n->paused && n->rest != WORLD_REST_PAUSE;

        if (!n->up || !w->actors[d.channel])
                world_payload_unref(d.payload);
        else if (!world_is_away(w, e->node))
                world_hand_over(w, e->node, d);
        else if (!asleep && n->n_backlog < WORLD_BACKLOG_MAX)
                n->backlog[n->n_backlog++] = d;
        else {
                w->counts.n_missed++;
                world_payload_unref(d.payload);
        }
}

/* ---- cuts and delays ---- */

static void change_cut(World *w, NodeSet a, NodeSet b, unsigned link, bool cut) {
        for (unsigned l = 0; l < w->n_links; l++) {
                if (link != WORLD_ALL_LINKS && link != l)
                        continue;
                NODE_SET_FOREACH(id, a) {
                        if (cut)
                                w->cut[l][id - 1] |= b;
                        else
                                w->cut[l][id - 1] &= ~b;
                }
        }
}

void world_cut(World *w, NodeSet a, NodeSet b, unsigned link) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        if (w->tracing)
                world_trace(w, 0, "cut %s -> %s", node_set_format(a, ta), node_set_format(b, tb));
        w->counts.n_cuts++;
        change_cut(w, a, b, link, true);
}

void world_heal(World *w, NodeSet a, NodeSet b, unsigned link) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        if (w->tracing)
                world_trace(w, 0, "heal %s -> %s", node_set_format(a, ta), node_set_format(b, tb));
        change_cut(w, a, b, link, false);
}

void world_heal_all(World *w) {
        world_trace(w, 0, "heal all");
        memset(w->cut, 0, sizeof(w->cut));
        memset(w->way_usec, 0, sizeof(w->way_usec));
        memset(w->narrow_bytes, 0, sizeof(w->narrow_bytes));
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                for (unsigned l = 0; l < w->n_links; l++)
                        if (w->nodes[id - 1].no_carrier[l])
                                world_carrier(w, id, l, true);
}

void world_narrow(World *w, NodeSet a, NodeSet b, unsigned link, uint32_t bytes) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        if (w->tracing)
                world_trace(w,
                            0,
                            "the way %s -> %s passes %" PRIu32 " bytes at most (0: all)",
                            node_set_format(a, ta),
                            node_set_format(b, tb),
                            bytes);
        for (unsigned l = 0; l < w->n_links; l++) {
                if (link != WORLD_ALL_LINKS && link != l)
                        continue;
                NODE_SET_FOREACH(from, a)
                        NODE_SET_FOREACH(to, b) {
                                w->narrow_bytes[l][from - 1][to - 1] = bytes;
                                w->narrow_usec[l][from - 1][to - 1] = w->now_usec;
                        }
        }
}

bool world_is_cut(const World *w, uint32_t from, uint32_t to) {
        for (unsigned l = 0; l < w->n_links; l++)
                if (!node_set_contains(w->cut[l][from - 1], to) && !w->nodes[from - 1].no_carrier[l] &&
                    !w->nodes[to - 1].no_carrier[l])
                        return false;
        return true;
}

bool world_hears(const World *w, uint32_t node, uint32_t from) {
        for (unsigned l = 0; l < w->n_links; l++)
                if (!node_set_contains(w->cut[l][from - 1], node) && !w->nodes[from - 1].no_carrier[l] &&
                    !w->nodes[node - 1].no_carrier[l] && !world_is_dead(w, node, from, l))
                        return true;
        return false;
}

void world_lengthen(World *w, NodeSet a, NodeSet b, uint64_t usec) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        world_trace(w,
                    0,
                    "the way %s -> %s is longer by %" PRIu64 " ms",
                    node_set_format(a, ta),
                    node_set_format(b, tb),
                    usec / USEC_PER_MSEC);
        NODE_SET_FOREACH(from, a)
                NODE_SET_FOREACH(to, b)
                        w->way_usec[from - 1][to - 1] = usec;
}

/* ---- carrier ---- */

void world_tell_carrier(World *w, uint32_t id, unsigned link) {
        WorldNode *n = world_node(w, id);

        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch] && w->actors[ch]->carrier)
                        w->actors[ch]->carrier(
                                        w, id, n->state[ch], link, !n->no_carrier[link], w->userdata[ch]);
}

void world_carrier(World *w, uint32_t id, unsigned link, bool carrier) {
        WorldNode *n = world_node(w, id);

        if (n->no_carrier[link] == !carrier)
                return;
        world_trace(w, id, "link %u %s", link, carrier ? "has carrier" : "loses its carrier");
        n->no_carrier[link] = !carrier;
        if (n->up && !n->paused)
                world_tell_carrier(w, id, link);
}
