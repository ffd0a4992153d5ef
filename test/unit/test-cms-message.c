/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/message.h"

#include <glib.h>

#include "basic/prng.h"
#include "cms/cms.h"

static uint64_t some(Prng *p) {
        return prng_u64(p) | 1;
}

static Mid some_ballot(Prng *p) {
        return (Mid){ prng_between(p, 1, MID_EPOCH_MAX),
                      (uint32_t) prng_between(p, NODE_ID_MIN, NODE_ID_MAX) };
}

static Mid some_mid(Prng *p) {
        return prng_one_in(p, 5) ? MID_NONE : some_ballot(p);
}

static BootId some_boot(Prng *p) {
        BootId id;

        for (size_t i = 0; i < sizeof(id.bytes); i++)
                id.bytes[i] = (uint8_t) prng_u64(p);
        return id;
}

static bool toss(Prng *p) {
        return prng_one_in(p, 2);
}

static void fill_row(Prng *p, CmsRow *row) {
        row->version = prng_u64(p);
        row->heard = prng_u64(p) & prng_u64(p);
        NODE_SET_FOREACH(id, row->heard)
                row->incarnation[id - 1] = some(p);
}

static void fill_node(Prng *p, bool up, MembershipNode *n) {
        *n = (MembershipNode){
                .state = up ? NODE_UP : NODE_DOWN,
                .reason = (NodeReason) prng_below(p, _NODE_REASON_MAX),
                .incarnation = prng_u64(p),
                .boot_id = some_boot(p),
                .last_mid = some_mid(p),
                .armed = toss(p),
                .proven = toss(p),
        };
}

static void fill_membership(Prng *p, Membership *m) {
        m->mid = some_ballot(p);
        m->hash = prng_u64(p);
        m->quorate_mid = some_mid(p);
        m->quorate = toss(p);
        m->half = toss(p);
        m->tie_breaker = toss(p);
        m->first = toss(p);
        m->configured = prng_u64(p) | 1;
        m->members = (m->configured & prng_u64(p)) | 1;
        NODE_SET_FOREACH(id, m->members)
                m->rank[m->n_members++] = (uint8_t) id;
        NODE_SET_FOREACH(id, m->configured)
                fill_node(p, node_set_contains(m->members, id), &m->nodes[id - 1]);
}

static void fill_voting(Prng *p, CmsVoting *v) {
        v->mid = some_mid(p);
        v->configured = prng_u64(p) | 1;
        v->enabled = (v->configured & prng_u64(p)) | 1;
        v->tie_breaker = node_set_highest(v->enabled);
        v->heartbeat_usec = prng_between(p, 1000, 1000000);
        v->failure_usec = 3 * v->heartbeat_usec;
        v->lease_usec = CMS_LEASE_FAILURES_MIN * v->failure_usec;
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                v->hash[i] = prng_u64(p);
        NODE_SET_FOREACH(id, v->configured) {
                v->votes[id - 1] = (uint8_t) prng_u64(p);
                v->identity[id - 1] = (uint32_t) prng_u64(p);
        }
}

static void fill_votings(Prng *p, CmsVotings *v) {
        fill_voting(p, &v->committed);
        if (toss(p))
                return;
        fill_voting(p, &v->proposed);
        v->proposed.mid = (Mid){ v->committed.mid.epoch + 1, 3 };
}

static void fill_heartbeat(Prng *p, CmsHeartbeat *h) {
        h->number = prng_u64(p);
        h->boot_id = some_boot(p);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                h->config_hash[i] = prng_u64(p);
        h->config_mid = some_mid(p);
        h->config_proposed = prng_u64(p);
        h->config_wanted = prng_u64(p);
        h->mid = some_mid(p);
        h->mid_hash = prng_u64(p);
        h->members = prng_u64(p);
        h->promised = some_mid(p);
        h->quorate = toss(p);
        h->settled = toss(p);
        h->no_record = toss(p);
        h->cannot_write = toss(p);
        h->armed = toss(p);
        h->stalled = toss(p);
        h->flushed = toss(p);
        h->hold_left_msec = toss(p) ? (uint32_t) prng_u64(p) : 0;
        h->proven = prng_u64(p);
        fill_row(p, &h->row);
        h->echoed = h->row.heard & prng_u64(p);
        NODE_SET_FOREACH(id, h->echoed)
                h->echo_number[id - 1] = prng_u64(p);
}

static void fill_ages(Prng *p, CmsEchoAges *a) {
        a->nodes = prng_u64(p) & prng_u64(p);
        NODE_SET_FOREACH(id, a->nodes)
                a->msec[id - 1] = (uint32_t) prng_u64(p);
}

