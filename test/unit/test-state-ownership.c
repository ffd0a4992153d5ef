/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may run a group, told as the stories of protocol.md R9, R14, R15, R16 and R21. */

#include "basic/time-util.h"
#include "state-scene.h"

#define WEB                                                                                                 \
        "[Group]\nPolicy=back\nDomain=n1 n2 n3\n"                                                           \
        "[Unit app]\nUnit=web.service\n"

/* Three nodes, web on n1. */
static void web_on_n1(Scene *s) {
        scene_init(s, 3);
        scene_file(s, "back.policy", "[Policy]\nFailback=automatic\n");
        scene_file(s, "web.group", WEB);
        scene_form(s);
        g_assert_cmpuint(scene_owner(s, "web"), ==, 1);
        g_assert_cmpint(scene_run(s, "web", NULL), ==, STATE_RUN_RUNNING);
}

static const StateGroup *web(Scene *s) {
        return state_group(scene_state(s), "web");
}

static const StateNode *node(Scene *s, uint32_t id) {
        return state_node(scene_state(s), id);
}

static void deliver_step(Scene *s, StateStep step) {
        scene_deliver_plan(
                        s,
                        &(StatePlan){
                                        .mid = s->mid,
                                        .sequence = s->sequence,
                                        .steps = &step,
                                        .n_steps = 1,
                        });
}

static StateStep assign_to(Scene *s, uint32_t id) {
        return (StateStep){
                .type = STATE_STEP_ASSIGN, .group = "web", .node = id, .number = web(s)->number
        };
}

static void test_nothing_starts_before_all_have_said(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "back.policy", "[Policy]\nFailback=automatic\n");
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        /* All hamgrs die at once, and come back without memory; what runs, runs on. */
        for (uint32_t id = 1; id <= 3; id++)
                scene_manager(&s, id, true);
        scene_view(&s, false);
        scene_hello(&s, 1);
        scene_hello(&s, 2);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_FORMING);
        g_assert_false(scene_plan_and_deliver(&s));
        scene_hello(&s, 3);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_READY);
        g_assert_cmpuint(web(&s)->may_run, ==, 7);

        /* n1 runs it still, n2 does not, n3 has not said. */
        for (uint32_t id = 1; id <= 3; id++)
                scene_store(&s, id);
        scene_report(&s, 1, "web", 0, STATE_REPORT_RUNNING, "");
        scene_report(&s, 2, "web", 0, STATE_REPORT_STOPPED, "");
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
        scene_report(&s, 3, "web", 0, STATE_REPORT_STOPPED, "");
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        g_assert_nonnull(scene_effect(&s, 1, STATE_EFFECT_START, "web"));
}

static void test_unknown_blocks_until_fenced(void) {
        _cleanup_(scene_done) Scene s;
        const StateEffect *f;
        StateBoot boot;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        deliver_step(&s, assign_to(&s, 2));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        g_assert_null(scene_effect(&s, 2, STATE_EFFECT_START, "web"));

        g_assert_true(scene_plan_and_deliver(&s));
        f = scene_effect(&s, 2, STATE_EFFECT_FENCE, NULL);
        g_assert_nonnull(f);
        boot = f->boot;
        g_assert_cmpuint(boot.node, ==, 1);
        g_assert_cmpint(ha_mid_compare(boot.mid, s.mid), ==, 0);
        g_assert_null(scene_effect(&s, 3, STATE_EFFECT_FENCE, NULL));
        g_assert_false(scene_plan_and_deliver(&s));

        scene_fence_result(&s, 2, boot, true, "off");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_START, "web"));
        /* Nothing is stopped on a node that is proven dead. */
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_STOP, "web"));
}

/* Node 1, as the others lose it, and after one of them says that it has reset itself by now. */
static StateNodeState state_by_time(uint64_t promised_usec, StateNodeState lost_as) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        s.nodes[1].reset_usec = promised_usec;
        scene_file(&s, "back.policy", "[Policy]\nFailback=automatic\n");
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, lost_as);
        g_assert_cmpuint(node(&s, 1)->reset_usec, ==, lost_as == STATE_NODE_DETACHED ? 0 : promised_usec);
        scene_fence_result_by(&s, 2, state_node_boot(node(&s, 1)), true, STATE_BY_TIME_DEVICE, "");
        return node(&s, 1)->state;
}

