/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "basic/time-util.h"
#include "shared/child.h"
#include "shared/event-util.h"

/* How much of what a program wrote is repeated in an error. */
#define SHOWN_BYTES_MAX 320U

#define READ_CHUNK_BYTES 4096U
/* A program that writes without end gets its turn once per loop iteration, and no more than this. */
#define READ_ROUND_MAX 64U

/* Keeps the last max_bytes of what is added. */
typedef struct Tail {
        char *data; /* owned */
        size_t size_bytes, allocated_bytes, max_bytes;
        bool cut;
} Tail;

typedef struct Stream {
        int fd;
        sd_event_source *source; /* ref */
        Tail tail;
} Stream;

struct Child {
        pid_t pid; /* leader of its group; 0 when it has been collected */
        bool timed_out;
        uint64_t started_usec, timeout_usec;
        Stream output, errors;
        sd_event_source *exit_source, *timer; /* ref */

        ChildHandler handler;
        void *userdata;
};

static int tail_add(Tail *t, const char *data, size_t n) {
        if (t->size_bytes + n > t->max_bytes) {
                size_t drop = MIN(t->size_bytes, t->size_bytes + n - t->max_bytes + t->max_bytes / 2);

                memmove(t->data, t->data + drop, t->size_bytes - drop);
                t->size_bytes -= drop;
                t->cut = true;
        }

        if (t->size_bytes + n + 1 > t->allocated_bytes) {
                size_t want = MAX(2 * t->allocated_bytes, t->size_bytes + n + 1);
                char *p = realloc(t->data, want);

                if (!p)
                        return -ENOMEM;
                t->data = p;
                t->allocated_bytes = want;
        }

        memcpy(t->data + t->size_bytes, data, n);
        t->size_bytes += n;
        t->data[t->size_bytes] = '\0';
        return 0;
}

static void stream_close(Stream *s) {
        s->source = sd_event_source_disable_unref(s->source);
        s->fd = safe_close(s->fd);
}

static void stream_done(Stream *s) {
        stream_close(s);
        free(s->tail.data);
}

/* Takes what is there now. An end of file or an error closes the stream; what was read stays. */
static void stream_read(Stream *s) {
        char chunk[READ_CHUNK_BYTES];

        for (unsigned i = 0; s->fd >= 0 && i < READ_ROUND_MAX; i++) {
                ssize_t n = read(s->fd, chunk, sizeof chunk);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0 || tail_add(&s->tail, chunk, (size_t) n) < 0)
                        stream_close(s);
        }
}

static int on_stream(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Stream *s = userdata;

        stream_read(s);
        return 0;
}

static void child_kill(Child *c) {
        /* The leader has not been collected, so its number, and with it the group's, is still its own. */
        if (c->pid > 0)
                (void) kill(-c->pid, SIGKILL);
}

static int on_timeout(sd_event_source *source, uint64_t due_usec, void *userdata) {
        Child *c = userdata;

        c->timed_out = true;
        child_kill(c);
        return 0;
}

static void child_finish(Child *c, const siginfo_t *info) {
        ChildResult result = {
                .end = c->timed_out                  ? CHILD_TIMED_OUT
                       : info->si_code == CLD_EXITED ? CHILD_EXITED
                                                     : CHILD_SIGNALED,
                .status = info->si_status,
                .duration_usec = usec_sub(now_boottime_usec(), c->started_usec),
        };

        stream_read(&c->output);
        stream_read(&c->errors);
        stream_close(&c->output);
        stream_close(&c->errors);
        c->timer = sd_event_source_disable_unref(c->timer);
        c->exit_source = sd_event_source_disable_unref(c->exit_source);

        result.output = strempty(c->output.tail.data);
        result.errors = strempty(c->errors.tail.data);
        result.output_cut = c->output.tail.cut;
        c->handler(c, &result, c->userdata);
}

static int on_exit_of_child(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Child *c = userdata;
        siginfo_t info = { 0 };

        if (c)
                child_kill(c); /* what is left of the group */

        if (waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG) < 0 && errno == EINTR)
                return 0;

        if (!c) { /* freed before: this source was left behind only to collect it */
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                (void) sd_event_source_set_floating(source, false);
                return 0;
        }

        c->pid = 0;
        child_finish(c, &info);
        return 0;
}

