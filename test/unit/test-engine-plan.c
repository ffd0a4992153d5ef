/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What holds for every plan; what is planned when, the scenarios in test/engine show. */

#include "state-scene.h"

#define WEB "[Group]\nDomain=n1 n2 n3\n[Unit app]\nUnit=web.service\n"

static void assert_empty(Scene *s) {
        EnginePlan p;

        scene_plan(s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 0);
        engine_plan_done(&p);
}

static void test_rest_is_empty(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 0);
        g_assert_false(p.tick);
        g_assert_cmpuint(p.wakeup_usec, ==, UINT64_MAX);
        g_assert_cmpuint(p.n_decisions, ==, 1);
        g_assert_cmpuint(p.decisions[0].node, ==, 1);
        g_assert_cmpuint(strlen(p.decisions[0].reason), >, 0);
        engine_plan_done(&p);
}

static void test_is_pure(void) {
        _cleanup_(scene_done) Scene s;
        g_autoptr(GBytes) before = NULL, after = NULL;
        EnginePlan p, q;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        before = state_serialize(scene_state(&s));
        scene_plan(&s, &p);
        scene_plan(&s, &q);
        after = state_serialize(scene_state(&s));
        g_assert_true(g_bytes_equal(before, after));
        g_assert_cmpuint(p.plan.n_steps, ==, 1);
        g_assert_cmpuint(q.plan.n_steps, ==, 1);
        {
                StateMessage a = { .type = STATE_MESSAGE_PLAN, .plan = p.plan };
                StateMessage b = { .type = STATE_MESSAGE_PLAN, .plan = q.plan };
                g_autoptr(GBytes) x = state_message_encode(&a), y = state_message_encode(&b);

                g_assert_true(g_bytes_equal(x, y));
        }
        g_assert_cmpuint(strlen(p.plan.steps[0].reason), >, 0);
        engine_plan_done(&p);
        engine_plan_done(&q);
}

static void test_nothing_while_forming_or_without_quorum(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        s.quorate = false;
        scene_view(&s, true);
        assert_empty(&s);
        for (uint32_t id = 2; id <= 3; id++)
                scene_manager(&s, id, true);
        s.quorate = true;
        scene_view(&s, true);
        scene_hello(&s, 2);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_FORMING);
        assert_empty(&s);
}

/* All groups of a lost node move in one plan, and everything is at rest one round later. */
static void test_many_groups_move_at_once(void) {
        const unsigned n_groups = 40;
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        scene_init(&s, 2);
        for (unsigned i = 0; i < n_groups; i++) {
                g_autofree char *name = g_strdup_printf("g%u.group", i);
                g_autofree char *text =
                                g_strdup_printf("[Group]\nDomain=n1 n2\n[Unit app]\nUnit=g%u.service\n", i);

                scene_file(&s, name, text);
        }
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_INACTIVE);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, n_groups);
        scene_deliver_plan(&s, &p.plan);
        engine_plan_done(&p);
        for (unsigned i = 0; i < n_groups; i++) {
                g_autofree char *name = g_strdup_printf("g%u", i);

                g_assert_cmpuint(scene_owner(&s, name), ==, 2);
        }
        assert_empty(&s);
}

static void test_silent_fencer_is_given_up(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(state_node(scene_state(&s), 1)->fence.fencer, ==, 2);
        s.now_usec += STATE_FENCE_ANSWER_USEC - 1;
        assert_empty(&s);
        s.now_usec += 1;
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(state_node(scene_state(&s), 1)->fence.fencer, ==, 3);
        /* The first one is told to stop, and its result counts all the same: it names this loss. */
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_FENCE_CANCEL, NULL));
        scene_fence_result(&s, 2, state_node_boot(state_node(scene_state(&s), 1)), true, "late");
        g_assert_cmpint(state_node(scene_state(&s), 1)->state, ==, STATE_NODE_DOWN);
        g_assert_nonnull(scene_effect(&s, 3, STATE_EFFECT_FENCE_CANCEL, NULL));
}

static void test_fencer_is_able(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        /* n2 comes back without a way to run agents. */
        scene_manager(&s, 2, true);
        scene_view(&s, false);
        scene_message(&s, 2, (StateMessage){ .type = STATE_MESSAGE_HELLO });
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(state_node(scene_state(&s), 1)->fence.fencer, ==, 3);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/engine/plan/rest-is-empty", test_rest_is_empty);
        g_test_add_func("/engine/plan/is-pure", test_is_pure);
        g_test_add_func("/engine/plan/nothing-while-forming", test_nothing_while_forming_or_without_quorum);
        g_test_add_func("/engine/plan/many-groups-at-once", test_many_groups_move_at_once);
        g_test_add_func("/engine/plan/silent-fencer-is-given-up", test_silent_fencer_is_given_up);
        g_test_add_func("/engine/plan/fencer-is-able", test_fencer_is_able);
        return g_test_run();
}