/* R9, R12: a node is dead by time when it promised its reset, and did not say that it leaves groups running.
 */
static void test_time_proves_what_was_promised(void) {
        g_assert_cmpint(state_by_time(USEC_PER_SEC, STATE_NODE_UNKNOWN), ==, STATE_NODE_DOWN);
        g_assert_cmpint(state_by_time(0, STATE_NODE_UNKNOWN), ==, STATE_NODE_UNKNOWN);
        g_assert_cmpint(state_by_time(USEC_PER_SEC, STATE_NODE_DETACHED), ==, STATE_NODE_DETACHED);
}

/* R14's story: "stopped", said before the order to start was seen, is delivered after it. */
static void test_stopped_said_before_the_order_is_no_proof(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "back.policy", "[Policy]\nFailback=automatic\n");
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);

        /* n1 was told to stop with #2, and says so twice; between the two it is ordered to start again. */
        g_assert_cmpuint(scene_number(&s, 1, "web"), ==, 2);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 1);
        g_assert_true(scene_plan_and_deliver(&s)); /* release n2 */
        scene_report_now(&s, 2, "web", STATE_REPORT_STOPPED, "");
        g_assert_true(scene_plan_and_deliver(&s)); /* assign n1 */
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        scene_report(&s, 1, "web", 2, STATE_REPORT_STOPPED, "late");
        g_assert_true(node_set_contains(web(&s)->may_run, 1));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        deliver_step(&s, assign_to(&s, 3));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
}

static void test_stopped_under_a_start_order_is_no_proof(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_report_now(&s, 1, "web", STATE_REPORT_STOPPED, "it is gone");
        g_assert_true(node_set_contains(web(&s)->may_run, 1));
        deliver_step(&s, assign_to(&s, 2));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        /* It is released first, and proven stopped with that number. */
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_nonnull(scene_effect(&s, 1, STATE_EFFECT_STOP, "web"));
        scene_report_now(&s, 1, "web", STATE_REPORT_STOPPED, "");
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
}

static void test_old_instance_says_nothing(void) {
        _cleanup_(scene_done) Scene s;
        uint64_t old;

        web_on_n1(&s);
        old = s.nodes[2].instance;
        scene_manager(&s, 2, true);
        scene_view(&s, false);
        g_assert_true(node_set_contains(web(&s)->may_run, 2));
        scene_message_from(
                        &s,
                        2,
                        old,
                        &(StateMessage){
                                        .type = STATE_MESSAGE_REPORT,
                                        .report = { .group = "web", .state = STATE_REPORT_STOPPED },
                        });
        g_assert_true(node_set_contains(web(&s)->may_run, 2));
        /* Nor the new one before its hello. */
        scene_report(&s, 2, "web", 0, STATE_REPORT_STOPPED, "");
        g_assert_true(node_set_contains(web(&s)->may_run, 2));
        scene_hello(&s, 2);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_PROBE, "web"));
        scene_report(&s, 2, "web", 0, STATE_REPORT_STOPPED, "");
        g_assert_false(node_set_contains(web(&s)->may_run, 2));
}

/* R16: a node whose hamgr is missing counts as up and reports nothing stopped. */
static void test_missing_hamgr_blocks_a_takeover(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_manager(&s, 3, false);
        scene_view(&s, false);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        scene_manager(&s, 3, true);
        scene_view(&s, false);
        scene_hello(&s, 3);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
}

/* hamgr is killed: what it manages runs on, and its successor adopts it. */
static void test_successor_adopts(void) {
        _cleanup_(scene_done) Scene s;
        const StateEffect *f;
        uint64_t number;

        web_on_n1(&s);
        number = scene_number(&s, 1, "web");
        scene_forget(&s);
        scene_manager(&s, 1, true);
        scene_view(&s, false);
        g_assert_false(scene_plan_and_deliver(&s));
        scene_hello(&s, 1);
        f = scene_effect(&s, 1, STATE_EFFECT_START, "web");
        g_assert_nonnull(f);
        g_assert_cmpuint(f->number, ==, number);
        scene_report(&s, 1, "web", number, STATE_REPORT_RUNNING, "");
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        g_assert_cmpuint(scene_number(&s, 1, "web"), ==, number);
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_STOP, "web"));
}

