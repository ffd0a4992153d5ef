/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs one talk (redfish-talk.h) with a server's management controller over HTTPS. */

#include <systemd/sd-event.h>

#include "hamgr/fence/redfish-talk.h"
#include "shared/cluster-conf.h"

typedef struct RedfishRun RedfishRun;

/* Copied, but for memory and http, which are borrowed. */
typedef struct RedfishRunSpec {
        sd_event *event;
        Http *http;
        const ClusterFence *conf;
        const char *plug;
        const char *username, *password;
        FenceAction action;
        uint64_t timeout_usec;
        RedfishMemory *memory;
} RedfishRunSpec;

/* Called once, from the loop, never from within redfish_run_new(). May free the run. */
typedef void (*RedfishHandler)(RedfishRun *run, FenceVerdict verdict, const char *text, void *userdata);

int redfish_run_new(const RedfishRunSpec *spec, RedfishHandler handler, void *userdata, RedfishRun **ret);
/* Breaks off what is under way. A session is ended, without waiting for that. */
RedfishRun *redfish_run_free(RedfishRun *r);
DEFINE_TRIVIAL_CLEANUP(RedfishRun *, redfish_run_free);
