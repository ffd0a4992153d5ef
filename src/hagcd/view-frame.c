/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "hagcd/view-frame.h"

_Static_assert((int) PROTO_NODE_UNKNOWN == (int) NODE_UNKNOWN, "states travel as they are");
_Static_assert((int) PROTO_NODE_UP == (int) NODE_UP, "states travel as they are");
_Static_assert((int) PROTO_NODE_DOWN == (int) NODE_DOWN, "states travel as they are");
_Static_assert((int) PROTO_NODE_INACTIVE == (int) NODE_INACTIVE, "states travel as they are");
_Static_assert((int) PROTO_NODE_DETACHED == (int) NODE_DETACHED, "states travel as they are");
_Static_assert((int) PROTO_LEFT_UNREGISTERED == (int) GCS_REASON_UNREGISTERED, "reasons travel as they are");
_Static_assert((int) PROTO_LEFT_EXITED == (int) GCS_REASON_EXITED, "reasons travel as they are");
_Static_assert((int) PROTO_LEFT_UNRESPONSIVE == (int) GCS_REASON_UNRESPONSIVE, "reasons travel as they are");
_Static_assert((int) PROTO_LEFT_EXPELLED == (int) GCS_REASON_EXPELLED, "reasons travel as they are");
_Static_assert((int) PROTO_LEFT_NODE_LOST == (int) GCS_REASON_NODE_LOST, "reasons travel as they are");
_Static_assert((int) PROTO_LEFT_SHUT_OUT == (int) GCS_REASON_SHUT_OUT, "reasons travel as they are");
_Static_assert(PROTO_MEMBERS_MAX >= GCS_GROUP_MEMBERS_MAX, "a view fits a frame");
_Static_assert(PROTO_NODES_MAX >= NODE_ID_MAX, "a view fits a frame");
_Static_assert(PROTO_PIECE_MAX <= GCS_PAYLOAD_MAX, "a piece is an item of gcs");

ProtoFrame *frame_begin(ProtoFrame *f, ProtoType type) {
        *f = (ProtoFrame){ .type = type,
                           .cluster = f->cluster,
                           .view = f->view,
                           .membership = f->membership,
                           .counted = f->counted };
        return f;
}

static ProtoMid proto_mid(Mid m) {
        return (ProtoMid){ .epoch = m.epoch, .node_id = m.node };
}

static ProtoMemberId proto_member_id(const GcsMemberId *id) {
        return (ProtoMemberId){ .node_id = id->node, .incarnation = id->incarnation, .number = id->number };
}

static void fill_member(ProtoMember *p, const GcsMember *m, const GcsMemberId *own) {
        *p = (ProtoMember){
                .id = proto_member_id(&m->id),
                .seniority = m->seniority,
                .critical = m->critical,
                .own = own && gcs_member_id_equal(m->id, *own),
        };
        (void) snprintf(p->name, sizeof(p->name), "%s", m->name);
}

void node_fill_ordered(ProtoNode *n, uint32_t id, const MembershipNode *m) {
        const char *reason = m->state == NODE_UP ? "" : node_reason_to_string(m->reason);

        *n = (ProtoNode){
                .id = id,
                .state = (uint8_t) m->state,
                .enabled = m->reason != NODE_REASON_DISABLED,
                .armed = m->armed,
                .incarnation = m->incarnation,
                .last_mid = proto_mid(m->last_mid),
        };
        memcpy(n->boot_id, m->boot_id.bytes, sizeof(n->boot_id));
        (void) snprintf(n->reason, sizeof(n->reason), "%s", strempty(reason));
}

static ProtoFrame *begin_placed(ProtoFrame *f, ProtoType type, const GcsEffect *e) {
        frame_begin(f, type);
        f->mid = proto_mid(e->mid);
        f->sequence = e->sequence;
        return f;
}

void frame_fill_view(ProtoFrame *f, const GcsEffect *e, const GcsMemberId *own) {
        const GcsView *v = &e->view;
        ProtoView *p = begin_placed(f, PROTO_VIEW, e)->view;

        p->n_members = p->n_joined = p->n_left = p->n_nodes = 0;
        FOREACH_ARRAY(m, v->members, v->n_members)
                fill_member(&p->members[p->n_members++], m, own);
        FOREACH_ARRAY(m, v->joined, v->n_joined)
                fill_member(&p->joined[p->n_joined++], m, own);
        FOREACH_ARRAY(m, v->left, v->n_left) {
                fill_member(&p->left[p->n_left], &m->member, own);
                p->left[p->n_left++].reason = (uint8_t) m->reason;
        }
        p->node_set = v->nodes->members;
        NODE_SET_FOREACH(id, v->nodes->configured)
                node_fill_ordered(&p->nodes[p->n_nodes++], id, membership_node(v->nodes, id));
        /* Nobody in the group was here before: not true any more of those who join later in the same
         * membership. */
        p->formation = v->formed && v->n_joined == v->n_members;
        p->fresh = v->fresh;
}

void frame_fill_message(ProtoFrame *f, const GcsEffect *e) {
        begin_placed(f, PROTO_MESSAGE, e);
        f->member_id = proto_member_id(&e->message.sender);
        f->own = e->message.own;
        f->later = e->message.later;
        f->more = e->message.more;
        f->data = slice_data(&e->message.payload);
        f->size_bytes = e->message.payload.size_bytes;
}

void frame_fill_snapshot_request(ProtoFrame *f, const GcsEffect *e) {
        begin_placed(f, PROTO_SNAPSHOT_REQUEST, e);
        fill_member(&f->member, &e->snapshot_request.newcomer, NULL);
        f->point = e->snapshot_request.point;
}

void frame_fill_snapshot(ProtoFrame *f, const GcsEffect *e) {
        begin_placed(f, PROTO_SNAPSHOT, e);
        f->first = e->snapshot.first;
        f->more = !e->snapshot.last;
        f->none = e->snapshot.none;
        f->data = slice_data(&e->snapshot.payload);
        f->size_bytes = e->snapshot.payload.size_bytes;
}
