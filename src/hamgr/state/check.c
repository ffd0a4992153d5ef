/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold in every state. A snapshot from outside is refused when it does not; our own state is
 * asserted. */

#include "hamgr/state/state-internal.h"

static bool group_node_is_sound(const State *s, const StateGroup *g, uint32_t id) {
        const StateGroupNode *gn = group_node_const(g, id);
        const StateNode *n = state_node(s, id);

        /* An order has a number, no newer than the group's newest; without one there is none. */
        if ((gn->order == STATE_ORDER_NONE) != (gn->number == 0) || gn->number > g->number)
                return false;
        /* Whoever was ordered to start it may run it, until proven stopped under a later order, or dead. */
        if (gn->order == STATE_ORDER_START && !node_set_contains(g->may_run, id))
                return false;
        /* Only a present instance has said anything. */
        if (gn->report != STATE_REPORT_NONE && (!n || n->instance == 0 || !n->hello))
                return false;
        if (gn->report > STATE_REPORT_STOPPED && !node_set_contains(g->may_run, id))
                return false;
        if (gn->failed != (gn->n_failures > 0))
                return false;
        return true;
}

static bool group_is_sound(const State *s, const StateGroup *g) {
        unsigned n_orders = 0;

        if (!g->config || !streq(g->config->name, g->name))
                return false;
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                if (!group_node_is_sound(s, g, id))
                        return false;
                n_orders += group_node_const(g, id)->order == STATE_ORDER_START;
        }
        if (n_orders > 1 || !node_set_is_subset(g->stop_failed, g->may_run))
                return false;
        if (g->held != 0 && group_node_const(g, g->held)->order != STATE_ORDER_START)
                return false;
        NODE_SET_FOREACH(id, g->may_run) {
                const StateNode *n = state_node(s, id);

                /* Proof is not forgotten: who is proven dead runs nothing. */
                if (!n || n->state == STATE_NODE_DOWN || n->state == STATE_NODE_INACTIVE)
                        return false;
        }
        return true;
}

static bool node_is_sound(const State *s, const StateNode *n) {
        const StateNode *fencer = state_node(s, n->fence.fencer);
        bool is_member = false;

        FOREACH_ARRAY(m, s->members, s->n_members)
                if (m->node == n->id && m->instance == n->instance)
                        is_member = true;
        if (n->instance != 0 && (n->state != STATE_NODE_UP || !is_member))
                return false;
        if (n->hello && n->instance == 0)
                return false;
        if (n->stored_serial > s->serial || (n->stored_serial > 0 && !n->hello))
                return false;
        if (n->fence.active && (!fencer || !fencer->hello || fencer == n))
                return false;
        if (n->fence.active && n->state != STATE_NODE_UNKNOWN && n->state != STATE_NODE_DETACHED &&
            !(n->state == STATE_NODE_UP && n->fence.live))
                return false;
        if (n->leaving && n->state != STATE_NODE_UP)
                return false;
        return true;
}

bool state_is_sound(const State *s) {
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if ((n->id != 0) != !!ha_nodes_find(&s->node_table, (uint32_t) (n - s->nodes) + 1) ||
                    (n->id != 0 && !node_is_sound(s, n)))
                        return false;
        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                if (!group_is_sound(s, g))
                        return false;
                if (i > 0 &&
                    strcmp(((const StateGroup *) g_ptr_array_index(s->groups, i - 1))->name, g->name) >= 0)
                        return false;
        }
        if (s->phase == STATE_PHASE_FORMING && (s->groups->len > 0 || s->prepared.pending || s->serial != 0))
                return false;
        if (s->prepared.pending && (!s->prepared.files == !s->prepared.text ||
                                    !node_set_is_subset(s->prepared.waiting, state_members(s))))
                return false;
        if (s->phase == STATE_PHASE_FORMING && s->wanted.text)
                return false;
        return s->config_serial <= s->serial;
}

void state_check(const State *s) {
        assert(state_is_sound(s));
}
