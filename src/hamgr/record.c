/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The durable part of the replicated state: two slots, written in turn, each with a checksum, so that a torn
 * write costs the newest record at most. Writing may wait for a sick disk, so a child process does it. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "basic/checksum.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define RECORD_MAGIC UINT64_C(0x3130636572616848) /* at the head of each slot */
#define RECORD_HEAD_BYTES 20U                     /* magic, length, checksum */
#define RECORD_BYTES_MAX (2U << 20)
#define N_SLOTS 2U
#define RETRY_USEC (2 * UINT64_C(1000000))

struct Record {
        sd_event *event; /* ref */
        char *folder;    /* owned */
        RecordHandler handler;
        void *userdata;

        GBytes *newest; /* owned */
        uint64_t newest_serial;
        unsigned next_slot; /* written next */

        GBytes *waiting; /* owned; to be written when the child is done */
        uint64_t waiting_serial;
        uint64_t writing_serial;
        int pidfd;              /* of the child; -EBADF: none */
        sd_event_source *child; /* owned */
        sd_event_source *retry; /* owned timer: the newest once more, after an error */
};

static const char *const SLOT_NAMES[N_SLOTS] = { "record-a", "record-b" };

/* 0 and the payload; -ENOENT; -EBADMSG: not what was written. */
static int read_slot(const char *path, GBytes **ret) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        ByteReader reader;
        uint64_t magic, length;
        uint32_t sum;
        int r;

        r = read_whole_file(path, RECORD_BYTES_MAX, &data, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (size < RECORD_HEAD_BYTES)
                return -EBADMSG;
        byte_reader_init(&reader, data, RECORD_HEAD_BYTES);
        magic = byte_reader_u64(&reader);
        length = byte_reader_u64(&reader);
        sum = byte_reader_u32(&reader);
        if (magic != RECORD_MAGIC || length != size - RECORD_HEAD_BYTES ||
            sum != crc32c(0, data + RECORD_HEAD_BYTES, length))
                return -EBADMSG;
        *ret = g_bytes_new(data + RECORD_HEAD_BYTES, length);
        return 0;
}

static void put_aside(const char *path) {
        g_autofree char *aside = g_strdup_printf("%s.damaged", path);

        if (rename(path, aside) < 0)
                log_warning_errno(errno, "cannot keep %s aside as %s: %m, ignoring", path, aside);
        log_event(LOG_ERR,
                  HAMGR_MESSAGE_STORE_DAMAGED,
                  LOG_NO_FIELDS,
                  "%s is damaged and was kept aside as %s; the configuration is taken from the other slot "
                  "or "
                  "from the other nodes",
                  path,
                  aside);
}

static void begin(Record *r, GBytes *data, uint64_t serial);

