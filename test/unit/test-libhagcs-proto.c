/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <sys/socket.h>

#include "libhagcs/gather.h"
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
        memset(a->configuration.why, 'w', PROTO_NAME_MAX);
        memset(a->configuration.text, 't', PROTO_TEXT_MAX - 1);
        a->n_nodes = PROTO_NODES_MAX;
        for (unsigned i = 0; i < PROTO_NODES_MAX; i++) {
                memset(a->nodes[i].problem, 'p', PROTO_TEXT_MAX - 1);
                memset(a->nodes[i].name, 'n', PROTO_NAME_MAX);
                a->nodes[i].links_heard = i;
        }
        round_trip(&f, &g);
        g_assert_cmpmem(b, sizeof(*b), a, sizeof(*a));
}

/* 64 nodes on 8 links, all of whom were replaced in each of the last changes. */
static ProtoMembership *largest_membership(void) {
        ProtoMembership *m = g_new0(ProtoMembership, 1);

        memset(m->name, 'n', PROTO_NAME_MAX);
        memset(m->phase, 'p', PROTO_NAME_MAX);
        memset(m->configuration.why, 'w', PROTO_NAME_MAX);
        memset(m->configuration.text, 't', PROTO_TEXT_MAX - 1);
        m->configuration.waits_for = UINT64_MAX;
        m->n_peers = PROTO_NODES_MAX;
        FOREACH_ARRAY(p, m->peers, PROTO_NODES_MAX) {
                p->id = (uint32_t) (p - m->peers) + 1;
                memset(p->name, 'n', PROTO_NAME_MAX);
                memset(p->reason, 'r', PROTO_NAME_MAX);
                memset(p->problem, 'p', PROTO_TEXT_MAX - 1);
                p->n_links = PROTO_LINKS_MAX;
                FOREACH_ARRAY(l, p->links, PROTO_LINKS_MAX)
                        *l = (ProtoLink){ PROTO_LINK_ONE_WAY, p->id, PROTO_USEC_UNKNOWN, 5, 6, 7 };
        }
        m->n_reasons = PROTO_REASONS_MAX;
        FOREACH_ARRAY(reason, m->reasons, PROTO_REASONS_MAX)
                memset(*reason, 'r', PROTO_NAME_MAX);
        m->n_changes = PROTO_CHANGES_MAX;
        FOREACH_ARRAY(c, m->changes, PROTO_CHANGES_MAX) {
                c->time_usec = (uint64_t) (c - m->changes);
                c->n_moved = 2 * PROTO_NODES_MAX;
                FOREACH_ARRAY(moved, c->moved, c->n_moved)
                        *moved = (ProtoMoved){ 64, PROTO_MOVE_LEFT, PROTO_NODE_DOWN, PROTO_REASONS_MAX - 1 };
        }
        return m;
}

static void test_membership(void) {
        g_autofree ProtoMembership *a = largest_membership(), *b = g_new0(ProtoMembership, 1);
        ProtoFrame f = { .type = PROTO_MEMBERSHIP, .membership = a }, g = { .membership = b };
        ssize_t n;

        round_trip(&(ProtoFrame){ .type = PROTO_ASK_MEMBERSHIP }, &g);
        round_trip(&(ProtoFrame){ .type = PROTO_RELOAD }, &g);
        round_trip(&(ProtoFrame){ .type = PROTO_RELOADED, .error = -EPERM, .text = "no" }, &g);
        g_assert_cmpint(g.error, ==, -EPERM);
        g_assert_cmpstr(g.text, ==, "no");
        round_trip(&f, &g);
        g_assert_cmpmem(b, sizeof(*b), a, sizeof(*a));

        /* A client that did not ask has no room for it. */
        n = proto_encode(&f, buf, sizeof(buf));
        g.membership = NULL;
        g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, -EBADMSG);
        g.membership = b;
        for (size_t k = 0; k < (size_t) n; k += 101)
                g_assert_cmpint(proto_decode(buf, k, &g), ==, -EBADMSG);

        a->changes[3].moved[5].reason = PROTO_REASONS_MAX;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
        a->changes[3].moved[5].reason = 0;
        a->peers[63].n_links = PROTO_LINKS_MAX + 1;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
        a->peers[63].n_links = 0;
        a->n_changes = PROTO_CHANGES_MAX + 1;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
}

