/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The groups on this node. The state orders (start, stop, look), the drive carries out, and what the drive
 * says becomes a report with the number of the order that it answers. An order waits while the drive cannot
 * take it: the group is not looked at yet, is still stopping, or the guards of the configuration do not
 * stand. The newest order counts.
 *
 * A resource that fails is restarted in place as often as the policy allows within its window; then the
 * group is reported as failed, and the planner moves it. */

#include "basic/time-util.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

/* An order that came with the last of a lease is carried out when the next one is held, if it stands then.
 * That it is the first one here hagcd hears at once. */
#define LEASE_RETRY_USEC (50 * USEC_PER_MSEC)
#define ARMED_RETRY_USEC USEC_PER_MSEC

typedef enum LocalOrder {
        LOCAL_ORDER_NONE,
        LOCAL_ORDER_START,
        LOCAL_ORDER_STOP,
        LOCAL_ORDER_PROBE,
} LocalOrder;

struct Local {
        char group[NAME_LENGTH_MAX + 1];

        LocalOrder order; /* the newest */
        uint64_t number;
        bool waits;       /* the drive has not taken it yet */
        bool lost_quorum; /* it is a stop, by nobody's order */
        bool held;        /* a start of what an operator had stopped a part of: it is only watched */

        GArray *restarts;      /* owned; uint64_t boot times of restarts in place */
        bool restarting;       /* the drive's start under way is one in place */
        StateReportState said; /* last report about the newest order */
        char reason[STATE_TEXT_MAX];
};

static void local_free(void *p) {
        Local *l = p;

        g_array_unref(l->restarts);
        g_free(l);
}

static Local *local_find(Manager *m, const char *group) {
        for (size_t i = 0; i < m->locals->len; i++) {
                Local *l = m->locals->pdata[i];

                if (streq(l->group, group))
                        return l;
        }
        return NULL;
}

static Local *local_get(Manager *m, const char *group) {
        Local *l = local_find(m, group);

        if (l)
                return l;
        l = g_new0(Local, 1);
        (void) g_strlcpy(l->group, group, sizeof(l->group));
        l->restarts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_ptr_array_add(m->locals, l);
        return l;
}

static const HaGroup *local_config(const Manager *m, const Local *l) {
        return m->state ? ha_config_find_group(state_config(m->state), l->group) : NULL;
}

/* ---- Reports ---- */

static StateResourceState resource_state(DriveResourceState s) {
        switch (s) {
        case DRIVE_RESOURCE_STOPPED:
                return STATE_RESOURCE_STOPPED;
        case DRIVE_RESOURCE_STARTING:
                return STATE_RESOURCE_STARTING;
        case DRIVE_RESOURCE_RUNNING:
                return STATE_RESOURCE_RUNNING;
        case DRIVE_RESOURCE_STOPPING:
                return STATE_RESOURCE_STOPPING;
        case DRIVE_RESOURCE_FAILED:
        case _DRIVE_RESOURCE_STATE_MAX:
        case _DRIVE_RESOURCE_STATE_INVALID:
                break;
        }
        return STATE_RESOURCE_FAILED;
}

static void report(Manager *m, Local *l, uint64_t number, StateReportState state, const char *reason) {
        const HaGroup *g = local_config(m, l);
        StateMessage message = {
                .type = STATE_MESSAGE_REPORT,
                .report = { .number = number, .state = state, .n_restarts = l->restarts->len },
        };

        (void) g_strlcpy(message.report.group, l->group, sizeof(message.report.group));
        state_text_set(message.report.reason, "%s", strempty(reason));
        for (size_t i = 0; g && i < g->n_resources; i++) {
                DriveResourceStatus status;

                if (drive_resource_status(m->drive, l->group, g->resources[i].name, &status) < 0)
                        break;
                message.report.resources[i] = (uint8_t) resource_state(status.state);
                message.report.n_resources = (uint32_t) i + 1;
        }
        l->said = state;
        state_text_set(l->reason, "%s", strempty(reason));
        group_send(m, &message);
}

/* ---- Orders ---- */

