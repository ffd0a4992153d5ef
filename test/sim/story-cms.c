/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scripted stories of the membership core: each tells a behaviour or a rule on a small cluster in virtual
 * time, with the checker of the swarm looking on. */

#include <glib.h>

#include "sim/cms-actor.h"

#define MSEC USEC_PER_MSEC
#define SET3 ((NodeSet) 7)

typedef struct Heard {
        uint64_t at_usec;
        uint32_t at_node;
        CmsNotification n;
        Membership stable;
} Heard;

typedef struct Story {
        World *w;
        CmsSim *s;
        Heard heard[512];
        unsigned n_heard;
} Story;

static void listen_in(World *w, uint32_t node, const CmsNotification *n, void *userdata) {
        Story *t = userdata;
        Heard *h;

        /* The stories that read this are short. */
        if (t->n_heard == G_N_ELEMENTS(t->heard))
                return;
        h = &t->heard[t->n_heard++];
        *h = (Heard){ .at_usec = w->now_usec, .at_node = node, .n = *n };
        if (n->type == CMS_NOTIFICATION_STABLE)
                h->stable = *n->stable;
}

static Story *story_new_links(unsigned n_nodes, unsigned n_links) {
        Story *t = g_new0(Story, 1);

        t->w = world_new(1, n_nodes, n_links);
        t->w->tracing = true;
        t->s = cms_sim_new(t->w, 100 * MSEC, 400 * MSEC);
        t->s->listener = listen_in;
        t->s->listener_userdata = t;
        cms_sim_init_stores(t->w, t->s);
        return t;
}

static Story *story_new(unsigned n_nodes) {
        return story_new_links(n_nodes, 2);
}

static void story_free(Story *t) {
        if (t->w->failed)
                world_print_trace(t->w, 200);
        g_assert_false(t->w->failed);
        world_free(t->w);
        cms_sim_free(t->s);
        g_free(t);
}

static void run(Story *t, uint64_t usec) {
        world_run_until(t->w, t->w->now_usec + usec);
        if (t->w->failed) {
                world_print_trace(t->w, 200);
                g_error("%s", t->w->failure);
        }
}

static void start_all(Story *t) {
        for (uint32_t id = 1; id <= t->w->n_nodes; id++)
                world_start(t->w, id, true);
}

static Story *story_settled(unsigned n_nodes) {
        Story *t = story_new(n_nodes);

        start_all(t);
        run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, t->s->config.enabled));
        t->n_heard = 0;
        return t;
}

static Cms *cms_of(Story *t, uint32_t node) {
        g_assert_nonnull(t->s->nodes[node - 1].cms);
        return t->s->nodes[node - 1].cms;
}

static const Membership *membership_of(Story *t, uint32_t node) {
        return cms_membership(cms_of(t, node));
}

static NodeSet members_of(Story *t, uint32_t node) {
        const Membership *m = membership_of(t, node);

        return m ? m->members : NODE_SET_EMPTY;
}

static void feed(Story *t, uint32_t node, CmsEvent event) {
        cms_sim_feed(t->w, t->s, node, event);
}

/* How long until the set is settled; fails when it takes longer than the limit. */
static uint64_t time_to_settle(Story *t, NodeSet set, uint64_t limit_usec) {
        uint64_t begin = t->w->now_usec;

        while (!cms_sim_is_settled(t->w, t->s, set)) {
                if (t->w->now_usec - begin > limit_usec) {
                        world_print_trace(t->w, 100);
                        g_error("not settled in time");
                }
                run(t, MSEC);
        }
        return t->w->now_usec - begin;
}

static void cut_both(Story *t, NodeSet a, NodeSet b) {
        world_cut(t->w, a, b, WORLD_ALL_LINKS);
        world_cut(t->w, b, a, WORLD_ALL_LINKS);
}

static CmsPeerView peer_view(Story *t, uint32_t at, uint32_t of) {
        CmsView *v = g_new0(CmsView, 1);
        CmsPeerView p;

        cms_view(cms_of(t, at), world_clock(t->w, at), v);
        p = v->peers[of - 1];
        g_free(v);
        return p;
}

/* ---- forming ---- */

static void test_form_for_every_size(void) {
        for (unsigned n = 1; n <= 64; n = n < 8 ? n + 1 : n * 2) {
                Story *t = story_new(n);

                start_all(t);
                time_to_settle(t, t->s->config.enabled, 2 * USEC_PER_SEC);
                g_assert_true(membership_of(t, n)->first);
                story_free(t);
        }
}

static void test_form_quickly(void) {
        Story *t = story_new(3);

        world_start(t->w, 1, true);
        run(t, 60 * MSEC);
        world_start(t->w, 2, true);
        run(t, 40 * MSEC);
        world_start(t->w, 3, true);
        g_assert_cmpuint(time_to_settle(t, SET3, USEC_PER_SEC), <=, 50 * MSEC);
        story_free(t);
}

static void test_form_without_the_third(void) {
        Story *t = story_new(3);

        world_start(t->w, 1, true);
        world_start(t->w, 3, true);
        g_assert_cmpuint(time_to_settle(t, 5, USEC_PER_SEC), <=, 200 * MSEC);
        g_assert_cmpint(membership_node(membership_of(t, 1), 2)->state, ==, NODE_UNKNOWN);
        g_assert_cmpint(membership_node(membership_of(t, 1), 2)->reason, ==, NODE_REASON_NEVER_SEEN);

        /* And the third is taken in at once; it is the junior now. */
        world_start(t->w, 2, true);
        g_assert_cmpuint(time_to_settle(t, SET3, USEC_PER_SEC), <=, 100 * MSEC);
        g_assert_cmpuint(membership_rank_of(membership_of(t, 1), 2), ==, 2);
        story_free(t);
}

