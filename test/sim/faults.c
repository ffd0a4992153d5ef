/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/faults.h"

#include <inttypes.h>

/* They come from a generator of their own, so that what the network does to a datagram does not change what
 * happens next to the cluster.
 *
 * One fault is not here: storage that comes back older than what its node promised by it (a restored backup,
 * a disk that lies about syncing). A node cannot know it, and others know it only while they remember that
 * node; when enough of them forget at the same time, no rule keeps a number from being used twice, or an old
 * history from being taken for the newest: R4 and R8 rest on what was written being there. What holds as
 * long as a quorum of the others remembers is told in story-faults.c. */

static const char *const fault_kind_table[_FAULT_MAX] = {
        [FAULT_CRASH] = "crash",
        [FAULT_POWER_LOSS] = "power-loss",
        [FAULT_BLACKOUT] = "blackout",
        [FAULT_STORM] = "storm",
        [FAULT_RESTARTS] = "restarts",
        [FAULT_PAUSE] = "pause",
        [FAULT_SUSPEND] = "suspend",
        [FAULT_STOP_BY_HOST] = "stop-by-host",
        [FAULT_CUT_ONE_WAY] = "cut-one-way",
        [FAULT_CUT_TWO_WAY] = "cut-two-way",
        [FAULT_CUT_LINK] = "cut-link",
        [FAULT_MESH] = "mesh",
        [FAULT_PARTITION] = "partition",
        [FAULT_EVEN_SPLIT] = "even-split",
        [FAULT_ISOLATE] = "isolate",
        [FAULT_DEAF] = "deaf",
        [FAULT_FLAP] = "flap",
        [FAULT_HEAL] = "heal",
        [FAULT_CARRIER] = "carrier",
        [FAULT_SLOW_NODE] = "slow-node",
        [FAULT_SLOW_WAY] = "slow-way",
        [FAULT_NARROW] = "narrow",
        [FAULT_SLOW_CPU] = "slow-cpu",
        [FAULT_LEAVE] = "leave",
        [FAULT_WIPE] = "wipe",
        [FAULT_DISK_FULL] = "disk-full",
        [FAULT_DISK_HUNG] = "disk-hung",
        [FAULT_VERSION] = "version",
        [FAULT_CONFIG] = "config",
};

const char *fault_kind_to_string(FaultKind i) {
        return i >= 0 && i < _FAULT_MAX ? fault_kind_table[i] : NULL;
}

FaultKind fault_kind_from_string(const char *s) {
        for (FaultKind i = 0; i < _FAULT_MAX; i++)
                if (streq(fault_kind_table[i], s))
                        return i;
        return _FAULT_INVALID;
}

bool faults_parse(const char *text, unsigned ret_weight[static _FAULT_MAX]) {
        char copy[512], *save = NULL;
        bool any = false;

        if (strlen(text) >= sizeof(copy))
                return false;
        memcpy(copy, text, strlen(text) + 1);
        memset(ret_weight, 0, _FAULT_MAX * sizeof(*ret_weight));
        for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
                char *rate = strchr(part, '=');
                FaultKind kind;

                if (rate)
                        *rate++ = '\0';
                kind = fault_kind_from_string(part);
                if (kind < 0)
                        return false;
                ret_weight[kind] = rate ? (unsigned) strtoul(rate, NULL, 10) : 1;
                any = any || ret_weight[kind] > 0;
        }
        return any;
}

/* ---- by lot ---- */

static uint32_t any_node(Faults *f) {
        return (uint32_t) prng_between(&f->prng, 1, f->w->n_nodes);
}

static NodeSet all_nodes(const Faults *f) {
        return NODE_SET_ALL >> (NODE_ID_MAX - f->w->n_nodes);
}

static NodeSet any_set(Faults *f) {
        return prng_u64(&f->prng) & all_nodes(f);
}

static bool one_in(Faults *f, uint64_t n) {
        return prng_one_in(&f->prng, n);
}

