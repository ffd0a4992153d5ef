/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/packet.h"
#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "basic/node-set.h"

#define PACKET_MAGIC 0x48U

void packet_header_encode(const PacketHeader *h, uint8_t buf[static PACKET_HEADER_BYTES]) {
        ByteWriter w;

        byte_writer_init(&w, buf, PACKET_HEADER_BYTES);
        byte_writer_u8(&w, PACKET_MAGIC);
        byte_writer_u8(&w, PACKET_VERSION);
        byte_writer_u8(&w, (uint8_t) h->kind);
        byte_writer_u8(&w, (uint8_t) h->class);
        byte_writer_u8(&w, (uint8_t) h->from);
        byte_writer_u8(&w, (uint8_t) h->to);
        byte_writer_u8(&w, (uint8_t) h->link);
        byte_writer_u8(&w, 0);
        byte_writer_u32(&w, h->key_id);
        assert(byte_writer_result(&w) == 0);
}

bool packet_is_of_other_version(const void *data, size_t size_bytes) {
        const uint8_t *bytes = data;

        return size_bytes >= PACKET_HEADER_BYTES && bytes[0] == PACKET_MAGIC && bytes[1] != PACKET_VERSION;
}

static uint32_t read_node(ByteReader *r) {
        uint32_t id = byte_reader_u8(r);

        if (!node_id_is_valid(id))
                byte_reader_fail(r);
        return id;
}

int packet_header_decode(const void *data, size_t size_bytes, PacketHeader *ret) {
        PacketHeader h = { 0 };
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        if (byte_reader_u8(&r) != PACKET_MAGIC || byte_reader_u8(&r) != PACKET_VERSION)
                return -EBADMSG;
        h.kind = (PacketKind) byte_reader_u8_max(&r, PACKET_NO_NODE);
        h.class = (DtlsClass) byte_reader_u8_max(&r, DTLS_CLASS_BULK);
        h.from = read_node(&r);
        h.to = read_node(&r);
        h.link = byte_reader_u8(&r);
        (void) byte_reader_u8(&r);
        h.key_id = byte_reader_u32(&r);
        k = byte_reader_result(&r);
        if (k < 0)
                return k;
        if (h.kind < PACKET_DTLS || h.from == h.to)
                return -EBADMSG;

        *ret = h;
        return 0;
}

void packet_inside_encode(const PacketInside *p, uint8_t buf[static PACKET_INSIDE_BYTES]) {
        ByteWriter w;

        byte_writer_init(&w, buf, PACKET_INSIDE_BYTES);
        byte_writer_u8(&w, (uint8_t) p->from);
        byte_writer_u8(&w, (uint8_t) p->to);
        byte_writer_u8(&w, (uint8_t) p->link);
        byte_writer_u8(&w, (uint8_t) p->class);
        byte_writer_u64(&w, p->incarnation);
        byte_writer_bytes(&w, p->gasp_hash, GASP_HASH_BYTES);
        byte_writer_u8(&w, p->links_heard);
        byte_writer_u32(&w, p->message);
        byte_writer_u16(&w, p->segment);
        byte_writer_u16(&w, p->n_segments);
        byte_writer_u16(&w, p->full_bytes);
        byte_writer_u16(&w, p->padding_bytes);
        byte_writer_u32(&w, p->echo.message);
        byte_writer_u32(&w, p->echo.held_usec);
        byte_writer_u32(&w, p->echo.came);
        assert(byte_writer_result(&w) == 0);
}

/* All segments but the last are full, so a segment's place follows from its number. What is put together is
 * never longer than a message may be. */
static bool segment_is_sound(const PacketInside *p, size_t payload_bytes) {
        if (p->full_bytes < PACKET_PAYLOAD_MIN || p->full_bytes > PACKET_PAYLOAD_MAX)
                return false;
        if (payload_bytes > PACKET_PAYLOAD_MAX)
                return false;
        if (p->n_segments == 1)
                return p->padding_bytes <= payload_bytes;
        if (p->padding_bytes > 0 || payload_bytes > p->full_bytes)
                return false;
        if ((size_t) (p->n_segments - 1) * p->full_bytes + payload_bytes > PACKET_MESSAGE_MAX)
                return false;
        return p->segment + 1 == p->n_segments || payload_bytes == p->full_bytes;
}

int packet_inside_decode(const void *data, size_t size_bytes, PacketInside *ret) {
        PacketInside p = { 0 };
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        p.from = read_node(&r);
        p.to = read_node(&r);
        p.link = byte_reader_u8(&r);
        p.class = (DtlsClass) byte_reader_u8_max(&r, DTLS_CLASS_BULK);
        p.incarnation = byte_reader_u64(&r);
        byte_reader_copy(&r, p.gasp_hash, GASP_HASH_BYTES);
        p.links_heard = byte_reader_u8(&r);
        p.message = byte_reader_u32(&r);
        p.segment = byte_reader_u16(&r);
        p.n_segments = byte_reader_u16(&r);
        p.full_bytes = byte_reader_u16(&r);
        p.padding_bytes = byte_reader_u16(&r);
        p.echo.message = byte_reader_u32(&r);
        p.echo.held_usec = byte_reader_u32(&r);
        p.echo.came = byte_reader_u32(&r);
        k = byte_reader_result(&r);
        if (k < 0)
                return k;
        if (p.n_segments == 0 || p.n_segments > PACKET_SEGMENTS_MAX || p.segment >= p.n_segments)
                return -EBADMSG;
        if (!segment_is_sound(&p, size_bytes - PACKET_INSIDE_BYTES))
                return -EBADMSG;

        *ret = p;
        return 0;
}

uint32_t packet_segments(size_t size_bytes, uint32_t full_bytes) {
        if (size_bytes > PACKET_MESSAGE_MAX)
                return 0;
        return size_bytes == 0 ? 1 : (uint32_t) ((size_bytes + full_bytes - 1) / full_bytes);
}
