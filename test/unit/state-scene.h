/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A scene for tests of the state and the engine: one cluster, told step by step. Each node with a hamgr has
 * a replica; every delivery goes to all of them, and they must stay equal. Newcomers begin with a snapshot.
 */

#include <inttypes.h>

#include <glib.h>

#include "hamgr/engine/engine.h"
#include "hamgr/state/state.h"

#define SCENE_NODES_MAX 8U

typedef struct SceneNode {
        StateNodeState state;
        uint64_t incarnation;
        uint64_t boot;
        uint64_t instance;  /* 0: no hamgr */
        const char *reason; /* why it is in its state */
        State *replica;
        StateEffects effects; /* since scene_forget() */
        GBytes *disk;         /* the newest record that it stored */
        uint64_t reset_usec;  /* what its hamgr says of its keeper; 0: nothing */
} SceneNode;

typedef struct Scene {
        HaNodes table;
        HaNodes began;                        /* what a hamgr that begins has read, when that is not all */
        SceneNode nodes[SCENE_NODES_MAX + 1]; /* by id */
        StateViewMember members[SCENE_NODES_MAX]; /* oldest first */
        size_t n_members;
        HaMid mid;
        uint64_t sequence;
        uint64_t now_usec; /* cluster time, stamped into messages */
        uint64_t next_instance;
        bool quorate;

        GPtrArray *files; /* of HaFile */
} Scene;

static _unused_ void scene_init(Scene *s, unsigned n_nodes) {
        *s = (Scene){ .mid = { 1, 1 }, .next_instance = 1, .quorate = true };
        s->table.n_nodes = n_nodes;
        s->table.unseen_fence_usec = 20000000;
        for (unsigned i = 0; i < n_nodes; i++) {
                HaNode *n = s->table.nodes + i;

                n->id = i + 1;
                g_snprintf(n->name, sizeof(n->name), "n%u", i + 1);
                n->enabled = n->has_fence_device = true;
                s->nodes[i + 1].state = STATE_NODE_UNKNOWN;
        }
        s->files = g_ptr_array_new();
}

static _unused_ void scene_done(Scene *s) {
        for (unsigned id = 1; id <= s->table.n_nodes; id++) {
                state_free(s->nodes[id].replica);
                state_effects_done(&s->nodes[id].effects);
                if (s->nodes[id].disk)
                        g_bytes_unref(s->nodes[id].disk);
        }
        for (guint i = 0; i < s->files->len; i++) {
                HaFile *f = g_ptr_array_index(s->files, i);

                g_free(f->name);
                g_free(f->text);
                g_free(f);
        }
        g_ptr_array_unref(s->files);
}

static _unused_ StateBootId scene_boot_id(uint64_t boot) {
        StateBootId id = { 0 };

        memcpy(id.bytes, &boot, sizeof(boot));
        return id;
}

/* The first replica: what all agree on. */
static _unused_ State *scene_state(Scene *s) {
        for (size_t i = 0; i < s->n_members; i++)
                if (s->nodes[s->members[i].node].replica)
                        return s->nodes[s->members[i].node].replica;
        return NULL;
}

/* What a node's hamgr was told to do since the last scene_forget(): the newest of that type about that
 * group. */
static _unused_ const StateEffect *
scene_effect(const Scene *s, uint32_t node, StateEffectType type, const char *group) {
        const StateEffects *e = &s->nodes[node].effects;

        for (size_t i = e->n_effects; i > 0; i--)
                if (e->effects[i - 1].type == type && (!group || streq(e->effects[i - 1].group, group)))
                        return e->effects + i - 1;
        return NULL;
}

static _unused_ void scene_forget(Scene *s) {
        for (unsigned id = 1; id <= s->table.n_nodes; id++)
                state_effects_clear(&s->nodes[id].effects);
}

