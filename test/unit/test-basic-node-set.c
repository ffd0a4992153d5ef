/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/node-set.h"

static void test_add_and_remove(void) {
        NodeSet set = NODE_SET_EMPTY;

        g_assert_true(node_set_is_empty(set));
        node_set_add(&set, 1);
        node_set_add(&set, 64);
        node_set_add(&set, 64);
        g_assert_cmpuint(set, ==, UINT64_C(0x8000000000000001));
        g_assert_cmpuint(node_set_count(set), ==, 2);
        g_assert_true(node_set_contains(set, 64));
        g_assert_false(node_set_contains(set, 2));

        node_set_remove(&set, 1);
        node_set_remove(&set, 1);
        g_assert_cmpuint(set, ==, node_set_of(64));
        g_assert_cmpuint(node_set_count(NODE_SET_ALL), ==, 64);
}

/* Ids come off the wire: asking for one that cannot be must be harmless. */
static void test_impossible_ids_are_not_in_any_set(void) {
        g_assert_false(node_set_contains(NODE_SET_ALL, 0));
        g_assert_false(node_set_contains(NODE_SET_ALL, 65));
        g_assert_false(node_set_contains(NODE_SET_ALL, UINT32_MAX));
}

static void test_lowest_highest_next(void) {
        NodeSet set = node_set_of(3) | node_set_of(17) | node_set_of(64);

        g_assert_cmpuint(node_set_lowest(set), ==, 3);
        g_assert_cmpuint(node_set_highest(set), ==, 64);
        g_assert_cmpuint(node_set_next(set, 0), ==, 3);
        g_assert_cmpuint(node_set_next(set, 3), ==, 17);
        g_assert_cmpuint(node_set_next(set, 17), ==, 64);
        g_assert_cmpuint(node_set_next(set, 63), ==, 64);
        g_assert_cmpuint(node_set_next(set, 64), ==, 0);
        g_assert_cmpuint(node_set_lowest(NODE_SET_EMPTY), ==, 0);
        g_assert_cmpuint(node_set_highest(NODE_SET_EMPTY), ==, 0);
}

static void test_loop_goes_upward_over_what_the_set_was(void) {
        NodeSet set = node_set_of(64) | node_set_of(2) | node_set_of(1);
        uint32_t seen[4] = {};
        unsigned n = 0;

        NODE_SET_FOREACH(id, set) {
                seen[n++] = id;
                set = NODE_SET_EMPTY;
        }
        g_assert_true(node_set_is_empty(set));
        g_assert_cmpuint(n, ==, 3);
        g_assert_cmpuint(seen[0], ==, 1);
        g_assert_cmpuint(seen[1], ==, 2);
        g_assert_cmpuint(seen[2], ==, 64);

        NODE_SET_FOREACH(id, NODE_SET_EMPTY)
                g_assert_not_reached();

        n = 0;
        NODE_SET_FOREACH(id, NODE_SET_ALL) {
                if (id == 5)
                        continue;
                n++;
                if (id == 10)
                        break;
        }
        g_assert_cmpuint(n, ==, 9);
}

static void test_subset_and_minus(void) {
        NodeSet a = node_set_of(1) | node_set_of(2), b = a | node_set_of(3);

        g_assert_true(node_set_is_subset(a, b));
        g_assert_true(node_set_is_subset(NODE_SET_EMPTY, a));
        g_assert_false(node_set_is_subset(b, a));
        g_assert_cmpuint(node_set_minus(b, a), ==, node_set_of(3));
}

static void test_format(void) {
        char text[NODE_SET_TEXT_MAX];

        g_assert_cmpstr(node_set_format(NODE_SET_EMPTY, text), ==, "{}");
        g_assert_cmpstr(node_set_format(node_set_of(1) | node_set_of(9) | node_set_of(10) | node_set_of(64),
                                        text),
                        ==,
                        "{1 9 10 64}");
        g_assert_cmpuint(strlen(node_set_format(NODE_SET_ALL, text)), <, NODE_SET_TEXT_MAX);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/node-set/add-and-remove", test_add_and_remove);
        g_test_add_func("/basic/node-set/impossible-ids-are-not-in-any-set",
                        test_impossible_ids_are_not_in_any_set);
        g_test_add_func("/basic/node-set/lowest-highest-next", test_lowest_highest_next);
        g_test_add_func("/basic/node-set/loop-goes-upward", test_loop_goes_upward_over_what_the_set_was);
        g_test_add_func("/basic/node-set/subset-and-minus", test_subset_and_minus);
        g_test_add_func("/basic/node-set/format", test_format);

        return g_test_run();
}
