/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who is missed, and when; and what proves a boot to be over. */

#include "sim/story.h"

/* ---- detection ---- */

static void test_short_silence_changes_nothing(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;

        world_pause(t->w, 2);
        story_run(t, 280 * MSEC);
        world_resume(t->w, 2);
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, before));
        g_assert_true(mid_equal(story_membership(t, 2)->mid, before));
        story_free(t);
}

static void test_silence_removes(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;
        uint64_t took;

        world_pause(t->w, 2);
        took = story_settle(t, 5, USEC_PER_SEC);
        g_assert_cmpuint(took, >=, 300 * MSEC);
        g_assert_cmpuint(took, <=, 450 * MSEC);
        g_assert_cmpint(mid_compare(story_membership(t, 1)->mid, before), >, 0);
        g_assert_cmpint(membership_node(story_membership(t, 1), 2)->state, ==, NODE_UNKNOWN);
        g_assert_cmpint(membership_node(story_membership(t, 1), 2)->reason, ==, NODE_REASON_SILENCE);
        g_assert_true(mid_equal(membership_node(story_membership(t, 1), 2)->last_mid, before));

        /* Awake, it learns that it was shut out, and is taken in again. */
        t->n_heard = 0;
        world_resume(t->w, 2);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        for (unsigned i = 0;; i++) {
                g_assert_cmpuint(i, <, t->n_heard);
                if (t->heard[i].at_node == 2 && t->heard[i].n.type == CMS_NOTIFICATION_NODE &&
                    t->heard[i].n.node.change == CMS_NODE_EXCLUDED)
                        break;
        }
        story_free(t);
}

static void test_last_gasp_is_quick(void) {
        for (uint32_t victim = 1; victim <= 3; victim++)
                for (unsigned seed = 0; seed < 50; seed++) {
                        Story *t = story_settled(3);

                        prng_init(&t->w->prng, seed);
                        cms_sim_crash_with_gasp(t->w, t->s, victim, true);
                        g_assert_cmpuint(
                                        story_settle(t, node_set_without(SET3, victim), USEC_PER_SEC),
                                        <=,
                                        120 * MSEC);
                        STORY_FOREACH_STABLE(h, t)
                                g_assert_true(h->stable.quorate);
                        story_free(t);
                }
}

static void test_last_gasp_of_the_living_is_suspicion_once(void) {
        Story *t = story_settled(3);
        CmsEvent gasp = { .type = CMS_EVENT_LAST_GASP, .last_gasp = { 2, cms_sim_incarnation(t->w, 2) } };
        Mid mid;

        story_feed(t, 1, gasp);
        story_feed(t, 3, gasp);
        g_assert_false(story_peer_view(t, 1, 2).heard);
        story_run(t, 2 * USEC_PER_SEC);
        story_settle(t, SET3, USEC_PER_SEC);
        mid = story_membership(t, 1)->mid;
        story_feed(t, 1, gasp);
        story_feed(t, 3, gasp);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, mid));

        /* And of another incarnation it is nothing at all. */
        gasp.last_gasp.incarnation++;
        story_feed(t, 1, gasp);
        g_assert_true(story_peer_view(t, 1, 2).heard);
        story_free(t);
}

static void test_loss_of_all_carriers(void) {
        Story *t = story_settled(3);

        world_carrier(t->w, 1, 0, false);
        story_run(t, 100 * MSEC);
        g_assert_false(cms_in_transition(story_cms(t, 1)));
        world_carrier(t->w, 1, 1, false);
        story_run(t, 10 * MSEC);
        g_assert_false(story_peer_view(t, 1, 2).heard);
        g_assert_true(cms_in_transition(story_cms(t, 1)) || !story_membership(t, 1)->quorate);
        story_settle(t, 6, USEC_PER_SEC);
        world_heal_all(t->w);
        story_settle(t, SET3, 3 * USEC_PER_SEC);
        story_free(t);
}

static void test_one_link_is_enough(void) {
        Story *t = story_settled(3);
        Mid mid = story_membership(t, 1)->mid;

        world_cut(t->w, SET3, SET3, 0);
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, mid));
        g_assert_cmpuint(story_peer_view(t, 1, 2).heard_age_usec[0], >=, 2 * USEC_PER_SEC);
        g_assert_cmpuint(story_peer_view(t, 1, 2).heard_age_usec[1], <=, 200 * MSEC);
        story_free(t);
}

static void test_own_pause_accuses_nobody(void) {
        Story *t = story_settled(5);
        Mid mid = story_membership(t, 2)->mid;

        /* All are starved at once, as on an overloaded host. */
        for (uint32_t id = 1; id <= 5; id++)
                world_pause(t->w, id);
        story_run(t, 2 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 5; id++)
                world_resume(t->w, id);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 2)->mid, mid));
        story_free(t);
}

static void test_restart_is_leave_then_join(void) {
        Story *t = story_settled(3);
        uint64_t former = cms_sim_incarnation(t->w, 3), present;
        unsigned going = 0, coming = 0, stable = 0;

        world_crash(t->w, 3, true);
        story_run(t, 20 * MSEC);
        world_start(t->w, 3, false);
        present = cms_sim_incarnation(t->w, 3);
        g_assert_cmpuint(story_settle(t, SET3, USEC_PER_SEC), <=, 150 * MSEC);
        g_assert_true(membership_has(story_membership(t, 1), 3, present));
        for (unsigned i = 0; i < t->n_heard; i++) {
                const Heard *h = &t->heard[i];

                if (h->at_node != 1)
                        continue;
                if (h->n.type == CMS_NOTIFICATION_STABLE && h->stable.members == SET3 && stable == 0)
                        stable = i + 1;
                if (h->n.type != CMS_NOTIFICATION_NODE || h->n.node.node != 3)
                        continue;
                if (h->n.node.change == CMS_NODE_GOING && h->n.node.incarnation == former)
                        going = i + 1;
                if (h->n.node.change == CMS_NODE_COMING && h->n.node.incarnation == present)
                        coming = i + 1;
        }
        g_assert_cmpuint(going, >, 0);
        g_assert_cmpuint(coming, >, going);
        g_assert_cmpuint(stable, >, coming);
        g_assert_cmpuint(membership_rank_of(story_membership(t, 1), 3), ==, 2);
        story_free(t);
}

