/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Told stories of group communication, in virtual time: each behaviour of groups that one can see in the
 * core. The checkers of history.c hold in all of them. */

#include "basic/time-util.h"
#include "sim/gcs/both.h"

#define SECOND (1000 * USEC_PER_MSEC)
#define ALL3 (node_set_of(1) | node_set_of(2) | node_set_of(3))

/* ---- Help ---- */

static Cluster *three(GcsDissemination dissemination) {
        ClusterConfig config = {
                .seed = 7,
                .n_nodes = 3,
                .delay_min_usec = 100,
                .delay_max_usec = 100,
                .store_max_usec = 500,
                .core.dissemination = dissemination,
        };
        Cluster *c = cluster_new(&config);

        if (g_test_verbose())
                c->trace = g_string_new(NULL);
        for (uint32_t id = 1; id <= 3; id++)
                cluster_start(c, id);
        cluster_propose(c, ALL3);
        cluster_run(c, 100 * USEC_PER_MSEC);
        g_assert_true(cluster_is_active(c, ALL3));
        return c;
}

static void well(Cluster *c) {
        history_check(c);
        if (c->trace)
                g_test_message("%s", c->trace->str);
        g_assert_cmpstr(c->failure, ==, NULL);
}

static void settle(Cluster *c) {
        cluster_run(c, SECOND);
        well(c);
}

static void settle_live(Cluster *c) {
        settle(c);
        history_check_live(c);
        g_assert_cmpstr(c->failure, ==, NULL);
}

static Actor *joined(Cluster *c, uint32_t node, const char *group, const char *name) {
        Actor *a = cluster_join(c, node, group, name, GCS_JOIN_SNAPSHOT);

        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_true(a->member);
        return a;
}

static const Told *told(const Actor *a, unsigned back) {
        g_assert_cmpuint(a->told->len, >, back);
        return &g_array_index(a->told, Told, a->told->len - 1 - back);
}

static unsigned n_messages(const Actor *a, uint64_t uid) {
        unsigned n = 0;

        for (unsigned i = 0; i < a->told->len; i++) {
                const Told *t = &g_array_index(a->told, Told, i);

                n += t->type == GCS_EFFECT_MESSAGE && t->uid == uid;
        }
        return n;
}

static unsigned n_views(const Actor *a) {
        unsigned n = 0;

        for (unsigned i = 0; i < a->told->len; i++)
                n += g_array_index(a->told, Told, i).type == GCS_EFFECT_VIEW;
        return n;
}

static void send(Actor *a) {
        g_assert_cmpint(actor_send(a, 100), ==, GCS_VERDICT_QUEUED);
}

/* Loses messages of one type, from and to nodes of which 0 means any; n of them. */
typedef struct Loss {
        GcsMessageType type;
        uint32_t from, to;
        unsigned n;
        unsigned n_lost;
} Loss;

static bool lose(Cluster *c, uint32_t from, uint32_t to, const GcsMessage *m) {
        Loss *l = c->filter_data;

        if (m->type != l->type || (l->from != 0 && l->from != from) || (l->to != 0 && l->to != to) ||
            l->n == 0)
                return false;
        l->n--;
        l->n_lost++;
        return true;
}

static void set_loss(Cluster *c, Loss *l) {
        c->filter = lose;
        c->filter_data = l;
}

/* ---- Members come and go ---- */

static void test_join_and_leave(void) { /* C01 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");

        g_assert_cmpuint(told(a, 0)->n_members, ==, 2);
        g_assert_cmpuint(told(a, 0)->n_joined, ==, 1);
        g_assert_cmpuint(told(b, 0)->n_members, ==, 2);
        g_assert_true(told(b, 0)->fresh);

        actor_leave(b);
        settle(c);
        g_assert_true(b->dead);
        g_assert_cmpuint(told(a, 0)->n_left, ==, 1);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_UNREGISTERED);
}

static void test_death_has_a_reason(void) { /* C02 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d = joined(c, 2, "shop", "d");

        actor_die(b, GCS_REASON_EXITED);
        settle(c);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_EXITED);
        actor_die(d, GCS_REASON_UNRESPONSIVE);
        settle(c);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_UNRESPONSIVE);
        g_assert_false(c->nodes[2].reset);
        g_assert_true(c->nodes[2].alive);
}

static void test_critical_leaves_in_peace(void) { /* C04 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = cluster_join(c, 2, "shop", "b", GCS_JOIN_CRITICAL);

        cluster_run(c, 50 * USEC_PER_MSEC);
        actor_leave(b);
        settle(c);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_UNREGISTERED);
        g_assert_false(c->nodes[2].reset);
}

static void test_successor(void) { /* R16 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *b = cluster_join(c, 2, "shop", "same", GCS_JOIN_CRITICAL | GCS_JOIN_SNAPSHOT), *a, *next;
        uint64_t seniority;

        cluster_run(c, 50 * USEC_PER_MSEC);
        a = joined(c, 1, "shop", "a");
        seniority = b->id.number;
        actor_die(b, GCS_REASON_EXITED);
        next = cluster_join(c, 2, "shop", "same", GCS_JOIN_CRITICAL | GCS_JOIN_SNAPSHOT);
        settle_live(c);

        /* The death is told at once, and the successor is another member, the youngest, with a snapshot. */
        g_assert_cmpint(told(a, 1)->reason, ==, GCS_REASON_EXITED);
        g_assert_cmpuint(told(a, 0)->n_joined, ==, 1);
        g_assert_cmpuint(next->id.number, >, seniority);
        g_assert_cmpuint(next->n_snapshots, ==, 1);
        g_assert_cmpuint(a->n_requests, ==, 1);
}

