/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* Changes of nodes, votes and the tie-breaker at run time (R7, R14). What counts here is what is in force;
 * it is stored, and outlives what is in cluster.conf, which is only what is wanted. It changes by a proposal
 * that needs a majority under the old and under the new one, when all members want one and the same.
 *
 * Half of the votes by proof (R6) is not enough for a change: those outside might come up later, prove in
 * turn that we are gone, and go on as the other half under the old one, while under the new one we would
 * need nobody's death any more. */

/* ---- what a set holds ---- */

int cms_margin(const Cms *c, const CmsVotings *v, NodeSet set) {
        bool pending = cms_votings_are_pending(v);

        if (pending && CMS_BROKEN(c, QUORUM_BY_NEW))
                return cms_voting_margin(&v->proposed, set);
        if (pending && CMS_BROKEN(c, QUORUM_BY_OLD))
                return cms_voting_margin(&v->committed, set);
        if (v == &c->votings && !pending)
                return 2 * (int) cms_voting_votes(&v->committed, set) - (int) c->votes_total;
        return cms_votings_margin(v, set);
}

bool cms_holds_majority(const Cms *c, const CmsVotings *v, NodeSet set) {
        return cms_margin(c, v, set) > (CMS_BROKEN(c, QUORUM_OFF_BY_ONE) ? -2 : 0);
}

bool cms_has_majority(const Cms *c, NodeSet set) {
        return cms_holds_majority(c, &c->votings, set);
}

bool cms_is_half(const Cms *c, NodeSet set) {
        return cms_margin(c, &c->votings, set) == 0;
}

/* A half counts as quorate when every node outside was proven dead in this split. */
bool cms_holds_quorum(const Cms *c, const CmsVotings *v, NodeSet members, NodeSet counted, NodeSet proven) {
        if (cms_holds_majority(c, v, counted))
                return true;
        if (CMS_BROKEN(c, HALF_WITHOUT_PROOF) && counted == members)
                return cms_margin(c, v, members) == 0;
        return cms_margin(c, v, members) == 0 && cms_votings_are_quorate(v, members, counted, proven);
}

/* ---- in force ---- */

static void forget_node(Cms *c, uint32_t id) {
        c->peers[id - 1] = (CmsPeer){ 0 };
        c->known[id - 1] = (MembershipNode){ .reason = NODE_REASON_NEVER_SEEN };
        c->confirms[id - 1] = NODE_SET_EMPTY;
        c->lease.echoed_usec[id - 1] = 0;
        c->lease.over_usec[id - 1] = USEC_INFINITY;
        node_set_remove(&c->lease.met, id);
        node_set_remove(&c->lease.echoes, id);
}

static void fill_config(const CmsVoting *v, CmsConfig *config) {
        config->configured = v->configured;
        config->enabled = v->enabled;
        memcpy(config->votes, v->votes, sizeof(config->votes));
        memcpy(config->identity, v->identity, sizeof(config->identity));
        config->tie_breaker = v->tie_breaker;
        memcpy(config->hash, v->hash, sizeof(config->hash));
        config->heartbeat_usec = v->heartbeat_usec;
        config->failure_usec = v->failure_usec;
        config->lease_usec = v->lease_usec;
}

void cms_config_to_voting(const CmsConfig *config, CmsVoting *ret) {
        *ret = (CmsVoting){
                .configured = config->configured,
                .enabled = config->enabled,
                .tie_breaker = config->tie_breaker != 0 ? config->tie_breaker
                                                        : node_set_lowest(config->enabled),
                .heartbeat_usec = config->heartbeat_usec,
                .failure_usec = config->failure_usec,
                .lease_usec = config->lease_usec,
        };
        memcpy(ret->hash, config->hash, sizeof(ret->hash));
        NODE_SET_FOREACH(id, config->configured) {
                ret->votes[id - 1] = config->votes[id - 1];
                ret->identity[id - 1] = config->identity[id - 1];
        }
}

/* Whoever counts no more is heard no more; an id that is new, or another node's, begins with nothing known.
 */
