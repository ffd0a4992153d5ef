/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/link-choice.h"
#include "basic/time-util.h"

bool link_is_heard(const LinkFacts *l, uint64_t now_usec, uint64_t fresh_usec) {
        return l->usable && l->heard_usec > 0 && usec_sub(now_usec, l->heard_usec) <= fresh_usec;
}

bool link_carries(const LinkFacts *l, uint64_t now_usec, uint64_t fresh_usec) {
        return link_is_heard(l, now_usec, fresh_usec) && l->heard_by_peer && !l->dead;
}

int link_choose(const LinkFacts *links, unsigned n_links, uint64_t now_usec, uint64_t fresh_usec) {
        int best = -1;

        for (unsigned i = 0; i < n_links; i++)
                if (link_carries(&links[i], now_usec, fresh_usec)) {
                        if (!links[i].doubtful)
                                return (int) i;
                        if (best < 0)
                                best = (int) i;
                }
        if (best >= 0)
                return best;

        for (unsigned i = 0; i < n_links; i++)
                if (links[i].usable && (best < 0 || links[i].heard_usec > links[best].heard_usec))
                        best = (int) i;
        return best;
}
