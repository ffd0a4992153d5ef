/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "hagcd/keeping.h"
#include "keeper/page.h"
#include "shared/log.h"

/* It answers at once, or is not there. */
#define ANSWER_MSEC 100
#define ATTEMPTS 5U

struct Keeping {
        LeasePage *page;   /* owned mapping */
        int fd;            /* owned: of the page */
        int connection;    /* owned */
        char *page_path;   /* owned */
        char *new_path;    /* owned: under which it is made */
        char *socket_path; /* owned */
        bool said_missing;
};

static int join(const char *folder, const char *name, char **ret) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };

        str_buf_printf(&b, "%s/%s", folder, name);
        *ret = str_buf_take(&b);
        return *ret ? 0 : -ENOMEM;
}

/* ---- The page ---- */

static int open_file(const char *path, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        int error;

        (void) unlink(path);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        error = posix_fallocate(fd, 0, LEASE_PAGE_BYTES);
        if (error != 0)
                return -error;
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_anonymous(int *ret) {
        _cleanup_close_ int fd = memfd_create("lease", MFD_CLOEXEC);

        if (fd < 0 || ftruncate(fd, LEASE_PAGE_BYTES) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int fill_page(Keeping *k, bool acts, bool armed) {
        k->page = mmap(NULL, LEASE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, k->fd, 0);
        if (k->page == MAP_FAILED) {
                k->page = NULL;
                return -errno;
        }
        for (size_t i = 0; i < ELEMENTSOF(k->page->over_usec); i++)
                atomic_store(&k->page->over_usec[i], USEC_INFINITY);
        atomic_store(&k->page->acts, acts);
        atomic_store(&k->page->armed, armed);
        k->page->magic = LEASE_PAGE_MAGIC;
        return 0;
}

/* A file of its own for each life: the keeper may still hold the one before. A full /run is no reason to
 * fail, which would reset the node: the keeper has its page all the same. hamgr then has none, and least of
 * all that of a life before. */
static int make_page(Keeping *k, bool acts, bool armed) {
        int r, file_error = open_file(k->new_path, &k->fd);

        r = file_error < 0 ? open_anonymous(&k->fd) : 0;
        if (r >= 0)
                r = fill_page(k, acts, armed);
        if (r < 0)
                return r;
        if (file_error >= 0 && rename(k->new_path, k->page_path) < 0)
                file_error = -errno;
        if (file_error >= 0)
                return 0;
        log_error_errno(file_error,
                        "cannot make %s: %m; going on without it, but hamgr starts nothing here that needs "
                        "a lease: make room in /run, then restart hagcd",
                        k->page_path);
        (void) unlink(k->new_path);
        (void) unlink(k->page_path);
        return 0;
}

int keeping_new(const char *run_folder, bool acts, bool armed, Keeping **ret) {
        _cleanup_(keeping_freep) Keeping *k = calloc(1, sizeof(Keeping));
        int r;

        if (!k)
                return -ENOMEM;
        k->fd = k->connection = -EBADF;
        r = join(run_folder, LEASE_PAGE_NAME, &k->page_path);
        if (r >= 0)
                r = join(run_folder, LEASE_PAGE_NAME ".new", &k->new_path);
        if (r >= 0)
                r = join(run_folder, KEEPER_SOCKET_NAME, &k->socket_path);
        if (r >= 0)
                r = make_page(k, acts, armed);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

Keeping *keeping_free(Keeping *k) {
        if (!k)
                return NULL;
        if (k->page)
                (void) munmap(k->page, LEASE_PAGE_BYTES);
        (void) safe_close(k->fd);
        (void) safe_close(k->connection);
        free(k->page_path);
        free(k->new_path);
        free(k->socket_path);
        free(k);
        return NULL;
}

void keeping_publish(Keeping *k, const Cms *cms, NodeSet configured) {
        atomic_store(&k->page->until_usec, cms_lease_usec(cms));
        NODE_SET_FOREACH(id, configured)
                atomic_store(&k->page->over_usec[id - 1], cms_lease_over_usec(cms, id));
}

void keeping_armed(Keeping *k, bool armed) {
        atomic_store(&k->page->armed, armed);
}

void keeping_gasp_written(Keeping *k) {
        atomic_fetch_add(&k->page->gasps, 1);
}

void keeping_leave(Keeping *k) {
        atomic_store(&k->page->leaving, true);
}

void keeping_release(Keeping *k) {
        atomic_store(&k->page->released, true);
}

bool keeping_quorum_knows(const Membership *m, uint32_t self, NodeSet told) {
        return m && m->quorate && node_set_is_subset(node_set_without(m->members, self), told);
}

/* ---- The keeper ---- */

static int send_page(int connection, int fd) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        char byte = 0;
        struct iovec iov = { &byte, sizeof(byte) };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        return sendmsg(connection, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int await_answer(int connection) {
        struct pollfd p = { .fd = connection, .events = POLLIN };
        char answer[sizeof(KEEPER_ANSWER)];
        ssize_t n;

        if (poll(&p, 1, ANSWER_MSEC) <= 0)
                return -ETIMEDOUT;
        n = recv(connection, answer, sizeof(answer), MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        return n == (ssize_t) strlen(KEEPER_ANSWER) ? 0 : -ECONNRESET;
}

static int hand_over(Keeping *k) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (strlen(k->socket_path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, k->socket_path, strlen(k->socket_path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = send_page(fd, k->fd);
        if (r >= 0)
                r = await_answer(fd);
        if (r < 0)
                return r;
        k->connection = TAKE_FD(fd);
        return 0;
}

/* It says nothing more: whatever comes is its end. */
static bool is_connected(const Keeping *k) {
        char byte;

        return k->connection >= 0 && recv(k->connection, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void keeping_connect(Keeping *k) {
        int r = 0;

        if (is_connected(k))
                return;
        k->connection = safe_close(k->connection);
        /* The keeper, which has no time, gives up on whoever connects and does not go on at once. */
        for (unsigned i = 0; i < ATTEMPTS; i++) {
                r = hand_over(k);
                if (r != -EPIPE && r != -ECONNRESET)
                        break;
        }
        atomic_store(&k->page->kept, r >= 0);
        if (r < 0 && !k->said_missing)
                log_notice("no keeper at %s: %s; going on without, but no node takes anything over from "
                           "this one by time (R13)",
                           k->socket_path,
                           strerror(-r));
        else if (r >= 0 && k->said_missing)
                log_notice("the keeper is there: it resets this node when its lease ends");
        k->said_missing = r < 0;
}