static void put_in_force(Cms *c, const CmsVoting *v) {
        NodeSet ids = c->config.configured | v->configured, kept;
        CmsVoting former;

        cms_config_to_voting(&c->config, &former);
        kept = cms_voting_kept(&former, v);
        fill_config(v, &c->config);
        c->others = node_set_without(v->enabled, c->config.self);
        c->config_hash = cms_config_hash(v->hash);
        c->votes_total = cms_voting_votes(v, v->enabled);
        c->lease.longest_usec = MAX(c->lease.longest_usec, v->lease_usec);
        NODE_SET_FOREACH(id, c->row & ~(c->others & kept))
                cms_node_goes(c, id);
        c->mutual &= c->row;
        NODE_SET_FOREACH(id, node_set_minus(node_set_without(ids, c->config.self), kept))
                forget_node(c, id);
        /* What others said before accuses nobody: they may have been told, too. Their next heartbeat says.
         */
        NODE_SET_FOREACH(id, node_set_without(v->configured, c->config.self))
                if (c->peers[id - 1].mismatch)
                        cms_judge_config(c, id);
        c->view_changed = true;
        c->heartbeat_wanted = true;
        CMS_TRACE(c, .type = CMS_TRACE_CONFIGURED, .mid = v->mid, .value = c->config_hash);
}

/* True when another configuration is in force since. */
static bool adopt(Cms *c, const CmsVotings *v) {
        CmsVoting former = c->votings.committed;

        if (!node_set_contains(v->committed.enabled, c->config.self))
                return false;
        cms_votings_merge(&c->votings, v);
        if (cms_voting_same(&c->votings.committed, &former))
                return false;
        put_in_force(c, &c->votings.committed);
        return true;
}

/* By what others say. With a newer configuration a ballot begins anew: true. */
bool cms_learn_votings(Cms *c, const CmsVotings *v) {
        bool changed = adopt(c, v);

        if (!changed && mid_compare(c->votings.committed.mid, c->ballot.mid) < 0)
                return false;
        cms_ballot_abandon(c, CMS_WHY_CONFIG, 0);
        return true;
}

/* A node that never acknowledged a quorate membership has no other than its file's. */
static bool goes_by_file(const Cms *c) {
        return cms_voting_is_none(&c->record.votings.committed) && mid_is_none(c->votings.committed.mid);
}

/* A record of a time in which this id was not ours says nothing that we could count by. */
void cms_config_start(Cms *c) {
        CmsVotings *stored = &c->record.votings;

        if (cms_voting_is_none(&stored->committed))
                return;
        if (node_set_contains(stored->committed.configured, c->config.self)) {
                c->votings = *stored;
                put_in_force(c, &c->votings.committed);
                return;
        }
        *stored = (CmsVotings){ 0 };
        c->no_record = true;
}

void cms_configure(Cms *c, const CmsConfig *config) {
        cms_config_to_voting(config, &c->wanted);
        c->wanted_hash = cms_config_hash(config->hash);
        NODE_SET_FOREACH(id, node_set_without(c->config.configured, c->config.self))
                cms_judge_config(c, id);
        c->view_changed = true;
        c->heartbeat_wanted = true;
}

void cms_config_run(Cms *c) {
        bool calls = c->phase == CMS_PHASE_INQUIRING || c->phase == CMS_PHASE_PROPOSING;

        if (c->wanted_hash == c->config_hash || calls || c->accepted || !goes_by_file(c))
                return;
        c->votings.committed = c->wanted;
        put_in_force(c, &c->votings.committed);
}

/* ---- what others work with ---- */

void cms_fill_config(const Cms *c, CmsHeartbeat *ret) {
        ret->config_mid = c->votings.committed.mid;
        memcpy(ret->config_hash, c->config.hash, sizeof(ret->config_hash));
        if (cms_votings_are_pending(&c->votings))
                ret->config_proposed = cms_config_hash(c->votings.proposed.hash);
        ret->config_wanted = c->wanted_hash;
}

/* R7: whoever works with an older one is given the newer one first, and counts then. That is so if its file
 * wants it, or what is wanted here; or else its file has to be brought up to date. */
static bool may_meet(const Cms *c, const CmsHeartbeat *h) {
        uint64_t theirs = cms_config_hash(h->config_hash);
        int newer = mid_compare(h->config_mid, c->votings.committed.mid);

        if (h->config_proposed == c->config_hash)
                return true;
        if (cms_votings_are_pending(&c->votings) &&
            memcmp(c->votings.proposed.hash, h->config_hash, sizeof(h->config_hash)) == 0)
                return true;
        if (newer < 0)
                return h->config_wanted == c->config_hash || h->config_wanted == c->wanted_hash;
        return newer > 0 && (c->wanted_hash == theirs || c->wanted_hash == h->config_wanted);
}

