/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/swarm.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/cms-checker.h"
#include "sim/gcs/both.h"

#define STEADY_USEC (5 * USEC_PER_SEC)

/* What agreement says among sixteen nodes is shorter, what a client says is longer. */
#define STALL_BYTES 4000U
#define STALL_MESSAGE_BYTES 6000U

typedef struct Swarm {
        World *w;   /* owned by both */
        CmsSim *s;  /* owned by both */
        Both *both; /* owned */
        Faults faults;
        Prng prng;
        Prng files; /* what has to do with cluster.conf */

        /* In peace. */
        CmsVotings votings; /* that counted when it began */
        unsigned final;     /* file that all have in the end */
        NodeSet replaced;   /* nodes that are somebody else in it, and stay off until it is in force */
} Swarm;

/* Of the seed that is being traced. */
static const World *traced;

void swarm_print_trace(size_t n_last) {
        if (traced)
                world_print_trace(traced, n_last);
}

static const CmsConfig * final(const Swarm *x) {
        return cms_sim_file(x->s, x->final);
}

static int margin(const CmsConfig *file, NodeSet set) {
        CmsVoting v;

        cms_config_to_voting(file, &v);
        return cms_voting_margin(&v, set);
}

static NodeSet all_machines(const Swarm *x) {
        assert(x->w->n_nodes >= 1);
        return NODE_SET_ALL >> (NODE_ID_MAX - x->w->n_nodes);
}

static uint32_t any_node(Swarm *x) {
        return (uint32_t) prng_between(&x->prng, 1, x->w->n_nodes);
}

static uint64_t msec_between(Swarm *x, uint64_t low, uint64_t high) {
        return prng_between(&x->prng, low, high) * USEC_PER_MSEC;
}

/* All of it grows with the square of the nodes. */
static bool is_large(const Swarm *x) {
        return x->w->n_nodes > 16;
}

static uint64_t bound_usec(const Swarm *x) {
        return SWARM_BOUND_FAILURES * x->s->config.failure_usec;
}

/* ---- the cluster ---- */

