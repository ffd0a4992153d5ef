/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection counts as up when systemd has answered Subscribe() on it: everything that is sent from then
 * on is sent after the matches are in place, so that no JobRemoved can be missed. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/drive/link.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define SUBSCRIBE_TIMEOUT_USEC (5 * USEC_PER_SEC)
/* A bus that takes connections and does not serve them: sd-bus itself gives up after 90 s. */
#define CONNECT_TIMEOUT_USEC (5 * USEC_PER_SEC)

struct LinkCall {
        Link *link;              /* weak */
        LinkCall **holder;       /* weak; NULL: nobody waits */
        sd_bus_message *message; /* ref, until it is sent */
        sd_bus_slot *slot;       /* owned, once it is sent */
        LinkReplyHandler handler;
        void *userdata;
        uint64_t timeout_usec;
};

struct Link {
        sd_event *event; /* ref */
        LinkHandlers handlers;
        void *userdata;

        sd_bus *bus; /* owned; NULL between two tries */
        bool direct;
        bool up;
        bool prefer_direct; /* the bus was refused just now */

        sd_bus_slot *slot_disconnected; /* owned, as those below */
        sd_bus_slot *slot_job_removed;
        sd_bus_slot *slot_subscribe;

        sd_event_source *retry; /* owned: to connect again */
        sd_event_source *limit; /* owned: of a connection that does not come up */
        sd_event_source *drop;  /* owned: closes a lost connection outside of its own handlers */

        GQueue waiting;   /* LinkCall, owned */
        GQueue in_flight; /* LinkCall, owned */
};

static void connect_now(Link *l);
static void send_waiting(Link *l);

/* ---- Calls ---- */

static LinkCall *call_free(LinkCall *c) {
        if (!c)
                return NULL;
        if (c->holder)
                *c->holder = NULL;
        sd_bus_slot_unref(c->slot);
        sd_bus_message_unref(c->message);
        g_free(c);
        return NULL;
}

static void drop_calls(GQueue *queue) {
        for (LinkCall *c; (c = g_queue_pop_head(queue));)
                (void) call_free(c);
}

/* Not an answer of systemd, but the word that there will be none: it has left the bus (it is being
 * re-executed), or the bus is gone or stands still. */
static bool is_lost(sd_bus_message *reply) {
        static const char *const names[] = {
                SD_BUS_ERROR_NO_REPLY,
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
        };

        FOREACH_ARRAY(name, names, ELEMENTSOF(names))
                if (sd_bus_message_is_method_error(reply, *name))
                        return true;
        return false;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        LinkCall *c = userdata;
        Link *l = c->link;
        LinkReplyHandler handler = c->handler;
        void *handler_userdata = c->userdata;

        if (is_lost(reply)) {
                (void) event_defer_arm(l->drop); /* takes this call along */
                return 0;
        }
        g_queue_remove(&l->in_flight, c);
        (void) call_free(c);
        send_waiting(l);

        if (handler)
                handler(reply, sd_bus_message_get_error(reply), handler_userdata);
        return 0;
}

/* What could not even be sent takes the connection down; the calls go with it. */
static void send_waiting(Link *l) {
        while (l->up && g_queue_get_length(&l->in_flight) < LINK_IN_FLIGHT_MAX) {
                LinkCall *c = g_queue_pop_head(&l->waiting);
                int r;

                if (!c)
                        return;
                g_queue_push_tail(&l->in_flight, c);
                r = sd_bus_call_async(l->bus, &c->slot, c->message, on_reply, c, c->timeout_usec);
                c->message = sd_bus_message_unref(c->message);
                if (r < 0) {
                        (void) event_defer_arm(l->drop);
                        return;
                }
        }
}

int link_message_new(
                Link *l, const char *path, const char *interface, const char *member, sd_bus_message **ret) {
        if (!l->up)
                return -ENOTCONN;
        return sd_bus_message_new_method_call(
                        l->bus, ret, bus_systemd_destination(l->direct), path, interface, member);
}

