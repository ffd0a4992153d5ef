/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>

struct WorldDatagram {
        uint32_t from, to;
        unsigned link;
        WorldChannel channel;
        size_t size_bytes;
        uint8_t data[];
};

typedef enum WorldEventType {
        WORLD_EVENT_DATAGRAM,
        WORLD_EVENT_WAKEUP,
        WORLD_EVENT_WRITTEN,
        WORLD_EVENT_CALLBACK,
} WorldEventType;

struct WorldEvent {
        uint64_t at_usec, order;
        WorldEventType type;
        uint32_t node;
        uint64_t life;
        WorldChannel channel;
        bool ok, owned;
        WorldDatagram *datagram; /* owned */
        WorldCallback callback;
        uint64_t a, b;
        void *userdata;
};

/* ---- events in order of time, and of creation within the same microsecond ---- */

static bool event_is_before(const WorldEvent *a, const WorldEvent *b) {
        return a->at_usec != b->at_usec ? a->at_usec < b->at_usec : a->order < b->order;
}

static void event_push(World *w, WorldEvent event) {
        size_t i = w->n_events++;

        if (w->n_events > w->n_allocated) {
                w->n_allocated = MAX(w->n_allocated * 2, (size_t) 1024);
                w->events = realloc(w->events, w->n_allocated * sizeof(*w->events));
                assert(w->events);
        }
        event.order = w->order++;
        while (i > 0 && event_is_before(&event, &w->events[(i - 1) / 2])) {
                w->events[i] = w->events[(i - 1) / 2];
                i = (i - 1) / 2;
        }
        w->events[i] = event;
}

static WorldEvent event_pop(World *w) {
        WorldEvent first = w->events[0], last = w->events[--w->n_events];
        size_t i = 0;

        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= w->n_events)
                        break;
                if (child + 1 < w->n_events && event_is_before(&w->events[child + 1], &w->events[child]))
                        child++;
                if (!event_is_before(&w->events[child], &last))
                        break;
                w->events[i] = w->events[child];
                i = child;
        }
        if (w->n_events > 0)
                w->events[i] = last;
        return first;
}

/* ---- life ---- */

World *world_new(uint64_t seed, unsigned n_nodes, unsigned n_links) {
        World *w = calloc(1, sizeof(*w));

        assert(w);
        assert(n_nodes >= 1 && n_nodes <= NODE_ID_MAX);
        assert(n_links >= 1 && n_links <= WORLD_LINKS_MAX);
        prng_init(&w->prng, seed);
        w->n_nodes = n_nodes;
        w->n_links = n_links;
        w->now_usec = USEC_PER_SEC;
        w->knobs = (WorldKnobs){
                .delay_min_usec = 50,
                .delay_max_usec = 300,
                .write_min_usec = 500,
                .write_max_usec = 5 * USEC_PER_MSEC,
        };
        return w;
}

World *world_free(World *w) {
        if (!w)
                return NULL;
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (w->nodes[id - 1].up)
                        world_crash(w, id, false);
        for (size_t i = 0; i < w->n_events; i++) {
                free(w->events[i].datagram);
                if (w->events[i].owned)
                        free(w->events[i].userdata);
        }
        free(w->events);
        if (w->trace)
                for (size_t i = 0; i < WORLD_TRACE_LINES; i++)
                        free(w->trace[i]);
        free(w->trace);
        free(w);
        return NULL;
}

void world_set_actor(World *w, WorldChannel channel, const WorldActor *actor, void *userdata) {
        w->actors[channel] = actor;
        w->userdata[channel] = userdata;
}

static WorldNode *node_of(World *w, uint32_t id) {
        assert(id >= 1 && id <= w->n_nodes);
        return &w->nodes[id - 1];
}

NodeSet world_up(const World *w) {
        NodeSet set = NODE_SET_EMPTY;

        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (w->nodes[id - 1].up)
                        node_set_add(&set, id);
        return set;
}

/* ---- network ---- */

static bool happens(World *w, unsigned ppm) {
        return ppm > 0 && prng_below(&w->prng, 1000000) < ppm;
}

