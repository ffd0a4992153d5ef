/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fencing from this node. Usually the replicated state orders it and takes the result in. In a membership
 * that holds exactly half of the votes nothing is ordered (protocol R6): there the lowest member fences
 * every node outside, the half with the tie-breaker at once and the other after a delay, and tells hagcd of
 * each success; when all are confirmed, hagcd forms a quorate membership.
 *
 * A node without a device is proven dead by time, where it said that it resets itself (R11 to R13): nobody
 * hears it, its lease is over, and the time has passed in which its keeper, its systemd or its watchdog has
 * reset it. So is one whose devices all failed. */

#include "basic/time-util.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define HALF_RETRY_USEC (2 * UINT64_C(1000000))
/* After so many FailureSec= whoever is heard is alive, and it is hagcd's to say what that means. */
#define SILENT_FAILURES 4

/* A node that is heard, or an agreement under way, ends the wait until that is over. */
#define LEASE_LOOK_USEC (100 * USEC_PER_MSEC)

struct FenceJob {
        Manager *manager;      /* weak */
        FenceRequest *request; /* owned; NULL: by time */
        StateBoot boot;
        sd_event_source *wait; /* owned: by time */
        uint64_t reset_usec;   /* in its own words; 0: it said nothing */
        bool half;             /* for quorum: the result goes to hagcd and not to the state, */
        uint64_t off_usec;     /* and waits until the node is silent; 0: it is not off yet */
};

static void job_free(void *p) {
        FenceJob *j = p;

        fence_request_free(j->request);
        sd_event_source_disable_unref(j->wait);
        g_free(j);
}

static FenceJob *job_find(Manager *m, uint32_t node, bool half) {
        for (size_t i = 0; i < m->fence_jobs->len; i++) {
                FenceJob *j = m->fence_jobs->pdata[i];

                if (j->boot.node == node && j->half == half)
                        return j;
        }
        return NULL;
}

static StateMessage result_message(StateMessageType type, const FenceJob *j, const FenceResult *result) {
        StateMessage message = {
                .type = type,
                .fence_result = { .boot = j->boot, .ok = result->confirmed_off },
        };

        (void) g_strlcpy(
                        message.fence_result.device,
                        strempty(result->device),
                        sizeof(message.fence_result.device));
        return message;
}

static void tell_state(Manager *m, const FenceJob *j, const FenceResult *result) {
        StateMessage message = result_message(STATE_MESSAGE_FENCE_RESULT, j, result);

        state_text_set(message.fence_result.text, "%s", result->reason);
        group_send(m, &message);
}

/* False: later. Nothing is proven about a node that some member hears (R15), as one that was heard when it
 * was fenced is for FailureSec. Not taken, as about a node that was started since, it is fenced again. */
static bool confirm_off(Manager *m, const FenceJob *j) {
        const hagcs_node *n = group_find_node(m, j->boot.node);

        if (n && n->heard && n->incarnation == j->boot.incarnation &&
            now_boottime_usec() < usec_add(j->off_usec, SILENT_FAILURES * m->conf->failure_usec))
                return false;
        if (n)
                (void) hagcs_confirm_down(
                                m->group,
                                j->boot.node,
                                j->boot.incarnation,
                                (hagcs_mid){ j->boot.mid.epoch, j->boot.mid.node });
        return true;
}

/* What this half did without the others is remembered with all the rest, as soon as there is quorum. */
static void remember(Manager *m, const FenceJob *j, const FenceResult *result) {
        StateMessage message = result_message(STATE_MESSAGE_FENCED_FOR_QUORUM, j, result);

        g_array_append_val(m->half_words, message);
}

void fencing_tell_of_half(Manager *m) {
        if (!m->active || !group_is_quorate(m))
                return;
        for (size_t i = 0; i < m->half_words->len; i++)
                group_send(m, &g_array_index(m->half_words, StateMessage, i));
        g_array_set_size(m->half_words, 0);
}

