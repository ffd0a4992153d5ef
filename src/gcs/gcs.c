/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gcs/gcs-internal.h"

#ifdef GCS_BREAKABLE
GcsBreak gcs_break = GCS_BREAK_NOTHING;
#endif

/* From each phase, a bit for each that may follow. */
static const uint8_t phase_next[] = {
        [GCS_PHASE_IDLE] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING,
        [GCS_PHASE_WAITING] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING | 1 << GCS_PHASE_FETCHING,
        [GCS_PHASE_FETCHING] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING | 1 << GCS_PHASE_STORING,
        [GCS_PHASE_STORING] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING | 1 << GCS_PHASE_HOLDING,
        [GCS_PHASE_HOLDING] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING | 1 << GCS_PHASE_ACTIVE,
        [GCS_PHASE_ACTIVE] = 1 << GCS_PHASE_IDLE | 1 << GCS_PHASE_WAITING,
};

void gcs_enter(Gcs *g, GcsPhase phase) {
        assert(phase_next[g->phase] & (1 << phase));
        g->phase = phase;
}

void gcs_bad(Gcs *g, uint32_t from) {
        g->n_bad++;
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_BAD, .node = from });
}

/* ---- Notifications of CMS ---- */

static void freeze(Gcs *g) {
        if (g->frozen || mid_is_none(g->membership.mid))
                return;
        g->frozen = true;
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_FROZEN, .mid = g->membership.mid });
        gcs_clients_freeze(g, g->membership.quorate);
}

static void install(Gcs *g, const Membership *m) {
        unsigned rank = 0;

        while (rank < m->n_members && m->rank[rank] != g->config.node)
                rank++;
        if (rank == m->n_members || m->nodes[g->config.node - 1].incarnation != g->config.incarnation) {
                /* A membership without us is none of ours; CMS tells of it as an exclusion. */
                gcs_bad(g, g->config.node);
                return;
        }

        g->membership = *m;
        g->frozen = false;
        g->rank = rank;
        g->coordinator = m->rank[0];
        g->next = m->rank[(rank + 1) % m->n_members];
        g->previous = m->rank[(rank + m->n_members - 1) % m->n_members];
        g->n_submits = 0;

        if (m->quorate || BROKEN(MINORITY)) {
                gcs_clients_freeze(g, true);
                gcs_enter(g, GCS_PHASE_WAITING);
                gcs_flush_begin(g);
        } else {
                /* R5: nothing is flushed, ordered or delivered. */
                gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_NO_QUORUM, .mid = m->mid });
                g->told_frozen = false;
                gcs_clients_freeze(g, false);
                gcs_enter(g, GCS_PHASE_IDLE);
        }
}

/* Once frozen, only a newer one goes on (R1): what CMS has promised is higher. */
static void on_stable(Gcs *g, const Membership *m) {
        if (mid_compare(m->mid, g->membership.mid) > 0)
                install(g, m);
}

static void on_node(Gcs *g, uint32_t node, bool up) {
        if (node == g->config.node && !up)
                freeze(g);

        if (BROKEN(RING_EARLY) && !up && node != g->config.node &&
            node_set_contains(g->membership.members, node)) {
                Membership *m = &g->membership;
                unsigned n = 0;

                for (unsigned i = 0; i < m->n_members; i++)
                        if (m->rank[i] != node)
                                m->rank[n++] = m->rank[i];
                m->n_members = n;
                node_set_remove(&m->members, node);
                g->frozen = false;
                g->coordinator = m->rank[0];
                for (unsigned i = 0; i < n; i++)
                        if (m->rank[i] == g->config.node) {
                                g->rank = i;
                                g->next = m->rank[(i + 1) % n];
                                g->previous = m->rank[(i + n - 1) % n];
                        }
        }
}

/* ---- Messages ---- */

