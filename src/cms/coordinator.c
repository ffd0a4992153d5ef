/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* The coordinator's side of the three phases.
 *
 *   INQUIRE  asks every node of the target; own promise and answer count like any other, once they are on
 * disk. PROPOSE  the best set among those that answered; a ballot is used for one proposal only (R1). COMMIT
 * when all of that set have acknowledged.
 *
 * Whatever goes wrong ends the ballot; the next one has a higher number. */

uint64_t cms_backoff(Cms *c) {
        uint64_t base = c->config.heartbeat_usec << MIN(c->n_failures, CMS_BACKOFF_DOUBLINGS_MAX);

        return prng_between(&c->prng, base / 2, base + base / 2);
}

static uint64_t patience(const Cms *c) {
        return c->config.failure_usec << MIN(c->n_failures, 3U);
}

static bool
answer_counts(const Cms *c, uint32_t from, const CmsMessage *m, Mid ballot, uint64_t coordinator) {
        if (!mid_equal(ballot, c->ballot.mid) || !mid_equal(ballot, c->promised))
                return false;
        if (coordinator != c->incarnation && !CMS_BROKEN(c, INCARNATION_IGNORED))
                return false;
        return node_set_contains(c->ballot.expected, from) && cms_hears(c, from, m->incarnation);
}

/* ---- calling ---- */

static uint64_t next_epoch(const Cms *c) {
        uint64_t epoch = MAX(c->promised.epoch, c->floor_epoch);

        if (CMS_BROKEN(c, NUMBER_USED_TWICE))
                return MAX(c->installed.mid.epoch, c->record.installed.epoch) + 1;
        epoch = MAX(epoch, MAX(c->votings.committed.mid.epoch, c->votings.proposed.mid.epoch));
        NODE_SET_FOREACH(id, c->row)
                epoch = MAX(epoch, c->peers[id - 1].heartbeat.promised.epoch);
        return epoch + 1;
}

void cms_ballot_call(Cms *c, CmsWhy why) {
        CmsBallot *b = &c->ballot;
        Mid mid = { .epoch = next_epoch(c), .node = c->config.self };

        memset(b, 0, sizeof(*b));
        b->mid = mid;
        b->why = why;
        b->expected = node_set_without(c->target, c->config.self);
        b->deadline_usec = b->soft_deadline_usec = b->resend_usec = USEC_INFINITY;
        b->incarnation[c->config.self - 1] = c->incarnation;
        NODE_SET_FOREACH(id, c->row)
                b->incarnation[id - 1] = c->peers[id - 1].incarnation;

        CMS_TRACE(c, .type = CMS_TRACE_BALLOT, .mid = mid, .set = c->target, .why = why);
        cms_promise(c, mid, c->config.self, c->incarnation);
        b->number_store = mid.epoch <= c->durable_used_epoch ? 0 : c->promise_store;
        cms_enter(c, CMS_PHASE_INQUIRING, why);
        c->view_changed = true;
}

void cms_ballot_abandon(Cms *c, CmsWhy why, uint64_t retry_usec) {
        if (c->phase != CMS_PHASE_INQUIRING && c->phase != CMS_PHASE_PROPOSING)
                return;
        CMS_TRACE(c, .type = CMS_TRACE_ABANDONED, .mid = c->ballot.mid, .why = why);
        if (why != CMS_WHY_OVERTAKEN && why != CMS_WHY_HAND_OVER && why != CMS_WHY_CONFIG)
                c->n_failures++;
        c->retry_usec = usec_add(c->now_usec, retry_usec);
        c->promise_deadline_usec = c->retry_usec;
        c->accepted = false;
        c->view_changed = true;
        if (why != CMS_WHY_LEAVE)
                cms_enter(c, CMS_PHASE_PROMISED, why);
}

