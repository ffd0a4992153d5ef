/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/time-util.h"
#include "hagcd/tally.h"

/* ---- Groups ---- */

TallyGroup *
tally_group(TallyGroups *groups,
            const char *name,
            uint64_t now_usec,
            bool (*in_use)(const TallyGroup *group, void *userdata),
            void *userdata) {
        TallyGroup *oldest = NULL;

        FOREACH_ARRAY(g, groups->groups, GCS_GROUPS_MAX)
                if (streq(g->name, name)) {
                        g->used_usec = now_usec;
                        return g;
                }
        FOREACH_ARRAY(g, groups->groups, GCS_GROUPS_MAX)
                if ((!oldest || g->used_usec < oldest->used_usec) && !in_use(g, userdata))
                        oldest = g;
        if (!oldest)
                return NULL;
        *oldest = (TallyGroup){ .used_usec = now_usec };
        (void) snprintf(oldest->name, sizeof(oldest->name), "%s", name);
        return oldest;
}

/* One message goes to each member here: only the first of them is counted. */
static bool is_new(TallyGroup *g, const GcsEffect *e, uint64_t now_usec) {
        int order = mid_compare(e->mid, g->mid);

        if (order < 0 || (order == 0 && e->sequence <= g->sequence))
                return false;
        g->mid = e->mid;
        g->sequence = e->sequence;
        g->used_usec = now_usec;
        return true;
}

/* ---- Members ---- */

void tally_begin(Tally *t, TallyGroup *group) {
        *t = (Tally){ .group = group };
}

void tally_sent(Tally *t, size_t size_bytes, bool more) {
        t->sent_messages += !more;
        t->sent_bytes += size_bytes;
        if (!t->group)
                return;
        t->group->sent_messages += !more;
        t->group->sent_bytes += size_bytes;
}

void tally_lost(Tally *t, size_t size_bytes, bool more) {
        t->back_messages += !more;
        t->back_bytes += size_bytes;
}

void tally_fed(Tally *t, uint64_t since_usec) {
        t->fed_usec[t->fed_pieces++ % TALLY_ON_ITS_WAY_MAX] = since_usec;
}

void tally_not_fed(Tally *t) {
        t->fed_pieces--;
}

void tally_full(Tally *t) {
        t->n_full++;
        if (t->group)
                t->group->n_full++;
}

void tally_shut_out(Tally *t, uint64_t kept_messages, uint64_t kept_bytes) {
        t->back_pieces = t->fed_pieces;
        t->back_messages = t->sent_messages - kept_messages;
        t->back_bytes = t->sent_bytes - kept_bytes;
}

void tally_message(Tally *t, const GcsEffect *e, uint64_t now_usec) {
        bool whole = !e->message.more;

        t->delivered_messages += whole;
        t->delivered_bytes += e->message.payload.size_bytes;
        if (e->message.own && t->back_pieces < t->fed_pieces) {
                t->back_pieces++;
                t->back_messages += whole;
                t->back_bytes += e->message.payload.size_bytes;
        }
        if (!t->group || !is_new(t->group, e, now_usec))
                return;
        t->group->messages += whole;
        t->group->bytes += e->message.payload.size_bytes;
}

void tally_view(Tally *t, const GcsEffect *e, uint64_t now_usec) {
        if (t->group && is_new(t->group, e, now_usec))
                t->group->views++;
}

void tally_snapshot(Tally *t, bool given) {
        t->snapshots_given += given;
        t->snapshots_received += !given;
        if (!t->group)
                return;
        t->group->snapshots_given += given;
        t->group->snapshots_received += !given;
}

void tally_expelled(Tally *t) {
        if (t->group)
                t->group->n_expelled++;
}

void tally_waits(Tally *t, bool message, size_t size_bytes) {
        t->waiting_messages += message;
        t->waiting_bytes += size_bytes;
}

/* What waits from before it left and joined anew is not counted any more. */
void tally_taken(Tally *t, bool message, size_t size_bytes) {
        t->waiting_messages -= MIN(t->waiting_messages, (uint64_t) message);
        t->waiting_bytes -= MIN(t->waiting_bytes, (uint64_t) size_bytes);
}

/* ---- Shown ---- */

void tally_show_member(const Tally *t, uint64_t now_usec, ProtoGroupMember *ret) {
        ret->here = true;
        ret->sent_messages = t->sent_messages;
        ret->sent_bytes = t->sent_bytes;
        ret->delivered_messages = t->delivered_messages;
        ret->delivered_bytes = t->delivered_bytes;
        ret->waiting_messages = t->waiting_messages;
        ret->waiting_bytes = t->waiting_bytes;
        /* Somebody may have sent before it was a member, and so before there were counts. */
        ret->window_messages = t->sent_messages - MIN(t->back_messages, t->sent_messages);
        ret->window_bytes = t->sent_bytes - MIN(t->back_bytes, t->sent_bytes);
        if (t->back_pieces < t->fed_pieces)
                ret->window_usec = usec_sub(now_usec, t->fed_usec[t->back_pieces % TALLY_ON_ITS_WAY_MAX]);
        ret->n_full = t->n_full;
        ret->snapshots_given = t->snapshots_given;
        ret->snapshots_received = t->snapshots_received;
}

void tally_show_group(const TallyGroup *g, ProtoGroup *ret) {
        ret->mid = (ProtoMid){ g->mid.epoch, g->mid.node };
        ret->sequence = g->sequence;
        ret->messages = g->messages;
        ret->bytes = g->bytes;
        ret->views = g->views;
        ret->sent_messages = g->sent_messages;
        ret->sent_bytes = g->sent_bytes;
        ret->n_full = g->n_full;
        ret->n_expelled = g->n_expelled;
        ret->snapshots_given = g->snapshots_given;
        ret->snapshots_received = g->snapshots_received;
}