static void choose_knobs(Swarm *x) {
        WorldKnobs *k = &x->w->knobs;

        if (prng_one_in(&x->prng, 2))
                k->loss_ppm = (unsigned) prng_below(&x->prng, 200000);
        if (prng_one_in(&x->prng, 4))
                k->corrupt_ppm = (unsigned) prng_below(&x->prng, 100000);
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

/* Two of them differ by 1 % at the most. */
static void choose_clocks(Swarm *x) {
        if (!prng_one_in(&x->prng, 2))
                return;
        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                world_set_clock_rate(x->w, id, (int) prng_below(&x->prng, 10001) - 5000);
}

static void choose_votes(Swarm *x) {
        CmsConfig *c = &x->s->config;

        if (prng_one_in(&x->prng, 6))
                for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                        if (node_set_count(c->enabled) > 1 && prng_one_in(&x->prng, 4))
                                node_set_remove(&c->enabled, id);
        if (prng_one_in(&x->prng, 4))
                NODE_SET_FOREACH(id, c->enabled)
                        c->votes[id - 1] = (uint8_t) prng_between(
                                        &x->prng, id == node_set_lowest(c->enabled) ? 1 : 0, 3);
        if (prng_one_in(&x->prng, 3))
                do
                        c->tie_breaker = any_node(x);
                while (!node_set_contains(c->enabled, c->tie_breaker));
}

/* R6: the half without the tie-breaker waits until whatever the other one orders is over. */
static void choose_fencing(Swarm *x) {
        CmsSim *s = x->s;

        s->fencing = !prng_one_in(&x->prng, 4);
        if (prng_one_in(&x->prng, 2))
                s->fence_usec = msec_between(x, 20, 2000);
        /* Also when the node that was fenced is back already. */
        if (prng_one_in(&x->prng, 4))
                s->fence_told_usec = 6 * USEC_PER_SEC;
        s->fence_delay_usec = s->fence_usec + s->fence_told_usec + 200 * USEC_PER_MSEC;
        if (prng_one_in(&x->prng, 4))
                s->fence_fails_one_in = (unsigned) prng_between(&x->prng, 1, 4);
}

/* R7: machines that are to be added, with a file that has them, and which the others get later. */
static void choose_newcomers(Swarm *x) {
        CmsConfig *first = &x->s->config, all = *first;
        unsigned number;
        NodeSet set = NODE_SET_EMPTY;

        for (uint64_t n = prng_between(&x->files, 1, 2); n > 0; n--)
                node_set_add(&set, (uint32_t) prng_between(&x->files, 1, x->w->n_nodes));
        if (node_set_minus(first->enabled, set) == NODE_SET_EMPTY ||
            node_set_contains(set, first->tie_breaker))
                return;
        first->configured = node_set_minus(first->configured, set);
        first->enabled = node_set_minus(first->enabled, set);
        if (first->votes[node_set_lowest(first->enabled) - 1] == 0)
                first->votes[node_set_lowest(first->enabled) - 1] = 1;
        number = cms_sim_write_file(x->s, &all);
        NODE_SET_FOREACH(id, set) {
                cms_sim_init_store_to_join(x->w, id);
                x->s->file_of[id - 1] = number;
        }
}

static void choose_files(Swarm *x) {
        unsigned number;

        if (prng_one_in(&x->files, 4) && x->w->n_nodes > 2) {
                choose_newcomers(x);
                return;
        }
        if (!prng_one_in(&x->files, 10))
                return;
        x->s->files_differ = true;
        x->faults.weight[FAULT_CONFIG] = 0;
        x->faults.weight[FAULT_CRASH]++;
        number = cms_sim_write_file(x->s, &x->s->config);
        NODE_SET_FOREACH(id, all_machines(x))
                if (prng_one_in(&x->files, 3))
                        x->s->file_of[id - 1] = number;
}

static void start(World *w, uint64_t node, uint64_t b, void *userdata) {
        const Swarm *x = userdata;

        if (!w->nodes[node - 1].up && !node_set_contains(x->s->gone, (uint32_t) node))
                world_start(w, (uint32_t) node, true);
}

static void set_up(Swarm *x, const SwarmOptions *options) {
        World *w = x->w;
        uint64_t faults_usec;

        cms_sim_init_stores(w, x->s);
        faults_choose(&x->faults, options->weight);
        choose_votes(x);
        choose_files(x);
        choose_fencing(x);
        choose_knobs(x);
        choose_clocks(x);
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                world_at(w, w->now_usec + msec_between(x, 0, 1000), start, id, 0, x);
        faults_usec = is_large(x) ? msec_between(x, 5000, 10000) : msec_between(x, 10000, 30000);
        if (options->faults_usec > 0)
                faults_usec = options->faults_usec;
        faults_begin(&x->faults, w->now_usec + faults_usec);
        if (x->both)
                both_live(x->both);
}

/* ---- who can be one ---- */

/* Only those of one version can; and those that began with one configuration. */
static NodeSet alike(const Swarm *x, uint32_t node) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, final(x)->enabled)
                if (x->w->nodes[id - 1].version == x->w->nodes[node - 1].version &&
                    (!x->s->files_differ || x->s->file_of[id - 1] == x->s->file_of[node - 1]))
                        node_set_add(&set, id);
        return set;
}

static NodeSet largest_alike(const Swarm *x) {
        NodeSet best = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, final(x)->enabled) {
                NodeSet set = alike(x, id);

                if (best == NODE_SET_EMPTY || margin(final(x), set) > margin(final(x), best))
                        best = set;
        }
        return best;
}

/* R7: whoever acknowledged a quorate membership of one configuration works with that until it hears of a
 * later one: it may be in force. Whoever did not goes by its file. */
static NodeSet can_work_with(const Swarm *x, unsigned file) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, all_machines(x)) {
                const Cms *c = x->s->nodes[id - 1].cms;
                const CmsVoting *v = c ? &c->record.votings.committed : NULL;

                if (v && !c->no_record &&
                    (cms_voting_is_none(v) || !mid_is_none(v->mid) ||
                     cms_sim_file_of_hash(x->s, v->hash) == file))
                        node_set_add(&set, id);
        }
        return set;
}

/* Where nothing was in force yet, the operator takes the file that a quorum can begin with. */
static unsigned common_file(const Swarm *x) {
        unsigned best = 0;

        for (unsigned file = 1; file <= x->s->n_files; file++)
                if (margin(final(x), can_work_with(x, best)) <= 0 &&
                    margin(final(x), can_work_with(x, file)) > 0)
                        best = file;
        return best;
}

