/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Placement. Groups are decided one after the other, by name; what an earlier one takes, a later one sees.
 * Moves are made of two plans: release here, and, when that node has reported it stopped, assign there. */

#include "hamgr/engine/engine.h"

#include <inttypes.h>

#include "basic/time-util.h"

typedef struct Planner {
        const State *state;
        uint64_t now_usec;
        EnginePlan *plan;
        GArray *steps;                   /* of StateStep */
        uint32_t taken[NODE_ID_MAX + 1]; /* groups that this plan gives to a standby node, by id */
        NodeSet fenced;                  /* this plan fences these */
} Planner;

static void wake_at(Planner *p, uint64_t usec) {
        p->plan->wakeup_usec = MIN(p->plan->wakeup_usec, usec);
}

static StateStep *add_step(Planner *p, StateStepType type, const char *reason) {
        StateStep step = { .type = type };

        g_strlcpy(step.reason, reason, sizeof(step.reason));
        g_array_append_val(p->steps, step);
        return &g_array_index(p->steps, StateStep, p->steps->len - 1);
}

static bool plan_is_full(const Planner *p) {
        return p->steps->len >= STATE_PLAN_STEPS_MAX;
}

static const char *name_of(const Planner *p, uint32_t id, char buf[static NAME_LENGTH_MAX + 1]) {
        return ha_nodes_name(state_nodes(p->state), id, buf);
}

/* ---- Fencing ---- */

/* The groups that wait for the node, or would: it may run them, or is in their domain. */
static void node_matters_to(const Planner *p, uint32_t id, GString *ret_may_run, GString *ret_domain) {
        for (size_t i = 0; i < state_n_groups(p->state); i++) {
                const StateGroup *g = state_group_at(p->state, i);

                if (node_set_contains(g->may_run, id))
                        g_string_append_printf(
                                        ret_may_run, "%s%s", ret_may_run->len > 0 ? ", " : "", g->name);
                else if (node_set_contains(ha_group_nodes(g->config), id))
                        g_string_append_printf(ret_domain, "%s%s", ret_domain->len > 0 ? ", " : "", g->name);
        }
}

/* The oldest that did not fail at it; when all have, the oldest again. */
static uint32_t choose_fencer(const Planner *p, const StateNode *target) {
        const StateViewMember *members;
        size_t n_members = state_view_members(p->state, &members);
        uint32_t again = 0;

        FOREACH_ARRAY(m, members, n_members) {
                const StateNode *n = state_node(p->state, m->node);

                if (!n || !state_node_can_fence(n, target))
                        continue;
                if (!node_set_contains(target->fence.tried, n->id) &&
                    !(target->fence.active && target->fence.fencer == n->id))
                        return n->id;
                if (again == 0)
                        again = n->id;
        }
        return again;
}

static void plan_fence(Planner *p, const StateNode *n, const char *reason) {
        uint32_t fencer;
        StateStep *step;

        if (n->fence.confirmed || n->lied || !state_node_is_fenceable(p->state, n) || plan_is_full(p))
                return;
        if (n->fence.active) {
                uint64_t end_usec = state_fence_end_usec(p->state, n);

                if (p->now_usec < end_usec) {
                        wake_at(p, end_usec);
                        return;
                }
        } else if (p->now_usec < n->fence.retry_usec) {
                wake_at(p, n->fence.retry_usec);
                return;
        }
        fencer = choose_fencer(p, n);
        if (fencer == 0)
                return;
        step = add_step(p, STATE_STEP_FENCE, reason);
        step->boot = state_node_boot(n);
        step->fencer = fencer;
        node_set_add(&p->fenced, n->id);
}