static void test_several_groups(void) { /* C05 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "one", "a"), *b = joined(c, 1, "one", "b");
        Actor *d = joined(c, 1, "two", "a"), *e = joined(c, 2, "two", "b");

        for (unsigned i = 0; i < 10; i++) {
                send(a);
                send(e);
        }
        settle_live(c);
        g_assert_cmpuint(n_messages(a, a->client), ==, 10);
        g_assert_cmpuint(n_messages(b, a->client), ==, 10);
        g_assert_cmpuint(n_messages(d, a->client), ==, 0);
        g_assert_cmpuint(n_messages(d, e->client), ==, 10);
        g_assert_cmpuint(n_messages(e, e->client), ==, 10);
}

static void test_refusals(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b, *d;

        b = cluster_join(c, 1, "shop", "a", 0);
        g_assert_true(b->refused);
        g_assert_cmpint(b->refusal, ==, GCS_REFUSAL_NAME_IN_USE);
        d = cluster_join(c, 1, "Shop", "d", 0);
        g_assert_true(d->refused);
        g_assert_cmpint(d->refusal, ==, GCS_REFUSAL_NAME);
        g_assert_cmpint(actor_send(a, GCS_PAYLOAD_MAX + 1), ==, GCS_VERDICT_TOO_LONG);
        g_assert_cmpint(actor_send(a, GCS_PAYLOAD_MAX), ==, GCS_VERDICT_QUEUED);
        settle_live(c);

        /* One group more than there can be. */
        for (unsigned i = 0; i < GCS_GROUPS_MAX; i++) {
                char name[16];

                (void) g_snprintf(name, sizeof(name), "g%u", i);
                b = cluster_join(c, 2, name, "m", 0);
        }
        settle(c);
        g_assert_true(b->refused);
        g_assert_cmpint(b->refusal, ==, GCS_REFUSAL_GROUPS_FULL);
}

/* ---- One order ---- */

static void concurrent(GcsDissemination dissemination) { /* C06 */
        _cleanup_(cluster_freep) Cluster *c = three(dissemination);
        Actor *a[3];

        for (uint32_t id = 1; id <= 3; id++)
                a[id - 1] = joined(c, id, "shop", "m");
        for (unsigned i = 0; i < 50; i++) {
                for (unsigned k = 0; k < 3; k++)
                        send(a[k]);
                cluster_run(c, 150);
        }
        settle_live(c);
        for (unsigned k = 0; k < 3; k++) {
                g_assert_cmpuint(n_messages(a[k], a[0]->client), ==, 50);
                g_assert_cmpuint(n_messages(a[k], a[1]->client), ==, 50);
                g_assert_cmpuint(n_messages(a[k], a[2]->client), ==, 50);
                g_assert_cmpuint(a[k]->state, ==, a[0]->state);
        }
}

static void test_concurrent_senders(void) {
        concurrent(GCS_DISSEMINATION_RING);
        concurrent(GCS_DISSEMINATION_FANOUT);
}

/* Nothing is delivered before every node has it: one link is held, and nobody delivers. */
static void test_everybody_first(void) { /* C07 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b");

        for (uint32_t id = 1; id <= 2; id++)
                c->cut[id][3] = true;
        send(a);
        cluster_run(c, SECOND);
        g_assert_cmpuint(n_messages(a, a->client), ==, 0);
        g_assert_cmpuint(n_messages(b, a->client), ==, 0);
        /* R10: the coordinator says who holds everybody up. */
        g_assert_cmpuint(c->nodes[1].stalled, ==, node_set_of(3));

        for (uint32_t id = 1; id <= 2; id++)
                c->cut[id][3] = false;
        settle_live(c);
        g_assert_cmpuint(n_messages(b, a->client), ==, 1);
}

typedef struct Passed {
        char text[400];
} Passed;

static bool watch(Cluster *c, uint32_t from, uint32_t to, const GcsMessage *m) {
        Passed *p = c->filter_data;
        char line[40];

        (void) g_snprintf(
                        line,
                        sizeof(line),
                        "%s %u>%u%s ",
                        gcs_message_type_to_string(m->type),
                        from,
                        to,
                        m->type == GCS_MESSAGE_ACK && m->ack.lap ? " lap" : "");
        (void) g_strlcat(p->text, line, sizeof(p->text));
        return false;
}

static void test_around_the_ring(void) { /* C08 C09 C19 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 2, "shop", "a");
        static const char lap[] =
                        "SUBMIT 2>1 PROPOSE 1>2 PROPOSE 2>3 ACK 3>1 lap COMMIT 1>2 COMMIT 2>3 ACK 3>1 lap ";
        Passed p = {};

        c->filter = watch;
        c->filter_data = &p;
        send(a);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_cmpstr(p.text, ==, lap);

        /* A leave takes the same way. */
        p = (Passed){};
        actor_leave(a);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_cmpstr(p.text, ==, lap);
        well(c);
}

