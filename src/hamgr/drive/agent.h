/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mounts and addresses: the transient services that hold them. */

#include <systemd/sd-bus.h>

#include "hamgr/state/config.h"

/* Arguments of the agent; NULL at the end. For g_strfreev(). remove: clean up and end. */
char **agent_command(const HaResource *resource, const char *folder, bool remove);

typedef struct AgentUnit {
        const char *unit; /* its name */
        const char *group;
        const HaResource *resource;
        const char *owned_path;    /* the ownership file that systemd has to find */
        const char *folder;        /* of the agents' programs */
        const char *const *before; /* units on disk that come later in the group; NULL at the end */
        const char *const *after;  /* those that come earlier */
} AgentUnit;

/* Appends the arguments of StartTransientUnit(). cleanup: only removes what is left, and runs without
 * ownership. */
int agent_append(sd_bus_message *m, const AgentUnit *a, bool cleanup);
