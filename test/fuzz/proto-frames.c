/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "fuzz/proto-frames.h"

static ProtoFrame frame_of(ProtoType type, ProtoCluster *cluster, ProtoView *view) {
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
        };
}

void proto_frames_all(ProtoFrameSink sink, void *userdata) {
        uint8_t *buf = malloc(PROTO_FRAME_MAX);
        ProtoCluster cluster = { .name = "shop", .node_id = 1, .mid = { 5, 1 }, .members = 3, .n_nodes = 2 };
        ProtoView *view = calloc(1, sizeof(*view));

        assert(buf);
        assert(view);
        for (unsigned i = 0; i < 2; i++) {
                cluster.nodes[i] = (ProtoNode){ .id = i + 1, .state = PROTO_NODE_UP, .name = "n" };
                view->members[i] = (ProtoMember){ .id = { i + 1, 10, 1 }, .seniority = i, .name = "m" };
                view->joined[i] = view->members[i];
                view->nodes[i] = cluster.nodes[i];
        }
        view->n_members = view->n_joined = view->n_nodes = 2;
        view->node_set = 3;
        for (unsigned type = 0; type <= UINT8_MAX; type++) {
                ProtoFrame f = frame_of((ProtoType) type, &cluster, view);
                ssize_t n = proto_encode(&f, buf, PROTO_FRAME_MAX);

                if (n > 0)
                        sink(userdata, buf, (size_t) n);
        }
        free(view);
        free(buf);
}
