/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plan is a proposal: each step is held against the state at its delivery, and dropped when it does not
 * hold (R14). So it does not matter what the planner knew, nor whether it is still alive. */

#include "hamgr/state/state-internal.h"

static bool
assign_holds(const State *s,
             const StateGroup *g,
             const StateStep *step,
             char ret_reason[static STATE_TEXT_MAX]) {
        uint32_t owner = state_group_owner(g);
        char name[NAME_LENGTH_MAX + 1];

        if (g->stopped)
                state_text_set(ret_reason, "an operator has stopped it");
        else if (g->held != 0)
                state_text_set(ret_reason, "it is held");
        else if (step->number != g->number)
                state_text_set(ret_reason, "it was ordered otherwise meanwhile");
        else if (owner != 0 && !(owner == step->node && g->ordered_hash != g->config->resources_hash &&
                                 group_node_const(g, owner)->report == STATE_REPORT_RUNNING))
                state_text_set(ret_reason, "%s has it already", state_node_name(s, owner, name));
        else if (!state_group_node_usable(s, g, step->node, ret_reason) ||
                 state_group_blocked(s, g, step->node, ret_reason))
                return false;
        else
                return true;
        return false;
}

static bool
release_holds(const State *s,
              const StateGroup *g,
              const StateStep *step,
              char ret_reason[static STATE_TEXT_MAX]) {
        const StateGroupNode *gn = group_node_const(g, step->node);
        const StateNode *n = state_node(s, step->node);
        bool seen = gn->report != STATE_REPORT_NONE && gn->report != STATE_REPORT_STOPPED;

        if (step->number != g->number)
                state_text_set(ret_reason, "it was ordered otherwise meanwhile");
        else if (!n || n->state != STATE_NODE_UP)
                state_text_set(ret_reason, "that node is gone");
        else if (gn->order == STATE_ORDER_STOP && gn->report != STATE_REPORT_RUNNING &&
                 gn->report != STATE_REPORT_PARTIAL)
                state_text_set(ret_reason, "it is being stopped there already");
        else if (gn->order == STATE_ORDER_NONE && !seen)
                state_text_set(ret_reason, "nothing of it runs there");
        else if (step->target != 0 && !node_set_is_subset(g->may_run, node_set_of(step->node)))
                state_text_set(ret_reason, "it could not start elsewhere now");
        else if (step->target != 0 && !state_group_node_usable(s, g, step->target, ret_reason))
                return false;
        else
                return true;
        return false;
}

static void take_step(State *s, const StateStep *step) {
        char reason[STATE_TEXT_MAX] = "";
        StateGroup *g = NULL;
        bool holds = false;

        if (step->type != STATE_STEP_FENCE)
                g = state_group_find(s, step->group);
        switch (step->type) {
        case STATE_STEP_ASSIGN:
                if (!g || !state_node(s, step->node))
                        break;
                holds = BROKEN(NO_RECHECK) || assign_holds(s, g, step, reason);
                if (holds)
                        state_group_order_start(s, g, step->node, step->reason);
                break;
        case STATE_STEP_RELEASE:
                if (!g || !state_node(s, step->node))
                        break;
                holds = release_holds(s, g, step, reason);
                if (holds)
                        state_group_order_stop(s, g, step->node, step->reason);
                break;
        case STATE_STEP_FENCE:
                holds = state_fence_step_holds(s, step, reason);
                if (holds)
                        state_fence_start(s, step);
                break;
        }
        if (!holds)
                state_event(s,
                            STATE_EVENT_STEP_DROPPED,
                            step->group,
                            step->type == STATE_STEP_FENCE ? step->boot.node : step->node,
                            "a planned step was dropped: %s",
                            reason[0] ? reason : "there is no such group or node any more");
}

void state_take_plan(State *s, const StateViewMember *sender, const StatePlan *plan) {
        if (!BROKEN(NO_RECHECK))
                if (s->phase != STATE_PHASE_READY || !s->quorate || sender->node != state_planner(s) ||
                    ha_mid_compare(plan->mid, s->mid) != 0)
                        return;
        FOREACH_ARRAY(step, plan->steps, plan->n_steps)
                take_step(s, step);
}
