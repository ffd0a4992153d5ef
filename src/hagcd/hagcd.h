/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon: joins the cores cms and gcs with transport, store and clients. One function a core feeds it
 * and carries out its effects; it alone stamps time. */

#include <systemd/sd-event.h>

#include "cms/cms.h"
#include "gcs/gcs.h"
#include "hagcd/admission.h"
#include "hagcd/clients.h"
#include "hagcd/store-client.h"
#include "hagcd/transport.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-key.h"

typedef struct HagcdConfig {
        const ClusterConf *conf;   /* weak: outlives the daemon */
        const ClusterConf *former; /* weak, likewise: the file before it; NULL: none */
        const ClusterNode *self;
        const char *conf_path; /* read anew when somebody asks for it */
        const ClusterKey *key;
        const char *run_folder; /* /run/hagcd */
        const char *store_socket;
        ClientLimits limits;
} HagcdConfig;

typedef struct Hagcd Hagcd;

int hagcd_new(sd_event *event, const HagcdConfig *config, Hagcd **ret);
Hagcd *hagcd_free(Hagcd *d);
DEFINE_TRIVIAL_CLEANUP(Hagcd *, hagcd_free);

/* Begins; then the event loop is run. Its result is the exit status. */
int hagcd_start(Hagcd *d);
