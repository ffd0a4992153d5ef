/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads cluster.conf anew while hagcd serves. Another process does the reading: a sick disk may hold that
 * up, and hagcd must not stand still. */

#include <systemd/sd-event.h>

#include "shared/cluster-conf.h"

#define RELOAD_USEC (5 * UINT64_C(1000000)) /* a file that is not read by then cannot be read */

typedef struct Reload Reload;

/* A configuration that was read and makes sense, taken over; or NULL, and errors say what is wrong. */
typedef void (*ReloadHandler)(void *userdata, ClusterConf *conf_taken, const ConfErrors *errors);

int reload_new(sd_event *event, const char *path, ReloadHandler handler, void *userdata, Reload **ret);
Reload *reload_free(Reload *r);
DEFINE_TRIVIAL_CLEANUP(Reload *, reload_free);

/* The handler is called once for all who ask until then. Whoever asks while the file is being read is told
 * of what is read after that. */
void reload_begin(Reload *r);

/* What the other process does: prints the file. An exit status. */
int reload_print(const char *path);
