/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* Who is heard and stands still (R10). GCS coordinates where we rank first, and tells whose word it lacks
 * when nothing went on for FailureSec. It is believed when it says so a second time: meanwhile the transport
 * has found out whether a link loses what is long, and has taken another one, or shorter segments.
 *
 * Only who coordinates can tell, and everybody else looks the same from there whether it is they or we that
 * stand still. So the votes decide: when those who did answer hold quorum with us, the rest is left out.
 * When they do not, it is we who do not get through: we say so in our heartbeats, and the others, if they
 * suffice, leave us out. Nobody is accused by anybody else, and never is quorum given up for it.
 *
 * It ends with the next membership, in which GCS begins anew, or when GCS complains no more. Whoever was
 * left out waits before it is taken in again, longer each time (R3). */

#define TOLD_FAILURES_MAX 3U /* words of GCS that follow each other no later are in a row */
#define KEPT_FAILURES 3U

static uint64_t sense_now(const Cms *c) {
        return c->now_usec - c->discount_usec;
}

static NodeSet who_stands_still(const Cms *c, NodeSet lacking) {
        NodeSet answered = node_set_minus(c->installed.members, lacking);

        /* Whoever cannot write has told why. */
        if (cms_cannot_write(c) || (lacking & cms_peers_cannot_write(c)) != NODE_SET_EMPTY)
                return NODE_SET_EMPTY;
        if (cms_has_majority(c, answered))
                return lacking;
        if (cms_has_majority(c, node_set_without(c->installed.members, c->config.self)) &&
            !CMS_BROKEN(c, STALL_NEVER_OWN))
                return node_set_of(c->config.self);
        return NODE_SET_EMPTY;
}

/* Whoever is in another membership by now answers nobody in this one, and stands still no more than we do.
 */
static NodeSet still_with_us(const Cms *c) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, node_set_without(c->installed.members, c->config.self))
                if (mid_equal(c->peers[id - 1].heartbeat.mid, c->installed.mid))
                        node_set_add(&set, id);
        return set;
}

static void set_nodes(Cms *c, NodeSet nodes) {
        if (c->stall.nodes == nodes)
                return;
        c->stall.nodes = nodes;
        c->view_changed = true;
        c->heartbeat_wanted = true;
        CMS_TRACE(c, .type = CMS_TRACE_STALLED, .set = nodes);
}

void cms_on_stalled(Cms *c, NodeSet nodes) {
        CmsStall *s = &c->stall;
        bool in_a_row = c->now_usec - s->told_usec <= TOLD_FAILURES_MAX * c->config.failure_usec;

        if (c->phase != CMS_PHASE_STABLE || !c->installed.quorate || CMS_BROKEN(c, STALL_IGNORED))
                return;
        nodes &= still_with_us(c);
        if (s->told == NODE_SET_EMPTY || !in_a_row) {
                s->since_usec = sense_now(c);
                s->told = nodes;
        }
        s->told &= nodes;
        s->told_usec = c->now_usec;
        /* Twice within one pause of ours is once. */
        if (s->told == NODE_SET_EMPTY || sense_now(c) - s->since_usec < c->config.failure_usec / 2)
                return;
        set_nodes(c, who_stands_still(c, s->told));
        s->until_usec = usec_add(c->now_usec, KEPT_FAILURES * c->config.failure_usec);
}

/* By our own GCS, and by their own words. */
NodeSet cms_peers_stalled(const Cms *c) {
        NodeSet set = c->stall.nodes;

        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].heartbeat.stalled)
                        node_set_add(&set, id);
        return set;
}

/* A ballot under way is brought to its end first. */
static bool may_end(const Cms *c) {
        return c->stall.nodes != NODE_SET_EMPTY && c->phase == CMS_PHASE_STABLE;
}

void cms_stall_run(Cms *c) {
        if (may_end(c) && c->now_usec >= c->stall.until_usec)
                cms_stall_forget(c);
}

void cms_stall_forget(Cms *c) {
        set_nodes(c, NODE_SET_EMPTY);
        c->stall = (CmsStall){ 0 };
}

uint64_t cms_stall_due(const Cms *c) {
        return may_end(c) ? c->stall.until_usec : USEC_INFINITY;
}
