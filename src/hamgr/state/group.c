/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may run a group (R14). A node enters StateGroup.may_run by being ordered to start it, by coming into
 * its domain, by joining, or by having been seen to run something of it. It leaves by its own report that
 * all is stopped, with the number of the newest order to it and from the current hamgr instance, or by being
 * proven dead.
 *
 *                 START #n                    STOP #n+1
 *      NONE  ----------------->  START  ------------------>  STOP     "stopped #n+1": out of may_run
 *        ^                                                   |  ^ |
 *        +------------------ proven dead ---------------<----+  +-+ STOP #n+2
 *
 * While the start order stands, "stopped" is no proof: that hamgr may still carry the order out. */

#include "hamgr/state/state-internal.h"

StateGroup *state_group_new(const char *name) {
        StateGroup *g = g_new0(StateGroup, 1);

        g_strlcpy(g->name, name, sizeof(g->name));
        return g;
}

void state_group_free(StateGroup *g) {
        if (!g)
                return;
        FOREACH_ARRAY(gn, g->nodes, NODE_ID_MAX) {
                g_free(gn->reason);
                g_free(gn->failed_reason);
        }
        g_free(g->placed_reason);
        g_free(g);
}

void state_group_node_forget_report(StateGroupNode *gn) {
        gn->report = STATE_REPORT_NONE;
        gn->n_restarts = 0;
        g_clear_pointer(&gn->reason, g_free);
        memset(gn->resources, 0, sizeof(gn->resources));
        gn->n_resources = 0;
}

void state_group_forget_failures(StateGroup *g, uint32_t node_or_none) {
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                StateGroupNode *gn = group_node(g, id);

                if (node_or_none != 0 && id != node_or_none)
                        continue;
                gn->failed = false;
                gn->n_failures = 0;
                gn->failed_usec = 0;
                g_clear_pointer(&gn->failed_reason, g_free);
        }
}

uint32_t state_group_owner(const StateGroup *g) {
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                if (group_node_const(g, id)->order == STATE_ORDER_START)
                        return id;
        return 0;
}

/* Something of it was seen there. */
static bool report_shows_life(StateReportState r) {
        return r != STATE_REPORT_NONE && r != STATE_REPORT_STOPPED;
}

NodeSet state_group_conflict(const StateGroup *g) {
        NodeSet set = NODE_SET_EMPTY;

        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                if (report_shows_life(group_node_const(g, id)->report))
                        node_set_add(&set, id);
        return node_set_count(set) > 1 ? set : NODE_SET_EMPTY;
}

static void effect_order(State *s, StateEffectType type, const StateGroup *g, uint64_t number) {
        StateEffect *f = state_effect(s, type);

        g_strlcpy(f->group, g->name, sizeof(f->group));
        f->node = s->self;
        f->number = number;
}

void state_group_order_start(State *s, StateGroup *g, uint32_t node, const char *reason) {
        StateGroupNode *gn = group_node(g, node);
        char name[NAME_LENGTH_MAX + 1];

        /* The promise of the whole house. */
        assert(node_set_is_subset(g->may_run, node_set_of(node)) || BROKEN(NO_RECHECK));

        gn->order = STATE_ORDER_START;
        gn->number = ++g->number;
        state_group_node_forget_report(gn);
        node_set_add(&g->may_run, node);
        g->held = 0;
        g->ordered_hash = g->config->resources_hash;
        g_free(g->placed_reason);
        g->placed_reason = g_strdup(reason);
        state_event(s,
                    STATE_EVENT_GROUP_ASSIGNED,
                    g->name,
                    node,
                    "group %s goes to %s (#%" PRIu64 "): %s",
                    g->name,
                    state_node_name(s, node, name),
                    gn->number,
                    reason);
        if (node == s->self && state_self_acts(s))
                effect_order(s, STATE_EFFECT_START, g, gn->number);
}

void state_group_order_stop(State *s, StateGroup *g, uint32_t node, const char *reason) {
        StateGroupNode *gn = group_node(g, node);
        char name[NAME_LENGTH_MAX + 1];

        gn->order = STATE_ORDER_STOP;
        gn->number = ++g->number;
        state_group_node_forget_report(gn);
        /* It may still carry out an earlier order, until it says otherwise with this number. */
        node_set_add(&g->may_run, node);
        if (g->held == node)
                g->held = 0;
        state_event(s,
                    STATE_EVENT_GROUP_RELEASED,
                    g->name,
                    node,
                    "group %s is to stop on %s (#%" PRIu64 "): %s",
                    g->name,
                    state_node_name(s, node, name),
                    gn->number,
                    reason);
        if (node == s->self && state_self_acts(s))
                effect_order(s, STATE_EFFECT_STOP, g, gn->number);
}

