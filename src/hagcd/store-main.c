/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hagcd-store: writes and syncs hagcd's record. A process and a unit of its own, so that a disk that hangs
 * holds up neither heartbeats nor the reset of the node. It may block, and does nothing else. */

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <systemd/sd-daemon.h>

#include "basic/str-buf.h"
#include "hagcd/store-proto.h"
#include "shared/file-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define STORE_ASIDE_BYTES_MAX (1U << 20)

typedef struct Store {
        const char *path;
        int fd;
        int error; /* why it cannot be used */
        bool told; /* that it is damaged */
        StoreSlots slots;
} Store;

/* The next write goes over it, so what is there is kept for whoever wants to know what happened. */
static void tell_damage(Store *s) {
        const StoreSlots *slots = &s->slots;
        _cleanup_(str_buf_done) StrBuf aside = { 0 };
        _cleanup_free_ char *data = NULL;
        size_t n;
        int r;

        if (!slots->damaged[0] && !slots->damaged[1] && !slots->cut_short) {
                s->told = false;
                return;
        }
        if (s->told)
                return;
        s->told = true;
        str_buf_printf(&aside, "%s.damaged", s->path);
        r = str_buf_result(&aside);
        if (r >= 0)
                r = read_whole_file(s->path, STORE_ASIDE_BYTES_MAX, &data, &n);
        if (r >= 0)
                r = write_file_atomic(str_buf_text(&aside), data, n, 0600, 0);
        if (r < 0)
                (void) log_warning_errno(r, "cannot keep a copy of %s: %m, ignoring", s->path);
        log_event(LOG_ERR,
                  HAMGR_MESSAGE_STORE_DAMAGED,
                  LOG_NO_FIELDS,
                  store_slots_verdict(slots) >= 0
                                  ? "one of the two slots of %s is damaged, as by a write that a power cut "
                                    "tore; the other one is used, and a copy %s %s"
                                  : "%s is damaged, both slots or its end; this node votes again after a "
                                    "quorate membership of the others has taken it in; a copy %s %s",
                  s->path,
                  r >= 0 ? "was kept aside as" : "could not be written to",
                  str_buf_text(&aside));
}

/* False: an operator has put another file there, or none. */
static bool is_still_there(const Store *s) {
        struct stat ours, theirs;

        return fstat(s->fd, &ours) >= 0 && stat(s->path, &theirs) >= 0 && ours.st_dev == theirs.st_dev &&
               ours.st_ino == theirs.st_ino;
}

/* Opens at the first use and after each failure: the disk may come later than we do. */
static int store_open(Store *s) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (s->fd >= 0 && is_still_there(s))
                return 0;
        s->fd = safe_close(s->fd);
        fd = open(s->path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = store_slots_read(fd, &s->slots);
        if (r < 0)
                return r;
        s->fd = TAKE_FD(fd);
        tell_damage(s);
        return 0;
}

/* A node whose record was lost gets a new file when it is told what to write in it (rule R8 says when). */
static int store_create(Store *s) {
        s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (s->fd < 0)
                return -errno;
        s->slots = (StoreSlots){ 0 };
        return sync_parent_folder(s->path);
}

static void answer_read(Store *s, StoreFrame *ret) {
        int r;

        /* Whoever asks begins anew, and the file may be another one since. */
        s->fd = safe_close(s->fd);
        r = store_open(s);
        *ret = (StoreFrame){ .type = STORE_FRAME_RECORD };
        if (r < 0)
                ret->error = r;
        else
                ret->error = store_slots_verdict(&s->slots);
        if (ret->error == 0) {
                ret->data = s->slots.payload;
                ret->size_bytes = s->slots.payload_bytes;
        }
}

static void answer_write(Store *s, const StoreFrame *f, StoreFrame *ret) {
        int r;

        r = store_open(s);
        if (r == -ENOENT)
                r = store_create(s);
        if (r >= 0)
                r = store_slots_write(s->fd, &s->slots, f->data, f->size_bytes);
        if (r < 0) {
                s->fd = safe_close(s->fd);
                if (s->error != r)
                        (void) log_error_errno(r, "cannot write %s: %m", s->path);
        } else
                s->told = false;
        s->error = r < 0 ? r : 0;
        *ret = (StoreFrame){ .type = STORE_FRAME_STORED, .number = f->number, .error = s->error };
}

static void serve(Store *s, int fd) {
        for (;;) {
                uint8_t buf[STORE_FRAME_MAX], out[STORE_FRAME_MAX];
                StoreFrame f, answer;
                ssize_t n;

                n = recv(fd, buf, sizeof(buf), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return;
                if (store_frame_decode(buf, (size_t) n, &f) < 0)
                        return;
                if (f.type == STORE_FRAME_READ)
                        answer_read(s, &answer);
                else if (f.type == STORE_FRAME_WRITE)
                        answer_write(s, &f, &answer);
                else
                        return;
                if (send(fd, out, store_frame_encode(&answer, out), MSG_NOSIGNAL) < 0)
                        return;
        }
}

static bool peer_may(int fd) {
        struct ucred cred;
        socklen_t n = sizeof(cred);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) >= 0 &&
               (cred.uid == 0 || cred.uid == geteuid());
}

static int listen_at(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (sd_listen_fds(1) == 1)
                return SD_LISTEN_FDS_START;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        (void) unlink(path);
        (void) umask(0077);
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 4) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' },
                { "store", required_argument, NULL, 'f' },
                { NULL, 0, NULL, 0 },
        };
        const char *socket_path = STORE_SOCKET_PATH;
        Store store = { .path = STORE_PATH, .fd = -EBADF };
        _cleanup_close_ int fd = -EBADF;
        int c;

        log_init("hagcd-store");
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        socket_path = optarg;
                        break;
                case 'f':
                        store.path = optarg;
                        break;
                default:
                        return EXIT_FAILURE;
                }

        fd = listen_at(socket_path);
        if (fd < 0) {
                (void) log_error_errno(fd, "cannot listen at %s: %m", socket_path);
                return EXIT_FAILURE;
        }
        for (;;) {
                _cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

                if (client >= 0 && peer_may(client))
                        serve(&store, client);
                else if (client < 0 && errno != EINTR && errno != ECONNABORTED) {
                        (void) log_error_errno(errno, "cannot accept a connection: %m");
                        return EXIT_FAILURE;
                }
        }
}
