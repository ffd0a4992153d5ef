/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A storm over the replicated state and the engine. Several nodes, each with a replica, are fed by one
 * ordered log at their own pace, while nodes crash, reboot, are cut off and heal, hamgrs die and come back
 * without memory, devices fail, applications fail, stops fail, operators act and configurations change. A
 * small model knows what really runs where.
 *
 * Always: no group runs on two nodes; equal prefixes give equal bytes; every replica's invariants hold; what
 * was answered as stored outlives everything. In the end the faults stop, and then every group runs.
 *
 * With -DSTATE_BROKEN one rule at a time is broken on purpose, and the storm must notice.
 *
 *     test-state-storm --seeds 1..10000 [--verbose] */

#include <sys/wait.h>

#include "state-storm-hamgr.h"

#define STORM_STEPS 12000U
#define CALM_STEPS 60000U

#ifdef STATE_BROKEN
StateBroken state_broken = STATE_BROKEN_NOTHING;
#endif

/* ---- Faults and people ---- */

static void operator_acts(Sim *s, SimNode *n, StateOperation operation, const char *group, uint32_t node) {
        StateMessage m = { .type = STATE_MESSAGE_OPERATOR };

        if (!n->state || !n->hello_sent)
                return;
        m.operator_.request = s->next_request++;
        m.operator_.operation = operation;
        if (group)
                g_strlcpy(m.operator_.group, group, sizeof(m.operator_.group));
        m.operator_.node = node;
        send_message(s, n, &m);
}

static void apply_config(Sim *s, SimNode *n, uint64_t variant) {
        StateMessage m = { .type = STATE_MESSAGE_APPLY_PREPARE };

        if (!n->state || !n->hello_sent)
                return;
        m.apply_prepare.request = s->next_request++;
        m.apply_prepare.files = make_files(s, variant);
        m.apply_prepare.remove = true;
        send_message(s, n, &m);
}

static void random_operator(Sim *s, SimNode *n) {
        const char *group = group_names[draw(s, 0, GROUPS_MAX - 1)];
        uint32_t node = (uint32_t) draw(s, 1, s->n_nodes);

        switch (draw(s, 0, 10)) {
        case 0:
                operator_acts(s, n, STATE_OPERATION_GROUP_STOP, group, 0);
                break;
        case 1:
        case 2:
                operator_acts(s, n, STATE_OPERATION_GROUP_START, group, 0);
                break;
        case 3:
        case 4:
                operator_acts(s, n, STATE_OPERATION_GROUP_MOVE, group, chance(s, 3) ? 0 : node);
                break;
        case 5:
                operator_acts(s, n, STATE_OPERATION_NODE_STANDBY, NULL, node);
                break;
        case 6:
                operator_acts(s, n, STATE_OPERATION_NODE_UNSTANDBY, NULL, node);
                break;
        case 7:
                operator_acts(s, n, STATE_OPERATION_GROUP_CLEANUP, group, 0);
                break;
        case 8:
                operator_acts(s, n, STATE_OPERATION_NODE_FENCE, NULL, node);
                break;
        case 9:
                /* The operator looked at the node, found it off, and said so; by then it may be back. */
                if (n->state && !node_of(s, node)->power &&
                    state_node(n->state, node)->state == STATE_NODE_UNKNOWN) {
                        StateMessage m = { .type = STATE_MESSAGE_OPERATOR };

                        m.operator_.request = s->next_request++;
                        m.operator_.operation = STATE_OPERATION_FENCE_CONFIRM;
                        m.operator_.boot = state_node_boot(state_node(n->state, node));
                        if (n->hello_sent)
                                send_message(s, n, &m);
                }
                break;
        default:
                apply_config(s, n, draw(s, 0, 40));
                break;
        }
}

/* Quorum is lost now and then only; nothing happens without it. */
static bool may_take_away(Sim *s, const SimNode *n) {
        NodeSet left = node_set_without(connected(s), n->id);

        return 2 * node_set_count(left) > s->n_nodes || chance(s, 6);
}

