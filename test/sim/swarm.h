/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One seed of the swarm: a cluster, a time of faults, then peace, in which it must become one again and stay
 * it. */

#include "sim/faults.h"

/* Faults stop, or only stop changing: within so many FailureSec whatever is possible then must be at work.
 * Hold-offs of a node that flapped are the longest wait: FailureSec * 2^5, and once more for a ballot that
 * was tried at their end. */
#define SWARM_BOUND_FAILURES 100U

typedef struct SwarmOptions {
        unsigned nodes_min, nodes_max;
        bool only_membership;   /* no groups on top */
        uint64_t faults_usec;   /* how long faults are injected; 0: each seed its own time, 5 to 30 s */
        unsigned fault;         /* CmsFault of the broken build */
        const unsigned *weight; /* by FaultKind; NULL: each seed its own */
        bool trace;
        size_t trace_lines; /* the last so many */
        bool quiet;         /* failures are wanted: no reports */
} SwarmOptions;

typedef struct SwarmResult {
        uint64_t seed;
        unsigned n_nodes;
        bool failed;
        char check[64]; /* that failed */
        char failure[512];
        uint64_t simulated_usec, n_memberships, n_fenced, n_deliveries;
        uint64_t calm_usec, failure_usec; /* how long the way back took, and FailureSec */
        uint64_t n_faults[_FAULT_MAX];
        WorldCounts counts;
} SwarmResult;

void swarm_run(const SwarmOptions *options, uint64_t seed, SwarmResult *ret);

/* The last lines of the seed that is being traced, also when a core's assertion ends the process. */
void swarm_print_trace(size_t n_last);
