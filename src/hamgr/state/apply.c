/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A configuration comes into force in two ordered steps (R17): prepared, when it is sent around, each hamgr
 * checks it against its own machine and writes it; in force, when the last one that was asked has answered.
 * It is refused as a whole or taken as a whole. What may run where does not change by it (R14): a resource
 * is taken away only from a group that is proven to run nowhere. */

#include "hamgr/state/state-internal.h"

#define CHANGES_MAX 64U /* lines of an answer, each of at most STATE_REASONS_MAX / CHANGES_MAX bytes */

static char *join_lines(GPtrArray *lines) {
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}

/* Files are edited on whatever node: one that lacks some of them must not take away what they describe. NULL
 * when it does not; else a line for each. */
static char *removal_refused(const State *s, const HaConfig *config, uint32_t node) {
        g_autoptr(GPtrArray) missing = ha_config_missing(s->config, config);
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        char name[NAME_LENGTH_MAX + 1];

        for (guint i = 0; i < missing->len && i < CHANGES_MAX; i++)
                g_ptr_array_add(lines,
                                g_strdup_printf("%s is in force, and not among the files that %s applies",
                                                (const char *) missing->pdata[i],
                                                state_node_name(s, node, name)));
        return missing->len > 0 ? join_lines(lines) : NULL;
}

/* For whoever asked; what would be too long for an answer ends in how many more there are. */
static char *tell_changes(const State *s, const HaConfig *config) {
        g_autoptr(GPtrArray) lines = ha_config_changes(s->config, config);

        if (lines->len > CHANGES_MAX) {
                guint more = lines->len - CHANGES_MAX;

                g_ptr_array_set_size(lines, CHANGES_MAX);
                g_ptr_array_add(lines, g_strdup_printf("and %u more", more));
        }
        return join_lines(lines);
}

/* NULL when the change may be made; else one line for each thing in the way. */
static char *change_refused(const State *s, const HaConfig *config) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);
                g_autofree char *names = state_node_names(s, g->may_run);
                guint first = lines->len;

                if (g->may_run == NODE_SET_EMPTY ||
                    ha_group_resources_removed(g->config, ha_config_find_group(config, g->name), lines) == 0)
                        continue;
                for (guint k = first; k < lines->len; k++) {
                        char *line = g_ptr_array_index(lines, k);

                        g_ptr_array_index(lines, k) =
                                        g_strdup_printf("%s, and may still run on %s; stop it first: hactl "
                                                        "group stop %s",
                                                        line,
                                                        names,
                                                        g->name);
                        g_free(line);
                }
        }
        return lines->len > 0 ? join_lines(lines) : NULL;
}

static StateResult parse_files(const State *s, GBytes *bytes, HaConfig **ret, char **ret_text) {
        ConfErrors errors = { 0 };
        HaFile *files = NULL;
        size_t n_files = 0;
        gsize size_bytes;
        const void *data = g_bytes_get_data(bytes, &size_bytes);
        char *text;
        int r;

        if (ha_files_deserialize(data, size_bytes, &files, &n_files) < 0) {
                *ret_text = g_strdup("the files came in a form that cannot be read");
                return STATE_RESULT_INVALID;
        }
        r = ha_config_parse(&s->node_table, files, n_files, ret, &errors);
        ha_files_free(files, n_files);
        if (r < 0) {
                text = conf_errors_to_text(&errors);
                *ret_text = g_strdup(strempty(text));
                free(text);
        }
        conf_errors_done(&errors);
        return r < 0 ? STATE_RESULT_INVALID : STATE_RESULT_OK;
}

static bool files_are_canonical(const HaConfig *c, GBytes *bytes) {
        g_autoptr(GBytes) canonical = ha_files_serialize(c->files, c->n_files);

        return canonical && g_bytes_equal(canonical, bytes);
}

bool state_apply_may_begin(State *s, const StateViewMember *sender, uint64_t request) {
        const char *text;

        if (s->prepared.pending)
                text = "another configuration is being applied; try again";
        else if (s->phase != STATE_PHASE_READY)
                text = "the cluster is still forming; try again";
        else if (s->requests->len >= STATE_REQUESTS_MAX)
                text = "too many requests wait to be stored on every node; try again";
        else
                return true;
        state_answer(s, sender, request, STATE_RESULT_BUSY, text);
        return false;
}

void state_prepared_begin(State *s, const StateViewMember *sender, uint64_t request) {
        s->prepared = (StatePrepared){
                .pending = true,
                .version = { s->mid, MAX(s->version.number, s->prepared.version.number) + 1 },
                .waiting = state_members(s),
                .request = request,
                .node = sender->node,
                .instance = sender->instance,
        };
}

void state_take_prepare(State *s, const StateViewMember *sender, const StateApplyPrepare *a) {
        _cleanup_(ha_config_freep) HaConfig *config = NULL;
        g_autofree char *text = NULL;
        StateResult result;

        if (!state_apply_may_begin(s, sender, a->request))
                return;
        result = parse_files(s, a->files, &config, &text);
        if (result == STATE_RESULT_OK && !files_are_canonical(config, a->files)) {
                result = STATE_RESULT_INVALID;
                text = g_strdup("the files are not in their canonical order");
        }
        if (result == STATE_RESULT_OK && !a->remove) {
                text = removal_refused(s, config, sender->node);
                if (text)
                        result = STATE_RESULT_WOULD_REMOVE;
        }
        if (result == STATE_RESULT_OK) {
                text = change_refused(s, config);
                if (text)
                        result = STATE_RESULT_REFUSED;
        }
        if (result == STATE_RESULT_OK && config->hash == s->config->hash &&
            g_bytes_equal(a->files, s->files)) {
                state_answer_stored(
                                s, sender, a->request, STATE_RESULT_NOTHING_TO_DO, "it is in force already");
                return;
        }
        if (result != STATE_RESULT_OK) {
                state_answer(s, sender, a->request, result, text);
                return;
        }

        state_prepared_begin(s, sender, a->request);
        s->prepared.files = g_bytes_ref(a->files);
        state_event(s,
                    STATE_EVENT_CONFIG_PREPARED,
                    NULL,
                    sender->node,
                    "configuration %" PRIu64 " is given to every node to check and write it",
                    s->prepared.version.number);
        state_record_bump(s, false, true);
}