static void test_group(void) {
        g_autofree ProtoGroup *a = g_new0(ProtoGroup, 1), *b = g_new0(ProtoGroup, 1);
        ProtoFrame f = { .type = PROTO_GROUP, .counted = a }, g = { .counted = b };
        ssize_t n;

        round_trip(&(ProtoFrame){ .type = PROTO_ASK_GROUPS }, &g);
        memset(a, 1, sizeof(*a));
        memset(a->name, 'g', PROTO_NAME_MAX);
        a->name[PROTO_NAME_MAX] = '\0';
        a->n_members = PROTO_MEMBERS_MAX;
        FOREACH_ARRAY(m, a->members, PROTO_MEMBERS_MAX) {
                memset(m->name, 'm', PROTO_NAME_MAX);
                m->name[PROTO_NAME_MAX] = '\0';
        }
        n = proto_encode(&f, buf, sizeof(buf));
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, 0);
        g_assert_cmpuint(b->snapshots_received, ==, a->snapshots_received);
        g_assert_cmpuint(b->members[127].pid, ==, a->members[127].pid);
        g_assert_cmpuint(b->members[127].snapshots_received, ==, a->members[127].snapshots_received);
        for (size_t k = 0; k < (size_t) n; k += 101)
                g_assert_cmpint(proto_decode(buf, k, &g), ==, -EBADMSG);
        g.counted = NULL;
        g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, -EBADMSG);
        a->n_members++;
        g_assert_cmpint(proto_encode(&f, buf, sizeof(buf)), <, 0);
}

/* The last byte of the frame is the reason of the last move. */
static void test_reason_that_is_none(void) {
        g_autofree ProtoMembership *a = g_new0(ProtoMembership, 1);
        ProtoFrame f = { .type = PROTO_MEMBERSHIP, .membership = a }, g = { .membership = a };
        ssize_t n;

        a->n_reasons = 2;
        a->n_changes = 1;
        a->changes[0].n_moved = 1;
        a->changes[0].moved[0].reason = 1;
        n = proto_encode(&f, buf, sizeof(buf));
        g_assert_cmpint(n, >, 0);
        g_assert_cmpuint(buf[n - 1], ==, 1);
        g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, 0);
        buf[n - 1] = 2;
        g_assert_cmpint(proto_decode(buf, (size_t) n, &g), ==, -EBADMSG);
}

/* Bent here and there, it is refused, or says again what it was understood to say. */
static void test_bent_membership(void) {
        g_autofree ProtoMembership *a = largest_membership(), *b = g_new0(ProtoMembership, 1);
        static uint8_t good[PROTO_FRAME_MAX], again[PROTO_FRAME_MAX];
        ProtoFrame g = { .membership = b };
        unsigned n_understood = 0;
        ssize_t n;

        a->n_peers = a->n_changes = 2;
        a->changes[0].n_moved = a->changes[1].n_moved = 3;
        n = proto_encode(&(ProtoFrame){ .type = PROTO_MEMBERSHIP, .membership = a }, good, sizeof(good));
        g_assert_cmpint(n, >, 0);
        for (unsigned round = 0; round < 5000; round++) {
                memcpy(buf, good, (size_t) n);
                for (int k = g_test_rand_int_range(1, 4); k > 0; k--)
                        buf[g_test_rand_int_range(1, (int) n)] = (uint8_t) g_test_rand_int_range(0, 256);
                if (proto_decode(buf, (size_t) n, &g) < 0)
                        continue;
                n_understood++;
                g_assert_cmpuint(b->n_peers, <=, PROTO_NODES_MAX);
                g_assert_cmpuint(b->n_changes, <=, PROTO_CHANGES_MAX);
                g_assert_cmpint(proto_encode(&g, again, sizeof(again)), ==, n);
                g_assert_cmpmem(again, (size_t) n, buf, (size_t) n);
        }
        g_assert_cmpuint(n_understood, >, 250);
}

static void test_garbage(void) {
        g_autofree ProtoView *view = g_new0(ProtoView, 1);
        g_autofree ProtoCluster *cluster = g_new0(ProtoCluster, 1);
        g_autofree ProtoMembership *membership = g_new0(ProtoMembership, 1);
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
                g = (ProtoFrame){ .view = view, .cluster = cluster, .membership = membership };
                (void) proto_decode(buf, size, &g);
        }
}

