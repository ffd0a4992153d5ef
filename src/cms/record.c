/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms.h"

/* The shell wraps this with its own version, sequence and checksum, beside the part of GCS. */

static void write_mid(ByteWriter *w, Mid m) {
        byte_writer_u64(w, m.epoch);
        byte_writer_u32(w, m.node);
}

static Mid read_mid(ByteReader *r) {
        Mid m = { .epoch = byte_reader_u64(r) };

        m.node = byte_reader_u32_max(r, NODE_ID_MAX);
        if ((m.epoch == 0) != (m.node == 0) || m.epoch > MID_EPOCH_MAX)
                byte_reader_fail(r);
        return m;
}

static void read_former(ByteReader *r, CmsRecord *ret) {
        *ret = (CmsRecord){ 0 };
        ret->promised = read_mid(r);
        ret->used_epoch = byte_reader_u64(r);
        ret->installed = read_mid(r);
        ret->quorate = read_mid(r);
        ret->detached = byte_reader_u64(r);
        ret->taken_in = byte_reader_bool(r);
}

void cms_record_encode(const CmsRecord *record, ByteWriter *w) {
        write_mid(w, record->promised);
        byte_writer_u64(w, record->used_epoch);
        write_mid(w, record->installed);
        write_mid(w, record->quorate);
        byte_writer_u64(w, record->detached);
        byte_writer_bool(w, record->taken_in);
        cms_votings_encode(&record->votings, w);
        byte_writer_u64(w, record->met);
}

void cms_record_decode(ByteReader *r, CmsRecord *ret) {
        read_former(r, ret);
        cms_votings_decode(r, &ret->votings);
        ret->met = byte_reader_u64(r);
}

/* Whom that node met is not known: anybody. */
void cms_record_decode_former(ByteReader *r, CmsRecord *ret) {
        read_former(r, ret);
        ret->met = NODE_SET_ALL;
}
