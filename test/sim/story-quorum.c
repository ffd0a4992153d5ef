/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Halves, majorities, votes. */

#include "sim/story.h"

/* ---- quorum ---- */

static void test_split_of_five(void) {
        Story *t = story_settled(5);

        story_cut(t, 0x07, 0x18);
        story_settle(t, 0x07, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        g_assert_cmphex(story_members(t, 4), ==, 0x18);
        g_assert_false(story_membership(t, 4)->quorate);
        story_cut(t, 0x04, 0x03);
        story_run(t, 3 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 5; id++)
                g_assert_false(story_membership(t, id) && story_membership(t, id)->quorate);
        world_heal_all(t->w);
        story_settle(t, 0x1f, 5 * USEC_PER_SEC);
        story_free(t);
}

static void test_even_split_waits_for_proof(void) {
        Story *t = story_settled(4);
        const Membership *m;

        g_assert_true(story_membership(t, 3)->tie_breaker); /* the lowest enabled id, without a setting */
        story_cut(t, 0x03, 0x0c);
        story_run(t, 5 * USEC_PER_SEC);
        m = story_membership(t, 1);
        g_assert_cmphex(m->members, ==, 0x03);
        g_assert_true(m->half);
        g_assert_true(m->tie_breaker);
        g_assert_false(m->quorate);
        g_assert_true(story_membership(t, 3)->half);
        g_assert_false(story_membership(t, 3)->tie_breaker);
        g_assert_false(story_membership(t, 3)->quorate);

        /* Void: another incarnation, an older membership, a node that is up. */
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3, membership_node(m, 3)->incarnation + 1, m->mid } });
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3,
                                                   membership_node(m, 3)->incarnation,
                                                   membership_node(m, 3)->last_mid } });
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 2, membership_node(m, 2)->incarnation, m->mid } });
        story_run(t, USEC_PER_SEC);
        g_assert_cmpint(membership_node(story_membership(t, 1), 3)->state, ==, NODE_UNKNOWN);

        /* One of two is not enough. */
        world_power_off(t->w, 3, true);
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        story_run(t, USEC_PER_SEC);
        g_assert_false(story_membership(t, 1)->quorate);

        /* The other one is confirmed to the other member of the half. */
        world_power_off(t->w, 4, true);
        m = story_membership(t, 2);
        story_feed(t,
                   2,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 4, membership_node(m, 4)->incarnation, m->mid } });
        g_assert_cmpuint(story_settle(t, 0x03, USEC_PER_SEC), <=, 50 * MSEC);
        m = story_membership(t, 1);
        g_assert_true(m->half);
        g_assert_cmpint(membership_node(m, 3)->state, ==, NODE_DOWN);
        g_assert_cmpint(membership_node(m, 4)->reason, ==, NODE_REASON_CONFIRMED);
        story_free(t);
}

/* R15: the device lied about node 3. One member of the half was told that it is down, and the other one
 * hears it: before that, or after. */
static void test_no_proof_about_whom_a_member_hears(void) {
        for (int before = 0; before <= 1; before++) {
                Story *t = story_settled(4);
                const Membership *m;

                t->s->device_lies = true;
                story_cut(t, 0x03, 0x0c);
                story_run(t, 2 * USEC_PER_SEC);
                m = story_membership(t, 1);
                g_assert_cmphex(m->members, ==, 0x03);
                if (before)
                        world_heal(t->w, 4, 2, WORLD_ALL_LINKS);
                story_run(t, USEC_PER_SEC);
                story_feed(t,
                           1,
                           (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                       .confirmed_down = {
                                                       3, membership_node(m, 3)->incarnation, m->mid } });
                world_heal(t->w, 4, 2, WORLD_ALL_LINKS);
                story_run(t, 200 * MSEC);
                world_power_off(t->w, 4, true);
                story_feed(t,
                           1,
                           (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                       .confirmed_down = {
                                                       4, membership_node(m, 4)->incarnation, m->mid } });
                story_run(t, 5 * USEC_PER_SEC);
                m = story_membership(t, 1);
                g_assert_cmphex(m->members, ==, 0x03);
                g_assert_false(m->quorate);
                g_assert_cmpint(membership_node(m, 3)->reason, ==, NODE_REASON_HEARD_AGAIN);
                g_assert_cmpint(membership_node(m, 4)->state, ==, NODE_DOWN);
                g_assert_false(cms_in_transition(story_cms(t, 1)));

                /* It says so once more, and then it is true. */
                for (int off = 0; off <= 1; off++) {
                        if (off)
                                world_power_off(t->w, 3, true);
                        story_run(t, USEC_PER_SEC);
                        m = story_membership(t, 1);
                        story_feed(t,
                                   1,
                                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                               .confirmed_down = { 3,
                                                                   membership_node(m, 3)->incarnation,
                                                                   m->mid } });
                        story_run(t, USEC_PER_SEC);
                        g_assert_cmpint(story_membership(t, 1)->quorate, ==, off);
                }
                story_free(t);
        }
}

static void test_even_split_is_fenced_by_the_tie_breaker(void) {
        Story *t = story_settled(4);

        t->s->fencing = true;
        story_cut(t, 0x03, 0x0c);
        story_settle(t, 0x03, 2 * USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_fenced, ==, 2);
        story_free(t);
}

