/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/prng.h"

static void test_splitmix64_known_values(void) {
        uint64_t state = 1234567;

        g_assert_cmpuint(splitmix64(&state), ==, UINT64_C(6457827717110365317));
        g_assert_cmpuint(splitmix64(&state), ==, UINT64_C(3203168211198807973));
        g_assert_cmpuint(splitmix64(&state), ==, UINT64_C(9817491932198370423));
}

static void test_xoshiro_known_values(void) {
        Prng p = { .state = { 1, 2, 3, 4 } };

        g_assert_cmpuint(prng_u64(&p), ==, UINT64_C(11520));
        g_assert_cmpuint(prng_u64(&p), ==, UINT64_C(0));
        g_assert_cmpuint(prng_u64(&p), ==, UINT64_C(1509978240));
        g_assert_cmpuint(prng_u64(&p), ==, UINT64_C(1215971899390074240));
}

static void test_same_seed_same_numbers(void) {
        Prng a, b, c;
        unsigned n_same = 0;

        prng_init(&a, 42);
        prng_init(&b, 42);
        prng_init(&c, 43);
        for (unsigned i = 0; i < 1000; i++) {
                uint64_t v = prng_u64(&a);

                g_assert_cmpuint(v, ==, prng_u64(&b));
                n_same += v == prng_u64(&c);
        }
        g_assert_cmpuint(n_same, ==, 0);
}

static void test_limits_are_kept_and_reached(void) {
        unsigned counts[6] = {};
        Prng p;

        prng_init(&p, 7);
        for (unsigned i = 0; i < 60000; i++)
                counts[prng_below(&p, 6)]++;
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_assert_cmpuint(counts[i], >, 9500);
                g_assert_cmpuint(counts[i], <, 10500);
        }

        for (unsigned i = 0; i < 1000; i++) {
                uint64_t v = prng_between(&p, 5, 6);

                g_assert_true(v == 5 || v == 6);
        }
        g_assert_cmpuint(prng_between(&p, 9, 9), ==, 9);
        g_assert_cmpuint(prng_below(&p, 1), ==, 0);
        (void) prng_between(&p, 0, UINT64_MAX);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/prng/splitmix64-known-values", test_splitmix64_known_values);
        g_test_add_func("/basic/prng/xoshiro-known-values", test_xoshiro_known_values);
        g_test_add_func("/basic/prng/same-seed-same-numbers", test_same_seed_same_numbers);
        g_test_add_func("/basic/prng/limits-are-kept-and-reached", test_limits_are_kept_and_reached);

        return g_test_run();
}
