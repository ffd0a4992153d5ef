/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/gcs/cluster.h"

#include <inttypes.h>
#include <stdarg.h>

typedef enum HappeningType {
        HAPPENS_MESSAGE,
        HAPPENS_STORED,
        HAPPENS_PROMISE,
        HAPPENS_INSTALL,
        HAPPENS_GIVE,
} HappeningType;

/* What CMS agrees on. */
typedef struct Agreement {
        unsigned n_ref;
        Membership membership;
        NodeSet promised;
} Agreement;

typedef struct Happening {
        HappeningType type;
        uint64_t due_usec, serial;
        uint32_t node, from;
        uint64_t incarnation;
        Buffer *buffer;
        uint64_t number;
        Mid mid;
        Agreement *agreement;
        uint64_t client;
} Happening;

/* A snapshot that a client is giving. */
typedef struct Gift {
        GcsMemberId newcomer;
        uint64_t point, state;
        unsigned done;
} Gift;

#define GIFT_PIECES 4U

/* ---- Words ---- */

static bool is_tracing(Cluster *c) {
        return c->ops ? c->ops->tracing(c) : c->trace != NULL;
}

static void _printf_(3, 0) trace(Cluster *c, uint32_t node, const char *format, va_list ap) {
        g_autofree char *text = NULL;

        if (!is_tracing(c))
                return;
        text = g_strdup_vprintf(format, ap);
        if (c->ops)
                c->ops->trace(c, node, text);
        else if (node != 0)
                g_string_append_printf(
                                c->trace, "%10.3f ms  n%u  %s\n", (double) c->now_usec / 1000, node, text);
        else
                g_string_append_printf(c->trace, "%10.3f ms  %s\n", (double) c->now_usec / 1000, text);
}

void cluster_trace(Cluster *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        trace(c, 0, format, ap);
        va_end(ap);
}

void cluster_trace_node(Cluster *c, uint32_t node, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        trace(c, node, format, ap);
        va_end(ap);
}

void cluster_fail_at(Cluster *c, const char *check, const char *format, ...) {
        va_list ap;

        if (c->failure)
                return;
        va_start(ap, format);
        c->failure = g_strdup_vprintf(format, ap);
        c->check = check;
        va_end(ap);
        cluster_trace(c, "FAILED: %s", c->failure);
        if (c->ops)
                c->ops->fail(c, check, c->failure);
}

/* ---- What will happen ---- */

static bool before(const Happening *a, const Happening *b) {
        return a->due_usec != b->due_usec ? a->due_usec < b->due_usec : a->serial < b->serial;
}

static void heap_swap(GPtrArray *h, unsigned a, unsigned b) {
        gpointer t = h->pdata[a];

        h->pdata[a] = h->pdata[b];
        h->pdata[b] = t;
}

static Happening *plan(Cluster *c, HappeningType type, uint32_t node, uint64_t delay_usec) {
        Happening *h = g_new0(Happening, 1);
        unsigned i = c->events->len;

        h->type = type;
        h->node = node;
        h->incarnation = c->nodes[node].incarnation;
        h->due_usec = c->now_usec + delay_usec;
        h->serial = ++c->serial;
        g_ptr_array_add(c->events, h);
        for (; i > 0 && before(c->events->pdata[i], c->events->pdata[(i - 1) / 2]); i = (i - 1) / 2)
                heap_swap(c->events, i, (i - 1) / 2);
        return h;
}

static Happening *heap_take(GPtrArray *events) {
        Happening *first = events->pdata[0];
        unsigned n = events->len - 1, i = 0;

        events->pdata[0] = events->pdata[n];
        g_ptr_array_set_size(events, (int) n);
        for (;;) {
                unsigned least = i, l = 2 * i + 1, r = l + 1;

                if (l < n && before(events->pdata[l], events->pdata[least]))
                        least = l;
                if (r < n && before(events->pdata[r], events->pdata[least]))
                        least = r;
                if (least == i)
                        return first;
                heap_swap(events, i, least);
                i = least;
        }
}

