/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>

#include "shared/bus-util.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

int bus_open_system(sd_event *event, const char *description, sd_bus **ret) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system_with_description(&bus, description);
        if (r < 0)
                return r;

        if (event) {
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(bus);
        return 0;
}

int bus_open_systemd_private(sd_event *event, const char *description, sd_bus **ret) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;

        r = sd_bus_set_description(bus, description);
        if (r < 0)
                return r;

        r = sd_bus_set_address(bus, BUS_SYSTEMD_PRIVATE_ADDRESS);
        if (r < 0)
                return r;

        r = sd_bus_start(bus);
        if (r < 0)
                return r;

        if (event) {
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(bus);
        return 0;
}

int bus_open_systemd(sd_event *event, const char *description, sd_bus **ret, bool *ret_direct) {
        int r;

        r = bus_open_system(event, description, ret);
        if (r >= 0) {
                *ret_direct = false;
                return 0;
        }

        /* The error of the bus is the better one to tell: the other way is open to root alone. */
        if (bus_open_systemd_private(event, description, ret) < 0)
                return r;
        *ret_direct = true;
        return 0;
}

const char *bus_systemd_destination(bool direct) {
        return direct ? NULL : SYSTEMD_NAME;
}

static int
call_asyncv(sd_bus *bus,
            sd_bus_slot **ret_slot,
            const char *destination,
            const char *path,
            const char *interface,
            const char *member,
            sd_bus_message_handler_t handler,
            void *userdata,
            uint64_t timeout_usec,
            const char *types,
            va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, destination, path, interface, member);
        if (r < 0)
                return r;

        if (!isempty(types)) {
                r = sd_bus_message_appendv(m, types, ap);
                if (r < 0)
                        return r;
        }

        r = sd_bus_call_async(bus, ret_slot ? &slot : NULL, m, handler, userdata, timeout_usec);
        if (r < 0)
                return r;

        if (ret_slot) {
                (void) sd_bus_slot_set_description(slot, member);
                *ret_slot = slot;
        }
        return 0;
}

int bus_call_async(
                sd_bus *bus,
                sd_bus_slot **ret_slot,
                const char *destination,
                const char *path,
                const char *interface,
                const char *member,
                sd_bus_message_handler_t handler,
                void *userdata,
                uint64_t timeout_usec,
                const char *types,
                ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_asyncv(bus,
                        ret_slot,
                        destination,
                        path,
                        interface,
                        member,
                        handler,
                        userdata,
                        timeout_usec,
                        types,
                        ap);
        va_end(ap);

        return r;
}

int bus_call_systemd_async(
                sd_bus *bus,
                bool direct,
                sd_bus_slot **ret_slot,
                const char *member,
                sd_bus_message_handler_t handler,
                void *userdata,
                uint64_t timeout_usec,
                const char *types,
                ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_asyncv(bus,
                        ret_slot,
                        bus_systemd_destination(direct),
                        SYSTEMD_PATH,
                        SYSTEMD_MANAGER,
                        member,
                        handler,
                        userdata,
                        timeout_usec,
                        types,
                        ap);
        va_end(ap);

        return r;
}

const char *bus_reply_error(sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        return error ? bus_error_sentence(error, sd_bus_error_get_errno(error)) : NULL;
}

int bus_reply_errno(sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int e;

        if (!error)
                return 0;

        e = sd_bus_error_get_errno(error);
        return e > 0 ? -e : -EIO;
}

const char *bus_error_sentence(const sd_bus_error *error, int r) {
        const char *text;

        if (error && !isempty(error->message))
                return error->message;

        text = r != 0 ? strerrordesc_np(abs(r)) : NULL;
        if (text)
                return text;
        return error && error->name ? error->name : "unknown error";
}

bool bus_error_is(const sd_bus_error *error, const char *name) {
        return error && sd_bus_error_has_name(error, name) > 0;
}
