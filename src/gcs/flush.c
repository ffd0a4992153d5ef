/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* R4: which history survives a change of nodes, and how everybody comes to hold it.
 *
 *     coordinator                         member
 *        ASK  ------------------------->
 *             <-------------------------  INFO: the last flush acknowledged, in memory or not, up to which
 * item PLAN ------------------------->  who survives, the history's last item, who donates donor  <---------
 * FETCH what is lacking: items, or the groups and items STORE the number, and when it is STORED
 *             <-------------------------  DONE: holds everything, the NODE_CHANGE included
 *        COMMIT ----------------------->  only now is anything of it delivered
 *
 * Everything is asked again on time-out, and all begins anew with each newer membership. */

#include "gcs/gcs-internal.h"

/* ---- Coordinator: the plan ---- */

static void send_plan(Gcs *g, NodeSet to) {
        GcsMessage *m;

        if (node_set_is_empty(to))
                return;
        m = gcs_out(g, GCS_MESSAGE_FLUSH_PLAN);
        m->plan.basis = g->basis;
        m->plan.donor = g->donor;
        m->plan.held = g->plan_held;
        m->change = g->change;
        gcs_send(g, m, to);
}

static void adopt_plan(Gcs *g);

static void make_plan(Gcs *g) {
        const Membership *m = &g->membership;
        Mid basis = MID_NONE, formation = m->mid;
        NodeSet survivors = NODE_SET_EMPTY;
        uint32_t donor = 0;
        uint64_t held = 0;

        /* The basis is the highest number that anybody acknowledged, in memory or stored. */
        for (unsigned i = 0; i < m->n_members; i++) {
                const GcsInfo *info = &g->infos[m->rank[i] - 1];

                if (mid_compare(info->history, basis) > 0)
                        basis = info->history;
                if (BROKEN(OLDER_HISTORY) && info->memory && mid_compare(info->history, basis) < 0)
                        basis = info->history;
        }
        if (BROKEN(SHUT_OUT_DONATES) && g->infos[m->rank[0] - 1].memory)
                basis = g->infos[m->rank[0] - 1].history;

        /* Exactly those that have it in memory survive; the longest buffer of theirs is the history. Donor
         * is the senior one of those that have all of it. */
        for (unsigned i = 0; i < m->n_members; i++) {
                const GcsInfo *info = &g->infos[m->rank[i] - 1];

                if (!info->memory || !mid_equal(info->history, basis))
                        continue;
                node_set_add(&survivors, m->rank[i]);
                if (donor == 0 || info->held > held) {
                        donor = m->rank[i];
                        held = info->held;
                        formation = info->formation;
                }
        }

        g->planned = true;
        g->basis = basis;
        g->donor = donor;
        g->plan_held = held;
        g->change = (GcsNodeChange){ .membership = *m, .formation = formation, .survivors = survivors };
        g->flush_usec = g->waiting_usec = g->now_usec;
        send_plan(g, gcs_others(g));
        adopt_plan(g);
}

static void take_info(Gcs *g, uint32_t from, const GcsInfo *info) {
        if (g->planned || g->phase != GCS_PHASE_WAITING || node_set_contains(g->informed, from))
                return;
        if (mid_compare(info->history, g->membership.mid) >= 0) {
                gcs_bad(g, from);
                return;
        }

        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_FLUSH_INFO,
                              .mid = info->history,
                              .node = from,
                              .sequence = info->held,
                              .flag = info->memory });
        g->infos[from - 1] = *info;
        node_set_add(&g->informed, from);
        if (g->informed == g->membership.members)
                make_plan(g);
}

static void take_done(Gcs *g, uint32_t from) {
        if (!g->planned)
                return;
        node_set_add(&g->done, from);
        if (g->done == g->membership.members && g->phase == GCS_PHASE_HOLDING)
                gcs_flush_commit(g);
}

/* ---- Member: towards holding it ---- */

static void tell_info(Gcs *g) {
        GcsInfo info = {
                .history = g->history,
                .formation = g->formation,
                .memory = g->memory,
                .held = g->memory ? g->held : 0,
        };
        GcsMessage *m;

        if (gcs_is_coordinator(g)) {
                take_info(g, g->config.node, &info);
                return;
        }
        m = gcs_out(g, GCS_MESSAGE_FLUSH_INFO);
        m->info.history = info.history;
        m->info.formation = info.formation;
        m->info.memory = info.memory;
        m->info.held = info.held;
        gcs_send(g, m, node_set_of(g->coordinator));
}