static void tell_failure(Manager *m, const FenceJob *j, const char *reason) {
        const char *name = manager_node_name(m, j->boot.node);

        log_event(LOG_ERR,
                  HAMGR_MESSAGE_FENCE_FAILED,
                  LOG_FIELDS("HAMGR_NODE", name, "HAMGR_REASON", reason),
                  "fencing %s to gain quorum failed: %s; trying again",
                  name,
                  reason);
}

/* False: the job goes on. */
static bool take_result(Manager *m, FenceJob *j, const FenceResult *result) {
        const char *name = manager_node_name(m, j->boot.node);

        if (!result->confirmed_off) {
                tell_failure(m, j, result->reason);
                return true;
        }
        log_event(LOG_NOTICE,
                  HAMGR_MESSAGE_FENCE_SUCCEEDED,
                  LOG_FIELDS("HAMGR_NODE", name),
                  "%s is off, %s confirms it",
                  name,
                  strempty(result->device));
        j->off_usec = now_boottime_usec();
        remember(m, j, result);
        return confirm_off(m, j);
}

/* ---- By time ---- */

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata) {
        FenceJob *j = userdata;
        Manager *m = j->manager;
        uint64_t over_usec = lease_over_usec(m, j->boot.node), now = now_boottime_usec();
        uint64_t due_usec = usec_add(over_usec, budget_wait_usec(j->reset_usec));

        if (now < due_usec)
                return event_timer_in(j->wait, MIN(due_usec - now, LEASE_LOOK_USEC));
        tell_state(m,
                   j,
                   &(FenceResult){
                                   .node_id = j->boot.node,
                                   .confirmed_off = true,
                                   .device = STATE_BY_TIME_DEVICE,
                                   .reason = "",
                   });
        g_ptr_array_remove(m->fence_jobs, j);
        return 0;
}

static bool can_wait(const FenceJob *j) {
        return !j->half && j->reset_usec > 0;
}

/* What the node said of itself when it joined last, and no setting of ours (R14). */
static int start_wait(FenceJob *j) {
        int r;

        if (j->wait)
                return 0;
        r = event_timer_new(j->manager->event, "fence-by-time", on_wait, j, &j->wait);
        return r < 0 ? r : event_timer_in(j->wait, 0);
}

/* True: the job goes on, by time. */
static bool wait_instead(FenceJob *j, const FenceResult *result) {
        if (result->confirmed_off || !can_wait(j) || start_wait(j) < 0)
                return false;
        log_warning("no fence device switched %s off (%s); waiting until it has reset itself for certain",
                    manager_node_name(j->manager, j->boot.node),
                    result->reason);
        j->request = fence_request_free(j->request);
        return true;
}

/* ---- By device ---- */

static void on_result(FenceRequest *request, const FenceResult *result, void *userdata) {
        FenceJob *j = userdata;
        Manager *m = j->manager;

        if (wait_instead(j, result))
                return;
        if (!j->half)
                tell_state(m, j, result);
        else if (!take_result(m, j, result))
                return;
        g_ptr_array_remove(m->fence_jobs, j);
        (void) event_defer_arm(m->fence_swap);
}

static uint64_t promised_reset(const Manager *m, uint32_t node) {
        const StateNode *n = m->active ? state_node(m->state, node) : NULL;

        return n && n->state != STATE_NODE_UP ? n->reset_usec : 0;
}

static void job_start(Manager *m, const StateBoot *boot, bool half) {
        FenceJob *j = g_new0(FenceJob, 1);
        int r;

        fence_test_break_off(m);
        j->manager = m;
        j->boot = *boot;
        j->half = half;
        j->reset_usec = promised_reset(m, boot->node);
        if (can_wait(j) && !node_set_contains(cluster_conf_fenceable_nodes(m->conf), boot->node))
                r = start_wait(j);
        else
                r = fence_request_new(m->fence, boot->node, on_result, j, &j->request);
        if (r < 0) {
                g_autofree char *reason =
                                g_strdup_printf("the fence agent could not be started: %s", strerror(-r));

                if (half)
                        tell_failure(m, j, reason);
                else
                        tell_state(m, j, &(FenceResult){ .node_id = boot->node, .reason = reason });
                job_free(j);
                return;
        }
        g_ptr_array_add(m->fence_jobs, j);
}

