/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/message.h"

/* Layout: version u8, type u8, the sender's incarnation u64, then the body. Sets travel as one u64 and are
 * followed by one entry for each of their nodes, in the order of ids. What a decoder returns is consistent
 * in itself: enums in range, ids valid, ranks a permutation of the members. Whether it is true is the core's
 * to judge. */

#define FLAG(i, b) ((uint8_t) ((b) ? 1U << (i) : 0U))

static bool take_flag(uint8_t flags, unsigned i) {
        return (flags & (1U << i)) != 0;
}

/* Reads flags of which only the lowest n may be set. */
static uint8_t read_flags(ByteReader *r, unsigned n) {
        return byte_reader_u8_max(r, (uint8_t) ((1U << n) - 1));
}

static void write_mid(ByteWriter *w, Mid m) {
        byte_writer_u64(w, m.epoch);
        byte_writer_u8(w, (uint8_t) m.node);
}

/* No mid is zero in both; any other names a node. */
static Mid read_mid(ByteReader *r) {
        Mid m = { .epoch = byte_reader_u64(r) };

        m.node = byte_reader_u8_max(r, NODE_ID_MAX);
        if ((m.epoch == 0) != (m.node == 0) || m.epoch > MID_EPOCH_MAX)
                byte_reader_fail(r);
        return m;
}

static Mid read_ballot(ByteReader *r) {
        Mid m = read_mid(r);

        if (mid_is_none(m))
                byte_reader_fail(r);
        return m;
}

static void write_row(ByteWriter *w, const CmsRow *row) {
        byte_writer_u64(w, row->version);
        byte_writer_u64(w, row->heard);
        NODE_SET_FOREACH(id, row->heard)
                byte_writer_u64(w, row->incarnation[id - 1]);
}

static void read_row(ByteReader *r, CmsRow *ret) {
        ret->version = byte_reader_u64(r);
        ret->heard = byte_reader_u64(r);
        NODE_SET_FOREACH(id, ret->heard) {
                ret->incarnation[id - 1] = byte_reader_u64(r);
                if (ret->incarnation[id - 1] == 0)
                        byte_reader_fail(r);
        }
}

static void write_node(ByteWriter *w, const MembershipNode *n) {
        byte_writer_u8(w, (uint8_t) n->state);
        byte_writer_u8(w, (uint8_t) n->reason);
        byte_writer_u8(w, FLAG(0, n->armed) | FLAG(1, n->proven));
        byte_writer_u64(w, n->incarnation);
        byte_writer_bytes(w, n->boot_id.bytes, sizeof(n->boot_id.bytes));
        write_mid(w, n->last_mid);
}

static void read_node(ByteReader *r, MembershipNode *ret) {
        uint8_t flags;

        ret->state = (NodeState) byte_reader_u8_max(r, _NODE_STATE_MAX - 1);
        ret->reason = (NodeReason) byte_reader_u8_max(r, _NODE_REASON_MAX - 1);
        flags = read_flags(r, 2);
        ret->armed = take_flag(flags, 0);
        ret->proven = take_flag(flags, 1);
        ret->incarnation = byte_reader_u64(r);
        byte_reader_copy(r, ret->boot_id.bytes, sizeof(ret->boot_id.bytes));
        ret->last_mid = read_mid(r);
}

static void write_ages(ByteWriter *w, const CmsEchoAges *a) {
        byte_writer_u64(w, a->nodes);
        NODE_SET_FOREACH(id, a->nodes)
                byte_writer_u32(w, a->msec[id - 1]);
}

static void read_ages(ByteReader *r, CmsEchoAges *ret) {
        ret->nodes = byte_reader_u64(r);
        NODE_SET_FOREACH(id, ret->nodes)
                ret->msec[id - 1] = byte_reader_u32(r);
}

/* Some configuration counts for whoever speaks of it. */
static void write_votings(ByteWriter *w, const CmsVotings *v) {
        cms_votings_encode(v, w);
}

static void read_votings(ByteReader *r, CmsVotings *ret) {
        cms_votings_decode(r, ret);
        if (cms_voting_is_none(&ret->committed))
                byte_reader_fail(r);
}

