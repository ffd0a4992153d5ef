/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world-internal.h"

/* One write at a time; what came meanwhile goes with the next. */

const WorldSlot *world_newest_slot(const WorldStore *s) {
        const WorldSlot *newest = s->slots[0].sequence >= s->slots[1].sequence ? &s->slots[0] : &s->slots[1];

        return newest->sequence > 0 ? newest : NULL;
}

/* The one that the next write goes over. */
static WorldSlot *older_slot(WorldStore *s) {
        return s->slots[0].sequence >= s->slots[1].sequence ? &s->slots[1] : &s->slots[0];
}

static void fill_slot(WorldStore *s) {
        const WorldSlot *newest = world_newest_slot(s);
        uint64_t sequence = newest ? newest->sequence + 1 : 1;
        WorldSlot *slot = older_slot(s);

        memcpy(slot->parts, s->writing, sizeof(slot->parts));
        slot->sequence = sequence;
}

static void lose_power(World *w, uint64_t id, uint64_t fate, void *userdata) {
        WorldNode *n = &w->nodes[id - 1];

        if (!n->up || !n->store.busy || !n->store.doomed)
                return;
        n->store.doomed = false;
        world_power_off(w, (uint32_t) id, (WorldWriteFate) fate);
}

void world_doom_write(World *w, uint32_t id, WorldWriteFate fate) {
        WorldStore *s = &world_node(w, id)->store;

        s->doomed = true;
        s->doom = fate;
}

void world_begin_write(World *w, uint32_t id) {
        WorldNode *n = world_node(w, id);
        WorldStore *s = &n->store;
        const WorldKnobs *k = &w->knobs;
        uint64_t duration;

        if (s->busy || !s->dirty || s->hung)
                return;
        memcpy(s->writing, s->wanted, sizeof(s->writing));
        s->busy = true;
        s->dirty = false;
        w->counts.n_writes++;
        duration = prng_between(&w->prng, k->write_min_usec, k->write_max_usec);
        if (world_happens(w, k->write_slow_ppm))
                duration += prng_below(&w->prng, k->write_slow_usec + 1);
        if (s->doomed)
                world_at(w, w->now_usec + duration / 2, lose_power, id, s->doom, NULL);
        world_push(w,
                   (WorldEvent){
                                   .at_usec = w->now_usec + duration,
                                   .type = WORLD_EVENT_WRITTEN,
                                   .node = id,
                                   .written = { n->life, !s->full && !world_happens(w, k->write_fail_ppm) },
                   });
}

/* A part that was never wanted in this life has number 0 and nobody waits for it. */
void world_tell_stored(World *w, uint32_t id, bool ok) {
        WorldNode *n = world_node(w, id);
        uint64_t numbers[_WORLD_CHANNEL_MAX];

        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                numbers[ch] = n->store.writing[ch].number;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch] && numbers[ch] > 0) {
                        w->counts.n_steps++;
                        w->actors[ch]->stored(w, id, n->state[ch], numbers[ch], ok, w->userdata[ch]);
                }
        world_stepped(w, id);
}

void world_end_write(World *w, const WorldEvent *e) {
        WorldNode *n = world_node(w, e->node);
        WorldStore *s = &n->store;

        if (!n->up || n->life != e->written.life)
                return;
        /* It ends when the disk comes back, or the machine that sleeps. */
        if (s->hung || (n->paused && n->rest != WORLD_REST_PAUSE)) {
                WorldEvent later = *e;

                later.at_usec = w->now_usec + 20 * USEC_PER_MSEC;
                world_push(w, later);
                return;
        }
        if (e->written.ok)
                fill_slot(s);
        else {
                /* It was written over in part. */
                older_slot(s)->sequence = 0;
                w->counts.n_write_failures++;
        }
        if (world_is_away(w, e->node)) {
                /* Told when it goes on; no other write begins before that. */
                n->has_missed_stored = true;
                n->missed_stored_ok = e->written.ok;
                return;
        }
        s->busy = false;
        world_tell_stored(w, e->node, e->written.ok);
        world_begin_write(w, e->node);
}

void world_cut_short(World *w, uint32_t id, WorldWriteFate fate) {
        WorldStore *s = &world_node(w, id)->store;

        if (!s->busy || world_node(w, id)->has_missed_stored)
                return;
        if (fate == WORLD_WRITE_DONE && !s->full)
                fill_slot(s);
        else if (fate == WORLD_WRITE_TORN) {
                older_slot(s)->sequence = 0;
                w->counts.n_torn++;
        }
}

void world_put(World *w,
               uint32_t id,
               WorldChannel channel,
               uint64_t number,
               const void *data,
               size_t size_bytes) {
        WorldStore *s = &world_node(w, id)->store;

        assert(size_bytes <= WORLD_PART_MAX);
        memcpy(s->wanted[channel].data, data, size_bytes);
        s->wanted[channel].size_bytes = size_bytes;
        s->wanted[channel].number = number;
}

void world_store(
                World *w,
                uint32_t id,
                WorldChannel channel,
                uint64_t number,
                const void *data,
                size_t size_bytes) {
        world_put(w, id, channel, number, data, size_bytes);
        world_node(w, id)->store.dirty = true;
        world_begin_write(w, id);
}

void world_init_store(World *w, uint32_t id, WorldChannel channel, const void *data, size_t size_bytes) {
        WorldStore *s = &world_node(w, id)->store;

        assert(size_bytes <= WORLD_PART_MAX);
        s->slots[0].sequence = 1;
        memcpy(s->slots[0].parts[channel].data, data, size_bytes);
        s->slots[0].parts[channel].size_bytes = size_bytes;
}

const WorldPart *world_stored(World *w, uint32_t id, WorldChannel channel) {
        const WorldSlot *slot = world_newest_slot(&world_node(w, id)->store);

        return slot && slot->parts[channel].size_bytes > 0 ? &slot->parts[channel] : NULL;
}

void world_wipe(World *w, uint32_t id) {
        assert(!world_node(w, id)->up);
        world_trace(w, id, "its storage is wiped");
        world_node(w, id)->store = (WorldStore){ 0 };
}

void world_keep_backup(World *w, uint32_t id) {
        WorldStore *s = &world_node(w, id)->store;

        memcpy(s->kept, s->slots, sizeof(s->kept));
}

void world_roll_back(World *w, uint32_t id) {
        WorldStore *s = &world_node(w, id)->store;

        assert(!world_node(w, id)->up);
        world_trace(w, id, "its storage is as it was once");
        memcpy(s->slots, s->kept, sizeof(s->slots));
}

void world_disk(World *w, uint32_t id, bool full, bool hung) {
        WorldStore *s = &world_node(w, id)->store;

        world_trace(w, id, "disk %s", full ? "full" : hung ? "hangs" : "works");
        s->full = full;
        s->hung = hung;
        if (world_node(w, id)->up)
                world_begin_write(w, id);
}
