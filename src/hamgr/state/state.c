/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The replicated state: one delivery in, effects out. Each kind of input has a file of its own; this one
 * joins them, and holds what several need. */

#include "basic/string-table.h"
#include "hamgr/state/state-internal.h"

static const char *const state_node_state_table[_STATE_NODE_MAX] = {
        [STATE_NODE_UNKNOWN] = "unknown",   [STATE_NODE_UP] = "up",
        [STATE_NODE_DOWN] = "down",         [STATE_NODE_INACTIVE] = "inactive",
        [STATE_NODE_DETACHED] = "detached",
};
DEFINE_STRING_TABLE(state_node_state, StateNodeState);

State *state_new(const HaNodes *nodes, uint32_t self) {
        State *s = g_new0(State, 1);

        s->node_table = *nodes;
        s->self = self;
        s->config = ha_config_new_empty();
        s->files = ha_files_serialize(NULL, 0);
        s->groups = g_ptr_array_new();
        s->requests = g_ptr_array_new();
        FOREACH_ARRAY(n, nodes->nodes, nodes->n_nodes)
                s->nodes[n->id - 1].id = n->id;
        return s;
}

State *state_free(State *s) {
        if (!s)
                return NULL;
        for (guint i = 0; i < s->groups->len; i++)
                state_group_free(g_ptr_array_index(s->groups, i));
        g_ptr_array_unref(s->groups);
        for (guint i = 0; i < s->requests->len; i++)
                state_request_free(g_ptr_array_index(s->requests, i));
        g_ptr_array_unref(s->requests);
        g_clear_pointer(&s->files, g_bytes_unref);
        g_clear_pointer(&s->prepared.files, g_bytes_unref);
        g_clear_pointer(&s->prepared.text, g_bytes_unref);
        g_clear_pointer(&s->cluster_text, g_bytes_unref);
        g_clear_pointer(&s->wanted.text, g_bytes_unref);
        g_clear_pointer(&s->best, g_bytes_unref);
        ha_config_free(s->config);
        g_free(s->last);
        g_free(s);
        return NULL;
}

void state_set_self(State *s, uint32_t self) {
        s->self = self;
}

StateNode *state_node_mutable(State *s, uint32_t id) {
        return node_id_is_valid(id) && s->nodes[id - 1].id != 0 ? s->nodes + id - 1 : NULL;
}

const StateNode *state_node(const State *s, uint32_t id) {
        return node_id_is_valid(id) && s->nodes[id - 1].id != 0 ? s->nodes + id - 1 : NULL;
}

StateGroup *state_group_find(State *s, const char *name) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = g_ptr_array_index(s->groups, i);

                if (streq(g->name, name))
                        return g;
        }
        return NULL;
}

const char *state_node_name(const State *s, uint32_t id, char buf[static NAME_LENGTH_MAX + 1]) {
        return ha_nodes_name(&s->node_table, id, buf);
}

char *state_node_names(const State *s, NodeSet set) {
        GString *text = g_string_new(NULL);
        char name[NAME_LENGTH_MAX + 1];

        NODE_SET_FOREACH(id, set)
                g_string_append_printf(
                                text, "%s%s", text->len > 0 ? ", " : "", state_node_name(s, id, name));
        return g_string_free(text, false);
}

bool state_self_acts(const State *s) {
        const StateNode *n = state_node(s, s->self);

        return n && n->state == STATE_NODE_UP && n->hello;
}

void state_node_enter(State *s, StateNode *n, StateNodeState state) {
        if (n->state == state)
                return;
        n->state = state;
        n->since_usec = s->time_usec;
        /* R9: it left with groups running, and said so; its keeper let go of the lease. Whatever becomes of
         * it, no reset follows. */
        if (state == STATE_NODE_DETACHED)
                n->reset_usec = 0;
        state_node_changed(s, n->id);
}

void state_node_proven_dead(State *s, StateNode *n) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);
                StateGroupNode *gn = group_node(g, n->id);

                node_set_remove(&g->may_run, n->id);
                node_set_remove(&g->stop_failed, n->id);
                if (g->held == n->id)
                        g->held = 0;
                gn->order = STATE_ORDER_NONE;
                gn->number = 0;
                state_group_node_forget_report(gn);
        }
}

