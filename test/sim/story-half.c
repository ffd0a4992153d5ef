/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of sets without a majority: what a half has to prove (R6), and where those are left who have no
 * quorum at all. */

#include "sim/story.h"

static void confirm_at_1(Story *t, uint32_t node, uint64_t incarnation) {
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { node, incarnation, story_membership(t, 1)->mid } });
        story_run(t, USEC_PER_SEC);
}

/* ---- Half ---- */

/* Node 2 dies, and comes up anew without hearing anybody, so that nobody takes it in: its first life is
 * over, and that proves nothing about the second one, which may be alive when it falls silent. Only that
 * one's death gives node 1 its quorum; and if it is heard after that, the device lied. */
static void newest_life_has_to_be_proven(bool lies) {
        Story *t = story_settled(2);
        uint64_t first = cms_sim_incarnation(t->w, 2), second;

        world_power_off(t->w, 2, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_cmphex(story_membership(t, 1)->members, ==, 1);
        world_cut(t->w, 1, 2, WORLD_ALL_LINKS);
        world_start(t->w, 2, true);
        second = cms_sim_incarnation(t->w, 2);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpint(story_cms(t, 1)->known[1].state, ==, NODE_DOWN);
        t->s->device_lies = lies;
        if (lies)
                world_pause(t->w, 2);
        else
                world_power_off(t->w, 2, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_false(story_membership(t, 1)->quorate);
        g_assert_false(story_peer_view(t, 1, 2).proven);
        g_assert_cmpuint(story_peer_view(t, 1, 2).newest_incarnation, ==, second);

        /* A late result, of an order about the first life. */
        confirm_at_1(t, 2, first);
        g_assert_false(story_peer_view(t, 1, 2).proven);
        g_assert_false(story_membership(t, 1)->quorate);

        confirm_at_1(t, 2, second);
        g_assert_true(story_peer_view(t, 1, 2).proven);
        g_assert_true(story_membership(t, 1)->quorate);
        g_assert_cmpuint(membership_node(story_membership(t, 1), 2)->incarnation, ==, second);
        g_assert_cmpint(membership_node(story_membership(t, 1), 2)->reason, ==, NODE_REASON_CONFIRMED);

        if (lies) {
                world_resume(t->w, 2);
                story_run(t, USEC_PER_SEC);
                g_assert_cmpint(story_cms(t, 1)->known[1].reason, ==, NODE_REASON_HEARD_AGAIN);
                g_assert_false(story_peer_view(t, 1, 2).proven);
        }
        story_free(t);
}

static void test_newest_life_has_to_be_proven(void) {
        newest_life_has_to_be_proven(false);
        newest_life_has_to_be_proven(true);
}

/* Nodes 3 and 4 are off. Node 3 comes back, and is lost again: now node 4, of which nobody heard since, has
 * to be proven once more, for nobody looked at it while node 3 was there. That it is `down` tells less. */
static void test_proof_ends_with_the_split(void) {
        Story *t = story_settled(4);

        for (uint32_t id = 3; id <= 4; id++)
                world_power_off(t->w, id, true);
        story_run(t, 2 * USEC_PER_SEC);
        for (uint32_t id = 3; id <= 4; id++)
                confirm_at_1(t, id, story_peer_view(t, 1, id).newest_incarnation);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 3));
        g_assert_true(story_peer_view(t, 1, 3).proven && story_peer_view(t, 1, 4).proven);

        world_start(t->w, 3, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 7));
        world_power_off(t->w, 3, true);
        story_run(t, 2 * USEC_PER_SEC);
        confirm_at_1(t, 3, story_peer_view(t, 1, 3).newest_incarnation);
        g_assert_false(story_membership(t, 1)->quorate);
        g_assert_cmpint(membership_node(story_membership(t, 1), 4)->state, ==, NODE_DOWN);
        g_assert_true(story_peer_view(t, 1, 3).proven);
        g_assert_false(story_peer_view(t, 1, 4).proven);

        confirm_at_1(t, 4, story_peer_view(t, 1, 4).newest_incarnation);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 3));
        story_free(t);
}

/* ---- None has quorum ---- */

/* One-way cuts leave no three nodes together: {1 4} and {2 3} settle, and node 5, which hears three of them
 * and is heard by two, is wanted by nobody. It does not wait in the membership that is over, which it would
 * show as quorate, but stands alone; and then all stay where they are. */
static void test_nobody_is_left_in_what_is_over(void) {
        static const uint8_t cuts[][2] = { { 4, 5 }, { 5, 3 }, { 1, 2 }, { 2, 4 }, { 4, 3 } };

        for (uint64_t seed = 1; seed <= 20; seed++) {
                Story *t = story_settled(5);
                uint64_t n_memberships;

                prng_init(&t->w->prng, seed);
                story_run(t, prng_below(&t->w->prng, 200) * USEC_PER_MSEC);
                for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++)
                        world_cut(t->w, node_set_of(cuts[i][0]), node_set_of(cuts[i][1]), WORLD_ALL_LINKS);
                story_run(t, 5 * USEC_PER_SEC);
                for (uint32_t id = 1; id <= 5; id++) {
                        const Membership *m = story_membership(t, id);

                        g_assert_nonnull(m);
                        g_assert_false(m->quorate);
                        g_assert_false(cms_in_transition(story_cms(t, id)));
                }
                n_memberships = t->s->n_memberships;
                story_run(t, 5 * USEC_PER_SEC);
                g_assert_cmpuint(t->s->n_memberships, ==, n_memberships);
                story_free(t);
        }
}

void story_add_half(void) {
        g_test_add_func("/cms/half/newest-life-has-to-be-proven", test_newest_life_has_to_be_proven);
        g_test_add_func("/cms/half/proof-ends-with-the-split", test_proof_ends_with_the_split);
        g_test_add_func("/cms/half/nobody-is-left-in-what-is-over", test_nobody_is_left_in_what_is_over);
}
