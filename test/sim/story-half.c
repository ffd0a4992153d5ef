/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of sets without a majority: what a half has to prove (R6), and where those are left who have no
 * quorum at all. */

#include "sim/story.h"

static void run(World *w, uint64_t usec) {
        world_run_until(w, w->now_usec + usec);
        if (w->failed)
                world_print_trace(w, 200);
        g_assert_false(w->failed);
}

static CmsSim *formed(unsigned n_nodes, World **ret) {
        World *w = world_new(1, n_nodes, 2);
        CmsSim *s = cms_sim_new(w, 100 * USEC_PER_MSEC, 400 * USEC_PER_MSEC);

        w->tracing = true;
        cms_sim_init_stores(w, s);
        for (uint32_t id = 1; id <= n_nodes; id++)
                world_start(w, id, true);
        run(w, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(w, s, s->config.enabled));
        *ret = w;
        return s;
}

static const Membership *membership_at_1(const CmsSim *s) {
        const Membership *m = cms_membership(s->nodes[0].cms);

        g_assert_nonnull(m);
        return m;
}

static CmsPeerView view_at_1(const World *w, const CmsSim *s, uint32_t of) {
        CmsView *v = g_new0(CmsView, 1);
        CmsPeerView p;

        cms_view(s->nodes[0].cms, world_clock(w, 1), v);
        p = v->peers[of - 1];
        g_free(v);
        return p;
}

static void confirm_at_1(World *w, CmsSim *s, uint32_t node, uint64_t incarnation) {
        cms_sim_feed(w,
                     s,
                     1,
                     (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                 .confirmed_down = { node, incarnation, membership_at_1(s)->mid } });
        run(w, USEC_PER_SEC);
}

/* ---- Half ---- */

/* Node 2 dies, and comes up anew without hearing anybody, so that nobody takes it in: its first life is
 * over, and that proves nothing about the second one, which may be alive when it falls silent. Only that
 * one's death gives node 1 its quorum; and if it is heard after that, the device lied. */
static void newest_life_has_to_be_proven(bool lies) {
        World *w;
        CmsSim *s = formed(2, &w);
        uint64_t first = cms_sim_incarnation(w, 2), second;

        world_power_off(w, 2, true);
        run(w, 2 * USEC_PER_SEC);
        g_assert_cmphex(membership_at_1(s)->members, ==, 1);
        world_cut(w, 1, 2, WORLD_ALL_LINKS);
        world_start(w, 2, true);
        second = cms_sim_incarnation(w, 2);
        run(w, USEC_PER_SEC);
        g_assert_cmpint(s->nodes[0].cms->known[1].state, ==, NODE_DOWN);
        s->device_lies = lies;
        if (lies)
                world_pause(w, 2);
        else
                world_power_off(w, 2, true);
        run(w, 2 * USEC_PER_SEC);
        g_assert_false(membership_at_1(s)->quorate);
        g_assert_false(view_at_1(w, s, 2).proven);
        g_assert_cmpuint(view_at_1(w, s, 2).newest_incarnation, ==, second);

        /* A late result, of an order about the first life. */
        confirm_at_1(w, s, 2, first);
        g_assert_false(view_at_1(w, s, 2).proven);
        g_assert_false(membership_at_1(s)->quorate);

        confirm_at_1(w, s, 2, second);
        g_assert_true(view_at_1(w, s, 2).proven);
        g_assert_true(membership_at_1(s)->quorate);
        g_assert_cmpuint(membership_node(membership_at_1(s), 2)->incarnation, ==, second);
        g_assert_cmpint(membership_node(membership_at_1(s), 2)->reason, ==, NODE_REASON_CONFIRMED);

        if (lies) {
                world_resume(w, 2);
                run(w, USEC_PER_SEC);
                g_assert_cmpint(s->nodes[0].cms->known[1].reason, ==, NODE_REASON_HEARD_AGAIN);
                g_assert_false(view_at_1(w, s, 2).proven);
        }
        world_free(w);
        cms_sim_free(s);
}

static void test_newest_life_has_to_be_proven(void) {
        newest_life_has_to_be_proven(false);
        newest_life_has_to_be_proven(true);
}

/* Nodes 3 and 4 are off. Node 3 comes back, and is lost again: now node 4, of which nobody heard since, has
 * to be proven once more, for nobody looked at it while node 3 was there. That it is `down` tells less. */
static void test_proof_ends_with_the_split(void) {
        World *w;
        CmsSim *s = formed(4, &w);

        for (uint32_t id = 3; id <= 4; id++)
                world_power_off(w, id, true);
        run(w, 2 * USEC_PER_SEC);
        for (uint32_t id = 3; id <= 4; id++)
                confirm_at_1(w, s, id, view_at_1(w, s, id).newest_incarnation);
        g_assert_true(cms_sim_is_settled(w, s, 3));
        g_assert_true(view_at_1(w, s, 3).proven && view_at_1(w, s, 4).proven);

        world_start(w, 3, true);
        run(w, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(w, s, 7));
        world_power_off(w, 3, true);
        run(w, 2 * USEC_PER_SEC);
        confirm_at_1(w, s, 3, view_at_1(w, s, 3).newest_incarnation);
        g_assert_false(membership_at_1(s)->quorate);
        g_assert_cmpint(membership_node(membership_at_1(s), 4)->state, ==, NODE_DOWN);
        g_assert_true(view_at_1(w, s, 3).proven);
        g_assert_false(view_at_1(w, s, 4).proven);

        confirm_at_1(w, s, 4, view_at_1(w, s, 4).newest_incarnation);
        g_assert_true(cms_sim_is_settled(w, s, 3));
        world_free(w);
        cms_sim_free(s);
}

/* ---- None has quorum ---- */

/* One-way cuts leave no three nodes together: {1 4} and {2 3} settle, and node 5, which hears three of them
 * and is heard by two, is wanted by nobody. It does not wait in the membership that is over, which it would
 * show as quorate, but stands alone; and then all stay where they are. */
static void test_nobody_is_left_in_what_is_over(void) {
        static const uint8_t cuts[][2] = { { 4, 5 }, { 5, 3 }, { 1, 2 }, { 2, 4 }, { 4, 3 } };

        for (uint64_t seed = 1; seed <= 20; seed++) {
                World *w;
                CmsSim *s = formed(5, &w);
                uint64_t n_memberships;

                prng_init(&w->prng, seed);
                run(w, prng_below(&w->prng, 200) * USEC_PER_MSEC);
                for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++)
                        world_cut(w, node_set_of(cuts[i][0]), node_set_of(cuts[i][1]), WORLD_ALL_LINKS);
                run(w, 5 * USEC_PER_SEC);
                for (uint32_t id = 1; id <= 5; id++) {
                        const Membership *m = cms_membership(s->nodes[id - 1].cms);

                        g_assert_nonnull(m);
                        g_assert_false(m->quorate);
                        g_assert_false(cms_in_transition(s->nodes[id - 1].cms));
                }
                n_memberships = s->n_memberships;
                run(w, 5 * USEC_PER_SEC);
                g_assert_cmpuint(s->n_memberships, ==, n_memberships);
                world_free(w);
                cms_sim_free(s);
        }
}

void story_add_half(void) {
        g_test_add_func("/cms/half/newest-life-has-to-be-proven", test_newest_life_has_to_be_proven);
        g_test_add_func("/cms/half/proof-ends-with-the-split", test_proof_ends_with_the_split);
        g_test_add_func("/cms/half/nobody-is-left-in-what-is-over", test_nobody_is_left_in_what_is_over);
}