static void plan_lost_node(Planner *p, const StateNode *n, uint64_t formed_usec) {
        g_autoptr(GString) may_run = g_string_new(NULL), domain = g_string_new(NULL);
        uint64_t unseen_usec = state_nodes(p->state)->unseen_fence_usec;
        char reason[STATE_TEXT_MAX], name[NAME_LENGTH_MAX + 1];

        node_matters_to(p, n->id, may_run, domain);
        if (may_run->len == 0 && domain->len == 0)
                return;
        if (n->incarnation == 0) {
                /* After a cold start, or when it was added to cluster.conf, it may still be booting. */
                uint64_t due_usec = usec_add(MAX(formed_usec, n->since_usec), unseen_usec);

                if (unseen_usec == 0)
                        return;
                if (p->now_usec < due_usec) {
                        wake_at(p, due_usec);
                        return;
                }
        }
        state_text_set(reason,
                       "%s %s and %s %.300s",
                       name_of(p, n->id, name),
                       n->incarnation == 0 ? "was never seen" : "is lost",
                       may_run->len > 0 ? "may still run" : "is in the domain of",
                       may_run->len > 0 ? may_run->str : domain->str);
        plan_fence(p, n, reason);
}

/* A member on which a stop failed: switching it off is the stop that works. Once per group within its
 * window. */
static void plan_failed_stops(Planner *p) {
        for (size_t i = 0; i < state_n_groups(p->state); i++) {
                const StateGroup *g = state_group_at(p->state, i);

                if (g->config->policy->on_stop_failure != HA_STOP_FAILURE_FENCE)
                        continue;
                NODE_SET_FOREACH(id, g->stop_failed) {
                        const StateNode *n = state_node(p->state, id);
                        char reason[STATE_TEXT_MAX], name[NAME_LENGTH_MAX + 1];

                        if (!n || n->state != STATE_NODE_UP || node_set_contains(p->fenced, id))
                                continue;
                        if (g->stop_fenced && !n->fence.live)
                                continue;
                        state_text_set(reason, "%s cannot be stopped on %s", g->name, name_of(p, id, name));
                        plan_fence(p, n, reason);
                }
        }
}

static void plan_ordered_fences(Planner *p) {
        FOREACH_ARRAY(config, state_nodes(p->state)->nodes, state_nodes(p->state)->n_nodes) {
                const StateNode *n = state_node(p->state, config->id);

                if (n && n->fence_ordered && !node_set_contains(p->fenced, n->id))
                        plan_fence(p, n, "an operator ordered it");
        }
}

/* ---- Groups ---- */

static void decide(EngineDecision *d, uint32_t node, const char *format, ...) _printf_(3, 4);

static void decide(EngineDecision *d, uint32_t node, const char *format, ...) {
        va_list ap;
        g_autofree char *text = NULL;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        d->node = node;
        state_text_set(d->reason, "%s", text);
}

static void release(Planner *p, const StateGroup *g, uint32_t node, uint32_t target, const char *reason) {
        StateStep *step;

        if (plan_is_full(p))
                return;
        step = add_step(p, STATE_STEP_RELEASE, reason);
        g_strlcpy(step->group, g->name, sizeof(step->group));
        step->node = node;
        step->target = target;
        step->number = g->number;
}

static void assign(Planner *p, const StateGroup *g, uint32_t node, const char *reason) {
        StateStep *step;

        if (plan_is_full(p))
                return;
        step = add_step(p, STATE_STEP_ASSIGN, reason);
        g_strlcpy(step->group, g->name, sizeof(step->group));
        step->node = node;
        step->number = g->number;
        if (node_set_contains(g->config->standby_set, node))
                p->taken[node]++;
}

static uint32_t candidate_at(const HaGroup *c, size_t rank) {
        return rank < c->n_domain ? c->domain[rank] : c->standby[rank - c->n_domain];
}

/* One entry of the run-time domain: is it in, and if not, why not? */
static bool candidate_usable(
                const Planner *p, const StateGroup *g, uint32_t id, char ret_reason[static STATE_TEXT_MAX]) {
        uint32_t limit = g->config->policy->standby_load;
        char name[NAME_LENGTH_MAX + 1];

        if (!state_group_node_usable(p->state, g, id, ret_reason))
                return false;
        if (limit > 0 && node_set_contains(g->config->standby_set, id) &&
            state_standby_load(p->state, id, g) + p->taken[id] >= limit) {
                state_text_set(ret_reason,
                               "%s takes over as many groups as StandbyLoad=%" PRIu32 " allows",
                               name_of(p, id, name),
                               limit);
                return false;
        }
        return true;
}

