/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of leases (R11): until when a node may rely on being a member, and from when on others may count
 * it as gone by time alone. The checker holds the two apart after every step. */

#include "sim/story.h"

#define BEAT (100 * MSEC)
#define FAILURE (400 * MSEC)
#define LEASE (CMS_LEASE_FAILURES_DEFAULT * FAILURE)
#define ON_THE_WAY (5 * MSEC)

static uint64_t held_usec(Story *t, uint32_t node) {
        return usec_sub(cms_lease_usec(story_cms(t, node)), world_clock(t->w, node));
}

/* In how long the node counts the other one's lease as over. */
static uint64_t over_in_usec(Story *t, uint32_t node, uint32_t other) {
        uint64_t over = cms_lease_over_usec(story_cms(t, node), other);

        return over == USEC_INFINITY ? over : usec_sub(over, world_clock(t->w, node));
}

static void await_members(Story *t, uint32_t node, NodeSet members) {
        for (unsigned i = 0; i < 3000; i++) {
                const Membership *m = story_membership(t, node);

                if (m && m->members == members)
                        return;
                story_run(t, MSEC);
        }
        world_print_trace(t->w, 200);
        g_error("n%u has not installed it", node);
}

static void test_is_renewed_with_each_heartbeat(void) {
        Story *t = story_settled(3);

        for (unsigned i = 0; i < 50; i++) {
                story_run(t, 17 * MSEC);
                for (uint32_t id = 1; id <= 3; id++) {
                        /* Ours has to come there, and waits for the next one from there. */
                        g_assert_cmpuint(held_usec(t, id), >, LEASE - 2 * BEAT - 2 * ON_THE_WAY);
                        g_assert_cmpuint(held_usec(t, id), <=, LEASE);
                        for (uint32_t other = 1; other <= 3; other++)
                                g_assert_cmpuint(over_in_usec(t, id, other), ==, USEC_INFINITY);
                }
        }
        story_free(t);
}

static void test_needs_no_other_where_one_suffices(void) {
        Story *t = story_settled(1);

        story_run(t, 3 * LEASE);
        g_assert_cmpuint(held_usec(t, 1), >=, LEASE - BEAT);
        story_free(t);
}

/* Only the link between two of three dies. The one that is left out still hears, and is heard by, a member.
 */
static void test_of_whom_a_member_hears_ends(void) {
        Story *t = story_settled(3);
        uint32_t out;
        uint64_t left;

        story_cut(t, 1, 4);
        story_run(t, USEC_PER_SEC);
        out = story_membership(t, 2)->members == 3 ? 3 : 1;
        left = held_usec(t, out);
        g_assert_cmpuint(left, <, LEASE - 500 * MSEC);
        story_run(t, left + MSEC);
        g_assert_cmpuint(held_usec(t, out), ==, 0);
        story_run(t, LEASE / 10);
        /* A node still heard is never counted down by time, by those who do not hear it either. */
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_cmpuint(over_in_usec(t, id, out), ==, USEC_INFINITY);
        story_cut(t, node_set_of(out), 2);
        story_run(t, 2 * FAILURE);
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_cmpuint(over_in_usec(t, id, out), ==, id == out ? USEC_INFINITY : 0);
        story_free(t);
}

/* What it was promised is as long as its configuration says, which a later life may not know. */
static void test_of_a_node_never_met_is_not_known(void) {
        Story *t = story_settled(3);

        story_cut(t, 4, 3);
        for (uint32_t id = 1; id <= 2; id++) {
                world_crash(t->w, id, true);
                world_start(t->w, id, true);
        }
        await_members(t, 1, 3);
        story_run(t, 2 * LEASE);
        for (uint32_t id = 1; id <= 2; id++)
                g_assert_cmpuint(over_in_usec(t, id, 3), ==, USEC_INFINITY);
        story_free(t);
}

/* From the last echo, and most of it has passed when the membership stands. */
static void test_of_a_lost_node_runs_from_the_last_echo(void) {
        Story *t = story_settled(3);
        uint64_t over = 0;

        world_crash(t->w, 3, true);
        await_members(t, 1, 3);
        story_run(t, ON_THE_WAY);
        for (uint32_t id = 1; id <= 2; id++) {
                over = over_in_usec(t, id, 3);
                g_assert_cmpuint(over, <, LEASE + LEASE / 50 - FAILURE + 2 * BEAT);
                g_assert_cmpuint(over, >, LEASE - FAILURE - 2 * BEAT);
        }
        story_run(t, over + 1);
        g_assert_cmpuint(over_in_usec(t, 2, 3), ==, 0);
        story_free(t);
}

/* Who installs what a heartbeat shows was told no ages; none is younger than that moment. */
static void test_of_a_lost_node_after_a_lost_commit(void) {
        Story *t = story_settled(3);

        story_lose(t, CMS_MESSAGE_COMMIT, NODE_SET_ALL, node_set_of(2));
        world_crash(t->w, 3, true);
        await_members(t, 2, 3);
        g_assert_cmpuint(over_in_usec(t, 2, 3), >=, LEASE);
        g_assert_cmpuint(over_in_usec(t, 1, 3), <, LEASE);
        story_free(t);
}