static GcsStatus status_of(const Cluster *c, uint32_t node) {
        GcsStatus status;

        gcs_get_status(c->nodes[node].core, &status);
        return status;
}

/* Whoever has a proposal keeps it until everybody has its commit, and no longer. */
static void test_kept_until_committed_everywhere(void) { /* C11 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");
        Loss l = { .type = GCS_MESSAGE_COMMIT, .to = 3, .n = 1000 };
        uint64_t sequence = status_of(c, 1).held + 1;

        set_loss(c, &l);
        send(a);
        cluster_run(c, SECOND / 2);
        g_assert_cmpuint(n_messages(a, a->client), ==, 1);
        g_assert_cmpuint(n_messages(b, a->client), ==, 0);
        for (uint32_t id = 1; id <= 3; id++) {
                g_assert_cmpuint(status_of(c, id).held, ==, sequence);
                g_assert_cmpuint(status_of(c, id).kept, <=, sequence);
        }

        l.n = 0;
        settle_live(c);
        g_assert_cmpuint(n_messages(b, a->client), ==, 1);
        /* That all have the commit is told with what comes next. */
        send(a);
        settle_live(c);
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_cmpuint(status_of(c, id).kept, >, sequence);
}

/* Whoever does not take a proposal, or does not say that it did, holds it up; nobody ends it. */
static void refused(GcsMessageType type, uint32_t from, uint32_t to) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_FANOUT);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d = joined(c, 3, "shop", "d");
        Loss l = { .type = type, .from = from, .to = to, .n = UINT_MAX };

        set_loss(c, &l);
        send(b);
        cluster_run(c, 10 * SECOND);
        g_assert_cmpuint(l.n_lost, >, 100);
        g_assert_cmpuint(
                        n_messages(a, b->client) + n_messages(b, b->client) + n_messages(d, b->client),
                        ==,
                        0);

        l.n = 0;
        settle_live(c);
        g_assert_cmpuint(n_messages(a, b->client), ==, 1);
        g_assert_cmpuint(n_messages(b, b->client), ==, 1);
        g_assert_cmpuint(n_messages(d, b->client), ==, 1);
}

static void test_nobody_ends_a_message(void) { /* C12 */
        refused(GCS_MESSAGE_PROPOSE, 1, 3);
        refused(GCS_MESSAGE_ACK, 3, 1);
}

static void test_fanout(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_FANOUT);
        Actor *a = joined(c, 1, "shop", "a");
        Passed p = {};

        c->filter = watch;
        c->filter_data = &p;
        send(a);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_cmpstr(p.text,
                        ==,
                        "PROPOSE 1>2 PROPOSE 1>3 ACK 2>1 ACK 3>1 COMMIT 1>2 COMMIT 1>3 ACK 2>1 ACK 3>1 ");
        well(c);
}

/* By itself it takes the short way while there is little to do, and shares the work when there is much; and
 * what goes one way never overtakes what goes the other, which would be asked for again. */
static void test_auto(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_AUTO);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b");
        static const char short_way[] =
                        "PROPOSE 1>2 PROPOSE 1>3 ACK 2>1 ACK 3>1 COMMIT 1>2 COMMIT 1>3 ACK 2>1 ACK 3>1 ";
        static const char then_around[] = "PROPOSE 1>2 PROPOSE 1>3 ACK 2>1 ACK 3>1 PROPOSE 1>2 PROPOSE 2>3 "
                                          "ACK 3>1 lap COMMIT 1>2 COMMIT 2>3 ACK 3>1 lap ";
        Passed p = {};

        c->filter = watch;
        c->filter_data = &p;
        send(a);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_cmpstr(p.text, ==, short_way);

        /* The first one of ten has nothing before it, and the others wait for it. */
        p = (Passed){};
        for (unsigned i = 0; i < 10; i++)
                send(a);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_cmpstr(p.text, ==, then_around);

        c->filter = NULL;
        for (unsigned i = 0; i < 1000; i++) {
                for (unsigned k = 0; k < i % 13; k++)
                        (void) actor_send(i % 2 == 0 ? a : b, i % 31 == 0 ? 16 * 1024 : 100);
                cluster_run(c, 50 * (i % 17));
        }
        settle_live(c);
        for (uint32_t id = 1; id <= 3; id++) {
                g_assert_cmpuint(c->nodes[id].n_sent[GCS_MESSAGE_RESEND], ==, 0);
                g_assert_cmpuint(status_of(c, id).n_resent, ==, 0);
        }
}

/* The cost falls as load grows: what comes while something is on its way waits for it, and then goes as one.
 */
