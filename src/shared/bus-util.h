/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sd-bus as we use it: calls are asynchronous, named, and cancelled by the unref of their slot. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"

/* sd_bus_unrefp(), sd_bus_message_unrefp(), sd_bus_slot_unrefp() and the like come with sd-bus. */
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

/* Time limit of a call that names none. */
#define BUS_CALL_TIMEOUT_USEC (10 * UINT64_C(1000000))

/* Where process 1 listens for root without a message bus. */
#define BUS_SYSTEMD_PRIVATE_ADDRESS "unix:path=/run/systemd/private"

/* The system bus, attached to the loop (event may be NULL). */
int bus_open_system(sd_event *event, const char *description, sd_bus **ret);

/* A direct connection to process 1, for root, when the bus is away. There are no names on it: address
 * messages to NULL. */
int bus_open_systemd_private(sd_event *event, const char *description, sd_bus **ret);

/* The system bus, or else the direct connection. *ret_direct says which. */
int bus_open_systemd(sd_event *event, const char *description, sd_bus **ret, bool *ret_direct);

/* "org.freedesktop.systemd1", or NULL on a direct connection. */
const char *bus_systemd_destination(bool direct);

/* Calls a method; the handler gets the reply or the error. types and arguments as in
 * sd_bus_message_append(). *ret_slot is owned by the caller; unref cancels. With NULL the call floats. */
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
                ...);

/* A method of systemd's Manager object. */
int bus_call_systemd_async(
                sd_bus *bus,
                bool direct,
                sd_bus_slot **ret_slot,
                const char *member,
                sd_bus_message_handler_t handler,
                void *userdata,
                uint64_t timeout_usec,
                const char *types,
                ...);

/* Why a reply is an error, as a sentence for people: the error's message, else the text of the errno. Points
 * into the message or to static text. NULL when it is no error. */
const char *bus_reply_error(sd_bus_message *reply);

/* The error as errno (negative), 0 when the reply is none. */
int bus_reply_errno(sd_bus_message *reply);

/* The message of an error, never NULL. */
const char *bus_error_sentence(const sd_bus_error *error, int r);

/* Is it that error? */
bool bus_error_is(const sd_bus_error *error, const char *name);