static void deliver(World *w, WorldDatagram *d) {
        WorldNode *n = node_of(w, d->to);
        const WorldActor *actor = w->actors[d->channel];

        if (!n->up || !actor) {
                free(d);
                return;
        }
        if (n->paused) {
                if (n->n_backlog < WORLD_BACKLOG_MAX)
                        n->backlog[n->n_backlog++] = d;
                else
                        free(d);
                return;
        }
        w->counts.n_steps++;
        actor->received(w,
                        d->to,
                        n->state[d->channel],
                        d->from,
                        d->link,
                        d->data,
                        d->size_bytes,
                        w->userdata[d->channel]);
        free(d);
}

static void
send_one(World *w,
         uint32_t from,
         uint32_t to,
         unsigned link,
         WorldChannel channel,
         const void *data,
         size_t size) {
        const WorldKnobs *k = &w->knobs;
        WorldDatagram *d;
        uint64_t delay;

        w->counts.n_datagrams++;
        if (node_set_contains(w->cut[link][from - 1], to) || w->nodes[from - 1].no_carrier[link] ||
            w->nodes[to - 1].no_carrier[link]) {
                w->counts.n_cut++;
                return;
        }
        if (w->filter && w->filter(w, from, to, channel, data, size, w->filter_userdata)) {
                w->counts.n_cut++;
                return;
        }
        if (happens(w, k->loss_ppm)) {
                w->counts.n_lost++;
                return;
        }
        d = malloc(sizeof(*d) + size);
        assert(d);
        *d = (WorldDatagram){ .from = from, .to = to, .link = link, .channel = channel, .size_bytes = size };
        memcpy(d->data, data, size);
        delay = prng_between(&w->prng, k->delay_min_usec, k->delay_max_usec) + k->slow_usec[to - 1];
        if (happens(w, k->tail_ppm))
                delay += prng_below(&w->prng, k->tail_usec + 1);
        event_push(w,
                   (WorldEvent){ .at_usec = w->now_usec + delay,
                                 .type = WORLD_EVENT_DATAGRAM,
                                 .datagram = d });
}

void world_send_link(
                World *w,
                uint32_t from,
                NodeSet to,
                unsigned link,
                WorldChannel channel,
                const void *data,
                size_t size_bytes) {
        NODE_SET_FOREACH(id, to) {
                if (id > w->n_nodes)
                        continue;
                send_one(w, from, id, link, channel, data, size_bytes);
                if (happens(w, w->knobs.duplicate_ppm)) {
                        w->counts.n_duplicated++;
                        send_one(w, from, id, link, channel, data, size_bytes);
                }
        }
}

void world_send(World *w,
                uint32_t from,
                NodeSet to,
                WorldChannel channel,
                const void *data,
                size_t size_bytes) {
        for (unsigned link = 0; link < w->n_links; link++)
                world_send_link(w, from, to, link, channel, data, size_bytes);
}

static void change_cut(World *w, NodeSet a, NodeSet b, unsigned link, bool cut) {
        for (unsigned l = 0; l < w->n_links; l++) {
                if (link != WORLD_ALL_LINKS && link != l)
                        continue;
                NODE_SET_FOREACH(id, a) {
                        if (cut)
                                w->cut[l][id - 1] |= b;
                        else
                                w->cut[l][id - 1] &= ~b;
                }
        }
}

void world_cut(World *w, NodeSet a, NodeSet b, unsigned link) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        world_trace(w, 0, "cut %s -> %s", node_set_format(a, ta), node_set_format(b, tb));
        w->counts.n_cuts++;
        change_cut(w, a, b, link, true);
}

void world_heal(World *w, NodeSet a, NodeSet b, unsigned link) {
        char ta[NODE_SET_TEXT_MAX], tb[NODE_SET_TEXT_MAX];

        world_trace(w, 0, "heal %s -> %s", node_set_format(a, ta), node_set_format(b, tb));
        change_cut(w, a, b, link, false);
}

void world_heal_all(World *w) {
        world_trace(w, 0, "heal all");
        memset(w->cut, 0, sizeof(w->cut));
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                for (unsigned l = 0; l < w->n_links; l++)
                        if (w->nodes[id - 1].no_carrier[l])
                                world_carrier(w, id, l, true);
}

bool world_is_cut(const World *w, uint32_t from, uint32_t to) {
        for (unsigned l = 0; l < w->n_links; l++)
                if (!node_set_contains(w->cut[l][from - 1], to) && !w->nodes[from - 1].no_carrier[l] &&
                    !w->nodes[to - 1].no_carrier[l])
                        return false;
        return true;
}