/* First of the run-time domain; 0: none. The reason names who was passed over, and why. */
static uint32_t choose(const Planner *p, const StateGroup *g, char ret_reason[static STATE_TEXT_MAX]) {
        g_autoptr(GString) passed = g_string_new(NULL);
        const HaGroup *c = g->config;
        char why[STATE_TEXT_MAX], name[NAME_LENGTH_MAX + 1];

        if (g->preferred != 0 && candidate_usable(p, g, g->preferred, why)) {
                state_text_set(ret_reason, "an operator moved it to %s", name_of(p, g->preferred, name));
                return g->preferred;
        }
        for (size_t i = 0; i < c->n_domain + c->n_standby; i++) {
                uint32_t id = candidate_at(c, i);

                if (candidate_usable(p, g, id, why)) {
                        state_text_set(ret_reason,
                                       "%s is the first %s%s%.300s",
                                       name_of(p, id, name),
                                       i < c->n_domain ? "of its domain that can run it"
                                                       : "standby node that can take it",
                                       passed->len > 0 ? "; " : "",
                                       passed->str);
                        return id;
                }
                g_string_append_printf(passed, "%s%s", passed->len > 0 ? ", " : "", why);
        }
        state_text_set(ret_reason, "no node can run it: %.400s", passed->str);
        return 0;
}

/* A node runs it by order and well: should it go somewhere else? */
static void plan_owned_running(Planner *p, const StateGroup *g, uint32_t owner, EngineDecision *d) {
        HaFailback failback = g->config->policy->failback;
        char reason[STATE_TEXT_MAX], why[STATE_TEXT_MAX], name[NAME_LENGTH_MAX + 1];
        size_t owner_rank = ha_group_rank(g->config, owner);
        NodeSet others = node_set_without(g->may_run, owner);
        uint32_t target;

        if (!state_group_node_allowed(p->state, g, owner, why)) {
                target = choose(p, g, reason);
                if (target != 0 && others != NODE_SET_EMPTY && !state_node(p->state, owner)->leaving) {
                        /* Stopped here, it could not start there. */
                        state_group_blocked(p->state, g, owner, reason);
                        decide(d, owner, "%s; it moves as soon as it may start elsewhere: %s", why, reason);
                        return;
                }
                if (target != 0 && others == NODE_SET_EMPTY) {
                        decide(d, target, "%s; %s", why, reason);
                        release(p, g, owner, target, d->reason);
                } else {
                        decide(d, 0, "%s; %s", why, reason);
                        release(p, g, owner, 0, d->reason);
                }
                return;
        }
        if (others != NODE_SET_EMPTY) {
                state_group_blocked(p->state, g, owner, reason);
                decide(d,
                       owner,
                       "it runs on %s, and could not start elsewhere now: %s",
                       name_of(p, owner, name),
                       reason);
                return;
        }
        if (g->preferred != 0 && g->preferred != owner && candidate_usable(p, g, g->preferred, why)) {
                decide(d, g->preferred, "an operator moved it to %s", name_of(p, g->preferred, name));
                release(p, g, owner, g->preferred, d->reason);
                return;
        }
        if (g->preferred == owner) {
                decide(d, owner, "an operator moved it to %s", name_of(p, owner, name));
                return;
        }
        target = choose(p, g, reason);
        if (target != 0 && target != owner && ha_group_rank(g->config, target) < owner_rank) {
                if (failback == HA_FAILBACK_AUTOMATIC && node_set_contains(g->config->domain_set, target)) {
                        decide(d, target, "automatic failback: %s", reason);
                        release(p, g, owner, target, d->reason);
                        return;
                }
                decide(d,
                       owner,
                       "it stays, failback is %s, although %s",
                       ha_failback_to_string(failback),
                       reason);
                return;
        }
        if (g->ordered_hash != g->config->resources_hash && !state_group_blocked(p->state, g, owner, why)) {
                decide(d, owner, "its configuration changed: what was added is started");
                assign(p, g, owner, d->reason);
                return;
        }
        decide(d, owner, "it runs on %s", name_of(p, owner, name));
}

