/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/checksum.h"
#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "hagcd/store-record.h"
#include "shared/file-util.h"

#define SLOT_MAGIC UINT64_C(0x31746f6c73676168) /* "hagslot1" */
#define SLOT_HEADER_BYTES 20U /* magic, sequence, payload size; then the payload and a CRC */
#define RECORD_VERSION 3U
#define RECORD_VERSION_WITHOUT_CONFIG 2U
#define RECORD_VERSION_WITHOUT_STARTS 1U

size_t store_record_encode(const StoreRecord *record, uint8_t buf[static STORE_PAYLOAD_MAX]) {
        ByteWriter w;

        byte_writer_init(&w, buf, STORE_PAYLOAD_MAX);
        byte_writer_u32(&w, RECORD_VERSION);
        cms_record_encode(&record->cms, &w);
        start_log_encode(&record->starts, &w);
        byte_writer_u64(&w, record->gcs_history.epoch);
        byte_writer_u32(&w, record->gcs_history.node);
        assert(byte_writer_result(&w) == 0);
        return w.size_bytes;
}

int store_record_decode(const void *data, size_t size_bytes, StoreRecord *ret) {
        StoreRecord record = { 0 };
        uint32_t version;
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        version = byte_reader_u32(&r);
        if (version > RECORD_VERSION)
                return -EPROTONOSUPPORT;
        if (version < RECORD_VERSION_WITHOUT_STARTS)
                return -EBADMSG;
        if (version <= RECORD_VERSION_WITHOUT_CONFIG)
                cms_record_decode_former(&r, &record.cms);
        else
                cms_record_decode(&r, &record.cms);
        if (version != RECORD_VERSION_WITHOUT_STARTS)
                start_log_decode(&r, &record.starts);
        record.gcs_history.epoch = byte_reader_u64(&r);
        record.gcs_history.node = byte_reader_u32(&r);
        k = byte_reader_finish(&r);
        if (k < 0)
                return k;
        *ret = record;
        return 0;
}

/* The payload in place, or NULL: no valid slot. */
static const uint8_t *
slot_decode(const uint8_t slot[static STORE_SLOT_BYTES], uint64_t *ret_sequence, size_t *ret_payload_bytes) {
        const uint8_t *payload;
        uint64_t magic, sequence;
        uint32_t size, crc;
        ByteReader r;

        byte_reader_init(&r, slot, STORE_SLOT_BYTES);
        magic = byte_reader_u64(&r);
        sequence = byte_reader_u64(&r);
        size = byte_reader_u32_max(&r, STORE_PAYLOAD_MAX);
        payload = byte_reader_bytes(&r, size);
        crc = byte_reader_u32(&r);
        if (byte_reader_result(&r) < 0 || magic != SLOT_MAGIC || sequence == 0 ||
            crc != crc32c(0, slot, SLOT_HEADER_BYTES + size))
                return NULL;
        *ret_sequence = sequence;
        *ret_payload_bytes = size;
        return payload;
}

static bool is_empty(const uint8_t slot[static STORE_SLOT_BYTES]) {
        for (size_t i = 0; i < STORE_SLOT_BYTES; i++)
                if (slot[i] != 0)
                        return false;
        return true;
}

static int read_slot(int fd, unsigned i, uint8_t slot[static STORE_SLOT_BYTES]) {
        size_t n = 0;

        memset(slot, 0, STORE_SLOT_BYTES);
        while (n < STORE_SLOT_BYTES) {
                ssize_t k = pread(fd, slot + n, STORE_SLOT_BYTES - n, (off_t) (i * STORE_SLOT_BYTES + n));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }
        return 0;
}

int store_slots_read(int fd, StoreSlots *ret) {
        uint8_t slot[STORE_SLOT_BYTES];
        StoreSlots slots = { 0 };
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        slots.cut_short = st.st_size > 0 && st.st_size < (off_t) (2 * STORE_SLOT_BYTES);

        for (unsigned i = 0; i < 2; i++) {
                const uint8_t *payload;
                uint64_t sequence;
                size_t n;
                int r;

                r = read_slot(fd, i, slot);
                if (r < 0)
                        return r;
                payload = slot_decode(slot, &sequence, &n);
                if (!payload) {
                        slots.damaged[i] = !is_empty(slot);
                        continue;
                }
                if (sequence <= slots.sequence)
                        continue;
                slots.sequence = sequence;
                slots.payload_bytes = n;
                memcpy(slots.payload, payload, n);
        }
        *ret = slots;
        return 0;
}

