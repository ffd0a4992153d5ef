/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an item does when it is delivered. All of it follows from the items alone, so the groups are the same
 * on every node; what concerns clients is said by the node that has them. */

#include "gcs/gcs-internal.h"

/* ---- Look-ups ---- */

GcsMember *gcs_find_member(const Gcs *g, unsigned slot, GcsMemberId id) {
        GcsGroup *gr = &g->groups[slot];

        for (unsigned i = 0; i < gr->n_members; i++)
                if (gcs_member_id_equal(gr->members[i].id, id))
                        return &gr->members[i];
        return NULL;
}

GcsMember *gcs_find_member_anywhere(const Gcs *g, GcsMemberId id, unsigned *ret_slot) {
        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++) {
                GcsMember *m = gcs_find_member(g, slot, id);

                if (m) {
                        *ret_slot = slot;
                        return m;
                }
        }
        return NULL;
}

static bool is_ours(const Gcs *g, GcsMemberId id) {
        return id.node == g->config.node && id.incarnation == g->config.incarnation;
}

static GcsMemberId item_member(const GcsItem *i) {
        return (GcsMemberId){ .node = i->node, .incarnation = i->incarnation, .number = i->member };
}

void gcs_groups_clear(Gcs *g) {
        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++)
                g->groups[slot].n_members = 0;
        g->request_slot = GCS_GROUPS_MAX;
}

/* ---- Views ---- */

static void
tell_view(Gcs *g,
          GcsClient *c,
          const GcsMember *joined,
          size_t n_joined,
          const GcsDeparted *left,
          size_t n_left) {
        const GcsGroup *gr = &g->groups[c->slot];
        GcsEffect *e = gcs_effect(g, GCS_EFFECT_VIEW);

        e->client = c->id;
        e->mid = g->nodes.mid;
        e->sequence = g->delivered;
        e->view = (GcsView){
                .group = gr->name,
                .members = gr->members,
                .n_members = gr->n_members,
                .joined = joined,
                .n_joined = n_joined,
                .left = left,
                .n_left = n_left,
                .nodes = &g->nodes,
                .formation = g->formation,
                .formed = mid_equal(g->formation, g->nodes.mid),
                .fresh = c->fresh,
        };
        c->fresh = false;
        g->viewed = true;
        gcs_client_account(g, c, e, 0);
}

/* A client that has to wait for another snapshot than before forgets what it kept for the earlier one; the
 * view that comes first is that of the new point. */
static void
tell_group(Gcs *g,
           unsigned slot,
           const GcsMember *joined,
           size_t n_joined,
           const GcsDeparted *left,
           size_t n_left) {
        for (unsigned i = 0; i < g->n_clients; i++) {
                GcsClient *c = &g->clients[i];

                if (!c->joined || c->slot != slot || !gcs_client_gets(c))
                        continue;
                if (c->due != GCS_SNAPSHOT_DUE_NOTHING) {
                        gcs_snapshot_restart(g, c);
                        c->fresh = true;
                }
                tell_view(g, c, joined, n_joined, left, n_left);
                if (c->due == GCS_SNAPSHOT_DUE_WAIT)
                        c->awaiting = true;
                else if (c->due == GCS_SNAPSHOT_DUE_NONE)
                        gcs_snapshot_none(g, c);
                c->due = GCS_SNAPSHOT_DUE_NOTHING;
        }
}

/* ---- Donors ---- */

static const GcsMember *oldest_donor(const GcsGroup *gr) {
        for (unsigned i = 0; i < gr->n_members; i++)
                if (gr->members[i].ready && gr->members[i].snapshot)
                        return &gr->members[i];
        return NULL;
}

/* Each member that waits for a snapshot has a donor that is there; without any left, the oldest that waits
 * begins with nothing and gives its state to the others. */
static void assign_donors(Gcs *g, unsigned slot) {
        GcsGroup *gr = &g->groups[slot];

        for (unsigned i = 0; i < gr->n_members; i++) {
                GcsMember *m = &gr->members[i];
                const GcsMember *d;
                GcsClient *c;

                if (m->ready || (m->donor.node != 0 && gcs_find_member(g, slot, m->donor)))
                        continue;
                c = is_ours(g, m->id) ? gcs_client_of_member(g, m->id) : NULL;
                d = oldest_donor(gr);
                m->point = g->delivered;
                if (d)
                        m->donor = d->id;
                else {
                        m->donor = (GcsMemberId){};
                        m->ready = true;
                }
                m->lineage = d ? d->lineage : g->delivered;
                /* One that has this state already, its READY being on its way, needs no other. */
                if (c && (!c->complete || c->complete_point < m->lineage)) {
                        c->complete = false;
                        c->due = d ? GCS_SNAPSHOT_DUE_WAIT : GCS_SNAPSHOT_DUE_NONE;
                }
                gcs_trace(g,
                          (GcsTrace){ .type = GCS_TRACE_DONOR,
                                      .node = m->donor.node,
                                      .sequence = m->point,
                                      .member = m->id });
        }
        g->request_slot = g->request_index = 0;
}

