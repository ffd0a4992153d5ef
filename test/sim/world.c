/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world-internal.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- events in order of time, and of creation within the same microsecond ---- */

static bool event_is_before(const WorldEvent *a, const WorldEvent *b) {
        return a->at_usec != b->at_usec ? a->at_usec < b->at_usec : a->order < b->order;
}

void world_push(World *w, WorldEvent event) {
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
                WorldEvent *e = &w->events[i];

                if (e->type == WORLD_EVENT_DATAGRAM)
                        world_payload_unref(e->datagram.payload);
                if (e->type == WORLD_EVENT_CALLBACK && e->callback.owned)
                        free(e->callback.userdata);
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

WorldNode *world_node(World *w, uint32_t id) {
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

/* ---- time ---- */

static void
call_at(World *w,
        uint64_t at_usec,
        WorldCallback callback,
        uint64_t a,
        uint64_t b,
        void *userdata,
        bool owned) {
        world_push(w,
                   (WorldEvent){
                                   .at_usec = MAX(at_usec, w->now_usec),
                                   .type = WORLD_EVENT_CALLBACK,
                                   .callback = { callback, a, b, userdata, owned },
                   });
}

void world_at(World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata) {
        call_at(w, at_usec, callback, a, b, userdata, false);
}

void world_at_owned(
                World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata) {
        call_at(w, at_usec, callback, a, b, userdata, true);
}

static void happen(World *w, const WorldEvent *e) {
        switch (e->type) {
        case WORLD_EVENT_DATAGRAM:
                world_arrive(w, e);
                return;
        case WORLD_EVENT_WAKEUP:
                world_wake(w, e);
                return;
        case WORLD_EVENT_WRITTEN:
                world_end_write(w, e);
                return;
        case WORLD_EVENT_READY:
                world_ready(w, e);
                return;
        case WORLD_EVENT_CALLBACK:
                e->callback.function(w, e->callback.a, e->callback.b, e->callback.userdata);
                if (e->callback.owned)
                        free(e->callback.userdata);
                return;
        }
}

void world_run_until(World *w, uint64_t until_usec) {
        unsigned n_same = 0;

        while (!w->failed && w->n_events > 0 && w->events[0].at_usec <= until_usec) {
                WorldEvent e = event_pop(w);

                n_same = e.at_usec == w->now_usec ? n_same + 1 : 0;
                if (n_same > 200000)
                        world_fail(w, "time stands still: somebody is woken again and again");
                w->now_usec = e.at_usec;
                happen(w, &e);
        }
        if (!w->failed)
                w->now_usec = MAX(w->now_usec, until_usec);
}

/* ---- judgement ---- */

void world_fail_at(World *w, const char *check, const char *format, ...) {
        va_list ap;
        int n;

        if (w->failed)
                return;
        w->failed = true;
        w->check = check;
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
