/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of the world, for its own files:
 *
 *   world.c          events in order of time, judgement
 *   world-machine.c  machines that boot, rest, are slow and die; their clocks
 *   world-network.c  what becomes of a datagram
 *   world-disk.c     what becomes of a write */

#include "sim/world.h"

typedef enum WorldEventType {
        WORLD_EVENT_DATAGRAM,
        WORLD_EVENT_WAKEUP,
        WORLD_EVENT_WRITTEN,
        WORLD_EVENT_READY, /* a slow machine is done with its step */
        WORLD_EVENT_CALLBACK,
} WorldEventType;

/* Small, for the heap moves it about. */
struct WorldEvent {
        uint64_t at_usec, order;
        WorldEventType type;
        uint32_t node;
        union {
                struct {
                        WorldPayload *payload; /* ref */
                        uint32_t from;
                        uint8_t link;
                        WorldChannel channel;
                } datagram;
                struct {
                        uint64_t life, clock_usec;
                        WorldChannel channel;
                } wakeup;
                struct {
                        uint64_t life;
                        bool ok;
                } written; /* and ready */
                struct {
                        WorldCallback function;
                        uint64_t a, b;
                        void *userdata;
                        bool owned;
                } callback;
        };
};

void world_push(World *w, WorldEvent event);
WorldNode *world_node(World *w, uint32_t id);

static inline bool world_happens(World *w, unsigned ppm) {
        return ppm > 0 && prng_below(&w->prng, 1000000) < ppm;
}

/* world-machine.c */
bool world_is_away(const World *w, uint32_t id);
void world_stepped(World *w, uint32_t id);
void world_wake(World *w, const WorldEvent *e);
void world_ready(World *w, const WorldEvent *e);
void world_end_life(World *w, uint32_t id, WorldWriteFate fate);

/* world-network.c */
void world_arrive(World *w, const WorldEvent *e);
void world_hand_over(World *w, uint32_t id, WorldWaiting d);
void world_tell_carrier(World *w, uint32_t id, unsigned link);
void world_payload_unref(WorldPayload *p);

/* world-disk.c */
void world_begin_write(World *w, uint32_t id);
void world_end_write(World *w, const WorldEvent *e);
void world_tell_stored(World *w, uint32_t id, bool ok);
void world_cut_short(World *w, uint32_t id, WorldWriteFate fate);
const WorldSlot *world_newest_slot(const WorldStore *s);