/* Members of our membership that we miss, and those of them whose loss FailureSec has confirmed (R2). */
static void fill_losses(const Cms *c, CmsInquire *ret) {
        if (!c->has_installed || c->excluded)
                return;
        NODE_SET_FOREACH(id, node_set_without(c->installed.members, c->config.self)) {
                const CmsPeer *p = &c->peers[id - 1];

                if (node_set_contains(c->mutual, id) && membership_has(&c->installed, id, p->incarnation))
                        continue;
                node_set_add(&ret->lost, id);
                if (node_set_contains(c->row, id) ? membership_has(&c->installed, id, p->incarnation)
                                                  : p->suspicion == NODE_REASON_SILENCE ||
                                                                    p->suspicion == NODE_REASON_FAREWELL)
                        node_set_add(&ret->silent, id);
        }
}

static void send_inquire(Cms *c, NodeSet to) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_INQUIRE);

        m->inquire.ballot = c->ballot.mid;
        m->inquire.target = node_set_with(c->ballot.expected, c->config.self);
        if (c->has_installed && !c->excluded) {
                m->inquire.mid = c->installed.mid;
                m->inquire.quorate = c->installed.quorate;
        }
        fill_losses(c, &m->inquire);
        cms_fill_row(c, &m->inquire.row);
        cms_send(c, to, m);
        c->ballot.resend_usec = c->now_usec + c->config.heartbeat_usec / 2;
}

static void send_propose(Cms *c, NodeSet to) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_PROPOSE);

        m->propose = c->ballot.proposal;
        cms_send(c, to, m);
        c->ballot.resend_usec = c->now_usec + c->config.heartbeat_usec / 2;
}

/* ---- merging answers ---- */

static void merge_row(CmsBallot *b, uint32_t owner, NodeSet confirms, uint32_t age_msec) {
        if (node_set_contains(b->rows, owner) && b->age_msec[owner - 1] <= age_msec)
                return;
        node_set_add(&b->rows, owner);
        b->confirms[owner - 1] = confirms;
        b->age_msec[owner - 1] = age_msec;
}

/* Rows count for the incarnations that we hear ourselves, or else the first that we are told of. */
static void merge_rows(Cms *c, CmsBallot *b, uint32_t from, const CmsAnswer *a) {
        NodeSet same = node_set_of(from);

        NODE_SET_FOREACH(id, a->row.heard) {
                if (b->incarnation[id - 1] == 0)
                        b->incarnation[id - 1] = a->row.incarnation[id - 1];
                if (b->incarnation[id - 1] == a->row.incarnation[id - 1])
                        node_set_add(&same, id);
        }
        merge_row(b, from, a->row.heard & same, 0);
        NODE_SET_FOREACH(id, node_set_without(same, from))
                if (a->confirms[id - 1] != NODE_SET_EMPTY &&
                    (uint64_t) a->age_msec[id - 1] * USEC_PER_MSEC < c->config.failure_usec)
                        merge_row(b, id, a->confirms[id - 1] & same, a->age_msec[id - 1] + 1);
}

/* What one knows of a lost node is worth more the newer the membership is that it remembers it from; of one
 * membership, having been heard again beats proof, and proof beats not knowing. */
unsigned cms_knowledge_weight(const MembershipNode *n) {
        switch (n->state) {
        case NODE_UP:
                return 0;
        case NODE_UNKNOWN:
                return n->reason == NODE_REASON_HEARD_AGAIN ? 6 : 1;
        case NODE_DETACHED:
                return 2;
        case NODE_INACTIVE:
                return 3;
        case NODE_DOWN: /* what was confirmed may be a later life than the one that a new boot ended */
                return n->reason == NODE_REASON_CONFIRMED ? 5 : 4;
        case _NODE_STATE_MAX:
        case _NODE_STATE_INVALID:
                break;
        }
        ASSERT_NOT_REACHED();
}

static void merge_known(CmsBallot *b, const CmsAnswer *a) {
        NODE_SET_FOREACH(id, a->known) {
                const MembershipNode *n = &a->nodes[id - 1];
                MembershipNode *k = &b->nodes[id - 1];
                int newer = node_set_contains(b->known, id) ? mid_compare(n->last_mid, k->last_mid) : 1;

                if (newer < 0 || (newer == 0 && cms_knowledge_weight(n) <= cms_knowledge_weight(k)))
                        continue;
                node_set_add(&b->known, id);
                *k = *n;
        }
}

