/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libhagcs/inbox.h"
#include "libhagcs/hagcs.h"

struct Partial {
        Partial *next; /* owned */
        ProtoMemberId sender;
        uint8_t *data; /* owned */
        size_t size_bytes;
        size_t allocated_bytes;
};

static Partial *partial_free(Partial *p) {
        if (p)
                free(p->data);
        free(p);
        return NULL;
}

void inbox_release(Inbox *b) {
        b->given = partial_free(b->given);
}

void inbox_clear(Inbox *b) {
        while (b->partials) {
                Partial *p = b->partials;

                b->partials = p->next;
                partial_free(p);
        }
        b->snapshot = partial_free(b->snapshot);
}

void inbox_done(Inbox *b) {
        inbox_clear(b);
        inbox_release(b);
}

static Partial **find(Inbox *b, const ProtoMemberId *sender) {
        Partial **p = &b->partials;

        while (*p && !proto_member_id_equal(&(*p)->sender, sender))
                p = &(*p)->next;
        return p;
}

void inbox_forget(Inbox *b, const ProtoMemberId *sender) {
        Partial **p = find(b, sender);

        if (*p) {
                Partial *gone = *p;

                *p = gone->next;
                partial_free(gone);
        }
}

static int append(Partial *p, const void *data, size_t size_bytes, size_t max_bytes) {
        if (size_bytes > max_bytes - p->size_bytes)
                return -EPROTO;
        if (p->size_bytes + size_bytes > p->allocated_bytes) {
                size_t n = MAX(p->size_bytes + size_bytes, MIN(2 * p->allocated_bytes, max_bytes));
                uint8_t *bigger = realloc(p->data, n);

                if (!bigger)
                        return -ENOMEM;
                p->data = bigger;
                p->allocated_bytes = n;
        }
        if (size_bytes > 0)
                memcpy(p->data + p->size_bytes, data, size_bytes);
        p->size_bytes += size_bytes;
        return 0;
}

static void give(Inbox *b, Partial *whole, const void **ret_data, size_t *ret_size_bytes) {
        b->given = whole;
        *ret_data = whole->data ? whole->data : (const uint8_t *) "";
        *ret_size_bytes = whole->size_bytes;
}

int inbox_add_message(
                Inbox *b,
                const ProtoMemberId *sender,
                const void *data,
                size_t size_bytes,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes) {
        Partial **p = find(b, sender);
        int r;

        /* Most messages are one frame: no copy. */
        if (!*p && !more) {
                *ret_data = data;
                *ret_size_bytes = size_bytes;
                return 1;
        }
        if (!*p) {
                Partial *fresh = calloc(1, sizeof(*fresh));

                if (!fresh)
                        return -ENOMEM;
                fresh->sender = *sender;
                r = append(fresh, data, size_bytes, HAGCS_MESSAGE_MAX);
                if (r < 0) {
                        partial_free(fresh);
                        return r;
                }
                *p = fresh;
                return 0;
        }
        r = append(*p, data, size_bytes, HAGCS_MESSAGE_MAX);
        if (r < 0 || more)
                return r;
        {
                Partial *whole = *p;

                *p = whole->next;
                whole->next = NULL;
                give(b, whole, ret_data, ret_size_bytes);
        }
        return 1;
}

int inbox_add_snapshot(
                Inbox *b,
                const void *data,
                size_t size_bytes,
                bool first,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes) {
        int r;

        if (first)
                b->snapshot = partial_free(b->snapshot);
        if (!b->snapshot) {
                b->snapshot = calloc(1, sizeof(*b->snapshot));
                if (!b->snapshot)
                        return -ENOMEM;
        }
        r = append(b->snapshot, data, size_bytes, HAGCS_SNAPSHOT_MAX);
        if (r < 0 || more)
                return r;
        give(b, TAKE_PTR(b->snapshot), ret_data, ret_size_bytes);
        return 1;
}
