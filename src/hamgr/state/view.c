/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A view: nodes come and go, their hamgrs come and go. Here a node's word "stopped" loses its worth, or its
 * death proves it (R9, R14, R15, R16). */

#include "hamgr/state/state-internal.h"

/* Its word is needed again before anything of its groups starts elsewhere. */
static void node_may_run_its_groups(State *s, StateNode *n) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                if (node_set_contains(ha_group_nodes(g->config), n->id))
                        node_set_add(&g->may_run, n->id);
        }
}

static void node_left(State *s, StateNode *n, const StateViewNode *v) {
        char name[NAME_LENGTH_MAX + 1];
        bool confirmed = n->fence.live && n->fence.confirmed;

        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                state_group_node_forget_report(group_node(g, n->id));
                if (g->preferred == n->id)
                        g->preferred = 0;
        }
        n->leaving = false;
        g_strlcpy(n->lost, v->reason, sizeof(n->lost));
        node_set_remove(&s->prepared.waiting, n->id);
        if (!n->fence.live) {
                /* From now on a fence has to name this membership. One ordered while the node was a member,
                 * because a stop failed there, keeps the name that it was ordered under. */
                n->fence = (StateFence){ 0 };
                n->mid = s->mid;
        }

        if (confirmed) {
                n->fence = (StateFence){ 0 };
                state_node_enter(s, n, STATE_NODE_DOWN);
        } else
                state_node_enter(s, n, v->state);
        state_event(s,
                    n->state == STATE_NODE_INACTIVE || n->state == STATE_NODE_DETACHED
                                    ? STATE_EVENT_NODE_LEFT
                                    : STATE_EVENT_NODE_LOST,
                    NULL,
                    n->id,
                    "node %s left the membership, its state is %s",
                    state_node_name(s, n->id, name),
                    state_node_state_to_string(n->state));

        switch (n->state) {
        case STATE_NODE_DOWN:
        case STATE_NODE_INACTIVE:
                state_fence_withdraw(s, n, "it is proven to run nothing");
                state_node_proven_dead(s, n);
                break;
        default:
                if (BROKEN(TAKEOVER_FROM_UNKNOWN))
                        state_node_proven_dead(s, n);
                break;
        }
}

/* It was out and is out: does CMS know more about it now? What we have proven stays proven. */
static void node_stays_out(State *s, StateNode *n, const StateViewNode *v) {
        bool never_seen = n->incarnation == 0;
        bool proven = false;

        if (n->state == STATE_NODE_DOWN || n->state == STATE_NODE_INACTIVE)
                return;
        switch (v->state) {
        case STATE_NODE_DOWN:
                /* A later boot that was seen proves the death of the earlier one; a boot without a name
                 * nothing. */
                proven = never_seen || !state_boot_id_is_null(v->boot_id);
                break;
        case STATE_NODE_INACTIVE:
                proven = never_seen || v->incarnation == n->incarnation;
                break;
        case STATE_NODE_DETACHED:
                state_node_enter(s, n, STATE_NODE_DETACHED);
                break;
        default:
                break;
        }
        if (!proven)
                return;
        state_fence_withdraw(s, n, "it is proven to run nothing");
        state_node_enter(s, n, v->state);
        state_node_proven_dead(s, n);
}

static void node_joined(State *s, StateNode *n, const StateViewNode *v) {
        bool known = n->incarnation != 0 && !state_boot_id_is_null(n->boot_id);
        bool same_boot = known && state_boot_id_equal(n->boot_id, v->boot_id);
        char name[NAME_LENGTH_MAX + 1];

        if (known && !same_boot && !state_boot_id_is_null(v->boot_id))
                state_node_proven_dead(s, n);
        if (same_boot && n->state == STATE_NODE_DOWN && !streq(n->fence.device, STATE_BY_TIME_DEVICE)) {
                n->lied = true;
                state_event(s,
                            STATE_EVENT_FENCE_LIED,
                            NULL,
                            n->id,
                            "node %s was declared down and is back without a reboot: its fence device (%s) "
                            "is not believed any more until the node has rebooted",
                            state_node_name(s, n->id, name),
                            n->fence.device[0] ? n->fence.device : "or whoever confirmed it");
        } else if (known && !same_boot)
                n->lied = false;

        if (known && !same_boot)
                state_history_node_rebooted(s, n);
        n->fence_ordered = false;
        state_fence_withdraw(s, n, "it is a member again");
        n->fence = (StateFence){ 0 };
        n->incarnation = v->incarnation;
        n->boot_id = v->boot_id;
        n->mid = s->mid;
        n->instance = 0;
        n->hello = false;
        n->reset_usec = 0;
        n->leaving = false;
        state_node_enter(s, n, STATE_NODE_UP);
        if (s->prepared.pending)
                node_set_add(&s->prepared.waiting, n->id);
        node_may_run_its_groups(s, n);
        state_event(s,
                    STATE_EVENT_NODE_UP,
                    NULL,
                    n->id,
                    "node %s is a member",
                    state_node_name(s, n->id, name));
}