static void fill_answer(Prng *p, CmsAnswer *a) {
        a->ballot = some_ballot(p);
        a->coordinator_incarnation = prng_u64(p);
        a->mid = some_mid(p);
        a->quorate_mid = some_mid(p);
        a->no_record = toss(p);
        a->armed = toss(p);
        a->boot_id = some_boot(p);
        a->flushed = toss(p);
        fill_votings(p, &a->votings);
        a->met = prng_u64(p);
        a->n_rank = (unsigned) prng_below(p, NODE_ID_MAX + 1);
        for (unsigned i = 0; i < a->n_rank; i++) {
                a->rank[i] = (uint8_t) (NODE_ID_MAX - i);
                a->rank_incarnation[i] = prng_u64(p);
        }
        fill_row(p, &a->row);
        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                if (toss(p)) {
                        a->confirms[i] = some(p);
                        a->age_msec[i] = (uint32_t) prng_u64(p);
                }
        a->known = prng_u64(p);
        NODE_SET_FOREACH(id, a->known)
                fill_node(p, toss(p), &a->nodes[id - 1]);
}

static void fill_inquire(Prng *p, CmsInquire *q) {
        q->ballot = some_ballot(p);
        q->target = prng_u64(p);
        q->lost = prng_u64(p);
        q->silent = prng_u64(p);
        q->mid = some_mid(p);
        q->quorate = toss(p);
        fill_row(p, &q->row);
}

static void fill(Prng *p, CmsMessageType type, CmsMessage *m) {
        memset(m, 0, sizeof(*m));
        m->version = CMS_PROTOCOL_VERSION;
        m->type = type;
        m->incarnation = some(p);
        switch (type) {
        case CMS_MESSAGE_HEARTBEAT:
                fill_heartbeat(p, &m->heartbeat);
                break;
        case CMS_MESSAGE_INQUIRE:
                fill_inquire(p, &m->inquire);
                break;
        case CMS_MESSAGE_ANSWER:
                fill_answer(p, &m->answer);
                break;
        case CMS_MESSAGE_PROPOSE:
                fill_membership(p, &m->propose.membership);
                m->propose.no_record = m->propose.membership.members & prng_u64(p);
                fill_votings(p, &m->propose.votings);
                m->propose.met = prng_u64(p);
                break;
        case CMS_MESSAGE_ACKNOWLEDGE:
                m->acknowledge = (CmsAcknowledge){ .ballot = some_ballot(p),
                                                   .hash = prng_u64(p),
                                                   .coordinator_incarnation = prng_u64(p) };
                fill_ages(p, &m->acknowledge.echoed);
                break;
        case CMS_MESSAGE_COMMIT:
                m->commit = (CmsCommit){ .ballot = some_ballot(p), .hash = prng_u64(p) };
                fill_ages(p, &m->commit.echoed);
                break;
        case CMS_MESSAGE_REFUSE:
                m->refuse = (CmsRefuse){
                        some_ballot(p),
                        prng_u64(p),
                        (CmsRefusal) prng_below(p, _CMS_REFUSAL_MAX),
                        some_mid(p),
                };
                break;
        case CMS_MESSAGE_HAND_OVER:
                m->hand_over = (CmsHandOver){ some_ballot(p), prng_u64(p) };
                break;
        case CMS_MESSAGE_FAREWELL:
                m->farewell = (CmsFarewell){ some_mid(p), toss(p) };
                break;
        case CMS_MESSAGE_FAREWELL_HEARD:
                m->farewell_heard.incarnation = prng_u64(p);
                break;
        case CMS_MESSAGE_CONFIGURATION:
                fill_votings(p, &m->configuration.votings);
                break;
        case CMS_MESSAGE_FOREIGN:
                g_assert_not_reached();
        }
}

static size_t encode(const CmsMessage *m, uint8_t *buf) {
        ByteWriter w;

        byte_writer_init(&w, buf, CMS_MESSAGE_SIZE_MAX);
        cms_message_encode(m, &w);
        g_assert_cmpint(byte_writer_result(&w), ==, 0);
        return w.size_bytes;
}

/* What is decoded is encoded to the same bytes; every shorter datagram and one with a byte more are refused.
 */
static void test_round_trip(void) {
        uint8_t a[CMS_MESSAGE_SIZE_MAX + 1], b[CMS_MESSAGE_SIZE_MAX];
        CmsMessage *m = g_new0(CmsMessage, 1), *read = g_new0(CmsMessage, 1);
        Prng p;

        prng_init(&p, 1);
        for (CmsMessageType t = CMS_MESSAGE_HEARTBEAT; t <= CMS_MESSAGE_CONFIGURATION; t++)
                for (unsigned round = 0; round < 20; round++) {
                        size_t n;

                        fill(&p, t, m);
                        n = encode(m, a);
                        g_assert_cmpint(cms_message_decode(a, n, read), ==, 0);
                        g_assert_cmpint(read->type, ==, t);
                        g_assert_cmpuint(read->incarnation, ==, m->incarnation);
                        g_assert_cmpmem(b, encode(read, b), a, n);
                        for (size_t shorter = 0; shorter < n; shorter++)
                                g_assert_cmpint(cms_message_decode(a, shorter, read), ==, -EBADMSG);
                        a[n] = 0;
                        g_assert_cmpint(cms_message_decode(a, n + 1, read), ==, -EBADMSG);
                }
        g_free(m);
        g_free(read);
}