static void happening_free(Happening *h) {
        (void) buffer_unref(h->buffer);
        if (h->agreement && --h->agreement->n_ref == 0)
                g_free(h->agreement);
        g_free(h);
}

/* ---- Network ---- */

static uint64_t draw_delay(Cluster *c) {
        return prng_between(&c->prng, c->config.delay_min_usec, c->config.delay_max_usec);
}

static void send_message(Cluster *c, uint32_t from, NodeSet to, const GcsMessage *m) {
        static uint8_t bytes[GCS_MESSAGE_BYTES_MAX];
        ssize_t n = gcs_message_encode(m, bytes, sizeof(bytes));
        _cleanup_(buffer_unrefp) Buffer *b = NULL;

        g_assert_cmpint(n, >, 0);
        c->nodes[from].n_sent[m->type]++;
        if (c->ops) {
                c->ops->send(c, from, to, bytes, (size_t) n);
                return;
        }
        b = buffer_new_copy(bytes, (size_t) n);

        NODE_SET_FOREACH(id, to) {
                unsigned copies = 1;

                if (id > c->config.n_nodes || c->cut[from][id])
                        continue;
                if (c->filter && c->filter(c, from, id, m))
                        continue;
                if (prng_below(&c->prng, 1000) < c->config.loss_permille)
                        continue;
                if (prng_below(&c->prng, 1000) < c->config.dup_permille)
                        copies++;
                for (; copies > 0; copies--) {
                        Happening *h = plan(c, HAPPENS_MESSAGE, id, draw_delay(c));

                        h->incarnation = 0;
                        h->from = from;
                        h->buffer = buffer_ref(b);
                }
        }
}

/* ---- Clients ---- */

Actor *actor_find(Cluster *c, uint64_t client) {
        g_assert_cmpuint(client, >=, 1);
        g_assert_cmpuint(client, <=, c->actors->len);
        return c->actors->pdata[client - 1];
}

static uint64_t mix(uint64_t a, uint64_t b) {
        uint64_t s = a ^ (b * UINT64_C(0x9e3779b97f4a7c15));

        return splitmix64(&s);
}

static uint64_t hash_text(uint64_t h, const char *s) {
        for (; *s; s++)
                h = mix(h, (uint8_t) *s);
        return h;
}

static uint64_t hash_member(uint64_t h, const GcsMember *m) {
        h = mix(mix(mix(h, m->id.node), m->id.incarnation), m->id.number);
        return mix(hash_text(mix(h, m->seniority), m->name), m->critical);
}

static Told told_view(const GcsEffect *e) {
        const GcsView *v = &e->view;
        uint64_t h = hash_text(1, v->group);
        Told t = {
                .type = e->type,
                .mid = e->mid,
                .sequence = e->sequence,
                .n_members = (unsigned) v->n_members,
                .n_joined = (unsigned) v->n_joined,
                .n_left = (unsigned) v->n_left,
                .nodes = v->nodes->members,
                .fresh = v->fresh,
        };

        for (size_t i = 0; i < v->n_members; i++)
                h = hash_member(h, &v->members[i]);
        h = mix(h, 2);
        for (size_t i = 0; i < v->n_joined; i++)
                h = hash_member(h, &v->joined[i]);
        h = mix(h, 3);
        for (size_t i = 0; i < v->n_left; i++)
                h = mix(hash_member(h, &v->left[i].member), v->left[i].reason);
        if (v->n_left > 0)
                t.reason = v->left[0].reason;
        h = mix(mix(h, v->nodes->members), v->nodes->hash);
        t.content = mix(mix(h, v->formation.epoch), v->formation.node);
        return t;
}

static Told told_message(const GcsEffect *e) {
        const uint8_t *p = slice_data(&e->message.payload);
        Told t = {
                .type = e->type,
                .mid = e->mid,
                .sequence = e->sequence,
        };
        uint64_t h = 4;

        g_assert_cmpuint(e->message.payload.size_bytes, >=, 16);
        memcpy(&t.uid, p, 8);
        memcpy(&t.n, p + 8, 8);
        for (size_t i = 0; i < e->message.payload.size_bytes; i++)
                h = h * 31 + p[i];
        t.content = mix(mix(h, e->message.sender.number), e->message.sender.node);
        return t;
}

