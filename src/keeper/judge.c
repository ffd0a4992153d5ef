/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keeper/judge.h"
#include "basic/macro.h"
#include "basic/time-util.h"

/* The end that the others count on: somebody may start what runs here after that. A node that left groups
 * running and told everybody so is waited for, however long (R9). Until a hagcd that was started again holds
 * a lease of its own, what counts is the one of before, whatever its configuration is (R14). 0: none. */
static uint64_t counted_usec(const KeeperView *v) {
        if (v->released)
                return 0;
        if (v->until_usec == 0)
                return v->inherited_usec;
        return v->acts ? v->until_usec : 0;
}

KeeperVerdict keeper_judge(const KeeperView *v, uint64_t now_usec) {
        uint64_t until_usec = counted_usec(v);

        if (!v->armed)
                return v->asked ? KEEPER_ENDS : KEEPER_WAITS;
        if (v->gone && !v->leaving)
                return KEEPER_RESETS_HAGCD_GONE;
        if (until_usec != 0 && now_usec >= until_usec)
                return KEEPER_RESETS_LEASE_OVER;
        if (v->asked)
                return until_usec != 0 ? KEEPER_RESETS_UNKEPT : KEEPER_ENDS;
        return KEEPER_WAITS;
}

uint64_t keeper_inherited_usec(const KeeperView *former) {
        return former->armed ? counted_usec(former) : 0;
}

uint64_t keeper_due_usec(const KeeperView *v, uint64_t now_usec) {
        uint64_t tick_usec = usec_add(now_usec, KEEPER_TICK_USEC);

        uint64_t until_usec = counted_usec(v);

        return v->armed && until_usec != 0 ? MIN(tick_usec, MAX(until_usec, now_usec)) : tick_usec;
}

const char *keeper_verdict_text(KeeperVerdict verdict) {
        switch (verdict) {
        case KEEPER_WAITS:
                return "waits";
        case KEEPER_RESETS_LEASE_OVER:
                return "the lease of this node is over and something may run here";
        case KEEPER_RESETS_HAGCD_GONE:
                return "hagcd ended unasked and something may run here";
        case KEEPER_RESETS_UNKEPT:
                return "asked to end while something may run here under a lease that is not over";
        case KEEPER_ENDS:
                return "asked to end";
        }
        ASSERT_NOT_REACHED();
}