static void tell_done(Gcs *g) {
        if (gcs_is_coordinator(g))
                take_done(g, g->config.node);
        else
                gcs_send(g, gcs_out(g, GCS_MESSAGE_FLUSH_DONE), node_set_of(g->coordinator));
}

static void fetch(Gcs *g) {
        GcsMessage *m = gcs_out(g, GCS_MESSAGE_FLUSH_FETCH);

        m->fetch.state = g->fetching_state;
        m->fetch.next = g->fetch_next;
        gcs_send(g, m, node_set_of(g->donor));
        g->flush_usec = g->now_usec;
}

/* The NODE_CHANGE closes the old order and opens the new one; from here on this is our history. */
static void hold(Gcs *g) {
        GcsItem item = { .type = GCS_ITEM_NODE_CHANGE, .node_change.change = &g->change };

        assert(g->held == g->plan_held);
        gcs_log_append(g, &item);
        g->history = g->membership.mid;
        g->formation = g->change.formation;
        g->memory = true;
        g->store_done = false;
        gcs_enter(g, GCS_PHASE_HOLDING);
        g->flush_usec = g->now_usec;
        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_FLUSH_HELD, .mid = g->membership.mid, .sequence = g->held });
        tell_done(g);
        if (BROKEN(FLUSH_EARLY))
                g->commit = g->held;
}

/* Again when it stays away: a write that failed is not told of here. */
static void tell_store(Gcs *g) {
        GcsEffect *e = gcs_effect(g, GCS_EFFECT_STORE);

        e->store.number = g->store_number;
        e->store.history = g->membership.mid;
        g->store_usec = g->now_usec;
}

/* All of the history is here: write its number, then acknowledge. */
static void store(Gcs *g) {
        gcs_enter(g, GCS_PHASE_STORING);
        g->store_done = BROKEN(ACK_BEFORE_STORE);
        g->store_number++;
        tell_store(g);
}

/* Whatever we held is not the history. Clients join it afresh. */
static void forget(Gcs *g) {
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_SHUT_OUT, .mid = g->basis });
        gcs_log_clear(g, 0);
        gcs_groups_clear(g);
        memset(g->proposed, 0, sizeof(g->proposed));
        memset(g->ordered, 0, sizeof(g->ordered));
        g->memory = false;
        g->formation = g->change.formation;
        gcs_pending_clear(g);
        gcs_clients_shut_out(g);
        gcs_snapshots_prune(g);
}

static void adopt_plan(Gcs *g) {
        bool survivor = node_set_contains(g->change.survivors, g->config.node);

        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_FLUSH_PLAN,
                              .mid = g->basis,
                              .node = g->donor,
                              .sequence = g->plan_held,
                              .nodes = g->change.survivors });
        gcs_enter(g, GCS_PHASE_FETCHING);

        if (survivor) {
                g->fetching_state = false;
                g->fetch_next = g->held + 1;
                if (g->held < g->plan_held)
                        fetch(g);
                else
                        store(g);
                return;
        }

        forget(g);
        if (g->donor == 0) {
                store(g);
                return;
        }
        g->fetching_state = true;
        g->fetch_next = 0;
        fetch(g);
}

static bool plan_is_sound(const Gcs *g, const GcsMessage *m) {
        NodeSet survivors = m->change.survivors;

        if (!mid_equal(m->change.membership.mid, g->membership.mid) ||
            m->change.membership.members != g->membership.members)
                return false;
        if (m->plan.donor == 0)
                return node_set_is_empty(survivors) && m->plan.held == 0;
        if (!node_set_contains(survivors, m->plan.donor))
                return false;
        if (!node_set_contains(survivors, g->config.node))
                return m->plan.donor != g->config.node;
        return g->memory && mid_equal(g->history, m->plan.basis) && g->held <= m->plan.held &&
               (m->plan.donor != g->config.node || g->held == m->plan.held);
}

