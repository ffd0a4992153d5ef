/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reply to GetMessageGroups. */

#include "hamgr/api/groups.h"
#include "hamgr/api/dict.h"

static void put_counts(Dict *d, const ApiGroupMember *m) {
        dict_put_u32(d, "Pid", m->pid);
        dict_put_u64(d, "SentMessages", m->sent_messages);
        dict_put_u64(d, "SentBytes", m->sent_bytes);
        dict_put_u64(d, "DeliveredMessages", m->delivered_messages);
        dict_put_u64(d, "DeliveredBytes", m->delivered_bytes);
        dict_put_u64(d, "WaitingMessages", m->waiting_messages);
        dict_put_u64(d, "WaitingBytes", m->waiting_bytes);
        dict_put_u64(d, "WaitingUsec", m->waiting_usec);
        dict_put_u64(d, "WindowMessages", m->window_messages);
        dict_put_u64(d, "WindowBytes", m->window_bytes);
        dict_put_u64(d, "WindowUsec", m->window_usec);
        dict_put_u64(d, "WindowFull", m->n_full);
        dict_put_u64(d, "SnapshotsGiven", m->snapshots_given);
        dict_put_u64(d, "SnapshotsReceived", m->snapshots_received);
}

static void put_member(Dict *d, const ApiGroupMember *m) {
        dict_open(d);
        dict_put_text(d, "Name", m->name);
        dict_put_node(d, "Node", m->node);
        dict_put_u64(d, "Seniority", m->seniority);
        dict_put_bool(d, "Critical", m->critical);
        dict_put_bool(d, "Here", m->here);
        if (m->here)
                put_counts(d, m);
        dict_close(d);
}

static void put_group(Dict *d, const ApiGroup *g) {
        dict_open(d);
        dict_put_text(d, "Name", g->name);
        dict_put_mid(d, "Membership", g->mid);
        dict_put_u64(d, "Sequence", g->sequence);
        dict_put_u64(d, "Messages", g->messages);
        dict_put_u64(d, "Bytes", g->bytes);
        dict_put_u64(d, "Views", g->views);
        dict_put_u64(d, "SentMessages", g->sent_messages);
        dict_put_u64(d, "SentBytes", g->sent_bytes);
        dict_put_u64(d, "WindowFull", g->n_full);
        dict_put_u64(d, "Expelled", g->n_expelled);
        dict_put_u64(d, "SnapshotsGiven", g->snapshots_given);
        dict_put_u64(d, "SnapshotsReceived", g->snapshots_received);
        dict_open_list(d, "Members");
        FOREACH_ARRAY(m, g->members, g->n_members)
                put_member(d, m);
        dict_close_list(d);
        dict_close(d);
}

static void put_groups(Dict *d, const void *what) {
        const ApiGroups *groups = what;

        dict_open(d);
        dict_put_node(d, "Node", groups->node);
        dict_open_list(d, "Groups");
        for (size_t i = 0; i < groups->n_groups; i++)
                put_group(d, groups->groups[i]);
        dict_close_list(d);
        dict_close(d);
}

void api_call_groups(ApiCall *call, const ApiGroups *groups) {
        dict_reply(call, put_groups, groups);
}