static void test_alone_is_shown_without_quorum(void) {
        Story *t = story_new(3);

        world_start(t->w, 2, true);
        run(t, USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 2), ==, 2);
        g_assert_false(membership_of(t, 2)->quorate);
        g_assert_false(membership_of(t, 2)->half);
        story_free(t);
}

/* ---- detection ---- */

static void test_short_silence_changes_nothing(void) {
        Story *t = story_settled(3);
        Mid before = membership_of(t, 1)->mid;

        world_pause(t->w, 2);
        run(t, 280 * MSEC);
        world_resume(t->w, 2);
        run(t, 3 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, before));
        g_assert_true(mid_equal(membership_of(t, 2)->mid, before));
        story_free(t);
}

static void test_silence_removes(void) {
        Story *t = story_settled(3);
        Mid before = membership_of(t, 1)->mid;
        uint64_t took;

        world_pause(t->w, 2);
        took = time_to_settle(t, 5, USEC_PER_SEC);
        g_assert_cmpuint(took, >=, 300 * MSEC);
        g_assert_cmpuint(took, <=, 450 * MSEC);
        g_assert_cmpint(mid_compare(membership_of(t, 1)->mid, before), >, 0);
        g_assert_cmpint(membership_node(membership_of(t, 1), 2)->state, ==, NODE_UNKNOWN);
        g_assert_cmpint(membership_node(membership_of(t, 1), 2)->reason, ==, NODE_REASON_SILENCE);
        g_assert_true(mid_equal(membership_node(membership_of(t, 1), 2)->last_mid, before));

        /* Awake, it learns that it was shut out, and is taken in again. */
        t->n_heard = 0;
        world_resume(t->w, 2);
        time_to_settle(t, SET3, 2 * USEC_PER_SEC);
        for (unsigned i = 0;; i++) {
                g_assert_cmpuint(i, <, t->n_heard);
                if (t->heard[i].at_node == 2 && t->heard[i].n.type == CMS_NOTIFICATION_NODE &&
                    t->heard[i].n.node.change == CMS_NODE_EXCLUDED)
                        break;
        }
        story_free(t);
}

static void test_last_gasp_is_quick(void) {
        for (uint32_t victim = 1; victim <= 3; victim++)
                for (unsigned seed = 0; seed < 50; seed++) {
                        Story *t = story_settled(3);

                        prng_init(&t->w->prng, seed);
                        cms_sim_crash_with_gasp(t->w, t->s, victim, true);
                        g_assert_cmpuint(
                                        time_to_settle(t, node_set_without(SET3, victim), USEC_PER_SEC),
                                        <=,
                                        120 * MSEC);
                        for (unsigned i = 0; i < t->n_heard; i++)
                                if (t->heard[i].n.type == CMS_NOTIFICATION_STABLE)
                                        g_assert_true(t->heard[i].stable.quorate);
                        story_free(t);
                }
}

static void test_last_gasp_of_the_living_is_suspicion_once(void) {
        Story *t = story_settled(3);
        CmsEvent gasp = { .type = CMS_EVENT_LAST_GASP, .last_gasp = { 2, cms_sim_incarnation(t->w, 2) } };
        Mid mid;

        feed(t, 1, gasp);
        feed(t, 3, gasp);
        g_assert_false(peer_view(t, 1, 2).heard);
        run(t, 2 * USEC_PER_SEC);
        time_to_settle(t, SET3, USEC_PER_SEC);
        mid = membership_of(t, 1)->mid;
        feed(t, 1, gasp);
        feed(t, 3, gasp);
        run(t, 2 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, mid));

        /* And of another incarnation it is nothing at all. */
        gasp.last_gasp.incarnation++;
        feed(t, 1, gasp);
        g_assert_true(peer_view(t, 1, 2).heard);
        story_free(t);
}

static void test_loss_of_all_carriers(void) {
        Story *t = story_settled(3);

        world_carrier(t->w, 1, 0, false);
        run(t, 100 * MSEC);
        g_assert_false(cms_in_transition(cms_of(t, 1)));
        world_carrier(t->w, 1, 1, false);
        run(t, 10 * MSEC);
        g_assert_false(peer_view(t, 1, 2).heard);
        g_assert_true(cms_in_transition(cms_of(t, 1)) || !membership_of(t, 1)->quorate);
        time_to_settle(t, 6, USEC_PER_SEC);
        world_heal_all(t->w);
        time_to_settle(t, SET3, 3 * USEC_PER_SEC);
        story_free(t);
}

static void test_one_link_is_enough(void) {
        Story *t = story_settled(3);
        Mid mid = membership_of(t, 1)->mid;

        world_cut(t->w, SET3, SET3, 0);
        run(t, 3 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, mid));
        g_assert_cmpuint(peer_view(t, 1, 2).heard_age_usec[0], >=, 2 * USEC_PER_SEC);
        g_assert_cmpuint(peer_view(t, 1, 2).heard_age_usec[1], <=, 200 * MSEC);
        story_free(t);
}

static void test_own_pause_accuses_nobody(void) {
        Story *t = story_settled(5);
        Mid mid = membership_of(t, 2)->mid;

        /* All are starved at once, as on an overloaded host. */
        for (uint32_t id = 1; id <= 5; id++)
                world_pause(t->w, id);
        run(t, 2 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 5; id++)
                world_resume(t->w, id);
        run(t, 2 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 2)->mid, mid));
        story_free(t);
}

