/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a fence device is told to do, and how that ended. */

#include <errno.h>

typedef enum FenceAction {
        FENCE_ACTION_OFF,
        FENCE_ACTION_STATUS,
        FENCE_ACTION_ON,
        _FENCE_ACTION_MAX,
        _FENCE_ACTION_INVALID = -EINVAL,
} FenceAction;

const char *fence_action_to_string(FenceAction i);
FenceAction fence_action_from_string(const char *s);

typedef enum FenceVerdict {
        FENCE_VERDICT_DONE,    /* it says that it did as it was told, and has to be asked */
        FENCE_VERDICT_IS_ON,   /* it was asked, and is on */
        FENCE_VERDICT_IS_OFF,  /* it was asked, after the order if there was one, and is off */
        FENCE_VERDICT_FAILED,  /* may be tried again */
        FENCE_VERDICT_GAVE_UP, /* no use trying again now */
} FenceVerdict;
