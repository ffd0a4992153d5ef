/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* The side of those who are asked. A promise holds, and is answered, once it is on disk; from the moment it
 * is made nothing lower is acknowledged or installed, whoever sends it (R1). */

static void refuse(Cms *c, uint32_t to, uint64_t incarnation, Mid ballot, CmsRefusal why) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_REFUSE);

        CMS_TRACE(c, .type = CMS_TRACE_REFUSED, .mid = ballot, .node = to, .value = why);
        m->refuse.ballot = ballot;
        m->refuse.coordinator_incarnation = incarnation;
        m->refuse.why = why;
        m->refuse.promised = c->promised;
        cms_send(c, node_set_of(to), m);
}

/* ---- promise and answer ---- */

void cms_promise(Cms *c, Mid ballot, uint32_t to, uint64_t incarnation) {
        c->promised = ballot;
        c->promised_to = to;
        c->promised_incarnation = incarnation;
        c->promise_deadline_usec = usec_add(c->now_usec, 2 * c->config.failure_usec);
        c->answer_pending = to != c->config.self;
        c->acknowledge_pending = false;
        if (!CMS_BROKEN(c, LOWER_INSTALLED) && !CMS_BROKEN(c, LOWER_ACKNOWLEDGED))
                c->accepted = false;
        if (!CMS_BROKEN(c, EPOCH_NOT_STORED))
                c->record.promised = ballot;
        cms_freeze(c, ballot);
        CMS_TRACE(c, .type = CMS_TRACE_PROMISED, .mid = ballot, .node = to);

        /* Without a record its word counts for nothing, and it writes only once it is being taken in (R8).
         */
        c->promise_store = 0;
        if (c->no_record)
                return;
        c->record.used_epoch = MAX(c->record.used_epoch, ballot.epoch + CMS_EPOCH_RESERVE);
        cms_store(c);
        c->promise_store = c->used_store = c->store_number;
}

static void fill_seniority(const Cms *c, CmsAnswer *ret) {
        if (!c->has_quorate)
                return;
        ret->quorate_mid = c->quorate.mid;
        ret->n_rank = c->quorate.n_members;
        for (unsigned i = 0; i < ret->n_rank; i++) {
                ret->rank[i] = c->quorate.rank[i];
                ret->rank_incarnation[i] = membership_node(&c->quorate, ret->rank[i])->incarnation;
        }
}

void cms_fill_answer(const Cms *c, CmsAnswer *ret) {
        ret->ballot = c->promised;
        ret->coordinator_incarnation = c->promised_incarnation;
        if (c->has_installed && !c->excluded)
                ret->mid = c->installed.mid;
        ret->no_record = c->no_record;
        ret->flushed = cms_is_flushed(c);
        ret->votings = c->votings;
        ret->met = c->record.met;
        ret->boot_id = c->boot_id;
        ret->armed = c->armed;
        fill_seniority(c, ret);
        cms_fill_row(c, &ret->row);
        NODE_SET_FOREACH(id, c->row) {
                ret->confirms[id - 1] = c->confirms[id - 1];
                ret->age_msec[id - 1] =
                                (uint32_t) MIN((c->now_usec - c->peers[id - 1].row_usec) / USEC_PER_MSEC,
                                               (uint64_t) UINT32_MAX);
        }
        NODE_SET_FOREACH(id, c->config.configured) {
                const MembershipNode *k = &c->known[id - 1];

                if (mid_is_none(k->last_mid) && k->state == NODE_UNKNOWN)
                        continue;
                node_set_add(&ret->known, id);
                ret->nodes[id - 1] = *k;
        }
}

static void answer(Cms *c) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_ANSWER);

        cms_fill_answer(c, &m->answer);
        cms_send(c, node_set_of(c->promised_to), m);
}

/* R2: in a quorate membership one answers its members, if they hear everybody in it, or name a loss that is
 * seen here too or was confirmed by FailureSec; and others only if they come from a newer quorate
 * membership. */