void state_prepared_drop(State *s, StateResult result, const char *text) {
        StatePrepared p = s->prepared;

        s->prepared = (StatePrepared){ .version = p.version };
        g_clear_pointer(&p.files, g_bytes_unref);
        g_clear_pointer(&p.text, g_bytes_unref);
        state_event(s,
                    STATE_EVENT_CONFIG_DROPPED,
                    NULL,
                    p.node,
                    "configuration %" PRIu64 " was refused: %s",
                    p.version.number,
                    text);
        state_record_bump(s, false, false);
        state_answer_stored(s, &(StateViewMember){ p.node, p.instance }, p.request, result, text);
}

void state_take_prepare_answer(State *s, const StateViewMember *sender, const StateApplyAnswer *a) {
        char name[NAME_LENGTH_MAX + 1];

        if (!s->prepared.pending || !state_version_equal(a->version, s->prepared.version) ||
            !node_set_contains(s->prepared.waiting, sender->node))
                return;
        if (!a->ok) {
                g_autofree char *text =
                                g_strdup_printf("%s: %s",
                                                state_node_name(s, sender->node, name),
                                                a->reasons ? a->reasons : "refused without a reason");

                state_prepared_drop(s, STATE_RESULT_REFUSED, text);
                return;
        }
        node_set_remove(&s->prepared.waiting, sender->node);
}

static int compare_groups(gconstpointer a, gconstpointer b) {
        const StateGroup *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

void state_install_config(State *s, HaConfig *config) {
        HaConfig *old = s->config;

        for (guint i = 0; i < s->groups->len;) {
                StateGroup *g = state_group_mutable(s, i);
                const HaGroup *now = ha_config_find_group(config, g->name);

                if (!now) {
                        assert(g->may_run == NODE_SET_EMPTY || old->n_groups == 0);
                        state_group_free(g_ptr_array_remove_index(s->groups, i));
                        continue;
                }
                /* Who is new in the domain has to say what it runs; who left it stays in may_run until it
                 * has. */
                NODE_SET_FOREACH(id, node_set_minus(ha_group_nodes(now), ha_group_nodes(g->config))) {
                        const StateNode *n = state_node(s, id);

                        state_group_node_forget_report(group_node(g, id));
                        if (n && n->state != STATE_NODE_DOWN && n->state != STATE_NODE_INACTIVE)
                                node_set_add(&g->may_run, id);
                }
                g->config = now;
                i++;
        }
        FOREACH_ARRAY(c, config->groups, config->n_groups) {
                StateGroup *g = state_group_find(s, c->name);

                if (g)
                        continue;
                g = state_group_new(c->name);
                g->config = c;
                NODE_SET_FOREACH(id, ha_group_nodes(c)) {
                        const StateNode *n = state_node(s, id);

                        if (n && n->state != STATE_NODE_DOWN && n->state != STATE_NODE_INACTIVE)
                                node_set_add(&g->may_run, id);
                }
                g_ptr_array_add(s->groups, g);
        }
        g_ptr_array_sort(s->groups, compare_groups);
        s->config = config;
        ha_config_free(old);

        g_free(s->last);
        s->last = g_new0(StateGroupStatus, s->groups->len + 1);
        for (guint i = 0; i < s->groups->len; i++)
                s->last[i].run = _STATE_RUN_INVALID;
        if (s->effects)
                (void) state_effect(s, STATE_EFFECT_OBJECTS);
        s->changed_manager = true;
}

void state_prepared_settle(State *s) {
        _cleanup_(ha_config_freep) HaConfig *config = NULL;
        g_autofree char *text = NULL, *changes = NULL;
        StatePrepared p = s->prepared;

        if (!p.pending || p.waiting != NODE_SET_EMPTY)
                return;
        if (p.text) {
                state_cluster_decide(s);
                return;
        }

        /* A group that was at rest when it was prepared may run by now. */
        if (parse_files(s, p.files, &config, &text) != STATE_RESULT_OK) {
                state_prepared_drop(s, STATE_RESULT_INVALID, text);
                return;
        }
        text = change_refused(s, config);
        if (text) {
                state_prepared_drop(s, STATE_RESULT_REFUSED, text);
                return;
        }

        changes = tell_changes(s, config);
        s->prepared = (StatePrepared){ 0 };
        g_bytes_unref(s->files);
        s->files = p.files;
        s->version = p.version;
        state_install_config(s, TAKE_PTR(config));
        state_event(s,
                    STATE_EVENT_CONFIG_IN_FORCE,
                    NULL,
                    p.node,
                    "configuration %" PRIu64 " is in force",
                    s->version.number);
        state_record_bump(s, true, false);
        state_answer_stored(
                        s, &(StateViewMember){ p.node, p.instance }, p.request, STATE_RESULT_OK, changes);
        for (guint i = 0; i < s->groups->len; i++)
                state_group_probe(s, state_group_mutable(s, i));
}
