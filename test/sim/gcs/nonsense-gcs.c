/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A peer that lies, or is of a build gone wrong, must not be able to end this hagcd, for that resets the
 * node: what makes no sense is counted and dropped. What is delivered then is another matter, so only the
 * core's asserts count here. */

#include <glib.h>

#include "basic/prng.h"
#include "gcs/gcs-internal.h"

#define NODES 3U
#define STEPS 20000U

static Membership membership(uint64_t epoch, unsigned senior) {
        Membership m = {
                .mid = { epoch, 1 },
                .quorate = true,
                .members = 7,
                .n_members = NODES,
                .configured = 7,
        };

        for (unsigned i = 0; i < NODES; i++) {
                m.rank[i] = (uint8_t) (1 + (senior + i) % NODES);
                m.nodes[i] = (MembershipNode){ .state = NODE_UP, .incarnation = 100 + i + 1 };
        }
        return m;
}

typedef struct Liar {
        Prng prng;
        Gcs *core;
        uint64_t now_usec, epoch, number;
        uint64_t next[NODES + 1]; /* number that a node's next item may well have */
        Membership membership;
        Buffer *payload;
        GcsMessage message;
} Liar;

/* Near the truth, so that something of it gets through the first checks. */
static uint64_t near_value(Liar *l) {
        GcsStatus s;

        gcs_get_status(l->core, &s);
        switch (prng_below(&l->prng, 6)) {
        case 0:
                return prng_u64(&l->prng) >> prng_below(&l->prng, 64);
        case 1:
                return s.delivered + prng_below(&l->prng, 3);
        case 2:
                return s.commit + prng_below(&l->prng, 3);
        default:
                return s.held + prng_below(&l->prng, 3);
        }
}

static uint32_t any_node(Liar *l) {
        return (uint32_t) prng_between(&l->prng, 1, NODES);
}

static GcsItem any_item(Liar *l) {
        uint32_t node = any_node(l);
        GcsItem i = {
                .type = (GcsItemType) prng_between(&l->prng, GCS_ITEM_MESSAGE, GCS_ITEM_READY),
                .node = node,
                .incarnation = 100 + node,
                .number = prng_one_in(&l->prng, 20) ? prng_below(&l->prng, 20) : ++l->next[node],
                .member = prng_below(&l->prng, 6),
                .group = (uint8_t) prng_below(&l->prng, 3),
        };

        switch (i.type) {
        case GCS_ITEM_MESSAGE:
                i.message.payload = slice_of(l->payload);
                break;
        case GCS_ITEM_JOIN:
                (void) g_snprintf(
                                i.join.group_name,
                                sizeof(i.join.group_name),
                                "g%u",
                                (unsigned) prng_below(&l->prng, 3));
                (void) g_snprintf(
                                i.join.member_name,
                                sizeof(i.join.member_name),
                                "m%u",
                                (unsigned) prng_below(&l->prng, 3));
                i.join.flags = (uint8_t) prng_below(&l->prng, GCS_JOIN_FLAGS + 1U);
                break;
        case GCS_ITEM_LEAVE:
                i.leave.reason = (GcsReason) prng_below(&l->prng, GCS_REASON_LAST + 1U);
                break;
        case GCS_ITEM_READY:
                i.ready.point = near_value(l);
                break;
        case GCS_ITEM_NODE_CHANGE:
                g_assert_not_reached();
        }
        return i;
}

static GcsNodeChange any_change(Liar *l) {
        return (GcsNodeChange){
                .membership = l->membership,
                .formation = { prng_below(&l->prng, 3), 1 },
                .survivors = prng_below(&l->prng, 8),
        };
}