static void manager_left(State *s, StateNode *n) {
        FOREACH_ARRAY(other, s->nodes, NODE_ID_MAX)
                if (other->id != 0 && other->fence.active && other->fence.fencer == n->id)
                        state_fence_give_up(s, other, "the hamgr that did it is gone");
        n->hello = false;
        n->capabilities = 0;
        n->stored_serial = 0;
}

static void node_set_instance(State *s, StateNode *n, uint64_t instance) {
        char name[NAME_LENGTH_MAX + 1];

        if (n->instance == instance)
                return;
        if (n->instance != 0)
                manager_left(s, n);
        if (n->instance != 0 && instance == 0 && n->state == STATE_NODE_UP && !n->leaving)
                state_event(s,
                            STATE_EVENT_MANAGER_LOST,
                            NULL,
                            n->id,
                            "hamgr on %s left; what runs there runs on, and nothing of its groups is "
                            "started "
                            "elsewhere until it is back",
                            state_node_name(s, n->id, name));
        n->instance = instance;
        state_node_changed(s, n->id);

        for (guint i = 0; i < s->groups->len; i++)
                state_group_node_forget_report(group_node(state_group_mutable(s, i), n->id));

        /* R16: a missing hamgr reports nothing stopped. One that drained has: nothing was ordered to it
         * since. */
        if (n->state == STATE_NODE_UP && !(instance == 0 && n->leaving))
                node_may_run_its_groups(s, n);
        if (instance != 0)
                n->leaving = false;
}

static void forget_lost_askers(State *s) {
        for (guint i = 0; i < s->requests->len;) {
                StateRequest *q = g_ptr_array_index(s->requests, i);
                const StateNode *n = state_node(s, q->node);

                if (n && n->instance == q->instance) {
                        i++;
                        continue;
                }
                state_request_free(g_ptr_array_remove_index(s->requests, i));
        }
}

static void take_node(State *s, const StateViewNode *v) {
        StateNode *n = state_node_mutable(s, v->id);
        bool is = v->state == STATE_NODE_UP, was;

        if (!n)
                return;
        was = n->state == STATE_NODE_UP;
        if (was && (!is || n->incarnation != v->incarnation)) {
                StateViewNode left = *v;

                if (n->instance != 0)
                        manager_left(s, n);
                n->instance = 0;
                if (is)
                        left.state = STATE_NODE_UNKNOWN;
                node_left(s, n, &left);
                was = false;
                if (!is)
                        return;
        }
        if (is && !was)
                node_joined(s, n, v);
        else if (!is && n->incarnation == 0 && ha_mid_compare(n->mid, (HaMid){ 0 }) == 0) {
                /* The first that we hear of it. */
                n->mid = s->mid;
                n->incarnation = v->incarnation;
                n->boot_id = v->boot_id;
                state_node_enter(s, n, v->state);
        } else if (!is)
                node_stays_out(s, n, v);
}

void state_view_again(State *s) {
        FOREACH_ARRAY(v, s->seen, NODE_ID_MAX)
                if (v->id != 0)
                        take_node(s, v);

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX) {
                uint64_t instance = 0;

                if (n->id == 0)
                        continue;
                FOREACH_ARRAY(m, s->members, s->n_members)
                        if (m->node == n->id && n->state == STATE_NODE_UP)
                                instance = m->instance;
                node_set_instance(s, n, instance);
        }
}

void state_take_view(State *s, const StateView *view) {
        NodeSet detached = state_detached(s);

        s->quorate = view->quorate;
        s->changed_manager = true;
        s->n_members = MIN(view->n_members, (size_t) NODE_ID_MAX);
        memcpy(s->members, view->members, s->n_members * sizeof(*s->members));
        memset(s->seen, 0, sizeof(s->seen));
        FOREACH_ARRAY(v, view->nodes, view->n_nodes)
                if (node_id_is_valid(v->id))
                        s->seen[v->id - 1] = *v;

        state_view_again(s);
        forget_lost_askers(s);
        if (s->phase == STATE_PHASE_READY && state_detached(s) != detached)
                state_record_bump(s, false, false);
}
