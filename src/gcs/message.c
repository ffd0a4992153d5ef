/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gcs/message.h"

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "basic/parse.h"

bool gcs_member_id_equal(GcsMemberId a, GcsMemberId b) {
        return a.node == b.node && a.incarnation == b.incarnation && a.number == b.number;
}

/* ---- Parts ---- */

static void write_mid(ByteWriter *w, Mid mid) {
        byte_writer_u64(w, mid.epoch);
        byte_writer_u8(w, (uint8_t) mid.node);
}

static Mid read_mid(ByteReader *r) {
        Mid mid = { .epoch = byte_reader_u64(r) };

        mid.node = byte_reader_u8_max(r, NODE_ID_MAX);
        return mid;
}

/* A node id that must be one. */
static uint32_t read_node(ByteReader *r) {
        uint32_t node = byte_reader_u8(r);

        if (!node_id_is_valid(node))
                byte_reader_fail(r);
        return node;
}

static void write_member_id(ByteWriter *w, GcsMemberId id) {
        byte_writer_u8(w, (uint8_t) id.node);
        byte_writer_u64(w, id.incarnation);
        byte_writer_u64(w, id.number);
}

static GcsMemberId read_member_id(ByteReader *r, bool none_allowed) {
        GcsMemberId id = { .node = byte_reader_u8_max(r, NODE_ID_MAX) };

        if (id.node == 0 && !none_allowed)
                byte_reader_fail(r);
        id.incarnation = byte_reader_u64(r);
        id.number = byte_reader_u64(r);
        return id;
}

static void read_name(ByteReader *r, char name[static GCS_NAME_MAX + 1]) {
        byte_reader_string(r, name, GCS_NAME_MAX + 1);
        if (!name_is_valid(name))
                byte_reader_fail(r);
}

static uint8_t read_slot(ByteReader *r) {
        return byte_reader_u8_max(r, GCS_GROUPS_MAX - 1);
}

/* ---- Memberships ---- */

static void write_membership(ByteWriter *w, const Membership *m) {
        write_mid(w, m->mid);
        byte_writer_u64(w, m->hash);
        write_mid(w, m->quorate_mid);
        byte_writer_bool(w, m->quorate);
        byte_writer_bool(w, m->half);
        byte_writer_bool(w, m->tie_breaker);
        byte_writer_bool(w, m->first);

        byte_writer_u8(w, (uint8_t) m->n_members);
        for (unsigned i = 0; i < m->n_members; i++)
                byte_writer_u8(w, m->rank[i]);

        byte_writer_u64(w, m->configured);
        NODE_SET_FOREACH(id, m->configured) {
                const MembershipNode *n = membership_node(m, id);

                byte_writer_u8(w, (uint8_t) n->state);
                byte_writer_u8(w, (uint8_t) n->reason);
                byte_writer_u64(w, n->incarnation);
                byte_writer_bytes(w, n->boot_id.bytes, sizeof(n->boot_id.bytes));
                write_mid(w, n->last_mid);
                byte_writer_bool(w, n->armed);
                byte_writer_bool(w, n->proven);
        }
}

static void read_membership(ByteReader *r, Membership *m) {
        *m = (Membership){ .mid = read_mid(r) };
        m->hash = byte_reader_u64(r);
        m->quorate_mid = read_mid(r);
        m->quorate = byte_reader_bool(r);
        m->half = byte_reader_bool(r);
        m->tie_breaker = byte_reader_bool(r);
        m->first = byte_reader_bool(r);

        m->n_members = byte_reader_u8_max(r, NODE_ID_MAX);
        for (unsigned i = 0; i < m->n_members; i++) {
                uint32_t id = read_node(r);

                if (!node_id_is_valid(id) || node_set_contains(m->members, id)) {
                        byte_reader_fail(r);
                        return;
                }
                m->rank[i] = (uint8_t) id;
                node_set_add(&m->members, id);
        }

        m->configured = byte_reader_u64(r);
        if (!node_set_is_subset(m->members, m->configured))
                byte_reader_fail(r);
        NODE_SET_FOREACH(id, m->configured) {
                MembershipNode *n = &m->nodes[id - 1];

                n->state = (NodeState) byte_reader_u8_max(r, _NODE_STATE_MAX - 1);
                n->reason = (NodeReason) byte_reader_u8_max(r, _NODE_REASON_MAX - 1);
                n->incarnation = byte_reader_u64(r);
                byte_reader_copy(r, n->boot_id.bytes, sizeof(n->boot_id.bytes));
                n->last_mid = read_mid(r);
                n->armed = byte_reader_bool(r);
                n->proven = byte_reader_bool(r);
        }
}