static void on_received(Gcs *g, uint32_t from, const GcsMessage *m) {
        if (!node_id_is_valid(from) || from == g->config.node) {
                gcs_bad(g, from);
                return;
        }

        /* Ours only, and not while CMS forms the next one (R1). */
        if (!mid_equal(m->mid, g->membership.mid) || g->frozen || g->phase == GCS_PHASE_IDLE) {
                g->n_stale++;
                gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_STALE, .node = from, .mid = m->mid });
                return;
        }
        if (!node_set_contains(g->membership.members, from)) {
                gcs_bad(g, from);
                return;
        }

        switch (m->type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_ACK:
        case GCS_MESSAGE_RESEND:
                gcs_order_received(g, from, m);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_INFO:
        case GCS_MESSAGE_FLUSH_PLAN:
        case GCS_MESSAGE_FLUSH_FETCH:
        case GCS_MESSAGE_FLUSH_STATE:
        case GCS_MESSAGE_FLUSH_ITEMS:
        case GCS_MESSAGE_FLUSH_DONE:
                gcs_flush_received(g, from, m);
                break;
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                gcs_snapshot_received(g, from, m);
                break;
        }
}

/* ---- Steps ---- */

void gcs_step(Gcs *g, const GcsEvent *event, GcsEffects *ret_effects) {
        const GcsEvent *e = event;

        assert(e->now_usec >= g->now_usec);
        g->now_usec = e->now_usec;
        gcs_begin_step(g);

        switch (e->type) {
        case GCS_EVENT_TIMEOUT:
                break;
        case GCS_EVENT_TRANSITION:
                freeze(g);
                break;
        case GCS_EVENT_NODE:
                on_node(g, e->node.node, e->node.up);
                break;
        case GCS_EVENT_STABLE:
                on_stable(g, e->stable.membership);
                break;
        case GCS_EVENT_RECEIVED:
                on_received(g, e->received.from, e->received.message);
                break;
        case GCS_EVENT_STORED:
                gcs_flush_stored(g, e->stored.number);
                break;
        case GCS_EVENT_REGISTER:
        case GCS_EVENT_UNREGISTER:
        case GCS_EVENT_SEND:
        case GCS_EVENT_MEMBER_LOST:
        case GCS_EVENT_CONSUMED:
                gcs_client_event(g, e);
                break;
        case GCS_EVENT_SNAPSHOT:
                gcs_snapshot_give(g, e);
                break;
        }

        /* Time first, so that what is due is not put off by what is new. */
        gcs_flush_timeout(g);
        gcs_order_timeout(g);
        gcs_clients_timeout(g);

        gcs_order_pump(g);
        gcs_deliver(g);
        gcs_order_pump(g);
        gcs_snapshot_pump(g);
        gcs_order_pump(g); /* a newcomer of ours may have all of its snapshot now */
        gcs_clients_credit(g);

        *ret_effects = (GcsEffects){
                .effects = g->effects,
                .n_effects = g->n_effects,
                .verdict = g->verdict,
        };
}

uint64_t gcs_wakeup_usec(const Gcs *g) {
        uint64_t t = USEC_INFINITY;

        if (gcs_deliver_due(g) || g->again)
                return g->now_usec;
        t = MIN(t, gcs_flush_wakeup(g));
        t = MIN(t, gcs_order_wakeup(g));
        t = MIN(t, gcs_clients_wakeup(g));
        t = MIN(t, gcs_snapshot_wakeup(g));
        return t;
}

/* ---- Life ---- */

static uint64_t or_default(uint64_t value, uint64_t fallback) {
        return value != 0 ? value : fallback;
}