int link_send(Link *l,
              sd_bus_message *m,
              LinkCall **holder,
              LinkReplyHandler handler,
              void *userdata,
              uint64_t timeout_usec) {

        LinkCall *c;

        if (!l->up)
                return -ENOTCONN;

        c = g_new(LinkCall, 1);
        *c = (LinkCall){
                .link = l,
                .holder = holder,
                .message = sd_bus_message_ref(m),
                .handler = handler,
                .userdata = userdata,
                .timeout_usec = timeout_usec,
        };
        if (holder) {
                assert(!*holder);
                *holder = c;
        }
        g_queue_push_tail(&l->waiting, c);
        send_waiting(l);
        return 0;
}

int link_call(Link *l,
              LinkCall **holder,
              LinkReplyHandler handler,
              void *userdata,
              uint64_t timeout_usec,
              const char *member,
              const char *types,
              ...) {

        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = link_message_new(l, SYSTEMD_PATH, SYSTEMD_MANAGER, member, &m);
        if (r < 0)
                return r;

        va_start(ap, types);
        r = isempty(types) ? 0 : sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
                return r;

        return link_send(l, m, holder, handler, userdata, timeout_usec);
}

void link_cancel(LinkCall **holder) {
        LinkCall *c = *holder;
        Link *l;

        if (!c)
                return;
        l = c->link;
        if (!g_queue_remove(&l->waiting, c))
                (void) g_queue_remove(&l->in_flight, c);
        (void) call_free(c);
}

/* ---- Signals ---- */

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Link *l = userdata;
        const char *path, *unit, *result;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        l->handlers.on_job_removed(l, path, unit, result, l->userdata);
        return 0;
}

static int on_unit_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Link *l = userdata;
        const char *interface;

        if (sd_bus_message_read(m, "s", &interface) < 0)
                return 0;
        l->handlers.on_unit_changed(l, sd_bus_message_get_path(m), interface, m, l->userdata);
        return 0;
}

int link_watch_unit(Link *l, const char *unit_path, sd_bus_slot **ret_slot) {
        if (!l->up)
                return -ENOTCONN;
        return sd_bus_match_signal_async(
                        l->bus,
                        ret_slot,
                        bus_systemd_destination(l->direct),
                        unit_path,
                        BUS_PROPERTIES,
                        "PropertiesChanged",
                        on_unit_changed,
                        NULL,
                        l);
}

/* ---- Coming and going ---- */

static void disconnect(Link *l, const char *why) {
        bool was_up = l->up;

        l->up = false;
        (void) event_timer_disarm(l->limit);
        drop_calls(&l->waiting);
        drop_calls(&l->in_flight);
        l->slot_disconnected = sd_bus_slot_unref(l->slot_disconnected);
        l->slot_job_removed = sd_bus_slot_unref(l->slot_job_removed);
        l->slot_subscribe = sd_bus_slot_unref(l->slot_subscribe);
        l->bus = sd_bus_close_unref(l->bus);

        if (was_up)
                l->handlers.on_down(l, why, l->userdata);
}

static void drop(Link *l) {
        bool was_up = l->up;

        if (!l->bus)
                return;
        /* A bus that refuses, vanishes or stands still: the next try is direct, and so on in turn. */
        l->prefer_direct = !l->direct;
        disconnect(l,
                   l->direct ? "the direct connection to systemd is lost"
                             : "the connection to systemd over the system bus is lost");
        if (was_up)
                connect_now(l);
        else
                (void) event_timer_in(l->retry, LINK_RETRY_USEC);
}

static int on_drop(sd_event_source *s, void *userdata) {
        drop(userdata);
        return 0;
}

static int on_limit(sd_event_source *s, uint64_t due_usec, void *userdata) {
        drop(userdata);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Link *l = userdata;

        (void) event_defer_arm(l->drop);
        return 0;
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Link *l = userdata;

        l->slot_subscribe = sd_bus_slot_unref(l->slot_subscribe);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_debug("systemd does not take our subscription: %s", strna(bus_reply_error(reply)));
                (void) event_defer_arm(l->drop);
                return 0;
        }
        l->up = true;
        (void) event_timer_disarm(l->limit);
        if (l->direct)
                (void) event_timer_in(l->retry, LINK_DIRECT_USEC);
        l->handlers.on_up(l, l->direct, l->userdata);
        return 0;
}

