/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "basic/checksum.h"
#include "basic/time-util.h"
#include "fuzz/cms-world.h"

/* A core that wants to be woken so often without time passing does not come to rest. */
#define NOW_MAX 1000U

static CmsWorldNode *node_of(CmsWorld *w, uint32_t id) {
        assert(id >= 1 && id <= w->n_nodes);
        return &w->nodes[id - 1];
}

/* What is in it, and not the room for more. */
static void copy(CmsWorldDatagram *to, const CmsWorldDatagram *from) {
        memcpy(to, from, offsetof(CmsWorldDatagram, data) + from->size_bytes);
}

static void remember(CmsWorld *w, const CmsWorldDatagram *d) {
        copy(&w->past[w->n_past++ % CMS_WORLD_PAST_MAX], d);
}

static void queue(CmsWorld *w, const CmsWorldDatagram *d) {
        if (w->n_queued == CMS_WORLD_QUEUE_MAX)
                return; /* lost */
        copy(&w->queue[(w->queue_first + w->n_queued++) % CMS_WORLD_QUEUE_MAX], d);
}

void cms_world_mend(CmsWorld *w, CmsWorldDatagram *d) {
        CmsMessage *m = &w->again;
        ByteWriter writer;

        if (cms_message_decode(d->data, d->size_bytes, m) < 0)
                return;
        if (m->type == CMS_MESSAGE_PROPOSE) {
                w->true_hash = m->propose.membership.hash;
                m->propose.membership.hash = membership_hash(&m->propose.membership);
                w->forged_mid = m->propose.membership.mid;
                w->forged_hash = m->propose.membership.hash;
        } else if (m->type == CMS_MESSAGE_COMMIT && mid_equal(m->commit.ballot, w->forged_mid))
                m->commit.hash = w->forged_hash;
        else if (m->type == CMS_MESSAGE_HEARTBEAT && mid_equal(m->heartbeat.mid, w->forged_mid))
                m->heartbeat.mid_hash = w->forged_hash;
        else
                return;
        byte_writer_init(&writer, d->data, sizeof(d->data));
        cms_message_encode(m, &writer);
        assert(byte_writer_result(&writer) == 0);
        d->size_bytes = writer.size_bytes;
}

static uint32_t some_id(FuzzInput *in) {
        uint8_t v = fuzz_u8(in);

        /* Mostly one that there is. */
        return v < 192 ? 1 + v % CMS_WORLD_NODES_MAX : 1 + v % NODE_ID_MAX;
}

static void toggle(NodeSet *set, uint32_t id) {
        *set ^= node_set_of(id);
}

static uint64_t some_incarnation(CmsWorld *w, FuzzInput *in, uint32_t id) {
        if (id <= w->n_nodes && fuzz_u8(in) % 4 != 0)
                return w->nodes[id - 1].incarnation;
        return 1 + fuzz_u8(in);
}

static void twist_row(CmsWorld *w, CmsRow *row, FuzzInput *in) {
        uint32_t id = some_id(in);

        toggle(&row->heard, id);
        row->incarnation[id - 1] = some_incarnation(w, in, id);
        row->version += fuzz_u8(in);
}

static void twist_heartbeat(CmsWorld *w, CmsHeartbeat *h, FuzzInput *in) {
        uint32_t id = some_id(in);

        if (fuzz_u8(in) % 2)
                twist_row(w, &h->row, in);
        else {
                toggle(&h->echoed, id);
                h->echo_number[id - 1] = fuzz_u8(in) % 4 ? h->number - fuzz_u8(in) : fuzz_u64(in);
        }
        h->echoed &= h->row.heard;
}

static void twist_ages(CmsEchoAges *a, FuzzInput *in) {
        uint32_t id = some_id(in);

        toggle(&a->nodes, id);
        a->msec[id - 1] = (uint32_t) fuzz_u8(in) << fuzz_below(in, 25);
}

