/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the fence devices of a node say of it, as TestFencing shows it. All texts are borrowed. */

#include "hamgr/api/api.h"
#include "shared/cluster-conf.h"

typedef struct ApiFenceTestDevice {
        const char *device;
        uint32_t level;
        const char *state; /* "on", "off"; "" */
        const char *error; /* "" */
        uint64_t taken_usec;
} ApiFenceTestDevice;

typedef struct ApiFenceTest {
        ApiFenceTestDevice devices[CLUSTER_FENCE_DEVICES_MAX];
        size_t n_devices;
} ApiFenceTest;

void api_call_fence_test(ApiCall *call, const ApiFenceTest *test);
