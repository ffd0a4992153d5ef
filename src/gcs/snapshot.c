/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A member's state on its way to a newcomer: pieces, each acknowledged, a few on their way at once. The
 * order itself says who gives a snapshot to whom, and as of which point; pieces of any other point are void.
 */

#include "gcs/gcs-internal.h"

/* ---- The newcomer ---- */

static void release(Gcs *g, GcsClient *c) {
        gcs_effect(g, GCS_EFFECT_RELEASE)->client = c->id;
        c->awaiting = false;
        c->n_held = 0;
        c->held_bytes = 0;
        c->progress_usec = g->now_usec;
}

/* What was kept behind the snapshot that does not come is dropped. */
void gcs_snapshot_restart(Gcs *g, GcsClient *c) {
        c->piece = 0;
        if (!c->awaiting)
                return;
        gcs_effect(g, GCS_EFFECT_DROP_HELD)->client = c->id;
        c->awaiting = false;
        c->n_backlog -= c->n_held;
        c->backlog_bytes -= c->held_bytes;
        c->n_held = 0;
        c->held_bytes = 0;
}

void gcs_snapshot_none(Gcs *g, GcsClient *c) {
        GcsEffect *e = gcs_effect(g, GCS_EFFECT_SNAPSHOT);

        e->client = c->id;
        e->mid = g->nodes.mid;
        e->sequence = g->delivered;
        e->snapshot.first = e->snapshot.last = e->snapshot.none = true;
        gcs_client_account(g, c, e, 0);
        release(g, c);
}

static void take_piece(Gcs *g, GcsClient *c, uint64_t point, Slice payload, bool last) {
        GcsEffect *e = gcs_effect(g, GCS_EFFECT_SNAPSHOT);
        GcsItem *i;

        e->client = c->id;
        e->mid = g->nodes.mid;
        e->sequence = point;
        e->snapshot.payload = slice_ref(payload);
        e->snapshot.first = c->piece == 0;
        e->snapshot.last = last;
        c->piece++;
        gcs_client_account(g, c, e, payload.size_bytes);
        if (last) {
                c->complete = true;
                c->complete_point = point;
                release(g, c);
                i = gcs_pending_add(g, GCS_ITEM_READY);
                i->member = c->member;
                i->ready.point = point;
        }
}

static bool has_room(const GcsClient *c) {
        return c->backlog_bytes - c->held_bytes < GCS_SNAPSHOT_BACKLOG_BYTES;
}

static void on_piece(Gcs *g, uint32_t from, const GcsMessage *m) {
        GcsClient *c = gcs_client_of_member(g, m->snapshot.newcomer);
        const GcsMember *member =
                        c && gcs_client_gets(c) ? gcs_find_member(g, c->slot, m->snapshot.newcomer) : NULL;
        uint32_t next = m->snapshot.piece + 1;
        GcsMessage *reply;

        /* Of a point that is not delivered here yet: soon. */
        if (!gcs_is_active(g) || m->snapshot.point > g->delivered)
                return;
        if (c && c->awaiting && member && member->point == m->snapshot.point && member->donor.node == from) {
                if (m->snapshot.piece == c->piece) {
                        if (!has_room(c))
                                return;
                        take_piece(g, c, m->snapshot.point, m->snapshot.payload, m->snapshot.last);
                }
                next = c->piece;
        }

        /* Taken; or not wanted any more, and then the donor need not go on. */
        reply = gcs_out(g, GCS_MESSAGE_SNAPSHOT_ACK);
        reply->snapshot.newcomer = m->snapshot.newcomer;
        reply->snapshot.point = m->snapshot.point;
        reply->snapshot.piece = next;
        reply->snapshot.last = false;
        reply->snapshot.payload = (Slice){};
        gcs_send(g, reply, node_set_of(from));
}

/* ---- The donor ---- */

static void transfer_done(GcsTransfer *t) {
        for (uint32_t p = 0; p < t->n_pieces; p++)
                slice_done(&t->pieces[p]);
        *t = (GcsTransfer){};
}

static bool still_wanted(const Gcs *g, GcsMemberId newcomer, uint64_t point, GcsMemberId donor) {
        unsigned slot;
        const GcsMember *m = gcs_find_member_anywhere(g, newcomer, &slot);

        return m && !m->ready && m->point == point && gcs_member_id_equal(m->donor, donor);
}

static bool transfer_wanted(const Gcs *g, const GcsTransfer *t) {
        const GcsClient *c = gcs_client_find(g, t->client);

        return c && gcs_client_gets(c) && still_wanted(g, t->newcomer, t->point, gcs_client_member_id(g, c));
}

void gcs_snapshots_prune(Gcs *g) {
        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++)
                if (g->transfers[i].used && !transfer_wanted(g, &g->transfers[i]))
                        transfer_done(&g->transfers[i]);
}

static GcsTransfer *transfer_find(Gcs *g, GcsMemberId newcomer, uint64_t point) {
        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++)
                if (g->transfers[i].used && g->transfers[i].point == point &&
                    gcs_member_id_equal(g->transfers[i].newcomer, newcomer))
                        return &g->transfers[i];
        return NULL;
}

static GcsTransfer *transfer_new(Gcs *g, const GcsEvent *e) {
        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++)
                if (!g->transfers[i].used) {
                        g->transfers[i] = (GcsTransfer){
                                .used = true,
                                .client = e->snapshot.client,
                                .newcomer = e->snapshot.newcomer,
                                .point = e->snapshot.point,
                        };
                        return &g->transfers[i];
                }
        return NULL;
}

