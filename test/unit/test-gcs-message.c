/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "basic/prng.h"
#include "gcs/message.h"

static GcsMessage in, out;
static uint8_t bytes[GCS_MESSAGE_BYTES_MAX];

/* ---- Samples: one of each kind, with every field set ---- */

static Membership sample_membership(void) {
        Membership m = {
                .mid = { 17, 2 },
                .hash = 0x1122334455667788,
                .quorate_mid = { 16, 1 },
                .quorate = true,
                .half = true,
                .tie_breaker = true,
                .members = node_set_of(1) | node_set_of(2) | node_set_of(64),
                .n_members = 3,
                .rank = { 2, 64, 1 },
                .configured = node_set_of(1) | node_set_of(2) | node_set_of(5) | node_set_of(64),
        };

        NODE_SET_FOREACH(id, m.configured)
                m.nodes[id - 1] = (MembershipNode){
                        .state = id == 5 ? NODE_DOWN : NODE_UP,
                        .reason = id == 5 ? NODE_REASON_CONFIRMED : NODE_REASON_NONE,
                        .incarnation = 1000 + id,
                        .boot_id = { { (uint8_t) id, 9 } },
                        .last_mid = { 3, id },
                        .armed = id == 1,
                        .proven = id == 5,
                };
        return m;
}

static GcsNodeChange sample_change(void) {
        return (GcsNodeChange){
                .membership = sample_membership(),
                .formation = { 4, 1 },
                .survivors = node_set_of(2) | node_set_of(64),
        };
}

static GcsItem sample_item(GcsItemType type, Buffer *payload) {
        GcsItem i = { .type = type, .node = 64, .incarnation = 7, .number = 99, .member = 12, .group = 63 };

        switch (type) {
        case GCS_ITEM_MESSAGE:
                i.message.payload = slice_of(payload);
                i.message.more = true;
                i.message.later = true;
                break;
        case GCS_ITEM_JOIN:
                i.group = 0;
                strcpy(i.join.group_name, "shop");
                strcpy(i.join.member_name, "abcdefghijklmnopqrstuvwxyz_01234");
                i.join.flags = GCS_JOIN_FLAGS;
                break;
        case GCS_ITEM_LEAVE:
                i.leave.reason = GCS_REASON_UNRESPONSIVE;
                break;
        case GCS_ITEM_READY:
                i.ready.point = 77;
                break;
        case GCS_ITEM_NODE_CHANGE:
                i = (GcsItem){ .type = type, .node_change.change = &in.change };
                break;
        }
        return i;
}

static void sample_order(Buffer *payload) {
        bool flush = in.type == GCS_MESSAGE_FLUSH_ITEMS;

        in.order.fanout = true;
        in.order.commit = 5;
        in.order.settled = 4;
        in.order.slow = 0x8000000000000001;
        in.order.first = in.type == GCS_MESSAGE_COMMIT ? 0 : 6;
        in.order.n_items = 0;
        if (in.type == GCS_MESSAGE_COMMIT)
                return;
        for (GcsItemType t = GCS_ITEM_MESSAGE; t <= (flush ? GCS_ITEM_NODE_CHANGE : GCS_ITEM_READY); t++)
                in.order.items[in.order.n_items++] = sample_item(t, payload);
        in.order.items[in.order.n_items++] = sample_item(GCS_ITEM_MESSAGE, NULL);
}

static void sample_records(void) {
        in.state.delivered = 9;
        in.state.first = 3;
        in.state.total = 5;
        in.state.n_records = 2;
        in.state.records[0] = (GcsRecord){ .type = GCS_RECORD_STREAM, .stream = { 3, 4, 5 } };
        in.state.records[1] = (GcsRecord){
                .type = GCS_RECORD_MEMBER,
                .member = { .group = 7,
                            .group_name = "g",
                            .member = { .id = { 1, 2, 3 },
                                        .seniority = 8,
                                        .name = "m",
                                        .critical = true,
                                        .snapshot = true,
                                        .donor = { 4, 5, 6 },
                                        .point = 8,
                                        .lineage = 2 } },
        };
}

