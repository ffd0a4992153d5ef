/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* Who is heard. Each link has its own stamp; a node is heard while any link with carrier brought a new
 * heartbeat of its present incarnation within FailureSec. The stamps that suspicion is measured by stand on
 * a clock which our own pauses do not advance: whoever was not running must not accuse the others.
 * Everything that shows failure sooner (last gasp, carrier, new incarnation) only takes a node out of the
 * row; the next heartbeat of a living one puts it back (R9). */

static uint64_t sense_now(const Cms *c) {
        return c->now_usec - c->discount_usec;
}

static bool is_fresh(const Cms *c, const CmsPeer *p, unsigned link) {
        return p->ever[link] && c->carrier[link] &&
               sense_now(c) - p->sense_usec[link] < c->config.failure_usec;
}

/* Or it has left: what it said last is of no more concern. */
static bool is_silent(const Cms *c, uint32_t id) {
        const CmsPeer *p = &c->peers[id - 1];

        if (p->incarnation == 0 || p->left == p->incarnation)
                return true;
        for (unsigned l = 0; l < c->config.n_links; l++)
                if (is_fresh(c, p, l))
                        return false;
        return true;
}

static bool is_heard(const Cms *c, uint32_t id) {
        return node_set_contains(c->others, id) && !c->peers[id - 1].mismatch && !is_silent(c, id);
}

bool cms_hears(const Cms *c, uint32_t id, uint64_t incarnation) {
        return node_set_contains(c->row, id) && c->peers[id - 1].incarnation == incarnation;
}

bool cms_hears_members(const Cms *c, const Membership *m) {
        NODE_SET_FOREACH(id, node_set_without(m->members, c->config.self))
                if (!cms_hears(c, id, membership_node(m, id)->incarnation))
                        return false;
        return true;
}

void cms_fill_row(const Cms *c, CmsRow *ret) {
        ret->version = c->row_version;
        ret->heard = c->row;
        NODE_SET_FOREACH(id, c->row)
                ret->incarnation[id - 1] = c->peers[id - 1].incarnation;
}

void cms_take_row(Cms *c, uint32_t from, const CmsRow *row) {
        CmsPeer *p = &c->peers[from - 1];

        if (row->version <= p->row.version && p->row.version != 0)
                return;
        p->row = *row;
        c->view_changed = true;
}

static bool is_known_as(const Cms *c, uint32_t id, uint64_t incarnation) {
        return incarnation == (id == c->config.self ? c->incarnation : c->peers[id - 1].incarnation);
}

/* The node has acknowledged our membership, and what it said last is older than its installing it. */
bool cms_spoke_before_installing(const Cms *c, uint32_t id) {
        const CmsPeer *p = &c->peers[id - 1];

        return c->has_installed && !c->excluded && membership_has(&c->installed, id, p->incarnation) &&
               mid_compare(p->heartbeat.mid, c->installed.mid) < 0;
}

/* All of our membership confirmed each other when they acknowledged it. What a member said before it
 * installed it is older than that and takes nothing back. */
static NodeSet confirmed_by_installing(const Cms *c, uint32_t id) {
        NodeSet set = NODE_SET_EMPTY;

        if (!cms_spoke_before_installing(c, id))
                return set;
        NODE_SET_FOREACH(other, node_set_without(c->installed.members, id))
                if (is_known_as(c, other, membership_node(&c->installed, other)->incarnation))
                        node_set_add(&set, other);
        return set;
}

/* Whom a node confirms by its newest row, counting only the incarnations that are known here. */
NodeSet cms_confirmed_by(const Cms *c, uint32_t id) {
        const CmsRow *row = &c->peers[id - 1].row;
        NodeSet set;

        if (id == c->config.self)
                return c->row;
        set = confirmed_by_installing(c, id);
        NODE_SET_FOREACH(other, row->heard)
                if (is_known_as(c, other, row->incarnation[other - 1]))
                        node_set_add(&set, other);
        return set;
}

static void forget_stamps(CmsPeer *p) {
        for (unsigned l = 0; l < CMS_LINKS_MAX; l++) {
                p->ever[l] = false;
                p->link_number[l] = 0;
        }
}

