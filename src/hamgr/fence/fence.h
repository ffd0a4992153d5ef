/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Fencing through programs that speak the fence-agents protocol (`key=value` lines on standard input), and
 * through the servers' management controllers by Redfish.
 *
 * A node is proven off by `off` and then by asking: an agent's `off` (exit 0) and `status` (exit 2), a
 * controller's PowerState "Off" after the order; and by nothing less. That is the result, and it is reported
 * at that point. Switching it on again (PowerOn=) comes after and is no part of
 * the success. Several devices of one node are levels, tried one after the other until
 * one of them has succeeded; those that share a level (Level=), as two power supplies do, must all succeed.
 * All is asynchronous over sd-event. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "shared/cluster-conf.h"

#define FENCE_ERROR_MAX 2048U

typedef struct Fence Fence;
typedef struct FenceRequest FenceRequest;

/* Texts are borrowed for the call. */
typedef struct FenceResult {
        uint32_t node_id;
        bool confirmed_off;
        const char *device; /* that did it, "a, b" of one level; NULL when none did */
        const char *reason; /* what went wrong with each device tried; "" when nothing did */
        uint64_t duration_usec;
} FenceResult;

/* Called once for each request, from the loop, never from within fence_request_new(). May free the request.
 */
typedef void (*FenceResultHandler)(FenceRequest *request, const FenceResult *result, void *userdata);

/* The end of an `on` after a confirmed `off`; error is NULL when it worked. */
typedef void (*FencePowerOnHandler)(uint32_t node_id, const char *device, const char *error, void *userdata);

/* A device has been looked at (program, secret, metadata, parameters), or asked for the state of its nodes,
 * as it is at an interval (CheckSec=): error is NULL when it is ready. */
typedef void (*FenceDeviceHandler)(const char *device, const char *error, void *userdata);

/* Is it certain that the node runs? A device that says otherwise when it is asked has a fault. */
typedef bool (*FenceIsUpHandler)(uint32_t node_id, void *userdata);

/* conf is borrowed and must live until fence_free(). Starts nothing. */
int fence_new(sd_event *event, const ClusterConf *conf, Fence **ret);
/* Kills what runs, with its process group. Requests must have been freed before. */
Fence *fence_free(Fence *f);
DEFINE_TRIVIAL_CLEANUP(Fence *, fence_free);

/* Each may be NULL. */
void fence_set_handlers(
                Fence *f,
                FenceDeviceHandler on_device,
                FencePowerOnHandler on_power_on,
                FenceIsUpHandler is_node_up,
                void *userdata);

/* Reads secrets and metadata of all devices, and again each time it is called; on_device tells how each
 * ended. Requests need not wait for it: a device that is not ready when it is needed is looked at then,
 * within its time limit. */
int fence_load(Fence *f);

/* Switches the node off for certain. A node without a device fails with that reason, through the handler. A
 * running `on` for the same node is killed first. -EBUSY: there is a request for this node already. */
int fence_request_new(
                Fence *f, uint32_t node_id, FenceResultHandler handler, void *userdata, FenceRequest **ret);
/* Before the result: kills the agent; whether the node was switched off is then not known. */
FenceRequest *fence_request_free(FenceRequest *r);
DEFINE_TRIVIAL_CLEANUP(FenceRequest *, fence_request_free);

/* Nothing is being switched off, or on again. */
bool fence_is_idle(const Fence *f);

/* What files of the device are missing or wrong on this node, for g_free(); NULL: none. */
char *fence_check_files(const ClusterFence *device);

/* For `hactl check`: has the same look at one device and waits for it. self is up; 0: it is no node. 0:
 * ready; -EINVAL: error says why not. */
int fence_check(const ClusterFence *device, uint32_t self, char error[static FENCE_ERROR_MAX]);
