/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "libhagcs/outbox.h"

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
}

int out_queue_add(OutQueue *q, const ProtoFrame *f, uint8_t *scratch, size_t scratch_bytes) {
        OutFrame *out;
        ssize_t n;

        n = proto_encode(f, scratch, scratch_bytes);
        if (n < 0)
                return -EMSGSIZE;
        out = malloc(sizeof(OutFrame) + (size_t) n);
        if (!out)
                return -ENOMEM;
        *out = (OutFrame){
                .cost = proto_type_is_payload(f->type) ? (uint32_t) f->size_bytes + PROTO_PIECE_COST : 0,
                .is_message = f->type == PROTO_SEND,
                .size_bytes = (size_t) n,
        };
        memcpy(out->data, scratch, (size_t) n);
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

void outbox_drop_payload(Outbox *o) {
        OutQueue kept = { 0 };

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

static int write_queue(Outbox *o, OutQueue *q, int fd) {
        while (q->first && q->first->cost <= o->credit) {
                OutFrame *f = q->first;

                if (send(fd, f->data, f->size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                        if (errno == EINTR)
                                continue;
                        /* ENOBUFS: the kernel is short of memory just now. */
                        if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
                                return -errno;
                        o->blocked = true;
                        return 0;
                }
                o->credit -= f->cost;
                if (f->is_message)
                        o->message_bytes -= f->cost;
                free(take(q));
        }
        return 0;
}

int outbox_write(Outbox *o, int fd) {
        int r;

        o->blocked = false;
        r = write_queue(o, &o->control, fd);
        if (r < 0 || o->blocked)
                return r;
        return write_queue(o, &o->payload, fd);
}