/* The node runs as somebody else now: whatever was known of the former incarnation's life ends. */
static void take_incarnation(Cms *c, uint32_t id, uint64_t incarnation) {
        CmsPeer *p = &c->peers[id - 1];

        if (p->incarnation != 0) {
                p->retired[p->next_retired] =
                                (CmsRetired){ .incarnation = p->incarnation, .number = p->heartbeat.number };
                p->next_retired = (p->next_retired + 1) % CMS_RETIRED_MAX;
                if (node_set_contains(c->row, id))
                        p->suspicion = NODE_REASON_NEW_INCARNATION;
        }
        p->incarnation = incarnation;
        p->incarnation_usec = c->now_usec;
        p->heartbeat = (CmsHeartbeat){ 0 };
        p->row = (CmsRow){ 0 };
        p->row_usec = 0;
        p->n_lost = 0;
        p->deaf_until_usec = 0;
        p->adrift_since_usec = 0;
        p->n_silent_answers = p->n_outs = 0;
        p->weak_until_usec = p->hold_until_usec = 0;
        p->renewed_usec = p->echoed_number = 0;
        forget_stamps(p);
}

/* A heartbeat of an incarnation that another one took the place of: a late one, as a rule. When it goes on
 * while the other one is silent, we had mistaken a late datagram for a start; when both go on, the id is
 * used twice (R10). */
static bool retired_is_back(Cms *c, uint32_t id, const CmsMessage *m, CmsRetired *t) {
        CmsPeer *p = &c->peers[id - 1];

        if (m->heartbeat.number <= t->number)
                return false;
        t->number = m->heartbeat.number;
        if (++t->n_revived < 3)
                return false;
        if (is_heard(c, id) && c->now_usec - p->row_usec < 3 * c->config.heartbeat_usec) {
                p->two_until_usec = usec_add(c->now_usec, 10 * c->config.failure_usec);
                return false;
        }
        t->incarnation = 0;
        return true;
}

/* An incarnation that we have not met: a start, or a late datagram of a life before we came. A start shows
 * itself by its first numbers, by the silence of the other one, or by going on. */
static bool is_believable(const Cms *c, CmsPeer *p, bool other_is_heard, const CmsMessage *m) {
        if (!other_is_heard || m->heartbeat.number <= 2)
                return true;
        if (c->now_usec - p->row_usec > 2 * c->config.heartbeat_usec)
                return true;
        if (p->candidate.incarnation != m->incarnation)
                p->candidate = (CmsRetired){ .incarnation = m->incarnation };
        if (m->heartbeat.number > p->candidate.number) {
                p->candidate.number = m->heartbeat.number;
                p->candidate.n_revived++;
        }
        return p->candidate.n_revived >= 3;
}

/* Whether the message comes from the incarnation that we go by, after looking at what a new one means. */
static bool admit_incarnation(Cms *c, uint32_t from, const CmsMessage *m) {
        CmsPeer *p = &c->peers[from - 1];

        if (p->incarnation == m->incarnation)
                return true;
        for (unsigned i = 0; i < CMS_RETIRED_MAX; i++)
                if (p->retired[i].incarnation == m->incarnation &&
                    !retired_is_back(c, from, m, &p->retired[i]))
                        return false;
        if (!is_believable(c, p, node_set_contains(c->row, from), m))
                return false;
        take_incarnation(c, from, m->incarnation);
        return true;
}

/* R9: the boot that is known is over when a later one is heard. Which is the later one, promises tell, since
 * they outlive a boot: it has promised all that the other one was a member of. Whoever slept may hold a
 * heartbeat of a boot before. */
bool cms_is_later_boot(const MembershipNode *known, const CmsHeartbeat *h) {
        if (boot_id_is_none(&known->boot_id) || boot_id_equal(&known->boot_id, &h->boot_id))
                return false;
        return !h->no_record && mid_compare(h->promised, known->last_mid) >= 0;
}

