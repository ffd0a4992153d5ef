/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* Whether a ballot is needed, and whose turn it is (R2). Every node chooses from its own matrix the set that
 * it would form. When that is not what is installed, the lowest rank of the set calls; the others follow one
 * after the other if nothing comes of it. Who hears a quorate membership without itself never calls. */

NodeSet cms_peers_no_record(const Cms *c) {
        NodeSet set = c->no_record ? node_set_of(c->config.self) : NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].heartbeat.no_record)
                        node_set_add(&set, id);
        return CMS_BROKEN(c, NO_RECORD_COUNTS) ? NODE_SET_EMPTY : set;
}

NodeSet cms_peers_cannot_write(const Cms *c) {
        NodeSet set = cms_cannot_write(c) ? node_set_of(c->config.self) : NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].heartbeat.cannot_write)
                        node_set_add(&set, id);
        return CMS_BROKEN(c, CANNOT_WRITE_IGNORED) ? NODE_SET_EMPTY : set;
}

/* Nodes outside that are proven dead, by what we and the other members of our membership know. */
NodeSet cms_proven(const Cms *c) {
        NodeSet set = NODE_SET_EMPTY;

        if (!c->has_installed)
                return set;
        NODE_SET_FOREACH(id, node_set_minus(c->config.enabled, c->installed.members))
                if (c->known[id - 1].proven)
                        node_set_add(&set, id);
        NODE_SET_FOREACH(id, c->row & c->installed.members)
                if (mid_equal(c->peers[id - 1].heartbeat.mid, c->installed.mid))
                        set |= c->peers[id - 1].heartbeat.proven;
        return node_set_minus(set, c->installed.members);
}

/* Those of the set that are still members as they were, and have not gone on without us, hold quorum with
 * us. */
bool cms_still_quorate(const Cms *c, NodeSet set) {
        NodeSet left = node_set_of(c->config.self);

        NODE_SET_FOREACH(id, c->installed.members & set)
                if (membership_has(&c->installed, id, c->peers[id - 1].incarnation) &&
                    mid_compare(c->peers[id - 1].heartbeat.mid, c->installed.mid) <= 0)
                        node_set_add(&left, id);
        return cms_has_majority(c, left) || (c->installed.half && left == c->installed.members);
}

/* Every member is heard as it was when it joined, everyone of them confirms everyone, and none has gone
 * elsewhere. */
bool cms_is_intact(const Cms *c) {
        if (!c->has_installed || c->excluded)
                return false;
        if (!cms_hears_members(c, &c->installed) ||
            !node_set_is_subset(c->installed.members, c->config.enabled))
                return false;
        NODE_SET_FOREACH(id, node_set_without(c->installed.members, c->config.self)) {
                const CmsHeartbeat *h = &c->peers[id - 1].heartbeat;

                if (mid_compare(h->mid, c->installed.mid) > 0 &&
                    !node_set_contains(h->members, c->config.self))
                        return false;
        }
        NODE_SET_FOREACH(id, c->installed.members)
                if (!node_set_is_subset(node_set_without(c->installed.members, id), c->confirms[id - 1]))
                        return false;
        return true;
}

static unsigned standing(const Cms *c, NodeSet set) {
        return cms_has_majority(c, set) ? 2 : cms_is_half(c, set) ? 1 : 0;
}

/* R2: an intact membership without quorum is left for one that contains it, or that is more: a half, a
 * majority. That holds for whoever asks and for who is asked, or they would ask each other for ever. */
bool cms_may_be_left_for(const Cms *c, NodeSet members, NodeSet target) {
        return node_set_is_subset(members, target) || standing(c, target) > standing(c, members);
}

/* Somebody we hear works in a quorate membership that we are not in, and ours is no newer quorate one. */
bool cms_hears_foreign_quorum(const Cms *c) {
        if (CMS_BROKEN(c, CALLS_BESIDE_QUORUM))
                return false;
        NODE_SET_FOREACH(id, c->row) {
                const CmsHeartbeat *h = &c->peers[id - 1].heartbeat;

                if (!h->quorate || (c->has_installed && mid_equal(h->mid, c->installed.mid)))
                        continue;
                if (c->has_installed && c->installed.quorate && mid_compare(c->installed.mid, h->mid) > 0)
                        continue;
                return true;
        }
        return false;
}