static void write_heartbeat(ByteWriter *w, const CmsHeartbeat *h) {
        byte_writer_u64(w, h->number);
        byte_writer_bytes(w, h->boot_id.bytes, sizeof(h->boot_id.bytes));
        write_mid(w, h->config_mid);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                byte_writer_u64(w, h->config_hash[i]);
        byte_writer_u64(w, h->config_proposed);
        byte_writer_u64(w, h->config_wanted);
        write_mid(w, h->mid);
        byte_writer_u64(w, h->mid_hash);
        byte_writer_u64(w, h->members);
        write_mid(w, h->promised);
        byte_writer_u8(w,
                       FLAG(0, h->quorate) | FLAG(1, h->settled) | FLAG(2, h->no_record) |
                                       FLAG(3, h->cannot_write) | FLAG(4, h->armed) | FLAG(5, h->stalled) |
                                       FLAG(6, h->flushed));
        byte_writer_u32(w, h->hold_left_msec);
        byte_writer_u64(w, h->proven);
        write_row(w, &h->row);
        byte_writer_u64(w, h->echoed);
        NODE_SET_FOREACH(id, h->echoed)
                byte_writer_u64(w, h->echo_number[id - 1]);
}

static void read_heartbeat(ByteReader *r, CmsHeartbeat *ret) {
        uint8_t flags;

        ret->number = byte_reader_u64(r);
        byte_reader_copy(r, ret->boot_id.bytes, sizeof(ret->boot_id.bytes));
        ret->config_mid = read_mid(r);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                ret->config_hash[i] = byte_reader_u64(r);
        ret->config_proposed = byte_reader_u64(r);
        ret->config_wanted = byte_reader_u64(r);
        ret->mid = read_mid(r);
        ret->mid_hash = byte_reader_u64(r);
        ret->members = byte_reader_u64(r);
        ret->promised = read_mid(r);
        flags = read_flags(r, 7);
        ret->quorate = take_flag(flags, 0);
        ret->settled = take_flag(flags, 1);
        ret->no_record = take_flag(flags, 2);
        ret->cannot_write = take_flag(flags, 3);
        ret->armed = take_flag(flags, 4);
        ret->stalled = take_flag(flags, 5);
        ret->flushed = take_flag(flags, 6);
        ret->hold_left_msec = byte_reader_u32(r);
        ret->proven = byte_reader_u64(r);
        read_row(r, &ret->row);
        ret->echoed = byte_reader_u64(r);
        if (!node_set_is_subset(ret->echoed, ret->row.heard))
                byte_reader_fail(r);
        NODE_SET_FOREACH(id, ret->echoed)
                ret->echo_number[id - 1] = byte_reader_u64(r);
}

static void write_inquire(ByteWriter *w, const CmsInquire *q) {
        write_mid(w, q->ballot);
        byte_writer_u64(w, q->target);
        byte_writer_u64(w, q->lost);
        byte_writer_u64(w, q->silent);
        write_mid(w, q->mid);
        byte_writer_u8(w, FLAG(0, q->quorate));
        write_row(w, &q->row);
}

static void read_inquire(ByteReader *r, CmsInquire *ret) {
        ret->ballot = read_ballot(r);
        ret->target = byte_reader_u64(r);
        ret->lost = byte_reader_u64(r);
        ret->silent = byte_reader_u64(r);
        ret->mid = read_mid(r);
        ret->quorate = take_flag(read_flags(r, 1), 0);
        read_row(r, &ret->row);
}

