/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/reassembly.h"

static void slot_clear(ReassemblySlot *s) {
        (void) buffer_unref(s->buffer);
        *s = (ReassemblySlot){ 0 };
}

void reassembly_done(Reassembly *r) {
        FOREACH_ARRAY(s, r->slots, REASSEMBLY_SLOTS)
                slot_clear(s);
}

static ReassemblySlot *find(Reassembly *r, const PacketInside *p) {
        FOREACH_ARRAY(s, r->slots, REASSEMBLY_SLOTS)
                if (s->buffer && s->message == p->message && s->incarnation == p->incarnation &&
                    s->n_segments == p->n_segments && s->full_bytes == p->full_bytes)
                        return s;
        return NULL;
}

static ReassemblySlot *begin(Reassembly *r, const PacketInside *p) {
        ReassemblySlot *s = NULL;
        Buffer *buffer;

        buffer = buffer_new((size_t) p->n_segments * p->full_bytes);
        if (!buffer)
                return NULL;
        FOREACH_ARRAY(i, r->slots, REASSEMBLY_SLOTS)
                if (!i->buffer) {
                        s = i;
                        break;
                }
        if (!s) {
                s = &r->slots[r->next];
                r->next = (r->next + 1) % REASSEMBLY_SLOTS;
                slot_clear(s);
        }
        *s = (ReassemblySlot){
                .buffer = buffer,
                .incarnation = p->incarnation,
                .message = p->message,
                .n_segments = p->n_segments,
                .full_bytes = p->full_bytes,
        };
        return s;
}

int reassembly_add(
                Reassembly *r,
                const PacketInside *inside,
                const void *payload,
                size_t size_bytes,
                Buffer **ret) {
        ReassemblySlot *s;
        uint64_t bit = UINT64_C(1) << (inside->segment % 64);

        s = find(r, inside);
        if (!s)
                s = begin(r, inside);
        if (!s)
                return -ENOMEM;
        if (s->have[inside->segment / 64] & bit)
                return 0;

        memcpy(s->buffer->data + (size_t) inside->segment * s->full_bytes, payload, size_bytes);
        if (inside->segment + 1U == s->n_segments)
                s->buffer->size_bytes = (size_t) inside->segment * s->full_bytes + size_bytes;
        s->have[inside->segment / 64] |= bit;
        s->n_have++;
        if (s->n_have < s->n_segments)
                return 0;

        *ret = TAKE_PTR(s->buffer);
        slot_clear(s);
        return 1;
}
