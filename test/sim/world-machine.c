/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world-internal.h"

#include <inttypes.h>

/* ---- clocks ---- */

#define PPM 1000000

static bool clock_stands(const WorldNode *n) {
        return n->paused && n->rest == WORLD_REST_STOP;
}

uint64_t world_clock(const World *w, uint32_t id) {
        const WorldNode *n = &w->nodes[id - 1];
        uint64_t passed = clock_stands(n) ? 0 : w->now_usec - n->clock_base_usec;

        if (n->clock_ppm == 0)
                return n->clock_usec + passed;
        return n->clock_usec + (uint64_t) ((int64_t) passed * (PPM + n->clock_ppm) / PPM);
}

uint64_t world_time(const World *w, uint32_t id, uint64_t clock_usec) {
        const WorldNode *n = &w->nodes[id - 1];
        uint64_t ahead = usec_sub(clock_usec, n->clock_usec), rate = (uint64_t) (PPM + n->clock_ppm);

        if (clock_usec == USEC_INFINITY)
                return USEC_INFINITY;
        if (n->clock_ppm == 0)
                return MAX(n->clock_base_usec + ahead, w->now_usec);
        return MAX(n->clock_base_usec + (ahead * PPM + rate - 1) / rate, w->now_usec);
}

static void set_clock(World *w, WorldNode *n, uint64_t clock_usec) {
        n->clock_usec = clock_usec;
        n->clock_base_usec = w->now_usec;
}

void world_set_clock_rate(World *w, uint32_t id, int ppm) {
        WorldNode *n = world_node(w, id);

        set_clock(w, n, world_clock(w, id));
        n->clock_ppm = ppm;
        world_trace(w, id, "clock runs %d ppm too fast", ppm);
}

/* ---- wake-ups ---- */

static void plan_wakeup(World *w, uint32_t id, WorldChannel channel, uint64_t at_usec) {
        world_push(w,
                   (WorldEvent){
                                   .at_usec = world_time(w, id, at_usec),
                                   .type = WORLD_EVENT_WAKEUP,
                                   .node = id,
                                   .wakeup = { world_node(w, id)->life, at_usec, channel },
                   });
}

void world_set_wakeup(World *w, uint32_t id, WorldChannel channel, uint64_t at_usec) {
        WorldNode *n = world_node(w, id);

        if (n->wakeup_usec[channel] == at_usec)
                return;
        n->wakeup_usec[channel] = at_usec;
        if (at_usec != USEC_INFINITY)
                plan_wakeup(w, id, channel, at_usec);
}

static void wake_now(World *w, uint32_t id, WorldChannel channel) {
        WorldNode *n = world_node(w, id);

        n->wakeup_usec[channel] = USEC_INFINITY;
        w->counts.n_steps++;
        w->actors[channel]->wakeup(w, id, n->state[channel], w->userdata[channel]);
        world_stepped(w, id);
}

void world_wake(World *w, const WorldEvent *e) {
        WorldNode *n = world_node(w, e->node);
        WorldChannel channel = e->wakeup.channel;

        if (!n->up || n->life != e->wakeup.life || n->wakeup_usec[channel] != e->wakeup.clock_usec)
                return;
        if (world_is_away(w, e->node))
                n->missed_wakeup[channel] = true;
        else if (world_clock(w, e->node) < e->wakeup.clock_usec)
                plan_wakeup(w, e->node, channel, e->wakeup.clock_usec); /* its clock stood still */
        else
                wake_now(w, e->node, channel);
}

/* ---- slow machines ---- */

bool world_is_away(const World *w, uint32_t id) {
        const WorldNode *n = &w->nodes[id - 1];

        return n->paused || w->now_usec < n->busy_until_usec;
}

static void plan_ready(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);

        if (n->ready_planned)
                return;
        n->ready_planned = true;
        world_push(w,
                   (WorldEvent){ .at_usec = n->busy_until_usec,
                                 .type = WORLD_EVENT_READY,
                                 .node = id,
                                 .written = { .life = n->life } });
}

void world_stepped(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);

        if (!n->up || n->step_usec == 0)
                return;
        n->busy_until_usec = w->now_usec + n->step_usec;
        plan_ready(w, id);
}

/* One thing of those that came meanwhile: a timer that is overdue, the finished write, a full socket. */
static bool catch_up(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);

        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (n->missed_wakeup[ch]) {
                        n->missed_wakeup[ch] = false;
                        if (n->wakeup_usec[ch] == USEC_INFINITY)
                                continue;
                        if (world_clock(w, id) < n->wakeup_usec[ch]) {
                                plan_wakeup(w, id, ch, n->wakeup_usec[ch]);
                                continue;
                        }
                        wake_now(w, id, ch);
                        return true;
                }
        if (n->has_missed_stored) {
                n->has_missed_stored = false;
                n->store.busy = false;
                world_tell_stored(w, id, n->missed_stored_ok);
                world_begin_write(w, id);
                return true;
        }
        if (n->n_backlog > 0) {
                WorldWaiting d = n->backlog[0];

                memmove(n->backlog, n->backlog + 1, --n->n_backlog * sizeof(n->backlog[0]));
                world_hand_over(w, id, d);
                return true;
        }
        return false;
}