/* The cluster's time moves on, and what was remembered for a while is forgotten. */
void state_advance(State *s, uint64_t time_usec) {
        if (time_usec <= s->time_usec)
                return;
        s->time_usec = time_usec;
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                state_fence_expire(s, n);
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);
                uint64_t window_usec = g->config->policy->restart_window_usec;

                if (g->stop_fenced && time_usec - g->stop_fenced_usec >= window_usec)
                        g->stop_fenced = false;
                for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                        StateGroupNode *gn = group_node(g, id);

                        if (gn->failed && time_usec - gn->failed_usec >= window_usec)
                                state_group_forget_failures(g, id);
                }
        }
}

static void take_message(State *s, const StateViewMember *sender, const StateMessage *m) {
        const StateNode *n = state_node(s, sender->node);

        /* The sender is who it says only as the current instance of its node. */
        if (!n || n->state != STATE_NODE_UP || n->instance == 0 || n->instance != sender->instance)
                return;
        if (!n->hello && m->type != STATE_MESSAGE_HELLO)
                return;

        state_advance(s, m->time_usec);
        switch (m->type) {
        case STATE_MESSAGE_HELLO:
                state_take_hello(s, sender, &m->hello);
                break;
        case STATE_MESSAGE_REPORT:
                state_take_report(s, sender, &m->report);
                break;
        case STATE_MESSAGE_PLAN:
                state_take_plan(s, sender, &m->plan);
                break;
        case STATE_MESSAGE_FENCE_RESULT:
                state_take_fence_result(s, sender, &m->fence_result);
                break;
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
                state_take_fenced_for_quorum(s, sender, &m->fence_result);
                break;
        case STATE_MESSAGE_OPERATOR:
                state_take_operator(s, sender, &m->operator_);
                break;
        case STATE_MESSAGE_NODE_LEAVING:
                state_take_leaving(s, sender);
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                state_take_prepare(s, sender, &m->apply_prepare);
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                state_take_prepare_answer(s, sender, &m->apply_answer);
                break;
        case STATE_MESSAGE_STORED: {
                StateNode *stored = state_node_mutable(s, sender->node);

                if (m->stored.serial <= s->serial)
                        stored->stored_serial = MAX(stored->stored_serial, m->stored.serial);
                break;
        }
        case STATE_MESSAGE_CLUSTER_PREPARE:
                state_take_cluster_prepare(s, sender, &m->cluster);
                break;
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                state_take_cluster_in_force(s, &m->cluster);
                break;
        case STATE_MESSAGE_TICK:
                break;
        }
}

/* Compares what every group is with what was announced last. */
static void announce_groups(State *s) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);
                StateGroupStatus *old = s->last + i, now;
                NodeSet conflict = state_group_conflict(g);

                if (conflict != g->conflict) {
                        g_autofree char *names = state_node_names(s, conflict);

                        if (conflict != NODE_SET_EMPTY)
                                state_event(s,
                                            STATE_EVENT_GROUP_CONFLICT,
                                            g->name,
                                            node_set_lowest(conflict),
                                            "group %s was found running on %s at once; nothing "
                                            "more of it is started until it runs on one at most",
                                            g->name,
                                            names);
                        g->conflict = conflict;
                }
                state_group_status(s, g, &now);
                if (now.run != old->run || now.node != old->node)
                        state_event(s,
                                    STATE_EVENT_GROUP_STATE,
                                    g->name,
                                    now.node,
                                    "group %s is %s%s%s",
                                    g->name,
                                    state_run_to_string(now.run),
                                    now.reason[0] ? ": " : "",
                                    now.reason);
                if (memcmp(&now, old, sizeof(now)) != 0) {
                        StateEffect *f = state_effect(s, STATE_EFFECT_CHANGED);

                        g_strlcpy(f->group, g->name, sizeof(f->group));
                        *old = now;
                }
        }
}

static void announce_nodes(State *s) {
        NODE_SET_FOREACH(id, s->changed)
                state_effect(s, STATE_EFFECT_CHANGED)->node = id;
        if (s->changed_manager)
                (void) state_effect(s, STATE_EFFECT_CHANGED);
}