static _unused_ void scene_check(Scene *s) {
        g_autoptr(GBytes) first = NULL;

        for (size_t i = 0; i < s->n_members; i++) {
                State *replica = s->nodes[s->members[i].node].replica;
                g_autoptr(GBytes) bytes = state_serialize(replica);
                g_autoptr(GBytes) again = NULL;
                _cleanup_(state_freep) State *copy = NULL;

                state_check(replica);
                if (!first)
                        first = g_bytes_ref(bytes);
                g_assert_true(g_bytes_equal(first, bytes));
                g_assert_cmpint(state_deserialize(
                                                s->members[i].node,
                                                g_bytes_get_data(bytes, NULL),
                                                g_bytes_get_size(bytes),
                                                &copy),
                                ==,
                                0);
                again = state_serialize(copy);
                g_assert_true(g_bytes_equal(bytes, again));
        }
}

static _unused_ void scene_input(Scene *s, StateInput *input) {
        input->mid = s->mid;
        input->sequence = ++s->sequence;
        for (size_t i = 0; i < s->n_members; i++) {
                SceneNode *n = s->nodes + s->members[i].node;

                if (n->replica)
                        state_apply(n->replica, input, &n->effects);
        }
}

/* A message as the given instance of the node would send it; it goes through encoder and decoder. Takes it
 * over. */
static _unused_ void scene_message_from(Scene *s, uint32_t node, uint64_t instance, StateMessage *m) {
        g_autoptr(GBytes) bytes = NULL;
        StateMessage decoded;

        m->time_usec = s->now_usec;
        bytes = state_message_encode(m);
        g_assert_nonnull(bytes);
        g_assert_cmpint(state_message_decode(
                                        g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &decoded),
                        ==,
                        0);
        scene_input(s,
                    &(StateInput){
                                    .type = STATE_INPUT_MESSAGE,
                                    .sender = { node, instance },
                                    .message = &decoded,
                    });
        state_message_done(&decoded);
        state_message_done(m);
        scene_check(s);
}

static _unused_ void scene_message(Scene *s, uint32_t node, StateMessage m) {
        scene_message_from(s, node, s->nodes[node].instance, &m);
}

/* Delivers the membership as s->nodes has it; hamgrs that are new in it get a replica. A change of nodes has
 * a new mid. */
static _unused_ void scene_view(Scene *s, bool nodes_changed) {
        StateViewNode nodes[SCENE_NODES_MAX];
        StateViewMember kept[SCENE_NODES_MAX];
        bool fresh[SCENE_NODES_MAX + 1] = { 0 };
        size_t n_kept = 0;
        bool formation;
        StateInput input;

        for (size_t i = 0; i < s->n_members; i++)
                if (s->nodes[s->members[i].node].instance == s->members[i].instance &&
                    s->nodes[s->members[i].node].state == STATE_NODE_UP)
                        kept[n_kept++] = s->members[i];
        formation = n_kept == 0;
        for (uint32_t id = 1; id <= s->table.n_nodes; id++) {
                SceneNode *n = s->nodes + id;
                bool is_kept = false;

                nodes[id - 1] = (StateViewNode){
                        .id = id,
                        .state = n->state,
                        .incarnation = n->incarnation,
                        .boot_id = scene_boot_id(n->boot),
                };
                g_strlcpy(nodes[id - 1].reason, strempty(n->reason), sizeof(nodes[id - 1].reason));
                for (size_t i = 0; i < n_kept; i++)
                        is_kept = is_kept || kept[i].node == id;
                if (!is_kept) {
                        n->replica = state_free(n->replica);
                        fresh[id] = n->instance != 0 && n->state == STATE_NODE_UP;
                }
        }
        for (uint32_t id = 1; id <= s->table.n_nodes; id++)
                if (fresh[id]) {
                        kept[n_kept++] = (StateViewMember){ id, s->nodes[id].instance };
                        if (formation)
                                s->nodes[id].replica =
                                                state_new(s->began.n_nodes > 0 ? &s->began : &s->table, id);
                }
        if (nodes_changed) {
                s->mid.epoch++;
                s->sequence = 0;
        }
        s->n_members = n_kept;
        memcpy(s->members, kept, n_kept * sizeof(*kept));
        input = (StateInput) {
                .type = STATE_INPUT_VIEW,
                .view = {
                        .quorate = s->quorate,
                        .nodes = nodes,
                        .n_nodes = s->table.n_nodes,
                        .members = s->members,
                        .n_members = s->n_members,
                },
        };
        scene_input(s, &input);
        for (uint32_t id = 1; id <= s->table.n_nodes && !formation; id++)
                if (fresh[id]) {
                        g_autoptr(GBytes) snapshot = state_serialize(scene_state(s));

                        g_assert_cmpint(state_deserialize(
                                                        id,
                                                        g_bytes_get_data(snapshot, NULL),
                                                        g_bytes_get_size(snapshot),
                                                        &s->nodes[id].replica),
                                        ==,
                                        0);
                }
        scene_check(s);
}