static void test_what_comes_meanwhile(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b");
        unsigned n;

        n = c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE];
        for (unsigned i = 0; i < 20; i++)
                send(a);
        settle_live(c);
        g_assert_cmpuint(c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE] - n, ==, 2);

        n = c->nodes[2].n_sent[GCS_MESSAGE_SUBMIT];
        for (unsigned i = 0; i < 20; i++)
                send(b);
        settle_live(c);
        g_assert_cmpuint(c->nodes[2].n_sent[GCS_MESSAGE_SUBMIT] - n, ==, 2);
        g_assert_cmpuint(n_messages(a, b->client), ==, 20);

        /* What fills a message of its own has no reason to wait. */
        n = c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE];
        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpint(actor_send(a, GCS_PAYLOAD_MAX), ==, GCS_VERDICT_QUEUED);
        g_assert_cmpuint(c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE] - n, ==, 3);
        n = c->nodes[2].n_sent[GCS_MESSAGE_SUBMIT];
        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpint(actor_send(b, GCS_PAYLOAD_MAX), ==, GCS_VERDICT_QUEUED);
        g_assert_cmpuint(c->nodes[2].n_sent[GCS_MESSAGE_SUBMIT] - n, ==, 3);
        settle_live(c);
}

/* What waits for something that was lost shows that it is missing, long before that would be sent again. */
static void waits_for_what_was_lost(uint32_t from, uint32_t to, GcsDissemination dissemination) {
        _cleanup_(cluster_freep) Cluster *c = three(dissemination);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");
        Loss l = { .type = GCS_MESSAGE_PROPOSE, .from = from, .to = to, .n = 1 };

        set_loss(c, &l);
        send(a);
        send(a);
        cluster_run(c, 10 * USEC_PER_MSEC); /* half the time after which it is sent again */
        g_assert_cmpuint(l.n_lost, ==, 1);
        g_assert_cmpuint(n_messages(a, a->client), ==, 2);
        g_assert_cmpuint(n_messages(b, a->client), ==, 2);
        settle_live(c);
}

static void test_waits_for_what_was_lost(void) {
        waits_for_what_was_lost(1, 2, GCS_DISSEMINATION_RING);
        waits_for_what_was_lost(2, 3, GCS_DISSEMINATION_RING);
        waits_for_what_was_lost(1, 3, GCS_DISSEMINATION_FANOUT);
        waits_for_what_was_lost(1, 3, GCS_DISSEMINATION_AUTO);
}

/* Commits ride on proposals, and many are in flight: the cost of a message falls as load grows. */
static void test_batches(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a");
        unsigned before = c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE];

        for (unsigned i = 0; i < 100; i++)
                send(a);
        settle_live(c);
        g_assert_cmpuint(n_messages(a, a->client), ==, 100);
        g_assert_cmpuint(c->nodes[1].n_sent[GCS_MESSAGE_PROPOSE] - before, <=, 8);
}

static void lost_once(GcsMessageType type, uint32_t from, uint32_t to, GcsDissemination dissemination) {
        _cleanup_(cluster_freep) Cluster *c = three(dissemination);
        Actor *a = joined(c, 2, "shop", "a"), *b = joined(c, 3, "shop", "b");
        Loss l = { .type = type, .from = from, .to = to, .n = 1 };

        set_loss(c, &l);
        send(a);
        send(b);
        settle_live(c);
        g_assert_cmpuint(l.n_lost, ==, 1);
        g_assert_cmpuint(n_messages(b, a->client), ==, 1);
        g_assert_cmpuint(n_messages(a, b->client), ==, 1);
}

static void test_lost_is_sent_again(void) { /* C10 */
        lost_once(GCS_MESSAGE_SUBMIT, 2, 1, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_PROPOSE, 1, 2, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_PROPOSE, 2, 3, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_ACK, 3, 1, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_COMMIT, 1, 2, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_COMMIT, 2, 3, GCS_DISSEMINATION_RING);
        lost_once(GCS_MESSAGE_PROPOSE, 1, 3, GCS_DISSEMINATION_FANOUT);
        lost_once(GCS_MESSAGE_COMMIT, 1, 3, GCS_DISSEMINATION_FANOUT);
        lost_once(GCS_MESSAGE_ACK, 2, 1, GCS_DISSEMINATION_FANOUT);
        lost_once(GCS_MESSAGE_PROPOSE, 1, 3, GCS_DISSEMINATION_AUTO);
        lost_once(GCS_MESSAGE_COMMIT, 1, 3, GCS_DISSEMINATION_AUTO);
        lost_once(GCS_MESSAGE_ACK, 2, 1, GCS_DISSEMINATION_AUTO);
}

/* ---- Nodes fail ---- */

static void test_initiator_queued(void) { /* C13 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");
        Loss l = { .type = GCS_MESSAGE_SUBMIT, .n = 1000 };

        set_loss(c, &l);
        for (unsigned i = 0; i < 5; i++)
                send(b);
        cluster_run(c, 5 * USEC_PER_MSEC);
        cluster_crash(c, 3);
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        settle_live(c);
        g_assert_cmpuint(n_messages(a, b->client), ==, 0);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_NODE_LOST);
        g_assert_cmpuint(told(a, 0)->nodes, ==, node_set_of(1) | node_set_of(2));
}

static void test_initiator_proposed(void) { /* C14 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *d = joined(c, 2, "shop", "d"), *b = joined(c, 3, "shop", "b");

        send(b);
        cluster_run(c, 150); /* proposed by 1, on its way to 2 */
        cluster_crash(c, 3);
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        settle_live(c);

        /* All survivors deliver it, before the membership without the initiator. */
        g_assert_cmpint(told(a, 0)->type, ==, GCS_EFFECT_VIEW);
        g_assert_cmpint(told(a, 0)->reason, ==, GCS_REASON_NODE_LOST);
        g_assert_cmpint(told(a, 1)->type, ==, GCS_EFFECT_MESSAGE);
        g_assert_cmpuint(n_messages(d, b->client), ==, 1);
}