static void sample(GcsMessageType type, Buffer *payload) {
        memset(&in, 0, sizeof(in));
        in.type = type;
        in.mid = (Mid){ 0x0102030405060708, 64 };
        in.change = sample_change();

        switch (type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_FLUSH_ITEMS:
                sample_order(payload);
                break;
        case GCS_MESSAGE_ACK:
                in.ack.lap = true;
                in.ack.held = 10;
                in.ack.committed = 9;
                in.ack.slow = 2;
                break;
        case GCS_MESSAGE_RESEND:
                in.resend.first = 11;
                break;
        case GCS_MESSAGE_FLUSH_INFO:
                in.info.history = (Mid){ 5, 1 };
                in.info.formation = (Mid){ 1, 3 };
                in.info.memory = true;
                in.info.held = 44;
                break;
        case GCS_MESSAGE_FLUSH_PLAN:
                in.plan.basis = (Mid){ 5, 1 };
                in.plan.donor = 64;
                in.plan.held = 44;
                break;
        case GCS_MESSAGE_FLUSH_FETCH:
                in.fetch.state = true;
                in.fetch.next = 64;
                break;
        case GCS_MESSAGE_FLUSH_STATE:
                sample_records();
                break;
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                in.snapshot.newcomer = (GcsMemberId){ 1, 2, 3 };
                in.snapshot.point = 4;
                in.snapshot.piece = 5;
                in.snapshot.last = true;
                if (type == GCS_MESSAGE_SNAPSHOT)
                        in.snapshot.payload = slice_of(payload);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_DONE:
                break;
        }
}

static size_t encode(const GcsMessage *m, uint8_t *ret, size_t size_bytes) {
        ssize_t n = gcs_message_encode(m, ret, size_bytes);

        g_assert_cmpint(n, >, 0);
        return (size_t) n;
}

static int decode(const uint8_t *data, size_t size_bytes, Buffer **ret_buffer) {
        *ret_buffer = buffer_new_copy(data, size_bytes);
        memset(&out, 0xee, sizeof(out));
        return gcs_message_decode(*ret_buffer, 0, size_bytes, &out);
}

/* ---- Tests ---- */

static void test_round_trip(void) {
        static uint8_t again[GCS_MESSAGE_BYTES_MAX];

        for (int t = GCS_MESSAGE_SUBMIT; t <= (int) GCS_MESSAGE_TYPE_LAST; t++) {
                _cleanup_(buffer_unrefp) Buffer *payload = buffer_new_copy("hello", 5), *b = NULL;
                size_t n, m;

                sample((GcsMessageType) t, payload);
                n = encode(&in, bytes, sizeof(bytes));
                g_assert_cmpint(decode(bytes, n, &b), ==, 0);
                g_assert_cmpint(out.type, ==, t);
                g_assert_true(mid_equal(out.mid, in.mid));
                m = encode(&out, again, sizeof(again));
                g_assert_cmpmem(bytes, n, again, m);
                g_assert_nonnull(gcs_message_type_to_string(out.type));
        }
}

static void test_fields(void) {
        _cleanup_(buffer_unrefp) Buffer *payload = buffer_new_copy("hello", 5), *b = NULL, *c = NULL;
        const GcsNodeChange *change;
        size_t n;

        sample(GCS_MESSAGE_FLUSH_ITEMS, payload);
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &b), ==, 0);
        g_assert_cmpuint(out.order.n_items, ==, 6);
        g_assert_cmpmem(slice_data(&out.order.items[0].message.payload), 5, "hello", 5);
        g_assert_true(out.order.items[0].message.payload.buffer == b);
        g_assert_true(out.order.items[0].message.more);
        g_assert_true(out.order.items[0].message.later);
        g_assert_cmpstr(out.order.items[1].join.group_name, ==, "shop");
        g_assert_cmpuint(strlen(out.order.items[1].join.member_name), ==, GCS_NAME_MAX);
        g_assert_cmpint(out.order.items[2].leave.reason, ==, GCS_REASON_UNRESPONSIVE);
        g_assert_cmpuint(out.order.items[3].ready.point, ==, 77);
        change = out.order.items[4].node_change.change;
        g_assert_true(change == &out.change);
        g_assert_cmpmem(&change->membership, sizeof(Membership), &in.change.membership, sizeof(Membership));
        g_assert_cmpuint(change->survivors, ==, in.change.survivors);
        g_assert_cmpuint(out.order.items[5].message.payload.size_bytes, ==, 0);

        sample(GCS_MESSAGE_FLUSH_STATE, payload);
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &c), ==, 0);
        g_assert_cmpuint(out.state.records[0].stream.number, ==, 5);
        g_assert_cmpuint(out.state.records[1].member.member.lineage, ==, 2);
        g_assert_true(out.state.records[1].member.member.critical);
        g_assert_false(out.state.records[1].member.member.ready);
}

