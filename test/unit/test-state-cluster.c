/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cluster.conf changes while groups run (R7, R14). */

#include "state-scene.h"

#define WEB "[Group]\nDomain=n1 n2\n[Unit app]\nUnit=web.service\n"
#define WIDE "[Group]\nDomain=n1 n2 n3\n[Unit app]\nUnit=web.service\n"

static HaNodes nodes_of(uint64_t hash, unsigned n) {
        HaNodes nodes = { .n_nodes = n, .unseen_fence_usec = 20000000, .hash = hash };

        for (unsigned i = 0; i < n; i++) {
                nodes.nodes[i] = (HaNode){ .id = i + 1, .enabled = true, .has_fence_device = true };
                (void) g_snprintf(nodes.nodes[i].name, NAME_LENGTH_MAX, "n%u", i + 1);
        }
        return nodes;
}

static void say(Scene *s, uint32_t node, StateMessageType type, const HaNodes *nodes, uint64_t epoch) {
        g_autofree char *text = g_strdup_printf("cluster.conf %" PRIu64, nodes->hash);

        scene_message(s,
                      node,
                      (StateMessage){ .type = type,
                                      .cluster = { .request = 7,
                                                   .mid = { epoch, 1 },
                                                   .text = g_bytes_new(text, strlen(text)),
                                                   .nodes = g_memdup2(nodes, sizeof(*nodes)) } });
}

static void prepare(Scene *s, uint32_t node, const HaNodes *nodes) {
        scene_forget(s);
        say(s, node, STATE_MESSAGE_CLUSTER_PREPARE, nodes, 0);
}

static void in_force(Scene *s, uint32_t node, const HaNodes *nodes) {
        say(s, node, STATE_MESSAGE_CLUSTER_IN_FORCE, nodes, s->mid.epoch);
}

/* Three of four nodes, with one group. n4 is only in the next cluster.conf. */
static void begin(Scene *s, const char *group) {
        scene_init(s, 4);
        s->began = nodes_of(1, 3);
        scene_file(s, "web.group", group);
        for (uint32_t id = 1; id <= 3; id++) {
                scene_boot(s, id);
                scene_manager(s, id, true);
        }
        scene_view(s, true);
        for (uint32_t id = 1; id <= 3; id++)
                scene_hello(s, id);
        scene_send_files(s, 1);
        scene_settle(s);
        in_force(s, 1, &s->began);
        scene_settle(s);
        g_assert_cmpuint(scene_owner(s, "web"), ==, 1);
}

static void stop_node(Scene *s, uint32_t id, StateNodeState state) {
        scene_manager(s, id, false);
        s->nodes[id].state = state;
        scene_view(s, true);
        scene_settle(s);
}

/* Every hamgr there is has it on its disk: then whoever asked has the answer. */
static void stored(Scene *s) {
        for (size_t i = 0; i < s->n_members; i++)
                scene_store(s, s->members[i].node);
}

static const char *answer_text(const Scene *s, uint32_t id) {
        return strempty(scene_effect(s, id, STATE_EFFECT_ANSWER, NULL)->text);
}

static const char *name_of(Scene *s, uint32_t id) {
        static char buf[NAME_LENGTH_MAX + 1];

        return ha_nodes_name(state_nodes(scene_state(s)), id, buf);
}

static void test_added_node_is_known_when_it_is_in_force(void) {
        HaNodes four = nodes_of(2, 4);
        _cleanup_(scene_done) Scene s;

        begin(&s, WEB);
        prepare(&s, 2, &four);
        g_assert_nonnull(scene_effect(&s, 3, STATE_EFFECT_PREPARE_CLUSTER, NULL));
        g_assert_null(scene_effect(&s, 3, STATE_EFFECT_WRITE_CLUSTER, NULL));
        scene_settle(&s);
        /* All agreed: it is written everywhere, and whoever asked waits for the membership. */
        g_assert_cmpint(scene_answer(&s, 2), ==, _STATE_RESULT_INVALID);
        g_assert_null(state_node(scene_state(&s), 4));
        {
                char waits[STATE_TEXT_MAX];

                state_request_waits(s.nodes[2].replica, 7, waits);
                g_assert_nonnull(strstr(waits, "membership has not put it in force"));
        }
        in_force(&s, 1, &four);
        g_assert_nonnull(scene_effect(&s, 3, STATE_EFFECT_CLUSTER, NULL));
        scene_settle(&s);
        g_assert_cmpstr(name_of(&s, 4), ==, "n4");
        g_assert_cmpint(state_node(scene_state(&s), 4)->state, ==, STATE_NODE_UNKNOWN);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);

        /* It comes, and may be given groups. */
        scene_boot(&s, 4);
        scene_manager(&s, 4, true);
        scene_view(&s, true);
        scene_hello(&s, 4);
        scene_settle(&s);
        g_assert_true(node_set_contains(state_managers(scene_state(&s)), 4));
}

