/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/time-util.h"
#include "hagcd/grace.h"

static const GraceIdentity hamgr = {
        .group = "hamgr", .name = "n1", .uid = 0, .unit = "/system.slice/hamgr.service"
};

static void test_successor(void) {
        Graces g = { 0 };

        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_NONE);
        g_assert_cmpuint(grace_wakeup_usec(&g), ==, USEC_INFINITY);
        g_assert_cmpint(grace_begin(&g, 1, &hamgr, 5 * USEC_PER_SEC, true, false, USEC_PER_SEC),
                        ==,
                        GRACE_BEGUN);
        g_assert_cmpuint(grace_wakeup_usec(&g), ==, 6 * USEC_PER_SEC);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_NONE);
        g_assert_null(grace_expired(&g, USEC_PER_HOUR));
}

static void test_old_process_must_exit(void) {
        Graces g = { 0 };

        g_assert_cmpint(grace_begin(&g, 7, &hamgr, 5 * USEC_PER_SEC, false, false, 1), ==, GRACE_BEGUN);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_NOT_YET);
        grace_exited(&g, 8);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_NOT_YET);
        grace_exited(&g, 7);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);
}

static void test_stranger(void) {
        Graces g = { 0 };
        GraceIdentity other = hamgr;

        g_assert_cmpint(grace_begin(&g, 1, &hamgr, USEC_PER_SEC, true, false, 1), ==, GRACE_BEGUN);
        other.uid = 1000;
        g_assert_cmpint(grace_match(&g, &other), ==, GRACE_MATCH_STRANGER);
        other = hamgr;
        strcpy(other.unit, "/user.slice");
        g_assert_cmpint(grace_match(&g, &other), ==, GRACE_MATCH_STRANGER);
        other = hamgr;
        strcpy(other.name, "n2");
        g_assert_cmpint(grace_match(&g, &other), ==, GRACE_MATCH_NONE);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);
}

static void test_expires(void) {
        Graces g = { 0 };

        g_assert_cmpint(grace_begin(&g, 1, &hamgr, 0, true, false, 1), ==, GRACE_REFUSED_NONE);
        g_assert_cmpint(grace_begin(&g, 1, &hamgr, 100, true, false, 1), ==, GRACE_BEGUN);
        g_assert_null(grace_expired(&g, 100));
        g_assert_nonnull(grace_expired(&g, 101));
}

static void test_too_many(void) {
        Graces g = { 0 };
        uint64_t now = USEC_PER_HOUR;

        for (unsigned i = 0; i < GRACE_COUNT_MAX; i++, now += USEC_PER_SEC) {
                g_assert_cmpint(grace_begin(&g, i + 1, &hamgr, USEC_PER_SEC, true, false, now),
                                ==,
                                GRACE_BEGUN);
                g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);
        }
        g_assert_cmpint(grace_begin(&g, 9, &hamgr, USEC_PER_SEC, true, false, now),
                        ==,
                        GRACE_REFUSED_TOO_MANY);

        /* Those that were announced do not count. */
        g_assert_cmpint(grace_begin(&g, 9, &hamgr, USEC_PER_SEC, true, true, now), ==, GRACE_BEGUN);
        g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);

        /* Spread out, they go on for ever. */
        g = (Graces){ 0 };
        for (unsigned i = 0; i < 20; i++, now += GRACE_WINDOW_USEC / GRACE_COUNT_MAX + 1) {
                g_assert_cmpint(grace_begin(&g, i + 1, &hamgr, USEC_PER_SEC, true, false, now),
                                ==,
                                GRACE_BEGUN);
                g_assert_cmpint(grace_match(&g, &hamgr), ==, GRACE_MATCH_SUCCESSOR);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/grace/successor-ends-it", test_successor);
        g_test_add_func("/hagcd/grace/old-process-must-have-exited", test_old_process_must_exit);
        g_test_add_func("/hagcd/grace/stranger-is-no-successor", test_stranger);
        g_test_add_func("/hagcd/grace/expires", test_expires);
        g_test_add_func("/hagcd/grace/too-many-within-the-window", test_too_many);
        return g_test_run();
}
