/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps one file system mounted: checks, mounts, watches, unmounts. */

#include <systemd/sd-event.h>

#include "resource-agents/mount/mounting.h"

typedef struct Keeper Keeper;

/* Checks, and begins to check the file system, mounts, or adopts. 0, or an exit status, that has been told
 * then. Later it ends the loop with an exit status when it cannot go on. */
int keeper_start(sd_event *event, const MountOptions *options, Keeper **ret);

/* Unmounts if we have it mounted, and the disk answers. 0, or an exit status. */
int keeper_release(Keeper *k);

Keeper *keeper_free(Keeper *k);
DEFINE_TRIVIAL_CLEANUP(Keeper *, keeper_free);

/* What ExecStopPost= runs. 0, or an exit status. */
int keeper_remove_leftover(const MountOptions *options);
