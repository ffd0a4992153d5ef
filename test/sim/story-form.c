/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clusters that form, nodes that leave, and who leads. */

#include "sim/story.h"

/* ---- forming ---- */

static void test_form_for_every_size(void) {
        for (unsigned n = 1; n <= 64; n = n < 8 ? n + 1 : n * 2) {
                Story *t = story_new(n);

                story_start_all(t);
                story_settle(t, t->s->config.enabled, 2 * USEC_PER_SEC);
                g_assert_true(story_membership(t, n)->first);
                story_free(t);
        }
}

static void test_form_quickly(void) {
        Story *t = story_new(3);

        world_start(t->w, 1, true);
        story_run(t, 60 * MSEC);
        world_start(t->w, 2, true);
        story_run(t, 40 * MSEC);
        world_start(t->w, 3, true);
        g_assert_cmpuint(story_settle(t, SET3, USEC_PER_SEC), <=, 50 * MSEC);
        story_free(t);
}

static void test_form_without_the_third(void) {
        Story *t = story_new(3);

        world_start(t->w, 1, true);
        world_start(t->w, 3, true);
        g_assert_cmpuint(story_settle(t, 5, USEC_PER_SEC), <=, 200 * MSEC);
        g_assert_cmpint(membership_node(story_membership(t, 1), 2)->state, ==, NODE_UNKNOWN);
        g_assert_cmpint(membership_node(story_membership(t, 1), 2)->reason, ==, NODE_REASON_NEVER_SEEN);

        /* And the third is taken in at once; it is the junior now. */
        world_start(t->w, 2, true);
        g_assert_cmpuint(story_settle(t, SET3, USEC_PER_SEC), <=, 100 * MSEC);
        g_assert_cmpuint(membership_rank_of(story_membership(t, 1), 2), ==, 2);
        story_free(t);
}

static void test_alone_is_shown_without_quorum(void) {
        Story *t = story_new(3);

        world_start(t->w, 2, true);
        story_run(t, USEC_PER_SEC);
        g_assert_cmphex(story_members(t, 2), ==, 2);
        g_assert_false(story_membership(t, 2)->quorate);
        g_assert_false(story_membership(t, 2)->half);
        story_free(t);
}

static void test_senior_keeps_the_lead(void) {
        Story *t = story_settled(3);

        cms_sim_crash_with_gasp(t->w, t->s, 1, true);
        story_settle(t, 6, USEC_PER_SEC);
        g_assert_cmpuint(story_membership(t, 2)->rank[0], ==, 2);
        world_start(t->w, 1, true);
        story_settle(t, SET3, USEC_PER_SEC);
        g_assert_cmpuint(story_membership(t, 1)->rank[0], ==, 2);
        g_assert_cmpuint(story_membership(t, 1)->rank[2], ==, 1);
        story_free(t);
}

/* ---- farewell ---- */

static void test_farewell(void) {
        for (int running = 0; running <= 1; running++) {
                Story *t = story_settled(3);

                story_feed(t, 3, (CmsEvent){ .type = CMS_EVENT_LEAVE, .leave = { running != 0 } });
                g_assert_cmpuint(story_settle(t, 3, USEC_PER_SEC), <=, 50 * MSEC);
                g_assert_true(t->s->nodes[2].leaving); /* LEFT has come: it was heard */
                g_assert_cmpint(membership_node(story_membership(t, 1), 3)->state,
                                ==,
                                running ? NODE_DETACHED : NODE_INACTIVE);
                g_assert_cmpint(membership_node(story_membership(t, 1), 3)->reason,
                                ==,
                                NODE_REASON_FAREWELL);
                story_free(t);
        }
}

static void test_farewell_of_one_of_two(void) {
        Story *t = story_settled(2);

        story_feed(t, 1, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, 2, USEC_PER_SEC);
        g_assert_true(story_membership(t, 2)->half);
        g_assert_true(story_membership(t, 2)->quorate);
        story_free(t);
}

void story_add_form(void) {
        g_test_add_func("/cms/form/every-size", test_form_for_every_size);
        g_test_add_func("/cms/form/quickly", test_form_quickly);
        g_test_add_func("/cms/form/without-the-third", test_form_without_the_third);
        g_test_add_func("/cms/form/alone-is-shown-without-quorum", test_alone_is_shown_without_quorum);
        g_test_add_func("/cms/rank/senior-keeps-the-lead", test_senior_keeps_the_lead);
        g_test_add_func("/cms/farewell/heard", test_farewell);
        g_test_add_func("/cms/farewell/of-one-of-two", test_farewell_of_one_of_two);
}
