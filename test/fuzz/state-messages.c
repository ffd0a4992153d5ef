/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz/state-messages.h"

#define WEB                                                                                                 \
        "[Group]\nDomain=n1 n2 n3\n[Unit app]\nUnit=shop.service\n"                                         \
        "[Address vip]\nAddress=192.0.2.10/24\nInterface=eth0\n"

HaNodes state_messages_nodes(void) {
        HaNodes nodes = { .n_nodes = STATE_MESSAGES_NODES, .unseen_fence_usec = 20000000 };

        for (uint32_t i = 0; i < STATE_MESSAGES_NODES; i++) {
                HaNode *n = nodes.nodes + i;

                n->id = i + 1;
                (void) g_snprintf(n->name, sizeof(n->name), "n%u", i + 1);
                n->enabled = n->has_fence_device = true;
        }
        return nodes;
}

static GBytes *some_files(void) {
        static const HaFile files[] = {
                { (char *) "db.group", (char *) "[Group]\nDomain=n2 n1\n[Unit db]\nUnit=db.service\n" },
                { (char *) "web.group", (char *) WEB },
        };

        return ha_files_serialize(files, ELEMENTSOF(files));
}

static void give(StateMessageSink sink, void *userdata, StateMessage *m) {
        g_autoptr(GBytes) bytes = NULL;

        m->time_usec = 1000000;
        bytes = state_message_encode(m);
        assert(bytes);
        sink(userdata, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        state_message_done(m);
}

static void give_reports(StateMessageSink sink, void *userdata) {
        for (unsigned state = STATE_REPORT_STOPPED; state < _STATE_REPORT_MAX; state++)
                give(sink,
                     userdata,
                     &(StateMessage){
                                     .type = STATE_MESSAGE_REPORT,
                                     .report = { .group = "web",
                                                 .number = 1,
                                                 .state = (StateReportState) state,
                                                 .reason = "because",
                                                 .resources = { STATE_RESOURCE_RUNNING },
                                                 .n_resources = 2 },
                     });
}

static void give_operations(StateMessageSink sink, void *userdata) {
        for (unsigned operation = STATE_OPERATION_GROUP_START; operation <= STATE_OPERATION_NODE_FENCE;
             operation++) {
                StateMessage m = { .type = STATE_MESSAGE_OPERATOR };

                m.operator_.request = operation;
                m.operator_.operation = (StateOperation) operation;
                m.operator_.node = 2;
                m.operator_.boot = (StateBoot){ .node = 3, .incarnation = 30, .mid = { 1, 1 } };
                if (operation <= STATE_OPERATION_GROUP_CLEANUP)
                        (void) g_strlcpy(m.operator_.group, "web", sizeof(m.operator_.group));
                give(sink, userdata, &m);
        }
}

static void give_plan(StateMessageSink sink, void *userdata) {
        StateMessage m = { .type = STATE_MESSAGE_PLAN,
                           .plan = { .mid = { 1, 1 }, .sequence = 5, .n_steps = 3 } };

        m.plan.steps = g_new0(StateStep, 3);
        m.plan.steps[0] = (StateStep){
                .type = STATE_STEP_ASSIGN, .group = "web", .node = 1, .number = 0, .reason = "first"
        };
        m.plan.steps[1] = (StateStep){ .type = STATE_STEP_RELEASE,
                                       .group = "db",
                                       .node = 1,
                                       .target = 2,
                                       .number = 1,
                                       .reason = "moved" };
        m.plan.steps[2] = (StateStep){ .type = STATE_STEP_FENCE,
                                       .boot = { .node = 3, .incarnation = 30, .mid = { 1, 1 } },
                                       .fencer = 1,
                                       .reason = "lost" };
        give(sink, userdata, &m);
}

/* The third node goes, and the second is another server; then nothing of it is true any more. */
static void give_clusters(StateMessageSink sink, void *userdata) {
        for (unsigned i = 0; i < 4; i++) {
                StateMessage m = {
                        .type = i % 2 ? STATE_MESSAGE_CLUSTER_IN_FORCE : STATE_MESSAGE_CLUSTER_PREPARE,
                        .cluster = { .request = 1,
                                     .mid = { 1, 1 },
                                     .text = g_bytes_new("conf", 4),
                                     .nodes = g_new0(HaNodes, 1) },
                };

                *m.cluster.nodes = state_messages_nodes();
                m.cluster.nodes->hash = i / 2 + 1;
                if (i < 2) {
                        m.cluster.nodes->n_nodes--;
                        m.cluster.nodes->nodes[1].identity = 9;
                }
                give(sink, userdata, &m);
        }
}

void state_messages_all(StateMessageSink sink, void *userdata) {
        HaNodes nodes = state_messages_nodes();
        _cleanup_(state_freep) State *s = state_new(&nodes, 1);

        give(sink, userdata, &(StateMessage){ .type = STATE_MESSAGE_HELLO, .hello = { 1, 0, NULL } });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_HELLO,
                              .hello = { 1 | STATE_CAPABILITY_RESETS, 1000000, state_durable(s) } });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_APPLY_PREPARE,
                              .apply_prepare = { 1, some_files(), true } });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_APPLY_ANSWER,
                              .apply_answer = { { { 1, 1 }, 1 }, true, NULL } });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_APPLY_ANSWER,
                              .apply_answer = { { { 1, 1 }, 1 }, false, g_strdup("no such interface") } });
        give(sink, userdata, &(StateMessage){ .type = STATE_MESSAGE_STORED, .stored = { 100 } });
        give(sink, userdata, &(StateMessage){ .type = STATE_MESSAGE_TICK });
        give_clusters(sink, userdata);
        give(sink, userdata, &(StateMessage){ .type = STATE_MESSAGE_NODE_LEAVING });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_FENCE_RESULT,
                              .fence_result = { .boot = { .node = 3, .incarnation = 30, .mid = { 1, 1 } },
                                                .ok = true,
                                                .device = "power",
                                                .text = "off" } });
        give(sink,
             userdata,
             &(StateMessage){ .type = STATE_MESSAGE_FENCED_FOR_QUORUM,
                              .fence_result = { .boot = { .node = 3, .incarnation = 30, .mid = { 1, 1 } },
                                                .ok = true,
                                                .device = "power" } });
        give_operations(sink, userdata);
        give_reports(sink, userdata);
        give_plan(sink, userdata);
}
