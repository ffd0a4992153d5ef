/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One resource: its start, its stop, and what happens to it meanwhile.
 *
 * Start: forget an old failure, call, wait for the end of the job. Stop: call, wait for the end of the job;
 * then prove: the unit is inactive or failed, no process of it is left, its mount and its address are gone.
 * What a connection takes with it is begun again from the unit's state when there is a connection: both may
 * be repeated at any point. */

#include <errno.h>
#include <signal.h>

#include "basic/time-util.h"
#include "hamgr/drive/agent.h"
#include "hamgr/drive/internal.h"
#include "hamgr/drive/proof.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define RETRY_USEC (20 * USEC_PER_MSEC)
#define START_TRIES_MAX 5U
/* The kernel lets go of a mount and its device a moment after the agent's end. */
#define PROOF_WAIT_USEC (500 * USEC_PER_MSEC)

static void stop_call(Resource *r);
static void start_call(Resource *r);
static void stop_prove(Resource *r);
static void judge(Resource *r);

bool resource_is_agent(const Resource *r) {
        return r->config.type != HA_RESOURCE_UNIT;
}

static bool is_down(const Resource *r) {
        return r->active == UNIT_INACTIVE || r->active == UNIT_FAILED;
}

void resource_show(Resource *r, DriveResourceState state) {
        if (r->shown == state)
                return;
        r->shown = state;
        r->shown_since_usec = now_boottime_usec();
        group_tell(r->group, DRIVE_EVENT_RESOURCE_CHANGED, r, &r->failure);
}

/* ---- Operations begin and end ---- */

static void leave_operation(Resource *r) {
        link_cancel(&r->call);
        r->operation = OPERATION_NONE;
        r->awaits_job = false;
        r->foreign = FOREIGN_NONE;
        (void) event_timer_disarm(r->limit);
        (void) event_timer_disarm(r->retry);
}

static void begin_operation(Resource *r, Operation operation, uint64_t limit_usec) {
        leave_operation(r);
        link_cancel(&r->ask_job_type);
        r->ask_leaving = question_free(r->ask_leaving);
        r->operation = operation;
        r->n_tries = 0;
        r->proof_until_usec = 0;
        r->killed = false;
        r->cleaned = false;
        (void) event_timer_in(r->limit, limit_usec);
}

static void end_operation(Resource *r, SequenceEventType event, DriveResourceState shown) {
        leave_operation(r);
        resource_show(r, shown);
        group_feed(r->group, event, r->index);
}

static void start_failed(Resource *r) {
        end_operation(r, SEQUENCE_START_FAILED, DRIVE_RESOURCE_FAILED);
}

static void stop_failed(Resource *r) {
        end_operation(r, SEQUENCE_STOP_FAILED, DRIVE_RESOURCE_FAILED);
}

static void retry_later(Resource *r) {
        r->awaits_job = false;
        (void) event_timer_in(r->retry, RETRY_USEC);
}

static int on_retry(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Resource *r = userdata;

        if (!link_is_up(r->group->drive->link))
                return 0; /* resumed by on_up */
        switch (r->operation) {
        case OPERATION_NONE:
                judge(r);
                break;
        case OPERATION_START:
                start_call(r);
                break;
        case OPERATION_STOP:
                if (r->proof_until_usec > 0)
                        stop_prove(r);
                else
                        stop_call(r);
                break;
        }
        return 0;
}

static void take_result(Resource *r) {
        drive_failure_from_result(
                        &r->failure,
                        r->unit,
                        resource_is_agent(r),
                        r->result,
                        r->exec_code,
                        r->exec_status,
                        r->status_text);
}

/* Waits for the job that a call was answered with. */
static bool await_job(Resource *r, sd_bus_message *reply) {
        const char *job;

        if (sd_bus_message_read(reply, "o", &job) < 0)
                return false;
        g_free(r->own_job);
        r->own_job = g_strdup(job);
        r->awaits_job = true;
        return true;
}

/* ---- Start ---- */

static void on_start_reply(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;

        if (!error && await_job(r, reply))
                return;
        /* The agent's unit of before is not collected yet. */
        if (error && sd_bus_error_has_name(error, "org.freedesktop.systemd1.UnitExists") &&
            ++r->n_tries < START_TRIES_MAX) {
                retry_later(r);
                return;
        }
        drive_failure_set(
                        &r->failure,
                        drive_reason_from_error(error ? error->name : NULL),
                        0,
                        "systemd does not start %s: %s",
                        r->unit,
                        error ? strna(error->message) : "answer not understood");
        start_failed(r);
}

