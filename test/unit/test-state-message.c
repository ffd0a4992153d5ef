/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every message comes back as it was sent; none that is cut short, too long or bent is taken. */

#include <glib.h>

#include "basic/prng.h"
#include "hamgr/state/message.h"

static StateBoot a_boot(void) {
        return (StateBoot){ 3, 77, { { 1, 2, 3, 15 } }, { 9, 2 } };
}

/* One of each type, with every field set. */
static StateMessage make(unsigned type) {
        StateMessage m = { .type = (StateMessageType) type, .time_usec = 123456789 };

        switch (m.type) {
        case STATE_MESSAGE_HELLO:
                m.hello = (StateHello){ 5 | STATE_CAPABILITY_RESETS, 1400000, g_bytes_new("record", 6) };
                break;
        case STATE_MESSAGE_REPORT:
                m.report = (StateReport){
                        .group = "web",
                        .number = 42,
                        .state = STATE_REPORT_STARTING,
                        .n_restarts = 2,
                        .reason = "the service was killed; started again",
                        .resources = { STATE_RESOURCE_RUNNING,
                                       STATE_RESOURCE_STARTING,
                                       STATE_RESOURCE_STOPPED },
                        .n_resources = 3,
                };
                break;
        case STATE_MESSAGE_PLAN:
                m.plan.mid = (HaMid){ 8, 1 };
                m.plan.sequence = 99;
                m.plan.n_steps = 3;
                m.plan.steps = g_new0(StateStep, 3);
                m.plan.steps[0] = (StateStep){ .type = STATE_STEP_ASSIGN,
                                               .group = "web",
                                               .node = 2,
                                               .number = 7,
                                               .reason = "first of its domain" };
                m.plan.steps[1] = (StateStep){ .type = STATE_STEP_RELEASE,
                                               .group = "db",
                                               .node = 1,
                                               .target = 2,
                                               .number = 8,
                                               .reason = "moved" };
                m.plan.steps[2] = (StateStep){
                        .type = STATE_STEP_FENCE, .boot = a_boot(), .fencer = 2, .reason = "lost"
                };
                break;
        case STATE_MESSAGE_FENCE_RESULT:
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
                m.fence_result = (StateFenceResult){
                        .boot = a_boot(), .ok = true, .device = "power", .text = "off"
                };
                break;
        case STATE_MESSAGE_OPERATOR:
                m.operator_ = (StateOperator){
                        .request = 12, .operation = STATE_OPERATION_GROUP_MOVE, .group = "web", .node = 4
                };
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                m.apply_prepare = (StateApplyPrepare){ 13, g_bytes_new("files", 5), true };
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                m.apply_answer = (StateApplyAnswer){ { { 8, 1 }, 3 },
                                                     false,
                                                     g_strdup("no such interface: eth7") };
                break;
        case STATE_MESSAGE_STORED:
                m.stored.serial = 17;
                break;
        case STATE_MESSAGE_CLUSTER_PREPARE:
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                m.cluster = (StateCluster){ .request = 14, .mid = { 9, 2 }, .text = g_bytes_new("conf", 4) };
                m.cluster.nodes = g_new0(HaNodes, 1);
                *m.cluster.nodes = (HaNodes){
                        .nodes = { { .id = 2, .name = "n2", .enabled = true, .identity = 7 },
                                   { .id = 5, .name = "n5.example.org", .has_fence_device = true } },
                        .n_nodes = 2,
                        .failure_usec = 400000,
                        .hash = 18,
                };
                break;
        case STATE_MESSAGE_NODE_LEAVING:
        case STATE_MESSAGE_TICK:
                break;
        }
        return m;
}

static GBytes *encoded(unsigned type) {
        StateMessage m = make(type);
        GBytes *b = state_message_encode(&m);

        g_assert_nonnull(b);
        state_message_done(&m);
        return b;
}

#define FIRST_TYPE STATE_MESSAGE_HELLO
#define LAST_TYPE STATE_MESSAGE_FENCED_FOR_QUORUM

