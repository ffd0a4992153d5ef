/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of the rejoin hold-off (R21): who comes back from one crash after the other waits where it is not
 * needed, and nowhere else. The hold-off itself, for so long, is what the shell says at the start. */

#include <glib.h>

#include "sim/cms-actor.h"

#define MSEC USEC_PER_MSEC
#define SEC USEC_PER_SEC
#define FAILURE_USEC (400 * MSEC)
#define SET12 ((NodeSet) 3)
#define SET13 ((NodeSet) 5)
#define SET3 ((NodeSet) 7)

typedef struct Story {
        World *w;
        CmsSim *s;
} Story;

static Story *story_new(unsigned n_nodes) {
        Story *t = g_new0(Story, 1);

        t->w = world_new(1, n_nodes, 2);
        t->w->tracing = true;
        t->s = cms_sim_new(t->w, 100 * MSEC, FAILURE_USEC);
        cms_sim_init_stores(t->w, t->s);
        return t;
}

static void story_free(Story *t) {
        world_free(t->w);
        cms_sim_free(t->s);
        g_free(t);
}

static void run(Story *t, uint64_t usec) {
        world_run_until(t->w, t->w->now_usec + usec);
        if (t->w->failed) {
                world_print_trace(t->w, 200);
                g_error("%s", t->w->failure);
        }
}

static uint64_t time_to_settle(Story *t, NodeSet set, uint64_t limit_usec) {
        uint64_t begin = t->w->now_usec;

        while (!cms_sim_is_settled(t->w, t->s, set)) {
                if (t->w->now_usec - begin > limit_usec) {
                        world_print_trace(t->w, 100);
                        g_error("not settled in time");
                }
                run(t, MSEC);
        }
        return t->w->now_usec - begin;
}

static Story *story_settled(unsigned n_nodes) {
        Story *t = story_new(n_nodes);

        for (uint32_t id = 1; id <= n_nodes; id++)
                world_start(t->w, id, true);
        time_to_settle(t, t->s->config.enabled, 2 * SEC);
        return t;
}

static void start_held(Story *t, uint32_t node, uint64_t hold_usec) {
        t->s->hold_usec_of[node - 1] = hold_usec;
        world_start(t->w, node, true);
}

static void crash_and_come_back(Story *t, uint32_t node, uint64_t hold_usec) {
        world_crash(t->w, node, true);
        run(t, SEC);
        start_held(t, node, hold_usec);
}

static const Cms *cms_of(Story *t, uint32_t node) {
        g_assert_nonnull(t->s->nodes[node - 1].cms);
        return t->s->nodes[node - 1].cms;
}

static bool waits(Story *t, uint32_t node) {
        g_autofree CmsView *v = g_new0(CmsView, 1);

        cms_view(cms_of(t, node), world_clock(t->w, node), v);
        return v->held;
}

static void cut_both(Story *t, NodeSet a, NodeSet b) {
        world_cut(t->w, a, b, WORLD_ALL_LINKS);
        world_cut(t->w, b, a, WORLD_ALL_LINKS);
}

/* The others work on as if it had not come, everybody says why, and at the end of the time it is taken in.
 */
