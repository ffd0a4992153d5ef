/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* R12: while something may run here the machine is not sent to sleep. When it wakes up, the application does
 * before anybody could stop it, and others may have taken over. logind heeds this, for those who ask it,
 * until the descriptor that it gave is closed; root can go past it, and the kernel asks nobody. */

#include <fcntl.h>

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/awake.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define RETRY_USEC USEC_PER_MINUTE

struct Awake {
        sd_event *event;        /* weak */
        sd_bus *bus;            /* owned; NULL: none yet */
        sd_bus_slot *slot;      /* owned: logind is being asked */
        sd_event_source *retry; /* owned */
        int fd;                 /* owned: it is kept awake as long as this is open */
        bool wanted;
        bool said_failure;
};

static void fail(Awake *a, const char *why) {
        if (!a->said_failure)
                log_notice("this machine may be sent to sleep while it runs groups: logind could not be "
                           "asked "
                           "to keep it awake: %s; where nobody does that, ignore this",
                           why);
        a->said_failure = true;
        a->bus = sd_bus_close_unref(a->bus);
        (void) event_timer_in(a->retry, RETRY_USEC);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Awake *a = userdata;
        const char *why = bus_reply_error(reply);
        int fd;

        a->slot = sd_bus_slot_unref(a->slot);
        if (!why && sd_bus_message_read(reply, "h", &fd) >= 0)
                a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (a->fd >= 0) {
                a->said_failure = false;
                return 0;
        }
        fail(a, why ?: "its answer makes no sense");
        return 0;
}

static void ask(Awake *a) {
        int r = 0;

        if (a->bus && sd_bus_is_open(a->bus) <= 0)
                a->bus = sd_bus_close_unref(a->bus);
        if (!a->bus)
                r = bus_open_system(a->event, "awake", &a->bus);
        if (r >= 0)
                r =
                                bus_call_async(a->bus,
                                               &a->slot,
                                               "org.freedesktop.login1",
                                               "/org/freedesktop/login1",
                                               "org.freedesktop.login1.Manager",
                                               "Inhibit",
                                               on_reply,
                                               a,
                                               BUS_CALL_TIMEOUT_USEC,
                                               "ssss",
                                               "sleep",
                                               "hamgr",
                                               "This server runs resource groups of a cluster",
                                               "block");
        if (r < 0)
                fail(a, strerror(-r));
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Awake *a = userdata;

        if (a->wanted && a->fd < 0 && !a->slot)
                ask(a);
        return 0;
}

void awake_want(Awake *a, bool wanted) {
        if (a->wanted == wanted)
                return;
        a->wanted = wanted;
        if (wanted) {
                ask(a);
                return;
        }
        (void) event_timer_disarm(a->retry);
        a->slot = sd_bus_slot_unref(a->slot);
        a->fd = safe_close(a->fd);
}

int awake_new(sd_event *event, Awake **ret) {
        _cleanup_(awake_freep) Awake *a = g_new0(Awake, 1);
        int r;

        a->event = event;
        a->fd = -EBADF;
        r = event_timer_new(event, "awake", on_retry, a, &a->retry);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Awake *awake_free(Awake *a) {
        if (!a)
                return NULL;
        sd_bus_slot_unref(a->slot);
        sd_bus_close_unref(a->bus);
        sd_event_source_disable_unref(a->retry);
        (void) safe_close(a->fd);
        g_free(a);
        return NULL;
}
