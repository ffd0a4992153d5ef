/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/gcs/both.h"

#include <inttypes.h>

#define TURN_USEC (10 * USEC_PER_MSEC)
#define CLIENTS_MAX 12U /* at a time: what one of them is told, all are */
#define CLIENTS_PER_NODE 2U
#define PRNG_MARK UINT64_C(0x626f746820636f72)

static Both *both_of(const Cluster *c) {
        return c->ops_data;
}

/* ---- What the cluster of GCS cores lives in ---- */

/* As in the daemon, bulk goes over one link: the first that works both ways. */
static void ops_send(Cluster *c, uint32_t from, NodeSet to, const void *data, size_t size_bytes) {
        World *w = both_of(c)->w;

        for (unsigned link = 0; link < w->n_links && to != NODE_SET_EMPTY; link++) {
                NodeSet reached = link + 1 == w->n_links ? to : to & ~w->cut[link][from - 1];

                if (link + 1 < w->n_links)
                        NODE_SET_FOREACH(id, reached)
                                if (id > w->n_nodes || world_is_dead(w, from, id, link) ||
                                    world_is_dead(w, id, from, link))
                                        node_set_remove(&reached, id);

                if (reached != NODE_SET_EMPTY)
                        world_send_link(w, from, reached, link, WORLD_GCS, data, size_bytes);
                to = node_set_minus(to, reached);
        }
}

/* As in the daemon: the core of membership has it written, once it is done with its own step. */
static void write_record(World *w, uint64_t node, uint64_t life, void *userdata) {
        Both *x = userdata;
        const WorldNode *n = &w->nodes[node - 1];

        if (!n->up || n->life != life)
                return;
        if (n->paused)
                world_at(w, w->now_usec + TURN_USEC, write_record, node, life, x);
        else
                cms_sim_feed(w,
                             x->s,
                             (uint32_t) node,
                             (CmsEvent){ .type = CMS_EVENT_STORE, .store = { x->history[node - 1] } });
}

static void ops_store(Cluster *c, uint32_t node, uint64_t number, Mid history) {
        Both *x = both_of(c);

        x->history[node - 1] = history;
        world_put(x->w, node, WORLD_GCS, number, &history, sizeof(history));
        world_at(x->w, x->w->now_usec, write_record, node, x->w->nodes[node - 1].life, x);
}

static void give(World *w, uint64_t client, uint64_t b, void *userdata) {
        Both *x = userdata;
        Actor *a = actor_find(x->c, client);

        if (a->dead || !w->nodes[a->node - 1].up)
                return;
        if (w->nodes[a->node - 1].paused)
                world_at(w, w->now_usec + TURN_USEC, give, client, 0, x);
        else
                actor_give(a);
}

static void ops_give(Cluster *c, uint32_t node, uint64_t client) {
        Both *x = both_of(c);

        world_at(x->w, x->w->now_usec + prng_below(&x->prng, 4000), give, client, 0, x);
}

static uint64_t ops_clock(Cluster *c, uint32_t node) {
        return world_clock(both_of(c)->w, node);
}

static void ops_stepped(Cluster *c, uint32_t node) {
        world_set_wakeup(both_of(c)->w, node, WORLD_GCS, gcs_wakeup_usec(c->nodes[node].core));
}

static bool ops_tracing(Cluster *c) {
        return both_of(c)->w->tracing;
}

static void ops_trace(Cluster *c, uint32_t node, const char *text) {
        world_trace(both_of(c)->w, node, "%s", text);
}

static void ops_fail(Cluster *c, const char *check, const char *text) {
        world_fail_at(both_of(c)->w, check, "%s", text);
}

/* As in the daemon: once both cores are done with their steps. */
typedef struct Stalled {
        Both *both;
        uint64_t life;
        NodeSet nodes;
} Stalled;

static void tell_stalled(World *w, uint64_t node, uint64_t b, void *userdata) {
        const Stalled *t = userdata;
        const WorldNode *n = &w->nodes[node - 1];

        if (n->up && n->life == t->life && !n->paused)
                cms_sim_feed(w,
                             t->both->s,
                             (uint32_t) node,
                             (CmsEvent){ .type = CMS_EVENT_STALLED, .stalled = { t->nodes } });
}

static void ops_stalled(Cluster *c, uint32_t node, NodeSet nodes) {
        Both *x = both_of(c);
        Stalled *t = malloc(sizeof(*t));

        assert(t);
        *t = (Stalled){ x, x->w->nodes[node - 1].life, nodes };
        world_at_owned(x->w, x->w->now_usec, tell_stalled, node, 0, t);
}

static const ClusterOps ops = {
        .send = ops_send,
        .store = ops_store,
        .give = ops_give,
        .clock = ops_clock,
        .stepped = ops_stepped,
        .tracing = ops_tracing,
        .trace = ops_trace,
        .stalled = ops_stalled,
        .fail = ops_fail,
};

