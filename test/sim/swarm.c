/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/swarm.h"

#include <inttypes.h>

#include "sim/cms-checker.h"

/* The faults come from a generator of their own, so that what the network does to a datagram does not change
 * what happens next to the cluster. Each seed has its own choice of kinds and its own rate. */

typedef enum FaultKind {
        FAULT_CRASH,
        FAULT_STORM,
        FAULT_PAUSE,
        FAULT_CUT_ONE_WAY,
        FAULT_CUT_TWO_WAY,
        FAULT_CUT_LINK,
        FAULT_PARTITION,
        FAULT_ISOLATE,
        FAULT_DEAF,
        FAULT_FLAP,
        FAULT_HEAL,
        FAULT_LEAVE,
        FAULT_WIPE,
        FAULT_DISK_FULL,
        FAULT_DISK_HUNG,
        FAULT_CARRIER,
        FAULT_SLOW,
        _FAULT_MAX,
} FaultKind;

/* Faults stop, and the cluster must be one within this; then it must stay as it is. Hold-offs of a node that
 * flapped are the longest wait: FailureSec * 2^5, and once more for a ballot that was tried at their end. */
#define CALM_FAILURES 100U
#define STEADY_USEC (5 * USEC_PER_SEC)

typedef struct Swarm {
        World *w;
        CmsSim *s;
        Prng prng;
        unsigned enabled; /* bit by FaultKind */
        uint64_t every_usec;
        uint64_t end_usec;
        bool quiet;
} Swarm;

static unsigned votes_of(const Swarm *x, NodeSet set) {
        unsigned sum = 0;

        NODE_SET_FOREACH(id, set)
                sum += x->s->config.votes[id - 1];
        return sum;
}

static bool is_enabled(const Swarm *x, FaultKind k) {
        return (x->enabled & (1U << k)) != 0;
}

static uint32_t any_node(Swarm *x) {
        return (uint32_t) prng_between(&x->prng, 1, x->w->n_nodes);
}

static NodeSet any_set(Swarm *x) {
        return prng_u64(&x->prng) & x->s->config.configured;
}

static uint64_t msec_between(Swarm *x, uint64_t low, uint64_t high) {
        return prng_between(&x->prng, low, high) * USEC_PER_MSEC;
}

static void start_again(World *w, uint64_t node, uint64_t boot, void *userdata) {
        if (!w->nodes[node - 1].up)
                world_start(w, (uint32_t) node, boot != 0);
}

static void resume(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_resume(w, (uint32_t) node);
}

static void heal_pair(World *w, uint64_t a, uint64_t b, void *userdata) {
        world_heal(w, node_set_of((uint32_t) a), node_set_of((uint32_t) b), WORLD_ALL_LINKS);
}

static void mend_disk(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_disk(w, (uint32_t) node, false, false);
}

static void mend_carrier(World *w, uint64_t node, uint64_t link, void *userdata) {
        world_carrier(w, (uint32_t) node, (unsigned) link, true);
}

static void stop_left(World *w, uint64_t node, uint64_t life, void *userdata) {
        WorldNode *n = &w->nodes[node - 1];

        if (n->up && n->life == life)
                world_crash(w, (uint32_t) node, true);
}

static void crash(Swarm *x, uint32_t node, uint64_t back_after_usec) {
        World *w = x->w;
        bool keep = prng_one_in(&x->prng, 2);

        if (!w->nodes[node - 1].up)
                return;
        if (prng_one_in(&x->prng, 2))
                cms_sim_crash_with_gasp(w, x->s, node, keep);
        else
                world_crash(w, node, keep);
        world_at(w, w->now_usec + back_after_usec, start_again, node, prng_one_in(&x->prng, 2), x);
}

static void leave(Swarm *x, uint32_t node) {
        World *w = x->w;
        WorldNode *n = &w->nodes[node - 1];

        if (!n->up || n->paused)
                return;
        world_trace(w, node, "is asked to leave");
        cms_sim_feed(w,
                     x->s,
                     node,
                     (CmsEvent){ .type = CMS_EVENT_LEAVE, .leave = { prng_one_in(&x->prng, 3) } });
        world_at(w, w->now_usec + 1200 * USEC_PER_MSEC, stop_left, node, n->life, x);
        world_at(w, w->now_usec + msec_between(x, 1300, 4000), start_again, node, 0, x);
}

static void partition(Swarm *x) {
        NodeSet a = any_set(x), b = node_set_minus(x->s->config.configured, a);

        world_cut(x->w, a, b, WORLD_ALL_LINKS);
        if (!prng_one_in(&x->prng, 4))
                world_cut(x->w, b, a, WORLD_ALL_LINKS);
}