/* Libhagcs: hands it to the application. */
static void actor_take(Actor *a, const Told *t) {
        if (t->type == GCS_EFFECT_VIEW) {
                a->frozen = false;
                history_view(a, t);
        } else
                history_message(a, t);
}

static void actor_consume(Actor *a) {
        if (a->stopped_reading || a->dead || a->expelled || a->n_unread == 0)
                return;
        cluster_feed(a->cluster,
                     a->node,
                     (GcsEvent){ .type = GCS_EVENT_CONSUMED,
                                 .consumed = { a->client, a->n_unread, a->unread_bytes } });
        a->n_unread = 0;
        a->unread_bytes = 0;
}

void actor_read(Actor *a) {
        a->stopped_reading = false;
        actor_consume(a);
}

static void actor_told(Actor *a, const Told *t, const GcsEffect *e) {
        a->n_unread++;
        a->unread_bytes += e->type == GCS_EFFECT_MESSAGE ? e->message.payload.size_bytes : 0;
        if (e->held) {
                g_array_append_val(a->held, *t);
                return;
        }
        if (e->type == GCS_EFFECT_VIEW) {
                a->formation = e->view.formation;
                /* A stretch begins at the first view, and at each view that a snapshot is to follow. */
                if (t->fresh) {
                        history_end(a);
                        history_begin(a, t->sequence);
                }
        }
        actor_take(a, t);
}

void actor_give(Actor *a) {
        while (a->giving->len > 0 && !a->dead) {
                Gift *g = a->giving->pdata[0];
                _cleanup_(buffer_unrefp) Buffer *b = buffer_new(2);
                GcsVerdict verdict;
                GcsEvent e = {
                        .type = GCS_EVENT_SNAPSHOT,
                        .snapshot = { .client = a->client, .newcomer = g->newcomer, .point = g->point },
                };
                GcsEffects effects;

                (void) effects;
                memcpy(b->data, (uint8_t *) &g->state + 2 * g->done, 2);
                e.snapshot.payload = slice_of(b);
                e.snapshot.last = g->done + 1 == GIFT_PIECES;
                cluster_feed(a->cluster, a->node, e);
                verdict = a->cluster->nodes[a->node].verdict;
                if (verdict == GCS_VERDICT_WINDOW_FULL)
                        return;
                if (verdict == GCS_VERDICT_NOT_MEMBER || ++g->done == GIFT_PIECES) {
                        g_free(g);
                        g_ptr_array_remove_index(a->giving, 0);
                }
        }
}

static void actor_snapshot(Actor *a, const GcsEffect *e) {
        const Slice *p = &e->snapshot.payload;

        a->n_unread++;
        a->unread_bytes += p->size_bytes;
        if (e->snapshot.first)
                g_byte_array_set_size(a->piece, 0);
        g_byte_array_append(a->piece, slice_data(p), (unsigned) p->size_bytes);
        if (!e->snapshot.last)
                return;

        cluster_trace(a->cluster,
                      "c%" PRIu64 "  has a snapshot of %" PRIu64 "%s",
                      a->client,
                      e->sequence,
                      e->snapshot.none ? ": nothing" : "");
        a->has_state = true;
        a->n_snapshots++;
        if (e->snapshot.none)
                a->state = mix(e->sequence, e->mid.epoch);
        else {
                if (a->piece->len != 8)
                        cluster_fail(a->cluster,
                                     "client %" PRIu64 " got a snapshot of %u bytes",
                                     a->client,
                                     a->piece->len);
                else
                        memcpy(&a->state, a->piece->data, 8);
                if (e->sequence != a->applied)
                        cluster_fail(a->cluster,
                                     "client %" PRIu64 " has a snapshot of %" PRIu64 " at %" PRIu64,
                                     a->client,
                                     e->sequence,
                                     a->applied);
        }
}

static void actor_release(Actor *a) {
        for (unsigned i = 0; i < a->held->len; i++) {
                Told t = g_array_index(a->held, Told, i);

                actor_take(a, &t);
        }
        g_array_set_size(a->held, 0);
}

