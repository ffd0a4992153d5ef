/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/gcs/both.h"

#include <inttypes.h>

#define FAULTS_USEC (8 * USEC_PER_SEC)
#define PEACE_USEC (60 * USEC_PER_SEC)
#define CALM_USEC (5 * USEC_PER_SEC)
#define TURN_USEC (10 * USEC_PER_MSEC)
#define CLIENTS_PER_NODE 2U
#define PRNG_MARK UINT64_C(0x626f746820636f72)

static Both *both_of(const Cluster *c) {
        return c->ops_data;
}

/* ---- What the cluster of GCS cores lives in ---- */

static void ops_send(Cluster *c, uint32_t from, NodeSet to, const void *data, size_t size_bytes) {
        world_send(both_of(c)->w, from, to, WORLD_GCS, data, size_bytes);
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
                cms_sim_feed(w, x->s, (uint32_t) node, (CmsEvent){ .type = CMS_EVENT_STORE });
}

static void ops_store(Cluster *c, uint32_t node, uint64_t number, Mid history) {
        Both *x = both_of(c);

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

static void ops_trace(Cluster *c, uint32_t node, const char *text) {
        if (both_of(c)->w->tracing)
                world_trace(both_of(c)->w, node, "%s", text);
}

static void ops_fail(Cluster *c, const char *text) {
        world_fail(both_of(c)->w, "%s", text);
}

static const ClusterOps ops = {
        .send = ops_send,
        .store = ops_store,
        .give = ops_give,
        .clock = ops_clock,
        .stepped = ops_stepped,
        .trace = ops_trace,
        .fail = ops_fail,
};

/* ---- The actor ---- */

static void *actor_start(World *w, uint32_t node, void *userdata) {
        Both *x = userdata;
        const WorldPart *part = world_stored(w, node, WORLD_GCS);
        ClusterNode *n = &x->c->nodes[node];

        n->disk = MID_NONE;
        if (part)
                memcpy(&n->disk, part->data, sizeof(n->disk));
        n->incarnation = cms_sim_incarnation(w, node);
        cluster_start(x->c, node);
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
               const void *data,
               size_t size_bytes,
               void *userdata) {
        static GcsMessage message;
        Both *x = userdata;
        _cleanup_(buffer_unrefp) Buffer *b = buffer_new_copy(data, size_bytes);

        if (gcs_message_decode(b, 0, size_bytes, &message) < 0)
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

static void on_notification(World *w, uint32_t node, const CmsNotification *n, void *userdata) {
        Both *x = userdata;

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

/* ---- Clients ---- */

static bool runs(const Both *x, uint32_t node) {
        return x->w->nodes[node - 1].up && !x->w->nodes[node - 1].paused;
}

static void client_turn(Both *x, Actor *a) {
        if (!a->blocked && prng_one_in(&x->prng, x->busy))
                for (uint64_t n = prng_below(&x->prng, 10); n > 0; n--)
                        if (actor_send(a, prng_below(&x->prng, 300)) != GCS_VERDICT_QUEUED)
                                break;
        if (x->peace || !prng_one_in(&x->prng, x->churn))
                return;
        if (prng_one_in(&x->prng, 2))
                actor_leave(a);
        else
                actor_die(a, GCS_REASON_EXITED);
}

static void turn(World *w, uint64_t a, uint64_t b, void *userdata) {
        Both *x = userdata;
        Cluster *c = x->c;
        unsigned n[CLUSTER_NODES_MAX + 1] = { 0 };

        c->now_usec = w->now_usec;
        for (unsigned i = 0; i < c->actors->len && !c->failure; i++) {
                Actor *actor = c->actors->pdata[i];

                if (actor->dead)
                        continue;
                n[actor->node]++;
                if (actor->member && runs(x, actor->node) && !x->quiet)
                        client_turn(x, actor);
        }
        for (uint32_t id = 1; id <= w->n_nodes && !x->quiet; id++)
                if (runs(x, id) && n[id] < CLIENTS_PER_NODE && prng_one_in(&x->prng, 6)) {
                        char name[16];

                        (void) g_snprintf(name, sizeof(name), "m%u", x->n_names++);
                        (void) cluster_join(
                                        c,
                                        id,
                                        prng_one_in(&x->prng, 2) ? "g0" : "g1",
                                        name,
                                        GCS_JOIN_SNAPSHOT);
                }
        world_at(w, w->now_usec + TURN_USEC, turn, 0, 0, x);
}

/* ---- Faults ---- */

static void start_again(World *w, uint64_t node, uint64_t boot, void *userdata) {
        if (!w->nodes[node - 1].up)
                world_start(w, (uint32_t) node, boot != 0);
}

static void resume(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_resume(w, (uint32_t) node);
}

static void mend_disk(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_disk(w, (uint32_t) node, false, false);
}

static void crash(Both *x, uint32_t node, uint64_t back_usec) {
        if (!x->w->nodes[node - 1].up)
                return;
        if (prng_one_in(&x->prng, 2))
                cms_sim_crash_with_gasp(x->w, x->s, node, prng_one_in(&x->prng, 2));
        else
                world_crash(x->w, node, prng_one_in(&x->prng, 2));
        world_at(x->w, x->w->now_usec + back_usec, start_again, node, prng_one_in(&x->prng, 2), x);
}

static void fault(World *w, uint64_t unused_a, uint64_t unused_b, void *userdata) {
        Both *x = userdata;
        uint32_t a = (uint32_t) prng_between(&x->prng, 1, w->n_nodes);
        NodeSet all = x->s->config.configured, some = prng_u64(&x->prng) & all, one = node_set_of(a);

        if (x->peace)
                return;
        switch (prng_below(&x->prng, 10)) {
        case 0:
        case 1:
                crash(x, a, prng_between(&x->prng, 20, 3000) * USEC_PER_MSEC);
                break;
        case 2:
                for (uint32_t id = 1; id <= w->n_nodes; id++)
                        if (prng_one_in(&x->prng, 2))
                                crash(x, id, prng_between(&x->prng, 10, 1500) * USEC_PER_MSEC);
                break;
        case 3:
                world_pause(w, a);
                world_at(w, w->now_usec + prng_between(&x->prng, 20, 2000) * USEC_PER_MSEC, resume, a, 0, x);
                break;
        case 4:
                world_cut(w, some, all & ~some, WORLD_ALL_LINKS);
                if (!prng_one_in(&x->prng, 4))
                        world_cut(w, all & ~some, some, WORLD_ALL_LINKS);
                break;
        case 5:
                world_cut(w, all, one, WORLD_ALL_LINKS);
                world_cut(w, one, all, WORLD_ALL_LINKS);
                break;
        case 6:
                world_disk(w, a, prng_one_in(&x->prng, 2), true);
                world_at(w,
                         w->now_usec + prng_between(&x->prng, 20, 2000) * USEC_PER_MSEC,
                         mend_disk,
                         a,
                         0,
                         x);
                break;
        default:
                world_heal_all(w);
                break;
        }
        world_at(w, w->now_usec + prng_between(&x->prng, 1, 2 * x->every_usec), fault, 0, 0, x);
}

static void calm_down(Both *x) {
        World *w = x->w;

        x->peace = true;
        world_trace(w, 0, "the faults stop");
        world_heal_all(w);
        w->knobs = (WorldKnobs){
                .delay_min_usec = 50,
                .delay_max_usec = 1000,
                .write_min_usec = 500,
                .write_max_usec = 5 * USEC_PER_MSEC,
        };
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                world_disk(w, id, false, false);
                world_resume(w, id);
                if (!w->nodes[id - 1].up)
                        world_start(w, id, true);
        }
}

static bool is_one(const Both *x) {
        return cms_sim_is_settled(x->w, x->s, x->s->config.enabled) &&
               cluster_is_active(x->c, x->s->config.enabled);
}

static void choose(Both *x, ClusterConfig *config, WorldKnobs *k) {
        Prng *p = &x->prng;

        if (prng_one_in(p, 2))
                k->loss_ppm = (unsigned) prng_below(p, 100000);
        if (prng_one_in(p, 2))
                k->duplicate_ppm = (unsigned) prng_below(p, 100000);
        if (prng_one_in(p, 3))
                k->delay_max_usec = prng_between(p, 1, 20) * USEC_PER_MSEC;
        if (prng_one_in(p, 3)) {
                k->write_slow_ppm = (unsigned) prng_below(p, 200000);
                k->write_slow_usec = prng_between(p, 10, 500) * USEC_PER_MSEC;
        }
        config->core.dissemination = prng_one_in(p, 2) ? GCS_DISSEMINATION_FANOUT : GCS_DISSEMINATION_RING;
        config->core.backlog_messages = 100000;
        x->busy = (unsigned) prng_between(p, 1, 20);
        x->churn = (unsigned) prng_between(p, 100, 1000);
        x->every_usec = prng_between(p, 50, 1500) * USEC_PER_MSEC;
}

static void live(Both *x) {
        World *w = x->w;
        uint64_t end;

        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (!prng_one_in(&x->prng, 8))
                        world_start(w, id, true);
        world_at(w, w->now_usec, turn, 0, 0, x);
        world_at(w, w->now_usec + USEC_PER_SEC, fault, 0, 0, x);
        world_run_until(w, w->now_usec + FAULTS_USEC);

        calm_down(x);
        end = w->now_usec + PEACE_USEC;
        while (!w->failed && w->now_usec < end && !cms_sim_is_settled(w, x->s, x->s->config.enabled))
                world_run_until(w, w->now_usec + 50 * USEC_PER_MSEC);
        world_run_until(w, w->now_usec + 2 * USEC_PER_SEC);
        x->quiet = true;
        world_run_until(w, w->now_usec + CALM_USEC);
        if (!w->failed && !is_one(x))
                cluster_fail(x->c, "not one and live in the end");
        history_check(x->c);
        if (!w->failed)
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

Both *both_free(Both *x) {
        (void) world_free(x->w);
        x->c->ops = NULL;
        (void) cluster_free(x->c);
        (void) cms_sim_free(x->s);
        g_free(x);
        return NULL;
}

char *gcs_both_run(uint64_t seed, bool trace, uint64_t *ret_story, uint64_t *ret_delivered) {
        ClusterConfig config = { .seed = seed };
        Prng prng;
        Both *x;
        char *failure;

        prng_init(&prng, seed ^ PRNG_MARK);
        config.n_nodes = (unsigned) prng_between(&prng, 2, 6);
        x = both_new(seed, config.n_nodes);
        x->prng = prng;
        x->w->tracing = trace;
        x->s->fencing = true;
        choose(x, &config, &x->w->knobs);
        both_set_cluster(x, &config);

        live(x);

        failure = x->w->failed ? g_strdup(x->w->failure) : NULL;
        if (trace)
                world_print_trace(x->w, WORLD_TRACE_LINES);
        *ret_story = x->c->story;
        *ret_delivered = x->c->n_delivered;
        (void) both_free(x);
        return failure;
}