/* Nodes that only we know of are heard by it only after that; and what may be in force must count alike, or
 * they would not agree on which set is the better one. */
void cms_give_votings(Cms *c, uint32_t to) {
        const CmsHeartbeat *h = &c->peers[to - 1].heartbeat;
        const CmsVotings *v = &c->votings;
        bool older = mid_compare(h->config_mid, v->committed.mid) < 0 &&
                     memcmp(h->config_hash, v->committed.hash, sizeof(h->config_hash)) != 0;
        CmsMessage *m;

        if (!node_set_contains(c->row, to))
                return;
        if (!older &&
            (!cms_votings_are_pending(v) || h->config_proposed == cms_config_hash(v->proposed.hash) ||
             mid_compare(h->config_mid, v->proposed.mid) >= 0))
                return;
        m = cms_message(c, CMS_MESSAGE_CONFIGURATION);
        m->configuration.votings = *v;
        cms_send(c, node_set_of(to), m);
}

static CmsProblem compare(const Cms *c, const CmsHeartbeat *h) {
        static const CmsProblem problems[_CMS_CONFIG_KIND_MAX] = {
                [CMS_CONFIG_CLUSTER] = CMS_PROBLEM_CONFIG_CLUSTER,
                [CMS_CONFIG_NODE] = CMS_PROBLEM_CONFIG_NODE,
                [CMS_CONFIG_FENCE] = CMS_PROBLEM_CONFIG_FENCE,
        };

        if (memcmp(c->config.hash, h->config_hash, sizeof(h->config_hash)) == 0 || may_meet(c, h))
                return CMS_PROBLEM_NONE;
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                if (c->config.hash[i] != h->config_hash[i])
                        return problems[i];
        return CMS_PROBLEM_NONE;
}

void cms_judge_config(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];
        CmsProblem differs;

        if (p->row_usec == 0 || p->problem == CMS_PROBLEM_VERSION)
                return;
        if (p->heartbeat.config_wanted == c->wanted_hash)
                p->file_differs_since = 0;
        else if (p->file_differs_since == 0)
                p->file_differs_since = c->now_usec;
        /* All members have acknowledged what is in force. What is older may be of a file that was read
         * since, of which its node has told nobody yet. */
        differs = cms_spoke_before_installing(c, id) ? CMS_PROBLEM_NONE : compare(c, &p->heartbeat);
        p->mismatch = differs != CMS_PROBLEM_NONE && !CMS_BROKEN(c, DIFFERENCES_COUNT);
        if (differs != CMS_PROBLEM_NONE)
                cms_set_problem(c, id, differs);
}

/* A file comes to one node after the other: that is not worth a word. */
bool cms_file_differs(const Cms *c, uint32_t id) {
        uint64_t since = c->peers[id - 1].file_differs_since;

        return since != 0 && c->now_usec - since >= CMS_FILE_DIFFERS_FAILURES * c->config.failure_usec;
}

/* ---- whether it may change ---- */

/* R14: nothing runs there. An empty knowledge of it proves nothing if it was ever in a quorate membership.
 */
static bool is_stopped(const Cms *c, const MembershipNode *n, bool met, bool heard) {
        if (CMS_BROKEN(c, REMOVES_UNKNOWN))
                return true;
        if (heard)
                return false;
        if (n->state == NODE_DOWN || n->state == NODE_INACTIVE)
                return true;
        return n->state == NODE_UNKNOWN && mid_is_none(n->last_mid) && !met;
}

/* By what we know and hear, and what the members hear. */
static NodeSet not_stopped(const Cms *c, NodeSet gone) {
        NodeSet heard = c->row, set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, c->row & c->installed.members)
                heard |= c->peers[id - 1].row.heard;
        NODE_SET_FOREACH(id, gone)
                if (node_set_contains(c->installed.members, id) ||
                    !is_stopped(c,
                                &c->known[id - 1],
                                node_set_contains(c->record.met, id),
                                node_set_contains(heard, id)))
                        node_set_add(&set, id);
        return set;
}

