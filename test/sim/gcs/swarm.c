/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/gcs/swarm.h"

#include <inttypes.h>

#define FAULTS_USEC (3 * G_USEC_PER_SEC)
#define CALM_USEC (8 * G_USEC_PER_SEC)
#define CLIENTS_PER_NODE 3U

typedef struct Swarm {
        Cluster *c;
        Prng *p;
        unsigned n_names;
        unsigned busy;    /* one in so many turns, a client sends */
        unsigned churn;   /* one in so many, it goes; or another comes */
        unsigned trouble; /* one in so many, a node or the network fails */
        bool cut_when_split;
        uint64_t parts[CLUSTER_NODES_MAX + 1]; /* of the last split */
} Swarm;

static unsigned n_clients_of(const Swarm *s, uint32_t node) {
        unsigned n = 0;

        for (unsigned i = 0; i < s->c->actors->len; i++) {
                const Actor *a = s->c->actors->pdata[i];

                n += a->node == node && !a->dead;
        }
        return n;
}

static void clients_turn(Swarm *s, bool churn) {
        Cluster *c = s->c;

        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                if (c->nodes[id].alive && n_clients_of(s, id) < CLIENTS_PER_NODE && prng_one_in(s->p, 4)) {
                        char name[16], group[16];

                        (void) g_snprintf(name, sizeof(name), "m%u", s->n_names++);
                        (void) g_snprintf(group, sizeof(group), "g%" PRIu64, prng_below(s->p, 2));
                        (void) cluster_join(
                                        c, id, group, name, prng_one_in(s->p, 4) ? 0 : GCS_JOIN_SNAPSHOT);
                }

        for (unsigned i = 0; i < c->actors->len && !c->failure; i++) {
                Actor *a = c->actors->pdata[i];

                if (a->dead || !a->member)
                        continue;
                if (prng_one_in(s->p, s->busy) && !a->blocked)
                        for (uint64_t n = prng_below(s->p, 12); n > 0; n--) {
                                size_t size = prng_one_in(s->p, 20) ? prng_below(s->p, 20000)
                                                                    : prng_below(s->p, 200);

                                if (actor_send(a, size) != GCS_VERDICT_QUEUED)
                                        break;
                        }
                if (churn && prng_one_in(s->p, s->churn)) {
                        if (prng_one_in(s->p, 2))
                                actor_leave(a);
                        else
                                actor_die(a,
                                          prng_one_in(s->p, 2) ? GCS_REASON_EXITED
                                                               : GCS_REASON_UNRESPONSIVE);
                }
        }
}

/* What CMS tells before anything is settled: those who cannot hear a node miss it. */
static void suspect(Swarm *s) {
        Cluster *c = s->c;

        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                for (uint32_t other = 1; other <= c->config.n_nodes; other++)
                        if (other != id && (!c->nodes[other].alive || s->parts[other] != s->parts[id]))
                                cluster_feed(c,
                                             id,
                                             (GcsEvent){ .type = GCS_EVENT_NODE,
                                                         .node = { .node = other, .up = false } });
}

/* New memberships for all parts, of whoever is alive in them. */
static void agree(Swarm *s) {
        Cluster *c = s->c;
        NodeSet done = NODE_SET_EMPTY, alive = cluster_alive(c);

        for (uint32_t id = 1; id <= c->config.n_nodes; id++) {
                NodeSet set = NODE_SET_EMPTY;

                if (node_set_contains(done, id) || !node_set_contains(alive, id))
                        continue;
                NODE_SET_FOREACH(other, alive)
                        if (s->parts[other] == s->parts[id])
                                node_set_add(&set, other);
                done |= set;
                /* Now and then CMS takes its time over one of them. */
                if (!prng_one_in(s->p, 6))
                        cluster_propose(c, set);
        }
}

static void split(Swarm *s, uint64_t n_parts, bool cut) {
        Cluster *c = s->c;

        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                s->parts[id] = prng_below(s->p, n_parts);
        for (uint32_t a = 1; a <= c->config.n_nodes; a++)
                for (uint32_t b = 1; b <= c->config.n_nodes; b++)
                        c->cut[a][b] = cut && s->parts[a] != s->parts[b];
}

/* One side goes on without the other and fails as a whole; then they meet again. */
static void power_failure(Swarm *s) {
        Cluster *c = s->c;
        uint64_t side;

        split(s, 2, true);
        side = s->parts[prng_between(s->p, 1, c->config.n_nodes)];
        agree(s);
        cluster_run(c, prng_below(s->p, 60000));
        clients_turn(s, false);
        cluster_run(c, prng_below(s->p, 20000));
        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                if (s->parts[id] == side)
                        cluster_crash(c, id);
        cluster_run(c, prng_below(s->p, 10000));
        for (uint32_t id = 1; id <= c->config.n_nodes && !c->failure; id++)
                if (!c->nodes[id].alive)
                        cluster_start(c, id);
        split(s, 1, false);
}

