/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths that lie (R10): heartbeats pass, proposals do not. Whoever stands still is left out, and nobody
 * else. */

#include <glib.h>

#include "sim/gcs/both.h"

#define MSEC USEC_PER_MSEC
#define FAILURE (400 * MSEC) /* of both_new() */
#define LONG_BYTES 1000      /* of a message, ... */
#define SHORT_BYTES                                                                                         \
        500U /* ... and what still passes: heartbeats, acknowledgements, the words of agreement */

#define SET(...) node_set_of_all((const uint32_t[]){ __VA_ARGS__, 0 })

static NodeSet node_set_of_all(const uint32_t *ids) {
        NodeSet set = NODE_SET_EMPTY;

        for (; *ids; ids++)
                node_set_add(&set, *ids);
        return set;
}

static Both *formed(unsigned n_nodes, GcsDissemination dissemination) {
        ClusterConfig config = { .seed = 1, .n_nodes = n_nodes, .core.dissemination = dissemination };
        Both *x = both_new(1, n_nodes);

        x->w->tracing = true;
        both_set_cluster(x, &config);
        for (uint32_t id = 1; id <= n_nodes; id++)
                world_start(x->w, id, true);
        both_run(x, 2 * USEC_PER_SEC);
        g_assert_true(cluster_is_active(x->c, x->s->config.enabled));
        return x;
}

static Actor *join(Both *x, uint32_t node) {
        Actor *a = cluster_join(x->c, node, "shop", "a", 0);

        both_run(x, USEC_PER_SEC);
        g_assert_true(a->member);
        return a;
}

static void narrow(Both *x, NodeSet from, NodeSet to) {
        world_narrow(x->w, from, to, WORLD_ALL_LINKS, SHORT_BYTES);
}

static bool is_at_work(Both *x, NodeSet set) {
        return cms_sim_is_settled(x->w, x->s, set) && cluster_is_active(x->c, set);
}

/* How long until the set works. None of those that are kept is ever left out meanwhile. */
static uint64_t await_work(Both *x, NodeSet set, NodeSet kept, uint64_t limit_usec) {
        uint64_t begin_usec = x->w->now_usec;

        while (!is_at_work(x, set)) {
                if (x->w->now_usec - begin_usec > limit_usec) {
                        world_print_trace(x->w, 200);
                        g_error("the rest does not go on");
                }
                both_run(x, MSEC);
                NODE_SET_FOREACH(id, kept) {
                        const Membership *m = cms_membership(x->s->nodes[id - 1].cms);

                        if (m && !node_set_is_subset(kept, m->members)) {
                                world_print_trace(x->w, 200);
                                g_error("somebody else was left out");
                        }
                }
        }
        return x->w->now_usec - begin_usec;
}

static NodeReason reason_at(const Both *x, uint32_t at, uint32_t node) {
        return membership_node(cms_membership(x->s->nodes[at - 1].cms), node)->reason;
}

