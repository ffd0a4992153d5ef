/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "basic/time-util.h"
#include "resource-agents/mount/disk-probe.h"
#include "shared/event-util.h"

#define BLOCK_BYTES 4096U
#define KILL_WAIT_MSEC 200

struct DiskProbe {
        pid_t pid;
        int socket_fd; /* owned: a byte asks, an int answers with an errno */
        bool waiting;
        uint64_t interval_usec, timeout_usec;

        DiskVerdictHandler handler;
        void *userdata;

        sd_event_source *answer, *timer; /* ref */
};

/* ---- The child ---- */

static int ask_disk(const char *where, int device_fd, void *block) {
        struct statx x;

        /* A file system that shut itself down (xfs) says so here. */
        if (statx(AT_FDCWD, where, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x) < 0)
                return errno;
        if (device_fd >= 0 && pread(device_fd, block, BLOCK_BYTES, 0) < 0)
                return errno;
        return 0;
}

static _noreturn_ void child_run(const char *where, const char *device, int socket_fd, pid_t parent) {
        int device_fd = -EBADF;
        void *block;
        char question;

        (void) prctl(PR_SET_NAME, "ha-mount-probe");
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || posix_memalign(&block, BLOCK_BYTES, BLOCK_BYTES) != 0)
                _exit(1);
        if (device)
                device_fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);

        while (recv(socket_fd, &question, 1, 0) == 1) {
                int answer = ask_disk(where, device_fd, block);

                if (send(socket_fd, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
                        break;
        }
        _exit(0);
}

/* ---- The parent ---- */

static int on_answer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        DiskProbe *p = userdata;
        int error = 0;
        ssize_t n = recv(fd, &error, sizeof error, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n != sizeof error) {
                p->answer = sd_event_source_disable_unref(p->answer);
                (void) event_timer_disarm(p->timer);
                p->handler(DISK_PROBE_BROKEN, 0, p->userdata);
                return 0;
        }
        p->waiting = false;
        (void) event_timer_in(p->timer, p->interval_usec);
        p->handler(error == 0 ? DISK_ANSWERS : DISK_FAILS, error, p->userdata);
        return 0;
}

/* Time to ask, or the end of the time for an answer. */
static int on_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        DiskProbe *p = userdata;

        if (p->waiting) {
                p->handler(DISK_HANGS, 0, p->userdata);
                return 0;
        }
        p->waiting = true;
        (void) send(p->socket_fd, "?", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        return event_timer_in(p->timer, p->timeout_usec);
}

int disk_probe_new(
                sd_event *event,
                const char *where,
                const char *device,
                uint64_t interval_usec,
                uint64_t timeout_usec,
                DiskVerdictHandler handler,
                void *userdata,
                DiskProbe **ret) {
        _cleanup_(disk_probe_freep) DiskProbe *p = calloc(1, sizeof *p);
        pid_t self = getpid();
        int fds[2], r;

        if (!p)
                return -ENOMEM;
        p->socket_fd = -EBADF;
        p->interval_usec = interval_usec;
        p->timeout_usec = timeout_usec;
        p->handler = handler;
        p->userdata = userdata;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        p->socket_fd = fds[0];
        p->pid = fork();
        if (p->pid == 0) {
                (void) close(fds[0]);
                child_run(where, device, fds[1], self);
        }
        (void) close(fds[1]);
        if (p->pid < 0) {
                p->pid = 0;
                return -errno;
        }

        r = event_io_new(event, "disk-answer", p->socket_fd, EPOLLIN, on_answer, p, &p->answer);
        if (r < 0)
                return r;
        r = event_timer_new(event, "disk-ask", on_timer, p, &p->timer);
        if (r < 0)
                return r;
        r = event_timer_in(p->timer, p->interval_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

DiskProbe *disk_probe_free(DiskProbe *p) {
        if (!p)
                return NULL;

        sd_event_source_disable_unref(p->answer);
        sd_event_source_disable_unref(p->timer);
        (void) safe_close(p->socket_fd);
        if (p->pid > 0) {
                _cleanup_close_ int pidfd = pidfd_open(p->pid, 0);
                struct pollfd wait = { .fd = pidfd, .events = POLLIN };

                (void) kill(p->pid, SIGKILL);
                if (pidfd >= 0 && poll(&wait, 1, KILL_WAIT_MSEC) == 1)
                        (void) waitpid(p->pid, NULL, 0);
        }
        free(p);
        return NULL;
}

pid_t disk_probe_pid(const DiskProbe *p) {
        return p->pid;
}
