/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Watches, by rtnetlink, whether the interface that holds our address of each link is up and has its
 * carrier. A peer behind a dead cable is then not waited for. */

#include <systemd/sd-event.h>

#include "shared/cluster-conf.h"

typedef struct Carrier Carrier;

/* Called for each link whose carrier differs from what was told before; at first it is taken to be there. */
typedef void (*CarrierHandler)(void *userdata, unsigned link, bool carrier);

/* The addresses are copied. */
int carrier_new(sd_event *event,
                const ClusterAddress *addresses,
                unsigned n_links,
                CarrierHandler handler,
                void *userdata,
                Carrier **ret);
Carrier *carrier_free(Carrier *c);
DEFINE_TRIVIAL_CLEANUP(Carrier *, carrier_free);

/* Looks now. */
void carrier_check(Carrier *c);