static void actor_effect(Cluster *c, const GcsEffect *e) {
        Actor *a = actor_find(c, e->client);
        Told t;
        Gift *g;

        if (a->dead) {
                cluster_fail(c, "effect %d for client %" PRIu64 ", which is gone", e->type, e->client);
                return;
        }

        switch (e->type) {
        case GCS_EFFECT_REGISTERED:
                a->member = true;
                a->id = e->registered.id;
                cluster_trace(c,
                              "c%" PRIu64 "  is member %u/%" PRIu64 " of %s",
                              a->client,
                              a->id.node,
                              a->id.number,
                              a->group);
                break;
        case GCS_EFFECT_REFUSED:
                a->refused = a->dead = true;
                a->refusal = e->refused.reason;
                break;
        case GCS_EFFECT_UNREGISTERED:
                a->member = false;
                a->dead = true;
                break;
        case GCS_EFFECT_EXPELLED:
                a->expelled = a->dead = true;
                a->member = false;
                break;
        case GCS_EFFECT_CREDIT:
                a->blocked = false;
                break;
        case GCS_EFFECT_VIEW:
                t = told_view(e);
                actor_told(a, &t, e);
                break;
        case GCS_EFFECT_MESSAGE:
                t = told_message(e);
                if (e->message.own != (t.uid == a->client))
                        cluster_fail(c, "client %" PRIu64 " mistakes whose message it is", a->client);
                if (t.uid == a->client) {
                        if (t.n != a->n_seen + 1 && a->n_shut_out == 0)
                                cluster_fail(c,
                                             "client %" PRIu64 " misses its own message %" PRIu64,
                                             a->client,
                                             a->n_seen + 1);
                        a->n_seen = t.n;
                }
                actor_told(a, &t, e);
                break;
        case GCS_EFFECT_SNAPSHOT_REQUEST:
                a->n_requests++;
                cluster_trace(c,
                              "c%" PRIu64 "  is asked for a snapshot of %" PRIu64 " for %u/%" PRIu64,
                              a->client,
                              e->snapshot_request.point,
                              e->snapshot_request.newcomer.id.node,
                              e->snapshot_request.newcomer.id.number);
                if (!a->has_state || a->held->len > 0)
                        cluster_fail(c,
                                     "client %" PRIu64 " is asked for a state that it has not (%d, %u held)",
                                     a->client,
                                     a->has_state,
                                     a->held->len);
                g = g_new0(Gift, 1);
                *g = (Gift){ .newcomer = e->snapshot_request.newcomer.id,
                             .point = e->snapshot_request.point,
                             .state = a->state };
                g_ptr_array_add(a->giving, g);
                if (c->ops)
                        c->ops->give(c, a->node, a->client);
                else
                        plan(c, HAPPENS_GIVE, a->node, prng_below(&c->prng, 4000))->client = a->client;
                break;
        case GCS_EFFECT_SNAPSHOT:
                actor_snapshot(a, e);
                break;
        case GCS_EFFECT_RELEASE:
                actor_release(a);
                break;
        case GCS_EFFECT_DROP_HELD:
                for (unsigned i = 0; i < a->held->len; i++)
                        a->n_unread--;
                a->unread_bytes = 0;
                g_array_set_size(a->held, 0);
                break;
        case GCS_EFFECT_FROZEN:
                a->frozen = true;
                break;
        case GCS_EFFECT_SHUT_OUT:
                a->n_shut_out++;
                a->member = false;
                history_end(a);
                g_ptr_array_set_size(a->giving, 0);
                break;
        case GCS_EFFECT_RESET_NODE:
        case GCS_EFFECT_SEND:
        case GCS_EFFECT_STORE:
        case GCS_EFFECT_STALLED:
        case GCS_EFFECT_TRACE:
                g_assert_not_reached();
        }
}

