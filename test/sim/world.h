/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A cluster's surroundings in virtual time: machines that boot, pause and die, disks, and a network that
 * loses, delays, doubles, reorders and cuts. It knows no core. Actors live on its nodes, one on each channel
 * (cms, gcs); they are fed datagrams, wake-ups and finished writes, and send and store through it.
 * Everything follows from one seed. */

#include <stdarg.h>

#include "basic/node-set.h"
#include "basic/prng.h"
#include "basic/time-util.h"

#define WORLD_LINKS_MAX 4U
#define WORLD_PART_MAX 1024U   /* bytes of one actor's part of a stored record */
#define WORLD_BACKLOG_MAX 256U /* datagrams that a paused node's sockets hold */
#define WORLD_TRACE_LINES 4000U

typedef struct World World;

/* What one send put on the wire, shared by all who get it. Whoever decodes it first may leave the result. */
typedef struct WorldPayload {
        unsigned n_refs;
        unsigned version; /* of the sender, when it sent this */
        void *decoded;    /* owned, from malloc(); NULL: not yet */
        size_t size_bytes;
        uint8_t data[];
} WorldPayload;

typedef enum WorldChannel {
        WORLD_CMS,
        WORLD_GCS,
        _WORLD_CHANNEL_MAX,
} WorldChannel;

/* What lives on the nodes. state is what start() returned; it is gone after stop(). */
typedef struct WorldActor {
        void *(*start)(World *w, uint32_t node, void *userdata);
        void (*stop)(World *w, uint32_t node, void *state, void *userdata);
        void (*received)(
                        World *w,
                        uint32_t node,
                        void *state,
                        uint32_t from,
                        unsigned link,
                        WorldPayload *payload,
                        void *userdata);
        void (*wakeup)(World *w, uint32_t node, void *state, void *userdata);
        void (*stored)(World *w, uint32_t node, void *state, uint64_t number, bool ok, void *userdata);
        void (*carrier)(World *w, uint32_t node, void *state, unsigned link, bool carrier, void *userdata);
} WorldActor;

/* What the end of power makes of a write that is on its way. */
typedef enum WorldWriteFate {
        WORLD_WRITE_LOST,
        WORLD_WRITE_DONE,
        WORLD_WRITE_TORN,
} WorldWriteFate;

/* One record with a part for each actor, in two slots with sequence numbers and checksums, as the daemon
 * keeps it: each write goes over the older slot, and the newer one that is whole is read. So a write that is
 * cut short keeps the old record, or has made the new one, or tears the slot, which is the old record again;
 * never a mixture. */
typedef struct WorldPart {
        uint8_t data[WORLD_PART_MAX];
        size_t size_bytes;
        uint64_t number;
} WorldPart;

typedef struct WorldSlot {
        uint64_t sequence; /* 0: empty, or torn */
        WorldPart parts[_WORLD_CHANNEL_MAX];
} WorldSlot;

typedef struct WorldStore {
        WorldSlot slots[2];
        WorldSlot kept[2]; /* what an operator's backup has of them */
        WorldPart writing[_WORLD_CHANNEL_MAX];
        WorldPart wanted[_WORLD_CHANNEL_MAX];
        bool dirty, busy;
        bool doomed; /* the next write ends in the middle, with the power: */
        WorldWriteFate doom;
        bool full; /* writes fail */
        bool hung; /* writes do not end */
} WorldStore;

/* Fault rates. In parts per million of datagrams, or of writes. */
typedef struct WorldKnobs {
        unsigned loss_ppm, corrupt_ppm, duplicate_ppm, tail_ppm;
        uint64_t delay_min_usec, delay_max_usec, tail_usec;
        uint64_t write_min_usec, write_max_usec, write_slow_usec;
        unsigned write_slow_ppm, write_fail_ppm;
} WorldKnobs;

/* Why a node does not run. The clock of a machine that sleeps goes on, that of a virtual machine that its
 * host stops does not. */
typedef enum WorldRest {
        WORLD_REST_PAUSE,   /* starved: sockets fill meanwhile */
        WORLD_REST_SUSPEND, /* asleep: whatever is sent to it is lost */
        WORLD_REST_STOP,    /* stopped by its host: lost, too, and the clock stands still */
} WorldRest;

