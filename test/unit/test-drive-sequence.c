/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Steps are compared as words: "own start:0", "tell:STARTED", "". */

#include <glib.h>

#include "basic/prng.h"
#include "hamgr/drive/sequence.h"

#define N 3U

static const char *const tell_names[] = {
        [DRIVE_EVENT_CONNECTED] = "?",
        [DRIVE_EVENT_DISCONNECTED] = "?",
        [DRIVE_EVENT_GUARDED] = "?",
        [DRIVE_EVENT_GUARD_FAILED] = "?",
        [DRIVE_EVENT_FOUND] = "FOUND",
        [DRIVE_EVENT_STARTED] = "STARTED",
        [DRIVE_EVENT_START_FAILED] = "START_FAILED",
        [DRIVE_EVENT_STOPPED] = "STOPPED",
        [DRIVE_EVENT_STOP_FAILED] = "STOP_FAILED",
        [DRIVE_EVENT_RESOURCE_FAILED] = "RESOURCE_FAILED",
        [DRIVE_EVENT_OPERATOR_STOPPED] = "OPERATOR_STOPPED",
        [DRIVE_EVENT_RESOURCE_CHANGED] = "?",
        [DRIVE_EVENT_STRAY] = "STRAY",
};

static void add_effect(GString *text, const SequenceEffect *e) {
        if (text->len > 0)
                g_string_append_c(text, ' ');
        switch (e->type) {
        case SEQUENCE_OWN:
                g_string_append(text, "own");
                break;
        case SEQUENCE_DISOWN:
                g_string_append(text, "disown");
                break;
        case SEQUENCE_START:
                g_string_append_printf(text, "start:%zu", e->index);
                break;
        case SEQUENCE_STOP:
                g_string_append_printf(text, "stop:%zu", e->index);
                break;
        case SEQUENCE_TELL:
                g_string_append_printf(text, "tell:%s", tell_names[e->tell]);
                if (e->index != SIZE_MAX)
                        g_string_append_printf(text, ":%zu", e->index);
                break;
        }
}

static char *step(Sequence *s, SequenceEventType type, size_t index) {
        GString *text = g_string_new(NULL);
        SequenceEffects effects;

        sequence_step(s, &(SequenceEvent){ .type = type, .index = index }, &effects);
        FOREACH_ARRAY(e, effects.items, effects.n_items)
                add_effect(text, e);
        return g_string_free(text, FALSE);
}

#define EXPECT(s, type, index, expected)                                                                    \
        do {                                                                                                \
                g_autofree char *_said = step((s), (type), (index));                                        \
                g_assert_cmpstr(_said, ==, (expected));                                                     \
        } while (false)

static void look(Sequence *s, SequencePresence a, SequencePresence b, SequencePresence c, DriveFound found) {
        SequencePresence presence[N] = { a, b, c };
        SequenceEffects effects;

        sequence_init(s, N);
        g_assert_cmpint(sequence_accepts(s, SEQUENCE_ORDER_START), ==, -EBUSY);
        sequence_step(s, &(SequenceEvent){ .type = SEQUENCE_LOOKED, .presence = presence }, &effects);
        g_assert_cmpuint(effects.n_items, ==, 1);
        g_assert_cmpint(effects.items[0].tell, ==, DRIVE_EVENT_FOUND);
        g_assert_cmpint(s->found, ==, found);
}

static void stopped(Sequence *s) {
        look(s, SEQUENCE_DOWN, SEQUENCE_DOWN, SEQUENCE_DOWN, DRIVE_FOUND_NOTHING);
        g_assert_cmpint(s->state, ==, DRIVE_GROUP_STOPPED);
}

static void running(Sequence *s) {
        look(s, SEQUENCE_UP, SEQUENCE_UP, SEQUENCE_UP, DRIVE_FOUND_ALL);
        EXPECT(s, SEQUENCE_ORDER_ADOPT, 0, "own tell:STARTED");
        g_assert_cmpint(s->state, ==, DRIVE_GROUP_RUNNING);
}