/* The new node is quicker than the message that tells of it. */
static void test_node_that_is_there_before_it_is_known(void) {
        HaNodes four = nodes_of(2, 4);
        _cleanup_(scene_done) Scene s;

        begin(&s, WEB);
        scene_boot(&s, 4);
        scene_manager(&s, 4, true);
        scene_view(&s, true);
        g_assert_null(state_node(scene_state(&s), 4));
        in_force(&s, 2, &four);
        g_assert_cmpint(state_node(scene_state(&s), 4)->state, ==, STATE_NODE_UP);
        g_assert_cmpuint(state_node(scene_state(&s), 4)->instance, ==, s.nodes[4].instance);
        scene_hello(&s, 4);
        scene_settle(&s);
        g_assert_true(node_set_contains(state_managers(scene_state(&s)), 4));
}

/* It has as long to come up as any node has after a cold start. */
static void test_added_node_is_not_fenced_at_once(void) {
        HaNodes four = nodes_of(2, 4);
        _cleanup_(scene_done) Scene s;

        begin(&s, WEB);
        s.now_usec += 60000000;
        in_force(&s, 1, &four);
        scene_remove_file(&s, "web.group");
        scene_file(&s, "web.group", "[Group]\nDomain=n1 n2 n4\n[Unit app]\nUnit=web.service\n");
        scene_send_files(&s, 1);
        scene_settle(&s);
        g_assert_true(node_set_contains(scene_group(&s, "web")->may_run, 4));
        g_assert_false(state_node(scene_state(&s), 4)->fence.active);
        s.now_usec += 21000000;
        scene_settle(&s);
        g_assert_true(state_node(scene_state(&s), 4)->fence.active);
}

static void assert_refused(Scene *s, const HaNodes *nodes, const char *why) {
        prepare(s, 1, nodes);
        g_assert_cmpint(scene_answer(s, 1), ==, STATE_RESULT_REFUSED);
        g_assert_cmpstr(answer_text(s, 1), ==, why);
        g_assert_false(state_apply_pending(scene_state(s), NULL));
        g_assert_null(scene_effect(s, 2, STATE_EFFECT_PREPARE_CLUSTER, NULL));
}

#define RUNS(how)                                                                                           \
        "n3 is a member of the cluster and cannot be " how                                                  \
        ": stop it first, by \"systemctl stop hagcd\" there"
#define LOST(how)                                                                                           \
        "n3 is unknown, may still run something, and cannot be " how                                        \
        ": start it and stop it by \"systemctl stop hagcd\" there, or make sure that it is off, then: "     \
        "hactl fence confirm n3"

static void test_who_may_run_something_stays(void) {
        HaNodes two = nodes_of(3, 2), disabled = nodes_of(4, 3), other = nodes_of(5, 3);
        _cleanup_(scene_done) Scene s;

        disabled.nodes[2].enabled = false;
        other.nodes[2].identity = 9;
        begin(&s, WEB);
        assert_refused(&s, &two, RUNS("taken out"));
        assert_refused(&s, &disabled, RUNS("disabled"));
        assert_refused(&s, &other, RUNS("taken out"));
        stop_node(&s, 3, STATE_NODE_UNKNOWN);
        assert_refused(&s, &two, LOST("taken out"));
        assert_refused(&s, &disabled, LOST("disabled"));

        /* Off by an operator's word. */
        scene_message(&s,
                      1,
                      (StateMessage){ .type = STATE_MESSAGE_OPERATOR,
                                      .operator_ = { .request = 8,
                                                     .operation = STATE_OPERATION_FENCE_CONFIRM,
                                                     .node = 3,
                                                     .boot = state_node_boot(
                                                                     state_node(scene_state(&s), 3)) } });
        prepare(&s, 1, &two);
        scene_settle(&s);
        in_force(&s, 2, &two);
        stored(&s);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_OK);
        g_assert_null(state_node(scene_state(&s), 3));
}

