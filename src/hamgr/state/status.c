/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What stands in the way of a group, and what to tell people about it. */

#include "basic/string-table.h"
#include "hamgr/state/state-internal.h"

static const char *const state_run_table[_STATE_RUN_MAX] = {
        [STATE_RUN_STOPPED] = "stopped", [STATE_RUN_STARTING] = "starting",
        [STATE_RUN_RUNNING] = "running", [STATE_RUN_STOPPING] = "stopping",
        [STATE_RUN_FAILED] = "failed",   [STATE_RUN_BLOCKED] = "blocked",
        [STATE_RUN_HELD] = "held",
};
DEFINE_STRING_TABLE(state_run, StateRun);

bool state_group_node_allowed(
                const State *s, const StateGroup *g, uint32_t node, char ret_reason[static STATE_TEXT_MAX]) {
        const StateNode *n = state_node(s, node);
        char name[NAME_LENGTH_MAX + 1];

        if (!n || !node_set_contains(ha_group_nodes(g->config), node)) {
                state_text_set(ret_reason,
                               "%s is not in the domain of %s",
                               state_node_name(s, node, name),
                               g->name);
                return false;
        }
        state_node_name(s, node, name);
        if (n->state != STATE_NODE_UP)
                state_text_set(ret_reason, "%s is %s", name, state_node_state_to_string(n->state));
        else if (n->leaving && n->instance == 0)
                state_text_set(ret_reason, "hamgr is stopped on %s", name);
        else if (n->leaving)
                state_text_set(ret_reason, "%s is leaving", name);
        else if (n->standby)
                state_text_set(ret_reason, "%s is in standby", name);
        else
                return true;
        return false;
}

uint32_t state_standby_load(const State *s, uint32_t node, const StateGroup *except) {
        uint32_t n = 0;

        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                if (g != except && node_set_contains(g->config->standby_set, node) &&
                    state_group_owner(g) == node)
                        n++;
        }
        return n;
}

bool state_group_node_usable(
                const State *s, const StateGroup *g, uint32_t node, char ret_reason[static STATE_TEXT_MAX]) {
        uint32_t limit = g->config->policy->standby_load;
        const StateNode *n = state_node(s, node);
        const StateGroupNode *gn;
        char name[NAME_LENGTH_MAX + 1];

        if (!state_group_node_allowed(s, g, node, ret_reason))
                return false;
        gn = group_node_const(g, node);
        state_node_name(s, node, name);
        if (n->instance == 0)
                state_text_set(ret_reason, "hamgr does not run on %s", name);
        else if (!n->hello)
                state_text_set(ret_reason, "hamgr on %s has just started", name);
        else if (n->stored_serial < s->config_serial)
                state_text_set(ret_reason, "%s has not stored the configuration yet", name);
        else if (gn->failed)
                state_text_set(ret_reason,
                               "it failed on %s (%s)",
                               name,
                               gn->failed_reason ? gn->failed_reason : "no reason given");
        else if (limit > 0 && node_set_contains(g->config->standby_set, node) &&
                 state_standby_load(s, node, g) >= limit)
                state_text_set(ret_reason,
                               "%s has taken over as many groups as StandbyLoad=%" PRIu32 " allows",
                               name,
                               limit);
        else
                return true;
        return false;
}