static void tell_carrier(World *w, uint32_t id, unsigned link) {
        WorldNode *n = node_of(w, id);

        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch] && w->actors[ch]->carrier)
                        w->actors[ch]->carrier(
                                        w, id, n->state[ch], link, !n->no_carrier[link], w->userdata[ch]);
}

void world_carrier(World *w, uint32_t id, unsigned link, bool carrier) {
        WorldNode *n = node_of(w, id);

        if (n->no_carrier[link] == !carrier)
                return;
        world_trace(w, id, "link %u %s", link, carrier ? "has carrier" : "loses its carrier");
        n->no_carrier[link] = !carrier;
        if (n->up && !n->paused)
                tell_carrier(w, id, link);
}

/* ---- disks: one write at a time; what came meanwhile goes with the next ---- */

static void begin_write(World *w, uint32_t id) {
        WorldNode *n = node_of(w, id);
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
        if (happens(w, k->write_slow_ppm))
                duration += prng_below(&w->prng, k->write_slow_usec + 1);
        event_push(w,
                   (WorldEvent){
                                   .at_usec = w->now_usec + duration,
                                   .type = WORLD_EVENT_WRITTEN,
                                   .node = id,
                                   .life = n->life,
                                   .ok = !s->full && !happens(w, k->write_fail_ppm),
                   });
}

/* A part that was never wanted in this life has number 0 and nobody waits for it. */
static void tell_stored(World *w, uint32_t id, bool ok) {
        WorldNode *n = node_of(w, id);
        uint64_t numbers[_WORLD_CHANNEL_MAX];

        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                numbers[ch] = n->store.writing[ch].number;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch] && numbers[ch] > 0) {
                        w->counts.n_steps++;
                        w->actors[ch]->stored(w, id, n->state[ch], numbers[ch], ok, w->userdata[ch]);
                }
}

static void end_write(World *w, uint32_t id, uint64_t life, bool ok) {
        WorldNode *n = node_of(w, id);
        WorldStore *s = &n->store;

        if (!n->up || n->life != life)
                return;
        if (s->hung) {
                /* It ends when the disk comes back. */
                event_push(w,
                           (WorldEvent){
                                           .at_usec = w->now_usec + 20 * USEC_PER_MSEC,
                                           .type = WORLD_EVENT_WRITTEN,
                                           .node = id,
                                           .life = life,
                                           .ok = ok,
                           });
                return;
        }
        if (ok) {
                memcpy(s->durable, s->writing, sizeof(s->durable));
                s->valid = true;
        } else
                w->counts.n_write_failures++;
        if (n->paused) {
                /* Told when it goes on; no other write begins before that. */
                n->has_missed_stored = true;
                n->missed_stored_ok = ok;
                return;
        }
        s->busy = false;
        tell_stored(w, id, ok);
        begin_write(w, id);
}

void world_put(World *w,
               uint32_t id,
               WorldChannel channel,
               uint64_t number,
               const void *data,
               size_t size_bytes) {
        WorldStore *s = &node_of(w, id)->store;

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
        node_of(w, id)->store.dirty = true;
        begin_write(w, id);
}

void world_init_store(World *w, uint32_t id, WorldChannel channel, const void *data, size_t size_bytes) {
        WorldStore *s = &node_of(w, id)->store;

        assert(size_bytes <= WORLD_PART_MAX);
        s->valid = true;
        memcpy(s->durable[channel].data, data, size_bytes);
        s->durable[channel].size_bytes = size_bytes;
}

const WorldPart *world_stored(World *w, uint32_t id, WorldChannel channel) {
        const WorldStore *s = &node_of(w, id)->store;

        return s->valid && s->durable[channel].size_bytes > 0 ? &s->durable[channel] : NULL;
}

void world_wipe(World *w, uint32_t id) {
        assert(!node_of(w, id)->up);
        world_trace(w, id, "its storage is wiped");
        node_of(w, id)->store = (WorldStore){ 0 };
}

void world_disk(World *w, uint32_t id, bool full, bool hung) {
        WorldStore *s = &node_of(w, id)->store;

        world_trace(w, id, "disk %s", full ? "full" : hung ? "hangs" : "works");
        s->full = full;
        s->hung = hung;
        if (node_of(w, id)->up)
                begin_write(w, id);
}

/* ---- machines ---- */

uint64_t world_clock(const World *w, uint32_t id) {
        return w->now_usec + w->nodes[id - 1].clock_usec;
}