/* An update is brought to its end, as a rule. */
static void make_alike(Swarm *x) {
        unsigned file = x->s->files_differ ? common_file(x) : 0;

        for (uint32_t id = 1; id <= x->w->n_nodes; id++) {
                if (x->w->nodes[id - 1].version == 0 &&
                    !(x->s->files_differ && x->s->file_of[id - 1] != file))
                        continue;
                if (x->w->nodes[id - 1].up)
                        world_crash(x->w, id, true);
                world_set_version(x->w, id, 0);
                if (x->s->files_differ)
                        x->s->file_of[id - 1] = file;
                world_start(x->w, id, false);
        }
}

/* Nodes with a record: only their votes count, and without a quorum of them nothing can get well by itself.
 */
static NodeSet sound_nodes(const Swarm *x) {
        NodeSet sound = NODE_SET_EMPTY;
        bool begins = x->s->files_differ && mid_is_none(x->votings.committed.mid);

        NODE_SET_FOREACH(id, all_machines(x))
                if ((!begins || node_set_contains(can_work_with(x, x->s->file_of[id - 1]), id)) &&
                    x->s->nodes[id - 1].cms && !x->s->nodes[id - 1].cms->no_record &&
                    (x->s->n_files == 0 || x->s->files_differ || !cms_sim_goes_by_file(x->w, id)))
                        node_set_add(&sound, id);
        return sound;
}

/* Under what counted when peace began: a quorum without proof of anything. */
static bool is_majority(const Swarm *x, NodeSet set) {
        return cms_votings_margin(&x->votings, set) > 0;
}

static NodeSet working_quorum(const Swarm *x) {
        NODE_SET_FOREACH(id, all_machines(x)) {
                const Cms *c = x->s->nodes[id - 1].cms;
                const Membership *m = c ? cms_membership(c) : NULL;

                if (m && m->quorate && cms_checker_is_at_work(x->w, x->s, m))
                        return m->members;
        }
        return NODE_SET_EMPTY;
}

/* ---- the change of cluster.conf is brought to its end ---- */

/* What counts now, by what all nodes know together. */
static void look_at_votings(Swarm *x) {
        cms_config_to_voting(&x->s->config, &x->votings.committed);
        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                if (x->s->nodes[id - 1].cms)
                        cms_votings_merge(&x->votings, &x->s->nodes[id - 1].cms->votings);
}

static const CmsVoting *newest_voting(const Swarm *x) {
        return cms_votings_are_pending(&x->votings) ? &x->votings.proposed : &x->votings.committed;
}

/* Those who decide, and will be members then, hold a majority at each step. */
static bool can_be_decided(const Swarm *x) {
        NodeSet set = largest_alike(x) & sound_nodes(x) & cms_votings_eligible(&x->votings);

        return is_majority(x, set) && margin(final(x), set) > 0;
}

static void give_final(Swarm *x, uint32_t id) {
        if (prng_one_in(&x->files, 2)) {
                cms_sim_give_file(x->w, x->s, id, x->final, true);
                return;
        }
        cms_sim_give_file(x->w, x->s, id, x->final, false);
        world_crash(x->w, id, true);
        world_start(x->w, id, false);
}

/* Its hagcd may have slept when the file came. */
static bool is_told(const Swarm *x, uint32_t id) {
        const Cms *c = x->s->nodes[id - 1].cms;

        return c && c->wanted_hash == cms_config_hash(final(x)->hash);
}

/* Whoever was never there while the cluster formed comes to it as a newcomer. */
static void join_late(Swarm *x) {
        NODE_SET_FOREACH(id, all_machines(x)) {
                if (!cms_sim_goes_by_file(x->w, id))
                        continue;
                world_power_off(x->w, id, WORLD_WRITE_DONE);
                world_wipe(x->w, id);
                world_start(x->w, id, true);
        }
}

/* All get the newest file; or the one that counts, if the newest is one that cannot be decided. Who is to go
 * is switched off. */
static void finish_change(Swarm *x) {
        const CmsVoting *v = newest_voting(x);
        CmsVoting then;
        NodeSet goes;

        if (x->s->files_differ)
                return;
        x->final = x->s->n_files;
        if (x->s->n_decided == 0 || !can_be_decided(x))
                x->final = cms_sim_file_of_hash(x->s, v->hash);
        if (x->final != 0)
                join_late(x);
        goes = node_set_minus(all_machines(x), final(x)->configured) |
               node_set_minus(x->votings.committed.enabled | v->enabled, final(x)->enabled);
        cms_config_to_voting(final(x), &then);
        x->replaced = node_set_minus(then.configured & v->configured, cms_voting_kept(v, &then));
        x->s->gone = goes | x->replaced;
        NODE_SET_FOREACH(id, all_machines(x))
                if (node_set_contains(x->s->gone, id))
                        world_power_off(x->w, id, WORLD_WRITE_DONE);
                else if (x->s->file_of[id - 1] != x->final || !is_told(x, id))
                        give_final(x, id);
}

