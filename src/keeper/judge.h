/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core of the keeper: from what the page says and whether hagcd is there to what is done now. */

#include <stdbool.h>
#include <stdint.h>

/* Armed only now, with a lease that ended before: seen after so long at the latest. */
#define KEEPER_TICK_USEC UINT64_C(20000)

typedef enum KeeperVerdict {
        KEEPER_WAITS,
        KEEPER_RESETS_LEASE_OVER,
        KEEPER_RESETS_HAGCD_GONE,
        KEEPER_RESETS_UNKEPT, /* asked to end while somebody counts on it */
        KEEPER_ENDS,
} KeeperVerdict;

typedef struct KeeperView {
        bool armed, acts, leaving, released; /* as in the page */
        bool gone;                           /* hagcd has ended */
        uint64_t until_usec;                 /* 0: none was ever held */
        uint64_t inherited_usec;             /* of the hagcd before; 0: none */
        bool asked;                          /* to end */
} KeeperView;

KeeperVerdict keeper_judge(const KeeperView *v, uint64_t now_usec);

/* Of the hagcd before, its page in hand, the lease that still counts for the one that comes: 0 when all
 * others know that it left, or nothing rests on it. */
uint64_t keeper_inherited_usec(const KeeperView *former);

/* When to judge anew, if nothing happens before. */
uint64_t keeper_due_usec(const KeeperView *v, uint64_t now_usec);

const char *keeper_verdict_text(KeeperVerdict verdict);