static void test_restart_is_leave_then_join(void) {
        Story *t = story_settled(3);
        uint64_t former = cms_sim_incarnation(t->w, 3), present;
        unsigned going = 0, coming = 0, stable = 0;

        world_crash(t->w, 3, true);
        run(t, 20 * MSEC);
        world_start(t->w, 3, false);
        present = cms_sim_incarnation(t->w, 3);
        g_assert_cmpuint(time_to_settle(t, SET3, USEC_PER_SEC), <=, 150 * MSEC);
        g_assert_true(membership_has(membership_of(t, 1), 3, present));
        for (unsigned i = 0; i < t->n_heard; i++) {
                const Heard *h = &t->heard[i];

                if (h->at_node != 1)
                        continue;
                if (h->n.type == CMS_NOTIFICATION_STABLE && h->stable.members == SET3 && stable == 0)
                        stable = i + 1;
                if (h->n.type != CMS_NOTIFICATION_NODE || h->n.node.node != 3)
                        continue;
                if (h->n.node.change == CMS_NODE_GOING && h->n.node.incarnation == former)
                        going = i + 1;
                if (h->n.node.change == CMS_NODE_COMING && h->n.node.incarnation == present)
                        coming = i + 1;
        }
        g_assert_cmpuint(going, >, 0);
        g_assert_cmpuint(coming, >, going);
        g_assert_cmpuint(stable, >, coming);
        g_assert_cmpuint(membership_rank_of(membership_of(t, 1), 3), ==, 2);
        story_free(t);
}

static void test_senior_keeps_the_lead(void) {
        Story *t = story_settled(3);

        cms_sim_crash_with_gasp(t->w, t->s, 1, true);
        time_to_settle(t, 6, USEC_PER_SEC);
        g_assert_cmpuint(membership_of(t, 2)->rank[0], ==, 2);
        world_start(t->w, 1, true);
        time_to_settle(t, SET3, USEC_PER_SEC);
        g_assert_cmpuint(membership_of(t, 1)->rank[0], ==, 2);
        g_assert_cmpuint(membership_of(t, 1)->rank[2], ==, 1);
        story_free(t);
}

/* ---- farewell ---- */

static void test_farewell(void) {
        for (int running = 0; running <= 1; running++) {
                Story *t = story_settled(3);

                feed(t, 3, (CmsEvent){ .type = CMS_EVENT_LEAVE, .leave = { running != 0 } });
                g_assert_cmpuint(time_to_settle(t, 3, USEC_PER_SEC), <=, 50 * MSEC);
                g_assert_true(t->s->nodes[2].leaving); /* LEFT has come: it was heard */
                g_assert_cmpint(membership_node(membership_of(t, 1), 3)->state,
                                ==,
                                running ? NODE_DETACHED : NODE_INACTIVE);
                g_assert_cmpint(membership_node(membership_of(t, 1), 3)->reason, ==, NODE_REASON_FAREWELL);
                story_free(t);
        }
}

static void test_farewell_of_one_of_two(void) {
        Story *t = story_settled(2);

        feed(t, 1, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        time_to_settle(t, 2, USEC_PER_SEC);
        g_assert_true(membership_of(t, 2)->half);
        g_assert_true(membership_of(t, 2)->quorate);
        story_free(t);
}

/* ---- quorum ---- */

static void test_split_of_five(void) {
        Story *t = story_settled(5);

        cut_both(t, 0x07, 0x18);
        time_to_settle(t, 0x07, 2 * USEC_PER_SEC);
        run(t, USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 4), ==, 0x18);
        g_assert_false(membership_of(t, 4)->quorate);
        cut_both(t, 0x04, 0x03);
        run(t, 3 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 5; id++)
                g_assert_false(membership_of(t, id) && membership_of(t, id)->quorate);
        world_heal_all(t->w);
        time_to_settle(t, 0x1f, 5 * USEC_PER_SEC);
        story_free(t);
}

static void test_even_split_waits_for_proof(void) {
        Story *t = story_settled(4);
        const Membership *m;

        g_assert_true(membership_of(t, 3)->tie_breaker); /* the lowest enabled id, without a setting */
        cut_both(t, 0x03, 0x0c);
        run(t, 5 * USEC_PER_SEC);
        m = membership_of(t, 1);
        g_assert_cmphex(m->members, ==, 0x03);
        g_assert_true(m->half);
        g_assert_true(m->tie_breaker);
        g_assert_false(m->quorate);
        g_assert_true(membership_of(t, 3)->half);
        g_assert_false(membership_of(t, 3)->tie_breaker);
        g_assert_false(membership_of(t, 3)->quorate);

        /* Void: another incarnation, an older membership, a node that is up. */
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 3, membership_node(m, 3)->incarnation + 1, m->mid } });
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 3,
                                             membership_node(m, 3)->incarnation,
                                             membership_node(m, 3)->last_mid } });
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 2, membership_node(m, 2)->incarnation, m->mid } });
        run(t, USEC_PER_SEC);
        g_assert_cmpint(membership_node(membership_of(t, 1), 3)->state, ==, NODE_UNKNOWN);

        /* One of two is not enough. */
        world_power_off(t->w, 3, true);
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        run(t, USEC_PER_SEC);
        g_assert_false(membership_of(t, 1)->quorate);

        /* The other one is confirmed to the other member of the half. */
        world_power_off(t->w, 4, true);
        m = membership_of(t, 2);
        feed(t,
             2,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 4, membership_node(m, 4)->incarnation, m->mid } });
        g_assert_cmpuint(time_to_settle(t, 0x03, USEC_PER_SEC), <=, 50 * MSEC);
        m = membership_of(t, 1);
        g_assert_true(m->half);
        g_assert_cmpint(membership_node(m, 3)->state, ==, NODE_DOWN);
        g_assert_cmpint(membership_node(m, 4)->reason, ==, NODE_REASON_CONFIRMED);
        story_free(t);
}