static void merge_seniority(CmsBallot *b, const CmsAnswer *a) {
        if (mid_is_none(a->quorate_mid) || mid_compare(a->quorate_mid, b->quorate_mid) <= 0)
                return;
        b->quorate_mid = a->quorate_mid;
        b->n_rank = a->n_rank;
        memcpy(b->rank, a->rank, sizeof(b->rank));
        memcpy(b->rank_incarnation, a->rank_incarnation, sizeof(b->rank_incarnation));
}

static void merge_answer(Cms *c, uint32_t from, const CmsAnswer *a) {
        CmsBallot *b = &c->ballot;

        if (node_set_contains(b->answered, from))
                return;
        node_set_add(&b->answered, from);
        CMS_TRACE(c, .type = CMS_TRACE_ANSWERED, .mid = b->mid, .node = from);
        b->boot_id[from - 1] = a->boot_id;
        if (a->armed)
                node_set_add(&b->armed, from);
        if (a->no_record && !CMS_BROKEN(c, NO_RECORD_COUNTS))
                node_set_add(&b->no_record, from);
        b->met |= a->met;
        if (a->flushed)
                node_set_add(&b->flushed, from);
        merge_rows(c, b, from, a);
        merge_known(b, a);
        merge_seniority(b, a);
        if (c->has_installed && mid_equal(a->mid, c->installed.mid)) {
                node_set_add(&b->same_mid, from);
                NODE_SET_FOREACH(id, a->known)
                        if (a->nodes[id - 1].proven)
                                node_set_add(&b->proven, id);
        }
}

/* ---- proposing ---- */

static NodeReason loss_reason(const Cms *c, uint32_t id, const MembershipNode *k) {
        const CmsPeer *p = &c->peers[id - 1];

        if (!node_set_contains(c->row, id))
                return p->suspicion != NODE_REASON_NONE ? p->suspicion : NODE_REASON_SILENCE;
        if (p->incarnation != k->incarnation)
                return NODE_REASON_NEW_INCARNATION;
        if (node_set_contains(cms_peers_stalled(c), id))
                return NODE_REASON_STALLED;
        if (p->weak_until_usec > c->now_usec || p->heartbeat.cannot_write)
                return NODE_REASON_NO_ANSWER;
        return NODE_REASON_CONNECTIVITY;
}

/* R15: some member hears it as it was when it was declared down. Not everybody is told of a confirmation. */
static bool is_heard_by(const CmsBallot *b, NodeSet members, uint32_t id, const MembershipNode *n) {
        if (n->incarnation != 0 && n->incarnation != b->incarnation[id - 1])
                return false;
        NODE_SET_FOREACH(member, members)
                if (node_set_contains(b->confirms[member - 1], id))
                        return true;
        return false;
}

static void fill_lost_node(const Cms *c, uint32_t id, NodeSet members, bool proven, MembershipNode *n) {
        const CmsVotings *v = &c->ballot.proposal.votings;
        const CmsVoting *after = cms_votings_after(v, c->ballot.mid);
        bool heard;

        if (node_set_contains(c->ballot.known & cms_voting_kept(&v->committed, after), id))
                *n = c->ballot.nodes[id - 1];
        heard = (n->state == NODE_DOWN || n->state == NODE_UNKNOWN) &&
                is_heard_by(&c->ballot, members, id, n);
        n->proven = proven && !heard;
        if (heard && n->state == NODE_DOWN) {
                n->state = NODE_UNKNOWN;
                n->reason = NODE_REASON_HEARD_AGAIN;
        }
        if (!node_set_contains(after->enabled, id)) {
                n->state = NODE_INACTIVE;
                n->reason = NODE_REASON_DISABLED;
                return;
        }
        if (n->state == NODE_UP) {
                n->state = NODE_UNKNOWN;
                n->reason = loss_reason(c, id, n);
        }
        if (n->state == NODE_UNKNOWN && mid_is_none(n->last_mid) && n->reason != NODE_REASON_HEARD_AGAIN)
                n->reason = NODE_REASON_NEVER_SEEN;
        if ((n->state == NODE_UNKNOWN || n->state == NODE_DETACHED) && node_set_contains(c->row, id) &&
            cms_is_later_boot(n, &c->peers[id - 1].heartbeat)) {
                n->state = NODE_DOWN;
                n->reason = NODE_REASON_NEW_BOOT;
        }
}