static void on_plan(Gcs *g, const GcsMessage *m) {
        if (g->planned) {
                if (g->phase == GCS_PHASE_HOLDING)
                        tell_done(g);
                return;
        }
        if (!plan_is_sound(g, m)) {
                gcs_bad(g, g->coordinator);
                return;
        }
        g->planned = true;
        g->basis = m->plan.basis;
        g->donor = m->plan.donor;
        g->plan_held = m->plan.held;
        g->change = m->change;
        adopt_plan(g);
}

/* ---- Donor ---- */

/* Record number `index` of the groups as delivered here; false behind the last one. */
static bool state_record(const Gcs *g, uint64_t index, GcsRecord *ret) {
        uint64_t n = 0;

        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                const GcsStream *s = &g->ordered[id - 1];

                if (s->incarnation == 0 || n++ != index)
                        continue;
                *ret = (GcsRecord){
                        .type = GCS_RECORD_STREAM,
                        .stream = { .node = id, .incarnation = s->incarnation, .number = s->number },
                };
                return true;
        }

        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++) {
                const GcsGroup *gr = &g->groups[slot];

                if (index - n >= gr->n_members) {
                        n += gr->n_members;
                        continue;
                }
                *ret = (GcsRecord){ .type = GCS_RECORD_MEMBER };
                ret->member.group = (uint8_t) slot;
                memcpy(ret->member.group_name, gr->name, sizeof(gr->name));
                ret->member.member = gr->members[index - n];
                return true;
        }
        return false;
}

static uint32_t state_total(const Gcs *g) {
        uint32_t n = 0;

        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                n += g->ordered[i].incarnation != 0;
        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++)
                n += g->groups[slot].n_members;
        return n;
}

static void on_fetch(Gcs *g, uint32_t from, const GcsMessage *m) {
        uint64_t next = m->fetch.next;
        GcsMessage *reply;

        /* Since this flush began we deliver nothing, so every answer is of the same state. */
        if (!g->memory || (g->planned && g->donor != g->config.node) || g->phase == GCS_PHASE_ACTIVE) {
                gcs_bad(g, from);
                return;
        }

        if (!m->fetch.state) {
                if (next <= g->delivered || next > g->flush_held) {
                        gcs_bad(g, from);
                        return;
                }
                reply = gcs_out(g, GCS_MESSAGE_FLUSH_ITEMS);
                reply->order.fanout = false;
                reply->order.commit = reply->order.settled = reply->order.slow = 0;
                (void) gcs_copy_items(g, reply, next, g->flush_held);
                gcs_send(g, reply, node_set_of(from));
                return;
        }

        if (next > state_total(g)) {
                gcs_bad(g, from);
                return;
        }
        reply = gcs_out(g, GCS_MESSAGE_FLUSH_STATE);
        reply->state.delivered = g->delivered;
        reply->state.first = (uint32_t) next;
        reply->state.total = state_total(g);
        reply->state.n_records = 0;
        while (reply->state.n_records < GCS_RECORDS_MAX &&
               state_record(g, next + reply->state.n_records, &reply->state.records[reply->state.n_records]))
                reply->state.n_records++;
        gcs_send(g, reply, node_set_of(from));
}

/* ---- What was fetched ---- */

static bool take_record(Gcs *g, const GcsRecord *e) {
        GcsGroup *gr;

        switch (e->type) {
        case GCS_RECORD_STREAM:
                if (BROKEN(STREAMS_NOT_DONATED))
                        return true;
                g->ordered[e->stream.node - 1] = (GcsStream){
                        .incarnation = e->stream.incarnation,
                        .number = e->stream.number,
                };
                return true;
        case GCS_RECORD_MEMBER:
                gr = &g->groups[e->member.group];
                if (gr->n_members >= GCS_GROUP_MEMBERS_MAX)
                        return false;
                if (gr->n_members > 0 && !streq(gr->name, e->member.group_name))
                        return false;
                memcpy(gr->name, e->member.group_name, sizeof(gr->name));
                gr->members[gr->n_members++] = e->member.member;
                return true;
        }
        ASSERT_NOT_REACHED();
}

