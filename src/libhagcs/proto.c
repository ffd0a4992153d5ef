/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each part has one function that reads or writes it, so that both directions cannot differ: Codec does one
 * of the two. */

#include <limits.h>
#include <stdio.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "libhagcs/proto.h"

typedef struct Codec {
        bool encode;
        ByteWriter w;
        ByteReader r;
} Codec;

static void code_u8(Codec *c, uint8_t *v) {
        if (c->encode)
                byte_writer_u8(&c->w, *v);
        else
                *v = byte_reader_u8(&c->r);
}

static void code_bool(Codec *c, bool *v) {
        if (c->encode)
                byte_writer_bool(&c->w, *v);
        else
                *v = byte_reader_bool(&c->r);
}

static void code_u32(Codec *c, uint32_t *v) {
        if (c->encode)
                byte_writer_u32(&c->w, *v);
        else
                *v = byte_reader_u32(&c->r);
}

static void code_u64(Codec *c, uint64_t *v) {
        if (c->encode)
                byte_writer_u64(&c->w, *v);
        else
                *v = byte_reader_u64(&c->r);
}

static void code_bytes(Codec *c, uint8_t *v, size_t n) {
        if (c->encode)
                byte_writer_bytes(&c->w, v, n);
        else
                byte_reader_copy(&c->r, v, n);
}

static void code_string(Codec *c, char *v, size_t n) {
        if (c->encode)
                byte_writer_string(&c->w, v);
        else
                byte_reader_string(&c->r, v, n);
}

/* Returns how many there are to go over: none of a count that is refused. */
static uint32_t code_count(Codec *c, uint32_t *n, uint32_t max) {
        if (!c->encode)
                return *n = byte_reader_count(&c->r, max, 1);
        if (*n > max) {
                byte_writer_fail(&c->w);
                return 0;
        }
        byte_writer_u32(&c->w, *n);
        return *n;
}

/* A negative errno travels as its positive number. */
static void code_error(Codec *c, int *v) {
        uint32_t n = *v < 0 ? (uint32_t) - *v : 0;

        code_u32(c, &n);
        if (c->encode)
                return;
        if (n > 4095)
                byte_reader_fail(&c->r);
        else
                *v = -(int) n;
}

static void code_mid(Codec *c, ProtoMid *m) {
        code_u64(c, &m->epoch);
        code_u32(c, &m->node_id);
}

static void code_member_id(Codec *c, ProtoMemberId *m) {
        code_u32(c, &m->node_id);
        code_u64(c, &m->incarnation);
        code_u64(c, &m->number);
}

static void code_member(Codec *c, ProtoMember *m) {
        code_member_id(c, &m->id);
        code_u64(c, &m->seniority);
        code_bool(c, &m->critical);
        code_bool(c, &m->own);
        code_u8(c, &m->reason);
        code_string(c, m->name, sizeof(m->name));
}

static void code_members(Codec *c, ProtoMember *members, uint32_t *n) {
        for (uint32_t i = 0, all = code_count(c, n, PROTO_MEMBERS_MAX); i < all; i++)
                code_member(c, &members[i]);
}

static void code_ordered_node(Codec *c, ProtoNode *n) {
        code_u32(c, &n->id);
        code_u8(c, &n->state);
        code_bool(c, &n->enabled);
        code_bool(c, &n->armed);
        code_u64(c, &n->incarnation);
        code_bytes(c, n->boot_id, sizeof(n->boot_id));
        code_mid(c, &n->last_mid);
        code_string(c, n->reason, sizeof(n->reason));
}

static void code_node(Codec *c, ProtoNode *n) {
        code_ordered_node(c, n);
        code_string(c, n->name, sizeof(n->name));
        code_bool(c, &n->heard);
        code_bool(c, &n->proven);
        code_u32(c, &n->votes);
        code_u32(c, &n->n_links);
        code_u64(c, &n->links_heard);
        code_string(c, n->problem, sizeof(n->problem));
}

