/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "basic/time-util.h"
#include "hagcd/store-client.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define READ_TIMEOUT_SEC 5
#define RECONNECT_USEC (100 * USEC_PER_MSEC)

struct StoreClient {
        sd_event *event; /* weak */
        const char *path;
        StoreHandler handler;
        void *userdata;

        int fd;
        sd_event_source *source; /* owned */
        sd_event_source *timer;  /* owned */
        bool lost;               /* told */

        StoreRecord record;
        bool has_record;                 /* there is one on disk, or what cms put makes one */
        uint64_t cms_number, gcs_number; /* in the record */

        uint64_t write_number; /* of the write under way */
        bool writing;
        bool dirty; /* the record is newer than the write under way */
        uint64_t written_cms_number, written_gcs_number;
};

static int connect_store(const char *path, int flags) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void tell_unusable(const char *path, int error) {
        static const char consequence[] =
                        "this node votes again after a quorate membership of the others has taken it in";

        if (error == -EPROTONOSUPPORT)
                log_error("the record that hagcd-store has at %s was written by a newer hamgr, and this one "
                          "cannot read it: %s, and then writes its own over it. To go back instead, stop "
                          "hagcd.service now and install the newer hamgr; where all nodes are to become "
                          "older, run \"hactl init --recreate-store\" on each while hagcd is stopped on all",
                          path,
                          consequence);
        else
                log_event(LOG_ERR,
                          HAMGR_MESSAGE_STORE_DAMAGED,
                          LOG_NO_FIELDS,
                          "the stored record cannot be used: %s; %s",
                          error == -EBADMSG ? "it is damaged" : strerror(-error),
                          consequence);
}

static int read_record(int fd, const char *path, StoreRecord *ret, bool *ret_valid) {
        const struct timeval timeout = { .tv_sec = READ_TIMEOUT_SEC };
        uint8_t buf[STORE_FRAME_MAX];
        StoreFrame f;
        ssize_t n;
        int r;

        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        n = (ssize_t) store_frame_encode(&(StoreFrame){ .type = STORE_FRAME_READ }, buf);
        if (send(fd, buf, (size_t) n, MSG_NOSIGNAL) < 0)
                return -errno;
        n = recv(fd, buf, sizeof(buf), 0);
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        r = store_frame_decode(buf, (size_t) n, &f);
        if (r < 0 || f.type != STORE_FRAME_RECORD)
                return -EPROTO;
        if (f.error == 0)
                f.error = store_record_decode(f.data, f.size_bytes, ret);
        if (f.error < 0 && f.error != -ENODATA && f.error != -ENOENT)
                tell_unusable(path, f.error);
        *ret_valid = f.error == 0;
        return 0;
}