static CmsRefusal
judge_against_quorate(const Cms *c, uint32_t from, uint64_t incarnation, const CmsInquire *q) {
        const Membership *m = &c->installed;

        if (!membership_has(m, from, incarnation)) {
                if (q->quorate && mid_compare(q->mid, m->mid) > 0)
                        return _CMS_REFUSAL_MAX;
                return cms_still_quorate(c, c->mutual) ? CMS_REFUSAL_INTACT : _CMS_REFUSAL_MAX;
        }
        if (!mid_equal(q->mid, m->mid) || q->lost == NODE_SET_EMPTY ||
            (q->lost & q->silent) != NODE_SET_EMPTY)
                return _CMS_REFUSAL_MAX;
        return cms_is_intact(c) ? CMS_REFUSAL_LOSS_NOT_SEEN : _CMS_REFUSAL_MAX;
}

static CmsRefusal
judge_against_minority(const Cms *c, uint32_t from, uint64_t incarnation, const CmsInquire *q) {
        if (!cms_is_intact(c) || membership_has(&c->installed, from, incarnation) || q->quorate)
                return _CMS_REFUSAL_MAX;
        /* With a member that cannot write we would leave it ourselves. */
        if ((cms_peers_cannot_write(c) & c->installed.members) != NODE_SET_EMPTY)
                return _CMS_REFUSAL_MAX;
        return cms_may_be_left_for(c, c->installed.members, q->target) ? _CMS_REFUSAL_MAX
                                                                       : CMS_REFUSAL_INTACT;
}

/* _CMS_REFUSAL_MAX: none. */
static CmsRefusal judge_inquire(const Cms *c, uint32_t from, const CmsMessage *m) {
        const CmsInquire *q = &m->inquire;

        if (!cms_hears(c, from, m->incarnation))
                return CMS_REFUSAL_NOT_HEARD;
        if (!node_set_contains(q->row.heard, c->config.self) ||
            q->row.incarnation[c->config.self - 1] != c->incarnation)
                return CMS_REFUSAL_NOT_HEARD;
        if (cms_ballot_compare(c, q->ballot, c->promised) <= 0)
                return CMS_REFUSAL_PROMISED;
        if (cms_cannot_write(c))
                return CMS_REFUSAL_CANNOT_WRITE;
        if (!node_set_contains(c->config.enabled, c->config.self) || q->ballot.node != from)
                return CMS_REFUSAL_INVALID;
        if (c->has_installed && !c->excluded)
                return c->installed.quorate ? judge_against_quorate(c, from, m->incarnation, q)
                                            : judge_against_minority(c, from, m->incarnation, q);
        return _CMS_REFUSAL_MAX;
}

void cms_on_inquire(Cms *c, uint32_t from, const CmsMessage *m) {
        const CmsInquire *q = &m->inquire;
        CmsRefusal why;

        /* The same one again. */
        if (mid_equal(q->ballot, c->promised) && c->promised_to == from &&
            c->promised_incarnation == m->incarnation) {
                if (!c->answer_pending && !c->accepted && c->phase == CMS_PHASE_PROMISED)
                        answer(c);
                return;
        }
        if (cms_hears(c, from, m->incarnation))
                cms_take_row(c, from, &q->row);
        why = judge_inquire(c, from, m);
        if (why != _CMS_REFUSAL_MAX) {
                refuse(c, from, m->incarnation, q->ballot, why);
                return;
        }
        cms_ballot_abandon(c, CMS_WHY_OVERTAKEN, 0);
        cms_promise(c, q->ballot, from, m->incarnation);
        cms_enter(c, CMS_PHASE_PROMISED, CMS_WHY_NONE);
}

/* ---- acknowledge ---- */