/* Asks our clients for the snapshots that the item just delivered assigned to them, before the next one is.
 * False if the step has no room for all. */
static bool ask_donors(Gcs *g) {
        for (; g->request_slot < GCS_GROUPS_MAX; g->request_slot++, g->request_index = 0) {
                const GcsGroup *gr = &g->groups[g->request_slot];

                for (; g->request_index < gr->n_members; g->request_index++) {
                        const GcsMember *m = &gr->members[g->request_index];
                        GcsClient *c;
                        GcsEffect *e;

                        if (m->ready || m->point != g->delivered || !is_ours(g, m->donor))
                                continue;
                        c = gcs_client_of_member(g, m->donor);
                        if (!c || !gcs_client_gets(c))
                                continue;
                        if (!gcs_effects_room(g))
                                return false;
                        e = gcs_effect(g, GCS_EFFECT_SNAPSHOT_REQUEST);
                        e->client = c->id;
                        e->mid = g->nodes.mid;
                        e->sequence = g->delivered;
                        e->snapshot_request.newcomer = *m;
                        e->snapshot_request.point = m->point;
                }
        }
        return true;
}

/* ---- Items ---- */

static void deliver_message(Gcs *g, const GcsItem *i) {
        GcsMemberId sender = item_member(i);
        const GcsMember *m = gcs_find_member(g, i->group, sender);
        size_t bytes = i->message.payload.size_bytes;

        /* One that had left in the order, being lost or expelled, says nothing after it. */
        if (!m)
                return;

        for (unsigned k = 0; k < g->n_clients; k++) {
                GcsClient *c = &g->clients[k];
                GcsEffect *e;

                if (!c->joined || c->slot != i->group)
                        continue;
                if (c->member == sender.number && is_ours(g, sender)) {
                        /* Never less than nothing, even if a peer made it up. */
                        c->n_window -= MIN(c->n_window, 1U);
                        c->window_bytes -= MIN(c->window_bytes, (uint64_t) bytes);
                }
                if (!gcs_client_gets(c))
                        continue;
                e = gcs_effect(g, GCS_EFFECT_MESSAGE);
                e->client = c->id;
                e->mid = g->nodes.mid;
                e->sequence = g->delivered;
                e->message.sender = sender;
                e->message.own = c->member == sender.number && is_ours(g, sender);
                e->message.later = i->message.later;
                e->message.more = i->message.more;
                e->message.payload = slice_ref(i->message.payload);
                gcs_client_account(g, c, e, bytes);
        }
}

static void refuse(Gcs *g, GcsMemberId id, GcsRefusal reason) {
        GcsClient *c = is_ours(g, id) ? gcs_client_of_member(g, id) : NULL;

        if (!c)
                return;
        if (c->state == GCS_CLIENT_JOINING) {
                GcsEffect *e = gcs_effect(g, GCS_EFFECT_REFUSED);

                e->client = c->id;
                e->refused.reason = reason;
                gcs_client_forget(g, c);
        } else
                /* It asked to leave meanwhile, or is gone; a LEAVE follows, and finds nobody. */
                gcs_client_left(g, c, c->reason);
}

/* Where the group is, or where it can begin; -1: nowhere. */
static int find_slot(const Gcs *g, const char *name, bool critical) {
        unsigned n_free = 0;
        int free_slot = -1;

        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++) {
                if (g->groups[slot].n_members == 0) {
                        if (n_free++ == 0)
                                free_slot = (int) slot;
                } else if (streq(g->groups[slot].name, name))
                        return (int) slot;
        }
        return critical || n_free > GCS_GROUPS_CRITICAL ? free_slot : -1;
}

static bool deliver_join(Gcs *g, const GcsItem *i) {
        GcsMemberId id = item_member(i);
        int slot = find_slot(g, i->join.group_name, i->join.flags & GCS_JOIN_CRITICAL);
        GcsClient *c;
        GcsGroup *gr;
        GcsMember *m;

        if (slot < 0) {
                refuse(g, id, GCS_REFUSAL_GROUPS_FULL);
                return false;
        }
        gr = &g->groups[slot];
        if (gr->n_members >= GCS_GROUP_MEMBERS_MAX) {
                refuse(g, id, GCS_REFUSAL_GROUP_FULL);
                return false;
        }
        for (unsigned k = 0; k < gr->n_members; k++)
                if (gr->members[k].id.node == id.node && streq(gr->members[k].name, i->join.member_name)) {
                        refuse(g, id, GCS_REFUSAL_NAME_IN_USE);
                        return false;
                }

        if (gr->n_members == 0)
                memcpy(gr->name, i->join.group_name, sizeof(gr->name));
        m = &gr->members[gr->n_members++];
        *m = (GcsMember){
                .id = id,
                .seniority = g->delivered,
                .critical = i->join.flags & GCS_JOIN_CRITICAL,
                .snapshot = i->join.flags & GCS_JOIN_SNAPSHOT,
                .ready = !(i->join.flags & GCS_JOIN_SNAPSHOT),
        };
        memcpy(m->name, i->join.member_name, sizeof(m->name));

        c = is_ours(g, id) ? gcs_client_of_member(g, id) : NULL;
        if (c) {
                c->joined = true;
                c->slot = (uint8_t) slot;
                if (c->state == GCS_CLIENT_JOINING) {
                        c->state = GCS_CLIENT_MEMBER;
                        c->rejoining = false;
                }
                if (gcs_client_gets(c)) {
                        GcsEffect *e = gcs_effect(g, GCS_EFFECT_REGISTERED);

                        e->client = c->id;
                        e->registered.id = id;
                }
        }
        assign_donors(g, (unsigned) slot);
        tell_group(g, (unsigned) slot, m, 1, NULL, 0);
        return true;
}