void fencing_order(Manager *m, const StateEffect *e) {
        FenceJob *old = job_find(m, e->boot.node, false);

        if (old)
                g_ptr_array_remove(m->fence_jobs, old);
        job_start(m, &e->boot, false);
}

void fencing_cancel(Manager *m, const StateBoot *boot) {
        FenceJob *j = job_find(m, boot->node, false);

        if (j && state_boot_equal(&j->boot, boot))
                g_ptr_array_remove(m->fence_jobs, j);
}

/* Orders of a state that is no more. What was begun for quorum goes by fencing_update_half(). */
void fencing_cancel_all(Manager *m) {
        for (size_t i = m->fence_jobs->len; i > 0; i--) {
                FenceJob *j = m->fence_jobs->pdata[i - 1];

                if (!j->half)
                        g_ptr_array_remove_index(m->fence_jobs, (guint) i - 1);
        }
}

/* ---- Exactly half ---- */

static void cancel_half(Manager *m) {
        for (size_t i = m->fence_jobs->len; i > 0; i--) {
                FenceJob *j = m->fence_jobs->pdata[i - 1];

                if (j->half)
                        g_ptr_array_remove_index(m->fence_jobs, (guint) i - 1);
        }
        (void) event_timer_disarm(m->half_timer);
}

/* One that left with groups running, as when its hagcd is restarted, is waited for (R9). Proven dead in this
 * split it may be starting by now; but that it was down before says nothing, nor that its boot is over
 * because a later one was heard (R6). */
static bool lacks_proof(const hagcs_cluster *c, const hagcs_node *n) {
        return n->enabled && !node_set_contains(c->members, n->id) && !n->proven &&
               (n->state == HAGCS_NODE_UNKNOWN || n->state == HAGCS_NODE_DOWN);
}

/* A node that we or another member hears is on its way back, and would give us more than half: nobody is
 * fenced then. But where links are broken for good it never comes; and each half, proving dead what it does
 * not hear and waiting for what it hears, would reset nodes of the other one for ever. Whoever is kept out
 * by its files, its disk or its version is an operator's to mend. */
static bool is_waited_for(const Manager *m, const hagcs_node *n) {
        bool links_are_to_blame = isempty(n->problem) || n->links_heard == 0;

        return n->heard && !(links_are_to_blame && now_boottime_usec() >= m->half_patience_usec);
}

static const hagcs_node *find_waited_for(const Manager *m, const hagcs_cluster *c) {
        for (size_t i = 0; i < c->n_nodes; i++)
                if (lacks_proof(c, &c->nodes[i]) && is_waited_for(m, &c->nodes[i]))
                        return &c->nodes[i];
        return NULL;
}

/* All at once: who was fenced, and is heard again by somebody before the last one is, is proven no more. */
static void fence_for_half(Manager *m, const hagcs_cluster *c) {
        for (size_t i = 0; i < c->n_nodes; i++) {
                const hagcs_node *n = &c->nodes[i];
                StateBoot boot = {
                        .node = n->id,
                        .incarnation = n->incarnation,
                        .mid = { c->mid.epoch, c->mid.node_id },
                };

                if (!lacks_proof(c, n) || job_find(m, n->id, true))
                        continue;
                memcpy(boot.boot_id.bytes, n->boot_id, sizeof(boot.boot_id.bytes));
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_FENCE_STARTED,
                          LOG_FIELDS("HAMGR_NODE", n->name),
                          "fencing %s: this half of the cluster needs its proof to go on",
                          n->name);
                job_start(m, &boot, true);
        }
}

static void confirm_those_that_are_silent(Manager *m) {
        for (size_t i = m->fence_jobs->len; i > 0; i--) {
                FenceJob *j = m->fence_jobs->pdata[i - 1];

                if (j->off_usec > 0 && confirm_off(m, j))
                        g_ptr_array_remove_index(m->fence_jobs, (guint) i - 1);
        }
}