/* Why a node other than the target still counts as running it. */
static void
may_run_reason(const State *s, const StateGroup *g, uint32_t id, char ret[static STATE_TEXT_MAX]) {
        const StateNode *n = state_node(s, id);
        const StateGroupNode *gn = group_node_const(g, id);
        const HaNode *config = ha_nodes_find(&s->node_table, id);
        char name[NAME_LENGTH_MAX + 1];

        state_node_name(s, id, name);
        if (!n || n->state == STATE_NODE_UNKNOWN) {
                if (n && !state_node_is_fenceable(s, n))
                        state_text_set(ret,
                                       "node %s may still run it and has no fence device: make sure that it "
                                       "is off, "
                                       "then: hactl fence confirm %s",
                                       name,
                                       name);
                else if (n && n->lied)
                        state_text_set(ret,
                                       "node %s may still run it and its fence device is not believed: make "
                                       "sure that "
                                       "it is off, then: hactl fence confirm %s",
                                       name,
                                       name);
                else if (n && n->fence.n_attempts > 0)
                        state_text_set(ret,
                                       "waiting for node %s to be fenced; %" PRIu32
                                       " attempt%s failed: %s. Repair the device, "
                                       "or make sure that it is off, then: hactl fence confirm %s",
                                       name,
                                       n->fence.n_attempts,
                                       n->fence.n_attempts == 1 ? "" : "s",
                                       n->fence.text,
                                       name);
                else if (n && n->incarnation == 0)
                        state_text_set(ret, "node %s was not seen yet and may run it", name);
                else if (config && !config->has_fence_device)
                        state_text_set(ret, "waiting until node %s has reset itself for certain", name);
                else
                        state_text_set(ret, "waiting for node %s to be fenced", name);
        } else if (n->state == STATE_NODE_DETACHED)
                state_text_set(ret,
                               "node %s left in maintenance with groups running; it starts elsewhere when "
                               "that node is "
                               "back, or: hactl fence confirm %s",
                               name,
                               name);
        else if (node_set_contains(g->stop_failed, id))
                state_text_set(ret,
                               "the stop failed on %s (%s)%s",
                               name,
                               gn->reason ? gn->reason : "no reason given",
                               n->lied ? ", and its fence device is not believed: reboot that node" : "");
        else if (n->instance == 0)
                state_text_set(ret,
                               "hamgr does not run on %s and nothing else can tell what runs there: start "
                               "it there "
                               "(systemctl start hamgr)",
                               name);
        else if (gn->report == STATE_REPORT_NONE && gn->order == STATE_ORDER_NONE)
                state_text_set(ret, "waiting for %s to tell what it runs of it", name);
        else if (gn->order == STATE_ORDER_START)
                state_text_set(ret, "%s has it", name);
        else if (gn->order == STATE_ORDER_STOP)
                state_text_set(ret, "it is being stopped on %s", name);
        else
                state_text_set(ret,
                               "%s was found %s on %s",
                               g->name,
                               state_report_state_to_string(gn->report),
                               name);
}

bool state_group_blocked(
                const State *s,
                const StateGroup *g,
                uint32_t target,
                char ret_reason[static STATE_TEXT_MAX]) {
        NodeSet conflict = state_group_conflict(g);
        NodeSet others = target != 0 ? node_set_without(g->may_run, target) : g->may_run;
        if (conflict != NODE_SET_EMPTY) {
                g_autofree char *names = state_node_names(s, conflict);

                state_text_set(ret_reason,
                               "found running on %s at once: stop it with hactl group stop %s, "
                               "check its "
                               "data, then start it",
                               names,
                               g->name);
                return true;
        }
        if (others != NODE_SET_EMPTY) {
                may_run_reason(s, g, node_set_lowest(others), ret_reason);
                return true;
        }
        if (target != 0 && node_set_contains(g->may_run, target)) {
                const StateGroupNode *gn = group_node_const(g, target);

                /* What it runs without an order is adopted; half of something is stopped first. */
                if (gn->report != STATE_REPORT_RUNNING || gn->order == STATE_ORDER_STOP) {
                        may_run_reason(s, g, target, ret_reason);
                        return true;
                }
        }
        return false;
}

static void status_with_owner(const State *s, const StateGroup *g, uint32_t owner, StateGroupStatus *ret) {
        const StateGroupNode *gn = group_node_const(g, owner);
        const StateNode *n = state_node(s, owner);
        char name[NAME_LENGTH_MAX + 1];

        state_node_name(s, owner, name);
        ret->node = owner;
        if (n->state != STATE_NODE_UP) {
                ret->run = STATE_RUN_BLOCKED;
                may_run_reason(s, g, owner, ret->reason);
                return;
        }
        if (g->held == owner) {
                ret->run = STATE_RUN_HELD;
                state_text_set(ret->reason,
                               "an operator stopped a unit of it on %s; go on with: hactl group start %s",
                               name,
                               g->name);
                return;
        }
        switch (gn->report) {
        case STATE_REPORT_RUNNING:
                ret->run = STATE_RUN_RUNNING;
                break;
        case STATE_REPORT_FAILED:
                ret->run = STATE_RUN_STOPPING;
                state_text_set(ret->reason,
                               "it failed on %s: %s",
                               name,
                               gn->reason ? gn->reason : "no reason given");
                return;
        case STATE_REPORT_STOPPING:
                ret->run = STATE_RUN_STOPPING;
                break;
        default:
                /* A hamgr that is away, or is back and has not looked yet, says nothing. */
                ret->run = n->instance == 0 || !n->hello ? STATE_RUN_RUNNING : STATE_RUN_STARTING;
                break;
        }
        if (n->instance == 0 || !n->hello)
                state_text_set(ret->reason, "hamgr on %s is away; what runs there runs on", name);
        else if (gn->reason)
                g_strlcpy(ret->reason, gn->reason, STATE_TEXT_MAX);
        else if (g->placed_reason)
                state_text_set(ret->reason, "as of its start: %.480s", g->placed_reason);
}

