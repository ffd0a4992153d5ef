/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fencing: the proof that a lost node is dead (R9, R15). Every order, result and confirmation names one boot
 * and the membership that shut it out, and is void for any other. */

#include "basic/time-util.h"
#include "hamgr/state/state-internal.h"

static bool node_has_failed_stop(const State *s, uint32_t node) {
        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                if (node_set_contains(g->stop_failed, node))
                        return true;
        }
        return false;
}

/* A member is heard, so no time says anything about it (R11). */
bool state_node_is_fenceable(const State *s, const StateNode *n) {
        const HaNode *config = ha_nodes_find(&s->node_table, n->id);

        return (config && config->has_fence_device) || (n->state != STATE_NODE_UP && n->reset_usec > 0);
}

/* The waits of a proof by time: a lease is a few FailureSec= long, and so is what cms adds. */
#define LEASE_FAILURES_MAX 20

bool state_node_can_fence(const StateNode *n, const StateNode *target) {
        return n != target && n->state == STATE_NODE_UP && n->hello &&
               n->capabilities & STATE_CAPABILITY_FENCE;
}

uint64_t state_fence_end_usec(const State *s, const StateNode *n) {
        const HaNode *config = ha_nodes_find(&s->node_table, n->id);
        uint64_t longest_usec =
                        config ? usec_add(config->fence_timeout_usec, STATE_FENCE_ANSWER_USEC / 4) : 0;

        longest_usec =
                        usec_add(longest_usec,
                                 usec_add(n->reset_usec, LEASE_FAILURES_MAX * s->node_table.failure_usec));

        return usec_add(n->fence.started_usec, MAX(STATE_FENCE_ANSWER_USEC, longest_usec));
}

bool state_fence_step_holds(const State *s, const StateStep *step, char ret_reason[static STATE_TEXT_MAX]) {
        const StateNode *n = state_node(s, step->boot.node), *fencer = state_node(s, step->fencer);
        const HaNode *config = ha_nodes_find(&s->node_table, step->boot.node);
        char name[NAME_LENGTH_MAX + 1];
        StateBoot boot;

        if (!n || !config || !fencer) {
                state_text_set(ret_reason, "no such node");
                return false;
        }
        state_node_name(s, n->id, name);
        boot = state_node_boot(n);
        if (!state_boot_equal(&boot, &step->boot))
                state_text_set(ret_reason, "it is about another boot or membership of %s", name);
        else if (n->state != STATE_NODE_UNKNOWN && !(n->fence_ordered && n->state == STATE_NODE_DETACHED) &&
                 !(n->state == STATE_NODE_UP && (n->fence_ordered || node_has_failed_stop(s, n->id))))
                state_text_set(ret_reason, "%s is %s", name, state_node_state_to_string(n->state));
        else if (!state_node_is_fenceable(s, n))
                state_text_set(ret_reason, "%s has no fence device", name);
        else if (n->lied)
                state_text_set(ret_reason, "the fence device of %s is not believed", name);
        else if (n->fence.confirmed)
                state_text_set(ret_reason, "%s was switched off already", name);
        else if (n->fence.active && s->time_usec < state_fence_end_usec(s, n))
                state_text_set(ret_reason, "%s is being fenced already", name);
        else if (!n->fence.active && s->time_usec < n->fence.retry_usec)
                state_text_set(ret_reason, "the next attempt on %s is not due", name);
        else if (!state_node_can_fence(fencer, n))
                state_text_set(ret_reason, "the fencer is gone");
        else
                return true;
        return false;
}

void state_fence_start(State *s, const StateStep *step) {
        StateNode *n = state_node_mutable(s, step->boot.node);
        char name[NAME_LENGTH_MAX + 1], fencer[NAME_LENGTH_MAX + 1];

        if (n->fence.active) {
                node_set_add(&n->fence.tried, n->fence.fencer);
                state_fence_give_up(s, n, "no answer");
        }
        n->fence.active = true;
        n->fence.live = n->fence.live || n->state == STATE_NODE_UP;
        n->fence.fencer = step->fencer;
        n->fence.started_usec = s->time_usec;
        state_history_begin(s, &step->boot, step->fencer, step->reason);
        state_node_changed(s, n->id);

        /* R21: one reset for a failed stop of a group within its window. */
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                if (n->state == STATE_NODE_UP && node_set_contains(g->stop_failed, n->id)) {
                        g->stop_fenced = true;
                        g->stop_fenced_usec = s->time_usec;
                }
        }
        state_event(s,
                    STATE_EVENT_FENCE_STARTED,
                    NULL,
                    n->id,
                    "node %s is fenced by %s: %s",
                    state_node_name(s, n->id, name),
                    state_node_name(s, step->fencer, fencer),
                    step->reason);
        if (step->fencer == s->self && state_self_acts(s)) {
                StateEffect *f = state_effect(s, STATE_EFFECT_FENCE);

                f->node = n->id;
                f->boot = step->boot;
                f->attempt = n->fence.n_attempts + 1;
        }
}