static void test_who_left_goes(void) {
        HaNodes two = nodes_of(3, 2), four = nodes_of(4, 4);
        _cleanup_(scene_done) Scene s;

        begin(&s, WEB);
        stop_node(&s, 3, STATE_NODE_INACTIVE);
        prepare(&s, 1, &two);
        scene_settle(&s);
        in_force(&s, 1, &two);
        stored(&s);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_OK);
        g_assert_null(state_node(scene_state(&s), 3));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        /* It comes back as any new node does. */
        in_force(&s, 1, &four);
        g_assert_cmpint(state_node(scene_state(&s), 3)->state, ==, STATE_NODE_INACTIVE);
        scene_settle(&s);
}

static void test_groups_name_nobody_who_is_gone(void) {
        HaNodes two = nodes_of(3, 2);
        _cleanup_(scene_done) Scene s;

        begin(&s, WIDE);
        stop_node(&s, 3, STATE_NODE_INACTIVE);
        assert_refused(&s,
                       &two,
                       "web.group names n3: take it out of Domain= and Standby= there first, and apply "
                       "that");
        /* Where it is in force all the same, because the files were changed by hand, it stays as one that is
         * gone until they do not name it any more. */
        in_force(&s, 1, &two);
        scene_settle(&s);
        g_assert_true(ha_nodes_find(state_nodes(scene_state(&s)), 3)->gone);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        scene_remove_file(&s, "web.group");
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 1);
        scene_settle(&s);
        g_assert_null(ha_nodes_find(state_nodes(scene_state(&s)), 3));
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 1);
}

static void test_one_refusal_changes_nothing(void) {
        HaNodes four = nodes_of(2, 4);
        _cleanup_(scene_done) Scene s;
        StateMessage m = { .type = STATE_MESSAGE_APPLY_ANSWER };

        begin(&s, WEB);
        prepare(&s, 1, &four);
        m.apply_answer.version = scene_effect(&s, 2, STATE_EFFECT_PREPARE_CLUSTER, NULL)->version;
        m.apply_answer.reasons = g_strdup("cluster.conf: no such agent");
        scene_message(&s, 2, m);
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_WRITE_CLUSTER, NULL));
        g_assert_null(scene_effect(&s, 3, STATE_EFFECT_WRITE_CLUSTER, NULL));
        stored(&s);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_REFUSED);
        g_assert_cmpstr(answer_text(&s, 1), ==, "n2: cluster.conf: no such agent");
}

static void test_the_next_one_takes_the_place_of_one_that_waits(void) {
        HaNodes four = nodes_of(2, 4), three = nodes_of(1, 3);
        _cleanup_(scene_done) Scene s;
        const HaNodes *wanted;

        begin(&s, WEB);
        prepare(&s, 1, &four);
        scene_settle(&s);
        g_assert_nonnull(state_cluster_wanted(scene_state(&s), &wanted));
        g_assert_cmpuint(wanted->hash, ==, 2);
        /* What is in force, once more: the files are put back, and nothing is waited for. */
        prepare(&s, 2, &three);
        for (unsigned i = 0; i < 3; i++)
                (void) scene_obey(&s);
        g_assert_null(state_cluster_wanted(scene_state(&s), &wanted));
        scene_settle(&s);
}

/* Only what memberships do not agree by changes: it is in force as soon as all have agreed to it, and
 * outlives. */
static void test_what_needs_no_membership(void) {
        HaNodes three = nodes_of(1, 3);
        _cleanup_(scene_done) Scene s;
        const HaNodes *wanted;

        begin(&s, WEB);
        scene_forget(&s);
        scene_message(&s,
                      2,
                      (StateMessage){ .type = STATE_MESSAGE_CLUSTER_PREPARE,
                                      .cluster = { .request = 7,
                                                   .text = g_bytes_new("with access", 11),
                                                   .nodes = g_memdup2(&three, sizeof(three)) } });
        g_assert_null(scene_effect(&s, 3, STATE_EFFECT_WRITE_CLUSTER, NULL));
        for (unsigned i = 0; i < 9 && scene_answer(&s, 2) == _STATE_RESULT_INVALID; i++)
                (void) scene_obey(&s);
        g_assert_null(state_cluster_wanted(scene_state(&s), &wanted));
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_NOTHING_TO_DO);
        for (uint32_t id = 1; id <= 3; id++) {
                g_autoptr(GBytes) record = state_durable(s.nodes[id].replica), text = NULL;
                GBytes *now = state_cluster_text(s.nodes[id].replica);
                HaNodes nodes;

                g_assert_cmpmem(g_bytes_get_data(now, NULL), g_bytes_get_size(now), "with access", 11);
                g_assert_true(state_durable_cluster(
                                g_bytes_get_data(record, NULL), g_bytes_get_size(record), &text, &nodes));
                g_assert_true(g_bytes_equal(text, now));
        }
        /* The planner's hagcd has nothing new to say. */
        in_force(&s, 1, &three);
        g_assert_cmpuint(g_bytes_get_size(state_cluster_text(scene_state(&s))), ==, 11);
        scene_settle(&s);
}

