/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "basic/time-util.h"
#include "fuzz/gcs-world.h"

#define NOW_MAX 1000U

static GcsWorldNode *node_of(GcsWorld *w, uint32_t id) {
        assert(id >= 1 && id <= w->n_nodes);
        return &w->nodes[id - 1];
}

static void put(GcsWorldDatagram *d, uint32_t from, uint32_t to, Buffer *buffer) {
        (void) buffer_unref(d->buffer);
        *d = (GcsWorldDatagram){ from, to, buffer_ref(buffer) };
}

static void send_message(GcsWorld *w, uint32_t from, NodeSet to, const GcsMessage *m) {
        _cleanup_(buffer_unrefp) Buffer *buffer = NULL;
        ssize_t n = gcs_message_encode(m, w->buf, sizeof(w->buf));

        assert(n > 0);
        buffer = buffer_new_copy(w->buf, (size_t) n);
        assert(buffer);
        assert(gcs_message_decode(buffer, 0, buffer->size_bytes, w->message) == 0);
        if (w->on_message)
                w->on_message(w->userdata, m, w->buf, (size_t) n);
        assert(!node_set_contains(to, from));
        NODE_SET_FOREACH(id, to)
                if (w->n_queued < GCS_WORLD_QUEUE_MAX)
                        put(&w->queue[(w->queue_first + w->n_queued++) % GCS_WORLD_QUEUE_MAX],
                            from,
                            id,
                            buffer);
        put(&w->past[w->n_past++ % GCS_WORLD_PAST_MAX], from, 0, buffer);
}

static void forget_client(GcsWorldNode *n, unsigned client) {
        n->client[client] = n->n_unconsumed[client] = n->unconsumed_bytes[client] = 0;
        n->newcomer[client].id.node = 0;
}

static void to_client(GcsWorldNode *n, const GcsEffect *e) {
        unsigned client = 0;

        while (client < GCS_WORLD_CLIENTS && n->client[client] != e->client)
                client++;
        /* One that is gone gets no effect any more. */
        assert(client < GCS_WORLD_CLIENTS);
        switch (e->type) {
        case GCS_EFFECT_VIEW:
                n->n_unconsumed[client]++;
                break;
        case GCS_EFFECT_MESSAGE:
                n->n_unconsumed[client]++;
                n->unconsumed_bytes[client] += e->message.payload.size_bytes;
                break;
        case GCS_EFFECT_SNAPSHOT:
                n->n_unconsumed[client]++;
                n->unconsumed_bytes[client] += e->snapshot.payload.size_bytes;
                break;
        case GCS_EFFECT_SNAPSHOT_REQUEST:
                n->newcomer[client] = e->snapshot_request.newcomer;
                n->point[client] = e->snapshot_request.point;
                break;
        case GCS_EFFECT_REFUSED:
        case GCS_EFFECT_UNREGISTERED:
        case GCS_EFFECT_EXPELLED:
                forget_client(n, client);
                break;
        case GCS_EFFECT_SHUT_OUT:
        case GCS_EFFECT_DROP_HELD:
        case GCS_EFFECT_REGISTERED:
        case GCS_EFFECT_CREDIT:
        case GCS_EFFECT_RELEASE:
        case GCS_EFFECT_FROZEN:
        case GCS_EFFECT_SEND:
        case GCS_EFFECT_STORE:
        case GCS_EFFECT_RESET_NODE:
        case GCS_EFFECT_STALLED:
        case GCS_EFFECT_TRACE:
                break;
        }
}

static void carry_out(GcsWorld *w, uint32_t id, const GcsEffects *effects) {
        GcsWorldNode *n = node_of(w, id);

        for (size_t i = 0; i < effects->n_effects; i++) {
                const GcsEffect *e = &effects->effects[i];

                if (e->type == GCS_EFFECT_SEND)
                        send_message(w, id, e->send.to, e->send.message);
                else if (e->type == GCS_EFFECT_STORE) {
                        n->wanted = e->store.number;
                        n->writing = e->store.history;
                } else if (e->client != 0 && e->type != GCS_EFFECT_TRACE && e->type != GCS_EFFECT_RESET_NODE)
                        to_client(n, e);
        }
}

void gcs_world_feed(GcsWorld *w, uint32_t id, GcsEvent event) {
        GcsEffects effects;

        event.now_usec = w->now_usec;
        w->n_steps++;
        gcs_step(node_of(w, id)->core, &event, &effects);
        gcs_check(node_of(w, id)->core);
        carry_out(w, id, &effects);
}

