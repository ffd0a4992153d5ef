/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What operators order. A decision that must outlive a power cut is answered when it is on every disk;
 * asking for what is so already is a success, and waits for the disks too: whoever asked first may be
 * waiting still. */

#include "hamgr/state/state-internal.h"

typedef struct Outcome {
        StateResult result;
        bool changes; /* the record */
        bool durable; /* answered when the record as it is now is on every disk */
        char text[STATE_TEXT_MAX];
} Outcome;

static void group_start(State *s, StateGroup *g, Outcome *o) {
        uint32_t held = g->held;
        bool failed = false;

        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                failed = failed || group_node(g, id)->failed;
        o->durable = true;
        o->changes = g->stopped;
        o->result = g->stopped || held != 0 || failed ? STATE_RESULT_OK : STATE_RESULT_NOTHING_TO_DO;
        g->stopped = false;
        state_group_forget_failures(g, 0);
        if (held != 0) {
                /* The same order once more: whoever holds it starts what is missing. */
                g->held = 0;
                if (node_set_is_subset(g->may_run, node_set_of(held)))
                        state_group_order_start(s, g, held, "an operator ended the hold");
                else
                        state_group_order_stop(
                                        s,
                                        g,
                                        held,
                                        "an operator ended the hold, but it may run elsewhere too");
        }
}

static void group_stop(State *s, StateGroup *g, Outcome *o) {
        o->durable = true;
        o->changes = !g->stopped;
        o->result = g->stopped ? STATE_RESULT_NOTHING_TO_DO : STATE_RESULT_OK;
        g->stopped = true;
        g->preferred = 0;
}

static void group_move(State *s, StateGroup *g, uint32_t node, Outcome *o) {
        uint32_t owner = state_group_owner(g), target = node;
        char reason[STATE_TEXT_MAX];

        o->result = STATE_RESULT_REFUSED;
        if (g->stopped) {
                state_text_set(o->text,
                               "group %s is stopped; start it first: hactl group start %s",
                               g->name,
                               g->name);
                return;
        }
        if (g->held != 0) {
                char name[NAME_LENGTH_MAX + 1];

                state_text_set(o->text,
                               "group %s is held, since an operator stopped a unit of it on %s; start it "
                               "first: hactl group start %s",
                               g->name,
                               state_node_name(s, g->held, name),
                               g->name);
                return;
        }
        for (size_t i = 0; node == 0 && target == 0 && i < g->config->n_domain; i++)
                if (state_group_node_usable(s, g, g->config->domain[i], reason))
                        target = g->config->domain[i];
        if (target == 0) {
                state_text_set(o->text, "no node of its domain is ready for it: %.400s", reason);
                return;
        }
        if (target == owner) {
                g->preferred = node;
                o->result = STATE_RESULT_NOTHING_TO_DO;
                return;
        }
        if (node != 0 && node_set_contains(ha_group_nodes(g->config), node))
                state_group_forget_failures(g, node);
        if (!state_group_node_usable(s, g, target, reason)) {
                char name[NAME_LENGTH_MAX + 1];
                bool ends = state_node(s, target)->standby &&
                            node_set_contains(ha_group_nodes(g->config), target);

                state_text_set(o->text,
                               "group %s cannot move there: %.380s%s%s",
                               g->name,
                               reason,
                               ends ? "; to end that: hactl node unstandby " : "",
                               ends ? state_node_name(s, target, name) : "");
                return;
        }
        g->preferred = target;
        o->result = STATE_RESULT_OK;
}

static void group_cleanup(State *s, StateGroup *g, Outcome *o) {
        state_group_forget_failures(g, 0);
        g->stop_fenced = false;
        g->preferred = 0;
        NODE_SET_FOREACH(id, g->stop_failed) {
                const StateNode *n = state_node(s, id);

                if (n && n->state == STATE_NODE_UP && group_node(g, id)->order == STATE_ORDER_STOP) {
                        node_set_remove(&g->stop_failed, id);
                        state_group_order_stop(s, g, id, "an operator asked to try again");
                }
        }
        state_group_probe(s, g);
        o->result = STATE_RESULT_OK;
}

static void node_standby(State *s, StateNode *n, bool standby, Outcome *o) {
        char name[NAME_LENGTH_MAX + 1];

        o->result = n->standby == standby ? STATE_RESULT_NOTHING_TO_DO : STATE_RESULT_OK;
        o->durable = true;
        o->changes = n->standby != standby;
        if (!o->changes)
                return;
        n->standby = standby;
        state_node_changed(s, n->id);
        for (guint i = 0; standby && i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                if (g->preferred == n->id)
                        g->preferred = 0;
        }
        state_event(s,
                    standby ? STATE_EVENT_NODE_STANDBY : STATE_EVENT_NODE_UNSTANDBY,
                    NULL,
                    n->id,
                    "node %s is %s standby",
                    state_node_name(s, n->id, name),
                    standby ? "in" : "not any more in");
}

static bool has_fencer(const State *s, const StateNode *target) {
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && state_node_can_fence(n, target))
                        return true;
        return false;
}

