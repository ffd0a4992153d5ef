/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/best-set.h"

#include <glib.h>

#include "basic/prng.h"

static uint8_t one_each[NODE_ID_MAX];

static BestSetInput full_mesh(NodeSet candidates) {
        BestSetInput in = { .candidates = candidates, .votes = one_each };

        NODE_SET_FOREACH(id, candidates)
                in.mutual[id - 1] = node_set_without(candidates, id);
        return in;
}

static void cut(BestSetInput *in, uint32_t a, uint32_t b) {
        node_set_remove(&in->mutual[a - 1], b);
        node_set_remove(&in->mutual[b - 1], a);
}

static void test_full_mesh(void) {
        BestSetInput in = full_mesh(NODE_SET_ALL);

        g_assert_cmphex(best_set(&in), ==, NODE_SET_ALL);
        in = full_mesh(0);
        g_assert_cmphex(best_set(&in), ==, 0);
        in = full_mesh(8);
        g_assert_cmphex(best_set(&in), ==, 8);
}

static void test_ties(void) {
        BestSetInput in = full_mesh(0x0f);

        /* {1 2} or {3 4} */
        cut(&in, 1, 3);
        cut(&in, 1, 4);
        cut(&in, 2, 3);
        cut(&in, 2, 4);
        g_assert_cmphex(best_set(&in), ==, 0x03);
        in.current = 0x0c;
        g_assert_cmphex(best_set(&in), ==, 0x0c);
        in.tie_breaker = 2;
        g_assert_cmphex(best_set(&in), ==, 0x03);
}

static void test_votes_come_first(void) {
        uint8_t votes[NODE_ID_MAX] = { 1, 1, 1, 5 };
        BestSetInput in = full_mesh(0x0f);

        in.votes = votes;
        cut(&in, 4, 1);
        cut(&in, 4, 2);
        g_assert_cmphex(best_set(&in), ==, 0x0c);
}

static void test_no_votes_still_belongs(void) {
        uint8_t votes[NODE_ID_MAX] = { 1, 0, 1 };
        BestSetInput in = full_mesh(0x07);

        in.votes = votes;
        g_assert_cmphex(best_set(&in), ==, 0x07);
}

static void test_must(void) {
        BestSetInput in = full_mesh(0x1f);

        /* {1 2 3} stays although {3 4 5} + somebody is as large, and 4 or 5 would cost 1. */
        cut(&in, 1, 4);
        cut(&in, 1, 5);
        in.must = 0x07;
        g_assert_cmphex(best_set(&in), ==, 0x07);
        in.must = 0;
        g_assert_cmphex(best_set(&in), ==, 0x1e);
        in.must = 0x09; /* not complete: ignored */
        g_assert_cmphex(best_set(&in), ==, 0x1e);
}

static void test_one_way_is_no_link(void) {
        NodeSet confirms[NODE_ID_MAX] = { 0x06, 0x05, 0x02 };
        BestSetInput in = { .candidates = 0x07, .votes = one_each };

        best_set_fill_mutual(&in, confirms);
        g_assert_cmphex(in.mutual[0], ==, 0x02);
        g_assert_cmphex(in.mutual[1], ==, 0x05); /* 3 confirms 2, but not 1 */
        g_assert_cmphex(best_set(&in), ==, 0x03);
}

static NodeSet by_brute_force(const BestSetInput *in) {
        NodeSet best = 0;

        for (NodeSet set = 0; set <= in->candidates; set++)
                if (node_set_is_subset(set, in->candidates) && best_set_is_complete(in, set) &&
                    best_set_compare(in, set, best) < 0)
                        best = set;
        return best;
}

static void test_against_brute_force(void) {
        uint8_t votes[NODE_ID_MAX] = { 0 };
        Prng p;

        prng_init(&p, 7);
        for (unsigned round = 0; round < 400; round++) {
                unsigned n = (unsigned) prng_between(&p, 1, 10);
                BestSetInput in = full_mesh((UINT64_C(1) << n) - 1);

                for (unsigned i = 0; i < n; i++)
                        votes[i] = (uint8_t) prng_below(&p, 4);
                in.votes = votes;
                in.tie_breaker = (uint32_t) prng_between(&p, 1, n);
                in.current = prng_u64(&p) & in.candidates;
                for (uint64_t cuts = prng_below(&p, n * 2 + 1); cuts > 0; cuts--)
                        cut(&in, (uint32_t) prng_between(&p, 1, n), (uint32_t) prng_between(&p, 1, n));
                g_assert_cmphex(best_set(&in), ==, by_brute_force(&in));
        }
}

/* However bad the mesh: an answer, complete, after a bounded number of steps. */
static void test_large_and_bad(void) {
        Prng p;

        prng_init(&p, 8);
        for (unsigned density = 10; density <= 90; density += 10) {
                BestSetInput in = full_mesh(NODE_SET_ALL);
                NodeSet set;

                for (uint32_t a = 1; a <= 64; a++)
                        for (uint32_t b = a + 1; b <= 64; b++)
                                if (prng_below(&p, 100) >= density)
                                        cut(&in, a, b);
                set = best_set(&in);
                g_assert_true(best_set_is_complete(&in, set));
                g_assert_cmpuint(node_set_count(set), >=, 2);
        }
}

int main(int argc, char *argv[]) {
        memset(one_each, 1, sizeof(one_each));
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/best-set/full-mesh", test_full_mesh);
        g_test_add_func("/cms/best-set/ties", test_ties);
        g_test_add_func("/cms/best-set/votes-come-first", test_votes_come_first);
        g_test_add_func("/cms/best-set/no-votes-still-belongs", test_no_votes_still_belongs);
        g_test_add_func("/cms/best-set/must", test_must);
        g_test_add_func("/cms/best-set/one-way-is-no-link", test_one_way_is_no_link);
        g_test_add_func("/cms/best-set/against-brute-force", test_against_brute_force);
        g_test_add_func("/cms/best-set/large-and-bad", test_large_and_bad);
        return g_test_run();
}
