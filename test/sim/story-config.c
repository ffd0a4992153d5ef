/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changes of nodes, votes and the tie-breaker at run time (R7, R14). */

#include "sim/story.h"

#define SET5 ((NodeSet) 31)

static CmsConfig newest(Story *t) {
        return *cms_sim_file(t->s, t->s->n_files);
}

static void give(Story *t, NodeSet nodes, unsigned number) {
        NODE_SET_FOREACH(id, nodes)
                cms_sim_give_file(t->w, t->s, id, number, true);
}

/* The file comes to all of them, and hagcd is told. */
static unsigned configure(Story *t, NodeSet nodes, const CmsConfig *config) {
        unsigned number = cms_sim_write_file(t->s, config);

        give(t, nodes, number);
        return number;
}

static CmsConfig without(Story *t, NodeSet nodes) {
        CmsConfig config = newest(t);

        config.configured = node_set_minus(config.configured, nodes);
        config.enabled = node_set_minus(config.enabled, nodes);
        return config;
}

static CmsConfig with_votes(Story *t, uint32_t node, uint8_t votes) {
        CmsConfig config = newest(t);

        config.votes[node - 1] = votes;
        return config;
}

static void assert_in_force(Story *t, NodeSet nodes, unsigned number) {
        NODE_SET_FOREACH(id, nodes)
                g_assert_cmpuint(cms_sim_file_of_hash(t->s, story_cms(t, id)->config.hash), ==, number);
}

static void assert_waits(Story *t, NodeSet nodes, CmsConfigWait why, NodeSet on_account_of) {
        CmsView *v = g_new0(CmsView, 1);

        NODE_SET_FOREACH(id, nodes) {
                cms_view(story_cms(t, id), world_clock(t->w, id), v);
                g_assert_cmpstr(cms_config_wait_to_string(v->config_wait),
                                ==,
                                cms_config_wait_to_string(why));
                g_assert_cmphex(v->config_wait_nodes, ==, on_account_of);
                g_assert_cmpint(v->config_wait == CMS_CONFIG_WAIT_NONE,
                                ==,
                                v->config_hash == v->config_wanted);
        }
        g_free(v);
}

/* A cluster of these, with machines beside it that are not in it yet. */
static Story *settled_of(unsigned n_machines, NodeSet nodes) {
        Story *t = story_new(n_machines);

        t->s->config.configured = t->s->config.enabled = nodes;
        NODE_SET_FOREACH(id, nodes)
                world_start(t->w, id, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, nodes));
        return t;
}

static bool is_quorate(Story *t, uint32_t node) {
        const Membership *m = story_membership(t, node);

        return m && m->quorate;
}

/* ---- what a change needs ---- */

/* It is in force at once, is known by the number of the membership that carries it, and outlives a cold
 * start with another file on the disk. */