static void node_fence(State *s, StateNode *n, Outcome *o) {
        const HaNode *config = ha_nodes_find(&s->node_table, n->id);
        char name[NAME_LENGTH_MAX + 1];

        state_node_name(s, n->id, name);
        o->result = STATE_RESULT_REFUSED;
        if (!config || !config->has_fence_device)
                state_text_set(o->text, "node %s has no fence device", name);
        else if (n->state == STATE_NODE_DOWN || n->state == STATE_NODE_INACTIVE)
                state_text_set(o->text,
                               "node %s is %s: it is no part of the cluster and runs nothing of it",
                               name,
                               state_node_state_to_string(n->state));
        else if (!has_fencer(s, n))
                state_text_set(o->text, "no other node is there that could fence %s", name);
        else if (n->lied)
                state_text_set(o->text,
                               "the fence device of %s is not believed until the node has rebooted, since "
                               "it "
                               "called a running node off",
                               name);
        else if (n->fence.confirmed)
                state_text_set(o->text, "node %s was switched off already", name);
        else
                o->result = n->fence.active || n->fence_ordered ? STATE_RESULT_NOTHING_TO_DO
                                                                : STATE_RESULT_OK;
        if (o->result == STATE_RESULT_OK) {
                n->fence_ordered = true;
                n->fence.retry_usec = s->time_usec;
                state_node_changed(s, n->id);
        }
}

static bool operation_wants_group(StateOperation o) {
        switch (o) {
        case STATE_OPERATION_GROUP_START:
        case STATE_OPERATION_GROUP_STOP:
        case STATE_OPERATION_GROUP_MOVE:
        case STATE_OPERATION_GROUP_CLEANUP:
                return true;
        case STATE_OPERATION_NODE_STANDBY:
        case STATE_OPERATION_NODE_UNSTANDBY:
        case STATE_OPERATION_FENCE_CONFIRM:
        case STATE_OPERATION_NODE_FENCE:
                return false;
        }
        return false;
}

static void operator_carry_out(State *s, const StateOperator *op, Outcome *o) {
        StateGroup *g = operation_wants_group(op->operation) ? state_group_find(s, op->group) : NULL;
        uint32_t id = op->operation == STATE_OPERATION_FENCE_CONFIRM ? op->boot.node : op->node;
        StateNode *n = state_node_mutable(s, id);

        if (s->phase != STATE_PHASE_READY) {
                o->result = STATE_RESULT_BUSY;
                state_phase_reason(s, o->text);
                return;
        }
        if (operation_wants_group(op->operation) && !g) {
                o->result = STATE_RESULT_NO_SUCH_GROUP;
                state_text_set(o->text, "there is no group \"%s\"", op->group);
                return;
        }
        if ((!operation_wants_group(op->operation) || id != 0) && !n) {
                o->result = STATE_RESULT_NO_SUCH_NODE;
                state_text_set(o->text, "there is no node with the id %" PRIu32, id);
                return;
        }
        if (s->requests->len >= STATE_REQUESTS_MAX) {
                o->result = STATE_RESULT_BUSY;
                state_text_set(o->text, "%u requests wait to be stored; try again", STATE_REQUESTS_MAX);
                return;
        }
        switch (op->operation) {
        case STATE_OPERATION_GROUP_START:
                group_start(s, g, o);
                break;
        case STATE_OPERATION_GROUP_STOP:
                group_stop(s, g, o);
                break;
        case STATE_OPERATION_GROUP_MOVE:
                group_move(s, g, id, o);
                break;
        case STATE_OPERATION_GROUP_CLEANUP:
                group_cleanup(s, g, o);
                break;
        case STATE_OPERATION_NODE_STANDBY:
                node_standby(s, n, true, o);
                break;
        case STATE_OPERATION_NODE_UNSTANDBY:
                node_standby(s, n, false, o);
                break;
        case STATE_OPERATION_FENCE_CONFIRM:
                o->result = state_fence_confirm(s, &op->boot, o->text) ? STATE_RESULT_OK
                                                                       : STATE_RESULT_REFUSED;
                break;
        case STATE_OPERATION_NODE_FENCE:
                node_fence(s, n, o);
                break;
        }
}

void state_take_operator(State *s, const StateViewMember *sender, const StateOperator *op) {
        StateMessage m = { .type = STATE_MESSAGE_OPERATOR, .operator_ = *op };
        Outcome o = { .result = STATE_RESULT_OK };
        char text[STATE_TEXT_MAX];

        operator_carry_out(s, op, &o);
        if (o.result == STATE_RESULT_OK)
                state_event(s,
                            STATE_EVENT_OPERATOR,
                            op->group[0] ? op->group : NULL,
                            op->operation == STATE_OPERATION_FENCE_CONFIRM ? op->boot.node : op->node,
                            "%s",
                            state_message_format(&m, text));
        if (o.changes)
                state_record_bump(s, false, false);
        if (o.durable)
                state_answer_stored(s, sender, op->request, o.result, o.text);
        else
                state_answer(s, sender, op->request, o.result, o.text);
}

void state_take_leaving(State *s, const StateViewMember *sender) {
        StateNode *n = state_node_mutable(s, sender->node);
        char name[NAME_LENGTH_MAX + 1];

        if (n->leaving)
                return;
        n->leaving = true;
        state_node_changed(s, n->id);
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                if (g->preferred == n->id)
                        g->preferred = 0;
        }
        state_event(s,
                    STATE_EVENT_NODE_LEAVING,
                    NULL,
                    n->id,
                    "node %s leaves; its groups move away or stop",
                    state_node_name(s, n->id, name));
}
