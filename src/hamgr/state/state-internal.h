/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <inttypes.h>

#include "hamgr/state/state.h"

/* A test build breaks one rule by name, to see that the checks find it. */
#ifdef STATE_BROKEN
typedef enum StateBroken {
        STATE_BROKEN_NOTHING,
        STATE_BROKEN_TAKEOVER_FROM_UNKNOWN, /* a lost node counts as stopped */
        STATE_BROKEN_STALE_REPORT,          /* "stopped" counts with any number */
        STATE_BROKEN_STOP_FAILURE,          /* a failed stop counts as stopped */
        STATE_BROKEN_OTHER_BOOT,            /* a fence result counts for any boot and time */
        STATE_BROKEN_NO_RECHECK,            /* a plan's steps are carried out as planned */
        STATE_BROKEN_STOPPED_WHILE_ORDERED, /* "stopped" counts as proof while the start order stands */
        STATE_BROKEN_HASTY_FORMATION,       /* work begins before all have said hello */
        _STATE_BROKEN_MAX,
} StateBroken;

extern StateBroken state_broken;
#define BROKEN(what) (state_broken == STATE_BROKEN_##what)
#else
#define BROKEN(what) false
#endif

/* An operator's request that is decided and waits until it is on every disk. */
typedef struct StateRequest {
        uint64_t request;
        uint32_t node; /* that asked */
        uint64_t instance;
        uint64_t serial; /* answered when all hamgrs have stored this */
        StateResult result;
        char *text; /* owned */
} StateRequest;

/* A configuration that every hamgr is asked about. */
typedef struct StatePrepared {
        bool pending;
        GBytes *files;        /* owned; NULL: it is about cluster.conf */
        GBytes *text;         /* owned; cluster.conf, */
        HaNodes nodes;        /* and what is in it */
        StateVersion version; /* not pending: of the last one that was refused. Its number is not used again
                               */
        NodeSet waiting;      /* have not answered */
        uint64_t request;
        uint32_t node; /* that asked */
        uint64_t instance;
} StatePrepared;

/* cluster.conf that every hamgr has agreed to, and that the membership has not put in force yet. Whoever
 * asked for it is told when it has. */
typedef struct StateWanted {
        GBytes *text; /* owned; NULL: none */
        HaNodes nodes;
        uint64_t request;
        uint32_t node;
        uint64_t instance;
} StateWanted;

struct State {
        /* Not replicated: given from outside, or derived. */
        uint32_t self;
        HaConfig *config;       /* owned; parsed from files */
        StateGroupStatus *last; /* owned; of each group, as last announced */
        StateEffects *effects;  /* weak; of the step under way */
        NodeSet changed;        /* nodes whose properties changed in this step */
        bool changed_manager;

        /* Where we are in the order. */
        HaMid mid;
        uint64_t sequence;
        uint64_t time_usec;
        uint64_t formed_usec;
        StatePhase phase;

        /* The view. */
        bool quorate;
        StateViewMember members[NODE_ID_MAX]; /* oldest first */
        size_t n_members;
        StateViewNode seen[NODE_ID_MAX]; /* by id - 1; nodes that cluster.conf does not name (yet), too */
        StateNode nodes[NODE_ID_MAX];    /* by id - 1; id 0: not configured */
        StateFenceEntry history[STATE_FENCE_HISTORY_MAX]; /* oldest first */
        size_t n_history;

        /* cluster.conf. At first everybody has it from outside; then it changes by messages. */
        HaNodes node_table;
        GBytes *cluster_text; /* owned; NULL: never told */
        HaMid cluster_mid;    /* of the membership that put it in force */
        StateWanted wanted;

        /* The configuration in force, and the one that wants to be. */
        GBytes *files; /* owned */
        StateVersion version;
        uint64_t config_serial; /* of the record that put it in force */
        StatePrepared prepared;
        GPtrArray *groups; /* of StateGroup, owned; by name */

        /* The durable record. */
        HaMid record_mid;
        uint64_t serial;
        GPtrArray *requests; /* of StateRequest, owned; in the order of arrival */

        /* While forming: the newest record that any member brought. */
        GBytes *best; /* owned */
        HaMid best_mid;
        uint64_t best_serial;
};

/* The durable record, read. */
typedef struct StateRecord {
        HaMid mid;
        uint64_t serial;
        GBytes *files; /* owned */
        StateVersion version;
        GBytes *prepared_files; /* owned; NULL: none */
        StateVersion prepared_version;
        GBytes *cluster_text;  /* owned; NULL: none, like the next two */
        GBytes *wanted_text;   /* owned: agreed to by all */
        GBytes *prepared_text; /* owned: every hamgr was asked about it */
        HaNodes cluster_nodes, wanted_nodes, prepared_nodes;
        NodeSet standby;
        NodeSet detached;
        struct StateRecordGroup {
                char name[NAME_LENGTH_MAX + 1];
                bool stopped;
                NodeSet extra; /* outside of its domain, and may run something of it */
        } * groups;            /* owned */
        size_t n_groups;
} StateRecord;

int state_record_read(const void *data, size_t size_bytes, StateRecord *ret);
void state_record_done(StateRecord *r);

/* ---- state.c ---- */