bool cms_proposal_is_valid(const Cms *c, const CmsPropose *p) {
        const Membership *m = &p->membership;
        const CmsVotings *v = &p->votings;
        NodeSet counted = node_set_minus(m->members, p->no_record), proven = NODE_SET_EMPTY;
        bool quorate = cms_holds_majority(c, v, counted);

        if (m->hash != membership_hash(m) || !cms_votings_are_valid(c, p) ||
            !node_set_contains(m->members, m->mid.node))
                return false;
        if (m->half != (cms_margin(c, v, m->members) == 0) ||
            m->tie_breaker != cms_votings_break_tie(v, m->members))
                return false;

        /* R6: only who was in our membership, as it was then, may rely on what was proven in it. */
        NODE_SET_FOREACH(id, node_set_minus(m->configured, m->members))
                if (membership_node(m, id)->proven)
                        node_set_add(&proven, id);
        if (m->quorate && !quorate && p->no_record == NODE_SET_EMPTY && c->has_installed) {
                quorate = cms_holds_quorum(c, v, m->members, m->members, proven);
                NODE_SET_FOREACH(id, m->members)
                        if (!CMS_BROKEN(c, PROOF_OUTLIVES_SPLIT) && !CMS_BROKEN(c, HALF_WITHOUT_PROOF))
                                quorate = quorate && membership_has(&c->installed,
                                                                    id,
                                                                    membership_node(m, id)->incarnation);
        }
        if (m->quorate != quorate)
                return false;

        /* R8 */
        if (p->no_record != NODE_SET_EMPTY && !m->quorate)
                return false;
        return !c->no_record || node_set_contains(p->no_record, c->config.self) ||
               CMS_BROKEN(c, NO_RECORD_COUNTS);
}

static CmsRefusal judge_propose(const Cms *c, const CmsPropose *p) {
        if (!cms_proposal_is_valid(c, p))
                return CMS_REFUSAL_INVALID;
        if (!membership_has(&p->membership, c->config.self, c->incarnation) &&
            !CMS_BROKEN(c, INCARNATION_IGNORED))
                return CMS_REFUSAL_NOT_HEARD;
        /* Both ends confirm: the coordinator had our mark when we answered, and we look once more. */
        if (!cms_hears_members(c, &p->membership) && !CMS_BROKEN(c, CHECKMARK_IGNORED) &&
            !CMS_BROKEN(c, INCARNATION_IGNORED))
                return CMS_REFUSAL_NOT_HEARD;
        return _CMS_REFUSAL_MAX;
}

static void acknowledge(Cms *c) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_ACKNOWLEDGE);

        m->acknowledge.ballot = c->acceptance.membership.mid;
        m->acknowledge.hash = c->acceptance.membership.hash;
        m->acknowledge.coordinator_incarnation = c->promised_incarnation;
        cms_lease_fill_ages(c, &c->acceptance.membership, &m->acknowledge.echoed);
        CMS_TRACE(c, .type = CMS_TRACE_ACKNOWLEDGED, .mid = m->acknowledge.ballot, .node = c->promised_to);
        cms_send(c, node_set_of(c->acceptance.membership.mid.node), m);
}

static bool is_promised_to(const Cms *c, Mid ballot, uint32_t from, uint64_t incarnation) {
        if (CMS_BROKEN(c, LOWER_ACKNOWLEDGED) && mid_compare(ballot, c->promised) < 0 && ballot.node == from)
                return true;
        if (CMS_BROKEN(c, INCARNATION_IGNORED) && mid_equal(ballot, c->promised) && c->promised_to == 0)
                return true;
        return mid_equal(ballot, c->promised) && c->promised_to == from &&
               c->promised_incarnation == incarnation;
}

