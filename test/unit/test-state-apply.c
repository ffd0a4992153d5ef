/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configurations and decisions: in force everywhere or nowhere, and still there after a power cut (R17, R4).
 */

#include "state-scene.h"

#define WEB "[Group]\nDomain=n1 n2 n3\n[Unit app]\nUnit=web.service\n"
#define DB "[Group]\nDomain=n2 n1\n[Unit app]\nUnit=db.service\n"

static const StateEffect *prepared(const Scene *s, uint32_t id) {
        return scene_effect(s, id, STATE_EFFECT_PREPARE, NULL);
}

static void forget_disk(Scene *s, uint32_t id) {
        if (s->nodes[id].disk)
                g_bytes_unref(s->nodes[id].disk);
        s->nodes[id].disk = NULL;
}

static void answer(Scene *s, uint32_t id, bool ok, const char *reasons) {
        const StateEffect *f = prepared(s, id);
        StateMessage m = { .type = STATE_MESSAGE_APPLY_ANSWER };

        g_assert_nonnull(f);
        if (ok) {
                forget_disk(s, id);
                s->nodes[id].disk = g_bytes_ref(f->record);
        }
        m.apply_answer.version = f->version;
        m.apply_answer.ok = ok;
        m.apply_answer.reasons = g_strdup(reasons);
        scene_message(s, id, m);
}

static void formed(Scene *s) {
        scene_init(s, 3);
        scene_form(s);
}

static const char *answer_text(const Scene *s, uint32_t id) {
        return strempty(scene_effect(s, id, STATE_EFFECT_ANSWER, NULL)->text);
}

static void test_in_force_when_all_have_prepared(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 2);
        g_assert_true(state_apply_pending(scene_state(&s), NULL));
        answer(&s, 1, true, NULL);
        answer(&s, 2, true, NULL);
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 0);
        answer(&s, 3, true, NULL);
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 1);
        g_assert_cmpuint(state_config_version(scene_state(&s)).number, ==, 1);
        g_assert_nonnull(scene_effect(&s, 1, STATE_EFFECT_OBJECTS, NULL));
        g_assert_true(scene_effect(&s, 1, STATE_EFFECT_STORE, NULL)->in_force);

        /* No node is given anything before it has stored that, and the caller waits for all. */
        for (uint32_t id = 1; id <= 3; id++)
                scene_report(&s, id, "web", 0, STATE_REPORT_STOPPED, "");
        g_assert_false(scene_plan_and_deliver(&s));
        scene_store(&s, 1);
        scene_store(&s, 2);
        g_assert_cmpint(scene_answer(&s, 2), ==, _STATE_RESULT_INVALID);
        scene_store(&s, 3);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
}

static void test_one_refusal_drops_it(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 2);
        answer(&s, 1, true, NULL);
        answer(&s, 3, false, "web.group:4: there is no unit web.service here");
        g_assert_false(state_apply_pending(scene_state(&s), NULL));
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 0);
        for (uint32_t id = 1; id <= 3; id++)
                scene_store(&s, id);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_REFUSED);
        g_assert_nonnull(strstr(answer_text(&s, 2), "n3: web.group:4: there is no unit"));
        /* A late answer to it means nothing, and the next try is free. */
        answer(&s, 2, true, NULL);
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 0);
        scene_forget(&s);
        scene_send_files(&s, 1);
        scene_settle(&s);
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 1);
}

static void test_refused_at_once(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_file(&s, "shop.group", WEB);
        scene_send_files(&s, 1);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_INVALID);
        g_assert_nonnull(strstr(answer_text(&s, 1), "web.group:3:"));
        g_assert_null(prepared(&s, 1));
        g_assert_null(scene_effect(&s, 1, STATE_EFFECT_STORE, NULL));

        scene_remove_file(&s, "shop.group");
        scene_forget(&s);
        scene_send_files(&s, 1);
        scene_send_files(&s, 3);
        g_assert_cmpint(scene_answer(&s, 3), ==, STATE_RESULT_BUSY);
        scene_settle(&s);
        scene_forget(&s);
        scene_send_files(&s, 3);
        g_assert_cmpint(scene_answer(&s, 3), ==, STATE_RESULT_NOTHING_TO_DO);
}