/* Look and tell, changing nothing but an unfinished start: that order is not in effect any more. */
static int probe(Manager *m, Local *l) {
        switch (drive_group_state(m->drive, l->group)) {
        case DRIVE_GROUP_UNREAD:
                return -EBUSY;
        case DRIVE_GROUP_RUNNING:
        case DRIVE_GROUP_FAILED: /* also what was found when hamgr began, all of it running or a part */
                return drive_watch(m->drive, l->group, l->number);
        case DRIVE_GROUP_STOPPED:
        case DRIVE_GROUP_STARTING:
        case DRIVE_GROUP_STOPPING:
                return drive_stop(m->drive, l->group, l->number);
        case DRIVE_GROUP_STOP_FAILED:
                report(m, l, l->number, STATE_REPORT_STOP_FAILED, l->reason);
                return 0;
        }
        ASSERT_NOT_REACHED();
}

/* R14: under a lease, and with the keeper knowing that its end has to be the end of this node. In this
 * order: who is armed after the last lease was over is reset. False: tried again soon. */
static bool may_begin(Manager *m) {
        if (lease_is_needed(m) && !lease_holds(m)) {
                (void) event_timer_in(m->act_timer, LEASE_RETRY_USEC);
                return false;
        }
        group_set_armed(m, true);
        if (!lease_is_needed(m) || lease_is_armed(m))
                return true;
        (void) event_timer_in(m->act_timer, ARMED_RETRY_USEC);
        return false;
}

static int start(Manager *m, Local *l) {
        /* Out of the group the order may not be the latest any more: it is repeated when we are back. */
        if (!m->active || !m->guarded)
                return -EBUSY;
        /* Leaving: what runs is only named, and nothing more is begun. */
        if (m->leaving >= MANAGER_DRAINS && drive_group_state(m->drive, l->group) != DRIVE_GROUP_RUNNING) {
                report(m, l, l->number, STATE_REPORT_FAILED, "hamgr is being stopped on this node");
                return 0;
        }
        if (drive_group_state(m->drive, l->group) == DRIVE_GROUP_STOP_FAILED) {
                report(m, l, l->number, STATE_REPORT_STOP_FAILED, l->reason);
                return 0;
        }
        if (!may_begin(m))
                return -EBUSY;
        return l->held ? drive_adopt(m->drive, l->group, l->number)
                       : drive_start(m->drive, l->group, l->number);
}

/* Give the newest order to the drive if it can take it now. */
static void act(Manager *m, Local *l) {
        int r = 0;

        if (!l->waits)
                return;
        switch (l->order) {
        case LOCAL_ORDER_NONE:
                break;
        case LOCAL_ORDER_START:
                r = start(m, l);
                break;
        case LOCAL_ORDER_STOP:
                r = drive_stop(m->drive, l->group, l->number);
                break;
        case LOCAL_ORDER_PROBE:
                r = probe(m, l);
                break;
        }
        if (r == -EBUSY)
                return; /* the event that ends this comes by here again */
        if (r == -ENOENT && local_config(m, l))
                return; /* the drive could not take the configuration yet: that proves nothing */
        l->waits = false;
        if (r == -ENOENT && l->order != LOCAL_ORDER_START)
                report(m, l, l->number, STATE_REPORT_STOPPED, "");
        else if (r < 0)
                report(m, l, l->number, STATE_REPORT_FAILED, strerror(-r));
}

static void act_all(Manager *m) {
        for (size_t i = 0; i < m->locals->len; i++)
                act(m, m->locals->pdata[i]);
}

static int on_act_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        act_all(userdata);
        return 0;
}

/* The order of before is given again to a hamgr that begins anew: that does not end an operator's hold. */
static bool is_held_here(const Manager *m, const Local *l) {
        const StateGroup *g = state_group(m->state, l->group);

        return g && g->held == m->self;
}

void local_order(Manager *m, const StateEffect *e) {
        Local *l = local_get(m, e->group);

        l->number = e->number;
        l->order = e->type == STATE_EFFECT_START  ? LOCAL_ORDER_START
                   : e->type == STATE_EFFECT_STOP ? LOCAL_ORDER_STOP
                                                  : LOCAL_ORDER_PROBE;
        l->waits = true;
        l->lost_quorum = false;
        l->restarting = false;
        l->said = STATE_REPORT_NONE;
        l->held = l->order == LOCAL_ORDER_START && is_held_here(m, l);
        if (l->order == LOCAL_ORDER_START)
                g_array_set_size(l->restarts, 0);
        act(m, l);
}