void cms_on_propose(Cms *c, uint32_t from, const CmsMessage *m) {
        const Membership *proposed = &m->propose.membership;
        CmsRefusal why;

        if (from != proposed->mid.node || from == c->config.self)
                return;
        if (c->accepted && mid_equal(c->acceptance.membership.mid, proposed->mid)) {
                if (!c->acknowledge_pending && c->acceptance.membership.hash == proposed->hash &&
                    c->phase == CMS_PHASE_ACKNOWLEDGED)
                        acknowledge(c);
                return;
        }
        if (!is_promised_to(c, proposed->mid, from, m->incarnation)) {
                if (mid_compare(proposed->mid, c->promised) < 0)
                        refuse(c, from, m->incarnation, proposed->mid, CMS_REFUSAL_PROMISED);
                return;
        }
        if (c->answer_pending)
                return;
        if (c->phase != CMS_PHASE_PROMISED &&
            !(CMS_BROKEN(c, LOWER_ACKNOWLEDGED) && mid_compare(proposed->mid, c->promised) < 0))
                return;
        why = judge_propose(c, &m->propose);
        if (why != _CMS_REFUSAL_MAX) {
                refuse(c, from, m->incarnation, proposed->mid, why);
                return;
        }
        cms_ballot_abandon(c, CMS_WHY_OVERTAKEN, 0);
        c->accepted = true;
        c->acceptance = m->propose;
        cms_lease_accept(c, proposed);
        c->promise_deadline_usec = usec_add(c->now_usec, 2 * c->config.failure_usec);
        cms_enter(c, CMS_PHASE_ACKNOWLEDGED, CMS_WHY_NONE);
        cms_config_accept(c, &m->propose);
        if (!c->no_record && cms_config_is_durable(c)) {
                acknowledge(c);
                return;
        }
        c->acknowledge_store = c->config_store;
        c->acknowledge_pending = true;
        if (!c->no_record)
                return;
        /* R8: the others are quorate without us; now their number is written, then acknowledged. */
        c->record.used_epoch = MAX(c->record.used_epoch, proposed->mid.epoch + CMS_EPOCH_RESERVE);
        cms_store(c);
        c->acknowledge_store = c->used_store = c->store_number;
}

/* ---- install ---- */

/* All of its members are members now, as they are: proofs given since then go on holding. */
static bool continues_split(const Cms *c, const Membership *m) {
        if (CMS_BROKEN(c, PROOF_OUTLIVES_SPLIT))
                return c->has_installed;
        if (!c->has_installed || c->excluded)
                return false;
        NODE_SET_FOREACH(id, m->members)
                if (!membership_has(&c->installed, id, membership_node(m, id)->incarnation))
                        return false;
        return true;
}

static void learn_member(Cms *c, uint32_t id, const MembershipNode *n) {
        const CmsPeer *p = &c->peers[id - 1];
        MembershipNode *k = &c->known[id - 1];

        *k = *n;
        if (id == c->config.self || p->left != n->incarnation)
                return;
        /* It said farewell while this membership was being agreed. */
        k->state = p->left_running ? NODE_DETACHED : NODE_INACTIVE;
        k->reason = NODE_REASON_FAREWELL;
        k->proven = !p->left_running && mid_compare(p->left_mid, c->lineage) >= 0;
}

static void learn_outsider(Cms *c, uint32_t id, const MembershipNode *n, bool same_split) {
        MembershipNode *k = &c->known[id - 1];
        bool same_life = mid_equal(k->last_mid, n->last_mid);
        bool proven = same_split && (n->proven || (same_life && k->proven));

        /* What was heard here since the proposal was made is not forgotten. */
        if (!same_life || cms_knowledge_weight(k) <= cms_knowledge_weight(n))
                *k = *n;
        k->proven = proven && k->state != NODE_UNKNOWN;
}

static void learn(Cms *c, const Membership *m, bool same_split) {
        NODE_SET_FOREACH(id, c->config.configured) {
                const MembershipNode *n = membership_node(m, id);

                if (node_set_contains(m->members, id))
                        learn_member(c, id, n);
                else
                        learn_outsider(c, id, n, same_split);
        }
}