static _unused_ void scene_boot(Scene *s, uint32_t node) {
        static uint64_t next = 1000;

        s->nodes[node].boot = next++;
        s->nodes[node].incarnation = next++;
        s->nodes[node].state = STATE_NODE_UP;
        s->nodes[node].instance = 0;
}

static _unused_ void scene_manager(Scene *s, uint32_t node, bool runs) {
        s->nodes[node].instance = runs ? s->next_instance++ : 0;
}

static _unused_ void scene_hello(Scene *s, uint32_t node) {
        scene_message(
                        s,
                        node,
                        (StateMessage) {
                                        .type = STATE_MESSAGE_HELLO,
                                        .hello = {
                                                .capabilities = STATE_CAPABILITY_FENCE |
                                                                (s->nodes[node].reset_usec > 0 ? STATE_CAPABILITY_RESETS : 0),
                                                .reset_usec = s->nodes[node].reset_usec,
                                                .record = s->nodes[node].disk ? g_bytes_ref(s->nodes[node].disk) : NULL,
                                        },
                        });
}

/* Writes what it was told to write, and says so. */
static _unused_ void scene_store(Scene *s, uint32_t node) {
        const StateEffect *f = scene_effect(s, node, STATE_EFFECT_STORE, NULL);
        uint64_t serial;

        if (!f)
                return;
        if (s->nodes[node].disk)
                g_bytes_unref(s->nodes[node].disk);
        s->nodes[node].disk = g_bytes_ref(f->record);
        serial = f->serial;
        scene_message(s, node, (StateMessage){ .type = STATE_MESSAGE_STORED, .stored = { serial } });
}

static _unused_ void
scene_report(Scene *s,
             uint32_t node,
             const char *group,
             uint64_t number,
             StateReportState state,
             const char *reason) {
        StateMessage m = { .type = STATE_MESSAGE_REPORT };

        g_strlcpy(m.report.group, group, sizeof(m.report.group));
        m.report.number = number;
        m.report.state = state;
        state_text_set(m.report.reason, "%s", reason);
        scene_message(s, node, m);
}

static _unused_ const StateGroup *scene_group(Scene *s, const char *name) {
        return state_group(scene_state(s), name);
}

/* The number of the newest order to that node. */
static _unused_ uint64_t scene_number(Scene *s, uint32_t node, const char *group) {
        return scene_group(s, group)->nodes[node - 1].number;
}

static _unused_ void
scene_report_now(Scene *s, uint32_t node, const char *group, StateReportState state, const char *reason) {
        scene_report(s, node, group, scene_number(s, node, group), state, reason);
}

static _unused_ uint64_t scene_operator(Scene *s, uint32_t asker, StateOperator o) {
        static uint64_t next = 1;

        o.request = next++;
        scene_message(s, asker, (StateMessage){ .type = STATE_MESSAGE_OPERATOR, .operator_ = o });
        return o.request;
}