static void test_truncated(void) {
        for (int t = GCS_MESSAGE_SUBMIT; t <= (int) GCS_MESSAGE_TYPE_LAST; t++) {
                _cleanup_(buffer_unrefp) Buffer *payload = buffer_new_copy("hello", 5), *longer = NULL;
                size_t n;

                sample((GcsMessageType) t, payload);
                n = encode(&in, bytes, sizeof(bytes));
                for (size_t k = 0; k < n; k++) {
                        _cleanup_(buffer_unrefp) Buffer *b = NULL;

                        g_assert_cmpint(decode(bytes, k, &b), ==, -EBADMSG);
                        g_assert_cmpint(gcs_message_encode(&in, bytes, k), ==, -ENOBUFS);
                        g_assert_cmpuint(encode(&in, bytes, sizeof(bytes)), ==, n);
                }
                bytes[n] = 0;
                g_assert_cmpint(decode(bytes, n + 1, &longer), ==, -EBADMSG);
        }
}

/* Whatever decodes after that obeys its bounds, so that it can be encoded again. */
static void test_garbled(void) {
        static uint8_t again[GCS_MESSAGE_BYTES_MAX];
        unsigned n_decoded = 0;
        Prng prng;

        prng_init(&prng, 1);
        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_(buffer_unrefp) Buffer *payload = buffer_new_copy("hello", 5), *b = NULL;
                size_t n;

                sample((GcsMessageType) prng_between(&prng, GCS_MESSAGE_SUBMIT, GCS_MESSAGE_TYPE_LAST),
                       payload);
                n = encode(&in, bytes, sizeof(bytes));
                for (uint64_t k = prng_between(&prng, 1, 3); k > 0; k--)
                        bytes[prng_below(&prng, n)] = (uint8_t) prng_u64(&prng);
                if (decode(bytes, n, &b) < 0)
                        continue;
                n_decoded++;
                g_assert_cmpuint(encode(&out, again, sizeof(again)), ==, n);
        }
        g_assert_cmpuint(n_decoded, >, 1000);
}

static void test_largest(void) {
        _cleanup_(buffer_unrefp) Buffer *payload = buffer_new(GCS_PAYLOAD_MAX),
                                        *longer = buffer_new(GCS_PAYLOAD_MAX + 1);
        _cleanup_(buffer_unrefp) Buffer *b = NULL, *c = NULL, *d = NULL;
        size_t n;

        memset(payload->data, 1, payload->size_bytes);
        memset(longer->data, 1, longer->size_bytes);
        sample(GCS_MESSAGE_PROPOSE, payload);
        in.order.n_items = 1;
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &b), ==, 0);

        in.order.items[0].message.payload = slice_of(longer);
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &c), ==, -EBADMSG);

        /* The largest state and the largest set of control items. */
        sample(GCS_MESSAGE_FLUSH_STATE, payload);
        for (unsigned i = 2; i < GCS_RECORDS_MAX; i++)
                in.state.records[i] = in.state.records[1];
        in.state.n_records = GCS_RECORDS_MAX;
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &d), ==, 0);
}

static void test_refused(void) {
        _cleanup_(buffer_unrefp) Buffer *payload = buffer_new_copy("hello", 5);
        _cleanup_(buffer_unrefp) Buffer *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        size_t n;

        /* A change of nodes is no business of a proposal. */
        sample(GCS_MESSAGE_FLUSH_ITEMS, payload);
        in.type = GCS_MESSAGE_PROPOSE;
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &a), ==, -EBADMSG);

        /* One to a message. */
        sample(GCS_MESSAGE_FLUSH_ITEMS, payload);
        in.order.items[5] = in.order.items[4];
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &b), ==, -EBADMSG);

        /* Survivors are members. */
        sample(GCS_MESSAGE_FLUSH_PLAN, payload);
        in.change.survivors = node_set_of(5);
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &c), ==, -EBADMSG);

        sample(GCS_MESSAGE_SUBMIT, payload);
        strcpy(in.order.items[1].join.group_name, "Shop");
        n = encode(&in, bytes, sizeof(bytes));
        g_assert_cmpint(decode(bytes, n, &d), ==, -EBADMSG);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/gcs/message/round-trip", test_round_trip);
        g_test_add_func("/gcs/message/fields-arrive", test_fields);
        g_test_add_func("/gcs/message/truncated-is-refused", test_truncated);
        g_test_add_func("/gcs/message/garbled-does-no-harm", test_garbled);
        g_test_add_func("/gcs/message/largest-fit", test_largest);
        g_test_add_func("/gcs/message/nonsense-is-refused", test_refused);

        return g_test_run();
}