static void start_in_order(void) {
        Sequence s;

        stopped(&s);
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own start:0");
        EXPECT(&s, SEQUENCE_STARTED, 0, "start:1");
        EXPECT(&s, SEQUENCE_STARTED, 1, "start:2");
        EXPECT(&s, SEQUENCE_STARTED, 2, "tell:STARTED");
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own tell:STARTED");
}

static void stop_in_reverse_and_prove_each(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "stop:1");
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown");
        EXPECT(&s, SEQUENCE_STOPPED, 1, "stop:0");
        g_assert_cmpint(sequence_accepts(&s, SEQUENCE_ORDER_START), ==, -EBUSY);
        EXPECT(&s, SEQUENCE_STOPPED, 0, "tell:STOPPED");

        /* What was proven once is proven again. */
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
}

static void ownership_goes_before_the_first_stop(void) {
        Sequence s;
        SequenceEffects effects;

        running(&s);
        sequence_step(&s, &(SequenceEvent){ .type = SEQUENCE_ORDER_STOP }, &effects);
        g_assert_cmpint(effects.items[0].type, ==, SEQUENCE_DISOWN);
        g_assert_cmpint(effects.items[1].type, ==, SEQUENCE_STOP);
}

static void failed_start_waits_for_an_order(void) {
        Sequence s;

        stopped(&s);
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own start:0");
        EXPECT(&s, SEQUENCE_STARTED, 0, "start:1");
        EXPECT(&s, SEQUENCE_START_FAILED, 1, "tell:START_FAILED:1");
        g_assert_cmpint(s.state, ==, DRIVE_GROUP_FAILED);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
}

static void stop_takes_the_place_of_a_start(void) {
        Sequence s;

        stopped(&s);
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own start:0");
        EXPECT(&s, SEQUENCE_STARTED, 0, "start:1");
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:1");
        EXPECT(&s, SEQUENCE_STARTED, 1, ""); /* too late */
        EXPECT(&s, SEQUENCE_STOPPED, 1, "stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "stop:0");
        EXPECT(&s, SEQUENCE_STOPPED, 0, "tell:STOPPED");
}

static void stop_that_fails(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
        EXPECT(&s, SEQUENCE_STOP_FAILED, 2, "tell:STOP_FAILED:2");
        g_assert_cmpint(sequence_accepts(&s, SEQUENCE_ORDER_START), ==, -EBUSY);
        g_assert_cmpint(sequence_accepts(&s, SEQUENCE_ORDER_RESTART), ==, -EBUSY);
        g_assert_cmpint(sequence_accepts(&s, SEQUENCE_ORDER_STOP), ==, 0);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
}

static void restart_from_the_failed_one(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_WENT_DOWN, 1, "tell:RESOURCE_FAILED:1");
        EXPECT(&s, SEQUENCE_ORDER_RESTART, 1, "own stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "stop:1");
        EXPECT(&s, SEQUENCE_STOPPED, 1, "start:1");
        EXPECT(&s, SEQUENCE_STARTED, 1, "start:2");
        EXPECT(&s, SEQUENCE_STARTED, 2, "tell:STARTED");
}

static void restart_starts_what_fell_before_it(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_WENT_DOWN, 2, "tell:RESOURCE_FAILED:2");
        EXPECT(&s, SEQUENCE_WENT_DOWN, 0, "");
        EXPECT(&s, SEQUENCE_ORDER_RESTART, 2, "own stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "start:0");
        EXPECT(&s, SEQUENCE_STARTED, 0, "start:2");
}

static void restart_whose_stop_fails(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_ORDER_RESTART, 2, "own stop:2");
        EXPECT(&s, SEQUENCE_STOP_FAILED, 2, "tell:START_FAILED:2");
}

static void failure_while_starting(void) {
        Sequence s;

        stopped(&s);
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own start:0");
        EXPECT(&s, SEQUENCE_STARTED, 0, "start:1");
        EXPECT(&s, SEQUENCE_WENT_DOWN, 0, "tell:START_FAILED:0");
        EXPECT(&s, SEQUENCE_STARTED, 1, "");
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own start:0");
}