/* Place of this node in the set by rank: seniority in the newest quorate membership, then id. */
unsigned cms_place(const Cms *c, NodeSet set) {
        unsigned place = 0;

        if (c->has_quorate)
                for (unsigned i = 0; i < c->quorate.n_members; i++) {
                        uint32_t id = c->quorate.rank[i];
                        uint64_t incarnation =
                                        id == c->config.self ? c->incarnation : c->peers[id - 1].incarnation;

                        if (!node_set_contains(set, id) || !membership_has(&c->quorate, id, incarnation))
                                continue;
                        if (id == c->config.self)
                                return place;
                        place++;
                        node_set_remove(&set, id);
                }
        NODE_SET_FOREACH(id, set) {
                if (id == c->config.self)
                        return place;
                place++;
        }
        return place;
}

static bool is_bound_here(const Cms *c, const BestSetInput *in, NodeSet candidates, NodeSet set) {
        if (!cms_is_intact(c) || c->installed.quorate || cms_may_be_left_for(c, c->installed.members, set))
                return false;
        return node_set_is_subset(in->current, candidates) && best_set_is_complete(in, in->current);
}

/* R3. What is intact and quorate is only added to; who did not answer of late is left out while the others
 * suffice; who has no record comes in last and counts for nothing (R8). */
NodeSet
cms_choose(const Cms *c,
           NodeSet candidates,
           const NodeSet confirms[static NODE_ID_MAX],
           NodeSet no_record,
           NodeSet weak,
           NodeSet may_join) {
        BestSetInput in = { .votes = c->config.votes, .tie_breaker = c->config.tie_breaker };
        NodeSet set, with_weak;
        bool keep;

        candidates &= cms_votings_eligible(&c->votings);
        in.candidates = candidates;
        best_set_fill_mutual(&in, confirms);
        if (CMS_BROKEN(c, TARGET_IGNORES_ROWS))
                NODE_SET_FOREACH(id, candidates)
                        in.mutual[id - 1] = node_set_without(candidates, id);
        if (c->has_installed && !c->excluded)
                in.current = c->installed.members;
        keep = cms_is_intact(c) && c->installed.quorate && node_set_is_subset(in.current, candidates) &&
               best_set_is_complete(&in, in.current);
        if (CMS_BROKEN(c, LEAVES_INTACT)) {
                keep = false;
                in.current = NODE_SET_EMPTY;
        }
        if (keep) {
                in.must = in.current;
                in.candidates &= in.current | may_join;
                weak &= ~in.current;
                no_record &= ~in.current;
        }
        in.candidates = node_set_minus(candidates & in.candidates, no_record | weak);
        set = best_set(&in);
        /* A half that is quorate by proof takes in only what makes it a majority, or else it would be no
         * more than a half again, and without proof. */
        if (keep && !cms_has_majority(c, set))
                return in.current;
        if (!cms_has_majority(c, set) && weak != NODE_SET_EMPTY) {
                in.candidates = node_set_minus(candidates, no_record);
                with_weak = best_set(&in);
                if (cms_has_majority(c, with_weak))
                        set = with_weak;
        }
        if (cms_has_majority(c, set))
                NODE_SET_FOREACH(id, candidates & no_record & ~weak)
                        if (node_set_is_subset(set, in.mutual[id - 1]))
                                node_set_add(&set, id);
        if (is_bound_here(c, &in, candidates, set))
                return in.current;
        return set;
}

/* Who may be added to an intact quorate membership: nobody that is held off; and nobody at all while a
 * member cannot write, because its promise would be needed. */
static NodeSet may_join(const Cms *c) {
        NodeSet set = NODE_SET_EMPTY;

        if (c->has_installed && (cms_peers_cannot_write(c) & c->installed.members) != NODE_SET_EMPTY)
                return set;
        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].hold_until_usec <= c->now_usec)
                        node_set_add(&set, id);
        return set;
}

/* Who is not coming: do not even ask. And where they are without us, without quorum, is no place to wait
 * for.
 */
static NodeSet bound_elsewhere(const Cms *c, NodeSet target) {
        NodeSet set = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, node_set_without(target, c->config.self)) {
                const CmsHeartbeat *h = &c->peers[id - 1].heartbeat;

                if (h->settled && !h->quorate && !node_set_contains(h->members, c->config.self) &&
                    (!node_set_contains(target, c->config.self) ||
                     !cms_may_be_left_for(c, h->members, target)))
                        node_set_add(&set, id);
        }
        return set;
}

static NodeSet choose_reachable(const Cms *c, NodeSet candidates) {
        for (;;) {
                NodeSet target, bound;

                target =
                                cms_choose(c,
                                           candidates,
                                           c->confirms,
                                           cms_peers_no_record(c),
                                           cms_weak(c),
                                           may_join(c));
                if (cms_has_majority(c, target))
                        return target;
                bound = bound_elsewhere(c, target);
                if (bound == NODE_SET_EMPTY)
                        return target;
                candidates = node_set_minus(candidates, bound);
        }
}