/* n2 has not the files that n1 has: its apply adds what it has, and takes nothing away, unless that is
 * meant. The refusal comes before everything else, so that nobody is told to stop what he did not mean to
 * remove. */
static void test_removal_is_asked_for(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_file(&s, "web.group.d/10-more.conf", "[Group]\nDescription=Web\n");
        scene_file(&s, "own.policy", "[Policy]\n");
        scene_form(&s);
        scene_remove_file(&s, "web.group");
        scene_remove_file(&s, "web.group.d/10-more.conf");
        scene_remove_file(&s, "own.policy");
        scene_file(&s, "db.group", DB);
        scene_send_files_with(&s, 2, false);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_WOULD_REMOVE);
        g_assert_cmpstr(answer_text(&s, 2),
                        ==,
                        "own.policy is in force, and not among the files that n2 applies\n"
                        "web.group is in force, and not among the files that n2 applies");
        g_assert_null(prepared(&s, 1));

        scene_file(&s, "web.group", WEB);
        scene_forget(&s);
        scene_send_files_with(&s, 2, true);
        for (uint32_t id = 1; id <= 3; id++)
                answer(&s, id, true, NULL);
        for (uint32_t id = 1; id <= 3; id++)
                scene_store(&s, id);
        g_assert_cmpint(scene_answer(&s, 2), ==, STATE_RESULT_OK);
        g_assert_cmpstr(answer_text(&s, 2), ==, "group db: added\npolicy own: removed\ngroup web: changed");
}

/* hamgr of n3 is away, and nobody wrote anything on n2: whoever waits is told for whom. */
static void test_who_is_waited_for(void) {
        _cleanup_(scene_done) Scene s;
        char text[STATE_TEXT_MAX];
        uint64_t request;

        formed(&s);
        scene_manager(&s, 3, false);
        scene_view(&s, true);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 1);
        answer(&s, 1, true, NULL);
        state_request_waits(scene_state(&s), 77, text);
        g_assert_cmpstr(text,
                        ==,
                        "waiting for n2 (it has not written it to its disk yet), "
                        "n3 (hamgr does not run there; start it: systemctl start hamgr)");
        state_request_waits(scene_state(&s), 78, text);
        g_assert_cmpstr(text, ==, "");
        request = scene_operator(
                        &s, 1, (StateOperator){ .operation = STATE_OPERATION_NODE_STANDBY, .node = 3 });
        scene_store(&s, 1);
        scene_store(&s, 2);
        state_request_waits(scene_state(&s), request, text);
        g_assert_cmpstr(text,
                        ==,
                        "waiting for n3 (hamgr does not run there; start it: systemctl start hamgr)");
}

/* Why not, and what the operator can do about it. */
static void test_refused_move_names_the_way_out(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        (void) scene_operator(
                        &s, 1, (StateOperator){ .operation = STATE_OPERATION_NODE_STANDBY, .node = 2 });
        scene_settle(&s);
        scene_forget(&s);
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_MOVE, "web", 2);
        g_assert_cmpstr(answer_text(&s, 1),
                        ==,
                        "group web cannot move there: n2 is in standby; to end that: hactl node unstandby "
                        "n2");
}

static bool was_told(const Scene *s, uint32_t id, StateEventKind kind) {
        const StateEffects *e = &s->nodes[id].effects;

        for (size_t i = 0; i < e->n_effects; i++)
                if (e->effects[i].type == STATE_EFFECT_EVENT && e->effects[i].event == kind)
                        return true;
        return false;
}

static void test_a_farewell_is_no_loss(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_forget(&s);
        scene_lose(&s, 3, STATE_NODE_INACTIVE);
        g_assert_true(was_told(&s, 1, STATE_EVENT_NODE_LEFT));
        g_assert_false(was_told(&s, 1, STATE_EVENT_NODE_LOST));
        scene_forget(&s);
        scene_lose(&s, 2, STATE_NODE_UNKNOWN);
        g_assert_true(was_told(&s, 1, STATE_EVENT_NODE_LOST));
}