static bool
lose_inquiries(World *w,
               uint32_t from,
               uint32_t to,
               WorldChannel channel,
               const void *data,
               size_t size,
               void *userdata) {
        return ((const uint8_t *) data)[1] == CMS_MESSAGE_INQUIRE;
}

/* R15: the device lied about node 3. One member of the half was told that it is down, and the other one
 * hears it: before that, or after. */
static void test_no_proof_about_whom_a_member_hears(void) {
        for (int before = 0; before <= 1; before++) {
                Story *t = story_settled(4);
                const Membership *m;

                t->s->device_lies = true;
                cut_both(t, 0x03, 0x0c);
                run(t, 2 * USEC_PER_SEC);
                m = membership_of(t, 1);
                g_assert_cmphex(m->members, ==, 0x03);
                if (before)
                        world_heal(t->w, 4, 2, WORLD_ALL_LINKS);
                run(t, USEC_PER_SEC);
                feed(t,
                     1,
                     (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                 .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
                world_heal(t->w, 4, 2, WORLD_ALL_LINKS);
                run(t, 200 * MSEC);
                world_power_off(t->w, 4, true);
                feed(t,
                     1,
                     (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                 .confirmed_down = { 4, membership_node(m, 4)->incarnation, m->mid } });
                run(t, 5 * USEC_PER_SEC);
                m = membership_of(t, 1);
                g_assert_cmphex(m->members, ==, 0x03);
                g_assert_false(m->quorate);
                g_assert_cmpint(membership_node(m, 3)->reason, ==, NODE_REASON_HEARD_AGAIN);
                g_assert_cmpint(membership_node(m, 4)->state, ==, NODE_DOWN);
                g_assert_false(cms_in_transition(cms_of(t, 1)));

                /* It says so once more, and then it is true. */
                for (int off = 0; off <= 1; off++) {
                        if (off)
                                world_power_off(t->w, 3, true);
                        run(t, USEC_PER_SEC);
                        m = membership_of(t, 1);
                        feed(t,
                             1,
                             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                         .confirmed_down = {
                                                         3, membership_node(m, 3)->incarnation, m->mid } });
                        run(t, USEC_PER_SEC);
                        g_assert_cmpint(membership_of(t, 1)->quorate, ==, off);
                }
                story_free(t);
        }
}

static void test_even_split_is_fenced_by_the_tie_breaker(void) {
        Story *t = story_settled(4);

        t->s->fencing = true;
        cut_both(t, 0x03, 0x0c);
        time_to_settle(t, 0x03, 2 * USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_fenced, ==, 2);
        story_free(t);
}

static void test_half_at_cold_start(void) {
        Story *t = story_settled(2);

        world_crash(t->w, 1, true);
        world_crash(t->w, 2, true);
        run(t, USEC_PER_SEC);
        world_start(t->w, 1, true);
        run(t, 5 * USEC_PER_SEC);
        g_assert_true(membership_of(t, 1)->half);
        g_assert_false(membership_of(t, 1)->quorate);
        world_power_off(t->w, 2, true);
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 2, 0, membership_of(t, 1)->mid } });
        time_to_settle(t, 1, USEC_PER_SEC);
        story_free(t);
}

/* Node 2 left, is back, and cannot be taken in: node 1 loses nothing by trying. */
static void test_half_keeps_quorum_beside_a_newcomer(void) {
        Story *t = story_settled(2);

        feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        time_to_settle(t, 1, USEC_PER_SEC);
        world_crash(t->w, 2, true);
        t->n_heard = 0;
        t->w->filter = lose_inquiries;
        world_start(t->w, 2, true);
        run(t, 10 * USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 1), ==, 1);
        for (unsigned i = 0; i < t->n_heard; i++)
                if (t->heard[i].n.type == CMS_NOTIFICATION_STABLE && t->heard[i].at_node == 1)
                        g_assert_true(t->heard[i].stable.quorate);
        t->w->filter = NULL;
        time_to_settle(t, 3, 30 * USEC_PER_SEC);
        story_free(t);
}

/* Whoever has no votes cannot make a half more than a half. */
static void test_half_waits_for_votes(void) {
        Story *t = story_new(3);
        const Membership *m;
        Mid mid;

        t->s->config.votes[2] = 0;
        start_all(t);
        time_to_settle(t, SET3, 2 * USEC_PER_SEC);
        feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        world_power_off(t->w, 3, true);
        run(t, 2 * USEC_PER_SEC);
        m = membership_of(t, 1);
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        time_to_settle(t, 1, USEC_PER_SEC);
        mid = membership_of(t, 1)->mid;
        world_start(t->w, 3, true);
        run(t, 5 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, mid));
        g_assert_false(cms_in_transition(cms_of(t, 1)));
        world_crash(t->w, 2, true);
        world_start(t->w, 2, false);
        time_to_settle(t, SET3, 2 * USEC_PER_SEC);
        story_free(t);
}

