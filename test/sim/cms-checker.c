/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/cms-checker.h"

#include <inttypes.h>

/* Everything that happens to all nodes of a cluster in one second causes far less. */
#define INSTALLS_PER_SECOND_MAX 100U

/* Numbers refer to design.md section 4; R to the rules of protocol.md. */

/* Where it is, or is to be. */
static CmsSimMid **place_of(CmsSimMid **table, size_t size, Mid mid) {
        uint64_t seed = mid.epoch << 6 ^ mid.node;
        uint64_t i = splitmix64(&seed);

        while (table[i % size] && !mid_equal(table[i % size]->mid, mid))
                i++;
        return &table[i % size];
}

static void make_room(CmsSim *s) {
        size_t size = MAX(2 * s->mids_size, 1024U);
        CmsSimMid **table;

        if (2 * s->n_mids < s->mids_size)
                return;
        table = calloc(size, sizeof(CmsSimMid *));
        s->decided = reallocarray(s->decided, size, sizeof(CmsSimMid *));
        assert(table && s->decided);
        for (size_t i = 0; i < s->mids_size; i++)
                if (s->mids[i])
                        *place_of(table, size, s->mids[i]->mid) = s->mids[i];
        free(s->mids);
        s->mids = table;
        s->mids_size = size;
}

static CmsSimMid *look_up(CmsSim *s, Mid mid) {
        CmsSimMid **place;

        make_room(s);
        place = place_of(s->mids, s->mids_size, mid);
        if (!*place) {
                *place = calloc(1, sizeof(CmsSimMid));
                assert(*place);
                (*place)->mid = mid;
                s->n_mids++;
        }
        return *place;
}

/* ---- what is on disk before it is said (R1) ---- */

static bool durable_record(World *w, uint32_t node, CmsRecord *ret) {
        const WorldPart *part = world_stored(w, node, WORLD_CMS);
        ByteReader r;

        if (!part)
                return false;
        byte_reader_init(&r, part->data, part->size_bytes);
        cms_record_decode(&r, ret);
        return byte_reader_finish(&r) == 0;
}

static void check_written(World *w, CmsSim *s, uint32_t node, Mid ballot, const char *what) {
        CmsSimNode *n = &s->nodes[node - 1];
        char text[MID_TEXT_MAX], higher[MID_TEXT_MAX];
        CmsRecord record;

        if (!durable_record(w, node, &record) || mid_compare(record.promised, ballot) < 0)
                world_fail(w,
                           "n%" PRIu32 " %s %s before it was written",
                           node,
                           what,
                           mid_format(ballot, text));
        if (mid_compare(ballot, n->promised) < 0)
                world_fail(w,
                           "n%" PRIu32 " %s %s after it promised %s",
                           node,
                           what,
                           mid_format(ballot, text),
                           mid_format(n->promised, higher));
        n->promised = ballot;
}

static void sent_inquire(World *w, CmsSim *s, uint32_t node, Mid ballot) {
        char text[MID_TEXT_MAX];
        CmsRecord record;

        if (ballot.node != node)
                world_fail(w, "n%" PRIu32 " uses the number %s of another", node, mid_format(ballot, text));
        if (!durable_record(w, node, &record) ||
            (mid_compare(record.promised, ballot) < 0 && record.used_epoch < ballot.epoch))
                world_fail(w, "n%" PRIu32 " uses %s, which is not stored", node, mid_format(ballot, text));
}

/* Votes of the set less those of all others. */
static int margin(const CmsConfig *file, NodeSet set) {
        int sum = 0;

        NODE_SET_FOREACH(id, file->enabled)
                sum += node_set_contains(set, id) ? file->votes[id - 1] : -file->votes[id - 1];
        return sum;
}

/* R7: what a membership needs quorum under: what was in force before it, and what it puts in force, or what
 * may be in force already. */
static int least_margin(const CmsSim *s, const CmsSimMid *e, NodeSet set) {
        int before = margin(cms_sim_file(s, e->file), set);

        return e->has_proposed ? MIN(before, margin(cms_sim_file(s, e->file_proposed), set)) : before;
}