/* Seniority in the newest quorate membership that anybody remembers, then id (R3). */
static void fill_ranks(const CmsBallot *b, NodeSet members, Membership *m) {
        NodeSet left = members;

        for (unsigned i = 0; i < b->n_rank; i++) {
                uint32_t id = b->rank[i];

                if (!node_set_contains(left, id) || b->rank_incarnation[i] != b->incarnation[id - 1])
                        continue;
                m->rank[m->n_members++] = (uint8_t) id;
                node_set_remove(&left, id);
        }
        NODE_SET_FOREACH(id, left)
                m->rank[m->n_members++] = (uint8_t) id;
}

/* R6: proof holds in this split, that is as long as the members are those that were there when it was given.
 */
static NodeSet valid_proof(const Cms *c, NodeSet members) {
        if (CMS_BROKEN(c, PROOF_OUTLIVES_SPLIT))
                return c->ballot.proven;
        if (!c->has_installed || !node_set_is_subset(members, c->ballot.same_mid))
                return NODE_SET_EMPTY;
        NODE_SET_FOREACH(id, members)
                if (!membership_has(&c->installed, id, c->ballot.incarnation[id - 1]))
                        return NODE_SET_EMPTY;
        return node_set_minus(c->ballot.proven, members);
}

/* R7: the ids that are somebody else's from now on were in nothing yet. */
static void fill_met(CmsBallot *b) {
        const CmsVotings *v = &b->proposal.votings;
        const Membership *m = &b->proposal.membership;

        b->proposal.met = b->met & cms_voting_kept(&v->committed, cms_votings_after(v, b->mid));
        if (m->quorate)
                b->proposal.met |= m->members;
}

static void propose(Cms *c, NodeSet members) {
        CmsBallot *b = &c->ballot;
        Membership *m = &b->proposal.membership;
        const CmsVotings *v = &b->proposal.votings;
        NodeSet counted = node_set_minus(members, b->no_record), proof = valid_proof(c, members),
                proven = NODE_SET_EMPTY;

        cms_fill_votings(c, members, counted, &b->proposal.votings);

        m->mid = b->mid;
        m->quorate_mid = b->quorate_mid;
        m->members = members;
        m->configured = cms_votings_after(v, b->mid)->configured;
        m->half = cms_margin(c, v, members) == 0;
        m->tie_breaker = cms_votings_break_tie(v, members);
        fill_ranks(b, members, m);
        b->proposal.no_record = members & b->no_record;
        NODE_SET_FOREACH(id, m->configured) {
                MembershipNode *n = &m->nodes[id - 1];

                if (!node_set_contains(members, id)) {
                        fill_lost_node(c, id, members, node_set_contains(proof, id), n);
                        if (n->proven)
                                node_set_add(&proven, id);
                        continue;
                }
                *n = (MembershipNode){
                        .state = NODE_UP,
                        .incarnation = b->incarnation[id - 1],
                        .boot_id = b->boot_id[id - 1],
                        .last_mid = b->mid,
                        .armed = node_set_contains(b->armed, id),
                };
        }
        m->quorate = cms_holds_quorum(c, v, members, counted, proven);
        m->first = m->quorate && mid_is_none(b->quorate_mid);
        m->hash = membership_hash(m);
        fill_met(b);

        CMS_TRACE(c, .type = CMS_TRACE_PROPOSED, .mid = b->mid, .set = members);
        cms_enter(c, CMS_PHASE_PROPOSING, b->why);
        c->accepted = true;
        c->acceptance = b->proposal;
        cms_lease_accept(c, m);
        cms_config_accept(c, &b->proposal);
        b->deadline_usec = usec_add(c->now_usec, patience(c));
        b->resend_usec = USEC_INFINITY;
        if (members != node_set_of(c->config.self))
                send_propose(c, node_set_without(members, c->config.self));
}