static void test_votes_and_disabled_nodes(void) {
        Story *t = story_new(4);

        t->s->config.votes[0] = 3;
        node_set_remove(&t->s->config.enabled, 4);
        start_all(t);
        run(t, 2 * USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 1), ==, SET3);
        g_assert_cmpint(membership_node(membership_of(t, 1), 4)->state, ==, NODE_INACTIVE);
        g_assert_null(membership_of(t, 4));
        g_assert_cmpint(peer_view(t, 1, 4).problem, ==, CMS_PROBLEM_DISABLED);

        /* Three of five votes are with node 1 alone. */
        cut_both(t, 0x01, 0x06);
        time_to_settle(t, 0x01, 2 * USEC_PER_SEC);
        story_free(t);
}

/* ---- checkmarks and meshes ---- */

static void test_rows_are_on_the_wire(void) {
        Story *t = story_settled(3);

        for (uint32_t at = 1; at <= 3; at++)
                for (uint32_t of = 1; of <= 3; of++)
                        if (at != of) {
                                g_assert_true(peer_view(t, at, of).confirmed);
                                g_assert_cmphex(peer_view(t, at, of).row, ==, node_set_without(SET3, of));
                        }
        story_free(t);
}

static void test_nothing_without_the_checkmark(void) {
        Story *t = story_new(3);

        /* Node 3 does not hear node 1: no set has both. */
        world_cut(t->w, 1, 4, WORLD_ALL_LINKS);
        start_all(t);
        run(t, 10 * USEC_PER_SEC);
        for (unsigned i = 0; i < t->n_heard; i++)
                if (t->heard[i].n.type == CMS_NOTIFICATION_STABLE)
                        g_assert_cmphex(t->heard[i].stable.members & 5, !=, 5);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 3) || cms_sim_is_settled(t->w, t->s, 6));
        g_assert_cmpint(peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_ONE_WAY);
        world_heal_all(t->w);
        time_to_settle(t, SET3, 2 * USEC_PER_SEC);
        story_free(t);
}

static void test_one_way_cut_settles(void) {
        Story *t = story_settled(5);
        uint64_t before;

        world_cut(t->w, 2, 4, WORLD_ALL_LINKS);
        run(t, 3 * USEC_PER_SEC);
        before = t->s->n_memberships;
        g_assert_cmphex(members_of(t, 1), ==, 0x1b); /* without 3: ids decide between 2 and 3 */
        run(t, 20 * USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_memberships, ==, before);
        world_heal_all(t->w);
        time_to_settle(t, 0x1f, 5 * USEC_PER_SEC);
        story_free(t);
}

static void test_deaf_node_drags_nobody(void) {
        Story *t = story_settled(5);
        uint64_t before;

        world_cut(t->w, 0x1f, 1, WORLD_ALL_LINKS); /* the coordinator goes deaf */
        time_to_settle(t, 0x1e, 2 * USEC_PER_SEC);
        run(t, 2 * USEC_PER_SEC);
        before = t->s->n_memberships;
        run(t, 20 * USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_memberships, ==, before);
        story_free(t);
}

static void test_chain_takes_no_turns(void) {
        Story *t = story_new(3);
        uint64_t before;

        cut_both(t, 1, 4);
        start_all(t);
        run(t, 3 * USEC_PER_SEC);
        before = t->s->n_memberships;
        g_assert_true(cms_sim_is_settled(t->w, t->s, 3) || cms_sim_is_settled(t->w, t->s, 6));
        run(t, 20 * USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_memberships, ==, before);
        story_free(t);
}

/* In the chain 4-2-1-3 each two neighbours are a half, and of the halves that with the tie-breaker is the
 * better one. Whoever is in one stays all the same: he would refuse the other one's call too. */
static void test_chain_of_halves_takes_no_turns(void) {
        Story *t = story_new(4);
        Mid mid;

        t->s->config.tie_breaker = 4;
        cut_both(t, 1, 8);
        cut_both(t, 2, 0x0c);
        cut_both(t, 4, 8);
        start_all(t);
        run(t, 2 * USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 2), ==, 3);
        mid = membership_of(t, 2)->mid;
        world_heal(t->w, 0x0a, 0x0a, WORLD_ALL_LINKS);
        run(t, 10 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, mid));
        g_assert_true(mid_equal(membership_of(t, 2)->mid, mid));
        g_assert_cmphex(members_of(t, 4), ==, 8);
        world_heal_all(t->w);
        time_to_settle(t, 0x0f, 5 * USEC_PER_SEC);
        story_free(t);
}

/* ---- disks ---- */

static void test_hung_disk_is_left_out(void) {
        Story *t = story_settled(4);

        world_disk(t->w, 3, false, true);
        run(t, 3 * USEC_PER_SEC);
        g_assert_cmphex(members_of(t, 1), ==, 0x0f); /* nothing asked it to write: nothing changes */
        world_crash(t->w, 4, true);
        run(t, 5 * USEC_PER_SEC);
        g_assert_false(membership_of(t, 1)->quorate); /* 1 and 2 are half of four: 3 would be needed */
        world_disk(t->w, 3, false, false);
        time_to_settle(t, 0x07, 10 * USEC_PER_SEC);

        world_start(t->w, 4, true);
        time_to_settle(t, 0x0f, 5 * USEC_PER_SEC);
        story_free(t);

        t = story_settled(5);
        world_disk(t->w, 3, false, true);
        world_crash(t->w, 5, true);
        time_to_settle(t, 0x0b, 3 * USEC_PER_SEC);
        g_assert_cmpint(membership_node(membership_of(t, 1), 3)->reason, ==, NODE_REASON_NO_ANSWER);
        world_disk(t->w, 3, false, false);
        time_to_settle(t, 0x0f, 15 * USEC_PER_SEC);
        story_free(t);
}

/* R3: what GCS has to write is waited for by all. Whoever cannot write it is left out, comes back when it
 * can, and waits longer each time. */