void state_group_probe(State *s, StateGroup *g) {
        if (state_self_acts(s) && group_node(g, s->self)->order != STATE_ORDER_START)
                effect_order(s, STATE_EFFECT_PROBE, g, group_node(g, s->self)->number);
}

void state_group_repeat_orders(State *s) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);
                const StateGroupNode *gn = group_node(g, s->self);

                switch (gn->order) {
                case STATE_ORDER_START:
                        effect_order(s, STATE_EFFECT_START, g, gn->number);
                        break;
                case STATE_ORDER_STOP:
                        effect_order(s, STATE_EFFECT_STOP, g, gn->number);
                        break;
                case STATE_ORDER_NONE:
                        effect_order(s, STATE_EFFECT_PROBE, g, gn->number);
                        break;
                }
        }
}

static void group_failed(State *s, StateGroup *g, uint32_t node, const char *reason) {
        StateGroupNode *gn = group_node(g, node);

        gn->failed = true;
        gn->n_failures++;
        gn->failed_usec = s->time_usec;
        g_free(gn->failed_reason);
        gn->failed_reason = g_strdup(reason[0] ? reason : "it failed");
        if (g->preferred == node)
                g->preferred = 0;
}

/* What the report means under the order that it answers. */
static StateReportState report_under_order(StateReportState said, StateOrder order) {
        if (order == STATE_ORDER_START) {
                /* Given up, or stopping without an order to: it has to be released first. */
                if ((said == STATE_REPORT_STOPPED && !BROKEN(STOPPED_WHILE_ORDERED) &&
                     !BROKEN(STALE_REPORT)) ||
                    said == STATE_REPORT_STOP_FAILED || said == STATE_REPORT_PARTIAL)
                        return STATE_REPORT_FAILED;
                return said;
        }
        if (said == STATE_REPORT_FAILED || said == STATE_REPORT_HELD)
                return STATE_REPORT_PARTIAL;
        if (said == STATE_REPORT_STOP_FAILED && order == STATE_ORDER_NONE)
                return STATE_REPORT_PARTIAL;
        return said;
}

void state_take_report(State *s, const StateViewMember *sender, const StateReport *report) {
        StateGroup *g = state_group_find(s, report->group);
        StateReportState now;
        StateGroupNode *gn;

        if (!g)
                return;
        gn = group_node(g, sender->node);
        /* Said before the newest order was seen, or about an earlier life. */
        if (report->number != gn->number && !(BROKEN(STALE_REPORT) && report->state == STATE_REPORT_STOPPED))
                return;

        now = report_under_order(report->state, gn->order);
        state_group_node_forget_report(gn);
        gn->report = now;
        gn->n_restarts = report->n_restarts;
        gn->reason = report->reason[0] ? g_strdup(report->reason) : NULL;
        gn->n_resources = MIN(report->n_resources, HA_RESOURCES_MAX);
        memcpy(gn->resources, report->resources, gn->n_resources);

        switch (now) {
        case STATE_REPORT_STOPPED:
                node_set_remove(&g->may_run, sender->node);
                node_set_remove(&g->stop_failed, sender->node);
                if (gn->order == STATE_ORDER_START) /* only in a broken build */
                        gn->order = STATE_ORDER_STOP;
                return;
        case STATE_REPORT_STOP_FAILED:
                if (BROKEN(STOP_FAILURE)) {
                        node_set_remove(&g->may_run, sender->node);
                        state_group_node_forget_report(gn);
                        return;
                }
                node_set_add(&g->stop_failed, sender->node);
                break;
        case STATE_REPORT_FAILED:
                group_failed(s, g, sender->node, report->reason);
                break;
        case STATE_REPORT_HELD:
                g->held = sender->node;
                break;
        case STATE_REPORT_RUNNING:
                if (g->held == sender->node)
                        g->held = 0;
                break;
        default:
                break;
        }
        node_set_add(&g->may_run, sender->node);
}
