/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <glib/gstdio.h>

#include "basic/time-util.h"
#include "shared/budget.h"

#define NODES(more)                                                                                         \
        "[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n" more                                    \
        "[Node n2]\nId=2\nAddress=10.1.0.2\n[Node n3]\nId=3\nAddress=10.1.0.3\n"
#define HARDWARE NODES("Watchdog=hardware\n")
#define VOUCHED NODES("Watchdog=vouched\nWatchdogSec=2s\n")

/* As shipped, on a server with a watchdog of one second. */
static const BudgetFacts shipped = {
        .keeper_runs = true,
        .keeper_resets = true,
        .keeper_watchdog_usec = 300 * USEC_PER_MSEC,
        .pets = true,
        .identity = "iTCO_wdt",
        .watchdog_usec = USEC_PER_SEC,
        .driver_told = true,
};

static Budget budget_of(const char *text, const BudgetFacts *facts) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = NULL;
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        Budget b;

        g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &c), ==, 0);
        budget_compute(c, cluster_conf_node_by_name(c, "n1"), facts, &b);
        return b;
}

static void test_sum(void) {
        Budget b = budget_of(HARDWARE, &shipped);
        uint64_t sum = 0;

        g_assert_cmpstr(b.refusal, ==, "");
        g_assert_cmpuint(b.usec[BUDGET_LEASE], ==, 2 * USEC_PER_SEC);
        g_assert_cmpuint(b.usec[BUDGET_WATCHDOG], ==, USEC_PER_SEC);
        for (BudgetLink i = 0; i < _BUDGET_LINK_MAX; i++) {
                sum += b.usec[i];
                g_assert_cmpstr(b.origin[i], !=, "");
                g_assert_cmpint(budget_link_from_string(budget_link_to_string(i)), ==, i);
        }
        g_assert_cmpuint(sum, ==, b.sum_usec);
        g_assert_cmpuint(b.reset_usec, ==, sum - b.usec[BUDGET_LEASE] - b.usec[BUDGET_CLOCKS]);
}

/* What hamgr waits beyond the end of the lease is no longer than what is shown; cms lengthens the lease by 1
 * %, and by 2 % of an age of up to half of it, and by a millisecond. */
static void test_shown_is_what_is_waited_for(void) {
        Budget b = budget_of(HARDWARE, &shipped);
        uint64_t lease = b.usec[BUDGET_LEASE];

        g_assert_cmpuint(
                        budget_wait_usec(b.reset_usec) + lease + 2 * lease / 100 + USEC_PER_MSEC,
                        ==,
                        b.sum_usec);
        g_assert_cmpuint(budget_wait_usec(100), ==, 101);
        g_assert_cmpuint(budget_wait_usec(USEC_INFINITY), ==, USEC_INFINITY);
}

static void test_default_is_below_four_seconds(void) {
        g_assert_cmpuint(budget_of(HARDWARE, &shipped).sum_usec, <=, 4 * USEC_PER_SEC);
}

/* A driver that took another time, and a drop-in of the unit, count as they are. */
static void test_what_is_in_effect_counts(void) {
        BudgetFacts facts = shipped;

        facts.watchdog_usec = 10 * USEC_PER_SEC;
        g_assert_cmpuint(budget_of(HARDWARE, &facts).usec[BUDGET_WATCHDOG], ==, 10 * USEC_PER_SEC);
        g_assert_cmpuint(budget_of(VOUCHED, &facts).usec[BUDGET_WATCHDOG], ==, 10 * USEC_PER_SEC);
        facts.keeper_watchdog_usec = USEC_PER_SEC;
        g_assert_cmpuint(budget_of(HARDWARE, &facts).usec[BUDGET_KEEPER_HANGS], ==, USEC_PER_SEC);
        facts.pets = false;
        g_assert_cmpuint(budget_of(VOUCHED, &facts).usec[BUDGET_WATCHDOG], ==, 2 * USEC_PER_SEC);
}

static void assert_refused(const char *text, const BudgetFacts *facts, bool is_wrong, const char *word) {
        Budget b = budget_of(text, facts);

        g_assert_nonnull(strstr(b.refusal, word));
        g_assert_cmpint(b.is_wrong, ==, is_wrong);
}

