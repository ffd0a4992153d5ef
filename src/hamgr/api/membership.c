/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reply to GetMembership. */

#include "hamgr/api/membership.h"
#include "hamgr/api/dict.h"

static void put_link(Dict *d, const ApiLink *l) {
        dict_open(d);
        dict_put_u32(d, "Link", l->index);
        dict_put_text(d, "State", l->state);
        dict_put_usec(d, "HeardAgeUsec", l->heard_age_usec);
        dict_put_usec(d, "RttUsec", l->rtt_usec);
        dict_put_u64(d, "Received", l->n_received);
        dict_put_u64(d, "Lost", l->n_lost);
        dict_put_u32(d, "LongestBytes", l->longest_bytes);
        dict_close(d);
}

static void put_peer(Dict *d, const ApiPeer *p) {
        dict_open(d);
        dict_put_node(d, "Name", p->id);
        dict_put_u32(d, "Id", p->id);
        dict_put_text(d, "State", p->state);
        dict_put_text(d, "Reason", p->reason);
        dict_put_text(d, "Problem", p->problem);
        dict_put_bool(d, "Enabled", p->enabled);
        dict_put_u32(d, "Votes", p->votes);
        dict_put_bool(d, "Heard", p->heard);
        dict_put_bool(d, "HearsUs", p->hears_us);
        dict_put_bool(d, "Armed", p->armed);
        dict_put_mid(d, "Membership", p->mid);
        dict_put_bool(d, "Quorate", p->quorate);
        dict_put_set(d, "Hears", p->hears);
        dict_put_usec(d, "HearsAgeUsec", p->hears_age_usec);
        dict_put_u64(d, "HeartbeatsLost", p->heartbeats_lost);
        dict_open_list(d, "Links");
        FOREACH_ARRAY(l, p->links, p->n_links)
                put_link(d, l);
        dict_close_list(d);
        dict_close(d);
}

static void put_moved(Dict *d, const ApiMoved *m) {
        dict_open(d);
        dict_put_node(d, "Node", m->node);
        dict_put_text(d, "Move", m->move);
        dict_put_text(d, "State", m->state);
        dict_put_text(d, "Reason", m->reason);
        dict_close(d);
}

static void put_change(Dict *d, const ApiChange *c) {
        dict_open(d);
        dict_put_u64(d, "TimeUsec", c->time_usec);
        dict_put_mid(d, "Membership", c->mid);
        dict_put_text(d, "Quorum", c->quorum);
        dict_put_set(d, "Members", c->members);
        dict_open_list(d, "Moved");
        FOREACH_ARRAY(moved, c->moved, c->n_moved)
                put_moved(d, moved);
        dict_close_list(d);
        dict_close(d);
}

static void put_membership(Dict *d, const void *what) {
        const ApiMembership *m = what;

        dict_open(d);
        dict_put_text(d, "Cluster", m->cluster);
        dict_put_node(d, "Node", m->node);
        dict_put_text(d, "Phase", m->phase);
        dict_put_set(d, "AwaitedFrom", m->awaited);
        dict_put_mid(d, "Membership", m->mid);
        dict_put_mid(d, "Promised", m->promised);
        dict_put_text(d, "Quorum", m->quorum);
        dict_put_bool(d, "ShutOut", m->shut_out);
        dict_put_bool(d, "NoRecord", m->no_record);
        dict_put_bool(d, "CannotWrite", m->cannot_write);
        dict_put_set(d, "Members", m->members);
        dict_put_set(d, "Hears", m->hears);
        dict_put_set(d, "Target", m->target);
        dict_put_node(d, "Coordinator", m->coordinator);
        dict_put_node(d, "TieBreaker", m->tie_breaker);
        dict_put_u64(d, "HeartbeatUsec", m->heartbeat_usec);
        dict_put_u64(d, "FailureUsec", m->failure_usec);
        dict_put_u64(d, "ConfHash", m->conf_hash);
        dict_put_mid(d, "ConfMembership", m->conf_mid);
        dict_put_u64(d, "ConfWanted", m->conf_wanted);
        dict_put_text(d, "ConfWhy", m->conf_why);
        dict_put_text(d, "ConfWaits", m->conf_waits);
        dict_put_set(d, "ConfWaitsFor", m->conf_waits_for);
        dict_open_list(d, "Nodes");
        FOREACH_ARRAY(p, m->peers, m->n_peers)
                put_peer(d, p);
        dict_close_list(d);
        dict_open_list(d, "Changes");
        FOREACH_ARRAY(c, m->changes, m->n_changes)
                put_change(d, c);
        dict_close_list(d);
        dict_close(d);
}

void api_call_membership(ApiCall *call, const ApiMembership *membership) {
        dict_reply(call, put_membership, membership);
}