/* What it was in the last membership with it, or what was heard of it since. */
uint64_t cms_newest_life(const Cms *c, uint32_t id, BootId *ret_boot_id) {
        const CmsPeer *p = &c->peers[id - 1];
        const MembershipNode *k = &c->known[id - 1];
        bool later = p->row_usec != 0 && p->incarnation != k->incarnation &&
                     mid_compare(p->heartbeat.promised, k->last_mid) >= 0;

        *ret_boot_id = later ? p->heartbeat.boot_id : k->boot_id;
        return later ? p->incarnation : k->incarnation;
}

static void note_boot(Cms *c, uint32_t id, const CmsHeartbeat *h) {
        MembershipNode *k = &c->known[id - 1];

        if (k->state == NODE_UP || c->peers[id - 1].left == c->peers[id - 1].incarnation)
                return;
        /* A later life takes back no proof about the one that is over. */
        if (k->state == NODE_DOWN &&
            (boot_id_is_none(&k->boot_id) || boot_id_equal(&k->boot_id, &h->boot_id))) {
                k->state = NODE_UNKNOWN;
                k->reason = NODE_REASON_HEARD_AGAIN;
                k->proven = false;
        } else if ((k->state == NODE_UNKNOWN || k->state == NODE_DETACHED) &&
                   (cms_is_later_boot(k, h) ||
                    (CMS_BROKEN(c, EARLIER_BOOT_PROVES) && !boot_id_equal(&k->boot_id, &h->boot_id)))) {
                k->state = NODE_DOWN;
                k->reason = NODE_REASON_NEW_BOOT;
        }
}

void cms_set_problem(Cms *c, uint32_t id, CmsProblem problem) {
        CmsPeer *p = &c->peers[id - 1];

        if (p->problem == problem)
                return;
        p->problem = problem;
        CMS_TRACE(c, .type = CMS_TRACE_PROBLEM, .node = id, .value = problem);
}

static void stamp(Cms *c, CmsPeer *p, unsigned link, uint64_t number) {
        if (p->ever[link] && number <= p->link_number[link])
                return;
        p->link_number[link] = number;
        p->heard_usec[link] = c->now_usec;
        if (c->now_usec < p->deaf_until_usec)
                return;
        p->ever[link] = true;
        p->sense_usec[link] = sense_now(c);
        /* One or two may have been under way; more of them are better evidence than a flag that was not
         * taken back. */
        if (!c->carrier[link] && ++c->n_without_carrier[link] >= 3)
                c->carrier[link] = true;
}

void cms_on_foreign(Cms *c, uint32_t from, unsigned link) {
        CmsPeer *p = &c->peers[from - 1];

        p->mismatch = true;
        p->heard_usec[link] = c->now_usec;
        cms_set_problem(c, from, CMS_PROBLEM_VERSION);
}

/* Anything but its number. */
static bool tells_news(const CmsHeartbeat *former, const CmsHeartbeat *h) {
        if (former->members != h->members || former->proven != h->proven)
                return true;
        if (!mid_equal(former->mid, h->mid) || !mid_equal(former->promised, h->promised))
                return true;
        if (former->quorate != h->quorate || former->settled != h->settled || former->armed != h->armed)
                return true;
        if ((former->hold_left_msec > 0) != (h->hold_left_msec > 0))
                return true;
        if (former->no_record != h->no_record || former->cannot_write != h->cannot_write)
                return true;
        if (former->stalled != h->stalled)
                return true;
        if (former->config_wanted != h->config_wanted || former->config_proposed != h->config_proposed)
                return true;
        return memcmp(former->config_hash, h->config_hash, sizeof(h->config_hash)) != 0;
}

void cms_on_heartbeat(Cms *c, uint32_t from, unsigned link, const CmsMessage *m) {
        CmsPeer *p = &c->peers[from - 1];
        const CmsHeartbeat *h = &m->heartbeat;
        bool was_new;

        if (!admit_incarnation(c, from, m))
                return;
        was_new = p->row_usec == 0;
        stamp(c, p, link, h->number);
        if (!was_new && h->number <= p->heartbeat.number)
                return;
        if (!was_new)
                p->n_lost += h->number - p->heartbeat.number - 1;
        c->view_changed = c->view_changed || was_new || tells_news(&p->heartbeat, h);
        p->heartbeat = *h;
        cms_take_row(c, from, &h->row);
        p->row_usec = c->now_usec;
        cms_lease_take_echo(c, from, h);

        p->problem = p->problem == CMS_PROBLEM_VERSION ? CMS_PROBLEM_NONE : p->problem;
        cms_judge_config(c, from);
        note_boot(c, from, h);
        if (!p->mismatch && node_set_contains(c->others, from) && p->left != p->incarnation)
                cms_recover_commit(c, h);
}