static void test_votes_change(void) {
        Story *t = story_settled(3);
        CmsConfig config = with_votes(t, 1, 3);
        uint64_t begin = t->w->now_usec;
        CmsView *v = g_new0(CmsView, 1);
        unsigned number;

        number = configure(t, SET3, &config);
        while (cms_sim_file_in_force(t->s) != number && t->w->now_usec - begin < USEC_PER_SEC)
                story_run(t, MSEC);
        g_assert_cmpuint(t->w->now_usec - begin, <, 100 * MSEC);
        story_run(t, 100 * MSEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        assert_in_force(t, SET3, number);
        assert_waits(t, SET3, CMS_CONFIG_WAIT_NONE, 0);
        cms_view(story_cms(t, 2), world_clock(t->w, 2), v);
        g_assert_true(mid_equal(v->config_mid, story_membership(t, 2)->mid));
        g_free(v);

        NODE_SET_FOREACH(id, SET3) {
                t->s->file_of[id - 1] = 0;
                world_power_off(t->w, id, WORLD_WRITE_DONE);
        }
        world_start(t->w, 1, true);
        story_settle(t, 1, 2 * USEC_PER_SEC);
        assert_in_force(t, 1, number);
        assert_waits(t, 1, CMS_CONFIG_WAIT_MAJORITY_NEW, 0);
        story_free(t);
}

/* Until all members want it, nothing changes, and they do not lose each other. */
static void test_files_change_one_after_the_other(void) {
        Story *t = story_settled(3);
        CmsConfig config = with_votes(t, 1, 3);
        unsigned number = configure(t, 0x1, &config);

        story_run(t, USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        assert_in_force(t, SET3, 0);
        assert_waits(t, 0x1, CMS_CONFIG_WAIT_MEMBERS, 0x6);
        assert_waits(t, 0x6, CMS_CONFIG_WAIT_NONE, 0);

        /* After some time it is told on both sides. */
        g_assert_cmpint(story_peer_view(t, 2, 1).problem, ==, CMS_PROBLEM_NONE);
        story_run(t, 4 * USEC_PER_SEC);
        g_assert_cmpint(story_peer_view(t, 1, 2).problem, ==, CMS_PROBLEM_FILE_DIFFERS);
        g_assert_cmpint(story_peer_view(t, 2, 1).problem, ==, CMS_PROBLEM_FILE_DIFFERS);
        g_assert_cmpint(story_peer_view(t, 2, 3).problem, ==, CMS_PROBLEM_NONE);

        /* Node 2 gets it without being told, and node 3 too; they read it when they start. */
        cms_sim_give_file(t->w, t->s, 2, number, false);
        cms_sim_give_file(t->w, t->s, 3, number, false);
        for (uint32_t id = 2; id <= 3; id++) {
                world_crash(t->w, id, true);
                world_start(t->w, id, false);
                story_settle(t, SET3, 2 * USEC_PER_SEC);
        }
        story_run(t, 200 * MSEC);
        assert_in_force(t, SET3, number);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        g_assert_cmpint(story_peer_view(t, 2, 1).problem, ==, CMS_PROBLEM_NONE);
        story_free(t);
}

/* Whoever is the last to read its file may not have said so to everybody before it is in force: news is
 * told every HeartbeatSec/10 at most, and gets lost. Nobody loses anybody by that, whenever it comes. */
static void test_last_file_comes_at_any_moment(void) {
        Story *t = story_settled(3);
        CmsConfig config = with_votes(t, 1, 3);

        (void) cms_sim_write_file(t->s, &config);
        t->w->knobs.write_max_usec = t->w->knobs.write_min_usec;
        for (unsigned k = 0; k < 120; k++) {
                uint32_t last = 1 + k % 3;
                unsigned number = 1 - k % 2;

                give(t, node_set_without(SET3, last), number);
                story_run(t, 3 * MSEC);
                give(t, node_set_of(last), number);
                t->n_heard = 0;
                story_run(t, 100 * MSEC + k * MSEC);
                assert_in_force(t, SET3, number);
                STORY_FOREACH_STABLE(h, t)
                        g_assert_cmphex(h->stable.members, ==, SET3);
                g_assert_cmphex(story_members(t, last), ==, SET3);
        }
        story_free(t);
}

/* A heartbeat of node 2 from before it read its file comes late: it has agreed since. */
static void test_late_word_accuses_nobody(void) {
        Story *t = story_settled(3);
        CmsMessage *late = g_new0(CmsMessage, 1);
        CmsConfig config = with_votes(t, 1, 3);
        uint64_t before = t->s->n_memberships;
        unsigned number;

        late->type = CMS_MESSAGE_HEARTBEAT;
        late->incarnation = story_cms(t, 1)->peers[1].incarnation;
        late->heartbeat = story_cms(t, 1)->peers[1].heartbeat;
        number = configure(t, SET3, &config);
        while (cms_sim_file_of_hash(t->s, story_cms(t, 1)->config.hash) != number)
                story_run(t, MSEC / 10);
        late->heartbeat.number = story_cms(t, 1)->peers[1].heartbeat.number + 1;
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_RECEIVED, .received = { .from = 2, .message = late } });
        g_assert_true(node_set_contains(story_cms(t, 1)->row, 2));
        story_run(t, USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_memberships, ==, before + 1);
        g_free(late);
        story_free(t);
}

/* Nodes 4 and 5 go after the change is wanted, and node 3 before it is decided: two of five cannot decide
 * anything, though they would be all of the votes under the new one. */