/* Puts n frames of a size into one packet, as far as they go; gives back how many were in it. */
static unsigned through_a_packet(unsigned n, size_t size) {
        static uint8_t frames[100][GATHER_LENGTH_BYTES + PROTO_FRAME_MAX];
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        int fds[2], r;
        GatherReader reader;
        const void *frame;
        unsigned n_in = 0, n_out = 0;
        ssize_t got;
        Gather g;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
        in = fds[0];
        out = fds[1];
        gather_begin(&g);
        for (; n_in < n; n_in++) {
                memset(frames[n_in] + GATHER_LENGTH_BYTES, (int) n_in + 1, size);
                if (!gather_add(&g, frames[n_in], GATHER_LENGTH_BYTES + size))
                        break;
        }
        g_assert_cmpint(gather_send(&g, in), ==, 0);
        got = recv(out, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
        g_assert_cmpint(got, >, 0);
        g_assert_cmpint(got, <=, (ssize_t) sizeof(buf));
        gather_read(&reader, buf, (size_t) got);
        while ((r = gather_next(&reader, &frame, &size)) > 0) {
                n_out++;
                g_assert_cmpuint(((const uint8_t *) frame)[0], ==, n_out);
                g_assert_cmpuint(((const uint8_t *) frame)[size - 1], ==, n_out);
        }
        g_assert_cmpint(r, ==, 0);
        g_assert_cmpuint(n_out, ==, n_in);
        return n_out;
}

static void test_several_in_a_packet(void) {
        g_assert_cmpuint(through_a_packet(1, 1), ==, 1);
        g_assert_cmpuint(through_a_packet(3, 100), ==, 3);
        g_assert_cmpuint(through_a_packet(100, 10), ==, GATHER_FRAMES_MAX);
        g_assert_cmpuint(through_a_packet(100, 30000), ==, 2);
        g_assert_cmpuint(through_a_packet(2, PROTO_FRAME_MAX), ==, 1);
}

/* Who reads one knows how much work is in it at most. */
static void test_too_many_in_a_packet(void) {
        uint8_t many[1 + (GATHER_FRAMES_MAX + 1) * (GATHER_LENGTH_BYTES + 1)] = { GATHER_SEVERAL };
        GatherReader r;
        const void *frame;
        size_t size;

        for (unsigned i = 0; i <= GATHER_FRAMES_MAX; i++)
                many[1 + i * (GATHER_LENGTH_BYTES + 1)] = 1;
        gather_read(&r, many, sizeof(many));
        for (unsigned i = 0; i < GATHER_FRAMES_MAX; i++)
                g_assert_cmpint(gather_next(&r, &frame, &size), ==, 1);
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
}

static void test_bent_packet(void) {
        const uint8_t none[] = { GATHER_SEVERAL }, empty[] = { GATHER_SEVERAL, 0, 0, 0, 0 },
                      cut[] = { GATHER_SEVERAL, 1, 0, 0 }, beyond[] = { GATHER_SEVERAL, 2, 0, 0, 0, 7 },
                      far[] = { GATHER_SEVERAL, 255, 255, 255, 255, 7 },
                      rest[] = { GATHER_SEVERAL, 1, 0, 0, 0, 7, 0 };
        ProtoFrame f = { 0 };
        GatherReader r;
        const void *frame;
        size_t size;

        /* Alone it is a frame, of a type that does not exist. */
        gather_read(&r, none, sizeof(none));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, 1);
        g_assert_cmpint(proto_decode(frame, size, &f), ==, -EBADMSG);
        gather_read(&r, empty, sizeof(empty));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
        gather_read(&r, cut, sizeof(cut));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
        gather_read(&r, beyond, sizeof(beyond));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
        gather_read(&r, far, sizeof(far));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
        gather_read(&r, rest, sizeof(rest));
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, 1);
        g_assert_cmpuint(size, ==, 1);
        g_assert_cmpint(gather_next(&r, &frame, &size), ==, -EBADMSG);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/libhagcs/proto/small-frames", test_small);
        g_test_add_func("/libhagcs/proto/payload", test_payload);
        g_test_add_func("/libhagcs/proto/largest-view-fits", test_view);
        g_test_add_func("/libhagcs/proto/largest-cluster-fits", test_cluster);
        g_test_add_func("/libhagcs/proto/largest-membership-fits", test_membership);
        g_test_add_func("/libhagcs/proto/reason-that-is-none-is-refused", test_reason_that_is_none);
        g_test_add_func("/libhagcs/proto/largest-group-fits", test_group);
        g_test_add_func("/libhagcs/proto/bent-membership-is-refused-or-understood", test_bent_membership);
        g_test_add_func("/libhagcs/proto/garbage-is-refused", test_garbage);
        g_test_add_func("/libhagcs/gather/several-frames-in-a-packet", test_several_in_a_packet);
        g_test_add_func("/libhagcs/gather/bent-packet-is-refused", test_bent_packet);
        g_test_add_func("/libhagcs/gather/too-many-frames-are-refused", test_too_many_in_a_packet);
        return g_test_run();
}
