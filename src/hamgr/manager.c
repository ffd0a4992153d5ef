/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manager's one way in and out: manager_feed() gives a delivery to the replicated state and carries out,
 * in their order, the effects that the state returns. Planning happens at the end of a turn, when all that
 * has come is taken in. */

#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "hamgr/check.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define RECORD_FOLDER "/var/lib/hamgr"

const char *manager_node_name(const Manager *m, uint32_t id) {
        return cluster_conf_node_name(m->conf, id) ?: "an unknown node";
}

/* ---- What happened, for people ---- */

typedef struct EventStyle {
        int level;
        const char *message_id;
} EventStyle;

static EventStyle event_style(StateEventKind kind) {
        switch (kind) {
        case STATE_EVENT_NODE_UP:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_NODE_JOINED };
        case STATE_EVENT_NODE_LOST:
                return (EventStyle){ LOG_WARNING, HAMGR_MESSAGE_NODE_LOST };
        case STATE_EVENT_NODE_LEFT:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_NODE_LEFT };
        case STATE_EVENT_NODE_DOWN:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_NODE_DOWN };
        case STATE_EVENT_FENCE_STARTED:
                return (EventStyle){ LOG_WARNING, HAMGR_MESSAGE_FENCE_STARTED };
        case STATE_EVENT_FENCE_OK:
        case STATE_EVENT_FENCE_CONFIRMED:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_FENCE_SUCCEEDED };
        case STATE_EVENT_FENCE_FAILED:
        case STATE_EVENT_FENCE_LIED:
                return (EventStyle){ LOG_ERR, HAMGR_MESSAGE_FENCE_FAILED };
        case STATE_EVENT_GROUP_ASSIGNED:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_GROUP_STARTING };
        case STATE_EVENT_GROUP_RELEASED:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_GROUP_STOPPING };
        case STATE_EVENT_GROUP_CONFLICT:
                return (EventStyle){ LOG_ERR, HAMGR_MESSAGE_GROUP_TWICE };
        case STATE_EVENT_CLUSTER_IN_FORCE:
        case STATE_EVENT_CONFIG_IN_FORCE:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_CONFIG_APPLIED };
        case STATE_EVENT_CONFIG_DROPPED:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_CONFIG_REFUSED };
        case STATE_EVENT_RECORD_BAD:
                return (EventStyle){ LOG_ERR, HAMGR_MESSAGE_STORE_DAMAGED };
        case STATE_EVENT_OPERATOR:
                return (EventStyle){ LOG_NOTICE, HAMGR_MESSAGE_OPERATOR_ORDER };
        case STATE_EVENT_MANAGER_LOST:
        case STATE_EVENT_RECORD_ASIDE:
                return (EventStyle){ LOG_WARNING, NULL };
        case STATE_EVENT_STEP_DROPPED:
        case STATE_EVENT_CONFIG_PREPARED:
        case STATE_EVENT_CLUSTER_WANTED:
                return (EventStyle){ LOG_INFO, NULL };
        default:
                return (EventStyle){ LOG_NOTICE, NULL };
        }
}

static void announce(Manager *m, const StateEffect *e) {
        EventStyle style = event_style(e->event);
        const char *kind = state_event_kind_to_string(e->event);
        const char *node = e->node ? manager_node_name(m, e->node) : NULL;
        const char *group = e->group[0] ? e->group : NULL;
        g_autofree char *mid = NULL;
        HaMid now = state_mid(m->state);

        mid = g_strdup_printf("%" PRIu64 ".%u", now.epoch, now.node);
        log_event(style.level,
                  style.message_id,
                  LOG_FIELDS("HAMGR_EVENT",
                             kind,
                             "HAMGR_GROUP",
                             group,
                             "HAMGR_NODE",
                             node,
                             "HAMGR_REASON",
                             e->text,
                             "HAMGR_MID",
                             mid),
                  "%s%s%s%s%s%s%s",
                  kind,
                  group ? " " : "",
                  strempty(group),
                  node ? " " : "",
                  strempty(node),
                  e->text ? ": " : "",
                  strempty(e->text));
        api_event(m->api, kind, group, node, e->text);
}

static bool hagcd_knows_of_death(const Manager *m, uint32_t id) {
        const hagcs_node *n = group_find_node(m, id);

        return n && n->state == HAGCS_NODE_DOWN;
}

/* What was proven here hagcd has to know, too: a node goes from cluster.conf only with proof (R14). What it
 * said itself is not said to it again: an older proof would count as one of the membership named here, and
 * so for the quorum of a half (R6). */
static void tell_hagcd_of_death(Manager *m, uint32_t id) {
        const StateNode *n = state_node(m->state, id);

        if (n && n->state == STATE_NODE_DOWN && m->group && !hagcd_knows_of_death(m, id))
                (void) hagcs_confirm_down(
                                m->group, id, n->incarnation, (hagcs_mid){ n->mid.epoch, n->mid.node });
}

