/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Local clients. Forward, a client may have so much sent and not delivered back (its window); backward, what
 * was delivered and not consumed is its backlog. A long backlog makes the client slow and its group with it:
 * all nodes refuse sends to that group until it has caught up, or is expelled because it takes nothing, or
 * so little that it holds up the group for long. */

#include "basic/parse.h"
#include "gcs/gcs-internal.h"

/* A newcomer that waits for its snapshot takes nothing for a reason, yet not for ever. */
#define AWAITING_PATIENCE 6U

/* Of what makes a client slow, the part that counts as going on once it is taken. */
#define FAIR_PART 16U

GcsClient *gcs_client_find(const Gcs *g, uint64_t id) {
        for (unsigned i = 0; i < g->n_clients; i++)
                if (g->clients[i].id == id)
                        return &g->clients[i];
        return NULL;
}

GcsClient *gcs_client_of_member(const Gcs *g, GcsMemberId id) {
        if (id.node != g->config.node || id.incarnation != g->config.incarnation)
                return NULL;
        for (unsigned i = 0; i < g->n_clients; i++)
                if (g->clients[i].member == id.number)
                        return &g->clients[i];
        return NULL;
}

GcsMemberId gcs_client_member_id(const Gcs *g, const GcsClient *c) {
        return (GcsMemberId){
                .node = g->config.node,
                .incarnation = g->config.incarnation,
                .number = c->member,
        };
}

bool gcs_client_gets(const GcsClient *c) {
        return c->joined && (c->state == GCS_CLIENT_MEMBER || c->state == GCS_CLIENT_LEAVING);
}

static void find_slow(Gcs *g) {
        g->slow_own = 0;
        for (unsigned i = 0; i < g->n_clients; i++)
                if (g->clients[i].slow && gcs_client_gets(&g->clients[i]))
                        g->slow_own |= UINT64_C(1) << g->clients[i].slot;
}

/* The client's place is taken by those behind it. */
void gcs_client_forget(Gcs *g, GcsClient *c) {
        unsigned i = (unsigned) (c - g->clients);

        assert(i < g->n_clients);
        if (c->blocked)
                g->n_blocked--;
        for (unsigned t = 0; t < GCS_TRANSFERS_MAX; t++)
                if (g->transfers[t].used && g->transfers[t].client == c->id)
                        g->transfers[t].client = 0;
        g->n_clients--;
        memmove(c, c + 1, (g->n_clients - i) * sizeof(*c));
        memset(&g->clients[g->n_clients], 0, sizeof(*c));
        find_slow(g);
}

/* ---- Backlog ---- */

static void note_progress(Gcs *g, GcsClient *c) {
        c->progress_usec = g->now_usec;
        c->n_taken = 0;
        c->taken_bytes = 0;
}

static void set_slow(Gcs *g, GcsClient *c, bool slow) {
        if (c->slow == slow)
                return;
        c->slow = slow;
        note_progress(g, c);
        gcs_trace(g, (GcsTrace){ .type = GCS_TRACE_SLOW, .client = c->id, .flag = slow });
        find_slow(g);
}

static void judge_backlog(Gcs *g, GcsClient *c) {
        uint32_t messages = g->config.backlog_messages, bytes = g->config.backlog_bytes;

        if (c->n_backlog >= messages || c->backlog_bytes >= bytes)
                set_slow(g, c, true);
        else if (c->n_backlog <= messages / 2 && c->backlog_bytes <= bytes / 2)
                set_slow(g, c, false);
}

/* The effect is on its way to the client. */
void gcs_client_account(Gcs *g, GcsClient *c, GcsEffect *e, uint64_t n_bytes) {
        c->n_backlog++;
        c->backlog_bytes += n_bytes;
        if (c->awaiting && e->type != GCS_EFFECT_SNAPSHOT) {
                e->held = true;
                c->n_held++;
                c->held_bytes += n_bytes;
        }
        judge_backlog(g, c);
}

static void on_consumed(Gcs *g, const GcsEvent *e) {
        GcsClient *c = gcs_client_find(g, e->consumed.client);

        if (!c)
                return;
        c->n_backlog -= MIN(e->consumed.n_messages, c->n_backlog - c->n_held);
        c->backlog_bytes -= MIN(e->consumed.n_bytes, c->backlog_bytes - c->held_bytes);
        c->n_taken += e->consumed.n_messages;
        c->taken_bytes += e->consumed.n_bytes;
        if (c->n_taken >= g->config.backlog_messages / FAIR_PART ||
            c->taken_bytes >= g->config.backlog_bytes / FAIR_PART)
                note_progress(g, c);
        judge_backlog(g, c);
}

static void expel(Gcs *g, GcsClient *c) {
        GcsItem *i;

        gcs_effect(g, GCS_EFFECT_EXPELLED)->client = c->id;
        if (c->flags & GCS_JOIN_CRITICAL)
                gcs_effect(g, GCS_EFFECT_RESET_NODE)->client = c->id;
        if (c->state == GCS_CLIENT_MEMBER) {
                i = gcs_pending_add(g, GCS_ITEM_LEAVE);
                i->member = c->member;
                i->leave.reason = GCS_REASON_EXPELLED;
                c->reason = GCS_REASON_EXPELLED;
        }
        c->state = GCS_CLIENT_EXPELLED;
        find_slow(g);
}

