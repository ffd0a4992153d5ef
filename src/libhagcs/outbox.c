/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libhagcs/outbox.h"
#include "libhagcs/gather.h"

static void append(OutQueue *q, OutFrame *f) {
        if (q->last)
                q->last->next = f;
        else
                q->first = f;
        q->last = f;
}

static OutFrame *take(OutQueue *q) {
        OutFrame *f = q->first;

        q->first = f->next;
        if (!q->first)
                q->last = NULL;
        f->next = NULL;
        return f;
}

void out_queue_clear(OutQueue *q) {
        while (q->first)
                free(take(q));
}

void outbox_done(Outbox *o) {
        out_queue_clear(&o->control);
        out_queue_clear(&o->payload);
        out_queue_clear(&o->snapshots);
}

int out_queue_add(OutQueue *q, const ProtoFrame *f, uint8_t *scratch, size_t scratch_bytes) {
        OutFrame *out;
        ssize_t n;

        n = proto_encode(f, scratch, scratch_bytes);
        if (n < 0)
                return -EMSGSIZE;
        out = malloc(sizeof(OutFrame) + GATHER_LENGTH_BYTES + (size_t) n);
        if (!out)
                return -ENOMEM;
        *out = (OutFrame){
                .cost = proto_type_is_payload(f->type) ? (uint32_t) f->size_bytes + PROTO_PIECE_COST : 0,
                .is_message = f->type == PROTO_SEND,
                .is_last = f->type == PROTO_UNREGISTER,
                .size_bytes = GATHER_LENGTH_BYTES + (size_t) n,
        };
        memcpy(out->data + GATHER_LENGTH_BYTES, scratch, (size_t) n);
        append(q, out);
        return 0;
}

void outbox_put_payload(Outbox *o, OutQueue *q) {
        while (q->first) {
                OutFrame *f = take(q);

                if (f->is_message)
                        o->message_bytes += f->cost;
                append(&o->payload, f);
        }
}

void outbox_put_snapshot(Outbox *o, OutQueue *q) {
        while (q->first)
                append(&o->snapshots, take(q));
}

void outbox_drop_payload(Outbox *o) {
        OutQueue kept = { 0 };

        out_queue_clear(&o->snapshots);
        while (o->payload.first) {
                OutFrame *f = take(&o->payload);

                if (f->cost == 0)
                        append(&kept, f);
                else
                        free(f);
        }
        o->payload = kept;
        o->message_bytes = 0;
}

static bool may_go(const Outbox *o, const OutFrame *f, uint64_t cost) {
        if (f->is_message)
                return cost + o->kept_bytes <= o->credit;
        return cost <= o->credit && !(f->is_last && o->snapshots.first);
}

/* As many as there is credit for and go in one packet. */
static int write_some(Outbox *o, OutQueue *q, int fd) {
        OutFrame *end = q->first;
        uint64_t cost = 0;
        Gather g;
        int r;

        gather_begin(&g);
        while (end && may_go(o, end, cost + end->cost) && gather_add(&g, end->data, end->size_bytes)) {
                cost += end->cost;
                end = end->next;
        }
        r = gather_send(&g, fd);
        if (r < 0)
                return r;
        o->credit -= cost;
        while (q->first != end) {
                OutFrame *f = take(q);

                if (f->is_message)
                        o->message_bytes -= f->cost;
                free(f);
        }
        return 0;
}

static int write_queue(Outbox *o, OutQueue *q, int fd) {
        while (!o->blocked && q->first && may_go(o, q->first, q->first->cost)) {
                int r = write_some(o, q, fd);

                /* ENOBUFS: the kernel is short of memory just now. */
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
                        o->blocked = true;
                else if (r < 0)
                        return r;
        }
        return 0;
}

int outbox_write(Outbox *o, int fd) {
        int r;

        o->blocked = false;
        r = write_queue(o, &o->control, fd);
        if (r >= 0 && !o->blocked)
                r = write_queue(o, &o->snapshots, fd);
        if (r >= 0 && !o->blocked)
                r = write_queue(o, &o->payload, fd);
        return r;
}