static void write_answer(ByteWriter *w, const CmsAnswer *a) {
        NodeSet rows = NODE_SET_EMPTY;

        write_mid(w, a->ballot);
        byte_writer_u64(w, a->coordinator_incarnation);
        write_mid(w, a->mid);
        write_mid(w, a->quorate_mid);
        byte_writer_u8(w, FLAG(0, a->no_record) | FLAG(1, a->armed) | FLAG(2, a->flushed));
        write_votings(w, &a->votings);
        byte_writer_u64(w, a->met);
        byte_writer_bytes(w, a->boot_id.bytes, sizeof(a->boot_id.bytes));

        byte_writer_u8(w, (uint8_t) a->n_rank);
        for (unsigned i = 0; i < a->n_rank; i++) {
                byte_writer_u8(w, a->rank[i]);
                byte_writer_u64(w, a->rank_incarnation[i]);
        }

        write_row(w, &a->row);
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                if (a->confirms[id - 1] != NODE_SET_EMPTY)
                        node_set_add(&rows, id);
        byte_writer_u64(w, rows);
        NODE_SET_FOREACH(id, rows) {
                byte_writer_u64(w, a->confirms[id - 1]);
                byte_writer_u32(w, a->age_msec[id - 1]);
        }

        byte_writer_u64(w, a->known);
        NODE_SET_FOREACH(id, a->known)
                write_node(w, &a->nodes[id - 1]);
}

static void read_answer(ByteReader *r, CmsAnswer *ret) {
        NodeSet seen = NODE_SET_EMPTY, rows;
        uint8_t flags;

        ret->ballot = read_ballot(r);
        ret->coordinator_incarnation = byte_reader_u64(r);
        ret->mid = read_mid(r);
        ret->quorate_mid = read_mid(r);
        flags = read_flags(r, 3);
        ret->no_record = take_flag(flags, 0);
        ret->armed = take_flag(flags, 1);
        ret->flushed = take_flag(flags, 2);
        read_votings(r, &ret->votings);
        ret->met = byte_reader_u64(r);
        byte_reader_copy(r, ret->boot_id.bytes, sizeof(ret->boot_id.bytes));

        ret->n_rank = byte_reader_u8_max(r, NODE_ID_MAX);
        for (unsigned i = 0; i < ret->n_rank; i++) {
                ret->rank[i] = byte_reader_u8_max(r, NODE_ID_MAX);
                ret->rank_incarnation[i] = byte_reader_u64(r);
                if (ret->rank[i] == 0 || node_set_contains(seen, ret->rank[i])) {
                        byte_reader_fail(r);
                        return;
                }
                node_set_add(&seen, ret->rank[i]);
        }

        read_row(r, &ret->row);
        rows = byte_reader_u64(r);
        NODE_SET_FOREACH(id, rows) {
                ret->confirms[id - 1] = byte_reader_u64(r);
                ret->age_msec[id - 1] = byte_reader_u32(r);
                if (ret->confirms[id - 1] == NODE_SET_EMPTY)
                        byte_reader_fail(r);
        }

        ret->known = byte_reader_u64(r);
        NODE_SET_FOREACH(id, ret->known)
                read_node(r, &ret->nodes[id - 1]);
}

static void write_membership(ByteWriter *w, const Membership *m) {
        write_mid(w, m->mid);
        byte_writer_u64(w, m->hash);
        write_mid(w, m->quorate_mid);
        byte_writer_u8(w,
                       FLAG(0, m->quorate) | FLAG(1, m->half) | FLAG(2, m->tie_breaker) | FLAG(3, m->first));
        byte_writer_u64(w, m->members);
        byte_writer_bytes(w, m->rank, m->n_members);
        byte_writer_u64(w, m->configured);
        NODE_SET_FOREACH(id, m->configured)
                write_node(w, &m->nodes[id - 1]);
}

static void read_membership(ByteReader *r, Membership *ret) {
        NodeSet seen = NODE_SET_EMPTY;
        uint8_t flags;

        ret->mid = read_ballot(r);
        ret->hash = byte_reader_u64(r);
        ret->quorate_mid = read_mid(r);
        flags = read_flags(r, 4);
        ret->quorate = take_flag(flags, 0);
        ret->half = take_flag(flags, 1);
        ret->tie_breaker = take_flag(flags, 2);
        ret->first = take_flag(flags, 3);
        ret->members = byte_reader_u64(r);
        ret->n_members = node_set_count(ret->members);
        byte_reader_copy(r, ret->rank, ret->n_members);
        for (unsigned i = 0; i < ret->n_members; i++) {
                if (!node_set_contains(ret->members, ret->rank[i]) ||
                    node_set_contains(seen, ret->rank[i])) {
                        byte_reader_fail(r);
                        return;
                }
                node_set_add(&seen, ret->rank[i]);
        }
        ret->configured = byte_reader_u64(r);
        if (!node_set_is_subset(ret->members, ret->configured) || ret->n_members == 0)
                byte_reader_fail(r);
        NODE_SET_FOREACH(id, ret->configured) {
                read_node(r, &ret->nodes[id - 1]);
                if ((ret->nodes[id - 1].state == NODE_UP) != node_set_contains(ret->members, id))
                        byte_reader_fail(r);
        }
}