static void fence_cancel_effect(State *s, const StateNode *n) {
        if (n->fence.fencer == s->self) {
                StateEffect *f = state_effect(s, STATE_EFFECT_FENCE_CANCEL);

                f->node = n->id;
                f->boot = state_node_boot(n);
        }
}

void state_fence_withdraw(State *s, StateNode *n, const char *reason) {
        char name[NAME_LENGTH_MAX + 1];

        if (!n->fence.active)
                return;
        fence_cancel_effect(s, n);
        n->fence.active = false;
        state_history_end(s, n->id, STATE_FENCE_WITHDRAWN, "", reason);
        state_node_changed(s, n->id);
        state_event(s,
                    STATE_EVENT_FENCE_WITHDRAWN,
                    NULL,
                    n->id,
                    "node %s is not fenced any more: %s",
                    state_node_name(s, n->id, name),
                    reason);
}

static uint64_t retry_delay_usec(uint32_t n_attempts) {
        uint32_t doublings = MIN(n_attempts > 0 ? n_attempts - 1 : 0, 6U);

        return MIN(STATE_FENCE_RETRY_MIN_USEC << doublings, STATE_FENCE_RETRY_MAX_USEC);
}

/* This attempt is over without proof. Another fencer may try, at once when the fencer is gone. */
void state_fence_give_up(State *s, StateNode *n, const char *reason) {
        fence_cancel_effect(s, n);
        n->fence.active = false;
        state_history_end(s, n->id, STATE_FENCE_FAILED, "", reason);
        n->fence.retry_usec = s->time_usec;
        g_strlcpy(n->fence.text, reason, sizeof(n->fence.text));
        state_node_changed(s, n->id);
}

static void node_is_down(State *s, StateNode *n, StateEventKind kind, const char *by) {
        char name[NAME_LENGTH_MAX + 1];
        bool was_detached;

        if (n->state == STATE_NODE_UP) {
                /* Fenced as a member, because a stop failed: its loss is about to be delivered. */
                n->fence.confirmed = true;
                n->fence.retry_usec =
                                usec_add(s->time_usec,
                                         usec_add(STATE_FENCE_LOSS_USEC, 4 * s->node_table.failure_usec));
                state_node_changed(s, n->id);
                return;
        }
        was_detached = n->state == STATE_NODE_DETACHED;
        state_node_enter(s, n, STATE_NODE_DOWN);
        state_node_proven_dead(s, n);
        if (was_detached)
                state_record_bump(s, false, false);
        state_event(s, kind, NULL, n->id, "node %s is off: %s", state_node_name(s, n->id, name), by);
        state_event(s,
                    STATE_EVENT_NODE_DOWN,
                    NULL,
                    n->id,
                    "node %s is down; its groups may start elsewhere",
                    state_node_name(s, n->id, name));
}

/* R15: its device called it off, and it is a member all the same. Then the word of that device is no proof,
 * neither now nor when the node is lost one day for another reason. */
void state_fence_expire(State *s, StateNode *n) {
        char name[NAME_LENGTH_MAX + 1];

        if (n->state != STATE_NODE_UP || !n->fence.confirmed || s->time_usec < n->fence.retry_usec)
                return;
        n->lied = true;
        state_event(s,
                    STATE_EVENT_FENCE_LIED,
                    NULL,
                    n->id,
                    "node %s is a member all the time although its fence device (%s) called it off: the "
                    "device "
                    "is not believed any more until the node has rebooted",
                    state_node_name(s, n->id, name),
                    n->fence.device);
        n->fence = (StateFence){ 0 };
        state_node_changed(s, n->id);
}

static bool result_is_about_now(const StateNode *n, const StateBoot *named, bool by_time) {
        StateBoot boot = state_node_boot(n);

        if (BROKEN(OTHER_BOOT))
                return n->state == STATE_NODE_UNKNOWN || n->state == STATE_NODE_DETACHED;
        if (!state_boot_equal(&boot, named))
                return false;
        /* R9, R11: a time says nothing of who is heard, said that it leaves groups running, or promised no
         * reset. */
        if (by_time)
                return n->state == STATE_NODE_UNKNOWN && n->reset_usec > 0;
        return n->state == STATE_NODE_UNKNOWN || n->state == STATE_NODE_DETACHED ||
               (n->state == STATE_NODE_UP && n->fence.live);
}

