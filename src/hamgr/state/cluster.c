/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cluster.conf in the replicated state (R7, R14). What is in force is the membership's to say: a hamgr whose
 * hagcd has it in force tells the others, in the order, and all take over its nodes at the same point. What
 * an operator wants to be in force is agreed upon as any configuration is (R17): every hamgr says that it is
 * possible there and stores it; then each writes its file and has its hagcd read it, and the membership
 * decides.
 *
 *      none --prepare--> prepared --all agree--> wanted --in force--> none
 *                            \--one refuses--> none
 *
 * Where only that changes which memberships do not agree by, there is nothing to wait for: wanted is in
 * force.
 *
 * Nobody may stop counting by it who may still run something: that is refused before anybody is asked, and
 * again by the membership, which has the last word. */

#include "hamgr/state/state-internal.h"

static const HaNode *node_in(const HaNodes *nodes, const HaNode *as) {
        const HaNode *n = ha_nodes_find(nodes, as->id);

        return n && n->identity == as->identity && streq(n->name, as->name) ? n : NULL;
}

static bool may_run_something(const State *s, uint32_t id) {
        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                if (node_set_contains(g->may_run, id))
                        return true;
        }
        return false;
}

/* The first group whose files name it, or NULL. */
static const HaGroup *named_by(const State *s, uint32_t id) {
        for (size_t i = 0; i < s->config->n_groups; i++)
                if (node_set_contains(ha_group_nodes(&s->config->groups[i]), id))
                        return &s->config->groups[i];
        return NULL;
}

/* ---- May it go? ---- */

/* R14: by proof only. NULL: nothing is in the way. */
static char *going_refused(const State *s, const HaNode *node, const char *how) {
        const StateNode *n = state_node(s, node->id);

        if (!n || n->state == STATE_NODE_DOWN || n->state == STATE_NODE_INACTIVE)
                return NULL;
        if (n->state == STATE_NODE_UP)
                return g_strdup_printf(
                                "%s is a member of the cluster and cannot be %s: stop it first, by "
                                "\"systemctl "
                                "stop hagcd\" there",
                                node->name,
                                how);
        if (n->incarnation == 0 && !may_run_something(s, node->id))
                return NULL; /* never seen */
        return g_strdup_printf(
                        "%s is %s, may still run something, and cannot be %s: start it and stop it by "
                        "\"systemctl "
                        "stop hagcd\" there, or make sure that it is off, then: hactl fence confirm %s",
                        node->name,
                        state_node_state_to_string(n->state),
                        how,
                        node->name);
}

/* A line for each node that is in the way; NULL: none. */
static char *nodes_refused(const State *s, const HaNodes *nodes) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        FOREACH_ARRAY(old, s->node_table.nodes, s->node_table.n_nodes) {
                const HaNode *now = node_in(nodes, old);
                const HaGroup *group = now ? NULL : named_by(s, old->id);
                char *line = NULL;

                if (old->gone)
                        continue;
                if (!now)
                        line = going_refused(s, old, "taken out");
                else if (old->enabled && !now->enabled)
                        line = going_refused(s, now, "disabled");
                if (line)
                        g_ptr_array_add(lines, line);
                if (group)
                        g_ptr_array_add(lines,
                                        g_strdup_printf("%s.group names %s: take it out of Domain= and "
                                                        "Standby= "
                                                        "there first, and apply that",
                                                        group->name,
                                                        old->name));
        }
        if (lines->len == 0)
                return NULL;
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}

/* ---- Prepared, wanted ---- */

void state_take_cluster_prepare(State *s, const StateViewMember *sender, const StateCluster *c) {
        g_autofree char *text = NULL;

        if (!state_apply_may_begin(s, sender, c->request))
                return;
        text = nodes_refused(s, c->nodes);
        if (text) {
                state_answer(s, sender, c->request, STATE_RESULT_REFUSED, text);
                return;
        }
        state_prepared_begin(s, sender, c->request);
        s->prepared.text = g_bytes_ref(c->text);
        s->prepared.nodes = *c->nodes;
        state_event(s,
                    STATE_EVENT_CONFIG_PREPARED,
                    NULL,
                    sender->node,
                    "a cluster.conf of %zu nodes is given to every node to check and store it",
                    c->nodes->n_nodes);
        state_record_bump(s, false, true);
}

