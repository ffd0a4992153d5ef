/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "libhagcs/proto.h"

static uint8_t buf[PROTO_FRAME_MAX];

static void round_trip(const ProtoFrame *f, ProtoFrame *ret) {
        ssize_t n = proto_encode(f, buf, sizeof(buf));

        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(proto_decode(buf, (size_t) n, ret), ==, 0);
        g_assert_cmpint(ret->type, ==, f->type);
}

static void test_small(void) {
        static const ProtoType empty[] = { PROTO_UNREGISTER, PROTO_UNREGISTERED, PROTO_FROZEN };
        ProtoFrame f = { .type = PROTO_REGISTER,
                         .group = "talk",
                         .name = "me",
                         .flags = 3,
                         .liveliness_usec = 5,
                         .grace_usec = 6 },
                   g = { 0 };

        round_trip(&f, &g);
        g_assert_cmpstr(g.group, ==, "talk");
        g_assert_cmpstr(g.name, ==, "me");
        g_assert_cmpuint(g.flags, ==, 3);
        g_assert_cmpuint(g.liveliness_usec, ==, 5);
        g_assert_cmpuint(g.grace_usec, ==, 6);

        FOREACH_ARRAY(t, empty, ELEMENTSOF(empty)) {
                f = (ProtoFrame){ .type = *t };
                round_trip(&f, &g);
        }
        f = (ProtoFrame){ .type = PROTO_REGISTERED,
                          .error = -EPERM,
                          .text = "no",
                          .generation = 4,
                          .member_id = { 1, 2, 3 } };
        round_trip(&f, &g);
        g_assert_cmpint(g.error, ==, -EPERM);
        g_assert_cmpstr(g.text, ==, "no");
        g_assert_true(proto_member_id_equal(&g.member_id, &f.member_id));

        f = (ProtoFrame){ .type = PROTO_CONFIRM_DOWN, .node_id = 3, .incarnation = 9, .mid = { 8, 1 } };
        round_trip(&f, &g);
        g_assert_cmpuint(g.node_id, ==, 3);
        g_assert_cmpuint(g.mid.epoch, ==, 8);
}

static void test_payload(void) {
        g_autofree uint8_t *data = g_malloc0(PROTO_PIECE_MAX + 1);
        ProtoFrame f = { .type = PROTO_MESSAGE,
                         .mid = { 3, 1 },
                         .sequence = 12,
                         .member_id = { 1, 2, 3 },
                         .own = true,
                         .later = true,
                         .more = true,
                         .data = data,
                         .size_bytes = PROTO_PIECE_MAX },
                   g = { 0 };

        data[PROTO_PIECE_MAX - 1] = 'x';
        round_trip(&f, &g);
        g_assert_cmpmem(g.data, g.size_bytes, data, PROTO_PIECE_MAX);
        g_assert_true(g.own && g.more && g.later);
        g_assert_cmpuint(g.sequence, ==, 12);
        f.size_bytes++;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
        f = (ProtoFrame){ .type = PROTO_SEND, .generation = 2 };
        round_trip(&f, &g);
        g_assert_cmpuint(g.size_bytes, ==, 0);
}

static void test_view(void) {
        g_autofree ProtoView *a = g_new0(ProtoView, 1), *b = g_new0(ProtoView, 1);
        ProtoFrame f = { .type = PROTO_VIEW, .view = a }, g = { .view = b };

        a->n_members = a->n_joined = a->n_left = PROTO_MEMBERS_MAX;
        a->n_nodes = PROTO_NODES_MAX;
        for (unsigned i = 0; i < PROTO_MEMBERS_MAX; i++) {
                memset(a->members[i].name, 'm', PROTO_NAME_MAX);
                memset(a->joined[i].name, 'j', PROTO_NAME_MAX);
                memset(a->left[i].name, 'l', PROTO_NAME_MAX);
                a->left[i].reason = (uint8_t) (i % 6);
        }
        for (unsigned i = 0; i < PROTO_NODES_MAX; i++) {
                a->nodes[i].id = i + 1;
                memset(a->nodes[i].reason, 'r', PROTO_NAME_MAX);
        }
        a->formation = true;
        /* The largest view fits a frame. */
        round_trip(&f, &g);
        g_assert_cmpmem(b->left, sizeof(b->left), a->left, sizeof(a->left));
        g_assert_cmpmem(b->nodes, sizeof(b->nodes), a->nodes, sizeof(a->nodes));
        g_assert_true(b->formation);

        a->n_members = PROTO_MEMBERS_MAX + 1;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
        a->n_members = 1;
        g.view = NULL;
        {
                ssize_t n = proto_encode(&f, buf, sizeof(buf));

                g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, -EBADMSG);
        }
}

static void test_cluster(void) {
        g_autofree ProtoCluster *a = g_new0(ProtoCluster, 1), *b = g_new0(ProtoCluster, 1);
        ProtoFrame f = { .type = PROTO_CLUSTER, .cluster = a }, g = { .cluster = b };

        strcpy(a->name, "shop");
        a->n_nodes = PROTO_NODES_MAX;
        for (unsigned i = 0; i < PROTO_NODES_MAX; i++) {
                memset(a->nodes[i].problem, 'p', PROTO_TEXT_MAX - 1);
                memset(a->nodes[i].name, 'n', PROTO_NAME_MAX);
                a->nodes[i].links_heard = i;
        }
        round_trip(&f, &g);
        g_assert_cmpmem(b, sizeof(*b), a, sizeof(*a));
}

static void test_garbage(void) {
        g_autofree ProtoView *view = g_new0(ProtoView, 1);
        g_autofree ProtoCluster *cluster = g_new0(ProtoCluster, 1);
        ProtoFrame f = { .type = PROTO_VIEW, .view = view }, g;
        ssize_t n;

        view->n_members = view->n_nodes = 2;
        n = proto_encode(&f, buf, sizeof(buf));
        for (size_t k = 0; k < (size_t) n; k++) {
                g = (ProtoFrame){ .view = view, .cluster = cluster };
                g_assert_cmpint(proto_decode(buf, k, &g), ==, -EBADMSG);
        }
        g = (ProtoFrame){ .view = view, .cluster = cluster };
        g_assert_cmpint(proto_decode(buf, (size_t) n + 1, &g), ==, -EBADMSG);
        for (unsigned round = 0; round < 20000; round++) {
                size_t size = (size_t) g_test_rand_int_range(0, 300);

                for (size_t i = 0; i < size; i++)
                        buf[i] = (uint8_t) g_test_rand_int_range(0, 256);
                g = (ProtoFrame){ .view = view, .cluster = cluster };
                (void) proto_decode(buf, size, &g);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/libhagcs/proto/small-frames", test_small);
        g_test_add_func("/libhagcs/proto/payload", test_payload);
        g_test_add_func("/libhagcs/proto/largest-view-fits", test_view);
        g_test_add_func("/libhagcs/proto/largest-cluster-fits", test_cluster);
        g_test_add_func("/libhagcs/proto/garbage-is-refused", test_garbage);
        return g_test_run();
}