void state_take_fence_result(State *s, const StateViewMember *sender, const StateFenceResult *result) {
        StateNode *n = state_node_mutable(s, result->boot.node);
        char name[NAME_LENGTH_MAX + 1];

        if (!n)
                return;
        state_node_name(s, n->id, name);
        if (!result_is_about_now(n, &result->boot, streq(result->device, STATE_BY_TIME_DEVICE))) {
                if (result->ok && n->state != STATE_NODE_DOWN)
                        state_event(s,
                                    STATE_EVENT_FENCE_VOID,
                                    NULL,
                                    n->id,
                                    "a fence result about another boot or membership of %s is void",
                                    name);
                return;
        }
        if (!result->ok || n->lied) {
                if (!n->fence.active || n->fence.fencer != sender->node)
                        return;
                n->fence.active = false;
                n->fence.n_attempts++;
                node_set_add(&n->fence.tried, sender->node);
                n->fence.retry_usec = usec_add(s->time_usec, retry_delay_usec(n->fence.n_attempts));
                g_strlcpy(n->fence.device, result->device, sizeof(n->fence.device));
                g_strlcpy(n->fence.text,
                          result->ok ? "the device said off, and is not believed" : result->text,
                          sizeof(n->fence.text));
                state_history_end(s, n->id, STATE_FENCE_FAILED, result->device, n->fence.text);
                n->fence_ordered = false;
                state_node_changed(s, n->id);
                state_event(s,
                            STATE_EVENT_FENCE_FAILED,
                            NULL,
                            n->id,
                            "fencing of %s failed, attempt %" PRIu32
                            ": %s; its groups wait. Repair the device, or "
                            "make sure that it is off and say so with: hactl fence confirm %s",
                            name,
                            n->fence.n_attempts,
                            n->fence.text,
                            name);
                return;
        }

        if (n->fence.active && n->fence.fencer != sender->node)
                fence_cancel_effect(s, n);
        n->fence.active = false;
        n->fence_ordered = false;
        state_history_end(s, n->id, STATE_FENCE_OFF, result->device, result->text);
        n->fence.n_attempts = 0;
        n->fence.tried = NODE_SET_EMPTY;
        g_strlcpy(n->fence.device, result->device, sizeof(n->fence.device));
        g_strlcpy(n->fence.text, result->text, sizeof(n->fence.text));
        node_is_down(s,
                     n,
                     STATE_EVENT_FENCE_OK,
                     result->device[0] ? result->device : "its fence device said so");
}

bool state_fence_confirm(State *s, const StateBoot *boot, char ret_reason[static STATE_TEXT_MAX]) {
        StateNode *n = state_node_mutable(s, boot->node);
        char name[NAME_LENGTH_MAX + 1];
        StateBoot now;

        assert(n);
        state_node_name(s, n->id, name);
        now = state_node_boot(n);
        if (n->state != STATE_NODE_UNKNOWN && n->state != STATE_NODE_DETACHED) {
                state_text_set(ret_reason,
                               "node %s is %s; only one that is out of the membership and not proven dead "
                               "can be "
                               "confirmed",
                               name,
                               state_node_state_to_string(n->state));
                return false;
        }
        if (!state_boot_equal(&now, boot)) {
                state_text_set(ret_reason,
                               "node %s has been a member since the confirmation was given; look again",
                               name);
                return false;
        }
        state_fence_withdraw(s, n, "an operator confirmed that it is off");
        state_history_begin(s, boot, 0, n->lost);
        state_history_end(s, n->id, STATE_FENCE_CONFIRMED, "operator", "");
        n->fence = (StateFence){ 0 };
        g_strlcpy(n->fence.device, "operator", sizeof(n->fence.device));
        node_is_down(s, n, STATE_EVENT_FENCE_CONFIRMED, "an operator confirmed it");
        return true;
}

/* A half fences without an order, there being nobody to order with; when it has its quorum, this is left to
 * be remembered. */
void state_take_fenced_for_quorum(State *s, const StateViewMember *sender, const StateFenceResult *result) {
        state_history_begin(
                        s,
                        &result->boot,
                        sender->node,
                        "exactly half of the votes needed its proof to go on");
        state_history_end(
                        s,
                        result->boot.node,
                        result->ok ? STATE_FENCE_OFF : STATE_FENCE_FAILED,
                        result->device,
                        result->text);
}
