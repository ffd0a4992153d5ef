/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One fence device: what it was configured with, its secret, and what its agent says of itself. */

#include <systemd/sd-event.h>

#include "hamgr/fence/metadata.h"
#include "shared/child.h"
#include "shared/cluster-conf.h"

#define FENCE_SECRET_BYTES_MAX (16U * 1024U)

typedef enum FenceAction {
        FENCE_ACTION_OFF,
        FENCE_ACTION_STATUS,
        FENCE_ACTION_ON,
        _FENCE_ACTION_MAX,
        _FENCE_ACTION_INVALID = -EINVAL,
} FenceAction;

const char *fence_action_to_string(FenceAction i);
FenceAction fence_action_from_string(const char *s);

typedef struct FenceDevice FenceDevice;

/* The look at the device has ended: fence_device_is_ready() or fence_device_error(). */
typedef void (*FenceDeviceLookedHandler)(FenceDevice *d, void *userdata);

/* conf is borrowed. */
FenceDevice *fence_device_new(
                sd_event *event, const ClusterFence *conf, FenceDeviceLookedHandler handler, void *userdata);
FenceDevice *fence_device_free(FenceDevice *d);

const ClusterFence *fence_device_conf(const FenceDevice *d);
bool fence_device_is_ready(const FenceDevice *d);
/* Why it is not ready; NULL when it is, or when nobody has looked yet. */
const char *fence_device_error(const FenceDevice *d);

/* Looks at program, secret, metadata and parameters. Told through the handler, from the loop; a look in
 * progress is not begun again. */
int fence_device_look(FenceDevice *d);

/* Runs one action of a device that is ready. */
int fence_device_run(
                FenceDevice *d,
                FenceAction action,
                const char *plug,
                uint64_t timeout_usec,
                ChildHandler handler,
                void *userdata,
                Child **ret);

/* Pure: what goes to the agent's standard input, and what is wrong with the parameters. secret is
 * "key=value" strings ended by NULL, or NULL. For g_free(). */
char *fence_device_input(
                const FenceMetadata *m,
                const ClusterFence *conf,
                const char *const *secret,
                const char *plug,
                FenceAction action);
/* NULL: nothing is wrong; else a sentence, for g_free(). */
char *
fence_device_check_parameters(const FenceMetadata *m, const ClusterFence *conf, const char *const *secret);
