/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* What status shows, and what must always hold of one node. */

static void view_peer(const Cms *c, uint32_t id, uint64_t now_usec, CmsPeerView *ret) {
        const CmsPeer *p = &c->peers[id - 1];

        *ret = (CmsPeerView){
                .incarnation = p->incarnation,
                .boot_id = p->heartbeat.boot_id,
                .mid = p->heartbeat.mid,
                .quorate = p->heartbeat.quorate,
                .heard = node_set_contains(c->row, id),
                .confirmed = node_set_contains(c->mutual, id),
                .armed = p->heartbeat.armed,
                .problem = p->problem,
                .hold_left_usec = (uint64_t) p->heartbeat.hold_left_msec * USEC_PER_MSEC,
                .row = p->row.heard,
                .row_age_usec = p->row_usec == 0 ? USEC_INFINITY : usec_sub(now_usec, p->row_usec),
                .heartbeats_lost = p->n_lost,
        };
        ret->newest_incarnation = cms_newest_life(c, id, &ret->newest_boot_id);
        ret->proven = node_set_contains(cms_proven(c), id);
        for (unsigned l = 0; l < CMS_LINKS_MAX; l++)
                ret->heard_age_usec[l] =
                                p->heard_usec[l] == 0 ? USEC_INFINITY : usec_sub(now_usec, p->heard_usec[l]);
}

void cms_view(const Cms *c, uint64_t now_usec, CmsView *ret) {
        *ret = (CmsView){
                .phase = c->phase,
                .installed = c->has_installed && !c->excluded ? c->installed.mid : MID_NONE,
                .promised = c->promised,
                .quorate = c->has_installed && !c->excluded && c->installed.quorate,
                .half = c->has_installed && !c->excluded && c->installed.half,
                .no_record = c->no_record,
                .cannot_write = cms_cannot_write(c),
                .excluded = c->excluded,
                .lease_usec = cms_lease_usec(c),
                .held = c->held,
                .hold_left_usec = c->held ? usec_sub(c->rejoin_usec, now_usec) : 0,
                .row = c->row,
                .target = c->target,
                .config_mid = c->votings.committed.mid,
                .config_hash = c->config_hash,
                .config_wanted = c->wanted_hash,
                .configured = c->config.configured,
                .enabled = c->config.enabled,
        };
        ret->config_wait = cms_config_wait(c, &ret->config_wait_nodes);
        if (c->phase == CMS_PHASE_INQUIRING)
                ret->missing =
                                node_set_minus(node_set_with(c->ballot.expected, c->config.self),
                                               c->ballot.answered | c->ballot.excluded);
        if (c->phase == CMS_PHASE_PROPOSING)
                ret->missing = node_set_minus(c->ballot.proposal.membership.members, c->ballot.acknowledged);
        NODE_SET_FOREACH(id, node_set_without(c->config.configured, c->config.self))
                view_peer(c, id, now_usec, &ret->peers[id - 1]);
}

static void check_installed(const Cms *c) {
        const Membership *m = &c->installed;

        assert(membership_has(m, c->config.self, c->incarnation));
        assert(m->n_members == node_set_count(m->members));
        assert(mid_compare(c->promised, m->mid) >= 0 || CMS_BROKEN(c, BALLOT_COMPARED_BY_EPOCH));
        assert(!mid_is_none(c->lineage));
        assert(mid_compare(c->lineage, m->mid) <= 0);
        /* What was learned since may count otherwise. */
        if (c->installed_config == c->config_hash && !cms_votings_are_pending(&c->votings)) {
                assert(m->half == cms_is_half(c, m->members));
                assert(!m->quorate || cms_margin(c, &c->votings, m->members) >= 0);
        }
        assert(!c->has_quorate || mid_compare(c->quorate.mid, m->mid) <= 0);
}

void cms_check(const Cms *c) {
        bool calls = c->phase == CMS_PHASE_INQUIRING || c->phase == CMS_PHASE_PROPOSING;

        assert(c->votes_total == cms_voting_votes(&c->votings.committed, c->votings.committed.enabled));
        assert(!node_set_contains(c->row, c->config.self));
        assert(node_set_is_subset(c->row, c->others));
        assert(node_set_is_subset(c->mutual, c->row));
        assert(c->stored_number <= c->store_number);
        if (c->has_installed)
                check_installed(c);
        /* Left to the simulator's checker when it is broken on purpose. */
        if (c->accepted && !CMS_BROKEN(c, LOWER_ACKNOWLEDGED) && !CMS_BROKEN(c, LOWER_INSTALLED))
                assert(mid_equal(c->acceptance.membership.mid, c->promised));
        if (calls)
                assert(mid_equal(c->ballot.mid, c->promised));
        if (calls)
                assert(c->promised_to == c->config.self);
        if (c->phase == CMS_PHASE_STABLE) {
                assert(c->has_installed);
                assert(!c->excluded);
                assert(!c->transition);
                assert(mid_equal(c->promised, c->installed.mid));
        } else if (c->has_installed)
                assert(c->transition);
        if (c->phase == CMS_PHASE_ACKNOWLEDGED)
                assert(c->accepted);
        if (c->no_record)
                assert(!calls);
}