void cms_on_last_gasp(Cms *c, uint32_t node, uint64_t incarnation) {
        CmsPeer *p = &c->peers[node - 1];

        /* Once, and only of exactly this incarnation (R9). */
        if (p->incarnation != incarnation || p->gasped == incarnation)
                return;
        p->gasped = incarnation;
        if (CMS_BROKEN(c, LAST_GASP_IS_DOWN))
                c->known[node - 1].state = NODE_DOWN;
        p->deaf_until_usec = usec_add(c->now_usec, c->config.heartbeat_usec / 2);
        if (node_set_contains(c->row, node))
                p->suspicion = NODE_REASON_LAST_GASP;
        for (unsigned l = 0; l < CMS_LINKS_MAX; l++)
                p->ever[l] = false;
}

void cms_on_link(Cms *c, unsigned link, bool carrier) {
        c->carrier[link] = carrier;
        c->n_without_carrier[link] = 0;
        c->heartbeat_wanted = c->heartbeat_wanted || carrier;
}

void cms_on_farewell(Cms *c, uint32_t from, const CmsMessage *m) {
        CmsPeer *p = &c->peers[from - 1];
        MembershipNode *k = &c->known[from - 1];
        CmsMessage *reply;

        for (unsigned i = 0; i < CMS_RETIRED_MAX; i++)
                if (p->retired[i].incarnation == m->incarnation)
                        return;
        if (p->incarnation != m->incarnation)
                take_incarnation(c, from, m->incarnation);
        if (p->left != m->incarnation) {
                p->left = m->incarnation;
                p->left_running = m->farewell.running;
                p->left_mid = m->farewell.mid;
                if (node_set_contains(c->row, from))
                        p->suspicion = NODE_REASON_FAREWELL;
                if (k->incarnation == m->incarnation && k->state != NODE_DOWN) {
                        k->state = p->left_running ? NODE_DETACHED : NODE_INACTIVE;
                        k->reason = NODE_REASON_FAREWELL;
                        /* R9: proof, about the membership that both were in. */
                        k->proven = !p->left_running && c->has_installed &&
                                    mid_equal(p->left_mid, c->installed.mid) &&
                                    membership_has(&c->installed, from, m->incarnation);
                }
                cms_set_problem(c, from, CMS_PROBLEM_LEFT);
                c->view_changed = true;
        }
        reply = cms_message(c, CMS_MESSAGE_FAREWELL_HEARD);
        reply->farewell_heard.incarnation = m->incarnation;
        cms_send(c, node_set_of(from), reply);
}

/* R6, R15: about one incarnation, the newest, named by the membership that excluded it, and void for a node
 * that is heard. When it is a later one than we were in a membership with, it is that one of which the death
 * is known from here on, and which must not be heard again. */
void cms_on_confirmed_down(Cms *c, const CmsConfirmation *confirmation) {
        uint32_t id = confirmation->node;
        MembershipNode *k = &c->known[id - 1];
        BootId boot_id;

        if (!node_set_contains(c->config.configured, id) || id == c->config.self ||
            node_set_contains(c->row, id))
                return;
        if (c->has_installed && node_set_contains(c->installed.members, id))
                return;
        if (cms_newest_life(c, id, &boot_id) != confirmation->incarnation ||
            mid_compare(confirmation->mid, k->last_mid) <= 0)
                return;
        if (k->state == NODE_UP)
                return;
        k->state = NODE_DOWN;
        k->reason = NODE_REASON_CONFIRMED;
        k->incarnation = confirmation->incarnation;
        k->boot_id = boot_id;
        if (c->has_installed && mid_compare(confirmation->mid, c->lineage) >= 0 &&
            mid_compare(confirmation->mid, c->installed.mid) <= 0)
                k->proven = true;
        CMS_TRACE(c, .type = CMS_TRACE_CONFIRMED, .node = id, .value = confirmation->incarnation);
        cms_notify(c,
                   &(CmsNotification){
                                   .type = CMS_NOTIFICATION_NODE,
                                   .node = { .node = id,
                                             .change = CMS_NODE_CONFIRMED,
                                             .reason = NODE_REASON_CONFIRMED,
                                             .incarnation = confirmation->incarnation,
                                             .boot_id = k->boot_id },
                   });
        c->view_changed = true;
        c->heartbeat_wanted = true;
}

