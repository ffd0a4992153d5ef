/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A few cores of group communication with members on them, in memberships of the script's making, and a mad
 * one among them, as in cms-world.h. */

#include "fuzz/fuzz.h"
#include "gcs/gcs.h"

#define GCS_WORLD_NODES_MAX 4U
#define GCS_WORLD_QUEUE_MAX 64U
#define GCS_WORLD_PAST_MAX 64U
#define GCS_WORLD_CLIENTS 3U      /* of each node */
#define GCS_WORLD_STEPS_MAX 4000U /* of all cores; after so many the world stands still */

typedef struct GcsWorldDatagram {
        uint32_t from, to;
        Buffer *buffer; /* owned */
} GcsWorldDatagram;

typedef struct GcsWorldNode {
        Gcs *core; /* owned */
        uint64_t incarnation;
        Mid history, writing;
        uint64_t wanted, stored;
        bool hung;
        NodeSet cut;
        unsigned n_now;
        uint64_t client[GCS_WORLD_CLIENTS]; /* its id at the core; 0: none */
        uint64_t last_client;               /* no id is used twice */
        uint64_t n_unconsumed[GCS_WORLD_CLIENTS];
        uint64_t unconsumed_bytes[GCS_WORLD_CLIENTS];
        bool slow[GCS_WORLD_CLIENTS];
        GcsMember newcomer[GCS_WORLD_CLIENTS]; /* asked the client for a snapshot; node 0: none */
        uint64_t point[GCS_WORLD_CLIENTS];
} GcsWorldNode;

typedef struct GcsWorld {
        uint64_t now_usec;
        unsigned n_steps;
        unsigned n_nodes;
        Membership membership;
        GcsWorldNode nodes[GCS_WORLD_NODES_MAX];
        unsigned n_queued, queue_first;
        GcsWorldDatagram queue[GCS_WORLD_QUEUE_MAX];
        unsigned n_past;
        GcsWorldDatagram past[GCS_WORLD_PAST_MAX];
        GcsMessage *message; /* owned */
        uint8_t buf[GCS_MESSAGE_BYTES_MAX];

        void (*on_message)(void *userdata, const GcsMessage *m, const void *data, size_t size_bytes);
        void *userdata;
} GcsWorld;

GcsWorld *gcs_world_new(unsigned n_nodes);
GcsWorld *gcs_world_free(GcsWorld *w);
DEFINE_TRIVIAL_CLEANUP(GcsWorld *, gcs_world_free);

void gcs_world_feed(GcsWorld *w, uint32_t id, GcsEvent event);
void gcs_world_receive(GcsWorld *w, uint32_t from, uint32_t to, Buffer *buffer);

/* A new membership of these nodes, the senior one first, installed on all of them; the others are told that
 * they are alone. */
void gcs_world_install(GcsWorld *w, NodeSet members, uint32_t senior);
void gcs_world_run(GcsWorld *w, uint64_t usec);
void gcs_world_restart(GcsWorld *w, uint32_t id);
void gcs_world_register(GcsWorld *w, uint32_t id, unsigned client);
void gcs_world_unregister(GcsWorld *w, uint32_t id, unsigned client);
void gcs_world_lose(GcsWorld *w, uint32_t id, unsigned client);
void gcs_world_send(GcsWorld *w, uint32_t id, unsigned client, size_t size_bytes);
