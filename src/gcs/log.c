/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log, and what a step says. Whoever keeps an item keeps a reference to its payload: the log, the
 * pending items, the queue, and also each message and effect of a step, until the next step begins. */

#include "gcs/gcs-internal.h"

/* ---- Effects ---- */

void gcs_begin_step(Gcs *g) {
        for (size_t i = 0; i < g->n_out; i++) {
                GcsMessage *m = &g->out[i];

                switch (m->type) {
                case GCS_MESSAGE_SUBMIT:
                case GCS_MESSAGE_PROPOSE:
                case GCS_MESSAGE_FLUSH_ITEMS:
                        for (uint32_t k = 0; k < m->order.n_items; k++)
                                gcs_item_done(&m->order.items[k]);
                        break;
                case GCS_MESSAGE_SNAPSHOT:
                        slice_done(&m->snapshot.payload);
                        break;
                case GCS_MESSAGE_COMMIT:
                case GCS_MESSAGE_ACK:
                case GCS_MESSAGE_RESEND:
                case GCS_MESSAGE_FLUSH_ASK:
                case GCS_MESSAGE_FLUSH_INFO:
                case GCS_MESSAGE_FLUSH_PLAN:
                case GCS_MESSAGE_FLUSH_FETCH:
                case GCS_MESSAGE_FLUSH_STATE:
                case GCS_MESSAGE_FLUSH_DONE:
                case GCS_MESSAGE_SNAPSHOT_ACK:
                        break;
                }
        }
        g->n_out = 0;

        for (size_t i = 0; i < g->n_effects; i++)
                if (g->effects[i].type == GCS_EFFECT_MESSAGE)
                        slice_done(&g->effects[i].message.payload);
                else if (g->effects[i].type == GCS_EFFECT_SNAPSHOT)
                        slice_done(&g->effects[i].snapshot.payload);
        g->n_effects = 0;
        g->n_departed = 0;
        g->again = g->viewed = false;
        g->verdict = GCS_VERDICT_QUEUED;
}

GcsEffect *gcs_effect(Gcs *g, GcsEffectType type) {
        GcsEffect *e;

        assert(g->n_effects < GCS_EFFECTS_MAX);
        e = &g->effects[g->n_effects++];
        *e = (GcsEffect){ .type = type };
        return e;
}

/* Room for what any one item can cause: an effect or two for each client, and the messages of the step. */
bool gcs_effects_room(Gcs *g) {
        if (g->n_effects + 4 * (size_t) g->n_clients + GCS_EFFECTS_RESERVE < GCS_EFFECTS_MAX)
                return true;
        g->again = true;
        return false;
}

void gcs_trace(Gcs *g, GcsTrace trace) {
        /* Traces are the first to go when a step has much to say. */
        if (g->n_effects + 4 * (size_t) g->n_clients + GCS_EFFECTS_RESERVE / 2 < GCS_EFFECTS_MAX)
                gcs_effect(g, GCS_EFFECT_TRACE)->trace = trace;
}

/* The caller sets every field of the message's kind. */
GcsMessage *gcs_out(Gcs *g, GcsMessageType type) {
        GcsMessage *m;

        assert(g->n_out < GCS_OUT_MAX);
        m = &g->out[g->n_out++];
        m->type = type;
        m->mid = g->membership.mid;
        return m;
}

bool gcs_out_room(const Gcs *g) {
        return g->n_out + GCS_OUT_RESERVE <= GCS_OUT_MAX;
}

void gcs_send(Gcs *g, GcsMessage *m, NodeSet to) {
        GcsEffect *e;

        assert(!node_set_contains(to, g->config.node));
        if (node_set_is_empty(to))
                return;
        e = gcs_effect(g, GCS_EFFECT_SEND);
        e->send.to = to;
        e->send.message = m;
}

/* ---- Items ---- */

void gcs_item_done(GcsItem *i) {
        if (i->type == GCS_ITEM_MESSAGE)
                slice_done(&i->message.payload);
}

size_t gcs_item_bytes(const GcsItem *i) {
        return i->type == GCS_ITEM_MESSAGE ? i->message.payload.size_bytes : 0;
}