static void test_old_quorum_is_gone(void) {
        Story *t = story_settled(5);
        CmsConfig config = newest(t);

        for (uint32_t id = 3; id <= 5; id++)
                config.votes[id - 1] = 0;
        (void) configure(t, 0x1, &config);
        for (uint32_t id = 3; id <= 5; id++)
                world_power_off(t->w, id, WORLD_WRITE_DONE);
        give(t, 0x2, t->s->n_files);
        story_run(t, 5 * USEC_PER_SEC);
        assert_in_force(t, 0x3, 0);
        g_assert_false(is_quorate(t, 1));
        g_assert_false(is_quorate(t, 2));
        assert_waits(t, 0x3, CMS_CONFIG_WAIT_QUORUM, 0);
        story_free(t);
}

/* Node 3 does not answer: nodes 1 and 2 would be two of seven votes. */
static void test_takes_no_quorum_from_its_own_set(void) {
        Story *t = story_settled(3);
        CmsConfig config = with_votes(t, 3, 5);

        world_power_off(t->w, 3, WORLD_WRITE_DONE);
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        (void) configure(t, 0x3, &config);
        story_run(t, 2 * USEC_PER_SEC);
        assert_in_force(t, 0x3, 0);
        assert_waits(t, 0x3, CMS_CONFIG_WAIT_MAJORITY_NEW, 0);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x3));

        /* With node 3 there they are all. It could go on alone then, and so it is not before it holds what
         * was delivered without it (R4). */
        t->s->file_of[2] = t->s->n_files;
        world_start(t->w, 3, true);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        assert_in_force(t, SET3, 0);
        assert_waits(t, SET3, CMS_CONFIG_WAIT_QUORUM, SET3);
        story_run(t, 200 * MSEC);
        assert_in_force(t, SET3, t->s->n_files);
        story_free(t);
}

/* Node 2 is off, and node 1 goes on as a half by proof (R6): should node 2 come up later, prove in turn that
 * node 1 is off and go on alone, then node 1 must not be a majority by itself when it comes back. */
static void test_half_changes_nothing(void) {
        Story *t = story_settled(2);
        CmsConfig config = without(t, 0x2);
        const Membership *m;

        world_power_off(t->w, 2, WORLD_WRITE_DONE);
        story_run(t, 2 * USEC_PER_SEC);
        m = story_membership(t, 1);
        story_feed(t,
                   1,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 2, membership_node(m, 2)->incarnation, m->mid } });
        story_settle(t, 0x1, USEC_PER_SEC);
        (void) configure(t, 0x1, &config);
        story_run(t, 2 * USEC_PER_SEC);
        assert_in_force(t, 0x1, 0);
        assert_waits(t, 0x1, CMS_CONFIG_WAIT_MAJORITY, 0);

        world_power_off(t->w, 1, WORLD_WRITE_DONE);
        world_start(t->w, 2, true);
        story_run(t, 2 * USEC_PER_SEC);
        m = story_membership(t, 2);
        story_feed(t, 2, (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN, .confirmed_down = { 1, 0, m->mid } });
        story_settle(t, 0x2, USEC_PER_SEC);
        story_cut(t, 0x1, 0x2);
        t->s->file_of[0] = 0;
        world_start(t->w, 1, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_false(is_quorate(t, 1));
        g_assert_true(is_quorate(t, 2));
        story_free(t);
}

/* ---- a change that is interrupted ---- */

typedef struct Interruption {
        CmsMessageType type, also; /* of what is lost, */
        uint32_t from;             /* sent by it, */
        NodeSet to;                /* to these */
} Interruption;

static bool
lose(World *w,
     uint32_t from,
     uint32_t to,
     WorldChannel channel,
     const void *data,
     size_t size,
     void *userdata) {
        const Interruption *i = userdata;

        const uint8_t type = ((const uint8_t *) data)[1];

        return from == i->from && node_set_contains(i->to, to) && (type == i->type || type == i->also);
}

static void restart_with(Story *t, NodeSet nodes, unsigned number) {
        NODE_SET_FOREACH(id, nodes)
                world_crash(t->w, id, true);
        NODE_SET_FOREACH(id, nodes) {
                t->s->file_of[id - 1] = number;
                world_start(t->w, id, false);
        }
}

static void interrupt(Story *t, Interruption *i) {
        t->w->filter = i ? lose : NULL;
        t->w->filter_userdata = i;
}

static bool has_stored(Story *t, uint32_t node) {
        return cms_votings_are_pending(&story_cms(t, node)->record.votings);
}

/* The files differ while the cluster forms for the first time. Node 2 acknowledged a quorate membership of
 * one, and it may be in force; nodes 3 and 4 never did. So the other file, brought to all of them, gives
 * nobody a quorum; that one does, and then it may change. */
