/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Both cores together, in the world that the membership core is tested in: what GCS is told comes from real
 * agreement. */

#include "sim/cms-actor.h"
#include "sim/gcs/cluster.h"

/* So often gcs asks cms, as in the daemon. */
#define BOTH_ASK_USEC (500 * USEC_PER_MSEC)

typedef struct Both Both;

struct Both {
        World *w;                 /* owned */
        CmsSim *s;                /* owned */
        Cluster *c;               /* owned */
        Mid history[NODE_ID_MAX]; /* by id - 1: what its groups put into the record */

        /* a random life */
        Prng prng;
        unsigned n_names, busy, burst, churn;
        uint64_t turn_usec;
        bool peace; /* clients stay */
        bool quiet; /* and send no more */

        /* for stories: true loses a notification on its way to gcs; */
        bool (*lose)(Both *x, uint32_t node, const CmsNotification *n);
        bool asks_not; /* and nobody asks */
};

/* Adds groups to a world of membership cores, which it owns from now on, and clients that join, send, leave
 * and die. */
Both *both_attach(World *w, CmsSim *s, uint64_t seed);
void both_live(Both *x);

/* Nothing was left out; and if all of the set is one cluster now, it delivers, and all there know the same.
 */
void both_judge(Both *x, NodeSet set, bool all);

/* For stories: a world whose nodes are all still to be started, */
Both *both_new(uint64_t seed, unsigned n_nodes);
/* and the groups in it. */
void both_set_cluster(Both *x, const ClusterConfig *config);

void both_run(Both *x, uint64_t usec);
/* Judges what was delivered, and frees it all. */
void both_end(Both *x);

/* Frees the world first, whose actors live in the rest. */
Both *both_free(Both *x);
