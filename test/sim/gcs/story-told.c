/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stories of what GCS is told by CMS (design.md 4): both cores as they are, in virtual time. */

#include "basic/time-util.h"
#include "sim/gcs/both.h"

#define SECOND USEC_PER_SEC

/* ---- Help ---- */

static Both *both_of(unsigned n_nodes) {
        ClusterConfig config = { .seed = 1, .n_nodes = n_nodes };
        Both *x = both_new(1, n_nodes);

        x->w->tracing = true;
        both_set_cluster(x, &config);
        return x;
}

static Both *formed(unsigned n_nodes) {
        Both *x = both_of(n_nodes);

        for (uint32_t id = 1; id <= n_nodes; id++)
                world_start(x->w, id, true);
        both_run(x, 2 * SECOND);
        g_assert_true(cluster_is_active(x->c, x->s->config.enabled));
        return x;
}

static Actor *join(Both *x, uint32_t node, const char *name) {
        return cluster_join(x->c, node, "shop", name, GCS_JOIN_SNAPSHOT);
}

static Mid mid_at(const Both *x, uint32_t node) {
        const Membership *m = cms_membership(x->s->nodes[node - 1].cms);

        return m ? m->mid : MID_NONE;
}

static bool gcs_is_frozen(const Both *x, uint32_t node) {
        GcsStatus s;

        gcs_get_status(x->c->nodes[node].core, &s);
        return !s.active;
}

/* ---- B01 ---- */

/* Who wants to be in a group waits until a quorate membership stands, however long that takes. */
static void test_no_group_before_a_membership(void) {
        Both *x = both_of(3);
        Actor *a;

        world_start(x->w, 1, true);
        a = join(x, 1, "a");
        both_run(x, 3 * SECOND);
        g_assert_true(cms_membership(x->s->nodes[0].cms) && !cms_membership(x->s->nodes[0].cms)->quorate);
        g_assert_false(a->member || a->refused);
        g_assert_cmpuint(a->told->len, ==, 0);
        g_assert_cmpint(actor_send(a, 10), ==, GCS_VERDICT_NOT_MEMBER);

        world_start(x->w, 2, true);
        both_run(x, SECOND);
        g_assert_true(a->member);
        g_assert_cmpint(g_array_index(a->told, Told, 0).type, ==, GCS_EFFECT_VIEW);
        g_assert_true(mid_equal(g_array_index(a->told, Told, 0).mid, mid_at(x, 1)));
        both_end(x);
}

/* ---- B02 ---- */

static bool lose_stable_at_2(Both *x, uint32_t node, const CmsNotification *n) {
        return node == 2 && n->type == CMS_NOTIFICATION_STABLE;
}

static bool lose_all_at_3(Both *x, uint32_t node, const CmsNotification *n) {
        return node == 3;
}

/* All wait for node 2, whose GCS does not know that there is a new membership; until it asks. */
static void test_lost_stable_is_made_up_for(void) {
        Both *x = formed(3);
        Actor *a = join(x, 1, "a"), *b = join(x, 2, "b");

        both_run(x, SECOND);
        g_assert_true(a->member && b->member);
        x->asks_not = true;
        both_run(x, SECOND);
        x->lose = lose_stable_at_2;
        world_crash(x->w, 3, true);
        both_run(x, 3 * SECOND);
        g_assert_true(cms_sim_is_settled(x->w, x->s, 3));
        g_assert_true(gcs_is_frozen(x, 1) && gcs_is_frozen(x, 2));
        both_end(x);

        x = formed(3);
        a = join(x, 1, "a");
        b = join(x, 2, "b");
        both_run(x, SECOND);
        x->lose = lose_stable_at_2;
        world_crash(x->w, 3, true);
        both_run(x, SECOND + BOTH_ASK_USEC);
        g_assert_true(cluster_is_active(x->c, 3));
        g_assert_cmpint(actor_send(a, 10), ==, GCS_VERDICT_QUEUED);
        both_run(x, SECOND / 2);
        g_assert_cmpuint(g_array_index(b->told, Told, b->told->len - 1).n, ==, 1);
        both_end(x);
}

/* Nobody hears node 3, which hears all: it is shut out, and its GCS is told nothing of it. It must not hold
 * itself for a member for long. */
