/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ballots step by step: commits that are lost, crashes at every message, what is refused, numbers. */

#include "sim/story.h"

/* ---- commits ---- */

static void test_lost_commit_is_recovered(void) {
        Story *t = story_new(3);

        story_lose(t, CMS_MESSAGE_COMMIT, NODE_SET_ALL, node_set_of(3));
        story_start_all(t);
        g_assert_cmpuint(story_settle(t, SET3, USEC_PER_SEC), <=, 100 * MSEC);
        story_free(t);
}

typedef struct CrashAt {
        unsigned n_messages, at;
        uint32_t node;
        bool done;
} CrashAt;

static void crash_now(World *w, uint64_t node, uint64_t b, void *userdata) {
        if (w->nodes[node - 1].up)
                world_crash(w, (uint32_t) node, false);
}

static bool crash_at_message(
                World *w,
                uint32_t from,
                uint32_t to,
                WorldChannel channel,
                const void *data,
                size_t size,
                void *userdata) {
        CrashAt *x = userdata;

        if (((const uint8_t *) data)[1] == CMS_MESSAGE_HEARTBEAT || x->done)
                return false;
        if (++x->n_messages >= x->at) {
                x->done = true;
                world_at(w, w->now_usec, crash_now, x->node, 0, NULL);
        }
        return false;
}

/* A20: the coordinator or a participant dies after every single message of a change. */
static void test_crash_at_every_step(void) {
        for (uint32_t victim = 1; victim <= 4; victim++)
                for (unsigned at = 1; at <= 40; at++) {
                        Story *t = story_settled(5);
                        CrashAt x = { .at = at, .node = victim };

                        t->w->filter = crash_at_message;
                        t->w->filter_userdata = &x;
                        world_crash(t->w, 5, true);
                        story_run(t, 3 * USEC_PER_SEC);
                        if (!x.done) {
                                /* The change needs no more messages than that. */
                                g_assert_cmpuint(at, >, 25);
                                story_free(t);
                                break;
                        }
                        story_settle(t, node_set_without(0x0f, victim), 3 * USEC_PER_SEC);
                        world_start(t->w, victim, true);
                        world_start(t->w, 5, true);
                        story_settle(t, 0x1f, 5 * USEC_PER_SEC);
                        story_free(t);
                }
}

/* ---- R1, R2: what is refused ---- */

static const CmsMessage *reply_to(Story *t, uint32_t at, uint32_t from, const CmsMessage *m) {
        story_feed(t, at, (CmsEvent){ .type = CMS_EVENT_RECEIVED, .received = { from, 0, m } });
        for (unsigned i = 0; i < t->s->effects.n; i++) {
                const CmsEffect *e = &t->s->effects.items[i];

                if (e->type == CMS_EFFECT_SEND && e->send.message->type != CMS_MESSAGE_HEARTBEAT)
                        return e->send.message;
        }
        return NULL;
}

static CmsMessage *inquiry(Story *t, uint32_t from) {
        CmsMessage *m = g_new0(CmsMessage, 1);

        m->version = CMS_PROTOCOL_VERSION;
        m->type = CMS_MESSAGE_INQUIRE;
        m->incarnation = cms_sim_incarnation(t->w, from);
        m->inquire.ballot = (Mid){ 1000, from };
        m->inquire.mid = story_membership(t, from) ? story_membership(t, from)->mid : MID_NONE;
        m->inquire.quorate = story_membership(t, from) && story_membership(t, from)->quorate;
        m->inquire.row.version = story_cms(t, from)->row_version;
        m->inquire.row.heard = node_set_without(t->s->config.enabled, from);
        NODE_SET_FOREACH(id, m->inquire.row.heard)
                m->inquire.row.incarnation[id - 1] = cms_sim_incarnation(t->w, id);
        return m;
}

static void assert_refused(Story *t, uint32_t at, uint32_t from, const CmsMessage *m, CmsRefusal why) {
        Mid before = story_cms(t, at)->promised;
        const CmsMessage *reply = reply_to(t, at, from, m);

        g_assert_nonnull(reply);
        g_assert_cmpint(reply->type, ==, CMS_MESSAGE_REFUSE);
        g_assert_cmpint(reply->refuse.why, ==, why);
        g_assert_true(mid_equal(story_cms(t, at)->promised, before));
}