static void on_state(Gcs *g, uint32_t from, const GcsMessage *m) {
        if (g->phase != GCS_PHASE_FETCHING || !g->fetching_state || from != g->donor ||
            m->state.first != g->fetch_next)
                return;
        if (m->state.delivered > g->plan_held ||
            m->state.first + (uint64_t) m->state.n_records > m->state.total ||
            (m->state.n_records == 0 && m->state.first < m->state.total)) {
                gcs_bad(g, from);
                return;
        }

        for (uint32_t i = 0; i < m->state.n_records; i++)
                if (!take_record(g, &m->state.records[i])) {
                        /* A donor that contradicts itself: from the beginning, in the hope of better. */
                        gcs_bad(g, from);
                        gcs_groups_clear(g);
                        memset(g->ordered, 0, sizeof(g->ordered));
                        g->fetch_next = 0;
                        return;
                }
        g->fetch_next += m->state.n_records;
        if (g->fetch_next < m->state.total) {
                fetch(g);
                return;
        }

        gcs_log_clear(g, m->state.delivered);
        memcpy(g->proposed, g->ordered, sizeof(g->proposed));
        g->fetching_state = false;
        g->fetch_next = g->held + 1;
        if (g->held < g->plan_held)
                fetch(g);
        else
                store(g);
}

static bool fetched_item_is_sound(const Gcs *g, const GcsItem *i) {
        const GcsStream *s;

        if (i->type == GCS_ITEM_NODE_CHANGE)
                return gcs_n_changes(g) + 1 < GCS_CHANGES_MAX;
        s = &g->proposed[i->node - 1];
        return s->incarnation == i->incarnation && (s->number + 1 == i->number || BROKEN(NO_STREAM_CHECK));
}

static void on_items(Gcs *g, uint32_t from, const GcsMessage *m) {
        bool survivor = node_set_contains(g->change.survivors, g->config.node);

        if (g->phase != GCS_PHASE_FETCHING || g->fetching_state || from != g->donor ||
            m->order.first != g->held + 1)
                return;

        for (uint32_t k = 0; k < m->order.n_items && g->held < g->plan_held; k++) {
                const GcsItem *i = &m->order.items[k];

                if (!fetched_item_is_sound(g, i) || g->held + 1 - g->base >= GCS_LOG_MAX - 1) {
                        gcs_bad(g, from);
                        return;
                }
                gcs_log_append(g, i);
                /* One who joins afresh counts its submissions anew. */
                if (survivor && i->node == g->config.node && i->incarnation == g->config.incarnation)
                        gcs_pending_seen(g, i->number);
        }
        g->fetch_next = g->held + 1;
        if (g->held < g->plan_held)
                fetch(g);
        else
                store(g);
}

/* ---- Events ---- */

void gcs_flush_begin(Gcs *g) {
        g->planned = false;
        g->store_done = false;
        g->informed = g->done = NODE_SET_EMPTY;
        g->fetching_state = false;
        g->flush_usec = g->waiting_usec = g->now_usec;
        while (BROKEN(PROPOSAL_DROPPED) && g->held > g->commit &&
               gcs_log_at(g, g->held)->type != GCS_ITEM_NODE_CHANGE) {
                gcs_item_done(gcs_log_at(g, g->held));
                g->held--;
        }
        gcs_order_begin(g);

        /* So many flushes acknowledged and none committed, or so much held and not settled, that there is no
         * room for another one: what we hold is let go, and we join afresh. */
        if (g->memory && (gcs_n_changes(g) >= GCS_CHANGES_MAX / 2 ||
                          g->held + 1 - g->base > GCS_LOG_MAX - GCS_FLIGHT_MAX - 2 * GCS_LOG_RESERVE)) {
                g->memory = false;
                gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_FORGOTTEN, .mid = g->history });
        }
        g->flush_held = g->held;

        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_FLUSH_BEGIN,
                              .mid = g->membership.mid,
                              .node = g->coordinator,
                              .nodes = g->membership.members });
        if (gcs_is_coordinator(g) && !node_set_is_empty(gcs_others(g)))
                gcs_send(g, gcs_out(g, GCS_MESSAGE_FLUSH_ASK), gcs_others(g));
        tell_info(g);
}