/* R14: an operator says of the machines that are off that they are. */
static void confirm_gone(Swarm *x) {
        for (uint32_t id = 1; id <= x->w->n_nodes; id++) {
                const Cms *c = x->s->nodes[id - 1].cms;
                NodeSet waits = NODE_SET_EMPTY;
                BootId boot_id;

                if (!c)
                        continue;
                (void) cms_config_wait(c, &waits);
                NODE_SET_FOREACH(node, waits & x->s->gone)
                        cms_sim_feed(x->w,
                                     x->s,
                                     id,
                                     (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                                 .confirmed_down = { .node = node,
                                                                     .incarnation = cms_newest_life(
                                                                                     c, node, &boot_id),
                                                                     .mid = c->installed.mid } });
        }
}

static bool final_is_in_force(const Swarm *x, NodeSet set) {
        NODE_SET_FOREACH(id, set) {
                const Cms *c = x->s->nodes[id - 1].cms;

                if (!c || cms_sim_file_of_hash(x->s, c->config.hash) != x->final)
                        return false;
        }
        return true;
}

/* The other machine comes once it is expected. */
static void start_replaced(Swarm *x) {
        NodeSet quorum = working_quorum(x);

        if (x->replaced == NODE_SET_EMPTY || quorum == NODE_SET_EMPTY || !final_is_in_force(x, quorum))
                return;
        x->s->gone = node_set_minus(x->s->gone, x->replaced);
        NODE_SET_FOREACH(id, x->replaced) {
                x->s->file_of[id - 1] = x->final;
                world_start(x->w, id, true);
        }
        x->replaced = NODE_SET_EMPTY;
}

/* ---- peace with links that stay broken ---- */

static void cut_way(Swarm *x, uint32_t from, uint32_t to) {
        world_cut(x->w, node_set_of(from), node_set_of(to), WORLD_ALL_LINKS);
}

static void cut_some(Swarm *x, bool one_way) {
        unsigned n = (unsigned) prng_between(&x->prng, 1, x->w->n_nodes);

        for (unsigned i = 0; i < n; i++) {
                uint32_t a = any_node(x), b = any_node(x);

                cut_way(x, a, b);
                if (!one_way && prng_one_in(&x->prng, 2))
                        cut_way(x, b, a);
        }
}

static void narrow_some(Swarm *x) {
        unsigned n = (unsigned) prng_between(&x->prng, 1, x->w->n_nodes);

        for (unsigned i = 0; i < n; i++)
                world_narrow(x->w,
                             node_set_of(any_node(x)),
                             prng_one_in(&x->prng, 4) ? x->s->config.configured : node_set_of(any_node(x)),
                             prng_one_in(&x->prng, 2) ? WORLD_ALL_LINKS
                                                      : (unsigned) prng_below(&x->prng, x->w->n_links),
                             (uint32_t) prng_between(&x->prng, 150, 1500));
}

/* Everybody reaches two neighbours only. */
static void cut_to_chain(Swarm *x) {
        for (uint32_t a = 1; a <= x->w->n_nodes; a++)
                for (uint32_t b = 1; b <= x->w->n_nodes; b++)
                        if (b + 1 < a || a + 1 < b)
                                cut_way(x, a, b);
}

/* Everybody reaches one only. */
static void cut_to_star(Swarm *x) {
        uint32_t middle = any_node(x);

        for (uint32_t a = 1; a <= x->w->n_nodes; a++)
                for (uint32_t b = 1; b <= x->w->n_nodes; b++)
                        if (a != middle && b != middle)
                                cut_way(x, a, b);
}

static void break_for_good(Swarm *x) {
        NodeSet all = all_machines(x);
        uint32_t node = any_node(x);

        switch (prng_below(&x->prng, 8)) {
        case 0:
                cut_to_chain(x);
                break;
        case 1:
                cut_to_star(x);
                break;
        case 2: /* deaf */
                world_cut(x->w, all, node_set_of(node), WORLD_ALL_LINKS);
                break;
        case 3: /* dumb */
                world_cut(x->w, node_set_of(node), all, WORLD_ALL_LINKS);
                break;
        case 4: /* its disk never syncs again */
                world_disk(x->w, node, false, true);
                break;
        case 5:
                cut_some(x, true);
                break;
        case 6:
                narrow_some(x);
                break;
        default:
                cut_some(x, false);
                break;
        }
}