/* R2: a quorate membership in which nothing was lost is left only for one that contains it. */
static void check_left(World *w, CmsSim *s, uint32_t node, const Membership *m) {
        const Cms *c = s->nodes[node - 1].cms;
        const Membership *former = cms_membership(c);
        char text[MID_TEXT_MAX];

        if (!former || !former->quorate || !cms_is_intact(c) ||
            node_set_is_subset(former->members, m->members))
                return;
        /* By what the members have answered it is as sound as by what the coordinator sees. */
        if (!node_set_is_subset(former->members, c->ballot.answered))
                return;
        NODE_SET_FOREACH(id, former->members)
                if (!node_set_is_subset(node_set_without(former->members, id), c->ballot.confirms[id - 1]))
                        return;
        world_fail(w,
                   "n%" PRIu32 " leaves %s, in which nothing was lost",
                   node,
                   mid_format(former->mid, text));
}

/* R21: a node that has waited long enough for everybody to know is taken in only where it is needed: the
 * others of the set, without those that wait too, do not answer or have no record, do not suffice. */
static void check_held(World *w, CmsSim *s, uint32_t node, const CmsPropose *p) {
        uint64_t long_usec = 10 * s->config.failure_usec;
        NodeSet others = node_set_minus(p->membership.members, p->no_record);
        const Cms *c = s->nodes[node - 1].cms;
        uint32_t waiting = 0;
        char text[MID_TEXT_MAX];

        NODE_SET_FOREACH(id, p->membership.members) {
                const CmsSimNode *n = &s->nodes[id - 1];

                /* A member may just not know yet that it is one. */
                if (n->held_since_usec != 0 && w->now_usec - n->held_since_usec >= long_usec &&
                    !(c->has_installed && node_set_contains(c->installed.members, id)))
                        waiting = id;
                if ((n->held_last_usec != 0 && w->now_usec - n->held_last_usec < long_usec) ||
                    c->peers[id - 1].weak_until_usec > c->now_usec)
                        node_set_remove(&others, id);
        }
        if (p->membership.quorate && waiting != 0 &&
            least_margin(s, look_up(s, p->membership.mid), others) > 0)
                world_fail(w,
                           "%s has n%" PRIu32 " in it, which is held off and not needed",
                           mid_format(p->membership.mid, text),
                           waiting);
}

/* What it says of votes is what is in the file that it names. */
static unsigned file_of_voting(World *w, CmsSim *s, const CmsVoting *v) {
        unsigned number = cms_sim_file_of_hash(s, v->hash);
        CmsVoting file;

        cms_config_to_voting(cms_sim_file(s, number), &file);
        file.mid = v->mid;
        if (memcmp(file.votes, v->votes, sizeof(file.votes)) != 0 || file.enabled != v->enabled ||
            file.tie_breaker != v->tie_breaker || file.configured != v->configured)
                world_fail(w, "a proposal has file %u with other votes in it", number);
        return number;
}

static void note_files(World *w, CmsSim *s, CmsSimMid *e, const CmsVotings *v) {
        e->file = e->file_after = file_of_voting(w, s, &v->committed);
        e->has_proposed = cms_votings_are_pending(v);
        if (!e->has_proposed)
                return;
        e->file_proposed = file_of_voting(w, s, &v->proposed);
        if (mid_equal(v->proposed.mid, e->mid))
                e->file_after = e->file_proposed;
}

static void sent_propose(World *w, CmsSim *s, uint32_t node, const CmsPropose *p) {
        const Membership *m = &p->membership;
        CmsSimMid *e = look_up(s, m->mid);
        char text[MID_TEXT_MAX];

        if (e->proposed && e->hash != m->hash) {
                world_fail(w, "n%" PRIu32 " proposes two things under %s", node, mid_format(m->mid, text));
                return;
        }
        if (!e->proposed)
                note_files(w, s, e, &p->votings);
        if (!e->proposed && m->mid.node == node)
                check_left(w, s, node, m);
        if (!e->proposed)
                check_held(w, s, node, p);
        e->proposed = true;
        e->hash = m->hash;
        e->members = m->members;
        e->no_record = p->no_record;
        NODE_SET_FOREACH(id, m->members)
                e->incarnation[id - 1] = membership_node(m, id)->incarnation;
}

/* R3, A08: whoever acknowledges, hears everybody that is in it, as it is. */
static void check_marks(World *w, CmsSim *s, uint32_t node, const CmsSimMid *e) {
        const Cms *c = s->nodes[node - 1].cms;
        char text[MID_TEXT_MAX];

        NODE_SET_FOREACH(id, node_set_without(e->members, node))
                if (!cms_hears(c, id, e->incarnation[id - 1]))
                        world_fail(w,
                                   "n%" PRIu32 " accepts %s although it does not hear n%" PRIu32,
                                   node,
                                   mid_format(e->mid, text),
                                   id);
}