/* What was wanted is in force, or is not wanted any more; whoever asked for it is told when that is stored.
 */
static void wanted_end(State *s, StateResult result, const char *text) {
        StateWanted w = s->wanted;

        s->wanted = (StateWanted){ 0 };
        state_record_bump(s, false, false);
        if (w.node != 0)
                state_answer_stored(s, &(StateViewMember){ w.node, w.instance }, w.request, result, text);
        g_bytes_unref(w.text);
}

static void write_effect(State *s, GBytes *text) {
        if (state_self_acts(s))
                state_effect(s, STATE_EFFECT_WRITE_CLUSTER)->files = g_bytes_ref(text);
}

void state_cluster_repeat(State *s) {
        if (s->wanted.text)
                write_effect(s, s->wanted.text);
}

/* What memberships agree by is as it was. So the rest of the file, such as who may join which group, counts
 * from here on. */
static void no_membership_needed(State *s) {
        g_clear_pointer(&s->cluster_text, g_bytes_unref);
        s->cluster_text = g_bytes_ref(s->wanted.text);
        (void) state_effect(s, STATE_EFFECT_CLUSTER);
        wanted_end(s, STATE_RESULT_NOTHING_TO_DO, NULL);
}

void state_cluster_decide(State *s) {
        StatePrepared p = s->prepared;
        g_autofree char *text = nodes_refused(s, &p.nodes);

        /* Whoever was out may be back by now. */
        if (text) {
                state_prepared_drop(s, STATE_RESULT_REFUSED, text);
                return;
        }
        s->prepared = (StatePrepared){ .version = p.version };
        if (s->wanted.text)
                wanted_end(s,
                           STATE_RESULT_REFUSED,
                           "another cluster.conf was applied before it was in force");
        s->wanted = (StateWanted){ p.text, p.nodes, p.request, p.node, p.instance };
        state_event(s,
                    STATE_EVENT_CLUSTER_WANTED,
                    NULL,
                    p.node,
                    "every node has agreed to a cluster.conf of %zu nodes; now the membership decides",
                    p.nodes.n_nodes);
        write_effect(s, p.text);
        if (p.nodes.hash == s->node_table.hash)
                no_membership_needed(s);
        else
                state_record_bump(s, false, false);
}

/* ---- In force ---- */

/* Those of before that something here is still about stay until nothing is. */
static void keep_the_gone(const State *s, HaNodes *nodes) {
        HaNodes all = *nodes;
        size_t i = 0;

        all.n_nodes = 0;
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                const HaNode *old = ha_nodes_find(&s->node_table, id);

                if (i < nodes->n_nodes && nodes->nodes[i].id == id)
                        all.nodes[all.n_nodes++] = nodes->nodes[i++];
                else if (old) {
                        all.nodes[all.n_nodes] = *old;
                        all.nodes[all.n_nodes].gone = true;
                        all.nodes[all.n_nodes++].enabled = false;
                }
        }
        *nodes = all;
}

/* The groups in force, by the names of these nodes; NULL when they do not fit. */
static HaConfig *parse_with(const State *s, const HaNodes *nodes) {
        ConfErrors errors = { 0 };
        HaFile *files = NULL;
        size_t n_files = 0;
        HaConfig *c = NULL;
        gsize size_bytes;
        const void *data = g_bytes_get_data(s->files, &size_bytes);

        if (ha_files_deserialize(data, size_bytes, &files, &n_files) >= 0)
                (void) ha_config_parse(nodes, files, n_files, &c, &errors);
        conf_errors_done(&errors);
        ha_files_free(files, n_files);
        return c;
}