static void any_order(Liar *l, GcsMessage *m) {
        m->order.fanout = prng_one_in(&l->prng, 2);
        m->order.commit = near_value(l);
        m->order.settled = MIN(m->order.commit, near_value(l));
        m->order.slow = prng_one_in(&l->prng, 8) ? prng_u64(&l->prng) : 0;
        m->order.first = MAX(near_value(l) & (UINT64_MAX >> 1), UINT64_C(1));
        m->order.n_items = m->type == GCS_MESSAGE_COMMIT ? 0 : (uint32_t) prng_between(&l->prng, 1, 5);
        for (uint32_t i = 0; i < m->order.n_items; i++)
                m->order.items[i] = any_item(l);
        if (m->type == GCS_MESSAGE_FLUSH_ITEMS && prng_one_in(&l->prng, 3)) {
                m->change = any_change(l);
                m->order.items[m->order.n_items - 1] = (GcsItem){
                        .type = GCS_ITEM_NODE_CHANGE,
                        .node_change.change = &m->change,
                };
        }
}

static void any_state(Liar *l, GcsMessage *m) {
        m->state.delivered = near_value(l);
        m->state.first = 0;
        m->state.n_records = (uint32_t) prng_below(&l->prng, 5);
        m->state.total = m->state.n_records + (uint32_t) prng_one_in(&l->prng, 5);
        for (uint32_t i = 0; i < m->state.n_records; i++) {
                GcsRecord *r = &m->state.records[i];

                *r = (GcsRecord){ .type = GCS_RECORD_STREAM,
                                  .stream = { any_node(l), 100 + any_node(l), prng_below(&l->prng, 20) } };
                if (prng_one_in(&l->prng, 2))
                        continue;
                *r = (GcsRecord){
                        .type = GCS_RECORD_MEMBER,
                        .member = { .group = (uint8_t) prng_below(&l->prng, 3),
                                    .group_name = "g0",
                                    .member = { .id = { any_node(l), 101, prng_below(&l->prng, 5) },
                                                .seniority = near_value(l),
                                                .name = "m",
                                                .snapshot = true } },
                };
        }
}

static void any_message(Liar *l) {
        GcsMessage *m = &l->message;

        for (uint32_t id = 1; id <= NODES; id++)
                l->next[id] = l->core->proposed[id - 1].number;
        m->type = (GcsMessageType) prng_between(&l->prng, GCS_MESSAGE_SUBMIT, GCS_MESSAGE_TYPE_LAST);
        m->mid = l->membership.mid;
        switch (m->type) {
        case GCS_MESSAGE_SUBMIT:
        case GCS_MESSAGE_PROPOSE:
        case GCS_MESSAGE_COMMIT:
        case GCS_MESSAGE_FLUSH_ITEMS:
                any_order(l, m);
                break;
        case GCS_MESSAGE_ACK:
                m->ack.lap = prng_one_in(&l->prng, 2);
                m->ack.held = near_value(l);
                m->ack.committed = near_value(l);
                m->ack.slow = 0;
                break;
        case GCS_MESSAGE_RESEND:
                m->resend.first = near_value(l);
                break;
        case GCS_MESSAGE_FLUSH_INFO:
                m->info.history = (Mid){ prng_below(&l->prng, l->epoch + 2), 1 };
                m->info.formation = (Mid){ 1, 1 };
                m->info.memory = prng_one_in(&l->prng, 2);
                m->info.held = near_value(l);
                break;
        case GCS_MESSAGE_FLUSH_PLAN:
                m->change = any_change(l);
                m->plan.basis = (Mid){ prng_below(&l->prng, l->epoch + 1), 1 };
                m->plan.donor = (uint32_t) prng_below(&l->prng, NODES + 1);
                m->plan.held = m->plan.donor == 0 ? 0 : near_value(l) & (UINT64_MAX >> 1);
                break;
        case GCS_MESSAGE_FLUSH_FETCH:
                m->fetch.state = prng_one_in(&l->prng, 2);
                m->fetch.next = near_value(l);
                break;
        case GCS_MESSAGE_FLUSH_STATE:
                any_state(l, m);
                break;
        case GCS_MESSAGE_SNAPSHOT:
        case GCS_MESSAGE_SNAPSHOT_ACK:
                m->snapshot.newcomer =
                                (GcsMemberId){ any_node(l), 100 + any_node(l), prng_below(&l->prng, 6) };
                m->snapshot.point = near_value(l);
                m->snapshot.piece = (uint32_t) prng_below(&l->prng, 4);
                m->snapshot.last = prng_one_in(&l->prng, 2);
                m->snapshot.payload = slice_of(m->type == GCS_MESSAGE_SNAPSHOT ? l->payload : NULL);
                break;
        case GCS_MESSAGE_FLUSH_ASK:
        case GCS_MESSAGE_FLUSH_DONE:
                break;
        }
}

