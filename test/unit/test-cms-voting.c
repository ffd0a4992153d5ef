/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/voting.h"

#include <glib.h>

#include "basic/prng.h"
#include "basic/time-util.h"

static CmsVoting voting(NodeSet enabled, uint64_t epoch) {
        CmsVoting v = {
                .mid = { epoch, epoch > 0 },
                .configured = enabled,
                .enabled = enabled,
                .tie_breaker = node_set_lowest(enabled),
                .hash = { 1, epoch, 3 },
                .heartbeat_usec = 100 * USEC_PER_MSEC,
                .failure_usec = 400 * USEC_PER_MSEC,
                .lease_usec = CMS_LEASE_FAILURES_DEFAULT * 400 * USEC_PER_MSEC,
        };

        NODE_SET_FOREACH(id, enabled)
                v.votes[id - 1] = 1;
        return v;
}

static void test_votes_of_enabled_nodes_count(void) {
        CmsVoting v = voting(0x1f, 1);

        g_assert_cmpuint(cms_voting_votes(&v, 0xff), ==, 5);
        g_assert_cmpint(cms_voting_margin(&v, 0x07), ==, 1);
        g_assert_cmpint(cms_voting_margin(&v, 0x03), ==, -1);
        v.votes[0] = 2;
        g_assert_cmpint(cms_voting_margin(&v, 0x03), ==, 0);
        node_set_remove(&v.enabled, 1);
        g_assert_cmpint(cms_voting_margin(&v, 0x03), ==, -2);
        g_assert_cmpint(cms_voting_margin(&v, 0), ==, -4);
}

static void test_both_count(void) {
        CmsVotings v = { .committed = voting(0x0f, 1) };

        g_assert_cmpint(cms_votings_margin(&v, 0x07), ==, 2);
        v.proposed = voting(0x7f, 2);
        g_assert_cmpint(cms_votings_margin(&v, 0x07), ==, -1);
        g_assert_cmpint(cms_votings_margin(&v, 0x0f), ==, 1);
        g_assert_cmpint(cms_votings_margin(&v, 0x73), ==, 0);
        g_assert_cmphex(cms_votings_eligible(&v), ==, 0x0f);
        v.proposed.identity[2] = 1;
        node_set_remove(&v.proposed.enabled, 1);
        g_assert_cmphex(cms_votings_eligible(&v), ==, 0x0a);
}

static void test_half_needs_proof_under_each(void) {
        CmsVotings v = { .committed = voting(0x0f, 1) };

        g_assert_true(cms_votings_are_quorate(&v, 0x07, 0x07, 0));
        g_assert_false(cms_votings_are_quorate(&v, 0x03, 0x03, 0x04));
        g_assert_true(cms_votings_are_quorate(&v, 0x03, 0x03, 0x0c));
        /* Who does not count makes it less than a half. */
        g_assert_false(cms_votings_are_quorate(&v, 0x03, 0x01, 0x0c));
        g_assert_false(cms_votings_are_quorate(&v, 0x01, 0x01, 0x0e));

        v.proposed = voting(0x3f, 2);
        g_assert_false(cms_votings_are_quorate(&v, 0x03, 0x03, 0x3c));
        g_assert_false(cms_votings_are_quorate(&v, 0x07, 0x07, 0x08));
        g_assert_true(cms_votings_are_quorate(&v, 0x07, 0x07, 0x38));

        g_assert_true(cms_votings_break_tie(&v, 0x03));
        v.proposed.tie_breaker = 4;
        g_assert_false(cms_votings_break_tie(&v, 0x03));
        g_assert_false(cms_votings_break_tie(&v, 0x0c));
        g_assert_true(cms_votings_break_tie(&v, 0x09));
}

static void test_newest_is_kept(void) {
        CmsVotings mine = { .committed = voting(0x07, 5) }, other = { .committed = voting(0x07, 3) };

        /* Older than what is in force: it came to nothing. */
        other.proposed = voting(0x0f, 4);
        cms_votings_merge(&mine, &other);
        g_assert_cmpuint(mine.committed.mid.epoch, ==, 5);
        g_assert_true(cms_voting_is_none(&mine.proposed));

        other.proposed = voting(0x0f, 6);
        cms_votings_merge(&mine, &other);
        g_assert_cmpuint(mine.proposed.mid.epoch, ==, 6);
        other.proposed = voting(0x1f, 7);
        cms_votings_merge(&mine, &other);
        g_assert_cmphex(mine.proposed.configured, ==, 0x1f);
        g_assert_true(cms_votings_after(&mine, (Mid){ 7, 1 }) == &mine.proposed);
        g_assert_true(cms_votings_after(&mine, (Mid){ 8, 1 }) == &mine.committed);

        other = (CmsVotings){ .committed = voting(0x1f, 9) };
        cms_votings_merge(&mine, &other);
        g_assert_cmpuint(mine.committed.mid.epoch, ==, 9);
        g_assert_true(cms_voting_is_none(&mine.proposed));
}

