/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/str-buf.h"

static void test_text_grows(void) {
        _cleanup_(str_buf_done) StrBuf b = {};
        _cleanup_free_ char *text = NULL;

        g_assert_cmpstr(str_buf_text(&b), ==, "");
        for (unsigned i = 0; i < 1000; i++)
                str_buf_printf(&b, "%03u", i);
        str_buf_add_char(&b, '!');
        g_assert_cmpint(str_buf_result(&b), ==, 0);
        g_assert_cmpuint(b.length, ==, 3001);

        text = str_buf_take(&b);
        g_assert_cmpuint(strlen(text), ==, 3001);
        g_assert_true(g_str_has_prefix(text, "000001002"));
        g_assert_true(g_str_has_suffix(text, "998999!"));
        g_assert_cmpuint(b.length, ==, 0);
}

static void test_empty_text_is_a_text(void) {
        _cleanup_(str_buf_done) StrBuf b = {};
        _cleanup_free_ char *text = str_buf_take(&b);

        g_assert_cmpstr(text, ==, "");
}

static void test_failure_is_sticky(void) {
        _cleanup_(str_buf_done) StrBuf b = {};

        str_buf_add(&b, "abc");
        str_buf_add_bytes(&b, "x", SIZE_MAX);
        str_buf_add(&b, "def");
        g_assert_cmpint(str_buf_result(&b), ==, -ENOMEM);
        g_assert_cmpstr(str_buf_text(&b), ==, "abc");
        g_assert_null(str_buf_take(&b));
        g_assert_cmpint(str_buf_result(&b), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/str-buf/text-grows", test_text_grows);
        g_test_add_func("/basic/str-buf/empty-text-is-a-text", test_empty_text_is_a_text);
        g_test_add_func("/basic/str-buf/failure-is-sticky", test_failure_is_sticky);

        return g_test_run();
}