/* R7: it outlives a power loss, and so whoever asks later is told of it. */
static void check_config_written(World *w, CmsSim *s, uint32_t node, const CmsSimMid *e) {
        char text[MID_TEXT_MAX];
        CmsRecord record;

        if (e->file_after == e->file)
                return;
        if (!durable_record(w, node, &record) || mid_compare(record.votings.proposed.mid, e->mid) < 0)
                world_fail(w,
                           "n%" PRIu32 " acknowledges file %u in %s before it was written",
                           node,
                           e->file_after,
                           mid_format(e->mid, text));
}

static void sent_acknowledge(World *w, CmsSim *s, uint32_t node, const CmsAcknowledge *a) {
        CmsSimMid *e = look_up(s, a->ballot);
        char text[MID_TEXT_MAX];

        check_written(w, s, node, a->ballot, "acknowledges");
        if (node_set_contains(e->acknowledged, node))
                return;
        if (!e->proposed || e->hash != a->hash)
                world_fail(w,
                           "n%" PRIu32 " acknowledges %s as nobody proposed it",
                           node,
                           mid_format(a->ballot, text));
        if (e->incarnation[node - 1] != s->nodes[node - 1].cms->incarnation)
                world_fail(w,
                           "n%" PRIu32 " acknowledges %s for an earlier life",
                           node,
                           mid_format(a->ballot, text));
        check_marks(w, s, node, e);
        check_config_written(w, s, node, e);
        node_set_add(&e->acknowledged, node);
}

void cms_checker_sent(World *w, CmsSim *s, uint32_t node, const CmsMessage *m) {
        switch (m->type) {
        case CMS_MESSAGE_INQUIRE:
                sent_inquire(w, s, node, m->inquire.ballot);
                return;
        case CMS_MESSAGE_ANSWER:
                if (m->answer.no_record)
                        return;
                if (s->nodes[node - 1].wiped)
                        world_fail(w, "n%" PRIu32 " promises without a record", node);
                check_written(w, s, node, m->answer.ballot, "answers");
                return;
        case CMS_MESSAGE_PROPOSE:
                sent_propose(w, s, node, &m->propose);
                return;
        case CMS_MESSAGE_ACKNOWLEDGE:
                sent_acknowledge(w, s, node, &m->acknowledge);
                return;
        case CMS_MESSAGE_HEARTBEAT:
                /* R8, R4 */
                if (s->nodes[node - 1].wiped && !m->heartbeat.no_record)
                        world_fail(w, "n%" PRIu32 " counts, and does not hold the history yet", node);
                return;
        case CMS_MESSAGE_COMMIT:
        case CMS_MESSAGE_REFUSE:
        case CMS_MESSAGE_HAND_OVER:
        case CMS_MESSAGE_FAREWELL:
        case CMS_MESSAGE_FAREWELL_HEARD:
        case CMS_MESSAGE_CONFIGURATION:
        case CMS_MESSAGE_FOREIGN:
                return;
        }
}

void cms_checker_started(World *w, CmsSim *s, uint32_t node, const CmsRecord *record) {
        CmsSimNode *n = &s->nodes[node - 1];

        if (!record || !record->taken_in)
                n->wiped = true;
        if (record)
                return;
        n->promised = n->installed = MID_NONE;
}

/* ---- what is installed ---- */

/* R6: every node outside died, or left for good, while all who are in it were there as they are now. */
static void check_half(World *w, CmsSim *s, const Membership *m, NodeSet enabled, const char *text) {
        uint64_t since = 0;

        NODE_SET_FOREACH(id, m->members)
                since = MAX(since, w->nodes[id - 1].started_usec);
        NODE_SET_FOREACH(id, node_set_minus(enabled, m->members)) {
                if (!membership_node(m, id)->proven)
                        world_fail(w, "half %s is quorate, and n%" PRIu32 " not proven dead", text, id);
                if (MAX(w->nodes[id - 1].died_usec, s->nodes[id - 1].left_usec) < since)
                        world_fail(w,
                                   "half %s is quorate, and n%" PRIu32 " did not die in this split",
                                   text,
                                   id);
        }
}