Actor *cluster_join(Cluster *c, uint32_t node, const char *group, const char *name, unsigned flags) {
        Actor *a = g_new0(Actor, 1);

        a->cluster = c;
        a->client = ++c->next_client;
        a->node = node;
        a->snapshot = flags & GCS_JOIN_SNAPSHOT;
        a->critical = flags & GCS_JOIN_CRITICAL;
        g_strlcpy(a->group, group, sizeof(a->group));
        a->held = g_array_new(FALSE, FALSE, sizeof(Told));
        a->piece = g_byte_array_new();
        a->giving = g_ptr_array_new();
        a->told = g_array_new(FALSE, FALSE, sizeof(Told));
        a->segments = g_ptr_array_new();
        a->last_of = g_hash_table_new(NULL, NULL);
        g_ptr_array_add(c->actors, a);
        g_ptr_array_add(c->living, a);
        cluster_feed(c,
                     node,
                     (GcsEvent){ .type = GCS_EVENT_REGISTER,
                                 .reg = { .client = a->client,
                                          .group = group,
                                          .member = name,
                                          .critical = a->critical,
                                          .snapshot = a->snapshot } });
        return a;
}

GcsVerdict actor_send(Actor *a, size_t size_bytes) {
        Cluster *c = a->cluster;
        _cleanup_(buffer_unrefp) Buffer *b = NULL;
        uint64_t n = a->n_sent + 1;

        if (a->dead)
                return GCS_VERDICT_NOT_MEMBER;
        size_bytes = MAX(size_bytes, 16U);
        b = buffer_new(size_bytes);
        memset(b->data, (int) (n & 0xff), size_bytes);
        memcpy(b->data, &a->client, 8);
        memcpy(b->data + 8, &n, 8);
        a->n_sent = n;
        cluster_feed(c,
                     a->node,
                     (GcsEvent){ .type = GCS_EVENT_SEND,
                                 .send = { .client = a->client, .payload = slice_of(b) } });
        if (c->nodes[a->node].verdict != GCS_VERDICT_QUEUED) {
                a->n_sent--;
                a->blocked = c->nodes[a->node].verdict == GCS_VERDICT_WINDOW_FULL;
        }
        return c->nodes[a->node].verdict;
}

void actor_leave(Actor *a) {
        if (!a->dead)
                cluster_feed(a->cluster,
                             a->node,
                             (GcsEvent){ .type = GCS_EVENT_UNREGISTER, .unregister.client = a->client });
}

void actor_die(Actor *a, GcsReason reason) {
        if (a->dead)
                return;
        a->dead = true;
        a->member = false;
        cluster_feed(a->cluster,
                     a->node,
                     (GcsEvent){ .type = GCS_EVENT_MEMBER_LOST, .member_lost = { a->client, reason } });
}

static void actor_free(Actor *a) {
        for (unsigned i = 0; i < a->segments->len; i++) {
                Segment *s = a->segments->pdata[i];

                g_array_unref(s->sequences);
                g_free(s);
        }
        for (unsigned i = 0; i < a->giving->len; i++)
                g_free(a->giving->pdata[i]);
        g_ptr_array_unref(a->segments);
        g_ptr_array_unref(a->giving);
        g_array_unref(a->held);
        g_array_unref(a->told);
        g_byte_array_unref(a->piece);
        g_hash_table_unref(a->last_of);
        g_free(a);
}

/* ---- Nodes ---- */

static void carry_out(Cluster *c, ClusterNode *n, const GcsEffect *e) {
        Happening *h;
        char text[GCS_TRACE_TEXT_MAX];

        switch (e->type) {
        case GCS_EFFECT_SEND:
                send_message(c, n->id, e->send.to, e->send.message);
                break;
        case GCS_EFFECT_STORE:
                if (n->store_stuck)
                        break;
                if (c->ops) {
                        c->ops->store(c, n->id, e->store.number, e->store.history);
                        break;
                }
                h = plan(c, HAPPENS_STORED, n->id, prng_below(&c->prng, c->config.store_max_usec + 1));
                h->number = e->store.number;
                h->mid = e->store.history;
                break;
        case GCS_EFFECT_RESET_NODE:
                n->reset = true;
                break;
        case GCS_EFFECT_STALLED:
                n->stalled |= e->stalled.nodes;
                if (c->ops)
                        c->ops->stalled(c, n->id, e->stalled.nodes);
                break;
        case GCS_EFFECT_TRACE:
                if (is_tracing(c))
                        cluster_trace_node(c, n->id, "%s", gcs_trace_format(&e->trace, text));
                break;
        case GCS_EFFECT_REGISTERED:
        case GCS_EFFECT_REFUSED:
        case GCS_EFFECT_UNREGISTERED:
        case GCS_EFFECT_EXPELLED:
        case GCS_EFFECT_CREDIT:
        case GCS_EFFECT_VIEW:
        case GCS_EFFECT_MESSAGE:
        case GCS_EFFECT_SNAPSHOT_REQUEST:
        case GCS_EFFECT_SNAPSHOT:
        case GCS_EFFECT_RELEASE:
        case GCS_EFFECT_DROP_HELD:
        case GCS_EFFECT_FROZEN:
        case GCS_EFFECT_SHUT_OUT:
                actor_effect(c, e);
                break;
        }
}