static void test_stays_out_and_says_why(void) {
        Story *t = story_settled(3);
        g_autofree CmsView *v = g_new0(CmsView, 1);
        Mid promised, others;

        crash_and_come_back(t, 3, 10 * SEC);
        promised = cms_of(t, 3)->promised;
        run(t, SEC);
        others = cms_membership(cms_of(t, 1))->mid;
        run(t, 8 * SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        g_assert_true(mid_equal(cms_membership(cms_of(t, 1))->mid, others));
        g_assert_true(mid_equal(cms_of(t, 3)->promised, promised));

        cms_view(cms_of(t, 1), world_clock(t->w, 1), v);
        g_assert_cmpint(v->peers[2].problem, ==, CMS_PROBLEM_HELD);
        g_assert_cmpuint(v->peers[2].hold_left_usec, >, 900 * MSEC);
        g_assert_cmpuint(v->peers[2].hold_left_usec, <, 1200 * MSEC);
        cms_view(cms_of(t, 3), world_clock(t->w, 3), v);
        g_assert_true(v->held);
        g_assert_cmpuint(v->hold_left_usec, ==, SEC);

        g_assert_cmpuint(time_to_settle(t, SET3, 2 * SEC), >=, SEC);
        g_assert_false(waits(t, 3));
        story_free(t);
}

/* Nobody fenced it. That it is up again is the proof for which its groups wait, so it is told at once, once.
 */
static void test_its_return_is_the_proof(void) {
        Story *t = story_settled(3);
        const MembershipNode *n;
        Mid lost, proven;

        world_crash(t->w, 3, true);
        time_to_settle(t, SET12, SEC);
        run(t, SEC);
        lost = cms_membership(cms_of(t, 1))->mid;
        g_assert_cmpint(membership_node(cms_membership(cms_of(t, 1)), 3)->state, ==, NODE_UNKNOWN);
        start_held(t, 3, 60 * SEC);
        run(t, 300 * MSEC);
        g_assert_true(waits(t, 3));
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        n = membership_node(cms_membership(cms_of(t, 2)), 3);
        g_assert_cmpint(n->state, ==, NODE_DOWN);
        g_assert_cmpint(n->reason, ==, NODE_REASON_NEW_BOOT);
        proven = cms_membership(cms_of(t, 1))->mid;
        g_assert_cmpuint(proven.epoch, ==, lost.epoch + 1);
        run(t, 20 * SEC);
        g_assert_true(mid_equal(cms_membership(cms_of(t, 1))->mid, proven));
        story_free(t);
}

/* One of two others dies: without the third there would be no quorum, so it votes, and is held off no more.
 */
static void test_joins_where_it_is_needed(void) {
        Story *t = story_settled(3);

        crash_and_come_back(t, 3, 60 * SEC);
        run(t, 2 * SEC);
        g_assert_true(waits(t, 3));
        world_crash(t->w, 2, true);
        g_assert_cmpuint(time_to_settle(t, SET13, 2 * SEC), <=, FAILURE_USEC + 300 * MSEC);
        world_start(t->w, 2, true);
        time_to_settle(t, SET3, SEC);
        story_free(t);
}

static void test_all_together_form_at_once(void) {
        Story *t = story_new(3);

        for (uint32_t id = 1; id <= 3; id++)
                start_held(t, id, 60 * SEC);
        g_assert_cmpuint(time_to_settle(t, SET3, 2 * SEC), <=, 200 * MSEC);
        story_free(t);
}

/* Where it hears nobody it shows itself as a minority, as anybody would; when it hears them it waits. */
static void test_cut_off_it_is_a_minority(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, true);
        run(t, SEC);
        cut_both(t, SET12, 4);
        start_held(t, 3, 10 * SEC);
        run(t, 2 * SEC);
        g_assert_nonnull(cms_membership(cms_of(t, 3)));
        g_assert_false(waits(t, 3));
        world_heal_all(t->w);
        run(t, 2 * SEC);
        g_assert_true(waits(t, 3));
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        time_to_settle(t, SET3, 7 * SEC);
        story_free(t);
}

/* The one that is left of two works by proof; the other waits beside it, and is not fenced for that. */
static void test_beside_a_half_that_works_by_proof(void) {
        Story *t = story_settled(2);
        unsigned n_fenced;

        t->s->fencing = true;
        t->s->fence_usec = 500 * MSEC;
        world_crash(t->w, 2, true);
        t->s->hold_usec_of[1] = 20 * SEC;
        time_to_settle(t, 1, 3 * SEC);
        run(t, 5 * SEC);
        if (!t->w->nodes[1].up)
                world_start(t->w, 2, true);
        n_fenced = t->s->n_fenced;
        run(t, 5 * SEC);
        g_assert_true(waits(t, 2));
        g_assert_true(cms_sim_is_settled(t->w, t->s, 1));
        time_to_settle(t, SET12, 20 * SEC);
        g_assert_cmpuint(t->s->n_fenced, ==, n_fenced);
        story_free(t);
}

/* The time goes on while it does not run, as in a suspend. */
static void test_time_passes_in_a_pause(void) {
        Story *t = story_settled(5);

        crash_and_come_back(t, 5, 6 * SEC);
        world_pause(t->w, 5);
        run(t, 8 * SEC);
        world_resume(t->w, 5);
        g_assert_cmpuint(time_to_settle(t, 31, 2 * SEC), <=, 500 * MSEC);
        story_free(t);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/rejoin/stays-out-and-says-why", test_stays_out_and_says_why);
        g_test_add_func("/cms/rejoin/its-return-is-the-proof", test_its_return_is_the_proof);
        g_test_add_func("/cms/rejoin/joins-where-it-is-needed", test_joins_where_it_is_needed);
        g_test_add_func("/cms/rejoin/all-together-form-at-once", test_all_together_form_at_once);
        g_test_add_func("/cms/rejoin/cut-off-it-is-a-minority", test_cut_off_it_is_a_minority);
        g_test_add_func("/cms/rejoin/beside-a-half-that-works-by-proof",
                        test_beside_a_half_that_works_by_proof);
        g_test_add_func("/cms/rejoin/time-passes-in-a-pause", test_time_passes_in_a_pause);
        return g_test_run();
}