/* Aimed at R15: cut off a node that has booted and runs something while the result of its last fence is
 * still on its way. */
static bool cut_behind_a_fence(Sim *s) {
        for (uint32_t i = 0; i < s->n_nodes; i++)
                FOREACH_ARRAY(f, s->nodes[i].fences, NODES_MAX + 1) {
                        SimNode *target = f->active && f->hit ? node_of(s, f->boot.node) : NULL;

                        if (!target || !target->power || target->cut || !may_take_away(s, target))
                                continue;
                        for (unsigned g = 0; g < GROUPS_MAX; g++)
                                if (target->real[g].runs) {
                                        target->cut = true;
                                        say(s, "n%" PRIu32 " is cut off behind its fence", target->id);
                                        return true;
                                }
                }
        return false;
}

static void random_fault(Sim *s) {
        SimNode *n = s->nodes + draw(s, 0, s->n_nodes - 1);

        s->n_faults++;
        if (chance(s, 3) && cut_behind_a_fence(s))
                return;
        switch (draw(s, 0, 11)) {
        case 0:
                if (may_take_away(s, n))
                        power_off(s, n);
                break;
        case 1:
        case 2:
                if (!n->cut && !may_take_away(s, n))
                        break;
                n->cut = !n->cut;
                say(s, "n%" PRIu32 " is %s", n->id, n->cut ? "cut off" : "connected");
                break;
        case 3:
        case 4:
                kill_manager(s, n);
                break;
        case 5:
                if (n->manager && n->state) {
                        say(s, "n%" PRIu32 " is to leave", n->id);
                        n->wants_leave = true;
                }
                break;
        case 6: {
                /* An application fails where it runs. */
                Real *r = n->real + draw(s, 0, GROUPS_MAX - 1);

                if (n->power && r->runs && !r->partial && r->task == TASK_NONE) {
                        r->partial = true;
                        r->n_restarts++;
                        report(s, n, (unsigned) (r - n->real), STATE_REPORT_FAILED, "killed");
                }
                break;
        }
        case 7: {
                Real *r = n->real + draw(s, 0, GROUPS_MAX - 1);

                if (n->power && r->runs && !r->partial && r->task == TASK_NONE && chance(s, 3)) {
                        r->partial = true;
                        report(s, n, (unsigned) (r - n->real), STATE_REPORT_HELD, "systemctl stop");
                }
                break;
        }
        default:
                random_operator(s, n);
                break;
        }
}

/* ---- One seed ---- */

static Verdict step_node(Sim *s, SimNode *n) {
        Write *w;

        if (!n->power) {
                if (n->back_usec <= s->now_usec)
                        power_on(s, n);
                return VERDICT_GOOD;
        }
        if (n->left && n->back_usec <= s->now_usec) {
                n->left = false;
                n->incarnation = s->next_incarnation++;
                n->manager_back_usec = s->now_usec;
        }
        if (!n->manager && !n->left && n->manager_back_usec <= s->now_usec)
                n->manager = true;
        for (unsigned g = 0; g < GROUPS_MAX; g++)
                if (n->real[g].task != TASK_NONE && n->real[g].due_usec <= s->now_usec && chance(s, 2))
                        run_task(s, n, g);
        for (uint32_t id = 1; id <= s->n_nodes; id++)
                if (n->fences[id].active && n->fences[id].due_usec <= s->now_usec)
                        run_fence(s, n, n->fences + id);
        if (!n->power)
                return VERDICT_GOOD;
        w = g_queue_peek_head(n->writes);
        if (w && w->due_usec <= s->now_usec) {
                (void) g_queue_pop_head(n->writes);
                finish_write(s, n, w);
                write_free(w);
        }
        order_letter(s, n);
        if (n->in_group && n->next_entry < MIN(n->last_entry, (size_t) s->log->len) &&
            (chance(s, 2) || !s->storm)) {
                Verdict v = deliver(s, n);

                if (v != VERDICT_GOOD)
                        return v;
        }
        /* A cut node learns at some time that it is out. */
        if (n->in_group && n->last_entry != SIZE_MAX && chance(s, 40))
                shut_out(s, n);
        if (n->state && n->wakeup_usec <= s->now_usec && n->last_entry == SIZE_MAX)
                plan(s, n);
        leave_if_drained(s, n);
        return VERDICT_GOOD;
}