static void consume_all(Cluster *c, uint32_t node);

void cluster_feed(Cluster *c, uint32_t node, GcsEvent event) {
        ClusterNode *n = &c->nodes[node];
        bool consumed = event.type == GCS_EVENT_CONSUMED;
        GcsEffects effects;

        if (!n->alive || c->failure)
                return;
        event.now_usec = c->ops ? c->ops->clock(c, node) : c->now_usec;
        gcs_step(n->core, &event, &effects);
        gcs_check(n->core);
        c->n_steps++;
        for (size_t i = 0; i < effects.n_effects && !c->failure; i++)
                carry_out(c, n, &effects.effects[i]);
        if (!consumed)
                consume_all(c, node);
        n->verdict = effects.verdict;
        if (c->ops)
                c->ops->stepped(c, node);
}

/* Readers that read take everything at once. */
static void consume_all(Cluster *c, uint32_t node) {
        for (unsigned i = 0; i < c->living->len; i++) {
                Actor *a = c->living->pdata[i];

                if (a->node == node && a->held->len == 0)
                        actor_consume(a);
        }
}

void cluster_bury(Cluster *c) {
        unsigned n = 0;

        for (unsigned i = 0; i < c->living->len; i++) {
                Actor *a = c->living->pdata[i];

                if (!a->dead)
                        c->living->pdata[n++] = a;
        }
        g_ptr_array_set_size(c->living, (int) n);
}

void cluster_start(Cluster *c, uint32_t node) {
        ClusterNode *n = &c->nodes[node];
        GcsConfig config = c->config.core;

        g_assert_false(n->alive);
        n->alive = true;
        n->reset = n->store_stuck = false;
        if (!c->ops)
                n->incarnation = ++c->next_incarnation;
        n->installed = (Membership){};
        config.node = node;
        config.incarnation = n->incarnation;
        config.stored_history = n->disk;
        g_assert_cmpint(gcs_new(&config, &n->core), ==, 0);
        cluster_trace_node(c, node, "starts, incarnation %" PRIu64, n->incarnation);
}

void cluster_crash(Cluster *c, uint32_t node) {
        ClusterNode *n = &c->nodes[node];

        if (!n->alive)
                return;
        cluster_trace_node(c, node, "crashes");
        n->alive = false;
        n->core = gcs_free(n->core);
        for (unsigned i = 0; i < c->living->len; i++) {
                Actor *a = c->living->pdata[i];

                if (a->node == node)
                        a->dead = true;
        }
}

NodeSet cluster_alive(const Cluster *c) {
        NodeSet set = NODE_SET_EMPTY;

        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                if (c->nodes[id].alive)
                        node_set_add(&set, id);
        return set;
}

bool cluster_is_active(Cluster *c, NodeSet set) {
        NODE_SET_FOREACH(id, set) {
                GcsStatus s;

                if (!c->nodes[id].alive)
                        return false;
                gcs_get_status(c->nodes[id].core, &s);
                if (!s.active || s.delivered != s.held || s.n_pending > 0)
                        return false;
        }
        return true;
}

/* ---- Memberships ---- */