static void choose_target(Cms *c) {
        NodeSet candidates = node_set_with(c->row, c->config.self) & c->config.enabled, target, cannot;
        bool works;

        if (!c->view_changed && c->now_usec < c->target_due_usec &&
            c->target_cannot_write == cms_cannot_write(c))
                return;
        works = cms_is_intact(c) && c->installed.quorate;
        c->target_cannot_write = cms_cannot_write(c);
        c->view_changed = false;
        c->target_due_usec = USEC_INFINITY;
        NODE_SET_FOREACH(id, c->row) {
                const CmsPeer *p = &c->peers[id - 1];

                if (p->weak_until_usec > c->now_usec)
                        c->target_due_usec = MIN(c->target_due_usec, p->weak_until_usec);
                if (p->hold_until_usec > c->now_usec)
                        c->target_due_usec = MIN(c->target_due_usec, p->hold_until_usec);
        }
        /* R3, R10: a member that cannot write holds up the flush of all, and one that stands still what is
         * ordered. It is left out, unless the others do not suffice. */
        cannot = cms_peers_cannot_write(c) | cms_peers_stalled(c);
        target = choose_reachable(c, node_set_minus(candidates, cannot));
        if (works && !cms_has_majority(c, target))
                target = choose_reachable(
                                c, node_set_minus(candidates, node_set_minus(cannot, c->installed.members)));
        if (target != c->target) {
                c->target = target;
                c->target_since_usec = c->now_usec;
        }
}

static bool target_is_installed(const Cms *c) {
        if (c->target != c->installed.members)
                return false;
        NODE_SET_FOREACH(id, node_set_without(c->target, c->config.self))
                if (!cms_hears(c, id, membership_node(&c->installed, id)->incarnation))
                        return false;
        return true;
}

static bool member_is_adrift(const Cms *c) {
        NODE_SET_FOREACH(id, c->installed.members & c->row) {
                const CmsPeer *p = &c->peers[id - 1];

                if (p->adrift_since_usec != 0 &&
                    c->now_usec - p->adrift_since_usec >= 2 * c->config.failure_usec)
                        return true;
        }
        return false;
}

static bool half_is_proven(const Cms *c) {
        return !c->installed.quorate && c->installed.half && cms_is_intact(c) &&
               c->target == c->installed.members &&
               cms_holds_quorum(c, &c->votings, c->installed.members, c->installed.members, cms_proven(c));
}

static CmsWhy find_need(const Cms *c) {
        if (!node_set_contains(c->target, c->config.self))
                return CMS_WHY_NONE;
        if (c->handed)
                return CMS_WHY_HAND_OVER;
        if (!c->has_installed || c->excluded)
                return CMS_WHY_START;
        if (!target_is_installed(c)) {
                if (!c->installed.quorate)
                        return CMS_WHY_BETTER;
                return cms_is_intact(c) && node_set_is_subset(c->installed.members, c->target)
                                       ? CMS_WHY_JOIN
                                       : CMS_WHY_LOSS;
        }
        if (mid_compare(c->promised, c->installed.mid) > 0)
                return CMS_WHY_REFORM;
        if (half_is_proven(c) || cms_held_brings_proof(c))
                return CMS_WHY_PROOF;
        if (member_is_adrift(c))
                return CMS_WHY_ADRIFT;
        if (cms_config_is_due(c))
                return CMS_WHY_CONFIG;
        return CMS_WHY_NONE;
}

/* A member hears another life of a member than we do: that one was started again, and its own words are on
 * their way here. Until they are here those two seem not to hear each other, and one is as good as the
 * other. */
static bool is_restart_on_its_way(const Cms *c) {
        NODE_SET_FOREACH(from, c->installed.members & c->row) {
                const CmsRow *row = &c->peers[from - 1].row;

                NODE_SET_FOREACH(id, row->heard & c->row & c->installed.members)
                        if (!cms_hears(c, id, row->incarnation[id - 1]) &&
                            cms_hears(c, id, membership_node(&c->installed, id)->incarnation))
                                return true;
        }
        return false;
}

/* A member that was started again is heard at once and confirms a moment later: one change instead of two.
 */
