/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The faults of the swarm, each told once: what becomes of a cluster, and what must not. */

#include "sim/story.h"

static bool is_unchanged(Story *t, Mid before) {
        for (uint32_t id = 1; id <= t->w->n_nodes; id++)
                if (!story_membership(t, id) || !mid_equal(story_membership(t, id)->mid, before))
                        return false;
        return true;
}

static CmsRecord record_of(Story *t, uint32_t node) {
        const WorldPart *part = world_stored(t->w, node, WORLD_CMS);
        CmsRecord record;
        ByteReader r;

        g_assert_nonnull(part);
        byte_reader_init(&r, part->data, part->size_bytes);
        cms_record_decode(&r, &record);
        g_assert_cmpint(byte_reader_finish(&r), ==, 0);
        return record;
}

/* ---- machines that do not run ---- */

static void test_rest(WorldRest rest) {
        Story *t = story_settled(3);
        uint64_t clock, passed;
        unsigned n_going = 0;

        world_rest(t->w, 2, rest);
        clock = world_clock(t->w, 2);
        story_settle(t, 5, USEC_PER_SEC);
        story_run(t, 3 * USEC_PER_SEC);
        passed = world_clock(t->w, 2) - clock;
        g_assert_true(rest == WORLD_REST_STOP ? passed == 0 : passed > 3 * USEC_PER_SEC);

        /* Whoever did not run accuses nobody, and learns that it was shut out. */
        t->n_heard = 0;
        world_resume(t->w, 2);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        for (unsigned i = 0; i < t->n_heard; i++)
                n_going += t->heard[i].at_node == 2 && t->heard[i].n.type == CMS_NOTIFICATION_NODE &&
                           t->heard[i].n.node.change == CMS_NODE_GOING;
        g_assert_cmpuint(n_going, ==, 0);
        story_free(t);
}

static void test_suspend(void) {
        test_rest(WORLD_REST_SUSPEND);
}

static void test_stop_by_host(void) {
        test_rest(WORLD_REST_STOP);
}

static void test_slow_node_costs_nobody(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;

        world_slow(t->w, 2, 15 * MSEC);
        story_run(t, 10 * USEC_PER_SEC);
        g_assert_true(is_unchanged(t, before));

        /* Far too slow, and so lost: the others go on. */
        world_slow(t->w, 2, 300 * MSEC);
        story_settle(t, 5, 5 * USEC_PER_SEC);
        world_slow(t->w, 2, 0);
        story_settle(t, SET3, 10 * USEC_PER_SEC);
        story_free(t);
}

static void test_restarts_take_quorum_from_nobody(void) {
        Story *t = story_settled(3);

        for (unsigned i = 0; i < 10; i++) {
                world_crash(t->w, 3, i % 2 == 0);
                story_run(t, 20 * MSEC);
                world_start(t->w, 3, false);
                story_run(t, 130 * MSEC);
                story_settle(t, node_set_contains(story_members(t, 1), 3) ? SET3 : 3, USEC_PER_SEC);
        }
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        story_free(t);
}

static void test_clocks_run_apart(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;
        uint64_t took;

        world_set_clock_rate(t->w, 1, 5000);
        world_set_clock_rate(t->w, 2, -5000);
        story_run(t, 60 * USEC_PER_SEC);
        g_assert_true(is_unchanged(t, before));
        world_pause(t->w, 3);
        took = story_settle(t, 3, USEC_PER_SEC);
        g_assert_cmpuint(took, >=, 295 * MSEC);
        g_assert_cmpuint(took, <=, 455 * MSEC);
        story_free(t);
}

/* ---- links ---- */

static void test_corruption_is_loss(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;

        t->w->knobs.corrupt_ppm = 200000;
        story_run(t, 30 * USEC_PER_SEC);
        g_assert_cmpuint(t->w->counts.n_corrupted, >, 100);
        g_assert_true(is_unchanged(t, before));
        story_free(t);
}

static void test_one_long_way(void) {
        Story *t = story_settled(3);
        Mid before = story_membership(t, 1)->mid;

        world_lengthen(t->w, 1, 2, 250 * MSEC);
        story_run(t, 5 * USEC_PER_SEC);
        g_assert_true(is_unchanged(t, before));

        /* It is only slow: a ballot over it ends as well. */
        world_crash(t->w, 3, true);
        story_settle(t, 3, 3 * USEC_PER_SEC);
        story_free(t);
}

static void test_flapping_ends_in_holding_off(void) {
        Story *t = story_settled(3);
        uint64_t before = t->s->n_memberships, early = 0;

        for (unsigned i = 0; i < 60; i++) {
                world_cut(t->w, 2, 4, WORLD_ALL_LINKS);
                story_run(t, 500 * MSEC);
                world_heal(t->w, 2, 4, WORLD_ALL_LINKS);
                story_run(t, 500 * MSEC);
                if (i == 29)
                        early = t->s->n_memberships;
        }
        g_assert_cmpuint(early - before, >, 0);
        g_assert_cmpuint(t->s->n_memberships - early, <=, (early - before) / 2);
        story_settle(t, SET3, 20 * USEC_PER_SEC);
        story_free(t);
}

/* ---- disks ---- */

static void power_loss_in_write(Story *t, uint32_t node, WorldWriteFate fate) {
        world_doom_write(t->w, node, fate);
        for (unsigned i = 0; t->w->nodes[node - 1].up; i++) {
                g_assert_cmpuint(i, <, 100000);
                story_run(t, 10);
        }
}