/* The units on disk of the group before (or behind) this resource. For g_free(); the names are borrowed. */
static const char **neighbours(const Resource *r, bool before) {
        const Group *g = r->group;
        GPtrArray *names = g_ptr_array_new();

        for (size_t i = before ? 0 : r->index + 1; i < (before ? r->index : g->n_resources); i++)
                if (!resource_is_agent(g->resources[i]))
                        g_ptr_array_add(names, g->resources[i]->unit);
        g_ptr_array_add(names, NULL);
        return (const char **) g_ptr_array_free(names, FALSE);
}

static int call_agent(Resource *r, LinkReplyHandler handler, bool cleanup) {
        Drive *d = r->group->drive;
        g_autofree char *owned_path = group_owned_path(r->group);
        g_autofree const char **earlier = neighbours(r, true), **later = neighbours(r, false);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int k;

        k = link_message_new(d->link, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit", &m);
        if (k < 0)
                return k;
        k =
                        agent_append(m,
                                     &(AgentUnit){
                                                     .unit = r->unit,
                                                     .group = r->group->name,
                                                     .resource = &r->config,
                                                     .owned_path = owned_path,
                                                     .folder = d->agent_folder,
                                                     .before = later,
                                                     .after = earlier,
                                     },
                                     cleanup);
        if (k < 0)
                return k;
        return link_send(d->link, m, &r->call, handler, r, BUS_CALL_TIMEOUT_USEC);
}

static void reset_failed(Resource *r) {
        (void) link_call(
                        r->group->drive->link,
                        NULL,
                        NULL,
                        NULL,
                        BUS_CALL_TIMEOUT_USEC,
                        "ResetFailedUnit",
                        "s",
                        r->unit);
}

static void start_call(Resource *r) {
        Link *l = r->group->drive->link;
        int k;

        if (!link_is_up(l))
                return; /* resumed by on_up, or ended by the limit */
        if (r->active == UNIT_ACTIVE) {
                end_operation(r, SEQUENCE_STARTED, DRIVE_RESOURCE_RUNNING);
                return;
        }

        reset_failed(r);
        /* An agent that is on its way already, from before a lost connection, is joined and not made anew.
         */
        if (resource_is_agent(r) && is_down(r))
                k = call_agent(r, on_start_reply, false);
        else
                k = link_call(l,
                              &r->call,
                              on_start_reply,
                              r,
                              BUS_CALL_TIMEOUT_USEC,
                              "StartUnit",
                              "ss",
                              r->unit,
                              "replace");
        if (k < 0 && k != -ENOTCONN) {
                drive_failure_set(
                                &r->failure,
                                DRIVE_REASON_SYSTEM,
                                0,
                                "cannot ask for %s: %s",
                                r->unit,
                                g_strerror(-k));
                start_failed(r);
        }
}

void resource_start(Resource *r) {
        begin_operation(r, OPERATION_START, r->config.start_usec);
        drive_failure_done(&r->failure);
        resource_show(r, DRIVE_RESOURCE_STARTING);
        start_call(r);
}

static void start_job_ended(Resource *r, const char *result) {
        DriveReason reason = drive_reason_from_job(result);

        if (r->active == UNIT_ACTIVE) {
                end_operation(r, SEQUENCE_STARTED, DRIVE_RESOURCE_RUNNING);
                return;
        }
        if (reason == DRIVE_REASON_ASSERT)
                drive_failure_set(
                                &r->failure,
                                reason,
                                0,
                                "systemd refused %s because an assertion of it does not hold: see systemctl "
                                "status %s",
                                r->unit,
                                r->unit);
        else if (reason == DRIVE_REASON_DEPENDENCY)
                drive_failure_set(&r->failure, reason, 0, "a unit that %s needs did not start", r->unit);
        else if (reason == DRIVE_REASON_CANCELED)
                drive_failure_set(
                                &r->failure,
                                reason,
                                0,
                                "the start of %s was cancelled by somebody else",
                                r->unit);
        else if (reason == DRIVE_REASON_NONE && is_down(r))
                take_result(r);
        else
                drive_failure_set(
                                &r->failure,
                                reason == DRIVE_REASON_NONE ? DRIVE_REASON_SYSTEM : reason,
                                0,
                                "the start of %s ended with \"%s\"",
                                r->unit,
                                result);
        start_failed(r);
}

/* ---- Stop ---- */

int resource_prove(const Resource *r, char **ret_text) {
        g_autofree char *interface = NULL;
        int k;

        switch (r->config.type) {
        case HA_RESOURCE_UNIT:
                return 0;
        case HA_RESOURCE_MOUNT:
                k = proof_mount(r->config.mount.what, r->config.mount.where, ret_text);
                return k != 0 ? k : proof_device(r->config.mount.what, ret_text);
        case HA_RESOURCE_ADDRESS:
                k = proof_address(r->config.address.family, r->config.address.address, &interface);
                if (k > 0)
                        *ret_text = g_strdup_printf("%s is on %s", r->config.address.address, interface);
                return k;
        case _HA_RESOURCE_TYPE_MAX:
        case _HA_RESOURCE_TYPE_INVALID:
                break;
        }
        ASSERT_NOT_REACHED();
}

static void kill_rest(Resource *r) {
        log_warning("%s: killing what is left of %s", r->group->name, r->unit);
        (void) link_call(
                        r->group->drive->link,
                        NULL,
                        NULL,
                        NULL,
                        BUS_CALL_TIMEOUT_USEC,
                        "KillUnit",
                        "ssi",
                        r->unit,
                        "all",
                        SIGKILL);
}

static void on_cleanup_reply(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;

        if (error || !await_job(r, reply))
                retry_later(r);
}

/* Everything but the kernel's view is proven. */
static void stop_prove_kernel(Resource *r) {
        g_autofree char *text = NULL;
        int k;

        k = resource_prove(r, &text);
        if (k == 0) {
                end_operation(r, SEQUENCE_STOPPED, DRIVE_RESOURCE_STOPPED);
                return;
        }
        if (now_boottime_usec() < r->proof_until_usec) {
                retry_later(r);
                return;
        }
        /* Left behind by an agent that died with its ExecStopPost=, or by one before a crash of hamgr. */
        if (k > 0 && !r->cleaned) {
                r->cleaned = true;
                reset_failed(r);
                log_warning("%s: %s after the stop of %s, removing it", r->group->name, text, r->unit);
                r->proof_until_usec = usec_add(now_boottime_usec(), PROOF_WAIT_USEC);
                if (call_agent(r, on_cleanup_reply, true) < 0)
                        retry_later(r);
                return;
        }
        drive_failure_set(
                        &r->failure,
                        DRIVE_REASON_LEFTOVER,
                        0,
                        "%s is stopped, but %s",
                        r->unit,
                        k > 0 ? text : "whether it is gone cannot be read from the kernel");
        stop_failed(r);
}

static void on_stop_processes(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;
        bool some;

        if (error && !sd_bus_error_has_name(error, "org.freedesktop.systemd1.NoSuchUnit")) {
                retry_later(r);
                return;
        }
        some = !error && (sd_bus_message_enter_container(reply, 'a', "(sus)") < 0 ||
                          sd_bus_message_at_end(reply, false) == 0);
        if (some) {
                if (!r->killed)
                        kill_rest(r);
                r->killed = true;
                retry_later(r);
                return;
        }
        stop_prove_kernel(r);
}

static void on_stop_read(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;
        UnitRow row;

        if (error || sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0 ||
            unit_row_read(reply, &row) <= 0) {
                retry_later(r);
                return;
        }
        resource_take_row(r, &row);
        if (!is_down(r)) {
                r->proof_until_usec = 0;
                retry_later(r);
                return;
        }
        if (r->proof_until_usec == 0)
                r->proof_until_usec = usec_add(now_boottime_usec(), PROOF_WAIT_USEC);
        if (link_call(r->group->drive->link,
                      &r->call,
                      on_stop_processes,
                      r,
                      BUS_CALL_TIMEOUT_USEC,
                      "GetUnitProcesses",
                      "s",
                      r->unit) < 0)
                retry_later(r);
}

static void stop_prove(Resource *r) {
        if (link_call(r->group->drive->link,
                      &r->call,
                      on_stop_read,
                      r,
                      BUS_CALL_TIMEOUT_USEC,
                      "ListUnitsByNames",
                      "as",
                      1,
                      r->unit) < 0)
                retry_later(r);
}

static void on_stop_reply(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;

        if (!error && await_job(r, reply))
                return;
        /* An agent's unit that is not there has nothing to stop. */
        if (error && sd_bus_error_has_name(error, "org.freedesktop.systemd1.NoSuchUnit")) {
                stop_prove(r);
                return;
        }
        log_warning("systemd does not stop %s, trying again: %s",
                    r->unit,
                    error ? strna(error->message) : "no job");
        retry_later(r);
}

/* Never "replace": it would join the job that a shutdown has queued for the unit, which waits for us to end.
 */
static void stop_call(Resource *r) {
        Link *l = r->group->drive->link;

        if (!link_is_up(l))
                return;
        if (link_call(l,
                      &r->call,
                      on_stop_reply,
                      r,
                      BUS_CALL_TIMEOUT_USEC,
                      "StopUnit",
                      "ss",
                      r->unit,
                      "ignore-dependencies") < 0)
                retry_later(r);
}

void resource_stop(Resource *r) {
        begin_operation(r, OPERATION_STOP, r->config.stop_usec);
        resource_show(r, DRIVE_RESOURCE_STOPPING);
        stop_call(r);
}

static void stop_limit(Resource *r) {
        char duration[DURATION_TEXT_MAX];

        /* An agent that is killed cannot clean up: systemd ends it at the same limit and runs its
         * ExecStopPost=. */
        if (!r->killed) {
                r->killed = true;
                if (!resource_is_agent(r))
                        kill_rest(r);
                (void) event_timer_in(r->limit, DRIVE_KILL_GRACE_USEC);
                return;
        }
        drive_failure_set(
                        &r->failure,
                        DRIVE_REASON_TIMEOUT,
                        0,
                        "%s is not proven stopped within %s, and SIGKILL does not end it; it is %s",
                        r->unit,
                        format_duration(r->config.stop_usec, duration),
                        strna(r->sub));
        stop_failed(r);
}

static int on_limit(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Resource *r = userdata;
        char duration[DURATION_TEXT_MAX];

        switch (r->operation) {
        case OPERATION_NONE:
                break;
        case OPERATION_STOP:
                stop_limit(r);
                break;
        case OPERATION_START:
                drive_failure_set(
                                &r->failure,
                                DRIVE_REASON_TIMEOUT,
                                0,
                                "%s did not start within %s; it is %s",
                                r->unit,
                                format_duration(r->config.start_usec, duration),
                                link_is_up(r->group->drive->link) ? strna(r->sub)
                                                                  : "unknown, systemd is not reached");
                start_failed(r);
                break;
        }
        return 0;
}

/* ---- What systemd tells ---- */

void resource_on_job_removed(Resource *r, const char *job, const char *result) {
        if (!r->awaits_job || !streq_ptr(r->own_job, job))
                return;
        r->awaits_job = false;

        switch (r->operation) {
        case OPERATION_NONE:
                break;
        case OPERATION_START:
                start_job_ended(r, result);
                break;
        case OPERATION_STOP:
                stop_prove(r);
                break;
        }
}

static void on_job_type(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;
        const char *type;

        if (!error && sd_bus_message_read(reply, "v", "s", &type) >= 0)
                r->foreign = streq(type, "stop") ? FOREIGN_STOP : FOREIGN_OTHER;
        judge(r);
}

static void ask_job_type(Resource *r) {
        Link *l = r->group->drive->link;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        link_cancel(&r->ask_job_type);
        if (link_message_new(l, r->job, BUS_PROPERTIES, "Get", &m) < 0 ||
            sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Job", "JobType") < 0)
                return;
        (void) link_send(l, m, &r->ask_job_type, on_job_type, r, BUS_CALL_TIMEOUT_USEC);
}

static bool has_foreign_job(const Resource *r) {
        return r->job && !streq_ptr(r->job, r->own_job);
}

static void foreign_stop_is(Resource *r, SequenceEventType what) {
        bool by_hand = what == SEQUENCE_OPERATOR_STOPPED;

        r->foreign = FOREIGN_NONE;
        if (!is_down(r) || r->operation != OPERATION_NONE)
                return;
        if (by_hand)
                drive_failure_set(&r->failure, DRIVE_REASON_OPERATOR, 0, "%s was stopped by hand", r->unit);
        resource_show(r, by_hand ? DRIVE_RESOURCE_STOPPED : DRIVE_RESOURCE_FAILED);
        group_feed(r->group, what, r->index);
}

/* A service that was stopped takes along what is bound to it, and so does the hand that stopped it. One that
 * failed, or a device that went, is a failure of ours. */
static void on_bound_read(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;
        UnitRow row;

        if (error || sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0) {
                foreign_stop_is(r, SEQUENCE_OPERATOR_STOPPED);
                return;
        }
        while (unit_row_read(reply, &row) > 0) {
                UnitActive active = unit_active_from_string(row.active);

                if (active != UNIT_FAILED && !(active == UNIT_INACTIVE && endswith(row.name, ".device")))
                        continue;
                drive_failure_set(
                                &r->failure,
                                DRIVE_REASON_DEPENDENCY,
                                0,
                                "systemd stopped %s, because %s, which it is bound to, %s",
                                r->unit,
                                row.name,
                                active == UNIT_FAILED ? "failed" : "is gone");
                foreign_stop_is(r, SEQUENCE_WENT_DOWN);
                return;
        }
        foreign_stop_is(r, SEQUENCE_OPERATOR_STOPPED);
}

/* -ENOENT: it is bound to nothing. */
static int ask_bound(Resource *r, sd_bus_message *reply) {
        Link *l = r->group->drive->link;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *name;
        size_t n_names = 0;
        int k;

        k = link_message_new(l, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames", &m);
        if (k >= 0)
                k = sd_bus_message_open_container(m, 'a', "s");
        if (k >= 0)
                k = sd_bus_message_enter_container(reply, 'v', "as");
        if (k >= 0)
                k = sd_bus_message_enter_container(reply, 'a', "s");
        while (k >= 0 && (k = sd_bus_message_read(reply, "s", &name)) > 0) {
                k = sd_bus_message_append(m, "s", name);
                n_names++;
        }
        if (k >= 0)
                k = sd_bus_message_close_container(m);
        if (k >= 0 && n_names == 0)
                k = -ENOENT;
        return k < 0 ? k : link_send(l, m, &r->call, on_bound_read, r, BUS_CALL_TIMEOUT_USEC);
}

static void on_bound_to(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;

        if (error || ask_bound(r, reply) < 0)
                foreign_stop_is(r, SEQUENCE_OPERATOR_STOPPED);
}

/* BindsTo=: then the stop may have been ordered by systemd itself. */
static int ask_bound_to(Resource *r) {
        Link *l = r->group->drive->link;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int k;

        k = link_message_new(l, r->path, BUS_PROPERTIES, "Get", &m);
        if (k >= 0)
                k = sd_bus_message_append(m, "ss", SYSTEMD_UNIT, "BindsTo");
        return k < 0 ? k : link_send(l, m, &r->call, on_bound_to, r, BUS_CALL_TIMEOUT_USEC);
}

static void on_leaving_known(DriveLeaving answer, void *userdata) {
        Resource *r = userdata;

        r->ask_leaving = question_free(r->ask_leaving);
        /* Not told within two seconds, as at a shutdown it may be: a guess could hold the group for ever. */
        if (answer == DRIVE_LEAVING_UNKNOWN) {
                (void) event_timer_in(r->retry, RETRY_USEC);
                return;
        }
        if (r->group->drive->leaving || answer == DRIVE_LEAVING_SHUTDOWN || answer == DRIVE_LEAVING_STOP)
                r->foreign = FOREIGN_NONE; /* the node leaves: whoever drains will order the stop */
        else if (ask_bound_to(r) < 0)
                foreign_stop_is(r, SEQUENCE_OPERATOR_STOPPED);
}

static void judge_down(Resource *r) {
        if (r->foreign == FOREIGN_STOP || r->foreign == FOREIGN_UNKNOWN) {
                if (!r->ask_leaving && !r->call)
                        r->ask_leaving = question_new(r->group->drive, on_leaving_known, r);
                return;
        }
        take_result(r);
        resource_show(r, DRIVE_RESOURCE_FAILED);
        group_feed(r->group, SEQUENCE_WENT_DOWN, r->index);
}

/* Outside of operations: did it come or go? While somebody else's job is on it, that is not settled. */
static void judge(Resource *r) {
        SequencePresence known = r->group->sequence.presence[r->index];

        if (r->operation != OPERATION_NONE || r->group->sequence.state == DRIVE_GROUP_UNREAD)
                return;
        if (has_foreign_job(r) || r->ask_job_type)
                return;

        if (r->active == UNIT_ACTIVE) {
                r->foreign = FOREIGN_NONE;
                if (known != SEQUENCE_UP) {
                        resource_show(r, DRIVE_RESOURCE_RUNNING);
                        group_feed(r->group, SEQUENCE_CAME_UP, r->index);
                }
        } else if (is_down(r)) {
                if (known == SEQUENCE_UP)
                        judge_down(r);
                else
                        r->foreign = FOREIGN_NONE;
        }
}

static char *read_job(sd_bus_message *m) {
        const char *path;
        uint32_t id;

        if (sd_bus_message_read(m, "v", "(uo)", &id, &path) < 0)
                return NULL;
        return id != 0 ? g_strdup(path) : NULL;
}

static void replace_text(char **text, sd_bus_message *m) {
        const char *s;

        if (sd_bus_message_read(m, "v", "s", &s) < 0)
                return;
        g_free(*text);
        *text = g_strdup(s);
}

static int take_property(Resource *r, const char *name, sd_bus_message *m) {
        g_autofree char *active = NULL;

        if (streq(name, "ActiveState")) {
                replace_text(&active, m);
                r->active = unit_active_from_string(strempty(active));
                return 0;
        }
        if (streq(name, "SubState"))
                replace_text(&r->sub, m);
        else if (streq(name, "Result"))
                replace_text(&r->result, m);
        else if (streq(name, "StatusText"))
                replace_text(&r->status_text, m);
        else if (streq(name, "ExecMainCode"))
                return sd_bus_message_read(m, "v", "i", &r->exec_code);
        else if (streq(name, "ExecMainStatus"))
                return sd_bus_message_read(m, "v", "i", &r->exec_status);
        else if (streq(name, "Job")) {
                g_free(r->job);
                r->job = read_job(m);
        } else
                return sd_bus_message_skip(m, "v");
        return 0;
}

/* systemd sends the properties of the type (Result, ...) before those of the unit, so that with the latter
 * all is known. */
void resource_on_unit_changed(Resource *r, const char *interface, sd_bus_message *m) {
        g_autofree char *job_before = g_strdup(r->job);
        const char *name;

        if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
                return;
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                if (sd_bus_message_read(m, "s", &name) < 0 || take_property(r, name, m) < 0)
                        return;
                if (sd_bus_message_exit_container(m) < 0)
                        return;
        }
        if (!streq(interface, SYSTEMD_UNIT) || r->operation != OPERATION_NONE)
                return;

        if (has_foreign_job(r) && !streq_ptr(r->job, job_before)) {
                r->foreign = FOREIGN_UNKNOWN;
                ask_job_type(r);
        }
        judge(r);
}

void resource_resume(Resource *r) {
        link_cancel(&r->call);
        (void) event_timer_disarm(r->retry);

        switch (r->operation) {
        case OPERATION_NONE:
                judge(r);
                return;
        case OPERATION_START:
                start_call(r);
                return;
        case OPERATION_STOP:
                r->proof_until_usec = 0;
                stop_call(r);
                return;
        }
}

void resource_link_down(Resource *r) {
        r->watch = sd_bus_slot_unref(r->watch);
        r->awaits_job = false;
        r->active = UNIT_UNKNOWN;
        r->foreign = FOREIGN_NONE;
        r->ask_leaving = question_free(r->ask_leaving);
        (void) event_timer_disarm(r->retry);
}

/* ---- Objects ---- */

Resource *resource_new(Group *g, size_t index, const HaResource *config) {
        Resource *r = g_new(Resource, 1);

        *r = (Resource){ .group = g, .index = index, .shown_since_usec = now_boottime_usec() };
        ha_resource_copy(&r->config, config);
        r->unit = drive_unit_name(g->name, config);
        if (sd_bus_path_encode(SYSTEMD_PATH "/unit", r->unit, &r->path) < 0 ||
            event_timer_new(g->drive->event, "drive-limit", on_limit, r, &r->limit) < 0 ||
            event_timer_new(g->drive->event, "drive-retry", on_retry, r, &r->retry) < 0)
                return resource_free(r);
        return r;
}

Resource *resource_free(Resource *r) {
        if (!r)
                return NULL;
        link_cancel(&r->call);
        link_cancel(&r->ask_job_type);
        (void) question_free(r->ask_leaving);
        sd_bus_slot_unref(r->watch);
        sd_event_source_disable_unref(r->limit);
        sd_event_source_disable_unref(r->retry);
        drive_failure_done(&r->failure);
        ha_resource_done(&r->config);
        g_free(r->unit);
        free(r->path);
        g_free(r->sub);
        g_free(r->result);
        g_free(r->status_text);
        g_free(r->job);
        g_free(r->own_job);
        g_free(r);
        return NULL;
}