static void code_configuration(Codec *c, ProtoConfiguration *p) {
        code_u64(c, &p->hash);
        code_mid(c, &p->mid);
        code_u64(c, &p->wanted);
        code_string(c, p->why, sizeof(p->why));
        code_u64(c, &p->waits_for);
        code_string(c, p->text, sizeof(p->text));
}

static void code_cluster(Codec *c, ProtoCluster *p) {
        code_string(c, p->name, sizeof(p->name));
        code_u32(c, &p->node_id);
        code_u64(c, &p->incarnation);
        code_mid(c, &p->mid);
        code_u64(c, &p->members);
        code_u8(c, &p->quorum);
        code_u32(c, &p->coordinator);
        code_u32(c, &p->tie_breaker);
        code_bool(c, &p->frozen);
        code_bool(c, &p->shut_out);
        code_configuration(c, &p->configuration);
        for (uint32_t i = 0, n = code_count(c, &p->n_nodes, PROTO_NODES_MAX); i < n; i++)
                code_node(c, &p->nodes[i]);
}

static void code_view(Codec *c, ProtoView *v) {
        code_members(c, v->members, &v->n_members);
        code_members(c, v->joined, &v->n_joined);
        code_members(c, v->left, &v->n_left);
        code_u64(c, &v->node_set);
        for (uint32_t i = 0, n = code_count(c, &v->n_nodes, PROTO_NODES_MAX); i < n; i++)
                code_ordered_node(c, &v->nodes[i]);
        code_bool(c, &v->formation);
        code_bool(c, &v->fresh);
}

static void code_link(Codec *c, ProtoLink *l) {
        code_u8(c, &l->state);
        code_u64(c, &l->heard_age_usec);
        code_u64(c, &l->rtt_usec);
        code_u64(c, &l->n_received);
        code_u64(c, &l->n_lost);
        code_u32(c, &l->longest_bytes);
}

static void code_peer(Codec *c, ProtoPeer *p) {
        code_u32(c, &p->id);
        code_string(c, p->name, sizeof(p->name));
        code_u8(c, &p->state);
        code_string(c, p->reason, sizeof(p->reason));
        code_bool(c, &p->enabled);
        code_u32(c, &p->votes);
        code_u64(c, &p->incarnation);
        code_bool(c, &p->heard);
        code_bool(c, &p->hears_us);
        code_bool(c, &p->armed);
        code_mid(c, &p->mid);
        code_bool(c, &p->quorate);
        code_u64(c, &p->hears);
        code_u64(c, &p->hears_age_usec);
        code_u64(c, &p->heartbeats_lost);
        code_string(c, p->problem, sizeof(p->problem));
        for (uint32_t i = 0, n = code_count(c, &p->n_links, PROTO_LINKS_MAX); i < n; i++)
                code_link(c, &p->links[i]);
}

/* A reason is a place among those that the frame carries. */
static void code_reason(Codec *c, uint8_t *reason, uint32_t n_reasons) {
        code_u8(c, reason);
        if (*reason < n_reasons)
                return;
        if (c->encode)
                byte_writer_fail(&c->w);
        else
                byte_reader_fail(&c->r);
}

static void code_change(Codec *c, ProtoChange *h, uint32_t n_reasons) {
        code_u64(c, &h->time_usec);
        code_mid(c, &h->mid);
        code_u8(c, &h->quorum);
        code_u64(c, &h->members);
        for (uint32_t i = 0, n = code_count(c, &h->n_moved, 2 * PROTO_NODES_MAX); i < n; i++) {
                code_u8(c, &h->moved[i].node_id);
                code_u8(c, &h->moved[i].move);
                code_u8(c, &h->moved[i].state);
                code_reason(c, &h->moved[i].reason, n_reasons);
        }
}