static void test_member_that_cannot_write_is_left_out(void) {
        Story *t = story_settled(4);
        uint64_t before = 0;

        for (unsigned i = 0; i < 4; i++) {
                uint64_t back;

                world_disk(t->w, 3, i % 2 == 0, i % 2 == 1);
                feed(t, 3, (CmsEvent){ .type = CMS_EVENT_STORE });
                time_to_settle(t, 0x0b, 2 * USEC_PER_SEC);
                g_assert_cmpint(membership_node(membership_of(t, 1), 3)->reason, ==, NODE_REASON_NO_ANSWER);
                g_assert_cmpint(peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
                world_disk(t->w, 3, false, false);
                back = time_to_settle(t, 0x0f, 10 * USEC_PER_SEC);
                if (i > 1)
                        g_assert_cmpuint(back, >, before + before / 2);
                before = back;
        }
        story_free(t);

        /* But not when the others are no majority without it. */
        t = story_settled(4);
        world_crash(t->w, 4, true);
        time_to_settle(t, 0x07, 2 * USEC_PER_SEC);
        world_disk(t->w, 3, true, false);
        feed(t, 3, (CmsEvent){ .type = CMS_EVENT_STORE });
        run(t, 3 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x07));
        g_assert_cmpint(peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
        story_free(t);
}

static void test_full_disk_says_so(void) {
        Story *t = story_settled(3);

        world_disk(t->w, 2, true, false);
        cms_sim_crash_with_gasp(t->w, t->s, 3, true);
        run(t, 2 * USEC_PER_SEC);
        g_assert_cmpint(peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_CANNOT_WRITE);
        world_disk(t->w, 2, false, false);
        time_to_settle(t, 3, 10 * USEC_PER_SEC);
        story_free(t);
}

static void test_wiped_node_is_taken_in(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, false);
        world_wipe(t->w, 3);
        time_to_settle(t, 3, USEC_PER_SEC);
        world_start(t->w, 3, true);
        time_to_settle(t, SET3, USEC_PER_SEC);
        g_assert_false(cms_of(t, 3)->no_record);

        /* From now on its word counts: it and one other are a quorum. */
        cut_both(t, 1, 6);
        time_to_settle(t, 6, 2 * USEC_PER_SEC);
        story_free(t);
}

static void test_wiped_nodes_are_no_quorum(void) {
        Story *t = story_settled(3);

        for (uint32_t id = 1; id <= 3; id++)
                world_crash(t->w, id, true);
        world_wipe(t->w, 2);
        world_wipe(t->w, 3);
        start_all(t);
        run(t, 10 * USEC_PER_SEC);
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_false(membership_of(t, id) && membership_of(t, id)->quorate);
        g_assert_cmpint(peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_NO_RECORD);
        story_free(t);
}

/* Of two, the one that lost its storage counts for nothing, so the other one goes on alone until the
 * operator says what he thinks of it. */
static void test_wiped_one_of_two_waits(void) {
        Story *t = story_settled(2);
        uint8_t buf[CMS_RECORD_SIZE_MAX];
        ByteWriter writer;
        Mid mid;

        feed(t, 2, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        time_to_settle(t, 1, USEC_PER_SEC);
        mid = membership_of(t, 1)->mid;
        world_crash(t->w, 2, true);
        world_wipe(t->w, 2);
        world_start(t->w, 2, true);
        run(t, 10 * USEC_PER_SEC);
        g_assert_true(mid_equal(membership_of(t, 1)->mid, mid));
        g_assert_false(cms_in_transition(cms_of(t, 1)));
        g_assert_cmpint(peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_NO_RECORD);

        world_crash(t->w, 2, true);
        byte_writer_init(&writer, buf, sizeof(buf));
        cms_record_encode(&CMS_RECORD_FIRST, &writer);
        world_init_store(t->w, 2, WORLD_CMS, buf, writer.size_bytes);
        t->s->nodes[1].wiped = false; /* an operator's act (R8) */
        world_start(t->w, 2, true);
        time_to_settle(t, 3, 2 * USEC_PER_SEC);
        story_free(t);
}

/* ---- configuration ---- */

static void test_other_configuration_is_told_on_both_sides(void) {
        Story *t = story_new(3);

        t->s->config_hash_of[2] = 1;
        start_all(t);
        run(t, 3 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 3));
        g_assert_cmpint(peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CONFIG_NODE);
        g_assert_cmpint(peer_view(t, 3, 1).problem, ==, CMS_PROBLEM_CONFIG_NODE);
        g_assert_cmpint(peer_view(t, 3, 2).problem, ==, CMS_PROBLEM_CONFIG_NODE);
        story_free(t);
}

/* ---- commits ---- */

static bool
lose_commits(World *w,
             uint32_t from,
             uint32_t to,
             WorldChannel channel,
             const void *data,
             size_t size,
             void *userdata) {
        return to == 3 && ((const uint8_t *) data)[1] == CMS_MESSAGE_COMMIT;
}

static void test_lost_commit_is_recovered(void) {
        Story *t = story_new(3);

        t->w->filter = lose_commits;
        start_all(t);
        g_assert_cmpuint(time_to_settle(t, SET3, USEC_PER_SEC), <=, 100 * MSEC);
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
                        run(t, 3 * USEC_PER_SEC);
                        if (!x.done) {
                                /* The change needs no more messages than that. */
                                g_assert_cmpuint(at, >, 25);
                                story_free(t);
                                break;
                        }
                        time_to_settle(t, node_set_without(0x0f, victim), 3 * USEC_PER_SEC);
                        world_start(t->w, victim, true);
                        world_start(t->w, 5, true);
                        time_to_settle(t, 0x1f, 5 * USEC_PER_SEC);
                        story_free(t);
                }
}

