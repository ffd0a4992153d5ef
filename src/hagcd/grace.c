/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/grace.h"
#include "basic/time-util.h"

/* False: with this one there were more than may be within the window. */
static bool count(Graces *g, uint64_t now_usec) {
        const unsigned n = ELEMENTSOF(g->begun_usec);

        g->begun_usec[g->n_begun++ % n] = now_usec;
        /* The ring holds this one and GRACE_COUNT_MAX before it; the oldest is the one to be overwritten
         * next. */
        return g->n_begun < n || usec_sub(now_usec, g->begun_usec[g->n_begun % n]) > GRACE_WINDOW_USEC;
}

GraceBegin
grace_begin(Graces *g,
            uint64_t client,
            const GraceIdentity *identity,
            uint64_t grace_usec,
            bool exited,
            bool planned,
            uint64_t now_usec) {

        if (grace_usec == 0)
                return GRACE_REFUSED_NONE;
        if (!planned && !count(g, now_usec))
                return GRACE_REFUSED_TOO_MANY;
        FOREACH_ARRAY(i, g->items, GRACES_MAX) {
                if (i->client != 0)
                        continue;
                *i = (Grace){
                        .client = client,
                        .identity = *identity,
                        .due_usec = usec_add(now_usec, grace_usec),
                        .exited = exited,
                };
                return GRACE_BEGUN;
        }
        return GRACE_REFUSED_TOO_MANY;
}

GraceMatch grace_match(Graces *g, const GraceIdentity *identity) {
        FOREACH_ARRAY(i, g->items, GRACES_MAX) {
                if (i->client == 0 || !streq(i->identity.group, identity->group) ||
                    !streq(i->identity.name, identity->name))
                        continue;
                if (i->identity.uid != identity->uid || !streq(i->identity.unit, identity->unit))
                        return GRACE_MATCH_STRANGER;
                if (!i->exited)
                        return GRACE_MATCH_NOT_YET;
                *i = (Grace){ 0 };
                return GRACE_MATCH_SUCCESSOR;
        }
        return GRACE_MATCH_NONE;
}

void grace_exited(Graces *g, uint64_t client) {
        FOREACH_ARRAY(i, g->items, GRACES_MAX)
                if (client != 0 && i->client == client)
                        i->exited = true;
}

uint64_t grace_wakeup_usec(const Graces *g) {
        uint64_t due_usec = USEC_INFINITY;

        FOREACH_ARRAY(i, g->items, GRACES_MAX)
                if (i->client != 0)
                        due_usec = MIN(due_usec, i->due_usec);
        return due_usec;
}

const Grace *grace_expired(const Graces *g, uint64_t now_usec) {
        FOREACH_ARRAY(i, g->items, GRACES_MAX)
                if (i->client != 0 && i->due_usec <= now_usec)
                        return i;
        return NULL;
}