static void catch_up_all(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);
        uint64_t life = n->life;

        while (n->up && n->life == life && !w->failed && !world_is_away(w, id) && catch_up(w, id))
                ;
}

void world_ready(World *w, const WorldEvent *e) {
        WorldNode *n = world_node(w, e->node);

        if (!n->up || n->life != e->written.life)
                return;
        n->ready_planned = false;
        catch_up_all(w, e->node);
        /* Something else came at this very moment. */
        if (n->up && !n->paused && w->now_usec < n->busy_until_usec)
                plan_ready(w, e->node);
}

void world_slow(World *w, uint32_t id, uint64_t step_usec) {
        WorldNode *n = world_node(w, id);

        if (n->step_usec == step_usec)
                return;
        world_trace(w, id, "each step takes %" PRIu64 " usec", step_usec);
        n->step_usec = step_usec;
}

/* ---- rest ---- */

void world_rest(World *w, uint32_t id, WorldRest rest) {
        static const char *const texts[] = {
                [WORLD_REST_PAUSE] = "pauses",
                [WORLD_REST_SUSPEND] = "is suspended",
                [WORLD_REST_STOP] = "is stopped by its host",
        };
        WorldNode *n = world_node(w, id);

        if (!n->up || n->paused)
                return;
        world_trace(w, id, "%s", texts[rest]);
        if (rest == WORLD_REST_STOP) {
                set_clock(w, n, world_clock(w, id));
                n->stood_usec = n->clock_usec;
        }
        n->paused = true;
        n->rest = rest;
}

void world_pause(World *w, uint32_t id) {
        world_rest(w, id, WORLD_REST_PAUSE);
}

void world_resume(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);

        if (!n->up || !n->paused)
                return;
        world_trace(w, id, "goes on");
        if (n->rest == WORLD_REST_STOP)
                n->clock_base_usec = w->now_usec;
        n->paused = false;
        for (unsigned l = 0; l < w->n_links; l++)
                world_tell_carrier(w, id, l);
        catch_up_all(w, id);
        if (!n->up || n->paused)
                return;
        world_begin_write(w, id);
        if (w->now_usec < n->busy_until_usec)
                plan_ready(w, id);
}

/* ---- life and death ---- */

void world_set_version(World *w, uint32_t id, unsigned version) {
        assert(!world_node(w, id)->up);
        world_trace(w, id, "is of version %u now", version);
        world_node(w, id)->version = version;
}

void world_start(World *w, uint32_t id, bool new_boot) {
        WorldNode *n = world_node(w, id);
        const WorldSlot *slot = world_newest_slot(&n->store);

        assert(!n->up);
        n->up = true;
        n->paused = n->ready_planned = false;
        n->busy_until_usec = 0;
        n->life++;
        n->started_usec = w->now_usec;
        if (new_boot || n->off || n->boot == 0) {
                n->off = false;
                n->boot++;
                n->stood_usec = 0;
                set_clock(w, n, prng_below(&w->prng, USEC_PER_DAY));
        }
        world_trace(w, id, "starts (life %" PRIu64 ", boot %" PRIu64 ")", n->life, n->boot);
        w->counts.n_restarts++;
        n->store.busy = n->store.dirty = false;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++) {
                n->store.wanted[ch] = slot ? slot->parts[ch] : (WorldPart){ 0 };
                n->store.wanted[ch].number = 0;
                n->wakeup_usec[ch] = USEC_INFINITY;
                n->missed_wakeup[ch] = false;
        }
        n->has_missed_stored = false;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch])
                        n->state[ch] = w->actors[ch]->start(w, id, w->userdata[ch]);
        world_stepped(w, id);
}

void world_end_life(World *w, uint32_t id, WorldWriteFate fate) {
        static const char *const texts[] = {
                [WORLD_WRITE_LOST] = " before its write",
                [WORLD_WRITE_DONE] = " after its write",
                [WORLD_WRITE_TORN] = " in the middle of its write",
        };
        WorldNode *n = world_node(w, id);

        assert(n->up);
        world_trace(w, id, "dies%s", n->store.busy ? texts[fate] : "");
        w->counts.n_crashes++;
        world_cut_short(w, id, fate);
        if (clock_stands(n))
                n->clock_base_usec = w->now_usec;
        n->up = n->paused = false;
        n->died_usec = w->now_usec;
        for (unsigned i = 0; i < n->n_backlog; i++)
                world_payload_unref(n->backlog[i].payload);
        n->n_backlog = 0;
        for (WorldChannel ch = _WORLD_CHANNEL_MAX; ch-- > 0;)
                if (w->actors[ch] && n->state[ch]) {
                        w->actors[ch]->stop(w, id, n->state[ch], w->userdata[ch]);
                        n->state[ch] = NULL;
                }
}

void world_crash(World *w, uint32_t id, bool keep_last_write) {
        world_end_life(w, id, keep_last_write ? WORLD_WRITE_DONE : WORLD_WRITE_LOST);
}

void world_power_off(World *w, uint32_t id, WorldWriteFate fate) {
        WorldNode *n = world_node(w, id);

        if (n->up)
                world_end_life(w, id, fate);
        n->off = true;
        n->died_usec = w->now_usec;
}