typedef struct WorldWaiting {
        WorldPayload *payload; /* ref */
        uint32_t from;
        unsigned link;
        WorldChannel channel;
} WorldWaiting;

typedef struct WorldNode {
        bool up, paused;
        WorldRest rest; /* while it is paused */
        bool off;       /* its power was cut: the boot that ran is over, also where only hagcd had died */
        uint64_t life;  /* one more with every start of the actors; names their incarnation */
        uint64_t boot;  /* one more with every boot of the machine */
        uint64_t started_usec, died_usec; /* the newest life, by the world's time */
        unsigned version;                 /* of the protocol that it speaks, beyond the first one */

        /* Its clock showed clock_usec at the world's clock_base_usec, and is so much too fast since. */
        uint64_t clock_usec, clock_base_usec;
        int clock_ppm;
        uint64_t stood_usec; /* what it showed when it last stood still; 0: it never did */

        uint64_t step_usec; /* each step takes so long, */
        uint64_t busy_until_usec;
        bool ready_planned;

        WorldStore store;
        void *state[_WORLD_CHANNEL_MAX];
        uint64_t wakeup_usec[_WORLD_CHANNEL_MAX];
        bool no_carrier[WORLD_LINKS_MAX];

        WorldWaiting backlog[WORLD_BACKLOG_MAX];
        unsigned n_backlog;
        bool missed_wakeup[_WORLD_CHANNEL_MAX];
        bool missed_stored_ok, has_missed_stored;
} WorldNode;

typedef struct WorldCounts {
        uint64_t n_datagrams, n_lost, n_corrupted, n_duplicated, n_late, n_cut, n_too_long, n_missed,
                        n_steps;
        uint64_t n_crashes, n_restarts, n_cuts;
        uint64_t n_writes, n_write_failures, n_torn;
} WorldCounts;

typedef struct WorldEvent WorldEvent;

struct World {
        Prng prng;
        uint64_t now_usec;
        uint64_t order;
        unsigned n_nodes, n_links;
        WorldKnobs knobs;
        WorldNode nodes[NODE_ID_MAX];
        NodeSet cut[WORLD_LINKS_MAX][NODE_ID_MAX];   /* by link and sender - 1: who does not get it */
        uint64_t way_usec[NODE_ID_MAX][NODE_ID_MAX]; /* by sender - 1 and receiver - 1: longer by this */
        /* By link, sender - 1 and receiver - 1: what is longer does not get through; 0: all does. */
        uint32_t narrow_bytes[WORLD_LINKS_MAX][NODE_ID_MAX][NODE_ID_MAX];
        uint64_t narrow_usec[WORLD_LINKS_MAX][NODE_ID_MAX][NODE_ID_MAX]; /* since when */
        uint64_t found_out_usec; /* so long until the transport knows of it; 0: it never does */
        WorldCounts counts;

        /* Scripted loss: true drops the datagram. */
        bool (*filter)(World *w,
                       uint32_t from,
                       uint32_t to,
                       WorldChannel channel,
                       const void *data,
                       size_t size,
                       void *userdata);
        void *filter_userdata;

        const WorldActor *actors[_WORLD_CHANNEL_MAX];
        void *userdata[_WORLD_CHANNEL_MAX];

        WorldEvent *events; /* owned; a heap by time */
        size_t n_events, n_allocated;

        bool failed;
        const char *check; /* that failed */
        char failure[512];
        bool tracing;
        char **trace; /* owned ring */
        size_t n_trace;
};

World *world_new(uint64_t seed, unsigned n_nodes, unsigned n_links);
World *world_free(World *w);
DEFINE_TRIVIAL_CLEANUP(World *, world_free);

void world_set_actor(World *w, WorldChannel channel, const WorldActor *actor, void *userdata);

/* Runs until the time, or until something failed. */
void world_run_until(World *w, uint64_t until_usec);

/* Calls back at a time, as part of the script: fault(w, a, b, userdata). */
typedef void (*WorldCallback)(World *w, uint64_t a, uint64_t b, void *userdata);
void world_at(World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata);