GcsItem *gcs_log_at(const Gcs *g, uint64_t sequence) {
        assert(sequence >= g->base);
        assert(sequence <= g->held);
        return &g->log[sequence % GCS_LOG_MAX];
}

/* For a proposal; room for the items that end a flush is always left. */
bool gcs_log_room(const Gcs *g) {
        return g->held + 1 - g->base < GCS_LOG_MAX - GCS_LOG_RESERVE;
}

unsigned gcs_n_changes(const Gcs *g) {
        return (unsigned) __builtin_popcount(g->changes_used);
}

static const GcsNodeChange *change_keep(Gcs *g, const GcsNodeChange *c) {
        unsigned k;

        assert(g->changes_used != UINT32_MAX);
        k = (unsigned) __builtin_ctz(~g->changes_used);
        g->changes_used |= UINT32_C(1) << k;
        g->changes[k] = *c;
        return &g->changes[k];
}

void gcs_change_done(Gcs *g, const GcsNodeChange *c) {
        g->changes_used &= ~(UINT32_C(1) << (c - g->changes));
}

/* The numbers of those who do not go on begin anew. */
void gcs_streams_change(GcsStream streams[static NODE_ID_MAX], const GcsNodeChange *c) {
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                if (!node_set_contains(c->survivors, id))
                        streams[id - 1] = (GcsStream){
                                .incarnation = c->membership.nodes[id - 1].incarnation
                        };
}

/* The item is the next one. */
void gcs_log_append(Gcs *g, const GcsItem *item) {
        GcsItem *i;

        assert(g->held + 1 - g->base < GCS_LOG_MAX);
        g->held++;
        i = gcs_log_at(g, g->held);
        *i = *item;

        switch (i->type) {
        case GCS_ITEM_MESSAGE:
                (void) slice_ref(i->message.payload);
                break;
        case GCS_ITEM_NODE_CHANGE:
                i->node_change.change = change_keep(g, item->node_change.change);
                gcs_streams_change(g->proposed, i->node_change.change);
                return;
        case GCS_ITEM_JOIN:
        case GCS_ITEM_LEAVE:
        case GCS_ITEM_READY:
                break;
        }

        g->proposed[i->node - 1] = (GcsStream){ .incarnation = i->incarnation, .number = i->number };
}

static void log_drop_first(Gcs *g) {
        GcsItem *i = gcs_log_at(g, g->base);

        if (i->type == GCS_ITEM_NODE_CHANGE && g->base > g->delivered)
                gcs_change_done(g, i->node_change.change);
        gcs_item_done(i);
        g->base++;
}

/* Drops what is delivered here and known to be committed by all. */
void gcs_log_trim(Gcs *g) {
        while (g->base <= MIN(g->settled, g->delivered))
                log_drop_first(g);
}

/* Forgets everything; what comes next is the item after `held`. */
void gcs_log_clear(Gcs *g, uint64_t held) {
        while (g->base <= g->held)
                log_drop_first(g);
        g->base = held + 1;
        g->held = g->commit = g->settled = g->delivered = held;
        assert(g->changes_used == 0);
}

/* Copies items first to last, or as many of them as fit in one message. A NODE_CHANGE is the last of its
 * message. */
uint32_t gcs_copy_items(Gcs *g, GcsMessage *m, uint64_t first, uint64_t last) {
        size_t bytes = 0;

        m->order.first = first;
        m->order.n_items = 0;
        for (uint64_t s = first; s <= last && m->order.n_items < GCS_BATCH_MAX; s++) {
                const GcsItem *i = gcs_log_at(g, s);
                GcsItem *copy;

                bytes += gcs_item_bytes(i);
                if (m->order.n_items > 0 && bytes > g->config.batch_bytes)
                        break;
                copy = &m->order.items[m->order.n_items++];
                *copy = *i;
                if (i->type == GCS_ITEM_MESSAGE)
                        (void) slice_ref(i->message.payload);
                if (i->type == GCS_ITEM_NODE_CHANGE) {
                        m->change = *i->node_change.change;
                        copy->node_change.change = &m->change;
                        break;
                }
        }
        return m->order.n_items;
}
