/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One seed of the swarm: a cluster, a time of faults, then peace, in which it must become one again and stay
 * it. */

#include "sim/cms-actor.h"

typedef struct SwarmOptions {
        unsigned nodes_min, nodes_max;
        unsigned fault; /* CmsFault of the broken build */
        bool trace;
        bool quiet; /* failures are wanted: no reports */
} SwarmOptions;

typedef struct SwarmResult {
        uint64_t seed;
        unsigned n_nodes;
        bool failed;
        char failure[512];
        uint64_t simulated_usec, n_memberships, n_fenced, longest_calm_usec;
        WorldCounts counts;
} SwarmResult;

void swarm_run(const SwarmOptions *options, uint64_t seed, SwarmResult *ret);
