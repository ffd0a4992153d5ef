/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Disks that hang, are full, or were wiped. */

#include "sim/story.h"

/* ---- disks ---- */

static void test_hung_disk_is_left_out(void) {
        Story *t = story_settled(4);

        world_disk(t->w, 3, false, true);
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_cmphex(story_members(t, 1), ==, 0x0f); /* nothing asked it to write: nothing changes */
        world_crash(t->w, 4, true);
        story_run(t, 5 * USEC_PER_SEC);
        g_assert_false(story_membership(t, 1)->quorate); /* 1 and 2 are half of four: 3 would be needed */
        world_disk(t->w, 3, false, false);
        story_settle(t, 0x07, 10 * USEC_PER_SEC);

        world_start(t->w, 4, true);
        story_settle(t, 0x0f, 5 * USEC_PER_SEC);
        story_free(t);

        t = story_settled(5);
        world_disk(t->w, 3, false, true);
        world_crash(t->w, 5, true);
        story_settle(t, 0x0b, 3 * USEC_PER_SEC);
        g_assert_cmpint(membership_node(story_membership(t, 1), 3)->reason, ==, NODE_REASON_NO_ANSWER);
        world_disk(t->w, 3, false, false);
        story_settle(t, 0x0f, 15 * USEC_PER_SEC);
        story_free(t);
}

/* R3: what GCS has to write is waited for by all. Whoever cannot write it is left out, comes back when it
 * can, and waits longer each time. */
static void test_member_that_cannot_write_is_left_out(void) {
        Story *t = story_settled(4);
        uint64_t before = 0;

        for (unsigned i = 0; i < 4; i++) {
                uint64_t back;

                world_disk(t->w, 3, i % 2 == 0, i % 2 == 1);
                story_feed(t, 3, (CmsEvent){ .type = CMS_EVENT_STORE });
                story_settle(t, 0x0b, 2 * USEC_PER_SEC);
                g_assert_cmpint(membership_node(story_membership(t, 1), 3)->reason,
                                ==,
                                NODE_REASON_NO_ANSWER);
                g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
                world_disk(t->w, 3, false, false);
                back = story_settle(t, 0x0f, 10 * USEC_PER_SEC);
                if (i > 1)
                        g_assert_cmpuint(back, >, before + before / 2);
                before = back;
        }
        story_free(t);

        /* But not when the others are no majority without it. */
        t = story_settled(4);
        world_crash(t->w, 4, true);
        story_settle(t, 0x07, 2 * USEC_PER_SEC);
        world_disk(t->w, 3, true, false);
        story_feed(t, 3, (CmsEvent){ .type = CMS_EVENT_STORE });
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x07));
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
        story_free(t);
}