static void test_plan_and_move_cross(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        web_on_n1(&s);
        /* The planner wants web back on n1 after a stay on n2; an operator moves it to n3 meanwhile. */
        scene_group_operation(&s, 1, STATE_OPERATION_NODE_STANDBY, "", 1);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
        scene_group_operation(&s, 1, STATE_OPERATION_NODE_UNSTANDBY, "", 1);
        (void) scene_obey(&s);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 1);
        g_assert_cmpuint(p.plan.steps[0].target, ==, 1);

        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_MOVE, "web", 3);
        g_assert_true(scene_plan_and_deliver(&s)); /* released for n3 */
        scene_report_now(&s, 2, "web", STATE_REPORT_STOPPED, "");
        g_assert_true(scene_plan_and_deliver(&s)); /* assigned to n3 */
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 3);
        /* And now the plan from before comes in. */
        scene_deliver_plan(&s, &p.plan);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 3);
        engine_plan_done(&p);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 3);
}

static void test_two_plans_cross(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_INACTIVE);
        deliver_step(&s,
                     (StateStep){ .type = STATE_STEP_ASSIGN,
                                  .group = "web",
                                  .node = 3,
                                  .number = web(&s)->number });
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 3);
        deliver_step(&s,
                     (StateStep){ .type = STATE_STEP_ASSIGN,
                                  .group = "web",
                                  .node = 2,
                                  .number = web(&s)->number - 1 });
        deliver_step(&s, assign_to(&s, 2));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 3);
        g_assert_nonnull(scene_effect(&s, 1 + 1, STATE_EFFECT_EVENT, "web"));
}

static void test_planner_dies_between_plan_and_delivery(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;
        StateMessage m;

        web_on_n1(&s);
        g_assert_cmpuint(state_planner(scene_state(&s)), ==, 1);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 1);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpuint(state_planner(scene_state(&s)), ==, 2);

        /* Its plan is of another membership, whoever brings it. */
        scene_deliver_plan(&s, &p.plan);
        g_assert_cmpint(web(&s)->nodes[0].order, ==, STATE_ORDER_START);
        /* And one that is not the planner plans nothing. */
        p.plan.mid = s.mid;
        m = (StateMessage){ .type = STATE_MESSAGE_PLAN, .plan = p.plan };
        m.plan.steps = g_memdup2(p.plan.steps, p.plan.n_steps * sizeof(*p.plan.steps));
        scene_message(&s, 3, m);
        g_assert_cmpint(web(&s)->nodes[0].order, ==, STATE_ORDER_START);
        engine_plan_done(&p);
}

static void test_result_of_another_boot_is_void(void) {
        _cleanup_(scene_done) Scene s;
        StateBoot boot, old;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        old = state_node_boot(node(&s, 1));
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_FENCE, NULL));

        /* Each part of the name counts. */
        boot = old;
        boot.incarnation++;
        scene_fence_result(&s, 2, boot, true, "");
        boot = old;
        boot.boot_id = scene_boot_id(4711);
        scene_fence_result(&s, 2, boot, true, "");
        boot = old;
        boot.mid.epoch--;
        scene_fence_result(&s, 2, boot, true, "");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        g_assert_true(node_set_contains(web(&s)->may_run, 1));

        /* It heals before it is fenced, is lost again, and then the first result comes. */
        scene_rejoin(&s, 1);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_FENCE_CANCEL, NULL));
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        scene_fence_result(&s, 2, old, true, "");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        g_assert_true(node_set_contains(web(&s)->may_run, 1));
}

static void test_healed_node_is_adopted(void) {
        _cleanup_(scene_done) Scene s;
        const StateEffect *f;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_rejoin(&s, 1);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_FENCE_CANCEL, NULL));
        g_assert_false(node(&s, 1)->fence.active);
        f = scene_effect(&s, 1, STATE_EFFECT_START, "web");
        g_assert_nonnull(f); /* the same order: what runs is adopted */
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

