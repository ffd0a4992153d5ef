/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* Leases (R11). Members echo the newest heartbeat of each other, by its number. A node holds its lease for
 * lease_usec from its own sending of the newest heartbeat that members with a majority of the votes have
 * echoed, itself among them: no delay on the way lengthens it.
 *
 * Whoever acknowledges a membership echoes none of those whom it leaves out from then on, until it installs
 * one with them in it, and says how long ago it last did. Any majority that leaves a node out shares a
 * member with the majority that renewed its lease; so the youngest of these ages bounds the lease, on
 * whatever clock, and the commit carries it to all. */

static uint64_t *sent_slot(Cms *c, uint64_t number) {
        return &c->lease.sent_usec[number % CMS_SENT_MAX];
}

/* The clock that our own pauses do not advance is for suspecting others (R12). */
static uint64_t lease_now(const Cms *c) {
        return CMS_BROKEN(c, LEASE_ON_DISCOUNTED_CLOCK) ? c->now_usec - c->discount_usec : c->now_usec;
}

/* ---- renewing ---- */

static uint64_t renewed_at(const Cms *c, uint32_t id) {
        return id == c->config.self ? lease_now(c) : c->peers[id - 1].renewed_usec;
}

static bool suffices(const Cms *c, NodeSet set) {
        return c->installed.half ? set == c->installed.members : cms_has_majority(c, set);
}

/* The newest moment of which members that suffice have said that they were told. */
static uint64_t newest_confirmed(const Cms *c, NodeSet left) {
        NodeSet counted = NODE_SET_EMPTY;
        uint32_t newest;

        do {
                newest = 0;
                NODE_SET_FOREACH(id, left)
                        if (newest == 0 || renewed_at(c, id) > renewed_at(c, newest))
                                newest = id;
                node_set_add(&counted, newest);
                node_set_remove(&left, newest);
        } while (!suffices(c, counted));
        return renewed_at(c, newest);
}

/* A lease that is held does not end early: what it rests on has been said. */
static void renew(Cms *c) {
        NodeSet newer = NODE_SET_EMPTY;

        if (!c->has_installed || c->excluded || !c->installed.quorate)
                return;
        NODE_SET_FOREACH(id, c->installed.members)
                if (renewed_at(c, id) + c->config.lease_usec > c->lease.until_usec && renewed_at(c, id) != 0)
                        node_set_add(&newer, id);
        if (suffices(c, newer))
                c->lease.until_usec = newest_confirmed(c, newer) + c->config.lease_usec;
}

/* ---- echoing ---- */

static NodeSet echoed(const Cms *c) {
        return CMS_BROKEN(c, ECHOES_ANYBODY) ? c->row : c->row & c->lease.echoes;
}

void cms_lease_fill_heartbeat(Cms *c, CmsHeartbeat *h) {
        *sent_slot(c, h->number) = lease_now(c);
        h->echoed = echoed(c);
        NODE_SET_FOREACH(id, h->echoed) {
                CmsPeer *p = &c->peers[id - 1];

                h->echo_number[id - 1] = p->heartbeat.number;
                /* The same again renews nothing that the first one did not. */
                if (p->echoed_number == p->heartbeat.number || !node_set_contains(c->lease.echoes, id))
                        continue;
                p->echoed_number = p->heartbeat.number;
                c->lease.echoed_usec[id - 1] = c->now_usec;
        }
        /* Who suffices alone waits for nobody. */
        renew(c);
}

/* Before the acknowledgement leaves, and for the coordinator before its proposal does. */
void cms_lease_accept(Cms *c, const Membership *m) {
        if (!CMS_BROKEN(c, ECHOES_AFTER_ACKNOWLEDGING))
                c->lease.echoes &= m->members;
}