static int send_record(const StoreClient *s) {
        uint8_t payload[STORE_PAYLOAD_MAX], buf[STORE_FRAME_MAX];
        size_t n;

        n = store_frame_encode(
                        &(StoreFrame){
                                        .type = STORE_FRAME_WRITE,
                                        .number = s->write_number + 1,
                                        .data = payload,
                                        .size_bytes = store_record_encode(&s->record, payload),
                        },
                        buf);
        return send(s->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void try_write(StoreClient *s) {
        if (s->writing || !s->dirty || s->fd < 0)
                return;
        /* With one frame in flight the socket has room; a failure shows as a hang-up, and is told anew then.
         */
        if (send_record(s) < 0)
                return;
        s->write_number++;
        s->writing = true;
        s->dirty = false;
        s->written_cms_number = s->cms_number;
        s->written_gcs_number = s->gcs_number;
}

static void disconnect(StoreClient *s) {
        s->source = sd_event_source_disable_unref(s->source);
        s->fd = safe_close(s->fd);
        if (s->writing) {
                s->writing = false;
                s->dirty = true;
        }
        if (!s->lost)
                log_error("lost the connection to hagcd-store, trying again; nothing can be promised until "
                          "then");
        s->lost = true;
        (void) event_timer_in(s->timer, RECONNECT_USEC);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        StoreClient *s = userdata;
        uint8_t buf[STORE_FRAME_MAX];
        uint64_t cms_number, gcs_number;
        StoreFrame f;
        ssize_t n;

        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || store_frame_decode(buf, (size_t) n, &f) < 0 || f.type != STORE_FRAME_STORED) {
                disconnect(s);
                return 0;
        }
        if (!s->writing || f.number != s->write_number)
                return 0;
        s->writing = false;
        cms_number = s->written_cms_number;
        gcs_number = s->written_gcs_number;
        try_write(s);
        s->handler(s->userdata, cms_number, gcs_number, f.error);
        return 0;
}

static int watch(StoreClient *s) {
        return event_io_new(s->event, "store", s->fd, EPOLLIN, on_readable, s, &s->source);
}

static int on_reconnect(sd_event_source *source, uint64_t due_usec, void *userdata) {
        StoreClient *s = userdata;
        int fd = connect_store(s->path, SOCK_NONBLOCK);

        if (fd < 0)
                return event_timer_in(s->timer, RECONNECT_USEC);
        s->fd = fd;
        if (watch(s) < 0) {
                disconnect(s);
                return 0;
        }
        s->lost = false;
        log_notice("hagcd-store is back");
        try_write(s);
        return 0;
}

int store_client_new(
                sd_event *event,
                const char *path,
                StoreHandler handler,
                void *userdata,
                StoreRecord *ret_record,
                bool *ret_valid,
                StoreClient **ret) {
        _cleanup_(store_client_freep) StoreClient *s = NULL;
        StoreRecord record = { 0 };
        bool valid = false;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->event = event;
        s->path = path;
        s->handler = handler;
        s->userdata = userdata;
        s->fd = connect_store(path, 0);
        if (s->fd < 0)
                return s->fd;
        r = read_record(s->fd, path, &record, &valid);
        if (r < 0)
                return r;
        s->record = record;
        s->has_record = valid;
        r = event_timer_new(event, "store", on_reconnect, s, &s->timer);
        if (r < 0)
                return r;
        r = watch(s);
        if (r < 0)
                return r;

        *ret_record = record;
        *ret_valid = valid;
        *ret = TAKE_PTR(s);
        return 0;
}

int store_client_probe(const char *path, StoreRecord *ret_record, bool *ret_valid) {
        _cleanup_close_ int fd = connect_store(path, 0);

        return fd < 0 ? fd : read_record(fd, path, ret_record, ret_valid);
}

StoreClient *store_client_free(StoreClient *s) {
        if (!s)
                return NULL;
        (void) sd_event_source_disable_unref(s->source);
        (void) sd_event_source_disable_unref(s->timer);
        (void) safe_close(s->fd);
        free(s);
        return NULL;
}

void store_client_put_cms(StoreClient *s, uint64_t number, const CmsRecord *record) {
        s->record.cms = *record;
        s->has_record = true;
        s->cms_number = number;
        s->dirty = true;
        try_write(s);
}

void store_client_put_gcs(StoreClient *s, uint64_t number, Mid history) {
        s->record.gcs_history = history;
        s->gcs_number = number;
}

void store_client_put_starts(StoreClient *s, const StartLog *starts) {
        s->record.starts = *starts;
        if (!s->has_record)
                return;
        s->dirty = true;
        try_write(s);
}

/* Past the write that may be under way: the store process takes them in order, and reads this one also when
 * we are gone. */
void store_client_end(StoreClient *s) {
        int r;

        start_log_end(&s->record.starts);
        if (!s->has_record)
                return;
        r = s->fd < 0 ? -ENOTCONN : send_record(s);
        if (r < 0)
                log_warning_errno(
                                r,
                                "cannot tell hagcd-store at %s that this end is no crash: %m, ignoring; "
                                "the next start counts as one after a crash, of which the third within "
                                "RejoinHoldSec= is held off: see \"systemctl status hagcd-store\"",
                                s->path);
}
