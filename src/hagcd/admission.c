/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "basic/time-util.h"
#include "hagcd/admission.h"
#include "hagcd/client.h"

/* Read of one that is sent away, before it is: else the other end would hear of the rest that was lost, and
 * not why. A client says hello and no more until it is welcomed. */
#define READ_BEFORE_REFUSAL 4U

int admission_listen(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = strndup(path, slash ? (size_t) (slash - path) : 0);
        struct stat st;

        if (!folder)
                return -ENOMEM;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void) unlink(path);
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        if (stat(folder, &st) >= 0)
                (void) lchown(path, (uid_t) -1, st.st_gid);
        if (chmod(path, 0660) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

void clients_set_limits(Clients *c, const ClientLimits *limits) {
        c->limits = *limits;
}

static uint32_t connections_of(const Clients *c, uint32_t uid) {
        uint32_t n = 0;

        for (const Client *i = c->first; i; i = i->next)
                n += i->identity.uid == uid;
        return n;
}

static bool is_full(const Clients *c, uint32_t uid, char ret_why[static PROTO_TEXT_MAX]) {
        uint32_t all = uid == 0 ? c->limits.all : c->limits.all - CLIENTS_FOR_ROOT;

        if (uid != 0 && connections_of(c, uid) >= c->limits.per_user) {
                (void) snprintf(ret_why,
                                PROTO_TEXT_MAX,
                                "user %u has %u connections to hagcd, and no user may have more; root can "
                                "raise "
                                "that by the option --max-clients-per-user= of hagcd",
                                uid,
                                c->limits.per_user);
                return true;
        }
        if (c->n_clients < all)
                return false;
        (void) snprintf(ret_why,
                        PROTO_TEXT_MAX,
                        "hagcd has %u connections, and %s may have more; root can raise that by the option "
                        "--max-clients= of hagcd",
                        c->n_clients,
                        uid == 0 ? "nobody" : "only root");
        return true;
}

static void send_away(Clients *c, int fd, const char *why) {
        ProtoFrame f = { .type = PROTO_GOODBYE, .error = -EUSERS };
        ssize_t n;

        for (unsigned i = 0; i < READ_BEFORE_REFUSAL && recv(fd, c->buf, sizeof(c->buf), MSG_DONTWAIT) > 0;
             i++)
                ;
        (void) snprintf(f.text, sizeof(f.text), "%s", why);
        n = proto_encode(&f, c->out_buf, sizeof(c->out_buf));
        if (n > 0)
                (void) send(fd, c->out_buf, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) safe_close(fd);
}

bool admission_judge(Clients *c, int fd) {
        char why[PROTO_TEXT_MAX];
        struct ucred cred;
        socklen_t size = sizeof(cred);
        uint32_t n_held;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
                (void) safe_close(fd);
                return false;
        }
        if (!is_full(c, cred.uid, why))
                return true;
        send_away(c, fd, why);
        if (log_rate_pass(&c->admission_rate, now_boottime_usec(), &n_held))
                log_warning("process %d may not connect: %s (%u more were sent away before it)",
                            (int) cred.pid,
                            why,
                            n_held);
        return false;
}