/* ---- Effects ---- */

static void on_changed(Manager *m, const StateEffect *e) {
        if (e->group[0])
                api_group_changed(m->api, e->group);
        else if (e->node)
                api_node_changed(m->api, e->node);
        else
                api_cluster_changed(m->api);
}

static void carry_out(Manager *m, const StateEffect *e) {
        switch (e->type) {
        case STATE_EFFECT_STORE:
                if (e->in_force)
                        local_configure(m);
                manager_store(m, e->record, e->serial);
                break;
        case STATE_EFFECT_PREPARE:
                apply_prepare(m, e);
                break;
        case STATE_EFFECT_PREPARE_CLUSTER:
                apply_prepare_cluster(m, e);
                break;
        case STATE_EFFECT_WRITE_CLUSTER:
                cluster_write(m, e->files);
                break;
        case STATE_EFFECT_CLUSTER:
                cluster_take_over(m);
                break;
        case STATE_EFFECT_START:
        case STATE_EFFECT_STOP:
        case STATE_EFFECT_PROBE:
                local_order(m, e);
                break;
        case STATE_EFFECT_FENCE:
                fencing_order(m, e);
                break;
        case STATE_EFFECT_FENCE_CANCEL:
                fencing_cancel(m, &e->boot);
                break;
        case STATE_EFFECT_ANSWER:
                requests_answer(m, e);
                break;
        case STATE_EFFECT_EVENT:
                announce(m, e);
                if (e->event == STATE_EVENT_NODE_DOWN || e->event == STATE_EVENT_NODE_LOST)
                        tell_hagcd_of_death(m, e->node);
                break;
        case STATE_EFFECT_CHANGED:
                on_changed(m, e);
                break;
        case STATE_EFFECT_OBJECTS:
                api_objects_changed(m->api);
                break;
        }
}

void manager_feed(Manager *m, const StateInput *input) {
        assert(m->active);
        state_effects_clear(&m->effects);
        state_apply(m->state, input, &m->effects);
        state_clock_observe(&m->clock, m->state, now_boottime_usec());
        if (state_phase(m->state) == STATE_PHASE_READY)
                local_configure(m); /* does nothing when the drive has this configuration */
        for (size_t i = 0; i < m->effects.n_effects; i++)
                carry_out(m, &m->effects.effects[i]);
        cluster_follow(m);
        manager_plan_soon(m);
        manager_update_status(m);
}

void manager_begin(Manager *m, State *state_taken) {
        m->state = state_free(m->state);
        m->state = state_taken;
        m->active = true;
        m->plan_sent = false;
        m->asked_serial = m->written_serial = m->told_serial = 0;
        m->clock = (StateClock){};
        state_clock_observe(&m->clock, m->state, now_boottime_usec());
        cluster_take_over(m);
        if (state_phase(m->state) == STATE_PHASE_READY)
                local_configure(m);
        api_objects_changed(m->api);
        api_everything_changed(m->api);
        manager_plan_soon(m);
}

void manager_suspend(Manager *m) {
        if (!m->active)
                return;
        m->active = false;
        m->plan_sent = false;
        (void) event_timer_disarm(m->plan_wake);
        apply_cancel(m);
        fencing_cancel_all(m);
        requests_refuse_all(
                        m,
                        API_ERROR_NO_QUORUM,
                        "this node lost quorum; the order may or may not stand: see \"hactl status\"");
        api_everything_changed(m->api);
}

/* ---- Planning ---- */

void manager_plan_soon(Manager *m) {
        if (m->active)
                (void) event_defer_arm(m->plan);
}

static int on_plan(sd_event_source *source, void *userdata) {
        Manager *m = userdata;
        EnginePlan plan;
        uint64_t now;

        if (!m->active || m->plan_sent || !state_is_planner(m->state))
                return 0;
        now = state_clock_now(&m->clock, now_boottime_usec());
        engine_plan(m->state, now, &plan);
        if (plan.plan.n_steps > 0) {
                m->plan_sent = true;
                group_send(m, &(StateMessage){ .type = STATE_MESSAGE_PLAN, .plan = plan.plan });
        } else if (plan.tick) {
                /* Time moves in the state only by messages: let it pass; its delivery plans again. */
                group_send(m, &(StateMessage){ .type = STATE_MESSAGE_TICK });
        } else if (plan.wakeup_usec != UINT64_MAX)
                (void) event_timer_in(m->plan_wake, plan.wakeup_usec > now ? plan.wakeup_usec - now : 0);
        else
                (void) event_timer_disarm(m->plan_wake);
        engine_plan_done(&plan);
        return 0;
}