/* The same by what all who answered know. */
static bool are_stopped(const Cms *c, NodeSet gone, NodeSet members) {
        static const MembershipNode nothing;
        const CmsBallot *b = &c->ballot;
        NodeSet heard = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, members)
                heard |= b->confirms[id - 1];
        NODE_SET_FOREACH(id, gone)
                if (node_set_contains(members, id) ||
                    !is_stopped(c,
                                node_set_contains(b->known, id) ? &b->nodes[id - 1] : &nothing,
                                node_set_contains(b->met, id),
                                node_set_contains(heard, id)))
                        return false;
        return true;
}

static NodeSet want_something_else(const Cms *c, NodeSet members) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, node_set_without(members, c->config.self))
                if (c->peers[id - 1].heartbeat.config_wanted != c->wanted_hash)
                        node_set_add(&set, id);
        return set;
}

/* R4: what was delivered under the old one must be held by some of every quorum of the new one. So a change
 * is decided by members of one quorate membership, all of whom hold its history. */
bool cms_is_flushed(const Cms *c) {
        return c->has_installed && !c->excluded && mid_equal(c->history, c->installed.mid) &&
               cms_is_durable(c, c->history_store);
}

static NodeSet not_flushed(const Cms *c, NodeSet members) {
        NodeSet set = cms_is_flushed(c) ? NODE_SET_EMPTY : node_set_of(c->config.self);

        if (CMS_BROKEN(c, CHANGES_BEFORE_FLUSH))
                return NODE_SET_EMPTY;
        NODE_SET_FOREACH(id, node_set_without(members, c->config.self)) {
                const CmsHeartbeat *h = &c->peers[id - 1].heartbeat;

                if (!h->flushed || !mid_equal(h->mid, c->installed.mid))
                        node_set_add(&set, id);
        }
        return set;
}

/* The same by the answers. */
static bool are_flushed(const Cms *c, NodeSet members) {
        const CmsBallot *b = &c->ballot;

        if (CMS_BROKEN(c, CHANGES_BEFORE_FLUSH))
                return true;
        if (!c->has_installed || !c->installed.quorate ||
            !node_set_is_subset(members, c->installed.members & b->same_mid & b->flushed))
                return false;
        NODE_SET_FOREACH(id, members)
                if (!membership_has(&c->installed, id, b->incarnation[id - 1]))
                        return false;
        return true;
}

CmsConfigWait cms_config_wait(const Cms *c, NodeSet *ret_nodes) {
        NodeSet members = c->installed.members, gone, flush;

        *ret_nodes = NODE_SET_EMPTY;
        if (!cms_votings_are_pending(&c->votings) && c->wanted_hash == c->config_hash)
                return CMS_CONFIG_WAIT_NONE;
        if (!c->has_installed || c->excluded || !c->installed.quorate)
                return CMS_CONFIG_WAIT_QUORUM;
        flush = not_flushed(c, members);
        if (cms_votings_are_pending(&c->votings)) {
                if (!cms_has_majority(c, members))
                        return CMS_CONFIG_WAIT_MAJORITY;
                *ret_nodes = flush;
                return flush == NODE_SET_EMPTY ? CMS_CONFIG_WAIT_AGREEMENT : CMS_CONFIG_WAIT_QUORUM;
        }
        /* Whoever goes has not got the file. */
        gone = cms_voting_gone(&c->votings.committed, &c->wanted);
        *ret_nodes = want_something_else(c, node_set_minus(members, gone));
        if (*ret_nodes != NODE_SET_EMPTY)
                return CMS_CONFIG_WAIT_MEMBERS;
        *ret_nodes = not_stopped(c, gone);
        if (*ret_nodes != NODE_SET_EMPTY)
                return CMS_CONFIG_WAIT_STOP;
        if (!cms_has_majority(c, members))
                return CMS_CONFIG_WAIT_MAJORITY;
        if (cms_voting_margin(&c->wanted, members) <= 0)
                return CMS_CONFIG_WAIT_MAJORITY_NEW;
        *ret_nodes = flush;
        return flush == NODE_SET_EMPTY ? CMS_CONFIG_WAIT_AGREEMENT : CMS_CONFIG_WAIT_QUORUM;
}

