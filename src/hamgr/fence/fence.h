/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Fencing through programs that speak the fence-agents protocol: `key=value` lines on standard input.
 *
 * A node is proven off by `off` (exit 0) and then `status` (exit 2), and by nothing less. That is the result, and it is
 * reported at that point. Switching it on again comes after and is no part of the success. Several devices of one node
 * are levels, tried in order. All is asynchronous over sd-event. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#define FENCE_DEVICES_MAX 64U
#define FENCE_ERROR_SIZE 2048U

typedef struct Fence Fence;
typedef struct FenceRequest FenceRequest;

typedef struct FencePlug {
        const char *node;
        const char *plug; /* what the device calls that node */
} FencePlug;

/* One `[Fence name]` section of cluster.conf. All strings are borrowed for the call that takes the spec. */
typedef struct FenceSpec {
        const char *name;
        const char *agent; /* program in /usr/sbin, or an absolute path */

        const FencePlug *plugs;
        size_t n_plugs;

        const char *const *parameters; /* "key=value" */
        size_t n_parameters;
        const char *parameter_file; /* the same, one a line, with mode 0600; or NULL */

        uint64_t timeout_usec; /* for off and status together; as much again for on */
        bool power_on;
} FenceSpec;

typedef struct FenceResult {
        const char *node;
        bool confirmed_off;
        const char *device; /* that did it; NULL when none did */
        const char *reason; /* what went wrong with each device tried before; "" when nothing did */
        uint64_t duration_usec;
} FenceResult;

typedef struct FenceDeviceStatus {
        const char *device;
        const char *error; /* NULL: ready */
} FenceDeviceStatus;

/* Called once for each request, never from within fence_request_new(). The handler may free the request. */
typedef void (*FenceResultHandler)(FenceRequest *request, const FenceResult *result, void *userdata);

/* The end of an `on` after a confirmed `off`. error is NULL when it worked. */
typedef void (*FencePowerOnHandler)(const char *node, const char *device, const char *error, void *userdata);

/* A device has been looked at (program, metadata, parameters, secret), at fence_load(). */
typedef void (*FenceDeviceHandler)(const FenceDeviceStatus *status, void *userdata);

int fence_new(sd_event *event, Fence **ret);
/* Kills what runs, with its process group. Requests must have been freed before. */
Fence *fence_free(Fence *f);

void fence_set_handlers(
                Fence *f, FenceDeviceHandler on_device, FencePowerOnHandler on_power_on, void *userdata);

/* Adds the next level. Copies the spec; starts nothing. -EEXIST: name taken, -E2BIG: FENCE_DEVICES_MAX. */
int fence_add_device(Fence *f, const FenceSpec *spec);

/* Reads secrets and metadata of all devices, again if called again; on_device tells the end of each. Requests need not
 * wait for it: a device not ready when it is needed is looked at once more, within its time limit. */
int fence_load(Fence *f);

bool fence_covers_node(const Fence *f, const char *node);
/* The longest time that a request for this node can take: the limits of its devices, summed. */
uint64_t fence_node_timeout_usec(const Fence *f, const char *node);

/* Switches the node off for certain. A node without a device fails with that reason, through the handler. A running
 * `on` for the same node is killed first. */
int fence_request_new(
                Fence *f, const char *node, FenceResultHandler handler, void *userdata, FenceRequest **ret);
/* Before the result: kills the agent; whether the node was switched off is then not known. */
FenceRequest *fence_request_free(FenceRequest *r);

/* For `hactl check`: runs the same look at one device and waits for it. 0: usable. -EINVAL: error says why. */
int fence_check(const FenceSpec *spec, char error[static FENCE_ERROR_SIZE]);

static inline void fence_freep(Fence **f) {
        fence_free(*f);
}

static inline void fence_request_freep(FenceRequest **r) {
        fence_request_free(*r);
}