static void test_first_membership_is_not_finished(void) {
        Story *t = story_new(4);
        unsigned number = cms_sim_write_file(t->s, &t->s->config);
        NodeSet stored = 0x3, others = 0xc;

        t->s->files_differ = true;
        NODE_SET_FOREACH(id, 0x7)
                t->s->file_of[id - 1] = number;
        story_lose(t, CMS_MESSAGE_PROPOSE, 0x1, 0x4);
        story_start_all(t);
        while (cms_voting_is_none(&story_cms(t, 2)->record.votings.committed))
                story_run(t, MSEC / 10);
        story_run(t, 5 * MSEC); /* until it is written */
        restart_with(t, 0xf, 0);
        story_lose_nothing(t);
        story_run(t, 5 * USEC_PER_SEC);
        assert_in_force(t, stored, number);
        assert_in_force(t, others, 0);
        NODE_SET_FOREACH(id, 0xf)
                g_assert_false(is_quorate(t, id));
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CONFIG_NODE);

        restart_with(t, others, number);
        story_settle(t, 0xf, 3 * USEC_PER_SEC);
        give(t, others, 0);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0xf, 0);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0xf));
        story_free(t);
}

/* Its commit is lost, and node 1, which has installed the membership, tells node 2 of the configuration:
 * that is no later one than what node 2 acknowledged. */
static void test_configuration_comes_before_its_commit(void) {
        Story *t = story_settled(2);
        Interruption i = { CMS_MESSAGE_COMMIT, CMS_MESSAGE_HEARTBEAT, 1, 0x2 };
        CmsConfig config = with_votes(t, 1, 3);
        uint64_t before = t->s->n_memberships;
        unsigned number;

        interrupt(t, &i);
        number = configure(t, 0x3, &config);
        while (cms_sim_file_of_hash(t->s, story_cms(t, 2)->config.hash) != number)
                story_run(t, MSEC / 10);
        interrupt(t, NULL);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpuint(t->s->n_memberships, ==, before + 1);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x3));
        story_free(t);
}

/* The coordinator proposes to node 2 alone, and dies. Node 2 has written it, and tells of it when it is
 * asked: the others complete it with a number of their own. */
static void test_change_is_completed(void) {
        Story *t = story_settled(5);
        Interruption i = { CMS_MESSAGE_PROPOSE, 0, 1, 0x1c };
        CmsConfig config = with_votes(t, 5, 3);
        unsigned number;

        interrupt(t, &i);
        number = configure(t, SET5, &config);
        while (!has_stored(t, 2))
                story_run(t, MSEC / 10);
        story_run(t, 10 * MSEC);
        world_power_off(t->w, 1, WORLD_WRITE_DONE);
        give(t, SET5, 0); /* not wanted any more */
        interrupt(t, NULL);
        g_assert_cmpuint(cms_sim_file_in_force(t->s), ==, 0);
        while (cms_sim_file_in_force(t->s) == 0)
                story_run(t, MSEC);
        g_assert_cmpuint(cms_sim_file_in_force(t->s), ==, number);
        /* And then comes what is wanted now. */
        story_settle(t, 0x1e, 3 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0x1e, 0);
        t->s->file_of[0] = 0;
        world_start(t->w, 1, true);
        story_settle(t, SET5, 3 * USEC_PER_SEC);
        story_free(t);
}

/* The coordinator dies before anybody but itself had it. The others know of nothing, and change to something
 * else; when it is back with what it wrote, that came to nothing. */
static void test_change_is_given_up(void) {
        Story *t = story_settled(5);
        Interruption i = { CMS_MESSAGE_PROPOSE, 0, 1, 0x1e };
        CmsConfig config = with_votes(t, 1, 3), other = with_votes(t, 2, 2);
        unsigned number;

        interrupt(t, &i);
        (void) configure(t, SET5, &config);
        while (!has_stored(t, 1))
                story_run(t, MSEC / 10);
        story_run(t, 10 * MSEC);
        world_power_off(t->w, 1, WORLD_WRITE_DONE);
        interrupt(t, NULL);
        number = configure(t, 0x1e, &other);
        story_settle(t, 0x1e, 3 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0x1e, number);

        t->s->file_of[0] = number;
        world_start(t->w, 1, true);
        story_settle(t, SET5, 3 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, SET5, number);
        g_assert_false(has_stored(t, 1));
        story_free(t);
}