static Verdict run_steps(Sim *s, unsigned n_steps, bool (*done)(Sim *s)) {
        for (unsigned i = 0; i < n_steps; i++) {
                Verdict v;

                s->now_usec += draw(s, 0, chance(s, 30) ? 20000 : 1500);
                if (s->storm && chance(s, s->fault_one_in))
                        random_fault(s);
                if (chance(s, s->storm ? 10 : 4))
                        (void) update_views(s);
                v = step_node(s, s->nodes + draw(s, 0, s->n_nodes - 1));
                if (v != VERDICT_GOOD)
                        return v;
                v = check_owners(s);
                if (v != VERDICT_GOOD)
                        return v;
                if (s->lost_decision)
                        return fail(s,
                                    VERDICT_LOST_DECISION,
                                    "the formation missed a record that was acknowledged");
                if (done && i % 64 == 0 && done(s))
                        return VERDICT_GOOD;
        }
        return done ? VERDICT_NOT_LIVE : VERDICT_GOOD;
}

static bool all_quiet(Sim *s) {
        if (!s->reference || state_phase(s->reference) != STATE_PHASE_READY ||
            node_set_count(state_managers(s->reference)) != s->n_nodes)
                return false;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                const SimNode *n = s->nodes + i;

                if (!n->state || n->next_entry < s->log->len || !g_queue_is_empty(n->letters) ||
                    !g_queue_is_empty(n->late) || !g_queue_is_empty(n->writes) || n->plan_on_its_way ||
                    n->wants_leave)
                        return false;
                /* A fence of the storm's last moments may still switch somebody off. */
                FOREACH_ARRAY(f, n->fences, NODES_MAX + 1)
                        if (f->active)
                                return false;
                FOREACH_ARRAY(r, n->real, GROUPS_MAX)
                        if (r->task != TASK_NONE)
                                return false;
        }
        return true;
}

static bool all_run(Sim *s) {
        EnginePlan p;
        bool rest;

        if (!all_quiet(s))
                return false;
        engine_plan(s->reference, state_time_usec(s->reference), &p);
        rest = p.plan.n_steps == 0;
        engine_plan_done(&p);
        if (!rest)
                return false;
        for (size_t i = 0; i < state_n_groups(s->reference); i++) {
                const StateGroup *g = state_group_at(s->reference, i);
                int index = group_index(g->name);
                StateGroupStatus status;

                state_group_status(s->reference, g, &status);
                if (status.run != STATE_RUN_RUNNING || !node_of(s, status.node)->real[index].runs)
                        return false;
        }
        return true;
}

static void calm_down(Sim *s) {
        s->storm = false;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                s->nodes[i].cut = false;
                s->nodes[i].wants_leave = false;
                if (s->nodes[i].leaving_sent)
                        kill_manager(s, s->nodes + i);
        }
}

static void repair(Sim *s) {
        SimNode *n = s->nodes;

        for (uint32_t id = 1; id <= s->n_nodes; id++)
                operator_acts(s, n, STATE_OPERATION_NODE_UNSTANDBY, NULL, id);
        for (unsigned g = 0; g < GROUPS_MAX; g++) {
                operator_acts(s, n, STATE_OPERATION_GROUP_CLEANUP, group_names[g], 0);
                operator_acts(s, n, STATE_OPERATION_GROUP_START, group_names[g], 0);
        }
}

static Verdict tell_not_live(Sim *s) {
        if (s->reference)
                for (size_t i = 0; i < state_n_groups(s->reference); i++) {
                        const StateGroup *g = state_group_at(s->reference, i);
                        StateGroupStatus status;

                        state_group_status(s->reference, g, &status);
                        printf("# %s is %s on %" PRIu32 ": %s\n",
                               g->name,
                               state_run_to_string(status.run),
                               status.node,
                               status.reason);
                }
        return fail(s, VERDICT_NOT_LIVE, "the faults have stopped, and not all groups run");
}

