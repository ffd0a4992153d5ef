/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is remembered of fencings, why a node rebooted, and the fencing that an operator orders. */

#include "state-scene.h"

#define WEB                                                                                                 \
        "[Group]\nDomain=n1 n2 n3\n"                                                                        \
        "[Unit app]\nUnit=web.service\n"

static void web_on_n1(Scene *s) {
        scene_init(s, 3);
        scene_file(s, "web.group", WEB);
        scene_form(s);
        scene_settle(s);
        g_assert_cmpuint(scene_owner(s, "web"), ==, 1);
}

static const StateNode *node(Scene *s, uint32_t id) {
        return state_node(scene_state(s), id);
}

/* From the newest on. */
static const StateFenceEntry *entry(Scene *s, size_t i) {
        const StateFenceEntry *entries;
        size_t n = state_fence_history(scene_state(s), &entries);

        g_assert_cmpuint(n, >, i);
        return entries + n - 1 - i;
}

static size_t n_entries(Scene *s) {
        const StateFenceEntry *entries;

        return state_fence_history(scene_state(s), &entries);
}

static void lose_and_fence(Scene *s, uint32_t id, const char *why) {
        s->nodes[id].reason = why;
        scene_lose(s, id, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(s));
}

static void reboot(Scene *s, uint32_t id) {
        scene_boot(s, id);
        scene_rejoin(s, id);
}

static const StateEffect *told(Scene *s, uint32_t by) {
        for (size_t i = s->nodes[by].effects.n_effects; i > 0; i--) {
                const StateEffect *e = &s->nodes[by].effects.effects[i - 1];

                if (e->type == STATE_EFFECT_EVENT && e->event == STATE_EVENT_NODE_REBOOTED)
                        return e;
        }
        return NULL;
}

static void test_attempts_are_remembered(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        g_assert_cmpuint(n_entries(&s), ==, 0);
        lose_and_fence(&s, 1, "silence");
        g_assert_cmpuint(n_entries(&s), ==, 1);
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_UNDER_WAY);
        g_assert_cmpuint(entry(&s, 0)->fencer, ==, 2);
        g_assert_nonnull(strstr(entry(&s, 0)->reason, "n1 is lost"));

        s.now_usec += 700000;
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), false, "connection refused");
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_FAILED);
        g_assert_cmpstr(entry(&s, 0)->text, ==, "connection refused");
        g_assert_cmpuint(entry(&s, 0)->ended_usec - entry(&s, 0)->begun_usec, ==, 700000);

        s.now_usec += 1000000;
        g_assert_true(scene_plan_and_deliver(&s));
        scene_fence_result(&s, 3, state_node_boot(node(&s, 1)), true, "");
        g_assert_cmpuint(n_entries(&s), ==, 2);
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_OFF);
        g_assert_cmpstr(entry(&s, 0)->device, ==, "power");
        g_assert_cmpuint(entry(&s, 0)->fencer, ==, 3);
        g_assert_cmpint(entry(&s, 1)->outcome, ==, STATE_FENCE_FAILED);
}

static void test_oldest_are_forgotten(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        lose_and_fence(&s, 1, "silence");
        for (unsigned i = 0; i < STATE_FENCE_HISTORY_MAX + 5; i++) {
                g_autofree char *text = g_strdup_printf("attempt %u", i);

                scene_fence_result(&s, entry(&s, 0)->fencer, state_node_boot(node(&s, 1)), false, text);
                s.now_usec += STATE_FENCE_RETRY_MAX_USEC;
                g_assert_true(scene_plan_and_deliver(&s));
        }
        g_assert_cmpuint(n_entries(&s), ==, STATE_FENCE_HISTORY_MAX);
        g_assert_cmpstr(entry(&s, 1)->text, ==, "attempt 36");
        g_assert_cmpstr(entry(&s, STATE_FENCE_HISTORY_MAX - 1)->text, ==, "attempt 6");
}

static void test_end_without_a_device(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        lose_and_fence(&s, 1, "silence");
        (void) scene_operator(
                        &s,
                        3,
                        (StateOperator){ .operation = STATE_OPERATION_FENCE_CONFIRM,
                                         .boot = state_node_boot(node(&s, 1)) });
        g_assert_cmpint(entry(&s, 1)->outcome, ==, STATE_FENCE_WITHDRAWN);
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_CONFIRMED);
        g_assert_cmpuint(entry(&s, 0)->fencer, ==, 0);

        reboot(&s, 1);
        g_assert_nonnull(strstr(node(&s, 1)->rebooted, "it was lost (silence), and an operator confirmed"));
}

/* Of a boot that nobody here knows: the node is back meanwhile. */
static void test_half_leaves_word(void) {
        _cleanup_(scene_done) Scene s;
        StateMessage m = { .type = STATE_MESSAGE_FENCED_FOR_QUORUM };

        web_on_n1(&s);
        s.nodes[3].reason = "confirmed";
        scene_lose(&s, 3, STATE_NODE_DOWN);
        m.fence_result.boot = state_node_boot(node(&s, 3));
        m.fence_result.ok = true;
        g_strlcpy(m.fence_result.device, "bmc", sizeof(m.fence_result.device));
        scene_message(&s, 1, m);
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_OFF);
        g_assert_cmpstr(entry(&s, 0)->device, ==, "bmc");

        reboot(&s, 3);
        g_assert_cmpstr(node(&s, 3)->rebooted,
                        ==,
                        "it was fenced by n1 (bmc): exactly half of the votes needed its proof to go on");
}

