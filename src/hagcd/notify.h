/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Speaks to the service manager without ever waiting for it: sd_notify() blocks when its queue is full. */

#include <systemd/sd-event.h>

#include "cms/membership.h"

typedef struct Notify Notify;

/* Reads $NOTIFY_SOCKET and $WATCHDOG_USEC; without them it does nothing. */
int notify_new(sd_event *event, Notify **ret);
Notify *notify_free(Notify *n);
DEFINE_TRIVIAL_CLEANUP(Notify *, notify_free);

void notify_ready(Notify *n);
void notify_stopping(Notify *n);
/* cluster.conf is being read anew, and has been. */
void notify_reloading(Notify *n);
void notify_reloaded(Notify *n);
/* STATUS= of what stands. */
void notify_status(Notify *n, const char *text);
void notify_membership(Notify *n, const Membership *m);