static void test_new_boot_is_proof_of_the_old_ones_death(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        scene_boot(&s, 1);
        scene_view(&s, true); /* without its hamgr yet */
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 0);
        /* What the new boot runs is not known before it says so. */
        g_assert_true(node_set_contains(web(&s)->may_run, 1));
        g_assert_false(scene_plan_and_deliver(&s));
        scene_manager(&s, 1, true);
        scene_view(&s, false);
        scene_hello(&s, 1);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

static void test_clean_farewell_needs_no_fence(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_message(&s, 1, (StateMessage){ .type = STATE_MESSAGE_NODE_LEAVING });
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_nonnull(scene_effect(&s, 1, STATE_EFFECT_STOP, "web"));
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
        /* Its hamgr goes first; having drained, it is not missed. */
        scene_manager(&s, 1, false);
        scene_view(&s, false);
        g_assert_false(node_set_contains(web(&s)->may_run, 1));
        scene_lose(&s, 1, STATE_NODE_INACTIVE);
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_INACTIVE);
        /* No group comes to a node that leaves. */
        scene_rejoin(&s, 1);
        g_assert_false(node(&s, 1)->leaving);
}

static void test_detached_is_left_alone(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_DETACHED);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        g_assert_false(node(&s, 1)->fence.active);
        /* Also across a cold start. */
        s.nodes[1].incarnation = s.nodes[1].boot = 0;
        s.nodes[1].state = STATE_NODE_UNKNOWN;
        for (uint32_t id = 2; id <= 3; id++) {
                scene_boot(&s, id);
                scene_manager(&s, id, true);
        }
        scene_view(&s, true);
        scene_hello(&s, 2);
        scene_hello(&s, 3);
        scene_settle(&s);
        s.now_usec += 60000000;
        scene_settle(&s);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DETACHED);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        (void) scene_operator(
                        &s,
                        2,
                        (StateOperator){
                                        .operation = STATE_OPERATION_FENCE_CONFIRM,
                                        .boot = state_node_boot(node(&s, 1)),
                        });
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

/* It was left running once, and has come back. When the power fails, and it stays away, it is lost like any
 * other: nobody has to say that it is off. */
static void test_detached_is_forgotten_when_it_is_back(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_DETACHED);
        scene_settle(&s);
        scene_rejoin(&s, 1);
        scene_report_now(&s, 1, "web", STATE_REPORT_RUNNING, "");
        scene_settle(&s);
        s.nodes[1].incarnation = s.nodes[1].boot = 0;
        s.nodes[1].state = STATE_NODE_UNKNOWN;
        for (uint32_t id = 2; id <= 3; id++) {
                scene_boot(&s, id);
                scene_manager(&s, id, true);
        }
        scene_view(&s, true);
        scene_hello(&s, 2);
        scene_hello(&s, 3);
        scene_settle(&s);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        s.now_usec += s.table.unseen_fence_usec;
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_true(node(&s, 1)->fence.active);
}

static void test_confirmation_is_refused(void) {
        _cleanup_(scene_done) Scene s;
        StateBoot boot;

        web_on_n1(&s);
        boot = state_node_boot(node(&s, 1));
        (void) scene_operator(
                        &s, 2, (StateOperator){ .operation = STATE_OPERATION_FENCE_CONFIRM, .boot = boot });
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_REFUSED);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        scene_forget(&s);
        /* Of before it was lost. */
        (void) scene_operator(
                        &s, 2, (StateOperator){ .operation = STATE_OPERATION_FENCE_CONFIRM, .boot = boot });
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_REFUSED);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        boot = state_node_boot(node(&s, 1));
        (void) scene_operator(
                        &s, 2, (StateOperator){ .operation = STATE_OPERATION_FENCE_CONFIRM, .boot = boot });
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
}

static void test_device_that_lied(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);

        /* The boot that was declared down is back, and still runs it. */
        s.nodes[1].state = STATE_NODE_UP;
        scene_manager(&s, 1, true);
        scene_view(&s, true);
        g_assert_true(node(&s, 1)->lied);
        scene_hello(&s, 1);
        scene_store(&s, 1);
        scene_report(&s, 1, "web", 0, STATE_REPORT_RUNNING, "");
        g_assert_cmpuint(web(&s)->conflict, ==, 3);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        /* Nothing more is started, and its device's word is not taken again. */
        g_assert_false(scene_plan_and_deliver(&s));
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_false(scene_plan_and_deliver(&s));
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        /* Only its reboot, or an operator's. */
        scene_boot(&s, 1);
        scene_rejoin(&s, 1);
        g_assert_false(node(&s, 1)->lied);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

