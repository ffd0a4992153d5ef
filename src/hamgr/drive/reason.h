/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From systemd's words for how something ended to reasons and sentences. Pure. */

#include "hamgr/drive/drive.h"

typedef struct DriveFailure {
        DriveReason reason;
        int status;
        char *text; /* owned, g_free(); NULL: no failure */
} DriveFailure;

void drive_failure_done(DriveFailure *f);
/* Sets it anew, the text being a sentence. */
void drive_failure_set(DriveFailure *f, DriveReason reason, int status, const char *format, ...)
                _printf_(4, 5);

/* How a unit that is inactive or failed came to be so, from its properties Result, ExecMainCode (CLD_*) and
 * ExecMainStatus, with what it said of itself last ("" : nothing). agent: exit statuses have the meaning
 * that our agents give them. */
void drive_failure_from_result(
                DriveFailure *f,
                const char *unit,
                bool agent,
                const char *result,
                int code,
                int status,
                const char *status_text);

/* How a start job of the unit failed, from the result of JobRemoved; DRIVE_REASON_NONE when the job says
 * only that it failed, and the unit's result says why. */
DriveReason drive_reason_from_job(const char *job_result);

/* What it means that a call was refused with this D-Bus error. */
DriveReason drive_reason_from_error(const char *error_name);
