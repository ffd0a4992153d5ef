/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hagcd-keeper: resets this node when its lease ends while something may run here, or when hagcd is gone
 * (R13). It speaks with nobody but hagcd, which hands it a page; with process 1 it has a socket that it
 * never waits for. After the start it allocates nothing, and asks for nothing that could be missing when it
 * is needed.
 *
 * A start that failed would reset the node (FailureAction= of its unit), and again after the boot. So
 * whatever it lacks it says, and goes on without. */

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "hagcd/gasp.h"
#include "hagcd/realtime.h"
#include "keeper/judge.h"
#include "keeper/page.h"
#include "keeper/reset.h"
#include "shared/log.h"

#define PRIORITY 20 /* before hagcd, which has 10 */
#define STACK_BYTES (64 * 1024)

typedef struct Keeper {
        Resetter resetter;
        int listen_fd, timer_fd, signal_fd;
        bool asked; /* to end */

        int hagcd_fd;            /* its connection; it sees by it that we are there */
        int pid_fd;              /* and its process */
        bool gone;               /* that has ended */
        const LeasePage *page;   /* owned mapping; NULL: nobody has come yet */
        uint64_t inherited_usec; /* a lease of the hagcd before; 0: none that counts */
        uint32_t gasps;          /* as of the table */
        GaspTable gasp;
        char gasp_text[GASP_FILE_MAX];

        int notify_fd;
        struct sockaddr_un notify_address;
        socklen_t notify_bytes;
        uint64_t pet_interval_usec; /* 0: nobody watches */
        uint64_t pet_due_usec;
} Keeper;

/* ---- Process 1 ---- */

static void notify_say(const Keeper *k, const char *text) {
        if (k->notify_fd >= 0)
                (void) sendto(k->notify_fd,
                              text,
                              strlen(text),
                              MSG_DONTWAIT | MSG_NOSIGNAL,
                              (const struct sockaddr *) &k->notify_address,
                              k->notify_bytes);
}

static void notify_open(Keeper *k) {
        const char *path = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC");
        size_t length = path ? strlen(path) : 0;
        uint64_t usec;

        k->notify_fd = -EBADF;
        if (length < 2 || length >= sizeof(k->notify_address.sun_path))
                return;
        k->notify_address.sun_family = AF_UNIX;
        memcpy(k->notify_address.sun_path, path, length);
        if (path[0] == '@')
                k->notify_address.sun_path[0] = '\0';
        k->notify_bytes = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
        k->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (watchdog && parse_u64(watchdog, 1000, USEC_PER_HOUR, &usec) >= 0)
                k->pet_interval_usec = usec / 4;
}

static void notify_pet(Keeper *k, uint64_t now_usec) {
        if (k->pet_interval_usec == 0 || now_usec < k->pet_due_usec)
                return;
        k->pet_due_usec = now_usec + k->pet_interval_usec;
        notify_say(k, "WATCHDOG=1");
}

/* ---- What hagcd says ---- */

static KeeperView look(const Keeper *k) {
        const LeasePage *p = k->page;
        KeeperView v;

        if (!p)
                return (KeeperView){ .asked = k->asked };
        /* Armed first: what is armed has its lease written before. */
        v.armed = atomic_load(&p->armed);
        v.acts = atomic_load(&p->acts);
        v.released = atomic_load(&p->released);
        v.leaving = atomic_load(&p->leaving);
        v.gone = k->gone;
        v.until_usec = atomic_load(&p->until_usec);
        v.inherited_usec = k->inherited_usec;
        v.asked = k->asked;
        return v;
}