StateNode *state_node_mutable(State *s, uint32_t id);
static inline StateGroupNode *group_node(StateGroup *g, uint32_t id) {
        assert(node_id_is_valid(id));
        return g->nodes + id - 1;
}
static inline const StateGroupNode *group_node_const(const StateGroup *g, uint32_t id) {
        assert(node_id_is_valid(id));
        return g->nodes + id - 1;
}
static inline StateGroup *state_group_mutable(State *s, size_t i) {
        return g_ptr_array_index(s->groups, i);
}
StateGroup *state_group_find(State *s, const char *name);
const char *state_node_name(const State *s, uint32_t id, char buf[static NAME_LENGTH_MAX + 1]);
/* "n1, n3", for g_free(). */
char *state_node_names(const State *s, NodeSet set);
/* Orders are carried out here: this replica's instance has said hello. */
bool state_self_acts(const State *s);
void state_node_enter(State *s, StateNode *n, StateNodeState state);
/* Nothing of the old boot runs there any more, in no group. */
void state_node_proven_dead(State *s, StateNode *n);
void state_advance(State *s, uint64_t time_usec);

/* check.c: every invariant that one replica can see */
bool state_is_sound(const State *s);

/* ---- effects.c ---- */

StateEffect *state_effect(State *s, StateEffectType type);
void state_event(State *s, StateEventKind kind, const char *group, uint32_t node, const char *format, ...)
                _printf_(5, 6);
void state_node_changed(State *s, uint32_t node);

/* ---- group.c ---- */

StateGroup *state_group_new(const char *name);
void state_group_free(StateGroup *g);
/* The one place where a group is ordered to start, and the one where it is ordered to stop. */
void state_group_order_start(State *s, StateGroup *g, uint32_t node, const char *reason);
void state_group_order_stop(State *s, StateGroup *g, uint32_t node, const char *reason);
/* Tells this replica's node what stands about every group, after its hello. */
void state_group_repeat_orders(State *s);
void state_group_probe(State *s, StateGroup *g);
void state_group_node_forget_report(StateGroupNode *gn);
void state_group_forget_failures(StateGroup *g, uint32_t node_or_none);
/* The nodes on which something of it was seen, at least two; empty: no conflict. */
NodeSet state_group_conflict(const StateGroup *g);
void state_take_report(State *s, const StateViewMember *sender, const StateReport *report);

/* ---- cluster.c ---- */

void state_take_cluster_prepare(State *s, const StateViewMember *sender, const StateCluster *c);
void state_take_cluster_in_force(State *s, const StateCluster *c);
/* Every hamgr has agreed to what was prepared. */
void state_cluster_decide(State *s);
/* This node's hamgr is there: what the membership has not put in force yet may not be in its file. */
void state_cluster_repeat(State *s);
/* Nodes that cluster.conf does not name any more go when nothing here is about them. */
void state_cluster_settle(State *s);

/* ---- history.c ---- */

void state_history_begin(State *s, const StateBoot *boot, uint32_t fencer, const char *reason);
/* Of what is under way about that node, if anything is. */
void state_history_end(
                State *s, uint32_t node, StateFenceOutcome outcome, const char *device, const char *text);
/* Another boot of it is a member than the one that n still tells of. */
void state_history_node_rebooted(State *s, StateNode *n);
void state_history_tell_rebooted(State *s, StateNode *n);

/* ---- view.c, fence.c, plan.c, operator.c, apply.c, record.c, formation.c ---- */

void state_take_view(State *s, const StateView *view);
/* What the last view said, once more: other nodes are known now. */
void state_view_again(State *s);

bool state_fence_step_holds(const State *s, const StateStep *step, char ret_reason[static STATE_TEXT_MAX]);
void state_fence_start(State *s, const StateStep *step);
void state_fence_withdraw(State *s, StateNode *n, const char *reason);
void state_fence_give_up(State *s, StateNode *n, const char *reason);
void state_fence_expire(State *s, StateNode *n);
void state_take_fence_result(State *s, const StateViewMember *sender, const StateFenceResult *result);
void state_take_fenced_for_quorum(State *s, const StateViewMember *sender, const StateFenceResult *result);
bool state_fence_confirm(State *s, const StateBoot *boot, char ret_reason[static STATE_TEXT_MAX]);

void state_take_plan(State *s, const StateViewMember *sender, const StatePlan *plan);

void state_take_operator(State *s, const StateViewMember *sender, const StateOperator *o);
void state_take_leaving(State *s, const StateViewMember *sender);

void state_take_prepare(State *s, const StateViewMember *sender, const StateApplyPrepare *a);
void state_take_prepare_answer(State *s, const StateViewMember *sender, const StateApplyAnswer *a);
/* All that were asked have answered or left. */
void state_prepared_settle(State *s);
bool state_apply_may_begin(State *s, const StateViewMember *sender, uint64_t request);
/* Every member is asked from now on; about what, the caller adds. */
void state_prepared_begin(State *s, const StateViewMember *sender, uint64_t request);
void state_prepared_drop(State *s, StateResult result, const char *text);
/* Makes the parsed configuration the one in force: groups come, stay and go. */
void state_install_config(State *s, HaConfig *config);

/* Nodes that left with groups running: durable. */
NodeSet state_detached(const State *s);
/* Something durable changed: a new record, to be stored everywhere. */
void state_record_bump(State *s, bool in_force, bool prepare);
void state_record_store(State *s, bool in_force);
void state_prepare_effect(State *s);
void state_answer(
                State *s,
                const StateViewMember *asker,
                uint64_t request,
                StateResult result,
                const char *text);
/* Answers when what is decided now is on every disk. */
void state_answer_stored(
                State *s,
                const StateViewMember *asker,
                uint64_t request,
                StateResult result,
                const char *text);
void state_requests_settle(State *s);
void state_request_free(StateRequest *r);

void state_take_hello(State *s, const StateViewMember *sender, const StateHello *hello);
void state_form_if_complete(State *s);
