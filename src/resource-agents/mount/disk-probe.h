/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks a disk whether it still answers, from a child process, so that a disk that hangs does not hang us. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"

typedef struct DiskProbe DiskProbe;

typedef enum DiskVerdict {
        DISK_ANSWERS,
        DISK_FAILS, /* with an error */
        DISK_HANGS,
        DISK_PROBE_BROKEN, /* the child is gone */
} DiskVerdict;

/* Called for each answer; error is the errno of DISK_FAILS. */
typedef void (*DiskVerdictHandler)(DiskVerdict verdict, int error, void *userdata);

/* Stats where, and reads the first block of the device past all caches (NULL: no device), at each interval.
 */
int disk_probe_new(
                sd_event *event,
                const char *where,
                const char *device,
                uint64_t interval_usec,
                uint64_t timeout_usec,
                DiskVerdictHandler handler,
                void *userdata,
                DiskProbe **ret);
/* Kills the child and waits for it, unless it hangs. */
DiskProbe *disk_probe_free(DiskProbe *p);
DEFINE_TRIVIAL_CLEANUP(DiskProbe *, disk_probe_free);

pid_t disk_probe_pid(const DiskProbe *p);
