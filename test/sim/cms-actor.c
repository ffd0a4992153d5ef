/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/cms-actor.h"

#include <inttypes.h>
#include <stdio.h>

#include "cms/cms-trace.h"
#include "sim/cms-checker.h"

static uint64_t incarnation_of(uint32_t node, uint64_t life) {
        uint64_t seed = (uint64_t) node << 32 | life;

        return splitmix64(&seed) | 1;
}

uint64_t cms_sim_incarnation(const World *w, uint32_t node) {
        return incarnation_of(node, w->nodes[node - 1].life);
}

static void carry_out_send(World *w, CmsSim *s, uint32_t node, const CmsEffect *e) {
        uint8_t buf[CMS_MESSAGE_SIZE_MAX];
        ByteWriter writer;

        byte_writer_init(&writer, buf, sizeof(buf));
        cms_message_encode(e->send.message, &writer);
        if (byte_writer_result(&writer) < 0) {
                world_fail(w, "n%" PRIu32 ": a message does not fit", node);
                return;
        }
        cms_checker_sent(w, s, node, e->send.message);
        world_send(w, node, e->send.to, WORLD_CMS, buf, writer.size_bytes);
}

static void carry_out_store(World *w, uint32_t node, const CmsEffect *e) {
        uint8_t buf[CMS_RECORD_SIZE_MAX];
        ByteWriter writer;

        byte_writer_init(&writer, buf, sizeof(buf));
        cms_record_encode(e->store.record, &writer);
        assert(byte_writer_result(&writer) == 0);
        world_store(w, node, WORLD_CMS, e->store.number, buf, writer.size_bytes);
}

/* ---- fencing, out of band: it reaches every machine ---- */

typedef struct Fence {
        CmsSim *s;
        uint32_t fencer;
        uint64_t fencer_life;
        CmsConfirmation confirmation;
} Fence;

static void fence_reboot(World *w, uint64_t node, uint64_t life, void *userdata) {
        WorldNode *n = &w->nodes[node - 1];

        if (!n->up && n->life == life &&
            !node_set_contains(((const CmsSim *) userdata)->gone, (uint32_t) node))
                world_start(w, (uint32_t) node, true);
}

static void fence_confirm(World *w, uint64_t a, uint64_t b, void *userdata) {
        Fence *f = userdata;
        WorldNode *fencer = &w->nodes[f->fencer - 1];

        if (fencer->up && fencer->life == f->fencer_life && !fencer->paused) {
                world_trace(w, f->fencer, "fenced %" PRIu32, f->confirmation.node);
                cms_sim_feed(w,
                             f->s,
                             f->fencer,
                             (CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN,
                                         .confirmed_down = f->confirmation });
        }
}

static void fence_strike(World *w, uint64_t a, uint64_t b, void *userdata) {
        Fence *f = userdata, *later;
        WorldNode *target = &w->nodes[f->confirmation.node - 1];
        WorldNode *fencer = &w->nodes[f->fencer - 1];
        const Membership *m;

        /* Withdrawn when the fencer is gone, or has moved on, or hears the target, as hamgr does it. */
        m = fencer->up && fencer->life == f->fencer_life ? cms_membership(f->s->nodes[f->fencer - 1].cms)
                                                         : NULL;
        if (!m || !mid_equal(m->mid, f->confirmation.mid) || fencer->paused || !f->s->fencing ||
            node_set_contains(f->s->nodes[f->fencer - 1].cms->row, f->confirmation.node))
                return;
        if (f->s->fence_fails_one_in > 0 && prng_one_in(&w->prng, f->s->fence_fails_one_in)) {
                world_trace(w, f->fencer, "cannot fence %" PRIu32, f->confirmation.node);
                return;
        }
        if (target->up) {
                f->s->n_fenced++;
                world_at(w,
                         w->now_usec + prng_between(&w->prng, USEC_PER_SEC, 4 * USEC_PER_SEC),
                         fence_reboot,
                         f->confirmation.node,
                         target->life,
                         f->s);
        }
        world_power_off(w, f->confirmation.node, prng_one_in(&w->prng, 2));
        later = malloc(sizeof(*later));
        assert(later);
        *later = *f;
        world_at_owned(w,
                       w->now_usec + prng_between(&w->prng, 50 * USEC_PER_MSEC, f->s->fence_told_usec),
                       fence_confirm,
                       0,
                       0,
                       later);
}