/* It may go on: there is a transfer to begin, and room in those begun. */
bool gcs_snapshot_open(const Gcs *g, const GcsClient *c) {
        bool free_one = false;

        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++) {
                const GcsTransfer *t = &g->transfers[i];

                if (!t->used)
                        free_one = true;
                else if (t->client == c->id && !t->complete && t->n_pieces >= GCS_TRANSFER_PIECES_MAX)
                        return false;
        }
        return free_one;
}

void gcs_snapshot_give(Gcs *g, const GcsEvent *e) {
        GcsClient *c = gcs_client_find(g, e->snapshot.client);
        GcsTransfer *t;

        if (e->snapshot.payload.size_bytes > GCS_PAYLOAD_MAX) {
                g->verdict = GCS_VERDICT_TOO_LONG;
                return;
        }
        if (!c || !gcs_client_gets(c) ||
            !still_wanted(g, e->snapshot.newcomer, e->snapshot.point, gcs_client_member_id(g, c))) {
                g->verdict = GCS_VERDICT_NOT_MEMBER;
                return;
        }

        t = transfer_find(g, e->snapshot.newcomer, e->snapshot.point);
        if (!t)
                t = transfer_new(g, e);
        if (!t || (t->n_pieces >= GCS_TRANSFER_PIECES_MAX && !t->complete)) {
                gcs_client_block(g, c);
                c->giving = true;
                return;
        }
        if (t->complete) {
                g->verdict = GCS_VERDICT_NOT_MEMBER;
                return;
        }
        t->pieces[t->n_pieces++] = slice_ref(e->snapshot.payload);
        t->complete = e->snapshot.last;
}

static void drop_pieces(GcsTransfer *t, uint32_t n) {
        for (uint32_t p = 0; p < n; p++)
                slice_done(&t->pieces[p]);
        t->n_pieces -= n;
        memmove(t->pieces, t->pieces + n, t->n_pieces * sizeof(t->pieces[0]));
        memset(t->pieces + t->n_pieces, 0, n * sizeof(t->pieces[0]));
        t->n_sent -= MIN(t->n_sent, n);
        t->first += n;
        if (t->complete && t->n_pieces == 0)
                transfer_done(t); /* all is there */
}

static void on_snapshot_ack(Gcs *g, uint32_t from, const GcsMessage *m) {
        GcsTransfer *t = transfer_find(g, m->snapshot.newcomer, m->snapshot.point);
        uint32_t n;

        if (!t || from != t->newcomer.node || m->snapshot.piece <= t->first)
                return;
        n = m->snapshot.piece - t->first;
        if (n > t->n_pieces) {
                gcs_bad(g, from);
                return;
        }
        drop_pieces(t, n);
}

/* The newcomer is a client of ours too. */
static void give_locally(Gcs *g, GcsTransfer *t) {
        GcsClient *c = gcs_client_of_member(g, t->newcomer);

        while (c && gcs_client_gets(c) && c->awaiting && t->used && t->n_pieces > 0 && has_room(c) &&
               gcs_effects_room(g)) {
                take_piece(g, c, t->point, t->pieces[0], t->complete && t->n_pieces == 1);
                drop_pieces(t, 1);
        }
}

static void send_pieces(Gcs *g, GcsTransfer *t) {
        while (t->n_sent < t->n_pieces && t->n_sent < GCS_SNAPSHOT_WINDOW && gcs_out_room(g)) {
                GcsMessage *m = gcs_out(g, GCS_MESSAGE_SNAPSHOT);

                m->snapshot.newcomer = t->newcomer;
                m->snapshot.point = t->point;
                m->snapshot.piece = t->first + t->n_sent;
                m->snapshot.last = t->complete && t->n_sent + 1 == t->n_pieces;
                m->snapshot.payload = slice_ref(t->pieces[t->n_sent]);
                gcs_send(g, m, node_set_of(t->newcomer.node));
                t->n_sent++;
                t->sent_usec = g->now_usec;
        }
}

void gcs_snapshot_pump(Gcs *g) {
        if (!gcs_is_active(g))
                return;
        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++) {
                GcsTransfer *t = &g->transfers[i];

                if (!t->used)
                        continue;
                if (!transfer_wanted(g, t)) {
                        transfer_done(t);
                        continue;
                }
                if (t->newcomer.node == g->config.node) {
                        give_locally(g, t);
                        continue;
                }
                if (t->n_sent > 0 && g->now_usec >= usec_add(t->sent_usec, g->config.resend_usec)) {
                        t->n_sent = 0;
                        g->n_resent++;
                }
                send_pieces(g, t);
        }
}

uint64_t gcs_snapshot_wakeup(const Gcs *g) {
        uint64_t t = USEC_INFINITY;

        if (!gcs_is_active(g))
                return t;
        for (unsigned i = 0; i < GCS_TRANSFERS_MAX; i++)
                if (g->transfers[i].used && g->transfers[i].n_sent > 0)
                        t = MIN(t, usec_add(g->transfers[i].sent_usec, g->config.resend_usec));
        return t;
}

void gcs_snapshot_received(Gcs *g, uint32_t from, const GcsMessage *m) {
        if (m->type == GCS_MESSAGE_SNAPSHOT)
                on_piece(g, from, m);
        else
                on_snapshot_ack(g, from, m);
}