static _unused_ void
scene_group_operation(Scene *s, uint32_t asker, StateOperation operation, const char *group, uint32_t node) {
        StateOperator o = { .operation = operation, .node = node };

        g_strlcpy(o.group, group, sizeof(o.group));
        (void) scene_operator(s, asker, o);
}

/* The answer that this node's caller got; _STATE_RESULT_INVALID: none yet. */
static _unused_ StateResult scene_answer(const Scene *s, uint32_t node) {
        const StateEffect *f = scene_effect(s, node, STATE_EFFECT_ANSWER, NULL);

        return f ? f->result : _STATE_RESULT_INVALID;
}

/* Plans on the planner. Without delivering it. */
static _unused_ void scene_plan(Scene *s, EnginePlan *ret) {
        engine_plan(scene_state(s), s->now_usec, ret);
}

static _unused_ void scene_deliver_plan(Scene *s, const StatePlan *plan) {
        StateMessage m = { .type = STATE_MESSAGE_PLAN, .plan = *plan };

        m.plan.steps = g_memdup2(plan->steps, plan->n_steps * sizeof(*plan->steps));
        scene_message(s, state_planner(scene_state(s)), m);
}

static _unused_ bool scene_plan_and_deliver(Scene *s) {
        EnginePlan p;
        bool steps;

        scene_plan(s, &p);
        steps = p.plan.n_steps > 0;
        if (steps)
                scene_deliver_plan(s, &p.plan);
        engine_plan_done(&p);
        return steps;
}

/* Every hamgr does what it was told: stores, starts, stops and looks, all well. What it runs, it is known to
 * run. */
static _unused_ bool scene_obey(Scene *s) {
        bool acted = false;

        for (uint32_t id = 1; id <= s->table.n_nodes; id++) {
                SceneNode *n = s->nodes + id;
                StateEffects todo;

                if (!n->replica)
                        continue;
                todo = n->effects;
                n->effects = (StateEffects){ 0 };
                for (size_t i = 0; i < todo.n_effects; i++) {
                        const StateEffect *f = todo.effects + i;

                        switch (f->type) {
                        case STATE_EFFECT_START:
                                scene_report(s, id, f->group, f->number, STATE_REPORT_RUNNING, "");
                                break;
                        case STATE_EFFECT_STOP:
                                scene_report(s, id, f->group, f->number, STATE_REPORT_STOPPED, "");
                                break;
                        case STATE_EFFECT_PROBE:
                                /* A test that has said what runs there has said it. */
                                if (!scene_group(s, f->group) ||
                                    scene_group(s, f->group)->nodes[id - 1].report != STATE_REPORT_NONE)
                                        continue;
                                scene_report(s, id, f->group, f->number, STATE_REPORT_STOPPED, "");
                                break;
                        case STATE_EFFECT_STORE:
                        case STATE_EFFECT_PREPARE:
                        case STATE_EFFECT_PREPARE_CLUSTER:
                                if (n->disk)
                                        g_bytes_unref(n->disk);
                                n->disk = g_bytes_ref(f->record);
                                scene_message(s,
                                              id,
                                              (StateMessage){
                                                              .type = STATE_MESSAGE_STORED,
                                                              .stored = { f->serial },
                                              });
                                if (f->type != STATE_EFFECT_STORE)
                                        scene_message(s,
                                                      id,
                                                      (StateMessage){
                                                                      .type = STATE_MESSAGE_APPLY_ANSWER,
                                                                      .apply_answer = { f->version,
                                                                                        true,
                                                                                        NULL },
                                                      });
                                break;
                        default:
                                continue;
                        }
                        acted = true;
                }
                state_effects_done(&todo);
        }
        return acted;
}

/* Plans and obeys until nothing is left to do. Fences are left unanswered. */
static _unused_ void scene_settle(Scene *s) {
        for (unsigned i = 0; i < 200; i++) {
                bool acted = scene_obey(s);

                if (state_phase(scene_state(s)) == STATE_PHASE_READY)
                        acted = scene_plan_and_deliver(s) || acted;
                if (!acted)
                        return;
        }
        g_assert_not_reached();
}

