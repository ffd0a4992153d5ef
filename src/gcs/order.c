/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The Delta protocol: submit, propose, commit (design.md 5).
 *
 *     initiator --SUBMIT--> coordinator --PROPOSE--> next --> ... --> last --ACK (lap)--> coordinator
 *                                       --COMMIT---> next --> ... --> last --ACK (lap)--> coordinator
 *
 * A node takes proposals in sequence only, so that what it holds is a prefix (R18), and passes on only what
 * it holds, so that a lap proves that everybody holds it. Every proposal carries the newest commit. In
 * fan-out the coordinator sends to all and each acknowledges for itself (choose_way()); a message that stays
 * away for two time-outs is sent that way in a ring too. */

#include "gcs/gcs-internal.h"

#define SLOW_TOLD_USEC (100 * USEC_PER_MSEC)
#define SLOW_KEPT_USEC (350 * USEC_PER_MSEC)
#define RESEND_BATCHES 4U

/* ---- Pending: submitted here, not seen proposed ---- */

uint64_t gcs_n_pending(const Gcs *g) {
        return g->pending_end - g->pending_first;
}

/* Room is never lacking: messages stop at GCS_PENDING_MAX, and the rest is bounded by the number of clients.
 */
GcsItem *gcs_pending_add(Gcs *g, GcsItemType type) {
        GcsItem *i;

        assert(gcs_n_pending(g) < GCS_RING_MAX);
        if (gcs_n_pending(g) == 0)
                g->submit_usec = g->now_usec;
        i = &g->pending[g->pending_end % GCS_RING_MAX];
        *i = (GcsItem){
                .type = type,
                .node = g->config.node,
                .incarnation = g->config.incarnation,
                .number = g->pending_end,
        };
        g->pending_end++;
        return i;
}

/* It is in the log, up to this number. */
void gcs_pending_seen(Gcs *g, uint64_t number) {
        unsigned n = 0;

        if (number >= g->pending_end)
                number = g->pending_end - 1;
        if (number < g->pending_first)
                return;
        for (; g->pending_first <= number; g->pending_first++)
                gcs_item_done(&g->pending[g->pending_first % GCS_RING_MAX]);
        g->pending_sent = MAX(g->pending_sent, number);
        while (n < g->n_submits && g->submits[n] <= number)
                n++;
        g->n_submits -= n;
        memmove(g->submits, g->submits + n, g->n_submits * sizeof(g->submits[0]));
        g->submit_usec = g->now_usec;
}

void gcs_pending_clear(Gcs *g) {
        for (; g->pending_first < g->pending_end; g->pending_first++)
                gcs_item_done(&g->pending[g->pending_first % GCS_RING_MAX]);
        g->pending_first = g->pending_end = 1;
        g->pending_sent = 0;
        g->n_submits = 0;
}

/* How much of the queue each node may take. */
static uint64_t share(const Gcs *g) {
        return GCS_QUEUE_MAX / g->membership.n_members;
}

static void submit_batch(Gcs *g, uint64_t first) {
        GcsMessage *m = gcs_out(g, GCS_MESSAGE_SUBMIT);
        size_t bytes = 0;
        uint64_t n;

        m->order.fanout = false;
        m->order.commit = m->order.settled = m->order.first = 0;
        m->order.slow = 0;
        m->order.n_items = 0;
        for (n = first; n < g->pending_end && m->order.n_items < GCS_BATCH_MAX; n++) {
                const GcsItem *i = &g->pending[n % GCS_RING_MAX];

                bytes += gcs_item_bytes(i);
                if (m->order.n_items > 0 && bytes > g->config.batch_bytes)
                        break;
                m->order.items[m->order.n_items++] = *i;
                if (i->type == GCS_ITEM_MESSAGE)
                        (void) slice_ref(i->message.payload);
        }
        gcs_send(g, m, node_set_of(g->coordinator));
        g->submits[g->n_submits++] = n - 1;
        g->pending_sent = MAX(g->pending_sent, n - 1);
}

/* As with proposals: while a submission is on its way, only a full one follows. */
static bool pending_may_go(const Gcs *g) {
        size_t bytes = 0;

        if (g->n_submits == 0 || g->pending_end - g->pending_sent > GCS_BATCH_MAX)
                return true;
        for (uint64_t n = g->pending_sent + 1; n < g->pending_end && bytes < g->config.batch_bytes; n++)
                bytes += gcs_item_bytes(&g->pending[n % GCS_RING_MAX]);
        return bytes >= g->config.batch_bytes;
}

