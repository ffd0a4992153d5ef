/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "basic/macro.h"
#include "basic/string-table.h"
#include "hamgr/drive/reason.h"

/* Exit statuses of ha-ip and ha-mount. */
enum {
        AGENT_EXIT_IN_USE = 4,
};

static const char *const drive_resource_state_table[_DRIVE_RESOURCE_STATE_MAX] = {
        [DRIVE_RESOURCE_STOPPED] = "stopped", [DRIVE_RESOURCE_STARTING] = "starting",
        [DRIVE_RESOURCE_RUNNING] = "running", [DRIVE_RESOURCE_STOPPING] = "stopping",
        [DRIVE_RESOURCE_FAILED] = "failed",
};
DEFINE_STRING_TABLE(drive_resource_state, DriveResourceState);

static const char *const drive_reason_table[_DRIVE_REASON_MAX] = {
        [DRIVE_REASON_NONE] = "none",
        [DRIVE_REASON_EXIT_CODE] = "exit-code",
        [DRIVE_REASON_SIGNAL] = "signal",
        [DRIVE_REASON_CORE_DUMP] = "core-dump",
        [DRIVE_REASON_WATCHDOG] = "watchdog",
        [DRIVE_REASON_OOM] = "oom-kill",
        [DRIVE_REASON_TIMEOUT] = "timeout",
        [DRIVE_REASON_RESOURCES] = "resources",
        [DRIVE_REASON_ASSERT] = "assert",
        [DRIVE_REASON_DEPENDENCY] = "dependency",
        [DRIVE_REASON_START_LIMIT] = "start-limit",
        [DRIVE_REASON_NO_UNIT] = "no-unit",
        [DRIVE_REASON_CANCELED] = "canceled",
        [DRIVE_REASON_CONFLICT] = "conflict",
        [DRIVE_REASON_LEFTOVER] = "leftover",
        [DRIVE_REASON_OPERATOR] = "operator",
        [DRIVE_REASON_SYSTEM] = "system",
};
DEFINE_STRING_TABLE(drive_reason, DriveReason);

typedef struct ReasonName {
        const char *name;
        DriveReason reason;
} ReasonName;

static const ReasonName result_names[] = {
        { "exit-code", DRIVE_REASON_EXIT_CODE },
        { "signal", DRIVE_REASON_SIGNAL },
        { "core-dump", DRIVE_REASON_CORE_DUMP },
        { "watchdog", DRIVE_REASON_WATCHDOG },
        { "oom-kill", DRIVE_REASON_OOM },
        { "timeout", DRIVE_REASON_TIMEOUT },
        { "protocol", DRIVE_REASON_EXIT_CODE },
        { "resources", DRIVE_REASON_RESOURCES },
        { "start-limit-hit", DRIVE_REASON_START_LIMIT },
};

static const ReasonName job_names[] = {
        { "canceled", DRIVE_REASON_CANCELED },     { "timeout", DRIVE_REASON_TIMEOUT },
        { "dependency", DRIVE_REASON_DEPENDENCY }, { "assert", DRIVE_REASON_ASSERT },
        { "invalid", DRIVE_REASON_RESOURCES },     { "unsupported", DRIVE_REASON_RESOURCES },
        { "collected", DRIVE_REASON_NO_UNIT },
};

static const ReasonName error_names[] = {
        { "org.freedesktop.systemd1.NoSuchUnit", DRIVE_REASON_NO_UNIT },
        { "org.freedesktop.systemd1.LoadFailed", DRIVE_REASON_NO_UNIT },
        { "org.freedesktop.systemd1.UnitMasked", DRIVE_REASON_NO_UNIT },
        { "org.freedesktop.systemd1.BadUnitSetting", DRIVE_REASON_RESOURCES },
        { "org.freedesktop.systemd1.TransactionIsDestructive", DRIVE_REASON_CANCELED },
};

static DriveReason reason_of(const ReasonName *names, size_t n, const char *name, DriveReason otherwise) {
        FOREACH_ARRAY(i, names, n)
                if (streq_ptr(i->name, name))
                        return i->reason;
        return otherwise;
}

DriveReason drive_reason_from_job(const char *job_result) {
        return reason_of(job_names, ELEMENTSOF(job_names), job_result, DRIVE_REASON_NONE);
}

DriveReason drive_reason_from_error(const char *error_name) {
        return reason_of(error_names, ELEMENTSOF(error_names), error_name, DRIVE_REASON_SYSTEM);
}

void drive_failure_done(DriveFailure *f) {
        g_free(f->text);
        *f = (DriveFailure){};
}

void drive_failure_set(DriveFailure *f, DriveReason reason, int status, const char *format, ...) {
        va_list ap;
        char *text;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);

        drive_failure_done(f);
        *f = (DriveFailure){ .reason = reason, .status = status, .text = text };
}

static char *how_it_ended(const char *unit, const char *result, DriveReason reason, int code, int status) {
        const char *signal_name = code != CLD_EXITED && status > 0 ? sigabbrev_np(status) : NULL;

        if (reason == DRIVE_REASON_WATCHDOG)
                return g_strdup_printf("%s did not answer its watchdog in time and was killed", unit);
        if (reason == DRIVE_REASON_OOM)
                return g_strdup_printf("%s was killed by the kernel because memory ran out", unit);
        if (reason == DRIVE_REASON_TIMEOUT)
                return g_strdup_printf("%s took longer than its time limit", unit);
        if (reason == DRIVE_REASON_START_LIMIT)
                return g_strdup_printf("%s was started too often in too short a time", unit);
        if (reason == DRIVE_REASON_RESOURCES)
                return g_strdup_printf("systemd could not start %s: see journalctl -u %s", unit, unit);
        if (streq_ptr(result, "protocol"))
                return g_strdup_printf("%s ended before it said that it was ready", unit);
        if (code == CLD_EXITED)
                return g_strdup_printf("%s exited with status %d", unit, status);
        if (code == CLD_KILLED || code == CLD_DUMPED)
                return g_strdup_printf(
                                "%s was killed by signal %d (%s)%s",
                                unit,
                                status,
                                signal_name ? signal_name : "unknown",
                                code == CLD_DUMPED ? " and dumped core" : "");
        return g_strdup_printf("%s ended", unit);
}

void drive_failure_from_result(
                DriveFailure *f,
                const char *unit,
                bool agent,
                const char *result,
                int code,
                int status,
                const char *status_text) {

        g_autofree char *how = NULL;
        DriveReason reason;

        reason = reason_of(result_names, ELEMENTSOF(result_names), result, DRIVE_REASON_EXIT_CODE);
        if (streq_ptr(result, "success") && code == CLD_KILLED)
                reason = DRIVE_REASON_SIGNAL; /* of those that systemd takes for a clean end */
        how = how_it_ended(unit, result, reason, code, status);
        if (agent && code == CLD_EXITED && status == AGENT_EXIT_IN_USE)
                reason = DRIVE_REASON_CONFLICT;

        /* What it said last explains an end of its own making, and no other. */
        if (isempty(status_text) || code != CLD_EXITED)
                drive_failure_set(f, reason, status, "%s", how);
        else
                drive_failure_set(f, reason, status, "%s: %s", how, status_text);
}
