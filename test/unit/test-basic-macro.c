/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>

#include "basic/macro.h"

static void test_take_leaves_the_empty_value(void) {
        _cleanup_free_ char *p = strdup("x");
        char *q = TAKE_PTR(p);
        int fd = 7;

        g_assert_null(p);
        g_assert_cmpstr(q, ==, "x");
        free(q);

        g_assert_cmpint(TAKE_FD(fd), ==, 7);
        g_assert_cmpint(fd, ==, -EBADF);
}

static void test_descriptor_is_closed_at_the_end_of_its_block(void) {
        int number;

        {
                _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

                number = fd;
                g_assert_cmpint(fd, >=, 0);
        }
        g_assert_cmpint(fcntl(number, F_GETFD), <, 0);
        g_assert_cmpint(errno, ==, EBADF);
}

static void test_safe_close_keeps_errno(void) {
        errno = ENOTTY;
        g_assert_cmpint(safe_close(open("/dev/null", O_RDONLY | O_CLOEXEC)), ==, -EBADF);
        g_assert_cmpint(errno, ==, ENOTTY);
        g_assert_cmpint(safe_close(-1), ==, -EBADF);
}

static void test_min_max_evaluate_once(void) {
        int i = 0, j = 10;

        g_assert_cmpint(MIN(i++, j++), ==, 0);
        g_assert_cmpint(i, ==, 1);
        g_assert_cmpint(j, ==, 11);
        g_assert_cmpint(MAX(3, MIN(9, 5)), ==, 5);
        g_assert_cmpint(CLAMP_TO(12, 1, 9), ==, 9);
        g_assert_cmpint(CLAMP_TO(-12, 1, 9), ==, 1);
}

static void test_cmp_does_not_overflow(void) {
        g_assert_cmpint(CMP(UINT64_MAX, UINT64_C(0)), ==, 1);
        g_assert_cmpint(CMP(UINT64_C(0), UINT64_MAX), ==, -1);
        g_assert_cmpint(CMP(INT32_MIN, INT32_MAX), ==, -1);
        g_assert_cmpint(CMP(4, 4), ==, 0);
}

static void test_strings(void) {
        g_assert_true(streq_ptr(NULL, NULL));
        g_assert_false(streq_ptr("", NULL));
        g_assert_true(isempty(NULL));
        g_assert_true(isempty(""));
        g_assert_cmpstr(startswith("hamgr-web", "hamgr-"), ==, "web");
        g_assert_null(startswith("ham", "hamgr-"));
        g_assert_cmpstr(endswith("web.group", ".group"), ==, ".group");
        g_assert_null(endswith("group", ".group"));
}

static void test_foreach_array(void) {
        const int numbers[] = { 1, 2, 3 };
        int sum = 0;

        FOREACH_ARRAY(n, numbers, ELEMENTSOF(numbers))
                sum += *n;
        g_assert_cmpint(sum, ==, 6);

        FOREACH_ARRAY(n, (int *) NULL, 0)
                g_assert_not_reached();
}

static void test_assertions_are_in_this_build(void) {
        if (g_test_subprocess()) {
                volatile bool never = false;

                assert(never);
                return;
        }

        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*never*");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/macro/take-leaves-the-empty-value", test_take_leaves_the_empty_value);
        g_test_add_func("/basic/macro/descriptor-is-closed",
                        test_descriptor_is_closed_at_the_end_of_its_block);
        g_test_add_func("/basic/macro/safe-close-keeps-errno", test_safe_close_keeps_errno);
        g_test_add_func("/basic/macro/min-max-evaluate-once", test_min_max_evaluate_once);
        g_test_add_func("/basic/macro/cmp-does-not-overflow", test_cmp_does_not_overflow);
        g_test_add_func("/basic/macro/strings", test_strings);
        g_test_add_func("/basic/macro/foreach-array", test_foreach_array);
        g_test_add_func("/basic/macro/assertions-are-in-this-build", test_assertions_are_in_this_build);

        return g_test_run();
}