void gcs_world_receive(GcsWorld *w, uint32_t from, uint32_t to, Buffer *buffer) {
        if (from == to || gcs_message_decode(buffer, 0, buffer->size_bytes, w->message) < 0)
                return;
        gcs_world_feed(w,
                       to,
                       (GcsEvent){ .type = GCS_EVENT_RECEIVED,
                                   .received = { .from = from, .message = w->message } });
}

static void deliver_first(GcsWorld *w) {
        GcsWorldDatagram *d = &w->queue[w->queue_first];
        _cleanup_(buffer_unrefp) Buffer *buffer = TAKE_PTR(d->buffer);

        w->queue_first = (w->queue_first + 1) % GCS_WORLD_QUEUE_MAX;
        w->n_queued--;
        if (d->to <= w->n_nodes && !node_set_contains(node_of(w, d->to)->cut, d->from))
                gcs_world_receive(w, d->from, d->to, buffer);
}

static void write_histories(GcsWorld *w) {
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                GcsWorldNode *n = node_of(w, id);

                if (n->hung || n->stored == n->wanted)
                        continue;
                n->stored = n->wanted;
                n->history = n->writing;
                gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_STORED, .stored = { n->stored } });
        }
}

static void consume(GcsWorld *w, uint32_t id) {
        GcsWorldNode *n = node_of(w, id);

        for (unsigned i = 0; i < GCS_WORLD_CLIENTS; i++) {
                uint64_t bytes = n->unconsumed_bytes[i];
                uint32_t n_messages = (uint32_t) n->n_unconsumed[i];

                if (n->newcomer[i].id.node != 0) {
                        GcsEvent e = {
                                .type = GCS_EVENT_SNAPSHOT,
                                .snapshot = { .client = n->client[i],
                                              .newcomer = n->newcomer[i].id,
                                              .point = n->point[i],
                                              .last = true },
                        };

                        n->newcomer[i].id.node = 0;
                        gcs_world_feed(w, id, e);
                }
                if (n->slow[i] || n_messages == 0)
                        continue;
                n->n_unconsumed[i] = n->unconsumed_bytes[i] = 0;
                gcs_world_feed(w,
                               id,
                               (GcsEvent){ .type = GCS_EVENT_CONSUMED,
                                           .consumed = { n->client[i], n_messages, bytes } });
        }
}

static void wake(GcsWorld *w) {
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                GcsWorldNode *n = node_of(w, id);

                consume(w, id);
                if (gcs_wakeup_usec(n->core) > w->now_usec) {
                        n->n_now = 0;
                        continue;
                }
                assert(n->n_now++ < NOW_MAX);
                gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_TIMEOUT });
        }
}

static uint64_t next_usec(const GcsWorld *w) {
        uint64_t usec = USEC_INFINITY;

        for (unsigned i = 0; i < w->n_nodes; i++)
                usec = MIN(usec, gcs_wakeup_usec(w->nodes[i].core));
        return usec;
}

void gcs_world_run(GcsWorld *w, uint64_t usec) {
        uint64_t until_usec = w->now_usec + usec;

        while (w->n_steps < GCS_WORLD_STEPS_MAX) {
                for (unsigned i = 0; w->n_queued > 0 && i < GCS_WORLD_QUEUE_MAX; i++)
                        deliver_first(w);
                write_histories(w);
                wake(w);
                if (w->n_queued > 0)
                        continue;
                if (next_usec(w) > until_usec)
                        break;
                w->now_usec = MAX(w->now_usec, next_usec(w));
        }
        w->now_usec = MAX(w->now_usec, until_usec);
}

static Membership make(const GcsWorld *w, NodeSet members, uint32_t senior) {
        Membership m = {
                .mid = { w->membership.mid.epoch + 1, senior },
                .quorate = 2 * node_set_count(members) > w->n_nodes,
                .members = members,
                .configured = (UINT64_C(1) << w->n_nodes) - 1,
        };

        m.rank[m.n_members++] = (uint8_t) senior;
        NODE_SET_FOREACH(id, node_set_without(members, senior))
                m.rank[m.n_members++] = (uint8_t) id;
        NODE_SET_FOREACH(id, m.configured)
                m.nodes[id - 1] = (MembershipNode){
                        .state = node_set_contains(members, id) ? NODE_UP : NODE_UNKNOWN,
                        .reason = node_set_contains(members, id) ? NODE_REASON_NONE : NODE_REASON_SILENCE,
                        .incarnation = w->nodes[id - 1].incarnation,
                };
        m.hash = membership_hash(&m);
        return m;
}