/* Ranks go on being those of the members, in some order, and members being up. */
static void mend_ranks(Membership *m, uint32_t first) {
        m->n_members = 0;
        if (node_set_contains(m->members, first))
                m->rank[m->n_members++] = (uint8_t) first;
        else
                first = 0;
        NODE_SET_FOREACH(id, m->members)
                if (id != first)
                        m->rank[m->n_members++] = (uint8_t) id;
        NODE_SET_FOREACH(id, m->configured) {
                MembershipNode *n = &m->nodes[id - 1];

                if (node_set_contains(m->members, id))
                        n->state = NODE_UP;
                else if (n->state == NODE_UP)
                        n->state = NODE_UNKNOWN;
        }
}

static void twist_voting(CmsVoting *v, FuzzInput *in) {
        uint32_t id = some_id(in);

        switch (fuzz_below(in, 5)) {
        case 0:
                v->votes[id - 1] = fuzz_u8(in);
                break;
        case 1:
                toggle(&v->enabled, id);
                v->configured |= v->enabled;
                break;
        case 2:
                toggle(&v->configured, id);
                v->enabled &= v->configured;
                break;
        case 3:
                v->mid.epoch += fuzz_u8(in);
                v->mid.node = id;
                break;
        case 4:
                v->hash[CMS_CONFIG_NODE] += fuzz_u8(in);
                break;
        }
}

static void twist_votings(CmsVotings *v, Mid mid, FuzzInput *in) {
        if (fuzz_u8(in) % 2) {
                twist_voting(&v->committed, in);
                return;
        }
        if (cms_voting_is_none(&v->proposed)) {
                v->proposed = v->committed;
                v->proposed.mid = mid;
        }
        twist_voting(&v->proposed, in);
}

static void twist_propose(CmsWorld *w, CmsPropose *p, FuzzInput *in) {
        Membership *m = &p->membership;
        uint32_t id = some_id(in);
        MembershipNode *n = &m->nodes[id - 1];

        switch (fuzz_below(in, CMS_WORLD_PROPOSALS)) {
        case 0:
                toggle(&m->members, id);
                m->configured |= m->members;
                n->incarnation = some_incarnation(w, in, id);
                break;
        case 1:
                toggle(&m->configured, id);
                m->members &= m->configured;
                break;
        case 2:
                m->quorate = !m->quorate;
                break;
        case 3:
                m->half = !m->half;
                break;
        case 4:
                m->tie_breaker = !m->tie_breaker;
                break;
        case 5:
                m->first = !m->first;
                break;
        case 6:
                n->incarnation = some_incarnation(w, in, id);
                break;
        case 7:
                n->proven = !n->proven;
                n->state = (NodeState) fuzz_below(in, _NODE_STATE_MAX);
                break;
        case 8:
                toggle(&p->no_record, id);
                break;
        case 9:
                m->mid.epoch += fuzz_u8(in);
                m->quorate_mid = fuzz_u8(in) % 2 ? m->mid : MID_NONE;
                break;
        case 10:
                twist_votings(&p->votings, m->mid, in);
                m->configured = cms_votings_after(&p->votings, m->mid)->configured;
                break;
        case 11:
                toggle(&p->met, id);
                break;
        }
        if (m->members == NODE_SET_EMPTY)
                m->members = node_set_of(id);
        m->configured |= m->members;
        p->no_record &= m->members;
        mend_ranks(m, fuzz_u8(in) % 2 ? m->rank[0] : id);
}

static void twist_answer(CmsWorld *w, CmsAnswer *a, FuzzInput *in) {
        uint32_t id = some_id(in);

        switch (fuzz_below(in, 6)) {
        case 0:
                twist_row(w, &a->row, in);
                break;
        case 1:
                toggle(&a->confirms[id - 1], some_id(in));
                break;
        case 2:
                toggle(&a->known, id);
                a->nodes[id - 1].incarnation = some_incarnation(w, in, id);
                a->nodes[id - 1].state = (NodeState) fuzz_below(in, _NODE_STATE_MAX);
                break;
        case 3:
                a->n_rank = 1;
                a->rank[0] = (uint8_t) id;
                a->rank_incarnation[0] = some_incarnation(w, in, id);
                break;
        case 4:
                a->no_record = !a->no_record;
                break;
        case 5:
                twist_votings(&a->votings, a->ballot, in);
                break;
        }
}