static void sim_init(Sim *s, uint64_t seed) {
        *s = (Sim){ .seed = seed,
                    .storm = true,
                    .next_boot = 1,
                    .next_incarnation = 1,
                    .next_instance = 1,
                    .next_request = 1 };
        prng_init(&s->prng, seed);
        s->n_nodes = chance(s, 8) ? 2 : (uint32_t) draw(s, 3, NODES_MAX);
        s->fault_one_in = draw(s, 1, 3) * draw(s, 1, 3) * 40;
        s->table.n_nodes = s->n_nodes;
        s->table.unseen_fence_usec = chance(s, 2) ? 200000 : 20 * USEC_PER_SEC;
        s->log = g_ptr_array_new_with_free_func((GDestroyNotify) (void (*)(void)) entry_free);
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;
                HaNode *t = s->table.nodes + i;

                t->id = n->id = i + 1;
                g_snprintf(t->name, sizeof(t->name), "n%" PRIu32, t->id);
                t->enabled = t->has_fence_device = true;
                n->letters = g_queue_new();
                n->late = g_queue_new();
                n->ghosts = g_queue_new();
                n->writes = g_queue_new();
                n->clock_offset_usec = draw(s, 0, 1000000000);
                n->back_usec = draw(s, 0, 100000);
        }
}

static void sim_done(Sim *s) {
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;

                state_free(n->state);
                state_effects_done(&n->effects);
                drop_letters(n);
                drop_writes(n);
                drop_late(n);
                g_queue_free(n->late);
                g_queue_free_full(n->ghosts, (GDestroyNotify) (void (*)(void)) letter_free);
                g_queue_free(n->letters);
                g_queue_free(n->writes);
                if (n->disk)
                        g_bytes_unref(n->disk);
        }
        state_free(s->reference);
        state_effects_done(&s->effects);
        g_ptr_array_unref(s->log);
}

typedef struct Totals {
        uint64_t n_seeds, n_faults, n_formations, n_starts, n_entries, virtual_usec;
} Totals;

static Verdict run_seed(uint64_t seed, Totals *totals) {
        Verdict v;
        Sim s;

        sim_init(&s, seed);
        /* Let it come up, and give it something to run. */
        s.storm = false;
        v = run_steps(&s, CALM_STEPS, all_quiet);
        apply_config(&s, s.nodes, draw(&s, 0, 40));
        if (v == VERDICT_GOOD)
                v = run_steps(&s, CALM_STEPS, all_run);
        s.storm = true;
        if (v == VERDICT_GOOD)
                v = run_steps(&s, STORM_STEPS, NULL);
        else if (v == VERDICT_NOT_LIVE)
                v = tell_not_live(&s);
        if (v == VERDICT_GOOD) {
                calm_down(&s);
                v = run_steps(&s, CALM_STEPS, all_quiet);
                /* Whoever repairs says it again when the node that was told dies of the storm's last fence.
                 */
                for (unsigned i = 0; i < 3 && v == VERDICT_GOOD; i++) {
                        repair(&s);
                        v = run_steps(&s, CALM_STEPS, all_run);
                        if (v != VERDICT_NOT_LIVE)
                                break;
                        if (i < 2)
                                v = VERDICT_GOOD;
                }
                if (v == VERDICT_NOT_LIVE)
                        v = tell_not_live(&s);
        }
        totals->n_seeds++;
        totals->n_faults += s.n_faults;
        totals->n_formations += s.n_formations;
        totals->n_starts += s.n_starts;
        totals->n_entries += s.log->len;
        totals->virtual_usec += s.now_usec;
        sim_done(&s);
        return v;
}

static Verdict run_seeds(uint64_t first, uint64_t last, Totals *totals) {
        for (uint64_t seed = first; seed <= last; seed++) {
                Verdict v = run_seed(seed, totals);

                if (v != VERDICT_GOOD)
                        return v;
        }
        return VERDICT_GOOD;
}

