/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/string-table.h"

typedef enum Fruit {
        FRUIT_APPLE,
        FRUIT_PEAR,
        _FRUIT_MAX,
        _FRUIT_INVALID = -EINVAL,
} Fruit;

static const char *const fruit_table[_FRUIT_MAX] = {
        [FRUIT_APPLE] = "apple",
        [FRUIT_PEAR] = "pear",
};
DEFINE_STRING_TABLE_STATIC(fruit, Fruit);

static void test_table(void) {
        g_assert_cmpstr(fruit_to_string(FRUIT_PEAR), ==, "pear");
        g_assert_null(fruit_to_string(_FRUIT_MAX));
        g_assert_null(fruit_to_string(_FRUIT_INVALID));
        g_assert_cmpint(fruit_from_string("apple"), ==, FRUIT_APPLE);
        g_assert_cmpint(fruit_from_string("Apple"), ==, _FRUIT_INVALID);
        g_assert_cmpint(fruit_from_string(""), ==, _FRUIT_INVALID);
        g_assert_cmpint(fruit_from_string(NULL), ==, _FRUIT_INVALID);
}

static void test_distance(void) {
        g_assert_cmpuint(string_distance("Policy", "policy"), ==, 0);
        g_assert_cmpuint(string_distance("Policy", "Poilcy"), ==, 1);
        g_assert_cmpuint(string_distance("Policy", "Polcy"), ==, 1);
        g_assert_cmpuint(string_distance("Policy", "Pollicy"), ==, 1);
        g_assert_cmpuint(string_distance("", "abc"), ==, 3);
        g_assert_cmpuint(string_distance("abc", ""), ==, 3);
        g_assert_cmpuint(
                        string_distance("a",
                                        "a2345678901234567890123456789012345678901234567890123456789012345"),
                        ==,
                        SIZE_MAX);
}

static void test_nearest(void) {
        static const char *const keys[] = { "Description", NULL, "Domain", "Standby" };

        g_assert_cmpstr(string_table_nearest(keys, G_N_ELEMENTS(keys), "Domian"), ==, "Domain");
        g_assert_cmpstr(string_table_nearest(keys, G_N_ELEMENTS(keys), "stand_by"), ==, "Standby");
        g_assert_null(string_table_nearest(keys, G_N_ELEMENTS(keys), "Xyzzy"));
        g_assert_null(string_table_nearest(keys, 0, "Domain"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/string-table/table", test_table);
        g_test_add_func("/basic/string-table/distance", test_distance);
        g_test_add_func("/basic/string-table/nearest", test_nearest);

        return g_test_run();
}