void state_apply(State *s, const StateInput *input, StateEffects *effects) {
        int newer = ha_mid_compare(input->mid, s->mid);

        if (newer < 0 || (newer == 0 && input->sequence <= s->sequence))
                return;
        s->mid = input->mid;
        s->sequence = input->sequence;
        s->effects = effects;
        s->changed = NODE_SET_EMPTY;
        s->changed_manager = false;

        switch (input->type) {
        case STATE_INPUT_VIEW:
                state_take_view(s, &input->view);
                break;
        case STATE_INPUT_MESSAGE:
                take_message(s, &input->sender, input->message);
                break;
        }
        state_form_if_complete(s);
        state_prepared_settle(s);
        state_cluster_settle(s);
        state_requests_settle(s);
        announce_groups(s);
        announce_nodes(s);
        s->effects = NULL;
}

StatePhase state_phase(const State *s) {
        return s->phase;
}

void state_phase_reason(const State *s, char ret[static STATE_TEXT_MAX]) {
        char name[NAME_LENGTH_MAX + 1];

        ret[0] = '\0';
        if (s->phase == STATE_PHASE_READY)
                return;
        if (!s->quorate) {
                state_text_set(ret, "no quorum");
                return;
        }
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->state == STATE_NODE_UP && !n->hello) {
                        state_text_set(ret,
                                       "waiting for hamgr on %s%s",
                                       state_node_name(s, n->id, name),
                                       n->instance == 0 ? ", which does not run there"
                                                        : " to tell what it knows");
                        return;
                }
        state_text_set(ret, "waiting for the first membership");
}

HaMid state_mid(const State *s) {
        return s->mid;
}

uint64_t state_sequence(const State *s) {
        return s->sequence;
}

bool state_is_quorate(const State *s) {
        return s->quorate;
}

NodeSet state_members(const State *s) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->state == STATE_NODE_UP)
                        node_set_add(&set, n->id);
        return set;
}

NodeSet state_managers(const State *s) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->state == STATE_NODE_UP && n->hello)
                        node_set_add(&set, n->id);
        return set;
}

uint32_t state_planner(const State *s) {
        FOREACH_ARRAY(m, s->members, s->n_members) {
                const StateNode *n = state_node(s, m->node);

                if (n && n->hello && n->instance == m->instance)
                        return m->node;
        }
        return 0;
}

bool state_is_planner(const State *s) {
        return s->phase == STATE_PHASE_READY && s->quorate && state_planner(s) == s->self;
}

uint32_t state_self(const State *s) {
        return s->self;
}

size_t state_view_members(const State *s, const StateViewMember **ret) {
        *ret = s->members;
        return s->n_members;
}

const HaNodes *state_nodes(const State *s) {
        return &s->node_table;
}

GBytes *state_cluster_text(const State *s) {
        return s->cluster_text;
}

GBytes *state_cluster_wanted(const State *s, const HaNodes **ret_nodes) {
        *ret_nodes = &s->wanted.nodes;
        return s->wanted.text;
}

const HaConfig *state_config(const State *s) {
        return s->config;
}

StateVersion state_config_version(const State *s) {
        return s->version;
}

bool state_apply_pending(const State *s, StateVersion *ret_version) {
        if (!s->prepared.pending)
                return false;
        if (ret_version)
                *ret_version = s->prepared.version;
        return true;
}

size_t state_n_groups(const State *s) {
        return s->groups->len;
}

const StateGroup *state_group_at(const State *s, size_t i) {
        return i < s->groups->len ? g_ptr_array_index(s->groups, i) : NULL;
}

const StateGroup *state_group(const State *s, const char *name) {
        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                if (streq(g->name, name))
                        return g;
        }
        return NULL;
}

StateBoot state_node_boot(const StateNode *n) {
        return (StateBoot){
                .node = n->id,
                .incarnation = n->incarnation,
                .boot_id = n->boot_id,
                .mid = n->mid,
        };
}

uint64_t state_time_usec(const State *s) {
        return s->time_usec;
}

void state_clock_observe(StateClock *c, const State *s, uint64_t now_boottime_usec) {
        /* Never back: between deliveries this replica's clock ran on. */
        if (c->valid && now_boottime_usec + c->offset_usec >= s->time_usec)
                return;
        c->offset_usec = s->time_usec - now_boottime_usec;
        c->valid = true;
}

uint64_t state_clock_now(const StateClock *c, uint64_t now_boottime_usec) {
        return c->valid ? now_boottime_usec + c->offset_usec : 0;
}

uint64_t state_formed_usec(const State *s) {
        return s->formed_usec;
}