#ifndef STATE_BROKEN
static void test_storm(void) {
        uint64_t n_seeds = g_getenv("HAMGR_TEST_SLOW") ? 5 : 150;
        Totals totals = { 0 };

        g_assert_cmpint(run_seeds(1, n_seeds, &totals), ==, VERDICT_GOOD);
        g_assert_cmpuint(totals.n_starts, >, n_seeds);
        g_assert_cmpuint(totals.n_formations, >, n_seeds);
}
#else
typedef struct Fault {
        const char *name;
        StateBroken what;
        uint64_t n_seeds; /* caught within */
} Fault;

static const Fault faults[] = {
        { "takeover-from-unknown", STATE_BROKEN_TAKEOVER_FROM_UNKNOWN, 50 },
        { "stale-report", STATE_BROKEN_STALE_REPORT, 400 },
        { "stop-failure-ignored", STATE_BROKEN_STOP_FAILURE, 100 },
        { "result-of-another-boot", STATE_BROKEN_OTHER_BOOT, 800 },
        { "no-recheck", STATE_BROKEN_NO_RECHECK, 400 },
        { "stopped-while-ordered", STATE_BROKEN_STOPPED_WHILE_ORDERED, 400 },
        { "hasty-formation", STATE_BROKEN_HASTY_FORMATION, 400 },
};

/* In a process of its own: it may be an assertion that notices. */
static void test_broken(gconstpointer data) {
        const Fault *f = data;

        if (g_getenv("HAMGR_TEST_SLOW")) {
                g_test_skip("thousands of processes under Valgrind take too long");
                return;
        }
        for (uint64_t seed = 1; seed <= f->n_seeds; seed++) {
                pid_t pid;
                int status;

                fflush(stdout);
                pid = fork();
                g_assert_cmpint(pid, >=, 0);
                if (pid == 0) {
                        Totals totals = { 0 };

                        state_broken = f->what;
                        _exit(run_seed(seed, &totals));
                }
                g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
                if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        continue;
                g_test_message("%s: caught by seed %" PRIu64 ", %s",
                               f->name,
                               seed,
                               WIFSIGNALED(status)                            ? "an assertion"
                               : WEXITSTATUS(status) == VERDICT_TWO_OWNERS    ? "two owners"
                               : WEXITSTATUS(status) == VERDICT_DIVERGED      ? "replicas differ"
                               : WEXITSTATUS(status) == VERDICT_LOST_DECISION ? "a decision lost"
                                                                              : "not live");
                return;
        }
        g_test_fail_printf("%s was not noticed in %" PRIu64 " seeds", f->name, f->n_seeds);
}
#endif

int main(int argc, char **argv) {
        Totals totals = { 0 };
        uint64_t first, last;

        for (int i = 1; i < argc; i++)
                if (streq(argv[i], "--verbose"))
                        verbose = true;
        if (argc >= 3 && streq(argv[1], "--seeds") &&
            sscanf(argv[2], "%" SCNu64 "..%" SCNu64, &first, &last) == 2) {
                Verdict v = run_seeds(first, last, &totals);

                printf("# %" PRIu64 " seeds, %" PRIu64 " faults and operations, %" PRIu64
                       " formations, %" PRIu64 " starts, %" PRIu64
                       " deliveries ordered, %.0f virtual seconds: %s\n",
                       totals.n_seeds,
                       totals.n_faults,
                       totals.n_formations,
                       totals.n_starts,
                       totals.n_entries,
                       (double) totals.virtual_usec / 1e6,
                       v == VERDICT_GOOD ? "good" : "FAILED");
                return v;
        }

        g_test_init(&argc, &argv, NULL);
#ifndef STATE_BROKEN
        g_test_add_func("/state/storm/seeds", test_storm);
#else
        FOREACH_ARRAY(f, faults, ELEMENTSOF(faults)) {
                g_autofree char *path = g_strdup_printf("/state/storm/broken/%s", f->name);

                g_test_add_data_func(path, f, test_broken);
        }
#endif
        return g_test_run();
}
