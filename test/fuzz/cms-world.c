/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

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
        NODE_SET_FOREACH(id, to) {
                d->to = id;
                for (d->link = 0; d->link < w->n_links; d->link++)
                        queue(w, d);
        }
        d->link = 0;
        remember(w, d);
}

static void carry_out(CmsWorld *w, uint32_t id) {
        CmsWorldNode *n = node_of(w, id);

        for (unsigned i = 0; i < w->effects.n; i++) {
                const CmsEffect *e = &w->effects.items[i];

                switch (e->type) {
                case CMS_EFFECT_SEND:
                        send_message(w, id, e->send.to, e->send.message);
                        break;
                case CMS_EFFECT_STORE:
                        n->wanted = e->store.number;
                        n->writing = e->store.record;
                        if (w->on_record)
                                w->on_record(w->userdata, &e->store.record);
                        break;
                case CMS_EFFECT_NOTIFY:
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
