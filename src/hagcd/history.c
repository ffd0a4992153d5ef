/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "hagcd/history.h"

_Static_assert((int) _NODE_REASON_MAX <= (int) PROTO_REASONS_MAX, "all reasons fit the frame");
_Static_assert((unsigned) NODE_ID_MAX <= PROTO_NODES_MAX, "each node can leave and join in one change");

static ProtoChange *next_change(History *h, uint64_t time_usec) {
        ProtoChange *change;

        if (h->n == PROTO_CHANGES_MAX)
                h->first = (h->first + 1) % PROTO_CHANGES_MAX;
        else
                h->n++;
        change = &h->changes[(h->first + h->n - 1) % PROTO_CHANGES_MAX];
        *change = (ProtoChange){ .time_usec = time_usec };
        return change;
}

static void add(ProtoChange *change, uint32_t id, ProtoMove move, NodeState state, NodeReason reason) {
        assert(change->n_moved < ELEMENTSOF(change->moved));

        change->moved[change->n_moved++] = (ProtoMoved){
                .node_id = (uint8_t) id,
                .move = (uint8_t) move,
                .state = (uint8_t) state,
                .reason = (uint8_t) reason,
        };
}

static void compare_node(const History *h, ProtoChange *change, uint32_t id, const Membership *m) {
        const MembershipNode *before = membership_node(&h->last, id), *now = membership_node(m, id);
        bool was = h->any && node_set_contains(h->last.members, id), is = node_set_contains(m->members, id);
        bool again = was && is && before->incarnation != now->incarnation;

        if (again)
                add(change, id, PROTO_MOVE_LEFT, NODE_UNKNOWN, NODE_REASON_NEW_INCARNATION);
        if (was && !is)
                add(change, id, PROTO_MOVE_LEFT, now->state, now->reason);
        if (is && (!was || again))
                add(change, id, PROTO_MOVE_JOINED, now->state, now->reason);
        if (h->any && !was && !is && before->state != now->state)
                add(change, id, PROTO_MOVE_PROVEN, now->state, now->reason);
}

void history_installed(History *h, const Membership *m, uint64_t time_usec) {
        ProtoChange *change;

        if (h->any && mid_equal(h->last.mid, m->mid))
                return;
        change = next_change(h, time_usec);
        change->mid = (ProtoMid){ m->mid.epoch, m->mid.node };
        change->quorum = m->quorate ? PROTO_QUORUM_YES : m->half ? PROTO_QUORUM_HALF : PROTO_QUORUM_NONE;
        change->members = m->members;
        NODE_SET_FOREACH(id, m->configured)
                compare_node(h, change, id, m);
        h->last = *m;
        h->any = true;
}

void history_shut_out(History *h, uint32_t self, uint64_t time_usec) {
        add(next_change(h, time_usec), self, PROTO_MOVE_LEFT, NODE_UNKNOWN, NODE_REASON_NONE);
        node_set_remove(&h->last.members, self);
        h->last.mid = MID_NONE;
}

void history_fill(const History *h, ProtoMembership *ret) {
        ret->n_reasons = _NODE_REASON_MAX;
        for (unsigned i = 0; i < _NODE_REASON_MAX; i++)
                (void) snprintf(ret->reasons[i],
                                sizeof(ret->reasons[i]),
                                "%s",
                                i == NODE_REASON_NONE ? "" : node_reason_to_string((NodeReason) i));
        ret->n_changes = h->n;
        for (unsigned i = 0; i < h->n; i++)
                ret->changes[i] = h->changes[(h->first + i) % PROTO_CHANGES_MAX];
}
