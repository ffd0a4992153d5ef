/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "basic/time-util.h"
#include "shared/event-util.h"

typedef struct World {
        sd_event *event;
        uint64_t came_usec;
        unsigned n_came;
        unsigned n_until_exit;
} World;

static void world_up(World *w) {
        *w = (World){ .n_until_exit = 1 };
        g_assert_cmpint(sd_event_new(&w->event), ==, 0);
}

static void world_down(World *w) {
        sd_event_unref(w->event);
}

static int came(World *w) {
        w->came_usec = now_boottime_usec();
        if (++w->n_came == w->n_until_exit)
                return sd_event_exit(w->event, 0);
        return 0;
}

static int on_time(sd_event_source *s, uint64_t due_usec, void *userdata) {
        return came(userdata);
}

static int on_turn(sd_event_source *s, void *userdata) {
        return came(userdata);
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        return came(userdata);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        g_assert_cmpuint(info->ssi_signo, ==, SIGUSR1);
        return came(userdata);
}

/* Generous upward, since the machine may be busy; what matters is the 250 ms grain of a bare sd_event timer.
 */
static void test_timer_is_on_time_and_goes_off_once(void) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *timer = NULL, *end = NULL;
        _cleanup_(world_down) World w;
        uint64_t accuracy, begin;
        const char *name;

        world_up(&w);
        w.n_until_exit = 2;
        g_assert_cmpint(event_timer_new(w.event, "wakeup", on_time, &w, &timer), ==, 0);
        g_assert_cmpint(event_timer_new(w.event, "end", on_time, &w, &end), ==, 0);
        g_assert_cmpint(sd_event_source_get_description(timer, &name), >=, 0);
        g_assert_cmpstr(name, ==, "wakeup");
        g_assert_cmpint(sd_event_source_get_time_accuracy(timer, &accuracy), >=, 0);
        g_assert_cmpuint(accuracy, ==, 1);

        begin = now_boottime_usec();
        g_assert_cmpint(event_timer_at(timer, begin + 5 * USEC_PER_MSEC), >=, 0);
        g_assert_cmpint(event_timer_in(end, 30 * USEC_PER_MSEC), >=, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.n_came, ==, 2);
        g_assert_cmpuint(w.came_usec, >=, begin + 30 * USEC_PER_MSEC);

        g_assert_cmpint(sd_event_source_get_time_accuracy(timer, &accuracy), >=, 0);
        g_assert_cmpuint(accuracy, ==, 1);
}

static void test_timer_disarmed_and_armed_again(void) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *never = NULL, *infinite = NULL,
                                                                  *end = NULL;
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(event_timer_new(w.event, "never", on_time, &w, &never), ==, 0);
        g_assert_cmpint(event_timer_new(w.event, "infinite", on_time, &w, &infinite), ==, 0);
        g_assert_cmpint(event_timer_new(w.event, "end", on_time, &w, &end), ==, 0);

        g_assert_cmpint(event_timer_in(never, 0), >=, 0);
        g_assert_cmpint(event_timer_disarm(never), >=, 0);
        g_assert_cmpint(event_timer_in(infinite, 0), >=, 0);
        g_assert_cmpint(event_timer_in(infinite, USEC_INFINITY), >=, 0);
        g_assert_cmpint(event_timer_in(end, USEC_PER_HOUR), >=, 0);
        g_assert_cmpint(event_timer_in(end, USEC_PER_MSEC), >=, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.n_came, ==, 1);

        g_assert_cmpint(event_timer_at(end, 0), ==, -ESTALE);
}

static void test_deferred_runs_once_for_many(void) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *defer = NULL;
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(event_defer_new(w.event, "flush", on_turn, &w, &defer), ==, 0);
        g_assert_cmpint(event_defer_arm(defer), >=, 0);
        g_assert_cmpint(event_defer_arm(defer), >=, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.n_came, ==, 1);
}

static void test_signal_comes_by_the_loop(void) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(event_signal_new(w.event, SIGUSR1, on_signal, &w, &s), ==, 0);
        g_assert_cmpint(kill(getpid(), SIGUSR1), ==, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.n_came, ==, 1);
}

static void test_termination_ends_the_loop(void) {
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(event_exit_on_signals(w.event), ==, 0);
        g_assert_cmpint(kill(getpid(), SIGTERM), ==, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
}

static void test_pidfd_and_io(void) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *child = NULL, *io = NULL;
        _cleanup_(world_down) World w = {};
        _cleanup_close_ int pidfd = -EBADF, in = -EBADF, out = -EBADF;
        int fds[2];
        pid_t pid;

        pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0);
        if (pidfd < 0 && errno == ENOSYS) {
                g_test_skip("Valgrind knows no pidfd_open()");
                return;
        }
        (void) safe_close(pidfd);

        world_up(&w);
        w.n_until_exit = 2;
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        in = fds[0];
        out = fds[1];

        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                _exit(write(out, "x", 1) == 1 ? 0 : 1);

        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        g_assert_cmpint(pidfd, >=, 0);
        g_assert_cmpint(event_pidfd_new(w.event, "child", pidfd, on_io, &w, &child), ==, 0);
        g_assert_cmpint(event_io_new(w.event, "pipe", in, EPOLLIN, on_io, &w, &io), ==, 0);
        g_assert_cmpint(sd_event_source_set_enabled(io, SD_EVENT_ONESHOT), >=, 0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.n_came, ==, 2);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/event-util/timer-is-on-time", test_timer_is_on_time_and_goes_off_once);
        g_test_add_func("/shared/event-util/timer-disarmed-and-armed-again",
                        test_timer_disarmed_and_armed_again);
        g_test_add_func("/shared/event-util/deferred-runs-once", test_deferred_runs_once_for_many);
        g_test_add_func("/shared/event-util/signal-comes-by-the-loop", test_signal_comes_by_the_loop);
        g_test_add_func("/shared/event-util/termination-ends-the-loop", test_termination_ends_the_loop);
        g_test_add_func("/shared/event-util/pidfd-and-io", test_pidfd_and_io);

        return g_test_run();
}