static void write_body(ByteWriter *w, const CmsMessage *m) {
        switch (m->type) {
        case CMS_MESSAGE_HEARTBEAT:
                write_heartbeat(w, &m->heartbeat);
                break;
        case CMS_MESSAGE_INQUIRE:
                write_inquire(w, &m->inquire);
                break;
        case CMS_MESSAGE_ANSWER:
                write_answer(w, &m->answer);
                break;
        case CMS_MESSAGE_PROPOSE:
                write_membership(w, &m->propose.membership);
                byte_writer_u64(w, m->propose.no_record);
                write_votings(w, &m->propose.votings);
                byte_writer_u64(w, m->propose.met);
                break;
        case CMS_MESSAGE_ACKNOWLEDGE:
                write_mid(w, m->acknowledge.ballot);
                byte_writer_u64(w, m->acknowledge.hash);
                byte_writer_u64(w, m->acknowledge.coordinator_incarnation);
                write_ages(w, &m->acknowledge.echoed);
                break;
        case CMS_MESSAGE_COMMIT:
                write_mid(w, m->commit.ballot);
                byte_writer_u64(w, m->commit.hash);
                write_ages(w, &m->commit.echoed);
                break;
        case CMS_MESSAGE_REFUSE:
                write_mid(w, m->refuse.ballot);
                byte_writer_u64(w, m->refuse.coordinator_incarnation);
                byte_writer_u8(w, (uint8_t) m->refuse.why);
                write_mid(w, m->refuse.promised);
                break;
        case CMS_MESSAGE_HAND_OVER:
                write_mid(w, m->hand_over.ballot);
                byte_writer_u64(w, m->hand_over.set);
                break;
        case CMS_MESSAGE_FAREWELL:
                write_mid(w, m->farewell.mid);
                byte_writer_bool(w, m->farewell.running);
                break;
        case CMS_MESSAGE_FAREWELL_HEARD:
                byte_writer_u64(w, m->farewell_heard.incarnation);
                break;
        case CMS_MESSAGE_CONFIGURATION:
                write_votings(w, &m->configuration.votings);
                break;
        case CMS_MESSAGE_FOREIGN:
                byte_writer_fail(w);
                break;
        }
}

