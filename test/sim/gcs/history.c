/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The checkers: what any client was ever told, the dead ones' included, is one history per formation and
 * group.
 *
 * Each place of the order (formation, group, sequence) has one content. Each client's stretch is without a
 * gap in that history. A payload has one place. A sender's numbers rise. The state that a client computes
 * from what it was told, or from its snapshot on, is the same at the same place. */

#include "sim/gcs/cluster.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct Place {
        char group[GCS_NAME_MAX + 1];
        Mid formation;
        uint64_t sequence;
} Place;

typedef struct Entry {
        Place place;
        uint64_t content;
        Mid mid;
        bool has_state;
        uint64_t state;
} Entry;

static uint64_t mix(uint64_t a, uint64_t b) {
        uint64_t s = a ^ (b * UINT64_C(0x9e3779b97f4a7c15));

        return splitmix64(&s);
}

static char *place_key(const Actor *a, uint64_t sequence) {
        return g_strdup_printf(
                        "%s %" PRIu64 ".%u %" PRIu64,
                        a->group,
                        a->formation.epoch,
                        a->formation.node,
                        sequence);
}

static Segment *segment_now(Actor *a) {
        assert(a->segments->len > 0);
        return a->segments->pdata[a->segments->len - 1];
}

void history_begin(Actor *a, uint64_t sequence) {
        Segment *s = g_new0(Segment, 1);

        s->formation = a->formation;
        s->first = s->last = sequence;
        s->sequences = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_ptr_array_add(a->segments, s);
}

void history_end(Actor *a) {
        a->has_state = false;
}

static Entry *history_entry(Actor *a, const Told *t) {
        Cluster *c = a->cluster;
        char *key = place_key(a, t->sequence);
        Entry *e = g_hash_table_lookup(c->history, key);

        if (e) {
                g_free(key);
                if (e->content != t->content)
                        cluster_fail(c,
                                     "client %" PRIu64 " of node %u was told something else at %" PRIu64
                                     " of group %s",
                                     a->client,
                                     a->node,
                                     t->sequence,
                                     a->group);
                else if (!mid_equal(e->mid, t->mid))
                        cluster_fail(c,
                                     "client %" PRIu64 " was told %" PRIu64 " in another membership",
                                     a->client,
                                     t->sequence);
                return e;
        }
        e = g_new0(Entry, 1);
        memcpy(e->place.group, a->group, sizeof(a->group));
        e->place.formation = a->formation;
        e->place.sequence = t->sequence;
        e->content = t->content;
        e->mid = t->mid;
        g_hash_table_insert(c->history, key, e);
        return e;
}

static void history_apply(Actor *a, const Told *t) {
        Cluster *c = a->cluster;
        Segment *s = segment_now(a);
        Entry *e;
        char mid[64];

        c->story = mix(mix(c->story, a->client), mix(t->sequence, t->content));
        c->n_delivered++;
        g_array_append_val(a->told, *t);

        (void) snprintf(mid, sizeof(mid), "%" PRIu64 ".%u", t->mid.epoch, t->mid.node);
        if (!g_hash_table_contains(c->quorate, mid))
                cluster_fail(c,
                             "client %" PRIu64 " was told something in %s, which has no quorum",
                             a->client,
                             mid);
        if (s->sequences->len > 0 && t->sequence <= s->last)
                cluster_fail(c,
                             "client %" PRIu64 " was told %" PRIu64 " after %" PRIu64,
                             a->client,
                             t->sequence,
                             s->last);

        e = history_entry(a, t);
        s->last = t->sequence;
        g_array_append_val(s->sequences, t->sequence);
        a->applied = t->sequence;

        if (!a->snapshot || !a->has_state)
                return;
        if (s->sequences->len > 1)
                a->state = mix(a->state, t->content);
        if (!e->has_state) {
                e->has_state = true;
                e->state = a->state;
        } else if (e->state != a->state)
                cluster_fail(c,
                             "client %" PRIu64 " of node %u has another state at %" PRIu64 " of group %s",
                             a->client,
                             a->node,
                             t->sequence,
                             a->group);
}