static void flap(Swarm *x, uint32_t a, uint32_t b) {
        for (unsigned i = 0; i < 6; i++) {
                uint64_t at = x->w->now_usec + i * 900 * USEC_PER_MSEC;

                world_at(x->w, at + 450 * USEC_PER_MSEC, heal_pair, a, b, x);
        }
        world_cut(x->w, node_set_of(a), node_set_of(b), WORLD_ALL_LINKS);
}

static void inject(Swarm *x, FaultKind kind) {
        World *w = x->w;
        uint32_t a = any_node(x), b = any_node(x);
        NodeSet all = x->s->config.configured;

        switch (kind) {
        case FAULT_CRASH:
                crash(x, a, msec_between(x, 50, 5000));
                break;
        case FAULT_STORM:
                for (uint32_t id = 1; id <= w->n_nodes; id++)
                        if (prng_one_in(&x->prng, 2))
                                crash(x, id, msec_between(x, 10, 1500));
                break;
        case FAULT_PAUSE:
                world_pause(w, a);
                world_at(w,
                         w->now_usec + msec_between(x, 20, prng_one_in(&x->prng, 3) ? 4000 : 500),
                         resume,
                         a,
                         0,
                         x);
                break;
        case FAULT_CUT_ONE_WAY:
                world_cut(w, node_set_of(a), node_set_of(b), WORLD_ALL_LINKS);
                break;
        case FAULT_CUT_TWO_WAY:
                world_cut(w, node_set_of(a), node_set_of(b), WORLD_ALL_LINKS);
                world_cut(w, node_set_of(b), node_set_of(a), WORLD_ALL_LINKS);
                break;
        case FAULT_CUT_LINK:
                world_cut(w, any_set(x), any_set(x), (unsigned) prng_below(&x->prng, w->n_links));
                break;
        case FAULT_PARTITION:
                partition(x);
                break;
        case FAULT_ISOLATE:
                world_cut(w, all, node_set_of(a), WORLD_ALL_LINKS);
                world_cut(w, node_set_of(a), all, WORLD_ALL_LINKS);
                break;
        case FAULT_DEAF:
                world_cut(w, all, node_set_of(a), WORLD_ALL_LINKS);
                break;
        case FAULT_FLAP:
                flap(x, a, b);
                break;
        case FAULT_HEAL:
                world_heal_all(w);
                break;
        case FAULT_LEAVE:
                leave(x, a);
                break;
        case FAULT_WIPE:
                crash(x, a, msec_between(x, 500, 3000));
                if (!w->nodes[a - 1].up)
                        world_wipe(w, a);
                break;
        case FAULT_DISK_FULL:
                world_disk(w, a, true, false);
                world_at(w, w->now_usec + msec_between(x, 100, 5000), mend_disk, a, 0, x);
                break;
        case FAULT_DISK_HUNG:
                world_disk(w, a, false, true);
                world_at(w, w->now_usec + msec_between(x, 100, 5000), mend_disk, a, 0, x);
                break;
        case FAULT_CARRIER: {
                unsigned link = (unsigned) prng_below(&x->prng, w->n_links);

                world_carrier(w, a, link, false);
                world_at(w, w->now_usec + msec_between(x, 50, 3000), mend_carrier, a, link, x);
                break;
        }
        case FAULT_SLOW:
                memset(w->knobs.slow_usec, 0, sizeof(w->knobs.slow_usec));
                w->knobs.slow_usec[a - 1] = msec_between(x, 1, 150);
                break;
        case _FAULT_MAX:
                break;
        }
}

static void next_fault(World *w, uint64_t a, uint64_t b, void *userdata) {
        Swarm *x = userdata;
        FaultKind kind;

        if (w->now_usec >= x->end_usec)
                return;
        do
                kind = (FaultKind) prng_below(&x->prng, _FAULT_MAX);
        while (!is_enabled(x, kind));
        inject(x, kind);
        world_at(w, w->now_usec + prng_between(&x->prng, 1, 2 * x->every_usec), next_fault, 0, 0, x);
}

static void choose_knobs(Swarm *x) {
        WorldKnobs *k = &x->w->knobs;

        if (prng_one_in(&x->prng, 2))
                k->loss_ppm = (unsigned) prng_below(&x->prng, 200000);
        if (prng_one_in(&x->prng, 2))
                k->duplicate_ppm = (unsigned) prng_below(&x->prng, 100000);
        if (prng_one_in(&x->prng, 2)) {
                k->tail_ppm = (unsigned) prng_below(&x->prng, 50000);
                k->tail_usec = msec_between(x, 1, 1500);
        }
        if (prng_one_in(&x->prng, 3))
                k->delay_max_usec = msec_between(x, 1, 40);
        if (prng_one_in(&x->prng, 3)) {
                k->write_slow_ppm = (unsigned) prng_below(&x->prng, 100000);
                k->write_slow_usec = msec_between(x, 10, 1000);
        }
        if (prng_one_in(&x->prng, 4))
                k->write_fail_ppm = (unsigned) prng_below(&x->prng, 50000);
}