static uint64_t patience(const Gcs *g, const GcsClient *c) {
        return usec_add(c->progress_usec, g->config.stall_usec * (c->awaiting ? AWAITING_PATIENCE : 1));
}

void gcs_clients_timeout(Gcs *g) {
        if (g->slow_own == 0)
                return;
        for (unsigned i = 0; i < g->n_clients; i++) {
                GcsClient *c = &g->clients[i];

                if (c->slow && gcs_client_gets(c) && g->now_usec >= patience(g, c) && gcs_effects_room(g))
                        expel(g, c);
        }
}

uint64_t gcs_clients_wakeup(const Gcs *g) {
        uint64_t t = USEC_INFINITY;

        if (g->slow_own == 0)
                return t;
        for (unsigned i = 0; i < g->n_clients; i++)
                if (g->clients[i].slow && gcs_client_gets(&g->clients[i]))
                        t = MIN(t, patience(g, &g->clients[i]));
        return t;
}

/* ---- Window ---- */

/* So that other clients of a node cannot keep out those it depends on. */
static unsigned kept_for_critical(uint8_t flags, unsigned n) {
        return flags & GCS_JOIN_CRITICAL ? 0 : n;
}

static bool window_open(const Gcs *g, const GcsClient *c, size_t bytes) {
        if (c->state != GCS_CLIENT_MEMBER)
                return false;
        if (((g->slow_all | g->slow_own) >> c->slot) & 1)
                return false;
        if (gcs_n_pending(g) >= GCS_PENDING_MAX - kept_for_critical(c->flags, GCS_PENDING_CRITICAL) ||
            c->n_window >= g->config.window_messages)
                return false;
        return c->n_window == 0 || c->window_bytes + bytes <= g->config.window_bytes;
}

void gcs_client_block(Gcs *g, GcsClient *c) {
        g->verdict = GCS_VERDICT_WINDOW_FULL;
        if (!c->blocked) {
                c->blocked = true;
                g->n_blocked++;
        }
}

/* A quarter of the window at once, so that a sender at its limit is not woken for each message. */
static bool may_go_on(const Gcs *g, const GcsClient *c) {
        uint32_t n = g->config.window_messages;

        if (c->sending && window_open(g, c, g->config.window_bytes / 4) && c->n_window <= n - n / 4)
                return true;
        return c->giving && gcs_snapshot_open(g, c);
}

void gcs_clients_credit(Gcs *g) {
        for (unsigned i = 0; i < g->n_clients && g->n_blocked > 0; i++) {
                GcsClient *c = &g->clients[i];

                if (!c->blocked || !may_go_on(g, c) || !gcs_effects_room(g))
                        continue;
                c->blocked = c->sending = c->giving = false;
                g->n_blocked--;
                gcs_effect(g, GCS_EFFECT_CREDIT)->client = c->id;
        }
}

static void on_send(Gcs *g, const GcsEvent *e) {
        GcsClient *c = gcs_client_find(g, e->send.client);
        GcsItem *i;

        if (e->send.payload.size_bytes > GCS_PAYLOAD_MAX) {
                g->verdict = GCS_VERDICT_TOO_LONG;
                return;
        }
        if (!c || (c->state != GCS_CLIENT_MEMBER && !(c->state == GCS_CLIENT_JOINING && c->rejoining))) {
                g->verdict = GCS_VERDICT_NOT_MEMBER;
                return;
        }
        if (!window_open(g, c, e->send.payload.size_bytes)) {
                gcs_client_block(g, c);
                c->sending = true;
                return;
        }

        i = gcs_pending_add(g, GCS_ITEM_MESSAGE);
        i->member = c->member;
        i->group = c->slot;
        i->message.payload = slice_ref(e->send.payload);
        i->message.later = e->send.later;
        i->message.more = e->send.more;
        c->n_window++;
        c->window_bytes += e->send.payload.size_bytes;
}

/* ---- Coming and going ---- */

static void join(Gcs *g, GcsClient *c) {
        GcsItem *i = gcs_pending_add(g, GCS_ITEM_JOIN);

        c->state = GCS_CLIENT_JOINING;
        c->member = g->next_member++;
        c->fresh = true;
        i->member = c->member;
        i->join.flags = c->flags;
        memcpy(i->join.group_name, c->group_name, sizeof(c->group_name));
        memcpy(i->join.member_name, c->member_name, sizeof(c->member_name));
}