static void test_found_on_two_nodes(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_report(&s, 2, "web", 0, STATE_REPORT_RUNNING, "by hand");
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        g_assert_false(scene_plan_and_deliver(&s));
        /* An operator says: stop it everywhere; then it starts in one place. */
        scene_group_operation(&s, 3, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_STOPPED);
        g_assert_cmpuint(web(&s)->may_run, ==, 0);
        scene_group_operation(&s, 3, STATE_OPERATION_GROUP_START, "web", 0);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
}

static void test_failed_stop_fences_once_then_blocks(void) {
        _cleanup_(scene_done) Scene s;
        StateBoot boot;

        web_on_n1(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_report_now(&s, 1, "web", STATE_REPORT_STOP_FAILED, "the file system is busy");
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        deliver_step(&s, assign_to(&s, 2));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 0);

        /* The node is switched off although it is a member; the result comes before its loss is seen. */
        boot = state_node_boot(node(&s, 1));
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_FENCE, NULL));
        scene_fence_result(&s, 2, boot, true, "");
        g_assert_true(node_set_contains(web(&s)->may_run, 1));
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);

        /* The next one within the window: nobody else is reset for it (R21). */
        scene_group_operation(&s, 3, STATE_OPERATION_GROUP_MOVE, "web", 3);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_report_now(&s, 2, "web", STATE_REPORT_STOP_FAILED, "the file system is busy");
        g_assert_false(scene_plan_and_deliver(&s));
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
        /* Cleanup tries the stop once more. */
        scene_forget(&s);
        scene_group_operation(&s, 3, STATE_OPERATION_GROUP_CLEANUP, "web", 0);
        g_assert_nonnull(scene_effect(&s, 2, STATE_EFFECT_STOP, "web"));
        scene_report_now(&s, 2, "web", STATE_REPORT_STOPPED, "");
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

static void test_live_fence_result_after_the_loss(void) {
        _cleanup_(scene_done) Scene s;
        StateBoot boot;

        web_on_n1(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_report_now(&s, 1, "web", STATE_REPORT_STOP_FAILED, "");
        g_assert_true(scene_plan_and_deliver(&s));
        boot = state_node_boot(node(&s, 1));
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        g_assert_false(scene_plan_and_deliver(&s)); /* that fence goes on */
        scene_fence_result(&s, 2, boot, true, "");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_DOWN);
}

/* A stop failed, the device says that the node is off, and the node goes on. When its links are cut days
 * later that is no proof that it is dead. */
static void test_live_fence_that_lied(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        web_on_n1(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        g_assert_true(scene_plan_and_deliver(&s));
        scene_report_now(&s, 1, "web", STATE_REPORT_STOP_FAILED, "");
        g_assert_true(scene_plan_and_deliver(&s));
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), true, "");
        g_assert_true(node(&s, 1)->fence.confirmed);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.wakeup_usec, ==, STATE_FENCE_LOSS_USEC);
        engine_plan_done(&p);

        s.now_usec = STATE_FENCE_LOSS_USEC;
        scene_plan(&s, &p);
        g_assert_true(p.tick);
        engine_plan_done(&p);
        scene_message(&s, 2, (StateMessage){ .type = STATE_MESSAGE_TICK });
        g_assert_true(node(&s, 1)->lied);
        g_assert_false(scene_plan_and_deliver(&s));
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
}