static void plan_owned(Planner *p, const StateGroup *g, uint32_t owner, EngineDecision *d) {
        const StateGroupNode *gn = &g->nodes[owner - 1];
        const StateNode *n = state_node(p->state, owner);
        char name[NAME_LENGTH_MAX + 1], reason[STATE_TEXT_MAX];

        name_of(p, owner, name);
        if (n->state != STATE_NODE_UP) {
                state_group_blocked(p->state, g, 0, reason);
                decide(d, 0, "%s", reason);
                return;
        }
        if (g->stopped) {
                decide(d, 0, "an operator stopped it");
                release(p, g, owner, 0, d->reason);
                return;
        }
        if (g->conflict != NODE_SET_EMPTY) {
                state_group_blocked(p->state, g, 0, reason);
                decide(d, owner, "%s", reason);
                return;
        }
        if (gn->report == STATE_REPORT_FAILED) {
                decide(d, 0, "it failed on %s: %s", name, gn->reason ? gn->reason : "no reason given");
                release(p, g, owner, 0, d->reason);
                return;
        }
        if (g->held != 0 && state_group_node_allowed(p->state, g, owner, reason)) {
                decide(d, owner, "it is held: an operator stopped a unit of it by hand");
                return;
        }
        if (!n->hello) {
                decide(d, owner, "hamgr on %s is away; what runs there runs on", name);
                return;
        }
        if (gn->report != STATE_REPORT_RUNNING && state_group_node_allowed(p->state, g, owner, reason)) {
                /* A start is not interrupted by a better idea. */
                decide(d, owner, "it is being started on %s", name);
                return;
        }
        plan_owned_running(p, g, owner, d);
}

/* Something of it was found, or left behind: adopt what runs where it may, stop the rest. */
static bool plan_found(Planner *p, const StateGroup *g, EngineDecision *d) {
        NODE_SET_FOREACH(id, g->may_run) {
                const StateGroupNode *gn = &g->nodes[id - 1];
                const StateNode *n = state_node(p->state, id);
                char name[NAME_LENGTH_MAX + 1], reason[STATE_TEXT_MAX];

                name_of(p, id, name);
                if (!n || n->state != STATE_NODE_UP || gn->report <= STATE_REPORT_STOPPED)
                        continue;
                if (gn->order == STATE_ORDER_STOP && gn->report != STATE_REPORT_RUNNING &&
                    gn->report != STATE_REPORT_PARTIAL) {
                        decide(d, 0, "it is being stopped on %s", name);
                        return true;
                }
                if (!g->stopped && gn->order == STATE_ORDER_NONE && gn->report == STATE_REPORT_RUNNING &&
                    candidate_usable(p, g, id, reason)) {
                        if (state_group_blocked(p->state, g, id, reason))
                                decide(d, id, "found running on %s; %s", name, reason);
                        else {
                                decide(d, id, "found running on %s", name);
                                assign(p, g, id, d->reason);
                        }
                        return true;
                }
                if (!g->stopped && gn->order == STATE_ORDER_NONE && gn->report == STATE_REPORT_RUNNING &&
                    state_group_node_allowed(p->state, g, id, reason)) {
                        /* It runs where it may, and can only not be given to it yet. */
                        decide(d, id, "found running on %s; waiting until that node is ready", name);
                        return true;
                }
                decide(d,
                       0,
                       "%s",
                       g->stopped ? "an operator stopped it"
                                  : "what was found of it on a node is stopped first");
                release(p, g, id, 0, d->reason);
                return true;
        }
        return false;
}