static void feed(Liar *l, GcsEvent e) {
        GcsEffects effects;

        e.now_usec = l->now_usec;
        gcs_step(l->core, &e, &effects);
        for (size_t i = 0; i < effects.n_effects; i++)
                if (effects.effects[i].type == GCS_EFFECT_STORE)
                        l->number = effects.effects[i].store.number;
}

static void one_step(Liar *l) {
        l->now_usec += prng_below(&l->prng, 2000);
        switch (prng_one_in(&l->prng, 2000) ? 0 : prng_between(&l->prng, 1, 24)) {
        case 0:
                l->membership = membership(++l->epoch, (unsigned) prng_below(&l->prng, NODES));
                feed(l, (GcsEvent){ .type = GCS_EVENT_STABLE, .stable.membership = &l->membership });
                break;
        case 1:
        case 2:
                feed(l, (GcsEvent){ .type = GCS_EVENT_STORED, .stored.number = l->number });
                break;
        case 3:
                feed(l, (GcsEvent){ .type = GCS_EVENT_TIMEOUT });
                break;
        case 4:
                feed(l,
                     (GcsEvent){ .type = GCS_EVENT_SEND,
                                 .send = { .client = prng_between(&l->prng, 1, 2),
                                           .payload = slice_of(l->payload) } });
                break;
        default:
                any_message(l);
                feed(l,
                     (GcsEvent){ .type = GCS_EVENT_RECEIVED,
                                 .received = { (uint32_t) prng_between(&l->prng, 2, NODES + 1),
                                               &l->message } });
                break;
        }
}

static void test_lies(void) {
        uint64_t n_delivered = 0;
        unsigned n_active = 0;

        for (uint64_t seed = 1; seed <= 60; seed++) {
                Liar *l = g_new0(Liar, 1);
                GcsStatus s;

                prng_init(&l->prng, seed);
                l->now_usec = 1;
                l->payload = buffer_new_copy("nonsense nonsense", 17);
                g_assert_cmpint(gcs_new(&(GcsConfig){ .node = 1, .incarnation = 101 }, &l->core), ==, 0);
                for (uint64_t client = 1; client <= 2; client++)
                        feed(l,
                             (GcsEvent){ .type = GCS_EVENT_REGISTER,
                                         .reg = { client, "g0", client == 1 ? "m0" : "m1", false, true } });
                for (unsigned i = 0; i < STEPS; i++)
                        one_step(l);
                gcs_get_status(l->core, &s);
                n_delivered += s.delivered < STEPS ? s.delivered : 0; /* a state may begin anywhere */
                n_active += s.active;
                l->core = gcs_free(l->core);
                /* Nobody holds on to what was sent. */
                g_assert_cmpuint(l->payload->n_ref, ==, 1);
                (void) buffer_unref(l->payload);
                g_free(l);
        }
        /* Some of it was good enough to get somewhere. */
        g_test_message("%" G_GUINT64_FORMAT " items delivered, %u active in the end", n_delivered, n_active);
        g_assert_cmpuint(n_delivered, >, 100);
        g_assert_cmpuint(n_active, >, 5);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/gcs/nonsense/of-a-peer-ends-nobody", test_lies);
        return g_test_run();
}
