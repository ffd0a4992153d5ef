/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why are we asked to stop? When hamgr is restarted or upgraded, everything keeps running and is adopted
 * afterwards. When it is stopped, or the machine shuts down, the node drains: the others are told, groups go
 * away, and only when nothing is left running here do we leave the group, so that hagcd can say so in its
 * farewell. Without quorum there is nobody to hand groups to: they are stopped. */

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"

/* How long a cluster that is changing may keep a drain from being ordered before groups are just stopped. */
#define ORDER_TIMEOUT_USEC (5 * UINT64_C(1000000))
#define UNREGISTER_TIMEOUT_USEC (2 * UINT64_C(1000000))

static bool is_ordered(const Manager *m) {
        const StateNode *n = m->active ? state_node(m->state, m->self) : NULL;

        return n && n->leaving;
}

/* Every group is proven stopped here, and the others know it. */
static bool others_know(const Manager *m) {
        for (size_t i = 0; i < state_n_groups(m->state); i++)
                if (node_set_contains(state_group_at(m->state, i)->may_run, m->self))
                        return false;
        return true;
}

static void unregister(Manager *m) {
        /* Without a configuration it is not known what to stop. Then the farewell may not say that nothing
         * runs here: the others keep what this node may run where it is. */
        if (m->configured || !drive_was_used(m->drive)) {
                log_info("nothing runs here any more; leaving the other managers");
                group_set_armed(m, false);
        } else
                log_warning("the configuration was never learned from the others, so what an earlier hamgr "
                            "started here is left running, and starts nowhere else until this node is back, "
                            "rebooted or fenced");
        m->leaving = MANAGER_UNREGISTERS;
        (void) event_timer_in(m->leave_timer, UNREGISTER_TIMEOUT_USEC);
        if (group_unregister(m) < 0)
                (void) sd_event_exit(m->event, 0);
}

void leave_continue(Manager *m) {
        if (m->leaving != MANAGER_DRAINS)
                return;
        if (!m->active)
                local_stop_all(m);
        if (m->configured && !local_is_empty(m))
                return;
        if (m->active && !m->leaves_alone && !(is_ordered(m) && others_know(m)))
                return;
        unregister(m);
}

void leave_joined(Manager *m) {
        if (m->leaving == MANAGER_DRAINS)
                group_send(m, &(StateMessage){ .type = STATE_MESSAGE_NODE_LEAVING });
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (m->leaving == MANAGER_UNREGISTERS)
                return sd_event_exit(m->event, 0);
        if (m->leaving == MANAGER_DRAINS && !is_ordered(m)) {
                log_warning("the cluster takes no orders; stopping all groups here without it");
                m->leaves_alone = true;
                local_stop_all(m);
                leave_continue(m); /* all may be stopped already, as OnQuorumLoss= wanted */
        }
        return 0;
}

void leave_unregistered(Manager *m) {
        if (m->leaving == MANAGER_UNREGISTERS)
                (void) sd_event_exit(m->event, 0);
}

static void on_answer(Drive *d, DriveLeaving leaving, void *userdata) {
        Manager *m = userdata;

        switch (leaving) {
        case DRIVE_LEAVING_NOT:
                /* A status that makes systemd start us again: a node without its manager would be reset. */
                log_notice("killed by hand; what runs is left running. To stop hamgr: systemctl stop hamgr");
                (void) sd_event_exit(m->event, EXIT_FAILURE);
                return;
        case DRIVE_LEAVING_RESTART:
                log_info("hamgr is being restarted; what runs is left running");
                group_hand_over(m);
                (void) sd_event_exit(m->event, 0);
                return;
        case DRIVE_LEAVING_STOP:
        case DRIVE_LEAVING_SHUTDOWN:
        case DRIVE_LEAVING_UNKNOWN:
                break;
        }
        log_info("%s; moving groups away",
                 leaving == DRIVE_LEAVING_SHUTDOWN ? "the machine shuts down" : "hamgr is being stopped");
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Moving groups away");
        m->leaving = MANAGER_DRAINS;
        drive_set_leaving(m->drive, true);
        group_send(m, &(StateMessage){ .type = STATE_MESSAGE_NODE_LEAVING });
        (void) event_timer_in(m->leave_timer, ORDER_TIMEOUT_USEC);
        leave_continue(m);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;
        int r;

        if (m->leaving != MANAGER_STAYS)
                return 0;
        m->leaving = MANAGER_ASKS;
        r = drive_query_leaving(m->drive, on_answer, m);
        if (r < 0)
                on_answer(m->drive, DRIVE_LEAVING_UNKNOWN, m);
        return 0;
}

int leave_start(Manager *m) {
        int r;

        r = event_timer_new(m->event, "leave", on_timer, m, &m->leave_timer);
        if (r >= 0)
                r = event_signal_new(m->event, SIGTERM, on_signal, m, &m->leave_sigterm);
        if (r >= 0)
                r = event_signal_new(m->event, SIGINT, on_signal, m, &m->leave_sigint);
        return r;
}

void leave_stop(Manager *m) {
        sd_event_source_disable_unref(m->leave_timer);
        sd_event_source_disable_unref(m->leave_sigterm);
        sd_event_source_disable_unref(m->leave_sigint);
}