static bool may_submit(const Gcs *g) {
        return g->pending_sent + 1 < g->pending_end && g->n_submits < g->config.pipeline &&
               g->pending_sent + 1 - g->pending_first < share(g) && pending_may_go(g) && gcs_out_room(g);
}

static void submit(Gcs *g) {
        while (may_submit(g))
                submit_batch(g, MAX(g->pending_sent + 1, g->pending_first));
}

/* ---- Coordinator: the serializing queue ---- */

static void queue_push(Gcs *g, const GcsItem *i) {
        GcsItem *q = &g->queue[g->queue_end++ % GCS_QUEUE_MAX];

        *q = *i;
        if (i->type == GCS_ITEM_MESSAGE)
                (void) slice_ref(i->message.payload);
        g->queued[i->node - 1] = (GcsStream){ .incarnation = i->incarnation, .number = i->number };
}

/* Takes the next number of each node only, so a repeated submission is queued once (R18). */
static bool queue_take(Gcs *g, const GcsItem *i) {
        const GcsStream *s = &g->queued[i->node - 1];

        if (i->number != s->number + 1 && !BROKEN(NO_STREAM_CHECK))
                return false;
        if (g->queue_end - g->queue_first >= GCS_QUEUE_MAX ||
            s->number - g->proposed[i->node - 1].number >= share(g))
                return false;
        queue_push(g, i);
        return true;
}

static void queue_own(Gcs *g) {
        uint64_t n = g->queued[g->config.node - 1].number + 1;

        for (n = MAX(n, g->pending_first); n < g->pending_end; n++)
                if (!queue_take(g, &g->pending[n % GCS_RING_MAX]))
                        break;
}

static void on_submit(Gcs *g, uint32_t from, const GcsMessage *m) {
        for (uint32_t k = 0; k < m->order.n_items; k++) {
                const GcsItem *i = &m->order.items[k];

                if (i->type == GCS_ITEM_NODE_CHANGE || i->node != from ||
                    i->incarnation != gcs_incarnation_of(g, from)) {
                        gcs_bad(g, from);
                        return;
                }
                (void) queue_take(g, i);
        }
}

/* ---- Coordinator: what all hold, and know ---- */

static uint64_t least(const Gcs *g, const uint64_t by[static NODE_ID_MAX], uint64_t own) {
        uint64_t n = own;

        NODE_SET_FOREACH(id, gcs_others(g))
                n = MIN(n, by[id - 1]);
        return n;
}

static uint64_t held_by_all(const Gcs *g) {
        return BROKEN(COMMIT_EARLY) ? g->held : least(g, g->held_by, g->held);
}

static uint64_t committed_by_all(const Gcs *g) {
        return least(g, g->committed_by, g->commit);
}

static void set_order_header(Gcs *g, GcsMessage *m, bool fanout) {
        m->order.fanout = fanout;
        m->order.commit = g->commit;
        m->order.settled = g->settled;
        m->order.slow = g->slow_all;
}

static NodeSet order_to(const Gcs *g, bool fanout) {
        return fanout ? gcs_others(g) : node_set_without(node_set_of(g->next), g->config.node);
}

static bool queue_fills_batch(const Gcs *g) {
        size_t bytes = 0;

        if (g->queue_end - g->queue_first >= GCS_BATCH_MAX)
                return true;
        for (uint64_t n = g->queue_first; n < g->queue_end && bytes < g->config.batch_bytes; n++)
                bytes += gcs_item_bytes(&g->queue[n % GCS_QUEUE_MAX]);
        return bytes >= g->config.batch_bytes;
}

/* What a proposal, its commit, and what is sent again of it goes by. */
static bool fans_out(const Gcs *g) {
        return g->config.dissemination == GCS_DISSEMINATION_FANOUT ||
               (g->config.dissemination == GCS_DISSEMINATION_AUTO && g->fanout);
}

/* Each message says which way it goes. Where there is little to do, a sender waits for the length of the
 * way; under load it waits for the work, and the ring shares that. What goes to all at once must not
 * overtake what goes around, which would look lost: so it begins where nothing is on its way. */
