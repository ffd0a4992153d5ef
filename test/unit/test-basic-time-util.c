/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/prng.h"
#include "basic/time-util.h"

static void test_parse(void) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "100ms", 100 * USEC_PER_MSEC },
                { "5s", 5 * USEC_PER_SEC },
                { "5", 5 * USEC_PER_SEC },
                { "5 s", 5 * USEC_PER_SEC },
                { "10min", 10 * USEC_PER_MINUTE },
                { "1min 30s", 90 * USEC_PER_SEC },
                { "1min30s", 90 * USEC_PER_SEC },
                { "2h", 2 * USEC_PER_HOUR },
                { "3d", 3 * USEC_PER_DAY },
                { "1.5s", 1500 * USEC_PER_MSEC },
                { "0.25", 250 * USEC_PER_MSEC },
                { "0", 0 },
                { "7us", 7 },
                { "infinity", USEC_INFINITY },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                uint64_t usec = 1;

                g_assert_cmpint(parse_duration(good[i].text, &usec), ==, 0);
                g_assert_cmpuint(usec, ==, good[i].usec);
        }
}

static void test_parse_refuses(void) {
        static const char *const wrong[] = { "",        " ",     "s",  "-5s", "5 apples", "5s,",
                                             "1min 30", "1..5s", ".5", "5.",  "5S" };
        uint64_t usec = 1;

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_test_message("\"%s\"", wrong[i]);
                g_assert_cmpint(parse_duration(wrong[i], &usec), ==, -EINVAL);
        }
        g_assert_cmpint(parse_duration("99999999999999999999", &usec), ==, -ERANGE);
        g_assert_cmpint(parse_duration("300000000d", &usec), ==, -ERANGE);
        g_assert_cmpuint(usec, ==, 1);
}

static void test_format(void) {
        char text[DURATION_TEXT_MAX];

        g_assert_cmpstr(format_duration(400 * USEC_PER_MSEC, text), ==, "400ms");
        g_assert_cmpstr(format_duration(90 * USEC_PER_SEC, text), ==, "1min 30s");
        g_assert_cmpstr(format_duration(0, text), ==, "0");
        g_assert_cmpstr(format_duration(USEC_INFINITY, text), ==, "infinity");
        g_assert_cmpstr(format_duration(1500001, text), ==, "1s 500ms 1us");
}

static void test_what_is_written_reads_back(void) {
        char text[DURATION_TEXT_MAX];
        Prng p;

        prng_init(&p, 1);
        for (unsigned i = 0; i < 10000; i++) {
                uint64_t usec = prng_u64(&p) >> prng_below(&p, 64), back = 0;

                g_assert_cmpint(parse_duration(format_duration(usec, text), &back), ==, 0);
                g_assert_cmpuint(back, ==, usec);
        }
}

static void test_sums_stop_at_their_ends(void) {
        g_assert_cmpuint(usec_add(USEC_INFINITY, 1), ==, USEC_INFINITY);
        g_assert_cmpuint(usec_add(USEC_INFINITY - 1, 5), ==, USEC_INFINITY);
        g_assert_cmpuint(usec_add(1, 2), ==, 3);
        g_assert_cmpuint(usec_sub(1, 2), ==, 0);
        g_assert_cmpuint(usec_sub(5, 2), ==, 3);
}

static void test_clock_goes_on(void) {
        uint64_t a = now_boottime_usec(), b = now_boottime_usec();

        g_assert_cmpuint(a, >, 0);
        g_assert_cmpuint(b, >=, a);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/time-util/parse", test_parse);
        g_test_add_func("/basic/time-util/parse-refuses", test_parse_refuses);
        g_test_add_func("/basic/time-util/format", test_format);
        g_test_add_func("/basic/time-util/what-is-written-reads-back", test_what_is_written_reads_back);
        g_test_add_func("/basic/time-util/sums-stop-at-their-ends", test_sums_stop_at_their_ends);
        g_test_add_func("/basic/time-util/clock-goes-on", test_clock_goes_on);

        return g_test_run();
}
