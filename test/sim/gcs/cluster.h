/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A cluster of GCS cores in virtual time, with a network that loses, repeats, delays and reorders, disks
 * that take their time, and clients that behave as libhagcs does. Memberships come from a script:
 * cluster_propose() keeps the promises of CMS (all members have promised before any installs; nothing lower
 * after a promise), and no others.
 *
 * Whatever a client is told goes through the checkers in history.c. The first violation is kept in
 * `failure`. */

#include <glib.h>

#include "basic/prng.h"
#include "gcs/gcs.h"

#define CLUSTER_NODES_MAX NODE_ID_MAX

typedef struct Cluster Cluster;
typedef struct Actor Actor;

/* What an actor was told, in order. */
typedef struct Told {
        GcsEffectType type;
        Mid mid;
        uint64_t sequence;
        uint64_t uid; /* MESSAGE: of its sender, */
        uint64_t n;   /* and its number there */
        unsigned n_members, n_joined, n_left;
        GcsReason reason; /* VIEW: of the first that left */
        NodeSet nodes;
        uint64_t content; /* hash */
        bool fresh;
} Told;

/* A stretch of what an actor applied without interruption. */
typedef struct Segment {
        Mid formation;
        uint64_t first, last;
        GArray *sequences; /* uint64_t */
} Segment;

struct Actor {
        Cluster *cluster;
        uint64_t client; /* never used twice; also its uid */
        uint32_t node;
        char group[GCS_NAME_MAX + 1];
        bool snapshot, critical;

        bool dead; /* its process or node is gone, or it has left */
        bool member;
        bool refused, expelled, frozen, stopped_reading;
        GcsRefusal refusal;
        GcsMemberId id;

        bool has_state; /* as of `applied` */
        uint64_t state;
        Mid formation;
        uint64_t applied;
        GArray *held;      /* Told */
        GByteArray *piece; /* of the snapshot that arrives */
        GPtrArray *giving; /* of Gift: what could not be given yet */

        uint64_t n_sent, n_seen; /* own messages */
        bool blocked;
        unsigned n_shut_out, n_snapshots, n_requests, n_unread;
        uint64_t unread_bytes;

        GArray *told; /* Told: all of it, as applied */
        GPtrArray *segments;
        GHashTable *last_of; /* uid -> last n */
};

typedef struct ClusterNode {
        uint32_t id;
        bool alive;
        uint64_t incarnation;
        Gcs *core;
        Mid disk;     /* stored history */
        Mid promised; /* CMS */
        Membership installed;
        GcsVerdict verdict; /* of the last step */
        bool reset;         /* RESET_NODE was asked for */
        bool store_stuck;   /* writes never come back */
        uint64_t paused_until;
        NodeSet stalled;
        unsigned n_sent[GCS_MESSAGE_TYPE_LAST + 1];
} ClusterNode;

typedef struct ClusterConfig {
        uint64_t seed;
        unsigned n_nodes;
        unsigned loss_permille, dup_permille;
        uint64_t delay_min_usec, delay_max_usec;
        uint64_t store_max_usec;
        GcsConfig core; /* node and incarnation are filled in */
        bool any_rank;  /* ranks are drawn by lot */
} ClusterConfig;

/* Surroundings other than its own: those of world.h. */
typedef struct ClusterOps {
        void (*send)(Cluster *c, uint32_t from, NodeSet to, const void *data, size_t size_bytes);
        void (*store)(Cluster *c, uint32_t node, uint64_t number, Mid history);
        void (*give)(Cluster *c, uint32_t node, uint64_t client);
        uint64_t (*clock)(Cluster *c, uint32_t node);
        void (*stepped)(Cluster *c, uint32_t node);
        bool (*tracing)(Cluster *c);
        void (*trace)(Cluster *c, uint32_t node, const char *text);
        void (*stalled)(Cluster *c, uint32_t node, NodeSet nodes);
        void (*fail)(Cluster *c, const char *check, const char *text);
} ClusterOps;

struct Cluster {
        ClusterConfig config;
        Prng prng;
        uint64_t now_usec;
        uint64_t serial;
        GPtrArray *events;                        /* binary heap */
        ClusterNode nodes[CLUSTER_NODES_MAX + 1]; /* by id */
        bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
        uint64_t next_incarnation, next_epoch, next_client;
        GArray *seniority;   /* uint32_t */
        GHashTable *quorate; /* mids of quorate memberships, as text */
        GPtrArray *actors;   /* Actor: all that ever were, by client - 1 */
        GPtrArray *living;   /* in the same order; without those that cluster_bury() found dead */

        /* Returns true to lose the message. */
        bool (*filter)(Cluster *c, uint32_t from, uint32_t to, const GcsMessage *m);
        void *filter_data;

        const ClusterOps *ops; /* NULL: its own */
        void *ops_data;

        GHashTable *history; /* of history.c */
        GHashTable *payloads;
        char *failure;
        const char *check; /* that failed */
        GString *trace;    /* NULL: not wanted */
        uint64_t n_steps, n_delivered;
        uint64_t story; /* hash of all that was told: equal seeds give equal stories */
};

Cluster *cluster_new(const ClusterConfig *config);
Cluster *cluster_free(Cluster *c);
DEFINE_TRIVIAL_CLEANUP(Cluster *, cluster_free);

void cluster_trace(Cluster *c, const char *format, ...) _printf_(2, 3);
void cluster_trace_node(Cluster *c, uint32_t node, const char *format, ...) _printf_(3, 4);
/* A failure bears the name of the function that found it. */
#define cluster_fail(c, ...) cluster_fail_at((c), __func__, __VA_ARGS__)
void cluster_fail_at(Cluster *c, const char *check, const char *format, ...) _printf_(3, 4);

/* Runs until that time, or the first failure. */
void cluster_run(Cluster *c, uint64_t usec);
/* Until nothing is under way or the time is over; false then. */
bool cluster_run_until(Cluster *c, bool (*done)(Cluster *c, void *data), void *data, uint64_t usec);

void cluster_feed(Cluster *c, uint32_t node, GcsEvent event);
void cluster_start(Cluster *c, uint32_t node);
void cluster_crash(Cluster *c, uint32_t node);
/* Whoever is dead is gone over no more: for those who turn to all living clients again and again. */
void cluster_bury(Cluster *c);
/* CMS agrees on that set, if all of it lives long enough. */
void cluster_propose(Cluster *c, NodeSet set);
NodeSet cluster_alive(const Cluster *c);
bool cluster_is_active(Cluster *c, NodeSet set);

Actor *cluster_join(Cluster *c, uint32_t node, const char *group, const char *name, unsigned flags);
GcsVerdict actor_send(Actor *a, size_t size_bytes);
void actor_leave(Actor *a);
void actor_die(Actor *a, GcsReason reason);
void actor_read(Actor *a);
void actor_give(Actor *a);
Actor *actor_find(Cluster *c, uint64_t client);

/* history.c */
void history_message(Actor *a, const Told *t);
void history_view(Actor *a, const Told *t);
void history_begin(Actor *a, uint64_t sequence);
void history_end(Actor *a);
/* Nothing left out, by anybody, dead ones included. */
void history_check(Cluster *c);
/* After faults have stopped: all members are told the same, up to the same point. */
void history_check_live(Cluster *c);
