/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "hagcd/store-proto.h"
#include "hagcd/store-record.h"

typedef struct Fixture {
        char *folder;
        char *path;
        int fd;
} Fixture;

static void set_up(Fixture *f, const void *data) {
        f->folder = g_dir_make_tmp("hagcd-store-XXXXXX", NULL);
        f->path = g_build_filename(f->folder, "store", NULL);
        f->fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(f->fd, >=, 0);
}

static void tear_down(Fixture *f, const void *data) {
        GDir *d = g_dir_open(f->folder, 0, NULL);
        const char *name;

        f->fd = safe_close(f->fd);
        while ((name = g_dir_read_name(d))) {
                g_autofree char *path = g_build_filename(f->folder, name, NULL);

                g_assert_cmpint(g_unlink(path), ==, 0);
        }
        g_dir_close(d);
        g_assert_cmpint(g_rmdir(f->folder), ==, 0);
        g_free(f->folder);
        g_free(f->path);
}

static void expect(Fixture *f, uint64_t sequence, const char *text) {
        StoreSlots slots;

        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpuint(slots.sequence, ==, sequence);
        g_assert_cmpmem(slots.payload, slots.payload_bytes, text, strlen(text));
}

static void write_three(Fixture *f) {
        StoreSlots slots;

        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpuint(slots.sequence, ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, "one", 3), ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, "two", 3), ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, "three", 5), ==, 0);
}

static void test_newest(Fixture *f, const void *data) {
        write_three(f);
        expect(f, 3, "three");
}

/* The third write went to the second slot. */
static void test_torn(Fixture *f, const void *data) {
        write_three(f);
        for (off_t cut = 0; cut < 28; cut++) {
                uint8_t zero = 0, old;
                StoreSlots slots;

                g_assert_cmpint(pread(f->fd, &old, 1, STORE_SLOT_BYTES + cut), ==, 1);
                zero = (uint8_t) (old ^ 0x55);
                g_assert_cmpint(pwrite(f->fd, &zero, 1, STORE_SLOT_BYTES + cut), ==, 1);
                expect(f, 2, "two");
                g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
                g_assert_true(slots.damaged[1]);
                g_assert_false(slots.damaged[0]);
                g_assert_cmpint(pwrite(f->fd, &old, 1, STORE_SLOT_BYTES + cut), ==, 1);
        }
        g_assert_cmpint(ftruncate(f->fd, STORE_SLOT_BYTES + 10), ==, 0);
        expect(f, 2, "two");
}

static void test_goes_on_after_torn(Fixture *f, const void *data) {
        StoreSlots slots;

        write_three(f);
        g_assert_cmpint(ftruncate(f->fd, STORE_SLOT_BYTES + 10), ==, 0);
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, "again", 5), ==, 0);
        expect(f, 3, "again");
}

/* A file without its end may have lost its newest record, which only the others can make good (rule R8). */
static void test_cut_short(Fixture *f, const void *data) {
        StoreRecord record = { .cms = { .promised = { 9, 2 } } };
        uint8_t payload[STORE_PAYLOAD_MAX];
        size_t n = store_record_encode(&record, payload);
        StoreSlots slots;

        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpint(store_slots_write(f->fd, &slots, payload, n), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
        g_assert_cmpint(ftruncate(f->fd, STORE_SLOT_BYTES), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, -EBADMSG);
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, false), ==, -EBADMSG);

        /* What is written next outranks what was left. */
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpint(store_slots_verdict(&slots), ==, -EBADMSG);
        g_assert_cmpint(store_slots_write(f->fd, &slots, payload, n), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpuint(slots.sequence, ==, 3);
}

static void test_both_damaged(Fixture *f, const void *data) {
        StoreRecord record;
        uint8_t junk[2 * STORE_SLOT_BYTES];
        StoreSlots slots;

        memset(junk, 0x5a, sizeof(junk));
        g_assert_cmpint(pwrite(f->fd, junk, sizeof(junk), 0), ==, (ssize_t) sizeof(junk));
        g_assert_cmpint(store_load(f->path, &record), ==, -EBADMSG);
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, false), ==, -EBADMSG);

        /* The first write leaves nothing of it. */
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, "new", 3), ==, 0);
        expect(f, 1, "new");
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_false(slots.damaged[0]);
        g_assert_false(slots.damaged[1]);

        g_assert_cmpint(pwrite(f->fd, junk, sizeof(junk), 0), ==, (ssize_t) sizeof(junk));
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, true), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
}

