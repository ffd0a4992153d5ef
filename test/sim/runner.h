/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs seeds in processes of their own, so that an assertion in a core is a finding like any other. */

#include "sim/swarm.h"

typedef void (*RunSeed)(const SwarmOptions *options, uint64_t seed, SwarmResult *ret);

typedef struct Run {
        RunSeed seed;
        SwarmOptions options;
        uint64_t first, last;
        unsigned n_jobs;
        unsigned batch; /* seeds for one process */
        bool stop_at_first;
        double limit_sec; /* 0: none */
        const char *more; /* arguments that a command to repeat a seed needs */
} Run;

typedef struct Totals {
        uint64_t n_seeds, n_failed, simulated_usec, n_memberships, n_fenced, n_deliveries;
        uint64_t longest_calm_usec;
        double longest_calm_failures;
        SwarmResult first_failed; /* the lowest seed of them */
        uint64_t n_faults[_FAULT_MAX];
        WorldCounts counts;
        double took_sec;
} Totals;

#define RUNNER_JOBS_MAX 64U

void run_all(const Run *run, Totals *ret);
void print_totals(const Totals *t);

/* Tells everything of one seed, the last lines also when an assertion ends it. */
bool run_traced(const Run *run, uint64_t seed, size_t n_lines);