/* Votes move from one side to the other, all have acknowledged it, and only node 1, which gets a majority by
 * it, is told that it is in force. The split comes then: under the old one {3 4 5} is a majority, and they
 * may not go on, for the new one may be in force. */
static void test_split_in_the_middle(void) {
        Story *t = story_settled(5);
        Interruption i = { CMS_MESSAGE_COMMIT, CMS_MESSAGE_HEARTBEAT, 1, 0x1e };
        CmsConfig config = with_votes(t, 1, 5);
        unsigned number;

        interrupt(t, &i);
        number = configure(t, SET5, &config);
        while (cms_sim_file_in_force(t->s) != number)
                story_run(t, MSEC / 10);
        story_cut(t, 0x3, 0x1c);
        interrupt(t, NULL);
        t->n_heard = 0;
        story_run(t, 5 * USEC_PER_SEC);
        for (unsigned k = 0; k < t->n_heard; k++)
                if (t->heard[k].n.type == CMS_NOTIFICATION_STABLE && t->heard[k].at_node > 2)
                        g_assert_false(t->heard[k].stable.quorate);
        g_assert_cmphex(story_members(t, 4), ==, 0x1c);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x3));
        g_assert_true(has_stored(t, 3));
        world_heal_all(t->w);
        story_settle(t, SET5, 5 * USEC_PER_SEC);
        assert_in_force(t, SET5, number);
        story_free(t);
}

/* ---- nodes that come and go ---- */

/* Two machines with a file of five beside a cluster of three: on their own they are nothing, also while they
 * are cut off from the three; when the three have the file too, they are taken in. */
static void test_nodes_are_added(void) {
        Story *t = settled_of(5, SET3);
        CmsConfig config = newest(t);
        unsigned number;

        config.configured = config.enabled = SET5;
        number = cms_sim_write_file(t->s, &config);
        for (uint32_t id = 4; id <= 5; id++) {
                cms_sim_init_store_to_join(t->w, id);
                t->s->file_of[id - 1] = number;
                world_start(t->w, id, true);
        }
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        g_assert_null(story_membership(t, 4));
        give(t, SET3, number);
        story_settle(t, SET5, 2 * USEC_PER_SEC);
        assert_in_force(t, SET5, number);
        story_run(t, 100 * MSEC); /* in which the history comes */
        g_assert_false(story_cms(t, 4)->no_record);
        story_free(t);
}

/* Four machines with a file of seven are a majority of it, and never a cluster of their own. */
static void test_newcomers_form_nothing(void) {
        Story *t = settled_of(7, SET3);
        CmsConfig config = newest(t);
        unsigned number;

        config.configured = config.enabled = 0x7f;
        number = cms_sim_write_file(t->s, &config);
        story_cut(t, SET3, 0x78);
        for (uint32_t id = 4; id <= 7; id++) {
                cms_sim_init_store_to_join(t->w, id);
                t->s->file_of[id - 1] = number;
                world_start(t->w, id, true);
        }
        story_run(t, 5 * USEC_PER_SEC);
        for (uint32_t id = 4; id <= 7; id++)
                g_assert_null(story_membership(t, id));
        world_heal_all(t->w);
        give(t, SET3, number);
        story_run(t, 2 * USEC_PER_SEC);
        /* Three of seven would not be a majority: two at a time. */
        assert_waits(t, SET3, CMS_CONFIG_WAIT_MAJORITY_NEW, 0);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        config.configured = config.enabled = SET5;
        (void) configure(t, SET5, &config);
        story_settle(t, SET5, 3 * USEC_PER_SEC);
        give(t, SET5, number);
        story_settle(t, 0x7f, 3 * USEC_PER_SEC);
        story_free(t);
}

/* R14, A16: node 3 is cut off and may run something. It is given up when it is confirmed to be off, and not
 * before; then two are all, and one of them a half. */
