/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One file system at one place: what may be mounted there, mounting it, and getting rid of it. These calls
 * block as long as the disk does. Each says what went wrong in a sentence and returns an exit status, 0 when
 * all is well. */

#include <stdint.h>

#include "resource-agents/exit-status.h"
#include "resource-agents/mount/holders.h"
#include "resource-agents/mount/mount-table.h"

#define MOUNTING_ERROR_MAX 1024U

typedef struct MountOptions {
        const char *what, *where;
        const char *type, *options; /* or NULL */
        bool fsck;
        uint64_t fsck_timeout_usec, stop_timeout_usec;
        uint64_t check_interval_usec, check_timeout_usec;
} MountOptions;

typedef struct Mounting {
        const MountOptions *wanted; /* weak */
        char *where;                /* owned: as the kernel writes it */
        char *source;               /* owned: the device's own name, or what was given */
        bool is_device;
        dev_t device_number; /* if it is one */

        Superblock superblock; /* once mounted */
        bool is_writable;
        char error[MOUNTING_ERROR_MAX];
} Mounting;

void mounting_init(Mounting *m, const MountOptions *wanted);
void mounting_done(Mounting *m);

/* Finds source and target, and refuses what must not be mounted. ret_adopt: it is mounted there already. */
AgentExit mounting_check(Mounting *m, bool *ret_adopt);
AgentExit mounting_mount(Mounting *m);

/* Is it mounted there, as it was? Reads the mount table only. */
AgentExit mounting_look(Mounting *m);

/* Unmounts it, freeing it of its holders first by SIGTERM and then by SIGKILL, and makes certain that the
 * superblock is gone. except: a process of ours that is no holder. */
AgentExit mounting_release(Mounting *m, pid_t except);

/* For ExecStopPost=: is there something of ours to release? */
AgentExit mounting_find_leftover(Mounting *m, bool *ret_found);