static uint64_t loss_delay_until(const Cms *c) {
        uint64_t until = 0;

        if (is_restart_on_its_way(c))
                until = MIN(c->now_usec + c->config.heartbeat_usec,
                            c->need_since_usec + c->config.failure_usec);
        NODE_SET_FOREACH(id, c->installed.members & c->row) {
                const CmsPeer *p = &c->peers[id - 1];

                if (!membership_has(&c->installed, id, p->incarnation) && !node_set_contains(c->target, id))
                        until = MAX(until, usec_add(p->incarnation_usec, c->config.heartbeat_usec));
        }
        return until;
}

/* Our membership is quorate, the set is not, and some members that it leaves behind are heard as they were.
 */
bool cms_would_lose_quorum(const Cms *c, NodeSet set) {
        if (!c->has_installed || c->excluded || !c->installed.quorate || cms_has_majority(c, set))
                return false;
        NODE_SET_FOREACH(id, node_set_minus(c->installed.members & c->row, set))
                if (membership_has(&c->installed, id, c->peers[id - 1].incarnation))
                        return true;
        return false;
}

/* From when on the first of the target may call. */
static uint64_t call_from(const Cms *c) {
        uint64_t beat = c->config.heartbeat_usec;
        NodeSet heard = node_set_with(c->row, c->config.self);

        switch (c->need) {
        case CMS_WHY_LOSS:
                if (cms_would_lose_quorum(c, c->target))
                        return c->need_since_usec + c->config.failure_usec;
                return loss_delay_until(c);
        case CMS_WHY_JOIN:
                /* Whoever is heard is in it; or else wait a moment for those who come at the same time. */
                if (c->target == heard)
                        return 0;
                return MIN(c->target_since_usec + beat, c->need_since_usec + 3 * beat);
        case CMS_WHY_START:
        case CMS_WHY_BETTER:
                if (c->target == c->config.enabled)
                        return 0;
                if (cms_has_majority(c, c->target))
                        return MIN(c->target_since_usec + beat, c->need_since_usec + 3 * beat);
                return MAX(c->target_since_usec + beat, c->start_usec + c->config.failure_usec + beat);
        case CMS_WHY_NONE:
        case CMS_WHY_PROOF:
        case CMS_WHY_ADRIFT:
        case CMS_WHY_REFORM:
        case CMS_WHY_CONFIG:
        case CMS_WHY_HAND_OVER:
        case CMS_WHY_TIMEOUT:
        case CMS_WHY_REFUSED:
        case CMS_WHY_OVERTAKEN:
        case CMS_WHY_LEAVE:
        case _CMS_WHY_MAX:
        case _CMS_WHY_INVALID:
                return 0;
        }
        ASSERT_NOT_REACHED();
}

static bool may_call(const Cms *c) {
        if (c->no_record || cms_cannot_write(c) || !node_set_contains(c->config.enabled, c->config.self))
                return false;
        if (c->phase != CMS_PHASE_WAITING && c->phase != CMS_PHASE_STABLE &&
            c->phase != CMS_PHASE_PROMISED && c->phase != CMS_PHASE_ACKNOWLEDGED)
                return false;
        return !cms_hears_foreign_quorum(c);
}

/* A ballot of somebody else is under way: give it its time, unless whoever called it is gone. */
static uint64_t patience_until(const Cms *c) {
        if (c->phase != CMS_PHASE_PROMISED && c->phase != CMS_PHASE_ACKNOWLEDGED)
                return 0;
        if (c->promised_to != c->config.self && !cms_hears(c, c->promised_to, c->promised_incarnation))
                return 0;
        return c->promise_deadline_usec;
}

void cms_evaluate(Cms *c) {
        CmsWhy need;
        unsigned place;
        uint64_t at;

        choose_target(c);
        c->call_usec = USEC_INFINITY;
        if (!may_call(c))
                return;

        need = find_need(c);
        if (need != c->need) {
                if (c->need == CMS_WHY_NONE || need == CMS_WHY_NONE)
                        c->need_since_usec = c->now_usec;
                c->need = need;
        }
        if (need == CMS_WHY_NONE)
                return;

        place = need == CMS_WHY_HAND_OVER ? 0 : cms_place(c, c->target);
        /* Whoever hands over has given up its own ballot. */
        at = need == CMS_WHY_HAND_OVER ? 0 : MAX(call_from(c), patience_until(c));
        if (place > 0) {
                at = MAX(at, MAX(c->target_since_usec, c->need_since_usec));
                at += c->config.failure_usec + place * c->config.heartbeat_usec;
        }
        at = MAX(at, MAX(c->retry_usec, c->silent_usec));
        if (at > c->now_usec) {
                c->call_usec = at;
                return;
        }
        c->handed = false;
        cms_ballot_call(c, need);
}