static void test_unknown_node_is_not_removed(void) {
        Story *t = story_settled(3);
        CmsConfig config = without(t, 0x4);
        const Membership *m;

        (void) configure(t, 0x3, &config);
        story_run(t, USEC_PER_SEC);
        assert_waits(t, 0x3, CMS_CONFIG_WAIT_STOP, 0x4);
        story_cut(t, 0x3, 0x4);
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        story_run(t, 2 * USEC_PER_SEC);
        assert_waits(t, 0x3, CMS_CONFIG_WAIT_STOP, 0x4);
        assert_in_force(t, 0x3, 0);

        world_power_off(t->w, 3, WORLD_WRITE_DONE);
        m = story_membership(t, 2);
        story_feed(t,
                   2,
                   (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                               .confirmed_down = { 3, membership_node(m, 3)->incarnation, m->mid } });
        assert_waits(t, 0x2, CMS_CONFIG_WAIT_AGREEMENT, 0);
        /* Node 1, whose turn it is, does not know. */
        assert_waits(t, 0x1, CMS_CONFIG_WAIT_STOP, 0x4);
        story_run(t, 2 * USEC_PER_SEC);
        assert_in_force(t, 0x3, t->s->n_files);
        g_assert_cmphex(story_membership(t, 1)->configured, ==, 0x3);

        /* It comes back with the old file, and finds nobody: it is no part of this any more. */
        world_heal_all(t->w);
        world_start(t->w, 3, true);
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x3));
        g_assert_false(is_quorate(t, 3));
        story_free(t);
}

/* Nobody who is there remembers node 3: all were started anew since, but it is written that it was in. */
static void test_cold_start_forgets_nobody(void) {
        Story *t = story_settled(3);
        CmsConfig config = without(t, 0x4);

        story_cut(t, 0x3, 0x4);
        for (uint32_t id = 1; id <= 2; id++) {
                world_power_off(t->w, id, WORLD_WRITE_DONE);
                world_start(t->w, id, true);
        }
        story_settle(t, 0x3, 3 * USEC_PER_SEC);
        (void) configure(t, 0x3, &config);
        story_run(t, 2 * USEC_PER_SEC);
        assert_in_force(t, 0x3, 0);
        assert_waits(t, 0x3, CMS_CONFIG_WAIT_STOP, 0x4);
        story_free(t);
}

/* It said farewell with nothing running: that is proof. And it may come back when it is in the file again.
 */
static void test_node_leaves_and_returns(void) {
        Story *t = story_settled(3);
        CmsConfig config = without(t, 0x4);
        unsigned number;

        story_feed(t, 3, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        world_crash(t->w, 3, true);
        number = configure(t, 0x3, &config);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0x3, number);

        config.configured = config.enabled = SET3;
        number = configure(t, 0x3, &config);
        t->s->file_of[2] = number;
        world_start(t->w, 3, true);
        story_settle(t, SET3, 3 * USEC_PER_SEC);
        assert_in_force(t, SET3, number);
        story_free(t);
}

/* A disabled node that is up is told, and counts nowhere. */
static void test_node_is_disabled(void) {
        Story *t = story_settled(4);
        CmsConfig config = newest(t);

        node_set_remove(&config.enabled, 4);
        (void) configure(t, 0xf, &config);
        story_run(t, USEC_PER_SEC);
        assert_waits(t, 0xf, CMS_CONFIG_WAIT_STOP, 0x8);
        story_feed(t, 4, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, SET3, t->s->n_files);
        g_assert_cmpint(membership_node(story_membership(t, 1), 4)->reason, ==, NODE_REASON_DISABLED);
        world_crash(t->w, 4, true);
        world_start(t->w, 4, true);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, SET3));
        g_assert_cmpint(story_peer_view(t, 1, 4).problem, ==, CMS_PROBLEM_DISABLED);
        story_free(t);
}

/* Node 3 was away while votes changed, and returns with the old file: it is told on both sides, and nobody
 * counts it. With the new file it is given the new votes, and counts. */
static void test_node_returns_with_the_old_file(void) {
        Story *t = story_settled(3);
        CmsConfig config = with_votes(t, 1, 2);
        unsigned number;

        world_power_off(t->w, 3, WORLD_WRITE_DONE);
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        number = configure(t, 0x3, &config);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0x3, number);
        /* What its file says is of no concern while it is off. */
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_NOT_HEARD);
        world_start(t->w, 3, true);
        story_run(t, 3 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, 0x3));
        g_assert_cmpint(story_peer_view(t, 1, 3).problem, ==, CMS_PROBLEM_CONFIG_NODE);
        g_assert_cmpint(story_peer_view(t, 3, 1).problem, ==, CMS_PROBLEM_CONFIG_NODE);
        give(t, 0x4, number);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        assert_in_force(t, SET3, number);
        story_free(t);
}

