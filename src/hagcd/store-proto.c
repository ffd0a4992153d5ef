/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/store-proto.h"

size_t store_frame_encode(const StoreFrame *f, uint8_t buf[static STORE_FRAME_MAX]) {
        ByteWriter w;

        byte_writer_init(&w, buf, STORE_FRAME_MAX);
        byte_writer_u8(&w, (uint8_t) f->type);
        byte_writer_u64(&w, f->number);
        byte_writer_u32(&w, (uint32_t) -f->error);
        byte_writer_blob(&w, f->data, f->size_bytes);
        assert(byte_writer_result(&w) == 0);
        return w.size_bytes;
}

int store_frame_decode(const void *data, size_t size_bytes, StoreFrame *ret) {
        StoreFrame f = { 0 };
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        f.type = (StoreFrameType) byte_reader_u8_max(&r, STORE_FRAME_STORED);
        f.number = byte_reader_u64(&r);
        f.error = -(int) byte_reader_u32_max(&r, 4095);
        f.data = byte_reader_blob(&r, STORE_PAYLOAD_MAX, &f.size_bytes);
        k = byte_reader_finish(&r);
        if (k < 0)
                return k;
        if (f.type < STORE_FRAME_READ)
                return -EBADMSG;
        *ret = f;
        return 0;
}