static int decode(const void *data, size_t size_bytes) {
        StateMessage m;
        int r = state_message_decode(data, size_bytes, &m);

        if (r >= 0)
                state_message_done(&m);
        return r;
}

static void test_round_trip(void) {
        for (unsigned type = FIRST_TYPE; type <= LAST_TYPE; type++) {
                g_autoptr(GBytes) first = encoded(type), second = NULL;
                char text[STATE_TEXT_MAX];
                StateMessage m;

                g_assert_cmpint(state_message_decode(
                                                g_bytes_get_data(first, NULL), g_bytes_get_size(first), &m),
                                ==,
                                0);
                g_assert_cmpint(m.type, ==, (StateMessageType) type);
                g_assert_cmpuint(m.time_usec, ==, 123456789);
                second = state_message_encode(&m);
                g_assert_true(g_bytes_equal(first, second));
                g_assert_cmpuint(strlen(state_message_format(&m, text)), >, 0);
                state_message_done(&m);
        }
}

static void test_fields(void) {
        g_autoptr(GBytes) report = encoded(STATE_MESSAGE_REPORT), plan = encoded(STATE_MESSAGE_PLAN);
        StateBoot boot = a_boot();
        StateMessage m;

        g_assert_cmpint(state_message_decode(g_bytes_get_data(report, NULL), g_bytes_get_size(report), &m),
                        ==,
                        0);
        g_assert_cmpstr(m.report.group, ==, "web");
        g_assert_cmpuint(m.report.number, ==, 42);
        g_assert_cmpint(m.report.state, ==, STATE_REPORT_STARTING);
        g_assert_cmpuint(m.report.n_resources, ==, 3);
        g_assert_cmpuint(m.report.resources[1], ==, STATE_RESOURCE_STARTING);
        state_message_done(&m);

        g_assert_cmpint(state_message_decode(g_bytes_get_data(plan, NULL), g_bytes_get_size(plan), &m),
                        ==,
                        0);
        g_assert_cmpuint(m.plan.n_steps, ==, 3);
        g_assert_cmpuint(m.plan.steps[1].target, ==, 2);
        g_assert_true(state_boot_equal(&m.plan.steps[2].boot, &boot));
        state_message_done(&m);
}

static void test_truncated(void) {
        for (unsigned type = FIRST_TYPE; type <= LAST_TYPE; type++) {
                g_autoptr(GBytes) b = encoded(type);
                gsize size_bytes;
                const uint8_t *data = g_bytes_get_data(b, &size_bytes);

                for (size_t n = 0; n < size_bytes; n++) {
                        /* Exactly as large as it is, so that a reader beyond the end is noticed. */
                        g_autofree uint8_t *cut = g_memdup2(data, n);

                        g_assert_cmpint(decode(cut, n), ==, -EBADMSG);
                }
                {
                        g_autofree uint8_t *longer = g_malloc0(size_bytes + 1);

                        memcpy(longer, data, size_bytes);
                        g_assert_cmpint(decode(longer, size_bytes + 1), ==, -EBADMSG);
                }
        }
}

static void test_other_version(void) {
        g_autoptr(GBytes) b = encoded(STATE_MESSAGE_TICK);
        g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(b, NULL), g_bytes_get_size(b));

        data[2]++;
        g_assert_cmpint(decode(data, g_bytes_get_size(b)), ==, -EPROTONOSUPPORT);
        data[2]--;
        data[0]++;
        g_assert_cmpint(decode(data, g_bytes_get_size(b)), ==, -EBADMSG);
}

/* Whatever is bent: refused, or read as something that can be written again. */
static void test_bent(void) {
        unsigned n_taken = 0;
        Prng prng;

        prng_init(&prng, 4);
        for (unsigned i = 0; i < 200000; i++) {
                unsigned type = (unsigned) prng_between(&prng, FIRST_TYPE, LAST_TYPE);
                g_autoptr(GBytes) b = encoded(type);
                g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(b, NULL), g_bytes_get_size(b));
                StateMessage m;

                for (unsigned k = 0; k <= prng_below(&prng, 4); k++)
                        data[prng_below(&prng, g_bytes_get_size(b))] = (uint8_t) prng_u64(&prng);
                if (state_message_decode(data, g_bytes_get_size(b), &m) < 0)
                        continue;
                {
                        g_autoptr(GBytes) again = state_message_encode(&m);

                        g_assert_nonnull(again);
                        g_assert_cmpuint(g_bytes_get_size(again), ==, g_bytes_get_size(b));
                }
                state_message_done(&m);
                n_taken++;
        }
        g_assert_cmpuint(n_taken, >, 100);
}