/* No node could run it: say why for each. */
static void no_node_reason(const State *s, const StateGroup *g, char ret[static STATE_TEXT_MAX]) {
        g_autoptr(GString) text = g_string_new("no node is left that could run it: ");
        const HaGroup *c = g->config;

        for (size_t i = 0; i < c->n_domain + c->n_standby; i++) {
                uint32_t id = i < c->n_domain ? c->domain[i] : c->standby[i - c->n_domain];
                char reason[STATE_TEXT_MAX];

                if (state_group_node_usable(s, g, id, reason))
                        continue;
                g_string_append_printf(text, "%s%s", i > 0 ? "; " : "", reason);
        }
        state_text_set(ret, "%s", text->str);
}

static void status_without_owner(const State *s, const StateGroup *g, StateGroupStatus *ret) {
        const HaGroup *c = g->config;
        NodeSet alive = NODE_SET_EMPTY, usable = NODE_SET_EMPTY;
        char reason[STATE_TEXT_MAX], name[NAME_LENGTH_MAX + 1];
        uint32_t seen;

        NODE_SET_FOREACH(id, g->may_run)
                if (group_node_const(g, id)->order == STATE_ORDER_STOP ||
                    group_node_const(g, id)->report > STATE_REPORT_STOPPED)
                        node_set_add(&alive, id);
        NODE_SET_FOREACH(id, ha_group_nodes(c))
                if (state_group_node_usable(s, g, id, reason))
                        node_set_add(&usable, id);

        seen = node_set_lowest(alive);
        if (g->stopped && seen == 0) {
                ret->run = STATE_RUN_STOPPED;
                if (g->may_run == NODE_SET_EMPTY)
                        state_text_set(ret->reason, "an operator stopped it");
                else {
                        may_run_reason(s, g, node_set_lowest(g->may_run), reason);
                        state_text_set(ret->reason, "an operator stopped it; %.400s", reason);
                }
                return;
        }
        if (seen != 0) {
                const StateNode *n = state_node(s, seen);
                const StateGroupNode *gn = group_node_const(g, seen);

                ret->node = seen;
                if (n->state != STATE_NODE_UP || node_set_contains(g->stop_failed, seen)) {
                        ret->run = STATE_RUN_BLOCKED;
                        may_run_reason(s, g, seen, ret->reason);
                } else if (gn->order == STATE_ORDER_STOP)
                        ret->run = STATE_RUN_STOPPING;
                else {
                        ret->run = gn->report == STATE_REPORT_RUNNING ? STATE_RUN_RUNNING
                                                                      : STATE_RUN_BLOCKED;
                        if (state_group_blocked(s, g, seen, reason))
                                state_text_set(ret->reason,
                                               "found on %s, not taken over yet: %.400s",
                                               state_node_name(s, seen, name),
                                               reason);
                }
                return;
        }
        if (g->may_run != NODE_SET_EMPTY) {
                ret->run = STATE_RUN_BLOCKED;
                may_run_reason(s, g, node_set_lowest(g->may_run), ret->reason);
                return;
        }
        if (usable == NODE_SET_EMPTY) {
                ret->run = STATE_RUN_FAILED;
                no_node_reason(s, g, ret->reason);
                return;
        }
        ret->run = STATE_RUN_STARTING;
        state_text_set(ret->reason, "about to be given to a node");
}

void state_group_status(const State *s, const StateGroup *g, StateGroupStatus *ret) {
        NodeSet conflict = state_group_conflict(g);
        uint32_t owner = state_group_owner(g);

        memset(ret, 0, sizeof(*ret));
        if (conflict != NODE_SET_EMPTY) {
                ret->run = STATE_RUN_BLOCKED;
                ret->node = owner;
                state_group_blocked(s, g, 0, ret->reason);
        } else if (owner != 0)
                status_with_owner(s, g, owner, ret);
        else
                status_without_owner(s, g, ret);
        /* Compared as a whole, so nothing may be left behind the text. */
        memset(ret->reason + strlen(ret->reason), 0, STATE_TEXT_MAX - strlen(ret->reason));
}