/* More than half of the votes, of nodes whose word counts; or exactly half, and all others dead. */
static void check_quorum(World *w, CmsSim *s, uint32_t node, const Membership *m, const CmsSimMid *e) {
        NodeSet counted = node_set_minus(m->members, e->no_record);
        int more = least_margin(s, e, counted);
        char text[MID_TEXT_MAX];

        (void) mid_format(m->mid, text);
        if (!m->quorate) {
                if (more > 0 && e->no_record == NODE_SET_EMPTY)
                        world_fail(w, "n%" PRIu32 " installs %s without the quorum that it has", node, text);
                return;
        }
        if (more < 0)
                world_fail(w,
                           "n%" PRIu32 " installs %s as quorate with %d votes too few",
                           node,
                           text,
                           -more);
        if (margin(cms_sim_file(s, e->file), counted) == 0)
                check_half(w, s, m, cms_sim_file(s, e->file)->enabled, text);
        if (e->has_proposed && margin(cms_sim_file(s, e->file_proposed), counted) == 0)
                check_half(w, s, m, cms_sim_file(s, e->file_proposed)->enabled, text);
}

/* R7: of two quorate memberships, one after the other, the later one knows what the earlier one left in
 * force, and has quorum under it. */
static void check_succession(World *w, CmsSim *s, const CmsSimMid *earlier, const CmsSimMid *later) {
        char a[MID_TEXT_MAX], b[MID_TEXT_MAX];

        (void) mid_format(earlier->mid, a);
        (void) mid_format(later->mid, b);
        /* A half that holds both, and completes nothing, leaves open which one it is. */
        if (later->file != earlier->file_after &&
            !(later->has_proposed && later->file_proposed == earlier->file_after) &&
            !(earlier->has_proposed && later->file == earlier->file_proposed))
                world_fail(w, "%s does not know of file %u, in force since %s", b, earlier->file_after, a);
        if (margin(cms_sim_file(s, earlier->file_after), node_set_minus(later->members, later->no_record)) <
            0)
                world_fail(w,
                           "%s has no quorum under file %u, in force since %s",
                           b,
                           earlier->file_after,
                           a);
}

static void note_decided(World *w, CmsSim *s, CmsSimMid *e) {
        unsigned i = s->n_decided++;

        for (; i > 0 && mid_compare(s->decided[i - 1]->mid, e->mid) > 0; i--)
                s->decided[i] = s->decided[i - 1];
        s->decided[i] = e;
        /* Halves that form one after the other by proof of each other's death know nothing of each other. */
        if (s->files_differ)
                return;
        if (i > 0)
                check_succession(w, s, s->decided[i - 1], e);
        if (i + 1 < s->n_decided)
                check_succession(w, s, e, s->decided[i + 1]);
}

/* R14, A16: a node is given up only when nothing runs there: it left with nothing running, or the boot that
 * was in a quorate membership is over. */
static void check_gone(World *w, CmsSim *s, const CmsSimMid *e) {
        const CmsConfig *before = cms_sim_file(s, e->file), *after = cms_sim_file(s, e->file_after);
        char text[MID_TEXT_MAX];

        NODE_SET_FOREACH(id, before->enabled) {
                const CmsSimNode *n = &s->nodes[id - 1];
                const WorldNode *machine = &w->nodes[id - 1];

                if (node_set_contains(after->enabled, id) &&
                    before->identity[id - 1] == after->identity[id - 1])
                        continue;
                if (n->worked_boot == 0 || n->worked_boot != machine->boot || machine->off ||
                    (n->left_usec >= n->worked_usec && !n->left_running))
                        continue;
                world_fail(w,
                           "%s gives up n%" PRIu32 ", which may run something",
                           mid_format(e->mid, text),
                           id);
        }
}

/* R4: all who decide a change hold the history of the membership that they are in, so that some of every
 * quorum under the new configuration do. */
static void check_flushed(World *w, CmsSim *s, const CmsSimMid *e) {
        const CmsSimNode *first = &s->nodes[node_set_lowest(e->members) - 1];
        char text[MID_TEXT_MAX];

        if (e->file_after == e->file)
                return;
        NODE_SET_FOREACH(id, e->members)
                if (!mid_equal(s->nodes[id - 1].flushed, first->flushed) ||
                    mid_compare(s->nodes[id - 1].installed, first->flushed) > 0)
                        world_fail(w,
                                   "%s changes what counts, and n%" PRIu32 " does not hold the history yet",
                                   mid_format(e->mid, text),
                                   id);
}