typedef struct Fate {
        unsigned n_runs, n_delivered, n_resubmitted;
} Fate;

/* The coordinator dies so many microseconds after two messages were sent, its own proposals being lost or
 * not. */
static void coordinator_dies(uint64_t after_usec, bool lost, Fate *fate) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d = joined(c, 3, "shop", "d");
        Loss l = { .type = GCS_MESSAGE_PROPOSE, .from = 1, .n = 1000 };
        unsigned of_a;

        if (lost)
                set_loss(c, &l);
        send(b);
        send(a);
        cluster_run(c, after_usec);
        cluster_crash(c, 1);
        cluster_propose(c, node_set_of(2) | node_set_of(3));
        settle_live(c);

        /* The survivor's message arrives once in any case, by the old coordinator or the new one; the dead
         * one's at all or at none. */
        of_a = n_messages(b, a->client);
        g_assert_cmpuint(n_messages(b, b->client), ==, 1);
        g_assert_cmpuint(n_messages(d, b->client), ==, 1);
        g_assert_cmpuint(n_messages(d, a->client), ==, of_a);
        fate->n_runs++;
        fate->n_delivered += of_a > 0;
        fate->n_resubmitted += told(b, 0)->type == GCS_EFFECT_MESSAGE;
}

static void test_coordinator(void) { /* C15 */
        Fate fate = {};

        for (uint64_t after = 50; after <= 850; after += 50) {
                coordinator_dies(after, false, &fate);
                coordinator_dies(after, true, &fate);
        }
        /* The crash points do differ. */
        g_assert_cmpuint(fate.n_delivered, >, 0);
        g_assert_cmpuint(fate.n_delivered, <, fate.n_runs);
        g_assert_cmpuint(fate.n_resubmitted, >, 0);
        g_assert_cmpuint(fate.n_resubmitted, <, fate.n_runs);
}

static void test_participant(void) { /* C16 */
        for (uint64_t after = 50; after <= 850; after += 50) {
                _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
                Actor *a = joined(c, 1, "shop", "a"), *d = joined(c, 3, "shop", "d");

                send(a);
                send(d);
                cluster_run(c, after);
                cluster_crash(c, 2);
                cluster_propose(c, node_set_of(1) | node_set_of(3));
                settle_live(c);
                g_assert_cmpuint(n_messages(a, d->client), ==, 1);
                g_assert_cmpuint(n_messages(d, a->client), ==, 1);
        }
}