void gcs_flush_received(Gcs *g, uint32_t from, const GcsMessage *m) {
        switch (m->type) {
        case GCS_MESSAGE_FLUSH_ASK:
                if (from != g->coordinator)
                        gcs_bad(g, from);
                else if (g->phase == GCS_PHASE_WAITING)
                        tell_info(g);
                break;
        case GCS_MESSAGE_FLUSH_INFO:
                if (gcs_is_coordinator(g))
                        take_info(g,
                                  from,
                                  &(GcsInfo){ .history = m->info.history,
                                              .formation = m->info.formation,
                                              .memory = m->info.memory && !mid_is_none(m->info.history),
                                              .held = m->info.held });
                else
                        gcs_bad(g, from);
                break;
        case GCS_MESSAGE_FLUSH_PLAN:
                if (from != g->coordinator)
                        gcs_bad(g, from);
                else
                        on_plan(g, m);
                break;
        case GCS_MESSAGE_FLUSH_FETCH:
                on_fetch(g, from, m);
                break;
        case GCS_MESSAGE_FLUSH_STATE:
                on_state(g, from, m);
                break;
        case GCS_MESSAGE_FLUSH_ITEMS:
                on_items(g, from, m);
                break;
        case GCS_MESSAGE_FLUSH_DONE:
                if (gcs_is_coordinator(g))
                        take_done(g, from);
                else
                        gcs_bad(g, from);
                break;
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_ACK:
        case GCS_MESSAGE_RESEND:
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                ASSERT_NOT_REACHED();
        }
}

void gcs_flush_stored(Gcs *g, uint64_t number) {
        if (g->phase == GCS_PHASE_STORING && number == g->store_number)
                g->store_done = true;
}

/* Everybody holds it: as the coordinator who knows, or as a member who is told. */
void gcs_flush_commit(Gcs *g) {
        gcs_enter(g, GCS_PHASE_ACTIVE);
        g->commit = g->plan_held + 1;
        memcpy(g->queued, g->proposed, sizeof(g->queued));
        for (unsigned i = 0; i < g->membership.n_members; i++)
                g->held_by[g->membership.rank[i] - 1] = g->commit;
        g->order_usec = g->stuck_usec = g->submit_usec = g->now_usec;
        gcs_trace(g,
                  (GcsTrace){ .type = GCS_TRACE_FLUSH_END,
                              .mid = g->membership.mid,
                              .sequence = g->commit });
}

static bool flushing(const Gcs *g) {
        return !g->frozen && g->phase != GCS_PHASE_IDLE && g->phase != GCS_PHASE_ACTIVE;
}

static void ask_again(Gcs *g) {
        g->flush_usec = g->now_usec;
        g->n_resent++;

        if (gcs_is_coordinator(g)) {
                NodeSet missing = node_set_minus(g->membership.members, g->planned ? g->done : g->informed);

                node_set_remove(&missing, g->config.node);
                if (g->planned)
                        send_plan(g, missing);
                else if (!node_set_is_empty(missing))
                        gcs_send(g, gcs_out(g, GCS_MESSAGE_FLUSH_ASK), missing);

                /* Twice as long as an order: a write may take so long, and CMS sees to one that does not
                 * end. */
                if (g->now_usec - g->waiting_usec >= 2 * g->config.silence_usec) {
                        g->waiting_usec = g->now_usec;
                        gcs_effect(g, GCS_EFFECT_STALLED)->stalled.nodes = missing;
                }
        } else if (g->phase == GCS_PHASE_WAITING)
                tell_info(g);
        else if (g->phase == GCS_PHASE_HOLDING)
                tell_done(g);

        if (g->phase == GCS_PHASE_FETCHING)
                fetch(g);
        if (g->phase == GCS_PHASE_STORING && g->now_usec >= usec_add(g->store_usec, g->config.silence_usec))
                tell_store(g);
}

void gcs_flush_timeout(Gcs *g) {
        if (!flushing(g))
                return;
        if (g->phase == GCS_PHASE_STORING && g->store_done)
                hold(g);
        if (flushing(g) && g->now_usec >= usec_add(g->flush_usec, g->config.resend_usec))
                ask_again(g);
}

uint64_t gcs_flush_wakeup(const Gcs *g) {
        return flushing(g) ? usec_add(g->flush_usec, g->config.resend_usec) : USEC_INFINITY;
}