/* The lowest rank of the set that can be reached from here; 0 when nobody can. */
static uint32_t first_reachable(const Cms *c, NodeSet set) {
        set &= c->mutual;
        for (unsigned i = 0; i < c->ballot.n_rank; i++)
                if (node_set_contains(set, c->ballot.rank[i]))
                        return c->ballot.rank[i];
        return node_set_lowest(set);
}

/* R3: the best set is without us. Its lowest rank is asked to call, and we keep silent for a while. */
static void hand_over(Cms *c, NodeSet set) {
        uint32_t to = first_reachable(c, set);

        if (to != 0) {
                CmsMessage *m = cms_message(c, CMS_MESSAGE_HAND_OVER);

                CMS_TRACE(c, .type = CMS_TRACE_HANDED_OVER, .mid = c->ballot.mid, .node = to, .set = set);
                m->hand_over.ballot = c->ballot.mid;
                m->hand_over.set = set;
                cms_send(c, node_set_of(to), m);
        }
        cms_ballot_abandon(c, CMS_WHY_HAND_OVER, 0);
        c->handed_over = set;
        c->silent_usec = usec_add(c->now_usec, 2 * c->config.failure_usec + cms_backoff(c));
}

/* Whom we still wait for, and until when: members of a quorate membership get the full time, newcomers less.
 */
static NodeSet waited_for(const Cms *c, uint64_t *ret_until_usec) {
        const CmsBallot *b = &c->ballot;
        NodeSet wait = node_set_minus(b->expected & c->mutual, b->answered | b->excluded);
        bool newcomers_only = c->has_installed && !c->excluded && c->installed.quorate &&
                              (wait & c->installed.members) == NODE_SET_EMPTY;

        *ret_until_usec = newcomers_only ? b->soft_deadline_usec : b->deadline_usec;
        return wait;
}

/* A quorum is possible without us that is larger than any with us, and somebody of it can be told: once.
 * When nothing came of it, they have their reasons, as a quorum beside us that they hear and we do not; to
 * ask again and again would only move their promises. What is no better is not worth another ballot, and
 * without quorum it is not ours to disturb. */
static bool is_better_elsewhere(const Cms *c, NodeSet overall, NodeSet set) {
        if (node_set_contains(overall, c->config.self) || (overall & c->mutual) == NODE_SET_EMPTY)
                return false;
        if (overall == c->handed_over)
                return false;
        return cms_has_majority(c, overall) && cms_voting_votes(&c->votings.committed, overall) >
                                                               cms_voting_votes(&c->votings.committed, set);
}

/* Quorum is not given up in haste: as long as a member that we would leave behind is heard, it may just not
 * have seen yet what we saw (R2). */
static bool must_be_patient(const Cms *c, NodeSet set) {
        return cms_would_lose_quorum(c, set) && c->now_usec < c->need_since_usec + c->config.failure_usec;
}

static void decide(Cms *c) {
        CmsBallot *b = &c->ballot;
        NodeSet wait, set, overall, present;
        uint64_t until;

        if (!node_set_contains(b->answered, c->config.self) || !b->sent)
                return;
        wait = waited_for(c, &until);
        if (wait != NODE_SET_EMPTY && c->now_usec < until)
                return;
        NODE_SET_FOREACH(id, node_set_minus(wait, b->responded))
                cms_hold_no_answer(c, id);

        present = b->answered & node_set_with(c->row, c->config.self);
        NODE_SET_FOREACH(id, node_set_without(present, c->config.self))
                if (!cms_hears(c, id, b->incarnation[id - 1]))
                        node_set_remove(&present, id);
        /* R21: whoever is held off was asked in case that the others do not suffice. */
        set = cms_choose(c, present, b->confirms, b->no_record, cms_peers_held(c), present);
        overall =
                        cms_choose(c,
                                   node_set_minus(b->rows, cms_peers_cannot_write(c) | cms_peers_stalled(c)),
                                   b->confirms,
                                   b->no_record | cms_peers_no_record(c),
                                   wait | cms_peers_held(c),
                                   present);
        if (must_be_patient(c, set)) {
                cms_ballot_abandon(c, CMS_WHY_TIMEOUT, c->config.heartbeat_usec / 2);
                return;
        }

        if (is_better_elsewhere(c, overall, set)) {
                hand_over(c, overall);
                return;
        }
        if (!node_set_contains(set, c->config.self)) {
                hand_over(c, set);
                return;
        }
        if (wait != NODE_SET_EMPTY && !cms_has_majority(c, node_set_minus(set, b->no_record)) &&
            cms_has_majority(c, node_set_minus(set | wait, b->no_record))) {
                cms_ballot_abandon(c, CMS_WHY_TIMEOUT, cms_backoff(c));
                return;
        }
        propose(c, set);
}