static uint64_t msec_between(Faults *f, uint64_t low, uint64_t high) {
        return prng_between(&f->prng, low, high) * USEC_PER_MSEC;
}

static bool is_over(const Faults *f) {
        return f->w->now_usec >= f->end_usec;
}

/* ---- what ends by itself ---- */

static void at(Faults *f, uint64_t after_usec, WorldCallback callback, uint64_t a, uint64_t b) {
        world_at(f->w, f->w->now_usec + after_usec, callback, a, b, f);
}

static void start_again(World *w, uint64_t node, uint64_t boot, void *userdata) {
        const Faults *f = userdata;

        if (!w->nodes[node - 1].up && !node_set_contains(f->s->gone, (uint32_t) node))
                world_start(w, (uint32_t) node, boot != 0);
}

static void resume(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_resume(w, (uint32_t) node);
}

static void hasten(World *w, uint64_t node, uint64_t b, void *userdata) {
        world_slow(w, (uint32_t) node, 0);
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

/* ---- machines ---- */

static void crash(Faults *f, uint32_t node, uint64_t back_after_usec) {
        World *w = f->w;
        bool keep = one_in(f, 2);

        if (!w->nodes[node - 1].up)
                return;
        if (one_in(f, 2))
                cms_sim_crash_with_gasp(w, f->s, node, keep);
        else
                world_crash(w, node, keep);
        at(f, back_after_usec, start_again, node, one_in(f, 2));
}

static void lose_power(Faults *f, uint32_t node, uint64_t back_after_usec) {
        world_power_off(f->w, node, (WorldWriteFate) prng_below(&f->prng, WORLD_WRITE_TORN + 1));
        at(f, back_after_usec, start_again, node, 1);
}

/* As soon as it writes again, which may be never. */
static void lose_power_in_write(Faults *f, uint32_t node) {
        world_doom_write(f->w, node, (WorldWriteFate) prng_below(&f->prng, WORLD_WRITE_TORN + 1));
        for (unsigned i = 1; i <= 3; i++)
                at(f, i * msec_between(f, 500, 3000), start_again, node, 1);
}

static void crash_again(World *w, uint64_t node, uint64_t left, void *userdata) {
        Faults *f = userdata;

        if (is_over(f))
                return;
        crash(f, (uint32_t) node, msec_between(f, 1, 300));
        if (left > 1)
                at(f, msec_between(f, 300, 900), crash_again, node, left - 1);
}

static void rest(Faults *f, uint32_t node, WorldRest how) {
        world_rest(f->w, node, how);
        at(f, msec_between(f, 20, one_in(f, 3) ? 4000 : 500), resume, node, 0);
}

static void slow_cpu(Faults *f, uint32_t node) {
        world_slow(f->w, node, one_in(f, 2) ? prng_between(&f->prng, 100, 3000) : msec_between(f, 3, 40));
        at(f, msec_between(f, 500, 8000), hasten, node, 0);
}

static void leave(Faults *f, uint32_t node) {
        World *w = f->w;
        WorldNode *n = &w->nodes[node - 1];

        if (!n->up || n->paused)
                return;
        world_trace(w, node, "is asked to leave");
        cms_sim_feed(w, f->s, node, (CmsEvent){ .type = CMS_EVENT_LEAVE, .leave = { one_in(f, 3) } });
        at(f, msec_between(f, 1200, 1250), stop_left, node, n->life);
        at(f, msec_between(f, 1300, 4000), start_again, node, 0);
}

/* Down for a moment, for what can only change then; false if it is down already for another reason. */
static bool take_down(Faults *f, uint32_t node, uint64_t low_msec, uint64_t high_msec) {
        if (!f->w->nodes[node - 1].up)
                return false;
        crash(f, node, msec_between(f, low_msec, high_msec));
        return true;
}

/* ---- configuration ---- */

static uint32_t any_of(Faults *f, NodeSet set) {
        uint32_t id;

        do
                id = any_node(f);
        while (!node_set_contains(set, id));
        return id;
}

static void give_later(World *w, uint64_t node, uint64_t number, void *userdata) {
        const Faults *f = userdata;

        if (!is_over(f) && f->s->file_of[node - 1] < number)
                cms_sim_give_file(w, f->s, (uint32_t) node, (unsigned) number, true);
}

static void drop_node(Faults *f, CmsConfig *config, bool remove) {
        uint32_t node = any_of(f, config->configured);

        if (node_set_without(config->enabled, node) == NODE_SET_EMPTY)
                return;
        node_set_remove(&config->enabled, node);
        if (remove)
                node_set_remove(&config->configured, node);
        /* As a rule it is stopped before. */
        if (!one_in(f, 3))
                leave(f, node);
}

static void add_node(Faults *f, CmsConfig *config) {
        uint32_t node = any_node(f);

        node_set_add(&config->configured, node);
        node_set_add(&config->enabled, node);
        config->votes[node - 1] = 1;
}

static void replace_node(Faults *f, CmsConfig *config) {
        uint32_t node = any_of(f, config->configured);

        config->identity[node - 1]++;
        if (one_in(f, 2))
                leave(f, node);
}

static void change_file(Faults *f, CmsConfig *config) {
        switch (prng_below(&f->prng, 8)) {
        case 0:
        case 1:
                config->votes[any_of(f, config->enabled) - 1] = (uint8_t) prng_below(&f->prng, 4);
                break;
        case 2:
                config->tie_breaker = any_of(f, config->enabled);
                break;
        case 3:
                drop_node(f, config, false);
                break;
        case 4:
                drop_node(f, config, true);
                break;
        case 5:
                node_set_add(&config->enabled, any_of(f, config->configured));
                break;
        case 6:
                add_node(f, config);
                break;
        default:
                replace_node(f, config);
                break;
        }
        if (!node_set_contains(config->enabled, config->tie_breaker))
                config->tie_breaker = node_set_lowest(config->enabled);
        if (config->votes[config->tie_breaker - 1] == 0)
                config->votes[config->tie_breaker - 1] = 1;
}

/* Half of the time it comes to all of them at once. */
static void configure(Faults *f) {
        CmsSim *s = f->s;
        CmsConfig config = *cms_sim_file(s, s->n_files);
        bool to_all = one_in(f, 2);
        unsigned number;

        if (s->n_files == CMS_SIM_FILES_MAX)
                return;
        change_file(f, &config);
        number = cms_sim_write_file(s, &config);
        NODE_SET_FOREACH(id, all_nodes(f))
                switch (to_all ? 1 : prng_below(&f->prng, 4)) {
                case 0:
                        cms_sim_give_file(f->w, s, id, number, false);
                        break;
                case 1:
                        cms_sim_give_file(f->w, s, id, number, true);
                        break;
                case 2:
                        at(f, msec_between(f, 1, 5000), give_later, id, number);
                        break;
                default:
                        break;
                }
}

/* ---- links ---- */

static void cut_both_ways(World *w, NodeSet a, NodeSet b) {
        world_cut(w, a, b, WORLD_ALL_LINKS);
        world_cut(w, b, a, WORLD_ALL_LINKS);
}

static void partition(Faults *f, NodeSet a) {
        NodeSet b = node_set_minus(all_nodes(f), a);

        world_cut(f->w, a, b, WORLD_ALL_LINKS);
        if (!one_in(f, 4))
                world_cut(f->w, b, a, WORLD_ALL_LINKS);
}

/* By number, that is, for without votes of their own these are halves. */
static NodeSet any_half(Faults *f) {
        NodeSet set = NODE_SET_EMPTY;
        unsigned n = f->w->n_nodes / 2;

        while (node_set_count(set) < n)
                node_set_add(&set, any_node(f));
        return set;
}

static void mesh(Faults *f) {
        uint64_t n = prng_between(&f->prng, 2, 8);

        for (uint32_t a = 1; a <= f->w->n_nodes; a++)
                for (uint32_t b = a + 1; b <= f->w->n_nodes; b++)
                        if (one_in(f, n))
                                cut_both_ways(f->w, node_set_of(a), node_set_of(b));
}

static void flap_off(World *w, uint64_t a, uint64_t b, void *userdata) {
        if (!is_over(userdata))
                world_cut(w, node_set_of((uint32_t) a), node_set_of((uint32_t) b), WORLD_ALL_LINKS);
}

static void flap_on(World *w, uint64_t a, uint64_t b, void *userdata) {
        world_heal(w, node_set_of((uint32_t) a), node_set_of((uint32_t) b), WORLD_ALL_LINKS);
}

static void flap(Faults *f, uint32_t a, uint32_t b) {
        uint64_t period = msec_between(f, 50, 2000);
        bool both = one_in(f, 2);

        for (unsigned i = 0; i < 6; i++) {
                at(f, i * period, flap_off, a, b);
                at(f, i * period + period / 2, flap_on, a, b);
                if (!both)
                        continue;
                at(f, i * period, flap_off, b, a);
                at(f, i * period + period / 2, flap_on, b, a);
        }
}

/* For good, as far as it goes: until everything heals, or the same ways are chosen again. A heartbeat of
 * three nodes is 200 bytes long, of sixteen 400. */
static void narrow(Faults *f, uint32_t a, uint32_t b) {
        NodeSet from = one_in(f, 3) ? any_set(f) : node_set_of(a),
                to = one_in(f, 3) ? all_nodes(f) : node_set_of(b);
        unsigned link = one_in(f, 2) ? WORLD_ALL_LINKS : (unsigned) prng_below(&f->prng, f->w->n_links);

        world_narrow(f->w, from, to, link, (uint32_t) prng_between(&f->prng, 150, 1500));
}

static void lose_carrier(Faults *f, uint32_t node) {
        unsigned link = (unsigned) prng_below(&f->prng, f->w->n_links);

        world_carrier(f->w, node, link, false);
        at(f, msec_between(f, 50, 3000), mend_carrier, node, link);
}

/* ---- all of them ---- */

void faults_inject(Faults *f, FaultKind kind) {
        World *w = f->w;
        uint32_t a = any_node(f), b = any_node(f);
        NodeSet all = all_nodes(f), one = node_set_of(a), other = node_set_of(b);

        f->n[kind]++;
        switch (kind) {
        case FAULT_CRASH:
                crash(f, a, msec_between(f, 50, 5000));
                break;
        case FAULT_POWER_LOSS:
                if (one_in(f, 3))
                        lose_power(f, a, msec_between(f, 50, 5000));
                else
                        lose_power_in_write(f, a);
                break;
        case FAULT_BLACKOUT:
                NODE_SET_FOREACH(id, all)
                        lose_power(f, id, msec_between(f, 100, 3000));
                break;
        case FAULT_STORM:
                NODE_SET_FOREACH(id, any_set(f))
                        crash(f, id, msec_between(f, 10, 1500));
                break;
        case FAULT_RESTARTS:
                crash_again(w, a, prng_between(&f->prng, 3, 8), f);
                break;
        case FAULT_PAUSE:
                rest(f, a, WORLD_REST_PAUSE);
                break;
        case FAULT_SUSPEND:
                rest(f, a, WORLD_REST_SUSPEND);
                break;
        case FAULT_STOP_BY_HOST:
                rest(f, a, WORLD_REST_STOP);
                break;
        case FAULT_CUT_ONE_WAY:
                world_cut(w, one, other, WORLD_ALL_LINKS);
                break;
        case FAULT_CUT_TWO_WAY:
                cut_both_ways(w, one, other);
                break;
        case FAULT_CUT_LINK:
                world_cut(w, any_set(f), any_set(f), (unsigned) prng_below(&f->prng, w->n_links));
                break;
        case FAULT_MESH:
                mesh(f);
                break;
        case FAULT_PARTITION:
                partition(f, any_set(f));
                break;
        case FAULT_EVEN_SPLIT:
                partition(f, any_half(f));
                break;
        case FAULT_ISOLATE:
                cut_both_ways(w, all, one);
                break;
        case FAULT_DEAF:
                world_cut(w, all, one, WORLD_ALL_LINKS);
                break;
        case FAULT_FLAP:
                flap(f, a, b);
                break;
        case FAULT_HEAL:
                world_heal_all(w);
                break;
        case FAULT_CARRIER:
                lose_carrier(f, a);
                break;
        case FAULT_SLOW_NODE:
                world_lengthen(w, all, one, msec_between(f, 0, 150));
                break;
        case FAULT_SLOW_WAY:
                world_lengthen(w, one_in(f, 2) ? one : any_set(f), other, msec_between(f, 0, 300));
                break;
        case FAULT_NARROW:
                narrow(f, a, b);
                break;
        case FAULT_SLOW_CPU:
                slow_cpu(f, a);
                break;
        case FAULT_LEAVE:
                leave(f, a);
                break;
        case FAULT_WIPE:
                if (take_down(f, a, 500, 3000))
                        world_wipe(w, a);
                break;
        case FAULT_DISK_FULL:
        case FAULT_DISK_HUNG:
                world_disk(w, a, kind == FAULT_DISK_FULL, kind == FAULT_DISK_HUNG);
                at(f, msec_between(f, 100, 5000), mend_disk, a, 0);
                break;
        case FAULT_VERSION:
                if (take_down(f, a, 10, 1000))
                        world_set_version(w, a, w->nodes[a - 1].version ^ 1);
                break;
        case FAULT_CONFIG:
                configure(f);
                break;
        case _FAULT_MAX:
        case _FAULT_INVALID:
                break;
        }
}

/* ---- in time ---- */

static FaultKind any_kind(Faults *f) {
        uint64_t sum = 0, k;

        for (FaultKind i = 0; i < _FAULT_MAX; i++)
                sum += f->weight[i];
        k = prng_below(&f->prng, sum);
        for (FaultKind i = 0; i < _FAULT_MAX; i++) {
                if (k < f->weight[i])
                        return i;
                k -= f->weight[i];
        }
        ASSERT_NOT_REACHED();
}

static void next_fault(World *w, uint64_t a, uint64_t b, void *userdata) {
        Faults *f = userdata;

        if (is_over(f))
                return;
        faults_inject(f, any_kind(f));
        at(f, prng_between(&f->prng, 1, 2 * f->every_usec), next_fault, 0, 0);
}

/* A fifth of all kinds at a time, some often and some seldom: together all of them would hide each other. */
void faults_choose(Faults *f, const unsigned *weight) {
        bool any = false;

        f->every_usec = msec_between(f, 100, 3000);
        if (weight) {
                memcpy(f->weight, weight, sizeof(f->weight));
                return;
        }
        while (!any)
                for (FaultKind i = 0; i < _FAULT_MAX; i++) {
                        f->weight[i] = one_in(f, 5) ? 1U << prng_below(&f->prng, 4) : 0;
                        any = any || f->weight[i] > 0;
                }
}

void faults_begin(Faults *f, uint64_t end_usec) {
        f->end_usec = end_usec;
        at(f, msec_between(f, 0, 3000), next_fault, 0, 0);
}

static bool is_leaving(const CmsSim *s, uint32_t id) {
        return s->nodes[id - 1].leaving || s->nodes[id - 1].cms->phase == CMS_PHASE_LEAVING;
}

void faults_stop(Faults *f) {
        World *w = f->w;

        world_trace(w, 0, "the faults stop");
        world_heal_all(w);
        w->knobs = (WorldKnobs){
                .delay_min_usec = 50,
                .delay_max_usec = 2000,
                .write_min_usec = 500,
                .write_max_usec = 5 * USEC_PER_MSEC,
        };
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                world_disk(w, id, false, false);
                w->nodes[id - 1].store.doomed = false;
                world_slow(w, id, 0);
                world_resume(w, id);
                if (w->nodes[id - 1].up && is_leaving(f->s, id))
                        world_crash(w, id, true);
                if (!w->nodes[id - 1].up)
                        world_start(w, id, true);
        }
}