static int input_open(const ChildSpec *spec) {
        _cleanup_close_ int fd = -EBADF;

        if (spec->input_bytes == 0) {
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                return fd < 0 ? -errno : TAKE_FD(fd);
        }

        fd = memfd_create("child-input", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;

        ssize_t n = write(fd, spec->input, spec->input_bytes);
        if (n < 0)
                return -errno;
        if ((size_t) n != spec->input_bytes)
                return -EIO;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int spawn(const ChildSpec *spec, const int fds[static 3], pid_t *ret_pid) {
        static const char *const environment[] = {
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
                "LC_ALL=C.UTF-8",
                NULL,
        };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        int r;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                (void) posix_spawn_file_actions_destroy(&actions);
                return -r;
        }

        for (int i = 0; i < 3 && r == 0; i++)
                r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
        if (r == 0)
                r = posix_spawnattr_setpgroup(&attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(
                                &attributes,
                                POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(ret_pid,
                                spec->argv[0],
                                &actions,
                                &attributes,
                                (char *const *) spec->argv,
                                (char *const *) environment);

        (void) posix_spawnattr_destroy(&attributes);
        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int stream_watch(Stream *s, sd_event *event, size_t max_bytes) {
        s->tail.max_bytes = max_bytes;
        return event_io_new(event, "child-stream", s->fd, EPOLLIN, on_stream, s, &s->source);
}

static int child_watch(Child *c, sd_event *event, int pidfd) {
        int r;

        r = event_pidfd_new(event, "child-exit", pidfd, on_exit_of_child, c, &c->exit_source);
        if (r < 0)
                return r;
        /* So that the source can outlive the Child. */
        r = sd_event_source_set_io_fd_own(c->exit_source, true);
        if (r < 0)
                return r;

        r = stream_watch(&c->output, event, CHILD_OUTPUT_MAX);
        if (r < 0)
                return r;
        r = stream_watch(&c->errors, event, CHILD_ERRORS_MAX);
        if (r < 0)
                return r;

        if (c->timeout_usec == USEC_INFINITY)
                return 0;
        r = event_timer_new(event, "child-timeout", on_timeout, c, &c->timer);
        if (r < 0)
                return r;
        return event_timer_at(c->timer, usec_add(c->started_usec, c->timeout_usec));
}

/* For a child that could not be watched: nobody else would collect it. */
static void kill_and_collect(pid_t pid) {
        siginfo_t info;

        (void) kill(-pid, SIGKILL);
        while (waitid(P_PID, (id_t) pid, &info, WEXITED) < 0 && errno == EINTR)
                ;
}

int child_new(sd_event *event, const ChildSpec *spec, ChildHandler handler, void *userdata, Child **ret) {
        _cleanup_(child_freep) Child *c = NULL;
        _cleanup_close_ int input = -EBADF, output = -EBADF, errors = -EBADF, pidfd = -EBADF;
        int pipe_fds[2];
        pid_t pid = 0;
        int r;

        c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->output.fd = c->errors.fd = -EBADF;
        c->handler = handler;
        c->userdata = userdata;
        c->timeout_usec = spec->timeout_usec;
        c->started_usec = now_boottime_usec();

        input = input_open(spec);
        if (input < 0)
                return input;
        if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        c->output.fd = pipe_fds[0];
        output = pipe_fds[1];
        if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        c->errors.fd = pipe_fds[0];
        errors = pipe_fds[1];

        /* Only our ends do not block; programs do not expect it of theirs. */
        if (fcntl(output, F_SETFL, 0) < 0 || fcntl(errors, F_SETFL, 0) < 0)
                return -errno;

        r = spawn(spec, (const int[]){ input, output, errors }, &pid);
        if (r < 0)
                return r;

        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
                r = -errno;
                kill_and_collect(pid);
                return r;
        }

        c->pid = pid;
        r = child_watch(c, event, pidfd);
        if (c->exit_source)
                (void) TAKE_FD(pidfd);
        if (r < 0) {
                if (!c->exit_source) {
                        c->pid = 0;
                        kill_and_collect(pid);
                }
                return r;
        }

        *ret = TAKE_PTR(c);
        return 0;
}

Child *child_free(Child *c) {
        if (!c)
                return NULL;

        child_kill(c);
        if (c->pid > 0 && c->exit_source) {
                (void) sd_event_source_set_userdata(c->exit_source, NULL);
                (void) sd_event_source_set_floating(c->exit_source, true);
                c->exit_source = sd_event_source_unref(c->exit_source);
        }

        sd_event_source_disable_unref(c->exit_source);
        sd_event_source_disable_unref(c->timer);
        stream_done(&c->output);
        stream_done(&c->errors);
        free(c);
        return NULL;
}

/* The end of the text without trailing blanks, cut at a line where that is possible; line ends become "; ".
 */
static void shown_part(const char *text, char buf[static SHOWN_BYTES_MAX]) {
        size_t n = strlen(text), m = 0;

        while (n > 0 && strchr(" \t\r\n", text[n - 1]))
                n--;

        const char *from = text;
        if (n > SHOWN_BYTES_MAX / 2) {
                from = text + n - SHOWN_BYTES_MAX / 2;
                const char *line = memchr(from, '\n', (size_t) (text + n - from));
                if (line)
                        from = line + 1;
        }

        for (const char *p = from; p < text + n && m + 3 < SHOWN_BYTES_MAX; p++) {
                if (*p == '\n') {
                        if (m > 0 && buf[m - 1] != ' ') {
                                buf[m++] = ';';
                                buf[m++] = ' ';
                        }
                } else if ((unsigned char) *p >= ' ' && (unsigned char) *p != 0x7f) {
                        if (*p != ' ' || (m > 0 && buf[m - 1] != ' '))
                                buf[m++] = *p;
                }
        }
        buf[m] = '\0';
}

char *child_result_format(const ChildResult *result, char buf[static CHILD_TEXT_MAX]) {
        char shown[SHOWN_BYTES_MAX], how[96], duration[DURATION_TEXT_MAX];

        switch (result->end) {
        case CHILD_EXITED:
                (void) snprintf(how, sizeof how, "exited with status %d", result->status);
                break;
        case CHILD_SIGNALED:
                (void) snprintf(how,
                                sizeof how,
                                "was killed by signal %d (%s)",
                                result->status,
                                strsignal(result->status));
                break;
        case CHILD_TIMED_OUT:
                (void) snprintf(how,
                                sizeof how,
                                "did not end in time and was killed after %s",
                                format_duration(result->duration_usec / USEC_PER_MSEC * USEC_PER_MSEC,
                                                duration));
                break;
        }

        shown_part(isempty(result->errors) ? result->output : result->errors, shown);
        (void) snprintf(buf, CHILD_TEXT_MAX, "%s%s%s", how, shown[0] ? ": " : "", shown);
        return buf;
}