static void test_half_at_cold_start(void) {
        Story *t = story_settled(2);

        world_crash(t->w, 1, true);
        world_crash(t->w, 2, true);
        story_run(t, USEC_PER_SEC);
        world_start(t->w, 1, true);
        story_run(t, 5 * USEC_PER_SEC);
        g_assert_true(story_membership(t, 1)->half);
        g_assert_false(story_membership(t, 1)->quorate);
        world_power_off(t->w, 2, true);
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 2, 0, story_membership(t, 1)->mid } });
        story_settle(t, 1, USEC_PER_SEC);
        story_free(t);
}

/* Node 2 left, is back, and cannot be taken in: node 1 loses nothing by trying. */
static void test_half_keeps_quorum_beside_a_newcomer(void) {
        Story *t = story_settled(2);

        story_feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, 1, USEC_PER_SEC);
        world_crash(t->w, 2, true);
        t->n_heard = 0;
        story_lose(t, CMS_MESSAGE_INQUIRE, NODE_SET_ALL, NODE_SET_ALL);
        world_start(t->w, 2, true);
        story_run(t, 10 * USEC_PER_SEC);
        g_assert_cmphex(story_members(t, 1), ==, 1);
        STORY_FOREACH_STABLE(h, t)
                g_assert_true(h->stable.quorate || h->at_node != 1);
        story_lose_nothing(t);
        story_settle(t, 3, 30 * USEC_PER_SEC);
        story_free(t);
}

/* Whoever has no votes cannot make a half more than a half. */
static void test_half_waits_for_votes(void) {
        Story *t = story_new(3);
        const Membership *m;
        Mid mid;

        t->s->config.votes[2] = 0;
        story_start_all(t);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        story_feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        world_power_off(t->w, 3, true);
        story_run(t, 2 * USEC_PER_SEC);
        m = story_membership(t, 1);
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        story_settle(t, 1, USEC_PER_SEC);
        mid = story_membership(t, 1)->mid;
        world_start(t->w, 3, true);
        story_run(t, 5 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, mid));
        g_assert_false(cms_in_transition(story_cms(t, 1)));
        world_crash(t->w, 2, true);
        world_start(t->w, 2, false);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        story_free(t);
}

static void test_votes_and_disabled_nodes(void) {
        Story *t = story_new(4);

        t->s->config.votes[0] = 3;
        node_set_remove(&t->s->config.enabled, 4);
        story_start_all(t);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_cmphex(story_members(t, 1), ==, SET3);
        g_assert_cmpint(membership_node(story_membership(t, 1), 4)->state, ==, NODE_INACTIVE);
        g_assert_null(story_membership(t, 4));
        g_assert_cmpint(story_peer_view(t, 1, 4).problem, ==, CMS_PROBLEM_DISABLED);

        /* Three of five votes are with node 1 alone. */
        story_cut(t, 0x01, 0x06);
        story_settle(t, 0x01, 2 * USEC_PER_SEC);
        story_free(t);
}

/* The device fails for the half with the tie-breaker: nobody goes on. Then it works for the other half,
 * which had waited for all that the first one could do. */
static void test_even_split_with_a_device_that_fails(void) {
        Story *t = story_settled(4);
        uint64_t begin = t->w->now_usec;

        t->s->fencing = true;
        t->s->fence_fails_one_in = 1;
        story_cut(t, 0x03, 0x0c);
        story_run(t, 400 * MSEC + t->s->fence_usec + 600 * MSEC);
        g_assert_false(story_membership(t, 1)->quorate);
        g_assert_false(story_membership(t, 3)->quorate);
        g_assert_cmpuint(t->s->n_fenced, ==, 0);

        t->s->fence_fails_one_in = 0;
        story_settle(t, 0x0c, 5 * USEC_PER_SEC);
        g_assert_cmpuint(t->w->now_usec - begin, >=, t->s->fence_usec + t->s->fence_delay_usec);
        g_assert_cmpuint(t->s->n_fenced, ==, 2);
        story_free(t);
}

void story_add_quorum(void) {
        g_test_add_func("/cms/quorum/even-split-with-a-device-that-fails",
                        test_even_split_with_a_device_that_fails);
        g_test_add_func("/cms/quorum/split-of-five", test_split_of_five);
        g_test_add_func("/cms/quorum/even-split-waits-for-proof", test_even_split_waits_for_proof);
        g_test_add_func("/cms/quorum/no-proof-about-whom-a-member-hears",
                        test_no_proof_about_whom_a_member_hears);
        g_test_add_func("/cms/quorum/even-split-is-fenced", test_even_split_is_fenced_by_the_tie_breaker);
        g_test_add_func("/cms/quorum/half-at-cold-start", test_half_at_cold_start);
        g_test_add_func("/cms/quorum/half-keeps-it-beside-a-newcomer",
                        test_half_keeps_quorum_beside_a_newcomer);
        g_test_add_func("/cms/quorum/half-waits-for-votes", test_half_waits_for_votes);
        g_test_add_func("/cms/quorum/votes-and-disabled-nodes", test_votes_and_disabled_nodes);
}