#ifdef CMS_BROKEN_CORES
static const char *const cms_fault_table[_CMS_FAULT_MAX] = {
        [CMS_FAULT_NONE] = "none",
        [CMS_FAULT_ANSWER_BEFORE_WRITE] = "answer-before-write",
        [CMS_FAULT_EPOCH_NOT_STORED] = "epoch-not-stored",
        [CMS_FAULT_QUORUM_OFF_BY_ONE] = "quorum-off-by-one",
        [CMS_FAULT_HALF_WITHOUT_PROOF] = "half-without-proof",
        [CMS_FAULT_PROOF_OUTLIVES_SPLIT] = "proof-outlives-split",
        [CMS_FAULT_LOWER_ACKNOWLEDGED] = "lower-acknowledged",
        [CMS_FAULT_LOWER_INSTALLED] = "lower-installed",
        [CMS_FAULT_CHECKMARK_IGNORED] = "checkmark-ignored",
        [CMS_FAULT_COMMIT_BEFORE_ALL] = "commit-before-all",
        [CMS_FAULT_COMMIT_SKIPS_NODE] = "commit-skips-node",
        [CMS_FAULT_BALLOT_COMPARED_BY_EPOCH] = "ballot-compared-by-epoch",
        [CMS_FAULT_NUMBER_USED_TWICE] = "number-used-twice",
        [CMS_FAULT_NO_RECORD_COUNTS] = "no-record-counts",
        [CMS_FAULT_INCARNATION_IGNORED] = "incarnation-ignored",
        [CMS_FAULT_CALLS_BESIDE_QUORUM] = "calls-beside-quorum",
        [CMS_FAULT_LEAVES_INTACT] = "leaves-intact-membership",
        [CMS_FAULT_TARGET_IGNORES_ROWS] = "target-ignores-rows",
        [CMS_FAULT_LAST_GASP_IS_DOWN] = "last-gasp-is-down",
        [CMS_FAULT_EARLIER_BOOT_PROVES] = "earlier-boot-proves",
        [CMS_FAULT_DIFFERENCES_COUNT] = "differences-count",
        [CMS_FAULT_CANNOT_WRITE_IGNORED] = "cannot-write-ignored",
        [CMS_FAULT_ECHOES_ANYBODY] = "echoes-anybody",
        [CMS_FAULT_ECHOES_AFTER_ACKNOWLEDGING] = "echoes-after-acknowledging",
        [CMS_FAULT_RESTART_FORGETS_ECHOES] = "restart-forgets-echoes",
        [CMS_FAULT_WAIT_FROM_OWN_RECEIPT] = "wait-from-own-receipt",
        [CMS_FAULT_LEASE_ON_DISCOUNTED_CLOCK] = "lease-on-discounted-clock",
        [CMS_FAULT_HOLD_IGNORED] = "hold-ignored",
        [CMS_FAULT_HELD_WHERE_NEEDED] = "held-where-needed",
        [CMS_FAULT_QUORUM_BY_NEW] = "quorum-by-new-configuration",
        [CMS_FAULT_QUORUM_BY_OLD] = "quorum-by-old-configuration",
        [CMS_FAULT_CONFIG_BEFORE_WRITE] = "configuration-before-write",
        [CMS_FAULT_REMOVES_UNKNOWN] = "removes-unknown-node",
        [CMS_FAULT_STALL_IGNORED] = "stall-ignored",
        [CMS_FAULT_STALL_NEVER_OWN] = "stall-never-own",
        [CMS_FAULT_STALL_NOT_HELD_OFF] = "stall-not-held-off",
        [CMS_FAULT_CHANGES_BEFORE_FLUSH] = "changes-before-flush",
        [CMS_FAULT_COUNTS_BEFORE_FLUSH] = "counts-before-flush",
};

const char *cms_fault_to_string(CmsFault f) {
        return (int) f >= 0 && f < _CMS_FAULT_MAX ? cms_fault_table[f] : NULL;
}

void cms_break(Cms *c, CmsFault fault) {
        c->fault = fault;
}
#endif