/* ---- committing ---- */

static void commit(Cms *c) {
        CmsMessage *m = cms_message(c, CMS_MESSAGE_COMMIT);
        NodeSet members = c->ballot.proposal.membership.members;
        CmsEchoAges own;

        cms_lease_fill_ages(c, &c->ballot.proposal.membership, &own);
        cms_lease_merge_ages(c, &own);
        cms_lease_fill_youngest(c, &m->commit.echoed);

        m->commit.ballot = c->ballot.mid;
        m->commit.hash = c->ballot.proposal.membership.hash;
        CMS_TRACE(c, .type = CMS_TRACE_COMMITTED, .mid = c->ballot.mid, .set = members);
        cms_send(c, node_set_without(members, c->config.self), m);
        cms_install(c, &c->ballot.proposal, &m->commit.echoed);
}

static bool all_acknowledged(const Cms *c) {
        const CmsBallot *b = &c->ballot;
        NodeSet missing = node_set_minus(b->proposal.membership.members, b->acknowledged);

        if (CMS_BROKEN(c, COMMIT_BEFORE_ALL))
                return node_set_count(missing) <= 1;
        if (CMS_BROKEN(c, COMMIT_SKIPS_NODE))
                return node_set_without(missing, node_set_highest(b->proposal.membership.members)) == 0;
        return missing == NODE_SET_EMPTY;
}

static void run_proposing(Cms *c) {
        CmsBallot *b = &c->ballot;
        const Membership *m = &b->proposal.membership;
        NodeSet missing;

        /* Everybody in it must be heard up to the end, also those that have acknowledged. */
        if (!cms_hears_members(c, m)) {
                cms_ballot_abandon(c, CMS_WHY_LOSS, 0);
                return;
        }
        if (cms_config_is_durable(c))
                node_set_add(&b->acknowledged, c->config.self);
        if (all_acknowledged(c)) {
                commit(c);
                return;
        }
        missing = node_set_without(node_set_minus(m->members, b->acknowledged), c->config.self);
        if (c->now_usec >= b->deadline_usec) {
                NODE_SET_FOREACH(id, missing)
                        cms_hold_no_answer(c, id);
                cms_ballot_abandon(c, CMS_WHY_TIMEOUT, cms_backoff(c) / 2);
                return;
        }
        if (c->now_usec >= b->resend_usec)
                send_propose(c, missing);
}

static void run_inquiring(Cms *c) {
        CmsBallot *b = &c->ballot;
        NodeSet wait;

        if (!b->sent && cms_is_durable(c, b->number_store)) {
                b->sent = true;
                b->deadline_usec = usec_add(c->now_usec, patience(c));
                b->soft_deadline_usec = usec_add(c->now_usec, 2 * c->config.heartbeat_usec);
                if (b->expected != NODE_SET_EMPTY)
                        send_inquire(c, b->expected);
        }
        if (!node_set_contains(b->answered, c->config.self) && cms_is_durable(c, c->promise_store)) {
                CmsMessage *m = cms_message(c, CMS_MESSAGE_ANSWER);

                cms_fill_answer(c, &m->answer);
                merge_answer(c, c->config.self, &m->answer);
        }
        wait = node_set_minus(b->expected, b->answered | b->excluded);
        if (wait == NODE_SET_EMPTY)
                b->resend_usec = USEC_INFINITY;
        else if (b->sent && c->now_usec >= b->resend_usec)
                send_inquire(c, wait);
        decide(c);
}