static void read_body(ByteReader *r, CmsMessage *ret) {
        switch (ret->type) {
        case CMS_MESSAGE_HEARTBEAT:
                read_heartbeat(r, &ret->heartbeat);
                break;
        case CMS_MESSAGE_INQUIRE:
                read_inquire(r, &ret->inquire);
                break;
        case CMS_MESSAGE_ANSWER:
                read_answer(r, &ret->answer);
                break;
        case CMS_MESSAGE_PROPOSE:
                read_membership(r, &ret->propose.membership);
                ret->propose.no_record = byte_reader_u64(r);
                read_votings(r, &ret->propose.votings);
                ret->propose.met = byte_reader_u64(r);
                if (!node_set_is_subset(ret->propose.no_record, ret->propose.membership.members))
                        byte_reader_fail(r);
                break;
        case CMS_MESSAGE_ACKNOWLEDGE:
                ret->acknowledge.ballot = read_ballot(r);
                ret->acknowledge.hash = byte_reader_u64(r);
                ret->acknowledge.coordinator_incarnation = byte_reader_u64(r);
                read_ages(r, &ret->acknowledge.echoed);
                break;
        case CMS_MESSAGE_COMMIT:
                ret->commit.ballot = read_ballot(r);
                ret->commit.hash = byte_reader_u64(r);
                read_ages(r, &ret->commit.echoed);
                break;
        case CMS_MESSAGE_REFUSE:
                ret->refuse.ballot = read_ballot(r);
                ret->refuse.coordinator_incarnation = byte_reader_u64(r);
                ret->refuse.why = (CmsRefusal) byte_reader_u8_max(r, _CMS_REFUSAL_MAX - 1);
                ret->refuse.promised = read_mid(r);
                break;
        case CMS_MESSAGE_HAND_OVER:
                ret->hand_over.ballot = read_ballot(r);
                ret->hand_over.set = byte_reader_u64(r);
                break;
        case CMS_MESSAGE_FAREWELL:
                ret->farewell.mid = read_mid(r);
                ret->farewell.running = byte_reader_bool(r);
                break;
        case CMS_MESSAGE_FAREWELL_HEARD:
                ret->farewell_heard.incarnation = byte_reader_u64(r);
                break;
        case CMS_MESSAGE_CONFIGURATION:
                read_votings(r, &ret->configuration.votings);
                break;
        case CMS_MESSAGE_FOREIGN:
                byte_reader_fail(r);
                break;
        }
}

static size_t body_bytes(CmsMessageType type) {
        switch (type) {
        case CMS_MESSAGE_HEARTBEAT:
                return sizeof(CmsHeartbeat);
        case CMS_MESSAGE_INQUIRE:
                return sizeof(CmsInquire);
        case CMS_MESSAGE_ANSWER:
                return sizeof(CmsAnswer);
        case CMS_MESSAGE_PROPOSE:
                return sizeof(CmsPropose);
        case CMS_MESSAGE_ACKNOWLEDGE:
                return sizeof(CmsAcknowledge);
        case CMS_MESSAGE_COMMIT:
                return sizeof(CmsCommit);
        case CMS_MESSAGE_REFUSE:
                return sizeof(CmsRefuse);
        case CMS_MESSAGE_HAND_OVER:
                return sizeof(CmsHandOver);
        case CMS_MESSAGE_FAREWELL:
                return sizeof(CmsFarewell);
        case CMS_MESSAGE_FAREWELL_HEARD:
                return sizeof(CmsFarewellHeard);
        case CMS_MESSAGE_CONFIGURATION:
                return sizeof(CmsConfiguration);
        case CMS_MESSAGE_FOREIGN:
                return 0;
        }
        return 0;
}

void cms_message_clear(CmsMessage *m, CmsMessageType type) {
        memset(m, 0, offsetof(CmsMessage, heartbeat) + body_bytes(type));
}

void cms_message_encode(const CmsMessage *m, ByteWriter *w) {
        byte_writer_u8(w, m->version);
        byte_writer_u8(w, (uint8_t) m->type);
        byte_writer_u64(w, m->incarnation);
        write_body(w, m);
}

int cms_message_decode(const void *data, size_t size_bytes, CmsMessage *ret) {
        uint8_t version, type;
        uint64_t incarnation;
        ByteReader r;

        byte_reader_init(&r, data, size_bytes);
        version = byte_reader_u8(&r);
        type = byte_reader_u8(&r);
        incarnation = byte_reader_u64(&r);
        if (byte_reader_result(&r) < 0)
                return -EBADMSG;

        /* Only the first ten bytes are the same in every version. */
        if (version != CMS_PROTOCOL_VERSION)
                type = CMS_MESSAGE_FOREIGN;
        else if (type < CMS_MESSAGE_HEARTBEAT || type > CMS_MESSAGE_CONFIGURATION || incarnation == 0)
                return -EBADMSG;
        cms_message_clear(ret, (CmsMessageType) type);
        ret->version = version;
        ret->type = (CmsMessageType) type;
        ret->incarnation = incarnation;
        if (ret->type == CMS_MESSAGE_FOREIGN)
                return 0;
        read_body(&r, ret);
        return byte_reader_finish(&r);
}