static bool deliver_leave(Gcs *g, const GcsItem *i) {
        GcsMemberId id = item_member(i);
        GcsClient *c = is_ours(g, id) ? gcs_client_of_member(g, id) : NULL;
        GcsDeparted *d;
        GcsGroup *gr;
        GcsMember *m;
        unsigned slot;

        m = gcs_find_member_anywhere(g, id, &slot);
        if (!m)
                return false;

        gr = &g->groups[slot];
        d = &g->departed[g->n_departed++];
        *d = (GcsDeparted){ .member = *m, .reason = i->leave.reason };
        gr->n_members--;
        memmove(m, m + 1, (size_t) (gr->members + gr->n_members - m) * sizeof(*m));

        if (c)
                gcs_client_left(g, c, i->leave.reason);
        assign_donors(g, slot);
        tell_group(g, slot, NULL, 0, d, 1);
        gcs_snapshots_prune(g);
        return true;
}

static bool deliver_ready(Gcs *g, const GcsItem *i) {
        unsigned slot;
        GcsMember *m = gcs_find_member_anywhere(g, item_member(i), &slot);

        /* A state of another beginning is none. */
        if (m && i->ready.point >= m->lineage) {
                m->ready = true;
                m->donor = (GcsMemberId){};
        }
        return false;
}

/* C18: all members of all nodes that do not go on leave in one change per group; every group sees the new
 * nodes. */
static bool deliver_node_change(Gcs *g, const GcsNodeChange *c) {
        g->nodes = c->membership;
        gcs_streams_change(g->ordered, c);

        for (unsigned slot = 0; slot < GCS_GROUPS_MAX; slot++) {
                GcsGroup *gr = &g->groups[slot];
                GcsDeparted *left = g->departed + g->n_departed;
                unsigned n = 0, n_left = 0;

                for (unsigned k = 0; k < gr->n_members; k++) {
                        const GcsMember *m = &gr->members[k];

                        /* A survivor's incarnation is the one that the history knows. */
                        if (node_set_contains(c->survivors, m->id.node)) {
                                gr->members[n++] = *m;
                                continue;
                        }
                        left[n_left++] = (GcsDeparted){
                                .member = *m,
                                .reason = membership_has(&g->nodes, m->id.node, m->id.incarnation)
                                                          ? GCS_REASON_SHUT_OUT
                                                          : GCS_REASON_NODE_LOST,
                        };
                }
                if (gr->n_members == 0)
                        continue;
                gr->n_members = n;
                g->n_departed += n_left;
                if (n_left > 0)
                        assign_donors(g, slot);
                tell_group(g, slot, NULL, 0, left, n_left);
        }

        g->told_frozen = false;
        gcs_change_done(g, c);
        gcs_snapshots_prune(g);
        return true;
}

/* True if groups changed: such an item is the last one of its step, since its views point into the groups.
 */
static bool deliver_item(Gcs *g, const GcsItem *i) {
        if (i->type != GCS_ITEM_NODE_CHANGE)
                g->ordered[i->node - 1] = (GcsStream){ .incarnation = i->incarnation, .number = i->number };

        switch (i->type) {
        case GCS_ITEM_MESSAGE:
                deliver_message(g, i);
                return false;
        case GCS_ITEM_JOIN:
                return deliver_join(g, i);
        case GCS_ITEM_LEAVE:
                return deliver_leave(g, i);
        case GCS_ITEM_READY:
                return deliver_ready(g, i);
        case GCS_ITEM_NODE_CHANGE:
                return deliver_node_change(g, i->node_change.change);
        }
        ASSERT_NOT_REACHED();
}

bool gcs_deliver_due(const Gcs *g) {
        return (gcs_is_active(g) || (BROKEN(FLUSH_EARLY) && g->phase == GCS_PHASE_HOLDING)) &&
               (g->delivered < g->commit || g->request_slot < GCS_GROUPS_MAX);
}

void gcs_deliver(Gcs *g) {
        while (gcs_deliver_due(g) && !g->viewed && gcs_effects_room(g)) {
                bool changed;

                if (!ask_donors(g))
                        return;
                if (g->delivered >= g->commit)
                        return;
                g->delivered++;
                changed = deliver_item(g, gcs_log_at(g, g->delivered));
                if (changed) {
                        (void) ask_donors(g);
                        return;
                }
        }
}
