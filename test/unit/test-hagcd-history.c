/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "hagcd/history.h"

static const MembershipNode UP = { .state = NODE_UP };

/* Nodes 1 to 3, of which these are in; incarnations 10, 20, 30. */
static Membership membership(uint64_t epoch, NodeSet members) {
        Membership m = { .mid = { epoch, 1 }, .members = members, .configured = 7, .quorate = true };

        NODE_SET_FOREACH(id, m.configured) {
                m.nodes[id - 1] = node_set_contains(members, id) ? UP
                                                                 : (MembershipNode){ .state = NODE_UNKNOWN };
                m.nodes[id - 1].incarnation = 10 * id;
        }
        return m;
}

static ProtoMembership *shown(const History *h) {
        ProtoMembership *m = g_new0(ProtoMembership, 1);

        history_fill(h, m);
        return m;
}

static char *told(const ProtoMembership *m, uint32_t i) {
        static const char *const moves[] = { "joined", "left", "proven" };
        GString *s = g_string_new(NULL);

        FOREACH_ARRAY(moved, m->changes[i].moved, m->changes[i].n_moved)
                g_string_append_printf(
                                s,
                                "%s%u %s %s",
                                s->len > 0 ? ", " : "",
                                moved->node_id,
                                moves[moved->move],
                                m->reasons[moved->reason]);
        return g_string_free(s, FALSE);
}

static void test_who_and_why(void) {
        g_autofree History *h = g_new0(History, 1);
        Membership m = membership(1, 7);
        g_autofree ProtoMembership *p = NULL;
        g_autofree char *first = NULL, *second = NULL, *third = NULL, *fourth = NULL;

        history_installed(h, &m, 100);
        history_installed(h, &m, 101); /* told again */

        m = membership(2, 3);
        m.nodes[2].reason = NODE_REASON_LAST_GASP;
        history_installed(h, &m, 102);

        /* Node 2 was quick; node 3 was switched off meanwhile. */
        m = membership(3, 3);
        m.nodes[1].incarnation = 21;
        m.nodes[2].state = NODE_DOWN;
        m.nodes[2].reason = NODE_REASON_CONFIRMED;
        m.quorate = false;
        m.half = true;
        history_installed(h, &m, 103);

        m = membership(4, 7);
        m.nodes[1].incarnation = 21;
        history_installed(h, &m, 104);

        p = shown(h);
        g_assert_cmpuint(p->n_changes, ==, 4);
        first = told(p, 0);
        second = told(p, 1);
        third = told(p, 2);
        fourth = told(p, 3);
        g_assert_cmpstr(first, ==, "1 joined , 2 joined , 3 joined ");
        g_assert_cmpstr(second, ==, "3 left last-gasp");
        g_assert_cmpstr(third, ==, "2 left new-incarnation, 2 joined , 3 proven confirmed");
        g_assert_cmpstr(fourth, ==, "3 joined ");
        g_assert_cmpuint(p->changes[1].time_usec, ==, 102);
        g_assert_cmpuint(p->changes[1].mid.epoch, ==, 2);
        g_assert_cmpuint(p->changes[1].members, ==, 3);
        g_assert_cmpuint(p->changes[1].quorum, ==, PROTO_QUORUM_YES);
        g_assert_cmpuint(p->changes[2].quorum, ==, PROTO_QUORUM_HALF);
}

static void test_shut_out(void) {
        g_autofree History *h = g_new0(History, 1);
        Membership m = membership(1, 7);
        g_autofree ProtoMembership *p = NULL;
        g_autofree char *out = NULL, *back = NULL;

        history_installed(h, &m, 100);
        history_shut_out(h, 2, 101);
        m = membership(3, 7);
        history_installed(h, &m, 102);
        p = shown(h);
        out = told(p, 1);
        back = told(p, 2);
        g_assert_cmpuint(p->changes[1].mid.epoch, ==, 0);
        g_assert_cmpstr(out, ==, "2 left ");
        g_assert_cmpstr(back, ==, "2 joined ");
}

static void test_bounded(void) {
        g_autofree History *h = g_new0(History, 1);
        g_autofree ProtoMembership *p = NULL;

        for (uint64_t n = 1; n <= 100; n++) {
                Membership m = membership(n, n % 2 ? 7 : 3);

                history_installed(h, &m, 1000 + n);
        }
        p = shown(h);
        g_assert_cmpuint(p->n_changes, ==, PROTO_CHANGES_MAX);
        for (unsigned i = 0; i < PROTO_CHANGES_MAX; i++)
                g_assert_cmpuint(p->changes[i].time_usec, ==, 1000 + 100 - PROTO_CHANGES_MAX + 1 + i);
}

/* All of the largest cluster are others than before. */
static void test_all_replaced(void) {
        g_autofree History *h = g_new0(History, 1);
        g_autofree Membership *m = g_new0(Membership, 1);
        g_autofree ProtoMembership *p = NULL;

        m->members = m->configured = NODE_SET_ALL;
        for (uint64_t life = 1; life <= 2; life++) {
                m->mid.epoch = life;
                NODE_SET_FOREACH(id, m->members)
                        m->nodes[id - 1] = (MembershipNode){ .state = NODE_UP, .incarnation = life };
                history_installed(h, m, life);
        }
        p = shown(h);
        g_assert_cmpuint(p->changes[1].n_moved, ==, 2 * NODE_ID_MAX);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/history/who-and-why", test_who_and_why);
        g_test_add_func("/hagcd/history/shut-out-and-back", test_shut_out);
        g_test_add_func("/hagcd/history/is-bounded", test_bounded);
        g_test_add_func("/hagcd/history/all-are-replaced", test_all_replaced);
        return g_test_run();
}