void history_message(Actor *a, const Told *t) {
        Cluster *c = a->cluster;
        uint64_t last = GPOINTER_TO_SIZE(g_hash_table_lookup(a->last_of, GSIZE_TO_POINTER(t->uid)));
        Actor *sender = t->uid >= 1 && t->uid <= c->actors->len ? c->actors->pdata[t->uid - 1] : NULL;
        char *payload, *place;
        const char *known;

        if (!sender || t->n == 0 || t->n > sender->n_sent)
                cluster_fail(c, "client %" PRIu64 " was told what nobody sent", a->client);
        if (t->n <= last)
                cluster_fail(c,
                             "client %" PRIu64 " was told number %" PRIu64 " of client %" PRIu64
                             " after %" PRIu64,
                             a->client,
                             t->n,
                             t->uid,
                             last);
        g_hash_table_insert(a->last_of, GSIZE_TO_POINTER(t->uid), GSIZE_TO_POINTER(t->n));

        payload = g_strdup_printf("%" PRIu64 " %" PRIu64, t->uid, t->n);
        place = place_key(a, t->sequence);
        known = g_hash_table_lookup(c->payloads, payload);
        if (known && strcmp(known, place) != 0)
                cluster_fail(c, "message %s is delivered at %s and at %s", payload, known, place);
        if (known) {
                g_free(payload);
                g_free(place);
        } else
                g_hash_table_insert(c->payloads, payload, place);

        history_apply(a, t);
}

void history_view(Actor *a, const Told *t) {
        history_apply(a, t);
}

/* ---- At the end ---- */

static int by_sequence(gconstpointer a, gconstpointer b) {
        const Entry *x = *(const Entry **) a, *y = *(const Entry **) b;

        if (strcmp(x->place.group, y->place.group) != 0)
                return strcmp(x->place.group, y->place.group);
        if (!mid_equal(x->place.formation, y->place.formation))
                return mid_compare(x->place.formation, y->place.formation);
        return x->place.sequence < y->place.sequence ? -1 : x->place.sequence > y->place.sequence;
}

static void check_segment(Cluster *c, const Actor *a, const Segment *s, GPtrArray *entries) {
        unsigned low = 0, high = entries->len, k = 0;
        Entry wanted = { .place.formation = s->formation, .place.sequence = s->first };
        const Entry *w = &wanted;

        memcpy(wanted.place.group, a->group, sizeof(a->group));
        while (low < high) {
                unsigned middle = (low + high) / 2;

                if (by_sequence(&entries->pdata[middle], &w) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < entries->len; low++) {
                const Entry *e = entries->pdata[low];

                if (strcmp(e->place.group, a->group) != 0 || !mid_equal(e->place.formation, s->formation) ||
                    e->place.sequence > s->last)
                        break;
                if (k >= s->sequences->len ||
                    g_array_index(s->sequences, uint64_t, k) != e->place.sequence) {
                        cluster_fail(c,
                                     "client %" PRIu64 " of node %u was not told %" PRIu64
                                     " of group %s, but later ones",
                                     a->client,
                                     a->node,
                                     e->place.sequence,
                                     a->group);
                        return;
                }
                k++;
        }
        if (k != s->sequences->len)
                cluster_fail(c, "client %" PRIu64 " was told more than there is", a->client);
}

void history_check(Cluster *c) {
        GPtrArray *entries = g_ptr_array_new();
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, c->history);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                g_ptr_array_add(entries, value);
        g_ptr_array_sort(entries, by_sequence);

        for (unsigned i = 0; i < c->actors->len && !c->failure; i++) {
                const Actor *a = c->actors->pdata[i];

                for (unsigned k = 0; k < a->segments->len; k++)
                        if (((Segment *) a->segments->pdata[k])->sequences->len > 0)
                                check_segment(c, a, a->segments->pdata[k], entries);
        }
        g_ptr_array_unref(entries);
}

void history_check_live(Cluster *c) {
        for (unsigned i = 0; i < c->actors->len && !c->failure; i++) {
                const Actor *a = c->actors->pdata[i];

                if (a->dead)
                        continue;
                if (!a->member || a->frozen || (a->snapshot && !a->has_state))
                        cluster_fail(c,
                                     "client %" PRIu64 " of node %u is no working member in the end",
                                     a->client,
                                     a->node);
                if (a->n_seen != a->n_sent && a->n_shut_out == 0)
                        cluster_fail(c,
                                     "client %" PRIu64 " of node %u saw %" PRIu64 " of its %" PRIu64
                                     " messages",
                                     a->client,
                                     a->node,
                                     a->n_seen,
                                     a->n_sent);
                for (unsigned k = 0; k < i; k++) {
                        const Actor *b = c->actors->pdata[k];

                        if (b->dead || strcmp(a->group, b->group) != 0)
                                continue;
                        if (!mid_equal(a->formation, b->formation) || a->applied != b->applied)
                                cluster_fail(c,
                                             "clients %" PRIu64 " and %" PRIu64
                                             " of group %s end at %" PRIu64 " and %" PRIu64,
                                             a->client,
                                             b->client,
                                             a->group,
                                             a->applied,
                                             b->applied);
                }
        }
}