static void order_fences(World *w, CmsSim *s, uint32_t node, const Membership *m) {
        if (!s->fencing || !m->half || m->quorate || m->rank[0] != node)
                return;
        NODE_SET_FOREACH(id, node_set_minus(s->nodes[node - 1].cms->config.enabled, m->members)) {
                Fence *f = calloc(1, sizeof(*f));
                BootId boot_id;

                assert(f);
                *f = (Fence){
                        .s = s,
                        .fencer = node,
                        .fencer_life = w->nodes[node - 1].life,
                        .confirmation = { .node = id,
                                          .incarnation = cms_newest_life(
                                                          s->nodes[node - 1].cms, id, &boot_id),
                                          .mid = m->mid },
                };
                world_at_owned(w,
                               w->now_usec + s->fence_usec + (m->tie_breaker ? 0 : s->fence_delay_usec),
                               fence_strike,
                               0,
                               0,
                               f);
        }
}

/* ---- groups, where there are none: their history is soon held, if all are there ---- */

typedef struct Flush {
        CmsSim *s;
        Mid mid;
} Flush;

static const Membership *membership_of(const World *w, const CmsSim *s, uint32_t node) {
        return w->nodes[node - 1].up ? cms_membership(s->nodes[node - 1].cms) : NULL;
}

static bool have_all_installed(const World *w, const CmsSim *s, const Membership *m) {
        NODE_SET_FOREACH(id, m->members) {
                const Membership *its = membership_of(w, s, id);

                if (!its || !mid_equal(its->mid, m->mid))
                        return false;
        }
        return true;
}

static void flush_soon(World *w, CmsSim *s, uint32_t node, const Membership *m);

static void flush(World *w, uint64_t node, uint64_t life, void *userdata) {
        Flush *f = userdata;
        const WorldNode *n = &w->nodes[node - 1];
        const Membership *m = n->life == life && !n->paused ? membership_of(w, f->s, (uint32_t) node) : NULL;

        if (!m || !mid_equal(m->mid, f->mid))
                return;
        if (!have_all_installed(w, f->s, m))
                flush_soon(w, f->s, (uint32_t) node, m);
        else
                cms_sim_feed(w,
                             f->s,
                             (uint32_t) node,
                             (CmsEvent){ .type = CMS_EVENT_STORE, .store = { f->mid } });
}

static void flush_soon(World *w, CmsSim *s, uint32_t node, const Membership *m) {
        Flush *f;

        if (w->actors[WORLD_GCS] || !m->quorate)
                return;
        f = malloc(sizeof(*f));
        assert(f);
        *f = (Flush){ s, m->mid };
        world_at_owned(w,
                       w->now_usec + (1 + node % 16) * USEC_PER_MSEC,
                       flush,
                       node,
                       w->nodes[node - 1].life,
                       f);
}

/* ---- the actor ---- */

static void carry_out_left(World *w, CmsSim *s, uint32_t node) {
        s->nodes[node - 1].leaving = true;
}

static void carry_out(World *w, CmsSim *s, uint32_t node) {
        char text[CMS_TRACE_TEXT_MAX];

        for (unsigned i = 0; i < s->effects.n && !w->failed; i++) {
                const CmsEffect *e = &s->effects.items[i];

                switch (e->type) {
                case CMS_EFFECT_SEND:
                        carry_out_send(w, s, node, e);
                        break;
                case CMS_EFFECT_STORE:
                        carry_out_store(w, node, e);
                        break;
                case CMS_EFFECT_NOTIFY:
                        cms_checker_notified(w, s, node, &e->notify);
                        if (e->notify.type == CMS_NOTIFICATION_STABLE)
                                order_fences(w, s, node, e->notify.stable);
                        if (e->notify.type == CMS_NOTIFICATION_STABLE)
                                flush_soon(w, s, node, e->notify.stable);
                        if (s->listener)
                                s->listener(w, node, &e->notify, s->listener_userdata);
                        break;
                case CMS_EFFECT_LEFT:
                        carry_out_left(w, s, node);
                        break;
                case CMS_EFFECT_TRACE:
                        if (w->tracing && e->trace.type != CMS_TRACE_PROBLEM)
                                world_trace(w, node, "%s", cms_trace_format(&e->trace, text));
                        break;
                }
        }
}

