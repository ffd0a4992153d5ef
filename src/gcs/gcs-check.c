/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gcs/gcs-internal.h"

static void check_log(const Gcs *g) {
        unsigned n_changes = 0;

        assert(g->base >= 1);
        assert(g->base <= g->delivered + 1);
        assert(g->delivered <= g->commit);
        assert(g->commit <= g->held);
        assert(g->held + 1 - g->base <= GCS_LOG_MAX);
        assert(!g->memory || !mid_is_none(g->history));
        assert(mid_compare(g->history, g->membership.mid) <= 0 || mid_is_none(g->membership.mid));

        for (uint64_t s = g->delivered + 1; s <= g->held; s++)
                n_changes += gcs_log_at(g, s)->type == GCS_ITEM_NODE_CHANGE;
        assert(n_changes == gcs_n_changes(g));
        /* A NODE_CHANGE begins some numbers anew. */
        for (unsigned i = 0; i < NODE_ID_MAX && n_changes == 0 && g->memory; i++)
                assert(g->ordered[i].number <= g->proposed[i].number);
}

static void check_phase(const Gcs *g) {
        /* R5, and R4: only one who acknowledged this very flush orders anything in it. */
        if (g->phase != GCS_PHASE_IDLE)
                assert(g->membership.quorate);
        if (g->phase == GCS_PHASE_HOLDING || g->phase == GCS_PHASE_ACTIVE) {
                assert(g->memory);
                assert(mid_equal(g->history, g->membership.mid));
                assert(g->held > g->plan_held);
        }
        if (g->phase == GCS_PHASE_ACTIVE)
                assert(g->commit > g->plan_held);
        if (g->phase != GCS_PHASE_IDLE)
                assert(g->membership.rank[g->rank] == g->config.node);
        assert(g->n_batches <= GCS_BATCHES_MAX);
        assert(g->n_submits <= GCS_BATCHES_MAX);
}

/* What waits for an answer, or for something to come back, is woken for should that stay away. */
static void check_waiting(const Gcs *g) {
        if (!gcs_is_active(g) || g->again || !gcs_out_room(g))
                return;
        if (gcs_is_coordinator(g) ? g->queue_first < g->queue_end : g->pending_sent + 1 < g->pending_end)
                assert(gcs_order_wakeup(g) < USEC_INFINITY);
}

static void check_groups(const Gcs *g) {
        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++) {
                const GcsGroup *gr = &g->groups[slot];

                assert(gr->n_members <= GCS_GROUP_MEMBERS_MAX);
                for (unsigned i = 0; i < gr->n_members; i++) {
                        /* A part of a state is ahead of what was delivered so far, also when no more of it
                         * came. */
                        assert(!g->memory || gr->members[i].seniority <= g->delivered);
                        if (i > 0)
                                assert(gr->members[i - 1].seniority < gr->members[i].seniority);
                }
                for (unsigned other = slot + 1; gr->n_members > 0 && other < GCS_GROUPS_MAX; other++)
                        if (g->groups[other].n_members > 0)
                                assert(!streq(gr->name, g->groups[other].name));
        }
}

static void check_clients(const Gcs *g) {
        unsigned n_blocked = 0;

        assert(g->n_clients <= GCS_CLIENTS_MAX);
        for (unsigned i = 0; i < g->n_clients; i++) {
                const GcsClient *c = &g->clients[i];

                assert(c->state != GCS_CLIENT_FREE);
                assert(c->n_held <= c->n_backlog);
                assert(c->held_bytes <= c->backlog_bytes);
                n_blocked += c->blocked;
                if (c->state == GCS_CLIENT_MEMBER)
                        assert(c->joined);
                if (c->joined)
                        assert(gcs_find_member(g, c->slot, gcs_client_member_id(g, c)));
        }
        assert(n_blocked == g->n_blocked);
}

static void check_pending(const Gcs *g) {
        assert(g->pending_first <= g->pending_end);
        assert(gcs_n_pending(g) <= GCS_RING_MAX);
        assert(g->pending_sent + 1 >= g->pending_first);
        assert(g->pending_sent < g->pending_end);
        assert(g->queue_end - g->queue_first <= GCS_QUEUE_MAX);

        /* What is in the log is not pending any more, and nothing is missing between them. */
        if (g->phase == GCS_PHASE_ACTIVE)
                assert(g->proposed[g->config.node - 1].number + 1 == g->pending_first);
}

void gcs_check(const Gcs *g) {
        check_log(g);
        check_phase(g);
        check_groups(g);
        check_clients(g);
        check_pending(g);
        check_waiting(g);
}