void cms_world_twist(CmsWorld *w, CmsWorldDatagram *d, FuzzInput *in) {
        CmsMessage *m = &w->again;
        ByteWriter writer;

        if (cms_message_decode(d->data, d->size_bytes, m) < 0 || m->type == CMS_MESSAGE_FOREIGN)
                return;
        if (m->type == CMS_MESSAGE_HEARTBEAT)
                twist_heartbeat(w, &m->heartbeat, in);
        else if (m->type == CMS_MESSAGE_INQUIRE)
                twist_row(w, &m->inquire.row, in);
        else if (m->type == CMS_MESSAGE_PROPOSE)
                twist_propose(w, &m->propose, in);
        else if (m->type == CMS_MESSAGE_ANSWER)
                twist_answer(w, &m->answer, in);
        else if (m->type == CMS_MESSAGE_ACKNOWLEDGE)
                twist_ages(&m->acknowledge.echoed, in);
        else if (m->type == CMS_MESSAGE_CONFIGURATION)
                twist_votings(&m->configuration.votings, (Mid){ 1 + fuzz_u8(in), d->from }, in);
        else if (m->type == CMS_MESSAGE_COMMIT)
                twist_ages(&m->commit.echoed, in);
        byte_writer_init(&writer, d->data, sizeof(d->data));
        cms_message_encode(m, &writer);
        assert(byte_writer_result(&writer) == 0);
        d->size_bytes = writer.size_bytes;
}

static void distort(CmsWorld *w, CmsWorldDatagram *d, CmsMessageType type) {
        if (d->from != w->mad)
                return;
        if (w->n_mad > 0 && (w->mad_type == 0 || w->mad_type == (unsigned) type)) {
                w->n_mad--;
                if (fuzz_u8(w->in) % 2)
                        cms_world_twist(w, d, w->in);
                else
                        fuzz_bend(w->in, d->data, &d->size_bytes, sizeof(d->data));
        }
        cms_world_mend(w, d);
}

static void send_message(CmsWorld *w, uint32_t from, NodeSet to, const CmsMessage *m) {
        CmsWorldDatagram *d = &w->scratch;
        ByteWriter writer;

        byte_writer_init(&writer, d->data, sizeof(d->data));
        cms_message_encode(m, &writer);
        assert(byte_writer_result(&writer) == 0);
        d->size_bytes = writer.size_bytes;
        d->from = from;
        assert(cms_message_decode(d->data, d->size_bytes, &w->again) == 0);
        if (w->on_message)
                w->on_message(w->userdata, m, d->data, d->size_bytes);
        assert(!node_set_contains(to, from));
        distort(w, d, m->type);
        NODE_SET_FOREACH(id, to) {
                d->to = id;
                for (d->link = 0; d->link < w->n_links; d->link++)
                        queue(w, d);
        }
        d->link = 0;
        remember(w, d);
}

/* The core of the mad one is made to believe that its own proposal was acknowledged. */
static const CmsMessage *deceive(CmsWorld *w, NodeSet to, const CmsMessage *m) {
        static CmsMessage changed;

        if (m->type != CMS_MESSAGE_ACKNOWLEDGE || w->mad == 0 || !node_set_contains(to, w->mad) ||
            !mid_equal(m->acknowledge.ballot, w->forged_mid) || m->acknowledge.hash != w->forged_hash)
                return m;
        changed = *m;
        changed.acknowledge.hash = w->true_hash;
        return &changed;
}