static int on_plan_wake(sd_event_source *source, uint64_t usec, void *userdata) {
        manager_plan_soon(userdata);
        return 0;
}

/* ---- Status for `systemctl status hamgr` ---- */

void manager_update_status(Manager *m) {
        size_t running = 0;

        if (m->trouble[0]) {
                (void) sd_notifyf(false, "STATUS=Cannot act: %s", m->trouble);
                return;
        }
        if (!m->active)
                return;
        for (size_t i = 0; i < state_n_groups(m->state); i++)
                running += state_group_owner(state_group_at(m->state, i)) == m->self;
        (void) sd_notifyf(
                        false,
                        "STATUS=Member of cluster %s with %u nodes up; %zu of %zu groups are here%s",
                        m->conf->name,
                        node_set_count(state_members(m->state)),
                        running,
                        state_n_groups(m->state),
                        state_is_planner(m->state) ? "; this node plans" : "");
}

/* ---- Life ---- */

static void on_record_written(uint64_t serial, int error, void *userdata) {
        Manager *m = userdata;

        if (error < 0) {
                if (!m->record_fails)
                        log_error_errno(error,
                                        "cannot write the cluster's configuration to %s: %m; no change is "
                                        "confirmed until it works, trying again",
                                        RECORD_FOLDER);
                m->record_fails = true;
                return;
        }
        if (m->record_fails)
                log_notice("the cluster's configuration is written to %s again", RECORD_FOLDER);
        m->record_fails = false;
        if (serial > m->asked_serial)
                return; /* of a state that is no more */
        m->written_serial = MAX(m->written_serial, serial);
        apply_stored(m, serial);
        manager_tell_stored(m);
}

void manager_store(Manager *m, GBytes *record, uint64_t serial) {
        if (serial <= m->asked_serial)
                return;
        m->asked_serial = serial;
        record_write(m->record, record, serial);
}

/* A configuration counts as stored here when its guards stand too. */
void manager_tell_stored(Manager *m) {
        if (!m->active || !m->guarded || m->written_serial <= m->told_serial)
                return;
        m->told_serial = m->written_serial;
        group_send(m, &(StateMessage){ .type = STATE_MESSAGE_STORED, .stored = { m->told_serial } });
}

int manager_new(ClusterConf *conf_taken, uint32_t self, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = g_new0(Manager, 1);
        int r;

        m->conf = conf_taken;
        m->self = self;
        nodes_from_conf(m->conf, &m->nodes);

        r = sd_event_default(&m->event);
        if (r < 0)
                return log_error_errno(r, "cannot make an event loop: %m");
        r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                return log_error_errno(r, "cannot serve the watchdog: %m");
        r = event_defer_new(m->event, "plan", on_plan, m, &m->plan);
        if (r >= 0)
                r = event_timer_new(m->event, "plan-wake", on_plan_wake, m, &m->plan_wake);
        if (r < 0)
                return log_error_errno(r, "cannot make a timer: %m");
        r = record_new(m->event, RECORD_FOLDER, on_record_written, m, &m->record);
        if (r < 0)
                return r;
        /* Where a node that loses quorum goes on there is nothing to promise, now or before the next start.
         */
        if (m->conf->on_quorum_loss != CLUSTER_FREEZES)
                budget_ask(&m->budget_facts);
        apply_start(m);
        r = cluster_start(m);
        if (r >= 0)
                r = awake_new(m->event, &m->awake);
        if (r >= 0)
                r = membership_start(m);
        if (r >= 0)
                r = groups_start(m);
        if (r >= 0)
                r = requests_start(m);
        if (r >= 0)
                r = fencing_start(m);
        if (r >= 0)
                r = local_start(m);
        if (r >= 0)
                r = group_start(m);
        if (r >= 0)
                r = leave_start(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        leave_stop(m);
        group_stop(m);
        apply_stop(m);
        cluster_stop(m);
        local_stop(m);
        fencing_stop(m);
        membership_stop(m);
        groups_stop(m);
        requests_stop(m);
        awake_free(m->awake);
        record_free(m->record);
        sd_event_source_disable_unref(m->plan);
        sd_event_source_disable_unref(m->plan_wake);
        state_effects_done(&m->effects);
        state_free(m->state);
        cluster_conf_free(m->conf);
        sd_event_unref(m->event);
        g_free(m);
        return NULL;
}

int manager_run(Manager *m) {
        log_event(LOG_INFO,
                  HAMGR_MESSAGE_HAMGR_STARTED,
                  LOG_FIELDS("HAMGR_NODE", manager_node_name(m, m->self)),
                  "hamgr %s started on %s",
                  HAMGR_VERSION,
                  manager_node_name(m, m->self));
        (void) sd_notify(false, "READY=1\nSTATUS=Waiting for the cluster");
        return sd_event_loop(m->event);
}