static void plan_group(Planner *p, const StateGroup *g, EngineDecision *d) {
        uint32_t owner = state_group_owner(g), target;
        char reason[STATE_TEXT_MAX], why[STATE_TEXT_MAX];

        g_strlcpy(d->group, g->name, sizeof(d->group));
        if (owner != 0) {
                plan_owned(p, g, owner, d);
                /* An operator's stop also ends what was found on a second node. */
                if (g->stopped && g->conflict != NODE_SET_EMPTY)
                        NODE_SET_FOREACH(id, node_set_without(g->conflict, owner))
                                if (g->nodes[id - 1].order == STATE_ORDER_NONE)
                                        release(p, g, id, 0, "an operator stopped it");
                return;
        }
        if (g->conflict != NODE_SET_EMPTY && !g->stopped) {
                state_group_blocked(p->state, g, 0, reason);
                decide(d, 0, "%s", reason);
                return;
        }
        if (plan_found(p, g, d))
                return;
        if (g->stopped) {
                decide(d, 0, "an operator stopped it");
                return;
        }
        target = choose(p, g, reason);
        if (state_group_blocked(p->state, g, target, why)) {
                decide(d, 0, "%s", why);
                return;
        }
        if (target == 0) {
                decide(d, 0, "%s", reason);
                return;
        }
        decide(d, target, "%s", reason);
        assign(p, g, target, d->reason);
}

static void tick_at(Planner *p, uint64_t usec) {
        if (usec <= p->now_usec)
                p->plan->tick = true;
        else
                wake_at(p, usec);
}

/* Marks that pass away by time: the state forgets them when a message moves its time on. */
static void plan_time(Planner *p) {
        for (size_t i = 0; i < state_n_groups(p->state); i++) {
                const StateGroup *g = state_group_at(p->state, i);
                uint64_t window_usec = g->config->policy->restart_window_usec;
                uint64_t next_usec = g->stop_fenced ? g->stop_fenced_usec + window_usec : USEC_INFINITY;

                FOREACH_ARRAY(gn, g->nodes, NODE_ID_MAX)
                        if (gn->failed)
                                next_usec = MIN(next_usec, gn->failed_usec + window_usec);
                tick_at(p, next_usec);
        }
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                const StateNode *n = state_node(p->state, id);

                if (n && n->state == STATE_NODE_UP && n->fence.confirmed)
                        tick_at(p, n->fence.retry_usec);
        }
}

void engine_plan(const State *s, uint64_t now_usec, EnginePlan *ret) {
        Planner p = {
                .state = s,
                .now_usec = MAX(now_usec, state_time_usec(s)),
                .plan = ret,
        };

        *ret = (EnginePlan){
                .plan = { .mid = state_mid(s), .sequence = state_sequence(s) },
                .wakeup_usec = UINT64_MAX,
        };
        if (state_phase(s) != STATE_PHASE_READY || !state_is_quorate(s))
                return;

        p.steps = g_array_new(false, true, sizeof(StateStep));
        plan_failed_stops(&p);
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                const StateNode *n = state_node(s, id);

                if (n && n->state == STATE_NODE_UNKNOWN)
                        plan_lost_node(&p, n, state_formed_usec(s));
        }
        plan_ordered_fences(&p);
        ret->n_decisions = state_n_groups(s);
        ret->decisions = g_new0(EngineDecision, ret->n_decisions + 1);
        for (size_t i = 0; i < ret->n_decisions; i++)
                plan_group(&p, state_group_at(s, i), ret->decisions + i);
        plan_time(&p);

        ret->plan.n_steps = p.steps->len;
        ret->plan.steps = (StateStep *) (void *) g_array_free(p.steps, false);
        if (ret->plan.n_steps > 0)
                ret->tick = false;
}

void engine_plan_done(EnginePlan *p) {
        g_clear_pointer(&p->plan.steps, g_free);
        p->plan.n_steps = 0;
        g_clear_pointer(&p->decisions, g_free);
        p->n_decisions = 0;
}
