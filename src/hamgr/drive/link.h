/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to systemd: over the system bus, or directly to process 1 while there is no bus. It is made
 * again by itself. Calls wait in a queue of their own, so that systemd never holds more than
 * LINK_IN_FLIGHT_MAX of ours. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"

#define LINK_IN_FLIGHT_MAX 32U
#define LINK_RETRY_USEC (100 * UINT64_C(1000))
#define LINK_DIRECT_USEC                                                                                    \
        (5 * UINT64_C(1000000)) /* this long direct, then the bus is tried again when idle */

#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define BUS_PROPERTIES "org.freedesktop.DBus.Properties"

typedef struct Link Link;
typedef struct LinkCall LinkCall;

/* The reply, or the error. Not called for what is cancelled, nor for what a lost connection took with it:
 * on_down says that. */
typedef void (*LinkReplyHandler)(sd_bus_message *reply, const sd_bus_error *error, void *userdata);

typedef struct LinkHandlers {
        void (*on_up)(Link *l, bool direct, void *userdata);
        void (*on_down)(Link *l, const char *why, void *userdata);
        void (*on_job_removed)(
                        Link *l, const char *job_path, const char *unit, const char *result, void *userdata);
        /* interface and properties of a unit, read up to the array of changes */
        void (*on_unit_changed)(
                        Link *l,
                        const char *unit_path,
                        const char *interface,
                        sd_bus_message *m,
                        void *userdata);
} LinkHandlers;

int link_new(sd_event *event, const LinkHandlers *handlers, void *userdata, Link **ret);
Link *link_free(Link *l);
DEFINE_TRIVIAL_CLEANUP(Link *, link_free);

bool link_is_up(const Link *l);
bool link_is_direct(const Link *l);

/* A message to an object of systemd; -ENOTCONN while there is no connection. */
int link_message_new(
                Link *l, const char *path, const char *interface, const char *member, sd_bus_message **ret);

/* Queues it. *holder (may be NULL: nobody waits) is the call until it ends, and is set to NULL then, or when
 * the connection is lost; the holder must outlive it or cancel it. */
int link_send(Link *l,
              sd_bus_message *m,
              LinkCall **holder,
              LinkReplyHandler handler,
              void *userdata,
              uint64_t timeout_usec);

/* Both in one, for methods of the Manager object. */
int link_call(Link *l,
              LinkCall **holder,
              LinkReplyHandler handler,
              void *userdata,
              uint64_t timeout_usec,
              const char *member,
              const char *types,
              ...);

/* Forgets a call; systemd may still carry it out. */
void link_cancel(LinkCall **holder);

/* Hears of the changes of one unit, by its object path. *ret_slot: sd_bus_slot_unref(), also after on_down.
 */
int link_watch_unit(Link *l, const char *unit_path, sd_bus_slot **ret_slot);