static void test_one_change_per_group(void) { /* C18 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "one", "a"), *b = joined(c, 2, "two", "b");
        unsigned views_a, views_b;

        for (unsigned i = 0; i < 3; i++) {
                char name[8];

                (void) g_snprintf(name, sizeof(name), "m%u", i);
                (void) joined(c, 3, "one", name);
                (void) joined(c, 3, "two", name);
        }
        settle(c);
        views_a = n_views(a);
        views_b = n_views(b);
        cluster_crash(c, 3);
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        settle_live(c);
        g_assert_cmpuint(n_views(a), ==, views_a + 1);
        g_assert_cmpuint(n_views(b), ==, views_b + 1);
        g_assert_cmpuint(told(a, 0)->n_left, ==, 3);
        g_assert_cmpuint(told(a, 0)->n_members, ==, 1);
}

/* R5, R4: a minority is told, delivers nothing, and joins afresh; its own part of the order is void. */
static void test_minority(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d = joined(c, 3, "shop", "d");
        unsigned n;

        for (uint32_t id = 1; id <= 2; id++)
                c->cut[id][3] = c->cut[3][id] = true;
        cluster_propose(c, node_set_of(3));
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        cluster_run(c, SECOND);
        g_assert_true(d->frozen);
        send(d); /* taken, and lost with the rest */
        send(a);
        n = d->told->len;
        cluster_run(c, SECOND);
        g_assert_cmpuint(d->told->len, ==, n);
        g_assert_cmpuint(n_messages(b, a->client), ==, 1);
        g_assert_cmpint(told(b, 1)->reason, ==, GCS_REASON_NODE_LOST);

        for (uint32_t id = 1; id <= 2; id++)
                c->cut[id][3] = c->cut[3][id] = false;
        cluster_propose(c, ALL3);
        settle_live(c);
        g_assert_cmpuint(d->n_shut_out, ==, 1);
        g_assert_cmpuint(d->n_snapshots, ==, 2);
        g_assert_cmpuint(a->n_shut_out + b->n_shut_out, ==, 0);
        g_assert_cmpuint(n_messages(a, d->client), ==, 0);
        g_assert_cmpuint(a->state, ==, d->state);
}

/* R4: the one who was away is senior, and yet the others' state survives. */
static void test_the_away_does_not_donate(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b");

        cluster_propose(c, node_set_of(2) | node_set_of(3));
        cluster_run(c, 100 * USEC_PER_MSEC);
        send(b);
        cluster_run(c, 100 * USEC_PER_MSEC);
        g_array_set_size(c->seniority, 0);
        cluster_propose(c, ALL3); /* node 1 leads again */
        settle_live(c);
        g_assert_cmpuint(a->n_shut_out, ==, 1);
        g_assert_cmpuint(b->n_shut_out, ==, 0);
        g_assert_cmpuint(n_messages(b, b->client), ==, 1);
        g_assert_cmpuint(a->n_requests, ==, 1); /* when b joined */
        g_assert_cmpuint(b->n_requests, ==, 1);
}

/* A state that takes several messages, and one of them is lost; and the membership changes meanwhile. */
static void test_large_state(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Loss loss = { .type = GCS_MESSAGE_FLUSH_STATE };
        const GcsMember *members;
        const char *group;
        char name[16];
        Actor *d;

        for (unsigned i = 0; i < 2 * GCS_RECORDS_MAX; i++) {
                (void) g_snprintf(name, sizeof(name), "m%u", i);
                (void) joined(c, 1 + i % 2, i % 3 == 0 ? "shop" : "bank", name);
        }
        cluster_crash(c, 3);
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        cluster_run(c, 100 * USEC_PER_MSEC);
        cluster_start(c, 3);
        set_loss(c, &loss);
        cluster_propose(c, ALL3);
        while (gcs_get_group(c->nodes[3].core, 0, &group, &members) == 0)
                cluster_run(c, 20);
        loss.n = 1;
        while (loss.n_lost == 0)
                cluster_run(c, 20);
        cluster_propose(c, ALL3);
        cluster_run(c, SECOND);
        d = joined(c, 3, "shop", "d");
        g_assert_cmpuint(told(d, 0)->n_members, ==, 2 * GCS_RECORDS_MAX / 3 + 2);
        settle_live(c);
}

/* R4: all that know of the last membership were restarted: nobody's memory counts, a formation. */
static void test_formation(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a, *d = joined(c, 3, "shop", "d");
        GcsStatus s;

        c->cut[1][3] = c->cut[3][1] = c->cut[2][3] = c->cut[3][2] = true;
        cluster_propose(c, node_set_of(1) | node_set_of(2));
        cluster_run(c, 100 * USEC_PER_MSEC);
        cluster_crash(c, 1);
        cluster_crash(c, 2);
        c->cut[1][3] = c->cut[3][1] = c->cut[2][3] = c->cut[3][2] = false;
        cluster_start(c, 1);
        cluster_start(c, 2);
        cluster_propose(c, ALL3);
        cluster_run(c, 100 * USEC_PER_MSEC);
        a = joined(c, 1, "shop", "a");
        settle_live(c);
        g_assert_cmpuint(d->n_shut_out, ==, 1);
        gcs_get_status(c->nodes[3].core, &s);
        g_assert_true(mid_equal(s.formation, s.mid));
        g_assert_true(mid_equal(a->formation, s.mid));
}

/* R4: a node whose write does not come back is waited for, and nothing of the flush is delivered meanwhile.
 */
static void test_stored_before_acknowledged(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a");
        unsigned n;

        c->nodes[2].store_stuck = true;
        n = a->told->len;
        cluster_propose(c, ALL3);
        cluster_run(c, SECOND);
        g_assert_cmpuint(a->told->len, ==, n);
        g_assert_true(a->frozen);
        g_assert_true(node_set_contains(c->nodes[1].stalled, 2));
        c->nodes[2].store_stuck = false;
        settle_live(c);
        g_assert_cmpuint(a->told->len, ==, n + 1);
        g_assert_false(a->frozen);
}

/* ---- Snapshots ---- */

static void test_newcomer_under_load(void) { /* C22 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d = NULL;

        for (unsigned i = 0; i < 200; i++) {
                (void) actor_send(a, 100);
                (void) actor_send(b, 100);
                if (i == 60)
                        d = cluster_join(c, 3, "shop", "d", GCS_JOIN_SNAPSHOT);
                cluster_run(c, 200);
        }
        settle_live(c);
        g_assert_cmpuint(d->n_snapshots, ==, 1);
        g_assert_cmpuint(a->n_requests, ==, 2); /* the oldest: for b, and for d */
        g_assert_cmpuint(b->n_requests, ==, 0);
        g_assert_cmpuint(n_messages(d, a->client), >, 0);
        g_assert_cmpuint(d->state, ==, a->state);
}

static void test_donor_dies(void) { /* C22 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 2, "shop", "b"), *d;
        Loss l = { .type = GCS_MESSAGE_SNAPSHOT, .from = 1, .n = 1000 };

        set_loss(c, &l);
        d = cluster_join(c, 3, "shop", "d", GCS_JOIN_SNAPSHOT);
        cluster_run(c, 50 * USEC_PER_MSEC);
        for (unsigned i = 0; i < 5; i++)
                send(b);
        cluster_run(c, 50 * USEC_PER_MSEC);
        g_assert_false(d->has_state);
        g_assert_cmpuint(d->held->len, ==, 5);
        cluster_crash(c, 1);
        cluster_propose(c, node_set_of(2) | node_set_of(3));
        settle_live(c);
        g_assert_true(a->dead);
        g_assert_cmpuint(b->n_requests, ==, 1);
        g_assert_cmpuint(d->n_snapshots, ==, 1);
        g_assert_cmpuint(n_messages(d, b->client), ==, 0); /* they are in the snapshot */
        g_assert_cmpuint(d->state, ==, b->state);
}

static void test_nobody_donates(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *d, *e;
        Loss l = { .type = GCS_MESSAGE_SNAPSHOT, .from = 1, .n = 1000 };

        set_loss(c, &l);
        d = cluster_join(c, 3, "shop", "d", GCS_JOIN_SNAPSHOT);
        e = cluster_join(c, 2, "shop", "e", GCS_JOIN_SNAPSHOT);
        cluster_run(c, 50 * USEC_PER_MSEC);
        actor_die(a, GCS_REASON_EXITED);
        settle_live(c);
        g_assert_true(d->has_state);
        g_assert_cmpuint(d->n_requests, ==, 1);
        g_assert_cmpuint(e->n_snapshots, ==, 1);
        g_assert_cmpuint(d->state, ==, e->state);
}

/* ---- Flow ---- */

static void test_window(void) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 2, "shop", "a");
        unsigned n = 0;

        while (actor_send(a, 10) == GCS_VERDICT_QUEUED)
                n++;
        g_assert_cmpuint(n, ==, 128);
        g_assert_true(a->blocked);
        settle_live(c);
        g_assert_false(a->blocked);
        g_assert_cmpuint(n_messages(a, a->client), ==, 128);
        send(a);
        settle_live(c);
}