bool cms_config_is_due(const Cms *c) {
        NodeSet nodes;

        return (cms_votings_are_pending(&c->votings) || c->wanted_hash != c->config_hash) &&
               cms_config_wait(c, &nodes) == CMS_CONFIG_WAIT_AGREEMENT;
}

/* ---- proposals ---- */

/* What may be in force already is completed, whatever is wanted now; only then comes what is wanted. */
void cms_fill_votings(const Cms *c, NodeSet members, NodeSet counted, CmsVotings *ret) {
        Mid mid = c->ballot.mid;
        CmsVotings changed = c->votings;

        *ret = c->votings;
        if (!cms_votings_are_pending(&c->votings)) {
                if (c->wanted_hash == c->config_hash || want_something_else(c, members) != NODE_SET_EMPTY ||
                    !are_stopped(c, cms_voting_gone(&c->votings.committed, &c->wanted), members))
                        return;
                changed.proposed = c->wanted;
        }
        if (!cms_holds_majority(c, &changed, counted) || !are_flushed(c, members))
                return;
        changed.proposed.mid = mid;
        *ret = changed;
}

/* By what its maker knew it needs quorum under; we may know of none that is newer. */
bool cms_votings_are_valid(const Cms *c, const CmsPropose *p) {
        const Membership *m = &p->membership;
        const CmsVotings *v = &p->votings;
        bool carried = cms_votings_are_pending(v) && mid_equal(v->proposed.mid, m->mid);

        if (mid_compare(v->committed.mid, m->mid) >= 0 || mid_compare(v->proposed.mid, m->mid) > 0)
                return false;
        if (!cms_votings_contain(v, &c->votings))
                return false;
        if (carried && !cms_holds_majority(c, v, node_set_minus(m->members, p->no_record)))
                return false;
        return m->configured == cms_votings_after(v, m->mid)->configured &&
               node_set_is_subset(m->members, cms_votings_eligible(v));
}

static bool is_written(const Cms *c) {
        const CmsVotings *written = &c->record.votings, *v = &c->votings;

        return cms_voting_same(&written->committed, &v->committed) &&
               cms_voting_is_none(&written->committed) == cms_voting_is_none(&v->committed) &&
               mid_equal(written->proposed.mid, v->proposed.mid);
}

/* Before the acknowledgement: what is not on disk yet is written. A set without quorum decides nothing. */
void cms_config_accept(Cms *c, const CmsPropose *p) {
        NodeSet met = p->membership.quorate ? p->met : NODE_SET_EMPTY;

        (void) adopt(c, &p->votings);
        if (cms_votings_are_pending(&p->votings))
                c->lease.longest_usec = MAX(c->lease.longest_usec, p->votings.proposed.lease_usec);
        if (!p->membership.quorate && goes_by_file(c))
                return;
        if (is_written(c) && node_set_is_subset(met, c->record.met))
                return;
        c->record.votings = c->votings;
        c->record.met |= met;
        cms_store(c);
        c->config_store = c->store_number;
}

bool cms_config_is_durable(const Cms *c) {
        return cms_is_durable(c, c->config_store) || CMS_BROKEN(c, CONFIG_BEFORE_WRITE);
}

/* What was decided in a quorate membership bears its number from then on. What may be in force, and could
 * not be completed, stays. */
void cms_config_install(Cms *c, const CmsPropose *p) {
        const Membership *m = &p->membership;

        (void) adopt(c, &p->votings);
        if (m->quorate) {
                const CmsVoting *after = cms_votings_after(&p->votings, m->mid);
                CmsVoting former = c->votings.committed;

                if (after == &p->votings.proposed || !cms_votings_are_pending(&p->votings)) {
                        CmsVoting now = *after;

                        now.mid = m->mid;
                        c->votings = (CmsVotings){ .committed = now };
                }
                if (!cms_voting_same(&c->votings.committed, &former))
                        put_in_force(c, &c->votings.committed);
                c->record.met = p->met;
        }
        if (m->quorate || !goes_by_file(c)) {
                /* What was learned in the meantime is acknowledged once it is written, too: just now it is.
                 */
                if (!is_written(c))
                        c->config_store = c->store_number + 1;
                c->record.votings = c->votings;
        }
        c->installed_config = c->config_hash;
}