/* A number's first installation: all of its members have acknowledged it, and it meets every quorate one. */
static void check_first(World *w, CmsSim *s, const Membership *m, CmsSimMid *e) {
        NodeSet missing = node_set_without(node_set_minus(m->members, e->acknowledged), m->mid.node);
        char text[MID_TEXT_MAX], set[NODE_SET_TEXT_MAX];

        if (missing != NODE_SET_EMPTY)
                world_fail(w,
                           "%s is installed before %s acknowledged it",
                           mid_format(m->mid, text),
                           node_set_format(missing, set));
        NODE_SET_FOREACH(id, m->members)
                if (m->quorate && s->nodes[id - 1].wiped && !node_set_contains(e->no_record, id))
                        world_fail(w,
                                   "%s counts n%" PRIu32 ", whose storage is gone",
                                   mid_format(m->mid, text),
                                   id);
        s->n_memberships++;
        e->first_usec = w->now_usec;
        e->quorate = m->quorate;
        if (!m->quorate)
                return;
        check_gone(w, s, e);
        check_flushed(w, s, e);
        note_decided(w, s, e);
}

/* R9: whoever counts as down has not the boot that is named beside it any more. */
static void check_down(World *w, CmsSim *s, uint32_t node, uint32_t id, const MembershipNode *n) {
        const WorldNode *machine = &w->nodes[id - 1];
        uint64_t boot;

        if (n->state != NODE_DOWN || boot_id_is_none(&n->boot_id) || s->device_lies)
                return;
        memcpy(&boot, n->boot_id.bytes, sizeof(boot));
        if (boot == machine->boot && !machine->off)
                world_fail(w,
                           "n%" PRIu32 " counts n%" PRIu32 " as down (%s), and boot %" PRIu64 " is not over",
                           node,
                           id,
                           node_reason_to_string(n->reason),
                           boot);
}

/* Nodes of another version are told and not counted; and members work with the same configuration. */
static void check_alike(World *w, CmsSim *s, uint32_t node, const Membership *m, const CmsSimMid *e) {
        const Cms *c = s->nodes[node - 1].cms;
        char text[MID_TEXT_MAX];

        if (cms_sim_file_of_hash(s, c->config.hash) != e->file_after)
                world_fail(w,
                           "n%" PRIu32 " installs %s with file %u in force, and not %u",
                           node,
                           mid_format(m->mid, text),
                           cms_sim_file_of_hash(s, c->config.hash),
                           e->file_after);

        NODE_SET_FOREACH(id, m->members)
                if (w->nodes[id - 1].up &&
                    cms_sim_incarnation(w, id) == membership_node(m, id)->incarnation &&
                    w->nodes[id - 1].version != w->nodes[node - 1].version)
                        world_fail(w,
                                   "n%" PRIu32 " installs %s with n%" PRIu32 ", which is of another version",
                                   node,
                                   mid_format(m->mid, text),
                                   id);
}

/* R2: retries wait. */
static void check_rate(World *w, uint32_t node, CmsSimNode *n) {
        if (w->now_usec / USEC_PER_SEC != n->second_usec / USEC_PER_SEC)
                n->n_in_second = 0;
        n->second_usec = w->now_usec;
        if (++n->n_in_second > INSTALLS_PER_SECOND_MAX)
                world_fail(w, "n%" PRIu32 " installs one membership after the other", node);
}

static void note_held(World *w, CmsSim *s, uint32_t node) {
        CmsSimNode *n = &s->nodes[node - 1];

        if (!n->cms->held) {
                n->held_since_usec = 0;
                return;
        }
        n->held_last_usec = w->now_usec;
        if (n->held_since_usec == 0)
                n->held_since_usec = w->now_usec;
}

static void installed(World *w, CmsSim *s, uint32_t node, const Membership *m) {
        CmsSimNode *n = &s->nodes[node - 1];
        CmsSimMid *e = look_up(s, m->mid);
        char text[MID_TEXT_MAX], newer[MID_TEXT_MAX];

        (void) mid_format(m->mid, text);
        if (!e->proposed) {
                /* A coordinator alone proposes to nobody. */
                sent_propose(w, s, node, &n->cms->acceptance);
        }
        if (e->hash != m->hash || e->members != m->members) /* 1 */
                world_fail(w, "%s names two memberships", text);
        if (mid_compare(m->mid, n->installed) <= 0) /* 2 */
                world_fail(w,
                           "n%" PRIu32 " installs %s after %s",
                           node,
                           text,
                           mid_format(n->installed, newer));
        if (!membership_has(m, node, n->cms->incarnation)) /* 3 */
                world_fail(w, "n%" PRIu32 " installs %s without being in it", node, text);
        check_alike(w, s, node, m, e);
        if (mid_compare(m->mid, n->promised) < 0)
                world_fail(w,
                           "n%" PRIu32 " installs %s late: it has promised %s",
                           node,
                           text,
                           mid_format(n->promised, newer));
        if (m->mid.node == node) {
                check_written(w, s, node, m->mid, "commits");
                check_config_written(w, s, node, e);
                check_marks(w, s, node, e);
        }
        if (!e->installed)
                check_first(w, s, m, e);
        e->installed = true;
        check_quorum(w, s, node, m, e);
        check_rate(w, node, n);
        n->installed = m->mid;
        n->n_installed++;
        n->last_install_usec = w->now_usec;
        if (!m->quorate)
                return;
        n->worked_boot = w->nodes[node - 1].boot;
        n->worked_usec = w->now_usec;
}