/* The record is the former one, or the new one, and never anything else. */
static void test_write_is_cut_short(void) {
        for (WorldWriteFate fate = WORLD_WRITE_LOST; fate <= WORLD_WRITE_TORN; fate++)
                for (unsigned times = 1; times <= 3; times++) {
                        Story *t = story_settled(3);

                        for (unsigned i = 0; i < times; i++) {
                                Mid promised, now;

                                story_run(t, 100 * MSEC);
                                promised = record_of(t, 2).promised;
                                world_crash(t->w, 3, true);
                                power_loss_in_write(t, 2, fate);
                                now = record_of(t, 2).promised;
                                g_assert_true(fate == WORLD_WRITE_DONE ? mid_compare(now, promised) > 0
                                                                       : mid_equal(now, promised));
                                g_assert_cmpuint(
                                                t->w->counts.n_torn,
                                                ==,
                                                fate == WORLD_WRITE_TORN ? i + 1 : 0);
                                world_start(t->w, 2, true);
                                world_start(t->w, 3, false);
                                story_settle(t, SET3, 3 * USEC_PER_SEC);
                        }
                        story_free(t);
                }
}

static void test_blackout(void) {
        for (unsigned seed = 0; seed < 20; seed++) {
                Story *t = story_settled(5);
                Mid before = story_membership(t, 1)->mid;

                prng_init(&t->w->prng, seed);
                world_crash(t->w, 5, true);
                for (uint32_t id = 1; id <= 4; id++)
                        power_loss_in_write(t, id, (WorldWriteFate) ((id + seed) % 3));
                story_start_all(t);
                story_settle(t, 0x1f, 3 * USEC_PER_SEC);
                g_assert_true(story_membership(t, 1)->first);
                g_assert_cmpint(mid_compare(story_membership(t, 1)->mid, before), >, 0);
                story_free(t);
        }
}

/* Not among the faults of the swarm, and why is said in faults.c. While a quorum of the others remembers,
 * what a node forgot harms nobody: its number was used by them, and it takes the next one. */
static void test_older_storage_among_others_that_remember(void) {
        Story *t = story_settled(5);
        Mid newest;

        world_keep_backup(t->w, 5);
        for (unsigned i = 0; i < 3; i++) {
                world_crash(t->w, 4, true);
                story_settle(t, 0x17, 2 * USEC_PER_SEC);
                world_start(t->w, 4, false);
                story_settle(t, 0x1f, 2 * USEC_PER_SEC);
        }
        newest = record_of(t, 5).promised;
        world_power_off(t->w, 5, WORLD_WRITE_DONE);
        world_roll_back(t->w, 5);
        g_assert_cmpint(mid_compare(record_of(t, 5).promised, newest), <, 0);
        story_settle(t, 0x0f, 2 * USEC_PER_SEC);
        world_start(t->w, 5, true);
        story_settle(t, 0x1f, 2 * USEC_PER_SEC);
        g_assert_cmpint(mid_compare(record_of(t, 5).promised, newest), >, 0);
        story_free(t);
}

/* ---- versions ---- */

static void test_other_version_is_told_and_not_counted(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, true);
        world_set_version(t->w, 3, 1);
        world_start(t->w, 3, false);
        story_settle(t, 3, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_VERSION);
        g_assert_cmpint(story_peer_view(t, 3, 1).problem, ==, CMS_PROBLEM_VERSION);
        g_assert_cmphex(story_members(t, 3), ==, 4);
        g_assert_false(story_membership(t, 3)->quorate);

        /* The others follow, one after the other: whoever is more than half works. */
        world_crash(t->w, 2, true);
        world_set_version(t->w, 2, 1);
        world_start(t->w, 2, false);
        story_settle(t, 6, 3 * USEC_PER_SEC);
        world_crash(t->w, 1, true);
        world_set_version(t->w, 1, 1);
        world_start(t->w, 1, false);
        story_settle(t, SET3, 3 * USEC_PER_SEC);
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_NONE);
        story_free(t);
}

void story_add_faults(void) {
        g_test_add_func("/cms/faults/suspend", test_suspend);
        g_test_add_func("/cms/faults/stop-by-host", test_stop_by_host);
        g_test_add_func("/cms/faults/slow-node-costs-nobody", test_slow_node_costs_nobody);
        g_test_add_func("/cms/faults/restarts-take-quorum-from-nobody",
                        test_restarts_take_quorum_from_nobody);
        g_test_add_func("/cms/faults/clocks-run-apart", test_clocks_run_apart);
        g_test_add_func("/cms/faults/corruption-is-loss", test_corruption_is_loss);
        g_test_add_func("/cms/faults/one-long-way", test_one_long_way);
        g_test_add_func("/cms/faults/flapping-ends-in-holding-off", test_flapping_ends_in_holding_off);
        g_test_add_func("/cms/faults/write-is-cut-short", test_write_is_cut_short);
        g_test_add_func("/cms/faults/blackout", test_blackout);
        g_test_add_func("/cms/faults/older-storage-among-others-that-remember",
                        test_older_storage_among_others_that_remember);
        g_test_add_func("/cms/faults/other-version-is-told-and-not-counted",
                        test_other_version_is_told_and_not_counted);
}
