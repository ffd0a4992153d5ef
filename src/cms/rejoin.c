/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* The rejoin hold-off (R21): a node that came up from one crash after the other is not taken in again at
 * once, so that a broken server does not take the cluster through reset after reset. The shell counts the
 * starts and says for how long. Within that time the node waits as long as it hears a quorate membership of
 * others, which can do without it, and says so in its heartbeats; the others leave it out while they suffice
 * for quorum. It never waits where it is needed. */

bool cms_is_held(const Cms *c) {
        return c->now_usec < c->rejoin_usec &&
               (cms_hears_foreign_quorum(c) || CMS_BROKEN(c, HELD_WHERE_NEEDED));
}

/* Zero: it is not. */
static uint64_t hold_left_usec(const Cms *c) {
        return cms_is_held(c) ? usec_sub(c->rejoin_usec, c->now_usec) : 0;
}

void cms_fill_hold(const Cms *c, CmsHeartbeat *ret) {
        uint64_t msec = (hold_left_usec(c) + USEC_PER_MSEC - 1) / USEC_PER_MSEC;

        ret->hold_left_msec = (uint32_t) MIN(msec, (uint64_t) UINT32_MAX);
        if (CMS_BROKEN(c, HELD_WHERE_NEEDED) && msec > 0)
                ret->cannot_write = true; /* nobody's candidate, not even then */
}

NodeSet cms_peers_held(const Cms *c) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].heartbeat.hold_left_msec > 0)
                        node_set_add(&set, id);
        return CMS_BROKEN(c, HOLD_IGNORED) ? NODE_SET_EMPTY : set;
}

/* R9: that it is up again proves that what it ran before is over, and its groups wait for that. Whoever
 * joins brings the proof along; for whoever waits, the membership is agreed upon once more. */
bool cms_held_brings_proof(const Cms *c) {
        if (!c->installed.quorate)
                return false;
        NODE_SET_FOREACH(id, node_set_minus(cms_peers_held(c), c->installed.members)) {
                NodeState was = membership_node(&c->installed, id)->state;

                if ((was == NODE_UNKNOWN || was == NODE_DETACHED) && c->known[id - 1].state == NODE_DOWN)
                        return true;
        }
        return false;
}

/* A quorate membership that has taken this node in needed it, or did not know better: the hold is over. */
void cms_rejoin_run(Cms *c) {
        bool held;

        if (c->has_installed && !c->excluded && c->installed.quorate)
                c->rejoin_usec = 0;
        held = cms_is_held(c);
        if (held == c->held)
                return;
        c->held = held;
        c->heartbeat_wanted = true;
        CMS_TRACE(c, .type = CMS_TRACE_HELD, .value = hold_left_usec(c));
}

uint64_t cms_rejoin_due(const Cms *c) {
        return c->held ? c->rejoin_usec : USEC_INFINITY;
}