/* Whatever one bit more or less makes of it: it is refused, or can be encoded again. */
static void test_rotten_bits(void) {
        uint8_t a[CMS_MESSAGE_SIZE_MAX], b[CMS_MESSAGE_SIZE_MAX];
        CmsMessage *m = g_new0(CmsMessage, 1), *read = g_new0(CmsMessage, 1);
        Prng p;

        prng_init(&p, 2);
        for (unsigned round = 0; round < 5000; round++) {
                size_t n, at;

                fill(&p,
                     (CmsMessageType) prng_between(&p, CMS_MESSAGE_HEARTBEAT, CMS_MESSAGE_CONFIGURATION),
                     m);
                n = encode(m, a);
                at = prng_below(&p, n);
                a[at] ^= (uint8_t) (1U << prng_below(&p, 8));
                if (cms_message_decode(a, n, read) < 0 || read->type == CMS_MESSAGE_FOREIGN)
                        continue;
                g_assert_cmpmem(b, encode(read, b), a, n);
        }
        g_free(m);
        g_free(read);
}

static void test_garbage(void) {
        uint8_t a[600];
        CmsMessage *read = g_new0(CmsMessage, 1);
        Prng p;

        prng_init(&p, 3);
        for (unsigned round = 0; round < 20000; round++) {
                size_t n = prng_below(&p, sizeof(a));

                for (size_t i = 0; i < n; i++)
                        a[i] = (uint8_t) prng_u64(&p);
                if (n > 2) {
                        a[0] = CMS_PROTOCOL_VERSION;
                        a[1] = (uint8_t) prng_between(&p, 0, 12);
                }
                (void) cms_message_decode(a, n, read);
        }
        g_free(read);
}

static void test_other_version_is_named(void) {
        uint8_t a[CMS_MESSAGE_SIZE_MAX];
        CmsMessage *m = g_new0(CmsMessage, 1);
        Prng p;

        prng_init(&p, 4);
        fill(&p, CMS_MESSAGE_COMMIT, m);
        encode(m, a);
        a[0] = CMS_PROTOCOL_VERSION + 1;
        g_assert_cmpint(cms_message_decode(a, 10, m), ==, 0);
        g_assert_cmpint(m->type, ==, CMS_MESSAGE_FOREIGN);
        g_assert_cmpuint(m->version, ==, CMS_PROTOCOL_VERSION + 1);
        g_free(m);
}

static void test_contradictions_are_refused(void) {
        uint8_t a[CMS_MESSAGE_SIZE_MAX];
        CmsMessage *m = g_new0(CmsMessage, 1), *read = g_new0(CmsMessage, 1);
        Membership *s = &m->propose.membership;
        Prng p;

        prng_init(&p, 5);
        fill(&p, CMS_MESSAGE_PROPOSE, m);
        s->configured = s->members = 7;
        s->n_members = 3;
        for (unsigned i = 0; i < 3; i++) {
                s->rank[i] = (uint8_t) (i + 1);
                fill_node(&p, true, &s->nodes[i]);
        }
        m->propose.no_record = 0;
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, 0);

        s->rank[1] = 1; /* twice the same */
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        s->rank[1] = 9; /* no member */
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        s->rank[1] = 2;
        s->nodes[1].state = NODE_DOWN; /* a member that is not up */
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        s->nodes[1].state = NODE_UP;
        m->propose.no_record = 8; /* not a member */
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        m->propose.no_record = 0;
        s->mid.epoch = UINT64_MAX; /* the next one would be none */
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        s->mid = MID_NONE;
        g_assert_cmpint(cms_message_decode(a, encode(m, a), read), ==, -EBADMSG);
        g_free(m);
        g_free(read);
}

/* The largest of each type still fits, and a heartbeat of few nodes is small. */
static void test_sizes(void) {
        uint8_t a[CMS_MESSAGE_SIZE_MAX];
        CmsMessage *m = g_new0(CmsMessage, 1);
        Prng p;

        prng_init(&p, 6);
        fill(&p, CMS_MESSAGE_ANSWER, m);
        m->answer.n_rank = NODE_ID_MAX;
        for (unsigned i = 0; i < NODE_ID_MAX; i++) {
                m->answer.rank[i] = (uint8_t) (i + 1);
                m->answer.confirms[i] = NODE_SET_ALL;
                m->answer.row.incarnation[i] = 1;
        }
        m->answer.row.heard = m->answer.known = NODE_SET_ALL;
        m->answer.votings.committed.configured = NODE_SET_ALL;
        m->answer.votings.proposed = m->answer.votings.committed;
        g_assert_cmpuint(encode(m, a), <=, CMS_MESSAGE_SIZE_MAX);

        fill(&p, CMS_MESSAGE_HEARTBEAT, m);
        m->heartbeat.row.heard = m->heartbeat.echoed = 7;
        g_assert_cmpuint(encode(m, a), <, 210);
        g_free(m);
}