void world_set_wakeup(World *w, uint32_t id, WorldChannel channel, uint64_t at_usec) {
        WorldNode *n = node_of(w, id);

        if (n->wakeup_usec[channel] == at_usec)
                return;
        n->wakeup_usec[channel] = at_usec;
        if (at_usec == USEC_INFINITY)
                return;
        event_push(w,
                   (WorldEvent){
                                   .at_usec = MAX(usec_sub(at_usec, n->clock_usec), w->now_usec),
                                   .type = WORLD_EVENT_WAKEUP,
                                   .node = id,
                                   .life = n->life,
                                   .channel = channel,
                                   .a = at_usec,
                   });
}

static void wake(World *w, const WorldEvent *e) {
        WorldNode *n = node_of(w, e->node);

        if (!n->up || n->life != e->life || n->wakeup_usec[e->channel] != e->a)
                return;
        if (n->paused) {
                n->missed_wakeup[e->channel] = true;
                return;
        }
        n->wakeup_usec[e->channel] = USEC_INFINITY;
        w->counts.n_steps++;
        w->actors[e->channel]->wakeup(w, e->node, n->state[e->channel], w->userdata[e->channel]);
}

void world_start(World *w, uint32_t id, bool new_boot) {
        WorldNode *n = node_of(w, id);

        assert(!n->up);
        n->up = true;
        n->paused = false;
        n->life++;
        n->started_usec = w->now_usec;
        if (new_boot || n->off || n->boot == 0) {
                n->off = false;
                n->boot++;
                n->clock_usec = prng_below(&w->prng, USEC_PER_DAY);
        }
        world_trace(w, id, "starts (life %" PRIu64 ", boot %" PRIu64 ")", n->life, n->boot);
        w->counts.n_restarts++;
        n->store.busy = n->store.dirty = false;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++) {
                n->store.wanted[ch] = n->store.durable[ch];
                n->store.wanted[ch].number = 0;
                n->wakeup_usec[ch] = USEC_INFINITY;
                n->missed_wakeup[ch] = false;
        }
        n->has_missed_stored = false;
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (w->actors[ch])
                        n->state[ch] = w->actors[ch]->start(w, id, w->userdata[ch]);
}

void world_crash(World *w, uint32_t id, bool keep_last_write) {
        WorldNode *n = node_of(w, id);

        assert(n->up);
        world_trace(w,
                    id,
                    "dies%s",
                    n->store.busy ? keep_last_write ? " after its write" : " before its write" : "");
        w->counts.n_crashes++;
        if (n->store.busy && keep_last_write && !n->store.full) {
                memcpy(n->store.durable, n->store.writing, sizeof(n->store.durable));
                n->store.valid = true;
        }
        n->up = n->paused = false;
        n->died_usec = w->now_usec;
        for (unsigned i = 0; i < n->n_backlog; i++)
                free(n->backlog[i]);
        n->n_backlog = 0;
        for (WorldChannel ch = _WORLD_CHANNEL_MAX; ch-- > 0;)
                if (w->actors[ch] && n->state[ch]) {
                        w->actors[ch]->stop(w, id, n->state[ch], w->userdata[ch]);
                        n->state[ch] = NULL;
                }
}

void world_power_off(World *w, uint32_t id, bool keep_last_write) {
        WorldNode *n = node_of(w, id);

        if (n->up)
                world_crash(w, id, keep_last_write);
        n->off = true;
        n->died_usec = w->now_usec;
}

void world_pause(World *w, uint32_t id) {
        WorldNode *n = node_of(w, id);

        if (!n->up || n->paused)
                return;
        world_trace(w, id, "pauses");
        w->counts.n_pauses++;
        n->paused = true;
}

/* What came meanwhile is there all at once: the timer that is overdue, the finished write, the full sockets.
 */
void world_resume(World *w, uint32_t id) {
        WorldNode *n = node_of(w, id);
        uint64_t life = n->life;

        if (!n->up || !n->paused)
                return;
        world_trace(w, id, "goes on");
        n->paused = false;
        for (unsigned l = 0; l < w->n_links; l++)
                tell_carrier(w, id, l);
        for (WorldChannel ch = 0; ch < _WORLD_CHANNEL_MAX; ch++)
                if (TAKE_GENERIC(n->missed_wakeup[ch], bool, false) && w->actors[ch]) {
                        n->wakeup_usec[ch] = USEC_INFINITY;
                        w->actors[ch]->wakeup(w, id, n->state[ch], w->userdata[ch]);
                }
        if (TAKE_GENERIC(n->has_missed_stored, bool, false)) {
                n->store.busy = false;
                tell_stored(w, id, n->missed_stored_ok);
        }
        begin_write(w, id);
        while (n->up && n->life == life && n->n_backlog > 0) {
                WorldDatagram *d = n->backlog[0];

                memmove(n->backlog, n->backlog + 1, --n->n_backlog * sizeof(WorldDatagram *));
                deliver(w, d);
        }
}