static void choose_way(Gcs *g) {
        if (g->n_batches > 0)
                g->fanout = g->fanout && !queue_fills_batch(g);
        else
                g->fanout = g->membership.n_members <= GCS_FANOUT_NODES_MAX &&
                            g->queue_end - g->queue_first <= g->membership.n_members;
}

static void announce(Gcs *g, NodeSet to, bool fanout) {
        GcsMessage *m = gcs_out(g, GCS_MESSAGE_COMMIT);

        set_order_header(g, m, fanout);
        m->order.first = 0;
        m->order.n_items = 0;
        gcs_send(g, m, to);
        g->announced = g->commit;
        g->slow_sent_usec = g->now_usec;
}

/* Moves the commit to what all hold. */
static void advance(Gcs *g) {
        uint64_t all = held_by_all(g);
        unsigned n = 0;

        if (all > g->commit)
                g->commit = all;
        while (n < g->n_batches && g->batches[n] <= all)
                n++;
        g->n_batches -= n;
        memmove(g->batches, g->batches + n, g->n_batches * sizeof(g->batches[0]));

        g->settled = MAX(g->settled, committed_by_all(g));
        gcs_log_trim(g);
}

/* From when on what is on its way may be lost. */
static uint64_t doubtful_usec(const Gcs *g) {
        return usec_add(g->order_usec, g->config.resend_usec / 4);
}

/* While something is on its way, what comes waits for it to be back, and then goes as one, unless it fills a
 * batch: the cost of a message falls as load grows (design.md 5). But nothing shows so soon that something
 * was lost as what follows it does (tell_gap()): so one follows it in time. */
static bool queue_may_go(const Gcs *g) {
        return g->n_batches == 0 || queue_fills_batch(g) ||
               (g->n_batches == 1 && g->now_usec >= doubtful_usec(g));
}

static bool may_propose(const Gcs *g) {
        return g->queue_first < g->queue_end && g->n_batches < g->config.pipeline && queue_may_go(g) &&
               g->held - g->settled < GCS_FLIGHT_MAX && gcs_log_room(g) && gcs_out_room(g);
}

static void propose(Gcs *g) {
        GcsMessage *m = gcs_out(g, GCS_MESSAGE_PROPOSE);
        uint64_t first = g->held + 1;
        size_t bytes = 0;

        if (g->held == g->commit)
                g->order_usec = g->stuck_usec = g->now_usec;
        choose_way(g);

        for (unsigned n = 0; n < GCS_BATCH_MAX && g->queue_first < g->queue_end && gcs_log_room(g); n++) {
                GcsItem *i = &g->queue[g->queue_first % GCS_QUEUE_MAX];

                bytes += gcs_item_bytes(i);
                if (n > 0 && bytes > g->config.batch_bytes)
                        break;
                gcs_log_append(g, i);
                if (i->node == g->config.node)
                        gcs_pending_seen(g, i->number);
                gcs_item_done(i);
                g->queue_first++;
        }
        g->batches[g->n_batches++] = g->held;
        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_PROPOSE,
                              .sequence = first,
                              .count = (uint32_t) (g->held - first + 1) });

        set_order_header(g, m, fans_out(g));
        /* All of the batch fits in one message: the same bounds apply. */
        (void) gcs_copy_items(g, m, first, g->held);
        gcs_send(g, m, order_to(g, fans_out(g)));
        g->announced = g->commit;
}

static void lead(Gcs *g) {
        /* Whoever has just acknowledged the flush is told directly that it is complete. */
        bool begin = g->announced == 0;

        queue_own(g);
        advance(g);
        if (begin && !node_set_is_empty(gcs_others(g)))
                announce(g, gcs_others(g), true);
        while (may_propose(g)) {
                propose(g);
                advance(g);
                queue_own(g);
        }
        if (g->announced < g->commit) {
                if (node_set_is_empty(gcs_others(g)))
                        g->announced = g->commit;
                else
                        announce(g, order_to(g, fans_out(g)), fans_out(g));
        }
}

void gcs_set_dissemination(Gcs *g, GcsDissemination dissemination) {
        g->config.dissemination = dissemination;
}

void gcs_order_pump(Gcs *g) {
        if (!gcs_is_active(g))
                return;
        if (gcs_is_coordinator(g))
                lead(g);
        else
                submit(g);
        gcs_log_trim(g);
}