void gcs_world_install(GcsWorld *w, NodeSet members, uint32_t senior) {
        Membership m;

        members &= (UINT64_C(1) << w->n_nodes) - 1;
        if (!node_set_contains(members, senior))
                return;
        m = make(w, members, senior);
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_TRANSITION });
        NODE_SET_FOREACH(id, members)
                gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_STABLE, .stable = { &m } });
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (!node_set_contains(members, id)) {
                        gcs_world_feed(w, id, (GcsEvent){ .type = GCS_EVENT_NODE, .node = { .node = id } });
                }
        w->membership = m;
}

static void start(GcsWorld *w, uint32_t id) {
        GcsWorldNode *n = node_of(w, id);

        n->core = gcs_free(n->core);
        *n = (GcsWorldNode){ .incarnation = n->incarnation + 100, .history = n->history, .cut = n->cut };
        assert(gcs_new(&(GcsConfig){ .node = id,
                                     .incarnation = n->incarnation,
                                     .stored_history = n->history,
                                     .dissemination = id % 2 ? GCS_DISSEMINATION_RING
                                                             : GCS_DISSEMINATION_FANOUT },
                       &n->core) == 0);
}

void gcs_world_restart(GcsWorld *w, uint32_t id) {
        start(w, id);
}

void gcs_world_register(GcsWorld *w, uint32_t id, unsigned client) {
        static const char *const names[GCS_WORLD_CLIENTS] = { "m0", "m1", "m2" };
        GcsWorldNode *n = node_of(w, id);

        if (n->client[client] != 0)
                return;
        n->client[client] = ++n->last_client;
        gcs_world_feed(w,
                       id,
                       (GcsEvent){ .type = GCS_EVENT_REGISTER,
                                   .reg = { .client = n->client[client],
                                            .group = client == 2 ? "g1" : "g0",
                                            .member = names[client],
                                            .critical = client == 0,
                                            .snapshot = client != 2 } });
}

void gcs_world_unregister(GcsWorld *w, uint32_t id, unsigned client) {
        gcs_world_feed(w,
                       id,
                       (GcsEvent){ .type = GCS_EVENT_UNREGISTER,
                                   .unregister = { node_of(w, id)->client[client] } });
}

void gcs_world_lose(GcsWorld *w, uint32_t id, unsigned client) {
        GcsWorldNode *n = node_of(w, id);
        uint64_t lost = n->client[client];

        if (lost == 0)
                return;
        forget_client(n, client);
        gcs_world_feed(w,
                       id,
                       (GcsEvent){ .type = GCS_EVENT_MEMBER_LOST,
                                   .member_lost = { lost, GCS_REASON_EXITED } });
}

void gcs_world_send(GcsWorld *w, uint32_t id, unsigned client, size_t size_bytes) {
        _cleanup_(buffer_unrefp) Buffer *buffer = buffer_new(size_bytes);

        assert(buffer);
        memset(buffer->data, 'x', size_bytes);
        gcs_world_feed(w,
                       id,
                       (GcsEvent){ .type = GCS_EVENT_SEND,
                                   .send = { .client = node_of(w, id)->client[client],
                                             .payload = slice_of(buffer) } });
}

GcsWorld *gcs_world_new(unsigned n_nodes) {
        GcsWorld *w = calloc(1, sizeof(*w));

        assert(w);
        w->message = calloc(1, sizeof(GcsMessage));
        assert(w->message);
        w->n_nodes = n_nodes;
        w->now_usec = USEC_PER_SEC;
        for (uint32_t id = 1; id <= n_nodes; id++) {
                w->nodes[id - 1].incarnation = id;
                start(w, id);
        }
        return w;
}

GcsWorld *gcs_world_free(GcsWorld *w) {
        if (!w)
                return NULL;
        for (unsigned i = 0; i < w->n_nodes; i++)
                w->nodes[i].core = gcs_free(w->nodes[i].core);
        FOREACH_ARRAY(d, w->queue, GCS_WORLD_QUEUE_MAX)
                (void) buffer_unref(d->buffer);
        FOREACH_ARRAY(d, w->past, GCS_WORLD_PAST_MAX)
                (void) buffer_unref(d->buffer);
        free(w->message);
        free(w);
        return NULL;
}