static void load(Record *r) {
        HaMid best_mid = {};
        uint64_t best_serial = 0;

        for (unsigned i = 0; i < N_SLOTS; i++) {
                g_autofree char *path = g_build_filename(r->folder, SLOT_NAMES[i], NULL);
                g_autoptr(GBytes) data = NULL;
                HaMid mid;
                uint64_t serial;
                int k;

                k = read_slot(path, &data);
                if (k == -ENOENT)
                        continue;
                if (k >= 0)
                        k = state_durable_check(
                                        g_bytes_get_data(data, NULL), g_bytes_get_size(data), &mid, &serial);
                if (k == -EBADMSG) {
                        put_aside(path);
                        continue;
                }
                if (k < 0) {
                        log_error_errno(k, "cannot read %s: %m; going on without it", path);
                        continue;
                }
                if (r->newest && (ha_mid_compare(mid, best_mid) < 0 ||
                                  (ha_mid_compare(mid, best_mid) == 0 && serial < best_serial)))
                        continue;
                g_clear_pointer(&r->newest, g_bytes_unref);
                r->newest = g_bytes_ref(data);
                best_mid = mid;
                best_serial = serial;
                r->next_slot = (i + 1) % N_SLOTS;
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Record *r = userdata;

        if (r->pidfd < 0 && r->newest)
                begin(r, r->newest, r->newest_serial);
        return 0;
}

int record_new(sd_event *event, const char *folder, RecordHandler handler, void *userdata, Record **ret) {
        _cleanup_(record_freep) Record *r = g_new0(Record, 1);
        int k;

        r->pidfd = -EBADF;
        k = make_folders(folder, 0700);
        if (k < 0)
                return log_error_errno(k, "cannot make %s: %m", folder);
        r->event = sd_event_ref(event);
        r->folder = g_strdup(folder);
        r->handler = handler;
        r->userdata = userdata;
        k = event_timer_new(event, "record-retry", on_retry, r, &r->retry);
        if (k < 0)
                return log_error_errno(k, "cannot make a timer: %m");
        load(r);
        *ret = TAKE_PTR(r);
        return 0;
}

Record *record_free(Record *r) {
        if (!r)
                return NULL;
        /* A write under way is left to end by itself: it is atomic. */
        sd_event_source_disable_unref(r->child);
        sd_event_source_disable_unref(r->retry);
        r->pidfd = safe_close(r->pidfd);
        g_clear_pointer(&r->newest, g_bytes_unref);
        g_clear_pointer(&r->waiting, g_bytes_unref);
        sd_event_unref(r->event);
        g_free(r->folder);
        g_free(r);
        return NULL;
}

GBytes *record_newest(const Record *r) {
        return r->newest;
}

static int write_slot(const char *path, GBytes *payload) {
        size_t size = g_bytes_get_size(payload);
        g_autofree uint8_t *data = g_malloc0(RECORD_HEAD_BYTES + size);
        ByteWriter writer;

        memcpy(data + RECORD_HEAD_BYTES, g_bytes_get_data(payload, NULL), size);
        byte_writer_init(&writer, data, RECORD_HEAD_BYTES);
        byte_writer_u64(&writer, RECORD_MAGIC);
        byte_writer_u64(&writer, size);
        byte_writer_u32(&writer, crc32c(0, data + RECORD_HEAD_BYTES, size));
        return write_file_atomic(path, data, RECORD_HEAD_BYTES + size, 0600, 0);
}

static int on_child(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Record *r = userdata;
        uint64_t written = r->writing_serial;
        siginfo_t info = {};
        int error = -EIO;

        if (waitid(P_PIDFD, (id_t) r->pidfd, &info, WEXITED) >= 0 && info.si_code == CLD_EXITED)
                error = -info.si_status;
        r->child = sd_event_source_disable_unref(r->child);
        r->pidfd = safe_close(r->pidfd);

        if (error >= 0)
                r->next_slot = (r->next_slot + 1) % N_SLOTS;
        if (r->waiting) {
                g_autoptr(GBytes) data = TAKE_PTR(r->waiting);

                begin(r, data, r->waiting_serial);
                if (error < 0)
                        return 0; /* the newer one will do for both */
        } else if (error < 0)
                (void) event_timer_in(r->retry, RETRY_USEC);
        r->handler(written, error, r->userdata);
        return 0;
}

static void begin(Record *r, GBytes *data, uint64_t serial) {
        g_autofree char *path = g_build_filename(r->folder, SLOT_NAMES[r->next_slot], NULL);
        pid_t pid;
        int k;

        r->writing_serial = serial;
        pid = fork();
        if (pid == 0) {
                k = write_slot(path, data);
                _exit(-k & 0xff);
        }
        if (pid < 0) {
                k = log_error_errno(errno, "cannot start a process to write %s: %m", path);
                (void) event_timer_in(r->retry, RETRY_USEC);
                r->handler(serial, k, r->userdata);
                return;
        }
        r->pidfd = (int) syscall(SYS_pidfd_open, pid, 0U);
        if (r->pidfd < 0)
                g_error("pidfd_open: %s", strerror(errno));
        k = event_pidfd_new(r->event, "record-writer", r->pidfd, on_child, r, &r->child);
        if (k < 0)
                g_error("cannot watch a child: %s", strerror(-k));
}

void record_write(Record *r, GBytes *data, uint64_t serial) {
        g_clear_pointer(&r->newest, g_bytes_unref);
        r->newest = g_bytes_ref(data);
        r->newest_serial = serial;
        if (r->pidfd >= 0) {
                g_clear_pointer(&r->waiting, g_bytes_unref);
                r->waiting = g_bytes_ref(data);
                r->waiting_serial = serial;
                return;
        }
        begin(r, data, serial);
}
