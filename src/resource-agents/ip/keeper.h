/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Holds one address on one interface: looks, probes, adds, announces, watches, defends, removes. */

#include <systemd/sd-event.h>

#include "resource-agents/ip/ip-address.h"

#define PROBE_COUNT_DEFAULT 3U
#define PROBE_WINDOW_USEC_DEFAULT (60 * UINT64_C(1000))
#define CARRIER_GRACE_USEC_DEFAULT (1000 * UINT64_C(1000))

typedef struct KeeperOptions {
        IpAddress address;
        const char *interface;
        uint32_t probe_count;
        uint64_t probe_window_usec;
        uint64_t carrier_grace_usec;
} KeeperOptions;

typedef struct Keeper Keeper;

/* Looks, and begins to probe or adopts. 0, or an exit status when it is not to be; that has been logged
 * then. Later it ends the loop with an exit status when it cannot go on. */
int keeper_start(sd_event *event, const KeeperOptions *options, Keeper **ret);

/* Removes the address if we hold it. 0, or an exit status. */
int keeper_release(Keeper *k);

Keeper *keeper_free(Keeper *k);
DEFINE_TRIVIAL_CLEANUP(Keeper *, keeper_free);

/* What ExecStopPost= runs: removes what an ended ha-ip left behind, here or on another interface. 0, or an
 * exit status. */
int keeper_remove_leftover(const KeeperOptions *options);