static void test_lost_exclusion_is_made_up_for(void) {
        for (int asks = 0; asks <= 1; asks++) {
                Both *x = formed(3);
                Actor *c = join(x, 3, "c");

                both_run(x, SECOND);
                g_assert_true(c->member);
                x->asks_not = !asks;
                both_run(x, SECOND);
                x->lose = lose_all_at_3;
                world_cut(x->w, 4, 3, WORLD_ALL_LINKS);
                both_run(x, SECOND + BOTH_ASK_USEC);
                g_assert_true(cms_sim_is_settled(x->w, x->s, 3));
                g_assert_null(cms_membership(x->s->nodes[2].cms));
                g_assert_cmpint(gcs_is_frozen(x, 3), ==, asks);
                g_assert_cmpint(c->frozen, ==, asks);
                both_end(x);
        }
}

/* ---- B04 ---- */

static struct {
        Actor *actors[3]; /* on nodes 1 to 3 */
        struct {
                unsigned told_at_transition, told_at_stable;
                bool transition, stable;
                Mid mid;
        } at[3];
} change;

static bool note_change(Both *x, uint32_t node, const CmsNotification *n) {
        unsigned told;

        if (node > 3)
                return false;
        told = change.actors[node - 1]->told->len;
        if (n->type == CMS_NOTIFICATION_TRANSITION) {
                g_assert_false(change.at[node - 1].stable);
                change.at[node - 1].transition = true;
                change.at[node - 1].told_at_transition = told;
        } else if (n->type == CMS_NOTIFICATION_STABLE) {
                g_assert_true(change.at[node - 1].transition && !change.at[node - 1].stable);
                change.at[node - 1].stable = true;
                change.at[node - 1].told_at_stable = told;
                change.at[node - 1].mid = n->stable->mid;
        }
        return false;
}

static void send_more(World *w, uint64_t until_usec, uint64_t b, void *userdata) {
        Both *x = userdata;

        x->c->now_usec = w->now_usec;
        for (unsigned i = 0; i < 3; i++)
                if (change.actors[i]->member && !change.actors[i]->blocked)
                        (void) actor_send(change.actors[i], 20);
        if (w->now_usec < until_usec)
                world_at(w, w->now_usec + 500, send_more, until_usec, 0, x);
}

/* A node dies, or comes, under load. Each of the others is told of the transition; then nothing is delivered
 * until the new membership stands, then what was under way in the old one, then the change, and only then
 * what is new. */
static void only_old_messages_complete(bool comes) {
        Both *x = formed(5);
        Mid before;
        unsigned n_old = 0;

        if (comes) {
                world_crash(x->w, 5, true);
                both_run(x, 2 * SECOND);
        }
        before = mid_at(x, 1);
        memset(&change, 0, sizeof(change));
        change.actors[0] = join(x, 1, "a");
        change.actors[1] = join(x, 2, "b");
        change.actors[2] = join(x, 3, "c");
        both_run(x, SECOND);
        send_more(x->w, x->w->now_usec + 2 * SECOND, 0, x);
        both_run(x, 100 * USEC_PER_MSEC);
        x->lose = note_change;
        if (comes)
                world_start(x->w, 5, true);
        else
                world_crash(x->w, 5, true);
        both_run(x, 3 * SECOND);

        for (unsigned i = 0; i < 3; i++) {
                GArray *told = change.actors[i]->told;
                unsigned k = change.at[i].told_at_transition;

                g_assert_true(change.at[i].stable);
                g_assert_cmpuint(change.at[i].told_at_stable, ==, k);
                g_assert_cmpuint(k, >, 0);
                for (; g_array_index(told, Told, k).type == GCS_EFFECT_MESSAGE; k++, n_old++)
                        g_assert_true(mid_equal(g_array_index(told, Told, k).mid, before));
                g_assert_cmpint(g_array_index(told, Told, k).type, ==, GCS_EFFECT_VIEW);
                g_assert_true(mid_equal(g_array_index(told, Told, k).mid, change.at[i].mid));
                g_assert_cmpuint(told->len, >, k + 1);
                for (k++; k < told->len; k++)
                        g_assert_true(mid_equal(g_array_index(told, Told, k).mid, change.at[i].mid));
        }
        g_assert_cmpuint(n_old, >, 0);
        both_end(x);
}

static void test_only_old_messages_complete(void) {
        only_old_messages_complete(false);
        only_old_messages_complete(true);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/told/no-group-before-a-membership", test_no_group_before_a_membership);
        g_test_add_func("/told/lost-stable-is-made-up-for", test_lost_stable_is_made_up_for);
        g_test_add_func("/told/lost-exclusion-is-made-up-for", test_lost_exclusion_is_made_up_for);
        g_test_add_func("/told/only-old-messages-complete", test_only_old_messages_complete);

        return g_test_run();
}