/* A hamgr that is restarted touches nothing that runs, and no status says that it is being started. */
static void test_what_runs_is_shown_running(void) {
        _cleanup_(scene_done) Scene s;
        StateGroupStatus status;

        scene_init(&s, 3);
        scene_file(&s, "db.group", DB);
        scene_form(&s);
        for (int runs = 0; runs <= 1; runs++) {
                scene_manager(&s, 2, runs);
                scene_view(&s, true);
                state_group_status(scene_state(&s), scene_group(&s, "db"), &status);
                g_assert_cmpint(status.run, ==, STATE_RUN_RUNNING);
                g_assert_cmpstr(status.reason, ==, "hamgr on n2 is away; what runs there runs on");
        }
}

/* n3 is slow. What it says about the configuration that n2 has refused meanwhile is not about the next one.
 */
static void test_answers_are_about_one_configuration(void) {
        _cleanup_(scene_done) Scene s;
        StateVersion refused;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 1);
        refused = prepared(&s, 3)->version;
        answer(&s, 2, false, "there is no unit web.service here");
        scene_file(&s, "web.group", DB);
        scene_forget(&s);
        scene_send_files(&s, 1);
        answer(&s, 1, true, NULL);
        answer(&s, 2, true, NULL);
        scene_message(&s,
                      3,
                      (StateMessage){
                                      .type = STATE_MESSAGE_APPLY_ANSWER,
                                      .apply_answer = { .version = refused, .ok = true },
                      });
        g_assert_true(state_apply_pending(scene_state(&s), NULL));
        answer(&s, 3, true, NULL);
        g_assert_false(state_apply_pending(scene_state(&s), NULL));
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 1);
}

/* n3 cannot write, and somebody goes on applying what n2 refuses: each answer waits for n3's disk. There is
 * an end to them, and a newcomer can still read the state. */
static void test_requests_are_bounded(void) {
        _cleanup_(scene_done) Scene s;
        unsigned n_busy = 0;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        for (unsigned i = 0; i < 2 * STATE_REQUESTS_MAX; i++) {
                scene_forget(&s);
                scene_send_files(&s, 1);
                n_busy += scene_answer(&s, 1) == STATE_RESULT_BUSY;
                if (prepared(&s, 2))
                        answer(&s, 2, false, "there is no unit web.service here");
        }
        g_assert_cmpuint(n_busy, ==, STATE_REQUESTS_MAX);
        scene_boot(&s, 2);
        scene_rejoin(&s, 2);
}

static void test_a_lost_node_is_not_waited_for(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 2);
        answer(&s, 1, true, NULL);
        answer(&s, 2, true, NULL);
        /* Its hamgr alone is: the successor is asked again. */
        scene_manager(&s, 3, true);
        scene_view(&s, false);
        g_assert_true(state_apply_pending(scene_state(&s), NULL));
        scene_hello(&s, 3);
        g_assert_nonnull(prepared(&s, 3));
        scene_lose(&s, 3, STATE_NODE_UNKNOWN);
        g_assert_false(state_apply_pending(scene_state(&s), NULL));
        g_assert_cmpuint(state_n_groups(scene_state(&s)), ==, 1);
        /* The lost one may run it, for all we know (R14: it is in the domain). */
        g_assert_true(node_set_contains(state_group(scene_state(&s), "web")->may_run, 3));
}

static void test_running_resources_stay(void) {
        _cleanup_(scene_done) Scene s;
        const StateGroup *g;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_file(&s, "db.group", DB);
        scene_form(&s);
        scene_remove_file(&s, "web.group");
        scene_send_files(&s, 1);
        g_assert_cmpint(scene_answer(&s, 1), ==, STATE_RESULT_REFUSED);
        g_assert_nonnull(strstr(answer_text(&s, 1), "hactl group stop web"));

        /* More to run is taken, and started where it runs. */
        scene_file(&s, "web.group", WEB "[Unit more]\nUnit=more.service\n");
        scene_forget(&s);
        scene_send_files(&s, 1);
        (void) scene_obey(&s);
        g_assert_cmpint(scene_answer(&s, 1), ==, _STATE_RESULT_INVALID);
        while (scene_obey(&s) || scene_plan_and_deliver(&s))
                ;
        g = state_group(scene_state(&s), "web");
        g_assert_cmpuint(state_group_owner(g), ==, 1);
        g_assert_cmpuint(g->nodes[0].number, ==, 2);
        g_assert_cmpuint(g->ordered_hash, ==, g->config->resources_hash);

        /* Stopped everywhere, it may go; and what it had may go to another group. */
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_settle(&s);
        scene_remove_file(&s, "web.group");
        scene_file(&s, "shop.group", WEB);
        scene_send_files(&s, 1);
        scene_settle(&s);
        g_assert_null(state_group(scene_state(&s), "web"));
        g_assert_cmpuint(scene_owner(&s, "shop"), ==, 1);
}