static void code_membership(Codec *c, ProtoMembership *m) {
        code_string(c, m->name, sizeof(m->name));
        code_u32(c, &m->node_id);
        code_u64(c, &m->incarnation);
        code_string(c, m->phase, sizeof(m->phase));
        code_mid(c, &m->mid);
        code_mid(c, &m->promised);
        code_u8(c, &m->quorum);
        code_bool(c, &m->shut_out);
        code_bool(c, &m->no_record);
        code_bool(c, &m->cannot_write);
        code_u64(c, &m->members);
        code_u64(c, &m->hears);
        code_u64(c, &m->target);
        code_u64(c, &m->awaited);
        code_u32(c, &m->coordinator);
        code_u32(c, &m->tie_breaker);
        code_u64(c, &m->heartbeat_usec);
        code_u64(c, &m->failure_usec);
        code_configuration(c, &m->configuration);
        for (uint32_t i = 0, n = code_count(c, &m->n_peers, PROTO_NODES_MAX); i < n; i++)
                code_peer(c, &m->peers[i]);
        for (uint32_t i = 0, n = code_count(c, &m->n_reasons, PROTO_REASONS_MAX); i < n; i++)
                code_string(c, m->reasons[i], sizeof(m->reasons[i]));
        for (uint32_t i = 0, n = code_count(c, &m->n_changes, PROTO_CHANGES_MAX); i < n; i++)
                code_change(c, &m->changes[i], m->n_reasons);
}

static void code_group_member(Codec *c, ProtoGroupMember *m) {
        uint64_t *counts[] = {
                &m->sent_messages,      &m->sent_bytes,       &m->delivered_messages,
                &m->delivered_bytes,    &m->waiting_messages, &m->waiting_bytes,
                &m->waiting_usec,       &m->window_messages,  &m->window_bytes,
                &m->window_usec,        &m->n_full,           &m->snapshots_given,
                &m->snapshots_received,
        };

        code_member_id(c, &m->id);
        code_u64(c, &m->seniority);
        code_bool(c, &m->critical);
        code_bool(c, &m->here);
        code_string(c, m->name, sizeof(m->name));
        if (!m->here)
                return;
        code_u32(c, &m->pid);
        FOREACH_ARRAY(i, counts, ELEMENTSOF(counts))
                code_u64(c, *i);
}

static void code_group(Codec *c, ProtoGroup *g) {
        uint64_t *counts[] = {
                &g->sequence,   &g->messages, &g->bytes,      &g->views,           &g->sent_messages,
                &g->sent_bytes, &g->n_full,   &g->n_expelled, &g->snapshots_given, &g->snapshots_received,
        };

        code_string(c, g->name, sizeof(g->name));
        code_mid(c, &g->mid);
        FOREACH_ARRAY(i, counts, ELEMENTSOF(counts))
                code_u64(c, *i);
        for (uint32_t i = 0, n = code_count(c, &g->n_members, PROTO_MEMBERS_MAX); i < n; i++)
                code_group_member(c, &g->members[i]);
}

static void code_place(Codec *c, ProtoFrame *f) {
        code_mid(c, &f->mid);
        code_u64(c, &f->sequence);
}

/* One byte: a message of one piece is 0. */
static void code_piece(Codec *c, ProtoFrame *f) {
        uint8_t v = (uint8_t) ((f->more ? 1 : 0) | (f->later ? 2 : 0));

        code_u8(c, &v);
        if (c->encode)
                return;
        if (v > 3)
                byte_reader_fail(&c->r);
        f->more = v & 1;
        f->later = v & 2;
}

/* The rest of the frame. */
static void code_data(Codec *c, ProtoFrame *f) {
        if (c->encode) {
                if (f->size_bytes > PROTO_PIECE_MAX)
                        byte_writer_fail(&c->w);
                else if (f->size_bytes > 0)
                        byte_writer_bytes(&c->w, f->data, f->size_bytes);
                return;
        }
        f->size_bytes = byte_reader_left(&c->r);
        if (f->size_bytes > PROTO_PIECE_MAX)
                byte_reader_fail(&c->r);
        f->data = byte_reader_bytes(&c->r, f->size_bytes);
}