void local_configure(Manager *m) {
        StateVersion version = state_config_version(m->state);
        int r;

        if (m->configured && state_version_equal(version, m->driven))
                return;
        m->guarded = false;
        r = drive_configure(m->drive, state_config(m->state));
        if (r < 0) {
                log_error_errno(r,
                                "cannot write the list of guarded units: %m; no group is started here until "
                                "it works");
                return;
        }
        m->configured = true;
        m->driven = version;
}

void local_stop_all(Manager *m) {
        for (size_t i = 0; i < m->locals->len; i++) {
                Local *l = m->locals->pdata[i];

                l->order = LOCAL_ORDER_STOP;
                l->waits = true;
                act(m, l);
        }
}

/* When quorum is back, the others are told; until then nobody may start anything elsewhere (R11). */
void local_stop_for_quorum(Manager *m) {
        bool runs = false;

        for (size_t i = 0; i < m->locals->len; i++) {
                Local *l = m->locals->pdata[i];

                runs = runs || l->order == LOCAL_ORDER_START;
                l->lost_quorum = l->lost_quorum || l->order == LOCAL_ORDER_START;
        }
        if (runs)
                log_warning("quorum is lost: stopping all groups here, as OnQuorumLoss=stop says");
        local_stop_all(m);
}

bool local_is_empty(const Manager *m) {
        return drive_is_empty(m->drive);
}

static bool expects_start(const Manager *m) {
        for (size_t i = 0; i < m->locals->len; i++) {
                const Local *l = m->locals->pdata[i];

                if (l->order == LOCAL_ORDER_START)
                        return true;
        }
        return false;
}

/* ---- What the drive says ---- */

/* Restarts in place within the policy's window, so far. */
static uint32_t count_restarts(Local *l, const HaPolicy *policy, uint64_t now_usec) {
        while (l->restarts->len > 0 &&
               g_array_index(l->restarts, uint64_t, 0) + policy->restart_window_usec < now_usec)
                g_array_remove_index(l->restarts, 0);
        return l->restarts->len;
}

static void on_failure(Manager *m, Local *l, const DriveEvent *e) {
        const HaGroup *g = local_config(m, l);
        uint64_t now = now_boottime_usec();
        g_autofree char *text = NULL;

        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_RESOURCE_FAILED,
                  LOG_FIELDS("HAMGR_GROUP",
                             l->group,
                             "HAMGR_RESOURCE",
                             e->resource,
                             "HAMGR_REASON",
                             e->text),
                  "group %s: %s",
                  l->group,
                  e->text);
        if (l->order != LOCAL_ORDER_START || l->waits || e->assignment != l->number)
                return; /* a newer order has been given already */

        /* A first start that fails is tried elsewhere; what has run here once is tried here again. */
        if (g && e->resource && (e->type == DRIVE_EVENT_RESOURCE_FAILED || l->restarting) &&
            count_restarts(l, g->policy, now) < g->policy->restarts) {
                g_array_append_val(l->restarts, now);
                l->restarting = true;
                if (drive_restart(m->drive, l->group, e->resource, l->number) >= 0) {
                        text =
                                        g_strdup_printf("restarting %s in place (%u of %u): %s",
                                                        e->resource,
                                                        l->restarts->len,
                                                        g->policy->restarts,
                                                        e->text);
                        log_event(LOG_NOTICE,
                                  HAMGR_MESSAGE_RESOURCE_RESTARTED,
                                  LOG_FIELDS("HAMGR_GROUP", l->group, "HAMGR_RESOURCE", e->resource),
                                  "group %s: %s",
                                  l->group,
                                  text);
                        report(m, l, l->number, STATE_REPORT_STARTING, text);
                        return;
                }
        }
        l->restarting = false;
        report(m, l, l->number, STATE_REPORT_FAILED, e->text);
}

/* Somebody started a part of a group that is not ours to run: it is stopped, whatever the others say. */
static void on_stray(Manager *m, Local *l, const DriveEvent *e) {
        if (l->order == LOCAL_ORDER_START)
                return; /* it is ours by now */
        log_event(LOG_ERR,
                  HAMGR_MESSAGE_GROUP_TWICE,
                  LOG_FIELDS("HAMGR_GROUP",
                             l->group,
                             "HAMGR_RESOURCE",
                             e->resource,
                             "HAMGR_REASON",
                             e->text),
                  "group %s: %s; stopping it here",
                  l->group,
                  e->text);
        group_set_armed(m, true);
        report(m, l, l->number, STATE_REPORT_PARTIAL, e->text);
        l->order = LOCAL_ORDER_STOP;
        l->waits = true;
}

