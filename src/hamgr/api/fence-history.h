/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is remembered of fencings, as GetFenceHistory shows it. */

#include "hamgr/api/api.h"

typedef struct ApiFenceHistory {
        const StateFenceEntry *entries; /* borrowed, oldest first */
        size_t n_entries;
        uint64_t epoch_usec; /* CLOCK_REALTIME at which the cluster's time was 0 */
} ApiFenceHistory;

void api_call_fence_history(ApiCall *call, const ApiFenceHistory *history);