/* ---- R1, R2: what is refused ---- */

static const CmsMessage *reply_to(Story *t, uint32_t at, uint32_t from, const CmsMessage *m) {
        feed(t, at, (CmsEvent){ .type = CMS_EVENT_RECEIVED, .received = { from, 0, m } });
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
        m->inquire.mid = membership_of(t, from) ? membership_of(t, from)->mid : MID_NONE;
        m->inquire.quorate = membership_of(t, from) && membership_of(t, from)->quorate;
        m->inquire.row.version = cms_of(t, from)->row_version;
        m->inquire.row.heard = node_set_without(t->s->config.enabled, from);
        NODE_SET_FOREACH(id, m->inquire.row.heard)
                m->inquire.row.incarnation[id - 1] = cms_sim_incarnation(t->w, id);
        return m;
}

static void assert_refused(Story *t, uint32_t at, uint32_t from, const CmsMessage *m, CmsRefusal why) {
        Mid before = cms_of(t, at)->promised;
        const CmsMessage *reply = reply_to(t, at, from, m);

        g_assert_nonnull(reply);
        g_assert_cmpint(reply->type, ==, CMS_MESSAGE_REFUSE);
        g_assert_cmpint(reply->refuse.why, ==, why);
        g_assert_true(mid_equal(cms_of(t, at)->promised, before));
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
        g_assert_true(cms_in_transition(cms_of(t, 2)));
        g_assert_cmpuint(cms_of(t, 2)->promised.epoch, ==, 1000);
        g_free(m);
        run(t, 5 * USEC_PER_SEC);
        time_to_settle(t, 0x0f, USEC_PER_SEC);

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
        time_to_settle(t, 0x07, 2 * USEC_PER_SEC);
        run(t, USEC_PER_SEC);
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
        Mid newest = membership_of(t, 1)->mid;

        for (unsigned round = 0; round < 5; round++) {
                for (uint32_t id = 1; id <= 3; id++)
                        world_crash(t->w, id, round % 2 == 0);
                run(t, 100 * MSEC);
                start_all(t);
                time_to_settle(t, SET3, 2 * USEC_PER_SEC);
                g_assert_cmpint(mid_compare(membership_of(t, 1)->mid, newest), >, 0);
                newest = membership_of(t, 1)->mid;
        }
        story_free(t);
}