/* Node 4 was away while node 3 was replaced by node 5: it knows of no node 5, and node 5 of no other than
 * the new file. Those who know both give it what is in force, and then all hear each other. */
static void test_stale_node_meets_a_new_one(void) {
        Story *t = settled_of(5, 0xf);
        CmsConfig config = newest(t);
        unsigned number;

        world_power_off(t->w, 4, WORLD_WRITE_DONE);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        config.configured = config.enabled = SET5;
        number = cms_sim_write_file(t->s, &config);
        cms_sim_init_store_to_join(t->w, 5);
        t->s->file_of[4] = number;
        world_start(t->w, 5, true);
        give(t, SET3, number);
        story_settle(t, 0x17, 2 * USEC_PER_SEC);
        t->s->file_of[3] = number;
        world_start(t->w, 4, true);
        story_settle(t, SET5, 2 * USEC_PER_SEC);
        assert_in_force(t, SET5, number);
        story_free(t);
}

/* The id goes to another machine: not while the first one is there. */
static void test_id_is_reused(void) {
        Story *t = story_settled(3);
        CmsConfig config = newest(t);

        config.identity[2] = 99;
        (void) configure(t, SET3, &config);
        story_run(t, USEC_PER_SEC);
        assert_waits(t, SET3, CMS_CONFIG_WAIT_STOP, 0x4);
        story_feed(t, 3, (CmsEvent){ .type = CMS_EVENT_LEAVE });
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0x3, t->s->n_files);
        g_assert_cmpint(membership_node(story_membership(t, 1), 3)->reason, ==, NODE_REASON_NEVER_SEEN);
        world_crash(t->w, 3, true);
        world_wipe(t->w, 3);
        world_start(t->w, 3, true);
        story_settle(t, SET3, 3 * USEC_PER_SEC);
        story_free(t);
}

/* ---- the tie-breaker ---- */

/* It moves from node 1 to node 3, and then the cluster splits evenly: the half with node 3 fences first. */
static void test_tie_breaker_changes(void) {
        Story *t = story_settled(4);
        CmsConfig config = newest(t);

        config.tie_breaker = 3;
        (void) configure(t, 0xf, &config);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0xf, t->s->n_files);
        t->s->fencing = true;
        story_cut(t, 0x3, 0xc);
        story_settle(t, 0xc, 2 * USEC_PER_SEC);
        g_assert_true(story_membership(t, 3)->tie_breaker);
        g_assert_cmpuint(t->s->n_fenced, ==, 2);
        story_free(t);
}

/* Only node 1 has written it when the split comes: it may be in force, or not, and each half goes by what it
 * knows. At most one of them says that the tie is its own. */