static void trouble_turn(Swarm *s) {
        Cluster *c = s->c;
        uint32_t node = (uint32_t) prng_between(s->p, 1, c->config.n_nodes);

        switch (prng_below(s->p, 7)) {
        case 0:
                cluster_crash(c, node);
                if (prng_one_in(s->p, 3) && c->config.n_nodes > 2)
                        cluster_crash(c, 1 + node % c->config.n_nodes);
                break;
        case 1:
        case 2:
                if (!c->nodes[node].alive)
                        cluster_start(c, node);
                break;
        case 3:
                split(s, prng_between(s->p, 1, 3), s->cut_when_split);
                break;
        case 4:
                if (c->nodes[node].alive)
                        c->nodes[node].paused_until = c->now_usec + prng_below(s->p, 300000);
                break;
        case 5:
                split(s, 1, false);
                break;
        default:
                power_failure(s);
                break;
        }
        if (prng_one_in(s->p, 2)) {
                suspect(s);
                cluster_run(c, prng_below(s->p, 30000));
        }
        /* Sometimes several in a row, so that flushes are overtaken. */
        for (uint64_t n = prng_between(s->p, 1, 3); n > 0; n--) {
                agree(s);
                cluster_run(c, prng_below(s->p, prng_one_in(s->p, 2) ? 8000 : 60000));
        }
}

char *
gcs_swarm_run(uint64_t seed,
              GString *trace,
              const char **ret_check,
              uint64_t *ret_story,
              uint64_t *ret_delivered) {
        Prng prng;
        ClusterConfig config = { .seed = seed };
        Swarm s = { .p = &prng };
        char *failure;
        Cluster *c;

        prng_init(&prng, seed ^ UINT64_C(0x6763732d73776172));
        config.n_nodes = (unsigned) prng_between(&prng, 2, 5);
        config.loss_permille = prng_one_in(&prng, 2) ? 0 : (unsigned) prng_below(&prng, 150);
        config.dup_permille = prng_one_in(&prng, 2) ? 0 : (unsigned) prng_below(&prng, 150);
        config.delay_min_usec = 50;
        config.delay_max_usec = prng_one_in(&prng, 3) ? 200 : 200 + prng_below(&prng, 15000);
        config.store_max_usec = prng_one_in(&prng, 3) ? 0 : prng_below(&prng, 60000);
        config.any_rank = prng_one_in(&prng, 3);
        config.core.dissemination = (GcsDissemination) prng_between(
                        &prng, GCS_DISSEMINATION_AUTO, GCS_DISSEMINATION_FANOUT);
        config.core.pipeline = (uint32_t) prng_between(&prng, 1, 8);
        config.core.window_messages = prng_one_in(&prng, 3) ? 8 : 0;
        config.core.backlog_messages = 4000; /* readers read; but nobody is to be expelled for a pause */
        s.busy = (unsigned) prng_between(&prng, 1, 12);
        s.churn = (unsigned) prng_between(&prng, 20, 400);
        s.trouble = (unsigned) prng_between(&prng, 4, 60);
        s.cut_when_split = !prng_one_in(&prng, 4);

        s.c = c = cluster_new(&config);
        c->trace = trace;
        for (uint32_t id = 1; id <= config.n_nodes; id++)
                if (!prng_one_in(&prng, 6))
                        cluster_start(c, id);
        agree(&s);

        while (!c->failure && c->now_usec < FAULTS_USEC) {
                clients_turn(&s, true);
                if (prng_one_in(&prng, s.trouble))
                        trouble_turn(&s);
                cluster_run(c, prng_below(&prng, 12000));
        }

        /* Faults stop. */
        cluster_trace(c, "faults stop");
        c->config.loss_permille = c->config.dup_permille = 0;
        c->config.delay_max_usec = 1000;
        split(&s, 1, false);
        for (uint32_t id = 1; id <= config.n_nodes && !c->failure; id++)
                if (!c->nodes[id].alive)
                        cluster_start(c, id);
        cluster_run(c, 400000);
        cluster_propose(c, cluster_alive(c));
        for (unsigned i = 0; i < 40 && !c->failure; i++) {
                clients_turn(&s, false);
                cluster_run(c, 10000);
        }
        cluster_run(c, CALM_USEC);
        if (!c->failure && !cluster_is_active(c, cluster_alive(c)))
                cluster_fail(c, "not live in the end");
        history_check(c);
        if (!c->failure)
                history_check_live(c);

        failure = g_strdup(c->failure);
        if (ret_check)
                *ret_check = c->check;
        if (ret_story)
                *ret_story = c->story;
        if (ret_delivered)
                *ret_delivered = c->n_delivered;
        c->trace = NULL;
        (void) cluster_free(c);
        return failure;
}