static void rank(Cluster *c, Membership *m) {
        for (unsigned i = 0; i < c->seniority->len; i++) {
                uint32_t id = g_array_index(c->seniority, uint32_t, i);

                if (node_set_contains(m->members, id))
                        m->rank[m->n_members++] = (uint8_t) id;
        }
        NODE_SET_FOREACH(id, m->members) {
                bool known = false;

                for (unsigned i = 0; i < m->n_members; i++)
                        known = known || m->rank[i] == id;
                if (!known)
                        m->rank[m->n_members++] = (uint8_t) id;
        }
        for (unsigned i = m->n_members; c->config.any_rank && i > 1; i--) {
                unsigned k = (unsigned) prng_below(&c->prng, i);
                uint8_t t = m->rank[i - 1];

                m->rank[i - 1] = m->rank[k];
                m->rank[k] = t;
        }
        if (!m->quorate)
                return;
        g_array_set_size(c->seniority, 0);
        for (unsigned i = 0; i < m->n_members; i++) {
                uint32_t id = m->rank[i];

                g_array_append_val(c->seniority, id);
        }
}

void cluster_propose(Cluster *c, NodeSet set) {
        Agreement *a = g_new0(Agreement, 1);
        Membership *m = &a->membership;
        char text[NODE_SET_TEXT_MAX];

        m->mid = (Mid){ ++c->next_epoch, node_set_lowest(set) };
        m->members = set;
        m->quorate = node_set_count(set) * 2 > c->config.n_nodes;
        for (uint32_t id = 1; id <= c->config.n_nodes; id++) {
                node_set_add(&m->configured, id);
                m->nodes[id - 1].incarnation = c->nodes[id].incarnation;
                m->nodes[id - 1].state = node_set_contains(set, id) ? NODE_UP : NODE_UNKNOWN;
        }
        rank(c, m);
        m->hash = prng_u64(&c->prng);
        cluster_trace(c,
                      "membership %" PRIu64 ".%u of %s%s",
                      m->mid.epoch,
                      m->mid.node,
                      node_set_format(set, text),
                      m->quorate ? "" : ", no quorum");
        if (m->quorate)
                g_hash_table_add(c->quorate, g_strdup_printf("%" PRIu64 ".%u", m->mid.epoch, m->mid.node));

        a->n_ref = 1;
        NODE_SET_FOREACH(id, set) {
                plan(c, HAPPENS_PROMISE, id, draw_delay(c))->agreement = a;
                a->n_ref++;
        }
        if (--a->n_ref == 0)
                g_free(a);
}

static void promise(Cluster *c, ClusterNode *n, Agreement *a) {
        if (!membership_has(&a->membership, n->id, n->incarnation) ||
            mid_compare(n->promised, a->membership.mid) >= 0)
                return;
        n->promised = a->membership.mid;
        cluster_feed(c, n->id, (GcsEvent){ .type = GCS_EVENT_TRANSITION });
        node_set_add(&a->promised, n->id);
        if (a->promised != a->membership.members)
                return;
        NODE_SET_FOREACH(id, a->promised) {
                plan(c, HAPPENS_INSTALL, id, draw_delay(c))->agreement = a;
                a->n_ref++;
        }
}

static void install(Cluster *c, ClusterNode *n, const Agreement *a) {
        if (!membership_has(&a->membership, n->id, n->incarnation) ||
            !mid_equal(n->promised, a->membership.mid))
                return;
        n->installed = a->membership;
        cluster_feed(c, n->id, (GcsEvent){ .type = GCS_EVENT_STABLE, .stable.membership = &a->membership });
}

/* ---- Time ---- */

static void happen(Cluster *c, Happening *h) {
        static GcsMessage message;
        ClusterNode *n = &c->nodes[h->node];

        if (!n->alive || (h->incarnation != 0 && h->incarnation != n->incarnation))
                return;
        switch (h->type) {
        case HAPPENS_MESSAGE:
                g_assert_cmpint(gcs_message_decode(h->buffer, 0, h->buffer->size_bytes, &message), ==, 0);
                cluster_feed(c,
                             h->node,
                             (GcsEvent){ .type = GCS_EVENT_RECEIVED, .received = { h->from, &message } });
                break;
        case HAPPENS_STORED:
                if (mid_compare(h->mid, n->disk) > 0)
                        n->disk = h->mid;
                cluster_feed(c, h->node, (GcsEvent){ .type = GCS_EVENT_STORED, .stored.number = h->number });
                break;
        case HAPPENS_PROMISE:
                promise(c, n, h->agreement);
                break;
        case HAPPENS_INSTALL:
                install(c, n, h->agreement);
                break;
        case HAPPENS_GIVE:
                actor_give(actor_find(c, h->client));
                break;
        }
}

