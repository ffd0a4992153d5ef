/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reply to GetFenceHistory. */

#include "hamgr/api/fence-history.h"
#include "hamgr/api/dict.h"

static void put_entry(Dict *d, const StateFenceEntry *e, uint64_t epoch_usec) {
        dict_open(d);
        dict_put_node(d, "Node", e->boot.node);
        dict_put_node(d, "Fencer", e->fencer);
        dict_put_text(d, "Outcome", state_fence_outcome_to_string(e->outcome));
        dict_put_text(d, "Device", e->device);
        dict_put_text(d, "Reason", e->reason);
        dict_put_text(d, "Text", e->text);
        dict_put_u64(d, "BegunUsec", e->begun_usec + epoch_usec);
        if (e->outcome != STATE_FENCE_UNDER_WAY)
                dict_put_u64(d, "EndedUsec", e->ended_usec + epoch_usec);
        dict_close(d);
}

static void put_history(Dict *d, const void *what) {
        const ApiFenceHistory *h = what;

        dict_open(d);
        dict_open_list(d, "Fencings");
        for (size_t i = h->n_entries; i > 0; i--)
                put_entry(d, &h->entries[i - 1], h->epoch_usec);
        dict_close_list(d);
        dict_close(d);
}

void api_call_fence_history(ApiCall *call, const ApiFenceHistory *history) {
        dict_reply(call, put_history, history);
}