/* Until the coordinator hears the new life too, whoever does hear it seems not to hear that node, and must
 * not be left out for it. */
static void test_restart_costs_nobody_else(void) {
        Story *t = story_settled(5);

        story_lose(t, STORY_ANY_MESSAGE, node_set_of(3), node_set_of(1));
        world_crash(t->w, 3, true);
        world_start(t->w, 3, false);
        story_run(t, 50 * MSEC);
        story_lose_nothing(t);
        story_settle(t, 31, USEC_PER_SEC);
        STORY_FOREACH_STABLE(h, t)
                g_assert_true(node_set_is_subset(node_set_without(31, 3), h->stable.members));
        story_free(t);
}

static void test_new_boot_is_proof_of_the_old(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, true);
        story_settle(t, 3, USEC_PER_SEC);
        g_assert_cmpint(membership_node(story_membership(t, 1), 3)->state, ==, NODE_UNKNOWN);
        /* It comes back as another machine boot, is heard, but cannot join: it does not hear the others. */
        world_cut(t->w, 3, 4, WORLD_ALL_LINKS);
        world_start(t->w, 3, true);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpint(story_cms(t, 1)->known[2].state, ==, NODE_DOWN);
        g_assert_cmpint(story_cms(t, 1)->known[2].reason, ==, NODE_REASON_NEW_BOOT);
        g_assert_false(story_cms(t, 1)->known[2].proven);
        story_free(t);
}

/* Node 1 slept through a boot of node 3, and still believes in the life before it. */
static void test_earlier_boot_proves_nothing(void) {
        Story *t = story_new(5);

        t->s->config.votes[3] = 2;
        story_start_all(t);
        story_settle(t, 0x1f, 2 * USEC_PER_SEC);
        world_cut(t->w, 2, 1, WORLD_ALL_LINKS);
        world_pause(t->w, 1);
        story_run(t, 150 * MSEC);
        world_power_off(t->w, 3, true);
        story_settle(t, 0x1a, 2 * USEC_PER_SEC);
        story_run(t, 10 * USEC_PER_SEC); /* its sockets are full by now */
        world_start(t->w, 3, true);
        story_settle(t, 0x1e, 2 * USEC_PER_SEC);
        story_cut(t, 4, 0x1b);
        story_settle(t, 0x1a, 2 * USEC_PER_SEC);
        world_crash(t->w, 2, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_false(story_membership(t, 4)->quorate);

        /* The others call in vain. */
        story_lose(t, CMS_MESSAGE_INQUIRE, node_set_without(NODE_SET_ALL, 1), NODE_SET_ALL);
        world_resume(t->w, 1);
        story_settle(t, 0x19, USEC_PER_SEC);
        g_assert_cmpint(membership_node(story_membership(t, 4), 3)->state, ==, NODE_UNKNOWN);
        story_free(t);
}

static void test_confirmed_and_heard_again(void) {
        Story *t = story_settled(3);
        const Membership *m;

        t->s->device_lies = true;
        story_cut(t, 3, 4);
        story_settle(t, 3, USEC_PER_SEC);
        m = story_membership(t, 1);
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        g_assert_cmpint(story_cms(t, 1)->known[2].state, ==, NODE_DOWN);
        world_cut(t->w, 3, 4, WORLD_ALL_LINKS);
        world_heal(t->w, 4, 3, WORLD_ALL_LINKS); /* the device lied: it is heard */
        story_run(t, 300 * MSEC);
        g_assert_cmpint(story_cms(t, 1)->known[2].state, ==, NODE_UNKNOWN);
        g_assert_cmpint(story_cms(t, 1)->known[2].reason, ==, NODE_REASON_HEARD_AGAIN);
        story_free(t);
}

void story_add_detect(void) {
        g_test_add_func("/cms/detect/short-silence-changes-nothing", test_short_silence_changes_nothing);
        g_test_add_func("/cms/detect/silence-removes", test_silence_removes);
        g_test_add_func("/cms/detect/last-gasp-is-quick", test_last_gasp_is_quick);
        g_test_add_func("/cms/detect/last-gasp-of-the-living",
                        test_last_gasp_of_the_living_is_suspicion_once);
        g_test_add_func("/cms/detect/loss-of-all-carriers", test_loss_of_all_carriers);
        g_test_add_func("/cms/detect/one-link-is-enough", test_one_link_is_enough);
        g_test_add_func("/cms/detect/own-pause-accuses-nobody", test_own_pause_accuses_nobody);
        g_test_add_func("/cms/detect/restart-is-leave-then-join", test_restart_is_leave_then_join);
        g_test_add_func("/cms/detect/restart-costs-nobody-else", test_restart_costs_nobody_else);
        g_test_add_func("/cms/detect/new-boot-is-proof-of-the-old", test_new_boot_is_proof_of_the_old);
        g_test_add_func("/cms/detect/earlier-boot-proves-nothing", test_earlier_boot_proves_nothing);
        g_test_add_func("/cms/detect/confirmed-and-heard-again", test_confirmed_and_heard_again);
}
