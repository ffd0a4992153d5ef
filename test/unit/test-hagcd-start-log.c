/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/time-util.h"
#include "hagcd/start-log.h"

#define SEC USEC_PER_SEC
#define HOLD (300 * SEC)

/* The life before ends by a crash: nothing is said. */
static uint64_t start(StartLog *log, uint64_t at_sec) {
        return start_log_begin(log, at_sec * SEC, HOLD);
}

static void test_third_within_the_time(void) {
        StartLog log = { 0 };

        g_assert_cmpuint(start(&log, 1000), ==, 0);
        g_assert_true(log.running);
        g_assert_cmpuint(start(&log, 1100), ==, 0);
        g_assert_cmpuint(start(&log, 1200), ==, 0);
        /* The third crash; the whole time from now on, and at its very edge. */
        g_assert_cmpuint(start(&log, 1400), ==, HOLD);
        g_assert_cmpuint(start(&log, 1401), ==, HOLD);
}

static void test_spread_out(void) {
        StartLog log = { 0 };

        for (uint64_t at = 1000; at < 5000; at += 151)
                g_assert_cmpuint(start(&log, at), ==, 0);
        g_assert_cmpuint(log.n_unclean, ==, START_LOG_MAX);
}

static void test_clean_stop(void) {
        StartLog log = { 0 };

        for (uint64_t at = 1000; at < 1010; at++) {
                g_assert_cmpuint(start(&log, at), ==, 0);
                start_log_end(&log);
        }
        g_assert_cmpuint(log.n_unclean, ==, 0);

        /* Two crashes, and then an operator's restart: it joins. The next crash is the third. */
        g_assert_cmpuint(start(&log, 1020), ==, 0);
        g_assert_cmpuint(start(&log, 1030), ==, 0);
        g_assert_cmpuint(start(&log, 1040), ==, 0);
        start_log_end(&log);
        g_assert_cmpuint(start(&log, 1050), ==, 0);
        g_assert_cmpuint(start(&log, 1060), ==, HOLD);
        /* Held off, an operator restarts it. */
        start_log_end(&log);
        g_assert_cmpuint(start(&log, 1070), ==, 0);
}

static void test_future_is_void(void) {
        StartLog log = { 0 };

        g_assert_cmpuint(start(&log, 5000), ==, 0);
        g_assert_cmpuint(start(&log, 5010), ==, 0);
        g_assert_cmpuint(start(&log, 5020), ==, 0);
        /* The clock's battery is empty. */
        g_assert_cmpuint(start(&log, 100), ==, 0);
        g_assert_cmpuint(log.n_unclean, ==, 1);
        g_assert_cmpuint(log.unclean_usec[0], ==, 100 * SEC);
        g_assert_cmpuint(start(&log, 110), ==, 0);
        g_assert_cmpuint(start(&log, 120), ==, HOLD);
}

static void test_off(void) {
        StartLog log = { 0 };

        for (uint64_t at = 1000; at < 1010; at++)
                g_assert_cmpuint(start_log_begin(&log, at * SEC, 0), ==, 0);
        /* The starts are known all the same. */
        g_assert_cmpuint(start(&log, 1011), ==, HOLD);
}

static void test_round_trip(void) {
        for (unsigned n = 0; n <= START_LOG_MAX; n++) {
                StartLog a = { .running = n % 2 == 0, .n_unclean = n }, b;
                uint8_t buf[64];
                ByteWriter w;
                ByteReader r;

                for (unsigned i = 0; i < n; i++)
                        a.unclean_usec[i] = (i + 1) * SEC;
                byte_writer_init(&w, buf, sizeof(buf));
                start_log_encode(&a, &w);
                g_assert_cmpint(byte_writer_result(&w), ==, 0);
                byte_reader_init(&r, buf, w.size_bytes);
                start_log_decode(&r, &b);
                g_assert_cmpint(byte_reader_finish(&r), ==, 0);
                g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
                for (size_t k = 0; k < w.size_bytes; k++) {
                        byte_reader_init(&r, buf, k);
                        start_log_decode(&r, &b);
                        g_assert_cmpint(byte_reader_finish(&r), <, 0);
                }
                buf[1] = START_LOG_MAX + 1;
                byte_reader_init(&r, buf, w.size_bytes);
                start_log_decode(&r, &b);
                g_assert_cmpint(byte_reader_finish(&r), <, 0);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/start-log/third-within-the-time", test_third_within_the_time);
        g_test_add_func("/hagcd/start-log/spread-out-nobody-is-held", test_spread_out);
        g_test_add_func("/hagcd/start-log/clean-stop-takes-the-mark-back", test_clean_stop);
        g_test_add_func("/hagcd/start-log/stamp-in-the-future-is-void", test_future_is_void);
        g_test_add_func("/hagcd/start-log/off", test_off);
        g_test_add_func("/hagcd/start-log/round-trip", test_round_trip);
        return g_test_run();
}