int store_slots_verdict(const StoreSlots *slots) {
        if (slots->cut_short)
                return -EBADMSG;
        if (slots->sequence == 0)
                return slots->damaged[0] || slots->damaged[1] ? -EBADMSG : -ENODATA;
        return 0;
}

static int write_slot(int fd, unsigned i, const uint8_t slot[static STORE_SLOT_BYTES]) {
        size_t n = 0;

        while (n < STORE_SLOT_BYTES) {
                ssize_t k = pwrite(fd, slot + n, STORE_SLOT_BYTES - n, (off_t) (i * STORE_SLOT_BYTES + n));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                n += (size_t) k;
        }
        return fdatasync(fd) < 0 ? -errno : 0;
}

int store_slots_write(int fd, StoreSlots *slots, const void *payload, size_t payload_bytes) {
        uint64_t sequence = slots->sequence + 1;
        uint8_t slot[STORE_SLOT_BYTES] = { 0 };
        ByteWriter w;
        int r;

        if (payload_bytes > STORE_PAYLOAD_MAX)
                return -EMSGSIZE;
        byte_writer_init(&w, slot, sizeof(slot));
        byte_writer_u64(&w, SLOT_MAGIC);
        byte_writer_u64(&w, sequence);
        byte_writer_u32(&w, (uint32_t) payload_bytes);
        byte_writer_bytes(&w, payload, payload_bytes);
        byte_writer_u32(&w, crc32c(0, slot, w.size_bytes));
        assert(byte_writer_result(&w) == 0);

        r = write_slot(fd, sequence % 2, slot);
        if (r < 0)
                return r;
        /* Where none was valid, nothing damaged is left to be told again. */
        if (slots->damaged[1 - sequence % 2]) {
                memset(slot, 0, sizeof(slot));
                r = write_slot(fd, 1 - sequence % 2, slot);
                if (r < 0)
                        return r;
        }

        slots->sequence = sequence;
        slots->damaged[0] = slots->damaged[1] = false;
        slots->cut_short = false;
        slots->payload_bytes = payload_bytes;
        memcpy(slots->payload, payload, payload_bytes);
        return 0;
}

int store_load(const char *path, StoreRecord *ret) {
        _cleanup_close_ int fd = -EBADF;
        StoreSlots slots = { 0 };
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = store_slots_read(fd, &slots);
        if (r < 0)
                return r;
        r = store_slots_verdict(&slots);
        if (r < 0)
                return r;
        return store_record_decode(slots.payload, slots.payload_bytes, ret);
}

static int move_aside(const char *path) {
        _cleanup_(str_buf_done) StrBuf aside = { 0 };

        str_buf_printf(&aside,
                       "%s.old-%llu",
                       path,
                       (unsigned long long) (now_realtime_usec() / USEC_PER_SEC));
        if (str_buf_result(&aside) < 0)
                return -ENOMEM;
        return rename(path, str_buf_text(&aside)) < 0 && errno != ENOENT ? -errno : 0;
}

int store_init(const char *path, StoreBirth birth, bool recreate) {
        _cleanup_close_ int fd = -EBADF;
        StoreRecord record = { .cms = CMS_RECORD_FIRST };
        uint8_t payload[STORE_PAYLOAD_MAX];
        StoreSlots slots = { 0 };
        int r;

        /* Written by an operator's act, so it is as good as one that a membership wrote (rule R8): where
         * there is none yet. */
        record.cms.taken_in = birth == STORE_FOUNDS;
        if (!recreate) {
                r = store_load(path, &(StoreRecord){ 0 });
                if (r >= 0)
                        return -EEXIST;
                if (r != -ENOENT && r != -ENODATA)
                        return r;
        } else {
                r = move_aside(path);
                if (r < 0)
                        return r;
        }
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t) (2 * STORE_SLOT_BYTES)) < 0)
                return -errno;
        r = store_slots_write(fd, &slots, payload, store_record_encode(&record, payload));
        if (r < 0)
                return r;
        if (fsync(fd) < 0)
                return -errno;
        return sync_parent_folder(path);
}