static void write_change(ByteWriter *w, const GcsNodeChange *c) {
        write_membership(w, &c->membership);
        write_mid(w, c->formation);
        byte_writer_u64(w, c->survivors);
}

static void read_change(ByteReader *r, GcsNodeChange *c) {
        read_membership(r, &c->membership);
        c->formation = read_mid(r);
        c->survivors = byte_reader_u64(r);
        if (!node_set_is_subset(c->survivors, c->membership.members))
                byte_reader_fail(r);
}

/* ---- Items ---- */

enum {
        PIECE_MORE = 1 << 0,
        PIECE_LATER = 1 << 1,
        PIECE_FLAGS = (1 << 2) - 1,
};

static void write_item(ByteWriter *w, const GcsItem *i) {
        byte_writer_u8(w, (uint8_t) i->type);
        if (i->type == GCS_ITEM_NODE_CHANGE) {
                write_change(w, i->node_change.change);
                return;
        }

        byte_writer_u8(w, (uint8_t) i->node);
        byte_writer_u64(w, i->incarnation);
        byte_writer_u64(w, i->number);
        byte_writer_u64(w, i->member);
        byte_writer_u8(w, i->group);

        switch (i->type) {
        case GCS_ITEM_MESSAGE:
                byte_writer_u8(w,
                               (uint8_t) ((i->message.more ? PIECE_MORE : 0) |
                                          (i->message.later ? PIECE_LATER : 0)));
                byte_writer_blob(w, slice_data(&i->message.payload), i->message.payload.size_bytes);
                break;
        case GCS_ITEM_JOIN:
                byte_writer_string(w, i->join.group_name);
                byte_writer_string(w, i->join.member_name);
                byte_writer_u8(w, i->join.flags);
                break;
        case GCS_ITEM_LEAVE:
                byte_writer_u8(w, (uint8_t) i->leave.reason);
                break;
        case GCS_ITEM_READY:
                byte_writer_u64(w, i->ready.point);
                break;
        case GCS_ITEM_NODE_CHANGE:
                break;
        }
}

/* A blob as a slice of the buffer that the reader reads. */
static Slice read_payload(ByteReader *r, Buffer *buffer) {
        size_t n;
        const uint8_t *p = byte_reader_blob(r, GCS_PAYLOAD_MAX, &n);

        if (!p || n == 0)
                return (Slice){};
        return (Slice){ .buffer = buffer, .offset = (size_t) (p - buffer->data), .size_bytes = n };
}

static void read_item(ByteReader *r, Buffer *buffer, GcsNodeChange *change, GcsItem *i) {
        uint8_t type = byte_reader_u8(r), flags;

        *i = (GcsItem){};
        if (type < GCS_ITEM_MESSAGE || type > GCS_ITEM_NODE_CHANGE) {
                byte_reader_fail(r);
                return;
        }
        i->type = (GcsItemType) type;
        if (i->type == GCS_ITEM_NODE_CHANGE) {
                /* One at most, and not everywhere. */
                if (!change || change->membership.mid.epoch != 0) {
                        byte_reader_fail(r);
                        return;
                }
                read_change(r, change);
                if (mid_is_none(change->membership.mid))
                        byte_reader_fail(r);
                i->node_change.change = change;
                return;
        }

        i->node = read_node(r);
        i->incarnation = byte_reader_u64(r);
        i->number = byte_reader_u64(r);
        i->member = byte_reader_u64(r);
        i->group = read_slot(r);

        switch (i->type) {
        case GCS_ITEM_MESSAGE:
                flags = byte_reader_u8_max(r, PIECE_FLAGS);
                i->message.more = flags & PIECE_MORE;
                i->message.later = flags & PIECE_LATER;
                i->message.payload = read_payload(r, buffer);
                break;
        case GCS_ITEM_JOIN:
                read_name(r, i->join.group_name);
                read_name(r, i->join.member_name);
                i->join.flags = byte_reader_u8(r);
                if (i->join.flags & ~GCS_JOIN_FLAGS)
                        byte_reader_fail(r);
                break;
        case GCS_ITEM_LEAVE:
                i->leave.reason = (GcsReason) byte_reader_u8_max(r, GCS_REASON_LAST);
                break;
        case GCS_ITEM_READY:
                i->ready.point = byte_reader_u64(r);
                break;
        case GCS_ITEM_NODE_CHANGE:
                break;
        }
}

/* Shortest item: LEAVE. */
#define ITEM_MIN_BYTES 27U

static void write_order(ByteWriter *w, const GcsMessage *m) {
        byte_writer_bool(w, m->order.fanout);
        byte_writer_u64(w, m->order.commit);
        byte_writer_u64(w, m->order.settled);
        byte_writer_u64(w, m->order.slow);
        byte_writer_u64(w, m->order.first);
        byte_writer_u32(w, m->order.n_items);
        for (uint32_t i = 0; i < m->order.n_items; i++)
                write_item(w, &m->order.items[i]);
}