static void test_wrong_values(void) {
        StateMessage bad[] = {
                { .type = STATE_MESSAGE_HELLO, .hello = { STATE_CAPABILITY_RESETS, 0, NULL } },
                { .type = STATE_MESSAGE_HELLO,
                  .hello = { STATE_CAPABILITY_RESETS, STATE_RESET_USEC_MAX + 1, NULL } },
                { .type = STATE_MESSAGE_REPORT,
                  .report = { .group = "UPPER", .state = STATE_REPORT_STOPPED } },
                { .type = STATE_MESSAGE_REPORT, .report = { .group = "", .state = STATE_REPORT_STOPPED } },
                { .type = STATE_MESSAGE_REPORT, .report = { .group = "web", .state = STATE_REPORT_NONE } },
                { .type = STATE_MESSAGE_REPORT,
                  .report = { .group = "web", .state = (StateReportState) 77 } },
                { .type = STATE_MESSAGE_FENCE_RESULT, .fence_result = { .boot = { .node = 65 } } },
                { .type = STATE_MESSAGE_FENCE_RESULT, .fence_result = { .boot = { .node = 0 } } },
                { .type = STATE_MESSAGE_OPERATOR, .operator_ = { .operation = (StateOperation) 0 } },
                { .type = STATE_MESSAGE_OPERATOR, .operator_ = { .operation = (StateOperation) 50 } },
                { .type = STATE_MESSAGE_APPLY_PREPARE, .apply_prepare = { 1, NULL, false } },
        };

        FOREACH_ARRAY(m, bad, ELEMENTSOF(bad)) {
                g_autoptr(GBytes) b = state_message_encode(m);

                g_assert_cmpint(decode(g_bytes_get_data(b, NULL), g_bytes_get_size(b)), ==, -EBADMSG);
        }
}

static void test_too_large(void) {
        g_autofree char *data = g_malloc0(STATE_MESSAGE_BYTES_MAX);
        StateMessage m = {
                .type = STATE_MESSAGE_HELLO,
                .hello.record = g_bytes_new(data, STATE_MESSAGE_BYTES_MAX),
        };

        g_assert_null(state_message_encode(&m));
        state_message_done(&m);
}

static void test_text_is_cut_at_a_character(void) {
        char text[STATE_TEXT_MAX];
        g_autoptr(GString) longer = g_string_new(NULL);

        for (unsigned i = 0; i < 400; i++)
                g_string_append(longer, "ä");
        for (unsigned shift = 0; shift < 2; shift++) {
                state_text_set(text, "%s%s", shift ? "x" : "", longer->str);
                g_assert_cmpuint(strlen(text), <, STATE_TEXT_MAX);
                g_assert_true(g_str_has_suffix(text, "..."));
                g_assert_true(g_utf8_validate(text, -1, NULL));
        }
        state_text_set(text, "%s", "short");
        g_assert_cmpstr(text, ==, "short");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/message/round-trip", test_round_trip);
        g_test_add_func("/state/message/fields", test_fields);
        g_test_add_func("/state/message/truncated-is-refused", test_truncated);
        g_test_add_func("/state/message/other-version-is-refused", test_other_version);
        g_test_add_func("/state/message/bent-is-refused-or-valid", test_bent);
        g_test_add_func("/state/message/wrong-values-are-refused", test_wrong_values);
        g_test_add_func("/state/message/too-large-is-not-sent", test_too_large);
        g_test_add_func("/state/message/text-is-cut-at-a-character", test_text_is_cut_at_a_character);
        return g_test_run();
}
