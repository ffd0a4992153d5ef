/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/membership.h"

#include <glib.h>

#include "cms/cms-trace.h"

static void test_order(void) {
        g_assert_cmpint(mid_compare((Mid){ 8, 1 }, (Mid){ 9, 1 }), <, 0);
        g_assert_cmpint(mid_compare((Mid){ 9, 1 }, (Mid){ 8, 64 }), >, 0);
        g_assert_cmpint(mid_compare((Mid){ 8, 2 }, (Mid){ 8, 1 }), >, 0);
        g_assert_cmpint(mid_compare((Mid){ 8, 2 }, (Mid){ 8, 2 }), ==, 0);
        g_assert_true(mid_is_none(MID_NONE));
        g_assert_cmpint(mid_compare(MID_NONE, (Mid){ 1, 1 }), <, 0);
}

static void test_text(void) {
        char buf[MID_TEXT_MAX];

        g_assert_cmpstr(mid_format((Mid){ 17, 2 }, buf), ==, "17.2");
        g_assert_cmpstr(mid_format((Mid){ UINT64_MAX, 64 }, buf), ==, "18446744073709551615.64");
        g_assert_cmpstr(mid_format(MID_NONE, buf), ==, "none");
        g_assert_cmpint(node_state_from_string("detached"), ==, NODE_DETACHED);
        g_assert_cmpstr(node_reason_to_string(NODE_REASON_LAST_GASP), ==, "last-gasp");
        g_assert_cmpint(node_reason_from_string("no such"), ==, _NODE_REASON_INVALID);
}

static Membership example(void) {
        return (Membership){
                .mid = { 4, 2 },
                .members = 6,
                .n_members = 2,
                .rank = { 3, 2 },
                .configured = 7,
                .nodes = { { .state = NODE_UNKNOWN, .incarnation = 5 },
                           { .state = NODE_UP, .incarnation = 6 },
                           { .state = NODE_UP, .incarnation = 7 } },
        };
}

static void test_ranks(void) {
        Membership m = example();

        g_assert_cmpuint(membership_rank_of(&m, 3), ==, 0);
        g_assert_cmpuint(membership_rank_of(&m, 2), ==, 1);
        g_assert_cmpuint(membership_rank_of(&m, 1), ==, 2);
        g_assert_true(membership_has(&m, 3, 7));
        g_assert_false(membership_has(&m, 3, 6));
        g_assert_false(membership_has(&m, 1, 5));
}

/* Everything that members must agree on changes the hash. */
static void test_hash(void) {
        Membership m = example();
        uint64_t hash = membership_hash(&m);

#define DIFFERS(change)                                                                                     \
        do {                                                                                                \
                m = example();                                                                              \
                change;                                                                                     \
                g_assert_cmphex(membership_hash(&m), !=, hash);                                             \
        } while (false)

        g_assert_cmphex(membership_hash(&m), ==, hash);
        m.hash = 99;
        g_assert_cmphex(membership_hash(&m), ==, hash);
        DIFFERS(m.mid.epoch++);
        DIFFERS(m.mid.node++);
        DIFFERS(m.quorate_mid.epoch++);
        DIFFERS(m.quorate = true);
        DIFFERS(m.half = true);
        DIFFERS(m.tie_breaker = true);
        DIFFERS(m.first = true);
        DIFFERS(m.members = 7);
        DIFFERS((m.rank[0] = 2, m.rank[1] = 3));
        DIFFERS(m.nodes[0].state = NODE_DOWN);
        DIFFERS(m.nodes[0].reason = NODE_REASON_CONFIRMED);
        DIFFERS(m.nodes[0].incarnation++);
        DIFFERS(m.nodes[0].boot_id.bytes[3]++);
        DIFFERS(m.nodes[0].last_mid.epoch++);
        DIFFERS(m.nodes[0].armed = true);
        DIFFERS(m.nodes[0].proven = true);
#undef DIFFERS
}

static void test_traces_have_texts(void) {
        char buf[CMS_TRACE_TEXT_MAX];
        CmsTrace t = { .node = 3, .mid = { 17, 2 }, .set = 7, .value = 2, .why = CMS_WHY_LOSS };

        for (int i = CMS_TRACE_STARTED; i <= CMS_TRACE_PAUSED; i++) {
                t.type = (CmsTraceType) i;
                buf[0] = '\0';
                g_assert_cmpuint(strlen(cms_trace_format(&t, buf)), >, 5);
        }
        t.type = CMS_TRACE_INSTALLED;
        g_assert_cmpstr(cms_trace_format(&t, buf), ==, "installs 17.2 {1 2 3} quorate");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/membership/order-of-numbers", test_order);
        g_test_add_func("/cms/membership/text", test_text);
        g_test_add_func("/cms/membership/ranks", test_ranks);
        g_test_add_func("/cms/membership/hash-covers-everything", test_hash);
        g_test_add_func("/cms/trace/texts", test_traces_have_texts);
        return g_test_run();
}