static int set_up(Link *l) {
        int r;

        r = sd_bus_match_signal_async(
                        l->bus,
                        &l->slot_disconnected,
                        NULL,
                        NULL,
                        "org.freedesktop.DBus.Local",
                        "Disconnected",
                        on_disconnected,
                        NULL,
                        l);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(
                        l->bus,
                        &l->slot_job_removed,
                        bus_systemd_destination(l->direct),
                        SYSTEMD_PATH,
                        SYSTEMD_MANAGER,
                        "JobRemoved",
                        on_job_removed,
                        NULL,
                        l);
        if (r < 0)
                return r;
        return bus_call_systemd_async(
                        l->bus,
                        l->direct,
                        &l->slot_subscribe,
                        "Subscribe",
                        on_subscribed,
                        l,
                        SUBSCRIBE_TIMEOUT_USEC,
                        "");
}

static void connect_now(Link *l) {
        int r = -ECONNREFUSED;

        assert(!l->bus);

        if (!l->prefer_direct) {
                l->direct = false;
                r = bus_open_system(l->event, "hamgr-drive", &l->bus);
        }
        if (r < 0) {
                l->direct = true;
                r = bus_open_systemd_private(l->event, "hamgr-drive-direct", &l->bus);
        }
        l->prefer_direct = false;
        if (r >= 0)
                r = set_up(l);
        if (r >= 0)
                r = event_timer_in(l->limit, CONNECT_TIMEOUT_USEC);
        if (r < 0) {
                disconnect(l, "cannot connect");
                (void) event_timer_in(l->retry, LINK_RETRY_USEC);
        }
}

/* Not connected: try. Direct and idle: see whether the bus is back. */
static int on_retry(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Link *l = userdata;

        if (l->bus && (!l->direct || !l->up))
                return 0;
        if (l->bus && (!g_queue_is_empty(&l->in_flight) || !g_queue_is_empty(&l->waiting))) {
                (void) event_timer_in(l->retry, LINK_DIRECT_USEC);
                return 0;
        }
        if (l->bus)
                disconnect(l, "going back to the system bus");
        connect_now(l);
        return 0;
}

int link_new(sd_event *event, const LinkHandlers *handlers, void *userdata, Link **ret) {
        _cleanup_(link_freep) Link *l = NULL;
        int r;

        l = g_new(Link, 1);
        *l = (Link){
                .event = sd_event_ref(event),
                .handlers = *handlers,
                .userdata = userdata,
                .waiting = G_QUEUE_INIT,
                .in_flight = G_QUEUE_INIT,
        };

        r = event_timer_new(event, "drive-link-retry", on_retry, l, &l->retry);
        if (r < 0)
                return r;
        r = event_timer_new(event, "drive-link-limit", on_limit, l, &l->limit);
        if (r < 0)
                return r;
        r = event_defer_new(event, "drive-link-drop", on_drop, l, &l->drop);
        if (r < 0)
                return r;
        r = event_timer_in(l->retry, 0);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(l);
        return 0;
}

Link *link_free(Link *l) {
        if (!l)
                return NULL;
        drop_calls(&l->waiting);
        drop_calls(&l->in_flight);
        sd_bus_slot_unref(l->slot_disconnected);
        sd_bus_slot_unref(l->slot_job_removed);
        sd_bus_slot_unref(l->slot_subscribe);
        sd_bus_flush_close_unref(l->bus);
        sd_event_source_disable_unref(l->retry);
        sd_event_source_disable_unref(l->limit);
        sd_event_source_disable_unref(l->drop);
        sd_event_unref(l->event);
        g_free(l);
        return NULL;
}

bool link_is_up(const Link *l) {
        return l->up;
}

bool link_is_direct(const Link *l) {
        return l->direct;
}