static void test_fence_fails_and_another_tries(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        web_on_n1(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(node(&s, 1)->fence.fencer, ==, 2);
        scene_fence_result(&s, 2, state_node_boot(node(&s, 1)), false, "no answer");
        g_assert_cmpint(node(&s, 1)->state, ==, STATE_NODE_UNKNOWN);
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 0);
        g_assert_cmpuint(p.wakeup_usec, ==, STATE_FENCE_RETRY_MIN_USEC);
        engine_plan_done(&p);
        s.now_usec = STATE_FENCE_RETRY_MIN_USEC;
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(node(&s, 1)->fence.fencer, ==, 3);

        /* The fencer is lost: the other one takes over at once. */
        scene_manager(&s, 3, false);
        scene_view(&s, false);
        g_assert_false(node(&s, 1)->fence.active);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(node(&s, 1)->fence.fencer, ==, 2);
}

/* The levels of n1 may take five minutes: the last one gets its turn. */
static void test_slow_devices_get_their_time(void) {
        _cleanup_(scene_done) Scene s;
        EnginePlan p;

        scene_init(&s, 3);
        s.table.nodes[0].fence_timeout_usec = 300000000;
        scene_file(&s, "web.group", "[Group]\nDomain=n1 n2 n3\n[Unit app]\nUnit=web.service\n");
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        g_assert_true(scene_plan_and_deliver(&s));
        s.now_usec = 300000000;
        scene_plan(&s, &p);
        g_assert_cmpuint(p.plan.n_steps, ==, 0);
        engine_plan_done(&p);
        s.now_usec = p.wakeup_usec;
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(node(&s, 1)->fence.fencer, ==, 3);
}

static void test_failures_move_on_and_are_forgotten(void) {
        _cleanup_(scene_done) Scene s;
        StateGroupStatus status;

        web_on_n1(&s);
        for (uint32_t id = 1; id <= 3; id++) {
                g_assert_cmpuint(scene_owner(&s, "web"), ==, id);
                scene_report_now(&s, id, "web", STATE_REPORT_FAILED, "exit code 1");
                g_assert_true(scene_plan_and_deliver(&s)); /* release */
                scene_report_now(&s, id, "web", STATE_REPORT_STOPPED, "");
                (void) scene_plan_and_deliver(&s); /* assign, as long as there is a node */
                if (id < 3)
                        scene_report_now(&s, id + 1, "web", STATE_REPORT_RUNNING, "");
        }
        state_group_status(scene_state(&s), web(&s), &status);
        g_assert_cmpint(status.run, ==, STATE_RUN_FAILED);
        g_assert_nonnull(strstr(status.reason, "exit code 1"));
        g_assert_false(scene_plan_and_deliver(&s));

        /* After the window the first node is tried again: the planner lets the time pass, by a message. */
        s.now_usec = 600000000;
        {
                EnginePlan p;

                scene_plan(&s, &p);
                g_assert_true(p.tick);
                engine_plan_done(&p);
        }
        scene_message(&s, 1, (StateMessage){ .type = STATE_MESSAGE_TICK });
        scene_forget(&s);
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
}

static void test_held_until_started(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_report_now(&s, 1, "web", STATE_REPORT_HELD, "systemctl stop");
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_HELD);
        g_assert_false(scene_plan_and_deliver(&s));
        /* What would be accepted here would never come about. */
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_MOVE, "web", 2);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_REFUSED);
        scene_forget(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_START, "web", 0);
        g_assert_nonnull(scene_effect(&s, 1, STATE_EFFECT_START, "web"));
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
}

/* It is so already, but not yet on every disk: then that is not confirmed to a second one who asks either.
 */
static void test_same_decision_waits_for_the_disks_too(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_store(&s, 1);
        scene_store(&s, 3);
        scene_group_operation(&s, 3, STATE_OPERATION_GROUP_STOP, "web", 0);
        g_assert_cmpint(scene_answer(&s, 3), ==, _STATE_RESULT_INVALID);
        scene_store(&s, 2);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_OK);
        g_assert_cmpint(scene_answer(&s, 3), ==, STATE_RESULT_NOTHING_TO_DO);
        /* Now it is, and a third is told at once. */
        scene_forget(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_STOP, "web", 0);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_NOTHING_TO_DO);
}