/* False: there is no such frame. */
static bool code_frame(Codec *c, ProtoFrame *f) {
        switch (f->type) {
        case PROTO_HELLO:
        case PROTO_WELCOME:
                code_u32(c, &f->version);
                return true;
        case PROTO_REGISTER:
                code_string(c, f->group, sizeof(f->group));
                code_string(c, f->name, sizeof(f->name));
                code_u32(c, &f->flags);
                code_u64(c, &f->liveliness_usec);
                code_u64(c, &f->grace_usec);
                return true;
        case PROTO_UNREGISTER:
        case PROTO_UNREGISTERED:
        case PROTO_HAND_OVER:
        case PROTO_ASK_MEMBERSHIP:
        case PROTO_RELOAD:
        case PROTO_ASK_GROUPS:
        case PROTO_FROZEN:
                return true;
        case PROTO_SEND:
                code_u32(c, &f->generation);
                code_piece(c, f);
                code_data(c, f);
                return true;
        case PROTO_GIVE_SNAPSHOT:
                code_u32(c, &f->generation);
                code_member_id(c, &f->member_id);
                code_u64(c, &f->point);
                code_bool(c, &f->more);
                code_data(c, f);
                return true;
        case PROTO_PING:
        case PROTO_PONG:
        case PROTO_CREDIT:
                code_u64(c, &f->number);
                return true;
        case PROTO_ARMED:
                code_bool(c, &f->armed);
                return true;
        case PROTO_CONFIRM_DOWN:
                code_u32(c, &f->node_id);
                code_u64(c, &f->incarnation);
                code_mid(c, &f->mid);
                return true;
        case PROTO_CLUSTER:
                if (f->cluster)
                        code_cluster(c, f->cluster);
                return f->cluster;
        case PROTO_MEMBERSHIP:
                if (f->membership)
                        code_membership(c, f->membership);
                return f->membership;
        case PROTO_GROUP:
                if (f->counted)
                        code_group(c, f->counted);
                return f->counted;
        case PROTO_REGISTERED:
                code_u32(c, &f->generation);
                code_member_id(c, &f->member_id);
                code_error(c, &f->error);
                code_string(c, f->text, sizeof(f->text));
                return true;
        case PROTO_VIEW:
                code_place(c, f);
                if (f->view)
                        code_view(c, f->view);
                return f->view;
        case PROTO_MESSAGE:
                code_place(c, f);
                code_member_id(c, &f->member_id);
                code_bool(c, &f->own);
                code_piece(c, f);
                code_data(c, f);
                return true;
        case PROTO_SNAPSHOT_REQUEST:
                code_place(c, f);
                code_member(c, &f->member);
                code_u64(c, &f->point);
                return true;
        case PROTO_SNAPSHOT:
                code_place(c, f);
                code_bool(c, &f->first);
                code_bool(c, &f->more);
                code_bool(c, &f->none);
                code_data(c, f);
                return true;
        case PROTO_SHUT_OUT:
                code_u32(c, &f->generation);
                return true;
        case PROTO_RELOADED:
        case PROTO_GOODBYE:
                code_error(c, &f->error);
                code_string(c, f->text, sizeof(f->text));
                return true;
        }
        return false;
}

ssize_t proto_encode(const ProtoFrame *f, void *buf, size_t buf_bytes) {
        Codec c = { .encode = true };
        int r;

        byte_writer_init(&c.w, buf, MIN(buf_bytes, (size_t) PROTO_FRAME_MAX));
        byte_writer_u8(&c.w, (uint8_t) f->type);
        /* Encoding only reads the frame. */
        if (!code_frame(&c, (ProtoFrame *) f))
                byte_writer_fail(&c.w);
        r = byte_writer_result(&c.w);
        return r < 0 ? r : (ssize_t) c.w.size_bytes;
}

int proto_decode(const void *data, size_t size_bytes, ProtoFrame *ret) {
        Codec c = { .encode = false };

        *ret = (ProtoFrame){ .cluster = ret->cluster,
                             .view = ret->view,
                             .membership = ret->membership,
                             .counted = ret->counted };
        byte_reader_init(&c.r, data, size_bytes);
        ret->type = (ProtoType) byte_reader_u8(&c.r);
        if (!code_frame(&c, ret))
                return -EBADMSG;
        return byte_reader_finish(&c.r);
}
