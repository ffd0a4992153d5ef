/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One fence device of either type: what it was configured with, its secret, and what its agent says of
 * itself or where its controllers have what we ask for. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "hamgr/fence/action.h"
#include "shared/cluster-conf.h"

typedef struct FenceDevice FenceDevice;
typedef struct FenceRun FenceRun;

/* The look at the device has ended: fence_device_is_ready() or fence_device_error(). */
typedef void (*FenceDeviceLookedHandler)(FenceDevice *d, void *userdata);

/* The device was asked; trouble is what was wrong with any of them, NULL when nothing was. */
typedef void (*FenceDeviceProbedHandler)(FenceDevice *d, const char *trouble, void *userdata);

/* Is it certain that the node runs? */
typedef bool (*FenceDeviceIsUp)(uint32_t node_id, void *userdata);

/* What of it is wrong on this node without asking anybody: program, secret, CA file. For g_free(); NULL:
 * nothing. */
char *fence_device_check_files(const ClusterFence *conf);

/* conf is borrowed. */
FenceDevice *fence_device_new(
                sd_event *event, const ClusterFence *conf, FenceDeviceLookedHandler handler, void *userdata);
/* Its runs must have been freed before. */
FenceDevice *fence_device_free(FenceDevice *d);

const ClusterFence *fence_device_conf(const FenceDevice *d);
bool fence_device_is_ready(const FenceDevice *d);
/* Why it is not ready; NULL when it is, or when nobody has looked yet. */
const char *fence_device_error(const FenceDevice *d);

/* Looks at what is here: program, secret, metadata, parameters, CA file. Told through the handler, from the
 * loop; a look in progress is not begun again. */
int fence_device_look(FenceDevice *d);

/* Reads the files again, without running anything: passwords and their modes change. Of a device that is
 * ready; it is not any more when something is wrong. */
void fence_device_reread(FenceDevice *d);

/* Asks for the state of every node, which changes nothing, so that a device that cannot be used is known
 * before it is needed: controllers all at once, an agent for one node after the other. Of a device that is
 * ready; a probe in progress is begun again. One that says of a node that is up that it is off looks at
 * another machine, or lies. */
int fence_device_probe(
                FenceDevice *d, FenceDeviceIsUp is_up, FenceDeviceProbedHandler handler, void *userdata);
/* Breaks one off, since some devices serve one at a time. True: there was one. */
bool fence_device_stop_probe(FenceDevice *d);

/* Nothing is under way at its controllers, not even the end of a session. */
bool fence_device_is_quiet(const FenceDevice *d);

/* text says how it went, with the action in front; borrowed for the call. Called once, from the loop, never
 * from within fence_device_run(). May free the run. */
typedef void (*FenceRunHandler)(FenceRun *run, FenceVerdict verdict, const char *text, void *userdata);

/* Runs one action of a device that is ready, on a node that it has. */
int fence_device_run(
                FenceDevice *d,
                FenceAction action,
                uint32_t node_id,
                uint64_t timeout_usec,
                FenceRunHandler handler,
                void *userdata,
                FenceRun **ret);
/* Breaks it off: an agent is killed; whether it was carried out is then not known. */
FenceRun *fence_run_free(FenceRun *run);
DEFINE_TRIVIAL_CLEANUP(FenceRun *, fence_run_free);