/* It was at rest when the configuration was prepared, and is not when it would come into force. */
static void test_started_between_the_steps(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_file(&s, "db.group", DB);
        scene_form(&s);
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_settle(&s);
        scene_forget(&s);
        scene_remove_file(&s, "web.group");
        scene_send_files(&s, 1);
        answer(&s, 1, true, NULL);
        answer(&s, 2, true, NULL);
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_START, "web", 0);
        g_assert_true(scene_plan_and_deliver(&s));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        answer(&s, 3, true, NULL);
        g_assert_nonnull(state_group(scene_state(&s), "web"));
        g_assert_false(state_apply_pending(scene_state(&s), NULL));
}

static void test_domain_changes_without_a_second_copy(void) {
        _cleanup_(scene_done) Scene s;
        const StateGroup *g;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_file(&s, "web.group", "[Group]\nDomain=n2 n3\n[Unit app]\nUnit=web.service\n");
        scene_send_files(&s, 1);
        while (state_group(scene_state(&s), "web")->config->n_domain == 3)
                (void) scene_obey(&s);
        g = state_group(scene_state(&s), "web");
        g_assert_true(node_set_contains(g->may_run, 1)); /* left the domain, and runs it */
        scene_settle(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 2);
        g_assert_cmpuint(g->may_run, ==, node_set_of(2));
}

/* The node that left the domain is lost before it is proven stopped: a formation that does not know it any
 * more from the domain knows it from the record. */
static void test_record_keeps_who_may_run(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        scene_file(&s, "web.group", "[Group]\nDomain=n2 n3\n[Unit app]\nUnit=web.service\n");
        scene_send_files(&s, 2);
        scene_settle(&s);
        g_assert_true(node_set_contains(state_group(scene_state(&s), "web")->may_run, 1));

        s.nodes[1].incarnation = s.nodes[1].boot = 0;
        scene_boot(&s, 2);
        scene_boot(&s, 3);
        scene_manager(&s, 2, true);
        scene_manager(&s, 3, true);
        scene_view(&s, true);
        scene_hello(&s, 2);
        scene_hello(&s, 3);
        scene_settle(&s);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_READY);
        g_assert_true(node_set_contains(state_group(scene_state(&s), "web")->may_run, 1));
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
}

static void restart_all(Scene *s, NodeSet who) {
        for (uint32_t id = 1; id <= s->table.n_nodes; id++) {
                s->nodes[id].state = STATE_NODE_UNKNOWN;
                s->nodes[id].instance = 0;
                if (node_set_contains(who, id)) {
                        scene_boot(s, id);
                        scene_manager(s, id, true);
                } else
                        s->nodes[id].incarnation = s->nodes[id].boot = 0;
        }
        scene_view(s, true);
}

static void test_newest_record_wins_the_formation(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_group_operation(&s, 1, STATE_OPERATION_GROUP_STOP, "web", 0);
        scene_group_operation(&s, 1, STATE_OPERATION_NODE_STANDBY, "", 2);
        /* n3 alone has the second decision on its disk when the power fails. */
        scene_store(&s, 3);
        restart_all(&s, 7);
        scene_hello(&s, 1);
        scene_hello(&s, 3);
        scene_hello(&s, 2);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_READY);
        g_assert_true(state_group(scene_state(&s), "web")->stopped);
        g_assert_true(state_node(scene_state(&s), 2)->standby);
        /* All write it anew. */
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_true(scene_effect(&s, id, STATE_EFFECT_STORE, NULL)->in_force);
}

static void test_prepared_is_completed_at_the_formation(void) {
        _cleanup_(scene_done) Scene s;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 2);
        answer(&s, 3, true, NULL); /* written on n3; then the power fails */
        restart_all(&s, 7);
        for (uint32_t id = 1; id <= 3; id++)
                scene_hello(&s, id);
        g_assert_nonnull(state_group(scene_state(&s), "web"));
        g_assert_cmpuint(state_config_version(scene_state(&s)).number, ==, 1);
        scene_settle(&s);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_RUNNING);
}