static void load_gasp(Keeper *k) {
        uint32_t gasps = atomic_load(&k->page->gasps);
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        if (gasps == k->gasps)
                return;
        k->gasps = gasps;
        fd = open(GASP_PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        n = fd < 0 ? -1 : read(fd, k->gasp_text, sizeof(k->gasp_text) - 1);
        k->gasp_text[MAX(n, 0)] = '\0';
        gasp_table_load(&k->gasp, k->gasp_text);
}

/* A descriptor that came with a message; -EBADF: none. Of several the first. */
static int receive_fd(int socket_fd) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        char byte;
        struct iovec iov = { &byte, sizeof(byte) };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        const struct cmsghdr *c;
        int fd;

        if (recvmsg(socket_fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
                return -EBADF;
        c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EBADF;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

/* All of it is there, so that no access faults. */
static const LeasePage *map_page(int fd) {
        struct stat st;
        const LeasePage *p;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != LEASE_PAGE_BYTES)
                return NULL;
        p = mmap(NULL, LEASE_PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (p == MAP_FAILED)
                return NULL;
        if (p->magic == LEASE_PAGE_MAGIC)
                return p;
        (void) munmap((void *) p, LEASE_PAGE_BYTES);
        return NULL;
}

static void take_over(Keeper *k, int connection, int pid_fd, const LeasePage *page) {
        KeeperView former = look(k);

        k->inherited_usec = keeper_inherited_usec(&former);
        if (k->page)
                (void) munmap((void *) k->page, LEASE_PAGE_BYTES);
        (void) safe_close(k->hagcd_fd);
        (void) safe_close(k->pid_fd);
        k->page = page;
        k->hagcd_fd = connection;
        k->pid_fd = pid_fd;
        k->gone = false;
        k->gasps = 0;
}

/* One that connected. The process that its pidfd names is the one that connected as long as the connection
 * stands, which it shows by the page that came over it. */
static int take_page(Keeper *k, int connection) {
        _cleanup_close_ int fd = -EBADF, pid_fd = -EBADF;
        struct ucred peer;
        socklen_t size = sizeof(peer);
        const LeasePage *page;

        if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (peer.uid != geteuid())
                return -EPERM;
        if (k->page && !k->gone && k->pid_fd >= 0)
                return -EBUSY;
        fd = receive_fd(connection);
        if (fd < 0)
                return -EBADMSG;
        pid_fd = (int) syscall(SYS_pidfd_open, peer.pid, 0);
        if (pid_fd < 0)
                return -errno;
        page = map_page(fd);
        if (!page)
                return -EBADMSG;
        if (send(connection, KEEPER_ANSWER, strlen(KEEPER_ANSWER), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                (void) munmap((void *) page, LEASE_PAGE_BYTES);
                return -EPIPE;
        }
        take_over(k, connection, TAKE_FD(pid_fd), page);
        return 0;
}

static void on_connection(Keeper *k) {
        _cleanup_close_ int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct pollfd p = { .fd = fd, .events = POLLIN };

        /* It sends at once; nobody else is waited for. */
        if (fd >= 0 && poll(&p, 1, 10) == 1 && take_page(k, fd) >= 0)
                (void) TAKE_FD(fd);
}

/* ---- Life ---- */

static void judge(Keeper *k, uint64_t now_usec) {
        KeeperView v = look(k);
        KeeperVerdict verdict = keeper_judge(&v, now_usec);

        if (verdict == KEEPER_WAITS)
                return;
        if (verdict == KEEPER_ENDS)
                exit(EXIT_SUCCESS);
        /* Of a lease that is over the others know. */
        if (verdict == KEEPER_RESETS_HAGCD_GONE)
                (void) gasp_table_send(&k->gasp);
        resetter_reset(&k->resetter, keeper_verdict_text(verdict));
}

/* Process 1 stops our unit when hagcd is gone; while that is there, whoever asks is mistaken. */
static void on_signal(Keeper *k) {
        struct signalfd_siginfo info;

        if (read(k->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
                k->asked = k->gone || !k->page;
}

static void set_timer(const Keeper *k, uint64_t usec) {
        struct itimerspec spec = { .it_value = { .tv_sec = (time_t) (usec / USEC_PER_SEC),
                                                 .tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) } };

        (void) timerfd_settime(k->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

_noreturn_ static void keep(Keeper *k) {
        for (;;) {
                uint64_t now_usec = now_boottime_usec(), expirations;
                KeeperView v = look(k);
                struct pollfd fds[] = {
                        { .fd = k->timer_fd, .events = POLLIN },
                        { .fd = k->gone ? -1 : k->pid_fd, .events = POLLIN },
                        { .fd = k->listen_fd, .events = POLLIN },
                        { .fd = k->signal_fd, .events = POLLIN },
                };

                judge(k, now_usec);
                notify_pet(k, now_usec);
                set_timer(k, keeper_due_usec(&v, now_usec));
                if (poll(fds, ELEMENTSOF(fds), -1) <= 0)
                        continue;
                (void) !read(k->timer_fd, &expirations, sizeof(expirations));
                if (fds[1].revents != 0) {
                        k->gone = true;
                        continue;
                }
                if (fds[3].revents != 0)
                        on_signal(k);
                if (fds[2].revents != 0)
                        on_connection(k);
                if (k->page)
                        load_gasp(k);
        }
}

static int listen_at(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        (void) unlink(path);
        (void) umask(0177);
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 8) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* A process that a signal ended has not failed, as systemd sees it, when the signal is SIGTERM, SIGHUP,
 * SIGINT or SIGPIPE; and then nothing would reset the node. So none ends us; what cannot be blocked is a
 * failure. */
static int block_signals(void) {
        sigset_t all, term;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        (void) sigemptyset(&term);
        (void) sigaddset(&term, SIGTERM);
        return signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Touched now, so that it is there and stays. */
static void grow_stack(void) {
        volatile char bytes[STACK_BYTES];

        for (size_t i = 0; i < sizeof(bytes); i += 1024)
                bytes[i] = 0;
}

static void raise_priority(void) {
        struct sched_param param = { .sched_priority = PRIORITY };

        realtime_enter();
        (void) sched_setscheduler(0, SCHED_FIFO, &param);
        grow_stack();
}

int main(int argc, char *argv[]) {
        static Keeper k = {
                .resetter = RESETTER_NONE, .hagcd_fd = -EBADF, .pid_fd = -EBADF, .notify_fd = -EBADF
        };

        /* By hand, beside the service, it could only do harm. */
        if (argc > 1 || !getenv("NOTIFY_SOCKET")) {
                fputs("hagcd-keeper is started by systemd, as hagcd-keeper.service: see hagcd(8)\n", stderr);
                return argc > 1 && (streq(argv[1], "-h") || streq(argv[1], "--help")) ? EXIT_SUCCESS
                                                                                      : EXIT_FAILURE;
        }
        log_init("hagcd-keeper");
        k.signal_fd = block_signals();
        notify_open(&k);
        k.timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        k.listen_fd = listen_at(KEEPER_SOCKET_PATH);
        if (k.listen_fd < 0)
                (void) log_error_errno(
                                k.listen_fd,
                                "cannot listen at %s: %m; hagcd goes on without a keeper, and nobody "
                                "counts on a reset of this node by time",
                                KEEPER_SOCKET_PATH);
        resetter_prepare(&k.resetter);
        raise_priority();
        notify_say(&k, "READY=1");
        keep(&k);
}