static void read_order(ByteReader *r, Buffer *buffer, GcsMessage *m) {
        bool changes = m->type == GCS_MESSAGE_FLUSH_ITEMS;
        uint32_t min = m->type == GCS_MESSAGE_COMMIT ? 0 : 1,
                 max = m->type == GCS_MESSAGE_COMMIT ? 0 : GCS_BATCH_MAX;

        m->order.fanout = byte_reader_bool(r);
        m->order.commit = byte_reader_u64(r);
        m->order.settled = byte_reader_u64(r);
        m->order.slow = byte_reader_u64(r);
        m->order.first = byte_reader_u64(r);
        m->order.n_items = byte_reader_count(r, max, ITEM_MIN_BYTES);
        if (m->order.n_items < min)
                byte_reader_fail(r);

        /* Sequences begin at 1 and never get near the end, so that adding to them cannot overflow. */
        if (m->type != GCS_MESSAGE_SUBMIT && m->type != GCS_MESSAGE_COMMIT && m->order.first == 0)
                byte_reader_fail(r);
        if (m->order.first > UINT64_MAX / 2)
                byte_reader_fail(r);

        for (uint32_t i = 0; i < m->order.n_items && !r->failed; i++)
                read_item(r, buffer, changes ? &m->change : NULL, &m->order.items[i]);
}

/* ---- Records ---- */

static void write_record(ByteWriter *w, const GcsRecord *e) {
        byte_writer_u8(w, (uint8_t) e->type);
        switch (e->type) {
        case GCS_RECORD_STREAM:
                byte_writer_u8(w, (uint8_t) e->stream.node);
                byte_writer_u64(w, e->stream.incarnation);
                byte_writer_u64(w, e->stream.number);
                break;
        case GCS_RECORD_MEMBER:
                byte_writer_u8(w, e->member.group);
                byte_writer_string(w, e->member.group_name);
                write_member_id(w, e->member.member.id);
                byte_writer_u64(w, e->member.member.seniority);
                byte_writer_string(w, e->member.member.name);
                byte_writer_bool(w, e->member.member.critical);
                byte_writer_bool(w, e->member.member.snapshot);
                byte_writer_bool(w, e->member.member.ready);
                write_member_id(w, e->member.member.donor);
                byte_writer_u64(w, e->member.member.point);
                byte_writer_u64(w, e->member.member.lineage);
                break;
        }
}

static void read_record(ByteReader *r, GcsRecord *e) {
        uint8_t type = byte_reader_u8(r);

        *e = (GcsRecord){};
        switch (type) {
        case GCS_RECORD_STREAM:
                e->type = GCS_RECORD_STREAM;
                e->stream.node = read_node(r);
                e->stream.incarnation = byte_reader_u64(r);
                e->stream.number = byte_reader_u64(r);
                break;
        case GCS_RECORD_MEMBER:
                e->type = GCS_RECORD_MEMBER;
                e->member.group = read_slot(r);
                read_name(r, e->member.group_name);
                e->member.member.id = read_member_id(r, false);
                e->member.member.seniority = byte_reader_u64(r);
                read_name(r, e->member.member.name);
                e->member.member.critical = byte_reader_bool(r);
                e->member.member.snapshot = byte_reader_bool(r);
                e->member.member.ready = byte_reader_bool(r);
                e->member.member.donor = read_member_id(r, true);
                e->member.member.point = byte_reader_u64(r);
                e->member.member.lineage = byte_reader_u64(r);
                break;
        default:
                byte_reader_fail(r);
        }
}

#define RECORD_MIN_BYTES 18U

/* ---- Messages ---- */

