/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: graces of critical members (rule R16). A critical member that died or was silent has left its group
 * already; within its grace a successor may come: the same group and name, uid and unit, and the old process
 * must have exited.
 *
 *      death --> running --successor--> gone
 *                   |---- time over, or too many --> the node is reset */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/parse.h"

#define GRACES_MAX 16U
#define GRACE_UNIT_MAX 256U

/* More than so many within the window: the node is reset. */
#define GRACE_COUNT_MAX 3U
#define GRACE_WINDOW_USEC (10 * 60 * UINT64_C(1000000))

typedef struct GraceIdentity {
        char group[NAME_LENGTH_MAX + 1];
        char name[NAME_LENGTH_MAX + 1];
        uint32_t uid;
        char unit[GRACE_UNIT_MAX]; /* control group of the process */
} GraceIdentity;

typedef struct Grace {
        uint64_t client; /* that died; 0: free */
        GraceIdentity identity;
        uint64_t due_usec;
        bool exited;
} Grace;

typedef struct Graces {
        Grace items[GRACES_MAX];
        uint64_t begun_usec[GRACE_COUNT_MAX + 1]; /* a ring */
        unsigned n_begun;
} Graces;

typedef enum GraceBegin {
        GRACE_BEGUN,
        GRACE_REFUSED_NONE,     /* it asked for none */
        GRACE_REFUSED_TOO_MANY, /* within the window */
} GraceBegin;

typedef enum GraceMatch {
        GRACE_MATCH_NONE,      /* nobody is awaited under this name */
        GRACE_MATCH_SUCCESSOR, /* the grace is over, well */
        GRACE_MATCH_NOT_YET,   /* the old process still runs */
        GRACE_MATCH_STRANGER,  /* another uid or unit */
} GraceMatch;

GraceBegin
grace_begin(Graces *g,
            uint64_t client,
            const GraceIdentity *identity,
            uint64_t grace_usec,
            bool exited,
            bool planned, /* does not count */
            uint64_t now_usec);

/* Takes the grace away when it is the successor. */
GraceMatch grace_match(Graces *g, const GraceIdentity *identity);

/* The process of this client has exited. */
void grace_exited(Graces *g, uint64_t client);

/* USEC_INFINITY: no grace runs. */
uint64_t grace_wakeup_usec(const Graces *g);

/* One whose time is over, or NULL. */
const Grace *grace_expired(const Graces *g, uint64_t now_usec);