static void test_slow_member(void) { /* C21 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");
        Actor *other = joined(c, 1, "other", "o");
        unsigned n = 0;

        b->stopped_reading = true;
        for (unsigned i = 0; i < 4000; i++) {
                n += actor_send(a, 100) == GCS_VERDICT_QUEUED;
                (void) actor_send(other, 100);
                cluster_run(c, 500);
        }
        /* Its senders wait; what it has not taken is bounded; other groups go on. */
        g_assert_true(a->blocked);
        g_assert_cmpuint(n, <, 512 + 3 * 128);
        g_assert_cmpuint(b->n_unread, <, 512 + 3 * 128);
        g_assert_cmpuint(n_messages(other, other->client), >, 2000);
        g_assert_false(b->expelled);

        actor_read(b);
        cluster_run(c, SECOND);
        g_assert_false(a->blocked);
        send(a);
        settle_live(c);
        g_assert_cmpuint(n_messages(b, a->client), ==, n + 1);
}

static void stalls(unsigned flags, bool reset) {
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = cluster_join(c, 3, "shop", "b", flags);

        cluster_run(c, 50 * USEC_PER_MSEC);
        b->stopped_reading = true;
        for (unsigned i = 0; i < 8000 && !b->expelled; i++) {
                (void) actor_send(a, 100);
                cluster_run(c, USEC_PER_MSEC);
        }
        g_assert_true(b->expelled);
        g_assert_true(c->nodes[3].reset == reset);
        settle_live(c);
        g_assert_false(a->blocked);
        for (unsigned i = 0; told(a, i)->type != GCS_EFFECT_VIEW; i++)
                g_assert_cmpuint(i, <, 1000);
        send(a);
        settle_live(c);
}

static void test_stalled_member(void) { /* C21, R16 */
        stalls(0, false);
        stalls(GCS_JOIN_CRITICAL, true);
}

/* A message now and then is as good as none: the group waits all the same. */
static void test_trickling_member(void) { /* C21 */
        _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
        Actor *a = joined(c, 1, "shop", "a"), *b = joined(c, 3, "shop", "b");

        b->stopped_reading = true;
        for (unsigned i = 0; i < 8000 && !b->expelled; i++) {
                (void) actor_send(a, 100);
                cluster_run(c, USEC_PER_MSEC);
                if (i % 1000 == 999 && b->n_unread > 0) {
                        b->n_unread--;
                        b->unread_bytes -= 100;
                        cluster_feed(c,
                                     3,
                                     (GcsEvent){ .type = GCS_EVENT_CONSUMED,
                                                 .consumed = { b->client, 1, 100 } });
                }
        }
        g_assert_true(b->expelled);
        settle_live(c);
        g_assert_false(a->blocked);
}

/* ---- With real agreement ---- */

static bool flush_is_being_written(const Both *x, uint32_t node) {
        const WorldStore *s = &x->w->nodes[node - 1].store;
        const Membership *m = cms_membership(x->s->nodes[node - 1].cms);
        Mid history;

        memcpy(&history, s->writing[WORLD_GCS].data, sizeof(history));
        return s->busy && m && mid_equal(history, m->mid);
}

/* R3: the disk of node 3 goes bad when node 2 is lost: the new membership is agreed upon, and only its flush
 * is still to be written. */