static void on_ack(Gcs *g, uint32_t from, const GcsMessage *m) {
        NodeSet who = m->ack.lap ? g->membership.members : node_set_of(from);
        uint64_t held = held_by_all(g), committed = committed_by_all(g);
        bool progress = false;

        if (m->ack.held > g->held || m->ack.committed > g->commit || (m->ack.lap && from != g->previous)) {
                gcs_bad(g, from);
                return;
        }
        NODE_SET_FOREACH(id, who) {
                if (m->ack.held > g->held_by[id - 1]) {
                        g->held_by[id - 1] = m->ack.held;
                        progress = true;
                }
                if (m->ack.committed > g->committed_by[id - 1]) {
                        g->committed_by[id - 1] = m->ack.committed;
                        progress = true;
                }
        }
        g->slow_by[from - 1] = m->ack.slow;
        g->slow_by_usec[from - 1] = g->now_usec;
        if (progress) {
                g->n_resends = 0;
                g->order_usec = g->now_usec;
        }
        /* Whoever goes on does not hide who stands still. */
        if (held_by_all(g) > held || committed_by_all(g) > committed)
                g->stuck_usec = g->now_usec;
}

/* ---- Member ---- */

static void acknowledge(Gcs *g, bool lap, uint64_t held, uint64_t committed) {
        GcsMessage *m = gcs_out(g, GCS_MESSAGE_ACK);

        m->ack.lap = lap;
        m->ack.held = held;
        m->ack.committed = committed;
        m->ack.slow = g->slow_told = g->slow_own;
        g->slow_sent_usec = g->now_usec;
        gcs_send(g, m, node_set_of(g->coordinator));
}

/* A proposal is missing. Only the coordinator begins a lap, since a lap proves something only if it went
 * through everybody; those who have the proposal pass it along. */
static void tell_gap(Gcs *g) {
        GcsMessage *m;

        if (g->gap_usec != 0 && g->now_usec < usec_add(g->gap_usec, g->config.resend_usec / 4))
                return;
        g->gap_usec = MAX(g->now_usec, 1U);
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_GAP, .sequence = g->held + 1, .node = g->coordinator });
        m = gcs_out(g, GCS_MESSAGE_RESEND);
        m->resend.first = g->held + 1;
        gcs_send(g, m, node_set_of(g->coordinator));
}

static bool proposal_is_sound(const Gcs *g, const GcsItem *i) {
        const GcsStream *s;

        if (i->type == GCS_ITEM_NODE_CHANGE || !node_set_contains(g->membership.members, i->node))
                return false;
        s = &g->proposed[i->node - 1];
        return s->incarnation == i->incarnation && (s->number + 1 == i->number || BROKEN(NO_STREAM_CHECK));
}

/* True if all of it is held now. */
static bool take_items(Gcs *g, uint32_t from, const GcsMessage *m) {
        for (uint32_t k = 0; k < m->order.n_items; k++) {
                const GcsItem *i = &m->order.items[k];
                uint64_t sequence = m->order.first + k;

                if (sequence <= g->held)
                        continue;
                if (sequence > g->held + 1) {
                        tell_gap(g);
                        return false;
                }
                if (!proposal_is_sound(g, i)) {
                        gcs_bad(g, from);
                        return false;
                }
                if (!gcs_log_room(g))
                        return false;
                gcs_log_append(g, i);
                g->gap_usec = 0;
                if (i->node == g->config.node)
                        gcs_pending_seen(g, i->number);
        }
        return true;
}

static void pass_on(Gcs *g, const GcsMessage *m) {
        GcsMessage *copy = gcs_out(g, m->type);

        copy->order.fanout = false;
        copy->order.commit = m->order.commit;
        copy->order.settled = m->order.settled;
        copy->order.slow = m->order.slow;
        copy->order.first = m->order.first;
        copy->order.n_items = m->order.n_items;
        for (uint32_t k = 0; k < m->order.n_items; k++) {
                copy->order.items[k] = m->order.items[k];
                if (m->order.items[k].type == GCS_ITEM_MESSAGE)
                        (void) slice_ref(m->order.items[k].message.payload);
        }
        gcs_send(g, copy, node_set_of(g->next));
}