void cms_ballot_run(Cms *c) {
        if (c->phase != CMS_PHASE_INQUIRING && c->phase != CMS_PHASE_PROPOSING)
                return;
        if (cms_cannot_write(c)) {
                cms_ballot_abandon(c, CMS_WHY_REFUSED, cms_backoff(c));
                return;
        }
        if (c->phase == CMS_PHASE_INQUIRING)
                run_inquiring(c);
        if (c->phase == CMS_PHASE_PROPOSING)
                run_proposing(c);
}

uint64_t cms_ballot_due(const Cms *c) {
        uint64_t until, due = USEC_INFINITY;

        if (c->phase == CMS_PHASE_INQUIRING && c->ballot.sent) {
                /* Nothing is decided before our own promise is on disk. */
                if (waited_for(c, &until) != NODE_SET_EMPTY &&
                    node_set_contains(c->ballot.answered, c->config.self))
                        due = until;
                return MIN(due, c->ballot.resend_usec);
        }
        if (c->phase == CMS_PHASE_PROPOSING)
                return MIN(c->ballot.deadline_usec, c->ballot.resend_usec);
        return due;
}

/* ---- messages ---- */

void cms_on_answer(Cms *c, uint32_t from, const CmsMessage *m) {
        if (c->phase != CMS_PHASE_INQUIRING)
                return;
        if (!answer_counts(c, from, m, m->answer.ballot, m->answer.coordinator_incarnation))
                return;
        if (c->ballot.incarnation[from - 1] != m->incarnation)
                return;
        node_set_remove(&c->ballot.excluded, from);
        cms_take_row(c, from, &m->answer.row);
        if (cms_learn_votings(c, &m->answer.votings))
                return;
        merge_answer(c, from, &m->answer);
}

void cms_on_acknowledge(Cms *c, uint32_t from, const CmsMessage *m) {
        const CmsAcknowledge *a = &m->acknowledge;

        if (c->phase != CMS_PHASE_PROPOSING)
                return;
        if (!answer_counts(c, from, m, a->ballot, a->coordinator_incarnation))
                return;
        if (a->hash != c->ballot.proposal.membership.hash)
                return;
        if (!membership_has(&c->ballot.proposal.membership, from, m->incarnation))
                return;
        CMS_TRACE(c, .type = CMS_TRACE_ACKNOWLEDGEMENT, .mid = a->ballot, .node = from);
        cms_lease_merge_ages(c, &a->echoed);
        node_set_add(&c->ballot.acknowledged, from);
}

void cms_on_refuse(Cms *c, uint32_t from, const CmsMessage *m) {
        const CmsRefuse *r = &m->refuse;

        if (c->phase != CMS_PHASE_INQUIRING && c->phase != CMS_PHASE_PROPOSING)
                return;
        if (!answer_counts(c, from, m, r->ballot, r->coordinator_incarnation))
                return;
        CMS_TRACE(c, .type = CMS_TRACE_REFUSAL, .mid = r->ballot, .node = from, .value = r->why);
        node_set_add(&c->ballot.responded, from);
        switch (r->why) {
        case CMS_REFUSAL_PROMISED:
                c->floor_epoch = MAX(c->floor_epoch, r->promised.epoch);
                cms_ballot_abandon(
                                c,
                                CMS_WHY_REFUSED,
                                c->n_failures == 0 ? prng_below(&c->prng, c->config.heartbeat_usec / 4)
                                                   : cms_backoff(c));
                break;
        case CMS_REFUSAL_NOT_HEARD:
        case CMS_REFUSAL_LOSS_NOT_SEEN:
                /* It may see it in a moment: asked again until the deadline. */
                if (c->phase == CMS_PHASE_PROPOSING)
                        cms_ballot_abandon(c, CMS_WHY_REFUSED, c->config.heartbeat_usec / 2);
                break;
        case CMS_REFUSAL_INTACT:
        case CMS_REFUSAL_CANNOT_WRITE:
        case CMS_REFUSAL_INVALID:
                node_set_add(&c->ballot.excluded, from);
                if (c->phase == CMS_PHASE_PROPOSING)
                        cms_ballot_abandon(c, CMS_WHY_REFUSED, cms_backoff(c));
                break;
        case _CMS_REFUSAL_MAX:
        case _CMS_REFUSAL_INVALID:
                break;
        }
}
