/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What became of each fencing, the newest last, and why the boot before this one of a node ended. Both are
 * for people: nothing is decided by them. They are gone when all nodes are. */

#include "basic/string-table.h"
#include "hamgr/state/state-internal.h"

static const char *const state_fence_outcome_table[_STATE_FENCE_OUTCOME_MAX] = {
        [STATE_FENCE_UNDER_WAY] = "under-way", [STATE_FENCE_OFF] = "off",
        [STATE_FENCE_CONFIRMED] = "confirmed", [STATE_FENCE_FAILED] = "failed",
        [STATE_FENCE_WITHDRAWN] = "withdrawn",
};
DEFINE_STRING_TABLE(state_fence_outcome, StateFenceOutcome);

size_t state_fence_history(const State *s, const StateFenceEntry **ret) {
        *ret = s->history;
        return s->n_history;
}

void state_history_begin(State *s, const StateBoot *boot, uint32_t fencer, const char *reason) {
        StateFenceEntry *e;

        if (s->n_history == STATE_FENCE_HISTORY_MAX) {
                memmove(s->history, s->history + 1, (s->n_history - 1) * sizeof(*s->history));
                s->n_history--;
        }
        e = &s->history[s->n_history++];
        *e = (StateFenceEntry){ .boot = *boot, .fencer = fencer, .begun_usec = s->time_usec };
        g_strlcpy(e->reason, reason, sizeof(e->reason));
        s->changed_manager = true;
}

static StateFenceEntry *find_under_way(State *s, uint32_t node) {
        for (size_t i = s->n_history; i > 0; i--) {
                StateFenceEntry *e = &s->history[i - 1];

                if (e->boot.node == node && e->outcome == STATE_FENCE_UNDER_WAY)
                        return e;
        }
        return NULL;
}

void state_history_end(
                State *s, uint32_t node, StateFenceOutcome outcome, const char *device, const char *text) {
        StateFenceEntry *e = find_under_way(s, node);

        /* It may have been begun so long ago that it is forgotten. */
        if (!e)
                return;
        e->outcome = outcome;
        e->ended_usec = s->time_usec;
        g_strlcpy(e->device, device, sizeof(e->device));
        g_strlcpy(e->text, text, sizeof(e->text));
        s->changed_manager = true;
}

/* ---- Why a node rebooted ---- */

static const StateFenceEntry *find_proof(const State *s, const StateNode *n) {
        for (size_t i = s->n_history; i > 0; i--) {
                const StateFenceEntry *e = &s->history[i - 1];

                if (e->boot.node == n->id && state_boot_id_equal(e->boot.boot_id, n->boot_id) &&
                    (e->outcome == STATE_FENCE_OFF || e->outcome == STATE_FENCE_CONFIRMED))
                        return e;
        }
        return NULL;
}

void state_history_node_rebooted(State *s, StateNode *n) {
        const StateFenceEntry *e = find_proof(s, n);
        char name[NAME_LENGTH_MAX + 1];
        const char *lost = n->lost[0] ? n->lost : "no reason known";

        n->rebooted_is_told = false;
        n->rebooted[0] = '\0';
        if (e && e->outcome == STATE_FENCE_OFF && streq(e->device, STATE_BY_TIME_DEVICE))
                g_snprintf(n->rebooted,
                           sizeof(n->rebooted),
                           "it was lost (%s), and had reset itself when its time was over",
                           lost);
        else if (e && e->outcome == STATE_FENCE_OFF)
                g_snprintf(n->rebooted,
                           sizeof(n->rebooted),
                           "it was fenced by %s (%s): %.120s",
                           state_node_name(s, e->fencer, name),
                           e->device,
                           e->reason);
        else if (e)
                g_snprintf(n->rebooted,
                           sizeof(n->rebooted),
                           "it was lost (%s), and an operator confirmed that it was off",
                           lost);
        else if (n->state != STATE_NODE_INACTIVE)
                g_snprintf(n->rebooted,
                           sizeof(n->rebooted),
                           "it was lost (%s), and nobody here switched it off: it crashed, lost its power, "
                           "or reset itself",
                           lost);
}

/* When its own hamgr is there to write it into its journal, too. */
void state_history_tell_rebooted(State *s, StateNode *n) {
        char name[NAME_LENGTH_MAX + 1];

        if (n->rebooted_is_told || !n->rebooted[0])
                return;
        n->rebooted_is_told = true;
        state_event(s,
                    STATE_EVENT_NODE_REBOOTED,
                    NULL,
                    n->id,
                    "node %s was rebooted: %s",
                    state_node_name(s, n->id, name),
                    n->rebooted);
}