static void test_decision_is_answered_when_all_have_stored(void) {
        _cleanup_(scene_done) Scene s;

        web_on_n1(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_store(&s, 1);
        scene_store(&s, 2);
        g_assert_cmpint(scene_answer(&s, 2), ==, _STATE_RESULT_INVALID);
        /* A hamgr that is missing is waited for; it stores what it finds. */
        scene_manager(&s, 3, false);
        scene_view(&s, false);
        g_assert_cmpint(scene_answer(&s, 2), ==, _STATE_RESULT_INVALID);
        scene_manager(&s, 3, true);
        scene_view(&s, false);
        scene_hello(&s, 3);
        scene_store(&s, 3);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_ANSWER, NULL));
        /* Once more is a success and stores nothing. */
        scene_forget(&s);
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_STOP, "web", 0);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_NOTHING_TO_DO);
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_STORE, NULL));
        scene_group_operation(&s, 2, STATE_OPERATION_GROUP_STOP, "nix", 0);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_NO_SUCH_GROUP);
        scene_group_operation(&s, 2, STATE_OPERATION_NODE_STANDBY, "", 9);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_NO_SUCH_NODE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/ownership/nothing-starts-before-all-have-said",
                        test_nothing_starts_before_all_have_said);
        g_test_add_func("/state/ownership/unknown-blocks-until-fenced", test_unknown_blocks_until_fenced);
        g_test_add_func("/state/ownership/stopped-said-before-the-order-is-no-proof",
                        test_stopped_said_before_the_order_is_no_proof);
        g_test_add_func("/state/ownership/stopped-under-a-start-order-is-no-proof",
                        test_stopped_under_a_start_order_is_no_proof);
        g_test_add_func("/state/ownership/old-instance-says-nothing", test_old_instance_says_nothing);
        g_test_add_func("/state/ownership/missing-hamgr-blocks-a-takeover",
                        test_missing_hamgr_blocks_a_takeover);
        g_test_add_func("/state/ownership/successor-adopts", test_successor_adopts);
        g_test_add_func("/state/ownership/plan-and-move-cross", test_plan_and_move_cross);
        g_test_add_func("/state/ownership/two-plans-cross", test_two_plans_cross);
        g_test_add_func("/state/ownership/planner-dies-between-plan-and-delivery",
                        test_planner_dies_between_plan_and_delivery);
        g_test_add_func("/state/ownership/result-of-another-boot-is-void",
                        test_result_of_another_boot_is_void);
        g_test_add_func("/state/ownership/healed-node-is-adopted", test_healed_node_is_adopted);
        g_test_add_func("/state/ownership/new-boot-proves-death",
                        test_new_boot_is_proof_of_the_old_ones_death);
        g_test_add_func("/state/ownership/clean-farewell-needs-no-fence",
                        test_clean_farewell_needs_no_fence);
        g_test_add_func("/state/ownership/time-proves-what-was-promised",
                        test_time_proves_what_was_promised);
        g_test_add_func("/state/ownership/detached-is-left-alone", test_detached_is_left_alone);
        g_test_add_func("/state/ownership/detached-is-forgotten-when-it-is-back",
                        test_detached_is_forgotten_when_it_is_back);
        g_test_add_func("/state/ownership/confirmation-is-refused", test_confirmation_is_refused);
        g_test_add_func("/state/ownership/device-that-lied", test_device_that_lied);
        g_test_add_func("/state/ownership/found-on-two-nodes", test_found_on_two_nodes);
        g_test_add_func("/state/ownership/failed-stop-fences-once",
                        test_failed_stop_fences_once_then_blocks);
        g_test_add_func("/state/ownership/live-fence-result-after-the-loss",
                        test_live_fence_result_after_the_loss);
        g_test_add_func("/state/ownership/live-fence-that-lied", test_live_fence_that_lied);
        g_test_add_func("/state/ownership/fence-fails-and-another-tries",
                        test_fence_fails_and_another_tries);
        g_test_add_func("/state/ownership/slow-devices-get-their-time", test_slow_devices_get_their_time);
        g_test_add_func("/state/ownership/failures-move-on", test_failures_move_on_and_are_forgotten);
        g_test_add_func("/state/ownership/held-until-started", test_held_until_started);
        g_test_add_func("/state/ownership/answered-when-all-have-stored",
                        test_decision_is_answered_when_all_have_stored);
        g_test_add_func("/state/ownership/same-decision-waits-for-the-disks-too",
                        test_same_decision_waits_for_the_disks_too);
        return g_test_run();
}
