/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sd-event as we use it. Timers are named, of CLOCK_BOOTTIME, and accurate to 1 us (accuracy 0 would mean
 * 250 ms). Nothing else in the tree calls sd_event_add_time(). */

#include <stdint.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"

/* Makes a timer, disarmed. *ret is owned by the caller: sd_event_source_disable_unref(). */
int event_timer_new(
                sd_event *event,
                const char *name,
                sd_event_time_handler_t handler,
                void *userdata,
                sd_event_source **ret);

/* Arms, or moves, the timer to a point of CLOCK_BOOTTIME; UINT64_MAX disarms. It goes off once. -ESTALE when
 * the loop has ended. */
int event_timer_at(sd_event_source *timer, uint64_t due_usec);

/* The same, counted from a clock read now. UINT64_MAX disarms. */
int event_timer_in(sd_event_source *timer, uint64_t delay_usec);

int event_timer_disarm(sd_event_source *timer);

/* Watches a descriptor, which stays the caller's. events: EPOLLIN, ... */
int event_io_new(
                sd_event *event,
                const char *name,
                int fd,
                uint32_t events,
                sd_event_io_handler_t handler,
                void *userdata,
                sd_event_source **ret);

/* Runs once at the end of a turn of the loop when armed; for coalescing. Made disarmed. */
int event_defer_new(
                sd_event *event,
                const char *name,
                sd_event_handler_t handler,
                void *userdata,
                sd_event_source **ret);

/* Arms a source of event_defer_new() for one run. */
int event_defer_arm(sd_event_source *source);

/* Blocks the signal and hands it to the handler. */
int event_signal_new(
                sd_event *event,
                int signal,
                sd_event_signal_handler_t handler,
                void *userdata,
                sd_event_source **ret);

/* SIGTERM and SIGINT end the loop with status 0, SIGPIPE is ignored. For tools and simple daemons. */
int event_exit_on_signals(sd_event *event);

/* Watches a child given by its pidfd; the handler runs when it has exited. pidfd stays the caller's. */
int event_pidfd_new(
                sd_event *event,
                const char *name,
                int pidfd,
                sd_event_io_handler_t handler,
                void *userdata,
                sd_event_source **ret);
