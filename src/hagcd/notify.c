/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "hagcd/notify.h"
#include "shared/event-util.h"
#include "shared/log.h"

struct Notify {
        int fd;
        struct sockaddr_un address;
        socklen_t address_bytes;
        sd_event_source *timer; /* owned */
        uint64_t interval_usec;
};

static void say(Notify *n, const char *text) {
        if (n->fd >= 0)
                (void) sendto(n->fd,
                              text,
                              strlen(text),
                              MSG_DONTWAIT | MSG_NOSIGNAL,
                              (struct sockaddr *) &n->address,
                              n->address_bytes);
}

/* That the loop turns is what the watchdog is to see, so it is petted from the loop. */
static int on_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Notify *n = userdata;

        say(n, "WATCHDOG=1");
        return event_timer_in(n->timer, n->interval_usec);
}

void notify_ready(Notify *n) {
        say(n, "READY=1\nSTATUS=Waiting for a membership");
        if (n->timer)
                (void) event_timer_in(n->timer, 0);
}

void notify_stopping(Notify *n) {
        say(n, "STOPPING=1\nSTATUS=Saying farewell");
}

/* MONOTONIC_USEC= is what Type=notify-reload of systemd 253 wants. */
void notify_reloading(Notify *n) {
        char text[64];
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        (void) snprintf(text,
                        sizeof(text),
                        "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                        (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000);
        say(n, text);
}

void notify_reloaded(Notify *n) {
        say(n, "READY=1");
}

void notify_status(Notify *n, const char *text) {
        char line[512];

        (void) snprintf(line, sizeof(line), "STATUS=%s", text);
        say(n, line);
}

void notify_membership(Notify *n, const Membership *m) {
        char text[512], mid[MID_TEXT_MAX], set[NODE_SET_TEXT_MAX];

        (void) snprintf(text,
                        sizeof(text),
                        "STATUS=Membership %s of nodes %s, %s",
                        mid_format(m->mid, mid),
                        node_set_format(m->members, set),
                        m->quorate ? "quorate"
                        : m->half  ? "exactly half: waiting until all others are confirmed down"
                                   : "no quorum: nothing is started");
        say(n, text);
}

static int open_socket(Notify *n) {
        const char *path = getenv("NOTIFY_SOCKET");
        size_t length = path ? strlen(path) : 0;

        if (length < 2 || (path[0] != '/' && path[0] != '@') || length >= sizeof(n->address.sun_path))
                return 0;
        n->address.sun_family = AF_UNIX;
        memcpy(n->address.sun_path, path, length);
        if (path[0] == '@')
                n->address.sun_path[0] = '\0';
        n->address_bytes = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return n->fd < 0 ? -errno : 0;
}

int notify_new(sd_event *event, Notify **ret) {
        _cleanup_(notify_freep) Notify *n = NULL;
        const char *watchdog = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        uint64_t usec, id;
        int r;

        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->fd = -EBADF;
        r = open_socket(n);
        if (r < 0)
                return r;
        if (watchdog && parse_u64(watchdog, 1000, USEC_PER_HOUR, &usec) >= 0 &&
            (!pid || (parse_u64(pid, 1, INT32_MAX, &id) >= 0 && (pid_t) id == getpid()))) {
                n->interval_usec = usec / 4;
                r = event_timer_new(event, "watchdog", on_timer, n, &n->timer);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(n);
        return 0;
}

Notify *notify_free(Notify *n) {
        if (!n)
                return NULL;
        (void) sd_event_source_disable_unref(n->timer);
        (void) safe_close(n->fd);
        free(n);
        return NULL;
}
