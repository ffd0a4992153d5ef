/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "fuzz/proto-frames.h"
#include "libhagcs/gather.h"

static ProtoFrame
frame_of(ProtoType type,
         ProtoCluster *cluster,
         ProtoView *view,
         ProtoMembership *membership,
         ProtoGroup *counted) {
        return (ProtoFrame){
                .type = type,
                .version = PROTO_VERSION,
                .generation = 1,
                .number = 1000,
                .text = "because",
                .mid = { 5, 1 },
                .sequence = 7,
                .group = "talk",
                .name = "me",
                .flags = PROTO_WANT_SNAPSHOT,
                .liveliness_usec = 1000000,
                .node_id = 2,
                .incarnation = 20,
                .member_id = { 1, 10, 1 },
                .member = { .id = { 1, 10, 1 }, .seniority = 3, .name = "me" },
                .point = 7,
                .data = "data",
                .size_bytes = 4,
                .cluster = cluster,
                .view = view,
                .membership = membership,
                .counted = counted,
        };
}

/* Two nodes, one of which left and said why. */
static void fill_membership(ProtoMembership *m) {
        *m = (ProtoMembership){ .name = "shop",
                                .node_id = 1,
                                .incarnation = 10,
                                .phase = "stable",
                                .mid = { 5, 1 },
                                .members = 1,
                                .hears = 2,
                                .configuration = { 7, { 4, 1 }, 8, "not-stopped", 2, "n2 must be stopped" },
                                .n_peers = 2,
                                .n_reasons = 1,
                                .reasons = { "silence" },
                                .n_changes = 1 };
        for (unsigned i = 0; i < 2; i++)
                m->peers[i] = (ProtoPeer){ .id = i + 1, .name = "n", .votes = 1, .n_links = i };
        m->changes[0] = (ProtoChange){ .time_usec = 1, .mid = { 5, 1 }, .members = 1, .n_moved = 1 };
        m->changes[0].moved[0].node_id = 2;
}

void proto_frames_all(ProtoFrameSink sink, void *userdata) {
        uint8_t *buf = malloc(PROTO_FRAME_MAX);
        ProtoCluster cluster = { .name = "shop", .node_id = 1, .mid = { 5, 1 }, .members = 3, .n_nodes = 2 };
        ProtoView *view = calloc(1, sizeof(*view));
        ProtoMembership *membership = calloc(1, sizeof(*membership));
        ProtoGroup *counted = calloc(1, sizeof(*counted));

        assert(buf);
        assert(view);
        assert(membership);
        assert(counted);
        fill_membership(membership);
        *counted = (ProtoGroup){ .name = "talk", .mid = { 5, 1 }, .messages = 3, .n_members = 2 };
        for (unsigned i = 0; i < 2; i++)
                counted->members[i] =
                                (ProtoGroupMember){ .id = { i + 1, 10, 1 }, .here = i == 0, .name = "m" };
        for (unsigned i = 0; i < 2; i++) {
                cluster.nodes[i] = (ProtoNode){ .id = i + 1, .state = PROTO_NODE_UP, .name = "n" };
                view->members[i] = (ProtoMember){ .id = { i + 1, 10, 1 }, .seniority = i, .name = "m" };
                view->joined[i] = view->members[i];
                view->nodes[i] = cluster.nodes[i];
        }
        view->n_members = view->n_joined = view->n_nodes = 2;
        view->node_set = 3;
        for (unsigned type = 0; type <= UINT8_MAX; type++) {
                ProtoFrame f = frame_of((ProtoType) type, &cluster, view, membership, counted);
                ssize_t n = proto_encode(&f, buf, PROTO_FRAME_MAX);

                if (n > 0)
                        sink(userdata, buf, (size_t) n);
        }
        free(counted);
        free(membership);
        free(view);
        free(buf);
}

void proto_packet(const ProtoType *types, size_t n, ProtoFrameSink sink, void *userdata) {
        uint8_t buf[1024] = { GATHER_SEVERAL };
        size_t size_bytes = 1;

        for (size_t i = 0; i < n; i++) {
                ProtoFrame f = frame_of(types[i], NULL, NULL, NULL, NULL);
                uint8_t *length = buf + size_bytes;
                ssize_t k = proto_encode(&f, length + GATHER_LENGTH_BYTES, 256);

                assert(k > 0);
                assert(k < 256);
                length[0] = (uint8_t) k;
                size_bytes += GATHER_LENGTH_BYTES + (size_t) k;
        }
        sink(userdata, buf, size_bytes);
}