/* A message was sent and everybody in the set delivers it, or has: as many as were sent. */
static void check_flows(Both *x, Actor *sender) {
        unsigned before = sender->told->len;

        g_assert_cmpint(actor_send(sender, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        both_run(x, FAILURE / 2);
        g_assert_cmpuint(sender->told->len, >, before);
}

static void member_is_left_out(GcsDissemination dissemination) {
        Both *x = formed(5, dissemination);
        Actor *a = join(x, 2);
        uint64_t took;

        narrow(x, SET(1, 2, 4, 5), SET(3));
        g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        took = await_work(x, SET(1, 2, 4, 5), SET(1, 2, 4, 5), 4 * FAILURE);
        g_assert_cmpuint(took, >=, 2 * FAILURE - 10 * MSEC);
        g_assert_cmpuint(took, <=, 2 * FAILURE + 250 * MSEC);
        for (uint32_t id = 1; id <= 5; id++)
                if (id != 3)
                        g_assert_cmpint(reason_at(x, id, 3), ==, NODE_REASON_STALLED);
        check_flows(x, a);

        /* The way is mended: it comes back, once it has waited. */
        world_heal_all(x->w);
        await_work(x, SET(1, 2, 3, 4, 5), SET(1, 2, 4, 5), 4 * FAILURE);
        check_flows(x, a);
        both_end(x);
}

static void test_member_is_left_out(void) {
        member_is_left_out(GCS_DISSEMINATION_RING);
        member_is_left_out(GCS_DISSEMINATION_FANOUT);
}

/* What it proposes reaches nobody: it lacks everybody's word, and knows by that that it is itself. */
static void coordinator_is_left_out(GcsDissemination dissemination) {
        Both *x = formed(5, dissemination);
        Actor *a = join(x, 4);

        narrow(x, SET(1), SET(2, 3, 4, 5));
        g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        await_work(x, SET(2, 3, 4, 5), SET(2, 3, 4, 5), 4 * FAILURE);
        g_assert_cmpint(reason_at(x, 2, 1), ==, NODE_REASON_STALLED);
        check_flows(x, a);
        world_heal_all(x->w);
        await_work(x, SET(1, 2, 3, 4, 5), SET(2, 3, 4, 5), 4 * FAILURE);
        both_end(x);
}

static void test_coordinator_is_left_out(void) {
        coordinator_is_left_out(GCS_DISSEMINATION_RING);
        coordinator_is_left_out(GCS_DISSEMINATION_FANOUT);
}

/* Neither of two is more than half: to accuse each other would stop both. */
static void test_two_do_not_accuse_each_other(void) {
        Both *x = formed(2, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 2);
        uint64_t before = x->s->n_memberships;

        narrow(x, SET(1), SET(2));
        g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        both_run(x, 10 * FAILURE);
        g_assert_cmpuint(x->s->n_memberships, ==, before);
        world_heal_all(x->w);
        both_run(x, FAILURE / 2);
        check_flows(x, a);
        g_assert_cmpuint(x->s->n_memberships, ==, before);
        both_end(x);
}

/* The transport needs a moment to find another way. */
static void test_short_stall_changes_nothing(void) {
        Both *x = formed(3, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 2);
        uint64_t before = x->s->n_memberships;

        narrow(x, SET(1, 2), SET(3));
        g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        both_run(x, 2 * FAILURE - 50 * MSEC);
        world_heal_all(x->w);
        both_run(x, 5 * FAILURE);
        g_assert_cmpuint(x->s->n_memberships, ==, before);
        check_flows(x, a);
        both_end(x);
}

/* Nothing long is on its way: nobody stands still, whatever the ways are like. */
static void test_idle_groups_accuse_nobody(void) {
        Both *x = formed(3, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 2);
        uint64_t before = x->s->n_memberships;

        narrow(x, SET(1, 2, 3), SET(1, 2, 3));
        for (unsigned i = 0; i < 20; i++) {
                g_assert_cmpint(actor_send(a, 50), ==, GCS_VERDICT_QUEUED);
                both_run(x, FAILURE / 2);
        }
        g_assert_cmpuint(x->s->n_memberships, ==, before);
        both_end(x);
}

/* Node 1 says that it stands still, and while the others leave it out node 5 dies: they are half of six, and
 * need node 1. Nobody answers it in a membership that is over for them, which is no standing still. */
static void test_what_is_over_does_not_stand_still(void) {
        Both *x = formed(6, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 4);

        world_power_off(x->w, 6, WORLD_WRITE_DONE);
        await_work(x, SET(1, 2, 3, 4, 5), SET(1, 2, 3, 4, 5), 4 * FAILURE);
        narrow(x, SET(1), SET(2, 3, 4, 5));
        g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
        while (x->s->nodes[0].cms->stall.nodes == NODE_SET_EMPTY)
                both_run(x, MSEC);
        world_power_off(x->w, 5, WORLD_WRITE_DONE);
        world_heal_all(x->w);
        await_work(x, SET(1, 2, 3, 4), SET(2, 3, 4), 10 * FAILURE);
        both_end(x);
}

/* It is heard all the while, and would be back at once, and out again: it waits longer each time. */
static void test_stalled_node_does_not_flap(void) {
        Both *x = formed(3, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 2);
        uint64_t before = x->s->n_memberships;

        narrow(x, SET(1, 2), SET(3));
        for (unsigned i = 0; i < 40; i++) {
                if (!a->blocked)
                        (void) actor_send(a, LONG_BYTES);
                both_run(x, FAILURE);
        }
        g_assert_cmpuint(x->s->n_memberships - before, >=, 3);
        g_assert_cmpuint(x->s->n_memberships - before, <=, 8);
        both_end(x);
}

/* Whoever coordinates and was starved itself has heard nobody meanwhile, and accuses nobody. */
static void test_own_pause_accuses_nobody(void) {
        Both *x = formed(3, GCS_DISSEMINATION_RING);
        Actor *a = join(x, 2);
        uint64_t before = x->s->n_memberships;

        for (unsigned i = 0; i < 10; i++) {
                g_assert_cmpint(actor_send(a, LONG_BYTES), ==, GCS_VERDICT_QUEUED);
                both_run(x, 2 * MSEC);
                for (uint32_t id = 1; id <= 3; id++)
                        world_pause(x->w, id);
                both_run(x, 3 * FAILURE);
                for (uint32_t id = 1; id <= 3; id++)
                        world_resume(x->w, id);
                both_run(x, 100 * MSEC);
        }
        g_assert_cmpuint(x->s->n_memberships, ==, before);
        both_end(x);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/stall/member-is-left-out", test_member_is_left_out);
        g_test_add_func("/stall/coordinator-is-left-out", test_coordinator_is_left_out);
        g_test_add_func("/stall/two-do-not-accuse-each-other", test_two_do_not_accuse_each_other);
        g_test_add_func("/stall/short-stall-changes-nothing", test_short_stall_changes_nothing);
        g_test_add_func("/stall/idle-groups-accuse-nobody", test_idle_groups_accuse_nobody);
        g_test_add_func("/stall/what-is-over-does-not-stand-still", test_what_is_over_does_not_stand_still);
        g_test_add_func("/stall/stalled-node-does-not-flap", test_stalled_node_does_not_flap);
        g_test_add_func("/stall/own-pause-accuses-nobody", test_own_pause_accuses_nobody);

        return g_test_run();
}