static void choose_votes(Swarm *x) {
        if (!prng_one_in(&x->prng, 4))
                return;
        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                x->s->config.votes[id - 1] = (uint8_t) prng_between(&x->prng, id == 1 ? 1 : 0, 3);
}

static void calm_down(Swarm *x) {
        World *w = x->w;

        world_trace(w, 0, "the faults stop");
        world_heal_all(w);
        w->knobs = (WorldKnobs){
                .delay_min_usec = 50,
                .delay_max_usec = 2000,
                .write_min_usec = 500,
                .write_max_usec = 5 * USEC_PER_MSEC,
        };
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                w->nodes[id - 1].store.full = w->nodes[id - 1].store.hung = false;
                world_disk(w, id, false, false);
                world_resume(w, id);
                if (!w->nodes[id - 1].up)
                        world_start(w, id, true);
                else if (x->s->nodes[id - 1].leaving ||
                         x->s->nodes[id - 1].cms->phase == CMS_PHASE_LEAVING) {
                        world_crash(w, id, true);
                        world_start(w, id, true);
                }
        }
}

/* Nodes with a record: only their votes count, and without a quorum of them nothing can get well by itself.
 */
static NodeSet sound_nodes(const Swarm *x) {
        NodeSet sound = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, x->s->config.enabled)
                if (x->s->nodes[id - 1].cms && !x->s->nodes[id - 1].cms->no_record)
                        node_set_add(&sound, id);
        return sound;
}

static bool is_majority(const Swarm *x, NodeSet set) {
        return 2 * votes_of(x, set) > votes_of(x, x->s->config.enabled);
}

/* ---- peace with links that stay broken ---- */

/* Cuts that stay, one way or both, few or many; returns what the best set of the mesh that is left is. */
static NodeSet cut_for_good(Swarm *x) {
        BestSetInput in = { .candidates = sound_nodes(x), .votes = x->s->config.votes };
        NodeSet hears[NODE_ID_MAX] = { 0 };
        unsigned n = (unsigned) prng_between(&x->prng, 1, x->w->n_nodes);

        for (unsigned i = 0; i < n; i++) {
                uint32_t a = any_node(x), b = any_node(x);

                world_cut(x->w, node_set_of(a), node_set_of(b), WORLD_ALL_LINKS);
                if (prng_one_in(&x->prng, 2))
                        world_cut(x->w, node_set_of(b), node_set_of(a), WORLD_ALL_LINKS);
        }
        NODE_SET_FOREACH(a, in.candidates)
                NODE_SET_FOREACH(b, in.candidates)
                        if (a != b && !world_is_cut(x->w, b, a))
                                node_set_add(&hears[a - 1], b);
        best_set_fill_mutual(&in, hears);
        return best_set(&in);
}

static uint64_t memberships_installed(const Swarm *x) {
        uint64_t n = 0;

        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                n += x->s->nodes[id - 1].n_installed;
        return n;
}

static NodeSet working_quorum(const Swarm *x) {
        NODE_SET_FOREACH(id, x->s->config.enabled) {
                const Cms *c = x->s->nodes[id - 1].cms;
                const Membership *m = c ? cms_membership(c) : NULL;

                if (m && m->quorate && cms_checker_is_at_work(x->w, x->s, m))
                        return m->members;
        }
        return NODE_SET_EMPTY;
}

/* From now on nothing is installed any more, and nothing is promised in the quorum, even if nothing comes of
 * it: a promise stops what is ordered. */
static void judge_steadiness(Swarm *x, const char *what) {
        World *w = x->w;
        uint64_t before = memberships_installed(x);
        NodeSet quorum = working_quorum(x);
        Mid promised[NODE_ID_MAX] = { 0 };

        NODE_SET_FOREACH(id, quorum)
                promised[id - 1] = x->s->nodes[id - 1].cms->promised;
        world_run_until(w, w->now_usec + STEADY_USEC);
        if (w->failed)
                return;
        if (memberships_installed(x) != before)
                world_fail(w, "%s", what);
        NODE_SET_FOREACH(id, quorum)
                if (!mid_equal(promised[id - 1], x->s->nodes[id - 1].cms->promised))
                        world_fail(w, "%s: n%" PRIu32 " promised", what, id);
}