/* The power fails while a configuration is prepared that takes a node out of the domain. Until it was in
 * force that node could be given the group, and it is cut off now: what is completed does not forget it. */
static void test_completed_keeps_the_domain_before(void) {
        _cleanup_(scene_done) Scene s;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 1);
        scene_file(&s, "web.group", "[Group]\nDomain=n2 n3\n[Unit app]\nUnit=web.service\n");
        scene_send_files(&s, 2);
        answer(&s, 2, true, NULL);
        answer(&s, 3, true, NULL);
        restart_all(&s, 6);
        scene_hello(&s, 2);
        scene_hello(&s, 3);
        scene_settle(&s);
        g_assert_cmpuint(state_group(scene_state(&s), "web")->config->n_domain, ==, 2);
        g_assert_true(node_set_contains(state_group(scene_state(&s), "web")->may_run, 1));
        g_assert_cmpuint(scene_owner(&s, "web"), ==, 0);
        g_assert_cmpint(scene_run(&s, "web", NULL), ==, STATE_RUN_BLOCKED);
}

static void test_newer_record_found_later_is_kept_aside(void) {
        _cleanup_(scene_done) Scene s;
        bool told = false;

        formed(&s);
        scene_file(&s, "web.group", WEB);
        scene_send_files(&s, 2);
        for (uint32_t id = 1; id <= 3; id++)
                answer(&s, id, true, NULL);
        scene_store(&s, 3); /* only n3 has it in force */
        for (uint32_t id = 1; id <= 2; id++)
                forget_disk(&s, id);
        restart_all(&s, 3);
        /* Without n3, and with a membership number that is older than its record's: n1 and n2 were reset. */
        scene_hello(&s, 1);
        scene_hello(&s, 2);
        scene_settle(&s);
        g_assert_null(state_group(scene_state(&s), "web"));
        scene_forget(&s);
        {
                /* A record from a future that this cluster never had. */
                g_autoptr(GBytes) old = g_steal_pointer(&s.nodes[3].disk);
                g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(old, NULL), g_bytes_get_size(old));

                data[8 + 4] = 1; /* its epoch */
                s.nodes[3].disk = g_bytes_new(data, g_bytes_get_size(old));
        }
        scene_boot(&s, 3);
        scene_rejoin(&s, 3);
        for (size_t i = 0; i < s.nodes[1].effects.n_effects; i++)
                if (s.nodes[1].effects.effects[i].type == STATE_EFFECT_EVENT &&
                    s.nodes[1].effects.effects[i].event == STATE_EVENT_RECORD_ASIDE)
                        told = true;
        g_assert_true(told);
        g_assert_null(state_group(scene_state(&s), "web"));
}

static void test_bad_record_is_told_and_passed_over(void) {
        _cleanup_(scene_done) Scene s;
        bool told = false;

        scene_init(&s, 2);
        scene_boot(&s, 1);
        scene_boot(&s, 2);
        scene_manager(&s, 1, true);
        scene_manager(&s, 2, true);
        s.nodes[1].disk = g_bytes_new("rubbish", 7);
        scene_view(&s, true);
        scene_hello(&s, 1);
        for (size_t i = 0; i < s.nodes[2].effects.n_effects; i++)
                if (s.nodes[2].effects.effects[i].event == STATE_EVENT_RECORD_BAD)
                        told = true;
        g_assert_true(told);
        scene_hello(&s, 2);
        g_assert_cmpint(state_phase(scene_state(&s)), ==, STATE_PHASE_READY);
}

static void test_record_reads_back(void) {
        _cleanup_(scene_done) Scene s;
        g_autoptr(GBytes) b = NULL;
        uint64_t serial;
        HaMid mid;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        b = state_durable(scene_state(&s));
        g_assert_cmpint(state_durable_check(g_bytes_get_data(b, NULL), g_bytes_get_size(b), &mid, &serial),
                        ==,
                        0);
        g_assert_cmpint(ha_mid_compare(mid, s.mid), ==, 0);
        g_assert_cmpuint(serial, >, 0);
        for (size_t n = 0; n < g_bytes_get_size(b); n++) {
                g_autofree uint8_t *cut = g_memdup2(g_bytes_get_data(b, NULL), n);

                g_assert_cmpint(state_durable_check(cut, n, &mid, &serial), ==, -EBADMSG);
        }
}