/* The same with userdata from malloc(), which is freed after the callback. */
void world_at_owned(
                World *w, uint64_t at_usec, WorldCallback callback, uint64_t a, uint64_t b, void *userdata);

/* ---- for actors ---- */

void world_send(World *w,
                uint32_t from,
                NodeSet to,
                WorldChannel channel,
                const void *data,
                size_t size_bytes);
void world_send_link(
                World *w,
                uint32_t from,
                NodeSet to,
                unsigned link,
                WorldChannel channel,
                const void *data,
                size_t size_bytes);
/* world_store() writes the whole record; what is only put goes with the next write. */
void world_put(World *w,
               uint32_t id,
               WorldChannel channel,
               uint64_t number,
               const void *data,
               size_t size_bytes);
void world_store(
                World *w,
                uint32_t id,
                WorldChannel channel,
                uint64_t number,
                const void *data,
                size_t size_bytes);
const WorldPart *world_stored(World *w, uint32_t id, WorldChannel channel); /* NULL: no valid record */
uint64_t world_clock(const World *w, uint32_t id);
/* The world's time when the node's clock will show that, if nothing happens to it before; now, if it has. */
uint64_t world_time(const World *w, uint32_t id, uint64_t clock_usec);
void world_set_wakeup(
                World *w, uint32_t id, WorldChannel channel, uint64_t at_usec); /* by the node's clock */

/* ---- faults: each can be told in a story ---- */

void world_start(World *w, uint32_t id, bool new_boot);
void world_crash(World *w, uint32_t id, bool keep_last_write);
void world_power_off(World *w, uint32_t id, WorldWriteFate fate);

void world_pause(World *w, uint32_t id);
void world_rest(World *w, uint32_t id, WorldRest rest);
void world_resume(World *w, uint32_t id);
void world_slow(World *w, uint32_t id, uint64_t step_usec); /* 0: no longer */
void world_set_clock_rate(World *w, uint32_t id, int ppm);
void world_set_version(World *w, uint32_t id, unsigned version); /* while it is down */

void world_init_store(World *w, uint32_t id, WorldChannel channel, const void *data, size_t size_bytes);
void world_disk(World *w, uint32_t id, bool full, bool hung);
void world_doom_write(World *w, uint32_t id, WorldWriteFate fate); /* power goes in the next one */
void world_wipe(World *w, uint32_t id);                            /* while it is down */
void world_keep_backup(World *w, uint32_t id);                     /* of its storage as it is now, */
void world_roll_back(World *w, uint32_t id);                       /* which comes back, while it is down */

void world_carrier(World *w, uint32_t id, unsigned link, bool carrier);
void world_lengthen(
                World *w, NodeSet a, NodeSet b, uint64_t usec); /* the ways from each of a to each of b */

/* One way, from each of a to each of b; a link, or all of them. */
#define WORLD_ALL_LINKS UINT32_MAX
void world_cut(World *w, NodeSet a, NodeSet b, unsigned link);
void world_heal(World *w, NodeSet a, NodeSet b, unsigned link);
void world_heal_all(World *w);
/* Only what is no longer gets through, one way, as with world_cut(); 0: everything. Once the transport has
 * found it out, it sends what is long in segments that pass. If there are none so short, the way is dead: it
 * is seen by the sender, who then does not listen on that link either. */
#define WORLD_SHORTEST_SEGMENT 434U
void world_narrow(World *w, NodeSet a, NodeSet b, unsigned link, uint32_t bytes);
bool world_is_dead(const World *w, uint32_t from, uint32_t to, unsigned link);
/* On any link. */
bool world_hears(const World *w, uint32_t node, uint32_t from);
bool world_is_cut(const World *w, uint32_t from, uint32_t to); /* on every link */
NodeSet world_up(const World *w);

/* ---- judgement ---- */

/* A failure bears the name of the function that found it. */
#define world_fail(w, ...) world_fail_at((w), __func__, __VA_ARGS__)
void world_fail_at(World *w, const char *check, const char *format, ...) _printf_(3, 4);
void world_trace(World *w, uint32_t id, const char *format, ...) _printf_(3, 4);
void world_print_trace(const World *w, size_t n_last);
