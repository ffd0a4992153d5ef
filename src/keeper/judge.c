/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keeper/judge.h"
#include "basic/macro.h"
#include "basic/time-util.h"

/* The others count on its end: somebody may start what runs here after that. A node that left groups running
 * and told everybody so is waited for, however long (R9). */
static bool lease_counts(const KeeperView *v) {
        return v->acts && !v->released && v->until_usec != 0;
}

KeeperVerdict keeper_judge(const KeeperView *v, uint64_t now_usec) {
        if (!v->armed)
                return KEEPER_WAITS;
        if (v->gone && !v->leaving)
                return KEEPER_RESETS_HAGCD_GONE;
        if (lease_counts(v) && now_usec >= v->until_usec)
                return KEEPER_RESETS_LEASE_OVER;
        return KEEPER_WAITS;
}

uint64_t keeper_inherited_usec(const KeeperView *former) {
        return former->armed && lease_counts(former) ? former->until_usec : 0;
}

uint64_t keeper_due_usec(const KeeperView *v, uint64_t now_usec) {
        uint64_t tick_usec = usec_add(now_usec, KEEPER_TICK_USEC);

        return v->armed && lease_counts(v) ? MIN(tick_usec, MAX(v->until_usec, now_usec)) : tick_usec;
}

const char *keeper_verdict_text(KeeperVerdict verdict) {
        switch (verdict) {
        case KEEPER_WAITS:
                return "waits";
        case KEEPER_RESETS_LEASE_OVER:
                return "the lease of this node is over and something may run here";
        case KEEPER_RESETS_HAGCD_GONE:
                return "hagcd ended unasked and something may run here";
        }
        ASSERT_NOT_REACHED();
}
