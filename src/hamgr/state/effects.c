/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a step gives back: an ordered list, filled while the step goes on. */

#include <stdarg.h>
#include <stdio.h>

#include "basic/string-table.h"
#include "hamgr/state/state-internal.h"

static const char *const state_result_table[_STATE_RESULT_MAX] = {
        [STATE_RESULT_OK] = "ok",
        [STATE_RESULT_NOTHING_TO_DO] = "nothing_to_do",
        [STATE_RESULT_NO_SUCH_GROUP] = "no_such_group",
        [STATE_RESULT_NO_SUCH_NODE] = "no_such_node",
        [STATE_RESULT_REFUSED] = "refused",
        [STATE_RESULT_BUSY] = "busy",
        [STATE_RESULT_INVALID] = "invalid",
        [STATE_RESULT_WOULD_REMOVE] = "would remove",
};
DEFINE_STRING_TABLE(state_result, StateResult);

static const char *const state_event_kind_table[_STATE_EVENT_MAX] = {
        [STATE_EVENT_FORMED] = "formed",
        [STATE_EVENT_NODE_UP] = "node_up",
        [STATE_EVENT_NODE_LOST] = "node_lost",
        [STATE_EVENT_NODE_LEFT] = "node_left",
        [STATE_EVENT_NODE_DOWN] = "node_down",
        [STATE_EVENT_NODE_LEAVING] = "node_leaving",
        [STATE_EVENT_NODE_REBOOTED] = "node_rebooted",
        [STATE_EVENT_NODE_STANDBY] = "node_standby",
        [STATE_EVENT_NODE_UNSTANDBY] = "node_unstandby",
        [STATE_EVENT_MANAGER_LOST] = "manager_lost",
        [STATE_EVENT_FENCE_STARTED] = "fence_started",
        [STATE_EVENT_FENCE_OK] = "fence_ok",
        [STATE_EVENT_FENCE_FAILED] = "fence_failed",
        [STATE_EVENT_FENCE_WITHDRAWN] = "fence_withdrawn",
        [STATE_EVENT_FENCE_CONFIRMED] = "fence_confirmed",
        [STATE_EVENT_FENCE_VOID] = "fence_void",
        [STATE_EVENT_FENCE_LIED] = "fence_lied",
        [STATE_EVENT_GROUP_ASSIGNED] = "group_assigned",
        [STATE_EVENT_GROUP_RELEASED] = "group_released",
        [STATE_EVENT_GROUP_STATE] = "group_state",
        [STATE_EVENT_GROUP_CONFLICT] = "group_conflict",
        [STATE_EVENT_STEP_DROPPED] = "step_dropped",
        [STATE_EVENT_CONFIG_PREPARED] = "config_prepared",
        [STATE_EVENT_CONFIG_IN_FORCE] = "config_in_force",
        [STATE_EVENT_CONFIG_DROPPED] = "config_dropped",
        [STATE_EVENT_CLUSTER_WANTED] = "cluster_wanted",
        [STATE_EVENT_CLUSTER_IN_FORCE] = "cluster_in_force",
        [STATE_EVENT_RECORD_ASIDE] = "record_aside",
        [STATE_EVENT_RECORD_BAD] = "record_bad",
        [STATE_EVENT_OPERATOR] = "operator",
};

const char *state_event_kind_to_string(StateEventKind i) {
        return (unsigned) i < _STATE_EVENT_MAX ? state_event_kind_table[i] : NULL;
}

void state_effects_clear(StateEffects *e) {
        FOREACH_ARRAY(f, e->effects, e->n_effects) {
                g_clear_pointer(&f->record, g_bytes_unref);
                g_clear_pointer(&f->files, g_bytes_unref);
                g_clear_pointer(&f->text, g_free);
        }
        e->n_effects = 0;
}

void state_effects_done(StateEffects *e) {
        state_effects_clear(e);
        g_clear_pointer(&e->effects, g_free);
        e->n_allocated = 0;
}

StateEffect *state_effect(State *s, StateEffectType type) {
        StateEffects *e = s->effects;
        StateEffect *f;

        if (e->n_effects == e->n_allocated) {
                e->n_allocated = MAX((size_t) 16, 2 * e->n_allocated);
                e->effects = g_renew(StateEffect, e->effects, e->n_allocated);
        }
        f = e->effects + e->n_effects++;
        *f = (StateEffect){ .type = type };
        return f;
}

void state_event(State *s, StateEventKind kind, const char *group, uint32_t node, const char *format, ...) {
        StateEffect *f = state_effect(s, STATE_EFFECT_EVENT);
        va_list ap;

        f->event = kind;
        f->node = node;
        if (group)
                g_strlcpy(f->group, group, sizeof(f->group));
        va_start(ap, format);
        f->text = g_strdup_vprintf(format, ap);
        va_end(ap);
}

void state_node_changed(State *s, uint32_t node) {
        node_set_add(&s->changed, node);
}

char *state_effect_format(const StateEffect *e, char buf[static STATE_TEXT_MAX]) {
        switch (e->type) {
        case STATE_EFFECT_STORE:
                state_text_set(buf, "store %" PRIu64 "%s", e->serial, e->in_force ? " in force" : "");
                break;
        case STATE_EFFECT_WRITE_CLUSTER:
                state_text_set(buf, "write cluster.conf");
                break;
        case STATE_EFFECT_CLUSTER:
                state_text_set(buf, "cluster.conf changed");
                break;
        case STATE_EFFECT_PREPARE:
        case STATE_EFFECT_PREPARE_CLUSTER:
                state_text_set(buf,
                               "prepare version %" PRIu64 ", store %" PRIu64,
                               e->version.number,
                               e->serial);
                break;
        case STATE_EFFECT_START:
                state_text_set(buf, "start %s #%" PRIu64, e->group, e->number);
                break;
        case STATE_EFFECT_STOP:
                state_text_set(buf, "stop %s #%" PRIu64, e->group, e->number);
                break;
        case STATE_EFFECT_PROBE:
                state_text_set(buf, "probe %s #%" PRIu64, e->group, e->number);
                break;
        case STATE_EFFECT_FENCE:
                state_text_set(buf, "fence node %" PRIu32 ", attempt %" PRIu32, e->boot.node, e->attempt);
                break;
        case STATE_EFFECT_FENCE_CANCEL:
                state_text_set(buf, "cancel fence of node %" PRIu32, e->boot.node);
                break;
        case STATE_EFFECT_ANSWER:
                state_text_set(buf,
                               "answer %" PRIu64 " %s%s%s",
                               e->request,
                               state_result_to_string(e->result),
                               e->text ? ": " : "",
                               strempty(e->text));
                break;
        case STATE_EFFECT_EVENT:
                state_text_set(buf,
                               "%s %s node %" PRIu32 ": %s",
                               state_event_kind_to_string(e->event),
                               e->group,
                               e->node,
                               strempty(e->text));
                break;
        case STATE_EFFECT_CHANGED:
                state_text_set(buf, "changed %s node %" PRIu32, e->group, e->node);
                break;
        case STATE_EFFECT_OBJECTS:
                state_text_set(buf, "objects");
                break;
        }
        return buf;
}