/* Whoever echoed may have died since: its successor can only say since when it lives. */
static void test_echo_of_a_member_that_restarted_counts(void) {
        Story *t = story_settled(5);
        uint64_t held;

        story_cut(t, 0x10, 0x0d); /* n5 is echoed by n2 alone, and loses its quorum with it */
        story_run(t, 10 * MSEC);
        world_crash(t->w, 2, true);
        world_start(t->w, 2, true);
        story_cut(t, 0x10, 0x02);
        await_members(t, 1, 0x0f);
        story_run(t, ON_THE_WAY);
        held = held_usec(t, 5);
        g_assert_cmpuint(held, >, 0);
        for (uint32_t id = 1; id <= 4; id++)
                g_assert_cmpuint(over_in_usec(t, id, 5), >, held);
        story_free(t);
}

static void test_runs_on_in_a_pause(void) {
        Story *t = story_settled(3);

        world_pause(t->w, 3);
        story_run(t, LEASE + USEC_PER_SEC);
        g_assert_cmpuint(over_in_usec(t, 1, 3), ==, 0);
        /* What it does first, it does without. */
        g_assert_cmpuint(held_usec(t, 3), ==, 0);
        world_resume(t->w, 3);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpuint(held_usec(t, 3), >, 0);
        story_free(t);
}

static void test_of_half_is_no_matter_of_time(void) {
        Story *t = story_settled(4);

        story_cut(t, 3, 12);
        story_run(t, 10 * LEASE);
        for (uint32_t id = 1; id <= 4; id++) {
                g_assert_cmpuint(held_usec(t, id), ==, 0);
                for (uint32_t other = 1; other <= 4; other++)
                        g_assert_cmpuint(over_in_usec(t, id, other), ==, USEC_INFINITY);
        }
        story_free(t);
}

typedef enum SingleFault {
        FAULT_CRASH,
        FAULT_PAUSE,
        FAULT_CUT_PAIR,
        FAULT_CUT_ONE_WAY,
        FAULT_DISK_HANGS,
        _SINGLE_FAULT_MAX,
} SingleFault;

static void strike(Story *t, SingleFault fault, uint32_t node) {
        uint32_t next = node % t->w->n_nodes + 1;

        switch (fault) {
        case FAULT_CRASH:
                world_crash(t->w, node, true);
                return;
        case FAULT_PAUSE:
                world_pause(t->w, node);
                return;
        case FAULT_CUT_PAIR:
                story_cut(t, node_set_of(node), node_set_of(next));
                return;
        case FAULT_CUT_ONE_WAY:
                world_cut(t->w, node_set_of(node), node_set_of(next), WORLD_ALL_LINKS);
                return;
        case FAULT_DISK_HANGS:
                world_disk(t->w, node, false, true);
                return;
        case _SINGLE_FAULT_MAX:
                break;
        }
        g_assert_not_reached();
}

/* R11: the longest agreement under a single fault is below half the lease, so that of those who go on
 * nobody's ends. */
static void outlast(SingleFault fault, uint32_t node, uint64_t offset_usec) {
        uint64_t lease = CMS_LEASE_FAILURES_MIN * FAILURE;
        Story *t = story_new(5);

        t->s->config.lease_usec = lease;
        story_start_all(t);
        story_run(t, 2 * USEC_PER_SEC);
        story_run(t, offset_usec);
        strike(t, fault, node);
        for (unsigned i = 0; i < 400; i++) {
                story_run(t, 10 * MSEC);
                for (uint32_t id = 1; id <= 5; id++) {
                        const Membership *m;

                        if (id == node || !t->s->nodes[id - 1].cms || t->w->nodes[id - 1].paused)
                                continue;
                        m = story_membership(t, id);
                        if (m && m->quorate)
                                g_assert_cmpuint(held_usec(t, id), >, lease / 2);
                }
        }
        story_free(t);
}

static void test_outlasts_agreement(void) {
        for (SingleFault fault = FAULT_CRASH; fault < _SINGLE_FAULT_MAX; fault++)
                for (uint32_t node = 1; node <= 5; node++)
                        for (uint64_t offset = 0; offset < BEAT; offset += 23 * MSEC)
                                outlast(fault, node, offset);
}

void story_add_lease(void) {
        g_test_add_func("/cms/lease/renewed-with-each-heartbeat", test_is_renewed_with_each_heartbeat);
        g_test_add_func("/cms/lease/alone", test_needs_no_other_where_one_suffices);
        g_test_add_func("/cms/lease/of-whom-a-member-hears-ends", test_of_whom_a_member_hears_ends);
        g_test_add_func("/cms/lease/of-a-node-never-met", test_of_a_node_never_met_is_not_known);
        g_test_add_func("/cms/lease/from-the-last-echo", test_of_a_lost_node_runs_from_the_last_echo);
        g_test_add_func("/cms/lease/after-a-lost-commit", test_of_a_lost_node_after_a_lost_commit);
        g_test_add_func("/cms/lease/echo-of-a-member-that-restarted",
                        test_echo_of_a_member_that_restarted_counts);
        g_test_add_func("/cms/lease/runs-on-in-a-pause", test_runs_on_in_a_pause);
        g_test_add_func("/cms/lease/half-is-no-matter-of-time", test_of_half_is_no_matter_of_time);
        g_test_add_func("/cms/lease/outlasts-agreement", test_outlasts_agreement);
}