static bool same_groups(const HaConfig *a, const HaConfig *b) {
        if (a->n_groups != b->n_groups)
                return false;
        for (size_t i = 0; i < a->n_groups; i++) {
                const HaGroup *x = &a->groups[i], *y = &b->groups[i];

                if (!streq(x->name, y->name) || x->n_domain != y->n_domain || x->n_standby != y->n_standby ||
                    memcmp(x->domain, y->domain, x->n_domain * sizeof(*x->domain)) != 0 ||
                    memcmp(x->standby, y->standby, x->n_standby * sizeof(*x->standby)) != 0)
                        return false;
        }
        return true;
}

static void take_nodes(State *s, const HaNodes *nodes) {
        FOREACH_ARRAY(now, nodes->nodes, nodes->n_nodes) {
                const HaNode *old = ha_nodes_find(&s->node_table, now->id);
                StateNode *n = &s->nodes[now->id - 1];

                if (old && node_in(nodes, old))
                        continue;
                /* Another server than the one before, which is proven to run nothing. */
                *n = (StateNode){ .id = now->id, .since_usec = s->time_usec };
                state_node_changed(s, now->id);
        }
        s->node_table = *nodes;
}

/* False: they do not fit the groups, and those of before stay. */
static bool change_nodes(State *s, const HaNodes *wanted) {
        _cleanup_(ha_config_freep) HaConfig *config = NULL;
        HaNodes nodes = *wanted;

        keep_the_gone(s, &nodes);
        config = parse_with(s, &nodes);
        if (!config && s->config->n_groups > 0) {
                state_event(s,
                            STATE_EVENT_CONFIG_DROPPED,
                            NULL,
                            0,
                            "the groups in force name a node that is another server by the cluster.conf "
                            "that is "
                            "in force; going on with the nodes of before: apply groups that name others");
                return false;
        }
        take_nodes(s, &nodes);
        if (config && !same_groups(config, s->config))
                state_install_config(s, TAKE_PTR(config));
        state_view_again(s);
        (void) state_effect(s, STATE_EFFECT_CLUSTER);
        state_event(s,
                    STATE_EVENT_CLUSTER_IN_FORCE,
                    NULL,
                    0,
                    "cluster.conf with %zu nodes is in force",
                    wanted->n_nodes);
        s->changed_manager = true;
        return true;
}

void state_take_cluster_in_force(State *s, const StateCluster *c) {
        if (s->phase != STATE_PHASE_READY || ha_mid_compare(c->mid, s->cluster_mid) < 0)
                return;
        if (s->cluster_text && c->nodes->hash == s->node_table.hash)
                return;
        if (c->nodes->hash != s->node_table.hash && !change_nodes(s, c->nodes))
                return;
        g_clear_pointer(&s->cluster_text, g_bytes_unref);
        s->cluster_text = g_bytes_ref(c->text);
        s->cluster_mid = c->mid;
        if (s->wanted.text && s->wanted.nodes.hash == c->nodes->hash)
                wanted_end(s, STATE_RESULT_OK, NULL);
        else
                state_record_bump(s, false, false);
}

void state_cluster_settle(State *s) {
        HaNodes left = s->node_table;

        left.n_nodes = 0;
        FOREACH_ARRAY(n, s->node_table.nodes, s->node_table.n_nodes) {
                StateNode *node = &s->nodes[n->id - 1];
                bool proven = node->state == STATE_NODE_DOWN || node->state == STATE_NODE_INACTIVE ||
                              node->incarnation == 0;

                if (n->gone && proven && !may_run_something(s, n->id) && !named_by(s, n->id)) {
                        *node = (StateNode){ 0 };
                        continue;
                }
                left.nodes[left.n_nodes++] = *n;
        }
        if (left.n_nodes == s->node_table.n_nodes)
                return;
        s->node_table = left;
        (void) state_effect(s, STATE_EFFECT_CLUSTER);
        s->changed_manager = true;
}