int gcs_new(const GcsConfig *config, Gcs **ret) {
        _cleanup_(gcs_freep) Gcs *g = NULL;
        GcsConfig *c;

        assert(node_id_is_valid(config->node));
        assert(config->incarnation != 0);

        g = calloc(1, sizeof(Gcs));
        if (!g)
                return -ENOMEM;

        g->config = *config;
        c = &g->config;
        c->resend_usec = or_default(c->resend_usec, 20 * USEC_PER_MSEC);
        c->stall_usec = or_default(c->stall_usec, 5 * USEC_PER_SEC);
        c->silence_usec = or_default(c->silence_usec, 400 * USEC_PER_MSEC);
        c->pipeline = (uint32_t) or_default(c->pipeline, 4);
        c->pipeline = MIN(c->pipeline, GCS_BATCHES_MAX);
        c->batch_bytes = (uint32_t) or_default(c->batch_bytes, 16 * 1024);
        c->batch_bytes = MIN(c->batch_bytes, GCS_PAYLOAD_MAX);
        c->window_messages = (uint32_t) or_default(c->window_messages, 128);
        c->window_bytes = (uint32_t) or_default(c->window_bytes, 256 * 1024);
        c->backlog_messages = (uint32_t) or_default(c->backlog_messages, 512);
        c->backlog_bytes = (uint32_t) or_default(c->backlog_bytes, 2 * 1024 * 1024);

        g->effects = calloc(GCS_EFFECTS_MAX, sizeof(GcsEffect));
        g->out = calloc(GCS_OUT_MAX, sizeof(GcsMessage));
        g->departed = calloc(GCS_GROUPS_MAX * GCS_GROUP_MEMBERS_MAX, sizeof(GcsDeparted));
        g->log = calloc(GCS_LOG_MAX, sizeof(GcsItem));
        g->changes = calloc(GCS_CHANGES_MAX, sizeof(GcsNodeChange));
        g->groups = calloc(GCS_GROUPS_MAX, sizeof(GcsGroup));
        g->pending = calloc(GCS_RING_MAX, sizeof(GcsItem));
        g->queue = calloc(GCS_QUEUE_MAX, sizeof(GcsItem));
        g->clients = calloc(GCS_CLIENTS_MAX, sizeof(GcsClient));
        if (!g->effects || !g->out || !g->departed || !g->log || !g->changes || !g->groups || !g->pending ||
            !g->queue || !g->clients)
                return -ENOMEM;

        g->history = config->stored_history;
        g->base = 1;
        g->request_slot = GCS_GROUPS_MAX;
        g->pending_first = g->pending_end = 1;
        g->next_member = 1;

        *ret = TAKE_PTR(g);
        return 0;
}

static void items_free(GcsItem *items, uint64_t first, uint64_t end, uint64_t size) {
        for (uint64_t n = first; items && n < end; n++)
                gcs_item_done(&items[n % size]);
        free(items);
}

Gcs *gcs_free(Gcs *g) {
        if (!g)
                return NULL;

        if (g->out && g->effects)
                gcs_begin_step(g);
        items_free(g->log, g->base, g->held + 1, GCS_LOG_MAX);
        items_free(g->pending, g->pending_first, g->pending_end, GCS_RING_MAX);
        items_free(g->queue, g->queue_first, g->queue_end, GCS_QUEUE_MAX);
        for (unsigned t = 0; t < GCS_TRANSFERS_MAX; t++)
                for (uint32_t p = 0; p < g->transfers[t].n_pieces; p++)
                        slice_done(&g->transfers[t].pieces[p]);
        free(g->effects);
        free(g->out);
        free(g->departed);
        free(g->changes);
        free(g->groups);
        free(g->clients);
        free(g);
        return NULL;
}

void gcs_get_status(const Gcs *g, GcsStatus *ret) {
        *ret = (GcsStatus){
                .mid = g->membership.mid,
                .history = g->memory ? g->history : MID_NONE,
                .formation = g->formation,
                .active = gcs_is_active(g),
                .coordinator = g->phase != GCS_PHASE_IDLE && gcs_is_coordinator(g),
                .kept = g->base,
                .held = g->held,
                .commit = g->commit,
                .delivered = g->delivered,
                .n_pending = (uint32_t) gcs_n_pending(g),
                .n_resent = g->n_resent,
                .n_stale = g->n_stale,
                .n_bad = g->n_bad,
        };
}

size_t gcs_get_group(const Gcs *g, unsigned slot, const char **ret_name, const GcsMember **ret_members) {
        assert(slot < GCS_GROUPS_MAX);
        *ret_name = g->groups[slot].name;
        *ret_members = g->groups[slot].members;
        return g->groups[slot].n_members;
}