/* Invariants 5 and 6. */
static void judge_peace(Swarm *x, SwarmResult *ret) {
        World *w = x->w;
        uint64_t start = w->now_usec, bound = CALM_FAILURES * x->s->config.failure_usec;
        char up[NODE_SET_TEXT_MAX];

        /* A silence that began before may still be noticed. */
        world_run_until(w, w->now_usec + 2 * x->s->config.failure_usec);
        while (!w->failed && !cms_sim_is_settled(w, x->s, x->s->config.enabled)) {
                if (w->now_usec - start > bound) {
                        if (!is_majority(x, sound_nodes(x)))
                                return;
                        world_fail(w,
                                   "no quorate membership of %s within %" PRIu64 " s of peace",
                                   node_set_format(x->s->config.enabled, up),
                                   bound / USEC_PER_SEC);
                        return;
                }
                world_run_until(w, w->now_usec + 50 * USEC_PER_MSEC);
        }
        ret->longest_calm_usec = w->now_usec - start;
        /* Datagrams of the time before are on their way for so long. */
        world_run_until(w, w->now_usec + MAX(3 * x->s->config.failure_usec, 2 * USEC_PER_SEC));
        judge_steadiness(x, "a stable cluster changes its membership");
}

/* Links stop changing, and not all of them work: if some complete set holds quorum, one such set must be at
 * work after the bound, and nobody may change anything any more. */
static void judge_broken_peace(Swarm *x) {
        World *w = x->w;
        NodeSet best = cut_for_good(x);
        bool possible;

        /* Halves that fence each other again and again are another matter. */
        x->s->fencing = false;

        world_run_until(w, w->now_usec + CALM_FAILURES * x->s->config.failure_usec);
        possible = is_majority(x, best);
        if (!w->failed && possible && working_quorum(x) == NODE_SET_EMPTY)
                world_fail(w, "no quorate membership although the links that are left allow it");
        judge_steadiness(x, "the membership goes on changing although the links do not");
}

static void set_up(Swarm *x) {
        cms_sim_init_stores(x->w, x->s);
        x->every_usec = msec_between(x, 100, 3000);
        x->end_usec = x->w->now_usec + msec_between(x, 10000, 30000);
        do
                x->enabled = (unsigned) (prng_u64(&x->prng) & prng_u64(&x->prng)) & ((1U << _FAULT_MAX) - 1);
        while (x->enabled == 0);
        if (prng_one_in(&x->prng, 3))
                x->s->config.tie_breaker = any_node(x);
        x->s->fencing = !prng_one_in(&x->prng, 4);
        choose_knobs(x);
        choose_votes(x);
        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                world_at(x->w, x->w->now_usec + msec_between(x, 0, 1000), start_again, id, 1, x);
        world_at(x->w, x->w->now_usec + msec_between(x, 0, 3000), next_fault, 0, 0, x);
}

void swarm_run(const SwarmOptions *options, uint64_t seed, SwarmResult *ret) {
        static const uint64_t beats[] = { 100000, 100000, 20000, 50000 };
        _cleanup_(world_freep) World *w = NULL;
        _cleanup_(cms_sim_freep) CmsSim *s = NULL;
        Swarm x = { 0 };
        uint64_t beat, begin;

        *ret = (SwarmResult){ .seed = seed };
        prng_init(&x.prng, seed ^ UINT64_C(0x5eed));
        ret->n_nodes = (unsigned) prng_between(&x.prng, options->nodes_min, options->nodes_max);
        w = x.w = world_new(seed, ret->n_nodes, (unsigned) prng_between(&x.prng, 1, 2));
        w->tracing = options->trace;
        beat = beats[prng_below(&x.prng, ELEMENTSOF(beats))];
        s = x.s = cms_sim_new(w, beat, beat * prng_between(&x.prng, 3, 6));
        s->fault = options->fault;
        begin = w->now_usec;
        set_up(&x);
        world_run_until(w, x.end_usec);
        if (!w->failed)
                calm_down(&x);
        if (!w->failed && prng_one_in(&x.prng, 3))
                judge_broken_peace(&x);
        else if (!w->failed)
                judge_peace(&x, ret);

        ret->failed = w->failed;
        memcpy(ret->failure, w->failure, sizeof(ret->failure));
        ret->simulated_usec = w->now_usec - begin;
        ret->n_memberships = s->n_memberships;
        ret->n_fenced = s->n_fenced;
        ret->counts = w->counts;
        if (options->trace)
                world_print_trace(w, WORLD_TRACE_LINES);
        /* The world stops its actors, which live in s. */
        (void) world_free(TAKE_PTR(w));
}
