/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libhagcs/inbox.h"
#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "libhagcs/hagcs.h"

/* One message that is under way, in front of a snapshot: its sender, its size, and so much of it. */
#define BEGUN_HEAD_BYTES (4U + 8U + 8U + 4U)
#define BEGUN_BYTES_MAX (4U + PROTO_MEMBERS_MAX * (BEGUN_HEAD_BYTES + HAGCS_MESSAGE_MAX))

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

static int new_partial(const ProtoMemberId *sender, const void *data, size_t size_bytes, Partial **ret) {
        Partial *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->sender = *sender;
        r = append(p, data, size_bytes, HAGCS_MESSAGE_MAX);
        if (r < 0) {
                partial_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

int inbox_add_message(
                Inbox *b,
                const ProtoMemberId *sender,
                const void *data,
                size_t size_bytes,
                bool later,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes) {
        Partial **p;
        int r;

        if (!later)
                inbox_forget(b, sender); /* what it did not end */
        /* Most messages are one frame: no copy. */
        if (!later && !more) {
                *ret_data = data;
                *ret_size_bytes = size_bytes;
                return 1;
        }
        p = find(b, sender);
        if (!later)
                return new_partial(sender, data, size_bytes, p);
        if (!*p)
                return 0;
        r = append(*p, data, size_bytes, HAGCS_MESSAGE_MAX);
        if (r == -EPROTO) {
                inbox_forget(b, sender);
                return 0;
        }
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

/* ---- Snapshots ---- */

int inbox_save(const Inbox *b, void **ret, size_t *ret_size_bytes) {
        uint32_t n = 0;
        size_t size_bytes = 4;
        ByteWriter w;
        void *buf;

        for (const Partial *p = b->partials; p; p = p->next, n++)
                size_bytes += BEGUN_HEAD_BYTES + p->size_bytes;
        buf = malloc(size_bytes);
        if (!buf)
                return -ENOMEM;
        byte_writer_init(&w, buf, size_bytes);
        byte_writer_u32(&w, n);
        for (const Partial *p = b->partials; p; p = p->next) {
                byte_writer_u32(&w, p->sender.node_id);
                byte_writer_u64(&w, p->sender.incarnation);
                byte_writer_u64(&w, p->sender.number);
                byte_writer_u32(&w, (uint32_t) p->size_bytes);
                if (p->size_bytes > 0)
                        byte_writer_bytes(&w, p->data, p->size_bytes);
        }
        *ret = buf;
        *ret_size_bytes = size_bytes;
        return 0;
}

/* Takes in what is in front of the snapshot. */
static int load(Inbox *b, const Partial *whole, size_t *ret_used_bytes) {
        ByteReader reader;
        uint32_t n;

        byte_reader_init(&reader, whole->data, whole->size_bytes);
        n = byte_reader_count(&reader, PROTO_MEMBERS_MAX, BEGUN_HEAD_BYTES);
        for (uint32_t i = 0; i < n; i++) {
                ProtoMemberId sender = { .node_id = byte_reader_u32(&reader) };
                const uint8_t *data;
                uint32_t size_bytes;
                int r;

                sender.incarnation = byte_reader_u64(&reader);
                sender.number = byte_reader_u64(&reader);
                size_bytes = byte_reader_u32(&reader);
                data = byte_reader_bytes(&reader, size_bytes);
                if (reader.failed)
                        break;
                inbox_forget(b, &sender);
                r = new_partial(&sender, data, size_bytes, find(b, &sender));
                if (r < 0)
                        return r;
        }
        if (reader.failed)
                return -EPROTO;
        *ret_used_bytes = whole->size_bytes - byte_reader_left(&reader);
        return 0;
}

int inbox_add_snapshot(
                Inbox *b,
                const void *data,
                size_t size_bytes,
                bool first,
                bool more,
                const void **ret_data,
                size_t *ret_size_bytes) {
        size_t begun_bytes, before_bytes;
        int r;

        if (first)
                b->snapshot = partial_free(b->snapshot);
        if (!b->snapshot) {
                b->snapshot = calloc(1, sizeof(*b->snapshot));
                if (!b->snapshot)
                        return -ENOMEM;
        }
        before_bytes = b->snapshot->size_bytes;
        r = append(b->snapshot, data, size_bytes, BEGUN_BYTES_MAX + HAGCS_SNAPSHOT_MAX);
        if (r < 0 || more)
                return r;
        r = load(b, b->snapshot, &begun_bytes);
        if (r < 0) {
                b->snapshot->size_bytes = before_bytes; /* once more, should memory have been short */
                return r;
        }
        give(b, TAKE_PTR(b->snapshot), ret_data, ret_size_bytes);
        *ret_data = (const uint8_t *) *ret_data + begun_bytes;
        *ret_size_bytes -= begun_bytes;
        return 1;
}
