/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What hagcd and its store process read: frames of their socket, records, and the file of two slots, for
 * which the checksums are made right. */

#include <sys/mman.h>
#include <unistd.h>

#include "basic/checksum.h"
#include "basic/time-util.h"
#include "fuzz/cms-world.h"
#include "hagcd/store-proto.h"

#define SLOT_SIZE_AT 16U /* magic and sequence stand before */
#define SLOT_HEADER_BYTES 20U

typedef enum Kind {
        KIND_RECORD,
        KIND_FRAME,
        KIND_SLOTS,
        _KIND_MAX,
} Kind;

static void take_record(const uint8_t *data, size_t size) {
        uint8_t again[STORE_PAYLOAD_MAX];
        StoreRecord record;

        if (store_record_decode(data, size, &record) < 0)
                return;
        (void) store_record_encode(&record, again);
        /* One of an older version is written as one of today's. */
        if (again[0] != data[0])
                return;
        assert(store_record_encode(&record, again) == size);
        assert(memcmp(again, data, size) == 0);
}

static void take_frame(const uint8_t *data, size_t size) {
        uint8_t again[STORE_FRAME_MAX];
        StoreFrame f;

        if (store_frame_decode(data, size, &f) < 0)
                return;
        assert(store_frame_encode(&f, again) == size);
        assert(memcmp(again, data, size) == 0);
}

/* What stands behind the payload that a slot names is made its checksum. */
static void mend_slot(uint8_t *slot, size_t size) {
        uint32_t n, crc;

        if (size < SLOT_HEADER_BYTES)
                return;
        n = (uint32_t) slot[SLOT_SIZE_AT] | (uint32_t) slot[SLOT_SIZE_AT + 1] << 8;
        if (size < SLOT_HEADER_BYTES + n + sizeof(crc))
                return;
        crc = crc32c(0, slot, SLOT_HEADER_BYTES + n);
        for (unsigned i = 0; i < sizeof(crc); i++)
                slot[SLOT_HEADER_BYTES + n + i] = (uint8_t) (crc >> (8 * i));
}

static void take_slots(FuzzInput *in) {
        uint8_t file[2 * STORE_SLOT_BYTES] = { 0 };
        _cleanup_close_ int fd = memfd_create("slots", MFD_CLOEXEC);
        size_t length = 2 * STORE_SLOT_BYTES - (fuzz_u8(in) % 2 ? fuzz_u16(in) % STORE_SLOT_BYTES : 0);
        StoreSlots slots, again;
        StoreRecord record;

        for (unsigned i = 0; i < 2; i++) {
                uint8_t *slot = file + i * STORE_SLOT_BYTES;
                bool mend = fuzz_u8(in) % 4 != 0;
                size_t n;
                const uint8_t *data = fuzz_blob(in, &n);

                n = MIN(n, (size_t) STORE_SLOT_BYTES);
                if (n > 0)
                        memcpy(slot, data, n);
                if (mend)
                        mend_slot(slot, STORE_SLOT_BYTES);
        }
        assert(fd >= 0);
        assert(write(fd, file, length) == (ssize_t) length);
        assert(store_slots_read(fd, &slots) == 0);
        if (store_slots_verdict(&slots) < 0)
                return;
        (void) store_record_decode(slots.payload, slots.payload_bytes, &record);
        if (slots.sequence == UINT64_MAX)
                return;
        /* The next write is what is read then. */
        assert(store_slots_write(fd, &slots, "next", 4) == 0);
        assert(store_slots_read(fd, &again) == 0);
        assert(again.sequence == slots.sequence);
        assert(again.payload_bytes == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };

        switch ((Kind) fuzz_below(&in, _KIND_MAX)) {
        case KIND_RECORD:
                take_record(data + in.position, size - in.position);
                break;
        case KIND_FRAME:
                take_frame(data + in.position, size - in.position);
                break;
        case KIND_SLOTS:
                take_slots(&in);
                break;
        case _KIND_MAX:
                break;
        }
        return 0;
}

static void seed_slots(FuzzSeeds *s, const uint8_t *payload, size_t n) {
        _cleanup_close_ int fd = memfd_create("seed", MFD_CLOEXEC);
        uint8_t file[2 * STORE_SLOT_BYTES];
        StoreSlots slots = { 0 };
        FuzzScript script = { 0 };

        assert(ftruncate(fd, sizeof(file)) == 0);
        for (unsigned i = 0; i < 2; i++)
                assert(store_slots_write(fd, &slots, payload, n) == 0);
        assert(pread(fd, file, sizeof(file), 0) == sizeof(file));
        FUZZ_SAY(&script, KIND_SLOTS, 0);
        for (unsigned i = 0; i < 2; i++) {
                FUZZ_SAY(&script, 1);
                fuzz_say_blob(&script, file + i * STORE_SLOT_BYTES, SLOT_HEADER_BYTES + n);
        }
        fuzz_seed(s, script.data, script.size_bytes);
}

static void collect(void *userdata, const CmsRecord *cms) {
        StoreRecord record = { .cms = *cms, .gcs_history = { 3, 1 } };
        uint8_t payload[STORE_PAYLOAD_MAX], frame[STORE_FRAME_MAX];
        size_t n = store_record_encode(&record, payload);
        StoreFrame f = { .type = STORE_FRAME_WRITE, .number = 7, .data = payload, .size_bytes = n };
        FuzzScript script = { 0 };

        FUZZ_SAY(&script, KIND_RECORD);
        fuzz_say(&script, payload, n);
        fuzz_seed(userdata, script.data, script.size_bytes);

        script = (FuzzScript){ 0 };
        n = store_frame_encode(&f, frame);
        FUZZ_SAY(&script, KIND_FRAME);
        fuzz_say(&script, frame, n);
        fuzz_seed(userdata, script.data, script.size_bytes);

        seed_slots(userdata, payload, f.size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        _cleanup_(cms_world_freep) CmsWorld *w = cms_world_new(2, 1);

        w->on_record = collect;
        w->userdata = s;
        cms_world_run(w, 2 * USEC_PER_SEC);
}
