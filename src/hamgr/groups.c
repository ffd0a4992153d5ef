/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetMessageGroups: what hagcd counts of the groups that talk by libhagcs. It tells one after the other. */

#include "hamgr/api/groups.h"
#include "hamgr/inquiry.h"

static void group_free(void *data) {
        ApiGroup *g = data;

        for (size_t i = 0; i < g->n_members; i++)
                g_free((char *) g->members[i].name);
        g_free(g->members);
        g_free(g->name);
        g_free(g);
}

static void fill_member(const hagcs_member_counts *m, ApiGroupMember *ret) {
        *ret = (ApiGroupMember){
                .name = g_strdup(m->name),
                .node = m->node_id,
                .seniority = m->seniority,
                .critical = m->critical,
                .here = m->here,
                .pid = m->pid,
                .sent_messages = m->sent_messages,
                .sent_bytes = m->sent_bytes,
                .delivered_messages = m->delivered_messages,
                .delivered_bytes = m->delivered_bytes,
                .waiting_messages = m->waiting_messages,
                .waiting_bytes = m->waiting_bytes,
                .waiting_usec = m->waiting_usec,
                .window_messages = m->window_messages,
                .window_bytes = m->window_bytes,
                .window_usec = m->window_usec,
                .n_full = m->n_full,
                .snapshots_given = m->snapshots_given,
                .snapshots_received = m->snapshots_received,
        };
}

static ApiGroup *group_new(hagcs *h, const hagcs_group *g) {
        ApiGroup *made = g_new(ApiGroup, 1);

        *made = (ApiGroup){
                .name = g_strdup(g->name),
                .mid = { g->mid.epoch, g->mid.node_id },
                .sequence = g->sequence,
                .messages = g->messages,
                .bytes = g->bytes,
                .views = g->views,
                .sent_messages = g->sent_messages,
                .sent_bytes = g->sent_bytes,
                .n_full = g->n_full,
                .n_expelled = g->n_expelled,
                .snapshots_given = g->snapshots_given,
                .snapshots_received = g->snapshots_received,
                .members = g_new0(ApiGroupMember, g->n_members),
                .n_members = g->n_members,
        };
        for (size_t i = 0; i < g->n_members; i++)
                fill_member(hagcs_group_member(h, i), &made->members[i]);
        return made;
}

static bool heard(Inquiry *q, hagcs *h, const hagcs_event *e) {
        const hagcs_group *g = hagcs_get_group(h);
        GPtrArray *parts = inquiry_parts(q);
        ApiGroups shown;
        ApiCall *call;

        if (e->type != HAGCS_EVENT_GROUP)
                return false;
        if (g) {
                g_ptr_array_add(parts, group_new(h, g));
                return false;
        }
        shown = (ApiGroups){ .node = hagcs_get_cluster(h)->node_id,
                             .groups = (const ApiGroup *const *) parts->pdata,
                             .n_groups = parts->len };
        while ((call = inquiry_take_asker(q)))
                api_call_groups(call, &shown);
        return true;
}

static void forget(Inquiry *q) {
        GPtrArray *parts = inquiry_parts(q);

        while (parts->len > 0)
                group_free(g_ptr_array_steal_index(parts, 0));
}

static const InquiryType question = { "groups", hagcs_ask_groups, heard, forget };

void groups_show(Manager *m, ApiCall *call) {
        inquiry_put(m->groups, call);
}

int groups_start(Manager *m) {
        return inquiry_new(m, &question, &m->groups);
}

void groups_stop(Manager *m) {
        m->groups = inquiry_free(m->groups);
}