static void test_who_proposes_knows_all(void) {
        CmsVotings known = { .committed = voting(0x07, 5) }, v = known;

        g_assert_true(cms_votings_contain(&v, &known));
        known.committed.mid.epoch = 6;
        g_assert_false(cms_votings_contain(&v, &known));
        known.committed.mid.epoch = 4;
        g_assert_true(cms_votings_contain(&v, &known));
        known.committed = voting(0x0f, 5);
        known.committed.hash[0] = 99; /* another one of the same number */
        g_assert_false(cms_votings_contain(&v, &known));

        known = v;
        known.proposed = voting(0x0f, 7);
        g_assert_false(cms_votings_contain(&v, &known));
        v.proposed = voting(0x1f, 8);
        g_assert_true(cms_votings_contain(&v, &known));
        v = (CmsVotings){ .committed = voting(0x07, 8) };
        g_assert_true(cms_votings_contain(&v, &known));
}

static void test_who_goes(void) {
        CmsVoting a = voting(0x1f, 1), b = voting(0x3e, 2);

        b.identity[1] = 7;
        node_set_remove(&b.enabled, 3);
        g_assert_cmphex(cms_voting_gone(&a, &b), ==, 0x07);
        g_assert_cmphex(cms_voting_kept(&a, &b), ==, 0x1c);
        /* Whoever did not count before does not go. */
        node_set_remove(&a.enabled, 1);
        g_assert_cmphex(cms_voting_gone(&a, &b), ==, 0x06);
}

static void test_nonsense_is_refused(void) {
        static const struct {
                size_t offset;
                uint64_t value;
        } wrong[] = {
                { offsetof(CmsVoting, enabled), 0 },
                { offsetof(CmsVoting, enabled), 0x10 },
                { offsetof(CmsVoting, heartbeat_usec), 0 },
                { offsetof(CmsVoting, failure_usec), 299 * USEC_PER_MSEC },
                { offsetof(CmsVoting, failure_usec), UINT64_MAX },
                { offsetof(CmsVoting, lease_usec), USEC_PER_SEC },
                { offsetof(CmsVoting, lease_usec), UINT64_MAX },
        };
        CmsVoting v = voting(0x07, 1);

        g_assert_true(cms_voting_is_valid(&v));
        v.tie_breaker = 4;
        g_assert_false(cms_voting_is_valid(&v));
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                v = voting(0x07, 1);
                memcpy((char *) &v + wrong[i].offset, &wrong[i].value, sizeof(wrong[i].value));
                g_assert_false(cms_voting_is_valid(&v));
        }
}

/* What all of it rests on: sets with a majority under one and the same share a node, and those of a change
 * share one with every set of the old and every set of the new one. */
static void test_quorums_meet(void) {
        Prng p;

        prng_init(&p, 1);
        for (unsigned round = 0; round < 20000; round++) {
                CmsVotings v = { .committed = voting((prng_u64(&p) & 0xff) | 1, 1) };
                NodeSet change = prng_u64(&p) & 0xff, other = prng_u64(&p) & 0xff;

                v.proposed = voting((prng_u64(&p) & 0xff) | 1, 2);
                for (unsigned i = 0; i < 8; i++) {
                        v.committed.votes[i] = (uint8_t) prng_below(&p, 4);
                        v.proposed.votes[i] = (uint8_t) prng_below(&p, 4);
                }
                if (cms_votings_margin(&v, change) <= 0)
                        continue;
                /* A half, too, whatever was proven. */
                if (cms_voting_is_quorate(&v.committed, other, other, NODE_SET_ALL) ||
                    cms_voting_is_quorate(&v.proposed, other, other, NODE_SET_ALL))
                        g_assert_cmphex(change & other, !=, 0);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/voting/votes-of-enabled-nodes-count", test_votes_of_enabled_nodes_count);
        g_test_add_func("/cms/voting/both-count", test_both_count);
        g_test_add_func("/cms/voting/half-needs-proof-under-each", test_half_needs_proof_under_each);
        g_test_add_func("/cms/voting/newest-is-kept", test_newest_is_kept);
        g_test_add_func("/cms/voting/who-proposes-knows-all", test_who_proposes_knows_all);
        g_test_add_func("/cms/voting/who-goes", test_who_goes);
        g_test_add_func("/cms/voting/nonsense-is-refused", test_nonsense_is_refused);
        g_test_add_func("/cms/voting/quorums-meet", test_quorums_meet);
        return g_test_run();
}