static void carry_out(CmsWorld *w, uint32_t id) {
        CmsWorldNode *n = node_of(w, id);

        for (unsigned i = 0; i < w->effects.n; i++) {
                const CmsEffect *e = &w->effects.items[i];

                switch (e->type) {
                case CMS_EFFECT_SEND:
                        send_message(w, id, e->send.to, deceive(w, e->send.to, e->send.message));
                        break;
                case CMS_EFFECT_STORE:
                        n->wanted = e->store.number;
                        n->writing = *e->store.record;
                        if (w->on_record)
                                w->on_record(w->userdata, e->store.record);
                        break;
                case CMS_EFFECT_NOTIFY:
                        if (e->notify.type == CMS_NOTIFICATION_STABLE)
                                n->flush = e->notify.stable->mid;
                        break;
                case CMS_EFFECT_LEFT:
                case CMS_EFFECT_TRACE:
                        break;
                }
        }
}

void cms_world_feed(CmsWorld *w, uint32_t id, CmsEvent event) {
        CmsWorldNode *n = node_of(w, id);
        event.now_usec = w->now_usec;
        cms_step(n->core, &event, &w->effects);
        cms_check(n->core);
        (void) cms_lease_usec(n->core);
        NODE_SET_FOREACH(other, w->config.configured)
                (void) cms_lease_over_usec(n->core, other);
        w->n_steps++;
        carry_out(w, id);
}

void cms_world_receive(CmsWorld *w, uint32_t from, uint32_t to, unsigned link, const void *data, size_t n) {
        if (from == to || cms_message_decode(data, n, &w->message) < 0)
                return;
        cms_world_feed(w,
                       to,
                       (CmsEvent){ .type = CMS_EVENT_RECEIVED,
                                   .received = { .from = from, .link = link, .message = &w->message } });
}

static void write_records(CmsWorld *w) {
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                CmsWorldNode *n = node_of(w, id);
                Mid flush = n->flush;

                n->flush = MID_NONE;
                if (!mid_is_none(flush))
                        cms_world_feed(w, id, (CmsEvent){ .type = CMS_EVENT_STORE, .store = { flush } });
                if (n->hung || n->stored == n->wanted)
                        continue;
                n->stored = n->wanted;
                n->record = n->writing;
                n->has_record = true;
                cms_world_feed(w,
                               id,
                               (CmsEvent){ .type = CMS_EVENT_STORED, .stored = { .number = n->stored } });
        }
}

static void wake(CmsWorld *w) {
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                CmsWorldNode *n = node_of(w, id);

                if (cms_wakeup_usec(n->core) > w->now_usec) {
                        n->n_now = 0;
                        continue;
                }
                assert(n->n_now++ < NOW_MAX);
                cms_world_feed(w, id, (CmsEvent){ .type = CMS_EVENT_TIMEOUT });
        }
}

static void deliver_first(CmsWorld *w) {
        CmsWorldDatagram d;

        copy(&d, &w->queue[w->queue_first]);
        w->queue_first = (w->queue_first + 1) % CMS_WORLD_QUEUE_MAX;
        w->n_queued--;
        if (d.to <= w->n_nodes && !node_set_contains(node_of(w, d.to)->cut, d.from))
                cms_world_receive(w, d.from, d.to, d.link, d.data, d.size_bytes);
}

static uint64_t next_usec(const CmsWorld *w) {
        uint64_t usec = USEC_INFINITY;

        for (unsigned i = 0; i < w->n_nodes; i++)
                usec = MIN(usec, cms_wakeup_usec(w->nodes[i].core));
        return usec;
}

void cms_world_run(CmsWorld *w, uint64_t usec) {
        uint64_t until_usec = w->now_usec + usec;

        while (w->n_steps < w->steps_max) {
                for (unsigned k = 0; w->n_queued > 0 && k < CMS_WORLD_QUEUE_MAX; k++)
                        deliver_first(w);
                write_records(w);
                wake(w);
                if (w->n_queued > 0)
                        continue;
                if (next_usec(w) > until_usec)
                        break;
                w->now_usec = MAX(w->now_usec, next_usec(w));
        }
        w->now_usec = MAX(w->now_usec, until_usec);
}

