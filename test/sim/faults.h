/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The faults of the swarm. Each is one thing that happens to a cluster at one moment; a script tells the
 * same with the functions of world.h. What goes on for long (loss, corruption, late datagrams, slow disks,
 * clocks that run apart) are the world's knobs, chosen once for a seed. */

#include "sim/cms-actor.h"

typedef enum FaultKind {
        FAULT_CRASH,
        FAULT_POWER_LOSS, /* in the middle of the next write, as a rule */
        FAULT_BLACKOUT,   /* of all at once */
        FAULT_STORM,      /* many crash */
        FAULT_RESTARTS,   /* one is started again and again */
        FAULT_PAUSE,
        FAULT_SUSPEND,
        FAULT_STOP_BY_HOST, /* and its clock stands still */
        FAULT_CUT_ONE_WAY,
        FAULT_CUT_TWO_WAY,
        FAULT_CUT_LINK,
        FAULT_MESH, /* a part of all pairs */
        FAULT_PARTITION,
        FAULT_EVEN_SPLIT,
        FAULT_ISOLATE,
        FAULT_DEAF,
        FAULT_FLAP,
        FAULT_HEAL,
        FAULT_CARRIER,
        FAULT_SLOW_NODE, /* all ways to it are long */
        FAULT_SLOW_WAY,  /* one way is, and back it is not */
        FAULT_NARROW,    /* some ways pass only what is short */
        FAULT_SLOW_CPU,
        FAULT_LEAVE,
        FAULT_WIPE,
        FAULT_DISK_FULL,
        FAULT_DISK_HUNG,
        FAULT_VERSION, /* started again, and speaks another version */
        FAULT_CONFIG,  /* cluster.conf is changed, and comes to some nodes now, to some later, to some never
                        */
        _FAULT_MAX,
        _FAULT_INVALID = -EINVAL,
} FaultKind;

const char *fault_kind_to_string(FaultKind i);
FaultKind fault_kind_from_string(const char *s);

/* "crash=3,pause": kinds and how often, compared with each other. */
bool faults_parse(const char *text, unsigned ret_weight[static _FAULT_MAX]);

typedef struct Faults {
        World *w;  /* weak */
        CmsSim *s; /* weak */
        Prng prng;
        unsigned weight[_FAULT_MAX]; /* how often, compared with the others; 0: never */
        uint64_t every_usec;
        uint64_t end_usec;
        uint64_t n[_FAULT_MAX];
} Faults;

/* Its own choice and rates for each seed; or those that are given. */
void faults_choose(Faults *f, const unsigned *weight);
void faults_begin(Faults *f, uint64_t end_usec);
void faults_inject(Faults *f, FaultKind kind);

/* All that was broken is mended; all nodes run. */
void faults_stop(Faults *f);