void cms_lease_fill_ages(const Cms *c, const Membership *m, CmsEchoAges *ret) {
        ret->nodes = node_set_minus(m->configured, m->members);
        NODE_SET_FOREACH(id, ret->nodes) {
                uint64_t since = MAX(c->lease.echoed_usec[id - 1], c->start_usec);

                if (CMS_BROKEN(c, RESTART_FORGETS_ECHOES))
                        since = c->lease.echoed_usec[id - 1];
                ret->msec[id - 1] =
                                (uint32_t) MIN((c->now_usec - since) / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
        }
}

/* The coordinator's: the youngest of all acknowledgements. Who says nothing of a node may have echoed it
 * just now. */
void cms_lease_merge_ages(Cms *c, const CmsEchoAges *ages) {
        const Membership *m = &c->ballot.proposal.membership;

        NODE_SET_FOREACH(id, node_set_minus(m->configured, m->members)) {
                uint64_t age = node_set_contains(ages->nodes, id) ? ages->msec[id - 1] * USEC_PER_MSEC : 0;

                c->ballot.echoed_usec[id - 1] =
                                MAX(c->ballot.echoed_usec[id - 1], usec_sub(c->now_usec, age));
        }
}

void cms_lease_fill_youngest(const Cms *c, CmsEchoAges *ret) {
        const Membership *m = &c->ballot.proposal.membership;

        ret->nodes = node_set_minus(m->configured, m->members);
        NODE_SET_FOREACH(id, ret->nodes)
                ret->msec[id - 1] =
                                (uint32_t) MIN((c->now_usec - c->ballot.echoed_usec[id - 1]) / USEC_PER_MSEC,
                                               (uint64_t) UINT32_MAX);
}

/* ---- our own ---- */

/* An echo of this life, by the life of the member that is meant. */
void cms_lease_take_echo(Cms *c, uint32_t from, const CmsHeartbeat *h) {
        CmsPeer *p = &c->peers[from - 1];
        uint32_t self = c->config.self;
        uint64_t number = h->echo_number[self - 1];

        if (!node_set_contains(h->echoed, self) || h->row.incarnation[self - 1] != c->incarnation)
                return;
        if (!c->has_installed || !membership_has(&c->installed, from, p->incarnation))
                return;
        if (number == 0 || number > c->heartbeat_number || c->heartbeat_number - number >= CMS_SENT_MAX)
                return;
        p->renewed_usec = MAX(p->renewed_usec, *sent_slot(c, number));
        renew(c);
}

uint64_t cms_lease_usec(const Cms *c) {
        if (CMS_BROKEN(c, LEASE_ON_DISCOUNTED_CLOCK))
                return c->lease.until_usec == 0 ? 0 : c->lease.until_usec + c->discount_usec;
        return c->lease.until_usec;
}

/* ---- that of others ---- */

/* From the youngest echo on, by our clock. Clock rates differ by 1 % at most: that of the holder from ours,
 * and those by which the age was measured on its way. */
static uint64_t over_usec(const Cms *c, uint64_t age_usec) {
        uint64_t lease = c->lease.longest_usec;

        return usec_sub(c->now_usec, age_usec) + lease + (lease + 2 * age_usec) / 100 + USEC_PER_MSEC;
}

/* ages: NULL when the commit was lost. All had stopped echoing before anybody could install. */
void cms_lease_install(Cms *c, const CmsPropose *p, const CmsEchoAges *ages) {
        const Membership *m = &p->membership;
        bool changes = mid_equal(p->votings.proposed.mid, m->mid);
        NodeSet lost;

        c->lease.echoes = node_set_without(m->members, c->config.self);
        c->lease.met |= m->members;
        lost = node_set_minus(c->lease.met, m->members);
        NODE_SET_FOREACH(id, c->config.configured) {
                uint64_t age = ages && node_set_contains(ages->nodes, id)
                                               ? ages->msec[id - 1] * USEC_PER_MSEC
                                               : 0;

                /* A majority under the new configuration need not share a member with the one that renewed
                 * its lease, but it does with those who decided the change: what they were told goes on. */
                if (changes && !node_set_contains(m->members, id))
                        c->lease.echoed_usec[id - 1] =
                                        MAX(c->lease.echoed_usec[id - 1], usec_sub(c->now_usec, age));
                if (CMS_BROKEN(c, WAIT_FROM_OWN_RECEIPT) && c->peers[id - 1].row_usec != 0)
                        age = c->now_usec - c->peers[id - 1].row_usec;
                /* R6: in an even split nobody is counted down by time. R14: nor a node whose lease we never
                 * shared, which may be of another length. */
                c->lease.over_usec[id - 1] = m->quorate && !m->half && node_set_contains(lost, id)
                                                             ? over_usec(c, age)
                                                             : USEC_INFINITY;
        }
        renew(c);
}

/* By anybody in it, on any link, whatever keeps it out. */
static bool is_heard_by_members(const Cms *c, uint32_t node) {
        const CmsPeer *p = &c->peers[node - 1];

        for (unsigned l = 0; l < c->config.n_links; l++)
                if (p->heard_usec[l] != 0 && c->now_usec - p->heard_usec[l] < c->config.failure_usec)
                        return true;
        NODE_SET_FOREACH(id, c->installed.members & c->row)
                if (node_set_contains(c->peers[id - 1].row.heard, node))
                        return true;
        return false;
}

uint64_t cms_lease_over_usec(const Cms *c, uint32_t node) {
        if (!c->has_installed || c->excluded || c->transition || is_heard_by_members(c, node))
                return USEC_INFINITY;
        return c->lease.over_usec[node - 1];
}
