/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "basic/time-util.h"
#include "shared/event-util.h"

/* Names a new source and hands it over. */
static int finish(sd_event_source **source, const char *name, sd_event_source **ret) {
        int r;

        r = sd_event_source_set_description(*source, name);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(*source);
        return 0;
}

int event_timer_new(
                sd_event *event,
                const char *name,
                sd_event_time_handler_t handler,
                void *userdata,
                sd_event_source **ret) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        int r;

        /* UINT64_MAX never comes; the source is off all the same until it is armed. */
        r = sd_event_add_time(event, &s, CLOCK_BOOTTIME, USEC_INFINITY, 1, handler, userdata);
        if (r < 0)
                return r;

        r = sd_event_source_set_enabled(s, SD_EVENT_OFF);
        if (r < 0)
                return r;

        return finish(&s, name, ret);
}

int event_timer_at(sd_event_source *timer, uint64_t due_usec) {
        int r;

        if (due_usec == USEC_INFINITY)
                return event_timer_disarm(timer);

        r = sd_event_source_set_time(timer, due_usec);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

int event_timer_in(sd_event_source *timer, uint64_t delay_usec) {
        return event_timer_at(timer, usec_add(now_boottime_usec(), delay_usec));
}

int event_timer_disarm(sd_event_source *timer) {
        return sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

int event_io_new(
                sd_event *event,
                const char *name,
                int fd,
                uint32_t events,
                sd_event_io_handler_t handler,
                void *userdata,
                sd_event_source **ret) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        int r;

        r = sd_event_add_io(event, &s, fd, events, handler, userdata);
        if (r < 0)
                return r;

        return finish(&s, name, ret);
}

int event_defer_new(
                sd_event *event,
                const char *name,
                sd_event_handler_t handler,
                void *userdata,
                sd_event_source **ret) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        int r;

        r = sd_event_add_defer(event, &s, handler, userdata);
        if (r < 0)
                return r;

        r = sd_event_source_set_enabled(s, SD_EVENT_OFF);
        if (r < 0)
                return r;

        /* After what else is pending in this turn, so that it sees all of it. */
        r = sd_event_source_set_priority(s, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        return finish(&s, name, ret);
}

int event_defer_arm(sd_event_source *source) {
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int block_signal(int signal) {
        sigset_t set;

        (void) sigemptyset(&set);
        if (sigaddset(&set, signal) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        return 0;
}

int event_signal_new(
                sd_event *event,
                int signal,
                sd_event_signal_handler_t handler,
                void *userdata,
                sd_event_source **ret) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        int r;

        r = block_signal(signal);
        if (r < 0)
                return r;

        r = sd_event_add_signal(event, &s, signal, handler, userdata);
        if (r < 0)
                return r;

        return finish(&s, sigabbrev_np(signal), ret);
}

int event_exit_on_signals(sd_event *event) {
        static const int signals[] = { SIGTERM, SIGINT };

        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                int r;

                r = block_signal(signals[i]);
                if (r < 0)
                        return r;

                /* Without a handler the loop ends with userdata as its status. The source lives as long as
                 * it. */
                r = sd_event_add_signal(event, NULL, signals[i], NULL, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

int event_pidfd_new(
                sd_event *event,
                const char *name,
                int pidfd,
                sd_event_io_handler_t handler,
                void *userdata,
                sd_event_source **ret) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        int r;

        r = sd_event_add_io(event, &s, pidfd, EPOLLIN, handler, userdata);
        if (r < 0)
                return r;

        r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        if (r < 0)
                return r;

        return finish(&s, name, ret);
}