static void on_register(Gcs *g, const GcsEvent *e) {
        uint8_t flags = (e->reg.critical ? GCS_JOIN_CRITICAL : 0) |
                        (e->reg.snapshot ? GCS_JOIN_SNAPSHOT : 0);
        GcsRefusal refusal;
        GcsClient *c;
        GcsEffect *f;

        assert(!gcs_client_find(g, e->reg.client));

        if (!name_is_valid(e->reg.group) || !name_is_valid(e->reg.member)) {
                refusal = GCS_REFUSAL_NAME;
                goto refused;
        }
        if (g->n_clients >= GCS_CLIENTS_MAX - kept_for_critical(flags, GCS_CLIENTS_CRITICAL)) {
                refusal = GCS_REFUSAL_CLIENTS_FULL;
                goto refused;
        }
        for (unsigned i = 0; i < g->n_clients; i++) {
                c = &g->clients[i];
                if ((c->state == GCS_CLIENT_JOINING || c->state == GCS_CLIENT_MEMBER) &&
                    streq(c->group_name, e->reg.group) && streq(c->member_name, e->reg.member)) {
                        refusal = GCS_REFUSAL_NAME_IN_USE;
                        goto refused;
                }
        }

        c = &g->clients[g->n_clients++];
        *c = (GcsClient){ .id = e->reg.client, .flags = flags };
        memcpy(c->group_name, e->reg.group, strlen(e->reg.group) + 1);
        memcpy(c->member_name, e->reg.member, strlen(e->reg.member) + 1);
        join(g, c);
        return;

refused:
        f = gcs_effect(g, GCS_EFFECT_REFUSED);
        f->client = e->reg.client;
        f->refused.reason = refusal;
}

static void leave(Gcs *g, GcsClient *c, GcsClientState state, GcsReason reason) {
        if (c->state == GCS_CLIENT_JOINING || c->state == GCS_CLIENT_MEMBER) {
                GcsItem *i = gcs_pending_add(g, GCS_ITEM_LEAVE);

                i->member = c->member;
                i->leave.reason = reason;
                c->reason = reason;
        }
        c->state = state;
        if (c->blocked) {
                c->blocked = false;
                g->n_blocked--;
        }
        find_slow(g);
}

/* Its LEAVE was delivered, or nobody is left to order one. */
void gcs_client_left(Gcs *g, GcsClient *c, GcsReason reason) {
        if (c->state == GCS_CLIENT_LEAVING)
                gcs_effect(g, GCS_EFFECT_UNREGISTERED)->client = c->id;
        gcs_client_forget(g, c);
}

void gcs_client_event(Gcs *g, const GcsEvent *e) {
        GcsClient *c;

        switch (e->type) {
        case GCS_EVENT_REGISTER:
                on_register(g, e);
                break;
        case GCS_EVENT_UNREGISTER:
                c = gcs_client_find(g, e->unregister.client);
                if (c && (c->state == GCS_CLIENT_JOINING || c->state == GCS_CLIENT_MEMBER))
                        leave(g, c, GCS_CLIENT_LEAVING, GCS_REASON_UNREGISTERED);
                break;
        case GCS_EVENT_SEND:
                on_send(g, e);
                break;
        case GCS_EVENT_MEMBER_LOST:
                c = gcs_client_find(g, e->member_lost.client);
                if (c && c->state != GCS_CLIENT_EXPELLED)
                        leave(g, c, GCS_CLIENT_LOST, e->member_lost.reason);
                break;
        case GCS_EVENT_CONSUMED:
                on_consumed(g, e);
                break;
        case GCS_EVENT_TIMEOUT:
        case GCS_EVENT_TRANSITION:
        case GCS_EVENT_NODE:
        case GCS_EVENT_STABLE:
        case GCS_EVENT_RECEIVED:
        case GCS_EVENT_STORED:
        case GCS_EVENT_SNAPSHOT:
                ASSERT_NOT_REACHED();
        }
}

/* ---- Freezing, and being shut out ---- */

void gcs_clients_freeze(Gcs *g, bool quorate) {
        if (g->told_frozen)
                return;
        g->told_frozen = true;
        for (unsigned i = 0; i < g->n_clients; i++)
                if (gcs_client_gets(&g->clients[i])) {
                        GcsEffect *e = gcs_effect(g, GCS_EFFECT_FROZEN);

                        e->client = g->clients[i].id;
                        e->frozen.quorate = quorate;
                }
}

/* The history goes on without what we had: members join it afresh under new numbers; those on their way out
 * are out. */
void gcs_clients_shut_out(Gcs *g) {
        unsigned i = 0;

        while (i < g->n_clients) {
                GcsClient *c = &g->clients[i];

                if (c->state != GCS_CLIENT_JOINING && c->state != GCS_CLIENT_MEMBER) {
                        gcs_client_left(g, c, c->reason);
                        continue;
                }
                if (c->joined) {
                        c->rejoining = true;
                        gcs_snapshot_restart(g, c);
                        gcs_effect(g, GCS_EFFECT_SHUT_OUT)->client = c->id;
                }
                c->joined = false;
                c->due = GCS_SNAPSHOT_DUE_NOTHING;
                c->complete = false;
                c->n_window = 0;
                c->window_bytes = 0;
                join(g, c);
                i++;
        }
        find_slow(g);
}