static void test_node_learns_why_it_rebooted(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        lose_and_fence(&s, 1, "silence");
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        scene_settle(&s);
        scene_forget(&s);
        reboot(&s, 1);
        /* Its own replica came with a snapshot after it was a member. */
        for (uint32_t id = 1; id <= 3; id++) {
                g_assert_nonnull(told(&s, id));
                g_assert_nonnull(
                                strstr(told(&s, id)->text,
                                       "n1 was rebooted: it was fenced by n2 (power): n1 is lost"));
        }
        /* A hamgr that was restarted says hello again. */
        scene_forget(&s);
        scene_manager(&s, 1, false);
        scene_view(&s, false);
        scene_manager(&s, 1, true);
        scene_view(&s, false);
        scene_hello(&s, 1);
        g_assert_null(told(&s, 2));
        g_assert_cmpstr(node(&s, 1)->rebooted, !=, "");
}

static void test_node_that_reset_itself(void) {
        _cleanup_(scene_done) Scene s;
        StateMessage m = { .type = STATE_MESSAGE_FENCE_RESULT };

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        s.table.nodes[0].has_fence_device = false;
        s.nodes[1].reset_usec = 2000000;
        scene_form(&s);
        scene_settle(&s);
        lose_and_fence(&s, 1, "silence");
        m.fence_result.boot = state_node_boot(node(&s, 1));
        m.fence_result.ok = true;
        g_strlcpy(m.fence_result.device, STATE_BY_TIME_DEVICE, sizeof(m.fence_result.device));
        scene_message(&s, entry(&s, 0)->fencer, m);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_OFF);
        reboot(&s, 1);
        g_assert_cmpstr(node(&s, 1)->rebooted,
                        ==,
                        "it was lost (silence), and had reset itself when its time was over");
}

static void test_reboot_that_nobody_ordered(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        s.nodes[2].reason = "last-gasp";
        scene_lose(&s, 2, STATE_NODE_UNKNOWN);
        reboot(&s, 2);
        g_assert_nonnull(strstr(
                        node(&s, 2)->rebooted, "it was lost (last-gasp), and nobody here switched it off"));

        /* The same boot again, and one that left in good order: nothing to tell. */
        scene_forget(&s);
        scene_lose(&s, 3, STATE_NODE_UNKNOWN);
        scene_rejoin(&s, 3);
        g_assert_cmpstr(node(&s, 3)->rebooted, ==, "");
        scene_lose(&s, 3, STATE_NODE_INACTIVE);
        reboot(&s, 3);
        g_assert_cmpstr(node(&s, 3)->rebooted, ==, "");
        g_assert_null(told(&s, 1));
}

/* ---- By order ---- */

static StateResult order(Scene *s, uint32_t asker, uint32_t target) {
        scene_forget(s);
        (void) scene_operator(
                        s,
                        asker,
                        (StateOperator){ .operation = STATE_OPERATION_NODE_FENCE, .node = target });
        return scene_answer(s, asker);
}

static void test_member_is_fenced_by_order(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        g_assert_cmpint(order(&s, 3, 1), ==, STATE_RESULT_OK);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_true(node(&s, 1)->fence.active);
        g_assert_cmpuint(node(&s, 1)->fence.fencer, ==, 2);
        g_assert_cmpstr(entry(&s, 0)->reason, ==, "an operator ordered it");
        g_assert_cmpint(order(&s, 3, 1), ==, STATE_RESULT_NOTHING_TO_DO);
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        g_assert_cmpint(entry(&s, 0)->outcome, ==, STATE_FENCE_OFF);
        /* Nothing is taken over before it is lost. */
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
        reboot(&s, 1);
        g_assert_nonnull(strstr(node(&s, 1)->rebooted, "an operator ordered it"));
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_false(node(&s, 1)->fence_ordered);
}

static void test_order_is_for_one_attempt(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        g_assert_cmpint(order(&s, 1, 2), ==, STATE_RESULT_OK);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_fence_result(&s, entry(&s, 0)->fencer, state_node_boot(node(&s, 2)), false, "no answer");
        s.now_usec += 60000000;
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpint(node(&s, 2)->state, ==, STATE_NODE_UP);
        g_assert_cmpint(order(&s, 1, 2), ==, STATE_RESULT_OK);
        g_assert_true(scene_plan_and_deliver(&s));
}

static void test_order_is_refused(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        lose_and_fence(&s, 3, "silence");
        scene_fence_result(&s, 1, state_node_boot(node(&s, 3)), true, "");
        g_assert_cmpint(order(&s, 1, 3), ==, STATE_RESULT_REFUSED);
        g_assert_cmpint(order(&s, 1, 9), ==, STATE_RESULT_NO_SUCH_NODE);
        /* There is nobody else. */
        scene_manager(&s, 2, false);
        scene_view(&s, false);
        g_assert_cmpint(order(&s, 1, 1), ==, STATE_RESULT_REFUSED);
        g_assert_cmpint(order(&s, 1, 2), ==, STATE_RESULT_OK);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/history/attempts-are-remembered", test_attempts_are_remembered);
        g_test_add_func("/state/history/oldest-are-forgotten", test_oldest_are_forgotten);
        g_test_add_func("/state/history/end-without-a-device", test_end_without_a_device);
        g_test_add_func("/state/history/half-leaves-word", test_half_leaves_word);
        g_test_add_func("/state/history/node-learns-why-it-rebooted", test_node_learns_why_it_rebooted);
        g_test_add_func("/state/history/node-that-reset-itself", test_node_that_reset_itself);
        g_test_add_func("/state/history/reboot-that-nobody-ordered", test_reboot_that_nobody_ordered);
        g_test_add_func("/state/history/member-is-fenced-by-order", test_member_is_fenced_by_order);
        g_test_add_func("/state/history/order-is-for-one-attempt", test_order_is_for_one_attempt);
        g_test_add_func("/state/history/order-is-refused", test_order_is_refused);
        return g_test_run();
}