/* ---- hold-offs (R3) ---- */

static uint64_t doubled(uint64_t usec, unsigned n) {
        return usec << MIN(n, CMS_HOLD_DOUBLINGS_MAX);
}

void cms_hold_no_answer(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];
        uint64_t hold = doubled(2 * c->config.failure_usec, p->n_silent_answers);

        p->n_silent_answers++;
        p->weak_until_usec = usec_add(c->now_usec, hold);
        c->view_changed = true;
        CMS_TRACE(c, .type = CMS_TRACE_HELD_OFF, .node = id, .value = hold);
}

/* Lost by silence, by connectivity or by its disk, and the same incarnation as before: the first return is
 * free, a node that flaps waits longer each time, so that it does not drag all through one membership after
 * the other. Who stood still waits from the first time on: it was heard all the while, and would be back at
 * once. */
void cms_hold_lost(Cms *c, uint32_t id, NodeReason why) {
        CmsPeer *p = &c->peers[id - 1];

        if (c->now_usec - p->last_out_usec > CMS_HOLD_FORGET_USEC)
                p->n_outs = 0;
        p->last_out_usec = c->now_usec;
        if (why == NODE_REASON_STALLED && p->n_outs == 0)
                p->n_outs++;
        if (p->n_outs++ == 0)
                return;
        p->hold_until_usec = usec_add(c->now_usec, doubled(c->config.failure_usec, p->n_outs - 1));
        CMS_TRACE(c, .type = CMS_TRACE_HELD_OFF, .node = id, .value = p->hold_until_usec - c->now_usec);
}

/* Who is left out while the others suffice for quorum. */
NodeSet cms_weak(const Cms *c) {
        NodeSet set = cms_peers_held(c);

        NODE_SET_FOREACH(id, c->row)
                if (c->peers[id - 1].weak_until_usec > c->now_usec)
                        node_set_add(&set, id);
        return set;
}

/* ---- the row ---- */

static void notify_node(Cms *c, uint32_t id, CmsNodeChange change, NodeReason reason, uint64_t incarnation) {
        const CmsPeer *p = &c->peers[id - 1];

        cms_notify(c,
                   &(CmsNotification){
                                   .type = CMS_NOTIFICATION_NODE,
                                   .node = { .node = id,
                                             .change = change,
                                             .reason = reason,
                                             .incarnation = incarnation,
                                             .boot_id = p->heartbeat.boot_id },
                   });
}

static void node_comes(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];

        node_set_add(&c->row, id);
        c->row_version++;
        p->row_incarnation = p->incarnation;
        p->suspicion = NODE_REASON_NONE;
        CMS_TRACE(c, .type = CMS_TRACE_HEARD, .node = id, .value = p->incarnation);
        notify_node(c, id, CMS_NODE_COMING, NODE_REASON_NONE, p->incarnation);
}

void cms_node_goes(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];

        node_set_remove(&c->row, id);
        c->row_version++;
        if (p->suspicion == NODE_REASON_NONE)
                p->suspicion = NODE_REASON_SILENCE;
        /* A loss is news: it does not wait for what came to nothing before. */
        if (c->phase == CMS_PHASE_STABLE && node_set_contains(c->installed.members, id)) {
                c->n_failures = 0;
                c->retry_usec = 0;
        }
        CMS_TRACE(c, .type = CMS_TRACE_SUSPECTED, .node = id, .value = p->suspicion);
        notify_node(c, id, CMS_NODE_GOING, p->suspicion, p->row_incarnation);
}