static int on_half_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        const hagcs_cluster *c = m->group ? hagcs_get_cluster(m->group) : NULL;
        const hagcs_node *waited_for;

        if (!c || c->quorum != HAGCS_QUORUM_HALF)
                return 0;
        confirm_those_that_are_silent(m);
        waited_for = find_waited_for(m, c);
        if (!waited_for)
                fence_for_half(m, c);
        else if (!m->half_waits)
                log_notice("exactly half of the votes are here, and %s is heard: waiting for it to join",
                           waited_for->name);
        m->half_waits = !!waited_for;
        /* What failed is tried again; and whoever was heard may be silent by then. */
        (void) event_timer_in(m->half_timer, HALF_RETRY_USEC);
        return 0;
}

/* How long this half waits before it fences: the tie-breaker's half not at all, unless some node was never
 * seen, which at a cold start may be about to come up. */
static uint64_t half_delay_usec(const Manager *m, const hagcs_cluster *c) {
        uint64_t delay = node_set_contains(c->members, c->tie_breaker) ? 0 : m->conf->fence_delay_usec;

        for (size_t i = 0; i < c->n_nodes; i++)
                if (lacks_proof(c, &c->nodes[i]) && !c->nodes[i].heard && c->nodes[i].incarnation == 0) {
                        if (m->conf->unseen_fence_usec == 0)
                                return USEC_INFINITY;
                        delay = MAX(delay, m->conf->unseen_fence_usec);
                }
        return delay;
}

void fencing_update_half(Manager *m) {
        const hagcs_cluster *c = hagcs_get_cluster(m->group);
        bool half = c->quorum == HAGCS_QUORUM_HALF && node_set_lowest(c->members) == m->self;
        uint64_t delay;

        if (!half) {
                if (m->half.epoch != 0)
                        cancel_half(m);
                m->half = (hagcs_mid){};
                fencing_tell_of_half(m);
                return;
        }
        if (m->half.epoch == c->mid.epoch && m->half.node_id == c->mid.node_id) {
                confirm_those_that_are_silent(m);
                if (m->half_waits)
                        (void) event_timer_in(m->half_timer, 0);
                return;
        }
        cancel_half(m);
        m->half = c->mid;
        m->half_waits = false;
        delay = half_delay_usec(m, c);
        /* As long as a node has for coming up; and the half without the tie-breaker, once more, later. */
        m->half_patience_usec = m->conf->unseen_fence_usec == 0
                                                ? USEC_INFINITY
                                                : usec_add(now_boottime_usec(),
                                                           usec_add(delay, m->conf->unseen_fence_usec));
        (void) event_timer_in(m->half_timer, delay);
}

/* ---- The devices ---- */

/* Of all devices, for hactl status. */
static void update_trouble(Manager *m) {
        GString *s = g_string_new(NULL);

        FOREACH_ARRAY(f, m->conf->fences, m->conf->n_fences) {
                const char *error = g_hash_table_lookup(m->fence_errors, f->name);

                if (!isempty(error))
                        g_string_append_printf(s, "%s%s: %s", s->len > 0 ? "; " : "", f->name, error);
        }
        if (m->api && !streq(strempty(m->fence_trouble), s->str))
                api_cluster_changed(m->api);
        g_free(m->fence_trouble);
        m->fence_trouble = g_string_free(s, FALSE);
}

/* Agents put the time into what they say. */
static bool same_but_for_digits(const char *a, const char *b) {
        static const char digits[] = "0123456789";

        for (;; a++, b++) {
                a += strspn(a, digits);
                b += strspn(b, digits);
                if (*a != *b)
                        return false;
                if (*a == '\0')
                        return true;
        }
}