void cms_checker_notified(World *w, CmsSim *s, uint32_t node, const CmsNotification *n) {
        if (n->type == CMS_NOTIFICATION_STABLE)
                installed(w, s, node, n->stable);
}

/* ---- 4, as far as memberships go: of two quorate ones never both are complete and at work ---- */

/* All of its members live in it, and none has promised anything above it. */
bool cms_checker_is_at_work(const World *w, const CmsSim *s, const Membership *m) {
        NODE_SET_FOREACH(id, m->members) {
                const Cms *c = s->nodes[id - 1].cms;
                const Membership *other = c ? cms_membership(c) : NULL;

                if (!other || !mid_equal(other->mid, m->mid) || cms_in_transition(c))
                        return false;
                if (c->incarnation != membership_node(m, id)->incarnation)
                        return false;
        }
        return true;
}

static void check_exclusive(World *w, CmsSim *s, uint32_t node) {
        const Membership *mine = cms_membership(s->nodes[node - 1].cms);
        char a[MID_TEXT_MAX], b[MID_TEXT_MAX];

        if (!mine || !mine->quorate || !cms_checker_is_at_work(w, s, mine))
                return;
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                const Cms *c = s->nodes[id - 1].cms;
                const Membership *m = c ? cms_membership(c) : NULL;

                if (m && m->quorate && !mid_equal(m->mid, mine->mid) && cms_checker_is_at_work(w, s, m))
                        world_fail(w,
                                   "%s and %s are quorate and at work at once",
                                   mid_format(mine->mid, a),
                                   mid_format(m->mid, b));
        }
}

/* ---- R11: nobody holds a lease that others, at work, count as over ---- */

/* R12: a machine whose clock its host can stop takes its lease for longer than it is. Nobody is counted down
 * by time there. */
static bool clock_stood(const World *w, const CmsSim *s, uint32_t holder, uint64_t until_usec) {
        return usec_sub(until_usec, s->config.lease_usec) <= w->nodes[holder - 1].stood_usec;
}

static void check_lease(World *w, CmsSim *s, uint32_t holder, uint32_t other) {
        const Cms *mine = s->nodes[holder - 1].cms, *its = s->nodes[other - 1].cms;
        uint64_t until, over;

        if (!mine || !its || clock_stood(w, s, holder, cms_lease_usec(mine)))
                return;
        until = world_time(w, holder, cms_lease_usec(mine));
        /* Stricter than what it tells: also of whom somebody hears. */
        over = world_time(w, other, its->has_installed ? its->lease.over_usec[holder - 1] : USEC_INFINITY);
        if (over >= until || !cms_checker_is_at_work(w, s, &its->installed))
                return;
        world_fail(w,
                   "n%" PRIu32 " holds its lease for %" PRIu64 " us more, and n%" PRIu32
                   " counts it as over in %" PRIu64 " us",
                   holder,
                   until - w->now_usec,
                   other,
                   over - w->now_usec);
}

static void check_leases(World *w, CmsSim *s, uint32_t node) {
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                if (id != node) {
                        check_lease(w, s, node, id);
                        check_lease(w, s, id, node);
                }
}

void cms_checker_stepped(World *w, CmsSim *s, uint32_t node) {
        const CmsSimNode *n = &s->nodes[node - 1];

        if (w->failed)
                return;
        note_held(w, s, node);
        cms_check(n->cms);
        NODE_SET_FOREACH(id, n->cms->config.configured)
                check_down(w, s, node, id, &n->cms->known[id - 1]);
        if (n->last_install_usec == w->now_usec)
                check_exclusive(w, s, node);
        check_leases(w, s, node);
}
