/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/parse.h"

static void test_bool(void) {
        static const char *const yes[] = { "yes", "true", "on", "1", "YES", "True" };
        static const char *const no[] = { "no", "false", "off", "0", "No" };
        static const char *const neither[] = { "", " yes", "yes ", "y", "2", "maybe" };
        bool b = false;

        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
                g_assert_cmpint(parse_bool(yes[i], &b), ==, 0);
                g_assert_true(b);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(neither); i++) {
                g_assert_cmpint(parse_bool(neither[i], &b), ==, -EINVAL);
                g_assert_true(b);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(no); i++) {
                g_assert_cmpint(parse_bool(no[i], &b), ==, 0);
                g_assert_false(b);
        }
}

static void test_numbers(void) {
        static const char *const wrong[] = { "", "-1", "+1", " 1", "1 ", "0x10", "1.5", "ten" };
        uint64_t v = 77;
        uint32_t w = 77;

        g_assert_cmpint(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), ==, 0);
        g_assert_cmpuint(v, ==, UINT64_MAX);

        v = 77;
        g_assert_cmpint(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), ==, -ERANGE);
        g_assert_cmpint(parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), ==, -ERANGE);
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(parse_u64(wrong[i], 0, UINT64_MAX, &v), ==, -EINVAL);
        g_assert_cmpuint(v, ==, 77);

        g_assert_cmpint(parse_u32("64", 1, 64, &w), ==, 0);
        g_assert_cmpuint(w, ==, 64);
        g_assert_cmpint(parse_u32("65", 1, 64, &w), ==, -ERANGE);
        g_assert_cmpint(parse_u32("0", 1, 64, &w), ==, -ERANGE);
        g_assert_cmpint(parse_u32("4294967297", 0, UINT32_MAX, &w), ==, -ERANGE);
        g_assert_cmpuint(w, ==, 64);
}

static void test_names(void) {
        g_assert_true(name_is_valid("web"));
        g_assert_true(name_is_valid("n_by_1"));
        g_assert_true(name_is_valid("0"));
        g_assert_true(name_is_valid("a2345678901234567890123456789012"));
        g_assert_false(name_is_valid("a23456789012345678901234567890123"));
        g_assert_false(name_is_valid(""));
        g_assert_false(name_is_valid("a-b"));
        g_assert_false(name_is_valid("Web"));
        g_assert_false(name_is_valid("../x"));
}

static void test_node_names(void) {
        g_assert_true(node_name_is_valid("n1"));
        g_assert_true(node_name_is_valid("db-1.example.org"));
        g_assert_false(node_name_is_valid("-n1"));
        g_assert_false(node_name_is_valid("n1-"));
        g_assert_false(node_name_is_valid("n1."));
        g_assert_false(node_name_is_valid("."));
        g_assert_false(node_name_is_valid(".."));
        g_assert_false(node_name_is_valid("a..b"));
        g_assert_false(node_name_is_valid("a/b"));
        g_assert_false(node_name_is_valid(""));
        g_assert_false(node_name_is_valid("a23456789012345678901234567890123"));
}

static void test_words(void) {
        const char *p = "  n1\tn2  ", *word;

        g_assert_cmpuint(next_word(&p, &word), ==, 2);
        g_assert_true(strncmp(word, "n1", 2) == 0);
        g_assert_cmpuint(next_word(&p, &word), ==, 2);
        g_assert_true(strncmp(word, "n2", 2) == 0);
        g_assert_cmpuint(next_word(&p, &word), ==, 0);
        g_assert_cmpuint(next_word(&p, &word), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/parse/bool", test_bool);
        g_test_add_func("/basic/parse/numbers", test_numbers);
        g_test_add_func("/basic/parse/names", test_names);
        g_test_add_func("/basic/parse/node-names", test_node_names);
        g_test_add_func("/basic/parse/words", test_words);

        return g_test_run();
}