/* A snapshot that was cut or bent is refused, or is a sound state. */
static void test_bent_snapshot(void) {
        _cleanup_(scene_done) Scene s;
        g_autoptr(GBytes) b = NULL;
        gsize size_bytes;
        const uint8_t *data;

        scene_init(&s, 3);
        scene_file(&s, "web.group", WEB);
        scene_form(&s);
        scene_lose(&s, 1, STATE_NODE_UNKNOWN);
        (void) scene_plan_and_deliver(&s);
        b = state_serialize(scene_state(&s));
        data = g_bytes_get_data(b, &size_bytes);
        for (size_t n = 0; n < size_bytes; n++) {
                g_autofree uint8_t *cut = g_memdup2(data, n);
                g_autofree uint8_t *bent = g_memdup2(data, size_bytes);
                _cleanup_(state_freep) State *copy = NULL;

                g_assert_cmpint(state_deserialize(2, cut, n, &copy), ==, -EBADMSG);
                bent[n] ^= 0xff;
                if (state_deserialize(2, bent, size_bytes, &copy) >= 0)
                        state_check(copy);
        }
}

static void test_clock(void) {
        _cleanup_(state_freep) State *state = NULL;
        StateClock c = { 0 };
        HaNodes none = { 0 };

        g_assert_cmpuint(state_clock_now(&c, 5000), ==, 0);
        state = state_new(&none, 1);
        state_clock_observe(&c, state, 1000000);
        g_assert_cmpuint(state_clock_now(&c, 1000000), ==, 0);
        g_assert_cmpuint(state_clock_now(&c, 1000500), ==, 500);
        /* Nothing was delivered, and it does not go back. */
        state_clock_observe(&c, state, 1000700);
        g_assert_cmpuint(state_clock_now(&c, 1000700), ==, 700);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/apply/refused-move-names-the-way-out", test_refused_move_names_the_way_out);
        g_test_add_func("/state/apply/in-force-when-all-have-prepared",
                        test_in_force_when_all_have_prepared);
        g_test_add_func("/state/apply/one-refusal-drops-it", test_one_refusal_drops_it);
        g_test_add_func("/state/apply/refused-at-once", test_refused_at_once);
        g_test_add_func("/state/apply/removal-is-asked-for", test_removal_is_asked_for);
        g_test_add_func("/state/apply/who-is-waited-for", test_who_is_waited_for);
        g_test_add_func("/state/apply/a-farewell-is-no-loss", test_a_farewell_is_no_loss);
        g_test_add_func("/state/apply/what-runs-is-shown-running", test_what_runs_is_shown_running);
        g_test_add_func("/state/apply/a-lost-node-is-not-waited-for", test_a_lost_node_is_not_waited_for);
        g_test_add_func("/state/apply/answers-are-about-one-configuration",
                        test_answers_are_about_one_configuration);
        g_test_add_func("/state/apply/requests-are-bounded", test_requests_are_bounded);
        g_test_add_func("/state/apply/running-resources-stay", test_running_resources_stay);
        g_test_add_func("/state/apply/started-between-the-steps", test_started_between_the_steps);
        g_test_add_func("/state/apply/domain-changes", test_domain_changes_without_a_second_copy);
        g_test_add_func("/state/apply/record-keeps-who-may-run", test_record_keeps_who_may_run);
        g_test_add_func("/state/apply/newest-record-wins-the-formation",
                        test_newest_record_wins_the_formation);
        g_test_add_func("/state/apply/prepared-is-completed-at-the-formation",
                        test_prepared_is_completed_at_the_formation);
        g_test_add_func("/state/apply/completed-keeps-the-domain-before",
                        test_completed_keeps_the_domain_before);
        g_test_add_func("/state/apply/newer-record-is-kept-aside",
                        test_newer_record_found_later_is_kept_aside);
        g_test_add_func("/state/apply/bad-record-is-passed-over", test_bad_record_is_told_and_passed_over);
        g_test_add_func("/state/apply/record-reads-back", test_record_reads_back);
        g_test_add_func("/state/apply/bent-snapshot", test_bent_snapshot);
        g_test_add_func("/state/apply/clock", test_clock);
        return g_test_run();
}