/* A hamgr that is started anew meanwhile is told to write what is wanted; and so is a cluster that lost
 * power. */
static void test_what_is_wanted_outlives(void) {
        HaNodes four = nodes_of(2, 4);
        _cleanup_(scene_done) Scene s;
        const HaNodes *wanted;

        begin(&s, WEB);
        prepare(&s, 1, &four);
        scene_settle(&s);
        scene_manager(&s, 3, false);
        scene_view(&s, false);
        scene_manager(&s, 3, true);
        scene_view(&s, false);
        scene_hello(&s, 3);
        g_assert_nonnull(scene_effect(&s, 3, STATE_EFFECT_WRITE_CLUSTER, NULL));
        scene_settle(&s);

        for (uint32_t id = 1; id <= 3; id++) {
                s.nodes[id].replica = state_free(s.nodes[id].replica);
                scene_boot(&s, id);
                scene_manager(&s, id, true);
        }
        s.n_members = 0;
        scene_view(&s, true);
        for (uint32_t id = 1; id <= 3; id++)
                scene_hello(&s, id);
        g_assert_nonnull(state_cluster_wanted(scene_state(&s), &wanted));
        g_assert_cmpuint(wanted->hash, ==, 2);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_WRITE_CLUSTER, NULL));
        in_force(&s, 1, &four);
        g_assert_null(state_cluster_wanted(scene_state(&s), &wanted));
        scene_settle(&s);

        {
                g_autoptr(GBytes) record = state_durable(scene_state(&s)), text = NULL;
                HaNodes nodes;

                g_assert_true(state_durable_cluster(
                                g_bytes_get_data(record, NULL), g_bytes_get_size(record), &text, &nodes));
                g_assert_cmpuint(nodes.n_nodes, ==, 4);
                g_assert_cmpmem(g_bytes_get_data(text, NULL), g_bytes_get_size(text), "cluster.conf 2", 14);
        }
}

/* What was said of a membership of before comes late. */
static void test_older_word_is_void(void) {
        HaNodes four = nodes_of(2, 4), three = nodes_of(1, 3);
        _cleanup_(scene_done) Scene s;

        begin(&s, WEB);
        say(&s, 1, STATE_MESSAGE_CLUSTER_IN_FORCE, &four, 9);
        say(&s, 2, STATE_MESSAGE_CLUSTER_IN_FORCE, &three, 8);
        g_assert_cmpuint(state_nodes(scene_state(&s))->n_nodes, ==, 4);
        scene_settle(&s);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/cluster/added-node-is-known-when-in-force",
                        test_added_node_is_known_when_it_is_in_force);
        g_test_add_func("/state/cluster/node-that-is-there-before-it-is-known",
                        test_node_that_is_there_before_it_is_known);
        g_test_add_func("/state/cluster/added-node-is-not-fenced-at-once",
                        test_added_node_is_not_fenced_at_once);
        g_test_add_func("/state/cluster/who-may-run-something-stays", test_who_may_run_something_stays);
        g_test_add_func("/state/cluster/who-left-goes", test_who_left_goes);
        g_test_add_func("/state/cluster/groups-name-nobody-who-is-gone",
                        test_groups_name_nobody_who_is_gone);
        g_test_add_func("/state/cluster/one-refusal-changes-nothing", test_one_refusal_changes_nothing);
        g_test_add_func("/state/cluster/next-one-takes-the-place",
                        test_the_next_one_takes_the_place_of_one_that_waits);
        g_test_add_func("/state/cluster/what-is-wanted-outlives", test_what_is_wanted_outlives);
        g_test_add_func("/state/cluster/what-needs-no-membership", test_what_needs_no_membership);
        g_test_add_func("/state/cluster/older-word-is-void", test_older_word_is_void);
        return g_test_run();
}