static void test_inquiries_that_are_refused(void) {
        Story *t = story_settled(4);
        CmsMessage *m;

        m = inquiry(t, 1);
        node_set_remove(&m->inquire.row.heard, 2);
        assert_refused(t, 2, 1, m, CMS_REFUSAL_NOT_HEARD);
        g_free(m);

        m = inquiry(t, 1);
        m->inquire.row.incarnation[1]++;
        assert_refused(t, 2, 1, m, CMS_REFUSAL_NOT_HEARD);
        g_free(m);

        m = inquiry(t, 1);
        m->incarnation++;
        assert_refused(t, 2, 1, m, CMS_REFUSAL_NOT_HEARD);
        g_free(m);

        m = inquiry(t, 1);
        m->inquire.lost = 4; /* which is heard here */
        assert_refused(t, 2, 1, m, CMS_REFUSAL_LOSS_NOT_SEEN);

        /* FailureSec has confirmed it there: believed, promised, and frozen before it is written. */
        m->inquire.silent = 4;
        g_assert_null(reply_to(t, 2, 1, m));
        g_assert_true(cms_in_transition(story_cms(t, 2)));
        g_assert_cmpuint(story_cms(t, 2)->promised.epoch, ==, 1000);
        g_free(m);
        story_run(t, 5 * USEC_PER_SEC);
        story_settle(t, 0x0f, USEC_PER_SEC);

        /* Numbers have gone past it. */
        m = inquiry(t, 1);
        assert_refused(t, 2, 1, m, CMS_REFUSAL_PROMISED);
        g_free(m);
        story_free(t);
}

static void test_outsider_is_refused(void) {
        Story *t = story_settled(4);
        CmsMessage *m;

        world_cut(t->w, 1, 8, WORLD_ALL_LINKS);
        story_settle(t, 0x07, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        /* Node 4 is not in it, and node 2 hears it well. */
        m = inquiry(t, 4);
        m->inquire.quorate = false;
        assert_refused(t, 2, 4, m, CMS_REFUSAL_INTACT);
        g_free(m);
        story_free(t);
}

/* ---- numbers, notifications ---- */

static void test_numbers_grow_across_restarts(void) {
        Story *t = story_settled(3);
        Mid newest = story_membership(t, 1)->mid;

        for (unsigned round = 0; round < 5; round++) {
                for (uint32_t id = 1; id <= 3; id++)
                        world_crash(t->w, id, round % 2 == 0);
                story_run(t, 100 * MSEC);
                story_start_all(t);
                story_settle(t, SET3, 2 * USEC_PER_SEC);
                g_assert_cmpint(mid_compare(story_membership(t, 1)->mid, newest), >, 0);
                newest = story_membership(t, 1)->mid;
        }
        story_free(t);
}

static void test_notifications_come_in_order(void) {
        Story *t = story_settled(3);
        bool stable[4] = { false, true, true, true };

        cms_sim_crash_with_gasp(t->w, t->s, 3, true);
        story_run(t, USEC_PER_SEC);
        world_start(t->w, 3, true);
        story_run(t, 2 * USEC_PER_SEC);
        story_cut(t, 1, 6);
        story_run(t, 2 * USEC_PER_SEC);
        world_heal_all(t->w);
        story_run(t, 2 * USEC_PER_SEC);
        for (unsigned i = 0; i < t->n_heard; i++) {
                uint32_t at = t->heard[i].at_node;

                switch (t->heard[i].n.type) {
                case CMS_NOTIFICATION_TRANSITION:
                        g_assert_true(stable[at] || at == 3);
                        stable[at] = false;
                        break;
                case CMS_NOTIFICATION_STABLE:
                        g_assert_false(stable[at]);
                        stable[at] = true;
                        break;
                case CMS_NOTIFICATION_NODE:
                        g_assert_cmpuint(t->heard[i].n.node.node, >, 0);
                        break;
                }
                if (at == 3 && t->heard[i].n.type == CMS_NOTIFICATION_NODE)
                        continue;
        }
        story_free(t);
}

/* A09: one of three does not acknowledge. The three are never a membership, anywhere; the two are. */
static void test_nobody_installs_before_all_acknowledged(void) {
        Story *t = story_new(3);

        story_lose(t, CMS_MESSAGE_ACKNOWLEDGE, node_set_of(3), NODE_SET_ALL);
        story_start_all(t);
        story_settle(t, 3, 10 * USEC_PER_SEC);
        STORY_FOREACH_STABLE(h, t)
                g_assert_false(node_set_contains(h->stable.members, 3) && h->stable.n_members > 1);
        story_lose_nothing(t);
        story_settle(t, SET3, 20 * USEC_PER_SEC);
        story_free(t);
}

void story_add_ballot(void) {
        g_test_add_func("/cms/commit/nobody-before-all-acknowledged",
                        test_nobody_installs_before_all_acknowledged);
        g_test_add_func("/cms/commit/lost-one-is-recovered", test_lost_commit_is_recovered);
        g_test_add_func("/cms/commit/crash-at-every-step", test_crash_at_every_step);
        g_test_add_func("/cms/refuse/inquiries", test_inquiries_that_are_refused);
        g_test_add_func("/cms/refuse/outsider", test_outsider_is_refused);
        g_test_add_func("/cms/number/grows-across-restarts", test_numbers_grow_across_restarts);
        g_test_add_func("/cms/notify/in-order", test_notifications_come_in_order);
}