/* ---- The actor ---- */

static void ask(World *w, uint64_t node, uint64_t life, void *userdata);

static void *actor_start(World *w, uint32_t node, void *userdata) {
        Both *x = userdata;
        const WorldPart *part = world_stored(w, node, WORLD_GCS);
        ClusterNode *n = &x->c->nodes[node];

        n->disk = MID_NONE;
        if (part)
                memcpy(&n->disk, part->data, sizeof(n->disk));
        n->incarnation = cms_sim_incarnation(w, node);
        cluster_start(x->c, node);
        world_at(w, w->now_usec + BOTH_ASK_USEC, ask, node, w->nodes[node - 1].life, x);
        return x;
}

static void actor_stop(World *w, uint32_t node, void *state, void *userdata) {
        cluster_crash(((Both *) userdata)->c, node);
}

static void
actor_received(World *w,
               uint32_t node,
               void *state,
               uint32_t from,
               unsigned link,
               WorldPayload *payload,
               void *userdata) {
        static GcsMessage message;
        Both *x = userdata;
        _cleanup_(buffer_unrefp) Buffer *b = NULL;

        /* Nobody of another version was ever in one membership with us: it is a late one, of a former life.
         */
        if (payload->version != w->nodes[node - 1].version)
                return;
        b = buffer_new_copy(payload->data, payload->size_bytes);
        if (gcs_message_decode(b, 0, payload->size_bytes, &message) < 0)
                world_fail(w, "n%" PRIu32 " cannot decode what n%" PRIu32 " sent", node, from);
        else
                cluster_feed(x->c,
                             node,
                             (GcsEvent){ .type = GCS_EVENT_RECEIVED, .received = { from, &message } });
}

static void actor_wakeup(World *w, uint32_t node, void *state, void *userdata) {
        cluster_feed(((Both *) userdata)->c, node, (GcsEvent){ .type = GCS_EVENT_TIMEOUT });
}

static void actor_stored(World *w, uint32_t node, void *state, uint64_t number, bool ok, void *userdata) {
        if (ok)
                cluster_feed(((Both *) userdata)->c,
                             node,
                             (GcsEvent){ .type = GCS_EVENT_STORED, .stored.number = number });
}

static const WorldActor gcs_actor = {
        .start = actor_start,
        .stop = actor_stop,
        .received = actor_received,
        .wakeup = actor_wakeup,
        .stored = actor_stored,
};

static void tell_gcs(Both *x, uint32_t node, const CmsNotification *n) {
        switch (n->type) {
        case CMS_NOTIFICATION_TRANSITION:
                cluster_feed(x->c, node, (GcsEvent){ .type = GCS_EVENT_TRANSITION });
                break;
        case CMS_NOTIFICATION_NODE:
                if (n->node.change != CMS_NODE_CONFIRMED)
                        cluster_feed(x->c,
                                     node,
                                     (GcsEvent){ .type = GCS_EVENT_NODE,
                                                 .node = { n->node.node,
                                                           n->node.change == CMS_NODE_COMING } });
                break;
        case CMS_NOTIFICATION_STABLE:
                if (n->stable->quorate)
                        g_hash_table_add(
                                        x->c->quorate,
                                        g_strdup_printf("%" PRIu64 ".%u",
                                                        n->stable->mid.epoch,
                                                        n->stable->mid.node));
                cluster_feed(x->c,
                             node,
                             (GcsEvent){ .type = GCS_EVENT_STABLE, .stable.membership = n->stable });
                break;
        }
}

static void on_notification(World *w, uint32_t node, const CmsNotification *n, void *userdata) {
        Both *x = userdata;

        if (!x->lose || !x->lose(x, node, n))
                tell_gcs(x, node, n);
}

static void ask(World *w, uint64_t node, uint64_t life, void *userdata) {
        Both *x = userdata;
        CmsNotification n;

        if (!w->nodes[node - 1].up || w->nodes[node - 1].life != life || x->asks_not)
                return;
        if (!w->nodes[node - 1].paused) {
                cms_ask(x->s->nodes[node - 1].cms, &n);
                tell_gcs(x, (uint32_t) node, &n);
        }
        world_at(w, w->now_usec + BOTH_ASK_USEC, ask, node, life, x);
}

/* ---- Clients ---- */

static bool runs(const Both *x, uint32_t node) {
        return x->w->nodes[node - 1].up && !x->w->nodes[node - 1].paused;
}