/* The best set of the mesh that is left, of those that can write. */
static NodeSet best_that_is_left(const Swarm *x) {
        BestSetInput in = {
                .candidates = sound_nodes(x) & largest_alike(x) & cms_votings_eligible(&x->votings),
                .votes = x->votings.committed.votes,
        };
        NodeSet hears[NODE_ID_MAX] = { 0 };

        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                if (x->w->nodes[id - 1].store.hung)
                        node_set_remove(&in.candidates, id);
        NODE_SET_FOREACH(a, in.candidates)
                NODE_SET_FOREACH(b, in.candidates)
                        if (a != b && world_hears(x->w, a, b))
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

static Mid promised_by(const Swarm *x, uint32_t id) {
        const Cms *c = x->s->nodes[id - 1].cms;

        return c ? c->promised : MID_NONE;
}

/* From now on nothing is installed any more, and nothing is promised, even if nothing comes of it: in a
 * quorum a promise stops what is ordered, and outside of one numbers must not grow for ever. */
static void judge_steadiness(Swarm *x, const char *what) {
        World *w = x->w;
        uint64_t before = memberships_installed(x);
        Mid promised[NODE_ID_MAX] = { 0 };

        for (uint32_t id = 1; id <= w->n_nodes; id++)
                promised[id - 1] = promised_by(x, id);
        world_run_until(w, w->now_usec + STEADY_USEC);
        if (w->failed)
                return;
        if (memberships_installed(x) != before)
                world_fail(w, "%s", what);
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (!mid_equal(promised[id - 1], promised_by(x, id)))
                        world_fail(w, "%s: n%" PRIu32 " promised", what, id);
        NODE_SET_FOREACH(id, working_quorum(x))
                if (cms_lease_usec(x->s->nodes[id - 1].cms) <= world_clock(w, id))
                        world_fail(w, "n%" PRIu32 " is in a quorum at work and holds no lease", id);
}

/* A08, issue of versions: whoever hears a node that is not like itself, tells so. */
static void judge_differences(Swarm *x) {
        NODE_SET_FOREACH(a, final(x)->enabled)
                NODE_SET_FOREACH(b, node_set_minus(final(x)->enabled, alike(x, a))) {
                        bool version = x->w->nodes[a - 1].version != x->w->nodes[b - 1].version;
                        const Cms *c = x->s->nodes[a - 1].cms, *d = x->s->nodes[b - 1].cms;
                        CmsProblem problem;

                        /* Whoever does not know of it yet has nothing to tell. */
                        if (!c || !d || !node_set_contains(c->others, b) || !node_set_contains(d->others, a))
                                continue;
                        problem = c->peers[b - 1].problem;
                        if (problem != (version ? CMS_PROBLEM_VERSION : CMS_PROBLEM_CONFIG_NODE))
                                world_fail(x->w,
                                           "n%" PRIu32 " does not tell that n%" PRIu32
                                           " is of another version or configuration, but %s",
                                           a,
                                           b,
                                           cms_problem_to_string(problem));
                }
}

/* Halves that fence each other again and again are another matter. */
static void stop_fencing(Swarm *x) {
        x->s->fencing = false;
        for (uint32_t id = 1; id <= x->w->n_nodes; id++)
                if (!x->w->nodes[id - 1].up && !node_set_contains(x->s->gone, id))
                        world_start(x->w, id, true);
}

/* Of those of the set who can decide a change. */
static int margin_now_and_then(const Swarm *x, NodeSet set) {
        const CmsConfig *now = cms_sim_file(x->s, cms_sim_file_in_force(x->s));

        set &= now->enabled;
        return MIN(margin(now, set), margin(final(x), set));
}

/* Those that are to work together: all that are alike but who is held off. A half that is quorate by proof
 * stays alone as long as the votes of the others that are not held off do not make it more than that. */
static NodeSet awaited_nodes(const Swarm *x) {
        NodeSet all = largest_alike(x), set = all, counted, quorum = working_quorum(x);

        NODE_SET_FOREACH(id, all)
                if (x->s->nodes[id - 1].cms && x->s->nodes[id - 1].cms->held)
                        node_set_remove(&set, id);
        counted = set;
        NODE_SET_FOREACH(id, set)
                if (!x->s->nodes[id - 1].cms || x->s->nodes[id - 1].cms->no_record)
                        node_set_remove(&counted, id);
        if (set != all && quorum != NODE_SET_EMPTY && margin_now_and_then(x, counted) <= 0)
                return quorum;
        return set;
}

/* One membership, and what the file says is in force; unless some are held off, and the others are no more
 * than half. */
static bool is_at_peace(const Swarm *x, NodeSet set) {
        if (!cms_sim_is_settled(x->w, x->s, set))
                return false;
        return x->s->files_differ || final_is_in_force(x, set) ||
               (set != largest_alike(x) && margin_now_and_then(x, set) <= 0);
}

/* For people: where each node stands. */
static void tell_standing(const Swarm *x) {
        char set[NODE_SET_TEXT_MAX], nodes[NODE_SET_TEXT_MAX], row[NODE_SET_TEXT_MAX], mid[MID_TEXT_MAX];

        world_trace(x->w, 0, "file %u is to be in force", x->final);
        for (uint32_t id = 1; id <= x->w->n_nodes; id++) {
                const Cms *c = x->s->nodes[id - 1].cms;
                const Membership *m = c ? cms_membership(c) : NULL;
                NodeSet waits;
                CmsConfigWait wait = c ? cms_config_wait(c, &waits) : CMS_CONFIG_WAIT_NONE;

                if (!c)
                        continue;
                world_trace(x->w,
                            id,
                            "%s in %s%s, works with file %u of %s, has file %u, hears %s, waits: %s %s",
                            cms_phase_to_string(c->phase),
                            node_set_format(m ? m->members : 0, set),
                            m && m->quorate ? " quorate" : "",
                            cms_sim_file_of_hash(x->s, c->config.hash),
                            mid_format(c->votings.committed.mid, mid),
                            x->s->file_of[id - 1],
                            node_set_format(c->row, row),
                            cms_config_wait_to_string(wait),
                            node_set_format(waits, nodes));
        }
}

/* Whether those that are to are one membership within the bound. */
static bool await_peace(Swarm *x, uint64_t start_usec, NodeSet *ret_set) {
        World *w = x->w;

        while (!w->failed && !is_at_peace(x, *ret_set = awaited_nodes(x)) &&
               w->now_usec - start_usec <= bound_usec(x)) {
                world_run_until(w, w->now_usec + 50 * USEC_PER_MSEC);
                confirm_gone(x);
                start_replaced(x);
        }
        if (!is_at_peace(x, *ret_set))
                tell_standing(x);
        return is_at_peace(x, *ret_set);
}

/* R21: a member crashes once too often. The others go on without it, and with nobody else either. */
static void judge_hold(Swarm *x) {
        World *w = x->w;
        uint32_t node = any_node(x);
        NodeSet rest = node_set_without(working_quorum(x), node);
        char set[NODE_SET_TEXT_MAX];

        if (!x->s->holds || w->failed || !node_set_contains(working_quorum(x), node) ||
            margin_now_and_then(x, rest) <= 0)
                return;
        world_crash(w, node, true);
        x->s->holds = false;
        x->s->hold_usec_of[node - 1] = USEC_PER_HOUR;
        world_start(w, node, true);
        world_run_until(w, w->now_usec + 10 * x->s->config.failure_usec);
        if (!w->failed && (working_quorum(x) != rest || !x->s->nodes[node - 1].cms->held))
                world_fail(w,
                           "n%" PRIu32 " is held off, and %s works",
                           node,
                           node_set_format(working_quorum(x), set));
}

/* R7: a file comes to all members within a moment. That takes one membership, and leaves nobody out. */
static void judge_change(Swarm *x) {
        CmsConfig config = *cms_sim_file(x->s, cms_sim_file_in_force(x->s));
        NodeSet all = config.enabled, left = all;
        uint64_t n = x->s->n_memberships;
        uint32_t id = node_set_lowest(all);
        unsigned number;

        if (x->w->failed || x->s->files_differ || x->s->n_files == CMS_SIM_FILES_MAX || is_large(x) ||
            id == 0 || working_quorum(x) != all || all != all_machines(x))
                return;
        config.votes[id - 1] ^= 1;
        if (margin(&config, all) <= 0)
                return;
        number = cms_sim_write_file(x->s, &config);
        while (left != NODE_SET_EMPTY) {
                do
                        id = (uint32_t) prng_between(&x->files, 1, x->w->n_nodes);
                while (!node_set_contains(left, id));
                node_set_remove(&left, id);
                cms_sim_give_file(x->w, x->s, id, number, true);
                world_run_until(x->w, x->w->now_usec + prng_below(&x->files, 5 * USEC_PER_MSEC));
        }
        world_run_until(x->w, x->w->now_usec + 2 * USEC_PER_SEC);
        if (x->w->failed)
                return;
        if (cms_sim_file_in_force(x->s) != number)
                world_fail(x->w, "all members want file %u, and it is not in force", number);
        else if (x->s->n_memberships - n != 1)
                world_fail(x->w,
                           "a change of configuration took %" PRIu64 " memberships",
                           x->s->n_memberships - n);
}

/* R10: heartbeats go on, and what is ordered gets from the coordinator to no member, or to all but one. Who
 * does not get through is left out and does not come and go; with it perhaps who did not answer of late
 * (R3). */
static bool is_without(Swarm *x, NodeSet out) {
        NodeSet now = working_quorum(x);

        return now != NODE_SET_EMPTY && (now & out) == NODE_SET_EMPTY;
}

static void press(Swarm *x, Actor *a, uint64_t usec) {
        uint64_t end_usec = x->w->now_usec + usec;

        while (!x->w->failed && x->w->now_usec < end_usec) {
                if (a->member && !a->blocked)
                        (void) actor_send(a, STALL_MESSAGE_BYTES);
                world_run_until(x->w, x->w->now_usec + x->s->config.failure_usec / 2);
        }
}

static void judge_narrow(Swarm *x, Actor *a, NodeSet from, NodeSet to, NodeSet out) {
        uint64_t failure_usec = x->s->config.failure_usec, end_usec = x->w->now_usec + 6 * failure_usec, n;

        x->w->found_out_usec = 0;
        world_narrow(x->w, from, to, WORLD_ALL_LINKS, STALL_BYTES);
        while (!x->w->failed && !is_without(x, out) && x->w->now_usec < end_usec)
                press(x, a, failure_usec / 2);
        if (!x->w->failed && !is_without(x, out))
                world_fail(x->w, "what is ordered stands still, and who holds it up is not left out");
        n = x->s->n_memberships;
        press(x, a, 15 * failure_usec);
        if (!x->w->failed && x->s->n_memberships - n > 7)
                world_fail(x->w, "who stands still is taken in and left out again and again");
}

static void judge_stall(Swarm *x) {
        const CmsConfig *now = cms_sim_file(x->s, cms_sim_file_in_force(x->s));
        NodeSet all = now->enabled, out, rest;
        bool own = prng_one_in(&x->prng, 2);
        const Membership *m;
        uint32_t first;
        Actor *a;

        if (!x->both || x->s->holds || x->w->failed || is_large(x) || node_set_count(all) < 3 ||
            working_quorum(x) != all)
                return;
        m = cms_membership(x->s->nodes[node_set_lowest(all) - 1].cms);
        first = m->rank[0];
        out = node_set_of(own ? first : m->rank[prng_between(&x->prng, 1, m->n_members - 1)]);
        rest = node_set_minus(all, out);
        if (margin(now, rest) <= 0)
                return;
        a = cluster_join(x->both->c, node_set_highest(rest), "g0", "press", GCS_JOIN_SNAPSHOT);
        world_run_until(x->w, x->w->now_usec + 2 * x->s->config.failure_usec);
        if (a->member && working_quorum(x) == all)
                judge_narrow(x, a, own ? out : rest, own ? rest : out, out);
}

/* Invariants 5 and 6. */
static void judge_peace(Swarm *x, SwarmResult *ret) {
        World *w = x->w;
        uint64_t start_usec = w->now_usec;
        NodeSet set = largest_alike(x);
        char text[NODE_SET_TEXT_MAX];
        bool possible;

        /* A silence that began before may still be noticed. */
        world_run_until(w, w->now_usec + 2 * x->s->config.failure_usec);
        possible = can_be_decided(x);
        if (!possible)
                stop_fencing(x);
        if (await_peace(x, start_usec, &set))
                ret->calm_usec = w->now_usec - start_usec;
        /* Datagrams of the time before are on their way for so long, and may cost one more change. */
        world_run_until(w, w->now_usec + MAX(3 * x->s->config.failure_usec, 2 * USEC_PER_SEC));
        if (!await_peace(x, w->now_usec, &set)) {
                if (possible)
                        world_fail(w,
                                   "no quorate membership of %s within %u FailureSec of peace",
                                   node_set_format(set, text),
                                   SWARM_BOUND_FAILURES);
                set = NODE_SET_EMPTY;
        }
        if (x->both)
                x->both->quiet = true;
        judge_steadiness(x, "a stable cluster changes its membership");
        judge_differences(x);
        if (x->both)
                both_judge(x->both, set, set == all_machines(x));
        judge_change(x);
        judge_hold(x);
        if (prng_one_in(&x->prng, 3))
                judge_stall(x);
}

/* Links stop changing, and not all of them work: if some complete set holds quorum, one such set must be at
 * work after the bound, and nobody may change anything any more. */
static void judge_broken_peace(Swarm *x) {
        World *w = x->w;
        NodeSet quorum;
        bool possible;

        break_for_good(x);
        stop_fencing(x);
        world_run_until(w, w->now_usec + bound_usec(x));
        if (w->failed)
                return;
        quorum = working_quorum(x);
        possible = is_majority(x, best_that_is_left(x)) && margin(final(x), best_that_is_left(x)) > 0;
        if (possible && quorum == NODE_SET_EMPTY)
                world_fail(w, "no quorate membership although the links that are left allow it");
        if (x->both)
                x->both->quiet = true;
        judge_steadiness(x, "the membership goes on changing although the links do not");
        if (x->both)
                both_judge(x->both, possible ? quorum : NODE_SET_EMPTY, false);
}

static void live(Swarm *x, SwarmResult *ret) {
        World *w = x->w;

        world_run_until(w, x->faults.end_usec);
        if (w->failed)
                return;
        faults_stop(&x->faults);
        if (x->both)
                x->both->peace = true;
        if (prng_one_in(&x->prng, 2))
                make_alike(x);
        look_at_votings(x);
        finish_change(x);
        if (largest_alike(x) != final(x)->enabled)
                stop_fencing(x);
        if (prng_one_in(&x->prng, is_large(x) ? 6 : 3))
                judge_broken_peace(x);
        else
                judge_peace(x, ret);
}

static void fill_result(const Swarm *x, SwarmResult *ret) {
        const World *w = x->w;

        ret->failed = w->failed;
        memcpy(ret->failure, w->failure, sizeof(ret->failure));
        if (w->failed)
                (void) snprintf(ret->check, sizeof(ret->check), "%s", w->check);
        ret->n_memberships = x->s->n_memberships;
        ret->n_fenced = x->s->n_fenced;
        ret->n_deliveries = x->both ? x->both->c->n_delivered : 0;
        ret->failure_usec = x->s->config.failure_usec;
        memcpy(ret->n_faults, x->faults.n, sizeof(ret->n_faults));
        ret->counts = w->counts;
}

void swarm_run(const SwarmOptions *options, uint64_t seed, SwarmResult *ret) {
        static const uint64_t beats[] = { 100000, 100000, 20000, 50000 };
        Swarm x = { 0 };
        Prng holds;
        uint64_t beat, begin_usec;

        *ret = (SwarmResult){ .seed = seed };
        prng_init(&x.prng, seed ^ UINT64_C(0x5eed));
        prng_init(&x.faults.prng, seed ^ UINT64_C(0xfa17));
        prng_init(&x.files, seed ^ UINT64_C(0xf11e));
        ret->n_nodes = (unsigned) prng_between(&x.prng, options->nodes_min, options->nodes_max);
        x.w = x.faults.w = world_new(seed, ret->n_nodes, (unsigned) prng_between(&x.prng, 1, 2));
        x.w->tracing = options->trace;
        if (options->trace)
                traced = x.w;
        beat = beats[is_large(&x) ? 0 : prng_below(&x.prng, ELEMENTSOF(beats))];
        x.s = x.faults.s = cms_sim_new(x.w, beat, beat * prng_between(&x.prng, 3, 6));
        x.s->fault = options->fault;
        x.w->found_out_usec = 4 * x.s->config.failure_usec;
        prng_init(&holds, seed ^ UINT64_C(0x401d));
        x.s->holds = prng_one_in(&holds, 3);
        if (!options->only_membership)
                x.both = both_attach(x.w, x.s, seed);
        begin_usec = x.w->now_usec;

        set_up(&x, options);
        live(&x, ret);

        ret->simulated_usec = x.w->now_usec - begin_usec;
        fill_result(&x, ret);
        if (options->trace)
                swarm_print_trace(options->trace_lines);
        traced = NULL;
        /* The world stops its actors, which live in the others. */
        if (x.both) {
                (void) both_free(x.both);
                return;
        }
        (void) world_free(x.w);
        (void) cms_sim_free(x.s);
}