static void on_order(Gcs *g, uint32_t from, const GcsMessage *m) {
        uint64_t last;

        if (gcs_is_coordinator(g) || from != (m->order.fanout ? g->coordinator : g->previous) ||
            m->order.settled > m->order.commit) {
                gcs_bad(g, from);
                return;
        }

        /* The first commit that includes the NODE_CHANGE ends the flush. */
        if (g->phase == GCS_PHASE_HOLDING && m->order.commit >= g->held)
                gcs_flush_commit(g);
        if (g->phase != GCS_PHASE_ACTIVE) {
                g->n_stale++;
                return;
        }

        if (!take_items(g, from, m)) {
                /* What is committed we hold, even so. */
                if (m->order.commit <= g->held)
                        g->commit = MAX(g->commit, m->order.commit);
                return;
        }
        if (m->order.commit > g->held) {
                gcs_bad(g, from);
                return;
        }
        g->commit = MAX(g->commit, m->order.commit);
        g->settled = MAX(g->settled, m->order.settled);
        g->slow_all = m->order.slow;
        g->slow_all_usec = g->now_usec;

        last = m->order.n_items > 0 ? m->order.first + m->order.n_items - 1 : m->order.commit;
        if (m->order.fanout && !BROKEN(FANOUT_IS_LAP))
                acknowledge(g, false, g->held, g->commit);
        else if (g->next == g->coordinator)
                acknowledge(g, true, last, m->order.commit);
        else
                pass_on(g, m);
}

static void send_again(Gcs *g, uint64_t first, NodeSet to, bool fanout) {
        for (unsigned n = 0; n < RESEND_BATCHES && first <= g->held && gcs_out_room(g); n++) {
                GcsMessage *m = gcs_out(g, GCS_MESSAGE_PROPOSE);

                set_order_header(g, m, fanout);
                first += gcs_copy_items(g, m, first, g->held);
                gcs_send(g, m, to);
        }
}

static void on_resend(Gcs *g, uint32_t from, const GcsMessage *m) {
        if (m->resend.first <= g->commit) {
                /* An old one, overtaken; a correct node that lacks something lacks no commit of it. */
                g->n_stale++;
                return;
        }
        g->n_resent++;
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_RESEND, .sequence = m->resend.first, .node = from });
        if (fans_out(g))
                send_again(g, m->resend.first, node_set_of(from), true);
        else
                send_again(g, m->resend.first, order_to(g, false), false);
}

/* ---- Events and time ---- */

void gcs_order_begin(Gcs *g) {
        for (; g->queue_first < g->queue_end; g->queue_first++)
                gcs_item_done(&g->queue[g->queue_first % GCS_QUEUE_MAX]);
        g->queue_first = g->queue_end = 0;
        memset(g->queued, 0, sizeof(g->queued));
        memset(g->held_by, 0, sizeof(g->held_by));
        memset(g->committed_by, 0, sizeof(g->committed_by));
        memset(g->slow_by, 0, sizeof(g->slow_by));
        g->slow_all = g->slow_told = 0;
        g->n_batches = 0;
        g->n_submits = 0;
        g->pending_sent = g->pending_first - 1;
        g->announced = 0;
        g->n_resends = 0;
        g->gap_usec = 0;
        g->stalled_usec = 0;
}

void gcs_order_received(Gcs *g, uint32_t from, const GcsMessage *m) {
        switch (m->type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_ACK:
        case GCS_MESSAGE_RESEND:
                if (!gcs_is_coordinator(g))
                        gcs_bad(g, from);
                else if (g->phase != GCS_PHASE_ACTIVE)
                        g->n_stale++;
                else if (m->type == GCS_MESSAGE_SUBMIT)
                        on_submit(g, from, m);
                else if (m->type == GCS_MESSAGE_ACK)
                        on_ack(g, from, m);
                else
                        on_resend(g, from, m);
                break;
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
                on_order(g, from, m);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_INFO:
        case GCS_MESSAGE_FLUSH_PLAN:
        case GCS_MESSAGE_FLUSH_FETCH:
        case GCS_MESSAGE_FLUSH_STATE:
        case GCS_MESSAGE_FLUSH_ITEMS:
        case GCS_MESSAGE_FLUSH_DONE:
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                ASSERT_NOT_REACHED();
        }
}

/* Something was sent around and is not settled. */
static bool unsettled(const Gcs *g) {
        return g->held > g->commit || g->commit > g->settled;
}

static NodeSet behind(const Gcs *g) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, gcs_others(g))
                if (g->held_by[id - 1] < g->held || g->committed_by[id - 1] < g->commit)
                        node_set_add(&set, id);
        return set;
}