void cms_sim_feed(World *w, CmsSim *s, uint32_t node, CmsEvent event) {
        CmsSimNode *n = &s->nodes[node - 1];

        if (w->failed)
                return;
        event.now_usec = world_clock(w, node);
        if (event.type == CMS_EVENT_LEAVE) {
                /* Only what worked in a quorum leaves anything running; a later life may stop that. */
                if (n->cms->phase != CMS_PHASE_LEAVING && n->cms->phase != CMS_PHASE_LEFT)
                        n->left_running = event.leave.running &&
                                          (n->left_running || n->worked_usec >= n->left_usec);
                n->left_usec = w->now_usec;
        }
        if (event.type == CMS_EVENT_STORE) {
                n->flushed = event.store.history;
                n->wiped = false;
        }
        cms_step(n->cms, &event, &s->effects);
        carry_out(w, s, node);
        cms_checker_stepped(w, s, node);
        world_set_wakeup(w, node, WORLD_CMS, cms_wakeup_usec(n->cms));
}

static void *actor_start(World *w, uint32_t node, void *userdata) {
        CmsSim *s = userdata;
        CmsSimNode *n = &s->nodes[node - 1];
        CmsConfig config = *cms_sim_file(s, s->file_of[node - 1]);
        const WorldPart *part = world_stored(w, node, WORLD_CMS);
        CmsEvent event = { .type = CMS_EVENT_START };
        CmsRecord record;
        ByteReader r;
        int k;

        config.self = node;
        k = cms_new(&config, &n->cms);
        assert(k == 0);
#ifdef CMS_BROKEN_CORES
        cms_break(n->cms, (CmsFault) s->fault);
#endif
        if (part) {
                byte_reader_init(&r, part->data, part->size_bytes);
                cms_record_decode(&r, &record);
                assert(byte_reader_finish(&r) == 0);
                event.start.record = &record;
        }
        event.start.incarnation = cms_sim_incarnation(w, node);
        memcpy(event.start.boot_id.bytes, &w->nodes[node - 1].boot, sizeof(uint64_t));
        event.start.boot_id.bytes[15] = (uint8_t) node;
        event.start.seed = prng_u64(&w->prng);
        if (s->holds)
                s->hold_usec_of[node - 1] = prng_one_in(&w->prng, 2) ? USEC_PER_DAY : 0;
        event.start.hold_usec = s->hold_usec_of[node - 1];
        n->leaving = false;
        cms_checker_started(w, s, node, part ? &record : NULL);
        cms_sim_feed(w, s, node, event);
        return n;
}

static void actor_stop(World *w, uint32_t node, void *state, void *userdata) {
        CmsSimNode *n = state;

        n->cms = cms_free(n->cms);
}

/* What one sender put on the wire is decoded once for all who get it. */
static const CmsMessage *decoded(World *w, uint32_t node, uint32_t from, WorldPayload *p) {
        CmsMessage *m = p->decoded;

        if (m)
                return m;
        m = malloc(sizeof(*m));
        assert(m);
        p->decoded = m;
        if (cms_message_decode(p->data, p->size_bytes, m) < 0)
                world_fail(w, "n%" PRIu32 ": cannot decode what n%" PRIu32 " sent", node, from);
        return m;
}