/* One event, or one wake-up, not later than that time. False if there is none. */
static bool cluster_once(Cluster *c, uint64_t end_usec) {
        uint64_t due = c->events->len > 0 ? ((Happening *) c->events->pdata[0])->due_usec : UINT64_MAX, t;
        uint32_t sleeper = 0;

        for (uint32_t id = 1; id <= c->config.n_nodes; id++) {
                ClusterNode *n = &c->nodes[id];

                if (!n->alive)
                        continue;
                t = MAX(gcs_wakeup_usec(n->core), n->paused_until);
                if (t < due) {
                        due = t;
                        sleeper = id;
                }
        }
        if (due > end_usec) {
                c->now_usec = MAX(c->now_usec, end_usec);
                return false;
        }
        c->now_usec = MAX(c->now_usec, due);

        if (sleeper != 0)
                cluster_feed(c, sleeper, (GcsEvent){ .type = GCS_EVENT_TIMEOUT });
        else {
                Happening *h = heap_take(c->events);

                /* A paused node gets it when it goes on. */
                if (c->nodes[h->node].paused_until > c->now_usec) {
                        Happening *later = plan(
                                        c, h->type, h->node, c->nodes[h->node].paused_until - c->now_usec);
                        uint64_t serial = later->serial, due_usec = later->due_usec;

                        *later = *h;
                        later->serial = serial;
                        later->due_usec = due_usec;
                        g_free(h);
                        return true;
                }
                happen(c, h);
                happening_free(h);
        }
        return true;
}

void cluster_run(Cluster *c, uint64_t usec) {
        uint64_t end = c->now_usec + usec;

        while (!c->failure && cluster_once(c, end))
                ;
}

bool cluster_run_until(Cluster *c, bool (*done)(Cluster *c, void *data), void *data, uint64_t usec) {
        uint64_t end = c->now_usec + usec;

        while (!c->failure) {
                if (done(c, data))
                        return true;
                if (!cluster_once(c, end))
                        return done(c, data);
        }
        return false;
}

/* ---- Life ---- */

Cluster *cluster_new(const ClusterConfig *config) {
        Cluster *c = g_new0(Cluster, 1);

        g_assert_cmpuint(config->n_nodes, <=, CLUSTER_NODES_MAX);
        c->config = *config;
        prng_init(&c->prng, config->seed);
        c->now_usec = 1000;
        c->events = g_ptr_array_new();
        c->actors = g_ptr_array_new();
        c->living = g_ptr_array_new();
        c->seniority = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        c->quorate = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        c->history = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        c->payloads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (uint32_t id = 1; id <= config->n_nodes; id++)
                c->nodes[id].id = id;
        return c;
}

Cluster *cluster_free(Cluster *c) {
        if (!c)
                return NULL;
        for (unsigned i = 0; i < c->events->len; i++)
                happening_free(c->events->pdata[i]);
        for (unsigned i = 0; i < c->actors->len; i++)
                actor_free(c->actors->pdata[i]);
        for (uint32_t id = 1; id <= c->config.n_nodes; id++)
                c->nodes[id].core = gcs_free(c->nodes[id].core);
        g_ptr_array_unref(c->events);
        g_ptr_array_unref(c->actors);
        g_ptr_array_unref(c->living);
        g_array_unref(c->seniority);
        g_hash_table_unref(c->quorate);
        g_hash_table_unref(c->history);
        g_hash_table_unref(c->payloads);
        if (c->trace)
                (void) g_string_free(c->trace, TRUE);
        g_free(c->failure);
        g_free(c);
        return NULL;
}