static void test_record(void) {
        CmsRecord record = {
                .promised = { 7, 2 },
                .used_epoch = 15,
                .installed = { 6, 1 },
                .quorate = { 5, 1 },
                .detached = 4,
                .taken_in = true,
                .met = 7,
        };
        uint8_t a[CMS_RECORD_SIZE_MAX], b[CMS_RECORD_SIZE_MAX];
        ByteWriter w;
        ByteReader r;
        CmsRecord read;
        Prng p;

        prng_init(&p, 7);
        fill_voting(&p, &record.votings.committed);
        fill_voting(&p, &record.votings.proposed);
        record.votings.committed.configured = record.votings.proposed.configured = NODE_SET_ALL;
        record.votings.committed.mid = (Mid){ 3, 1 };
        record.votings.proposed.mid = (Mid){ 4, 1 };
        byte_writer_init(&w, a, sizeof(a));
        cms_record_encode(&record, &w);
        g_assert_cmpint(byte_writer_result(&w), ==, 0);
        byte_reader_init(&r, a, w.size_bytes);
        cms_record_decode(&r, &read);
        g_assert_cmpint(byte_reader_finish(&r), ==, 0);
        g_assert_true(mid_equal(read.promised, record.promised));
        g_assert_true(mid_equal(read.quorate, record.quorate));
        g_assert_cmpmem(&read.votings, sizeof(read.votings), &record.votings, sizeof(record.votings));
        g_assert_cmphex(read.met, ==, 7);
        g_assert_true(read.taken_in);
        for (size_t shorter = 0; shorter < w.size_bytes; shorter++) {
                byte_reader_init(&r, a, shorter);
                cms_record_decode(&r, &read);
                g_assert_cmpint(byte_reader_finish(&r), ==, -EBADMSG);
        }
        byte_reader_init(&r, a, w.size_bytes);
        cms_record_decode(&r, &read);
        byte_writer_init(&w, b, sizeof(b));
        cms_record_encode(&read, &w);
        g_assert_cmpmem(b, w.size_bytes, a, w.size_bytes);
        g_assert_true(CMS_RECORD_FIRST.taken_in);
}

static void test_every_enum_has_a_name(void) {
        for (int i = 0; i < _CMS_PHASE_MAX; i++)
                g_assert_nonnull(cms_phase_to_string((CmsPhase) i));
        for (int i = 0; i < _CMS_PROBLEM_MAX; i++)
                g_assert_nonnull(cms_problem_to_string((CmsProblem) i));
        for (int i = 0; i < _CMS_WHY_MAX; i++)
                g_assert_nonnull(cms_why_to_string((CmsWhy) i));
        for (int i = 0; i < _CMS_CONFIG_WAIT_MAX; i++)
                g_assert_nonnull(cms_config_wait_to_string((CmsConfigWait) i));
        for (int i = 0; i < _CMS_REFUSAL_MAX; i++)
                g_assert_nonnull(cms_refusal_to_string((CmsRefusal) i));
        for (int i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                g_assert_nonnull(cms_config_kind_to_string((CmsConfigKind) i));
        for (int i = CMS_MESSAGE_HEARTBEAT; i <= CMS_MESSAGE_CONFIGURATION; i++)
                g_assert_nonnull(cms_message_type_to_string((CmsMessageType) i));
        for (int i = 0; i < _NODE_REASON_MAX; i++)
                g_assert_nonnull(node_reason_to_string((NodeReason) i));
        g_assert_null(cms_phase_to_string(_CMS_PHASE_MAX));
        g_assert_null(cms_phase_to_string(_CMS_PHASE_INVALID));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/message/round-trip", test_round_trip);
        g_test_add_func("/cms/message/rotten-bits", test_rotten_bits);
        g_test_add_func("/cms/message/garbage", test_garbage);
        g_test_add_func("/cms/message/other-version-is-named", test_other_version_is_named);
        g_test_add_func("/cms/message/contradictions-are-refused", test_contradictions_are_refused);
        g_test_add_func("/cms/message/sizes", test_sizes);
        g_test_add_func("/cms/record/round-trip", test_record);
        g_test_add_func("/cms/names/every-enum-has-one", test_every_enum_has_a_name);
        return g_test_run();
}