static void start(CmsWorld *w, uint32_t id) {
        CmsWorldNode *n = node_of(w, id);
        CmsConfig config = w->config;

        config.self = id;
        n->core = cms_free(n->core);
        assert(cms_new(&config, &n->core) == 0);
        n->wanted = n->stored = 0;
        n->flush = MID_NONE;
        n->n_now = 0;
        n->incarnation += 1000;
        cms_world_feed(w,
                       id,
                       (CmsEvent){
                                       .type = CMS_EVENT_START,
                                       .start = { .record = n->has_record ? &n->record : NULL,
                                                  .incarnation = n->incarnation,
                                                  .boot_id = { { (uint8_t) id, 1 } },
                                                  .seed = n->incarnation },
                       });
}

void cms_world_configure(CmsWorld *w, uint32_t id, FuzzInput *in) {
        CmsConfig config = w->config;
        uint32_t node = some_id(in);

        config.self = id;
        switch (fuzz_below(in, 6)) {
        case 0:
                config.votes[node - 1] = fuzz_u8(in) % 4;
                break;
        case 1:
                toggle(&config.enabled, node);
                break;
        case 2:
                toggle(&config.configured, node);
                config.enabled &= config.configured;
                break;
        case 3:
                config.tie_breaker = node;
                break;
        case 4:
                config.identity[node - 1] = fuzz_u8(in);
                break;
        case 5:
                config.failure_usec += fuzz_u8(in) * USEC_PER_MSEC;
                break;
        }
        config.hash[CMS_CONFIG_NODE] = hash64_of(config.votes, sizeof(config.votes)) ^
                                       hash64_of(config.identity, sizeof(config.identity)) ^
                                       config.enabled << 16 ^ config.configured << 32 ^ config.tie_breaker ^
                                       config.failure_usec;
        if (cms_may_configure(node_of(w, id)->core, &config))
                cms_world_feed(w, id, (CmsEvent){ .type = CMS_EVENT_CONFIGURE, .configure = { &config } });
}

void cms_world_restart(CmsWorld *w, uint32_t id, bool keep_record) {
        CmsWorldNode *n = node_of(w, id);

        n->has_record = n->has_record && keep_record;
        start(w, id);
}

CmsWorld *cms_world_new(unsigned n_nodes, unsigned n_links) {
        CmsWorld *w = calloc(1, sizeof(*w));

        assert(w);
        w->steps_max = CMS_WORLD_STEPS_MAX;
        w->n_nodes = n_nodes;
        w->n_links = n_links;
        w->now_usec = USEC_PER_SEC;
        w->config = (CmsConfig){
                .configured = (UINT64_C(1) << n_nodes) - 1,
                .enabled = (UINT64_C(1) << n_nodes) - 1,
                .n_links = n_links,
                .hash = { 1, 2, 3 },
                .heartbeat_usec = 100 * USEC_PER_MSEC,
                .failure_usec = 400 * USEC_PER_MSEC,
                .lease_usec = CMS_LEASE_FAILURES_DEFAULT * 400 * USEC_PER_MSEC,
        };
        memset(w->config.votes, 1, n_nodes);
        for (uint32_t id = 1; id <= n_nodes; id++) {
                w->nodes[id - 1] = (CmsWorldNode){ .incarnation = id,
                                                   .record = CMS_RECORD_FIRST,
                                                   .has_record = true };
                start(w, id);
        }
        return w;
}

CmsWorld *cms_world_free(CmsWorld *w) {
        if (!w)
                return NULL;
        for (unsigned i = 0; i < w->n_nodes; i++)
                w->nodes[i].core = cms_free(w->nodes[i].core);
        free(w);
        return NULL;
}