/* It is asked again and again: what changed is told. */
static void on_device(const char *device, const char *error, void *userdata) {
        Manager *m = userdata;
        const char *before = g_hash_table_lookup(m->fence_errors, device);
        bool is_new = !before || !same_but_for_digits(before, strempty(error));

        g_hash_table_insert(m->fence_errors, g_strdup(device), g_strdup(strempty(error)));
        update_trouble(m);
        if (!is_new)
                return;
        if (error)
                log_event(LOG_ERR,
                          HAMGR_MESSAGE_FENCE_FAILED,
                          LOG_FIELDS("HAMGR_DEVICE", device, "HAMGR_REASON", error),
                          "fence device %s cannot be used: %s",
                          device,
                          error);
        else
                log_info("fence device %s is ready", device);
}

static void on_power_on(uint32_t node_id, const char *device, const char *error, void *userdata) {
        Manager *m = userdata;

        (void) event_defer_arm(m->fence_swap);
        if (error)
                log_warning("%s was fenced, but %s could not switch it on again: %s",
                            manager_node_name(userdata, node_id),
                            device,
                            error);
}

static bool is_up(uint32_t node_id, void *userdata) {
        const Manager *m = userdata;
        const hagcs_cluster *c = m->group ? hagcs_get_cluster(m->group) : NULL;

        return node_id == m->self || (c && node_set_contains(c->members, node_id));
}

/* Each time, since it is never right for long. */
static void warn_of_unverified(const ClusterConf *conf) {
        FOREACH_ARRAY(f, conf->fences, conf->n_fences)
                if (f->no_verification)
                        log_event(LOG_WARNING,
                                  HAMGR_MESSAGE_FENCE_UNVERIFIED,
                                  LOG_FIELDS("HAMGR_DEVICE", f->name),
                                  "fence device %s has VerifyCertificate=no: whoever answers at the address "
                                  "of a "
                                  "management controller gets its password, and is believed that a server "
                                  "is "
                                  "off",
                                  f->name);
}

static int make_devices(Manager *m) {
        int r;

        warn_of_unverified(m->conf);
        g_hash_table_remove_all(m->fence_errors);
        update_trouble(m);

        r = fence_new(m->event, m->conf, &m->fence);
        if (r < 0)
                return log_error_errno(r, "cannot set up the fence devices: %m");
        fence_set_handlers(m->fence, on_device, on_power_on, is_up, m);
        return fence_load(m->fence);
}

/* What is under way is done by the devices that it was begun with. */
static int on_swap(sd_event_source *source, void *userdata) {
        Manager *m = userdata;

        if (!m->fence_is_old || !fence_is_idle(m->fence))
                return 0;
        m->fence_is_old = false;
        m->fence = fence_free(m->fence);
        m->fence_conf = cluster_conf_free(m->fence_conf);
        if (make_devices(m) < 0)
                g_error("cannot set up the fence devices anew");
        return 0;
}

void fencing_configure(Manager *m, ClusterConf *before_taken) {
        fence_test_break_off(m);
        if (m->fence_is_old)
                cluster_conf_free(before_taken);
        else
                m->fence_conf = before_taken;
        m->fence_is_old = true;
        (void) event_defer_arm(m->fence_swap);
}

int fencing_start(Manager *m) {
        int r;

        m->fence_jobs = g_ptr_array_new_with_free_func(job_free);
        fence_test_start(m);
        m->half_words = g_array_new(FALSE, FALSE, sizeof(StateMessage));
        m->fence_errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        r = event_timer_new(m->event, "half", on_half_timer, m, &m->half_timer);
        if (r < 0)
                return r;
        r = event_defer_new(m->event, "fence-devices", on_swap, m, &m->fence_swap);
        return r < 0 ? r : make_devices(m);
}

void fencing_stop(Manager *m) {
        fence_test_stop(m);
        sd_event_source_disable_unref(m->half_timer);
        if (m->fence_jobs)
                g_ptr_array_unref(m->fence_jobs);
        if (m->half_words)
                g_array_unref(m->half_words);
        sd_event_source_disable_unref(m->fence_swap);
        fence_free(m->fence);
        cluster_conf_free(m->fence_conf);
        if (m->fence_errors)
                g_hash_table_unref(m->fence_errors);
        g_free(m->fence_trouble);
}