static void test_tie_breaker_in_the_middle(void) {
        Story *t = story_settled(4);
        Interruption i = { CMS_MESSAGE_PROPOSE, 0, 1, 0xe };
        CmsConfig config = newest(t);

        config.tie_breaker = 3;
        interrupt(t, &i);
        (void) configure(t, 0xf, &config);
        while (!has_stored(t, 1))
                story_run(t, MSEC / 10);
        story_cut(t, 0x3, 0xc);
        interrupt(t, NULL);
        story_run(t, 5 * USEC_PER_SEC);
        g_assert_true(story_membership(t, 1)->half);
        g_assert_true(story_membership(t, 3)->half);
        g_assert_false(story_membership(t, 1)->tie_breaker && story_membership(t, 3)->tie_breaker);
        world_heal_all(t->w);
        story_settle(t, 0xf, 5 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        assert_in_force(t, 0xf, t->s->n_files);
        story_free(t);
}

/* ---- timers ---- */

/* R14: the lease gets shorter, and node 3 is lost: it is counted down by the longer one that it may still
 * hold. */
static void test_lease_gets_shorter(void) {
        Story *t = story_new(3);
        uint64_t before = 2 * t->s->config.lease_usec;
        CmsConfig config;

        t->s->config.lease_usec = before;
        story_start_all(t);
        story_settle(t, SET3, 2 * USEC_PER_SEC);
        config = newest(t);
        config.lease_usec = CMS_LEASE_FAILURES_MIN * config.failure_usec;
        (void) configure(t, SET3, &config);
        story_run(t, 200 * MSEC);
        assert_in_force(t, SET3, t->s->n_files);
        story_cut(t, 0x3, 0x4);
        story_settle(t, 0x3, 2 * USEC_PER_SEC);
        g_assert_cmpuint(story_cms(t, 1)->config.lease_usec, <, before);
        g_assert_cmpuint(
                        cms_lease_over_usec(story_cms(t, 1), 3),
                        >=,
                        world_clock(t->w, 1) - story_cms(t, 1)->config.failure_usec - 200 * MSEC + before);
        story_free(t);
}

/* R11: node 5 is heard by 1 and 4 for a while longer than by 2 and 3, and its lease rests on them. It is
 * left out, and with that the votes change: {2 3} alone are a majority then, and go on without the two who
 * know. They were told, and count from there (the checker looks at every lease). */
static void test_lease_outlives_a_change(void) {
        Story *t = story_settled(5);
        CmsConfig config = newest(t);
        uint64_t begin = t->w->now_usec;

        config.votes[1] = config.votes[2] = 5;
        (void) configure(t, 0x0f, &config);
        world_cut(t->w, 0x10, 0x06, WORLD_ALL_LINKS);
        story_settle(t, 0x0f, 2 * USEC_PER_SEC);
        assert_in_force(t, 0x0f, t->s->n_files);
        story_cut(t, 0x06, 0x19);
        story_settle(t, 0x06, 2 * USEC_PER_SEC);
        story_run(t, USEC_PER_SEC);
        g_assert_cmpuint(
                        cms_lease_over_usec(story_cms(t, 2), 5),
                        >=,
                        begin + 350 * MSEC + t->s->config.lease_usec);
        story_free(t);
}

void story_add_config(void) {
        g_test_add_func("/cms/config/votes-change", test_votes_change);
        g_test_add_func("/cms/config/files-change-one-after-the-other",
                        test_files_change_one_after_the_other);
        g_test_add_func("/cms/config/last-file-comes-at-any-moment", test_last_file_comes_at_any_moment);
        g_test_add_func("/cms/config/configuration-comes-before-its-commit",
                        test_configuration_comes_before_its_commit);
        g_test_add_func("/cms/config/late-word-accuses-nobody", test_late_word_accuses_nobody);
        g_test_add_func("/cms/config/old-quorum-is-gone", test_old_quorum_is_gone);
        g_test_add_func("/cms/config/takes-no-quorum-from-its-own-set",
                        test_takes_no_quorum_from_its_own_set);
        g_test_add_func("/cms/config/half-changes-nothing", test_half_changes_nothing);
        g_test_add_func("/cms/config/first-membership-is-not-finished",
                        test_first_membership_is_not_finished);
        g_test_add_func("/cms/config/change-is-completed", test_change_is_completed);
        g_test_add_func("/cms/config/change-is-given-up", test_change_is_given_up);
        g_test_add_func("/cms/config/split-in-the-middle", test_split_in_the_middle);
        g_test_add_func("/cms/config/nodes-are-added", test_nodes_are_added);
        g_test_add_func("/cms/config/newcomers-form-nothing", test_newcomers_form_nothing);
        g_test_add_func("/cms/config/unknown-node-is-not-removed", test_unknown_node_is_not_removed);
        g_test_add_func("/cms/config/cold-start-forgets-nobody", test_cold_start_forgets_nobody);
        g_test_add_func("/cms/config/node-leaves-and-returns", test_node_leaves_and_returns);
        g_test_add_func("/cms/config/node-is-disabled", test_node_is_disabled);
        g_test_add_func("/cms/config/node-returns-with-the-old-file", test_node_returns_with_the_old_file);
        g_test_add_func("/cms/config/stale-node-meets-a-new-one", test_stale_node_meets_a_new_one);
        g_test_add_func("/cms/config/id-is-reused", test_id_is_reused);
        g_test_add_func("/cms/config/tie-breaker-changes", test_tie_breaker_changes);
        g_test_add_func("/cms/config/tie-breaker-in-the-middle", test_tie_breaker_in_the_middle);
        g_test_add_func("/cms/config/lease-gets-shorter", test_lease_gets_shorter);
        g_test_add_func("/cms/config/lease-outlives-a-change", test_lease_outlives_a_change);
}