ssize_t gcs_message_encode(const GcsMessage *m, void *buf, size_t buf_bytes) {
        ByteWriter w;

        byte_writer_init(&w, buf, buf_bytes);
        byte_writer_u8(&w, GCS_WIRE_VERSION);
        byte_writer_u8(&w, (uint8_t) m->type);
        write_mid(&w, m->mid);

        switch (m->type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_FLUSH_ITEMS:
                write_order(&w, m);
                break;
        case GCS_MESSAGE_ACK:
                byte_writer_bool(&w, m->ack.lap);
                byte_writer_u64(&w, m->ack.held);
                byte_writer_u64(&w, m->ack.committed);
                byte_writer_u64(&w, m->ack.slow);
                break;
        case GCS_MESSAGE_RESEND:
                byte_writer_u64(&w, m->resend.first);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_DONE:
                break;
        case GCS_MESSAGE_FLUSH_INFO:
                write_mid(&w, m->info.history);
                write_mid(&w, m->info.formation);
                byte_writer_bool(&w, m->info.memory);
                byte_writer_u64(&w, m->info.held);
                break;
        case GCS_MESSAGE_FLUSH_PLAN:
                write_mid(&w, m->plan.basis);
                byte_writer_u8(&w, (uint8_t) m->plan.donor);
                byte_writer_u64(&w, m->plan.held);
                write_change(&w, &m->change);
                break;
        case GCS_MESSAGE_FLUSH_FETCH:
                byte_writer_bool(&w, m->fetch.state);
                byte_writer_u64(&w, m->fetch.next);
                break;
        case GCS_MESSAGE_FLUSH_STATE:
                byte_writer_u64(&w, m->state.delivered);
                byte_writer_u32(&w, m->state.first);
                byte_writer_u32(&w, m->state.total);
                byte_writer_u32(&w, m->state.n_records);
                for (uint32_t i = 0; i < m->state.n_records; i++)
                        write_record(&w, &m->state.records[i]);
                break;
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                write_member_id(&w, m->snapshot.newcomer);
                byte_writer_u64(&w, m->snapshot.point);
                byte_writer_u32(&w, m->snapshot.piece);
                byte_writer_bool(&w, m->snapshot.last);
                if (m->type == GCS_MESSAGE_SNAPSHOT)
                        byte_writer_blob(
                                        &w,
                                        slice_data(&m->snapshot.payload),
                                        m->snapshot.payload.size_bytes);
                break;
        }

        return byte_writer_result(&w) < 0 ? -ENOBUFS : (ssize_t) w.size_bytes;
}

int gcs_message_decode(Buffer *buffer, size_t offset, size_t size_bytes, GcsMessage *ret) {
        ByteReader reader, *r = &reader;
        GcsMessage *m = ret;
        uint8_t type;

        if (offset > buffer->size_bytes || size_bytes > buffer->size_bytes - offset ||
            size_bytes > GCS_MESSAGE_BYTES_MAX)
                return -EBADMSG;

        byte_reader_init(r, buffer->data + offset, size_bytes);
        if (byte_reader_u8(r) != GCS_WIRE_VERSION)
                return -EBADMSG;
        type = byte_reader_u8(r);
        if (type < GCS_MESSAGE_SUBMIT || type > GCS_MESSAGE_TYPE_LAST)
                return -EBADMSG;
        m->type = (GcsMessageType) type;
        m->mid = read_mid(r);
        m->change.membership.mid = MID_NONE;

        switch (m->type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_FLUSH_ITEMS:
                read_order(r, buffer, m);
                break;
        case GCS_MESSAGE_ACK:
                m->ack.lap = byte_reader_bool(r);
                m->ack.held = byte_reader_u64(r);
                m->ack.committed = byte_reader_u64(r);
                m->ack.slow = byte_reader_u64(r);
                break;
        case GCS_MESSAGE_RESEND:
                m->resend.first = byte_reader_u64(r);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_DONE:
                break;
        case GCS_MESSAGE_FLUSH_INFO:
                m->info.history = read_mid(r);
                m->info.formation = read_mid(r);
                m->info.memory = byte_reader_bool(r);
                m->info.held = byte_reader_u64(r);
                break;
        case GCS_MESSAGE_FLUSH_PLAN:
                m->plan.basis = read_mid(r);
                m->plan.donor = byte_reader_u8_max(r, NODE_ID_MAX);
                m->plan.held = byte_reader_u64(r);
                if (m->plan.held > UINT64_MAX / 2)
                        byte_reader_fail(r);
                read_change(r, &m->change);
                break;
        case GCS_MESSAGE_FLUSH_FETCH:
                m->fetch.state = byte_reader_bool(r);
                m->fetch.next = byte_reader_u64(r);
                break;
        case GCS_MESSAGE_FLUSH_STATE:
                m->state.delivered = byte_reader_u64(r);
                m->state.first = byte_reader_u32(r);
                m->state.total = byte_reader_u32(r);
                m->state.n_records = byte_reader_count(r, GCS_RECORDS_MAX, RECORD_MIN_BYTES);
                for (uint32_t i = 0; i < m->state.n_records && !r->failed; i++)
                        read_record(r, &m->state.records[i]);
                break;
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                m->snapshot.newcomer = read_member_id(r, false);
                m->snapshot.point = byte_reader_u64(r);
                m->snapshot.piece = byte_reader_u32(r);
                m->snapshot.last = byte_reader_bool(r);
                m->snapshot.payload = m->type == GCS_MESSAGE_SNAPSHOT ? read_payload(r, buffer) : (Slice){};
                break;
        }

        return byte_reader_finish(r) < 0 ? -EBADMSG : 0;
}
