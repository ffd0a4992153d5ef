/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hagcd counts of the groups that talk by libhagcs, as GetMessageGroups shows it. All texts and arrays
 * are borrowed. */

#include "hamgr/api/api.h"

typedef struct ApiGroupMember {
        const char *name;
        uint32_t node;
        uint64_t seniority;
        bool critical;
        bool here; /* what follows is only of those that are */

        uint32_t pid;
        uint64_t sent_messages, sent_bytes;
        uint64_t delivered_messages, delivered_bytes;
        uint64_t waiting_messages, waiting_bytes, waiting_usec;
        uint64_t window_messages, window_bytes, window_usec;
        uint64_t n_full;
        uint64_t snapshots_given, snapshots_received;
} ApiGroupMember;

typedef struct ApiGroup {
        char *name; /* owned, where it is collected */
        HaMid mid;  /* epoch 0: nothing was delivered here */
        uint64_t sequence;
        uint64_t messages, bytes, views;
        uint64_t sent_messages, sent_bytes;
        uint64_t n_full, n_expelled;
        uint64_t snapshots_given, snapshots_received;

        ApiGroupMember *members; /* the oldest first */
        size_t n_members;
} ApiGroup;

typedef struct ApiGroups {
        uint32_t node;
        const ApiGroup *const *groups;
        size_t n_groups;
} ApiGroups;

/* Answers API_REQUEST_GROUPS; the call is gone then. */
void api_call_groups(ApiCall *call, const ApiGroups *groups);
