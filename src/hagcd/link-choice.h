/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: which link bulk takes to a peer. The first link (the private one) that carries both ways, one of
 * which the size of segments is certain before one in doubt; failing that the one heard last, so that
 * something is tried as long as anything comes in. Heartbeats take every link and so keep these facts fresh.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

typedef struct LinkFacts {
        bool usable;         /* carrier here, and a session */
        bool heard_by_peer;  /* in its newest words */
        uint64_t heard_usec; /* when anything sealed came in; 0: never */
        bool dead;           /* it loses even short segments of ours (link-size.h), */
        bool doubtful;       /* or long ones perhaps */
} LinkFacts;

/* Heard within the time. */
bool link_is_heard(const LinkFacts *l, uint64_t now_usec, uint64_t fresh_usec);

/* And the peer says that it hears us on it. */
bool link_carries(const LinkFacts *l, uint64_t now_usec, uint64_t fresh_usec);

/* Its index, or -1: none is of use. */
int link_choose(const LinkFacts *links, unsigned n_links, uint64_t now_usec, uint64_t fresh_usec);