static _unused_ void scene_file(Scene *s, const char *name, const char *text) {
        HaFile *f = NULL;

        for (guint i = 0; i < s->files->len && !f; i++)
                if (streq(((HaFile *) g_ptr_array_index(s->files, i))->name, name))
                        f = g_ptr_array_index(s->files, i);
        if (!f) {
                f = g_new0(HaFile, 1);
                f->name = g_strdup(name);
                g_ptr_array_add(s->files, f);
        }
        g_free(f->text);
        f->text = g_strdup(text);
}

static _unused_ void scene_remove_file(Scene *s, const char *name) {
        for (guint i = 0; i < s->files->len; i++) {
                HaFile *f = g_ptr_array_index(s->files, i);

                if (!streq(f->name, name))
                        continue;
                g_ptr_array_remove_index(s->files, i);
                g_free(f->name);
                g_free(f->text);
                g_free(f);
                return;
        }
}

static _unused_ GBytes *scene_files(const Scene *s) {
        g_autofree HaFile *files = g_new0(HaFile, s->files->len + 1);

        for (guint i = 0; i < s->files->len; i++)
                files[i] = *(HaFile *) g_ptr_array_index(s->files, i);
        return ha_files_serialize(files, s->files->len);
}

static _unused_ void scene_send_files_with(Scene *s, uint32_t asker, bool remove) {
        scene_message(s,
                      asker,
                      (StateMessage){
                                      .type = STATE_MESSAGE_APPLY_PREPARE,
                                      .apply_prepare = { 77, scene_files(s), remove },
                      });
}

static _unused_ void scene_send_files(Scene *s, uint32_t asker) {
        scene_send_files_with(s, asker, true);
}

/* All nodes boot, form, and have the files in force. */
static _unused_ void scene_form(Scene *s) {
        for (uint32_t id = 1; id <= s->table.n_nodes; id++) {
                scene_boot(s, id);
                scene_manager(s, id, true);
        }
        scene_view(s, true);
        for (uint32_t id = 1; id <= s->table.n_nodes; id++)
                scene_hello(s, id);
        scene_settle(s);
        if (s->files->len > 0) {
                scene_send_files(s, 1);
                scene_settle(s);
                g_assert_cmpuint(state_n_groups(scene_state(s)), >, 0);
        }
        scene_forget(s);
}

static _unused_ void scene_lose(Scene *s, uint32_t node, StateNodeState state) {
        s->nodes[node].state = state;
        s->nodes[node].instance = 0;
        scene_view(s, true);
}

static _unused_ void scene_rejoin(Scene *s, uint32_t node) {
        s->nodes[node].state = STATE_NODE_UP;
        scene_manager(s, node, true);
        scene_view(s, true);
        scene_hello(s, node);
}

static _unused_ void scene_fence_result_by(
                Scene *s, uint32_t fencer, StateBoot boot, bool ok, const char *device, const char *text) {
        StateMessage m = { .type = STATE_MESSAGE_FENCE_RESULT, .fence_result = { .boot = boot, .ok = ok } };

        g_strlcpy(m.fence_result.device, device, sizeof(m.fence_result.device));
        state_text_set(m.fence_result.text, "%s", text);
        scene_message(s, fencer, m);
}

static _unused_ void
scene_fence_result(Scene *s, uint32_t fencer, StateBoot boot, bool ok, const char *text) {
        scene_fence_result_by(s, fencer, boot, ok, "power", text);
}

static _unused_ StateRun scene_run(Scene *s, const char *group, uint32_t *ret_node) {
        StateGroupStatus status;

        state_group_status(scene_state(s), state_group(scene_state(s), group), &status);
        if (ret_node)
                *ret_node = status.node;
        return status.run;
}

static _unused_ uint32_t scene_owner(Scene *s, const char *group) {
        return state_group_owner(state_group(scene_state(s), group));
}
