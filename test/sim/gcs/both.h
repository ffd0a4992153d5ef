/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Both cores together, in the world that the membership core is tested in: what GCS is told comes from real
 * agreement. */

#include "sim/cms-actor.h"
#include "sim/gcs/cluster.h"

typedef struct Both {
        World *w;   /* owned */
        CmsSim *s;  /* owned */
        Cluster *c; /* owned */

        /* a random life */
        Prng prng;
        unsigned n_names, busy, churn;
        uint64_t every_usec;
        bool quiet, peace;
} Both;

/* For stories: a world whose nodes are all still to be started, */
Both *both_new(uint64_t seed, unsigned n_nodes);
/* and the groups in it. */
void both_set_cluster(Both *x, const ClusterConfig *config);
Both *both_free(Both *x);

char *gcs_both_run(uint64_t seed, bool trace, uint64_t *ret_story, uint64_t *ret_delivered);