static void on_group_event(Manager *m, const DriveEvent *e) {
        Local *l = local_get(m, e->group);

        switch (e->type) {
        case DRIVE_EVENT_FOUND:
                if (e->found != DRIVE_FOUND_NOTHING)
                        log_event(LOG_NOTICE,
                                  HAMGR_MESSAGE_ADOPTED,
                                  LOG_FIELDS("HAMGR_GROUP", l->group),
                                  "group %s: %s of it runs here already; nothing is restarted",
                                  l->group,
                                  e->found == DRIVE_FOUND_ALL ? "all" : "a part");
                break;
        case DRIVE_EVENT_STARTED:
                l->restarting = l->held = false;
                report(m, l, e->assignment, STATE_REPORT_RUNNING, "");
                break;
        case DRIVE_EVENT_START_FAILED:
        case DRIVE_EVENT_RESOURCE_FAILED:
                if (l->order == LOCAL_ORDER_PROBE)
                        report(m, l, e->assignment, STATE_REPORT_PARTIAL, e->text);
                else if (l->held)
                        report(m, l, e->assignment, STATE_REPORT_HELD, e->text);
                else
                        on_failure(m, l, e);
                break;
        case DRIVE_EVENT_STOPPED:
                report(m,
                       l,
                       e->assignment,
                       STATE_REPORT_STOPPED,
                       l->lost_quorum ? "this node lost quorum and stopped it" : "");
                break;
        case DRIVE_EVENT_STOP_FAILED:
                report(m, l, e->assignment, STATE_REPORT_STOP_FAILED, e->text);
                break;
        case DRIVE_EVENT_OPERATOR_STOPPED:
                report(m, l, e->assignment, STATE_REPORT_HELD, e->text);
                break;
        case DRIVE_EVENT_STRAY:
                on_stray(m, l, e);
                break;
        case DRIVE_EVENT_RESOURCE_CHANGED:
                /* Whoever stopped one unit by hand may stop more: no other event tells of those. */
                if (l->said == STATE_REPORT_HELD) {
                        g_autofree char *reason = g_strdup(l->reason);

                        report(m, l, l->number, STATE_REPORT_HELD, reason);
                }
                return;
        case DRIVE_EVENT_CONNECTED:
        case DRIVE_EVENT_DISCONNECTED:
        case DRIVE_EVENT_GUARDED:
        case DRIVE_EVENT_GUARD_FAILED:
                ASSERT_NOT_REACHED();
        }
        act(m, l);
}

static void on_drive(Drive *d, const DriveEvent *e, void *userdata) {
        Manager *m = userdata;

        switch (e->type) {
        case DRIVE_EVENT_CONNECTED:
                log_info("%s", e->text);
                break;
        case DRIVE_EVENT_DISCONNECTED:
                log_warning("%s", e->text);
                break;
        case DRIVE_EVENT_GUARDED:
                m->guarded = drive_is_guarded(d);
                manager_tell_stored(m);
                break;
        case DRIVE_EVENT_GUARD_FAILED:
                log_error("%s; no group is started here until it works", e->text);
                break;
        default:
                on_group_event(m, e);
        }
        act_all(m);
        local_update_armed(m);
        leave_continue(m);
}

void local_update_armed(Manager *m) {
        if (m->configured && drive_is_empty(m->drive) && !expects_start(m))
                group_set_armed(m, false);
}

int local_start(Manager *m) {
        int r;

        m->locals = g_ptr_array_new_with_free_func(local_free);
        r = event_timer_new(m->event, "act", on_act_timer, m, &m->act_timer);
        if (r < 0)
                return r;
        return drive_new(m->event, NULL, on_drive, m, &m->drive);
}

void local_stop(Manager *m) {
        m->drive = drive_free(m->drive);
        sd_event_source_disable_unref(m->act_timer);
        if (m->locals)
                g_ptr_array_unref(m->locals);
}