static void update_problem(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];

        if (p->mismatch && (p->problem == CMS_PROBLEM_VERSION || !is_silent(c, id)))
                return;
        if (!node_set_contains(c->config.enabled, id))
                cms_set_problem(c, id, CMS_PROBLEM_DISABLED);
        else if (p->incarnation != 0 && p->left == p->incarnation)
                cms_set_problem(c, id, CMS_PROBLEM_LEFT);
        else if (p->two_until_usec > c->now_usec)
                cms_set_problem(c, id, CMS_PROBLEM_TWO_INCARNATIONS);
        else if (!node_set_contains(c->row, id))
                cms_set_problem(c, id, CMS_PROBLEM_NOT_HEARD);
        else if (!node_set_contains(c->mutual, id))
                cms_set_problem(c, id, CMS_PROBLEM_ONE_WAY);
        else if (p->heartbeat.no_record)
                cms_set_problem(c, id, CMS_PROBLEM_NO_RECORD);
        else if (p->heartbeat.cannot_write)
                cms_set_problem(c, id, CMS_PROBLEM_CANNOT_WRITE);
        else if (p->heartbeat.hold_left_msec > 0)
                cms_set_problem(c, id, CMS_PROBLEM_HELD);
        else if (cms_file_differs(c, id))
                cms_set_problem(c, id, CMS_PROBLEM_FILE_DIFFERS);
        else
                cms_set_problem(c, id, CMS_PROBLEM_NONE);
}

/* A member that did not install, and shows a number of its own. */
static void update_adrift(Cms *c, uint32_t id) {
        CmsPeer *p = &c->peers[id - 1];
        bool adrift = c->has_installed && node_set_contains(c->installed.members, id) && p->row_usec != 0 &&
                      !mid_equal(p->heartbeat.mid, c->installed.mid);

        if (!adrift)
                p->adrift_since_usec = 0;
        else if (p->adrift_since_usec == 0)
                p->adrift_since_usec = c->now_usec;
}

void cms_detect(Cms *c) {
        NodeSet before = c->row, mutual = NODE_SET_EMPTY;

        NODE_SET_FOREACH(id, c->others) {
                CmsPeer *p = &c->peers[id - 1];
                bool was = node_set_contains(c->row, id), is = is_heard(c, id);

                if (was && (!is || p->suspicion != NODE_REASON_NONE))
                        cms_node_goes(c, id);
                if (is && !node_set_contains(c->row, id))
                        node_comes(c, id);
                c->view_changed = c->view_changed || was != is;
        }
        if (c->row != before || c->view_changed)
                NODE_SET_FOREACH(id, node_set_with(c->row, c->config.self))
                        c->confirms[id - 1] = cms_confirmed_by(c, id);
        NODE_SET_FOREACH(id, c->row)
                if (node_set_contains(c->confirms[id - 1], c->config.self) ||
                    CMS_BROKEN(c, CHECKMARK_IGNORED))
                        node_set_add(&mutual, id);
        if (c->row != before)
                c->heartbeat_wanted = true;
        c->mutual = mutual;
        NODE_SET_FOREACH(id, c->config.configured)
                if (id != c->config.self) {
                        update_problem(c, id);
                        update_adrift(c, id);
                }
}

/* When the silence of somebody who is heard becomes a suspicion, or a hold-off ends. */
uint64_t cms_detect_due(const Cms *c) {
        uint64_t due = USEC_INFINITY;

        NODE_SET_FOREACH(id, c->row) {
                const CmsPeer *p = &c->peers[id - 1];
                uint64_t silent = 0;

                for (unsigned l = 0; l < c->config.n_links; l++)
                        if (is_fresh(c, p, l))
                                silent = MAX(silent,
                                             p->sense_usec[l] + c->discount_usec + c->config.failure_usec);
                due = MIN(due, silent);
                if (p->weak_until_usec > c->now_usec)
                        due = MIN(due, p->weak_until_usec);
                if (p->hold_until_usec > c->now_usec)
                        due = MIN(due, p->hold_until_usec);
        }
        return due;
}
