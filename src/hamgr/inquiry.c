/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/epoll.h>

#include "basic/time-util.h"
#include "hamgr/inquiry.h"
#include "shared/event-util.h"

/* hagcd answers from its memory. */
#define ANSWER_USEC (3 * USEC_PER_SEC)

/* Anybody may ask: those who wait must not fill the room for calls. */
#define ASKERS_MAX 32U

struct Inquiry {
        Manager *manager; /* weak */
        const InquiryType *type;
        hagcs *hagcd;              /* owned; NULL: nobody asks */
        sd_event_source *io;       /* owned */
        sd_event_source *deadline; /* owned timer */
        GPtrArray *askers;         /* ApiCalls, owned until answered */
        GPtrArray *parts;          /* of the answer, the type's to fill and clear */
};

ApiCall *inquiry_take_asker(Inquiry *q) {
        return q->askers->len > 0 ? g_ptr_array_steal_index(q->askers, 0) : NULL;
}

GPtrArray *inquiry_parts(Inquiry *q) {
        return q->parts;
}

static void hang_up(Inquiry *q) {
        q->io = sd_event_source_disable_unref(q->io);
        q->hagcd = hagcs_close(q->hagcd);
        if (q->deadline)
                (void) event_timer_disarm(q->deadline);
        if (q->type->forget)
                q->type->forget(q);
}

static void refuse(Inquiry *q, const char *why) {
        ApiCall *call;

        hang_up(q);
        while ((call = inquiry_take_asker(q)))
                api_call_refuse(call, API_ERROR_NOT_READY, "%s", why);
}

static void update_io(Inquiry *q) {
        (void) sd_event_source_set_io_events(
                        q->io, EPOLLIN | (hagcs_get_events(q->hagcd) & POLLOUT ? (uint32_t) EPOLLOUT : 0));
}

/* One that does not know the question takes it for nonsense. */
static void on_disconnected(Inquiry *q, const hagcs_event *e) {
        g_autofree char *why = g_strdup_printf(
                        "hagcd ended the connection: %s; %s",
                        e->text,
                        e->error == -EPROTO
                                        ? "it is older than hamgr: restart it by \"systemctl restart hagcd\""
                                        : "see \"systemctl status hagcd\"");

        refuse(q, why);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Inquiry *q = userdata;
        const hagcs_event *e;
        int r;

        while ((r = hagcs_dispatch(q->hagcd, &e)) > 0)
                if (e->type == HAGCS_EVENT_DISCONNECTED) {
                        on_disconnected(q, e);
                        return 0;
                } else if (q->type->heard(q, q->hagcd, e)) {
                        hang_up(q);
                        return 0;
                }
        if (r < 0 && r != -ENOMEM)
                refuse(q, "hagcd's answer is not understood");
        else
                update_io(q);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        refuse(userdata, "hagcd did not answer within 3 s; see \"systemctl status hagcd\"");
        return 0;
}

static int ask(Inquiry *q) {
        int r;

        r = hagcs_open(NULL, &q->hagcd);
        if (r < 0)
                return r;
        r = event_io_new(
                        q->manager->event, q->type->name, hagcs_get_fd(q->hagcd), EPOLLIN, on_io, q, &q->io);
        if (r < 0)
                return r;
        r = q->type->ask(q->hagcd);
        if (r < 0)
                return r;
        update_io(q);
        return event_timer_in(q->deadline, ANSWER_USEC);
}

void inquiry_put(Inquiry *q, ApiCall *call) {
        if (q->askers->len >= ASKERS_MAX) {
                api_call_refuse(call,
                                API_ERROR_NOT_READY,
                                "%u callers are waiting for hagcd's answer already; try again later",
                                ASKERS_MAX);
                return;
        }
        g_ptr_array_add(q->askers, call);
        if (!q->hagcd && ask(q) < 0)
                refuse(q, "hagcd is not reachable; see \"systemctl status hagcd\"");
}

int inquiry_new(Manager *m, const InquiryType *type, Inquiry **ret) {
        Inquiry *q = *ret = g_new0(Inquiry, 1);

        *q = (Inquiry){ .manager = m, .type = type };
        q->askers = g_ptr_array_new();
        q->parts = g_ptr_array_new();
        return event_timer_new(m->event, type->name, on_deadline, q, &q->deadline);
}

Inquiry *inquiry_free(Inquiry *q) {
        if (!q)
                return NULL;
        refuse(q, "hamgr is stopping on this node");
        sd_event_source_disable_unref(q->deadline);
        g_ptr_array_unref(q->askers);
        g_ptr_array_unref(q->parts);
        g_free(q);
        return NULL;
}