static void test_virtual_machine_is_refused(void) {
        BudgetFacts facts = shipped;

        g_strlcpy(facts.virtualization, "kvm", sizeof(facts.virtualization));
        assert_refused(HARDWARE, &facts, true, "kvm");
        g_assert_cmpstr(budget_of(VOUCHED, &facts).refusal, ==, "");
        /* Nobody can vouch for that one. */
        g_strlcpy(facts.identity, "Software Watchdog", sizeof(facts.identity));
        assert_refused(VOUCHED, &facts, true, "Software Watchdog");
}

static void test_gap_in_the_chain_is_refused(void) {
        BudgetFacts facts = shipped;

        facts.pets = false;
        assert_refused(HARDWARE, &facts, true, "systemd pets no watchdog");
        /* Without its name it could be the kernel's own, which hangs with it; without its time, slower. */
        facts = shipped;
        facts.identity[0] = '\0';
        assert_refused(HARDWARE, &facts, true, "does not say");
        facts = shipped;
        facts.driver_told = false;
        assert_refused(HARDWARE, &facts, true, "does not say");
        facts = shipped;
        facts.service_watchdogs_off = true;
        assert_refused(VOUCHED, &facts, true, "service-watchdogs");
        facts = shipped;
        facts.keeper_resets = false;
        assert_refused(HARDWARE, &facts, true, "FailureAction=");
        facts = shipped;
        facts.keeper_watchdog_usec = 0;
        assert_refused(VOUCHED, &facts, true, "WatchdogSec=");
        facts = shipped;
        facts.keeper_runs = false;
        assert_refused(VOUCHED, &facts, true, "does not run");
        facts = shipped;
        g_strlcpy(facts.error, "no bus", sizeof(facts.error));
        assert_refused(VOUCHED, &facts, true, "no bus");
}

/* R14: what was promised by it does not hold when it was switched off since, or is slower. */
static void test_watchdog_that_lapses(void) {
        g_autofree char *folder = g_dir_make_tmp("budget-XXXXXX", NULL);
        g_autofree char *timeout = g_build_filename(folder, "timeout", NULL);
        g_autofree char *state = g_build_filename(folder, "state", NULL);
        BudgetFacts facts = shipped;

        g_strlcpy(facts.watchdog_folder, folder, sizeof(facts.watchdog_folder));
        g_assert_false(budget_watchdog_holds(&facts));
        g_assert_true(g_file_set_contents(timeout, "1\n", -1, NULL));
        g_assert_true(budget_watchdog_holds(&facts));
        g_assert_true(g_file_set_contents(state, "active\n", -1, NULL));
        g_assert_true(budget_watchdog_holds(&facts));
        g_assert_true(g_file_set_contents(state, "inactive\n", -1, NULL));
        g_assert_false(budget_watchdog_holds(&facts));
        g_assert_cmpint(g_unlink(state), ==, 0);
        g_assert_true(g_file_set_contents(timeout, "60\n", -1, NULL));
        g_assert_false(budget_watchdog_holds(&facts));
        /* One that only an operator knows nobody can look at. */
        facts.pets = false;
        g_assert_true(budget_watchdog_holds(&facts));
        facts = shipped;
        facts.lapsed = true;
        assert_refused(VOUCHED, &facts, true, "switched off");
        g_assert_cmpint(g_unlink(timeout), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static void test_who_does_not_want_it(void) {
        assert_refused(NODES(""), &shipped, false, "no Watchdog=");
        assert_refused(NODES("Watchdog=hardware\n[Fence a]\nAgent=a\nNodes=n1 n2 n3\n"),
                       &shipped,
                       false,
                       "freeze");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shared/budget/the-sum-is-of-all-links", test_sum);
        g_test_add_func("/shared/budget/what-is-shown-is-waited-for", test_shown_is_what_is_waited_for);
        g_test_add_func("/shared/budget/the-default-is-below-four-seconds",
                        test_default_is_below_four_seconds);
        g_test_add_func("/shared/budget/what-is-in-effect-counts", test_what_is_in_effect_counts);
        g_test_add_func("/shared/budget/a-virtual-machine-needs-somebody-who-vouches",
                        test_virtual_machine_is_refused);
        g_test_add_func("/shared/budget/a-gap-in-the-chain-is-refused", test_gap_in_the_chain_is_refused);
        g_test_add_func("/shared/budget/a-watchdog-that-lapses", test_watchdog_that_lapses);
        g_test_add_func("/shared/budget/who-does-not-want-it-is-not-wrong", test_who_does_not_want_it);
        return g_test_run();
}