static void test_full_disk_says_so(void) {
        Story *t = story_settled(3);

        world_disk(t->w, 2, true, false);
        cms_sim_crash_with_gasp(t->w, t->s, 3, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_cmpint(story_peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
        world_disk(t->w, 2, false, false);
        story_settle(t, 3, 10 * USEC_PER_SEC);
        story_free(t);
}

static void test_wiped_node_is_taken_in(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, false);
        world_wipe(t->w, 3);
        story_settle(t, 3, USEC_PER_SEC);
        world_start(t->w, 3, true);
        story_settle(t, SET3, USEC_PER_SEC);
        story_run(t, 100 * USEC_PER_MSEC); /* in which the history comes */
        g_assert_false(story_cms(t, 3)->no_record);

        /* From now on its word counts: it and one other are a quorum. */
        story_cut(t, 1, 6);
        story_settle(t, 6, 2 * USEC_PER_SEC);
        story_free(t);
}

/* R8, R4: 1 and 3 went on without 2; then 3 loses its storage, and it and 2 come back to 1, which alone
 * knows how far the history went, and is lost before it has told. 2 and 3 installed it as a quorum of three;
 * they are none without it. */
static void test_wiped_node_counts_with_the_history(void) {
        Story *t = story_settled(3);
        Mid mid;

        story_cut(t, 0x2, 0x5);
        story_settle(t, 0x5, 2 * USEC_PER_SEC);
        world_crash(t->w, 3, true);
        world_wipe(t->w, 3);
        story_run(t, 2 * USEC_PER_SEC);
        world_heal_all(t->w);
        world_start(t->w, 3, true);
        while (!story_membership(t, 2) || story_membership(t, 2)->members != SET3 ||
               !story_membership(t, 3) || !story_membership(t, 3)->quorate) {
                g_assert_cmpuint(t->w->now_usec, <, 60 * USEC_PER_SEC);
                story_run(t, 100);
        }
        mid = story_membership(t, 2)->mid;
        g_assert_true(story_cms(t, 3)->no_record);
        world_crash(t->w, 1, true);
        story_run(t, 5 * USEC_PER_SEC);
        for (uint32_t id = 2; id <= 3; id++)
                g_assert_false(story_membership(t, id)->quorate &&
                               !mid_equal(story_membership(t, id)->mid, mid));
        world_start(t->w, 1, true);
        story_settle(t, SET3, 5 * USEC_PER_SEC);
        story_free(t);
}

/* What it promised when its word counted for nothing was not written; it is before its word counts: another
 * ballot comes at any moment between its installation and the end of the write of its history. */
static void test_wiped_node_has_written_what_it_promised(void) {
        for (unsigned offset_usec = 0; offset_usec < 8000; offset_usec += 100) {
                Story *t = story_settled(5);

                world_crash(t->w, 5, true);
                world_wipe(t->w, 5);
                story_settle(t, 0xf, USEC_PER_SEC);
                world_start(t->w, 5, true);
                while (!story_membership(t, 5)) {
                        g_assert_cmpuint(t->w->now_usec, <, 60 * USEC_PER_SEC);
                        story_run(t, 50);
                }
                story_run(t, offset_usec);
                story_feed(t, 4, (CmsEvent){ .type = CMS_EVENT_LEAVE });
                story_settle(t, 0x17, 2 * USEC_PER_SEC);
                story_free(t);
        }
}

static void test_wiped_nodes_are_no_quorum(void) {
        Story *t = story_settled(3);

        for (uint32_t id = 1; id <= 3; id++)
                world_crash(t->w, id, true);
        world_wipe(t->w, 2);
        world_wipe(t->w, 3);
        story_start_all(t);
        story_run(t, 10 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_false(story_membership(t, id) && story_membership(t, id)->quorate);
        g_assert_cmpint(story_peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_NO_RECORD);
        story_free(t);
}

/* Of two, the one that lost its storage counts for nothing, so the other one goes on alone until the
 * operator says what he thinks of it. */
static void test_wiped_one_of_two_waits(void) {
        Story *t = story_settled(2);
        uint8_t buf[CMS_RECORD_SIZE_MAX];
        ByteWriter writer;
        Mid mid;

        story_feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, 1, USEC_PER_SEC);
        mid = story_membership(t, 1)->mid;
        world_crash(t->w, 2, true);
        world_wipe(t->w, 2);
        world_start(t->w, 2, true);
        story_run(t, 10 * USEC_PER_SEC);
        g_assert_true(mid_equal(story_membership(t, 1)->mid, mid));
        g_assert_false(cms_in_transition(story_cms(t, 1)));
        g_assert_cmpint(story_peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_NO_RECORD);

        world_crash(t->w, 2, true);
        byte_writer_init(&writer, buf, sizeof(buf));
        cms_record_encode(&CMS_RECORD_FIRST, &writer);
        world_init_store(t->w, 2, WORLD_CMS, buf, writer.size_bytes);
        t->s->nodes[1].wiped = false; /* an operator's act (R8) */
        world_start(t->w, 2, true);
        story_settle(t, 3, 2 * USEC_PER_SEC);
        story_free(t);
}

void story_add_disk(void) {
        g_test_add_func("/cms/disk/hung-is-left-out", test_hung_disk_is_left_out);
        g_test_add_func("/cms/disk/member-that-cannot-write-is-left-out",
                        test_member_that_cannot_write_is_left_out);
        g_test_add_func("/cms/disk/full-says-so", test_full_disk_says_so);
        g_test_add_func("/cms/disk/wiped-node-is-taken-in", test_wiped_node_is_taken_in);
        g_test_add_func("/cms/disk/wiped-node-counts-with-the-history",
                        test_wiped_node_counts_with_the_history);
        g_test_add_func("/cms/disk/wiped-node-has-written-what-it-promised",
                        test_wiped_node_has_written_what_it_promised);
        g_test_add_func("/cms/disk/wiped-nodes-are-no-quorum", test_wiped_nodes_are_no_quorum);
        g_test_add_func("/cms/disk/wiped-one-of-two-waits", test_wiped_one_of_two_waits);
}