static void test_notifications_come_in_order(void) {
        Story *t = story_settled(3);
        bool stable[4] = { false, true, true, true };

        cms_sim_crash_with_gasp(t->w, t->s, 3, true);
        run(t, USEC_PER_SEC);
        world_start(t->w, 3, true);
        run(t, 2 * USEC_PER_SEC);
        cut_both(t, 1, 6);
        run(t, 2 * USEC_PER_SEC);
        world_heal_all(t->w);
        run(t, 2 * USEC_PER_SEC);
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

static void test_new_boot_is_proof_of_the_old(void) {
        Story *t = story_settled(3);

        world_crash(t->w, 3, true);
        time_to_settle(t, 3, USEC_PER_SEC);
        g_assert_cmpint(membership_node(membership_of(t, 1), 3)->state, ==, NODE_UNKNOWN);
        /* It comes back as another machine boot, is heard, but cannot join: its configuration differs. */
        t->s->config_hash_of[2] = 1;
        world_start(t->w, 3, true);
        run(t, USEC_PER_SEC);
        g_assert_cmpint(cms_of(t, 1)->known[2].state, ==, NODE_DOWN);
        g_assert_cmpint(cms_of(t, 1)->known[2].reason, ==, NODE_REASON_NEW_BOOT);
        g_assert_false(cms_of(t, 1)->known[2].proven);
        story_free(t);
}

static bool others_call_in_vain(
                World *w,
                uint32_t from,
                uint32_t to,
                WorldChannel channel,
                const void *data,
                size_t size,
                void *userdata) {
        return from != 1 && ((const uint8_t *) data)[1] == CMS_MESSAGE_INQUIRE;
}

/* Node 1 slept through a boot of node 3, and still believes in the life before it. */
static void test_earlier_boot_proves_nothing(void) {
        Story *t = story_new(5);

        t->s->config.votes[3] = 2;
        start_all(t);
        time_to_settle(t, 0x1f, 2 * USEC_PER_SEC);
        world_cut(t->w, 2, 1, WORLD_ALL_LINKS);
        world_pause(t->w, 1);
        run(t, 150 * MSEC);
        world_power_off(t->w, 3, true);
        time_to_settle(t, 0x1a, 2 * USEC_PER_SEC);
        run(t, 10 * USEC_PER_SEC); /* its sockets are full by now */
        world_start(t->w, 3, true);
        time_to_settle(t, 0x1e, 2 * USEC_PER_SEC);
        cut_both(t, 4, 0x1b);
        time_to_settle(t, 0x1a, 2 * USEC_PER_SEC);
        world_crash(t->w, 2, true);
        run(t, 2 * USEC_PER_SEC);
        g_assert_false(membership_of(t, 4)->quorate);

        t->w->filter = others_call_in_vain;
        world_resume(t->w, 1);
        time_to_settle(t, 0x19, USEC_PER_SEC);
        g_assert_cmpint(membership_node(membership_of(t, 4), 3)->state, ==, NODE_UNKNOWN);
        story_free(t);
}

static void test_confirmed_and_heard_again(void) {
        Story *t = story_settled(3);
        const Membership *m;

        t->s->device_lies = true;
        cut_both(t, 3, 4);
        time_to_settle(t, 3, USEC_PER_SEC);
        m = membership_of(t, 1);
        feed(t,
             1,
             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                         .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        g_assert_cmpint(cms_of(t, 1)->known[2].state, ==, NODE_DOWN);
        world_cut(t->w, 3, 4, WORLD_ALL_LINKS);
        world_heal(t->w, 4, 3, WORLD_ALL_LINKS); /* the device lied: it is heard */
        run(t, 300 * MSEC);
        g_assert_cmpint(cms_of(t, 1)->known[2].state, ==, NODE_UNKNOWN);
        g_assert_cmpint(cms_of(t, 1)->known[2].reason, ==, NODE_REASON_HEARD_AGAIN);
        story_free(t);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cms/form/every-size", test_form_for_every_size);
        g_test_add_func("/cms/form/quickly", test_form_quickly);
        g_test_add_func("/cms/form/without-the-third", test_form_without_the_third);
        g_test_add_func("/cms/form/alone-is-shown-without-quorum", test_alone_is_shown_without_quorum);
        g_test_add_func("/cms/detect/short-silence-changes-nothing", test_short_silence_changes_nothing);
        g_test_add_func("/cms/detect/silence-removes", test_silence_removes);
        g_test_add_func("/cms/detect/last-gasp-is-quick", test_last_gasp_is_quick);
        g_test_add_func("/cms/detect/last-gasp-of-the-living",
                        test_last_gasp_of_the_living_is_suspicion_once);
        g_test_add_func("/cms/detect/loss-of-all-carriers", test_loss_of_all_carriers);
        g_test_add_func("/cms/detect/one-link-is-enough", test_one_link_is_enough);
        g_test_add_func("/cms/detect/own-pause-accuses-nobody", test_own_pause_accuses_nobody);
        g_test_add_func("/cms/detect/restart-is-leave-then-join", test_restart_is_leave_then_join);
        g_test_add_func("/cms/detect/new-boot-is-proof-of-the-old", test_new_boot_is_proof_of_the_old);
        g_test_add_func("/cms/detect/earlier-boot-proves-nothing", test_earlier_boot_proves_nothing);
        g_test_add_func("/cms/detect/confirmed-and-heard-again", test_confirmed_and_heard_again);
        g_test_add_func("/cms/rank/senior-keeps-the-lead", test_senior_keeps_the_lead);
        g_test_add_func("/cms/farewell/heard", test_farewell);
        g_test_add_func("/cms/farewell/of-one-of-two", test_farewell_of_one_of_two);
        g_test_add_func("/cms/quorum/split-of-five", test_split_of_five);
        g_test_add_func("/cms/quorum/even-split-waits-for-proof", test_even_split_waits_for_proof);
        g_test_add_func("/cms/quorum/no-proof-about-whom-a-member-hears",
                        test_no_proof_about_whom_a_member_hears);
        g_test_add_func("/cms/quorum/even-split-is-fenced", test_even_split_is_fenced_by_the_tie_breaker);
        g_test_add_func("/cms/quorum/half-at-cold-start", test_half_at_cold_start);
        g_test_add_func("/cms/quorum/half-keeps-it-beside-a-newcomer",
                        test_half_keeps_quorum_beside_a_newcomer);
        g_test_add_func("/cms/quorum/half-waits-for-votes", test_half_waits_for_votes);
        g_test_add_func("/cms/quorum/votes-and-disabled-nodes", test_votes_and_disabled_nodes);
        g_test_add_func("/cms/mesh/rows-are-on-the-wire", test_rows_are_on_the_wire);
        g_test_add_func("/cms/mesh/nothing-without-the-checkmark", test_nothing_without_the_checkmark);
        g_test_add_func("/cms/mesh/one-way-cut-settles", test_one_way_cut_settles);
        g_test_add_func("/cms/mesh/deaf-node-drags-nobody", test_deaf_node_drags_nobody);
        g_test_add_func("/cms/mesh/chain-takes-no-turns", test_chain_takes_no_turns);
        g_test_add_func("/cms/mesh/chain-of-halves-takes-no-turns", test_chain_of_halves_takes_no_turns);
        g_test_add_func("/cms/disk/hung-is-left-out", test_hung_disk_is_left_out);
        g_test_add_func("/cms/disk/member-that-cannot-write-is-left-out",
                        test_member_that_cannot_write_is_left_out);
        g_test_add_func("/cms/disk/full-says-so", test_full_disk_says_so);
        g_test_add_func("/cms/disk/wiped-node-is-taken-in", test_wiped_node_is_taken_in);
        g_test_add_func("/cms/disk/wiped-nodes-are-no-quorum", test_wiped_nodes_are_no_quorum);
        g_test_add_func("/cms/disk/wiped-one-of-two-waits", test_wiped_one_of_two_waits);
        g_test_add_func("/cms/config/other-is-told-on-both-sides",
                        test_other_configuration_is_told_on_both_sides);
        g_test_add_func("/cms/commit/lost-one-is-recovered", test_lost_commit_is_recovered);
        g_test_add_func("/cms/commit/crash-at-every-step", test_crash_at_every_step);
        g_test_add_func("/cms/refuse/inquiries", test_inquiries_that_are_refused);
        g_test_add_func("/cms/refuse/outsider", test_outsider_is_refused);
        g_test_add_func("/cms/number/grows-across-restarts", test_numbers_grow_across_restarts);
        g_test_add_func("/cms/notify/in-order", test_notifications_come_in_order);
        return g_test_run();
}