/* ---- time ---- */

static void
call_at(World *w,
        uint64_t at_usec,
        WorldCallback callback,
        uint64_t a,
        uint64_t b,
        void *userdata,
        bool owned) {
        event_push(w,
                   (WorldEvent){
                                   .at_usec = MAX(at_usec, w->now_usec),
                                   .type = WORLD_EVENT_CALLBACK,
                                   .callback = callback,
                                   .a = a,
                                   .b = b,
                                   .userdata = userdata,
                                   .owned = owned,
                   });
}

void world_at(World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata) {
        call_at(w, at_usec, callback, a, b, userdata, false);
}

void world_at_owned(
                World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata) {
        call_at(w, at_usec, callback, a, b, userdata, true);
}

void world_run_until(World *w, uint64_t until_usec) {
        unsigned n_same = 0;

        while (!w->failed && w->n_events > 0 && w->events[0].at_usec <= until_usec) {
                WorldEvent e = event_pop(w);

                n_same = e.at_usec == w->now_usec ? n_same + 1 : 0;
                if (n_same > 200000)
                        world_fail(w, "time stands still: somebody is woken again and again");
                w->now_usec = e.at_usec;
                switch (e.type) {
                case WORLD_EVENT_DATAGRAM:
                        deliver(w, e.datagram);
                        break;
                case WORLD_EVENT_WAKEUP:
                        wake(w, &e);
                        break;
                case WORLD_EVENT_WRITTEN:
                        end_write(w, e.node, e.life, e.ok);
                        break;
                case WORLD_EVENT_CALLBACK:
                        e.callback(w, e.a, e.b, e.userdata);
                        if (e.owned)
                                free(e.userdata);
                        break;
                }
        }
        if (!w->failed)
                w->now_usec = MAX(w->now_usec, until_usec);
}

/* ---- judgement ---- */

void world_fail(World *w, const char *format, ...) {
        va_list ap;
        int n;

        if (w->failed)
                return;
        w->failed = true;
        n = snprintf(w->failure,
                     sizeof(w->failure),
                     "at %" PRIu64 ".%06" PRIu64 ": ",
                     w->now_usec / USEC_PER_SEC,
                     w->now_usec % USEC_PER_SEC);
        va_start(ap, format);
        (void) vsnprintf(w->failure + n, sizeof(w->failure) - (size_t) n, format, ap);
        va_end(ap);
        world_trace(w, 0, "FAILURE: %s", w->failure);
}

void world_trace(World *w, uint32_t id, const char *format, ...) {
        char text[700];
        va_list ap;
        int n;

        if (!w->tracing)
                return;
        if (!w->trace) {
                w->trace = calloc(WORLD_TRACE_LINES, sizeof(*w->trace));
                assert(w->trace);
        }
        n = snprintf(text,
                     sizeof(text),
                     "%4" PRIu64 ".%06" PRIu64 "  ",
                     w->now_usec / USEC_PER_SEC,
                     w->now_usec % USEC_PER_SEC);
        if (id == 0)
                n += snprintf(text + n, sizeof(text) - (size_t) n, "--  ");
        else
                n += snprintf(text + n, sizeof(text) - (size_t) n, "n%-2" PRIu32 " ", id);
        va_start(ap, format);
        (void) vsnprintf(text + n, sizeof(text) - (size_t) n, format, ap);
        va_end(ap);
        free(w->trace[w->n_trace % WORLD_TRACE_LINES]);
        w->trace[w->n_trace % WORLD_TRACE_LINES] = strdup(text);
        w->n_trace++;
}

void world_print_trace(const World *w, size_t n_last) {
        size_t n = MIN(MIN(w->n_trace, (size_t) WORLD_TRACE_LINES), n_last);

        for (size_t i = w->n_trace - n; i < w->n_trace; i++)
                printf("# %s\n", w->trace[i % WORLD_TRACE_LINES]);
}