static void operator_and_strangers(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_OPERATOR_STOPPED, 2, "tell:OPERATOR_STOPPED:2");
        g_assert_cmpint(s.state, ==, DRIVE_GROUP_FAILED);

        stopped(&s);
        EXPECT(&s, SEQUENCE_CAME_UP, 2, "tell:STRAY:2");
        g_assert_cmpint(s.state, ==, DRIVE_GROUP_FAILED);
}

/* Whoever stopped it by hand starts it again. A failure is not mended so: it has been told, and is acted on.
 */
static void hand_that_stopped_it_starts_it_again(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_OPERATOR_STOPPED, 2, "tell:OPERATOR_STOPPED:2");
        EXPECT(&s, SEQUENCE_OPERATOR_STOPPED, 1, "");
        EXPECT(&s, SEQUENCE_CAME_UP, 2, "");
        EXPECT(&s, SEQUENCE_CAME_UP, 1, "tell:STARTED");
        EXPECT(&s, SEQUENCE_WENT_DOWN, 1, "tell:RESOURCE_FAILED:1");
        EXPECT(&s, SEQUENCE_CAME_UP, 1, "");
        g_assert_cmpint(s.state, ==, DRIVE_GROUP_FAILED);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");

        /* Also after a restart of hamgr meanwhile. */
        look(&s, SEQUENCE_UP, SEQUENCE_DOWN, SEQUENCE_UP, DRIVE_FOUND_PART);
        EXPECT(&s, SEQUENCE_CAME_UP, 1, "");
        look(&s, SEQUENCE_UP, SEQUENCE_DOWN, SEQUENCE_UP, DRIVE_FOUND_PART);
        EXPECT(&s, SEQUENCE_ORDER_ADOPT, 0, "own tell:RESOURCE_FAILED:1");
        EXPECT(&s, SEQUENCE_CAME_UP, 1, "tell:STARTED");
}

/* What is only looked at may not be started by anybody here: it may run on another node as well. */
static void watching_is_not_owning(void) {
        Sequence s;

        look(&s, SEQUENCE_UP, SEQUENCE_UP, SEQUENCE_UP, DRIVE_FOUND_ALL);
        EXPECT(&s, SEQUENCE_ORDER_WATCH, 0, "tell:STARTED");
        EXPECT(&s, SEQUENCE_WENT_DOWN, 1, "tell:RESOURCE_FAILED:1");
        look(&s, SEQUENCE_UP, SEQUENCE_UP, SEQUENCE_UP, DRIVE_FOUND_ALL);
        EXPECT(&s, SEQUENCE_ORDER_WATCH, 0, "tell:STARTED");
        EXPECT(&s, SEQUENCE_ORDER_START, 0, "own tell:STARTED");
}

