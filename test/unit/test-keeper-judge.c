/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/time-util.h"
#include "keeper/judge.h"

#define NOW (100 * USEC_PER_SEC)

static const KeeperView held = { .armed = true, .acts = true, .until_usec = NOW + USEC_PER_SEC };

static KeeperView with_lease(uint64_t until_usec) {
        KeeperView v = held;

        v.until_usec = until_usec;
        return v;
}

static void test_lease_over(void) {
        KeeperView v = with_lease(NOW);

        g_assert_cmpint(keeper_judge(&held, NOW), ==, KEEPER_WAITS);
        g_assert_cmpint(keeper_judge(&v, NOW - 1), ==, KEEPER_WAITS);
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_LEASE_OVER);
        v.until_usec = 1;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_LEASE_OVER);
}

/* R12: configured is not armed. */
static void test_not_armed(void) {
        KeeperView v = with_lease(1);

        v.armed = false;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
        v.gone = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
        g_assert_cmpint(keeper_judge(&(KeeperView){ 0 }, NOW), ==, KEEPER_WAITS);
}

/* A node that was in no membership yet has promised nothing to anybody. */
static void test_never_held(void) {
        KeeperView v = with_lease(0);

        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
}

/* OnQuorumLoss=freeze: the lease ends and nothing happens, but hagcd may not die. */
static void test_freeze(void) {
        KeeperView v = with_lease(1);

        v.acts = false;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
        v.gone = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_HAGCD_GONE);
}

static void test_hagcd_gone(void) {
        KeeperView v = held;

        v.gone = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_HAGCD_GONE);
        /* Stopped on purpose: what still counts is the lease, which it cannot renew. */
        v.leaving = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
        g_assert_cmpint(keeper_judge(&v, v.until_usec), ==, KEEPER_RESETS_LEASE_OVER);
        /* And not even that when all others have heard that groups are left running here. */
        v.released = true;
        g_assert_cmpint(keeper_judge(&v, v.until_usec), ==, KEEPER_WAITS);
}

static void test_inherited(void) {
        KeeperView v = held;

        g_assert_cmpuint(keeper_inherited_usec(&v), ==, v.until_usec);
        v.released = true;
        g_assert_cmpuint(keeper_inherited_usec(&v), ==, 0);
        v = held;
        v.armed = false;
        g_assert_cmpuint(keeper_inherited_usec(&v), ==, 0);
        v = held;
        v.acts = false;
        g_assert_cmpuint(keeper_inherited_usec(&v), ==, 0);
        g_assert_cmpuint(keeper_inherited_usec(&(KeeperView){ 0 }), ==, 0);
}

/* R14: the others count on the lease of before, and so on its end, although the hagcd that was started again
 * is configured to freeze. Its own lease is another matter. */
static void test_inherited_acts(void) {
        KeeperView v = { .armed = true, .acts = false, .inherited_usec = NOW };

        g_assert_cmpint(keeper_judge(&v, NOW - 1), ==, KEEPER_WAITS);
        g_assert_cmpuint(keeper_due_usec(&v, NOW - 1), ==, NOW);
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_LEASE_OVER);
        g_assert_cmpuint(keeper_inherited_usec(&v), ==, NOW);
        v.until_usec = NOW + USEC_PER_SEC;
        g_assert_cmpint(keeper_judge(&v, NOW + 2 * USEC_PER_SEC), ==, KEEPER_WAITS);
        v.acts = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_WAITS);
}

/* It may not go and leave a lease behind that nobody ends: the next one would know nothing of it. */
static void test_asked(void) {
        KeeperView v = { .asked = true };

        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_ENDS);
        v = held;
        v.asked = v.gone = v.leaving = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_RESETS_UNKEPT);
        v.released = true;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_ENDS);
        v.released = false;
        v.armed = false;
        g_assert_cmpint(keeper_judge(&v, NOW), ==, KEEPER_ENDS);
}

/* Not a moment after the end of the lease, and never long: arming is not told. */
static void test_due(void) {
        KeeperView v = with_lease(NOW + 3);

        g_assert_cmpuint(keeper_due_usec(&v, NOW), ==, NOW + 3);
        v.until_usec = NOW - 3;
        g_assert_cmpuint(keeper_due_usec(&v, NOW), ==, NOW);
        v.until_usec = USEC_INFINITY;
        g_assert_cmpuint(keeper_due_usec(&v, NOW), ==, NOW + KEEPER_TICK_USEC);
        v.until_usec = NOW + 3;
        v.armed = false;
        g_assert_cmpuint(keeper_due_usec(&v, NOW), ==, NOW + KEEPER_TICK_USEC);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/keeper/judge/an-armed-node-is-reset-when-its-lease-is-over", test_lease_over);
        g_test_add_func("/keeper/judge/a-node-that-is-not-armed-is-left-alone", test_not_armed);
        g_test_add_func("/keeper/judge/a-lease-that-was-never-held-does-not-end", test_never_held);
        g_test_add_func("/keeper/judge/with-freeze-only-the-death-of-hagcd-counts", test_freeze);
        g_test_add_func("/keeper/judge/hagcd-that-ends-unasked-ends-the-node", test_hagcd_gone);
        g_test_add_func("/keeper/judge/a-restart-does-not-lengthen-a-lease", test_inherited);
        g_test_add_func("/keeper/judge/an-inherited-lease-ends-whatever-is-configured-now",
                        test_inherited_acts);
        g_test_add_func("/keeper/judge/it-does-not-leave-a-lease-behind", test_asked);
        g_test_add_func("/keeper/judge/it-wakes-at-the-end-of-the-lease", test_due);
        return g_test_run();
}
