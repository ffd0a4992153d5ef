/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "basic/time-util.h"
#include "cms/cms-internal.h"
#include "hagcd/status.h"
#include "shared/log.h"

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

/* A quorum that is heard now and then makes a hold begin and end many times a second. */
static void test_hold_is_told_at_a_bounded_rate(void) {
        ClusterConf conf = { .rejoin_hold_usec = 5 * USEC_PER_MINUTE };
        CmsConfig config = {
                .self = 2,
                .configured = 7,
                .enabled = 7,
                .votes = { 1, 1, 1 },
                .tie_breaker = 1,
                .n_links = 1,
                .heartbeat_usec = 100 * USEC_PER_MSEC,
                .failure_usec = 400 * USEC_PER_MSEC,
                .lease_usec = CMS_LEASE_FAILURES_DEFAULT * 400 * USEC_PER_MSEC,
        };
        _cleanup_(status_freep) Status *s = NULL;
        _cleanup_(cms_freep) Cms *c = NULL;
        Lines lines = { 0 };

        g_assert_cmpint(cms_new(&config, &c), ==, 0);
        g_assert_cmpint(status_new(&conf, 2, 1, &s), ==, 0);
        log_set_sink(count, &lines);
        status_log_hold(s, c);
        g_assert_cmpuint(lines.n, ==, 0);

        c->rejoin_usec = now_boottime_usec() + 5 * USEC_PER_MINUTE;
        for (unsigned i = 0; i < 1000; i++) {
                c->held = !c->held;
                status_log_hold(s, c);
                status_log_hold(s, c); /* nothing changed */
                if (i == 0)
                        g_assert_true(g_str_has_prefix(
                                        lines.last, "held off: it crashed 3 times within 5min; joins at "));
        }
        g_assert_cmpuint(lines.n, ==, 4);
        g_assert_cmpstr(lines.last, ==, "held off no more");
        g_free(lines.last);
        log_set_sink(NULL, NULL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/status/hold-is-told-at-a-bounded-rate", test_hold_is_told_at_a_bounded_rate);
        return g_test_run();
}
