/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <glib.h>

#include "basic/time-util.h"
#include "hagcd/stranger.h"

typedef struct Lines {
        unsigned n;
        char *last; /* owned */
} Lines;

static void
count(int level, const char *message_id, const char *const *fields, const char *text, void *userdata) {
        Lines *l = userdata;

        l->n++;
        g_free(l->last);
        l->last = g_strdup(text);
}

static ClusterAddress address(const char *text) {
        ClusterAddress a = { .in = { .sin_family = AF_INET, .sin_port = htons(7700) } };

        g_assert_cmpint(inet_pton(AF_INET, text, &a.in.sin_addr), ==, 1);
        return a;
}

static void test_rate(void) {
        ClusterAddress somebody = address("10.77.1.66"), another = address("10.77.1.67");
        Lines lines = { 0 };
        Stranger s;

        log_set_sink(count, &lines);
        s = stranger_make(1);
        /* Two minutes, a thousand a second. */
        for (unsigned msec = 0; msec < 120000; msec++) {
                const ClusterAddress *from = msec % 2 ? &somebody : &another;

                stranger_seen(&s, from, false, USEC_PER_SEC + msec * USEC_PER_MSEC);
                if (msec == 0)
                        g_assert_cmpstr(lines.last,
                                        ==,
                                        "link 1: a datagram (and 0 before) came from 10.77.1.67, port 7700, "
                                        "which is "
                                        "no node of this cluster; dropping what comes from there");
        }
        g_assert_cmpuint(lines.n, ==, 12);
        g_assert_nonnull(strstr(lines.last, "(and 9999 before)"));
        stranger_seen(&s, &somebody, true, 200 * USEC_PER_SEC);
        g_assert_nonnull(strstr(
                        lines.last, "no node of this cluster and speaks another version of the protocol"));
        g_free(lines.last);
        log_set_sink(NULL, NULL);
}

static void test_few_forged_ones_are_not_told(void) {
        ClusterAddress peer = address("10.77.1.2");
        uint64_t now_usec = USEC_PER_SEC;
        Lines lines = { 0 };
        Stranger s;

        log_set_sink(count, &lines);
        s = stranger_make(0);
        /* A node that starts again every 11 seconds. */
        for (unsigned round = 0; round < 10; round++, now_usec += 11 * USEC_PER_SEC)
                for (unsigned i = 0; i + 1 < STRANGER_FORGED_MIN; i++)
                        stranger_forged(&s, "n2", &peer, now_usec);
        g_assert_cmpuint(lines.n, ==, 0);
        for (unsigned i = 0; i < 10 * STRANGER_FORGED_MIN; i++)
                stranger_forged(&s, "n2", &peer, now_usec + i);
        g_assert_cmpuint(lines.n, ==, 1);
        g_assert_nonnull(strstr(lines.last, "10.77.1.2, the address of node n2"));
        g_free(lines.last);
        log_set_sink(NULL, NULL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/stranger/is-told-at-a-bounded-rate", test_rate);
        g_test_add_func("/hagcd/stranger/few-forged-ones-are-not-told", test_few_forged_ones_are_not_told);
        return g_test_run();
}