/* Those who lack the oldest of what is not settled. What is newer may just be under way to anybody. */
static NodeSet standing_still(const Gcs *g) {
        uint64_t held = held_by_all(g), committed = committed_by_all(g);
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, gcs_others(g))
                if (held < g->held ? g->held_by[id - 1] <= held : g->committed_by[id - 1] <= committed)
                        node_set_add(&set, id);
        return set;
}

static void lead_again(Gcs *g) {
        bool fanout = fans_out(g) || ++g->n_resends > 1;
        NodeSet late = behind(g), to = fanout ? late : order_to(g, false);
        uint64_t all = held_by_all(g);

        g->order_usec = g->now_usec;
        g->n_resent++;
        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_RESEND,
                              .sequence = all + 1,
                              .node = fanout ? node_set_lowest(to) : 0 });
        if (all < g->held)
                send_again(g, all + 1, to, fanout);
        else
                announce(g, to, fanout);

        if (g->now_usec >= usec_add(MAX(g->stuck_usec, g->stalled_usec), g->config.silence_usec)) {
                g->stalled_usec = g->now_usec;
                gcs_effect(g, GCS_EFFECT_STALLED)->stalled.nodes = standing_still(g);
        }
}

/* Slow groups are told of again and again, and forgotten when nobody does. */
static void slow_timeout(Gcs *g) {
        uint64_t slow = g->slow_own;

        if (!gcs_is_coordinator(g)) {
                if (g->slow_all != 0 && g->now_usec >= usec_add(g->slow_all_usec, SLOW_KEPT_USEC))
                        g->slow_all = 0;
                if (g->slow_own != g->slow_told ||
                    (g->slow_own != 0 && g->now_usec >= usec_add(g->slow_sent_usec, SLOW_TOLD_USEC)))
                        acknowledge(g, false, g->held, g->commit);
                return;
        }

        NODE_SET_FOREACH(id, gcs_others(g)) {
                if (g->now_usec >= usec_add(g->slow_by_usec[id - 1], SLOW_KEPT_USEC))
                        g->slow_by[id - 1] = 0;
                slow |= g->slow_by[id - 1];
        }
        if (slow != g->slow_all ||
            (slow != 0 && g->now_usec >= usec_add(g->slow_sent_usec, SLOW_TOLD_USEC))) {
                g->slow_all = slow;
                g->slow_sent_usec = g->now_usec; /* even if there is nobody to be told */
                if (!node_set_is_empty(gcs_others(g)) && g->announced != 0)
                        announce(g, order_to(g, fans_out(g)), fans_out(g));
        }
}

void gcs_order_timeout(Gcs *g) {
        if (!gcs_is_active(g))
                return;
        slow_timeout(g);

        if (gcs_is_coordinator(g)) {
                if (g->announced != 0 && unsettled(g) && !node_set_is_empty(gcs_others(g)) &&
                    g->now_usec >= usec_add(g->order_usec, g->config.resend_usec))
                        lead_again(g);
                return;
        }
        if (g->n_submits > 0 && g->now_usec >= usec_add(g->submit_usec, g->config.resend_usec)) {
                g->submit_usec = g->now_usec;
                g->n_resent++;
                g->n_submits = 0;
                g->pending_sent = g->pending_first - 1;
        }
}

uint64_t gcs_order_wakeup(const Gcs *g) {
        uint64_t t = USEC_INFINITY;

        if (!gcs_is_active(g))
                return t;
        if (g->slow_own != 0 || (gcs_is_coordinator(g) && g->slow_all != 0))
                t = MIN(t, usec_add(g->slow_sent_usec, SLOW_TOLD_USEC));
        if (g->slow_all != 0 && !gcs_is_coordinator(g))
                t = MIN(t, usec_add(g->slow_all_usec, SLOW_KEPT_USEC));
        if (gcs_is_coordinator(g) && unsettled(g) && !node_set_is_empty(gcs_others(g)))
                t = MIN(t, usec_add(g->order_usec, g->config.resend_usec));
        if (gcs_is_coordinator(g) && g->queue_first < g->queue_end && g->n_batches == 1 &&
            g->now_usec < doubtful_usec(g))
                t = MIN(t, doubtful_usec(g));
        if (!gcs_is_coordinator(g) && g->n_submits > 0)
                t = MIN(t, usec_add(g->submit_usec, g->config.resend_usec));
        return t;
}