static void hold_off_lost(Cms *c, const Membership *m) {
        if (!c->has_installed)
                return;
        NODE_SET_FOREACH(id, node_set_minus(c->installed.members, m->members)) {
                NodeReason why = membership_node(m, id)->reason;

                if ((why == NODE_REASON_SILENCE || why == NODE_REASON_CONNECTIVITY ||
                     why == NODE_REASON_NO_ANSWER ||
                     (why == NODE_REASON_STALLED && !CMS_BROKEN(c, STALL_NOT_HELD_OFF))) &&
                    membership_has(&c->installed, id, c->peers[id - 1].incarnation))
                        cms_hold_lost(c, id, why);
        }
}

static void record_install(Cms *c) {
        c->record.installed = c->installed.mid;
        if (c->installed.quorate) {
                c->record.quorate = c->installed.mid;
                c->record.detached = NODE_SET_EMPTY;
                NODE_SET_FOREACH(id, c->config.configured)
                        if (membership_node(&c->installed, id)->state == NODE_DETACHED)
                                node_set_add(&c->record.detached, id);
        }
        if (CMS_BROKEN(c, COUNTS_BEFORE_FLUSH)) {
                c->record.taken_in = true;
                c->no_record = false;
        }
        cms_store(c);
}

/* The ballot came to less than was wanted, and to no other set than before: the next one waits longer each
 * time, as after one that failed. */
static bool is_no_progress(const Cms *c, const Membership *m) {
        if (!c->has_installed || c->excluded || m->members == c->target)
                return false;
        return m->members == c->installed.members && m->quorate == c->installed.quorate;
}

void cms_install(Cms *c, const CmsPropose *p, const CmsEchoAges *echoed) {
        const Membership *m = &p->membership;
        bool same_split = continues_split(c, m), no_progress = is_no_progress(c, m);

        hold_off_lost(c, m);
        if (!same_split)
                c->lineage = m->mid;
        c->installed = *m;
        c->has_installed = true;
        c->excluded = false;
        cms_config_install(c, p);
        learn(c, m, same_split);
        cms_lease_install(c, p, echoed);
        if (m->quorate) {
                c->quorate = *m;
                c->has_quorate = true;
        }
        c->accepted = c->acknowledge_pending = c->answer_pending = false;
        c->n_failures = no_progress ? c->n_failures + 1 : 0;
        c->retry_usec = no_progress ? c->now_usec + cms_backoff(c) : 0;
        c->silent_usec = 0;
        c->handed = false;
        c->handed_over = NODE_SET_EMPTY;
        c->need = CMS_WHY_NONE;
        cms_stall_forget(c);
        c->view_changed = true;
        c->heartbeat_wanted = true;
        NODE_SET_FOREACH(id, c->others)
                c->peers[id - 1].adrift_since_usec = 0;
        record_install(c);

        CMS_TRACE(c,
                  .type = CMS_TRACE_INSTALLED,
                  .mid = m->mid,
                  .set = m->members,
                  .value = m->quorate ? 2
                           : m->half  ? 1
                                      : 0);
        cms_enter(c, CMS_PHASE_STABLE, CMS_WHY_NONE);
        c->transition = false;
        c->effects->membership = c->installed;
        cms_notify(c,
                   &(CmsNotification){
                                   .type = CMS_NOTIFICATION_STABLE,
                                   .stable = &c->effects->membership,
                   });
}

static bool may_install(const Cms *c, Mid mid, uint64_t hash) {
        if (!c->accepted || c->acknowledge_pending || !mid_equal(c->acceptance.membership.mid, mid))
                return false;
        if (c->phase != CMS_PHASE_ACKNOWLEDGED && !CMS_BROKEN(c, LOWER_INSTALLED))
                return false;
        /* R1: nothing higher was promised since. */
        if (!mid_equal(c->promised, mid) && !CMS_BROKEN(c, LOWER_INSTALLED) &&
            !CMS_BROKEN(c, LOWER_ACKNOWLEDGED))
                return false;
        /* R7: a later one has decided since. What this one decided, somebody who installed it may have told.
         */
        if (mid_compare(c->votings.committed.mid, mid) > 0)
                return false;
        return c->acceptance.membership.hash == hash;
}

