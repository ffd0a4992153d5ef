/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of the rejoin hold-off (R21): who comes back from one crash after the other waits where it is not
 * needed, and nowhere else. The hold-off itself, for so long, is what the shell says at the start. */

#include "sim/story.h"

#define SEC USEC_PER_SEC
#define FAILURE_USEC (400 * MSEC)
#define SET12 ((NodeSet) 3)
#define SET13 ((NodeSet) 5)

static void start_held(Story *t, uint32_t node, uint64_t hold_usec) {
        t->s->hold_usec_of[node - 1] = hold_usec;
        world_start(t->w, node, true);
}

static void crash_and_come_back(Story *t, uint32_t node, uint64_t hold_usec) {
        world_crash(t->w, node, true);
        story_run(t, SEC);
        start_held(t, node, hold_usec);
}

static bool waits(Story *t, uint32_t node) {
        g_autofree CmsView *v = g_new0(CmsView, 1);

        cms_view(story_cms(t, node), world_clock(t->w, node), v);
        return v->held;
}

/* The others work on as if it had not come, everybody says why, and at the end of the time it is taken in.
 */
static void test_stays_out_and_says_why(void) {
        Story *t = story_settled(3);
        g_autofree CmsView *v = g_new0(CmsView, 1);
        Mid promised, others;

        crash_and_come_back(t, 3, 10 * SEC);
        promised = story_cms(t, 3)->promised;
        story_run(t, SEC);
        others = story_membership(t, 1)->mid;
        story_run(t, 8 * SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        g_assert_true(mid_equal(story_membership(t, 1)->mid, others));
        g_assert_true(mid_equal(story_cms(t, 3)->promised, promised));

        cms_view(story_cms(t, 1), world_clock(t->w, 1), v);
        g_assert_cmpint(v->peers[2].problem, ==, CMS_PROBLEM_HELD);
        g_assert_cmpuint(v->peers[2].hold_left_usec, >, 900 * MSEC);
        g_assert_cmpuint(v->peers[2].hold_left_usec, <, 1200 * MSEC);
        cms_view(story_cms(t, 3), world_clock(t->w, 3), v);
        g_assert_true(v->held);
        g_assert_cmpuint(v->hold_left_usec, ==, SEC);

        g_assert_cmpuint(story_settle(t, SET3, 2 * SEC), >=, SEC);
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
        story_settle(t, SET12, SEC);
        story_run(t, SEC);
        lost = story_membership(t, 1)->mid;
        g_assert_cmpint(membership_node(story_membership(t, 1), 3)->state, ==, NODE_UNKNOWN);
        start_held(t, 3, 60 * SEC);
        story_run(t, 300 * MSEC);
        g_assert_true(waits(t, 3));
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        n = membership_node(story_membership(t, 2), 3);
        g_assert_cmpint(n->state, ==, NODE_DOWN);
        g_assert_cmpint(n->reason, ==, NODE_REASON_NEW_BOOT);
        proven = story_membership(t, 1)->mid;
        g_assert_cmpuint(proven.epoch, ==, lost.epoch + 1);
        story_run(t, 20 * SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, proven));
        story_free(t);
}

/* One of two others dies: without the third there would be no quorum, so it votes, and is held off no more.
 */
static void test_joins_where_it_is_needed(void) {
        Story *t = story_settled(3);

        crash_and_come_back(t, 3, 60 * SEC);
        story_run(t, 2 * SEC);
        g_assert_true(waits(t, 3));
        world_crash(t->w, 2, true);
        g_assert_cmpuint(story_settle(t, SET13, 2 * SEC), <=, FAILURE_USEC + 300 * MSEC);
        world_start(t->w, 2, true);
        story_settle(t, SET3, SEC);
        story_free(t);
}

static void test_all_together_form_at_once(void) {
        Story *t = story_new(3);

        for (uint32_t id = 1; id <= 3; id++)
                start_held(t, id, 60 * SEC);
        g_assert_cmpuint(story_settle(t, SET3, 2 * SEC), <=, 200 * MSEC);
        story_free(t);
}

/* Where it hears nobody it shows itself as a minority, as anybody would; when it hears them it waits. */
static void test_cut_off_it_is_a_minority(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, true);
        story_run(t, SEC);
        story_cut(t, SET12, 4);
        start_held(t, 3, 10 * SEC);
        story_run(t, 2 * SEC);
        g_assert_nonnull(story_membership(t, 3));
        g_assert_false(waits(t, 3));
        world_heal_all(t->w);
        story_run(t, 2 * SEC);
        g_assert_true(waits(t, 3));
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET12));
        story_settle(t, SET3, 7 * SEC);
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
        story_settle(t, 1, 3 * SEC);
        story_run(t, 5 * SEC);
        if (!t->w->nodes[1].up)
                world_start(t->w, 2, true);
        n_fenced = t->s->n_fenced;
        story_run(t, 5 * SEC);
        g_assert_true(waits(t, 2));
        g_assert_true(cms_sim_is_settled(t->w, t->s, 1));
        story_settle(t, SET12, 20 * SEC);
        g_assert_cmpuint(t->s->n_fenced, ==, n_fenced);
        story_free(t);
}

/* The time goes on while it does not run, as in a suspend. */
static void test_time_passes_in_a_pause(void) {
        Story *t = story_settled(5);

        crash_and_come_back(t, 5, 6 * SEC);
        world_pause(t->w, 5);
        story_run(t, 8 * SEC);
        world_resume(t->w, 5);
        g_assert_cmpuint(story_settle(t, 31, 2 * SEC), <=, 500 * MSEC);
        story_free(t);
}

void story_add_rejoin(void) {
        g_test_add_func("/cms/rejoin/stays-out-and-says-why", test_stays_out_and_says_why);
        g_test_add_func("/cms/rejoin/its-return-is-the-proof", test_its_return_is_the_proof);
        g_test_add_func("/cms/rejoin/joins-where-it-is-needed", test_joins_where_it_is_needed);
        g_test_add_func("/cms/rejoin/all-together-form-at-once", test_all_together_form_at_once);
        g_test_add_func("/cms/rejoin/cut-off-it-is-a-minority", test_cut_off_it_is_a_minority);
        g_test_add_func("/cms/rejoin/beside-a-half-that-works-by-proof",
                        test_beside_a_half_that_works_by_proof);
        g_test_add_func("/cms/rejoin/time-passes-in-a-pause", test_time_passes_in_a_pause);
}