static void client_turn(Both *x, Actor *a) {
        if (!a->blocked && prng_one_in(&x->prng, x->busy))
                for (uint64_t n = prng_below(&x->prng, x->burst + 1); n > 0; n--)
                        if (actor_send(a, prng_below(&x->prng, 300)) != GCS_VERDICT_QUEUED)
                                break;
        if (x->peace || !prng_one_in(&x->prng, x->churn))
                return;
        if (prng_one_in(&x->prng, 2))
                actor_leave(a);
        else
                actor_die(a, GCS_REASON_EXITED);
}

static bool wants_client(Both *x, uint32_t node, unsigned n_there, unsigned n_all) {
        return node_set_contains(x->s->config.enabled, node) && runs(x, node) &&
               n_there < CLIENTS_PER_NODE && n_all < CLIENTS_MAX && prng_one_in(&x->prng, 6);
}

static void turn(World *w, uint64_t a, uint64_t b, void *userdata) {
        Both *x = userdata;
        Cluster *c = x->c;
        unsigned n[CLUSTER_NODES_MAX + 1] = { 0 }, n_all = 0;

        c->now_usec = w->now_usec;
        cluster_bury(c);
        for (unsigned i = 0; i < c->living->len && !c->failure; i++) {
                Actor *actor = c->living->pdata[i];

                if (actor->dead)
                        continue;
                n[actor->node]++;
                n_all++;
                if (actor->member && runs(x, actor->node) && !x->quiet)
                        client_turn(x, actor);
        }
        for (uint32_t id = 1; id <= w->n_nodes && !x->quiet; id++)
                if (wants_client(x, id, n[id], n_all)) {
                        char name[16];

                        n_all++;
                        (void) g_snprintf(name, sizeof(name), "m%u", x->n_names++);
                        (void) cluster_join(
                                        c,
                                        id,
                                        prng_one_in(&x->prng, 2) ? "g0" : "g1",
                                        name,
                                        GCS_JOIN_SNAPSHOT);
                }
        world_at(w, w->now_usec + x->turn_usec, turn, 0, 0, x);
}

void both_live(Both *x) {
        world_at(x->w, x->w->now_usec, turn, 0, 0, x);
}

void both_judge(Both *x, NodeSet set, bool all) {
        if (!x->w->failed && set != NODE_SET_EMPTY && !cluster_is_active(x->c, set))
                cluster_fail(x->c, "one membership, and messages do not flow in it");
        if (!x->w->failed)
                history_check(x->c);
        if (!x->w->failed && all)
                history_check_live(x->c);
}

Both *both_new(uint64_t seed, unsigned n_nodes) {
        Both *x = g_new0(Both, 1);

        prng_init(&x->prng, seed ^ PRNG_MARK);
        x->w = world_new(seed, n_nodes, 2);
        x->s = cms_sim_new(x->w, 100 * USEC_PER_MSEC, 400 * USEC_PER_MSEC);
        cms_sim_init_stores(x->w, x->s);
        return x;
}

void both_set_cluster(Both *x, const ClusterConfig *config) {
        x->c = cluster_new(config);
        x->c->ops = &ops;
        x->c->ops_data = x;
        world_set_actor(x->w, WORLD_GCS, &gcs_actor, x);
        x->s->listener = on_notification;
        x->s->listener_userdata = x;
}

Both *both_attach(World *w, CmsSim *s, uint64_t seed) {
        ClusterConfig config = { .seed = seed, .n_nodes = w->n_nodes };
        Both *x = g_new0(Both, 1);

        prng_init(&x->prng, seed ^ PRNG_MARK);
        x->w = w;
        x->s = s;
        config.core.dissemination = (GcsDissemination) prng_between(
                        &x->prng, GCS_DISSEMINATION_AUTO, GCS_DISSEMINATION_FANOUT);
        config.core.backlog_messages = 100000;
        config.core.silence_usec = s->config.failure_usec;
        x->busy = (unsigned) prng_between(&x->prng, 2, 20);
        x->burst = prng_one_in(&x->prng, 4) ? 10 : 2;
        x->churn = (unsigned) prng_between(&x->prng, 10, 100);
        x->turn_usec = prng_between(&x->prng, 50, 200) * USEC_PER_MSEC;
        both_set_cluster(x, &config);
        return x;
}

Both *both_free(Both *x) {
        if (!x)
                return NULL;
        (void) world_free(x->w);
        x->c->ops = NULL;
        (void) cluster_free(x->c);
        (void) cms_sim_free(x->s);
        g_free(x);
        return NULL;
}

void both_run(Both *x, uint64_t usec) {
        world_run_until(x->w, x->w->now_usec + usec);
        if (x->w->failed)
                world_print_trace(x->w, 200);
        g_assert_false(x->w->failed);
        x->c->now_usec = x->w->now_usec;
}

void both_end(Both *x) {
        history_check(x->c);
        g_assert_false(x->w->failed);
        (void) both_free(x);
}