static void test_init(Fixture *f, const void *data) {
        StoreRecord record;

        g_assert_cmpint(store_load(f->path, &record), ==, -ENODATA);
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, false), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
        g_assert_true(record.cms.taken_in);
        g_assert_true(mid_is_none(record.cms.promised));
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, false), ==, -EEXIST);
}

static void test_record(void) {
        StoreRecord a = {
                .cms = { .promised = { 9, 2 }, .used_epoch = 9, .installed = { 8, 1 }, .quorate = { 7, 3 }, .detached = 6, .taken_in = true },
                .gcs_history = { 7, 3 },
                .starts = { .running = true, .n_unclean = 2, .unclean_usec = { 11, 12 } },
        }, b;
        uint8_t buf[STORE_PAYLOAD_MAX];
        size_t n = store_record_encode(&a, buf);

        g_assert_cmpint(store_record_decode(buf, n, &b), ==, 0);
        g_assert_true(mid_equal(b.cms.promised, a.cms.promised));
        g_assert_true(mid_equal(b.cms.installed, a.cms.installed));
        g_assert_true(mid_equal(b.cms.quorate, a.cms.quorate));
        g_assert_cmpuint(b.cms.used_epoch, ==, 9);
        g_assert_cmpuint(b.cms.detached, ==, 6);
        g_assert_true(mid_equal(b.gcs_history, a.gcs_history));
        g_assert_cmpmem(&b.starts, sizeof(b.starts), &a.starts, sizeof(a.starts));
        for (size_t k = 0; k < n; k++)
                g_assert_cmpint(store_record_decode(buf, k, &b), ==, -EBADMSG);
}

/* Cuts bytes out of a record, as hagcd wrote it before it knew of them. */
static size_t without(uint8_t *buf, size_t size, size_t at, size_t n, uint8_t version) {
        memmove(buf + at, buf + at + n, size - at - n);
        buf[0] = version;
        return size - n;
}

/* A record that an older hagcd wrote has no configuration or no starts, and counts all the same: a node that
 * forgot what it promised would have to be taken in again (rule R8). It goes by its cluster.conf then, and
 * knows of no node that it was never in a membership (R14). */
static void test_older_records(void) {
        const size_t config_at = 4 + 53, config_bytes = 1 + 8, starts_bytes = 2;
        StoreRecord a = { .cms = { .promised = { 9, 2 }, .taken_in = true }, .gcs_history = { 7, 3 } }, b;
        uint8_t buf[STORE_PAYLOAD_MAX];
        size_t n = store_record_encode(&a, buf);

        buf[0] = 0;
        g_assert_cmpint(store_record_decode(buf, n, &b), ==, -EBADMSG);
        n = without(buf, n, config_at, config_bytes, 2);
        for (uint8_t version = 2; version > 0; version--) {
                if (version == 1)
                        n = without(buf, n, config_at, starts_bytes, 1);
                g_assert_cmpint(store_record_decode(buf, n, &b), ==, 0);
                g_assert_true(mid_equal(b.cms.promised, a.cms.promised));
                g_assert_true(b.cms.taken_in);
                g_assert_true(cms_voting_is_none(&b.cms.votings.committed));
                g_assert_cmphex(b.cms.met, ==, NODE_SET_ALL);
                g_assert_true(mid_equal(b.gcs_history, a.gcs_history));
                g_assert_false(b.starts.running);
                g_assert_cmpuint(b.starts.n_unclean, ==, 0);
                g_assert_cmpint(store_record_decode(buf, n + 1, &b), ==, -EBADMSG);
        }
}