/* As another version has it: nothing but the beginning can be understood. */
static const CmsMessage *foreign(World *w, CmsSim *s, uint32_t node, const WorldPayload *p) {
        uint8_t data[CMS_MESSAGE_SIZE_MAX];

        memcpy(data, p->data, p->size_bytes);
        data[0] = CMS_PROTOCOL_VERSION + 1;
        if (cms_message_decode(data, p->size_bytes, &s->message) < 0 ||
            s->message.type != CMS_MESSAGE_FOREIGN)
                world_fail(w, "n%" PRIu32 ": a message of another version is taken for one of ours", node);
        return &s->message;
}

static void
actor_received(World *w,
               uint32_t node,
               void *state,
               uint32_t from,
               unsigned link,
               WorldPayload *payload,
               void *userdata) {
        CmsSim *s = userdata;
        const CmsMessage *m;

        if (world_is_dead(w, node, from, link))
                return;
        m = payload->version == w->nodes[node - 1].version ? decoded(w, node, from, payload)
                                                           : foreign(w, s, node, payload);
        cms_sim_feed(w, s, node, (CmsEvent){ .type = CMS_EVENT_RECEIVED, .received = { from, link, m } });
}

static void actor_wakeup(World *w, uint32_t node, void *state, void *userdata) {
        cms_sim_feed(w, userdata, node, (CmsEvent){ .type = CMS_EVENT_TIMEOUT });
}

static void actor_stored(World *w, uint32_t node, void *state, uint64_t number, bool ok, void *userdata) {
        cms_sim_feed(w,
                     userdata,
                     node,
                     (CmsEvent){
                                     .type = ok ? CMS_EVENT_STORED : CMS_EVENT_STORE_FAILED,
                                     .stored = { number },
                     });
}

static void
actor_carrier(World *w, uint32_t node, void *state, unsigned link, bool carrier, void *userdata) {
        cms_sim_feed(w, userdata, node, (CmsEvent){ .type = CMS_EVENT_LINK, .link = { link, carrier } });
}

static const WorldActor cms_actor = {
        .start = actor_start,
        .stop = actor_stop,
        .received = actor_received,
        .wakeup = actor_wakeup,
        .stored = actor_stored,
        .carrier = actor_carrier,
};

/* ---- the whole ---- */

CmsSim *cms_sim_new(World *w, uint64_t heartbeat_usec, uint64_t failure_usec) {
        CmsSim *s = calloc(1, sizeof(*s));

        assert(s);
        s->config = (CmsConfig){
                .n_links = w->n_links,
                .heartbeat_usec = heartbeat_usec,
                .failure_usec = failure_usec,
                .lease_usec = CMS_LEASE_FAILURES_DEFAULT * failure_usec,
                .hash = { 11, 22, 33 },
        };
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                node_set_add(&s->config.configured, id);
                s->config.votes[id - 1] = 1;
        }
        s->config.enabled = s->config.configured;
        s->fence_usec = 200 * USEC_PER_MSEC;
        s->fence_delay_usec = 1500 * USEC_PER_MSEC;
        s->fence_told_usec = 300 * USEC_PER_MSEC;
        world_set_actor(w, WORLD_CMS, &cms_actor, s);
        return s;
}

CmsSim *cms_sim_free(CmsSim *s) {
        if (!s)
                return NULL;
        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                cms_free(s->nodes[i].cms);
        for (size_t i = 0; i < s->mids_size; i++)
                free(s->mids[i]);
        free(s->mids);
        free(s->decided);
        free(s);
        return NULL;
}

static void init_store(World *w, uint32_t node, const CmsRecord *record) {
        uint8_t buf[CMS_RECORD_SIZE_MAX];
        ByteWriter writer;

        byte_writer_init(&writer, buf, sizeof(buf));
        cms_record_encode(record, &writer);
        world_init_store(w, node, WORLD_CMS, buf, writer.size_bytes);
}

void cms_sim_init_stores(World *w, CmsSim *s) {
        for (uint32_t id = 1; id <= w->n_nodes; id++)
                init_store(w, id, &CMS_RECORD_FIRST);
}

void cms_sim_init_store_to_join(World *w, uint32_t node) {
        init_store(w, node, &(CmsRecord){ 0 });
}