static void install_accepted(Cms *c, const CmsEchoAges *echoed) {
        cms_ballot_abandon(c, CMS_WHY_OVERTAKEN, 0);
        cms_install(c, &c->acceptance, echoed);
}

void cms_on_commit(Cms *c, uint32_t from, const CmsMessage *m) {
        if (from == m->commit.ballot.node && may_install(c, m->commit.ballot, m->commit.hash))
                install_accepted(c, &m->commit.echoed);
}

/* A lost commit: somebody has installed what we acknowledged. */
void cms_recover_commit(Cms *c, const CmsHeartbeat *h) {
        if (!mid_is_none(h->mid) && may_install(c, h->mid, h->mid_hash))
                install_accepted(c, NULL);
}

void cms_on_hand_over(Cms *c, uint32_t from, const CmsMessage *m) {
        if (!cms_hears(c, from, m->incarnation) || !node_set_contains(m->hand_over.set, c->config.self))
                return;
        if (mid_compare(m->hand_over.ballot, c->promised) < 0)
                return;
        c->handed = true;
        c->floor_epoch = MAX(c->floor_epoch, m->hand_over.ballot.epoch);
        c->view_changed = true;
}

/* ---- shut out ---- */

void cms_exclude(Cms *c, Mid mid, uint32_t told_by) {
        c->excluded = true;
        cms_stall_forget(c);
        CMS_TRACE(c, .type = CMS_TRACE_EXCLUDED, .mid = mid, .node = told_by);
        cms_notify(c,
                   &(CmsNotification){
                                   .type = CMS_NOTIFICATION_NODE,
                                   .node = { .node = c->config.self,
                                             .change = CMS_NODE_EXCLUDED,
                                             .incarnation = c->incarnation,
                                             .boot_id = c->boot_id },
                   });
        cms_freeze(c, MID_NONE);
        c->view_changed = true;
        c->heartbeat_wanted = true;
        if (c->phase == CMS_PHASE_STABLE)
                cms_enter(c, CMS_PHASE_WAITING, CMS_WHY_LOSS);
}

/* A newer quorate membership is at work without us. */
static void look_for_exclusion(Cms *c) {
        if (!c->has_installed || c->excluded || !c->installed.quorate)
                return;
        NODE_SET_FOREACH(id, c->row) {
                const CmsHeartbeat *h = &c->peers[id - 1].heartbeat;

                if (!h->quorate || mid_compare(h->mid, c->installed.mid) <= 0 ||
                    node_set_contains(h->members, c->config.self))
                        continue;
                cms_exclude(c, h->mid, id);
                return;
        }
}

/* The write may have taken long: look at the marks again. */
static void acknowledge_late(Cms *c) {
        CmsRefusal why = judge_propose(c, &c->acceptance);

        c->acknowledge_pending = false;
        if (why == _CMS_REFUSAL_MAX) {
                acknowledge(c);
                return;
        }
        c->accepted = false;
        cms_enter(c, CMS_PHASE_PROMISED, CMS_WHY_REFUSED);
        refuse(c, c->promised_to, c->promised_incarnation, c->promised, why);
}

void cms_acceptor_run(Cms *c) {
        if (c->phase == CMS_PHASE_LEAVING || c->phase == CMS_PHASE_LEFT)
                return;
        if (c->answer_pending && cms_is_durable(c, c->promise_store)) {
                c->answer_pending = false;
                answer(c);
        } else if (c->answer_pending && cms_cannot_write(c)) {
                c->answer_pending = false;
                refuse(c, c->promised_to, c->promised_incarnation, c->promised, CMS_REFUSAL_CANNOT_WRITE);
                c->promised_to = 0;
        }
        if (c->acknowledge_pending && cms_is_durable(c, c->acknowledge_store))
                acknowledge_late(c);
        look_for_exclusion(c);
}