/* It is not damaged: whoever went back to an older hagcd is told so, and keeps it until he decides. */
static void test_newer_record(Fixture *f, const void *data) {
        StoreRecord record = { .cms = CMS_RECORD_FIRST };
        uint8_t payload[STORE_PAYLOAD_MAX];
        size_t n = store_record_encode(&record, payload);
        StoreSlots slots;

        payload[0]++;
        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        g_assert_cmpint(store_slots_write(f->fd, &slots, payload, n), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, -EPROTONOSUPPORT);
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, false), ==, -EPROTONOSUPPORT);
        g_assert_cmpint(store_init(f->path, STORE_FOUNDS, true), ==, 0);
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
        for (size_t k = 0; k < 4; k++)
                g_assert_cmpint(store_record_decode(payload, k, &record), ==, -EBADMSG);
}

/* Power fails while a start is written: the ones before are known. */
static void test_torn_start(Fixture *f, const void *data) {
        StoreRecord record = { .cms = CMS_RECORD_FIRST };
        uint8_t payload[STORE_PAYLOAD_MAX], junk[16] = { 1 };
        StoreSlots slots;

        g_assert_cmpint(store_slots_read(f->fd, &slots), ==, 0);
        for (uint64_t at = 1; at <= 3; at++) {
                (void) start_log_begin(&record.starts, at, 100);
                g_assert_cmpint(store_slots_write(
                                                f->fd,
                                                &slots,
                                                payload,
                                                store_record_encode(&record, payload)),
                                ==,
                                0);
        }
        g_assert_cmpint(pwrite(f->fd, junk, sizeof(junk), STORE_SLOT_BYTES + 40), ==, sizeof(junk));
        g_assert_cmpint(store_load(f->path, &record), ==, 0);
        g_assert_true(record.starts.running);
        g_assert_cmpuint(record.starts.n_unclean, ==, 1);
        g_assert_cmpuint(record.starts.unclean_usec[0], ==, 2);
}

static void test_frame(void) {
        StoreFrame a = { .type = STORE_FRAME_WRITE,
                         .number = 77,
                         .data = (const uint8_t *) "bytes",
                         .size_bytes = 5 },
                   b;
        uint8_t buf[STORE_FRAME_MAX];
        size_t n = store_frame_encode(&a, buf);

        g_assert_cmpint(store_frame_decode(buf, n, &b), ==, 0);
        g_assert_cmpuint(b.number, ==, 77);
        g_assert_cmpmem(b.data, b.size_bytes, "bytes", 5);
        for (size_t k = 0; k < n; k++)
                g_assert_cmpint(store_frame_decode(buf, k, &b), ==, -EBADMSG);
        a = (StoreFrame){ .type = STORE_FRAME_STORED, .number = 1, .error = -EIO };
        n = store_frame_encode(&a, buf);
        g_assert_cmpint(store_frame_decode(buf, n, &b), ==, 0);
        g_assert_cmpint(b.error, ==, -EIO);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/hagcd/store/newest-slot-counts", Fixture, NULL, set_up, test_newest, tear_down);
        g_test_add("/hagcd/store/torn-write-leaves-the-one-before",
                   Fixture,
                   NULL,
                   set_up,
                   test_torn,
                   tear_down);
        g_test_add("/hagcd/store/goes-on-after-a-torn-write",
                   Fixture,
                   NULL,
                   set_up,
                   test_goes_on_after_torn,
                   tear_down);
        g_test_add("/hagcd/store/cut-short-cannot-be-used",
                   Fixture,
                   NULL,
                   set_up,
                   test_cut_short,
                   tear_down);
        g_test_add("/hagcd/store/both-damaged-is-told", Fixture, NULL, set_up, test_both_damaged, tear_down);
        g_test_add("/hagcd/store/init-never-overwrites", Fixture, NULL, set_up, test_init, tear_down);
        g_test_add_func("/hagcd/store/record-round-trip", test_record);
        g_test_add_func("/hagcd/store/older-records", test_older_records);
        g_test_add("/hagcd/store/newer-record-is-no-damage",
                   Fixture,
                   NULL,
                   set_up,
                   test_newer_record,
                   tear_down);
        g_test_add("/hagcd/store/torn-start-leaves-the-ones-before",
                   Fixture,
                   NULL,
                   set_up,
                   test_torn_start,
                   tear_down);
        g_test_add_func("/hagcd/store/frame-round-trip", test_frame);
        return g_test_run();
}