static void goes_bad_before_the_flush(bool hung) {
        ClusterConfig config = { .seed = 1, .n_nodes = 5 };
        Both *x = both_new(1, 5);
        const NodeSet rest = node_set_of(1) | node_set_of(4) | node_set_of(5), all = rest | node_set_of(3);
        Actor *a, *b;

        x->w->tracing = true;
        both_set_cluster(x, &config);
        for (uint32_t id = 1; id <= 5; id++)
                world_start(x->w, id, true);
        both_run(x, 2 * SECOND);
        g_assert_true(cluster_is_active(x->c, all | node_set_of(2)));
        a = cluster_join(x->c, 1, "shop", "a", GCS_JOIN_SNAPSHOT);
        b = cluster_join(x->c, 4, "shop", "b", GCS_JOIN_SNAPSHOT);
        both_run(x, SECOND);
        g_assert_true(a->member && b->member);

        world_crash(x->w, 2, true);
        for (unsigned i = 0; cms_membership(x->s->nodes[2].cms)->members != all; i++) {
                g_assert_cmpuint(i, <, 100000);
                both_run(x, 10);
        }
        if (hung)
                while (!flush_is_being_written(x, 3))
                        both_run(x, 10);
        world_disk(x->w, 3, !hung, hung);
        both_run(x, 2 * SECOND);
        g_assert_true(cms_sim_is_settled(x->w, x->s, rest));
        g_assert_true(cluster_is_active(x->c, rest));
        g_assert_cmpint(membership_node(cms_membership(x->s->nodes[0].cms), 3)->reason,
                        ==,
                        NODE_REASON_NO_ANSWER);
        g_assert_cmpint(actor_send(a, 10), ==, GCS_VERDICT_QUEUED);
        both_run(x, SECOND);
        g_assert_cmpuint(a->n_seen, ==, 1);

        /* It comes back by itself. */
        world_disk(x->w, 3, false, false);
        both_run(x, 2 * SECOND);
        g_assert_true(cms_sim_is_settled(x->w, x->s, all));
        g_assert_true(cluster_is_active(x->c, all));
        both_end(x);
}

static void test_disk_goes_bad_before_the_flush(void) {
        goes_bad_before_the_flush(false);
        goes_bad_before_the_flush(true);
}

static void test_same_seed_same_story(void) {
        uint64_t story[2];

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(cluster_freep) Cluster *c = three(GCS_DISSEMINATION_RING);
                Actor *a = joined(c, 1, "shop", "a");

                send(a);
                settle_live(c);
                story[i] = c->story;
        }
        g_assert_cmpuint(story[0], ==, story[1]);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/gcs/members/join-and-clean-leave-are-seen", test_join_and_leave);
        g_test_add_func("/gcs/members/death-is-seen-with-its-reason", test_death_has_a_reason);
        g_test_add_func("/gcs/members/critical-unregisters-without-reset", test_critical_leaves_in_peace);
        g_test_add_func("/gcs/members/successor-joins-afresh", test_successor);
        g_test_add_func("/gcs/members/several-groups", test_several_groups);
        g_test_add_func("/gcs/members/refusals", test_refusals);

        g_test_add_func("/gcs/order/concurrent-senders-one-order", test_concurrent_senders);
        g_test_add_func("/gcs/order/nothing-before-everybody-has-it", test_everybody_first);
        g_test_add_func("/gcs/order/around-the-ring", test_around_the_ring);
        g_test_add_func("/gcs/order/kept-until-committed-everywhere", test_kept_until_committed_everywhere);
        g_test_add_func("/gcs/order/nobody-ends-a-message", test_nobody_ends_a_message);
        g_test_add_func("/gcs/order/fanout", test_fanout);
        g_test_add_func("/gcs/order/auto", test_auto);
        g_test_add_func("/gcs/order/batches", test_batches);
        g_test_add_func("/gcs/order/what-comes-meanwhile-goes-as-one", test_what_comes_meanwhile);
        g_test_add_func("/gcs/order/what-waits-shows-what-was-lost", test_waits_for_what_was_lost);
        g_test_add_func("/gcs/order/lost-is-sent-again", test_lost_is_sent_again);

        g_test_add_func("/gcs/flush/initiator-crash-queued", test_initiator_queued);
        g_test_add_func("/gcs/flush/initiator-crash-proposed", test_initiator_proposed);
        g_test_add_func("/gcs/flush/coordinator-crash", test_coordinator);
        g_test_add_func("/gcs/flush/participant-crash", test_participant);
        g_test_add_func("/gcs/flush/one-change-per-group", test_one_change_per_group);
        g_test_add_func("/gcs/flush/minority-delivers-nothing", test_minority);
        g_test_add_func("/gcs/flush/the-away-does-not-donate", test_the_away_does_not_donate);
        g_test_add_func("/gcs/flush/large-state", test_large_state);
        g_test_add_func("/gcs/flush/formation", test_formation);
        g_test_add_func("/gcs/flush/stored-before-acknowledged", test_stored_before_acknowledged);
        g_test_add_func("/gcs/flush/disk-goes-bad-before-it", test_disk_goes_bad_before_the_flush);

        g_test_add_func("/gcs/snapshot/newcomer-under-load", test_newcomer_under_load);
        g_test_add_func("/gcs/snapshot/donor-dies", test_donor_dies);
        g_test_add_func("/gcs/snapshot/nobody-donates", test_nobody_donates);

        g_test_add_func("/gcs/flow/window", test_window);
        g_test_add_func("/gcs/flow/slow-member-slows-its-senders", test_slow_member);
        g_test_add_func("/gcs/flow/stalled-member-is-expelled", test_stalled_member);
        g_test_add_func("/gcs/flow/trickling-member-is-expelled", test_trickling_member);

        g_test_add_func("/gcs/simulator/same-seed-same-story", test_same_seed_same_story);

        return g_test_run();
}