static void started_again_during_the_stop(void) {
        Sequence s;

        running(&s);
        EXPECT(&s, SEQUENCE_ORDER_STOP, 0, "disown stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "stop:1");
        EXPECT(&s, SEQUENCE_CAME_UP, 2, "");
        EXPECT(&s, SEQUENCE_STOPPED, 1, "stop:2");
        EXPECT(&s, SEQUENCE_STOPPED, 2, "stop:0");
        EXPECT(&s, SEQUENCE_STOPPED, 0, "tell:STOPPED");
}

static void adopt_a_part(void) {
        Sequence s;

        look(&s, SEQUENCE_UP, SEQUENCE_DOWN, SEQUENCE_UP, DRIVE_FOUND_PART);
        EXPECT(&s, SEQUENCE_ORDER_ADOPT, 0, "own tell:RESOURCE_FAILED:1");
        EXPECT(&s, SEQUENCE_ORDER_RESTART, 1, "own stop:2");
}

/* Whatever happens: STOPPED is told only when each resource was proven after the order, STARTED only when
 * all are up, one resource is worked on at a time, and every start and stop that is left alone comes to an
 * end. */
static void random_happenings(void) {
        for (uint64_t seed = 1; seed <= 2000; seed++) {
                Prng prng;
                Sequence s;
                bool proven[N] = {};

                prng_init(&prng, seed);
                stopped(&s);
                for (unsigned i = 0; i < 200; i++) {
                        SequenceEvent event = { .index = prng_below(&prng, N) };
                        SequenceEffects effects;

                        event.type = (SequenceEventType) prng_below(&prng, SEQUENCE_CAME_UP + 1);
                        if (event.type == SEQUENCE_LOOKED)
                                continue;
                        if (event.type <= SEQUENCE_ORDER_RESTART && sequence_accepts(&s, event.type) < 0)
                                continue;
                        if (event.type >= SEQUENCE_STARTED && event.type <= SEQUENCE_STOP_FAILED) {
                                bool of_start = event.type <= SEQUENCE_START_FAILED;

                                if (s.doing != (of_start ? SEQUENCE_DOING_START : SEQUENCE_DOING_STOP))
                                        continue;
                                event.index = s.doing_index;
                        }
                        if (event.type == SEQUENCE_ORDER_STOP && s.state != DRIVE_GROUP_STOPPING)
                                memset(proven, 0, sizeof(proven));
                        if (event.type == SEQUENCE_STOPPED)
                                proven[event.index] = true;
                        if (event.type == SEQUENCE_CAME_UP)
                                proven[event.index] = false;

                        sequence_step(&s, &event, &effects);
                        FOREACH_ARRAY(e, effects.items, effects.n_items) {
                                if (e->type != SEQUENCE_TELL)
                                        continue;
                                for (size_t k = 0; k < N && e->tell == DRIVE_EVENT_STOPPED; k++)
                                        g_assert_true(proven[k]);
                                for (size_t k = 0; k < N && e->tell == DRIVE_EVENT_STARTED; k++)
                                        g_assert_cmpint(s.presence[k], ==, SEQUENCE_UP);
                        }
                        g_assert_true(s.doing != SEQUENCE_DOING_NOTHING ||
                                      (s.state != DRIVE_GROUP_STARTING && s.state != DRIVE_GROUP_STOPPING));
                }
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/drive/sequence/start-in-order", start_in_order);
        g_test_add_func("/drive/sequence/stop-in-reverse-and-prove-each", stop_in_reverse_and_prove_each);
        g_test_add_func("/drive/sequence/ownership-goes-before-the-first-stop",
                        ownership_goes_before_the_first_stop);
        g_test_add_func("/drive/sequence/failed-start-waits-for-an-order", failed_start_waits_for_an_order);
        g_test_add_func("/drive/sequence/stop-takes-the-place-of-a-start", stop_takes_the_place_of_a_start);
        g_test_add_func("/drive/sequence/stop-that-fails", stop_that_fails);
        g_test_add_func("/drive/sequence/restart-from-the-failed-one", restart_from_the_failed_one);
        g_test_add_func("/drive/sequence/restart-starts-what-fell-before-it",
                        restart_starts_what_fell_before_it);
        g_test_add_func("/drive/sequence/restart-whose-stop-fails", restart_whose_stop_fails);
        g_test_add_func("/drive/sequence/failure-while-starting", failure_while_starting);
        g_test_add_func("/drive/sequence/operator-and-strangers", operator_and_strangers);
        g_test_add_func("/drive/sequence/hand-that-stopped-it-starts-it-again",
                        hand_that_stopped_it_starts_it_again);
        g_test_add_func("/drive/sequence/started-again-during-the-stop", started_again_during_the_stop);
        g_test_add_func("/drive/sequence/watching-is-not-owning", watching_is_not_owning);
        g_test_add_func("/drive/sequence/adopt-a-part", adopt_a_part);
        g_test_add_func("/drive/sequence/random-happenings", random_happenings);
        return g_test_run();
}