/* ---- files ---- */

const CmsConfig *cms_sim_file(const CmsSim *s, unsigned number) {
        assert(number <= s->n_files);
        return number == 0 ? &s->config : &s->files[number - 1];
}

unsigned cms_sim_write_file(CmsSim *s, const CmsConfig *config) {
        CmsConfig *file = &s->files[s->n_files++];

        assert(s->n_files <= CMS_SIM_FILES_MAX);
        *file = *config;
        file->hash[CMS_CONFIG_NODE] = s->config.hash[CMS_CONFIG_NODE] + s->n_files;
        return s->n_files;
}

unsigned cms_sim_file_of_hash(const CmsSim *s, const uint64_t hash[static _CMS_CONFIG_KIND_MAX]) {
        uint64_t number = hash[CMS_CONFIG_NODE] - s->config.hash[CMS_CONFIG_NODE];

        assert(number <= s->n_files);
        return (unsigned) number;
}

bool cms_sim_goes_by_file(World *w, uint32_t node) {
        const WorldPart *part = world_stored(w, node, WORLD_CMS);
        CmsRecord record;
        ByteReader r;

        if (!part)
                return false;
        byte_reader_init(&r, part->data, part->size_bytes);
        cms_record_decode(&r, &record);
        assert(byte_reader_finish(&r) == 0);
        return record.taken_in && cms_voting_is_none(&record.votings.committed);
}

void cms_sim_give_file(World *w, CmsSim *s, uint32_t node, unsigned number, bool tell) {
        CmsConfig config = *cms_sim_file(s, number);
        WorldNode *n = &w->nodes[node - 1];

        if (!node_set_contains(config.configured, node) || cms_sim_goes_by_file(w, node))
                return;
        world_trace(w, node, "gets file %u", number);
        s->file_of[node - 1] = number;
        config.self = node;
        if (tell && n->up && !n->paused)
                cms_sim_feed(w,
                             s,
                             node,
                             (CmsEvent){ .type = CMS_EVENT_CONFIGURE, .configure = { &config } });
}

unsigned cms_sim_file_in_force(const CmsSim *s) {
        return s->n_decided == 0 ? 0 : s->decided[s->n_decided - 1]->file_after;
}

typedef struct Gasp {
        CmsSim *s;
        uint32_t to, from;
        uint64_t incarnation;
} Gasp;

static void gasp_arrives(World *w, uint64_t a, uint64_t b, void *userdata) {
        Gasp *g = userdata;
        WorldNode *n = &w->nodes[g->to - 1];

        if (n->up && !n->paused)
                cms_sim_feed(w,
                             g->s,
                             g->to,
                             (CmsEvent){
                                             .type = CMS_EVENT_LAST_GASP,
                                             .last_gasp = { g->from, g->incarnation },
                             });
}

void cms_sim_crash_with_gasp(World *w, CmsSim *s, uint32_t node, bool keep_last_write) {
        uint64_t incarnation = cms_sim_incarnation(w, node);

        world_crash(w, node, keep_last_write);
        for (uint32_t id = 1; id <= w->n_nodes; id++) {
                Gasp *g;

                if (id == node || world_is_cut(w, node, id))
                        continue;
                g = calloc(1, sizeof(*g));
                assert(g);
                *g = (Gasp){ s, id, node, incarnation };
                world_at_owned(w, w->now_usec + prng_between(&w->prng, 100, 20000), gasp_arrives, 0, 0, g);
        }
}

bool cms_sim_is_settled(const World *w, const CmsSim *s, NodeSet set) {
        const Membership *first = NULL;

        NODE_SET_FOREACH(id, set) {
                const Cms *c = s->nodes[id - 1].cms;
                const Membership *m = c ? cms_membership(c) : NULL;

                if (!m || !m->quorate || cms_in_transition(c) || m->members != set)
                        return false;
                if (first && !mid_equal(first->mid, m->mid))
                        return false;
                first = m;
        }
        return first != NULL;
}
